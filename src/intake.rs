//! The inbound story: a request that arrived whole becomes an event on disk, or a reason why not.
//!
//! Promise: what does not verify never becomes an event; what verifies is stored with all its
//! deliveries before this says yes, or counted where a setting drops it. Never refused for its content:
//! what is not JSON is stored as well. Not here: sockets, limits of the wire, HTTP status (see `ingest`).

mod budget;
mod captured;
mod outside;

use std::io::{self, Read};
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use flate2::bufread::GzDecoder;
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, header};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::clock::Clock;
use crate::delivery::{Delivery, State};
use crate::event::{Event, replace_headers};
use crate::id::{Digest, EventId, SourceName, TargetName};
use crate::live::{EventNews, Failed, Live};
use crate::metrics::Metrics;
use crate::plan::{Dedupe, DedupeBy, Plan, Source, Unmatched};
use crate::routing::deliveries;
use crate::signature::{Inbound, Reply, Subscription, Verdict, Verified, VerifyError};
use crate::store::{Admission, DedupeKey, Novelty, Receipt, Store, StoreError};
use crate::trace::{self, Parent};

pub use budget::{Budget, Held, Spent};
pub use outside::{Fetch, Https, Outside};

/// What turns requests into events.
pub struct Intake {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    live: Arc<Live>,
    outside: Arc<Outside>,
}

/// A request that arrived whole.
#[derive(Debug)]
pub struct Request {
    /// The address that it comes from.
    pub client: IpAddr,
    /// The method.
    pub method: Method,
    /// The query as it came, without `?`.
    pub query: Option<String>,
    /// All headers.
    pub headers: HeaderMap,
    /// How the body is coded.
    pub coding: Coding,
    /// The body as it came over the wire.
    pub wire: Bytes,
    /// The memory that it has.
    pub held: Held,
}

/// A content coding that can be undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// None.
    Identity,
    /// `gzip` or `x-gzip`.
    Gzip,
}

/// The content coding is none of those that can be undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("content coding not supported")]
pub struct UnknownCoding;

/// What became of a request that is in order.
#[derive(Debug)]
pub enum Accepted {
    /// It is an event.
    Event {
        /// Its id; that of the first one where it repeats one.
        id: EventId,
        /// What became of it.
        fate: Fate,
    },
    /// It is a challenge, to be answered with this.
    Reply(Reply),
}

/// What became of a verified event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is stored, and at least one route takes it.
    Routed,
    /// It is stored; no route takes it.
    Unmatched,
    /// No route takes it, and the configuration has such events dropped.
    Dropped,
    /// It repeats one that is stored.
    Duplicate,
    /// It has the message id of one that is stored, but another body; it is not stored.
    Conflicting,
}

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The body is not what its content coding says.
    #[error("the body cannot be decoded")]
    BadCoding(#[source] io::Error),
    /// The decoded body is over the limit.
    #[error("the decoded body is too large")]
    TooLarge,
    /// It is not proven to come from the holder of the secret.
    #[error("the request does not verify")]
    Unverified(#[source] VerifyError),
    /// There is no memory for the decoded body now.
    #[error(transparent)]
    Overloaded(#[from] Spent),
    /// It hands a secret over that cannot be kept.
    #[error("the secret cannot be kept now")]
    NotKept(#[source] io::Error),
    /// It is verified, but the store does not take it now.
    #[error("the event cannot be stored now")]
    Unavailable(#[source] StoreError),
}

impl Accepted {
    /// Its name in metrics.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Event { fate, .. } => match fate {
                Fate::Routed => "accepted",
                Fate::Unmatched => "unmatched",
                Fate::Dropped => "dropped",
                Fate::Duplicate | Fate::Conflicting => "duplicate",
            },
            Self::Reply(_) => "handshake",
        }
    }
}

impl Fate {
    /// Whether it counts as a repetition towards the sender.
    #[must_use]
    pub fn is_duplicate(self) -> bool {
        matches!(self, Self::Duplicate | Self::Conflicting)
    }
}

impl Coding {
    /// The coding that these headers declare.
    ///
    /// # Errors
    /// [`UnknownCoding`] for any other coding, and for more than one.
    pub fn of(headers: &HeaderMap) -> Result<Self, UnknownCoding> {
        let mut values = headers.get_all(header::CONTENT_ENCODING).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return if headers.contains_key(header::CONTENT_ENCODING) {
                Err(UnknownCoding)
            } else {
                Ok(Self::Identity)
            };
        };
        let name = value.as_bytes().trim_ascii();
        if name.is_empty() || name.eq_ignore_ascii_case(b"identity") {
            Ok(Self::Identity)
        } else if name.eq_ignore_ascii_case(b"gzip") || name.eq_ignore_ascii_case(b"x-gzip") {
            Ok(Self::Gzip)
        } else {
            Err(UnknownCoding)
        }
    }
}

impl Intake {
    /// An intake into `store`.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        live: Arc<Live>,
    ) -> Self {
        Self {
            store,
            clock,
            metrics,
            live,
            outside: Arc::default(),
        }
    }

    /// The same, with what others are asked by.
    #[must_use]
    pub fn through(self, outside: Arc<Outside>) -> Self {
        Self { outside, ..self }
    }

    /// Whether the source hears requests from this address at all; asked before the body is read.
    ///
    /// # Errors
    /// [`VerifyError::AddressNotAllowed`], which is noted as other failures are.
    pub fn hear(&self, source: &Source, client: IpAddr, head: &Parts) -> Result<(), Refusal> {
        if source.allow.takes(client) {
            return Ok(());
        }
        Err(self.unverified(
            source,
            VerifyError::AddressNotAllowed,
            (client, &head.method, &head.headers),
            0,
        ))
    }

    /// Takes a request in by this plan: decode, verify, route, store. When it says [`Accepted::Event`], the event is
    /// on disk with its deliveries, unless its fate says that it was not to be stored.
    ///
    /// # Errors
    /// Why it is refused; nothing of it is kept then.
    pub async fn accept(
        &self,
        plan: &Plan,
        source: &Source,
        mut request: Request,
    ) -> Result<Accepted, Refusal> {
        let now = self.clock.now();
        let body = decode(&request.wire, request.coding, plan.limits.body_bytes)?;
        if request.coding != Coding::Identity {
            request.held.grow(body.len(), plan.limits.in_flight_bytes)?;
        }
        let inbound = Inbound {
            url: source.url.as_deref(),
            query: request.query.as_deref(),
            wire: &request.wire,
            armed: self.waits_for_secret(source, now),
            ..Inbound::new(&request.method, &request.headers, &body)
        };
        let certificate = match source.checks.certificate_url(&inbound) {
            Some(url) => self.outside.certificate(&url, &plan.egress, now).await,
            None => None,
        };
        let inbound = Inbound {
            certificate: certificate.as_deref(),
            ..inbound
        };
        let verified = match source.checks.verify(&inbound, now) {
            Ok(Verdict::Event(verified)) => verified,
            Ok(Verdict::Reply(reply)) => {
                let head = (request.client, &request.method, &request.headers);
                self.take_over(source, &reply, head, request.wire.len())
                    .await?;
                if let Some(subscription) = &reply.subscription {
                    self.subscribe(plan, source, subscription).await;
                }
                let challenge = reply.challenge.as_deref();
                tracing::debug!(source = %source.name, challenge, "handshake answered");
                return Ok(Accepted::Reply(reply));
            }
            Err(error) => {
                let head = (request.client, &request.method, &request.headers);
                return Err(self.unverified(source, error, head, request.wire.len()));
            }
        };
        let mut headers = kept_headers(&request.headers, |name| source.checks.is_credential(name));
        let mut replaced = verified.content().replaced.clone();
        replaced.retain(|(name, _)| !is_named_credential(name));
        replace_headers(&mut headers, &replaced);
        let way = source.checks.way(verified.way());
        let proven = way.map_or(&body, |way| way.scheme.signed_body(&inbound));
        let dedupe = source
            .dedupe
            .map(|rule| dedupe_key(rule, &source.name, &verified, proven));
        let is_kept = is_same(proven, &verified.content().body);
        let (secret, skew) = (verified.key(), verified.skew_seconds());
        let receipt = Receipt {
            scheme: way.map_or_else(String::new, |way| way.name.clone()),
            secret: u16::try_from(secret).unwrap_or(u16::MAX),
            skew_seconds: skew.map(i64::saturating_neg),
            message_id_covered: verified.message_id_covered(),
            generation: plan.number(),
        };
        let id = EventId::generate();
        let trace = trace::Context::of(id.as_bytes(), &headers, source.trust_trace).trace();
        // A trace that is not continued can still be found from here.
        let linked = Parent::of(&headers).filter(|_| !source.trust_trace);
        let mut event = Event::from_verified(id, source.name.clone(), verified, headers, now);
        if let Some(dedupe) = dedupe.as_ref().filter(|_| is_kept) {
            event = event.with_body_hash(Digest::from_bytes(dedupe.body));
        }
        let accepted = self
            .store(plan, Arc::new(event), dedupe, receipt, now)
            .await?;
        tracing::debug!(
            source = %source.name,
            secret,
            skew_seconds = skew,
            result = accepted.label(),
            event = %id,
            %trace,
            linked_trace = linked.map(tracing::field::display),
            "request verified"
        );
        Ok(accepted)
    }

    fn waits_for_secret(&self, source: &Source, now: Timestamp) -> bool {
        source.captured.is_some() && self.live.armed.until(&source.name, now).is_some()
    }

    /// Keeps the secret that a challenge hands over, if it does. Of two at a time one is too late.
    async fn take_over(
        &self,
        source: &Source,
        reply: &Reply,
        head: (IpAddr, &Method, &HeaderMap),
        size: usize,
    ) -> Result<(), Refusal> {
        let Some(secret) = &reply.captured else {
            return Ok(());
        };
        let armed = self.live.armed.take(&source.name, self.clock.now());
        let (Some(path), Some(until)) = (&source.captured, armed) else {
            return Err(self.unverified(source, VerifyError::NotArmed, head, size));
        };
        let client = head.0;
        if let Err(error) = captured::keep(path.clone(), secret.clone()).await {
            self.live.armed.arm(&source.name, until);
            tracing::error!(source = %source.name, %error, path = %path.display(), "a secret that was handed over cannot be kept");
            return Err(Refusal::NotKept(error));
        }
        tracing::info!(source = %source.name, %client, path = %path.display(), "a secret was handed over and is kept; the source waits for no other");
        Ok(())
    }

    /// Confirms a subscription where that is configured, else has it wait for an operator.
    async fn subscribe(&self, plan: &Plan, source: &Source, subscription: &Subscription) {
        let Subscription {
            topic,
            url,
            at_once,
        } = subscription;
        let name = &source.name;
        if *at_once {
            match self.outside.confirm(url, &plan.egress).await {
                Ok(()) => {
                    tracing::info!(source = %name, topic, "a subscription is confirmed");
                    return;
                }
                Err(error) => {
                    tracing::warn!(source = %name, topic, error, "a subscription cannot be confirmed");
                }
            }
        }
        let waiting = &self.live.subscriptions;
        waiting.wait(name, topic, url.clone(), self.clock.now());
        tracing::warn!(
            source = %name, topic,
            "a subscription waits to be confirmed, for three days: ingate sources confirm {name}"
        );
    }

    /// Notes that a request of `size` bytes did not verify.
    fn unverified(
        &self,
        source: &Source,
        error: VerifyError,
        (client, method, headers): (IpAddr, &Method, &HeaderMap),
        size: usize,
    ) -> Refusal {
        // The error's words name headers, the skew and the tolerance, never a value that was sent.
        tracing::info!(source = %source.name, %client, reason = error.name(), detail = %error, "verification failed");
        let failed = Failed::new(self.clock.now(), &error, client, method, headers, size);
        self.live.refused.note(&source.name, failed);
        Refusal::Unverified(error)
    }

    async fn store(
        &self,
        plan: &Plan,
        event: Arc<Event>,
        dedupe: Option<DedupeKey>,
        receipt: Receipt,
        now: Timestamp,
    ) -> Result<Accepted, Refusal> {
        let deliveries: Vec<Delivery> = plan
            .router
            .route(&event)
            .flat_map(|route| deliveries(plan, route, &event, now))
            .collect();
        let source = event.parts().source.clone();
        let unmatched = deliveries.is_empty();
        if unmatched && plan.unmatched == Unmatched::Drop {
            self.metrics.event_dropped(source.as_str(), "unmatched");
            return Ok(Accepted::Event {
                id: event.id(),
                fate: Fate::Dropped,
            });
        }
        let dead = dead_on_arrival(&deliveries);
        let news = EventNews::of(&event, &deliveries);
        // Its first attempt may have ended before this task goes on.
        let announced = self.live.feed.announce(news.id);
        let admission = Admission {
            event,
            deliveries,
            dedupe,
            receipt: Some(receipt),
        };
        let admitted = self.store.admit(admission).await.map_err(|error| {
            tracing::info!(%source, %error, "a verified event could not be stored");
            Refusal::Unavailable(error)
        })?;
        if admitted.novelty == Novelty::New {
            for (target, reason) in dead {
                self.metrics.delivery_died(target.as_str(), reason);
            }
            announced.tell(news);
        }
        let fate = match admitted.novelty {
            Novelty::New if unmatched => Fate::Unmatched,
            Novelty::New => Fate::Routed,
            Novelty::Duplicate => {
                self.metrics.event_dropped(source.as_str(), "duplicate");
                Fate::Duplicate
            }
            Novelty::Conflicting => {
                self.metrics.event_dropped(source.as_str(), "conflicting");
                tracing::warn!(
                    %source,
                    event = %admitted.event,
                    "an event came with the message id of an earlier one but another body; it was not stored"
                );
                Fate::Conflicting
            }
        };
        Ok(Accepted::Event {
            id: admitted.event,
            fate,
        })
    }
}

/// Most members of a gzip stream. Senders write one; an empty member takes twenty bytes on the wire and a
/// decoder of its own here.
const GZIP_MEMBERS: usize = 16;

/// Undoes the content coding; never makes more than `limit` bytes and one.
fn decode(wire: &Bytes, coding: Coding, limit: usize) -> Result<Bytes, Refusal> {
    match coding {
        Coding::Identity => Ok(wire.clone()),
        Coding::Gzip => gunzip(wire, limit),
    }
}

fn gunzip(wire: &[u8], limit: usize) -> Result<Bytes, Refusal> {
    let mut body = Vec::new();
    let mut rest = wire;
    for _ in 0..GZIP_MEMBERS {
        let room = limit.saturating_sub(body.len()).saturating_add(1);
        let mut member = GzDecoder::new(rest).take(u64::try_from(room).unwrap_or(u64::MAX));
        member.read_to_end(&mut body).map_err(Refusal::BadCoding)?;
        if body.len() > limit {
            return Err(Refusal::TooLarge);
        }
        rest = member.into_inner().into_inner();
        if rest.is_empty() {
            return Ok(Bytes::from(body));
        }
    }
    let many = format!("more than {GZIP_MEMBERS} members");
    Err(Refusal::BadCoding(io::Error::new(
        io::ErrorKind::InvalidData,
        many,
    )))
}

/// Headers that carry credentials, whatever the scheme; see [`CREDENTIAL_WORDS`] as well.
const CREDENTIALS: [&str; 2] = ["cookie", "set-cookie"];

/// Words in the names of headers that carry credentials. Vendors send more of them than the one that their
/// scheme reads: a second signature by an older algorithm or under another name, a token besides.
const CREDENTIAL_WORDS: [&str; 7] = [
    "authorization",
    "signature",
    "hmac",
    "token",
    "secret",
    "password",
    "apikey",
];

/// The one that is two words; a key by itself may be anything (`idempotency-key`, `x-event-key`).
const API_KEY: &str = "api-key";

fn is_named_credential(name: &HeaderName) -> bool {
    // By bytes: this is asked of every header of every request.
    let (text, name) = (name.as_str(), name.as_str().as_bytes());
    let mut words = name.split(|byte| matches!(byte, b'-' | b'_'));
    CREDENTIALS.contains(&text)
        || name
            .windows(API_KEY.len())
            .any(|part| part == API_KEY.as_bytes())
        || words.any(|word| CREDENTIAL_WORDS.iter().any(|one| one.as_bytes() == word))
}

/// Headers about the connection or the coded form of the body, which say nothing about the event.
const WIRE_HEADERS: [&str; 11] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "expect",
    "content-length",
    "content-encoding",
];

/// The headers that an event keeps. Bytes that are not UTF-8 are replaced.
fn kept_headers(
    headers: &HeaderMap,
    is_credential: impl Fn(&HeaderName) -> bool,
) -> Vec<(String, String)> {
    headers
        .iter()
        .filter(|(name, _)| {
            !(is_named_credential(name)
                || WIRE_HEADERS.contains(&name.as_str())
                || is_credential(name))
        })
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            (name.as_str().to_owned(), value.into_owned())
        })
        .collect()
}

/// Deliveries that will never be tried, and why.
fn dead_on_arrival(deliveries: &[Delivery]) -> Vec<(TargetName, &'static str)> {
    let dead = deliveries.iter().filter_map(|one| match one.state {
        State::Dead { reason, .. } => Some((one.target.clone(), reason.as_str())),
        _ => None,
    });
    dead.collect()
}

/// What makes a later request the same event. A message id counts only where the signature covers it:
/// else anybody could send a captured request again under a fresh one.
///
/// The body is the one that was `proven`, as it came: what an event has for its body is made of that by headers that no
/// signature covers, such as the content type of a form.
fn dedupe_key(rule: Dedupe, source: &SourceName, verified: &Verified, proven: &[u8]) -> DedupeKey {
    let content = verified.content();
    let id = content
        .message_id
        .as_deref()
        .filter(|_| rule.by == DedupeBy::Id && verified.message_id_covered());
    // Neither of both holds a NUL, so that the two together are no other id.
    let issued = id.zip(content.issuer.as_deref());
    let issued = issued.map(|(id, issuer)| format!("{issuer}\0{id}"));
    key_over(rule, source, issued.as_deref().or(id), proven)
}

/// Whether these are the very same bytes, not only equal ones.
fn is_same(a: &Bytes, b: &Bytes) -> bool {
    a.as_ptr() == b.as_ptr() && a.len() == b.len()
}

/// The key over the source's name and the message id, or the body where there is none. The kind and
/// the name's end are part of what is hashed, so that no id can pass for a body or for another source.
fn key_over(rule: Dedupe, source: &SourceName, id: Option<&str>, body: &[u8]) -> DedupeKey {
    let body_hash: [u8; 32] = Sha256::digest(body).into();
    let mut hash = Sha256::new();
    hash.update(source.as_str().as_bytes());
    match id {
        Some(id) => {
            hash.update(b"\0id\0");
            hash.update(id.as_bytes());
        }
        None => {
            hash.update(b"\0body\0");
            hash.update(body_hash);
        }
    }
    DedupeKey {
        key: hash.finalize().into(),
        body: body_hash,
        window: rule.window,
    }
}

#[cfg(test)]
mod tests;
