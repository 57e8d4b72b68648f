//! The files that a configuration is made of, behind one trait: a load can be noted, so that somebody can watch what it
//! read and keep copies of it, and it can be repeated from such copies.
//!
//! Promise: what a load asked for is noted even if it was not there, since its coming would change the outcome.
//! Not here: watching, keeping (see `reload` and [`super::kept`]).

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::in_words;

/// What a file is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Something that may be shown and kept: configuration, templates, schemas, samples.
    Open,
    /// Certificates, PEM. A key may stand beside them in the same file; of that nothing is kept.
    Certificates,
    /// A secret or a private key: nothing of it is kept.
    Secret,
}

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A file, or something that can be read like one.
    File,
    /// A folder.
    Folder,
}

/// Where files come from.
pub trait Files: fmt::Debug + Send + Sync {
    /// The bytes of a file; the error is words, also that it has more than `most` bytes.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn read(&self, path: &Path, most: u64, purpose: Purpose) -> Result<Vec<u8>, String>;

    /// What stands at this path, links followed.
    fn kind(&self, path: &Path) -> Option<FileKind>;

    /// The path with all links followed.
    fn real(&self, path: &Path) -> Option<PathBuf>;

    /// The names in a folder, in any order; empty where there is none.
    fn names(&self, folder: &Path) -> Vec<String>;

    /// The names in a folder that end so and are not hidden, sorted: what is there counts, and what comes or goes.
    fn list(&self, folder: &Path, ending: &str) -> Vec<String> {
        let mut names = self.names(folder);
        names.retain(|name| name.ends_with(ending) && !name.starts_with('.'));
        names.sort();
        names
    }
}

/// The files of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path, most: u64, _: Purpose) -> Result<Vec<u8>, String> {
        let file = std::fs::File::open(path).map_err(in_words)?;
        let mut bytes = Vec::new();
        file.take(most.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(in_words)?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > most {
            return Err(too_long(most));
        }
        Ok(bytes)
    }

    fn kind(&self, path: &Path) -> Option<FileKind> {
        let found = std::fs::metadata(path).ok()?;
        Some(if found.is_dir() {
            FileKind::Folder
        } else {
            FileKind::File
        })
    }

    fn real(&self, path: &Path) -> Option<PathBuf> {
        path.canonicalize().ok()
    }

    fn names(&self, folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect()
    }
}

/// More bytes than any file of a configuration has.
const MOST_BYTES: u64 = 65 << 20;

/// The SHA-256 of a file's bytes.
pub type Fingerprint = [u8; 32];

/// What a load found at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Nothing, or nothing that could be read.
    Nothing,
    /// A folder.
    Folder,
    /// A folder, and which files are in it.
    Listing {
        /// How the names end that were asked for.
        ending: String,
        /// Those that there were, sorted.
        names: Vec<String>,
    },
    /// A file.
    File {
        /// What its bytes hash to.
        fingerprint: Fingerprint,
        /// Its bytes, unless it is a secret.
        bytes: Option<Vec<u8>>,
    },
}

impl Input {
    /// Whether the same stands at the path now.
    #[must_use]
    pub fn is_current(&self, path: &Path) -> bool {
        match self {
            Self::Nothing => match Disk.kind(path) {
                None => true,
                Some(FileKind::Folder) => false,
                // It may be there and not be readable.
                Some(FileKind::File) => Disk.read(path, MOST_BYTES, Purpose::Open).is_err(),
            },
            Self::Folder => Disk.kind(path) == Some(FileKind::Folder),
            Self::Listing { ending, names } => Disk.list(path, ending) == *names,
            Self::File { fingerprint, .. } => Disk
                .read(path, MOST_BYTES, Purpose::Open)
                .is_ok_and(|bytes| fingerprint_of(&bytes) == *fingerprint),
        }
    }
}

/// What a load asked for, by path.
pub type Inputs = BTreeMap<PathBuf, Input>;

/// Files that note what is asked for.
#[derive(Debug)]
pub(super) struct Noting {
    inner: Arc<dyn Files>,
    noted: Mutex<Inputs>,
}

impl Noting {
    pub(super) fn new(inner: Arc<dyn Files>) -> Self {
        Self {
            inner,
            noted: Mutex::default(),
        }
    }

    /// What was asked for so far.
    pub(super) fn inputs(&self) -> Inputs {
        let noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        noted.clone()
    }

    fn note(&self, path: &Path, input: Input) {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        // A file may be read for two purposes: what may be kept of it for one is not lost by the other.
        let keeps_less = matches!(&input, Input::File { bytes: None, .. });
        let is_kept = matches!(noted.get(path), Some(Input::File { bytes: Some(_), .. }));
        if !(keeps_less && is_kept) {
            noted.insert(path.to_owned(), input);
        }
    }

    /// Notes that there is a folder, unless more is known of it.
    fn note_folder(&self, path: &Path) {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(noted.get(path), Some(Input::Listing { .. })) {
            noted.insert(path.to_owned(), Input::Folder);
        }
    }

    /// What stands at a path that could not be read, or not within the limit.
    fn refused(&self, path: &Path, most: u64, purpose: Purpose) -> Input {
        if self.inner.kind(path) == Some(FileKind::Folder) {
            return Input::Folder;
        }
        match self.inner.read(path, MOST_BYTES, purpose) {
            // One that has come since, or could be read since, must look new.
            Ok(bytes) if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > most => Input::File {
                fingerprint: fingerprint_of(&bytes),
                bytes: None,
            },
            _ => Input::Nothing,
        }
    }
}

impl Files for Noting {
    fn read(&self, path: &Path, most: u64, purpose: Purpose) -> Result<Vec<u8>, String> {
        let read = self.inner.read(path, most, purpose);
        let input = match &read {
            Ok(bytes) => Input::File {
                fingerprint: fingerprint_of(bytes),
                bytes: match purpose {
                    Purpose::Open => Some(bytes.clone()),
                    Purpose::Certificates => Some(certificates_of(bytes)),
                    Purpose::Secret => None,
                },
            },
            Err(_) => self.refused(path, most, purpose),
        };
        self.note(path, input);
        read
    }

    fn kind(&self, path: &Path) -> Option<FileKind> {
        let kind = self.inner.kind(path);
        match kind {
            None => self.note(path, Input::Nothing),
            Some(FileKind::Folder) => self.note_folder(path),
            // It is noted when it is read.
            Some(FileKind::File) => {}
        }
        kind
    }

    fn real(&self, path: &Path) -> Option<PathBuf> {
        self.inner.real(path)
    }

    fn names(&self, folder: &Path) -> Vec<String> {
        self.inner.names(folder)
    }

    fn list(&self, folder: &Path, ending: &str) -> Vec<String> {
        let names = self.inner.list(folder, ending);
        let input = Input::Listing {
            ending: ending.to_owned(),
            names: names.clone(),
        };
        self.note(folder, input);
        names
    }
}

/// Files of which some are not what they are yet: what they are to be stands in `changes`, by their paths with all links
/// followed.
#[derive(Debug)]
pub(super) struct Changed {
    inner: Arc<dyn Files>,
    changes: BTreeMap<PathBuf, Vec<u8>>,
}

impl Changed {
    pub(super) fn new(inner: Arc<dyn Files>, changes: BTreeMap<PathBuf, Vec<u8>>) -> Self {
        Self { inner, changes }
    }

    /// The path with links followed as far as it is there.
    fn followed(&self, path: &Path) -> PathBuf {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let known = path
            .ancestors()
            .find_map(|part| Some((part, self.inner.real(part)?)));
        match known {
            Some((part, real)) => match path.strip_prefix(part) {
                Ok(rest) if rest.as_os_str().is_empty() => real,
                Ok(rest) => real.join(rest),
                Err(_) => path,
            },
            None => path,
        }
    }

    fn change(&self, path: &Path) -> Option<&Vec<u8>> {
        self.changes.get(&self.followed(path))
    }
}

impl Files for Changed {
    fn read(&self, path: &Path, most: u64, purpose: Purpose) -> Result<Vec<u8>, String> {
        match self.change(path) {
            Some(bytes) if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > most => {
                Err(too_long(most))
            }
            Some(bytes) => Ok(bytes.clone()),
            None => self.inner.read(path, most, purpose),
        }
    }

    fn kind(&self, path: &Path) -> Option<FileKind> {
        let there = self.inner.kind(path);
        there.or_else(|| {
            let path = self.followed(path);
            let mut new = self.changes.keys();
            let below = new.find(|new| new.starts_with(&path))?;
            Some(match *below == path {
                true => FileKind::File,
                false => FileKind::Folder,
            })
        })
    }

    fn real(&self, path: &Path) -> Option<PathBuf> {
        let there = self.inner.real(path);
        there.or_else(|| self.kind(path).map(|_| self.followed(path)))
    }

    fn names(&self, folder: &Path) -> Vec<String> {
        let mut names = self.inner.names(folder);
        let folder = self.followed(folder);
        let new = self.changes.keys().filter_map(|path| {
            let first = path.strip_prefix(&folder).ok()?.components().next()?;
            first.as_os_str().to_str().map(str::to_owned)
        });
        names.extend(new);
        names.sort();
        names.dedup();
        names
    }
}

fn too_long(most: u64) -> String {
    format!("it has more than {most} bytes")
}

/// The certificates in a PEM file, without what else stands there.
fn certificates_of(text: &[u8]) -> Vec<u8> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let text = String::from_utf8_lossy(text);
    let blocks = text.split(BEGIN).skip(1);
    let bodies = blocks.filter_map(|block| Some(block.split_once(END)?.0));
    bodies
        .map(|body| format!("{BEGIN}{body}{END}\n"))
        .collect::<String>()
        .into_bytes()
}

/// What bytes hash to.
fn fingerprint_of(bytes: &[u8]) -> Fingerprint {
    Sha256::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_noted() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("open"), "abc").unwrap();
        std::fs::write(path("secret"), "xyz").unwrap();
        std::fs::write(path("unread"), "u").unwrap();
        let files = Noting::new(Arc::new(Disk));
        assert_eq!(files.read(&path("open"), 3, Purpose::Open).unwrap(), b"abc");
        assert!(files.read(&path("secret"), 9, Purpose::Secret).is_ok());
        assert!(files.read(&path("none"), 9, Purpose::Open).is_err());
        assert_eq!(files.kind(&path("unread")), Some(FileKind::File));
        assert_eq!(files.kind(dir.path()), Some(FileKind::Folder));
        assert_eq!(files.kind(&path("never")), None);
        let noted = files.inputs();
        let kept = |name: &str| match &noted[&path(name)] {
            Input::File { bytes, .. } => bytes.clone(),
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(noted.len(), 5);
        assert_eq!(kept("open").as_deref(), Some(&b"abc"[..]));
        assert_eq!(kept("secret"), None);
        assert_eq!(noted[&path("never")], Input::Nothing);
        assert_eq!(noted[&path("none")], Input::Nothing);
        assert_eq!(noted[dir.path()], Input::Folder);

        let changed = || -> Vec<String> {
            let changed = noted.iter().filter(|(path, input)| !input.is_current(path));
            let names = changed.map(|(path, _)| path.file_name().unwrap().to_string_lossy());
            names.map(|name| name.into_owned()).collect()
        };
        assert!(changed().is_empty());
        std::fs::write(path("secret"), "xyZ").unwrap();
        std::fs::write(path("never"), "").unwrap();
        std::fs::remove_file(path("open")).unwrap();
        assert_eq!(changed(), ["never", "open", "secret"]);
    }

    #[test]
    fn of_a_file_with_a_key_only_the_certificates_are_noted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("both.pem");
        let certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let key = "-----BEGIN PRIVATE KEY-----\nBBBB\n-----END PRIVATE KEY-----\n";
        std::fs::write(&path, format!("{key}{certificate}words{certificate}")).unwrap();
        let files = Noting::new(Arc::new(Disk));
        // In whatever order it is read.
        files.read(&path, 999, Purpose::Certificates).unwrap();
        files.read(&path, 999, Purpose::Secret).unwrap();
        match &files.inputs()[&path] {
            Input::File { bytes, .. } => assert_eq!(
                bytes.as_deref(),
                Some(format!("{certificate}{certificate}").as_bytes())
            ),
            other => panic!("{other:?}"),
        }
        assert!(files.inputs()[&path].is_current(&path));
    }

    #[test]
    fn what_comes_into_a_folder_or_goes_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.json"), "").unwrap();
        let files = Noting::new(Arc::new(Disk));
        assert_eq!(files.list(dir.path(), ".json"), ["a.json"]);
        // That it is a folder says less.
        assert_eq!(files.kind(dir.path()), Some(FileKind::Folder));
        let is_current = || files.inputs()[dir.path()].is_current(dir.path());
        for other in ["x.txt", ".b.json"] {
            std::fs::write(dir.path().join(other), "").unwrap();
            assert!(is_current(), "{other} does not count");
        }
        std::fs::write(dir.path().join("b.json"), "").unwrap();
        assert!(!is_current());
        std::fs::remove_file(dir.path().join("b.json")).unwrap();
        assert!(is_current());
    }

    #[test]
    fn what_files_are_to_be_stands_in_their_place() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("real")).unwrap();
        std::fs::write(root.join("real/a"), "old").unwrap();
        std::os::unix::fs::symlink("real", root.join("link")).unwrap();
        let changes = [("real/a", "changed"), ("real/b", "new"), ("new/c", "far")];
        let changes = changes.map(|(path, text)| (root.join(path), text.as_bytes().to_vec()));
        let files = Changed::new(Arc::new(Disk), BTreeMap::from(changes));
        let read = |path: &str| files.read(&root.join(path), 9, Purpose::Open);
        assert_eq!(read("link/a").unwrap(), b"changed");
        assert_eq!(read("link/b").unwrap(), b"new");
        assert_eq!(read("new/c").unwrap(), b"far");
        assert!(read("link/none").is_err());
        assert_eq!(
            files
                .read(&root.join("real/a"), 3, Purpose::Open)
                .unwrap_err(),
            too_long(3)
        );
        let kind = |path: &str| files.kind(&root.join(path));
        assert_eq!(kind("link/b"), Some(FileKind::File));
        assert_eq!(kind("new"), Some(FileKind::Folder));
        assert_eq!(kind("other"), None);
        assert_eq!(files.real(&root.join("link/b")), Some(root.join("real/b")));
        assert_eq!(files.list(&root.join("link"), ""), ["a", "b"]);
        assert_eq!(files.list(&root.join("new"), ""), ["c"]);
    }

    #[test]
    fn what_comes_in_the_place_of_nothing_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        assert!(Input::Nothing.is_current(&path));
        std::fs::create_dir(&path).unwrap();
        assert!(!Input::Nothing.is_current(&path));
        let files = Noting::new(Arc::new(Disk));
        assert!(files.read(&path, 9, Purpose::Open).is_err());
        assert!(
            files.inputs()[&path].is_current(&path),
            "a folder that was named as a file"
        );
    }

    #[test]
    fn a_file_that_is_too_long_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, "abcd").unwrap();
        let error = Disk.read(&path, 3, Purpose::Open).unwrap_err();
        assert_eq!(error, "it has more than 3 bytes");
    }
}
