//! Sources that wait for a secret to be handed over, since an operator has said so.
//!
//! Promise: for a bounded time, and for one secret; a daemon that begins anew waits for none.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::id::SourceName;

/// Longest time for which a source may be armed: as long, anybody who knows its path can hand a secret over.
pub const MAX_ARMED: Duration = Duration::from_secs(3600);

/// Until when sources wait.
#[derive(Debug, Default)]
pub struct Armed(Mutex<BTreeMap<SourceName, Timestamp>>);

impl Armed {
    /// Has a source wait until then.
    pub fn arm(&self, source: &SourceName, until: Timestamp) {
        self.lock().insert(source.clone(), until);
    }

    /// Has it not wait any more; until when it would have.
    pub fn take(&self, source: &SourceName, now: Timestamp) -> Option<Timestamp> {
        self.lock().remove(source).filter(|until| *until > now)
    }

    /// Until when it waits, if it does.
    #[must_use]
    pub fn until(&self, source: &SourceName, now: Timestamp) -> Option<Timestamp> {
        self.lock()
            .get(source)
            .copied()
            .filter(|until| *until > now)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SourceName, Timestamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_waits_for_one_secret_and_not_for_ever() {
        let (armed, source) = (Armed::default(), "asana".parse().unwrap());
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(armed.until(&source, at(0)), None);
        armed.arm(&source, at(10));
        assert_eq!(armed.until(&source, at(9)), Some(at(10)));
        assert_eq!(armed.until(&source, at(10)), None);
        assert_eq!(armed.take(&source, at(9)), Some(at(10)));
        assert_eq!(armed.take(&source, at(9)), None);
        armed.arm(&source, at(10));
        assert_eq!(armed.take(&source, at(10)), None);
    }
}
