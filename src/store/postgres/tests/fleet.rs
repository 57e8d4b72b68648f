//! Several instances on one database, in one process: who owns what, and what becomes of it when one is not heard of.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::server::Halt;
use jiff::Timestamp;

use super::super::{PgOptions, PgStore};
use super::contract::options;
use super::{Database, Server, or_skip};
use crate::delivery::{Attempt, DeadReason, Next, Outcome, ReplayMode, State};
use crate::id::{ReplayId, TargetName};
use crate::store::contract::{admission, keyed, name};
use crate::store::{
    Claimed, Novelty, ReplayFilter, ReplayPhase, ReplayState, Settled, Settlement, Store,
    StoreError, Task,
};

/// How long something that happens by itself is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

fn quick(database: &Database, lease: Duration) -> PgOptions {
    PgOptions {
        lease,
        ..options(database)
    }
}

async fn open(options: &PgOptions) -> Arc<PgStore> {
    let opened = PgStore::open(options, None).await;
    Arc::new(opened.unwrap())
}

fn done(claimed: &Claimed, next: Next) -> Settlement {
    settlement(claimed, next, claimed.delivery.started_at)
}

/// An attempt that began then and was answered 200, whatever follows from it.
pub fn settlement(claimed: &Claimed, next: Next, began: Timestamp) -> Settlement {
    Settlement {
        attempt: Attempt {
            number: claimed.delivery.attempts + 1,
            started_at: began,
            took: Duration::from_millis(1),
            outcome: Outcome::Answered {
                status: 200,
                retry_after: None,
                snippet: String::new(),
            },
            sent: None,
        },
        next,
        frozen: None,
    }
}

/// Claims until something is given out.
async fn claim_some(store: &PgStore, target: &TargetName) -> Vec<Claimed> {
    let begun = Instant::now();
    loop {
        let claims = store.claim(target, 100).await.unwrap();
        if !claims.taken.is_empty() {
            return claims.taken;
        }
        assert!(begun.elapsed() < PATIENCE, "nothing is given out");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_has_one_owner_that_finds_what_others_have_taken_in() {
    let Some(server) = or_skip(Server::shared()) else {
        return;
    };
    let database = server.database();
    let options = options(&database);
    let (one, two) = (open(&options).await, open(&options).await);
    let erp = name("erp");
    assert!(one.claim(&erp, 1).await.unwrap().taken.is_empty());
    let none = two.claim(&erp, 1).await.unwrap();
    assert!(none.elsewhere && none.taken.is_empty());
    let mut ids = BTreeSet::new();
    for store in [&one, &two, &two] {
        let new = admission(store.clock().now(), &["erp"], "{}");
        ids.insert(new.deliveries[0].id);
        store.admit(new).await.unwrap();
    }
    let mut taken = BTreeSet::new();
    while taken.len() < ids.len() {
        for claimed in claim_some(&one, &erp).await {
            assert!(taken.insert(claimed.delivery.id));
            let settled = one.settle(claimed.lease, done(&claimed, Next::Done)).await;
            assert_eq!(settled, Ok(Settled::Recorded));
        }
    }
    assert_eq!(taken, ids);
    assert!(two.claim(&erp, 1).await.unwrap().taken.is_empty());
    // both say the same of who they are
    let fleet = two.fleet().await.unwrap().unwrap();
    let owners: Vec<_> = fleet.iter().map(|it| (it.this, it.owns.clone())).collect();
    assert_eq!(owners, [(false, vec![erp.clone()]), (true, vec![])]);
    // the one that goes gives back what it had
    one.set_down(&erp, true);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    one.close().await;
    let begun = Instant::now();
    let mut told_down = false;
    loop {
        let claims = two.claim(&erp, 1).await.unwrap();
        told_down |= claims.down;
        if !claims.elsewhere && !claims.down {
            break;
        }
        assert!(begun.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(told_down, "the owner before took it to be down");
    two.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_had_that_is_not_heard_of_is_taken_over_and_it_is_fenced() {
    let Some(server) = or_skip(Server::shared()) else {
        return;
    };
    let database = server.database();
    let lease = Duration::from_secs(2);
    let (one, two) = (
        open(&quick(&database, lease)).await,
        open(&quick(&database, lease)).await,
    );
    let erp = name("erp");
    for _ in 0..3 {
        let new = admission(one.clock().now(), &["erp"], "{}");
        one.admit(new).await.unwrap();
    }
    let mut had = claim_some(&one, &erp).await;
    assert_eq!(had.len(), 3);
    let before = had.pop().unwrap();
    let task = Task::AutoRevive;
    assert_eq!(one.own(&task).await, Ok(true));
    assert_eq!(two.own(&task).await, Ok(false));
    // as if it were stopped
    one.fall_silent();
    let settled = one.settle(before.lease, done(&before, Next::Done)).await;
    assert_eq!(settled, Ok(Settled::Recorded), "it is still its own");
    let taken = claim_some(&two, &erp).await;
    assert_eq!(taken.len(), 2);
    assert!(one.claim(&erp, 9).await.unwrap().elsewhere);
    assert_eq!(two.own(&task).await, Ok(true));
    for claimed in &had {
        let late = one.settle(claimed.lease, done(claimed, Next::Done)).await;
        assert_eq!(late, Ok(Settled::Fenced));
    }
    for claimed in &taken {
        let buried = Next::Bury(DeadReason::Gone);
        let settled = two.settle(claimed.lease, done(claimed, buried)).await;
        assert_eq!(settled, Ok(Settled::Recorded));
    }
    // heard of again, it is another one, and has nothing of what it had
    one.beat().await.unwrap();
    one.beat().await.unwrap();
    assert!(one.claim(&erp, 9).await.unwrap().taken.is_empty());
    let fleet = one.fleet().await.unwrap().unwrap();
    assert_eq!(fleet.len(), 2);
    let this = fleet.iter().find(|it| it.this).unwrap();
    assert!(this.id > fleet[0].id && this.owns.is_empty());
    one.close().await;
    two.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn targets_are_shared_out_among_those_who_have_them() {
    let Some(server) = or_skip(Server::shared()) else {
        return;
    };
    let database = server.database();
    let options = quick(&database, Duration::from_secs(3));
    let all: Vec<TargetName> = (0..40).map(|n| name(&format!("t{n}"))).collect();
    let set: BTreeSet<TargetName> = all.iter().cloned().collect();
    let mut stores = Vec::new();
    for _ in 0..3 {
        let store = open(&options).await;
        store.set_targets(&set);
        stores.push(store);
    }
    let begun = Instant::now();
    loop {
        let fleet = stores[0].fleet().await.unwrap().unwrap();
        let counts: Vec<usize> = fleet.iter().map(|it| it.owns.len()).collect();
        let whole = counts.iter().sum::<usize>() == all.len();
        if whole && counts.len() == 3 && counts.iter().all(|count| *count >= 5) {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{counts:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // one that goes leaves its share to the others
    stores.remove(1).close().await;
    loop {
        let fleet = stores[0].fleet().await.unwrap().unwrap();
        let owned: usize = fleet.iter().map(|it| it.owns.len()).sum();
        if owned == all.len() && fleet.len() == 2 {
            break;
        }
        assert!(begun.elapsed() < PATIENCE * 2);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for store in stores {
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_event_that_comes_in_at_several_is_stored_once() {
    let Some(server) = or_skip(Server::shared()) else {
        return;
    };
    let database = server.database();
    let options = options(&database);
    let stores = [
        open(&options).await,
        open(&options).await,
        open(&options).await,
    ];
    for round in 0..20_u8 {
        let mut tasks = Vec::new();
        for n in 0..12 {
            let store = Arc::clone(&stores[n % 3]);
            let twin = keyed(store.clock().now(), round, 1);
            tasks.push(tokio::spawn(async move { store.admit(twin).await }));
        }
        let mut answers = Vec::new();
        for task in tasks {
            answers.push(task.await.unwrap().unwrap());
        }
        let new = answers.iter().filter(|it| it.novelty == Novelty::New);
        assert_eq!(new.count(), 1);
        assert!(answers.iter().all(|it| it.event == answers[0].event));
    }
    assert_eq!(stores[0].events(None, 99).await.unwrap().len(), 20);
    for store in stores {
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_database_is_away_nothing_waits_and_then_all_goes_on() {
    let server = match or_skip(Server::start()) {
        Some(server) => server,
        None => return,
    };
    let database = server.database();
    let store = open(&quick(&database, Duration::from_secs(3))).await;
    let erp = name("erp");
    let new = admission(store.clock().now(), &["erp"], "{}");
    let id = new.deliveries[0].id;
    store.admit(new).await.unwrap();
    let claimed = claim_some(&store, &erp).await.remove(0);
    server.restart(Halt::Immediate).unwrap();
    // the first ones find out, and from then on it is known
    let begun = Instant::now();
    let settled = loop {
        match store
            .settle(claimed.lease, done(&claimed, Next::Done))
            .await
        {
            Ok(settled) => break settled,
            Err(StoreError::Unavailable(_)) => {}
            Err(other) => panic!("{other}"),
        }
        assert!(begun.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(settled, Settled::Recorded);
    let state = store.delivery(id).await.unwrap().state;
    assert!(matches!(state, State::Delivered { .. }));
    let new = admission(store.clock().now(), &["erp"], "{}");
    store.admit(new).await.unwrap();
    assert_eq!(claim_some(&store, &erp).await.len(), 1);
    server.stop(Halt::Fast);
    let begun = Instant::now();
    loop {
        let new = admission(store.clock().now(), &["erp"], "{}");
        let asked = Instant::now();
        let refused = store.admit(new).await;
        assert!(matches!(refused, Err(StoreError::Unavailable(_))));
        if store.health() != crate::store::Health::Ready {
            let new = admission(store.clock().now(), &["erp"], "{}");
            let asked = Instant::now();
            assert!(store.admit(new).await.is_err());
            assert!(asked.elapsed() < Duration::from_secs(1), "said at once");
            break;
        }
        assert!(asked.elapsed() < PATIENCE && begun.elapsed() < PATIENCE);
    }
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_that_was_cancelled_elsewhere_stays_so() {
    let Some(server) = or_skip(Server::shared()) else {
        return;
    };
    let database = server.database();
    let options = options(&database);
    let (one, two) = (open(&options).await, open(&options).await);
    let begun = ReplayState::begun(
        ReplayId::generate(),
        ReplayMode::Frozen,
        ReplayFilter::default(),
        "somebody",
        one.clock().now(),
    );
    let running = ReplayState {
        total: Some(9),
        done: 1,
        revived: 1,
        ..begun
    };
    let id = running.id;
    let task = Task::Replay(id);
    assert!(one.own(&task).await.unwrap());
    assert!(!two.own(&task).await.unwrap());
    one.put_replay(&running, true).await.unwrap();
    let cancelled = ReplayState {
        phase: ReplayPhase::Cancelled,
        ..running.clone()
    };
    two.put_replay(&cancelled, true).await.unwrap();
    let phase = |done, phase| ReplayState {
        done,
        phase,
        ..running.clone()
    };
    for (put, kept) in [
        (phase(2, ReplayPhase::Running), 1),
        (phase(3, ReplayPhase::Done), 1),
        // who ran it says how far it was
        (phase(4, ReplayPhase::Cancelled), 4),
    ] {
        one.put_replay(&put, true).await.unwrap();
        let found = two.replay(id).await.unwrap();
        assert_eq!((found.phase, found.done), (ReplayPhase::Cancelled, kept));
    }
    one.disown(&task).await.unwrap();
    assert!(two.own(&task).await.unwrap());
    for store in [one, two] {
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_of_which_nobody_knows_are_given_back() {
    let Some(server) = or_skip(Server::shared()) else {
        return;
    };
    let database = server.database();
    let store = open(&options(&database)).await;
    let erp = name("erp");
    for _ in 0..3 {
        let new = admission(store.clock().now(), &["erp"], "{}");
        store.admit(new).await.unwrap();
    }
    let mut taken = Vec::new();
    while taken.len() < 3 {
        taken.extend(claim_some(&store, &erp).await);
    }
    // As if a crash of the database had taken back what came of two of them.
    for claimed in &taken[..2] {
        let settled = store.settle(claimed.lease, done(claimed, Next::Done)).await;
        assert_eq!(settled, Ok(Settled::Recorded));
        database.psql(&format!(
            "update ingate.delivery set state = 0, lease = {}, holder = {} where id = '{}'",
            claimed.lease.token,
            store.inner.me.id(),
            uuid::Uuid::from_bytes(*claimed.delivery.id.as_bytes()),
        ));
    }
    let unknown = store.inner.find_strays(&HashSet::new()).await.unwrap();
    let lost: HashSet<_> = taken[..2].iter().map(|claimed| claimed.lease).collect();
    assert_eq!(unknown, lost, "the third is out");
    assert!(store.claim(&erp, 9).await.unwrap().taken.is_empty());
    assert!(store.inner.find_strays(&unknown).await.unwrap().is_empty());
    let again = claim_some(&store, &erp).await;
    let ids = |all: &[Claimed]| -> BTreeSet<_> { all.iter().map(|it| it.delivery.id).collect() };
    assert_eq!(ids(&again), ids(&taken[..2]));
    store.close().await;
}
