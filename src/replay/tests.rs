//! What replays decide, without a store.

use super::take::needs_new_id;
use super::tally::{FIRST_PAUSE, Fate, LONGEST_PAUSE, fate_of, longer};
use super::*;
use crate::delivery::{DeadReason, Delivery, State};
use crate::id::{DeliveryId, EventId};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn a_filter_is_filled_in() {
    let now = at("2026-01-05T10:00:00.0015Z");
    let until = Some(at("2026-01-05T10:00:00.002Z"));
    let earlier = Some(at("2026-01-05T09:00:00Z"));
    let later = Some(at("2027-01-05T09:00:00Z"));
    for (mode, states, given, wanted_states, wanted) in [
        (
            ReplayMode::Frozen,
            &[][..],
            None,
            &[StateKind::Dead][..],
            until,
        ),
        (
            ReplayMode::Rerender,
            &[StateKind::Delivered],
            earlier,
            &[StateKind::Delivered],
            earlier,
        ),
        // what comes later was not there when it began
        (ReplayMode::Reroute, &[], later, &[], until),
    ] {
        let filter = ReplayFilter {
            states: states.iter().copied().collect(),
            until: given,
            ..ReplayFilter::default()
        };
        let filled = filled(filter, mode, now);
        let states: Vec<StateKind> = filled.states.into_iter().collect();
        assert_eq!(
            (states.as_slice(), filled.until),
            (wanted_states, wanted),
            "{mode:?}"
        );
    }
    // What is made in the millisecond in which it begins was there.
    let id = DeliveryId::generate();
    let filled = filled(ReplayFilter::default(), ReplayMode::Frozen, id.made_at());
    assert!(id < DeliveryId::first_at(filled.until.unwrap()));
}

#[test]
fn other_bytes_need_another_id_once_the_target_has_had_them() {
    let now = Timestamp::UNIX_EPOCH;
    let dead = State::Dead {
        at: now,
        reason: DeadReason::Exhausted,
    };
    let delivered = State::Delivered { at: now };
    for (state, had_success, mode, wanted) in [
        (&dead, false, ReplayMode::Rerender, false),
        (&dead, true, ReplayMode::Rerender, true),
        (&dead, true, ReplayMode::Frozen, false),
        (&delivered, false, ReplayMode::Rerender, true),
        (&delivered, true, ReplayMode::Frozen, false),
    ] {
        let listed = ListedDelivery {
            delivery: Delivery {
                id: DeliveryId::generate(),
                event: EventId::generate(),
                route: "r".parse().unwrap(),
                target: "t".parse().unwrap(),
                state: state.clone(),
                attempts: 1,
                started_at: now,
                order: None,
                mark: None,
            },
            source: "s".parse().unwrap(),
            event_type: "t".to_owned(),
            last: None,
            had_success,
        };
        let got = needs_new_id(&listed, mode);
        assert_eq!(got, wanted, "{state:?} {had_success} {mode:?}");
    }
}

#[test]
fn what_the_store_says_decides() {
    let wrong = StoreError::WrongState {
        state: "discarded",
        wanted: "retried",
    };
    for (error, wanted) in [
        (StoreError::NotFound, Some(Fate::Skipped)),
        (StoreError::Purged, Some(Fate::Skipped)),
        (wrong, Some(Fate::Skipped)),
        (
            StoreError::Damaged("a record".to_owned()),
            Some(Fate::Failed),
        ),
        (StoreError::Unavailable("full".to_owned()), None),
    ] {
        assert_eq!(fate_of(&error), wanted, "{error}");
    }
    let pauses = std::iter::successors(Some(FIRST_PAUSE), |pause| Some(longer(*pause)));
    assert_eq!(pauses.take(20).last(), Some(LONGEST_PAUSE));
}

#[test]
fn what_was_gone_through_adds_up() {
    let mut state = ReplayState::begun(
        ReplayId::generate(),
        ReplayMode::Frozen,
        ReplayFilter::default(),
        "",
        Timestamp::UNIX_EPOCH,
    );
    for fate in [
        Fate::Revived,
        Fate::Created(3),
        Fate::Skipped,
        Fate::Failed,
        Fate::Revived,
    ] {
        fate.count(&mut state);
    }
    let counts = (
        state.done,
        state.revived,
        state.created,
        state.skipped,
        state.failed,
    );
    assert_eq!(counts, (5, 2, 3, 1, 1));
}
