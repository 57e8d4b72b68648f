//! CloudEvents over the daemon: what comes in as one goes out as one, in either form.

use serde_json::{Value, json};
use standardwebhooks::Webhook;

use crate::support::{Daemon, Message, Peer, Turn, wait_until};

const SECRET: &str = "aW5ib3VuZCBzZWNyZXQgb2YgdGhlIHRlc3Qgc3VpdGU=";
const OUT_SECRET: &str = "whsec_b3V0Ym91bmQgc2VjcmV0IG9mIHRoZSB0ZXN0IHN1aXQ=";

#[tokio::test]
async fn a_delivery_in_an_envelope_is_signed_sent_again_and_shown_as_it_went() {
    let folder = tempfile::tempdir().unwrap();
    let templates = folder.path().join("templates");
    std::fs::create_dir(&templates).unwrap();
    std::fs::write(
        templates.join("t.liquid"),
        r#"{"of": {{ event.cloudevent.subject }}, "n": {{ payload.n }}}"#,
    )
    .unwrap();
    let peer = Peer::start([Turn::Status(503)]).await;
    let url = peer.url();
    let config = format!(
        "sources:\n  shop: {{preset: hmac, secrets: [{{value: {SECRET}}}], redact: [/n]}}\n\
         targets:\n  made: {{url: {url}, retry: {{schedule: [10ms]}}, cloudevents: {{mode: structured, type: ours}}, \
         sign: {{preset: standard-webhooks, secrets: [{{value: {OUT_SECRET}}}]}}}}\n\
         routes: [{{name: all, from: shop, template: t.liquid, to: made}}, {{name: plain, from: shop, match: {{type: none}}, to: made}}]\n"
    );
    let daemon = Daemon::start(folder.path(), &config).await;
    let body = r#"{"n":"12345678","type":"paid"}"#;
    let message = daemon
        .signed("shop", SECRET, "1", body)
        .with("ce-specversion", "1.0")
        .with("ce-source", "/shop")
        .with("ce-subject", "%E2%82%AC")
        .with("content-type", "application/json");
    assert_eq!(daemon.send(&message).await.status, 200);
    let received = peer.wait_for(2).await;
    assert_eq!(received[0].body, received[1].body);
    let id = received[0].header("webhook-id").to_owned();
    for received in &received {
        let webhook = Webhook::new(OUT_SECRET).unwrap();
        webhook.verify(&received.body, &received.headers).unwrap();
        let mut got = received.json();
        assert!(got["time"].is_string());
        got["time"] = Value::Null;
        let wanted = json!({
            "specversion": "1.0", "id": id, "source": "/shop", "type": "ours", "time": null, "subject": "\u{20ac}",
            "datacontenttype": "application/json", "data": {"of": "\u{20ac}", "n": "12345678"},
        });
        assert_eq!(got, wanted);
    }
    let path = format!("/api/v1/deliveries/{id}/body");
    wait_until("the delivery to be done", async || {
        let shown = daemon.admin_get(&path).await.json();
        shown["from"] == "rendered"
    })
    .await;
    let shown = daemon.admin_get(&path).await.json();
    assert_eq!(shown["exact"], true, "{shown}");
    assert_eq!(
        shown["content_type"],
        "application/cloudevents+json; charset=utf-8"
    );
    let text = shown["body"].as_str().unwrap();
    let text: Value = serde_json::from_str(text).unwrap();
    assert_eq!(text["data"]["n"], "[redacted]");
    assert_eq!(text["id"], id);
    daemon.stop().await;
    peer.stop().await;
}

/// A source by HMAC over the body, one by a token, and a target of each kind for what comes in by either.
async fn stage(folder: &std::path::Path) -> (Daemon, [Peer; 3]) {
    let peers = [
        Peer::start([]).await,
        Peer::start([]).await,
        Peer::start([]).await,
    ];
    let [plain, structured, binary] = peers.each_ref().map(Peer::url);
    let config = format!(
        "sources:\n  \
           signed: {{preset: hmac, secrets: [{{value: {SECRET}}}], scheme: {{envelope: cloudevents}}}}\n  \
           token:\n    secrets: [{{value: {SECRET}}}]\n    \
             scheme: {{algorithm: token, envelope: cloudevents, signature: {{header: authorization, prefix: \"Bearer \"}}}}\n\
         targets:\n  plain: {{url: {plain}}}\n  \
           structured: {{url: {structured}, cloudevents: {{mode: structured}}}}\n  \
           binary: {{url: {binary}, cloudevents: {{mode: binary}}}}\n\
         routes: [{{name: all, from: [signed, token], to: [plain, structured, binary]}}]\n"
    );
    (Daemon::start(folder, &config).await, peers)
}

fn by_token(body: &str) -> Message {
    Message::post("/in/token", body).with("authorization", format!("Bearer {SECRET}"))
}

const ENVELOPE: &str = r#"{"specversion":"1.0","id":"A234","source":"/their%20s","type":"com.example.paid","subject":"\u20ac",
    "time":"2018-04-05T17:31:00Z","secrettoken":"kept","token":"dropped","n":5,"dataschema":"https://example.com/s","data": {"a": 1.50}}"#;

async fn accepted(daemon: &Daemon, message: &Message) -> Value {
    let answer = daemon.send(message).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = answer.json();
    assert_eq!(answer["duplicate"], false, "{message:?}");
    let path = format!("/api/v1/events/{}", answer["id"].as_str().unwrap());
    daemon.admin_get(&path).await.json()
}

#[tokio::test]
async fn an_envelope_that_comes_in_is_the_event_that_it_wraps() {
    let folder = tempfile::tempdir().unwrap();
    let (daemon, peers) = stage(folder.path()).await;
    let typed = |message: Message| {
        message.with(
            "content-type",
            "Application/CloudEvents+JSON; charset=UTF-8",
        )
    };
    let signed = typed(daemon.signed("signed", SECRET, "", ENVELOPE))
        .with("ce-subject", "unsigned")
        .with("ce-other", "unsigned")
        .with("ce-specversion", "1.0");
    for message in [&signed, &typed(by_token(ENVELOPE))] {
        let event = accepted(&daemon, message).await;
        assert_eq!(event["type"], "com.example.paid");
        assert_eq!(event["message_id"], "A234");
        let headers: Vec<String> = event["headers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|header| {
                format!(
                    "{}: {}",
                    header["name"].as_str().unwrap(),
                    header["value"].as_str().unwrap()
                )
            })
            .filter(|line| line.starts_with("ce-") || line.starts_with("content-type"))
            .collect();
        let wanted = [
            "content-type: application/json",
            "ce-specversion: 1.0",
            "ce-id: A234",
            "ce-source: /their%20s",
            "ce-type: com.example.paid",
            "ce-subject: %E2%82%AC",
            "ce-time: 2018-04-05T17:31:00Z",
            "ce-secrettoken: kept",
            "ce-n: 5",
            "ce-dataschema: https://example.com/s",
        ];
        // The percent sign of the source is one, so it is written as one.
        let wanted = wanted.map(|line| line.replace("/their%20s", "/their%2520s"));
        assert_eq!(headers, wanted);
    }
    for received in peers[0].wait_for(2).await {
        assert_eq!(received.body, br#"{"a": 1.50}"#.as_slice());
        assert_eq!(received.header("content-type"), "application/json");
    }
    for received in peers[1].wait_for(2).await {
        let mut wanted: Value = serde_json::from_str(ENVELOPE).unwrap();
        wanted["id"] = json!(received.header("webhook-id"));
        wanted["n"] = json!("5");
        wanted.as_object_mut().unwrap().shift_remove("token");
        wanted["datacontenttype"] = json!("application/json");
        assert_eq!(received.json(), wanted);
        assert!(received.body.ends_with(br#""data":{"a": 1.50}}"#));
    }
    for received in peers[2].wait_for(2).await {
        assert_eq!(received.header("ce-id"), received.header("webhook-id"));
        assert_eq!(received.header("ce-subject"), "%E2%82%AC");
        assert_eq!(received.header("ce-source"), "/their%2520s");
        assert_eq!(received.header("ce-n"), "5");
        assert_eq!(received.body, br#"{"a": 1.50}"#.as_slice());
    }
    // The same id is the same event by one source of theirs, and another one by another.
    let again = daemon.send(&typed(by_token(ENVELOPE))).await.json();
    assert_eq!(again["duplicate"], true);
    let other = ENVELOPE.replace("/their%20s", "/other");
    accepted(&daemon, &typed(by_token(&other))).await;
    // What was signed can be sent again under another id only by who can sign it.
    let forged = signed.clone().body(ENVELOPE.replace("A234", "B234"));
    assert_eq!(daemon.send(&forged).await.status, 401);
    daemon.stop().await;
    for peer in peers {
        peer.stop().await;
    }
}

#[tokio::test]
async fn attributes_that_come_as_headers_are_read_and_what_is_no_cloudevent_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (daemon, peers) = stage(folder.path()).await;
    let binary = |message: Message, id: &str| {
        message
            .with("ce-specversion", "1.0")
            .with("ce-id", id)
            .with("ce-source", "/s")
            .with("ce-type", "a%20b")
            .with("content-type", "text/plain")
    };
    let event = accepted(&daemon, &binary(by_token("hello"), "1")).await;
    assert_eq!(
        (&event["type"], &event["message_id"]),
        (&json!("a b"), &json!("1"))
    );
    // Another id is another event where the sender is known by a token; where a signature leaves it out, it says nothing.
    accepted(&daemon, &binary(by_token("hello"), "2")).await;
    accepted(
        &daemon,
        &binary(daemon.signed("signed", SECRET, "", "{}"), "1"),
    )
    .await;
    let again = binary(daemon.signed("signed", SECRET, "", "{}"), "2");
    assert_eq!(daemon.send(&again).await.json()["duplicate"], true);
    // Without data there is none.
    let bare = r#"{"specversion":"1.0","id":"3","source":"/s","type":"bare"}"#;
    let structured =
        |message: Message| message.with("content-type", "application/cloudevents+json");
    let event = accepted(&daemon, &structured(by_token(bare))).await;
    assert_eq!(
        (&event["type"], &event["size_bytes"]),
        (&json!("bare"), &json!(0))
    );
    // None of these is a CloudEvent; all are events.
    let batch = format!("[{bare}]");
    let rows = [
        structured(by_token("{\"specversion\":\"1.0\",\"id\":\"x\"}")),
        structured(by_token("not json")),
        structured(by_token(&bare.replace("1.0", "0.3"))),
        by_token(&batch).with("content-type", "application/cloudevents-batch+json"),
        by_token("{\"id\":1}"),
        binary(by_token("twice"), "1").with("ce-id", "2"),
    ];
    for message in &rows {
        let event = accepted(&daemon, message).await;
        assert_eq!(
            (&event["type"], &event["message_id"]),
            (&json!("unknown"), &Value::Null)
        );
        assert_eq!(event["size_bytes"], message.body.len());
    }
    // As everywhere, an id or a type that is none is refused.
    for (name, value) in [("ce-id", "x".repeat(300)), ("ce-type", "y".repeat(300))] {
        let long = binary(by_token("long"), "9").set(name, value);
        assert_eq!(daemon.send(&long).await.status, 401, "{name}");
    }
    let received = peers[1].wait_for(4 + rows.len()).await;
    let of = |id: &str| {
        let found = received
            .iter()
            .map(|it| it.json())
            .find(|it| it["type"] == id);
        found.unwrap_or_else(|| panic!("no {id}"))
    };
    assert_eq!(of("a b")["data_base64"], "aGVsbG8=");
    assert_eq!(of("bare").get("data"), None);
    wait_until("all to be delivered", async || {
        let pending = daemon
            .admin_get("/api/v1/deliveries?state=pending")
            .await
            .json();
        pending["items"].as_array().unwrap().is_empty()
    })
    .await;
    daemon.stop().await;
    for peer in peers {
        peer.stop().await;
    }
}
