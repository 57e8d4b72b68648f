//! Giving deliveries out and taking them back.
//!
//! Promise: a delivery is given out to one at a time, oldest due first; a claim reads only those rows of the index
//! that are due and not in memory. Dropping the future of a claim gives back what it had taken.
//! A delivery whose event cannot be read is an ERROR in the log and is held back for [`HOLD_BACK`].

use std::sync::{Arc, Weak};

use bytes::Bytes;

use super::index::Index;
use super::index::rows::Place;
use super::journal::JournalError;
use super::line::LinePlace;
use super::local::{Inner, locked};
use super::overlay::Overlay;
use super::record::{Content, HELD};
use super::{Claimed, Claims, Lease, Settled, StoreError};
use crate::delivery::Delivery;
use crate::event::Event;
use crate::id::{DeliveryId, EventId, TargetName};
use crate::order::OrderKey;

/// Rows of the index that are taken into memory at a time.
const REFILL: usize = 128;

/// Milliseconds for which a delivery is held back whose event or frozen body cannot be read.
const HOLD_BACK: i64 = 10 * 60 * 1000;

/// Outcomes whose record was refused; with more of them nothing is given out until they are written.
const MOST_REFUSED: usize = 1000;

/// Deliveries after those that are claimed whose events are read along.
const AHEAD: usize = 64;

/// Most events that are remembered as read, all targets together.
const MOST_READ: usize = 4096;

/// A delivery that was taken and where the rest of it is.
struct Pick {
    lease: Lease,
    delivery: Delivery,
    event_at: Place,
    event: Option<Arc<Event>>,
    body: Option<Bytes>,
    frozen_at: Option<Place>,
}

/// Leases that go back unless they are handed on.
struct Leases {
    inner: Arc<Inner>,
    leases: Vec<Lease>,
}

impl Drop for Leases {
    fn drop(&mut self) {
        for lease in &self.leases {
            self.inner.release(*lease);
        }
    }
}

impl Inner {
    pub(super) async fn claim(
        self: &Arc<Self>,
        target: &TargetName,
        most: usize,
    ) -> Result<Claims, StoreError> {
        let (picks, next_due) = self.pick(target, most)?;
        let mut leases = Leases {
            inner: Arc::clone(self),
            leases: picks.iter().map(|pick| pick.lease).collect(),
        };
        let fetched = if picks.iter().all(Pick::is_in_memory) {
            picks.into_iter().map(|pick| self.fetch(pick)).collect()
        } else {
            let (inner, target) = (Arc::clone(self), target.clone());
            let fetch = move || {
                let fetched = picks.into_iter().map(|pick| inner.fetch(pick)).collect();
                inner.look_ahead(&target);
                fetched
            };
            let fetched: Result<Vec<_>, _> = tokio::task::spawn_blocking(fetch).await;
            fetched.map_err(|error| StoreError::Damaged(error.to_string()))?
        };
        let mut taken = Vec::with_capacity(fetched.len());
        for (lease, claimed) in fetched {
            match claimed {
                Ok(claimed) => taken.push(claimed),
                Err(error) => self.hold_back(lease, &error),
            }
        }
        leases.leases.clear();
        Ok(Claims {
            taken,
            next_due: next_due.map(|due| self.by_clock(due)),
            ..Claims::default()
        })
    }

    /// Takes what is due, the oldest first, and tells when the next one is.
    fn pick(
        &self,
        target: &TargetName,
        most: usize,
    ) -> Result<(Vec<Pick>, Option<i64>), StoreError> {
        self.journal.health()?;
        let now = self.due_now();
        let gate = self.gate();
        let mut picks = Vec::new();
        loop {
            let from = {
                let mut state = self.state();
                state.usable()?;
                self.may_claim(&state)?;
                if let Some((key, from)) = state.unplaced(target) {
                    drop(state);
                    self.place(gate.index()?, target, key, from)?;
                    continue;
                }
                loop {
                    let lane = state.lane(target);
                    let first = lane.ready.first().copied();
                    // rows of the index that come first must be looked at first
                    let unseen = lane
                        .next
                        .filter(|next| first.is_none_or(|key| *next <= key));
                    if picks.len() >= most
                        || unseen.is_none() && first.is_none_or(|key| key.0 > now)
                    {
                        state.trim(target);
                        return Ok((picks, earliest(&mut state, target)));
                    }
                    match (unseen, first) {
                        (Some(next), _) if next.0 <= now => break next,
                        (None, Some((_, id))) => picks.extend(take(&mut state, id)),
                        _ => {
                            state.trim(target);
                            return Ok((picks, earliest(&mut state, target)));
                        }
                    }
                }
            };
            let (rows, rest) = gate.index()?.due(target, from, now, REFILL)?;
            let mut state = self.state();
            for ((_, id), row) in rows {
                state.load(id, row);
            }
            let lane = state.lane(target);
            if lane.next == Some(from) {
                lane.next = rest;
            }
        }
    }

    /// Asks the index who is the head of a line.
    fn place(
        &self,
        index: &Index,
        target: &TargetName,
        key: OrderKey,
        from: LinePlace,
    ) -> Result<(), StoreError> {
        let holds_up = |id| self.state().holds_up(id);
        let found = index.in_line(target, key.as_bytes(), from, holds_up)?;
        self.state().placed(target, key, from, found);
        Ok(())
    }

    fn may_claim(&self, state: &Overlay) -> Result<(), StoreError> {
        let behind = state.unfolded >= self.options.unfolded;
        if behind || state.refused.len() >= MOST_REFUSED {
            return Err(StoreError::Unavailable(
                "outcomes are waiting to be recorded".to_owned(),
            ));
        }
        Ok(())
    }

    /// Reads what a pick does not have yet.
    fn fetch(&self, pick: Pick) -> (Lease, Result<Claimed, StoreError>) {
        (pick.lease, self.fetch_parts(pick))
    }

    fn fetch_parts(&self, pick: Pick) -> Result<Claimed, StoreError> {
        let was_read = !pick.is_in_memory();
        let event = match pick.event {
            Some(event) => event,
            None => self.shared_event(pick.delivery.event, pick.event_at)?,
        };
        let frozen = match (pick.body, pick.frozen_at) {
            (Some(body), _) => Some(body),
            (None, Some(at)) => Some(self.read_frozen(at, pick.delivery.id)?),
            (None, None) => None,
        };
        // a purge empties records only after it has taken their deliveries away
        if was_read && !self.is_leased(pick.lease) {
            return Err(StoreError::Purged);
        }
        Ok(Claimed {
            lease: pick.lease,
            delivery: self.dated(pick.delivery),
            event,
            frozen,
        })
    }

    /// Reads the events of what is claimed next, so that not every claim has to wait for the disk.
    fn look_ahead(&self, target: &TargetName) {
        let now = self.due_now();
        let next = self.state().without_event(target, now, AHEAD);
        for (id, event, at) in next {
            // what cannot be read is told when it is claimed
            if let Ok(event) = self.shared_event(event, at) {
                self.state().keep_event(id, at, event);
            }
        }
    }

    /// An event, shared with whoever has it.
    fn shared_event(&self, id: EventId, at: Place) -> Result<Arc<Event>, StoreError> {
        if let Some(event) = locked(&self.read).get(&id).and_then(Weak::upgrade) {
            return Ok(event);
        }
        let event = Arc::new(self.read_event(at)?);
        let mut read = locked(&self.read);
        if read.len() >= MOST_READ {
            read.retain(|_, event| event.strong_count() > 0);
        }
        if read.len() < MOST_READ {
            read.insert(id, Arc::downgrade(&event));
        }
        Ok(event)
    }

    /// The event in the record at this place.
    pub(super) fn read_event(&self, at: Place) -> Result<Event, StoreError> {
        match self.read_content(at)? {
            Content::Accepted(it) => Ok(Event::from_stored(it.event.into())),
            Content::Carried(it) => Ok(Event::from_stored(it.event.into())),
            Content::Purged(it) => Ok(Event::from_stored(it.remains.event.into())),
            _ => Err(StoreError::Damaged("no event where one was".to_owned())),
        }
    }

    /// The frozen body of a delivery in the record at this place.
    pub(super) fn read_frozen(&self, at: Place, id: DeliveryId) -> Result<Bytes, StoreError> {
        let frozen = match self.read_content(at)? {
            Content::Attempted(it) => it.frozen,
            Content::Carried(it) => {
                let mut all = it.deliveries.into_iter();
                let found = all.find(|one| one.delivery.id == *id.as_bytes());
                found.and_then(|one| one.frozen)
            }
            _ => None,
        };
        let missing = || StoreError::Damaged("no frozen body where one was".to_owned());
        Ok(frozen.ok_or_else(missing)?.0)
    }

    /// What the record at this place says.
    pub(super) fn read_content(&self, at: Place) -> Result<Content, StoreError> {
        let damaged = |error: JournalError| StoreError::Damaged(error.to_string());
        let record = self.journal.read(at.into()).map_err(damaged)?;
        Content::decode(&record).map_err(|error| StoreError::Damaged(error.to_string()))
    }

    pub(super) fn release(&self, lease: Lease) -> Settled {
        self.give_back(lease, |_| ())
    }

    fn hold_back(&self, lease: Lease, error: &StoreError) {
        let delivery = lease.delivery;
        let until = self.due_now().saturating_add(HOLD_BACK);
        if self.give_back(lease, |held| *held = Some(until)) == Settled::Recorded {
            tracing::error!(%delivery, %error, "a delivery cannot be tried, its event cannot be read");
        }
    }

    fn is_leased(&self, lease: Lease) -> bool {
        let state = self.state();
        let entry = state.entries.get(&lease.delivery);
        entry.is_some_and(|entry| entry.lease == Some(lease.token))
    }

    fn give_back(&self, lease: Lease, hold: impl FnOnce(&mut Option<i64>)) -> Settled {
        let id = lease.delivery;
        let mut state = self.state();
        match state.entries.get_mut(&id) {
            Some(entry) if entry.lease == Some(lease.token) => {
                entry.lease = None;
                hold(&mut entry.held_until);
                let target = entry.row.target.clone();
                state.arrange(id);
                state.notify(&target);
                Settled::Recorded
            }
            _ => Settled::Fenced,
        }
    }
}

impl Pick {
    fn is_in_memory(&self) -> bool {
        self.event.is_some() && (self.body.is_some() || self.frozen_at.is_none())
    }
}

/// Gives out a delivery that is ready.
fn take(state: &mut Overlay, id: DeliveryId) -> Option<Pick> {
    let token = state.token();
    let event = state.take_event(id);
    let entry = state.entries.get_mut(&id)?;
    entry.lease = Some(token);
    entry.held_until = None;
    let pick = Pick {
        lease: Lease {
            delivery: id,
            token,
        },
        delivery: entry.row.delivery(id),
        event_at: entry.row.event_at,
        event,
        body: entry.body.clone(),
        frozen_at: entry.row.frozen,
    };
    state.arrange(id);
    Some(pick)
}

/// When the next delivery of a target is due, as far as is known; what is held is not.
fn earliest(state: &mut Overlay, target: &TargetName) -> Option<i64> {
    let lane = state.lane(target);
    let ready = lane.ready.first().map(|key| key.0);
    let next = lane.next.map(|key| key.0);
    let first = match (ready, next) {
        (Some(ready), Some(next)) => Some(ready.min(next)),
        (ready, next) => ready.or(next),
    };
    first.filter(|due| *due < HELD)
}
