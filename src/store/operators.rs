//! What operators want kept: pauses, replays, and which configuration came into force last. All of it stands in the journal
//! like all else; pauses and the configuration are few and stand in memory, too.
//!
//! Promise: whoever writes a pause, a replay or a configuration holds `Inner::operating` from the decision to the append, and
//! cleaning does so as well when it writes one anew, so that the journal has the newest last. `operating` comes
//! before all other locks.

use std::collections::BTreeMap;
use std::sync::{Arc, mpsc};

use tokio::sync::oneshot;

use super::clean;
use super::index::change::{Change, What};
use super::index::rows::Place;
use super::journal::{Appended, JournalError};
use super::local::{Inner, locked};
use super::reads::{self, CHUNK, blocking};
use super::record::{Content, Operator, StoredPause, StoredPlan, StoredReplay};
use super::{Pause, ReplayState, StoreError};
use crate::id::{Digest, ReplayId, TargetName};
use crate::plan::Generation;

/// How an append ends.
type Ended = Result<(), JournalError>;

impl Inner {
    pub(super) async fn generation(
        self: &Arc<Self>,
        fingerprint: Digest,
    ) -> Result<Generation, StoreError> {
        let inner = Arc::clone(self);
        blocking(move || {
            let _one = locked(&inner.operating);
            let known = {
                let state = inner.state();
                state.usable()?;
                state.plan
            };
            if let Some(known) = known.filter(|known| known.fingerprint == *fingerprint.as_bytes())
            {
                return Ok(known.into());
            }
            let plan = StoredPlan {
                number: known.map_or(0, |known| known.number).saturating_add(1),
                fingerprint: *fingerprint.as_bytes(),
                since: inner.now(),
            };
            inner.keep_now(Operator::Plan(plan))?;
            inner.state().plan = Some(plan);
            Ok(plan.into())
        })
        .await
    }

    pub(super) async fn set_pause(
        self: &Arc<Self>,
        target: &TargetName,
        by: Option<String>,
    ) -> Result<Option<Pause>, StoreError> {
        let (inner, target) = (Arc::clone(self), target.clone());
        blocking(move || {
            let _one = locked(&inner.operating);
            let known = {
                let state = inner.state();
                state.usable()?;
                state.pauses.get(&target).cloned()
            };
            match (by, known) {
                (Some(_), Some(known)) => Ok(Some(known.into())),
                (None, None) => Ok(None),
                (Some(by), None) => {
                    let pause = StoredPause::new(&target, inner.clock.now(), &by);
                    inner.keep_now(Operator::Pause(pause.clone()))?;
                    inner.state().pauses.insert(target, pause.clone());
                    Ok(Some(pause.into()))
                }
                (None, Some(_)) => {
                    inner.keep_now(Operator::Unpause(target.clone()))?;
                    inner.state().pauses.remove(&target);
                    Ok(None)
                }
            }
        })
        .await
    }

    pub(super) fn pauses(&self) -> Result<BTreeMap<TargetName, Pause>, StoreError> {
        let state = self.state();
        // before the store is ready, none is known
        state.usable()?;
        let pauses = state.pauses.iter();
        Ok(pauses
            .map(|(target, pause)| (target.clone(), pause.clone().into()))
            .collect())
    }

    pub(super) async fn put_replay(
        self: &Arc<Self>,
        replay: &ReplayState,
        durable: bool,
    ) -> Result<(), StoreError> {
        let replay = StoredReplay::new(replay, self.clock.now())
            .map_err(|error| StoreError::Damaged(error.to_string()))?;
        let inner = Arc::clone(self);
        blocking(move || inner.put_replay_now(replay, durable)).await
    }

    fn put_replay_now(
        self: &Arc<Self>,
        replay: StoredReplay,
        durable: bool,
    ) -> Result<(), StoreError> {
        let id = replay.id();
        let end = {
            let _one = locked(&self.operating);
            {
                let mut state = self.state();
                state.usable()?;
                // what the cleaner would write anew is this from here on
                state.replays.insert(id, replay.clone());
            }
            self.keep(Operator::Replay(replay.clone()), durable)
        };
        if !durable {
            return Ok(());
        }
        let stopped = |_| StoreError::Unavailable("stopped".to_owned());
        let ended = end.blocking_recv().map_err(stopped)?;
        if ended.is_err() {
            let mut state = self.state();
            if state.replays.get(&id) == Some(&replay) {
                state.replays.remove(&id);
            }
        }
        Ok(ended?)
    }

    pub(super) fn replay(&self, id: ReplayId) -> Result<ReplayState, StoreError> {
        let gate = self.gate();
        let row = gate.index()?.replay(id)?;
        let state = self.state();
        let fresh = state.replays.get(&id).cloned();
        let kept = row.filter(|row| row.at.segment >= state.floor);
        let replay = fresh.or(kept.map(|row| row.replay));
        decoded(replay.ok_or(StoreError::NotFound)?)
    }

    pub(super) async fn replays(
        self: &Arc<Self>,
        before: Option<ReplayId>,
        limit: usize,
    ) -> Result<Vec<ReplayState>, StoreError> {
        let inner = Arc::clone(self);
        blocking(move || {
            let found = reads::paged(before, limit, |before| inner.replays_chunk(before))?;
            found.into_iter().map(decoded).collect()
        })
        .await
    }

    /// Replays older than `before`, newest first, down to the id that is given along; `None`: to the end.
    fn replays_chunk(
        &self,
        before: Option<ReplayId>,
    ) -> Result<(Vec<StoredReplay>, Option<ReplayId>), StoreError> {
        let gate = self.gate();
        let rows = gate.index()?.replays(before).take(CHUNK);
        let rows: BTreeMap<_, _> = rows.collect::<Result<_, _>>()?;
        let rest = reads::rest(&rows);
        let state = self.state();
        let kept = rows
            .into_iter()
            .filter(|(_, row)| row.at.segment >= state.floor);
        let mut replays: BTreeMap<_, _> = kept.map(|(id, row)| (id, row.replay)).collect();
        for (id, replay) in state.replays.range(reads::range(rest, before)) {
            replays.insert(*id, replay.clone());
        }
        Ok((replays.into_values().rev().collect(), rest))
    }

    /// Appends, and waits until it is on disk.
    fn keep_now(self: &Arc<Self>, operator: Operator) -> Result<(), StoreError> {
        let stopped = |_| StoreError::Unavailable("stopped".to_owned());
        let end = self.keep(operator, true);
        Ok(end.blocking_recv().map_err(stopped)??)
    }

    /// Appends; what it gives ends when that is on disk.
    fn keep(self: &Arc<Self>, operator: Operator, urgent: bool) -> oneshot::Receiver<Ended> {
        let (answer, end) = oneshot::channel();
        let nowhere = Place {
            segment: 0,
            offset: 0,
        };
        let content = Content::Operator(operator);
        let mut what = What::new(&content, nowhere);
        let inner = Arc::clone(self);
        self.append(content, urgent, move |result: Result<Appended, _>| {
            let ended = result.map(|appended| {
                inner.space.written(0, appended.bytes);
                let at = Place::from(appended.position);
                what.place(at, appended.sequence);
                inner.state().queue(Change {
                    at,
                    sequence: appended.sequence,
                    what,
                });
                inner.work.notify_all();
            });
            if let Err(error) = &ended {
                tracing::warn!(%error, "what an operator wants kept is not recorded");
            }
            // nobody may be waiting
            let _ = answer.send(ended);
        });
        end
    }

    /// Writes anew what is to be kept of a segment that is cleaned, and is no event; whether there was any.
    pub(super) fn carry_operators(
        self: &Arc<Self>,
        segment: u64,
        past_before: i64,
    ) -> Result<bool, StoreError> {
        let _one = locked(&self.operating);
        let mut kept = Vec::new();
        {
            let gate = self.gate();
            let index = gate.index()?;
            let (plan, pauses) = (index.plan()?, index.pauses()?);
            let replays = index.replayed(segment)?;
            let state = self.state();
            if plan.is_some_and(|row| row.at.segment == segment) {
                kept.extend(state.plan.map(Operator::Plan));
            }
            let here = pauses.iter().filter(|row| row.at.segment == segment);
            let paused = here.filter_map(|row| state.pauses.get(&row.pause.target));
            kept.extend(paused.cloned().map(Operator::Pause));
            for row in replays {
                // one that is not folded yet stands in a later segment already
                let is_newest = !state.replays.contains_key(&row.replay.id());
                if is_newest && row.replay.is_kept(past_before) {
                    kept.push(Operator::Replay(row.replay));
                }
            }
        }
        let carried = !kept.is_empty();
        let (ended, ends) = mpsc::channel();
        for operator in kept {
            clean::append(self, Content::Operator(operator), &ended);
        }
        drop(ended);
        for end in ends {
            end?;
        }
        Ok(carried)
    }
}

fn decoded(replay: StoredReplay) -> Result<ReplayState, StoreError> {
    ReplayState::try_from(replay).map_err(|error| StoreError::Damaged(error.to_string()))
}
