//! A copy of a store that a daemon may be writing; restoring is to use the folder as `store.path`.
//!
//! Promise: the copy holds every event that was acknowledged before the backup began, and opened it gives the answers
//! that the store gave at that moment. It is a view (see `journal::view`) written out, and the view holds all files
//! open from the start:
//!
//! * A segment that cleaning removes before it is copied is copied all the same. So the copy never has a part of the
//!   journal without what follows it: an event without the record that it was delivered, which would be delivered again.
//!   That cleaning had already written anew what was needed of it does no harm: it is what a crash in between leaves.
//! * A segment that is replaced meanwhile (an event's data is purged) is copied whole, as it was.
//! * The newest segment is copied up to its last whole record; others up to where their successors state that they end.
//!   Segments begun later are not needed: what was acknowledged before is in those before.
//!
//! The index is not copied: it is rebuilt at the first start. The journal gets its name only when all of it is on disk
//! and was read back, so half a backup is never taken for a store.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::super::journal::view::{Seen, View};
use super::super::local::JOURNAL;
use super::super::lock::parent_of;
use super::verify::{self, Damage, Report};
use super::{CareError, Folder, io_error};
use crate::plan::LAST_GOOD;

/// Bytes that are copied at once.
const PIECE: usize = 1 << 20;

/// The journal of a backup that is not whole.
const UNFINISHED: &str = "journal.unfinished";

/// How often the folder of the configuration is copied anew if it is changed meanwhile.
const TRIES: usize = 5;

/// What was copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Backup {
    /// From where.
    pub from: PathBuf,
    /// Into which folder.
    pub to: PathBuf,
    /// Segments of the journal.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Records in them.
    pub records: u64,
    /// Events.
    pub events: u64,
    /// Their deliveries.
    pub deliveries: u64,
    /// Whether the last good configuration was copied, too.
    pub last_good: bool,
    /// What is damaged in the store and thus in the copy.
    pub damage: Vec<Damage>,
}

/// Copies the store into a folder that is new or empty.
///
/// # Errors
/// If the folder cannot be used or the disk says no; then what was written is removed. Damage in the store is
/// copied and is no error.
pub fn backup(folder: &Folder, to: &Path) -> Result<Backup, CareError> {
    let view = folder.view()?;
    make_destination(folder.path(), to)?;
    let made = copy(folder, &view, to);
    if made.is_err() {
        // what cannot be removed has no name that a store has
        let _ = fs::remove_dir_all(to.join(UNFINISHED));
        let _ = fs::remove_dir_all(to.join(LAST_GOOD));
    }
    made
}

/// Writes out a view.
pub(super) fn copy(folder: &Folder, view: &View, to: &Path) -> Result<Backup, CareError> {
    let journal = to.join(UNFINISHED);
    make_folder(&journal)?;
    for seen in view.segments() {
        copy_segment(seen, &journal, view.whole(seen)?)?;
    }
    sync_folder(&journal)?;
    let last_good = copy_last_good(folder.path(), to)?;
    let mut report = read_back(folder, view, to, &journal)?;
    for damage in &mut report.damage {
        damage.file = Path::new(JOURNAL).join(&damage.file);
    }
    let whole = to.join(JOURNAL);
    fs::rename(&journal, &whole).map_err(|error| io_error("rename", &journal, error))?;
    sync_folder(to)?;
    sync_folder(parent_of(to))?;
    Ok(Backup {
        from: folder.path().to_owned(),
        to: to.to_owned(),
        segments: report.segments,
        bytes: report.bytes,
        records: report.records,
        events: report.events,
        deliveries: report.deliveries,
        last_good,
        damage: report.damage,
    })
}

fn copy_segment(seen: &Seen, journal: &Path, end: u64) -> Result<(), CareError> {
    let name = seen.path.file_name().unwrap_or_default();
    let path = journal.join(name);
    let mut to = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .map_err(|error| io_error("make", &path, error))?;
    let mut at = 0;
    let mut buffer = vec![0; PIECE];
    while at < end {
        let left = usize::try_from(end - at).unwrap_or(usize::MAX);
        let piece = buffer.get_mut(..left.min(PIECE)).unwrap_or_default();
        seen.file
            .read_exact_at(piece, at)
            .map_err(|error| io_error("read", &seen.path, error))?;
        to.write_all(piece)
            .map_err(|error| io_error("write to", &path, error))?;
        at = at.saturating_add(piece.len() as u64);
    }
    to.sync_all()
        .map_err(|error| io_error("sync", &path, error))
}

/// Reads the copy. What is damaged in it must be damaged in the store just so.
fn read_back(folder: &Folder, view: &View, to: &Path, journal: &Path) -> Result<Report, CareError> {
    let copied = View::open(journal)?;
    let report = verify::journal(journal, &copied)?;
    if !report.sound {
        let original = verify::journal(&folder.journal(), view)?;
        if original.damage != report.damage || original.records != report.records {
            return Err(CareError::Copy {
                path: to.to_owned(),
            });
        }
    }
    let unfinished = report.unfinished.is_some();
    let missing = copied.segments().len() != view.segments().len();
    if unfinished || missing {
        return Err(CareError::Copy {
            path: to.to_owned(),
        });
    }
    Ok(report)
}

/// Makes the folder, or takes an empty one, for its owner alone.
fn make_destination(store: &Path, to: &Path) -> Result<(), CareError> {
    let refused = |why| CareError::Destination {
        path: to.to_owned(),
        why,
    };
    let store = fs::canonicalize(store).map_err(|error| io_error("find", store, error))?;
    let above = parent_of(to);
    let there = if to.exists() { to } else { above };
    let real = fs::canonicalize(there).map_err(|error| io_error("find", there, error))?;
    if real.starts_with(&store) {
        return Err(refused("it lies in the store"));
    }
    if !to.exists() {
        make_folder(to)?;
        return sync_folder(above);
    }
    if !to.is_dir() {
        return Err(refused("it is no folder"));
    }
    let mut entries = fs::read_dir(to).map_err(|error| io_error("list", to, error))?;
    if entries.next().is_some() {
        return Err(refused("it is not empty"));
    }
    fs::set_permissions(to, Permissions::from_mode(0o700))
        .map_err(|error| io_error("change the mode of", to, error))
}

/// Copies the last good configuration, if there is one; whether there was.
fn copy_last_good(store: &Path, to: &Path) -> Result<bool, CareError> {
    let (from, to) = (store.join(LAST_GOOD), to.join(LAST_GOOD));
    for _ in 0..TRIES {
        if !from.is_dir() {
            return Ok(false);
        }
        match copy_tree(&from, &to) {
            // it is replaced by a newer one just now
            Err(CareError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                fs::remove_dir_all(&to).map_err(|error| io_error("remove", &to, error))?;
            }
            other => return other.map(|()| true),
        }
    }
    Err(io_error(
        "copy",
        &from,
        io::Error::other("it changes all the time"),
    ))
}

/// Copies a folder with all that is in it; links stay links.
fn copy_tree(from: &Path, to: &Path) -> Result<(), CareError> {
    make_folder(to)?;
    let list = |error| io_error("list", from, error);
    for entry in fs::read_dir(from).map_err(list)? {
        let entry = entry.map_err(list)?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let failed = |error| io_error("copy", &source, error);
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() {
            copy_tree(&source, &target)?;
        } else if kind.is_symlink() {
            let leads_to = fs::read_link(&source).map_err(failed)?;
            std::os::unix::fs::symlink(leads_to, &target).map_err(failed)?;
        } else if kind.is_file() {
            fs::copy(&source, &target).map_err(failed)?;
            let copied = File::open(&target).and_then(|file| file.sync_all());
            copied.map_err(failed)?;
        }
    }
    sync_folder(to)
}

fn make_folder(path: &Path) -> Result<(), CareError> {
    let made = DirBuilder::new().mode(0o700).create(path);
    made.map_err(|error| io_error("make", path, error))
}

fn sync_folder(path: &Path) -> Result<(), CareError> {
    let synced = File::open(path).and_then(|folder| folder.sync_all());
    synced.map_err(|error| io_error("sync", path, error))
}
