//! The answers of the public door: every row of the table, and the entries of the list of hostile inputs that
//! are about the wire and the content, under their numbers.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use ingate::secret::Secret;
use ingate::signature::{self, Outbound};
use jiff::Timestamp;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::{Daemon, Message, Peer, exchange, exchange_open, read_answers};

const SECRET: &str = "a-plain-test-secret-of-40-characters-xyz";

/// A limit that is quick to go over.
const BODY_LIMIT: usize = 2048;

/// Sources: `wire` and `decoded` differ in what they sign of a compressed body, `meta` has a handshake by GET,
/// `url` signs its address; `plain` and `shaped` are the routes, the latter with a template.
fn config(plain: &Peer, shaped: &Peer, more: &str) -> String {
    format!(
        r#"
limits: {{body: {BODY_LIMIT}, body_timeout: 300ms}}
sources:
  wire: {{preset: hmac, secrets: [{{value: {SECRET}}}], scheme: {{type: {{json: /type}}}}}}
  decoded: {{preset: hmac, secrets: [{{value: {SECRET}}}], scheme: {{body: decoded}}}}
  url:
    preset: hmac
    secrets: [{{value: {SECRET}}}]
    url: https://hooks.example/in/url?a=1&b=2
    scheme: {{content: "{{url}}{{body}}"}}
  meta:
    preset: hmac
    secrets: [{{value: {SECRET}}}]
    scheme:
      handshake:
        - when: {{method: GET, query: {{hub.mode: subscribe}}}}
          token: {{query: hub.verify_token}}
          reply: {{text: "{{query:hub.challenge}}"}}
targets:
  plain: {{url: "{}"}}
  shaped: {{url: "{}"}}
routes:
  - {{name: plain, from: [wire, decoded, url], to: plain}}
  - {{name: shaped, from: wire, template: seen.json.liquid, to: shaped}}
{more}"#,
        plain.url(),
        shaped.url()
    )
}

struct Stage {
    daemon: Daemon,
    plain: Peer,
    shaped: Peer,
    folder: tempfile::TempDir,
}

impl Stage {
    async fn set(more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (plain, shaped) = (Peer::start([]).await, Peer::start([]).await);
        std::fs::create_dir_all(folder.path().join("templates")).unwrap();
        let template = folder.path().join("templates/seen.json.liquid");
        std::fs::write(template, r#"{"seen": {{ payload.type }}}"#).unwrap();
        let daemon = Daemon::start(folder.path(), &config(&plain, &shaped, more)).await;
        Self {
            daemon,
            plain,
            shaped,
            folder,
        }
    }

    /// A signed message whose body no other one has.
    fn good(&self, source: &str, label: &str) -> Message {
        let body = format!("{{\"type\":\"{label}\"}}");
        self.daemon.signed(source, SECRET, "", body)
    }
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut to = GzEncoder::new(Vec::new(), Compression::best());
    to.write_all(plain).unwrap();
    to.finish().unwrap()
}

#[tokio::test]
async fn every_row_of_the_table() {
    let stage = Stage::set("").await;
    let good = |label: &str| stage.good("wire", label);
    let verb = |method: &str, path: &str| Message {
        method: method.to_owned(),
        ..Message::post(path, "")
    };
    let over = "x".repeat(BODY_LIMIT + 1);
    let chunked = |body: &str| {
        let framed = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
        Message::post("/in/wire", framed).with("transfer-encoding", "chunked")
    };
    let bomb = gzip(&vec![b'0'; 8 << 20]);
    let rows = [
        ("verified", good("verified"), 200),
        ("a duplicate", good("verified"), 200),
        (
            "with a query",
            Message {
                path: "/in/wire?x=1".into(),
                ..good("query")
            },
            200,
        ),
        (
            "asking first",
            good("asking").with("expect", "100-continue"),
            200,
        ),
        ("N01 missing", good("missing").without("x-signature"), 401),
        (
            "N26 wrong token",
            verb(
                "GET",
                "/in/meta?hub.mode=subscribe&hub.verify_token=wrong&hub.challenge=1",
            ),
            403,
        ),
        ("N46 unknown source", Message::post("/in/nobody", "{}"), 404),
        ("N46 no source", Message::post("/", "{}"), 404),
        (
            "N46 a path that only begins so",
            Message::post("/in/wire/", "{}"),
            404,
        ),
        ("N47 GET", verb("GET", "/in/wire"), 405),
        ("N47 PUT", verb("PUT", "/in/wire"), 405),
        ("N47 PUT where GET is taken", verb("PUT", "/in/meta"), 405),
        ("N34 declared", good("declared").body(over.as_str()), 413),
        (
            "N34 only declared",
            good("declared").with("content-length", "99999999"),
            413,
        ),
        ("N35 chunked", chunked(&over), 413),
        (
            "N38 bomb",
            good("bomb").body(bomb).with("content-encoding", "gzip"),
            413,
        ),
        ("N39 br", good("br").with("content-encoding", "br"), 415),
        (
            "gzip that is none",
            good("no gzip").with("content-encoding", "gzip"),
            400,
        ),
        ("chunked and unsigned", chunked("{}"), 401),
    ];
    for (name, message, wanted) in rows {
        let answer = stage.daemon.send(&message).await;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.status, wanted, "{name}: {text}");
        let json = answer.json();
        if wanted == 200 {
            assert!(json["id"].is_string(), "{name}: {text}");
            assert_eq!(json["duplicate"], name == "a duplicate", "{name}: {text}");
        } else {
            assert!(json["error"].is_string(), "{name}: {text}");
        }
        assert_eq!(
            answer.header("content-type"),
            Some("application/json"),
            "{name}"
        );
        assert_eq!(
            answer.header("x-content-type-options"),
            Some("nosniff"),
            "{name}"
        );
        let allow = (wanted == 405).then(|| {
            if message.path == "/in/meta" {
                "POST, GET"
            } else {
                "POST"
            }
        });
        assert_eq!(answer.header("allow"), allow, "{name}");
    }
}

#[tokio::test]
async fn what_breaks_off_or_is_ambiguous() {
    let stage = Stage::set("").await;
    let addr = stage.daemon.public;
    let longer =
        |label: &str, length: &str| stage.good("wire", label).with("content-length", length);
    let both = stage
        .good("wire", "both")
        .with("content-length", "5")
        .with("transfer-encoding", "chunked");
    let folded = Message::post("/in/wire", "{}").with("x-signature", "ab\r\n cd");
    let nul = Message::post("/in/wire", "{}").with("x-signature", "ab\0cd");
    let bad_chunk =
        Message::post("/in/wire", "zz\r\n{}\r\n0\r\n\r\n").with("transfer-encoding", "chunked");
    let huge = Message::post("/in/wire", "{}").with("x-signature", "a".repeat(64 << 10));
    let many = (0..200).fold(Message::post("/in/wire", "{}"), |m, n| {
        m.with(&format!("x-{n}"), "1")
    });
    let mut shorter = stage
        .good("wire", "shorter")
        .with("content-length", "7")
        .with("connection", "keep-alive");
    shorter.body.extend_from_slice(b"\r\n\r\n");
    let rows: [(&str, Message, &[u16]); 8] = [
        ("N37 longer than the body", longer("longer", "100"), &[400]),
        // The rest of the body is no request.
        ("N37 shorter than the body", shorter, &[401, 400]),
        ("N37 two kinds of length", both, &[400]),
        ("a chunk that is none", bad_chunk, &[400]),
        ("N49 folded", folded, &[400]),
        ("N49 NUL", nul, &[400]),
        ("N16 one huge header", huge, &[431]),
        ("many headers", many, &[431]),
    ];
    for (name, message, wanted) in rows {
        let answers = exchange(addr, &message.bytes()).await;
        let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        assert_eq!(statuses, wanted, "{name}");
    }

    let slow = stage.good("wire", "slow");
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(&slow.head()).await.unwrap();
    stream.write_all(&slow.body[..1]).await.unwrap();
    let answers = read_answers(&mut stream).await;
    assert_eq!(answers[0].status, 408, "N36");
    assert!(answers[0].json()["error"].is_string(), "N36");

    // Nothing of all this has become an event.
    let events = stage.daemon.admin_get("/api/v1/events").await;
    assert!(!events.text().contains("\"source\""), "{}", events.text());
}

#[tokio::test]
async fn a_connection_serves_many_requests() {
    let stage = Stage::set("").await;
    let kept = |label: &str| stage.good("wire", label).with("connection", "keep-alive");
    let bytes = [
        kept("one").bytes(),
        kept("two").body("{}").bytes(),
        stage.good("wire", "three").bytes(),
    ]
    .concat();
    let answers = exchange_open(stage.daemon.public, &bytes).await;
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200, 401, 200]);
}

#[tokio::test]
async fn a_handshake_by_get_needs_its_token() {
    let stage = Stage::set("").await;
    let ask = |query: &str| Message {
        method: "GET".to_owned(),
        ..Message::post(&format!("/in/meta?{query}"), "")
    };
    let challenge = "%3Cscript%3Ealert(1)%3C/script%3E";
    let right = format!("hub.mode=subscribe&hub.verify_token={SECRET}&hub.challenge={challenge}");
    let answer = stage.daemon.send(&ask(&right)).await;
    assert_eq!(answer.status, 200, "N27");
    assert_eq!(answer.text(), "<script>alert(1)</script>", "N27");
    assert!(
        answer
            .header("content-type")
            .unwrap()
            .starts_with("text/plain"),
        "N27"
    );
    assert_eq!(
        answer.header("x-content-type-options"),
        Some("nosniff"),
        "N27"
    );
    let token =
        |token: &str| format!("hub.mode=subscribe&hub.verify_token={token}&hub.challenge=1");
    let unasked = format!("hub.verify_token={SECRET}&hub.challenge=1");
    for (name, query, wanted) in [
        ("wrong", token(&format!("{SECRET}x")), 403),
        ("empty", token(""), 403),
        ("none", "hub.mode=subscribe&hub.challenge=1".to_owned(), 403),
        ("twice", format!("hub.verify_token=x&{right}"), 401),
        ("no challenge of the scheme", unasked, 401),
    ] {
        let answer = stage.daemon.send(&ask(&query)).await;
        assert_eq!(answer.status, wanted, "N26 {name}");
    }
}

#[tokio::test]
async fn a_compressed_body_is_verified_as_its_scheme_says() {
    let stage = Stage::set("").await;
    let plain = b"{\"type\":\"compressed\"}";
    let packed = gzip(plain);
    for (source, signed, wanted) in [
        ("wire", packed.as_slice(), 200),
        ("wire", plain, 401),
        ("decoded", plain, 200),
        ("decoded", packed.as_slice(), 401),
    ] {
        let message = stage
            .daemon
            .signed(source, SECRET, "", signed)
            .body(packed.clone())
            .with("content-encoding", "gzip");
        let answer = stage.daemon.send(&message).await;
        let what = if signed == plain { "decoded" } else { "wire" };
        assert_eq!(answer.status, wanted, "N38 {source}, {what} bytes signed");
    }
    for received in stage.plain.wait_for(2).await {
        assert_eq!(received.body.as_ref(), plain, "N38");
        assert_eq!(received.header("content-encoding"), "", "N38");
    }
}

#[tokio::test]
async fn no_content_is_refused() {
    let stage = Stage::set("").await;
    let bodies: [(&str, &[u8]); 4] = [
        ("N41", b"\xff\xfe{\"type\":\"\xc3\x28\"}"),
        ("N42", b"{\"type\":\"cut"),
        ("empty", b""),
        ("N43", b"{\"type\":\"first\",\"type\":\"last\"}"),
    ];
    for (name, body) in bodies {
        let answer = stage
            .daemon
            .send(&stage.daemon.signed("wire", SECRET, "", body))
            .await;
        assert_eq!(answer.status, 200, "{name}");
        let id = answer.json()["id"].as_str().unwrap().to_owned();
        let event = stage
            .daemon
            .admin_get(&format!("/api/v1/events/{id}"))
            .await
            .json();
        let wanted = if name == "N43" { "last" } else { "unknown" };
        assert_eq!(event["type"], wanted, "{name}: {event}");
    }
    let mut received: Vec<_> = stage
        .plain
        .wait_for(4)
        .await
        .into_iter()
        .map(|r| r.body)
        .collect();
    let mut sent = bodies.map(|(_, body)| body);
    received.sort_unstable();
    sent.sort_unstable();
    assert_eq!(received, sent);
    // What is not JSON is parked where the route has a template.
    let shaped = stage.shaped.wait_for(1).await;
    assert_eq!(shaped[0].body.as_ref(), b"{\"seen\":\"last\"}", "N43");
    let dead = stage
        .daemon
        .admin_get("/api/v1/deliveries?state=dead&target=shaped")
        .await;
    assert_eq!(
        dead.text().matches("not_json").count(),
        3,
        "N41, N42: {}",
        dead.text()
    );
    stage.daemon.stop().await;
    assert_eq!(stage.shaped.received().len(), 1);
}

#[tokio::test]
async fn a_signed_address_is_the_configured_one() {
    let stage = Stage::set("").await;
    let source = stage.daemon.source("url");
    let sign_for = |url: &str| {
        let outbound = Outbound {
            id: "",
            timestamp: Timestamp::now(),
            method: &http::Method::POST,
            url,
            event_type: "",
            body: b"{}",
        };
        let key = source
            .checks
            .first()
            .scheme
            .signing_key(&Secret::new(SECRET))
            .unwrap();
        let headers = signature::sign(&source.checks.first().scheme, &[key], &outbound).unwrap();
        let value = headers[0].1.as_bytes().to_vec();
        Message::post("/in/url?b=2&a=1", "{}").with(headers[0].0.as_str(), value)
    };
    let spoofed =
        sign_for("https://evil.example/in/url?a=1&b=2").with("x-forwarded-host", "evil.example");
    for (name, message, wanted) in [
        ("N44", spoofed, 401),
        ("N45", sign_for("https://hooks.example/in/url?b=2&a=1"), 401),
        (
            "as configured",
            sign_for("https://hooks.example/in/url?a=1&b=2"),
            200,
        ),
    ] {
        assert_eq!(stage.daemon.send(&message).await.status, wanted, "{name}");
    }
}

#[tokio::test]
async fn unmatched_events_are_kept_or_dropped() {
    for (setting, kept) in [("keep", 1), ("drop", 0)] {
        let stage = Stage::set(&format!("unmatched: {setting}\n")).await;
        // No route is from this source.
        let message = stage.daemon.signed("meta", SECRET, "", "{}");
        assert_eq!(stage.daemon.send(&message).await.status, 200, "{setting}");
        let events = stage.daemon.admin_get("/api/v1/events").await.text();
        assert_eq!(
            events.matches("\"meta\"").count(),
            kept,
            "{setting}: {events}"
        );
        let dropped = stage
            .daemon
            .metric("ingate_events_dropped_total{source=\"meta\",reason=\"unmatched\"}")
            .await;
        assert!(
            (dropped - f64::from(kept == 0)).abs() < f64::EPSILON,
            "{setting}"
        );
        stage.daemon.stop().await;
    }
}

#[tokio::test]
async fn what_the_store_cannot_take_is_asked_for_again() {
    let stage = Stage::set("store: {min_free: 1000TiB}\n").await;
    let message = stage.good("wire", "later");
    let answer = stage.daemon.send(&message).await;
    assert_eq!(answer.status, 503);
    assert!(answer.header("retry-after").unwrap().parse::<u32>().is_ok());
    assert!(answer.json()["error"].is_string());
    stage.daemon.stop().await;

    let config = config(&stage.plain, &stage.shaped, "");
    let daemon = Daemon::start(stage.folder.path(), &config).await;
    let answer = daemon.send(&message).await;
    assert_eq!(answer.status, 200, "N33");
    assert_eq!(answer.json()["duplicate"], false, "N33");
    stage.plain.wait_for(1).await;
    daemon.stop().await;
}
