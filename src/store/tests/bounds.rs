//! Bounds: room on disk, the fold being behind, records that the journal refuses, a window far smaller than the backlog.

use std::sync::Arc;
use std::time::Duration;

use super::super::contract::{admission, name};
use super::super::{Claimed, Health, LocalStore, OpenError, Settlement, Store, StoreError};
use super::{clock, open, options};
use crate::clock::{Clock, ManualClock};
use crate::delivery::{Attempt, Next, Outcome, StateKind};
use crate::metrics::Metrics;

fn done(claimed: &Claimed, clock: &ManualClock) -> Settlement {
    Settlement {
        attempt: Attempt {
            number: claimed.delivery.attempts + 1,
            started_at: clock.now(),
            took: Duration::ZERO,
            outcome: Outcome::Answered {
                status: 204,
                retry_after: None,
                snippet: String::new(),
            },
            sent: None,
        },
        next: Next::Done,
        frozen: None,
    }
}

async fn fill(store: &LocalStore, clock: &ManualClock) -> usize {
    let body = format!("\"{}\"", "x".repeat(5000));
    for count in 0..10_000 {
        match store.admit(admission(clock.now(), &["erp"], &body)).await {
            Ok(_) => {}
            Err(StoreError::Unavailable(_)) => return count,
            Err(other) => panic!("{other}"),
        }
    }
    panic!("it is never full");
}

#[tokio::test]
async fn a_full_store_refuses_and_heals_by_cleaning() {
    let folder = tempfile::tempdir().unwrap();
    let clock = clock();
    let mut options = options(folder.path());
    options.max_bytes = 400 << 10;
    let store = open(&options, &clock).await;
    assert!(fill(&store, &clock).await > 20);
    let refused = store.admit(admission(clock.now(), &[], "{}")).await;
    // what was accepted can be delivered and recorded all the same
    loop {
        let taken = store.claim(&name("erp"), 50).await.unwrap().taken;
        if taken.is_empty() {
            break;
        }
        for claimed in taken {
            let settlement = done(&claimed, &clock);
            store.settle(claimed.lease, settlement).await.unwrap();
        }
    }
    clock.advance(Duration::from_secs(8 * 24 * 3600));
    // outcomes are on disk a moment after they are settled; nothing is let go before
    while store.clean_once().await.unwrap() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(fill(&store, &clock).await > 10, "first {refused:?}");
}

#[tokio::test]
async fn a_disk_without_the_free_floor_is_full() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(folder.path());
    options.min_free_bytes = u64::MAX / 2;
    let clock = clock();
    let metrics = Arc::new(Metrics::new());
    let store = LocalStore::open(&options, clock.clone(), metrics).unwrap();
    assert!(matches!(store.opened().await, Health::Unavailable(_)));
    let refused = store.admit(admission(clock.now(), &[], "{}")).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))));
}

#[tokio::test]
async fn a_fold_that_is_behind_refuses_and_then_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let clock = clock();
    let mut options = options(folder.path());
    options.unfolded = 10;
    let store = open(&options, &clock).await;
    store.pause_fold(true);
    assert_eq!(fill(&store, &clock).await, 10);
    store.pause_fold(false);
    while store.inner().state().unfolded > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(store.health(), Health::Ready);
    store
        .admit(admission(clock.now(), &["erp"], "{}"))
        .await
        .unwrap();
    assert_eq!(store.claim(&name("erp"), 99).await.unwrap().taken.len(), 11);
}

#[tokio::test]
async fn outcomes_that_the_journal_refuses_are_recorded_later() {
    let folder = tempfile::tempdir().unwrap();
    let clock = clock();
    let mut options = options(folder.path());
    options.waiting = 1;
    let store = open(&options, &clock).await;
    for _ in 0..100 {
        store
            .admit(admission(clock.now(), &["erp"], "{}"))
            .await
            .unwrap();
    }
    let taken = store.claim(&name("erp"), 100).await.unwrap().taken;
    for claimed in &taken {
        let settlement = done(claimed, &clock);
        store.settle(claimed.lease, settlement).await.unwrap();
    }
    // each counts at once
    assert!(store.depths().await.unwrap().is_empty());
    assert!(store.claim(&name("erp"), 1).await.unwrap().taken.is_empty());
    while store
        .inner()
        .state()
        .entries
        .values()
        .any(|it| it.writing > 0)
    {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    store.close().await;
    drop(store);
    let store = open(&options, &clock).await;
    for claimed in &taken {
        let delivery = store.delivery(claimed.delivery.id).await.unwrap();
        assert_eq!(delivery.state.kind(), StateKind::Delivered);
        let attempts = store.attempts(delivery.id).await.unwrap();
        assert_eq!(attempts.len(), 1);
    }
}

#[tokio::test]
async fn a_backlog_is_not_kept_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let clock = clock();
    let options = options(folder.path());
    let store = open(&options, &clock).await;
    let mut wanted = Vec::new();
    for _ in 0..300 {
        let new = admission(clock.now(), &["erp"], "{}");
        wanted.push(new.deliveries[0].id);
        store.admit(new).await.unwrap();
        clock.advance(Duration::from_millis(1));
    }
    while store.inner().state().unfolded > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let entries = store.inner().state().entries.len();
    assert!(entries <= options.window + 1, "{entries} in memory");
    let mut seen = Vec::new();
    while seen.len() < wanted.len() {
        let taken = store.claim(&name("erp"), 3).await.unwrap().taken;
        assert!(!taken.is_empty(), "after {}", seen.len());
        for claimed in taken {
            seen.push(claimed.delivery.id);
            let settlement = done(&claimed, &clock);
            store.settle(claimed.lease, settlement).await.unwrap();
        }
        let ready = store.inner().state().lane(&name("erp")).ready.len();
        assert!(ready <= options.window, "{ready} ready");
    }
    assert_eq!(seen, wanted);
}

#[tokio::test]
async fn a_second_store_on_the_same_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, options) = (clock(), options(folder.path()));
    let store = open(&options, &clock).await;
    let second = LocalStore::open(&options, clock.clone(), Arc::new(Metrics::new()));
    let Err(OpenError::Locked { path }) = second else {
        panic!("it was opened twice");
    };
    assert_eq!(path, folder.path());
    store.close().await;
    open(&options, &clock).await;
}

#[tokio::test]
async fn a_dropped_admission_and_a_dropped_claim_leave_nothing_stuck() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, options) = (clock(), options(folder.path()));
    let store = Arc::new(open(&options, &clock).await);
    for _ in 0..20 {
        let new = admission(clock.now(), &["erp"], "{}");
        // dropped at its first wait
        let admit = store.admit(new);
        let _ = tokio::time::timeout(Duration::ZERO, admit).await;
    }
    store
        .admit(admission(clock.now(), &["erp"], "{}"))
        .await
        .unwrap();
    let count = store.events(None, 99).await.unwrap().len();
    store.close().await;
    drop(store);
    let store = open(&options, &clock).await;
    let erp = name("erp");
    for _ in 0..20 {
        // after a restart events are read from the journal, so there is a wait to be dropped at
        let claim = store.claim(&erp, 5);
        let _ = tokio::time::timeout(Duration::ZERO, async {
            let claims = claim.await.unwrap();
            for claimed in claims.taken {
                store.release(claimed.lease).await.unwrap();
            }
        })
        .await;
    }
    assert_eq!(
        store.claim(&name("erp"), 99).await.unwrap().taken.len(),
        count
    );
}

#[tokio::test]
async fn a_backlog_of_held_deliveries_takes_no_memory() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, mut options) = (clock(), options(folder.path()));
    options.segment_bytes = 1 << 20;
    options.unfolded = 200;
    let store = open(&options, &clock).await;
    let in_memory = || store.inner().state().entries.len();
    let few = options.unfolded + options.window + 256;
    let mut held = 0;
    while held < 1500 {
        for _ in 0..50 {
            store
                .admit(admission(clock.now(), &["erp"], "{}"))
                .await
                .unwrap();
        }
        for claimed in store.claim(&name("erp"), 99).await.unwrap().taken {
            store.hold(claimed.lease).await.unwrap();
            held += 1;
        }
        assert!(in_memory() <= few, "{} are in memory", in_memory());
    }
    let routes = std::collections::BTreeSet::from(["orders".parse().unwrap()]);
    assert_eq!(store.resume(&name("erp"), &routes).await, Ok(held));
    assert!(in_memory() <= few, "{} are in memory", in_memory());
    let mut seen = 0;
    loop {
        let taken = store.claim(&name("erp"), 99).await.unwrap().taken;
        if taken.is_empty() {
            break;
        }
        for claimed in taken {
            let settlement = done(&claimed, &clock);
            store.settle(claimed.lease, settlement).await.unwrap();
            seen += 1;
        }
        while store.inner().state().unfolded > 50 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    assert_eq!(seen, held);
}
