//! Deliveries: listed, tried again, let go.

use std::sync::Arc;

use http::StatusCode;

use super::{note, page_of};
use crate::admin::Door;
use crate::admin::answer::{Answer, Refusal, json};
use crate::admin::query;
use crate::admin::routes::Call;
use crate::admin::shapes::DeliveryShape;
use crate::delivery::Delivery;
use crate::id::DeliveryId;
use crate::store::StoreError;

/// `GET /api/v1/deliveries?state=&target=&route=&limit=&before=`
pub(in crate::admin) async fn deliveries(door: Arc<Door>, call: Call) -> Answer {
    let (filter, page) = query::deliveries(&call.query)?;
    let store = &door.admin.store;
    let rows = store
        .deliveries(&filter, page.before, page.limit + 1)
        .await?;
    let plan = door.admin.plan.get();
    let shape = |row| DeliveryShape::new(row, &plan);
    let rows = rows.into_iter().map(shape).collect();
    Ok(page_of(rows, page.limit, |row: &DeliveryShape| row.id))
}

/// `POST /api/v1/deliveries/{id}/retry`: makes it pending and due now; answers with it.
pub(in crate::admin) async fn retry(door: Arc<Door>, call: Call) -> Answer {
    let id = delivery_id(&call)?;
    let revived = door.admin.store.revive(id).await;
    changed(&door, call.actor, "retry", id, revived).await
}

/// `POST /api/v1/deliveries/{id}/discard`: lets one go that is pending or dead; answers with it.
pub(in crate::admin) async fn discard(door: Arc<Door>, call: Call) -> Answer {
    let id = delivery_id(&call)?;
    let discarded = door.admin.store.discard(id).await;
    changed(&door, call.actor, "discard", id, discarded).await
}

fn delivery_id(call: &Call) -> Result<DeliveryId, Refusal> {
    let id = call.id.parse();
    id.map_err(|_| Refusal::not_found("a delivery's id is a UUID"))
}

/// Notes what an operator had done with a delivery, and answers with it.
async fn changed(
    door: &Door,
    actor: String,
    action: &'static str,
    id: DeliveryId,
    changed: Result<Delivery, StoreError>,
) -> Answer {
    note(door, actor, action, &id, &changed).await?;
    let delivery = changed?;
    tracing::info!(delivery = %id, target_name = %delivery.target, action, "an operator has changed a delivery");
    let shape = DeliveryShape::new(delivery, &door.admin.plan.get());
    Ok(json(StatusCode::OK, &shape))
}
