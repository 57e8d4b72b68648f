//! Events that are numbered, so that each can be found again: sent to a daemon in a process of its own.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::process::Site;
use crate::support::{Message, Peer};

/// What the events are signed with.
pub const SECRET: &str = "whsec_Y3Jhc2gtdGVzdC1zZWNyZXQtMDAwMDAwMDAx";

/// A signed event with the number `n` in it, as bytes on the wire.
pub fn event(secret: &str, n: u64) -> Vec<u8> {
    message(secret, n).bytes()
}

/// A signed event with the number `n` in it.
pub fn message(secret: &str, n: u64) -> Message {
    let body = format!("{{\"type\":\"t\",\"n\":{n}}}");
    let at = Timestamp::now().as_second();
    let id = format!("msg_{n}");
    let webhook = standardwebhooks::Webhook::new(secret).unwrap();
    let signature = webhook.sign(&id, at, body.as_bytes()).unwrap();
    Message::post("/in/in", body)
        .with("webhook-id", id)
        .with("webhook-timestamp", at.to_string())
        .with("webhook-signature", signature)
}

/// Sends one event; `true` if it was answered with 200.
pub async fn send(port: u16, n: u64) -> bool {
    send_as(SECRET, port, n).await == Some(200)
}

/// Sends one event with this secret; the status of the answer, if one came.
pub async fn send_as(secret: &str, port: u16, n: u64) -> Option<u16> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    let mut answer = Vec::new();
    stream.write_all(&event(secret, n)).await.ok()?;
    // A killed daemon resets the connection.
    let _ = stream.read_to_end(&mut answer).await;
    let line = std::str::from_utf8(answer.get(..12)?).ok()?;
    line.strip_prefix("HTTP/1.1 ")?.parse().ok()
}

/// The numbers of the events that reached a target.
pub fn numbers(peer: &Peer) -> BTreeSet<u64> {
    let received = peer.received();
    received
        .iter()
        .map(|r| r.json()["n"].as_u64().unwrap())
        .collect()
}

/// Reads from the operator's door.
pub async fn get(site: &Site, path: &str) -> Value {
    let mut stream = TcpStream::connect(("127.0.0.1", site.admin)).await.unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n\r\n",
        site.admin
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

/// How many deliveries are pending.
pub async fn pending(site: &Site) -> usize {
    let page = get(site, "/api/v1/deliveries?state=pending&limit=500").await;
    page["items"].as_array().unwrap().len()
}
