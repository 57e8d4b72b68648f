//! What an operator has targets do: wait, go on, be probed; and how everything stands.

use super::*;
use crate::plan::Generation;

#[tokio::test]
async fn a_target_is_paused_and_resumed_and_both_are_noted() {
    let door = open(None).await;
    let erp = "erp".parse().unwrap();
    let got = door.post("/api/v1/targets/erp/pause").await;
    assert_eq!(got.status, 200, "{}", got.body);
    let paused = &got.json()["paused"];
    assert_eq!(paused["since"], "2026-02-03T04:05:06Z");
    assert_eq!(paused["by"], "operator from 127.0.0.1");
    assert!(door.lanes.paused(&erp).is_some());
    assert!(door.store.pauses().await.unwrap().contains_key(&erp));
    door.clock.advance(Duration::from_secs(60));
    let again = door.post("/api/v1/targets/erp/pause").await.json();
    assert_eq!(
        again["paused"]["since"], "2026-02-03T04:05:06Z",
        "it is since then"
    );
    assert_eq!(
        door.get("/api/v1/targets/audit").await.json()["paused"],
        Value::Null
    );
    for _ in 0..2 {
        let got = door.post("/api/v1/targets/erp/resume").await;
        assert_eq!((got.status, &got.json()["paused"]), (200, &Value::Null));
    }
    assert!(door.lanes.paused(&erp).is_none());
    assert!(door.store.pauses().await.unwrap().is_empty());
    let audit = door.get("/api/v1/audit").await.json();
    let actions = audit["items"].as_array().unwrap().iter();
    let actions: Vec<&str> = actions.map(|row| row["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["resume", "resume", "pause", "pause"]);
    for action in ["pause", "resume", "probe"] {
        let path = format!("/api/v1/targets/gone/{action}");
        assert_eq!(door.post(&path).await.status, 404);
    }
    door.store.set_unavailable(Some("full"));
    assert_eq!(door.post("/api/v1/targets/erp/pause").await.status, 503);
    assert!(
        door.lanes.paused(&erp).is_none(),
        "what is not stored does not hold"
    );
}

#[tokio::test]
async fn a_probe_says_what_came_of_it_and_hurries_an_open_breaker() {
    let door = open(None).await;
    // Nobody listens on port 9.
    let got = door.post("/api/v1/targets/erp/probe").await.json();
    assert_eq!(
        (&got["reachable"], &got["failure"]),
        (&json!(false), &json!("connect"))
    );
    assert!(
        got["detail"]
            .as_str()
            .is_some_and(|words| !words.is_empty())
    );
    assert_eq!(got["hurried"], false);
}

#[tokio::test]
async fn how_everything_stands_is_told_at_once() {
    let door = open(None).await;
    assert_eq!(
        door.get("/api/v1/overview").await.status,
        503,
        "not before it is known which configuration this is"
    );
    let since = door.clock.now();
    let generation = Generation { number: 7, since };
    door.plan.get().generation.set(generation).unwrap();
    let (_, ids) = door.store.add(b"{}", &["erp", "erp", "gone"]);
    let (at, reason) = (door.clock.now(), DeadReason::Gone);
    door.store.change(ids[1], |delivery| {
        delivery.state = State::Dead { at, reason }
    });
    let got = door.get("/api/v1/overview").await.json();
    assert_eq!(
        got["plan"],
        json!({"generation": 7, "since": "2026-02-03T04:05:06Z"})
    );
    assert_eq!(
        (&got["pending"], &got["dead"]),
        (&json!(2), &json!(1)),
        "of targets that are gone as well"
    );
    assert_eq!(
        (&got["ready"], &got["last_reload"]),
        (&json!(true), &Value::Null)
    );
    assert_eq!(got["targets"].as_array().unwrap().len(), 3);
    assert_eq!(got["sources"][0]["name"], "wreno");
    assert_eq!(got["replays_running"], 0);
    assert_eq!(door.get("/api/v1/overview?x=1").await.status, 400);
}
