//! How many bytes of bodies are in memory at a time, over all requests, so that a slow disk or many senders at once
//! cannot take more than that: who comes beyond it is told to come again.
//!
//! A parsed body takes some times its bytes; the bound counts the bytes alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The bytes that all requests have in memory.
#[derive(Debug, Clone, Default)]
pub struct Budget(Arc<AtomicUsize>);

/// What one request has of them; given back when it is dropped.
#[derive(Debug)]
pub struct Held {
    budget: Budget,
    bytes: usize,
}

/// There is no more now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bodies of other requests take all the memory that there is for them")]
pub struct Spent;

impl Budget {
    /// A share of nothing yet.
    #[must_use]
    pub fn open(&self) -> Held {
        Held {
            budget: self.clone(),
            bytes: 0,
        }
    }

    /// Bytes that are held.
    #[must_use]
    pub fn used(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Held {
    /// Takes `bytes` more, if all requests together then have no more than `most`. A request that is alone gets
    /// what it asks for, so that a bound below the largest body keeps nothing out for ever.
    ///
    /// # Errors
    /// [`Spent`]; nothing more is taken then.
    pub fn grow(&mut self, bytes: usize, most: usize) -> Result<(), Spent> {
        let others = self.budget.0.fetch_add(bytes, Ordering::Relaxed);
        if others > self.bytes && others.saturating_add(bytes) > most {
            self.budget.0.fetch_sub(bytes, Ordering::Relaxed);
            return Err(Spent);
        }
        self.bytes = self.bytes.saturating_add(bytes);
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_together_have_no_more_than_there_is() {
        let budget = Budget::default();
        let mut first = budget.open();
        assert_eq!(first.grow(60, 100), Ok(()));
        let mut second = budget.open();
        assert_eq!(second.grow(41, 100), Err(Spent));
        assert_eq!(second.grow(40, 100), Ok(()));
        assert_eq!((budget.used(), first.grow(1, 100)), (100, Err(Spent)));
        drop(second);
        assert_eq!(budget.used(), 60);
        assert_eq!(first.grow(400, 100), Ok(()), "it is alone");
        drop(first);
        assert_eq!(budget.used(), 0);
    }
}
