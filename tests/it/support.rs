//! What every story needs: a daemon in this process, a target that records, a client that sends any
//! bytes, a sender that signs, the log, and waiting for a condition.
//!
//! Not every story uses all of it.
#![allow(dead_code)]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use ingate::app::App;
use ingate::clock::{Clock, SystemClock};
use ingate::config;
use ingate::intake::Outside;
use ingate::plan::{Plan, Source};
use ingate::secret::Secret;
use ingate::signature::{self, Outbound};
use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

/// How long a condition is waited for before the test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// Everything, except the inner life of the index.
const LOGGED: &str = "trace,sled=info";

/// Waits until the condition holds; `what` names it if it never does.
pub async fn wait_until(what: &str, holds: impl AsyncFnMut() -> bool) {
    wait_within(PATIENCE, what, holds).await;
}

/// The same with a patience of its own.
pub async fn wait_within(patience: Duration, what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !holds().await {
        assert!(
            start.elapsed() < patience,
            "waited in vain until {what}; the log:\n{}",
            log()
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What was logged in this process so far; see [`LOGGED`].
pub fn log() -> String {
    String::from_utf8_lossy(&record().lock().unwrap()).into_owned()
}

fn record() -> &'static Mutex<Vec<u8>> {
    static RECORD: OnceLock<Mutex<Vec<u8>>> = OnceLock::new();
    RECORD.get_or_init(|| {
        tracing_subscriber::fmt()
            .with_env_filter(LOGGED)
            .with_ansi(false)
            .with_writer(|| Recorder)
            .init();
        Mutex::default()
    })
}

struct Recorder;

impl std::io::Write for Recorder {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        record().lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A daemon that runs in this process, on free ports of the loopback.
pub struct Daemon {
    pub public: SocketAddr,
    pub admin: SocketAddr,
    pub plan: Arc<Plan>,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl Daemon {
    /// Writes `config` to `folder/config.yaml`, behind lines that choose free ports, and starts on it.
    /// The store is in `folder/data`, templates in `folder/templates`.
    pub async fn start(folder: &Path, config: &str) -> Self {
        Self::start_at(folder, config, Arc::new(SystemClock)).await
    }

    /// Writes the whole of a configuration to this file and starts on it.
    pub async fn start_on(path: &Path, config: &str) -> Self {
        std::fs::write(path, config).unwrap();
        Self::start_by(compile(path), Arc::new(SystemClock)).await
    }

    /// The same as [`Daemon::start`] with another clock.
    pub async fn start_at(folder: &Path, config: &str, clock: Arc<dyn Clock>) -> Self {
        Self::start_by(load(folder, config), clock).await
    }

    /// The same, with others to ask who are not there.
    pub async fn start_through(
        folder: &Path,
        config: &str,
        clock: Arc<dyn Clock>,
        outside: Outside,
    ) -> Self {
        record();
        let plan = Arc::new(load(folder, config));
        let app = App::build(Arc::clone(&plan), clock).await.unwrap();
        Self::serve(app.with_outside(outside), plan)
    }

    async fn start_by(plan: Plan, clock: Arc<dyn Clock>) -> Self {
        record();
        let plan = Arc::new(plan);
        let app = App::build(Arc::clone(&plan), clock).await.unwrap();
        Self::serve(app, plan)
    }

    fn serve(app: App, plan: Arc<Plan>) -> Self {
        let (public, admin) = (app.public_addr(), app.admin_addr());
        let (stop, stopped) = oneshot::channel::<()>();
        let served = tokio::spawn(app.serve(async {
            let _ = stopped.await;
        }));
        Self {
            public,
            admin,
            plan,
            stop,
            served,
        }
    }

    /// The same, with a configuration that can be reloaded; its file is watched.
    pub async fn start_reloading(folder: &Path, config: &str) -> Self {
        Self::start_reloading_on(write_config(folder, config)).await
    }

    /// The same, and templates may be saved.
    pub async fn start_editing(folder: &Path, config: &str) -> Self {
        let path = write_config(folder, config);
        let text = std::fs::read_to_string(&path).unwrap();
        let admin = "admin: {listen: 127.0.0.1:0";
        let editing = text.replacen(admin, &format!("{admin}, edit_templates: true"), 1);
        assert_ne!(editing, text);
        std::fs::write(&path, editing).unwrap();
        Self::start_reloading_on(path).await
    }

    async fn start_reloading_on(path: PathBuf) -> Self {
        record();
        let (loaded, inputs) = config::load_noted(&path, &config::ProcessEnv);
        let plan = Arc::new(loaded.unwrap().plan);
        let app = App::build(Arc::clone(&plan), Arc::new(SystemClock))
            .await
            .unwrap();
        Self::serve(app.with_reload(path, inputs, true), plan)
    }

    /// Stops as SIGTERM would and waits for the end.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        self.served.await.unwrap();
    }

    /// The source of this name.
    pub fn source(&self, name: &str) -> &Arc<Source> {
        &self.plan.sources[name]
    }

    /// A message that the vendor behind the source would send now.
    pub fn signed(
        &self,
        source: &str,
        secret: &str,
        id: &str,
        body: impl Into<Vec<u8>>,
    ) -> Message {
        let now = Timestamp::now();
        Message::signed(
            self.source(source),
            secret,
            id,
            now,
            "test.event",
            body.into(),
        )
    }

    /// Sends a message to the public door.
    pub async fn send(&self, message: &Message) -> Answer {
        let answers = exchange(self.public, &message.bytes()).await;
        assert_eq!(answers.len(), 1, "one answer to one message: {answers:?}");
        answers.into_iter().next().unwrap()
    }

    /// Reads from the operator's door.
    pub async fn admin_get(&self, path: &str) -> Answer {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.admin
        );
        let answers = exchange(self.admin, request.as_bytes()).await;
        answers.into_iter().next().unwrap()
    }

    /// Posts to the operator's door, without a body.
    pub async fn admin_post(&self, path: &str) -> Answer {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            self.admin
        );
        let answers = exchange(self.admin, request.as_bytes()).await;
        answers.into_iter().next().unwrap()
    }

    /// Posts JSON to the operator's door.
    pub async fn admin_post_json(&self, path: &str, body: &str) -> Answer {
        let (host, length) = (self.admin, body.len());
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        let answers = exchange(self.admin, request.as_bytes()).await;
        answers.into_iter().next().unwrap()
    }

    /// The value of a series of the metrics, written as in `name{label="value"}`; 0 where there is none.
    pub async fn metric(&self, series: &str) -> f64 {
        let text = self.admin_get("/metrics").await.text();
        text.lines()
            .find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
            .unwrap_or(0.0)
    }
}

/// The plan of a configuration, written to the folder as [`Daemon::start`] does.
pub fn load(folder: &Path, config: &str) -> Plan {
    let mut plan = compile(&write_config(folder, config));
    // Most stories fail on purpose, and often; only one of them is about waiting for it.
    if !config.contains("failures:") {
        plan.limits.failures = u32::MAX;
    }
    plan
}

fn compile(path: &Path) -> Plan {
    match config::load(path, &config::ProcessEnv) {
        Ok(compiled) => compiled.plan,
        Err(errors) => panic!("the configuration does not compile: {errors}"),
    }
}

/// Writes the configuration to `folder/config.yaml`, behind lines that choose free ports.
pub fn write_config(folder: &Path, config: &str) -> PathBuf {
    let path = folder.join("config.yaml");
    let text = format!("listen: 127.0.0.1:0\nadmin: {{listen: 127.0.0.1:0}}\n{config}");
    std::fs::create_dir_all(folder.join("templates")).unwrap();
    std::fs::write(&path, text).unwrap();
    path
}

/// A request to be changed and sent as it stands.
#[derive(Debug, Clone)]
pub struct Message {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
}

impl Message {
    /// A POST without headers, besides `Host`, `Content-Length` and `Connection`, which [`Message::bytes`] adds.
    pub fn post(path: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            method: "POST".to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            body: body.into(),
        }
    }

    /// What the vendor behind the source would send at `now`.
    pub fn signed(
        source: &Source,
        secret: &str,
        id: &str,
        now: Timestamp,
        event_type: &str,
        body: Vec<u8>,
    ) -> Self {
        let url = source.url.as_deref().unwrap_or("http://localhost/");
        let outbound = Outbound {
            id,
            timestamp: now,
            method: &Method::POST,
            url,
            event_type,
            body: &body,
        };
        let key = source
            .checks
            .first()
            .scheme
            .signing_key(&Secret::new(secret))
            .unwrap();
        let signed = signature::sign(&source.checks.first().scheme, &[key], &outbound).unwrap();
        let mut message = Self::post(&source.path, body);
        for (name, value) in signed {
            let value = value.as_bytes().to_vec();
            message.headers.push((name.as_str().to_owned(), value));
        }
        message
    }

    /// Adds a header.
    pub fn with(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Takes a header away.
    pub fn without(mut self, name: &str) -> Self {
        let before = self.headers.len();
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        assert_ne!(self.headers.len(), before, "there is no header {name}");
        self
    }

    /// Puts another value into a header that is there.
    pub fn set(self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.without(name).with(name, value)
    }

    /// The value of a header, as text.
    pub fn get(&self, name: &str) -> String {
        let found = self
            .headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name));
        let (_, value) = found.unwrap_or_else(|| panic!("there is no header {name}: {self:?}"));
        String::from_utf8(value.clone()).unwrap()
    }

    /// Puts another body in, unsigned.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The head up to the blank line, with `Host`, `Content-Length` and `Connection: close` where they are not there.
    pub fn head(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.path).into_bytes();
        let has = |wanted: &str| {
            let mut names = self.headers.iter();
            names.any(|(name, _)| name.eq_ignore_ascii_case(wanted))
        };
        let mut add = |name: &str, value: &[u8]| {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        };
        if !has("host") {
            add("Host", b"localhost");
        }
        if !has("content-length") && !has("transfer-encoding") {
            add("Content-Length", self.body.len().to_string().as_bytes());
        }
        if !has("connection") {
            add("Connection", b"close");
        }
        for (name, value) in &self.headers {
            add(name, value);
        }
        bytes.extend_from_slice(b"\r\n");
        bytes
    }

    /// All bytes of it.
    pub fn bytes(&self) -> Vec<u8> {
        [self.head(), self.body.clone()].concat()
    }
}

/// An answer, names of headers in lower case.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {:?}", self.text()))
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Sends the bytes, closes the writing side and gives back every answer that comes until the other side closes.
pub async fn exchange(addr: SocketAddr, bytes: &[u8]) -> Vec<Answer> {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    // The other side may have answered and stopped reading before everything is written.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    read_answers(&mut stream).await
}

/// Sends the bytes, leaves the writing side open, and gives back every answer that comes until the other side closes.
pub async fn exchange_open(addr: SocketAddr, bytes: &[u8]) -> Vec<Answer> {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let _ = stream.write_all(bytes).await;
    read_answers(&mut stream).await
}

/// Every answer that comes until the other side closes.
pub async fn read_answers(stream: &mut (impl AsyncRead + Unpin)) -> Vec<Answer> {
    let mut bytes = Vec::new();
    let all = stream.read_to_end(&mut bytes);
    let read = tokio::time::timeout(PATIENCE, all).await;
    assert!(read.is_ok(), "the connection stays open: {bytes:?}");
    parse_answers(&bytes)
}

fn parse_answers(mut bytes: &[u8]) -> Vec<Answer> {
    let mut answers = Vec::new();
    while !bytes.is_empty() {
        let end = bytes
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .unwrap_or_else(|| panic!("no head in {:?}", String::from_utf8_lossy(bytes)));
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        bytes = &bytes[end + 4..];
        let mut lines = head.lines();
        let status: u16 = lines.next().unwrap()[9..12].parse().unwrap();
        let headers: Vec<(String, String)> = lines
            .map(|line| line.split_once(':').unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        if status == 100 {
            continue;
        }
        let length = headers
            .iter()
            .find(|(name, _)| name == "content-length")
            .map_or(bytes.len(), |(_, value)| value.parse().unwrap());
        let (body, rest) = bytes.split_at(length);
        answers.push(Answer {
            status,
            headers,
            body: body.to_vec(),
        });
        bytes = rest;
    }
    answers
}

/// What a peer does with a request.
#[derive(Debug, Clone)]
pub enum Turn {
    /// Answers with this status.
    Status(u16),
    /// Answers with this status and these headers.
    With(u16, Vec<(&'static str, String)>),
    /// Answers with status 500 and all headers of the request, one a line.
    Echo,
    /// Answers with status 500 and the body of the request.
    Mirror,
    /// Answers with 200 after this time.
    After(Duration),
    /// Never answers.
    Hang,
}

/// What a peer has received.
#[derive(Debug, Clone)]
pub struct Received {
    pub method: Method,
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub at: Timestamp,
    /// What it was answered with; `None` if it never is.
    pub answered: Option<u16>,
    /// How many requests were there without an answer, this one included.
    pub under_way: usize,
}

impl Received {
    /// The value of a header; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// A target that records what it receives and answers as it is told; when nothing is left to be told, with 200.
pub struct Peer {
    pub addr: SocketAddr,
    shared: Arc<PeerShared>,
    stop: watch::Sender<bool>,
    served: JoinHandle<()>,
}

#[derive(Default)]
struct PeerShared {
    script: Mutex<VecDeque<Turn>>,
    received: Mutex<Vec<Received>>,
    down: AtomicBool,
    under_way: AtomicUsize,
}

/// A request without an answer.
struct UnderWay<'a>(&'a AtomicUsize);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Peer {
    /// A peer on a free port that answers the first requests as `script` says.
    pub async fn start(script: impl IntoIterator<Item = Turn>) -> Self {
        Self::start_at(([127, 0, 0, 1], 0).into(), script).await
    }

    /// A peer on this address.
    pub async fn start_at(addr: SocketAddr, script: impl IntoIterator<Item = Turn>) -> Self {
        Self::serve(addr, None, script).await
    }

    /// A peer on a free port that speaks TLS.
    pub async fn start_tls(tls: ServerConfig, script: impl IntoIterator<Item = Turn>) -> Self {
        Self::start_tls_at(([127, 0, 0, 1], 0).into(), tls, script).await
    }

    /// A peer on this address that speaks TLS.
    pub async fn start_tls_at(
        addr: SocketAddr,
        tls: ServerConfig,
        script: impl IntoIterator<Item = Turn>,
    ) -> Self {
        let tls = TlsAcceptor::from(Arc::new(tls));
        Self::serve(addr, Some(tls), script).await
    }

    async fn serve(
        addr: SocketAddr,
        tls: Option<TlsAcceptor>,
        script: impl IntoIterator<Item = Turn>,
    ) -> Self {
        let listener = TcpListener::bind(addr).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let shared = Arc::new(PeerShared {
            script: Mutex::new(script.into_iter().collect()),
            ..PeerShared::default()
        });
        let (stop, stopped) = watch::channel(false);
        let served = tokio::spawn(serve_peer(listener, tls, Arc::clone(&shared), stopped));
        Self {
            addr,
            shared,
            stop,
            served,
        }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}/hooks", self.addr)
    }

    /// Its URL, if it speaks TLS.
    pub fn https_url(&self) -> String {
        format!("https://{}/hooks", self.addr)
    }

    /// All that it has received, in order.
    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// Waits until it has received this many requests; gives back all of them.
    pub async fn wait_for(&self, count: usize) -> Vec<Received> {
        let what = format!("{count} requests are at {}", self.addr);
        wait_until(&what, async || self.received().len() >= count).await;
        self.received()
    }

    /// Answers the next requests as `script` says, whatever was said before.
    pub fn tell(&self, script: impl IntoIterator<Item = Turn>) {
        *self.shared.script.lock().unwrap() = script.into_iter().collect();
    }

    /// While it is down, it keeps its port but drops every connection, and takes no request.
    pub fn set_down(&self, down: bool) {
        self.shared.down.store(down, Ordering::SeqCst);
    }

    /// Closes the port and all connections.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        self.served.await.unwrap();
    }
}

async fn serve_peer(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    shared: Arc<PeerShared>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (stream, _) = tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => return,
            next = listener.accept() => next.unwrap(),
        };
        if shared.down.load(Ordering::SeqCst) {
            continue;
        }
        let (shared, tls) = (Arc::clone(&shared), tls.clone());
        connections.spawn(async move {
            let service = service_fn(|request| answer_as_told(request, Arc::clone(&shared)));
            let http = http1::Builder::new();
            match tls {
                None => {
                    let _ = http.serve_connection(TokioIo::new(stream), service).await;
                }
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        let _ = http.serve_connection(TokioIo::new(stream), service).await;
                    }
                }
            }
        });
    }
}

async fn answer_as_told(
    request: Request<Incoming>,
    shared: Arc<PeerShared>,
) -> std::io::Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return Ok(Response::new(Full::default()));
    };
    if shared.down.load(Ordering::SeqCst) {
        return Err(std::io::ErrorKind::ConnectionAborted.into());
    }
    let body = body.to_bytes();
    let lines = head.headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes());
        format!("{name}: {value}\n")
    });
    let echo: String = lines.collect();
    let before = shared.under_way.fetch_add(1, Ordering::SeqCst);
    let _until_answered = UnderWay(&shared.under_way);
    let turn = shared.script.lock().unwrap().pop_front();
    let turn = turn.unwrap_or(Turn::Status(200));
    shared.received.lock().unwrap().push(Received {
        method: head.method,
        path: head.uri.path().to_owned(),
        headers: head.headers,
        body: body.clone(),
        at: Timestamp::now(),
        answered: match &turn {
            Turn::Status(status) | Turn::With(status, _) => Some(*status),
            Turn::After(..) => Some(200),
            Turn::Echo | Turn::Mirror => Some(500),
            Turn::Hang => None,
        },
        under_way: before + 1,
    });
    let (status, headers) = match turn {
        Turn::Status(status) => (status, Vec::new()),
        Turn::With(status, headers) => (status, headers),
        Turn::Echo => {
            let answer = Response::builder().status(500);
            return Ok(answer.body(Full::from(echo)).unwrap());
        }
        Turn::Mirror => {
            let answer = Response::builder().status(500);
            return Ok(answer.body(Full::new(body)).unwrap());
        }
        Turn::After(time) => {
            tokio::time::sleep(time).await;
            (200, Vec::new())
        }
        Turn::Hang => std::future::pending().await,
    };
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    Ok(response.body(Full::default()).unwrap())
}
