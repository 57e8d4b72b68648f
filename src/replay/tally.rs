//! What a replay counts, and what it makes of an answer of the store. Pure.

use std::time::Duration;

use crate::store::{ReplayState, StoreError};

/// The first pause before the store is asked again that could not do it; it doubles each time.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// The longest such pause.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What came of one that a replay has gone through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is pending again.
    Revived,
    /// So many new deliveries were made; never none.
    Created(u64),
    /// It is not as it was any more, or no route takes it.
    Skipped,
    /// It could not be taken up.
    Failed,
}

impl Fate {
    /// As the metric has it, with how many.
    pub(super) fn label(self) -> (&'static str, u64) {
        match self {
            Self::Revived => ("revived", 1),
            Self::Created(count) => ("created", count),
            Self::Skipped => ("skipped", 1),
            Self::Failed => ("failed", 1),
        }
    }

    /// Adds it to what was counted.
    pub(super) fn count(self, state: &mut ReplayState) {
        let (_, count) = self.label();
        let sum = match self {
            Self::Revived => &mut state.revived,
            Self::Created(_) => &mut state.created,
            Self::Skipped => &mut state.skipped,
            Self::Failed => &mut state.failed,
        };
        *sum = sum.saturating_add(count);
        state.done = state.done.saturating_add(1);
    }
}

/// What an error of the store means for one that is to be taken up; `None`: ask again later.
pub(super) fn fate_of(error: &StoreError) -> Option<Fate> {
    match error {
        StoreError::Unavailable(_) => None,
        StoreError::NotFound | StoreError::Purged | StoreError::WrongState { .. } => {
            Some(Fate::Skipped)
        }
        StoreError::Damaged(_) => Some(Fate::Failed),
    }
}

/// How long to wait before the store is asked for the time after this one.
pub(super) fn longer(pause: Duration) -> Duration {
    (pause * 2).min(LONGEST_PAUSE)
}
