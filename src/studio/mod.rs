//! What an author of templates tries before it is in force: a text on a sample, by the engine that delivers; what can be
//! named in it; which templates there are.
//!
//! Promise: what is tried touches nothing that is in force. It has threads of its own and a short queue, so it delays no
//! delivery, and the bounds of every render hold. Of a stored event it works on what may be shown alone, so a text that
//! prints, turns or cuts up what is hidden finds nothing. Not here: saving (see `reload`).

mod body;
mod complete;
mod render;
mod subject;
mod templates;

use std::sync::Arc;

use tokio::sync::Semaphore;

pub use body::Made;
pub use complete::{Completion, CompletionPath};
pub use render::{Deployed, DiffLine, Finding, Marker, Misfit, Proof, Rendered, Trial};
pub use subject::Subject;
pub use templates::{TemplateRow, TemplateText, list, text};

use crate::event::Event;
use crate::id::TargetName;
use crate::plan::{Plan, Route};
use crate::redact::Hiding;
use crate::template::Template;

/// Renders at a time. Each may take a thread for some seconds and some hundred MiB.
const RENDERS: usize = 2;

/// How many may wait for their turn; an editor asks again soon.
const QUEUE: usize = 8;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum StudioError {
    /// As many are under way, and wait, as may.
    #[error("as many renders are under way as may at a time")]
    Busy,
    /// There is nothing of this name.
    #[error("there is no {0}")]
    NoSuch(&'static str),
    /// Nothing of the event may be shown.
    #[error("{}", in_words(*.0))]
    Hidden(Hiding),
    /// What is to be rendered is not JSON.
    #[error("the body of the sample is not JSON: {0}")]
    NotJson(String),
    /// What is asked for cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// A fault of ours.
    #[error("the template engine broke down on this")]
    BrokeDown,
}

fn in_words(hiding: Hiding) -> &'static str {
    match hiding {
        Hiding::NotJson => "the body is not JSON, so what `redact` hides in it cannot be found",
        Hiding::SourceGone => {
            "the source is not in the configuration any more, so what is hidden is not known"
        }
    }
}

/// Where texts are tried.
#[derive(Debug)]
pub struct Studio {
    /// Those who render or wait for it.
    inside: Arc<Semaphore>,
    /// Those who render.
    renders: Arc<Semaphore>,
}

impl Default for Studio {
    fn default() -> Self {
        Self {
            inside: Arc::new(Semaphore::new(RENDERS + QUEUE)),
            renders: Arc::new(Semaphore::new(RENDERS)),
        }
    }
}

impl Studio {
    /// Tries a text.
    ///
    /// # Errors
    /// Why it cannot be tried. That it does not compile or render is no error.
    pub async fn render(&self, plan: Arc<Plan>, trial: Trial) -> Result<Rendered, StudioError> {
        self.work(move || render::render(&plan, &trial)).await
    }

    /// What a route makes of a stored event for one of its targets, by this template, which is that of the route.
    ///
    /// # Errors
    /// Why it cannot be tried, or that nothing may be shown. That it does not render is no error.
    pub async fn body(
        &self,
        plan: Arc<Plan>,
        event: Arc<Event>,
        route: Arc<Route>,
        template: Arc<Template>,
        target: TargetName,
    ) -> Result<Made, StudioError> {
        self.work(move || body::body(&plan, &event, &route, &template, &target))
            .await
    }

    /// What can be named in a text over a sample.
    ///
    /// # Errors
    /// Why that is not known.
    pub async fn complete(
        &self,
        plan: Arc<Plan>,
        subject: Subject,
    ) -> Result<Completion, StudioError> {
        self.work(move || complete::complete(&plan, &subject)).await
    }

    /// Does work on a thread that may be held up, once there is room. Who stops waiting for it does not make room: the work
    /// itself goes on to its end.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, StudioError> + Send + 'static,
    ) -> Result<T, StudioError> {
        let inside = Arc::clone(&self.inside).try_acquire_owned();
        let inside = inside.map_err(|_| StudioError::Busy)?;
        let turn = Arc::clone(&self.renders).acquire_owned().await;
        let held = move || {
            let _held = (inside, turn);
            work()
        };
        match tokio::task::spawn_blocking(held).await {
            Ok(done) => done,
            Err(error) => {
                tracing::error!(%error, "trying a template broke down");
                Err(StudioError::BrokeDown)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_queue_is_bounded_and_a_break_down_is_told() {
        let studio = Arc::new(Studio::default());
        let broken: Result<(), _> = studio.work(|| panic!("on purpose")).await;
        assert!(matches!(broken, Err(StudioError::BrokeDown)));
        let (open, gate) = mpsc::channel::<()>();
        let gate = Arc::new(std::sync::Mutex::new(gate));
        let mut under_way = Vec::new();
        for _ in 0..RENDERS + QUEUE {
            let (studio, gate) = (Arc::clone(&studio), Arc::clone(&gate));
            under_way.push(tokio::spawn(async move {
                let wait = move || gate.lock().unwrap().recv().map_err(|_| StudioError::Busy);
                studio.work(wait).await
            }));
        }
        while studio.inside.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let refused = studio.work(|| Ok(())).await;
        assert!(matches!(refused, Err(StudioError::Busy)));
        for _ in 0..RENDERS + QUEUE {
            open.send(()).unwrap();
        }
        for work in under_way {
            assert!(work.await.unwrap().is_ok());
        }
        assert!(studio.work(|| Ok(())).await.is_ok());
    }
}
