//! The samples of routes: events as vendors send them, rendered before one is sent.
//!
//! A sample is a file that a route's tests name. Here it becomes an event, is rendered as a delivery would be, is held
//! against the schema of the output, and is mutated to see what a template does with what nobody sent yet. Pure: bytes
//! and the time are arguments. Not here: what a test expects to come out.

mod change;
mod mutate;
mod paths;

use bytes::Bytes;
use http::HeaderMap;
use jiff::Timestamp;
use serde_json::Value;

pub use mutate::{Found, FoundMisfit, Mutated, PAIRS, VARIANTS};
pub use paths::{Missing, missing};

use std::sync::Arc;

use crate::event::{Event, EventParts, UNKNOWN_TYPE};
use crate::id::{EventId, NameError, RouteName, SourceName, TargetName};
use crate::pattern::Subject;
use crate::plan::{Plan, Route, Source};
use crate::schema::Misfit;
use crate::signature;
use crate::template::{Rendered, Scene, Template, TemplateError};

/// A request that nobody sent.
#[derive(Debug, Clone)]
pub struct Request<'a> {
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
        source,
        headers,
        body,
        event_type,
        now,
    } = request;
    let (message_id, found) = match source {
        Some(source) => signature::describe(&source.scheme, headers, &body),
        None => (None, type_member(&body)),
    };
    Ok(Event::from_stored(EventParts {
        id: EventId::generate(),
        source: match source {
            Some(source) => source.name.clone(),
            None => "sample".parse::<SourceName>()?,
        },
        message_id,
        event_type: event_type
            .or(found)
            .unwrap_or_else(|| UNKNOWN_TYPE.to_owned()),
        headers: headers
            .iter()
            .map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                (name.as_str().to_owned(), value)
            })
            .collect(),
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

/// What does not come out of a sample as it should.
#[derive(Debug, Clone, PartialEq)]
pub enum Trouble {
    /// It does not render.
    Template(TemplateError),
    /// What it renders does not fit the schema of this name.
    Schema(String, Vec<Misfit>),
}

impl Sample {
    /// The sample that a body is for a route: it comes in by the first of the route's sources whose events look like it.
    ///
    /// # Errors
    /// Why it is none.
    pub fn new(
        plan: &Plan,
        route: &RouteName,
        body: Vec<u8>,
        now: Timestamp,
    ) -> Result<Self, SampleError> {
        let no_template = || SampleError::NoTemplate(route.clone());
        let route = plan.router.get(route).ok_or_else(no_template)?;
        let template = route.template.as_ref().ok_or_else(no_template)?;
        let payload: Value = serde_json::from_slice(&body)
            .map_err(|error| SampleError::NotJson(error.to_string()))?;
        let (body, headers) = (Bytes::from(body), HeaderMap::new());
        let mut chosen = None;
        for source in &route.from {
            let event = event(Request {
                source: plan.sources.get(source).map(AsRef::as_ref),
                headers: &headers,
                body: body.clone(),
                event_type: None,
                now,
            })?;
            let subject = Subject {
                event_type: &event.parts().event_type,
                headers: &event.parts().headers,
                body: Some(&payload),
            };
            if route.pattern.matches(&subject).is_ok() {
                chosen = Some(event);
                break;
            }
            chosen.get_or_insert(event);
        }
        Ok(Self {
            route: Arc::clone(route),
            template: Arc::clone(template),
            event: chosen.ok_or_else(no_template)?,
            payload,
        })
    }

    /// Its route.
    #[must_use]
    pub fn route(&self) -> &Route {
        &self.route
    }

    /// The parsed body.
    #[must_use]
    pub fn payload(&self) -> &Value {
        &self.payload
    }

    /// Renders it for each target of its route, and holds what comes out against the schema.
    ///
    /// # Errors
    /// The first thing that does not come out as it should.
    pub fn try_out(&self, plan: &Plan) -> Result<(), Trouble> {
        for target in &self.route.to {
            let rendered = self.render(plan, target, &self.payload);
            let rendered = rendered.map_err(Trouble::Template)?;
            let Some(output) = &self.route.schema else {
                continue;
            };
            let misfits = match serde_json::from_slice(&rendered.body) {
                Ok(value) => output.schema.misfits(&value),
                Err(error) => vec![no_json(&error)],
            };
            if !misfits.is_empty() {
                return Err(Trouble::Schema(output.schema.name().to_owned(), misfits));
            }
        }
        Ok(())
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
            payload,
            event: self.event.facts(&id),
            headers: &self.event.parts().headers,
            route: self.route.name.as_str(),
            target: target.as_str(),
            vars: &plan.vars,
        };
        self.template.render(&scene, plan.render)
    }
}

/// What is no JSON fits no schema; the writer lets none of it out.
fn no_json(error: &serde_json::Error) -> Misfit {
    Misfit {
        at: String::new(),
        rule: String::new(),
        message: format!("it is not JSON: {error}"),
    }
}
