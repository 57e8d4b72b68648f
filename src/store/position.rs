//! A small file beside the index that says how far the index was on disk, so that an older copy of it is
//! known as such, after a kill as well.
//!
//! Promise: as long as no power was lost, the index on disk is never behind what is noted here. The file is
//! not synced: after a power cut it may be ahead of the index, which is then rebuilt without need.
//! Without the file nothing is known.

use std::io;
use std::path::{Path, PathBuf};

use super::index::rows::MetaRow;

/// The file in the store's folder.
const FILE: &str = "index.position";

/// Where it is written before it takes its name.
const UNFINISHED: &str = "index.position.new";

/// What is noted of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noted {
    /// The number of the last record that is in it.
    sequence: u64,
    /// What its rows were when it was closed; `None` while it is open.
    fingerprint: Option<u128>,
}

impl Noted {
    /// An index that is open, and on disk as far as this.
    #[must_use]
    pub fn reached(meta: &MetaRow) -> Self {
        Self {
            sequence: meta.sequence,
            fingerprint: None,
        }
    }

    /// An index that is closed.
    #[must_use]
    pub fn closed(meta: &MetaRow) -> Self {
        Self {
            sequence: meta.sequence,
            fingerprint: Some(meta.fingerprint),
        }
    }

    /// Whether an index that is found like this can be the one that was noted.
    #[must_use]
    pub fn fits(&self, found: &MetaRow) -> bool {
        match self.fingerprint {
            Some(wanted) => found.sequence == self.sequence && found.fingerprint == wanted,
            None => found.sequence >= self.sequence,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (sequence, fingerprint) = text.strip_suffix('\n')?.split_once(' ')?;
        Some(Self {
            sequence: sequence.parse().ok()?,
            fingerprint: match fingerprint {
                "open" => None,
                hex => Some(u128::from_str_radix(hex, 16).ok()?),
            },
        })
    }

    fn text(&self) -> String {
        match self.fingerprint {
            Some(hash) => format!("{} {hash:032x}\n", self.sequence),
            None => format!("{} open\n", self.sequence),
        }
    }
}

/// What is noted of the index in `folder`, if anything.
#[must_use]
pub fn read(folder: &Path) -> Option<Noted> {
    Noted::parse(&std::fs::read_to_string(beside(folder, FILE)).ok()?)
}

/// Notes how far the index in `folder` is. Only a hint: if that fails, an older copy may be brought up to date
/// without a word.
pub fn note(folder: &Path, noted: Noted) {
    let unfinished = beside(folder, UNFINISHED);
    let written = std::fs::write(&unfinished, noted.text())
        .and_then(|()| std::fs::rename(&unfinished, beside(folder, FILE)));
    if let Err(error) = written {
        tracing::warn!(%error, path = %unfinished.display(), "cannot be written");
    }
}

/// Forgets what was noted.
///
/// # Errors
/// If the file is there and stays.
pub fn forget(folder: &Path) -> io::Result<()> {
    match std::fs::remove_file(beside(folder, FILE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn beside(folder: &Path, name: &str) -> PathBuf {
    folder.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(sequence: u64, fingerprint: u128) -> MetaRow {
        MetaRow {
            sequence,
            fingerprint,
            ..MetaRow::default()
        }
    }

    #[test]
    fn an_index_fits_if_it_is_not_behind_and_once_closed_only_itself() {
        let open = Noted::reached(&meta(7, 1));
        let closed = Noted::closed(&meta(7, 1));
        for (noted, found, fits) in [
            (open, meta(7, 1), true),
            (open, meta(7, 2), true),
            (open, meta(8, 3), true),
            (open, meta(6, 1), false),
            (closed, meta(7, 1), true),
            (closed, meta(7, 2), false),
            (closed, meta(8, 1), false),
            (closed, meta(6, 1), false),
        ] {
            assert_eq!(noted.fits(&found), fits, "{noted:?} {found:?}");
        }
    }

    #[test]
    fn what_is_noted_is_read_and_anything_else_is_nothing() {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("index");
        assert_eq!(read(&folder), None);
        forget(&folder).unwrap();
        for noted in [
            Noted::reached(&meta(7, 1)),
            Noted::closed(&meta(8, u128::MAX)),
        ] {
            note(&folder, noted);
            assert_eq!(read(&folder), Some(noted));
        }
        for text in [
            "",
            "7",
            "7 \n",
            "7 open",
            "x open\n",
            "-1 open\n",
            "7 0x1\n",
        ] {
            std::fs::write(temp.path().join(FILE), text).unwrap();
            assert_eq!(read(&folder), None, "{text:?}");
        }
        forget(&folder).unwrap();
        assert!(!temp.path().join(FILE).exists());
    }
}
