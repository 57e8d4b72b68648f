//! The database's clock, as this process keeps it: every instance goes by it, so that none of their own clocks is ever compared with
//! another.
//!
//! Promise: it never goes back. Between two looks at the database it goes on with this machine's monotonic clock.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::clock::Clock;
use crate::store::record;

/// The clock of the database.
#[derive(Debug)]
pub(super) struct DatabaseClock(Mutex<Known>);

#[derive(Debug)]
struct Known {
    /// What the database showed, in milliseconds since 1970, and when.
    shown: i64,
    at: Instant,
    /// The last time that was given out.
    last: i64,
}

impl DatabaseClock {
    /// A clock that shows this now.
    pub(super) fn new(shown: i64) -> Self {
        Self(Mutex::new(Known {
            shown,
            at: Instant::now(),
            last: shown,
        }))
    }

    /// The database showed this at some time between `asked` and now: in the middle of it, as far as one can know.
    pub(super) fn set(&self, shown: i64, asked: Instant) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.at = asked + asked.elapsed() / 2;
        known.shown = shown;
    }
}

impl Clock for DatabaseClock {
    fn now(&self) -> Timestamp {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since = Instant::now().saturating_duration_since(known.at);
        let shown = known.shown.saturating_add(millis(since));
        known.last = known.last.max(shown);
        record::time(known.last)
    }
}

fn millis(span: Duration) -> i64 {
    record::span(span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_the_database_and_never_goes_back() {
        let clock = DatabaseClock::new(1_000_000);
        let first = clock.now();
        assert!(first.as_millisecond() >= 1_000_000);
        clock.set(2_000_000, Instant::now());
        let second = clock.now();
        assert!(second.as_millisecond() >= 2_000_000);
        clock.set(1_500_000, Instant::now());
        assert!(clock.now() >= second, "held, not set back");
    }
}
