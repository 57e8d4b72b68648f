//! How many attempts to a target may begin now, so that they keep to its rate. Pure: `now` is an argument.
//!
//! Promise: the slots of attempts are evenly spaced, and an attempt begins at most [`CATCH_UP`] after its slot, or the slot
//! is put off. So in any second there begin at most 1.01 times the rate, and one. What was not needed is not
//! saved up. Not here: who waits (see `run`).

use std::time::{Duration, Instant};

use crate::units::Rate;

/// How late an attempt may begin without those after it being put off as well: above the grain of the runtime's
/// timer (1 ms) and what a busy machine adds to it, below what anybody would call a burst.
const CATCH_UP: Duration = Duration::from_millis(10);

/// The shortest wait for a slot; at high rates several slots fall due meanwhile and are used at once. Well
/// below [`CATCH_UP`], so that none is lost.
const GRAIN: Duration = Duration::from_millis(2);

/// Paces the attempts of one target.
#[derive(Debug, Default)]
pub(super) struct Pacer {
    /// The time from slot to slot; `None` is no limit.
    interval: Option<Duration>,
    /// The last slot that was taken; never later than the attempt that took it began.
    last: Option<Instant>,
}

/// A slot that was taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    before: Option<Instant>,
    at: Instant,
}

impl Pacer {
    /// Goes by another rate from the next attempt on.
    pub(super) fn adopt(&mut self, rate: Option<Rate>) {
        self.interval = rate.map(Rate::interval);
    }

    /// How many attempts may begin now.
    pub(super) fn room(&self, now: Instant) -> usize {
        let Some(interval) = self.interval else {
            return usize::MAX;
        };
        match now.checked_duration_since(self.next(interval, now)) {
            Some(late) => {
                let more = late.as_nanos() / interval.as_nanos().max(1);
                usize::try_from(more).map_or(usize::MAX, |more| more.saturating_add(1))
            }
            None => 0,
        }
    }

    /// When to look again if there is no room now.
    pub(super) fn wake(&self, now: Instant) -> Instant {
        let next = self.interval.map_or(now, |every| self.next(every, now));
        next.max(now + GRAIN)
    }

    /// An attempt begins.
    pub(super) fn take(&mut self, now: Instant) -> Slot {
        let at = match self.interval {
            Some(interval) => self.next(interval, now).min(now),
            None => now,
        };
        let before = self.last.replace(at);
        Slot { before, at }
    }

    /// What had taken the slot did not send anything after all. If no other has been taken since, it is free again;
    /// otherwise it is lost, since what came later was spaced by it.
    pub(super) fn give_back(&mut self, slot: Slot) {
        if self.last == Some(slot.at) {
            self.last = slot.before;
        }
    }

    /// The next slot; what lies further back than [`CATCH_UP`] has passed unused.
    fn next(&self, interval: Duration, now: Instant) -> Instant {
        let Some(last) = self.last else {
            return now;
        };
        let earliest = now.checked_sub(CATCH_UP).unwrap_or(now);
        (last + interval).max(earliest)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::units::parse_rate;

    fn pacer(rate: &str) -> Pacer {
        let mut pacer = Pacer::default();
        pacer.adopt(Some(parse_rate(rate).unwrap()));
        pacer
    }

    /// Begins what may begin at these times, in microseconds since the start; gives back how many at each.
    fn begun(pacer: &mut Pacer, start: Instant, micros: &[u64]) -> Vec<usize> {
        let at = |micros| start + Duration::from_micros(micros);
        let mut all = Vec::new();
        for now in micros.iter().copied().map(at) {
            let room = pacer.room(now);
            for _ in 0..room {
                pacer.take(now);
            }
            assert_eq!(pacer.room(now), 0);
            all.push(room);
        }
        all
    }

    #[test]
    fn slots_are_spaced_and_little_is_caught_up() {
        for (rate, micros, wanted) in [
            // on time, and a little early
            ("50/s", &[0, 20_000, 39_999, 40_000][..], &[1, 1, 0, 1][..]),
            // a late one does not put off the next
            ("50/s", &[0, 29_000, 40_000], &[1, 1, 1]),
            // a very late one does: 10 ms are caught up
            ("50/s", &[0, 95_000, 104_999, 105_000], &[1, 1, 0, 1]),
            // nothing is saved up
            ("50/s", &[0, 60_000_000, 60_009_999], &[1, 1, 0]),
            // several at once at a high rate, as far as that was late
            ("5000/s", &[0, 1000, 3000, 3100], &[1, 5, 10, 0]),
            ("5000/s", &[0, 1_000_000], &[1, 51]),
            ("6/m", &[0, 9_999_999, 10_000_000], &[1, 0, 1]),
        ] {
            let got = begun(&mut pacer(rate), Instant::now(), micros);
            assert_eq!(got, wanted, "{rate} {micros:?}");
        }
    }

    #[test]
    fn without_a_rate_there_is_always_room() {
        let mut pacer = Pacer::default();
        let now = Instant::now();
        pacer.take(now);
        assert_eq!(pacer.room(now), usize::MAX);
    }

    #[test]
    fn another_rate_counts_from_the_last_attempt() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut pacer = pacer("10/h");
        pacer.take(start);
        assert_eq!(pacer.room(after(300)), 0);
        pacer.adopt(Some(parse_rate("1/s").unwrap()));
        assert_eq!(pacer.room(after(300)), 1);
        pacer.take(after(300));
        // off and on again is no way around it
        pacer.adopt(None);
        pacer.take(after(300));
        pacer.adopt(Some(parse_rate("1/m").unwrap()));
        assert_eq!(pacer.room(after(359)), 0);
        assert_eq!(pacer.room(after(360)), 1);
        assert_eq!(pacer.wake(after(301)), after(360));
    }

    #[test]
    fn a_slot_is_free_again_if_it_was_the_last() {
        let start = Instant::now();
        let mut pacer = pacer("1/s");
        let (first, second) = (pacer.take(start), start + Duration::from_secs(1));
        pacer.give_back(first);
        assert_eq!(pacer.room(start), 1);
        let first = pacer.take(start);
        pacer.take(second);
        pacer.give_back(first);
        assert_eq!(pacer.room(second), 0);
    }

    proptest! {
        /// However late it is asked, in any second there begin at most 1.01 times the rate, and one.
        #[test]
        fn no_second_has_more(
            rate in 1_u32..2000,
            waits in prop::collection::vec(0_u64..60_000, 1..400),
        ) {
            let mut pacer = pacer(&format!("{rate}/s"));
            let mut now = Instant::now();
            let mut begun = Vec::new();
            for wait in waits {
                now += Duration::from_micros(wait);
                for _ in 0..pacer.room(now) {
                    pacer.take(now);
                    begun.push(now);
                }
            }
            let most = f64::from(rate) * 1.01 + 1.0;
            for (index, first) in begun.iter().enumerate() {
                let within = |at: &&Instant| **at < *first + Duration::from_secs(1);
                let count = begun[index..].iter().take_while(within).count();
                prop_assert!(count as f64 <= most, "{count} in a second at {rate}/s");
            }
        }
    }
}
