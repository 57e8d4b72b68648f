//! In which order a target gets its deliveries, where it asks for one: those with one key go strictly one after
//! another, in the order in which their events were admitted. Pure.
//!
//! Not here: who waits for whom (see `store`).

use std::fmt;

use sha2::{Digest, Sha256};

use crate::json::Ref;
use crate::pattern::Path;

/// What deliveries have in common that go one after another: a hash, so that it takes the same room for any value.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderKey([u8; 16]);

impl OrderKey {
    /// The 16 bytes of it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The key of these 16 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for OrderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// What a dead delivery does to those behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnDead {
    /// They wait until it is discarded or revived.
    #[default]
    Hold,
    /// They go on without it.
    Skip,
}

/// The place of a delivery among others to its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// It waits for those before it with the same key.
    pub key: OrderKey,
    /// What it does to those behind it if it dies.
    pub on_dead: OnDead,
}

/// What a target's deliveries are ordered by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderBy {
    path: Path,
    on_dead: OnDead,
}

impl OrderBy {
    /// Orders by what stands at this path of the body, written as in a pattern: `data.vendor.id`.
    ///
    /// # Errors
    /// What is wrong with the path.
    pub fn compile(path: &str, on_dead: OnDead) -> Result<Self, String> {
        Ok(Self {
            path: Path::parse(path)?,
            on_dead,
        })
    }

    /// The place of an event with this body. An event whose body is not JSON, or has nothing or null at the
    /// path, waits for no other.
    #[must_use]
    pub fn of(&self, body: Option<Ref<'_>>) -> Option<Order> {
        let found = self.path.reach(body?);
        if found.iter().all(|value| value.is_null()) {
            return None;
        }
        let mut hash = Sha256::new();
        for value in found {
            hash.update(value.to_string());
            // no JSON text has a zero byte, so no two lists of values run together
            hash.update([0]);
        }
        let digest: [u8; 32] = hash.finalize().into();
        let key = digest.first_chunk::<16>().copied().unwrap_or_default();
        Some(Order {
            key: OrderKey(key),
            on_dead: self.on_dead,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Document;
    use serde_json::{Value, json};

    #[test]
    fn equal_values_have_equal_keys_and_others_have_not() {
        let by = OrderBy::compile("data.id", OnDead::Skip).unwrap();
        let of = |body: &Value| by.of(Some(Document::from(body).root()));
        let key = |id: Value| of(&json!({"data": {"id": id}})).map(|it| it.key);
        let values = [
            json!(1),
            json!("1"),
            json!(true),
            json!(["1"]),
            json!([1, 1]),
            json!({"a": 1}),
        ];
        for (a, first) in values.iter().enumerate() {
            for (b, second) in values.iter().enumerate() {
                let equal = key(first.clone()) == key(second.clone());
                assert_eq!(equal, a == b, "{first} {second}");
            }
        }
        assert_eq!(key(Value::Null), None);
        assert_eq!(of(&json!({"data": {}})), None);
        assert_eq!(by.of(None), None);
        assert!(OrderBy::compile("a..b", OnDead::Hold).is_err());
    }
}
