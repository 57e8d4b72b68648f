//! When the next one may be taken up, so that a replay keeps its rate. Pure: `now` is an argument.

use std::time::{Duration, Instant};

use crate::units::Rate;

/// How much of what was put off by a slow store or a busy machine is caught up at once.
const CATCH_UP: Duration = Duration::from_millis(100);

/// Spaces what is taken up evenly. What was not used is not saved up.
#[derive(Debug)]
pub(super) struct Pace {
    interval: Option<Duration>,
    next: Option<Instant>,
}

impl Pace {
    pub(super) fn new(rate: Option<Rate>) -> Self {
        Self {
            interval: rate.map(Rate::interval),
            next: None,
        }
    }

    /// Takes the next turn; gives when it is.
    pub(super) fn turn(&mut self, now: Instant) -> Instant {
        let Some(interval) = self.interval else {
            return now;
        };
        let earliest = now.checked_sub(CATCH_UP).unwrap_or(now);
        let turn = self.next.map_or(now, |next| next.max(earliest));
        self.next = turn.checked_add(interval);
        turn.max(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::parse_rate;

    #[test]
    fn turns_are_spaced_and_little_is_caught_up() {
        let start = Instant::now();
        let ms = |millis| start + Duration::from_millis(millis);
        let mut pace = Pace::new(parse_rate("50/s").ok());
        for (now, turn) in [
            (0, 0),
            (0, 20),
            (20, 40),
            // late by less than is caught up: the slots stay
            (90, 90),
            (90, 90),
            (90, 100),
            // late by far: 100 ms of slots, no more
            (10_000, 10_000),
            (10_000, 10_000),
            (10_000, 10_000),
            (10_000, 10_000),
            (10_000, 10_000),
            (10_000, 10_000),
            (10_000, 10_020),
        ] {
            assert_eq!(pace.turn(ms(now)), ms(turn), "{now}");
        }
    }

    #[test]
    fn without_a_rate_it_is_now() {
        let mut pace = Pace::new(None);
        let now = Instant::now();
        assert_eq!((pace.turn(now), pace.turn(now)), (now, now));
    }
}
