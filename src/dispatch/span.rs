//! The part of an attempt in its event's trace: the ids that it sends, and its span.
//!
//! Promise: attempts of a trace that is recorded belong to the request that brought the event, whenever they are made: its id
//! is made of the event's. Of the URL a span has host and port only, since a path may hold a secret as well as a query.
//!
//! Attributes are named as the semantic conventions of OpenTelemetry for HTTP spans name them.

use crate::delivery::{Attempt, Next, Outcome};
use crate::event::EventParts;
use crate::plan::{Plan, Target};
use crate::store::Claimed;
use crate::telemetry::{Kind, Span, Value};
use crate::trace::{Context, SpanId};

/// An attempt's part in a trace.
pub(super) struct Traced {
    /// The trace.
    pub(super) context: Context,
    /// The attempt.
    pub(super) id: SpanId,
}

impl Traced {
    /// A new attempt for this event.
    pub(super) fn of(plan: &Plan, event: &EventParts) -> Self {
        let trusted = plan.trusts_trace(&event.source);
        let context = Context::of(event.id.as_bytes(), &event.headers, trusted);
        let context = match &plan.telemetry {
            Some(otlp) => context.sampled_by(otlp.sampling),
            None => context,
        };
        Self {
            context,
            id: SpanId::numbered(fastrand::u64(1..)),
        }
    }

    /// The span of the attempt.
    pub(super) fn span(
        &self,
        target: &Target,
        claimed: &Claimed,
        attempt: &Attempt,
        next: Next,
    ) -> Span {
        let (delivery, event) = (&claimed.delivery, claimed.event.parts());
        let next = match next {
            Next::Done => "done",
            Next::RetryAt(_) => "retry",
            Next::Bury(_) => "dead",
        };
        let mut attributes: Vec<(&'static str, Value)> = vec![
            ("ingate.source", event.source.to_string().into()),
            ("ingate.event.id", event.id.to_string().into()),
            ("ingate.route", delivery.route.to_string().into()),
            ("ingate.target", target.name.to_string().into()),
            ("ingate.delivery.id", delivery.id.to_string().into()),
            ("ingate.attempt", attempt.number.into()),
            ("ingate.next", next.into()),
        ];
        let sent = !matches!(attempt.outcome, Outcome::Unsendable { .. });
        if sent {
            attributes.extend(http(target, attempt));
        }
        let error = error_type(&attempt.outcome);
        let failed = error.is_some();
        attributes.extend(error.map(|error| ("error.type", error)));
        Span {
            trace: self.context.trace(),
            id: self.id,
            parent: Some(SpanId::of_event(event.id.as_bytes())),
            parent_is_remote: false,
            state: self.context.state().map(str::to_owned),
            link: None,
            kind: if sent { Kind::Client } else { Kind::Internal },
            name: if sent { "POST" } else { "render" }.to_owned(),
            began: attempt.started_at,
            took: attempt.took,
            attributes,
            failed,
        }
    }
}

/// What the conventions want of a request.
fn http(target: &Target, attempt: &Attempt) -> Vec<(&'static str, Value)> {
    let url = &target.url;
    let host = url.host().unwrap_or_default();
    let port = url.port_u16();
    let by_scheme = if url.scheme_str() == Some("https") {
        443
    } else {
        80
    };
    let mut attributes: Vec<(&'static str, Value)> = vec![
        ("http.request.method", "POST".into()),
        (
            "server.address",
            host.trim_matches(['[', ']']).to_owned().into(),
        ),
        ("server.port", port.unwrap_or(by_scheme).into()),
        (
            "url.scheme",
            url.scheme_str().unwrap_or_default().to_owned().into(),
        ),
    ];
    if let Outcome::Answered { status, .. } = attempt.outcome {
        attributes.push(("http.response.status_code", status.into()));
    }
    if let Some(again) = attempt.number.checked_sub(1).filter(|again| *again > 0) {
        attributes.push(("http.request.resend_count", again.into()));
    }
    attributes
}

/// What went wrong: the status, or a word of a closed list.
fn error_type(outcome: &Outcome) -> Option<Value> {
    match outcome {
        Outcome::Answered { status, .. } if (200..300).contains(status) => None,
        Outcome::Answered { status, .. } => Some(status.to_string().into()),
        Outcome::Failed { failure, .. } => Some(failure.as_str().into()),
        Outcome::Unsendable { reason, .. } => Some(reason.as_str().into()),
    }
}
