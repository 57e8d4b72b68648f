//! Connections to the database: a pool of them, each set up the same way.
//!
//! Promise: a server that is too old is refused before anything is asked of it, and whoever waits for a connection waits
//! for a bounded time. Not here: what the URL says (see [`crate::database`]), what an error means (see `trouble`).

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use deadpool_postgres::tokio_postgres::{self, Config, NoTls, SimpleQueryMessage};
use deadpool_postgres::{
    ClientWrapper, Connect, Hook, HookError, Manager, ManagerConfig, Pool, PoolError,
    RecyclingMethod, Runtime,
};
use tokio::task::JoinHandle;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::trouble::{Trouble, pool_in_words, trouble_of_pool};
use crate::database::{Database, DatabaseError};
use crate::secret::Secret;
use crate::tls::Authorities;

/// Connections of one process unless the configuration says another number: more of them on one server gain little, and
/// its own limit is 100 by default.
pub const DEFAULT_POOL: usize = 8;

/// The oldest server that is promised to do, as `server_version_num` tells it.
const OLDEST_SERVER: u32 = 150_000;

/// How long a connection may take to be made to one address. Doors answer 503 meanwhile.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a connection may take in all: several addresses, TLS, password, set-up.
const CREATE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long one waits for a connection of the pool to fall free. Statements take milliseconds; who waits longer waits
/// behind a database that does nothing.
const WAIT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the look at a connection may take before it is given out; it asks nothing of the server.
const RECYCLE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long sent bytes may stay unacknowledged. Below the lease of an instance (10 s unless configured), so that a dead path is
/// known before others take its work over.
const UNACKNOWLEDGED: Duration = Duration::from_secs(5);

/// After how much silence a path is probed, and how often then: a server that vanished is known within 11 s.
const PROBE_AFTER: Duration = Duration::from_secs(5);
/// See [`PROBE_AFTER`].
const PROBE_EVERY: Duration = Duration::from_secs(2);
/// See [`PROBE_AFTER`].
const PROBES: u32 = 3;

/// What every connection is told, in one round trip:
/// * names are found in our schema alone;
/// * isolation as the statements were written for, whatever the database has as its default;
/// * a commit waits for the disk. Only `off` is overruled: what is stronger, or the choice not to wait for a standby, is the operator's;
/// * no statement runs for more than half a minute (the slowest are some of a second), and no transaction
///   waits for us for more than ten: who is stopped in between must not hold rows for ever;
/// * plans are not compiled: that takes longer than our statements run;
/// * plans are made once for each statement, without a look at its values, and go by indexes row by row: how many rows a queue has is
///   out of date at once, and a plan that reads the whole table for a few of its rows takes half a second at a million.
const SET_UP: &str = "SELECT current_setting('server_version_num'), \
    set_config('search_path', 'ingate', false), \
    set_config('default_transaction_isolation', 'read committed', false), \
    set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on' \
        ELSE current_setting('synchronous_commit') END, false), \
    set_config('statement_timeout', '30s', false), \
    set_config('idle_in_transaction_session_timeout', '10s', false), \
    set_config('TimeZone', 'UTC', false), \
    set_config('jit', 'off', false), \
    set_config('plan_cache_mode', 'force_generic_plan', false), \
    set_config('enable_hashjoin', 'off', false), \
    set_config('enable_mergejoin', 'off', false), \
    set_config('enable_seqscan', 'off', false)";

/// Which database, and how many connections to it.
#[derive(Debug, Clone)]
pub struct Connection {
    /// `postgres://USER:PASSWORD@HOST:PORT/DATABASE`.
    pub url: Secret,
    /// Most connections at a time; at least 1 is made of 0.
    pub pool: usize,
    /// Whose signature the server's certificate must have; `None` for whom the system trusts.
    pub ca: Option<Authorities>,
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The URL is wrong.
    #[error("the URL of the database: {0}")]
    Url(#[from] DatabaseError),
    /// It cannot be reached now; later it may.
    #[error("the database {place} cannot be reached: {why}")]
    Away {
        /// Where it is.
        place: String,
        /// Why.
        why: String,
    },
    /// It lets us not in, is too old, or is not the one that is wanted.
    #[error("the database {place} cannot be used: {why}")]
    Refused {
        /// Where it is.
        place: String,
        /// Why.
        why: String,
    },
}

impl ConnectError {
    /// Whether the same may go later.
    #[must_use]
    pub fn is_away(&self) -> bool {
        matches!(self, Self::Away { .. })
    }
}

impl Connection {
    /// Connections to it; none is made yet.
    ///
    /// # Errors
    /// If the URL is wrong, or TLS is wanted and nobody is trusted.
    pub fn pool(&self) -> Result<Pool, ConnectError> {
        let database = Database::parse(&self.url, self.ca.as_ref())?;
        let mut config = database.config().clone();
        if config.get_application_name().is_none() {
            config.application_name("ingate");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(UNACKNOWLEDGED);
        }
        config
            .keepalives(true)
            .keepalives_idle(PROBE_AFTER)
            .keepalives_interval(PROBE_EVERY)
            .keepalives_retries(PROBES);
        let tls = database.tls()?.map(MakeRustlsConnect::new);
        let manager = Manager::from_connect(
            config,
            Dialer { tls },
            ManagerConfig {
                recycling_method: RecyclingMethod::Fast,
            },
        );
        let pool = Pool::builder(manager)
            .max_size(self.pool.max(1))
            .wait_timeout(Some(WAIT_TIMEOUT))
            .create_timeout(Some(CREATE_TIMEOUT))
            .recycle_timeout(Some(RECYCLE_TIMEOUT))
            .runtime(Runtime::Tokio1)
            .post_create(Hook::async_fn(|client, _| Box::pin(set_up(client))))
            .build();
        // It fails for want of a runtime alone, and that is given.
        pool.map_err(|error| self.away(error.to_string()))
    }

    /// A connection of this pool, to begin with: its errors say where the database is and whether waiting helps.
    ///
    /// # Errors
    /// [`ConnectError::Away`] or [`ConnectError::Refused`].
    pub async fn first(&self, pool: &Pool) -> Result<deadpool_postgres::Client, ConnectError> {
        pool.get().await.map_err(|error| self.explain(&error))
    }

    /// Where the database is: `HOST:PORT/DATABASE`.
    #[must_use]
    pub fn place(&self) -> String {
        Database::parse(&self.url, self.ca.as_ref())
            .map_or_else(|_| String::new(), |database| database.to_string())
    }

    fn explain(&self, error: &PoolError) -> ConnectError {
        let mut why = pool_in_words(error);
        if trouble_of_pool(error) != Trouble::Refused {
            return self.away(why);
        }
        if why.contains("TLS handshake") {
            why.push_str("; `ca: FILE` beside its URL says whom to trust");
        }
        ConnectError::Refused {
            place: self.place(),
            why,
        }
    }

    fn away(&self, why: String) -> ConnectError {
        ConnectError::Away {
            place: self.place(),
            why,
        }
    }
}

/// Tells a new connection how we want it; refuses a server that is too old.
async fn set_up(client: &mut ClientWrapper) -> Result<(), HookError> {
    let told = client.simple_query(SET_UP).await;
    let told = told.map_err(HookError::Backend)?;
    let version = told.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0)?.parse::<u32>().ok(),
        _ => None,
    });
    match version {
        Some(version) if version >= OLDEST_SERVER => Ok(()),
        Some(version) => Err(HookError::message(format!(
            "its version is {}.{}, and {} is the oldest that will do",
            version / 10_000,
            version % 10_000,
            OLDEST_SERVER / 10_000
        ))),
        None => Err(HookError::message("it does not tell its version")),
    }
}

/// Makes connections, and says in our own log how they end.
struct Dialer {
    tls: Option<MakeRustlsConnect>,
}

/// A connection with the task that keeps it going.
type Dialled = Result<(tokio_postgres::Client, JoinHandle<()>), tokio_postgres::Error>;

impl Connect for Dialer {
    fn connect(&self, config: &Config) -> Pin<Box<dyn Future<Output = Dialled> + Send + '_>> {
        let config = config.clone();
        let tls = self.tls.clone();
        Box::pin(async move {
            Ok(match tls {
                Some(tls) => {
                    let (client, connection) = config.connect(tls).await?;
                    (client, tokio::spawn(log_end(connection)))
                }
                None => {
                    let (client, connection) = config.connect(NoTls).await?;
                    (client, tokio::spawn(log_end(connection)))
                }
            })
        })
    }
}

async fn log_end(connection: impl Future<Output = Result<(), tokio_postgres::Error>>) {
    if let Err(error) = connection.await {
        let why = super::trouble::in_words(&error);
        tracing::debug!(why, "a connection to the database has ended");
    }
}
