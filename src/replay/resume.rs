//! Which replays this process runs: those that it has begun, and those whose process has ended.
//!
//! Promise: where several instances share the store, a replay is one instance's at a time; it is taken up by another within
//! some seconds of its end, and one that was cancelled or taken by another is let go of. Not here: how a replay goes (see `run`).

use std::time::Duration;

use tokio::time::Instant;

use super::run::Halt;
use super::tally::{FIRST_PAUSE, longer};
use super::{RUNNING, Replays};
use crate::id::ReplayId;
use crate::store::{ReplayPhase, ReplayState, StoreError, Task};

/// Replays that are read at a time.
pub(super) const PAGE: usize = 500;

/// How often is looked whether what runs here was cancelled, or taken by another instance: who cancels waits about so long.
const HEED_EVERY: Duration = Duration::from_secs(1);

/// How often is looked for replays that nobody runs. Rarely, since for that all replays are read; the instance that has
/// ended was waited for longer than that.
const TAKE_UP_EVERY: Duration = Duration::from_secs(5);

impl Replays {
    /// Has all go on that are running and that nobody runs; waits for the store.
    pub(super) async fn resume_all(&self) {
        let mut stop = self.stopping.subscribe();
        let mut pause = FIRST_PAUSE;
        while let Err(error) = self.resume_once().await {
            tracing::debug!(%error, ?pause, "whether replays were running is not known yet");
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
            pause = longer(pause);
        }
    }

    /// Looks after what other instances do with replays; until it is stopped.
    pub(super) async fn look_after(&self) {
        let mut stop = self.stopping.subscribe();
        let mut taken_up = Instant::now();
        loop {
            tokio::select! {
                () = tokio::time::sleep(HEED_EVERY) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
            self.heed().await;
            if taken_up.elapsed() < TAKE_UP_EVERY {
                continue;
            }
            taken_up = Instant::now();
            if let Err(error) = self.resume_once().await {
                tracing::debug!(%error, "whether replays are without their instance is not known");
            }
        }
    }

    /// Tells those that run here what others have made of them.
    async fn heed(&self) {
        let ids: Vec<ReplayId> = self.shared.jobs().keys().copied().collect();
        for id in ids {
            let heard = match self.heard(id).await {
                Ok(heard) => heard,
                Err(error) => {
                    tracing::debug!(replay = %id, %error, "whether a replay was cancelled is not known");
                    continue;
                }
            };
            let is_listed = match self.shared.jobs().get(&id) {
                Some(job) => {
                    if let Some(halt) = heard {
                        job.halt.send_if_modified(|now| now.set(halt));
                    }
                    true
                }
                None => false,
            };
            // It has ended while the store was asked, which may have made it ours again.
            if !is_listed {
                self.shared.give_up(id).await;
            }
        }
    }

    /// Whether one that runs here is to halt.
    async fn heard(&self, id: ReplayId) -> Result<Option<Halt>, StoreError> {
        let store = &self.shared.store;
        if !store.own(&Task::Replay(id)).await? {
            return Ok(Some(Halt::Lost));
        }
        let phase = store.replay(id).await?.phase;
        Ok((phase == ReplayPhase::Cancelled).then_some(Halt::Cancel))
    }

    async fn resume_once(&self) -> Result<(), StoreError> {
        let _one = self.one.lock().await;
        let unfinished = self.unfinished().await?;
        // The oldest goes on first.
        for state in unfinished.into_iter().rev() {
            if *self.stopping.borrow() {
                return Ok(());
            }
            self.take_over(state).await?;
        }
        Ok(())
    }

    /// All that are running, newest first.
    async fn unfinished(&self) -> Result<Vec<ReplayState>, StoreError> {
        let mut before = None;
        let mut unfinished = Vec::new();
        loop {
            let page = self.shared.store.replays(before, PAGE).await?;
            before = page.last().map(|state| state.id);
            let more = page.len() == PAGE;
            let running = |state: &ReplayState| state.phase == ReplayPhase::Running;
            unfinished.extend(page.into_iter().filter(running));
            if !more {
                return Ok(unfinished);
            }
        }
    }

    /// Has one go on, unless it runs.
    async fn take_over(&self, state: ReplayState) -> Result<(), StoreError> {
        let (id, store) = (state.id, &self.shared.store);
        if self.shared.jobs().contains_key(&id) || self.shared.broken().contains(&id) {
            return Ok(());
        }
        let mut state = state;
        if store.is_shared() {
            // Another instance may have room for it, else it waits for some here.
            if self.shared.jobs().len() >= RUNNING || !store.own(&Task::Replay(id)).await? {
                return Ok(());
            }
            // Whoever had it may have gone on, or through, since it was read.
            state = match store.replay(id).await {
                Ok(state) if state.phase == ReplayPhase::Running => state,
                ended => {
                    self.shared.give_up(id).await;
                    return ended.map(|_| ());
                }
            };
        }
        tracing::info!(replay = %id, done = state.done, total = state.total, "a replay goes on");
        self.spawn(state, true);
        Ok(())
    }
}
