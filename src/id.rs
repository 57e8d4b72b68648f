//! Names and ids. Ids are UUIDv7, so their order is the order of their making.
//!
//! Hashes that name what they are of stand here as well.
//! Promise: a name is short, plain and safe in paths, labels and logs; a value of one kind cannot be
//! passed where another kind is wanted. Not here: what a name stands for (see `plan`).

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// Longest name in bytes; names become metric labels and path segments.
pub const MAX_NAME_BYTES: usize = 64;

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text is empty.
    #[error("a name cannot be empty")]
    Empty,
    /// The text is longer than [`MAX_NAME_BYTES`].
    #[error("a name has at most {MAX_NAME_BYTES} characters, this one has {0}")]
    TooLong(usize),
    /// A character that a name cannot hold.
    #[error(
        "`{0}` cannot stand in a name (letters, digits, `-`, `_` and `.` can, a letter or digit first)"
    )]
    Character(char),
}

fn check_name(text: &str) -> Result<(), NameError> {
    let first = text.chars().next().ok_or(NameError::Empty)?;
    if text.len() > MAX_NAME_BYTES {
        return Err(NameError::TooLong(text.len()));
    }
    if !first.is_ascii_alphanumeric() {
        return Err(NameError::Character(first));
    }
    match text
        .chars()
        .find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')))
    {
        Some(c) => Err(NameError::Character(c)),
        None => Ok(()),
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                check_name(text)?;
                Ok(Self(text.into()))
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = String::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

name!(
    /// The name of an inbound endpoint.
    SourceName
);
name!(
    /// The name of a route.
    RouteName
);
name!(
    /// The name of an outbound endpoint.
    TargetName
);

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id; later ones of this process sort after it.
            #[must_use]
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }

            /// The 16 bytes of the id, in the order in which ids sort.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// The id of these 16 bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// When it was made, in whole milliseconds.
            #[must_use]
            pub fn made_at(&self) -> Timestamp {
                made_at(self.as_bytes())
            }

            /// The least id that can be made at this time; all that are made before it sort below.
            #[must_use]
            pub fn first_at(time: Timestamp) -> Self {
                Self::from_bytes(first_at(time))
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                Uuid::parse_str(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

/// The time that stands in the first six bytes of an id: milliseconds since 1970.
fn made_at(id: &[u8; 16]) -> Timestamp {
    let [a, b, c, d, e, f, ..] = *id;
    let millis = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
    // 48 bits reach beyond the year 9999, where times end
    Timestamp::from_millisecond(millis.cast_signed()).unwrap_or(Timestamp::MAX)
}

/// The id of this time, rounded up to milliseconds, with nothing behind it.
fn first_at(time: Timestamp) -> [u8; 16] {
    let nanos = time.as_nanosecond().max(0);
    let millis = u64::try_from(nanos.div_euclid(1_000_000)).unwrap_or(0);
    let up = u64::from(nanos.rem_euclid(1_000_000) > 0);
    let [_, _, a, b, c, d, e, f] = millis.saturating_add(up).to_be_bytes();
    [a, b, c, d, e, f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
}

id!(
    /// The id of an event.
    EventId
);
id!(
    /// The id of a replay.
    ReplayId
);
id!(
    /// The id of an entry of the audit log.
    AuditId
);
id!(
    /// The id of a delivery; what its target sees as `webhook-id`.
    DeliveryId
);

/// A SHA-256 hash; as text 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The hash of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The 32 bytes of it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The hash of these 32 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The first eight bytes, where that many tell enough apart.
    #[must_use]
    pub fn short(&self) -> [u8; 8] {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        [a, b, c, d, e, f, g, h]
    }
}

impl FromStr for Digest {
    type Err = hex::FromHexError;
    fn from_str(text: &str) -> Result<Self, hex::FromHexError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_say_when_they_were_made() {
        let before = Timestamp::now().as_millisecond();
        let id = EventId::generate();
        let made = id.made_at().as_millisecond();
        assert!((before..=Timestamp::now().as_millisecond()).contains(&made));
        assert!(EventId::first_at(id.made_at()) < id);
        let next = EventId::first_at("2026-01-05T10:00:00.001Z".parse().unwrap());
        for (time, wanted) in [
            ("2026-01-05T10:00:00.001Z", true),
            ("2026-01-05T10:00:00.0000001Z", true),
            ("2026-01-05T10:00:00Z", false),
            ("1969-01-05T10:00:00Z", false),
        ] {
            let first = EventId::first_at(time.parse().unwrap());
            assert_eq!(first == next, wanted, "{time}");
            assert!(first <= next);
        }
    }

    #[test]
    fn a_digest_is_read_as_it_is_written() {
        let digest = Digest::of(b"abc");
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest.to_string(), text);
        assert_eq!(text.parse(), Ok(digest));
        assert_eq!(hex::encode(digest.short()), text[..16]);
        assert!("ba78".parse::<Digest>().is_err());
    }

    #[test]
    fn names_are_checked() {
        for (text, wanted) in [
            ("wreno", None),
            ("erp-2.eu_west", None),
            ("", Some(NameError::Empty)),
            ("-a", Some(NameError::Character('-'))),
            ("a b", Some(NameError::Character(' '))),
            ("a/b", Some(NameError::Character('/'))),
            ("ä", Some(NameError::Character('ä'))),
        ] {
            assert_eq!(text.parse::<SourceName>().err(), wanted, "{text:?}");
        }
        let long = "a".repeat(MAX_NAME_BYTES + 1);
        assert_eq!(long.parse::<RouteName>(), Err(NameError::TooLong(65)));
    }

    #[test]
    fn ids_sort_by_their_making() {
        let ids: Vec<EventId> = (0..1000).map(|_| EventId::generate()).collect();
        assert!(ids.is_sorted());
        let id = ids[0];
        assert_eq!(EventId::from_bytes(*id.as_bytes()), id);
        assert_eq!(id.to_string().parse::<EventId>().unwrap(), id);
    }
}
