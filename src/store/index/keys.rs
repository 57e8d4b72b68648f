//! Dedupe keys in memory: when each expires, which says where its row stands.
//!
//! Keys come in no order. Rows sorted by them would each have a page of sled's of their own to be written, and most events
//! would read one only to learn that their key is new. So the rows are sorted by expiry, which is about the order in which
//! they come, and this finds them: 17 bytes a key, and up to as many again for room to grow.
//! Promise: what is said of a key is only where its row would be; that it is there, the row says.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Parts with a lock each. Small ones grow in short steps, so that nobody waits for a large one to be copied.
const PARTS: usize = 64;

/// When keys expire; see the header.
pub struct Keys {
    parts: Box<[Mutex<Part>; PARTS]>,
}

#[derive(Default)]
struct Part {
    /// Expiries by the first bytes of the key, which is a hash.
    expiries: HashMap<u64, i64>,
    /// Keys whose first bytes were another one's already.
    twins: HashMap<[u8; 32], i64>,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            parts: Box::new(std::array::from_fn(|_| Mutex::default())),
        }
    }
}

impl Keys {
    /// When the key expires, if it is known; of one that is not, it may be another one's expiry.
    pub fn expiry(&self, key: &[u8; 32]) -> Option<i64> {
        let part = self.part(key);
        let twin = (!part.twins.is_empty()).then(|| part.twins.get(key));
        let found = twin.flatten().or_else(|| part.expiries.get(&tag(key)));
        found.copied()
    }

    /// Takes in a key that is not known.
    pub fn add(&self, key: &[u8; 32], expires: i64) {
        let mut part = self.part(key);
        let known = part.expiries.entry(tag(key));
        if let std::collections::hash_map::Entry::Vacant(free) = known {
            free.insert(expires);
        } else {
            part.twins.insert(*key, expires);
        }
    }

    /// Takes out a key that is known.
    pub fn remove(&self, key: &[u8; 32]) {
        let mut part = self.part(key);
        if part.twins.remove(key).is_none() {
            part.expiries.remove(&tag(key));
        }
    }

    /// Forgets all of them.
    pub fn clear(&self) {
        for part in self.parts.iter() {
            *lock(part) = Part::default();
        }
    }

    fn part(&self, key: &[u8; 32]) -> MutexGuard<'_, Part> {
        let at = usize::from(key.last().copied().unwrap_or_default()) % PARTS;
        let [first, ..] = &*self.parts;
        // the remainder is one of them
        lock(self.parts.get(at).unwrap_or(first))
    }
}

fn lock(part: &Mutex<Part>) -> MutexGuard<'_, Part> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

fn tag(key: &[u8; 32]) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *key;
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key by what it begins with and one byte more, all in one part.
    fn key(begin: u8, other: u8) -> [u8; 32] {
        let mut key = [0; 32];
        key[0] = begin;
        key[20] = other;
        key
    }

    #[test]
    fn keys_that_begin_alike_are_told_apart() {
        let (a, b, c) = (key(1, 1), key(1, 2), key(1, 3));
        let keys = Keys::default();
        keys.add(&a, 10);
        keys.add(&b, 20);
        assert_eq!((keys.expiry(&a), keys.expiry(&b)), (Some(10), Some(20)));
        // not known: it is looked for where another one stands, and its row is not there
        assert_eq!(keys.expiry(&c), Some(10));
        assert_eq!(keys.expiry(&key(2, 1)), None);
        keys.remove(&a);
        assert_eq!((keys.expiry(&a), keys.expiry(&b)), (None, Some(20)));
        keys.add(&a, 30);
        keys.remove(&b);
        assert_eq!(keys.expiry(&a), Some(30));
        keys.clear();
        assert_eq!(keys.expiry(&a), None);
    }
}
