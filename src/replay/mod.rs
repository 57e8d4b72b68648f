//! Replays: many deliveries, or events, taken up again as a job.
//!
//! Promise: a replay goes through all that passed its filter when it began, each once, oldest first; it goes on after a
//! restart where it was, and takes nothing up twice. Where several instances share the store, one of them runs it, and another
//! takes it up if that ends. Not here: what it looks like in the API (see `admin`), how requests
//! are sent (see `dispatch`).

mod auto;
mod pace;
mod recover;
mod resume;
mod run;
mod take;
mod tally;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use take::{Taken, reroute, take};

use self::run::{Halt, Live, Worker};
use crate::clock::Clock;
use crate::delivery::{ReplayMode, StateKind};
use crate::id::{Digest, ReplayId, RouteName, TargetName};
use crate::metrics::Metrics;
use crate::plan::{Current, Plan};
use crate::store::{
    EventRow, ListedDelivery, ReplayFilter, ReplayPhase, ReplayState, Store, StoreError, Task,
    Window,
};
use crate::units::Rate;

/// Most replays that run at a time: each holds a page in memory and writes to the store.
const RUNNING: usize = 4;

/// Rows that are looked at to tell how many a replay is of; looking takes about a second.
const TOTAL_ROWS: u64 = 1_000_000;

/// Rows that are looked at for a preview.
const PREVIEW_ROWS: u64 = 100_000;

/// How many of those that pass a preview shows.
const SAMPLES: usize = 20;

/// Rows that one look-up goes over while counting.
const STEP: usize = 1000;

/// How long one that is told to halt is waited for: what it has under way ends with the next sync of the disk.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is to be taken up again, and how.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// How.
    pub mode: ReplayMode,
    /// What.
    pub filter: ReplayFilter,
    /// How many in a unit of time; `None` is as many as there are.
    pub rate: Option<Rate>,
}

/// What a replay would be.
#[derive(Debug)]
pub struct Preview {
    /// How.
    pub mode: ReplayMode,
    /// What, with what was filled in.
    pub filter: ReplayFilter,
    /// How many deliveries; with [`ReplayMode::Reroute`] events.
    pub count: u64,
    /// Whether all were counted.
    pub complete: bool,
    /// The same by target; empty with [`ReplayMode::Reroute`].
    pub by_target: BTreeMap<TargetName, u64>,
    /// Some of the deliveries, newest first.
    pub deliveries: Vec<ListedDelivery>,
    /// Some of the events, newest first.
    pub events: Vec<EventRow>,
}

/// Why there is no replay, or it cannot be ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// As many run as may.
    #[error("{RUNNING} replays are running, which is as many as may at a time")]
    Busy,
    /// The filter says nothing that could be done.
    #[error("{0}")]
    Filter(String),
    /// It has ended.
    #[error("a replay that is {} cannot be cancelled", .0.as_str())]
    Ended(ReplayPhase),
    /// The store cannot do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// All replays of this daemon.
pub struct Replays {
    shared: Arc<Shared>,
    /// Held by who starts, ends or resumes one, so that they do not get into each other's way.
    one: tokio::sync::Mutex<()>,
    stopping: watch::Sender<bool>,
}

/// What all replays share.
struct Shared {
    plan: Current,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    jobs: Mutex<BTreeMap<ReplayId, Job>>,
    /// Those that broke down here: they are not taken up again before the next start, since they would again.
    broken: Mutex<BTreeSet<ReplayId>>,
}

/// A replay that runs.
struct Job {
    live: Arc<Live>,
    halt: watch::Sender<Halt>,
    task: Option<JoinHandle<()>>,
}

impl Shared {
    fn jobs(&self) -> MutexGuard<'_, BTreeMap<ReplayId, Job>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn broken(&self) -> MutexGuard<'_, BTreeSet<ReplayId>> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets other instances take it up, where it has not ended.
    async fn give_up(&self, id: ReplayId) {
        if let Err(error) = self.store.disown(&Task::Replay(id)).await {
            tracing::debug!(replay = %id, %error, "a replay stays this instance's");
        }
    }
}

impl Replays {
    /// None runs before [`Replays::run`].
    #[must_use]
    pub fn new(
        plan: Current,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                plan,
                store,
                clock,
                metrics,
                jobs: Mutex::default(),
                broken: Mutex::default(),
            }),
            one: tokio::sync::Mutex::default(),
            stopping: watch::Sender::new(false),
        }
    }

    /// Has those go on that ran when the process before this one ended, or another instance, and looks after routes with
    /// `revive: auto`; until [`Replays::stop`].
    pub async fn run(self: Arc<Self>) {
        self.resume_all().await;
        if self.shared.store.is_shared() {
            tokio::join!(self.look_after(), self.revive_by_themselves());
        } else {
            self.revive_by_themselves().await;
        }
    }

    /// Says what a replay would be. Changes nothing.
    ///
    /// # Errors
    /// If the filter is none for this mode, or the store cannot tell.
    pub async fn preview(&self, wanted: Wanted) -> Result<Preview, ReplayError> {
        let Wanted { mode, filter, .. } = wanted;
        let filter = self.filled(filter, mode)?;
        let counted = self.count(mode, &filter, PREVIEW_ROWS).await?;
        let (mut deliveries, mut events) = (Vec::new(), Vec::new());
        let store = &self.shared.store;
        if mode == ReplayMode::Reroute {
            let newest = sample();
            events = store.find_events(&filter.events(), newest).await?.rows;
        } else {
            let wanted = filter.deliveries(&templates(&self.shared.plan.get()));
            deliveries = store.find_deliveries(&wanted, sample()).await?.rows;
        }
        Ok(Preview {
            mode,
            filter,
            count: counted.count,
            complete: counted.complete,
            by_target: counted.by_target,
            deliveries,
            events,
        })
    }

    /// Begins a replay, as `who`. It is on disk when this returns.
    ///
    /// # Errors
    /// If the filter is none for this mode, as many run as may, or the store cannot do it.
    pub async fn start(&self, wanted: Wanted, who: &str) -> Result<ReplayState, ReplayError> {
        let Wanted { mode, filter, rate } = wanted;
        let filter = self.filled(filter, mode)?;
        let _one = self.one.lock().await;
        if *self.stopping.borrow() {
            return Err(StoreError::Unavailable("the daemon stops".to_owned()).into());
        }
        if self.shared.jobs().len() >= RUNNING {
            return Err(ReplayError::Busy);
        }
        let counted = self.count(mode, &filter, TOTAL_ROWS).await?;
        let id = ReplayId::generate();
        let now = self.shared.clock.now();
        let state = ReplayState {
            rate,
            total: counted.complete.then_some(counted.count),
            ..ReplayState::begun(id, mode, filter, who, now)
        };
        // It is ours before anybody sees it.
        let store = &self.shared.store;
        if !store.own(&Task::Replay(id)).await? {
            let why = "this instance may begin nothing before the others have heard of it again";
            return Err(StoreError::Unavailable(why.to_owned()).into());
        }
        if let Err(error) = store.put_replay(&state, true).await {
            self.shared.give_up(id).await;
            return Err(error.into());
        }
        tracing::info!(replay = %state.id, mode = mode.as_str(), total = state.total, who, "a replay begins");
        self.spawn(state.clone(), false);
        Ok(state)
    }

    /// Ends a replay; what it has taken up stays pending. Gives how it ended. Where another instance runs it, that heeds
    /// it within about two seconds.
    ///
    /// # Errors
    /// If it has ended already, there is none of this id, or the store cannot tell.
    pub async fn cancel(&self, id: ReplayId) -> Result<ReplayState, ReplayError> {
        let _one = self.one.lock().await;
        let running = {
            let mut jobs = self.shared.jobs();
            jobs.get_mut(&id).map(|job| {
                job.halt.send_replace(Halt::Cancel);
                (Arc::clone(&job.live), job.task.take())
            })
        };
        let ended = match running {
            Some((live, Some(mut task))) => {
                if tokio::time::timeout(PATIENCE, &mut task).await.is_err() {
                    if let Some(job) = self.shared.jobs().get_mut(&id) {
                        job.task = Some(task);
                    }
                    let why = "the replay ends as soon as the store takes it";
                    return Err(StoreError::Unavailable(why.to_owned()).into());
                }
                let ended = live.get();
                if ended.phase == ReplayPhase::Cancelled {
                    return Ok(ended);
                }
                ended
            }
            _ => self.shared.store.replay(id).await?,
        };
        match ended.phase {
            // Nobody is at it here: another instance is, or the index was not open yet when the others went on.
            ReplayPhase::Running => {
                let ended = ReplayState {
                    phase: ReplayPhase::Cancelled,
                    finished_at: Some(self.shared.clock.now()),
                    ..ended
                };
                let store = &self.shared.store;
                store.put_replay(&ended, true).await?;
                if !store.is_shared() {
                    return Ok(ended);
                }
                // It may have ended by itself meanwhile, and stays so then.
                let kept = store.replay(id).await?;
                match kept.phase {
                    ReplayPhase::Cancelled => Ok(kept),
                    phase => Err(ReplayError::Ended(phase)),
                }
            }
            phase => Err(ReplayError::Ended(phase)),
        }
    }

    /// One replay as it stands now.
    ///
    /// # Errors
    /// If there is none of this id, or the store cannot tell.
    pub async fn get(&self, id: ReplayId) -> Result<ReplayState, StoreError> {
        let live = self.shared.jobs().get(&id).map(|job| job.live.get());
        match live {
            Some(state) => Ok(state),
            None => self.shared.store.replay(id).await,
        }
    }

    /// Replays as they stand now, newest first, older than `before`, at most `limit`.
    ///
    /// # Errors
    /// If the store cannot tell.
    pub async fn list(
        &self,
        before: Option<ReplayId>,
        limit: usize,
    ) -> Result<Vec<ReplayState>, StoreError> {
        let mut states = self.shared.store.replays(before, limit).await?;
        let jobs = self.shared.jobs();
        for state in &mut states {
            if let Some(job) = jobs.get(&state.id) {
                *state = job.live.get();
            }
        }
        Ok(states)
    }

    /// Those that run, as they stand now.
    #[must_use]
    pub fn running(&self) -> Vec<ReplayState> {
        let jobs = self.shared.jobs();
        jobs.values().map(|job| job.live.get()).collect()
    }

    /// Has all of them stop where they are; they go on at the next start.
    pub async fn stop(&self) {
        self.stopping.send_replace(true);
        // One that is being cancelled waits for the store no longer either.
        for job in self.shared.jobs().values() {
            job.halt.send_replace(Halt::Stop);
        }
        let _one = self.one.lock().await;
        let tasks: Vec<_> = {
            let mut jobs = self.shared.jobs();
            let halt = |job: &mut Job| {
                job.halt.send_replace(Halt::Stop);
                job.task.take()
            };
            jobs.values_mut().filter_map(halt).collect()
        };
        for task in tasks {
            match tokio::time::timeout(PATIENCE, task).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "a replay broke down"),
                Err(_) => tracing::warn!("a replay waits for the store and is cut off"),
            }
        }
    }

    fn spawn(&self, state: ReplayState, resumed: bool) {
        let (id, live) = (state.id, Live::new(state));
        let (halt, told) = watch::channel(Halt::No);
        let shared = Arc::clone(&self.shared);
        // The lock is held until the job is in the list, so that it cannot leave it before.
        let mut jobs = self.shared.jobs();
        let worker = Worker::new(Arc::clone(&shared), Arc::clone(&live), told);
        let task = tokio::spawn(async move {
            let listed = Listed { shared, id };
            worker.run(resumed).await;
            listed.shared.give_up(id).await;
        });
        let task = Some(task);
        jobs.insert(id, Job { live, halt, task });
    }

    fn filled(&self, filter: ReplayFilter, mode: ReplayMode) -> Result<ReplayFilter, ReplayError> {
        filter.check(mode).map_err(ReplayError::Filter)?;
        let filled = filled(filter, mode, self.shared.clock.now());
        filled.check(mode).map_err(ReplayError::Filter)?;
        Ok(filled)
    }

    /// How many pass, as far as one can tell by looking at `most` rows.
    async fn count(
        &self,
        mode: ReplayMode,
        filter: &ReplayFilter,
        most: u64,
    ) -> Result<Counted, StoreError> {
        let store = &self.shared.store;
        let mut counted = Counted::default();
        let (mut event, mut delivery) = (None, None);
        let wanted = filter.deliveries(&templates(&self.shared.plan.get()));
        let events = filter.events();
        let mut looked = 0_u64;
        loop {
            let (rows, more) = if mode == ReplayMode::Reroute {
                let found = store.events_from(&events, step(event)).await?;
                event = found.rest;
                (found.rows.len(), event.is_some())
            } else {
                let found = store.deliveries_from(&wanted, step(delivery)).await?;
                delivery = found.rest;
                for row in &found.rows {
                    let target = row.delivery.target.clone();
                    let sum = counted.by_target.entry(target).or_default();
                    *sum = sum.saturating_add(1);
                }
                (found.rows.len(), delivery.is_some())
            };
            let rows = u64::try_from(rows).unwrap_or(u64::MAX);
            counted.count = counted.count.saturating_add(rows);
            looked = looked.saturating_add(STEP as u64);
            counted.complete = !more;
            if !more || looked >= most {
                return Ok(counted);
            }
        }
    }
}

/// Takes a replay off the list once its task ends, however that ends.
struct Listed {
    shared: Arc<Shared>,
    id: ReplayId,
}

impl Drop for Listed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.shared.broken().insert(self.id);
        }
        self.shared.jobs().remove(&self.id);
    }
}

/// How many pass a filter.
#[derive(Debug, Default)]
struct Counted {
    count: u64,
    complete: bool,
    by_target: BTreeMap<TargetName, u64>,
}

fn step<Id>(past: Option<Id>) -> Window<Id> {
    Window {
        past,
        limit: STEP,
        budget: STEP,
    }
}

fn sample<Id>() -> Window<Id> {
    Window {
        past: None,
        limit: SAMPLES,
        budget: usize::try_from(PREVIEW_ROWS).unwrap_or(usize::MAX),
    }
}

/// A filter with what it says unless it says something else: dead ones, and what there was when it began.
fn filled(mut filter: ReplayFilter, mode: ReplayMode, now: Timestamp) -> ReplayFilter {
    if mode != ReplayMode::Reroute && filter.states.is_empty() {
        filter.states = BTreeSet::from([StateKind::Dead]);
    }
    // Ids tell milliseconds, so one of this millisecond was there.
    let next = now.as_millisecond().saturating_add(1);
    let until = Timestamp::from_millisecond(next).unwrap_or(now);
    filter.until = Some(filter.until.map_or(until, |given| given.min(until)));
    filter
}

/// Routes with the hash of the template that they have now.
fn templates(plan: &Plan) -> BTreeMap<RouteName, Digest> {
    let routes = plan.router.routes().iter();
    routes
        .filter_map(|route| {
            let template = route.template.as_ref()?;
            Some((route.name.clone(), template.hash()))
        })
        .collect()
}

#[cfg(test)]
mod tests;
