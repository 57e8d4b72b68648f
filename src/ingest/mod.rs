//! The public door: connections, limits of the wire, and the answers.
//!
//! Promise: a request is passed on only if it arrived whole, within the limits and in time, and if where
//! it begins and ends can be read in one way only. Checks come in this order: shape, path, method, declared
//! length, content coding, body; then `intake` decides. An answer is not lost to a reset because the
//! sender was still writing. Not here: what makes a request an event (see `intake`).

mod answer;
mod wire;

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::{Method, Version};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use self::answer::{Denial, answer};
use self::wire::{Framing, Heads, Wire};
use crate::intake::{Accepted, Coding, Intake, Request};
use crate::metrics::Metrics;
use crate::plan::{Current, Limits, Plan, Source};

/// How long a connection that is to be closed is still read from, so that a sender that is still writing
/// gets to read the answer instead of a reset.
const LINGER: Duration = Duration::from_secs(1);

/// Most bytes that are read and thrown away meanwhile; a sender that has more to say is cut off.
const LINGER_BYTES: usize = 4 << 20;

/// How long a sender may take no byte of its answers; they are small, so only one that never reads does.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long to wait when the system gives no connection (mostly because no file descriptor is free).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The smallest read buffer that hyper takes.
const MIN_BUFFER_BYTES: usize = 8192;

/// Methods that a scheme may take; for the header `Allow`.
const METHODS: [Method; 6] = [
    Method::POST,
    Method::GET,
    Method::HEAD,
    Method::OPTIONS,
    Method::PUT,
    Method::DELETE,
];

/// What answers at the public door.
pub struct Ingest {
    plan: Current,
    intake: Intake,
    metrics: Arc<Metrics>,
}

impl Ingest {
    /// A door for the sources of the plan in force that passes requests on to `intake`.
    #[must_use]
    pub fn new(plan: Current, intake: Intake, metrics: Arc<Metrics>) -> Self {
        Self {
            plan,
            intake,
            metrics,
        }
    }

    /// Answers one request.
    async fn receive(
        &self,
        request: http::Request<Incoming>,
        framing: Option<Framing>,
    ) -> http::Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        // One request sees one plan.
        let plan = self.plan.get();
        let source = plan.paths.get(head.uri.path());
        // The watcher of heads follows no further than to the first chunked request.
        let last = framing != Some(Framing::Length);
        let outcome = match check_shape(&head, framing) {
            Ok(()) => match source {
                Some(source) => self.pass_on(&plan, source, head, body).await,
                None => Err(Denial::NotFound),
            },
            Err(denial) => Err(denial),
        };
        let label = match &outcome {
            Ok(accepted) => accepted.label(),
            Err(denial) => denial.label(),
        };
        let name = source.map_or("", |source| source.name.as_str());
        self.metrics.inbound_request(name, label);
        if let Err(denial) = &outcome {
            tracing::debug!(source = name, reason = denial.label(), "request refused");
        }
        answer(&outcome, last)
    }

    async fn pass_on(
        &self,
        plan: &Plan,
        source: &Source,
        head: Parts,
        body: Incoming,
    ) -> Result<Accepted, Denial> {
        let limits = &plan.limits;
        if !source.scheme.takes(&head.method) {
            let taken = METHODS.into_iter().filter(|m| source.scheme.takes(m));
            return Err(Denial::Method(taken.collect()));
        }
        if body.size_hint().lower() > u64::try_from(limits.body_bytes).unwrap_or(u64::MAX) {
            return Err(Denial::TooLarge);
        }
        let coding = Coding::of(&head.headers).map_err(|_| Denial::Coding)?;
        let wire = read_body(body, limits).await?;
        let request = Request {
            query: head.uri.query().map(str::to_owned),
            method: head.method,
            headers: head.headers,
            coding,
            wire,
        };
        Ok(self.intake.accept(plan, source, request).await?)
    }
}

/// Serves the public door, at most so many `connections` at a time, until `shutdown` turns true; then takes
/// no more connections, lets open requests end and returns when they have, at the latest after the plan's
/// `drain`.
pub async fn serve(
    listener: TcpListener,
    ingest: Arc<Ingest>,
    connections: usize,
    mut shutdown: watch::Receiver<bool>,
) {
    let room = Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS)));
    let mut connections = JoinSet::new();
    loop {
        let (stream, permit) = tokio::select! {
            _ = shutdown.wait_for(|stop| *stop) => break,
            next = next_connection(&listener, &room) => match next {
                Some(next) => next,
                None => break,
            },
        };
        while connections.try_join_next().is_some() {}
        let ingest = Arc::clone(&ingest);
        let shutdown = shutdown.clone();
        connections.spawn(async move {
            connection(stream, ingest, shutdown).await;
            drop(permit);
        });
    }
    drop(listener);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(ingest.plan.get().drain, all_ended)
        .await
        .is_err()
    {
        tracing::warn!("open requests did not end in time and were cut off");
        connections.abort_all();
    }
}

/// The next connection, once there is room for it; those that come before wait in the system's queue.
async fn next_connection(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    // The semaphore is never closed, so there is always a permit in the end.
    let permit = Arc::clone(room).acquire_owned().await.ok()?;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return Some((stream, permit)),
            Err(error) => {
                tracing::warn!(%error, "no connection could be taken");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(
    mut stream: TcpStream,
    ingest: Arc<Ingest>,
    mut shutdown: watch::Receiver<bool>,
) {
    // Answers are small and complete: nothing is gained by waiting for more.
    let _ = stream.set_nodelay(true);
    let limits = ingest.plan.get().limits;
    let heads = Heads::default();
    let mut stopping = false;
    {
        let io = Wire::new(
            &mut stream,
            heads.clone(),
            limits.header_bytes,
            WRITE_TIMEOUT,
        );
        let service = service_fn(|request| {
            let framing = heads.next();
            let ingest = &ingest;
            async move { Ok::<_, Infallible>(ingest.receive(request, framing).await) }
        });
        let mut conn = pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(limits.header_timeout)
                .max_header_size(limits.header_bytes)
                .max_buf_size(limits.header_bytes.max(MIN_BUFFER_BYTES))
                // A sender may close its side once it has written all; it still gets its answer.
                .half_close(true)
                .serve_connection(TokioIo::new(io), service)
        );
        let ended = loop {
            tokio::select! {
                ended = conn.as_mut() => break ended,
                _ = shutdown.wait_for(|stop| *stop), if !stopping => {
                    stopping = true;
                    conn.as_mut().graceful_shutdown();
                }
            }
        };
        if let Err(error) = ended {
            note_broken(&ingest, &error);
        }
    }
    if !stopping {
        linger(&mut stream).await;
    }
}

/// Counts what hyper has refused by itself; everything else is a connection that went away.
fn note_broken(ingest: &Ingest, error: &hyper::Error) {
    if error.is_parse_too_large() {
        ingest.metrics.inbound_request("", "headers_too_large");
    } else if error.is_parse() {
        ingest.metrics.inbound_request("", "bad_request");
    } else if error.is_timeout() {
        ingest.metrics.inbound_request("", "headers_too_slow");
    }
    tracing::debug!(%error, "connection broken");
}

/// Closes the writing side and reads on for a while: closing a socket with unread bytes resets the
/// connection, and a reset can overtake the answer.
async fn linger(stream: &mut TcpStream) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let drain = async {
        let mut scrap = vec![0; MIN_BUFFER_BYTES];
        let mut read = 0_usize;
        while read < LINGER_BYTES {
            match stream.read(&mut scrap).await {
                Ok(0) | Err(_) => return,
                Ok(n) => read = read.saturating_add(n),
            }
        }
    };
    let _ = tokio::time::timeout(LINGER, drain).await;
}

/// Refuses what two readers could read in two ways: both kinds of length, a coding of the transfer other
/// than one `chunked`, and a request for no host or for two.
fn check_shape(head: &Parts, framing: Option<Framing>) -> Result<(), Denial> {
    let sound = match framing {
        Some(Framing::Length) => true,
        Some(Framing::Chunked) => {
            let mut codings = head.headers.get_all(TRANSFER_ENCODING).iter();
            let first = codings.next();
            codings.next().is_none()
                && first.is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"chunked"))
        }
        Some(Framing::Both) | None => false,
    };
    let hosts = head.headers.get_all(HOST).iter().count();
    let host = hosts == 1 || (hosts == 0 && head.version < Version::HTTP_11);
    if sound && host {
        Ok(())
    } else {
        Err(Denial::Malformed)
    }
}

/// The whole body, within the limits.
async fn read_body<B>(body: B, limits: &Limits) -> Result<Bytes, Denial>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut body = pin!(Limited::new(body, limits.body_bytes));
    // Frames are not kept: each of them is a chunk, which may have one byte, and holds a read buffer.
    let whole = async {
        let mut whole = BytesMut::new();
        while let Some(frame) = body.frame().await {
            if let Some(data) = frame?.data_ref() {
                whole.extend_from_slice(data);
            }
        }
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(whole.freeze())
    };
    match tokio::time::timeout(limits.body_timeout, whole).await {
        Ok(Ok(whole)) => Ok(whole),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Denial::TooLarge),
        Ok(Err(_)) => Err(Denial::Malformed),
        Err(_) => Err(Denial::Slow),
    }
}

#[cfg(test)]
mod tests;
