//! Counters by source and by target. Counting is an addition to an atomic; only a name that is new takes a lock for
//! writing.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::id::{SourceName, TargetName};

/// What became of a request at the public door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inbound {
    /// It is an event that a route takes.
    Routed,
    /// It is an event that no route takes.
    Unmatched,
    /// It repeats an event.
    Duplicate,
    /// It does not verify.
    Unverified,
    /// It is refused for another reason.
    Refused,
}

/// Requests since the start, or within some time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InTotals {
    /// Events that verified, all of them.
    pub received: u64,
    /// Those among them that repeat another.
    pub duplicates: u64,
    /// Those among them that no route took.
    pub unmatched: u64,
    /// Requests that did not verify.
    pub unverified: u64,
    /// Requests that were refused for another reason.
    pub refused: u64,
}

/// Attempts since the start, or within some time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OutTotals {
    /// Those that were answered 2xx.
    pub succeeded: u64,
    /// The others.
    pub failed: u64,
    /// How long all of them took.
    pub took: Duration,
}

impl InTotals {
    /// What was added since `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            received: self.received.saturating_sub(earlier.received),
            duplicates: self.duplicates.saturating_sub(earlier.duplicates),
            unmatched: self.unmatched.saturating_sub(earlier.unmatched),
            unverified: self.unverified.saturating_sub(earlier.unverified),
            refused: self.refused.saturating_sub(earlier.refused),
        }
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            received: self.received.saturating_add(other.received),
            duplicates: self.duplicates.saturating_add(other.duplicates),
            unmatched: self.unmatched.saturating_add(other.unmatched),
            unverified: self.unverified.saturating_add(other.unverified),
            refused: self.refused.saturating_add(other.refused),
        }
    }
}

impl OutTotals {
    /// What was added since `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            succeeded: self.succeeded.saturating_sub(earlier.succeeded),
            failed: self.failed.saturating_sub(earlier.failed),
            took: self.took.saturating_sub(earlier.took),
        }
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            succeeded: self.succeeded.saturating_add(other.succeeded),
            failed: self.failed.saturating_add(other.failed),
            took: self.took.saturating_add(other.took),
        }
    }
}

#[derive(Debug, Default)]
struct InTally {
    routed: AtomicU64,
    duplicates: AtomicU64,
    unmatched: AtomicU64,
    unverified: AtomicU64,
    refused: AtomicU64,
}

impl InTally {
    fn add(&self, what: Inbound) {
        let counter = match what {
            Inbound::Routed => &self.routed,
            Inbound::Unmatched => &self.unmatched,
            Inbound::Duplicate => &self.duplicates,
            Inbound::Unverified => &self.unverified,
            Inbound::Refused => &self.refused,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn totals(&self) -> InTotals {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (duplicates, unmatched) = (read(&self.duplicates), read(&self.unmatched));
        InTotals {
            received: read(&self.routed) + duplicates + unmatched,
            duplicates,
            unmatched,
            unverified: read(&self.unverified),
            refused: read(&self.refused),
        }
    }
}

#[derive(Debug, Default)]
struct OutTally {
    succeeded: AtomicU64,
    failed: AtomicU64,
    took_micros: AtomicU64,
}

impl OutTally {
    fn totals(&self) -> OutTotals {
        OutTotals {
            succeeded: self.succeeded.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            took: Duration::from_micros(self.took_micros.load(Ordering::Relaxed)),
        }
    }
}

type ByName<Name, Tally> = RwLock<HashMap<Name, Arc<Tally>>>;

/// The counters of all sources and targets. Names come from the configuration, so there are not many.
#[derive(Debug, Default)]
pub struct Tallies {
    sources: ByName<SourceName, InTally>,
    /// Requests for which there is no source.
    nowhere: InTally,
    targets: ByName<TargetName, OutTally>,
}

impl Tallies {
    /// Counts a request at the public door; `source` is `None` where no source has its path.
    pub fn inbound(&self, source: Option<&SourceName>, what: Inbound) {
        match source {
            Some(source) => of(&self.sources, source).add(what),
            None => self.nowhere.add(what),
        }
    }

    /// Counts an attempt that has ended.
    pub fn attempt(&self, target: &TargetName, succeeded: bool, took: Duration) {
        let tally = of(&self.targets, target);
        let counter = if succeeded {
            &tally.succeeded
        } else {
            &tally.failed
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        tally.took_micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// What a source has received since the start.
    #[must_use]
    pub fn source(&self, name: &SourceName) -> InTotals {
        let known = self.sources.read().unwrap_or_else(PoisonError::into_inner);
        known
            .get(name)
            .map(|tally| tally.totals())
            .unwrap_or_default()
    }

    /// What was attempted at a target since the start.
    #[must_use]
    pub fn target(&self, name: &TargetName) -> OutTotals {
        let known = self.targets.read().unwrap_or_else(PoisonError::into_inner);
        known
            .get(name)
            .map(|tally| tally.totals())
            .unwrap_or_default()
    }

    /// What all sources together have received since the start, and what came for none.
    #[must_use]
    pub fn all_sources(&self) -> InTotals {
        let known = self.sources.read().unwrap_or_else(PoisonError::into_inner);
        let each = known.values().map(|tally| tally.totals());
        each.fold(self.nowhere.totals(), InTotals::plus)
    }

    /// What was attempted at all targets together since the start.
    #[must_use]
    pub fn all_targets(&self) -> OutTotals {
        let known = self.targets.read().unwrap_or_else(PoisonError::into_inner);
        let each = known.values().map(|tally| tally.totals());
        each.fold(OutTotals::default(), OutTotals::plus)
    }
}

/// The tally of a name, which is made if there is none yet.
fn of<Name: Clone + Eq + Hash, Tally: Default>(
    all: &ByName<Name, Tally>,
    name: &Name,
) -> Arc<Tally> {
    let known = all.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(tally) = known.get(name) {
        return Arc::clone(tally);
    }
    drop(known);
    let mut all = all.write().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(all.entry(name.clone()).or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_adds_up() {
        let tallies = Tallies::default();
        let wreno: SourceName = "wreno".parse().unwrap();
        for what in [
            Inbound::Routed,
            Inbound::Routed,
            Inbound::Unmatched,
            Inbound::Duplicate,
            Inbound::Unverified,
            Inbound::Refused,
        ] {
            tallies.inbound(Some(&wreno), what);
        }
        tallies.inbound(None, Inbound::Refused);
        let wanted = InTotals {
            received: 4,
            duplicates: 1,
            unmatched: 1,
            unverified: 1,
            refused: 1,
        };
        assert_eq!(tallies.source(&wreno), wanted);
        let all = InTotals {
            refused: 2,
            ..wanted
        };
        assert_eq!(tallies.all_sources(), all);
        assert_eq!(
            tallies.source(&"other".parse().unwrap()),
            InTotals::default()
        );
        let (erp, took) = ("erp".parse().unwrap(), Duration::from_millis(250));
        tallies.attempt(&erp, true, took);
        tallies.attempt(&erp, false, took);
        tallies.attempt(&"audit".parse().unwrap(), true, took);
        let wanted = OutTotals {
            succeeded: 1,
            failed: 1,
            took: took * 2,
        };
        assert_eq!(tallies.target(&erp), wanted);
        assert_eq!(tallies.all_targets().took, took * 3);
    }
}
