//! What the store knows beyond the index: changes that are not folded yet, what is in flight, and a
//! window of each target's deliveries. Plain state; [`super::local`] keeps it under one mutex.
//!
//! Invariants:
//! * Whatever differs from the index has an entry here; an entry goes only after the index holds it. So who
//!   reads the index with the gate held and then asks here is never wrong.
//! * Every pending delivery of a target is in `Lane::ready`, or claimed or being changed (and in `entries`), or stands in
//!   the index at or after `Lane::next`. So nothing is forgotten, and the oldest is found without a scan.
//!   (Of deliveries in a line, this holds for the head, or the line is in `Lane::unplaced`.)
//! * A delivery is in `Lane::ready` if and only if it may be claimed.
//!
//! How deliveries come into `ready` and into lines: see `lanes`; what goes once the index holds it: see `folding`.

mod folding;
mod lanes;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use super::StoreError;
use super::index::change::{Change, Placed};
use super::index::rows::{DeliveryRow, IndexedEvent, KeyRow, Place};
use super::promise::Promised;
use super::record::{Moved, StoredAudit, StoredPause, StoredPlan, StoredReplay, StoredState};
use crate::delivery::Attempt;
use crate::event::Event;
use crate::id::{AuditId, DeliveryId, EventId, ReplayId, TargetName};

pub use lanes::Lane;

/// A parsed body takes a multiple of its bytes; so many times they count as memory.
const PARSED_FACTOR: usize = 4;

/// What an event takes besides its body, roughly.
const EVENT_BASE: usize = 1024;

/// How an admission ended.
pub type Answer = Result<EventId, StoreError>;

/// Whether the store can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// Not yet; why.
    Starting(&'static str),
    /// Yes.
    Ready,
    /// Not before a restart; why.
    Failed(String),
    /// It was closed.
    Closed,
}

/// A delivery in memory.
#[derive(Debug)]
pub struct Entry {
    /// How it stands; may be ahead of the journal by records that are being written.
    pub row: DeliveryRow,
    /// Its event, where that was kept.
    pub event: Option<Arc<Event>>,
    /// Its frozen body, until a record holds it.
    pub body: Option<Bytes>,
    /// Attempts whose records are not on disk yet, by revision.
    pub fresh: Vec<(u32, Attempt)>,
    /// The token of who has it claimed.
    pub lease: Option<u64>,
    /// An operator's change is being written.
    pub changing: bool,
    /// Not to be claimed before this time whatever its state says (its event could not be read).
    pub held_until: Option<i64>,
    /// Records that are on disk but not in the index.
    pub unfolded: u32,
    /// Records on their way to the disk.
    pub writing: u32,
    /// Its key in [`Lane::ready`].
    ready: Option<i64>,
}

impl Entry {
    fn new(row: DeliveryRow) -> Self {
        Self {
            row,
            event: None,
            body: None,
            fresh: Vec::new(),
            lease: None,
            changing: false,
            held_until: None,
            unfolded: 0,
            writing: 0,
            ready: None,
        }
    }

    /// When it is due, if nothing but its line keeps it from being claimed then.
    fn due_if_free(&self) -> Option<i64> {
        match self.row.state {
            StoredState::Pending(due) if self.lease.is_none() && !self.changing => {
                Some(self.held_until.map_or(due, |held| held.max(due)))
            }
            _ => None,
        }
    }

    /// Whether the index and the journal say all there is to say.
    fn is_settled(&self) -> bool {
        self.unfolded == 0
            && self.writing == 0
            && self.lease.is_none()
            && !self.changing
            && self.held_until.is_none()
    }
}

/// A dedupe key in memory.
#[derive(Debug)]
pub enum KeyEntry {
    /// Its event is being written; twins wait for that.
    Waiting(Promised<Answer>, [u8; 32]),
    /// On disk but not in the index.
    Live(KeyRow),
}

/// An event that gets new deliveries. Its row stays in [`Overlay::events`] meanwhile.
#[derive(Debug)]
struct Adding {
    /// Where the event is.
    at: Place,
    /// Records on their way to the disk.
    writing: u32,
    /// Records that are on disk but not in the index.
    unfolded: u32,
    /// Whether the index has the event's row otherwise.
    is_folded: bool,
}

/// Bounds of what is kept in memory.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Deliveries of a target that are kept ready.
    pub window: usize,
    /// Bytes of events that are kept with them, over all targets.
    pub window_bytes: usize,
    /// Records that are folded as one batch.
    pub batch: usize,
}

/// Everything in memory.
pub struct Overlay {
    /// Whether the store can be used.
    pub phase: Phase,
    /// Deliveries.
    pub entries: BTreeMap<DeliveryId, Entry>,
    /// Events that are not folded yet; they name all deliveries.
    pub events: BTreeMap<EventId, IndexedEvent>,
    /// Audit entries that are not folded yet.
    pub audits: BTreeMap<AuditId, StoredAudit>,
    /// Replays as they stand, as far as that is not folded yet.
    pub replays: BTreeMap<ReplayId, StoredReplay>,
    /// All targets that are paused.
    pub pauses: BTreeMap<TargetName, StoredPause>,
    /// The configuration that came into force last.
    pub plan: Option<StoredPlan>,
    /// Events that get new deliveries.
    adding: BTreeMap<EventId, Adding>,
    /// Events whose tombstone is being written.
    pub burying: BTreeSet<EventId>,
    /// Purged events whose earlier records are not emptied yet.
    pub unscrubbed: BTreeSet<EventId>,
    /// Dedupe keys that are being written or not folded yet.
    pub keys: HashMap<[u8; 32], KeyEntry>,
    /// Targets, in a tree: they are few, and asked for ten times with each event.
    pub lanes: BTreeMap<TargetName, Lane>,
    /// Changes to be folded, in the order of the journal.
    pub queue: VecDeque<Change>,
    /// Changes that are not folded yet, those taken from the queue included.
    pub unfolded: usize,
    /// Their weight in bytes.
    pub unfolded_bytes: usize,
    /// How many wait for the fold.
    pub hurried: usize,
    /// Moves whose record was refused; to be written again.
    pub refused: Vec<(DeliveryId, u32)>,
    /// Rows of events in older segments are not there any more.
    pub floor: u64,
    /// The segment that is being cleaned: what is done in it stays so.
    pub cleaning: Option<u64>,
    /// The segment that was begun when the journal was opened; older ones are not written any more.
    pub opened: u64,
    /// Place and number of the last record that was queued.
    pub queued: (Place, u64),
    /// Number of the last record that was folded.
    pub folded: u64,
    /// Weight of the events that entries keep.
    kept_bytes: usize,
    next_token: u64,
    bounds: Bounds,
}

impl Overlay {
    /// Nothing.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self {
            phase: Phase::Starting("opening"),
            entries: BTreeMap::new(),
            events: BTreeMap::new(),
            audits: BTreeMap::new(),
            replays: BTreeMap::new(),
            pauses: BTreeMap::new(),
            plan: None,
            adding: BTreeMap::new(),
            burying: BTreeSet::new(),
            unscrubbed: BTreeSet::new(),
            keys: HashMap::new(),
            lanes: BTreeMap::new(),
            queue: VecDeque::new(),
            unfolded: 0,
            unfolded_bytes: 0,
            hurried: 0,
            refused: Vec::new(),
            floor: 0,
            cleaning: None,
            opened: 0,
            queued: (
                Place {
                    segment: 0,
                    offset: 0,
                },
                0,
            ),
            folded: 0,
            kept_bytes: 0,
            next_token: 1,
            bounds,
        }
    }

    /// Whether the store can be used.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] with the reason.
    pub fn usable(&self) -> Result<(), StoreError> {
        match &self.phase {
            Phase::Ready => Ok(()),
            Phase::Starting(why) => Err(StoreError::Unavailable((*why).to_owned())),
            Phase::Failed(why) => Err(StoreError::Unavailable(why.clone())),
            Phase::Closed => Err(StoreError::Unavailable("closed".to_owned())),
        }
    }

    /// A token that no claim has had.
    pub fn token(&mut self) -> u64 {
        let token = self.next_token;
        self.next_token = token.wrapping_add(1);
        token
    }

    /// Takes a row of the index into memory, unless something newer is there.
    pub fn load(&mut self, id: DeliveryId, row: DeliveryRow) {
        if row.event_at.segment >= self.floor && !self.entries.contains_key(&id) {
            self.entries.insert(id, Entry::new(row));
            self.arrange(id);
        }
    }

    /// Changes a delivery's state, in memory and in the counts.
    pub fn set_state(&mut self, id: DeliveryId, moved: &Moved) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        let before = entry.row.state;
        entry.row.state = moved.state;
        entry.row.revision = moved.revision;
        entry.row.attempts = moved.attempts;
        entry.row.started_at = moved.started_at;
        let target = entry.row.target.clone();
        let lane = self.lane(&target);
        lane.counts.count(before, false);
        lane.counts.count(moved.state, true);
        self.arrange(id);
    }

    /// Those of the next `most` deliveries that are due by `now` whose events are not kept: the delivery, its event, and
    /// where that is.
    pub fn without_event(
        &mut self,
        target: &TargetName,
        now: i64,
        most: usize,
    ) -> Vec<(DeliveryId, EventId, Place)> {
        let ready = self.lane(target).ready.iter().take(most);
        let due = ready.take_while(|(due, _)| *due <= now);
        let next: Vec<_> = due.map(|(_, id)| *id).collect();
        let entry = |id| self.entries.get(&id).map(|entry| (id, entry));
        let without = next.into_iter().filter_map(entry);
        without
            .filter(|(_, entry)| entry.event.is_none())
            .map(|(id, entry)| (id, entry.row.event, entry.row.event_at))
            .collect()
    }

    /// Keeps an event that was read at this place with a delivery, if that still may be claimed and there is room.
    pub fn keep_event(&mut self, id: DeliveryId, at: Place, event: Arc<Event>) {
        let kept = self.kept_bytes.saturating_add(weight(&event));
        if kept > self.bounds.window_bytes {
            return;
        }
        if let Some(entry) = self.entries.get_mut(&id)
            && entry.ready.is_some()
            && entry.event.is_none()
            && entry.row.event_at == at
        {
            entry.event = Some(event);
            self.kept_bytes = kept;
        }
    }

    /// Gives up the event that is kept with a delivery.
    pub fn take_event(&mut self, id: DeliveryId) -> Option<Arc<Event>> {
        let event = self.entries.get_mut(&id)?.event.take()?;
        self.kept_bytes = self.kept_bytes.saturating_sub(weight(&event));
        Some(event)
    }

    /// A record is on disk: it waits to be folded from here on. Whether the fold is to be told: it is the first that waits,
    /// or fills a batch.
    pub fn queue(&mut self, change: Change) -> bool {
        let waiting = self.queue.len().saturating_add(1);
        self.unfolded = self.unfolded.saturating_add(1);
        self.unfolded_bytes = self.unfolded_bytes.saturating_add(change.what.weight());
        self.queued = (change.at, change.sequence);
        self.queue.push_back(change);
        waiting == 1 || waiting == self.bounds.batch
    }

    /// An accepted event is on disk.
    pub fn accepted(&mut self, placed: &Placed, event: &Arc<Event>) {
        self.events.insert(placed.id, placed.event.clone());
        if let Some((key, row)) = &placed.key {
            self.keys.insert(*key, KeyEntry::Live(*row));
        }
        for (id, row) in &placed.deliveries {
            self.insert(*id, row.clone(), Some(event));
        }
    }

    /// A new delivery is on disk; its event is kept with it if there is room.
    fn insert(&mut self, id: DeliveryId, row: DeliveryRow, event: Option<&Arc<Event>>) {
        let pending = row.due().is_some();
        let target = row.target.clone();
        let window = self.bounds.window;
        let lane = self.lane(&target);
        lane.counts.count(row.state, true);
        let wanted = pending && lane.ready.len() < window;
        let mut entry = Entry::new(row);
        entry.unfolded = 1;
        if let Some(event) = event.filter(|_| wanted) {
            let kept = self.kept_bytes.saturating_add(weight(event));
            if kept <= self.bounds.window_bytes {
                self.kept_bytes = kept;
                entry.event = Some(Arc::clone(event));
            }
        }
        self.entries.insert(id, entry);
        self.arrange(id);
        if pending {
            self.notify(&target);
        }
    }

    /// Whether an event is changing in a way that the index does not know, so that it cannot be carried now.
    #[must_use]
    pub fn is_changing(&self, id: EventId) -> bool {
        self.events.contains_key(&id) || self.adding.contains_key(&id) || self.burying.contains(&id)
    }

    /// Whether new deliveries of an event are on their way to the disk.
    #[must_use]
    pub fn is_adding(&self, id: EventId) -> bool {
        self.adding
            .get(&id)
            .is_some_and(|adding| adding.writing > 0)
    }

    /// A record of new deliveries of this event is about to be written.
    pub fn begin_adding(&mut self, id: EventId, event: &IndexedEvent) {
        let is_folded = !self.events.contains_key(&id);
        self.events.entry(id).or_insert_with(|| event.clone());
        let adding = self.adding.entry(id).or_insert(Adding {
            at: event.at,
            writing: 0,
            unfolded: 0,
            is_folded,
        });
        adding.writing = adding.writing.saturating_add(1);
    }

    /// It is on disk.
    pub fn added(&mut self, id: EventId, deliveries: &[(DeliveryId, DeliveryRow)]) {
        let Some(adding) = self.adding.get_mut(&id) else {
            return;
        };
        adding.writing = adding.writing.saturating_sub(1);
        adding.unfolded = adding.unfolded.saturating_add(1);
        let at = adding.at;
        if let Some(event) = self.events.get_mut(&id) {
            event
                .deliveries
                .extend(deliveries.iter().map(|(id, _)| *id));
            event.added = true;
        }
        for (id, row) in deliveries {
            let row = DeliveryRow {
                event_at: at,
                ..row.clone()
            };
            self.insert(*id, row, None);
        }
    }

    /// It is not.
    pub fn not_added(&mut self, id: EventId) {
        if let Some(adding) = self.adding.get_mut(&id) {
            adding.writing = adding.writing.saturating_sub(1);
        }
        self.let_added_go(id);
    }

    /// Lets the row of an event go that had new deliveries, once the index knows them all.
    fn let_added_go(&mut self, id: EventId) {
        let Some(adding) = self.adding.get(&id) else {
            return;
        };
        if adding.writing > 0 || adding.unfolded > 0 {
            return;
        }
        let (at, is_folded) = (adding.at, adding.is_folded);
        self.adding.remove(&id);
        // a tombstone may have come in its place
        if is_folded && self.events.get(&id).is_some_and(|known| known.at == at) {
            self.events.remove(&id);
        }
    }

    /// The tombstone of an event is on disk. Its deliveries are in memory, marked as being changed.
    pub fn purged(&mut self, placed: &Placed) {
        self.events.insert(placed.id, placed.event.clone());
        self.unscrubbed.insert(placed.id);
        for (id, row) in &placed.deliveries {
            self.take_event(*id);
            let stored = row.stored(*id);
            let moved = Moved {
                delivery: stored.id,
                revision: stored.revision,
                state: stored.state,
                attempts: stored.attempts,
                started_at: stored.started_at,
            };
            self.set_state(*id, &moved);
            if let Some(entry) = self.entries.get_mut(id) {
                entry.row = row.clone();
                entry.body = None;
                entry.fresh.clear();
                entry.held_until = None;
                entry.changing = false;
                entry.writing = entry.writing.saturating_sub(1);
                entry.unfolded = entry.unfolded.saturating_add(1);
            }
            self.arrange(*id);
        }
    }
}

fn weight(event: &Event) -> usize {
    let body = event.parts().body.len();
    body.saturating_mul(PARSED_FACTOR)
        .saturating_add(EVENT_BASE)
}
