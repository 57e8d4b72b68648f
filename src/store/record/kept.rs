//! Records of what operators want kept: pauses, replays, configurations.
//!
//! Promise: as in [`super::operator`]. A replay is written whole each time, its filter as JSON, which knows its own names.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{cut, millis, mode, mode_code, time};
use crate::delivery::ReplayMode;
use crate::id::{DeliveryId, EventId, ReplayId, TargetName};
use crate::plan::Generation;
use crate::store::{Cursor, Pause, ReplayPhase, ReplayState};
use crate::units::parse_rate;

/// Most bytes of who asked, and of an error.
const WORD_BYTES: usize = 256;

/// A configuration that came into force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredPlan {
    /// Counts from 1.
    pub number: u64,
    /// The hash of what it was made of.
    pub fingerprint: [u8; 32],
    /// Since when.
    pub since: i64,
}

impl From<StoredPlan> for Generation {
    fn from(plan: StoredPlan) -> Self {
        Self {
            number: plan.number,
            since: time(plan.since),
        }
    }
}

/// That a target is paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredPause {
    /// The target.
    pub target: TargetName,
    /// Since when.
    pub since: i64,
    /// Who paused it.
    pub by: String,
}

impl StoredPause {
    /// A pause from now on.
    #[must_use]
    pub fn new(target: &TargetName, since: Timestamp, by: &str) -> Self {
        Self {
            target: target.clone(),
            since: millis(since),
            by: cut(by, WORD_BYTES).0.into_owned(),
        }
    }
}

impl From<StoredPause> for Pause {
    fn from(pause: StoredPause) -> Self {
        Self {
            since: time(pause.since),
            by: pause.by,
        }
    }
}

/// A replay and how far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredReplay {
    /// Its id.
    pub id: [u8; 16],
    /// When this was written.
    pub at: i64,
    /// When it began.
    pub created_at: i64,
    /// Who asked for it.
    pub created_by: String,
    /// Its mode, by its code.
    pub mode: u8,
    /// Its filter as JSON.
    pub filter: String,
    /// Its rate, as it is written.
    pub rate: Option<String>,
    /// Whether it goes on, by its code.
    pub phase: u8,
    /// How many there were.
    pub total: Option<u64>,
    /// Counts: gone through, revived, created, skipped, failed.
    pub counts: [u64; 5],
    /// The delivery or event that it has gone through last.
    pub cursor: Option<[u8; 16]>,
    /// When it ended.
    pub finished_at: Option<i64>,
    /// Why it failed.
    pub error: Option<String>,
}

/// The codes of phases in records; they are never given anew.
const PHASES: [(u8, ReplayPhase); 4] = [
    (1, ReplayPhase::Running),
    (2, ReplayPhase::Done),
    (3, ReplayPhase::Cancelled),
    (4, ReplayPhase::Failed),
];

impl StoredReplay {
    /// A replay as it stands now.
    ///
    /// # Errors
    /// None is known: a filter is JSON.
    pub fn new(replay: &ReplayState, now: Timestamp) -> Result<Self, serde_json::Error> {
        let word = |text: &str| cut(text, WORD_BYTES).0.into_owned();
        Ok(Self {
            id: *replay.id.as_bytes(),
            at: millis(now),
            created_at: millis(replay.created_at),
            created_by: word(&replay.created_by),
            mode: mode_code(replay.mode),
            filter: serde_json::to_string(&replay.filter)?,
            rate: replay.rate.map(|rate| rate.to_string()),
            phase: super::code(&PHASES, replay.phase),
            total: replay.total,
            counts: [
                replay.done,
                replay.revived,
                replay.created,
                replay.skipped,
                replay.failed,
            ],
            cursor: replay.cursor.map(|cursor| match cursor {
                Cursor::Delivery(id) => *id.as_bytes(),
                Cursor::Event(id) => *id.as_bytes(),
            }),
            finished_at: replay.finished_at.map(millis),
            error: replay.error.as_deref().map(word),
        })
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> ReplayId {
        ReplayId::from_bytes(self.id)
    }

    /// Bytes that it takes in a record, roughly.
    #[must_use]
    pub fn size(&self) -> u64 {
        /// Ids, times, counts, lengths and the record's header.
        const REST: u64 = 160;
        let texts = [&self.created_by, &self.filter];
        let bytes: usize = texts.iter().map(|text| text.len()).sum();
        REST.saturating_add(bytes as u64)
    }

    /// Whether it must not be let go, if what ended by `past_before` may be.
    #[must_use]
    pub fn is_kept(&self, past_before: i64) -> bool {
        phase(self.phase) == ReplayPhase::Running || self.at > past_before
    }
}

fn phase(code: u8) -> ReplayPhase {
    // an unknown one cannot stand in a record of a known version; it must not begin anew
    super::named(&PHASES, code).unwrap_or(ReplayPhase::Failed)
}

impl TryFrom<StoredReplay> for ReplayState {
    type Error = serde_json::Error;

    fn try_from(replay: StoredReplay) -> Result<Self, serde_json::Error> {
        let mode = mode(replay.mode);
        let [done, revived, created, skipped, failed] = replay.counts;
        Ok(Self {
            id: replay.id(),
            created_at: time(replay.created_at),
            created_by: replay.created_by,
            mode,
            filter: serde_json::from_str(&replay.filter)?,
            rate: replay.rate.and_then(|rate| parse_rate(&rate).ok()),
            phase: phase(replay.phase),
            total: replay.total,
            done,
            revived,
            created,
            skipped,
            failed,
            cursor: replay.cursor.map(|id| match mode {
                ReplayMode::Reroute => Cursor::Event(EventId::from_bytes(id)),
                ReplayMode::Frozen | ReplayMode::Rerender => {
                    Cursor::Delivery(DeliveryId::from_bytes(id))
                }
            }),
            finished_at: replay.finished_at.map(time),
            error: replay.error,
        })
    }
}
