//! What the API's answers look like. Times are RFC 3339 in UTC, durations are numbers of seconds, ids
//! are UUIDs, states and reasons are in snake case.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::delivery::{Attempt, DeadReason, Delivery, Failure, Outcome, State, StateKind};
use crate::event::Event;
use crate::id::{DeliveryId, EventId, RouteName, SourceName, TargetName};
use crate::store::EventRow;

/// A time, as RFC 3339 in UTC.
#[derive(Debug, Clone, Copy)]
struct Time(Timestamp);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

/// A page of a listing, newest first.
#[derive(Debug, Serialize)]
pub(super) struct PageShape<Item, Id> {
    /// The rows.
    pub(super) items: Vec<Item>,
    /// What to pass as `before` for the next page; null if this is the last one.
    pub(super) next: Option<Id>,
}

/// An event in a listing.
#[derive(Debug, Serialize)]
pub(super) struct EventRowShape {
    /// Our id of it.
    pub(super) id: EventId,
    /// The source that it came in by.
    source: SourceName,
    /// The sender's id of it; null if it has none.
    message_id: Option<String>,
    /// What happened, in the sender's words.
    #[serde(rename = "type")]
    event_type: String,
    /// When it came in.
    received_at: Time,
    /// Bytes of its body.
    size_bytes: u64,
    /// Ids of its deliveries; none means that no route took it.
    deliveries: Vec<DeliveryId>,
}

/// An event with everything that is known of it.
#[derive(Debug, Serialize)]
pub(super) struct EventShape<'a> {
    /// Our id of it.
    id: EventId,
    /// The source that it came in by.
    source: &'a SourceName,
    /// The sender's id of it; null if it has none.
    message_id: Option<&'a str>,
    /// What happened, in the sender's words.
    #[serde(rename = "type")]
    event_type: &'a str,
    /// When it came in.
    received_at: Time,
    /// How many relays it had passed through.
    hops: u32,
    /// Its headers in the order they came, without those that carry credentials.
    headers: Vec<HeaderShape<'a>>,
    /// Bytes of its body.
    size_bytes: usize,
    /// Its body, where that is JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a Value>,
    /// Its body in base64, where that is not JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
    /// Its deliveries with their attempts.
    deliveries: Vec<DeliveryWithAttempts>,
}

/// A header of an event.
#[derive(Debug, Serialize)]
struct HeaderShape<'a> {
    /// In lower case.
    name: &'a str,
    /// As it came.
    value: &'a str,
}

/// A delivery.
#[derive(Debug, Serialize)]
pub(super) struct DeliveryShape {
    /// Its id; what the target sees as `webhook-id`.
    pub(super) id: DeliveryId,
    /// Its event.
    event: EventId,
    /// By which route.
    route: RouteName,
    /// To which target.
    target: TargetName,
    /// `pending`, `delivered`, `dead` or `discarded`.
    state: StateKind,
    /// When the next attempt is due; null unless it is pending.
    due_at: Option<Time>,
    /// Since when it is delivered, dead or discarded; null while it is pending.
    ended_at: Option<Time>,
    /// Why it is dead; null unless it is.
    reason: Option<DeadReason>,
    /// How many attempts were made since it was created or revived.
    attempts_made: u32,
    /// When it was created or last revived.
    started_at: Time,
}

/// A delivery with its attempts.
#[derive(Debug, Serialize)]
pub(super) struct DeliveryWithAttempts {
    /// The delivery.
    #[serde(flatten)]
    delivery: DeliveryShape,
    /// The attempts that are still kept, oldest first.
    attempts: Vec<AttemptShape>,
}

/// An attempt.
#[derive(Debug, Serialize)]
struct AttemptShape {
    /// Which of the delivery's attempts; counts from 1.
    number: u32,
    /// When it began.
    started_at: Time,
    /// How long it took.
    took_seconds: f64,
    /// What came of it.
    outcome: OutcomeShape,
}

/// What came of an attempt.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum OutcomeShape {
    /// The target answered.
    Answered {
        /// The HTTP status.
        status: u16,
        /// How long the target asked us to wait; null if it did not.
        retry_after_seconds: Option<f64>,
        /// The start of the response body, as text.
        snippet: String,
    },
    /// No answer came.
    Failed {
        /// At which step.
        failure: Failure,
        /// The error in words.
        detail: String,
    },
    /// Nothing could be sent.
    Unsendable {
        /// Why.
        reason: DeadReason,
        /// The error in words.
        detail: String,
    },
}

/// Whether the daemon takes events.
#[derive(Debug, Serialize)]
pub(super) struct ReadyShape {
    /// Whether it does.
    pub(super) ready: bool,
    /// Why it does not; empty if it does.
    pub(super) reasons: Vec<String>,
}

/// That the daemon is alive.
#[derive(Debug, Serialize)]
pub(super) struct LiveShape {
    /// Always true.
    pub(super) live: bool,
}

/// An error.
#[derive(Debug, Serialize)]
pub(super) struct ErrorShape<'a> {
    /// The error.
    pub(super) error: ErrorBody<'a>,
}

/// What an error says.
#[derive(Debug, Serialize)]
pub(super) struct ErrorBody<'a> {
    /// A closed list, for programs.
    pub(super) code: &'a str,
    /// For people.
    pub(super) message: &'a str,
}

impl From<EventRow> for EventRowShape {
    fn from(row: EventRow) -> Self {
        Self {
            id: row.id,
            source: row.source,
            message_id: row.message_id,
            event_type: row.event_type,
            received_at: Time(row.received_at),
            size_bytes: row.size,
            deliveries: row.deliveries,
        }
    }
}

impl<'a> EventShape<'a> {
    /// The shape of an event and its deliveries.
    pub(super) fn new(event: &'a Event, deliveries: Vec<DeliveryWithAttempts>) -> Self {
        let parts = event.parts();
        let body = event.json();
        let headers = parts.headers.iter();
        Self {
            id: parts.id,
            source: &parts.source,
            message_id: parts.message_id.as_deref(),
            event_type: &parts.event_type,
            received_at: Time(parts.received_at),
            hops: parts.hops,
            headers: headers
                .map(|(name, value)| HeaderShape { name, value })
                .collect(),
            size_bytes: parts.body.len(),
            body,
            body_base64: body.is_none().then(|| STANDARD.encode(&parts.body)),
            deliveries,
        }
    }
}

impl From<Delivery> for DeliveryShape {
    fn from(delivery: Delivery) -> Self {
        let state = delivery.state.kind();
        let (due_at, ended_at, reason) = match delivery.state {
            State::Pending { due } => (Some(due), None, None),
            State::Delivered { at } | State::Discarded { at } => (None, Some(at), None),
            State::Dead { at, reason } => (None, Some(at), Some(reason)),
        };
        Self {
            id: delivery.id,
            event: delivery.event,
            route: delivery.route,
            target: delivery.target,
            state,
            due_at: due_at.map(Time),
            ended_at: ended_at.map(Time),
            reason,
            attempts_made: delivery.attempts,
            started_at: Time(delivery.started_at),
        }
    }
}

impl DeliveryWithAttempts {
    /// The shape of a delivery and its attempts.
    pub(super) fn new(delivery: Delivery, attempts: Vec<Attempt>) -> Self {
        Self {
            delivery: delivery.into(),
            attempts: attempts.into_iter().map(AttemptShape::from).collect(),
        }
    }
}

impl From<Attempt> for AttemptShape {
    fn from(attempt: Attempt) -> Self {
        Self {
            number: attempt.number,
            started_at: Time(attempt.started_at),
            took_seconds: attempt.took.as_secs_f64(),
            outcome: match attempt.outcome {
                Outcome::Answered {
                    status,
                    retry_after,
                    snippet,
                } => OutcomeShape::Answered {
                    status,
                    retry_after_seconds: retry_after.map(|wait| wait.as_secs_f64()),
                    snippet,
                },
                Outcome::Failed { failure, detail } => OutcomeShape::Failed { failure, detail },
                Outcome::Unsendable { reason, detail } => {
                    OutcomeShape::Unsendable { reason, detail }
                }
            },
        }
    }
}
