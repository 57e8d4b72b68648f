//! What goes once the index holds it: entries that say nothing more, and those past the window of their target.

use super::lanes::line_is_empty;
use super::{Entry, KeyEntry, Overlay};
use crate::id::{DeliveryId, EventId, TargetName};
use crate::order::OrderKey;
use crate::store::index::change::{Change, Placed, What};
use crate::store::index::rows::{DeliveryRow, Place};
use crate::store::index::stage::Promoted;
use crate::store::line::{Head, Line};
use crate::store::record::HELD;

impl Overlay {
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
