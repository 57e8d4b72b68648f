//! Purging: after it nothing of the event is on the disk, whatever was broken off or cleaned before.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::super::contract::{admission, everything, keyed, name};
use super::super::journal::power::Plug;
use super::super::record;
use super::super::{Admission, Health, LocalStore, Settlement, Store, StoreError, StoreOptions};
use super::index_lost::leave_unacknowledged;
use super::{clock, copy_folder, open, options};
use crate::clock::{Clock, ManualClock};
use crate::delivery::{Attempt, Next, Outcome, State};
use crate::event::Event;
use crate::id::EventId;
use crate::metrics::Metrics;

const DAY: u64 = 24 * 3600;

/// Stands in everything that is to go.
const MARKER: &str = "FIND-ME-9c41";

/// Whether the marker is in any file below the folder.
fn is_found(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return is_found(&path);
        }
        let bytes = std::fs::read(&path).unwrap_or_default();
        let marker = MARKER.as_bytes();
        bytes.windows(marker.len()).any(|part| part == marker)
    })
}

/// An event that has the marker in body, header and message id.
fn marked(clock: &ManualClock, targets: &[&str]) -> Admission {
    let mut new = admission(clock.now(), targets, &format!("\"body {MARKER}\""));
    let mut parts = new.event.parts().clone();
    parts.headers = vec![("x-test".to_owned(), format!("header {MARKER}"))];
    new.event = Arc::new(Event::from_stored(parts));
    new
}

async fn settle(store: &LocalStore, clock: &ManualClock, target: &str, next: Next) {
    let claimed = store.claim(&name(target), 1).await.unwrap().taken.remove(0);
    let settlement = Settlement {
        attempt: Attempt {
            number: claimed.delivery.attempts + 1,
            started_at: clock.now(),
            took: Duration::from_millis(3),
            outcome: Outcome::Answered {
                status: 500,
                retry_after: None,
                snippet: format!("answer {MARKER}"),
            },
            sent: None,
        },
        next,
        frozen: Some(format!("frozen {MARKER}").into()),
    };
    store.settle(claimed.lease, settlement).await.unwrap();
}

/// Which files there are and when they were changed: equal before and after a copy that is one of one moment.
fn state_of(folder: &Path) -> Vec<(std::path::PathBuf, u64, u64, i64, i64)> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<_> = entries
        .filter_map(|entry| {
            let path = entry.unwrap().path();
            let meta = path.metadata().ok()?;
            Some((
                path,
                meta.ino(),
                meta.len(),
                meta.mtime(),
                meta.mtime_nsec(),
            ))
        })
        .collect();
    files.sort();
    files
}

/// Other events, so that records go on in further segments.
async fn others(store: &LocalStore, clock: &ManualClock, count: usize) {
    for _ in 0..count {
        let body = format!("\"{}\"", "x".repeat(900));
        store
            .admit(admission(clock.now(), &["crm"], &body))
            .await
            .unwrap();
    }
}

/// An event with attempts over several segments: one delivery done, one failed, one held, one untouched.
async fn history(store: &LocalStore, clock: &ManualClock) -> EventId {
    let targets = ["erp", "audit", "lake", "idle"];
    let event = store.admit(marked(clock, &targets)).await.unwrap().event;
    let retry = Next::RetryAt(clock.now());
    for target in ["erp", "audit", "lake"] {
        settle(store, clock, target, retry).await;
        others(store, clock, 12).await;
    }
    settle(store, clock, "erp", Next::Done).await;
    settle(
        store,
        clock,
        "audit",
        Next::RetryAt(clock.now() + Duration::from_secs(60)),
    )
    .await;
    let claimed = store.claim(&name("lake"), 1).await.unwrap().taken.remove(0);
    store.hold(claimed.lease).await.unwrap();
    event
}

async fn reopened(
    store: LocalStore,
    options: &StoreOptions,
    clock: &Arc<ManualClock>,
    rebuilt: bool,
) -> LocalStore {
    store.close().await;
    drop(store);
    if rebuilt {
        std::fs::remove_dir_all(options.path.join("index")).unwrap();
    }
    open(options, clock).await
}

#[tokio::test]
async fn nothing_of_a_purged_event_is_on_the_disk() {
    for paused in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let (clock, options) = (clock(), options(folder.path()));
        let store = open(&options, &clock).await;
        store.pause_fold(paused);
        let event = history(&store, &clock).await;
        // its records stand in the open segment as well as in older ones
        assert!(store.inner().journal.segments().len() > 2);
        assert!(is_found(folder.path()));
        let purged = store.purge(event).await.unwrap();
        assert_eq!((purged.at, purged.discarded), (clock.now(), 3), "{paused}");
        assert_eq!(purged.records, 6, "{paused}: one accepted, five attempts");
        assert!(!is_found(folder.path()), "paused: {paused}");
        let again = store.purge(event).await.unwrap();
        assert_eq!((again.at, again.records), (purged.at, 0));

        let row = store.event_row(event).await.unwrap();
        assert_eq!((row.size, row.message_id), (0, None));
        assert_eq!(row.purged_at, Some(clock.now()));
        for id in &row.deliveries {
            for attempt in store.attempts(*id).await.unwrap() {
                let Outcome::Answered {
                    status, snippet, ..
                } = attempt.outcome
                else {
                    panic!("{attempt:?}");
                };
                assert_eq!((status, snippet.as_str()), (500, ""));
            }
        }
        let attempts = store.attempts(row.deliveries[0]).await.unwrap();
        assert_eq!(attempts.len(), 2);
        let before = everything(&store).await;
        assert_eq!(before.matches(&event.to_string()).count(), 5, "{before}");
        let mut store = store;
        for rebuilt in [false, true, false] {
            store = reopened(store, &options, &clock, rebuilt).await;
            assert_eq!(everything(&store).await, before, "rebuilt: {rebuilt}");
            assert!(!is_found(folder.path()));
        }
        // the segments that were written anew take and give all that they should
        for _ in 0..36 {
            let claimed = store.claim(&name("crm"), 1).await.unwrap().taken.remove(0);
            assert_eq!(claimed.event.parts().body.len(), 902);
        }
    }
}

#[tokio::test]
async fn a_purge_that_was_broken_off_is_finished_by_the_next_start_or_the_next_purge() {
    for broken_at_first in [false, true] {
        for restart in [None, Some(false), Some(true)] {
            broken_off(broken_at_first, restart).await;
        }
    }
}

/// Breaks a purge off before the first or the last of the segments is written anew. Then comes a start, with the
/// index rebuilt or not, or without one another purge.
async fn broken_off(at_first: bool, restart: Option<bool>) {
    let folder = tempfile::tempdir().unwrap();
    let (clock, options) = (clock(), options(folder.path()));
    let mut store = open(&options, &clock).await;
    let event = history(&store, &clock).await;
    let segments = store.inner().journal.segments();
    let (number, _) = if at_first {
        segments[0]
    } else {
        segments[segments.len() - 1]
    };
    // a folder stands where the segment is to be written anew
    let in_the_way = folder.path().join(format!("journal/{number:020}.rewrite"));
    std::fs::create_dir(&in_the_way).unwrap();
    let refused = store.purge(event).await;
    assert!(
        matches!(refused, Err(StoreError::Unavailable(_))),
        "{refused:?}"
    );
    assert!(matches!(store.event(event).await, Err(StoreError::Purged)));
    assert!(is_found(folder.path()));
    std::fs::remove_dir(&in_the_way).unwrap();
    if let Some(rebuilt) = restart {
        // as a kill in the middle would leave it
        std::fs::write(&in_the_way, format!("half {MARKER}")).unwrap();
        store = reopened(store, &options, &clock, rebuilt).await;
    } else {
        assert!(store.purge(event).await.unwrap().records > 0);
    }
    assert!(!is_found(folder.path()), "{at_first} {restart:?}");
    assert_eq!(store.purge(event).await.unwrap().records, 0);
    let before = everything(&store).await;
    let store = reopened(store, &options, &clock, true).await;
    assert_eq!(everything(&store).await, before);
}

#[tokio::test]
async fn a_copy_from_any_moment_of_a_purge_ends_up_purged() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, options) = (clock(), options(folder.path()));
    let store = Arc::new(open(&options, &clock).await);
    let event = history(&store, &clock).await;
    others(&store, &clock, 30).await;
    let purging = Arc::clone(&store);
    let purge = tokio::spawn(async move { purging.purge(event).await });
    let mut copies = Vec::new();
    let journal = folder.path().join("journal");
    while !purge.is_finished() {
        let copy = tempfile::tempdir().unwrap();
        let before = state_of(&journal);
        // a copy counts if nothing has changed meanwhile
        copy_folder(&folder.path().join("journal"), &copy.path().join("journal"));
        if state_of(&journal) == before {
            copies.push(copy);
        }
        tokio::task::yield_now().await;
    }
    purge.await.unwrap().unwrap();
    let wanted = store.events(None, 999).await.unwrap().len();
    for copy in copies {
        let store = open(&super::options(copy.path()), &clock).await;
        assert_eq!(store.events(None, 999).await.unwrap().len(), wanted);
        let row = store.event_row(event).await.unwrap();
        assert_eq!(row.purged_at.is_none(), is_found(copy.path()), "either or");
        store.purge(event).await.unwrap();
        assert!(!is_found(copy.path()));
    }
}

#[tokio::test]
async fn what_cleaning_has_forgotten_is_purged_too_and_tombstones_go_with_retention() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, options) = (clock(), options(folder.path()));
    let mut store = open(&options, &clock).await;
    let event = store
        .admit(marked(&clock, &["erp", "audit"]))
        .await
        .unwrap()
        .event;
    others(&store, &clock, 60).await;
    for _ in 0..60 {
        let claimed = store.claim(&name("crm"), 1).await.unwrap().taken.remove(0);
        store.discard(claimed.delivery.id).await.unwrap();
    }
    // that it is delivered stands in a later segment, which stays
    settle(&store, &clock, "audit", Next::Done).await;
    others(&store, &clock, 40).await;
    clock.advance(Duration::from_secs(8 * DAY));
    let young = admission(clock.now(), &["crm"], "{}");
    store.admit(young).await.unwrap();
    while store.clean_once().await.unwrap() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let row = store.event_row(event).await.unwrap();
    assert_eq!(row.deliveries.len(), 1, "the one that is done is forgotten");
    assert!(is_found(folder.path()));
    assert_eq!(store.purge(event).await.unwrap().discarded, 1);
    assert!(!is_found(folder.path()));

    // past retention it goes, and a younger one is carried as what it is
    let kept = store.admit(marked(&clock, &["erp"])).await.unwrap().event;
    settle(&store, &clock, "erp", Next::Done).await;
    let at = store.purge(kept).await.unwrap().at;
    for _ in 0..2 {
        others(&store, &clock, 40).await;
        while let claimed = store.claim(&name("crm"), 99).await.unwrap().taken
            && !claimed.is_empty()
        {
            for one in claimed {
                store.discard(one.delivery.id).await.unwrap();
            }
        }
        clock.advance(Duration::from_secs(4 * DAY));
    }
    while store.clean_once().await.unwrap() > 0 {}
    assert_eq!(store.event_row(event).await, Err(StoreError::NotFound));
    clock.advance(Duration::from_secs(8 * DAY));
    while store.clean_once().await.unwrap() > 0 {}
    store = reopened(store, &options, &clock, true).await;
    while store.clean_once().await.unwrap() > 0 {}
    let gone = store.event_row(kept).await;
    assert_eq!(gone, Err(StoreError::NotFound), "purged at {at}");
    assert!(!is_found(folder.path()));
}

#[tokio::test]
async fn a_purged_event_that_is_young_is_carried_purged() {
    let folder = tempfile::tempdir().unwrap();
    let clock = clock();
    let mut options = options(folder.path());
    options.max_bytes = 300 << 10;
    let store = open(&options, &clock).await;
    let event = store
        .admit(marked(&clock, &["erp", "audit"]))
        .await
        .unwrap()
        .event;
    settle(&store, &clock, "erp", Next::Done).await;
    store.purge(event).await.unwrap();
    // large outcomes overtake each other until the segments are worth writing anew
    store
        .admit(admission(clock.now(), &["crm"], "{}"))
        .await
        .unwrap();
    let mut removed = 0;
    for number in 1..=60 {
        let claimed = store.claim(&name("crm"), 1).await.unwrap().taken.remove(0);
        let settlement = Settlement {
            attempt: Attempt {
                number,
                started_at: clock.now(),
                took: Duration::ZERO,
                outcome: Outcome::Answered {
                    status: 503,
                    retry_after: None,
                    snippet: "s".repeat(6000),
                },
                sent: None,
            },
            next: Next::RetryAt(clock.now()),
            frozen: None,
        };
        store.settle(claimed.lease, settlement).await.unwrap();
    }
    // a busy machine folds late
    let patience = std::time::Instant::now() + Duration::from_secs(60);
    while removed <= 2 && std::time::Instant::now() < patience {
        removed += store.clean_once().await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(removed > 2, "{removed} segments were removed");
    let row = store.event_row(event).await.unwrap();
    assert_eq!(row.purged_at, Some(clock.now()));
    assert!(row.deliveries.len() == 2);
    assert!(
        !store
            .inner()
            .gate()
            .index()
            .unwrap()
            .is_unscrubbed(event)
            .unwrap()
    );
    let before = everything(&store).await;
    let store = reopened(store, &options, &clock, true).await;
    assert_eq!(everything(&store).await, before);
    let state = store.delivery(row.deliveries[1]).await.unwrap().state;
    assert!(matches!(state, State::Discarded { .. }));
    assert_eq!(
        store.revive(row.deliveries[1]).await,
        Err(StoreError::Purged)
    );
}

#[tokio::test]
async fn a_disk_that_fails_leaves_the_event_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, options) = (clock(), options(folder.path()));
    let plug = Plug::new(folder.path(), folder.path(), None, 1);
    let (disk, metrics) = (Arc::new(plug.clone()), Arc::new(Metrics::new()));
    let reopen = Duration::from_millis(2);
    let store = LocalStore::open_on(disk, reopen, &options, clock.clone(), metrics).unwrap();
    assert_eq!(store.opened().await, Health::Ready);
    let event = history(&store, &clock).await;
    let before = everything(&store).await;
    plug.let_syncs_fail(true);
    let refused = store.purge(event).await;
    assert!(
        matches!(refused, Err(StoreError::Unavailable(_))),
        "{refused:?}"
    );
    plug.let_syncs_fail(false);
    while store.health() != Health::Ready {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(everything(&store).await, before);
    let claimed = store.claim(&name("idle"), 9).await.unwrap().taken;
    assert_eq!(claimed[0].event.id(), event);
    assert_eq!(store.purge(event).await.unwrap().discarded, 3);
    assert!(!is_found(folder.path()));
    let before = everything(&store).await;
    let store = reopened(store, &options, &clock, true).await;
    assert_eq!(everything(&store).await, before);
}

#[tokio::test]
async fn a_twin_that_was_never_acknowledged_goes_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, options) = (clock(), options(folder.path()));
    let marked = || {
        let mut new = marked(&clock, &["erp"]);
        new.dedupe = keyed(clock.now(), 7, 1).dedupe;
        new
    };
    let store = open(&options, &clock).await;
    let event = store.admit(marked()).await.unwrap().event;
    store.close().await;
    drop(store);
    let expires = record::millis(clock.now()) + 60_000;
    leave_unacknowledged(folder.path(), &marked(), expires);
    let store = open(&options, &clock).await;
    assert_eq!(store.events(None, 9).await.unwrap().len(), 1);
    assert_eq!(store.purge(event).await.unwrap().records, 2);
    assert!(!is_found(folder.path()));
    let before = everything(&store).await;
    let store = reopened(store, &options, &clock, true).await;
    assert_eq!(everything(&store).await, before);
}
