//! What a delivery becomes, by an attempt or by what an operator wants. Pure, and the same in every store.

use super::record::{self, StoredState};
use super::{Revival, RevivedBody, StoreError};
use crate::delivery::{Next, State};

/// What an operator wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Revive(Revival),
    Discard,
    /// Only what is held.
    Resume,
}

/// What a delivery becomes by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Became {
    pub(super) state: StoredState,
    /// Whether its attempts begin anew, and its time.
    pub(super) anew: bool,
}

impl Wanted {
    /// What it makes of a delivery in this state; `had_success` says whether its target has ever answered 2xx to it.
    pub(super) fn of(
        self,
        state: StoredState,
        had_success: bool,
        now: i64,
    ) -> Result<Became, StoreError> {
        let wrong = |wanted| StoreError::WrongState {
            state: State::from(state).kind().as_str(),
            wanted,
        };
        let (state, anew) = match self {
            Self::Revive(how) => {
                let keeps = how.body == RevivedBody::Keep;
                if !keeps && had_success {
                    return Err(wrong(
                        "rendered anew under the id that its target has had with 2xx",
                    ));
                }
                let goes_on = keeps && matches!(state, StoredState::Pending(_));
                (StoredState::Pending(now), !goes_on)
            }
            Self::Discard if state.is_open() => (StoredState::Discarded(now), false),
            Self::Discard => return Err(wrong("discarded")),
            Self::Resume if state == StoredState::Pending(record::HELD) => {
                (StoredState::Pending(now), false)
            }
            Self::Resume => return Err(wrong("resumed")),
        };
        Ok(Became { state, anew })
    }
}

/// What a delivery becomes by an attempt from which this follows. A due time is put off by `ahead`, and is never mistaken for that
/// of one that is held.
pub(super) fn after(next: Next, now: i64, ahead: i64) -> StoredState {
    match next {
        Next::Done => StoredState::Delivered(now),
        Next::RetryAt(due) => {
            let due = record::millis(due).saturating_add(ahead);
            StoredState::Pending(due.min(record::HELD - 1))
        }
        Next::Bury(reason) => StoredState::Dead(now, record::reason_code(reason)),
    }
}
