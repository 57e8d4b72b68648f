//! A journal as it stands at one moment, for reading only: also one that another process writes.
//!
//! Promise: nothing is written, cut or removed. A view holds the segments from the oldest to the newest without a
//! gap, and all their files open: what is removed or replaced afterwards is read as it was. Whatever was acknowledged
//! before the view was opened is in it. Zeros at the end of the newest segment, which it may be made of beforehand, are not. Damage is reported where recovery (see `recovery`) would set it aside, and what it
//! would cut as a torn tail is told apart.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::format::{self, RECORD_HEADER, SEGMENT_HEADER, SegmentHeader};
use super::recovery::numbers_in;
use super::segments::{path_of, read_at, read_head};
use super::walk::{Step, Walk, data_end};
use super::{JournalError, Kind, Position, Record, io_error, known_kind};

/// How often a view is tried anew when segments come and go while they are opened.
const TRIES: usize = 1000;

/// A journal at one moment.
pub(in crate::store) struct View {
    folder: PathBuf,
    segments: Vec<Seen>,
}

/// A segment of it.
pub(in crate::store) struct Seen {
    /// Its number.
    pub number: u64,
    /// Its file, as it was named then.
    pub path: PathBuf,
    /// Its bytes; they stay as long as this is open.
    pub file: Arc<File>,
    /// How many there were, without zeros that it was made of beforehand.
    pub bytes: u64,
    /// Where its records end: as its successor states, else where these bytes do.
    pub end: u64,
    header: Option<SegmentHeader>,
    /// Whether anything came after it, so that it was synced up to its end.
    settled: bool,
}

/// What comes next in a view.
#[derive(Debug)]
pub(in crate::store) enum Finding {
    /// A record that is as it was written.
    Record(Record),
    /// A run of bytes that cannot be read.
    Damage(Run),
    /// The same at the very end of the newest segment: written but never acknowledged, or still being written.
    Unfinished(Run),
}

/// A run of bytes that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct Run {
    pub segment: u64,
    pub from: u64,
    /// Behind its last byte; behind the file's end where the file is too short.
    pub to: u64,
    /// The number of the record before it.
    pub after: u64,
    /// The kind and number of the record that it begins with, if that much can be read.
    pub record: Option<(Kind, u64)>,
}

impl View {
    /// Opens all segments in the folder.
    ///
    /// # Errors
    /// If the disk says no, a segment has a newer format, or segments come and go too fast.
    pub(in crate::store) fn open(folder: &Path) -> Result<Self, JournalError> {
        for _ in 0..TRIES {
            if let Some(segments) = open_all(folder)? {
                return Self::over(folder, segments);
            }
        }
        let error = io::Error::other("its segments come and go too fast");
        Err(io_error("open", folder, error))
    }

    fn over(folder: &Path, mut segments: Vec<Seen>) -> Result<Self, JournalError> {
        let stated: Vec<(u64, u64)> = segments
            .iter()
            .filter_map(|seen| seen.header)
            .map(|header| (header.previous, header.previous_end))
            .collect();
        let mut later = false;
        for seen in segments.iter_mut().rev() {
            let end = stated.iter().find(|(of, _)| *of == seen.number);
            if let Some((_, end)) = end {
                seen.end = *end;
            }
            seen.settled = later || end.is_some();
            if !seen.settled {
                seen.leave_zeros_out()
                    .map_err(|error| io_error("read", &seen.path, error))?;
            }
            later = later || seen.has_record();
        }
        Ok(Self {
            folder: folder.to_owned(),
            segments,
        })
    }

    /// The segments, oldest first.
    pub(in crate::store) fn segments(&self) -> &[Seen] {
        &self.segments
    }

    /// The file of a segment.
    pub(in crate::store) fn path_of(&self, segment: u64) -> PathBuf {
        path_of(&self.folder, segment)
    }

    /// Segments that held records and are not there, though an older one is: they were lost, since segments
    /// are let go oldest first.
    pub(in crate::store) fn lost(&self) -> Vec<u64> {
        let there = |number: u64| self.segments.iter().any(|seen| seen.number == number);
        let oldest = self.segments.first().map_or(0, |seen| seen.number);
        let headers = self.segments.iter().filter_map(|seen| seen.header);
        let mut lost: Vec<u64> = headers
            .filter(|header| header.previous_end > SEGMENT_HEADER as u64)
            .map(|header| header.previous)
            .filter(|previous| *previous > oldest && !there(*previous))
            .collect();
        lost.dedup();
        lost
    }

    /// Records up to this number were given out before the newest segment was begun.
    pub(in crate::store) fn begun_after(&self) -> u64 {
        let all = self.segments.iter().map(Seen::before_first);
        all.max().unwrap_or(0)
    }

    /// Reads one record.
    ///
    /// # Errors
    /// If there is none that is whole, or the disk says no.
    pub(in crate::store) fn read(&self, at: Position) -> Result<Record, JournalError> {
        let found = self
            .segments
            .binary_search_by_key(&at.segment, |seen| seen.number)
            .ok()
            .and_then(|index| self.segments.get(index))
            .filter(|seen| at.offset >= seen.begin())
            .ok_or(JournalError::NoRecord(at))?;
        let mark = found.header.map(|header| header.mark);
        read_at(&found.file, &found.path, at, found.end, mark)
    }

    /// Everything in it, in order. After an error nothing more comes.
    pub(in crate::store) fn findings(&self) -> Findings<'_> {
        Findings {
            ahead: self.segments.iter(),
            current: None,
            last: 0,
        }
    }

    /// Where the whole records of a segment end: what stands behind was never acknowledged, or is being written.
    ///
    /// # Errors
    /// If the disk says no or a record has a newer kind.
    pub(in crate::store) fn whole(&self, seen: &Seen) -> Result<u64, JournalError> {
        let mut whole = seen.end.min(seen.bytes);
        if !seen.settled {
            let mut walk = seen.walk(seen.before_first());
            while let Some(finding) = seen.finding(&mut walk)? {
                if let Finding::Unfinished(run) = finding {
                    whole = whole.min(run.from);
                }
            }
        }
        Ok(whole)
    }
}

/// Goes through a view.
pub(in crate::store) struct Findings<'a> {
    ahead: std::slice::Iter<'a, Seen>,
    current: Option<(&'a Seen, Walk)>,
    /// No record of the segments that are still ahead has this number or a lower one.
    last: u64,
}

impl Findings<'_> {
    fn advance(&mut self) -> Result<Option<Finding>, JournalError> {
        loop {
            if let Some((seen, walk)) = &mut self.current {
                if let Some(finding) = seen.finding(walk)? {
                    return Ok(Some(finding));
                }
                self.last = self.last.max(walk.after()).max(seen.before_first());
            }
            let Some(seen) = self.ahead.next() else {
                self.current = None;
                return Ok(None);
            };
            self.current = Some((seen, seen.walk(self.last)));
        }
    }
}

impl Iterator for Findings<'_> {
    type Item = Result<Finding, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance().transpose();
        if matches!(next, Some(Err(_))) {
            self.current = None;
            self.ahead = [].iter();
        }
        next
    }
}

impl Seen {
    fn open(folder: &Path, number: u64) -> Result<Option<Self>, JournalError> {
        let path = path_of(folder, number);
        let mut file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(|error| io_error("open", &path, error))?,
        };
        let (header, bytes) = read_head(&path, &mut file, number)?;
        Ok(Some(Self {
            number,
            path,
            file: Arc::new(file),
            bytes,
            end: bytes,
            header,
            settled: false,
        }))
    }

    fn begin(&self) -> u64 {
        self.header.map_or(0, |_| SEGMENT_HEADER as u64)
    }

    /// All its records have numbers above this one.
    fn before_first(&self) -> u64 {
        let first = self.header.map_or(0, |header| header.first_sequence);
        first.saturating_sub(1)
    }

    fn walk(&self, after: u64) -> Walk {
        let mark = self.header.map(|header| header.mark);
        Walk::new(Arc::clone(&self.file), self.begin(), self.end, after, mark)
    }

    /// Has it end where its last record or a damaged run does, if there are only zeros behind.
    fn leave_zeros_out(&mut self) -> io::Result<()> {
        let data_end = data_end(&self.file, self.bytes)?;
        if data_end < self.bytes {
            let mut walk = self.walk(0).before_zeros(data_end);
            while walk.step()?.is_some() {}
            self.end = walk.at();
            self.bytes = self.end;
        }
        Ok(())
    }

    /// Whether a record can be read in it; an unreadable one is found again by whoever walks.
    fn has_record(&self) -> bool {
        let mut walk = self.walk(0);
        while let Ok(Some(step)) = walk.step() {
            if matches!(step, Step::Record { .. }) {
                return true;
            }
        }
        false
    }

    fn finding(&self, walk: &mut Walk) -> Result<Option<Finding>, JournalError> {
        let failed = |error| io_error("read", &self.path, error);
        let after = walk.after();
        let Some(step) = walk.step().map_err(failed)? else {
            return Ok(None);
        };
        Ok(Some(match step {
            Step::Record { at, header } => Finding::Record(Record {
                position: Position {
                    segment: self.number,
                    offset: at,
                },
                sequence: header.sequence,
                version: header.version,
                kind: known_kind(&self.path, header.kind)?,
                payload: walk.payload(at, &header).map_err(failed)?,
            }),
            Step::Damage { from, to } => {
                let run = Run {
                    segment: self.number,
                    from,
                    to,
                    after,
                    record: self.record_begun(walk, from).map_err(failed)?,
                };
                if to == self.end && !self.settled {
                    Finding::Unfinished(run)
                } else {
                    Finding::Damage(run)
                }
            }
        }))
    }

    /// What the record is that begins here, if its header is whole.
    fn record_begun(&self, walk: &Walk, at: u64) -> io::Result<Option<(Kind, u64)>> {
        use std::os::unix::fs::FileExt;
        let mut bytes = [0; RECORD_HEADER];
        match self.file.read_exact_at(&mut bytes, at) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let ours = |mark| walk.mark().is_none_or(|own| own == mark);
        Ok(format::decode_record(&bytes)
            .filter(|header| ours(header.mark))
            .and_then(|header| Some((Kind::from_number(header.kind)?, header.sequence))))
    }
}

/// Opens all segments there are; `None` if some came or went meanwhile. A list alone will not do: it may lack both
/// a segment that was just let go and the one in which what was needed of it was just written anew.
fn open_all(folder: &Path) -> Result<Option<Vec<Seen>>, JournalError> {
    let listed = numbers_in(folder)?;
    let mut segments = Vec::with_capacity(listed.len());
    for number in &listed {
        let Some(seen) = Seen::open(folder, *number)? else {
            return Ok(None);
        };
        segments.push(seen);
    }
    Ok((numbers_in(folder)? == listed).then_some(segments))
}
