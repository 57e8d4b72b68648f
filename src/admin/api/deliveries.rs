//! Deliveries: listed, shown, tried again, let go; dead letters in groups.

use std::sync::Arc;

use http::StatusCode;

use super::{note, page};
use crate::admin::Door;
use crate::admin::answer::{Answer, Refusal, json};
use crate::admin::query;
use crate::admin::routes::Call;
use crate::admin::shapes::{DeadGroupShape, DeliveryShape, DeliveryWithAttempts, PageShape};
use crate::id::{DeliveryId, EventId};
use crate::plan::Plan;
use crate::redact::Echoes;
use crate::replay::{self, Taken};
use crate::store::{DeadGroup, ListedDelivery, StoreError};

/// `GET /api/v1/deliveries`: those that pass the filters of the query, newest first.
pub(in crate::admin) async fn deliveries(door: Arc<Door>, call: Call) -> Answer {
    let (filter, asked) = query::deliveries(&call.query)?;
    let store = &door.admin.store;
    let found = store.find_deliveries(&filter, asked.window()).await?;
    let plan = door.admin.plan.get();
    Ok(page(found.map(|row| DeliveryShape::new(row, &plan))))
}

/// `GET /api/v1/deliveries/{id}`: one delivery with its attempts.
pub(in crate::admin) async fn delivery(door: Arc<Door>, call: Call) -> Answer {
    query::nothing(&call.query)?;
    let id = delivery_id(&call)?;
    let store = &door.admin.store;
    let listed = store.listed(id).await?;
    let attempts = store.attempts(id).await?;
    let plan = door.admin.plan.get();
    let echoes = echoes(&door, listed.delivery.event, &plan).await?;
    let shape = DeliveryWithAttempts::new(listed, attempts, &echoes, &plan);
    Ok(json(StatusCode::OK, &shape))
}

/// `POST /api/v1/deliveries/{id}/retry?mode=`: makes it pending and due now; answers with it, or with the one in its place.
pub(in crate::admin) async fn retry(door: Arc<Door>, call: Call) -> Answer {
    let mode = query::retry(&call.query)?;
    let id = delivery_id(&call)?;
    let store = &door.admin.store;
    let taken = match store.listed(id).await {
        Ok(listed) => {
            let now = door.admin.clock.now();
            let taken = replay::take(&**store, &listed, mode, None, now).await;
            taken.map(|taken| after(listed, taken))
        }
        Err(error) => Err(error),
    };
    changed(&door, call.actor, "retry", id, taken).await
}

/// `POST /api/v1/deliveries/{id}/discard`: lets one go that is pending or dead; answers with it.
pub(in crate::admin) async fn discard(door: Arc<Door>, call: Call) -> Answer {
    let id = delivery_id(&call)?;
    let store = &door.admin.store;
    let discarded = match store.discard(id).await {
        Ok(_) => store.listed(id).await,
        Err(error) => Err(error),
    };
    changed(&door, call.actor, "discard", id, discarded).await
}

/// `GET /api/v1/dead?target=&reason=`: dead letters by target and reason.
pub(in crate::admin) async fn dead(door: Arc<Door>, call: Call) -> Answer {
    let (target, reason) = query::dead(&call.query)?;
    let plan = door.admin.plan.get();
    let mut items = Vec::new();
    for group in door.admin.store.dead_groups().await? {
        let wanted = target.as_ref().is_none_or(|target| group.target == *target)
            && reason.is_none_or(|reason| group.reason == reason);
        if wanted {
            items.push(shown(&door, group, &plan).await?);
        }
    }
    let next: Option<DeliveryId> = None;
    Ok(json(StatusCode::OK, &PageShape { items, next }))
}

/// A group with what the last attempt of the newest of it says.
async fn shown(door: &Door, group: DeadGroup, plan: &Plan) -> Result<DeadGroupShape, StoreError> {
    let store = &door.admin.store;
    let newest = group.newest;
    let last = match store.attempts(newest).await {
        Ok(mut attempts) => attempts.pop(),
        // It was let go since the groups were looked at.
        Err(StoreError::NotFound | StoreError::Purged) => None,
        Err(error) => return Err(error),
    };
    let echoes = match store.delivery(newest).await {
        Ok(delivery) => echoes(door, delivery.event, plan).await?,
        Err(StoreError::NotFound) => Echoes::All,
        Err(error) => return Err(error),
    };
    Ok(DeadGroupShape::new(
        group,
        last.map(|attempt| attempt.outcome),
        &echoes,
    ))
}

pub(super) fn delivery_id(call: &Call) -> Result<DeliveryId, Refusal> {
    let id = call.id.parse();
    id.map_err(|_| Refusal::not_found("a delivery's id is a UUID"))
}

/// What is blotted out in texts that may repeat something of an event; of one whose data is gone, all.
async fn echoes(door: &Door, event: EventId, plan: &Plan) -> Result<Echoes, StoreError> {
    match door.admin.store.event(event).await {
        Ok(event) => Ok(plan.view(event.parts()).echoes),
        Err(StoreError::NotFound | StoreError::Purged) => Ok(Echoes::All),
        Err(error) => Err(error),
    }
}

/// A delivery as it stands once it was taken up, before anything else becomes of it.
pub(super) fn after(before: ListedDelivery, taken: Taken) -> ListedDelivery {
    match taken {
        Taken::Revived(delivery) => ListedDelivery { delivery, ..before },
        Taken::Created(delivery) => ListedDelivery {
            delivery,
            last: None,
            had_success: false,
            ..before
        },
    }
}

/// Notes what an operator had done with a delivery, and answers with the one that came of it.
async fn changed(
    door: &Door,
    actor: String,
    action: &'static str,
    id: DeliveryId,
    changed: Result<ListedDelivery, StoreError>,
) -> Answer {
    note(door, actor, action, &id, &changed).await?;
    let listed = changed?;
    tracing::info!(delivery = %id, now = %listed.delivery.id, action, "an operator has changed a delivery");
    let shape = DeliveryShape::new(listed, &door.admin.plan.get());
    Ok(json(StatusCode::OK, &shape))
}
