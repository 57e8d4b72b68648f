//! The store over PostgreSQL, for several processes on one database.
//!
//! Promise: that of [`Store`]; an event is committed, on the database's disk, before `admit` says yes. No transaction is open while
//! a request is made. What only one process may do at a time is owned by a lease (see `fleet`), and what an owner that
//! was too slow still tells is fenced. Not here: the tables (see `migrations`).

mod admit;
mod claims;
mod clock;
pub mod connect;
mod copying;
mod deliveries;
mod find;
mod fleet;
mod group;
mod kept;
mod lanes;
mod lines;
mod link;
mod me;
pub mod migrate;
mod operators;
mod options;
mod reads;
mod retention;
mod rows;
#[cfg(test)]
#[path = "../../../tests/support/postgres.rs"]
pub(super) mod server;
mod settle;
mod stats;
mod strays;
#[cfg(test)]
mod tests;
pub mod trouble;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use self::clock::DatabaseClock;
use self::find::Way;
use self::fleet::View;
use self::group::Group;
use self::lanes::Lanes;
use self::link::Link;
use self::me::Me;
use self::settle::Reported;
use super::record;
use super::rules::Wanted;
use super::{
    Admission, Admitted, AuditEntry, AuditNote, Claims, DeadGroup, DeliveryFilter, Depth,
    EventFilter, EventRow, Found, Health, Instance, Lease, ListedDelivery, Pause, Purged, Receipt,
    ReplayState, Revival, Settled, Settlement, Store, StoreError, Task, Window,
};
use crate::clock::Clock;
use crate::delivery::{Attempt, Delivery};
use crate::event::Event;
use crate::id::{AuditId, DeliveryId, Digest, EventId, ReplayId, RouteName, TargetName};
use crate::plan::Generation;

pub use connect::{ConnectError, Connection};
pub use copying::{PgSide, PgSideError};
pub use migrate::{MIGRATIONS, MigrateError, Migration, SchemaState};
pub use stats::DatabaseStats;

/// Groups of admissions that are under way at a time: one is committed while the next is sent.
const ADMITTING: usize = 2;

/// The same of settlements.
const SETTLING: usize = 2;

/// Bytes that an event takes on the way to the database beside its body, roughly.
const BESIDE_BODY: usize = 1024;

/// How the store is used.
#[derive(Debug, Clone)]
pub struct PgOptions {
    /// Which database.
    pub connection: Connection,
    /// What the others call this process.
    pub name: String,
    /// How long the others wait for a process that is not heard of, before they take over what it did.
    pub lease: Duration,
    /// How long events that are done are kept.
    pub retention: Duration,
    /// How long dead letters are kept; `None` is for ever.
    pub dead_retention: Option<Duration>,
}

/// Why the store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum PgOpenError {
    /// There is no connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The tables are not this program's, or cannot be made.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// Something else failed.
    #[error("the database cannot be used: {0}")]
    Store(#[from] StoreError),
}

/// The store.
pub struct PgStore {
    inner: Arc<Inner>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// What all parts share.
struct Inner {
    link: Link,
    options: PgOptions,
    /// The clock by which deliveries are due.
    clock: Arc<dyn Clock>,
    /// The same, where it is the database's.
    followed: Option<Arc<DatabaseClock>>,
    me: Me,
    lanes: Lanes,
    view: Mutex<View>,
    /// What we own besides targets.
    tasks: Mutex<BTreeSet<String>>,
    /// The configuration in force here.
    plan: Mutex<Option<(i64, Digest)>>,
    /// What of our targets the others have not been told yet.
    downs: Mutex<BTreeMap<TargetName, bool>>,
    admissions: Mutex<Option<Arc<Group<Admission, Admitted>>>>,
    reports: Mutex<Option<Arc<Group<Reported, Settled>>>>,
    beat_now: Notify,
    closing: watch::Sender<bool>,
    /// Whether it tells the others nothing by itself.
    #[cfg(test)]
    silent: std::sync::atomic::AtomicBool,
}

impl PgStore {
    /// Opens the store: connects, brings the tables to this program's version, and makes this process known to the others. It goes by the
    /// database's clock, unless another is given.
    ///
    /// # Errors
    /// If the database cannot be reached or lets us not in, or its tables are a newer program's.
    pub async fn open(
        options: &PgOptions,
        clock: Option<Arc<dyn Clock>>,
    ) -> Result<Self, PgOpenError> {
        let pool = options.connection.pool()?;
        let mut client = options.connection.first(&pool).await?;
        migrate::migrate(&mut client).await?;
        drop(client);
        let (clock, followed) = match clock {
            Some(clock) => (clock, None),
            None => {
                let followed = Arc::new(DatabaseClock::new(0));
                (Arc::clone(&followed) as Arc<dyn Clock>, Some(followed))
            }
        };
        let inner = Arc::new(Inner {
            link: Link::new(pool),
            options: options.clone(),
            clock,
            followed,
            me: Me::new(0, options.lease, Instant::now()),
            lanes: Lanes::default(),
            view: Mutex::default(),
            tasks: Mutex::default(),
            plan: Mutex::default(),
            downs: Mutex::default(),
            admissions: Mutex::default(),
            reports: Mutex::default(),
            beat_now: Notify::new(),
            closing: watch::Sender::new(false),
            #[cfg(test)]
            silent: std::sync::atomic::AtomicBool::new(false),
        });
        inner.register().await?;
        inner.beat().await?;
        inner.make_days(inner.clock.now()).await?;
        let tasks = inner.start();
        Ok(Self {
            inner,
            tasks: Mutex::new(tasks),
        })
    }

    /// Tells the others nothing more by itself, as a process that was stopped; only [`Self::beat`] does.
    #[cfg(test)]
    fn fall_silent(&self) {
        self.inner
            .silent
            .store(true, std::sync::atomic::Ordering::SeqCst);
    }

    #[cfg(test)]
    async fn beat(&self) -> Result<(), StoreError> {
        self.inner.beat().await
    }

    /// The clock by which deliveries are due: the database's, unless another was given.
    #[must_use]
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.inner.clock)
    }
}

impl Inner {
    /// Starts what runs beside.
    fn start(self: &Arc<Self>) -> Vec<JoinHandle<()>> {
        let inner = Arc::clone(self);
        let (admissions, mut tasks) = Group::start(ADMITTING, move |group| {
            Arc::clone(&inner).admit_group(group)
        });
        let inner = Arc::clone(self);
        let (reports, settling) = Group::start(SETTLING, move |group| {
            Arc::clone(&inner).settle_group(group)
        });
        *lock(&self.admissions) = Some(Arc::new(admissions));
        *lock(&self.reports) = Some(Arc::new(reports));
        tasks.extend(settling);
        tasks.push(tokio::spawn(Arc::clone(self).keep_beating()));
        tasks.push(tokio::spawn(Arc::clone(self).keep_looking()));
        tasks.push(tokio::spawn(Arc::clone(self).keep_cleaning()));
        tasks.push(tokio::spawn(Arc::clone(self).keep_finding_strays()));
        tasks
    }

    /// Milliseconds since 1970, by the store's clock.
    fn now(&self) -> i64 {
        record::millis(self.clock.now())
    }

    fn set_clock(&self, shown: i64, asked: Instant) {
        if let Some(followed) = &self.followed {
            followed.set(shown, asked);
        }
    }

    /// Whether anything can be asked.
    fn usable(&self) -> Result<(), StoreError> {
        match *self.closing.borrow() {
            true => Err(StoreError::Unavailable("the store is closed".to_owned())),
            false => Ok(()),
        }
    }

    fn view_lock(&self) -> MutexGuard<'_, View> {
        lock(&self.view)
    }

    fn tasks_lock(&self) -> MutexGuard<'_, BTreeSet<String>> {
        lock(&self.tasks)
    }

    fn plan_lock(&self) -> MutexGuard<'_, Option<(i64, Digest)>> {
        lock(&self.plan)
    }

    fn set_plan(&self, number: i64, fingerprint: Digest) {
        *self.plan_lock() = Some((number, fingerprint));
    }

    /// Notes that the others have to be told whether a target is down.
    fn put_down(&self, target: &TargetName, down: bool) {
        lock(&self.downs).entry(target.clone()).or_insert(down);
    }

    fn take_downs(&self) -> BTreeMap<TargetName, bool> {
        std::mem::take(&mut lock(&self.downs))
    }

    async fn admit(&self, admission: Admission) -> Result<Admitted, StoreError> {
        self.usable()?;
        self.link.check()?;
        let group = lock(&self.admissions).clone();
        let group = group.ok_or_else(stopped)?;
        let bytes = admission.event.parts().body.len() + BESIDE_BODY;
        group.ask(admission, bytes).await
    }

    async fn settle(&self, lease: Lease, settlement: Settlement) -> Result<Settled, StoreError> {
        self.usable()?;
        let group = lock(&self.reports).clone();
        let group = group.ok_or_else(stopped)?;
        let bytes = settlement.frozen.as_ref().map_or(0, Bytes::len) + BESIDE_BODY;
        let line = self.lanes.line_of(lease);
        let reported = Reported {
            lease,
            settlement,
            line,
        };
        group.ask(reported, bytes).await
    }

    fn set_down(&self, target: &TargetName, down: bool) {
        if self.lanes.set_down(target, down) {
            lock(&self.downs).insert(target.clone(), down);
            self.beat_now.notify_one();
        }
    }
}

fn stopped() -> StoreError {
    StoreError::Unavailable("stopped".to_owned())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Store for PgStore {
    async fn admit(&self, admission: Admission) -> Result<Admitted, StoreError> {
        self.inner.admit(admission).await
    }

    async fn claim(&self, target: &TargetName, most: usize) -> Result<Claims, StoreError> {
        self.inner.claim(target, most).await
    }

    fn arrivals(&self, target: &TargetName) -> Arc<Notify> {
        self.inner.lanes.arrivals(target)
    }

    async fn settle(&self, lease: Lease, settlement: Settlement) -> Result<Settled, StoreError> {
        self.inner.settle(lease, settlement).await
    }

    async fn release(&self, lease: Lease) -> Result<Settled, StoreError> {
        self.inner.release(lease).await
    }

    async fn hold(&self, lease: Lease) -> Result<Settled, StoreError> {
        self.inner.hold(lease).await
    }

    async fn resume(
        &self,
        target: &TargetName,
        routes: &BTreeSet<RouteName>,
    ) -> Result<u64, StoreError> {
        self.inner.resume(target, routes).await
    }

    async fn revive_as(&self, delivery: DeliveryId, how: Revival) -> Result<Delivery, StoreError> {
        self.inner.change(delivery, Wanted::Revive(how)).await
    }

    async fn add_deliveries(
        &self,
        event: EventId,
        deliveries: Vec<Delivery>,
    ) -> Result<(), StoreError> {
        self.inner.add_deliveries(event, deliveries).await
    }

    async fn discard(&self, delivery: DeliveryId) -> Result<Delivery, StoreError> {
        self.inner.change(delivery, Wanted::Discard).await
    }

    async fn purge(&self, event: EventId) -> Result<Purged, StoreError> {
        self.inner.purge(event).await
    }

    async fn event(&self, id: EventId) -> Result<Arc<Event>, StoreError> {
        self.inner.event(id).await
    }

    async fn event_row(&self, id: EventId) -> Result<EventRow, StoreError> {
        self.inner.event_row(id).await
    }

    async fn receipt(&self, id: EventId) -> Result<Option<Receipt>, StoreError> {
        self.inner.receipt(id).await
    }

    async fn find_events(
        &self,
        filter: &EventFilter,
        window: Window<EventId>,
    ) -> Result<Found<EventRow, EventId>, StoreError> {
        self.inner.find_events(filter, window, Way::Down).await
    }

    async fn events_from(
        &self,
        filter: &EventFilter,
        window: Window<EventId>,
    ) -> Result<Found<EventRow, EventId>, StoreError> {
        self.inner.find_events(filter, window, Way::Up).await
    }

    async fn delivery(&self, id: DeliveryId) -> Result<Delivery, StoreError> {
        self.inner.delivery(id).await
    }

    async fn listed(&self, id: DeliveryId) -> Result<ListedDelivery, StoreError> {
        self.inner.listed(id).await
    }

    async fn frozen(&self, id: DeliveryId) -> Result<Option<Bytes>, StoreError> {
        self.inner.frozen(id).await
    }

    async fn find_deliveries(
        &self,
        filter: &DeliveryFilter,
        window: Window<DeliveryId>,
    ) -> Result<Found<ListedDelivery, DeliveryId>, StoreError> {
        self.inner.find_deliveries(filter, window, Way::Down).await
    }

    async fn deliveries_from(
        &self,
        filter: &DeliveryFilter,
        window: Window<DeliveryId>,
    ) -> Result<Found<ListedDelivery, DeliveryId>, StoreError> {
        self.inner.find_deliveries(filter, window, Way::Up).await
    }

    async fn attempts(&self, id: DeliveryId) -> Result<Vec<Attempt>, StoreError> {
        self.inner.attempts(id).await
    }

    async fn depths(&self) -> Result<Vec<Depth>, StoreError> {
        self.inner.depths().await
    }

    async fn dead_groups(&self) -> Result<Vec<DeadGroup>, StoreError> {
        self.inner.dead_groups().await
    }

    async fn audit(&self, note: AuditNote) -> Result<AuditEntry, StoreError> {
        self.inner.audit(&note).await
    }

    async fn audits(
        &self,
        before: Option<AuditId>,
        limit: usize,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        self.inner.audits(before, limit).await
    }

    async fn generation(&self, fingerprint: Digest) -> Result<Generation, StoreError> {
        self.inner.generation(fingerprint).await
    }

    async fn set_pause(
        &self,
        target: &TargetName,
        by: Option<String>,
    ) -> Result<Option<Pause>, StoreError> {
        self.inner.set_pause(target, by).await
    }

    async fn pauses(&self) -> Result<BTreeMap<TargetName, Pause>, StoreError> {
        self.inner.pauses().await
    }

    async fn put_replay(&self, replay: &ReplayState, _durable: bool) -> Result<(), StoreError> {
        self.inner.put_replay(replay).await
    }

    async fn replay(&self, id: ReplayId) -> Result<ReplayState, StoreError> {
        self.inner.replay(id).await
    }

    async fn replays(
        &self,
        before: Option<ReplayId>,
        limit: usize,
    ) -> Result<Vec<ReplayState>, StoreError> {
        self.inner.replays(before, limit).await
    }

    fn is_shared(&self) -> bool {
        true
    }

    async fn fleet(&self) -> Result<Option<Vec<Instance>>, StoreError> {
        self.inner.fleet().await.map(Some)
    }

    async fn own(&self, task: &Task) -> Result<bool, StoreError> {
        self.inner.own(task).await
    }

    async fn disown(&self, task: &Task) -> Result<(), StoreError> {
        self.inner.disown(task).await
    }

    fn set_targets(&self, targets: &BTreeSet<TargetName>) {
        self.inner.lanes.want_only(targets);
        self.inner.beat_now.notify_one();
    }

    fn set_down(&self, target: &TargetName, down: bool) {
        self.inner.set_down(target, down);
    }

    fn health(&self) -> Health {
        let inner = &self.inner;
        if *inner.closing.borrow() {
            return Health::Unavailable("the store is closed".to_owned());
        }
        match inner.link.check() {
            Err(StoreError::Unavailable(why)) => Health::Unavailable(why),
            _ => Health::Ready,
        }
    }

    fn alive(&self) -> bool {
        let tasks = lock(&self.tasks);
        *self.inner.closing.borrow() || tasks.iter().all(|task| !task.is_finished())
    }

    async fn close(&self) {
        if self.inner.closing.send_replace(true) {
            return;
        }
        // who waits in a queue is served; then the queues end
        lock(&self.inner.admissions).take();
        lock(&self.inner.reports).take();
        let tasks = std::mem::take(&mut *lock(&self.tasks));
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a part of the store broke down");
            }
        }
        if let Err(error) = self.inner.depart().await {
            tracing::warn!(%error, "the other instances take over once the lease of this one has run out");
        }
        self.inner.link.close();
    }
}
