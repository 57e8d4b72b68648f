//! The cases of the contract that are about the operator's door: what is found by filters, how an event came in, what
//! is taken up again or added, pauses, replays, configurations.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{
    Cursor, DeliveryFilter, EventFilter, Receipt, ReplayFilter, ReplayPhase, ReplayState, Revival,
    Store, StoreError, Window,
};
use super::{World, admission, everything, name};
use crate::delivery::{
    AttemptResult, BodyFrom, DeadReason, Delivery, Next, ReplayMark, ReplayMode, Sent, State,
    StateKind,
};
use crate::event::{Event, EventParts};
use crate::id::{DeliveryId, Digest, EventId, ReplayId};
use crate::order::{OnDead, Order, OrderKey};

/// All that pass, page by page, and that both ways agree.
async fn deliveries(store: &dyn Store, filter: &DeliveryFilter, budget: usize) -> Vec<DeliveryId> {
    let mut ways = Vec::new();
    for down in [true, false] {
        let mut ids = Vec::new();
        let mut past = None;
        loop {
            let window = Window {
                past,
                limit: 2,
                budget,
            };
            let found = match down {
                true => store.find_deliveries(filter, window).await.unwrap(),
                false => store.deliveries_from(filter, window).await.unwrap(),
            };
            assert!(found.rows.len() <= 2);
            ids.extend(found.rows.iter().map(|row| row.delivery.id));
            past = found.rest;
            if past.is_none() {
                break;
            }
        }
        ways.push(ids);
    }
    let up = ways.pop().unwrap();
    let down = ways.pop().unwrap();
    assert!(down.is_sorted_by(|a, b| a > b), "newest first, each once");
    assert!(up.iter().eq(down.iter().rev()), "{filter:?}");
    down
}

/// The same of events.
async fn events(store: &dyn Store, filter: &EventFilter, budget: usize) -> Vec<EventId> {
    let mut ways = Vec::new();
    for down in [true, false] {
        let mut ids = Vec::new();
        let mut past = None;
        loop {
            let window = Window {
                past,
                limit: 2,
                budget,
            };
            let found = match down {
                true => store.find_events(filter, window).await.unwrap(),
                false => store.events_from(filter, window).await.unwrap(),
            };
            assert!(found.rows.len() <= 2);
            ids.extend(found.rows.iter().map(|row| row.id));
            past = found.rest;
            if past.is_none() {
                break;
            }
        }
        ways.push(ids);
    }
    let up = ways.pop().unwrap();
    let down = ways.pop().unwrap();
    assert!(down.is_sorted_by(|a, b| a > b), "newest first, each once");
    assert!(up.iter().eq(down.iter().rev()), "{filter:?}");
    down
}

impl World {
    /// Admits an event of this source and type, with one delivery to each target.
    async fn admit_of(
        &self,
        source: &str,
        event_type: &str,
        targets: &[&str],
    ) -> (EventId, Vec<DeliveryId>) {
        let mut new = admission(self.now(), targets, "{}");
        let parts = new.event.parts().clone();
        let event = Event::from_stored(EventParts {
            source: source.parse().unwrap(),
            event_type: event_type.to_owned(),
            ..parts
        });
        new.event = event.into();
        let ids = new.deliveries.iter().map(|it| it.id).collect();
        (self.store.admit(new).await.unwrap().event, ids)
    }

    /// Claims one and settles it with an attempt that was made with this template.
    async fn attempt(&self, target: &str, next: Next, template: Option<&[u8]>) -> DeliveryId {
        let claimed = self.claim_one(target).await;
        let mut settlement = self.settlement(&claimed, next, None);
        settlement.attempt.sent = Some(Sent {
            generation: Some(7),
            template: template.map(Digest::of),
            ..Sent::default()
        });
        let lease = claimed.lease;
        self.store.settle(lease, settlement).await.unwrap();
        lease.delivery
    }
}

pub async fn events_are_found_by_what_they_are(mut world: World) {
    let (a, a_to) = world
        .admit_of("wreno", "vendor.update", &["erp", "crm"])
        .await;
    let (b, _) = world.admit_of("wreno", "vendor.gone", &["erp"]).await;
    let (c, _) = world.admit_of("stripe", "charge.paid", &[]).await;
    let long = format!("vendor.{}", "x".repeat(500));
    let (d, _) = world.admit_of("stripe", &long, &["audit"]).await;
    let dead = Next::Bury(DeadReason::Gone);
    assert_eq!(world.attempt("erp", dead, None).await, a_to[0]);
    let none = EventFilter::default;
    let row = world.store.event_row(b).await.unwrap();
    let rows = [
        (none(), vec![d, c, b, a]),
        (
            EventFilter {
                source: "wreno".parse().ok(),
                ..none()
            },
            vec![b, a],
        ),
        (
            EventFilter {
                event_type: "vendor.*".parse().ok(),
                ..none()
            },
            vec![d, b, a],
        ),
        (
            EventFilter {
                event_type: long.get(..250).unwrap().parse().ok(),
                ..none()
            },
            vec![],
        ),
        (
            EventFilter {
                message_id: row.message_id,
                ..none()
            },
            vec![b],
        ),
        (
            EventFilter {
                target: "erp".parse().ok(),
                state: Some(StateKind::Dead),
                ..none()
            },
            vec![a],
        ),
        (
            EventFilter {
                target: "crm".parse().ok(),
                state: Some(StateKind::Dead),
                ..none()
            },
            vec![],
        ),
        (
            EventFilter {
                route: "orders".parse().ok(),
                state: Some(StateKind::Pending),
                ..none()
            },
            vec![d, b, a],
        ),
        (
            EventFilter {
                unmatched: Some(true),
                ..none()
            },
            vec![c],
        ),
        (
            EventFilter {
                unmatched: Some(false),
                source: "stripe".parse().ok(),
                ..none()
            },
            vec![d],
        ),
        (
            EventFilter {
                event: Some(c),
                ..none()
            },
            vec![c],
        ),
        (
            EventFilter {
                event: Some(c),
                source: "wreno".parse().ok(),
                ..none()
            },
            vec![],
        ),
        (
            EventFilter {
                since: Some(a.made_at()),
                until: Some(a.made_at()),
                ..none()
            },
            vec![],
        ),
        (
            EventFilter {
                since: Some(a.made_at()),
                ..none()
            },
            vec![d, c, b, a],
        ),
    ];
    for restart in [false, true] {
        if restart {
            world.restart().await;
        }
        for (filter, wanted) in &rows {
            for budget in [1, 3, usize::MAX] {
                let found = events(&*world.store, filter, budget).await;
                assert_eq!(found, *wanted, "{filter:?}, budget {budget}");
            }
        }
    }
}

pub async fn deliveries_are_found_by_what_they_are(mut world: World) {
    let (a, a_to) = world
        .admit_of("wreno", "vendor.update", &["erp", "crm"])
        .await;
    let (_, b_to) = world.admit_of("stripe", "charge.paid", &["erp"]).await;
    let (_, c_to) = world.admit_of("wreno", "vendor.gone", &["erp"]).await;
    let (_, d_to) = world.admit_of("wreno", "vendor.gone", &["erp"]).await;
    let render = Next::Bury(DeadReason::Render);
    assert_eq!(world.attempt("erp", render, Some(b"old")).await, a_to[0]);
    assert_eq!(world.attempt("erp", render, Some(b"new")).await, b_to[0]);
    assert_eq!(world.attempt("erp", render, None).await, c_to[0]);
    let gone = Next::Bury(DeadReason::Gone);
    assert_eq!(world.attempt("erp", gone, Some(b"old")).await, d_to[0]);
    let job = ReplayId::generate();
    let by_job = Revival::new(ReplayMode::Rerender, Some(job));
    let revived = world.store.revive_as(c_to[0], by_job).await.unwrap();
    assert_eq!(revived.mark, Some(by_job.mark));
    let none = DeliveryFilter::default;
    let stale = |hash: &[u8]| {
        let routes = BTreeMap::from([("orders".parse().unwrap(), Digest::of(hash))]);
        Some(routes)
    };
    let mut all = vec![a_to[0], a_to[1], b_to[0], c_to[0], d_to[0]];
    all.sort_by(|a, b| b.cmp(a));
    let rows = [
        (none(), all),
        (
            DeliveryFilter {
                target: "erp".parse().ok(),
                reason: Some(DeadReason::Render),
                ..none()
            },
            vec![b_to[0], a_to[0]],
        ),
        (
            DeliveryFilter {
                target: "erp".parse().ok(),
                ..DeliveryFilter::of_state(StateKind::Dead)
            },
            vec![d_to[0], b_to[0], a_to[0]],
        ),
        (
            DeliveryFilter {
                reason: Some(DeadReason::Render),
                source: "stripe".parse().ok(),
                ..none()
            },
            vec![b_to[0]],
        ),
        (
            DeliveryFilter {
                states: BTreeSet::from([StateKind::Pending, StateKind::Dead]),
                event_type: "vendor.gone".parse().ok(),
                ..none()
            },
            vec![d_to[0], c_to[0]],
        ),
        (
            DeliveryFilter {
                event: Some(a),
                ..none()
            },
            {
                let mut ids = a_to.clone();
                ids.sort_by(|a, b| b.cmp(a));
                ids
            },
        ),
        (
            DeliveryFilter {
                replay: Some(job),
                ..none()
            },
            vec![c_to[0]],
        ),
        (
            DeliveryFilter {
                stale: stale(b"new"),
                ..none()
            },
            vec![a_to[0]],
        ),
        (
            DeliveryFilter {
                stale: stale(b"newest"),
                target: "erp".parse().ok(),
                ..none()
            },
            vec![b_to[0], a_to[0]],
        ),
        (
            DeliveryFilter {
                stale: Some(BTreeMap::new()),
                ..none()
            },
            vec![],
        ),
        (
            DeliveryFilter {
                until: Some(a_to[0].made_at()),
                ..none()
            },
            vec![],
        ),
    ];
    for restart in [false, true] {
        if restart {
            world.restart().await;
        }
        for (filter, wanted) in &rows {
            for budget in [1, 3, usize::MAX] {
                let found = deliveries(&*world.store, filter, budget).await;
                assert_eq!(found, *wanted, "{filter:?}, budget {budget}");
            }
        }
        let listed = world.store.listed(b_to[0]).await.unwrap();
        assert_eq!(listed.source.as_str(), "stripe");
        assert_eq!(listed.event_type, "charge.paid");
        assert!(!listed.had_success);
        let last = listed.last.unwrap();
        let wanted = AttemptResult::Unsendable(DeadReason::Render);
        assert_eq!(
            (last.result, last.result.to_string()),
            (wanted, "render".to_owned())
        );
        assert_eq!(world.store.listed(a_to[1]).await.unwrap().last, None);
    }
}

pub async fn how_an_event_came_in_is_kept(mut world: World) {
    let receipt = Receipt {
        scheme: "standard-webhooks".to_owned(),
        secret: 1,
        skew_seconds: Some(-3),
        message_id_covered: true,
        generation: Some(4),
    };
    let mut new = admission(world.now(), &["erp"], "{}");
    new.receipt = Some(receipt.clone());
    let told = world.store.admit(new).await.unwrap().event;
    let (untold, _) = world.admit(&["erp"]).await;
    for _ in 0..2 {
        assert_eq!(world.store.receipt(told).await, Ok(Some(receipt.clone())));
        assert_eq!(world.store.receipt(untold).await, Ok(None));
        world.restart().await;
    }
    world.store.purge(told).await.unwrap();
    assert_eq!(world.store.receipt(told).await, Ok(Some(receipt)));
    let unknown = world.store.receipt(EventId::generate()).await;
    assert_eq!(unknown, Err(StoreError::NotFound));
}

pub async fn what_was_sent_is_kept(mut world: World) {
    world.admit(&["erp"]).await;
    let claimed = world.claim_one("erp").await;
    let id = claimed.delivery.id;
    assert_eq!(world.store.frozen(id).await, Ok(None));
    let sent = Sent {
        generation: Some(7),
        template: Some(Digest::of(b"template")),
        body_from: Some(BodyFrom::Rendered),
        body: Some(Digest::of(b"{}")),
    };
    let retry = Next::RetryAt(world.now());
    let mut settlement = world.settlement(&claimed, retry, Some("{}"));
    settlement.attempt.sent = Some(sent);
    world.store.settle(claimed.lease, settlement).await.unwrap();
    for _ in 0..2 {
        let attempts = world.store.attempts(id).await.unwrap();
        assert_eq!(attempts[0].sent, Some(sent));
        let frozen = world.store.frozen(id).await.unwrap();
        assert_eq!(frozen.as_deref(), Some(&b"{}"[..]));
        world.restart().await;
    }
    let claimed = world.claim_one("erp").await;
    world.settle(&claimed, Next::Done, None).await;
    assert_eq!(world.store.frozen(id).await, Ok(None));
    let listed = world.store.listed(id).await.unwrap();
    assert!(listed.had_success);
    assert_eq!(listed.last.unwrap().result, AttemptResult::Status(200));
    world.store.purge(claimed.delivery.event).await.unwrap();
    assert_eq!(world.store.frozen(id).await, Err(StoreError::Purged));
    let attempts = world.store.attempts(id).await.unwrap();
    let emptied = Sent { body: None, ..sent };
    assert_eq!(attempts[0].sent, Some(emptied));
    let unknown = world.store.frozen(DeliveryId::generate()).await;
    assert_eq!(unknown, Err(StoreError::NotFound));
}

pub async fn what_is_rendered_anew_begins_anew(mut world: World) {
    let (_, ids) = world.admit(&["erp", "erp"]).await;
    let job = ReplayId::generate();
    let anew = Revival::new(ReplayMode::Rerender, Some(job));
    // one that is dead, and one that is pending
    for next in [
        Next::Bury(DeadReason::Exhausted),
        Next::RetryAt(world.in_seconds(60)),
    ] {
        let claimed = world.claim_one("erp").await;
        world.settle(&claimed, next, Some("old")).await;
    }
    world.pass(5);
    for id in &ids {
        let revived = world.store.revive_as(*id, anew).await.unwrap();
        assert_eq!((revived.attempts, revived.started_at), (0, world.now()));
        assert_eq!(revived.state, State::Pending { due: world.now() });
        let mark = ReplayMark {
            job: Some(job),
            mode: ReplayMode::Rerender,
            of: None,
        };
        assert_eq!(revived.mark, Some(mark));
        assert_eq!(world.store.frozen(*id).await, Ok(None));
    }
    let before = everything(&*world.store).await;
    world.restart().await;
    assert_eq!(everything(&*world.store).await, before);
    for _ in 0..2 {
        let claimed = world.claim_one("erp").await;
        assert_eq!(
            (claimed.frozen.clone(), claimed.delivery.attempts),
            (None, 0)
        );
        assert_eq!(claimed.delivery.mark, Some(anew.mark));
        world.settle(&claimed, Next::Done, None).await;
        // its target has had it under this id
        let id = claimed.delivery.id;
        let again = world.store.revive_as(id, anew).await;
        assert!(matches!(again, Err(StoreError::WrongState { .. })));
        let kept = world.store.revive(id).await.unwrap();
        assert_eq!(kept.mark, Some(Revival::PLAIN.mark));
        world.restart().await;
        let again = world.store.revive_as(id, anew).await;
        assert!(matches!(again, Err(StoreError::WrongState { .. })));
        world.store.discard(id).await.unwrap();
    }
}

pub async fn deliveries_are_added_to_what_is_stored(mut world: World) {
    let (event, ids) = world.admit(&["erp"]).await;
    let claimed = world.claim_one("erp").await;
    world.settle(&claimed, Next::Done, None).await;
    let old = world.store.delivery(ids[0]).await.unwrap();
    for round in 0..3 {
        let mut new = old.again(ReplayMode::Rerender, None, world.now());
        let mut other = Delivery {
            target: name("crm"),
            ..old.again(ReplayMode::Reroute, None, world.now())
        };
        other.state = State::Dead {
            at: world.now(),
            reason: DeadReason::NotJson,
        };
        let added = vec![new.clone(), other.clone()];
        world.store.add_deliveries(event, added).await.unwrap();
        let row = world.store.event_row(event).await.unwrap();
        assert_eq!(row.deliveries.len(), 1 + 2 * (round + 1));
        assert_eq!(world.store.delivery(new.id).await.as_ref(), Ok(&new));
        assert_eq!(world.store.delivery(other.id).await.as_ref(), Ok(&other));
        if round == 1 {
            world.restart().await;
        }
        let claimed = world.claim_one("erp").await;
        assert_eq!(claimed.delivery, new);
        assert_eq!(claimed.event.id(), event);
        world.settle(&claimed, Next::Done, None).await;
        new.state = State::Delivered { at: world.now() };
        new.attempts = 1;
        assert_eq!(world.store.delivery(new.id).await.as_ref(), Ok(&new));
    }
    let groups = world.store.dead_groups().await.unwrap();
    assert_eq!((groups.len(), groups[0].count), (1, 3));
    let before = everything(&*world.store).await;
    world.restart().await;
    assert_eq!(everything(&*world.store).await, before);
    let purged = world.store.purge(event).await.unwrap();
    assert_eq!(purged.discarded, 3);
    let new = vec![old.again(ReplayMode::Rerender, None, world.now())];
    let refused = world.store.add_deliveries(event, new.clone()).await;
    assert_eq!(refused, Err(StoreError::Purged));
    let unknown = world.store.add_deliveries(EventId::generate(), new).await;
    assert_eq!(unknown, Err(StoreError::NotFound));
}

pub async fn many_are_added_to_one_event_at_a_time(mut world: World) {
    let (event, ids) = world.admit(&["erp"]).await;
    let old = world.store.delivery(ids[0]).await.unwrap();
    let mut tasks = Vec::new();
    let mut wanted = BTreeSet::from([ids[0]]);
    for _ in 0..60 {
        let new = old.again(ReplayMode::Rerender, None, world.now());
        wanted.insert(new.id);
        let store = std::sync::Arc::clone(&world.store);
        tasks.push(tokio::spawn(async move {
            store.add_deliveries(event, vec![new]).await
        }));
    }
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    for _ in 0..2 {
        let row = world.store.event_row(event).await.unwrap();
        assert_eq!(row.deliveries.into_iter().collect::<BTreeSet<_>>(), wanted);
        assert_eq!(world.store.depths().await.unwrap()[0].pending, 61);
        world.restart().await;
    }
    let mut taken = BTreeSet::new();
    while taken.len() < wanted.len() {
        for claimed in world.claim("erp", 7).await {
            assert!(taken.insert(claimed.delivery.id));
            world.settle(&claimed, Next::Done, None).await;
        }
    }
    assert_eq!(taken, wanted);
}

pub async fn what_is_added_stands_at_the_end_of_its_line(mut world: World) {
    let order = Some(Order {
        key: OrderKey::from_bytes([1; 16]),
        on_dead: OnDead::Hold,
    });
    let mut ids = Vec::new();
    let mut first = None;
    for _ in 0..2 {
        let mut new = admission(world.now(), &["erp"], "{}");
        new.deliveries[0].order = order;
        ids.push(new.deliveries[0].id);
        first.get_or_insert((new.event.id(), new.deliveries[0].clone()));
        world.store.admit(new).await.unwrap();
    }
    let (event, old) = first.unwrap();
    let new = old.again(ReplayMode::Rerender, None, world.now());
    ids.push(new.id);
    world.store.add_deliveries(event, vec![new]).await.unwrap();
    for id in ids {
        world.restart().await;
        let taken = world.claim("erp", 9).await;
        assert_eq!(taken.len(), 1);
        assert_eq!(taken[0].delivery.id, id);
        world.settle(&taken[0], Next::Done, None).await;
    }
}

pub async fn configurations_are_numbered(mut world: World) {
    let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
    let first = world.store.generation(a).await.unwrap();
    assert_eq!((first.number, first.since), (1, world.now()));
    world.pass(60);
    assert_eq!(world.store.generation(a).await, Ok(first));
    world.restart().await;
    assert_eq!(world.store.generation(a).await, Ok(first));
    let second = world.store.generation(b).await.unwrap();
    assert_eq!((second.number, second.since), (2, world.now()));
    world.restart().await;
    let third = world.store.generation(a).await.unwrap();
    assert_eq!(third.number, 3);
}

pub async fn pauses_are_kept_until_they_end(mut world: World) {
    let (erp, crm) = (name("erp"), name("crm"));
    assert_eq!(world.store.pauses().await, Ok(BTreeMap::new()));
    let by = |who: &str| Some(who.to_owned());
    let paused = world.store.set_pause(&erp, by("anna")).await.unwrap();
    let paused = paused.unwrap();
    assert_eq!((paused.since, paused.by.as_str()), (world.now(), "anna"));
    world.store.set_pause(&crm, by("ben")).await.unwrap();
    world.pass(60);
    let again = world.store.set_pause(&erp, by("ben")).await;
    assert_eq!(again, Ok(Some(paused.clone())));
    world.restart().await;
    assert_eq!(world.store.set_pause(&crm, None).await, Ok(None));
    assert_eq!(world.store.set_pause(&crm, None).await, Ok(None));
    for _ in 0..2 {
        let wanted = BTreeMap::from([(erp.clone(), paused.clone())]);
        assert_eq!(world.store.pauses().await, Ok(wanted));
        world.restart().await;
    }
    // they are for whoever makes attempts to heed
    world.admit(&["erp"]).await;
    world.claim_one("erp").await;
}

pub async fn replays_are_kept_as_they_stand(mut world: World) {
    assert_eq!(world.store.replays(None, 9).await, Ok(Vec::new()));
    let mut all = Vec::new();
    for number in 0..5u64 {
        let filter = ReplayFilter {
            target: "erp".parse().ok(),
            reason: Some(DeadReason::Render),
            states: BTreeSet::from([StateKind::Dead]),
            since: Some(world.now()),
            ..ReplayFilter::default()
        };
        let (id, now) = (ReplayId::generate(), world.now());
        let replay = ReplayState {
            rate: crate::units::parse_rate("50/s").ok(),
            total: Some(number),
            ..ReplayState::begun(id, ReplayMode::Rerender, filter, "anna", now)
        };
        world.store.put_replay(&replay, true).await.unwrap();
        all.insert(0, replay);
    }
    for replay in &mut all {
        replay.done = 1;
        replay.cursor = Some(Cursor::Delivery(DeliveryId::generate()));
        world.store.put_replay(replay, false).await.unwrap();
    }
    let last = all.last_mut().unwrap();
    last.phase = ReplayPhase::Failed;
    last.finished_at = Some(world.now());
    last.error = Some("no".to_owned());
    world.store.put_replay(last, true).await.unwrap();
    for _ in 0..2 {
        assert_eq!(world.store.replays(None, 9).await.as_ref(), Ok(&all));
        let page = world.store.replays(Some(all[1].id), 2).await.unwrap();
        assert_eq!(page, all[2..4]);
        for replay in &all {
            assert_eq!(world.store.replay(replay.id).await.as_ref(), Ok(replay));
        }
        world.restart().await;
    }
    let unknown = world.store.replay(ReplayId::generate()).await;
    assert_eq!(unknown, Err(StoreError::NotFound));
}
