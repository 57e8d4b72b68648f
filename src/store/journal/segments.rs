//! Which segments there are and how far each may be read; reading single records from them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::format::{
    self, RECORD_EXTRA, RECORD_HEADER, SEGMENT_HEADER, SegmentHeader, SegmentStart,
};
use super::{JournalError, Position, Record, io_error, known_kind};

/// Segments that stay open for reading: the newest ones and one or two old ones in use.
const OPEN_FILES: usize = 16;

/// Bytes read at first: most records fit, so that one call reads them.
const FIRST_READ: usize = 4096;

/// What is known of one segment.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    /// `None` only if its header is damaged and it has no record.
    pub mark: Option<u32>,
    /// Where its records begin.
    pub begin: u64,
    /// All its sequences are above this one.
    pub after: u64,
    /// Bytes in the file.
    pub written: u64,
    /// Up to here it is on disk, and up to here it is read.
    pub synced: u64,
    /// Parts that recovery has set aside.
    pub damaged: Vec<Range<u64>>,
}

/// All segments of a journal.
pub(super) struct Segments {
    folder: PathBuf,
    known: Mutex<BTreeMap<u64, Segment>>,
    /// Open files, the last used one last.
    files: Mutex<Vec<(u64, Arc<File>)>>,
}

/// The file of a segment.
pub(super) fn path_of(folder: &Path, segment: u64) -> PathBuf {
    folder.join(format!("{segment:020}.log"))
}

/// Locks; what a panicking thread has left behind is as good as before, as all changes are single steps.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Segments {
    pub(super) fn new(folder: &Path, known: Vec<(u64, Segment)>) -> Self {
        Self {
            folder: folder.to_owned(),
            known: Mutex::new(known.into_iter().collect()),
            files: Mutex::new(Vec::new()),
        }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn add(&self, number: u64, segment: Segment) {
        lock(&self.known).insert(number, segment);
    }

    /// Notes how far a segment is written and synced.
    pub(super) fn grown(&self, number: u64, written: u64, synced: u64) {
        if let Some(segment) = lock(&self.known).get_mut(&number) {
            segment.written = written;
            segment.synced = synced;
        }
    }

    /// Numbers and sizes, oldest first.
    pub(super) fn sizes(&self) -> Vec<(u64, u64)> {
        lock(&self.known)
            .iter()
            .map(|(number, segment)| (*number, segment.written))
            .collect()
    }

    /// The segments as they stand now, from `first` on.
    pub(super) fn from(&self, first: u64) -> Vec<(u64, Segment)> {
        lock(&self.known)
            .range(first..)
            .map(|(number, segment)| (*number, segment.clone()))
            .collect()
    }

    pub(super) fn get(&self, number: u64) -> Option<Segment> {
        lock(&self.known).get(&number).cloned()
    }

    /// Another file has taken the place of a segment's: it ends where the old one was synced, and who reads
    /// from now on reads it.
    pub(super) fn replaced(&self, number: u64) {
        if let Some(segment) = lock(&self.known).get_mut(&number) {
            segment.written = segment.synced;
        }
        lock(&self.files).retain(|(open, _)| *open != number);
    }

    pub(super) fn contains(&self, number: u64) -> bool {
        lock(&self.known).contains_key(&number)
    }

    pub(super) fn newest(&self) -> Option<u64> {
        lock(&self.known).keys().next_back().copied()
    }

    pub(super) fn forget(&self, number: u64) -> Option<Segment> {
        let segment = lock(&self.known).remove(&number);
        lock(&self.files).retain(|(open, _)| *open != number);
        segment
    }

    /// The file of a segment, opened for reading.
    pub(super) fn file(&self, number: u64) -> Result<Arc<File>, JournalError> {
        let mut files = lock(&self.files);
        if let Some(held) = files.iter().position(|(open, _)| *open == number) {
            let used = files.remove(held);
            let file = Arc::clone(&used.1);
            files.push(used);
            return Ok(file);
        }
        let path = path_of(&self.folder, number);
        let file = File::open(&path).map_err(|error| io_error("open", &path, error))?;
        let file = Arc::new(file);
        // one that has just been removed must not hold its space on the disk
        if self.contains(number) {
            if files.len() >= OPEN_FILES {
                files.remove(0);
            }
            files.push((number, Arc::clone(&file)));
        }
        Ok(file)
    }

    /// Reads one record.
    pub(super) fn read(&self, at: Position) -> Result<Record, JournalError> {
        let none = || JournalError::NoRecord(at);
        let (mark, begin, synced) = lock(&self.known)
            .get(&at.segment)
            .map(|segment| (segment.mark, segment.begin, segment.synced))
            .ok_or_else(none)?;
        if at.offset < begin {
            return Err(none());
        }
        let file = self.file(at.segment)?;
        let path = path_of(&self.folder, at.segment);
        read_at(&file, &path, at, synced, mark)
    }
}

/// Reads one record of a segment's file that ends at `end`.
pub(super) fn read_at(
    file: &File,
    path: &Path,
    at: Position,
    end: u64,
    mark: Option<u32>,
) -> Result<Record, JournalError> {
    let none = || JournalError::NoRecord(at);
    let left = end.checked_sub(at.offset).ok_or_else(none)?;
    if left < RECORD_EXTRA as u64 {
        return Err(none());
    }
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof => none(),
        _ => io_error("read", path, error),
    };
    let mut start = [0; FIRST_READ];
    let first = usize::try_from(left).map_or(FIRST_READ, |left| left.min(FIRST_READ));
    let start = start.get_mut(..first).unwrap_or_default();
    file.read_exact_at(start, at.offset).map_err(failed)?;
    let header = format::decode_record(start)
        .filter(|header| mark.is_none_or(|mark| mark == header.mark))
        .filter(|header| header.size() as u64 <= left)
        .ok_or_else(none)?;
    let mut payload = vec![0; header.size() - RECORD_HEADER];
    let got = payload.len().min(first - RECORD_HEADER);
    let (have, lack) = payload.split_at_mut(got);
    have.copy_from_slice(
        start
            .get(RECORD_HEADER..RECORD_HEADER + got)
            .unwrap_or_default(),
    );
    if !lack.is_empty() {
        file.read_exact_at(lack, at.offset + first as u64)
            .map_err(failed)?;
    }
    if !header.matches(&payload) {
        return Err(none());
    }
    payload.truncate(header.length);
    Ok(Record {
        position: at,
        sequence: header.sequence,
        version: header.version,
        kind: known_kind(path, header.kind)?,
        payload,
    })
}

/// The header and the bytes of the segment `number` at the beginning of this file; no header if that is damaged.
pub(super) fn read_head(
    path: &Path,
    file: &mut File,
    number: u64,
) -> Result<(Option<SegmentHeader>, u64), JournalError> {
    let mut start = Vec::with_capacity(SEGMENT_HEADER);
    let bytes = file
        .take(SEGMENT_HEADER as u64)
        .read_to_end(&mut start)
        .and_then(|_| file.metadata())
        .map_err(|error| io_error("read", path, error))?
        .len();
    let header = match format::decode_segment(&start) {
        SegmentStart::Header(header) => Some(header).filter(|header| header.segment == number),
        SegmentStart::Damaged => None,
        SegmentStart::Newer(found) => {
            return Err(JournalError::Newer {
                path: path.to_owned(),
                found,
                known: format::FORMAT,
            });
        }
    };
    Ok((header, bytes))
}
