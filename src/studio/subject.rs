//! What a text is tried on: a stored event, a sample of a route, a body that is given.
//!
//! Promise: of a stored event nothing is in it that may not be shown. Not here: reading the store.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;

use super::StudioError;
use crate::event::{Event, EventParts};
use crate::plan::{Plan, RouteTest};
use crate::redact::Shown;
use crate::trial::{self, EVENT_ID, RECEIVED_AT, Request, SampleError};

/// What a text is tried on.
#[derive(Debug, Clone)]
pub enum Subject {
    /// An event as it was stored.
    Event(Arc<Event>),
    /// The sample of this id.
    Sample(String),
    /// A body. Like a sample it comes in at a time and with an id that are always the same.
    Given {
        /// The body.
        body: String,
        /// The headers.
        headers: HeaderMap,
        /// The source that it comes in by.
        source: Option<String>,
        /// Its type, where that is not told by the request.
        event_type: Option<String>,
    },
}

/// An event that a template can be rendered with.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) event: Event,
    pub(super) payload: Value,
    /// Whether values are hidden in it.
    pub(super) redacted: bool,
}

impl Subject {
    /// The event to render with.
    pub(super) fn ready(&self, plan: &Plan) -> Result<Ready, StudioError> {
        match self {
            Self::Event(event) => shown(plan, event.parts()),
            Self::Sample(id) => sample(plan, id),
            Self::Given {
                body,
                headers,
                source,
                event_type,
            } => {
                let source = match source {
                    Some(name) => {
                        let known = plan.sources.get(name.as_str());
                        Some(known.ok_or(StudioError::NoSuch("such source"))?.as_ref())
                    }
                    None => None,
                };
                let event = trial::event(Request {
                    id: EVENT_ID,
                    source,
                    headers,
                    body: Bytes::copy_from_slice(body.as_bytes()),
                    event_type: event_type.clone(),
                    now: RECEIVED_AT,
                })
                .map_err(|_| StudioError::BrokeDown)?;
                Ok(Ready {
                    payload: payload(&event)?,
                    event,
                    redacted: false,
                })
            }
        }
    }
}

/// An event with what may be shown of it.
fn shown(plan: &Plan, parts: &EventParts) -> Result<Ready, StudioError> {
    let view = plan.view(parts);
    let header = |(name, value): &(String, String)| (name.clone(), view.header(value));
    let mut parts = EventParts {
        headers: parts.headers.iter().map(header).collect(),
        message_id: parts.message_id.as_deref().map(|id| view.word(id)),
        event_type: view.word(&parts.event_type),
        ..parts.clone()
    };
    let redacted = view.body.label().is_some();
    let shown = match view.body {
        Shown::Whole => None,
        Shown::Redacted(value) => Some(value),
        Shown::Hidden(why) => return Err(StudioError::Hidden(why)),
    };
    if let Some(payload) = &shown {
        parts.body = Bytes::from(payload.to_string());
    }
    let event = Event::from_stored(parts);
    Ok(Ready {
        payload: match shown {
            Some(shown) => shown,
            None => payload(&event)?,
        },
        event,
        redacted,
    })
}

/// The sample of a route, as the event that a test would make of it.
fn sample(plan: &Plan, id: &str) -> Result<Ready, StudioError> {
    let known = plan.studio.sample(id);
    let known = known.ok_or(StudioError::NoSuch("such sample"))?;
    let test = RouteTest {
        route: known.route.clone(),
        event: PathBuf::from(&known.name),
        body: known.body.clone(),
        headers: known.headers.clone(),
        expect: PathBuf::new(),
        expected: Err(String::new()),
    };
    let (event, payload) = trial::Sample::new(plan, &test)
        .map_err(|error| match error {
            SampleError::NotJson(why) => StudioError::NotJson(why),
            SampleError::NoTemplate(_) | SampleError::Source(_) => {
                StudioError::NoSuch("such sample")
            }
        })?
        .into_event();
    Ok(Ready {
        event,
        payload,
        redacted: false,
    })
}

/// What templates see of an event: what its source has taken out of an envelope, not the envelope.
fn payload(event: &Event) -> Result<Value, StudioError> {
    match event.json() {
        Some(payload) => Ok(payload.to_value()),
        None => serde_json::from_slice(&event.parts().body)
            .map_err(|error| StudioError::NotJson(error.to_string())),
    }
}
