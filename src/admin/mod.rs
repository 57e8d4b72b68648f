//! The operator's door: health, metrics and the API over events and deliveries, as JSON over HTTP/1.1.
//!
//! Promise: off loopback nothing is served without a token; a page in a browser that was lured here
//! from elsewhere reads and changes nothing (Host and Origin are checked); a request can hold neither
//! a connection nor memory for long. Not here: what the answers mean (see `store`), TLS (a proxy's).

mod api;
mod gate;
mod query;
mod routes;
mod shapes;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::id::TargetName;
use crate::metrics::Metrics;
use crate::plan::{AdminPlan, Current};
use crate::reload::Reloader;
use crate::store::Store;

/// Most open connections; an operator, a scraper and a probe need few.
const CONNECTIONS: usize = 64;

/// Most bytes of a request's head.
const HEAD_BYTES: usize = 16 * 1024;

/// Most header fields of a request.
const HEADERS: usize = 64;

/// Within this time a request's head must be there; also how long a connection may be idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// After this time a connection is closed, so that a client that does not read cannot keep one for ever.
const CONNECTION_LIFE: Duration = Duration::from_secs(600);

/// How long requests under way may take to end once their connection is to be closed.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long accepting pauses after it failed (out of file descriptors, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The operator's door.
pub struct Admin {
    /// The configuration.
    pub plan: Current,
    /// What it shows.
    pub store: Arc<dyn Store>,
    /// What ages are measured by.
    pub clock: Arc<dyn Clock>,
    /// What `/metrics` shows.
    pub metrics: Arc<Metrics>,
    /// Set once the daemon has begun to stop; `/readyz` says so.
    pub draining: Arc<AtomicBool>,
    /// What reloads the configuration, where that is possible.
    pub reloader: Option<Arc<Reloader>>,
}

/// Why the door stays shut.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdminError {
    /// It would be open to the network.
    #[error("the admin listener on {listen} is not on loopback, so it needs a token (admin.token)")]
    TokenNeeded {
        /// Where it was to listen.
        listen: SocketAddr,
    },
}

impl Admin {
    /// Whether the door may be opened like this.
    ///
    /// # Errors
    /// If it is not on loopback and has no token, or an empty one.
    pub fn check(plan: &AdminPlan) -> Result<(), AdminError> {
        Self::check_address(plan, plan.listen)
    }

    fn check_address(plan: &AdminPlan, listen: SocketAddr) -> Result<(), AdminError> {
        let has_token = plan.token.as_ref().is_some_and(|token| !token.is_empty());
        if has_token || listen.ip().to_canonical().is_loopback() {
            Ok(())
        } else {
            Err(AdminError::TokenNeeded { listen })
        }
    }

    /// Serves until `shutdown` is true or its sender is gone; then requests under way may end.
    /// Serves nothing if [`Admin::check`] says no.
    pub async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        mut shutdown: watch::Receiver<bool>,
    ) {
        let allowed = listener
            .local_addr()
            .map_or(Ok(()), |at| Self::check_address(&self.plan.get().admin, at));
        if let Err(error) = allowed {
            tracing::error!(%error, "the operator's door stays shut");
            return;
        }
        let door = Arc::new(Door {
            admin: self,
            shown: Mutex::default(),
        });
        let slots = Arc::new(Semaphore::new(CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = closing(&mut shutdown) => break,
                Some(_) = connections.join_next() => {}
                accepted = accept(&listener, &slots) => {
                    let Some((stream, slot)) = accepted else { continue };
                    let (door, shutdown) = (Arc::clone(&door), shutdown.clone());
                    connections.spawn(async move {
                        door.connection(stream, shutdown).await;
                        drop(slot);
                    });
                }
            }
        }
        drop(listener);
        while connections.join_next().await.is_some() {}
    }
}

/// The next connection, once there is room for it; `None` after a failure and a pause.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, slot)),
        Err(error) => {
            tracing::warn!(%error, "the operator's door cannot accept");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// Returns once the door is to be closed.
async fn closing(shutdown: &mut watch::Receiver<bool>) {
    // An error means that nobody is left to say so.
    let _ = shutdown.wait_for(|closing| *closing).await;
}

/// Returns once a connection has lived long enough, or the door is to be closed.
async fn over(shutdown: &mut watch::Receiver<bool>) {
    // Running out of time ends the wait like a shutdown does.
    let _ = tokio::time::timeout(CONNECTION_LIFE, closing(shutdown)).await;
}

/// An open door.
struct Door {
    admin: Arc<Admin>,
    /// Targets whose gauges were set; one that leaves the configuration goes to zero with its last delivery.
    shown: Mutex<BTreeSet<TargetName>>,
}

impl Door {
    async fn connection(self: Arc<Self>, stream: TcpStream, mut shutdown: watch::Receiver<bool>) {
        let Ok(local) = stream.local_addr() else {
            return;
        };
        let service = service_fn(move |request: Request<Incoming>| {
            let door = Arc::clone(&self);
            async move { Ok::<_, Infallible>(door.answer(request, local).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(HEAD_BYTES)
            .max_headers(HEADERS)
            // A client may close its side as soon as it has asked.
            .half_close(true)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => Ok(ended),
            () = over(&mut shutdown) => {
                connection.as_mut().graceful_shutdown();
                tokio::time::timeout(CLOSE_TIMEOUT, connection).await
            }
        };
        if let Ok(Err(error)) = ended {
            tracing::debug!(%error, "a connection to the operator's door broke off");
        }
    }

    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        local: SocketAddr,
    ) -> Response<Full<Bytes>> {
        let passed = gate::pass(
            &self.admin.plan.get().admin,
            local,
            request.uri(),
            request.headers(),
        );
        let answered = match passed {
            Ok(pass) => routes::dispatch(self, request, pass).await,
            Err(refused) => Err(refused),
        };
        answered.unwrap_or_else(api::Refusal::into_response)
    }
}

#[cfg(test)]
mod tests;
