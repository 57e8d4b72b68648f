//! The last good configuration: copies of what a load read, from which the daemon can start when the files
//! themselves are broken.
//!
//! Promise: no secret is in a copy. Secrets that come from the environment, files and credentials are named in the
//! configuration and read anew from there; those that stand in the configuration itself are left out, and are taken from the
//! file as it is now, as far as it can be read. Copies replace older ones in one step, also through a power cut.
//! Not here: when to keep and when to fall back (see `reload` and `cli::run`).

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::ConfigErrors;
use super::position::{has_credentials, holds_secret};
use super::yaml::{Content, Entry, Node, Scalar, item, live, member, parse, parse_as_far};
use super::{Compiled, Disk, Env, FileKind, Files, Input, Inputs, MAX_CONFIG_BYTES, Purpose};
use super::{load_from, read_text};
use crate::plan::LAST_GOOD;

/// What the copies are, in their folder; written last.
const MANIFEST: &str = "manifest.json";

/// The version of the manifest that is written.
const VERSION: u32 = 1;

/// Most bytes of a manifest and of a copy.
const MOST_BYTES: u64 = 65 << 20;

/// Words in the names of headers whose values are kept out like secrets.
const CREDENTIAL_WORDS: [&str; 7] = [
    "auth",
    "token",
    "secret",
    "key",
    "password",
    "cookie",
    "signature",
];

/// Why a configuration could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// The disk said no.
    #[error("the last good configuration cannot be kept in {}", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is written in a way that cannot be copied without its secrets.
    #[error("the configuration cannot be copied without its secrets")]
    Form,
}

/// Why there is no last good configuration to start with.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// None was kept.
    #[error("no last good configuration is kept in {}", .0.display())]
    None(PathBuf),
    /// It is that of another file.
    #[error("the last good configuration in {} is that of {}", folder.display(), config.display())]
    Other {
        /// Where it is kept.
        folder: PathBuf,
        /// Whose it is.
        config: PathBuf,
    },
    /// What is kept cannot be used.
    #[error("the last good configuration in {} is damaged: {why}", folder.display())]
    Damaged {
        /// Where it is kept.
        folder: PathBuf,
        /// Why.
        why: String,
    },
    /// Secrets that stood in the configuration itself are not there any more.
    #[error("secrets that stood in the configuration itself are not kept, and it cannot be read any more as far as: {}", .0.join(", "))]
    Secrets(Vec<String>),
    /// It does not compile any more.
    #[error("the last good configuration does not compile any more")]
    Broken(#[source] ConfigErrors),
}

/// A configuration that was kept.
#[derive(Debug)]
pub struct Kept {
    /// What it compiles to.
    pub compiled: Compiled,
    /// When it was kept.
    pub kept_at: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    version: u32,
    /// The configuration file.
    config: PathBuf,
    kept_at: String,
    /// Paths and the names of their copies; folders have none.
    files: BTreeMap<PathBuf, Option<String>>,
    /// YAML paths whose values are not in the copy.
    kept_out: Vec<String>,
}

/// Keeps what a good load of `config` read, in `store`, in place of what was kept before.
///
/// # Errors
/// If the disk says no or a secret cannot be told from the rest; what was kept before stays.
pub fn keep(store: &Path, config: &Path, inputs: &Inputs, now: Timestamp) -> Result<(), KeepError> {
    let folder = store.join(LAST_GOOD);
    let failed = |source| KeepError::Io {
        path: folder.clone(),
        source,
    };
    let mut manifest = Manifest {
        version: VERSION,
        config: absolute(config),
        kept_at: now.to_string(),
        files: BTreeMap::new(),
        kept_out: Vec::new(),
    };
    let new = folder.with_extension("new");
    remove(&new).map_err(failed)?;
    DirBuilder::new().mode(0o700).create(&new).map_err(failed)?;
    for (number, (path, input)) in inputs.iter().enumerate() {
        let name = match input {
            Input::File {
                bytes: Some(bytes), ..
            } => {
                let name = format!("{number:04}");
                let text = if path == config {
                    without_secrets(bytes, &mut manifest.kept_out).ok_or(KeepError::Form)?
                } else {
                    bytes.clone()
                };
                write(&new.join(&name), &text).map_err(failed)?;
                Some(name)
            }
            Input::Folder | Input::Listing { .. } => None,
            Input::Nothing | Input::File { bytes: None, .. } => continue,
        };
        manifest.files.insert(absolute(path), name);
    }
    let text = serde_json::to_vec_pretty(&manifest).map_err(|error| failed(error.into()))?;
    write(&new.join(MANIFEST), &text).map_err(failed)?;
    replace(&folder, &new).map_err(failed)
}

/// The configuration of this file that was kept last in `store`.
///
/// # Errors
/// Why there is none that can be used.
pub fn load_kept(store: &Path, config: &Path, env: &dyn Env) -> Result<Kept, KeptError> {
    let folder = store.join(LAST_GOOD);
    // Between two renames only the older one is there.
    let old = folder.with_extension("old");
    let used = [&folder, &old]
        .into_iter()
        .find(|folder| folder.join(MANIFEST).is_file())
        .ok_or_else(|| KeptError::None(folder.clone()))?;
    let damaged = |why: String| KeptError::Damaged {
        folder: used.clone(),
        why,
    };
    let read = |name: &str| {
        let path = used.join(name);
        let read = Disk.read(&path, MOST_BYTES, Purpose::Open);
        read.map_err(|why| damaged(format!("{}: {why}", path.display())))
    };
    let manifest: Manifest =
        serde_json::from_slice(&read(MANIFEST)?).map_err(|error| damaged(error.to_string()))?;
    if manifest.version > VERSION {
        return Err(damaged(format!("it has version {}", manifest.version)));
    }
    if manifest.config != absolute(config) {
        return Err(KeptError::Other {
            folder: used.clone(),
            config: manifest.config,
        });
    }
    let mut files = Copies::default();
    for (path, name) in manifest.files {
        let bytes = name.map(|name| read(&name)).transpose()?;
        files.0.insert(path, bytes);
    }
    let whole = with_secrets(&files, config, &manifest.kept_out)?;
    files.0.insert(absolute(config), Some(whole.into_bytes()));
    let compiled = load_from(config, env, Arc::new(files)).map_err(KeptError::Broken)?;
    let kept_at = manifest.kept_at;
    Ok(Kept { compiled, kept_at })
}

/// The files of a configuration that was kept; secrets are those of this machine.
#[derive(Debug, Default)]
struct Copies(BTreeMap<PathBuf, Option<Vec<u8>>>);

impl Files for Copies {
    fn read(&self, path: &Path, most: u64, purpose: Purpose) -> Result<Vec<u8>, String> {
        match self.0.get(&absolute(path)) {
            _ if purpose == Purpose::Secret => Disk.read(path, most, purpose),
            Some(Some(bytes)) => Ok(bytes.clone()),
            Some(None) => Err("it is a folder".to_owned()),
            None => Err("no copy of it was kept".to_owned()),
        }
    }

    fn kind(&self, path: &Path) -> Option<FileKind> {
        let path = absolute(path);
        match self.0.get(&path) {
            Some(Some(_)) => Some(FileKind::File),
            Some(None) => Some(FileKind::Folder),
            None => {
                let holds = self.0.keys().any(|known| known.starts_with(&path));
                holds.then_some(FileKind::Folder)
            }
        }
    }

    fn real(&self, path: &Path) -> Option<PathBuf> {
        self.kind(path).map(|_| absolute(path))
    }

    fn names(&self, folder: &Path) -> Vec<String> {
        let folder = absolute(folder);
        let inside = self.0.keys().filter_map(|path| {
            let first = path.strip_prefix(&folder).ok()?.components().next()?;
            Some(first.as_os_str().to_str()?.to_owned())
        });
        let mut names: Vec<String> = inside.collect();
        names.dedup();
        names
    }
}

/// The configuration without secrets; `None` if that cannot be had. Adds where they stood.
fn without_secrets(text: &[u8], kept_out: &mut Vec<String>) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?;
    let mut root = parse(text).ok()?.root;
    blank(&mut root, "", false, kept_out);
    let written = written(&root);
    // What is written must mean the same.
    let again = parse(&written).ok()?.root;
    (scalars(&again) == scalars(&root)).then(|| written.into_bytes())
}

/// The copy of the configuration with the secrets that it lacks, from the file as it is now.
fn with_secrets(files: &Copies, config: &Path, kept_out: &[String]) -> Result<String, KeptError> {
    let damaged = |why: &str| KeptError::Damaged {
        folder: config.to_owned(),
        why: why.to_owned(),
    };
    let copy = read_text(files, config, MAX_CONFIG_BYTES).map_err(|why| damaged(&why))?;
    let mut root = parse(&copy).map_err(|error| damaged(&error.message))?.root;
    if kept_out.is_empty() {
        return Ok(copy);
    }
    let now = Disk.read(config, MAX_CONFIG_BYTES, Purpose::Open).ok();
    let now = now.and_then(|text| parse_as_far(&String::from_utf8_lossy(&text)));
    let mut missing = Vec::new();
    for path in kept_out {
        // Secrets of a list stand for each other, and a new one comes first: the whole list is as it is now.
        let list = |name: &str| path.rfind(&format!("{name}[")).map(|at| at + name.len());
        let whole = list(".secrets").or_else(|| list(".tokens"));
        let wanted = whole.and_then(|end| path.get(..end)).unwrap_or(path);
        match now.as_ref().and_then(|root| find(root, "", wanted)) {
            Some(node) => put(&mut root, "", wanted, node),
            None => missing.push(path.clone()),
        }
    }
    if missing.is_empty() {
        Ok(written(&root))
    } else {
        Err(KeptError::Secrets(missing))
    }
}

/// Empties the scalars that are secrets, and adds their paths.
fn blank(node: &mut Node, path: &str, secret: bool, out: &mut Vec<String>) {
    match &mut node.content {
        Content::Scalar(scalar) => {
            if secret || has_credentials(&scalar.text) {
                out.push(path.to_owned());
                scalar.text.clear();
                scalar.plain = false;
            }
        }
        Content::List(items) => {
            for (i, child) in items.iter_mut().enumerate() {
                blank(child, &item(path, i), secret, out);
            }
        }
        Content::Map(entries) => {
            for Entry { key, value, .. } in entries {
                let inner = member(path, key);
                let secret = match plain_header(path, key, value) {
                    true => false,
                    false => holds_secret(path, key, secret),
                };
                blank(value, &inner, secret, out);
            }
        }
    }
}

/// Whether this is a header of a target whose value tells nothing, by its name.
fn plain_header(path: &str, key: &str, value: &Node) -> bool {
    let name = key.to_ascii_lowercase();
    path.starts_with("targets.")
        && path.ends_with(".headers")
        && matches!(value.content, Content::Scalar(_))
        && !CREDENTIAL_WORDS.iter().any(|word| name.contains(word))
}

/// All scalars by their paths.
fn scalars(root: &Node) -> BTreeMap<String, Scalar> {
    fn walk(node: &Node, path: &str, out: &mut BTreeMap<String, Scalar>) {
        match &node.content {
            Content::Scalar(scalar) => {
                out.insert(path.to_owned(), scalar.clone());
            }
            Content::List(items) => {
                for (i, child) in items.iter().enumerate() {
                    walk(child, &item(path, i), out);
                }
            }
            Content::Map(entries) => {
                for entry in live(entries) {
                    walk(&entry.value, &member(path, &entry.key), out);
                }
            }
        }
    }
    let mut out = BTreeMap::new();
    walk(root, "", &mut out);
    out
}

/// What stands at a path.
fn find<'a>(node: &'a Node, path: &str, wanted: &str) -> Option<&'a Node> {
    if path == wanted {
        return Some(node);
    }
    match &node.content {
        Content::Scalar(_) => None,
        Content::List(items) => items
            .iter()
            .enumerate()
            .find_map(|(i, child)| find(child, &item(path, i), wanted)),
        Content::Map(entries) => {
            live(entries).find_map(|entry| find(&entry.value, &member(path, &entry.key), wanted))
        }
    }
}

/// Puts a node where `wanted` is.
fn put(node: &mut Node, path: &str, wanted: &str, new: &Node) {
    if path == wanted {
        *node = new.clone();
        return;
    }
    match &mut node.content {
        Content::Scalar(_) => {}
        Content::List(items) => {
            for (i, child) in items.iter_mut().enumerate() {
                put(child, &item(path, i), wanted, new);
            }
        }
        Content::Map(entries) => {
            for entry in entries {
                put(&mut entry.value, &member(path, &entry.key), wanted, new);
            }
        }
    }
}

/// A tree as YAML, in blocks. Plain scalars stay plain, since they may be numbers or name variables.
fn written(root: &Node) -> String {
    let mut out = String::new();
    write_node(root, 0, &mut out);
    out
}

fn write_node(node: &Node, indent: usize, out: &mut String) {
    let space = "  ".repeat(indent);
    match &node.content {
        Content::Scalar(scalar) => out.push_str(&format!("{space}{}\n", scalar_text(scalar))),
        Content::List(items) => {
            for child in items {
                out.push_str(&format!("{space}-"));
                write_value(child, indent, out);
            }
        }
        Content::Map(entries) => {
            for entry in live(entries) {
                out.push_str(&format!("{space}{}:", quoted(&entry.key)));
                write_value(&entry.value, indent, out);
            }
        }
    }
}

/// What follows a `-` or a key.
fn write_value(node: &Node, indent: usize, out: &mut String) {
    match &node.content {
        Content::Scalar(scalar) => out.push_str(&format!(" {}\n", scalar_text(scalar))),
        Content::List(items) if items.is_empty() => out.push_str(" []\n"),
        Content::Map(entries) if entries.is_empty() => out.push_str(" {}\n"),
        Content::List(_) | Content::Map(_) => {
            out.push('\n');
            write_node(node, indent + 1, out);
        }
    }
}

fn scalar_text(scalar: &Scalar) -> String {
    if scalar.plain && !scalar.text.contains('\n') {
        scalar.text.clone()
    } else {
        quoted(&scalar.text)
    }
}

/// A text in double quotes; what JSON escapes YAML reads the same.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Puts `new` in the place of `folder`; a crash leaves one of the two, or the older one beside it.
fn replace(folder: &Path, new: &Path) -> io::Result<()> {
    let old = folder.with_extension("old");
    let sync = |path: &Path| File::open(path)?.sync_all();
    sync(new)?;
    if folder.exists() {
        remove(&old)?;
        std::fs::rename(folder, &old)?;
    }
    std::fs::rename(new, folder)?;
    folder.parent().map_or(Ok(()), sync)?;
    remove(&old)
}

fn remove(folder: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
