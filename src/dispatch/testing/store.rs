//! A store in memory, whose calls fail when told to, and which several instances can share.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::Notify;

use super::event;
use crate::clock::{Clock, SystemClock};
use crate::delivery::{Attempt, Delivery, HELD, LastAttempt, Next, State, StateKind};
use crate::event::Event;
use crate::id::{AuditId, DeliveryId, Digest, EventId, ReplayId, RouteName, TargetName};
use crate::plan::Generation;
use crate::store::{
    Admission, Admitted, AuditEntry, AuditNote, Claimed, Claims, DeadGroup, DeliveryFilter, Depth,
    EventFilter, EventRow, Found, Health, Instance, Lease, ListedDelivery, Novelty, Pause, Purged,
    Receipt, ReplayPhase, ReplayState, Revival, RevivedBody, Settled, Settlement, Store,
    StoreError, Task, Window,
};

/// A store in memory, as one instance sees it.
pub(crate) struct MemoryStore {
    clock: Arc<dyn Clock>,
    /// The number of the instance.
    me: u64,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    events: BTreeMap<EventId, Arc<Event>>,
    deliveries: BTreeMap<DeliveryId, Delivery>,
    attempts: HashMap<DeliveryId, Vec<Attempt>>,
    frozen: HashMap<DeliveryId, Bytes>,
    out: HashSet<Lease>,
    tokens: u64,
    arrivals: HashMap<TargetName, Arc<Notify>>,
    released: Vec<DeliveryId>,
    audits: Vec<AuditEntry>,
    receipts: HashMap<EventId, Receipt>,
    generation: Option<(Digest, Generation)>,
    pauses: BTreeMap<TargetName, Pause>,
    replays: BTreeMap<ReplayId, ReplayState>,
    purged: HashMap<EventId, Timestamp>,
    claims: usize,
    resumes: usize,
    /// So many calls fail before the next one works.
    failing_claims: usize,
    failing_settles: usize,
    /// Whether the next call to `settle` panics.
    panicking: bool,
    unavailable: Option<String>,
    fleet: Fleet,
}

/// What instances share besides what is stored.
#[derive(Default)]
struct Fleet {
    /// Those that live; none where there has only ever been one.
    living: BTreeSet<u64>,
    owners: BTreeMap<Task, u64>,
    /// Targets that are taken to be down, and who says so.
    down: BTreeMap<TargetName, u64>,
    plans: BTreeMap<u64, (u64, Digest)>,
    /// The targets of those that have told them.
    targets: BTreeMap<u64, BTreeSet<TargetName>>,
}

impl Fleet {
    /// Whether this instance does it: it did, or nobody.
    fn own(&mut self, task: Task, me: u64) -> bool {
        *self.owners.entry(task).or_insert(me) == me
    }
}

impl MemoryStore {
    pub(crate) fn new() -> Arc<Self> {
        Self::with_clock(Arc::new(SystemClock))
    }

    pub(crate) fn with_clock(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            clock,
            me: 1,
            inner: Arc::default(),
        })
    }

    /// The same store as the instance of this number sees it, which lives from now on.
    pub(crate) fn instance(&self, number: u64) -> Arc<Self> {
        self.lock().fleet.living.extend([self.me, number]);
        Arc::new(Self {
            clock: Arc::clone(&self.clock),
            me: number,
            inner: Arc::clone(&self.inner),
        })
    }

    /// This instance is heard of no more: what it did falls to the others.
    pub(crate) fn bury(&self) {
        let mut inner = self.lock();
        let me = self.me;
        inner.fleet.living.remove(&me);
        inner.fleet.owners.retain(|_, owner| *owner != me);
        inner.arrivals.values().for_each(|it| it.notify_waiters());
    }

    /// Whether this instance is the one that does this.
    pub(crate) fn owns(&self, task: &Task) -> bool {
        self.lock().fleet.owners.get(task) == Some(&self.me)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// Adds an event with one pending delivery to each target and returns their ids.
    pub(crate) fn add(&self, body: &[u8], targets: &[&str]) -> (EventId, Vec<DeliveryId>) {
        self.add_event(event(body, self.clock.now()), targets)
    }

    /// The same of this event.
    pub(crate) fn add_event(&self, event: Event, targets: &[&str]) -> (EventId, Vec<DeliveryId>) {
        let now = self.clock.now();
        let event = Arc::new(event);
        let mut inner = self.lock();
        inner.events.insert(event.id(), Arc::clone(&event));
        let ids = targets
            .iter()
            .map(|target| {
                let delivery = Delivery {
                    id: DeliveryId::generate(),
                    event: event.id(),
                    route: "all".parse().unwrap(),
                    target: target.parse().unwrap(),
                    state: State::Pending { due: now },
                    attempts: 0,
                    started_at: now,
                    order: None,
                    mark: None,
                };
                let id = delivery.id;
                let notify = inner.notify(&delivery.target);
                inner.deliveries.insert(id, delivery);
                notify.notify_waiters();
                id
            })
            .collect();
        (event.id(), ids)
    }

    pub(crate) fn state(&self, id: DeliveryId) -> State {
        self.lock().deliveries[&id].state.clone()
    }

    pub(crate) fn change(&self, id: DeliveryId, change: impl FnOnce(&mut Delivery)) {
        let mut inner = self.lock();
        let delivery = inner.deliveries.get_mut(&id).unwrap();
        change(delivery);
        let target = delivery.target.clone();
        inner.notify(&target).notify_waiters();
    }

    pub(crate) fn count(&self, kind: StateKind) -> usize {
        let inner = self.lock();
        let of_kind = |delivery: &&Delivery| delivery.state.kind() == kind;
        inner.deliveries.values().filter(of_kind).count()
    }

    pub(crate) fn attempts_of(&self, id: DeliveryId) -> Vec<Attempt> {
        self.lock().attempts.get(&id).cloned().unwrap_or_default()
    }

    pub(crate) fn freeze(&self, id: DeliveryId, body: &'static [u8]) {
        self.lock().frozen.insert(id, Bytes::from_static(body));
    }

    pub(crate) fn leased(&self) -> usize {
        self.lock().out.len()
    }

    pub(crate) fn claims(&self) -> usize {
        self.lock().claims
    }

    pub(crate) fn resumes(&self) -> usize {
        self.lock().resumes
    }

    pub(crate) fn released(&self) -> Vec<DeliveryId> {
        self.lock().released.clone()
    }

    pub(crate) fn fail_next(&self, claims: usize, settles: usize) {
        let mut inner = self.lock();
        (inner.failing_claims, inner.failing_settles) = (claims, settles);
    }

    pub(crate) fn panic_next_settle(&self) {
        self.lock().panicking = true;
    }

    pub(crate) fn panics_next_settle(&self) -> bool {
        self.lock().panicking
    }

    pub(crate) fn set_unavailable(&self, why: Option<&str>) {
        self.lock().unavailable = why.map(str::to_owned);
    }
}

impl Inner {
    fn notify(&mut self, target: &TargetName) -> Arc<Notify> {
        Arc::clone(self.arrivals.entry(target.clone()).or_default())
    }

    /// Frees a target that its owner has no more, once nothing of it is out.
    fn leave(&mut self, target: &TargetName) {
        let task = Task::Target(target.clone());
        let fleet = &self.fleet;
        let owner = fleet.owners.get(&task);
        let targets = owner.and_then(|owner| fleet.targets.get(owner));
        let is_left = targets.is_some_and(|targets| !targets.contains(target));
        let of_it = |lease: &Lease| self.deliveries[&lease.delivery].target == *target;
        if is_left && !self.out.iter().any(of_it) {
            self.fleet.owners.remove(&task);
        }
    }

    fn pick_events<'a>(
        &self,
        filter: &EventFilter,
        window: Window<EventId>,
        events: impl Iterator<Item = &'a Arc<Event>>,
    ) -> Found<EventRow, EventId> {
        let row = |event: &Arc<Event>| {
            let row = self.row(event);
            let made = row.id.made_at();
            let mine = || self.deliveries.values().filter(|it| it.event == row.id);
            let passes = filter.event.is_none_or(|wanted| wanted == row.id)
                && filter.since.is_none_or(|since| made >= since)
                && filter.until.is_none_or(|until| made < until)
                && filter.takes(
                    &row.source,
                    &row.event_type,
                    row.message_id.as_deref(),
                    row.deliveries.len(),
                )
                && (!filter.asks_for_delivery() || mine().any(|it| filter.takes_delivery(it)));
            passes.then_some(row)
        };
        picked(window, events, |event| event.id(), row)
    }

    fn pick_deliveries<'a>(
        &self,
        filter: &DeliveryFilter,
        window: Window<DeliveryId>,
        deliveries: impl Iterator<Item = &'a Delivery>,
    ) -> Found<ListedDelivery, DeliveryId> {
        let row = |delivery: &Delivery| {
            let made = delivery.id.made_at();
            let parts = self.events[&delivery.event].parts();
            let last = self.attempts.get(&delivery.id).and_then(|all| all.last());
            let template = last.and_then(|it| it.sent?.template).map(|it| it.short());
            let passes = filter.takes(delivery, template)
                && filter.since.is_none_or(|since| made >= since)
                && filter.until.is_none_or(|until| made < until)
                && filter.takes_event(
                    &parts.source,
                    &parts.event_type,
                    parts.message_id.as_deref(),
                );
            passes.then(|| self.listed(delivery))
        };
        picked(window, deliveries, |it| it.id, row)
    }

    fn listed(&self, delivery: &Delivery) -> ListedDelivery {
        let parts = self.events[&delivery.event].parts();
        let attempts = self.attempts.get(&delivery.id);
        let attempts = attempts.map_or(&[][..], Vec::as_slice);
        ListedDelivery {
            delivery: delivery.clone(),
            source: parts.source.clone(),
            event_type: parts.event_type.clone(),
            last: attempts.last().map(|it| LastAttempt {
                started_at: it.started_at,
                took: it.took,
                result: (&it.outcome).into(),
            }),
            had_success: attempts.iter().any(|it| it.outcome.is_success()),
        }
    }

    fn row(&self, event: &Event) -> EventRow {
        let parts = event.parts();
        EventRow {
            id: parts.id,
            source: parts.source.clone(),
            message_id: parts.message_id.clone(),
            event_type: parts.event_type.clone(),
            received_at: parts.received_at,
            size: parts.body.len() as u64,
            deliveries: self
                .deliveries
                .values()
                .filter(|delivery| delivery.event == parts.id)
                .map(|delivery| delivery.id)
                .collect(),
            purged_at: self.purged.get(&parts.id).copied(),
        }
    }
}

/// Those of `rows` that pass, as far as the window goes.
fn picked<'a, T, Row, Id: Copy>(
    window: Window<Id>,
    rows: impl Iterator<Item = &'a T>,
    id: impl Fn(&T) -> Id,
    row: impl Fn(&T) -> Option<Row>,
) -> Found<Row, Id>
where
    T: 'a,
{
    let mut found = Found {
        rows: Vec::new(),
        rest: None,
    };
    let mut rows = rows.peekable();
    let mut looked_at = 0;
    while let Some(next) = rows.next() {
        found.rows.extend(row(next));
        looked_at += 1;
        if found.rows.len() >= window.limit || looked_at >= window.budget {
            found.rest = rows.peek().map(|_| id(next));
            break;
        }
    }
    found
}

fn injected(left: &mut usize) -> Result<(), StoreError> {
    if *left == 0 {
        return Ok(());
    }
    *left -= 1;
    Err(StoreError::Unavailable("on purpose".to_owned()))
}

#[async_trait]
impl Store for MemoryStore {
    async fn admit(&self, admission: Admission) -> Result<Admitted, StoreError> {
        let mut inner = self.lock();
        let event = admission.event.id();
        inner.events.insert(event, admission.event);
        if let Some(receipt) = admission.receipt {
            inner.receipts.insert(event, receipt);
        }
        for delivery in admission.deliveries {
            inner.notify(&delivery.target).notify_waiters();
            inner.deliveries.insert(delivery.id, delivery);
        }
        Ok(Admitted {
            event,
            novelty: Novelty::New,
        })
    }

    async fn claim(&self, target: &TargetName, most: usize) -> Result<Claims, StoreError> {
        let now = self.clock.now();
        let mut inner = self.lock();
        inner.claims += 1;
        injected(&mut inner.failing_claims)?;
        if !inner.fleet.living.is_empty() {
            inner.leave(target);
            if !inner.fleet.own(Task::Target(target.clone()), self.me) {
                return Ok(Claims {
                    elsewhere: true,
                    ..Claims::default()
                });
            }
            let said = inner.fleet.down.get(target).copied();
            if said.is_some_and(|by| by != self.me) {
                inner.fleet.down.remove(target);
                return Ok(Claims {
                    down: true,
                    ..Claims::default()
                });
            }
        }
        let out: HashSet<DeliveryId> = inner.out.iter().map(|lease| lease.delivery).collect();
        let mut waiting: Vec<(Timestamp, Delivery)> = inner
            .deliveries
            .values()
            .filter(|delivery| delivery.target == *target && !out.contains(&delivery.id))
            .filter_map(|delivery| match delivery.state {
                State::Pending { due } => Some((due, delivery.clone())),
                _ => None,
            })
            .collect();
        waiting.sort_by_key(|(due, delivery)| (*due, delivery.id));
        let mut claims = Claims::default();
        for (due, delivery) in waiting {
            if due > now || claims.taken.len() == most {
                claims.next_due = Some(due).filter(|due| *due < HELD);
                break;
            }
            inner.tokens += 1;
            let lease = Lease {
                delivery: delivery.id,
                token: inner.tokens,
            };
            inner.out.insert(lease);
            claims.taken.push(Claimed {
                lease,
                event: Arc::clone(&inner.events[&delivery.event]),
                frozen: inner.frozen.get(&delivery.id).cloned(),
                delivery,
            });
        }
        Ok(claims)
    }

    fn arrivals(&self, target: &TargetName) -> Arc<Notify> {
        self.lock().notify(target)
    }

    async fn settle(&self, lease: Lease, settlement: Settlement) -> Result<Settled, StoreError> {
        let now = self.clock.now();
        let mut inner = self.lock();
        if std::mem::take(&mut inner.panicking) {
            drop(inner);
            panic!("on purpose");
        }
        injected(&mut inner.failing_settles)?;
        if !inner.out.remove(&lease) {
            return Ok(Settled::Fenced);
        }
        let delivery = inner.deliveries.get_mut(&lease.delivery).unwrap();
        delivery.attempts = settlement.attempt.number;
        delivery.state = match settlement.next {
            Next::Done => State::Delivered { at: now },
            Next::RetryAt(due) => State::Pending { due },
            Next::Bury(reason) => State::Dead { at: now, reason },
        };
        let attempts = inner.attempts.entry(lease.delivery).or_default();
        attempts.push(settlement.attempt);
        if let Some(body) = settlement.frozen {
            inner.frozen.insert(lease.delivery, body);
        }
        if !inner.fleet.living.is_empty() {
            inner.arrivals.values().for_each(|it| it.notify_waiters());
        }
        Ok(Settled::Recorded)
    }

    async fn release(&self, lease: Lease) -> Result<Settled, StoreError> {
        let mut inner = self.lock();
        if !inner.out.remove(&lease) {
            return Ok(Settled::Fenced);
        }
        inner.released.push(lease.delivery);
        Ok(Settled::Recorded)
    }

    async fn hold(&self, lease: Lease) -> Result<Settled, StoreError> {
        let mut inner = self.lock();
        if !inner.out.remove(&lease) {
            return Ok(Settled::Fenced);
        }
        let delivery = inner.deliveries.get_mut(&lease.delivery).unwrap();
        delivery.state = State::Pending { due: HELD };
        Ok(Settled::Recorded)
    }

    async fn resume(
        &self,
        target: &TargetName,
        routes: &BTreeSet<RouteName>,
    ) -> Result<u64, StoreError> {
        let due = self.clock.now();
        let mut inner = self.lock();
        inner.resumes += 1;
        if let Some(why) = &inner.unavailable {
            return Err(StoreError::Unavailable(why.clone()));
        }
        let mut resumed = 0;
        for delivery in inner.deliveries.values_mut() {
            let wanted = delivery.target == *target && routes.contains(&delivery.route);
            if wanted && delivery.is_held() {
                delivery.state = State::Pending { due };
                resumed += 1;
            }
        }
        inner.notify(target).notify_waiters();
        Ok(resumed)
    }

    async fn revive_as(&self, id: DeliveryId, how: Revival) -> Result<Delivery, StoreError> {
        let now = self.clock.now();
        let mut inner = self.lock();
        if let Some(why) = &inner.unavailable {
            return Err(StoreError::Unavailable(why.clone()));
        }
        if how.body == RevivedBody::Anew {
            inner.frozen.remove(&id);
        }
        let delivery = inner.deliveries.get_mut(&id).ok_or(StoreError::NotFound)?;
        delivery.state = State::Pending { due: now };
        delivery.attempts = 0;
        delivery.started_at = now;
        delivery.mark = Some(how.mark);
        let revived = delivery.clone();
        inner.notify(&revived.target).notify_waiters();
        Ok(revived)
    }

    async fn add_deliveries(
        &self,
        event: EventId,
        deliveries: Vec<Delivery>,
    ) -> Result<(), StoreError> {
        let mut inner = self.lock();
        if inner.purged.contains_key(&event) {
            return Err(StoreError::Purged);
        }
        if !inner.events.contains_key(&event) {
            return Err(StoreError::NotFound);
        }
        for delivery in deliveries {
            inner.notify(&delivery.target).notify_waiters();
            inner.deliveries.insert(delivery.id, delivery);
        }
        Ok(())
    }

    async fn discard(&self, id: DeliveryId) -> Result<Delivery, StoreError> {
        let now = self.clock.now();
        let mut inner = self.lock();
        let delivery = inner.deliveries.get_mut(&id).ok_or(StoreError::NotFound)?;
        delivery.state = State::Discarded { at: now };
        Ok(delivery.clone())
    }

    async fn purge(&self, id: EventId) -> Result<Purged, StoreError> {
        let now = self.clock.now();
        let mut inner = self.lock();
        let event = inner.events.get(&id).ok_or(StoreError::NotFound)?;
        let mut parts = event.parts().clone();
        (parts.message_id, parts.headers) = (None, Vec::new());
        parts.body = Bytes::new();
        inner.events.insert(id, Arc::new(Event::from_stored(parts)));
        let at = *inner.purged.entry(id).or_insert(now);
        let mut discarded = 0;
        let mut ids = HashSet::new();
        for delivery in inner.deliveries.values_mut().filter(|it| it.event == id) {
            ids.insert(delivery.id);
            if matches!(delivery.state, State::Pending { .. } | State::Dead { .. }) {
                delivery.state = State::Discarded { at };
                discarded += 1;
            }
        }
        inner.out.retain(|lease| !ids.contains(&lease.delivery));
        inner.frozen.retain(|id, _| !ids.contains(id));
        Ok(Purged {
            at,
            discarded,
            records: 0,
        })
    }

    async fn event(&self, id: EventId) -> Result<Arc<Event>, StoreError> {
        let inner = self.lock();
        if inner.purged.contains_key(&id) {
            return Err(StoreError::Purged);
        }
        inner.events.get(&id).cloned().ok_or(StoreError::NotFound)
    }

    async fn event_row(&self, id: EventId) -> Result<EventRow, StoreError> {
        let inner = self.lock();
        let event = inner.events.get(&id).ok_or(StoreError::NotFound)?;
        Ok(inner.row(event))
    }

    async fn receipt(&self, id: EventId) -> Result<Option<Receipt>, StoreError> {
        let inner = self.lock();
        if !inner.events.contains_key(&id) {
            return Err(StoreError::NotFound);
        }
        Ok(inner.receipts.get(&id).cloned())
    }

    async fn find_events(
        &self,
        filter: &EventFilter,
        window: Window<EventId>,
    ) -> Result<Found<EventRow, EventId>, StoreError> {
        let inner = self.lock();
        let newest_first = inner.events.values().rev();
        let older = |event: &&Arc<Event>| window.past.is_none_or(|past| event.id() < past);
        Ok(inner.pick_events(filter, window, newest_first.filter(older)))
    }

    async fn events_from(
        &self,
        filter: &EventFilter,
        window: Window<EventId>,
    ) -> Result<Found<EventRow, EventId>, StoreError> {
        let inner = self.lock();
        let newer = |event: &&Arc<Event>| window.past.is_none_or(|past| event.id() > past);
        Ok(inner.pick_events(filter, window, inner.events.values().filter(newer)))
    }

    async fn delivery(&self, id: DeliveryId) -> Result<Delivery, StoreError> {
        let inner = self.lock();
        let delivery = inner.deliveries.get(&id);
        delivery.cloned().ok_or(StoreError::NotFound)
    }

    async fn listed(&self, id: DeliveryId) -> Result<ListedDelivery, StoreError> {
        let inner = self.lock();
        let delivery = inner.deliveries.get(&id).ok_or(StoreError::NotFound)?;
        Ok(inner.listed(delivery))
    }

    async fn frozen(&self, id: DeliveryId) -> Result<Option<Bytes>, StoreError> {
        let inner = self.lock();
        let delivery = inner.deliveries.get(&id).ok_or(StoreError::NotFound)?;
        if inner.purged.contains_key(&delivery.event) {
            return Err(StoreError::Purged);
        }
        Ok(inner.frozen.get(&id).cloned())
    }

    async fn find_deliveries(
        &self,
        filter: &DeliveryFilter,
        window: Window<DeliveryId>,
    ) -> Result<Found<ListedDelivery, DeliveryId>, StoreError> {
        let inner = self.lock();
        let newest_first = inner.deliveries.values().rev();
        let older = |it: &&Delivery| window.past.is_none_or(|past| it.id < past);
        Ok(inner.pick_deliveries(filter, window, newest_first.filter(older)))
    }

    async fn deliveries_from(
        &self,
        filter: &DeliveryFilter,
        window: Window<DeliveryId>,
    ) -> Result<Found<ListedDelivery, DeliveryId>, StoreError> {
        let inner = self.lock();
        let newer = |it: &&Delivery| window.past.is_none_or(|past| it.id > past);
        Ok(inner.pick_deliveries(filter, window, inner.deliveries.values().filter(newer)))
    }

    async fn attempts(&self, id: DeliveryId) -> Result<Vec<Attempt>, StoreError> {
        Ok(self.attempts_of(id))
    }

    async fn depths(&self) -> Result<Vec<Depth>, StoreError> {
        let inner = self.lock();
        let mut depths: BTreeMap<TargetName, Depth> = BTreeMap::new();
        for delivery in inner.deliveries.values() {
            let depth = depths
                .entry(delivery.target.clone())
                .or_insert_with(|| Depth {
                    target: delivery.target.clone(),
                    pending: 0,
                    dead: 0,
                    oldest_pending: None,
                });
            match delivery.state {
                State::Pending { .. } => {
                    depth.pending += 1;
                    let started = delivery.started_at;
                    let oldest = depth.oldest_pending.map_or(started, |at| at.min(started));
                    depth.oldest_pending = Some(oldest);
                }
                State::Dead { .. } => depth.dead += 1,
                State::Delivered { .. } | State::Discarded { .. } => {}
            }
        }
        Ok(depths
            .into_values()
            .filter(|depth| depth.pending + depth.dead > 0)
            .collect())
    }

    async fn dead_groups(&self) -> Result<Vec<DeadGroup>, StoreError> {
        let inner = self.lock();
        let mut groups: BTreeMap<_, DeadGroup> = BTreeMap::new();
        for (id, delivery) in &inner.deliveries {
            let State::Dead { reason, .. } = delivery.state else {
                continue;
            };
            let group = groups
                .entry((delivery.target.clone(), reason))
                .or_insert_with(|| DeadGroup {
                    target: delivery.target.clone(),
                    reason,
                    count: 0,
                    oldest: *id,
                    newest: *id,
                });
            group.count += 1;
            group.newest = *id;
        }
        Ok(groups.into_values().collect())
    }

    async fn audit(&self, note: AuditNote) -> Result<AuditEntry, StoreError> {
        let entry = AuditEntry {
            id: AuditId::generate(),
            at: self.clock.now(),
            note,
        };
        self.lock().audits.push(entry.clone());
        Ok(entry)
    }

    async fn audits(
        &self,
        before: Option<AuditId>,
        limit: usize,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let inner = self.lock();
        let older = |it: &&AuditEntry| before.is_none_or(|before| it.id < before);
        let newest_first = inner.audits.iter().rev().filter(older);
        Ok(newest_first.take(limit).cloned().collect())
    }

    async fn generation(&self, fingerprint: Digest) -> Result<Generation, StoreError> {
        let since = self.clock.now();
        let mut inner = self.lock();
        let generation = match inner.generation {
            Some((known, generation)) if known == fingerprint => generation,
            last => {
                let number = last.map_or(0, |(_, last)| last.number) + 1;
                let next = Generation { number, since };
                inner.generation = Some((fingerprint, next));
                next
            }
        };
        let plan = (generation.number, fingerprint);
        inner.fleet.plans.insert(self.me, plan);
        Ok(generation)
    }

    async fn set_pause(
        &self,
        target: &TargetName,
        by: Option<String>,
    ) -> Result<Option<Pause>, StoreError> {
        let since = self.clock.now();
        let mut inner = self.lock();
        if let Some(why) = &inner.unavailable {
            return Err(StoreError::Unavailable(why.clone()));
        }
        let Some(by) = by else {
            inner.pauses.remove(target);
            return Ok(None);
        };
        let pause = inner.pauses.entry(target.clone());
        Ok(Some(pause.or_insert(Pause { since, by }).clone()))
    }

    async fn pauses(&self) -> Result<BTreeMap<TargetName, Pause>, StoreError> {
        Ok(self.lock().pauses.clone())
    }

    async fn put_replay(&self, replay: &ReplayState, _durable: bool) -> Result<(), StoreError> {
        let mut inner = self.lock();
        if let Some(why) = &inner.unavailable {
            return Err(StoreError::Unavailable(why.clone()));
        }
        let known = inner.replays.get(&replay.id).map(|known| known.phase);
        if known.is_none_or(|phase| phase == ReplayPhase::Running || phase == replay.phase) {
            inner.replays.insert(replay.id, replay.clone());
        }
        Ok(())
    }

    async fn replay(&self, id: ReplayId) -> Result<ReplayState, StoreError> {
        let inner = self.lock();
        inner.replays.get(&id).cloned().ok_or(StoreError::NotFound)
    }

    async fn replays(
        &self,
        before: Option<ReplayId>,
        limit: usize,
    ) -> Result<Vec<ReplayState>, StoreError> {
        let inner = self.lock();
        let older = |it: &&ReplayState| before.is_none_or(|before| it.id < before);
        let newest_first = inner.replays.values().rev().filter(older);
        Ok(newest_first.take(limit).cloned().collect())
    }

    fn is_shared(&self) -> bool {
        !self.lock().fleet.living.is_empty()
    }

    async fn fleet(&self) -> Result<Option<Vec<Instance>>, StoreError> {
        let inner = self.lock();
        let fleet = &inner.fleet;
        if fleet.living.is_empty() {
            return Ok(None);
        }
        let instance = |id: &u64| {
            let owners = fleet.owners.iter().filter(|(_, owner)| *owner == id);
            let owns: Vec<TargetName> = owners
                .filter_map(|(task, _)| match task {
                    Task::Target(name) => Some(name.clone()),
                    Task::Replay(_) | Task::AutoRevive => None,
                })
                .collect();
            let down = owns.iter().filter(|name| fleet.down.contains_key(*name));
            Instance {
                id: *id,
                name: format!("host-{id}"),
                this: *id == self.me,
                version: env!("CARGO_PKG_VERSION").to_owned(),
                started_at: self.clock.now(),
                silent: Duration::ZERO,
                plan: fleet.plans.get(id).copied(),
                down: down.cloned().collect(),
                owns,
            }
        };
        Ok(Some(fleet.living.iter().map(instance).collect()))
    }

    async fn own(&self, task: &Task) -> Result<bool, StoreError> {
        let mut inner = self.lock();
        let Fleet { living, .. } = &inner.fleet;
        if living.is_empty() || !living.contains(&self.me) {
            return Ok(living.is_empty());
        }
        Ok(inner.fleet.own(task.clone(), self.me))
    }

    async fn disown(&self, task: &Task) -> Result<(), StoreError> {
        let (me, owners) = (self.me, &mut self.lock().fleet.owners);
        owners.retain(|known, owner| known != task || *owner != me);
        Ok(())
    }

    fn set_targets(&self, targets: &BTreeSet<TargetName>) {
        let mut inner = self.lock();
        inner.fleet.targets.insert(self.me, targets.clone());
        inner.arrivals.values().for_each(|it| it.notify_waiters());
    }

    fn set_down(&self, target: &TargetName, down: bool) {
        let mut inner = self.lock();
        match down {
            true => inner.fleet.down.insert(target.clone(), self.me),
            false => inner.fleet.down.remove(target),
        };
    }

    fn health(&self) -> Health {
        match &self.lock().unavailable {
            Some(why) => Health::Unavailable(why.clone()),
            None => Health::Ready,
        }
    }

    async fn close(&self) {
        self.set_unavailable(Some("closed"));
    }
}
