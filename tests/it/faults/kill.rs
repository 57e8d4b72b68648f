//! kill -9 at any moment, with events on their way in and out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::{PATIENCE, assert_no_panic, nothing_is_pending, rest, rest_with, site};
use crate::care;
use crate::numbered::send;
use crate::support::{Peer, Received, Turn, wait_within};

/// How often the daemon is killed under load.
const ROUNDS: u64 = 50;

/// Most events of one life: more would only have the targets work longer at the end.
const EVENTS: u64 = 60;

/// Senders at a time.
const SENDERS: usize = 4;

/// Attempts at a time of each target.
const CONCURRENCY: u64 = 8;

/// The header that tells which life of the daemon made an attempt.
const LIFE: &str = "x-life";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_under_load_loses_nothing_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let steady = Peer::start([]).await;
    let shaky = Peer::start([]).await;
    shaky.tell((0..100_000).map(|n| Turn::Status(if n % 3 == 0 { 200 } else { 500 })));
    let fickle = Peer::start([]).await;
    let settings =
        format!("timeout: 2s, concurrency: {CONCURRENCY}, headers: {{{LIFE}: {{env: LIFE}}}}");
    let targets = [
        ("steady", steady.url()),
        ("shaky", shaky.url()),
        ("fickle", fickle.url()),
    ];
    let site = site(folder.path(), &rest_with("", &settings, &targets));
    let mut acknowledged = BTreeSet::new();
    let mut rng = fastrand::Rng::new();
    let mut next = 1;
    for life in 1..=ROUNDS {
        fickle.set_down(life % 2 == 0);
        if life % 5 == 0 {
            // One that does not get far: whatever the last one left is still to be read.
            let short = (ROUNDS + life).to_string();
            let daemon = site.spawn(&[("LIFE", &short)]);
            tokio::time::sleep(Duration::from_millis(rng.u64(0..100))).await;
            daemon.kill();
        }
        let daemon = site.start_with(&[("LIFE", &life.to_string())]).await;
        let load = Load::start(site.public, next);
        tokio::time::sleep(Duration::from_millis(rng.u64(0..200))).await;
        daemon.kill();
        acknowledged.extend(load.stop().await);
        next += EVENTS;
    }
    let count = acknowledged.len();
    assert!(count as u64 > ROUNDS, "hardly any load: {count}");
    for peer in [&steady, &shaky, &fickle] {
        peer.tell([]);
        peer.set_down(false);
    }
    let daemon = site.start_with(&[("LIFE", "0")]).await;
    let peers = [("steady", &steady), ("shaky", &shaky), ("fickle", &fickle)];
    for (name, peer) in peers {
        let what = format!("everything acknowledged is at {name}");
        wait_within(PATIENCE, &what, async || {
            numbers_taken(peer).is_superset(&acknowledged)
        })
        .await;
    }
    // Nothing is stuck: what is left ends by itself.
    nothing_is_pending(&site).await;
    assert_eq!(daemon.terminate().code(), Some(0), "{}", site.log());
    for (name, peer) in peers {
        let again = check_repeats(name, &peer.received());
        println!("{name}: {count} acknowledged, {again} delivered again after a kill");
        assert!(again <= ROUNDS * CONCURRENCY, "{name}: {again}");
    }
    // A kill is no reason to distrust the index, and nothing is damaged by it.
    let log = site.log();
    assert!(!log.contains("the index is rebuilt"), "{log}");
    assert_no_panic(&site);
    care::json(
        &["verify", "--json", "--path", site.data().to_str().unwrap()],
        0,
    )
    .await;
}

/// The numbers of the events that a target has said yes to.
fn numbers_taken(peer: &Peer) -> BTreeSet<u64> {
    let received = peer.received();
    let taken = received.iter().filter(|r| r.answered == Some(200));
    taken.map(|r| r.json()["n"].as_u64().unwrap()).collect()
}

/// Checks what came more than once: under the same id with the same bytes, and after a yes only in another life.
/// Gives how often a target was given again what it had said yes to.
fn check_repeats(name: &str, received: &[Received]) -> u64 {
    let mut ids: BTreeMap<u64, &str> = BTreeMap::new();
    let mut bodies = BTreeMap::new();
    let mut lives: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for request in received {
        let id = request.header("webhook-id");
        let n = request.json()["n"].as_u64().unwrap();
        assert_eq!(*ids.entry(n).or_insert(id), id, "{name}: event {n}");
        let body = bodies.entry(id).or_insert(&request.body);
        assert_eq!(*body, &request.body, "{name}: event {n}");
        let taken = lives.entry(id).or_default();
        let life = request.header(LIFE);
        assert!(
            !taken.contains(life),
            "{name}: event {n} came again in the life that had delivered it"
        );
        if request.answered == Some(200) {
            taken.insert(life);
        }
    }
    assert_eq!(ids.len(), lives.len(), "{name}: an id for each event");
    let again = lives.values().map(|taken| taken.len().saturating_sub(1));
    again.sum::<usize>() as u64
}

/// Senders that go on until they are told to stop, or have sent enough.
struct Load {
    go_on: Arc<AtomicBool>,
    senders: Vec<tokio::task::JoinHandle<Vec<u64>>>,
}

impl Load {
    fn start(port: u16, first: u64) -> Self {
        let go_on = Arc::new(AtomicBool::new(true));
        let next = Arc::new(AtomicU64::new(first));
        let senders = (0..SENDERS).map(|_| {
            let (go_on, next) = (Arc::clone(&go_on), Arc::clone(&next));
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                let mut rng = fastrand::Rng::new();
                while go_on.load(Ordering::Relaxed) {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= first + EVENTS {
                        break;
                    }
                    if send(port, n).await {
                        acknowledged.push(n);
                    }
                    // So that there is something on its way at whatever moment the end comes.
                    tokio::time::sleep(Duration::from_millis(rng.u64(0..15))).await;
                }
                acknowledged
            })
        });
        Self {
            senders: senders.collect(),
            go_on,
        }
    }

    /// The numbers that were acknowledged.
    async fn stop(self) -> Vec<u64> {
        self.go_on.store(false, Ordering::Relaxed);
        let mut acknowledged = Vec::new();
        for sender in self.senders {
            acknowledged.extend(sender.await.unwrap());
        }
        acknowledged
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fan_out_to_three_with_one_down_until_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (Peer::start([]).await, Peer::start([]).await);
    let c = Peer::start([]).await;
    c.set_down(true);
    let targets = [("a", a.url()), ("b", b.url()), ("c", c.url())];
    let site = site(folder.path(), &rest("", &targets));
    let daemon = site.start().await;
    assert!(send(site.public, 1).await);
    a.wait_for(1).await;
    b.wait_for(1).await;
    assert_eq!(daemon.terminate().code(), Some(0), "{}", site.log());
    c.set_down(false);
    let daemon = site.start().await;
    let received = c.wait_for(1).await;
    assert_eq!(received[0].json()["n"], 1);
    nothing_is_pending(&site).await;
    assert_eq!(daemon.terminate().code(), Some(0), "{}", site.log());
    assert_eq!(
        (a.received().len(), b.received().len(), c.received().len()),
        (1, 1, 1)
    );
}
