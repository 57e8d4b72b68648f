//! The index deleted, emptied, swapped or spoilt between two runs: the same answers, and the old one kept.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::super::contract::{admission, everything, keyed, name};
use super::super::journal::{Entry, Journal, Options as JournalOptions};
use super::super::record::{self, Accepted, Content, StoredKey};
use super::super::{
    Admission, Health, LocalStore, Novelty, Settlement, Store, StoreError, StoreOptions,
};
use super::{clock, copy_folder, kept_aside, open, options};
use crate::clock::{Clock, ManualClock};
use crate::delivery::{Attempt, DeadReason, Next, Outcome};
use crate::metrics::Metrics;

fn settlement(number: u32, clock: &ManualClock, next: Next) -> Settlement {
    Settlement {
        attempt: Attempt {
            number,
            started_at: clock.now(),
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
    }
}

/// Some of everything: all states, keys, events without deliveries, several segments.
pub(super) async fn history(store: &LocalStore, clock: &ManualClock) {
    for round in 0..60u8 {
        let mut new = keyed(clock.now(), round, 1);
        if round % 7 == 0 {
            new = admission(clock.now(), &[], "nobody wants it");
        }
        if round % 5 == 0 {
            new.deliveries
                .extend(admission(clock.now(), &["audit"], "").deliveries);
            let event = new.event.id();
            new.deliveries.iter_mut().for_each(|it| it.event = event);
        }
        store.admit(new).await.unwrap();
        clock.advance(Duration::from_millis(700));
        for target in ["erp", "audit"] {
            for claimed in store.claim(&name(target), 2).await.unwrap().taken {
                let next = match round % 4 {
                    0 => Next::Done,
                    1 => Next::RetryAt(clock.now() + Duration::from_secs(5)),
                    2 => Next::Bury(DeadReason::Render),
                    _ => Next::RetryAt(clock.now()),
                };
                let number = claimed.delivery.attempts + 1;
                let settlement = settlement(number, clock, next);
                store.settle(claimed.lease, settlement).await.unwrap();
                if round % 8 == 2 {
                    store.revive(claimed.delivery.id).await.unwrap();
                }
                if round % 16 == 6 {
                    store.discard(claimed.delivery.id).await.unwrap();
                }
            }
        }
    }
}

async fn check(what: &str, spoil: impl Fn(&Path), aside: Option<usize>) {
    let folder = tempfile::tempdir().unwrap();
    let (clock, options) = (clock(), options(folder.path()));
    let store = open(&options, &clock).await;
    history(&store, &clock).await;
    let before = everything(&store).await;
    store.close().await;
    copy_folder(
        &folder.path().join("index"),
        &folder.path().join("older-copy"),
    );
    let store = open(&options, &clock).await;
    assert_eq!(everything(&store).await, before, "{what}: before");
    let newer = keyed(clock.now(), 200, 2);
    store.admit(newer).await.unwrap();
    let claimed = store.claim(&name("erp"), 1).await.unwrap().taken.remove(0);
    let done = settlement(9, &clock, Next::Done);
    store.settle(claimed.lease, done).await.unwrap();
    let before = everything(&store).await;
    store.close().await;
    drop(store);

    spoil(folder.path());
    let store = open(&options, &clock).await;
    assert_eq!(everything(&store).await, before, "{what}");
    let kept = kept_aside(folder.path());
    assert!(
        aside.is_none_or(|it| it == kept),
        "{what}: {kept} kept aside"
    );
    let again = store.admit(keyed(clock.now(), 200, 2)).await.unwrap();
    assert_eq!(again.novelty, Novelty::Duplicate, "{what}");
    store.close().await;
    drop(store);
    let store = open(&options, &clock).await;
    assert_eq!(everything(&store).await, before, "{what}: once more");
    assert_eq!(kept_aside(folder.path()), kept, "{what}: once only");
}

#[tokio::test]
async fn an_index_that_is_lost_or_spoilt_is_rebuilt_to_the_same_answers() {
    check("untouched", |_| (), Some(0)).await;
    let remove = |store: &Path| std::fs::remove_dir_all(store.join("index")).unwrap();
    check("deleted", remove, Some(0)).await;
    let empty = move |store: &Path| {
        remove(store);
        std::fs::create_dir(store.join("index")).unwrap();
    };
    check("emptied", empty, Some(1)).await;
    let swap = move |store: &Path| {
        remove(store);
        copy_folder(&store.join("older-copy"), &store.join("index"));
    };
    check("swapped for an older copy", swap, Some(1)).await;
    let junk = |store: &Path| {
        for entry in std::fs::read_dir(store.join("index")).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let bytes = std::fs::metadata(&path).unwrap().len().max(100);
                std::fs::write(&path, vec![0xa5; bytes as usize]).unwrap();
            }
        }
    };
    check("filled with junk", junk, Some(1)).await;
    let shorten = |store: &Path| {
        let db = store.join("index/db");
        let file = std::fs::OpenOptions::new().write(true).open(&db).unwrap();
        file.set_len(file.metadata().unwrap().len() / 3).unwrap();
    };
    // what is left of it may be all there was, or not; nobody can tell but by counting
    check("cut to a third", shorten, None).await;
    let a_file = move |store: &Path| {
        remove(store);
        std::fs::write(store.join("index"), b"no folder").unwrap();
    };
    check("a file in its place", a_file, Some(1)).await;
}

#[tokio::test]
async fn nothing_is_taken_while_the_index_is_rebuilt() {
    let folder = tempfile::tempdir().unwrap();
    let clock = clock();
    let options = StoreOptions {
        open_patience: Duration::ZERO,
        ..options(folder.path())
    };
    let store = open(&options, &clock).await;
    history(&store, &clock).await;
    let before = everything(&store).await;
    store.close().await;
    std::fs::remove_dir_all(folder.path().join("index")).unwrap();
    let metrics = Arc::new(Metrics::new());
    let store = LocalStore::open(&options, clock.clone(), metrics).unwrap();
    // whoever comes too early is told to come again, never given a wrong answer
    match store.admit(keyed(clock.now(), 1, 1)).await {
        Err(StoreError::Unavailable(_)) => {}
        other => assert_eq!(other.unwrap().novelty, Novelty::Duplicate),
    }
    assert_eq!(store.opened().await, Health::Ready);
    assert_eq!(everything(&store).await, before);
}

#[tokio::test]
async fn a_copy_taken_while_it_runs_holds_all_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let clock = clock();
    let store = open(&options(&folder.path().join("store")), &clock).await;
    for round in 0..6 {
        history(&store, &clock).await;
        let copy = folder.path().join(format!("copy-{round}"));
        let from = folder.path().join("store");
        // as after a kill: the index may be behind the journal, or torn
        copy_folder(&from.join("index"), &copy.join("index"));
        let events = store.events(None, usize::MAX).await.unwrap();
        copy_folder(&from.join("journal"), &copy.join("journal"));
        let copied = open(&options(&copy), &clock).await;
        assert_eq!(
            copied.events(None, usize::MAX).await.unwrap(),
            events,
            "round {round}"
        );
        clock.advance(Duration::from_secs(3600));
        copied.close().await;
        std::fs::remove_dir_all(copy.join("index")).unwrap();
        let rebuilt = open(&options(&copy), &clock).await;
        assert_eq!(
            rebuilt.events(None, usize::MAX).await.unwrap(),
            events,
            "round {round}: rebuilt"
        );
    }
}

#[tokio::test]
async fn an_index_far_larger_than_its_rows_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, options) = (clock(), options(folder.path()));
    let store = open(&options, &clock).await;
    history(&store, &clock).await;
    let before = everything(&store).await;
    store.close().await;
    drop(store);
    let marker = folder.path().join("index/marker");
    std::fs::write(&marker, "").unwrap();
    for (index_floor, is_kept) in [(options.index_floor, true), (0, false)] {
        let options = StoreOptions {
            index_floor,
            ..options.clone()
        };
        let store = open(&options, &clock).await;
        assert_eq!(marker.exists(), is_kept, "a floor of {index_floor}");
        assert_eq!(everything(&store).await, before, "a floor of {index_floor}");
        assert_eq!(kept_aside(folder.path()), 0, "nothing was wrong with it");
        store.close().await;
    }
}

/// Appends a record as a failed life may have left it: its sync failed, its sender was told to come again.
pub(super) fn leave_unacknowledged(store: &Path, admission: &Admission, expires: i64) {
    let (journal, _) = Journal::open(
        &store.join("journal"),
        JournalOptions {
            segment_bytes: 1 << 20,
            group_bytes: 1 << 20,
            waiting: 10,
            waiting_bytes: 64 << 20,
            lazy_sync: Duration::ZERO,
            begin_after: 0,
            spare_after: u64::MAX,
            most_bytes: u64::MAX,
            keep_free: 0,
        },
        Arc::new(Metrics::new()),
    )
    .unwrap();
    let dedupe = admission.dedupe.unwrap();
    let content = Content::Accepted(Accepted {
        at: record::millis(admission.event.parts().received_at),
        event: admission.event.parts().into(),
        deliveries: admission.deliveries.iter().map(Into::into).collect(),
        key: Some(StoredKey {
            key: dedupe.key,
            body: dedupe.body,
            expires,
        }),
        receipt: None,
    });
    journal.append(Entry {
        version: record::VERSION,
        kind: content.kind(),
        payload: content.encode().unwrap(),
        urgent: true,
        done: Box::new(|result| assert!(result.is_ok())),
    });
    journal.close();
}

#[tokio::test]
async fn an_accepted_whose_key_is_live_already_is_dropped_by_the_fold() {
    let (clock, minute) = (clock(), 60_000);
    for (what, pass, wanted) in [("live", 30, 1), ("expired", 90, 2)] {
        for rebuilt in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let options = options(folder.path());
            let start = clock.now();
            let store = open(&options, &clock).await;
            let first = store.admit(keyed(start, 7, 1)).await.unwrap().event;
            store.close().await;
            drop(store);
            clock.advance(Duration::from_secs(pass));
            let twin = keyed(clock.now(), 7, 1);
            let expires = record::millis(clock.now()) + minute;
            leave_unacknowledged(folder.path(), &twin, expires);
            if rebuilt {
                std::fs::remove_dir_all(folder.path().join("index")).unwrap();
            }
            let store = open(&options, &clock).await;
            let events = store.events(None, 9).await.unwrap();
            assert_eq!(events.len(), wanted, "{what}, rebuilt: {rebuilt}");
            assert_eq!(events.last().unwrap().id, first, "{what}");
            let claims = store.claim(&name("erp"), 9).await.unwrap();
            assert_eq!(claims.taken.len(), wanted, "{what}, rebuilt: {rebuilt}");
            let again = store.admit(keyed(clock.now(), 7, 1)).await.unwrap();
            assert_eq!(again.novelty, Novelty::Duplicate, "{what}");
            assert_eq!(again.event, events[0].id, "{what}: the one that counts");
        }
    }
}
