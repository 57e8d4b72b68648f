//! The store of one daemon: the journal keeps the promise, the index over it serves claims and look-ups.
//!
//! ```text
//! admit, settle, revive ..  ->  journal (one writer thread)  ->  done, in order: overlay, answer, queue
//!                                                            fold thread: queue -> index (one batch a time)
//! ```
//!
//! Locks, always taken in this order: `cleaning` (one cleaning or purge at a time), `operating` (see `operators`), `order` (held from a decision about a known delivery to its append, so
//! that the journal has them in that order), `gate` (readers of the index hold it while they compare with the
//! overlay; the fold takes it to let folded entries go), `state`. None is held over an await, and `append` is
//! never called with `state` held, since the journal may refuse through `done` at once.
//!
//! Single look-ups in the index are plain calls: they are served from sled's cache or one read of some KB.
//! Whatever reads the journal or walks the index runs on tokio's blocking threads.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{
    Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
    TryLockError, Weak,
};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::{Notify, watch};

use super::find::Way;
use super::index::{Index, IndexError};
use super::journal::disk::{Disk, RealDisk};
use super::journal::{Journal, JournalError, Options as JournalOptions, REOPEN_EVERY};
use super::lock::{LockError, StoreLock};
use super::overlay::{Bounds, Overlay, Phase};
use super::record;
use super::space::Space;
use super::timeline::Timeline;
use super::{
    Admission, Admitted, AuditEntry, AuditNote, Claims, DeadGroup, DeliveryFilter, Depth,
    EventFilter, EventRow, Found, Health, Lease, ListedDelivery, Pause, Purged, Receipt,
    ReplayState, Revival, Settled, Settlement, Store, StoreError, Window, clean, copy, fold,
};
use crate::clock::Clock;
use crate::delivery::{Attempt, Delivery, HELD, State};
use crate::event::Event;
use crate::id::{AuditId, DeliveryId, Digest, EventId, ReplayId, RouteName, TargetName};
use crate::metrics::{Metrics, StoreGauges};
use crate::plan::{Generation, StorePlan};

/// How a local store behaves.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Its folder.
    pub path: PathBuf,
    /// How long events that are done are kept.
    pub retention: Duration,
    /// How long dead letters are kept; `None` is for ever.
    pub dead_retention: Option<Duration>,
    /// Most bytes of journal; beyond them nothing is accepted. Outcomes of what was accepted still are.
    pub max_bytes: u64,
    /// Bytes that stay free on the file system.
    pub min_free_bytes: u64,
    /// Memory of the index's cache.
    pub cache_bytes: u64,
    /// Bytes that the index may take on disk however few its rows are.
    pub index_floor: u64,
    /// Bytes after which the journal begins a new segment.
    pub segment_bytes: u64,
    /// Most bytes that are written and synced as one group.
    pub group_bytes: usize,
    /// Most records that may wait to be written.
    pub waiting: usize,
    /// Most bytes of them.
    pub waiting_bytes: usize,
    /// How long an outcome may stay unsynced.
    pub lazy_sync: Duration,
    /// Bytes of a segment after which the next one is written with zeros beforehand.
    pub spare_after: u64,
    /// Deliveries of a target that are kept ready in memory.
    pub window: usize,
    /// Bytes of events that are kept with them, over all targets.
    pub window_bytes: usize,
    /// Most records that are on disk but not in the index; half of it slows answers down.
    pub unfolded: usize,
    /// Most bytes that these take in memory; half of it slows answers down.
    pub unfolded_bytes: usize,
    /// Most records that are folded into the index as one batch.
    pub fold_batch: usize,
    /// How often old segments are looked at; `None`: only by [`LocalStore::clean_once`].
    pub clean_every: Option<Duration>,
    /// How long `open` waits for the index; a longer opening or rebuild goes on in the background.
    pub open_patience: Duration,
    /// Whether everything of another store is being copied to it.
    pub is_copy: bool,
    /// All records that are written have higher numbers than this.
    pub begin_after: u64,
}

impl Default for StoreOptions {
    fn default() -> Self {
        const MIB: u64 = 1 << 20;
        Self {
            path: PathBuf::from("data"),
            retention: Duration::from_secs(7 * 24 * 3600),
            dead_retention: None,
            max_bytes: 10 * 1024 * MIB,
            min_free_bytes: 256 * MIB,
            cache_bytes: 128 * MIB,
            index_floor: 1024 * MIB,
            segment_bytes: 64 * MIB,
            group_bytes: 8 << 20,
            waiting: 16_384,
            waiting_bytes: 64 << 20,
            lazy_sync: Duration::from_millis(100),
            spare_after: MIB,
            window: 2048,
            window_bytes: 32 << 20,
            unfolded: 50_000,
            unfolded_bytes: 64 << 20,
            fold_batch: 1000,
            clean_every: Some(Duration::from_secs(60)),
            open_patience: Duration::from_secs(2),
            is_copy: false,
            begin_after: 0,
        }
    }
}

impl From<&StorePlan> for StoreOptions {
    fn from(plan: &StorePlan) -> Self {
        Self {
            path: plan.path.clone(),
            retention: plan.retention,
            dead_retention: plan.dead_retention,
            max_bytes: plan.max_bytes,
            min_free_bytes: plan.min_free_bytes,
            cache_bytes: plan.cache_bytes,
            ..Self::default()
        }
    }
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("the store at {} is in use by another process", path.display())]
    Locked {
        /// Its folder.
        path: PathBuf,
    },
    /// A copy to it was broken off.
    #[error("a copy to the store at {} was broken off: `ingate store copy` goes on with it", path.display())]
    HalfCopied {
        /// Its folder.
        path: PathBuf,
    },
    /// It was written by a newer version.
    #[error("{} has format {found}, this version knows formats up to {known}", path.display())]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest one that we know.
        known: u32,
    },
    /// The disk said no.
    #[error("the store at {} cannot be opened", path.display())]
    Io {
        /// Its folder.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Events and deliveries of one daemon, in a folder of their own.
pub struct LocalStore {
    inner: Arc<Inner>,
}

/// What the threads of a store share.
pub(super) struct Inner {
    pub(super) options: StoreOptions,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) journal: Journal,
    pub(super) space: Space,
    pub(super) timeline: Timeline,
    /// Events that were read for a claim and that somebody has yet: an event goes to several targets at about the same time.
    pub(super) read: Mutex<HashMap<EventId, Weak<Event>>>,
    /// Told (and blocking waiters woken) when there is something to fold.
    pub(super) work: Condvar,
    /// Told when something was folded.
    pub(super) folded: Notify,
    /// Whether it is known if the store can be used.
    pub(super) decided: watch::Sender<bool>,
    /// The fold waits while this is set; for tests.
    pub(super) paused: AtomicBool,
    /// All threads end.
    pub(super) stopping: AtomicBool,
    /// One cleaning at a time.
    pub(super) cleaning: Mutex<()>,
    /// Held by whoever writes what operators want kept; see `operators`.
    pub(super) operating: Mutex<()>,
    order: Mutex<()>,
    gate: RwLock<Option<Index>>,
    state: Mutex<Overlay>,
    lock: Mutex<Option<StoreLock>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// The folder of the journal's segments in the store's folder.
pub(super) const JOURNAL: &str = "journal";

/// The folder of the index.
pub(super) const INDEX: &str = "index";

impl LocalStore {
    /// Takes the folder (made if missing) and opens what is in it. Where the index has to be rebuilt, this returns
    /// before that is done; until then [`Store::health`] says so and `admit` answers `Unavailable`.
    ///
    /// # Errors
    /// See [`OpenError`]; the command line turns each of them into exit 74.
    pub fn open(
        options: &StoreOptions,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, OpenError> {
        Self::open_on(Arc::new(RealDisk), REOPEN_EVERY, options, clock, metrics)
    }

    /// As [`Self::open`], with the journal on a disk that may be one for tests.
    pub(super) fn open_on(
        disk: Arc<dyn Disk>,
        reopen_every: Duration,
        options: &StoreOptions,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, OpenError> {
        let path = &options.path;
        let lock = StoreLock::take(path).map_err(|error| match error {
            LockError::Held { path } => OpenError::Locked { path },
            error => failed(path, error),
        })?;
        if !options.is_copy && path.join(copy::MARK).exists() {
            return Err(OpenError::HalfCopied { path: path.clone() });
        }
        let journal_options = JournalOptions {
            segment_bytes: options.segment_bytes,
            group_bytes: options.group_bytes,
            waiting: options.waiting,
            waiting_bytes: options.waiting_bytes,
            lazy_sync: options.lazy_sync,
            begin_after: options.begin_after,
            spare_after: options.spare_after,
            most_bytes: options.max_bytes,
            keep_free: options.min_free_bytes,
        };
        let folder = path.join(JOURNAL);
        let journal = Journal::open_on(disk, reopen_every, &folder, journal_options, metrics);
        let (journal, recovery) = journal.map_err(|error| match error {
            JournalError::Newer { path, found, known } => OpenError::Newer { path, found, known },
            error => failed(path, error),
        })?;
        if recovery.torn_bytes > 0 {
            let bytes = recovery.torn_bytes;
            tracing::info!(bytes, "cut off a record that was not written to its end");
        }
        for file in &recovery.quarantined {
            tracing::error!(file = %file.display(), "a damaged part of the journal was set aside");
        }
        let space = Space::new(options, &journal);
        let inner = Arc::new(Inner {
            clock,
            space,
            journal,
            timeline: Timeline::default(),
            read: Mutex::default(),
            work: Condvar::new(),
            folded: Notify::new(),
            decided: watch::Sender::new(false),
            paused: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            cleaning: Mutex::new(()),
            operating: Mutex::new(()),
            order: Mutex::new(()),
            gate: RwLock::new(None),
            state: Mutex::new(Overlay::new(Bounds {
                window: options.window,
                window_bytes: options.window_bytes,
                batch: options.fold_batch,
            })),
            lock: Mutex::new(Some(lock)),
            threads: Mutex::new(Vec::new()),
            options: options.clone(),
        });
        let store = Self { inner };
        store.inner.start(recovery.last_sequence)?;
        Ok(store)
    }

    /// Whether there is a store in this folder.
    #[must_use]
    pub fn is_in(folder: &Path) -> bool {
        folder.join(JOURNAL).is_dir()
    }

    /// Waits until it is known whether the store can be used: the index is open, rebuilt, or has failed.
    pub async fn opened(&self) -> Health {
        let mut decided = self.inner.decided.subscribe();
        // the sender lives as long as `inner`
        let _ = decided.wait_for(|decided| *decided).await;
        self.health()
    }

    /// Looks at the oldest segments now and lets go what may go; gives how many were removed.
    ///
    /// # Errors
    /// If the store cannot be used now, or the disk says no.
    pub async fn clean_once(&self) -> Result<usize, StoreError> {
        let inner = Arc::clone(&self.inner);
        let cleaned = tokio::task::spawn_blocking(move || clean::clean(&inner)).await;
        cleaned.map_err(|error| StoreError::Damaged(error.to_string()))?
    }

    /// Lets the fold wait, or go on; for tests.
    #[cfg(test)]
    pub(crate) fn pause_fold(&self, paused: bool) {
        self.inner.paused.store(paused, Ordering::SeqCst);
        self.inner.work.notify_all();
    }

    pub(super) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }
}

impl Drop for LocalStore {
    fn drop(&mut self) {
        self.inner.stop();
    }
}

impl Inner {
    fn start(self: &Arc<Self>, last_sequence: u64) -> Result<(), OpenError> {
        let fold = Arc::clone(self);
        self.spawn("fold", move || fold::run(&fold, last_sequence))?;
        if let Some(every) = self.options.clean_every {
            let cleaner = Arc::clone(self);
            self.spawn("clean", move || clean::run(&cleaner, every))?;
        }
        let state = self.state();
        let patience = self.options.open_patience;
        let _ = self.work.wait_timeout_while(state, patience, |state| {
            matches!(state.phase, Phase::Starting(_))
        });
        Ok(())
    }

    pub(super) fn spawn(
        &self,
        name: &str,
        run: impl FnOnce() + Send + 'static,
    ) -> Result<(), OpenError> {
        let thread = std::thread::Builder::new().name(name.to_owned());
        let handle = thread
            .spawn(run)
            .map_err(|error| failed(&self.options.path, error))?;
        locked(&self.threads).push(handle);
        Ok(())
    }

    /// Ends everything: no more is taken, what waits is synced, threads have ended and the folder is free when this
    /// returns. What is not folded yet is folded at the next start.
    pub(super) fn stop(&self) {
        self.set_phase(Phase::Closed);
        self.stopping.store(true, Ordering::SeqCst);
        self.journal.close();
        self.work.notify_all();
        // the lock is held while waiting, so that a second caller waits as well
        let mut threads = locked(&self.threads);
        for thread in threads.drain(..) {
            thread.thread().unpark();
            if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
                tracing::error!("a thread of the store has panicked");
            }
        }
        if let Some(index) = self.write_gate().take() {
            fold::close(&self.options.path, &index);
        }
        drop(locked(&self.lock).take());
    }

    /// Whether all threads run that should. One that could not open the index is not missed: the next start would fail
    /// in the same way. Never waits for who closes the store.
    fn alive(&self) -> bool {
        if self.stopping.load(Ordering::SeqCst) || self.gate().index().is_err() {
            return true;
        }
        let run = |threads: &[JoinHandle<()>]| threads.iter().all(|thread| !thread.is_finished());
        let threads_run = match self.threads.try_lock() {
            Ok(threads) => run(&threads),
            Err(TryLockError::Poisoned(threads)) => run(&threads.into_inner()),
            Err(TryLockError::WouldBlock) => true,
        };
        threads_run && self.journal.is_written()
    }

    /// Changes whether the store can be used, unless it is closed.
    pub(super) fn set_phase(&self, phase: Phase) {
        let known = !matches!(phase, Phase::Starting(_));
        {
            let mut state = self.state();
            if state.phase != Phase::Closed {
                state.phase = phase;
            }
            for lane in state.lanes.values() {
                lane.notify.notify_one();
            }
        }
        self.work.notify_all();
        if known {
            self.decided.send_replace(true);
        }
    }

    /// Waits until what is folded is enough, at most so long; the fold does not wait for more meanwhile.
    pub(super) fn wait_for_fold(
        &self,
        patience: Duration,
        enough: impl Fn(&Overlay) -> bool,
    ) -> MutexGuard<'_, Overlay> {
        let mut state = self.state();
        state.hurried = state.hurried.saturating_add(1);
        self.work.notify_all();
        let waiting = |state: &mut Overlay| !enough(state) && state.phase == Phase::Ready;
        let waited = self.work.wait_timeout_while(state, patience, waiting);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.hurried = state.hurried.saturating_sub(1);
        state
    }

    pub(super) fn state(&self) -> MutexGuard<'_, Overlay> {
        locked(&self.state)
    }

    pub(super) fn order(&self) -> MutexGuard<'_, ()> {
        locked(&self.order)
    }

    /// The gate, held for reading: what is folded meanwhile stays in the overlay.
    pub(super) fn gate(&self) -> Gate<'_> {
        Gate(self.gate.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The gate, held alone.
    pub(super) fn write_gate(&self) -> RwLockWriteGuard<'_, Option<Index>> {
        self.gate.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds since 1970 by the machine's clock.
    pub(super) fn now(&self) -> i64 {
        record::millis(self.clock.now())
    }

    /// The same by the store's own time, which is what due times and expiries are held against.
    pub(super) fn due_now(&self) -> i64 {
        self.timeline.now(self.now(), Instant::now())
    }

    /// A delivery with its due time by the machine's clock.
    pub(super) fn dated(&self, mut delivery: Delivery) -> Delivery {
        if let State::Pending { due } = &mut delivery.state
            && *due != HELD
        {
            *due = self.by_clock(record::millis(*due));
        }
        delivery
    }

    /// A due time by the machine's clock.
    pub(super) fn by_clock(&self, due: i64) -> Timestamp {
        record::time(due.saturating_sub(self.timeline.ahead()))
    }
}

/// The gate, held for reading.
pub(super) struct Gate<'a>(RwLockReadGuard<'a, Option<Index>>);

impl Gate<'_> {
    /// The index behind it.
    pub(super) fn index(&self) -> Result<&Index, StoreError> {
        let missing = || StoreError::Unavailable("the index is not open".to_owned());
        self.0.as_ref().ok_or_else(missing)
    }
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn failed(path: &Path, source: impl std::error::Error + Send + Sync + 'static) -> OpenError {
    OpenError::Io {
        path: path.to_owned(),
        source: Box::new(source),
    }
}

impl From<IndexError> for StoreError {
    fn from(error: IndexError) -> Self {
        tracing::error!(%error, cause = ?std::error::Error::source(&error), "the index cannot be read");
        Self::Damaged(error.to_string())
    }
}

impl From<JournalError> for StoreError {
    fn from(error: JournalError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

#[async_trait]
impl Store for LocalStore {
    async fn admit(&self, admission: Admission) -> Result<Admitted, StoreError> {
        self.inner.admit(admission).await
    }

    async fn claim(&self, target: &TargetName, most: usize) -> Result<Claims, StoreError> {
        self.inner.claim(target, most).await
    }

    fn arrivals(&self, target: &TargetName) -> Arc<Notify> {
        Arc::clone(&self.inner.state().lane(target).notify)
    }

    async fn settle(&self, lease: Lease, settlement: Settlement) -> Result<Settled, StoreError> {
        self.inner.settle(lease, settlement)
    }

    async fn release(&self, lease: Lease) -> Result<Settled, StoreError> {
        Ok(self.inner.release(lease))
    }

    async fn hold(&self, lease: Lease) -> Result<Settled, StoreError> {
        self.inner.hold(lease)
    }

    async fn resume(
        &self,
        target: &TargetName,
        routes: &BTreeSet<RouteName>,
    ) -> Result<u64, StoreError> {
        self.inner.resume(target, routes).await
    }

    async fn revive_as(&self, delivery: DeliveryId, how: Revival) -> Result<Delivery, StoreError> {
        self.inner.revive_as(delivery, how).await
    }

    async fn add_deliveries(
        &self,
        event: EventId,
        deliveries: Vec<Delivery>,
    ) -> Result<(), StoreError> {
        self.inner.add_deliveries(event, deliveries).await
    }

    async fn discard(&self, delivery: DeliveryId) -> Result<Delivery, StoreError> {
        self.inner.discard(delivery).await
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
        self.inner
            .find_events(filter.clone(), window, Way::Down)
            .await
    }

    async fn events_from(
        &self,
        filter: &EventFilter,
        window: Window<EventId>,
    ) -> Result<Found<EventRow, EventId>, StoreError> {
        self.inner
            .find_events(filter.clone(), window, Way::Up)
            .await
    }

    async fn delivery(&self, id: DeliveryId) -> Result<Delivery, StoreError> {
        let delivery = self.inner.delivery_row(id)?.0.delivery(id);
        Ok(self.inner.dated(delivery))
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
        self.inner
            .find_deliveries(filter.clone(), window, Way::Down)
            .await
    }

    async fn deliveries_from(
        &self,
        filter: &DeliveryFilter,
        window: Window<DeliveryId>,
    ) -> Result<Found<ListedDelivery, DeliveryId>, StoreError> {
        self.inner
            .find_deliveries(filter.clone(), window, Way::Up)
            .await
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
        self.inner.audit(note).await
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
        self.inner.pauses()
    }

    async fn put_replay(&self, replay: &ReplayState, durable: bool) -> Result<(), StoreError> {
        self.inner.put_replay(replay, durable).await
    }

    async fn replay(&self, id: ReplayId) -> Result<ReplayState, StoreError> {
        self.inner.replay(id)
    }

    async fn replays(
        &self,
        before: Option<ReplayId>,
        limit: usize,
    ) -> Result<Vec<ReplayState>, StoreError> {
        self.inner.replays(before, limit).await
    }

    fn health(&self) -> Health {
        self.inner.health()
    }

    fn gauges(&self) -> Option<StoreGauges> {
        Some(self.inner.gauges())
    }

    fn alive(&self) -> bool {
        self.inner.alive()
    }

    async fn close(&self) {
        let inner = Arc::clone(&self.inner);
        if tokio::task::spawn_blocking(move || inner.stop())
            .await
            .is_err()
        {
            tracing::error!("closing the store has panicked");
        }
    }
}
