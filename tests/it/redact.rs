//! Redaction: what stands at a source's pointers is in no answer of the operator's door and in no line of the log,
//! and what is delivered is whole.

use serde_json::{Value, json};

use crate::support::{Daemon, Message, Peer, Turn, log, wait_until};

const SECRET: &str = "a-plain-test-secret-of-40-characters-xyz";

fn config(peer: &Peer, sources: &str) -> String {
    format!(
        "sources:\n{sources}\
         targets: {{erp: {{url: \"{}\", retry: {{schedule: [1h]}}}}}}\n\
         routes:\n\
         \x20 - {{name: plain, from: [hidden, open], match: {{body: {{kind: plain}}}}, to: erp}}\n\
         \x20 - {{name: raw, from: hidden, match: {{headers: {{x-raw: \"yes\"}}}}, to: erp}}\n\
         \x20 - {{name: shaped, from: hidden, match: {{body: {{kind: shaped}}}}, template: a.json.liquid, to: erp}}\n",
        peer.url()
    )
}

fn source(name: &str, rest: &str) -> String {
    format!("  {name}: {{preset: hmac, secrets: [{{value: {SECRET}}}]{rest}}}\n")
}

const HIDING: &str = ", redact: [/data/ssn, /items/*/card, /data/pin]";

/// A template whose failure names the value that it fails on.
const TEMPLATE: &str = "{\"cut\": {{ payload.kind | truncate: payload.data.ssn }}}";

async fn start(folder: &std::path::Path, peer: &Peer, sources: &str) -> Daemon {
    std::fs::create_dir_all(folder.join("templates")).unwrap();
    std::fs::write(folder.join("templates/a.json.liquid"), TEMPLATE).unwrap();
    Daemon::start(folder, &config(peer, sources)).await
}

/// Sends a message and gives back its id once its delivery was tried.
async fn send(daemon: &Daemon, message: Message) -> String {
    let answer = daemon.send(&message).await;
    assert_eq!(answer.status, 200);
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    wait_until("it was tried", async || {
        show(daemon, &id).await["deliveries"][0]["attempts"][0].is_object()
    })
    .await;
    id
}

async fn show(daemon: &Daemon, id: &str) -> Value {
    daemon
        .admin_get(&format!("/api/v1/events/{id}"))
        .await
        .json()
}

fn body(kind: &str, mark: &str) -> Value {
    json!({
        "kind": kind,
        "data": {"ssn": format!("ssn-{mark}-6789"), "pin": 48_151_623, "name": "Ann"},
        "items": [{"card": format!("card-{mark}-\"1\""), "n": 1}, {"n": 2}],
    })
}

#[tokio::test]
async fn what_is_redacted_is_shown_nowhere_and_delivered_whole() {
    let peer = Peer::start([Turn::Mirror]).await;
    let folder = tempfile::tempdir().unwrap();
    let sources = source("hidden", HIDING) + &source("open", "");
    let daemon = start(folder.path(), &peer, &sources).await;
    let sent = body("plain", "redacted");
    let message = daemon
        .signed("hidden", SECRET, "", sent.to_string())
        .with("x-echo", "the ssn-redacted-6789 again");
    let id = send(&daemon, message).await;
    assert_eq!(
        peer.received()[0].json(),
        sent,
        "what is delivered is whole"
    );

    let shown = show(&daemon, &id).await;
    let cut = "[redacted]";
    let wanted = json!({
        "kind": "plain", "data": {"ssn": cut, "pin": cut, "name": "Ann"},
        "items": [{"card": cut, "n": 1}, {"n": 2}],
    });
    assert_eq!(shown["body"], wanted);
    assert_eq!(shown["body_redacted"], "values");
    assert!(shown["body_base64"].is_null());
    let snippet = shown["deliveries"][0]["attempts"][0]["outcome"]["snippet"]
        .as_str()
        .unwrap();
    let echoed = r#"{"kind":"plain","data":{"ssn":"[redacted]","pin":[redacted],"name":"Ann"},"items":[{"card":"[redacted]","n":1},{"n":2}]}"#;
    assert_eq!(snippet, echoed, "it is there, without the values");
    let text = shown.to_string();
    assert!(text.contains("the [redacted] again"), "{text}");
    for value in ["ssn-redacted-6789", "card-redacted", "48151623"] {
        assert!(!text.contains(value), "{value} in {text}");
        assert!(!log().contains(value), "{value} in the log");
    }

    // A source without pointers shows all.
    let open = body("plain", "shown");
    let id = send(&daemon, daemon.signed("open", SECRET, "", open.to_string())).await;
    let shown = show(&daemon, &id).await;
    assert_eq!(shown["body"], open);
    assert!(shown["body_redacted"].is_null());
    daemon.stop().await;
}

#[tokio::test]
async fn a_template_that_names_a_value_in_its_complaint_does_not_reveal_it() {
    let peer = Peer::start([]).await;
    let folder = tempfile::tempdir().unwrap();
    let sources = source("hidden", HIDING) + &source("open", "");
    let daemon = start(folder.path(), &peer, &sources).await;
    let sent = body("shaped", "complained");
    let id = send(
        &daemon,
        daemon.signed("hidden", SECRET, "", sent.to_string()),
    )
    .await;
    let shown = show(&daemon, &id).await;
    let outcome = &shown["deliveries"][0]["attempts"][0]["outcome"];
    assert_eq!(outcome["reason"], "render", "{shown}");
    let detail = outcome["detail"].as_str().unwrap();
    assert!(detail.contains("[redacted]"), "{detail}");
    for (place, text) in [("api", shown.to_string()), ("log", log())] {
        assert!(text.contains(&id), "{place}");
        assert!(!text.contains("ssn-complained"), "{place}: {text}");
    }
    daemon.stop().await;
}

#[tokio::test]
async fn where_pointers_mean_nothing_and_where_the_source_is_gone_nothing_is_shown() {
    let peer = Peer::start([Turn::Mirror, Turn::Mirror]).await;
    let folder = tempfile::tempdir().unwrap();
    let all = source("hidden", HIDING) + &source("open", "");
    let daemon = start(folder.path(), &peer, &all).await;
    let raw = daemon.signed("hidden", SECRET, "", "ssn=form-encoded-secret&a=b");
    let raw = send(&daemon, raw.with("x-raw", "yes")).await;
    let shown = show(&daemon, &raw).await;
    assert_eq!(shown["body_redacted"], "not_json");
    assert!(shown["body"].is_null() && shown["body_base64"].is_null());
    assert_eq!(
        shown["deliveries"][0]["attempts"][0]["outcome"]["snippet"],
        "[redacted]"
    );
    assert!(!shown.to_string().contains("form-encoded"), "{shown}");
    let sent = body("plain", "forgotten");
    let message = daemon.signed("hidden", SECRET, "", sent.to_string());
    let kept = send(&daemon, message.with("x-echo", "ssn-forgotten-6789")).await;
    daemon.stop().await;

    // Taken out of the configuration, the source reveals nothing.
    let other = config(&peer, &source("open", ""))
        .replace("[hidden, open]", "open")
        .replace("from: hidden", "from: open");
    let daemon = Daemon::start(folder.path(), &other).await;
    let shown = show(&daemon, &kept).await;
    assert_eq!(shown["body_redacted"], "source_gone");
    assert!(shown["body"].is_null() && shown["body_base64"].is_null());
    assert_eq!(
        shown["deliveries"][0]["attempts"][0]["outcome"]["snippet"],
        "[redacted]"
    );
    assert!(!shown.to_string().contains("forgotten"), "{shown}");
    daemon.stop().await;

    // Put back, it shows what it showed.
    let daemon = Daemon::start(folder.path(), &config(&peer, &all)).await;
    let shown = show(&daemon, &kept).await;
    assert_eq!(shown["body"]["data"]["name"], "Ann");
    assert_eq!(shown["body"]["data"]["ssn"], "[redacted]");
    daemon.stop().await;
}
