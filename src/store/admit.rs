//! Admission: dedupe, room, append; the answer comes when the record is on disk.
//!
//! Promise: one of several concurrent twins is written and all get its answer; an admission that failed leaves no
//! trace; dropping the future changes nothing, since all that follows happens in the journal's `done`.

use std::sync::Arc;
use std::time::Duration;

use super::index::change::{Change, Placed, What};
use super::index::rows::Place;
use super::journal::{Appended, Entry, JournalError, Kind};
use super::local::Inner;
use super::overlay::{Answer, KeyEntry};
use super::promise::{Promise, Promised, promise};
use super::record::{self, Accepted, Content, StoredKey};
use super::{Admission, Admitted, DedupeKey, Novelty, StoreError};
use crate::event::Event;
use crate::id::EventId;

/// How long an answer is held back at most, once half of what may be unfolded is reached.
const SLOW_STEP: Duration = Duration::from_millis(50);

/// How an admission goes on.
enum Begun {
    /// It is known already.
    Known(Admitted),
    /// It is being written; so it relates to the one that is written.
    Writing(Promised<Answer>, Novelty),
}

/// What is needed once the record is on disk.
struct Pending {
    event: Arc<Event>,
    placed: Placed,
    at: i64,
    key: Option<[u8; 32]>,
    promised: u64,
    answer: Promise<Answer>,
}

impl Inner {
    pub(super) async fn admit(
        self: &Arc<Self>,
        admission: Admission,
    ) -> Result<Admitted, StoreError> {
        self.slow_down().await?;
        let (answer, novelty) = match self.begin(admission)? {
            Begun::Known(admitted) => return Ok(admitted),
            Begun::Writing(answer, novelty) => (answer, novelty),
        };
        let stopped = || Err(StoreError::Unavailable("stopped".to_owned()));
        let event = answer.await.unwrap_or_else(stopped)?;
        Ok(Admitted { event, novelty })
    }

    /// Holds the answer back while the fold is behind, and refuses when it is far behind.
    async fn slow_down(&self) -> Result<(), StoreError> {
        let folded = self.folded.notified();
        let half = {
            let state = self.state();
            state.usable()?;
            let (records, bytes) = (state.unfolded, state.unfolded_bytes);
            if records >= self.options.unfolded || bytes >= self.options.unfolded_bytes {
                return Err(StoreError::Unavailable(
                    "the index is behind the journal".to_owned(),
                ));
            }
            records >= self.options.unfolded / 2 || bytes >= self.options.unfolded_bytes / 2
        };
        if half {
            // after this step it goes on either way
            let _ = tokio::time::timeout(SLOW_STEP, folded).await;
        }
        Ok(())
    }

    fn begin(self: &Arc<Self>, admission: Admission) -> Result<Begun, StoreError> {
        let at = self.due_now();
        let (answer, receiver) = promise();
        let promised = {
            let gate = self.gate();
            let folded = match &admission.dedupe {
                Some(dedupe) => gate.index()?.key(&dedupe.key)?,
                None => None,
            };
            let mut state = self.state();
            state.usable()?;
            if let Some(dedupe) = &admission.dedupe {
                let live = match state.keys.get(&dedupe.key) {
                    Some(KeyEntry::Waiting(first, body)) => {
                        let novelty = repeated(dedupe, body);
                        return Ok(Begun::Writing(first.clone(), novelty));
                    }
                    Some(KeyEntry::Live(row)) => Some(*row),
                    None => folded,
                };
                if let Some(live) = live.filter(|live| live.expires > at) {
                    return Ok(Begun::Known(Admitted {
                        event: live.event,
                        novelty: repeated(dedupe, &live.body),
                    }));
                }
            }
            let promised = self.space.promise(admission.event.parts().body.len())?;
            if let Some(dedupe) = &admission.dedupe {
                let waiting = KeyEntry::Waiting(receiver.clone(), dedupe.body);
                state.keys.insert(dedupe.key, waiting);
            }
            promised
        };
        self.append_accepted(admission, at, promised, answer);
        Ok(Begun::Writing(receiver, Novelty::New))
    }

    fn append_accepted(
        self: &Arc<Self>,
        admission: Admission,
        at: i64,
        promised: u64,
        answer: Promise<Answer>,
    ) {
        let accepted = Accepted {
            at,
            event: admission.event.parts().into(),
            deliveries: admission.deliveries.iter().map(Into::into).collect(),
            key: admission.dedupe.map(|dedupe| StoredKey {
                key: dedupe.key,
                body: dedupe.body,
                expires: at.saturating_add(record::span(dedupe.window)),
            }),
            receipt: admission.receipt.as_ref().map(Into::into),
        };
        let nowhere = Place {
            segment: 0,
            offset: 0,
        };
        let deliveries = accepted.deliveries.iter().map(|one| (one, false, &[][..]));
        let pending = Pending {
            placed: Placed::new(&accepted.event, deliveries, accepted.key, nowhere),
            event: admission.event,
            at,
            key: admission.dedupe.map(|dedupe| dedupe.key),
            promised,
            answer,
        };
        let payload = match Content::Accepted(accepted).encode() {
            Ok(payload) => payload,
            Err(error) => {
                let error = StoreError::Unavailable(error.to_string());
                return self.admission_failed(pending, error);
            }
        };
        let inner = Arc::clone(self);
        self.journal.append(Entry {
            version: record::VERSION,
            kind: Kind::Accepted,
            payload,
            urgent: true,
            done: Box::new(move |result| inner.admission_ended(pending, result)),
        });
    }

    fn admission_ended(&self, mut pending: Pending, result: Result<Appended, JournalError>) {
        let appended = match result {
            Ok(appended) => appended,
            Err(error) => return self.admission_failed(pending, error.into()),
        };
        self.space.written(pending.promised, appended.bytes);
        let at = Place::from(appended.position);
        pending.placed.place(at, appended.sequence);
        let id: EventId = pending.placed.id;
        let first = {
            let mut state = self.state();
            state.accepted(&pending.placed, &pending.event);
            state.queue(Change {
                at,
                sequence: appended.sequence,
                what: What::Accepted {
                    at: pending.at,
                    placed: pending.placed,
                },
            })
        };
        if first {
            self.work.notify_all();
        }
        pending.answer.keep(Ok(id));
    }

    fn admission_failed(&self, pending: Pending, error: StoreError) {
        self.space.written(pending.promised, 0);
        if let Some(key) = &pending.key {
            self.state().keys.remove(key);
        }
        pending.answer.keep(Err(error));
    }
}

fn repeated(dedupe: &DedupeKey, body: &[u8; 32]) -> Novelty {
    if dedupe.body == *body {
        Novelty::Duplicate
    } else {
        Novelty::Conflicting
    }
}
