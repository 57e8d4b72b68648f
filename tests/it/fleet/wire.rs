//! One of them loses its way to the database, the others do not.

use std::time::{Duration, Instant};

use super::load::{Load, SPAN, Sent, send, send_all, send_timed};
use super::{Fleet, LIFE, SHORT_LEASE, assert_ordered, repeats, server};
use crate::cut::Cut;
use crate::support::{Peer, wait_within};

/// What is done to the wire, and how it is called.
type Fault = (&'static str, fn(&Cut));

/// Targets, so that each daemon has some: the first one has none of six in 9 of 100 cases, and is cut off three times.
const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// Attempts at a time of each target: as many as may be repeated for one cut.
const CONCURRENCY: usize = 2;

/// How long the door may take to find out that the database does not answer.
const FOUND_OUT: Duration = Duration::from_secs(20);

/// How long it may take to say so from then on.
const QUICK: Duration = Duration::from_secs(2);

/// How long one is cut off: several leases.
const CUT_OFF: Duration = Duration::from_secs(6);

/// The share of a CPU beyond which a daemon that can do nothing is said to run in circles.
const BUSY: f64 = 0.4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_cut_off_is_replaced_and_comes_back() {
    let Some(server) = server() else { return };
    let database = server.database();
    let wire = Cut::start(server.addr()).await.unwrap();
    let (free, lines) = (Peer::start([]).await, Peer::start([]).await);
    let targets: Vec<_> = NAMES
        .iter()
        .enumerate()
        .map(|(index, name)| match index % 2 {
            0 => (
                *name,
                format!("http://{}/{name}", free.addr),
                "concurrency: 2",
            ),
            _ => {
                let url = format!("http://{}/{name}", lines.addr);
                (*name, url, "concurrency: 2, order_by: key")
            }
        })
        .collect();
    let ways = [database.url_at(wire.addr()), database.url(), database.url()];
    let fleet = Fleet::start_at(&ways, SHORT_LEASE, &targets).await;
    let mut sent = Sent::default();
    let mut next = 0;
    let faults: [Fault; 3] = [
        ("cut", Cut::cut),
        ("swallow", Cut::swallow),
        ("hold", Cut::hold),
    ];
    for (name, fault) in faults {
        let load = Load::start(&fleet.doors(), next, 40..160);
        next += SPAN;
        tokio::time::sleep(Duration::from_secs(2)).await;
        fault(&wire);
        assert_the_door_says_so(&fleet, name, next).await;
        next += SPAN;
        // Whatever was the first one's to deliver, others do.
        let marks = send_all(&fleet.doors()[1..], next..next + 8).await;
        next += SPAN;
        for peer in [&free, &lines] {
            let what = format!("{name}: what was taken meanwhile is at {}", peer.addr);
            wait_within(super::PATIENCE, &what, async || {
                tokio::time::sleep(super::LOOK).await;
                at_each_path(peer, &marks)
            })
            .await;
        }
        sent.add(marks);
        wire.heal();
        fleet.until_ready(0, true).await;
        sent.add(load.stop().await);
    }
    // It takes part again.
    sent.add(send_all(&fleet.doors()[..1], next..next + 8).await);
    let peers = [("free", &free), ("lines", &lines)];
    fleet.until_all_is_there(&peers, &sent).await;
    println!(
        "{} acknowledged through {} cuts",
        sent.acknowledged.len(),
        faults.len()
    );
    for (index, name) in NAMES.iter().enumerate() {
        let peer = if index % 2 == 0 { &free } else { &lines };
        let mut received = peer.received();
        received.retain(|request| request.path == format!("/{name}"));
        let again = repeats(name, &received, &sent).len();
        let own = received
            .iter()
            .filter(|it| it.header(LIFE).starts_with("m0-"));
        println!(
            "{name}: {again} delivered again, {} by who was cut off",
            own.count()
        );
        assert!(again <= faults.len() * CONCURRENCY, "{name}: {again}");
        if index % 2 == 1 {
            assert_ordered(name, &received);
        }
    }
    fleet.stop().await;
}

/// The first one's door soon says that it takes nothing, and says so quickly; its daemon does not run in circles over it.
async fn assert_the_door_says_so(fleet: &Fleet, fault: &str, first: u64) {
    let door = fleet.doors()[0];
    let start = Instant::now();
    while send(door, first).await != Some(503) {
        assert!(
            start.elapsed() < FOUND_OUT,
            "{fault}: it goes on taking events"
        );
    }
    fleet.until_ready(0, false).await;
    let (cpu, start) = (fleet.cpu(0), Instant::now());
    while start.elapsed() < CUT_OFF {
        let (status, took) = send_timed(door, first).await;
        assert_eq!(status, Some(503), "{fault}");
        assert!(took < QUICK, "{fault}: {took:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let share = (fleet.cpu(0) - cpu) / start.elapsed().as_secs_f64();
    println!("{fault}: {:.1} % of a CPU while cut off", share * 100.0);
    assert!(share < BUSY, "{fault}: {share}");
}

/// Whether each target of a peer has all of these.
fn at_each_path(peer: &Peer, sent: &Sent) -> bool {
    let received = peer.received();
    let paths: std::collections::BTreeSet<_> = received.iter().map(|it| &it.path).collect();
    paths.len() == NAMES.len() / 2
        && paths.iter().all(|path| {
            let mut here = received.clone();
            here.retain(|request| request.path == **path);
            super::taken(&here).is_superset(&sent.acknowledged)
        })
}
