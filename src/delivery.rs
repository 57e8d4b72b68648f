//! One event on its way to one target, what its attempts came to, and what follows from that.
//!
//! Pure: `now` and the random source are arguments. Not here: how an attempt is made (see `dispatch`)
//! and when the next one is due by which schedule (see `retry`).

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::id::{DeliveryId, Digest, EventId, ReplayId, RouteName, TargetName};
use crate::order::Order;
use crate::retry::RetryPolicy;

/// The longest `Retry-After` that is obeyed; a longer one is taken for this.
pub const RETRY_AFTER_CAP: Duration = Duration::from_secs(24 * 3600);

/// The due time of a delivery that is held back: the last whole second that can be represented, which no clock
/// reaches.
pub const HELD: Timestamp = Timestamp::constant(253_402_207_200, 0);

/// One event on its way to one target by one route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// What the target sees as `webhook-id`; the same over all attempts.
    pub id: DeliveryId,
    /// The event that is delivered.
    pub event: EventId,
    /// By which route.
    pub route: RouteName,
    /// To which target.
    pub target: TargetName,
    /// Where it stands.
    pub state: State,
    /// How many attempts were made since it was created or revived.
    pub attempts: u32,
    /// When it was created or last revived; what a policy's `max_age` counts from.
    pub started_at: Timestamp,
    /// Its place among others to its target; `None` if it waits for none of them.
    pub order: Option<Order>,
    /// By what it was last taken up again; `None` if it never was.
    pub mark: Option<ReplayMark>,
}

/// By what a delivery was taken up again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplayMark {
    /// The replay; `None` if it was taken up by itself.
    pub job: Option<ReplayId>,
    /// How.
    pub mode: ReplayMode,
    /// The delivery in whose place it was made; `None` if it is no new one.
    pub of: Option<DeliveryId>,
}

/// What is sent when a delivery is taken up again.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum ReplayMode {
    /// The same bytes as before, as far as they are kept.
    #[default]
    Frozen,
    /// What the template in force makes of the event.
    Rerender,
    /// The event goes through the routes in force.
    Reroute,
}

impl ReplayMode {
    /// Its name in API and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Frozen => "frozen",
            Self::Rerender => "rerender",
            Self::Reroute => "reroute",
        }
    }
}

/// Where a delivery stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It will be tried, not before `due`.
    Pending {
        /// When the next attempt is due.
        due: Timestamp,
    },
    /// The target has it.
    Delivered {
        /// Since when.
        at: Timestamp,
    },
    /// It will not be tried again by itself.
    Dead {
        /// Since when.
        at: Timestamp,
        /// Why.
        reason: DeadReason,
    },
    /// An operator let it go.
    Discarded {
        /// Since when.
        at: Timestamp,
    },
}

/// A state without its details; what listings filter by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StateKind {
    /// [`State::Pending`].
    Pending,
    /// [`State::Delivered`].
    Delivered,
    /// [`State::Dead`].
    Dead,
    /// [`State::Discarded`].
    Discarded,
}

impl StateKind {
    /// Every state, in the order in which a delivery passes through them.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Delivered, Self::Dead, Self::Discarded];

    /// Its name in configuration, API and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
            Self::Discarded => "discarded",
        }
    }
}

impl State {
    /// The state without its details.
    #[must_use]
    pub fn kind(&self) -> StateKind {
        match self {
            Self::Pending { .. } => StateKind::Pending,
            Self::Delivered { .. } => StateKind::Delivered,
            Self::Dead { .. } => StateKind::Dead,
            Self::Discarded { .. } => StateKind::Discarded,
        }
    }
}

/// Why a delivery is dead. The detail (a template's error, the last answer) is in its last attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadReason {
    /// The body is not JSON and the route has a template.
    NotJson,
    /// The event has passed through too many relays.
    Loop,
    /// The template failed on this event.
    Render,
    /// The request could not be signed.
    Sign,
    /// The target answered 410.
    Gone,
    /// The retry policy came to its end.
    Exhausted,
    /// The route was no longer in the configuration. Deliveries wait for their route by now; older records may say this.
    RouteGone,
}

impl DeadReason {
    /// Its name in API, logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::Loop => "loop",
            Self::Render => "render",
            Self::Sign => "sign",
            Self::Gone => "gone",
            Self::Exhausted => "exhausted",
            Self::RouteGone => "route_gone",
        }
    }
}

/// One try of a delivery: an HTTP request, or what kept it from being sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Which of the delivery's attempts; counts from 1.
    pub number: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// What came of it.
    pub outcome: Outcome,
    /// What was sent, and by which configuration; `None` in records of older versions.
    pub sent: Option<Sent>,
}

/// What an attempt sent, and by which configuration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    /// The number of the configuration that was in force (see `plan::Generation`); `None` if that was not known yet.
    pub generation: Option<u64>,
    /// The template, with its partials, that has made or was to make the body in this attempt; `None` if none was.
    pub template: Option<Digest>,
    /// Where the body came from; `None` if nothing was sent.
    pub body_from: Option<BodyFrom>,
    /// The hash of the bytes that were sent; `None` if nothing was, or since the event's data was purged.
    pub body: Option<Digest>,
}

/// Where the body of an attempt came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BodyFrom {
    /// It was made for this attempt: rendered, or put into an envelope.
    Rendered,
    /// It was kept from an earlier one.
    Frozen,
    /// It is the event's own.
    Unchanged,
}

impl BodyFrom {
    /// Its name in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rendered => "rendered",
            Self::Frozen => "frozen",
            Self::Unchanged => "unchanged",
        }
    }
}

/// The last attempt of a delivery in short, as listings show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastAttempt {
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// What came of it.
    pub result: AttemptResult,
}

/// What came of an attempt, without words. Displayed as in the API: `status 503`, `timeout`, `render`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptResult {
    /// The target answered with this status.
    Status(u16),
    /// No whole answer came.
    Failed(Failure),
    /// Nothing could be sent.
    Unsendable(DeadReason),
}

impl AttemptResult {
    /// The HTTP status, if the target answered.
    #[must_use]
    pub fn status(self) -> Option<u16> {
        match self {
            Self::Status(status) => Some(status),
            Self::Failed(_) | Self::Unsendable(_) => None,
        }
    }

    /// Whether the target has taken the delivery.
    #[must_use]
    pub fn is_success(self) -> bool {
        matches!(self, Self::Status(200..=299))
    }
}

impl From<&Outcome> for AttemptResult {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Answered { status, .. } => Self::Status(*status),
            Outcome::Failed { failure, .. } => Self::Failed(*failure),
            Outcome::Unsendable { reason, .. } => Self::Unsendable(*reason),
        }
    }
}

impl fmt::Display for AttemptResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "status {status}"),
            Self::Failed(failure) => f.write_str(failure.as_str()),
            Self::Unsendable(reason) => f.write_str(reason.as_str()),
        }
    }
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The target answered.
    Answered {
        /// The HTTP status.
        status: u16,
        /// How long the target asked us to wait.
        retry_after: Option<Duration>,
        /// The start of the response body, as text.
        snippet: String,
    },
    /// No whole answer came.
    Failed {
        /// At which step.
        failure: Failure,
        /// The error in words.
        detail: String,
    },
    /// Nothing could be sent, whatever the target does.
    Unsendable {
        /// What a dead delivery's reason becomes.
        reason: DeadReason,
        /// The error in words, with the place in the template where there is one.
        detail: String,
    },
}

/// At which step an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// The target's name could not be resolved.
    Dns,
    /// No connection could be made.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// The target's timeout passed.
    Timeout,
    /// The connection broke before the answer was whole.
    Closed,
    /// What the target sent is not HTTP.
    Protocol,
    /// The target's address may not be connected to.
    Egress,
    /// No token for the target could be had, so that nothing was sent to it.
    Token,
}

impl Failure {
    /// Its name in API, logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::Protocol => "protocol",
            Self::Egress => "egress",
            Self::Token => "token",
        }
    }
}

impl Outcome {
    /// A short name for metrics: `2xx`, `4xx`, .., the failure, or the reason.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Answered { status, .. } => match status / 100 {
                1 => "1xx",
                2 => "2xx",
                3 => "3xx",
                4 => "4xx",
                5 => "5xx",
                _ => "other",
            },
            Self::Failed { failure, .. } => failure.as_str(),
            Self::Unsendable { reason, .. } => reason.as_str(),
        }
    }

    /// Whether the target has taken the delivery.
    #[must_use]
    pub fn is_success(&self) -> bool {
        matches!(
            self,
            Self::Answered {
                status: 200..=299,
                ..
            }
        )
    }
}

/// What follows from an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The target has it.
    Done,
    /// Try again, not before this time.
    RetryAt(Timestamp),
    /// Do not try again.
    Bury(DeadReason),
}

impl Delivery {
    /// A new delivery in the place of this one, due now: its target has had this one, so that its id must not come again.
    #[must_use]
    pub fn again(&self, mode: ReplayMode, job: Option<ReplayId>, now: Timestamp) -> Self {
        Self {
            id: DeliveryId::generate(),
            event: self.event,
            route: self.route.clone(),
            target: self.target.clone(),
            state: State::Pending { due: now },
            attempts: 0,
            started_at: now,
            order: self.order,
            mark: Some(ReplayMark {
                job,
                mode,
                of: Some(self.id),
            }),
        }
    }

    /// Whether it waits for its route to be in the configuration again (see `Store::hold`). It is pending,
    /// but not due at any time.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.state == State::Pending { due: HELD }
    }

    /// What follows from the attempt that just ended; `self.attempts` does not count it yet.
    #[must_use]
    pub fn after(
        &self,
        outcome: &Outcome,
        policy: &RetryPolicy,
        now: Timestamp,
        rng: &mut fastrand::Rng,
    ) -> Next {
        let asked = match outcome {
            Outcome::Answered {
                status: 200..=299, ..
            } => return Next::Done,
            Outcome::Answered { status: 410, .. } => return Next::Bury(DeadReason::Gone),
            Outcome::Unsendable { reason, .. } => return Next::Bury(*reason),
            Outcome::Answered { retry_after, .. } => *retry_after,
            Outcome::Failed { .. } => None,
        };
        let made = self.attempts.saturating_add(1);
        let age = clock::between(self.started_at, now);
        match policy.delay(made, age, rng) {
            Some(delay) => {
                let asked = asked.unwrap_or_default().min(RETRY_AFTER_CAP);
                Next::RetryAt(clock::after(now, delay.max(asked)))
            }
            None => Next::Bury(DeadReason::Exhausted),
        }
    }
}
