//! What the store promises, as plain state: written from the documents of the trait, not from the store.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::super::super::{
    Admission, AuditEntry, DeadGroup, Depth, EventRow, ListedDelivery, Novelty, Pause, ReplayPhase,
    ReplayState, Revival, RevivedBody, Settlement, StoreError,
};
use crate::delivery::{
    Attempt, DeadReason, Delivery, HELD, LastAttempt, Next, Outcome, State, StateKind,
};
use crate::event::EventParts;
use crate::id::{AuditId, DeliveryId, Digest, EventId, ReplayId, RouteName, TargetName};
use crate::order::{OnDead, OrderKey};
use crate::plan::Generation;

/// The body that earlier attempts have sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frozen {
    /// None was frozen.
    Never,
    /// This one.
    Kept(String),
    /// This one, or none any more: the delivery was delivered since.
    Perhaps(String),
}

/// What a delivery should be.
#[derive(Debug, Clone)]
pub struct Known {
    pub delivery: Delivery,
    /// When its event was admitted, among all.
    pub rank: u64,
    /// When its event came in.
    pub received_at: Timestamp,
    pub attempts: Vec<Attempt>,
    pub frozen: Frozen,
    pub had_success: bool,
    pub purged: bool,
}

impl Known {
    fn is_open(&self) -> bool {
        is_open(&self.delivery.state)
    }

    /// Whether those behind it in its line wait for it.
    fn holds_up(&self) -> bool {
        let holds = |order: crate::order::Order| order.on_dead == OnDead::Hold;
        match self.delivery.state {
            State::Pending { .. } => true,
            State::Dead { .. } => self.delivery.order.is_some_and(holds),
            State::Delivered { .. } | State::Discarded { .. } => false,
        }
    }

    fn place(&self) -> (u64, DeliveryId) {
        (self.rank, self.delivery.id)
    }
}

/// What an event should be.
#[derive(Debug, Clone)]
pub struct KnownEvent {
    pub parts: EventParts,
    /// What its texts hold, and those of no other event.
    pub marker: String,
    pub purged_at: Option<Timestamp>,
}

/// What a dedupe key stands for.
#[derive(Debug, Clone, Copy)]
struct Key {
    event: EventId,
    body: [u8; 32],
    expires: Timestamp,
}

/// Everything that a store should know.
#[derive(Default)]
pub struct Model {
    pub known: BTreeMap<DeliveryId, Known>,
    pub events: BTreeMap<EventId, KnownEvent>,
    pub audits: BTreeMap<AuditId, AuditEntry>,
    pub pauses: BTreeMap<TargetName, Pause>,
    pub replays: BTreeMap<ReplayId, ReplayState>,
    /// When each of them was put last.
    pub replays_put: BTreeMap<ReplayId, Timestamp>,
    /// The configuration that came into force last.
    pub plan: Option<(Digest, Generation)>,
    /// Who is given out.
    pub claimed: BTreeSet<DeliveryId>,
    keys: BTreeMap<[u8; 32], Key>,
    /// What was done without anyone waiting for the disk, and what the deliveries were before; a crash may
    /// take the last of these back.
    unsynced: Vec<Known>,
    admitted: u64,
    /// Records that have put deliveries into lines.
    ranks: u64,
}

impl Model {
    /// The answer to an admission; a new one is known from here on.
    pub fn admit(&mut self, new: &Admission, marker: &str, now: Timestamp) -> (EventId, Novelty) {
        if let Some(dedupe) = &new.dedupe
            && let Some(live) = self.keys.get(&dedupe.key)
            && live.expires > now
        {
            let same = live.body == dedupe.body;
            let novelty = if same {
                Novelty::Duplicate
            } else {
                Novelty::Conflicting
            };
            return (live.event, novelty);
        }
        let event = new.event.id();
        if let Some(dedupe) = &new.dedupe {
            let key = Key {
                event,
                body: dedupe.body,
                expires: now + dedupe.window,
            };
            self.keys.insert(dedupe.key, key);
        }
        self.admitted += 1;
        self.insert(&new.deliveries, now);
        let known = KnownEvent {
            parts: new.event.parts().clone(),
            marker: marker.to_owned(),
            purged_at: None,
        };
        self.events.insert(event, known);
        self.synced();
        (event, Novelty::New)
    }

    fn insert(&mut self, deliveries: &[Delivery], received_at: Timestamp) {
        self.ranks += 1;
        for delivery in deliveries {
            let known = Known {
                delivery: delivery.clone(),
                rank: self.ranks,
                received_at,
                attempts: Vec::new(),
                frozen: Frozen::Never,
                had_success: false,
                purged: false,
            };
            self.known.insert(delivery.id, known);
        }
    }

    /// The answer to `add_deliveries`.
    pub fn add(&mut self, event: EventId, new: &[Delivery]) -> Result<(), StoreError> {
        let known = &self.events[&event];
        if known.purged_at.is_some() {
            return Err(StoreError::Purged);
        }
        let received_at = known.parts.received_at;
        self.insert(new, received_at);
        self.synced();
        Ok(())
    }

    /// The answer to `generation`.
    pub fn generation(&mut self, fingerprint: Digest, now: Timestamp) -> Generation {
        let known = self.plan.filter(|(known, _)| *known == fingerprint);
        if let Some((_, generation)) = known {
            return generation;
        }
        let next = Generation {
            number: self.plan.map_or(0, |(_, last)| last.number) + 1,
            since: now,
        };
        self.plan = Some((fingerprint, next));
        self.synced();
        next
    }

    /// How many events were admitted.
    pub fn admitted(&self) -> u64 {
        self.admitted
    }

    /// All that was done is on disk.
    pub fn synced(&mut self) {
        self.unsynced.clear();
    }

    /// Deliveries of a target that may be given out once they are due: those that are pending and not given out; of
    /// a line only the first, and only while none of it is given out.
    fn may_go(&self, target: &TargetName) -> BTreeSet<(Timestamp, DeliveryId)> {
        let mut heads: BTreeMap<OrderKey, &Known> = BTreeMap::new();
        let mut busy: BTreeSet<OrderKey> = BTreeSet::new();
        let mine = |it: &&Known| it.delivery.target == *target;
        for known in self.known.values().filter(mine) {
            let Some(order) = known.delivery.order else {
                continue;
            };
            if self.claimed.contains(&known.delivery.id) {
                busy.insert(order.key);
            }
            if known.holds_up() {
                let head = heads.entry(order.key).or_insert(known);
                if known.place() < head.place() {
                    *head = known;
                }
            }
        }
        let goes = |known: &&Known| {
            let is_claimed = self.claimed.contains(&known.delivery.id);
            let is_head = known.delivery.order.is_none_or(|order| {
                let head = heads.get(&order.key);
                head.is_some_and(|head| head.place() == known.place()) && !busy.contains(&order.key)
            });
            !is_claimed && is_head
        };
        let all = self.known.values().filter(mine).filter(goes);
        all.filter_map(|known| match known.delivery.state {
            State::Pending { due } if due < HELD => Some((due, known.delivery.id)),
            _ => None,
        })
        .collect()
    }

    /// What a claim must give, the oldest due first.
    pub fn due(&self, target: &TargetName, most: usize, now: Timestamp) -> Vec<DeliveryId> {
        let all = self.may_go(target).into_iter();
        let due = all.take_while(|(due, _)| *due <= now).take(most);
        due.map(|(_, id)| id).collect()
    }

    /// When the next one falls due.
    pub fn next_due(&self, target: &TargetName, now: Timestamp) -> Option<Timestamp> {
        let mut all = self.may_go(target).into_iter();
        all.find(|(due, _)| *due > now).map(|(due, _)| due)
    }

    pub fn settle(&mut self, id: DeliveryId, settlement: &Settlement, now: Timestamp) {
        self.claimed.remove(&id);
        let known = self.known.get_mut(&id).unwrap();
        self.unsynced.push(known.clone());
        known.attempts.push(settlement.attempt.clone());
        known.delivery.attempts += 1;
        known.had_success |= settlement.next == Next::Done;
        known.delivery.state = match settlement.next {
            Next::Done => State::Delivered { at: now },
            Next::RetryAt(due) => State::Pending { due },
            Next::Bury(reason) => State::Dead { at: now, reason },
        };
        let sent = settlement.frozen.as_deref();
        let sent = sent.map(|it| String::from_utf8(it.to_vec()).unwrap());
        known.frozen = match (&known.frozen, settlement.next, sent) {
            (Frozen::Kept(text), Next::Done, _) => Frozen::Perhaps(text.clone()),
            (Frozen::Never, Next::RetryAt(_) | Next::Bury(_), Some(text)) => Frozen::Kept(text),
            (frozen, ..) => frozen.clone(),
        };
    }

    pub fn release(&mut self, id: DeliveryId) {
        self.claimed.remove(&id);
    }

    pub fn hold(&mut self, id: DeliveryId) {
        self.claimed.remove(&id);
        let known = self.known.get_mut(&id).unwrap();
        self.unsynced.push(known.clone());
        known.delivery.state = State::Pending { due: HELD };
    }

    /// Makes what is held due now; gives how many were.
    pub fn resume(
        &mut self,
        target: &TargetName,
        routes: &BTreeSet<RouteName>,
        now: Timestamp,
    ) -> u64 {
        let mut resumed = 0;
        for known in self.known.values_mut() {
            let delivery = &mut known.delivery;
            if delivery.target == *target && routes.contains(&delivery.route) && delivery.is_held()
            {
                delivery.state = State::Pending { due: now };
                resumed += 1;
            }
        }
        if resumed > 0 {
            self.synced();
        }
        resumed
    }

    /// The answer to `revive_as`, which fences who has it.
    pub fn revive_as(
        &mut self,
        id: DeliveryId,
        how: Revival,
        now: Timestamp,
    ) -> Result<Delivery, StoreError> {
        let known = self.known.get_mut(&id).ok_or(StoreError::NotFound)?;
        if known.purged {
            return Err(StoreError::Purged);
        }
        let anew = how.body == RevivedBody::Anew;
        if anew && known.had_success {
            return Err(StoreError::WrongState {
                state: known.delivery.state.kind().as_str(),
                wanted: "rendered anew under the id that its target has had with 2xx",
            });
        }
        if anew {
            known.frozen = Frozen::Never;
        }
        known.delivery.mark = Some(how.mark);
        if anew || !matches!(known.delivery.state, State::Pending { .. }) {
            known.delivery.attempts = 0;
            known.delivery.started_at = now;
        }
        known.delivery.state = State::Pending { due: now };
        let delivery = known.delivery.clone();
        self.claimed.remove(&id);
        self.synced();
        Ok(delivery)
    }

    /// The answer to `discard`, which fences who has it.
    pub fn discard(&mut self, id: DeliveryId, now: Timestamp) -> Result<Delivery, StoreError> {
        let known = self.known.get_mut(&id).ok_or(StoreError::NotFound)?;
        if known.purged {
            return Err(StoreError::Purged);
        }
        if !known.is_open() {
            return Err(StoreError::WrongState {
                state: known.delivery.state.kind().as_str(),
                wanted: "discarded",
            });
        }
        known.delivery.state = State::Discarded { at: now };
        let delivery = known.delivery.clone();
        self.claimed.remove(&id);
        self.synced();
        Ok(delivery)
    }

    /// Takes an event's data away; gives when that was done first, and how many deliveries are let go now.
    pub fn purge(&mut self, event: EventId, now: Timestamp) -> (Timestamp, u64) {
        let mut discarded = 0;
        for known in self.known.values_mut() {
            if known.delivery.event != event || known.purged {
                continue;
            }
            known.purged = true;
            known.frozen = Frozen::Never;
            for attempt in &mut known.attempts {
                clear(attempt);
            }
            self.claimed.remove(&known.delivery.id);
            if known.is_open() {
                known.delivery.state = State::Discarded { at: now };
                discarded += 1;
            }
        }
        let known = self.events.get_mut(&event).unwrap();
        let at = *known.purged_at.get_or_insert(now);
        if known.parts.message_id.take().is_some() {
            self.synced();
        }
        (at, discarded)
    }

    /// Dead letters of before `oldest`: whoever cleans lets them go.
    pub fn dead_before(&self, oldest: Timestamp) -> Vec<DeliveryId> {
        let old = |it: &&Known| matches!(it.delivery.state, State::Dead { at, .. } if at <= oldest);
        let all = self.known.values().filter(old);
        all.map(|it| it.delivery.id).collect()
    }

    pub fn let_go(&mut self, id: DeliveryId, now: Timestamp) {
        self.known.get_mut(&id).unwrap().delivery.state = State::Discarded { at: now };
    }

    /// A process has died and another one has read what it left. Gives up as many of the last things that nobody
    /// waited for as are not there.
    pub fn restarted(&mut self, found: &BTreeMap<DeliveryId, Delivery>) {
        self.claimed.clear();
        let touched: BTreeSet<_> = self.unsynced.iter().map(|it| it.delivery.id).collect();
        let differs = |model: &Self| {
            let is = |id: &DeliveryId| found.get(id) == model.known.get(id).map(|it| &it.delivery);
            touched.iter().find(|id| !is(id)).copied()
        };
        while let Some(id) = differs(self) {
            let Some(before) = self.unsynced.pop() else {
                panic!("what was acknowledged of {id} is lost: {found:?}");
            };
            self.known.insert(before.delivery.id, before);
        }
        self.synced();
    }

    /// Forgets a delivery that is gone, which must have been allowed to go.
    pub fn delivery_gone(&mut self, id: DeliveryId, past: Timestamp) {
        let known = self.known.remove(&id).unwrap();
        assert!(
            !known.is_open() && known.received_at <= past,
            "{id} is gone: {known:?}"
        );
    }

    /// Forgets an event that is gone, which must have been allowed to go.
    pub fn event_gone(&mut self, id: EventId, past: Timestamp, now: Timestamp) {
        let event = self.events.remove(&id).unwrap();
        let received_at = event.parts.received_at;
        assert!(received_at <= past, "event {id} is gone before its time");
        let left = self.known.values().find(|it| it.delivery.event == id);
        assert!(left.is_none(), "event {id} is gone, not so {left:?}");
        let key = self.keys.values().find(|key| key.event == id);
        let key = key.filter(|key| key.expires > now);
        assert!(key.is_none(), "event {id} is gone, but its key counts yet");
    }

    /// Forgets a replay that is gone, which must have been allowed to go.
    pub fn replay_gone(&mut self, id: ReplayId, past: Timestamp) {
        let replay = self.replays.remove(&id).unwrap();
        let at = self.replays_put[&id];
        assert!(
            replay.phase != ReplayPhase::Running && at <= past,
            "{replay:?} is gone before its time"
        );
    }

    /// Forgets an entry that is gone, which must have been allowed to go.
    pub fn audit_gone(&mut self, id: AuditId, past: Timestamp) {
        let entry = self.audits.remove(&id).unwrap();
        assert!(entry.at <= past, "{entry:?} is gone before its time");
    }

    /// The longest time for which any key counts yet.
    pub fn keys_end(&self) -> Option<Timestamp> {
        self.keys.values().map(|key| key.expires).max()
    }

    /// How an event must be listed.
    pub fn row(&self, id: EventId) -> EventRow {
        let KnownEvent {
            parts, purged_at, ..
        } = &self.events[&id];
        let mine = self.known.values().filter(|it| it.delivery.event == id);
        EventRow {
            id,
            source: parts.source.clone(),
            message_id: parts.message_id.clone(),
            event_type: parts.event_type.clone(),
            received_at: parts.received_at,
            size: match purged_at {
                Some(_) => 0,
                None => parts.body.len() as u64,
            },
            deliveries: mine.map(|it| it.delivery.id).collect(),
            purged_at: *purged_at,
        }
    }

    /// How a delivery must be listed.
    pub fn listed(&self, known: &Known) -> ListedDelivery {
        let parts = &self.events[&known.delivery.event].parts;
        ListedDelivery {
            delivery: known.delivery.clone(),
            source: parts.source.clone(),
            event_type: parts.event_type.clone(),
            last: known.attempts.last().map(|it| LastAttempt {
                started_at: it.started_at,
                took: it.took,
                result: (&it.outcome).into(),
            }),
            had_success: known.had_success,
        }
    }

    pub fn depths(&self) -> Vec<Depth> {
        let mut depths: BTreeMap<&TargetName, Depth> = BTreeMap::new();
        for known in self.known.values().filter(|it| it.is_open()) {
            let delivery = &known.delivery;
            let depth = depths.entry(&delivery.target).or_insert_with(|| Depth {
                target: delivery.target.clone(),
                pending: 0,
                dead: 0,
                oldest_pending: None,
            });
            if delivery.state.kind() == StateKind::Dead {
                depth.dead += 1;
                continue;
            }
            depth.pending += 1;
            let started = delivery.started_at;
            let oldest = depth.oldest_pending.get_or_insert(started);
            *oldest = started.min(*oldest);
        }
        depths.into_values().collect()
    }

    pub fn dead_groups(&self) -> Vec<DeadGroup> {
        let mut groups: BTreeMap<(&TargetName, DeadReason), DeadGroup> = BTreeMap::new();
        for (id, known) in &self.known {
            if let State::Dead { reason, .. } = known.delivery.state {
                let target = &known.delivery.target;
                let group = groups.entry((target, reason)).or_insert_with(|| DeadGroup {
                    target: target.clone(),
                    reason,
                    count: 0,
                    oldest: *id,
                    newest: *id,
                });
                group.count += 1;
                group.newest = *id;
            }
        }
        groups.into_values().collect()
    }
}

fn is_open(state: &State) -> bool {
    matches!(state, State::Pending { .. } | State::Dead { .. })
}

/// What is left of an attempt of a purged event.
fn clear(attempt: &mut Attempt) {
    match &mut attempt.outcome {
        Outcome::Answered { snippet, .. } => snippet.clear(),
        Outcome::Failed { detail, .. } | Outcome::Unsendable { detail, .. } => detail.clear(),
    }
    if let Some(sent) = &mut attempt.sent {
        sent.body = None;
    }
}
