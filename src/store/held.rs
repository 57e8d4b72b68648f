//! Deliveries that wait for their route to come back: they are pending, due at [`record::HELD`], which is never.
//!
//! Holding counts in memory at once and is on disk soon after, like an outcome. Resuming goes through the index
//! in pages and writes each page before the next is read, so that a backlog of any size takes the memory of one.
//! A record of kind *revived* says what the delivery became, either way.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::index::change::Step;
use super::local::Inner;
use super::moves::current;
use super::reads::blocking;
use super::record::{self, Content, Moved, Revived, StoredState};
use super::rules::Wanted;
use super::{Lease, Settled, StoreError};
use crate::id::{DeliveryId, RouteName, TargetName};

/// Deliveries that are resumed before their records are waited for.
const PAGE: usize = 256;

/// How long the fold may take to make room for the next page.
const FOLD_PATIENCE: Duration = Duration::from_secs(30);

impl Inner {
    pub(super) fn hold(self: &Arc<Self>, lease: Lease) -> Result<Settled, StoreError> {
        let id = lease.delivery;
        self.journal.health()?;
        let _order = self.order();
        let moved = {
            let mut state = self.state();
            state.usable()?;
            let entry = match state.entries.get_mut(&id) {
                Some(entry) if entry.lease == Some(lease.token) => entry,
                _ => return Ok(Settled::Fenced),
            };
            let mut moved = current(entry, id);
            moved.revision = moved.revision.saturating_add(1);
            moved.state = StoredState::Pending(record::HELD);
            entry.lease = None;
            entry.writing = entry.writing.saturating_add(1);
            state.set_state(id, &moved);
            moved
        };
        self.append_held(moved);
        Ok(Settled::Recorded)
    }

    /// Writes that a delivery is held; `writing` counts the record already.
    pub(super) fn append_held(self: &Arc<Self>, moved: Moved) {
        let content = Content::Revived(Revived {
            moved: moved.clone(),
            mark: None,
            anew: false,
        });
        self.append_move(content, Step::plain(moved));
    }

    pub(super) async fn resume(
        self: &Arc<Self>,
        target: &TargetName,
        routes: &BTreeSet<RouteName>,
    ) -> Result<u64, StoreError> {
        let inner = Arc::clone(self);
        let (target, routes) = (target.clone(), routes.clone());
        blocking(move || inner.resume_all(&target, &routes)).await
    }

    fn resume_all(
        self: &Arc<Self>,
        target: &TargetName,
        routes: &BTreeSet<RouteName>,
    ) -> Result<u64, StoreError> {
        let mut resumed: u64 = 0;
        // first what is in memory: what is folded meanwhile is then met in the index at worst once more
        for page in self.held_in_memory(target, routes)?.chunks(PAGE) {
            resumed = resumed.saturating_add(self.resume_page(page)?);
        }
        let mut from = Some((record::HELD, DeliveryId::from_bytes([0; 16])));
        while let Some(next) = from {
            let (rows, rest) = self.gate().index()?.due(target, next, record::HELD, PAGE)?;
            let wanted = rows
                .into_iter()
                .filter(|(_, row)| routes.contains(&row.route));
            let page: Vec<_> = wanted.map(|((_, id), _)| id).collect();
            resumed = resumed.saturating_add(self.resume_page(&page)?);
            from = rest;
        }
        Ok(resumed)
    }

    fn held_in_memory(
        &self,
        target: &TargetName,
        routes: &BTreeSet<RouteName>,
    ) -> Result<Vec<DeliveryId>, StoreError> {
        let _gate = self.gate();
        let state = self.state();
        state.usable()?;
        let held = state.entries.iter().filter(|(_, entry)| {
            entry.row.state == StoredState::Pending(record::HELD)
                && entry.row.target == *target
                && routes.contains(&entry.row.route)
        });
        Ok(held.map(|(id, _)| *id).collect())
    }

    /// Resumes those of a page that are held yet; gives how many.
    fn resume_page(self: &Arc<Self>, page: &[DeliveryId]) -> Result<u64, StoreError> {
        if page.is_empty() {
            return Ok(0);
        }
        self.wait_for_room()?;
        let mut ends = Vec::with_capacity(page.len());
        for id in page {
            match self.begin_change(*id, Wanted::Resume) {
                Ok(end) => ends.push(end),
                // somebody else has moved it on, or is about to
                Err(StoreError::Damaged(why)) => return Err(StoreError::Damaged(why)),
                Err(_) => self.state().usable()?,
            }
        }
        let mut resumed: u64 = 0;
        for end in ends {
            let stopped = |_| StoreError::Unavailable("stopped".to_owned());
            end.blocking_recv().map_err(stopped)??;
            resumed = resumed.saturating_add(1);
        }
        Ok(resumed)
    }

    /// Waits while the fold is behind, so that admissions are not kept waiting by a large page-wise change.
    fn wait_for_room(&self) -> Result<(), StoreError> {
        let most = self.options.unfolded / 4;
        let state = self.wait_for_fold(FOLD_PATIENCE, |state| state.unfolded <= most);
        state.usable()?;
        if state.unfolded > most {
            return Err(StoreError::Unavailable(
                "the index is behind the journal".to_owned(),
            ));
        }
        Ok(())
    }
}
