//! Targets.

use http::Uri;
use serde::Serialize;

use super::Time;
use super::fleet::OwnerShape;
use super::live::OutShape;
use super::sources::SecretShape;
use crate::delivery::Failure;
use crate::dispatch::{BreakerState, BreakerView, LaneView};
use crate::id::{RouteName, TargetName};
use crate::plan::{Auth, Plan, Signer, Target};
use crate::store::{Depth, Pause};

/// A target, what it is at, and what waits for it.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct TargetShape<'a> {
    /// Its name.
    name: &'a TargetName,
    /// Where requests go: scheme, host, port and path. A query may hold what is not to be shown.
    url: String,
    /// Most attempts at a time.
    concurrency: usize,
    /// Most attempts in a unit of time, e.g. `50/s`; null if there is no such limit.
    rate: Option<String>,
    /// Whether its deliveries are ordered by a value of the body.
    order: bool,
    /// Its breaker; null if that is off.
    breaker: Option<BreakerShape>,
    /// Attempts under way.
    running: usize,
    /// Deliveries that are pending.
    pending: u64,
    /// Deliveries that are dead.
    dead: u64,
    /// When the oldest pending delivery was created or last revived; null if none is pending.
    oldest_pending_at: Option<Time>,
    /// How long one attempt may take.
    timeout_seconds: f64,
    /// Since when and by whom it is paused; null if it is not.
    paused: Option<PauseShape>,
    /// How requests are signed; null if they are not.
    sign: Option<SigningShape<'a>>,
    /// How it is told who we are; null if it is not.
    auth: Option<AuthShape<'a>>,
    /// Routes that go to it, in the order of the configuration.
    routes: Vec<&'a RouteName>,
    last_minute: OutShape,
    /// The instance that makes the attempts; null where the store is not shared, or while none does.
    owner: Option<OwnerShape>,
}

/// That the deliveries of a target wait until it is resumed.
#[derive(Debug, Serialize)]
struct PauseShape {
    since: Time,
    /// Who paused it.
    by: String,
}

/// How requests are signed.
#[derive(Debug, Serialize)]
struct SigningShape<'a> {
    /// The preset, or `custom`.
    scheme: &'a str,
    /// Newest first.
    secrets: Vec<SecretShape<'a>>,
}

impl<'a> From<&'a Signer> for SigningShape<'a> {
    fn from(signer: &'a Signer) -> Self {
        Self {
            scheme: &signer.scheme_name,
            secrets: SecretShape::of(&signer.secrets),
        }
    }
}

/// How a target is told who we are.
#[derive(Debug, Serialize)]
struct AuthShape<'a> {
    /// `basic`, `bearer`, `api_key` or `oauth2`.
    kind: &'static str,
    secret: SecretShape<'a>,
}

impl<'a> From<&'a Auth> for AuthShape<'a> {
    fn from(auth: &'a Auth) -> Self {
        Self {
            kind: auth.kind(),
            secret: SecretShape::from(&auth.secret),
        }
    }
}

/// Whether a target can be reached.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct ProbeShape<'a> {
    pub(in crate::admin) target: &'a TargetName,
    pub(in crate::admin) at: Time,
    pub(in crate::admin) reachable: bool,
    pub(in crate::admin) took_seconds: f64,
    /// At which step it failed; null if it is reachable.
    pub(in crate::admin) failure: Option<Failure>,
    /// The error in words; null if it is reachable.
    pub(in crate::admin) detail: Option<String>,
    /// Whether the breaker was open, and the next delivery that is due is tried at once.
    pub(in crate::admin) hurried: bool,
    /// The instance that makes the attempts, and whose breaker it is.
    pub(in crate::admin) owner: Option<OwnerShape>,
}

/// What a target is at.
#[derive(Debug)]
pub(in crate::admin) struct TargetState {
    /// What waits for it; nothing does where there is none.
    pub(in crate::admin) depth: Option<Depth>,
    /// Its lane; it is not served yet where there is none.
    pub(in crate::admin) lane: Option<LaneView>,
    /// Since when and by whom it is paused.
    pub(in crate::admin) paused: Option<Pause>,
    pub(in crate::admin) last_minute: OutShape,
    /// The instance that makes the attempts, where several can.
    pub(in crate::admin) owner: Option<OwnerShape>,
    /// Whether that one takes it to be down.
    pub(in crate::admin) down: bool,
}

/// The breaker of a target.
#[derive(Debug, Serialize)]
struct BreakerShape {
    /// `closed` (attempts are made), `open` (deliveries wait for the next probe) or `half_open` (they wait for the
    /// end of a probe).
    state: &'static str,
    /// Since when it is closed; while it is not, when it opened. Null before the target is served.
    since: Option<Time>,
    /// When the next probe is made, or as soon after as a delivery is due; null unless it is open.
    next_probe_at: Option<Time>,
    /// Attempts that have failed since the last one that did not, probes included.
    consecutive_failures: u32,
    /// How the last one that failed did: `status 503`, or the failure, e.g. `timeout`; null if none has.
    last_failure: Option<String>,
}

impl<'a> TargetShape<'a> {
    /// The shape of a target of this plan.
    pub(in crate::admin) fn new(target: &'a Target, plan: &'a Plan, state: TargetState) -> Self {
        let (lane, depth) = (state.lane, state.depth);
        let routes = plan.router.routes().iter();
        let routes = routes.filter(|route| route.to.contains(&target.name));
        let (running, breaker) = lane.map_or((0, None), |lane| (lane.running, lane.breaker));
        let elsewhere = match &state.owner {
            Some(owner) => !owner.this,
            None => lane.is_some_and(|lane| lane.elsewhere),
        };
        let breaker = match elsewhere {
            true => BreakerShape::elsewhere(state.down),
            false => BreakerShape::new(breaker),
        };
        let (pending, dead, oldest) = depth.map_or((0, 0, None), |depth| {
            (depth.pending, depth.dead, depth.oldest_pending)
        });
        Self {
            name: &target.name,
            url: without_query(&target.url),
            concurrency: target.concurrency,
            rate: target.rate.map(|rate| rate.to_string()),
            order: target.order.is_some(),
            breaker: target.breaker.map(|_| breaker),
            running,
            pending,
            dead,
            oldest_pending_at: oldest.map(Time),
            timeout_seconds: target.timeout.as_secs_f64(),
            paused: state.paused.map(|pause| PauseShape {
                since: Time(pause.since),
                by: pause.by,
            }),
            sign: target.sign.as_ref().map(SigningShape::from),
            auth: target.auth.as_ref().map(AuthShape::from),
            routes: routes.map(|route| &route.name).collect(),
            last_minute: state.last_minute,
            owner: state.owner,
        }
    }
}

/// Scheme, host, port and path of a URL.
fn without_query(url: &Uri) -> String {
    let scheme = url.scheme_str().unwrap_or_default();
    let host = url.host().unwrap_or_default();
    let port = url.port().map_or(String::new(), |port| format!(":{port}"));
    format!("{scheme}://{host}{port}{}", url.path())
}

impl BreakerShape {
    /// Of a target whose attempts another instance makes: all that is known here is whether it takes it to be down.
    fn elsewhere(down: bool) -> Self {
        let state = match down {
            true => BreakerState::Open,
            false => BreakerState::Closed,
        };
        Self {
            state: state.as_str(),
            ..Self::new(None)
        }
    }

    fn new(view: Option<BreakerView>) -> Self {
        match view {
            Some(view) => Self {
                state: view.state.as_str(),
                since: Some(Time(view.since)),
                next_probe_at: view.next_probe.map(Time),
                consecutive_failures: view.failures_in_a_row,
                last_failure: view.last_failure.map(|fault| fault.to_string()),
            },
            None => Self {
                state: BreakerState::Closed.as_str(),
                since: None,
                next_probe_at: None,
                consecutive_failures: 0,
                last_failure: None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_shown_without_what_may_be_secret() {
        for (url, shown) in [
            (
                "https://erp.example/hooks?key=s3cret",
                "https://erp.example/hooks",
            ),
            (
                "http://user:pass@erp.example:8080/?k",
                "http://erp.example:8080/",
            ),
            ("http://[::1]:9", "http://[::1]:9/"),
        ] {
            assert_eq!(without_query(&url.parse().unwrap()), shown, "{url}");
        }
    }
}
