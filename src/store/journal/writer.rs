//! The one thread that writes: takes what waits, writes it with one call, syncs once, and tells
//! everybody in order. What arrives during a sync is the next group.
//!
//! A segment that was made of zeros beforehand (see `spare`) takes the place of one that was not as soon as there is one; else
//! it waits until the one before is full.
//!
//! After any failed write or sync the segment is never touched again: all that were not synced fail, and
//! writing goes on in a fresh segment whose header states where the failed one ends. If no fresh one can be
//! made, everything fails until one can; that is tried again now and then.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use super::disk::{Disk, Output};
use super::format::{self, FIRST_OF_GROUP, RECORD_EXTRA, SEGMENT_HEADER, SegmentHeader};
use super::segments::{Segment, Segments, lock, path_of};
use super::spare::Spare;
use super::{Appended, Done, Entry, JournalError, Options, Position, io_error};
use crate::metrics::Metrics;

/// Most entries in one group; bounds how long the first of them waits for the encoding of the last.
const GROUP_ENTRIES: usize = 4096;

/// How often the processor is given up before a group is taken, as long as each time brought a record more.
const YIELDS: u32 = 2;

/// How long records that nobody waits for are left waiting for one that is waited for, after there was something to do. Under
/// load one comes within it, and one wake-up and one write do for all of them; at other times it bounds what a killed
/// process forgets.
const LINGER: Duration = Duration::from_millis(2);

/// How often a stopped writer tries to make a fresh segment: soon after room was made, but without
/// hammering on a broken disk.
pub(in crate::store) const REOPEN_EVERY: Duration = Duration::from_secs(1);

/// What waits to be written, and whether anything is taken.
pub(super) struct Queue {
    inner: Mutex<Waiting>,
    wake: Condvar,
    limit: usize,
    limit_bytes: usize,
}

/// A segment, and who is told that it is written no more.
type Ended = (u64, mpsc::Sender<Result<(), JournalError>>);

#[derive(Default)]
struct Waiting {
    entries: VecDeque<Entry>,
    /// Bytes of their payloads.
    bytes: usize,
    /// Whether they are to be written at once.
    urgent: bool,
    /// For what the writer is to be woken.
    awaits: Awaits,
    /// Segments that are to be written no more, and who waits for that.
    endings: Vec<Ended>,
    closed: bool,
    /// Why nothing can be written now.
    trouble: Option<String>,
}

/// For what the writer is to be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Awaits {
    /// It is at work, or was woken, and looks by itself.
    #[default]
    Nothing,
    /// A record that somebody waits for; it looks soon for others.
    Urgent,
    /// Any record.
    Any,
}

impl Queue {
    /// A queue of at most so many entries, and so many bytes of them; one of any size is taken when it is empty.
    pub(super) fn new(limit: usize, limit_bytes: usize) -> Self {
        Self {
            limit_bytes,
            inner: Mutex::new(Waiting::default()),
            wake: Condvar::new(),
            limit,
        }
    }

    /// Hands an entry to the writer, or refuses it through its `done`.
    pub(super) fn push(&self, entry: Entry) {
        let mut waiting = lock(&self.inner);
        let refusal = if waiting.closed {
            waiting.stopped()
        } else if waiting.entries.len() >= self.limit
            || waiting.bytes.saturating_add(entry.payload.len()) > self.limit_bytes
                && !waiting.entries.is_empty()
        {
            JournalError::Busy
        } else {
            waiting.bytes = waiting.bytes.saturating_add(entry.payload.len());
            waiting.urgent |= entry.urgent;
            let wakes = match waiting.awaits {
                Awaits::Nothing => false,
                Awaits::Urgent => entry.urgent,
                Awaits::Any => true,
            };
            waiting.entries.push_back(entry);
            if wakes {
                waiting.awaits = Awaits::Nothing;
                drop(waiting);
                self.wake.notify_one();
            }
            return;
        };
        drop(waiting);
        (entry.done)(Err(refusal));
    }

    /// Waits until this segment is written no more, be it that it was not.
    pub(super) fn end_segment(&self, segment: u64) -> Result<(), JournalError> {
        let (told, ended) = mpsc::channel();
        {
            let mut waiting = lock(&self.inner);
            if waiting.closed {
                return Err(waiting.stopped());
            }
            waiting.endings.push((segment, told));
        }
        self.wake.notify_one();
        match ended.recv() {
            Ok(ended) => ended,
            Err(_) => Err(lock(&self.inner).stopped()),
        }
    }

    pub(super) fn health(&self) -> Result<(), JournalError> {
        let waiting = lock(&self.inner);
        if waiting.closed || waiting.trouble.is_some() {
            return Err(waiting.stopped());
        }
        Ok(())
    }

    /// Nothing more is taken; the writer ends once it has written what waits.
    pub(super) fn close(&self) {
        lock(&self.inner).closed = true;
        self.wake.notify_one();
    }

    fn set_trouble(&self, trouble: Option<String>) {
        lock(&self.inner).trouble = trouble;
    }
}

impl Waiting {
    fn stopped(&self) -> JournalError {
        let why = self.trouble.as_deref().unwrap_or("it is closed");
        JournalError::Stopped(why.to_owned())
    }
}

/// Whatever ends the writer's thread: nobody waits for it in vain.
struct Ending(Arc<Queue>);

impl Drop for Ending {
    fn drop(&mut self) {
        let mut waiting = lock(&self.0.inner);
        if std::thread::panicking() {
            waiting.trouble = Some("the writer's thread has panicked".to_owned());
        }
        waiting.closed = true;
        let left = std::mem::take(&mut waiting.entries);
        waiting.endings.clear();
        let why = waiting.stopped();
        drop(waiting);
        for entry in left {
            (entry.done)(Err(why.clone()));
        }
    }
}

/// What to do next.
enum Work {
    /// `group` holds entries.
    Write,
    /// A segment is to be written no more.
    EndSegment(Ended),
    /// Records that nobody waits for are due to be synced.
    Sync,
    /// It is time to try a fresh segment.
    Reopen,
    /// All is written and no more will come.
    End,
}

/// The writer; lives on its thread.
pub(super) struct Writer {
    queue: Arc<Queue>,
    segments: Arc<Segments>,
    disk: Arc<dyn Disk>,
    options: Options,
    metrics: Arc<Metrics>,
    reopen_every: Duration,
    /// `None` while no segment can be written.
    current: Option<Current>,
    /// The one after it.
    spare: Spare,
    next_segment: u64,
    next_sequence: u64,
    /// The newest segment and where its valid bytes end.
    previous: (u64, u64),
    /// Taken from the queue, not encoded yet.
    group: Vec<Entry>,
    /// The bytes of a group; kept for the next one.
    buffer: Vec<u8>,
    /// Written but not synced.
    unsynced: Vec<(Done, Appended)>,
    /// When the first of them was written.
    unsynced_since: Option<Instant>,
    last_try: Instant,
}

/// The segment that is being written.
struct Current {
    number: u64,
    path: PathBuf,
    mark: u32,
    output: Box<dyn Output>,
    /// Whether it was made of zeros beforehand.
    prepared: bool,
    written: u64,
    synced: u64,
}

/// Where a writer takes up.
pub(super) struct Start {
    pub next_segment: u64,
    pub next_sequence: u64,
    pub previous: (u64, u64),
    pub reopen_every: Duration,
}

impl Writer {
    /// A writer that has made its first segment.
    pub(super) fn start(
        queue: Arc<Queue>,
        segments: Arc<Segments>,
        disk: Arc<dyn Disk>,
        options: Options,
        metrics: Arc<Metrics>,
        start: &Start,
    ) -> Result<Self, JournalError> {
        let spare = Spare::new(
            Arc::clone(&disk),
            segments.folder(),
            options.segment_bytes,
            options.keep_free,
        );
        let mut writer = Self {
            queue,
            segments,
            disk,
            options,
            metrics,
            reopen_every: start.reopen_every,
            current: None,
            spare,
            next_segment: start.next_segment,
            next_sequence: start.next_sequence,
            previous: start.previous,
            group: Vec::new(),
            buffer: Vec::new(),
            unsynced: Vec::new(),
            unsynced_since: None,
            last_try: Instant::now(),
        };
        writer.begin_segment()?;
        Ok(writer)
    }

    /// Writes until the queue is closed and empty.
    pub(super) fn run(mut self) {
        let _ending = Ending(Arc::clone(&self.queue));
        loop {
            match self.next_work() {
                Work::Write => self.write_group(),
                Work::EndSegment((segment, told)) => {
                    // nobody may be waiting any more
                    let _ = told.send(self.end_segment(segment));
                }
                Work::Sync => self.sync(),
                Work::Reopen => {
                    // a failure is in `health`
                    let _ = self.begin_segment();
                }
                Work::End => {
                    self.sync();
                    if let Some(last) = self.current.take() {
                        self.leave(last);
                    }
                    return;
                }
            }
        }
    }

    /// Waits for something to do.
    fn next_work(&mut self) -> Work {
        let limit = self.options.group_bytes.min(self.room());
        let deadline = if self.current.is_none() {
            Some((self.last_try + self.reopen_every, Work::Reopen))
        } else {
            self.unsynced_since
                .map(|since| (since + self.options.lazy_sync, Work::Sync))
        };
        let (mut yields, mut seen) = (0, 0);
        let linger = LINGER.min(self.options.lazy_sync / 10);
        let mut linger = Some(Instant::now() + linger);
        let mut waiting = lock(&self.queue.inner);
        loop {
            waiting.awaits = Awaits::Nothing;
            if let Some(ended) = waiting.endings.pop() {
                return Work::EndSegment(ended);
            }
            let now = Instant::now();
            linger = linger.filter(|until| now < *until);
            let at_once = waiting.urgent || waiting.closed || linger.is_none();
            if at_once && !waiting.entries.is_empty() {
                if yields < YIELDS && waiting.entries.len() > seen {
                    // Whoever is about to hand in a record and only lacks a processor comes first, and is in this group.
                    // Where nobody is, this costs nothing: it is no wait.
                    yields += 1;
                    seen = waiting.entries.len();
                    drop(waiting);
                    std::thread::yield_now();
                    waiting = lock(&self.queue.inner);
                    continue;
                }
                take_group(&mut waiting.entries, &mut self.group, limit);
                waiting.urgent = !waiting.entries.is_empty();
                let taken = self.group.iter().map(|entry| entry.payload.len());
                waiting.bytes = waiting.bytes.saturating_sub(taken.sum());
                return Work::Write;
            }
            if waiting.closed {
                return Work::End;
            }
            let due = deadline.as_ref().map(|(at, _)| *at);
            if due.is_some_and(|at| now >= at) {
                break;
            }
            waiting.awaits = match linger {
                Some(_) => Awaits::Urgent,
                None => Awaits::Any,
            };
            let wake = &self.queue.wake;
            waiting = match [linger, due].into_iter().flatten().min() {
                None => wake.wait(waiting).unwrap_or_else(PoisonError::into_inner),
                Some(at) => {
                    let waited = wake.wait_timeout(waiting, at.saturating_duration_since(now));
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        deadline.map_or(Work::Sync, |(_, work)| work)
    }

    /// Bytes that fit into the segment.
    fn room(&self) -> usize {
        let written = self.current.as_ref().map_or(0, |current| current.written);
        let left = self.options.segment_bytes.saturating_sub(written);
        usize::try_from(left).unwrap_or(usize::MAX)
    }

    fn write_group(&mut self) {
        let bytes: usize = self.group.iter().map(size_of_entry).sum();
        if let Err(error) = self.make_ready(bytes) {
            for entry in self.group.drain(..) {
                (entry.done)(Err(error.clone()));
            }
            return;
        }
        let Some(current) = &mut self.current else {
            return;
        };
        let mut urgent = false;
        let mut first = if current.written == current.synced {
            FIRST_OF_GROUP
        } else {
            0
        };
        self.buffer.clear();
        for entry in self.group.drain(..) {
            let begin = self.buffer.len();
            let sequence = self.next_sequence;
            self.next_sequence += 1;
            format::encode_record(
                &mut self.buffer,
                current.mark,
                entry.version,
                entry.kind as u8 | std::mem::take(&mut first),
                sequence,
                &entry.payload,
            );
            let appended = Appended {
                position: Position {
                    segment: current.number,
                    offset: current.written + begin as u64,
                },
                sequence,
                bytes: (self.buffer.len() - begin) as u64,
            };
            urgent |= entry.urgent;
            self.unsynced.push((entry.done, appended));
        }
        let result = current.output.append(&self.buffer);
        match result {
            Ok(()) => current.written += self.buffer.len() as u64,
            Err(error) => {
                let error = io_error("write to", &current.path, error);
                return self.fail(&error);
            }
        }
        if self.buffer.capacity() > 4 * self.options.group_bytes {
            self.buffer = Vec::new();
        }
        let since = *self.unsynced_since.get_or_insert_with(Instant::now);
        if urgent || since.elapsed() >= self.options.lazy_sync {
            self.sync();
        }
        self.prepare();
    }

    /// Has the next segment made beforehand, when it is time.
    fn prepare(&mut self) {
        let Some(current) = &self.current else {
            return;
        };
        let segment_bytes = self.options.segment_bytes;
        // early enough: it takes its time, so that nobody waits for it
        let from = if current.prepared {
            segment_bytes / 4
        } else {
            self.options.spare_after
        };
        if current.written < from {
            return;
        }
        let (segments, most) = (&self.segments, self.options.most_bytes);
        self.spare.prepare(|| {
            // with the zeros of the current one, it takes no more than all of them may take
            let used: u64 = segments.sizes().iter().map(|(_, bytes)| bytes).sum();
            used.saturating_add(segment_bytes.saturating_mul(2)) <= most
        });
    }

    /// Makes sure that there is a segment which takes `bytes` more.
    fn make_ready(&mut self, bytes: usize) -> Result<(), JournalError> {
        if let Some(current) = &self.current {
            let holds_records = current.written > SEGMENT_HEADER as u64;
            let is_better = !current.prepared && self.spare.is_ready();
            if !holds_records || bytes <= self.room() && !is_better {
                return Ok(());
            }
            self.sync();
            let Some(full) = self.current.take() else {
                return self.queue.health();
            };
            if full.written == SEGMENT_HEADER as u64 {
                // that sync has failed, and this is the fresh one
                self.current = Some(full);
                return Ok(());
            }
            self.leave(full);
            return self.begin_segment();
        }
        if self.last_try.elapsed() < self.reopen_every {
            return self.queue.health();
        }
        self.begin_segment()
    }

    /// Goes on in a fresh segment if this one is the open one.
    fn end_segment(&mut self, segment: u64) -> Result<(), JournalError> {
        let is_open = |current: &mut Current| current.number == segment;
        if !self.current.as_mut().is_some_and(is_open) {
            return Ok(());
        }
        self.sync();
        match self.current.take_if(is_open) {
            Some(full) => {
                self.leave(full);
                self.begin_segment()
            }
            // that sync has failed, and a fresh one was begun
            None => Ok(()),
        }
    }

    /// Writes no more to a segment that is synced, and cuts off its zeros.
    fn leave(&mut self, mut full: Current) {
        self.previous = (full.number, full.synced);
        if full.prepared
            && let Err(error) = full.output.cut()
        {
            // its successor says where it ends, or the next start finds it
            tracing::debug!(%error, path = %full.path.display(), "the zeros of a segment stay");
        }
    }

    /// Syncs what is written and tells those who wait for it.
    fn sync(&mut self) {
        self.unsynced_since = None;
        if self.unsynced.is_empty() {
            return;
        }
        let Some(current) = &mut self.current else {
            return;
        };
        let began = Instant::now();
        if let Err(error) = current.output.sync() {
            let error = io_error("sync", &current.path, error);
            return self.fail(&error);
        }
        self.metrics
            .store_synced(began.elapsed(), self.unsynced.len());
        current.synced = current.written;
        self.segments
            .grown(current.number, current.written, current.synced);
        for (done, appended) in self.unsynced.drain(..) {
            done(Ok(appended));
        }
    }

    /// Gives the segment up, goes on in a fresh one if there can be one, and tells those who waited.
    fn fail(&mut self, error: &JournalError) {
        tracing::error!(error = %describe(error), "the journal could not be written");
        self.unsynced_since = None;
        if let Some(failed) = self.current.take() {
            self.previous = (failed.number, failed.synced);
            self.segments
                .grown(failed.number, failed.written, failed.synced);
        }
        // a failure is in `health`
        let _ = self.begin_segment();
        for (done, _) in self.unsynced.drain(..) {
            done(Err(error.clone()));
        }
    }

    /// Makes a fresh segment, durable with its name, and notes whether that went well.
    fn begin_segment(&mut self) -> Result<(), JournalError> {
        self.last_try = Instant::now();
        let was_well = self.queue.health().is_ok();
        let number = self.next_segment;
        self.next_segment += 1;
        match self.make_segment(number) {
            Ok(current) => {
                let segment = Segment {
                    mark: Some(current.mark),
                    begin: current.written,
                    after: self.next_sequence.saturating_sub(1),
                    written: current.written,
                    synced: current.synced,
                    damaged: Vec::new(),
                };
                self.segments.add(number, segment);
                self.current = Some(current);
                self.queue.set_trouble(None);
                Ok(())
            }
            Err(error) => {
                let why = describe(&error);
                if was_well {
                    tracing::error!(error = %why, "the journal takes nothing until it can begin a segment");
                }
                self.queue.set_trouble(Some(why));
                Err(error)
            }
        }
    }

    fn make_segment(&mut self, number: u64) -> Result<Current, JournalError> {
        let path = path_of(self.segments.folder(), number);
        let header = SegmentHeader {
            format: format::FORMAT,
            segment: number,
            first_sequence: self.next_sequence,
            mark: fastrand::u32(..),
            previous: self.previous.0,
            previous_end: self.previous.1,
        };
        let (output, prepared) = self.make_output(&path, &header.encode())?;
        let written = SEGMENT_HEADER as u64;
        Ok(Current {
            number,
            path,
            mark: header.mark,
            output,
            prepared,
            written,
            synced: written,
        })
    }

    /// A file that begins with this header, durable with its name, and whether it is the one that was made beforehand.
    fn make_output(
        &mut self,
        path: &Path,
        header: &[u8],
    ) -> Result<(Box<dyn Output>, bool), JournalError> {
        let folder = self.segments.folder();
        if let Some(mut output) = self.spare.take() {
            let beforehand = self.spare.path();
            let begun = output
                .append(header)
                .and_then(|()| output.sync())
                .and_then(|()| self.disk.rename(&beforehand, path))
                .and_then(|()| self.disk.sync_folder(folder));
            let Err(error) = begun else {
                return Ok((output, true));
            };
            tracing::debug!(%error, "the segment that was made beforehand cannot be used");
            let _ = std::fs::remove_file(&beforehand);
            let _ = std::fs::remove_file(path);
        }
        let mut output = self
            .disk
            .create(path)
            .map_err(|error| io_error("make", path, error))?;
        let written = output
            .append(header)
            .and_then(|()| output.sync())
            .and_then(|()| self.disk.sync_folder(folder));
        if let Err(error) = written {
            // nothing is in it; if it stays, the next life removes it
            let _ = std::fs::remove_file(path);
            return Err(io_error("begin", path, error));
        }
        Ok((output, false))
    }
}

/// Moves entries over until `limit` bytes or [`GROUP_ENTRIES`] are reached; always at least one.
fn take_group(waiting: &mut VecDeque<Entry>, group: &mut Vec<Entry>, limit: usize) {
    let mut bytes = 0;
    while group.len() < GROUP_ENTRIES
        && let Some(next) = waiting.pop_front_if(|next| {
            bytes += size_of_entry(next);
            group.is_empty() || bytes <= limit
        })
    {
        group.push(next);
    }
}

fn size_of_entry(entry: &Entry) -> usize {
    entry.payload.len() + RECORD_EXTRA
}

/// An error with its cause in one line.
fn describe(error: &JournalError) -> String {
    match error {
        JournalError::Io { source, .. } => format!("{error}: {source}"),
        other => other.to_string(),
    }
}
