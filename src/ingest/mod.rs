//! The public door: the limits of what is asked there, and the answers.
//!
//! Promise: a request is passed on only if it arrived whole, within the limits and in time, and if where
//! it begins and ends can be read in one way only. Checks come in this order: shape, path, address, method, declared
//! length, content coding, body; then `intake` decides. Failed verifications of one address are answered more and more
//! slowly. Not here: connections (see `listener`), what makes a request an event (see `intake`).

mod answer;
mod pace;
mod slow;
mod span;

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use http::Method;
use http::request::Parts;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, SemaphorePermit, watch};

use self::answer::{Denial, answer};
use self::slow::Slow;
use self::span::Begun;
use crate::intake::{Accepted, Budget, Coding, Fate, Held, Intake, Request, Spent};
use crate::listener::{self, Answer, Bounds, Call};
use crate::live::{Inbound, Live};
use crate::metrics::Metrics;
use crate::plan::{Current, Limits, Plan, Source};
use crate::telemetry::Spans;
use crate::tls::ServerTls;

/// Bytes of a body that are read without waiting for a turn; most webhooks have fewer.
const SMALL_BODY_BYTES: usize = 64 * 1024;

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
    spans: Spans,
    live: Arc<Live>,
    slow: Slow,
    budget: Budget,
}

impl Ingest {
    /// A door for the sources of the plan in force that passes requests on to `intake`.
    #[must_use]
    pub fn new(plan: Current, intake: Intake, metrics: Arc<Metrics>, live: Arc<Live>) -> Self {
        Self {
            plan,
            intake,
            metrics,
            spans: Spans::nowhere(),
            live,
            slow: Slow::new(),
            budget: Budget::default(),
        }
    }

    /// The same, with the span of each request to a source told.
    #[must_use]
    pub fn traced(mut self, spans: Spans) -> Self {
        self.spans = spans;
        self
    }

    /// Answers one request.
    async fn receive(
        &self,
        request: http::Request<Incoming>,
        call: Call,
    ) -> http::Response<Full<Bytes>> {
        let began = Instant::now();
        let (head, body) = request.into_parts();
        // One request sees one plan.
        let plan = self.plan.get();
        let source = plan.paths.get(head.uri.path());
        let client = plan.trusted_proxies.client(call.peer.ip(), &head.headers);
        // Requests to no source are anybody's, and would only push others out.
        let begun = match (&plan.telemetry, source) {
            (Some(_), Some(_)) => Begun::of(&self.spans, &head, client),
            _ => None,
        };
        let outcome = match source {
            _ if !call.sound => Err(Denial::Malformed),
            Some(source) => self.pass_on(&plan, source, head, body, client, &call).await,
            None => Err(Denial::NotFound),
        };
        let label = match &outcome {
            Ok(accepted) => accepted.label(),
            Err(denial) => denial.label(),
        };
        let name = source.map_or("", |source| source.name.as_str());
        self.metrics.inbound_request(name, label);
        let took = began.elapsed();
        if let Ok(Accepted::Event { .. }) = &outcome {
            self.metrics.event_accepted(name, took);
        }
        let own = source.and_then(|source| source.answer.as_ref());
        let answer = answer(&outcome, own, call.last);
        if let (Some(begun), Some(otlp), Some(source)) = (begun, &plan.telemetry, source) {
            let status = answer.status().as_u16();
            let told = begun.span(otlp, source, &outcome, status, took);
            told.into_iter().for_each(|span| self.spans.tell(span));
        }
        if let Some(inbound) = inbound(&outcome) {
            let source = source.map(|source| &source.name);
            self.live.tallies.inbound(source, inbound);
        }
        if let Err(denial) = &outcome {
            tracing::debug!(source = name, reason = denial.label(), "request refused");
            if denial.is_failed_verification() {
                self.metrics.verification_failed(name, denial.label());
                self.slow
                    .failed(client, &plan.limits, &self.metrics, call.stopping)
                    .await;
            }
        }
        answer
    }

    async fn pass_on(
        &self,
        plan: &Plan,
        source: &Source,
        head: Parts,
        body: Incoming,
        client: IpAddr,
        call: &Call,
    ) -> Result<Accepted, Denial> {
        let limits = &plan.limits;
        self.intake.hear(source, client, &head)?;
        if !source.checks.takes(&head.method) {
            let taken = METHODS.into_iter().filter(|m| source.checks.takes(m));
            return Err(Denial::Method(taken.collect()));
        }
        if body.size_hint().lower() > u64::try_from(limits.body_bytes).unwrap_or(u64::MAX) {
            return Err(Denial::TooLarge);
        }
        let coding = Coding::of(&head.headers).map_err(|_| Denial::Coding)?;
        let mut held = self.budget.open();
        // The turn is held until the body is gone again.
        let (wire, _turn) = read_body(body, limits, &call.bodies, &mut held).await?;
        let request = Request {
            client,
            query: head.uri.query().map(str::to_owned),
            method: head.method,
            headers: head.headers,
            coding,
            wire,
            held,
        };
        Ok(self.intake.accept(plan, source, request).await?)
    }
}

/// What a request counts as for operators; a handshake counts nowhere.
fn inbound(outcome: &Result<Accepted, Denial>) -> Option<Inbound> {
    Some(match outcome {
        Ok(Accepted::Event { fate, .. }) => match fate {
            Fate::Routed => Inbound::Routed,
            Fate::Unmatched | Fate::Dropped => Inbound::Unmatched,
            Fate::Duplicate | Fate::Conflicting => Inbound::Duplicate,
        },
        Ok(Accepted::Reply(_)) => return None,
        Err(denial) if denial.is_failed_verification() => Inbound::Unverified,
        Err(_) => Inbound::Refused,
    })
}

impl listener::Door for Ingest {
    fn name(&self) -> &'static str {
        "public"
    }

    fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    fn bounds(&self, plan: &Plan) -> Bounds {
        Bounds {
            tls: plan.tls.as_ref().map(ServerTls::config),
            clients: None,
            head_bytes: plan.limits.header_bytes,
            headers: None,
            head_timeout: plan.limits.header_timeout,
            life: None,
            closing: plan.drain,
        }
    }

    async fn answer(
        self: Arc<Self>,
        request: http::Request<Incoming>,
        call: Call,
    ) -> http::Response<Answer> {
        self.receive(request, call).await.map(Answer::Whole)
    }

    /// Counts what hyper has refused by itself; everything else is a connection that went away.
    fn broken(&self, error: &hyper::Error) {
        if error.is_parse_too_large() {
            self.metrics.inbound_request("", "headers_too_large");
        } else if error.is_parse() {
            self.metrics.inbound_request("", "bad_request");
        } else if error.is_timeout() {
            self.metrics.inbound_request("", "headers_too_slow");
        }
    }
}

/// Serves the public door, with `room` for so many connections under a plan, until `shutdown` turns true; then takes
/// no more connections, lets open requests end and returns when they have, at the latest after the plan's `drain`.
pub async fn serve(
    listener: TcpListener,
    ingest: Arc<Ingest>,
    room: impl Fn(&Plan) -> usize,
    shutdown: watch::Receiver<bool>,
) {
    let plan = ingest.plan.clone();
    listener::serve(listener, ingest, plan, room, shutdown).await;
}

/// The whole body, within the limits. A large one is read when it is its turn: a connection has a few of them, so
/// that it cannot hold a body for each of its streams. Others need none, so that requests which never send
/// their body keep none from those that do.
async fn read_body<'a, B>(
    body: B,
    limits: &Limits,
    turns: &'a Semaphore,
    held: &mut Held,
) -> Result<(Bytes, Option<SemaphorePermit<'a>>), Denial>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut body = pin!(Limited::new(body, limits.body_bytes));
    // Frames are not kept: each of them is a chunk, which may have one byte, and holds a read buffer.
    let whole = async {
        let mut whole = BytesMut::new();
        let mut turn = None;
        while let Some(frame) = body.frame().await {
            if let Some(data) = frame?.data_ref() {
                held.grow(data.len(), limits.in_flight_bytes)?;
                whole.extend_from_slice(data);
            }
            if whole.len() > SMALL_BODY_BYTES && turn.is_none() {
                turn = Some(turns.acquire().await?);
            }
        }
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>((whole.freeze(), turn))
    };
    match tokio::time::timeout(limits.body_timeout, whole).await {
        Ok(Ok(whole)) => Ok(whole),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Denial::TooLarge),
        Ok(Err(error)) if error.is::<Spent>() => Err(Denial::Overloaded),
        Ok(Err(_)) => Err(Denial::Malformed),
        Err(_) => Err(Denial::Slow),
    }
}

#[cfg(test)]
mod tests;
