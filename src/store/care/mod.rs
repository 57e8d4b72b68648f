//! Looking after a store's folder from outside: verify, back up, export, count. All of it works on a store in use
//! and on one that is not.
//!
//! Promise: nothing in the store is written, cut, repaired or removed. Each of them looks at the journal as it stood at one
//! moment (see `journal::view`): a prefix of what the daemon writes, with all that was acknowledged before, and
//! without a gap, whatever is cleaned or replaced meanwhile. The index of a store in use is never touched; only `verify`
//! reads that of a store that is not, and from a copy, since opening it would change it.

mod backup;
mod export;
mod findings;
mod index;
mod ledger;
mod stats;
#[cfg(test)]
mod tests;
mod verify;

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

pub use backup::{Backup, backup};
pub use export::{EventFilter, Exported, Viewer, export, export_side};
pub use index::IndexState;
pub use stats::{Bytes, DeadCount, OldestPending, Stats, TargetCount, stats};
pub use verify::{Damage, Report, Unfinished, verify};

use super::StoreError;
use super::journal::view::{Finding, View};
use super::journal::{JournalError, Kind, Record};
use super::local::JOURNAL;
use super::lock::{LockError, StoreLock};
use super::record::{Content, RecordError};
use crate::id::EventId;
use ledger::Ledger;

/// Why a folder cannot be looked after.
#[derive(Debug, thiserror::Error)]
pub enum CareError {
    /// It is no store.
    #[error("{} is no store: {why}", path.display())]
    NoStore {
        /// The folder.
        path: PathBuf,
        /// What it lacks.
        why: &'static str,
    },
    /// The journal cannot be read, or has a newer format.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A record was written by a newer version.
    #[error("{} was written by a newer version of this program", path.display())]
    Newer {
        /// The segment.
        path: PathBuf,
        /// Which version the record has.
        #[source]
        source: RecordError,
    },
    /// A database cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The folder for a backup cannot be used.
    #[error("cannot back up to {}: {why}", path.display())]
    Destination {
        /// The folder.
        path: PathBuf,
        /// Why not.
        why: &'static str,
    },
    /// What was copied is not what stands in the store.
    #[error("the copy in {} differs from the store", path.display())]
    Copy {
        /// The folder.
        path: PathBuf,
    },
    /// The disk said no.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The lines cannot be written.
    #[error("cannot write what is exported")]
    Write(#[source] io::Error),
}

/// A store's folder, to be looked after.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// The store in this folder.
    ///
    /// # Errors
    /// [`CareError::NoStore`] if there is none.
    pub fn open(path: &Path) -> Result<Self, CareError> {
        let no_store = |why| CareError::NoStore {
            path: path.to_owned(),
            why,
        };
        if !path.is_dir() {
            return Err(no_store("there is no such folder"));
        }
        let folder = Self {
            path: path.to_owned(),
        };
        if !folder.journal().is_dir() {
            return Err(no_store("it holds no folder `journal`"));
        }
        if !StoreLock::was_taken(path) && folder.view()?.segments().is_empty() {
            return Err(no_store("its folder `journal` holds no segment"));
        }
        Ok(folder)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn journal(&self) -> PathBuf {
        self.path.join(JOURNAL)
    }

    fn view(&self) -> Result<View, CareError> {
        Ok(View::open(&self.journal())?)
    }

    /// Keeps daemons out while the result is held, if none has the store.
    fn hold(&self) -> Result<Hold, CareError> {
        match StoreLock::share(&self.path) {
            Ok(lock) => Ok(Hold::Free { _lock: lock }),
            Err(LockError::Held { .. }) => Ok(Hold::InUse),
            Err(LockError::Io {
                doing,
                path,
                source,
            }) => Err(CareError::Io {
                doing,
                path,
                source,
            }),
        }
    }
}

/// Whether a daemon has the store.
enum Hold {
    /// None has, and none can take it as long as this is held.
    Free {
        /// `None` if the folder was never a daemon's (a backup).
        _lock: Option<StoreLock>,
    },
    /// One has.
    InUse,
}

/// What a record says; `None` if its payload is damaged.
fn decode(view: &View, record: &Record) -> Result<Option<Content>, CareError> {
    match Content::decode(record) {
        Ok(content) => Ok(Some(content)),
        Err(source @ RecordError::Newer(_)) => Err(CareError::Newer {
            path: view.path_of(record.position.segment),
            source,
        }),
        Err(_) => Ok(None),
    }
}

/// Takes all of a view into a ledger; gives how many damaged places were passed over.
fn take_in(view: &View) -> Result<(Ledger, u64), CareError> {
    let mut ledger = Ledger::default();
    let mut damaged: u64 = 0;
    for finding in view.findings() {
        match finding? {
            Finding::Record(record) => match decode(view, &record)? {
                Some(content) => ledger.apply(&content, record.position),
                None => damaged = damaged.saturating_add(1),
            },
            Finding::Damage(_) => damaged = damaged.saturating_add(1),
            Finding::Unfinished(_) => {}
        }
    }
    Ok((ledger, damaged))
}

/// The events of which a view says that they are purged.
fn purged(view: &View) -> Result<HashSet<EventId>, CareError> {
    let mut events = HashSet::new();
    for finding in view.findings() {
        if let Finding::Record(record) = finding?
            && record.kind == Kind::Purged
            && let Some(Content::Purged(it)) = decode(view, &record)?
        {
            events.insert(EventId::from_bytes(it.remains.event.id));
        }
    }
    Ok(events)
}

fn io_error(doing: &'static str, path: &Path, source: io::Error) -> CareError {
    CareError::Io {
        doing,
        path: path.to_owned(),
        source,
    }
}
