//! The database as one side of a copy.
//!
//! Promise: while it lasts no instance can begin to use the database: each would have to make itself known, and the table for that is
//! locked. An instance that is still heard of ends the copy before it begins.

mod columns;

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use bytes::Bytes;
use deadpool_postgres::{Client, Pool};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use self::columns::Lot;
use super::connect::{ConnectError, Connection};
use super::migrate::{self, MigrateError, SchemaState};
use super::retention::{bounds, table_name};
use super::rows::{self, get};
use super::stats::{DatabaseStats, stats};
use crate::id::{AuditId, EventId};
use crate::store::StoreError;
use crate::store::copy::{ENOUGH_BYTES, Kept, MOST_AUDITS, MOST_EVENTS, Portion, Side};
use crate::store::record::{
    Carried, CarriedDelivery, Raw, StoredAttempt, StoredAudit, StoredDelivery, StoredEvent,
    StoredKey, StoredPause, StoredPlan, StoredReplay, StoredState,
};

/// Connections: one that holds the lock, one that works.
const CONNECTIONS: usize = 2;

/// Days of events that get tables of their own, the youngest: what is older is what is still open of its day, and stands in the rest, where
/// it would have been moved.
const DAYS: i64 = 60;

const LOCK: &str = "BEGIN; SET LOCAL statement_timeout = '10s'; SET LOCAL idle_in_transaction_session_timeout = 0; \
    LOCK TABLE ingate.instance IN SHARE MODE";

const ALIVE: &str = "SELECT name, extract(epoch FROM expires_at - clock_timestamp())::float8 AS left FROM ingate.instance \
    WHERE expires_at > clock_timestamp() ORDER BY id";

/// What the work needs that is not for instances: time, and keys that can be found by their event.
const PREPARE: &str = "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; \
    SET plan_cache_mode = auto; SET enable_hashjoin = on; SET enable_mergejoin = on; SET enable_seqscan = on";

const KEYS: &str = "CREATE TEMP TABLE IF NOT EXISTS copied_keys AS SELECT event, key, body, expires_at FROM ingate.seen; \
    CREATE INDEX IF NOT EXISTS copied_keys_event ON copied_keys (event); ANALYZE copied_keys";

const SIZES: &str = "SELECT e.id, e.size + COALESCE((SELECT sum(length(d.frozen)) FROM ingate.delivery d WHERE d.event = e.id), 0)::bigint AS bytes \
    FROM ingate.event e WHERE $1::uuid IS NULL OR e.id > $1 ORDER BY e.id LIMIT $2";

const EVENTS: &str = "SELECT e.id, e.source, e.received_at, e.facts::text AS facts, e.size, e.purged_at, e.body FROM ingate.event e \
    WHERE e.id = ANY($1) ORDER BY e.id";

const DELIVERIES: &str = "SELECT {DELIVERY}, d.rank, d.seq, d.frozen FROM ingate.delivery d WHERE d.event = ANY($1) ORDER BY d.id";

const ATTEMPTS: &str = "SELECT a.delivery, a.number, a.started_at, a.took, a.outcome::text AS outcome, a.sent::text AS sent \
    FROM ingate.attempt a WHERE a.event = ANY($1) ORDER BY a.event, a.delivery, a.seq";

const KEYS_OF: &str = "SELECT event, key, body, expires_at FROM pg_temp.copied_keys WHERE event = ANY($1) AND expires_at > $2";

const PUT_AUDITS: &str = "INSERT INTO ingate.audit (id, at, entry) SELECT id, at, entry::json FROM \
    unnest($1::uuid[], $2::bigint[], $3::text[]) AS n(id, at, entry) ON CONFLICT (id) DO NOTHING";

/// No two ranks are equal here, while the embedded store has one rank for all deliveries that came at once. Then the first of each line is let go.
const FINISH: &str = "
    UPDATE ingate.delivery d SET rank = n.rank FROM
        (SELECT id, row_number() OVER (ORDER BY rank, id) AS rank FROM ingate.delivery WHERE order_key IS NOT NULL) n
        WHERE d.id = n.id AND d.rank IS DISTINCT FROM n.rank;
    SELECT setval('ingate.rank', GREATEST((SELECT max(rank) FROM ingate.delivery WHERE order_key IS NOT NULL), 1));
    UPDATE ingate.delivery d SET ready = true FROM
        (SELECT DISTINCT ON (target, order_key) id FROM ingate.delivery
            WHERE order_key IS NOT NULL AND (state = 0 OR (state = 2 AND NOT skip)) ORDER BY target, order_key, rank) f
        WHERE d.id = f.id AND d.state = 0 AND NOT d.ready;
";

const STATISTICS: &str =
    "ANALYZE ingate.event; ANALYZE ingate.delivery; ANALYZE ingate.attempt; ANALYZE ingate.seen";

/// Why a database cannot be copied from or to.
#[derive(Debug, thiserror::Error)]
pub enum PgSideError {
    /// There is no connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Its tables are not this program's.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// Its tables are of an older version, or there are none.
    #[error(
        "the database {place} cannot be copied from: {state}; `ingate store migrate` brings it to this program's version"
    )]
    Schema {
        /// Where.
        place: String,
        /// How it stands.
        state: SchemaState,
    },
    /// Somebody uses it.
    #[error(
        "the database {place} is in use: {who}; stop every instance first (one that was killed is given up after its lease)"
    )]
    InUse {
        /// Where.
        place: String,
        /// Who.
        who: String,
    },
    /// Something else failed.
    #[error("the database {place}: {error}")]
    Store {
        /// Where.
        place: String,
        /// What.
        #[source]
        error: StoreError,
    },
}

/// The store in a database, which no instance has.
pub struct PgSide {
    place: String,
    /// Holds the lock, in a transaction that never ends by itself; `None` where it is only looked into.
    guard: Option<Client>,
    client: Client,
    /// Days that have tables.
    days: BTreeSet<Date>,
}

impl PgSide {
    /// Takes a database to copy from it.
    ///
    /// # Errors
    /// See [`PgSideError`].
    pub async fn source(connection: &Connection) -> Result<Self, PgSideError> {
        let pool = small(connection).pool()?;
        let client = ours(connection, &pool).await?;
        let half = migrate::copy_under_way(&client).await;
        if half.map_err(MigrateError::from)?.is_some() {
            return Err(MigrateError::HalfCopied.into());
        }
        Self::take(connection, &pool, client).await
    }

    /// Looks into a database, which others may use. Dedupe keys are not seen.
    ///
    /// # Errors
    /// See [`PgSideError`].
    pub async fn reader(connection: &Connection) -> Result<Self, PgSideError> {
        let pool = small(connection).pool()?;
        let client = ours(connection, &pool).await?;
        let place = connection.place();
        let prepared = client.batch_execute(PREPARE).await;
        prepared.map_err(|error| PgSideError::Store {
            place: place.clone(),
            error: error.into(),
        })?;
        Ok(Self {
            place,
            guard: None,
            client,
            days: BTreeSet::new(),
        })
    }

    /// What is in it, counted.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn stats(&self) -> Result<DatabaseStats, StoreError> {
        stats(&self.client, self.place.clone()).await
    }

    /// Takes a database to copy to it, and makes its tables if there are none.
    ///
    /// # Errors
    /// See [`PgSideError`].
    pub async fn destination(connection: &Connection) -> Result<Self, PgSideError> {
        let pool = small(connection).pool()?;
        let mut client = connection.first(&pool).await?;
        migrate::migrate_for_copy(&mut client).await?;
        Self::take(connection, &pool, client).await
    }

    async fn take(
        connection: &Connection,
        pool: &Pool,
        client: Client,
    ) -> Result<Self, PgSideError> {
        let place = connection.place();
        let failed = |error: tokio_postgres::Error| PgSideError::Store {
            place: place.clone(),
            error: error.into(),
        };
        let guard = connection.first(pool).await?;
        let alive = guard.query(ALIVE, &[]).await.map_err(failed)?;
        let named = |row: &Row| {
            let (name, left): (&str, f64) = (row.try_get("name")?, row.try_get("left")?);
            Ok(format!("{name} (for {left:.0} s)"))
        };
        let alive: Result<Vec<String>, tokio_postgres::Error> = alive.iter().map(named).collect();
        let alive = alive.map_err(failed)?;
        if !alive.is_empty() {
            let who = alive.join(", ");
            return Err(PgSideError::InUse { place, who });
        }
        guard.batch_execute(LOCK).await.map_err(failed)?;
        client.batch_execute(PREPARE).await.map_err(failed)?;
        let side = Self {
            place: place.clone(),
            guard: Some(guard),
            client,
            days: BTreeSet::new(),
        };
        Ok(side)
    }
}

/// A connection to a database whose tables are this program's.
async fn ours(connection: &Connection, pool: &Pool) -> Result<Client, PgSideError> {
    let client = connection.first(pool).await?;
    match migrate::state(&client).await? {
        SchemaState::Same => Ok(client),
        SchemaState::Newer { version, name } => Err(MigrateError::Newer { version, name }.into()),
        state => Err(PgSideError::Schema {
            place: connection.place(),
            state,
        }),
    }
}

/// The same database with as few connections as a copy needs.
fn small(connection: &Connection) -> Connection {
    Connection {
        pool: CONNECTIONS,
        ..connection.clone()
    }
}

#[async_trait]
impl Side for PgSide {
    fn place(&self) -> String {
        self.place.clone()
    }

    async fn now(&mut self) -> Result<i64, StoreError> {
        let now = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
        Ok(self.client.query_one(now, &[]).await?.try_get(0)?)
    }

    async fn identity(&mut self) -> Result<String, StoreError> {
        // Every instance takes a number when it begins, so that of two equal ones nobody was here in between.
        let identity = "SELECT current_database()::text, (SELECT oid::bigint FROM pg_database WHERE datname = current_database()), \
            pg_sequence_last_value(pg_get_serial_sequence('ingate.instance', 'id')::regclass)";
        let row = self.client.query_one(identity, &[]).await?;
        let (name, number): (&str, i64) = (row.try_get(0)?, row.try_get(1)?);
        let last: Option<i64> = row.try_get(2)?;
        let events = self.total().await?;
        Ok(format!(
            "database {name} ({number}), {events} events, instance {}",
            last.unwrap_or(0)
        ))
    }

    async fn total(&mut self) -> Result<u64, StoreError> {
        let total = "SELECT count(*) FROM ingate.event";
        let row = self.client.query_one(total, &[]).await?;
        Ok(rows::count(row.try_get(0)?))
    }

    async fn highest_rank(&mut self) -> Result<u64, StoreError> {
        let highest = "SELECT max(rank) FROM ingate.delivery WHERE order_key IS NOT NULL";
        let row = self.client.query_one(highest, &[]).await?;
        Ok(row.try_get::<_, Option<i64>>(0)?.map_or(0, rows::count))
    }

    async fn events(
        &mut self,
        after: Option<EventId>,
        now: i64,
    ) -> Result<Vec<Portion>, StoreError> {
        let keeps_keys = self.guard.is_some();
        if after.is_none() && keeps_keys {
            self.client
                .batch_execute("DROP TABLE IF EXISTS pg_temp.copied_keys")
                .await?;
            self.client.batch_execute(KEYS).await?;
        }
        let ids = self.next_ids(after).await?;
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let deliveries = DELIVERIES.replace("{DELIVERY}", rows::DELIVERY);
        let client = &self.client;
        let by_ids: [&(dyn ToSql + Sync); 1] = [&ids];
        let (events, deliveries, attempts) = tokio::try_join!(
            client.query(EVENTS, &by_ids),
            client.query(&deliveries, &by_ids),
            client.query(ATTEMPTS, &by_ids),
        )?;
        let keys = match keeps_keys {
            true => client.query(KEYS_OF, &[&ids, &now]).await?,
            false => Vec::new(),
        };
        let mut logs: HashMap<Uuid, Vec<StoredAttempt>> = HashMap::new();
        for row in &attempts {
            let log = logs.entry(get(row, "delivery")?).or_default();
            log.push(rows::stored_attempt(row)?);
        }
        let mut carried: HashMap<Uuid, Vec<CarriedDelivery>> = HashMap::new();
        for row in &deliveries {
            let log = logs.remove(&get(row, "id")?).unwrap_or_default();
            let all = carried.entry(get(row, "event")?).or_default();
            all.push(delivery(row, log)?);
        }
        let mut known: HashMap<Uuid, StoredKey> = HashMap::new();
        for row in &keys {
            known.insert(get(row, "event")?, key(row)?);
        }
        let portion = |row: &Row| {
            let id: Uuid = get(row, "id")?;
            let deliveries = carried.remove(&id).unwrap_or_default();
            portion(row, deliveries, known.remove(&id))
        };
        events.iter().map(portion).collect()
    }

    async fn kept(&mut self) -> Result<Kept, StoreError> {
        let client = &self.client;
        let plan =
            "SELECT number, fingerprint, since FROM ingate.plan ORDER BY number DESC LIMIT 1";
        let pauses = "SELECT target, since, who::text AS who FROM ingate.pause ORDER BY target";
        let replays = "SELECT state::text AS state FROM ingate.replay ORDER BY id";
        let (plan, pauses, replays) = tokio::try_join!(
            client.query_opt(plan, &[]),
            client.query(pauses, &[]),
            client.query(replays, &[]),
        )?;
        let pause = |row: &Row| {
            Ok::<_, StoreError>(StoredPause {
                target: rows::name(row, "target")?,
                since: get(row, "since")?,
                by: rows::parsed(get(row, "who")?)?,
            })
        };
        let replay = |row: &Row| rows::parsed::<StoredReplay>(get(row, "state")?);
        Ok(Kept {
            plan: plan.as_ref().map(plan_of).transpose()?,
            pauses: pauses.iter().map(pause).collect::<Result<_, _>>()?,
            replays: replays.iter().map(replay).collect::<Result<_, _>>()?,
        })
    }

    async fn audits(&mut self, before: Option<AuditId>) -> Result<Vec<StoredAudit>, StoreError> {
        let statement = "SELECT entry::text AS entry FROM ingate.audit WHERE $1::uuid IS NULL OR id < $1 ORDER BY id DESC LIMIT $2";
        let before = before.map(|id| rows::uuid(id.as_bytes()));
        let most = i64::try_from(MOST_AUDITS).unwrap_or(i64::MAX);
        let found = self.client.query(statement, &[&before, &most]).await?;
        let entry = |row: &Row| rows::parsed::<StoredAudit>(get(row, "entry")?);
        found.iter().map(entry).collect()
    }

    async fn mark(&mut self) -> Result<Option<String>, StoreError> {
        Ok(migrate::copy_under_way(&self.client).await?)
    }

    async fn set_mark(&mut self, identity: Option<&str>) -> Result<(), StoreError> {
        Ok(migrate::note_copy(&self.client, identity).await?)
    }

    async fn reached(&mut self) -> Result<Option<EventId>, StoreError> {
        // They come in order, and each lot in one transaction.
        let last = "SELECT id FROM ingate.event ORDER BY id DESC LIMIT 1";
        let row = self.client.query_opt(last, &[]).await?;
        let id = row.map(|row| row.try_get::<_, Uuid>(0)).transpose()?;
        Ok(id.map(rows::event_id))
    }

    async fn put_events(&mut self, events: Vec<Portion>) -> Result<(), StoreError> {
        self.make_days(&events).await?;
        let lot = Lot::new(&events)?;
        let transaction = self.client.transaction().await?;
        lot.put(&transaction).await?;
        Ok(transaction.commit().await?)
    }

    async fn put_kept(&mut self, kept: Kept) -> Result<(), StoreError> {
        let transaction = self.client.transaction().await?;
        transaction
            .batch_execute(
                "DELETE FROM ingate.plan; DELETE FROM ingate.pause; DELETE FROM ingate.replay",
            )
            .await?;
        if let Some(plan) = kept.plan {
            let number = i64::try_from(plan.number).unwrap_or(i64::MAX);
            let hash = plan.fingerprint.as_slice();
            let put = "INSERT INTO ingate.plan (number, fingerprint, since) VALUES ($1, $2, $3)";
            transaction
                .execute(put, &[&number, &hash, &plan.since])
                .await?;
        }
        for pause in &kept.pauses {
            let put =
                "INSERT INTO ingate.pause (target, since, who) VALUES ($1, $2, $3::text::json)";
            let who = rows::json(&pause.by)?;
            transaction
                .execute(put, &[&pause.target.as_str(), &pause.since, &who])
                .await?;
        }
        for replay in &kept.replays {
            let put = "INSERT INTO ingate.replay (id, at, running, state) VALUES ($1, $2, $3, $4::text::json)";
            let values = (
                rows::uuid(&replay.id),
                // Kept whatever its age, so it is running.
                replay.is_kept(i64::MAX),
                rows::json(replay)?,
            );
            transaction
                .execute(put, &[&values.0, &replay.at, &values.1, &values.2])
                .await?;
        }
        Ok(transaction.commit().await?)
    }

    async fn put_audits(&mut self, audits: Vec<StoredAudit>) -> Result<(), StoreError> {
        let ids: Vec<Uuid> = audits.iter().map(|it| rows::uuid(&it.id)).collect();
        let at: Vec<i64> = audits.iter().map(|it| it.at).collect();
        let entries: Result<Vec<String>, _> = audits.iter().map(rows::json).collect();
        let entries = entries?;
        let values: [&(dyn ToSql + Sync); 3] = [&ids, &at, &entries];
        self.client.execute(PUT_AUDITS, &values).await?;
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), StoreError> {
        let transaction = self.client.transaction().await?;
        transaction.batch_execute(FINISH).await?;
        transaction.commit().await?;
        self.client.batch_execute(STATISTICS).await?;
        // If its connection was lost meanwhile, an instance may have been here.
        if let Some(guard) = &self.guard {
            guard.batch_execute("SELECT 1").await?;
        }
        Ok(())
    }

    async fn close(self: Box<Self>) {
        if let Some(guard) = &self.guard {
            // Where this fails, the lock went with the connection.
            let _ = guard.batch_execute("COMMIT").await;
        }
    }
}

impl PgSide {
    /// The ids of the next events, as many as are read at a time.
    async fn next_ids(&self, after: Option<EventId>) -> Result<Vec<Uuid>, StoreError> {
        let after = after.map(|id| rows::uuid(id.as_bytes()));
        let most = i64::try_from(MOST_EVENTS).unwrap_or(i64::MAX);
        let mut ids = Vec::new();
        let mut bytes = 0_u64;
        for row in self.client.query(SIZES, &[&after, &most]).await? {
            ids.push(get(&row, "id")?);
            bytes = bytes.saturating_add(rows::count(get(&row, "bytes")?));
            if bytes >= ENOUGH_BYTES {
                break;
            }
        }
        Ok(ids)
    }

    /// Makes the tables of the days of these events, as far as they are young enough for some of their own.
    async fn make_days(&mut self, events: &[Portion]) -> Result<(), StoreError> {
        let today = jiff::Timestamp::now().to_zoned(TimeZone::UTC).date();
        let oldest = today.checked_sub(jiff::Span::new().days(DAYS));
        let oldest = oldest.unwrap_or(Date::MIN);
        let days = events.iter().map(|portion| portion.id().made_at());
        let days: BTreeSet<Date> = days.map(|at| at.to_zoned(TimeZone::UTC).date()).collect();
        for day in days {
            if day < oldest || day > today || !self.days.insert(day) {
                continue;
            }
            let Some((from, to)) = bounds(day) else {
                continue;
            };
            let name = table_name(day);
            let (from, to) = (rows::uuid(from.as_bytes()), rows::uuid(to.as_bytes()));
            for table in ["event", "attempt"] {
                let make = format!(
                    "CREATE TABLE IF NOT EXISTS ingate.{table}_{name} PARTITION OF ingate.{table} FOR VALUES FROM ('{from}') TO ('{to}')"
                );
                self.client.batch_execute(&make).await?;
            }
        }
        Ok(())
    }
}

fn plan_of(row: &Row) -> Result<StoredPlan, StoreError> {
    let hash: &[u8] = get(row, "fingerprint")?;
    let short = |_| StoreError::Damaged("a fingerprint is not of 32 bytes".to_owned());
    Ok(StoredPlan {
        number: rows::count(get(row, "number")?),
        fingerprint: hash.try_into().map_err(short)?,
        since: get(row, "since")?,
    })
}

fn key(row: &Row) -> Result<StoredKey, StoreError> {
    let hash = |column| {
        let bytes: &[u8] = get(row, column)?;
        let short = |_| StoreError::Damaged(format!("a dedupe {column} is not of 32 bytes"));
        <[u8; 32]>::try_from(bytes).map_err(short)
    };
    Ok(StoredKey {
        key: hash("key")?,
        body: hash("body")?,
        expires: get(row, "expires_at")?,
    })
}

fn delivery(row: &Row, log: Vec<StoredAttempt>) -> Result<CarriedDelivery, StoreError> {
    let mut delivery = StoredDelivery::from(&rows::delivery(row)?);
    let changes: i32 = get(row, "seq")?;
    delivery.revision = u32::try_from(changes).unwrap_or(0);
    delivery.had_success = get(row, "had_success")?;
    let rank: Option<i64> = get(row, "rank")?;
    if let Some(order) = &mut delivery.order {
        order.rank = rank.map_or(0, rows::count);
    }
    let frozen: Option<&[u8]> = get(row, "frozen")?;
    let frozen = frozen.filter(|_| !matches!(delivery.state, StoredState::Delivered(_)));
    Ok(CarriedDelivery {
        delivery,
        frozen: frozen.map(|body| Raw(Bytes::copy_from_slice(body))),
        log,
    })
}

fn portion(
    row: &Row,
    deliveries: Vec<CarriedDelivery>,
    key: Option<StoredKey>,
) -> Result<Portion, StoreError> {
    let facts = rows::facts(row)?;
    let id: Uuid = get(row, "id")?;
    let body: &[u8] = get(row, "body")?;
    Ok(Portion {
        carried: Carried {
            event: StoredEvent {
                id: *id.as_bytes(),
                source: rows::name(row, "source")?,
                message_id: facts.message_id,
                event_type: facts.event_type,
                headers: facts.headers,
                received_at: get(row, "received_at")?,
                hops: facts.hops,
                body: Raw(Bytes::copy_from_slice(body)),
            },
            deliveries,
            key,
            receipt: facts.receipt,
            // It is not known here; a purge has to look further then.
            added: true,
        },
        purged_at: get(row, "purged_at")?,
    })
}
