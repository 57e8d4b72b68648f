//! What operators want kept, and what was added to events, outlasts the segments in which it was written; a rebuild never
//! tells.

use std::sync::Arc;
use std::time::Duration;

use super::super::contract::{admission, everything, name};
use super::super::{
    LocalStore, ReplayFilter, ReplayPhase, ReplayState, Revival, Settlement, Store, StoreError,
    StoreOptions,
};
use super::{assert_sound, clock, open, options};
use crate::clock::{Clock, ManualClock};
use crate::delivery::{Attempt, DeadReason, Next, Outcome, ReplayMode, State};
use crate::id::{DeliveryId, Digest, EventId, ReplayId};

const DAY: u64 = 24 * 3600;

async fn admit(store: &LocalStore, clock: &ManualClock, text: &str) -> (EventId, DeliveryId) {
    let body = format!("\"{text}{}\"", "x".repeat(900));
    let new = admission(clock.now(), &["erp"], &body);
    let delivery = new.deliveries[0].id;
    (store.admit(new).await.unwrap().event, delivery)
}

async fn settle(store: &LocalStore, clock: &ManualClock, next: Next, text: &str) -> DeliveryId {
    let claims = store.claim(&name("erp"), 1).await.unwrap();
    let claimed = claims.taken.into_iter().next().unwrap();
    let settlement = Settlement {
        attempt: Attempt {
            number: claimed.delivery.attempts + 1,
            started_at: clock.now(),
            took: Duration::from_millis(3),
            outcome: Outcome::Answered {
                status: if next == Next::Done { 200 } else { 500 },
                retry_after: None,
                snippet: text.to_owned(),
            },
            sent: None,
        },
        next,
        frozen: None,
    };
    store.settle(claimed.lease, settlement).await.unwrap();
    claimed.delivery.id
}

/// Fills some segments with what is done.
async fn fill(store: &LocalStore, clock: &ManualClock) {
    for _ in 0..50 {
        admit(store, clock, "").await;
        settle(store, clock, Next::Done, "").await;
    }
}

/// After this the answers are the same from the index as it is and as it is rebuilt.
async fn rebuilt(
    store: LocalStore,
    options: &StoreOptions,
    clock: &Arc<ManualClock>,
) -> LocalStore {
    let before = everything(&store).await;
    store.close().await;
    drop(store);
    assert_sound(&options.path);
    std::fs::remove_dir_all(options.path.join("index")).unwrap();
    let store = open(options, clock).await;
    assert_eq!(everything(&store).await, before);
    store
}

fn replay(clock: &ManualClock, phase: ReplayPhase) -> ReplayState {
    let filter = ReplayFilter {
        target: "erp".parse().ok(),
        ..ReplayFilter::default()
    };
    let (id, now) = (ReplayId::generate(), clock.now());
    ReplayState {
        phase,
        total: Some(9),
        done: 4,
        revived: 4,
        ..ReplayState::begun(id, ReplayMode::Frozen, filter, "anna", now)
    }
}

#[tokio::test]
async fn what_operators_want_kept_outlasts_its_segments() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, options) = (clock(), options(folder.path()));
    let mut store = open(&options, &clock).await;
    let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
    store.generation(a).await.unwrap();
    let generation = store.generation(b).await.unwrap();
    for target in ["erp", "crm"] {
        let by = Some("anna".to_owned());
        store.set_pause(&name(target), by).await.unwrap();
    }
    let running = replay(&clock, ReplayPhase::Running);
    let over = replay(&clock, ReplayPhase::Done);
    for replay in [&running, &over] {
        store.put_replay(replay, true).await.unwrap();
    }
    store.set_pause(&name("crm"), None).await.unwrap();
    let paused = store.pauses().await.unwrap();
    assert_eq!(paused.len(), 1);
    for _ in 0..3 {
        fill(&store, &clock).await;
        clock.advance(Duration::from_secs(4 * DAY));
        store.clean_once().await.unwrap();
        assert_eq!(store.pauses().await.as_ref(), Ok(&paused));
        assert_eq!(store.replay(running.id).await.as_ref(), Ok(&running));
        store = rebuilt(store, &options, &clock).await;
    }
    let segments = store.inner().journal.segments();
    assert!(segments[0].0 > 3, "the first segments are gone");
    assert_eq!(store.generation(b).await, Ok(generation));
    assert_eq!(store.replay(over.id).await, Err(StoreError::NotFound));
    assert_eq!(store.replays(None, 9).await, Ok(vec![running]));
}

#[tokio::test]
async fn what_is_added_is_carried_with_its_event() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, options) = (clock(), options(folder.path()));
    let mut store = open(&options, &clock).await;
    let (event, first) = admit(&store, &clock, "secret").await;
    settle(&store, &clock, Next::Done, "secret").await;
    fill(&store, &clock).await;
    clock.advance(Duration::from_secs(6 * DAY));
    let old = store.delivery(first).await.unwrap();
    let job = ReplayId::generate();
    let mut added = Vec::new();
    for _ in 0..3 {
        let new = old.again(ReplayMode::Rerender, Some(job), clock.now());
        added.push(new.id);
        store.add_deliveries(event, vec![new]).await.unwrap();
    }
    // one is done, one is dead, one waits
    settle(&store, &clock, Next::Done, "secret").await;
    let dead = Next::Bury(DeadReason::Exhausted);
    settle(&store, &clock, dead, "secret").await;
    for _ in 0..3 {
        clock.advance(Duration::from_secs(DAY));
        let later = clock.now() + Duration::from_secs(60 * DAY);
        let claims = store.claim(&name("erp"), 1).await.unwrap();
        for claimed in claims.taken {
            let lease = claimed.lease;
            store.release(lease).await.unwrap();
            settle(&store, &clock, Next::RetryAt(later), "secret").await;
        }
        fill(&store, &clock).await;
        store.clean_once().await.unwrap();
        store = rebuilt(store, &options, &clock).await;
    }
    clock.advance(Duration::from_secs(8 * DAY));
    store.clean_once().await.unwrap();
    let row = store.event_row(event).await.unwrap();
    let mut left = row.deliveries;
    left.sort();
    assert_eq!(left, added[1..], "what is done and past is gone");
    let marked = store.delivery(added[2]).await.unwrap().mark.unwrap();
    assert_eq!((marked.job, marked.of), (Some(job), Some(first)));
    store = rebuilt(store, &options, &clock).await;
    store.revive_as(added[1], Revival::PLAIN).await.unwrap();

    // what was added long after the event was made, and forgotten since, is found by a purge as well
    store.purge(event).await.unwrap();
    for entry in std::fs::read_dir(options.path.join("journal")).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        let is_there = bytes.windows(6).any(|it| it == b"secret");
        assert!(!is_there, "purged");
    }
    let state = store.delivery(added[1]).await.unwrap().state;
    assert!(matches!(state, State::Discarded { .. }));
    rebuilt(store, &options, &clock).await;
}
