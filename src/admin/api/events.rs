//! Events: listed, shown with all that happened to them, sent again, purged.

use std::sync::Arc;

use http::StatusCode;

use super::deliveries::after;
use super::{note, page};
use crate::admin::Door;
use crate::admin::answer::{Answer, Refusal, json};
use crate::admin::query;
use crate::admin::routes::Call;
use crate::admin::shapes::{
    DeliveryShape, DeliveryWithAttempts, EventRetriedShape, EventRetryShape, EventRowShape,
    EventShape, PurgedShape, RoutingShape,
};
use crate::delivery::ReplayMode;
use crate::id::{EventId, TargetName};
use crate::replay;
use crate::store::{ListedDelivery, StoreError};

/// `GET /api/v1/events`: those that pass the filters of the query, newest first.
pub(in crate::admin) async fn events(door: Arc<Door>, call: Call) -> Answer {
    let (filter, asked) = query::events(&call.query)?;
    let store = &door.admin.store;
    let found = store.find_events(&filter, asked.window()).await?;
    Ok(page(found.map(EventRowShape::from)))
}

/// `GET /api/v1/events/{id}`: the event and all that happened to it.
pub(in crate::admin) async fn event(door: Arc<Door>, call: Call) -> Answer {
    query::nothing(&call.query)?;
    let id = event_id(&call)?;
    let store = &door.admin.store;
    let event = store.event(id).await?;
    let receipt = store.receipt(id).await?;
    let plan = door.admin.plan.get();
    let Some(now) = plan.number() else {
        let why = "the configuration has no number yet".to_owned();
        return Err(StoreError::Unavailable(why).into());
    };
    let view = plan.view(event.parts());
    let mut deliveries = Vec::new();
    for id in store.event_row(id).await?.deliveries {
        let listed = match store.listed(id).await {
            Ok(listed) => listed,
            Err(StoreError::NotFound) => continue,
            Err(error) => return Err(error.into()),
        };
        let attempts = store.attempts(id).await?;
        let shape = DeliveryWithAttempts::new(listed, attempts, &view.echoes, &plan);
        deliveries.push(shape);
    }
    let generation = receipt.as_ref().and_then(|receipt| receipt.generation);
    let routing = RoutingShape::new(&event, &view, &plan, generation, now);
    let shape = EventShape::new(&event, &view, receipt, routing, deliveries);
    Ok(json(StatusCode::OK, &shape))
}

/// `POST /api/v1/events/{id}/retry`: sends it again, to one target or to all; answers with the deliveries that came of it.
pub(in crate::admin) async fn retry(door: Arc<Door>, call: Call) -> Answer {
    query::nothing(&call.query)?;
    let asked: EventRetryShape = call.json()?;
    let id = event_id(&call)?;
    let retried = retried(&door, id, &asked).await;
    note(&door, call.actor, "retry_event", &id, &retried).await?;
    let retried = retried?;
    tracing::info!(event = %id, mode = asked.mode.as_str(), deliveries = retried.len(), "an operator had an event sent again");
    if retried.is_empty() && asked.mode != ReplayMode::Reroute {
        return Err(Refusal::not_found("the event has no such delivery"));
    }
    let plan = door.admin.plan.get();
    let deliveries = retried.into_iter();
    let shape = EventRetriedShape {
        event: id,
        deliveries: deliveries
            .map(|listed| DeliveryShape::new(listed, &plan))
            .collect(),
    };
    Ok(json(StatusCode::OK, &shape))
}

/// Takes up the deliveries of an event, or makes new ones; gives them as they stand then.
async fn retried(
    door: &Door,
    id: EventId,
    asked: &EventRetryShape,
) -> Result<Vec<ListedDelivery>, StoreError> {
    let store = &*door.admin.store;
    let now = door.admin.clock.now();
    let target = asked.target.as_ref();
    let event = store.event(id).await?;
    if asked.mode == ReplayMode::Reroute {
        let plan = door.admin.plan.get();
        let made = replay::reroute(store, &plan, &event, target, None, now).await?;
        let parts = event.parts();
        let listed = |delivery| ListedDelivery {
            delivery,
            source: parts.source.clone(),
            event_type: parts.event_type.clone(),
            last: None,
            had_success: false,
        };
        return Ok(made.into_iter().map(listed).collect());
    }
    let is_meant = |name: &TargetName| target.is_none_or(|target| target == name);
    let mut retried = Vec::new();
    for id in store.event_row(id).await?.deliveries {
        let listed = match store.listed(id).await {
            Ok(listed) if is_meant(&listed.delivery.target) => listed,
            Ok(_) | Err(StoreError::NotFound) => continue,
            Err(error) => return Err(error),
        };
        let taken = replay::take(store, &listed, asked.mode, None, now).await?;
        retried.push(after(listed, taken));
    }
    Ok(retried)
}

/// `POST /api/v1/events/{id}/purge`: takes one event's data out of the store; a tombstone stays.
pub(in crate::admin) async fn purge(door: Arc<Door>, call: Call) -> Answer {
    let id = event_id(&call)?;
    let purged = door.admin.store.purge(id).await;
    note(&door, call.actor, "purge", &id, &purged).await?;
    let purged = purged?;
    tracing::info!(event = %id, discarded = purged.discarded, "an operator had an event purged");
    Ok(json(StatusCode::OK, &PurgedShape::new(id, purged)))
}

pub(super) fn event_id(call: &Call) -> Result<EventId, Refusal> {
    let id = call.id.parse();
    id.map_err(|_| Refusal::not_found("an event's id is a UUID"))
}
