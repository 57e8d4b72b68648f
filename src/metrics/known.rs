//! Handles that are found by name without making a label: what is counted for each request or attempt.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

/// Handles by a configured name and a word of a closed list.
#[derive(Debug)]
pub(super) struct Known<M>(RwLock<HashMap<String, Vec<(&'static str, M)>>>);

impl<M> Default for Known<M> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<M: Clone> Known<M> {
    /// The handle, which `make` makes the first time.
    pub(super) fn get(&self, name: &str, word: &'static str, make: impl FnOnce() -> M) -> M {
        let find = |words: &Vec<(&'static str, M)>| {
            let found = words.iter().find(|(known, _)| *known == word);
            found.map(|(_, handle)| handle.clone())
        };
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(handle) = known.get(name).and_then(find) {
            return handle;
        }
        drop(known);
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let words = known.entry(name.to_owned()).or_default();
        // Another may have been faster; a family gives both the same.
        let handle = find(words);
        handle.unwrap_or_else(|| {
            let made = make();
            words.push((word, made.clone()));
            made
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_made_once() {
        let known = Known::default();
        for (name, word, number, wanted) in [
            ("a", "x", 1, 1),
            ("a", "x", 2, 1),
            ("a", "y", 3, 3),
            ("b", "x", 4, 4),
            ("a", "y", 5, 3),
        ] {
            assert_eq!(known.get(name, word, || number), wanted, "{name} {word}");
        }
    }
}
