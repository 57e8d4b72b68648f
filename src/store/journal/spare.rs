//! The next segment, written with zeros beforehand by a thread in the background.
//!
//! What is written over zeros that are on disk changes neither the file's size nor where its blocks lie, so a sync of it
//! writes data alone: it takes half the time and half the CPU, and does not wait for what the file system has to commit for
//! others. (Where the file system never writes in place, nothing is gained.) A store that is hardly used has no such
//! file, nor one whose disk is nearly full: then, and whenever it cannot be made, segments grow as they are written.
//!
//! The file has a name that recovery does not take for a segment; it becomes one by a new name once its header is on disk.
//! Behind the last record there are zeros then, until the segment is full or the journal is closed, which cuts them off. The
//! next life does so after a crash.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::JournalError;
use super::disk::{Disk, Output};
use super::io_error;

/// The name of the file.
const NAME: &str = "spare";

/// How long is waited after one could not be made: what stands in the way may take a while to go.
const RETRY: Duration = Duration::from_secs(10);

/// What has the next segment.
pub(super) struct Spare {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    bytes: u64,
    /// Bytes of the file system that are not used for it.
    keep_free: u64,
    state: State,
    stop: Arc<AtomicBool>,
}

enum State {
    /// There is none; after a failure, none is made before this.
    None(Option<Instant>),
    Making(JoinHandle<io::Result<Box<dyn Output>>>),
    Ready(Box<dyn Output>),
}

impl Spare {
    /// None is made yet. It will have so many bytes, and leave so many free on the file system.
    pub(super) fn new(disk: Arc<dyn Disk>, folder: &Path, bytes: u64, keep_free: u64) -> Self {
        Self {
            disk,
            folder: folder.to_owned(),
            bytes,
            keep_free,
            state: State::None(None),
            stop: Arc::default(),
        }
    }

    /// Where its file is.
    pub(super) fn path(&self) -> PathBuf {
        self.folder.join(NAME)
    }

    /// Begins to make one if there is none; `fits` is asked before, as is the file system.
    pub(super) fn prepare(&mut self, fits: impl FnOnce() -> bool) {
        let State::None(not_before) = self.state else {
            return;
        };
        if not_before.is_some_and(|at| Instant::now() < at) {
            return;
        }
        self.state = State::None(Some(Instant::now() + RETRY));
        if !fits() || !self.has_room() {
            return;
        }
        let (disk, path, bytes) = (Arc::clone(&self.disk), self.path(), self.bytes);
        let stop = Arc::clone(&self.stop);
        let making = thread::Builder::new()
            .name("spare".to_owned())
            .spawn(move || disk.create_zeros(&path, bytes, &stop));
        match making {
            Ok(making) => self.state = State::Making(making),
            Err(error) => tracing::debug!(%error, "no thread for the next segment"),
        }
    }

    /// Whether there is one. Never waits.
    pub(super) fn is_ready(&mut self) -> bool {
        if let State::Making(making) = &self.state
            && making.is_finished()
        {
            self.end_making();
        }
        matches!(self.state, State::Ready(_))
    }

    /// Takes it, if there is one; its file is still to be renamed.
    pub(super) fn take(&mut self) -> Option<Box<dyn Output>> {
        if !self.is_ready() {
            return None;
        }
        match std::mem::replace(&mut self.state, State::None(None)) {
            State::Ready(output) => Some(output),
            _ => None,
        }
    }

    /// One segment more than this one stays free, so that making it cannot be what fills the disk.
    fn has_room(&self) -> bool {
        let wanted = self.bytes.saturating_mul(2).saturating_add(self.keep_free);
        rustix::fs::statvfs(&self.folder)
            .is_ok_and(|stat| stat.f_bavail.saturating_mul(stat.f_frsize) >= wanted)
    }

    /// Waits until the thread has ended, and takes what it has made.
    fn end_making(&mut self) {
        let retry = State::None(Some(Instant::now() + RETRY));
        let State::Making(making) = std::mem::replace(&mut self.state, retry) else {
            return;
        };
        match making.join() {
            Ok(Ok(output)) => self.state = State::Ready(output),
            Ok(Err(error)) => {
                tracing::debug!(%error, "the next segment could not be made beforehand");
                self.remove();
            }
            Err(_) => self.remove(),
        }
    }

    fn remove(&self) {
        // the next start removes it otherwise
        let _ = std::fs::remove_file(self.path());
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.end_making();
        if matches!(self.state, State::Ready(_)) {
            self.remove();
        }
    }
}

/// Removes what an earlier life has left.
pub(super) fn remove_left_over(folder: &Path) -> Result<(), JournalError> {
    let path = folder.join(NAME);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io_error("remove", &path, error))
        }
        _ => Ok(()),
    }
}
