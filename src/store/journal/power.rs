//! A disk for tests that fails when told to, and whose power can go: of what was not synced by then anything may be
//! kept or lost, names of files as well.
//!
//! Of a file that was made of zeros beforehand, what is lost is zeros again.
//!
//! At the cut the store's folder is copied as it would be found afterwards; from then on every call fails.
//! Not here: cuts within recovery, which syncs each file that it changes.

use std::collections::{HashMap, HashSet};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use super::disk::{Disk, Output, RealDisk};
use super::segments::lock;

/// Bytes that are kept or lost together: less than a record, so that records lose parts.
const GRANULE: Range<usize> = 16..600;

/// The same of disks that write whole sectors.
const SECTOR: usize = 512;

/// A real disk with a plug.
#[derive(Clone)]
pub struct Plug {
    state: Arc<Mutex<State>>,
}

struct State {
    rng: fastrand::Rng,
    /// The store's folder, and where it is copied to at the cut.
    from: PathBuf,
    to: PathBuf,
    /// Calls until the cut; `None`: the power stays.
    left: Option<usize>,
    is_off: bool,
    /// Bytes of each new file that are synced; all of any other.
    synced: HashMap<PathBuf, u64>,
    /// New files whose names are not synced.
    unnamed: HashSet<PathBuf>,
    /// Bytes of files that were made of zeros, which are on disk.
    zeros: HashMap<PathBuf, u64>,
    /// What each new file is called now.
    names: HashMap<PathBuf, Name>,
    /// Whether whole sectors are kept or lost.
    sectors: bool,
    /// Whether syncs fail.
    sync_fails: bool,
    /// Bytes that fit yet.
    room: Option<usize>,
}

/// What a file is called, which its writer does not hear of.
type Name = Arc<Mutex<PathBuf>>;

struct PlugOutput {
    name: Name,
    output: Box<dyn Output>,
    plug: Plug,
    written: u64,
}

impl Plug {
    /// A disk for the store in `from`; at the cut, after `calls`, what is found afterwards is in `to`.
    pub fn new(from: &Path, to: &Path, calls: Option<usize>, seed: u64) -> Self {
        let state = State {
            rng: fastrand::Rng::with_seed(seed),
            from: from.to_owned(),
            to: to.to_owned(),
            left: calls,
            is_off: false,
            synced: HashMap::new(),
            unnamed: HashSet::new(),
            zeros: HashMap::new(),
            names: HashMap::new(),
            sectors: false,
            sync_fails: false,
            room: None,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// The same of a disk that writes whole sectors.
    pub fn by_sectors(self) -> Self {
        lock(&self.state).sectors = true;
        self
    }

    fn output(&self, state: &mut State, path: &Path, output: Box<dyn Output>) -> Box<dyn Output> {
        let name: Name = Arc::new(Mutex::new(path.to_owned()));
        state.names.insert(path.to_owned(), Arc::clone(&name));
        state.synced.insert(path.to_owned(), 0);
        state.unnamed.insert(path.to_owned());
        Box::new(PlugOutput {
            name,
            output,
            plug: self.clone(),
            written: 0,
        })
    }

    /// Cuts the power now, unless it is off.
    pub fn cut(&self) {
        let mut state = lock(&self.state);
        if !state.is_off {
            state.lose().unwrap();
        }
    }

    /// Lets all syncs fail, or succeed again.
    pub fn let_syncs_fail(&self, fails: bool) {
        lock(&self.state).sync_fails = fails;
    }

    /// Leaves room for so many bytes, or for any number.
    pub fn leave_room(&self, bytes: Option<usize>) {
        lock(&self.state).room = bytes;
    }
}

impl State {
    /// Counts a call; an error if the power is off.
    fn call(&mut self) -> io::Result<()> {
        if !self.is_off && self.left == Some(0) {
            self.lose()?;
        }
        self.left = self.left.map(|left| left.saturating_sub(1));
        if self.is_off {
            return Err(io::Error::other("no power"));
        }
        Ok(())
    }

    fn lose(&mut self) -> io::Result<()> {
        self.is_off = true;
        let (from, to) = (self.from.clone(), self.to.clone());
        self.copy(&from, &to)
    }

    fn copy(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::create_dir_all(to)?;
        for entry in std::fs::read_dir(from)? {
            let path = entry?.path();
            let target = to.join(path.file_name().unwrap_or_default());
            if path.is_dir() {
                self.copy(&path, &target)?;
            } else if !self.unnamed.contains(&path) || self.rng.bool() {
                // files of the index come and go meanwhile
                let Ok(mut bytes) = std::fs::read(&path) else {
                    continue;
                };
                if let Some(synced) = self.synced.get(&path) {
                    let synced = usize::try_from(*synced).unwrap_or(usize::MAX);
                    let zeros = self.zeros.get(&path).map_or(0, |zeros| *zeros);
                    self.spoil(&mut bytes, synced, usize::try_from(zeros).unwrap_or(0));
                }
                std::fs::write(target, bytes)?;
            }
        }
        Ok(())
    }

    /// Keeps any part of what is not synced. So many zeros were there before it was written; that they were cut off since is
    /// not synced.
    fn spoil(&mut self, bytes: &mut Vec<u8>, synced: usize, zeros: usize) {
        if bytes.len() < zeros && self.rng.bool() {
            bytes.resize(zeros, 0);
        }
        let shortest = synced.max(zeros).min(bytes.len());
        let len = self.rng.usize(shortest..=bytes.len());
        if self.rng.bool() {
            bytes.truncate(len);
        }
        let keep = self.rng.f32();
        let granule = if self.sectors {
            SECTOR
        } else {
            self.rng.usize(GRANULE)
        };
        let (mut from, len) = (synced, bytes.len());
        while from < len {
            let to = if self.sectors {
                (from / SECTOR + 1) * SECTOR
            } else {
                from + granule
            };
            if self.rng.f32() > keep
                && let Some(part) = bytes.get_mut(from..to.min(len))
            {
                part.fill(0);
            }
            from = to;
        }
    }
}

impl Disk for Plug {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        let mut state = lock(&self.state);
        state.call()?;
        let output = RealDisk.create(path)?;
        Ok(self.output(&mut state, path, output))
    }

    fn create_zeros(
        &self,
        path: &Path,
        bytes: u64,
        stop: &AtomicBool,
    ) -> io::Result<Box<dyn Output>> {
        let mut state = lock(&self.state);
        state.call()?;
        if state.sync_fails {
            return Err(io::Error::from_raw_os_error(5));
        }
        if state.room.is_some_and(|room| bytes > room as u64) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let output = RealDisk.create_zeros(path, bytes, stop)?;
        state.zeros.insert(path.to_owned(), bytes);
        Ok(self.output(&mut state, path, output))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = lock(&self.state);
        state.call()?;
        RealDisk.rename(from, to)?;
        if let Some(name) = state.names.remove(from) {
            to.clone_into(&mut lock(&name));
            state.names.insert(to.to_owned(), name);
        }
        if let Some(synced) = state.synced.remove(from) {
            state.synced.insert(to.to_owned(), synced);
        }
        if let Some(zeros) = state.zeros.remove(from) {
            state.zeros.insert(to.to_owned(), zeros);
        }
        state.unnamed.remove(from);
        state.unnamed.insert(to.to_owned());
        Ok(())
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = lock(&self.state);
        state.call()?;
        state.unnamed.retain(|named| named.parent() != Some(path));
        RealDisk.sync_folder(path)
    }
}

impl Output for PlugOutput {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut state = lock(&self.plug.state);
        let begun = if state.left == Some(0) {
            state.rng.usize(0..=bytes.len())
        } else {
            state.room.unwrap_or(bytes.len()).min(bytes.len())
        };
        if !state.is_off {
            self.output.append(bytes.get(..begun).unwrap_or_default())?;
            self.written += begun as u64;
        }
        state.call()?;
        state.room = state.room.map(|room| room - begun);
        if begun < bytes.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = lock(&self.plug.state);
        state.call()?;
        if state.sync_fails {
            return Err(io::Error::from_raw_os_error(5));
        }
        let path = lock(&self.name).clone();
        state.synced.insert(path, self.written);
        Ok(())
    }

    fn cut(&mut self) -> io::Result<()> {
        lock(&self.plug.state).call()?;
        self.output.cut()
    }
}
