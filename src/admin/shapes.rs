//! What the API's answers look like. Times are RFC 3339 in UTC, durations are numbers of seconds, ids
//! are UUIDs, states and reasons are in snake case.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::delivery::{Attempt, DeadReason, Delivery, Failure, HELD, Outcome, State, StateKind};
use crate::dispatch::{BreakerState, BreakerView, LaneView};
use crate::event::Event;
use crate::id::{AuditId, DeliveryId, EventId, RouteName, SourceName, TargetName};
use crate::plan::{Plan, Target};
use crate::redact::{Echoes, Shown, View};
use crate::store::{AuditEntry, Depth, EventRow, Purged};

/// A time, as RFC 3339 in UTC.
#[derive(Debug, Clone, Copy)]
struct Time(Timestamp);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

/// A page of a listing, newest first.
#[derive(Debug, Serialize)]
pub(super) struct PageShape<Item, Id> {
    /// The rows.
    pub(super) items: Vec<Item>,
    /// What to pass as `before` for the next page; null if this is the last one.
    pub(super) next: Option<Id>,
}

/// An event in a listing.
#[derive(Debug, Serialize)]
pub(super) struct EventRowShape {
    /// Our id of it.
    pub(super) id: EventId,
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

/// An event with everything that is known of it.
#[derive(Debug, Serialize)]
pub(super) struct EventShape<'a> {
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
    /// Its deliveries with their attempts.
    deliveries: Vec<DeliveryWithAttempts>,
}

/// A header of an event.
#[derive(Debug, Serialize)]
struct HeaderShape<'a> {
    /// In lower case.
    name: &'a str,
    /// As it came, but for what is not to be shown of the body.
    value: String,
}

/// A delivery.
#[derive(Debug, Serialize)]
pub(super) struct DeliveryShape {
    /// Its id; what the target sees as `webhook-id`.
    pub(super) id: DeliveryId,
    /// Its event.
    event: EventId,
    /// By which route.
    route: RouteName,
    /// To which target.
    target: TargetName,
    /// `pending`, `delivered`, `dead` or `discarded`.
    state: StateKind,
    /// When the next attempt is due; null unless it is pending and waits for nothing else.
    due_at: Option<Time>,
    /// What it waits for to be in the configuration again, `target` or `route`; null if it waits for nothing.
    waits_for: Option<&'static str>,
    /// Since when it is delivered, dead or discarded; null while it is pending.
    ended_at: Option<Time>,
    /// Why it is dead; null unless it is.
    reason: Option<DeadReason>,
    /// How many attempts were made since it was created or revived.
    attempts_made: u32,
    /// When it was created or last revived.
    started_at: Time,
}

/// A delivery with its attempts.
#[derive(Debug, Serialize)]
pub(super) struct DeliveryWithAttempts {
    /// The delivery.
    #[serde(flatten)]
    delivery: DeliveryShape,
    /// The attempts that are still kept, oldest first.
    attempts: Vec<AttemptShape>,
}

/// An attempt.
#[derive(Debug, Serialize)]
struct AttemptShape {
    /// Which of the delivery's attempts; counts from 1.
    number: u32,
    /// When it began.
    started_at: Time,
    /// How long it took.
    took_seconds: f64,
    /// What came of it.
    outcome: OutcomeShape,
}

/// What came of an attempt.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum OutcomeShape {
    /// The target answered.
    Answered {
        /// The HTTP status.
        status: u16,
        /// How long the target asked us to wait; null if it did not.
        retry_after_seconds: Option<f64>,
        /// The start of the response body, as text.
        snippet: String,
    },
    /// No answer came.
    Failed {
        /// At which step.
        failure: Failure,
        /// The error in words.
        detail: String,
    },
    /// Nothing could be sent.
    Unsendable {
        /// Why.
        reason: DeadReason,
        /// The error in words.
        detail: String,
    },
}

/// What became of an event whose data was purged.
#[derive(Debug, Serialize)]
pub(super) struct PurgedShape {
    /// The event.
    pub(super) event: EventId,
    /// When it was purged; of one that was purged before, then.
    purged_at: Time,
    /// How many of its deliveries were pending or dead and are discarded.
    discarded: u64,
    /// How many records of the journal were emptied.
    records: u64,
}

impl PurgedShape {
    pub(super) fn new(event: EventId, purged: Purged) -> Self {
        Self {
            event,
            purged_at: Time(purged.at),
            discarded: purged.discarded,
            records: purged.records,
        }
    }
}

/// A target, what it is at, and what waits for it.
#[derive(Debug, Serialize)]
pub(super) struct TargetShape {
    /// Its name.
    name: TargetName,
    /// Where requests go: scheme, host, port and path. A query may hold what is not to be shown.
    url: String,
    /// Most attempts at a time.
    concurrency: usize,
    /// Most attempts in a unit of time, e.g. `50/s`; null if there is no such limit.
    rate: Option<String>,
    /// Whether its deliveries are ordered by a value of the body.
    order: bool,
    /// Its breaker; null if that is off.
    breaker: Option<BreakerShape>,
    /// Attempts under way.
    running: usize,
    /// Deliveries that are pending.
    pending: u64,
    /// Deliveries that are dead.
    dead: u64,
    /// When the oldest pending delivery was created or last revived; null if none is pending.
    oldest_pending_at: Option<Time>,
}

/// The breaker of a target.
#[derive(Debug, Serialize)]
struct BreakerShape {
    /// `closed` (attempts are made), `open` (deliveries wait for the next probe) or `half_open` (they wait for the
    /// end of a probe).
    state: &'static str,
    /// Since when it is closed; while it is not, when it opened. Null before the target is served.
    since: Option<Time>,
    /// When the next probe is made, or as soon after as a delivery is due; null unless it is open.
    next_probe_at: Option<Time>,
    /// Attempts that have failed since the last one that did not, probes included.
    consecutive_failures: u32,
    /// How the last one that failed did: `status 503`, or the failure, e.g. `timeout`; null if none has.
    last_failure: Option<String>,
}

impl TargetShape {
    /// The shape of a target; without a depth nothing waits for it, without a lane it is not served yet.
    pub(super) fn new(target: &Target, depth: Option<Depth>, lane: Option<LaneView>) -> Self {
        let (running, breaker) = lane.map_or((0, None), |lane| (lane.running, lane.breaker));
        let (pending, dead, oldest) = depth.map_or((0, 0, None), |depth| {
            (depth.pending, depth.dead, depth.oldest_pending)
        });
        Self {
            name: target.name.clone(),
            url: without_query(&target.url),
            concurrency: target.concurrency,
            rate: target.rate.map(|rate| rate.to_string()),
            order: target.order.is_some(),
            breaker: target.breaker.map(|_| BreakerShape::new(breaker)),
            running,
            pending,
            dead,
            oldest_pending_at: oldest.map(Time),
        }
    }
}

/// Scheme, host, port and path of a URL.
fn without_query(url: &Uri) -> String {
    let scheme = url.scheme_str().unwrap_or_default();
    let host = url.host().unwrap_or_default();
    let port = url.port().map_or(String::new(), |port| format!(":{port}"));
    format!("{scheme}://{host}{port}{}", url.path())
}

impl BreakerShape {
    fn new(view: Option<BreakerView>) -> Self {
        match view {
            Some(view) => Self {
                state: view.state.as_str(),
                since: Some(Time(view.since)),
                next_probe_at: view.next_probe.map(Time),
                consecutive_failures: view.failures_in_a_row,
                last_failure: view.last_failure.map(|fault| fault.to_string()),
            },
            None => Self {
                state: BreakerState::Closed.as_str(),
                since: None,
                next_probe_at: None,
                consecutive_failures: 0,
                last_failure: None,
            },
        }
    }
}

/// What somebody changed.
#[derive(Debug, Serialize)]
pub(super) struct AuditShape {
    /// Its id.
    pub(super) id: AuditId,
    /// When.
    at: Time,
    /// Who.
    actor: String,
    /// What was done.
    action: String,
    /// To what.
    subject: String,
    /// Whether it was done; otherwise it was refused or failed.
    ok: bool,
    /// What came of it, in words.
    detail: String,
}

impl From<AuditEntry> for AuditShape {
    fn from(entry: AuditEntry) -> Self {
        let AuditEntry { id, at, note } = entry;
        Self {
            id,
            at: Time(at),
            actor: note.actor,
            action: note.action,
            subject: note.subject,
            ok: note.ok,
            detail: note.detail,
        }
    }
}

/// Whether the daemon takes events.
#[derive(Debug, Serialize)]
pub(super) struct ReadyShape {
    /// Whether it does.
    pub(super) ready: bool,
    /// Why it does not; empty if it does.
    pub(super) reasons: Vec<String>,
}

/// That the daemon is alive.
#[derive(Debug, Serialize)]
pub(super) struct LiveShape {
    /// Always true.
    pub(super) live: bool,
}

/// An error.
#[derive(Debug, Serialize)]
pub(super) struct ErrorShape<'a> {
    /// The error.
    pub(super) error: ErrorBody<'a>,
}

/// What an error says.
#[derive(Debug, Serialize)]
pub(super) struct ErrorBody<'a> {
    /// A closed list, for programs.
    pub(super) code: &'a str,
    /// For people.
    pub(super) message: &'a str,
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

impl<'a> EventShape<'a> {
    /// The shape of an event and its deliveries, as far as it may be shown.
    pub(super) fn new(
        event: &'a Event,
        view: &'a View,
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
            deliveries,
        }
    }
}

/// What a pending delivery waits for, besides its time.
fn waits_for(delivery: &Delivery, plan: &Plan) -> Option<&'static str> {
    if !matches!(delivery.state, State::Pending { .. }) {
        None
    } else if !plan.targets.contains_key(&delivery.target) {
        Some("target")
    } else if plan.router.get(&delivery.route).is_none() {
        Some("route")
    } else {
        None
    }
}

impl DeliveryShape {
    /// The shape of a delivery, by the plan in force.
    pub(super) fn new(delivery: Delivery, plan: &Plan) -> Self {
        let state = delivery.state.kind();
        let waits_for = waits_for(&delivery, plan);
        let (due_at, ended_at, reason) = match delivery.state {
            State::Pending { due } => {
                let by_time = waits_for.is_none() && due != HELD;
                (by_time.then_some(due), None, None)
            }
            State::Delivered { at } | State::Discarded { at } => (None, Some(at), None),
            State::Dead { at, reason } => (None, Some(at), Some(reason)),
        };
        Self {
            id: delivery.id,
            event: delivery.event,
            route: delivery.route,
            target: delivery.target,
            state,
            due_at: due_at.map(Time),
            waits_for,
            ended_at: ended_at.map(Time),
            reason,
            attempts_made: delivery.attempts,
            started_at: Time(delivery.started_at),
        }
    }
}

impl DeliveryWithAttempts {
    /// The shape of a delivery and its attempts, without echoes of what is not to be shown.
    pub(super) fn new(
        delivery: Delivery,
        attempts: Vec<Attempt>,
        echoes: &Echoes,
        plan: &Plan,
    ) -> Self {
        let shape = |attempt| AttemptShape::new(attempt, echoes);
        Self {
            delivery: DeliveryShape::new(delivery, plan),
            attempts: attempts.into_iter().map(shape).collect(),
        }
    }
}

impl AttemptShape {
    fn new(attempt: Attempt, echoes: &Echoes) -> Self {
        Self {
            number: attempt.number,
            started_at: Time(attempt.started_at),
            took_seconds: attempt.took.as_secs_f64(),
            outcome: match attempt.outcome {
                Outcome::Answered {
                    status,
                    retry_after,
                    snippet,
                } => OutcomeShape::Answered {
                    status,
                    retry_after_seconds: retry_after.map(|wait| wait.as_secs_f64()),
                    snippet: echoes.blot(snippet),
                },
                // The words are of the network, not of the target.
                Outcome::Failed { failure, detail } => OutcomeShape::Failed { failure, detail },
                Outcome::Unsendable { reason, detail } => OutcomeShape::Unsendable {
                    reason,
                    detail: echoes.blot(detail),
                },
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_shown_without_what_may_be_secret() {
        for (url, shown) in [
            (
                "https://erp.example/hooks?key=s3cret",
                "https://erp.example/hooks",
            ),
            (
                "http://user:pass@erp.example:8080/?k",
                "http://erp.example:8080/",
            ),
            ("http://[::1]:9", "http://[::1]:9/"),
        ] {
            assert_eq!(without_query(&url.parse().unwrap()), shown, "{url}");
        }
    }
}
