//! Payloads as the CloudEvents that a target asks for: in one JSON envelope, or with attributes as headers. Pure.
//!
//! Promise: an envelope is made of the delivery, its event and the target's settings alone, so that it is the same
//! whenever it is made. Its first member is the version, the second the delivery's id; by them a kept body is known to
//! be one. What the event's own attributes say is passed on, but for the id (each delivery has its own) and, where a
//! template made the data, what described the old data. Not here: how envelopes are taken apart (see `signature`).

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderName, HeaderValue};

use crate::cloudevents::{self, Attribute};
use crate::event::{Event, EventParts};
use crate::id::DeliveryId;
use crate::json::write_string;
use crate::plan::CloudEvents;

/// The content type of an envelope.
pub const CONTENT_TYPE: HeaderValue =
    HeaderValue::from_static("application/cloudevents+json; charset=utf-8");

/// The same as text.
pub const CONTENT_TYPE_TEXT: &str = "application/cloudevents+json; charset=utf-8";

/// What a CloudEvent carries.
#[derive(Debug, Clone, Copy)]
pub struct Data<'a> {
    /// Its bytes.
    pub body: &'a [u8],
    /// Its media type; `None` if it is not known.
    pub content_type: Option<&'a str>,
    /// Whether the bytes are JSON.
    pub is_json: bool,
    /// Whether they are the event's own, so that its `dataschema` still describes them.
    pub is_own: bool,
}

impl<'a> Data<'a> {
    /// The event's own bytes.
    #[must_use]
    pub fn of_event(event: &'a Event) -> Self {
        Self {
            body: &event.parts().body,
            content_type: event.content_type(),
            is_json: event.goes_on_as_json(),
            is_own: true,
        }
    }

    /// What a template has made.
    #[must_use]
    pub fn rendered(body: &'a [u8]) -> Self {
        Self {
            body,
            content_type: None,
            is_json: true,
            is_own: false,
        }
    }
}

/// The attributes of a delivery as a CloudEvent, but for `datacontenttype`.
fn attributes<'a>(
    settings: &'a CloudEvents,
    id: &'a str,
    parts: &'a EventParts,
    is_own: bool,
) -> Vec<Attribute<'a>> {
    let headers = parts.headers.iter();
    let headers = headers.map(|(name, value)| (name.as_str(), value.as_str()));
    let mut incoming = cloudevents::attributes(headers).unwrap_or_default();
    incoming.retain(|(_, value)| cloudevents::is_text(value) && !value.is_empty());
    if cloudevents::find(&incoming, "specversion") != Some(cloudevents::VERSION) {
        incoming.clear();
    }
    let mut taken = |name: &str| {
        let at = incoming.iter().position(|(known, _)| *known == name)?;
        Some(incoming.remove(at).1)
    };
    let own_source = taken("source");
    let source = match (&settings.source, own_source) {
        (Some(source), _) => Cow::Borrowed(source.as_str()),
        (None, Some(source)) => source,
        (None, None) => Cow::Owned(format!("/in/{}", parts.source)),
    };
    let event_type = settings.event_type.as_deref().unwrap_or(&parts.event_type);
    let time = taken("time").filter(|time| cloudevents::is_time(time));
    let time = time.unwrap_or_else(|| Cow::Owned(parts.received_at.to_string()));
    let mut all = vec![
        ("specversion", Cow::Borrowed(cloudevents::VERSION)),
        ("id", Cow::Borrowed(id)),
        ("source", source),
        ("type", Cow::Borrowed(event_type)),
        ("time", time),
    ];
    let is_passed_on = |name: &str| match name {
        "specversion" | "id" | "type" | cloudevents::CONTENT_TYPE => false,
        "dataschema" => is_own,
        _ => true,
    };
    all.extend(incoming.into_iter().filter(|(name, _)| is_passed_on(name)));
    all
}

/// The envelope of a delivery: its attributes as text, and the data as it is where it is JSON, else in base64. Without a
/// byte of data there is no data.
#[must_use]
pub fn structured(
    settings: &CloudEvents,
    delivery: DeliveryId,
    parts: &EventParts,
    data: Data<'_>,
) -> Bytes {
    let id = delivery.to_string();
    let mut all = attributes(settings, &id, parts, data.is_own);
    if let Some(content_type) = media_type(data) {
        all.push((cloudevents::CONTENT_TYPE, Cow::Borrowed(content_type)));
    }
    let mut text = String::with_capacity(all.len() * 64 + data.body.len() * 4 / 3);
    for (index, (name, value)) in all.iter().enumerate() {
        text.push(if index == 0 { '{' } else { ',' });
        push_string(name, &mut text);
        text.push(':');
        push_string(value, &mut text);
    }
    match std::str::from_utf8(data.body) {
        _ if data.body.is_empty() => {}
        Ok(json) if data.is_json => {
            text.push_str(",\"data\":");
            text.push_str(json);
        }
        _ => {
            text.push_str(",\"data_base64\":\"");
            STANDARD.encode_string(data.body, &mut text);
            text.push('"');
        }
    }
    text.push('}');
    Bytes::from(text)
}

/// What the data is called: what is JSON by a name of JSON, since receivers go by that.
fn media_type(data: Data<'_>) -> Option<&str> {
    let named = data
        .content_type
        .filter(|name| cloudevents::is_media_type(name));
    match named {
        Some(name) if !data.is_json || cloudevents::declares_json(name) => Some(name),
        _ if data.is_json => Some("application/json"),
        _ => None,
    }
}

fn push_string(value: &str, text: &mut String) {
    // Writing to a string does not fail.
    let _ = write_string(value, text);
}

/// Whether a kept body is the envelope of this delivery.
#[must_use]
pub fn is_structured(body: &[u8], delivery: DeliveryId) -> bool {
    let start = format!(
        "{{\"specversion\":\"{}\",\"id\":\"{delivery}\",",
        cloudevents::VERSION
    );
    body.starts_with(start.as_bytes())
}

/// The attributes of a delivery as headers; the content type comes besides.
#[must_use]
pub fn headers(
    settings: &CloudEvents,
    delivery: DeliveryId,
    parts: &EventParts,
    is_own: bool,
) -> Vec<(HeaderName, HeaderValue)> {
    let id = delivery.to_string();
    let all = attributes(settings, &id, parts, is_own).into_iter();
    let header = |(name, value): Attribute<'_>| {
        let name = format!("{}{name}", cloudevents::PREFIX).parse().ok()?;
        let value = HeaderValue::from_str(&cloudevents::encode(&value)).ok()?;
        Some((name, value))
    };
    all.filter_map(header).collect()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::id::EventId;
    use crate::plan::CloudEventsMode;

    const PLAIN: CloudEvents = CloudEvents {
        mode: CloudEventsMode::Structured,
        source: None,
        event_type: None,
    };

    fn parts(headers: &[(&str, &str)]) -> EventParts {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        EventParts {
            id: EventId::generate(),
            source: "shop".parse().unwrap(),
            message_id: None,
            event_type: "order.\"paid\"".to_owned(),
            headers: headers.iter().map(owned).collect(),
            body: Bytes::new(),
            received_at: Timestamp::UNIX_EPOCH,
            hops: 0,
        }
    }

    const JSON: Data<'_> = Data {
        body: br#"{"a": 1.50}"#,
        content_type: Some("application/json"),
        is_json: true,
        is_own: false,
    };

    #[test]
    fn a_payload_stands_in_its_envelope_as_it_is() {
        let id = DeliveryId::generate();
        let rows = [
            (JSON, r#""application/json","data":{"a": 1.50}}"#),
            (
                Data {
                    content_type: Some("application/x+json; v=1"),
                    ..JSON
                },
                r#""application/x+json; v=1","data":{"a": 1.50}}"#,
            ),
            (
                Data {
                    content_type: Some("text/plain"),
                    ..JSON
                },
                r#""application/json","data":{"a": 1.50}}"#,
            ),
            (
                Data {
                    body: b"\xff\x00",
                    content_type: Some("image/png"),
                    is_json: false,
                    is_own: true,
                },
                r#""image/png","data_base64":"/wA="}"#,
            ),
            (Data { body: b"", ..JSON }, r#""application/json"}"#),
        ];
        for (data, end) in rows {
            let body = structured(&PLAIN, id, &parts(&[]), data);
            let wanted = format!(
                "{{\"specversion\":\"1.0\",\"id\":\"{id}\",\"source\":\"/in/shop\",\"type\":\"order.\\\"paid\\\"\",\
                 \"time\":\"1970-01-01T00:00:00Z\",\"datacontenttype\":{end}"
            );
            assert_eq!(std::str::from_utf8(&body), Ok(wanted.as_str()));
            assert!(is_structured(&body, id));
            assert!(!is_structured(&body, DeliveryId::generate()));
            assert!(serde_json::from_slice::<serde_json::Value>(&body).is_ok());
        }
        let nameless = Data {
            body: b"\xff",
            content_type: None,
            is_json: false,
            is_own: true,
        };
        let body = structured(&PLAIN, id, &parts(&[]), nameless);
        assert!(body.ends_with(br#"Z","data_base64":"/w=="}"#), "{body:?}");
        assert!(!is_structured(b"{}", id));
    }

    #[test]
    fn the_events_own_attributes_are_passed_on() {
        let incoming = parts(&[
            ("ce-specversion", "1.0"),
            ("ce-id", "theirs"),
            ("ce-source", "/their%20source"),
            ("ce-type", "theirs"),
            ("ce-time", "2018-04-05T17:31:00Z"),
            ("ce-subject", "%E2%82%AC"),
            ("ce-dataschema", "https://example.com/schema"),
            ("ce-bad", "a%0Ab"),
            ("content-type", "text/plain"),
        ]);
        let id = DeliveryId::generate();
        let sent = |settings: &CloudEvents, parts: &EventParts, is_own| {
            let headers = headers(settings, id, parts, is_own).into_iter();
            let text = headers.map(|(name, value)| {
                let name = name.as_str().trim_start_matches("ce-").to_owned();
                format!("{name}={}", value.to_str().unwrap())
            });
            text.collect::<Vec<_>>().join(" ")
        };
        let wanted = format!(
            "specversion=1.0 id={id} source=/their%20source type=order.%22paid%22 time=2018-04-05T17:31:00Z \
             subject=%E2%82%AC dataschema=https://example.com/schema"
        );
        assert_eq!(sent(&PLAIN, &incoming, true), wanted);
        let rendered = wanted.replace(" dataschema=https://example.com/schema", "");
        assert_eq!(sent(&PLAIN, &incoming, false), rendered);
        let configured = CloudEvents {
            mode: CloudEventsMode::Binary,
            source: Some("urn:ours".to_owned()),
            event_type: Some("ours".to_owned()),
        };
        assert_eq!(
            sent(&configured, &incoming, false),
            rendered
                .replace("/their%20source", "urn:ours")
                .replace("order.%22paid%22", "ours")
        );
        let wrong_time = parts(&[
            ("ce-specversion", "1.0"),
            ("ce-time", "today"),
            ("ce-source", ""),
        ]);
        let plain = sent(&PLAIN, &parts(&[]), true);
        assert_eq!(sent(&PLAIN, &wrong_time, true), plain);
        let older = parts(&[
            ("ce-specversion", "0.3"),
            ("ce-source", "x"),
            ("ce-schemaurl", "y"),
        ]);
        assert_eq!(sent(&PLAIN, &older, true), plain);
    }
}
