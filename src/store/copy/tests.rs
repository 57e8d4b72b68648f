//! Everything there and back, in every state, and what goes wrong on the way.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Copied, CopyError, FolderSide, Kept, Portion, Progress, Side, copy};
use crate::clock::{Clock, ManualClock, SystemClock};
use crate::delivery::{DeadReason, Delivery, Next, ReplayMark, ReplayMode, Sent, State};
use crate::id::{AuditId, DeliveryId, Digest, EventId, ReplayId};
use crate::metrics::Metrics;
use crate::order::{OnDead, Order, OrderKey};
use crate::secret::Secret;
use crate::store::contract::{Bench, World, admission, everything, keyed, name};
use crate::store::local::OpenError;
use crate::store::postgres::server::{Database, Server, or_skip};
use crate::store::postgres::{Connection, PgOpenError, PgOptions, PgSide, PgSideError, PgStore};
use crate::store::record::StoredAudit;
use crate::store::tests::{assert_sound, open, options};
use crate::store::{
    AuditNote, LocalStore, Novelty, Receipt, ReplayFilter, ReplayPhase, ReplayState, Revival,
    Settled, Store, StoreError,
};

/// The last moment of what is put into a store here: it is of today, as ids are, so that nothing has expired.
fn start() -> Timestamp {
    SystemClock.now()
}

struct Folder(std::path::PathBuf);

#[async_trait]
impl Bench for Folder {
    async fn open(&self, clock: Arc<ManualClock>) -> Arc<dyn Store> {
        Arc::new(open(&options(&self.0), &clock).await)
    }
}

struct InDatabase(String);

#[async_trait]
impl Bench for InDatabase {
    async fn open(&self, clock: Arc<ManualClock>) -> Arc<dyn Store> {
        Arc::new(open_database(&self.0, clock).await.unwrap())
    }
}

async fn open_database(url: &str, clock: Arc<ManualClock>) -> Result<PgStore, PgOpenError> {
    let options = PgOptions {
        connection: connection(url),
        name: "test".to_owned(),
        lease: Duration::from_secs(10),
        retention: Duration::from_secs(7 * 24 * 3600),
        dead_retention: None,
    };
    let clock: Arc<dyn Clock> = clock;
    PgStore::open(&options, Some(clock)).await
}

fn connection(url: &str) -> Connection {
    Connection {
        url: Secret::new(url),
        pool: 4,
        ca: None,
    }
}

fn database() -> Option<Database> {
    Some(or_skip(Server::shared())?.database())
}

/// Puts something of every kind into a store; gives the deliveries of a line, in their order.
async fn fill(world: &World) -> Vec<DeliveryId> {
    let line = line_up(world).await;
    let store = &*world.store;
    // pending after an attempt, with a body that is frozen
    world.admit(&["crm"]).await;
    let claimed = world.claim_one("crm").await;
    let later = world.in_seconds(3600);
    let mut settlement = world.settlement(&claimed, Next::RetryAt(later), Some("{\"frozen\": 1}"));
    settlement.attempt.sent = Some(Sent {
        generation: Some(3),
        template: Some(Digest::of(b"template")),
        ..Sent::default()
    });
    store.settle(claimed.lease, settlement).await.unwrap();
    // delivered to one target and dead at another
    world.admit(&["erp", "crm"]).await;
    let done = world.claim_one("erp").await;
    world.settle(&done, Next::Done, None).await;
    let dead = world.claim_one("crm").await;
    let bury = Next::Bury(DeadReason::Exhausted);
    world.settle(&dead, bury, Some("\u{0}bytes")).await;
    // discarded, held, revived
    let (_, discarded) = world.admit(&["crm"]).await;
    store.discard(discarded[0]).await.unwrap();
    world.admit(&["crm"]).await;
    let held = world.claim_one("crm").await;
    store.hold(held.lease).await.unwrap();
    let (_, revived) = world.admit(&["hr"]).await;
    let claimed = world.claim_one("hr").await;
    world.settle(&claimed, bury, Some("old")).await;
    let by = Revival::new(ReplayMode::Rerender, Some(ReplayId::generate()));
    store.revive_as(revived[0], by).await.unwrap();
    // of no route; purged; added to; verified; one that is told from its repetition
    world.admit(&[]).await;
    let (purged, _) = world.admit(&["hr"]).await;
    store.purge(purged).await.unwrap();
    let (more, _) = world.admit(&["hr"]).await;
    let added = Delivery {
        id: DeliveryId::generate(),
        event: more,
        mark: Some(ReplayMark {
            job: None,
            mode: ReplayMode::Reroute,
            of: Some(revived[0]),
        }),
        ..held.delivery.clone()
    };
    let added = Delivery {
        state: State::Pending { due: world.now() },
        ..added
    };
    store.add_deliveries(more, vec![added]).await.unwrap();
    let mut keyed = keyed(world.now(), 7, 7);
    let key = keyed.dedupe.as_mut().unwrap();
    key.window = Duration::from_secs(3600);
    keyed.receipt = Some(Receipt {
        scheme: "wreno".to_owned(),
        secret: 1,
        skew_seconds: Some(-3),
        message_id_covered: true,
        generation: Some(2),
    });
    store.admit(keyed).await.unwrap();
    operate(world).await;
    line
}

/// A line whose first one waits, and another whose first one is dead and holds it.
async fn line_up(world: &World) -> Vec<DeliveryId> {
    let mut line = Vec::new();
    for (key, count) in [(1_u8, 4), (2, 2)] {
        for _ in 0..count {
            let mut new = admission(world.now(), &["lined"], "{}");
            let order = Order {
                key: OrderKey::from_bytes([key; 16]),
                on_dead: OnDead::Hold,
            };
            new.deliveries[0].order = Some(order);
            if key == 1 {
                line.push(new.deliveries[0].id);
            }
            world.store.admit(new).await.unwrap();
        }
    }
    for claimed in world.claim("lined", 10).await {
        let first = claimed.delivery.id == line[0];
        let next = match first {
            true => Next::RetryAt(world.in_seconds(60)),
            false => Next::Bury(DeadReason::Gone),
        };
        world.settle(&claimed, next, None).await;
    }
    line
}

async fn operate(world: &World) {
    let store = &*world.store;
    store.generation(Digest::of(b"one")).await.unwrap();
    store.generation(Digest::of(b"two")).await.unwrap();
    let by = Some("ops".to_owned());
    store.set_pause(&name("erp"), by).await.unwrap();
    for phase in [ReplayPhase::Running, ReplayPhase::Done] {
        let replay = ReplayState {
            id: ReplayId::generate(),
            created_at: world.now(),
            created_by: "ops".to_owned(),
            mode: ReplayMode::Frozen,
            filter: ReplayFilter::default(),
            rate: None,
            phase,
            total: Some(4),
            done: 2,
            revived: 1,
            created: 0,
            skipped: 1,
            failed: 0,
            cursor: None,
            finished_at: (phase == ReplayPhase::Done).then(|| world.now()),
            error: None,
        };
        store.put_replay(&replay, true).await.unwrap();
    }
    for i in 0..3 {
        let note = AuditNote {
            actor: "ops".to_owned(),
            action: "pause".to_owned(),
            subject: format!("target {i}"),
            ok: i != 1,
            detail: "a\u{0}b".to_owned(),
        };
        store.audit(note).await.unwrap();
    }
}

/// What `fill` has left works on: the line in its order, the repetition is known, the number goes on.
async fn goes_on(world: &World, line: &[DeliveryId]) {
    let store = &*world.store;
    let twin = keyed(world.now(), 7, 7);
    assert_eq!(store.admit(twin).await.unwrap().novelty, Novelty::Duplicate);
    let same = store.generation(Digest::of(b"two")).await.unwrap();
    assert_eq!(same.number, 2);
    let next = store.generation(Digest::of(b"three")).await.unwrap();
    assert_eq!(next.number, 3);
    world.pass(61);
    let mut new = admission(world.now(), &["lined"], "{}");
    new.deliveries[0].order = Some(Order {
        key: OrderKey::from_bytes([1; 16]),
        on_dead: OnDead::Hold,
    });
    let last = new.deliveries[0].id;
    store.admit(new).await.unwrap();
    for id in line.iter().copied().chain([last]) {
        let claimed = world.claim_one("lined").await;
        assert_eq!(claimed.delivery.id, id, "one after another, as they came");
        assert_eq!(
            world.settle(&claimed, Next::Done, None).await,
            Settled::Recorded
        );
    }
    assert!(
        world.claim("lined", 1).await.is_empty(),
        "the dead one holds the other line"
    );
}

async fn run(from: &mut dyn Side, to: &mut dyn Side) -> Result<Copied, CopyError> {
    copy(from, to, &mut |_: Progress| {}).await
}

async fn from_folder(path: &Path) -> Box<dyn Side> {
    Box::new(FolderSide::source(path).await.unwrap())
}

async fn to_folder(path: &Path, from: &mut dyn Side) -> Box<dyn Side> {
    let rank = from.highest_rank().await.unwrap();
    Box::new(FolderSide::destination(path, rank).await.unwrap())
}

/// Copies, and both sides are given free.
async fn copied(mut from: Box<dyn Side>, mut to: Box<dyn Side>) -> Copied {
    let copied = run(&mut *from, &mut *to).await.unwrap();
    from.close().await;
    to.close().await;
    assert!(copied.is_complete(), "{copied:#?}");
    copied
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_there_after_a_copy_there_and_back() {
    let Some(database) = database() else {
        return;
    };
    let temp = tempfile::tempdir().unwrap();
    let (first, last) = (temp.path().join("first"), temp.path().join("last"));
    let world = World::beginning(Box::new(Folder(first.clone())), start()).await;
    let line = fill(&world).await;
    let before = everything(&*world.store).await;
    world.store.close().await;

    let side = PgSide::destination(&connection(&database.url())).await;
    let there = copied(from_folder(&first).await, Box::new(side.unwrap())).await;
    assert_eq!(there.events, there.source.events);
    for (kind, count) in there.source.kinds() {
        assert!(count > 0, "there were no {kind}");
    }
    let mut shared = World::beginning(Box::new(InDatabase(database.url())), world.now()).await;
    assert_eq!(everything(&*shared.store).await, before);
    shared.store.close().await;

    let side = PgSide::source(&connection(&database.url())).await;
    let mut side: Box<dyn Side> = Box::new(side.unwrap());
    let to = to_folder(&last, &mut *side).await;
    let back = copied(side, to).await;
    assert_eq!(back.source, there.source);
    assert_sound(&last);
    let mut again = World::beginning(Box::new(Folder(last.clone())), world.now()).await;
    assert_eq!(everything(&*again.store).await, before);
    // The same when the index is made anew from what was written.
    again.store.close().await;
    std::fs::remove_dir_all(last.join("index")).unwrap();
    again.restart().await;
    assert_eq!(everything(&*again.store).await, before);
    goes_on(&again, &line).await;
    again.store.close().await;
    shared.restart().await;
    goes_on(&shared, &line).await;
    shared.store.close().await;
}

/// A side whose connection is lost after so many lots.
struct Breaking {
    side: Box<dyn Side>,
    lots: usize,
}

#[async_trait]
impl Side for Breaking {
    fn place(&self) -> String {
        self.side.place()
    }
    async fn now(&mut self) -> Result<i64, StoreError> {
        self.side.now().await
    }
    async fn identity(&mut self) -> Result<String, StoreError> {
        self.side.identity().await
    }
    async fn total(&mut self) -> Result<u64, StoreError> {
        self.side.total().await
    }
    async fn highest_rank(&mut self) -> Result<u64, StoreError> {
        self.side.highest_rank().await
    }
    async fn events(
        &mut self,
        after: Option<EventId>,
        now: i64,
    ) -> Result<Vec<Portion>, StoreError> {
        // in small lots, so that there are some to break between
        let mut events = self.side.events(after, now).await?;
        events.truncate(3);
        if self.lots == 0 {
            return Err(StoreError::Unavailable("the line is cut".to_owned()));
        }
        self.lots -= 1;
        Ok(events)
    }
    async fn kept(&mut self) -> Result<Kept, StoreError> {
        self.side.kept().await
    }
    async fn audits(&mut self, before: Option<AuditId>) -> Result<Vec<StoredAudit>, StoreError> {
        self.side.audits(before).await
    }
    async fn mark(&mut self) -> Result<Option<String>, StoreError> {
        self.side.mark().await
    }
    async fn set_mark(&mut self, identity: Option<&str>) -> Result<(), StoreError> {
        self.side.set_mark(identity).await
    }
    async fn reached(&mut self) -> Result<Option<EventId>, StoreError> {
        self.side.reached().await
    }
    async fn put_events(&mut self, events: Vec<Portion>) -> Result<(), StoreError> {
        self.side.put_events(events).await
    }
    async fn put_kept(&mut self, kept: Kept) -> Result<(), StoreError> {
        self.side.put_kept(kept).await
    }
    async fn put_audits(&mut self, audits: Vec<StoredAudit>) -> Result<(), StoreError> {
        self.side.put_audits(audits).await
    }
    async fn finish(&mut self) -> Result<(), StoreError> {
        self.side.finish().await
    }
    async fn close(self: Box<Self>) {
        self.side.close().await;
    }
}

/// A store of this folder with something in it, closed; what can be read of it.
async fn filled(path: &Path) -> (String, Timestamp) {
    let world = World::beginning(Box::new(Folder(path.to_owned())), start()).await;
    fill(&world).await;
    let before = everything(&*world.store).await;
    world.store.close().await;
    (before, world.now())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_broken_off_cannot_be_used_and_goes_on() {
    let temp = tempfile::tempdir().unwrap();
    let (first, last) = (temp.path().join("first"), temp.path().join("last"));
    let (before, now) = filled(&first).await;
    for lots in [0, 2, 1, 3] {
        let mut from = from_folder(&first).await;
        let mut to = to_folder(&last, &mut *from).await;
        let mut from = Breaking { side: from, lots };
        let error = run(&mut from, &mut *to).await.unwrap_err();
        assert!(error.to_string().contains("the line is cut"), "{error}");
        Box::new(from).close().await;
        to.close().await;
        let refused = LocalStore::open(
            &options(&last),
            Arc::new(SystemClock),
            Arc::new(Metrics::new()),
        );
        assert!(matches!(
            refused.map(drop),
            Err(OpenError::HalfCopied { .. })
        ));
    }
    let mut from = from_folder(&first).await;
    let to = to_folder(&last, &mut *from).await;
    let done = copied(from, to).await;
    assert!(done.events < done.source.events, "some were there already");
    let world = World::beginning(Box::new(Folder(last.clone())), now).await;
    assert_eq!(everything(&*world.store).await, before);
    world.store.close().await;
    assert_sound(&last);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_was_half_copied_to_cannot_be_used_and_goes_on() {
    let Some(database) = database() else {
        return;
    };
    let temp = tempfile::tempdir().unwrap();
    let first = temp.path().join("first");
    let (before, now) = filled(&first).await;
    let clock = Arc::new(ManualClock::new(now));
    for lots in [1, 3] {
        let mut to = PgSide::destination(&connection(&database.url()))
            .await
            .unwrap();
        let mut from = Breaking {
            side: from_folder(&first).await,
            lots,
        };
        run(&mut from, &mut to).await.unwrap_err();
        Box::new(from).close().await;
        Box::new(to).close().await;
        let refused = open_database(&database.url(), Arc::clone(&clock)).await;
        let words = refused.map(drop).unwrap_err().to_string();
        assert!(words.contains("was broken off"), "{words}");
        let refused = PgSide::source(&connection(&database.url())).await;
        let words = refused.map(drop).unwrap_err().to_string();
        assert!(words.contains("was broken off"), "{words}");
    }
    let side = PgSide::destination(&connection(&database.url()))
        .await
        .unwrap();
    let done = copied(from_folder(&first).await, Box::new(side)).await;
    assert!(done.events < done.source.events, "some were there already");
    let world = World::beginning(Box::new(InDatabase(database.url())), now).await;
    assert_eq!(everything(&*world.store).await, before);
    world.store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_use_or_not_empty_is_left_alone() {
    let temp = tempfile::tempdir().unwrap();
    let (first, other) = (temp.path().join("first"), temp.path().join("other"));
    filled(&first).await;
    filled(&other).await;
    let mut from = from_folder(&first).await;
    let held = FolderSide::source(&first).await.map(drop);
    assert!(matches!(held, Err(OpenError::Locked { .. })));
    let mut to = to_folder(&other, &mut *from).await;
    let error = run(&mut *from, &mut *to).await.unwrap_err();
    assert!(matches!(error, CopyError::NotEmpty { .. }), "{error}");
    to.close().await;
    let none = FolderSide::source(&temp.path().join("none"))
        .await
        .map(drop);
    assert!(
        none.is_err() && !temp.path().join("none").exists(),
        "nothing is made"
    );

    // Broken off, and then the source was used.
    let last = temp.path().join("last");
    let mut to = to_folder(&last, &mut *from).await;
    let mut from = Breaking {
        side: from,
        lots: 1,
    };
    run(&mut from, &mut *to).await.unwrap_err();
    Box::new(from).close().await;
    let world = World::beginning(Box::new(Folder(first.clone())), start()).await;
    world.admit(&["erp"]).await;
    world.store.close().await;
    let mut from = from_folder(&first).await;
    let error = run(&mut *from, &mut *to).await.unwrap_err();
    assert!(matches!(error, CopyError::Another { .. }), "{error}");
    from.close().await;
    to.close().await;
    let kept: BTreeSet<_> = std::fs::read_dir(&last)
        .unwrap()
        .flatten()
        .map(|it| it.file_name())
        .collect();
    assert!(kept.iter().any(|name| name == super::MARK));

    let Some(database) = database() else {
        return;
    };
    let clock = Arc::new(ManualClock::new(start()));
    let store = open_database(&database.url(), clock).await.unwrap();
    for side in [
        PgSide::source(&connection(&database.url())).await.map(drop),
        PgSide::destination(&connection(&database.url()))
            .await
            .map(drop),
    ] {
        let error = side.unwrap_err();
        assert!(matches!(error, PgSideError::InUse { .. }), "{error}");
        assert!(error.to_string().contains("test ("), "{error}");
    }
    store.close().await;
    let side = PgSide::source(&connection(&database.url())).await.unwrap();
    // Nobody can begin while it lasts.
    let locked = database.psql("select count(*) from pg_locks where relation = 'ingate.instance'::regclass and mode = 'ShareLock'");
    assert_eq!(locked, "1");
    Box::new(side).close().await;
}
