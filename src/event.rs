//! One verified inbound request. Only [`Event::from_verified`] makes a new one, and only `signature`
//! can make the [`Verified`] that it wants, so an unverified request can never become an event.
//!
//! The body is kept as it came, parsed at most once and hashed at most once.

use std::sync::OnceLock;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use jiff::Timestamp;

use crate::cloudevents;
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

impl EventParts {
    /// The body as JSON. A CloudEvent without data has no byte of it, and is `null`.
    fn parsed(&self) -> Option<Document> {
        let body: &[u8] = match self.body.is_empty() && self.is_cloudevent() {
            true => b"null",
            false => &self.body,
        };
        Document::parse(body).ok()
    }

    /// Whether its headers are those of a CloudEvent.
    fn is_cloudevent(&self) -> bool {
        let mut headers = self.headers.iter();
        headers.any(|(name, _)| name == cloudevents::VERSION_HEADER)
    }
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
        // Whether no byte at all means something, only the headers tell.
        let json = match content.body.is_empty() {
            true => OnceLock::new(),
            false => OnceLock::from(content.json),
        };
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
            json,
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
            .get_or_init(|| self.parts.parsed())
            .as_ref()
            .map(Document::root)
    }

    /// The media type that it came with, parameters included.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        let mut headers = self.parts.headers.iter();
        let (_, value) = headers.find(|(name, _)| name == "content-type")?;
        Some(value)
    }

    /// Whether the body goes on as JSON: it is JSON, and no CloudEvent that says that it is something else. Other senders
    /// are not believed: many call their JSON text or a form.
    #[must_use]
    pub fn goes_on_as_json(&self) -> bool {
        let is_other = |name| !cloudevents::declares_json(name);
        let is_other = self.parts.is_cloudevent() && self.content_type().is_some_and(is_other);
        !self.parts.body.is_empty() && !is_other && self.json().is_some()
    }
}

/// Puts headers in place of those of the same name that came, or behind them all. Attributes of a CloudEvent take the
/// place of all that came: those were beside an envelope that is what counts.
pub fn replace_headers(
    headers: &mut Vec<(String, String)>,
    replaced: &[(HeaderName, HeaderValue)],
) {
    let attributes = replaced
        .iter()
        .any(|(name, _)| name == cloudevents::VERSION_HEADER);
    headers.retain(|(known, _)| {
        let is_replaced = replaced.iter().any(|(name, _)| name == known.as_str());
        !(is_replaced || attributes && known.starts_with(cloudevents::PREFIX))
    });
    headers.extend(replaced.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.as_str().to_owned(), value)
    }));
}
