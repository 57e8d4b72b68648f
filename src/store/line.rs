//! Deliveries to one target with one order key, as far as they are in memory: which of them is the head, the only one
//! that may be given out. Plain state; [`super::overlay`] keeps it.
//!
//! Invariant: whatever holds up others is in `known`, or stands in the index at or after `beyond`. So the head
//! is known if none can stand in the index before the first in memory; otherwise the index is asked from `beyond` on, by
//! whoever claims next. However many stand in line, only the head has to be in memory.

use std::collections::BTreeSet;

use crate::id::DeliveryId;

/// A place in a line: the number that the event was admitted by, and the delivery. One event can have several deliveries in a
/// line, by several routes.
pub type LinePlace = (u64, DeliveryId);

/// Where every line begins.
pub const FIRST: LinePlace = (0, DeliveryId::from_bytes([0; 16]));

/// A line of deliveries.
#[derive(Debug)]
pub struct Line {
    /// Those in memory that hold up the ones behind them.
    known: BTreeSet<LinePlace>,
    /// Those in memory that hold up nobody any more, though the index may say so. Until it does not, it does not list the one
    /// behind them as due.
    over: BTreeSet<LinePlace>,
    /// From this place on the index may hold others; `None`: it holds none.
    beyond: Option<LinePlace>,
    /// The one that is given out. Nothing else is, even if it is not the head any more.
    claimed: Option<DeliveryId>,
}

/// Who is first in a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    /// This one.
    Known(DeliveryId),
    /// The index knows, from this place on.
    Ask(LinePlace),
    /// Nobody.
    Nobody,
}

impl Default for Line {
    /// A line of which nothing is known.
    fn default() -> Self {
        Self {
            known: BTreeSet::new(),
            over: BTreeSet::new(),
            beyond: Some(FIRST),
            claimed: None,
        }
    }
}

impl Line {
    /// Who is first.
    pub fn head(&self) -> Head {
        match (self.known.first(), self.beyond) {
            (Some(first), beyond) if beyond.is_none_or(|beyond| *first < beyond) => {
                Head::Known(first.1)
            }
            (_, Some(beyond)) => Head::Ask(beyond),
            (_, None) => Head::Nobody,
        }
    }

    /// Who may be given out, as far as the line is concerned.
    pub fn may_go(&self) -> Option<DeliveryId> {
        match self.head() {
            Head::Known(id) if self.claimed.is_none() => Some(id),
            _ => None,
        }
    }

    /// A delivery stands like this now.
    pub fn note(&mut self, place: LinePlace, holds_up: bool, claimed: bool) {
        if holds_up {
            self.known.insert(place);
            self.over.remove(&place);
        } else {
            self.known.remove(&place);
            self.over.insert(place);
        }
        if claimed {
            self.claimed = Some(place.1);
        } else if self.claimed == Some(place.1) {
            self.claimed = None;
        }
    }

    /// The index was asked from `from` on, and this is the first that it has and that is not done meanwhile.
    pub fn asked(&mut self, from: LinePlace, found: Option<LinePlace>) {
        if self.beyond == Some(from) {
            self.beyond = found.map(behind);
        }
    }

    /// A delivery is not in memory any more; the index says how it stands.
    pub fn forget(&mut self, place: LinePlace) {
        self.over.remove(&place);
        if self.known.remove(&place) {
            self.beyond = Some(self.beyond.map_or(place, |beyond| beyond.min(place)));
        }
    }

    /// Whether nothing of it is in memory.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty() && self.over.is_empty() && self.claimed.is_none()
    }
}

/// The first place behind this one.
fn behind((rank, id): LinePlace) -> LinePlace {
    match u128::from_be_bytes(*id.as_bytes()).checked_add(1) {
        Some(next) => (rank, DeliveryId::from_bytes(next.to_be_bytes())),
        None => (rank.saturating_add(1), FIRST.1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> DeliveryId {
        DeliveryId::from_bytes([n; 16])
    }

    fn at(n: u8) -> LinePlace {
        (u64::from(n), id(n))
    }

    #[test]
    fn the_head_is_known_only_where_the_index_has_none_before_it() {
        let mut line = Line::default();
        assert_eq!(line.head(), Head::Ask(FIRST));
        line.note(at(5), true, false);
        assert_eq!(line.head(), Head::Ask(FIRST), "one may stand before it");
        line.asked(FIRST, None);
        assert_eq!(line.head(), Head::Known(id(5)));
        line.note(at(7), true, false);
        line.note(at(5), false, false);
        assert_eq!(line.head(), Head::Known(id(7)));
        line.note(at(7), false, false);
        assert_eq!(line.head(), Head::Nobody);
        assert!(!line.is_empty(), "the index may not know yet");
        line.forget(at(5));
        line.forget(at(7));
        assert!(line.is_empty());
    }

    #[test]
    fn what_is_forgotten_is_asked_for_again() {
        let mut line = Line::default();
        line.asked(FIRST, None);
        line.note(at(5), true, false);
        line.note(at(6), true, false);
        line.forget(at(6));
        assert_eq!(line.head(), Head::Known(id(5)));
        line.note(at(5), false, false);
        assert_eq!(line.head(), Head::Ask(at(6)));
        line.note(at(6), true, false);
        line.asked(at(6), Some(at(6)));
        assert_eq!(line.head(), Head::Known(id(6)));
        line.forget(at(6));
        assert_eq!(line.head(), Head::Ask(at(6)));
        // an answer to an older question says nothing
        line.asked(at(9), None);
        assert_eq!(line.head(), Head::Ask(at(6)));
    }

    #[test]
    fn one_at_a_time_also_where_an_earlier_one_comes_back() {
        let mut line = Line::default();
        line.asked(FIRST, None);
        line.note(at(5), true, false);
        assert_eq!(line.may_go(), Some(id(5)));
        line.note(at(5), true, true);
        assert_eq!(line.may_go(), None);
        // revived by an operator
        line.note(at(2), true, false);
        assert_eq!((line.head(), line.may_go()), (Head::Known(id(2)), None));
        line.note(at(5), false, false);
        assert_eq!(line.may_go(), Some(id(2)));
    }
    #[test]
    fn several_of_one_event_stand_one_behind_another() {
        let mut line = Line::default();
        let places = [(5, id(1)), (5, id(2)), (5, id(255))];
        line.asked(FIRST, Some(places[0]));
        for place in places {
            line.note(place, true, false);
        }
        assert_eq!(line.head(), Head::Known(id(1)));
        line.note(places[0], false, false);
        let next = line.head();
        let Head::Ask(from) = next else {
            panic!("the index may hold more: {next:?}");
        };
        assert!(places[0] < from && from < places[1]);
        line.asked(from, Some(places[2]));
        assert_eq!(line.head(), Head::Known(id(2)));
        line.note(places[1], false, false);
        assert_eq!(line.head(), Head::Known(id(255)));
        assert_eq!(behind(places[2]), (6, FIRST.1));
    }
}
