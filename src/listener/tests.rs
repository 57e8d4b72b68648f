//! Over real sockets: what a connection takes from the plan in force, and how it ends. The doors' own stories are in
//! `tests/it/doors.rs` and `tests/it/http2.rs`.

use std::sync::Mutex;

use bytes::Bytes;
use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::secret::Secret;
use crate::tls::{self, Authorities, Chain, Identity, ServerTls};

/// Answers everything with the name of the door, and notes who called.
struct Echo {
    metrics: Metrics,
    calls: Mutex<Vec<Call>>,
    head_timeout: Duration,
    life: Option<Duration>,
}

impl Door for Echo {
    fn name(&self) -> &'static str {
        "echo"
    }

    fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    fn bounds(&self, plan: &Plan) -> Bounds {
        Bounds {
            tls: plan.tls.as_ref().map(ServerTls::config),
            clients: None,
            head_bytes: 8192,
            headers: None,
            head_timeout: self.head_timeout,
            life: self.life,
            closing: Duration::from_secs(5),
        }
    }

    async fn answer(self: Arc<Self>, _: Request<Incoming>, call: Call) -> Response<Answer> {
        self.calls.lock().unwrap().push(call);
        Response::new("echo".into())
    }

    fn broken(&self, _: &hyper::Error) {}
}

/// A certificate of its own maker with its key, and the maker.
fn identity() -> (Identity, Authorities) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, "ops");
    let pem = params.self_signed(&key).unwrap().pem();
    let chain = Chain::from_pem(pem.as_bytes()).unwrap();
    let identity = Identity::new(&chain, &Secret::new(key.serialize_pem())).unwrap();
    (identity, Authorities::from_pem(pem.as_bytes()).unwrap())
}

/// What a door needs to show such a certificate.
fn own_certificate() -> ServerTls {
    ServerTls::new(identity().0, None).unwrap()
}

struct Open {
    addr: SocketAddr,
    plan: Current,
    door: Arc<Echo>,
    _stop: watch::Sender<bool>,
}

async fn open(tls: Option<ServerTls>, head_timeout: Duration, life: Option<Duration>) -> Open {
    let mut plan = Plan::bare();
    plan.tls = tls;
    let plan = Current::new(Arc::new(plan));
    let door = Arc::new(Echo {
        metrics: Metrics::new(),
        calls: Mutex::default(),
        head_timeout,
        life,
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    let room = |plan: &Plan| plan.limits.connections;
    tokio::spawn(serve(
        listener,
        Arc::clone(&door),
        plan.clone(),
        room,
        stopped,
    ));
    Open {
        addr,
        plan,
        door,
        _stop: stop,
    }
}

const LONG: Duration = Duration::from_secs(60);

impl Open {
    /// Changes the plan in force.
    fn change(&self, change: impl FnOnce(&mut Plan)) {
        let now = self.plan.get();
        let mut next = Plan::bare();
        next.tls.clone_from(&now.tls);
        change(&mut next);
        self.plan.replace(Arc::new(next));
    }

    /// A connection whose other side shows the certificate of `tls`; `None` if it shows another one.
    async fn connect(&self, tls: &ServerTls) -> Option<TlsStream<TcpStream>> {
        self.connect_as(tls, None).await
    }

    /// The same, and shows a certificate.
    async fn connect_as(
        &self,
        tls: &ServerTls,
        identity: Option<Identity>,
    ) -> Option<TlsStream<TcpStream>> {
        let config = tls::client_of(tls, identity).unwrap().config().clone();
        let tcp = TcpStream::connect(self.addr).await.unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        connector.connect(name, tcp).await.ok()
    }
}

/// One request over a connection that stays open.
async fn ask(stream: &mut (impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin)) -> String {
    let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    while !answer.ends_with("echo") {
        let mut bytes = [0; 512];
        let read = stream.read(&mut bytes).await.unwrap();
        assert_ne!(read, 0, "{answer}");
        answer.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
    }
    answer
}

#[tokio::test]
async fn a_connection_shows_the_certificate_of_the_plan_in_force_when_it_begins() {
    let (old, new) = (own_certificate(), own_certificate());
    let door = open(Some(old.clone()), LONG, None).await;
    let mut first = door.connect(&old).await.unwrap();
    ask(&mut first).await;
    door.change(|plan| plan.tls = Some(new.clone()));
    let mut second = door.connect(&new).await.unwrap();
    ask(&mut second).await;
    assert!(door.connect(&old).await.is_none());
    // What was open goes on.
    ask(&mut first).await;
    let shown = |stream: &TlsStream<TcpStream>| -> CertificateDer<'static> {
        let chain = stream.get_ref().1.peer_certificates().unwrap();
        chain[0].clone().into_owned()
    };
    assert_ne!(shown(&first), shown(&second));
    // TLS can be taken away as well.
    door.change(|plan| plan.tls = None);
    let mut plain = TcpStream::connect(door.addr).await.unwrap();
    ask(&mut plain).await;
}

#[tokio::test]
async fn the_number_of_connections_follows_the_plan() {
    let door = open(None, LONG, None).await;
    door.change(|plan| plan.limits.connections = 1);
    let mut first = TcpStream::connect(door.addr).await.unwrap();
    ask(&mut first).await;
    let mut second = TcpStream::connect(door.addr).await.unwrap();
    {
        let waits = tokio::time::timeout(Duration::from_millis(50), ask(&mut second)).await;
        assert!(waits.is_err(), "the second one is served beyond the limit");
    }
    door.change(|plan| plan.limits.connections = 2);
    let mut answer = [0; 12];
    second.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    ask(&mut first).await;
}

#[tokio::test]
async fn a_handshake_that_does_not_come_is_not_waited_for() {
    let door = open(Some(own_certificate()), Duration::from_millis(50), None).await;
    let begun: &[&[u8]] = &[b"", b"\x16\x03\x01\x02\x00"];
    for bytes in begun {
        let mut stream = TcpStream::connect(door.addr).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut rest = Vec::new();
        // A reset is an end as well.
        let _ = stream.read_to_end(&mut rest).await;
        assert_eq!(rest, b"");
    }
    let text = door.door.metrics.encode();
    let line = "ingate_tls_handshake_failures_total{door=\"echo\"} 2";
    assert!(text.contains(line), "{text}");
}

#[tokio::test]
async fn plain_http_on_a_tls_port_gets_an_alert() {
    let door = open(Some(own_certificate()), LONG, None).await;
    let mut stream = TcpStream::connect(door.addr).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    // A record of the kind "alert".
    assert_eq!(answer.first(), Some(&0x15), "{answer:?}");
    assert!(door.door.calls.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_old_connection_takes_no_more_requests() {
    let door = open(None, LONG, Some(Duration::from_millis(50))).await;
    let mut stream = TcpStream::connect(door.addr).await.unwrap();
    ask(&mut stream).await;
    assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
}

/// A connection of HTTP/2 to the door.
async fn http2(
    door: &Open,
    tls: &ServerTls,
) -> (
    h2::client::SendRequest<Bytes>,
    tokio::task::JoinHandle<Result<(), h2::Error>>,
) {
    let mut config = tls::client_of(tls, None).unwrap().config().clone();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let tcp = TcpStream::connect(door.addr).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, tcp)
        .await
        .unwrap();
    let (requests, connection) = h2::client::handshake(stream).await.unwrap();
    (requests, tokio::spawn(connection))
}

#[tokio::test]
async fn http2_ends_when_nothing_is_asked_or_when_it_is_old() {
    for (head_timeout, life) in [
        (Duration::from_millis(50), None),
        (LONG, Some(Duration::from_millis(50))),
    ] {
        let tls = own_certificate();
        let door = open(Some(tls.clone()), head_timeout, life).await;
        let (mut requests, connection) = http2(&door, &tls).await;
        let request = Request::get("https://localhost/").body(()).unwrap();
        let (answer, _) = requests.send_request(request, true).unwrap();
        assert_eq!(answer.await.unwrap().status(), 200);
        // Still held: the other side ends it.
        connection.await.unwrap().unwrap();
        assert!(requests.ready().await.is_err());
    }
}

#[tokio::test]
async fn a_call_knows_where_it_comes_from() {
    let (shown, clients) = identity();
    for (asks, subject) in [(false, None), (true, Some("CN=ops"))] {
        let asked = asks.then_some(&clients);
        let tls = ServerTls::new(identity().0, asked).unwrap();
        let door = open(Some(tls.clone()), LONG, None).await;
        let shown = Some(shown.clone());
        let mut stream = door.connect_as(&tls, shown).await.unwrap();
        let peer = stream.get_ref().0.local_addr().unwrap();
        ask(&mut stream).await;
        let calls = door.door.calls.lock().unwrap();
        let call = &calls[0];
        assert_eq!((call.peer, call.local), (peer, door.addr));
        assert_eq!(call.subject.as_deref(), subject);
        assert!(call.sound && !call.last);
        assert!(!*call.stopping.borrow());
    }
}
