//! The fold: one thread that opens the index (or has it rebuilt) and then takes records of the journal into it, in
//! batches. If the index fails while it runs (a full disk is enough for sled), the store takes nothing more
//! until it is opened anew, checked, and rebuilt if need be; that is tried as long as the store is open.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::index::change::Change;
use super::index::{Index, IndexError};
use super::local::{INDEX, Inner};
use super::overlay::Phase;
use super::position::{self, Noted};
use super::start;

/// How long the fold waits for work before it looks whether refused records can be written.
const IDLE: Duration = Duration::from_millis(200);

/// How long less than a whole batch is left waiting for more, unless somebody waits for the fold: what is accepted and
/// done meanwhile never gets into the queue, and the more rows a batch holds the fewer chunks it writes for each.
const GATHER: Duration = Duration::from_millis(30);

/// The pause before an index that failed is opened anew; it doubles each time.
const FIRST_MEND: Duration = Duration::from_millis(500);

/// The longest such pause.
const LONGEST_MEND: Duration = Duration::from_secs(15);

/// Changes whose entries are let go while everybody else waits.
const PART: usize = 64;

/// How often the index is written out at most. It only decides how much is folded again after a crash, and how
/// old a copy of the index is known to be old.
const FLUSH_EVERY: Duration = Duration::from_secs(1);

/// Runs until the store stops.
pub(super) fn run(inner: &Arc<Inner>, last_sequence: u64) {
    if let Err(why) = start::open_index(inner, last_sequence) {
        if !inner.stopping.load(Ordering::SeqCst) {
            tracing::error!(error = %why, "the store cannot be used");
        }
        inner.set_phase(Phase::Failed(why));
        return;
    }
    let mut flushed = Flushed::default();
    while !inner.stopping.load(Ordering::SeqCst) {
        inner.record_refused();
        flushed.keep_up(inner);
        let changes = next(inner);
        if changes.is_empty() {
            continue;
        }
        while let Err(error) = fold(inner, &changes) {
            let cause = std::error::Error::source(&error);
            tracing::error!(%error, ?cause, "the index failed; nothing is taken until it is mended");
            if !mend(inner) {
                return;
            }
            flushed = Flushed::default();
        }
    }
}

/// Opens the index anew; gives false if the store stops before that is done.
fn mend(inner: &Arc<Inner>) -> bool {
    inner.set_phase(Phase::Starting("mending the index"));
    let mut pause = FIRST_MEND;
    loop {
        std::thread::park_timeout(pause);
        if inner.stopping.load(Ordering::SeqCst) {
            return false;
        }
        let room = inner.space.check().map_err(|error| error.to_string());
        match room.and_then(|()| start::reopen_index(inner)) {
            Ok(()) => {
                tracing::info!("the index is in order again");
                inner.set_phase(Phase::Ready);
                return true;
            }
            Err(why) => tracing::error!(error = %why, "the index is not mended yet"),
        }
        pause = (pause * 2).min(LONGEST_MEND);
    }
}

/// How far the index is on disk.
#[derive(Default)]
struct Flushed {
    sequence: u64,
    at: Option<Instant>,
}

impl Flushed {
    /// Writes the index out now and then, and notes how far it is. The first records after a quiet time are not kept
    /// waiting, so that a copy from before them is known to be old soon.
    fn keep_up(&mut self, inner: &Inner) {
        if self.at.is_some_and(|at| at.elapsed() < FLUSH_EVERY) {
            return;
        }
        let gate = inner.gate();
        let Ok(index) = gate.index() else {
            return;
        };
        let meta = index.meta();
        if meta.sequence == self.sequence {
            return;
        }
        if index.flush() {
            position::note(&inner.options.path.join(INDEX), Noted::reached(&meta));
        }
        *self = Self {
            sequence: meta.sequence,
            at: Some(Instant::now()),
        };
    }
}

/// What is to be folded next; nothing after a while without work.
fn next(inner: &Inner) -> Vec<Change> {
    let state = inner.state();
    let (mut state, _) = inner
        .work
        .wait_timeout_while(state, IDLE, |state| {
            let idle = state.queue.is_empty() || inner.paused.load(Ordering::SeqCst);
            idle && !inner.stopping.load(Ordering::SeqCst)
        })
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    if inner.paused.load(Ordering::SeqCst) {
        return Vec::new();
    }
    if !state.queue.is_empty() {
        (state, _) = inner
            .work
            .wait_timeout_while(state, GATHER, |state| {
                let enough = state.queue.len() >= inner.options.fold_batch || state.hurried > 0;
                !enough && !inner.stopping.load(Ordering::SeqCst)
            })
            .unwrap_or_else(std::sync::PoisonError::into_inner);
    }
    if inner.paused.load(Ordering::SeqCst) {
        return Vec::new();
    }
    let most = state.queue.len().min(inner.options.fold_batch);
    state.queue.drain(..most).collect()
}

/// Takes changes into the index and lets their entries go.
fn fold(inner: &Inner, changes: &[Change]) -> Result<(), IndexError> {
    let promoted = {
        let gate = inner.gate();
        let Ok(index) = gate.index() else {
            return Ok(());
        };
        index.write(|stage| {
            for change in changes {
                stage.apply(change)?;
            }
            Ok(())
        })?
    };
    // before what was first in their lines is let go from memory, so that no claim misses them
    inner.state().promoted(&promoted);
    for part in changes.chunks(PART) {
        // nobody compares index and overlay now
        let _alone = inner.write_gate();
        inner.state().folded(part);
    }
    // and of those that were in memory until now
    inner.state().promoted(&promoted);
    inner.work.notify_all();
    inner.folded.notify_waiters();
    Ok(())
}

/// Notes which index was closed last, so that no other one is taken for it.
pub(super) fn close(store: &Path, index: &Index) {
    if index.flush() {
        position::note(&store.join(INDEX), Noted::closed(&index.meta()));
    }
}
