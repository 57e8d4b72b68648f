//! What is in a store, counted by a walk over its journal (see `ledger` for the memory that this takes), and what it
//! takes on disk.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::super::journal::FORMAT;
use super::super::local::INDEX;
use super::super::record::time;
use super::ledger::Ledger;
use super::verify::QUARANTINE;
use super::{CareError, Folder, Hold, io_error, take_in};
use crate::delivery::{DeadReason, State};
use crate::id::TargetName;

/// What is in a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Its folder.
    pub path: PathBuf,
    /// The newest format that this program reads; a newer one is an error.
    pub format: u32,
    /// Whether a daemon has it.
    pub in_use: bool,
    /// Events.
    pub events: u64,
    /// Those of them that no route took.
    pub unmatched: u64,
    /// Deliveries by target.
    pub targets: Vec<TargetCount>,
    /// Dead letters by target and reason.
    pub dead: Vec<DeadCount>,
    /// The pending delivery that was created or revived first.
    pub oldest_pending: Option<OldestPending>,
    /// Segments of the journal.
    pub segments: u64,
    /// What it takes on disk.
    pub bytes: Bytes,
    /// Bytes that are free on the disk; null if the file system does not say.
    pub free_bytes: Option<u64>,
    /// Damaged places of the journal that were passed over; `verify` names them.
    pub damaged: u64,
}

/// Deliveries to a target by state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TargetCount {
    /// The target.
    pub target: TargetName,
    /// To be tried.
    pub pending: u64,
    /// Delivered.
    pub delivered: u64,
    /// Dead letters.
    pub dead: u64,
    /// Let go by an operator.
    pub discarded: u64,
}

/// Dead letters of one target and reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeadCount {
    /// The target.
    pub target: TargetName,
    /// The reason.
    pub reason: DeadReason,
    /// How many.
    pub count: u64,
}

/// The pending delivery that was created or revived first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OldestPending {
    /// To which target.
    pub target: TargetName,
    /// When it was.
    #[serde(serialize_with = "rfc3339")]
    pub started_at: Timestamp,
}

/// Bytes on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Bytes {
    /// The journal's segments.
    pub journal: u64,
    /// The index.
    pub index: u64,
    /// Damaged parts of the journal and indexes that were set aside.
    pub set_aside: u64,
}

/// Counts everything.
///
/// # Errors
/// If the disk says no or something was written by a newer version.
pub fn stats(folder: &Folder) -> Result<Stats, CareError> {
    // let go at once: counting keeps no daemon out
    let in_use = matches!(folder.hold()?, Hold::InUse);
    let view = folder.view()?;
    let (ledger, damaged) = take_in(&view)?;
    let path = folder.path();
    let segments = view.segments();
    let unmatched = |ledger: &Ledger| {
        let events = ledger.events().values();
        events.filter(|event| event.deliveries.is_empty()).count() as u64
    };
    let (targets, dead, oldest_pending) = count(&ledger);
    let free = rustix::fs::statvfs(path).ok();
    Ok(Stats {
        path: path.to_owned(),
        format: FORMAT,
        in_use,
        events: ledger.events().len() as u64,
        unmatched: unmatched(&ledger),
        targets,
        dead,
        oldest_pending,
        segments: segments.len() as u64,
        bytes: Bytes {
            journal: segments.iter().map(|seen| seen.bytes).sum(),
            index: bytes_in(&path.join(INDEX))?,
            set_aside: set_aside_bytes(path)?,
        },
        free_bytes: free.map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize)),
        damaged,
    })
}

fn rfc3339<S: Serializer>(time: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(time)
}

type Counts = (Vec<TargetCount>, Vec<DeadCount>, Option<OldestPending>);

fn count(ledger: &Ledger) -> Counts {
    let mut targets: BTreeMap<&TargetName, TargetCount> = BTreeMap::new();
    let mut dead: BTreeMap<(&TargetName, DeadReason), u64> = BTreeMap::new();
    let mut oldest: Option<(i64, &TargetName)> = None;
    for delivery in ledger.deliveries().values() {
        let Some((_, target)) = ledger.lane(delivery) else {
            continue;
        };
        let counts = targets.entry(target).or_insert_with(|| TargetCount {
            target: target.clone(),
            pending: 0,
            delivered: 0,
            dead: 0,
            discarded: 0,
        });
        let slot = match State::from(delivery.state) {
            State::Pending { .. } => {
                let this = (delivery.started_at, target);
                oldest = Some(oldest.map_or(this, |oldest| oldest.min(this)));
                &mut counts.pending
            }
            State::Delivered { .. } => &mut counts.delivered,
            State::Dead { reason, .. } => {
                let group = dead.entry((target, reason)).or_default();
                *group = group.saturating_add(1);
                &mut counts.dead
            }
            State::Discarded { .. } => &mut counts.discarded,
        };
        *slot = slot.saturating_add(1);
    }
    let dead = dead.into_iter().map(|((target, reason), count)| DeadCount {
        target: target.clone(),
        reason,
        count,
    });
    let oldest = oldest.map(|(started_at, target)| OldestPending {
        target: target.clone(),
        started_at: time(started_at),
    });
    (targets.into_values().collect(), dead.collect(), oldest)
}

fn set_aside_bytes(store: &Path) -> Result<u64, CareError> {
    let mut bytes: u64 = 0;
    let list = |error| io_error("list", store, error);
    for entry in std::fs::read_dir(store).map_err(list)? {
        let entry = entry.map_err(list)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name == QUARANTINE || name.starts_with(&format!("{INDEX}.aside-")) {
            bytes = bytes.saturating_add(bytes_in(&entry.path())?);
        }
    }
    Ok(bytes)
}

/// Bytes of all files in a folder; what goes meanwhile counts as nothing.
fn bytes_in(path: &Path) -> Result<u64, CareError> {
    let mut bytes: u64 = 0;
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(io_error("list", path, error)),
    };
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) => return failed(error).map(|()| 0),
    };
    for entry in entries {
        let looked = entry.and_then(|entry| Ok((entry.path(), entry.metadata()?)));
        match looked {
            Ok((path, there)) if there.is_dir() => {
                bytes = bytes.saturating_add(bytes_in(&path)?);
            }
            Ok((_, there)) => bytes = bytes.saturating_add(there.len()),
            Err(error) => failed(error)?,
        }
    }
    Ok(bytes)
}
