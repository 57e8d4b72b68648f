//! What happens to the segments of earlier lives when a journal is opened.
//!
//! First everything is looked at, and a newer format refused, before a byte is changed. Then:
//!
//! * What lies behind the end that a successor's header states was left by a failed write or sync
//!   and never acknowledged: it is cut.
//! * A damaged run at the very end of the newest segment is a torn tail: it is cut. Zeros at its end are no damage, since
//!   segments may be made of them beforehand; they are cut as well.
//! * So is a hole in the last group of the newest segment in which a sector still has those zeros, with all behind it: the power went while the
//!   group was written, whose sync has not returned then, so nothing of it was acknowledged.
//! * Any other damaged run held acknowledged records, or may have: its bytes are kept in the
//!   `quarantine` folder beside the journal, it is reported, and every scan steps over it. That goes
//!   too for any other hole in the last group of a life with whole records of the same group behind it: it cannot be
//!   told from damage, and a needless alarm costs less than a lost record.
//! * The newest segment is synced: a killed process may have left records in memory alone.
//! * Segments without a record are removed, once the new segment stands.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::format::{GROUPED, SEGMENT_HEADER, SegmentHeader};
use super::segments::{Segment, path_of, read_head};
use super::walk::{Step, Walk, data_end};
use super::{JournalError, Recovery, io_error, known_kind};

const QUARANTINE: &str = "quarantine";

/// Bytes that a disk writes whole or not at all.
const SECTOR: u64 = 512;

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
    /// Where its valid bytes end by its successor's header; else where its records or damaged runs end.
    end: u64,
    /// Whether its successor's header says so.
    stated: bool,
    /// Behind this there are only zeros.
    data_end: u64,
    /// Whether anything came after it, so that it was synced up to its end.
    settled: bool,
    records: u64,
    /// All sequences of it are above this one.
    after: u64,
    last_sequence: u64,
    damaged: Vec<Range<u64>>,
    /// Records before each of these runs.
    before: Vec<u64>,
    /// Where the last group begins that is known; `None` if groups are not told.
    group: Option<u64>,
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
            found.stated = true;
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
            stated: false,
            data_end: bytes,
            settled: false,
            records: 0,
            after: 0,
            last_sequence: 0,
            damaged: Vec::new(),
            before: Vec::new(),
            group: None,
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
        let failed = |error| io_error("read", &self.path, error);
        let file = Arc::clone(&self.file);
        let mut walk = Walk::new(file, self.begin(), self.end, after, self.mark);
        if !self.stated {
            self.data_end = data_end(&self.file, self.bytes).map_err(failed)?;
            walk = walk.before_zeros(self.data_end);
        }
        let told = self.header.is_some_and(|header| header.format >= GROUPED);
        self.group = told.then(|| self.begin());
        while let Some(step) = walk.step().map_err(failed)? {
            match step {
                Step::Record { at, header } => {
                    known_kind(&self.path, header.kind)?;
                    self.records += 1;
                    self.last_sequence = self.last_sequence.max(header.sequence);
                    if header.first_of_group {
                        self.group = self.group.map(|_| at);
                    }
                }
                Step::Damage { from, to } => {
                    self.damaged.push(from..to);
                    self.before.push(self.records);
                }
            }
        }
        self.mark = walk.mark();
        if !self.stated {
            self.end = walk.at();
        }
        Ok(())
    }

    /// Which damaged run is where the life ended before a group was on disk, if it did.
    fn torn(&self) -> io::Result<Option<usize>> {
        for (index, run) in self.damaged.iter().enumerate() {
            let in_last_group = self.group.is_some_and(|group| run.start >= group);
            if run.end == self.end || in_last_group && self.has_blank_sector(run)? {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    /// Whether a sector in this run, or what of its first one is in it, has the zeros that it was made of.
    fn has_blank_sector(&self, run: &Range<u64>) -> io::Result<bool> {
        let mut sector = [0; SECTOR as usize];
        let mut from = run.start;
        loop {
            let to = (from / SECTOR + 1) * SECTOR;
            if to > run.end {
                return Ok(false);
            }
            let part = usize::try_from(to - from).unwrap_or(sector.len());
            let part = sector.get_mut(..part).unwrap_or_default();
            self.file.read_exact_at(part, from)?;
            if part.iter().all(|byte| *byte == 0) {
                return Ok(true);
            }
            from = to;
        }
    }

    fn repair(mut self, folder: &Path, recovered: &mut Recovered) -> Result<(), JournalError> {
        let report = &mut recovered.report;
        report.last_sequence = report.last_sequence.max(self.last_sequence);
        if !self.settled {
            let torn = self.torn();
            let torn = torn.map_err(|error| io_error("read", &self.path, error))?;
            if let Some(index) = torn
                && let Some(run) = self.damaged.drain(index..).next()
            {
                self.end = run.start;
                self.records = self.before.get(index).copied().unwrap_or(0);
            }
        } else if !self.stated && self.end < self.bytes {
            // it was synced up to its end, and not with zeros
            self.damaged.push(self.end..self.bytes);
            self.end = self.bytes;
        }
        for run in &self.damaged {
            let kept = self
                .quarantine(folder, run)
                .map_err(|error| io_error("set aside a part of", &self.path, error))?;
            report.quarantined.push(kept);
        }
        report.torn_bytes += self.torn_bytes();
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

    /// Bytes behind the end, without zeros.
    fn torn_bytes(&self) -> u64 {
        self.data_end.min(self.bytes).saturating_sub(self.end)
    }

    fn cut_and_sync(&self) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(&self.path)?;
        if self.end < self.bytes {
            let bytes = self.torn_bytes();
            if bytes > 0 {
                tracing::info!(
                    segment = self.number,
                    bytes,
                    "cut off what was written but never acknowledged"
                );
            }
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
