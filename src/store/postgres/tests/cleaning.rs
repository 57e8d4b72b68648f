//! What is let go, and what is kept: whole days, and what of them is not done. And what a long queue costs.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::super::claims::{CLAIM, NEXT, columns};
use super::super::{PgOptions, PgStore, migrate};
use super::contract::options;
use super::fleet::settlement;
use super::{Database, Server, or_skip};
use crate::clock::{Clock, ManualClock};
use crate::delivery::{DeadReason, Next, StateKind};
use crate::event::{Event, EventParts};
use crate::id::{DeliveryId, EventId};
use crate::store::contract::{admission, name};
use crate::store::{Admission, Claimed, Store, StoreError};

const DAY: Duration = Duration::from_secs(24 * 3600);

async fn open(database: &Database, clock: &Arc<ManualClock>) -> PgStore {
    let options = PgOptions {
        retention: 2 * DAY,
        dead_retention: Some(10 * DAY),
        ..options(database)
    };
    let clock = Arc::clone(clock);
    let opened = PgStore::open(&options, Some(clock)).await;
    opened.unwrap()
}

/// An id of this time.
fn id_at(now: Timestamp, n: u8) -> [u8; 16] {
    let mut id = *EventId::first_at(now).as_bytes();
    id[15] = n;
    id
}

/// An event of this time with a delivery to `erp`; its ids are of that time as well.
fn admission_at(now: Timestamp, n: u8) -> Admission {
    let mut new = admission(now, &["erp"], "{}");
    let id = EventId::from_bytes(id_at(now, n));
    new.event = Arc::new(Event::from_stored(EventParts {
        id,
        ..new.event.parts().clone()
    }));
    new.deliveries[0].event = id;
    new.deliveries[0].id = DeliveryId::from_bytes(id_at(now, n + 100));
    new
}

/// The tables of days that there are.
fn days(database: &Database) -> usize {
    let text = database.psql("SELECT count(*) FROM pg_class WHERE relname ~ '^event_[0-9]{8}$'");
    text.trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn days_are_dropped_but_for_what_is_not_done() {
    let Some(server) = or_skip(Server::shared()) else {
        return;
    };
    let database = server.database();
    let start: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
    let clock = Arc::new(ManualClock::new(start));
    let store = open(&database, &clock).await;
    assert_eq!(days(&database), 3);
    let erp = name("erp");
    let mut ids = Vec::new();
    for n in 0..4_u8 {
        let new = admission_at(clock.now(), n);
        ids.push((new.event.id(), new.deliveries[0].id));
        store.admit(new).await.unwrap();
    }
    let settled = |claimed: &Claimed, next| settlement(claimed, next, clock.now());
    for claimed in store.claim(&erp, 9).await.unwrap().taken {
        let n = ids.iter().position(|(_, id)| *id == claimed.delivery.id);
        let next = match n.unwrap() {
            0 | 1 => Next::Done,
            2 => Next::Bury(DeadReason::Gone),
            _ => Next::RetryAt(clock.now()),
        };
        let settlement = settled(&claimed, next);
        store.settle(claimed.lease, settlement).await.unwrap();
    }
    clock.advance(DAY);
    store.inner.clean().await.unwrap();
    assert_eq!(days(&database), 4, "a new one is made ahead");
    assert_eq!(store.events(None, 9).await.unwrap().len(), 4);
    // past retention the day goes; what is pending or dead stays, with its attempts
    clock.advance(2 * DAY + Duration::from_secs(3600 * 13));
    store.inner.clean().await.unwrap();
    let listed = store.events(None, 9).await.unwrap();
    let left: Vec<EventId> = listed.iter().map(|row| row.id).collect();
    assert_eq!(left, [ids[3].0, ids[2].0]);
    for (event, delivery) in &ids[..2] {
        assert!(matches!(
            store.event(*event).await,
            Err(StoreError::NotFound)
        ));
        assert_eq!(store.delivery(*delivery).await, Err(StoreError::NotFound));
    }
    for (event, delivery) in &ids[2..] {
        assert_eq!(store.event(*event).await.unwrap().parts().body, "{}");
        assert_eq!(store.attempts(*delivery).await.unwrap().len(), 1);
    }
    // it can be worked on as before, and goes once it is done
    let claimed = store.claim(&erp, 9).await.unwrap().taken.remove(0);
    assert_eq!(claimed.delivery.id, ids[3].1);
    let settlement = settled(&claimed, Next::Done);
    store.settle(claimed.lease, settlement).await.unwrap();
    assert_eq!(store.attempts(ids[3].1).await.unwrap().len(), 2);
    store.inner.clean().await.unwrap();
    assert_eq!(store.events(None, 9).await.unwrap().len(), 1);
    // the dead one has its own time
    let dead = store.listed(ids[2].1).await.unwrap().delivery;
    assert_eq!(dead.state.kind(), StateKind::Dead);
    clock.advance(10 * DAY);
    store.inner.clean().await.unwrap();
    assert!(store.events(None, 9).await.unwrap().is_empty());
    let rows = "SELECT (SELECT count(*) FROM ingate.delivery) + (SELECT count(*) FROM ingate.attempt) \
        + (SELECT count(*) FROM ingate.seen)";
    assert_eq!(database.psql(rows).trim(), "0");
    store.close().await;
}

#[tokio::test]
async fn a_claim_reads_what_it_takes_however_long_the_queue_is() {
    let Some((database, connection)) = super::database() else {
        return;
    };
    let pool = connection.pool().unwrap();
    let mut client = connection.first(&pool).await.unwrap();
    migrate::migrate(&mut client).await.unwrap();
    database.psql(
        "INSERT INTO ingate.event SELECT ('0196e0a0-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 's', 1, '{}', NULL, 2, \
            '{}', NULL FROM generate_series(1, 20000) n; \
         INSERT INTO ingate.delivery (id, event, route, target, state, at, attempts, started_at, ready) \
            SELECT ('0196e0a0-0000-7000-9000-' || lpad(to_hex(n), 12, '0'))::uuid, \
                ('0196e0a0-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'r', 'erp', 0, n, 0, 1, true \
            FROM generate_series(1, 20000) n; \
         INSERT INTO ingate.owner (task, instance) VALUES ('target:erp', 1); ANALYZE",
    );
    let prepare = [
        ("c (text, bigint, bigint, bigint, bigint)", columns(CLAIM)),
        ("n (text, bigint, bigint)", NEXT.to_owned()),
    ];
    for (head, statement) in prepare {
        let prepare = format!("PREPARE {head} AS {statement}");
        client.batch_execute(&prepare).await.unwrap();
    }
    for (execute, rows) in [
        ("c ('erp', 100000, 64, 1, 7)", 64),
        ("n ('erp', 5, 900000)", 1),
    ] {
        let explain = format!("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) EXECUTE {execute}");
        let lines = client.query(&explain, &[]).await.unwrap();
        let plan: Vec<String> = lines.iter().map(|line| line.get(0)).collect();
        let plan = plan.join("\n");
        assert!(plan.contains("using delivery_due on delivery"), "{plan}");
        // no step goes over more rows than are taken
        let most = plan.split("rows=").skip(1).filter_map(|rest| {
            let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
            digits.parse::<u32>().ok()
        });
        assert_eq!(most.max(), Some(rows), "{plan}");
        assert!(!plan.contains("Rows Removed by Filter"), "{plan}");
    }
}
