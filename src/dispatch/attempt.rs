//! One attempt: body, signature, request, outcome, settlement.
//!
//! Promise: the outcome of a request that was sent is recorded, however long the store takes, while
//! the process lives; a request that is cut off at the end counts as an attempt, since the target may
//! have it. Not here: HTTP (see `client`), the body (see `payload`).

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use tokio::sync::watch;

use super::breaker::Verdict;
use super::client::Client;
use super::payload::{self, Payload, Unsendable};
use super::span::Traced;
use super::tokens::Tokens;
use super::{Phase, Shared};
use crate::client::AGENT;
use crate::clock;
use crate::delivery::{Attempt, BodyFrom, DeadReason, Failure, Next, Outcome, ReplayMark, Sent};
use crate::event::HOPS_HEADER;
use crate::id::{Digest, RouteName, TargetName};
use crate::live::{AttemptNews, News};
use crate::plan::{Plan, Route, Target};
use crate::signature::{self, Outbound};
use crate::store::{Claimed, Lease, Settled, Settlement, StoreError};
use crate::trace::{self, TraceId};

/// The header that carries the delivery's id; the same on every attempt.
const ID_HEADER: HeaderName = HeaderName::from_static("webhook-id");

/// The header that carries the id of the replay that has taken a delivery up again.
const REPLAY_HEADER: HeaderName = HeaderName::from_static("ingate-replay");

/// The header that carries the id of the delivery in whose place a new one was made.
const REPLAY_OF_HEADER: HeaderName = HeaderName::from_static("ingate-replay-of");

/// Headers that frame the message; they are the client's own, whatever is configured.
const FRAMING: [HeaderName; 3] = [CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION];

/// The first pause after the store failed to record an outcome; it doubles with each failure.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Room for the headers that most requests have, the client's own included.
const USUAL_HEADERS: usize = 12;

/// Makes the attempts of one target.
pub(super) struct Attempter {
    pub(super) shared: Arc<Shared>,
    pub(super) target: Arc<Target>,
    pub(super) client: Arc<Client>,
    /// Where the target wants a token: what has one.
    pub(super) tokens: Option<Arc<Tokens>>,
    /// Routes that deliveries wait for, once that was told.
    pub(super) held: Mutex<BTreeSet<RouteName>>,
}

/// A request that is ready to be sent.
struct Ready {
    headers: HeaderMap,
    body: Bytes,
    /// Where the body comes from.
    from: BodyFrom,
    /// Its hash.
    hash: Option<Digest>,
}

impl Attempter {
    /// Makes one attempt and records what came of it; gives back what that says of the target.
    pub(super) async fn attempt(
        &self,
        claimed: Claimed,
        mut phase: watch::Receiver<Phase>,
    ) -> Verdict {
        let plan = self.shared.plan.get();
        let Some(route) = plan.router.get(&claimed.delivery.route) else {
            self.hold(&claimed, phase).await;
            return Verdict::Unknown;
        };
        let clock = &self.shared.clock;
        let (started_at, started) = (clock.now(), Instant::now());
        let parts = claimed.event.parts();
        // All requests of an event belong to one trace, by whom the configuration trusts now.
        let trace = Traced::of(&plan, parts);
        let prepared = tokio::select! {
            prepared = self.prepare(&plan, route, &claimed, &trace) => prepared,
            () = reached(&mut phase, Phase::Cut) => {
                release(&self.shared, claimed.lease).await;
                return Verdict::Unknown;
            }
        };
        let mut sent = Sent {
            generation: plan.number(),
            template: payload::template(route, &claimed).map(|it| it.hash()),
            ..Sent::default()
        };
        let (outcome, cut, frozen) = match prepared {
            Err(Unsendable { reason, detail }) => {
                (Outcome::Unsendable { reason, detail }, false, None)
            }
            Ok(ready) => {
                (sent.body_from, sent.body) = (Some(ready.from), ready.hash);
                // What was made now is kept for later attempts.
                let frozen = (ready.from == BodyFrom::Rendered).then(|| ready.body.clone());
                let tokens = self.tokens.as_deref();
                let (target, client) = (&self.target, &self.client);
                let post = async {
                    // What else is ready goes first: events at the door, and other bodies to be made. What was made is sent
                    // together then, and a receiver is woken once for many requests instead of once for each.
                    tokio::task::yield_now().await;
                    client
                        .post(target, tokens, ready.headers, ready.body, &**clock)
                        .await
                };
                tokio::select! {
                    outcome = post => (outcome, false, frozen),
                    () = reached(&mut phase, Phase::Cut) => (cut_off(), true, frozen),
                }
            }
        };
        let now = clock.now();
        let (next, verdict) = if cut {
            (Next::RetryAt(now), Verdict::Unknown)
        } else {
            let policy = &self.target.retry;
            let mut rng = fastrand::Rng::new();
            let next = claimed.delivery.after(&outcome, policy, now, &mut rng);
            (next, Verdict::of(&outcome))
        };
        let attempt = Attempt {
            number: claimed.delivery.attempts.saturating_add(1),
            started_at,
            took: started.elapsed(),
            outcome,
            sent: Some(sent),
        };
        self.report(&claimed, &attempt, next, trace.context.trace());
        if plan.telemetry.is_some() && trace.context.is_sampled() {
            let span = trace.span(&self.target, &claimed, &attempt, next);
            self.shared.spans.tell(span);
        }
        let news = AttemptNews::of(&claimed.event, &claimed.delivery, &attempt, next);
        let (succeeded, took) = (news.result.is_success(), news.took);
        let live = &self.shared.live;
        live.tallies.attempt(&self.target.name, succeeded, took);
        let settlement = Settlement {
            attempt,
            next,
            frozen: frozen.filter(|_| next != Next::Done),
        };
        if self.settle(claimed.lease, settlement, phase).await {
            live.feed.tell(News::Attempt(news));
        }
        verdict
    }

    /// Lets a delivery wait until its route is in the configuration again.
    async fn hold(&self, claimed: &Claimed, phase: watch::Receiver<Phase>) {
        let (delivery, route, target) = (
            claimed.delivery.id,
            &claimed.delivery.route,
            &self.target.name,
        );
        match self.shared.store.hold(claimed.lease).await {
            Ok(Settled::Recorded) => tracing::debug!(
                %delivery, %route, target_name = %target, "a delivery waits for its route"
            ),
            Ok(Settled::Fenced) => return,
            Err(error) => {
                tracing::warn!(%delivery, %error, "a delivery whose route is gone cannot be held");
                return release(&self.shared, claimed.lease).await;
            }
        }
        if self.is_first_held(route) {
            tracing::info!(
                %route, target_name = %target,
                "deliveries wait for their route, which is not in the configuration"
            );
        }
        // The route may have come back since the plan was looked at, and all that was held then was let go on.
        if self.shared.plan.get().router.get(route).is_some() {
            let routes = BTreeSet::from([route.clone()]);
            resume(&self.shared, target, &routes, phase).await;
        }
    }

    fn is_first_held(&self, route: &RouteName) -> bool {
        let mut told = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        told.insert(route.clone())
    }

    async fn prepare(
        &self,
        plan: &Arc<Plan>,
        route: &Arc<Route>,
        claimed: &Claimed,
        trace: &Traced,
    ) -> Result<Ready, Unsendable> {
        let payload = payload::payload(&self.shared, plan, route, &self.target, claimed).await?;
        let hash = payload::hash(&payload, &claimed.event).await;
        let Payload {
            body,
            content_type,
            attributes,
            from,
        } = payload;
        let mut own = HeaderMap::with_capacity(USUAL_HEADERS);
        own.insert(CONTENT_TYPE, content_type);
        own.extend(attributes);
        let headers = self.headers(claimed, trace, own, &body)?;
        Ok(Ready {
            headers,
            body,
            from,
            hash,
        })
    }

    /// All headers of the request but a token: those of the body and ours, over them the configured ones, over them the
    /// signature's.
    fn headers(
        &self,
        claimed: &Claimed,
        trace: &Traced,
        mut headers: HeaderMap,
        body: &Bytes,
    ) -> Result<HeaderMap, Unsendable> {
        let target = &self.target;
        let parts = claimed.event.parts();
        let id = claimed.delivery.id.to_string();
        headers.insert(USER_AGENT, AGENT);
        for (name, _) in &target.headers {
            headers.remove(name);
        }
        for (name, value) in &target.headers {
            if !FRAMING.contains(name) {
                headers.append(name.clone(), value.clone());
            }
        }
        if let Some(auth) = &target.auth
            && let (Some(name), Some(value)) = (auth.header_name(), auth.header_value())
        {
            headers.insert(name, value.clone());
        }
        let hops = HeaderValue::from(parts.hops.saturating_add(1));
        headers.insert(HeaderName::from_static(HOPS_HEADER), hops);
        if let Ok(value) = HeaderValue::from_str(&id) {
            headers.insert(ID_HEADER, value);
        }
        insert_trace(&mut headers, trace);
        if let Some(mark) = &claimed.delivery.mark {
            insert_replay(&mut headers, mark);
        }
        if let Some(signer) = &target.sign {
            let url = target.called_url(body).to_string();
            let outbound = Outbound {
                id: &id,
                timestamp: self.shared.clock.now(),
                method: &Method::POST,
                url: &url,
                event_type: &parts.event_type,
                body,
            };
            let signed =
                signature::sign(&signer.scheme, &signer.keys, &outbound).map_err(|error| {
                    Unsendable {
                        reason: DeadReason::Sign,
                        detail: error.to_string(),
                    }
                })?;
            for (name, _) in &signed {
                headers.remove(name);
            }
            for (name, value) in signed {
                headers.append(name, value);
            }
        }
        Ok(headers)
    }

    fn report(&self, claimed: &Claimed, attempt: &Attempt, next: Next, trace: TraceId) {
        let delivery = &claimed.delivery;
        let (target, result) = (&self.target.name, attempt.outcome.label());
        let metrics = &self.shared.metrics;
        metrics.delivery_attempt(target.as_str(), result, attempt.took);
        match next {
            Next::Done => {
                let took = clock::between(delivery.started_at, self.shared.clock.now());
                metrics.delivered(target.as_str(), took);
            }
            Next::RetryAt(_) => {}
            Next::Bury(reason) => metrics.delivery_died(target.as_str(), reason.as_str()),
        }
        let (id, route, event) = (delivery.id, &delivery.route, delivery.event);
        let (number, took) = (attempt.number, attempt.took);
        match next {
            Next::Done => tracing::debug!(
                delivery = %id, %event, %route, target_name = %target, %trace, attempt = number, result, ?took,
                "delivered"
            ),
            Next::RetryAt(at) => tracing::info!(
                delivery = %id, %event, %route, target_name = %target, %trace, attempt = number, result, ?took,
                detail = self.detail(claimed, &attempt.outcome), retry_at = %at,
                "an attempt failed and will be made again"
            ),
            Next::Bury(reason) => tracing::warn!(
                delivery = %id, %event, %route, target_name = %target, %trace, attempt = number, result, ?took,
                detail = self.detail(claimed, &attempt.outcome), reason = reason.as_str(),
                "a delivery is dead"
            ),
        }
    }

    /// What a log line says of the outcome; nothing of what the target wrote, nor of what is not to be shown of the event.
    fn detail(&self, claimed: &Claimed, outcome: &Outcome) -> String {
        match outcome {
            Outcome::Answered { status, .. } => format!("status {status}"),
            Outcome::Failed { detail, .. } => detail.clone(),
            // A template's message may repeat what it was given.
            Outcome::Unsendable { detail, .. } => {
                let view = self.shared.plan.get().view(claimed.event.parts());
                view.echoes.blot(detail.clone())
            }
        }
    }

    /// Records the outcome, and says whether it is recorded; does not give up while the store may still take it.
    async fn settle(
        &self,
        lease: Lease,
        settlement: Settlement,
        mut phase: watch::Receiver<Phase>,
    ) -> bool {
        let (delivery, target) = (lease.delivery, &self.target.name);
        let mut pause = FIRST_PAUSE;
        loop {
            let last = *phase.borrow_and_update() == Phase::Cut;
            let error = match self.shared.store.settle(lease, settlement.clone()).await {
                Ok(Settled::Recorded) => return true,
                Ok(Settled::Fenced) => {
                    tracing::warn!(%delivery, target_name = %target, "an attempt came too late to count");
                    return false;
                }
                Err(error) => error,
            };
            let lasting = matches!(error, StoreError::NotFound | StoreError::WrongState { .. });
            if last || lasting {
                tracing::error!(
                    %delivery, target_name = %target, %error, result = settlement.attempt.outcome.label(),
                    "the outcome of an attempt cannot be recorded"
                );
                return false;
            }
            tracing::warn!(
                %delivery, target_name = %target, %error, ?pause,
                "the outcome of an attempt waits to be recorded"
            );
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = reached(&mut phase, Phase::Cut) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// Gives a claimed delivery back untried.
pub(super) async fn release(shared: &Shared, lease: Lease) {
    if let Err(error) = shared.store.release(lease).await {
        tracing::warn!(
            delivery = %lease.delivery, %error,
            "cannot release a delivery; it will be tried after the next start"
        );
    }
}

/// Lets the deliveries to a target go on that wait for one of these routes; does not give up while the store may
/// still do it, since nobody else will ask before the next reload.
pub(super) async fn resume(
    shared: &Shared,
    target: &TargetName,
    routes: &BTreeSet<RouteName>,
    mut phase: watch::Receiver<Phase>,
) {
    let mut pause = FIRST_PAUSE;
    loop {
        match shared.store.resume(target, routes).await {
            Ok(0) => return,
            Ok(deliveries) => {
                tracing::info!(
                    target_name = %target, deliveries,
                    "deliveries go on whose routes are in the configuration again"
                );
                return;
            }
            Err(error) => tracing::debug!(
                target_name = %target, %error, ?pause,
                "whether deliveries wait for their route is not known yet"
            ),
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = reached(&mut phase, Phase::Stopping) => return,
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Returns once the end has come as far as `wanted`.
pub(super) async fn reached(phase: &mut watch::Receiver<Phase>, wanted: Phase) {
    // An error means that the dispatcher itself is gone, which is further than any phase.
    let _ = phase.wait_for(|now| *now >= wanted).await;
}

fn cut_off() -> Outcome {
    Outcome::Failed {
        failure: Failure::Closed,
        detail: "cut off because the daemon stopped".to_owned(),
    }
}

/// Says by which replay a request is made, and in the place of which delivery.
fn insert_replay(headers: &mut HeaderMap, mark: &ReplayMark) {
    let values = [
        (REPLAY_HEADER, mark.job.map(|id| id.to_string())),
        (REPLAY_OF_HEADER, mark.of.map(|id| id.to_string())),
    ];
    for (name, value) in values {
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
            headers.insert(name, value);
        }
    }
}

/// Says what trace a request belongs to, whatever is configured; each request has an id of its own in it.
fn insert_trace(headers: &mut HeaderMap, trace: &Traced) {
    let parent = trace.context.parent(trace.id).to_string();
    for (name, value) in [
        (trace::PARENT_HEADER, Some(parent.as_str())),
        (trace::STATE_HEADER, trace.context.state()),
    ] {
        headers.remove(name);
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}
