//! Giving deliveries out: from memory where they are leased already, else from the database, some ahead.

use std::collections::HashSet;

use deadpool_postgres::Client;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::Inner;
use super::lanes::{Hold, Look};
use super::link::Failed;
use super::rows;
use crate::delivery::HELD;
use crate::id::TargetName;
use crate::store::record;
use crate::store::{Claimed, Claims, Lease, Settled, StoreError};

/// Leases what is due, oldest first. What another transaction has locked is passed over: an operator is at it. It waits for the disk, so
/// that an attempt that is under way while the database crashes can still be recorded.
pub(super) const CLAIM: &str = "WITH due AS (SELECT id FROM ingate.delivery \
        WHERE target = $1 AND state = 0 AND ready AND lease IS NULL AND at <= $2 ORDER BY at, id LIMIT $3 FOR UPDATE SKIP LOCKED), \
    n AS (SELECT id, row_number() OVER () AS n FROM due), \
    d AS (UPDATE ingate.delivery d SET lease = $5 + n.n, holder = $4 FROM n WHERE d.id = n.id \
        AND EXISTS (SELECT FROM ingate.owner WHERE task = 'target:' || $1 AND instance = $4) RETURNING d.*) \
    SELECT {DELIVERY}, {EVENT}, e.body, d.frozen FROM d JOIN ingate.event e ON e.id = d.event ORDER BY d.at, d.id";

pub(super) const NEXT: &str = "SELECT at FROM ingate.delivery WHERE target = $1 AND state = 0 AND ready AND lease IS NULL AND at > $2 AND at < $3 \
    ORDER BY at LIMIT 1";

const STILL: &str = "SELECT d.id, d.lease FROM unnest($1::uuid[], $2::bigint[]) AS n(id, lease) \
    JOIN ingate.delivery d ON d.id = n.id AND d.lease = n.lease";

const RELEASE: &str = "UPDATE ingate.delivery d SET lease = NULL, holder = NULL FROM unnest($1::uuid[], $2::bigint[]) AS n(id, lease) \
    WHERE d.id = n.id AND d.lease = n.lease";

const HOLD: &str =
    "UPDATE ingate.delivery SET at = $3, lease = NULL, holder = NULL WHERE id = $1 AND lease = $2";

impl Inner {
    pub(super) async fn claim(
        &self,
        target: &TargetName,
        most: usize,
    ) -> Result<Claims, StoreError> {
        self.usable()?;
        self.lanes.want(target);
        let asking = self.lanes.asking(target);
        let _one = asking.lock().await;
        // The others may have given up on us: then we make no attempts until they know us again.
        if !self.me.holds() {
            return Ok(elsewhere());
        }
        if self.lanes.hold(target) == Hold::Not && !self.take_up(target).await? {
            return Ok(elsewhere());
        }
        match self.lanes.begin(target, most, self.clock.now()) {
            Look::NotOurs => return Ok(elsewhere()),
            Look::Down => {
                return Ok(Claims {
                    down: true,
                    ..Claims::default()
                });
            }
            Look::Ours { ask: None } => {}
            Look::Ours { ask: Some(count) } => match self.ask(target, count).await {
                Ok((found, next)) => {
                    let all = found.len() < count;
                    let next = next.map(record::time);
                    self.lanes.found(target, found, all, next);
                }
                Err(error) => {
                    self.lanes.not_found(target);
                    return Err(error);
                }
            },
        }
        self.look_up(target, most).await?;
        // The answer may have taken longer than the lease.
        if !self.me.holds() {
            return Ok(elsewhere());
        }
        let (taken, next_due) = self.lanes.take(target, most);
        Ok(Claims {
            taken,
            next_due,
            ..Claims::default()
        })
    }

    /// Leases up to `count` of what is due, and says when the next one is.
    async fn ask(
        &self,
        target: &TargetName,
        count: usize,
    ) -> Result<(Vec<Claimed>, Option<i64>), StoreError> {
        let lent = self.link.lend().await?;
        let now = record::millis(self.clock.now());
        let name = target.as_str();
        let limit = i64::try_from(count).unwrap_or(i64::MAX);
        let tokens = self
            .me
            .tokens(u32::try_from(count).unwrap_or(u32::MAX).saturating_add(1));
        let me = self.me.id();
        lent.run(async {
            let claim = lent.prepare_cached(&columns(CLAIM)).await?;
            let next = lent.prepare_cached(NEXT).await?;
            let held = record::millis(HELD);
            let of_claim: [&(dyn ToSql + Sync); 5] = [&name, &now, &limit, &me, &tokens];
            let of_next: [&(dyn ToSql + Sync); 3] = [&name, &now, &held];
            // one round trip: the second is sent before the first is answered
            let (found, next) = tokio::join!(
                lent.query(&claim, &of_claim),
                lent.query_opt(&next, &of_next)
            );
            let found = found?.iter().map(claimed).collect::<Result<_, _>>()?;
            let next = next?.map(|row| row.try_get(0)).transpose()?;
            Ok((found, next))
        })
        .await
    }

    /// Looks up what was leased so long ago that an operator may have taken it away through another instance.
    async fn look_up(&self, target: &TargetName, most: usize) -> Result<(), StoreError> {
        let stale = self.lanes.stale(target, most);
        if stale.is_empty() {
            return Ok(());
        }
        let (ids, tokens) = apart(&stale);
        let lent = self.link.lend().await?;
        let rows = lent
            .run(async {
                let statement = lent.prepare_cached(STILL).await?;
                Ok(lent.query(&statement, &[&ids, &tokens]).await?)
            })
            .await?;
        let mut good = HashSet::new();
        for row in &rows {
            good.insert(lease(row)?);
        }
        self.lanes.looked_up(target, &stale, &good);
        Ok(())
    }

    pub(super) async fn release(&self, lease: Lease) -> Result<Settled, StoreError> {
        self.usable()?;
        let released = self.release_all(&[lease]).await;
        // Whatever came of it, nobody is at it any more; what could not be given back now is found later (see `strays`).
        self.given_back(lease);
        released.map(settled)
    }

    /// Gives leases back; how many were ours.
    pub(super) async fn release_all(&self, leases: &[Lease]) -> Result<u64, StoreError> {
        let (ids, tokens) = apart(leases);
        let lent = self.link.lend().await?;
        lent.run(async {
            let statement = lent.prepare_cached(RELEASE).await?;
            Ok(lent.execute(&statement, &[&ids, &tokens]).await?)
        })
        .await
    }

    pub(super) async fn hold(&self, lease: Lease) -> Result<Settled, StoreError> {
        self.usable()?;
        let lent = self.link.lend().await?;
        let (id, token, held) = (
            rows::uuid(lease.delivery.as_bytes()),
            lease.token.cast_signed(),
            record::millis(HELD),
        );
        let held = lent
            .run(async {
                let statement = lent.prepare_cached(HOLD).await?;
                Ok(lent.execute(&statement, &[&id, &token, &held]).await?)
            })
            .await?;
        self.given_back(lease);
        Ok(settled(held))
    }

    /// A lease has ended; its target is looked at anew.
    pub(super) fn given_back(&self, lease: Lease) {
        if let Some(target) = self.ended(lease) {
            self.lanes.look(&target);
        }
    }

    /// A lease has ended; its target, which is left at once if it was the last that held it.
    pub(super) fn ended(&self, lease: Lease) -> Option<TargetName> {
        let (target, left) = self.lanes.ended(lease)?;
        if left {
            self.beat_now.notify_one();
        }
        Some(target)
    }
}

/// The target is not ours; an arrival is told when it is.
fn elsewhere() -> Claims {
    Claims {
        elsewhere: true,
        ..Claims::default()
    }
}

/// A statement with the columns of deliveries and events.
pub(super) fn columns(statement: &str) -> String {
    statement
        .replace("{DELIVERY}", rows::DELIVERY)
        .replace("{EVENT}", rows::EVENT)
}

fn settled(changed: u64) -> Settled {
    match changed {
        0 => Settled::Fenced,
        _ => Settled::Recorded,
    }
}

fn apart(leases: &[Lease]) -> (Vec<Uuid>, Vec<i64>) {
    let leases = leases.iter();
    leases
        .map(|lease| {
            (
                rows::uuid(lease.delivery.as_bytes()),
                lease.token.cast_signed(),
            )
        })
        .unzip()
}

fn lease(row: &tokio_postgres::Row) -> Result<Lease, StoreError> {
    let token: i64 = rows::get(row, "lease")?;
    Ok(Lease {
        delivery: rows::delivery_id(rows::get(row, "id")?),
        token: token.cast_unsigned(),
    })
}

fn claimed(row: &tokio_postgres::Row) -> Result<Claimed, Failed> {
    let frozen: Option<&[u8]> = rows::get(row, "frozen")?;
    Ok(Claimed {
        lease: lease(row)?,
        delivery: rows::delivery(row)?,
        event: rows::event(row, "event")?,
        frozen: frozen.map(bytes::Bytes::copy_from_slice),
    })
}

/// Whether the lease was used to record an attempt: the answer to that may have been lost on the way.
pub(super) async fn was_recorded(client: &Client, lease: Lease) -> Result<bool, Failed> {
    const RECORDED: &str = "SELECT FROM ingate.delivery d JOIN ingate.attempt a ON a.event = d.event AND a.delivery = d.id \
        WHERE d.id = $1 AND a.lease = $2";
    let statement = client.prepare_cached(RECORDED).await?;
    let (id, token) = (
        rows::uuid(lease.delivery.as_bytes()),
        lease.token.cast_signed(),
    );
    Ok(client
        .query_opt(&statement, &[&id, &token])
        .await?
        .is_some())
}
