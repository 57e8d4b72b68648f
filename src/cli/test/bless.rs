//! Writing what came out of a test as what is expected of it from now on.
//!
//! Promise: a file is replaced as a whole or not at all, and only where it says something else. Not here: which tests.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::decimal;
use crate::trial::TestOutcome;

/// What became of the wish to bless a test that fails.
#[derive(Debug)]
pub(super) enum Blessed {
    /// What came out is expected now.
    Written,
    /// There is nothing that could be expected: why.
    Refused(&'static str),
    /// The file cannot be written.
    Failed(io::Error),
}

/// Writes what came out of a test, unless it passes; `all` are the tests that may share its file.
pub(super) fn bless(outcome: &TestOutcome, all: &[TestOutcome]) -> Option<Blessed> {
    if outcome.passed() {
        return None;
    }
    let Some(output) = outcome.output() else {
        return Some(Blessed::Refused(if outcome.came_out() {
            "not written: the targets get different outputs"
        } else {
            "not written: first the event must come out"
        }));
    };
    let disagrees = |other: &TestOutcome| {
        let of_other = other.output();
        other.expect == outcome.expect
            && of_other.is_some_and(|other| !decimal::equal(other, output))
    };
    if all.iter().any(disagrees) {
        return Some(Blessed::Refused(
            "not written: another test that expects this file makes something else",
        ));
    }
    Some(match write(&outcome.expect, output) {
        Ok(()) => Blessed::Written,
        Err(error) => Blessed::Failed(error),
    })
}

/// Writes JSON with indents, through a file beside it.
fn write(path: &Path, value: &Value) -> io::Result<()> {
    // A link stays one: what it leads to is replaced.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    std::fs::create_dir_all(&folder)?;
    let beside = folder.join(format!(".ingate-{}.tmp", uuid::Uuid::now_v7()));
    let written = write_new(&beside, &path, value).and_then(|()| std::fs::rename(&beside, &path));
    if written.is_err() {
        // It may never have been made.
        let _ = std::fs::remove_file(&beside);
    }
    written
}

fn write_new(beside: &Path, path: &Path, value: &Value) -> io::Result<()> {
    let mut file = File::create_new(beside)?;
    if let Ok(known) = std::fs::metadata(path) {
        file.set_permissions(known.permissions())?;
    }
    writeln!(file, "{value:#}")?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("made/out.json");
        let text = r#"{"b":1.0,"a":[12345678901234567890,{}]}"#;
        let value: Value = serde_json::from_str(text).unwrap();
        write(&path, &value).unwrap();
        let wanted = "{\n  \"b\": 1.0,\n  \"a\": [\n    12345678901234567890,\n    {}\n  ]\n}\n";
        assert_eq!(std::fs::read_to_string(&path).unwrap(), wanted);

        // Through a link, and with the rights that it has.
        let link = dir.path().join("link.json");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        write(&link, &Value::from(7)).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "7\n");
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(link.symlink_metadata().unwrap().is_symlink());

        // A folder cannot be replaced, and nothing is left behind.
        assert!(write(dir.path().join("made").as_path(), &value).is_err());
        let names = std::fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(names, 2);
        assert_eq!(
            std::fs::read_dir(dir.path().join("made")).unwrap().count(),
            1
        );
    }
}
