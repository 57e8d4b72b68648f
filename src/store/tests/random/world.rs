//! A store and the model of it, asked to do the same.

mod lives;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use super::super::super::contract::{admission, name};
use super::super::super::{
    Admission, AuditNote, Claimed, DedupeKey, DeliveryFilter, LocalStore, Pause, ReplayFilter,
    ReplayPhase, ReplayState, Revival, Settled, Settlement, Store, StoreError, StoreOptions,
};
use super::super::{assert_sound, clock, open, options};
use super::model::{Frozen, Model};
use super::{Admit, DAY, End, Fold, Index, Leg, Op, Setting};
use crate::clock::{Clock, ManualClock};
use crate::delivery::{
    Attempt, BodyFrom, DeadReason, Delivery, Failure, Next, Outcome, ReplayMark, ReplayMode, Sent,
    State, StateKind,
};
use crate::id::{DeliveryId, Digest, EventId, ReplayId, TargetName};
use crate::order::{Order, OrderKey};

const RETENTION: Duration = Duration::from_secs(7 * DAY);

const TARGETS: [&str; 3] = ["audit", "crm", "erp"];

const ROUTES: [&str; 2] = ["orders", "other"];

/// Attempts of a delivery that outlive everything.
const KEPT_ATTEMPTS: usize = 10;

pub struct World {
    setting: Setting,
    folder: tempfile::TempDir,
    options: StoreOptions,
    clock: Arc<ManualClock>,
    store: Arc<LocalStore>,
    model: Model,
    leases: Vec<Claimed>,
    /// Targets of which nothing more was due, and when the next one is: until then who claims waits to be told.
    asleep: BTreeMap<TargetName, Option<Timestamp>>,
    is_paused: bool,
    lives: u32,
}

impl World {
    pub async fn new(setting: Setting) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = clock();
        let options = StoreOptions {
            window: setting.window,
            window_bytes: setting.window_bytes,
            fold_batch: setting.fold_batch,
            segment_bytes: setting.segment_bytes,
            retention: RETENTION,
            dead_retention: setting.dead_retention,
            ..options(&folder.path().join("0"))
        };
        let store = Arc::new(open(&options, &clock).await);
        let is_paused = setting.is_steady;
        store.pause_fold(is_paused);
        Self {
            setting,
            folder,
            options,
            clock,
            store,
            model: Model::default(),
            leases: Vec::new(),
            asleep: BTreeMap::new(),
            is_paused,
            lives: 0,
        }
    }

    pub async fn run(&mut self, op: Op) {
        match op {
            Op::Admit(admit) => self.admit(&admit).await,
            Op::Claim { target, most } => {
                self.claim(TARGETS[usize::from(target)], most).await;
            }
            Op::Settle { which, freeze, end } => {
                if let Some(claimed) = self.leased(which) {
                    self.settle(claimed, freeze, &end).await;
                }
            }
            Op::Release { which } => {
                if let Some(claimed) = self.leased(which) {
                    let released = self.store.release(claimed.lease).await;
                    assert_eq!(released, Ok(Settled::Recorded));
                    self.model.release(claimed.delivery.id);
                }
            }
            Op::Hold { which } => {
                if let Some(claimed) = self.leased(which) {
                    let held = self.store.hold(claimed.lease).await;
                    assert_eq!(held, Ok(Settled::Recorded));
                    self.model.hold(claimed.delivery.id);
                }
            }
            Op::Resume { target, other } => {
                self.resume(TARGETS[usize::from(target)], ROUTES[usize::from(other)])
                    .await;
            }
            Op::Revive { which } => {
                if let Some(id) = chosen(self.model.known.keys(), which) {
                    self.revive(id).await;
                }
            }
            Op::Replay { which, job, anew } => {
                if let Some(id) = chosen(self.model.known.keys(), which) {
                    let mode = match anew {
                        true => ReplayMode::Rerender,
                        false => ReplayMode::Frozen,
                    };
                    self.revive_as(id, Revival::new(mode, Some(job_id(job))))
                        .await;
                }
            }
            Op::Add { which, legs } => {
                if let Some(event) = chosen(self.model.events.keys(), which) {
                    self.add(event, &legs).await;
                }
            }
            Op::Pause { target, on } => self.pause(TARGETS[usize::from(target)], on).await,
            Op::Progress { job, end } => self.progress(job_id(job), end).await,
            Op::Plan(number) => {
                let fingerprint = Digest::of(&[number]);
                let wanted = self.model.generation(fingerprint, self.now());
                assert_eq!(self.store.generation(fingerprint).await, Ok(wanted));
            }
            Op::Discard { which } => {
                if let Some(id) = chosen(self.model.known.keys(), which) {
                    self.discard(id).await;
                }
            }
            Op::Purge { which } => {
                if let Some(event) = chosen(self.model.events.keys(), which) {
                    self.purge(event).await;
                }
            }
            Op::Audit => self.audit().await,
            Op::Pass(time) => self.clock.advance(time),
            Op::Clean => self.clean().await,
            Op::Fold(fold) => self.fold(fold).await,
            Op::Restart(index) => self.restart(index).await,
            Op::Crash { index, cleaning } => self.crash(index, cleaning).await,
            Op::Compare => self.compare().await,
        }
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// One of those that are claimed; it is not any more.
    fn leased(&mut self, which: u8) -> Option<Claimed> {
        let count = self.leases.len();
        (count > 0).then(|| self.leases.swap_remove(usize::from(which) % count))
    }

    async fn admit(&mut self, admit: &Admit) {
        let now = self.now();
        let marker = format!("marker-{}-", self.model.admitted());
        let new = admitted(admit, &marker, now);
        let wanted = self.model.admit(&new, &marker, now);
        let found = self.store.admit(new).await.unwrap();
        assert_eq!((found.event, found.novelty), wanted);
    }

    /// Claims, and looks that it is what the model says.
    async fn claim(&mut self, target: &str, most: usize) -> Vec<DeliveryId> {
        let (target, now) = (name(target), self.now());
        let wanted = self.model.due(&target, most, now);
        if let Some(until) = self.asleep.remove(&target)
            && !wanted.is_empty()
            && until.is_none_or(|until| until > now)
        {
            let arrivals = self.store.arrivals(&target);
            let told = tokio::time::timeout(Duration::ZERO, arrivals.notified()).await;
            assert!(told.is_ok(), "nobody told of {wanted:?}");
        }
        let claims = self.store.claim(&target, most).await.unwrap();
        let taken = claims.taken.iter();
        let ids: Vec<_> = taken.map(|it| it.delivery.id).collect();
        assert_eq!(ids, wanted, "what is due to {target}");
        for claimed in claims.taken {
            self.take(claimed);
        }
        if ids.len() < most {
            let (next, told) = (self.model.next_due(&target, now), claims.next_due);
            assert!(
                next.is_none_or(|next| told.is_some_and(|told| told <= next)),
                "the next one is due at {next:?}, not {told:?}"
            );
            assert!(told.is_none_or(|told| told > now), "{told:?} is over");
            self.asleep.insert(target, told);
        }
        ids
    }

    fn take(&mut self, claimed: Claimed) {
        let id = claimed.delivery.id;
        let known = self.model.known.get_mut(&id).unwrap();
        assert_eq!(claimed.delivery, known.delivery);
        assert_eq!(claimed.lease.delivery, id);
        let event = &self.model.events[&known.delivery.event];
        assert_eq!(*claimed.event.parts(), event.parts);
        let frozen = claimed.frozen.as_deref();
        known.frozen = match (&known.frozen, frozen) {
            (Frozen::Never | Frozen::Perhaps(_), None) => Frozen::Never,
            (Frozen::Kept(text) | Frozen::Perhaps(text), Some(found)) => {
                assert_eq!(text.as_bytes(), found);
                Frozen::Kept(text.clone())
            }
            (known, found) => panic!("{found:?} was sent before, not {known:?}"),
        };
        self.model.claimed.insert(id);
        self.leases.push(claimed);
    }

    async fn settle(&mut self, claimed: Claimed, freeze: bool, end: &End) {
        let (id, now) = (claimed.delivery.id, self.now());
        let marker = &self.model.events[&claimed.delivery.event].marker;
        let number = claimed.delivery.attempts + 1;
        let (next, outcome) = match end {
            End::Done => {
                let answered = Outcome::Answered {
                    status: 200,
                    retry_after: None,
                    snippet: format!("{marker} thanks"),
                };
                (Next::Done, answered)
            }
            End::RetryIn(span) => {
                let failed = Outcome::Failed {
                    failure: Failure::Timeout,
                    detail: format!("{marker} timed out"),
                };
                (Next::RetryAt(now + *span), failed)
            }
            End::Bury => {
                let reason = match number % 2 {
                    0 => DeadReason::Exhausted,
                    _ => DeadReason::Render,
                };
                let unsendable = Outcome::Unsendable {
                    reason,
                    detail: format!("{marker} line 1"),
                };
                (Next::Bury(reason), unsendable)
            }
        };
        // what is frozen is not rendered again
        let renders = freeze && claimed.frozen.is_none();
        let settlement = Settlement {
            attempt: Attempt {
                number,
                started_at: now,
                took: Duration::from_millis(1),
                outcome,
                sent: freeze.then(|| Sent {
                    generation: self.model.plan.map(|(_, plan)| plan.number),
                    template: Some(Digest::of(marker.as_bytes())),
                    body_from: Some(BodyFrom::Rendered),
                    body: Some(Digest::of(id.as_bytes())),
                }),
            },
            next,
            frozen: renders.then(|| Bytes::from(format!("{marker} sent at {now} to {id}"))),
        };
        self.model.settle(id, &settlement, now);
        let settled = self.store.settle(claimed.lease, settlement).await;
        assert_eq!(settled, Ok(Settled::Recorded));
    }

    async fn resume(&mut self, target: &str, route: &str) {
        let (target, now) = (name(target), self.now());
        let routes = BTreeSet::from([route.parse().unwrap()]);
        let wanted = self.model.resume(&target, &routes, now);
        let resumed = self.store.resume(&target, &routes).await;
        assert_eq!(resumed, Ok(wanted));
    }

    async fn revive(&mut self, id: DeliveryId) {
        self.revive_as(id, Revival::PLAIN).await;
    }

    async fn revive_as(&mut self, id: DeliveryId, how: Revival) {
        let wanted = self.model.revive_as(id, how, self.now());
        assert_eq!(self.store.revive_as(id, how).await, wanted);
        self.fence().await;
    }

    async fn add(&mut self, event: EventId, legs: &[Leg]) {
        let now = self.now();
        let mark = ReplayMark {
            job: Some(job_id(0)),
            mode: ReplayMode::Reroute,
            of: self.model.known.keys().next().copied(),
        };
        let mut new = legs_of(legs, event, now);
        new.iter_mut().for_each(|it| it.mark = Some(mark));
        let wanted = self.model.add(event, &new);
        assert_eq!(self.store.add_deliveries(event, new).await, wanted);
    }

    async fn pause(&mut self, target: &str, on: bool) {
        let (target, since) = (name(target), self.now());
        let by = "somebody".to_owned();
        let paused = self.store.set_pause(&target, on.then(|| by.clone())).await;
        let wanted = match on {
            true => {
                let pauses = self.model.pauses.entry(target);
                Some(pauses.or_insert(Pause { since, by }).clone())
            }
            false => {
                self.model.pauses.remove(&target);
                None
            }
        };
        assert_eq!(paused, Ok(wanted));
    }

    async fn progress(&mut self, id: ReplayId, end: bool) {
        let now = self.now();
        let begun = || {
            let filter = ReplayFilter::default();
            ReplayState::begun(id, ReplayMode::Rerender, filter, "somebody", now)
        };
        let replay = self.model.replays.entry(id).or_insert_with(begun);
        replay.done += 1;
        if end {
            (replay.phase, replay.finished_at) = (ReplayPhase::Done, Some(now));
        }
        let put = self.store.put_replay(replay, true).await;
        assert_eq!(put, Ok(()));
        self.model.replays_put.insert(id, now);
        self.model.synced();
    }

    async fn discard(&mut self, id: DeliveryId) {
        let wanted = self.model.discard(id, self.now());
        assert_eq!(self.store.discard(id).await, wanted);
        self.fence().await;
    }

    async fn purge(&mut self, event: EventId) {
        let wanted = self.model.purge(event, self.now());
        let purged = self.store.purge(event).await.unwrap();
        assert_eq!((purged.at, purged.discarded), wanted);
        self.fence().await;
        assert_eq!(
            self.store.event(event).await.map(drop),
            Err(StoreError::Purged)
        );
        self.nothing_purged_is_on_disk();
    }

    /// Whoever has what an operator took away is fenced.
    async fn fence(&mut self) {
        let claimed = &self.model.claimed;
        let fenced = |it: &mut Claimed| !claimed.contains(&it.delivery.id);
        for claimed in self.leases.extract_if(.., fenced) {
            let released = self.store.release(claimed.lease).await;
            assert_eq!(released, Ok(Settled::Fenced));
        }
    }

    fn nothing_purged_is_on_disk(&self) {
        let mut texts: Vec<String> = Vec::new();
        for (id, event) in &self.model.events {
            if event.purged_at.is_some() {
                texts.extend([event.marker.clone(), format!("msg-{id}")]);
            }
        }
        for entry in std::fs::read_dir(self.options.path.join("journal")).unwrap() {
            let path = entry.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            let holds = |text: &&String| bytes.windows(text.len()).any(|it| it == text.as_bytes());
            let found = texts.iter().find(holds);
            assert_eq!(found, None, "{} was purged", path.display());
        }
    }

    async fn audit(&mut self) {
        let note = AuditNote {
            actor: "somebody".to_owned(),
            action: "reload".to_owned(),
            subject: format!("number {}", self.model.audits.len()),
            ok: true,
            detail: String::new(),
        };
        let entry = self.store.audit(note.clone()).await.unwrap();
        assert_eq!((&entry.note, entry.at), (&note, self.now()));
        self.model.audits.insert(entry.id, entry);
        self.model.synced();
    }

    async fn fold(&mut self, fold: Fold) {
        match fold {
            Fold::CatchUp => self.catch_up().await,
            Fold::Pause | Fold::Run if self.setting.is_steady => {}
            Fold::Pause => self.is_paused = true,
            Fold::Run => self.is_paused = false,
        }
        self.store.pause_fold(self.is_paused);
    }

    /// Waits until all is on disk and in the index. The fold runs from here on.
    async fn catch_up(&mut self) {
        self.store.pause_fold(false);
        loop {
            let is_idle = {
                let state = self.store.inner().state();
                let is_written = state.entries.values().all(|it| it.writing == 0);
                is_written && state.unfolded == 0
            };
            if is_idle {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.model.synced();
    }

    async fn clean(&mut self) {
        self.catch_up().await;
        let now = self.now();
        for id in self.old_and_dead() {
            self.model.let_go(id, now);
        }
        self.store.clean_once().await.unwrap();
        self.forget().await;
        self.store.pause_fold(self.is_paused);
    }

    /// Dead letters that cleaning lets go.
    fn old_and_dead(&self) -> Vec<DeliveryId> {
        let kept = self.setting.dead_retention;
        kept.map_or_else(Vec::new, |kept| self.model.dead_before(self.now() - kept))
    }

    /// Forgets what cleaning may have let go and has.
    async fn forget(&mut self) {
        let (store, now) = (&self.store, self.now());
        let past = now - RETENTION;
        let all = DeliveryFilter::default();
        let listed = store.deliveries(&all, None, usize::MAX).await.unwrap();
        let listed: BTreeSet<_> = listed.into_iter().map(|it| it.id).collect();
        let known: Vec<_> = self.model.known.keys().copied().collect();
        for id in known.into_iter().filter(|id| !listed.contains(id)) {
            assert_eq!(store.delivery(id).await, Err(StoreError::NotFound));
            self.model.delivery_gone(id, past);
        }
        let listed = store.events(None, usize::MAX).await.unwrap();
        let listed: BTreeSet<_> = listed.into_iter().map(|it| it.id).collect();
        let known: Vec<_> = self.model.events.keys().copied().collect();
        for id in known.into_iter().filter(|id| !listed.contains(id)) {
            assert_eq!(store.event_row(id).await, Err(StoreError::NotFound));
            self.model.event_gone(id, past, now);
        }
        let listed = store.audits(None, usize::MAX).await.unwrap();
        let listed: BTreeSet<_> = listed.into_iter().map(|it| it.id).collect();
        let known: Vec<_> = self.model.audits.keys().copied().collect();
        for id in known.into_iter().filter(|id| !listed.contains(id)) {
            self.model.audit_gone(id, past);
        }
        let listed = store.replays(None, usize::MAX).await.unwrap();
        let listed: BTreeSet<_> = listed.into_iter().map(|it| it.id).collect();
        let known: Vec<_> = self.model.replays.keys().copied().collect();
        for id in known.into_iter().filter(|id| !listed.contains(id)) {
            self.model.replay_gone(id, past);
        }
    }

    /// Everything that can be read is as the model says.
    async fn compare(&self) {
        self.compare_deliveries().await;
        let (store, model) = (&self.store, &self.model);
        let events = store.events(None, usize::MAX).await.unwrap();
        let wanted = model.events.keys().rev().map(|id| model.row(*id));
        assert_eq!(events, wanted.collect::<Vec<_>>());
        for (id, known) in &model.events {
            let event = store.event(*id).await;
            match known.purged_at {
                None => assert_eq!(*event.unwrap().parts(), known.parts),
                Some(_) => assert_eq!(event.map(drop), Err(StoreError::Purged)),
            }
        }
        let audits = store.audits(None, usize::MAX).await.unwrap();
        let wanted: Vec<_> = model.audits.values().rev().cloned().collect();
        assert_eq!(audits, wanted);
        assert_eq!(store.pauses().await.as_ref(), Ok(&model.pauses));
        let replays = store.replays(None, usize::MAX).await.unwrap();
        let wanted: Vec<_> = model.replays.values().rev().cloned().collect();
        assert_eq!(replays, wanted);
        if let Some((fingerprint, generation)) = model.plan {
            assert_eq!(store.generation(fingerprint).await, Ok(generation));
        }
        assert_eq!(store.depths().await.unwrap(), model.depths());
        assert_eq!(store.dead_groups().await.unwrap(), model.dead_groups());
    }

    async fn compare_deliveries(&self) {
        let (store, model) = (&self.store, &self.model);
        let newest_first = || model.known.values().rev().map(|it| &it.delivery);
        let mut filters = vec![DeliveryFilter::default()];
        for target in TARGETS {
            for state in StateKind::ALL {
                filters.push(DeliveryFilter {
                    target: Some(name(target)),
                    ..DeliveryFilter::of_state(state)
                });
            }
        }
        for filter in filters {
            let found = store.deliveries(&filter, None, usize::MAX).await.unwrap();
            let passes = |it: &&Delivery| filter.takes(it, None);
            let wanted: Vec<_> = newest_first().filter(passes).cloned().collect();
            assert_eq!(found, wanted, "{filter:?}");
        }
        for (id, known) in &model.known {
            let attempts = store.attempts(*id).await.unwrap();
            assert!(attempts.len() >= known.attempts.len().min(KEPT_ATTEMPTS));
            assert!(known.attempts.ends_with(&attempts), "{id}: {attempts:?}");
            assert_eq!(store.listed(*id).await, Ok(model.listed(known)));
            let frozen = store.frozen(*id).await;
            match &known.frozen {
                _ if known.purged => assert_eq!(frozen, Err(StoreError::Purged)),
                Frozen::Never => assert_eq!(frozen, Ok(None)),
                Frozen::Kept(text) => {
                    assert_eq!(frozen.unwrap().as_deref(), Some(text.as_bytes()));
                }
                Frozen::Perhaps(text) => {
                    let frozen = frozen.unwrap();
                    assert!(frozen.is_none_or(|it| it == text.as_bytes()));
                }
            }
        }
    }

    /// Everything can be delivered, once, each line in its order; then nothing is left of it.
    pub async fn end(mut self) {
        if self.setting.is_reopened {
            self.restart(Index::Same).await;
        }
        self.compare().await;
        self.drain().await;
        self.compare().await;
        let is_open = |it: &Delivery| matches!(it.state, State::Pending { .. });
        let mut known = self.model.known.values();
        assert!(!known.any(|it| is_open(&it.delivery)));
        assert_eq!(self.store.depths().await, Ok(Vec::new()));

        let past = self.now() + RETENTION;
        let keys_end = self.model.keys_end().unwrap_or(past);
        self.clock
            .set(past.max(keys_end) + Duration::from_secs(DAY));
        self.clean().await;
        while self.store.inner().journal.segments().len() > 1 {
            let removed = self.store.clean_once().await.unwrap();
            assert!(removed > 0, "old segments stay though nothing needs them");
        }
        self.forget().await;
        self.compare().await;
        self.store.close().await;
        assert_sound(&self.options.path);
    }

    async fn drain(&mut self) {
        while let Some(claimed) = self.leased(0) {
            let released = self.store.release(claimed.lease).await;
            assert_eq!(released, Ok(Settled::Recorded));
            self.model.release(claimed.delivery.id);
        }
        for target in TARGETS {
            for route in ROUTES {
                self.resume(target, route).await;
            }
        }
        let known = self.model.known.values();
        let dead = known.filter(|it| matches!(it.delivery.state, State::Dead { .. }) && !it.purged);
        for id in dead.map(|it| it.delivery.id).collect::<Vec<_>>() {
            self.revive(id).await;
        }
        let mut delivered = BTreeSet::new();
        let mut lines: BTreeMap<(TargetName, OrderKey), u64> = BTreeMap::new();
        loop {
            let mut ids = Vec::new();
            for target in TARGETS {
                ids.extend(self.claim(target, 7).await);
            }
            for id in &ids {
                assert!(delivered.insert(*id), "{id} came twice");
                let known = &self.model.known[id];
                if let Some(order) = known.delivery.order {
                    let line = (known.delivery.target.clone(), order.key);
                    let last = lines.insert(line, known.rank);
                    assert!(last.is_none_or(|last| last <= known.rank));
                }
            }
            while let Some(claimed) = self.leased(0) {
                self.settle(claimed, true, &End::Done).await;
            }
            if !ids.is_empty() {
                continue;
            }
            let mut known = self.model.known.values();
            if known.all(|it| !matches!(it.delivery.state, State::Pending { .. })) {
                return;
            }
            let next = TARGETS.map(|to| self.model.next_due(&name(to), self.now()));
            self.clock
                .set(next.into_iter().flatten().min().expect("all is stuck"));
        }
    }
}

/// One of them, by a number.
fn chosen<'a, T: Copy + 'a>(mut all: impl ExactSizeIterator<Item = &'a T>, which: u8) -> Option<T> {
    let count = all.len();
    let at = (count > 0).then(|| usize::from(which) % count)?;
    all.nth(at).copied()
}

fn admitted(admit: &Admit, marker: &str, now: Timestamp) -> Admission {
    let long = if admit.is_long { 3000 } else { 0 };
    let body = format!("{{\"{marker}\": \"{}\"}}", "x".repeat(long));
    let mut new = admission(now, &[], &body);
    new.deliveries = legs_of(&admit.legs, new.event.id(), now);
    new.dedupe = admit.key.as_ref().map(|key| DedupeKey {
        key: [key.key; 32],
        body: [key.body; 32],
        window: key.window,
    });
    new
}

/// One of three replays.
fn job_id(number: u8) -> ReplayId {
    ReplayId::from_bytes([number; 16])
}

fn legs_of(legs: &[Leg], event: EventId, now: Timestamp) -> Vec<Delivery> {
    legs.iter()
        .map(|leg| Delivery {
            id: DeliveryId::generate(),
            event,
            route: ROUTES[usize::from(leg.other)].parse().unwrap(),
            target: name(TARGETS[usize::from(leg.target)]),
            state: if leg.is_dead {
                let reason = DeadReason::NotJson;
                State::Dead { at: now, reason }
            } else {
                State::Pending { due: now }
            },
            attempts: 0,
            started_at: now,
            order: leg.order.map(|(key, on_dead)| Order {
                key: OrderKey::from_bytes([key; 16]),
                on_dead,
            }),
            mark: None,
        })
        .collect()
}
