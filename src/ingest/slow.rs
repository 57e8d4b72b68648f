//! Slows the answers to failed verifications: waits as [`super::pace`] says.
//!
//! Promise: an answer is the same whenever it comes; requests that verify never wait for it; so few connections are held
//! by it that there is room for others; nothing waits once the door is to be closed.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::watch;

use super::pace::Failures;
use crate::metrics::Metrics;
use crate::plan::Limits;

/// Most answers that wait at a time.
const WAITING: usize = 1024;

/// The share of all connections that waiting answers may hold.
const SHARE: usize = 4;

/// What is slowed, and how much of it waits.
#[derive(Debug)]
pub(super) struct Slow {
    failures: Mutex<Failures>,
    waiting: AtomicUsize,
}

impl Slow {
    pub(super) fn new() -> Self {
        Self {
            failures: Mutex::new(Failures::new()),
            waiting: AtomicUsize::new(0),
        }
    }

    /// Notes that a verification failed, and returns when it may be answered.
    pub(super) async fn failed(
        &self,
        client: IpAddr,
        limits: &Limits,
        metrics: &Metrics,
        mut stopping: watch::Receiver<bool>,
    ) {
        let delay = {
            let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
            failures.note(client, limits.failures, Instant::now())
        };
        if delay.is_zero() {
            return;
        }
        let most = WAITING.min(limits.connections / SHARE);
        let Some(_turn) = self.turn(most) else {
            return;
        };
        metrics.answer_delayed();
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            _ = stopping.wait_for(|stop| *stop) => {}
        }
    }

    /// The right to wait; `None` if too many do.
    fn turn(&self, most: usize) -> Option<Turn<'_>> {
        let waiting = self.waiting.fetch_add(1, Ordering::Relaxed);
        // Given back at once where it is one too many.
        let turn = Turn(&self.waiting);
        (waiting < most).then_some(turn)
    }
}

struct Turn<'a>(&'a AtomicUsize);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_bounded_and_given_back() {
        let slow = Slow::new();
        let first = slow.turn(2).unwrap();
        let second = slow.turn(2).unwrap();
        assert!(slow.turn(2).is_none());
        assert!(slow.turn(2).is_none());
        drop(first);
        let third = slow.turn(2);
        assert!(third.is_some());
        drop((second, third));
        assert_eq!(slow.waiting.load(Ordering::Relaxed), 0);
        assert!(slow.turn(0).is_none());
    }
}
