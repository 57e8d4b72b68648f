//! Several instances on one store: who makes attempts, what moves when one ends, and pauses that hold everywhere.

use super::*;
use crate::dispatch::lanes::Pauses;
use crate::plan::BreakerPolicy;
use crate::store::{Pause, Task};

/// Opens after three failures in a row.
const POLICY: BreakerPolicy = BreakerPolicy {
    failures: 3,
    ratio: 1.0,
    requests: 1000,
    window: Duration::from_secs(30),
};

fn fragile(to: SocketAddr) -> Vec<Target> {
    vec![Target {
        breaker: Some(POLICY),
        concurrency: 1,
        ..target("erp", to)
    }]
}

fn erp() -> TargetName {
    "erp".parse().unwrap()
}

#[tokio::test]
async fn one_instance_has_a_target_and_another_takes_it_as_down_as_it_was() {
    let up = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let said = Arc::clone(&up);
    let peer = Peer::start(move |_| match said.load(Ordering::SeqCst) {
        true => status(200),
        false => status(503),
    })
    .await;
    let one = MemoryStore::new();
    let two = one.instance(2);
    let (first, _) = start(&one, fragile(peer.address));
    let task = Task::Target(erp());
    wait_until("the first has it", || one.owns(&task)).await;
    let (second, metrics) = start(&two, fragile(peer.address));
    let lanes = second.lanes();
    wait_until("the second knows", || {
        lanes.get(&erp()).is_some_and(|view| view.elsewhere)
    })
    .await;
    assert!(!metrics.encode().contains("ingate_breaker_state{"));
    for _ in 0..POLICY.failures {
        two.add(BODY, &["erp"]);
    }
    let state = |lanes: &Lanes| {
        let view = lanes.get(&erp()).unwrap();
        (view.breaker.unwrap().state, view.elsewhere)
    };
    wait_until("it is down", || {
        state(&first.lanes()) == (BreakerState::Open, false)
    })
    .await;
    let told = || one.fleet();
    assert_eq!(told().await.unwrap().unwrap()[0].down, [erp()]);

    drop(first);
    one.bury();
    let began = Instant::now();
    wait_until("the second takes it as it was", || {
        state(&lanes) == (BreakerState::Open, false)
    })
    .await;
    assert_eq!(two.fleet().await.unwrap().unwrap()[0].down, [erp()]);
    let before = peer.seen().len();
    up.store(true, Ordering::SeqCst);
    wait_until("it is probed", || peer.seen().len() > before).await;
    assert!(began.elapsed() >= Duration::from_millis(900));
    wait_until("it is up", || {
        state(&lanes) == (BreakerState::Closed, false)
    })
    .await;
    assert!(two.fleet().await.unwrap().unwrap()[0].down.is_empty());
    let metrics = metrics.encode();
    assert!(metrics.contains("ingate_breaker_state{target=\"erp\",state=\"closed\"} 1"));
    assert!(
        metrics.contains("ingate_breaker_opened_total{target=\"erp\"} 0"),
        "it has opened elsewhere"
    );
}

#[tokio::test]
async fn a_pause_that_is_set_at_one_instance_holds_at_the_others() {
    let peer = Peer::start(|_| status(204)).await;
    let one = MemoryStore::new();
    let two = one.instance(2);
    let targets = || vec![target("erp", peer.address)];
    let (first, _) = start(&one, targets());
    wait_until("the first has it", || one.owns(&Task::Target(erp()))).await;
    let (second, _) = start(&two, targets());
    let by = Some("somebody".to_owned());
    let pause = two.set_pause(&erp(), by).await.unwrap();
    second.lanes().set_pause(&erp(), pause);
    let lanes = first.lanes();
    wait_until("it is known", || lanes.paused(&erp()).is_some()).await;
    one.add(BODY, &["erp"]);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(peer.seen().is_empty());
    let pause = two.set_pause(&erp(), None).await.unwrap();
    second.lanes().set_pause(&erp(), pause);
    wait_until("it goes on", || peer.seen().len() == 1).await;
}

#[test]
fn what_was_read_before_a_change_does_not_undo_it() {
    let lanes = Lanes::default();
    let pause = |by: &str| Pause {
        since: Timestamp::UNIX_EPOCH,
        by: by.to_owned(),
    };
    let none = Pauses::new();
    let paused = Pauses::from([(erp(), pause("a"))]);
    let then = lanes.pauses_changed();
    lanes.set_pause(&erp(), Some(pause("a")));
    assert!(lanes.set_pauses(&none, then).is_empty());
    assert!(lanes.paused(&erp()).is_some(), "it was set meanwhile");
    let then = lanes.pauses_changed();
    assert_eq!(lanes.set_pauses(&none, then), [erp()]);
    assert!(lanes.paused(&erp()).is_none());
    let mut watcher = lanes.watch_pauses();
    watcher.mark_unchanged();
    assert!(lanes.set_pauses(&none, then).is_empty());
    assert!(
        !watcher.has_changed().unwrap(),
        "nobody is woken for nothing"
    );
    assert_eq!(lanes.set_pauses(&paused, then), [erp()]);
    assert!(watcher.has_changed().unwrap());
    lanes.set_pause(&erp(), None);
    assert!(lanes.set_pauses(&paused, then).is_empty());
    assert!(lanes.paused(&erp()).is_none(), "it was lifted meanwhile");
}

#[tokio::test]
async fn what_waited_for_a_route_goes_on_at_an_instance_that_has_it() {
    let peer = Peer::start(|_| status(204)).await;
    let one = MemoryStore::new();
    let two = one.instance(2);
    let targets = || vec![target("erp", peer.address)];
    // The first has the target, but not the route.
    let mut bare = plan(targets());
    bare.router = crate::plan::Router::new(Vec::new());
    let store: Arc<dyn Store> = Arc::<MemoryStore>::clone(&one);
    let first = Dispatcher::start(
        Current::new(Arc::new(bare)),
        store,
        Arc::new(SystemClock),
        Arc::new(Metrics::new()),
        Arc::default(),
        Spans::nowhere(),
    );
    let task = Task::Target(erp());
    wait_until("the first has it", || one.owns(&task)).await;
    let (second, _) = start(&two, targets());
    let lanes = second.lanes();
    wait_until("the second knows", || {
        lanes.get(&erp()).is_some_and(|view| view.elsewhere)
    })
    .await;
    let (_, ids) = two.add(BODY, &["erp"]);
    wait_until(
        "it is held",
        || matches!(one.state(ids[0]), State::Pending { due } if due == crate::delivery::HELD),
    )
    .await;
    drop(first);
    one.bury();
    wait_until("it is delivered", || {
        matches!(one.state(ids[0]), State::Delivered { .. })
    })
    .await;
}

#[tokio::test]
async fn an_instance_that_stops_gives_its_targets_away_once_their_attempts_have_ended() {
    let gate = Arc::new(Semaphore::new(0));
    let (script, text) = (Arc::clone(&gate), status_text(204));
    let peer = Peer::start(move |_| Reply::Gated(Arc::clone(&script), text.clone())).await;
    let one = MemoryStore::new();
    let two = one.instance(2);
    let targets = || vec![target("erp", peer.address)];
    let (first, _) = start(&one, targets());
    let task = Task::Target(erp());
    wait_until("the first has it", || one.owns(&task)).await;
    let (_second, _) = start(&two, targets());
    one.add(BODY, &["erp"]);
    wait_until("an attempt", || peer.seen().len() == 1).await;
    let draining = tokio::spawn(first.drain(Duration::from_secs(20)));
    tokio::time::sleep(Duration::from_millis(50)).await;
    two.add(BODY, &["erp"]);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(one.owns(&task) && peer.seen().len() == 1);
    gate.add_permits(10);
    wait_until("the second goes on", || {
        two.count(StateKind::Delivered) == 2
    })
    .await;
    assert!(two.owns(&task));
    draining.await.unwrap();
}
