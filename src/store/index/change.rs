//! What a record of the journal changes in the index: the record without its bodies, and where it is.

use super::super::journal::Position;
use super::super::record::{
    Carried, Content, Moved, Operator, StoredDelivery, StoredEvent, StoredKey,
};
use super::rows::{AuditRow, DeliveryRow, IndexedEvent, KeyRow, Place};
use crate::id::{DeliveryId, EventId};

/// One record, as the index takes it in.
#[derive(Debug, Clone)]
pub struct Change {
    /// Where the record is.
    pub at: Place,
    /// Its number.
    pub sequence: u64,
    /// What it changes.
    pub what: What,
}

/// What a record changes.
#[derive(Debug, Clone)]
pub enum What {
    /// An event came in.
    Accepted {
        /// When, by the store's clock.
        at: i64,
        /// The event and its deliveries.
        placed: Placed,
    },
    /// A delivery moved on.
    Moved {
        /// To what.
        moved: Moved,
        /// Whether the record is that of an attempt.
        attempt: bool,
        /// Whether the record holds the frozen body.
        frozen: bool,
    },
    /// An event was written anew; what is not in it any more is gone.
    Carried(Placed),
    /// An operator did something.
    Audited(AuditRow),
    /// An event's data was purged.
    Purged {
        /// What is left of it.
        placed: Placed,
        /// Whether its earlier records are emptied.
        scrubbed: bool,
    },
    /// The earlier records of a purged event are emptied.
    Scrubbed(EventId),
}

/// An event and its deliveries as a record places them.
#[derive(Debug, Clone)]
pub struct Placed {
    /// The event's id.
    pub id: EventId,
    /// The event; names all deliveries.
    pub event: IndexedEvent,
    /// Its deliveries.
    pub deliveries: Vec<(DeliveryId, DeliveryRow)>,
    /// Its dedupe key.
    pub key: Option<([u8; 32], KeyRow)>,
}

impl Placed {
    /// An event at this place.
    pub fn new<'a>(
        event: &StoredEvent,
        deliveries: impl Iterator<Item = (&'a StoredDelivery, bool, bool)>,
        key: Option<StoredKey>,
        at: Place,
    ) -> Self {
        let id = EventId::from_bytes(event.id);
        let deliveries: Vec<_> = deliveries
            .map(|(delivery, frozen, logged)| {
                let mut row = DeliveryRow::new(delivery, id, at);
                row.frozen = frozen.then_some(at);
                if logged {
                    row.logged(at);
                }
                (DeliveryId::from_bytes(delivery.id), row)
            })
            .collect();
        let ids = deliveries.iter().map(|(id, _)| *id).collect();
        Self {
            id,
            event: IndexedEvent::new(event, ids, key.map(|key| key.key), at),
            deliveries,
            key: key.map(|key| {
                let row = KeyRow {
                    event: id,
                    body: key.body,
                    expires: key.expires,
                };
                (key.key, row)
            }),
        }
    }

    fn carried(carried: &Carried, at: Place) -> Self {
        let deliveries = carried.deliveries.iter();
        let deliveries =
            deliveries.map(|one| (&one.delivery, one.frozen.is_some(), !one.log.is_empty()));
        Self::new(&carried.event, deliveries, carried.key, at)
    }

    /// Sets place and number of the record, once they are known.
    pub fn place(&mut self, at: Place, sequence: u64) {
        self.event.at = at;
        for (_, row) in &mut self.deliveries {
            row.event_at = at;
            if let Some(order) = &mut row.order
                && order.rank == 0
            {
                order.rank = sequence;
            }
            row.frozen = row.frozen.map(|_| at);
            row.log.iter_mut().for_each(|logged| *logged = at);
        }
    }
}

impl Change {
    /// What this record changes.
    #[must_use]
    pub fn new(content: &Content, at: Position, sequence: u64) -> Self {
        let at = at.into();
        let mut what = What::new(content, at);
        what.place(at, sequence);
        Self { at, sequence, what }
    }
}

impl What {
    /// What a record changes; its place and number are set by [`Self::place`].
    #[must_use]
    pub fn new(content: &Content, at: Place) -> Self {
        match content {
            Content::Accepted(it) => {
                let deliveries = it.deliveries.iter().map(|one| (one, false, false));
                Self::Accepted {
                    at: it.at,
                    placed: Placed::new(&it.event, deliveries, it.key, at),
                }
            }
            Content::Attempted(it) => Self::Moved {
                moved: it.moved.clone(),
                attempt: true,
                frozen: it.frozen.is_some(),
            },
            Content::Revived(moved) | Content::Discarded(moved) => Self::Moved {
                moved: moved.clone(),
                attempt: false,
                frozen: false,
            },
            Content::Carried(it) => Self::Carried(Placed::carried(it, at)),
            Content::Purged(it) => {
                let mut placed = Placed::carried(&it.remains, at);
                placed.event.purged_at = Some(it.at);
                for (_, row) in &mut placed.deliveries {
                    row.purged = true;
                }
                Self::Purged {
                    placed,
                    scrubbed: it.scrubbed,
                }
            }
            Content::Operator(Operator::Scrubbed(id)) => Self::Scrubbed(EventId::from_bytes(*id)),
            Content::Operator(Operator::Audit(audit)) => Self::Audited(AuditRow {
                at,
                audit: audit.clone(),
            }),
        }
    }

    /// Sets place and number of the record, once they are known.
    pub fn place(&mut self, at: Place, sequence: u64) {
        match self {
            Self::Accepted { placed, .. } | Self::Carried(placed) | Self::Purged { placed, .. } => {
                placed.place(at, sequence)
            }
            Self::Audited(row) => row.at = at,
            Self::Moved { .. } | Self::Scrubbed(_) => {}
        }
    }

    /// Memory that it takes, roughly; what bounds the records that are not folded yet.
    #[must_use]
    pub fn weight(&self) -> usize {
        /// A change without deliveries, and what each delivery adds.
        const BASE: usize = 400;
        const EACH: usize = 600;
        match self {
            Self::Moved { .. } | Self::Scrubbed(_) => BASE,
            Self::Audited(row) => {
                BASE.saturating_add(usize::try_from(row.audit.size()).unwrap_or(BASE))
            }
            Self::Accepted { placed, .. } | Self::Carried(placed) | Self::Purged { placed, .. } => {
                BASE.saturating_add(placed.deliveries.len().saturating_mul(EACH))
            }
        }
    }
}

/// What a delivery's row becomes by a move at this place; `None` if it was overtaken.
#[must_use]
pub fn moved_row(
    row: &DeliveryRow,
    moved: &Moved,
    attempt: bool,
    frozen: bool,
    at: Place,
) -> Option<DeliveryRow> {
    if moved.revision <= row.revision {
        return None;
    }
    let mut row = row.clone();
    row.revision = moved.revision;
    row.state = moved.state;
    row.attempts = moved.attempts;
    row.started_at = moved.started_at;
    if attempt {
        row.logged(at);
    }
    if frozen {
        row.frozen = Some(at);
    }
    Some(row)
}
