//! Targets behind TLS: what the system trusts is delivered to, anything else is a failed attempt that is
//! made again. The daemon is a process of its own, since what it trusts comes from its environment.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd,
};
use serde_json::Value;
use time::OffsetDateTime;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};

use crate::process::Site;
use crate::support::{Message, Peer, exchange, wait_until};

const SECRET: &str = "a-plain-test-secret-of-40-characters-xyz";

/// A certificate authority of the test's own.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    certificate: CertificateDer<'static>,
}

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        Self {
            pem: certificate.pem(),
            certificate: certificate.der().clone(),
            issuer: Issuer::new(params, key),
        }
    }

    /// Writes its certificate to a file.
    pub fn write(&self, folder: &Path, name: &str) -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, &self.pem).unwrap();
        path
    }

    /// A certificate for this name, and its key.
    fn issue(&self, name: &str, expired: bool) -> (Certificate, KeyPair) {
        let until = expired.then(|| date_time_ymd(2020, 1, 1));
        self.issue_until(name, until)
    }

    /// The same that expires at this time, or not for long.
    pub fn issue_until(&self, name: &str, until: Option<OffsetDateTime>) -> (Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        if let Some(until) = until {
            params.not_after = until;
        }
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// Writes a certificate for this name and its key to `NAME.pem` and `NAME.key`.
    pub fn issue_to(&self, folder: &Path, name: &str) {
        let (certificate, key) = self.issue(name, false);
        std::fs::write(folder.join(format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    /// What a client needs that trusts this authority alone and speaks these versions.
    pub fn client_with(&self, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
        ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(self.roots())
            .with_no_client_auth()
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        roots
    }

    /// What a client needs that trusts this authority alone; with a name, it shows a certificate by `signer` for it.
    pub fn client(&self, shows: Option<(&Authority, &str)>) -> ClientConfig {
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots());
        match shows {
            None => builder.with_no_client_auth(),
            Some((signer, name)) => {
                let (certificate, key) = signer.issue(name, false);
                let key = PrivatePkcs8KeyDer::from(key.serialize_der());
                let chain = vec![certificate.der().clone()];
                builder.with_client_auth_cert(chain, key.into()).unwrap()
            }
        }
    }

    /// A server that goes by this name and lets in only those whose certificate `clients` has signed.
    pub fn server_for(&self, name: &str, clients: &Authority) -> ServerConfig {
        let roots = Arc::new(clients.roots());
        let provider = Arc::new(ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider))
            .build()
            .unwrap();
        let (certificate, key) = self.issue(name, false);
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![certificate.der().clone()], key.into())
            .unwrap()
    }

    /// A server that goes by this name.
    pub fn server(&self, name: &str, expired: bool) -> ServerConfig {
        let (certificate, key) = self.issue(name, expired);
        let chain: Vec<CertificateDer<'static>> = vec![certificate.der().clone()];
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key.into())
            .unwrap()
    }
}

/// The configuration: what comes in by `s` goes to these targets.
fn config(targets: &[(&str, String)]) -> String {
    let names: Vec<&str> = targets.iter().map(|(name, _)| *name).collect();
    let targets: String = targets
        .iter()
        .map(|(name, url)| format!("  {name}: {{url: \"{url}\", retry: {{schedule: [100ms]}}}}\n"))
        .collect();
    format!(
        "sources: {{s: {{preset: hmac, secrets: [{{value: {SECRET}}}]}}}}\n\
         targets:\n{targets}\
         routes: [{{name: all, from: s, to: [{}]}}]\n",
        names.join(", ")
    )
}

/// Sends an event to the daemon and gives back its id.
async fn send(site: &Site, body: &str) -> String {
    let plan = ingate::config::load(&site.config(), &ingate::config::ProcessEnv)
        .unwrap()
        .plan;
    let now = jiff::Timestamp::now();
    let message = Message::signed(&plan.sources["s"], SECRET, "", now, "t", body.into());
    let answers = exchange(([127, 0, 0, 1], site.public).into(), &message.bytes()).await;
    assert_eq!(answers[0].status, 200, "{answers:?}");
    answers[0].json()["id"].as_str().unwrap().to_owned()
}

/// The deliveries of an event, as the API shows them.
async fn deliveries(site: &Site, event: &str) -> Vec<Value> {
    let request = format!(
        "GET /api/v1/events/{event} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    );
    let answers = exchange(([127, 0, 0, 1], site.admin).into(), request.as_bytes()).await;
    answers[0].json()["deliveries"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_target_behind_tls_that_the_system_trusts_is_delivered_to() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let trusted = authority.write(folder.path(), "ca.pem");
    let peer = Peer::start_tls(authority.server("127.0.0.1", false), []).await;
    let site = Site::new(folder.path(), &config(&[("erp", peer.https_url())]));
    let daemon = site
        .start_with(&[("SSL_CERT_FILE", trusted.to_str().unwrap())])
        .await;
    for (number, body) in ["{\"a\":1}", "{\"a\":2}"].into_iter().enumerate() {
        let event = send(&site, body).await;
        let received = peer.wait_for(number + 1).await;
        assert_eq!(received[number].body, body);
        wait_until("it is delivered", async || {
            deliveries(&site, &event).await[0]["state"] == "delivered"
        })
        .await;
    }
    assert!(daemon.terminate().success());
}

#[tokio::test]
async fn a_certificate_that_does_not_hold_is_a_failure_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (Authority::new(), Authority::new());
    let only_ours = ours.write(folder.path(), "ours.pem");
    let both = folder.path().join("both.pem");
    std::fs::write(&both, format!("{}{}", ours.pem, theirs.pem)).unwrap();

    let unknown = Peer::start_tls(theirs.server("127.0.0.1", false), []).await;
    let expired = Peer::start_tls(ours.server("127.0.0.1", true), []).await;
    let misnamed = Peer::start_tls(ours.server("other.example", false), []).await;
    let plain = Peer::start([]).await;
    let peers = [&unknown, &expired, &misnamed, &plain];
    let targets: Vec<(&str, String)> = ["unknown", "expired", "misnamed", "plain"]
        .into_iter()
        .zip(peers.map(Peer::https_url))
        .collect();
    let site = Site::new(folder.path(), &config(&targets));
    let daemon = site
        .start_with(&[("SSL_CERT_FILE", only_ours.to_str().unwrap())])
        .await;
    let body = "{\"kept\":true}";
    let event = send(&site, body).await;
    wait_until("all were tried twice", async || {
        deliveries(&site, &event)
            .await
            .iter()
            .all(|delivery| delivery["attempts_made"].as_u64() >= Some(2))
    })
    .await;
    for delivery in deliveries(&site, &event).await {
        assert_eq!(delivery["state"], "pending", "{delivery}");
        for attempt in delivery["attempts"].as_array().unwrap() {
            let outcome = &attempt["outcome"];
            assert_eq!(outcome["failure"], "tls", "{delivery}");
            assert!(!outcome["detail"].as_str().unwrap().is_empty());
        }
    }
    for peer in peers {
        assert!(peer.received().is_empty(), "{}", peer.addr);
    }
    assert!(daemon.terminate().success());

    // Once the authority is trusted, what waited arrives.
    let daemon = site
        .start_with(&[("SSL_CERT_FILE", both.to_str().unwrap())])
        .await;
    assert_eq!(unknown.wait_for(1).await[0].body, body);
    assert!(daemon.terminate().success());
}
