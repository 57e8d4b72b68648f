//! What goes out: every pending delivery is tried when it is due, until it is delivered or dead.
//!
//! Promise: each target has its own lane (claims, limits, breaker, connections), so that a slow or dead one
//! delays no other; a reload changes what the next attempts are like and cuts none off;
//! the first rendered body is kept and sent again unchanged, signed anew each time;
//! an outcome is recorded as long as the process lives. Not here: what follows from an outcome (see
//! `delivery`), when the next attempt is due (see `retry`), where deliveries are kept (see `store`).

mod attempt;
mod breaker;
mod client;
mod lanes;
mod pace;
mod payload;
mod probe;
mod run;
mod span;
#[cfg(test)]
pub(crate) mod testing;
mod tokens;
mod window;

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::{Id, JoinSet};

pub use self::breaker::Fault;
pub use self::lanes::{BreakerState, BreakerView, LaneView, Lanes};
pub use self::probe::probe;

use self::payload::Mended;
use self::run::Lane;
use crate::clock::Clock;
use crate::id::TargetName;
use crate::live::Live;
use crate::metrics::Metrics;
use crate::plan::{Current, Plan};
use crate::store::{Depth, Pause, Store};
use crate::telemetry::Spans;

/// How long a lane may take, after its attempts were cut off, to record that and to release the rest.
const WIND_UP: Duration = Duration::from_secs(5);

/// When a store is asked again for the pauses that it could not tell: while it is rebuilt, nothing can be sent anyway.
const PAUSES_AGAIN: Duration = Duration::from_millis(200);

/// How often a store that others use as well is asked for the pauses: about as long may a pause that was set at another
/// instance go unnoticed.
const PAUSES_EVERY: Duration = Duration::from_secs(1);

/// What all lanes share.
struct Shared {
    plan: Current,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    spans: Spans,
    live: Arc<Live>,
    lanes: Arc<Lanes>,
    mended: Mended,
    /// Permits for renders that take long: as many run at a time as there are processors.
    renders: Arc<Semaphore>,
}

/// How far the end has come; the order is the order in which it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// Deliveries are claimed and tried.
    Running,
    /// Nothing more is claimed; attempts under way go on.
    Stopping,
    /// Attempts under way are cut off.
    Cut,
}

/// The lanes of all targets, at work. Dropping it ends them without recording what was under way;
/// [`Dispatcher::drain`] is the orderly end.
#[derive(Debug)]
pub struct Dispatcher {
    phase: watch::Sender<Phase>,
    lanes: Arc<Lanes>,
    /// One task, which holds those of the lanes.
    supervisor: JoinSet<()>,
}

impl Dispatcher {
    /// Starts a lane for every target of the plan in force, and of those that come into force later. Must be
    /// called within a tokio runtime.
    #[must_use]
    pub fn start(
        plan: Current,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        live: Arc<Live>,
        spans: Spans,
    ) -> Self {
        let (phase, watcher) = watch::channel(Phase::Running);
        let lanes = Arc::new(Lanes::default());
        let processors = std::thread::available_parallelism().map_or(1, Into::into);
        let shared = Arc::new(Shared {
            plan,
            store,
            clock,
            metrics,
            spans,
            live,
            lanes: Arc::clone(&lanes),
            mended: Mended::default(),
            renders: Arc::new(Semaphore::new(processors)),
        });
        let mut supervisor = JoinSet::new();
        supervisor.spawn(supervise(shared, watcher));
        Self {
            phase,
            lanes,
            supervisor,
        }
    }

    /// What the lanes are at, while they are at work.
    #[must_use]
    pub fn lanes(&self) -> Arc<Lanes> {
        Arc::clone(&self.lanes)
    }

    /// Stops: claims nothing more, lets attempts under way end within `bound`, then cuts them off.
    /// What was cut off is recorded as an attempt that is made again at once; what was not begun
    /// is released. Takes no longer than `bound` and a few seconds.
    pub async fn drain(mut self, bound: Duration) {
        self.phase.send_replace(Phase::Stopping);
        if tokio::time::timeout(bound, all_ended(&mut self.supervisor))
            .await
            .is_ok()
        {
            return;
        }
        tracing::info!(
            ?bound,
            "attempts are still under way after the bound and are cut off"
        );
        self.phase.send_replace(Phase::Cut);
        if tokio::time::timeout(WIND_UP, all_ended(&mut self.supervisor))
            .await
            .is_err()
        {
            tracing::warn!("not every attempt that was cut off could be recorded or released");
        }
    }
}

/// Sees to it that each target of the plan in force has a lane. A lane whose target is gone ends by itself, once
/// its attempts have.
async fn supervise(shared: Arc<Shared>, mut phase: watch::Receiver<Phase>) {
    if !learn_pauses(&shared, &mut phase).await {
        return;
    }
    let mut follower = JoinSet::new();
    if shared.store.is_shared() {
        follower.spawn(follow_pauses(Arc::clone(&shared)));
    }
    let mut plans = shared.plan.watch();
    let mut lanes = JoinSet::new();
    let mut running: HashMap<Id, TargetName> = HashMap::new();
    loop {
        let plan = Arc::clone(&plans.borrow_and_update());
        let targets = plan.targets.keys().cloned().collect();
        shared.store.set_targets(&targets);
        for name in plan.targets.keys() {
            if !running.values().any(|known| known == name) {
                let lane = Lane::new(Arc::clone(&shared), name.clone(), phase.clone());
                running.insert(lanes.spawn(lane.run()).id(), name.clone());
            }
        }
        let told = report_strays(&shared, &plan);
        tokio::select! {
            () = attempt::reached(&mut phase, Phase::Stopping) => break,
            _ = changed_after(told, &mut plans) => {}
            Some(ended) = lanes.join_next_with_id() => match ended {
                Ok((id, ())) => {
                    running.remove(&id);
                }
                // It is not started again: whatever broke it would break it again.
                Err(error) => tracing::error!(%error, "the lane of a target broke down"),
            },
        }
    }
    // Others make the attempts from now on, as soon as those to a target that are under way here have ended.
    shared.store.set_targets(&BTreeSet::new());
    all_ended(&mut lanes).await;
}

/// Learns which targets are paused, before anything is sent to any. Says no if the end comes first.
async fn learn_pauses(shared: &Shared, phase: &mut watch::Receiver<Phase>) -> bool {
    loop {
        let then = shared.lanes.pauses_changed();
        match shared.store.pauses().await {
            Ok(pauses) => {
                for (target, pause) in &pauses {
                    tracing::info!(target_name = %target, since = %pause.since, by = pause.by, "a target is paused");
                }
                shared.lanes.set_pauses(&pauses, then);
                return true;
            }
            Err(error) => tracing::debug!(%error, "which targets are paused is not known yet"),
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSES_AGAIN) => {}
            () = attempt::reached(phase, Phase::Stopping) => return false,
        }
    }
}

/// Has pauses that were set or lifted at other instances hold here as well; does not end by itself.
async fn follow_pauses(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(PAUSES_EVERY).await;
        let then = shared.lanes.pauses_changed();
        let pauses = match shared.store.pauses().await {
            Ok(pauses) => pauses,
            Err(error) => {
                tracing::debug!(%error, "whether pauses have changed is not known");
                continue;
            }
        };
        for target in shared.lanes.set_pauses(&pauses, then) {
            match pauses.get(&target) {
                Some(Pause { since, by }) => {
                    tracing::info!(target_name = %target, %since, by, "a target was paused at another instance");
                }
                None => {
                    tracing::info!(target_name = %target, "a target was resumed at another instance");
                }
            }
        }
    }
}

/// Does something else first.
async fn changed_after(
    first: impl Future<Output = ()>,
    plans: &mut watch::Receiver<Arc<Plan>>,
) -> Result<(), watch::error::RecvError> {
    first.await;
    plans.changed().await
}

/// Says which targets have deliveries waiting but are not in the plan: nobody claims those.
async fn report_strays(shared: &Shared, plan: &Plan) {
    let Ok(depths) = shared.store.depths().await else {
        return;
    };
    for Depth {
        target, pending, ..
    } in depths
    {
        if pending > 0 && !plan.targets.contains_key(&target) {
            tracing::warn!(
                target_name = %target, pending,
                "deliveries wait for a target that is not in the configuration"
            );
        }
    }
}

async fn all_ended(tasks: &mut JoinSet<()>) {
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "the lane of a target broke down");
        }
    }
}

#[cfg(test)]
mod reloading;
#[cfg(test)]
mod tests;
