//! The breaker of a target: whether attempts may begin. Pure: `now` is an argument, nothing waits here.
//!
//! Promise: a target that is down gets one attempt at a time, a probe, until one succeeds. The first probe comes 1 s
//! after the breaker opened, later ones at most 15 s after the one before began, or when that has ended.
//! Not here: who claims and waits (see `run`), what the operator sees of it (see `lanes`).
//!
//! An attempt that began before the breaker opened or closed says nothing afterwards. Its failure has no news. Its
//! success would have, but where every second attempt fails there is always such a one, and it would close what
//! the ratio has just opened; a probe is never far.

use std::fmt;
use std::time::{Duration, Instant};

use super::lanes::BreakerState;
use super::window::Window;
use crate::delivery::{Failure, Outcome};
use crate::plan::BreakerPolicy;

/// From the opening to the first probe, then from the beginning of a probe that failed to the next; the last one
/// repeats. Short at first, since most are back soon; 15 s is what a target that is back waits at most.
const PROBE_DELAYS: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(15),
];

/// How an attempt failed, where that says that its target is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// By this HTTP status.
    Status(u16),
    /// No whole answer came.
    NoAnswer(Failure),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "status {status}"),
            Self::NoAnswer(failure) => f.write_str(failure.as_str()),
        }
    }
}

/// What an attempt says of its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is up.
    Up,
    /// It is down, or asks for a rest.
    Down(Fault),
    /// Nothing: no request was sent, or it was cut off at the end.
    Unknown,
}

impl Verdict {
    /// What an outcome says. A status below 500 is an answer of a target that is up, whatever it thinks of the
    /// request; but for 408 and 429, by which it says that it cannot take more now.
    pub(super) fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Answered {
                status: status @ (408 | 429 | 500..=599),
                ..
            } => Self::Down(Fault::Status(*status)),
            Outcome::Answered { .. } => Self::Up,
            Outcome::Failed { failure, .. } => Self::Down(Fault::NoAnswer(*failure)),
            Outcome::Unsendable { .. } => Self::Unknown,
        }
    }
}

/// Whether attempts may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Permit {
    /// As many as one likes.
    Free,
    /// One, which is the probe.
    Probe,
    /// None before this time.
    NotBefore(Instant),
    /// None before the probe under way has ended.
    AfterProbe,
}

/// Which round an attempt began in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket(u64);

/// That the breaker has opened or closed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Turn {
    /// It has opened.
    Opened(Why),
    /// It has closed.
    Closed,
}

/// Why it has opened.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Why {
    /// So many attempts in a row have failed.
    InARow(u32),
    /// So many of these attempts have failed.
    Share { failed: u32, of: u32 },
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InARow(count) => write!(f, "{count} attempts in a row have failed"),
            Self::Share { failed, of } => write!(f, "{failed} of {of} attempts have failed"),
        }
    }
}

/// The breaker of one target.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    /// `None` is off: it never opens.
    policy: Option<BreakerPolicy>,
    state: State,
    /// Counts how often it has opened and closed.
    round: u64,
    in_a_row: u32,
    last_fault: Option<Fault>,
    window: Window,
}

#[derive(Debug, Clone, Copy, Default)]
enum State {
    #[default]
    Closed,
    /// So many probes have failed, and the next one is not to begin before this time.
    Open { failed: usize, next: Instant },
    /// A probe is under way, which began then.
    HalfOpen { failed: usize, began: Instant },
}

impl Breaker {
    /// Goes by another policy from now on. What was counted stays, and one that is open stays open, unless it is
    /// off from now on. A window of another length is begun anew.
    pub(super) fn adopt(&mut self, policy: Option<BreakerPolicy>) -> Option<Turn> {
        let Some(new) = policy else {
            let was_open = self.state() != BreakerState::Closed;
            let round = self.round + 1;
            *self = Self {
                round,
                ..Self::default()
            };
            return was_open.then_some(Turn::Closed);
        };
        if self.policy.is_some_and(|old| old.window != new.window) {
            self.window = Window::default();
        }
        self.policy = policy;
        None
    }

    /// The process that had the target until now took it to be down: open, as if it had opened now. Says whether it is,
    /// which it is not where it is off.
    pub(super) fn inherit(&mut self, now: Instant) -> bool {
        if self.is_on() && self.state() == BreakerState::Closed {
            let next = now + probe_delay(0);
            self.turn(State::Open { failed: 0, next });
        }
        self.state() != BreakerState::Closed
    }

    /// Another process has the target from now on: what was counted here, and what is under way, says nothing any more.
    pub(super) fn forget(&mut self) {
        *self = Self {
            policy: self.policy,
            round: self.round + 1,
            ..Self::default()
        };
    }

    /// Whether it can open.
    pub(super) fn is_on(&self) -> bool {
        self.policy.is_some()
    }

    pub(super) fn state(&self) -> BreakerState {
        match self.state {
            State::Closed => BreakerState::Closed,
            State::Open { .. } => BreakerState::Open,
            State::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// When the next probe may begin, while it is open.
    pub(super) fn next_probe(&self) -> Option<Instant> {
        match self.state {
            State::Open { next, .. } => Some(next),
            State::Closed | State::HalfOpen { .. } => None,
        }
    }

    /// How many attempts have failed since the last one that did not, probes included.
    pub(super) fn in_a_row(&self) -> u32 {
        self.in_a_row
    }

    /// How the last one that failed did.
    pub(super) fn last_fault(&self) -> Option<Fault> {
        self.last_fault
    }

    /// Whether attempts may begin now.
    pub(super) fn permit(&self, now: Instant) -> Permit {
        match self.state {
            State::Closed => Permit::Free,
            State::Open { next, .. } if next <= now => Permit::Probe,
            State::Open { next, .. } => Permit::NotBefore(next),
            State::HalfOpen { .. } => Permit::AfterProbe,
        }
    }

    /// The next probe may begin now, if one is waited for.
    pub(super) fn hurry(&mut self, now: Instant) {
        if let State::Open { next, .. } = &mut self.state {
            *next = (*next).min(now);
        }
    }

    /// An attempt begins, as [`Breaker::permit`] allowed.
    pub(super) fn begin(&mut self, now: Instant) -> Ticket {
        if let State::Open { failed, .. } = self.state {
            self.state = State::HalfOpen { failed, began: now };
        }
        Ticket(self.round)
    }

    /// An attempt has ended; says if it has opened or closed the breaker.
    pub(super) fn end(&mut self, ticket: Ticket, verdict: Verdict, now: Instant) -> Option<Turn> {
        if ticket.0 != self.round {
            return None;
        }
        match (self.state, verdict) {
            (State::Closed, Verdict::Up) => self.count(None, now),
            (State::Closed, Verdict::Down(fault)) => self.count(Some(fault), now),
            (State::Closed, Verdict::Unknown) => None,
            (State::HalfOpen { .. }, Verdict::Up) => {
                self.turn(State::Closed);
                self.in_a_row = 0;
                self.window = Window::default();
                Some(Turn::Closed)
            }
            (State::HalfOpen { failed, began }, Verdict::Down(fault)) => {
                self.fail(fault);
                let failed = failed + 1;
                let next = (began + probe_delay(failed)).max(now);
                self.state = State::Open { failed, next };
                None
            }
            // As if it had not been made: the next one may begin at once.
            (State::HalfOpen { failed, .. }, Verdict::Unknown) => {
                self.state = State::Open { failed, next: now };
                None
            }
            // Only a probe has this round's ticket, and it ends once.
            (State::Open { .. }, _) => None,
        }
    }

    /// Counts the end of an attempt while closed. The ratio is looked at when one succeeds as well, since that
    /// may be what makes enough of them.
    fn count(&mut self, fault: Option<Fault>, now: Instant) -> Option<Turn> {
        let policy = self.policy?;
        match fault {
            Some(fault) => self.fail(fault),
            None => self.in_a_row = 0,
        }
        let (failed, of) = self.window.note(fault.is_some(), policy.window, now);
        let why = if self.in_a_row >= policy.failures {
            Why::InARow(self.in_a_row)
        } else if of >= policy.requests && f64::from(failed) / f64::from(of) >= policy.ratio {
            Why::Share { failed, of }
        } else {
            return None;
        };
        let next = now + probe_delay(0);
        self.turn(State::Open { failed: 0, next });
        Some(Turn::Opened(why))
    }

    fn fail(&mut self, fault: Fault) {
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.last_fault = Some(fault);
    }

    fn turn(&mut self, state: State) {
        self.state = state;
        self.round += 1;
    }
}

fn probe_delay(failed: usize) -> Duration {
    let [.., last] = PROBE_DELAYS;
    PROBE_DELAYS.get(failed).copied().unwrap_or(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::DeadReason;

    const POLICY: BreakerPolicy = BreakerPolicy {
        failures: 3,
        ratio: 0.5,
        requests: 6,
        window: Duration::from_secs(30),
    };

    const DOWN: Verdict = Verdict::Down(Fault::Status(503));

    fn breaker() -> Breaker {
        let mut breaker = Breaker::default();
        assert_eq!(breaker.adopt(Some(POLICY)), None);
        breaker
    }

    /// A breaker that opened `at` this time.
    fn opened(at: Instant) -> Breaker {
        let mut breaker = breaker();
        for _ in 0..POLICY.failures {
            one(&mut breaker, DOWN, at);
        }
        assert_eq!(breaker.state(), BreakerState::Open);
        breaker
    }

    /// An attempt that begins and ends now.
    fn one(breaker: &mut Breaker, verdict: Verdict, now: Instant) -> Option<Turn> {
        let ticket = breaker.begin(now);
        breaker.end(ticket, verdict, now)
    }

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn a_probe_can_be_hurried() {
        let start = Instant::now();
        let mut breaker = opened(start);
        assert!(matches!(breaker.permit(start), Permit::NotBefore(_)));
        breaker.hurry(start);
        assert_eq!(breaker.permit(start), Permit::Probe);
        let ticket = breaker.begin(start);
        breaker.hurry(start);
        assert_eq!(breaker.permit(start), Permit::AfterProbe);
        breaker.end(ticket, Verdict::Up, start);
        breaker.hurry(start);
        assert_eq!(breaker.permit(start), Permit::Free);
    }

    #[test]
    fn a_target_that_was_down_elsewhere_is_probed_first() {
        let start = Instant::now();
        let mut breaker = breaker();
        let straggler = breaker.begin(start);
        assert!(breaker.inherit(start));
        let next = start + seconds(1.0);
        assert_eq!(breaker.permit(start), Permit::NotBefore(next));
        assert_eq!(breaker.end(straggler, Verdict::Up, start), None);
        assert!(breaker.inherit(next), "it is told once more");
        assert_eq!(breaker.permit(next), Permit::Probe);
        assert_eq!(one(&mut breaker, Verdict::Up, next), Some(Turn::Closed));
        let mut off = Breaker::default();
        assert!(!off.inherit(start));
        assert_eq!(off.permit(start), Permit::Free);
    }

    #[test]
    fn what_was_counted_is_forgotten_with_the_target() {
        let start = Instant::now();
        let mut breaker = opened(start);
        let probe = breaker.begin(start + seconds(1.0));
        breaker.forget();
        assert_eq!(
            (breaker.permit(start), breaker.in_a_row()),
            (Permit::Free, 0)
        );
        assert_eq!(breaker.end(probe, DOWN, start + seconds(2.0)), None);
        assert!(breaker.is_on());
        for _ in 1..POLICY.failures {
            assert_eq!(one(&mut breaker, DOWN, start), None);
        }
        let why = Why::InARow(POLICY.failures);
        assert_eq!(one(&mut breaker, DOWN, start), Some(Turn::Opened(why)));
    }

    #[test]
    fn outcomes_say_whether_a_target_is_up() {
        let answered = |status| Outcome::Answered {
            status,
            retry_after: None,
            snippet: String::new(),
        };
        for status in [200, 204, 301, 400, 401, 404, 409, 410, 422, 499, 600] {
            let verdict = Verdict::of(&answered(status));
            assert_eq!(verdict, Verdict::Up, "{status}");
        }
        for status in [408, 429, 500, 502, 503, 504, 599] {
            let verdict = Verdict::of(&answered(status));
            let wanted = Verdict::Down(Fault::Status(status));
            assert_eq!(verdict, wanted, "{status}");
        }
        for failure in [
            Failure::Dns,
            Failure::Connect,
            Failure::Tls,
            Failure::Timeout,
            Failure::Closed,
            Failure::Protocol,
            Failure::Egress,
            Failure::Token,
        ] {
            let detail = String::new();
            let verdict = Verdict::of(&Outcome::Failed { failure, detail });
            assert_eq!(verdict, Verdict::Down(Fault::NoAnswer(failure)));
        }
        let unsendable = Outcome::Unsendable {
            reason: DeadReason::Render,
            detail: String::new(),
        };
        assert_eq!(Verdict::of(&unsendable), Verdict::Unknown);
    }

    /// `D`own, `U`p and `-` for unknown, each a tenth of a second after the one before, a blank is 10 s; what opened
    /// it, if anything.
    #[test]
    fn it_opens_on_failures_in_a_row_or_on_a_share() {
        let in_a_row = |count| Some(Why::InARow(count));
        let share = |failed, of| Some(Why::Share { failed, of });
        for (story, wanted) in [
            ("DD", None),
            ("DDD", in_a_row(3)),
            ("D D D", in_a_row(3)),
            ("DDUDDU", share(4, 6)),
            ("DDUDDUUUUUU", share(4, 6)),
            ("D-D-D", in_a_row(3)),
            ("DDUDU", None),
            // half of six, the last of which succeeds
            ("DUDUDU", share(3, 6)),
            ("UUUUDUUDUUUD", None),
            ("UUUUDDUDDUDD", share(6, 12)),
            // what lies back further than 30 s does not count
            ("DUDUD    U", None),
            ("UUUUUU    DDUDDU", share(4, 6)),
            ("------------", None),
        ] {
            let mut now = Instant::now();
            let mut breaker = breaker();
            let mut why = None;
            for event in story.chars() {
                let verdict = match event {
                    'D' => DOWN,
                    'U' => Verdict::Up,
                    '-' => Verdict::Unknown,
                    _ => {
                        now += seconds(10.0);
                        continue;
                    }
                };
                now += seconds(0.1);
                if let Some(Turn::Opened(found)) = one(&mut breaker, verdict, now) {
                    why = Some(found);
                    break;
                }
            }
            assert_eq!(why, wanted, "{story:?}");
        }
    }

    #[test]
    fn probes_come_later_and_later_but_at_most_15_s_apart() {
        let mut began = Instant::now();
        let mut breaker = opened(began);
        for delay in [1, 2, 4, 8, 15, 15, 15] {
            let next = began + Duration::from_secs(delay);
            let just_before = next - Duration::from_nanos(1);
            assert_eq!(breaker.permit(began), Permit::NotBefore(next));
            assert_eq!(breaker.permit(just_before), Permit::NotBefore(next));
            assert_eq!(breaker.next_probe(), Some(next));
            assert_eq!(breaker.permit(next), Permit::Probe);
            let ticket = breaker.begin(next);
            assert_eq!(breaker.state(), BreakerState::HalfOpen);
            assert_eq!(breaker.permit(next + seconds(99.0)), Permit::AfterProbe);
            assert_eq!(breaker.next_probe(), None);
            // it takes half a second, which counts
            assert_eq!(breaker.end(ticket, DOWN, next + seconds(0.5)), None);
            began = next;
        }
        assert_eq!(breaker.in_a_row(), POLICY.failures + 7);
    }

    #[test]
    fn after_a_probe_that_took_longer_the_next_one_follows_at_once() {
        let start = Instant::now();
        let mut breaker = opened(start);
        let ticket = breaker.begin(start + seconds(1.0));
        let ended = start + seconds(7.0);
        breaker.end(ticket, DOWN, ended);
        assert_eq!(breaker.permit(ended), Permit::Probe);
        assert_eq!(breaker.next_probe(), Some(ended));
    }

    #[test]
    fn a_probe_that_succeeds_closes_it_and_everything_is_counted_anew() {
        let now = Instant::now() + seconds(1.0);
        let mut breaker = opened(now - seconds(1.0));
        assert_eq!(one(&mut breaker, Verdict::Up, now), Some(Turn::Closed));
        assert_eq!(breaker.permit(now), Permit::Free);
        for _ in 1..POLICY.failures {
            assert_eq!(one(&mut breaker, DOWN, now), None);
        }
        let why = Why::InARow(POLICY.failures);
        let turned = one(&mut breaker, DOWN, now);
        assert_eq!(turned, Some(Turn::Opened(why)));
        assert_eq!(breaker.next_probe(), Some(now + seconds(1.0)));
    }

    #[test]
    fn a_probe_that_says_nothing_is_followed_by_another_one() {
        let start = Instant::now();
        let mut breaker = opened(start);
        let now = start + seconds(1.0);
        assert_eq!(one(&mut breaker, Verdict::Unknown, now), None);
        assert_eq!(breaker.permit(now), Permit::Probe);
        assert_eq!(breaker.in_a_row(), POLICY.failures);
        one(&mut breaker, DOWN, now);
        assert_eq!(breaker.next_probe(), Some(now + seconds(2.0)));
    }

    #[test]
    fn attempts_of_an_earlier_round_say_nothing() {
        let start = Instant::now();
        for late in [DOWN, Verdict::Up, Verdict::Unknown] {
            let mut breaker = breaker();
            let stragglers: Vec<Ticket> = (0..9).map(|_| breaker.begin(start)).collect();
            let mut stragglers = stragglers.into_iter();
            for ticket in stragglers.by_ref().take(3) {
                breaker.end(ticket, DOWN, start);
            }
            let mut straggle = |breaker: &mut Breaker, now| {
                for ticket in stragglers.by_ref().take(2) {
                    assert_eq!(breaker.end(ticket, late, now), None);
                }
            };
            let now = start + seconds(1.0);
            straggle(&mut breaker, now);
            assert_eq!(
                (breaker.permit(now), breaker.in_a_row()),
                (Permit::Probe, 3)
            );
            let probe = breaker.begin(now);
            straggle(&mut breaker, now);
            assert_eq!(breaker.permit(now), Permit::AfterProbe);
            assert_eq!(breaker.end(probe, Verdict::Up, now), Some(Turn::Closed));
            straggle(&mut breaker, now);
            assert_eq!((breaker.permit(now), breaker.in_a_row()), (Permit::Free, 0));
        }
    }

    #[test]
    fn another_policy_keeps_it_open_and_off_closes_it() {
        let start = Instant::now();
        let mut breaker = opened(start);
        let next = breaker.next_probe();
        let lax = BreakerPolicy {
            failures: 100,
            window: seconds(1.0),
            ..POLICY
        };
        assert_eq!(breaker.adopt(Some(lax)), None);
        assert_eq!(breaker.next_probe(), next);
        let probe = breaker.begin(start + seconds(1.0));
        assert_eq!(breaker.adopt(None), Some(Turn::Closed));
        assert!(!breaker.is_on());
        assert_eq!(breaker.end(probe, DOWN, start + seconds(2.0)), None);
        for _ in 0..100 {
            assert_eq!(one(&mut breaker, DOWN, start), None);
        }
        assert_eq!(breaker.permit(start), Permit::Free);
        assert_eq!(breaker.adopt(None), None);
        // what was not counted while it was off does not count afterwards
        breaker.adopt(Some(POLICY));
        assert_eq!(one(&mut breaker, DOWN, start), None);
        assert_eq!(breaker.in_a_row(), 1);
    }

    #[test]
    fn a_stricter_policy_goes_by_what_was_counted() {
        let now = Instant::now();
        let mut breaker = breaker();
        one(&mut breaker, DOWN, now);
        let strict = BreakerPolicy {
            failures: 2,
            ..POLICY
        };
        assert_eq!(breaker.adopt(Some(strict)), None);
        let turned = one(&mut breaker, DOWN, now);
        assert_eq!(turned, Some(Turn::Opened(Why::InARow(2))));
    }
}
