//! Look-ups over index and overlay (listings are in `find`). Long walks through the index hold the gate for one chunk at a
//! time, so that they keep nobody waiting.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

use super::index::IndexError;
use super::index::rows::{DeliveryRow, IndexedEvent, Place};
use super::local::Inner;
use super::record::{self, Content, Purged, StoredAttempt, StoredReceipt, StoredState};
use super::{DeadGroup, Depth, EventRow, Health, Receipt, StoreError};
use crate::delivery::Attempt;
use crate::event::Event;
use crate::id::{DeliveryId, EventId, TargetName};
use crate::metrics::StoreGauges;

/// Rows that are walked while the gate is held.
pub(super) const CHUNK: usize = 500;

/// How often a read is tried whose record was moved meanwhile.
const TRIES: usize = 3;

/// Rows older than an id, and down to which id they go; `None`: to the end.
type Chunk<Row, Id> = (Vec<Row>, Option<Id>);

/// At most `limit` rows older than `before`, chunk by chunk.
pub(super) fn paged<Row, Id>(
    mut before: Option<Id>,
    limit: usize,
    chunk: impl Fn(Option<Id>) -> Result<Chunk<Row, Id>, StoreError>,
) -> Result<Vec<Row>, StoreError> {
    let mut found = Vec::new();
    while found.len() < limit {
        let (rows, rest) = chunk(before)?;
        found.extend(rows);
        before = rest;
        if before.is_none() {
            break;
        }
    }
    found.truncate(limit);
    Ok(found)
}

impl Inner {
    pub(super) fn health(&self) -> Health {
        let usable = self.state().usable();
        let health = usable
            .and_then(|()| Ok(self.journal.health()?))
            .and_then(|()| self.space.check());
        match health {
            Ok(()) => Health::Ready,
            Err(StoreError::Unavailable(why)) => Health::Unavailable(why),
            Err(other) => Health::Unavailable(other.to_string()),
        }
    }

    /// How the store stands.
    pub(super) fn gauges(&self) -> StoreGauges {
        let (journal_bytes, free_bytes) = self.space.seen();
        StoreGauges {
            ready: self.health() == Health::Ready,
            journal_bytes,
            journal_limit_bytes: self.options.max_bytes,
            free_bytes,
            free_limit_bytes: self.options.min_free_bytes,
            unfolded_records: self.state().unfolded as u64,
        }
    }

    /// A delivery as it stands, with its attempts that are not on disk yet.
    pub(super) fn delivery_row(
        &self,
        id: DeliveryId,
    ) -> Result<(DeliveryRow, Vec<Attempt>), StoreError> {
        let gate = self.gate();
        let row = gate.index()?.delivery(id)?;
        let state = self.state();
        if let Some(entry) = state.entries.get(&id) {
            // as their records will say it: an answer is the same before and after a restart
            let as_kept = |attempt: &Attempt| StoredAttempt::from(attempt).into();
            let fresh = entry.fresh.iter().map(|(_, attempt)| as_kept(attempt));
            return Ok((entry.row.clone(), fresh.collect()));
        }
        let row = row.filter(|row| row.event_at.segment >= state.floor);
        Ok((row.ok_or(StoreError::NotFound)?, Vec::new()))
    }

    pub(super) fn indexed_event(&self, id: EventId) -> Result<IndexedEvent, StoreError> {
        let gate = self.gate();
        let event = gate.index()?.event(id)?;
        let state = self.state();
        let event = state.events.get(&id).cloned().or(event);
        let event = event.filter(|event| event.at.segment >= state.floor);
        event.ok_or(StoreError::NotFound)
    }

    pub(super) async fn event(self: &Arc<Self>, id: EventId) -> Result<Arc<Event>, StoreError> {
        let inner = Arc::clone(self);
        blocking(move || inner.whole_event(id).map(Arc::new)).await
    }

    fn whole_event(&self, id: EventId) -> Result<Event, StoreError> {
        self.retried(|| {
            let event = self.unpurged(id)?;
            let read = self.read_event(event.at);
            // a purge may have emptied the record meanwhile
            self.unpurged(id)?;
            read
        })
    }

    fn unpurged(&self, id: EventId) -> Result<IndexedEvent, StoreError> {
        let event = self.indexed_event(id)?;
        match event.purged_at {
            Some(_) => Err(StoreError::Purged),
            None => Ok(event),
        }
    }

    /// Tries again what failed because cleaning has moved the record.
    fn retried<T>(&self, run: impl Fn() -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut result = run();
        for _ in 1..TRIES {
            if !matches!(result, Err(StoreError::Damaged(_))) {
                break;
            }
            result = run();
        }
        result
    }

    pub(super) async fn event_row(self: &Arc<Self>, id: EventId) -> Result<EventRow, StoreError> {
        let event = self.indexed_event(id)?;
        let inner = Arc::clone(self);
        blocking(move || Ok(inner.shown(id, event))).await
    }

    /// An event as listings show it; texts that are cut off in the index come from the journal.
    pub(super) fn shown(&self, id: EventId, event: IndexedEvent) -> EventRow {
        let read = || self.retried(|| self.read_event(self.indexed_event(id)?.at));
        let whole = event.cut.then(|| read().ok()).flatten();
        let (message_id, event_type) = match whole {
            Some(whole) => {
                let parts = whole.parts();
                (parts.message_id.clone(), parts.event_type.clone())
            }
            None => (event.message_id, event.event_type),
        };
        EventRow {
            id,
            source: event.source,
            message_id,
            event_type,
            received_at: record::time(event.received_at),
            size: event.size,
            deliveries: event.deliveries,
            purged_at: event.purged_at.map(record::time),
        }
    }

    pub(super) async fn receipt(
        self: &Arc<Self>,
        id: EventId,
    ) -> Result<Option<Receipt>, StoreError> {
        let inner = Arc::clone(self);
        blocking(move || {
            inner.retried(|| {
                let receipt = inner.read_receipt(inner.indexed_event(id)?.at)?;
                Ok(receipt.map(Into::into))
            })
        })
        .await
    }

    /// How the event in the record at this place was verified.
    pub(super) fn read_receipt(&self, at: Place) -> Result<Option<StoredReceipt>, StoreError> {
        match self.read_content(at)? {
            Content::Accepted(it) => Ok(it.receipt),
            Content::Carried(it) | Content::Purged(Purged { remains: it, .. }) => Ok(it.receipt),
            _ => Err(StoreError::Damaged("no event where one was".to_owned())),
        }
    }

    pub(super) async fn frozen(
        self: &Arc<Self>,
        id: DeliveryId,
    ) -> Result<Option<Bytes>, StoreError> {
        let inner = Arc::clone(self);
        blocking(move || inner.retried(|| inner.frozen_now(id))).await
    }

    fn frozen_now(&self, id: DeliveryId) -> Result<Option<Bytes>, StoreError> {
        let (row, _) = self.delivery_row(id)?;
        if row.purged {
            return Err(StoreError::Purged);
        }
        // of what is delivered it is not kept for long
        if matches!(row.state, StoredState::Delivered(_)) {
            return Ok(None);
        }
        let body = {
            let state = self.state();
            state.entries.get(&id).and_then(|entry| entry.body.clone())
        };
        match (body, row.frozen) {
            (Some(body), _) => Ok(Some(body)),
            (None, Some(at)) => self.read_frozen(at, id).map(Some),
            (None, None) => Ok(None),
        }
    }

    pub(super) async fn attempts(
        self: &Arc<Self>,
        id: DeliveryId,
    ) -> Result<Vec<Attempt>, StoreError> {
        let inner = Arc::clone(self);
        blocking(move || {
            inner.retried(|| {
                let (row, fresh) = inner.delivery_row(id)?;
                let logged = inner.read_log(id, &row.log)?;
                Ok(logged.into_iter().map(Into::into).chain(fresh).collect())
            })
        })
        .await
    }

    /// The attempts of a delivery in the records at these places.
    pub(super) fn read_log(
        &self,
        id: DeliveryId,
        log: &[Place],
    ) -> Result<Vec<StoredAttempt>, StoreError> {
        let mut attempts = Vec::new();
        for at in log {
            match self.read_content(*at)? {
                Content::Attempted(it) => attempts.push(it.attempt),
                Content::Carried(it) | Content::Purged(Purged { remains: it, .. }) => {
                    let mut all = it.deliveries.into_iter();
                    let found = all.find(|one| one.delivery.id == *id.as_bytes());
                    attempts.extend(found.map(|one| one.log).unwrap_or_default());
                }
                _ => return Err(StoreError::Damaged("no attempt where one was".to_owned())),
            }
        }
        Ok(attempts)
    }

    pub(super) async fn depths(self: &Arc<Self>) -> Result<Vec<Depth>, StoreError> {
        let inner = Arc::clone(self);
        blocking(move || inner.all_depths()).await
    }

    fn all_depths(&self) -> Result<Vec<Depth>, StoreError> {
        let gate = self.gate();
        let index = gate.index()?;
        let state = self.state();
        let mut oldest: BTreeMap<&TargetName, i64> = BTreeMap::new();
        let pending = |row: &&DeliveryRow| row.due().is_some();
        for row in state
            .entries
            .values()
            .map(|entry| &entry.row)
            .filter(pending)
        {
            let known = oldest.entry(&row.target).or_insert(row.started_at);
            *known = row.started_at.min(*known);
        }
        let mut depths = Vec::new();
        for (target, lane) in &state.lanes {
            let (pending, dead) = (lane.counts.pending, lane.counts.all_dead());
            if pending == 0 && dead == 0 {
                continue;
            }
            let mut first = oldest.get(target).copied();
            if pending > 0 {
                for row in index.by_age(target) {
                    let (started, id) = row?;
                    if first.is_some_and(|first| first <= started) {
                        break;
                    }
                    if !state.entries.contains_key(&id) {
                        first = Some(started);
                        break;
                    }
                }
            }
            depths.push(Depth {
                target: target.clone(),
                pending,
                dead,
                oldest_pending: first.map(record::time),
            });
        }
        depths.sort_by(|a, b| a.target.cmp(&b.target));
        Ok(depths)
    }

    pub(super) async fn dead_groups(self: &Arc<Self>) -> Result<Vec<DeadGroup>, StoreError> {
        let inner = Arc::clone(self);
        blocking(move || inner.all_dead_groups()).await
    }

    fn all_dead_groups(&self) -> Result<Vec<DeadGroup>, StoreError> {
        let gate = self.gate();
        let index = gate.index()?;
        let state = self.state();
        let mut in_memory: BTreeMap<(&TargetName, u8), (DeliveryId, DeliveryId)> = BTreeMap::new();
        for (id, entry) in &state.entries {
            if let StoredState::Dead(_, code) = entry.row.state {
                let ends = in_memory.entry((&entry.row.target, code));
                ends.or_insert((*id, *id)).1 = *id;
            }
        }
        let is_known = |id: &Result<DeliveryId, IndexError>| {
            id.as_ref()
                .map_or(true, |id| !state.entries.contains_key(id))
        };
        let mut groups = Vec::new();
        for (target, lane) in &state.lanes {
            for (slot, count) in lane.counts.dead.iter().enumerate() {
                let code = u8::try_from(slot).unwrap_or(u8::MAX).saturating_add(1);
                if *count == 0 {
                    continue;
                }
                let first = DeliveryId::from_bytes([0; 16]);
                let oldest = index.dead_above(target, code, first).find(is_known);
                let newest = index.dead_below(target, code, None).find(is_known);
                let ends = in_memory.get(&(target, code));
                let oldest = [oldest.transpose()?, ends.map(|ends| ends.0)];
                let newest = [newest.transpose()?, ends.map(|ends| ends.1)];
                let oldest = oldest.into_iter().flatten().min();
                let newest = newest.into_iter().flatten().max();
                // where one is counted, one is
                if let (Some(oldest), Some(newest)) = (oldest, newest) {
                    groups.push(DeadGroup {
                        target: target.clone(),
                        reason: record::reason(code),
                        count: *count,
                        oldest,
                        newest,
                    });
                }
            }
        }
        groups.sort_by(|a, b| (&a.target, a.reason).cmp(&(&b.target, b.reason)));
        Ok(groups)
    }
}

/// From where the next chunk goes on: the oldest of a full chunk.
pub(super) fn rest<I: Copy + Ord, T>(rows: &BTreeMap<I, T>) -> Option<I> {
    let full = rows.len() >= CHUNK;
    rows.keys().next().copied().filter(|_| full)
}

/// Ids of a chunk: from `rest` on, below `before`.
pub(super) fn range<I>(rest: Option<I>, before: Option<I>) -> (Bound<I>, Bound<I>) {
    (
        rest.map_or(Bound::Unbounded, Bound::Included),
        before.map_or(Bound::Unbounded, Bound::Excluded),
    )
}

/// Runs what reads the disk on one of tokio's blocking threads.
pub(super) async fn blocking<T: Send + 'static>(
    run: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let joined = tokio::task::spawn_blocking(run).await;
    joined.map_err(|error| StoreError::Damaged(error.to_string()))?
}
