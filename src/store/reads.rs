//! Look-ups and listings over index and overlay. Long walks through the index hold the gate for one chunk at a
//! time, so that they keep nobody waiting.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::index::rows::{DeliveryRow, IndexedEvent, Place};
use super::local::Inner;
use super::record::{self, Content, Purged, StoredAttempt};
use super::{DeadGroup, DeliveryFilter, Depth, EventRow, Health, StoreError};
use crate::delivery::{Attempt, Delivery, State, StateKind};
use crate::event::Event;
use crate::id::{DeliveryId, EventId, TargetName};
use crate::metrics::StoreGauges;

/// Rows that are walked while the gate is held.
pub(super) const CHUNK: usize = 500;

/// Up to so many pending or dead deliveries of a target are sorted rather than looked for among all.
const FEW: u64 = 10_000;

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
            let fresh = entry.fresh.iter().map(|(_, attempt)| attempt.clone());
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
    fn shown(&self, id: EventId, event: IndexedEvent) -> EventRow {
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

    pub(super) async fn events(
        self: &Arc<Self>,
        before: Option<EventId>,
        limit: usize,
    ) -> Result<Vec<EventRow>, StoreError> {
        let inner = Arc::clone(self);
        blocking(move || {
            let found = paged(before, limit, |before| inner.events_chunk(before))?;
            let shown = found.into_iter().map(|(id, event)| inner.shown(id, event));
            Ok(shown.collect())
        })
        .await
    }

    /// Events older than `before`, newest first, down to the id that is given along; `None`: to the end.
    fn events_chunk(
        &self,
        before: Option<EventId>,
    ) -> Result<Chunk<(EventId, IndexedEvent), EventId>, StoreError> {
        let gate = self.gate();
        let rows = gate.index()?.events(before).take(CHUNK);
        let mut events: BTreeMap<EventId, IndexedEvent> = rows.collect::<Result<_, _>>()?;
        let rest = rest(&events);
        let state = self.state();
        for (id, event) in state.events.range(range(rest, before)) {
            events.insert(*id, event.clone());
        }
        events.retain(|_, event| event.at.segment >= state.floor);
        Ok((events.into_iter().rev().collect(), rest))
    }

    pub(super) async fn deliveries(
        self: &Arc<Self>,
        filter: DeliveryFilter,
        before: Option<DeliveryId>,
        limit: usize,
    ) -> Result<Vec<Delivery>, StoreError> {
        let inner = Arc::clone(self);
        blocking(move || {
            if let Some(ids) = inner.few(&filter)? {
                return inner.deliveries_of(ids, &filter, before, limit);
            }
            paged(before, limit, |before| {
                let (mut deliveries, rest) = inner.deliveries_chunk(before)?;
                deliveries.retain(|one| passes(&filter, one));
                Ok((deliveries, rest))
            })
        })
        .await
    }

    /// The ids of all deliveries that can pass, if the filter names a target and state that few are in.
    fn few(&self, filter: &DeliveryFilter) -> Result<Option<Vec<DeliveryId>>, StoreError> {
        let (Some(target), Some(kind)) = (&filter.target, filter.state) else {
            return Ok(None);
        };
        let gate = self.gate();
        let index = gate.index()?;
        let state = self.state();
        let counts = state.lanes.get(target).map(|lane| lane.counts);
        let counts = counts.unwrap_or_default();
        let in_memory = state.entries.iter();
        let mut ids: Vec<_> = in_memory
            .filter(|(_, entry)| entry.row.target == *target)
            .map(|(id, _)| *id)
            .collect();
        drop(state);
        match kind {
            StateKind::Pending if counts.pending <= FEW => {
                for row in index.by_age(target) {
                    ids.push(row?.1);
                }
            }
            StateKind::Dead if counts.all_dead() <= FEW => {
                for id in index.dead(target) {
                    ids.push(id?);
                }
            }
            _ => return Ok(None),
        }
        Ok(Some(ids))
    }

    fn deliveries_of(
        &self,
        mut ids: Vec<DeliveryId>,
        filter: &DeliveryFilter,
        before: Option<DeliveryId>,
        limit: usize,
    ) -> Result<Vec<Delivery>, StoreError> {
        ids.sort_unstable_by(|a, b| b.cmp(a));
        ids.dedup();
        let mut found = Vec::new();
        for id in ids {
            if found.len() >= limit {
                break;
            }
            if before.is_some_and(|before| id >= before) {
                continue;
            }
            match self.delivery_row(id) {
                Ok((row, _)) => {
                    let delivery = self.dated(row.delivery(id));
                    found.extend(Some(delivery).filter(|one| passes(filter, one)));
                }
                Err(StoreError::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// Deliveries older than `before`, newest first, down to the id that is given along; `None`: to the end.
    fn deliveries_chunk(
        &self,
        before: Option<DeliveryId>,
    ) -> Result<(Vec<Delivery>, Option<DeliveryId>), StoreError> {
        let gate = self.gate();
        let rows = gate.index()?.deliveries(before).take(CHUNK);
        let mut all: BTreeMap<DeliveryId, DeliveryRow> = rows.collect::<Result<_, _>>()?;
        let rest = rest(&all);
        let state = self.state();
        for (id, entry) in state.entries.range(range(rest, before)) {
            all.insert(*id, entry.row.clone());
        }
        all.retain(|_, row| row.event_at.segment >= state.floor);
        let newest_first = all.into_iter().rev();
        let deliveries = newest_first
            .map(|(id, row)| self.dated(row.delivery(id)))
            .collect();
        Ok((deliveries, rest))
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

    pub(super) fn dead_groups(&self) -> Result<Vec<DeadGroup>, StoreError> {
        self.gate().index()?;
        let state = self.state();
        let mut groups = Vec::new();
        for (target, lane) in &state.lanes {
            for (slot, count) in lane.counts.dead.iter().enumerate() {
                let code = u8::try_from(slot).unwrap_or(u8::MAX).saturating_add(1);
                if *count > 0 {
                    groups.push(DeadGroup {
                        target: target.clone(),
                        reason: record::reason(code),
                        count: *count,
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

fn passes(filter: &DeliveryFilter, delivery: &Delivery) -> bool {
    let state = |kind: StateKind| State::kind(&delivery.state) == kind;
    filter.state.is_none_or(state)
        && filter
            .target
            .as_ref()
            .is_none_or(|it| *it == delivery.target)
        && filter.route.as_ref().is_none_or(|it| *it == delivery.route)
}

/// Runs what reads the disk on one of tokio's blocking threads.
pub(super) async fn blocking<T: Send + 'static>(
    run: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let joined = tokio::task::spawn_blocking(run).await;
    joined.map_err(|error| StoreError::Damaged(error.to_string()))?
}
