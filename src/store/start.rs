//! Opening the index: it is used if its rows are those that were written and the journal goes on where it ends;
//! otherwise it is moved aside (kept, named in a WARN) and rebuilt from the journal.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::clean;
use super::index::change::Change;
use super::index::rows::MetaRow;
use super::index::{Index, IndexError};
use super::journal::{JournalError, Record};
use super::local::{INDEX, Inner};
use super::overlay::Phase;
use super::position::{self, Noted};
use super::record::{Content, RecordError};
use crate::id::EventId;

/// sled never shrinks: an index is made anew that takes so many times its rows, and more than its floor. In use it takes
/// up to about ten times its rows, and making it anew keeps senders waiting.
const BLOAT_FACTOR: u64 = 16;

/// How often a long rebuild says how far it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// What is to be done with the index as it was found.
enum Verdict {
    /// It is used.
    Use(Index),
    /// It is moved aside, if there is one, and rebuilt.
    Rebuild(String),
    /// It is in order but far larger than its rows: it is deleted and rebuilt.
    Shrink(u64),
}

/// Opens the index, rebuilt if need be, and folds in what it does not hold yet.
pub(super) fn open_index(inner: &Arc<Inner>, last_sequence: u64) -> Result<(), String> {
    let index = obtain(inner, last_sequence)?;
    catch_up(inner, &index)?;
    go_live(inner, index)
}

/// Opens the index anew after it has failed. What is in memory stays as it is: it says how the index differs from the
/// journal, and the index will say again what it said. A rebuild that does not get through leaves nothing behind.
pub(super) fn reopen_index(inner: &Arc<Inner>) -> Result<(), String> {
    // sled gives its file free when the last handle is gone
    drop(inner.write_gate().take());
    let last_sequence = inner.state().queued.1;
    let index = obtain(inner, last_sequence)?;
    if let Err(why) = catch_up(inner, &index) {
        let is_new = index.meta().sequence < last_sequence;
        drop(index);
        if is_new {
            let folder = inner.options.path.join(INDEX);
            let removed = position::forget(&folder).and_then(|()| std::fs::remove_dir_all(&folder));
            removed.map_err(|error| text(&error))?;
        }
        return Err(why);
    }
    *inner.write_gate() = Some(index);
    Ok(())
}

/// The index, if it can be used, or a new one.
fn obtain(inner: &Arc<Inner>, last_sequence: u64) -> Result<Index, String> {
    let store = &inner.options.path;
    let folder = store.join(INDEX);
    let found = folder.exists();
    Ok(match judge(inner, &folder, found, last_sequence)? {
        Verdict::Use(index) => index,
        Verdict::Rebuild(why) => {
            inner.set_phase(Phase::Starting("rebuilding"));
            // what was noted is not true of the one that is made now
            position::forget(&folder).map_err(|error| text(&error))?;
            let aside = move_aside(&folder, found)?;
            let aside = aside.map(|path| path.display().to_string());
            tracing::warn!(reason = %why, kept = aside, "the index is rebuilt from the journal");
            fresh(inner, &folder)?
        }
        Verdict::Shrink(bytes) => {
            inner.set_phase(Phase::Starting("rebuilding"));
            tracing::info!(
                bytes,
                "the index is far larger than its rows and is made anew"
            );
            position::forget(&folder).map_err(|error| text(&error))?;
            std::fs::remove_dir_all(&folder).map_err(|error| text(&error))?;
            fresh(inner, &folder)?
        }
    })
}

fn judge(inner: &Inner, folder: &Path, found: bool, last: u64) -> Result<Verdict, String> {
    let noted = position::read(folder);
    if !found && last > 0 {
        return Ok(Verdict::Rebuild("it is missing".to_owned()));
    }
    let (index, known) = match Index::open(folder, inner.options.cache_bytes) {
        Ok(opened) => opened,
        Err(error @ IndexError::Held) => return Err(text(&error)),
        Err(error) => return Ok(Verdict::Rebuild(text(&error))),
    };
    if !known {
        // nothing was noted of one that was never on disk: the process was killed right after the first start
        return Ok(if last == 0 || noted.is_none() {
            Verdict::Use(index)
        } else {
            Verdict::Rebuild("it is empty".to_owned())
        });
    }
    let meta = index.meta();
    if meta.sequence > last {
        return Ok(Verdict::Rebuild("it is ahead of the journal".to_owned()));
    }
    if misses_records(inner, &meta) {
        let why = "it is older than the journal's oldest segment";
        return Ok(Verdict::Rebuild(why.to_owned()));
    }
    if noted.is_some_and(|noted| !noted.fits(&meta)) {
        let why = "it is not the one that was written last";
        return Ok(Verdict::Rebuild(why.to_owned()));
    }
    let index = match index.verified() {
        Ok(index) => index,
        Err(why) => return Ok(Verdict::Rebuild(why)),
    };
    let bytes = index.size_on_disk();
    if bytes
        > inner
            .options
            .index_floor
            .max(meta.bytes.saturating_mul(BLOAT_FACTOR))
    {
        return Ok(Verdict::Shrink(bytes));
    }
    // from here on it changes; as it is, it was just read from disk
    position::note(folder, Noted::reached(&meta));
    Ok(Verdict::Use(index))
}

/// Whether records that the index does not hold are gone from the journal.
fn misses_records(inner: &Inner, meta: &MetaRow) -> bool {
    let oldest = inner.journal.segments().first().map(|(number, _)| *number);
    if oldest.is_none_or(|oldest| meta.at.segment >= oldest) {
        return false;
    }
    match inner.journal.scan(None).next() {
        Some(Ok(first)) => first.sequence > meta.sequence.saturating_add(1),
        _ => false,
    }
}

fn fresh(inner: &Inner, folder: &Path) -> Result<Index, String> {
    match Index::open(folder, inner.options.cache_bytes) {
        Ok((index, _)) => Ok(index),
        Err(error) => Err(text(&error)),
    }
}

/// Renames the index's folder; gives the new path.
fn move_aside(folder: &Path, found: bool) -> Result<Option<PathBuf>, String> {
    if !found {
        return Ok(None);
    }
    let stamp = Timestamp::now().strftime("%Y%m%dT%H%M%S%.3fZ").to_string();
    for number in 0..1000 {
        let name = match number {
            0 => format!("{INDEX}.aside-{stamp}"),
            number => format!("{INDEX}.aside-{stamp}-{number}"),
        };
        let aside = folder.with_file_name(name);
        if !aside.exists() {
            std::fs::rename(folder, &aside).map_err(|error| text(&error))?;
            return Ok(Some(aside));
        }
    }
    Err("the index cannot be moved aside".to_owned())
}

/// Folds in all records of the journal that the index does not hold.
fn catch_up(inner: &Inner, index: &Index) -> Result<(), String> {
    let meta = index.meta();
    let there = inner.journal.segments();
    let known = there.iter().any(|(number, _)| *number == meta.at.segment);
    let from = (known && meta.at.offset > 0).then(|| meta.at.into());
    let mut records = inner.journal.scan(from).peekable();
    if let Some(Err(JournalError::NoRecord(_))) = records.peek() {
        // the last folded record was damaged since; the numbers tell what is new
        records = inner.journal.scan(None).peekable();
    }
    let mut told = Instant::now();
    let mut batch = Vec::with_capacity(inner.options.fold_batch);
    for record in records {
        let record = record.map_err(|error| text(&error))?;
        if record.sequence <= meta.sequence {
            continue;
        }
        batch.extend(change(&record)?);
        if batch.len() >= inner.options.fold_batch {
            write(inner, index, &mut batch)?;
            if told.elapsed() >= PROGRESS_EVERY {
                told = Instant::now();
                let segment = record.position.segment;
                tracing::info!(segment, sequence = record.sequence, "folding the journal");
            }
        }
    }
    write(inner, index, &mut batch)
}

fn change(record: &Record) -> Result<Option<Change>, String> {
    match Content::decode(record) {
        Ok(content) => Ok(Some(Change::new(
            &content,
            record.position,
            record.sequence,
        ))),
        Err(error @ RecordError::Newer(_)) => Err(text(&error)),
        Err(error) => {
            let (segment, offset) = (record.position.segment, record.position.offset);
            tracing::error!(segment, offset, %error, "a record is passed over");
            Ok(None)
        }
    }
}

fn write(inner: &Inner, index: &Index, batch: &mut Vec<Change>) -> Result<(), String> {
    if inner.stopping.load(Ordering::SeqCst) {
        return Err("stopped".to_owned());
    }
    if batch.is_empty() {
        return Ok(());
    }
    let written = index.write(|stage| {
        for change in batch.iter() {
            stage.apply(change)?;
        }
        Ok(())
    });
    batch.clear();
    written.map(drop).map_err(|error| text(&error))
}

/// Takes over the counts, drops what stood in segments that are gone, and lets everybody in.
fn go_live(inner: &Arc<Inner>, index: Index) -> Result<(), String> {
    let segments = inner.journal.segments();
    let floor = segments.first().map_or(0, |(number, _)| *number);
    let gone = index.segments().map_err(|error| text(&error))?;
    for segment in gone.into_iter().filter(|segment| *segment < floor) {
        while clean::purge_some(&index, segment).map_err(|error| text(&error))? {}
    }
    let targets = index.targets().map_err(|error| text(&error))?;
    let unscrubbed = index.unscrubbed().map_err(|error| text(&error))?;
    let pauses = index.pauses().map_err(|error| text(&error))?;
    let plan = index.plan().map_err(|error| text(&error))?;
    let meta = index.meta();
    inner
        .timeline
        .begin(inner.now(), meta.latest, Instant::now());
    *inner.write_gate() = Some(index);
    {
        let mut state = inner.state();
        state.floor = floor;
        state.opened = segments.last().map_or(0, |(number, _)| *number);
        state.queued = (meta.at, meta.sequence);
        state.folded = meta.sequence;
        for (target, counts) in targets {
            state.lane(&target).counts = counts;
        }
        state.unscrubbed = unscrubbed.iter().copied().collect();
        let paused = pauses.into_iter().map(|row| row.pause);
        state.pauses = paused.map(|pause| (pause.target.clone(), pause)).collect();
        state.plan = plan.map(|row| row.plan);
    }
    finish_purges(inner, &unscrubbed);
    inner.set_phase(Phase::Ready);
    Ok(())
}

/// Empties the records of events whose purge was broken off. If that fails, it is tried at the next start, or when
/// the event is purged again.
fn finish_purges(inner: &Arc<Inner>, events: &[EventId]) {
    for event in events {
        inner.set_phase(Phase::Starting("finishing a purge"));
        match inner.finish(*event) {
            Ok(records) => tracing::info!(%event, records, "a purge was finished"),
            Err(error) => tracing::error!(%event, %error, "a purge cannot be finished"),
        }
    }
}

/// An error with its causes.
fn text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
