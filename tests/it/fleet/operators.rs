//! What an operator sees and does at one door holds at all: who has which target, and replays.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::load::send_all;
use super::{Fleet, LOOK, MEMBERS, PATIENCE, SHORT_LEASE, Target, ask, number, server, taken};
use crate::numbered::get;
use crate::process::{Site, data, ingate};
use crate::support::{Peer, Turn, exchange, wait_within};

/// Posts JSON at the operator's door; the status and what it answers.
async fn post(site: &Site, path: &str, body: &Value) -> (u16, Value) {
    let body = body.to_string();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let door = std::net::SocketAddr::from(([127, 0, 0, 1], site.admin));
    let answers = exchange(door, request.as_bytes()).await;
    let answer = answers.into_iter().next().unwrap();
    (answer.status, answer.json())
}

/// The names in a list.
fn names(list: &Value) -> BTreeSet<&str> {
    let all = list.as_array().unwrap().iter();
    all.map(|name| name.as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_door_shows_all_instances_and_who_has_what() {
    let Some(server) = server() else { return };
    let database = server.database();
    let peer = Peer::start([]).await;
    let all = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let targets = all.map(|name| -> Target { (name, peer.url(), "concurrency: 2") });
    let mut fleet = Fleet::start(&database, SHORT_LEASE, &targets).await;
    fleet.settle().await;
    let is_shared_out = |shown: &Value| {
        let lists = shown["items"].as_array().unwrap().iter();
        let owned: Vec<&str> = lists.flat_map(|one| names(&one["targets"])).collect();
        owned.len() == all.len() && BTreeSet::from_iter(owned) == BTreeSet::from(all)
    };
    for index in 0..MEMBERS {
        let site = fleet.site(index);
        wait_within(PATIENCE, "each target has its owner", async || {
            is_shared_out(&get(site, "/api/v1/fleet").await)
        })
        .await;
        let shown = get(site, "/api/v1/fleet").await;
        assert_eq!(shown["shared"], true);
        for (other, one) in shown["items"].as_array().unwrap().iter().enumerate() {
            assert_eq!(one["name"], format!("m{other}"), "oldest first: {shown}");
            assert_eq!(one["this"], other == index);
            assert_eq!(one["version"], env!("CARGO_PKG_VERSION"));
            // Each has files of its own; those of the last have come into force last.
            assert_eq!(one["differs"], other != MEMBERS - 1, "{shown}");
        }
        let overview = get(site, "/api/v1/overview").await;
        assert_eq!(overview["fleet"], json!({"instances": 3, "differing": 2}));
        for target in overview["targets"].as_array().unwrap() {
            let owner = &target["owner"];
            let found = shown["items"].as_array().unwrap().iter();
            let mut found = found.filter(|one| one["id"] == owner["id"]);
            let targets = names(&found.next().unwrap()["targets"]);
            assert!(
                targets.contains(target["name"].as_str().unwrap()),
                "{target}"
            );
        }
    }
    let config = fleet.site(0).config();
    let told = data(&ingate(&["fleet", "-c", config.to_str().unwrap()]));
    assert!(told.contains("m0*") && told.contains("differs"), "{told}");

    fleet.kill(0);
    let site = fleet.site(1);
    wait_within(PATIENCE, "two have all", async || {
        let shown = get(site, "/api/v1/fleet").await;
        shown["items"].as_array().unwrap().len() == 2 && is_shared_out(&shown)
    })
    .await;
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_goes_on_when_its_instance_is_killed_and_is_cancelled_through_any() {
    const EVENTS: u64 = 30;
    let Some(server) = server() else { return };
    let database = server.database();
    // All die at first.
    let peer = Peer::start(vec![Turn::Status(410); EVENTS as usize]).await;
    let targets = [("erp", peer.url(), "concurrency: 4")];
    let mut fleet = Fleet::start(&database, SHORT_LEASE, &targets).await;
    fleet.settle().await;
    let sent = send_all(&fleet.doors(), 0..EVENTS).await;
    let dead = "/api/v1/deliveries?state=dead&limit=100";
    wait_within(PATIENCE, "all are dead", async || {
        tokio::time::sleep(LOOK).await;
        get(fleet.site(1), dead).await["items"]
            .as_array()
            .unwrap()
            .len()
            == EVENTS as usize
    })
    .await;

    let wanted = json!({"filter": {"target": "erp"}, "rate": "10/s"});
    let (status, begun) = post(fleet.site(0), "/api/v1/replays", &wanted).await;
    assert_eq!(status, 201, "{begun}");
    let path = format!("/api/v1/replays/{}", begun["id"].as_str().unwrap());
    wait_within(PATIENCE, "another door shows how far it is", async || {
        tokio::time::sleep(LOOK).await;
        get(fleet.site(1), &path).await["done"].as_u64() >= Some(5)
    })
    .await;
    fleet.kill(0);
    wait_within(PATIENCE, "it is through", async || {
        tokio::time::sleep(LOOK).await;
        get(fleet.site(1), &path).await["state"] != "running"
    })
    .await;
    let ended = get(fleet.site(2), &path).await;
    assert_eq!(
        (&ended["state"], &ended["done"]),
        (&json!("done"), &json!(EVENTS))
    );
    assert_eq!(ended["revived"].as_u64(), Some(EVENTS), "{ended}");
    fleet.until_all_is_there(&[("erp", &peer)], &sent).await;
    let again = peer.received().into_iter().skip(EVENTS as usize);
    let again: Vec<u64> = again.map(|request| number(&request)).collect();
    // What was under way when it was killed may come twice.
    assert!(again.len() <= EVENTS as usize + 4, "{again:?}");
    assert_eq!(taken(&peer.received()), sent.acknowledged);

    let slow = json!({"filter": {"target": "erp", "states": ["delivered"]}, "rate": "1/h"});
    let (_, begun) = post(fleet.site(1), "/api/v1/replays", &slow).await;
    let path = format!("/api/v1/replays/{}", begun["id"].as_str().unwrap());
    let cancelled = ask(fleet.site(2), "POST", &format!("{path}/cancel")).await;
    assert_eq!(cancelled.status, 200, "{}", cancelled.text());
    wait_within(PATIENCE, "it is heeded", async || {
        tokio::time::sleep(LOOK).await;
        let told = |line: &&str| line.contains("a replay has ended") && line.contains("cancelled");
        fleet.site(1).log().lines().any(|line| told(&line))
    })
    .await;
    for index in [1, 2] {
        assert_eq!(get(fleet.site(index), &path).await["state"], "cancelled");
    }
    fleet.stop().await;
}
