//! The promises of the README, each held by the test that bears its name.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::faults::fsync;
use crate::support::{Answer, Daemon, Peer, Turn, wait_until};

const SECRET: &str = "whsec_cHJvbWlzZS10ZXN0LXNlY3JldC0wMDAwMDAx";

/// A configuration with one signed source `in`; `targets` are name and URL, `routes` lines of YAML.
fn config(store: &str, extra: &str, targets: &[(&str, String)], routes: &str) -> String {
    let targets: String = targets
        .iter()
        .map(|(name, url)| {
            format!("  {name}: {{url: \"{url}\", timeout: 2s, retry: {{schedule: [50ms, 50ms, 50ms, 1h], jitter: 0}}}}\n")
        })
        .collect();
    format!(
        "store: {store}\ntemplates: ./templates\n{extra}\
         sources:\n  in: {{preset: standard-webhooks, secrets: [{{file: secret}}]}}\n\
         targets:\n{targets}routes:\n{routes}"
    )
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("templates")).unwrap();
    std::fs::write(folder.path().join("secret"), SECRET).unwrap();
    folder
}

fn template(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join("templates").join(name), text).unwrap();
}

async fn send(daemon: &Daemon, id: &str, body: impl Into<Vec<u8>>) -> Answer {
    daemon.send(&daemon.signed("in", SECRET, id, body)).await
}

/// The event with its deliveries, as the operator sees it.
async fn event(daemon: &Daemon, answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    daemon
        .admin_get(&format!("/api/v1/events/{id}"))
        .await
        .json()
}

/// The state and reason of the event's only delivery, once it is not pending any more.
async fn end(daemon: &Daemon, answer: &Answer) -> (String, Value) {
    let state = async || {
        let delivery = event(daemon, answer).await["deliveries"][0].clone();
        (
            delivery["state"].as_str().unwrap().to_owned(),
            delivery["reason"].clone(),
        )
    };
    wait_until("the delivery has ended", async || {
        state().await.0 != "pending"
    })
    .await;
    state().await
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// At the moment of the answer `fdatasync` has returned for what is in the files, and that is enough to bring the event and
/// its deliveries back.
#[tokio::test]
async fn durable_before_200() {
    fsync::each_yes_is_synced().await;

    let folder = folder();
    let routes = "  - {name: all, from: in, to: down}\n";
    let down = [("down", "http://127.0.0.1:9/".to_owned())];
    let text = config("{path: ./data}", "", &down, routes);
    let daemon = Daemon::start(folder.path(), &text).await;
    let mut answers = Vec::new();
    for n in 0..5 {
        let answer = send(&daemon, &format!("m{n}"), format!("{{\"n\":{n}}}")).await;
        assert_eq!(answer.status, 200);
        let snapshot = folder.path().join(format!("snapshot{n}"));
        copy(
            &folder.path().join("data/journal"),
            &snapshot.join("journal"),
        );
        answers.push(answer);
    }
    daemon.stop().await;
    for n in 0..5 {
        let text = config(&format!("{{path: ./snapshot{n}}}"), "", &down, routes);
        let daemon = Daemon::start(folder.path(), &text).await;
        wait_until("the copy is read", async || {
            daemon.admin_get("/readyz").await.status == 200
        })
        .await;
        for answer in answers.iter().take(n + 1) {
            let event = event(&daemon, answer).await;
            assert_eq!(event["deliveries"][0]["state"], "pending", "{n}");
        }
        daemon.stop().await;
    }

    // Where it cannot be had, the answer says so.
    let text = config("{path: ./full, min_free: 1000TiB}", "", &down, routes);
    let daemon = Daemon::start(folder.path(), &text).await;
    let answer = send(&daemon, "m9", "{}").await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(
        answer
            .header("retry-after")
            .is_some_and(|after| after.parse::<u32>().is_ok())
    );
    daemon.stop().await;
}

#[tokio::test]
async fn nothing_dropped_silently() {
    let folder = folder();
    template(
        folder.path(),
        "strict.liquid",
        "{\"v\": {{ payload.v | divided_by: payload.by }}}",
    );
    let peer = Peer::start([]).await;
    let targets = [
        ("up", peer.url()),
        ("down", "http://127.0.0.1:9/".to_owned()),
    ];
    let routes = "  - {name: shaped, from: in, match: {type: a}, template: strict.liquid, to: up}\n\
                  \x20 - {name: raw, from: in, match: {type: b}, to: up}\n\
                  \x20 - {name: late, from: in, match: {type: c}, to: down}\n\
                  \x20 - {name: every, from: in, match: {headers: {x-all: \"1\"}}, template: strict.liquid, to: up}\n";
    let text = config("{path: ./data}", "", &targets, routes);
    let daemon = Daemon::start(folder.path(), &text).await;

    let delivered = send(&daemon, "m1", r#"{"type":"a","v":9,"by":2}"#).await;
    assert_eq!(
        end(&daemon, &delivered).await,
        ("delivered".to_owned(), Value::Null)
    );
    let raw = send(&daemon, "m2", r#"{"type":"b"}"#).await;
    assert_eq!(end(&daemon, &raw).await.0, "delivered");
    let unrenderable = send(&daemon, "m3", r#"{"type":"a","v":9,"by":0}"#).await;
    assert_eq!(
        end(&daemon, &unrenderable).await,
        ("dead".to_owned(), json!("render"))
    );
    let parked = event(&daemon, &unrenderable).await;
    assert_eq!(
        parked["body"]["by"], 0,
        "everything needed to replay it is there"
    );
    assert!(
        parked["deliveries"][0]["attempts"][0]["outcome"]["detail"]
            .as_str()
            .unwrap()
            .contains("strict.liquid:1:"),
        "{parked}"
    );
    let message = daemon
        .signed("in", SECRET, "m4", "not json")
        .with("x-all", "1");
    let not_json = daemon.send(&message).await;
    assert_eq!(
        end(&daemon, &not_json).await,
        ("dead".to_owned(), json!("not_json"))
    );
    let pending = send(&daemon, "m5", r#"{"type":"c"}"#).await;
    assert_eq!(
        event(&daemon, &pending).await["deliveries"][0]["state"],
        "pending"
    );
    let unmatched = send(&daemon, "m6", r#"{"type":"z"}"#).await;
    assert_eq!(event(&daemon, &unmatched).await["deliveries"], json!([]));
    let duplicate = send(&daemon, "m1", r#"{"type":"a","v":9,"by":2}"#).await;
    assert_eq!(duplicate.json()["duplicate"], true);
    let series = "ingate_events_dropped_total{source=\"in\",reason=\"duplicate\"}";
    assert!((daemon.metric(series).await - 1.0).abs() < f64::EPSILON);
    daemon.stop().await;

    let text = config("{path: ./data}", "unmatched: drop\n", &targets, routes);
    let daemon = Daemon::start(folder.path(), &text).await;
    assert_eq!(send(&daemon, "m7", r#"{"type":"z"}"#).await.status, 200);
    let series = "ingate_events_dropped_total{source=\"in\",reason=\"unmatched\"}";
    assert!((daemon.metric(series).await - 1.0).abs() < f64::EPSILON);
    daemon.stop().await;
}

#[tokio::test]
async fn at_least_once_same_id() {
    let folder = folder();
    let peer = Peer::start([Turn::Status(500), Turn::Status(429), Turn::Status(302)]).await;
    let text = config(
        "{path: ./data}",
        "",
        &[("up", peer.url())],
        "  - {name: all, from: in, to: up}\n",
    );
    let daemon = Daemon::start(folder.path(), &text).await;
    let answer = send(&daemon, "m1", "{}").await;
    let received = peer.wait_for(4).await;
    assert_eq!(end(&daemon, &answer).await.0, "delivered");
    let delivery = event(&daemon, &answer).await["deliveries"][0].clone();
    for request in &received {
        assert_eq!(request.header("webhook-id"), delivery["id"]);
    }
    assert_eq!(delivery["attempts"].as_array().unwrap().len(), 4);
    daemon.stop().await;
}

#[tokio::test]
async fn valid_json_always() {
    let folder = folder();
    template(
        folder.path(),
        "hostile.liquid",
        "{\"whole\": {{ payload.v }}, \"inside\": \"<{{ payload.v }}>\", \"list\": [{{ payload.v }}, 1], {{ payload.k }}: null}",
    );
    let peer = Peer::start([]).await;
    let text = config(
        "{path: ./data}",
        "",
        &[("up", peer.url())],
        "  - {name: all, from: in, template: hostile.liquid, to: up}\n",
    );
    let daemon = Daemon::start(folder.path(), &text).await;
    let hostile = [
        "\",\"admin\":true,\"x\":\"",
        "\\",
        "\"}",
        "\n\r\t\u{0}\u{1f}",
        "</script>\u{2028}",
        "{{ payload }}",
        "{% raw %}",
        "\u{feff}\u{202e}",
        "",
        "null",
    ];
    for (n, text) in hostile.iter().enumerate() {
        let body = json!({"type": "t", "v": text, "k": format!("k{text}")}).to_string();
        assert_eq!(send(&daemon, &format!("m{n}"), body).await.status, 200);
        let received = peer.wait_for(n + 1).await;
        // Order of arrival is order of sending here: each is waited for.
        let sent = received[n].json();
        let wanted = json!({
            "whole": text,
            "inside": format!("<{text}>"),
            "list": [text, 1],
            format!("k{text}"): null,
        });
        assert_eq!(sent, wanted, "{text:?}");
    }
    daemon.stop().await;
}

#[tokio::test]
async fn frozen_once_tried() {
    let folder = folder();
    template(
        folder.path(),
        "t.liquid",
        "{\"version\": 1, \"seen\": {{ event.received_at }}}",
    );
    let peer = Peer::start([Turn::Status(500), Turn::Hang]).await;
    let secret = |n: u8| {
        let secret = [
            "whsec_Zmlyc3QtdGFyZ2V0LXNlY3JldC0wMDAwMDE=",
            "whsec_c2Vjb25kLXRhcmdldC1zZWNyZXQtMDAwMDI=",
        ];
        std::fs::write(folder.path().join("target"), secret[usize::from(n)]).unwrap();
        secret[usize::from(n)]
    };
    let text = format!(
        "store: {{path: ./data}}\ntemplates: ./templates\n\
         sources:\n  in: {{preset: standard-webhooks, secrets: [{{file: secret}}]}}\n\
         targets:\n  up: {{url: \"{}\", timeout: 1s, retry: {{schedule: [1100ms, 1100ms, 1100ms], jitter: 0}}, \
         sign: {{preset: standard-webhooks, secrets: [{{file: target}}]}}}}\n\
         routes:\n  - {{name: all, from: in, template: t.liquid, to: up}}\n",
        peer.url()
    );
    let first = secret(0);
    let daemon = Daemon::start(folder.path(), &text).await;
    assert_eq!(send(&daemon, "m1", "{}").await.status, 200);
    peer.wait_for(1).await;
    daemon.stop().await;
    // Another template and another secret: the body stays, the signature is of today.
    template(folder.path(), "t.liquid", "{\"version\": 2}");
    let second = secret(1);
    let daemon = Daemon::start(folder.path(), &text).await;
    let received = peer.wait_for(3).await;
    daemon.stop().await;
    assert_eq!(received[0].json()["version"], 1);
    for request in &received[1..] {
        assert_eq!(request.body, received[0].body);
        assert_eq!(
            request.header("webhook-id"),
            received[0].header("webhook-id")
        );
        assert_ne!(
            request.header("webhook-timestamp"),
            received[0].header("webhook-timestamp")
        );
    }
    let verify = |secret: &str, n: usize| {
        standardwebhooks::Webhook::new(secret)
            .unwrap()
            .verify(&received[n].body, &received[n].headers)
    };
    verify(first, 0).unwrap();
    verify(second, 1).unwrap();
    verify(second, 2).unwrap();
}

#[tokio::test]
async fn isolation() {
    let folder = folder();
    let hanging = Peer::start((0..1000).map(|_| Turn::Hang)).await;
    let up = Peer::start([]).await;
    let targets = [
        ("dead", "http://127.0.0.1:9/".to_owned()),
        ("hanging", hanging.url()),
        ("up", up.url()),
    ];
    let text = config(
        "{path: ./data}",
        "",
        &targets,
        "  - {name: all, from: in, to: [dead, hanging, up]}\n",
    );
    let daemon = Daemon::start(folder.path(), &text).await;
    for n in 0..100 {
        assert_eq!(
            send(&daemon, &format!("m{n}"), format!("{{\"n\":{n}}}"))
                .await
                .status,
            200
        );
    }
    // More than the hanging target's slots are pending there all the while.
    up.wait_for(100).await;
    let depth = daemon
        .metric("ingate_queue_depth{target=\"hanging\",state=\"pending\"}")
        .await;
    assert!(depth >= 100.0, "{depth}");
    tokio::time::timeout(Duration::from_secs(60), daemon.stop())
        .await
        .unwrap();
}

/// How it is asked for, and what a broken file does to a start, is in `reload`; here: whatever is wrong with a
/// configuration, all of the old one stays, and nothing of the new one is seen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reload_is_all_or_nothing() {
    let folder = folder();
    let (old, new) = (Peer::start([]).await, Peer::start([]).await);
    template(folder.path(), "t.liquid", "{\"v\": {{ vars.v }}}");
    std::fs::write(folder.path().join("event.json"), "{}").unwrap();
    std::fs::write(folder.path().join("expect.json"), "{\"v\": 1}").unwrap();
    let route = "  - {name: r, from: in, template: t.liquid, to: [erp], tests: [{event: event.json, expect: expect.json}]}\n";
    let good = config(
        "{path: ./data}",
        "vars: {v: 1}\n",
        &[("erp", old.url())],
        route,
    );
    let daemon = Daemon::start_reloading(folder.path(), &good).await;
    let changed = config(
        "{path: ./data}",
        "vars: {v: 2}\n",
        &[("erp", new.url())],
        route,
    );
    let added = |text: &str| format!("{changed}{text}");
    let wrong = [
        ("an unknown key", added("nonsense: 1\n")),
        ("no YAML", added("vars: [\n")),
        (
            "a template that is missing",
            changed.replace("t.liquid", "other.liquid"),
        ),
        (
            "a secret that is missing",
            changed.replace("file: secret", "file: none"),
        ),
        ("a template that is never valid", {
            template(folder.path(), "never.liquid", "{\"v\" 1}");
            changed.replace("t.liquid", "never.liquid")
        }),
        ("a test that fails", changed.clone()),
        (
            "a file that was cut short",
            "store: {path: ./data}\n".to_owned(),
        ),
    ];
    for (number, (what, text)) in wrong.into_iter().enumerate() {
        crate::support::write_config(folder.path(), &text);
        let report = daemon.admin_post("/api/v1/reload").await;
        assert_eq!(report.status, 422, "{what}: {}", report.text());
        assert!(
            !report.json()["text"].as_str().unwrap().is_empty(),
            "{what}"
        );
        assert_eq!(
            daemon.metric("ingate_config_last_reload_successful").await,
            0.0,
            "{what}"
        );
        assert_eq!(send(&daemon, &format!("e{number}"), "{}").await.status, 200);
        let seen = old.wait_for(number + 1).await;
        assert_eq!(seen[number].json(), json!({"v": 1}), "{what}");
    }
    assert!(new.received().is_empty());
    // What is right replaces all of it.
    std::fs::write(folder.path().join("expect.json"), "{\"v\": 2}").unwrap();
    crate::support::write_config(folder.path(), &changed);
    let report = daemon.admin_post("/api/v1/reload").await;
    assert_eq!(report.status, 200, "{}", report.text());
    assert_eq!(
        daemon.metric("ingate_config_last_reload_successful").await,
        1.0
    );
    assert_eq!(send(&daemon, "last", "{}").await.status, 200);
    assert_eq!(new.wait_for(1).await[0].json(), json!({"v": 2}));
    assert_eq!(old.received().len(), 7);
    daemon.stop().await;
}

#[tokio::test]
async fn only_verified_requests_become_events() {
    let folder = folder();
    let peer = Peer::start([]).await;
    let text = config(
        "{path: ./data}",
        "",
        &[("up", peer.url())],
        "  - {name: all, from: in, to: up}\n",
    );
    let daemon = Daemon::start(folder.path(), &text).await;
    let good = daemon.signed("in", SECRET, "m1", "{}");
    let other = "whsec_b3RoZXItc2VjcmV0LW90aGVyLXNlY3JldC0wMQ==";
    let bad = [
        ("unsigned", good.clone().without("webhook-signature")),
        ("no id", good.clone().without("webhook-id")),
        ("stale", good.clone().set("webhook-timestamp", "1614265330")),
        ("malformed", good.clone().set("webhook-signature", "v1,***")),
        (
            "doubled",
            good.clone()
                .with("webhook-signature", good.get("webhook-signature")),
        ),
        ("other body", good.clone().body("{ }")),
        ("other secret", daemon.signed("in", other, "m1", "{}")),
    ];
    let mut answers = Vec::new();
    for (name, message) in &bad {
        let mut answer = daemon.send(message).await;
        assert_eq!(answer.status, 401, "{name}");
        answer.headers.retain(|(header, _)| header != "date");
        answers.push((answer.headers, answer.body));
    }
    assert!(
        answers.windows(2).all(|pair| pair[0] == pair[1]),
        "{answers:?}"
    );
    let page = daemon.admin_get("/api/v1/events").await.json();
    assert_eq!(page["items"], json!([]));
    assert_eq!(daemon.send(&good).await.status, 200);
    peer.wait_for(1).await;
    daemon.stop().await;
    assert_eq!(peer.received().len(), 1);
}
