//! How far a replay is, on one line. Pure: times are arguments.

use std::collections::VecDeque;
use std::time::Duration;

use super::super::shapes::Replay;
use super::super::show::{Look, age, cut};

/// Over how long the pace is measured: short enough to follow a change, long enough not to flicker.
const WINDOW: Duration = Duration::from_secs(10);

/// Characters of the bar itself.
const BAR: usize = 24;

/// How fast it went lately.
#[derive(Debug, Default)]
pub(super) struct Pace(VecDeque<(Duration, u64)>);

impl Pace {
    /// So many were done then, counted from the beginning of the watch.
    pub(super) fn note(&mut self, at: Duration, done: u64) {
        self.0.push_back((at, done));
        while let (Some(_), Some((second, _))) = (self.0.front(), self.0.get(1)) {
            if at.saturating_sub(*second) < WINDOW {
                break;
            }
            self.0.pop_front();
        }
    }

    /// How many a second; `None` until that can be said.
    pub(super) fn per_second(&self) -> Option<f64> {
        let ((from, before), (to, after)) = (self.0.front()?, self.0.back()?);
        let seconds = to.saturating_sub(*from).as_secs_f64();
        let done = after.saturating_sub(*before);
        (seconds > 0.0 && done > 0).then(|| done as f64 / seconds)
    }
}

/// The line; as wide as the terminal allows.
pub(super) fn bar(replay: &Replay, per_second: Option<f64>, look: &Look) -> String {
    let mut parts = Vec::new();
    match replay.total {
        Some(total) => {
            let share = share(replay.done, total);
            let full = (share * BAR as f64).floor() as usize;
            let full = full.min(BAR);
            let bar = format!("[{}{}]", "#".repeat(full), "-".repeat(BAR - full));
            parts.push(format!("{bar} {:>3.0}%", (share * 100.0).floor()));
            parts.push(format!("{} of {total}", replay.done));
        }
        None => parts.push(format!("{} done", replay.done)),
    }
    if let Some(pace) = per_second {
        parts.push(format!("{pace:.0}/s"));
        if let Some(left) = replay.total.map(|total| total.saturating_sub(replay.done)) {
            let seconds = (left as f64 / pace).ceil();
            parts.push(format!("{} left", age(seconds as u64)));
        }
    }
    if replay.failed > 0 {
        parts.push(format!("{} failed", replay.failed));
    }
    let line = parts.join("  ");
    match look.size {
        // the last column stays free, so that no terminal goes on to the next line
        Some((width, _)) => cut(&line, width.saturating_sub(1)).into_owned(),
        None => line,
    }
}

/// From 0 to 1; nothing to do is done.
fn share(done: u64, total: u64) -> f64 {
    if total == 0 {
        return 1.0;
    }
    (done as f64 / total as f64).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::super::super::examples::read;
    use super::*;

    #[test]
    fn shares() {
        for (done, total, wanted) in [
            (0, 10, 0.0),
            (5, 10, 0.5),
            (10, 10, 1.0),
            (12, 10, 1.0),
            (0, 0, 1.0),
        ] {
            assert_eq!(share(done, total), wanted, "{done} of {total}");
        }
    }

    #[test]
    fn the_pace_is_that_of_the_last_seconds() {
        let mut pace = Pace::default();
        assert_eq!(pace.per_second(), None);
        pace.note(Duration::ZERO, 0);
        assert_eq!(pace.per_second(), None);
        pace.note(Duration::from_secs(1), 100);
        assert_eq!(pace.per_second(), Some(100.0));
        for second in 2..=30 {
            pace.note(Duration::from_secs(second), 100 + (second - 1) * 10);
        }
        assert_eq!(pace.per_second(), Some(10.0));
        let mut stuck = Pace::default();
        stuck.note(Duration::ZERO, 5);
        stuck.note(Duration::from_secs(1), 5);
        assert_eq!(stuck.per_second(), None);
    }

    #[test]
    fn lines() {
        let mut replay: Replay = read("Replay");
        replay.failed = 0;
        let mut told = |done, total, pace| {
            (replay.done, replay.total) = (done, total);
            bar(&replay, pace, &Look::PLAIN)
        };
        for (done, total, pace, wanted) in [
            (
                450,
                Some(1000),
                Some(50.0),
                "[##########--------------]  45%  450 of 1000  50/s  11s left",
            ),
            (
                999,
                Some(1000),
                None,
                "[#######################-]  99%  999 of 1000",
            ),
            (
                1000,
                Some(1000),
                Some(3.4),
                "[########################] 100%  1000 of 1000  3/s  0s left",
            ),
            (7, None, Some(2.0), "7 done  2/s"),
        ] {
            assert_eq!(told(done, total, pace), wanted);
        }
        let replay: Replay = read("Replay");
        let narrow = Look {
            size: Some((40, 10)),
            ..Look::PLAIN
        };
        assert_eq!(bar(&replay, None, &narrow).chars().count(), 39);
        assert!(bar(&replay, None, &Look::PLAIN).ends_with("1 failed"));
    }
}
