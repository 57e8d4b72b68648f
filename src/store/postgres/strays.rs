//! Leases that the database says are ours and of which nobody here knows: they are given back, or the deliveries would wait for as
//! long as this process lives.
//!
//! There are such because the answer that would have told us of them was lost with its connection, because one could not
//! be given back while the database was away, or because a crash of the database took back the outcome of an attempt, which does
//! not wait for the disk. What is given back is attempted, in the last case once more.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::link::PATIENCE;
use super::{Inner, rows};
use crate::store::{Lease, StoreError};

/// How often the database is asked. Longer than any statement is waited for: what is unknown here in two looks is no answer that is
/// still on its way.
const EVERY: Duration = PATIENCE.saturating_add(Duration::from_secs(1));

const LEASED: &str =
    "SELECT id, lease, target FROM ingate.delivery WHERE holder = $1 AND lease IS NOT NULL";

impl Inner {
    /// Looks for them until the store is closed.
    pub(super) async fn keep_finding_strays(self: Arc<Self>) {
        let mut closing = self.closing.subscribe();
        let mut unknown = HashSet::new();
        loop {
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                _ = closing.wait_for(|closing| *closing) => return,
            }
            unknown = match self.find_strays(&unknown).await {
                Ok(unknown) => unknown,
                Err(error) => {
                    tracing::debug!(%error, "leases cannot be looked through");
                    HashSet::new()
                }
            };
        }
    }

    /// One look. Gives back what was unknown `before` as well, and gives what is unknown now.
    pub(super) async fn find_strays(
        &self,
        before: &HashSet<Lease>,
    ) -> Result<HashSet<Lease>, StoreError> {
        let leased = self.rows(LEASED, &[&self.me.id()]).await?;
        let known = self.lanes.known();
        let (mut unknown, mut strays, mut targets) = (HashSet::new(), Vec::new(), HashSet::new());
        for row in &leased {
            let token: i64 = rows::get(row, "lease")?;
            let lease = Lease {
                delivery: rows::delivery_id(rows::get(row, "id")?),
                token: token.cast_unsigned(),
            };
            if known.contains(&lease) {
                continue;
            }
            if before.contains(&lease) {
                strays.push(lease);
                targets.insert(rows::name(row, "target")?);
            } else {
                unknown.insert(lease);
            }
        }
        if strays.is_empty() {
            return Ok(unknown);
        }
        let freed = self.release_all(&strays).await?;
        tracing::info!(
            count = freed,
            "deliveries that had been lost sight of over a fault of the database are tried again"
        );
        for target in targets {
            self.lanes.look(&target);
        }
        Ok(unknown)
    }
}
