//! What is left of an event whose data was purged, and how records are emptied.
//!
//! Promise: an emptied payload is never longer than the whole one; ids, times, names, states, statuses and the dedupe
//! key (a hash) stay, what sender and targets wrote is gone.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Attempted, Carried, Content, Raw, StoredAttempt, StoredEvent, StoredOutcome};
use crate::id::{DeliveryId, EventId};

/// The tombstone of an event. It stands for all earlier records of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purged {
    /// When it was purged.
    pub at: i64,
    /// Whether the earlier records are known to be emptied; else a start has to see to that.
    pub scrubbed: bool,
    /// The event, emptied, with what its deliveries became.
    pub remains: Carried,
}

impl StoredEvent {
    /// Takes out what the sender wrote but for the type.
    pub fn clear(&mut self) {
        self.message_id = None;
        self.headers = Vec::new();
        self.body = Raw(Bytes::new());
    }
}

impl StoredAttempt {
    /// Takes out all text.
    pub fn clear(&mut self) {
        match &mut self.outcome {
            StoredOutcome::Answered(_, _, text)
            | StoredOutcome::Failed(_, text)
            | StoredOutcome::Unsendable(_, text) => text.clear(),
        }
        // a hash of what was sent could be guessed back to it
        if let Some(sent) = &mut self.sent {
            sent.body = None;
        }
    }
}

impl Carried {
    fn clear(&mut self) {
        self.event.clear();
        for one in &mut self.deliveries {
            one.frozen = None;
            one.log.iter_mut().for_each(StoredAttempt::clear);
        }
    }
}

impl Attempted {
    fn clear(&mut self) {
        self.frozen = None;
        self.attempt.clear();
    }
}

impl Content {
    /// The same without the data of this event; `None` if there is none in it. An accepted event of another id is the
    /// same one if `is_twin` says so of its id and dedupe key, an attempt is one of the event if `is_ours` says so
    /// of its delivery.
    pub fn without(
        &self,
        event: EventId,
        is_twin: impl FnOnce(EventId, [u8; 32]) -> bool,
        is_ours: impl FnOnce(DeliveryId) -> bool,
    ) -> Option<Self> {
        let ours = match self {
            Self::Accepted(it) if it.event.id == *event.as_bytes() => true,
            Self::Accepted(it) => it
                .key
                .is_some_and(|key| is_twin(EventId::from_bytes(it.event.id), key.key)),
            Self::Carried(it) => it.event.id == *event.as_bytes(),
            Self::Attempted(it) => is_ours(DeliveryId::from_bytes(it.moved.delivery)),
            // names, ids and states only
            Self::Revived(_)
            | Self::Discarded(_)
            | Self::Operator(_)
            | Self::Purged(_)
            | Self::Added(_) => false,
        };
        if !ours {
            return None;
        }
        let mut empty = self.clone();
        match &mut empty {
            Self::Accepted(it) => it.event.clear(),
            Self::Carried(it) => it.clear(),
            Self::Attempted(it) => it.clear(),
            _ => {}
        }
        Some(empty).filter(|empty| empty != self)
    }
}
