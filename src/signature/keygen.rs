//! Fresh secrets, in the form that a scheme wants them.
//!
//! Promise: what is made here verifies and signs under the scheme, and is as strong as its algorithm: 32
//! bytes from the system. The one part of this module that is not pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::SigningKey;
use ring::rand::{SecureRandom, SystemRandom};

use super::encoding::{Encoding, SecretEncoding};
use super::key::{Algorithm, SIGNING_PREFIX, fresh_p256};
use super::scheme::{Scheme, Strip};
use crate::secret::Secret;

/// How many bytes are made: as many as HMAC-SHA256 and Ed25519 have use for, within what Standard Webhooks allows.
const BYTES: usize = 32;

/// What stands before the marker of a secret whose key follows one.
const BEFORE_MARKER: &str = "whsec";

/// The user's name where none is given.
const USER: &str = "ingate";

/// A fresh secret.
#[derive(Debug, Clone)]
pub enum Generated {
    /// One for both sides.
    Shared(Secret),
    /// One for each side.
    Pair {
        /// For who verifies; it is public.
        verifying: Secret,
        /// For who signs.
        signing: Secret,
    },
}

impl Generated {
    /// What verifies.
    #[must_use]
    pub fn verifying(&self) -> &Secret {
        match self {
            Self::Shared(secret) => secret,
            Self::Pair { verifying, .. } => verifying,
        }
    }

    /// What signs.
    #[must_use]
    pub fn signing(&self) -> &Secret {
        match self {
            Self::Shared(secret) => secret,
            Self::Pair { signing, .. } => signing,
        }
    }
}

/// Why there is no fresh secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeygenError {
    /// The scheme has none.
    #[error("this scheme has no secret")]
    NoSecret,
    /// A user's name for a scheme that has none.
    #[error("only basic authentication has a user")]
    NoUser,
    /// A user's name that cannot be one.
    #[error("a user's name has no `:` and no control characters")]
    BadUser,
    /// The system gives no random bytes.
    #[error("the system has no random bytes")]
    NoRandomness,
}

impl Scheme {
    /// Whether the secret is a user and a password (basic authentication).
    #[must_use]
    pub fn has_user(&self) -> bool {
        let encoding = self.signature.as_ref().map(|form| form.encoding);
        self.algorithm == Algorithm::Token && encoding == Some(Encoding::Base64)
    }

    /// Makes a secret. `user` is the name in a secret for basic authentication.
    ///
    /// # Errors
    /// If the scheme has no secret, or no user where one is given.
    pub fn keygen(&self, user: Option<&str>) -> Result<Generated, KeygenError> {
        if user.is_some() && !self.has_user() {
            return Err(KeygenError::NoUser);
        }
        if !self.needs_secrets() {
            return Err(KeygenError::NoSecret);
        }
        match self.algorithm {
            Algorithm::Ed25519 => self.ed25519(),
            Algorithm::EcdsaP256 => self.ecdsa(),
            _ if self.has_user() => basic(user.unwrap_or(USER)),
            _ => {
                let text = self.written(&random()?, None);
                Ok(Generated::Shared(Secret::new(text)))
            }
        }
    }

    fn ed25519(&self) -> Result<Generated, KeygenError> {
        let key = SigningKey::from_bytes(&random()?);
        let public = self.written(key.verifying_key().as_bytes(), None);
        let signing = match self.secret.strip {
            // Standard Webhooks has both halves in it
            Strip::Prefix(_) => self.written(&key.to_keypair_bytes(), Some(SIGNING_PREFIX)),
            _ => self.written(key.as_bytes(), None),
        };
        Ok(Generated::Pair {
            verifying: Secret::new(public),
            signing: Secret::new(signing),
        })
    }

    fn ecdsa(&self) -> Result<Generated, KeygenError> {
        let (private, public) = fresh_p256().ok_or(KeygenError::NoRandomness)?;
        Ok(Generated::Pair {
            verifying: Secret::new(self.written(&public, None)),
            signing: Secret::new(self.written(&private, None)),
        })
    }

    /// Bytes as the scheme writes a secret; `prefix` stands in place of its own.
    fn written(&self, bytes: &[u8], prefix: Option<&str>) -> String {
        let text = match self.secret.encoding {
            SecretEncoding::Base64 => STANDARD.encode(bytes),
            // a text of one's own choice: hex is one that every form takes
            SecretEncoding::Utf8 | SecretEncoding::Hex => hex::encode(bytes),
        };
        match &self.secret.strip {
            Strip::Nothing => text,
            Strip::Prefix(own) => format!("{}{text}", prefix.unwrap_or(own)),
            Strip::After(marker) => format!("{BEFORE_MARKER}{marker}{text}"),
        }
    }
}

fn basic(user: &str) -> Result<Generated, KeygenError> {
    // RFC 7617, section 2
    if user.chars().any(|c| c == ':' || c.is_control()) {
        return Err(KeygenError::BadUser);
    }
    let password = hex::encode(random()?);
    Ok(Generated::Shared(Secret::new(format!("{user}:{password}"))))
}

fn random() -> Result<[u8; BYTES], KeygenError> {
    let mut bytes = [0; BYTES];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| KeygenError::NoRandomness)?;
    Ok(bytes)
}
