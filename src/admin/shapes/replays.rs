//! Replays.

use serde::{Deserialize, Serialize};

use super::Time;
use super::deliveries::DeliveryShape;
use super::events::EventRowShape;
use crate::delivery::ReplayMode;
use crate::id::{ReplayId, TargetName};
use crate::plan::Plan;
use crate::replay::Preview;
use crate::store::{ReplayFilter, ReplayPhase, ReplayState};

/// What is to be taken up again.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::admin) struct ReplayRequestShape {
    /// What.
    pub(in crate::admin) filter: ReplayFilter,
    /// How.
    #[serde(default)]
    pub(in crate::admin) mode: ReplayMode,
    /// How many in a unit of time.
    #[serde(default)]
    pub(in crate::admin) rate: Option<String>,
    /// Whether only to say what it would be.
    #[serde(default)]
    pub(in crate::admin) dry_run: bool,
}

/// One event that is to be sent again.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::admin) struct EventRetryShape {
    /// How.
    #[serde(default)]
    pub(in crate::admin) mode: ReplayMode,
    /// Only deliveries to this target.
    #[serde(default)]
    pub(in crate::admin) target: Option<TargetName>,
}

/// A replay and how far it is.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct ReplayShape {
    /// Its id.
    pub(in crate::admin) id: ReplayId,
    /// When it began.
    created_at: Time,
    /// Who asked for it.
    created_by: String,
    /// How.
    mode: ReplayMode,
    /// What, with what was filled in.
    filter: ReplayFilter,
    /// How many in a unit of time; null is as many as there are.
    rate: Option<String>,
    /// `running`, `done`, `cancelled` or `failed`.
    state: ReplayPhase,
    /// How many there were when it began; null if too many to count.
    total: Option<u64>,
    /// How many it has gone through.
    done: u64,
    /// Deliveries that were made pending again.
    revived: u64,
    /// New deliveries.
    created: u64,
    /// Those that were changed meanwhile, or that no route takes.
    skipped: u64,
    /// Those that could not be taken up.
    failed: u64,
    /// When it ended.
    finished_at: Option<Time>,
    /// Why it failed.
    error: Option<String>,
}

impl From<ReplayState> for ReplayShape {
    fn from(state: ReplayState) -> Self {
        Self {
            id: state.id,
            created_at: Time(state.created_at),
            created_by: state.created_by,
            mode: state.mode,
            filter: state.filter,
            rate: state.rate.map(|rate| rate.to_string()),
            state: state.phase,
            total: state.total,
            done: state.done,
            revived: state.revived,
            created: state.created,
            skipped: state.skipped,
            failed: state.failed,
            finished_at: state.finished_at.map(Time),
            error: state.error,
        }
    }
}

/// What a replay would be.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct ReplayPreviewShape {
    /// Always true.
    dry_run: bool,
    /// How.
    mode: ReplayMode,
    /// What, with what was filled in.
    filter: ReplayFilter,
    /// How many deliveries; with `reroute` events.
    count: u64,
    /// Whether all were counted.
    complete: bool,
    /// The same by target.
    by_target: Vec<ByTargetShape>,
    /// Some of the deliveries, newest first.
    deliveries: Vec<DeliveryShape>,
    /// Some of the events.
    events: Vec<EventRowShape>,
}

/// How many deliveries to a target.
#[derive(Debug, Serialize)]
struct ByTargetShape {
    /// The target.
    target: TargetName,
    /// How many.
    count: u64,
}

impl ReplayPreviewShape {
    pub(in crate::admin) fn new(preview: Preview, plan: &Plan) -> Self {
        let by_target = preview.by_target.into_iter();
        let deliveries = preview.deliveries.into_iter();
        Self {
            dry_run: true,
            mode: preview.mode,
            filter: preview.filter,
            count: preview.count,
            complete: preview.complete,
            by_target: by_target
                .map(|(target, count)| ByTargetShape { target, count })
                .collect(),
            deliveries: deliveries
                .map(|listed| DeliveryShape::new(listed, plan))
                .collect(),
            events: preview.events.into_iter().map(Into::into).collect(),
        }
    }
}
