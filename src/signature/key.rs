//! Secrets made into keys, and what keys do: prove and make single signatures.
//!
//! Promise: no secret and no computed signature in an error or in `Debug`. Comparisons take the same
//! time whether they match or not. A new algorithm is a variant of [`Algorithm`] and its arms here.

mod ecdsa;

use std::fmt;

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};
use subtle::{Choice, ConstantTimeEq};

use super::encoding::pem;
use super::scheme::{Scheme, SecretForm, Strip};
use super::{SecretError, SignError};
use crate::secret::Secret;

pub(super) use ecdsa::fresh as fresh_p256;

/// Shortest key in bytes that raises no warning, as many as a 128-bit key has.
const ADVISED_BYTES: usize = 16;

/// Shortest and longest key in bytes that Standard Webhooks allows senders.
const STANDARD_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// What the private key's secret begins with where the public one's has a prefix (Standard Webhooks).
pub(super) const SIGNING_PREFIX: &str = "whsk_";

/// How signatures are made. Closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    HmacSha1,
    HmacSha256,
    HmacSha512,
    Ed25519,
    /// With SHA-256; signatures are DER.
    EcdsaP256,
    /// The secret itself is sent.
    Token,
    /// Only the sender's address counts, which the door looks at.
    Address,
}

impl Algorithm {
    pub(super) const ALL: [Self; 7] = [
        Self::HmacSha1,
        Self::HmacSha256,
        Self::HmacSha512,
        Self::Ed25519,
        Self::EcdsaP256,
        Self::Token,
        Self::Address,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::HmacSha1 => "hmac-sha1",
            Self::HmacSha256 => "hmac-sha256",
            Self::HmacSha512 => "hmac-sha512",
            Self::Ed25519 => "ed25519",
            Self::EcdsaP256 => "ecdsa-p256",
            Self::Token => "token",
            Self::Address => "address",
        }
    }

    /// How many bytes a signature has; `None` if that depends.
    pub(super) fn signature_bytes(self) -> Option<usize> {
        match self {
            Self::HmacSha1 => Some(20),
            Self::HmacSha256 => Some(32),
            Self::HmacSha512 | Self::Ed25519 => Some(64),
            Self::EcdsaP256 | Self::Token | Self::Address => None,
        }
    }

    pub(super) fn is_hmac(self) -> bool {
        matches!(self, Self::HmacSha1 | Self::HmacSha256 | Self::HmacSha512)
    }

    /// Whether the key that verifies is not the one that signs.
    pub(super) fn is_asymmetric(self) -> bool {
        matches!(self, Self::Ed25519 | Self::EcdsaP256)
    }
}

/// A decoded secret, ready for use.
#[derive(Clone)]
pub struct Key {
    material: Material,
    purpose: Purpose,
    configured: Secret,
}

impl Key {
    /// The token of a challenge, which is compared as it stands.
    #[must_use]
    pub fn token(secret: Secret) -> Self {
        Self {
            material: Material::Bytes(secret.clone()),
            purpose: Purpose::Verify,
            configured: secret,
        }
    }

    /// The secret that it was decoded from, for commands that play the sender or try other decodings.
    #[must_use]
    pub fn configured(&self) -> &Secret {
        &self.configured
    }
}

#[derive(Clone)]
enum Material {
    Bytes(Secret),
    Public(Box<VerifyingKey>),
    Private(Box<SigningKey>),
    EcdsaPublic(ecdsa::Public),
    EcdsaPrivate(ecdsa::Private),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Verify,
    Sign,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(***)")
    }
}

impl Scheme {
    /// Decodes a secret for verifying.
    ///
    /// # Errors
    /// If the secret is empty, does not decode, or is a private key where the public one is wanted.
    pub fn verifying_key(&self, secret: &Secret) -> Result<Key, SecretError> {
        let bytes = decoded(
            &self.secret,
            secret.expose(),
            self.algorithm,
            Purpose::Verify,
        )?;
        let material = match self.algorithm {
            Algorithm::Ed25519 => Material::Public(Box::new(public_key(bytes.expose())?)),
            Algorithm::EcdsaP256 => Material::EcdsaPublic(ecdsa::Public::read(bytes.expose())?),
            _ => Material::Bytes(bytes),
        };
        Ok(Key {
            material,
            purpose: Purpose::Verify,
            configured: secret.clone(),
        })
    }

    /// Decodes a secret for signing.
    ///
    /// # Errors
    /// If the secret is empty, does not decode, or is a public key where the private one is wanted.
    pub fn signing_key(&self, secret: &Secret) -> Result<Key, SecretError> {
        let bytes = decoded(&self.secret, secret.expose(), self.algorithm, Purpose::Sign)?;
        let material = match self.algorithm {
            Algorithm::Ed25519 => Material::Private(Box::new(private_key(bytes.expose())?)),
            Algorithm::EcdsaP256 => Material::EcdsaPrivate(ecdsa::Private::read(bytes.expose())?),
            _ => Material::Bytes(bytes),
        };
        Ok(Key {
            material,
            purpose: Purpose::Sign,
            configured: secret.clone(),
        })
    }

    /// What is worth a warning about a key: `Some` if it is shorter than advised, or, for signing by
    /// Standard Webhooks, longer than allowed.
    #[must_use]
    pub fn advice(&self, key: &Key) -> Option<String> {
        let Material::Bytes(bytes) = &key.material else {
            return None;
        };
        let length = bytes.expose().len();
        if self.is_standard() && key.purpose == Purpose::Sign && !STANDARD_BYTES.contains(&length) {
            let (least, most) = (STANDARD_BYTES.start(), STANDARD_BYTES.end());
            return Some(format!(
                "the secret has {length} bytes; Standard Webhooks wants {least} to {most}"
            ));
        }
        (length < ADVISED_BYTES).then(|| {
            format!(
                "the secret has {length} bytes; fewer than {ADVISED_BYTES} can be guessed too easily"
            )
        })
    }
}

impl Key {
    /// Whether `signature` is that of `content` under this key.
    pub(super) fn proves(
        &self,
        algorithm: Algorithm,
        content: &[u8],
        signatures: &[Vec<u8>],
    ) -> Choice {
        match &self.material {
            Material::Bytes(key) => {
                let wanted = match algorithm {
                    // hashed, so that the comparison does not tell the secret's length
                    Algorithm::Token => Sha256::digest(key.expose()).to_vec(),
                    _ => mac(algorithm, key.expose(), content),
                };
                signatures.iter().fold(Choice::from(0), |found, given| {
                    found
                        | match algorithm {
                            Algorithm::Token => Sha256::digest(given).as_slice().ct_eq(&wanted),
                            _ => given.as_slice().ct_eq(&wanted),
                        }
                })
            }
            Material::Public(key) => signatures.iter().fold(Choice::from(0), |found, given| {
                let proven = Signature::from_slice(given)
                    .is_ok_and(|signature| key.verify_strict(content, &signature).is_ok());
                found | Choice::from(u8::from(proven))
            }),
            Material::EcdsaPublic(key) => {
                signatures.iter().fold(Choice::from(0), |found, given| {
                    found | Choice::from(u8::from(key.proves(content, given)))
                })
            }
            // a key for signing proves nothing
            Material::Private(_) | Material::EcdsaPrivate(_) => Choice::from(0),
        }
    }

    /// The HMAC of a text under this key; `None` if the algorithm makes none.
    pub(super) fn mac(&self, algorithm: Algorithm, content: &[u8]) -> Option<Vec<u8>> {
        match &self.material {
            Material::Bytes(key) if algorithm.is_hmac() => {
                Some(mac(algorithm, key.expose(), content))
            }
            _ => None,
        }
    }

    /// The signature of `content`; of a token, the token.
    pub(super) fn sign(&self, algorithm: Algorithm, content: &[u8]) -> Result<Vec<u8>, SignError> {
        match &self.material {
            Material::Bytes(key) => Ok(match algorithm {
                Algorithm::Token => key.expose().to_vec(),
                _ => mac(algorithm, key.expose(), content),
            }),
            Material::Private(key) => Ok(key.sign(content).to_bytes().to_vec()),
            Material::EcdsaPrivate(key) => key.sign(content).ok_or(SignError::NoKey),
            Material::Public(_) | Material::EcdsaPublic(_) => Err(SignError::PublicKey),
        }
    }

    /// Whether a challenge's token is this secret.
    pub(super) fn is_token(&self, token: &[u8]) -> Choice {
        match &self.material {
            Material::Bytes(key) => Sha256::digest(key.expose())
                .as_slice()
                .ct_eq(Sha256::digest(token).as_slice()),
            _ => Choice::from(0),
        }
    }
}

fn mac(algorithm: Algorithm, key: &[u8], content: &[u8]) -> Vec<u8> {
    fn with<M: Mac + KeyInit>(key: &[u8], content: &[u8]) -> Vec<u8> {
        // HMAC takes keys of any length, so there is no error to see
        <M as KeyInit>::new_from_slice(key)
            .map(|mac| mac.chain_update(content).finalize().into_bytes().to_vec())
            .unwrap_or_default()
    }
    match algorithm {
        Algorithm::HmacSha1 => with::<Hmac<Sha1>>(key, content),
        Algorithm::HmacSha512 => with::<Hmac<Sha512>>(key, content),
        _ => with::<Hmac<Sha256>>(key, content),
    }
}

fn decoded(
    form: &SecretForm,
    secret: &[u8],
    algorithm: Algorithm,
    purpose: Purpose,
) -> Result<Secret, SecretError> {
    if secret.is_empty() {
        return Err(SecretError::Empty);
    }
    if algorithm == Algorithm::EcdsaP256
        && let Some(der) = pem(secret)
    {
        return Ok(Secret::new(der));
    }
    let asymmetric = algorithm == Algorithm::Ed25519;
    let rest = match &form.strip {
        Strip::Nothing => secret,
        Strip::Prefix(public) if asymmetric => strip_ed25519(public.as_bytes(), secret, purpose)?,
        Strip::Prefix(prefix) => secret.strip_prefix(prefix.as_bytes()).unwrap_or(secret),
        Strip::After(marker) => {
            after(secret, marker.as_bytes()).ok_or_else(|| SecretError::NoMarker {
                marker: marker.clone(),
            })?
        }
    };
    let bytes = form.encoding.decode(rest).ok_or(SecretError::Encoding {
        expected: form.encoding.name(),
    })?;
    if bytes.is_empty() {
        return Err(SecretError::Empty);
    }
    Ok(Secret::new(bytes))
}

fn strip_ed25519<'a>(
    public: &[u8],
    secret: &'a [u8],
    purpose: Purpose,
) -> Result<&'a [u8], SecretError> {
    match purpose {
        Purpose::Verify if secret.starts_with(SIGNING_PREFIX.as_bytes()) => {
            Err(SecretError::PrivateKey)
        }
        Purpose::Sign if secret.starts_with(public) => Err(SecretError::PublicKey),
        Purpose::Verify => Ok(secret.strip_prefix(public).unwrap_or(secret)),
        Purpose::Sign => Ok(secret
            .strip_prefix(SIGNING_PREFIX.as_bytes())
            .unwrap_or(secret)),
    }
}

fn after<'a>(secret: &'a [u8], marker: &[u8]) -> Option<&'a [u8]> {
    let at = secret
        .windows(marker.len().max(1))
        .position(|window| window == marker)?;
    secret.get(at + marker.len()..)
}

fn public_key(bytes: &[u8]) -> Result<VerifyingKey, SecretError> {
    let exact: &[u8; 32] = bytes.try_into().map_err(|_| SecretError::Length {
        expected: "32 bytes of an Ed25519 public key",
        got: bytes.len(),
    })?;
    VerifyingKey::from_bytes(exact)
        .ok()
        .filter(|key| !key.is_weak())
        .ok_or(SecretError::NoKey)
}

/// An Ed25519 private key: its 32 bytes, or these and the public key after them.
fn private_key(bytes: &[u8]) -> Result<SigningKey, SecretError> {
    if let Ok(seed) = <&[u8; 32]>::try_from(bytes) {
        return Ok(SigningKey::from_bytes(seed));
    }
    let pair: &[u8; 64] = bytes.try_into().map_err(|_| SecretError::Length {
        expected: "32 or 64 bytes of an Ed25519 private key",
        got: bytes.len(),
    })?;
    SigningKey::from_keypair_bytes(pair).map_err(|_| SecretError::NoKey)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::SchemeRecord;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const PUBLIC: &str = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=";
    const PRIVATE: &str = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==";

    fn scheme(preset: &str) -> Scheme {
        Scheme::compile(&SchemeRecord::preset(preset).unwrap()).unwrap()
    }

    #[test]
    fn secrets_that_do_not_serve() {
        let base64 = Some(SecretError::Encoding { expected: "base64" });
        for (preset, secret, verifying, signing) in [
            ("standard-webhooks", SECRET, None, None),
            (
                "standard-webhooks",
                "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                None,
                None,
            ),
            ("standard-webhooks", "whsec_AAA", None, None),
            (
                "standard-webhooks",
                "",
                Some(SecretError::Empty),
                Some(SecretError::Empty),
            ),
            (
                "standard-webhooks",
                "whsec_",
                Some(SecretError::Empty),
                Some(SecretError::Empty),
            ),
            (
                "standard-webhooks",
                "whsec_!",
                base64.clone(),
                base64.clone(),
            ),
            ("wreno", "anything_MfKQ9r8G", None, None),
            (
                "wreno",
                "whsec_",
                Some(SecretError::Empty),
                Some(SecretError::Empty),
            ),
            (
                "wreno",
                "MfKQ9r8G",
                Some(SecretError::NoMarker { marker: "_".into() }),
                Some(SecretError::NoMarker { marker: "_".into() }),
            ),
            (
                "github",
                "",
                Some(SecretError::Empty),
                Some(SecretError::Empty),
            ),
            ("github", "x", None, None),
            (
                "standard-webhooks-v1a",
                PUBLIC,
                None,
                Some(SecretError::PublicKey),
            ),
            (
                "standard-webhooks-v1a",
                PRIVATE,
                Some(SecretError::PrivateKey),
                None,
            ),
            ("standard-webhooks-v1a", SECRET, base64.clone(), base64),
            (
                "standard-webhooks-v1a",
                // the point of order one
                "whpk_AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
                Some(SecretError::NoKey),
                Some(SecretError::PublicKey),
            ),
        ] {
            let scheme = scheme(preset);
            let secret_of = Secret::new(secret);
            assert_eq!(
                scheme.verifying_key(&secret_of).err(),
                verifying,
                "{preset} verifies with {secret:?}"
            );
            assert_eq!(
                scheme.signing_key(&secret_of).err(),
                signing,
                "{preset} signs with {secret:?}"
            );
        }
    }

    #[test]
    fn errors_and_debug_keep_secrets() {
        let scheme = scheme("standard-webhooks");
        let error = scheme
            .verifying_key(&Secret::new("whsec_hush!hush"))
            .unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hush"));
        let key = scheme.verifying_key(&Secret::new(SECRET)).unwrap();
        assert_eq!(format!("{key:?}"), "Key(***)");
    }

    #[test]
    fn short_secrets_are_warned_of() {
        for (preset, bytes, verifying, signing) in [
            ("standard-webhooks", 15, true, true),
            ("standard-webhooks", 16, false, true),
            ("standard-webhooks", 24, false, false),
            ("standard-webhooks", 64, false, false),
            ("standard-webhooks", 65, false, true),
        ] {
            let scheme = scheme(preset);
            let encoded = super::super::encoding::Encoding::Base64
                .encode(&vec![7; bytes])
                .unwrap();
            let secret = Secret::new(format!("whsec_{encoded}"));
            let verifier = scheme.verifying_key(&secret).unwrap();
            let signer = scheme.signing_key(&secret).unwrap();
            assert_eq!(
                scheme.advice(&verifier).is_some(),
                verifying,
                "{preset} {bytes}"
            );
            assert_eq!(
                scheme.advice(&signer).is_some(),
                signing,
                "{preset} {bytes}"
            );
        }
        let github = scheme("github");
        let short = github.verifying_key(&Secret::new("short")).unwrap();
        assert!(github.advice(&short).is_some());
        let v1a = scheme("standard-webhooks-v1a");
        let public = v1a.verifying_key(&Secret::new(PUBLIC)).unwrap();
        assert_eq!(v1a.advice(&public), None);
    }
}
