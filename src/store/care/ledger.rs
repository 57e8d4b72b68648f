//! What a walk over the journal says: every event, where its record is, and the last state of every delivery.
//!
//! The rules are those of `index::stage`, so that a store answers the same; `verify` compares the two. Bodies are not
//! kept, names once. Measured memory: 210 to 340 bytes an event with one delivery (tables double as they grow), some
//! 150 for each further delivery; a million events are some 300 MB. Dedupe keys are forgotten once they expired.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::super::index::change::{Placed, Step, What};
use super::super::index::rows::{DeliveryRow, Place};
use super::super::journal::Position;
use super::super::record::{Content, StoredState};
use crate::id::{DeliveryId, EventId, RouteName, TargetName};

/// Dedupe keys beyond which the expired ones are looked for.
const KEYS: usize = 10_000;

/// Milliseconds for which an expired key is still kept, should the store's clock have been set back.
const KEY_GRACE: i64 = 60 * 60 * 1000;

/// Events and deliveries as the journal has them.
#[derive(Default)]
pub(super) struct Ledger {
    events: HashMap<EventId, EventEntry>,
    deliveries: HashMap<DeliveryId, DeliveryEntry>,
    lanes: Vec<(RouteName, TargetName)>,
    lane_numbers: HashMap<(RouteName, TargetName), u32>,
    keys: HashMap<[u8; 32], i64>,
    /// How many keys there may be before the expired ones are let go.
    key_limit: usize,
    orphans: HashMap<DeliveryId, Orphan>,
}

/// An event.
#[derive(Debug, Clone)]
pub(super) struct EventEntry {
    /// Where its record is.
    pub at: Place,
    /// Its deliveries.
    pub deliveries: Box<[DeliveryId]>,
    /// Whether its data was purged.
    purged: bool,
}

/// A delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DeliveryEntry {
    pub event: EventId,
    lane: u32,
    pub revision: u32,
    pub attempts: u32,
    pub started_at: i64,
    pub state: StoredState,
    /// The record that holds its frozen body.
    pub frozen: Option<Place>,
}

/// A delivery that still needs its event and has none. Of one that is done the event may have been let go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Orphan {
    /// Its last record.
    pub at: Place,
    /// What that says.
    pub state: StoredState,
}

impl Ledger {
    /// Takes in what a record at this place says; the only place that knows kinds.
    pub(super) fn apply(&mut self, content: &Content, at: Position) {
        match What::new(content, at.into()) {
            What::Accepted { at, placed } => self.accept(at, &placed),
            What::Moved(step) => self.moved(&step, at.into()),
            What::Added { event, deliveries } => self.add(event, &deliveries, at.into()),
            // what is left of a purged event takes the place of what there was, as with one written anew
            What::Carried(placed) | What::Purged { placed, .. } => self.carry(&placed),
            What::Audited(_)
            | What::Scrubbed(_)
            | What::Paused(..)
            | What::Replayed(_)
            | What::Planned(_) => {}
        }
    }

    /// As the index does: one whose dedupe key is live already was answered 503 and came again.
    fn accept(&mut self, at: i64, placed: &Placed) {
        let is_live = |key| self.keys.get(key).is_some_and(|expires| *expires > at);
        let repeats = placed.key.as_ref().is_some_and(|(key, _)| is_live(key));
        if repeats || self.events.contains_key(&placed.id) {
            return;
        }
        self.place(placed);
        if self.keys.len() > self.key_limit.max(KEYS) {
            let expired = at.saturating_sub(KEY_GRACE);
            self.keys.retain(|_, expires| *expires > expired);
            self.key_limit = self.keys.len().saturating_mul(2);
        }
    }

    /// As the index does: what is added to an event that is not there is dropped. It may be carried on further behind; if
    /// not, the event was lost.
    fn add(&mut self, event: EventId, deliveries: &[(DeliveryId, DeliveryRow)], at: Place) {
        let Some(mut entry) = self.events.remove(&event) else {
            for (id, row) in deliveries {
                let state = row.state;
                self.orphans.insert(*id, Orphan { at, state });
            }
            return;
        };
        if !entry.purged {
            let new = deliveries.iter().map(|(id, _)| *id);
            entry.deliveries = entry.deliveries.iter().copied().chain(new).collect();
            for (id, row) in deliveries {
                let known = self.entry(row);
                self.deliveries.insert(*id, known);
            }
        }
        self.events.insert(event, entry);
    }

    fn moved(&mut self, step: &Step, at: Place) {
        let Step {
            moved,
            frozen,
            anew,
            ..
        } = step;
        let id = DeliveryId::from_bytes(moved.delivery);
        let Some(known) = self.deliveries.get_mut(&id) else {
            if moved.state.is_open() {
                let state = moved.state;
                self.orphans.insert(id, Orphan { at, state });
            } else {
                self.orphans.remove(&id);
            }
            return;
        };
        if moved.revision <= known.revision {
            return;
        }
        known.revision = moved.revision;
        known.state = moved.state;
        known.attempts = moved.attempts;
        known.started_at = moved.started_at;
        if *frozen {
            known.frozen = Some(at);
        }
        if *anew {
            known.frozen = None;
        }
    }

    fn carry(&mut self, placed: &Placed) {
        let overtaken = placed.deliveries.iter().any(|(id, row)| {
            let known = self.deliveries.get(id);
            known.is_some_and(|known| known.revision > row.revision)
        });
        if overtaken {
            return;
        }
        if let Some(old) = self.events.remove(&placed.id) {
            for id in &old.deliveries {
                self.deliveries.remove(id);
            }
        }
        self.place(placed);
    }

    fn place(&mut self, placed: &Placed) {
        for (id, row) in &placed.deliveries {
            self.orphans.remove(id);
            let entry = self.entry(row);
            self.deliveries.insert(*id, entry);
        }
        let ids = placed.deliveries.iter().map(|(id, _)| *id);
        let event = EventEntry {
            at: placed.event.at,
            deliveries: ids.collect(),
            purged: placed.event.purged_at.is_some(),
        };
        self.events.insert(placed.id, event);
        if let Some((key, row)) = &placed.key {
            self.keys.insert(*key, row.expires);
        }
    }

    fn entry(&mut self, row: &DeliveryRow) -> DeliveryEntry {
        let lane = match self
            .lane_numbers
            .entry((row.route.clone(), row.target.clone()))
        {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(free) => {
                let number = u32::try_from(self.lanes.len()).unwrap_or(u32::MAX);
                self.lanes.push(free.key().clone());
                *free.insert(number)
            }
        };
        DeliveryEntry {
            event: row.event,
            lane,
            revision: row.revision,
            attempts: row.attempts,
            started_at: row.started_at,
            state: row.state,
            frozen: row.frozen,
        }
    }

    pub(super) fn events(&self) -> &HashMap<EventId, EventEntry> {
        &self.events
    }

    pub(super) fn deliveries(&self) -> &HashMap<DeliveryId, DeliveryEntry> {
        &self.deliveries
    }

    /// By which route a delivery goes to which target.
    pub(super) fn lane(&self, delivery: &DeliveryEntry) -> Option<&(RouteName, TargetName)> {
        self.lanes.get(delivery.lane as usize)
    }

    /// Deliveries that still need their events and have none.
    pub(super) fn orphans(&self) -> impl Iterator<Item = (&DeliveryId, &Orphan)> {
        self.orphans.iter()
    }
}
