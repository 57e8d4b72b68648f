//! An endpoint over a real socket, with scripted answers.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// A request as it came over the wire.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// The head, in lower case.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

/// What a peer does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// Writes these bytes and keeps the connection.
    Raw(String),
    /// Writes these bytes and closes it.
    RawThenClose(String),
    /// Writes this head and then a body without end.
    Endless(String),
    /// Waits for a permit, then writes these bytes and keeps the connection.
    Gated(Arc<Semaphore>, String),
    /// Answers nothing.
    Hang,
}

/// An answer with this status and no body.
pub(crate) fn status(code: u16) -> Reply {
    Reply::Raw(status_text(code))
}

/// The bytes of an answer with this status and no body.
pub(crate) fn status_text(code: u16) -> String {
    format!("HTTP/1.1 {code} X\r\ncontent-length: 0\r\n\r\n")
}

/// An endpoint on a free port of 127.0.0.1 with answers by the number of the request, from 0.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    shared: Arc<PeerShared>,
    accepting: tokio::task::JoinHandle<()>,
}

type Script = dyn Fn(usize) -> Reply + Send + Sync;

struct PeerShared {
    script: Box<Script>,
    seen: Mutex<Vec<Seen>>,
    connections: AtomicUsize,
    written: AtomicUsize,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Peer {
    pub(crate) async fn start(script: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(PeerShared {
            script: Box::new(script),
            seen: Mutex::default(),
            connections: AtomicUsize::new(0),
            written: AtomicUsize::new(0),
        });
        let peer = Arc::clone(&shared);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                peer.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(Arc::clone(&peer), stream));
            }
        });
        Self {
            address,
            shared,
            accepting,
        }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Bytes of endless bodies that were written.
    pub(crate) fn written(&self) -> usize {
        self.shared.written.load(Ordering::SeqCst)
    }
}

async fn serve(peer: Arc<PeerShared>, mut stream: TcpStream) {
    while let Some(seen) = read_request(&mut stream).await {
        let number = {
            let mut all = peer.seen.lock().unwrap();
            all.push(seen);
            all.len() - 1
        };
        match (peer.script)(number) {
            Reply::Raw(text) => {
                if stream.write_all(text.as_bytes()).await.is_err() {
                    return;
                }
            }
            Reply::Gated(gate, text) => {
                gate.acquire().await.unwrap().forget();
                let _ = stream.write_all(text.as_bytes()).await;
            }
            Reply::RawThenClose(text) => {
                let _ = stream.write_all(text.as_bytes()).await;
                return;
            }
            Reply::Endless(head) => {
                let _ = stream.write_all(head.as_bytes()).await;
                let chunk = [b'x'; 8192];
                while stream.write_all(&chunk).await.is_ok() {
                    peer.written.fetch_add(chunk.len(), Ordering::SeqCst);
                }
                return;
            }
            Reply::Hang => {
                // Until the other side gives up.
                let _ = stream.read(&mut [0; 1]).await;
                return;
            }
        }
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).to_lowercase();
    let length: usize = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |text| text.parse().unwrap());
    while bytes.len() < head_end + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    Some(Seen {
        head,
        body: bytes[head_end..].to_vec(),
    })
}
