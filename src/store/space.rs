//! Room on disk: how much the journal takes and how much is free, so that nothing is begun that cannot end.
//!
//! Only admissions are refused. Outcomes of what was accepted are written as long as the disk takes them.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::StoreError;
use super::journal::Journal;
use super::local::StoreOptions;

/// How long a look at the disk counts; what is written meanwhile is subtracted.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What a record takes besides its body, at most: headers of the request, deliveries, the journal's own header.
const RECORD_MARGIN: u64 = 64 * 1024;

/// Room on disk.
pub struct Space {
    path: PathBuf,
    max_bytes: u64,
    min_free_bytes: u64,
    journal: Journal,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    at: Option<Instant>,
    used: u64,
    /// `None` if the file system does not say.
    free: Option<u64>,
    /// Promised to admissions that are not written yet.
    promised: u64,
}

impl Space {
    /// Room for the journal of a store.
    #[must_use]
    pub fn new(options: &StoreOptions, journal: &Journal) -> Self {
        Self {
            path: options.path.clone(),
            max_bytes: options.max_bytes,
            min_free_bytes: options.min_free_bytes,
            journal: journal.clone(),
            seen: Mutex::new(Seen {
                at: None,
                used: 0,
                free: None,
                promised: 0,
            }),
        }
    }

    /// Promises room for a record with a body of this size; gives the bytes for [`Self::written`].
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if there is none.
    pub fn promise(&self, body: usize) -> Result<u64, StoreError> {
        let wanted = (body as u64).saturating_add(RECORD_MARGIN);
        let mut seen = self.look();
        seen.check(self, wanted)?;
        seen.promised = seen.promised.saturating_add(wanted);
        Ok(wanted)
    }

    /// A record was written (or failed, then `bytes` is 0); `promised` is not needed any more.
    pub fn written(&self, promised: u64, bytes: u64) {
        let mut seen = self.lock();
        seen.promised = seen.promised.saturating_sub(promised);
        seen.used = seen.used.saturating_add(bytes);
        seen.free = seen.free.map(|free| free.saturating_sub(bytes));
    }

    /// Whether an empty event would be taken now.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] with the reason.
    pub fn check(&self) -> Result<(), StoreError> {
        self.look().check(self, 0)
    }

    /// Bytes of journal, and bytes that are free where the file system says so.
    pub fn seen(&self) -> (u64, Option<u64>) {
        let seen = self.look();
        (seen.used, seen.free)
    }

    /// Looks at the disk anew at the next question.
    pub fn changed(&self) {
        self.lock().at = None;
    }

    fn look(&self) -> MutexGuard<'_, Seen> {
        let mut seen = self.lock();
        if seen.at.is_none_or(|at| at.elapsed() >= LOOK_EVERY) {
            seen.at = Some(Instant::now());
            seen.used = self.journal.segments().iter().map(|(_, bytes)| bytes).sum();
            let stat = rustix::fs::statvfs(&self.path);
            seen.free = stat
                .ok()
                .map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize));
        }
        seen
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn check(&self, space: &Space, wanted: u64) -> Result<(), StoreError> {
        let coming = self.promised.saturating_add(wanted);
        if self.used.saturating_add(coming) > space.max_bytes {
            return Err(StoreError::Unavailable(
                "full: max_bytes is reached".to_owned(),
            ));
        }
        match self.free {
            Some(free) if free < space.min_free_bytes.saturating_add(coming) => Err(
                StoreError::Unavailable("the disk is nearly full".to_owned()),
            ),
            Some(_) => Ok(()),
            None => Err(StoreError::Unavailable(
                "the free space of the disk cannot be read".to_owned(),
            )),
        }
    }
}
