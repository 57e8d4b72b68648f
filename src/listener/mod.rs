//! What both doors share: connections, TLS, HTTP/1.1 and HTTP/2, and the bounds of each.
//!
//! Promise: a peer can hold neither a connection nor memory for long, whatever it sends or leaves unsent, and others are
//! served meanwhile; certificates and bounds are those of the plan in force when a connection begins; an answer is not
//! lost to a reset because the sender was still writing. HTTP/2 is spoken over TLS only: in the clear there is no way
//! to it, neither by its preface nor by `Upgrade`, which is passed over as RFC 9110 allows.
//! Not here: what is answered (see `ingest` and `admin`).

mod activity;
mod body;
mod connection;
mod shape;
mod wire;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

pub use self::body::Answer;

use crate::metrics::Metrics;
use crate::plan::{Current, Plan};

/// How long to wait when the system gives no connection (mostly because no file descriptor is free).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A door: what is behind a listener.
pub trait Door: Send + Sync + 'static {
    /// Its name in logs and metrics.
    fn name(&self) -> &'static str;

    /// Where failed handshakes are counted.
    fn metrics(&self) -> &Metrics;

    /// The bounds of a connection that begins under this plan.
    fn bounds(&self, plan: &Plan) -> Bounds;

    /// Answers a request.
    fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        call: Call,
    ) -> impl Future<Output = Response<Answer>> + Send;

    /// Hears why a connection broke; that may be a head that the HTTP library has refused by itself.
    fn broken(&self, error: &hyper::Error);
}

/// The bounds of a connection.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// What is shown; without, HTTP/1.1 is spoken in the clear.
    pub tls: Option<Arc<ServerConfig>>,
    /// Whom clients' certificates must be signed by (see [`crate::tls::ServerTls::clients`]).
    pub clients: Option<[u8; 32]>,
    /// Most bytes of a request's head.
    pub head_bytes: usize,
    /// Most header fields of a request's head, in HTTP/1.1.
    pub headers: Option<usize>,
    /// Within this time a handshake must be through, a request's head must be there, and after an answer the next one.
    pub head_timeout: Duration,
    /// After this time a connection takes no more requests.
    pub life: Option<Duration>,
    /// How long open requests may take to end once the door is to be closed.
    pub closing: Duration,
}

/// What a request came by.
#[derive(Debug, Clone)]
pub struct Call {
    /// The address of the peer.
    pub peer: SocketAddr,
    /// The address that it has called.
    pub local: SocketAddr,
    /// Whose the client's certificate is, if it has shown one.
    pub subject: Option<Arc<str>>,
    /// Whom it had to be signed by when the connection began.
    pub clients: Option<[u8; 32]>,
    /// Whether where the request begins and ends, and for which host it is, can be read in one way only. What is not
    /// sound must be refused.
    pub sound: bool,
    /// Whether no other request can follow on this connection, so that the answer must say so.
    pub last: bool,
    /// Permits to hold a body, of which a connection has a few, however many requests are open on it.
    pub bodies: Arc<Semaphore>,
    /// True once the door is to be closed.
    pub stopping: watch::Receiver<bool>,
}

/// Serves a door until `shutdown` is true or its sender is gone; then takes no more connections, lets open requests
/// end and returns when they have, at the latest after the time that the bounds allow. At most `room` connections are
/// open at a time, which is asked for again whenever the plan changes; those that come before there is room wait in the
/// system's queue.
pub async fn serve<D: Door>(
    listener: TcpListener,
    door: Arc<D>,
    plan: Current,
    room: impl Fn(&Plan) -> usize,
    mut shutdown: watch::Receiver<bool>,
) {
    let mut changes = plan.watch();
    let mut most = room(&plan.get());
    let mut connections = JoinSet::new();
    let told = shutdown.clone();
    loop {
        let accepted = tokio::select! {
            () = closing(&mut shutdown) => break,
            Some(_) = connections.join_next() => continue,
            Ok(()) = changes.changed() => {
                most = room(&plan.get());
                continue;
            }
            accepted = listener.accept(), if connections.len() < most => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let bounds = door.bounds(&plan.get());
                let (door, told) = (Arc::clone(&door), told.clone());
                let open = door.metrics().connection(door.name());
                connections.spawn(async move {
                    let _open = open;
                    connection::serve(stream, peer, door, bounds, told).await;
                });
            }
            Err(error) => {
                tracing::warn!(door = door.name(), %error, "no connection could be taken");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let within = door.bounds(&plan.get()).closing;
    let all_ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(within, all_ended).await.is_err() {
        tracing::warn!(
            door = door.name(),
            "open requests did not end in time and were cut off"
        );
        connections.abort_all();
    }
}

/// Returns once a door is to be closed.
async fn closing(shutdown: &mut watch::Receiver<bool>) {
    // An error means that nobody is left to say so.
    let _ = shutdown.wait_for(|closing| *closing).await;
}

#[cfg(test)]
mod tests;
