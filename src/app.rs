//! The wiring: opens the store, binds both doors, starts what runs, and ends it in order. The only place
//! where the parts are put together.
//!
//! Promise: when [`App::build`] is through, the store is ours and both addresses are taken, so what can
//! fail has failed; [`App::serve`] returns only when nothing runs any more and the store is closed.
//! Not here: arguments, signals and exit codes (see `cli`).

mod store;

use std::future::Future;
use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::MissedTickBehavior;
use tracing_subscriber::EnvFilter;

use self::store::Opened;
use crate::admin::{Admin, AdminError};
use crate::clock::{self, Clock};
use crate::config::Inputs;
use crate::dispatch::Dispatcher;
use crate::fleet;
use crate::id::Digest;
use crate::ingest::{self, Ingest};
use crate::intake::{Intake, Outside};
use crate::live::{self, Live, Waiting};
use crate::metrics::Metrics;
use crate::plan::{Current, Plan};
use crate::reload::{self, Reloader};
use crate::replay::Replays;
use crate::service;
use crate::store::Store;
use crate::store::local::OpenError;
use crate::store::postgres::PgOpenError;
use crate::telemetry;

/// The environment variable that says what is logged, e.g. `debug` or `ingate::intake=debug,info`.
pub const LOG_VARIABLE: &str = "INGATE_LOG";

/// What is logged unless something else is asked for.
const DEFAULT_LOG: &str = "info";

/// The watch on files does not tell what it sees: where the log is written to a folder that is watched, every line would
/// make another one, without end.
const QUIET: &str = "notify=info";

/// File descriptors for the store, the operator's door, the log and the runtime, with room to spare.
const OTHER_FILES: usize = 256;

/// How often the counters are read for the series.
const TICK: Duration = Duration::from_secs(1);

/// How long a start waits for the number of its configuration; a store that is open says it within a sync of the disk.
const NUMBERED_WITHIN: Duration = Duration::from_millis(500);

/// A daemon that is ready to serve.
pub struct App {
    plan: Current,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    draining: Arc<AtomicBool>,
    reloader: Option<Arc<Reloader>>,
    outside: Arc<Outside>,
    /// A hash of what the plan was made of.
    fingerprint: Digest,
    public: Door,
    operator: Door,
}

struct Door {
    listener: TcpListener,
    addr: SocketAddr,
}

/// Why the daemon does not start.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The store cannot be opened.
    #[error("the store cannot be opened")]
    Store(#[source] OpenError),
    /// The database in which the store is cannot be used.
    #[error("the store cannot be opened")]
    Database(#[source] PgOpenError),
    /// Opening the store broke down, by a fault of ours.
    #[error("opening the store broke down")]
    StoreBroke(#[source] tokio::task::JoinError),
    /// The operator's door would be open to the network without a token.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// An address cannot be listened on.
    #[error("cannot listen on {addr} ({door})")]
    Bind {
        /// Which of the doors, as the configuration calls it.
        door: &'static str,
        /// The address.
        addr: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl App {
    /// Opens the store and binds both doors. Nothing is accepted or delivered yet. A database that is away is waited for, and
    /// everything goes by its clock then, not by `clock`.
    ///
    /// # Errors
    /// If the store cannot be opened, an address cannot be listened on, or the operator's door may not be
    /// opened like this.
    pub async fn build(plan: Arc<Plan>, clock: Arc<dyn Clock>) -> Result<Self, AppError> {
        Admin::check(&plan.admin)?;
        let metrics = Arc::new(Metrics::new());
        // The store comes first: of two daemons on one store, the second is to hear of that.
        let opened = store::open(&plan.store, clock, Arc::clone(&metrics));
        let Opened { store, clock } = service::while_starting(opened).await?;
        let (public, operator) = match bind(&plan).await {
            Ok(doors) => doors,
            Err(error) => {
                store.close().await;
                return Err(error);
            }
        };
        Ok(Self {
            plan: Current::new(plan),
            store,
            clock,
            metrics,
            draining: Arc::default(),
            reloader: None,
            outside: Arc::default(),
            fingerprint: reload::fingerprint(&Inputs::new(), true),
            public,
            operator,
        })
    }

    /// Lets the configuration be reloaded from this file, of which the load at the start read `inputs`; `good` tells
    /// whether that load is the plan that the daemon was built with, and not an older one.
    #[must_use]
    pub fn with_reload(mut self, config: PathBuf, inputs: Inputs, good: bool) -> Self {
        self.fingerprint = reload::fingerprint(&inputs, good);
        let parts = reload::Parts {
            plan: self.plan.clone(),
            store: Arc::clone(&self.store),
            clock: Arc::clone(&self.clock),
            metrics: Arc::clone(&self.metrics),
        };
        self.reloader = Some(Arc::new(Reloader::new(config, inputs, good, parts)));
        self
    }

    /// The same with another way to ask others for certificates; no configuration can have one.
    #[must_use]
    pub fn with_outside(self, outside: Outside) -> Self {
        let outside = Arc::new(outside);
        Self { outside, ..self }
    }

    /// What reloads the configuration, where that is possible.
    #[must_use]
    pub fn reloader(&self) -> Option<Arc<Reloader>> {
        self.reloader.clone()
    }

    /// Where the public door listens.
    #[must_use]
    pub fn public_addr(&self) -> SocketAddr {
        self.public.addr
    }

    /// Where the operator's door listens.
    #[must_use]
    pub fn admin_addr(&self) -> SocketAddr {
        self.operator.addr
    }

    /// Serves until `stop` is done, then drains: it reports not to be ready, takes no connections and
    /// claims nothing more, lets requests and attempts under way end within the plan's `drain`, and
    /// closes the store. The operator's door stays open to the last.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let store = Arc::clone(&self.store);
        // What comes in at once is to know by which configuration; an index that is being rebuilt is not waited for.
        let mut numbered = Box::pin(reload::number(self.plan.clone(), store, self.fingerprint));
        let soon = tokio::time::timeout(NUMBERED_WITHIN, &mut numbered);
        if soon.await.is_err() {
            tokio::spawn(numbered);
        }
        let (stop_public, public_stops) = watch::channel(false);
        let (stop_operator, operator_stops) = watch::channel(false);
        let live = Arc::new(Live::new(self.clock.now()));
        let (spans, exporter) = telemetry::start(
            self.plan.clone(),
            Arc::clone(&self.clock),
            Arc::clone(&self.metrics),
        );
        let dispatcher = Dispatcher::start(
            self.plan.clone(),
            Arc::clone(&self.store),
            Arc::clone(&self.clock),
            Arc::clone(&self.metrics),
            Arc::clone(&live),
            spans.clone(),
        );
        let replays = Arc::new(Replays::new(
            self.plan.clone(),
            Arc::clone(&self.store),
            Arc::clone(&self.clock),
            Arc::clone(&self.metrics),
        ));
        tokio::spawn(Arc::clone(&replays).run());
        let outside = self.outside;
        let admin = Arc::new(Admin {
            outside: Arc::clone(&outside),
            replays: Arc::clone(&replays),
            plan: self.plan.clone(),
            store: Arc::clone(&self.store),
            lanes: dispatcher.lanes(),
            clock: Arc::clone(&self.clock),
            metrics: Arc::clone(&self.metrics),
            live: Arc::clone(&live),
            draining: Arc::clone(&self.draining),
            reloader: self.reloader.clone(),
        });
        let intake = Intake::new(
            Arc::clone(&self.store),
            Arc::clone(&self.clock),
            Arc::clone(&self.metrics),
            Arc::clone(&live),
        );
        let intake = intake.through(outside);
        let ingest = Ingest::new(
            self.plan.clone(),
            intake,
            Arc::clone(&self.metrics),
            Arc::clone(&live),
        );
        let ingest = ingest.traced(spans);
        let series = tokio::spawn(keep_series(
            live,
            self.plan.clone(),
            Arc::clone(&self.store),
            Arc::clone(&self.clock),
        ));
        let differing = self.store.is_shared().then(|| {
            let store = Arc::clone(&self.store);
            tokio::spawn(fleet::watch(store))
        });
        tracing::info!(listen = %self.public.addr, admin = %self.operator.addr, "ready");
        if let Some(reloader) = self.reloader {
            tokio::spawn(reloader.watch(public_stops.clone()));
        }
        let operator = tokio::spawn(admin.serve(self.operator.listener, operator_stops));
        let public = tokio::spawn(ingest::serve(
            self.public.listener,
            Arc::new(ingest),
            |plan| affordable(plan.limits.connections, files_besides(plan)),
            public_stops,
        ));
        // The doors answer, so we are ready, also while the index is rebuilt: until that is done they say 503 and
        // `/readyz` says why. A start that waited for it would be ended by its time limit, to begin anew.
        service::status(&format!(
            "webhooks at {}, operator at {}",
            self.public.addr, self.operator.addr
        ));
        service::ready();
        let doors = [public.abort_handle(), operator.abort_handle()];
        let heartbeat = heartbeat(Arc::clone(&self.store), Arc::clone(&self.draining), doors);

        stop.await;
        let drain = self.plan.get().drain;
        let deadline = Instant::now() + drain;
        tracing::info!(within = ?drain, "stopping");
        self.draining.store(true, Ordering::SeqCst);
        service::stopping(drain);
        stop_public.send_replace(true);
        tokio::join!(
            ended("public", public),
            dispatcher.drain(drain),
            replays.stop()
        );
        tokio::join!(self.store.close(), exporter.finish(deadline));
        stop_operator.send_replace(true);
        ended("operator's", operator).await;
        heartbeat.abort();
        series.abort();
        if let Some(differing) = differing {
            differing.abort();
        }
        tracing::info!("stopped");
    }
}

/// Keeps the series of what is in force: a tick each second, and a step with what waits each so many.
async fn keep_series(live: Arc<Live>, plan: Current, store: Arc<dyn Store>, clock: Arc<dyn Clock>) {
    let mut every = tokio::time::interval(TICK);
    // What was slept through is not made up for: the counters are the same at each of those ticks.
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    every.tick().await;
    for tick in 1_u64.. {
        every.tick().await;
        let (now, plan) = (clock.now(), plan.get());
        let (sources, targets) = (plan.sources.keys(), plan.targets.keys());
        live.series.tick(now, sources, targets, &live.tallies);
        if tick.is_multiple_of(live::STEP_TICKS) {
            let waiting = waiting(&*store, now).await;
            live.series.step(now, &live.tallies, waiting.as_deref());
        }
    }
}

/// What waits for each target; `None` while the store cannot say so.
async fn waiting(store: &dyn Store, now: Timestamp) -> Option<Vec<Waiting>> {
    let depths = store.depths().await.ok()?;
    let waiting = depths.into_iter().map(|depth| Waiting {
        oldest: depth.oldest_pending.map(|since| clock::between(since, now)),
        target: depth.target,
        pending: depth.pending,
        dead: depth.dead,
    });
    Some(waiting.collect())
}

/// Tells the service manager's watchdog that we live. Dead is what a restart mends: a runtime that does not turn
/// (then this is not run), a door's task or a thread of the store that has ended. What a restart does not mend
/// is alive, or it would be restarted for ever: a full or failing disk, an index that is being rebuilt or cannot be
/// opened, targets that are down.
fn heartbeat(
    store: Arc<dyn Store>,
    draining: Arc<AtomicBool>,
    doors: [AbortHandle; 2],
) -> JoinHandle<()> {
    tokio::spawn(service::watchdog(move || {
        let closing = draining.load(Ordering::SeqCst);
        store.alive() && (closing || doors.iter().all(|door| !door.is_finished()))
    }))
}

/// How many connections the public door may hold out of `wanted`, so that those who open more and more of
/// them cannot take the last file descriptor from the store: `besides` are kept back. Raises the limit of
/// the process as far as it may.
fn affordable(wanted: usize, besides: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let needed = u64::try_from(wanted.saturating_add(besides)).unwrap_or(u64::MAX);
    let current = match (limit.current, limit.maximum) {
        (None, _) => return wanted,
        (Some(current), most) if current < needed => {
            let raised = most.map_or(needed, |most| most.min(needed));
            let asked = Rlimit {
                current: Some(raised),
                maximum: most,
            };
            setrlimit(Resource::Nofile, asked).map_or(current, |()| raised)
        }
        (Some(current), _) => current,
    };
    let current = usize::try_from(current).unwrap_or(usize::MAX);
    let room = current.saturating_sub(besides).max(current / 4).min(wanted);
    if room < wanted {
        tracing::warn!(
            configured = wanted,
            connections = room,
            files = current,
            "the limit of open files is too low for the connections that are configured"
        );
    }
    room
}

/// File descriptors that are needed besides the public door's connections.
fn files_besides(plan: &Plan) -> usize {
    // An attempt has a connection, and as many idle ones are kept.
    let targets = plan.targets.values();
    targets
        .map(|target| target.concurrency.saturating_mul(2))
        .fold(OTHER_FILES, usize::saturating_add)
}

async fn bind(plan: &Plan) -> Result<(Door, Door), AppError> {
    let public = Door::bind("listen", plan.listen).await?;
    let operator = Door::bind("admin.listen", plan.admin.listen).await?;
    Ok((public, operator))
}

impl Door {
    async fn bind(door: &'static str, addr: SocketAddr) -> Result<Self, AppError> {
        let failed = |source| AppError::Bind { door, addr, source };
        let listener = TcpListener::bind(addr).await.map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, addr })
    }
}

async fn ended(door: &str, task: JoinHandle<()>) {
    if let Err(error) = task.await {
        tracing::error!(%error, "the {door} door broke down");
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// Why the log cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter cannot be read.
    #[error("`{filter}` does not say what to log (such as `debug` or `ingate::intake=debug,info`)")]
    Filter {
        /// The filter.
        filter: String,
        /// Why.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// There is a log already.
    #[error("the log is set up already")]
    Twice,
}

/// Sends the log to stderr. What is logged is what `filter` says, else [`LOG_VARIABLE`], else `info` and above.
/// Colours only for people at a terminal who have not set `NO_COLOR`.
///
/// # Errors
/// If the filter cannot be read, or there is a log already.
pub fn init_tracing(format: LogFormat, filter: Option<&str>) -> Result<(), LogError> {
    let filter = match filter {
        Some(filter) => filter.to_owned(),
        None => std::env::var(LOG_VARIABLE)
            .ok()
            .filter(|value| !value.is_empty())
            .unwrap_or_else(|| DEFAULT_LOG.to_owned()),
    };
    let quiet = QUIET.parse();
    let parsed = EnvFilter::builder()
        .parse(&filter)
        .and_then(|parsed| Ok(parsed.add_directive(quiet?)));
    let parsed = match parsed {
        Ok(parsed) => parsed,
        Err(source) => return Err(LogError::Filter { filter, source }),
    };
    let colours = io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let log = tracing_subscriber::fmt()
        .with_env_filter(parsed)
        .with_writer(io::stderr)
        .with_ansi(colours);
    match format {
        LogFormat::Human => log.try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    }
    .map_err(|_| LogError::Twice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_keeps_its_files() {
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        assert_eq!(affordable(10, 10), 10);
        if let Some(most) = maximum {
            let most = usize::try_from(most).unwrap();
            assert_eq!(affordable(most, 10), most - 10);
            assert_eq!(affordable(10, most), 10);
            assert_eq!(affordable(usize::MAX, most), most / 4);
        }
    }

    #[test]
    fn a_filter_that_says_nothing_is_named() {
        match init_tracing(LogFormat::Human, Some("ingate=loud")) {
            Err(LogError::Filter { filter, .. }) => assert_eq!(filter, "ingate=loud"),
            other => panic!("{other:?}"),
        }
    }
}
