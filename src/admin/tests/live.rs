//! What goes on now and lately: series, the last attempts, the stream, sources and what failed at them.

use std::net::IpAddr;

use http::Method;
use tokio::io::{AsyncBufReadExt, BufReader};

use super::*;
use crate::delivery::{AttemptResult, StateKind};
use crate::id::EventId;
use crate::live::{AttemptNews, EventNews, Failed, Inbound, News, Waiting};
use crate::signature::VerifyError;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

fn attempt(target: &str, result: AttemptResult) -> News {
    let (state, due_at) = if result.is_success() {
        (StateKind::Delivered, None)
    } else {
        (StateKind::Pending, Some(Timestamp::UNIX_EPOCH))
    };
    News::Attempt(AttemptNews {
        delivery: DeliveryId::generate(),
        event: EventId::generate(),
        source: "wreno".parse().unwrap(),
        event_type: "vendor.updated".to_owned(),
        route: "all".parse().unwrap(),
        target: target.parse().unwrap(),
        number: 1,
        started_at: Timestamp::UNIX_EPOCH,
        took: Duration::from_millis(1500),
        result,
        state,
        due_at,
    })
}

fn event(event_type: &str, target: &str) -> News {
    let (route, target) = ("all".parse().unwrap(), target.parse().unwrap());
    News::Event(EventNews {
        id: EventId::generate(),
        source: "wreno".parse().unwrap(),
        message_id: Some("m\n1".to_owned()),
        event_type: event_type.to_owned(),
        received_at: Timestamp::UNIX_EPOCH,
        size: 7,
        deliveries: vec![(DeliveryId::generate(), route, target)],
    })
}

/// A stream that is read.
struct Stream {
    lines: tokio::io::Lines<BufReader<TcpStream>>,
    head: String,
}

/// What came by a stream: id, name and data.
#[derive(Debug)]
struct Came {
    id: Option<String>,
    name: String,
    data: Value,
}

impl Open {
    async fn stream(&self, query: &str, more: &str) -> Stream {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let mut lines = BufReader::new(stream);
        let head = format!("GET /api/v1/stream{query} HTTP/1.1\r\nhost: localhost\r\n{more}\r\n");
        lines.get_mut().write_all(head.as_bytes()).await.unwrap();
        let mut stream = Stream {
            lines: lines.lines(),
            head: String::new(),
        };
        loop {
            let line = stream.line().await.unwrap();
            if line.is_empty() {
                return stream;
            }
            stream.head.push_str(&line.to_lowercase());
            stream.head.push('\n');
        }
    }
}

impl Stream {
    /// The next line without its end; `None` once all is read.
    async fn line(&mut self) -> Option<String> {
        let line = tokio::time::timeout(PATIENCE, self.lines.next_line());
        line.await.unwrap().unwrap()
    }

    /// What comes next but comments; `None` once the stream has ended. Each is held against the document.
    async fn next(&mut self) -> Option<Came> {
        let (mut id, mut name) = (None, String::new());
        loop {
            let line = self.line().await?;
            if let Some(text) = line.strip_prefix("id: ") {
                id = Some(text.to_owned());
            } else if let Some(text) = line.strip_prefix("event: ") {
                name = text.to_owned();
            } else if let Some(text) = line.strip_prefix("data: ") {
                let schema = match name.as_str() {
                    "event" => "EventRow",
                    "attempt" => "AttemptRow",
                    "lost" => "Lost",
                    other => panic!("{other} came"),
                };
                let held = document::CONTRACT.check_schema(schema, text.as_bytes());
                assert_eq!(held, Ok(()));
                let data = serde_json::from_str(text).unwrap();
                return Some(Came { id, name, data });
            }
        }
    }

    /// Waits until the stream is open: until its first comment.
    async fn begun(&mut self) {
        while self.line().await.unwrap() != ":" {}
    }
}

#[tokio::test]
async fn a_stream_tells_what_happens_and_filters_it() {
    let door = open(None).await;
    let mut all = door.stream("", "").await;
    assert!(
        all.head.contains("content-type: text/event-stream"),
        "{}",
        all.head
    );
    assert!(all.head.contains("cache-control: no-store"), "{}", all.head);
    let mut failed = door.stream("?kinds=attempt&ok=false", "").await;
    let mut audit = door.stream("?target=audit&type=vendor.*", "").await;
    for stream in [&mut all, &mut failed, &mut audit] {
        stream.begun().await;
    }
    let feed = &door.live.feed;
    feed.tell(event("vendor.updated", "erp"));
    feed.tell(event("order.made", "audit"));
    feed.tell(event("vendor.made", "audit"));
    feed.tell(attempt("erp", AttemptResult::Status(200)));
    feed.tell(attempt("audit", AttemptResult::Failed(Failure::Timeout)));
    feed.tell(attempt("erp", AttemptResult::Status(503)));

    let mut seen = Vec::new();
    for _ in 0..6 {
        seen.push(all.next().await.unwrap());
    }
    let names: Vec<&str> = seen.iter().map(|came| came.name.as_str()).collect();
    assert_eq!(
        names,
        ["event", "event", "event", "attempt", "attempt", "attempt"]
    );
    assert_eq!(seen[0].data["message_id"], "m\n1");
    assert_eq!(seen[3].data["ok"], true);
    assert_eq!(seen[4].data["result"], "timeout");
    assert_eq!(seen[5].data["status"], 503);
    assert_eq!(seen[5].data["id"], json!(seen[5].id));

    for wanted in ["timeout", "status 503"] {
        assert_eq!(failed.next().await.unwrap().data["result"], wanted);
    }
    assert_eq!(audit.next().await.unwrap().data["type"], "vendor.made");
    assert_eq!(audit.next().await.unwrap().data["result"], "timeout");

    // One that comes back goes on where it was, and hears nothing twice.
    let behind = format!("last-event-id: {}\r\n", seen[3].id.as_ref().unwrap());
    let mut back = door.stream("", &behind).await;
    assert_eq!(back.next().await.unwrap().id, seen[4].id);
    assert_eq!(back.next().await.unwrap().id, seen[5].id);
    let mut stranger = door.stream("?kinds=event", "last-event-id: 1-5\r\n").await;
    let lost = stranger.next().await.unwrap();
    assert_eq!(
        (lost.name.as_str(), lost.data),
        ("lost", json!({"missed": null}))
    );
    assert_eq!(stranger.next().await.unwrap().id, seen[0].id);
    for (query, more) in [("?kinds=none", ""), ("", "last-event-id: x\r\n")] {
        let refused = door.stream(query, more).await;
        assert!(refused.head.starts_with("http/1.1 400"), "{}", refused.head);
    }
}

#[tokio::test]
async fn a_slow_reader_holds_nobody_up_and_is_told_what_it_has_missed() {
    let door = open(None).await;
    let mut slow = door.stream("", "").await;
    slow.begun().await;
    // More than sockets, buffers and the feed hold together.
    let long = "x".repeat(200);
    let told = 60_000;
    for _ in 0..told {
        door.live.feed.tell(event(&long, "erp"));
    }
    let mut heard = 0;
    let mut missed = 0;
    while heard + missed < told {
        let came = slow.next().await.unwrap();
        match came.name.as_str() {
            "lost" => missed += came.data["missed"].as_u64().unwrap(),
            _ => heard += 1,
        }
    }
    assert!(missed > 0 && heard > 0, "{heard} heard, {missed} missed");
    assert_eq!(heard + missed, told);
    door.live.feed.tell(event("after", "erp"));
    assert_eq!(slow.next().await.unwrap().data["type"], "after");
}

#[tokio::test]
async fn streams_end_at_shutdown_and_there_are_so_many() {
    let door = open(None).await;
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        let mut stream = door.stream("", "").await;
        stream.begun().await;
        streams.push(stream);
    }
    let head = "HEAD /api/v1/stream HTTP/1.1\r\nhost: localhost";
    assert_eq!(door.raw(head).await.status, 200, "it opens none");
    let refused = door.get("/api/v1/stream").await;
    assert_eq!(
        (refused.status, refused.json()["error"]["code"].as_str()),
        (503, Some("busy"))
    );
    assert!(refused.header("retry-after").is_some());
    // One that is gone makes room once something was to be written to it.
    drop(streams.pop());
    let freed = async {
        loop {
            door.live.feed.tell(event("x", "erp"));
            let stream = door.stream("", "").await;
            if stream.head.starts_with("http/1.1 200") {
                break stream;
            }
        }
    };
    streams.push(tokio::time::timeout(PATIENCE, freed).await.unwrap());
    door.shutdown.send(true).unwrap();
    for stream in &mut streams {
        while stream.next().await.is_some() {}
    }
    tokio::time::timeout(PATIENCE, door.serving)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn the_last_attempts_are_listed() {
    let door = open(None).await;
    for result in [
        AttemptResult::Status(200),
        AttemptResult::Unsendable(DeadReason::Render),
        AttemptResult::Failed(Failure::Egress),
    ] {
        door.live.feed.tell(event("x", "erp"));
        door.live.feed.tell(attempt("erp", result));
        door.live.feed.tell(attempt("audit", result));
    }
    let page = door.get("/api/v1/attempts?target=erp&limit=2").await.json();
    let results = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().unwrap().iter();
        items
            .map(|item| item["result"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(results(&page), ["egress", "render"]);
    let next = page["next"].as_str().unwrap();
    let page = door
        .get(&format!("/api/v1/attempts?target=erp&before={next}"))
        .await
        .json();
    assert_eq!(
        (results(&page), &page["next"]),
        (vec!["status 200".to_owned()], &Value::Null)
    );
    let page = door.get("/api/v1/attempts?ok=true").await.json();
    assert_eq!(page["items"].as_array().unwrap().len(), 2);
    for query in ["before=1", "state=dead", "limit=0"] {
        assert_eq!(
            door.get(&format!("/api/v1/attempts?{query}")).await.status,
            400
        );
    }
}

#[tokio::test]
async fn series_are_columns_for_charts() {
    let door = open(None).await;
    let (wreno, erp) = ("wreno".parse().unwrap(), "erp".parse().unwrap());
    let live = &door.live;
    live.tallies.inbound(Some(&wreno), Inbound::Routed);
    live.tallies
        .attempt(&erp, false, Duration::from_millis(1500));
    let now = door.clock.now();
    live.series
        .tick(now, [&wreno].into_iter(), [&erp].into_iter(), &live.tallies);
    let waiting = Waiting {
        target: erp,
        pending: 3,
        dead: 1,
        oldest: None,
    };
    live.series.step(now, &live.tallies, Some(&[waiting]));
    let got = door.get("/api/v1/series").await.json();
    assert_eq!(got["received"], json!([1]));
    assert_eq!(got["mean_attempt_seconds"], json!([1.5]));
    assert_eq!(
        (&got["pending"], &got["oldest_pending_seconds"]),
        (&json!([3]), &json!([null]))
    );
    assert_eq!(got["times"], json!([now.as_second()]));
    let got = door
        .get("/api/v1/series?window=24h&target=erp")
        .await
        .json();
    assert_eq!((&got["target"], &got["times"]), (&json!("erp"), &json!([])));
    let got = door.get("/api/v1/series?source=wreno").await.json();
    assert_eq!(got["failed"], json!([null]));
    assert_eq!(door.get("/api/v1/series?target=gone").await.status, 404);
    assert_eq!(
        door.get("/api/v1/series?target=erp&source=wreno")
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn sources_tell_what_failed_and_nothing_that_was_sent() {
    let door = open(None).await;
    let got = door.get("/api/v1/sources").await.json();
    let source = &got["items"][0];
    assert_eq!(
        (&source["name"], &source["scheme"]),
        (&json!("wreno"), &json!("hmac"))
    );
    assert_eq!(
        (&source["failures"], &source["routes"]),
        (&json!(0), &json!(["all"]))
    );
    let mut headers = HeaderMap::new();
    headers.insert("x-signature", HeaderValue::from_static("s3cret"));
    let client = IpAddr::from([10, 1, 2, 3]);
    for _ in 0..200 {
        let (error, now) = (VerifyError::SignatureMismatch, door.clock.now());
        let failed = Failed::new(now, &error, client, &Method::POST, &headers, 12);
        door.live.refused.note(&"wreno".parse().unwrap(), failed);
    }
    let got = door.get("/api/v1/sources/wreno").await.json();
    assert_eq!(
        (&got["failures"], &got["last_failure_at"]),
        (&json!(200), &json!("2026-02-03T04:05:06Z"))
    );
    let got = door.get("/api/v1/sources/wreno/failures").await;
    assert!(!got.body.contains("s3cret"));
    let failed = &got.json()["items"][0];
    let wanted = json!({
        "at": "2026-02-03T04:05:06Z", "reason": "signature_mismatch", "detail": "no signature fits the content",
        "client": "10.1.2.3", "method": "POST", "size_bytes": 12, "skew_seconds": null, "headers": ["x-signature"],
    });
    assert_eq!(failed, &wanted);
    for path in ["/api/v1/sources/gone", "/api/v1/sources/a%2Fb/failures"] {
        assert_eq!(door.get(path).await.status, 404);
    }
    assert_eq!(door.get("/api/v1/sources?limit=1").await.status, 400);
}

#[tokio::test]
async fn routes_are_shown_as_they_are_in_force() {
    let door = open(None).await;
    let got = door.get("/api/v1/routes").await.json();
    let wanted = json!({
        "name": "all", "from": ["wreno"], "match": [], "template": null, "template_hash": null, "schema": null,
        "to": ["erp", "audit", "off"], "tests": 0, "cases": false, "revive": "manual",
    });
    assert_eq!(got, json!({"items": [wanted], "next": null}));
    assert_eq!(door.get("/api/v1/routes?limit=1").await.status, 400);
}
