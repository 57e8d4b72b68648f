//! The audit log: what operators did, in the journal like all else, listed from index and overlay.
//!
//! Not here: what is worth an entry (the doors decide that).

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::index::change::{Change, What};
use super::index::rows::{AuditRow, Place};
use super::journal::{Appended, JournalError};
use super::local::Inner;
use super::reads::{self, CHUNK, blocking};
use super::record::{Content, Operator, StoredAudit};
use super::{AuditEntry, AuditNote, StoreError};
use crate::id::AuditId;

impl Inner {
    pub(super) async fn audit(self: &Arc<Self>, note: AuditNote) -> Result<AuditEntry, StoreError> {
        let audit = StoredAudit::new(AuditId::generate(), self.clock.now(), &note);
        self.state().usable()?;
        let (answer, receiver) = oneshot::channel();
        let inner = Arc::clone(self);
        let content = Content::Operator(Operator::Audit(audit.clone()));
        self.append(content, true, move |result| {
            // nobody may be waiting any more; the entry counts all the same
            let _ = answer.send(inner.audit_ended(audit, result));
        });
        let stopped = |_| StoreError::Unavailable("stopped".to_owned());
        receiver.await.map_err(stopped)?
    }

    fn audit_ended(
        &self,
        audit: StoredAudit,
        result: Result<Appended, JournalError>,
    ) -> Result<AuditEntry, StoreError> {
        let appended = result?;
        self.space.written(0, appended.bytes);
        let at = Place::from(appended.position);
        {
            let mut state = self.state();
            state.audits.insert(audit.id(), audit.clone());
            let row = AuditRow {
                at,
                audit: audit.clone(),
            };
            state.queue(Change {
                at,
                sequence: appended.sequence,
                what: What::Audited(row),
            });
        }
        self.work.notify_all();
        Ok(audit.into())
    }

    pub(super) async fn audits(
        self: &Arc<Self>,
        before: Option<AuditId>,
        limit: usize,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let inner = Arc::clone(self);
        blocking(move || {
            let found = reads::paged(before, limit, |before| inner.audits_chunk(before))?;
            Ok(found.into_iter().map(AuditEntry::from).collect())
        })
        .await
    }

    /// Entries older than `before`, newest first, down to the id that is given along; `None`: to the end.
    fn audits_chunk(
        &self,
        before: Option<AuditId>,
    ) -> Result<(Vec<StoredAudit>, Option<AuditId>), StoreError> {
        let gate = self.gate();
        let rows = gate.index()?.audits(before).take(CHUNK);
        let rows: BTreeMap<AuditId, AuditRow> = rows.collect::<Result<_, _>>()?;
        let rest = reads::rest(&rows);
        let state = self.state();
        let there = |row: &AuditRow| row.at.segment >= state.floor;
        let kept = rows.into_iter().filter(|(_, row)| there(row));
        let mut audits: BTreeMap<_, _> = kept.map(|(id, row)| (id, row.audit)).collect();
        for (id, audit) in state.audits.range(reads::range(rest, before)) {
            audits.insert(*id, audit.clone());
        }
        Ok((audits.into_values().rev().collect(), rest))
    }
}
