//! Breaker, rate and concurrency over real sockets: what may not begin stays in the store untouched.

use super::*;
use crate::delivery::HELD;
use crate::plan::BreakerPolicy;
use crate::units::parse_rate;

const FAILURES: u32 = 3;

/// Opens after three failures in a row.
const POLICY: BreakerPolicy = BreakerPolicy {
    failures: FAILURES,
    ratio: 1.0,
    requests: 1000,
    window: Duration::from_secs(30),
};

/// A target that is tried one at a time, so that it is known which attempt opens the breaker.
fn fragile(to: SocketAddr) -> Target {
    Target {
        breaker: Some(POLICY),
        concurrency: 1,
        ..target("erp", to)
    }
}

struct Running {
    current: Current,
    dispatcher: Dispatcher,
    metrics: Arc<Metrics>,
}

fn run(store: &Arc<MemoryStore>, target: Target) -> Running {
    let metrics = Arc::new(Metrics::new());
    let store: Arc<dyn Store> = Arc::<MemoryStore>::clone(store);
    let current = Current::new(Arc::new(plan(vec![target])));
    let clock = Arc::new(SystemClock);
    let dispatcher = Dispatcher::start(
        current.clone(),
        store,
        clock,
        Arc::clone(&metrics),
        Arc::default(),
        Spans::nowhere(),
    );
    Running {
        current,
        dispatcher,
        metrics,
    }
}

impl Running {
    fn view(&self) -> Option<LaneView> {
        self.dispatcher.lanes().get(&"erp".parse().unwrap())
    }

    fn breaker(&self) -> Option<BreakerView> {
        self.view().and_then(|view| view.breaker)
    }

    async fn until(&self, state: BreakerState) -> BreakerView {
        let found = || self.breaker().filter(|it| it.state == state);
        wait_until(state.as_str(), || found().is_some()).await;
        found().unwrap()
    }

    fn has(&self, series: &str) -> bool {
        self.metrics.encode().contains(series)
    }

    fn reload(&self, target: Target) {
        self.current.replace(Arc::new(plan(vec![target])));
    }
}

#[tokio::test]
async fn what_waits_for_a_probe_is_untouched() {
    let gate = Arc::new(Semaphore::new(0));
    let gated = Arc::clone(&gate);
    let peer = Peer::start(move |number| match number {
        0..3 => status(503),
        3 => Reply::Gated(Arc::clone(&gated), status_text(200)),
        _ => status(200),
    })
    .await;
    let store = MemoryStore::new();
    let running = run(&store, fragile(peer.address));
    assert!(
        running
            .until(BreakerState::Closed)
            .await
            .last_failure
            .is_none()
    );
    assert!(running.has("ingate_breaker_opened_total{target=\"erp\"} 0"));
    for _ in 0..FAILURES {
        store.add(BODY, &["erp"]);
    }
    let opened = running.until(BreakerState::Open).await;
    let began = Instant::now();
    assert_eq!(opened.failures_in_a_row, FAILURES);
    assert_eq!(opened.last_failure, Some(Fault::Status(503)));
    let wait = crate::clock::between(opened.since, opened.next_probe.unwrap());
    assert!((900..=1001).contains(&wait.as_millis()), "{wait:?}");
    assert!(running.has("ingate_breaker_state{target=\"erp\",state=\"open\"} 1"));
    assert!(running.has("ingate_breaker_opened_total{target=\"erp\"} 1"));
    // Arrivals do not wake it.
    let asked = store.claims();
    let waiting: Vec<DeliveryId> = (0..5).map(|_| store.add(BODY, &["erp"]).1[0]).collect();

    let probing = running.until(BreakerState::HalfOpen).await;
    assert!(began.elapsed() > Duration::from_millis(900));
    assert_eq!((probing.since, probing.next_probe), (opened.since, None));
    wait_until("the probe", || peer.seen().len() == 4).await;
    assert_eq!(store.claims(), asked + 1);
    assert_eq!(store.leased(), 1);
    assert!(waiting.iter().all(|id| store.attempts_of(*id).is_empty()));
    assert!(running.has("ingate_breaker_state{target=\"erp\",state=\"half_open\"} 1"));
    assert!(running.has("ingate_target_running{target=\"erp\"} 1"));

    gate.add_permits(1);
    wait_until("all that waited", || store.count(StateKind::Delivered) >= 5).await;
    let closed = running.until(BreakerState::Closed).await;
    assert!(closed.since > opened.since);
    assert_eq!(closed.failures_in_a_row, 0);
    assert!(waiting.iter().all(|id| store.attempts_of(*id).len() == 1));
    assert!(running.has("ingate_breaker_state{target=\"erp\",state=\"open\"} 0"));

    running.current.replace(Arc::new(plan(Vec::new())));
    wait_until("it is gone", || running.view().is_none()).await;
    for series in ["breaker_state", "breaker_opened_total", "target_running"] {
        assert!(!running.has(&format!("ingate_{series}{{")), "{series}");
    }
}

#[tokio::test]
async fn a_probe_that_sends_nothing_is_followed_by_another_one_at_once() {
    let peer = Peer::start(|number| status(if number < 3 { 503 } else { 200 })).await;
    let store = MemoryStore::new();
    let running = run(&store, fragile(peer.address));
    for _ in 0..FAILURES {
        store.add(BODY, &["erp"]);
    }
    running.until(BreakerState::Open).await;
    let (_, routeless) = store.add(BODY, &["erp"]);
    store.change(routeless[0], |delivery| {
        delivery.route = "gone".parse().unwrap();
    });
    let (_, ids) = store.add(BODY, &["erp"]);
    wait_until("the delivery", || !store.attempts_of(ids[0]).is_empty()).await;
    assert_eq!(store.state(routeless[0]), State::Pending { due: HELD });
    // Had it counted as a failed probe, the next one would be at 3 s, when the first three are due again.
    let delivered = || matches!(store.state(ids[0]), State::Delivered { .. });
    assert!(delivered());
    assert_eq!(peer.seen().len(), 4);
}

#[tokio::test]
async fn a_reload_keeps_it_open_and_off_closes_it() {
    let peer = Peer::start(|number| status(if number < 3 { 503 } else { 200 })).await;
    let store = MemoryStore::new();
    let running = run(&store, fragile(peer.address));
    for _ in 0..FAILURES {
        store.add(BODY, &["erp"]);
    }
    let opened = running.until(BreakerState::Open).await;
    let (_, ids) = store.add(BODY, &["erp"]);
    let mut changed = fragile(peer.address);
    changed.rate = parse_rate("1/h").ok();
    changed.concurrency = 2;
    changed.breaker = Some(BreakerPolicy {
        failures: 100,
        ..POLICY
    });
    running.reload(changed);
    // What it says while it is at work under the new plan: the lane that comes with that plan shows it.
    let mut other = plan(vec![fragile(peer.address), target("crm", peer.address)]);
    other.drain += Duration::from_secs(1);
    running.current.replace(Arc::new(other));
    let lanes = running.dispatcher.lanes();
    wait_until("the other lane", || {
        lanes.get(&"crm".parse().unwrap()).is_some()
    })
    .await;
    assert_eq!(running.breaker(), Some(opened));
    assert!(store.attempts_of(ids[0]).is_empty());

    let mut off = fragile(peer.address);
    off.breaker = None;
    running.reload(off);
    wait_until("the delivery", || store.count(StateKind::Delivered) == 1).await;
    let second = Duration::from_secs(1);
    assert!(store.attempts_of(ids[0])[0].started_at < testing::later(opened.since, second));
    wait_until("it is off", || {
        running.view().is_some_and(|it| it.breaker.is_none())
    })
    .await;
    assert!(!running.has("ingate_breaker_state{target=\"erp\""));
}

#[tokio::test]
async fn attempts_are_spaced_by_the_rate() {
    let peer = Peer::start(|_| status(200)).await;
    let store = MemoryStore::new();
    let ids: Vec<DeliveryId> = (0..21).map(|_| store.add(BODY, &["erp"]).1[0]).collect();
    let mut erp = target("erp", peer.address);
    erp.rate = parse_rate("50/s").ok();
    let _running = run(&store, erp);
    wait_until("all", || store.count(StateKind::Delivered) == ids.len()).await;
    let mut times: Vec<Timestamp> = Vec::new();
    times.extend(ids.iter().map(|id| store.attempts_of(*id)[0].started_at));
    times.sort();
    let took = crate::clock::between(times[0], times[20]);
    // 20 ms each; an attempt may note its time a little after its slot.
    assert!(took > Duration::from_millis(300), "{took:?}");
}

#[tokio::test]
async fn what_sends_nothing_takes_no_slot_of_the_rate() {
    let peer = Peer::start(|_| status(200)).await;
    let store = MemoryStore::new();
    let ids: Vec<DeliveryId> = (0..4).map(|_| store.add(BODY, &["erp"]).1[0]).collect();
    for id in &ids[..2] {
        store.change(*id, |delivery| delivery.route = "gone".parse().unwrap());
    }
    let mut erp = target("erp", peer.address);
    erp.rate = parse_rate("1/h").ok();
    let running = run(&store, erp);
    wait_until("one", || store.count(StateKind::Delivered) == 1).await;
    assert_eq!(store.state(ids[0]), State::Pending { due: HELD });
    assert_eq!(store.state(ids[1]), State::Pending { due: HELD });
    assert!(!store.attempts_of(ids[2]).is_empty());
    // The other one has an hour to wait, unless the rate changes.
    let asked = store.claims();
    store.add(BODY, &["erp"]);
    wait_until("rest", || running.view().is_some_and(|it| it.running == 0)).await;
    assert_eq!(store.claims(), asked);
    assert!(store.attempts_of(ids[3]).is_empty());
    let mut erp = target("erp", peer.address);
    erp.rate = parse_rate("1000/s").ok();
    running.reload(erp);
    wait_until("the rest", || store.count(StateKind::Delivered) == 3).await;
}

#[tokio::test]
async fn a_lower_concurrency_lets_what_runs_end_and_holds_from_then_on() {
    let gate = Arc::new(Semaphore::new(0));
    let reply = Reply::Gated(Arc::clone(&gate), status_text(200));
    let peer = Peer::start(move |_| reply.clone()).await;
    let store = MemoryStore::new();
    for _ in 0..12 {
        store.add(BODY, &["erp"]);
    }
    let with = |concurrency| Target {
        concurrency,
        ..target("erp", peer.address)
    };
    let running = run(&store, with(4));
    wait_until("four", || peer.seen().len() == 4).await;
    running.reload(with(2));
    for ended in 1..=2 {
        gate.add_permits(1);
        wait_until("one less", || {
            running.view().is_some_and(|it| it.running == 4 - ended)
        })
        .await;
    }
    assert_eq!((peer.seen().len(), store.leased()), (4, 2));
    gate.add_permits(1);
    wait_until("a fifth", || peer.seen().len() == 5).await;
    assert_eq!(store.leased(), 2);
    running.reload(with(3));
    wait_until("a sixth", || peer.seen().len() == 6).await;
    assert_eq!(store.leased(), 3);
    gate.add_permits(12);
    wait_until("all", || store.count(StateKind::Delivered) == 12).await;
}
