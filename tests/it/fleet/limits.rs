//! What limits a target limits all of them together: rate, concurrency, breaker, pause.

use std::time::Duration;

use serde_json::Value;

use super::load::send_all;
use super::{Fleet, LIFE, MEMBERS, PATIENCE, SHORT_LEASE, ask, most_in_a_second, repeats, server};
use crate::numbered::get;
use crate::support::{Peer, Received, Turn, wait_within};

/// How long nothing must come to a target that is paused.
const QUIET: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rate_of_50_a_second_is_that_in_sum_also_while_one_is_killed() {
    const RATE: usize = 50;
    const CONCURRENCY: usize = 4;
    const EVENTS: usize = 400;
    let Some(server) = server() else { return };
    let database = server.database();
    let peer = Peer::start([]).await;
    let targets = [("paced", peer.url(), "rate: 50/s, concurrency: 4")];
    let mut fleet = Fleet::start(&database, SHORT_LEASE, &targets).await;
    fleet.settle().await;
    let sent = send_all(&fleet.doors(), 0..EVENTS as u64).await;
    // The one that has it now; on a slow machine much of it is through by the time that all is sent.
    let some = (peer.received().len() + 50).min(EVENTS - 50);
    let before = peer.wait_for(some).await;
    let owner = fleet.maker(before.last().unwrap());
    fleet.kill(owner);
    wait_within(PATIENCE, "everything is at the target", async || {
        tokio::time::sleep(super::LOOK).await;
        super::taken(&peer.received()).is_superset(&sent.acknowledged)
    })
    .await;
    let received = peer.received();
    let makers: std::collections::BTreeSet<&str> =
        received.iter().map(|it| it.header(LIFE)).collect();
    assert_eq!(makers.len(), 2, "before and after the kill: {makers:?}");
    let again = repeats("paced", &received, &sent);
    assert!(again.len() <= CONCURRENCY, "{}", again.len());
    let times: Vec<_> = received.iter().map(|it| it.at).collect();
    // 1.01 times the rate and one begin in a second; of those before it, those under way may arrive within it.
    let most = most_in_a_second(&times);
    println!("{most} requests in a second at most");
    assert!(
        most <= RATE * 101 / 100 + 1 + CONCURRENCY,
        "{most} in a second"
    );
    let took = times[times.len() - 1]
        .duration_since(times[0])
        .as_secs_f64();
    let least = (EVENTS - 1 - CONCURRENCY) as f64 / RATE as f64;
    assert!(took >= least - 0.1, "{EVENTS} requests within {took} s");
    fleet.begin(owner).await;
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_concurrency_is_not_exceeded_in_sum_also_when_one_hands_over() {
    const EVENTS: u64 = 60;
    let Some(server) = server() else { return };
    let database = server.database();
    let peer = Peer::start(vec![Turn::After(Duration::from_millis(150)); 1000]).await;
    let targets = [("narrow", peer.url(), "concurrency: 2")];
    let mut fleet = Fleet::start(&database, SHORT_LEASE, &targets).await;
    fleet.settle().await;
    let sent = send_all(&fleet.doors(), 0..EVENTS).await;
    for _ in 0..2 {
        let before = peer.wait_for(peer.received().len() + 4).await;
        let owner = fleet.maker(before.last().unwrap());
        fleet.terminate(owner).await;
        fleet.begin(owner).await;
    }
    fleet.until_all_is_there(&[("narrow", &peer)], &sent).await;
    let received = peer.received();
    assert_eq!(repeats("narrow", &received, &sent).len(), 0);
    let most = received.iter().map(|it| it.under_way).max().unwrap();
    assert!(most <= 2, "{most} at a time");
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_breaker_counts_for_all_and_outlives_who_opened_it() {
    let Some(server) = server() else { return };
    let database = server.database();
    let peer = Peer::start(vec![Turn::Status(503); 100_000]).await;
    let settings = "breaker: {failures: 10}, concurrency: 4";
    let mut fleet =
        Fleet::start(&database, SHORT_LEASE, &[("fragile", peer.url(), settings)]).await;
    fleet.settle().await;
    let sent = send_all(&fleet.doors(), 0..30).await;
    // Ten open it; those that were under way then, and one probe.
    let received = peer.wait_for(11).await;
    let owner = fleet.maker(received.last().unwrap());
    let first = fleet.members[owner].life.clone();
    wait_within(PATIENCE, "the target is taken to be down", async || {
        let target = target(&fleet, owner, "fragile").await;
        target["breaker"]["state"] == "open" || target["breaker"]["state"] == "half_open"
    })
    .await;
    // So that the others can know.
    tokio::time::sleep(Duration::from_secs(1)).await;
    fleet.kill(owner);
    let by_others = |received: Vec<Received>| -> Vec<Received> {
        received
            .into_iter()
            .filter(|it| it.header(LIFE) != first)
            .collect()
    };
    wait_within(PATIENCE, "others have tried twice", async || {
        tokio::time::sleep(super::LOOK).await;
        by_others(peer.received()).len() >= 2
    })
    .await;
    let tried = by_others(peer.received());
    let gap = tried[1].at.duration_since(tried[0].at).as_secs_f64();
    assert!(gap > 0.5, "they probe, one at a time: {gap} s");
    peer.tell([]);
    fleet.until_all_is_there(&[("fragile", &peer)], &sent).await;
    fleet.begin(owner).await;
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_at_one_holds_at_all_and_outlives_who_had_the_target() {
    let Some(server) = server() else { return };
    let database = server.database();
    let peer = Peer::start([]).await;
    let mut fleet = Fleet::start(
        &database,
        SHORT_LEASE,
        &[("erp", peer.url(), "concurrency: 4")],
    )
    .await;
    fleet.settle().await;
    let mut sent = send_all(&fleet.doors(), 0..9).await;
    let received = peer.wait_for(9).await;
    let owner = fleet.maker(received.last().unwrap());
    let (other, third) = ((owner + 1) % MEMBERS, (owner + 2) % MEMBERS);
    let paused = ask(fleet.site(other), "POST", "/api/v1/targets/erp/pause").await;
    assert_eq!(paused.status, 200, "{}", paused.text());
    for index in 0..MEMBERS {
        wait_within(PATIENCE, "all know of the pause", async || {
            tokio::time::sleep(super::LOOK).await;
            !target(&fleet, index, "erp").await["paused"].is_null()
        })
        .await;
    }
    sent.add(send_all(&fleet.doors(), 9..18).await);
    tokio::time::sleep(QUIET).await;
    assert_eq!(peer.received().len(), 9);
    fleet.kill(owner);
    let doors = [fleet.doors()[other], fleet.doors()[third]];
    sent.add(send_all(&doors, 18..24).await);
    // More than the lease.
    tokio::time::sleep(QUIET * 2).await;
    assert_eq!(peer.received().len(), 9);
    let resumed = ask(fleet.site(third), "POST", "/api/v1/targets/erp/resume").await;
    assert_eq!(resumed.status, 200, "{}", resumed.text());
    peer.wait_for(24).await;
    fleet.begin(owner).await;
    fleet.until_all_is_there(&[("erp", &peer)], &sent).await;
    assert_eq!(repeats("erp", &peer.received(), &sent).len(), 0);
    fleet.stop().await;
}

/// A target as one of them shows it.
async fn target(fleet: &Fleet, index: usize, name: &str) -> Value {
    get(fleet.site(index), &format!("/api/v1/targets/{name}")).await
}
