//! Reads records in order, across segments, up to what was synced when the scan began.

use std::collections::VecDeque;
use std::sync::Arc;

use super::segments::{Segment, Segments, path_of};
use super::walk::{Step, Walk};
use super::{JournalError, Position, Record, io_error, known_kind};

/// See [`super::Journal::scan`].
pub(super) struct Scan {
    segments: Arc<Segments>,
    /// What is still to be read.
    ahead: VecDeque<(u64, Segment)>,
    current: Option<Current>,
    /// Said once, before all else.
    refusal: Option<JournalError>,
}

struct Current {
    number: u64,
    segment: Segment,
    walk: Walk,
}

impl Scan {
    pub(super) fn new(segments: Arc<Segments>, from: Option<Position>) -> Self {
        let mut ahead: VecDeque<_> = segments.from(from.map_or(0, |from| from.segment)).into();
        let mut refusal = None;
        if let Some(from) = from {
            match ahead.front_mut() {
                Some((number, first))
                    if *number == from.segment
                        && (first.begin..=first.synced).contains(&from.offset) =>
                {
                    first.begin = from.offset;
                }
                _ => {
                    refusal = Some(JournalError::NoRecord(from));
                    ahead.clear();
                }
            }
        }
        Self {
            segments,
            ahead,
            current: None,
            refusal,
        }
    }

    /// The next record; `Ok(None)` at the end of everything.
    fn advance(&mut self) -> Result<Option<Record>, JournalError> {
        loop {
            if self.current.is_none() && !self.open_next()? {
                return Ok(None);
            }
            let Some(current) = &mut self.current else {
                return Ok(None);
            };
            match current.next(&self.segments)? {
                Some(record) => return Ok(Some(record)),
                None => self.current = None,
            }
        }
    }

    /// Opens the next segment that is still there.
    fn open_next(&mut self) -> Result<bool, JournalError> {
        while let Some((number, segment)) = self.ahead.pop_front() {
            let file = match self.segments.file(number) {
                Ok(file) => file,
                // removed since the scan began: its records are not part of the journal any more
                Err(_) if !self.segments.contains(number) => continue,
                Err(error) => return Err(error),
            };
            let walk = Walk::new(
                file,
                segment.begin,
                segment.synced,
                segment.after,
                segment.mark,
            );
            self.current = Some(Current {
                number,
                segment,
                walk,
            });
            return Ok(true);
        }
        Ok(false)
    }
}

impl Current {
    /// The next record of this segment; `Ok(None)` at its end.
    fn next(&mut self, segments: &Segments) -> Result<Option<Record>, JournalError> {
        let path = || path_of(segments.folder(), self.number);
        loop {
            let step = self.walk.step();
            match step.map_err(|error| io_error("read", &path(), error))? {
                None => return Ok(None),
                Some(Step::Damage { from, to }) => {
                    let mut known = self.segment.damaged.iter();
                    if !known.any(|run| run.start == from && to <= run.end) {
                        return Err(JournalError::NoRecord(Position {
                            segment: self.number,
                            offset: from,
                        }));
                    }
                }
                Some(Step::Record { at, header }) => {
                    let payload = self
                        .walk
                        .payload(at, &header)
                        .map_err(|error| io_error("read", &path(), error))?;
                    return Ok(Some(Record {
                        position: Position {
                            segment: self.number,
                            offset: at,
                        },
                        sequence: header.sequence,
                        version: header.version,
                        kind: known_kind(&path(), header.kind)?,
                        payload,
                    }));
                }
            }
        }
    }
}

impl Iterator for Scan {
    type Item = Result<Record, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(refusal) = self.refusal.take() {
            return Some(Err(refusal));
        }
        let next = self.advance().transpose();
        // nobody may take what lies behind an error for the next record
        if matches!(next, Some(Err(_))) {
            self.current = None;
            self.ahead.clear();
        }
        next
    }
}
