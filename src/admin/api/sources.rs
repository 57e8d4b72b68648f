//! Sources and routes as they are in force, and what failed verification.

use std::sync::Arc;

use http::StatusCode;

use super::note;
use crate::admin::Door;
use crate::admin::answer::{Answer, Code, Refusal, json};
use crate::admin::query;
use crate::admin::routes::Call;
use crate::admin::shapes::{ArmShape, FailedShape, InShape, PageShape, RouteShape, SourceShape};
use crate::plan::{Plan, Source};
use crate::store::StoreError;

/// `GET /api/v1/sources`: all sources of the configuration, by name, on one page.
pub(in crate::admin) async fn sources(door: Arc<Door>, call: Call) -> Answer {
    query::nothing(&call.query)?;
    let plan = door.admin.plan.get();
    let shapes = plan
        .sources
        .values()
        .map(|source| shape(&door, source, &plan));
    Ok(json(StatusCode::OK, &PageShape::whole(shapes.collect())))
}

/// `GET /api/v1/sources/{id}`: the source of this name.
pub(in crate::admin) async fn source(door: Arc<Door>, call: Call) -> Answer {
    query::nothing(&call.query)?;
    let plan = door.admin.plan.get();
    let source = named(&plan, &call)?;
    Ok(json(StatusCode::OK, &shape(&door, source, &plan)))
}

/// `GET /api/v1/sources/{id}/failures`: what failed verification lately, newest first.
pub(in crate::admin) async fn failures(door: Arc<Door>, call: Call) -> Answer {
    query::nothing(&call.query)?;
    let plan = door.admin.plan.get();
    let source = named(&plan, &call)?;
    let failures = door.admin.live.refused.of(&source.name);
    let shapes = failures.last.iter().map(FailedShape::from);
    Ok(json(StatusCode::OK, &PageShape::whole(shapes.collect())))
}

/// `POST /api/v1/sources/{id}/arm`: has it wait for a secret that is handed over; answers with it.
pub(in crate::admin) async fn arm(door: Arc<Door>, call: Call) -> Answer {
    query::nothing(&call.query)?;
    let asked: ArmShape = call.json()?;
    let time = asked.time().map_err(Refusal::bad_body)?;
    let plan = door.admin.plan.get();
    let source = named(&plan, &call)?;
    if source.captured.is_none() {
        return Err(Refusal::new(
            StatusCode::CONFLICT,
            Code::WrongState,
            "no secrets are handed over to this source: it has no `captured`",
        ));
    }
    let until = door.admin.clock.now() + time;
    // What is noted first may come to nothing; what is done without being noted may not.
    note(&door, call.actor, "arm", &source.name, &Ok(())).await?;
    door.admin.live.armed.arm(&source.name, until);
    tracing::info!(source = %source.name, %until, "an operator has a source wait for a secret");
    Ok(json(StatusCode::OK, &shape(&door, source, &plan)))
}

/// `POST /api/v1/sources/{id}/disarm`: has it wait no more; answers with it.
pub(in crate::admin) async fn disarm(door: Arc<Door>, call: Call) -> Answer {
    let plan = door.admin.plan.get();
    let source = named(&plan, &call)?;
    let (armed, now) = (&door.admin.live.armed, door.admin.clock.now());
    armed.take(&source.name, now);
    note(&door, call.actor, "disarm", &source.name, &Ok(())).await?;
    tracing::info!(source = %source.name, "an operator has a source wait for no secret");
    Ok(json(StatusCode::OK, &shape(&door, source, &plan)))
}

/// `POST /api/v1/sources/{id}/confirm`: confirms the subscriptions that wait; answers with it.
pub(in crate::admin) async fn confirm(door: Arc<Door>, call: Call) -> Answer {
    let plan = door.admin.plan.get();
    let source = named(&plan, &call)?;
    let (waiting, name) = (&door.admin.live.subscriptions, &source.name);
    let unconfirmed = waiting.of(name, door.admin.clock.now());
    if unconfirmed.is_empty() {
        return Err(Refusal::new(
            StatusCode::CONFLICT,
            Code::WrongState,
            "no subscription waits to be confirmed",
        ));
    }
    let mut done = Ok(());
    for one in unconfirmed {
        match door.admin.outside.confirm(&one.url, &plan.egress).await {
            Ok(()) => {
                waiting.done(name, &one);
                tracing::info!(source = %name, topic = one.topic, "an operator has confirmed a subscription");
            }
            Err(error) => {
                let why = format!(
                    "the subscription of {} is not confirmed: {error}",
                    one.topic
                );
                done = Err(StoreError::Unavailable(why));
            }
        }
    }
    note(&door, call.actor, "confirm", name, &done).await?;
    if let Err(StoreError::Unavailable(why)) = done {
        return Err(Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            Code::Unavailable,
            why,
        ));
    }
    Ok(json(StatusCode::OK, &shape(&door, source, &plan)))
}

/// `GET /api/v1/routes`: all routes, in the order of the configuration, on one page.
pub(in crate::admin) async fn routes(door: Arc<Door>, call: Call) -> Answer {
    query::nothing(&call.query)?;
    let plan = door.admin.plan.get();
    let routes = plan.router.routes().iter();
    let shapes = routes.map(|route| RouteShape::new(route, &plan));
    Ok(json(StatusCode::OK, &PageShape::whole(shapes.collect())))
}

fn named<'a>(plan: &'a Plan, call: &Call) -> Result<&'a Source, Refusal> {
    let source = plan.sources.get(call.id.as_str());
    let source = source.map(|source| &**source);
    source.ok_or_else(|| Refusal::not_found("the configuration has no source of this name"))
}

/// A source with what it is at.
pub(super) fn shape<'a>(door: &Door, source: &'a Source, plan: &'a Plan) -> SourceShape<'a> {
    let (live, now) = (&door.admin.live, door.admin.clock.now());
    let minute = live.series.source_minute(&source.name, now, &live.tallies);
    let failures = live.refused.count(&source.name);
    let shape = SourceShape::new(source, plan, InShape::new(minute), failures);
    shape.waiting_for(
        live.armed.until(&source.name, now),
        live.subscriptions.of(&source.name, now),
    )
}
