//! What version 3 has added to events, deliveries and attempts.

use serde::{Deserialize, Serialize};

use super::{StoredDelivery, StoredOutcome, code, cut, named, reason, reason_code};
use crate::delivery::{AttemptResult, BodyFrom, Failure, Outcome, ReplayMark, ReplayMode, Sent};
use crate::id::{DeliveryId, Digest, ReplayId};
use crate::store::Receipt;

/// Most bytes of the name of a scheme.
const SCHEME_BYTES: usize = 64;

/// How an event was verified and routed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredReceipt {
    /// The scheme.
    pub scheme: String,
    /// Which secret has matched.
    pub secret: u16,
    /// By how many seconds the sender's timestamp was ahead.
    pub skew: Option<i64>,
    /// Whether the signature covers the message id.
    pub covered: bool,
    /// By which configuration it was routed; 0 if that is not known.
    pub generation: u64,
}

/// By what a delivery was taken up again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredMark {
    /// The replay.
    pub job: Option<[u8; 16]>,
    /// How, by its code.
    pub mode: u8,
    /// The delivery in whose place it was made.
    pub of: Option<[u8; 16]>,
}

/// What an attempt sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredSent {
    /// The configuration; 0 if that is not known.
    pub generation: u64,
    /// The template.
    pub template: Option<[u8; 32]>,
    /// Where the body came from, by its code; 0 if nothing was sent.
    pub body_from: u8,
    /// The hash of the body.
    pub body: Option<[u8; 32]>,
}

/// New deliveries of a stored event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Added {
    /// When, by the store's clock.
    pub at: i64,
    /// The event.
    pub event: [u8; 16],
    /// Its new deliveries in their first state.
    pub deliveries: Vec<StoredDelivery>,
}

/// The codes of modes in records; they are never given anew.
const MODES: [(u8, ReplayMode); 3] = [
    (1, ReplayMode::Frozen),
    (2, ReplayMode::Rerender),
    (3, ReplayMode::Reroute),
];

/// The codes of where bodies come from; they are never given anew.
const ORIGINS: [(u8, BodyFrom); 3] = [
    (1, BodyFrom::Rendered),
    (2, BodyFrom::Frozen),
    (3, BodyFrom::Unchanged),
];

/// The code of a mode.
#[must_use]
pub fn mode_code(mode: ReplayMode) -> u8 {
    code(&MODES, mode)
}

/// The mode of a code. An unknown one cannot stand in a record of a known version; it reads as the plainest.
#[must_use]
pub fn mode(code: u8) -> ReplayMode {
    named(&MODES, code).unwrap_or_default()
}

impl From<&Receipt> for StoredReceipt {
    fn from(receipt: &Receipt) -> Self {
        Self {
            scheme: cut(&receipt.scheme, SCHEME_BYTES).0.into_owned(),
            secret: receipt.secret,
            skew: receipt.skew_seconds,
            covered: receipt.message_id_covered,
            generation: receipt.generation.unwrap_or(0),
        }
    }
}

impl From<StoredReceipt> for Receipt {
    fn from(receipt: StoredReceipt) -> Self {
        Self {
            scheme: receipt.scheme,
            secret: receipt.secret,
            skew_seconds: receipt.skew,
            message_id_covered: receipt.covered,
            generation: known(receipt.generation),
        }
    }
}

impl From<ReplayMark> for StoredMark {
    fn from(mark: ReplayMark) -> Self {
        Self {
            job: mark.job.map(|id| *id.as_bytes()),
            mode: mode_code(mark.mode),
            of: mark.of.map(|id| *id.as_bytes()),
        }
    }
}

impl From<StoredMark> for ReplayMark {
    fn from(mark: StoredMark) -> Self {
        Self {
            job: mark.job.map(ReplayId::from_bytes),
            mode: mode(mark.mode),
            of: mark.of.map(DeliveryId::from_bytes),
        }
    }
}

impl From<Sent> for StoredSent {
    fn from(sent: Sent) -> Self {
        Self {
            generation: sent.generation.unwrap_or(0),
            template: sent.template.map(|hash| *hash.as_bytes()),
            body_from: sent.body_from.map_or(0, |from| code(&ORIGINS, from)),
            body: sent.body.map(|hash| *hash.as_bytes()),
        }
    }
}

impl From<StoredSent> for Sent {
    fn from(sent: StoredSent) -> Self {
        Self {
            generation: known(sent.generation),
            template: sent.template.map(Digest::from_bytes),
            body_from: named(&ORIGINS, sent.body_from),
            body: sent.body.map(Digest::from_bytes),
        }
    }
}

fn known(generation: u64) -> Option<u64> {
    Some(generation).filter(|number| *number > 0)
}

/// Where the codes of failures begin in [`result_code`]; below them stand HTTP statuses.
const FAILED: u16 = 1000;

/// The same of the reasons why nothing could be sent.
const UNSENDABLE: u16 = 2000;

/// What came of an attempt as one number, for rows of the index.
#[must_use]
pub fn result_code(outcome: &StoredOutcome) -> u16 {
    match outcome {
        StoredOutcome::Answered(status, ..) => (*status).min(FAILED - 1),
        StoredOutcome::Failed(code, _) => FAILED + u16::from(*code),
        StoredOutcome::Unsendable(code, _) => UNSENDABLE + u16::from(*code),
    }
}

/// The same of an attempt that just ended.
#[must_use]
pub fn result_code_of(outcome: &Outcome) -> u16 {
    match outcome {
        Outcome::Answered { status, .. } => (*status).min(FAILED - 1),
        Outcome::Failed { failure, .. } => FAILED + u16::from(code(&super::FAILURES, *failure)),
        Outcome::Unsendable { reason, .. } => UNSENDABLE + u16::from(reason_code(*reason)),
    }
}

/// What came of an attempt, by that number.
#[must_use]
pub fn result(number: u16) -> AttemptResult {
    let code = |from: u16| u8::try_from(number.saturating_sub(from)).unwrap_or(0);
    match number {
        UNSENDABLE.. => AttemptResult::Unsendable(reason(code(UNSENDABLE))),
        FAILED.. => {
            let failure = named(&super::FAILURES, code(FAILED));
            AttemptResult::Failed(failure.unwrap_or(Failure::Protocol))
        }
        status => AttemptResult::Status(status),
    }
}
