//! How everything stands.

use serde::Serialize;

use super::Time;
use super::fleet::FleetCountShape;
use super::live::{InShape, OutShape};
use super::sources::SourceShape;
use super::targets::TargetShape;
use crate::plan::Generation;
use crate::reload::Last;

/// How everything stands now.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct OverviewShape<'a> {
    /// Of the daemon.
    pub(in crate::admin) version: &'static str,
    /// What ages are measured by.
    pub(in crate::admin) now: Time,
    pub(in crate::admin) started_at: Time,
    /// As `/readyz` says.
    pub(in crate::admin) ready: bool,
    pub(in crate::admin) reasons: Vec<String>,
    /// Whether templates and samples may be saved.
    pub(in crate::admin) edit_templates: bool,
    pub(in crate::admin) plan: PlanShape,
    /// The last load since the start; null if there was none.
    pub(in crate::admin) last_reload: Option<Last>,
    /// Over all sources.
    #[serde(rename = "in")]
    pub(in crate::admin) came: InShape,
    /// Over all targets.
    #[serde(rename = "out")]
    pub(in crate::admin) went: OutShape,
    /// Over all targets, those that are not in the configuration included.
    pub(in crate::admin) pending: u64,
    pub(in crate::admin) dead: u64,
    /// When the oldest pending delivery was created or last revived.
    pub(in crate::admin) oldest_pending_at: Option<Time>,
    pub(in crate::admin) replays_running: usize,
    pub(in crate::admin) fleet: FleetCountShape,
    pub(in crate::admin) sources: Vec<SourceShape<'a>>,
    pub(in crate::admin) targets: Vec<TargetShape<'a>>,
}

/// The configuration in force.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct PlanShape {
    /// Counts the configurations that came into force, over restarts too.
    generation: u64,
    since: Time,
}

impl From<Generation> for PlanShape {
    fn from(generation: Generation) -> Self {
        Self {
            generation: generation.number,
            since: Time(generation.since),
        }
    }
}
