//! The outbound story over real sockets, with a store in memory.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use http::{HeaderName, HeaderValue};
use jiff::Timestamp;
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;

use super::testing::{MemoryStore, Peer, Reply, plan, status, status_text, target, wait_until};
use super::*;
use crate::clock::{ManualClock, SystemClock};
use crate::delivery::{DeadReason, Failure, Outcome, State, StateKind};
use crate::id::DeliveryId;
use crate::plan::Target;

mod cloudevents;
mod egress;
mod fleet;
mod limits;
mod pauses;
mod sent;

const BODY: &[u8] = br#"{"a":1}"#;

fn start(store: &Arc<MemoryStore>, targets: Vec<Target>) -> (Dispatcher, Arc<Metrics>) {
    start_with(store, targets, Arc::new(SystemClock))
}

fn start_with(
    store: &Arc<MemoryStore>,
    targets: Vec<Target>,
    clock: Arc<dyn Clock>,
) -> (Dispatcher, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::new());
    let store: Arc<dyn Store> = Arc::<MemoryStore>::clone(store);
    let plan = Current::new(Arc::new(plan(targets)));
    let dispatcher = Dispatcher::start(
        plan,
        store,
        clock,
        Arc::clone(&metrics),
        Arc::default(),
        Spans::nowhere(),
    );
    (dispatcher, metrics)
}

/// What came of the first attempt of one delivery to this target.
async fn first_outcome(target: Target) -> Outcome {
    let store = MemoryStore::new();
    let (_, ids) = store.add(BODY, &[target.name.as_str()]);
    let (_dispatcher, _) = start(&store, vec![target]);
    wait_until("an attempt", || !store.attempts_of(ids[0]).is_empty()).await;
    store.attempts_of(ids[0])[0].outcome.clone()
}

async fn outcome_of(reply: Reply) -> Outcome {
    let peer = Peer::start(move |_| reply.clone()).await;
    first_outcome(target("erp", peer.address)).await
}

fn answered(outcome: &Outcome) -> (u16, Option<u64>, &str) {
    match outcome {
        Outcome::Answered {
            status,
            retry_after,
            snippet,
        } => (*status, retry_after.map(|wait| wait.as_secs()), snippet),
        other => panic!("not answered: {other:?}"),
    }
}

fn failed(outcome: &Outcome) -> Failure {
    match outcome {
        Outcome::Failed { failure, detail } => {
            assert!(!detail.is_empty());
            *failure
        }
        other => panic!("not failed: {other:?}"),
    }
}

#[tokio::test]
async fn a_delivery_is_posted_with_its_headers() {
    let peer = Peer::start(|_| status(204)).await;
    let mut erp = target("erp", peer.address);
    let custom = [
        ("x-key", "s3cret"),
        ("x-key", "second"),
        ("user-agent", "mine"),
        ("content-length", "9999"),
        ("webhook-id", "not this"),
    ];
    erp.headers = custom
        .map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        })
        .to_vec();
    let store = MemoryStore::new();
    let (_, ids) = store.add(BODY, &["erp"]);
    let (_dispatcher, metrics) = start(&store, vec![erp]);
    wait_until("the delivery", || store.count(StateKind::Delivered) == 1).await;
    let seen = peer.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].body, BODY);
    let head = &seen[0].head;
    assert!(head.starts_with("post /hooks?k=v http/1.1\r\n"), "{head}");
    let id = format!("webhook-id: {}", ids[0]);
    for line in [
        "content-type: application/json",
        "x-key: s3cret",
        "x-key: second",
        "user-agent: mine",
        "ingate-hops: 3",
        "content-length: 7",
        &id,
    ] {
        let lines = head.lines().filter(|found| *found == line).count();
        assert_eq!(lines, 1, "{line} in\n{head}");
    }
    assert!(!head.contains("not this"), "{head}");
    let line = "ingate_delivery_attempts_total{target=\"erp\",result=\"2xx\"} 1";
    assert!(metrics.encode().contains(line));
}

#[tokio::test]
async fn what_is_not_json_goes_on_under_its_own_type() {
    let peer = Peer::start(|_| status(200)).await;
    let store = MemoryStore::new();
    store.add(b"a;b\n1;2\n", &["erp"]);
    let (_dispatcher, _) = start(&store, vec![target("erp", peer.address)]);
    wait_until("the delivery", || store.count(StateKind::Delivered) == 1).await;
    let seen = peer.seen();
    assert_eq!(seen[0].body, b"a;b\n1;2\n");
    assert!(seen[0].head.contains("\r\ncontent-type: text/csv\r\n"));
    let agent = concat!("\r\nuser-agent: ingate/", env!("CARGO_PKG_VERSION"), "\r\n");
    assert!(seen[0].head.contains(agent));
}

#[tokio::test]
async fn a_frozen_body_is_sent_again_as_json() {
    let peer = Peer::start(|_| status(200)).await;
    let store = MemoryStore::new();
    let (_, ids) = store.add(b"not json", &["erp"]);
    store.freeze(ids[0], br#"{"kept":true}"#);
    let (_dispatcher, _) = start(&store, vec![target("erp", peer.address)]);
    wait_until("the delivery", || store.count(StateKind::Delivered) == 1).await;
    assert_eq!(peer.seen()[0].body, br#"{"kept":true}"#);
    assert!(
        peer.seen()[0]
            .head
            .contains("\r\ncontent-type: application/json\r\n")
    );
}

#[tokio::test]
async fn answers_are_kept_as_they_are() {
    let long = "y".repeat(2000);
    let ok = |head: &str, body: &str| {
        let length = body.len();
        Reply::Raw(format!(
            "HTTP/1.1 {head}\r\ncontent-length: {length}\r\n\r\n{body}"
        ))
    };
    let kept = "y".repeat(client::SNIPPET_BYTES);
    let rows = [
        (ok("200 OK", "fine"), (200, None, "fine")),
        (ok("500 X", &long), (500, None, kept.as_str())),
        (ok("429 X\r\nretry-after: 120", ""), (429, Some(120), "")),
        (
            ok("503 X\r\nretry-after: Sun, 06 Nov 1994 08:49:37 GMT", ""),
            (503, Some(0), ""),
        ),
        (
            // A body that breaks off does not make the head unsaid.
            Reply::RawThenClose("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf".to_owned()),
            (200, None, "half"),
        ),
    ];
    for (reply, wanted) in rows {
        let outcome = outcome_of(reply.clone()).await;
        assert_eq!(answered(&outcome), wanted, "{reply:?}");
    }
}

#[tokio::test]
async fn failures_are_told_apart() {
    let close = |text: &str| Reply::RawThenClose(text.to_owned());
    let rows = [
        (close(""), Failure::Closed),
        (close("HTTP/1.1 200 OK\r\nx-half: y"), Failure::Closed),
        (close("220 mail.example ESMTP\r\n\r\n"), Failure::Protocol),
        (close("\u{0}\u{1}\u{2} garbage \r\n\r\n"), Failure::Protocol),
        (
            close(&"HTTP/1.1 103 X\r\nx: y\r\n\r\n".repeat(20_000)),
            Failure::Protocol,
        ),
    ];
    for (reply, wanted) in rows {
        let outcome = outcome_of(reply.clone()).await;
        assert_eq!(failed(&outcome), wanted, "{reply:?} gave {outcome:?}");
    }
    let outcome = first_outcome(target("erp", closed_port().await)).await;
    assert_eq!(failed(&outcome), Failure::Connect, "{outcome:?}");

    let mut nowhere = target("erp", closed_port().await);
    nowhere.url = "http://no-such-host.invalid/".parse().unwrap();
    let outcome = first_outcome(nowhere).await;
    assert_eq!(failed(&outcome), Failure::Dns, "{outcome:?}");

    for greeting in ["220 mail.example ESMTP\r\n", ""] {
        let mut plain = target("erp", greeter(greeting).await);
        plain.url = plain
            .url
            .to_string()
            .replace("http:", "https:")
            .parse()
            .unwrap();
        let outcome = first_outcome(plain).await;
        assert_eq!(
            failed(&outcome),
            Failure::Tls,
            "{greeting:?} gave {outcome:?}"
        );
    }
}

/// The address of a server that knows no TLS: it says this and closes.
async fn greeter(greeting: &'static str) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(greeting.as_bytes()).await;
        }
    });
    address
}

/// An address at which nobody listens.
async fn closed_port() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_a_timeout() {
    let peer = Peer::start(|_| Reply::Hang).await;
    let mut erp = target("erp", peer.address);
    erp.timeout = Duration::from_millis(50);
    assert_eq!(failed(&first_outcome(erp).await), Failure::Timeout);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = Peer::start(|_| status(200)).await;
    let to = format!("http://{}/", elsewhere.address);
    for code in [301, 302, 307, 308] {
        let head = format!("HTTP/1.1 {code} X\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n");
        let peer = Peer::start(move |_| Reply::Raw(head.clone())).await;
        let store = MemoryStore::new();
        let (_, ids) = store.add(BODY, &["erp"]);
        let (_dispatcher, _) = start(&store, vec![target("erp", peer.address)]);
        wait_until("an attempt", || !store.attempts_of(ids[0]).is_empty()).await;
        assert!(
            matches!(store.state(ids[0]), State::Pending { .. }),
            "{code}"
        );
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn an_endless_answer_is_cut() {
    let length = 100_000_000;
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
    let peer = Peer::start(move |_| Reply::Endless(head.clone())).await;
    let outcome = first_outcome(target("erp", peer.address)).await;
    let kept = "x".repeat(client::SNIPPET_BYTES);
    assert_eq!(answered(&outcome), (200, None, kept.as_str()));
    assert!(
        peer.written() < length / 2,
        "{} bytes were taken",
        peer.written()
    );
}

#[tokio::test]
async fn an_answer_that_repeats_secrets_is_blotted() {
    let body = |text: &str| {
        let length = text.len();
        Reply::Raw(format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{text}"
        ))
    };
    let x = |count: usize| "x".repeat(count);
    let cut = client::SNIPPET_BYTES - 8;
    for (text, wanted) in [
        (
            "got Bearer hidden-token-1".to_owned(),
            "got Bearer ***".to_owned(),
        ),
        (
            "hidden-token-1hidden-token-1".to_owned(),
            "******".to_owned(),
        ),
        ("hidden-token".to_owned(), "hidden-token".to_owned()),
        // where the snippet ends within it
        (
            format!("{}hidden-token-1", x(cut)),
            format!("{}***", x(cut)),
        ),
    ] {
        let reply = body(&text);
        let peer = Peer::start(move |_| reply.clone()).await;
        let mut target = target("erp", peer.address);
        let mut value = HeaderValue::from_static("Bearer hidden-token-1");
        value.set_sensitive(true);
        target.headers = vec![(http::header::AUTHORIZATION, value)];
        let outcome = first_outcome(target).await;
        assert_eq!(answered(&outcome), (200, None, wanted.as_str()), "{text}");
    }
}

#[tokio::test]
async fn a_failed_attempt_is_made_again_when_it_is_due_and_gone_buries() {
    let clock = Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH));
    let store = MemoryStore::with_clock(Arc::<ManualClock>::clone(&clock));
    let peer = Peer::start(|number| status([500, 410][number.min(1)])).await;
    let (_, ids) = store.add(BODY, &["erp"]);
    let erp = target("erp", peer.address);
    let (_dispatcher, _) = start_with(&store, vec![erp], Arc::<ManualClock>::clone(&clock));
    wait_until("the first attempt", || store.attempts_of(ids[0]).len() == 1).await;
    let due = testing::later(Timestamp::UNIX_EPOCH, Duration::from_secs(2));
    assert_eq!(store.state(ids[0]), State::Pending { due });
    clock.advance(Duration::from_secs(2));
    store.change(ids[0], |_| {});
    wait_until("its death", || store.count(StateKind::Dead) == 1).await;
    let reason = DeadReason::Gone;
    assert_eq!(store.state(ids[0]), State::Dead { at: due, reason });
    let numbers: Vec<u32> = store.attempts_of(ids[0]).iter().map(|a| a.number).collect();
    assert_eq!(numbers, [1, 2]);
}

#[tokio::test]
async fn a_due_time_ends_the_wait_by_itself() {
    let store = MemoryStore::new();
    let peer = Peer::start(|_| status(200)).await;
    let (_, ids) = store.add(BODY, &["erp"]);
    let due = testing::later(Timestamp::now(), Duration::from_millis(300));
    store.change(ids[0], |delivery| delivery.state = State::Pending { due });
    let (_dispatcher, _) = start(&store, vec![target("erp", peer.address)]);
    wait_until("the delivery", || store.count(StateKind::Delivered) == 1).await;
    assert!(store.attempts_of(ids[0])[0].started_at >= due);
}

#[tokio::test]
async fn no_more_than_its_concurrency_is_under_way() {
    let most = Arc::new(AtomicUsize::new(0));
    let store = MemoryStore::new();
    let (noted, looked_at) = (Arc::clone(&most), Arc::clone(&store));
    let peer = Peer::start(move |_| {
        noted.fetch_max(looked_at.leased(), Ordering::SeqCst);
        status(200)
    })
    .await;
    for _ in 0..60 {
        store.add(BODY, &["erp"]);
    }
    let mut erp = target("erp", peer.address);
    erp.concurrency = 3;
    let (_dispatcher, _) = start(&store, vec![erp]);
    wait_until("all", || store.count(StateKind::Delivered) == 60).await;
    assert!((1..=3).contains(&most.load(Ordering::SeqCst)));
    // Connections are kept: a few serve all requests.
    assert!(
        peer.connections() <= 10,
        "{} connections",
        peer.connections()
    );
}

#[tokio::test]
async fn a_dead_target_delays_no_other() {
    let hanging = Peer::start(|_| Reply::Hang).await;
    let peer = Peer::start(|_| status(200)).await;
    let store = MemoryStore::new();
    for _ in 0..50 {
        store.add(BODY, &["dead", "erp"]);
    }
    let targets = vec![target("dead", hanging.address), target("erp", peer.address)];
    let (_dispatcher, _) = start(&store, targets);
    wait_until("the other's", || store.count(StateKind::Delivered) == 50).await;
    assert_eq!(store.count(StateKind::Pending), 50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_arrival_is_missed() {
    const EACH: usize = 200;
    let peer = Peer::start(|_| status(200)).await;
    let store = MemoryStore::new();
    let (_dispatcher, _) = start(&store, vec![target("erp", peer.address)]);
    let adding: Vec<_> = (0..4)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for number in 0..EACH {
                    store.add(BODY, &["erp"]);
                    if number % 3 == 0 {
                        // Lets the lane come to rest now and then.
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                }
            })
        })
        .collect();
    for task in adding {
        task.await.unwrap();
    }
    wait_until("all", || store.count(StateKind::Delivered) == 4 * EACH).await;
    for _ in 0..50 {
        let before = store.count(StateKind::Delivered);
        store.add(BODY, &["erp"]);
        wait_until("one more", || {
            store.count(StateKind::Delivered) == before + 1
        })
        .await;
    }
}

#[tokio::test]
async fn a_store_that_fails_is_asked_again() {
    let peer = Peer::start(|_| status(200)).await;
    let store = MemoryStore::new();
    let (_, ids) = store.add(BODY, &["erp"]);
    store.fail_next(2, 3);
    let (_dispatcher, _) = start(&store, vec![target("erp", peer.address)]);
    wait_until("the delivery", || store.count(StateKind::Delivered) == 1).await;
    assert_eq!(store.attempts_of(ids[0]).len(), 1);
    assert_eq!(peer.seen().len(), 1);
}

#[tokio::test]
async fn an_idle_lane_asks_for_nothing() {
    let peer = Peer::start(|_| status(200)).await;
    let store = MemoryStore::new();
    store.add(BODY, &["erp"]);
    let (_dispatcher, _) = start(&store, vec![target("erp", peer.address)]);
    wait_until("the delivery", || store.count(StateKind::Delivered) == 1).await;
    wait_until("rest", || store.leased() == 0).await;
    let asked = store.claims();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(store.claims() <= asked + 1);
}

#[tokio::test]
async fn drain_lets_attempts_end() {
    let gate = Arc::new(Semaphore::new(0));
    let reply = Reply::Gated(Arc::clone(&gate), status_text(200));
    let peer = Peer::start(move |_| reply.clone()).await;
    let store = MemoryStore::new();
    for _ in 0..6 {
        store.add(BODY, &["erp"]);
    }
    let (dispatcher, _) = start(&store, vec![target("erp", peer.address)]);
    wait_until("requests", || peer.seen().len() == 4).await;
    let draining = tokio::spawn(dispatcher.drain(Duration::from_secs(10)));
    tokio::task::yield_now().await;
    gate.add_permits(6);
    draining.await.unwrap();
    assert_eq!(store.leased(), 0);
    assert_eq!(store.count(StateKind::Delivered), 4);
    assert_eq!(
        store.count(StateKind::Pending),
        2,
        "nothing more was claimed"
    );
}

#[tokio::test]
async fn drain_cuts_off_what_does_not_end() {
    let peer = Peer::start(|_| Reply::Hang).await;
    let store = MemoryStore::new();
    let ids: Vec<DeliveryId> = (0..6).map(|_| store.add(BODY, &["erp"]).1[0]).collect();
    let (dispatcher, _) = start(&store, vec![target("erp", peer.address)]);
    wait_until("requests", || peer.seen().len() == 4).await;
    let started = Instant::now();
    dispatcher.drain(Duration::from_millis(20)).await;
    assert!(started.elapsed() < target("erp", peer.address).timeout);
    assert_eq!(store.leased(), 0, "everything was settled or released");
    let now = Timestamp::now();
    for (index, id) in ids.into_iter().enumerate() {
        // What was sent counts as an attempt; all are due at once after the next start.
        let attempts = usize::from(index < 4);
        assert_eq!(store.attempts_of(id).len(), attempts, "delivery {index}");
        assert!(matches!(store.state(id), State::Pending { due } if due <= now));
    }
    assert!(store.released().is_empty());
}

#[tokio::test]
async fn what_could_not_be_recorded_at_the_end_stays_pending() {
    let peer = Peer::start(|_| status(200)).await;
    let store = MemoryStore::new();
    let (_, ids) = store.add(BODY, &["erp"]);
    store.fail_next(0, usize::MAX);
    let (dispatcher, _) = start(&store, vec![target("erp", peer.address)]);
    wait_until("a request", || peer.seen().len() == 1).await;
    dispatcher.drain(Duration::from_millis(20)).await;
    assert!(matches!(store.state(ids[0]), State::Pending { .. }));
}

#[tokio::test]
async fn an_attempt_that_breaks_down_is_released_and_others_go_on() {
    let peer = Peer::start(|_| status(200)).await;
    let store = MemoryStore::new();
    let (_, broken) = store.add(BODY, &["erp"]);
    store.panic_next_settle();
    let (dispatcher, _) = start(&store, vec![target("erp", peer.address)]);
    wait_until("the breakdown", || !store.panics_next_settle()).await;
    store.add(BODY, &["erp"]);
    wait_until("the other", || store.count(StateKind::Delivered) == 1).await;
    assert_eq!(
        store.leased(),
        1,
        "it stays claimed for a while, so that it cannot spin"
    );
    dispatcher.drain(Duration::from_secs(10)).await;
    assert_eq!((store.leased(), store.released()), (0, broken));
}
