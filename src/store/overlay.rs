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

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Notify, watch};

use super::StoreError;
use super::index::DueKey;
use super::index::change::{Change, Placed, What};
use super::index::rows::{DeliveryRow, IndexedEvent, KeyRow, Place, TargetRow};
use super::index::stage::Promoted;
use super::line::{Head, Line, LinePlace};
use super::record::{
    HELD, Moved, StoredAudit, StoredOrder, StoredPause, StoredPlan, StoredReplay, StoredState,
};
use crate::delivery::Attempt;
use crate::event::Event;
use crate::id::{AuditId, DeliveryId, EventId, ReplayId, TargetName};
use crate::order::OrderKey;

/// A parsed body takes a multiple of its bytes; so many times they count as memory.
const PARSED_FACTOR: usize = 4;

/// What an event takes besides its body, roughly.
const EVENT_BASE: usize = 1024;

/// From where on a target's rows in the index are not in memory, at first: all of them.
fn from_start() -> DueKey {
    (i64::MIN, DeliveryId::from_bytes([0; 16]))
}

/// How an admission ended; `None` while it has not.
pub type Answer = Option<Result<EventId, StoreError>>;

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
    Waiting(watch::Receiver<Answer>, [u8; 32]),
    /// On disk but not in the index.
    Live(KeyRow),
}

/// What is known of a target.
#[derive(Debug)]
pub struct Lane {
    /// Deliveries that may be claimed once they are due.
    pub ready: BTreeSet<DueKey>,
    /// From here on the index may hold deliveries that are not in memory; `None`: it holds none.
    pub next: Option<DueKey>,
    /// Lines of deliveries that go one after another, as far as any of one is in memory.
    pub lines: HashMap<OrderKey, Line>,
    /// Those of them whose head only the index knows.
    pub unplaced: BTreeSet<OrderKey>,
    /// Told when a claim may give more.
    pub notify: Arc<Notify>,
    /// Its counts.
    pub counts: TargetRow,
}

impl Default for Lane {
    fn default() -> Self {
        Self {
            ready: BTreeSet::new(),
            next: Some(from_start()),
            lines: HashMap::new(),
            unplaced: BTreeSet::new(),
            notify: Arc::new(Notify::new()),
            counts: TargetRow::default(),
        }
    }
}

impl Lane {
    /// The index holds a delivery here that is not in memory.
    fn look_from(&mut self, key: DueKey) {
        self.next = Some(self.next.map_or(key, |next| next.min(key)));
    }

    fn line(&mut self, key: [u8; 16]) -> &mut Line {
        self.lines.entry(OrderKey::from_bytes(key)).or_default()
    }
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
    /// Targets.
    pub lanes: HashMap<TargetName, Lane>,
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
            lanes: HashMap::new(),
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

    /// A target's lane.
    pub fn lane(&mut self, target: &TargetName) -> &mut Lane {
        if !self.lanes.contains_key(target) {
            self.lanes.insert(target.clone(), Lane::default());
        }
        self.lanes.entry(target.clone()).or_default()
    }

    /// Tells whoever claims for this target.
    pub fn notify(&self, target: &TargetName) {
        if let Some(lane) = self.lanes.get(target) {
            lane.notify.notify_one();
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

    /// Puts a delivery in or out of [`Lane::ready`], as it may be claimed or not, and who waits for it.
    pub fn arrange(&mut self, id: DeliveryId) {
        let Some(entry) = self.entries.get(&id) else {
            return;
        };
        match entry.row.order {
            None => {
                let due = entry.due_if_free();
                self.set_ready(id, due);
            }
            Some(order) => self.arrange_in_line(id, order),
        }
    }

    fn arrange_in_line(&mut self, id: DeliveryId, order: StoredOrder) {
        let Some(entry) = self.entries.get(&id) else {
            return;
        };
        let holds_up = entry.row.state.holds_up(order);
        let claimed = entry.lease.is_some();
        let target = entry.row.target.clone();
        let line = self.lane(&target).line(order.key);
        let before = line.may_go();
        line.note((order.rank, id), holds_up, claimed);
        self.place_line(&target, order.key, before);
        if before != Some(id) {
            self.set_ready_in_line(id);
        }
    }

    /// Lets the head of a line go where it was another one before, and tells who claims of it.
    fn place_line(&mut self, target: &TargetName, key: [u8; 16], before: Option<DeliveryId>) {
        let lane = self.lane(target);
        let line = lane.line(key);
        let (head, now) = (line.head(), line.may_go());
        let key = OrderKey::from_bytes(key);
        match head {
            Head::Ask(_) => {
                lane.unplaced.insert(key);
            }
            Head::Known(_) | Head::Nobody => {
                lane.unplaced.remove(&key);
            }
        }
        if head == Head::Nobody && line_is_empty(lane, &key) {
            lane.lines.remove(&key);
        }
        for id in [before, now].into_iter().flatten() {
            self.set_ready_in_line(id);
        }
        if matches!(head, Head::Ask(_)) || now.is_some() && now != before {
            self.notify(target);
        }
    }

    fn set_ready_in_line(&mut self, id: DeliveryId) {
        let Some(entry) = self.entries.get(&id) else {
            return;
        };
        let Some(order) = entry.row.order else {
            return;
        };
        let due = entry.due_if_free();
        let target = entry.row.target.clone();
        let lane = self.lane(&target);
        let line = lane.lines.get(&OrderKey::from_bytes(order.key));
        let goes = line.and_then(Line::may_go) == Some(id);
        self.set_ready(id, due.filter(|_| goes));
    }

    fn set_ready(&mut self, id: DeliveryId, due: Option<i64>) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        if entry.ready == due {
            return;
        }
        let before = std::mem::replace(&mut entry.ready, due);
        let target = entry.row.target.clone();
        let lane = self.lane(&target);
        if let Some(before) = before {
            lane.ready.remove(&(before, id));
        }
        if let Some(due) = due {
            lane.ready.insert((due, id));
        }
    }

    /// A line whose head is to be asked for, and from which place on.
    pub fn unplaced(&mut self, target: &TargetName) -> Option<(OrderKey, LinePlace)> {
        let lane = self.lane(target);
        while let Some(key) = lane.unplaced.first().copied() {
            match lane.lines.get(&key).map(Line::head) {
                Some(Head::Ask(from)) => return Some((key, from)),
                _ => lane.unplaced.remove(&key),
            };
        }
        None
    }

    /// Whether a delivery that the index has in a line still holds up others there.
    pub fn holds_up(&self, id: DeliveryId) -> bool {
        let entry = self.entries.get(&id);
        entry.is_none_or(|entry| {
            let order = entry.row.order;
            order.is_some_and(|order| entry.row.state.holds_up(order))
        })
    }

    /// The index was asked for the head of a line, from a place on, and gave this one.
    pub fn placed(
        &mut self,
        target: &TargetName,
        key: OrderKey,
        from: LinePlace,
        found: Option<(LinePlace, DeliveryRow)>,
    ) {
        let Some(line) = self.lane(target).lines.get_mut(&key) else {
            return;
        };
        let before = line.may_go();
        line.asked(from, found.as_ref().map(|(place, _)| *place));
        if let Some(((_, id), row)) = found {
            self.load(id, row);
        }
        self.place_line(target, *key.as_bytes(), before);
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

    /// The index holds these changes now: entries that say nothing more go.
    pub fn folded(&mut self, changes: &[Change]) {
        for change in changes {
            self.unfolded = self.unfolded.saturating_sub(1);
            self.folded = change.sequence;
            self.unfolded_bytes = self.unfolded_bytes.saturating_sub(change.what.weight());
            match &change.what {
                What::Accepted { placed, .. } => {
                    self.event_folded(placed);
                    if let Some((key, row)) = &placed.key
                        && let Some(KeyEntry::Live(live)) = self.keys.get(key)
                        && live.event == row.event
                    {
                        self.keys.remove(key);
                    }
                    for (id, _) in &placed.deliveries {
                        self.one_folded(*id);
                    }
                }
                What::Moved(step) => {
                    self.one_folded(DeliveryId::from_bytes(step.moved.delivery));
                }
                What::Added { event, deliveries } => self.added_folded(*event, deliveries),
                What::Carried(placed) => self.repoint(placed, change.at),
                What::Purged { placed, .. } => {
                    if self.event_folded(placed) {
                        for (id, _) in &placed.deliveries {
                            self.one_folded(*id);
                        }
                    } else {
                        // it was written anew by cleaning
                        self.repoint(placed, change.at);
                    }
                }
                What::Replayed(row) => {
                    let id = row.replay.id();
                    if self.replays.get(&id) == Some(&row.replay) {
                        self.replays.remove(&id);
                    }
                }
                What::Scrubbed(_) | What::Paused(..) | What::Planned(_) => {}
                What::Audited(row) => {
                    self.audits.remove(&row.audit.id());
                }
            }
        }
    }

    /// The index lists these as due now, as the heads of their lines.
    pub fn promoted(&mut self, promoted: &[Promoted]) {
        for (target, due) in promoted {
            if !self.entries.contains_key(&due.1) {
                let lane = self.lane(target);
                lane.look_from(*due);
                self.notify(target);
            }
        }
    }

    /// Lets an event's row go if none newer came; whether it was this one.
    fn event_folded(&mut self, placed: &Placed) -> bool {
        let known = self.events.get(&placed.id);
        let is_it = known.is_some_and(|known| known.at == placed.event.at);
        match self.adding.get_mut(&placed.id) {
            Some(adding) if adding.at == placed.event.at => adding.is_folded = true,
            _ if is_it => {
                self.events.remove(&placed.id);
            }
            _ => {}
        }
        is_it
    }

    fn added_folded(&mut self, event: EventId, deliveries: &[(DeliveryId, DeliveryRow)]) {
        if let Some(adding) = self.adding.get_mut(&event) {
            adding.unfolded = adding.unfolded.saturating_sub(1);
            // what it was added to came before it
            adding.is_folded = true;
        }
        self.let_added_go(event);
        for (id, _) in deliveries {
            self.one_folded(*id);
        }
    }

    fn one_folded(&mut self, id: DeliveryId) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.unfolded = entry.unfolded.saturating_sub(1);
            self.retire(id);
        }
    }

    /// What was carried is found in its new place from here on.
    fn repoint(&mut self, placed: &Placed, at: Place) {
        self.repoint_added(placed.id, at);
        for (id, carried) in &placed.deliveries {
            if let Some(entry) = self.entries.get_mut(id) {
                let row = &mut entry.row;
                if row.event_at > at {
                    // overtaken by a tombstone
                    continue;
                }
                row.event_at = row.event_at.max(at);
                if row.frozen.is_none_or(|frozen| frozen < at) {
                    row.frozen = carried.frozen;
                }
                row.log.retain(|logged| *logged > at);
                row.log.splice(0..0, carried.log.iter().copied());
            }
        }
    }

    /// The same of deliveries that were added to an event after it was written anew and before that was folded.
    fn repoint_added(&mut self, id: EventId, at: Place) {
        let (Some(adding), Some(event)) = (self.adding.get_mut(&id), self.events.get_mut(&id))
        else {
            return;
        };
        if event.at != adding.at {
            // overtaken by a tombstone
            return;
        }
        adding.at = adding.at.max(at);
        event.at = adding.at;
        for id in &event.deliveries {
            if let Some(entry) = self.entries.get_mut(id) {
                entry.row.event_at = entry.row.event_at.max(at);
            }
        }
    }

    /// Lets an entry go if the index knows as much, unless it is in the window of its target.
    pub fn retire(&mut self, id: DeliveryId) {
        let Some(entry) = self.entries.get(&id) else {
            return;
        };
        if !entry.is_settled() {
            return;
        }
        // nobody claims what is held or not its line's head, so it takes no room in the window
        if entry.ready.is_some_and(|due| due < HELD) {
            let target = entry.row.target.clone();
            let window = self.bounds.window;
            let lane = self.lane(&target);
            if lane.ready.len() <= window {
                return;
            }
            // what is due last makes room, if it can; otherwise this one
            let last = lane.ready.last().map(|(_, last)| *last);
            let last_settled = last
                .and_then(|last| self.entries.get(&last))
                .is_some_and(Entry::is_settled);
            match last {
                Some(last) if last_settled => self.evict(last),
                _ => self.evict(id),
            }
        } else {
            self.evict(id);
        }
    }

    /// Keeps no more than the window of a target, as far as its entries can go.
    pub fn trim(&mut self, target: &TargetName) {
        loop {
            let window = self.bounds.window;
            let lane = self.lane(target);
            if lane.ready.len() <= window {
                return;
            }
            let Some((_, last)) = lane.ready.last().copied() else {
                return;
            };
            if !self.entries.get(&last).is_some_and(Entry::is_settled) {
                return;
            }
            self.evict(last);
        }
    }

    fn evict(&mut self, id: DeliveryId) {
        self.take_event(id);
        let Some(entry) = self.entries.remove(&id) else {
            return;
        };
        let lane = self.lane(&entry.row.target);
        if let Some(ready) = entry.ready {
            lane.ready.remove(&(ready, id));
        }
        // one that waits for another in memory comes into the due index after that
        let waits = entry.row.order.is_some_and(|order| {
            let line = lane.lines.get(&OrderKey::from_bytes(order.key));
            line.is_some_and(|line| matches!(line.head(), Head::Known(head) if head != id))
        });
        if let Some(due) = entry.row.due().filter(|_| !waits) {
            lane.look_from((due, id));
        }
        if let Some(order) = entry.row.order {
            let key = OrderKey::from_bytes(order.key);
            if let Some(line) = lane.lines.get_mut(&key) {
                line.forget((order.rank, id));
            }
            if line_is_empty(lane, &key) {
                lane.lines.remove(&key);
                lane.unplaced.remove(&key);
            } else if matches!(lane.lines.get(&key).map(Line::head), Some(Head::Ask(_))) {
                lane.unplaced.insert(key);
            }
        }
    }
}

/// Whether nothing of a line is in memory.
fn line_is_empty(lane: &Lane, key: &OrderKey) -> bool {
    lane.lines.get(key).is_none_or(Line::is_empty)
}

fn weight(event: &Event) -> usize {
    let body = event.parts().body.len();
    body.saturating_mul(PARSED_FACTOR)
        .saturating_add(EVENT_BASE)
}
