//! Certificates that are replaced while events flow: the public door's own, and whom a target's client trusts.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::task::JoinHandle;
use tokio_rustls::rustls::ClientConfig;

use crate::doors::connect;
use crate::numbered::{SECRET, get, message, numbers, pending};
use crate::process::Site;
use crate::reload::{metric, reloads, successful};
use crate::support::{Peer, wait_until};
use crate::tls::Authority;

fn site(folder: &Path, doors: &str, target: &str) -> Site {
    std::fs::write(folder.join("secret"), SECRET).unwrap();
    let rest = format!(
        "{doors}sources: {{in: {{preset: standard-webhooks, secrets: [{{file: secret}}]}}}}\n\
         targets: {{erp: {{{target}, retry: {{initial: 50ms, factor: 1, max: 50ms, jitter: 0}}}}}}\n\
         routes: [{{name: all, from: in, to: erp}}]\n"
    );
    Site::new(folder, &rest)
}

/// A sender's connection.
enum Sending {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Sending {
    /// Opens one by this protocol; gives along the certificate that the door showed.
    async fn open(addr: SocketAddr, mut tls: ClientConfig, protocol: &str) -> (Self, Vec<u8>) {
        tls.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let stream = connect(addr, tls).await.unwrap();
        let shown = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
        let io = TokioIo::new(stream);
        let sending = if protocol == "h2" {
            let (sending, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
            tokio::spawn(connection);
            Self::Http2(sending)
        } else {
            let (sending, connection) = http1::handshake(io).await.unwrap();
            tokio::spawn(connection);
            Self::Http1(sending)
        };
        (sending, shown)
    }

    /// Sends one event over it; the status of the answer, which was read to its end.
    async fn send(&mut self, n: u64) -> StatusCode {
        let message = message(SECRET, n);
        let mut request = Request::builder().method(Method::POST);
        for (name, value) in &message.headers {
            request = request.header(name, &value[..]);
        }
        let body = Full::new(Bytes::from(message.body));
        let answer = match self {
            Self::Http1(sending) => {
                let request = request.uri(&message.path).header("host", "localhost");
                sending.ready().await.unwrap();
                sending.send_request(request.body(body).unwrap()).await
            }
            Self::Http2(sending) => {
                let request = request.uri(format!("https://localhost{}", message.path));
                sending.ready().await.unwrap();
                sending.send_request(request.body(body).unwrap()).await
            }
        };
        let answer = answer.unwrap_or_else(|error| panic!("event {n}: {error}"));
        let status = answer.status();
        answer.into_body().collect().await.unwrap();
        status
    }
}

/// Senders that go on until they are told to stop.
struct Load {
    go_on: Arc<AtomicBool>,
    /// How many events each has sent.
    sent: Vec<Arc<AtomicU64>>,
    senders: Vec<JoinHandle<BTreeSet<u64>>>,
}

impl Load {
    /// Two of each kind: over a kept connection by either protocol, and with a new connection for each event.
    fn start(addr: SocketAddr, tls: &ClientConfig) -> Self {
        let mut load = Self {
            go_on: Arc::new(AtomicBool::new(true)),
            sent: Vec::new(),
            senders: Vec::new(),
        };
        let kinds = [
            ("http/1.1", true),
            ("h2", true),
            ("http/1.1", false),
            ("h2", false),
        ];
        let next = Arc::new(AtomicU64::new(1));
        for (protocol, keeps) in kinds.into_iter().chain(kinds) {
            let (go_on, next, count) = (Arc::clone(&load.go_on), Arc::clone(&next), Arc::default());
            load.sent.push(Arc::clone(&count));
            let tls = tls.clone();
            load.senders.push(tokio::spawn(async move {
                let mut sent = BTreeSet::new();
                let (mut sending, _) = Sending::open(addr, tls.clone(), protocol).await;
                while go_on.load(Ordering::Relaxed) {
                    if !keeps {
                        (sending, _) = Sending::open(addr, tls.clone(), protocol).await;
                    }
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let status = sending.send(n).await;
                    assert_eq!(status, 200, "event {n}, {protocol}, kept: {keeps}");
                    sent.insert(n);
                    count.fetch_add(1, Ordering::Relaxed);
                }
                sent
            }));
        }
        load
    }

    /// Waits until each has sent some more events.
    async fn goes_on(&self) {
        let before: Vec<u64> = self
            .sent
            .iter()
            .map(|n| n.load(Ordering::Relaxed))
            .collect();
        wait_until("every sender has sent more", async || {
            assert!(
                !self.senders.iter().any(JoinHandle::is_finished),
                "a sender has ended"
            );
            let now = self.sent.iter().map(|n| n.load(Ordering::Relaxed));
            now.zip(&before).all(|(now, before)| now >= before + 3)
        })
        .await;
    }

    async fn stop(self) -> BTreeSet<u64> {
        self.go_on.store(false, Ordering::Relaxed);
        let mut sent = BTreeSet::new();
        for sender in self.senders {
            sent.extend(sender.await.unwrap());
        }
        sent
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doors_certificate_is_replaced_while_events_flow() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let authority = Authority::new();
    authority.issue_to(root, "localhost");
    let peer = Peer::start([]).await;
    let doors = "tls: {cert: localhost.pem, key: localhost.key}\n";
    let site = site(root, doors, &format!("url: \"{}\"", peer.url()));
    let daemon = site.start().await;
    let addr = ([127, 0, 0, 1], site.public).into();
    let tls = authority.client(None);
    let shown = async || Sending::open(addr, tls.clone(), "h2").await.1;
    let load = Load::start(addr, &tls);
    load.goes_on().await;
    let mut known = BTreeSet::from([shown().await]);
    let next = root.join("next");
    std::fs::create_dir(&next).unwrap();
    // Either file comes first; in between they do not fit.
    for order in [["pem", "key"], ["key", "pem"], ["pem", "key"]] {
        let old = shown().await;
        authority.issue_to(&next, "localhost");
        let replace = |ending: &str| {
            let name = format!("localhost.{ending}");
            std::fs::rename(next.join(&name), root.join(&name)).unwrap();
        };
        let refused = reloads(&site, "refused").await;
        replace(order[0]);
        wait_until("what does not fit is refused", async || {
            reloads(&site, "refused").await > refused
        })
        .await;
        assert_eq!(successful(&site).await, 0.0);
        assert_eq!(shown().await, old);
        load.goes_on().await;
        replace(order[1]);
        wait_until("the new pair is in force", async || {
            successful(&site).await == 1.0
        })
        .await;
        let new = shown().await;
        assert!(known.insert(new), "it is not a new certificate");
        load.goes_on().await;
    }
    assert!(
        site.log().contains("does not fit the certificate"),
        "{}",
        site.log()
    );
    let sent = load.stop().await;
    wait_until("every event is at the target", async || {
        numbers(&peer).is_superset(&sent)
    })
    .await;
    wait_until("no delivery is pending", async || pending(&site).await == 0).await;
    let failures = "ingate_tls_handshake_failures_total{door=\"public\"}";
    assert_eq!(metric(&site, failures).await, 0.0);
    assert_eq!(daemon.terminate().code(), Some(0), "{}", site.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_targets_authority_is_replaced_while_events_wait() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let (old, new) = (Authority::new(), Authority::new());
    old.write(root, "ca.pem");
    let peer = Peer::start_tls(old.server("127.0.0.1", false), []).await;
    let target = format!("url: \"{}\", tls: {{ca: ca.pem}}", peer.https_url());
    let site = site(root, "", &target);
    let daemon = site.start().await;
    assert!(crate::numbered::send(site.public, 1).await);
    assert_eq!(peer.wait_for(1).await[0].json()["n"], 1);
    // The target comes back with a certificate of another authority.
    let addr = peer.addr;
    peer.stop().await;
    let peer = Peer::start_tls_at(addr, new.server("127.0.0.1", false), []).await;
    assert!(crate::numbered::send(site.public, 2).await);
    wait_until("it is not trusted", async || {
        let page = get(&site, "/api/v1/deliveries?state=pending").await;
        let Some(id) = page["items"][0]["event"].as_str() else {
            return false;
        };
        let shown = get(&site, &format!("/api/v1/events/{id}")).await;
        let attempts = shown["deliveries"][0]["attempts"].as_array().unwrap();
        attempts
            .iter()
            .any(|attempt| attempt["outcome"]["failure"] == "tls")
    })
    .await;
    assert!(peer.received().is_empty());
    // A file that holds no certificate changes nothing; then the right one.
    for (name, text) in [("none", Some("nothing")), ("new.pem", None)] {
        match text {
            Some(text) => std::fs::write(root.join(name), text).unwrap(),
            None => drop(new.write(root, name)),
        }
        std::fs::rename(root.join(name), root.join("ca.pem")).unwrap();
        let good = if text.is_some() { 0.0 } else { 1.0 };
        wait_until("the file is seen", async || successful(&site).await == good).await;
        assert!(peer.received().is_empty() || good == 1.0);
    }
    assert_eq!(peer.wait_for(1).await[0].json()["n"], 2);
    assert!(crate::numbered::send(site.public, 3).await);
    wait_until("no delivery is pending", async || pending(&site).await == 0).await;
    assert_eq!(numbers(&peer), BTreeSet::from([2, 3]));
    assert_eq!(daemon.terminate().code(), Some(0), "{}", site.log());
}
