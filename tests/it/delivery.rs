//! What goes out: retries with the same bytes, dead letters and their return, fan-out, isolation.
//!
//! What comes in is signed, and what goes out verified, by the `standardwebhooks` crate.

use ingate::event::HOPS_HEADER;
use jiff::Timestamp;
use serde_json::{Value, json};
use standardwebhooks::Webhook;

use crate::support::{Daemon, Message, Peer, Received, Turn, wait_until};

/// 32 bytes in base64, behind what the vendor writes before them.
const IN_SECRET: &str = "test_aW5ib3VuZCBzZWNyZXQgb2YgdGhlIHRlc3Qgc3VpdGU=";
const IN_KEY: &str = "aW5ib3VuZCBzZWNyZXQgb2YgdGhlIHRlc3Qgc3VpdGU=";
const OUT_SECRET: &str = "whsec_b3V0Ym91bmQgc2VjcmV0IG9mIHRoZSB0ZXN0IHN1aXQ=";

/// A template with everything that could differ from one render to the next.
const TEMPLATE: &str = r#"{
  "event": "{{ event.id }}",
  "at": "{{ event.received_at }}",
  "day": "{{ 'now' | date: '%F' }}",
  "first": {% increment n %},
  "second": {% increment n %},
  "vendor": {{ payload.data.name }},
  "items": [{% for item in payload.data.items %}{{ forloop.index }}{% unless forloop.last %},{% endunless %}{% endfor %}]
}"#;

const BODY: &str =
    r#"{"type":"vendor.updated","data":{"name":"Ann \"A\" Ägir","items":["a","b","c"]}}"#;

/// One target of a stage.
struct To<'a> {
    name: &'a str,
    peer: &'a str,
    retry: &'a str,
}

/// The configuration: everything that comes in by `wreno` goes to these targets.
fn config(template: bool, targets: &[To<'_>]) -> String {
    let names: Vec<&str> = targets.iter().map(|to| to.name).collect();
    let names = names.join(", ");
    let template = if template {
        "template: body.json.liquid, "
    } else {
        ""
    };
    let targets: String = targets
        .iter()
        .map(|To { name, peer, retry }| {
            format!(
                "  {name}:\n    url: {peer}\n    retry: {retry}\n    concurrency: 2\n    \
                 sign: {{preset: standard-webhooks, secrets: [{{value: {OUT_SECRET}}}]}}\n"
            )
        })
        .collect();
    format!(
        "limits: {{drain: 100ms}}\n\
         sources:\n  wreno: {{preset: wreno, secrets: [{{value: {IN_SECRET}}}]}}\n\
         targets:\n{targets}\
         routes:\n  - {{name: all, from: wreno, {template}to: [{names}]}}\n"
    )
}

struct Stage {
    folder: tempfile::TempDir,
    config: String,
}

impl Stage {
    fn set(config: String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let stage = Self { folder, config };
        stage.write_template(TEMPLATE);
        stage
    }

    fn write_template(&self, text: &str) {
        let templates = self.folder.path().join("templates");
        std::fs::create_dir_all(&templates).unwrap();
        std::fs::write(templates.join("body.json.liquid"), text).unwrap();
    }

    async fn start(&self) -> Daemon {
        Daemon::start(self.folder.path(), &self.config).await
    }
}

/// Sends a body as the vendor would, and gives back the event's id.
async fn send(daemon: &Daemon, id: &str, body: &str) -> String {
    let now = Timestamp::now().as_second();
    let signature = Webhook::new(IN_KEY)
        .unwrap()
        .sign(id, now, body.as_bytes())
        .unwrap();
    let message = Message::post("/in/wreno", body)
        .with("content-type", "application/json")
        .with("webhook-id", id)
        .with("webhook-timestamp", now.to_string())
        .with("webhook-signature", signature);
    let answer = daemon.send(&message).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["id"].as_str().unwrap().to_owned()
}

/// The event with its deliveries and attempts, as the API shows it.
async fn shown(daemon: &Daemon, event: &str) -> Value {
    let answer = daemon.admin_get(&format!("/api/v1/events/{event}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// The delivery of an event to a target, as the API shows it.
async fn delivery(daemon: &Daemon, event: &str, target: &str) -> Value {
    let shown = shown(daemon, event).await;
    let all = shown["deliveries"].as_array().unwrap();
    let found = all.iter().find(|delivery| delivery["target"] == target);
    found
        .unwrap_or_else(|| panic!("no delivery to {target}: {shown}"))
        .clone()
}

async fn until_state(daemon: &Daemon, event: &str, target: &str, state: &str) -> Value {
    let what = format!("the delivery to {target} is {state}");
    wait_until(&what, async || {
        delivery(daemon, event, target).await["state"] == state
    })
    .await;
    delivery(daemon, event, target).await
}

/// The statuses of a delivery's attempts.
fn statuses(delivery: &Value) -> Vec<u64> {
    let attempts = delivery["attempts"].as_array().unwrap().iter();
    attempts
        .map(|attempt| attempt["outcome"]["status"].as_u64().unwrap())
        .collect()
}

/// Each of these is signed, and they are the same delivery: one id, the same bytes.
fn assert_same_delivery(received: &[Received], delivery: &Value) {
    let outbound = Webhook::new(OUT_SECRET).unwrap();
    for (number, request) in received.iter().enumerate() {
        outbound
            .verify(&request.body, &request.headers)
            .unwrap_or_else(|error| panic!("request {number}: {error}"));
        assert_eq!(
            request.header("webhook-id"),
            delivery["id"].as_str().unwrap()
        );
        assert_eq!(request.body, received[0].body, "request {number}");
        assert_eq!(request.header("content-type"), "application/json");
        assert_eq!(request.header(HOPS_HEADER), "1");
        let agent = concat!("ingate/", env!("CARGO_PKG_VERSION"));
        assert_eq!(request.header("user-agent"), agent);
    }
}

fn timestamps(received: &[Received]) -> Vec<i64> {
    received
        .iter()
        .map(|request| request.header("webhook-timestamp").parse().unwrap())
        .collect()
}

#[tokio::test]
async fn at_least_once_same_id() {
    let peer = Peer::start([Turn::Status(500), Turn::Status(503)]).await;
    let stage = Stage::set(config(
        true,
        &[To {
            name: "erp",
            peer: &peer.url(),
            // A second and more, so that each attempt has a timestamp of its own.
            retry: "{schedule: [1s, 1s], attempts: 3}",
        }],
    ));
    let daemon = stage.start().await;
    let event = send(&daemon, "msg_1", BODY).await;
    let received = peer.wait_for(3).await;
    let delivered = until_state(&daemon, &event, "erp", "delivered").await;
    assert_same_delivery(&received, &delivered);
    let times = timestamps(&received);
    assert!(
        times.is_sorted_by(|earlier, later| earlier < later),
        "{times:?}"
    );
    assert_eq!(statuses(&delivered), [500, 503, 200]);

    let shown = shown(&daemon, &event).await;
    let at = shown["received_at"].as_str().unwrap();
    let body = received[0].json();
    assert_eq!(body["event"], event);
    let same_time = body["at"].as_str().unwrap().parse::<Timestamp>().unwrap();
    assert_eq!(same_time, at.parse().unwrap());
    assert_eq!(body["day"], at[..10]);
    let rest = (
        &body["first"],
        &body["second"],
        &body["vendor"],
        &body["items"],
    );
    let items = json!([1, 2, 3]);
    assert_eq!(
        rest,
        (&json!(0), &json!(1), &json!("Ann \"A\" Ägir"), &items)
    );
    daemon.stop().await;
    assert_eq!(peer.received().len(), 3);
}

#[tokio::test]
async fn frozen_once_tried() {
    let peer = Peer::start([Turn::Status(500)]).await;
    let stage = Stage::set(config(
        true,
        &[To {
            name: "erp",
            peer: &peer.url(),
            retry: "{schedule: [1s]}",
        }],
    ));
    let daemon = stage.start().await;
    let event = send(&daemon, "msg_1", BODY).await;
    wait_until("the failure is recorded", async || {
        delivery(&daemon, &event, "erp").await["attempts_made"] == 1
    })
    .await;
    daemon.stop().await;
    stage.write_template(r#"{"other": true}"#);
    let daemon = stage.start().await;
    let received = peer.wait_for(2).await;
    let delivered = until_state(&daemon, &event, "erp", "delivered").await;
    assert_same_delivery(&received, &delivered);
    // What was not tried before takes the new template.
    send(&daemon, "msg_2", BODY).await;
    let received = peer.wait_for(3).await;
    assert_eq!(received[2].json(), json!({"other": true}));
    daemon.stop().await;
}

#[tokio::test]
async fn bytes_that_were_sent_unchanged_stay_unchanged() {
    let peer = Peer::start([Turn::Status(500)]).await;
    let url = peer.url();
    let targets = [To {
        name: "erp",
        peer: &url,
        retry: "{schedule: [1s]}",
    }];
    let mut stage = Stage::set(config(false, &targets));
    let daemon = stage.start().await;
    let event = send(&daemon, "msg_1", BODY).await;
    wait_until("the failure is recorded", async || {
        delivery(&daemon, &event, "erp").await["attempts_made"] == 1
    })
    .await;
    daemon.stop().await;
    stage.config = config(true, &targets);
    let daemon = stage.start().await;
    let received = peer.wait_for(2).await;
    let delivered = until_state(&daemon, &event, "erp", "delivered").await;
    assert_same_delivery(&received, &delivered);
    assert_eq!(received[1].body, BODY);
    daemon.stop().await;
}

#[tokio::test]
async fn gone_buries_at_once() {
    let peer = Peer::start([Turn::Status(410)]).await;
    let stage = Stage::set(config(
        true,
        &[To {
            name: "erp",
            peer: &peer.url(),
            retry: "{schedule: [10ms]}",
        }],
    ));
    let daemon = stage.start().await;
    let event = send(&daemon, "msg_1", BODY).await;
    let dead = until_state(&daemon, &event, "erp", "dead").await;
    assert_eq!(
        (&dead["reason"], statuses(&dead)),
        (&json!("gone"), vec![410])
    );
    let listed = daemon
        .admin_get("/api/v1/deliveries?state=dead&target=erp")
        .await
        .json();
    assert_eq!(listed["items"][0]["id"], dead["id"]);
    let series = "ingate_queue_depth{target=\"erp\",state=\"dead\"}";
    assert_eq!(daemon.metric(series).await, 1.0);
    daemon.stop().await;
    assert_eq!(peer.received().len(), 1);
}

#[tokio::test]
async fn a_dead_letter_is_revived_by_the_operator() {
    let peer = Peer::start([Turn::Status(500), Turn::Status(500)]).await;
    let stage = Stage::set(config(
        true,
        &[To {
            name: "erp",
            peer: &peer.url(),
            retry: "{schedule: [10ms], attempts: 2}",
        }],
    ));
    let daemon = stage.start().await;
    let event = send(&daemon, "msg_1", BODY).await;
    let dead = until_state(&daemon, &event, "erp", "dead").await;
    assert_eq!(dead["reason"], "exhausted");
    assert_eq!(statuses(&dead), [500, 500]);

    let path = format!("/api/v1/deliveries/{}/retry", dead["id"].as_str().unwrap());
    let answer = daemon.admin_post(&path).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["state"], "pending");
    let received = peer.wait_for(3).await;
    let delivered = until_state(&daemon, &event, "erp", "delivered").await;
    assert_same_delivery(&received, &delivered);
    daemon.stop().await;
}

#[tokio::test]
async fn one_of_three_targets_is_down_and_gets_it_after_a_restart() {
    let (left, right) = (Peer::start([]).await, Peer::start([]).await);
    let down = Peer::start([]).await;
    let (address, url) = (down.addr, down.url());
    down.stop().await;
    let to = |name, peer| To {
        name,
        peer,
        retry: "{schedule: [200ms]}",
    };
    let (left_url, right_url) = (left.url(), right.url());
    let targets = [
        to("left", &left_url),
        to("down", &url),
        to("right", &right_url),
    ];
    let stage = Stage::set(config(true, &targets));
    let daemon = stage.start().await;
    let event = send(&daemon, "msg_1", BODY).await;
    for (peer, name) in [(&left, "left"), (&right, "right")] {
        peer.wait_for(1).await;
        until_state(&daemon, &event, name, "delivered").await;
    }
    wait_until("the third is tried", async || {
        delivery(&daemon, &event, "down").await["attempts_made"] != 0
    })
    .await;
    let pending = delivery(&daemon, &event, "down").await;
    assert_eq!(pending["state"], "pending");
    let outcome = &pending["attempts"][0]["outcome"];
    assert_eq!(
        (&outcome["kind"], &outcome["failure"]),
        (&json!("failed"), &json!("connect"))
    );
    daemon.stop().await;

    let back = Peer::start_at(address, []).await;
    let daemon = stage.start().await;
    let third = back.wait_for(1).await;
    let delivered = until_state(&daemon, &event, "down", "delivered").await;
    assert_same_delivery(&third, &delivered);
    daemon.stop().await;
    let all = [left.received(), right.received(), back.received()].concat();
    assert_eq!(all.len(), 3, "each has it once");
    let mut ids: Vec<&str> = all
        .iter()
        .map(|request| request.header("webhook-id"))
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 3, "each delivery has an id of its own");
}

#[tokio::test]
async fn isolation() {
    const EVENTS: usize = 20;
    let dead = Peer::start(std::iter::repeat_n(Turn::Hang, 10 * EVENTS)).await;
    let alive = Peer::start([]).await;
    let (dead_url, alive_url) = (dead.url(), alive.url());
    let to = |name, peer| To {
        name,
        peer,
        retry: "wreno",
    };
    let stage = Stage::set(config(
        true,
        &[to("dead", &dead_url), to("alive", &alive_url)],
    ));
    let daemon = stage.start().await;
    for number in 0..EVENTS {
        send(&daemon, &format!("msg_{number}"), BODY).await;
    }
    alive.wait_for(EVENTS).await;
    dead.wait_for(2).await;
    // No more than its concurrency hang there.
    assert_eq!(dead.received().len(), 2);
    daemon.stop().await;
}

#[tokio::test]
async fn without_a_template_the_bytes_go_on_unchanged() {
    let peer = Peer::start([]).await;
    let stage = Stage::set(config(
        false,
        &[To {
            name: "erp",
            peer: &peer.url(),
            retry: "wreno",
        }],
    ));
    let daemon = stage.start().await;
    let bodies = [" {\"a\" : 1.0,\n\t\"a\": 1e2 }\n", "not JSON: \u{1F980}"];
    for (number, body) in bodies.into_iter().enumerate() {
        send(&daemon, &format!("msg_{number}"), body).await;
        let received = peer.wait_for(number + 1).await;
        assert_eq!(received[number].body, body);
    }
    daemon.stop().await;
}
