//! The task that sends spans to the collector: bounded in memory, in time and in tries.
//!
//! It asks the plan for the collector at each batch, so that a reload can begin, change and end it. While the collector does
//! not answer, a batch is tried a few times; meanwhile the queue fills, and what comes beyond it is dropped.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::response::Parts;
use http::{HeaderValue, Method, Request, StatusCode};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::otlp::{self, Identity};
use super::{Span, Spans, Told};
use crate::client::{AGENT, FetchError, Fetcher, Limits};
use crate::clock::Clock;
use crate::metrics::{Metrics, SpanFate};
use crate::plan::{Current, OtlpPlan};

/// Spans that wait at most; beyond them what comes is dropped. About 2 MiB.
const QUEUE: usize = 2048;

/// Most spans of a request: what a collector takes in one message without being asked, as the SDKs send it.
const BATCH: usize = 512;

/// How long the first span of a batch waits for others.
const GATHER: Duration = Duration::from_secs(5);

/// How often a batch is tried, if what went wrong may pass.
const TRIES: u32 = 4;

/// The first pause between tries; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause that a collector may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Within this time a collector must have answered, and so many bytes of what it says are read.
const LIMITS: Limits = Limits {
    timeout: Duration::from_secs(10),
    body_bytes: 64 * 1024,
};

/// What the end may take beyond the drain, so that spans of attempts that were cut off can go as well; no more than closing the
/// store may take meanwhile.
const LAST: Duration = Duration::from_secs(1);

/// The exporter, at work.
#[derive(Debug)]
pub struct Exporter {
    ending: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// Starts the exporter of the plan in force and of those that come later. Must be called within a tokio runtime.
#[must_use]
pub fn start(plan: Current, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> (Spans, Exporter) {
    let (sender, queue) = mpsc::channel(QUEUE);
    let (ending, ends) = watch::channel(false);
    let work = Work {
        plan,
        metrics: Arc::clone(&metrics),
        queue,
        ends,
        identity: Identity {
            instance: uuid::Uuid::now_v7().to_string(),
        },
        client: None,
        failing: false,
    };
    let told = Told {
        sender,
        clock,
        metrics,
    };
    let task = tokio::spawn(work.run());
    (Spans(Some(Arc::new(told))), Exporter { ending, task })
}

impl Exporter {
    /// Takes no more spans and sends those that wait, until `deadline` at the latest, or a second where that is over.
    pub async fn finish(mut self, deadline: std::time::Instant) {
        self.ending.send_replace(true);
        let deadline = Instant::from_std(deadline).max(Instant::now() + LAST);
        if timeout_at(deadline, &mut self.task).await.is_err() {
            self.task.abort();
            tracing::warn!("the last spans could not be sent before the end");
        }
    }
}

struct Work {
    plan: Current,
    metrics: Arc<Metrics>,
    queue: mpsc::Receiver<Span>,
    ends: watch::Receiver<bool>,
    identity: Identity,
    /// The connections to the collector, and for which one they were made.
    client: Option<(Arc<OtlpPlan>, Fetcher)>,
    /// Whether the last batch was lost, so that this is told once.
    failing: bool,
}

/// Why a batch was not taken.
struct Failed {
    why: String,
    /// Whether it may be taken later, and after what time if the collector says so.
    again: Option<Option<Duration>>,
}

impl Failed {
    fn passing(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            again: Some(None),
        }
    }
}

impl Work {
    /// Sends batches until the end is asked for and the queue is empty.
    async fn run(mut self) {
        let mut batch = Vec::new();
        while self.gather(&mut batch).await {
            let otlp = self.plan.get().telemetry.clone();
            let spans = batch.len() as u64;
            match otlp {
                Some(otlp) => self.send(&otlp, &batch).await,
                // A reload has taken the collector away.
                None => self.metrics.spans(SpanFate::Unsent, spans),
            }
            batch.clear();
        }
    }

    /// Waits for a span, and for others with it; false once no more will come.
    async fn gather(&mut self, batch: &mut Vec<Span>) -> bool {
        if !*self.ends.borrow() {
            tokio::select! {
                got = self.queue.recv_many(batch, BATCH) => if got == 0 { return false },
                () = ended(&mut self.ends) => {}
            }
        }
        let until = Instant::now() + GATHER;
        while batch.len() < BATCH {
            let room = BATCH - batch.len();
            tokio::select! {
                biased;
                () = ended(&mut self.ends) => {
                    self.queue.close();
                    self.queue.recv_many(batch, room).await;
                    break;
                }
                got = timeout_at(until, self.queue.recv_many(batch, room)) => {
                    if !matches!(got, Ok(1..)) {
                        break;
                    }
                }
            }
        }
        !batch.is_empty()
    }

    /// Sends one batch, trying again while that may help, and counts what became of it.
    async fn send(&mut self, otlp: &Arc<OtlpPlan>, batch: &[Span]) {
        let spans = batch.len() as u64;
        let body = otlp::request(&otlp.service_name, &self.identity, batch);
        match self.tries(otlp, Bytes::from(body)).await {
            Ok((rejected, why)) => {
                let rejected = rejected.min(spans);
                self.metrics.spans(SpanFate::Sent, spans - rejected);
                self.metrics.spans(SpanFate::Refused, rejected);
                if rejected > 0 {
                    tracing::debug!(rejected, why, "the collector of traces refused spans");
                }
                if std::mem::take(&mut self.failing) {
                    tracing::info!(endpoint = %otlp.endpoint, "traces are sent again");
                }
            }
            Err(Failed { why, again }) => {
                let fate = if again.is_some() {
                    SpanFate::Unsent
                } else {
                    SpanFate::Refused
                };
                self.metrics.spans(fate, spans);
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!(
                        endpoint = %otlp.endpoint, spans, why,
                        "traces cannot be sent; spans are dropped until they can"
                    );
                }
            }
        }
    }

    async fn tries(&mut self, otlp: &Arc<OtlpPlan>, body: Bytes) -> Result<(u64, String), Failed> {
        let mut pause = FIRST_PAUSE;
        let mut tried = 0;
        loop {
            let sent = self.post(otlp, body.clone()).await;
            tried += 1;
            let failed = match sent {
                Ok(rejected) => return Ok(rejected),
                Err(failed) => failed,
            };
            let Some(asked) = failed.again.filter(|_| tried < TRIES) else {
                return Err(failed);
            };
            let wait = asked.unwrap_or(pause).min(LONGEST_PAUSE);
            // Those who have lost the same collector are not to come back all at once.
            let wait = wait.mul_f64(1.0 + fastrand::f64() / 4.0);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                // At the end there is no time for another.
                () = ended(&mut self.ends) => return Err(failed),
            }
            pause *= 2;
        }
    }

    async fn post(&mut self, otlp: &Arc<OtlpPlan>, body: Bytes) -> Result<(u64, String), Failed> {
        let client = self.client(otlp);
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = otlp.endpoint.clone();
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, AGENT);
        for (name, value) in &otlp.headers {
            headers.insert(name.clone(), value.clone());
        }
        headers.insert(CONTENT_TYPE, JSON);
        match client.fetch(request, LIMITS).await {
            Ok(answer) => {
                let (head, body) = answer.into_parts();
                read(&head, &body)
            }
            // What it says beside its status is worth no failure.
            Err(FetchError::Body { head, .. }) => read(&head, &[]),
            Err(error) => Err(Failed::passing(error.to_string())),
        }
    }

    /// The connections to this collector; kept while it is the same.
    fn client(&mut self, otlp: &Arc<OtlpPlan>) -> Fetcher {
        if let Some((known, client)) = &self.client
            && known == otlp
        {
            return client.clone();
        }
        // The collector is the operator's own, so that no policy says where it may be.
        let client = Fetcher::of(&otlp.endpoint, None, None);
        self.client = Some((Arc::clone(otlp), client.clone()));
        client
    }
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What the collector says to a batch.
fn read(head: &Parts, body: &[u8]) -> Result<(u64, String), Failed> {
    let status = head.status;
    let asked = head
        .headers
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.trim().parse().ok())
        .map(Duration::from_secs);
    if status.is_success() {
        return Ok(otlp::rejected(body));
    }
    let passes = matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    );
    Err(Failed {
        why: format!("the collector answers {status}"),
        again: passes.then_some(asked),
    })
}

/// Returns once the end is asked for.
async fn ended(ends: &mut watch::Receiver<bool>) {
    // An error means that the exporter was dropped, which ends it as well.
    let _ = ends.wait_for(|ending| *ending).await;
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use tokio::time::timeout;

    use super::*;
    use crate::clock::SystemClock;
    use crate::plan::Plan;
    use crate::telemetry::Kind;
    use crate::trace::{Context, Sampling, SpanId};

    fn span() -> Span {
        Span {
            trace: Context::of(&[7; 16], &[], false).trace(),
            id: SpanId::numbered(7),
            parent: None,
            parent_is_remote: false,
            state: None,
            link: None,
            kind: Kind::Server,
            name: "POST".to_owned(),
            began: Timestamp::UNIX_EPOCH,
            took: Duration::ZERO,
            attributes: Vec::new(),
            failed: false,
        }
    }

    #[tokio::test]
    async fn what_the_queue_has_no_room_for_is_dropped_and_counted() {
        // Takes connections and answers nothing.
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}/v1/traces", listener.local_addr().unwrap());
        let plan = Plan {
            telemetry: Some(Arc::new(OtlpPlan {
                endpoint: endpoint.parse().unwrap(),
                headers: Vec::new(),
                sampling: Sampling::share(1.0),
                service_name: "ingate".to_owned(),
            })),
            ..Plan::bare()
        };
        let metrics = Arc::new(Metrics::new());
        let plan = Current::new(Arc::new(plan));
        let (spans, exporter) = start(plan, Arc::new(SystemClock), Arc::clone(&metrics));
        for _ in 0..BATCH {
            spans.tell(span());
        }
        // A whole batch is not gathered for any longer.
        let taken = timeout(GATHER, listener.accept()).await;
        assert!(taken.is_ok());
        let before = std::time::Instant::now();
        for _ in 0..QUEUE + 100 {
            spans.tell(span());
        }
        assert!(before.elapsed() < Duration::from_secs(1));
        let line = "ingate_trace_spans_total{result=\"no_room\"} 100";
        assert!(metrics.encode().contains(line), "{}", metrics.encode());
        let end = std::time::Instant::now();
        exporter.finish(end).await;
        assert!(end.elapsed() < LAST + Duration::from_secs(2));
    }
}
