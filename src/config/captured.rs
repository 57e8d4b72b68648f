//! The secrets that senders have handed over in challenges: `sources.NAME.captured`, a file of its own that the daemon
//! writes (see `intake`).
//!
//! Promise: the file is watched as those of other secrets are, and it need not be there yet. Nothing of it is shown.

use std::path::PathBuf;

use super::Purpose;
use super::context::Context;
use super::file::SourceFile;
use super::yaml::member;
use crate::plan::MAX_CAPTURED;
use crate::secret::Secret;
use crate::signature::{Key, Scheme};

/// Most bytes of the file: as many secrets as it may have, each of some hundred bytes.
const MAX_BYTES: u64 = 64 << 10;

/// The file as a path, and the secrets in it, newest first.
#[derive(Debug, Default)]
pub(super) struct Captured {
    pub(super) path: Option<PathBuf>,
    pub(super) keys: Vec<Key>,
}

/// Reads the file of a source with this scheme, if it has one; what is wrong goes to the report.
pub(super) fn read(
    cx: &mut Context<'_>,
    at: &str,
    file: &SourceFile,
    scheme: Option<&Scheme>,
) -> Option<Captured> {
    let at = member(at, "captured");
    match (&file.captured, scheme) {
        (None, Some(scheme)) if scheme.captures() => {
            let message = "a challenge of this scheme hands a secret over, so `captured` is needed: the file that secrets are kept in";
            let help = Some("such as `captured: ./secrets/NAME`".to_owned());
            cx.report.key_error(&at, message, help);
            None
        }
        (Some(_), Some(scheme)) if !scheme.captures() => {
            let message = "no challenge of this scheme hands a secret over";
            cx.report.key_error(&at, message, None);
            None
        }
        (None, _) => Some(Captured::default()),
        (Some(written), _) => {
            let path = cx.beside(written);
            let keys = keys(cx, &at, &path, scheme)?;
            let path = Some(path);
            Some(Captured { path, keys })
        }
    }
}

fn keys(
    cx: &mut Context<'_>,
    at: &str,
    path: &std::path::Path,
    scheme: Option<&Scheme>,
) -> Option<Vec<Key>> {
    let bytes = match cx.files.read(path, MAX_BYTES, Purpose::Secret) {
        Ok(bytes) => Secret::new(bytes),
        Err(_) if !path.exists() => return Some(Vec::new()),
        Err(why) => {
            let message = format!("the secrets cannot be read from {}: {why}", path.display());
            cx.report.error(at, message);
            return None;
        }
    };
    let lines = bytes.expose().split(|byte| *byte == b'\n').enumerate();
    let lines = lines
        .map(|(number, line)| (number, line.trim_ascii()))
        .filter(|(_, line)| !line.is_empty());
    let mut keys = Vec::new();
    for (number, line) in lines.take(MAX_CAPTURED) {
        match scheme?.verifying_key(&Secret::new(line)) {
            Ok(key) => keys.push(key),
            Err(error) => {
                let (path, line) = (path.display(), number + 1);
                cx.report
                    .error(at, format!("line {line} of {path}: {error}"));
                return None;
            }
        }
    }
    Some(keys)
}
