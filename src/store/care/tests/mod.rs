//! Looking after real stores in temporary folders.

mod backups;
mod exports;
mod verifies;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::super::contract::{admission, name};
use super::super::tests::{clock, open, options};
use super::super::{LocalStore, Settlement, Store};
use crate::clock::{Clock, ManualClock};
use crate::delivery::{Attempt, DeadReason, Next, Outcome};
use crate::id::{DeliveryId, EventId};

/// How much of everything there is.
const ROUNDS: u64 = 60;

/// Events in a store that was filled, and deliveries as well.
pub const FILLED: u64 = 2 * ROUNDS + 1;

/// A store with every state in it, over some segments.
pub struct World {
    pub folder: tempfile::TempDir,
    pub clock: Arc<ManualClock>,
    pub store: LocalStore,
}

impl World {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = clock();
        let store = open(&options(&folder.path().join("store")), &clock).await;
        Self {
            folder,
            clock,
            store,
        }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    pub async fn admit(&self, targets: &[&str], body: &str) -> (EventId, Vec<DeliveryId>) {
        let new = admission(self.clock.now(), targets, body);
        let ids = new.deliveries.iter().map(|it| it.id).collect();
        self.clock.advance(Duration::from_millis(1));
        (self.store.admit(new).await.unwrap().event, ids)
    }

    pub async fn settle(&self, target: &str, next: Next) -> DeliveryId {
        let claims = self.store.claim(&name(target), 1).await.unwrap();
        let claimed = claims.taken.into_iter().next().unwrap();
        let settlement = Settlement {
            attempt: Attempt {
                number: claimed.delivery.attempts + 1,
                started_at: self.clock.now(),
                took: Duration::from_millis(3),
                outcome: Outcome::Answered {
                    status: 500,
                    retry_after: None,
                    snippet: "no".to_owned(),
                },
                sent: None,
            },
            next,
            frozen: Some("frozen".into()),
        };
        let lease = claimed.lease;
        self.store.settle(lease, settlement).await.unwrap();
        lease.delivery
    }

    /// Some of everything.
    pub async fn fill(&self) {
        let body = format!("\"{}\"", "x".repeat(700));
        for round in 0..ROUNDS {
            let (_, ids) = self.admit(&["erp", "audit"], &body).await;
            self.settle("audit", Next::Done).await;
            let next = match round % 4 {
                0 => Next::Bury(DeadReason::Render),
                1 => Next::RetryAt(self.clock.now() + Duration::from_secs(3600)),
                _ => Next::Done,
            };
            let erp = self.settle("erp", next).await;
            assert!(ids.contains(&erp));
            self.admit(&[], "\"nobody's\"").await;
            if round % 8 == 0 {
                self.store.discard(erp).await.unwrap();
            }
        }
        self.admit(&["erp"], "{\"last\":true}").await;
    }

    /// Closes the store once the index holds everything; gives its folder with what holds it.
    pub async fn closed(self) -> (tempfile::TempDir, PathBuf) {
        let path = self.path();
        while self.store.inner().state().unfolded > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.store.close().await;
        drop(self.store);
        (self.folder, path)
    }
}

/// All files below a folder with what is in them.
pub fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            found.insert(path.clone(), std::fs::read(path).unwrap());
        }
    }
    found
}

/// The files of the journal's segments, oldest first.
pub fn segments(store: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(store.join("journal")).unwrap();
    let mut paths: Vec<_> = entries.map(|it| it.unwrap().path()).collect();
    paths.sort();
    paths
}
