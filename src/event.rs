//! One verified inbound request. Only [`Event::from_verified`] makes a new one, and only `signature`
//! can make the [`Verified`] that it wants, so an unverified request can never become an event.
//!
//! The body is kept as it came, parsed at most once and hashed at most once.

use std::sync::OnceLock;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use jiff::Timestamp;

use crate::id::{Digest, EventId, SourceName};
use crate::json::{Document, Ref};
use crate::signature::Verified;
use crate::template::EventFacts;

/// The type of an event whose source names none.
pub const UNKNOWN_TYPE: &str = "unknown";

/// The header that counts the relays an event has passed through.
pub const HOPS_HEADER: &str = "ingate-hops";

/// The parts of an event that are stored; everything else of it is derived from them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventParts {
    /// Our id of it.
    pub id: EventId,
    /// The source that it came in by.
    pub source: SourceName,
    /// The sender's id of it.
    pub message_id: Option<String>,
    /// What happened, in the sender's words; [`UNKNOWN_TYPE`] if it names none.
    pub event_type: String,
    /// Request headers in the order they came, names in lower case, without those that carry credentials.
    pub headers: Vec<(String, String)>,
    /// The body: the bytes that were sent, after content decoding.
    pub body: Bytes,
    /// When it came in.
    pub received_at: Timestamp,
    /// How many relays it has passed through.
    pub hops: u32,
}

/// One verified inbound request.
#[derive(Debug)]
pub struct Event {
    parts: EventParts,
    json: OnceLock<Option<Document>>,
    body_hash: OnceLock<Digest>,
}

impl Event {
    /// Makes an event of a verified request. `headers` must be free of credentials already.
    #[must_use]
    pub fn from_verified(
        id: EventId,
        source: SourceName,
        verified: Verified,
        headers: Vec<(String, String)>,
        now: Timestamp,
    ) -> Self {
        let hops = headers
            .iter()
            .find(|(name, _)| name == HOPS_HEADER)
            .map_or(0, |(_, value)| value.trim().parse().unwrap_or(u32::MAX));
        let content = verified.into_content();
        Self {
            parts: EventParts {
                id,
                source,
                message_id: content.message_id,
                event_type: content
                    .event_type
                    .unwrap_or_else(|| UNKNOWN_TYPE.to_owned()),
                headers,
                body: content.body,
                received_at: now,
                hops,
            },
            json: OnceLock::from(content.json),
            body_hash: OnceLock::new(),
        }
    }

    /// The same, where the hash of its body is known already.
    #[must_use]
    pub fn with_body_hash(mut self, hash: Digest) -> Self {
        self.body_hash = OnceLock::from(hash);
        self
    }

    /// The event that was stored as `parts`.
    #[must_use]
    pub fn from_stored(parts: EventParts) -> Self {
        Self {
            parts,
            json: OnceLock::new(),
            body_hash: OnceLock::new(),
        }
    }

    /// What is stored of it.
    #[must_use]
    pub fn parts(&self) -> &EventParts {
        &self.parts
    }

    /// Our id of it.
    #[must_use]
    pub fn id(&self) -> EventId {
        self.parts.id
    }

    /// What a template can read of it besides the body; `id` is its id as text.
    #[must_use]
    pub fn facts<'a>(&'a self, id: &'a str) -> EventFacts<'a> {
        EventFacts {
            id,
            message_id: self.parts.message_id.as_deref(),
            source: self.parts.source.as_str(),
            event_type: &self.parts.event_type,
            received_at: self.parts.received_at,
        }
    }

    /// The hash of its body; worked out once.
    #[must_use]
    pub fn body_hash(&self) -> Digest {
        *self.body_hash.get_or_init(|| Digest::of(&self.parts.body))
    }

    /// The parsed body; `None` if it is not JSON.
    #[must_use]
    pub fn json(&self) -> Option<Ref<'_>> {
        self.json
            .get_or_init(|| Document::parse(&self.parts.body).ok())
            .as_ref()
            .map(Document::root)
    }
}

/// Puts headers in place of those of the same name that came, or behind them all.
pub fn replace_headers(
    headers: &mut Vec<(String, String)>,
    replaced: &[(HeaderName, HeaderValue)],
) {
    for (name, _) in replaced {
        headers.retain(|(known, _)| known != name.as_str());
    }
    headers.extend(replaced.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.as_str().to_owned(), value)
    }));
}
