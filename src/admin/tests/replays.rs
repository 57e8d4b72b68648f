//! Deliveries and events taken up again, by themselves and by replays; what is shown of bodies and dead letters.

use super::*;
use crate::delivery::{BodyFrom, Sent};
use crate::id::{Digest, EventId, ReplayId};
use crate::store::{Receipt, Store};

impl Open {
    async fn ask(&self, path: &str, body: &Value) -> Got {
        let body = body.to_string();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}",
            body.len()
        );
        self.send(&head, &body).await
    }

    fn die(&self, id: DeliveryId, reason: DeadReason) {
        let at = self.clock.now();
        self.store.change(id, |delivery| {
            delivery.state = State::Dead { at, reason };
        });
    }

    /// Sets the clock to what ids are made by, so that what there is was there.
    fn now(&self) {
        self.clock.set(Timestamp::now());
    }

    async fn until_ended(&self, id: &str) -> Value {
        for _ in 0..2000 {
            let shown = self.get(&format!("/api/v1/replays/{id}")).await.json();
            if shown["state"] != "running" {
                return shown;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        panic!("the replay does not end");
    }
}

#[tokio::test]
async fn one_is_retried_with_its_body_or_anew_and_never_under_an_id_that_was_taken() {
    let door = open(None).await;
    let (event, ids) = door.store.add(b"{}", &["erp", "audit"]);
    door.die(ids[0], DeadReason::Exhausted);
    let path = |id: DeliveryId, mode: &str| format!("/api/v1/deliveries/{id}/retry?mode={mode}");
    let got = door.post(&path(ids[0], "rerender")).await;
    let shown = got.json();
    assert_eq!((got.status, &shown["id"]), (200, &json!(ids[0])));
    let mark = json!({"job": null, "mode": "rerender", "of": null});
    assert_eq!(shown["replay"], mark);

    let now = door.clock.now();
    let fine = Outcome::Answered {
        status: 200,
        retry_after: None,
        snippet: String::new(),
    };
    settle(&door.store, fine, Next::Done, now).await;
    let shown = door.post(&path(ids[0], "rerender")).await.json();
    assert_ne!(shown["id"], json!(ids[0]));
    assert_eq!(shown["replay"]["of"], json!(ids[0]));
    assert_eq!(shown["state"], "pending");
    assert!(matches!(door.store.state(ids[0]), State::Delivered { .. }));
    let shown = door.post(&path(ids[0], "frozen")).await.json();
    assert_eq!(
        (&shown["id"], &shown["state"]),
        (&json!(ids[0]), &json!("pending"))
    );
    assert_eq!(door.post(&path(ids[0], "reroute")).await.status, 400);

    // The whole event, to one target and to all.
    let path = format!("/api/v1/events/{event}/retry");
    let got = door.ask(&path, &json!({"target": "audit"})).await.json();
    let of = |got: &Value| -> Vec<Value> {
        let all = got["deliveries"].as_array().unwrap().iter();
        all.map(|it| it["target"].clone()).collect()
    };
    assert_eq!(of(&got), ["audit"]);
    let got = door.ask(&path, &json!({"mode": "reroute"})).await.json();
    assert_eq!(of(&got), ["erp", "audit", "off"]);
    let first = &got["deliveries"][0];
    assert_eq!(first["replay"]["mode"], "reroute");
    assert!(first["replay"]["of"].is_string());
    assert_eq!(got["deliveries"][2]["replay"]["of"], Value::Null);
    let got = door.ask(&path, &json!({"target": "gone"})).await;
    assert_eq!(got.status, 404);
    for body in [
        json!({"mode": "anew"}),
        json!({"x": 1}),
        json!({"target": "a/b"}),
    ] {
        assert_eq!(door.ask(&path, &body).await.status, 400, "{body}");
    }
    let nobody = format!("/api/v1/events/{}/retry", EventId::generate());
    assert_eq!(door.ask(&nobody, &json!({})).await.status, 404);
    let audit = door.get("/api/v1/audit").await.json();
    let actions: Vec<&Value> = audit["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["action"])
        .collect();
    assert!(actions.contains(&&json!("retry_event")), "{actions:?}");
}

#[tokio::test]
async fn a_replay_is_previewed_begun_looked_at_and_over() {
    let door = open(None).await;
    let mut dead = Vec::new();
    for n in 0..45 {
        let (_, ids) = door.store.add(b"{}", &[["erp", "audit"][n % 2]]);
        door.die(ids[0], DeadReason::Gone);
        dead.extend(ids);
    }
    door.now();
    let filter = json!({"filter": {"reason": "gone"}, "dry_run": true});
    let got = door.ask("/api/v1/replays", &filter).await;
    let shown = got.json();
    assert_eq!(got.status, 200, "{shown}");
    let by_target = json!([{"target": "audit", "count": 22}, {"target": "erp", "count": 23}]);
    assert_eq!(shown["by_target"], by_target);
    assert_eq!(
        (&shown["count"], &shown["complete"]),
        (&json!(45), &json!(true))
    );
    assert_eq!(shown["deliveries"].as_array().unwrap().len(), 20);
    assert_eq!(shown["deliveries"][0]["id"], json!(dead[44]));
    assert_eq!(shown["filter"]["states"], json!(["dead"]));
    assert_eq!(door.store.count(crate::delivery::StateKind::Dead), 45);
    let listed = door.get("/api/v1/replays").await.json();
    assert_eq!(listed, json!({"items": [], "next": null}));

    let got = door
        .ask("/api/v1/replays", &json!({"filter": {"target": "erp"}}))
        .await;
    assert_eq!(got.status, 201, "{}", got.body);
    let begun = got.json();
    let id = begun["id"].as_str().unwrap().to_owned();
    let location = format!("/api/v1/replays/{id}");
    assert_eq!(got.header("location"), Some(location.as_str()));
    let ended = door.until_ended(&id).await;
    assert_eq!(ended["state"], "done");
    for (name, count) in [
        ("total", 23),
        ("done", 23),
        ("revived", 23),
        ("created", 0),
        ("skipped", 0),
        ("failed", 0),
    ] {
        assert_eq!(ended[name], count, "{name}");
    }
    let page = door
        .get(&format!("/api/v1/deliveries?replay={id}&limit=500"))
        .await
        .json();
    assert_eq!(page["items"].as_array().unwrap().len(), 23);
    let got = door.post(&format!("{location}/cancel")).await;
    assert_eq!(
        (got.status, &got.json()["error"]["code"]),
        (409, &json!("wrong_state"))
    );

    // Events through the routes of today.
    let reroute = json!({"mode": "reroute", "filter": {"source": "wreno"}});
    let begun = door.ask("/api/v1/replays", &reroute).await.json();
    let ended = door.until_ended(begun["id"].as_str().unwrap()).await;
    assert_eq!(
        (&ended["done"], &ended["created"]),
        (&json!(45), &json!(135))
    );
    let listed = door.get("/api/v1/replays?limit=1").await.json();
    assert_eq!(listed["items"][0]["id"], begun["id"]);
    assert_eq!(listed["next"], begun["id"]);

    for (body, words) in [
        (json!({"filter": {}}), "empty"),
        (json!({"filter": {"unmatched": true}}), "unmatched"),
        (
            json!({"mode": "reroute", "filter": {"stale_template": true}}),
            "stale_template",
        ),
        (json!({"filter": {"target": "erp"}, "rate": "fast"}), "rate"),
        (json!({"filter": {"sauce": "x"}}), "sauce"),
        (json!({}), "filter"),
    ] {
        let got = door.ask("/api/v1/replays", &body).await;
        assert_eq!(got.status, 400, "{body}");
        assert!(got.body.contains(words), "{body}: {}", got.body);
    }
    let unknown = format!("/api/v1/replays/{}", ReplayId::generate());
    assert_eq!(door.get(&unknown).await.status, 404);
    assert_eq!(door.post(&format!("{unknown}/cancel")).await.status, 404);
}

#[tokio::test]
async fn as_many_replays_run_as_may_and_one_that_is_cancelled_makes_room() {
    let door = open(None).await;
    for _ in 0..12 {
        let (_, ids) = door.store.add(b"{}", &["erp"]);
        door.die(ids[0], DeadReason::Gone);
    }
    door.now();
    let slow = json!({"filter": {"target": "erp"}, "rate": "1/h"});
    let mut running = Vec::new();
    for _ in 0..4 {
        let got = door.ask("/api/v1/replays", &slow).await;
        assert_eq!(got.status, 201);
        running.push(got.json()["id"].as_str().unwrap().to_owned());
    }
    let got = door.ask("/api/v1/replays", &slow).await;
    assert_eq!(
        (got.status, &got.json()["error"]["code"]),
        (409, &json!("busy"))
    );
    let path = format!("/api/v1/replays/{}", running[0]);
    let got = door.post(&format!("{path}/cancel")).await;
    let ended = got.json();
    assert_eq!((got.status, &ended["state"]), (200, &json!("cancelled")));
    assert!(ended["finished_at"].is_string());
    assert_eq!(door.get(&path).await.json()["state"], "cancelled");
    assert_eq!(door.ask("/api/v1/replays", &slow).await.status, 201);
}

#[tokio::test]
async fn bodies_are_shown_as_they_came_and_as_they_are_sent() {
    let door = open(None).await;
    let body = br#"{"n": 1.10}"#;
    let (event, ids) = door.store.add(body, &["erp"]);
    let got = door.get(&format!("/api/v1/events/{event}/body")).await;
    assert_eq!((got.status, got.body.as_bytes()), (200, &body[..]));
    assert_eq!(got.header("content-type"), Some("application/octet-stream"));
    assert_eq!(got.header("ingate-body-redacted"), None);

    let path = format!("/api/v1/deliveries/{}/body", ids[0]);
    let shown = door.get(&path).await.json();
    assert_eq!(
        (&shown["from"], &shown["exact"]),
        (&json!("unchanged"), &Value::Null)
    );
    assert_eq!(shown["body"], "{\"n\": 1.10}");
    door.store.freeze(ids[0], br#"{"kept":true}"#);
    let shown = door.get(&path).await.json();
    assert_eq!(
        (&shown["from"], &shown["body"]),
        (&json!("frozen"), &json!("{\"kept\":true}"))
    );

    let claims = door.store.claim(&"erp".parse().unwrap(), 1).await.unwrap();
    let now = door.clock.now();
    let sent = Sent {
        generation: Some(7),
        template: None,
        body_from: Some(BodyFrom::Frozen),
        body: Some(Digest::of(br#"{"kept":true}"#)),
    };
    let settlement = Settlement {
        attempt: Attempt {
            number: 1,
            started_at: now,
            took: Duration::from_millis(5),
            outcome: Outcome::Answered {
                status: 503,
                retry_after: None,
                snippet: "busy".to_owned(),
            },
            sent: Some(sent),
        },
        next: Next::Bury(DeadReason::Exhausted),
        frozen: None,
    };
    door.store
        .settle(claims.taken[0].lease, settlement)
        .await
        .unwrap();
    assert_eq!(door.get(&path).await.json()["exact"], true);
    let got = door
        .get(&format!("/api/v1/deliveries/{}", ids[0]))
        .await
        .json();
    let attempt = &got["attempts"][0];
    assert_eq!(
        (&attempt["plan_generation"], &attempt["body_from"]),
        (&json!(7), &json!("frozen"))
    );
    let nobody = format!("/api/v1/deliveries/{}/body", DeliveryId::generate());
    assert_eq!(door.get(&nobody).await.status, 404);

    let got = door.get("/api/v1/dead?reason=exhausted").await.json();
    let group = &got["items"][0];
    assert_eq!(
        (&group["count"], &group["detail"]),
        (&json!(1), &json!("busy"))
    );
    assert_eq!(group["newest"], json!(ids[0]));
    let none = door.get("/api/v1/dead?target=audit").await.json();
    assert_eq!(none["items"], json!([]));
    assert_eq!(door.get("/api/v1/dead?state=dead").await.status, 400);
}

#[tokio::test]
async fn listings_are_filtered_by_all_that_the_document_names() {
    let door = open(None).await;
    door.number();
    let (event, ids) = door.store.add(b"{}", &["erp"]);
    door.die(ids[0], DeadReason::Render);
    let (unmatched, _) = door.store.add(b"{}", &[]);
    let receipt = Receipt {
        scheme: "hmac".to_owned(),
        secret: 1,
        skew_seconds: Some(-3),
        message_id_covered: true,
        generation: Some(7),
    };
    let admitted = crate::store::Admission {
        event: Arc::new(crate::dispatch::testing::event(b"{}", door.clock.now())),
        deliveries: Vec::new(),
        dedupe: None,
        receipt: Some(receipt),
    };
    let verified = door.store.admit(admitted).await.unwrap().event;
    let count = async |path: &str| {
        let got = door.get(path).await;
        assert_eq!(got.status, 200, "{path}: {}", got.body);
        got.json()["items"].as_array().unwrap().len()
    };
    let since = event.made_at();
    for (path, wanted) in [
        ("/api/v1/events?unmatched=true".to_owned(), 2),
        (
            "/api/v1/events?state=dead&target=erp&route=all".to_owned(),
            1,
        ),
        ("/api/v1/events?type=vendor.*&source=wreno".to_owned(), 3),
        ("/api/v1/events?message_id=msg_2".to_owned(), 0),
        (format!("/api/v1/events?until={since}"), 0),
        (
            "/api/v1/deliveries?reason=render&type=vendor.*&message_id=msg_1".to_owned(),
            1,
        ),
        ("/api/v1/deliveries?reason=gone".to_owned(), 0),
        (format!("/api/v1/deliveries?since={since}"), 1),
        (
            format!("/api/v1/deliveries?replay={}", ReplayId::generate()),
            0,
        ),
    ] {
        assert_eq!(count(&path).await, wanted, "{path}");
    }
    let shown = door.get(&format!("/api/v1/events/{verified}")).await.json();
    let wanted =
        json!({"scheme": "hmac", "secret": 1, "skew_seconds": -3, "message_id_covered": true});
    assert_eq!(
        (&shown["verified"], &shown["routing"]["same"]),
        (&wanted, &json!(true))
    );
    door.store.purge(unmatched).await.unwrap();
    for path in ["", "/body"] {
        let got = door.get(&format!("/api/v1/events/{unmatched}{path}")).await;
        assert_eq!(got.status, 410, "{path}");
    }
}
