//! Another plan comes into force while deliveries are under way.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::testing::{MemoryStore, Peer, Reply, plan, status, status_text, target, wait_until};
use super::*;
use crate::clock::SystemClock;
use crate::delivery::{HELD, State, StateKind};
use crate::id::DeliveryId;
use crate::pattern::Pattern;
use crate::plan::{Route, Router, Target};

const BODY: &[u8] = br#"{"a":1}"#;

fn start(store: &Arc<MemoryStore>, plan: Plan) -> (Dispatcher, Current) {
    let current = Current::new(Arc::new(plan));
    let store: Arc<dyn Store> = Arc::<MemoryStore>::clone(store);
    let metrics = Arc::new(Metrics::new());
    let dispatcher = Dispatcher::start(
        current.clone(),
        store,
        Arc::new(SystemClock),
        metrics,
        Arc::default(),
        Spans::nowhere(),
    );
    (dispatcher, current)
}

/// A plan whose only route is named so.
fn plan_with_route(name: &str, targets: Vec<Target>) -> Plan {
    let mut plan = plan(targets);
    let route = &plan.router.routes()[0];
    plan.router = Router::new(vec![Arc::new(Route {
        name: name.parse().unwrap(),
        from: route.from.clone(),
        pattern: Pattern::default(),
        template: None,
        schema: None,
        to: route.to.clone(),
        revive: route.revive,
    })]);
    plan
}

fn is_held(store: &MemoryStore, id: DeliveryId) -> bool {
    matches!(store.state(id), State::Pending { due } if due == HELD)
}

#[tokio::test]
async fn deliveries_of_a_route_that_is_gone_wait_until_it_is_back() {
    let peer = Peer::start(|_| status(200)).await;
    let erp = || vec![target("erp", peer.address)];
    let store = MemoryStore::new();
    let (_, ids) = store.add(BODY, &["erp"]);
    let (_, frozen) = store.add(BODY, &["erp"]);
    store.freeze(frozen[0], br#"{"kept":true}"#);
    let (_dispatcher, current) = start(&store, plan_with_route("other", erp()));
    wait_until("they are held", || {
        is_held(&store, ids[0]) && is_held(&store, frozen[0])
    })
    .await;
    assert!(peer.seen().is_empty());
    assert!(store.attempts_of(ids[0]).is_empty());

    current.replace(Arc::new(plan_with_route("all", erp())));
    wait_until("both deliveries", || store.count(StateKind::Delivered) == 2).await;
    let mut bodies: Vec<Vec<u8>> = peer.seen().iter().map(|seen| seen.body.to_vec()).collect();
    bodies.sort();
    assert_eq!(bodies, [BODY.to_vec(), br#"{"kept":true}"#.to_vec()]);
}

#[tokio::test]
async fn deliveries_to_a_target_that_is_gone_wait_until_it_is_back() {
    let peer = Peer::start(|_| status(200)).await;
    let both = || vec![target("erp", peer.address), target("crm", peer.address)];
    let store = MemoryStore::new();
    let (_dispatcher, current) = start(&store, plan(both()));
    current.replace(Arc::new(plan(vec![target("crm", peer.address)])));
    // The other target's delivery shows that the new plan is at work.
    store.add(BODY, &["crm"]);
    wait_until("crm's", || store.count(StateKind::Delivered) == 1).await;
    let (_, ids) = store.add(BODY, &["erp"]);
    store.add(BODY, &["crm"]);
    wait_until("crm's second", || store.count(StateKind::Delivered) == 2).await;
    assert!(matches!(store.state(ids[0]), State::Pending { .. }));
    assert!(store.attempts_of(ids[0]).is_empty());

    for _ in 0..3 {
        current.replace(Arc::new(plan(vec![target("crm", peer.address)])));
        current.replace(Arc::new(plan(both())));
    }
    wait_until("erp's", || store.count(StateKind::Delivered) == 3).await;
    assert_eq!(store.attempts_of(ids[0]).len(), 1);
}

#[tokio::test]
async fn the_next_attempts_are_by_the_new_plan_and_none_is_cut_off() {
    let gate = Arc::new(Semaphore::new(0));
    let gated = Arc::clone(&gate);
    let slow = Peer::start(move |_| Reply::Gated(Arc::clone(&gated), status_text(200))).await;
    let quick = Peer::start(|_| status(200)).await;
    let store = MemoryStore::new();
    let (_, ids) = store.add(BODY, &["erp"]);
    let (_dispatcher, current) = start(&store, plan(vec![target("erp", slow.address)]));
    wait_until("the request", || slow.seen().len() == 1).await;
    current.replace(Arc::new(plan(vec![target("erp", quick.address)])));
    store.add(BODY, &["erp"]);
    wait_until("the second", || store.count(StateKind::Delivered) == 1).await;
    gate.add_permits(1);
    wait_until("both", || store.count(StateKind::Delivered) == 2).await;
    assert_eq!(store.attempts_of(ids[0]).len(), 1, "it was not cut off");
    assert_eq!((slow.seen().len(), quick.seen().len()), (1, 1));
}

#[tokio::test]
async fn connections_outlive_a_plan_that_does_not_touch_them() {
    let peer = Peer::start(|_| status(200)).await;
    let store = MemoryStore::new();
    let (_dispatcher, current) = start(&store, plan(vec![target("erp", peer.address)]));
    for round in 1..=3 {
        store.add(BODY, &["erp"]);
        wait_until("a delivery", || store.count(StateKind::Delivered) == round).await;
        let mut erp = target("erp", peer.address);
        erp.timeout += Duration::from_secs(round as u64);
        current.replace(Arc::new(plan(vec![erp])));
    }
    assert_eq!(peer.connections(), 1);
}

#[tokio::test]
async fn what_waits_goes_on_once_a_store_that_is_being_rebuilt_can_tell() {
    let peer = Peer::start(|_| status(200)).await;
    let store = MemoryStore::new();
    let (_, ids) = store.add(BODY, &["erp"]);
    store.change(ids[0], |delivery| {
        delivery.state = State::Pending { due: HELD };
    });
    store.set_unavailable(Some("rebuilding"));
    let (_dispatcher, _) = start(&store, plan(vec![target("erp", peer.address)]));
    // It is asked while it cannot tell.
    wait_until("the first question", || store.resumes() > 0).await;
    store.set_unavailable(None);
    wait_until("the delivery", || store.count(StateKind::Delivered) == 1).await;
}
