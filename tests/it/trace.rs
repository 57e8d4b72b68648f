//! Trace context over retries and fan-out: one trace an event, one id a request, continued only where the sender is
//! trusted.

use std::collections::BTreeSet;

use crate::support::{Daemon, Message, Peer, Received, Turn, log, wait_until};

const SECRET: &str = "a-plain-test-secret-of-40-characters-xyz";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

fn config(peers: &[&Peer]) -> String {
    let targets: String = peers
        .iter()
        .enumerate()
        .map(|(i, peer)| {
            format!(
                "  t{i}: {{url: \"{}\", retry: {{schedule: [10ms]}}}}\n",
                peer.url()
            )
        })
        .collect();
    let names: Vec<String> = (0..peers.len()).map(|i| format!("t{i}")).collect();
    format!(
        "sources:\n\
         \x20 open: {{preset: hmac, secrets: [{{value: {SECRET}}}]}}\n\
         \x20 ours: {{preset: hmac, secrets: [{{value: {SECRET}}}], trust_trace: true}}\n\
         targets:\n{targets}\
         routes: [{{name: all, from: [open, ours], to: [{}]}}]\n",
        names.join(", ")
    )
}

/// Trace id, parent id and flags of a request.
fn parts(request: &Received) -> (String, String, String) {
    assert_eq!(request.headers.get_all("traceparent").iter().count(), 1);
    let fields: Vec<&str> = request.header("traceparent").split('-').collect();
    let [version, trace, parent, flags] = fields[..] else {
        panic!("{fields:?}");
    };
    assert_eq!((version, trace.len(), parent.len()), ("00", 32, 16));
    assert_ne!(parent, "0".repeat(16));
    (trace.to_owned(), parent.to_owned(), flags.to_owned())
}

/// Sends a message with these headers by a source, and gives back the event's id and the requests that follow from it.
async fn sent(
    daemon: &Daemon,
    peers: &[&Peer],
    source: &str,
    headers: &[(&str, &str)],
) -> (String, Vec<Received>) {
    let before: Vec<usize> = peers.iter().map(|peer| peer.received().len()).collect();
    let body = format!("{{\"n\":{}}}", before.iter().sum::<usize>());
    let mut message: Message = daemon.signed(source, SECRET, "", body);
    for (name, value) in headers {
        message = message.with(name, *value);
    }
    let answer = daemon.send(&message).await;
    assert_eq!(answer.status, 200);
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/events/{id}");
    wait_until("all is delivered", async || {
        let shown = daemon.admin_get(&path).await.json();
        let mut all = shown["deliveries"].as_array().unwrap().iter();
        all.all(|delivery| delivery["state"] == "delivered")
    })
    .await;
    let fresh = peers.iter().zip(before);
    (
        id,
        fresh
            .flat_map(|(peer, n)| peer.received().split_off(n))
            .collect(),
    )
}

/// The line of the log in which all of this stands.
fn line(words: &[&str]) -> String {
    let log = log();
    let found = log
        .lines()
        .find(|line| words.iter().all(|word| line.contains(word)));
    found
        .unwrap_or_else(|| panic!("no line with {words:?} in\n{log}"))
        .to_owned()
}

#[tokio::test]
async fn all_requests_of_an_event_share_a_trace_and_each_has_its_own_id() {
    let first = Peer::start([Turn::Status(500), Turn::Status(500)]).await;
    let second = Peer::start([]).await;
    let peers = [&first, &second];
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &config(&peers)).await;

    let (id, requests) = sent(&daemon, &peers, "open", &[]).await;
    assert_eq!(requests.len(), 4, "three attempts and one");
    let own = id.replace('-', "");
    let mut parents = BTreeSet::new();
    for request in &requests {
        let (trace, parent, flags) = parts(request);
        assert_eq!((trace.as_str(), flags.as_str()), (own.as_str(), "01"));
        assert_eq!(request.header("tracestate"), "");
        assert!(parents.insert(parent), "{requests:?}");
    }
    line(&["request verified", &id, &format!("trace={own}")]);
    line(&["an attempt failed", &id, &format!("trace={own}")]);
    line(&["delivered", &id, &format!("trace={own}")]);
    daemon.stop().await;
}

#[tokio::test]
async fn a_trace_is_continued_with_trust_and_linked_without() {
    let first = Peer::start([Turn::Status(503)]).await;
    let second = Peer::start([]).await;
    let peers = [&first, &second];
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &config(&peers)).await;
    let inbound = format!("00-{TRACE}-{PARENT}-00");
    let headers = [
        ("traceparent", inbound.as_str()),
        ("tracestate", "rojo=1 , congo=t61"),
    ];

    let (id, requests) = sent(&daemon, &peers, "ours", &headers).await;
    assert_eq!(requests.len(), 3);
    for request in &requests {
        let (trace, parent, flags) = parts(request);
        assert_eq!((trace.as_str(), flags.as_str()), (TRACE, "00"));
        assert_ne!(parent, PARENT);
        assert_eq!(request.header("tracestate"), "rojo=1,congo=t61");
    }
    let said = line(&["request verified", &id, &format!("trace={TRACE}")]);
    assert!(!said.contains("linked_trace"), "{said}");

    let (id, requests) = sent(&daemon, &peers, "open", &headers).await;
    for request in &requests {
        let (trace, _, flags) = parts(request);
        assert_eq!((trace, flags.as_str()), (id.replace('-', ""), "01"));
        assert_eq!(request.header("tracestate"), "");
    }
    line(&["request verified", &id, &format!("linked_trace={inbound}")]);

    // What is not in order is as if it were not there, also of a trusted sender.
    for wrong in [
        format!("ff-{TRACE}-{PARENT}-01"),
        format!("00-{}-{PARENT}-01", "0".repeat(32)),
        format!("00-{TRACE}-{}-01", "0".repeat(16)),
        format!("00-{TRACE}-{PARENT}-01-more"),
        format!("00-{}-{PARENT}-01", TRACE.to_uppercase()),
    ] {
        let headers = [("traceparent", wrong.as_str()), ("tracestate", "rojo=1")];
        let (id, requests) = sent(&daemon, &peers, "ours", &headers).await;
        for request in &requests {
            assert_eq!(parts(request).0, id.replace('-', ""), "{wrong}");
            assert_eq!(request.header("tracestate"), "");
        }
    }
    let doubled = [
        ("traceparent", inbound.as_str()),
        ("Traceparent", inbound.as_str()),
    ];
    let (id, requests) = sent(&daemon, &peers, "ours", &doubled).await;
    assert_eq!(parts(&requests[0]).0, id.replace('-', ""));
    daemon.stop().await;
}
