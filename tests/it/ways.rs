//! How senders prove themselves at the door: several ways of one source, addresses, forms, open challenges.

use serde_json::{Value, json};

use crate::support::{Daemon, Message, Peer, exchange};

const SECRET: &str = "a-plain-test-secret-of-40-characters-xyz";

/// `two` takes an old and a new way, `near` only its network, `address` nothing but an address, `form` forms and
/// challenges that nothing proves.
fn config(peer: &Peer) -> String {
    format!(
        r#"
trusted_proxies: [127.0.0.1]
sources:
  two:
    any:
      - {{preset: hmac, scheme: {{signature: {{header: x-old}}}}, secrets: [{{value: {SECRET}}}]}}
      - {{preset: hmac, scheme: {{algorithm: hmac-sha1, signature: {{header: x-new}}}}, secrets: [{{value: wrong}}, {{value: {SECRET}}}]}}
  near: {{preset: hmac, secrets: [{{value: {SECRET}}}], allow: [192.0.2.0/24, "2001:db8::1"]}}
  address: {{scheme: {{algorithm: address, type: {{json: /type}}}}, allow: [192.0.2.7]}}
  form:
    preset: hmac
    secrets: [{{value: {SECRET}}}]
    scheme:
      form: {{}}
      type: {{json: /kind}}
      handshake:
        - name: origin
          when: {{method: OPTIONS, header: {{webhook-request-origin: "*"}}}}
          open: true
          reply: {{headers: {{webhook-allowed-origin: "{{header:webhook-request-origin}}"}}}}
targets: {{all: {{url: "{}"}}}}
routes: [{{name: all, from: [two, near, address, form], to: all}}]
"#,
        peer.url()
    )
}

struct Stage {
    daemon: Daemon,
    peer: Peer,
    _folder: tempfile::TempDir,
}

impl Stage {
    async fn set() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let peer = Peer::start([]).await;
        let daemon = Daemon::start(folder.path(), &config(&peer)).await;
        Self {
            daemon,
            peer,
            _folder: folder,
        }
    }

    async fn event(&self, answer: &Value) -> Value {
        let id = answer["id"].as_str().unwrap();
        let path = format!("/api/v1/events/{id}");
        self.daemon.admin_get(&path).await.json()
    }
}

#[tokio::test]
async fn a_source_may_take_an_old_and_a_new_way() {
    let stage = Stage::set().await;
    let old = stage.daemon.signed("two", SECRET, "", "{\"n\":1}");
    let answer = stage.daemon.send(&old).await;
    assert_eq!(answer.status, 200);
    let event = stage.event(&answer.json()).await;
    assert_eq!(event["verified"]["scheme"], "hmac", "{event}");
    assert_eq!(event["verified"]["secret"], 0);
    // HMAC-SHA1 of the body under the second secret of the second way
    let new = Message::post("/in/two", "{\"n\":2}").with("x-new", sha1("{\"n\":2}"));
    let answer = stage.daemon.send(&new).await;
    assert_eq!(answer.status, 200);
    let event = stage.event(&answer.json()).await;
    assert_eq!(event["verified"]["secret"], 1, "{event}");
    let headers = event["headers"].to_string();
    assert!(!headers.contains("x-new"), "{headers}");
    let other = new.clone().body("{\"n\":3}");
    assert_eq!(stage.daemon.send(&other).await.status, 401);
    let failures = stage.daemon.admin_get("/api/v1/sources/two/failures").await;
    let failures = failures.json();
    assert_eq!(failures["items"][0]["reason"], "signature_mismatch");
    let shown = stage.daemon.admin_get("/api/v1/sources/two").await.json();
    assert_eq!(shown["scheme"], "any of hmac, hmac");
    assert_eq!(shown["secrets"].as_array().unwrap().len(), 3);
    stage.daemon.stop().await;
}

fn sha1(body: &str) -> String {
    use ingate::secret::Secret;
    use ingate::signature::{Outbound, Scheme, SchemeRecord, sign};
    let yaml = "{algorithm: hmac-sha1, signature: {header: s}}";
    let record: SchemeRecord = serde_yaml::from_str(yaml).unwrap();
    let scheme = Scheme::compile(&record).unwrap();
    let key = scheme.signing_key(&Secret::new(SECRET)).unwrap();
    let request = Outbound {
        id: "",
        timestamp: jiff::Timestamp::UNIX_EPOCH,
        method: &http::Method::POST,
        url: "",
        event_type: "",
        body: body.as_bytes(),
    };
    let headers = sign(&scheme, &[key], &request).unwrap();
    headers[0].1.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn addresses_are_judged_before_the_body_is_read() {
    let stage = Stage::set().await;
    let from = |message: Message, client: &str| message.with("x-forwarded-for", client);
    for (client, wanted) in [
        ("192.0.2.200", 200),
        ("2001:db8::1", 200),
        ("::ffff:192.0.2.9", 200),
        ("198.51.100.1", 403),
        ("2001:db8::2", 403),
        // what stands left of the first stranger is the stranger's own word
        ("192.0.2.200, 198.51.100.1", 403),
    ] {
        let message = stage
            .daemon
            .signed("near", SECRET, "", format!("\"{client}\""));
        let answer = stage.daemon.send(&from(message, client)).await;
        assert_eq!(answer.status, wanted, "{client}");
    }
    // Nothing of this body ever comes.
    let head = "POST /in/near HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\nx-forwarded-for: 198.51.100.1\r\n\r\n";
    let answers = exchange(stage.daemon.public, head.as_bytes()).await;
    assert_eq!(answers[0].status, 403);
    assert_eq!(answers[0].json(), json!({"error": "forbidden"}));
    let refused = stage
        .daemon
        .admin_get("/api/v1/sources/near/failures")
        .await;
    let refused = refused.json();
    assert_eq!(
        refused["items"][0]["reason"], "address_not_allowed",
        "{refused}"
    );
    assert_eq!(refused["items"][0]["client"], "198.51.100.1");

    let bare = Message::post("/in/address", "{\"type\":\"a.b\"}");
    let answer = stage.daemon.send(&from(bare.clone(), "192.0.2.7")).await;
    assert_eq!(answer.status, 200);
    let event = stage.event(&answer.json()).await;
    assert_eq!(event["type"], "a.b");
    assert_eq!(
        stage.daemon.send(&from(bare, "192.0.2.8")).await.status,
        403
    );
    stage.daemon.stop().await;
}

#[tokio::test]
async fn forms_become_objects_and_open_challenges_are_answered() {
    let stage = Stage::set().await;
    let form = "application/x-www-form-urlencoded";
    let message = stage
        .daemon
        .signed("form", SECRET, "", "kind=a.b&text=x+%22y%22&n=1&n=2");
    let message = message.with("content-type", form);
    let answer = stage.daemon.send(&message).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["duplicate"], false);
    // The content type is not signed, and so makes no other event of the same bytes.
    let again = message.without("content-type");
    let again = stage
        .daemon
        .send(&again.with("content-type", "text/plain"))
        .await;
    assert_eq!(again.json()["duplicate"], true, "{}", again.text());
    let event = stage.event(&answer.json()).await;
    assert_eq!(event["type"], "a.b", "{event}");
    let wanted = json!({"kind": "a.b", "text": "x \"y\"", "n": ["1", "2"]});
    let received = stage.peer.wait_for(1).await;
    assert_eq!(received[0].json(), wanted);
    assert_eq!(received[0].header("content-type"), "application/json");
    let headers = event["headers"].to_string();
    assert!(
        headers.contains("application/json") && !headers.contains(form),
        "{headers}"
    );

    let ask = Message {
        method: "OPTIONS".to_owned(),
        ..Message::post("/in/form", "").with("webhook-request-origin", "events.example.com")
    };
    let answer = stage.daemon.send(&ask).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("webhook-allowed-origin"),
        Some("events.example.com")
    );
    let other = ask.without("webhook-request-origin");
    assert_eq!(stage.daemon.send(&other).await.status, 401);
    let elsewhere = Message {
        method: "OPTIONS".to_owned(),
        ..Message::post("/in/two", "")
    };
    assert_eq!(stage.daemon.send(&elsewhere).await.status, 405);
    stage.daemon.stop().await;
}
