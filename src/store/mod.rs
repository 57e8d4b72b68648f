//! Where events and deliveries are kept. [`Store`] is what the rest of the program sees.
//!
//! Promise: what `admit` says yes to is on disk, and ends as delivered, pending, dead, discarded or
//! unmatched; what is claimed is given out once at a time. The store's clock rules. The trait
//! promises nothing that only one process can keep.

mod add;
mod admit;
mod audit;
pub mod care;
mod claims;
mod clean;
#[cfg(test)]
mod contract;
pub mod copy;
mod filter;
mod find;
mod fleet;
mod fold;
mod held;
mod index;
pub mod journal;
mod line;
pub mod local;
pub mod lock;
mod moves;
mod operators;
mod overlay;
mod position;
pub mod postgres;
mod promise;
mod purge;
mod reads;
pub mod record;
mod replay;
mod rules;
mod space;
mod start;
#[cfg(test)]
mod tests;
mod timeline;

pub use filter::{DeliveryFilter, EventFilter, Found, ListedDelivery, Window};
pub use fleet::{Instance, Task};
pub use local::{LocalStore, OpenError, StoreOptions};
pub use replay::{
    Cursor, MAX_FILTER_BYTES, Pause, ReplayFilter, ReplayPhase, ReplayState, Revival, RevivedBody,
};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::Notify;

use crate::delivery::{Attempt, Delivery, Next};
use crate::event::Event;
use crate::id::{
    AuditId, DeliveryId, Digest, EventId, ReplayId, RouteName, SourceName, TargetName,
};
use crate::metrics::StoreGauges;
use crate::plan::Generation;

/// An event with its deliveries, to be stored in one step.
#[derive(Debug, Clone)]
pub struct Admission {
    /// The event.
    pub event: Arc<Event>,
    /// Its deliveries in their first state: pending and due at once, or dead (`not_json`, `loop`).
    pub deliveries: Vec<Delivery>,
    /// What makes a later request the same event; `None` where the source has dedupe off.
    pub dedupe: Option<DedupeKey>,
    /// How it was verified and routed; `None` if that is not told.
    pub receipt: Option<Receipt>,
}

/// How an event was verified and routed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The scheme: the preset, or `custom`; at most 64 bytes are kept.
    pub scheme: String,
    /// Which of the source's secrets has matched; 0 was the newest then.
    pub secret: u16,
    /// By how many seconds the sender's timestamp was ahead of our clock; `None` where the scheme has none.
    pub skew_seconds: Option<i64>,
    /// Whether the signature covers the message id.
    pub message_id_covered: bool,
    /// The number of the configuration by which it was routed; `None` if that was not known yet.
    pub generation: Option<u64>,
}

/// What makes a later request the same event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DedupeKey {
    /// A hash over source and message id, or source and body.
    pub key: [u8; 32],
    /// A hash of the body, to tell a repetition from another body under the same id.
    pub body: [u8; 32],
    /// How long it counts.
    pub window: Duration,
}

/// The answer to an admission: everything is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admitted {
    /// The event; the first one's id if this one is a duplicate.
    pub event: EventId,
    /// How it relates to an earlier one.
    pub novelty: Novelty,
}

/// How an admitted request relates to earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Novelty {
    /// It is new and stored.
    New,
    /// It repeats one that is stored; nothing was added.
    Duplicate,
    /// It has the id of one that is stored but another body; nothing was added.
    Conflicting,
}

/// The right to settle one claimed delivery; fenced off once the store has given it to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The delivery.
    pub delivery: DeliveryId,
    /// Tells this claim from earlier and later ones of the same delivery.
    pub token: u64,
}

/// A delivery given out to be tried now.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The right to settle it.
    pub lease: Lease,
    /// The delivery; pending.
    pub delivery: Delivery,
    /// Its event.
    pub event: Arc<Event>,
    /// The body that earlier attempts have sent; `None` if none was rendered yet.
    pub frozen: Option<Bytes>,
}

/// What `claim` gives.
#[derive(Debug, Default)]
pub struct Claims {
    /// What was claimed; fewer than asked for means that no more is due now.
    pub taken: Vec<Claimed>,
    /// When the next delivery of this target falls due, as far as is known.
    pub next_due: Option<Timestamp>,
    /// The target came from another process just now, and that took it to be down. Nothing is taken then.
    pub down: bool,
    /// Another process makes the attempts to this target. Nothing is taken then, until an arrival is told.
    pub elsewhere: bool,
}

/// How a claimed delivery went.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// The attempt.
    pub attempt: Attempt,
    /// What follows.
    pub next: Next,
    /// The rendered body, where it is to be frozen; the store keeps it while the delivery is not done.
    pub frozen: Option<Bytes>,
}

/// Whether a settlement counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It is recorded.
    Recorded,
    /// The lease had passed to another; nothing changed.
    Fenced,
}

/// Why the store could not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It cannot take more now: full, behind, failing, draining or rebuilding. Ask again later.
    #[error("the store takes nothing now: {0}")]
    Unavailable(String),
    /// There is no such event or delivery.
    #[error("not found")]
    NotFound,
    /// The delivery is in a state that forbids it.
    #[error("a delivery that is {state} cannot be {wanted}")]
    WrongState {
        /// Its state.
        state: &'static str,
        /// What was asked for, e.g. `retried`.
        wanted: &'static str,
    },
    /// The event's data was purged.
    #[error("the data of the event was purged")]
    Purged,
    /// Reading failed or what was read is damaged.
    #[error("the store cannot read: {0}")]
    Damaged(String),
}

/// An event as listings show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    /// Its id.
    pub id: EventId,
    /// Where it came in.
    pub source: SourceName,
    /// The sender's id.
    pub message_id: Option<String>,
    /// Its type.
    pub event_type: String,
    /// When it came in.
    pub received_at: Timestamp,
    /// Bytes of its body.
    pub size: u64,
    /// Its deliveries; none means that no route took it.
    pub deliveries: Vec<DeliveryId>,
    /// When its data was purged; then the sender's id is gone and the size is 0.
    pub purged_at: Option<Timestamp>,
}

/// How many deliveries of a target stand in a state, and how old the oldest is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Depth {
    /// The target.
    pub target: TargetName,
    /// How many are pending.
    pub pending: u64,
    /// How many are dead.
    pub dead: u64,
    /// When the oldest pending one was started.
    pub oldest_pending: Option<Timestamp>,
}

/// Dead letters of one target and reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadGroup {
    /// The target.
    pub target: TargetName,
    /// The reason.
    pub reason: crate::delivery::DeadReason,
    /// How many.
    pub count: u64,
    /// The oldest of them.
    pub oldest: DeliveryId,
    /// The newest of them.
    pub newest: DeliveryId,
}

/// What a purge did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purged {
    /// When the event was purged; the first time counts.
    pub at: Timestamp,
    /// Deliveries that were let go by it.
    pub discarded: u64,
    /// Records that were emptied, where the store keeps such.
    pub records: u64,
}

/// What somebody did to the daemon, as the audit log takes it. Longer texts are cut: the detail to 1 KiB,
/// the others to 256 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditNote {
    /// Who did it.
    pub actor: String,
    /// What was done, e.g. `reload`.
    pub action: String,
    /// To what, e.g. an id or a name.
    pub subject: String,
    /// Whether it was done; else it was tried and refused.
    pub ok: bool,
    /// More of it, in words.
    pub detail: String,
}

/// An entry of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its id.
    pub id: AuditId,
    /// When it was made, by the store's clock.
    pub at: Timestamp,
    /// What it says.
    pub note: AuditNote,
}

/// Whether the store can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It takes events.
    Ready,
    /// It takes none now; why.
    Unavailable(String),
}

/// Where events and deliveries are kept.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Stores an event with its deliveries; returns when they are on disk. A concurrent twin waits
    /// for the first one's result. A failed admission leaves no trace. Cancelling the future does
    /// not undo what was begun.
    async fn admit(&self, admission: Admission) -> Result<Admitted, StoreError>;

    /// Gives out up to `most` deliveries to `target` that are due, oldest due first. None of them is
    /// given out again before it is settled or released (or its lease runs out, where a store has such).
    async fn claim(&self, target: &TargetName, most: usize) -> Result<Claims, StoreError>;

    /// Is notified whenever `claim` for this target may give more than it gave last.
    fn arrivals(&self, target: &TargetName) -> Arc<Notify>;

    /// Records an attempt of a claimed delivery and what follows from it; does not wait for the disk.
    async fn settle(&self, lease: Lease, settlement: Settlement) -> Result<Settled, StoreError>;

    /// Gives a claimed delivery back untried; it is due as before.
    async fn release(&self, lease: Lease) -> Result<Settled, StoreError>;

    /// Gives a claimed delivery back to wait, pending but not due at any time ([`Delivery::is_held`]), because
    /// its route is gone from the configuration. Counts no attempt; does not wait for the disk.
    async fn hold(&self, lease: Lease) -> Result<Settled, StoreError>;

    /// Makes the held deliveries of `target` whose route is in `routes` due now, with the attempts, start and
    /// frozen body that they have; gives how many. On disk when it returns. One that is held meanwhile may
    /// be missed: call it once nobody holds by the older configuration any more.
    async fn resume(
        &self,
        target: &TargetName,
        routes: &BTreeSet<RouteName>,
    ) -> Result<u64, StoreError>;

    /// Makes a dead, delivered or discarded delivery pending again, due now, with a fresh retry budget and
    /// the same id; a pending one (a held one, too) becomes due now. On disk when it returns.
    ///
    /// With [`RevivedBody::Keep`] the frozen body stays, as far as there is one (that of a delivered one may be gone; it
    /// is rendered anew then), and a pending one keeps its attempts. With [`RevivedBody::Anew`] the frozen body counts no
    /// more and the attempts begin anew, whatever state it is in; one that its target has answered 2xx before is
    /// [`StoreError::WrongState`], since other bytes need another id there (see [`Self::add_deliveries`]).
    async fn revive_as(&self, delivery: DeliveryId, how: Revival) -> Result<Delivery, StoreError>;

    /// [`Self::revive_as`] by itself, with the same body.
    async fn revive(&self, delivery: DeliveryId) -> Result<Delivery, StoreError> {
        self.revive_as(delivery, Revival::PLAIN).await
    }

    /// Adds new deliveries to a stored event, pending or dead, as at its admission. Those in a line stand at its end. On
    /// disk when it returns. [`StoreError::NotFound`] if there is no such event, [`StoreError::Purged`] if its
    /// data is gone, `Unavailable` while it is being cleaned or purged: ask again.
    async fn add_deliveries(
        &self,
        event: EventId,
        deliveries: Vec<Delivery>,
    ) -> Result<(), StoreError>;

    /// Lets a pending or dead delivery go. On disk when it returns.
    async fn discard(&self, delivery: DeliveryId) -> Result<Delivery, StoreError>;

    /// Takes the data of one event out of the store for good: body, headers, message id, rendered bodies, what targets
    /// answered. Id, source, type and time stay for as long as events that are done, the dedupe key as long as
    /// it counts. Pending and dead deliveries are discarded, who has one claimed is fenced, none can
    /// be revived. Gone from the disk when it returns; after an error it is done when it is called again, or
    /// by the next start. One that was purged already is fine.
    async fn purge(&self, event: EventId) -> Result<Purged, StoreError>;

    /// One event; [`StoreError::Purged`] if its data was purged.
    async fn event(&self, id: EventId) -> Result<Arc<Event>, StoreError>;

    /// One event as listings show it.
    async fn event_row(&self, id: EventId) -> Result<EventRow, StoreError>;

    /// How an event was verified and routed; `None` of one that an older version has stored.
    async fn receipt(&self, id: EventId) -> Result<Option<Receipt>, StoreError>;

    /// Events that pass the filter, newest first.
    async fn find_events(
        &self,
        filter: &EventFilter,
        window: Window<EventId>,
    ) -> Result<Found<EventRow, EventId>, StoreError>;

    /// Events that pass the filter, oldest first.
    async fn events_from(
        &self,
        filter: &EventFilter,
        window: Window<EventId>,
    ) -> Result<Found<EventRow, EventId>, StoreError>;

    /// Events, newest first, older than `before`, at most `limit`.
    async fn events(
        &self,
        before: Option<EventId>,
        limit: usize,
    ) -> Result<Vec<EventRow>, StoreError> {
        let window = Window {
            past: before,
            ..Window::first(limit)
        };
        let found = self.find_events(&EventFilter::default(), window).await?;
        Ok(found.rows)
    }

    /// One delivery.
    async fn delivery(&self, id: DeliveryId) -> Result<Delivery, StoreError>;

    /// One delivery as listings show it.
    async fn listed(&self, id: DeliveryId) -> Result<ListedDelivery, StoreError>;

    /// The frozen body of a delivery; `None` if none is kept: before the first failed attempt, since it was delivered,
    /// or because its route has no template. [`StoreError::Purged`] if its event's data was purged.
    async fn frozen(&self, id: DeliveryId) -> Result<Option<Bytes>, StoreError>;

    /// Deliveries that pass the filter, newest first.
    async fn find_deliveries(
        &self,
        filter: &DeliveryFilter,
        window: Window<DeliveryId>,
    ) -> Result<Found<ListedDelivery, DeliveryId>, StoreError>;

    /// Deliveries that pass the filter, oldest first.
    async fn deliveries_from(
        &self,
        filter: &DeliveryFilter,
        window: Window<DeliveryId>,
    ) -> Result<Found<ListedDelivery, DeliveryId>, StoreError>;

    /// Deliveries that pass the filter, newest first, older than `before`, at most `limit`.
    async fn deliveries(
        &self,
        filter: &DeliveryFilter,
        before: Option<DeliveryId>,
        limit: usize,
    ) -> Result<Vec<Delivery>, StoreError> {
        let window = Window {
            past: before,
            ..Window::first(limit)
        };
        Ok(self.find_deliveries(filter, window).await?.deliveries())
    }

    /// The attempts of a delivery that are still kept, oldest first.
    async fn attempts(&self, id: DeliveryId) -> Result<Vec<Attempt>, StoreError>;

    /// Counts and oldest age of every target that has any delivery pending or dead.
    async fn depths(&self) -> Result<Vec<Depth>, StoreError>;

    /// Dead letters, grouped.
    async fn dead_groups(&self) -> Result<Vec<DeadGroup>, StoreError>;

    /// Adds an entry to the audit log. On disk when it returns. Kept as long as events that are done.
    async fn audit(&self, note: AuditNote) -> Result<AuditEntry, StoreError>;

    /// Entries of the audit log, newest first, older than `before`, at most `limit`.
    async fn audits(
        &self,
        before: Option<AuditId>,
        limit: usize,
    ) -> Result<Vec<AuditEntry>, StoreError>;

    /// The number of the configuration with this fingerprint: that of the last one if it has the same, else the next. On
    /// disk when it returns. Numbers count from 1 and outlast restarts.
    async fn generation(&self, fingerprint: Digest) -> Result<Generation, StoreError>;

    /// Notes that a target is paused, by whom, or with `None` that it is not. On disk when it returns; gives what holds
    /// from then on. One that is paused already stays so, since when and by whom it was. Kept until it is
    /// resumed, whether the target is in the configuration or not. The store gives out deliveries all the same.
    async fn set_pause(
        &self,
        target: &TargetName,
        by: Option<String>,
    ) -> Result<Option<Pause>, StoreError>;

    /// All targets that are paused.
    async fn pauses(&self) -> Result<BTreeMap<TargetName, Pause>, StoreError>;

    /// Keeps a replay as it stands; the last state counts. One caller at a time for each. On disk when it returns if it
    /// is to be `durable`, else soon after. Kept while it is running, and then as long as events that are done. Where processes
    /// share the store, one that has ended stays ended: a state of another phase changes nothing then and is no error.
    async fn put_replay(&self, replay: &ReplayState, durable: bool) -> Result<(), StoreError>;

    /// One replay.
    async fn replay(&self, id: ReplayId) -> Result<ReplayState, StoreError>;

    /// Replays, newest first, older than `before`, at most `limit`.
    async fn replays(
        &self,
        before: Option<ReplayId>,
        limit: usize,
    ) -> Result<Vec<ReplayState>, StoreError>;

    /// Whether other processes may use it at the same time, so that what they change must be looked for.
    fn is_shared(&self) -> bool {
        false
    }

    /// The processes that share this store, oldest first; `None` where only one can use it.
    async fn fleet(&self) -> Result<Option<Vec<Instance>>, StoreError> {
        Ok(None)
    }

    /// Whether this process is the one that does this: it is already, or nobody was. It stays so until it gives it up, ends or
    /// is not heard of for too long. Where only one process can use the store, it is always this one. (Claiming a target asks by itself.)
    async fn own(&self, _task: &Task) -> Result<bool, StoreError> {
        Ok(true)
    }

    /// Lets others do this from now on.
    async fn disown(&self, _task: &Task) -> Result<(), StoreError> {
        Ok(())
    }

    /// These are the targets to which this process makes attempts from now on, if it may.
    fn set_targets(&self, _targets: &BTreeSet<TargetName>) {}

    /// Notes whether a target that this process owns is taken to be down, for whoever makes the attempts after it (see
    /// [`Claims::down`]).
    fn set_down(&self, _target: &TargetName, _down: bool) {}

    /// Whether it takes events now.
    fn health(&self) -> Health;

    /// How it stands, for the metrics; `None` where a store has nothing to tell.
    fn gauges(&self) -> Option<StoreGauges> {
        None
    }

    /// Whether its own threads run. `false` says that one has ended though nobody closed the store, so that only a
    /// restart can help; a store that takes nothing now is alive.
    fn alive(&self) -> bool {
        true
    }

    /// Takes nothing more, syncs what is open and stops. `admit` answers `Unavailable` from here on.
    async fn close(&self);
}
