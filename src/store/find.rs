//! Looking for events and deliveries, newest or oldest first, over index and overlay.
//!
//! Promise: a look goes over a bounded number of rows and says from where it goes on; a row never moves, so looks one after
//! another miss none that was there all the time. The gate is held for one chunk at a time.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use jiff::Timestamp;

use super::index::rows::{DeliveryRow, IndexedEvent};
use super::index::{Index, IndexError};
use super::local::Inner;
use super::overlay::Overlay;
use super::reads::blocking;
use super::record;
use super::{
    DeliveryFilter, EventFilter, EventRow, Found, ListedDelivery, StoreError, Window, filter,
};
use crate::delivery::{DeadReason, StateKind};
use crate::id::{DeliveryId, EventId, SourceName, TargetName};

/// Rows that are walked while the gate is held, at least and at most.
const CHUNK: (usize, usize) = (64, 500);

/// Up to so many pending or dead deliveries of a target are sorted rather than looked for among all.
const FEW: u64 = 10_000;

/// Events that are remembered while their deliveries are looked at; deliveries of one event stand close together.
const REMEMBERED: usize = 1000;

/// Some rows, and the last of them in the order of the look if there may be more.
type Chunk<Id, Row> = (BTreeMap<Id, Row>, Option<Id>);

/// In which order a look goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Newest first.
    Down,
    /// Oldest first.
    Up,
}

/// An id as the 16 bytes by which it sorts.
pub(super) trait Key: Copy + Ord {
    fn of(bytes: [u8; 16]) -> Self;
    fn bytes(&self) -> [u8; 16];
    fn first_at(time: Timestamp) -> Self;

    /// The next id; `None` behind the last.
    fn next(&self) -> Option<Self> {
        let next = u128::from_be_bytes(self.bytes()).checked_add(1)?;
        Some(Self::of(next.to_be_bytes()))
    }
}

macro_rules! key {
    ($($id:ident),*) => {$(
        impl Key for $id {
            fn of(bytes: [u8; 16]) -> Self {
                Self::from_bytes(bytes)
            }
            fn bytes(&self) -> [u8; 16] {
                *self.as_bytes()
            }
            fn first_at(time: Timestamp) -> Self {
                Self::first_at(time)
            }
        }
    )*};
}

key!(DeliveryId, EventId);

/// Ids from `from` on, below `below`.
#[derive(Debug, Clone, Copy)]
struct Span<Id> {
    from: Id,
    /// `None`: to the last.
    below: Option<Id>,
}

impl<Id: Key> Span<Id> {
    /// What is left to be looked at.
    fn new(
        way: Way,
        past: Option<Id>,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> Option<Self> {
        let mut span = Self {
            from: since.map_or(Id::of([0; 16]), Id::first_at),
            below: until.map(Id::first_at),
        };
        if let Some(past) = past {
            span.advance(way, past)?;
        }
        span.is_some().then_some(span)
    }

    /// Goes on behind a row; `None` if nothing is there.
    fn advance(&mut self, way: Way, past: Id) -> Option<()> {
        match way {
            Way::Down => self.below = Some(self.below.map_or(past, |below| below.min(past))),
            Way::Up => self.from = self.from.max(past.next()?),
        }
        Some(())
    }

    fn is_some(&self) -> bool {
        self.below.is_none_or(|below| self.from < below)
    }

    fn holds(&self, id: &Id) -> bool {
        *id >= self.from && self.below.is_none_or(|below| *id < below)
    }

    /// The part of it that a chunk has gone over, if that ended at `rest`.
    fn covered(&self, way: Way, rest: Option<Id>) -> (Bound<Id>, Bound<Id>) {
        let below = self.below.map_or(Bound::Unbounded, Bound::Excluded);
        match (way, rest) {
            (_, None) => (Bound::Included(self.from), below),
            (Way::Down, Some(rest)) => (Bound::Included(rest), below),
            (Way::Up, Some(rest)) => (Bound::Included(self.from), Bound::Included(rest)),
        }
    }
}

/// What a look has come to so far.
struct Look<Row, Id> {
    window: Window<Id>,
    looked_at: usize,
    found: Found<Row, Id>,
}

impl<Row, Id: Key> Look<Row, Id> {
    fn new(window: Window<Id>) -> Self {
        Self {
            window,
            looked_at: 0,
            found: Found {
                rows: Vec::new(),
                rest: None,
            },
        }
    }

    /// Looks at the rows of one chunk; whether the look is over with them. `more` tells whether others follow.
    fn chunk<T>(
        &mut self,
        rows: impl Iterator<Item = (Id, T)>,
        more: bool,
        mut row: impl FnMut(Id, T) -> Result<Option<Row>, StoreError>,
    ) -> Result<bool, StoreError> {
        let mut rows = rows.peekable();
        while let Some((id, next)) = rows.next() {
            self.found.rows.extend(row(id, next)?);
            self.looked_at = self.looked_at.saturating_add(1);
            if self.found.rows.len() >= self.window.limit || self.looked_at >= self.window.budget {
                self.found.rest = (more || rows.peek().is_some()).then_some(id);
                return Ok(true);
            }
        }
        Ok(!more)
    }

    fn chunk_size(&self) -> usize {
        self.window.limit.saturating_add(1).clamp(CHUNK.0, CHUNK.1)
    }
}

/// What of an event decides whether its deliveries pass.
#[derive(Clone)]
struct Facts {
    source: SourceName,
    event_type: String,
    message_id: Option<String>,
}

/// Events that were looked at.
#[derive(Default)]
struct Known(HashMap<EventId, Option<Facts>>);

/// Where the deliveries stand that can pass.
enum Among {
    All,
    /// The dead of a target, for a reason by its code.
    Dead(TargetName, u8),
    /// These.
    Few(Vec<DeliveryId>),
}

impl Inner {
    pub(super) async fn find_events(
        self: &Arc<Self>,
        filter: EventFilter,
        window: Window<EventId>,
        way: Way,
    ) -> Result<Found<EventRow, EventId>, StoreError> {
        let inner = Arc::clone(self);
        blocking(move || inner.look_for_events(&filter, window, way)).await
    }

    fn look_for_events(
        &self,
        filter: &EventFilter,
        window: Window<EventId>,
        way: Way,
    ) -> Result<Found<EventRow, EventId>, StoreError> {
        let mut look = Look::new(window);
        let span = Span::new(way, window.past, filter.since, filter.until);
        let only = |mut span: Span<EventId>, id: EventId| {
            let is_in = span.holds(&id);
            (span.from, span.below) = (id, id.next());
            is_in.then_some(span)
        };
        let span = match filter.event {
            Some(id) => span.and_then(|span| only(span, id)),
            None => span,
        };
        let Some(mut span) = span.filter(|_| window.limit > 0) else {
            self.gate().index()?;
            return Ok(look.found);
        };
        loop {
            let (events, rest) = self.events_chunk(way, &span, look.chunk_size())?;
            let row = |id, event| self.event_that_passes(filter, id, event);
            if look.chunk(in_order(way, events), rest.is_some(), row)? {
                return Ok(look.found);
            }
            match rest.and_then(|rest| span.advance(way, rest)) {
                Some(()) if span.is_some() => {}
                _ => return Ok(look.found),
            }
        }
    }

    fn event_that_passes(
        &self,
        filter: &EventFilter,
        id: EventId,
        event: IndexedEvent,
    ) -> Result<Option<EventRow>, StoreError> {
        if !filter::is(&filter.source, &event.source) {
            return Ok(None);
        }
        let row = self.shown(id, event);
        let message_id = row.message_id.as_deref();
        let deliveries = row.deliveries.len();
        if !filter.takes(&row.source, &row.event_type, message_id, deliveries) {
            return Ok(None);
        }
        if filter.asks_for_delivery() {
            let mut passes = false;
            for id in &row.deliveries {
                match self.delivery_row(*id) {
                    Ok((row, _)) => passes |= filter.takes_delivery(&row.delivery(*id)),
                    Err(StoreError::NotFound) => {}
                    Err(error) => return Err(error),
                }
            }
            return Ok(Some(row).filter(|_| passes));
        }
        Ok(Some(row))
    }

    /// Events of a span, as many as one chunk has, with the last of them if there may be more.
    fn events_chunk(
        &self,
        way: Way,
        span: &Span<EventId>,
        most: usize,
    ) -> Result<Chunk<EventId, IndexedEvent>, StoreError> {
        let gate = self.gate();
        let index = gate.index()?;
        let within = |row: &Result<(EventId, IndexedEvent), IndexError>| {
            row.as_ref().map_or(true, |(id, _)| span.holds(id))
        };
        let rows: Result<BTreeMap<_, _>, _> = match way {
            Way::Down => {
                let rows = index.events(span.below);
                rows.take_while(within).take(most).collect()
            }
            Way::Up => {
                let rows = index.events_from(span.from);
                rows.take_while(within).take(most).collect()
            }
        };
        let mut events = rows?;
        let rest = rest(way, &events, most);
        let state = self.state();
        for (id, event) in state.events.range(span.covered(way, rest)) {
            events.insert(*id, event.clone());
        }
        events.retain(|_, event| event.at.segment >= state.floor);
        Ok((events, rest))
    }

    pub(super) async fn find_deliveries(
        self: &Arc<Self>,
        filter: DeliveryFilter,
        window: Window<DeliveryId>,
        way: Way,
    ) -> Result<Found<ListedDelivery, DeliveryId>, StoreError> {
        let inner = Arc::clone(self);
        blocking(move || inner.look_for_deliveries(&filter, window, way)).await
    }

    fn look_for_deliveries(
        &self,
        filter: &DeliveryFilter,
        window: Window<DeliveryId>,
        way: Way,
    ) -> Result<Found<ListedDelivery, DeliveryId>, StoreError> {
        let mut look = Look::new(window);
        let mut known = Known::default();
        let span = Span::new(way, window.past, filter.since, filter.until);
        let Some(mut span) = span.filter(|_| window.limit > 0) else {
            self.gate().index()?;
            return Ok(look.found);
        };
        let among = self.among(filter)?;
        if let Among::Few(mut ids) = among {
            ids.retain(|id| span.holds(id));
            ids.sort_unstable();
            ids.dedup();
            if way == Way::Down {
                ids.reverse();
            }
            let rows = ids.into_iter().map(|id| (id, ()));
            look.chunk(rows, false, |id, ()| match self.delivery_row(id) {
                Ok((row, _)) => self.delivery_that_passes(filter, id, &row, &mut known),
                Err(StoreError::NotFound) => Ok(None),
                Err(error) => Err(error),
            })?;
            return Ok(look.found);
        }
        loop {
            let (rows, rest) = self.deliveries_chunk(way, &among, &span, look.chunk_size())?;
            let row =
                |id, row: DeliveryRow| self.delivery_that_passes(filter, id, &row, &mut known);
            if look.chunk(in_order(way, rows), rest.is_some(), row)? {
                return Ok(look.found);
            }
            match rest.and_then(|rest| span.advance(way, rest)) {
                Some(()) if span.is_some() => {}
                _ => return Ok(look.found),
            }
        }
    }

    fn delivery_that_passes(
        &self,
        filter: &DeliveryFilter,
        id: DeliveryId,
        row: &DeliveryRow,
        known: &mut Known,
    ) -> Result<Option<ListedDelivery>, StoreError> {
        let delivery = row.delivery(id);
        if !filter.takes(&delivery, row.last.and_then(|last| last.template)) {
            return Ok(None);
        }
        let Some(facts) = known.get(row.event, || self.facts(row.event))? else {
            // it was let go meanwhile, and the delivery with it
            return Ok(None);
        };
        let message_id = facts.message_id.as_deref();
        if !filter.takes_event(&facts.source, &facts.event_type, message_id) {
            return Ok(None);
        }
        Ok(Some(ListedDelivery {
            delivery: self.dated(delivery),
            source: facts.source.clone(),
            event_type: facts.event_type.clone(),
            last: row.last.map(Into::into),
            had_success: row.had_success,
        }))
    }

    pub(super) async fn listed(
        self: &Arc<Self>,
        id: DeliveryId,
    ) -> Result<ListedDelivery, StoreError> {
        let inner = Arc::clone(self);
        blocking(move || {
            let (row, _) = inner.delivery_row(id)?;
            let all = DeliveryFilter::default();
            let listed = inner.delivery_that_passes(&all, id, &row, &mut Known::default())?;
            listed.ok_or(StoreError::NotFound)
        })
        .await
    }

    /// What an event says of its deliveries; `None` if it is gone.
    fn facts(&self, id: EventId) -> Result<Option<Facts>, StoreError> {
        match self.indexed_event(id) {
            Ok(event) => {
                let row = self.shown(id, event);
                Ok(Some(Facts {
                    source: row.source,
                    event_type: row.event_type,
                    message_id: row.message_id,
                }))
            }
            Err(StoreError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Where the deliveries stand that can pass.
    fn among(&self, filter: &DeliveryFilter) -> Result<Among, StoreError> {
        if let Some(event) = filter.event {
            return match self.indexed_event(event) {
                Ok(event) => Ok(Among::Few(event.deliveries)),
                Err(StoreError::NotFound) => Ok(Among::Few(Vec::new())),
                Err(error) => Err(error),
            };
        }
        let mut states = filter.states.iter();
        let state = match (states.next(), states.next()) {
            (Some(state), None) => Some(*state),
            _ if filter.reason.is_some() || filter.stale.is_some() => Some(StateKind::Dead),
            _ => None,
        };
        let (Some(target), Some(state)) = (&filter.target, state) else {
            return Ok(Among::All);
        };
        let reason = filter
            .reason
            .or_else(|| filter.stale.as_ref().map(|_| DeadReason::Render));
        if let (StateKind::Dead, Some(reason)) = (state, reason) {
            return Ok(Among::Dead(target.clone(), record::reason_code(reason)));
        }
        let few = self.few(target, state)?;
        Ok(few.map_or(Among::All, Among::Few))
    }

    /// The ids of all deliveries to a target that can be in this state, if those are few.
    fn few(
        &self,
        target: &TargetName,
        kind: StateKind,
    ) -> Result<Option<Vec<DeliveryId>>, StoreError> {
        let gate = self.gate();
        let index = gate.index()?;
        let state = self.state();
        let counts = state.lanes.get(target).map(|lane| lane.counts);
        let counts = counts.unwrap_or_default();
        let is_few = match kind {
            StateKind::Pending => counts.pending <= FEW,
            StateKind::Dead => counts.all_dead() <= FEW,
            StateKind::Delivered | StateKind::Discarded => false,
        };
        if !is_few {
            return Ok(None);
        }
        let in_memory = state.entries.iter();
        let mut ids: Vec<_> = in_memory
            .filter(|(_, entry)| entry.row.target == *target)
            .map(|(id, _)| *id)
            .collect();
        drop(state);
        if kind == StateKind::Pending {
            for row in index.by_age(target) {
                ids.push(row?.1);
            }
        } else {
            for id in index.dead(target) {
                ids.push(id?);
            }
        }
        Ok(Some(ids))
    }

    /// Deliveries of a span, as many as one chunk has, with the last of them if there may be more.
    fn deliveries_chunk(
        &self,
        way: Way,
        among: &Among,
        span: &Span<DeliveryId>,
        most: usize,
    ) -> Result<Chunk<DeliveryId, DeliveryRow>, StoreError> {
        let gate = self.gate();
        let index = gate.index()?;
        let mut rows = match among {
            Among::Dead(target, code) => dead_rows(index, way, (target, *code), span, most)?,
            Among::All | Among::Few(_) => all_rows(index, way, span, most)?,
        };
        let rest = rest(way, &rows, most);
        let state = self.state();
        overlaid(&state, among, span.covered(way, rest), &mut rows);
        rows.retain(|_, row| row.event_at.segment >= state.floor);
        Ok((rows, rest))
    }
}

/// Puts what is in memory in the place of what the index says.
fn overlaid(
    state: &Overlay,
    among: &Among,
    range: (Bound<DeliveryId>, Bound<DeliveryId>),
    rows: &mut BTreeMap<DeliveryId, DeliveryRow>,
) {
    for (id, entry) in state.entries.range(range) {
        let wanted = match among {
            Among::Dead(target, _) => entry.row.target == *target,
            Among::All | Among::Few(_) => true,
        };
        if wanted {
            rows.insert(*id, entry.row.clone());
        }
    }
}

fn all_rows(
    index: &Index,
    way: Way,
    span: &Span<DeliveryId>,
    most: usize,
) -> Result<BTreeMap<DeliveryId, DeliveryRow>, IndexError> {
    let within = |row: &Result<(DeliveryId, DeliveryRow), IndexError>| {
        row.as_ref().map_or(true, |(id, _)| span.holds(id))
    };
    match way {
        Way::Down => {
            let rows = index.deliveries(span.below);
            rows.take_while(within).take(most).collect()
        }
        Way::Up => {
            let rows = index.deliveries_from(span.from);
            rows.take_while(within).take(most).collect()
        }
    }
}

fn dead_rows(
    index: &Index,
    way: Way,
    (target, code): (&TargetName, u8),
    span: &Span<DeliveryId>,
    most: usize,
) -> Result<BTreeMap<DeliveryId, DeliveryRow>, IndexError> {
    let within =
        |id: &Result<DeliveryId, IndexError>| id.as_ref().map_or(true, |id| span.holds(id));
    let ids: Result<Vec<_>, _> = match way {
        Way::Down => {
            let ids = index.dead_below(target, code, span.below);
            ids.take_while(within).take(most).collect()
        }
        Way::Up => {
            let ids = index.dead_above(target, code, span.from);
            ids.take_while(within).take(most).collect()
        }
    };
    let mut rows = BTreeMap::new();
    for id in ids? {
        rows.extend(index.delivery(id)?.map(|row| (id, row)));
    }
    Ok(rows)
}

/// The last row of a full chunk, in the order of the look.
fn rest<Id: Key, T>(way: Way, rows: &BTreeMap<Id, T>, most: usize) -> Option<Id> {
    if rows.len() < most {
        return None;
    }
    match way {
        Way::Down => rows.keys().next().copied(),
        Way::Up => rows.keys().next_back().copied(),
    }
}

fn in_order<Id: Key + 'static, T: 'static>(
    way: Way,
    rows: BTreeMap<Id, T>,
) -> Box<dyn Iterator<Item = (Id, T)>> {
    match way {
        Way::Down => Box::new(rows.into_iter().rev()),
        Way::Up => Box::new(rows.into_iter()),
    }
}

impl Known {
    fn get(
        &mut self,
        id: EventId,
        read: impl FnOnce() -> Result<Option<Facts>, StoreError>,
    ) -> Result<Option<&Facts>, StoreError> {
        if self.0.len() >= REMEMBERED && !self.0.contains_key(&id) {
            self.0.clear();
        }
        let facts = match self.0.entry(id) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(free) => free.insert(read()?),
        };
        Ok(facts.as_ref())
    }
}
