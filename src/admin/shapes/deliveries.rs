//! Deliveries and their attempts.

use serde::Serialize;

use super::Time;
use crate::delivery::{Attempt, DeadReason, Delivery, Failure, HELD, Outcome, State, StateKind};
use crate::id::{DeliveryId, EventId, RouteName, TargetName};
use crate::plan::Plan;
use crate::redact::Echoes;

/// A delivery.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct DeliveryShape {
    /// Its id; what the target sees as `webhook-id`.
    pub(in crate::admin) id: DeliveryId,
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
    pub(in crate::admin) fn new(delivery: Delivery, plan: &Plan) -> Self {
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
