//! Events.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::Value;

use super::Time;
use super::deliveries::{DeliveryShape, DeliveryWithAttempts};
use super::routing::RoutingShape;
use crate::event::Event;
use crate::id::{DeliveryId, EventId, SourceName};
use crate::live::EventNews;
use crate::redact::{Shown, View};
use crate::store::{EventRow, Purged, Receipt};

/// An event in a listing.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct EventRowShape {
    /// Our id of it.
    pub(in crate::admin) id: EventId,
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
    /// When its data was purged; null if it was not.
    purged_at: Option<Time>,
    /// Ids of its deliveries; none means that no route took it.
    deliveries: Vec<DeliveryId>,
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
            purged_at: row.purged_at.map(Time),
            deliveries: row.deliveries,
        }
    }
}

impl From<&EventNews> for EventRowShape {
    fn from(news: &EventNews) -> Self {
        Self {
            id: news.id,
            source: news.source.clone(),
            message_id: news.message_id.clone(),
            event_type: news.event_type.clone(),
            received_at: Time(news.received_at),
            size_bytes: news.size,
            purged_at: None,
            deliveries: news.deliveries.iter().map(|(id, ..)| *id).collect(),
        }
    }
}

/// An event with everything that is known of it.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct EventShape<'a> {
    /// Our id of it.
    id: EventId,
    /// The source that it came in by.
    source: &'a SourceName,
    /// The sender's id of it; null if it has none.
    message_id: Option<String>,
    /// What happened, in the sender's words.
    #[serde(rename = "type")]
    event_type: String,
    /// When it came in.
    received_at: Time,
    /// How many relays it had passed through.
    hops: u32,
    /// Its headers in the order they came, without those that carry credentials.
    headers: Vec<HeaderShape<'a>>,
    /// Bytes of its body.
    size_bytes: usize,
    /// Why `body` is not all of the body: `values` of it are left out, or it is not there at all because it is
    /// `not_json` or its source is gone from the configuration (`source_gone`).
    #[serde(skip_serializing_if = "Option::is_none")]
    body_redacted: Option<&'static str>,
    /// Its body, where that is JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Cow<'a, Value>>,
    /// Its body in base64, where that is not JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
    /// How it was verified; null for an event that an older version has stored.
    verified: Option<VerificationShape>,
    /// What each route says to it.
    routing: RoutingShape,
    /// Its deliveries with their attempts.
    deliveries: Vec<DeliveryWithAttempts>,
}

/// How an event was verified.
#[derive(Debug, Serialize)]
struct VerificationShape {
    /// The preset, or `custom`.
    scheme: String,
    /// Which of the source's secrets has matched; 0 was the newest then.
    secret: u16,
    /// By how much its timestamp was ahead of our clock; null if it has none.
    skew_seconds: Option<i64>,
    /// Whether the signature covers the message id.
    message_id_covered: bool,
}

impl From<Receipt> for VerificationShape {
    fn from(receipt: Receipt) -> Self {
        Self {
            scheme: receipt.scheme,
            secret: receipt.secret,
            skew_seconds: receipt.skew_seconds,
            message_id_covered: receipt.message_id_covered,
        }
    }
}

/// Deliveries of one event that were taken up again.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct EventRetriedShape {
    /// The event.
    pub(in crate::admin) event: EventId,
    /// The deliveries as they stand now.
    pub(in crate::admin) deliveries: Vec<DeliveryShape>,
}

/// A header of an event.
#[derive(Debug, Serialize)]
struct HeaderShape<'a> {
    /// In lower case.
    name: &'a str,
    /// As it came, but for what is not to be shown of the body.
    value: String,
}

impl<'a> EventShape<'a> {
    /// The shape of an event and its deliveries, as far as it may be shown.
    pub(in crate::admin) fn new(
        event: &'a Event,
        view: &'a View,
        receipt: Option<Receipt>,
        routing: RoutingShape,
        deliveries: Vec<DeliveryWithAttempts>,
    ) -> Self {
        let parts = event.parts();
        let (body, body_base64) = match &view.body {
            Shown::Whole => match event.json() {
                Some(json) => (Some(Cow::Owned(json.to_value())), None),
                None => (None, Some(STANDARD.encode(&parts.body))),
            },
            Shown::Redacted(json) => (Some(Cow::Borrowed(json)), None),
            Shown::Hidden(_) => (None, None),
        };
        let headers = parts.headers.iter().map(|(name, value)| HeaderShape {
            name,
            value: view.header(value),
        });
        Self {
            id: parts.id,
            source: &parts.source,
            message_id: parts.message_id.as_deref().map(|id| view.word(id)),
            event_type: view.word(&parts.event_type),
            received_at: Time(parts.received_at),
            hops: parts.hops,
            headers: headers.collect(),
            size_bytes: parts.body.len(),
            body_redacted: view.body.label(),
            body,
            body_base64,
            verified: receipt.map(Into::into),
            routing,
            deliveries,
        }
    }
}

/// What became of an event whose data was purged.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct PurgedShape {
    /// The event.
    pub(in crate::admin) event: EventId,
    /// When it was purged; of one that was purged before, then.
    purged_at: Time,
    /// How many of its deliveries were pending or dead and are discarded.
    discarded: u64,
    /// How many records of the journal were emptied.
    records: u64,
}

impl PurgedShape {
    pub(in crate::admin) fn new(event: EventId, purged: Purged) -> Self {
        Self {
            event,
            purged_at: Time(purged.at),
            discarded: purged.discarded,
            records: purged.records,
        }
    }
}
