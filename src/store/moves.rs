//! What changes a delivery after its admission: settlements, and an operator's revive and discard. (Holding and
//! resuming are in `held`.)
//!
//! A settlement counts in memory at once and is on disk soon after. If the journal refuses its record, the
//! outcome stands in memory, the record is written again when the journal takes it (the fold thread sees to that),
//! and with many such outcomes nothing more is claimed. A crash before that repeats the attempt.
//! An operator's change counts once it is on disk; meanwhile the delivery is not given out and who had it is fenced.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::index::change::{Change, Step, What};
use super::index::rows::{LastRow, Place};
use super::journal::{Appended, Entry, JournalError};
use super::local::Inner;
use super::overlay::{Entry as Known, Phase};
use super::record::{self, Attempted, Content, Moved, Raw, Revived, StoredState};
use super::rules::{self, Wanted};
use super::{Lease, Revival, RevivedBody, Settled, Settlement, StoreError};
use crate::delivery::{Attempt, Delivery};
use crate::id::DeliveryId;

/// How an operator's change ends.
type Changed = Result<Delivery, StoreError>;

impl Inner {
    pub(super) fn settle(
        self: &Arc<Self>,
        lease: Lease,
        settlement: Settlement,
    ) -> Result<Settled, StoreError> {
        let id = lease.delivery;
        let now = self.now();
        let _order = self.order();
        let attempted = {
            let mut state = self.state();
            if state.phase == Phase::Closed {
                state.usable()?;
            }
            let entry = match state.entries.get_mut(&id) {
                Some(entry) if entry.lease == Some(lease.token) => entry,
                _ => return Ok(Settled::Fenced),
            };
            let next = rules::after(settlement.next, now, self.timeline.ahead());
            let moved = Moved {
                delivery: *id.as_bytes(),
                revision: entry.row.revision.saturating_add(1),
                state: next,
                attempts: entry.row.attempts.saturating_add(1),
                started_at: entry.row.started_at,
            };
            if entry.body.is_none() && entry.row.frozen.is_none() {
                entry.body = settlement.frozen;
            }
            entry.lease = None;
            entry.writing = entry.writing.saturating_add(1);
            let last = last_row(&settlement.attempt);
            entry.fresh.push((moved.revision, settlement.attempt));
            state.set_state(id, &moved);
            let Some(entry) = state.entries.get_mut(&id) else {
                return Ok(Settled::Fenced);
            };
            entry.row.attempted(last);
            let attempted = attempted(entry, moved);
            if matches!(next, StoredState::Pending(_)) {
                let target = entry.row.target.clone();
                state.notify(&target);
            }
            attempted
        };
        if let Some(attempted) = attempted {
            self.append_attempted(attempted);
        }
        Ok(Settled::Recorded)
    }

    fn append_attempted(self: &Arc<Self>, attempted: Attempted) {
        let step = Step {
            attempt: Some((&attempted.attempt).into()),
            frozen: attempted.frozen.is_some(),
            ..Step::plain(attempted.moved.clone())
        };
        self.append_move(Content::Attempted(attempted), step);
    }

    /// Writes what a delivery became, with nobody waiting; `writing` counts the record already.
    pub(super) fn append_move(self: &Arc<Self>, content: Content, step: Step) {
        let inner = Arc::clone(self);
        self.append(content, false, move |result| {
            inner.move_ended(step, result);
        });
    }

    fn move_ended(&self, step: Step, result: Result<Appended, JournalError>) {
        let (id, revision) = (
            DeliveryId::from_bytes(step.moved.delivery),
            step.moved.revision,
        );
        let is_attempt = step.attempt.is_some();
        let mut state = self.state();
        let appended = match result {
            Ok(appended) => appended,
            Err(error) => {
                let what = if is_attempt {
                    "an outcome"
                } else {
                    "that a delivery is held"
                };
                tracing::warn!(delivery = %id, %error, "{what} is not recorded yet");
                state.refused.push((id, revision));
                return;
            }
        };
        self.space.written(0, appended.bytes);
        let at = Place::from(appended.position);
        if let Some(entry) = state.entries.get_mut(&id) {
            entry.writing = entry.writing.saturating_sub(1);
            entry.unfolded = entry.unfolded.saturating_add(1);
            if is_attempt {
                note_attempt(entry, revision, step.frozen, at);
            }
        }
        let first = state.queue(Change {
            at,
            sequence: appended.sequence,
            what: What::Moved(step),
        });
        drop(state);
        if first {
            self.work.notify_all();
        }
    }

    /// Writes the records again that were refused, as far as nothing newer was written.
    pub(super) fn record_refused(self: &Arc<Self>) {
        let refused = {
            let mut state = self.state();
            if state.phase != Phase::Ready || self.journal.health().is_err() {
                return;
            }
            std::mem::take(&mut state.refused)
        };
        for (id, revision) in refused {
            let _order = self.order();
            let (again, moved) = {
                let mut state = self.state();
                let Some(entry) = state.entries.get_mut(&id) else {
                    continue;
                };
                if entry.changing {
                    state.refused.push((id, revision));
                    continue;
                }
                if entry.row.revision != revision {
                    entry.writing = entry.writing.saturating_sub(1);
                    entry.fresh.retain(|(fresh, _)| *fresh != revision);
                    continue;
                }
                (attempted(entry, current(entry, id)), current(entry, id))
            };
            match again {
                Some(again) => self.append_attempted(again),
                // no attempt has made it what it is: it is held
                None => self.append_held(moved),
            }
        }
    }

    pub(super) async fn revive_as(self: &Arc<Self>, id: DeliveryId, how: Revival) -> Changed {
        self.change(id, Wanted::Revive(how)).await
    }

    pub(super) async fn discard(self: &Arc<Self>, id: DeliveryId) -> Changed {
        self.change(id, Wanted::Discard).await
    }

    async fn change(self: &Arc<Self>, id: DeliveryId, wanted: Wanted) -> Changed {
        let stopped = |_| StoreError::Unavailable("stopped".to_owned());
        self.begin_change(id, wanted)?.await.map_err(stopped)?
    }

    /// Appends an operator's change; what it gives ends when that is on disk.
    pub(super) fn begin_change(
        self: &Arc<Self>,
        id: DeliveryId,
        wanted: Wanted,
    ) -> Result<oneshot::Receiver<Changed>, StoreError> {
        let now = self.now();
        let _order = self.order();
        let moved = {
            let gate = self.gate();
            let row = gate.index()?.delivery(id)?;
            let mut state = self.state();
            state.usable()?;
            if let Some(row) = row {
                state.load(id, row);
            }
            let cleaning = state.cleaning;
            let entry = state.entries.get_mut(&id).ok_or(StoreError::NotFound)?;
            match decide(entry, id, wanted, now, cleaning) {
                Ok(moved) => {
                    entry.changing = true;
                    entry.lease = None;
                    entry.writing = entry.writing.saturating_add(1);
                    state.arrange(id);
                    moved
                }
                Err(error) => {
                    state.retire(id);
                    return Err(error);
                }
            }
        };
        let (answer, receiver) = oneshot::channel();
        let (content, step) = written(wanted, moved);
        let inner = Arc::clone(self);
        self.append(content, true, move |result| {
            // nobody may be waiting any more; the change counts all the same
            let _ = answer.send(inner.change_ended(step, result));
        });
        Ok(receiver)
    }

    fn change_ended(&self, step: Step, result: Result<Appended, JournalError>) -> Changed {
        let id = DeliveryId::from_bytes(step.moved.delivery);
        let mut state = self.state();
        if let Some(entry) = state.entries.get_mut(&id) {
            entry.changing = false;
            entry.writing = entry.writing.saturating_sub(1);
        }
        let appended = match result {
            Ok(appended) => appended,
            Err(error) => {
                state.arrange(id);
                let target = state.entries.get(&id).map(|entry| entry.row.target.clone());
                if let Some(target) = target {
                    state.notify(&target);
                }
                state.retire(id);
                return Err(error.into());
            }
        };
        self.space.written(0, appended.bytes);
        state.set_state(id, &step.moved);
        let entry = state.entries.get_mut(&id).ok_or(StoreError::NotFound)?;
        if let Some(mark) = &step.mark {
            entry.row.mark = Some(mark.clone());
        }
        if step.anew {
            entry.row.frozen = None;
            entry.body = None;
        }
        entry.unfolded = entry.unfolded.saturating_add(1);
        entry.held_until = None;
        let delivery = entry.row.delivery(id);
        state.arrange(id);
        state.notify(&delivery.target);
        state.queue(Change {
            at: appended.position.into(),
            sequence: appended.sequence,
            what: What::Moved(step),
        });
        drop(state);
        self.work.notify_all();
        Ok(self.dated(delivery))
    }

    /// Encodes and appends. `state` must not be held.
    pub(super) fn append(
        &self,
        content: Content,
        urgent: bool,
        done: impl FnOnce(Result<Appended, JournalError>) + Send + 'static,
    ) {
        match content.encode() {
            Ok(payload) => self.journal.append(Entry {
                version: record::VERSION,
                kind: content.kind(),
                payload,
                urgent,
                done: Box::new(done),
            }),
            Err(error) => done(Err(JournalError::Stopped(error.to_string()))),
        }
    }
}

/// The record of an operator's change, and what it changes.
fn written(wanted: Wanted, moved: Moved) -> (Content, Step) {
    let (mark, anew) = match wanted {
        Wanted::Revive(how) => (Some(how.mark.into()), how.body == RevivedBody::Anew),
        Wanted::Resume | Wanted::Discard => (None, false),
    };
    let content = match wanted {
        Wanted::Revive(_) | Wanted::Resume => Content::Revived(Revived {
            moved: moved.clone(),
            mark,
            anew,
        }),
        Wanted::Discard => Content::Discarded(moved.clone()),
    };
    let step = Step {
        mark: mark.map(Box::new),
        anew,
        ..Step::plain(moved)
    };
    (content, step)
}

/// An attempt as the index keeps it of a delivery; as the record will say.
fn last_row(attempt: &Attempt) -> LastRow {
    LastRow {
        started_at: record::millis(attempt.started_at),
        took: u32::try_from(attempt.took.as_millis()).unwrap_or(u32::MAX),
        code: record::result_code_of(&attempt.outcome),
        template: attempt
            .sent
            .and_then(|sent| sent.template.map(|hash| hash.short())),
    }
}

/// Takes note of where the record of an attempt is, and lets go what it holds.
fn note_attempt(entry: &mut Known, revision: u32, frozen: bool, at: Place) {
    entry.fresh.retain(|(fresh, _)| *fresh != revision);
    entry.row.logged(at);
    if frozen {
        entry.row.frozen = Some(at);
    }
    if frozen || !entry.row.state.is_open() {
        entry.body = None;
    }
}

/// What an operator's change makes of a delivery.
fn decide(
    entry: &Known,
    id: DeliveryId,
    wanted: Wanted,
    now: i64,
    cleaning: Option<u64>,
) -> Result<Moved, StoreError> {
    if entry.changing {
        return Err(StoreError::Unavailable(
            "another change of this delivery is being written".to_owned(),
        ));
    }
    if entry.row.purged {
        return Err(StoreError::Purged);
    }
    let state = entry.row.state;
    let became = wanted.of(state, entry.row.had_success, now)?;
    let revived = matches!(wanted, Wanted::Revive(_));
    if revived && !state.is_open() && cleaning == Some(entry.row.event_at.segment) {
        return Err(StoreError::Unavailable(
            "the delivery's part of the journal is being cleaned".to_owned(),
        ));
    }
    let mut moved = current(entry, id);
    moved.revision = moved.revision.saturating_add(1);
    moved.state = became.state;
    if became.anew {
        moved.attempts = 0;
        moved.started_at = now;
    }
    Ok(moved)
}

/// A delivery as it stands in memory.
pub(super) fn current(entry: &Known, id: DeliveryId) -> Moved {
    Moved {
        delivery: *id.as_bytes(),
        revision: entry.row.revision,
        state: entry.row.state,
        attempts: entry.row.attempts,
        started_at: entry.row.started_at,
    }
}

/// The record of the attempt that made the delivery what it is. It holds the body if that is still needed and in
/// no record yet.
fn attempted(entry: &Known, moved: Moved) -> Option<Attempted> {
    let mut fresh = entry.fresh.iter();
    let (_, attempt) = fresh.find(|(revision, _)| *revision == moved.revision)?;
    let needed = entry.row.frozen.is_none() && moved.state.is_open();
    let frozen = entry.body.as_ref().filter(|_| needed);
    Some(Attempted {
        attempt: attempt.into(),
        frozen: frozen.cloned().map(|body: Bytes| Raw(body)),
        moved,
    })
}
