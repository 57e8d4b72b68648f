//! What the lanes of all targets are at, for the operator: attempts under way, breakers. In memory and in metrics. And
//! what the operator has them do: wait, and look again at once.
//!
//! A lane tells when something has changed; who reads gets a copy. A target that leaves the plan leaves this, too; but for
//! its pause, which is held by name, as the store holds it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{Notify, watch};

use super::breaker::{Breaker, Fault};
use crate::clock::{self, Clock};
use crate::id::TargetName;
use crate::metrics::Metrics;
use crate::store::Pause;

/// What rounds a time up when it is cut to whole milliseconds, as all times that are shown are.
const ALMOST_ONE: Duration = Duration::from_nanos(999_999);

/// What the lanes of all targets are at.
#[derive(Debug, Default)]
pub struct Lanes {
    views: Mutex<BTreeMap<TargetName, LaneView>>,
    /// A mirror of what the store has, so that lanes need not ask it each time.
    paused: watch::Sender<Pauses>,
    /// How often a pause was changed here; counted while `paused` is held.
    changes: AtomicU64,
    /// What wakes a lane whose breaker is to be hurried.
    hurry: Mutex<BTreeMap<TargetName, Arc<Notify>>>,
}

/// The targets whose deliveries wait until they are resumed.
pub(in crate::dispatch) type Pauses = BTreeMap<TargetName, Pause>;

/// What the lane of a target is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneView {
    /// Attempts under way.
    pub running: usize,
    /// Its breaker; `None` if that is off.
    pub breaker: Option<BreakerView>,
    /// Whether another process makes the attempts to it; the breaker says nothing then.
    pub elsewhere: bool,
}

impl LaneView {
    /// The state of the breaker as the metrics tell it; `None` if it is off or is another process's to tell.
    fn told_state(self) -> Option<BreakerState> {
        let breaker = self.breaker.filter(|_| !self.elsewhere);
        breaker.map(|it| it.state)
    }
}

/// How the breaker of a target stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerView {
    /// Its state.
    pub state: BreakerState,
    /// Since when it is closed; while it is not, when it opened.
    pub since: Timestamp,
    /// While it is open, when the next probe is made, or as soon after as a delivery is due.
    pub next_probe: Option<Timestamp>,
    /// Attempts that have failed since the last one that did not, probes included.
    pub failures_in_a_row: u32,
    /// How the last one that failed did; `None` if none has.
    pub last_failure: Option<Fault>,
}

/// The states of a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Attempts are made.
    Closed,
    /// Deliveries wait for the next probe.
    Open,
    /// Deliveries wait for the end of a probe.
    HalfOpen,
}

impl BreakerState {
    /// Its name in API and metrics; one of [`crate::metrics::BREAKER_STATES`].
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

impl Lanes {
    /// What the lane of this target is at; `None` if there is none.
    #[must_use]
    pub fn get(&self, target: &TargetName) -> Option<LaneView> {
        self.lock().get(target).copied()
    }

    /// Since when and by whom a target is paused.
    #[must_use]
    pub fn paused(&self, target: &TargetName) -> Option<Pause> {
        self.paused.borrow().get(target).cloned()
    }

    /// Has the deliveries of a target wait, or go on, from now on. The store must have heard of it before.
    pub fn set_pause(&self, target: &TargetName, pause: Option<Pause>) {
        self.paused.send_modify(|paused| {
            self.changes.fetch_add(1, Ordering::Relaxed);
            match pause {
                Some(pause) => paused.insert(target.clone(), pause),
                None => paused.remove(target),
            };
        });
    }

    /// How often a pause was changed here so far; asked before the store is, see [`Lanes::set_pauses`].
    pub(super) fn pauses_changed(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// What the store has of pauses is this, unless one was changed here since [`Lanes::pauses_changed`] said `then`: what
    /// was read may be older than that. Gives the targets whose pause has changed by it.
    pub(super) fn set_pauses(&self, all: &Pauses, then: u64) -> Vec<TargetName> {
        let mut changed = Vec::new();
        self.paused.send_if_modified(|paused| {
            if self.pauses_changed() != then {
                return false;
            }
            let names: BTreeSet<&TargetName> = paused.keys().chain(all.keys()).collect();
            let others = names
                .into_iter()
                .filter(|name| paused.get(*name) != all.get(*name));
            changed.extend(others.cloned());
            paused.clone_from(all);
            !changed.is_empty()
        });
        changed
    }

    /// Tells of every change of pauses.
    pub(super) fn watch_pauses(&self) -> watch::Receiver<Pauses> {
        self.paused.subscribe()
    }

    /// Lets the next delivery of a target that is due be tried at once, if its breaker is open; says whether it is.
    pub fn hurry(&self, target: &TargetName) -> bool {
        let breaker = self.get(target).and_then(|view| view.breaker);
        let open = breaker.is_some_and(|breaker| breaker.state == BreakerState::Open);
        if open {
            self.hurrying(target).notify_one();
        }
        open
    }

    /// What tells the lane of a target to hurry.
    pub(super) fn hurrying(&self, target: &TargetName) -> Arc<Notify> {
        let mut all = self.hurry.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(target.clone()).or_default())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TargetName, LaneView>> {
        self.views.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(crate) fn set(&self, target: &TargetName, view: LaneView) {
        self.lock().insert(target.clone(), view);
    }
}

/// Where one lane tells what it is at. What it told is withdrawn with it.
pub(super) struct Board {
    lanes: Arc<Lanes>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    target: TargetName,
    shown: Option<LaneView>,
    /// Whether it was told that the target is paused.
    paused: Option<bool>,
    /// The next probe by both clocks, so that it is told as the same time while it is the same.
    next_probe: Option<(Instant, Timestamp)>,
}

impl Board {
    pub(super) fn new(
        lanes: Arc<Lanes>,
        metrics: Arc<Metrics>,
        clock: Arc<dyn Clock>,
        target: TargetName,
    ) -> Self {
        Self {
            lanes,
            metrics,
            clock,
            target,
            shown: None,
            paused: None,
            next_probe: None,
        }
    }

    /// Tells how it stands now, if that has changed.
    pub(super) fn show(
        &mut self,
        running: usize,
        breaker: &Breaker,
        paused: bool,
        elsewhere: bool,
    ) {
        if self.paused != Some(paused) {
            self.metrics.set_target_paused(self.target.as_str(), paused);
            self.paused = Some(paused);
        }
        let breaker = breaker.is_on().then(|| self.breaker(breaker));
        let view = LaneView {
            running,
            breaker,
            elsewhere,
        };
        if self.shown == Some(view) {
            return;
        }
        let name = self.target.as_str();
        if self.shown.is_none_or(|shown| shown.running != running) {
            self.metrics.set_target_running(name, running);
        }
        let state = view.told_state();
        let told = self.shown.map(LaneView::told_state);
        if told != Some(state) {
            let state = state.map(BreakerState::as_str);
            self.metrics.set_breaker_state(name, state);
        }
        self.shown = Some(view);
        self.lanes.lock().insert(self.target.clone(), view);
    }

    fn breaker(&mut self, breaker: &Breaker) -> BreakerView {
        let state = breaker.state();
        let is_closed = |state| state == BreakerState::Closed;
        let shown = self.shown.and_then(|shown| shown.breaker);
        let same = shown.filter(|it| is_closed(it.state) == is_closed(state));
        let next_probe = breaker.next_probe().map(|at| match self.next_probe {
            Some((known, told)) if known == at => (at, told),
            _ => {
                let wait = at.saturating_duration_since(Instant::now()) + ALMOST_ONE;
                let wait = wait.as_millis().try_into().unwrap_or(u64::MAX);
                (
                    at,
                    clock::after(self.clock.now(), Duration::from_millis(wait)),
                )
            }
        });
        self.next_probe = next_probe;
        BreakerView {
            state,
            since: same.map_or_else(|| self.clock.now(), |it| it.since),
            next_probe: next_probe.map(|(_, told)| told),
            failures_in_a_row: breaker.in_a_row(),
            last_failure: breaker.last_fault(),
        }
    }

    /// Counts that the breaker has opened.
    pub(super) fn opened(&self) {
        if self.shown.is_some() {
            self.metrics.breaker_opened(self.target.as_str());
        }
    }

    /// Withdraws what it told.
    pub(super) fn clear(&mut self) {
        self.paused = None;
        if self.shown.take().is_some() {
            self.lanes.lock().remove(&self.target);
            self.metrics.forget_target(self.target.as_str());
        }
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::BREAKER_STATES;

    #[test]
    fn every_state_has_its_series() {
        let states = [
            BreakerState::Closed,
            BreakerState::Open,
            BreakerState::HalfOpen,
        ];
        assert_eq!(states.map(BreakerState::as_str), BREAKER_STATES);
    }
}
