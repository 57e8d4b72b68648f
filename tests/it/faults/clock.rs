//! A clock that is set a day forth or back while deliveries wait.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use ingate::clock::{Clock, SystemClock};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{PATIENCE, furnish};
use crate::numbered::{SECRET, numbers};
use crate::support::{Answer, Daemon, Message, Peer, Turn, wait_until, wait_within};

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// The machine's clock, as far beside it as it is told.
#[derive(Default)]
struct Stepping(AtomicI64);

impl Stepping {
    fn step(&self, by: SignedDuration) {
        self.0.fetch_add(by.as_secs(), Ordering::SeqCst);
    }
}

impl Clock for Stepping {
    fn now(&self) -> Timestamp {
        let beside = SignedDuration::from_secs(self.0.load(Ordering::SeqCst));
        SystemClock.now().checked_add(beside).unwrap()
    }
}

/// A daemon by such a clock.
struct Stage {
    daemon: Daemon,
    clock: Arc<Stepping>,
}

impl Stage {
    /// `retry` is the policy of the target `shaky`; `steady` is another one that gets the same.
    async fn set(
        folder: &Path,
        clock: Arc<Stepping>,
        retry: &str,
        steady: &Peer,
        shaky: &Peer,
    ) -> Self {
        furnish(folder);
        let config = format!(
            "store: {{path: ./data}}\n\
             sources:\n  in: {{preset: standard-webhooks, secrets: [{{file: secret}}]}}\n\
             targets:\n  steady: {{url: \"{}\"}}\n  shaky: {{url: \"{}\", retry: {retry}}}\n\
             routes:\n  - {{name: all, from: in, template: n.liquid, to: [steady, shaky]}}\n",
            steady.url(),
            shaky.url()
        );
        let daemon = Daemon::start_at(folder, &config, Arc::clone(&clock) as _).await;
        Self { daemon, clock }
    }

    /// The event with this number, as a sender would send it whose clock shows this time.
    fn message_at(&self, n: u64, at: Timestamp) -> Message {
        let body = format!("{{\"type\":\"t\",\"n\":{n}}}").into_bytes();
        let source = self.daemon.source("in");
        Message::signed(source, SECRET, &format!("msg_{n}"), at, "t", body)
    }

    async fn send(&self, n: u64) -> Answer {
        let message = self.message_at(n, self.clock.now());
        self.daemon.send(&message).await
    }

    async fn accepted(&self, n: u64) -> String {
        let answer = self.send(n).await;
        assert_eq!(answer.status, 200, "event {n}: {}", answer.text());
        assert_eq!(answer.json()["duplicate"], false, "event {n}");
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    /// Three events, each of which was tried at `shaky`.
    async fn three_tried(&self) -> Vec<String> {
        let mut events = Vec::new();
        for n in 1..=3 {
            events.push(self.accepted(n).await);
        }
        for event in &events {
            self.attempts(event, 1).await;
        }
        events
    }

    /// The delivery of an event to `shaky`.
    async fn delivery(&self, event: &str) -> Value {
        let shown = self
            .daemon
            .admin_get(&format!("/api/v1/events/{event}"))
            .await;
        let shown = shown.json();
        let mut deliveries = shown["deliveries"].as_array().unwrap().iter();
        let found = deliveries.find(|one| one["target"] == "shaky");
        found.unwrap().clone()
    }

    /// Waits until this many attempts are recorded.
    async fn attempts(&self, event: &str, count: u64) {
        wait_within(PATIENCE, "an attempt is recorded", async || {
            self.delivery(event).await["attempts_made"].as_u64() >= Some(count)
        })
        .await;
    }
}

/// How long this thread has been at work so far; `None` where the system does not say.
fn worked() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanos = text.split(' ').next()?.parse().ok()?;
    Some(Duration::from_nanos(nanos))
}

/// The daemon, which runs on this thread, is at rest while it has nothing to do.
async fn assert_at_rest(what: &str) {
    let window = Duration::from_millis(400);
    let before = worked();
    tokio::time::sleep(window).await;
    if let (Some(before), Some(after)) = (before, worked()) {
        let worked = after - before;
        assert!(worked < window / 4, "{what}: it has worked for {worked:?}");
    }
}

#[tokio::test]
async fn a_day_forth() {
    let folder = tempfile::tempdir().unwrap();
    let (steady, shaky) = (Peer::start([]).await, Peer::start([]).await);
    shaky.tell((0..3).map(|_| Turn::Status(500)));
    let clock = Arc::new(Stepping::default());
    let retry = "{schedule: [1h], jitter: 0}";
    let stage = Stage::set(folder.path(), Arc::clone(&clock), retry, &steady, &shaky).await;
    let events = stage.three_tried().await;
    let old = clock.now();
    clock.step(DAY);
    assert_at_rest("a day forth").await;
    // Signatures are held against the new time.
    assert_eq!(
        stage.daemon.send(&stage.message_at(9, old)).await.status,
        401
    );
    // What the sender repeats within the time of its source (48 h) is still known.
    assert_eq!(stage.send(1).await.json()["duplicate"], true);
    stage.accepted(4).await;
    // What was due in an hour is due, and is tried once.
    wait_within(PATIENCE, "all is delivered", async || {
        numbers(&shaky).len() == 4 && steady.received().len() == 4
    })
    .await;
    for event in &events {
        wait_until("it is recorded", async || {
            stage.delivery(event).await["state"] == "delivered"
        })
        .await;
        assert_eq!(stage.delivery(event).await["attempts_made"], 2);
    }
    // Two days later it is not known any more, and is an event of its own.
    clock.step(DAY * 2);
    stage.accepted(1).await;
    assert_at_rest("three days forth").await;
    wait_until("it is delivered as well", async || {
        shaky.received().len() == 8
    })
    .await;
    stage.daemon.stop().await;
}

#[tokio::test]
async fn a_day_back_and_forth_again() {
    let folder = tempfile::tempdir().unwrap();
    let (steady, shaky) = (Peer::start([]).await, Peer::start([]).await);
    shaky.tell((0..1000).map(|_| Turn::Status(500)));
    let clock = Arc::new(Stepping::default());
    let retry = "{initial: 100ms, factor: 1, max: 100ms, jitter: 0}";
    let stage = Stage::set(folder.path(), Arc::clone(&clock), retry, &steady, &shaky).await;
    let events = stage.three_tried().await;
    let ahead = clock.now();
    clock.step(-DAY);
    // What comes in is taken, delivered and tried again by the new time.
    assert_eq!(
        stage.daemon.send(&stage.message_at(9, ahead)).await.status,
        401
    );
    assert_eq!(stage.send(1).await.json()["duplicate"], true);
    let after = stage.accepted(4).await;
    stage.attempts(&after, 2).await;
    steady.wait_for(4).await;
    // Restarted with a clock that is behind all that is stored.
    stage.daemon.stop().await;
    let stage = Stage::set(folder.path(), Arc::clone(&clock), retry, &steady, &shaky).await;
    assert_eq!(stage.send(2).await.json()["duplicate"], true);
    let attempts = stage.delivery(&after).await["attempts_made"].as_u64();
    stage.attempts(&after, attempts.unwrap() + 1).await;
    for event in &events {
        assert_eq!(stage.delivery(event).await["state"], "pending");
    }
    // The clock is put right, and the target mended: nothing was lost.
    clock.step(DAY);
    shaky.tell([]);
    stage.accepted(5).await;
    wait_within(PATIENCE, "all is delivered", async || {
        numbers(&shaky).len() == 5 && numbers(&steady).len() == 5
    })
    .await;
    for event in events.iter().chain([&after]) {
        wait_until("it is recorded", async || {
            stage.delivery(event).await["state"] == "delivered"
        })
        .await;
    }
    assert_eq!(steady.received().len(), 5, "each came once");
    assert_at_rest("all done").await;
    stage.daemon.stop().await;
    let log = crate::support::log();
    assert!(!log.contains("panicked"), "{log}");
}

/// A clock that was a day ahead and is put right: what waited for its next attempt must not wait for that day.
#[tokio::test]
async fn a_day_back_holds_no_delivery_for_a_day() {
    for restart in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let (steady, shaky) = (Peer::start([]).await, Peer::start([]).await);
        shaky.tell([Turn::Status(500), Turn::Status(500)]);
        let clock = Arc::new(Stepping::default());
        let retry = "{initial: 1s, factor: 1, max: 1s, jitter: 0}";
        let mut stage = Stage::set(folder.path(), Arc::clone(&clock), retry, &steady, &shaky).await;
        let event = stage.accepted(1).await;
        stage.attempts(&event, 1).await;
        clock.step(-DAY);
        if restart {
            stage.daemon.stop().await;
            stage = Stage::set(folder.path(), Arc::clone(&clock), retry, &steady, &shaky).await;
        }
        wait_within(PATIENCE, "it is delivered", async || {
            stage.delivery(&event).await["state"] == "delivered"
        })
        .await;
        stage.daemon.stop().await;
    }
}
