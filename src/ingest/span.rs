//! The span of a request to a source, at the public door.
//!
//! Promise: a new event's span is the one that its attempts belong to. The sender's trace is continued only where the sender is
//! trusted and proven; else the span links to it. Nothing of body, query and headers is in it.
//!
//! Attributes are named as the semantic conventions of OpenTelemetry for HTTP spans name them.

use std::net::IpAddr;
use std::time::Duration;

use http::request::Parts;
use http::{HeaderMap, Version};
use jiff::Timestamp;

use super::answer::Denial;
use crate::id::EventId;
use crate::intake::{Accepted, Fate};
use crate::plan::{OtlpPlan, Source};
use crate::telemetry::{Kind, Span, Spans, Value};
use crate::trace::{self, Context, Parent, SpanId};

/// Methods that spans name; any other is `_OTHER`, or a caller could make up as many names as it likes.
const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
];

/// What is kept of a request until it is answered.
pub(super) struct Begun {
    at: Timestamp,
    method: &'static str,
    version: &'static str,
    client: IpAddr,
    /// The headers of trace context.
    trace: Vec<(String, String)>,
}

impl Begun {
    /// A request to a source; `None` if spans are told nowhere.
    pub(super) fn of(spans: &Spans, head: &Parts, client: IpAddr) -> Option<Self> {
        let at = spans.now()?;
        let method = head.method.as_str();
        let known = METHODS.into_iter().find(|known| *known == method);
        Some(Self {
            at,
            method: known.unwrap_or("_OTHER"),
            version: match head.version {
                Version::HTTP_2 => "2",
                Version::HTTP_10 => "1.0",
                _ => "1.1",
            },
            client,
            trace: trace_headers(&head.headers),
        })
    }

    /// The span of the request, once it is known how it was answered; `None` if its trace is not recorded.
    pub(super) fn span(
        self,
        otlp: &OtlpPlan,
        source: &Source,
        outcome: &Result<Accepted, Denial>,
        status: u16,
        took: Duration,
    ) -> Option<Span> {
        let (event, new, label) = match outcome {
            Ok(accepted @ Accepted::Event { id, fate }) => {
                (Some(*id), !fate.is_duplicate(), accepted.label())
            }
            Ok(accepted @ Accepted::Reply(_)) => (None, false, accepted.label()),
            Err(denial) => (None, false, denial.label()),
        };
        // Whoever repeats an event, or brings none, has a part of its own.
        let id = event.filter(|_| new).unwrap_or_else(EventId::generate);
        let trusted = source.trust_trace && event.is_some();
        let context = Context::of(id.as_bytes(), &self.trace, trusted);
        let context = context.sampled_by(otlp.sampling);
        if !context.is_sampled() {
            return None;
        }
        let mut attributes: Vec<(&'static str, Value)> = vec![
            ("http.request.method", self.method.into()),
            ("http.route", source.path.clone().into()),
            ("url.path", source.path.clone().into()),
            ("http.response.status_code", status.into()),
            ("network.protocol.name", "http".into()),
            ("network.protocol.version", self.version.into()),
            ("client.address", self.client.to_string().into()),
            ("ingate.source", source.name.to_string().into()),
            ("ingate.result", label.into()),
        ];
        if let Some(event) = event {
            attributes.push(("ingate.event.id", event.to_string().into()));
        }
        if matches!(
            outcome,
            Ok(Accepted::Event {
                fate: Fate::Duplicate | Fate::Conflicting,
                ..
            })
        ) {
            attributes.push(("ingate.duplicate", true.into()));
        }
        if outcome.is_err() {
            attributes.push(("error.type", label.into()));
        }
        let span = Span {
            trace: context.trace(),
            id: SpanId::of_event(id.as_bytes()),
            parent: context.caller(),
            parent_is_remote: context.caller().is_some(),
            state: context.state().map(str::to_owned),
            link: None,
            kind: Kind::Server,
            name: format!("{} {}", self.method, source.path),
            began: self.at,
            took,
            attributes,
            // What the sender did wrong is no failure of ours.
            failed: status >= 500,
        };
        Some(
            match Parent::of(&self.trace).filter(|_| context.caller().is_none()) {
                Some(sender) => span.linked(sender),
                None => span,
            },
        )
    }
}

fn trace_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    let names = [trace::PARENT_HEADER, trace::STATE_HEADER];
    let values = names.into_iter().flat_map(|name| {
        let values = headers.get_all(name).iter();
        values.map(move |value| {
            let value = String::from_utf8_lossy(value.as_bytes());
            (name.to_owned(), value.into_owned())
        })
    });
    values.collect()
}
