//! Secret bytes: redacted when printed, wiped when dropped, read only through [`Secret::expose`].
//!
//! [`SecretName`] says where one comes from. Not here: how it is fetched from there (see `config`) and how they are decoded (see `signature`).

use std::fmt;

use zeroize::Zeroizing;

/// Bytes that never show up in a log, an error or a metric.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes over; the copy that is passed in is the one that is kept and wiped.
    #[must_use]
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// The bytes themselves. Every call is a place to look at in a review.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Whether there are no bytes at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// Where a secret comes from; never the secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretName {
    /// This variable of the environment.
    Env(String),
    /// This file, as it is named.
    File(String),
    /// This credential of the service manager.
    Credential(String),
    /// The configuration itself.
    Value,
}

impl SecretName {
    /// The kind of place, as the configuration calls it.
    #[must_use]
    pub fn form(&self) -> &'static str {
        match self {
            Self::Env(_) => "env",
            Self::File(_) => "file",
            Self::Credential(_) => "credential",
            Self::Value => "value",
        }
    }

    /// The name of the place; `None` for the configuration itself.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Env(name) | Self::File(name) | Self::Credential(name) => Some(name),
            Self::Value => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        let secret = Secret::new("whsec_abc");
        assert_eq!(format!("{secret:?}"), "Secret(***)");
        assert_eq!(secret.expose(), b"whsec_abc");
        assert!(!secret.is_empty());
    }
}
