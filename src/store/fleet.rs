//! Several processes on one store: who they are, and what only one of them may do at a time. Plain data.
//!
//! Not here: how they keep out of each other's way (see `postgres`).

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use crate::id::{Digest, ReplayId, TargetName};

/// What only one of the processes that share a store does at a time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Task {
    /// Attempts to this target: so its limits, its breaker and its order hold, whoever takes its events in.
    Target(TargetName),
    /// This replay.
    Replay(ReplayId),
    /// Dead letters of routes with `revive: auto`.
    AutoRevive,
}

/// As the store names it: `target:erp`, `replay:ID`, `auto-revive`.
impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target(name) => write!(f, "target:{name}"),
            Self::Replay(id) => write!(f, "replay:{id}"),
            Self::AutoRevive => f.write_str("auto-revive"),
        }
    }
}

/// One of the processes that share a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Its number; a later one has a higher.
    pub id: u64,
    /// Its name: the host's, unless the configuration says another.
    pub name: String,
    /// Whether it is the one that was asked.
    pub this: bool,
    /// The version of its program.
    pub version: String,
    /// Since when it runs, by the store's clock.
    pub started_at: Timestamp,
    /// How long ago it was heard of last.
    pub silent: Duration,
    /// The number and the fingerprint of its configuration; `None` if it has not told them yet.
    pub plan: Option<(u64, Digest)>,
    /// The targets to which it makes the attempts.
    pub owns: Vec<TargetName>,
    /// Those of them that it takes to be down.
    pub down: Vec<TargetName>,
}
