//! The tests of routes: events as vendors send them, and what must become of them, tried before one is sent.
//!
//! A test names a file with the body of an event, its sample. Here the sample becomes an event, is rendered as a delivery
//! would be, is held against the schema of the output and compared with what is expected (`run`, `compare`, `lines`), and
//! is mutated to see what a template does with what nobody sent yet (`mutate`). Pure: bytes are arguments, and the time
//! and the id of a sample are always [`RECEIVED_AT`] and [`EVENT_ID`]. Not here: reading and writing the files.

mod change;
mod compare;
mod lines;
mod mutate;
mod paths;
mod run;
mod shown;

use bytes::Bytes;
use http::HeaderMap;
use jiff::Timestamp;
use serde_json::Value;

pub use compare::{Difference, Differences, TOLD, differences};
pub use lines::{LINES, Line, diff};
pub use mutate::{Found, FoundMisfit, Mutated, PAIRS, VARIANTS};
pub use paths::{Missing, missing};
pub use run::{Problem, TestOutcome, Verdict, run, try_out};

use std::sync::Arc;

use crate::event::{Event, EventParts, UNKNOWN_TYPE, replace_headers};
use crate::id::{EventId, NameError, RouteName, SourceName, TargetName};
use crate::pattern::{Mismatch, Subject};
use crate::plan::{Plan, Route, RouteTest, Source};
use crate::signature;
use crate::template::{Rendered, Scene, Template, TemplateError};

/// When the event of every test came in, 2026-01-05T10:00:00Z, so that what is expected stays right.
pub const RECEIVED_AT: Timestamp = Timestamp::constant(1_767_607_200, 0);

/// The id of the event of every test, 019b8d99-6900-7000-8000-000000000000, a UUIDv7 of [`RECEIVED_AT`].
pub const EVENT_ID: EventId = EventId::from_bytes([
    0x01, 0x9b, 0x8d, 0x99, 0x69, 0x00, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 0,
]);

/// A request that nobody sent.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The id of its event.
    pub id: EventId,
    /// The source that it comes in by: it tells where type and id are. Without one the type is looked for at `/type`.
    pub source: Option<&'a Source>,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The body.
    pub body: Bytes,
    /// The type, where the request does not tell it.
    pub event_type: Option<String>,
    /// When it comes in.
    pub now: Timestamp,
}

/// The event that a request would become, if it were signed.
///
/// # Errors
/// None for a source of a plan.
pub fn event(request: Request<'_>) -> Result<Event, NameError> {
    let Request {
        id,
        source,
        headers,
        body,
        event_type,
        now,
    } = request;
    let mut kept: Vec<(String, String)> = headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        })
        .collect();
    let (message_id, found, body) = match source {
        Some(source) => {
            let scheme = &source.checks.first().scheme;
            let content = signature::describe(scheme, headers, &body);
            replace_headers(&mut kept, &content.replaced);
            (content.message_id, content.event_type, content.body)
        }
        None => (None, type_member(&body), body),
    };
    Ok(Event::from_stored(EventParts {
        id,
        source: match source {
            Some(source) => source.name.clone(),
            None => "sample".parse::<SourceName>()?,
        },
        message_id,
        event_type: event_type
            .or(found)
            .unwrap_or_else(|| UNKNOWN_TYPE.to_owned()),
        headers: kept,
        body,
        received_at: now,
        hops: 0,
    }))
}

fn type_member(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    Some(body.get("type")?.as_str()?.to_owned())
}

/// A sample of a route that has a template.
#[derive(Debug)]
pub struct Sample {
    route: Arc<Route>,
    template: Arc<Template>,
    event: Event,
    payload: Value,
    /// Why the route does not take it, by source; empty if it does.
    refusals: Vec<(SourceName, Mismatch)>,
}

/// Why there is no sample.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SampleError {
    /// The body is not JSON.
    #[error("the sample is not JSON: {0}")]
    NotJson(String),
    /// The plan has no such route, or none with a template.
    #[error("there is no route {0} with a template")]
    NoTemplate(RouteName),
    /// There is no event without a source.
    #[error(transparent)]
    Source(#[from] NameError),
}

impl Sample {
    /// The sample of a test: it comes in by the first of the route's sources whose events look like it, at
    /// [`RECEIVED_AT`], as [`EVENT_ID`].
    ///
    /// # Errors
    /// Why it is none.
    pub fn new(plan: &Plan, test: &RouteTest) -> Result<Self, SampleError> {
        let no_template = || SampleError::NoTemplate(test.route.clone());
        let route = plan.router.get(&test.route).ok_or_else(no_template)?;
        let template = route.template.as_ref().ok_or_else(no_template)?;
        let body = test.body.clone();
        let mut first = None;
        let mut refusals = Vec::new();
        for source in &route.from {
            let event = event(Request {
                id: EVENT_ID,
                source: plan.sources.get(source).map(AsRef::as_ref),
                headers: &test.headers,
                body: body.clone(),
                event_type: None,
                now: RECEIVED_AT,
            })?;
            let subject = Subject {
                event_type: &event.parts().event_type,
                headers: &event.parts().headers,
                body: event.json(),
            };
            match route.pattern.matches(&subject) {
                Ok(()) => {
                    first = Some(event);
                    refusals.clear();
                    break;
                }
                Err(mismatch) => refusals.push((source.clone(), mismatch)),
            }
            first.get_or_insert(event);
        }
        let event = first.ok_or_else(no_template)?;
        // What a source takes out of an envelope is the payload, not the envelope.
        let payload = match event.json() {
            Some(payload) => payload.to_value(),
            None => serde_json::from_slice(&event.parts().body)
                .map_err(|error| SampleError::NotJson(error.to_string()))?,
        };
        Ok(Self {
            route: Arc::clone(route),
            template: Arc::clone(template),
            event,
            payload,
            refusals,
        })
    }

    /// The parsed body.
    #[must_use]
    pub fn payload(&self) -> &Value {
        &self.payload
    }

    /// The event and its parsed body.
    #[must_use]
    pub fn into_event(self) -> (Event, Value) {
        (self.event, self.payload)
    }

    /// Why its route does not take it, by the sources of the route; empty if it does.
    #[must_use]
    pub fn refusals(&self) -> &[(SourceName, Mismatch)] {
        &self.refusals
    }

    /// Renders this payload in place of the sample's.
    fn render(
        &self,
        plan: &Plan,
        target: &TargetName,
        payload: &Value,
    ) -> Result<Rendered, TemplateError> {
        let id = self.event.id().to_string();
        let scene = Scene {
            payload: payload.into(),
            event: self.event.facts(&id),
            headers: &self.event.parts().headers,
            route: self.route.name.as_str(),
            target: target.as_str(),
            vars: &plan.vars,
        };
        self.template.render(&scene, plan.render)
    }
}
