//! What an attempt is noted to have sent, and what it tells the target of a replay.

use super::*;
use crate::delivery::{BodyFrom, ReplayMark, ReplayMode, Sent};
use crate::id::{Digest, ReplayId};
use crate::pattern::Pattern;
use crate::plan::{Generation, Plan, Revive, Route, Router};
use crate::template::{NoPartials, Template};

/// A plan whose route `all` renders this template, numbered.
fn rendering(targets: Vec<Target>, text: &str) -> (Plan, Digest) {
    let template = Template::compile("t.liquid", text, &NoPartials).unwrap();
    let hash = template.hash();
    let to = targets.iter().map(|target| target.name.clone()).collect();
    let route = Route {
        name: "all".parse().unwrap(),
        from: vec!["wreno".parse().unwrap()],
        pattern: Pattern::default(),
        template: Some(Arc::new(template)),
        schema: None,
        to,
        revive: Revive::Manual,
    };
    let plan = Plan {
        router: Router::new(vec![Arc::new(route)]),
        ..plan(targets)
    };
    let generation = Generation {
        number: 7,
        since: Timestamp::UNIX_EPOCH,
    };
    plan.generation.set(generation).unwrap();
    (plan, hash)
}

fn run(store: &Arc<MemoryStore>, plan: Plan) -> Dispatcher {
    let store: Arc<dyn Store> = Arc::<MemoryStore>::clone(store);
    let metrics = Arc::new(Metrics::new());
    Dispatcher::start(
        Current::new(Arc::new(plan)),
        store,
        Arc::new(SystemClock),
        metrics,
        Arc::default(),
        Spans::nowhere(),
    )
}

#[tokio::test]
async fn what_was_sent_is_noted_with_where_it_came_from() {
    let store = MemoryStore::new();
    let (_, plain) = store.add(BODY, &["erp"]);
    let peer = Peer::start(|_| status(200)).await;
    let (_dispatcher, _) = start(&store, vec![target("erp", peer.address)]);
    wait_until("the delivery", || store.count(StateKind::Delivered) == 1).await;
    let unchanged = Sent {
        generation: None,
        template: None,
        body_from: Some(BodyFrom::Unchanged),
        body: Some(Digest::of(BODY)),
    };
    assert_eq!(store.attempts_of(plain[0])[0].sent, Some(unchanged));

    let store = MemoryStore::new();
    let (_, ids) = store.add(BODY, &["erp", "erp"]);
    store.freeze(ids[1], br#"{"kept":true}"#);
    let (plan, hash) = rendering(
        vec![target("erp", peer.address)],
        r#"{"b": {{ payload.a }}}"#,
    );
    let _dispatcher = run(&store, plan);
    wait_until("both", || store.count(StateKind::Delivered) == 2).await;
    let rendered = Sent {
        generation: Some(7),
        template: Some(hash),
        body_from: Some(BodyFrom::Rendered),
        body: Some(Digest::of(br#"{"b":1}"#)),
    };
    let frozen = Sent {
        template: None,
        body_from: Some(BodyFrom::Frozen),
        body: Some(Digest::of(br#"{"kept":true}"#)),
        ..rendered
    };
    assert_eq!(store.attempts_of(ids[0])[0].sent, Some(rendered));
    assert_eq!(store.attempts_of(ids[1])[0].sent, Some(frozen));
}

#[tokio::test]
async fn what_does_not_render_is_noted_with_its_template() {
    let store = MemoryStore::new();
    let (_, ids) = store.add(BODY, &["erp"]);
    let peer = Peer::start(|_| status(200)).await;
    let (plan, hash) = rendering(
        vec![target("erp", peer.address)],
        "{{ payload.a | divided_by: 0 }}",
    );
    let _dispatcher = run(&store, plan);
    wait_until("the dead letter", || store.count(StateKind::Dead) == 1).await;
    let sent = Sent {
        generation: Some(7),
        template: Some(hash),
        ..Sent::default()
    };
    assert_eq!(store.attempts_of(ids[0])[0].sent, Some(sent));
}

#[tokio::test]
async fn requests_of_a_replay_say_so() {
    let store = MemoryStore::new();
    let peer = Peer::start(|_| status(200)).await;
    let (_, ids) = store.add(BODY, &["erp", "erp", "erp"]);
    let job = ReplayId::generate();
    let mark = |job, of| {
        let mode = ReplayMode::Rerender;
        Some(ReplayMark { job, mode, of })
    };
    store.change(ids[1], |it| it.mark = mark(Some(job), None));
    store.change(ids[2], |it| it.mark = mark(None, Some(ids[0])));
    let (_dispatcher, _) = start(&store, vec![target("erp", peer.address)]);
    wait_until("all", || store.count(StateKind::Delivered) == 3).await;
    let by = format!("\r\ningate-replay: {job}\r\n");
    let of = format!("\r\ningate-replay-of: {}\r\n", ids[0]);
    for (id, has_by, has_of) in [
        (ids[0], false, false),
        (ids[1], true, false),
        (ids[2], false, true),
    ] {
        let line = format!("\r\nwebhook-id: {id}\r\n");
        let seen = peer.seen();
        let head = &seen.iter().find(|it| it.head.contains(&line)).unwrap().head;
        assert_eq!(head.contains(&by), has_by, "{head}");
        assert_eq!(head.contains(&of), has_of, "{head}");
        assert_eq!(head.contains("\r\ningate-replay"), has_by || has_of);
    }
}
