//! Whether the daemon lives and takes events, its metrics, and what else it can be asked.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use http::{HeaderValue, StatusCode};

use super::{depths, fleet};
use crate::admin::Door;
use crate::admin::answer::{Answer, Code, Refusal, json, json_bytes, response};
use crate::admin::document;
use crate::admin::routes::Call;
use crate::admin::shapes::{FleetCountShape, LiveShape, ReadyShape};
use crate::clock;
use crate::delivery::StateKind;
use crate::id::TargetName;
use crate::store::{Depth, Health};

/// What `Metrics::encode` writes.
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// `GET /livez`: the process answers.
pub(in crate::admin) async fn livez(_door: Arc<Door>, _call: Call) -> Answer {
    Ok(json(StatusCode::OK, &LiveShape { live: true }))
}

/// `GET /readyz`: 200 if events are taken, else 503 with the reasons.
pub(in crate::admin) async fn readyz(door: Arc<Door>, _call: Call) -> Answer {
    let reasons = reasons(&door);
    let ready = reasons.is_empty();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    Ok(json(status, &ReadyShape { ready, reasons }))
}

/// Why no events are taken; none if they are.
pub(super) fn reasons(door: &Door) -> Vec<String> {
    let mut reasons = Vec::new();
    if door.admin.draining.load(Ordering::Relaxed) {
        reasons.push("draining".to_owned());
    }
    if let Health::Unavailable(why) = door.admin.store.health() {
        reasons.push(format!("store: {why}"));
    }
    reasons
}

/// `GET /metrics`: everything, with the queue as it is now.
pub(in crate::admin) async fn metrics(door: Arc<Door>, _call: Call) -> Answer {
    match depths(&door).await {
        Ok(depths) => set_gauges(&door, depths),
        // The rest still tells what is wrong.
        Err(error) => tracing::warn!(%error, "the depth of the queues is not known"),
    }
    match door.admin.store.dead_groups().await {
        Ok(groups) => {
            let groups = groups.into_iter();
            let told = groups.map(|group| {
                let target = group.target.as_str().to_owned();
                (target, group.reason.as_str(), group.count)
            });
            door.admin.metrics.set_dead_letters(told);
        }
        Err(error) => tracing::warn!(%error, "the dead letters are not known"),
    }
    if let Some(gauges) = door.admin.store.gauges() {
        door.admin.metrics.set_store(gauges);
    }
    match fleet::members(&door).await {
        Ok(members) => {
            let FleetCountShape {
                instances,
                differing,
            } = FleetCountShape::of(&members);
            let own = members.iter().find(|member| member.instance.this);
            let owned = own.map_or(0, |member| member.instance.owns.len());
            door.admin.metrics.set_fleet(instances, differing, owned);
        }
        Err(error) => tracing::warn!(%error, "the instances are not known"),
    }
    let plan = door.admin.plan.get();
    for (name, tls) in [("public", &plan.tls), ("admin", &plan.admin.tls)] {
        let ends = tls.as_ref().map(|tls| tls.not_after().as_second());
        door.admin.metrics.set_tls_certificate_expiry(name, ends);
    }
    let text = door.admin.metrics.encode();
    Ok(response(StatusCode::OK, OPEN_METRICS, text))
}

/// `GET /api/v1/openapi.json`: the document.
pub(in crate::admin) async fn openapi(_door: Arc<Door>, _call: Call) -> Answer {
    match document::json() {
        Some(document) => Ok(json_bytes(document)),
        None => Err(Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            Code::Damaged,
            "the document cannot be read",
        )),
    }
}

fn set_gauges(door: &Door, mut depths: BTreeMap<TargetName, Depth>) {
    let now = door.admin.clock.now();
    let mut shown = door.shown.lock().unwrap_or_else(PoisonError::into_inner);
    shown.extend(door.admin.plan.get().targets.keys().cloned());
    shown.extend(depths.keys().cloned());
    for target in shown.iter() {
        let depth = depths.remove(target);
        let (pending, dead, oldest) = depth.map_or((0, 0, None), |depth| {
            (depth.pending, depth.dead, depth.oldest_pending)
        });
        let age = oldest.map_or_else(Default::default, |since| clock::between(since, now));
        let (name, metrics) = (target.as_str(), &door.admin.metrics);
        metrics.set_queue_depth(name, StateKind::Pending.as_str(), pending);
        metrics.set_queue_depth(name, StateKind::Dead.as_str(), dead);
        metrics.set_queue_oldest_age(name, age);
    }
}
