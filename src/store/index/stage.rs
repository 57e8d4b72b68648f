//! Changes on their way into the index: looked up, applied and written as one batch.
//!
//! Promise: what one batch adds and takes away again is never written, so a delivery that is accepted
//! and done within one batch never enters the due index; rows, position, count and fingerprint are
//! written in one step. The same code serves the running fold and the rebuild.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use serde::Serialize;
use serde::de::DeserializeOwned;
use xxhash_rust::xxh3::Xxh3;

use super::super::record::{HELD, StoredState};
use super::change::{Change, Placed, What, moved_row};
use super::packed::{self, Unpacked};
use super::rows::{
    self, AGE, AuditRow, DUE, DeliveryRow, IndexedEvent, KeyRow, META, MetaRow, Place, ReplayRow,
    SegmentRow, TargetRow,
};
use super::{DueKey, Index, IndexError};
use crate::id::{AuditId, DeliveryId, EventId, ReplayId, TargetName};

/// Changes that are not written yet, over the rows of an index.
pub struct Stage<'a> {
    index: &'a Index,
    meta: MetaRow,
    /// The chunks that were looked into.
    chunks: Vec<Chunk>,
    /// Where each stands in `chunks`, by its key.
    places: BTreeMap<Vec<u8>, usize>,
    /// Counts that are not put into their rows yet.
    segments: BTreeMap<u64, SegmentRow>,
    /// The same of targets.
    targets: BTreeMap<TargetName, TargetRow>,
    /// Dedupe keys that were put in or taken out: whether the index knows the key, and when it expires from now on.
    keys: HashMap<[u8; 32], (bool, Option<i64>)>,
    /// Room for the bytes of a value.
    value: Vec<u8>,
    /// Deliveries that became the head of their line.
    promoted: Vec<Promoted>,
}

/// A delivery that came into the due index because it is the head of its line now: target, and key there.
pub type Promoted = (TargetName, DueKey);

impl<'a> Stage<'a> {
    pub(super) fn new(index: &'a Index, meta: MetaRow) -> Self {
        Self {
            index,
            meta,
            chunks: Vec::new(),
            places: BTreeMap::new(),
            segments: BTreeMap::new(),
            targets: BTreeMap::new(),
            keys: HashMap::new(),
            value: Vec::new(),
            promoted: Vec::new(),
        }
    }

    /// Applies one record; those that are folded in already change nothing.
    ///
    /// # Errors
    /// If a row cannot be read.
    pub fn apply(&mut self, change: &Change) -> Result<(), IndexError> {
        if change.sequence <= self.meta.sequence {
            return Ok(());
        }
        match &change.what {
            What::Accepted { at, placed } => {
                self.meta.latest = self.meta.latest.max(*at);
                self.accept(*at, placed)?;
            }
            What::Moved(step) => {
                let id = DeliveryId::from_bytes(step.moved.delivery);
                if let Some(old) = self.get::<DeliveryRow>(&rows::delivery_key(id))?
                    && let Some(new) = moved_row(&old, step, change.at)
                {
                    self.set_delivery(id, Some(old), Some(new))?;
                }
            }
            What::Carried(placed) => self.carry(placed)?,
            What::Added { event, deliveries } => self.add(*event, deliveries)?,
            What::Audited(row) => self.audit(row)?,
            What::Paused(target, Some(row)) => self.put(rows::pause_key(target), row)?,
            What::Paused(target, None) => self.remove(rows::pause_key(target))?,
            What::Replayed(row) => self.replay(row)?,
            What::Planned(row) => self.put(rows::PLAN.to_vec(), row)?,
            What::Purged { placed, scrubbed } => self.bury(placed, *scrubbed)?,
            What::Scrubbed(id) => self.remove(rows::unscrubbed_key(*id))?,
        }
        self.meta.sequence = change.sequence;
        self.meta.at = change.at;
        Ok(())
    }

    /// Moves the noted position on past segments that are about to go; all their records are folded in.
    pub fn advance(&mut self, at: Place) {
        self.meta.at = self.meta.at.max(at);
    }

    /// An *accepted* whose dedupe key is live already is dropped: its request was answered 503 and came again.
    fn accept(&mut self, at: i64, placed: &Placed) -> Result<(), IndexError> {
        if let Some((key, _)) = &placed.key
            && let Some(live) = self.key(key)?
            && live.expires > at
        {
            return Ok(());
        }
        if self.has(&rows::event_key(placed.id))? {
            return Ok(());
        }
        self.place(placed)
    }

    fn carry(&mut self, placed: &Placed) -> Result<(), IndexError> {
        for (id, row) in &placed.deliveries {
            let known = self.get::<DeliveryRow>(&rows::delivery_key(*id))?;
            if known.is_some_and(|known| known.revision > row.revision) {
                return Ok(());
            }
        }
        self.remove_event(placed.id)?;
        self.place(placed)
    }

    /// Nothing comes after a tombstone but a copy of it, so it always counts.
    fn bury(&mut self, placed: &Placed, scrubbed: bool) -> Result<(), IndexError> {
        self.remove_event(placed.id)?;
        self.place(placed)?;
        if !scrubbed {
            self.put(rows::unscrubbed_key(placed.id), &())?;
        }
        Ok(())
    }

    fn place(&mut self, placed: &Placed) -> Result<(), IndexError> {
        let segment = placed.event.at.segment;
        self.count_segment(segment, |row| {
            row.events = row.events.saturating_add(1);
            row.newest = row.newest.max(placed.event.received_at);
        })?;
        self.put_event(placed.id, placed.event.clone())?;
        self.put(rows::placed_key(segment, placed.id), &())?;
        for (id, row) in &placed.deliveries {
            self.set_delivery(*id, None, Some(row.clone()))?;
        }
        if let Some((key, row)) = &placed.key {
            self.remove_key(key)?;
            self.put(rows::dedupe_key(row.expires, key), row)?;
            self.keys.entry(*key).or_default().1 = Some(row.expires);
        }
        Ok(())
    }

    /// New deliveries of an event that is gone or purged, or of one that was lost, are dropped.
    fn add(
        &mut self,
        id: EventId,
        deliveries: &[(DeliveryId, DeliveryRow)],
    ) -> Result<(), IndexError> {
        let Some(mut event) = self.get::<IndexedEvent>(&rows::event_key(id))? else {
            return Ok(());
        };
        if event.purged_at.is_some() {
            return Ok(());
        }
        let known = self.take_deliveries(id, &mut event)?;
        event.deliveries = known;
        event
            .deliveries
            .extend(deliveries.iter().map(|(id, _)| *id));
        event.added = true;
        let at = event.at;
        self.put_event(id, event)?;
        for (id, row) in deliveries {
            let row = DeliveryRow {
                event_at: at,
                ..row.clone()
            };
            self.set_delivery(*id, None, Some(row))?;
        }
        Ok(())
    }

    /// All deliveries that an event names; those that stand in other rows than its own are taken out of them.
    fn take_deliveries(
        &mut self,
        id: EventId,
        event: &mut IndexedEvent,
    ) -> Result<Vec<DeliveryId>, IndexError> {
        let mut deliveries = std::mem::take(&mut event.deliveries);
        let mut number = 0;
        let mut left = event.more as usize;
        while left > 0 {
            let key = rows::more_key(id, number);
            let lot: Vec<DeliveryId> = self.get(&key)?.unwrap_or_default();
            self.remove(key)?;
            left = left.saturating_sub(lot.len().max(1));
            deliveries.extend(lot);
            number = number.saturating_add(1);
        }
        event.more = 0;
        Ok(deliveries)
    }

    /// Puts the row of an event, which names all its deliveries.
    fn put_event(&mut self, id: EventId, event: IndexedEvent) -> Result<(), IndexError> {
        let (event, lots) = event.split();
        self.put(rows::event_key(id), &event)?;
        for (number, lot) in lots.iter().enumerate() {
            self.put(rows::more_key(id, number), lot)?;
        }
        Ok(())
    }

    /// Takes out an event and its deliveries; its dedupe key stays until it expires.
    ///
    /// # Errors
    /// If a row cannot be read.
    pub fn remove_event(&mut self, id: EventId) -> Result<(), IndexError> {
        let Some(mut event) = self.get::<IndexedEvent>(&rows::event_key(id))? else {
            return Ok(());
        };
        for delivery in self.take_deliveries(id, &mut event)? {
            let old = self.get::<DeliveryRow>(&rows::delivery_key(delivery))?;
            self.set_delivery(delivery, old, None)?;
        }
        self.remove(rows::event_key(id))?;
        self.remove(rows::unscrubbed_key(id))?;
        self.remove(rows::placed_key(event.at.segment, id))?;
        self.count_segment(event.at.segment, |row| {
            row.events = row.events.saturating_sub(1);
        })
    }

    /// Puts an audit entry in, or notes where it was written anew.
    fn audit(&mut self, row: &AuditRow) -> Result<(), IndexError> {
        let id = row.audit.id();
        self.remove_audit(id)?;
        self.count_segment(row.at.segment, |counts| {
            counts.operator_bytes = counts.operator_bytes.saturating_add(row.audit.size());
            counts.newest = counts.newest.max(row.audit.at);
        })?;
        self.put(rows::audited_key(row.at.segment, id), &())?;
        self.put(rows::audit_key(id), row)
    }

    /// Takes out an audit entry.
    ///
    /// # Errors
    /// If a row cannot be read.
    pub fn remove_audit(&mut self, id: AuditId) -> Result<(), IndexError> {
        let Some(row) = self.get::<AuditRow>(&rows::audit_key(id))? else {
            return Ok(());
        };
        self.remove(rows::audit_key(id))?;
        self.remove(rows::audited_key(row.at.segment, id))?;
        self.count_segment(row.at.segment, |counts| {
            counts.operator_bytes = counts.operator_bytes.saturating_sub(row.audit.size());
        })
    }

    /// Puts a replay in, or how far it is now.
    fn replay(&mut self, row: &ReplayRow) -> Result<(), IndexError> {
        let id = row.replay.id();
        self.remove_replay(id)?;
        self.count_segment(row.at.segment, |counts| {
            counts.operator_bytes = counts.operator_bytes.saturating_add(row.replay.size());
            counts.newest = counts.newest.max(row.replay.at);
        })?;
        self.put(rows::replayed_key(row.at.segment, id), &())?;
        self.put(rows::replay_key(id), row)
    }

    /// Takes out a replay.
    ///
    /// # Errors
    /// If a row cannot be read.
    pub fn remove_replay(&mut self, id: ReplayId) -> Result<(), IndexError> {
        let Some(row) = self.get::<ReplayRow>(&rows::replay_key(id))? else {
            return Ok(());
        };
        self.remove(rows::replay_key(id))?;
        self.remove(rows::replayed_key(row.at.segment, id))?;
        self.count_segment(row.at.segment, |counts| {
            counts.operator_bytes = counts.operator_bytes.saturating_sub(row.replay.size());
        })
    }

    /// Takes out a segment's counts.
    ///
    /// # Errors
    /// If a row cannot be read.
    pub fn remove_segment(&mut self, segment: u64) -> Result<(), IndexError> {
        self.segments.remove(&segment);
        self.remove(rows::segment_key(segment))
    }

    /// Takes out a dedupe key.
    ///
    /// # Errors
    /// If a row cannot be read.
    pub fn remove_key(&mut self, key: &[u8; 32]) -> Result<(), IndexError> {
        if let Some(row) = self.key(key)? {
            self.remove(rows::dedupe_key(row.expires, key))?;
            // if it was not touched before, then its row stands in the index
            self.keys.entry(*key).or_insert((true, None)).1 = None;
        }
        Ok(())
    }

    fn key(&mut self, key: &[u8; 32]) -> Result<Option<KeyRow>, IndexError> {
        let expires = match self.keys.get(key) {
            Some((_, expires)) => *expires,
            None => self.index.keys.expiry(key),
        };
        match expires {
            Some(expires) => self.get(&rows::dedupe_key(expires, key)),
            None => Ok(None),
        }
    }

    /// Replaces a delivery's rows, with all that is derived from them.
    fn set_delivery(
        &mut self,
        id: DeliveryId,
        old: Option<DeliveryRow>,
        new: Option<DeliveryRow>,
    ) -> Result<(), IndexError> {
        let line = new.as_ref().or(old.as_ref()).and_then(Line::of);
        let before = match &line {
            Some(line) => self.head(line)?,
            None => None,
        };
        if let Some(head) = before {
            self.set_due(head, false)?;
        }
        if let Some(row) = &old {
            for key in derived(row, id) {
                self.remove(key)?;
            }
            self.count(row, false)?;
        }
        match &new {
            Some(row) => {
                for key in derived(row, id) {
                    self.put(key, &())?;
                }
                self.count(row, true)?;
                self.put(rows::delivery_key(id), row)?;
            }
            None => self.remove(rows::delivery_key(id))?,
        }
        let after = match &line {
            Some(line) => self.head(line)?,
            None => return Ok(()),
        };
        if let Some(head) = after {
            let due = self.set_due(head, true)?;
            self.promoted.extend(due.filter(|_| after != before));
        }
        Ok(())
    }

    /// The first of a line, which alone may be due.
    fn head(&mut self, line: &Line) -> Result<Option<DeliveryId>, IndexError> {
        let mut from = line.prefix.clone();
        loop {
            let at = self.chunk(&from)?;
            let chunk = self.chunks.get(at).ok_or(IndexError::Chunk)?;
            let at = chunk.rows.find(&from).unwrap_or_else(|at| at);
            if let Some((key, _)) = chunk.rows.get(at) {
                let is_in_line = key.starts_with(&line.prefix);
                return Ok(rows::last_delivery(key).filter(|_| is_in_line));
            }
            match &chunk.above {
                Some(above) if above.starts_with(&line.prefix) => from = above.to_vec(),
                _ => return Ok(None),
            }
        }
    }

    /// Puts the head of a line into the due index, or takes it out; gives its row there, if it has one.
    fn set_due(&mut self, head: DeliveryId, due: bool) -> Result<Option<Promoted>, IndexError> {
        let Some(row) = self.get::<DeliveryRow>(&rows::delivery_key(head))? else {
            return Ok(None);
        };
        let StoredState::Pending(at) = row.state else {
            return Ok(None);
        };
        if at < HELD {
            let key = rows::timed_key(DUE, &row.target, at, head);
            if due {
                self.put(key, &())?;
            } else {
                self.remove(key)?;
            }
        }
        Ok(Some((row.target, (at, head))))
    }

    fn count(&mut self, row: &DeliveryRow, add: bool) -> Result<(), IndexError> {
        let open = u64::from(row.state.is_open());
        self.count_segment(row.event_at.segment, |counts| {
            if add {
                counts.deliveries = counts.deliveries.saturating_add(1);
                counts.open = counts.open.saturating_add(open);
            } else {
                counts.deliveries = counts.deliveries.saturating_sub(1);
                counts.open = counts.open.saturating_sub(open);
            }
        })?;
        if open == 1 {
            match self.targets.get_mut(&row.target) {
                Some(counts) => counts.count(row.state, add),
                None => {
                    let known = self.get(&target_key(&row.target))?;
                    let mut counts: TargetRow = known.unwrap_or_default();
                    counts.count(row.state, add);
                    self.targets.insert(row.target.clone(), counts);
                }
            }
        }
        Ok(())
    }

    fn count_segment(
        &mut self,
        segment: u64,
        change: impl FnOnce(&mut SegmentRow),
    ) -> Result<(), IndexError> {
        if !self.segments.contains_key(&segment) {
            let known = self.get(&rows::segment_key(segment))?;
            self.segments.insert(segment, known.unwrap_or_default());
        }
        change(self.segments.entry(segment).or_default());
        Ok(())
    }

    /// Puts the counts into their rows.
    fn put_counts(&mut self) -> Result<(), IndexError> {
        for (segment, row) in std::mem::take(&mut self.segments) {
            self.put(rows::segment_key(segment), &row)?;
        }
        for (target, row) in std::mem::take(&mut self.targets) {
            let key = target_key(&target);
            if row == TargetRow::default() {
                self.remove(key)?;
            } else {
                self.put(key, &row)?;
            }
        }
        Ok(())
    }

    fn has(&mut self, key: &[u8]) -> Result<bool, IndexError> {
        Ok(self.value(key)?.is_some())
    }

    fn get<T: DeserializeOwned>(&mut self, key: &[u8]) -> Result<Option<T>, IndexError> {
        match self.value(key)? {
            Some(value) => Ok(Some(postcard::from_bytes(value)?)),
            None => Ok(None),
        }
    }

    fn value(&mut self, key: &[u8]) -> Result<Option<&[u8]>, IndexError> {
        let at = self.chunk(key)?;
        let rows = self.chunks.get(at).map(|chunk| &chunk.rows);
        Ok(rows.and_then(|rows| Some(rows.get(rows.find(key).ok()?)?.1)))
    }

    fn put<T: Serialize>(&mut self, key: Vec<u8>, value: &T) -> Result<(), IndexError> {
        let mut room = std::mem::take(&mut self.value);
        room.clear();
        self.value = postcard::to_extend(value, room)?;
        let at = self.chunk(&key)?;
        if let Some(chunk) = self.chunks.get_mut(at) {
            chunk.put(&mut self.meta, &key, &self.value);
        }
        Ok(())
    }

    fn remove(&mut self, key: Vec<u8>) -> Result<(), IndexError> {
        let at = self.chunk(&key)?;
        if let Some(chunk) = self.chunks.get_mut(at) {
            chunk.remove(&mut self.meta, &key);
        }
        Ok(())
    }

    /// Where the chunk is in which the row of this key stands, or would.
    fn chunk(&mut self, key: &[u8]) -> Result<usize, IndexError> {
        let (below, all) = (Bound::Unbounded, Bound::Included(key));
        let known = self.places.range::<[u8], _>((below, all)).next_back();
        if let Some((_, at)) = known
            && self.chunks.get(*at).is_some_and(|chunk| chunk.covers(key))
        {
            return Ok(*at);
        }
        let chunk = Chunk::load(self.index, key)?;
        let at = self.chunks.len();
        self.places.insert(chunk.key.clone(), at);
        self.chunks.push(chunk);
        Ok(at)
    }

    /// Writes everything as one batch; gives the new meta row, and who became the head of a line.
    pub(super) fn commit(mut self) -> Result<(MetaRow, Vec<Promoted>), IndexError> {
        self.put_counts()?;
        let mut batch = sled::Batch::default();
        for chunk in &self.chunks {
            chunk.commit(&mut batch);
        }
        batch.insert(META, postcard::to_stdvec(&self.meta)?);
        self.index.db.apply_batch(batch)?;
        for (key, (known, expires)) in &self.keys {
            if *known {
                self.index.keys.remove(key);
            }
            if let Some(expires) = expires {
                self.index.keys.add(key, *expires);
            }
        }
        Ok((self.meta, self.promoted))
    }
}

/// A chunk of rows that is changed; it may hold any number of them until it is written.
struct Chunk {
    key: Vec<u8>,
    /// As it stands in the index; `None` if it does not.
    stored: Option<sled::IVec>,
    /// The key of the next chunk of its kind in the index.
    above: Option<sled::IVec>,
    rows: Unpacked,
    changed: bool,
    /// Whether all that was put in came behind what was there.
    appended: bool,
}

impl Chunk {
    /// The chunk in which the row of this key stands, or would.
    fn load(index: &Index, key: &[u8]) -> Result<Self, IndexError> {
        let kind = key.first().copied().unwrap_or_default();
        let (key, stored) = match packed::chunk_of(&index.db, key)? {
            Some((at, chunk)) => (at.to_vec(), Some(chunk)),
            None => (vec![kind], None),
        };
        Ok(Self {
            above: packed::next_chunk(&index.db, &key)?.map(|(above, _)| above),
            rows: Unpacked::of(stored.as_deref().unwrap_or_default())?,
            key,
            stored,
            changed: false,
            appended: true,
        })
    }

    /// Whether the row of a key that is not below this chunk's would stand in it.
    fn covers(&self, key: &[u8]) -> bool {
        let below = self.above.as_deref().is_none_or(|above| key < above);
        key.first() == self.key.first() && below
    }

    fn put(&mut self, meta: &mut MetaRow, key: &[u8], value: &[u8]) {
        match self.rows.find(key) {
            Ok(at) => {
                let old = self.rows.get(at).map_or(&[][..], |(_, old)| old);
                if old == value {
                    return;
                }
                self.appended &= value.len() <= old.len();
                count_row(meta, key, old, false);
                self.rows.set(at, value);
            }
            Err(at) => {
                self.appended &= at == self.rows.len();
                self.rows.insert(at, key, value);
            }
        }
        count_row(meta, key, value, true);
        self.changed = true;
    }

    fn remove(&mut self, meta: &mut MetaRow, key: &[u8]) {
        if let Ok(at) = self.rows.find(key) {
            if let Some((_, old)) = self.rows.get(at) {
                count_row(meta, key, old, false);
            }
            self.rows.remove(at);
            self.changed = true;
        }
    }

    /// Puts what has changed into the batch.
    fn commit(&self, batch: &mut sled::Batch) {
        if !self.changed {
            return;
        }
        let packed = packed::pack(&self.key, &self.rows, self.appended);
        if packed.is_empty() && self.stored.is_some() {
            batch.remove(self.key.as_slice());
        }
        for (key, chunk) in packed {
            let is_stored = key == self.key && self.stored.as_deref() == Some(chunk.as_slice());
            if !is_stored {
                batch.insert(key, chunk);
            }
        }
    }
}

/// The key of a target's counts.
#[must_use]
pub fn target_key(target: &TargetName) -> Vec<u8> {
    rows::key(rows::TARGET, &[target.as_str().as_bytes()])
}

/// Deliveries to a target that go one after another.
struct Line {
    prefix: Vec<u8>,
}

impl Line {
    fn of(row: &DeliveryRow) -> Option<Self> {
        let order = row.order?;
        Some(Self {
            prefix: rows::line_prefix(&row.target, &order.key),
        })
    }
}

/// The rows that a delivery has in other orders. Of those in a line, only the head is in the due index, and those that
/// are held, so that who resumes them finds them.
fn derived(row: &DeliveryRow, id: DeliveryId) -> Vec<Vec<u8>> {
    let mut keys = Vec::with_capacity(2);
    match row.state {
        StoredState::Pending(due) => {
            keys.push(rows::timed_key(AGE, &row.target, row.started_at, id));
            if row.order.is_none() || due == HELD {
                keys.push(rows::timed_key(DUE, &row.target, due, id));
            }
        }
        StoredState::Dead(_, code) => keys.push(rows::dead_key(&row.target, code, id)),
        StoredState::Delivered(_) | StoredState::Discarded(_) => {}
    }
    if let Some(order) = row.order.filter(|order| row.state.holds_up(*order)) {
        keys.push(rows::line_key(&row.target, order, id));
    }
    keys
}

/// Counts a row in or out. The fingerprint does not depend on the order.
pub fn count_row(meta: &mut MetaRow, key: &[u8], value: &[u8], add: bool) {
    let bytes = key.len().saturating_add(value.len()) as u64;
    let hash = hash_row(key, value);
    if add {
        meta.rows = meta.rows.saturating_add(1);
        meta.bytes = meta.bytes.saturating_add(bytes);
        meta.fingerprint = meta.fingerprint.wrapping_add(hash);
    } else {
        meta.rows = meta.rows.saturating_sub(1);
        meta.bytes = meta.bytes.saturating_sub(bytes);
        meta.fingerprint = meta.fingerprint.wrapping_sub(hash);
    }
}

fn hash_row(key: &[u8], value: &[u8]) -> u128 {
    // not for defence: it finds what was lost or mixed up
    let mut hash = Xxh3::new();
    hash.update(&(key.len() as u64).to_be_bytes());
    hash.update(key);
    hash.update(value);
    hash.digest128()
}

#[cfg(test)]
mod tests;
