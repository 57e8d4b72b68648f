//! When stored things fall due, whatever the machine's clock does. Due times are points of the clock that was there when
//! they were set. If the clock is set back, they would wait for it to be there again, a day if it was a day ahead; so
//! the store's own time goes on from where it was, and comes together with the clock when that is set forth again.
//!
//! Pure: the clock's time and a monotonic one are arguments.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Milliseconds by which a clock may be off without being taken for set: clocks are adjusted by less all the time.
const STEP: i64 = 60_000;

/// The store's time.
#[derive(Debug, Default)]
pub struct Timeline(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    /// The clock's time and the monotonic one as they were last.
    last: Option<(i64, Instant)>,
    /// Milliseconds by which the store's time is ahead of the clock's.
    ahead: i64,
}

impl Timeline {
    /// The clock shows `clock`, and the store has been at `latest` before.
    pub fn begin(&self, clock: i64, latest: i64, at: Instant) {
        let ahead = latest.saturating_sub(clock);
        *self.lock() = Seen {
            last: Some((clock, at)),
            ahead: if ahead > STEP { ahead } else { 0 },
        };
        if ahead > STEP {
            let minutes = ahead / 60_000;
            tracing::warn!(minutes, "the clock is behind what is stored");
        }
    }

    /// The store's time while the clock shows `clock`.
    pub fn now(&self, clock: i64, at: Instant) -> i64 {
        let mut seen = self.lock();
        let (last, since) = seen.last.unwrap_or((clock, at));
        let passed = at.saturating_duration_since(since).as_millis();
        let passed = i64::try_from(passed).unwrap_or(i64::MAX);
        let step = clock.saturating_sub(last.saturating_add(passed));
        if step < -STEP {
            seen.ahead = seen.ahead.saturating_sub(step);
            let minutes = -step / 60_000;
            tracing::warn!(minutes, "the clock was set back");
        } else if step > STEP {
            seen.ahead = seen.ahead.saturating_sub(step).max(0);
        }
        seen.last = Some((clock, at));
        clock.saturating_add(seen.ahead)
    }

    /// Milliseconds by which the store's time is ahead of the clock's.
    pub fn ahead(&self) -> i64 {
        self.lock().ahead
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_goes_on_where_the_clock_is_set_back_and_meets_it_again() {
        const DAY: i64 = 24 * 3_600_000;
        let line = Timeline::default();
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        line.begin(1000 * DAY, 0, start);
        for (passed, clock, wanted) in [
            (0, 1000 * DAY, 1000 * DAY),
            (10, 1000 * DAY + 10, 1000 * DAY + 10),
            // an adjustment
            (20, 1000 * DAY - 5000, 1000 * DAY - 5000),
            // set back by a day
            (1020, 999 * DAY - 4000, 1000 * DAY - 4000),
            (2020, 999 * DAY - 3000, 1000 * DAY - 3000),
            // set right
            (3020, 1000 * DAY - 2000, 1000 * DAY - 2000),
            // set forth
            (4020, 1003 * DAY - 1000, 1003 * DAY - 1000),
        ] {
            assert_eq!(line.now(clock, at(passed)), wanted, "after {passed} ms");
        }
    }

    #[test]
    fn a_start_takes_up_where_the_store_was() {
        let start = Instant::now();
        for (clock, latest, ahead) in [
            (10_000_000, 0, 0),
            (10_000_000, 10_000_500, 0),
            (10_000_000, 13_600_000, 3_600_000),
        ] {
            let line = Timeline::default();
            line.begin(clock, latest, start);
            assert_eq!(line.ahead(), ahead);
            assert_eq!(line.now(clock, start), clock + ahead);
        }
    }
}
