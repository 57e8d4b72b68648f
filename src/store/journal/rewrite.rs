//! Writes a segment anew with other payloads in some of its records, so that what they held is gone.
//!
//! Promise: every record keeps its place, number, kind and length (a shorter payload is filled up with zeros), its
//! checksums are made anew. The new file is written beside the old one, synced, and takes its name: whenever the
//! power goes, one of the two is there, whole. What recovery has set aside stays in it as it is.
//! Not here: which records, and what they say afterwards.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use super::disk::Disk;
use super::format;
use super::segments::{Segment, Segments, path_of};
use super::walk::{Step, Walk};
use super::{JournalError, Position, Record, io_error, known_kind};

/// How the file that is not finished yet ends; recovery does not take it for a segment.
const UNFINISHED: &str = "rewrite";

/// The new payload of a record; `None` if it stays as it is.
pub(super) type Edit<'a> = &'a mut dyn FnMut(&Record) -> Option<Vec<u8>>;

/// Where the records begin that are to be changed.
pub(super) fn find(
    segments: &Segments,
    number: u64,
    edit: Edit<'_>,
) -> Result<Vec<u64>, JournalError> {
    let Some(segment) = segments.get(number) else {
        return Ok(Vec::new());
    };
    let path = path_of(segments.folder(), number);
    let failed = |error| io_error("read", &path, error);
    let file = segments.file(number)?;
    let (begin, end) = (segment.begin, segment.synced);
    let mut walk = Walk::new(file, begin, end, segment.after, segment.mark);
    let mut found = Vec::new();
    while let Some(step) = walk.step().map_err(failed)? {
        let (at, header) = match step {
            Step::Record { at, header } => (at, header),
            Step::Damage { from, .. } => {
                tracing::warn!(
                    segment = number,
                    offset = from,
                    "a damaged part stays as it is"
                );
                continue;
            }
        };
        let record = Record {
            position: Position {
                segment: number,
                offset: at,
            },
            sequence: header.sequence,
            version: header.version,
            kind: known_kind(&path, header.kind)?,
            payload: walk.payload(at, &header).map_err(failed)?,
        };
        if edit(&record).is_some() {
            found.push(at);
        }
    }
    Ok(found)
}

/// Puts a file in the place of a segment's in which these records are changed. Nobody writes to the segment any more.
pub(super) fn rewrite(
    segments: &Segments,
    disk: &dyn Disk,
    number: u64,
    found: &[u64],
    edit: Edit<'_>,
) -> Result<(), JournalError> {
    let Some(segment) = segments.get(number) else {
        return Ok(());
    };
    let path = path_of(segments.folder(), number);
    let aside = path.with_extension(UNFINISHED);
    let written = copy(&path, &aside, segment.synced)
        .map_err(|error| io_error("copy", &path, error))
        .and_then(|file| {
            change(segments, number, &segment, &file, found, edit)?;
            file.sync_all()
                .and_then(|()| std::fs::rename(&aside, &path))
                .map_err(|error| io_error("write anew", &path, error))
        });
    if written.is_err() {
        // the next start removes it otherwise
        let _ = std::fs::remove_file(&aside);
        return written;
    }
    segments.replaced(number);
    disk.sync_folder(segments.folder())
        .map_err(|error| io_error("sync", segments.folder(), error))
}

fn copy(path: &Path, aside: &Path, bytes: u64) -> io::Result<File> {
    let mut to = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(aside)?;
    let copied = io::copy(&mut File::open(path)?.take(bytes), &mut to)?;
    if copied != bytes {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(to)
}

fn change(
    segments: &Segments,
    number: u64,
    segment: &Segment,
    file: &File,
    found: &[u64],
    edit: Edit<'_>,
) -> Result<(), JournalError> {
    let path = path_of(segments.folder(), number);
    for offset in found {
        let position = Position {
            segment: number,
            offset: *offset,
        };
        let record = segments.read(position)?;
        let Some(mut payload) = edit(&record) else {
            continue;
        };
        let mark = segment.mark.ok_or(JournalError::NoRecord(position))?;
        if payload.len() > record.payload.len() {
            let error = io::Error::other("a record would grow");
            return Err(io_error("write anew", &path, error));
        }
        payload.resize(record.payload.len(), 0);
        let mut bytes = Vec::new();
        format::encode_record(
            &mut bytes,
            mark,
            record.version,
            record.kind as u8,
            record.sequence,
            &payload,
        );
        file.write_all_at(&bytes, *offset)
            .map_err(|error| io_error("write anew", &path, error))?;
    }
    Ok(())
}

/// Removes what an earlier life has not finished: it may hold what was to be gone.
pub(super) fn remove_unfinished(folder: &Path) -> Result<(), JournalError> {
    let list = |error| io_error("list", folder, error);
    for entry in std::fs::read_dir(folder).map_err(list)? {
        let path = entry.map_err(list)?.path();
        if path.extension().is_some_and(|ending| ending == UNFINISHED) {
            std::fs::remove_file(&path).map_err(|error| io_error("remove", &path, error))?;
        }
    }
    Ok(())
}
