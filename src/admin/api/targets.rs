//! Targets as they are in force, what waits for them, and what an operator has them do.

use std::sync::Arc;

use http::StatusCode;

use super::fleet::Owners;
use super::{depths, note};
use crate::admin::Door;
use crate::admin::answer::{Answer, Code, Refusal, json};
use crate::admin::query;
use crate::admin::routes::Call;
use crate::admin::shapes::{OutShape, PageShape, ProbeShape, TargetShape, TargetState, Time};
use crate::dispatch;
use crate::plan::{Plan, Target};
use crate::store::{Depth, StoreError};

/// `GET /api/v1/targets`: all targets of the configuration, by name, on one page.
pub(in crate::admin) async fn targets(door: Arc<Door>, call: Call) -> Answer {
    query::nothing(&call.query)?;
    let mut depths = depths(&door).await?;
    let owners = Owners::of(&door).await?;
    let plan = door.admin.plan.get();
    let targets = plan.targets.values();
    let shapes = targets.map(|target| {
        let depth = depths.remove(&target.name);
        shape(&door, target, &plan, depth, &owners)
    });
    Ok(json(StatusCode::OK, &PageShape::whole(shapes.collect())))
}

/// `GET /api/v1/targets/{id}`: the target of this name.
pub(in crate::admin) async fn target(door: Arc<Door>, call: Call) -> Answer {
    let plan = door.admin.plan.get();
    let target = named(&plan, &call)?;
    shown(&door, target, &plan).await
}

/// `POST /api/v1/targets/{id}/pause`: has its deliveries wait; answers with it.
pub(in crate::admin) async fn pause(door: Arc<Door>, call: Call) -> Answer {
    set_pause(door, call, true).await
}

/// `POST /api/v1/targets/{id}/resume`: lets its deliveries go on; answers with it.
pub(in crate::admin) async fn resume(door: Arc<Door>, call: Call) -> Answer {
    set_pause(door, call, false).await
}

async fn set_pause(door: Arc<Door>, call: Call, paused: bool) -> Answer {
    let plan = door.admin.plan.get();
    let target = Arc::clone(named(&plan, &call)?);
    let (at, of) = (Arc::clone(&door), Arc::clone(&target));
    // In a task of its own: who asks and goes away must not leave the store and the lanes of two minds.
    let done = tokio::spawn(async move { change_pause(&at, &of, call.actor, paused).await });
    match done.await {
        Ok(changed) => changed?,
        Err(error) => {
            tracing::error!(%error, "pausing or resuming a target broke down");
            return Err(Refusal::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                Code::Damaged,
                "it broke down",
            ));
        }
    }
    shown(&door, &target, &plan).await
}

/// First the store, so that it holds over a restart, then the lanes.
async fn change_pause(
    door: &Door,
    target: &Target,
    actor: String,
    paused: bool,
) -> Result<(), StoreError> {
    let (store, name) = (&door.admin.store, &target.name);
    let changed = {
        // One at a time, so that the lanes end up with what the store has.
        let _one = door.pausing.lock().await;
        let changed = store.set_pause(name, paused.then(|| actor.clone())).await;
        if let Ok(pause) = &changed {
            door.admin.lanes.set_pause(name, pause.clone());
        }
        changed
    };
    let action = if paused { "pause" } else { "resume" };
    if changed.is_ok() {
        tracing::info!(target_name = %name, action, actor, "an operator has changed a target");
    }
    note(door, actor, action, name, &changed).await?;
    changed.map(|_| ())
}

/// `POST /api/v1/targets/{id}/probe`: looks whether it can be reached, and hurries an open breaker if it can.
pub(in crate::admin) async fn probe(door: Arc<Door>, call: Call) -> Answer {
    let plan = door.admin.plan.get();
    let target = named(&plan, &call)?;
    let (name, at) = (&target.name, door.admin.clock.now());
    let began = std::time::Instant::now();
    let found = dispatch::probe(target, &plan.egress).await;
    let took = began.elapsed();
    note(&door, call.actor, "probe", name, &Ok(())).await?;
    let reachable = found.is_ok();
    // Who cannot say which instance it is says at least what was found.
    let owners = Owners::of(&door).await.unwrap_or_default();
    let owner = owners.get(name).map(|owner| owner.shape.clone());
    let elsewhere = owner.as_ref().is_some_and(|owner| !owner.this);
    let (failure, detail) = found.err().unzip();
    let shape = ProbeShape {
        target: name,
        at: Time(at),
        reachable,
        took_seconds: took.as_secs_f64(),
        failure,
        detail,
        hurried: reachable && !elsewhere && door.admin.lanes.hurry(name),
        owner,
    };
    Ok(json(StatusCode::OK, &shape))
}

fn named<'a>(plan: &'a Plan, call: &Call) -> Result<&'a Arc<Target>, Refusal> {
    let target = plan.targets.get(call.id.as_str());
    target.ok_or_else(|| Refusal::not_found("the configuration has no target of this name"))
}

async fn shown(door: &Door, target: &Target, plan: &Plan) -> Answer {
    let depth = depths(door).await?.remove(&target.name);
    let owners = Owners::of(door).await?;
    let shape = shape(door, target, plan, depth, &owners);
    Ok(json(StatusCode::OK, &shape))
}

/// A target with what it is at.
pub(super) fn shape<'a>(
    door: &Door,
    target: &'a Target,
    plan: &'a Plan,
    depth: Option<Depth>,
    owners: &Owners,
) -> TargetShape<'a> {
    let (live, lanes) = (&door.admin.live, &door.admin.lanes);
    let now = door.admin.clock.now();
    let minute = live.series.target_minute(&target.name, now, &live.tallies);
    let owner = owners.get(&target.name);
    let state = TargetState {
        depth,
        lane: lanes.get(&target.name),
        down: owner.is_some_and(|owner| owner.down),
        owner: owner.map(|owner| owner.shape.clone()),
        paused: lanes.paused(&target.name),
        last_minute: OutShape::new(minute),
    };
    TargetShape::new(target, plan, state)
}
