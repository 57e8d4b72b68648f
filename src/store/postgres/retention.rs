//! Letting go what has had its time. Whole days of events and attempts are dropped; what must be kept longer of a day moves into
//! the rest, which has no day.
//!
//! Promise: an event goes when none of its deliveries is pending or dead (dead ones count as done after `dead_retention`). One instance does
//! it at a time. What is broken off goes on the next time.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::Client;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::Inner;
use super::link::Failed;
use super::rows;
use crate::id::EventId;
use crate::store::StoreError;
use crate::store::record;

/// How often it is looked for what may go.
const EVERY: Duration = Duration::from_secs(300);

/// Days that are made ahead, today included: enough for an instance that is alone with a database that refuses for two days.
const AHEAD: i64 = 3;

/// Rows that go in one transaction, so that none takes long.
const BATCH: i64 = 5000;

/// Most events of a day that are moved for the day to be dropped: nobody can take events in meanwhile. With more of them, the
/// others are deleted one by one.
const MOVED_MOST: i64 = 10_000;

/// How long that may take; the database itself gives up after half a minute.
const DROPPED_WITHIN: Duration = Duration::from_secs(25);

/// The task of whoever cleans.
const TASK: &str = "retention";

/// Days, by the names of their tables.
const DAYS: &str = "SELECT substr(c.relname, 7) AS day FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
    WHERE i.inhparent = 'ingate.event'::regclass AND c.relname ~ '^event_[0-9]{8}$' ORDER BY 1";

/// An event is open while one of its deliveries is.
const OPEN: &str = "EXISTS (SELECT FROM ingate.delivery d WHERE d.event = e.id AND (d.state = 0 OR (d.state = 2 AND d.at > $1)))";

impl Inner {
    /// Makes days ahead and lets go of old ones, until the store is closed.
    pub(super) async fn keep_cleaning(self: Arc<Self>) {
        let mut closing = self.closing.subscribe();
        loop {
            if let Err(error) = self.clean().await {
                tracing::warn!(%error, "what has had its time could not all be let go; it is tried again");
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                _ = closing.wait_for(|closing| *closing) => return,
            }
        }
    }

    /// One round, if nobody else is at it.
    pub(super) async fn clean(&self) -> Result<(), StoreError> {
        if self.link.check().is_err() || self.take_task(TASK).await?.is_none() {
            return Ok(());
        }
        let now = self.clock.now();
        self.make_days(now).await?;
        let ago = |span: Duration| now.checked_sub(span).unwrap_or(Timestamp::MIN);
        let past = ago(self.options.retention);
        let dead_past = self.options.dead_retention.map(ago);
        let dead_past = dead_past.map_or(i64::MIN, record::millis);
        for day in self.days().await? {
            let Some((_, end)) = bounds(day) else {
                continue;
            };
            if end.made_at() <= past {
                self.drop_day(day, dead_past).await?;
            }
        }
        self.clean_rest(past, dead_past).await?;
        let past = record::millis(past);
        self.batches(
            "DELETE FROM ingate.seen WHERE key IN (SELECT key FROM ingate.seen WHERE expires_at <= $1 LIMIT $2)",
            record::millis(now),
        )
        .await?;
        self.batches(
            "DELETE FROM ingate.audit WHERE id IN (SELECT id FROM ingate.audit WHERE at <= $1 LIMIT $2)",
            past,
        )
        .await?;
        self.batches(
            "DELETE FROM ingate.replay WHERE id IN (SELECT id FROM ingate.replay WHERE NOT running AND at <= $1 LIMIT $2)",
            past,
        )
        .await?;
        self.batches(
            "DELETE FROM ingate.line WHERE (target, key) IN (SELECT l.target, l.key FROM ingate.line l WHERE $1::bigint IS NOT NULL \
                AND NOT EXISTS (SELECT FROM ingate.delivery d WHERE d.target = l.target AND d.order_key = l.key \
                    AND d.order_key IS NOT NULL AND (d.state = 0 OR (d.state = 2 AND NOT d.skip))) LIMIT $2)",
            past,
        )
        .await
    }

    /// Makes the tables of today and the days after it, where they are not there.
    pub(super) async fn make_days(&self, now: Timestamp) -> Result<(), StoreError> {
        let today = now.to_zoned(TimeZone::UTC).date();
        let known = self.days().await?;
        for ahead in 0..AHEAD {
            let span = jiff::Span::new().days(ahead);
            let Ok(day) = today.checked_add(span) else {
                continue;
            };
            if !known.contains(&day) {
                self.make_day(day).await?;
            }
        }
        Ok(())
    }

    async fn make_day(&self, day: Date) -> Result<(), StoreError> {
        let Some((from, to)) = bounds(day) else {
            return Ok(());
        };
        let name = table_name(day);
        let (from, to) = (rows::uuid(from.as_bytes()), rows::uuid(to.as_bytes()));
        let text = ["event", "attempt"].map(|table| {
            format!(
                "CREATE TABLE IF NOT EXISTS ingate.{table}_{name} PARTITION OF ingate.{table} FOR VALUES FROM ('{from}') TO ('{to}')"
            )
        });
        let lent = self.link.lend().await?;
        let made = lent
            .transaction(|| async {
                let client: &Client = &lent;
                client
                    .batch_execute(&format!(
                        "SET LOCAL lock_timeout = '2s'; {}",
                        text.join("; ")
                    ))
                    .await?;
                Ok(())
            })
            .await;
        // Where events of that day stand in the rest already, they stay there, and so do the others.
        if let Err(error) = made {
            tracing::debug!(%day, %error, "a day has no table of its own");
        }
        Ok(())
    }

    async fn days(&self) -> Result<Vec<Date>, StoreError> {
        let mut days = Vec::new();
        for row in self.rows(DAYS, &[]).await? {
            let name: &str = rows::get(&row, "day")?;
            days.extend(Date::strptime("%Y%m%d", name));
        }
        Ok(days)
    }

    /// Drops a day, but for what must be kept.
    async fn drop_day(&self, day: Date, dead_past: i64) -> Result<(), StoreError> {
        let name = table_name(day);
        let open = format!(
            "SELECT count(*) FROM (SELECT FROM ingate.event_{name} e WHERE {OPEN} LIMIT $2) o"
        );
        let most = MOVED_MOST + 1;
        let row = self.row(&open, &[&dead_past, &most]).await?;
        let open: i64 = rows::get(&row, "count")?;
        if open > MOVED_MOST {
            return self.thin(&format!("ingate.event_{name}"), dead_past).await;
        }
        let lent = self.link.lend().await?;
        lent.transaction_within(DROPPED_WITHIN, || async {
            let client: &Client = &lent;
            client
                .batch_execute("SET LOCAL lock_timeout = '2s'")
                .await?;
            detach(client, &name, dead_past).await
        })
        .await?;
        drop(lent);
        tracing::info!(%day, kept = open, "a day was let go");
        self.drop_orphans(day).await
    }

    /// Lets go of the deliveries of a day whose events are gone.
    async fn drop_orphans(&self, day: Date) -> Result<(), StoreError> {
        let Some((from, to)) = bounds(day) else {
            return Ok(());
        };
        let (from, to) = (rows::uuid(from.as_bytes()), rows::uuid(to.as_bytes()));
        let text = "DELETE FROM ingate.delivery WHERE id IN (SELECT d.id FROM ingate.delivery d WHERE d.event >= $1 AND d.event < $2 \
            AND NOT EXISTS (SELECT FROM ingate.event e WHERE e.id = d.event) LIMIT $3)";
        self.until_done(text, &[&from, &to, &BATCH]).await
    }

    /// Deletes the events of a table that are done, with what belongs to them.
    async fn thin(&self, table: &str, dead_past: i64) -> Result<(), StoreError> {
        let text = format!(
            "WITH gone AS (DELETE FROM {table} e WHERE id IN (SELECT id FROM {table} e WHERE NOT {OPEN} LIMIT $2) RETURNING id), \
             a AS (DELETE FROM ingate.attempt WHERE event IN (SELECT id FROM gone)), \
             d AS (DELETE FROM ingate.delivery WHERE event IN (SELECT id FROM gone)) SELECT id FROM gone"
        );
        self.until_done(&text, &[&dead_past, &BATCH]).await
    }

    /// The same in the rest, of what is old enough.
    async fn clean_rest(&self, past: Timestamp, dead_past: i64) -> Result<(), StoreError> {
        let text = format!(
            "WITH gone AS (DELETE FROM ingate.event_rest WHERE id IN \
                (SELECT id FROM ingate.event_rest e WHERE received_at <= $3 AND NOT {OPEN} LIMIT $2) RETURNING id), \
             a AS (DELETE FROM ingate.attempt WHERE event IN (SELECT id FROM gone)), \
             d AS (DELETE FROM ingate.delivery WHERE event IN (SELECT id FROM gone)) SELECT id FROM gone"
        );
        self.until_done(&text, &[&dead_past, &BATCH, &record::millis(past)])
            .await
    }

    /// Deletes by a bound, batch by batch.
    async fn batches(&self, text: &str, bound: i64) -> Result<(), StoreError> {
        let text = format!("{text} RETURNING 1");
        self.until_done(&text, &[&bound, &BATCH]).await
    }

    /// Does this again and again until it deletes nothing more.
    async fn until_done(
        &self,
        text: &str,
        values: &[&(dyn tokio_postgres::types::ToSql + Sync)],
    ) -> Result<(), StoreError> {
        while !self.rows(text, values).await?.is_empty() {
            if *self.closing.borrow() {
                break;
            }
        }
        Ok(())
    }
}

/// Takes a day's tables out, moves what must be kept into the rest, and drops them.
async fn detach(client: &Client, name: &str, dead_past: i64) -> Result<(), Failed> {
    client
        .batch_execute(&format!(
            "ALTER TABLE ingate.event DETACH PARTITION ingate.event_{name}; \
             ALTER TABLE ingate.attempt DETACH PARTITION ingate.attempt_{name}"
        ))
        .await?;
    let kept = format!("SELECT e.id FROM ingate.event_{name} e WHERE {OPEN}");
    let attempts = format!(
        "INSERT INTO ingate.attempt SELECT * FROM ingate.attempt_{name} WHERE event IN ({kept})"
    );
    client.execute(&attempts, &[&dead_past]).await?;
    let events =
        format!("INSERT INTO ingate.event SELECT e.* FROM ingate.event_{name} e WHERE {OPEN}");
    client.execute(&events, &[&dead_past]).await?;
    client
        .batch_execute(&format!(
            "DROP TABLE ingate.attempt_{name}; DROP TABLE ingate.event_{name}"
        ))
        .await?;
    Ok(())
}

pub(super) fn table_name(day: Date) -> String {
    day.strftime("%Y%m%d").to_string()
}

/// The ids of a day: from the first one on, below the second.
pub(super) fn bounds(day: Date) -> Option<(EventId, EventId)> {
    let at = |day: Date| {
        let start = day.to_zoned(TimeZone::UTC).ok()?;
        Some(EventId::first_at(start.timestamp()))
    };
    Some((at(day)?, at(day.tomorrow().ok()?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_follow_each_other_without_a_gap() {
        let day = Date::constant(2028, 2, 29);
        let (from, to) = bounds(day).unwrap();
        assert_eq!(from.made_at().to_string(), "2028-02-29T00:00:00Z");
        assert_eq!(bounds(day.tomorrow().unwrap()).unwrap().0, to);
        assert_eq!(table_name(day), "20280229");
        assert_eq!(Date::strptime("%Y%m%d", "20280229").ok(), Some(day));
    }
}
