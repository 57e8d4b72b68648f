//! What this instance has of each target in memory: whether it owns it, what is leased and not given out yet, what is out.
//!
//! Invariant: whatever is `waiting` or `out` is leased to us in the database, unless somebody has taken the lease away since:
//! then the database fences what comes of it. While `quiet`, the database has nothing that is due but what is here, as far as
//! is known: whatever may change that calls [`Lanes::look`].

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::Notify;

use super::me::Me;
use crate::delivery::{Delivery, State};
use crate::id::{DeliveryId, TargetName};
use crate::order::OrderKey;
use crate::store::{Admission, Claimed, Lease};

/// Most deliveries of a target that are leased ahead.
pub(super) const AHEAD: usize = 256;

/// Most of them that one look at the database leases, unless more are asked for.
pub(super) const LOOK: usize = 64;

/// Bytes of bodies beyond which nothing more of a target is leased ahead.
const AHEAD_BYTES: usize = 8 << 20;

/// After this long, what is leased ahead is looked up again before it is given out: an operator may have taken it away
/// through another instance.
const FRESH: Duration = Duration::from_secs(1);

/// All targets.
#[derive(Default)]
pub(super) struct Lanes(Mutex<BTreeMap<TargetName, Lane>>);

/// One target.
#[derive(Default)]
struct Lane {
    arrivals: Arc<Notify>,
    /// Held by who asks the database for more, so that one does at a time.
    asking: Arc<tokio::sync::Mutex<()>>,
    hold: Hold,
    /// Whether attempts are made to it here: it was claimed, and is in the configuration as far as we were told.
    wanted: bool,
    /// Leased, oldest due first.
    waiting: BTreeMap<(Timestamp, DeliveryId), (Claimed, Instant)>,
    /// Leases that a group which is being stored was promised.
    promised: usize,
    /// Given out: the token, and the line that it stands in.
    out: HashMap<DeliveryId, (u64, Option<OrderKey>)>,
    quiet: bool,
    next_due: Option<Timestamp>,
    down: bool,
}

/// How a target is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Hold {
    /// By another instance, or by nobody.
    #[default]
    Not,
    /// By us; whether that before us took it to be down, and nobody here has heard of that yet.
    Ours { told_down: bool },
    /// By us, but only until what is out has ended.
    Leaving,
}

/// What a claim finds in memory.
pub(super) enum Look {
    /// The target came over and was down.
    Down,
    /// It is another's.
    NotOurs,
    /// It is free or ours; whether the database has to be asked, for how many.
    Ours { ask: Option<usize> },
}

impl Lanes {
    /// What wakes whoever claims this target.
    pub(super) fn arrivals(&self, target: &TargetName) -> Arc<Notify> {
        Arc::clone(&self.lock().entry(target.clone()).or_default().arrivals)
    }

    /// Who asks the database holds this.
    pub(super) fn asking(&self, target: &TargetName) -> Arc<tokio::sync::Mutex<()>> {
        Arc::clone(&self.lock().entry(target.clone()).or_default().asking)
    }

    /// The targets to which attempts are made here, as the configuration has them.
    pub(super) fn want_only(&self, targets: &BTreeSet<TargetName>) {
        let mut lanes = self.lock();
        for target in targets {
            lanes.entry(target.clone()).or_default().wanted = true;
        }
        for (target, lane) in lanes.iter_mut() {
            lane.wanted = targets.contains(target);
        }
    }

    /// Somebody makes attempts to it.
    pub(super) fn want(&self, target: &TargetName) {
        let mut lanes = self.lock();
        match lanes.get_mut(target) {
            Some(lane) => lane.wanted = true,
            None => {
                lanes.entry(target.clone()).or_default().wanted = true;
            }
        }
    }

    /// The targets to which attempts are made here.
    pub(super) fn wanted(&self) -> Vec<TargetName> {
        let lanes = self.lock();
        let wanted = lanes.iter().filter(|(_, lane)| lane.wanted);
        wanted.map(|(target, _)| target.clone()).collect()
    }

    /// The targets that are ours, those included that are being left.
    pub(super) fn held(&self) -> Vec<TargetName> {
        let lanes = self.lock();
        let held = lanes.iter().filter(|(_, lane)| lane.hold != Hold::Not);
        held.map(|(target, _)| target.clone()).collect()
    }

    /// How a target is held.
    pub(super) fn hold(&self, target: &TargetName) -> Hold {
        self.lock().get(target).map_or(Hold::Not, |lane| lane.hold)
    }

    /// It is held like this from now on. What was known of the database before counts no more.
    pub(super) fn set_hold(&self, target: &TargetName, hold: Hold) {
        let mut lanes = self.lock();
        let lane = lanes.entry(target.clone()).or_default();
        if lane.hold != hold {
            lane.hold = hold;
            lane.quiet = false;
            lane.arrivals.notify_one();
        }
    }

    /// Gives up all targets: this instance is not known to the others any more. What was leased ahead is forgotten, since others
    /// may have it; what is out ends, and the database says whether it counts.
    pub(super) fn lose_all(&self) {
        for lane in self.lock().values_mut() {
            lane.hold = Hold::Not;
            lane.waiting.clear();
            lane.quiet = false;
            lane.arrivals.notify_one();
        }
    }

    /// The same of one target.
    pub(super) fn lose(&self, target: &TargetName) {
        if let Some(lane) = self.lock().get_mut(target) {
            lane.hold = Hold::Not;
            lane.waiting.clear();
            lane.quiet = false;
            lane.arrivals.notify_one();
        }
    }

    /// Wakes all.
    pub(super) fn wake_all(&self) {
        for lane in self.lock().values() {
            lane.arrivals.notify_one();
        }
    }

    /// What a target that is being left has leased ahead, and whether anything of it is out.
    pub(super) fn leave(&self, target: &TargetName) -> (Vec<Lease>, bool) {
        let mut lanes = self.lock();
        let Some(lane) = lanes.get_mut(target) else {
            return (Vec::new(), false);
        };
        let waiting = std::mem::take(&mut lane.waiting);
        let leases = waiting.into_values().map(|(claimed, _)| claimed.lease);
        (leases.collect(), !lane.out.is_empty() || lane.promised > 0)
    }

    /// The database may have something for this target.
    pub(super) fn look(&self, target: &TargetName) {
        if let Some(lane) = self.lock().get_mut(target) {
            lane.quiet = false;
            lane.arrivals.notify_one();
        }
    }

    /// The targets that are ours and of which the database has nothing due, as far as is known.
    pub(super) fn quiet(&self) -> Vec<TargetName> {
        let lanes = self.lock();
        let quiet = lanes
            .iter()
            .filter(|(_, lane)| lane.quiet && matches!(lane.hold, Hold::Ours { .. }));
        quiet.map(|(target, _)| target.clone()).collect()
    }

    /// Something of this target is due then.
    pub(super) fn due(&self, target: &TargetName, due: Timestamp) {
        if let Some(lane) = self.lock().get_mut(target) {
            lane.next_due = Some(lane.next_due.map_or(due, |known| known.min(due)));
            lane.arrivals.notify_one();
        }
    }

    /// What a claim of `most` finds.
    pub(super) fn begin(&self, target: &TargetName, most: usize, now: Timestamp) -> Look {
        let mut lanes = self.lock();
        let Some(lane) = lanes.get_mut(target) else {
            return Look::NotOurs;
        };
        match lane.hold {
            Hold::Not | Hold::Leaving => return Look::NotOurs,
            Hold::Ours { told_down: true } => {
                lane.hold = Hold::Ours { told_down: false };
                return Look::Down;
            }
            Hold::Ours { told_down: false } => {}
        }
        if lane.next_due.is_some_and(|due| due <= now) {
            // Until it is asked for, nothing that came later is leased before it.
            lane.quiet = false;
            lane.next_due = None;
        }
        let ahead = if lane.is_full() { most } else { most.max(LOOK) };
        let wanted = ahead.saturating_sub(lane.waiting.len());
        let ask = !lane.quiet && wanted > 0;
        if ask {
            // what comes from now on is looked for again
            lane.quiet = true;
            lane.next_due = None;
        }
        Look::Ours {
            ask: ask.then_some(wanted),
        }
    }

    /// What the database gave: `all` of what is due, or there may be more.
    pub(super) fn found(
        &self,
        target: &TargetName,
        found: Vec<Claimed>,
        all: bool,
        next_due: Option<Timestamp>,
    ) {
        let mut lanes = self.lock();
        let lane = lanes.entry(target.clone()).or_default();
        lane.quiet &= all;
        if let Some(due) = next_due {
            lane.next_due = Some(lane.next_due.map_or(due, |known| known.min(due)));
        }
        for claimed in found {
            lane.put(claimed);
        }
    }

    /// The database could not be asked.
    pub(super) fn not_found(&self, target: &TargetName) {
        if let Some(lane) = self.lock().get_mut(target) {
            lane.quiet = false;
        }
    }

    /// Leases that have to be looked up before they are given out, if `most` are.
    pub(super) fn stale(&self, target: &TargetName, most: usize) -> Vec<Lease> {
        let lanes = self.lock();
        let Some(lane) = lanes.get(target) else {
            return Vec::new();
        };
        let next = lane.waiting.values().take(most);
        let stale = next.filter(|(_, since)| since.elapsed() > FRESH);
        stale.map(|(claimed, _)| claimed.lease).collect()
    }

    /// Of these, only `good` are ours still.
    pub(super) fn looked_up(&self, target: &TargetName, leases: &[Lease], good: &HashSet<Lease>) {
        if let Some(lane) = self.lock().get_mut(target) {
            lane.waiting.retain(|_, (claimed, since)| {
                if good.contains(&claimed.lease) {
                    *since = Instant::now();
                }
                good.contains(&claimed.lease) || !leases.contains(&claimed.lease)
            });
        }
    }

    /// Gives out up to `most`, and tells when the next one is due.
    pub(super) fn take(
        &self,
        target: &TargetName,
        most: usize,
    ) -> (Vec<Claimed>, Option<Timestamp>) {
        let mut lanes = self.lock();
        let Some(lane) = lanes.get_mut(target) else {
            return (Vec::new(), None);
        };
        let mut taken = Vec::new();
        while taken.len() < most
            && let Some((_, (claimed, _))) = lane.waiting.pop_first()
        {
            let line = claimed.delivery.order.map(|order| order.key);
            lane.out
                .insert(claimed.lease.delivery, (claimed.lease.token, line));
            taken.push(claimed);
        }
        (taken, lane.next_due)
    }

    /// All leases that are waiting or out.
    pub(super) fn known(&self) -> HashSet<Lease> {
        let lanes = self.lock();
        let waiting = lanes.values().flat_map(|lane| lane.waiting.values());
        let waiting = waiting.map(|(claimed, _)| claimed.lease);
        let out = lanes.values().flat_map(|lane| &lane.out);
        let out = out.map(|(delivery, (token, _))| Lease {
            delivery: *delivery,
            token: *token,
        });
        waiting.chain(out).collect()
    }

    /// What was given out is settled, released or fenced. Gives its target, and whether that can be left now.
    pub(super) fn ended(&self, lease: Lease) -> Option<(TargetName, bool)> {
        let mut lanes = self.lock();
        let mut all = lanes.iter_mut();
        let (target, lane) = all.find(|(_, lane)| lane.has_out(lease))?;
        lane.out.remove(&lease.delivery);
        let left = lane.hold == Hold::Leaving && lane.out.is_empty();
        Some((target.clone(), left))
    }

    /// The line in which what was given out stands.
    pub(super) fn line_of(&self, lease: Lease) -> Option<(TargetName, OrderKey)> {
        let lanes = self.lock();
        let (target, lane) = lanes.iter().find(|(_, lane)| lane.has_out(lease))?;
        let (_, line) = lane.out.get(&lease.delivery)?;
        line.map(|key| (target.clone(), key))
    }

    /// An operator has taken a delivery away, or moved it.
    pub(super) fn moved(&self, delivery: &Delivery) {
        if let Some(lane) = self.lock().get_mut(&delivery.target) {
            lane.waiting
                .retain(|_, (claimed, _)| claimed.lease.delivery != delivery.id);
            lane.quiet = false;
            lane.arrivals.notify_one();
        }
    }

    /// All deliveries of these ids are taken away.
    pub(super) fn taken_away(&self, ids: &[DeliveryId]) {
        for lane in self.lock().values_mut() {
            lane.waiting
                .retain(|_, (claimed, _)| !ids.contains(&claimed.lease.delivery));
        }
    }

    /// Promises leases to the deliveries of events that are being stored, where they can be given out at once: the target
    /// is ours, they stand in no line, and nothing that is due before waits in the database.
    pub(super) fn lend<'a>(
        &self,
        me: &Me,
        admissions: impl Iterator<Item = &'a Admission>,
    ) -> HashMap<DeliveryId, i64> {
        let mut lanes = self.lock();
        let mut leases = HashMap::new();
        for delivery in admissions.flat_map(|admission| &admission.deliveries) {
            let may = delivery.order.is_none() && matches!(delivery.state, State::Pending { .. });
            let Some(lane) = lanes.get_mut(&delivery.target).filter(|_| may) else {
                continue;
            };
            let room = lane.waiting.len() + lane.promised < AHEAD && !lane.is_full();
            let ours = lane.hold == Hold::Ours { told_down: false };
            if ours && lane.quiet && room && me.holds() {
                lane.promised += 1;
                leases.insert(delivery.id, me.token());
            }
        }
        leases
    }

    /// What was promised is leased and stored.
    pub(super) fn arrived(&self, claimed: Claimed) {
        let mut lanes = self.lock();
        let lane = lanes.entry(claimed.delivery.target.clone()).or_default();
        lane.promised = lane.promised.saturating_sub(1);
        lane.put(claimed);
        lane.arrivals.notify_one();
    }

    /// What was promised is not leased.
    pub(super) fn not_lent(&self, delivery: &Delivery, leases: &HashMap<DeliveryId, i64>) {
        if leases.contains_key(&delivery.id)
            && let Some(lane) = self.lock().get_mut(&delivery.target)
        {
            lane.promised = lane.promised.saturating_sub(1);
        }
    }

    /// None of what was promised is leased: nothing was stored.
    pub(super) fn take_back<'a>(
        &self,
        admissions: impl Iterator<Item = &'a Admission>,
        leases: &HashMap<DeliveryId, i64>,
    ) {
        for delivery in admissions.flat_map(|admission| &admission.deliveries) {
            self.not_lent(delivery, leases);
        }
    }

    /// Notes whether a target is taken to be down; says whether that is new.
    pub(super) fn set_down(&self, target: &TargetName, down: bool) -> bool {
        let mut lanes = self.lock();
        let lane = lanes.entry(target.clone()).or_default();
        std::mem::replace(&mut lane.down, down) != down
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TargetName, Lane>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane {
    /// Whether what is leased ahead takes as much memory as it may.
    fn is_full(&self) -> bool {
        let waiting = self.waiting.values();
        let bytes = waiting.map(|(claimed, _)| claimed.event.parts().body.len());
        bytes.sum::<usize>() >= AHEAD_BYTES
    }

    fn has_out(&self, lease: Lease) -> bool {
        let out = self.out.get(&lease.delivery);
        out.is_some_and(|(token, _)| *token == lease.token)
    }

    fn put(&mut self, claimed: Claimed) {
        let due = match claimed.delivery.state {
            State::Pending { due } => due,
            _ => Timestamp::MIN,
        };
        self.waiting
            .insert((due, claimed.delivery.id), (claimed, Instant::now()));
    }
}
