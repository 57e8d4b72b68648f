//! How everything stands now, in one answer.

use std::sync::Arc;

use http::StatusCode;

use super::fleet::{self, Owners};
use super::{depths, health, sources, targets};
use crate::admin::Door;
use crate::admin::answer::{Answer, json};
use crate::admin::query;
use crate::admin::routes::Call;
use crate::admin::shapes::{FleetCountShape, InShape, OutShape, OverviewShape, PlanShape, Time};
use crate::plan::Generation;
use crate::store::{ReplayPhase, Store, StoreError};

/// Replays that are looked at for those that are running; of those there are few, and they are not old.
const REPLAYS: usize = 200;

/// `GET /api/v1/overview`
pub(in crate::admin) async fn overview(door: Arc<Door>, call: Call) -> Answer {
    query::nothing(&call.query)?;
    let (admin, plan) = (&door.admin, door.admin.plan.get());
    let (live, now) = (&admin.live, admin.clock.now());
    let generation = known(plan.generation.get())?;
    let mut depths = depths(&door).await?;
    let members = fleet::members(&door).await?;
    let owners = match admin.store.is_shared() {
        true => Owners::among(&members),
        false => Owners::default(),
    };
    let replays_running = replays_running(&*admin.store).await?;
    let (seconds, came, went) = live.series.minute(now, &live.tallies);
    let reasons = health::reasons(&door);
    let shape = OverviewShape {
        version: env!("CARGO_PKG_VERSION"),
        now: Time(now),
        started_at: Time(live.started_at),
        ready: reasons.is_empty(),
        reasons,
        edit_templates: plan.admin.edit_templates,
        plan: PlanShape::from(generation),
        last_reload: admin.reloader.as_ref().and_then(|reloader| reloader.last()),
        came: InShape::new((seconds, came)),
        went: OutShape::new((seconds, went)),
        pending: depths.values().map(|depth| depth.pending).sum(),
        dead: depths.values().map(|depth| depth.dead).sum(),
        oldest_pending_at: depths
            .values()
            .filter_map(|depth| depth.oldest_pending)
            .min()
            .map(Time),
        replays_running,
        fleet: FleetCountShape::of(&members),
        sources: plan
            .sources
            .values()
            .map(|source| sources::shape(&door, source, &plan))
            .collect(),
        targets: plan
            .targets
            .values()
            .map(|target| {
                let depth = depths.remove(&target.name);
                targets::shape(&door, target, &plan, depth, &owners)
            })
            .collect(),
    };
    Ok(json(StatusCode::OK, &shape))
}

fn known(generation: Option<&Generation>) -> Result<Generation, StoreError> {
    let unknown =
        || StoreError::Unavailable("which configuration this is, is not known yet".to_owned());
    generation.copied().ok_or_else(unknown)
}

async fn replays_running(store: &dyn Store) -> Result<usize, StoreError> {
    let replays = store.replays(None, REPLAYS).await?;
    let running = replays
        .iter()
        .filter(|replay| replay.phase == ReplayPhase::Running);
    Ok(running.count())
}
