//! Traces for a collector: spans are taken in, gathered and sent by OTLP over HTTP.
//!
//! Promise: who tells of a span never waits and never fails: what there is no room for, and what the collector does not take,
//! is dropped and counted. Where the configuration has no collector, nobody makes a span and nothing is sent. Not here: which
//! spans there are and what they say (see `ingest` and `dispatch`), ids (see `trace`).
//!
//! The exporter is written out here because the protocol's JSON form takes one small file, while the SDK of OpenTelemetry would
//! bring a second HTTP stack or protobuf, threads of its own, and a new major version every few months.

mod export;
mod otlp;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;

pub use export::{Exporter, start};

use crate::clock::Clock;
use crate::metrics::{Metrics, SpanFate};
use crate::trace::{Parent, SpanId, TraceId};

/// What kind of step a span is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Work inside.
    Internal,
    /// A request that was answered.
    Server,
    /// A request that was sent.
    Client,
}

/// What an attribute says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A text.
    Text(Cow<'static, str>),
    /// A number.
    Int(i64),
    /// Yes or no.
    Bool(bool),
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Self::Int(number.into())
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Int(number.into())
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

/// One step in a trace, which has ended.
#[derive(Debug, Clone)]
pub struct Span {
    /// The trace.
    pub trace: TraceId,
    /// The step.
    pub id: SpanId,
    /// The step that it belongs to.
    pub parent: Option<SpanId>,
    /// Whether that is of another program.
    pub parent_is_remote: bool,
    /// What tracing systems have added.
    pub state: Option<String>,
    /// A trace that has to do with it.
    pub link: Option<(TraceId, SpanId)>,
    /// What kind of step it is.
    pub kind: Kind,
    /// Its name: of few.
    pub name: String,
    /// When it began.
    pub began: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// What is said of it. Nothing of a payload, no secret.
    pub attributes: Vec<(&'static str, Value)>,
    /// Whether it failed.
    pub failed: bool,
}

impl Span {
    /// Links it to another's step.
    #[must_use]
    pub fn linked(mut self, other: Parent) -> Self {
        self.link = Some((other.trace, other.span()));
        self
    }
}

/// Where spans are told. Cheap to clone.
#[derive(Clone)]
pub struct Spans(Option<Arc<Told>>);

struct Told {
    sender: mpsc::Sender<Span>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

impl Spans {
    /// Nowhere: what is told is forgotten.
    #[must_use]
    pub fn nowhere() -> Self {
        Self(None)
    }

    /// The present time; `None` where spans are told nowhere.
    #[must_use]
    pub fn now(&self) -> Option<Timestamp> {
        self.0.as_ref().map(|told| told.clock.now())
    }

    /// Takes a span in, or drops it; never waits.
    pub fn tell(&self, span: Span) {
        if let Some(told) = &self.0
            && told.sender.try_send(span).is_err()
        {
            told.metrics.spans(SpanFate::NoRoom, 1);
        }
    }
}
