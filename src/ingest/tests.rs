//! Over real sockets, against a door without sources: what is refused before a source is looked at. The
//! rest of the table of answers is in `tests/it/answers.rs`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use hyper::body::Frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::*;
use crate::clock::SystemClock;
use crate::delivery::{Attempt, Delivery};
use crate::event::Event;
use crate::id::{AuditId, DeliveryId, Digest, EventId, ReplayId, RouteName, TargetName};
use crate::plan::Generation;
use crate::store::{
    Admission, Admitted, AuditEntry, AuditNote, Claims, DeadGroup, DeliveryFilter, Depth,
    EventFilter, EventRow, Found, Health, Lease, ListedDelivery, Pause, Purged, Receipt,
    ReplayState, Revival, Settled, Settlement, Store, StoreError, Window,
};

type Events = Result<Found<EventRow, EventId>, StoreError>;
type Deliveries = Result<Found<ListedDelivery, DeliveryId>, StoreError>;

/// A store that takes nothing.
struct Closed;

fn closed<T>() -> Result<T, StoreError> {
    Err(StoreError::Unavailable("closed".to_owned()))
}

#[async_trait]
impl Store for Closed {
    async fn admit(&self, _: Admission) -> Result<Admitted, StoreError> {
        closed()
    }
    async fn claim(&self, _: &TargetName, _: usize) -> Result<Claims, StoreError> {
        closed()
    }
    fn arrivals(&self, _: &TargetName) -> Arc<Notify> {
        Arc::default()
    }
    async fn settle(&self, _: Lease, _: Settlement) -> Result<Settled, StoreError> {
        closed()
    }
    async fn release(&self, _: Lease) -> Result<Settled, StoreError> {
        closed()
    }
    async fn hold(&self, _: Lease) -> Result<Settled, StoreError> {
        closed()
    }
    async fn resume(&self, _: &TargetName, _: &BTreeSet<RouteName>) -> Result<u64, StoreError> {
        closed()
    }
    async fn revive_as(&self, _: DeliveryId, _: Revival) -> Result<Delivery, StoreError> {
        closed()
    }
    async fn add_deliveries(&self, _: EventId, _: Vec<Delivery>) -> Result<(), StoreError> {
        closed()
    }
    async fn discard(&self, _: DeliveryId) -> Result<Delivery, StoreError> {
        closed()
    }
    async fn purge(&self, _: EventId) -> Result<Purged, StoreError> {
        closed()
    }
    async fn event(&self, _: EventId) -> Result<Arc<Event>, StoreError> {
        closed()
    }
    async fn event_row(&self, _: EventId) -> Result<EventRow, StoreError> {
        closed()
    }
    async fn receipt(&self, _: EventId) -> Result<Option<Receipt>, StoreError> {
        closed()
    }
    async fn find_events(&self, _: &EventFilter, _: Window<EventId>) -> Events {
        closed()
    }
    async fn events_from(&self, _: &EventFilter, _: Window<EventId>) -> Events {
        closed()
    }
    async fn delivery(&self, _: DeliveryId) -> Result<Delivery, StoreError> {
        closed()
    }
    async fn listed(&self, _: DeliveryId) -> Result<ListedDelivery, StoreError> {
        closed()
    }
    async fn frozen(&self, _: DeliveryId) -> Result<Option<Bytes>, StoreError> {
        closed()
    }
    async fn find_deliveries(&self, _: &DeliveryFilter, _: Window<DeliveryId>) -> Deliveries {
        closed()
    }
    async fn deliveries_from(&self, _: &DeliveryFilter, _: Window<DeliveryId>) -> Deliveries {
        closed()
    }
    async fn attempts(&self, _: DeliveryId) -> Result<Vec<Attempt>, StoreError> {
        closed()
    }
    async fn depths(&self) -> Result<Vec<Depth>, StoreError> {
        closed()
    }
    async fn dead_groups(&self) -> Result<Vec<DeadGroup>, StoreError> {
        closed()
    }
    async fn audit(&self, _: AuditNote) -> Result<AuditEntry, StoreError> {
        closed()
    }
    async fn audits(&self, _: Option<AuditId>, _: usize) -> Result<Vec<AuditEntry>, StoreError> {
        closed()
    }
    async fn generation(&self, _: Digest) -> Result<Generation, StoreError> {
        closed()
    }
    async fn set_pause(
        &self,
        _: &TargetName,
        _: Option<String>,
    ) -> Result<Option<Pause>, StoreError> {
        closed()
    }
    async fn pauses(&self) -> Result<BTreeMap<TargetName, Pause>, StoreError> {
        closed()
    }
    async fn put_replay(&self, _: &ReplayState, _: bool) -> Result<(), StoreError> {
        closed()
    }
    async fn replay(&self, _: ReplayId) -> Result<ReplayState, StoreError> {
        closed()
    }
    async fn replays(&self, _: Option<ReplayId>, _: usize) -> Result<Vec<ReplayState>, StoreError> {
        closed()
    }
    fn health(&self) -> Health {
        Health::Unavailable("closed".to_owned())
    }
    async fn close(&self) {}
}

fn limits() -> Limits {
    Limits {
        in_flight_bytes: 32 << 20,
        body_bytes: 64,
        header_bytes: 8192,
        header_timeout: Duration::from_secs(10),
        body_timeout: Duration::from_secs(10),
        connections: 16,
        failures: 1_000_000,
    }
}

fn plan(limits: Limits) -> Plan {
    Plan {
        limits,
        ..Plan::bare()
    }
}

struct Door {
    addr: SocketAddr,
    stop: watch::Sender<bool>,
    served: tokio::task::JoinHandle<()>,
    metrics: Arc<Metrics>,
}

async fn door(limits: Limits) -> Door {
    let plan = Current::new(Arc::new(plan(limits)));
    let metrics = Arc::new(Metrics::new());
    let intake = Intake::new(
        Arc::new(Closed),
        Arc::new(SystemClock),
        Arc::clone(&metrics),
        Arc::default(),
    );
    let ingest = Ingest::new(plan, intake, Arc::clone(&metrics), Arc::default());
    let ingest = Arc::new(ingest);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    let served = tokio::spawn(serve(
        listener,
        ingest,
        |plan| plan.limits.connections,
        stopped,
    ));
    Door {
        addr,
        stop,
        served,
        metrics,
    }
}

/// Sends the bytes, closes the writing side, and gives back all that comes.
async fn exchange(addr: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

fn statuses(answers: &str) -> Vec<u16> {
    answers
        .split("HTTP/1.")
        .skip(1)
        .map(|answer| answer[2..5].parse().unwrap())
        .collect()
}

#[tokio::test]
async fn what_can_be_read_in_two_ways_is_refused() {
    let door = door(limits()).await;
    let long_header = format!(
        "GET /x HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
        "a".repeat(8192)
    );
    let many_headers = format!(
        "GET /x HTTP/1.1\r\nHost: a\r\n{}\r\n",
        "X: y\r\n".repeat(200)
    );
    let rows: &[(&str, &str, &[u16])] = &[
        ("sound", "GET /x HTTP/1.1\r\nHost: a\r\n\r\n", &[404]),
        ("1.0 without Host", "GET /x HTTP/1.0\r\n\r\n", &[404]),
        (
            "length and chunks",
            "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            &[400],
        ),
        (
            "chunks and length",
            "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
            &[400],
        ),
        (
            "chunks and no length",
            "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: x\r\n\r\n0\r\n\r\n",
            &[400],
        ),
        (
            "two lengths",
            "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}}",
            &[400],
        ),
        (
            "a signed length",
            "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: +2\r\n\r\n{}",
            &[400],
        ),
        (
            "lengths in a list",
            "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2, 3\r\n\r\n{}}",
            &[400],
        ),
        (
            "not chunked last",
            "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
            &[400],
        ),
        (
            "two codings",
            "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            &[400],
        ),
        (
            "identity and chunked",
            "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            &[400],
        ),
        (
            "chunks in 1.0",
            "POST /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            &[400],
        ),
        (
            "space before colon",
            "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length : 2\r\n\r\n{}",
            &[400],
        ),
        (
            "folded header",
            "GET /x HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n",
            &[400],
        ),
        (
            "folded first header",
            "GET /x HTTP/1.1\r\n Host: a\r\n\r\n",
            &[400],
        ),
        (
            "NUL",
            "GET /x HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n",
            &[400],
        ),
        (
            "bare CR",
            "GET /x HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n",
            &[400],
        ),
        ("no Host", "GET /x HTTP/1.1\r\n\r\n", &[400]),
        (
            "two Hosts",
            "GET /x HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            &[400],
        ),
        ("no HTTP", "hello\r\n\r\n", &[400]),
        (
            "HTTP/2 gets no answer",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            &[],
        ),
        ("header over the limit", &long_header, &[431]),
        ("headers over the limit", &many_headers, &[431]),
        // Both are sound, but the first is denied with its body unread, so that the second is not read.
        (
            "the rest of a denied request",
            "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}GET /x HTTP/1.1\r\nHost: a\r\n\r\n",
            &[404],
        ),
    ];
    for (name, bytes, wanted) in rows {
        let answers = exchange(door.addr, bytes.as_bytes()).await;
        assert_eq!(statuses(&answers), *wanted, "{name}: {answers}");
    }
    let text = door.metrics.encode();
    for label in ["bad_request", "not_found", "headers_too_large"] {
        let series = format!("ingate_inbound_requests_total{{source=\"\",result=\"{label}\"}}");
        assert!(text.contains(&series), "{series} is missing in\n{text}");
    }
}

#[tokio::test]
async fn the_answer_reaches_a_sender_that_writes_on() {
    let door = door(limits()).await;
    let mut stream = TcpStream::connect(door.addr).await.unwrap();
    let body = vec![b'x'; 1 << 20];
    let head = format!(
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert_eq!(statuses(&answer), [404], "{answer}");
}

#[tokio::test]
async fn a_head_that_does_not_end_is_not_waited_for() {
    let mut limits = limits();
    limits.header_timeout = Duration::from_millis(50);
    let door = door(limits).await;
    let mut stream = TcpStream::connect(door.addr).await.unwrap();
    stream.write_all(b"GET /x HTTP/1.1\r\n").await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"");
}

#[tokio::test]
async fn connections_beyond_the_limit_wait() {
    let mut limits = limits();
    limits.connections = 1;
    let door = door(limits).await;
    let addr = door.addr;
    let first = TcpStream::connect(addr).await.unwrap();
    let mut second =
        tokio::spawn(async move { exchange(addr, b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n").await });
    // The first one is idle, but it is there: no time is enough for the second one.
    let early = tokio::time::timeout(Duration::from_millis(50), &mut second).await;
    assert!(early.is_err());
    drop(first);
    assert_eq!(statuses(&second.await.unwrap()), [404]);
}

#[tokio::test]
async fn a_stop_ends_idle_connections_and_the_listener() {
    let door = door(limits()).await;
    let mut idle = TcpStream::connect(door.addr).await.unwrap();
    assert_eq!(
        statuses(&exchange(door.addr, b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n").await),
        [404]
    );
    door.stop.send(true).unwrap();
    door.served.await.unwrap();
    assert_eq!(idle.read(&mut [0; 8]).await.unwrap_or(0), 0);
    assert!(TcpStream::connect(door.addr).await.is_err());
}

/// A body of these pieces; after the last one it never ends if it `stalls`.
struct Pieces {
    pieces: VecDeque<Result<&'static str, &'static str>>,
    stalls: bool,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.pieces.pop_front() {
            Some(Ok(text)) => {
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(text.as_bytes())))))
            }
            Some(Err(error)) => Poll::Ready(Some(Err(error.into()))),
            None if self.stalls => Poll::Pending,
            None => Poll::Ready(None),
        }
    }
}

#[tokio::test]
async fn bodies_are_read_within_the_limits() {
    let mut limits = limits();
    limits.body_bytes = 5;
    for (name, pieces, stalls, wanted) in [
        ("whole", vec![Ok("ab"), Ok("cde")], false, Ok("abcde")),
        ("empty", vec![], false, Ok("")),
        (
            "over the limit",
            vec![Ok("abc"), Ok("def")],
            false,
            Err("too_large"),
        ),
        (
            "over the limit and stalling",
            vec![Ok("abcdef")],
            true,
            Err("too_large"),
        ),
        (
            "broken off",
            vec![Ok("a"), Err("gone")],
            false,
            Err("bad_request"),
        ),
        ("slow", vec![Ok("a")], true, Err("timeout")),
    ] {
        limits.body_timeout = if wanted == Err("timeout") {
            Duration::from_millis(10)
        } else {
            Duration::from_secs(10)
        };
        let pieces = Pieces {
            pieces: pieces.into(),
            stalls,
        };
        let turns = Semaphore::new(1);
        let got = read_body(pieces, &limits, &turns, &mut Budget::default().open()).await;
        let got = got.map(|(whole, _)| whole);
        let got = match &got {
            Ok(body) => Ok(std::str::from_utf8(body).unwrap()),
            Err(denial) => Err(denial.label()),
        };
        assert_eq!(got, wanted, "{name}");
    }
}

/// A body of many frames that knows how many of them are alive.
struct Frames {
    left: usize,
    alive: Arc<()>,
    most_alive: usize,
}

struct Piece(#[allow(dead_code)] Arc<()>);

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        b"x"
    }
}

impl Body for &mut Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.most_alive = self.most_alive.max(Arc::strong_count(&self.alive) - 1);
        let Some(left) = self.left.checked_sub(1) else {
            return Poll::Ready(None);
        };
        self.left = left;
        let piece = Bytes::from_owner(Piece(Arc::clone(&self.alive)));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

#[tokio::test]
async fn a_body_of_tiny_chunks_is_not_kept_in_pieces() {
    let mut frames = Frames {
        left: 1000,
        alive: Arc::new(()),
        most_alive: 0,
    };
    let mut limits = limits();
    limits.body_bytes = 1000;
    let turns = Semaphore::new(1);
    let (body, turn) = read_body(&mut frames, &limits, &turns, &mut Budget::default().open())
        .await
        .unwrap();
    assert_eq!(body, "x".repeat(1000));
    assert!(turn.is_none(), "a small one waits for nobody");
    assert!(frames.most_alive <= 1, "{} frames", frames.most_alive);
}

#[tokio::test]
async fn a_large_body_waits_for_its_turn_and_a_small_one_does_not() {
    let mut limits = limits();
    limits.body_bytes = 1 << 20;
    limits.body_timeout = Duration::from_millis(50);
    let none = Semaphore::new(0);
    let body = |bytes: usize| Full::new(Bytes::from(vec![b'x'; bytes]));
    assert!(
        read_body(
            body(SMALL_BODY_BYTES),
            &limits,
            &none,
            &mut Budget::default().open()
        )
        .await
        .is_ok()
    );
    let waited = read_body(
        body(SMALL_BODY_BYTES + 1),
        &limits,
        &none,
        &mut Budget::default().open(),
    )
    .await;
    assert!(matches!(waited, Err(Denial::Slow)));
    let one = Semaphore::new(1);
    let (_, turn) = read_body(
        body(SMALL_BODY_BYTES + 1),
        &limits,
        &one,
        &mut Budget::default().open(),
    )
    .await
    .unwrap();
    assert!(turn.is_some() && one.available_permits() == 0);
}
