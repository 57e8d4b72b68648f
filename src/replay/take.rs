//! One delivery, or one event, taken up again.
//!
//! Promise: an id that a target has answered 2xx never comes with other bytes: what is rendered anew goes under a new one
//! then. Not here: which ones (see `run`).

use std::collections::HashMap;

use jiff::Timestamp;

use crate::delivery::{Delivery, ReplayMark, ReplayMode, StateKind};
use crate::event::Event;
use crate::id::{ReplayId, RouteName, TargetName};
use crate::plan::Plan;
use crate::routing;
use crate::store::{ListedDelivery, Revival, Store, StoreError};

/// What was made of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It is pending again.
    Revived(Delivery),
    /// Another one is pending in its place.
    Created(Delivery),
}

/// Whether the body may be another one than its target has had under this id, so that it needs a new one.
#[must_use]
pub fn needs_new_id(listed: &ListedDelivery, mode: ReplayMode) -> bool {
    let had = listed.had_success || listed.delivery.state.kind() == StateKind::Delivered;
    had && mode != ReplayMode::Frozen
}

/// Makes a delivery pending again, or another one in its place; by a replay or by itself.
///
/// # Errors
/// What the store says.
pub async fn take(
    store: &dyn Store,
    listed: &ListedDelivery,
    mode: ReplayMode,
    job: Option<ReplayId>,
    now: Timestamp,
) -> Result<Taken, StoreError> {
    if !needs_new_id(listed, mode) {
        let how = Revival::new(mode, job);
        match store.revive_as(listed.delivery.id, how).await {
            // It was delivered since it was looked at.
            Err(StoreError::WrongState { .. }) if mode != ReplayMode::Frozen => {}
            revived => return revived.map(Taken::Revived),
        }
    }
    let again = listed.delivery.again(mode, job, now);
    store
        .add_deliveries(again.event, vec![again.clone()])
        .await?;
    Ok(Taken::Created(again))
}

/// The deliveries that an event gets by the routes of a plan, as those of a replay or by themselves; with a target only those
/// to it. Each says in whose place it stands, where the event has one by the same route to the same target.
#[must_use]
pub fn rerouted(
    plan: &Plan,
    event: &Event,
    target: Option<&TargetName>,
    earlier: &[Delivery],
    job: Option<ReplayId>,
    now: Timestamp,
) -> Vec<Delivery> {
    // The newest of each; they stand in the order in which they were made.
    let places: HashMap<(&RouteName, &TargetName), _> = earlier
        .iter()
        .map(|it| ((&it.route, &it.target), it.id))
        .collect();
    let routes = plan.router.route(event);
    let mut deliveries: Vec<Delivery> = routes
        .flat_map(|route| routing::deliveries(plan, route, event, now))
        .collect();
    deliveries.retain(|it| target.is_none_or(|target| it.target == *target));
    for delivery in &mut deliveries {
        let of = places.get(&(&delivery.route, &delivery.target)).copied();
        delivery.mark = Some(ReplayMark {
            job,
            mode: ReplayMode::Reroute,
            of,
        });
    }
    deliveries
}

/// Puts an event through the routes of a plan and stores what comes of it.
///
/// # Errors
/// What the store says.
pub async fn reroute(
    store: &dyn Store,
    plan: &Plan,
    event: &Event,
    target: Option<&TargetName>,
    job: Option<ReplayId>,
    now: Timestamp,
) -> Result<Vec<Delivery>, StoreError> {
    let mut earlier = Vec::new();
    for id in store.event_row(event.id()).await?.deliveries {
        match store.delivery(id).await {
            Ok(delivery) => earlier.push(delivery),
            Err(StoreError::NotFound) => {}
            Err(error) => return Err(error),
        }
    }
    earlier.sort_by_key(|it| it.id);
    let deliveries = rerouted(plan, event, target, &earlier, job, now);
    if !deliveries.is_empty() {
        store.add_deliveries(event.id(), deliveries.clone()).await?;
    }
    Ok(deliveries)
}
