//! One replay at work: page by page through what passes its filter, oldest first.
//!
//! Promise: what is kept of its progress is never ahead of what was taken up; when it goes on after a restart nothing is
//! taken up twice. Not here: starting and ending it (see the module above).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::pace::Pace;
use super::recover::Already;
use super::take::{Taken, reroute, take};
use super::tally::{FIRST_PAUSE, Fate, fate_of, longer};
use super::{Shared, templates};
use crate::delivery::{ReplayMode, State};
use crate::id::{EventId, ReplayId};
use crate::store::{
    Cursor, DeliveryFilter, Found, ListedDelivery, ReplayPhase, ReplayState, StoreError, Task,
    Window,
};

/// How many are looked up at a time.
const PAGE: usize = 200;

/// Most rows that one look-up goes over.
const BUDGET: usize = 20_000;

/// How many are taken up at a time, so that they share a sync of the disk.
const AT_ONCE: usize = 32;

/// How often its progress is kept while a page lasts.
const KEEP_EVERY: Duration = Duration::from_secs(1);

/// Whether a replay is to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Halt {
    /// It is.
    No,
    /// Somebody ended it.
    Cancel,
    /// The daemon stops; it goes on at the next start, or at another instance.
    Stop,
    /// Another instance has it.
    Lost,
}

impl Halt {
    /// Takes it that it is to halt, unless that is known already; says whether that is news.
    pub(super) fn set(&mut self, halt: Self) -> bool {
        let is_news = *self == Self::No;
        if is_news {
            *self = halt;
        }
        is_news
    }
}

/// A replay as it stands now, a little ahead of what is kept of it.
#[derive(Debug)]
pub(super) struct Live(Mutex<ReplayState>);

impl Live {
    pub(super) fn new(state: ReplayState) -> Arc<Self> {
        Arc::new(Self(Mutex::new(state)))
    }

    pub(super) fn get(&self) -> ReplayState {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, ReplayState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One that is to be taken up.
#[derive(Debug, Clone)]
enum Item {
    Delivery(Box<ListedDelivery>),
    Event(EventId),
}

impl Item {
    fn place(&self) -> Cursor {
        match self {
            Self::Delivery(listed) => Cursor::Delivery(listed.delivery.id),
            Self::Event(id) => Cursor::Event(*id),
        }
    }
}

/// How a part of the work ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// All of it is done.
    Through,
    /// It was told to halt. What is done is before the cursor.
    Halted,
    /// It was told to halt, and behind the cursor something was done as well.
    CutOff,
}

/// Does one replay.
pub(super) struct Worker {
    shared: Arc<Shared>,
    live: Arc<Live>,
    halt: watch::Receiver<Halt>,
    id: ReplayId,
    mode: ReplayMode,
    pace: Pace,
    already: Already,
    kept_at: Instant,
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>, live: Arc<Live>, halt: watch::Receiver<Halt>) -> Self {
        let state = live.get();
        Self {
            shared,
            live,
            halt,
            id: state.id,
            mode: state.mode,
            pace: Pace::new(state.rate),
            already: Already::default(),
            kept_at: Instant::now(),
        }
    }

    /// Goes through all of it, or as far as it may, and keeps how it ended. `resumed`: a process before this one has begun it.
    pub(super) async fn run(mut self, resumed: bool) {
        let worked = async {
            if resumed && self.recover().await? == Ended::CutOff {
                return Ok(Ended::CutOff);
            }
            self.go_through().await
        };
        let ended = worked.await;
        let halt = *self.halt.borrow();
        let (phase, error) = match (&ended, halt) {
            (Ok(Ended::Through), _) => (ReplayPhase::Done, None),
            (Ok(Ended::Halted | Ended::CutOff), Halt::Cancel) => (ReplayPhase::Cancelled, None),
            (Ok(Ended::Halted | Ended::CutOff), _) => (ReplayPhase::Running, None),
            (Err(error), _) => (ReplayPhase::Failed, Some(error.to_string())),
        };
        if phase == ReplayPhase::Running {
            if halt == Halt::Lost {
                tracing::info!(replay = %self.id, "a replay is let go of here, since another instance may have it");
            } else if ended == Ok(Ended::Halted) {
                self.keep(false).await;
            }
            return;
        }
        {
            let mut state = self.live.lock();
            state.phase = phase;
            state.finished_at = Some(self.shared.clock.now());
            state.error = error;
        }
        let ReplayState {
            revived,
            created,
            skipped,
            failed,
            error,
            ..
        } = self.live.get();
        tracing::info!(replay = %self.id, state = phase.as_str(), revived, created, skipped, failed, error, "a replay has ended");
        self.keep_for_good().await;
    }

    async fn go_through(&mut self) -> Result<Ended, StoreError> {
        loop {
            let Some((items, rest)) = self.next_page().await? else {
                return Ok(Ended::Halted);
            };
            for chunk in items.chunks(AT_ONCE) {
                let ended = self.take_up(chunk).await;
                if ended != Ended::Through {
                    return Ok(ended);
                }
                if self.kept_at.elapsed() >= KEEP_EVERY {
                    self.keep(false).await;
                }
            }
            let Some(rest) = rest else {
                return Ok(Ended::Through);
            };
            self.live.lock().cursor = Some(rest);
            self.keep(false).await;
        }
    }

    /// Takes these up, some at a time, each when its turn has come.
    async fn take_up(&mut self, chunk: &[Item]) -> Ended {
        if !is_mine(&self.shared, self.id).await {
            return self.lost();
        }
        let mut under_way = JoinSet::new();
        let mut through = None;
        let mut halted = false;
        for item in chunk {
            if !self.already.has(item.place()) {
                halted = !self.turn().await;
                if halted {
                    break;
                }
                let one = One {
                    shared: Arc::clone(&self.shared),
                    live: Arc::clone(&self.live),
                    halt: self.halt.clone(),
                };
                under_way.spawn(one.take_up(item.clone()));
            }
            through = Some(item.place());
        }
        let mut whole = true;
        while let Some(done) = under_way.join_next().await {
            match done {
                Ok(done) => whole &= done,
                Err(error) => {
                    tracing::error!(replay = %self.id, %error, "taking up a delivery broke down");
                    count(&self.shared, &self.live, Fate::Failed);
                }
            }
        }
        if !whole {
            return Ended::CutOff;
        }
        if let Some(place) = through {
            self.live.lock().cursor = Some(place);
        }
        if halted {
            Ended::Halted
        } else {
            Ended::Through
        }
    }

    /// Waits for the next turn; `false` if it is told to halt.
    async fn turn(&mut self) -> bool {
        if *self.halt.borrow() != Halt::No {
            return false;
        }
        let now = Instant::now();
        let turn = self.pace.turn(now);
        if turn <= now {
            return true;
        }
        tokio::select! {
            () = tokio::time::sleep_until(turn.into()) => true,
            () = halted(&mut self.halt) => false,
        }
    }

    /// The next ones, and from where it goes on behind them; `None` if it is told to halt.
    async fn next_page(&mut self) -> Result<Option<(Vec<Item>, Option<Cursor>)>, StoreError> {
        let mut pause = FIRST_PAUSE;
        loop {
            if *self.halt.borrow() != Halt::No {
                return Ok(None);
            }
            match self.page().await {
                Err(StoreError::Unavailable(_)) => {}
                page => return page.map(Some),
            }
            if !wait(&mut self.halt, &mut pause).await {
                return Ok(None);
            }
        }
    }

    async fn page(&self) -> Result<(Vec<Item>, Option<Cursor>), StoreError> {
        let ReplayState { filter, cursor, .. } = self.live.get();
        let store = &self.shared.store;
        if self.mode == ReplayMode::Reroute {
            let past = match cursor {
                Some(Cursor::Event(id)) => Some(id),
                _ => None,
            };
            let window = window(past);
            let found = store.events_from(&filter.events(), window).await?;
            let items = found.rows.into_iter().map(|row| Item::Event(row.id));
            return Ok((items.collect(), found.rest.map(Cursor::Event)));
        }
        let past = match cursor {
            Some(Cursor::Delivery(id)) => Some(id),
            _ => None,
        };
        let wanted = filter.deliveries(&templates(&self.shared.plan.get()));
        let found = store.deliveries_from(&wanted, window(past)).await?;
        let rows = found.rows.into_iter();
        let items = rows.map(|row| Item::Delivery(Box::new(row)));
        Ok((items.collect(), found.rest.map(Cursor::Delivery)))
    }

    /// Finds what was taken up behind the cursor, and counts it.
    async fn recover(&mut self) -> Result<Ended, StoreError> {
        let state = self.live.get();
        let by_event = self.mode == ReplayMode::Reroute;
        let filter = DeliveryFilter {
            replay: Some(self.id),
            since: by_event.then_some(state.created_at),
            ..DeliveryFilter::default()
        };
        let mut past = match state.cursor {
            Some(Cursor::Delivery(id)) => Some(id),
            _ => None,
        };
        let mut pause = FIRST_PAUSE;
        loop {
            let found = self.shared.store.deliveries_from(&filter, window(past));
            match found.await {
                Ok(Found { rows, rest }) => {
                    for row in &rows {
                        self.already.add(&row.delivery, by_event, state.cursor);
                    }
                    if rest.is_none() {
                        break;
                    }
                    past = rest;
                }
                Err(StoreError::Unavailable(_)) => {
                    if !wait(&mut self.halt, &mut pause).await {
                        return Ok(Ended::CutOff);
                    }
                }
                Err(error) => return Err(error),
            }
            if *self.halt.borrow() != Halt::No {
                return Ok(Ended::CutOff);
            }
        }
        let mut live = self.live.lock();
        self.already.fates().for_each(|fate| fate.count(&mut live));
        Ok(Ended::Through)
    }

    /// Another instance has it: nothing more of it is done or kept here.
    fn lost(&self) -> Ended {
        if let Some(job) = self.shared.jobs().get(&self.id) {
            job.halt.send_if_modified(|now| now.set(Halt::Lost));
        }
        Ended::CutOff
    }

    /// Keeps how far it is; what is not kept is found again by its marks.
    async fn keep(&mut self, durable: bool) -> bool {
        self.kept_at = Instant::now();
        if !is_mine(&self.shared, self.id).await {
            self.lost();
            return true;
        }
        let state = self.live.get();
        match self.shared.store.put_replay(&state, durable).await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(replay = %self.id, %error, "the progress of a replay cannot be kept now");
                false
            }
        }
    }

    /// Keeps that it has ended; does not give up before the daemon stops. A start that does not know of it finds that nothing is left.
    async fn keep_for_good(&mut self) {
        let mut pause = FIRST_PAUSE;
        while !self.keep(true).await {
            let stopped = self.halt.wait_for(|halt| *halt == Halt::Stop);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = stopped => return,
            }
            pause = longer(pause);
        }
    }
}

fn window<Id>(past: Option<Id>) -> Window<Id> {
    Window {
        past,
        limit: PAGE,
        budget: BUDGET,
    }
}

/// Waits before the store is asked again; `false` if it is told to halt.
async fn wait(halt: &mut watch::Receiver<Halt>, pause: &mut Duration) -> bool {
    let slept = tokio::time::sleep(*pause);
    *pause = longer(*pause);
    tokio::select! {
        () = slept => true,
        () = halted(halt) => false,
    }
}

async fn halted(halt: &mut watch::Receiver<Halt>) {
    // An error means that whoever could tell is gone.
    let _ = halt.wait_for(|halt| *halt != Halt::No).await;
}

/// Whether no other instance has it, as far as is known.
async fn is_mine(shared: &Shared, id: ReplayId) -> bool {
    shared.store.own(&Task::Replay(id)).await.unwrap_or(true)
}

fn count(shared: &Shared, live: &Live, fate: Fate) {
    fate.count(&mut live.lock());
    let (result, count) = fate.label();
    shared.metrics.replayed(result, count);
}

/// Takes up one of a replay.
struct One {
    shared: Arc<Shared>,
    live: Arc<Live>,
    halt: watch::Receiver<Halt>,
}

impl One {
    /// Takes it up and counts it; `false` if it was told to halt before the store could do it.
    async fn take_up(mut self, item: Item) -> bool {
        let mut pause = FIRST_PAUSE;
        loop {
            let fate = match self.once(&item).await {
                Ok(fate) => Some(fate),
                Err(error) => {
                    if let StoreError::Damaged(why) = &error {
                        tracing::error!(place = ?item.place(), why, "a replay meets damage and goes on behind it");
                    }
                    fate_of(&error)
                }
            };
            if let Some(fate) = fate {
                count(&self.shared, &self.live, fate);
                return true;
            }
            if !wait(&mut self.halt, &mut pause).await {
                return false;
            }
            // While the store was away another instance may have been given it.
            let id = self.live.lock().id;
            if !is_mine(&self.shared, id).await {
                return false;
            }
        }
    }

    async fn once(&self, item: &Item) -> Result<Fate, StoreError> {
        let (id, mode, target, unmatched) = {
            let state = self.live.lock();
            let filter = &state.filter;
            (
                state.id,
                state.mode,
                filter.target.clone(),
                filter.unmatched,
            )
        };
        let Shared { store, clock, .. } = &*self.shared;
        match item {
            Item::Delivery(seen) => {
                // It may be long since it was looked at.
                let listed = store.listed(seen.delivery.id).await?;
                if !is_as_seen(&seen.delivery.state, &listed.delivery.state) {
                    return Ok(Fate::Skipped);
                }
                let taken = take(&**store, &listed, mode, Some(id), clock.now()).await?;
                Ok(match taken {
                    Taken::Revived(_) => Fate::Revived,
                    Taken::Created(_) => Fate::Created(1),
                })
            }
            Item::Event(event) => {
                if unmatched && !store.event_row(*event).await?.deliveries.is_empty() {
                    return Ok(Fate::Skipped);
                }
                let event = store.event(*event).await?;
                let plan = self.shared.plan.get();
                let (job, now) = (Some(id), clock.now());
                let made = reroute(&**store, &plan, &event, target.as_ref(), job, now).await?;
                Ok(match u64::try_from(made.len()).unwrap_or(u64::MAX) {
                    0 => Fate::Skipped,
                    count => Fate::Created(count),
                })
            }
        }
    }
}

/// Whether nothing has become of a delivery since it was looked at; one that is pending may have been tried.
fn is_as_seen(seen: &State, now: &State) -> bool {
    seen == now || matches!((seen, now), (State::Pending { .. }, State::Pending { .. }))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::delivery::DeadReason;

    #[test]
    fn what_was_changed_meanwhile_is_left_alone() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let dead = |second, reason| State::Dead {
            at: at(second),
            reason,
        };
        let pending = |second| State::Pending { due: at(second) };
        for (seen, now, wanted) in [
            (dead(1, DeadReason::Gone), dead(1, DeadReason::Gone), true),
            // it was taken up and has died again
            (dead(1, DeadReason::Gone), dead(2, DeadReason::Gone), false),
            (dead(1, DeadReason::Gone), pending(1), false),
            (
                dead(1, DeadReason::Gone),
                State::Discarded { at: at(1) },
                false,
            ),
            (pending(1), pending(9), true),
            (pending(1), State::Delivered { at: at(2) }, false),
            (
                State::Delivered { at: at(2) },
                State::Delivered { at: at(2) },
                true,
            ),
        ] {
            assert_eq!(is_as_seen(&seen, &now), wanted, "{seen:?} {now:?}");
        }
    }
}
