//! The body of an attempt: what earlier attempts sent, else rendered now, else the event's own bytes.
//!
//! Promise: a template that breaks down parks the delivery and nothing else. Not here: rendering itself
//! (see `template`), whether the body is kept (see `attempt`).

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::HeaderValue;

use super::Shared;
use crate::delivery::{BodyFrom, DeadReason};
use crate::event::Event;
use crate::id::{Digest, RouteName, TargetName};
use crate::plan::{Plan, Route};
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
    /// Where it comes from. What was rendered now is to be kept, since later attempts must send the same.
    pub(super) from: BodyFrom,
}

/// Why nothing can be sent.
pub(super) struct Unsendable {
    pub(super) reason: DeadReason,
    pub(super) detail: String,
}

/// The body of the next attempt of a claimed delivery.
pub(super) async fn payload(
    shared: &Arc<Shared>,
    plan: &Arc<Plan>,
    route: &Arc<Route>,
    target: &TargetName,
    claimed: &Claimed,
) -> Result<Payload, Unsendable> {
    if let Some(frozen) = &claimed.frozen {
        return Ok(Payload {
            body: frozen.clone(),
            content_type: JSON,
            from: BodyFrom::Frozen,
        });
    }
    let Some(template) = template(route, claimed) else {
        return Ok(unchanged(&claimed.event).await);
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
    Ok(Payload {
        body: Bytes::from(rendered.body),
        content_type: JSON,
        from: BodyFrom::Rendered,
    })
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

/// The event's own bytes, named as JSON only if they are.
async fn unchanged(event: &Arc<Event>) -> Payload {
    let parsed = Arc::clone(event);
    let json = off_loop(event.parts().body.len(), move || parsed.json().is_some()).await;
    let parts = event.parts();
    let own_type = || {
        let (_, value) = parts
            .headers
            .iter()
            .find(|(name, _)| name == "content-type")?;
        HeaderValue::from_str(value).ok()
    };
    Payload {
        body: parts.body.clone(),
        content_type: if json == Some(true) {
            JSON
        } else {
            own_type().unwrap_or(BYTES)
        },
        from: BodyFrom::Unchanged,
    }
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
