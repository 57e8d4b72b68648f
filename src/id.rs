//! Names and ids. Ids are UUIDv7, so their order is the order of their making.
//!
//! Promise: a name is short, plain and safe in paths, labels and logs; a value of one kind cannot be
//! passed where another kind is wanted. Not here: what a name stands for (see `plan`).

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
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

id!(
    /// The id of an event.
    EventId
);
id!(
    /// The id of an entry of the audit log.
    AuditId
);
id!(
    /// The id of a delivery; what its target sees as `webhook-id`.
    DeliveryId
);

#[cfg(test)]
mod tests {
    use super::*;

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
