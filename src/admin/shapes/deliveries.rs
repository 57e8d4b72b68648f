//! Deliveries and their attempts.

use serde::Serialize;

use super::Time;
use crate::delivery::{
    Attempt, BodyFrom, DeadReason, Delivery, Failure, HELD, LastAttempt, Outcome, ReplayMark,
    ReplayMode, State, StateKind,
};
use crate::id::{DeliveryId, Digest, EventId, ReplayId, RouteName, SourceName, TargetName};
use crate::plan::Plan;
use crate::redact::Echoes;
use crate::store::{DeadGroup, ListedDelivery};
use crate::studio::Marker;

/// A delivery.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct DeliveryShape {
    /// Its id; what the target sees as `webhook-id`.
    pub(in crate::admin) id: DeliveryId,
    /// Its event.
    event: EventId,
    /// The source of its event.
    source: SourceName,
    /// The type of its event.
    #[serde(rename = "type")]
    event_type: String,
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
    /// Its last attempt in short; null if none was made, or it is not known any more.
    last_attempt: Option<LastAttemptShape>,
    /// By what it was last taken up again; null if never.
    replay: Option<ReplayMarkShape>,
}

/// An attempt in short.
#[derive(Debug, Serialize)]
struct LastAttemptShape {
    /// When it began.
    started_at: Time,
    /// How long it took.
    took_seconds: f64,
    /// Whether the target has taken the delivery.
    ok: bool,
    /// The HTTP status; null if no whole answer came.
    status: Option<u16>,
    /// `status 503`, a failure, or why nothing could be sent.
    result: String,
}

impl From<LastAttempt> for LastAttemptShape {
    fn from(last: LastAttempt) -> Self {
        Self {
            started_at: Time(last.started_at),
            took_seconds: last.took.as_secs_f64(),
            ok: last.result.is_success(),
            status: last.result.status(),
            result: last.result.to_string(),
        }
    }
}

/// By what a delivery was taken up again.
#[derive(Debug, Serialize)]
struct ReplayMarkShape {
    /// The replay; null if it was retried by itself.
    job: Option<ReplayId>,
    /// How.
    mode: ReplayMode,
    /// The delivery in whose place it was made; null if it is no new one.
    of: Option<DeliveryId>,
}

impl From<ReplayMark> for ReplayMarkShape {
    fn from(mark: ReplayMark) -> Self {
        let ReplayMark { job, mode, of } = mark;
        Self { job, mode, of }
    }
}

/// A delivery with its attempts.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct DeliveryWithAttempts {
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
    /// The configuration in force; null in records of older versions.
    plan_generation: Option<u64>,
    /// Of the template that has made or was to make the body; null if none or not known.
    template_hash: Option<Digest>,
    /// `rendered`, `frozen` or `unchanged`; null if nothing was sent or it is not known.
    body_from: Option<BodyFrom>,
    /// Of the bytes that were sent.
    body_sha256: Option<Digest>,
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

impl DeliveryShape {
    /// The shape of a delivery, by the plan in force.
    pub(in crate::admin) fn new(listed: ListedDelivery, plan: &Plan) -> Self {
        let delivery = listed.delivery;
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
            source: listed.source,
            event_type: listed.event_type,
            route: delivery.route,
            target: delivery.target,
            state,
            due_at: due_at.map(Time),
            waits_for,
            ended_at: ended_at.map(Time),
            reason,
            attempts_made: delivery.attempts,
            started_at: Time(delivery.started_at),
            last_attempt: listed.last.map(Into::into),
            replay: delivery.mark.map(Into::into),
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

impl DeliveryWithAttempts {
    /// The shape of a delivery and its attempts, without echoes of what is not to be shown.
    pub(in crate::admin) fn new(
        listed: ListedDelivery,
        attempts: Vec<Attempt>,
        echoes: &Echoes,
        plan: &Plan,
    ) -> Self {
        let shape = |attempt| AttemptShape::new(attempt, echoes);
        Self {
            delivery: DeliveryShape::new(listed, plan),
            attempts: attempts.into_iter().map(shape).collect(),
        }
    }
}

impl AttemptShape {
    fn new(attempt: Attempt, echoes: &Echoes) -> Self {
        let sent = attempt.sent.unwrap_or_default();
        Self {
            plan_generation: sent.generation,
            template_hash: sent.template,
            body_from: sent.body_from,
            body_sha256: sent.body,
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

/// What a target gets, or got, of a delivery.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct DeliveryBodyShape {
    /// The delivery.
    pub(in crate::admin) delivery: DeliveryId,
    /// Its event.
    pub(in crate::admin) event: EventId,
    /// `frozen`, `rendered` or `unchanged`.
    pub(in crate::admin) from: BodyFrom,
    /// Whether it is byte for byte what the last attempt sent; null if nothing was sent or that is not known.
    pub(in crate::admin) exact: Option<bool>,
    /// The route's template now; null if it has none or is gone.
    pub(in crate::admin) template: Option<String>,
    /// Of the template that has made it.
    pub(in crate::admin) template_hash: Option<Digest>,
    /// What it is sent as.
    pub(in crate::admin) content_type: Option<String>,
    /// Bytes of it before anything is hidden.
    pub(in crate::admin) size_bytes: Option<usize>,
    /// `values` if values are left out.
    pub(in crate::admin) body_redacted: Option<&'static str>,
    /// The body, where that is UTF-8 text.
    pub(in crate::admin) body: Option<String>,
    /// The body, where that is not text.
    pub(in crate::admin) body_base64: Option<String>,
    /// Why it does not render; then there is no body.
    pub(in crate::admin) error: Option<Marker>,
}

/// Dead letters of one target and reason.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct DeadGroupShape {
    /// The target.
    target: TargetName,
    /// The reason.
    reason: DeadReason,
    /// How many.
    count: u64,
    /// When the oldest of the deliveries was created.
    oldest_created_at: Time,
    /// When the newest was.
    newest_created_at: Time,
    /// The newest of them.
    newest: DeliveryId,
    /// What its last attempt says; null if it made none.
    detail: Option<String>,
}

impl DeadGroupShape {
    /// The shape of a group with what the last attempt of the newest came to.
    pub(in crate::admin) fn new(
        group: DeadGroup,
        outcome: Option<Outcome>,
        echoes: &Echoes,
    ) -> Self {
        let detail = outcome.map(|outcome| match outcome {
            Outcome::Answered { snippet, .. } => echoes.blot(snippet),
            Outcome::Failed { detail, .. } => detail,
            Outcome::Unsendable { detail, .. } => echoes.blot(detail),
        });
        Self {
            target: group.target,
            reason: group.reason,
            count: group.count,
            oldest_created_at: Time(group.oldest.made_at()),
            newest_created_at: Time(group.newest.made_at()),
            newest: group.newest,
            detail,
        }
    }
}
