//! What a record of the journal changes in the index: the record without its bodies, and where it is.

use super::super::journal::Position;
use super::super::record::{
    Carried, Content, Moved, Operator, StoredAttempt, StoredDelivery, StoredEvent, StoredKey,
    StoredMark, StoredState,
};
use super::rows::{
    AuditRow, DeliveryRow, IndexedEvent, KeyRow, LastRow, PauseRow, Place, PlanRow, ReplayRow,
};
use crate::id::{DeliveryId, EventId, TargetName};

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
    Moved(Step),
    /// An event has new deliveries. Where the event is, only who knows it can say.
    Added {
        /// The event.
        event: EventId,
        /// They.
        deliveries: Vec<(DeliveryId, DeliveryRow)>,
    },
    /// An event was written anew; what is not in it any more is gone.
    Carried(Placed),
    /// An operator did something.
    Audited(AuditRow),
    /// A target was paused or resumed.
    Paused(TargetName, Option<PauseRow>),
    /// A replay stands like this.
    Replayed(ReplayRow),
    /// This configuration came into force.
    Planned(PlanRow),
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

/// How a delivery moved on.
#[derive(Debug, Clone)]
pub struct Step {
    /// To what.
    pub moved: Moved,
    /// The attempt, where the record is that of one.
    pub attempt: Option<LastRow>,
    /// Whether the record holds the frozen body.
    pub frozen: bool,
    /// By what it was taken up again, if it was.
    pub mark: Option<Box<StoredMark>>,
    /// Whether its frozen body counts no more.
    pub anew: bool,
}

impl Step {
    /// A move and nothing else.
    #[must_use]
    pub fn plain(moved: Moved) -> Self {
        Self {
            moved,
            attempt: None,
            frozen: false,
            mark: None,
            anew: false,
        }
    }
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
        deliveries: impl Iterator<Item = (&'a StoredDelivery, bool, &'a [StoredAttempt])>,
        key: Option<StoredKey>,
        at: Place,
    ) -> Self {
        let id = EventId::from_bytes(event.id);
        let deliveries: Vec<_> = deliveries
            .map(|(delivery, frozen, log)| {
                let mut row = DeliveryRow::new(delivery, id, at);
                row.frozen = frozen.then_some(at);
                if let Some(last) = log.last() {
                    row.logged(at);
                    row.last = Some(last.into());
                }
                let succeeded = log.iter().any(|one| LastRow::from(one).is_success());
                row.had_success |= succeeded || matches!(row.state, StoredState::Delivered(_));
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
            deliveries.map(|one| (&one.delivery, one.frozen.is_some(), one.log.as_slice()));
        let mut placed = Self::new(&carried.event, deliveries, carried.key, at);
        placed.event.added = carried.added;
        placed
    }

    /// Sets place and number of the record, once they are known.
    pub fn place(&mut self, at: Place, sequence: u64) {
        self.event.at = at;
        rank(&mut self.deliveries, sequence);
        for (_, row) in &mut self.deliveries {
            row.event_at = at;
            row.frozen = row.frozen.map(|_| at);
            row.log.iter_mut().for_each(|logged| *logged = at);
        }
    }
}

/// Gives deliveries that are new their place in their lines.
fn rank(deliveries: &mut [(DeliveryId, DeliveryRow)], sequence: u64) {
    for (_, row) in deliveries {
        if let Some(order) = &mut row.order
            && order.rank == 0
        {
            order.rank = sequence;
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
                let deliveries = it.deliveries.iter().map(|one| (one, false, &[][..]));
                Self::Accepted {
                    at: it.at,
                    placed: Placed::new(&it.event, deliveries, it.key, at),
                }
            }
            Content::Attempted(it) => Self::Moved(Step {
                attempt: Some((&it.attempt).into()),
                frozen: it.frozen.is_some(),
                ..Step::plain(it.moved.clone())
            }),
            Content::Revived(it) => Self::Moved(Step {
                mark: it.mark.map(Box::new),
                anew: it.anew,
                ..Step::plain(it.moved.clone())
            }),
            Content::Discarded(moved) => Self::Moved(Step::plain(moved.clone())),
            Content::Added(it) => {
                let event = EventId::from_bytes(it.event);
                let row = |one: &StoredDelivery| {
                    let id = DeliveryId::from_bytes(one.id);
                    (id, DeliveryRow::new(one, event, at))
                };
                Self::Added {
                    event,
                    deliveries: it.deliveries.iter().map(row).collect(),
                }
            }
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
            Content::Operator(Operator::Pause(pause)) => {
                let row = PauseRow {
                    at,
                    pause: pause.clone(),
                };
                Self::Paused(pause.target.clone(), Some(row))
            }
            Content::Operator(Operator::Unpause(target)) => Self::Paused(target.clone(), None),
            Content::Operator(Operator::Replay(replay)) => Self::Replayed(ReplayRow {
                at,
                replay: replay.clone(),
            }),
            Content::Operator(Operator::Plan(plan)) => Self::Planned(PlanRow { at, plan: *plan }),
        }
    }

    /// Sets place and number of the record, once they are known.
    pub fn place(&mut self, at: Place, sequence: u64) {
        match self {
            Self::Accepted { placed, .. } | Self::Carried(placed) | Self::Purged { placed, .. } => {
                placed.place(at, sequence)
            }
            Self::Added { deliveries, .. } => rank(deliveries, sequence),
            Self::Audited(row) => row.at = at,
            Self::Paused(_, row) => {
                if let Some(row) = row {
                    row.at = at;
                }
            }
            Self::Replayed(row) => row.at = at,
            Self::Planned(row) => row.at = at,
            Self::Moved(_) | Self::Scrubbed(_) => {}
        }
    }

    /// Memory that it takes, roughly; what bounds the records that are not folded yet.
    #[must_use]
    pub fn weight(&self) -> usize {
        /// A change without deliveries, and what each delivery adds.
        const BASE: usize = 400;
        const EACH: usize = 600;
        match self {
            Self::Moved(_) | Self::Scrubbed(_) | Self::Paused(..) | Self::Planned(_) => BASE,
            Self::Replayed(row) => {
                BASE.saturating_add(usize::try_from(row.replay.size()).unwrap_or(BASE))
            }
            Self::Added { deliveries, .. } => {
                BASE.saturating_add(deliveries.len().saturating_mul(EACH))
            }
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
pub fn moved_row(row: &DeliveryRow, step: &Step, at: Place) -> Option<DeliveryRow> {
    let moved = &step.moved;
    if moved.revision <= row.revision {
        return None;
    }
    let mut row = row.clone();
    row.revision = moved.revision;
    row.state = moved.state;
    row.attempts = moved.attempts;
    row.started_at = moved.started_at;
    if let Some(last) = step.attempt {
        row.logged(at);
        row.attempted(last);
    }
    if step.frozen {
        row.frozen = Some(at);
    }
    if let Some(mark) = &step.mark {
        row.mark = Some(mark.clone());
    }
    if step.anew {
        row.frozen = None;
    }
    Some(row)
}
