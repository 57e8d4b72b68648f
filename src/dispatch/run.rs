//! The lane of one target: claims what is due as far as attempts may begin, and waits for the right things.
//!
//! Promise: never more than the target's `concurrency` at a time, nor more than its `rate` allows, nor more than one probe
//! while its breaker is open, nor any while it is paused; what may not begin stays in the store untouched. What was begun and counted outlives a reload.
//! No wake-up is lost, because the notification is asked for before the store is. Not here: what an attempt
//! does (see `attempt`), when one may begin (see `breaker`, `pace`).

use std::collections::{BTreeSet, HashMap};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};

use super::attempt::{self, Attempter};
use super::breaker::{Breaker, Permit, Ticket, Turn, Verdict};
use super::client::Client;
use super::lanes::Board;
use super::pace::{Pacer, Slot};
use super::tokens::Tokens;
use super::{Phase, Shared};
use crate::clock;
use crate::id::{RouteName, TargetName};
use crate::plan::{Plan, Proof, Target};
use crate::store::{Claimed, Claims, Lease};

/// The longest wait for a delivery to fall due; bounds what a step of the machine's clock can do.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// The shortest one, so that a due time that is just over cannot make a busy loop.
const SHORTEST_WAIT: Duration = Duration::from_millis(2);

/// The first pause after the store failed to claim; it doubles with each failure in a row.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How long a delivery whose attempt broke down stays claimed, so that it cannot spin.
const BROKEN_PAUSE: Duration = Duration::from_secs(5);

/// How long attempts that are cut off may take to record that.
const CUT_GRACE: Duration = Duration::from_secs(2);

/// The lane of one target.
pub(super) struct Lane {
    shared: Arc<Shared>,
    name: TargetName,
    /// What makes attempts by the plan in force; `None` while that has no such target.
    attempter: Option<Arc<Attempter>>,
    phase: watch::Receiver<Phase>,
    running: JoinSet<Verdict>,
    under_way: HashMap<Id, UnderWay>,
    breaker: Breaker,
    pacer: Pacer,
    board: Board,
    /// Whether the operator has its deliveries wait.
    paused: bool,
    /// Whether another process makes the attempts; `None` before the first claim.
    elsewhere: Option<bool>,
    /// The pause after the next failed claim.
    pause: Duration,
}

/// What is kept of a task until it ends.
struct UnderWay {
    lease: Lease,
    /// What it was begun with; `None` if it is no attempt but only waits to release what broke down.
    begun: Option<(Ticket, Slot)>,
}

/// What ends the wait after a claim, besides a finished attempt, another plan and the end.
struct Wake {
    /// This time.
    at: Option<Instant>,
    /// An arrival.
    arrival: bool,
}

impl Wake {
    const NEVER: Self = Self {
        at: None,
        arrival: false,
    };

    fn at(time: Instant) -> Self {
        Self {
            at: Some(time),
            ..Self::NEVER
        }
    }
}

impl Lane {
    pub(super) fn new(
        shared: Arc<Shared>,
        name: TargetName,
        phase: watch::Receiver<Phase>,
    ) -> Self {
        let board = Board::new(
            Arc::clone(&shared.lanes),
            Arc::clone(&shared.metrics),
            Arc::clone(&shared.clock),
            name.clone(),
        );
        Self {
            shared,
            name,
            attempter: None,
            phase,
            running: JoinSet::new(),
            under_way: HashMap::new(),
            breaker: Breaker::default(),
            pacer: Pacer::default(),
            board,
            paused: false,
            elsewhere: None,
            pause: FIRST_PAUSE,
        }
    }

    /// Runs until the end is asked for, or the target is gone from the plan and its attempts have ended.
    pub(super) async fn run(mut self) {
        let arrivals = self.shared.store.arrivals(&self.name);
        let mut plans = self.shared.plan.watch();
        plans.mark_changed();
        let mut pauses = self.shared.lanes.watch_pauses();
        let hurry = self.shared.lanes.hurrying(&self.name);
        while *self.phase.borrow_and_update() == Phase::Running {
            if plans.has_changed().unwrap_or(false) {
                let plan = Arc::clone(&plans.borrow_and_update());
                self.adopt(&plan);
            }
            if self.attempter.is_none() && self.running.is_empty() {
                return;
            }
            self.paused = pauses.borrow_and_update().contains_key(&self.name);
            let mut arrived = pin!(arrivals.notified());
            arrived.as_mut().enable();
            let wake = self.fill().await;
            self.show();
            tokio::select! {
                () = arrived, if wake.arrival => {}
                () = until(wake.at), if wake.at.is_some() => {}
                Some(ended) = self.running.join_next_with_id() => self.reap(ended),
                changed = plans.changed() => match changed {
                    Ok(()) => plans.mark_changed(),
                    Err(_) => break,
                },
                // The sender is ours, so it does not go.
                _ = pauses.changed() => {}
                () = hurry.notified() => self.breaker.hurry(Instant::now()),
                changed = self.phase.changed() => if changed.is_err() { break },
            }
            while let Some(ended) = self.running.try_join_next_with_id() {
                self.reap(ended);
            }
        }
        self.wind_up().await;
    }

    /// Tells the operator what it is at.
    fn show(&mut self) {
        match self.attempter {
            Some(_) => {
                let elsewhere = self.elsewhere == Some(true);
                let (running, breaker) = (self.running.len(), &self.breaker);
                self.board.show(running, breaker, self.paused, elsewhere);
            }
            None => self.board.clear(),
        }
    }

    /// Makes the next attempts by this plan; those under way go on as they began, and count for its limits. Connections
    /// are kept unless how they are made has changed. What waited for a route that is back is let go on.
    fn adopt(&mut self, plan: &Plan) {
        let Some(target) = plan.targets.get(&self.name) else {
            self.attempter = None;
            return;
        };
        let kept = self.attempter.as_ref().map(|old| &old.client);
        let client = match kept {
            Some(client) if client.suits(target, &plan.egress) => Arc::clone(client),
            _ => Arc::new(Client::new(target, &plan.egress)),
        };
        let tokens = self.tokens(target, plan);
        self.pacer.adopt(target.rate);
        if let Some(turn) = self.breaker.adopt(target.breaker) {
            self.tell(turn);
        }
        self.attempter = Some(Arc::new(Attempter {
            shared: Arc::clone(&self.shared),
            target: Arc::clone(target),
            client,
            tokens,
            held: Mutex::default(),
        }));
        self.resume(plan);
    }

    /// Lets go on what waited for routes that this plan has.
    fn resume(&self, plan: &Plan) {
        let routes = plan.router.routes().iter().map(|route| route.name.clone());
        let routes: BTreeSet<RouteName> = routes.collect();
        let (shared, name, phase) = (
            Arc::clone(&self.shared),
            self.name.clone(),
            self.phase.clone(),
        );
        // It may have many to go through, and none of the others wait for that.
        tokio::spawn(async move { attempt::resume(&shared, &name, &routes, phase).await });
    }

    /// What has the token that the target wants, if it wants one. One that is there is kept as long as `auth` is the same.
    fn tokens(&self, target: &Target, plan: &Plan) -> Option<Arc<Tokens>> {
        let Some(Proof::OAuth2(way)) = target.auth.as_ref().map(|auth| &auth.proof) else {
            return None;
        };
        let old = self.attempter.as_ref().and_then(|old| old.tokens.as_ref());
        Some(match old {
            Some(old) => old.adopt(way, &plan.egress),
            None => Arc::new(Tokens::new(
                self.name.clone(),
                Arc::clone(way),
                Arc::clone(&plan.egress),
                Arc::clone(&self.shared.metrics),
            )),
        })
    }

    /// Claims as much as may begin and starts it.
    async fn fill(&mut self) -> Wake {
        let Some(attempter) = self.attempter.clone() else {
            return Wake::NEVER;
        };
        let Attempter { shared, target, .. } = &*attempter;
        let most = match self.room(target) {
            Ok(most) => most,
            Err(wake) => return wake,
        };
        let claims = match shared.store.claim(&target.name, most).await {
            Ok(claims) => claims,
            Err(error) => {
                let pause = self.pause;
                tracing::warn!(target_name = %target.name, %error, ?pause, "cannot claim deliveries");
                self.pause = (pause * 2).min(LONGEST_PAUSE);
                // The store tells when it can be used again.
                return Wake {
                    arrival: true,
                    ..Wake::at(Instant::now() + pause)
                };
            }
        };
        self.pause = FIRST_PAUSE;
        let Claims {
            taken,
            next_due,
            down,
            elsewhere,
        } = claims;
        self.belongs(elsewhere, down);
        if down {
            self.inherit();
            let room = self.room(target);
            return room.err().unwrap_or_else(|| Wake::at(Instant::now()));
        }
        // It may have been paused meanwhile, and whoever did that has heard that nothing begins any more.
        if shared.lanes.paused(&self.name).is_some() {
            for claimed in taken {
                attempt::release(shared, claimed.lease).await;
            }
            return Wake::NEVER;
        }
        let full = taken.len() >= most;
        for claimed in taken {
            self.start(&attempter, claimed);
        }
        if full {
            // There may be more that is due, for when there is room again.
            let room = self.room(target);
            return room.err().unwrap_or_else(|| Wake::at(Instant::now()));
        }
        let due = next_due.map(|due| {
            let wait = clock::between(shared.clock.now(), due);
            Instant::now() + wait.clamp(SHORTEST_WAIT, LONGEST_WAIT)
        });
        Wake {
            at: due,
            arrival: true,
        }
    }

    /// How many attempts may begin now, which is at least one; else what to wait for.
    fn room(&self, target: &Target) -> Result<usize, Wake> {
        if self.paused {
            return Err(Wake::NEVER);
        }
        let now = Instant::now();
        let free = target.concurrency.max(1).saturating_sub(self.running.len());
        let free = match self.breaker.permit(now) {
            Permit::Free => free,
            Permit::Probe => free.min(1),
            Permit::NotBefore(time) => return Err(Wake::at(time)),
            // Its end wakes, as that of any attempt does.
            Permit::AfterProbe => 0,
        };
        if free == 0 {
            return Err(Wake::NEVER);
        }
        match self.pacer.room(now) {
            0 => Err(Wake::at(self.pacer.wake(now))),
            paced => Ok(free.min(paced)),
        }
    }

    /// Takes note of who makes the attempts.
    fn belongs(&mut self, elsewhere: bool, down: bool) {
        let before = self.elsewhere.replace(elsewhere);
        if before == Some(elsewhere) {
            return;
        }
        if elsewhere {
            self.breaker.forget();
            tracing::debug!(target_name = %self.name, "the attempts to this target are not made here");
        } else if before.is_some() {
            tracing::debug!(target_name = %self.name, "the attempts to this target are made here from now on");
            // What this instance said of it when it had it last counts no more.
            if !down {
                self.shared.store.set_down(&self.name, false);
            }
            // Who made them before may have had no such route.
            self.resume(&self.shared.plan.get());
        }
    }

    /// Whoever had the target before took it to be down. The store is told again, since it is ours to say now.
    fn inherit(&mut self) {
        let down = self.breaker.inherit(Instant::now());
        if down {
            tracing::info!(
                target_name = %self.name,
                "this target was taken to be down where the attempts were made before; it is probed"
            );
        }
        self.shared.store.set_down(&self.name, down);
    }

    fn start(&mut self, attempter: &Arc<Attempter>, claimed: Claimed) {
        let now = Instant::now();
        let under_way = UnderWay {
            lease: claimed.lease,
            begun: Some((self.breaker.begin(now), self.pacer.take(now))),
        };
        let attempter = Arc::clone(attempter);
        let phase = self.phase.clone();
        // A task's future is moved until it runs, and its place written over when it ends; this one has some kilobytes.
        let attempt = Box::pin(async move { attempter.attempt(claimed, phase).await });
        let task = self.running.spawn(attempt);
        self.under_way.insert(task.id(), under_way);
    }

    /// Takes note of an attempt that ended; one that broke down is released after a pause.
    fn reap(&mut self, ended: Result<(Id, Verdict), JoinError>) {
        let error = match ended {
            Ok((id, verdict)) => {
                let begun = self.under_way.remove(&id).and_then(|it| it.begun);
                if let Some((ticket, slot)) = begun {
                    self.ended(ticket, verdict);
                    if verdict == Verdict::Unknown {
                        self.pacer.give_back(slot);
                    }
                }
                return;
            }
            Err(error) => error,
        };
        let Some(UnderWay { lease, begun }) = self.under_way.remove(&error.id()) else {
            return;
        };
        // Whether it had sent something is not known, so its slot is taken.
        if let Some((ticket, _)) = begun {
            self.ended(ticket, Verdict::Unknown);
        }
        tracing::error!(
            target_name = %self.name, delivery = %lease.delivery, %error,
            "an attempt broke down; it will be made again"
        );
        let shared = Arc::clone(&self.shared);
        let mut phase = self.phase.clone();
        let task = self.running.spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(BROKEN_PAUSE) => {}
                () = attempt::reached(&mut phase, Phase::Stopping) => {}
            }
            attempt::release(&shared, lease).await;
            Verdict::Unknown
        });
        let begun = None;
        self.under_way.insert(task.id(), UnderWay { lease, begun });
    }

    /// Takes note of what an attempt says of the target.
    fn ended(&mut self, ticket: Ticket, verdict: Verdict) {
        let turn = self.breaker.end(ticket, verdict, Instant::now());
        if let Some(turn) = turn {
            self.tell(turn);
        }
    }

    fn tell(&self, turn: Turn) {
        let down = turn != Turn::Closed;
        self.shared.store.set_down(&self.name, down);
        match turn {
            Turn::Opened(why) => {
                self.board.opened();
                let last = self.breaker.last_fault().map(tracing::field::display);
                tracing::warn!(
                    target_name = %self.name, %why, last_failure = last,
                    "a target is taken to be down; its deliveries wait, and it is probed"
                );
            }
            Turn::Closed => tracing::info!(
                target_name = %self.name, "deliveries to a target that was taken to be down go on"
            ),
        }
    }

    /// Lets the attempts under way end, until they are to be cut off; releases what is left then.
    async fn wind_up(&mut self) {
        let mut phase = self.phase.clone();
        tokio::select! {
            () = self.all_ended() => return,
            () = attempt::reached(&mut phase, Phase::Cut) => {}
        }
        if tokio::time::timeout(CUT_GRACE, self.all_ended())
            .await
            .is_ok()
        {
            return;
        }
        self.running.shutdown().await;
        for (_, UnderWay { lease, .. }) in self.under_way.drain() {
            attempt::release(&self.shared, lease).await;
        }
    }

    async fn all_ended(&mut self) {
        while let Some(ended) = self.running.join_next_with_id().await {
            self.reap(ended);
        }
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
