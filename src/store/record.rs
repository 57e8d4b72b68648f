//! What the records of the journal say: the payload of each kind, version 3. Version 1 is the same without what stands behind
//! the payload, in version 2 that is the orders of deliveries alone (see `extra`).
//!
//! Promise: bytes written by an earlier version stay readable (`tests/cases/store` holds some). Each
//! record says what a delivery *became*, with a revision that only grows, so that applying a record
//! twice, or one that was overtaken, changes nothing. Zeros behind a payload count for nothing: a purge leaves
//! them. Times are milliseconds since 1970 (`i64`),
//! bodies raw bytes. Not here: headers, checksums (see `journal`), what follows from a record (see `index`).

mod extra;
mod kept;
mod more;
mod operator;
mod purged;

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

pub use kept::{StoredPause, StoredPlan, StoredReplay};
pub use more::{
    Added, StoredMark, StoredReceipt, StoredSent, mode, mode_code, result, result_code,
    result_code_of,
};
pub use operator::{Operator, StoredAudit};
pub use purged::Purged;

use super::journal::{Kind, Record};
use crate::delivery::{Attempt, DeadReason, Delivery, Failure, Outcome, State};
use crate::event::EventParts;
use crate::id::{DeliveryId, EventId, RouteName, SourceName, TargetName};
use crate::order::{OnDead, Order, OrderKey};

/// The version of the encoding that is written.
pub const VERSION: u8 = 3;

/// The due time of what is held back ([`crate::delivery::HELD`]).
pub const HELD: i64 = 253_402_207_200_000;

/// Why a payload cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It was written by a newer version.
    #[error("the record has version {0}, this program knows versions up to {VERSION}")]
    Newer(u8),
    /// Its bytes are not what its kind says.
    #[error("the record's payload cannot be decoded")]
    Payload(#[from] postcard::Error),
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// An event with its deliveries.
    Accepted(Accepted),
    /// An attempt and what followed.
    Attempted(Attempted),
    /// A delivery was made pending again.
    Revived(Revived),
    /// A delivery was let go.
    Discarded(Moved),
    /// An event and what remains of it, written anew.
    Carried(Carried),
    /// What an operator did.
    Operator(Operator),
    /// An event's data was purged.
    Purged(Purged),
    /// A stored event has new deliveries.
    Added(Added),
}

/// An event with its deliveries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// When it was accepted, by the store's clock.
    pub at: i64,
    /// The event.
    pub event: StoredEvent,
    /// Its deliveries in their first state.
    pub deliveries: Vec<StoredDelivery>,
    /// Its dedupe key.
    pub key: Option<StoredKey>,
    /// How it was verified and routed.
    #[serde(skip)]
    pub receipt: Option<StoredReceipt>,
}

/// An attempt of a delivery and what the delivery became by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempted {
    /// What the delivery became.
    pub moved: Moved,
    /// The attempt.
    pub attempt: StoredAttempt,
    /// The rendered body, where it is frozen by this record.
    pub frozen: Option<Raw>,
}

/// A delivery that was made pending again, or is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revived {
    /// What the delivery became.
    pub moved: Moved,
    /// By what it was taken up again; `None` where nobody did that: it is held, or goes on.
    pub mark: Option<StoredMark>,
    /// Whether its frozen body counts no more.
    pub anew: bool,
}

/// What a delivery became.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// The delivery.
    pub delivery: [u8; 16],
    /// Counts the changes of the delivery, this one included.
    pub revision: u32,
    /// Its state.
    pub state: StoredState,
    /// Its attempts since it was created or revived.
    pub attempts: u32,
    /// When it was created or last revived.
    pub started_at: i64,
}

/// An event, what remains of its deliveries and its dedupe key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    /// The event.
    pub event: StoredEvent,
    /// Its remaining deliveries.
    pub deliveries: Vec<CarriedDelivery>,
    /// Its dedupe key, if that still counted.
    pub key: Option<StoredKey>,
    /// How it was verified and routed.
    #[serde(skip)]
    pub receipt: Option<StoredReceipt>,
    /// Whether deliveries were added to it later.
    #[serde(skip)]
    pub added: bool,
}

/// A delivery with what older records said of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarriedDelivery {
    /// The delivery as it stands.
    pub delivery: StoredDelivery,
    /// Its frozen body.
    pub frozen: Option<Raw>,
    /// Its last attempts, oldest first.
    pub log: Vec<StoredAttempt>,
}

/// An event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredEvent {
    /// Its id.
    pub id: [u8; 16],
    /// Where it came in.
    pub source: SourceName,
    /// The sender's id.
    pub message_id: Option<String>,
    /// Its type.
    pub event_type: String,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// When it came in.
    pub received_at: i64,
    /// Through how many relays it had come.
    pub hops: u32,
    /// Its body.
    pub body: Raw,
}

/// A delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredDelivery {
    /// Its id.
    pub id: [u8; 16],
    /// By which route.
    pub route: RouteName,
    /// To which target.
    pub target: TargetName,
    /// How often it has changed.
    pub revision: u32,
    /// Its state.
    pub state: StoredState,
    /// Its attempts since it was created or revived.
    pub attempts: u32,
    /// When it was created or last revived.
    pub started_at: i64,
    /// Its place among others to its target.
    #[serde(skip)]
    pub order: Option<StoredOrder>,
    /// By what it was last taken up again.
    #[serde(skip)]
    pub mark: Option<StoredMark>,
    /// Whether its target has ever answered 2xx to it.
    #[serde(skip)]
    pub had_success: bool,
}

/// The place of a delivery among others to its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredOrder {
    /// It waits for those before it with the same key.
    pub key: [u8; 16],
    /// Whether those behind it go on without it if it dies.
    pub skip: bool,
    /// Those of a lower rank come before it: the number of the record by which it was accepted. 0 in that record itself.
    pub rank: u64,
}

/// A dedupe key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredKey {
    /// The key.
    pub key: [u8; 32],
    /// The hash of the body.
    pub body: [u8; 32],
    /// Until when it counts.
    pub expires: i64,
}

/// A delivery's state. The order of the variants is part of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StoredState {
    /// To be tried, not before this time.
    Pending(i64),
    /// Delivered at this time.
    Delivered(i64),
    /// Dead since this time, for a reason by its code.
    Dead(i64, u8),
    /// Let go at this time.
    Discarded(i64),
}

/// An attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredAttempt {
    /// Its number.
    pub number: u32,
    /// When it began.
    pub started_at: i64,
    /// Milliseconds that it took.
    pub took: u64,
    /// What came of it.
    pub outcome: StoredOutcome,
    /// What it sent.
    #[serde(skip)]
    pub sent: Option<StoredSent>,
}

/// What came of an attempt. The order of the variants is part of the format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum StoredOutcome {
    /// Status, milliseconds of `Retry-After`, start of the response.
    Answered(u16, Option<u64>, String),
    /// The step's code, the error in words.
    Failed(u8, String),
    /// The reason's code, the error in words.
    Unsendable(u8, String),
}

/// Raw bytes, written as their count and themselves.
#[derive(Clone, PartialEq, Eq)]
pub struct Raw(pub Bytes);

impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Serialize for Raw {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Raw;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Raw, E> {
                Ok(Raw(Bytes::copy_from_slice(bytes)))
            }
        }
        from.deserialize_bytes(Visitor)
    }
}

impl Content {
    /// Which kind of record says this.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Accepted(_) => Kind::Accepted,
            Self::Attempted(_) => Kind::Attempted,
            Self::Revived(_) => Kind::Revived,
            Self::Discarded(_) => Kind::Discarded,
            Self::Carried(_) => Kind::Carried,
            Self::Operator(_) => Kind::Operator,
            Self::Purged(_) => Kind::Purged,
            Self::Added(_) => Kind::Added,
        }
    }

    /// The payload of a record that says this, in version [`VERSION`].
    ///
    /// # Errors
    /// None is known: the encoding takes every value of these types.
    pub fn encode(&self) -> Result<Vec<u8>, RecordError> {
        self.encode_as(VERSION)
    }

    /// The same in an older version, for what is written in the place of a record of that version. What that version cannot
    /// say is left out.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn encode_as(&self, version: u8) -> Result<Vec<u8>, RecordError> {
        let to = Vec::with_capacity(self.size_hint());
        let payload = match self {
            Self::Accepted(it) => postcard::to_extend(it, to),
            Self::Attempted(it) => postcard::to_extend(it, to),
            Self::Revived(Revived { moved: it, .. }) | Self::Discarded(it) => {
                postcard::to_extend(it, to)
            }
            Self::Carried(it) => postcard::to_extend(it, to),
            Self::Operator(it) => postcard::to_extend(it, to),
            Self::Purged(it) => postcard::to_extend(it, to),
            Self::Added(it) => postcard::to_extend(it, to),
        }?;
        match version {
            0 | 1 => Ok(payload),
            2 => extra::append_orders(self, payload),
            _ => extra::append(self, payload),
        }
    }

    /// What a record of the journal says.
    ///
    /// # Errors
    /// If its version is newer or its payload is not of its kind.
    pub fn decode(record: &Record) -> Result<Self, RecordError> {
        Self::decode_payload(record.kind, record.version, &record.payload)
    }

    fn decode_payload(kind: Kind, version: u8, payload: &[u8]) -> Result<Self, RecordError> {
        if version > VERSION {
            return Err(RecordError::Newer(version));
        }
        fn take<'a, T: Deserialize<'a>>(
            payload: &'a [u8],
            content: impl FnOnce(T) -> Content,
        ) -> Result<(Content, &'a [u8]), RecordError> {
            let (it, rest) = postcard::take_from_bytes(payload)?;
            Ok((content(it), rest))
        }
        let (mut content, rest) = match kind {
            Kind::Accepted => take(payload, Self::Accepted),
            Kind::Attempted => take(payload, Self::Attempted),
            Kind::Revived => take(payload, |moved| {
                Self::Revived(Revived {
                    moved,
                    mark: None,
                    anew: false,
                })
            }),
            Kind::Discarded => take(payload, Self::Discarded),
            Kind::Carried => take(payload, Self::Carried),
            Kind::Operator => take(payload, Self::Operator),
            Kind::Purged => take(payload, Self::Purged),
            Kind::Added => take(payload, Self::Added),
        }?;
        extra::put(&mut content, version, rest)?;
        Ok(content)
    }

    fn size_hint(&self) -> usize {
        /// What a payload takes besides bodies, roughly.
        const REST: usize = 1024;
        let bodies = match self {
            Self::Accepted(it) => it.event.body.0.len(),
            Self::Attempted(it) => it.frozen.as_ref().map_or(0, |raw| raw.0.len()),
            Self::Revived(_)
            | Self::Discarded(_)
            | Self::Operator(_)
            | Self::Purged(_)
            | Self::Added(_) => 0,
            Self::Carried(it) => it.event.body.0.len(),
        };
        bodies.saturating_add(REST)
    }
}

/// Milliseconds since 1970, cut off downwards.
#[must_use]
pub fn millis(time: Timestamp) -> i64 {
    time.as_millisecond()
}

/// The time of these milliseconds, held within what can be represented.
#[must_use]
pub fn time(millis: i64) -> Timestamp {
    let bound = if millis < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    };
    Timestamp::from_millisecond(millis).unwrap_or(bound)
}

/// A span in milliseconds, held at the longest.
#[must_use]
pub fn span(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The codes of reasons in records; they are never given anew.
const REASONS: [(u8, DeadReason); 7] = [
    (1, DeadReason::NotJson),
    (2, DeadReason::Loop),
    (3, DeadReason::Render),
    (4, DeadReason::Sign),
    (5, DeadReason::Gone),
    (6, DeadReason::Exhausted),
    (7, DeadReason::RouteGone),
];

/// The codes of failures in records; they are never given anew.
const FAILURES: [(u8, Failure); 8] = [
    (1, Failure::Dns),
    (2, Failure::Connect),
    (3, Failure::Tls),
    (4, Failure::Timeout),
    (5, Failure::Closed),
    (6, Failure::Protocol),
    (7, Failure::Egress),
    (8, Failure::Token),
];

/// The code of a reason.
#[must_use]
pub fn reason_code(reason: DeadReason) -> u8 {
    code(&REASONS, reason)
}

/// The reason of a code. An unknown one cannot stand in a record of a known version; it reads as
/// [`DeadReason::Exhausted`], so that the delivery stays a dead letter.
#[must_use]
pub fn reason(code: u8) -> DeadReason {
    named(&REASONS, code).unwrap_or(DeadReason::Exhausted)
}

fn code<T: Copy + PartialEq>(table: &[(u8, T)], value: T) -> u8 {
    let found = table.iter().find(|(_, known)| *known == value);
    found.map_or(0, |(code, _)| *code)
}

fn named<T: Copy>(table: &[(u8, T)], code: u8) -> Option<T> {
    let found = table.iter().find(|(known, _)| *known == code);
    found.map(|(_, value)| *value)
}

impl From<&State> for StoredState {
    fn from(state: &State) -> Self {
        match state {
            State::Pending { due } => Self::Pending(millis(*due)),
            State::Delivered { at } => Self::Delivered(millis(*at)),
            State::Dead { at, reason } => Self::Dead(millis(*at), reason_code(*reason)),
            State::Discarded { at } => Self::Discarded(millis(*at)),
        }
    }
}

impl From<StoredState> for State {
    fn from(state: StoredState) -> Self {
        match state {
            StoredState::Pending(due) => Self::Pending { due: time(due) },
            StoredState::Delivered(at) => Self::Delivered { at: time(at) },
            StoredState::Dead(at, code) => Self::Dead {
                at: time(at),
                reason: reason(code),
            },
            StoredState::Discarded(at) => Self::Discarded { at: time(at) },
        }
    }
}

impl StoredState {
    /// Whether the delivery still needs its event: it is pending or dead.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::Pending(_) | Self::Dead(..))
    }

    /// Whether a delivery in this state holds up those behind it.
    #[must_use]
    pub fn holds_up(self, order: StoredOrder) -> bool {
        match self {
            Self::Pending(_) => true,
            Self::Dead(..) => !order.skip,
            Self::Delivered(_) | Self::Discarded(_) => false,
        }
    }
}

impl From<&Delivery> for StoredDelivery {
    fn from(delivery: &Delivery) -> Self {
        Self {
            id: *delivery.id.as_bytes(),
            route: delivery.route.clone(),
            target: delivery.target.clone(),
            revision: 0,
            state: (&delivery.state).into(),
            attempts: delivery.attempts,
            started_at: millis(delivery.started_at),
            order: delivery.order.map(|order| StoredOrder {
                key: *order.key.as_bytes(),
                skip: order.on_dead == OnDead::Skip,
                rank: 0,
            }),
            mark: delivery.mark.map(Into::into),
            had_success: false,
        }
    }
}

impl StoredDelivery {
    /// The delivery, of this event.
    #[must_use]
    pub fn delivery(&self, event: EventId) -> Delivery {
        Delivery {
            id: DeliveryId::from_bytes(self.id),
            event,
            route: self.route.clone(),
            target: self.target.clone(),
            state: self.state.into(),
            attempts: self.attempts,
            started_at: time(self.started_at),
            order: self.order.map(|order| Order {
                key: OrderKey::from_bytes(order.key),
                on_dead: if order.skip {
                    OnDead::Skip
                } else {
                    OnDead::Hold
                },
            }),
            mark: self.mark.map(Into::into),
        }
    }
}

impl From<&EventParts> for StoredEvent {
    fn from(parts: &EventParts) -> Self {
        Self {
            id: *parts.id.as_bytes(),
            source: parts.source.clone(),
            message_id: parts.message_id.clone(),
            event_type: parts.event_type.clone(),
            headers: parts.headers.clone(),
            received_at: millis(parts.received_at),
            hops: parts.hops,
            body: Raw(parts.body.clone()),
        }
    }
}

impl From<StoredEvent> for EventParts {
    fn from(event: StoredEvent) -> Self {
        Self {
            id: EventId::from_bytes(event.id),
            source: event.source,
            message_id: event.message_id,
            event_type: event.event_type,
            headers: event.headers,
            body: event.body.0,
            received_at: time(event.received_at),
            hops: event.hops,
        }
    }
}

impl From<&Attempt> for StoredAttempt {
    fn from(attempt: &Attempt) -> Self {
        let whole = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        Self {
            number: attempt.number,
            started_at: millis(attempt.started_at),
            took: whole(attempt.took),
            outcome: match &attempt.outcome {
                Outcome::Answered {
                    status,
                    retry_after,
                    snippet,
                } => StoredOutcome::Answered(*status, retry_after.map(whole), snippet.clone()),
                Outcome::Failed { failure, detail } => {
                    StoredOutcome::Failed(code(&FAILURES, *failure), detail.clone())
                }
                Outcome::Unsendable { reason, detail } => {
                    StoredOutcome::Unsendable(reason_code(*reason), detail.clone())
                }
            },
            sent: attempt.sent.map(Into::into),
        }
    }
}

impl From<StoredAttempt> for Attempt {
    fn from(attempt: StoredAttempt) -> Self {
        Self {
            number: attempt.number,
            started_at: time(attempt.started_at),
            took: Duration::from_millis(attempt.took),
            outcome: match attempt.outcome {
                StoredOutcome::Answered(status, wait, snippet) => Outcome::Answered {
                    status,
                    retry_after: wait.map(Duration::from_millis),
                    snippet,
                },
                StoredOutcome::Failed(step, detail) => Outcome::Failed {
                    failure: named(&FAILURES, step).unwrap_or(Failure::Protocol),
                    detail,
                },
                StoredOutcome::Unsendable(why, detail) => Outcome::Unsendable {
                    reason: reason(why),
                    detail,
                },
            },
            sent: attempt.sent.map(Into::into),
        }
    }
}

/// Text for a row: as it is, or its beginning where it is longer than `most` bytes.
#[must_use]
pub fn cut(text: &str, most: usize) -> (Cow<'_, str>, bool) {
    if text.len() <= most {
        return (Cow::Borrowed(text), false);
    }
    let mut end = most;
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    (Cow::Owned(text.get(..end).unwrap_or("").to_owned()), true)
}

#[cfg(test)]
mod tests;
