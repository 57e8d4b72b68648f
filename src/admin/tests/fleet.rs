//! Two instances on one store: what is done through one door is seen and heeded at the other.

use super::*;
use crate::delivery::Sent;
use crate::id::{Digest, ReplayId};
use crate::pattern::Pattern;
use crate::plan::{Revive, Route, Router};
use crate::replay::Wanted;
use crate::store::{ReplayFilter, ReplayPhase, Task};
use crate::template::{NoPartials, Template};

/// Two doors on one store, whose replays are looked after.
async fn two() -> (Open, Open) {
    let first = open(None).await;
    let (store, clock) = (first.store.instance(2), Arc::clone(&first.clock));
    let second = open_over(store, clock, None).await;
    for door in [&first, &second] {
        door.clock.set(Timestamp::now());
        tokio::spawn(Arc::clone(&door.replays).run());
    }
    (first, second)
}

/// Begins a replay of so many dead letters, some a second.
async fn begin(door: &Open, dead: usize, rate: &str) -> ReplayId {
    for _ in 0..dead {
        let (_, ids) = door.store.add(b"{}", &["erp"]);
        let (at, reason) = (door.clock.now(), DeadReason::Exhausted);
        door.store.change(ids[0], |delivery| {
            delivery.state = State::Dead { at, reason };
        });
    }
    door.clock.set(Timestamp::now());
    let wanted = Wanted {
        mode: crate::delivery::ReplayMode::Frozen,
        filter: ReplayFilter {
            target: Some("erp".parse().unwrap()),
            ..ReplayFilter::default()
        },
        rate: parse_rate(rate).ok(),
    };
    door.replays.start(wanted, "somebody").await.unwrap().id
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..2000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited in vain for: {what}");
}

#[tokio::test]
async fn a_replay_is_cancelled_through_another_instance() {
    let (first, second) = two().await;
    let id = begin(&first, 3, "1/h").await;
    let path = format!("/api/v1/replays/{id}");
    let running = first.replays.running();
    assert_eq!(running.len(), 1);
    assert!(second.replays.running().is_empty());
    let shown = second.get(&path).await.json();
    assert_eq!(
        (&shown["state"], &shown["total"]),
        (&json!("running"), &json!(3))
    );
    let got = second.post(&format!("{path}/cancel")).await;
    assert_eq!(
        (got.status, &got.json()["state"]),
        (200, &json!("cancelled"))
    );
    until("it is heeded", async || first.replays.running().is_empty()).await;
    let kept = first.store.replay(id).await.unwrap();
    assert_eq!(kept.phase, ReplayPhase::Cancelled);
    assert_eq!(kept.revived, 1, "what it had done by then is told");
    assert!(!first.store.owns(&Task::Replay(id)));
    for door in [&first, &second] {
        assert_eq!(door.get(&path).await.json()["state"], "cancelled");
        assert_eq!(door.post(&format!("{path}/cancel")).await.status, 409);
    }
}

#[tokio::test]
async fn a_replay_that_has_ended_elsewhere_cannot_be_cancelled() {
    let (first, second) = two().await;
    let id = begin(&first, 2, "1000/s").await;
    until("it ends", async || first.replays.running().is_empty()).await;
    let path = format!("/api/v1/replays/{id}");
    assert_eq!(second.get(&path).await.json()["state"], "done");
    assert_eq!(second.post(&format!("{path}/cancel")).await.status, 409);
}

#[tokio::test]
async fn a_replay_whose_instance_is_gone_is_taken_up_by_another_and_goes_through_each_once() {
    let (first, second) = two().await;
    let id = begin(&first, 8, "2/s").await;
    until("it has begun", async || {
        first.replays.running().iter().any(|it| it.done > 1)
    })
    .await;
    first.store.bury();
    until("it lets go", async || first.replays.running().is_empty()).await;
    until("another has it", async || {
        second.replays.running().iter().any(|it| it.id == id)
    })
    .await;
    until("it is through", async || {
        second.replays.running().is_empty()
    })
    .await;
    let kept = second.store.replay(id).await.unwrap();
    assert_eq!(kept.phase, ReplayPhase::Done);
    assert_eq!((kept.done, kept.revived, kept.skipped), (8, 8, 0));
}

#[tokio::test]
async fn an_instance_that_stops_gives_its_replays_away() {
    let (first, second) = two().await;
    let id = begin(&first, 2, "1/h").await;
    first.replays.stop().await;
    assert!(!first.store.owns(&Task::Replay(id)));
    until("another has it", async || {
        second.replays.running().iter().any(|it| it.id == id)
    })
    .await;
    assert!(second.store.owns(&Task::Replay(id)));
}

#[tokio::test]
async fn all_instances_are_shown_with_what_they_go_by_and_have() {
    let (first, second) = two().await;
    for (door, letter) in [(&first, b'a'), (&second, b'b')] {
        let fingerprint = Digest::from_bytes([letter; 32]);
        let generation = door.store.generation(fingerprint).await.unwrap();
        door.plan.get().generation.set(generation).unwrap();
    }
    let erp = "erp".parse().unwrap();
    first.store.claim(&erp, 1).await.unwrap();
    first.store.set_down(&erp, true);
    let got = second.get("/api/v1/fleet").await.json();
    assert_eq!(
        (&got["shared"], &got["differs"]),
        (&json!(true), &json!(true))
    );
    let fingerprint = "61".repeat(32);
    let started = second.clock.now().to_string();
    assert_eq!(
        got["items"][0],
        json!({
            "id": 1, "name": "host-1", "this": false, "version": env!("CARGO_PKG_VERSION"), "started_at": started,
            "silent_seconds": 0.0, "plan": {"generation": 1, "fingerprint": fingerprint}, "differs": true,
            "targets": ["erp"], "down": ["erp"],
        })
    );
    let own = &got["items"][1];
    assert_eq!(
        (&own["this"], &own["differs"], &own["targets"]),
        (&json!(true), &json!(false), &json!([]))
    );
    let overview = second.get("/api/v1/overview").await.json();
    assert_eq!(overview["fleet"], json!({"instances": 2, "differing": 1}));
    assert_eq!(overview["targets"][1]["owner"]["name"], "host-1");

    // Whose target it is knows most of it; the other knows that it is down.
    let owner = |this: bool| json!({"id": 1, "name": "host-1", "this": this});
    let shown = second.get("/api/v1/targets/erp").await.json();
    assert_eq!(
        (&shown["owner"], &shown["breaker"]["state"]),
        (&owner(false), &json!("open"))
    );
    assert_eq!(shown["breaker"]["since"], Value::Null);
    let shown = first.get("/api/v1/targets/erp").await.json();
    assert_eq!(
        (&shown["owner"], &shown["breaker"]["state"]),
        (&owner(true), &json!("closed"))
    );
    let shown = second.get("/api/v1/targets/audit").await.json();
    assert_eq!(shown["owner"], Value::Null, "nobody has it yet");

    // Only the owner can have its breaker go on.
    let view = LaneView {
        running: 0,
        breaker: Some(BreakerView {
            state: BreakerState::Open,
            since: second.clock.now(),
            next_probe: None,
            failures_in_a_row: 1,
            last_failure: None,
        }),
        elsewhere: false,
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let reachable = listener.local_addr().unwrap();
    for (door, hurried) in [(&first, true), (&second, false)] {
        door.lanes.set(&erp, view);
        let targets = vec![target("erp", reachable)];
        door.plan.replace(Arc::new(plan(targets)));
        let probe = door.post("/api/v1/targets/erp/probe").await.json();
        assert_eq!(
            (&probe["reachable"], &probe["hurried"]),
            (&json!(true), &json!(hurried))
        );
        assert_eq!(probe["owner"], owner(hurried));
    }

    let metrics = first.get("/metrics").await.body;
    for line in [
        "ingate_instances 2",
        "ingate_instances_differing 1",
        "ingate_owned_targets 1",
    ] {
        assert!(metrics.contains(line), "{line}");
    }
    first.store.bury();
    let got = second.get("/api/v1/fleet").await.json();
    assert_eq!(
        (got["items"].as_array().unwrap().len(), &got["differs"]),
        (1, &json!(false))
    );
}

#[tokio::test]
async fn an_instance_that_has_its_store_for_itself_is_alone() {
    let door = open(None).await;
    door.number();
    let got = door.get("/api/v1/fleet").await.json();
    assert_eq!(
        (&got["shared"], &got["differs"]),
        (&json!(false), &json!(false))
    );
    let own = &got["items"][0];
    assert_eq!(
        (&own["id"], &own["this"], &own["targets"]),
        (&json!(1), &json!(true), &json!(["audit", "erp", "off"]))
    );
    assert_eq!(own["plan"], Value::Null, "its files are not known here");
    let metrics = door.get("/metrics").await.body;
    assert!(metrics.contains("ingate_owned_targets 3"));
    assert_eq!(door.get("/api/v1/fleet?x=1").await.status, 400);
}

#[tokio::test]
async fn what_died_by_an_older_template_is_taken_up_by_one_instance() {
    let (first, second) = two().await;
    for _ in 0..3 {
        let (_, ids) = first.store.add(b"{}", &["erp"]);
        let claims = first.store.claim(&"erp".parse().unwrap(), 1).await.unwrap();
        let settlement = Settlement {
            attempt: Attempt {
                number: 1,
                started_at: first.clock.now(),
                took: Duration::from_millis(1),
                outcome: Outcome::Unsendable {
                    reason: DeadReason::Render,
                    detail: String::new(),
                },
                sent: Some(Sent {
                    generation: None,
                    template: Some(Digest::of(b"an older one")),
                    body_from: None,
                    body: None,
                }),
            },
            next: Next::Bury(DeadReason::Render),
            frozen: None,
        };
        let lease = claims.taken[0].lease;
        first.store.settle(lease, settlement).await.unwrap();
        assert!(matches!(first.store.state(ids[0]), State::Dead { .. }));
    }
    for door in [&first, &second] {
        door.clock.set(Timestamp::now());
        let mut plan = plan(vec![target("erp", "127.0.0.1:9".parse().unwrap())]);
        let template = Template::compile("t.liquid", "{}", &NoPartials).unwrap();
        let route = Route {
            name: "all".parse().unwrap(),
            from: vec!["wreno".parse().unwrap()],
            pattern: Pattern::default(),
            template: Some(Arc::new(template)),
            schema: None,
            to: vec!["erp".parse().unwrap()],
            revive: Revive::Auto,
        };
        plan.router = Router::new(vec![Arc::new(route)]);
        door.plan.replace(Arc::new(plan));
    }
    until("all are taken up", async || {
        let replays = second.replays.list(None, 9).await.unwrap();
        replays.iter().any(|it| it.phase == ReplayPhase::Done)
    })
    .await;
    let nobody = || !first.store.owns(&Task::AutoRevive) && !second.store.owns(&Task::AutoRevive);
    until("both have looked", async || nobody()).await;
    let replays = second.replays.list(None, 9).await.unwrap();
    assert_eq!(replays.len(), 1, "{replays:?}");
    assert_eq!(
        (replays[0].created_by.as_str(), replays[0].revived),
        ("auto", 3)
    );
}
