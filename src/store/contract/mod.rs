//! The suite that every store passes. A store adds one [`Bench`] and one call of [`contract`].
//!
//! All times come from a manual clock. Each case gets a fresh bench and names itself when it fails.

mod cases;
mod door;
mod operators;
mod orders;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;

use super::{
    Admission, Claimed, DedupeKey, DeliveryFilter, Novelty, Settled, Settlement, Store, StoreError,
    Window,
};
use crate::clock::ManualClock;
use crate::delivery::{Attempt, Delivery, Failure, Next, Outcome, State};
use crate::event::{Event, EventParts};
use crate::id::{DeliveryId, EventId, TargetName};

/// A place where a store can be opened, closed and opened again.
#[async_trait]
pub trait Bench: Send + Sync {
    /// Opens the store; one that was opened here before is closed.
    async fn open(&self, clock: Arc<ManualClock>) -> Arc<dyn Store>;
}

/// A store under test with its clock.
pub struct World {
    bench: Box<dyn Bench>,
    pub clock: Arc<ManualClock>,
    pub store: Arc<dyn Store>,
}

impl World {
    pub async fn new(bench: Box<dyn Bench>) -> Self {
        let start = Timestamp::from_millisecond(1_700_000_000_000).unwrap();
        Self::beginning(bench, start).await
    }

    /// The same at another time.
    pub async fn beginning(bench: Box<dyn Bench>, start: Timestamp) -> Self {
        let clock = Arc::new(ManualClock::new(start));
        let store = bench.open(Arc::clone(&clock)).await;
        Self {
            bench,
            clock,
            store,
        }
    }

    pub async fn restart(&mut self) {
        self.store.close().await;
        self.store = self.bench.open(Arc::clone(&self.clock)).await;
    }

    pub fn now(&self) -> Timestamp {
        use crate::clock::Clock;
        self.clock.now()
    }

    pub fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub fn in_seconds(&self, seconds: u64) -> Timestamp {
        crate::clock::after(self.now(), Duration::from_secs(seconds))
    }

    pub async fn admit(&self, targets: &[&str]) -> (EventId, Vec<DeliveryId>) {
        let admission = admission(self.now(), targets, "{}");
        let ids = admission.deliveries.iter().map(|it| it.id).collect();
        let admitted = self.store.admit(admission).await.unwrap();
        assert_eq!(admitted.novelty, Novelty::New);
        (admitted.event, ids)
    }

    pub async fn claim(&self, target: &str, most: usize) -> Vec<Claimed> {
        self.store.claim(&name(target), most).await.unwrap().taken
    }

    pub async fn claim_one(&self, target: &str) -> Claimed {
        let mut taken = self.claim(target, 1).await;
        assert_eq!(taken.len(), 1, "one is due");
        taken.remove(0)
    }

    pub async fn settle(&self, claimed: &Claimed, next: Next, frozen: Option<&str>) -> Settled {
        let settlement = self.settlement(claimed, next, frozen);
        self.store.settle(claimed.lease, settlement).await.unwrap()
    }

    pub fn settlement(&self, claimed: &Claimed, next: Next, frozen: Option<&str>) -> Settlement {
        let outcome = match next {
            Next::Done => Outcome::Answered {
                status: 200,
                retry_after: None,
                snippet: "ok".to_owned(),
            },
            Next::RetryAt(_) => Outcome::Failed {
                failure: Failure::Timeout,
                detail: "timed out".to_owned(),
            },
            Next::Bury(reason) => Outcome::Unsendable {
                reason,
                detail: "line 1".to_owned(),
            },
        };
        Settlement {
            attempt: Attempt {
                number: claimed.delivery.attempts + 1,
                started_at: self.now(),
                took: Duration::from_millis(5),
                outcome,
                sent: None,
            },
            next,
            frozen: frozen.map(|text| Bytes::from(text.to_owned())),
        }
    }

    async fn state(&self, id: DeliveryId) -> State {
        self.store.delivery(id).await.unwrap().state
    }
}

pub fn name(text: &str) -> TargetName {
    text.parse().unwrap()
}

/// An event with one pending delivery to each target.
pub fn admission(now: Timestamp, targets: &[&str], body: &str) -> Admission {
    let id = EventId::generate();
    let event = Event::from_stored(EventParts {
        id,
        source: "wreno".parse().unwrap(),
        message_id: Some(format!("msg-{id}")),
        event_type: "order.paid".to_owned(),
        headers: vec![("x-test".to_owned(), "1".to_owned())],
        body: Bytes::from(body.to_owned()),
        received_at: now,
        hops: 0,
    });
    let deliveries = targets.iter().map(|target| Delivery {
        id: DeliveryId::generate(),
        event: id,
        route: "orders".parse().unwrap(),
        target: name(target),
        state: State::Pending { due: now },
        attempts: 0,
        started_at: now,
        order: None,
        mark: None,
    });
    Admission {
        deliveries: deliveries.collect(),
        event: Arc::new(event),
        dedupe: None,
        receipt: None,
    }
}

pub fn keyed(now: Timestamp, key: u8, body: u8) -> Admission {
    let mut admission = admission(now, &["erp"], "{}");
    admission.dedupe = Some(DedupeKey {
        key: [key; 32],
        body: [body; 32],
        window: Duration::from_secs(60),
    });
    admission
}

/// Everything that can be read of a store; equal before and after whatever must not change it.
pub async fn everything(store: &dyn Store) -> String {
    let mut text = String::new();
    let events = store.events(None, usize::MAX).await.unwrap();
    for row in &events {
        text += &format!("{row:?}\n");
        match store.event(row.id).await {
            Ok(event) => text += &format!("  {:?}\n", event.parts()),
            Err(error) => {
                assert_eq!(error, StoreError::Purged);
                assert!(row.purged_at.is_some());
            }
        }
        assert_eq!(store.event_row(row.id).await.as_ref(), Ok(row));
        text += &format!("  {:?}\n", store.receipt(row.id).await.unwrap());
    }
    let all = DeliveryFilter::default();
    let window = Window::first(usize::MAX);
    for listed in store.find_deliveries(&all, window).await.unwrap().rows {
        let id = listed.delivery.id;
        let attempts = store.attempts(id).await.unwrap();
        let frozen = store.frozen(id).await;
        text += &format!("{listed:?}\n  {attempts:?}\n  {frozen:?}\n");
        assert_eq!(store.listed(id).await, Ok(listed));
    }
    text += &format!("{:?}\n", store.pauses().await.unwrap());
    text += &format!("{:?}\n", store.replays(None, usize::MAX).await.unwrap());
    text += &format!("{:?}\n", store.audits(None, usize::MAX).await.unwrap());
    text += &format!("{:?}\n", store.depths().await.unwrap());
    text += &format!("{:?}\n", store.dead_groups().await.unwrap());
    text
}

macro_rules! cases {
    ($new:expr, $module:ident, $($case:ident),* $(,)?) => {
        $(
            eprintln!("contract: {}", stringify!($case));
            $module::$case(World::new($new()).await).await;
        )*
    };
}

/// Runs every case.
pub async fn contract(new: impl Fn() -> Box<dyn Bench>) {
    cases!(
        new,
        cases,
        done_is_done,
        retries_come_when_they_are_due,
        the_frozen_body_is_kept,
        the_dead_stay_until_revived,
        revive_and_discard_by_state,
        old_leases_are_fenced,
        claims_are_exclusive_and_oldest_first,
        dropped_claims_come_back,
        duplicates_are_told_from_conflicts,
        twins_get_one_answer,
        listings_are_newest_first_in_pages,
        depths_and_groups_are_counted,
        every_state_survives_a_restart,
        the_dead_at_admission_and_the_unrouted_are_kept,
        what_is_not_there_is_not_found,
        arrivals_are_told,
        a_closed_store_takes_nothing,
        a_backlog_is_worked_off_in_order,
    );
    cases!(
        new,
        operators,
        audit_entries_are_kept_and_listed_newest_first,
        long_audit_texts_are_cut_between_characters,
        what_is_held_waits_until_it_is_resumed,
        operators_move_what_is_held,
        many_are_held_and_do_not_stand_in_the_way,
        a_purged_event_is_gone_but_for_its_tombstone,
        an_event_in_any_state_can_be_purged,
    );
    cases!(
        new,
        door,
        events_are_found_by_what_they_are,
        deliveries_are_found_by_what_they_are,
        how_an_event_came_in_is_kept,
        what_was_sent_is_kept,
        what_is_rendered_anew_begins_anew,
        deliveries_are_added_to_what_is_stored,
        many_are_added_to_one_event_at_a_time,
        what_is_added_stands_at_the_end_of_its_line,
        configurations_are_numbered,
        pauses_are_kept_until_they_end,
        replays_are_kept_as_they_stand,
    );
    cases!(
        new,
        orders,
        one_key_goes_one_after_another,
        the_dead_hold_their_line_or_are_skipped,
        however_many_stand_in_line_nobody_else_waits,
        what_operators_take_out_of_a_line_lets_the_next_go,
        what_is_held_behind_another_is_resumed_as_well,
        one_event_can_stand_in_a_line_more_than_once,
    );
}
