//! This instance as the others know it: its number, and until when they rely on it.

use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Bits of a lease's token that count the leases of an instance; those above are the instance's number.
const COUNTER_BITS: u32 = 32;

/// This instance.
pub(super) struct Me {
    id: AtomicI64,
    counter: AtomicU32,
    /// Until then nobody else takes what is ours: a lease after the last heartbeat that came through was sent.
    until: Mutex<Instant>,
    lease: Duration,
}

impl Me {
    /// The instance of this number, whose registration was sent at `sent`.
    pub(super) fn new(id: i64, lease: Duration, sent: Instant) -> Self {
        Self {
            id: AtomicI64::new(id),
            counter: AtomicU32::new(0),
            until: Mutex::new(sent + lease),
            lease,
        }
    }

    /// Its number.
    pub(super) fn id(&self) -> i64 {
        self.id.load(Ordering::Acquire)
    }

    /// It has another number from now on, since the others had given up on it.
    pub(super) fn renumber(&self, id: i64) {
        self.id.store(id, Ordering::Release);
        self.counter.store(0, Ordering::Release);
    }

    /// A heartbeat that was sent then came through.
    pub(super) fn renewed(&self, sent: Instant) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = sent + self.lease;
    }

    /// Whether the others rely on it now. The clock that says so stands still in no pause of the process.
    pub(super) fn holds(&self) -> bool {
        Instant::now() < *self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long the others wait for it.
    pub(super) fn lease(&self) -> Duration {
        self.lease
    }

    /// A token that no other lease has had.
    pub(super) fn token(&self) -> i64 {
        self.tokens(1)
    }

    /// The first of so many such tokens, one after another.
    pub(super) fn tokens(&self, count: u32) -> i64 {
        let id = self.id();
        let number = self.counter.fetch_add(count, Ordering::AcqRel);
        (id << COUNTER_BITS) | i64::from(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_tokens_are_equal() {
        let me = Me::new(7, Duration::from_secs(10), Instant::now());
        let first = me.token();
        let many = me.tokens(5);
        let last = me.token();
        assert_eq!((first, many, last), (7 << 32, (7 << 32) + 1, (7 << 32) + 6));
        me.renumber(8);
        assert_eq!(me.token(), 8 << 32);
    }

    #[test]
    fn it_holds_for_a_lease_after_it_was_sent() {
        let lease = Duration::from_secs(3600);
        let me = Me::new(1, lease, Instant::now());
        assert!(me.holds());
        let Some(long_ago) = Instant::now().checked_sub(lease) else {
            return;
        };
        me.renewed(long_ago);
        assert!(!me.holds());
        me.renewed(Instant::now());
        assert!(me.holds());
    }
}
