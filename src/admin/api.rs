//! The handlers, one an endpoint, and what answers are made of.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;

use super::Door;
use super::query::{self, BadQuery};
use super::routes::Call;
use super::shapes::{
    AuditShape, DeliveryShape, DeliveryWithAttempts, ErrorBody, ErrorShape, EventRowShape,
    EventShape, LiveShape, PageShape, PurgedShape, ReadyShape, TargetShape,
};
use crate::clock;
use crate::delivery::{Delivery, StateKind};
use crate::id::{DeliveryId, TargetName};
use crate::plan::Target;
use crate::reload::Trigger;
use crate::store::{AuditNote, Depth, Health, StoreError};

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What `Metrics::encode` writes.
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// When to ask a store again that takes nothing now, in seconds.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("5");

type Answer = Result<Response<Full<Bytes>>, Refusal>;

/// `GET /livez`: the process answers.
pub(super) async fn livez(_door: Arc<Door>, _call: Call) -> Answer {
    Ok(json(StatusCode::OK, &LiveShape { live: true }))
}

/// `GET /readyz`: 200 if events are taken, else 503 with the reasons.
pub(super) async fn readyz(door: Arc<Door>, _call: Call) -> Answer {
    let mut reasons = Vec::new();
    if door.admin.draining.load(Ordering::Relaxed) {
        reasons.push("draining".to_owned());
    }
    if let Health::Unavailable(why) = door.admin.store.health() {
        reasons.push(format!("store: {why}"));
    }
    let ready = reasons.is_empty();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    Ok(json(status, &ReadyShape { ready, reasons }))
}

/// `GET /metrics`: everything, with the queue as it is now.
pub(super) async fn metrics(door: Arc<Door>, _call: Call) -> Answer {
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
    let plan = door.admin.plan.get();
    for (name, tls) in [("public", &plan.tls), ("admin", &plan.admin.tls)] {
        let ends = tls.as_ref().map(|tls| tls.not_after().as_second());
        door.admin.metrics.set_tls_certificate_expiry(name, ends);
    }
    let text = door.admin.metrics.encode();
    Ok(response(StatusCode::OK, OPEN_METRICS, text))
}

/// `GET /api/v1/events?limit=&before=`
pub(super) async fn events(door: Arc<Door>, call: Call) -> Answer {
    let page = query::events(&call.query)?;
    let rows = door.admin.store.events(page.before, page.limit + 1).await?;
    let rows = rows.into_iter().map(EventRowShape::from).collect();
    Ok(page_of(rows, page.limit, |row: &EventRowShape| row.id))
}

/// `GET /api/v1/events/{id}`: the event, its deliveries and their attempts.
pub(super) async fn event(door: Arc<Door>, call: Call) -> Answer {
    let id = call
        .id
        .parse()
        .map_err(|_| Refusal::not_found("an event's id is a UUID"))?;
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
pub(super) async fn purge(door: Arc<Door>, call: Call) -> Answer {
    let id = call
        .id
        .parse()
        .map_err(|_| Refusal::not_found("an event's id is a UUID"))?;
    let purged = door.admin.store.purge(id).await;
    note(&door, call.actor, "purge", &id, &purged).await?;
    let purged = purged?;
    tracing::info!(event = %id, discarded = purged.discarded, "an operator had an event purged");
    Ok(json(StatusCode::OK, &PurgedShape::new(id, purged)))
}

/// `GET /api/v1/deliveries?state=&target=&route=&limit=&before=`
pub(super) async fn deliveries(door: Arc<Door>, call: Call) -> Answer {
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
pub(super) async fn retry(door: Arc<Door>, call: Call) -> Answer {
    let id = delivery_id(&call)?;
    let revived = door.admin.store.revive(id).await;
    changed(&door, call.actor, "retry", id, revived).await
}

/// `POST /api/v1/deliveries/{id}/discard`: lets one go that is pending or dead; answers with it.
pub(super) async fn discard(door: Arc<Door>, call: Call) -> Answer {
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

/// Notes in the store who had what done. It is on disk before the operator hears that it was done.
async fn note<T>(
    door: &Door,
    actor: String,
    action: &str,
    subject: &impl ToString,
    done: &Result<T, StoreError>,
) -> Result<(), StoreError> {
    let noted = door.admin.store.audit(AuditNote {
        actor,
        action: action.to_owned(),
        subject: subject.to_string(),
        ok: done.is_ok(),
        detail: done
            .as_ref()
            .err()
            .map_or(String::new(), ToString::to_string),
    });
    match noted.await {
        // What was refused is answered as such even if that cannot be noted.
        Err(error) if done.is_ok() => Err(error),
        _ => Ok(()),
    }
}

/// `GET /api/v1/targets`: all targets of the configuration, by name, on one page.
pub(super) async fn targets(door: Arc<Door>, call: Call) -> Answer {
    query::targets(&call.query)?;
    let mut depths = depths(&door).await?;
    let plan = door.admin.plan.get();
    let shape = |target: &Arc<Target>| {
        let (depth, lane) = (depths.remove(&target.name), &door.admin.lanes);
        TargetShape::new(target, depth, lane.get(&target.name))
    };
    let items = plan.targets.values().map(shape).collect();
    let next: Option<TargetName> = None;
    Ok(json(StatusCode::OK, &PageShape { items, next }))
}

/// `GET /api/v1/targets/{id}`: the target of this name.
pub(super) async fn target(door: Arc<Door>, call: Call) -> Answer {
    let plan = door.admin.plan.get();
    let name: Option<TargetName> = call.id.parse().ok();
    let target = name.and_then(|name| plan.targets.get(&name));
    let target =
        target.ok_or_else(|| Refusal::not_found("the configuration has no target of this name"))?;
    let depth = depths(&door).await?.remove(&target.name);
    let lane = door.admin.lanes.get(&target.name);
    let shape = TargetShape::new(target, depth, lane);
    Ok(json(StatusCode::OK, &shape))
}

async fn depths(door: &Door) -> Result<BTreeMap<TargetName, Depth>, StoreError> {
    let depths = door.admin.store.depths().await?.into_iter();
    Ok(depths.map(|depth| (depth.target.clone(), depth)).collect())
}

/// `GET /api/v1/audit?limit=&before=`: who changed what.
pub(super) async fn audit(door: Arc<Door>, call: Call) -> Answer {
    let page = query::audit(&call.query)?;
    let rows = door.admin.store.audits(page.before, page.limit + 1).await?;
    let rows = rows.into_iter().map(AuditShape::from).collect();
    Ok(page_of(rows, page.limit, |row: &AuditShape| row.id))
}

/// `POST /api/v1/reload?skip_tests=`: 200 if the configuration is in force, 422 if it was refused; what came of it.
pub(super) async fn reload(door: Arc<Door>, call: Call) -> Answer {
    let skip_tests = query::reload(&call.query)?;
    let Some(reloader) = &door.admin.reloader else {
        return Err(Refusal::new(
            StatusCode::CONFLICT,
            "no_configuration_file",
            "this daemon was started without a configuration file",
        ));
    };
    let report = reloader
        .reload(Trigger::Operator(call.actor), skip_tests)
        .await;
    let status = if report.applied {
        StatusCode::OK
    } else {
        StatusCode::UNPROCESSABLE_ENTITY
    };
    Ok(json(status, &report))
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

/// A page of at most `limit` of `rows`, of which there is one more if another page follows.
fn page_of<Row: Serialize, Id: Serialize>(
    mut rows: Vec<Row>,
    limit: usize,
    id: impl Fn(&Row) -> Id,
) -> Response<Full<Bytes>> {
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(id);
    json(StatusCode::OK, &PageShape { items: rows, next })
}

fn json(status: StatusCode, shape: &impl Serialize) -> Response<Full<Bytes>> {
    match serde_json::to_vec(shape) {
        Ok(bytes) => response(status, JSON, bytes),
        Err(error) => {
            tracing::error!(%error, "an answer cannot be written as JSON");
            response(StatusCode::INTERNAL_SERVER_ERROR, JSON, "{}")
        }
    }
}

fn response(
    status: StatusCode,
    content_type: HeaderValue,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    for (name, value) in [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CACHE_CONTROL, "no-store"),
        (X_FRAME_OPTIONS, "DENY"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// A request that is not answered as asked.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
    header: Option<Box<(HeaderName, HeaderValue)>>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            header: None,
        }
    }

    pub(super) fn not_found(message: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub(super) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.header = Some(Box::new((name, value)));
        self
    }

    #[cfg(test)]
    pub(super) fn code(&self) -> &'static str {
        self.code
    }

    #[cfg(test)]
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) fn into_response(self) -> Response<Full<Bytes>> {
        let error = ErrorBody {
            code: self.code,
            message: &self.message,
        };
        let mut response = json(self.status, &ErrorShape { error });
        if let Some(header) = self.header {
            let (name, value) = *header;
            response.headers_mut().insert(name, value);
        }
        response
    }
}

impl From<BadQuery> for Refusal {
    fn from(BadQuery(message): BadQuery) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_query", message)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        let message = error.to_string();
        match error {
            StoreError::NotFound => Self::not_found("there is no such event or delivery"),
            StoreError::WrongState { .. } => {
                Self::new(StatusCode::CONFLICT, "wrong_state", message)
            }
            StoreError::Purged => Self::new(StatusCode::GONE, "purged", message),
            StoreError::Unavailable(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
                    .with_header(RETRY_AFTER, ASK_AGAIN)
            }
            StoreError::Damaged(_) => {
                tracing::error!(error = message, "the store is damaged");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "damaged", message)
            }
        }
    }
}
