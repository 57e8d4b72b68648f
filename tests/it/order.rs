//! Targets that want their deliveries in order: those with one value go strictly one after another, whatever happens
//! to them, and nobody else waits for it.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::support::{Daemon, Peer, Received, Turn, wait_until};

const SECRET: &str = "a-plain-test-secret-of-40-characters-xyz";

fn config(peer: &Peer, settings: &str) -> String {
    format!(
        "limits: {{drain: 200ms}}\n\
         sources: {{s: {{preset: hmac, secrets: [{{value: {SECRET}}}]}}}}\n\
         targets: {{t: {{url: \"{}\", order_by: data.vendor, breaker: off, {settings}}}}}\n\
         routes: [{{name: all, from: s, to: t}}]\n",
        peer.url()
    )
}

/// Sends an event of a vendor (null: of none) with this number; gives the id of its delivery.
async fn send(daemon: &Daemon, vendor: &Value, n: u64) -> String {
    let body = serde_json::json!({"data": {"vendor": vendor}, "n": n}).to_string();
    let message = daemon.signed("s", SECRET, &format!("msg_{n}"), body);
    let answer = daemon.send(&message).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    let event = daemon.admin_get(&format!("/api/v1/events/{id}")).await;
    event.json()["deliveries"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// The numbers that came, by vendor, in the order in which they came.
fn came(received: &[Received]) -> BTreeMap<String, Vec<u64>> {
    let mut all: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for request in received {
        let body = request.json();
        let numbers = all.entry(body["data"]["vendor"].to_string()).or_default();
        numbers.push(body["n"].as_u64().unwrap());
    }
    all
}

async fn state(daemon: &Daemon, delivery: &str) -> String {
    let page = daemon
        .admin_get("/api/v1/deliveries?limit=500")
        .await
        .json();
    let mut items = page["items"].as_array().unwrap().iter();
    let found = items.find(|one| one["id"] == delivery).unwrap();
    found["state"].as_str().unwrap().to_owned()
}

async fn until_state(daemon: &Daemon, delivery: &str, wanted: &str) {
    wait_until(&format!("the delivery is {wanted}"), async || {
        state(daemon, delivery).await == wanted
    })
    .await;
}

async fn start(folder: &Path, peer: &Peer, settings: &str) -> Daemon {
    Daemon::start(folder, &config(peer, settings)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_value_goes_one_after_another_through_failures_and_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    // every third attempt fails, so that the order is put to the test
    let script = (0..200).map(|n| Turn::Status(if n % 3 == 2 { 500 } else { 200 }));
    let peer = Peer::start(script).await;
    let settings = "concurrency: 8, retry: {initial: 5ms, factor: 1, max: 5ms, jitter: 0}";
    let daemon = start(folder.path(), &peer, settings).await;
    let vendors = [Value::from("a"), Value::from("b"), Value::from(7)];
    for n in 0..60 {
        send(&daemon, &vendors[n % 3], n as u64).await;
    }
    daemon.stop().await;
    let daemon = start(folder.path(), &peer, settings).await;
    for n in 60..90 {
        send(&daemon, &vendors[n % 3], n as u64).await;
    }
    let done = |received: &[Received]| {
        let ok = received.iter().filter(|it| it.answered == Some(200));
        ok.count()
    };
    wait_until("all is delivered", async || done(&peer.received()) >= 90).await;
    for (vendor, numbers) in came(&peer.received()) {
        assert!(numbers.is_sorted(), "{vendor}: {numbers:?}");
        let mut once = numbers.clone();
        once.dedup();
        assert_eq!(once.len(), 30, "{vendor}: {numbers:?}");
    }
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_does_not_move_holds_up_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::start([Turn::Status(500)]).await;
    let settings = "concurrency: 2, retry: {schedule: [1h], jitter: 0}";
    let daemon = start(folder.path(), &peer, settings).await;
    let stuck = Value::from("stuck");
    let mut behind = vec![send(&daemon, &stuck, 0).await];
    peer.wait_for(1).await;
    for n in 1..120 {
        behind.push(send(&daemon, &stuck, n).await);
    }
    for n in 120..140 {
        let vendor = if n % 2 == 0 {
            Value::from(n)
        } else {
            Value::Null
        };
        send(&daemon, &vendor, n).await;
    }
    peer.wait_for(21).await;
    assert_eq!(came(&peer.received())["\"stuck\""], [0]);
    // an operator need not wait for the hour
    let path = format!("/api/v1/deliveries/{}/retry", behind[0]);
    assert_eq!(daemon.admin_post(&path).await.status, 200);
    peer.wait_for(141).await;
    let mut wanted: Vec<u64> = (0..120).collect();
    wanted.insert(0, 0);
    assert_eq!(came(&peer.received())["\"stuck\""], wanted);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_dead_hold_their_line_until_discarded_or_retried_or_are_skipped() {
    for skip in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let peer = Peer::start([Turn::Status(410), Turn::Status(410)]).await;
        let settings = if skip {
            "on_dead: skip"
        } else {
            "on_dead: hold"
        };
        let daemon = start(folder.path(), &peer, settings).await;
        let vendor = Value::from("v");
        let first = send(&daemon, &vendor, 0).await;
        until_state(&daemon, &first, "dead").await;
        let second = send(&daemon, &vendor, 1).await;
        let third = send(&daemon, &vendor, 2).await;
        if skip {
            until_state(&daemon, &second, "dead").await;
        } else {
            // one without a value is delivered, so the others had their time
            let free = send(&daemon, &Value::Null, 9).await;
            until_state(&daemon, &free, "dead").await;
            assert_eq!(state(&daemon, &second).await, "pending");
            let path = format!("/api/v1/deliveries/{first}/discard");
            let answer = daemon.admin_post(&path).await;
            assert_eq!(answer.json()["state"], "discarded", "{}", answer.text());
            until_state(&daemon, &second, "delivered").await;
        }
        until_state(&daemon, &third, "delivered").await;
        daemon.stop().await;
    }
}
