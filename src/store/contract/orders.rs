//! The cases of the contract that are about order: deliveries with one key go one after another.

use super::super::{Claimed, Settled};
use super::{World, admission, name};
use crate::delivery::{DeadReason, Next, State};
use crate::id::DeliveryId;
use crate::order::{OnDead, Order, OrderKey};

impl World {
    /// Admits an event with one delivery to `erp`, in this line.
    async fn line_up(&self, key: Option<u8>, on_dead: OnDead) -> DeliveryId {
        let mut new = admission(self.now(), &["erp"], "{}");
        let delivery = &mut new.deliveries[0];
        delivery.order = key.map(|key| Order {
            key: OrderKey::from_bytes([key; 16]),
            on_dead,
        });
        let id = delivery.id;
        self.store.admit(new).await.unwrap();
        id
    }

    /// Claims all that may go, which must be these, in whatever order.
    async fn claim_all(&self, wanted: &[DeliveryId]) -> Vec<Claimed> {
        let taken = self.claim("erp", 100).await;
        let mut ids: Vec<_> = taken.iter().map(|it| it.delivery.id).collect();
        let mut wanted = wanted.to_vec();
        ids.sort();
        wanted.sort();
        assert_eq!(ids, wanted);
        taken
    }

    /// Claims the only one that may go, and settles it.
    async fn next_is(&self, id: DeliveryId, next: Next) {
        let taken = self.claim_all(&[id]).await;
        assert_eq!(self.settle(&taken[0], next, None).await, Settled::Recorded);
    }
}

pub async fn one_key_goes_one_after_another(mut world: World) {
    let mut a = Vec::new();
    for _ in 0..4 {
        a.push(world.line_up(Some(1), OnDead::Hold).await);
    }
    let b = world.line_up(Some(2), OnDead::Hold).await;
    let free = world.line_up(None, OnDead::Hold).await;
    let taken = world.claim_all(&[a[0], b, free]).await;
    world.claim_all(&[]).await;
    for claimed in &taken {
        let next = if claimed.delivery.id == a[0] {
            Next::RetryAt(world.in_seconds(60))
        } else {
            Next::Done
        };
        world.settle(claimed, next, None).await;
    }
    // the first of them waits for its time, and all the others for it
    world.claim_all(&[]).await;
    world.restart().await;
    world.claim_all(&[]).await;
    world.pass(60);
    world.next_is(a[0], Next::Done).await;
    world.next_is(a[1], Next::Done).await;
    world.restart().await;
    world.next_is(a[2], Next::Done).await;
    let late = world.line_up(Some(1), OnDead::Hold).await;
    let taken = world.claim_all(&[a[3]]).await;
    world.store.release(taken[0].lease).await.unwrap();
    world.next_is(a[3], Next::Done).await;
    world.next_is(late, Next::Done).await;
    world.claim_all(&[]).await;
}

pub async fn the_dead_hold_their_line_or_are_skipped(mut world: World) {
    let dead = Next::Bury(DeadReason::Exhausted);
    let mut hold = Vec::new();
    for _ in 0..3 {
        hold.push(world.line_up(Some(1), OnDead::Hold).await);
    }
    world.next_is(hold[0], dead).await;
    world.claim_all(&[]).await;
    world.restart().await;
    world.claim_all(&[]).await;
    world.store.revive(hold[0]).await.unwrap();
    world.next_is(hold[0], dead).await;
    world.store.discard(hold[0]).await.unwrap();
    world.next_is(hold[1], dead).await;
    // one behind the head may go without it
    world.store.discard(hold[2]).await.unwrap();
    world.store.revive(hold[1]).await.unwrap();
    world.next_is(hold[1], Next::Done).await;
    world.claim_all(&[]).await;

    let first = world.line_up(Some(3), OnDead::Skip).await;
    let second = world.line_up(Some(3), OnDead::Skip).await;
    world.next_is(first, dead).await;
    let taken = world.claim_all(&[second]).await;
    // revived, it goes first again, but not beside the one that is under way
    world.store.revive(first).await.unwrap();
    world.claim_all(&[]).await;
    world
        .settle(&taken[0], Next::RetryAt(world.now()), None)
        .await;
    world.next_is(first, Next::Done).await;
    world.restart().await;
    world.next_is(second, Next::Done).await;
}

pub async fn however_many_stand_in_line_nobody_else_waits(mut world: World) {
    let mut first = Vec::new();
    for _ in 0..60 {
        first.push(world.line_up(Some(1), OnDead::Hold).await);
    }
    let mut others = vec![first[0]];
    for key in 2..30 {
        others.push(world.line_up(Some(key), OnDead::Hold).await);
        world.line_up(Some(key), OnDead::Hold).await;
    }
    world.restart().await;
    others.push(world.line_up(None, OnDead::Hold).await);
    let taken = world.claim_all(&others).await;
    for claimed in &taken {
        world.settle(claimed, Next::Done, None).await;
    }
    let taken = world.claim("erp", 100).await;
    assert_eq!(taken.len(), 29);
    for claimed in &taken {
        world.settle(claimed, Next::Done, None).await;
    }
    for (n, id) in first.iter().enumerate().skip(2) {
        if n % 20 == 0 {
            world.restart().await;
        }
        world.next_is(*id, Next::Done).await;
    }
    let depths = world.store.depths().await.unwrap();
    assert_eq!(depths, []);
}

pub async fn what_operators_take_out_of_a_line_lets_the_next_go(mut world: World) {
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(world.line_up(Some(1), OnDead::Hold).await);
    }
    let event = world.store.delivery(ids[0]).await.unwrap().event;
    let taken = world.claim_all(&ids[..1]).await;
    world.store.purge(event).await.unwrap();
    assert_eq!(
        world.settle(&taken[0], Next::Done, None).await,
        Settled::Fenced
    );
    let taken = world.claim_all(&ids[1..2]).await;
    // a route that is gone holds the whole line
    world.store.hold(taken[0].lease).await.unwrap();
    world.claim_all(&[]).await;
    world.restart().await;
    world.claim_all(&[]).await;
    let routes = ["orders".parse().unwrap()].into();
    assert_eq!(world.store.resume(&name("erp"), &routes).await, Ok(1));
    world.next_is(ids[1], Next::Done).await;
    world.store.discard(ids[3]).await.unwrap();
    world.next_is(ids[2], Next::Done).await;
    world.next_is(ids[4], Next::Done).await;
    // what was done goes again if it is asked for, and then alone
    world.store.revive(ids[1]).await.unwrap();
    let last = world.line_up(Some(1), OnDead::Hold).await;
    world.next_is(ids[1], Next::Done).await;
    world.next_is(last, Next::Done).await;
    let state = world.store.delivery(ids[3]).await.unwrap().state;
    assert!(matches!(state, State::Discarded { .. }));
}

pub async fn what_is_held_behind_another_is_resumed_as_well(mut world: World) {
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(world.line_up(Some(1), OnDead::Hold).await);
    }
    world.next_is(ids[0], Next::Done).await;
    let taken = world.claim_all(&ids[1..2]).await;
    world.store.hold(taken[0].lease).await.unwrap();
    world.store.revive(ids[0]).await.unwrap();
    world.restart().await;
    let routes = ["orders".parse().unwrap()].into();
    assert_eq!(world.store.resume(&name("erp"), &routes).await, Ok(1));
    assert_eq!(world.store.resume(&name("erp"), &routes).await, Ok(0));
    for id in ids {
        world.next_is(id, Next::Done).await;
    }
}

pub async fn one_event_can_stand_in_a_line_more_than_once(mut world: World) {
    for (second_dead, restarts) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut new = admission(world.now(), &["erp", "erp"], "{}");
        new.deliveries[1].route = "other".parse().unwrap();
        for delivery in &mut new.deliveries {
            delivery.order = Some(Order {
                key: OrderKey::from_bytes([1; 16]),
                on_dead: OnDead::Skip,
            });
        }
        if second_dead {
            new.deliveries[1].state = State::Dead {
                at: world.now(),
                reason: DeadReason::NotJson,
            };
        }
        let ids: Vec<_> = new.deliveries.iter().map(|it| it.id).collect();
        world.store.admit(new).await.unwrap();
        let last = world.line_up(Some(1), OnDead::Skip).await;
        if restarts {
            world.restart().await;
        }
        world.next_is(ids[0], Next::Done).await;
        if restarts {
            world.restart().await;
        }
        if !second_dead {
            world.next_is(ids[1], Next::Done).await;
        }
        world.next_is(last, Next::Done).await;
        world.claim_all(&[]).await;
    }
}
