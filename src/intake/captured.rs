//! Secrets that were handed over, kept in a file: one a line, newest first.
//!
//! Promise: the file is replaced in one step and is on disk when this returns; only its owner may read it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::plan::MAX_CAPTURED;
use crate::secret::Secret;

/// Writes `secret` before those that are in the file, and lets the oldest go where there are too many.
///
/// # Errors
/// What the disk says; the file is then as it was.
pub(super) async fn keep(path: PathBuf, secret: Secret) -> io::Result<()> {
    let written = tokio::task::spawn_blocking(move || write(&path, &secret)).await;
    written.unwrap_or_else(|error| Err(io::Error::other(error)))
}

fn write(path: &Path, secret: &Secret) -> io::Result<()> {
    let known = match std::fs::read(path) {
        Ok(known) => Secret::new(known),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Secret::new(Vec::new()),
        Err(error) => return Err(error),
    };
    let lines = known.expose().split(|byte| *byte == b'\n');
    let others = lines
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty() && *line != secret.expose());
    let mut text = Vec::new();
    for line in std::iter::once(secret.expose())
        .chain(others)
        .take(MAX_CAPTURED)
    {
        text.extend_from_slice(line);
        text.push(b'\n');
    }
    let text = Secret::new(text);
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = folder.join(name);
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(text.expose())?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_newest_comes_first_and_the_oldest_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("asana");
        let read = || std::fs::read_to_string(&path).unwrap();
        write(&path, &Secret::new("a")).unwrap();
        assert_eq!(read(), "a\n");
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        // somebody has edited it, and a crash has left something behind
        std::fs::write(&path, "b\r\n\n a").unwrap();
        std::fs::write(dir.path().join("asana.new"), "half").unwrap();
        write(&path, &Secret::new("c")).unwrap();
        assert_eq!(read(), "c\nb\na\n");
        write(&path, &Secret::new("a")).unwrap();
        assert_eq!(read(), "a\nc\nb\n");
        for n in 0..MAX_CAPTURED {
            write(&path, &Secret::new(format!("s{n}"))).unwrap();
        }
        assert_eq!(read().lines().count(), MAX_CAPTURED);
        assert!(read().starts_with("s15\ns14\n") && read().ends_with("s0\n"));
        assert!(write(&dir.path().join("none/x"), &Secret::new("a")).is_err());
    }
}
