//! Events: listed, shown with all that happened to them, purged.

use std::sync::Arc;

use http::StatusCode;

use super::{note, page_of};
use crate::admin::Door;
use crate::admin::answer::{Answer, Refusal, json};
use crate::admin::query;
use crate::admin::routes::Call;
use crate::admin::shapes::{DeliveryWithAttempts, EventRowShape, EventShape, PurgedShape};
use crate::id::EventId;

/// `GET /api/v1/events?limit=&before=`
pub(in crate::admin) async fn events(door: Arc<Door>, call: Call) -> Answer {
    let page = query::events(&call.query)?;
    let rows = door.admin.store.events(page.before, page.limit + 1).await?;
    let rows = rows.into_iter().map(EventRowShape::from).collect();
    Ok(page_of(rows, page.limit, |row: &EventRowShape| row.id))
}

/// `GET /api/v1/events/{id}`: the event, its deliveries and their attempts.
pub(in crate::admin) async fn event(door: Arc<Door>, call: Call) -> Answer {
    let id = event_id(&call)?;
    let store = &door.admin.store;
    let event = store.event(id).await?;
    let plan = door.admin.plan.get();
    let view = plan.view(event.parts());
    let mut deliveries = Vec::new();
    for id in store.event_row(id).await?.deliveries {
        let delivery = store.delivery(id).await?;
        let attempts = store.attempts(id).await?;
        deliveries.push(DeliveryWithAttempts::new(
            delivery,
            attempts,
            &view.echoes,
            &plan,
        ));
    }
    let shape = EventShape::new(&event, &view, deliveries);
    Ok(json(StatusCode::OK, &shape))
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

fn event_id(call: &Call) -> Result<EventId, Refusal> {
    let id = call.id.parse();
    id.map_err(|_| Refusal::not_found("an event's id is a UUID"))
}
