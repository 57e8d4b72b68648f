//! The cases of the contract that are about operators: the audit log, what is held, purging.

use std::collections::BTreeSet;

use super::super::{AuditEntry, AuditNote, EventRow, Novelty, Settled, StoreError};
use super::{World, everything, keyed, name};
use crate::delivery::{DeadReason, HELD, Next, State};
use crate::id::{DeliveryId, EventId, RouteName};

fn note(detail: &str) -> AuditNote {
    AuditNote {
        actor: "10.0.0.7".to_owned(),
        action: "revive".to_owned(),
        subject: "erp".to_owned(),
        ok: detail.len().is_multiple_of(2),
        detail: detail.to_owned(),
    }
}

pub async fn audit_entries_are_kept_and_listed_newest_first(mut world: World) {
    assert_eq!(world.store.audits(None, 9).await, Ok(Vec::new()));
    let mut wanted = Vec::new();
    for number in 0..7 {
        if number % 3 == 0 {
            world.restart().await;
        }
        let note = note(&format!("entry {}", "x".repeat(number)));
        let entry = world.store.audit(note.clone()).await.unwrap();
        assert_eq!((entry.at, &entry.note), (world.now(), &note));
        wanted.insert(0, entry);
        world.pass(5);
    }
    for _ in 0..2 {
        assert_eq!(world.store.audits(None, 99).await.as_ref(), Ok(&wanted));
        let mut paged: Vec<AuditEntry> = Vec::new();
        loop {
            let before = paged.last().map(|entry| entry.id);
            let page = world.store.audits(before, 3).await.unwrap();
            assert!(page.len() <= 3);
            if page.is_empty() {
                break;
            }
            paged.extend(page);
        }
        assert_eq!(paged, wanted);
        world.restart().await;
    }
}

pub async fn long_audit_texts_are_cut_between_characters(mut world: World) {
    let long = "ä".repeat(3000);
    let entry = world.store.audit(AuditNote {
        actor: long.clone(),
        action: format!("a{long}"),
        subject: String::new(),
        ok: false,
        detail: format!("a{long}"),
    });
    let entry = entry.await.unwrap();
    assert_eq!(entry.note.actor, "ä".repeat(128));
    assert_eq!(entry.note.action, format!("a{}", "ä".repeat(127)));
    assert_eq!(entry.note.detail, format!("a{}", "ä".repeat(511)));
    world.restart().await;
    assert_eq!(world.store.audits(None, 9).await, Ok(vec![entry]));
}

fn routes(names: &[&str]) -> BTreeSet<RouteName> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

/// Claims one and holds it.
async fn hold_one(world: &World, target: &str) -> DeliveryId {
    let claimed = world.claim_one(target).await;
    let held = world.store.hold(claimed.lease).await;
    assert_eq!(held, Ok(Settled::Recorded));
    claimed.delivery.id
}

pub async fn what_is_held_waits_until_it_is_resumed(mut world: World) {
    world.admit(&["erp"]).await;
    let claimed = world.claim_one("erp").await;
    let retry = Next::RetryAt(world.now());
    world.settle(&claimed, retry, Some("first")).await;
    let claimed = world.claim_one("erp").await;
    let before = claimed.delivery.clone();
    assert_eq!(before.attempts, 1);
    let held = world.store.hold(claimed.lease).await;
    assert_eq!(held, Ok(Settled::Recorded));
    assert_eq!(world.store.hold(claimed.lease).await, Ok(Settled::Fenced));
    let settled = world.settle(&claimed, Next::Done, None).await;
    assert_eq!(settled, Settled::Fenced);
    world.pass(3600);
    for _ in 0..2 {
        let delivery = world.store.delivery(before.id).await.unwrap();
        assert!(delivery.is_held());
        assert_eq!(delivery.state, State::Pending { due: HELD });
        assert_eq!(
            (delivery.attempts, delivery.started_at),
            (1, before.started_at)
        );
        let claims = world.store.claim(&name("erp"), 9).await.unwrap();
        assert!(claims.taken.is_empty());
        assert_eq!(claims.next_due, None, "no time is waited for");
        assert_eq!(world.store.depths().await.unwrap()[0].pending, 1);
        world.restart().await;
    }
    for (target, route) in [("erp", "other"), ("audit", "orders")] {
        let none = world.store.resume(&name(target), &routes(&[route])).await;
        assert_eq!(none, Ok(0), "{target} {route}");
    }
    let both = routes(&["orders", "b"]);
    assert_eq!(world.store.resume(&name("erp"), &both).await, Ok(1));
    let due = world.now();
    assert_eq!(world.state(before.id).await, State::Pending { due });
    world.restart().await;
    let claimed = world.claim_one("erp").await;
    assert_eq!(claimed.delivery.attempts, 1);
    assert_eq!(claimed.delivery.started_at, before.started_at);
    assert_eq!(claimed.frozen.as_deref(), Some(&b"first"[..]));
    world.settle(&claimed, Next::Done, None).await;
    let again = world.store.resume(&name("erp"), &routes(&["orders"])).await;
    assert_eq!(again, Ok(0));
}

pub async fn operators_move_what_is_held(mut world: World) {
    world.admit(&["erp", "erp"]).await;
    let first = hold_one(&world, "erp").await;
    let second = hold_one(&world, "erp").await;
    world.restart().await;
    let revived = world.store.revive(first).await.unwrap();
    assert_eq!(revived.state, State::Pending { due: world.now() });
    assert_eq!(world.claim_one("erp").await.delivery.id, first);
    let at = world.now();
    let discarded = world.store.discard(second).await.unwrap();
    assert_eq!(discarded.state, State::Discarded { at });
    let resumed = world.store.resume(&name("erp"), &routes(&["orders"])).await;
    assert_eq!(resumed, Ok(0));
    let wrong = world.store.discard(second).await;
    assert!(matches!(wrong, Err(StoreError::WrongState { .. })));
}

pub async fn many_are_held_and_do_not_stand_in_the_way(mut world: World) {
    let mut held = BTreeSet::new();
    for _ in 0..30 {
        world.admit(&["erp"]).await;
        held.insert(hold_one(&world, "erp").await);
    }
    let mut due = BTreeSet::new();
    for _ in 0..12 {
        due.extend(world.admit(&["erp"]).await.1);
    }
    let before = everything(&*world.store).await;
    world.restart().await;
    assert_eq!(everything(&*world.store).await, before);
    // half of them stay held in memory, too
    for id in held.iter().take(5).copied().collect::<Vec<_>>() {
        world.store.revive(id).await.unwrap();
        assert_eq!(hold_one_of(&world, id).await, 1);
    }
    let taken = world.claim("erp", 99).await;
    let ids: BTreeSet<_> = taken.iter().map(|it| it.delivery.id).collect();
    assert_eq!(ids, due);
    let arrivals = world.store.arrivals(&name("erp"));
    let resumed = world.store.resume(&name("erp"), &routes(&["orders"])).await;
    assert_eq!(resumed, Ok(30));
    arrivals.notified().await;
    let taken = world.claim("erp", 99).await;
    let ids: BTreeSet<_> = taken.iter().map(|it| it.delivery.id).collect();
    assert_eq!(ids, held);
}

/// Claims all that are due, holds this one and releases the others; gives how many it was.
async fn hold_one_of(world: &World, id: DeliveryId) -> usize {
    let mut count = 0;
    for claimed in world.claim("erp", 99).await {
        if claimed.delivery.id == id {
            world.store.hold(claimed.lease).await.unwrap();
            count += 1;
        } else {
            world.store.release(claimed.lease).await.unwrap();
        }
    }
    count
}

pub async fn a_purged_event_is_gone_but_for_its_tombstone(mut world: World) {
    let (other, _) = world.admit(&["erp"]).await;
    let first = world.claim_one("erp").await;
    let new = keyed(world.now(), 7, 1);
    let id = world.store.admit(new).await.unwrap().event;
    let (_, after) = world.admit(&["audit"]).await;
    let claimed = world.claim_one("erp").await;
    assert_eq!(claimed.delivery.event, id);
    let retry = Next::RetryAt(world.now());
    world.settle(&claimed, retry, Some("frozen")).await;
    let leased = world.claim_one("erp").await;
    let row = world.store.event_row(id).await.unwrap();
    assert_eq!(row.purged_at, None);
    world.pass(5);
    let purged = world.store.purge(id).await.unwrap();
    assert_eq!((purged.at, purged.discarded), (world.now(), 1));
    let late = world.settle(&leased, Next::Done, Some("late")).await;
    assert_eq!(late, Settled::Fenced);
    let delivery = leased.delivery.id;
    for _ in 0..2 {
        assert!(matches!(
            world.store.event(id).await,
            Err(StoreError::Purged)
        ));
        let left = world.store.event_row(id).await.unwrap();
        let wanted = EventRow {
            message_id: None,
            size: 0,
            purged_at: Some(purged.at),
            ..row.clone()
        };
        assert_eq!(left, wanted);
        let state = State::Discarded { at: purged.at };
        assert_eq!(world.state(delivery).await, state);
        assert_eq!(world.store.attempts(delivery).await.unwrap().len(), 1);
        assert_eq!(world.store.revive(delivery).await, Err(StoreError::Purged));
        assert_eq!(world.store.discard(delivery).await, Err(StoreError::Purged));
        let again = world.store.purge(id).await.unwrap();
        assert_eq!((again.at, again.discarded), (purged.at, 0));
        let twin = world.store.admit(keyed(world.now(), 7, 1)).await.unwrap();
        assert_eq!((twin.event, twin.novelty), (id, Novelty::Duplicate));
        let depths = world.store.depths().await.unwrap();
        assert_eq!(depths.iter().map(|it| it.pending).sum::<u64>(), 2);
        let before = everything(&*world.store).await;
        world.restart().await;
        assert_eq!(everything(&*world.store).await, before);
    }
    // all others are as they were
    let claimed = world.claim_one("erp").await;
    assert_eq!(claimed.delivery.id, first.delivery.id);
    assert_eq!(claimed.event.id(), other);
    assert_eq!(claimed.event.parts(), first.event.parts());
    assert_eq!(world.claim_one("audit").await.delivery.id, after[0]);
    let unknown = world.store.purge(EventId::generate()).await;
    assert_eq!(unknown, Err(StoreError::NotFound));
    world.store.close().await;
    let closed = world.store.purge(other).await;
    assert!(matches!(closed, Err(StoreError::Unavailable(_))));
}

pub async fn an_event_in_any_state_can_be_purged(mut world: World) {
    let mut events = Vec::new();
    for next in [
        Some(Next::Done),
        Some(Next::RetryAt(world.in_seconds(100))),
        Some(Next::Bury(DeadReason::Render)),
        None,
    ] {
        events.push(world.admit(&["erp"]).await.0);
        let claimed = world.claim_one("erp").await;
        if let Some(next) = next {
            world.settle(&claimed, next, Some("frozen")).await;
        }
    }
    events.push(world.admit(&["audit"]).await.0);
    hold_one(&world, "audit").await;
    events.push(world.admit(&[]).await.0);
    let mut discarded = 0;
    for event in &events {
        discarded += world.store.purge(*event).await.unwrap().discarded;
    }
    assert_eq!(discarded, 4);
    for _ in 0..2 {
        assert!(world.store.depths().await.unwrap().is_empty());
        assert!(world.store.dead_groups().await.unwrap().is_empty());
        assert!(world.claim("erp", 9).await.is_empty());
        let resumed = world
            .store
            .resume(&name("audit"), &routes(&["orders"]))
            .await;
        assert_eq!(resumed, Ok(0));
        let listed = world.store.events(None, 99).await.unwrap();
        assert_eq!(listed.len(), 6);
        assert!(listed.iter().all(|row| row.purged_at.is_some()));
        world.pass(1000);
        world.restart().await;
    }
}
