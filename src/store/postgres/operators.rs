//! What operators do to stored events and deliveries: take up again, let go, add, purge.
//!
//! Each is one transaction: lines first, then the deliveries. A lease that it takes away fences whoever has it.

use std::collections::BTreeSet;

use deadpool_postgres::Client;
use tokio_postgres::Row;

use super::Inner;
use super::claims::columns;
use super::deliveries;
use super::lines::Lines;
use super::link::Failed;
use super::rows::{self, Facts};
use crate::delivery::{Delivery, HELD};
use crate::id::{DeliveryId, EventId, RouteName, TargetName};
use crate::store::record::{self, StoredMark};
use crate::store::rules::Wanted;
use crate::store::{Purged, RevivedBody, StoreError};

const LINE_OF: &str = "SELECT target, order_key FROM ingate.delivery WHERE id = $1";

const ONE: &str = "SELECT {DELIVERY}, e.purged_at FROM ingate.delivery d JOIN ingate.event e ON e.id = d.event \
    WHERE d.id = $1 FOR UPDATE OF d";

const CHANGE: &str = "UPDATE ingate.delivery SET state = $2, at = $3, reason = NULL, attempts = $4, started_at = $5, \
    mark = COALESCE($6::text::json, mark), frozen = CASE WHEN $7 THEN NULL ELSE frozen END, \
    lease = NULL, holder = NULL, ready = order_key IS NULL WHERE id = $1";

const RESUME: &str = "UPDATE ingate.delivery SET at = $3 WHERE target = $1 AND state = 0 AND at = $4 AND route = ANY($2)";

const EVENT_LOCK: &str =
    "SELECT purged_at, facts::text AS facts FROM ingate.event WHERE id = $1 FOR UPDATE";

const LINES_OF_EVENT: &str = "SELECT id, target, order_key FROM ingate.delivery WHERE event = $1";

const EMPTY_DELIVERIES: &str = "WITH o AS (SELECT id FROM ingate.delivery WHERE event = $1 AND state IN (0, 2) FOR UPDATE), \
    u AS (UPDATE ingate.delivery d SET state = 3, at = $2, reason = NULL, ready = order_key IS NULL FROM o WHERE d.id = o.id) \
    SELECT count(*) FROM o";

const FORGET_BODIES: &str =
    "UPDATE ingate.delivery SET frozen = NULL, lease = NULL, holder = NULL WHERE event = $1";

const EMPTY_EVENT: &str = "UPDATE ingate.event SET purged_at = $2, facts = $3::text::json, message = NULL, size = 0, body = '' WHERE id = $1";

const ATTEMPTS: &str = "SELECT delivery, seq, outcome::text AS outcome, sent::text AS sent, number, started_at, took \
    FROM ingate.attempt WHERE event = $1";

const EMPTY_ATTEMPT: &str = "UPDATE ingate.attempt SET outcome = $4::text::json, sent = $5::text::json WHERE event = $1 AND delivery = $2 AND seq = $3";

impl Inner {
    /// Does what an operator wants with a delivery.
    pub(super) async fn change(
        &self,
        id: DeliveryId,
        wanted: Wanted,
    ) -> Result<Delivery, StoreError> {
        self.usable()?;
        let lent = self.link.lend().await?;
        let now = self.now();
        let key = rows::uuid(id.as_bytes());
        let revival = match wanted {
            Wanted::Revive(how) => Some(how),
            Wanted::Discard | Wanted::Resume => None,
        };
        let mark = revival.map(|how| rows::json(&StoredMark::from(how.mark)));
        let mark = mark.transpose()?;
        let forgets = revival.is_some_and(|how| how.body == RevivedBody::Anew);
        let delivery = lent
            .transaction(|| async {
                let client: &Client = &lent;
                let (mut delivery, had_success, lines) = self.lock_one(client, id).await?;
                let became = wanted.of((&delivery.state).into(), had_success, now)?;
                delivery.state = became.state.into();
                if became.anew {
                    delivery.attempts = 0;
                    delivery.started_at = record::time(now);
                }
                if let Some(how) = revival {
                    delivery.mark = Some(how.mark);
                }
                let (state, at, _) = rows::state_columns(&delivery.state);
                let (attempts, started) = (
                    i32::try_from(delivery.attempts).unwrap_or(i32::MAX),
                    record::millis(delivery.started_at),
                );
                let statement = client.prepare_cached(CHANGE).await?;
                client
                    .execute(
                        &statement,
                        &[&key, &state, &at, &attempts, &started, &mark, &forgets],
                    )
                    .await?;
                lines.arrange(client).await?;
                Ok(delivery)
            })
            .await?;
        self.lanes.moved(&delivery);
        Ok(delivery)
    }

    /// Locks a delivery, and its line before it. Gives along whether its target has ever answered 2xx.
    async fn lock_one(
        &self,
        client: &Client,
        id: DeliveryId,
    ) -> Result<(Delivery, bool, Lines), Failed> {
        let key = rows::uuid(id.as_bytes());
        let statement = client.prepare_cached(LINE_OF).await?;
        let row = client.query_opt(&statement, &[&key]).await?;
        let mut lines = Lines::default();
        add_line(&mut lines, &row.ok_or(StoreError::NotFound)?)?;
        lines.lock(client).await?;
        let statement = client.prepare_cached(&columns(ONE)).await?;
        let row = client.query_opt(&statement, &[&key]).await?;
        let row = row.ok_or(StoreError::NotFound)?;
        let purged: Option<i64> = rows::get(&row, "purged_at")?;
        if purged.is_some() {
            return Err(StoreError::Purged.into());
        }
        Ok((
            rows::delivery(&row)?,
            rows::get(&row, "had_success")?,
            lines,
        ))
    }

    pub(super) async fn resume(
        &self,
        target: &TargetName,
        routes: &BTreeSet<RouteName>,
    ) -> Result<u64, StoreError> {
        self.usable()?;
        let lent = self.link.lend().await?;
        let (now, held, name) = (self.now(), record::millis(HELD), target.as_str());
        let routes: Vec<&str> = routes.iter().map(RouteName::as_str).collect();
        let resumed = lent
            .run(async {
                let statement = lent.prepare_cached(RESUME).await?;
                Ok(lent
                    .execute(&statement, &[&name, &routes, &now, &held])
                    .await?)
            })
            .await?;
        if resumed > 0 {
            self.lanes.look(target);
        }
        Ok(resumed)
    }

    pub(super) async fn add_deliveries(
        &self,
        event: EventId,
        added: Vec<Delivery>,
    ) -> Result<(), StoreError> {
        self.usable()?;
        let mut lines = Lines::default();
        let mut columns = deliveries::Columns::default();
        for delivery in &added {
            columns.add(delivery, None, &mut lines)?;
        }
        let lent = self.link.lend().await?;
        lent.transaction(|| async {
            let client: &Client = &lent;
            lines.lock(client).await?;
            lock_event(client, event).await?;
            columns.insert(client).await?;
            lines.arrange(client).await
        })
        .await?;
        for delivery in &added {
            self.lanes.look(&delivery.target);
        }
        Ok(())
    }

    pub(super) async fn purge(&self, event: EventId) -> Result<Purged, StoreError> {
        self.usable()?;
        let lent = self.link.lend().await?;
        let key = rows::uuid(event.as_bytes());
        let now = self.now();
        let (purged, ids) = lent
            .transaction(|| async {
                let client: &Client = &lent;
                let statement = client.prepare_cached(LINES_OF_EVENT).await?;
                let mut lines = Lines::default();
                let mut ids = Vec::new();
                for row in client.query(&statement, &[&key]).await? {
                    ids.push(rows::delivery_id(rows::get(&row, "id")?));
                    add_line(&mut lines, &row)?;
                }
                lines.lock(client).await?;
                let facts = match lock_event(client, event).await {
                    Ok(facts) => facts,
                    Err(Failed::Store(StoreError::Purged)) => {
                        return Ok((purged_before(client, event).await?, ids));
                    }
                    Err(error) => return Err(error),
                };
                let statement = client.prepare_cached(EMPTY_DELIVERIES).await?;
                let row = client.query_one(&statement, &[&key, &now]).await?;
                let discarded = rows::count(row.try_get(0)?);
                let statement = client.prepare_cached(FORGET_BODIES).await?;
                client.execute(&statement, &[&key]).await?;
                let emptied = empty_attempts(client, event).await?;
                let facts = rows::json(&facts.emptied())?;
                let statement = client.prepare_cached(EMPTY_EVENT).await?;
                client.execute(&statement, &[&key, &now, &facts]).await?;
                lines.arrange(client).await?;
                let purged = Purged {
                    at: record::time(now),
                    discarded,
                    records: emptied + 1,
                };
                Ok((purged, ids))
            })
            .await?;
        self.lanes.taken_away(&ids);
        self.look_at_all();
        Ok(purged)
    }

    /// Whatever was behind something that is gone may go now.
    fn look_at_all(&self) {
        for target in self.lanes.quiet() {
            self.lanes.look(&target);
        }
    }
}

fn add_line(lines: &mut Lines, row: &Row) -> Result<(), StoreError> {
    let key: Option<&[u8]> = rows::get(row, "order_key")?;
    if let Some(key) = key {
        lines.add(rows::get(row, "target")?, key);
    }
    Ok(())
}

/// Locks an event that is there and was not purged.
async fn lock_event(client: &Client, event: EventId) -> Result<Facts, Failed> {
    let statement = client.prepare_cached(EVENT_LOCK).await?;
    let row = client
        .query_opt(&statement, &[&rows::uuid(event.as_bytes())])
        .await?;
    let row = row.ok_or(StoreError::NotFound)?;
    let purged: Option<i64> = rows::get(&row, "purged_at")?;
    match purged {
        Some(_) => Err(StoreError::Purged.into()),
        None => Ok(rows::facts(&row)?),
    }
}

async fn purged_before(client: &Client, event: EventId) -> Result<Purged, Failed> {
    let statement = client.prepare_cached(EVENT_LOCK).await?;
    let row = client
        .query_one(&statement, &[&rows::uuid(event.as_bytes())])
        .await?;
    let at: Option<i64> = rows::get(&row, "purged_at")?;
    Ok(Purged {
        at: record::time(at.unwrap_or(0)),
        discarded: 0,
        records: 0,
    })
}

/// Takes out of the attempts of an event what targets wrote; how many there are.
async fn empty_attempts(client: &Client, event: EventId) -> Result<u64, Failed> {
    let key = rows::uuid(event.as_bytes());
    let all = client.prepare_cached(ATTEMPTS).await?;
    let one = client.prepare_cached(EMPTY_ATTEMPT).await?;
    let mut emptied = 0_u64;
    for row in client.query(&all, &[&key]).await? {
        let mut attempt = rows::stored_attempt(&row)?;
        attempt.clear();
        let (outcome, sent) = rows::attempt_columns(&attempt)?;
        let delivery: uuid::Uuid = rows::get(&row, "delivery")?;
        let seq: i32 = rows::get(&row, "seq")?;
        client
            .execute(&one, &[&key, &delivery, &seq, &outcome, &sent])
            .await?;
        emptied += 1;
    }
    Ok(emptied)
}
