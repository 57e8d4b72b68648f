//! Targets that do not behave: silent, slow, broken off, endless, no HTTP at all. A healthy one on the same route gets
//! everything at once, and each of them has everything once it was mended.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::{
    PATIENCE, assert_no_panic, delivery, nothing_is_pending, outcomes, peak_memory, rest_with,
    send, site,
};
use crate::support::{Peer, wait_until, wait_within};

/// Bytes of the endless answers.
const LARGE: u64 = 100_000_000;

/// How a target behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Answers with 200.
    Good,
    /// Reads the request and never answers.
    Silent,
    /// Does not even read.
    Deaf,
    /// Answers one byte a second.
    Slow,
    /// Reads the request and closes.
    Closes,
    /// Closes in the middle of the head of its answer.
    BreaksOff,
    /// Reads the request and resets the connection.
    Resets,
    /// Resets every connection at once.
    ResetsAtOnce,
    /// Answers with something that is not HTTP.
    Garbage,
    /// Answers with 500 and a body of 100 MB.
    LargeBody,
    /// Answers with a head of 100 MB.
    LargeHead,
}

/// A target on a raw socket.
struct Target {
    addr: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    manner: Mutex<Manner>,
    /// What was answered with 200: id and body.
    taken: Mutex<Vec<(String, String)>>,
    /// Most bytes that could be written to one connection.
    written: AtomicU64,
}

impl Target {
    async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let shared = Arc::new(Shared {
            manner: Mutex::new(manner),
            taken: Mutex::default(),
            written: AtomicU64::new(0),
        });
        Self {
            addr: listener.local_addr().unwrap(),
            accepting: tokio::spawn(accept(listener, Arc::clone(&shared))),
            shared,
        }
    }

    fn mend(&self) {
        *self.shared.manner.lock().unwrap() = Manner::Good;
    }

    fn taken(&self) -> Vec<(String, String)> {
        self.shared.taken.lock().unwrap().clone()
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let shared = Arc::clone(&shared);
        // The other side may go at any moment.
        connections.spawn(async move {
            let _ = converse(stream, shared).await;
        });
    }
}

/// One connection, for one request.
async fn converse(mut stream: TcpStream, shared: Arc<Shared>) -> std::io::Result<()> {
    let manner = *shared.manner.lock().unwrap();
    match manner {
        Manner::ResetsAtOnce => return reset(stream),
        Manner::Deaf => {
            // Until the other side goes, which is not read.
            tokio::time::sleep(PATIENCE).await;
            return Ok(());
        }
        _ => {}
    }
    let (id, body) = read_request(&mut stream).await?;
    match manner {
        Manner::Good => {
            shared.taken.lock().unwrap().push((id, body));
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            stream.write_all(answer.as_bytes()).await
        }
        Manner::Silent | Manner::Deaf => {
            // Returns when the other side has gone.
            stream.read_u8().await.map(|_| ())
        }
        Manner::Slow => {
            for byte in b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n" {
                stream.write_all(&[*byte]).await?;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Ok(())
        }
        Manner::Closes => Ok(()),
        Manner::BreaksOff => stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-le").await,
        Manner::Resets | Manner::ResetsAtOnce => reset(stream),
        Manner::Garbage => {
            let garbage: Vec<u8> = (0..4096_u32).map(|n| (n * 31 % 251) as u8).collect();
            stream.write_all(&garbage).await
        }
        Manner::LargeBody => {
            let head = format!("HTTP/1.1 500 X\r\ncontent-length: {LARGE}\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
            pour(stream, &shared, &[b'x'; 64 * 1024]).await
        }
        Manner::LargeHead => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n").await?;
            let lines = "x-more: and more, and more, and more of it\r\n".repeat(1500);
            pour(stream, &shared, lines.as_bytes()).await
        }
    }
}

/// Closes a connection so that the other side gets a reset.
fn reset(stream: TcpStream) -> std::io::Result<()> {
    stream.set_zero_linger()
}

/// Writes this over and over, as long as the other side takes it.
async fn pour(mut stream: TcpStream, shared: &Shared, piece: &[u8]) -> std::io::Result<()> {
    let mut written = 0;
    while written < LARGE {
        stream.write_all(piece).await?;
        written += piece.len() as u64;
        shared.written.fetch_max(written, Ordering::SeqCst);
    }
    Ok(())
}

/// The id and the body of a request.
async fn read_request(stream: &mut TcpStream) -> std::io::Result<(String, String)> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let header = |name: &str| {
            let mut lines = head.lines().filter_map(|line| line.split_once(": "));
            lines.find(|(found, _)| *found == name).unwrap().1
        };
        let length: usize = header("content-length").parse().unwrap();
        if body.len() >= length {
            return Ok((header("webhook-id").to_owned(), body.to_owned()));
        }
    }
}

/// How each behaves, and what the operator is to see of it. A reset can come before the connection is known to be made.
const MANNERS: [(&str, Manner, &[&str]); 10] = [
    ("silent", Manner::Silent, &["timeout"]),
    ("deaf", Manner::Deaf, &["timeout"]),
    ("slow", Manner::Slow, &["timeout"]),
    ("closes", Manner::Closes, &["closed"]),
    ("breaks-off", Manner::BreaksOff, &["closed"]),
    ("resets", Manner::Resets, &["closed"]),
    (
        "resets-at-once",
        Manner::ResetsAtOnce,
        &["closed", "connect"],
    ),
    ("garbage", Manner::Garbage, &["protocol"]),
    ("large-body", Manner::LargeBody, &["500"]),
    ("large-head", Manner::LargeHead, &["protocol"]),
];

/// Events that are sent while they misbehave.
const EVENTS: u64 = 10;

/// What the daemon may take in memory for all of them: far from what they send.
const MEMORY: u64 = 64 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn targets_that_misbehave_and_are_mended() {
    let folder = tempfile::tempdir().unwrap();
    let healthy = Peer::start([]).await;
    let mut bad = BTreeMap::new();
    for (name, manner, _) in MANNERS {
        bad.insert(name, Target::start(manner).await);
    }
    let mut targets: Vec<(&str, String)> = bad
        .iter()
        .map(|(name, target)| (*name, format!("http://{}/", target.addr)))
        .collect();
    targets.push(("healthy", healthy.url()));
    let settings = "timeout: 1s, concurrency: 4";
    let site = site(folder.path(), &rest_with("", settings, &targets));
    let daemon = site.start().await;
    let before = peak_memory(daemon.id());
    let mut events = Vec::new();
    for n in 0..EVENTS {
        let answer = send(&site, n).await;
        assert_eq!(answer.status, 200);
        events.push(answer.json()["id"].as_str().unwrap().to_owned());
    }
    // Everything, while not one of the others has taken anything.
    healthy.wait_for(events.len()).await;
    for (name, _, wanted) in MANNERS {
        // Not all need have been tried: one that fails all the time may be left alone for a while.
        let what = format!("{name} was tried");
        wait_until(&what, async || {
            let delivery = delivery(&site, &events[0], name).await;
            delivery["attempts_made"].as_u64() >= Some(1)
        })
        .await;
        for event in &events {
            let delivery = delivery(&site, event, name).await;
            assert_eq!(delivery["state"], "pending", "{name}");
            let outcomes = outcomes(&delivery);
            assert!(
                outcomes.iter().all(|it| wanted.contains(&it.as_str())),
                "{name}: {outcomes:?}, {delivery}"
            );
        }
        assert!(bad[name].taken().is_empty(), "{name}");
    }
    for name in ["large-body", "large-head"] {
        let written = bad[name].shared.written.load(Ordering::SeqCst);
        assert!(written < LARGE / 2, "{name}: {written} bytes were taken");
    }
    if let (Some(before), Some(after)) = (before, peak_memory(daemon.id())) {
        println!("memory: {} KiB, then {} KiB", before / 1024, after / 1024);
        assert!(after < before + MEMORY, "{before}, then {after}");
    }
    for target in bad.values() {
        target.mend();
    }
    for (name, target) in &bad {
        let what = format!("{name} has everything");
        wait_within(PATIENCE, &what, async || {
            let mut taken = target.taken();
            taken.sort_unstable();
            taken.dedup();
            taken.len() == events.len()
        })
        .await;
    }
    nothing_is_pending(&site).await;
    for (name, target) in &bad {
        let taken = target.taken();
        assert_eq!(taken.len(), events.len(), "{name}: each came once");
    }
    assert_eq!(healthy.received().len(), events.len());
    assert_no_panic(&site);
    assert_eq!(daemon.terminate().code(), Some(0), "{}", site.log());
}
