//! Purging: one event's data leaves the journal, a tombstone stays.
//!
//! First the tombstone is written and synced: from then on the event is purged, whatever happens, its open deliveries
//! are discarded and who had one claimed is fenced. Then every segment that holds data of it is written anew
//! with that emptied (see `journal::rewrite`), and at last it is recorded that this is done. A start that finds a
//! tombstone without that record finishes the work before the store is ready; so does another purge of the event.
//!
//! Not touched: parts of the journal that were damaged and set aside, indexes set aside, copies that were made of
//! the store. The index never holds bodies; a message id may stay in its file until sled reuses that part.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use tokio::sync::oneshot;

use super::index::change::{Change, What};
use super::index::rows::{DeliveryRow, IndexedEvent, Place};
use super::journal::{Appended, JournalError, Record};
use super::local::Inner;
use super::overlay::KeyEntry;
use super::reads::blocking;
use super::record::{
    self, Carried, CarriedDelivery, Content, Operator, Raw, StoredAttempt, StoredEvent, StoredKey,
    StoredReceipt, StoredState,
};
use super::{Purged, StoreError};
use crate::id::{DeliveryId, EventId};

/// Milliseconds within which the deliveries of an event are made after it.
const MADE_WITHIN: u64 = 60 * 1000;

/// How a tombstone ends: whether it is on disk.
type Buried = Result<(), StoreError>;

/// A delivery of the event with its attempts that are in no record yet.
type Snapshot = (DeliveryId, DeliveryRow, Vec<StoredAttempt>);

impl Inner {
    pub(super) async fn purge(self: &Arc<Self>, id: EventId) -> Result<Purged, StoreError> {
        let inner = Arc::clone(self);
        blocking(move || inner.purge_now(id)).await
    }

    fn purge_now(self: &Arc<Self>, id: EventId) -> Result<Purged, StoreError> {
        // no segment is written anew or let go by another meanwhile
        let _one = self.cleaning.lock().unwrap_or_else(PoisonError::into_inner);
        self.state().usable()?;
        let event = self.indexed_event(id)?;
        if let Some(at) = event.purged_at {
            let unfinished = self.state().unscrubbed.contains(&id);
            return Ok(Purged {
                at: record::time(at),
                discarded: 0,
                records: if unfinished { self.finish(id)? } else { 0 },
            });
        }
        // where the event came in, the journal has nothing of it before that
        let came_in = matches!(self.read_content(event.at), Ok(Content::Accepted(_)));
        let first = came_in.then_some(event.at.segment);
        let at = self.now();
        let (discarded, end) = self.bury(id, at)?;
        let stopped = |_| StoreError::Unavailable("stopped".to_owned());
        end.blocking_recv().map_err(stopped)??;
        // with the deliveries that it got meanwhile
        let event = self.indexed_event(id)?;
        let records = self.scrub(id, &event, first)?;
        Ok(Purged {
            at: record::time(at),
            discarded,
            records,
        })
    }

    /// Finishes a purge that was broken off; gives how many records were emptied. Nothing is cleaned meanwhile.
    pub(super) fn finish(self: &Arc<Self>, id: EventId) -> Result<u64, StoreError> {
        let event = self.indexed_event(id)?;
        self.scrub(id, &event, None)
    }

    /// Appends the tombstone; gives how many deliveries it discards, and what ends when it is on disk.
    fn bury(
        self: &Arc<Self>,
        id: EventId,
        now: i64,
    ) -> Result<(u64, oneshot::Receiver<Buried>), StoreError> {
        // from here to the append no other record of these deliveries gets into the journal
        let _order = self.order();
        let event = self.indexed_event(id)?;
        let key = self.live_key(id, &event, now)?;
        let snapshot = self.seize(id, &event)?;
        let mut discarded: u64 = 0;
        let mut deliveries = Vec::with_capacity(snapshot.len());
        for (id, mut row, fresh) in snapshot {
            if row.state.is_open() {
                discarded = discarded.saturating_add(1);
                row.state = StoredState::Discarded(now);
            }
            // of a higher revision also where nothing changes: what was refused before is not written any more
            row.revision = row.revision.saturating_add(1);
            deliveries.push(CarriedDelivery {
                delivery: row.stored(id),
                frozen: None,
                log: self.emptied_log(id, &row, fresh),
            });
        }
        let content = Content::Purged(record::Purged {
            at: now,
            scrubbed: false,
            remains: Carried {
                event: self.emptied_event(id, &event),
                deliveries,
                key,
                receipt: self.kept_receipt(&event),
                added: event.added,
            },
        });
        let nowhere = Place {
            segment: 0,
            offset: 0,
        };
        let what = What::new(&content, nowhere);
        let (answer, receiver) = oneshot::channel();
        self.state().burying.insert(id);
        let inner = Arc::clone(self);
        self.append(content, true, move |result| {
            // nobody may be waiting any more; the tombstone counts all the same
            let _ = answer.send(inner.buried(what, result));
        });
        Ok((discarded, receiver))
    }

    /// The dedupe key that still stands for the event.
    fn live_key(
        &self,
        id: EventId,
        event: &IndexedEvent,
        now: i64,
    ) -> Result<Option<StoredKey>, StoreError> {
        let Some(key) = event.key else {
            return Ok(None);
        };
        let gate = self.gate();
        let folded = gate.index()?.key(&key)?;
        let state = self.state();
        let row = match state.keys.get(&key) {
            Some(KeyEntry::Live(row)) => Some(*row),
            Some(KeyEntry::Waiting(..)) => None,
            None => folded,
        };
        let live = row.filter(|row| row.event == id && row.expires > now);
        Ok(live.map(|row| StoredKey {
            key,
            body: row.body,
            expires: row.expires,
        }))
    }

    /// Takes all deliveries of the event into memory and out of everybody's hands, or none.
    fn seize(&self, id: EventId, event: &IndexedEvent) -> Result<Vec<Snapshot>, StoreError> {
        let gate = self.gate();
        let index = gate.index()?;
        let mut rows = Vec::new();
        for id in &event.deliveries {
            rows.push((*id, index.delivery(*id)?));
        }
        let mut state = self.state();
        state.usable()?;
        for (id, row) in rows {
            if let Some(row) = row {
                state.load(id, row);
            }
        }
        let ids = event.deliveries.iter();
        let busy = ids
            .filter_map(|id| state.entries.get(id))
            .any(|entry| entry.changing);
        if busy || state.is_adding(id) {
            event.deliveries.iter().for_each(|id| state.retire(*id));
            return Err(StoreError::Unavailable(
                "a change of one of its deliveries is being written".to_owned(),
            ));
        }
        let mut snapshot = Vec::with_capacity(event.deliveries.len());
        for id in &event.deliveries {
            state.take_event(*id);
            if let Some(entry) = state.entries.get_mut(id) {
                entry.changing = true;
                entry.lease = None;
                entry.writing = entry.writing.saturating_add(1);
                let fresh = entry.fresh.iter().map(|(_, attempt)| attempt.into());
                snapshot.push((*id, entry.row.clone(), fresh.collect()));
                state.arrange(*id);
            }
        }
        Ok(snapshot)
    }

    /// A delivery's attempts without their texts; those that cannot be read are left out.
    fn emptied_log(
        &self,
        id: DeliveryId,
        row: &DeliveryRow,
        fresh: Vec<StoredAttempt>,
    ) -> Vec<StoredAttempt> {
        let mut log = self.read_log(id, &row.log).unwrap_or_else(|error| {
            tracing::warn!(delivery = %id, %error, "the attempts of what is purged cannot be read");
            Vec::new()
        });
        log.extend(fresh);
        log.iter_mut().for_each(StoredAttempt::clear);
        log
    }

    /// How the event was verified; nothing of that is the sender's.
    fn kept_receipt(&self, event: &IndexedEvent) -> Option<StoredReceipt> {
        self.read_receipt(event.at).unwrap_or_else(|error| {
            tracing::warn!(%error, "how the event that is purged was verified cannot be read");
            None
        })
    }

    fn emptied_event(&self, id: EventId, event: &IndexedEvent) -> StoredEvent {
        let whole = event.cut.then(|| self.read_event(event.at).ok()).flatten();
        let event_type = match &whole {
            Some(whole) => whole.parts().event_type.clone(),
            None => event.event_type.clone(),
        };
        StoredEvent {
            id: *id.as_bytes(),
            source: event.source.clone(),
            message_id: None,
            event_type,
            headers: Vec::new(),
            received_at: event.received_at,
            hops: 0,
            body: Raw(bytes::Bytes::new()),
        }
    }

    /// The tombstone is on disk, or is not.
    fn buried(&self, mut what: What, result: Result<Appended, JournalError>) -> Buried {
        let mut state = self.state();
        let What::Purged { placed, .. } = &mut what else {
            return Ok(());
        };
        state.burying.remove(&placed.id);
        let appended = match result {
            Ok(appended) => appended,
            Err(error) => {
                for (id, row) in &placed.deliveries {
                    if let Some(entry) = state.entries.get_mut(id) {
                        entry.changing = false;
                        entry.writing = entry.writing.saturating_sub(1);
                    }
                    state.arrange(*id);
                    state.notify(&row.target);
                    state.retire(*id);
                }
                return Err(error.into());
            }
        };
        self.space.written(0, appended.bytes);
        let at = Place::from(appended.position);
        placed.place(at, appended.sequence);
        state.purged(placed);
        state.queue(Change {
            at,
            sequence: appended.sequence,
            what,
        });
        drop(state);
        self.work.notify_all();
        Ok(())
    }

    /// Empties the records of an event from the segment `first` on, and records that this is done.
    fn scrub(
        self: &Arc<Self>,
        id: EventId,
        event: &IndexedEvent,
        first: Option<u64>,
    ) -> Result<u64, StoreError> {
        let deliveries: BTreeSet<DeliveryId> = event.deliveries.iter().copied().collect();
        let mut records: u64 = 0;
        for (segment, _) in self.journal.segments() {
            if first.is_some_and(|first| segment < first) {
                continue;
            }
            if self.stopping.load(Ordering::SeqCst) {
                return Err(StoreError::Unavailable("stopped".to_owned()));
            }
            let unread = Cell::new(None);
            let mut edit = |record: &Record| {
                // a record that says nothing to us is passed over by every start
                let content = Content::decode(record).ok()?;
                // its request was answered 503 and came again
                let is_twin = |twin, key| {
                    Some(key) == event.key && is_unknown(self.indexed_event(twin), &unread)
                };
                // cleaning forgets those that are done, while the event is carried on for others and their attempts
                // stand in later segments
                let is_forgotten = |delivery| {
                    (event.added || is_near(id, delivery))
                        && is_unknown(self.delivery_row(delivery), &unread)
                };
                let is_ours = |delivery| {
                    deliveries.contains(&delivery) || first.is_none() && is_forgotten(delivery)
                };
                let emptied = content.without(id, is_twin, is_ours)?;
                emptied.encode_as(record.version).ok()
            };
            let emptied = self.journal.rewrite(segment, &mut edit)?;
            if let Some(error) = unread.take() {
                return Err(error);
            }
            records = records.saturating_add(emptied);
        }
        self.journal.sync_names()?;
        self.scrubbed(id)?;
        Ok(records)
    }

    fn scrubbed(self: &Arc<Self>, id: EventId) -> Result<(), StoreError> {
        let (answer, end) = oneshot::channel();
        let inner = Arc::clone(self);
        let content = Content::Operator(Operator::Scrubbed(*id.as_bytes()));
        self.append(content, true, move |result: Result<Appended, _>| {
            let ended = result.map(|appended| {
                inner.space.written(0, appended.bytes);
                let mut state = inner.state();
                state.unscrubbed.remove(&id);
                state.queue(Change {
                    at: appended.position.into(),
                    sequence: appended.sequence,
                    what: What::Scrubbed(id),
                });
                drop(state);
                inner.work.notify_all();
            });
            let _ = answer.send(ended);
        });
        let stopped = |_| StoreError::Unavailable("stopped".to_owned());
        Ok(end.blocking_recv().map_err(stopped)??)
    }
}

/// Whether the store says that there is no such thing; that it cannot say is noted.
fn is_unknown<T>(found: Result<T, StoreError>, unread: &Cell<Option<StoreError>>) -> bool {
    match found {
        Ok(_) => false,
        Err(StoreError::NotFound) => true,
        Err(error) => {
            unread.set(Some(error));
            false
        }
    }
}

/// Whether the delivery's id was made when the event's deliveries were.
fn is_near(event: EventId, delivery: DeliveryId) -> bool {
    let made = |id: &[u8; 16]| {
        id.iter()
            .take(6)
            .fold(0, |ms, byte| ms << 8 | u64::from(*byte))
    };
    made(event.as_bytes()).abs_diff(made(delivery.as_bytes())) <= MADE_WITHIN
}
