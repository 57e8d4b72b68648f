//! Where events and deliveries are kept. [`Store`] is what the rest of the program sees.
//!
//! Promise: what `admit` says yes to is on disk, and ends as delivered, pending, dead, discarded or
//! unmatched; what is claimed is given out once at a time. The store's clock rules. The trait
//! promises nothing that only one process can keep.

mod admit;
mod audit;
pub mod care;
mod claims;
mod clean;
#[cfg(test)]
mod contract;
mod fold;
mod held;
mod index;
pub mod journal;
mod line;
pub mod local;
pub mod lock;
mod moves;
mod overlay;
mod position;
mod purge;
mod reads;
pub mod record;
mod space;
mod start;
#[cfg(test)]
mod tests;
mod timeline;

pub use local::{LocalStore, OpenError, StoreOptions};

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::Notify;

use crate::delivery::{Attempt, Delivery, Next, StateKind};
use crate::event::Event;
use crate::id::{AuditId, DeliveryId, EventId, RouteName, SourceName, TargetName};
use crate::metrics::StoreGauges;

/// An event with its deliveries, to be stored in one step.
#[derive(Debug, Clone)]
pub struct Admission {
    /// The event.
    pub event: Arc<Event>,
    /// Its deliveries in their first state: pending and due at once, or dead (`not_json`, `loop`).
    pub deliveries: Vec<Delivery>,
    /// What makes a later request the same event; `None` where the source has dedupe off.
    pub dedupe: Option<DedupeKey>,
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

/// Which deliveries a listing shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    /// Only of this state.
    pub state: Option<StateKind>,
    /// Only to this target.
    pub target: Option<TargetName>,
    /// Only by this route.
    pub route: Option<RouteName>,
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

    /// Makes a dead, delivered or discarded delivery pending again, due now, with a fresh retry budget,
    /// same id and same frozen body; a pending one (a held one, too) becomes due now. On disk when it returns.
    /// The frozen body of a delivered one may be gone; it is rendered anew then.
    async fn revive(&self, delivery: DeliveryId) -> Result<Delivery, StoreError>;

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

    /// Events, newest first, older than `before`, at most `limit`.
    async fn events(
        &self,
        before: Option<EventId>,
        limit: usize,
    ) -> Result<Vec<EventRow>, StoreError>;

    /// One delivery.
    async fn delivery(&self, id: DeliveryId) -> Result<Delivery, StoreError>;

    /// Deliveries that pass the filter, newest first, older than `before`, at most `limit`.
    async fn deliveries(
        &self,
        filter: &DeliveryFilter,
        before: Option<DeliveryId>,
        limit: usize,
    ) -> Result<Vec<Delivery>, StoreError>;

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
