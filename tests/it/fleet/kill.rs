//! kill -9 of any of them, and restarts in order, with events on their way in and out.

use std::time::Duration;

use super::load::Load;
use super::{Fleet, MEMBERS, SHORT_LEASE, assert_ordered, repeats, server};
use crate::support::{Peer, Turn};

/// How often one is killed under load.
const ROUNDS: u32 = 20;

/// In each of so many rounds, two are killed at once.
const BOTH: u32 = 5;

/// Attempts at a time of each target: as many as may be repeated after a kill.
const CONCURRENCY: usize = 4;

/// Every third attempt fails, which is too few to take the target to be down.
fn shaky() -> impl Iterator<Item = Turn> {
    (0..100_000).map(|n| Turn::Status(if n % 3 == 2 { 500 } else { 200 }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_of_any_of_three_loses_nothing_acknowledged_and_keeps_the_order() {
    let Some(server) = server() else { return };
    let database = server.database();
    let (steady, shaken) = (Peer::start([]).await, Peer::start(shaky()).await);
    let (lines, shaken_lines) = (Peer::start([]).await, Peer::start(shaky()).await);
    let free = "timeout: 5s, concurrency: 4";
    let ordered = "timeout: 5s, concurrency: 4, order_by: key";
    let targets = [
        ("steady", steady.url(), free),
        ("shaky", shaken.url(), free),
        ("lines", lines.url(), ordered),
        ("shaky-lines", shaken_lines.url(), ordered),
    ];
    let mut fleet = Fleet::start(&database, SHORT_LEASE, &targets).await;
    let mut rng = fastrand::Rng::new();
    let load = Load::start(&fleet.doors(), 0, 20..120);
    for round in 1..=ROUNDS {
        tokio::time::sleep(Duration::from_millis(rng.u64(0..800))).await;
        let mut victims = vec![rng.usize(0..MEMBERS)];
        if round % BOTH == 0 {
            victims.push((victims[0] + 1) % MEMBERS);
        }
        for victim in &victims {
            fleet.kill(*victim);
        }
        // Some are back before the others miss them.
        tokio::time::sleep(Duration::from_millis(rng.u64(0..3000))).await;
        for victim in victims {
            fleet.begin(victim).await;
        }
    }
    let sent = load.stop().await;
    for peer in [&shaken, &shaken_lines] {
        peer.tell([]);
    }
    let peers = [
        ("steady", &steady),
        ("shaky", &shaken),
        ("lines", &lines),
        ("shaky-lines", &shaken_lines),
    ];
    fleet.until_all_is_there(&peers, &sent).await;
    let (count, kills) = (sent.acknowledged.len(), fleet.killed.len());
    println!(
        "{count} acknowledged through {kills} kills; {} times no answer came",
        sent.unanswered
    );
    for (name, peer) in peers {
        let received = peer.received();
        let again = repeats(name, &received, &sent);
        println!("{name}: {} delivered again after a kill", again.len());
        assert!(
            again.len() <= kills * CONCURRENCY,
            "{name}: {}",
            again.len()
        );
        for repeat in again {
            let life = repeat.life;
            assert!(
                fleet.killed.contains(&life),
                "{name}: {life} was not killed, and not believed"
            );
        }
        if name.ends_with("lines") {
            assert_ordered(name, &received);
        }
    }
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarts_in_turn_repeat_nothing() {
    let Some(server) = server() else { return };
    let database = server.database();
    let (free, lines) = (Peer::start([]).await, Peer::start([]).await);
    let targets = [
        ("free", free.url(), "concurrency: 4"),
        ("lines", lines.url(), "concurrency: 4, order_by: key"),
    ];
    let mut fleet = Fleet::start(&database, "30s", &targets).await;
    let load = Load::start(&fleet.doors(), 0, 20..80);
    for index in [0, 1, 2, 0] {
        tokio::time::sleep(Duration::from_millis(500)).await;
        fleet.terminate(index).await;
        fleet.begin(index).await;
    }
    let sent = load.stop().await;
    let peers = [("free", &free), ("lines", &lines)];
    // Whoever stops in order hands over at once: nobody waits for a lease of half a minute.
    fleet.until_all_is_there(&peers, &sent).await;
    for (name, peer) in peers {
        let again = repeats(name, &peer.received(), &sent);
        assert_eq!(again.len(), 0, "{name}");
    }
    assert_ordered("lines", &lines.received());
    fleet.stop().await;
}
