//! The retry queue: an index over the journal in sled, which can be rebuilt from the journal at any time.
//!
//! Promise: a batch of changes and the position that it reaches are written in one step; `verified` tells whether
//! the rows are those that were written. sled's durability is not relied on: what it loses
//! is folded in again. Not here: what is not folded yet (see `overlay`), when it is rebuilt (see `start`).

pub mod change;
mod check;
mod keys;
mod packed;
pub mod rows;
pub mod stage;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::line::LinePlace;
use crate::id::{AuditId, DeliveryId, EventId, ReplayId, TargetName};
use check::Check;
use keys::Keys;
use rows::{
    AuditRow, DeliveryRow, IndexedEvent, KeyRow, MetaRow, PauseRow, PlanRow, ReplayRow, SegmentRow,
    TargetRow,
};
use stage::{Promoted, Stage};

/// How often sled writes out what it holds in memory and makes room in its file, which it does at no other time.
const FLUSH_EVERY_MS: u64 = 1000;

/// sled frees its file a moment after its last handle is dropped; so long its lock is waited for.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// Between two tries at sled's lock.
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Why the index could not do it.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// sled said no.
    #[error("the index cannot be read or written")]
    Sled(#[from] sled::Error),
    /// A row is not what its key says.
    #[error("a row of the index cannot be decoded")]
    Row(#[from] postcard::Error),
    /// A chunk of rows is not as they are written.
    #[error("a chunk of the index cannot be decoded")]
    Chunk,
    /// sled panicked.
    #[error("the index panicked: {0}")]
    Panicked(String),
    /// Another process holds sled's own lock; no reason to rebuild.
    #[error("the index is held by another process")]
    Held,
}

/// A due time with its delivery; the order in which a target's deliveries are claimed.
pub type DueKey = (i64, DeliveryId);

/// Pending deliveries of a target with where the next such row begins, if there is one.
pub type DueRows = (Vec<(DueKey, DeliveryRow)>, Option<DueKey>);

/// The index.
pub struct Index {
    db: sled::Db,
    /// What it was opened with.
    folder: PathBuf,
    cache_bytes: u64,
    /// Where the rows of dedupe keys stand.
    keys: Keys,
    /// Held by whoever writes; the meta row as it was written last.
    meta: Mutex<MetaRow>,
}

impl Index {
    /// Opens the index in `folder`, on a thread of its own since sled can panic there. The flag tells whether it
    /// holds a meta row; without one it is new (or emptied). Dedupe keys that it holds are known only after [`Self::verified`].
    ///
    /// # Errors
    /// [`IndexError::Held`] if another process has it; anything else means that it cannot be used.
    pub fn open(folder: &Path, cache_bytes: u64) -> Result<(Self, bool), IndexError> {
        let folder = folder.to_owned();
        guarded(move || {
            let db = open_sled(&folder, cache_bytes)?;
            let meta = match db.get(rows::META)? {
                Some(value) => Some(postcard::from_bytes::<MetaRow>(&value)?),
                None => None,
            };
            let known = meta.is_some() || !db.is_empty();
            let index = Self {
                db,
                folder,
                cache_bytes,
                keys: Keys::default(),
                meta: Mutex::new(meta.unwrap_or_default()),
            };
            Ok((index, known))
        })
    }

    /// The same, if all rows are those that were written, counted and hashed one by one; if not, why. Learns the dedupe keys
    /// on the way.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn verified(mut self) -> Result<Self, String> {
        let mut check = Check::new(self.meta())?;
        self.keys.clear();
        while guarded(|| check.read_part(&self.db, &self.keys)).map_err(|e| e.to_string())? {
            let (folder, cache_bytes) = (self.folder.clone(), self.cache_bytes);
            // sled gives its memory and its file free when the last handle is gone
            let Self { db, keys, meta, .. } = self;
            drop(db);
            let db = guarded(|| open_sled(&folder, cache_bytes)).map_err(|e| e.to_string())?;
            self = Self {
                db,
                folder,
                cache_bytes,
                keys,
                meta,
            };
        }
        check.end()?;
        Ok(self)
    }

    /// Whether it would be [`Self::verified`].
    #[cfg(test)]
    fn verify(&self) -> Result<(), String> {
        let mut check = Check::new(self.meta())?;
        self.keys.clear();
        while check
            .read_part(&self.db, &self.keys)
            .map_err(|e| e.to_string())?
        {}
        check.end()
    }

    /// The meta row as it was written last.
    #[must_use]
    pub fn meta(&self) -> MetaRow {
        *self.writer()
    }

    /// Bytes that sled takes on disk.
    #[must_use]
    pub fn size_on_disk(&self) -> u64 {
        self.db.size_on_disk().unwrap_or(0)
    }

    /// Stages changes by `fill` and writes them as one batch. One at a time. Gives which deliveries became the head of
    /// their line.
    ///
    /// # Errors
    /// If a row cannot be read or sled says no; then nothing was written.
    pub fn write(
        &self,
        fill: impl FnOnce(&mut Stage<'_>) -> Result<(), IndexError>,
    ) -> Result<Vec<Promoted>, IndexError> {
        let mut meta = self.writer();
        let before = *meta;
        let (after, promoted) = catch_unwind(AssertUnwindSafe(|| {
            let mut stage = Stage::new(self, before);
            fill(&mut stage)?;
            stage.commit()
        }))
        .unwrap_or_else(|panic| Err(IndexError::Panicked(panic_text(&*panic))))?;
        *meta = after;
        Ok(promoted)
    }

    /// Writes out what sled holds in memory; whether that went well. Outlives a kill, not a power cut.
    pub fn flush(&self) -> bool {
        let flushed = guarded(|| Ok(self.db.flush().map(|_| ())?));
        if let Err(error) = &flushed {
            tracing::warn!(%error, "the index could not be flushed; it is folded again if needed");
        }
        flushed.is_ok()
    }

    /// A delivery.
    ///
    /// # Errors
    /// If sled says no.
    pub fn delivery(&self, id: DeliveryId) -> Result<Option<DeliveryRow>, IndexError> {
        self.get(&rows::delivery_key(id))
    }

    /// An event, with all its deliveries named.
    ///
    /// # Errors
    /// If sled says no.
    pub fn event(&self, id: EventId) -> Result<Option<IndexedEvent>, IndexError> {
        let event = self.get(&rows::event_key(id))?;
        event.map(|event| self.whole(id, event)).transpose()
    }

    fn whole(&self, id: EventId, mut event: IndexedEvent) -> Result<IndexedEvent, IndexError> {
        if event.more > 0 {
            let prefix = rows::key(rows::MORE, &[id.as_bytes()]);
            for row in self.with_prefix(prefix) {
                let (_, value) = row?;
                let lot: Vec<DeliveryId> = postcard::from_bytes(&value)?;
                event.deliveries.extend(lot);
            }
        }
        Ok(event)
    }

    /// A dedupe key.
    ///
    /// # Errors
    /// If sled says no.
    pub fn key(&self, key: &[u8; 32]) -> Result<Option<KeyRow>, IndexError> {
        match self.keys.expiry(key) {
            Some(expires) => self.get(&rows::dedupe_key(expires, key)),
            None => Ok(None),
        }
    }

    /// What is in a segment.
    ///
    /// # Errors
    /// If sled says no.
    pub fn segment(&self, segment: u64) -> Result<SegmentRow, IndexError> {
        Ok(self.get(&rows::segment_key(segment))?.unwrap_or_default())
    }

    /// The segments that the index knows, oldest first.
    ///
    /// # Errors
    /// If sled says no.
    pub fn segments(&self) -> Result<Vec<u64>, IndexError> {
        let mut segments = Vec::new();
        for row in self.with_prefix(vec![rows::SEGMENT]) {
            if let Some((_, number)) = row?.0.split_last_chunk::<8>() {
                segments.push(u64::from_be_bytes(*number));
            }
        }
        Ok(segments)
    }

    /// Whether an event was purged and its earlier records are not known to be emptied.
    ///
    /// # Errors
    /// If sled says no.
    pub fn is_unscrubbed(&self, id: EventId) -> Result<bool, IndexError> {
        Ok(packed::get(&self.db, &rows::unscrubbed_key(id))?.is_some())
    }

    /// All such events.
    ///
    /// # Errors
    /// If sled says no.
    pub fn unscrubbed(&self) -> Result<Vec<EventId>, IndexError> {
        let mut events = Vec::new();
        for row in self.with_prefix(vec![rows::UNSCRUBBED]) {
            events.extend(rows::last_event(&row?.0));
        }
        Ok(events)
    }

    /// Events whose record stands in the segment, at most `most`, those after `after`.
    ///
    /// # Errors
    /// If sled says no.
    pub fn placed(
        &self,
        segment: u64,
        after: Option<EventId>,
        most: usize,
    ) -> Result<Vec<EventId>, IndexError> {
        let prefix = rows::placed_prefix(segment);
        let mut from = prefix.clone();
        if let Some(id) = after {
            // right behind it
            from = rows::placed_key(segment, id);
            from.push(0);
        }
        let mut events = Vec::new();
        for row in self.between(from, prefix).take(most) {
            events.extend(rows::last_event(&row?.0));
        }
        Ok(events)
    }

    /// Audit entries whose record stands in the segment, at most `most`, those after `after`.
    ///
    /// # Errors
    /// If sled says no.
    pub fn audited(
        &self,
        segment: u64,
        after: Option<AuditId>,
        most: usize,
    ) -> Result<Vec<AuditRow>, IndexError> {
        let prefix = rows::audited_prefix(segment);
        let mut from = prefix.clone();
        if let Some(id) = after {
            // right behind it
            from = rows::audited_key(segment, id);
            from.push(0);
        }
        let mut audits = Vec::new();
        for row in self.between(from, prefix).take(most) {
            if let Some(id) = rows::last_audit(&row?.0) {
                audits.extend(self.get::<AuditRow>(&rows::audit_key(id))?);
            }
        }
        Ok(audits)
    }

    /// Replays whose last record stands in the segment.
    ///
    /// # Errors
    /// If sled says no.
    pub fn replayed(&self, segment: u64) -> Result<Vec<ReplayRow>, IndexError> {
        let mut replays = Vec::new();
        for row in self.with_prefix(rows::replayed_prefix(segment)) {
            if let Some(id) = rows::last_replay(&row?.0) {
                replays.extend(self.replay(id)?);
            }
        }
        Ok(replays)
    }

    /// A replay.
    ///
    /// # Errors
    /// If sled says no.
    pub fn replay(&self, id: ReplayId) -> Result<Option<ReplayRow>, IndexError> {
        self.get(&rows::replay_key(id))
    }

    /// Replays, newest first, older than `before`.
    pub fn replays(
        &self,
        before: Option<ReplayId>,
    ) -> impl Iterator<Item = Result<(ReplayId, ReplayRow), IndexError>> + use<> {
        let end = before.map_or(vec![rows::REPLAY + 1], rows::replay_key);
        packed::descend(&self.db, rows::REPLAY, end)
            .filter_map(|row| decode(row, rows::last_replay))
    }

    /// The configuration that came into force last.
    ///
    /// # Errors
    /// If sled says no.
    pub fn plan(&self) -> Result<Option<PlanRow>, IndexError> {
        self.get(rows::PLAN)
    }

    /// All targets that are paused.
    ///
    /// # Errors
    /// If sled says no.
    pub fn pauses(&self) -> Result<Vec<PauseRow>, IndexError> {
        let mut pauses = Vec::new();
        for row in self.with_prefix(vec![rows::PAUSE]) {
            pauses.push(postcard::from_bytes(&row?.1)?);
        }
        Ok(pauses)
    }

    /// The counts of all targets that have any.
    ///
    /// # Errors
    /// If sled says no.
    pub fn targets(&self) -> Result<Vec<(TargetName, TargetRow)>, IndexError> {
        let mut targets = Vec::new();
        for row in self.with_prefix(vec![rows::TARGET]) {
            let (key, value) = row?;
            let name = key.get(1..).and_then(|name| str::from_utf8(name).ok());
            if let Some(target) = name.and_then(|name| name.parse().ok()) {
                targets.push((target, postcard::from_bytes(&value)?));
            }
        }
        Ok(targets)
    }

    /// Up to `most` pending deliveries of a target that are due by `now`, from `from` on.
    ///
    /// # Errors
    /// If sled says no.
    pub fn due(
        &self,
        target: &TargetName,
        from: DueKey,
        now: i64,
        most: usize,
    ) -> Result<DueRows, IndexError> {
        let start = rows::timed_key(rows::DUE, target, from.0, from.1);
        let prefix = rows::timed_prefix(rows::DUE, target);
        let mut found = Vec::new();
        for row in self.between(start, prefix) {
            let (key, _) = row?;
            let Some(due) = rows::timed_parts(&key) else {
                continue;
            };
            if due.0 > now || found.len() >= most {
                return Ok((found, Some(due)));
            }
            // a row without its delivery cannot be: both are written in one batch
            if let Some(row) = self.delivery(due.1)? {
                found.push((due, row));
            }
        }
        Ok((found, None))
    }

    /// The first of the deliveries to a target that hold up others with this order key, from a place on, for which `wanted`
    /// holds: its place, and the delivery.
    ///
    /// # Errors
    /// If sled says no.
    pub fn in_line(
        &self,
        target: &TargetName,
        order: &[u8; 16],
        from: LinePlace,
        wanted: impl Fn(DeliveryId) -> bool,
    ) -> Result<Option<(LinePlace, DeliveryRow)>, IndexError> {
        let prefix = rows::line_prefix(target, order);
        let mut start = prefix.clone();
        start.extend_from_slice(&from.0.to_be_bytes());
        start.extend_from_slice(from.1.as_bytes());
        for row in self.between(start, prefix) {
            let (key, _) = row?;
            if let Some(place) = rows::line_parts(&key)
                && wanted(place.1)
                && let Some(row) = self.delivery(place.1)?
            {
                return Ok(Some((place, row)));
            }
        }
        Ok(None)
    }

    /// The pending deliveries of a target by age, oldest first.
    pub fn by_age(
        &self,
        target: &TargetName,
    ) -> impl Iterator<Item = Result<(i64, DeliveryId), IndexError>> + use<> {
        self.with_prefix(rows::timed_prefix(rows::AGE, target))
            .filter_map(|row| match row {
                Ok((key, _)) => rows::timed_parts(&key).map(Ok),
                Err(error) => Some(Err(error)),
            })
    }

    /// The dead deliveries of a target, by reason.
    pub fn dead(
        &self,
        target: &TargetName,
    ) -> impl Iterator<Item = Result<DeliveryId, IndexError>> + use<> {
        self.with_prefix(rows::timed_prefix(rows::DEAD, target))
            .filter_map(|row| match row {
                Ok((key, _)) => rows::last_delivery(&key).map(Ok),
                Err(error) => Some(Err(error)),
            })
    }

    /// Up to `most` dead deliveries from the key `from` on, with the key where the rest begins.
    ///
    /// # Errors
    /// If sled says no.
    pub fn dead_from(
        &self,
        from: Option<Vec<u8>>,
        most: usize,
    ) -> Result<(Vec<DeliveryId>, Option<Vec<u8>>), IndexError> {
        let start = from.unwrap_or_else(|| vec![rows::DEAD]);
        let mut found = Vec::new();
        for row in packed::ascend(&self.db, start) {
            let (key, _) = row?;
            if found.len() >= most {
                return Ok((found, Some(key)));
            }
            found.extend(rows::last_delivery(&key));
        }
        Ok((found, None))
    }

    /// Deliveries, newest first, older than `before`.
    pub fn deliveries(
        &self,
        before: Option<DeliveryId>,
    ) -> impl Iterator<Item = Result<(DeliveryId, DeliveryRow), IndexError>> + use<> {
        let end = before.map_or(vec![rows::DELIVERY + 1], rows::delivery_key);
        packed::descend(&self.db, rows::DELIVERY, end)
            .filter_map(|row| decode(row, rows::last_delivery))
    }

    /// Deliveries, oldest first, from an id on.
    pub fn deliveries_from(
        &self,
        from: DeliveryId,
    ) -> impl Iterator<Item = Result<(DeliveryId, DeliveryRow), IndexError>> + use<> {
        self.between(rows::delivery_key(from), vec![rows::DELIVERY])
            .filter_map(|row| decode(row, rows::last_delivery))
    }

    /// The dead deliveries of a target for one reason, by its code, newest first, older than `below`.
    pub fn dead_below(
        &self,
        target: &TargetName,
        code: u8,
        below: Option<DeliveryId>,
    ) -> impl Iterator<Item = Result<DeliveryId, IndexError>> + use<> {
        let prefix = rows::dead_prefix(target, code);
        let end = match below {
            Some(id) => rows::dead_key(target, code, id),
            // longer than any id, so above all of them
            None => [prefix.as_slice(), &[u8::MAX; 17]].concat(),
        };
        packed::descend(&self.db, rows::DEAD, end)
            .take_while(move |row| {
                row.as_ref()
                    .map_or(true, |(key, _)| key.starts_with(&prefix))
            })
            .filter_map(|row| match row {
                Ok((key, _)) => rows::last_delivery(&key).map(Ok),
                Err(error) => Some(Err(error)),
            })
    }

    /// The same, oldest first, from an id on.
    pub fn dead_above(
        &self,
        target: &TargetName,
        code: u8,
        from: DeliveryId,
    ) -> impl Iterator<Item = Result<DeliveryId, IndexError>> + use<> {
        let start = rows::dead_key(target, code, from);
        self.between(start, rows::dead_prefix(target, code))
            .filter_map(|row| match row {
                Ok((key, _)) => rows::last_delivery(&key).map(Ok),
                Err(error) => Some(Err(error)),
            })
    }

    /// Events, oldest first, from an id on.
    pub fn events_from(
        &self,
        from: EventId,
    ) -> impl Iterator<Item = Result<(EventId, IndexedEvent), IndexError>> + '_ {
        self.between(rows::event_key(from), vec![rows::EVENT])
            .filter_map(|row| decode(row, rows::last_event))
            .map(|row: Result<(EventId, IndexedEvent), _>| {
                let (id, event) = row?;
                Ok((id, self.whole(id, event)?))
            })
    }

    /// Events, newest first, older than `before`.
    pub fn events(
        &self,
        before: Option<EventId>,
    ) -> impl Iterator<Item = Result<(EventId, IndexedEvent), IndexError>> + '_ {
        let end = before.map_or(vec![rows::EVENT + 1], rows::event_key);
        packed::descend(&self.db, rows::EVENT, end)
            .filter_map(|row| decode(row, rows::last_event))
            .map(|row: Result<(EventId, IndexedEvent), _>| {
                let (id, event) = row?;
                Ok((id, self.whole(id, event)?))
            })
    }

    /// Audit entries, newest first, older than `before`.
    pub fn audits(
        &self,
        before: Option<AuditId>,
    ) -> impl Iterator<Item = Result<(AuditId, AuditRow), IndexError>> + use<> {
        let end = before.map_or(vec![rows::AUDIT + 1], rows::audit_key);
        packed::descend(&self.db, rows::AUDIT, end).filter_map(|row| decode(row, rows::last_audit))
    }

    /// Dedupe keys that expired by `now`, at most `most`.
    ///
    /// # Errors
    /// If sled says no.
    pub fn expired(&self, now: i64, most: usize) -> Result<Vec<[u8; 32]>, IndexError> {
        let mut keys = Vec::new();
        for row in self.with_prefix(vec![rows::KEY]).take(most) {
            match rows::dedupe_parts(&row?.0) {
                Some((expires, dedupe)) if expires <= now => keys.push(dedupe),
                _ => break,
            }
        }
        Ok(keys)
    }

    fn get<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, IndexError> {
        match packed::get(&self.db, key)? {
            Some(value) => Ok(Some(postcard::from_bytes(&value)?)),
            None => Ok(None),
        }
    }

    /// Rows whose keys begin with this, in order.
    fn with_prefix(
        &self,
        prefix: Vec<u8>,
    ) -> impl Iterator<Item = Result<packed::Row, IndexError>> + use<> {
        self.between(prefix.clone(), prefix)
    }

    /// Rows from a key on, as long as their keys begin with `prefix`.
    fn between(
        &self,
        from: Vec<u8>,
        prefix: Vec<u8>,
    ) -> impl Iterator<Item = Result<packed::Row, IndexError>> + use<> {
        packed::ascend(&self.db, from).take_while(move |row| {
            row.as_ref()
                .map_or(true, |(key, _)| key.starts_with(&prefix))
        })
    }

    fn writer(&self) -> MutexGuard<'_, MetaRow> {
        self.meta.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn decode<I, T: DeserializeOwned>(
    row: Result<packed::Row, IndexError>,
    id: impl Fn(&[u8]) -> Option<I>,
) -> Option<Result<(I, T), IndexError>> {
    match row {
        Ok((key, value)) => {
            let id = id(&key)?;
            let row = postcard::from_bytes(&value);
            Some(row.map(|row| (id, row)).map_err(IndexError::from))
        }
        Err(error) => Some(Err(error)),
    }
}

fn open_sled(folder: &Path, cache_bytes: u64) -> Result<sled::Db, IndexError> {
    let config = sled::Config::new()
        .path(folder)
        .cache_capacity(cache_bytes)
        .flush_every_ms(Some(FLUSH_EVERY_MS));
    let started = std::time::Instant::now();
    loop {
        match config.open() {
            Ok(db) => return Ok(db),
            Err(sled::Error::Io(error)) if error.to_string().contains("could not acquire lock") => {
                if started.elapsed() > LOCK_PATIENCE {
                    return Err(IndexError::Held);
                }
                std::thread::sleep(LOCK_PAUSE);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Runs it on a thread of its own; a panic becomes an error.
fn guarded<T: Send>(run: impl FnOnce() -> Result<T, IndexError> + Send) -> Result<T, IndexError> {
    std::thread::scope(|scope| match scope.spawn(run).join() {
        Ok(result) => result,
        Err(panic) => Err(IndexError::Panicked(panic_text(&*panic))),
    })
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "without a word".to_owned())
}
