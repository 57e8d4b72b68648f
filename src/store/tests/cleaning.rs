//! What cleaning lets go, what it keeps, and that a rebuild never tells.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::super::contract::{admission, everything, keyed, name};
use super::super::{AuditNote, LocalStore, Novelty, Settlement, Store, StoreError, StoreOptions};
use super::{assert_sound, clock, open, options};
use crate::clock::{Clock, ManualClock};
use crate::delivery::{Attempt, DeadReason, Next, Outcome, State};
use crate::id::{DeliveryId, EventId};

const DAY: u64 = 24 * 3600;

async fn settle(store: &LocalStore, clock: &ManualClock, target: &str, next: Next) -> DeliveryId {
    let claimed = store.claim(&name(target), 1).await.unwrap().taken.remove(0);
    let settlement = Settlement {
        attempt: Attempt {
            number: claimed.delivery.attempts + 1,
            started_at: clock.now(),
            took: Duration::from_millis(3),
            outcome: Outcome::Unsendable {
                reason: DeadReason::Render,
                detail: "line 7".to_owned(),
            },
            sent: None,
        },
        next,
        frozen: Some("frozen".into()),
    };
    store.settle(claimed.lease, settlement).await.unwrap();
    claimed.delivery.id
}

async fn admit(store: &LocalStore, clock: &ManualClock, targets: &[&str]) -> EventId {
    let body = format!("\"{}\"", "x".repeat(900));
    let admission = admission(clock.now(), targets, &body);
    store.admit(admission).await.unwrap().event
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

#[tokio::test]
async fn what_is_done_goes_and_what_is_not_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, options) = (clock(), options(folder.path()));
    let mut store = open(&options, &clock).await;
    let mut done = Vec::new();
    for _ in 0..80 {
        done.push(admit(&store, &clock, &["erp"]).await);
        settle(&store, &clock, "erp", Next::Done).await;
    }
    let pending = admit(&store, &clock, &["erp", "audit"]).await;
    settle(&store, &clock, "audit", Next::Done).await;
    let later = clock.now() + Duration::from_secs(30 * DAY);
    let waits = settle(&store, &clock, "erp", Next::RetryAt(later)).await;
    admit(&store, &clock, &["erp"]).await;
    let dead = settle(&store, &clock, "erp", Next::Bury(DeadReason::Render)).await;
    let mut new = keyed(clock.now(), 9, 9);
    new.deliveries.clear();
    if let Some(dedupe) = &mut new.dedupe {
        dedupe.window = Duration::from_secs(20 * DAY);
    }
    let key = store.admit(new).await.unwrap().event;
    for _ in 0..80 {
        done.push(admit(&store, &clock, &["erp"]).await);
        settle(&store, &clock, "erp", Next::Done).await;
    }
    assert_eq!(store.clean_once().await, Ok(0), "all within retention");
    clock.advance(Duration::from_secs(8 * DAY));
    let young = admit(&store, &clock, &["erp"]).await;
    settle(&store, &clock, "erp", Next::Done).await;
    let bytes = |store: &LocalStore| -> u64 {
        let segments = store.inner().journal.segments();
        segments.iter().map(|(_, bytes)| bytes).sum()
    };
    let before = bytes(&store);
    let attempts = store.attempts(dead).await.unwrap();
    assert!(store.clean_once().await.unwrap() > 5);
    assert!(bytes(&store) < before / 4, "{} of {before}", bytes(&store));
    for _ in 0..3 {
        let left: Vec<_> = store.events(None, 999).await.unwrap();
        let ids: Vec<_> = left.iter().map(|row| row.id).collect();
        for event in [pending, key, young] {
            assert!(ids.contains(&event));
        }
        let row = left.iter().find(|row| row.id == pending).unwrap();
        assert_eq!(row.deliveries, [waits], "what was done of it is gone");
        assert_eq!(store.attempts(dead).await.unwrap(), attempts);
        assert_eq!(store.attempts(waits).await.unwrap().len(), 1);
        let again = store.admit(keyed(clock.now(), 9, 9)).await.unwrap();
        assert_eq!((again.event, again.novelty), (key, Novelty::Duplicate));
        store = rebuilt(store, &options, &clock).await;
        store.clean_once().await.unwrap();
    }
    // what was let go is not there
    assert_eq!(store.event_row(done[0]).await, Err(StoreError::NotFound));
    clock.advance(Duration::from_secs(23 * DAY));
    let claimed = store.claim(&name("erp"), 9).await.unwrap().taken;
    assert_eq!(claimed.len(), 1);
    assert_eq!(claimed[0].delivery.id, waits);
    assert_eq!(claimed[0].frozen.as_deref(), Some(&b"frozen"[..]));
    assert_eq!(claimed[0].event.id(), pending);
    let revived = store.revive(dead).await.unwrap();
    let claimed = store.claim(&name("erp"), 9).await.unwrap().taken;
    assert_eq!(claimed[0].delivery, revived);
    assert_eq!(claimed[0].frozen.as_deref(), Some(&b"frozen"[..]));
}

#[tokio::test]
async fn deliveries_in_flight_are_carried_and_settled() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, options) = (clock(), options(folder.path()));
    let store = open(&options, &clock).await;
    for _ in 0..60 {
        admit(&store, &clock, &["erp"]).await;
    }
    for _ in 0..50 {
        settle(&store, &clock, "erp", Next::Done).await;
    }
    clock.advance(Duration::from_secs(8 * DAY));
    let held = store.claim(&name("erp"), 3).await.unwrap().taken;
    assert_eq!(held.len(), 3);
    let before = store.inner().journal.segments()[0].0;
    // outcomes are on disk a moment after they are settled; nothing is let go before
    while store.clean_once().await.unwrap() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(store.inner().journal.segments()[0].0 > before);
    for claimed in &held {
        let settlement = Settlement {
            attempt: Attempt {
                number: 1,
                started_at: clock.now(),
                took: Duration::ZERO,
                outcome: Outcome::Answered {
                    status: 500,
                    retry_after: None,
                    snippet: String::new(),
                },
                sent: None,
            },
            next: Next::RetryAt(clock.now()),
            frozen: Some("frozen".into()),
        };
        store.settle(claimed.lease, settlement).await.unwrap();
    }
    let store = rebuilt(store, &options, &clock).await;
    let claimed = store.claim(&name("erp"), 99).await.unwrap().taken;
    assert_eq!(claimed.len(), 10);
    let frozen = claimed.iter().filter(|it| it.frozen.is_some()).count();
    assert_eq!(frozen, 3);
}

#[tokio::test]
async fn dead_letters_end_by_dead_retention_only() {
    let folder = tempfile::tempdir().unwrap();
    let clock = clock();
    let mut options = options(folder.path());
    let store = open(&options, &clock).await;
    for _ in 0..40 {
        admit(&store, &clock, &["erp"]).await;
        settle(&store, &clock, "erp", Next::Bury(DeadReason::Gone)).await;
    }
    clock.advance(Duration::from_secs(400 * DAY));
    store.clean_once().await.unwrap();
    assert_eq!(store.dead_groups().await.unwrap()[0].count, 40);
    store.close().await;
    drop(store);
    options.dead_retention = Some(Duration::from_secs(500 * DAY));
    let store = open(&options, &clock).await;
    store.clean_once().await.unwrap();
    assert_eq!(store.dead_groups().await.unwrap()[0].count, 40);
    let store = rebuilt(store, &options, &clock).await;
    clock.advance(Duration::from_secs(100 * DAY));
    store.clean_once().await.unwrap();
    assert!(store.dead_groups().await.unwrap().is_empty());
    // those in the segment that was open are let go once that is an old one
    let store = rebuilt(store, &options, &clock).await;
    store.clean_once().await.unwrap();
    assert!(store.events(None, 99).await.unwrap().is_empty());
    let store = rebuilt(store, &options, &clock).await;
    assert!(store.events(None, 99).await.unwrap().is_empty());
}

#[tokio::test]
async fn audit_entries_stay_for_retention_and_no_longer() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, options) = (clock(), options(folder.path()));
    let mut store = open(&options, &clock).await;
    let note = |number: usize| AuditNote {
        actor: "op".to_owned(),
        action: "reload".to_owned(),
        subject: number.to_string(),
        ok: true,
        detail: "d".repeat(900),
    };
    let mut wanted = Vec::new();
    for number in 0..60 {
        admit(&store, &clock, &["erp"]).await;
        settle(&store, &clock, "erp", Next::Done).await;
        clock.advance(Duration::from_secs(DAY / 4));
        wanted.insert(0, store.audit(note(number)).await.unwrap());
    }
    // the oldest 32 of 60 are past 7 days then, and some segments hold both
    assert!(store.clean_once().await.unwrap() > 2);
    for _ in 0..2 {
        let left = store.audits(None, 99).await.unwrap();
        assert!((29..50).contains(&left.len()), "{} are left", left.len());
        assert_eq!(left, wanted[..left.len()]);
        store = rebuilt(store, &options, &clock).await;
    }
    clock.advance(Duration::from_secs(DAY));
    store.clean_once().await.unwrap();
    // a journal of nothing but young entries is not written anew for ever
    let store = rebuilt(store, &options, &clock).await;
    for number in 100..160 {
        store.audit(note(number)).await.unwrap();
    }
    while store.clean_once().await.unwrap() > 0 {}
    let left = store.audits(None, 999).await.unwrap();
    assert!(left.len() >= 60 + 24, "{} are left", left.len());
    let store = rebuilt(store, &options, &clock).await;
    assert_eq!(store.audits(None, 999).await.unwrap(), left);
    clock.advance(Duration::from_secs(8 * DAY));
    let store = rebuilt(store, &options, &clock).await;
    while store.clean_once().await.unwrap() > 0 {}
    assert!(store.audits(None, 999).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_is_held_is_carried_held() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, options) = (clock(), options(folder.path()));
    let store = open(&options, &clock).await;
    admit(&store, &clock, &["erp"]).await;
    let id = settle(&store, &clock, "erp", Next::RetryAt(clock.now())).await;
    let claimed = store.claim(&name("erp"), 1).await.unwrap().taken.remove(0);
    store.hold(claimed.lease).await.unwrap();
    for _ in 0..60 {
        admit(&store, &clock, &["erp"]).await;
        settle(&store, &clock, "erp", Next::Done).await;
    }
    clock.advance(Duration::from_secs(8 * DAY));
    while store.clean_once().await.unwrap() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let store = rebuilt(store, &options, &clock).await;
    assert!(store.delivery(id).await.unwrap().is_held());
    let routes = BTreeSet::from(["orders".parse().unwrap()]);
    assert_eq!(store.resume(&name("erp"), &routes).await, Ok(1));
    let claimed = store.claim(&name("erp"), 9).await.unwrap().taken;
    assert_eq!(claimed[0].frozen.as_deref(), Some(&b"frozen"[..]));
    assert_eq!(claimed[0].delivery.attempts, 1);
}

#[tokio::test]
async fn segments_that_are_all_needed_are_not_written_anew_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, options) = (clock(), options(folder.path()));
    let store = open(&options, &clock).await;
    for _ in 0..60 {
        admit(&store, &clock, &["erp"]).await;
    }
    clock.advance(Duration::from_secs(8 * DAY));
    for _ in 0..3 {
        assert_eq!(store.clean_once().await, Ok(0));
    }
}

#[tokio::test]
async fn a_cleaned_segment_stays_gone_after_a_crash_before_the_rows_went() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, options) = (clock(), options(folder.path()));
    let store = open(&options, &clock).await;
    for _ in 0..40 {
        admit(&store, &clock, &["erp"]).await;
        settle(&store, &clock, "erp", Next::Done).await;
    }
    let kept = admit(&store, &clock, &["erp"]).await;
    store.close().await;
    drop(store);
    // as if the process had died right after the file was removed
    let mut segments: Vec<_> = std::fs::read_dir(folder.path().join("journal"))
        .unwrap()
        .map(|it| it.unwrap().path())
        .filter(|path| path.is_file())
        .collect();
    segments.sort();
    std::fs::remove_file(&segments[0]).unwrap();
    let store = open(&options, &clock).await;
    let left = store.events(None, 999).await.unwrap();
    assert!(left.len() < 41);
    assert!(left.iter().any(|row| row.id == kept));
    let store = rebuilt(store, &options, &clock).await;
    let state = store
        .deliveries(&Default::default(), None, 1)
        .await
        .unwrap();
    assert!(matches!(state[0].state, State::Pending { .. }));
}

#[tokio::test]
async fn when_the_store_is_nearly_full_what_is_overtaken_goes_before_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let clock = clock();
    let mut options = options(folder.path());
    options.max_bytes = 800 << 10;
    let store = open(&options, &clock).await;
    let event = admit(&store, &clock, &["erp"]).await;
    let long = "f".repeat(6000);
    for _ in 0..100 {
        let new = admission(clock.now(), &["erp"], "{}");
        store.admit(new).await.unwrap();
        let claimed = store.claim(&name("erp"), 1).await.unwrap().taken.remove(0);
        let mut settlement = Settlement {
            attempt: Attempt {
                number: 1,
                started_at: clock.now(),
                took: Duration::ZERO,
                outcome: Outcome::Answered {
                    status: 500,
                    retry_after: None,
                    snippet: String::new(),
                },
                sent: None,
            },
            next: Next::RetryAt(clock.now()),
            frozen: Some(long.clone().into()),
        };
        store
            .settle(claimed.lease, settlement.clone())
            .await
            .unwrap();
        let claimed = store.claim(&name("erp"), 1).await.unwrap().taken.remove(0);
        settlement.next = Next::Done;
        store.settle(claimed.lease, settlement).await.unwrap();
    }
    let listed = store.events(None, 999).await.unwrap();
    let segments = store.inner().journal.segments().len();
    let removed = store.clean_once().await.unwrap();
    assert!(removed > 0, "none of {segments}");
    // nothing is past retention, so nothing is gone
    assert_eq!(store.events(None, 999).await.unwrap(), listed);
    assert!(listed.iter().any(|row| row.id == event));
    rebuilt(store, &options, &clock).await;
}
