//! The database goes away, for a moment or for longer, and comes back.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::json;

use super::load::{Load, send, send_timed};
use super::{Fleet, MEMBERS, PATIENCE, ask, assert_ordered, repeats};
use crate::numbered::get;
use crate::postgres::{Halt, Server, or_skip};
use crate::support::{Peer, Turn, wait_within};

/// Attempts at a time of each target: as many as one disturbance may have repeated.
const CONCURRENCY: usize = 4;

/// What a crash of the database may take back: attempts are recorded without waiting for its disk, which they reach within three
/// times 200 ms, on a machine that has nothing else to do.
const CRASH_WINDOW: Duration = Duration::from_secs(2);

/// How long the database is away in one piece.
const AWAY: Duration = Duration::from_secs(6);

/// How long the door may take to say that it takes nothing, once it has found out. It is a matter of milliseconds, on a machine
/// that has nothing else to do.
const QUICK: Duration = Duration::from_secs(2);

/// The share of a CPU beyond which a daemon that can do nothing is said to run in circles.
const BUSY: f64 = 0.4;

/// The same for what it logs.
const LINES: usize = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_restarted_under_load_costs_nothing_acknowledged() {
    let Some(server) = or_skip(Server::start()) else {
        return;
    };
    let database = server.database();
    let (free, lines) = (Peer::start([]).await, Peer::start([]).await);
    let targets = [
        ("free", free.url(), "concurrency: 4"),
        ("lines", lines.url(), "concurrency: 4, order_by: key"),
    ];
    // Longer than a restart, so that everybody keeps what is theirs.
    let fleet = Fleet::start(&database, "20s", &targets).await;
    let load = Load::start(&fleet.doors(), 0, 10..60);
    let (mut disturbances, mut crashes) = (0, Vec::new());
    for halt in [Halt::Fast, Halt::Immediate, Halt::Fast, Halt::Immediate] {
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(400)).await;
            disturbances += usize::from(database.terminate_backends() > 0);
        }
        tokio::time::sleep(Duration::from_millis(700)).await;
        disturbances += 1;
        if halt == Halt::Immediate {
            crashes.push(Timestamp::now());
        }
        server.restart(halt).unwrap();
        for index in 0..MEMBERS {
            fleet.until_ready(index, true).await;
        }
    }
    let sent = load.stop().await;
    let peers = [("free", &free), ("lines", &lines)];
    fleet.until_all_is_there(&peers, &sent).await;
    println!(
        "{} acknowledged through {disturbances} disturbances, {} asked to come again",
        sent.acknowledged.len(),
        sent.refused
    );
    for (name, peer) in peers {
        let again = repeats(name, &peer.received(), &sent);
        let by_crash = again.iter().filter(|repeat| {
            let mut before = crashes.iter().map(|crash| crash.duration_since(repeat.at));
            before.any(|before| before.unsigned_abs() <= CRASH_WINDOW)
        });
        let (again, by_crash) = (again.len(), by_crash.count());
        println!("{name}: {again} delivered again, {by_crash} of them around a crash");
        assert!(
            again - by_crash <= disturbances * CONCURRENCY,
            "{name}: {again}"
        );
    }
    assert_ordered("lines", &lines.received());
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_database_the_door_says_so_quickly_and_nobody_runs_in_circles() {
    let Some(server) = or_skip(Server::start()) else {
        return;
    };
    let database = server.database();
    let peer = Peer::start([]).await;
    let fleet = Fleet::start(&database, "20s", &[("erp", peer.url(), "concurrency: 4")]).await;
    assert_eq!(send(fleet.doors()[0], 0).await, Some(200));
    peer.wait_for(1).await;

    // One attempt is under way, and something waits for its time.
    peer.tell([Turn::After(Duration::from_secs(3))]);
    assert_eq!(send(fleet.doors()[1], 1).await, Some(200));
    peer.wait_for(2).await;
    server.stop(Halt::Fast);
    for (index, door) in fleet.doors().into_iter().enumerate() {
        // The first may be the one to find out.
        assert_eq!(send(door, 2).await, Some(503), "m{index}");
        fleet.until_ready(index, false).await;
    }
    let before: Vec<(f64, usize)> = (0..MEMBERS)
        .map(|i| (fleet.cpu(i), fleet.logged(i)))
        .collect();
    let start = Instant::now();
    let mut n = 3;
    while start.elapsed() < AWAY {
        for door in fleet.doors() {
            let (status, took) = send_timed(door, n).await;
            assert_eq!(status, Some(503));
            assert!(took < QUICK, "{took:?}");
            n += 1;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let away = start.elapsed().as_secs_f64();
    for (index, (cpu, lines)) in before.into_iter().enumerate() {
        let share = (fleet.cpu(index) - cpu) / away;
        let lines = fleet.logged(index) - lines;
        println!(
            "m{index}: {:.1} % of a CPU and {lines} lines without the database",
            share * 100.0
        );
        assert!(share < BUSY, "m{index}: {share}");
        assert!(
            lines < LINES,
            "m{index}: {lines}\n{}",
            fleet.site(index).log()
        );
        // The other doors of it work.
        assert_eq!(ask(fleet.site(index), "GET", "/livez").await.status, 200);
        assert_eq!(ask(fleet.site(index), "GET", "/metrics").await.status, 200);
    }

    server.start_again().unwrap();
    for index in 0..MEMBERS {
        fleet.until_ready(index, true).await;
    }
    // What was under way has ended meanwhile, and is recorded rather than made again.
    wait_within(PATIENCE, "the attempt is recorded", async || {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let page = get(fleet.site(2), "/api/v1/deliveries?state=delivered").await;
        page["items"].as_array().unwrap().len() == 2
    })
    .await;
    let page = get(fleet.site(2), "/api/v1/deliveries?state=delivered").await;
    for delivery in page["items"].as_array().unwrap() {
        assert_eq!(delivery["attempts_made"], json!(1), "{delivery}");
    }
    assert_eq!(peer.received().len(), 2);
    for door in fleet.doors() {
        assert_eq!(send(door, n).await, Some(200));
        n += 1;
    }
    peer.wait_for(2 + MEMBERS).await;
    fleet.stop().await;
}
