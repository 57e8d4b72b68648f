//! Deliveries to one target with one order key, as far as they are in memory: which of them is the head, the only one
//! that may be given out. Plain state; [`super::overlay`] keeps it.
//!
//! Invariant: whatever holds up others is in `known`, or stands in the index at or after `beyond`. So the head
//! is known if none can stand in the index before the first in memory; otherwise the index is asked from `beyond` on, by
//! whoever claims next. However many stand in line, only the head has to be in memory.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::DeliveryId;

/// A line of deliveries.
#[derive(Debug)]
pub struct Line {
    /// Those in memory that hold up the ones behind them, by rank.
    known: BTreeMap<u64, DeliveryId>,
    /// Ranks of the others in memory: the index may not know yet that they hold up none.
    passed: BTreeSet<u64>,
    /// From this rank on the index may hold others; `None`: it holds none.
    beyond: Option<u64>,
    /// The one that is given out. Nothing else is, even if it is not the head any more.
    claimed: Option<DeliveryId>,
}

/// Who is first in a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    /// This one.
    Known(DeliveryId),
    /// The index knows, from this rank on.
    Ask(u64),
    /// Nobody.
    Nobody,
}

impl Default for Line {
    /// A line of which nothing is known.
    fn default() -> Self {
        Self {
            known: BTreeMap::new(),
            passed: BTreeSet::new(),
            beyond: Some(0),
            claimed: None,
        }
    }
}

impl Line {
    /// Who is first.
    pub fn head(&self) -> Head {
        match (self.known.first_key_value(), self.beyond) {
            (Some((rank, id)), beyond) if beyond.is_none_or(|beyond| *rank < beyond) => {
                Head::Known(*id)
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
    pub fn note(&mut self, rank: u64, id: DeliveryId, holds_up: bool, claimed: bool) {
        if holds_up {
            self.passed.remove(&rank);
            self.known.insert(rank, id);
        } else {
            self.known.remove(&rank);
            self.passed.insert(rank);
        }
        if claimed {
            self.claimed = Some(id);
        } else if self.claimed == Some(id) {
            self.claimed = None;
        }
    }

    /// The index was asked from `from` on, and this is the first that it has and that is not done meanwhile.
    pub fn asked(&mut self, from: u64, found: Option<u64>) {
        if self.beyond == Some(from) {
            self.beyond = found.map(|rank| rank.saturating_add(1));
        }
    }

    /// A delivery is not in memory any more; the index says how it stands.
    pub fn forget(&mut self, rank: u64) {
        self.passed.remove(&rank);
        if self.known.remove(&rank).is_some() {
            self.beyond = Some(self.beyond.map_or(rank, |beyond| beyond.min(rank)));
        }
    }

    /// Whether nothing of it is in memory, so that the index says all there is to say.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty() && self.passed.is_empty() && self.claimed.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> DeliveryId {
        DeliveryId::from_bytes([n; 16])
    }

    #[test]
    fn the_head_is_known_only_where_the_index_has_none_before_it() {
        let mut line = Line::default();
        assert_eq!(line.head(), Head::Ask(0));
        line.note(5, id(5), true, false);
        assert_eq!(line.head(), Head::Ask(0), "one may stand before it");
        line.asked(0, None);
        assert_eq!(line.head(), Head::Known(id(5)));
        line.note(7, id(7), true, false);
        line.note(5, id(5), false, false);
        assert_eq!(line.head(), Head::Known(id(7)));
        line.note(7, id(7), false, false);
        assert_eq!(line.head(), Head::Nobody);
        assert!(!line.is_empty(), "the index has them yet");
        line.forget(5);
        line.forget(7);
        assert!(line.is_empty());
    }

    #[test]
    fn what_is_forgotten_is_asked_for_again() {
        let mut line = Line::default();
        line.asked(0, None);
        line.note(5, id(5), true, false);
        line.note(6, id(6), true, false);
        line.forget(6);
        assert_eq!(line.head(), Head::Known(id(5)));
        line.note(5, id(5), false, false);
        assert_eq!(line.head(), Head::Ask(6));
        line.note(6, id(6), true, false);
        line.asked(6, Some(6));
        assert_eq!(line.head(), Head::Known(id(6)));
        line.forget(6);
        assert_eq!(line.head(), Head::Ask(6));
        // an answer to an older question says nothing
        line.asked(9, None);
        assert_eq!(line.head(), Head::Ask(6));
    }

    #[test]
    fn one_at_a_time_also_where_an_earlier_one_comes_back() {
        let mut line = Line::default();
        line.asked(0, None);
        line.note(5, id(5), true, false);
        assert_eq!(line.may_go(), Some(id(5)));
        line.note(5, id(5), true, true);
        assert_eq!(line.may_go(), None);
        // revived by an operator
        line.note(2, id(2), true, false);
        assert_eq!((line.head(), line.may_go()), (Head::Known(id(2)), None));
        line.note(5, id(5), false, false);
        assert_eq!(line.may_go(), Some(id(2)));
    }
}
