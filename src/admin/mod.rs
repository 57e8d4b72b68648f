//! The operator's door: health, metrics and the API over events and deliveries, as JSON.
//!
//! Promise: off loopback nothing is served without a token or a client's certificate; a page in a browser that was lured here
//! from elsewhere reads and changes nothing (Host and Origin are checked); a request can hold neither
//! a connection nor memory for long. Not here: what the answers mean (see `store`), connections (see `listener`).

mod answer;
mod api;
#[cfg(test)]
pub(crate) mod contract;
mod document;
mod files;
mod gate;
mod query;
mod routes;
mod shapes;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::header::CONNECTION;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use self::answer::{Code, Refusal};
use crate::clock::Clock;
use crate::dispatch::Lanes;
use crate::id::TargetName;
use crate::intake::Outside;
use crate::listener::{self, Bounds};
use crate::live::Live;
use crate::metrics::Metrics;
use crate::plan::{AdminPlan, Current, Plan};
use crate::reload::Reloader;
use crate::replay::Replays;
use crate::store::Store;
use crate::studio::Studio;
use crate::tls::ServerTls;

/// Most open connections; an operator, a scraper and a probe need few.
const CONNECTIONS: usize = 64;

/// Most bytes of a request's head.
const HEAD_BYTES: usize = 16 * 1024;

/// Most header fields of a request.
const HEADERS: usize = 64;

/// Most large bodies that are held at a time, over all connections; each may have some MiB.
const BODIES: usize = 4;

/// Most streams at a time; each has a connection of [`CONNECTIONS`], and other requests need some, too.
const STREAMS: usize = 16;

/// Within this time a handshake must be through and a request's head be there; also how long a connection may be idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// After this time a connection is closed, so that a client that does not read cannot keep one for ever.
const CONNECTION_LIFE: Duration = Duration::from_secs(600);

/// How long requests under way may take to end once their connection is to be closed.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The operator's door.
pub struct Admin {
    /// The configuration.
    pub plan: Current,
    /// What it shows.
    pub store: Arc<dyn Store>,
    /// What the lanes of targets are at.
    pub lanes: Arc<Lanes>,
    /// What ages are measured by.
    pub clock: Arc<dyn Clock>,
    /// What `/metrics` shows.
    pub metrics: Arc<Metrics>,
    /// What goes on now and lately.
    pub live: Arc<Live>,
    /// What others are asked by.
    pub outside: Arc<Outside>,
    /// Many deliveries again.
    pub replays: Arc<Replays>,
    /// Set once the daemon has begun to stop; `/readyz` says so.
    pub draining: Arc<AtomicBool>,
    /// What reloads the configuration, where that is possible.
    pub reloader: Option<Arc<Reloader>>,
}

/// Why the door stays shut.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdminError {
    /// It would be open to the network.
    #[error(
        "the admin listener on {listen} is not on loopback, so it needs a token or clients' certificates (admin.token, admin.tls.client_ca)"
    )]
    TokenNeeded {
        /// Where it was to listen.
        listen: SocketAddr,
    },
}

impl Admin {
    /// Whether the door may be opened like this.
    ///
    /// # Errors
    /// If it is not on loopback, has no token, or an empty one, and asks for no certificate of its clients.
    pub fn check(plan: &AdminPlan) -> Result<(), AdminError> {
        Self::check_address(plan, plan.listen)
    }

    fn check_address(plan: &AdminPlan, listen: SocketAddr) -> Result<(), AdminError> {
        if plan.may_listen_on(listen) {
            Ok(())
        } else {
            Err(AdminError::TokenNeeded { listen })
        }
    }

    /// Serves until `shutdown` is true or its sender is gone; then requests under way may end.
    /// Serves nothing if [`Admin::check`] says no.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, shutdown: watch::Receiver<bool>) {
        let Ok(listen) = listener.local_addr() else {
            tracing::error!("the operator's door has no address and stays shut");
            return;
        };
        if let Err(error) = Self::check_address(&self.plan.get().admin, listen) {
            tracing::error!(%error, "the operator's door stays shut");
            return;
        }
        let plan = self.plan.clone();
        let door = Arc::new(Door {
            admin: self,
            listen,
            shown: Mutex::default(),
            bodies: Semaphore::new(BODIES),
            pausing: tokio::sync::Mutex::default(),
            streams: Arc::new(Semaphore::new(STREAMS)),
            studio: Studio::default(),
        });
        listener::serve(listener, door, plan, |_| CONNECTIONS, shutdown).await;
    }
}

/// An open door.
struct Door {
    admin: Arc<Admin>,
    /// Where it listens; a plan that came later may name another place.
    listen: SocketAddr,
    /// Targets whose gauges were set; one that leaves the configuration goes to zero with its last delivery.
    shown: Mutex<BTreeSet<TargetName>>,
    /// Permits to hold a large body of a request.
    bodies: Semaphore,
    /// One pause or resumption at a time.
    pausing: tokio::sync::Mutex<()>,
    /// Permits for streams.
    streams: Arc<Semaphore>,
    /// Where templates are tried.
    studio: Studio,
}

impl listener::Door for Door {
    fn name(&self) -> &'static str {
        "admin"
    }

    fn metrics(&self) -> &Metrics {
        &self.admin.metrics
    }

    fn bounds(&self, plan: &Plan) -> Bounds {
        Bounds {
            tls: plan.admin.tls.as_ref().map(ServerTls::config),
            clients: plan.admin.tls.as_ref().and_then(ServerTls::clients),
            head_bytes: HEAD_BYTES,
            headers: Some(HEADERS),
            head_timeout: HEAD_TIMEOUT,
            life: Some(CONNECTION_LIFE),
            closing: CLOSE_TIMEOUT,
        }
    }

    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        call: listener::Call,
    ) -> Response<listener::Answer> {
        let last = call.last;
        let answered = match self.let_in(request.uri(), request.headers(), &call) {
            Ok(pass) => {
                let asked = routes::Asked {
                    actor: actor(&call),
                    stopping: call.stopping,
                    pass,
                };
                routes::dispatch(self, request, asked).await
            }
            Err(refused) => Err(refused),
        };
        let mut answer = answered.unwrap_or_else(Refusal::into_response);
        if last {
            let close = HeaderValue::from_static("close");
            answer.headers_mut().insert(CONNECTION, close);
        }
        answer
    }

    fn broken(&self, _: &hyper::Error) {}
}

/// Who calls, as the audit log names them.
fn actor(call: &listener::Call) -> String {
    let from = call.peer.ip().to_canonical();
    let who = call.subject.as_deref().unwrap_or("operator");
    format!("{who} from {from}")
}

impl Door {
    /// Whether a request may come in, by the plan in force now.
    fn let_in(
        &self,
        uri: &Uri,
        headers: &HeaderMap,
        call: &listener::Call,
    ) -> Result<gate::Pass, Refusal> {
        let plan = &self.admin.plan.get().admin;
        let asks_clients = plan.tls.as_ref().is_some_and(ServerTls::asks_clients);
        if Admin::check_address(plan, self.listen).is_err() {
            return Err(Refusal::new(
                StatusCode::FORBIDDEN,
                Code::Shut,
                "the configuration has changed, and this door may not be open like this any more",
            ));
        }
        if asks_clients && call.clients != plan.tls.as_ref().and_then(ServerTls::clients) {
            return Err(Refusal::new(
                StatusCode::FORBIDDEN,
                Code::CertificateNeeded,
                "this connection is older than the configuration, which asks for other clients' certificates; a new one is needed",
            ));
        }
        let pass = gate::pass(plan, call.local, uri, headers)?;
        if !call.sound {
            return Err(Refusal::new(
                StatusCode::BAD_REQUEST,
                Code::Malformed,
                "where this request ends can be read in two ways",
            ));
        }
        Ok(pass)
    }
}

#[cfg(test)]
mod tests;
