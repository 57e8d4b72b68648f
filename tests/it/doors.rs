//! Both doors behind TLS, who is let in, who is behind a proxy, and what failing too often costs.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::version::{TLS12, TLS13};

use crate::process::{Site, data, ingate, words};
use crate::support::{
    Answer, Daemon, Peer, exchange, exchange_open, log, read_answers, wait_until,
};
use crate::tls::Authority;

pub const SECRET: &str = "a-plain-test-secret-of-40-characters-xyz";

/// A source `s`, whose events nobody takes.
pub const SOURCE: &str =
    "sources: {s: {preset: hmac, secrets: [{value: a-plain-test-secret-of-40-characters-xyz}]}}\n";

/// A connection over TLS to this address; `None` where there is no handshake.
pub async fn connect(addr: SocketAddr, tls: ClientConfig) -> Option<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(addr).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let connector = TlsConnector::from(Arc::new(tls));
    connector.connect(name, stream).await.ok()
}

/// Sends the bytes over TLS and gives back every answer, or what broke.
pub async fn exchange_tls(
    addr: SocketAddr,
    tls: ClientConfig,
    bytes: &[u8],
) -> Option<Vec<Answer>> {
    use tokio::io::AsyncReadExt;
    let mut stream = connect(addr, tls).await?;
    stream.write_all(bytes).await.ok()?;
    // With TLS 1.3 a client learns only now that its certificate was refused.
    let mut first = [0];
    stream.read_exact(&mut first).await.ok()?;
    let mut rest = std::io::Cursor::new(first).chain(stream);
    Some(read_answers(&mut rest).await)
}

/// An authority that has issued `localhost.pem` and `localhost.key` in the folder.
pub fn authority(folder: &Path) -> Authority {
    let authority = Authority::new();
    authority.issue_to(folder, "localhost");
    authority
}

fn with_alpn(mut tls: ClientConfig, names: &[&str]) -> ClientConfig {
    tls.alpn_protocols = names.iter().map(|name| name.as_bytes().to_vec()).collect();
    tls
}

#[tokio::test]
async fn the_public_door_speaks_what_is_agreed_on() {
    let folder = tempfile::tempdir().unwrap();
    let authority = authority(folder.path());
    let config = format!("tls: {{cert: localhost.pem, key: localhost.key}}\n{SOURCE}");
    let daemon = Daemon::start(folder.path(), &config).await;
    for (alpn, agreed) in [
        (&[][..], Some(None)),
        (&["http/1.1"], Some(Some("http/1.1"))),
        (&["h2"], Some(Some("h2"))),
        (&["http/1.1", "h2"], Some(Some("h2"))),
        (&["h3"], None),
    ] {
        let tls = with_alpn(authority.client(None), alpn);
        let stream = connect(daemon.public, tls).await;
        let got = stream.as_ref().map(|stream| {
            let (_, session) = stream.get_ref();
            session
                .alpn_protocol()
                .map(|name| std::str::from_utf8(name).unwrap())
        });
        assert_eq!(got, agreed, "{alpn:?}");
    }
    for version in [&TLS12, &TLS13] {
        let tls = authority.client_with(&[version]);
        let stream = connect(daemon.public, tls.clone()).await.unwrap();
        let spoken = stream.get_ref().1.protocol_version();
        assert_eq!(spoken, Some(version.version));
        let message = daemon.signed("s", SECRET, "", format!("{{\"v\":\"{version:?}\"}}"));
        let answers = exchange_tls(daemon.public, tls, &message.bytes())
            .await
            .unwrap();
        assert_eq!(answers[0].status, 200, "{answers:?}");
    }
    // Another authority's clients do not trust it, and that is counted.
    assert!(
        connect(daemon.public, Authority::new().client(None))
            .await
            .is_none()
    );
    let series = "ingate_tls_handshake_failures_total{door=\"public\"}";
    wait_until("failed handshakes are counted", async || {
        daemon.metric(series).await >= 2.0
    })
    .await;
    let series = "ingate_tls_certificate_expiry_timestamp_seconds{door=\"public\"}";
    assert!(daemon.metric(series).await > 1e9);
    daemon.stop().await;
}

#[tokio::test]
async fn in_the_clear_there_is_no_way_to_http2() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), SOURCE).await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    for addr in [daemon.public, daemon.admin] {
        assert!(exchange_open(addr, preface).await.is_empty());
        let upgrade = "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n";
        let answers = exchange(addr, upgrade.as_bytes()).await;
        assert_eq!(answers.len(), 1);
        assert!([200, 404].contains(&answers[0].status), "{answers:?}");
        assert!(answers[0].header("upgrade").is_none());
    }
    daemon.stop().await;
}

#[tokio::test]
async fn the_operators_door_asks_for_certificates_and_the_token() {
    let folder = tempfile::tempdir().unwrap();
    let authority = authority(folder.path());
    let clients = Authority::new();
    clients.write(folder.path(), "clients.pem");
    let path = folder.path().join("config.yaml");
    let text = format!(
        "listen: 127.0.0.1:0\nadmin: {{listen: 127.0.0.1:0, token: {{value: the-token}}, \
         tls: {{cert: localhost.pem, key: {{file: localhost.key}}, client_ca: clients.pem}}}}\n{SOURCE}"
    );
    let daemon = Daemon::start_on(&path, &text).await;
    let get = |line: &str| {
        format!("GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n{line}Connection: close\r\n\r\n")
    };
    let token = "Authorization: Bearer the-token\r\n";
    let ask = async |tls: ClientConfig, line: &str| {
        let answers = exchange_tls(daemon.admin, tls, get(line).as_bytes()).await;
        answers.map(|answers| answers[0].status)
    };
    assert_eq!(ask(authority.client(None), token).await, None);
    let stranger = authority.client(Some((&authority, "ops")));
    assert_eq!(ask(stranger, token).await, None);
    let known = authority.client(Some((&clients, "ops")));
    assert_eq!(ask(known.clone(), "").await, Some(401));
    assert_eq!(ask(known.clone(), token).await, Some(200));
    let text = exchange_tls(
        daemon.admin,
        known,
        format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\n{token}Connection: close\r\n\r\n")
            .as_bytes(),
    )
    .await
    .unwrap()[0]
        .text();
    assert!(
        text.contains("ingate_tls_handshake_failures_total{door=\"admin\"} 2"),
        "{text}"
    );
    daemon.stop().await;
}

#[tokio::test]
async fn a_target_may_have_an_authority_of_its_own_and_ask_who_we_are() {
    let folder = tempfile::tempdir().unwrap();
    let (theirs, ours) = (Authority::new(), Authority::new());
    theirs.write(folder.path(), "theirs.pem");
    ours.issue_to(folder.path(), "relay");
    let peer = Peer::start_tls(theirs.server_for("127.0.0.1", &ours), []).await;
    let stranger = Peer::start_tls(ours.server("127.0.0.1", false), []).await;
    let unknown = Peer::start_tls(theirs.server_for("127.0.0.1", &theirs), []).await;
    let shown = "{ca: theirs.pem, cert: relay.pem, key: relay.key}";
    let config = format!(
        "{SOURCE}targets:\n  \
         good: {{url: \"{}\", tls: {shown}}}\n  \
         nameless: {{url: \"{}\", tls: {{ca: theirs.pem}}, retry: {{schedule: [100ms]}}}}\n  \
         stranger: {{url: \"{}\", tls: {shown}, retry: {{schedule: [100ms]}}}}\n  \
         unknown: {{url: \"{}\", tls: {shown}, retry: {{schedule: [100ms]}}}}\n\
         routes: [{{name: all, from: s, to: [good, nameless, stranger, unknown]}}]\n",
        peer.https_url(),
        peer.https_url(),
        stranger.https_url(),
        unknown.https_url(),
    );
    let daemon = Daemon::start(folder.path(), &config).await;
    let body = "{\"own\":\"authority\"}";
    let answer = daemon.send(&daemon.signed("s", SECRET, "", body)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(peer.wait_for(1).await[0].body, body);
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    let mut deliveries: Vec<Value> = Vec::new();
    wait_until("the others were tried", async || {
        let event = daemon
            .admin_get(&format!("/api/v1/events/{id}"))
            .await
            .json();
        deliveries = event["deliveries"].as_array().unwrap().clone();
        deliveries.iter().all(|delivery| {
            delivery["state"] == "delivered" || delivery["attempts_made"].as_u64() >= Some(1)
        })
    })
    .await;
    for delivery in &deliveries {
        let good = delivery["target"] == "good";
        assert_eq!(delivery["state"] == "delivered", good, "{delivery}");
        if !good {
            assert_eq!(
                delivery["attempts"][0]["outcome"]["kind"], "failed",
                "{delivery}"
            );
        }
    }
    assert_eq!(peer.received().len(), 1);
    assert!(stranger.received().is_empty() && unknown.received().is_empty());
    daemon.stop().await;
}

#[tokio::test]
async fn send_trusts_the_certificate_that_the_configuration_names() {
    let folder = tempfile::tempdir().unwrap();
    // Nobody the system trusts has signed it, and it is for another name.
    authority(folder.path());
    let body = folder.path().join("event.json");
    std::fs::write(&body, "{\"a\":1}").unwrap();
    let config = format!("tls: {{cert: localhost.pem, key: localhost.key}}\n{SOURCE}");
    let site = Site::new(folder.path(), &config);
    let daemon = site.start().await;
    let config = site.config();
    let args = [
        "send",
        "-c",
        config.to_str().unwrap(),
        "--source",
        "s",
        "--event",
        body.to_str().unwrap(),
    ];
    let sent = ingate(&args);
    assert!(sent.status.success(), "{}", words(&sent));
    assert!(
        words(&sent).contains("POST https://127.0.0.1:"),
        "{}",
        words(&sent)
    );
    assert!(data(&sent).contains("\"id\""), "{}", data(&sent));
    // Another certificate in the file than the daemon shows: it is not trusted.
    Authority::new().issue_to(folder.path(), "localhost");
    let sent = ingate(&args);
    assert_eq!(sent.status.code(), Some(69), "{}", words(&sent));
    assert!(daemon.terminate().success());
}

#[tokio::test]
async fn the_log_names_the_client_behind_a_trusted_proxy() {
    let folder = tempfile::tempdir().unwrap();
    for (trusted, address, wanted) in [
        ("[127.0.0.0/8]", "203.0.113.71", "client=203.0.113.71"),
        ("[10.0.0.0/8]", "203.0.113.72", "client=127.0.0.1"),
    ] {
        let config = format!("trusted_proxies: {trusted}\n{SOURCE}");
        let folder = folder.path().join(address);
        let daemon = Daemon::start(&folder, &config).await;
        let forged = daemon
            .signed("s", &"x".repeat(40), "", "{}")
            .with("x-forwarded-for", format!("198.51.100.1, {address}"));
        assert_eq!(daemon.send(&forged).await.status, 401);
        let text = log();
        let lines: Vec<&str> = text
            .lines()
            .filter(|line| line.contains("verification failed"))
            .collect();
        assert!(lines.iter().any(|line| line.contains(wanted)), "{wanted}");
        assert!(!text.contains("client=203.0.113.72"));
        assert!(!text.contains("client=198.51.100.1"));
        daemon.stop().await;
    }
}

#[tokio::test]
async fn failures_are_slowed_and_good_requests_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let config = format!("limits: {{failures: 1}}\n{SOURCE}");
    let daemon = Daemon::start(folder.path(), &config).await;
    let forged = daemon.signed("s", &"x".repeat(40), "", "{}");
    let first = daemon.send(&forged).await;
    let addr = daemon.public;
    let bytes = forged.bytes();
    let waiting: Vec<_> = (0..12)
        .map(|_| {
            let bytes = bytes.clone();
            tokio::spawn(async move { exchange(addr, &bytes).await })
        })
        .collect();
    let delayed = "ingate_answers_delayed_total";
    wait_until("answers wait", async || {
        daemon.metric(delayed).await >= 12.0
    })
    .await;
    for n in 0..3 {
        let good = daemon.signed("s", SECRET, "", format!("{{\"n\":{n}}}"));
        assert_eq!(daemon.send(&good).await.status, 200);
    }
    let still = waiting
        .iter()
        .filter(|answer| !answer.is_finished())
        .count();
    assert!(still > 0, "good requests waited as long as the failures");
    // A stop ends the waiting, and the answers are the same as ever.
    daemon.stop().await;
    for answer in waiting {
        let answer = answer.await.unwrap().remove(0);
        assert_eq!((answer.status, &answer.body), (401, &first.body));
        let names = |answer: &Answer| -> Vec<String> {
            answer
                .headers
                .iter()
                .map(|(name, _)| name.clone())
                .filter(|n| n != "connection")
                .collect()
        };
        assert_eq!(names(&answer), names(&first));
    }
}
