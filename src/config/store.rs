//! Where events and deliveries are kept: `store`.

use std::time::Duration;

use super::context::{Context, MIB};
use super::file::{PostgresFile, StoreFile};
use super::{secrets, tls};
use crate::database::Database;
use crate::plan::{PostgresPlan, StorePlan};
use crate::units::parse_duration;

/// The folder of the store unless it says another.
pub(super) const DEFAULT_STORE: &str = "./data";

const GIB: u64 = 1 << 30;

/// What a week of a busy relay needs.
const DEFAULT_MAX_BYTES: u64 = 10 * GIB;
/// Room for the file system and everyone else on it.
const DEFAULT_MIN_FREE: u64 = 256 * MIB;
/// The index is small; more rarely helps.
const DEFAULT_CACHE: u64 = 32 * MIB;
/// Long enough to look into what happened last week.
const DEFAULT_RETENTION: Duration = Duration::from_secs(7 * 24 * 3600);
/// The journal needs two segments at least: one that is written, one that is cleaned.
const LEAST_MAX_BYTES: u64 = 128 * MIB;

/// Enough to keep one server busy; its own limit is 100 connections by default, for all who share it.
const DEFAULT_POOL: u32 = 8;
/// One for what is long (listings, cleaning), one for what must not wait for that.
const LEAST_POOL: u32 = 2;
/// More connections than any server works at.
const MOST_POOL: u32 = 1000;
/// Longer than a restart of a database or a network's hiccup, short enough that nobody waits long for a dead instance's work.
const DEFAULT_LEASE: Duration = Duration::from_secs(10);
/// A word is given three times in a lease; a busy machine or network may delay it by some hundred milliseconds.
const LEAST_LEASE: Duration = Duration::from_secs(2);
/// So long nothing is delivered to the targets of an instance that has died.
const MOST_LEASE: Duration = Duration::from_secs(600);
/// Names stand in listings.
const NAME_BYTES: usize = 128;

/// Compiles `store`. What is wrong goes to the report.
pub(super) fn compile(cx: &mut Context<'_>, file: Option<&StoreFile>) -> StorePlan {
    let file = file.cloned().unwrap_or_default();
    let dead_retention = match file.dead_retention.as_deref() {
        None | Some("never") => None,
        Some(text) => match parse_duration(text) {
            Ok(duration) => Some(duration),
            Err(error) => {
                cx.report
                    .error("store.dead_retention", format!("{error}, or `never`"));
                None
            }
        },
    };
    StorePlan {
        path: cx.beside(file.path.as_deref().unwrap_or(DEFAULT_STORE)),
        retention: cx.duration(
            "store.retention",
            file.retention.as_deref(),
            DEFAULT_RETENTION,
        ),
        dead_retention,
        max_bytes: cx.size(
            "store.max_bytes",
            file.max_bytes.as_ref(),
            DEFAULT_MAX_BYTES,
            LEAST_MAX_BYTES..=u64::MAX,
        ),
        min_free_bytes: cx.size(
            "store.min_free",
            file.min_free.as_ref(),
            DEFAULT_MIN_FREE,
            0..=u64::MAX,
        ),
        cache_bytes: cx.size(
            "store.cache",
            file.cache.as_ref(),
            DEFAULT_CACHE,
            MIB..=u64::MAX,
        ),
        postgres: postgres(cx, &file),
    }
}

/// The database, where there is one; `None` as well where something is wrong with it.
fn postgres(cx: &mut Context<'_>, store: &StoreFile) -> Option<PostgresPlan> {
    let file = store.postgres.as_ref()?;
    for (key, given) in [
        ("max_bytes", store.max_bytes.is_some()),
        ("min_free", store.min_free.is_some()),
        ("cache", store.cache.is_some()),
    ] {
        if given {
            let message = "this bounds the embedded store; with `postgres` the database has bounds of its own";
            cx.report.key_error(&format!("store.{key}"), message, None);
        }
    }
    let at = "store.postgres";
    let ca = match &file.ca {
        Some(path) => tls::authorities(cx, "store.postgres.ca", path).map(Some),
        None => Some(None),
    };
    let url = match &file.url {
        Some(written) => secrets::resolve(cx, "store.postgres.url", written),
        None => {
            let help = "such as `url: {env: DATABASE_URL}`".to_owned();
            cx.report
                .key_error(at, "the database's `url` is needed", Some(help));
            None
        }
    };
    let (pool, lease) = (pool(cx, file), lease(cx, file));
    let name = name(cx, file);
    let url = url?;
    let trusted = ca.as_ref().and_then(Option::as_ref);
    let checked = Database::parse(&url, trusted).and_then(|database| database.tls());
    if let Err(error) = checked {
        cx.report.error("store.postgres.url", error.to_string());
    }
    Some(PostgresPlan {
        url,
        ca: ca?,
        pool,
        lease,
        name,
    })
}

fn pool(cx: &mut Context<'_>, file: &PostgresFile) -> usize {
    let pool = file.pool.unwrap_or(DEFAULT_POOL);
    if !(LEAST_POOL..=MOST_POOL).contains(&pool) {
        let message = format!("{pool} connections: {LEAST_POOL} to {MOST_POOL} are possible");
        cx.report.error("store.postgres.pool", message);
    }
    usize::try_from(pool).unwrap_or(usize::MAX)
}

fn lease(cx: &mut Context<'_>, file: &PostgresFile) -> Duration {
    let path = "store.postgres.lease";
    let lease = cx.duration(path, file.lease.as_deref(), DEFAULT_LEASE);
    if !(LEAST_LEASE..=MOST_LEASE).contains(&lease) {
        let (least, most) = (LEAST_LEASE.as_secs(), MOST_LEASE.as_secs() / 60);
        let message = format!("a lease lasts {least}s to {most}m");
        cx.report.error(path, message);
    }
    lease
}

fn name(cx: &mut Context<'_>, file: &PostgresFile) -> Option<String> {
    let name = file.name.as_ref()?;
    let plain = !name.chars().any(char::is_control) && name.trim() == name;
    if name.is_empty() || name.len() > NAME_BYTES || !plain {
        let message = format!(
            "an instance's name has 1 to {NAME_BYTES} bytes, and no control characters or spaces around it"
        );
        cx.report.error("store.postgres.name", message);
    }
    Some(name.clone())
}
