//! What is found wrong, in words, before anybody connects; handshakes are in `tests/it/doors.rs`.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

use super::*;

/// A chain of an own certificate and the authority that signed it, with the key of each, as PEM.
fn issued() -> ([String; 2], [String; 2]) {
    let root_key = KeyPair::generate().unwrap();
    let mut root = CertificateParams::new([]).unwrap();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    root.distinguished_name.push(DnType::CommonName, "root");
    let root_pem = root.self_signed(&root_key).unwrap().pem();
    let issuer = Issuer::new(root, &root_key);
    let key = KeyPair::generate().unwrap();
    let mut own = CertificateParams::new(["localhost".to_owned()]).unwrap();
    own.distinguished_name.push(DnType::CommonName, "own");
    own.not_after = date_time_ymd(2031, 2, 3);
    let own_pem = own.signed_by(&key, &issuer).unwrap().pem();
    (
        [own_pem, root_pem],
        [key.serialize_pem(), root_key.serialize_pem()],
    )
}

fn identity(chain: &str, key: &str) -> Result<Identity, TlsError> {
    Identity::new(&Chain::from_pem(chain.as_bytes())?, &Secret::new(key))
}

#[test]
fn what_does_not_belong_together_is_told() {
    let ([own, root], [key, root_key]) = issued();
    let stranger = KeyPair::generate().unwrap().serialize_pem();
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: X\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    let junk_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let both = format!("{own}{root}");
    let reversed = format!("{root}{own}");
    for (name, chain, key, wanted) in [
        ("no certificate", "", key.as_str(), TlsError::NoCertificate),
        (
            "a key for a certificate",
            key.as_str(),
            &key,
            TlsError::NoCertificate,
        ),
        ("junk", junk, &key, TlsError::BadCertificate { number: 1 }),
        (
            "no end",
            &own[..own.len() - 40],
            &key,
            TlsError::Pem("a block does not end".to_owned()),
        ),
        ("reversed", &reversed, &key, TlsError::Order { number: 1 }),
        ("no key", &both, "", TlsError::NoKey),
        ("a certificate for a key", &both, &own, TlsError::NoKey),
        ("encrypted", &both, encrypted, TlsError::EncryptedKey),
        ("encrypted of old", &both, old, TlsError::EncryptedKey),
        ("junk for a key", &both, junk_key, TlsError::BadKey),
        ("a stranger's", &both, &stranger, TlsError::Mismatch),
        (
            "the authority's",
            &both,
            &root_key,
            TlsError::MismatchOrder { number: 2 },
        ),
    ] {
        assert_eq!(identity(chain, key).err(), Some(wanted), "{name}");
    }
    for chain in [&own, &both] {
        assert!(identity(chain, &key).is_ok());
    }
    // One file may hold both.
    let one = format!("{own}{key}{root}");
    let whole = identity(&one, &one).unwrap();
    assert_eq!(format!("{whole:?}"), "Identity(***)");
}

#[test]
fn a_door_knows_when_its_certificate_ends() {
    let ([own, root], [key, _]) = issued();
    let chain = Chain::from_pem(own.as_bytes()).unwrap();
    let end: Timestamp = "2031-02-03T00:00:00Z".parse().unwrap();
    assert_eq!(chain.valid().1, end);
    let clients = Authorities::from_pem(root.as_bytes()).unwrap();
    let door = ServerTls::new(identity(&own, &key).unwrap(), Some(&clients)).unwrap();
    assert_eq!((door.not_after(), door.asks_clients()), (end, true));
    let shown = format!("{door:?}");
    assert!(!shown.contains(&key[40..60]), "{shown}");
    assert!(
        !ServerTls::new(identity(&own, &key).unwrap(), None)
            .unwrap()
            .asks_clients()
    );
}

#[test]
fn authorities_are_certificates() {
    assert_eq!(
        Authorities::from_pem(b"").err(),
        Some(TlsError::NoCertificate)
    );
    let junk = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(
        Authorities::from_pem(junk),
        Err(TlsError::BadAuthority { number: 1, .. })
    ));
}
