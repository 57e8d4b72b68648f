//! A disk that fails, is full or loses its power under the whole store.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::super::contract::{admission, everything, keyed, name};
use super::super::journal::power::Plug;
use super::super::{
    DedupeKey, Health, LocalStore, Novelty, Settled, Settlement, Store, StoreError, StoreOptions,
};
use super::{clock, copy_folder, open, options};
use crate::clock::{Clock, ManualClock};
use crate::delivery::{Attempt, DeadReason, Next, Outcome, State};
use crate::id::{DeliveryId, EventId};
use crate::metrics::Metrics;

/// Tries for a fresh segment come quickly here.
const REOPEN: Duration = Duration::from_millis(2);

fn open_on(plug: &Plug, options: &StoreOptions, clock: &Arc<ManualClock>) -> Option<LocalStore> {
    let (disk, metrics) = (Arc::new(plug.clone()), Arc::new(Metrics::new()));
    LocalStore::open_on(disk, REOPEN, options, Arc::clone(clock) as _, metrics).ok()
}

fn settlement(number: u32, clock: &ManualClock, next: Next) -> Settlement {
    Settlement {
        attempt: Attempt {
            number,
            started_at: clock.now(),
            took: Duration::ZERO,
            outcome: Outcome::Answered {
                status: 500,
                retry_after: None,
                snippet: String::new(),
            },
            sent: None,
        },
        next,
        frozen: Some("frozen".into()),
    }
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("never: {what}");
}

#[tokio::test]
async fn a_disk_that_fails_or_is_full_refuses_and_loses_nothing() {
    type Break = fn(&Plug, bool);
    let ways: [(&str, Break); 2] = [
        ("fsync fails with EIO", |plug, on| plug.let_syncs_fail(on)),
        ("the disk is full", |plug, on| {
            plug.leave_room(on.then_some(100))
        }),
    ];
    for (what, set_broken) in ways {
        let folder = tempfile::tempdir().unwrap();
        let (clock, options) = (clock(), options(folder.path()));
        let plug = Plug::new(folder.path(), folder.path(), None, 1);
        let store = open_on(&plug, &options, &clock).unwrap();
        assert_eq!(store.opened().await, Health::Ready, "{what}");
        for key in 0..10 {
            store.admit(keyed(clock.now(), key, 1)).await.unwrap();
        }
        let claimed = store.claim(&name("erp"), 2).await.unwrap().taken;

        set_broken(&plug, true);
        let late = || keyed(clock.now(), 99, 1);
        for _ in 0..3 {
            let refused = store.admit(late()).await;
            assert!(
                matches!(refused, Err(StoreError::Unavailable(_))),
                "{what}: {refused:?}"
            );
        }
        assert!(
            matches!(store.health(), Health::Unavailable(_)),
            "{what}: {:?}",
            store.health()
        );
        assert!(store.claim(&name("erp"), 1).await.is_err(), "{what}");
        let revived = store.revive(claimed[1].delivery.id).await;
        assert!(matches!(revived, Err(StoreError::Unavailable(_))), "{what}");
        // an outcome counts all the same, and is recorded once that is possible
        let done = settlement(1, &clock, Next::Done);
        store.settle(claimed[0].lease, done).await.unwrap();

        set_broken(&plug, false);
        until("it takes events again", || store.health() == Health::Ready).await;
        until("the outcome is recorded", || {
            let state = store.inner().state();
            state.refused.is_empty() && state.entries.values().all(|entry| entry.writing == 0)
        })
        .await;
        let admitted = store.admit(late()).await.unwrap();
        assert_eq!(admitted.novelty, Novelty::New, "{what}: no trace was left");
        assert_eq!(store.events(None, 99).await.unwrap().len(), 11, "{what}");
        let before = everything(&store).await;
        store.close().await;
        drop(store);
        for remove_index in [false, true] {
            if remove_index {
                std::fs::remove_dir_all(folder.path().join("index")).unwrap();
            }
            let store = open(&options, &clock).await;
            assert_eq!(everything(&store).await, before, "{what}, {remove_index}");
            let state = store.delivery(claimed[0].delivery.id).await.unwrap().state;
            assert!(
                matches!(state, State::Delivered { .. }),
                "{what}: {state:?}"
            );
            store.close().await;
        }
    }
}

/// What the store has said yes to.
#[derive(Default)]
struct Kept {
    events: BTreeMap<EventId, (DedupeKey, Vec<DeliveryId>)>,
    /// Let go by the operator, with a yes.
    discarded: BTreeSet<DeliveryId>,
    /// Of these an outcome was settled or a change begun; it may be on disk or not.
    touched: BTreeSet<DeliveryId>,
}

/// One life of random work, until nothing goes any more.
async fn live(
    store: &LocalStore,
    clock: &Arc<ManualClock>,
    kept: &mut Kept,
    rng: &mut fastrand::Rng,
) -> Result<(), StoreError> {
    for _ in 0..120 {
        clock.advance(Duration::from_millis(rng.u64(0..3000)));
        match rng.u32(0..12) {
            0..6 => {
                let mut new = admission(clock.now(), &["erp", "audit"], "{\"some\": \"body\"}");
                let mut key = DedupeKey {
                    key: [0; 32],
                    body: [1; 32],
                    window: Duration::from_secs(400 * 24 * 3600),
                };
                rng.fill(&mut key.key);
                new.dedupe = Some(key);
                let ids = new.deliveries.iter().map(|it| it.id).collect();
                let admitted = store.admit(new).await?;
                assert_eq!(admitted.novelty, Novelty::New);
                kept.events.insert(admitted.event, (key, ids));
            }
            6..9 => {
                let target = name(["erp", "audit"][rng.usize(0..2)]);
                for claimed in store.claim(&target, 3).await?.taken {
                    let next = match rng.u32(0..4) {
                        0 => Next::RetryAt(clock.now() + Duration::from_secs(2)),
                        1 => Next::Bury(DeadReason::Exhausted),
                        _ => Next::Done,
                    };
                    if !matches!(next, Next::RetryAt(_)) {
                        kept.touched.insert(claimed.delivery.id);
                    }
                    let outcome = settlement(claimed.delivery.attempts + 1, clock, next);
                    store.settle(claimed.lease, outcome).await?;
                }
            }
            9 | 10 => {
                let all: Vec<_> = kept.events.values().flat_map(|(_, ids)| ids).collect();
                let Some(id) = rng.choice(all).copied() else {
                    continue;
                };
                if kept.touched.insert(id) {
                    store.discard(id).await?;
                    kept.discarded.insert(id);
                }
            }
            _ => {
                clock.advance(Duration::from_secs(rng.u64(1..6) * 24 * 3600));
                store.clean_once().await?;
            }
        }
    }
    Ok(())
}

async fn check(folder: &Path, clock: &Arc<ManualClock>, kept: &Kept, what: &str) {
    let store = open(&options(folder), clock).await;
    for (id, (key, deliveries)) in &kept.events {
        let mut again = admission(clock.now(), &["erp"], "{}");
        again.dedupe = Some(*key);
        let again = store.admit(again).await.unwrap();
        assert_eq!(
            (again.event, again.novelty),
            (*id, Novelty::Duplicate),
            "{what}"
        );
        let mut all_touched = true;
        for delivery in deliveries {
            let touched = kept.touched.contains(delivery);
            all_touched &= touched;
            match store.delivery(*delivery).await {
                Ok(found) => {
                    let pending = matches!(found.state, State::Pending { .. });
                    assert!(pending || touched, "{what}: {found:?}");
                    let discarded = kept.discarded.contains(delivery);
                    assert!(
                        !discarded || matches!(found.state, State::Discarded { .. }),
                        "{what}: {found:?}"
                    );
                }
                // past retention, what is done is let go
                Err(error) => assert!(touched, "{what}: {error}"),
            }
        }
        let event = store.event(*id).await;
        assert!(event.is_ok() || all_touched, "{what}: {event:?}");
    }
    // none is stuck
    clock.advance(Duration::from_secs(3600));
    let mut claimed = BTreeSet::new();
    for target in ["erp", "audit"] {
        loop {
            let taken = store.claim(&name(target), 50).await.unwrap().taken;
            if taken.is_empty() {
                break;
            }
            claimed.extend(taken.iter().map(|it| it.delivery.id));
        }
    }
    let untouched = kept.events.values().flat_map(|(_, ids)| ids);
    for id in untouched.filter(|id| !kept.touched.contains(id)) {
        assert!(claimed.contains(id), "{what}: {id} is not given out");
    }
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_keeps_all_that_the_store_said_yes_to() {
    let mut total = 0;
    for seed in 0..8 {
        let temp = tempfile::tempdir().unwrap();
        let mut rng = fastrand::Rng::with_seed(seed);
        let clock = clock();
        let mut folder = temp.path().join("0");
        std::fs::create_dir(&folder).unwrap();
        let mut kept = Kept::default();
        for life in 0..4 {
            let what = format!("store {seed}, life {life}");
            let next = temp.path().join((life + 1).to_string());
            let calls = rng.usize(0..250);
            let plug = Plug::new(&folder, &next, Some(calls), rng.u64(..));
            let small = StoreOptions {
                segment_bytes: 4 << 10,
                spare_after: if seed % 2 == 0 { 500 } else { u64::MAX },
                open_patience: Duration::from_secs(20),
                ..options(&folder)
            };
            if let Some(store) = open_on(&plug, &small, &clock) {
                store.opened().await;
                // it ends when the power does
                let _ = live(&store, &clock, &mut kept, &mut rng).await;
                plug.cut();
                store.close().await;
            }
            plug.cut();
            folder = next;
            match rng.u32(0..4) {
                0 => drop(std::fs::remove_dir_all(folder.join("index"))),
                1 => drop(std::fs::write(folder.join("index/db"), [0x5a; 3000])),
                _ => {}
            }
            let copy = temp.path().join("look");
            copy_folder(&folder, &copy);
            check(&copy, &clock, &kept, &what).await;
            std::fs::remove_dir_all(&copy).unwrap();
        }
        total += kept.events.len();
    }
    assert!(total > 200, "hardly anything was stored: {total}");
}

#[tokio::test]
async fn what_is_held_while_the_disk_fails_is_recorded_later() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, options) = (clock(), options(folder.path()));
    let plug = Plug::new(folder.path(), folder.path(), None, 1);
    let store = open_on(&plug, &options, &clock).unwrap();
    assert_eq!(store.opened().await, Health::Ready);
    for _ in 0..2 {
        let new = admission(clock.now(), &["erp"], "{}");
        store.admit(new).await.unwrap();
    }
    let claimed = store.claim(&name("erp"), 2).await.unwrap().taken;
    plug.let_syncs_fail(true);
    // nobody has noticed yet
    let held = store.hold(claimed[0].lease).await;
    assert_eq!(held, Ok(Settled::Recorded));
    until("its record is refused", || {
        !store.inner().state().refused.is_empty()
    })
    .await;
    let late = store.hold(claimed[1].lease).await;
    assert!(matches!(late, Err(StoreError::Unavailable(_))), "{late:?}");
    plug.let_syncs_fail(false);
    until("it is recorded", || {
        let state = store.inner().state();
        state.refused.is_empty() && state.entries.values().all(|entry| entry.writing == 0)
    })
    .await;
    let id = claimed[0].delivery.id;
    let before = everything(&store).await;
    assert!(store.delivery(id).await.unwrap().is_held());
    store.close().await;
    drop(store);
    std::fs::remove_dir_all(folder.path().join("index")).unwrap();
    let store = open(&options, &clock).await;
    assert_eq!(everything(&store).await, before);
    let taken = store.claim(&name("erp"), 9).await.unwrap().taken;
    assert_eq!(taken.len(), 1, "the other one is due");
}
