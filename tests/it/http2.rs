//! HTTP/2 at the doors: the same answers as over HTTP/1.1, and what a peer can do with frames that no client would send.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use http::{Method, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;

use crate::doors::{SECRET, SOURCE, authority, connect};
use crate::process::Site;
use crate::support::{Answer, Daemon, Message};

fn h2_only(mut tls: ClientConfig) -> ClientConfig {
    tls.alpn_protocols = vec![b"h2".to_vec()];
    tls
}

/// A connection of HTTP/2.
struct Client {
    requests: SendRequest<Bytes>,
    connection: tokio::task::JoinHandle<Result<(), h2::Error>>,
}

impl Client {
    async fn open(addr: SocketAddr, tls: &ClientConfig) -> Self {
        let stream = connect(addr, h2_only(tls.clone())).await.unwrap();
        // As many as clients commonly open before they have heard of a limit.
        let (requests, connection) = h2::client::Builder::new()
            .initial_max_send_streams(100)
            .handshake(stream)
            .await
            .unwrap();
        Self {
            requests,
            connection: tokio::spawn(connection),
        }
    }

    /// Sends a message whole.
    async fn send(&mut self, message: &Message) -> Result<Answer, h2::Error> {
        self.send_pieces(message, vec![message.body.clone()], true)
            .await
    }

    /// Sends the body in these pieces, and no end unless it `ends`.
    async fn send_pieces(
        &mut self,
        message: &Message,
        pieces: Vec<Vec<u8>>,
        ends: bool,
    ) -> Result<Answer, h2::Error> {
        let mut request = Request::builder()
            .method(Method::from_bytes(message.method.as_bytes()).unwrap())
            .uri(format!("https://localhost{}", message.path));
        for (name, value) in &message.headers {
            request = request.header(name, &value[..]);
        }
        let mut requests = self.requests.clone().ready().await?;
        let none = pieces.iter().all(Vec::is_empty) && ends;
        let (answer, mut body) = requests.send_request(request.body(()).unwrap(), none)?;
        let sending = tokio::spawn(async move {
            let last = pieces.len().saturating_sub(1);
            for (i, piece) in pieces.into_iter().enumerate() {
                // The other side may have answered already.
                if none || body.send_data(piece.into(), ends && i == last).is_err() {
                    return body;
                }
            }
            body
        });
        let answer = answer.await?;
        let (head, mut body) = answer.into_parts();
        let mut bytes = Vec::new();
        while let Some(piece) = body.data().await {
            let piece = piece?;
            let _ = body.flow_control().release_capacity(piece.len());
            bytes.extend_from_slice(&piece);
        }
        drop(sending.await);
        let headers = head.headers.iter();
        Ok(Answer {
            status: head.status.as_u16(),
            headers: headers
                .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
                .collect(),
            body: bytes,
        })
    }
}

#[tokio::test]
async fn the_answers_are_those_of_http1() {
    let folder = tempfile::tempdir().unwrap();
    let tls = authority(folder.path()).client(None);
    let config = format!(
        "tls: {{cert: localhost.pem, key: localhost.key}}\n\
         limits: {{body: 1KiB, headers: 8KiB, body_timeout: 300ms}}\n{SOURCE}"
    );
    let daemon = Daemon::start(folder.path(), &config).await;
    // The same plan in the clear, to compare with.
    let plain_folder = tempfile::tempdir().unwrap();
    let plain_config =
        format!("limits: {{body: 1KiB, headers: 8KiB, body_timeout: 300ms}}\n{SOURCE}");
    let plain = Daemon::start(plain_folder.path(), &plain_config).await;
    let good = daemon.signed("s", SECRET, "", "{\"a\":1}");
    let big = Message::post("/in/s", vec![b'x'; 2000]);
    let mut client = Client::open(daemon.public, &tls).await;
    for (name, message, wanted) in [
        ("good", good.clone(), 200),
        ("again", good.clone(), 200),
        ("unsigned", Message::post("/in/s", "{}"), 401),
        ("no source", Message::post("/in/t", "{}"), 404),
        (
            "method",
            Message {
                method: "DELETE".to_owned(),
                ..Message::post("/in/s", "")
            },
            405,
        ),
        ("too large", big.clone().with("content-length", "2000"), 413),
        ("coding", good.clone().with("content-encoding", "br"), 415),
        (
            "no gzip",
            good.clone().with("content-encoding", "gzip"),
            400,
        ),
    ] {
        let got = client.send(&message).await.unwrap();
        assert_eq!(got.status, wanted, "{name}");
        let other = plain.send(&message).await;
        assert_eq!(other.status, wanted, "{name}");
        if wanted != 200 {
            assert_eq!(got.body, other.body, "{name}");
        }
        let shown = |answer: &Answer| -> Vec<(String, String)> {
            let volatile = ["connection", "date"];
            let headers = answer
                .headers
                .iter()
                .filter(|(name, _)| !volatile.contains(&name.as_str()));
            let mut headers: Vec<_> = headers.cloned().collect();
            headers.sort();
            headers
        };
        assert_eq!(shown(&got), shown(&other), "{name}");
        assert!(got.header("connection").is_none());
    }
    // What has no length, or no end.
    let streamed = vec![vec![b'x'; 600]; 4];
    let got = client.send_pieces(&big, streamed, true).await.unwrap();
    assert_eq!(got.status, 413);
    let got = client
        .send_pieces(&good, vec![b"{".to_vec()], false)
        .await
        .unwrap();
    assert_eq!(got.status, 408);
    let long = Message::post("/in/s", "{}").with("x-long", "y".repeat(9000));
    assert_eq!(client.send(&long).await.unwrap().status, 431);
    // All of that over one connection, which is still good.
    assert_eq!(client.send(&good).await.unwrap().status, 200);
    daemon.stop().await;
    client.connection.await.unwrap().unwrap();
    plain.stop().await;
}

#[tokio::test]
async fn many_requests_at_a_time_and_a_stop_lets_them_end() {
    let folder = tempfile::tempdir().unwrap();
    let tls = authority(folder.path()).client(None);
    let config = format!("tls: {{cert: localhost.pem, key: localhost.key}}\n{SOURCE}");
    let daemon = Daemon::start(folder.path(), &config).await;
    let client = Client::open(daemon.public, &tls).await;
    let sent: Vec<_> = (0..200)
        .map(|n| {
            let body = format!("{{\"n\":{n},\"fill\":\"{}\"}}", "x".repeat(100_000));
            let message = daemon.signed("s", SECRET, "", body);
            let mut one = Client {
                requests: client.requests.clone(),
                connection: tokio::spawn(async { Ok(()) }),
            };
            tokio::spawn(async move { one.send(&message).await.unwrap().status })
        })
        .collect();
    for status in sent {
        assert_eq!(status.await.unwrap(), 200);
    }
    daemon.stop().await;
    client.connection.await.unwrap().unwrap();
}

// Frames by hand.

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
const DATA: u8 = 0;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A header that is not put into the table.
fn field(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0, u8::try_from(name.len()).unwrap()];
    bytes.extend(name.as_bytes());
    bytes.push(u8::try_from(value.len()).unwrap());
    bytes.extend(value.as_bytes());
    bytes
}

fn fields(list: &[(&str, &str)]) -> Vec<u8> {
    list.iter()
        .flat_map(|(name, value)| field(name, value))
        .collect()
}

const SOUND: [(&str, &str); 4] = [
    (":method", "POST"),
    (":scheme", "https"),
    (":path", "/in/s"),
    (":authority", "localhost"),
];

/// A connection over which any frames are sent.
async fn raw(addr: SocketAddr, tls: &ClientConfig) -> TlsStream<TcpStream> {
    let mut stream = connect(addr, h2_only(tls.clone())).await.unwrap();
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await
        .unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    stream
}

/// The next frame of this stream or of none, other than settings and windows: its kind and payload.
async fn next(stream: &mut TlsStream<TcpStream>) -> Option<(u8, Vec<u8>)> {
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        stream.read_exact(&mut payload).await.ok()?;
        if matches!(head[3], HEADERS | RST_STREAM | 7) {
            return Some((head[3], payload));
        }
    }
}

/// `:status 400` in the static table.
const STATUS_400: u8 = 0x8c;

#[tokio::test]
async fn what_can_be_read_in_two_ways_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let tls = authority(folder.path()).client(None);
    let config = format!("tls: {{cert: localhost.pem, key: localhost.key}}\n{SOURCE}");
    let daemon = Daemon::start(folder.path(), &config).await;
    let without = |name: &str| -> Vec<(&str, &str)> {
        SOUND
            .into_iter()
            .filter(|(known, _)| *known != name)
            .collect()
    };
    let with = |extra: &[(&'static str, &'static str)]| [&SOUND[..], extra].concat();
    for (name, list, body, refused) in [
        ("sound", SOUND.to_vec(), &b"{}"[..], false),
        ("length", with(&[("content-length", "2")]), b"{}", false),
        ("same host", with(&[("host", "localhost")]), b"{}", false),
        ("no authority", without(":authority"), b"{}", true),
        ("other host", with(&[("host", "example.com")]), b"{}", true),
        ("no path", without(":path"), b"{}", true),
        ("no method", without(":method"), b"{}", true),
        ("two methods", with(&[(":method", "GET")]), b"{}", true),
        ("shorter", with(&[("content-length", "1")]), b"{}", true),
        ("longer", with(&[("content-length", "3")]), b"{}", true),
        (
            "two lengths",
            with(&[("content-length", "2"), ("content-length", "3")]),
            b"{}",
            true,
        ),
        ("no number", with(&[("content-length", "+2")]), b"{}", true),
        ("connection", with(&[("connection", "close")]), b"{}", true),
        ("upgrade", with(&[("upgrade", "h2c")]), b"{}", true),
        (
            "transfer-encoding",
            with(&[("transfer-encoding", "chunked")]),
            b"{}",
            true,
        ),
        ("keep-alive", with(&[("keep-alive", "1")]), b"{}", true),
        ("capitals", with(&[("X-Capital", "1")]), b"{}", true),
    ] {
        let mut stream = raw(daemon.public, &tls).await;
        let head = frame(HEADERS, END_HEADERS, 1, &fields(&list));
        stream
            .write_all(&[head, frame(DATA, END_STREAM, 1, body)].concat())
            .await
            .unwrap();
        let answer = next(&mut stream).await;
        let refusal = match &answer {
            // A fault of the stream or of the connection.
            Some((RST_STREAM | 7, _)) | None => true,
            Some((_, payload)) => payload.first() == Some(&STATUS_400),
        };
        assert_eq!(refusal, refused, "{name}: {answer:?}");
    }
    daemon.stop().await;
}

/// The memory of a process, in bytes.
fn memory(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    let kib: u64 = line.trim().strip_suffix(" kB").unwrap().parse().unwrap();
    kib * 1024
}

/// Frames to flood with, for the stream of this number.
type Flood = fn(u32) -> Vec<u8>;

const FLOODS: [(&str, Flood); 7] = [
    ("rapid reset", |n| {
        let stream = 2 * n + 1;
        let head = frame(HEADERS, END_HEADERS, stream, &fields(&SOUND));
        [head, frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())].concat()
    }),
    ("resets of whole requests", |n| {
        let stream = 2 * n + 1;
        let head = frame(HEADERS, END_HEADERS | END_STREAM, stream, &fields(&SOUND));
        [head, frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())].concat()
    }),
    ("heads without end", |n| match n {
        0 => frame(HEADERS, 0, 1, &fields(&SOUND)),
        _ => frame(CONTINUATION, 0, 1, &field("x-more", &"y".repeat(100))),
    }),
    ("empty continuations", |n| match n {
        0 => frame(HEADERS, 0, 1, &fields(&SOUND)),
        _ => frame(CONTINUATION, 0, 1, &[]),
    }),
    ("pings", |n| frame(PING, 0, 0, &u64::from(n).to_be_bytes())),
    ("settings", |_| {
        frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0xff, 0xff])
    }),
    ("empty data", |n| match n {
        0 => frame(HEADERS, END_HEADERS, 1, &fields(&SOUND)),
        _ => frame(DATA, 0, 1, &[]),
    }),
];

/// Sends a flood over a connection of its own, until it is refused or not taken any more.
async fn pour(addr: SocketAddr, tls: ClientConfig, flood: Flood) -> TlsStream<TcpStream> {
    let mut stream = raw(addr, &tls).await;
    for round in 0..400 {
        let frames: Vec<u8> = (round * 50..(round + 1) * 50).flat_map(flood).collect();
        let written = tokio::time::timeout(Duration::from_secs(5), stream.write_all(&frames));
        if !matches!(written.await, Ok(Ok(()))) {
            break;
        }
    }
    stream
}

#[tokio::test]
async fn floods_of_frames_are_survived() {
    let folder = tempfile::tempdir().unwrap();
    let tls = authority(folder.path()).client(None);
    let config = format!(
        "tls: {{cert: localhost.pem, key: localhost.key}}\n\
         limits: {{header_timeout: 3s, body_timeout: 500ms, failures: 1000000}}\n{SOURCE}"
    );
    let site = Site::new(folder.path(), &config);
    let daemon = site.start().await;
    let addr = SocketAddr::from(([127, 0, 0, 1], site.public));
    let unsigned = Message::post("/in/s", "{}");
    assert_eq!(
        Client::open(addr, &tls)
            .await
            .send(&unsigned)
            .await
            .unwrap()
            .status,
        401
    );
    let before = memory(daemon.id());
    for (name, flood) in FLOODS {
        let flooding: Vec<_> = (0..4)
            .map(|_| tokio::spawn(pour(addr, tls.clone(), flood)))
            .collect();
        // Others are served meanwhile, and afterwards.
        for _ in 0..5 {
            let answer = Client::open(addr, &tls)
                .await
                .send(&unsigned)
                .await
                .unwrap();
            assert_eq!(answer.status, 401, "{name}");
        }
        for stream in flooding {
            let mut stream = stream.await.unwrap();
            // It is closed by the other side, though we never close it; a reset is an end as well.
            let mut scrap = Vec::new();
            let closed = stream.read_to_end(&mut scrap);
            let closed = tokio::time::timeout(Duration::from_secs(20), closed).await;
            assert!(closed.is_ok(), "{name}: the connection stays open");
        }
        let grown = memory(daemon.id()).saturating_sub(before);
        assert!(grown < 64 << 20, "{name}: {grown} bytes more");
    }
    assert!(daemon.terminate().success());
}
