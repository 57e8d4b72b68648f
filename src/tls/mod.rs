//! TLS from PEM bytes: what a door shows, what a client trusts, and what is wrong with either, in words.
//!
//! Promise: a certificate and a key that do not belong together, or that nobody could use, are found before anybody
//! connects. TLS 1.2 and 1.3, by one provider that is always named. Not here: files (see `config`), sockets (see
//! `listener` and `client`), the inside of certificates (see [`crate::certificate`]).

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, DigitallySignedStruct, InconsistentKeys, RootCertStore, ServerConfig,
    SignatureScheme,
};

use sha2::{Digest, Sha256};

use crate::certificate;
use crate::secret::Secret;

/// What a door speaks over TLS, the first choice first.
const PROTOCOLS: [&[u8]; 2] = [HTTP_2, b"http/1.1"];

/// The name of HTTP/2 in a handshake.
pub const HTTP_2: &[u8] = b"h2";

/// What is wrong with certificates or keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// The text is broken.
    #[error("it is not PEM: {0}")]
    Pem(String),
    /// There is no certificate in it.
    #[error("there is no certificate in it: `-----BEGIN CERTIFICATE-----` is looked for")]
    NoCertificate,
    /// A certificate cannot be read.
    #[error("certificate {number} in it cannot be read, or is not of version 3")]
    BadCertificate {
        /// Which one, from 1.
        number: usize,
    },
    /// A chain is not in order.
    #[error(
        "certificate {number} in it is not signed by the one that follows: the own certificate comes first, then the one that signed it, and so on"
    )]
    Order {
        /// Which one, from 1.
        number: usize,
    },
    /// There is no private key in it.
    #[error("there is no private key in it: `-----BEGIN PRIVATE KEY-----` is looked for")]
    NoKey,
    /// The key needs a password.
    #[error(
        "the key is encrypted, and nobody could be asked for its password: `openssl pkey -in KEY -out PLAIN` decrypts it"
    )]
    EncryptedKey,
    /// No handshake can be made with the key.
    #[error(
        "the key is broken or of a kind that is not supported (RSA, ECDSA P-256 and P-384, Ed25519 are)"
    )]
    BadKey,
    /// The key is that of another certificate.
    #[error("the key does not fit the certificate")]
    Mismatch,
    /// The key is that of another certificate of the chain.
    #[error(
        "the key fits certificate {number} of the chain; the certificate that it fits comes first"
    )]
    MismatchOrder {
        /// Which one, from 1.
        number: usize,
    },
    /// A certificate cannot be trusted as an authority.
    #[error("certificate {number} in it cannot be an authority: {why}")]
    BadAuthority {
        /// Which one, from 1.
        number: usize,
        /// Why.
        why: String,
    },
    /// The system trusts nobody.
    #[error("the system has no root certificates")]
    NoRoots,
    /// Anything else that the TLS library says.
    #[error("{0}")]
    Library(String),
}

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> Self {
        Self::Library(error.to_string())
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Certificates, each signed by the one behind it; never empty.
#[derive(Clone, PartialEq, Eq)]
pub struct Chain(Vec<CertificateDer<'static>>);

impl Chain {
    /// The chain in this text.
    ///
    /// # Errors
    /// If there is none, or it is not in order.
    pub fn from_pem(text: &[u8]) -> Result<Self, TlsError> {
        let certificates = certificates(text)?;
        let mut facts = Vec::new();
        for (i, der) in certificates.iter().enumerate() {
            let bad = TlsError::BadCertificate { number: i + 1 };
            if ParsedCertificate::try_from(der).is_err() {
                return Err(bad);
            }
            facts.push(certificate::read(der).ok_or(bad)?);
        }
        for (i, (one, next)) in facts.iter().zip(facts.iter().skip(1)).enumerate() {
            if one.issuer != next.subject {
                return Err(TlsError::Order { number: i + 1 });
            }
        }
        Ok(Self(certificates))
    }

    /// From when to when the first certificate counts.
    #[must_use]
    pub fn valid(&self) -> (Timestamp, Timestamp) {
        self.0
            .first()
            .and_then(|own| certificate::read(own))
            .map_or((Timestamp::MIN, Timestamp::MAX), |facts| {
                (facts.not_before, facts.not_after)
            })
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chain({} certificates)", self.0.len())
    }
}

/// All certificates of a text; at least one.
fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    match found {
        Ok(found) if found.is_empty() => Err(TlsError::NoCertificate),
        Ok(found) => Ok(found),
        Err(error) => Err(TlsError::Pem(in_words(&error))),
    }
}

fn in_words(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a block does not end".to_owned(),
        pem::Error::IllegalSectionStart { .. } => "a block begins in a wrong way".to_owned(),
        pem::Error::Base64Decode(_) => "a block is not base64".to_owned(),
        // What is left could show bytes of the file.
        _ => "it cannot be read".to_owned(),
    }
}

/// The first private key of a text.
fn private_key(text: &Secret) -> Result<PrivateKeyDer<'static>, TlsError> {
    let has = |words: &[u8]| text.expose().windows(words.len()).any(|part| part == words);
    if has(b"BEGIN ENCRYPTED PRIVATE KEY") || has(b"Proc-Type: 4,ENCRYPTED") {
        return Err(TlsError::EncryptedKey);
    }
    PrivateKeyDer::from_pem_slice(text.expose()).map_err(|error| match error {
        pem::Error::NoItemsFound => TlsError::NoKey,
        other => TlsError::Pem(in_words(&other)),
    })
}

/// A certificate with its chain and its key: what one side shows the other.
#[derive(Clone)]
pub struct Identity(Arc<CertifiedKey>);

impl Identity {
    /// This chain with the key in this text.
    ///
    /// # Errors
    /// If there is no key in it that can be used, or it is not the one of the chain's first certificate.
    pub fn new(chain: &Chain, key: &Secret) -> Result<Self, TlsError> {
        let key = private_key(key)?;
        let key = provider()
            .key_provider
            .load_private_key(key)
            .map_err(|_| TlsError::BadKey)?;
        let fits = |certificates: &[CertificateDer<'static>]| {
            let whole = CertifiedKey::new(certificates.to_vec(), Arc::clone(&key));
            match whole.keys_match() {
                Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => Ok(None),
                Err(rustls::Error::InconsistentKeys(_)) | Ok(()) => Ok(Some(whole)),
                Err(error) => Err(TlsError::from(error)),
            }
        };
        if let Some(whole) = fits(&chain.0)? {
            return Ok(Self(Arc::new(whole)));
        }
        for (i, other) in chain.0.iter().enumerate().skip(1) {
            if fits(std::slice::from_ref(other))?.is_some() {
                return Err(TlsError::MismatchOrder { number: i + 1 });
            }
        }
        Err(TlsError::Mismatch)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(***)")
    }
}

/// Shows the one identity there is, whoever asks.
#[derive(Debug)]
struct Always(Identity);

impl rustls::server::ResolvesServerCert for Always {
    fn resolve(&self, _: rustls::server::ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.0))
    }
}

impl rustls::client::ResolvesClientCert for Always {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Whom to trust.
#[derive(Debug, Clone)]
pub struct Authorities(Arc<RootCertStore>);

impl Authorities {
    /// The certificates in this text, and no others.
    ///
    /// # Errors
    /// If there is none, or one of them cannot be an authority.
    pub fn from_pem(text: &[u8]) -> Result<Self, TlsError> {
        let mut store = RootCertStore::empty();
        for (i, der) in certificates(text)?.into_iter().enumerate() {
            store.add(der).map_err(|error| TlsError::BadAuthority {
                number: i + 1,
                why: error.to_string(),
            })?;
        }
        Ok(Self(Arc::new(store)))
    }

    /// Whom the system trusts.
    ///
    /// # Errors
    /// If that is nobody.
    pub fn of_system() -> Result<Self, TlsError> {
        let mut store = RootCertStore::empty();
        let (good, _) =
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if good == 0 {
            return Err(TlsError::NoRoots);
        }
        Ok(Self(Arc::new(store)))
    }
}

impl Authorities {
    /// A hash of who they are.
    fn fingerprint(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for anchor in &self.0.roots {
            hash.update(&anchor.subject);
            hash.update(&anchor.subject_public_key_info);
        }
        hash.finalize().into()
    }
}

/// Whether they are the same.
impl PartialEq for Authorities {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint() == other.fingerprint()
    }
}

impl Eq for Authorities {}

/// What a door needs for TLS.
#[derive(Clone)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
    own: CertificateDer<'static>,
    not_after: Timestamp,
    /// A hash of whom clients' certificates must be signed by; `None` if none are asked for.
    clients: Option<[u8; 32]>,
}

impl ServerTls {
    /// A door that shows this identity and, if `clients` are given, talks only to those who show a certificate that one
    /// of these authorities has signed.
    ///
    /// # Errors
    /// What the TLS library says.
    pub fn new(identity: Identity, clients: Option<&Authorities>) -> Result<Self, TlsError> {
        let own = identity
            .0
            .cert
            .first()
            .ok_or(TlsError::NoCertificate)?
            .clone();
        let not_after = certificate::read(&own).map_or(Timestamp::MAX, |facts| facts.not_after);
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?;
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(clients) => {
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::clone(&clients.0), provider())
                        .build()
                        .map_err(|error| TlsError::Library(error.to_string()))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_cert_resolver(Arc::new(Always(identity)));
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(Self {
            config: Arc::new(config),
            own,
            not_after,
            clients: clients.map(Authorities::fingerprint),
        })
    }

    /// For handshakes.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// When the certificate ends.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// Whether clients must show a certificate.
    #[must_use]
    pub fn asks_clients(&self) -> bool {
        self.clients.is_some()
    }

    /// A hash of whom clients' certificates must be signed by; `None` if none are asked for.
    #[must_use]
    pub fn clients(&self) -> Option<[u8; 32]> {
        self.clients
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls")
            .field("not_after", &self.not_after)
            .field("asks_clients", &self.asks_clients())
            .finish_non_exhaustive()
    }
}

/// What a client needs for TLS. Two of them are equal if they trust the same and show the same.
#[derive(Clone)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    /// A hash of whom it trusts and what it shows.
    made_of: [u8; 32],
}

impl PartialEq for ClientTls {
    fn eq(&self, other: &Self) -> bool {
        self.made_of == other.made_of
    }
}

impl Eq for ClientTls {}

impl ClientTls {
    /// For connections.
    #[must_use]
    pub fn config(&self) -> &ClientConfig {
        &self.config
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientTls")
    }
}

/// What a client needs that trusts these authorities (the system's where none are given) and shows this identity, if any.
///
/// # Errors
/// If the system trusts nobody, or what the TLS library says.
pub fn client(
    authorities: Option<&Authorities>,
    identity: Option<Identity>,
) -> Result<ClientTls, TlsError> {
    let authorities = match authorities {
        Some(authorities) => authorities.clone(),
        None => Authorities::of_system()?,
    };
    let mut made_of = Sha256::new_with_prefix(authorities.fingerprint());
    for shown in identity.iter().flat_map(|identity| &identity.0.cert) {
        made_of.update(b"shows");
        made_of.update(shown);
    }
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(authorities.0);
    Ok(ClientTls {
        config: Arc::new(match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => builder.with_client_cert_resolver(Arc::new(Always(identity))),
        }),
        made_of: made_of.finalize().into(),
    })
}

/// What a client needs for a door whose configuration it has read: it trusts the very certificate of that door, by
/// whatever name it is called, and besides whom the system trusts.
///
/// # Errors
/// What the TLS library says.
pub fn client_of(door: &ServerTls, identity: Option<Identity>) -> Result<ClientTls, TlsError> {
    let provider = provider();
    let others = Authorities::of_system().ok().and_then(|system| {
        WebPkiServerVerifier::builder_with_provider(system.0, Arc::clone(&provider))
            .build()
            .ok()
    });
    let verifier = KnownDoor {
        own: door.own.clone(),
        others,
        provider: Arc::clone(&provider),
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    Ok(ClientTls {
        made_of: Sha256::digest(&door.own).into(),
        config: Arc::new(match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => builder.with_client_cert_resolver(Arc::new(Always(identity))),
        }),
    })
}

/// Trusts one certificate, byte by byte, and whom others trust.
#[derive(Debug)]
struct KnownDoor {
    own: CertificateDer<'static>,
    others: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for KnownDoor {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if *shown == self.own {
            return Ok(ServerCertVerified::assertion());
        }
        match &self.others {
            Some(others) => others.verify_server_cert(shown, chain, name, ocsp, now),
            None => Err(rustls::CertificateError::UnknownIssuer.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests;
