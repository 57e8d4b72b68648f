//! What counts as dead: a thread that is gone. What a restart does not mend is alive.

use std::sync::Arc;
use std::time::Duration;

use super::super::contract::keyed;
use super::super::{Health, LocalStore, Store};
use super::{clock, open, options};
use crate::clock::Clock;
use crate::metrics::Metrics;

#[tokio::test]
async fn a_thread_that_has_ended_is_missed_until_the_store_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let clock = clock();
    let store = open(&options(folder.path()), &clock).await;
    assert!(store.alive());
    store.inner().spawn("gone", || {}).unwrap();
    for _ in 0..10_000 {
        if !store.alive() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(!store.alive(), "the thread has ended and is not missed");
    store.close().await;
    assert!(store.alive(), "who is closed misses nothing");
}

#[tokio::test]
async fn a_full_store_and_one_whose_index_cannot_be_made_are_alive() {
    let folder = tempfile::tempdir().unwrap();
    let clock = clock();
    let mut full = options(&folder.path().join("full"));
    full.min_free_bytes = u64::MAX;

    let barred = options(&folder.path().join("barred"));
    let store = open(&barred, &clock).await;
    store.admit(keyed(clock.now(), 1, 1)).await.unwrap();
    store.close().await;
    // The note beside the index must go before a rebuild, and a folder is not removed like a file.
    let note = barred.path.join("index.position");
    std::fs::remove_dir_all(barred.path.join("index")).unwrap();
    std::fs::remove_file(&note).unwrap();
    std::fs::create_dir(&note).unwrap();

    for (what, options) in [("full", full), ("barred", barred)] {
        let metrics = Arc::new(Metrics::new());
        let store = LocalStore::open(&options, Arc::clone(&clock) as _, metrics).unwrap();
        let health = store.opened().await;
        assert!(
            matches!(health, Health::Unavailable(_)),
            "{what}: {health:?}"
        );
        assert!(store.admit(keyed(clock.now(), 2, 1)).await.is_err());
        assert!(store.alive(), "{what}");
    }
}
