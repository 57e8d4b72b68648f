//! What goes on now and lately.

use serde::Serialize;

use super::Time;
use crate::delivery::StateKind;
use crate::id::{DeliveryId, EventId, RouteName, SourceName, TargetName};
use crate::live::{AttemptNews, Columns, InTotals, OutTotals, Place, Which, Window};

/// Requests at the public door within the last minute.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct InShape {
    /// Over how many seconds.
    seconds: f64,
    /// Events that verified.
    received: u64,
    /// Those among them that repeat another.
    duplicates: u64,
    /// Those among them that no route took.
    unmatched: u64,
    /// Requests that did not verify.
    unverified: u64,
    /// Requests that were refused for another reason.
    refused: u64,
}

impl InShape {
    pub(in crate::admin) fn new((seconds, totals): (f64, InTotals)) -> Self {
        Self {
            seconds,
            received: totals.received,
            duplicates: totals.duplicates,
            unmatched: totals.unmatched,
            unverified: totals.unverified,
            refused: totals.refused,
        }
    }
}

/// Attempts that ended within the last minute.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct OutShape {
    /// Over how many seconds.
    seconds: f64,
    /// Those that were answered 2xx.
    succeeded: u64,
    /// The others.
    failed: u64,
}

impl OutShape {
    pub(in crate::admin) fn new((seconds, totals): (f64, OutTotals)) -> Self {
        Self {
            seconds,
            succeeded: totals.succeeded,
            failed: totals.failed,
        }
    }
}

/// Columns for charts, oldest first.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct SeriesShape {
    window: &'static str,
    step_seconds: u64,
    source: Option<SourceName>,
    target: Option<TargetName>,
    times: Vec<i64>,
    received: Vec<Option<u64>>,
    unverified: Vec<Option<u64>>,
    succeeded: Vec<Option<u64>>,
    failed: Vec<Option<u64>>,
    mean_attempt_seconds: Vec<Option<f64>>,
    pending: Vec<Option<u64>>,
    dead: Vec<Option<u64>>,
    oldest_pending_seconds: Vec<Option<f64>>,
}

impl SeriesShape {
    pub(in crate::admin) fn new(window: Window, which: Which, columns: Columns) -> Self {
        let (source, target) = match which {
            Which::All => (None, None),
            Which::Source(name) => (Some(name), None),
            Which::Target(name) => (None, Some(name)),
        };
        Self {
            window: match window {
                Window::Hour => "1h",
                Window::Day => "24h",
            },
            step_seconds: window.step_seconds(),
            source,
            target,
            times: columns.times,
            received: columns.received,
            unverified: columns.unverified,
            succeeded: columns.succeeded,
            failed: columns.failed,
            mean_attempt_seconds: columns.mean_attempt,
            pending: columns.pending,
            dead: columns.dead,
            oldest_pending_seconds: columns.oldest,
        }
    }
}

/// An attempt without its words.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct AttemptRowShape<'a> {
    /// Its place in the stream.
    id: String,
    delivery: DeliveryId,
    event: EventId,
    source: &'a SourceName,
    #[serde(rename = "type")]
    event_type: &'a str,
    route: &'a RouteName,
    target: &'a TargetName,
    number: u32,
    started_at: Time,
    took_seconds: f64,
    /// Whether the target has taken the delivery.
    ok: bool,
    /// The HTTP status; null if no whole answer came.
    status: Option<u16>,
    /// `status 503`, a failure, or why nothing could be sent.
    result: String,
    /// What the delivery became.
    state: StateKind,
    /// When the next attempt is due; null unless it is pending.
    due_at: Option<Time>,
}

impl<'a> AttemptRowShape<'a> {
    pub(in crate::admin) fn new(place: Place, attempt: &'a AttemptNews) -> Self {
        Self {
            id: place.to_string(),
            delivery: attempt.delivery,
            event: attempt.event,
            source: &attempt.source,
            event_type: &attempt.event_type,
            route: &attempt.route,
            target: &attempt.target,
            number: attempt.number,
            started_at: Time(attempt.started_at),
            took_seconds: attempt.took.as_secs_f64(),
            ok: attempt.result.is_success(),
            status: attempt.result.status(),
            result: attempt.result.to_string(),
            state: attempt.state,
            due_at: attempt.due_at.map(Time),
        }
    }
}

/// That a reader of the stream has missed some.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct LostShape {
    /// How many; null if that is not known.
    pub(in crate::admin) missed: Option<u64>,
}
