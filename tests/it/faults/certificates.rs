//! A target's certificate that expires while events flow: what is connected goes on, what connects anew fails until
//! the certificate is renewed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use time::OffsetDateTime;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;

use super::{PATIENCE, delivery, nothing_is_pending, outcomes, rest_with, send, site};
use crate::numbered::numbers;
use crate::process::Site;
use crate::support::{Peer, wait_until, wait_within};
use crate::tls::Authority;

/// How long a certificate holds that is to expire soon.
const SOON: Duration = Duration::from_secs(3);

/// The certificate that a target shows; it can be replaced.
#[derive(Debug)]
struct Shown(Mutex<Arc<CertifiedKey>>);

impl Shown {
    fn new(authority: &Authority) -> Self {
        Self(Mutex::new(certified(authority, None)))
    }

    fn set(&self, authority: &Authority, until: Option<OffsetDateTime>) {
        *self.0.lock().unwrap() = certified(authority, until);
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.lock().unwrap()))
    }
}

fn certified(authority: &Authority, until: Option<OffsetDateTime>) -> Arc<CertifiedKey> {
    let (certificate, key) = authority.issue_until("127.0.0.1", until);
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let chain = vec![certificate.der().clone()];
    let provider = ring::default_provider();
    Arc::new(CertifiedKey::from_der(chain, key.into(), &provider).unwrap())
}

/// A server that shows it to everybody, and lets nobody take up an earlier session, which would not be shown anything.
fn server(shown: Arc<Shown>) -> ServerConfig {
    let mut server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(shown);
    server.send_tls13_tickets = 0;
    server
}

async fn event(site: &Site, n: u64) -> String {
    let answer = send(site, n).await;
    assert_eq!(answer.status, 200);
    answer.json()["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_expires_and_is_renewed() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    authority.write(folder.path(), "ca.pem");
    let shown = Arc::new(Shown::new(&authority));
    let secure = Peer::start_tls(server(Arc::clone(&shown)), []).await;
    let other = Peer::start_tls(authority.server("127.0.0.1", false), []).await;
    let targets = [("secure", secure.https_url()), ("other", other.https_url())];
    // One connection at a time, so that it is known which is used.
    let settings = "timeout: 2s, concurrency: 1, tls: {ca: ca.pem}";
    let site = site(folder.path(), &rest_with("", settings, &targets));
    let daemon = site.start().await;

    // A connection is made while a certificate holds that does not hold for long.
    let mut n = 0;
    let until = loop {
        assert!(n < 5, "no event in time:\n{}", site.log());
        n += 1;
        secure.set_down(true);
        let until = OffsetDateTime::now_utc() + SOON;
        shown.set(&authority, Some(until));
        let id = event(&site, n).await;
        wait_until("no connection is left", async || {
            let delivery = delivery(&site, &id, "secure").await;
            outcomes(&delivery).len() > usize::from(n > 1)
        })
        .await;
        secure.set_down(false);
        wait_within(PATIENCE, "it is delivered", async || {
            numbers(&secure).contains(&n)
        })
        .await;
        if OffsetDateTime::now_utc() < until - Duration::from_secs(1) {
            break until;
        }
    };
    nothing_is_pending(&site).await;
    wait_until("it has expired", async || {
        OffsetDateTime::now_utc() > until + Duration::from_secs(1)
    })
    .await;

    // The connection from before is as good as it was.
    n += 1;
    let kept = event(&site, n).await;
    wait_until("it goes over the kept connection", async || {
        delivery(&site, &kept, "secure").await["state"] == "delivered"
    })
    .await;
    let made = delivery(&site, &kept, "secure").await;
    assert_eq!(outcomes(&made), ["200"]);

    // A new one is refused, by us.
    secure.set_down(true);
    n += 1;
    let anew = event(&site, n).await;
    wait_until("the connection is gone", async || {
        !outcomes(&delivery(&site, &anew, "secure").await).is_empty()
    })
    .await;
    secure.set_down(false);
    wait_within(PATIENCE, "new connections are refused", async || {
        let delivery = delivery(&site, &anew, "secure").await;
        outcomes(&delivery).last().map(String::as_str) == Some("tls")
    })
    .await;
    let last = delivery(&site, &anew, "secure").await;
    let detail = last["attempts"].as_array().unwrap().last().unwrap()["outcome"]["detail"].clone();
    assert!(detail.as_str().unwrap().contains("xpired"), "{last}");
    assert!(!numbers(&secure).contains(&n));
    // The other target has had everything all the while.
    wait_until("the other target has it", async || {
        numbers(&other).contains(&n)
    })
    .await;

    shown.set(&authority, None);
    wait_within(PATIENCE, "it is delivered", async || {
        numbers(&secure).contains(&n)
    })
    .await;
    nothing_is_pending(&site).await;
    assert_eq!(daemon.terminate().code(), Some(0), "{}", site.log());
    assert_eq!(secure.received().len(), numbers(&secure).len());
}
