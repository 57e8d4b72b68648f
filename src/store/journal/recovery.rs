//! What happens to the segments of earlier lives when a journal is opened.
//!
//! First everything is looked at, and a newer format refused, before a byte is changed. Then:
//!
//! * What lies behind the end that a successor's header states was left by a failed write or sync
//!   and never acknowledged: it is cut.
//! * A damaged run at the very end of the newest segment is a torn tail: it is cut.
//! * Any other damaged run held acknowledged records, or may have: its bytes are kept in the
//!   `quarantine` folder beside the journal, it is reported, and every scan steps over it. That goes
//!   too for a hole in the last group of a life with whole records of the same group behind it: it cannot be
//!   told from damage, and a needless alarm costs less than a lost record.
//! * The newest segment is synced: a killed process may have left records in memory alone.
//! * Segments without a record are removed, once the new segment stands.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::format::{SEGMENT_HEADER, SegmentHeader};
use super::segments::{Segment, path_of, read_head};
use super::walk::{Step, Walk};
use super::{JournalError, Recovery, io_error, known_kind};

const QUARANTINE: &str = "quarantine";

/// What was found, and what has to be done yet.
pub(super) struct Recovered {
    pub report: Recovery,
    pub segments: Vec<(u64, Segment)>,
    /// Segments without a record, to be removed when the new segment is on disk.
    pub empty: Vec<u64>,
    /// No number up to this one may be given out again.
    pub highest_segment: u64,
}

/// Recovers the segments in `folder`.
pub(super) fn recover(folder: &Path) -> Result<Recovered, JournalError> {
    let found = inspect_all(folder)?;
    let mut recovered = Recovered {
        report: Recovery::default(),
        segments: Vec::new(),
        empty: Vec::new(),
        highest_segment: found.last().map_or(0, |found| found.number),
    };
    for segment in found {
        segment.repair(folder, &mut recovered)?;
    }
    Ok(recovered)
}

/// A segment as it was found.
struct Found {
    number: u64,
    path: PathBuf,
    file: Arc<File>,
    bytes: u64,
    header: Option<SegmentHeader>,
    mark: Option<u32>,
    /// Where its valid bytes end by its successor's header; else its length.
    end: u64,
    /// Whether anything came after it, so that it was synced up to its end.
    settled: bool,
    records: u64,
    /// All sequences of it are above this one.
    after: u64,
    last_sequence: u64,
    damaged: Vec<Range<u64>>,
}

fn inspect_all(folder: &Path) -> Result<Vec<Found>, JournalError> {
    let mut all = Vec::new();
    for number in numbers_in(folder)? {
        all.push(Found::open(folder, number)?);
    }
    let stated_ends: Vec<(u64, u64)> = all
        .iter()
        .filter_map(|found| found.header)
        .map(|header| (header.previous, header.previous_end))
        .collect();
    report_missing(&all);
    let mut last_sequence = 0;
    for found in &mut all {
        let stated = stated_ends.iter().find(|(of, _)| *of == found.number);
        if let Some((_, end)) = stated {
            found.end = *end;
            found.settled = true;
        }
        found.walk(last_sequence)?;
        last_sequence = found.last_sequence;
    }
    let mut later = false;
    for found in all.iter_mut().rev() {
        found.settled |= later;
        later |= found.records > 0;
    }
    Ok(all)
}

/// Segments are removed oldest first, so one that is missing in between was lost.
fn report_missing(all: &[Found]) {
    let numbers: Vec<u64> = all.iter().map(|found| found.number).collect();
    for header in all.iter().filter_map(|found| found.header) {
        let lost = numbers
            .first()
            .is_some_and(|oldest| *oldest < header.previous)
            && header.previous_end > SEGMENT_HEADER as u64
            && !numbers.contains(&header.previous);
        if lost {
            tracing::error!(
                segment = header.previous,
                "a segment of the journal is missing"
            );
        }
    }
}

impl Found {
    fn open(folder: &Path, number: u64) -> Result<Self, JournalError> {
        let path = path_of(folder, number);
        let mut file = File::open(&path).map_err(|error| io_error("open", &path, error))?;
        let (header, bytes) = read_head(&path, &mut file, number)?;
        Ok(Self {
            number,
            path,
            file: Arc::new(file),
            bytes,
            header,
            mark: header.map(|header| header.mark),
            end: bytes,
            settled: false,
            records: 0,
            after: 0,
            last_sequence: 0,
            damaged: Vec::new(),
        })
    }

    fn begin(&self) -> u64 {
        self.header.map_or(0, |_| SEGMENT_HEADER as u64)
    }

    fn walk(&mut self, after: u64) -> Result<(), JournalError> {
        self.after = after;
        let before_first = self
            .header
            .map_or(0, |header| header.first_sequence.saturating_sub(1));
        self.last_sequence = after.max(before_first);
        let file = Arc::clone(&self.file);
        let mut walk = Walk::new(file, self.begin(), self.end, after, self.mark);
        while let Some(step) = walk
            .step()
            .map_err(|error| io_error("read", &self.path, error))?
        {
            match step {
                Step::Record { header, .. } => {
                    known_kind(&self.path, header.kind)?;
                    self.records += 1;
                    self.last_sequence = self.last_sequence.max(header.sequence);
                }
                Step::Damage { from, to } => self.damaged.push(from..to),
            }
        }
        self.mark = walk.mark();
        Ok(())
    }

    fn repair(mut self, folder: &Path, recovered: &mut Recovered) -> Result<(), JournalError> {
        let report = &mut recovered.report;
        report.last_sequence = report.last_sequence.max(self.last_sequence);
        if !self.settled
            && let Some(torn) = self.damaged.pop_if(|run| run.end == self.end)
        {
            self.end = torn.start;
        }
        for run in &self.damaged {
            let kept = self
                .quarantine(folder, run)
                .map_err(|error| io_error("set aside a part of", &self.path, error))?;
            report.quarantined.push(kept);
        }
        if self.end < self.bytes {
            report.torn_bytes += self.bytes - self.end;
        }
        if self.end < self.bytes || !self.settled {
            self.cut_and_sync()
                .map_err(|error| io_error("cut the torn end of", &self.path, error))?;
        }
        if self.records == 0 {
            recovered.empty.push(self.number);
            return Ok(());
        }
        report.segments.push(self.number);
        let end = self.end.min(self.bytes);
        let segment = Segment {
            mark: self.mark,
            begin: self.begin(),
            after: self.after,
            written: end,
            synced: end,
            damaged: self.damaged,
        };
        recovered.segments.push((self.number, segment));
        Ok(())
    }

    fn cut_and_sync(&self) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(&self.path)?;
        if self.end < self.bytes {
            tracing::info!(
                segment = self.number,
                bytes = self.bytes - self.end,
                "cut off what was written but never acknowledged"
            );
            file.set_len(self.end)?;
        }
        file.sync_all()
    }

    /// Copies a damaged run aside, unless an earlier life has done it.
    fn quarantine(&self, folder: &Path, run: &Range<u64>) -> io::Result<PathBuf> {
        let aside = crate::store::lock::parent_of(folder).join(QUARANTINE);
        let kept = aside.join(format!("{:020}-{}", self.number, run.start));
        tracing::warn!(
            segment = self.number,
            offset = run.start,
            bytes = run.end - run.start,
            kept = %kept.display(),
            "the journal is damaged here"
        );
        let mut from = File::open(&self.path)?;
        from.seek(SeekFrom::Start(run.start))?;
        let mut from = from.take(run.end - run.start);
        let available = run.end.min(self.bytes).saturating_sub(run.start);
        if kept.metadata().is_ok_and(|there| there.len() == available) {
            return Ok(kept);
        }
        crate::store::lock::make_folder(&aside)?;
        let mut to = File::create(&kept)?;
        io::copy(&mut from, &mut to)?;
        to.sync_all()?;
        File::open(&aside)?.sync_all()?;
        Ok(kept)
    }
}

/// The numbers of the segments in a folder, oldest first.
pub(super) fn numbers_in(folder: &Path) -> Result<Vec<u64>, JournalError> {
    let list = |error| io_error("list", folder, error);
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder).map_err(list)? {
        let name = entry.map_err(list)?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".log"));
        if let Some(number) = number.and_then(|number| number.parse().ok())
            && path_of(folder, number).file_name() == Some(&name)
        {
            numbers.push(number);
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}
