//! What goes on on a connection of HTTP/2: how many requests are open, and how many were given up by the peer.
//!
//! HTTP/2 has no request whose head could be waited for: a peer can keep a connection busy with frames for ever and
//! ask nothing, or ask and take it back, over and over (rapid reset). Both show here. Not here: closing.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

/// Requests that a peer may give up on one connection before it is looked at how many it has waited for.
const GIVEN_UP: u64 = 100;

/// Requests of one connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    open: u64,
    answered: u64,
    given_up: u64,
}

impl Counts {
    /// Whether the peer asks mostly to take it back.
    fn abusive(self) -> bool {
        self.given_up > GIVEN_UP && self.given_up > self.answered
    }
}

/// Why a connection is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Nothing was asked for a while.
    Idle,
    /// It has lived long enough.
    Old,
    /// The peer takes back most of what it asks.
    Abusive,
}

/// The requests of one connection, as they come and go.
#[derive(Debug, Clone, Default)]
pub(super) struct Activity(watch::Sender<Counts>);

impl Activity {
    /// A request has come in.
    pub(super) fn begin(&self) -> OpenRequest {
        self.0
            .send_modify(|counts| counts.open = counts.open.saturating_add(1));
        OpenRequest {
            activity: self.clone(),
            answered: false,
        }
    }

    /// Waits until no request was open for `idle`, or the peer is abusive.
    pub(super) async fn ending(&self, idle: Duration) -> Ending {
        let mut changes = self.0.subscribe();
        loop {
            let counts = *changes.borrow_and_update();
            if counts.abusive() {
                return Ending::Abusive;
            }
            // The sender is ours, so each change is heard of.
            if counts.open > 0 {
                let _ = changes.changed().await;
            } else if tokio::time::timeout(idle, changes.changed()).await.is_err() {
                return Ending::Idle;
            }
        }
    }
}

/// A request that is open; dropped before it is answered, it was given up.
#[derive(Debug)]
pub(super) struct OpenRequest {
    activity: Activity,
    answered: bool,
}

impl OpenRequest {
    /// The answer is there.
    pub(super) fn answered(&mut self) {
        self.answered = true;
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.activity.0.send_modify(|counts| {
            counts.open = counts.open.saturating_sub(1);
            let end = if self.answered {
                &mut counts.answered
            } else {
                &mut counts.given_up
            };
            *end = end.saturating_add(1);
        });
    }
}

/// Runs the requests of one connection; what still runs when it is dropped is cut off, so that nothing outlives its
/// connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Requests(Arc<Mutex<JoinSet<()>>>);

impl<F> hyper::rt::Executor<F> for Requests
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, request: F) {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while running.try_join_next().is_some() {}
        running.spawn(request);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_is_idle_only_while_nothing_is_open() {
        let activity = Activity::default();
        let short = Duration::from_millis(20);
        assert_eq!(activity.ending(short).await, Ending::Idle);
        let mut open = activity.begin();
        let early = tokio::time::timeout(short * 3, activity.ending(short)).await;
        assert!(early.is_err());
        open.answered();
        let early = tokio::time::timeout(short * 3, activity.ending(short)).await;
        assert!(early.is_err(), "its answer may still come");
        drop(open);
        assert_eq!(activity.ending(short).await, Ending::Idle);
    }

    #[tokio::test]
    async fn who_takes_back_most_of_it_is_abusive() {
        let activity = Activity::default();
        let long = Duration::from_secs(60);
        for _ in 0..GIVEN_UP {
            drop(activity.begin());
        }
        assert!(!activity.0.borrow().abusive());
        for _ in 0..=GIVEN_UP {
            activity.begin().answered();
        }
        drop(activity.begin());
        assert!(!activity.0.borrow().abusive(), "it has waited for as many");
        drop(activity.begin());
        assert_eq!(activity.ending(long).await, Ending::Abusive);
    }
}
