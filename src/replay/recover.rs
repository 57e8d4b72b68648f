//! What a replay had taken up when the process ended, beyond what it had kept of its progress. Pure.
//!
//! Promise: whatever was taken up bears the mark of its replay, on disk before it counts; so what is behind the cursor and
//! bears it is counted once and not taken up again.

use std::collections::{BTreeMap, BTreeSet};

use super::tally::Fate;
use crate::delivery::Delivery;
use crate::id::{DeliveryId, EventId};
use crate::store::Cursor;

/// What was taken up behind the cursor.
#[derive(Debug, Default)]
pub(super) struct Already {
    /// Deliveries that are pending again, or were since.
    revived: BTreeSet<DeliveryId>,
    /// Deliveries in whose place another one was made.
    replaced: BTreeSet<DeliveryId>,
    /// Events that were put through routes, with how many deliveries came of it.
    rerouted: BTreeMap<EventId, u64>,
}

impl Already {
    /// Looks at a delivery that bears the mark of the replay.
    pub(super) fn add(&mut self, delivery: &Delivery, by_event: bool, cursor: Option<Cursor>) {
        let place = delivery.mark.and_then(|mark| mark.of);
        if by_event {
            let behind = match cursor {
                Some(Cursor::Event(past)) => delivery.event > past,
                _ => true,
            };
            if behind {
                let count = self.rerouted.entry(delivery.event).or_default();
                *count = count.saturating_add(1);
            }
            return;
        }
        let behind = |id: DeliveryId| match cursor {
            Some(Cursor::Delivery(past)) => id > past,
            _ => true,
        };
        match place {
            Some(of) if behind(of) => {
                self.replaced.insert(of);
            }
            None if behind(delivery.id) => {
                self.revived.insert(delivery.id);
            }
            _ => {}
        }
    }

    /// What came of each of them.
    pub(super) fn fates(&self) -> impl Iterator<Item = Fate> {
        let revived = self.revived.iter().map(|_| Fate::Revived);
        let replaced = self.replaced.iter().map(|_| Fate::Created(1));
        let rerouted = self.rerouted.values().map(|count| Fate::Created(*count));
        revived.chain(replaced).chain(rerouted)
    }

    /// Whether this one was taken up.
    pub(super) fn has(&self, place: Cursor) -> bool {
        match place {
            Cursor::Delivery(id) => self.revived.contains(&id) || self.replaced.contains(&id),
            Cursor::Event(id) => self.rerouted.contains_key(&id),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::delivery::{ReplayMark, ReplayMode, State};
    use crate::id::ReplayId;

    fn id(n: u8) -> DeliveryId {
        DeliveryId::from_bytes([n; 16])
    }

    fn event(n: u8) -> EventId {
        EventId::from_bytes([n; 16])
    }

    fn delivery(own: u8, of: Option<u8>) -> Delivery {
        let now = Timestamp::UNIX_EPOCH;
        Delivery {
            id: id(own),
            event: event(own / 10),
            route: "r".parse().unwrap(),
            target: "t".parse().unwrap(),
            state: State::Pending { due: now },
            attempts: 0,
            started_at: now,
            order: None,
            mark: Some(ReplayMark {
                job: Some(ReplayId::generate()),
                mode: ReplayMode::Rerender,
                of: of.map(id),
            }),
        }
    }

    #[test]
    fn what_is_behind_the_cursor_is_counted_once() {
        let mut already = Already::default();
        let cursor = Some(Cursor::Delivery(id(20)));
        for (own, of) in [
            // before the cursor: it was counted
            (10, None),
            (20, None),
            (101, Some(15)),
            // behind it
            (30, None),
            (102, Some(40)),
        ] {
            already.add(&delivery(own, of), false, cursor);
        }
        let fates: Vec<Fate> = already.fates().collect();
        assert_eq!(fates, [Fate::Revived, Fate::Created(1)]);
        for (n, wanted) in [
            (10, false),
            (15, false),
            (30, true),
            (40, true),
            (50, false),
        ] {
            assert_eq!(already.has(Cursor::Delivery(id(n))), wanted, "{n}");
        }
    }

    #[test]
    fn events_are_counted_with_all_that_came_of_them() {
        let mut already = Already::default();
        let cursor = Some(Cursor::Event(event(1)));
        for (own, of) in [(15, None), (25, None), (26, Some(24)), (31, None)] {
            already.add(&delivery(own, of), true, cursor);
        }
        let fates: Vec<Fate> = already.fates().collect();
        assert_eq!(fates, [Fate::Created(2), Fate::Created(1)]);
        for (n, wanted) in [(1, false), (2, true), (3, true), (4, false)] {
            assert_eq!(already.has(Cursor::Event(event(n))), wanted, "{n}");
        }
    }
}
