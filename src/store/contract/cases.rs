//! The cases of the contract, one promise each.

use std::sync::Arc;
use std::time::Duration;

use super::super::{
    Admitted, DeadGroup, DeliveryFilter, Depth, Health, Novelty, Settled, StoreError,
};
use super::{World, admission, everything, keyed, name};
use crate::delivery::{DeadReason, Next, State, StateKind};
use crate::id::{DeliveryId, EventId};

pub async fn done_is_done(mut world: World) {
    let (event, ids) = world.admit(&["erp", "audit"]).await;
    let claimed = world.claim_one("erp").await;
    assert_eq!(claimed.delivery.id, ids[0]);
    assert_eq!(claimed.delivery.event, event);
    assert_eq!(claimed.event.parts().body, "{}");
    assert_eq!(claimed.frozen, None);
    let settled = world.settle(&claimed, Next::Done, Some("unused")).await;
    assert_eq!(settled, Settled::Recorded);
    for _ in 0..2 {
        let at = world.now();
        assert_eq!(world.state(ids[0]).await, State::Delivered { at });
        assert!(world.claim("erp", 9).await.is_empty());
        let attempts = world.store.attempts(ids[0]).await.unwrap();
        assert_eq!(attempts.len(), 1);
        assert!(attempts[0].outcome.is_success());
        world.restart().await;
    }
    assert_eq!(world.claim_one("audit").await.delivery.id, ids[1]);
}

pub async fn retries_come_when_they_are_due(mut world: World) {
    let (_, ids) = world.admit(&["erp"]).await;
    let claimed = world.claim_one("erp").await;
    let due = world.in_seconds(30);
    world.settle(&claimed, Next::RetryAt(due), None).await;
    let claims = world.store.claim(&name("erp"), 5).await.unwrap();
    assert!(claims.taken.is_empty());
    assert_eq!(claims.next_due, Some(due));
    world.restart().await;
    world.pass(29);
    let claims = world.store.claim(&name("erp"), 5).await.unwrap();
    assert!(claims.taken.is_empty());
    assert_eq!(claims.next_due, Some(due));
    world.pass(1);
    let claimed = world.claim_one("erp").await;
    assert_eq!(
        (claimed.delivery.id, claimed.delivery.attempts),
        (ids[0], 1)
    );
    // due at once
    world
        .settle(&claimed, Next::RetryAt(world.now()), None)
        .await;
    let claimed = world.claim_one("erp").await;
    assert_eq!(claimed.delivery.attempts, 2);
    world.settle(&claimed, Next::Done, None).await;
    let attempts = world.store.attempts(ids[0]).await.unwrap();
    let numbers: Vec<_> = attempts.iter().map(|it| it.number).collect();
    assert_eq!(numbers, [1, 2, 3]);
}

pub async fn the_frozen_body_is_kept(mut world: World) {
    world.admit(&["erp"]).await;
    let claimed = world.claim_one("erp").await;
    let retry = Next::RetryAt(world.now());
    world.settle(&claimed, retry, Some("first")).await;
    for round in 0..3 {
        let claimed = world.claim_one("erp").await;
        assert_eq!(claimed.frozen.as_deref(), Some(&b"first"[..]), "{round}");
        world.settle(&claimed, retry, Some("other")).await;
        world.restart().await;
    }
    let claimed = world.claim_one("erp").await;
    world
        .settle(&claimed, Next::Bury(DeadReason::Exhausted), None)
        .await;
    let id = claimed.delivery.id;
    world.store.revive(id).await.unwrap();
    let claimed = world.claim_one("erp").await;
    assert_eq!(claimed.frozen.as_deref(), Some(&b"first"[..]));
}

pub async fn the_dead_stay_until_revived(mut world: World) {
    let (_, ids) = world.admit(&["erp"]).await;
    let claimed = world.claim_one("erp").await;
    world
        .settle(&claimed, Next::Bury(DeadReason::Gone), None)
        .await;
    let at = world.now();
    let reason = DeadReason::Gone;
    for _ in 0..2 {
        assert_eq!(world.state(ids[0]).await, State::Dead { at, reason });
        world.pass(1000);
        assert!(world.claim("erp", 1).await.is_empty());
        world.restart().await;
    }
    let revived = world.store.revive(ids[0]).await.unwrap();
    assert_eq!((revived.attempts, revived.started_at), (0, world.now()));
    world.restart().await;
    let claimed = world.claim_one("erp").await;
    assert_eq!(claimed.delivery, revived);
    world.settle(&claimed, Next::Done, None).await;
    assert_eq!(world.store.attempts(ids[0]).await.unwrap().len(), 2);
}

pub async fn revive_and_discard_by_state(mut world: World) {
    let (_, ids) = world.admit(&["erp"]).await;
    let id = ids[0];
    let claimed = world.claim_one("erp").await;
    let later = Next::RetryAt(world.in_seconds(60));
    world.settle(&claimed, later, None).await;
    // a pending one becomes due now and keeps its budget
    let revived = world.store.revive(id).await.unwrap();
    assert_eq!(revived.attempts, 1);
    let claimed = world.claim_one("erp").await;
    world.settle(&claimed, Next::Done, None).await;
    let wrong = StoreError::WrongState {
        state: "delivered",
        wanted: "discarded",
    };
    assert_eq!(world.store.discard(id).await, Err(wrong));
    // a delivered one goes again
    world.store.revive(id).await.unwrap();
    world.pass(1);
    let at = world.now();
    let discarded = world.store.discard(id).await.unwrap();
    assert_eq!(discarded.state, State::Discarded { at });
    world.restart().await;
    assert_eq!(world.state(id).await, State::Discarded { at });
    assert!(world.claim("erp", 1).await.is_empty());
    assert!(matches!(
        world.store.discard(id).await,
        Err(StoreError::WrongState { .. })
    ));
    // and so does a discarded one
    world.store.revive(id).await.unwrap();
    let claimed = world.claim_one("erp").await;
    world
        .settle(&claimed, Next::Bury(DeadReason::Sign), None)
        .await;
    world.store.discard(id).await.unwrap();
    assert_eq!(world.state(id).await, State::Discarded { at });
}

pub async fn old_leases_are_fenced(world: World) {
    let (_, ids) = world.admit(&["erp"]).await;
    let first = world.claim_one("erp").await;
    assert_eq!(
        world.store.release(first.lease).await,
        Ok(Settled::Recorded)
    );
    assert_eq!(world.store.release(first.lease).await, Ok(Settled::Fenced));
    let second = world.claim_one("erp").await;
    assert_ne!(first.lease, second.lease);
    assert_eq!(
        world.settle(&first, Next::Done, None).await,
        Settled::Fenced
    );
    // revived while it is tried: due again, the attempt under way does not count
    world.store.revive(ids[0]).await.unwrap();
    assert_eq!(
        world.settle(&second, Next::Done, None).await,
        Settled::Fenced
    );
    let third = world.claim_one("erp").await;
    assert_eq!(third.delivery.attempts, 0);
    world.store.discard(ids[0]).await.unwrap();
    assert_eq!(
        world.settle(&third, Next::Done, None).await,
        Settled::Fenced
    );
    assert_eq!(world.state(ids[0]).await.kind(), StateKind::Discarded);
}

pub async fn claims_are_exclusive_and_oldest_first(world: World) {
    let mut ids = Vec::new();
    for _ in 0..6 {
        ids.extend(world.admit(&["erp"]).await.1);
        world.pass(1);
    }
    // the first one comes back later and is then the last
    let claimed = world.claim_one("erp").await;
    world
        .settle(&claimed, Next::RetryAt(world.now()), None)
        .await;
    ids.rotate_left(1);
    let mut seen = Vec::new();
    for most in [2, 3, 5] {
        seen.extend(
            world
                .claim("erp", most)
                .await
                .iter()
                .map(|it| it.delivery.id),
        );
    }
    assert_eq!(seen, ids);
    assert!(world.claim("erp", 5).await.is_empty());
    assert!(world.claim("audit", 5).await.is_empty());
}

pub async fn dropped_claims_come_back(mut world: World) {
    let (_, ids) = world.admit(&["erp"]).await;
    world.claim_one("erp").await;
    assert!(world.claim("erp", 1).await.is_empty());
    world.restart().await;
    let claimed = world.claim_one("erp").await;
    assert_eq!(claimed.delivery.id, ids[0]);
    assert_eq!(claimed.event.parts().headers.len(), 1);
}

pub async fn duplicates_are_told_from_conflicts(mut world: World) {
    let first = world.store.admit(keyed(world.now(), 1, 1)).await.unwrap();
    assert_eq!(first.novelty, Novelty::New);
    for _ in 0..2 {
        for (body, novelty) in [(1, Novelty::Duplicate), (2, Novelty::Conflicting)] {
            let again = world.store.admit(keyed(world.now(), 1, body)).await;
            let event = first.event;
            assert_eq!(again, Ok(Admitted { event, novelty }));
        }
        world.restart().await;
    }
    let other = world.store.admit(keyed(world.now(), 2, 1)).await.unwrap();
    assert_eq!(other.novelty, Novelty::New);
    world.pass(59);
    let again = world.store.admit(keyed(world.now(), 1, 1)).await.unwrap();
    assert_eq!(again.novelty, Novelty::Duplicate);
    world.pass(1);
    let again = world.store.admit(keyed(world.now(), 1, 1)).await.unwrap();
    assert_eq!(again.novelty, Novelty::New, "the window has passed");
    world.restart().await;
    let once_more = world.store.admit(keyed(world.now(), 1, 1)).await.unwrap();
    assert_eq!(once_more.event, again.event);
    // without a key nothing is a duplicate
    for _ in 0..2 {
        let without = admission(world.now(), &[], "{}");
        let admitted = world.store.admit(without).await.unwrap();
        assert_eq!(admitted.novelty, Novelty::New);
    }
    assert_eq!(world.store.events(None, 99).await.unwrap().len(), 5);
}

pub async fn twins_get_one_answer(world: World) {
    let mut tasks = Vec::new();
    for _ in 0..16 {
        let store = Arc::clone(&world.store);
        let twin = keyed(world.now(), 3, 3);
        tasks.push(tokio::spawn(async move { store.admit(twin).await }));
    }
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap().unwrap());
    }
    let new = |it: &&Admitted| it.novelty == Novelty::New;
    assert_eq!(answers.iter().filter(new).count(), 1);
    assert!(answers.iter().all(|it| it.event == answers[0].event));
    assert_eq!(world.claim("erp", 99).await.len(), 1);
}

pub async fn listings_are_newest_first_in_pages(mut world: World) {
    let mut events = Vec::new();
    let mut ids = Vec::new();
    for _ in 0..5 {
        let (event, deliveries) = world.admit(&["erp", "audit"]).await;
        events.push(event);
        ids.extend(deliveries);
    }
    world.restart().await;
    for _ in 0..2 {
        let (event, deliveries) = world.admit(&["erp", "audit"]).await;
        events.push(event);
        ids.extend(deliveries);
    }
    let claimed = world.claim_one("audit").await;
    world.settle(&claimed, Next::Done, None).await;
    events.reverse();
    ids.reverse();
    let mut paged = Vec::new();
    let mut before = None;
    loop {
        let page = world.store.events(before, 3).await.unwrap();
        let Some(last) = page.last() else { break };
        before = Some(last.id);
        assert!(page.iter().all(|row| row.deliveries.len() == 2));
        paged.extend(page.into_iter().map(|row| row.id));
    }
    assert_eq!(paged, events);
    let done = claimed.delivery.id;
    let at = |n: usize| ids.iter().skip(n).step_by(2).copied().collect::<Vec<_>>();
    let pending_audit: Vec<_> = at(0).into_iter().filter(|id| *id != done).collect();
    let target = |text: &str| Some(name(text));
    let rows = [
        (DeliveryFilter::default(), ids.clone()),
        (
            DeliveryFilter {
                target: target("erp"),
                ..DeliveryFilter::default()
            },
            at(1),
        ),
        (
            DeliveryFilter {
                target: target("audit"),
                states: [StateKind::Pending].into(),
                ..DeliveryFilter::default()
            },
            pending_audit,
        ),
        (
            DeliveryFilter {
                states: [StateKind::Delivered].into(),
                ..DeliveryFilter::default()
            },
            vec![done],
        ),
        (
            DeliveryFilter {
                route: Some("other".parse().unwrap()),
                ..DeliveryFilter::default()
            },
            vec![],
        ),
    ];
    for (filter, wanted) in rows {
        let mut paged = Vec::new();
        let mut before = None;
        loop {
            let page = world.store.deliveries(&filter, before, 4).await.unwrap();
            let Some(last) = page.last() else { break };
            assert!(page.len() <= 4);
            before = Some(last.id);
            paged.extend(page.into_iter().map(|it| it.id));
        }
        assert_eq!(paged, wanted, "{filter:?}");
    }
}

pub async fn depths_and_groups_are_counted(mut world: World) {
    let started = world.now();
    world.admit(&["erp", "audit"]).await;
    world.pass(10);
    world.admit(&["erp", "crm"]).await;
    world.admit(&["erp"]).await;
    let mut dead = Vec::new();
    for reason in [DeadReason::Gone, DeadReason::Render] {
        let claimed = world.claim_one("erp").await;
        world.settle(&claimed, Next::Bury(reason), None).await;
        dead.push(claimed.delivery.id);
    }
    let claimed = world.claim_one("crm").await;
    world.settle(&claimed, Next::Done, None).await;
    let later = world.now();
    let depth = |target: &str, pending, dead, oldest| Depth {
        target: name(target),
        pending,
        dead,
        oldest_pending: Some(oldest),
    };
    let group = |reason, id| DeadGroup {
        target: name("erp"),
        reason,
        count: 1,
        oldest: id,
        newest: id,
    };
    for _ in 0..2 {
        assert_eq!(
            world.store.depths().await.unwrap(),
            [depth("audit", 1, 0, started), depth("erp", 1, 2, later)]
        );
        assert_eq!(
            world.store.dead_groups().await.unwrap(),
            [
                group(DeadReason::Render, dead[1]),
                group(DeadReason::Gone, dead[0])
            ]
        );
        world.restart().await;
    }
}

pub async fn every_state_survives_a_restart(mut world: World) {
    for next in [
        Some(Next::Done),
        Some(Next::RetryAt(world.in_seconds(100))),
        Some(Next::Bury(DeadReason::Render)),
        None,
    ] {
        world.admit(&["erp"]).await;
        let claimed = world.claim_one("erp").await;
        if let Some(next) = next {
            world.settle(&claimed, next, Some("frozen")).await;
        }
    }
    let (_, ids) = world.admit(&["audit", "audit"]).await;
    world.store.discard(ids[1]).await.unwrap();
    let before = everything(&*world.store).await;
    world.restart().await;
    assert_eq!(everything(&*world.store).await, before);
    // what was in flight is due again
    assert_eq!(world.claim("erp", 9).await.len(), 1);
    world.restart().await;
    assert_eq!(everything(&*world.store).await, before);
}

pub async fn the_dead_at_admission_and_the_unrouted_are_kept(mut world: World) {
    let mut parked = admission(world.now(), &["erp"], "not json");
    let at = world.now();
    let reason = DeadReason::NotJson;
    parked.deliveries[0].state = State::Dead { at, reason };
    let id = parked.deliveries[0].id;
    world.store.admit(parked).await.unwrap();
    let (unrouted, _) = world.admit(&[]).await;
    for _ in 0..2 {
        assert!(world.claim("erp", 9).await.is_empty());
        assert_eq!(world.state(id).await, State::Dead { at, reason });
        let row = world.store.event_row(unrouted).await.unwrap();
        assert_eq!((row.deliveries.len(), row.size), (0, 2));
        world.restart().await;
    }
    world.store.revive(id).await.unwrap();
    assert_eq!(world.claim_one("erp").await.event.parts().body, "not json");
}

pub async fn what_is_not_there_is_not_found(world: World) {
    let id = DeliveryId::generate();
    let store = &world.store;
    assert_eq!(store.delivery(id).await, Err(StoreError::NotFound));
    assert_eq!(store.attempts(id).await, Err(StoreError::NotFound));
    assert_eq!(store.revive(id).await, Err(StoreError::NotFound));
    assert_eq!(store.discard(id).await, Err(StoreError::NotFound));
    let event = EventId::generate();
    assert_eq!(store.event_row(event).await, Err(StoreError::NotFound));
    assert!(matches!(
        store.event(event).await,
        Err(StoreError::NotFound)
    ));
    assert!(store.depths().await.unwrap().is_empty());
    assert!(store.events(None, 5).await.unwrap().is_empty());
    let claims = store.claim(&name("erp"), 5).await.unwrap();
    assert!(claims.taken.is_empty() && claims.next_due.is_none());
}

pub async fn arrivals_are_told(world: World) {
    let arrivals = world.store.arrivals(&name("erp"));
    world.admit(&["erp"]).await;
    arrivals.notified().await;
    let claimed = world.claim_one("erp").await;
    world.store.release(claimed.lease).await.unwrap();
    arrivals.notified().await;
    let claimed = world.claim_one("erp").await;
    let id = claimed.delivery.id;
    world
        .settle(&claimed, Next::Bury(DeadReason::Gone), None)
        .await;
    world.store.revive(id).await.unwrap();
    arrivals.notified().await;
    assert_eq!(world.claim("erp", 1).await.len(), 1);
}

pub async fn a_closed_store_takes_nothing(world: World) {
    world.admit(&["erp"]).await;
    let claimed = world.claim_one("erp").await;
    world.store.close().await;
    let refused = world.store.admit(admission(world.now(), &[], "{}")).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))));
    assert!(matches!(world.store.health(), Health::Unavailable(_)));
    let settlement = world.settlement(&claimed, Next::Done, None);
    let late = world.store.settle(claimed.lease, settlement).await;
    assert!(late.is_err(), "what cannot be recorded is not settled");
    world.store.close().await;
}

pub async fn a_backlog_is_worked_off_in_order(mut world: World) {
    let mut wanted = Vec::new();
    for _ in 0..40 {
        wanted.extend(world.admit(&["erp"]).await.1);
        world.clock.advance(Duration::from_millis(1));
    }
    world.restart().await;
    for _ in 0..20 {
        wanted.extend(world.admit(&["erp"]).await.1);
        world.clock.advance(Duration::from_millis(1));
    }
    let mut seen = Vec::new();
    let mut held = Vec::new();
    loop {
        let taken = world.claim("erp", 7).await;
        if taken.is_empty() {
            break;
        }
        for claimed in taken {
            seen.push(claimed.delivery.id);
            match seen.len() % 3 {
                0 => held.push(claimed),
                1 => {
                    world.settle(&claimed, Next::Done, None).await;
                }
                _ => {
                    let later = Next::RetryAt(world.in_seconds(3600));
                    world.settle(&claimed, later, None).await;
                }
            }
        }
    }
    assert_eq!(seen, wanted);
    for claimed in held {
        world.settle(&claimed, Next::Done, None).await;
    }
    world.pass(3600);
    assert_eq!(world.claim("erp", 99).await.len(), 20);
}
