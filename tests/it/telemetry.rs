//! Traces at a collector: what is sent there, that it belongs together over queue, retries and restarts, and that nothing
//! waits for it. The collector is a stand-in that keeps what it gets; what it got is read as the protocol's JSON form has it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Daemon, Message, Peer, Received, Turn, log, wait_until};

const SECRET: &str = "a-plain-test-secret-of-40-characters-xyz";
const KEY: &str = "Bearer the-key-of-the-collector";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// Sources, one target for each peer, and a collector at this URL.
fn config(collector: &str, more: &str, peers: &[&Peer]) -> String {
    let targets: String = peers
        .iter()
        .enumerate()
        .map(|(i, peer)| {
            let url = peer.url();
            format!("  t{i}: {{url: \"{url}?key=hidden\", retry: {{schedule: [10ms]}}}}\n")
        })
        .collect();
    let names: Vec<String> = (0..peers.len()).map(|i| format!("t{i}")).collect();
    format!(
        "telemetry:\n\
         \x20 otlp:\n\
         \x20   endpoint: \"{collector}\"\n\
         \x20   headers: {{authorization: {{value: {KEY}}}, x-tenant: acme}}\n\
         {more}\
         sources:\n\
         \x20 open: {{preset: hmac, secrets: [{{value: {SECRET}}}]}}\n\
         \x20 ours: {{preset: hmac, secrets: [{{value: {SECRET}}}], trust_trace: true}}\n\
         targets:\n{targets}\
         routes: [{{name: all, from: [open, ours], to: [{}]}}]\n",
        names.join(", ")
    )
}

fn base(peer: &Peer) -> String {
    format!("http://{}", peer.addr)
}

/// A span as a collector reads it.
#[derive(Debug, Clone)]
struct Seen {
    trace: String,
    id: String,
    parent: String,
    kind: u64,
    name: String,
    began: u64,
    ended: u64,
    failed: bool,
    flags: u64,
    links: Vec<(String, String)>,
    attributes: BTreeMap<String, String>,
    resource: BTreeMap<String, String>,
}

impl Seen {
    fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }
}

/// The attributes of something; numbers are texts that are numbers.
fn attributes(of: &Value) -> BTreeMap<String, String> {
    let all = of["attributes"].as_array().unwrap().iter();
    all.map(|attribute| {
        let value = attribute["value"].as_object().unwrap();
        assert_eq!(value.len(), 1, "{attribute}");
        let (form, value) = value.iter().next().unwrap();
        let text = match form.as_str() {
            "stringValue" => value.as_str().unwrap().to_owned(),
            "intValue" => value.as_str().unwrap().parse::<i64>().unwrap().to_string(),
            "boolValue" => value.as_bool().unwrap().to_string(),
            other => panic!("{other} in {attribute}"),
        };
        (attribute["key"].as_str().unwrap().to_owned(), text)
    })
    .collect()
}

/// An id of so many bytes that is not zero.
fn id(value: &Value, bytes: usize) -> String {
    let id = value.as_str().unwrap_or_else(|| panic!("{value} is no id"));
    assert_eq!(id.len(), bytes * 2, "{id}");
    let hex = |c: char| matches!(c, '0'..='9' | 'a'..='f');
    assert!(id.chars().all(hex) && id.chars().any(|c| c != '0'), "{id}");
    id.to_owned()
}

fn nanoseconds(value: &Value) -> u64 {
    value.as_str().unwrap().parse().unwrap()
}

/// The spans of one request to the collector.
fn spans(request: &Received) -> Vec<Seen> {
    assert_eq!(request.path, "/v1/traces");
    assert_eq!(request.method, "POST");
    assert_eq!(request.header("content-type"), "application/json");
    assert_eq!(request.header("authorization"), KEY);
    assert_eq!(request.header("x-tenant"), "acme");
    let body = request.json();
    let [resource] = &body["resourceSpans"].as_array().unwrap()[..] else {
        panic!("{body}");
    };
    let [scope] = &resource["scopeSpans"].as_array().unwrap()[..] else {
        panic!("{body}");
    };
    assert_eq!(scope["scope"]["name"], "ingate");
    let about = attributes(&resource["resource"]);
    let all = scope["spans"].as_array().unwrap().iter();
    all.map(|span| {
        let links = span["links"].as_array().into_iter().flatten();
        let parent = &span["parentSpanId"];
        Seen {
            trace: id(&span["traceId"], 16),
            id: id(&span["spanId"], 8),
            parent: match parent {
                Value::Null => String::new(),
                parent => id(parent, 8),
            },
            kind: span["kind"].as_u64().unwrap(),
            name: span["name"].as_str().unwrap().to_owned(),
            began: nanoseconds(&span["startTimeUnixNano"]),
            ended: nanoseconds(&span["endTimeUnixNano"]),
            failed: span["status"]["code"] == 2,
            flags: span["flags"].as_u64().unwrap(),
            links: links
                .map(|link| (id(&link["traceId"], 16), id(&link["spanId"], 8)))
                .collect(),
            attributes: attributes(span),
            resource: about.clone(),
        }
    })
    .collect()
}

/// All spans that a collector has.
fn all_spans(collector: &Peer) -> Vec<Seen> {
    collector.received().iter().flat_map(spans).collect()
}

/// The one server span and the others, by when they began.
fn parts(mut spans: Vec<Seen>) -> (Seen, Vec<Seen>) {
    spans.sort_by_key(|span| span.began);
    let (mut servers, others): (Vec<_>, Vec<_>) = spans.into_iter().partition(|s| s.kind == 2);
    assert_eq!(servers.len(), 1, "{servers:?}");
    (servers.remove(0), others)
}

/// Sends a message with these headers; gives back the event's id, when all of it is delivered.
async fn deliver(daemon: &Daemon, source: &str, n: u32, headers: &[(&str, &str)]) -> String {
    let id = accept(daemon, source, n, headers).await;
    let path = format!("/api/v1/events/{id}");
    wait_until("all is delivered", async || {
        let shown = daemon.admin_get(&path).await.json();
        let mut all = shown["deliveries"].as_array().unwrap().iter();
        all.all(|delivery| delivery["state"] == "delivered")
    })
    .await;
    id
}

async fn accept(daemon: &Daemon, source: &str, n: u32, headers: &[(&str, &str)]) -> String {
    let mut message: Message = daemon.signed(source, SECRET, "", format!("{{\"n\":{n}}}"));
    for (name, value) in headers {
        message = message.with(name, *value);
    }
    let answer = daemon.send(&message).await;
    assert_eq!(answer.status, 200);
    answer.json()["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_request_and_its_attempts_are_one_trace_at_the_collector() {
    let collector = Peer::start([]).await;
    let first = Peer::start([Turn::Status(503)]).await;
    let second = Peer::start([]).await;
    let folder = tempfile::tempdir().unwrap();
    let text = config(&base(&collector), "", &[&first, &second]);
    let daemon = Daemon::start(folder.path(), &text).await;
    let inbound = format!("00-{TRACE}-{PARENT}-01");
    let event = deliver(&daemon, "open", 1, &[("traceparent", &inbound)]).await;
    // Within some seconds, while the daemon goes on.
    wait_until("the spans are there", async || {
        all_spans(&collector).len() >= 4
    })
    .await;
    let metric = "ingate_trace_spans_total{result=\"sent\"}";
    wait_until("the spans are counted", async || {
        daemon.metric(metric).await >= 4.0
    })
    .await;
    daemon.stop().await;

    let (server, attempts) = parts(all_spans(&collector));
    assert_eq!(server.trace, event.replace('-', ""));
    assert_eq!(server.parent, "");
    // The trace of a sender that is not trusted is linked, not continued.
    assert_eq!(server.links, [(TRACE.to_owned(), PARENT.to_owned())]);
    assert_eq!(server.name, "POST /in/open");
    for (name, value) in [
        ("http.request.method", "POST"),
        ("http.route", "/in/open"),
        ("url.path", "/in/open"),
        ("http.response.status_code", "200"),
        ("client.address", "127.0.0.1"),
        ("ingate.source", "open"),
        ("ingate.result", "accepted"),
        ("ingate.event.id", &event),
        ("error.type", ""),
    ] {
        assert_eq!(server.attribute(name), value, "{name}");
    }
    for (name, value) in [
        ("service.name", "ingate"),
        ("service.version", env!("CARGO_PKG_VERSION")),
        ("telemetry.sdk.language", "rust"),
    ] {
        assert_eq!(server.resource[name], value, "{name}");
    }
    assert!(!server.failed && server.ended >= server.began, "{server:?}");

    assert_eq!(attempts.len(), 3, "{attempts:?}");
    for attempt in &attempts {
        assert_eq!((attempt.kind, attempt.name.as_str()), (3, "POST"));
        assert_eq!(attempt.trace, server.trace);
        assert_eq!(attempt.parent, server.id);
        assert_eq!(attempt.flags & 0x301, 0x101, "recorded, parent not remote");
        assert!(attempt.ended >= attempt.began && attempt.links.is_empty());
        let target = attempt.attribute("ingate.target");
        let peer = if target == "t0" { &first } else { &second };
        for (name, value) in [
            ("http.request.method", "POST"),
            ("server.address", "127.0.0.1"),
            ("server.port", &peer.addr.port().to_string()),
            ("url.scheme", "http"),
            ("ingate.source", "open"),
            ("ingate.route", "all"),
            ("ingate.event.id", &event),
        ] {
            assert_eq!(attempt.attribute(name), value, "{name}");
        }
        // What the target was sent names this very span.
        let number: usize = attempt.attribute("ingate.attempt").parse().unwrap();
        let sent = &peer.received()[number - 1];
        let wanted = format!("00-{}-{}-01", attempt.trace, attempt.id);
        assert_eq!(sent.header("traceparent"), wanted);
        assert_eq!(
            sent.header("webhook-id"),
            attempt.attribute("ingate.delivery.id")
        );
        let (status, error, next, again) = match (target, number) {
            ("t0", 1) => ("503", "503", "retry", ""),
            ("t0", 2) => ("200", "", "done", "1"),
            _ => ("200", "", "done", ""),
        };
        assert_eq!(attempt.attribute("http.response.status_code"), status);
        assert_eq!(attempt.attribute("error.type"), error);
        assert_eq!(attempt.failed, !error.is_empty());
        assert_eq!(attempt.attribute("ingate.next"), next);
        assert_eq!(attempt.attribute("http.request.resend_count"), again);
    }
    for request in collector.received() {
        let text = String::from_utf8(request.body.to_vec()).unwrap();
        assert!(!text.contains("hidden") && !text.contains(SECRET), "{text}");
    }
    assert!(!log().contains(KEY));
}

#[tokio::test]
async fn attempts_after_a_restart_belong_to_the_request_before_it() {
    let collector = Peer::start([]).await;
    let peer = Peer::start([]).await;
    peer.set_down(true);
    let folder = tempfile::tempdir().unwrap();
    let text = config(&base(&collector), "", &[&peer]).replace("[10ms]", "[1s]");
    let daemon = Daemon::start(folder.path(), &text).await;
    let event = accept(&daemon, "open", 1, &[]).await;
    wait_until("an attempt has failed", async || {
        let shown = daemon.admin_get(&format!("/api/v1/events/{event}")).await;
        shown.json()["deliveries"][0]["attempts"] != 0
    })
    .await;
    daemon.stop().await;
    let (server, before) = parts(all_spans(&collector));
    assert!(!before.is_empty());
    let failure = before[0].attribute("error.type");
    assert!(["closed", "connect"].contains(&failure), "{failure}");
    assert_eq!(before[0].attribute("http.response.status_code"), "");
    assert!(before[0].failed);

    peer.set_down(false);
    let seen = collector.received().len();
    let daemon = Daemon::start(folder.path(), &text).await;
    peer.wait_for(1).await;
    daemon.stop().await;
    let after: Vec<Seen> = collector.received()[seen..]
        .iter()
        .flat_map(spans)
        .collect();
    let [last] = &after[..] else {
        panic!("{after:?}");
    };
    assert_eq!(last.trace, server.trace);
    assert_eq!(last.parent, server.id);
    assert_ne!(last.id, before[0].id);
    assert_eq!(last.attribute("ingate.event.id"), event);
    let instance = "service.instance.id";
    assert_ne!(last.resource[instance], server.resource[instance]);
}

#[tokio::test]
async fn a_trusted_trace_is_continued_and_recorded_as_its_sender_does() {
    let collector = Peer::start([]).await;
    let peer = Peer::start([]).await;
    let folder = tempfile::tempdir().unwrap();
    // Nothing of our own is recorded.
    let text = config(&base(&collector), "    sample: 0\n", &[&peer]);
    let daemon = Daemon::start(folder.path(), &text).await;
    let on = format!("00-{TRACE}-{PARENT}-01");
    let off = format!("00-{}-{PARENT}-00", TRACE.replace('4', "5"));
    let own = deliver(&daemon, "open", 1, &[("traceparent", &on)]).await;
    let event = deliver(
        &daemon,
        "ours",
        2,
        &[("traceparent", &on), ("tracestate", "a=1")],
    )
    .await;
    deliver(&daemon, "ours", 3, &[("traceparent", &off)]).await;
    daemon.stop().await;
    let (server, attempts) = parts(all_spans(&collector));
    assert_eq!(
        (server.trace.as_str(), server.parent.as_str()),
        (TRACE, PARENT)
    );
    assert_eq!(server.flags & 0x301, 0x301, "recorded, parent remote");
    assert!(server.links.is_empty());
    assert_eq!(server.attribute("ingate.event.id"), event);
    let [attempt] = &attempts[..] else {
        panic!("{attempts:?}");
    };
    assert_eq!(attempt.trace, TRACE);
    assert_eq!(attempt.parent, server.id);
    let received = peer.received();
    let sent: Vec<&str> = received.iter().map(|r| r.header("traceparent")).collect();
    assert!(sent[0].starts_with(&format!("00-{}-", own.replace('-', ""))));
    // Targets are told whether it is recorded.
    let flags: Vec<&str> = sent.iter().map(|s| s.rsplit('-').next().unwrap()).collect();
    assert_eq!(flags, ["00", "01", "00"]);
}

#[tokio::test]
async fn requests_that_bring_no_event_have_traces_of_their_own() {
    let collector = Peer::start([]).await;
    let peer = Peer::start([]).await;
    let folder = tempfile::tempdir().unwrap();
    let text = config(&base(&collector), "", &[&peer]);
    let daemon = Daemon::start(folder.path(), &text).await;
    let event = deliver(&daemon, "ours", 1, &[]).await;
    let inbound = format!("00-{TRACE}-{PARENT}-01");
    let again = accept(&daemon, "ours", 1, &[("traceparent", &inbound)]).await;
    assert_eq!(again, event, "a duplicate");
    let bad = daemon.signed("ours", "wrong", "", "{}");
    let bad = bad.with("traceparent", inbound.as_bytes());
    assert_eq!(daemon.send(&bad).await.status, 401);
    let nowhere = Message::post("/in/nowhere", "{}");
    assert_eq!(daemon.send(&nowhere).await.status, 404);
    daemon.stop().await;
    let mut spans = all_spans(&collector);
    spans.sort_by_key(|span| span.began);
    spans.retain(|span| span.kind == 2);
    let results: Vec<&str> = spans.iter().map(|s| s.attribute("ingate.result")).collect();
    assert_eq!(results.len(), 3, "{results:?}");
    assert_eq!(&results[..2], ["accepted", "duplicate"]);
    let (first, twin, refused) = (&spans[0], &spans[1], &spans[2]);
    assert_eq!(twin.attribute("ingate.event.id"), event);
    assert_eq!(twin.attribute("ingate.duplicate"), "true");
    assert_eq!((twin.trace.as_str(), twin.parent.as_str()), (TRACE, PARENT));
    assert_ne!(twin.id, first.id);
    // Who is not proven is not trusted either, and what a sender does wrong is no failure of ours.
    assert_ne!(refused.trace, TRACE);
    assert_eq!(refused.links, [(TRACE.to_owned(), PARENT.to_owned())]);
    assert_eq!(refused.attribute("http.response.status_code"), "401");
    assert_eq!(refused.attribute("error.type"), results[2]);
    assert_eq!(refused.attribute("ingate.event.id"), "");
    assert!(!refused.failed);
}

#[tokio::test]
async fn a_batch_is_sent_again_where_that_may_help() {
    let collector = Peer::start([
        Turn::Status(503),
        Turn::With(429, vec![("retry-after", "0".to_owned())]),
        Turn::Status(200),
        Turn::Status(400),
    ])
    .await;
    let peer = Peer::start([]).await;
    let folder = tempfile::tempdir().unwrap();
    let text = config(&base(&collector), "", &[&peer]);
    let daemon = Daemon::start(folder.path(), &text).await;
    deliver(&daemon, "open", 1, &[]).await;
    let requests = collector.wait_for(3).await;
    for request in &requests[1..] {
        assert_eq!(request.body, requests[0].body);
    }
    let count = async |result: &str| {
        let series = format!("ingate_trace_spans_total{{result=\"{result}\"}}");
        daemon.metric(&series).await
    };
    wait_until("they are counted", async || count("sent").await == 2.0).await;
    deliver(&daemon, "open", 2, &[]).await;
    wait_until("what is not wanted is counted", async || {
        count("refused").await == 2.0
    })
    .await;
    assert_eq!(collector.received().len(), 4);
    assert!(log().contains("the collector answers 400"));
    daemon.stop().await;
}

#[tokio::test]
async fn a_collector_that_is_down_or_slow_keeps_nobody_waiting() {
    let gone = Peer::start([]).await;
    let address = gone.addr;
    gone.stop().await;
    let slow = Peer::start(vec![Turn::Hang; 100]).await;
    for url in [format!("http://{address}"), base(&slow)] {
        let peer = Peer::start([]).await;
        let folder = tempfile::tempdir().unwrap();
        let text = config(&url, "", &[&peer]) + "limits: {drain: 2s}\n";
        let daemon = Daemon::start(folder.path(), &text).await;
        accept(&daemon, "open", 0, &[]).await;
        if url == base(&slow) {
            // From here on the exporter waits for an answer.
            slow.wait_for(1).await;
        }
        let start = Instant::now();
        for n in 1..40 {
            accept(&daemon, "open", n, &[]).await;
        }
        peer.wait_for(40).await;
        assert!(start.elapsed() < Duration::from_secs(8), "{url}");
        let stop = Instant::now();
        daemon.stop().await;
        // Its drain and the time that the store takes.
        let took = stop.elapsed();
        assert!(took < Duration::from_millis(3500), "{url}: {took:?}");
    }
    assert!(!slow.received().is_empty());
}

#[tokio::test]
async fn a_reload_begins_and_ends_it() {
    let collector = Peer::start([]).await;
    let peer = Peer::start([]).await;
    let folder = tempfile::tempdir().unwrap();
    let with = config(&base(&collector), "", &[&peer]);
    let without = format!("sources:{}", with.split_once("sources:").unwrap().1);
    let daemon = Daemon::start_reloading(folder.path(), &without).await;
    deliver(&daemon, "open", 1, &[]).await;
    let reload = async |text: &str| {
        let path = folder.path().join("config.yaml");
        let whole = std::fs::read_to_string(&path).unwrap();
        let at = whole.find("telemetry:").or_else(|| whole.find("sources:"));
        std::fs::write(&path, format!("{}{text}", &whole[..at.unwrap()])).unwrap();
        let answer = daemon.admin_post("/api/v1/reload").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    reload(&with).await;
    let event = deliver(&daemon, "open", 2, &[]).await;
    wait_until("spans come", async || all_spans(&collector).len() == 2).await;
    reload(&without).await;
    deliver(&daemon, "open", 3, &[]).await;
    daemon.stop().await;
    let spans = all_spans(&collector);
    assert_eq!(spans.len(), 2, "{spans:?}");
    for span in spans {
        assert_eq!(span.attribute("ingate.event.id"), event);
    }
}
