//! Which deliveries of a target may be claimed, and which wait in a line behind another one.
//!
//! The invariants stand in the header above; here they are kept whenever an entry changes.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use tokio::sync::Notify;

use super::Overlay;
use crate::id::{DeliveryId, TargetName};
use crate::order::OrderKey;
use crate::store::index::DueKey;
use crate::store::index::rows::{DeliveryRow, TargetRow};
use crate::store::line::{Head, Line, LinePlace};
use crate::store::record::StoredOrder;

/// From where on a target's rows in the index are not in memory, at first: all of them.
fn from_start() -> DueKey {
    (i64::MIN, DeliveryId::from_bytes([0; 16]))
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
    pub(super) fn look_from(&mut self, key: DueKey) {
        self.next = Some(self.next.map_or(key, |next| next.min(key)));
    }

    fn line(&mut self, key: [u8; 16]) -> &mut Line {
        self.lines.entry(OrderKey::from_bytes(key)).or_default()
    }
}

impl Overlay {
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
}

/// Whether nothing of a line is in memory.
pub(super) fn line_is_empty(lane: &Lane, key: &OrderKey) -> bool {
    lane.lines.get(key).is_none_or(Line::is_empty)
}
