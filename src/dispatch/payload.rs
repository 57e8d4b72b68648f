//! The body of an attempt: what earlier attempts sent, else rendered now, else the event's own bytes.
//!
//! Promise: a template that breaks down parks the delivery and nothing else. Not here: rendering itself
//! (see `template`), whether the body is kept (see `attempt`).

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

use super::Shared;
use crate::cloudevents;
use crate::delivery::{BodyFrom, DeadReason};
use crate::envelope::{self, Data};
use crate::event::Event;
use crate::id::{Digest, RouteName, TargetName};
use crate::plan::{CloudEvents, CloudEventsMode, Plan, Route, Target};
use crate::schema::Schema;
use crate::store::Claimed;
use crate::template::{Remark, Rendered, Scene, Template};

/// Bodies beyond this many bytes are parsed and rendered on a thread of their own kind, because they
/// take longer than a task may hold the runtime up.
const LARGE_BODY_BYTES: usize = 32 * 1024;

/// Most mended places that are remembered; beyond them nothing more is logged, only counted.
const MENDED_PLACES: usize = 1024;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// What is sent.
pub(super) struct Payload {
    pub(super) body: Bytes,
    pub(super) content_type: HeaderValue,
    /// The attributes, where it is a CloudEvent that has them as headers.
    pub(super) attributes: Vec<(HeaderName, HeaderValue)>,
    /// Where it comes from. What was made now is to be kept, since later attempts must send the same.
    pub(super) from: BodyFrom,
}

/// Why nothing can be sent.
pub(super) struct Unsendable {
    pub(super) reason: DeadReason,
    pub(super) detail: String,
}

/// The body of the next attempt of a claimed delivery, as the CloudEvent that the target asks for. A body that was tried
/// stays what it was: it is put into no envelope, and taken out of none.
pub(super) async fn payload(
    shared: &Arc<Shared>,
    plan: &Arc<Plan>,
    route: &Arc<Route>,
    target: &Target,
    claimed: &Claimed,
) -> Result<Payload, Unsendable> {
    let delivery = claimed.delivery.id;
    let mut payload = plain(shared, plan, route, &target.name, claimed).await?;
    if payload.from == BodyFrom::Frozen && envelope::is_structured(&payload.body, delivery) {
        payload.content_type = envelope::CONTENT_TYPE;
        return Ok(payload);
    }
    let Some(settings) = &target.cloudevents else {
        return Ok(payload);
    };
    let is_own = payload.from == BodyFrom::Unchanged;
    match settings.mode {
        CloudEventsMode::Binary => {
            let parts = claimed.event.parts();
            payload.attributes = envelope::headers(settings, delivery, parts, is_own);
            let own = claimed.event.content_type().filter(|_| is_own);
            if own.is_some_and(cloudevents::declares_json) {
                payload.content_type = own_type(&claimed.event).unwrap_or(JSON);
            }
        }
        CloudEventsMode::Structured if payload.from == BodyFrom::Frozen => {}
        CloudEventsMode::Structured if claimed.delivery.attempts > 0 => {}
        CloudEventsMode::Structured => {
            payload.body = structured(settings, claimed, payload.body, is_own).await?;
            payload.content_type = envelope::CONTENT_TYPE;
            payload.from = BodyFrom::Rendered;
        }
    }
    Ok(payload)
}

async fn structured(
    settings: &CloudEvents,
    claimed: &Claimed,
    body: Bytes,
    is_own: bool,
) -> Result<Bytes, Unsendable> {
    let (settings, delivery) = (settings.clone(), claimed.delivery.id);
    let event = Arc::clone(&claimed.event);
    let size = body.len();
    let wrap = move || {
        let data = match is_own {
            true => Data::of_event(&event),
            false => Data::rendered(&body),
        };
        envelope::structured(&settings, delivery, event.parts(), data)
    };
    off_loop(size, wrap).await.ok_or_else(|| Unsendable {
        reason: DeadReason::Render,
        detail: "the envelope of the CloudEvent could not be made".to_owned(),
    })
}

async fn plain(
    shared: &Arc<Shared>,
    plan: &Arc<Plan>,
    route: &Arc<Route>,
    target: &TargetName,
    claimed: &Claimed,
) -> Result<Payload, Unsendable> {
    let made = |body, content_type, from| Payload {
        body,
        content_type,
        attributes: Vec::new(),
        from,
    };
    if let Some(frozen) = &claimed.frozen {
        return Ok(made(frozen.clone(), JSON, BodyFrom::Frozen));
    }
    let Some(template) = template(route, claimed) else {
        let event = &claimed.event;
        let content_type = type_of(event).await;
        let body = event.parts().body.clone();
        return Ok(made(body, content_type, BodyFrom::Unchanged));
    };
    let rendered = rendered(shared, plan, route, template, target, &claimed.event).await;
    let rendered = rendered.inspect_err(|failed| {
        let reason = failed.reason.as_str();
        shared.metrics.template_failed(route.name.as_str(), reason);
    })?;
    if !rendered.repairs.is_empty() {
        shared.metrics.template_repaired(route.name.as_str());
        shared.mended.report(&route.name, &rendered.repairs);
    }
    let body = Bytes::from(rendered.body);
    Ok(made(body, JSON, BodyFrom::Rendered))
}

/// The template that makes the body of this attempt, if one does. Without a kept body, earlier attempts can only have
/// sent the event's own bytes; so does this one, even if the route has a template by now.
pub(super) fn template<'a>(route: &'a Route, claimed: &Claimed) -> Option<&'a Arc<Template>> {
    let renders = claimed.frozen.is_none() && claimed.delivery.attempts == 0;
    route.template.as_ref().filter(|_| renders)
}

/// The hash of what is sent; that of an event's own body is worked out once for all its deliveries.
pub(super) async fn hash(payload: &Payload, event: &Arc<Event>) -> Option<Digest> {
    let len = payload.body.len();
    if payload.from == BodyFrom::Unchanged {
        let event = Arc::clone(event);
        return off_loop(len, move || event.body_hash()).await;
    }
    let body = payload.body.clone();
    off_loop(len, move || Digest::of(&body)).await
}

/// What an event's own bytes are named: JSON only if they are.
async fn type_of(event: &Arc<Event>) -> HeaderValue {
    let parsed = Arc::clone(event);
    let json = off_loop(event.parts().body.len(), move || parsed.goes_on_as_json()).await;
    match json {
        Some(true) => JSON,
        _ => own_type(event).unwrap_or(BYTES),
    }
}

/// What an event's own bytes were named.
fn own_type(event: &Event) -> Option<HeaderValue> {
    HeaderValue::from_str(event.content_type()?).ok()
}

async fn rendered(
    shared: &Shared,
    plan: &Arc<Plan>,
    route: &Arc<Route>,
    template: &Arc<Template>,
    target: &TargetName,
    event: &Arc<Event>,
) -> Result<Rendered, Unsendable> {
    let job = Job {
        plan: Arc::clone(plan),
        route: Arc::clone(route),
        template: Arc::clone(template),
        target: target.clone(),
        event: Arc::clone(event),
    };
    let broke_down = || Unsendable {
        reason: DeadReason::Render,
        detail: "the template engine broke down on this event".to_owned(),
    };
    if event.parts().body.len() <= LARGE_BODY_BYTES && !job.is_checked() {
        // Most templates take some microseconds, too little to be handed over.
        let briefly = AssertUnwindSafe(|| job.with_scene(|scene| job.render_briefly(scene)));
        match catch_unwind(briefly) {
            Ok(Ok(Some(rendered))) => return Ok(rendered),
            Ok(Ok(None)) => {}
            Ok(Err(unsendable)) => return Err(unsendable),
            Err(_) => return Err(broke_down()),
        }
    }
    // Renders that take long may take much memory, too. A render goes on when its attempt is cut off, so it holds the
    // permit itself. The semaphore is never closed.
    let permit = Arc::clone(&shared.renders).acquire_owned().await;
    let work = move || {
        let _permit = permit;
        job.with_scene(|scene| job.render(scene))
    };
    match blocking(work).await {
        Some(rendered) => rendered.and_then(|rendered| rendered),
        None => Err(broke_down()),
    }
}

/// A render, with all that it reads.
struct Job {
    plan: Arc<Plan>,
    route: Arc<Route>,
    template: Arc<Template>,
    target: TargetName,
    event: Arc<Event>,
}

impl Job {
    /// Whether the output is held against a schema, which may take long.
    fn is_checked(&self) -> bool {
        let schema = self.route.schema.as_ref();
        schema.is_some_and(|output| output.at_run_time)
    }

    fn with_scene<T>(&self, work: impl FnOnce(&Scene<'_>) -> T) -> Result<T, Unsendable> {
        let parts = self.event.parts();
        let Some(payload) = self.event.json() else {
            return Err(Unsendable {
                reason: DeadReason::NotJson,
                detail: "the body is not JSON and the route has a template".to_owned(),
            });
        };
        let id = parts.id.to_string();
        Ok(work(&Scene {
            payload: payload.into(),
            event: self.event.facts(&id),
            headers: &parts.headers,
            route: self.route.name.as_str(),
            target: self.target.as_str(),
            vars: &self.plan.vars,
        }))
    }

    fn render_briefly(&self, scene: &Scene<'_>) -> Option<Rendered> {
        self.template.render_briefly(scene, self.plan.render)
    }

    fn render(&self, scene: &Scene<'_>) -> Result<Rendered, Unsendable> {
        let rendered = self
            .template
            .render(scene, self.plan.render)
            .map_err(|error| Unsendable {
                reason: DeadReason::Render,
                detail: match &error.help {
                    Some(help) => format!("{error} ({help})"),
                    None => error.to_string(),
                },
            })?;
        match &self.route.schema {
            Some(output) if output.at_run_time => fits(&output.schema, &rendered.body)?,
            _ => {}
        }
        Ok(rendered)
    }
}

/// Holds a rendered body against the schema of its route.
fn fits(schema: &Schema, body: &[u8]) -> Result<(), Unsendable> {
    let misfit = match serde_json::from_slice(body) {
        Ok(output) => schema.check(&output).map_err(|misfit| misfit.to_string()),
        // What a template renders is JSON; should it not be, it is not sent either.
        Err(error) => Err(error.to_string()),
    };
    misfit.map_err(|misfit| Unsendable {
        reason: DeadReason::Render,
        detail: format!("the output does not fit {}: {misfit}", schema.name()),
    })
}

/// Runs work over `size` bytes where it holds nothing up; `None` if it panicked.
async fn off_loop<T: Send + 'static>(
    size: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    if size <= LARGE_BODY_BYTES {
        return catch_unwind(AssertUnwindSafe(work)).ok();
    }
    blocking(work).await
}

/// Runs work on a thread that may be held up; `None` if it panicked.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Some(done),
        Err(error) if error.is_panic() => None,
        // Only the end of the runtime cancels it, and that ends us as well.
        Err(_) => std::future::pending().await,
    }
}

/// The places in templates whose output was mended and that were logged already.
#[derive(Debug, Default)]
pub(super) struct Mended(Mutex<HashSet<(RouteName, Remark)>>);

impl Mended {
    fn report(&self, route: &RouteName, repairs: &[Remark]) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for repair in repairs {
            if known.len() < MENDED_PLACES && known.insert((route.clone(), repair.clone())) {
                let Remark {
                    what,
                    path,
                    line,
                    column,
                    ..
                } = repair;
                tracing::warn!(%route, file = path, line, column, what, "the output of a template had to be mended");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_that_panics_yields_nothing() {
        for size in [0, LARGE_BODY_BYTES + 1] {
            assert_eq!(off_loop(size, || 7).await, Some(7), "{size}");
            let broken: Option<u8> = off_loop(size, || panic!("on purpose")).await;
            assert_eq!(broken, None, "{size}");
        }
    }

    #[test]
    fn a_mended_place_is_remembered_once_and_their_number_is_bounded() {
        let mended = Mended::default();
        let route: RouteName = "r".parse().unwrap();
        let repair = |line| Remark {
            what: "trailing comma dropped".to_owned(),
            path: "a.liquid".to_owned(),
            line,
            column: 1,
            length: 1,
        };
        mended.report(&route, &[repair(1), repair(1)]);
        mended.report(&route, &[repair(1), repair(2)]);
        assert_eq!(mended.0.lock().unwrap().len(), 2);
        let many: Vec<Remark> = (0..2 * MENDED_PLACES).map(repair).collect();
        mended.report(&route, &many);
        assert_eq!(mended.0.lock().unwrap().len(), MENDED_PLACES);
    }
}
