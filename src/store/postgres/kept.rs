//! What operators did and want: the audit log, numbers of configurations, pauses, replays.

use std::collections::BTreeMap;

use deadpool_postgres::Client;
use tokio_postgres::Row;

use super::Inner;
use super::rows;
use crate::id::{AuditId, Digest, ReplayId, TargetName};
use crate::plan::Generation;
use crate::store::record::{self, StoredAudit, StoredPause, StoredReplay};
use crate::store::{AuditEntry, AuditNote, Pause, ReplayPhase, ReplayState, StoreError};

/// One that has ended stays so, whatever another instance still thinks of it.
const REPLAY: &str = "INSERT INTO ingate.replay AS r (id, at, running, state) VALUES ($1, $2, $3, $4::text::json) \
    ON CONFLICT (id) DO UPDATE SET at = excluded.at, running = excluded.running, state = excluded.state \
        WHERE r.running OR r.state ->> 'phase' = excluded.state ->> 'phase'";

/// The last configuration's number if it is the same, or that of another instance that has the same in force.
const NUMBERED: &str = "SELECT p.number, p.since FROM ingate.plan p WHERE p.fingerprint = $1 AND (p.number = (SELECT max(number) FROM ingate.plan) \
        OR p.number IN (SELECT i.plan FROM ingate.instance i WHERE i.id <> $2 AND i.fingerprint = $1 AND i.expires_at > clock_timestamp())) \
    ORDER BY p.number DESC LIMIT 1";

const NUMBER: &str = "INSERT INTO ingate.plan (number, fingerprint, since) SELECT COALESCE(max(number), 0) + 1, $1, $2 FROM ingate.plan \
    RETURNING number, since";

impl Inner {
    pub(super) async fn audit(&self, note: &AuditNote) -> Result<AuditEntry, StoreError> {
        self.usable()?;
        let at = self.clock.now();
        let entry = StoredAudit::new(AuditId::generate(), at, note);
        let statement = "INSERT INTO ingate.audit (id, at, entry) VALUES ($1, $2, $3::text::json)";
        self.rows(
            statement,
            &[
                &rows::uuid(&entry.id),
                &record::millis(at),
                &rows::json(&entry)?,
            ],
        )
        .await?;
        Ok(entry.into())
    }

    pub(super) async fn audits(
        &self,
        before: Option<AuditId>,
        limit: usize,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let statement = "SELECT entry::text AS entry FROM ingate.audit WHERE $1::uuid IS NULL OR id < $1 ORDER BY id DESC LIMIT $2";
        let before = before.map(|id| rows::uuid(id.as_bytes()));
        let found = self.rows(statement, &[&before, &most(limit)]).await?;
        let entry = |row: &Row| {
            let entry: StoredAudit = rows::parsed(rows::get(row, "entry")?)?;
            Ok(entry.into())
        };
        found.iter().map(entry).collect()
    }

    pub(super) async fn generation(&self, fingerprint: Digest) -> Result<Generation, StoreError> {
        self.usable()?;
        let (hash, now, me) = (fingerprint.as_bytes().as_slice(), self.now(), self.me.id());
        let lent = self.link.lend().await?;
        let row = lent
            .transaction(|| async {
                let client: &Client = &lent;
                // one number at a time
                client
                    .batch_execute("LOCK TABLE ingate.plan IN SHARE ROW EXCLUSIVE MODE")
                    .await?;
                let row = client.query_opt(NUMBERED, &[&hash, &me]).await?;
                let row = match row {
                    Some(row) => row,
                    None => client.query_one(NUMBER, &[&hash, &now]).await?,
                };
                let number: i64 = row.try_get("number")?;
                let mine = "UPDATE ingate.instance SET plan = $2, fingerprint = $3 WHERE id = $1";
                client.execute(mine, &[&me, &number, &hash]).await?;
                Ok(row)
            })
            .await?;
        let number: i64 = rows::get(&row, "number")?;
        self.set_plan(number, fingerprint);
        Ok(Generation {
            number: rows::count(number),
            since: record::time(rows::get(&row, "since")?),
        })
    }

    pub(super) async fn set_pause(
        &self,
        target: &TargetName,
        by: Option<String>,
    ) -> Result<Option<Pause>, StoreError> {
        self.usable()?;
        let Some(by) = by else {
            let statement = "DELETE FROM ingate.pause WHERE target = $1";
            self.rows(statement, &[&target.as_str()]).await?;
            return Ok(None);
        };
        let pause = StoredPause::new(target, self.clock.now(), &by);
        // the first one counts, and is what is given back
        let statement = "INSERT INTO ingate.pause (target, since, who) VALUES ($1, $2, $3::text::json) \
            ON CONFLICT (target) DO UPDATE SET target = excluded.target RETURNING target, since, who::text AS who";
        let row = self
            .row(
                statement,
                &[&target.as_str(), &pause.since, &rows::json(&pause.by)?],
            )
            .await?;
        Ok(Some(paused(&row)?))
    }

    pub(super) async fn pauses(&self) -> Result<BTreeMap<TargetName, Pause>, StoreError> {
        let statement = "SELECT target, since, who::text AS who FROM ingate.pause";
        let found = self.rows(statement, &[]).await?;
        let pause = |row: &Row| Ok((rows::name(row, "target")?, paused(row)?));
        found.iter().map(pause).collect()
    }

    pub(super) async fn put_replay(&self, replay: &ReplayState) -> Result<(), StoreError> {
        self.usable()?;
        let now = self.clock.now();
        let stored = StoredReplay::new(replay, now)
            .map_err(|error| StoreError::Damaged(error.to_string()))?;
        let running = replay.phase == ReplayPhase::Running;
        self.rows(
            REPLAY,
            &[
                &rows::uuid(replay.id.as_bytes()),
                &record::millis(now),
                &running,
                &rows::json(&stored)?,
            ],
        )
        .await?;
        Ok(())
    }

    pub(super) async fn replay(&self, id: ReplayId) -> Result<ReplayState, StoreError> {
        let statement = "SELECT state::text AS state FROM ingate.replay WHERE id = $1";
        replayed(&self.row(statement, &[&rows::uuid(id.as_bytes())]).await?)
    }

    pub(super) async fn replays(
        &self,
        before: Option<ReplayId>,
        limit: usize,
    ) -> Result<Vec<ReplayState>, StoreError> {
        let statement = "SELECT state::text AS state FROM ingate.replay WHERE $1::uuid IS NULL OR id < $1 ORDER BY id DESC LIMIT $2";
        let before = before.map(|id| rows::uuid(id.as_bytes()));
        let found = self.rows(statement, &[&before, &most(limit)]).await?;
        found.iter().map(replayed).collect()
    }
}

fn most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

fn paused(row: &Row) -> Result<Pause, StoreError> {
    Ok(Pause {
        since: record::time(rows::get(row, "since")?),
        by: rows::parsed(rows::get(row, "who")?)?,
    })
}

fn replayed(row: &Row) -> Result<ReplayState, StoreError> {
    let stored: StoredReplay = rows::parsed(rows::get(row, "state")?)?;
    stored
        .try_into()
        .map_err(|error: serde_json::Error| StoreError::Damaged(error.to_string()))
}
