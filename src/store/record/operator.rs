//! Records of what operators do: the audit log, the end of a purge, and what they want kept (see [`super::kept`]). Later kinds
//! are further variants.
//!
//! Promise: as in [`super`]; every text has a bound, so that an entry fits into one row of the index.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::kept::{StoredPause, StoredPlan, StoredReplay};
use super::{cut, time};
use crate::id::{AuditId, TargetName};
use crate::store::{AuditEntry, AuditNote};

/// Most bytes of actor, action and subject, each.
const WORD_BYTES: usize = 256;

/// Most bytes of the detail.
const DETAIL_BYTES: usize = 1024;

/// What an operator did. The order of the variants is part of the format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operator {
    /// An entry of the audit log.
    Audit(StoredAudit),
    /// The earlier records of this event, which was purged, are emptied.
    Scrubbed([u8; 16]),
    /// This configuration came into force.
    Plan(StoredPlan),
    /// A target is paused.
    Pause(StoredPause),
    /// A target is not paused any more.
    Unpause(TargetName),
    /// A replay stands like this now; the last one counts.
    Replay(StoredReplay),
}

/// An entry of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredAudit {
    /// Its id.
    pub id: [u8; 16],
    /// When it was made, by the store's clock.
    pub at: i64,
    /// Who did it.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// To what.
    pub subject: String,
    /// Whether it was done.
    pub ok: bool,
    /// More of it.
    pub detail: String,
}

impl StoredAudit {
    /// A note as it is kept, its texts cut to their bounds.
    #[must_use]
    pub fn new(id: AuditId, at: Timestamp, note: &AuditNote) -> Self {
        let within = |text: &str, most| cut(text, most).0.into_owned();
        Self {
            id: *id.as_bytes(),
            at: super::millis(at),
            actor: within(&note.actor, WORD_BYTES),
            action: within(&note.action, WORD_BYTES),
            subject: within(&note.subject, WORD_BYTES),
            ok: note.ok,
            detail: within(&note.detail, DETAIL_BYTES),
        }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> AuditId {
        AuditId::from_bytes(self.id)
    }

    /// Bytes that it takes in a record, roughly.
    #[must_use]
    pub fn size(&self) -> u64 {
        /// Id, time, lengths and the record's header.
        const REST: u64 = 64;
        let texts = [&self.actor, &self.action, &self.subject, &self.detail];
        let bytes: usize = texts.iter().map(|text| text.len()).sum();
        REST.saturating_add(bytes as u64)
    }
}

impl From<StoredAudit> for AuditEntry {
    fn from(audit: StoredAudit) -> Self {
        Self {
            id: audit.id(),
            at: time(audit.at),
            note: AuditNote {
                actor: audit.actor,
                action: audit.action,
                subject: audit.subject,
                ok: audit.ok,
                detail: audit.detail,
            },
        }
    }
}
