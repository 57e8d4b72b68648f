//! Senders that take their events to any of the doors, and come again until they hear a yes, as vendors do.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::numbered::SECRET;
use crate::support::Message;

/// Senders at a time. Each has its key, and sends an event only when the one before is acknowledged: that is their order.
pub const KEYS: u64 = 4;

/// Numbers of one load; those of another have other keys, since nobody waits for anybody there.
pub const SPAN: u64 = 100_000;

/// How long a sender waits for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long one waits that was asked to come again, or found nobody.
const PAUSE: Duration = Duration::from_millis(50);

/// What was sent.
#[derive(Debug, Default)]
pub struct Sent {
    /// Events that were answered with 200.
    pub acknowledged: BTreeSet<u64>,
    /// Events that were given up: they may be there or not.
    pub unsure: BTreeSet<u64>,
    /// How often one was asked to come again.
    pub refused: usize,
    /// How often no answer came.
    pub unanswered: usize,
}

impl Sent {
    pub fn add(&mut self, other: Self) {
        self.acknowledged.extend(other.acknowledged);
        self.unsure.extend(other.unsure);
        self.refused += other.refused;
        self.unanswered += other.unanswered;
    }
}

/// Load on all doors, until it is stopped.
pub struct Load {
    go_on: Arc<AtomicBool>,
    senders: Vec<JoinHandle<Sent>>,
    next: u64,
}

impl Load {
    /// Numbers count from `first`, and each sender rests for so many milliseconds after an event.
    pub fn start(doors: &[u16], first: u64, rest: Range<u64>) -> Self {
        let go_on = Arc::new(AtomicBool::new(true));
        let first = first.next_multiple_of(KEYS);
        let senders = (first..first + KEYS)
            .map(|n| tokio::spawn(sender(doors.to_vec(), n, rest.clone(), Arc::clone(&go_on))));
        Self {
            senders: senders.collect(),
            go_on,
            next: first,
        }
    }

    /// Ends it; gives what was sent.
    pub async fn stop(self) -> Sent {
        self.go_on.store(false, Ordering::Relaxed);
        let mut sent = Sent::default();
        for sender in self.senders {
            sent.add(sender.await.unwrap());
        }
        assert!(!sent.acknowledged.is_empty(), "no load from {}", self.next);
        sent
    }
}

async fn sender(doors: Vec<u16>, mut n: u64, rest: Range<u64>, go_on: Arc<AtomicBool>) -> Sent {
    let mut sent = Sent::default();
    let mut rng = fastrand::Rng::new();
    while go_on.load(Ordering::Relaxed) {
        loop {
            match send(*rng.choice(&doors).unwrap(), n).await {
                Some(200) => {
                    sent.acknowledged.insert(n);
                    break;
                }
                Some(503) => sent.refused += 1,
                None => sent.unanswered += 1,
                Some(other) => panic!("event {n} is answered with {other}"),
            }
            if !go_on.load(Ordering::Relaxed) {
                sent.unsure.insert(n);
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        n += KEYS;
        tokio::time::sleep(Duration::from_millis(rng.u64(rest.clone()))).await;
    }
    sent
}

/// Sends the events with these numbers, one to each door in turn; all are taken.
pub async fn send_all(doors: &[u16], numbers: Range<u64>) -> Sent {
    let mut sent = Sent::default();
    for (n, door) in numbers.zip(doors.iter().cycle()) {
        assert_eq!(send(*door, n).await, Some(200), "event {n}");
        sent.acknowledged.insert(n);
    }
    sent
}

/// Sends the event with this number; the status of the answer, if one came.
pub async fn send(door: u16, n: u64) -> Option<u16> {
    let exchange = async {
        let mut stream = TcpStream::connect(("127.0.0.1", door)).await.ok()?;
        let mut answer = Vec::new();
        stream.write_all(&event(n)).await.ok()?;
        // A killed daemon resets the connection.
        let _ = stream.read_to_end(&mut answer).await;
        let line = std::str::from_utf8(answer.get(..12)?).ok()?;
        line.strip_prefix("HTTP/1.1 ")?.parse().ok()
    };
    tokio::time::timeout(PATIENCE, exchange).await.ok()?
}

/// The same, and how long it took.
pub async fn send_timed(door: u16, n: u64) -> (Option<u16>, Duration) {
    let start = Instant::now();
    (send(door, n).await, start.elapsed())
}

/// The key of the event with this number: that of its sender.
pub fn key(n: u64) -> u64 {
    n / SPAN * KEYS + n % KEYS
}

/// The event with this number, signed now.
fn event(n: u64) -> Vec<u8> {
    let body = format!("{{\"type\":\"t\",\"n\":{n},\"key\":{}}}", key(n));
    let at = Timestamp::now().as_second();
    let id = format!("msg_{n}");
    let webhook = standardwebhooks::Webhook::new(SECRET).unwrap();
    let signature = webhook.sign(&id, at, body.as_bytes()).unwrap();
    Message::post("/in/in", body)
        .with("webhook-id", id)
        .with("webhook-timestamp", at.to_string())
        .with("webhook-signature", signature)
        .bytes()
}
