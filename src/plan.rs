//! The compiled configuration: everything the running parts see of it, with few Options left.
//!
//! Only `config::compile` makes a plan. [`Current`] is the one that is in force. Not here: files, YAML, defaults (see `config`).

mod auth;
mod postgres;
mod studio;

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use ipnet::IpNet;
use jiff::Timestamp;
use serde_json::{Map, Value};
use tokio::sync::watch;

use crate::event::{Event, EventParts};
use crate::id::{Digest, RouteName, SourceName, TargetName};
use crate::order::OrderBy;
use crate::pattern::{Mismatch, Pattern, Subject};
use crate::proxies::Proxies;
use crate::redact::{Hiding, Redaction, View};
use crate::retry::RetryPolicy;
use crate::schema::Schema;
use crate::secret::{Secret, SecretName};
use crate::signature::{Checks, Key, Scheme};
use crate::template::{RenderLimits, Template};
use crate::tls::{ClientTls, ServerTls};
use crate::trace::Sampling;
use crate::units::Rate;

pub use crate::egress::{EgressPlan, Proxy};
pub use auth::{Auth, ClientAuth, OAuth2, Proof};
pub use postgres::PostgresPlan;
pub use studio::{Cases, RouteSample, StudioPlan, TemplateFile, number};

/// The folder, in that of the store, where the last good configuration is kept.
pub const LAST_GOOD: &str = "last-good";

/// The compiled configuration.
#[derive(Debug)]
pub struct Plan {
    /// Where the public door listens.
    pub listen: SocketAddr,
    /// What it shows; without, it speaks plain HTTP/1.1.
    pub tls: Option<ServerTls>,
    /// Who in front of it is believed when it says where a request comes from.
    pub trusted_proxies: Proxies,
    /// The operator's door.
    pub admin: AdminPlan,
    /// The store.
    pub store: StorePlan,
    /// Limits of the public door.
    pub limits: Limits,
    /// All sources, by name.
    pub sources: BTreeMap<SourceName, Arc<Source>>,
    /// All sources, by the path that they listen on.
    pub paths: HashMap<String, Arc<Source>>,
    /// All routes.
    pub router: Router,
    /// All targets, by name.
    pub targets: BTreeMap<TargetName, Arc<Target>>,
    /// Which addresses targets may have, and the way to them.
    pub egress: Arc<EgressPlan>,
    /// Where traces are sent; without, none are made.
    pub telemetry: Option<Arc<OtlpPlan>>,
    /// Whether events that no route takes are kept.
    pub unmatched: Unmatched,
    /// `vars`: constants that templates can read.
    pub vars: Map<String, Value>,
    /// Bounds of one render.
    pub render: RenderLimits,
    /// What authors of templates work with.
    pub studio: Arc<StudioPlan>,
    /// How many relays an event may have passed through.
    pub max_hops: u32,
    /// How long attempts under way may take to end at SIGTERM.
    pub drain: Duration,
    /// Which of all configurations it is of; not known before the store has said so.
    pub generation: OnceLock<Generation>,
    /// A hash of all that it was made of; known together with the number.
    pub fingerprint: OnceLock<Digest>,
}

impl Plan {
    /// The number of the configuration, once it is known.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        self.generation.get().map(|generation| generation.number)
    }
}

/// Which of the configurations that came into force a plan is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generation {
    /// Counts from 1, over restarts too; the same files have the same one.
    pub number: u64,
    /// Since when it is in force.
    pub since: Timestamp,
}

/// The plan that is in force. All parts hold the same one; a reload replaces it for all of them in one step.
/// Who takes several looks at it while doing one thing takes it once, by [`Current::get`].
#[derive(Debug, Clone)]
pub struct Current(watch::Sender<Arc<Plan>>);

impl Current {
    /// This plan is in force.
    #[must_use]
    pub fn new(plan: Arc<Plan>) -> Self {
        Self(watch::Sender::new(plan))
    }

    /// The plan in force.
    #[must_use]
    pub fn get(&self) -> Arc<Plan> {
        Arc::clone(&self.0.borrow())
    }

    /// Puts another one in force.
    pub fn replace(&self, plan: Arc<Plan>) {
        self.0.send_replace(plan);
    }

    /// Tells of each replacement from now on.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<Plan>> {
        self.0.subscribe()
    }
}

/// The operator's door.
#[derive(Debug, Clone)]
pub struct AdminPlan {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The bearer token; when `listen` is not a loopback address, it must be there unless clients show a certificate.
    pub token: Option<Secret>,
    /// Host names by which it may be called besides its own address and localhost.
    pub hosts: Vec<String>,
    /// What it shows, and whom it lets in; without, it speaks plain HTTP/1.1.
    pub tls: Option<ServerTls>,
    /// Whether templates and samples may be saved here.
    pub edit_templates: bool,
}

impl AdminPlan {
    /// Whether the door may be opened there: others than this machine need a token or a certificate.
    #[must_use]
    pub fn may_listen_on(&self, listen: SocketAddr) -> bool {
        let has_token = self.token.as_ref().is_some_and(|token| !token.is_empty());
        let asks_clients = self.tls.as_ref().is_some_and(ServerTls::asks_clients);
        has_token || asks_clients || listen.ip().to_canonical().is_loopback()
    }
}

/// The store.
#[derive(Debug, Clone)]
pub struct StorePlan {
    /// Its folder, or that for what a machine keeps for itself where the store is in a database.
    pub path: PathBuf,
    /// How long events that are done are kept.
    pub retention: Duration,
    /// How long dead letters are kept; `None` is for ever.
    pub dead_retention: Option<Duration>,
    /// Most bytes of journal on disk; beyond them nothing is accepted.
    pub max_bytes: u64,
    /// Bytes that must stay free on the file system.
    pub min_free_bytes: u64,
    /// Memory that the index may use as its cache.
    pub cache_bytes: u64,
    /// The database that takes the place of the folder; what is said of bytes counts for the folder alone.
    pub postgres: Option<PostgresPlan>,
}

/// Limits of the public door.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most bytes of a body, over the wire and decoded.
    pub body_bytes: usize,
    /// Most bytes of a request's head.
    pub header_bytes: usize,
    /// Within this time the head must be there.
    pub header_timeout: Duration,
    /// Within this time the whole body must be there.
    pub body_timeout: Duration,
    /// Most open connections.
    pub connections: usize,
    /// Most bytes of bodies that are in memory at a time, over all requests.
    pub in_flight_bytes: usize,
    /// Failed verifications of one address in a minute whose answers are not slowed.
    pub failures: u32,
}

/// What happens to events that no route takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmatched {
    /// They are kept.
    Keep,
    /// They are counted and forgotten.
    Drop,
}

/// Most secrets that are kept of those that were handed over to a source; a vendor hands over one for each of its webhooks.
pub const MAX_CAPTURED: usize = 16;

/// An inbound endpoint.
#[derive(Debug)]
pub struct Source {
    /// Its name.
    pub name: SourceName,
    /// The path that it listens on, e.g. `/in/wreno`.
    pub path: String,
    /// The public URL that senders call, for schemes that sign it.
    pub url: Option<String>,
    /// How senders prove themselves.
    pub checks: Checks,
    /// The file in which secrets are kept that are handed over.
    pub captured: Option<PathBuf>,
    /// Which addresses may send; of the client, not of a trusted proxy.
    pub allow: Allow,
    /// What good requests are answered with, where that is not status 200 with the id of the event.
    pub answer: Option<Answer>,
    /// What counts as the same event.
    pub dedupe: Option<Dedupe>,
    /// Whether the traces of its senders are continued.
    pub trust_trace: bool,
    /// What of its bodies is not shown.
    pub redact: Redaction,
}

/// What the good requests of a source are answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// From 200 to 299.
    pub status: StatusCode,
    /// Without, the id of the event.
    pub body: Option<AnswerBody>,
}

/// A body that is always the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerBody {
    /// The body; may be empty.
    pub bytes: Bytes,
    /// What it is of; none where it is empty.
    pub content_type: Option<HeaderValue>,
}

/// Which addresses may send to a source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Allow {
    /// All.
    #[default]
    All,
    /// Those of these networks.
    Only(Vec<IpNet>),
}

impl Allow {
    /// Whether requests from this address are taken.
    #[must_use]
    pub fn takes(&self, client: IpAddr) -> bool {
        match self {
            Self::All => true,
            Self::Only(networks) => {
                let client = client.to_canonical();
                networks.iter().any(|network| network.contains(&client))
            }
        }
    }
}

/// What counts as the same event, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dedupe {
    /// By what.
    pub by: DedupeBy,
    /// For how long.
    pub window: Duration,
}

/// What makes two requests the same event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DedupeBy {
    /// The message id, which the signature covers.
    Id,
    /// The bytes of the body.
    Body,
}

/// An outbound endpoint.
#[derive(Debug)]
pub struct Target {
    /// Its name.
    pub name: TargetName,
    /// Where requests go.
    pub url: Uri,
    /// Headers that every request gets, sensitive where they come from secrets.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Which CloudEvents its payloads become; without, they are sent as they are.
    pub cloudevents: Option<CloudEvents>,
    /// How requests are signed.
    pub sign: Option<Signer>,
    /// How it is told who we are.
    pub auth: Option<Auth>,
    /// When failed attempts are made again.
    pub retry: RetryPolicy,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// Most attempts at a time.
    pub concurrency: usize,
    /// Most attempts in a unit of time, evenly spaced; `None` is as many as there are.
    pub rate: Option<Rate>,
    /// When its deliveries wait because it is down; `None` is never.
    pub breaker: Option<BreakerPolicy>,
    /// What its deliveries are ordered by; without, none waits for another.
    pub order: Option<OrderBy>,
    /// Whom it trusts and what it shows, where that is not what all targets do.
    pub tls: Option<ClientTls>,
}

/// Which CloudEvents the payloads of a target become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudEvents {
    /// Where the attributes stand.
    pub mode: CloudEventsMode,
    /// Their `source`; that of the event, else `/in/SOURCE` unless given.
    pub source: Option<String>,
    /// Their `type`; that of the event unless given.
    pub event_type: Option<String>,
}

/// Where the attributes of a CloudEvent stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloudEventsMode {
    /// In one JSON envelope with the data.
    Structured,
    /// In headers; the data is the body.
    Binary,
}

/// After which failures a target is taken to be down: so many in a row, or a share of all attempts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BreakerPolicy {
    /// So many in a row; at least 1.
    pub failures: u32,
    /// This share of the attempts that ended within the window; more than 0, at most 1.
    pub ratio: f64,
    /// Of fewer attempts than these the share says nothing; at least 1.
    pub requests: u32,
    /// How long an attempt counts for the share; more than nothing.
    pub window: Duration,
}

/// A collector of traces that speaks OTLP over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtlpPlan {
    /// Where traces are posted to, by http or https.
    pub endpoint: Uri,
    /// Headers that it gets; those from secrets are sensitive.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Which traces are recorded.
    pub sampling: Sampling,
    /// How we are called in them.
    pub service_name: String,
}

/// A scheme with the keys that sign by it.
#[derive(Debug)]
pub struct Signer {
    /// The scheme.
    pub scheme: Scheme,
    /// The preset that it is of, or `custom`.
    pub scheme_name: String,
    /// The keys, newest first; each adds a signature where the scheme can carry several.
    pub keys: Vec<Key>,
    /// Where they come from, in the same order.
    pub secrets: Vec<SecretName>,
}

/// Which events go, through which template, to which targets.
#[derive(Debug)]
pub struct Route {
    /// Its name.
    pub name: RouteName,
    /// From which sources; never empty.
    pub from: Vec<SourceName>,
    /// Which of their events.
    pub pattern: Pattern,
    /// What reshapes the body; `None` passes it on unchanged.
    pub template: Option<Arc<Template>>,
    /// What the template's output must look like, if the author said so.
    pub schema: Option<OutputSchema>,
    /// To which targets; never empty, none twice.
    pub to: Vec<TargetName>,
    /// What becomes of deliveries that died rendering, once the template has changed.
    pub revive: Revive,
}

/// What becomes of deliveries that died rendering, once the template of their route has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Revive {
    /// They wait until somebody takes them up again.
    #[default]
    Manual,
    /// They are taken up again by themselves.
    Auto,
}

impl Revive {
    /// Its name in configuration and API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Auto => "auto",
        }
    }
}

/// What the output of a route's template must look like.
#[derive(Debug, Clone)]
pub struct OutputSchema {
    /// The schema.
    pub schema: Schema,
    /// Whether every output is held against it before it is sent, and not only those of samples.
    pub at_run_time: bool,
}

/// A test that a route declares: an event and what its template must make of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteTest {
    /// The route.
    pub route: RouteName,
    /// The file of the event's body.
    pub event: PathBuf,
    /// The event's body.
    pub body: Bytes,
    /// The headers that it comes with.
    pub headers: HeaderMap,
    /// The file of the JSON that must come out.
    pub expect: PathBuf,
    /// What stands in it; the error is why it cannot be read, in words.
    pub expected: Result<Bytes, String>,
}

/// All routes; every one that matches applies.
#[derive(Debug, Default)]
pub struct Router {
    routes: Vec<Arc<Route>>,
}

impl Plan {
    /// What may be shown of an event. Of one whose source is not in the plan any more, nothing is: what that source
    /// had hidden is not known, and taking a source away must not reveal it. Putting it back shows it again.
    #[must_use]
    pub fn view(&self, parts: &EventParts) -> View {
        match self.sources.get(&parts.source) {
            Some(source) => source.redact.view(&parts.body),
            None => View::hidden(Hiding::SourceGone),
        }
    }

    /// [`Plan::view`] as a function of its own, for what shows many events.
    pub fn viewer(self: &Arc<Self>) -> impl Fn(&EventParts) -> View + Send + Sync + use<> {
        let plan = Arc::clone(self);
        move |parts| plan.view(parts)
    }

    /// Whether the traces of a source's senders are continued; of a source that is gone they are not.
    #[must_use]
    pub fn trusts_trace(&self, source: &SourceName) -> bool {
        let source = self.sources.get(source);
        source.is_some_and(|source| source.trust_trace)
    }
}

/// Why a route does not take an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotTaken {
    /// The event came in by another source.
    Source,
    /// The pattern does not match.
    Pattern(Mismatch),
}

impl Router {
    /// A router over these routes, in this order.
    #[must_use]
    pub fn new(routes: Vec<Arc<Route>>) -> Self {
        Self { routes }
    }

    /// All routes in the order of the configuration.
    #[must_use]
    pub fn routes(&self) -> &[Arc<Route>] {
        &self.routes
    }

    /// The route of this name.
    #[must_use]
    pub fn get(&self, name: &RouteName) -> Option<&Arc<Route>> {
        self.routes.iter().find(|route| route.name == *name)
    }

    /// The routes that take the event.
    pub fn route<'a>(&'a self, event: &'a Event) -> impl Iterator<Item = &'a Arc<Route>> {
        self.explain(event)
            .filter_map(|(route, taken)| taken.is_ok().then_some(route))
    }

    /// What each route says to the event.
    pub fn explain<'a>(
        &'a self,
        event: &'a Event,
    ) -> impl Iterator<Item = (&'a Arc<Route>, Result<(), NotTaken>)> {
        let parts = event.parts();
        self.routes.iter().map(move |route| {
            let taken = if route.from.contains(&parts.source) {
                let subject = Subject {
                    event_type: &parts.event_type,
                    headers: &parts.headers,
                    body: event.json(),
                };
                route.pattern.matches(&subject).map_err(NotTaken::Pattern)
            } else {
                Err(NotTaken::Source)
            };
            (route, taken)
        })
    }
}

#[cfg(test)]
impl Plan {
    /// A plan on loopback without sources and targets, for tests of what else is in it.
    pub(crate) fn bare() -> Self {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            listen,
            tls: None,
            trusted_proxies: Proxies::default(),
            admin: AdminPlan {
                listen,
                token: None,
                hosts: Vec::new(),
                tls: None,
                edit_templates: false,
            },
            store: StorePlan {
                path: "unused".into(),
                retention: Duration::ZERO,
                dead_retention: None,
                max_bytes: 0,
                min_free_bytes: 0,
                cache_bytes: 0,
                postgres: None,
            },
            limits: Limits {
                body_bytes: 1 << 20,
                header_bytes: 8192,
                header_timeout: Duration::from_secs(10),
                body_timeout: Duration::from_secs(10),
                connections: 16,
                in_flight_bytes: 32 << 20,
                failures: 1_000_000,
            },
            sources: BTreeMap::new(),
            paths: HashMap::new(),
            router: Router::default(),
            egress: Arc::default(),
            telemetry: None,
            targets: BTreeMap::new(),
            unmatched: Unmatched::Keep,
            vars: Map::new(),
            render: RenderLimits { output_bytes: 0 },
            studio: Arc::default(),
            max_hops: 4,
            drain: Duration::from_secs(10),
            generation: OnceLock::new(),
            fingerprint: OnceLock::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventParts;
    use crate::id::EventId;
    use crate::pattern::PatternRecord;

    fn route(name: &str, from: &[&str], pattern: &str) -> Arc<Route> {
        let record: PatternRecord = serde_json::from_str(pattern).unwrap();
        Arc::new(Route {
            name: name.parse().unwrap(),
            from: from.iter().map(|name| name.parse().unwrap()).collect(),
            pattern: Pattern::compile(&record).unwrap(),
            template: None,
            schema: None,
            to: vec!["erp".parse().unwrap()],
            revive: Revive::Manual,
        })
    }

    #[test]
    fn every_route_that_matches_applies_and_the_others_say_why_not() {
        let router = Router::new(vec![
            route("all", &["a", "b"], "{}"),
            route("other", &["b"], "{}"),
            route("typed", &["a"], r#"{"type": "x.*"}"#),
            route("big", &["a"], r#"{"body": {"n": {"gte": 10}}}"#),
        ]);
        let event = Event::from_stored(EventParts {
            id: EventId::generate(),
            source: "a".parse().unwrap(),
            message_id: None,
            event_type: "x.y".to_owned(),
            headers: Vec::new(),
            body: r#"{"n": 5}"#.into(),
            received_at: jiff::Timestamp::UNIX_EPOCH,
            hops: 0,
        });
        let taken: Vec<&str> = router.route(&event).map(|r| r.name.as_str()).collect();
        assert_eq!(taken, ["all", "typed"]);
        let said: Vec<String> = router
            .explain(&event)
            .map(|(_, taken)| match taken {
                Ok(()) => "taken".to_owned(),
                Err(NotTaken::Source) => "source".to_owned(),
                Err(NotTaken::Pattern(mismatch)) => mismatch.field,
            })
            .collect();
        assert_eq!(said, ["taken", "source", "taken", "body.n"]);
        assert!(router.get(&"big".parse().unwrap()).is_some());
    }
}
