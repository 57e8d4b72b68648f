//! ECDSA on P-256 with SHA-256; signatures and keys are DER.

use std::sync::Arc;

use ring::agreement::{self, ECDH_P256, EphemeralPrivateKey, agree_ephemeral};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _,
    UnparsedPublicKey,
};

use crate::signature::SecretError;

/// What a SubjectPublicKeyInfo of an uncompressed point on P-256 begins with (RFC 5480); the point follows.
const SPKI_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// Bytes of an uncompressed point.
const POINT_BYTES: usize = 65;

/// A public key: a point on the curve.
#[derive(Clone)]
pub(super) struct Public([u8; POINT_BYTES]);

/// A private key.
#[derive(Clone)]
pub(super) struct Private(Arc<EcdsaKeyPair>);

impl Public {
    /// Reads a SubjectPublicKeyInfo.
    pub(super) fn read(der: &[u8]) -> Result<Self, SecretError> {
        let point = der.strip_prefix(&SPKI_PREFIX).ok_or_else(|| {
            if pair(der).is_some() {
                SecretError::PrivateKey
            } else {
                SecretError::Encoding {
                    expected: "a P-256 public key (SubjectPublicKeyInfo, DER in base64, or PEM)",
                }
            }
        })?;
        let point: [u8; POINT_BYTES] = point.try_into().map_err(|_| SecretError::Length {
            expected: "91 bytes of a P-256 public key",
            got: der.len(),
        })?;
        if is_on_curve(&point) {
            Ok(Self(point))
        } else {
            Err(SecretError::NoKey)
        }
    }

    pub(super) fn proves(&self, content: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.0)
            .verify(content, signature)
            .is_ok()
    }
}

impl Private {
    /// Reads a PKCS#8 document.
    pub(super) fn read(der: &[u8]) -> Result<Self, SecretError> {
        match pair(der) {
            Some(pair) => Ok(Self(Arc::new(pair))),
            None if der.starts_with(&SPKI_PREFIX) => Err(SecretError::PublicKey),
            None => Err(SecretError::Encoding {
                expected: "a P-256 private key (PKCS#8 with its public key, DER in base64, or PEM)",
            }),
        }
    }

    /// A signature; `None` if the machine has no randomness.
    pub(super) fn sign(&self, content: &[u8]) -> Option<Vec<u8>> {
        let signature = self.0.sign(&SystemRandom::new(), content).ok()?;
        Some(signature.as_ref().to_vec())
    }
}

/// A fresh private key (PKCS#8) and its public one (SubjectPublicKeyInfo); `None` if the machine has no randomness.
pub(in crate::signature) fn fresh() -> Option<(Vec<u8>, Vec<u8>)> {
    let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
    let private = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).ok()?;
    let point = pair(private.as_ref())?;
    let public = [SPKI_PREFIX.as_slice(), point.public_key().as_ref()].concat();
    Some((private.as_ref().to_vec(), public))
}

fn pair(der: &[u8]) -> Option<EcdsaKeyPair> {
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der, &SystemRandom::new()).ok()
}

/// Whether it is a point of the curve, so that a wrong key is told at start and not by each request. An
/// agreement with it is the check that there is.
fn is_on_curve(point: &[u8]) -> bool {
    let Ok(own) = EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new()) else {
        return false;
    };
    let peer = agreement::UnparsedPublicKey::new(&ECDH_P256, point);
    agree_ephemeral(own, &peer, |_| ()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;
    use crate::signature::{Scheme, SchemeRecord};
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    fn keys() -> (String, String, Vec<u8>) {
        let random = SystemRandom::new();
        let private =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
        let pair = pair(private.as_ref()).unwrap();
        let mut public = SPKI_PREFIX.to_vec();
        public.extend_from_slice(pair.public_key().as_ref());
        (
            STANDARD.encode(private.as_ref()),
            STANDARD.encode(&public),
            public,
        )
    }

    #[test]
    fn secrets_that_serve_and_do_not() {
        let yaml = "{algorithm: ecdsa-p256, signature: {header: s, encoding: base64}}";
        let record: SchemeRecord = serde_yaml::from_str(yaml).unwrap();
        let scheme = Scheme::compile(&record).unwrap();
        let (private, public, der) = keys();
        let pem = |kind: &str, text: &str| {
            format!("-----BEGIN {kind} KEY-----\n{text}\n-----END {kind} KEY-----\n")
        };
        let mut off_curve = der;
        *off_curve.last_mut().unwrap() ^= 1;
        let other = SecretError::Encoding { expected: "" };
        for (secret, verifying, signing) in [
            (public.clone(), None, Some(SecretError::PublicKey)),
            (private.clone(), Some(SecretError::PrivateKey), None),
            (pem("PUBLIC", &public), None, Some(SecretError::PublicKey)),
            (
                pem("PRIVATE", &private),
                Some(SecretError::PrivateKey),
                None,
            ),
            ("AAAA".to_owned(), Some(other.clone()), Some(other.clone())),
            ("!".to_owned(), Some(other.clone()), Some(other)),
            (
                STANDARD.encode(&off_curve),
                Some(SecretError::NoKey),
                Some(SecretError::PublicKey),
            ),
        ] {
            let of = Secret::new(secret.clone());
            let same = |got: Option<SecretError>, wanted: Option<SecretError>| match (&got, &wanted)
            {
                (Some(SecretError::Encoding { .. }), Some(SecretError::Encoding { .. })) => {}
                _ => assert_eq!(got, wanted, "{secret}"),
            };
            same(scheme.verifying_key(&of).err(), verifying);
            same(scheme.signing_key(&of).err(), signing);
        }
    }
}
