//! What was copied, counted by kind, with a sum over the whole of it.

use serde::Serialize;
use xxhash_rust::xxh3::xxh3_128;

use super::{Kept, Portion};
use crate::store::StoreError;
use crate::store::record::{CarriedDelivery, StoredAudit, StoredDelivery, StoredState};

/// Counts by kind. Two stores that hold the same have equal ones.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Events, those that were purged among them.
    pub events: u64,
    /// Events of which only a tombstone is left.
    pub purged: u64,
    /// Deliveries that wait.
    pub pending: u64,
    /// Deliveries that are done.
    pub delivered: u64,
    /// Dead letters.
    pub dead: u64,
    /// Deliveries that were let go.
    pub discarded: u64,
    /// Attempts.
    pub attempts: u64,
    /// Bodies that are sent again as they are.
    pub frozen_bodies: u64,
    /// Events of which it is known how they were verified.
    pub receipts: u64,
    /// Deliveries that stand in lines.
    pub order_places: u64,
    /// Dedupe keys that count.
    pub dedupe_keys: u64,
    /// Targets that are paused.
    pub pauses: u64,
    /// Replays.
    pub replays: u64,
    /// Entries of the audit log.
    pub audit_entries: u64,
    /// Configurations: the last one, if any came into force.
    pub configurations: u64,
    /// A sum over all of it that does not depend on the order: of another content it is another one.
    #[serde(serialize_with = "as_hex")]
    pub content: u128,
}

fn as_hex<S: serde::Serializer>(content: &u128, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&format_args!("{content:032x}"))
}

impl Tally {
    /// The counts with their names.
    #[must_use]
    pub fn kinds(&self) -> [(&'static str, u64); 15] {
        [
            ("events", self.events),
            ("purged", self.purged),
            ("pending", self.pending),
            ("delivered", self.delivered),
            ("dead", self.dead),
            ("discarded", self.discarded),
            ("attempts", self.attempts),
            ("frozen bodies", self.frozen_bodies),
            ("receipts", self.receipts),
            ("order places", self.order_places),
            ("dedupe keys", self.dedupe_keys),
            ("pauses", self.pauses),
            ("replays", self.replays),
            ("audit entries", self.audit_entries),
            ("configurations", self.configurations),
        ]
    }

    /// Counts an event with what belongs to it.
    pub(super) fn event(&mut self, portion: &Portion) -> Result<(), StoreError> {
        let it = &portion.carried;
        add(&mut self.events, true);
        add(&mut self.purged, portion.purged_at.is_some());
        add(&mut self.receipts, it.receipt.is_some());
        add(&mut self.dedupe_keys, it.key.is_some());
        for one in &it.deliveries {
            let count = match one.delivery.state {
                StoredState::Pending(_) => &mut self.pending,
                StoredState::Delivered(_) => &mut self.delivered,
                StoredState::Dead(..) => &mut self.dead,
                StoredState::Discarded(_) => &mut self.discarded,
            };
            add(count, true);
            self.attempts = self.attempts.saturating_add(one.log.len() as u64);
            add(&mut self.frozen_bodies, one.frozen.is_some());
            add(&mut self.order_places, one.delivery.order.is_some());
        }
        self.sum(&(portion.purged_at, &it.event, it.key))?;
        self.sum(&("receipt", it.event.id, &it.receipt))?;
        let mut deliveries: Vec<&CarriedDelivery> = it.deliveries.iter().collect();
        deliveries.sort_unstable_by_key(|one| one.delivery.id);
        for one in deliveries {
            // Of what is left out by the format of the embedded store, and of what is counted differently: ranks and revisions.
            let StoredDelivery {
                order,
                mark,
                had_success,
                ..
            } = &one.delivery;
            let order = order.map(|order| (order.key, order.skip));
            let plain = StoredDelivery {
                revision: 0,
                ..one.delivery.clone()
            };
            self.sum(&(plain, order, mark, had_success))?;
            let sent: Vec<_> = one.log.iter().map(|attempt| attempt.sent).collect();
            self.sum(&(one.delivery.id, &one.frozen, &one.log, sent))?;
        }
        Ok(())
    }

    /// Counts what operators want kept.
    pub(super) fn kept(&mut self, kept: &Kept) -> Result<(), StoreError> {
        self.configurations = u64::from(kept.plan.is_some());
        self.pauses = kept.pauses.len() as u64;
        self.replays = kept.replays.len() as u64;
        self.sum(&kept.plan)?;
        for pause in &kept.pauses {
            self.sum(pause)?;
        }
        for replay in &kept.replays {
            self.sum(replay)?;
        }
        Ok(())
    }

    /// Counts entries of the audit log.
    pub(super) fn audits(&mut self, audits: &[StoredAudit]) -> Result<(), StoreError> {
        self.audit_entries = self.audit_entries.saturating_add(audits.len() as u64);
        audits.iter().try_for_each(|audit| self.sum(audit))
    }

    fn sum<T: Serialize>(&mut self, value: &T) -> Result<(), StoreError> {
        let bytes =
            postcard::to_stdvec(value).map_err(|error| StoreError::Damaged(error.to_string()))?;
        self.content = self.content.wrapping_add(xxh3_128(&bytes));
        Ok(())
    }
}

fn add(count: &mut u64, yes: bool) {
    *count = count.saturating_add(u64::from(yes));
}
