//! Routes with `revive: auto`: what died rendering with another version of their template than the one in force is taken up
//! again by itself, after each change of the configuration and at a start.
//!
//! Where several instances share the store, each looks after its own changes, one after another. It cannot go on for ever: what dies again has died by the template in force.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::resume::PAGE;
use super::{ReplayError, Replays, Wanted, templates};
use crate::delivery::{DeadReason, ReplayMode};
use crate::id::RouteName;
use crate::plan::{Plan, Revive};
use crate::store::{AuditNote, ReplayFilter, ReplayPhase, ReplayState, StoreError, Task, Window};

/// Who has started such a replay.
pub(super) const AUTO: &str = "auto";

/// When to look again while as many replays run as may, one of the route does, or the store cannot tell.
const AGAIN: Duration = Duration::from_secs(1);

/// When to look once more after a change: attempts that were under way by the older template have died by then.
const LATER: Duration = Duration::from_secs(10);

/// When to look again while another instance does.
const BEHIND: Duration = Duration::from_secs(5);

/// Rows that one look goes over.
const BUDGET: usize = 20_000;

impl Replays {
    /// Looks after the routes until it is stopped.
    pub(super) async fn revive_by_themselves(&self) {
        let mut plans = self.shared.plan.watch();
        let mut stop = self.stopping.subscribe();
        let mut due = routes(&plans.borrow_and_update());
        let mut later = Some(Instant::now() + LATER);
        loop {
            let wait = self.revive_due(&mut due).await;
            let next = wait.map_or(later, |wait| Some(Instant::now() + wait));
            let slept = async {
                match next {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                changed = plans.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    due = routes(&plans.borrow_and_update());
                    later = Some(Instant::now() + LATER);
                }
                () = slept => {
                    if due.is_empty() {
                        later = None;
                        due = routes(&self.shared.plan.get());
                    }
                }
            }
        }
    }

    /// Looks at those that are due, and takes off what is done; gives when to go on with the rest, if there is any.
    async fn revive_due(&self, due: &mut BTreeSet<RouteName>) -> Option<Duration> {
        if due.is_empty() {
            return None;
        }
        let store = &self.shared.store;
        match store.own(&Task::AutoRevive).await {
            Ok(true) => {}
            Ok(false) => return Some(BEHIND),
            Err(_) => return Some(AGAIN),
        }
        for route in due.clone() {
            if self.is_revived(&route).await {
                due.remove(&route);
            }
        }
        if !due.is_empty() {
            return Some(AGAIN);
        }
        if let Err(error) = store.disown(&Task::AutoRevive).await {
            tracing::debug!(%error, "other instances do not look for what died by older templates yet");
        }
        None
    }

    /// Replays that are running, here or at another instance.
    async fn running_anywhere(&self) -> Result<Vec<ReplayState>, StoreError> {
        if !self.shared.store.is_shared() {
            return Ok(self.running());
        }
        let mut states = self.list(None, PAGE).await?;
        states.retain(|state| state.phase == ReplayPhase::Running);
        Ok(states)
    }

    /// Has what died by an older template of this route taken up; `false` if that is to be tried again soon.
    async fn is_revived(&self, route: &RouteName) -> bool {
        let own = |state: &ReplayState| {
            state.created_by == AUTO && state.filter.route.as_ref() == Some(route)
        };
        match self.running_anywhere().await {
            Ok(running) if !running.iter().any(own) => {}
            _ => return false,
        }
        let filter = ReplayFilter {
            route: Some(route.clone()),
            reason: Some(DeadReason::Render),
            stale_template: true,
            ..ReplayFilter::default()
        };
        let started = match self.is_any(&filter).await {
            Ok(false) => return true,
            Ok(true) => {
                let wanted = Wanted {
                    mode: ReplayMode::Rerender,
                    filter,
                    rate: None,
                };
                self.start(wanted, AUTO).await
            }
            Err(error) => Err(error.into()),
        };
        match started {
            Ok(replay) => {
                tracing::info!(%route, replay = %replay.id, total = replay.total, "the template has changed: what died by an older one is taken up again");
                let noted = self.shared.store.audit(AuditNote {
                    actor: AUTO.to_owned(),
                    action: "replay".to_owned(),
                    subject: replay.id.to_string(),
                    ok: true,
                    detail: format!("route {route}"),
                });
                if let Err(error) = noted.await {
                    tracing::warn!(%error, "a replay could not be noted in the store");
                }
                true
            }
            Err(ReplayError::Busy | ReplayError::Store(StoreError::Unavailable(_))) => false,
            Err(error) => {
                tracing::warn!(%route, %error, "what died by an older template is not taken up by itself");
                true
            }
        }
    }

    /// Whether any delivery passes.
    async fn is_any(&self, filter: &ReplayFilter) -> Result<bool, StoreError> {
        let wanted = filter.deliveries(&templates(&self.shared.plan.get()));
        let mut window = Window {
            past: None,
            limit: 1,
            budget: BUDGET,
        };
        loop {
            let found = self.shared.store.deliveries_from(&wanted, window).await?;
            match (found.rows.is_empty(), found.rest) {
                (false, _) => return Ok(true),
                (true, None) => return Ok(false),
                (true, rest) => window.past = rest,
            }
        }
    }
}

/// The routes that ask for it.
fn routes(plan: &Arc<Plan>) -> BTreeSet<RouteName> {
    let all = plan.router.routes().iter();
    all.filter(|route| route.revive == Revive::Auto && route.template.is_some())
        .map(|route| route.name.clone())
        .collect()
}
