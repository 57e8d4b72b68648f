//! What is in the database, counted; for `ingate store stats`. Reads alone, and is no instance.

use std::collections::BTreeMap;

use deadpool_postgres::Client;
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use tokio_postgres::Row;

use super::rows::{self, get};
use crate::delivery::DeadReason;
use crate::id::TargetName;
use crate::store::StoreError;
use crate::store::care::{DeadCount, TargetCount};
use crate::store::record;

const EVENTS: &str = "SELECT count(*), count(*) FILTER (WHERE NOT EXISTS \
    (SELECT FROM ingate.delivery d WHERE d.event = e.id)) FROM ingate.event e";

const STATES: &str = "SELECT target, state, reason, count(*) AS count FROM ingate.delivery GROUP BY target, state, reason ORDER BY target";

const OLDEST: &str =
    "SELECT target, started_at FROM ingate.delivery WHERE state = 0 ORDER BY started_at LIMIT 1";

const LIVE: &str = "SELECT count(*) FROM ingate.instance WHERE expires_at > clock_timestamp()";

/// Partitions count with what they are parts of.
const BYTES: &str = "SELECT COALESCE(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c \
    WHERE c.relnamespace = 'ingate'::regnamespace AND c.relkind = 'r'";

/// What is in a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DatabaseStats {
    /// Where it is.
    pub database: String,
    /// Instances that use it.
    pub instances: u64,
    /// Events.
    pub events: u64,
    /// Those of them that no route took.
    pub unmatched: u64,
    /// Deliveries by target.
    pub targets: Vec<TargetCount>,
    /// Dead letters by target and reason.
    pub dead: Vec<DeadCount>,
    /// The pending delivery that was created or revived first: to which target, and when.
    pub oldest_pending: Option<Oldest>,
    /// Bytes of its tables and their indexes.
    pub bytes: u64,
}

/// The pending delivery that was created or revived first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Oldest {
    /// To which target.
    pub target: TargetName,
    /// When it was.
    #[serde(serialize_with = "as_text")]
    pub started_at: Timestamp,
}

fn as_text<S: Serializer>(time: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(time)
}

/// Counts what is in the database; `place` says where that is.
///
/// # Errors
/// If it cannot be read.
pub async fn stats(client: &Client, place: String) -> Result<DatabaseStats, StoreError> {
    // A large one takes its time.
    client.batch_execute("SET statement_timeout = 0").await?;
    let events = client.query_one(EVENTS, &[]).await?;
    let mut targets: BTreeMap<TargetName, TargetCount> = BTreeMap::new();
    let mut dead = Vec::new();
    for row in client.query(STATES, &[]).await? {
        let target: TargetName = rows::name(&row, "target")?;
        let count = rows::count(get(&row, "count")?);
        let counts = targets.entry(target.clone()).or_insert(TargetCount {
            target: target.clone(),
            pending: 0,
            delivered: 0,
            dead: 0,
            discarded: 0,
        });
        let state: i16 = get(&row, "state")?;
        match state {
            0 => counts.pending = counts.pending.saturating_add(count),
            1 => counts.delivered = counts.delivered.saturating_add(count),
            2 => {
                counts.dead = counts.dead.saturating_add(count);
                let reason = reason(&row)?;
                dead.push(DeadCount {
                    target,
                    reason,
                    count,
                });
            }
            _ => counts.discarded = counts.discarded.saturating_add(count),
        }
    }
    let oldest = client.query_opt(OLDEST, &[]).await?;
    let oldest = oldest.map(|row| {
        Ok::<_, StoreError>(Oldest {
            target: rows::name(&row, "target")?,
            started_at: record::time(get(&row, "started_at")?),
        })
    });
    let live = client.query_one(LIVE, &[]).await?;
    let bytes = client.query_one(BYTES, &[]).await?;
    Ok(DatabaseStats {
        database: place,
        instances: rows::count(live.try_get(0)?),
        events: rows::count(events.try_get(0)?),
        unmatched: rows::count(events.try_get(1)?),
        targets: targets.into_values().collect(),
        dead,
        oldest_pending: oldest.transpose()?,
        bytes: rows::count(bytes.try_get(0)?),
    })
}

fn reason(row: &Row) -> Result<DeadReason, StoreError> {
    let code: Option<i16> = get(row, "reason")?;
    Ok(record::reason(
        code.and_then(|code| u8::try_from(code).ok()).unwrap_or(0),
    ))
}
