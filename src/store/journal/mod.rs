//! The journal: append-only segments of checked records, synced in groups. It is the truth.
//!
//! Promises:
//!
//! * When `done(Ok(..))` is called, the record, its segment and the segment's name are on disk.
//! * `done`s are called in the order of the journal, and the record can be read from then on.
//! * No sync is ever tried again on a file on which a write or a sync has failed.
//! * A record is read as it was written or not at all; damage is set aside and reported, never fatal.
//!
//! It knows bytes and kinds of records, not what they mean (see `store::record`). Segments are never
//! removed by themselves (see cleaning), and written anew only to empty records (see purging).

pub(super) mod disk;
mod format;
#[cfg(test)]
pub(super) mod power;
mod recovery;
mod rewrite;
mod scan;
mod segments;
mod spare;
pub(super) mod view;
mod walk;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle, ThreadId};
use std::time::Duration;

pub(super) use format::FORMAT;
pub use format::MAX_PAYLOAD;

use disk::{Disk, RealDisk};
use scan::Scan;
use segments::{Segments, lock, path_of};
pub(super) use writer::REOPEN_EVERY;
use writer::{Queue, Start, Writer};

use crate::metrics::Metrics;

/// Where a record begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Number of the segment; they are numbered upwards and never reused.
    pub segment: u64,
    /// Byte offset of the record's header in it.
    pub offset: u64,
}

/// What a record says. The numbers are part of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// An event with its deliveries.
    Accepted = 1,
    /// An attempt of a delivery and what followed.
    Attempted = 2,
    /// A delivery was made pending again.
    Revived = 3,
    /// A delivery was let go by an operator.
    Discarded = 4,
    /// An event, what remains of its deliveries and its dedupe key, written anew by cleaning.
    Carried = 5,
    /// What an operator did.
    Operator = 6,
    /// The tombstone of an event whose data was purged.
    Purged = 7,
    /// A stored event has new deliveries.
    Added = 8,
}

impl Kind {
    /// Every kind, the highest number last.
    const ALL: [Self; 8] = [
        Self::Accepted,
        Self::Attempted,
        Self::Revived,
        Self::Discarded,
        Self::Carried,
        Self::Operator,
        Self::Purged,
        Self::Added,
    ];

    fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == number)
    }
}

/// A record as it stands in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where it begins.
    pub position: Position,
    /// Its number. Each record has a higher one than those before it; numbers of records that
    /// failed are left out.
    pub sequence: u64,
    /// Version of the payload's encoding.
    pub version: u8,
    /// What it says.
    pub kind: Kind,
    /// The bytes of it.
    pub payload: Vec<u8>,
}

/// Where an appended record went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Where it begins.
    pub position: Position,
    /// Its number.
    pub sequence: u64,
    /// Bytes that it takes on disk, header and checksums included.
    pub bytes: u64,
}

/// Called once the record is on disk or has failed: on the writer's thread, in the order of the
/// journal, or at once on the thread of `append` if it is refused. It is quick and does not panic.
pub type Done = Box<dyn FnOnce(Result<Appended, JournalError>) + Send>;

/// A record to be written.
pub struct Entry {
    /// Version of the payload's encoding.
    pub version: u8,
    /// What it says.
    pub kind: Kind,
    /// The bytes of it.
    pub payload: Vec<u8>,
    /// Whether somebody waits for it: the group that it is in is synced at once. Otherwise it is
    /// synced with the next group, or within [`Options::lazy_sync`].
    pub urgent: bool,
    /// What is called when it is on disk.
    pub done: Done,
}

/// How a journal behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// Bytes after which a new segment is begun.
    pub segment_bytes: u64,
    /// Most bytes that one group holds.
    pub group_bytes: usize,
    /// Most entries that may wait; beyond them `append` says [`JournalError::Busy`].
    pub waiting: usize,
    /// Most bytes of payloads that may wait.
    pub waiting_bytes: usize,
    /// How long a record that nobody waits for may stay unsynced.
    pub lazy_sync: Duration,
    /// All records that are written have higher numbers than this, and than all that are there.
    pub begin_after: u64,
    /// Bytes of a segment after which the next one is made of zeros beforehand; a store that is hardly used takes no
    /// room for it.
    pub spare_after: u64,
    /// Most bytes of all segments for which that is done.
    pub most_bytes: u64,
    /// Bytes that it leaves free on the file system.
    pub keep_free: u64,
}

/// Why the journal could not do it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JournalError {
    /// The disk said no.
    #[error("cannot {doing} {path}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// The journal was written by a newer version.
    #[error("{path} has a format or kind of record {found}, this version knows them up to {known}")]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its format, or the kind of a record in it.
        found: u32,
        /// The newest one that we know.
        known: u32,
    },
    /// A record is longer than any that the journal takes.
    #[error("a record of {bytes} bytes is too long, at most {most} are taken")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The most that is taken.
        most: usize,
    },
    /// Too many entries wait.
    #[error("too many records wait to be written")]
    Busy,
    /// It is closed, or stopped after an error that it cannot go on from.
    #[error("the journal is stopped: {0}")]
    Stopped(String),
    /// There is no whole record at this place.
    #[error("no valid record at segment {} offset {}", .0.segment, .0.offset)]
    NoRecord(Position),
}

/// What was found when the journal was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Segments there are, oldest first, without the new one.
    pub segments: Vec<u64>,
    /// Bytes that were cut off as a torn tail.
    pub torn_bytes: u64,
    /// Damaged runs elsewhere, set aside in these files.
    pub quarantined: Vec<PathBuf>,
    /// The number of the last record; 0 if there is none.
    pub last_sequence: u64,
}

/// The journal, open for writing. Clones share it; when the last is dropped it is closed.
#[derive(Clone)]
pub struct Journal {
    shared: Arc<Shared>,
}

struct Shared {
    queue: Arc<Queue>,
    segments: Arc<Segments>,
    disk: Arc<dyn Disk>,
    writer: ThreadId,
    handle: Mutex<Option<JoinHandle<()>>>,
}

impl Journal {
    /// Opens the journal in `folder` (made if missing), recovers what is there, begins a fresh
    /// segment, and starts the writer's thread. The caller holds the store's lock.
    /// Damaged runs are kept in the folder `quarantine` beside `folder`.
    ///
    /// # Errors
    /// If the disk says no or the format is newer.
    pub fn open(
        folder: &Path,
        options: Options,
        metrics: Arc<Metrics>,
    ) -> Result<(Self, Recovery), JournalError> {
        Self::open_on(Arc::new(RealDisk), REOPEN_EVERY, folder, options, metrics)
    }

    /// As [`Self::open`], on a disk that may be one for tests; a fresh segment is tried so often after a failure.
    pub(super) fn open_on(
        disk: Arc<dyn Disk>,
        reopen_every: Duration,
        folder: &Path,
        options: Options,
        metrics: Arc<Metrics>,
    ) -> Result<(Self, Recovery), JournalError> {
        super::lock::make_folder(folder).map_err(|error| io_error("make", folder, error))?;
        // an earlier life may have ended between making the folder and syncing its name
        let above = super::lock::parent_of(folder);
        disk.sync_folder(above)
            .map_err(|error| io_error("sync", above, error))?;
        rewrite::remove_unfinished(folder)?;
        spare::remove_left_over(folder)?;
        let recovered = recovery::recover(folder)?;
        let report = recovered.report;
        metrics.store_quarantined(report.quarantined.len() as u64);
        let start = Start {
            next_segment: recovered.highest_segment.saturating_add(1),
            next_sequence: report
                .last_sequence
                .max(options.begin_after)
                .saturating_add(1),
            previous: recovered
                .segments
                .last()
                .map_or((0, 0), |(number, segment)| (*number, segment.synced)),
            reopen_every,
        };
        let queue = Arc::new(Queue::new(options.waiting, options.waiting_bytes));
        let segments = Arc::new(Segments::new(folder, recovered.segments));
        let writer = Writer::start(
            Arc::clone(&queue),
            Arc::clone(&segments),
            Arc::clone(&disk),
            options,
            metrics,
            &start,
        )?;
        for empty in recovered.empty {
            remove_file(&*disk, folder, empty)?;
        }
        let handle = thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer.run())
            .map_err(|error| io_error("start the writer of", folder, error))?;
        let shared = Shared {
            queue,
            segments,
            disk,
            writer: handle.thread().id(),
            handle: Mutex::new(Some(handle)),
        };
        let journal = Self {
            shared: Arc::new(shared),
        };
        Ok((journal, report))
    }

    /// Hands a record to the writer. Never blocks; `done` is called exactly once, also if this
    /// returns an error through it: [`JournalError::TooLong`], [`JournalError::Busy`] and
    /// [`JournalError::Stopped`] at once, what the disk says later. After an error the record may still be
    /// found by the next life, if this one could begin no segment any more.
    pub fn append(&self, entry: Entry) {
        let bytes = entry.payload.len();
        if bytes > MAX_PAYLOAD {
            let most = MAX_PAYLOAD;
            return (entry.done)(Err(JournalError::TooLong { bytes, most }));
        }
        self.shared.queue.push(entry);
    }

    /// Reads one record. Any that `done` was called for can be read.
    ///
    /// # Errors
    /// If there is no whole record or the disk says no.
    pub fn read(&self, at: Position) -> Result<Record, JournalError> {
        self.shared.segments.read(at)
    }

    /// All valid records from `from` on (from the oldest if `None`) in order, up to what is synced now.
    ///
    /// `from` is where a record begins, and that record comes first: who has folded the records up to one
    /// passes its position and skips the first. At the very end of a segment it is allowed, too.
    /// If its segment is gone or no record begins there, that is the first and only item, as
    /// [`JournalError::NoRecord`]. Runs that were set aside at the start are passed over; other damage is an
    /// error. After an error nothing more comes.
    pub fn scan(
        &self,
        from: Option<Position>,
    ) -> Box<dyn Iterator<Item = Result<Record, JournalError>> + Send> {
        Box::new(Scan::new(Arc::clone(&self.shared.segments), from))
    }

    /// Numbers and sizes in bytes of all segments, oldest first, the open one last.
    #[must_use]
    pub fn segments(&self) -> Vec<(u64, u64)> {
        self.shared.segments.sizes()
    }

    /// Deletes a segment that is not the open one, and syncs the folder. One that is gone already is fine.
    ///
    /// # Errors
    /// If it is the newest one, or the disk says no.
    pub fn remove_segment(&self, segment: u64) -> Result<(), JournalError> {
        let segments = &self.shared.segments;
        if !segments.contains(segment) {
            return Ok(());
        }
        if segments.newest() == Some(segment) {
            let path = path_of(segments.folder(), segment);
            let error = std::io::Error::other("it is the one that is written");
            return Err(io_error("remove", &path, error));
        }
        // scans that go on meanwhile see that it is gone on purpose
        let forgotten = segments.forget(segment);
        let removed = remove_file(&*self.shared.disk, segments.folder(), segment);
        if let Some(still_there) = forgotten
            && path_of(segments.folder(), segment).exists()
        {
            segments.add(segment, still_there);
        }
        removed
    }

    /// Gives some records of a segment other payloads, which are not longer; gives how many. `edit` is asked twice about
    /// them. Everything else stays where it is; readers see each record as it was or as it is now. If it is the
    /// open segment and something is changed, a fresh one is begun first. Blocks; one at a time, and none
    /// while segments are removed.
    ///
    /// # Errors
    /// If the disk says no; then the segment is as it was, or is changed but maybe not on disk yet.
    pub fn rewrite(
        &self,
        segment: u64,
        edit: &mut dyn FnMut(&Record) -> Option<Vec<u8>>,
    ) -> Result<u64, JournalError> {
        let Shared {
            queue,
            segments,
            disk,
            ..
        } = &*self.shared;
        let found = rewrite::find(segments, segment, edit)?;
        if found.is_empty() {
            return Ok(0);
        }
        if segments.newest() == Some(segment) {
            queue.end_segment(segment)?;
        }
        rewrite::rewrite(segments, &**disk, segment, &found, edit)?;
        Ok(found.len() as u64)
    }

    /// Syncs the names of the segments.
    ///
    /// # Errors
    /// If the disk says no.
    pub fn sync_names(&self) -> Result<(), JournalError> {
        let folder = self.shared.segments.folder();
        let synced = self.shared.disk.sync_folder(folder);
        synced.map_err(|error| io_error("sync", folder, error))
    }

    /// Whether it takes records; if not, why.
    ///
    /// # Errors
    /// The reason why not.
    pub fn health(&self) -> Result<(), JournalError> {
        self.shared.queue.health()
    }

    /// Whether the writer's thread runs, or is being closed. Never waits.
    pub(super) fn is_written(&self) -> bool {
        let handle = self.shared.handle.try_lock();
        let ended = handle.is_ok_and(|handle| handle.as_ref().is_some_and(JoinHandle::is_finished));
        !ended
    }

    /// Syncs everything, stops the writer's thread and waits for it. From within a `done` it does
    /// not wait.
    pub fn close(&self) {
        self.shared.close();
    }
}

impl Shared {
    fn close(&self) {
        self.queue.close();
        if thread::current().id() == self.writer {
            return;
        }
        // the lock is held while waiting, so that a second caller waits as well
        let mut handle = lock(&self.handle);
        if let Some(handle) = handle.take()
            && handle.join().is_err()
        {
            tracing::error!("the journal's writer has panicked");
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.close();
    }
}

fn remove_file(disk: &dyn Disk, folder: &Path, segment: u64) -> Result<(), JournalError> {
    let path = path_of(folder, segment);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(io_error("remove", &path, error));
        }
        _ => {}
    }
    disk.sync_folder(folder)
        .map_err(|error| io_error("sync", folder, error))
}

fn io_error(doing: &'static str, path: &Path, source: std::io::Error) -> JournalError {
    JournalError::Io {
        doing,
        path: path.to_owned(),
        source: Arc::new(source),
    }
}

/// What a valid record says it is; a kind that is not known comes from a newer version.
fn known_kind(path: &Path, number: u8) -> Result<Kind, JournalError> {
    Kind::from_number(number).ok_or_else(|| JournalError::Newer {
        path: path.to_owned(),
        found: u32::from(number),
        known: Kind::ALL.last().map_or(0, |kind| *kind as u32),
    })
}

#[cfg(test)]
mod tests;
