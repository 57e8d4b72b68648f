//! Goes through the records of one segment and over what is damaged in it. Reads in bounded pieces.
//!
//! Never panics on any bytes, never yields a record whose checksums do not hold.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::format::{self, RECORD_EXTRA, RECORD_HEADER, RECORD_MAGIC, RecordHeader};

/// Bytes read at once unless a record is longer: few calls, little memory.
const PIECE: usize = 256 * 1024;

/// What comes next in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// A whole record begins at `at`.
    Record { at: u64, header: RecordHeader },
    /// From here to there is nothing that can be read.
    Damage { from: u64, to: u64 },
}

/// A walk through one segment.
pub(super) struct Walk {
    window: Window,
    at: u64,
    /// No record begins at this place or behind it.
    last: u64,
    /// Sequences only grow; a record that is not above this one is none.
    after: u64,
    /// The segment's mark; unknown if its header is damaged, then the first record tells it.
    mark: Option<u32>,
}

impl Walk {
    /// A walk from `at`, where a record should begin, up to `end`.
    pub(super) fn new(file: Arc<File>, at: u64, end: u64, after: u64, mark: Option<u32>) -> Self {
        Self {
            window: Window::new(file, end),
            at,
            last: end,
            after,
            mark,
        }
    }

    /// The same where there are only zeros from `data_end` on (see [`data_end`]): they are no damage, and what is written
    /// over them meanwhile is not looked at.
    pub(super) fn before_zeros(self, data_end: u64) -> Self {
        let last = self.last.min(data_end);
        Self { last, ..self }
    }

    /// Where the last record or damaged run ends.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// The segment's mark, as far as it is known.
    pub(super) fn mark(&self) -> Option<u32> {
        self.mark
    }

    /// The number of the last record.
    pub(super) fn after(&self) -> u64 {
        self.after
    }

    /// Goes on by one record or one damaged run; `None` at the end.
    pub(super) fn step(&mut self) -> io::Result<Option<Step>> {
        if self.at >= self.last {
            return Ok(None);
        }
        let at = self.at;
        if let Some(header) = self.record_at(at)? {
            self.at = at + header.size() as u64;
            self.after = header.sequence;
            self.mark = Some(header.mark);
            return Ok(Some(Step::Record { at, header }));
        }
        let to = self.next_record(at + 1)?.unwrap_or(self.last);
        self.at = to;
        Ok(Some(Step::Damage { from: at, to }))
    }

    /// The payload of a record that `step` has just given.
    pub(super) fn payload(&mut self, at: u64, header: &RecordHeader) -> io::Result<Vec<u8>> {
        let bytes = self
            .window
            .bytes(at + RECORD_HEADER as u64, header.length)?
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(bytes.to_vec())
    }

    /// The whole, valid record at this place, if there is one.
    fn record_at(&mut self, at: u64) -> io::Result<Option<RecordHeader>> {
        let Some(header) = self
            .window
            .bytes(at, RECORD_HEADER)?
            .and_then(format::decode_record)
        else {
            return Ok(None);
        };
        let ours = self.mark.is_none_or(|mark| mark == header.mark);
        if !ours || header.sequence <= self.after {
            return Ok(None);
        }
        let whole = self.window.bytes(at, header.size())?;
        let valid = whole
            .and_then(|bytes| bytes.get(RECORD_HEADER..))
            .is_some_and(|rest| header.matches(rest));
        Ok(valid.then_some(header))
    }

    /// Where the next whole record begins, at `from` or behind it.
    fn next_record(&mut self, from: u64) -> io::Result<Option<u64>> {
        let mut at = from;
        loop {
            let left = self.window.end.saturating_sub(at);
            if left < RECORD_EXTRA as u64 || at >= self.last {
                return Ok(None);
            }
            let piece = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
            let Some(bytes) = self.window.bytes(at, piece)? else {
                return Ok(None);
            };
            match bytes
                .windows(RECORD_MAGIC.len())
                .position(|four| four == RECORD_MAGIC)
            {
                Some(found) => {
                    at += found as u64;
                    if at < self.last && self.record_at(at)?.is_some() {
                        return Ok(Some(at));
                    }
                    at += 1;
                }
                // the magic may lie across the border of two pieces
                None => at += (piece - (RECORD_MAGIC.len() - 1)) as u64,
            }
        }
    }
}

/// Fewer zeros at the end of a file may be anything's, such as those of a record that is cut short.
const FEW_ZEROS: u64 = 512;

/// Where the zeros begin that the first `bytes` of a file end with, if they are many. The last record may end with some of
/// them.
pub(super) fn data_end(file: &File, bytes: u64) -> io::Result<u64> {
    let zeros = vec![0; PIECE];
    let mut buffer = vec![0; PIECE];
    let mut end = bytes;
    while end > 0 {
        let from = end.saturating_sub(PIECE as u64);
        let piece = usize::try_from(end - from).unwrap_or(PIECE);
        let piece = buffer.get_mut(..piece).unwrap_or_default();
        // it may be cut off meanwhile
        let read = read_up_to(file, piece, from)?;
        let piece = piece.get(..read).unwrap_or_default();
        if Some(piece) != zeros.get(..read) {
            let last = piece.iter().rposition(|byte| *byte != 0);
            let data_end = from + last.map_or(0, |last| last as u64 + 1);
            let many = bytes - data_end >= FEW_ZEROS;
            return Ok(if many { data_end } else { bytes });
        }
        end = from;
    }
    Ok(0)
}

/// Fills the buffer from this place on as far as the file goes; gives how many bytes that were.
fn read_up_to(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..)
        && !rest.is_empty()
    {
        match file.read_at(rest, at + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The part of a file that is in memory.
struct Window {
    file: Arc<File>,
    end: u64,
    base: u64,
    buffer: Vec<u8>,
}

impl Window {
    fn new(file: Arc<File>, end: u64) -> Self {
        Self {
            file,
            end,
            base: 0,
            buffer: Vec::new(),
        }
    }

    /// The bytes at this place; `None` if the file or the walk ends before.
    fn bytes(&mut self, at: u64, len: usize) -> io::Result<Option<&[u8]>> {
        let needed_end = at.saturating_add(len as u64);
        if needed_end > self.end {
            return Ok(None);
        }
        let held_end = self.base + self.buffer.len() as u64;
        if at < self.base || needed_end > held_end {
            self.load(at, len)?;
        }
        let begin = usize::try_from(at - self.base).unwrap_or(usize::MAX);
        Ok(self.buffer.get(begin..begin.saturating_add(len)))
    }

    fn load(&mut self, at: u64, len: usize) -> io::Result<()> {
        let left = usize::try_from(self.end - at).unwrap_or(usize::MAX);
        let wanted = left.min(len.max(PIECE));
        if wanted <= PIECE && self.buffer.capacity() > 4 * PIECE {
            self.buffer = Vec::new();
        }
        self.buffer.resize(wanted, 0);
        self.base = at;
        match read_up_to(&self.file, &mut self.buffer, at) {
            Ok(filled) => {
                self.buffer.truncate(filled);
                Ok(())
            }
            Err(error) => {
                self.buffer.clear();
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn walk_over(bytes: &[u8], mark: Option<u32>) -> Vec<(u64, u64, Option<u64>)> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let mut walk = Walk::new(Arc::new(file), 0, bytes.len() as u64, 0, mark);
        let mut steps = Vec::new();
        while let Some(step) = walk.step().unwrap() {
            steps.push(match step {
                Step::Record { at, header } => {
                    (at, at + header.size() as u64, Some(header.sequence))
                }
                Step::Damage { from, to } => (from, to, None),
            });
        }
        steps
    }

    fn record(mark: u32, sequence: u64, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        format::encode_record(&mut bytes, mark, 1, 1, sequence, payload);
        bytes
    }

    #[test]
    fn what_looks_like_a_record_inside_a_damaged_one_is_none() {
        let inner = record(5, 2, b"from a sender");
        let mut outer = record(9, 1, &inner);
        outer[12] ^= 1;
        let last = record(9, 2, b"real");
        let all = [outer.clone(), last.clone()].concat();
        let border = outer.len() as u64;
        assert_eq!(
            walk_over(&all, Some(9)),
            [(0, border, None), (border, all.len() as u64, Some(2))]
        );
    }

    #[test]
    fn finds_the_next_record_behind_junk_of_any_length() {
        for junk in [
            1,
            3,
            25,
            26,
            PIECE - 30,
            PIECE - 3,
            PIECE - 2,
            PIECE - 1,
            PIECE,
            PIECE + 1,
            2 * PIECE,
        ] {
            let mut bytes = vec![RECORD_MAGIC[0]; junk];
            bytes.extend_from_slice(&record(1, 1, b"found"));
            let junk = junk as u64;
            assert_eq!(
                walk_over(&bytes, Some(1)),
                [(0, junk, None), (junk, bytes.len() as u64, Some(1))],
                "{junk} bytes of junk"
            );
        }
    }

    #[test]
    fn zeros_at_the_end_are_found_whatever_their_number() {
        for data in [1, 77, PIECE - 1, PIECE, PIECE + 1] {
            for zeros in [0, 1, 511, 512, PIECE - 1, PIECE, 2 * PIECE] {
                let mut file = tempfile::tempfile().unwrap();
                file.write_all(&vec![7; data]).unwrap();
                file.write_all(&vec![0; zeros]).unwrap();
                let end = data_end(&file, (data + zeros) as u64).unwrap();
                let few = if zeros < 512 { zeros } else { 0 };
                assert_eq!(end, (data + few) as u64, "{data} and {zeros} zeros");
                // also where the file has become shorter
                let end = data_end(&file, (data + zeros + PIECE) as u64).unwrap();
                assert_eq!(end, data as u64, "{data} and {zeros} zeros, cut");
            }
        }
    }

    #[test]
    fn a_walk_ends_where_only_zeros_follow() {
        let whole = record(1, 1, &[5, 0, 0]);
        for junk in ["", "junk"] {
            let mut bytes = [whole.as_slice(), junk.as_bytes()].concat();
            let end = bytes.len() as u64;
            bytes.resize(bytes.len() + 1000, 0);
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&bytes).unwrap();
            let data_end = data_end(&file, bytes.len() as u64).unwrap();
            let mut walk = Walk::new(Arc::new(file), 0, bytes.len() as u64, 0, None);
            walk = walk.before_zeros(data_end);
            let border = whole.len() as u64;
            assert!(matches!(walk.step().unwrap(), Some(Step::Record { .. })));
            if !junk.is_empty() {
                let torn = Step::Damage {
                    from: border,
                    to: end,
                };
                assert_eq!(walk.step().unwrap(), Some(torn));
            }
            assert_eq!(walk.step().unwrap(), None);
            assert_eq!(walk.at(), end);
        }
    }

    #[test]
    fn a_record_longer_than_a_piece_is_whole() {
        let long = vec![7; 3 * PIECE];
        let bytes = [record(1, 1, &long), record(1, 2, b"")].concat();
        let border = (long.len() + RECORD_EXTRA) as u64;
        assert_eq!(
            walk_over(&bytes, None),
            [(0, border, Some(1)), (border, bytes.len() as u64, Some(2))]
        );
    }

    #[test]
    fn a_sequence_that_does_not_grow_is_damage() {
        let bytes = [record(1, 3, b"a"), record(1, 3, b"b")].concat();
        let border = (1 + RECORD_EXTRA) as u64;
        assert_eq!(
            walk_over(&bytes, None),
            [(0, border, Some(3)), (border, 2 * border, None)]
        );
    }
}
