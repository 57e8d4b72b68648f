//! What an operator sees while it happens, over a whole daemon: the stream, the last attempts, what failed
//! verification; and what outlasts a restart: a pause.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;

use crate::contract::Contract;
use crate::support::{Answer, Daemon, Peer, Turn, wait_until};

const SECRET: &str = "a-plain-test-secret-of-40-characters-xyz";

fn config(peer: &Peer) -> String {
    format!(
        "sources: {{s: {{preset: hmac, secrets: [{{value: {SECRET}}}]}}}}\n\
         targets: {{erp: {{url: \"{}\", retry: {{schedule: [50ms]}}}}}}\n\
         routes: [{{name: all, from: s, to: erp}}]\n",
        peer.url()
    )
}

async fn start(folder: &Path, peer: &Peer) -> Daemon {
    Daemon::start_reloading(folder, &config(peer)).await
}

/// An answer that fits the document, as JSON.
fn held(verb: &str, path: &str, answer: &Answer) -> Value {
    let contract = Contract::load();
    let content_type = answer.header("content-type");
    let fits = contract.check(verb, path, answer.status, content_type, &answer.body);
    assert_eq!(fits, Ok(()));
    answer.json()
}

async fn get(daemon: &Daemon, path: &str) -> Value {
    held("GET", path, &daemon.admin_get(path).await)
}

async fn stream(daemon: &Daemon) -> Lines<BufReader<TcpStream>> {
    let mut stream = TcpStream::connect(daemon.admin).await.unwrap();
    let head = format!(
        "GET /api/v1/stream HTTP/1.1\r\nHost: {}\r\n\r\n",
        daemon.admin
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut lines = BufReader::new(stream).lines();
    while line(&mut lines).await.as_deref() != Some(":") {}
    lines
}

async fn line(lines: &mut Lines<BufReader<TcpStream>>) -> Option<String> {
    let line = tokio::time::timeout(Duration::from_secs(20), lines.next_line());
    line.await.unwrap().unwrap()
}

/// The next of the stream: its name and its data.
async fn next(lines: &mut Lines<BufReader<TcpStream>>) -> Option<(String, Value)> {
    let mut name = String::new();
    loop {
        let line = line(lines).await?;
        if let Some(text) = line.strip_prefix("event: ") {
            text.clone_into(&mut name);
        } else if let Some(text) = line.strip_prefix("data: ") {
            return Some((name, serde_json::from_str(text).unwrap()));
        }
    }
}

#[tokio::test]
async fn what_happens_is_seen_while_it_happens() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::start([Turn::Status(503)]).await;
    let daemon = start(folder.path(), &peer).await;
    let mut seen = stream(&daemon).await;
    let message = daemon.signed("s", SECRET, "msg_1", "{\"n\":1}");
    let id = daemon.send(&message).await.json()["id"].clone();
    let forged = message.clone().body("{\"n\":2}");
    assert_eq!(daemon.send(&forged).await.status, 401);
    assert_eq!(
        daemon.send(&message).await.status,
        200,
        "a repetition is no news"
    );

    let (name, event) = next(&mut seen).await.unwrap();
    assert_eq!((name.as_str(), &event["id"]), ("event", &id));
    for (result, state) in [("status 503", "pending"), ("status 200", "delivered")] {
        let (name, attempt) = next(&mut seen).await.unwrap();
        assert_eq!((name.as_str(), &attempt["event"]), ("attempt", &id));
        assert_eq!(
            (attempt["result"].as_str(), attempt["state"].as_str()),
            (Some(result), Some(state))
        );
    }
    let attempts = get(&daemon, "/api/v1/attempts?target=erp&ok=true").await;
    assert_eq!(attempts["items"].as_array().unwrap().len(), 1);
    let failures = get(&daemon, "/api/v1/sources/s/failures").await;
    assert_eq!(failures["items"][0]["reason"], "signature_mismatch");
    assert_eq!(failures["items"][0]["client"], "127.0.0.1");
    let source = get(&daemon, "/api/v1/sources/s").await;
    let minute = &source["last_minute"];
    assert_eq!(
        (&minute["received"], &minute["duplicates"]),
        (&2.into(), &1.into())
    );
    assert_eq!(
        (&minute["unverified"], &source["failures"]),
        (&1.into(), &1.into())
    );
    let minute = &get(&daemon, "/api/v1/targets/erp").await["last_minute"];
    assert_eq!(
        (&minute["succeeded"], &minute["failed"]),
        (&1.into(), &1.into())
    );
    wait_until("a step of the series has ended", async || {
        let series = get(&daemon, "/api/v1/series").await;
        series["received"]
            .as_array()
            .is_some_and(|column| column.contains(&2.into()))
    })
    .await;
    assert_eq!(
        get(&daemon, "/api/v1/openapi.json").await["openapi"],
        "3.1.0"
    );
    daemon.stop().await;
    assert_eq!(next(&mut seen).await, None, "it has ended with the daemon");
}

#[tokio::test]
async fn a_pause_outlasts_a_restart_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::start([]).await;
    let daemon = start(folder.path(), &peer).await;
    let path = "/api/v1/targets/erp/pause";
    let paused = held("POST", path, &daemon.admin_post(path).await)["paused"].clone();
    assert_eq!(paused["by"], "operator from 127.0.0.1");
    let message = daemon.signed("s", SECRET, "msg_1", "{\"n\":1}");
    assert_eq!(daemon.send(&message).await.status, 200);
    daemon.stop().await;
    let daemon = start(folder.path(), &peer).await;
    let shown = async || get(&daemon, "/api/v1/targets/erp").await;
    wait_until("the pause is known", async || {
        shown().await["paused"] == paused
    })
    .await;
    assert_eq!(shown().await["pending"], 1);
    assert_eq!(
        daemon.metric("ingate_target_paused{target=\"erp\"}").await,
        1.0
    );
    assert!(peer.received().is_empty());
    let path = "/api/v1/targets/erp/probe";
    let probe = held("POST", path, &daemon.admin_post(path).await);
    assert_eq!(
        (&probe["reachable"], &probe["hurried"]),
        (&true.into(), &false.into())
    );
    let path = "/api/v1/targets/erp/resume";
    let resumed = held("POST", path, &daemon.admin_post(path).await);
    assert!(resumed["paused"].is_null());
    wait_until("it is delivered", async || shown().await["pending"] == 0).await;
    assert_eq!(peer.received().len(), 1);
    daemon.stop().await;
}
