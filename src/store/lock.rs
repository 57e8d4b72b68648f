//! One owner of a store's folder: an exclusive lock on its file `LOCK`, taken before anything in
//! the folder is read and freed by the kernel however the process ends.
//!
//! Not here: waiting for the other owner to go; whether the folder's content is any good.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The file that is locked. It is never removed: a lock on a removed file would lock nothing.
const LOCK_FILE: &str = "LOCK";

/// Only the owner may look into the store: it holds what senders sent.
const FOLDER_MODE: u32 = 0o700;

/// Holds the store's folder until it is dropped.
#[derive(Debug)]
pub struct StoreLock {
    _file: File,
}

/// Why the folder could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process (or another store of this one) holds it.
    #[error("the store at {} is in use by another process", path.display())]
    Held {
        /// The store's folder.
        path: PathBuf,
    },
    /// The disk said no.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
}

impl StoreLock {
    /// Makes the folder if it is missing (readable by its owner alone) and takes it.
    ///
    /// # Errors
    /// [`LockError::Held`] if another holds it, at once; otherwise if the disk says no.
    pub fn take(path: &Path) -> Result<Self, LockError> {
        make_folder(path).map_err(|source| io_error("make the folder", path, source))?;
        // whoever made it may not have made its name durable
        if let Err(error) = sync_folder(parent_of(path)) {
            let folder = parent_of(path).display();
            tracing::warn!(%error, %folder, "the folder of the store cannot be synced");
        }
        let lock = path.join(LOCK_FILE);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock)
            .map_err(|source| io_error("open", &lock, source))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LockError::Held {
                path: path.to_owned(),
            }),
            Err(TryLockError::Error(source)) => Err(io_error("lock", &lock, source)),
        }
    }

    /// Keeps every owner out of the folder without changing anything in it; others may do so at the same time.
    /// `None` if there is nothing to lock, since no owner was there yet.
    ///
    /// # Errors
    /// [`LockError::Held`] if it has an owner; otherwise if the disk says no.
    pub fn share(path: &Path) -> Result<Option<Self>, LockError> {
        let lock = path.join(LOCK_FILE);
        let file = match File::open(&lock) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(|source| io_error("open", &lock, source))?,
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Err(LockError::Held {
                path: path.to_owned(),
            }),
            Err(TryLockError::Error(source)) => Err(io_error("lock", &lock, source)),
        }
    }

    /// Whether the folder ever had an owner.
    #[must_use]
    pub fn was_taken(path: &Path) -> bool {
        path.join(LOCK_FILE).exists()
    }
}

/// Makes a folder and those above it that are missing, with mode 0700, and their names durable.
pub(super) fn make_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let above = parent_of(path);
    make_folder(above)?;
    match DirBuilder::new().mode(FOLDER_MODE).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        other => other?,
    }
    sync_folder(above)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// The folder in which a path lies.
pub(super) fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(above) if above.as_os_str().is_empty() => Path::new("."),
        Some(above) => above,
        None => Path::new("/"),
    }
}

fn io_error(doing: &'static str, path: &Path, source: io::Error) -> LockError {
    LockError::Io {
        doing,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_second_holder_is_refused_until_the_first_is_gone() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("a/store");
        let first = StoreLock::take(&path).unwrap();
        let error = StoreLock::take(&path).unwrap_err();
        assert!(matches!(&error, LockError::Held { path: named } if *named == path));
        assert!(
            error.to_string().contains(path.to_str().unwrap()),
            "{error}"
        );
        drop(first);
        StoreLock::take(&path).unwrap();
    }

    #[test]
    fn readers_keep_owners_out_but_not_each_other() {
        let temp = tempfile::tempdir().unwrap();
        assert!(StoreLock::share(temp.path()).unwrap().is_none());
        assert!(!StoreLock::was_taken(temp.path()), "it made no file");
        let owner = StoreLock::take(temp.path()).unwrap();
        let refused = StoreLock::share(temp.path());
        assert!(matches!(refused, Err(LockError::Held { .. })));
        drop(owner);
        let first = StoreLock::share(temp.path()).unwrap().unwrap();
        let second = StoreLock::share(temp.path()).unwrap().unwrap();
        drop(first);
        assert!(StoreLock::take(temp.path()).is_err());
        drop(second);
        StoreLock::take(temp.path()).unwrap();
    }

    #[test]
    fn folders_are_made_for_their_owner_alone() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("a/store");
        let _lock = StoreLock::take(&path).unwrap();
        for folder in [path.parent().unwrap(), &path] {
            let mode = folder.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700, "{}", folder.display());
        }
    }

    #[test]
    fn a_file_in_the_place_of_the_folder_is_an_error() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("store");
        std::fs::write(&path, "").unwrap();
        assert!(matches!(StoreLock::take(&path), Err(LockError::Io { .. })));
    }
}
