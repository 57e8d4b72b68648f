//! From the file to the plan.
//!
//! Two layers: `file` holds the shapes that serde reads, `compile` turns them into a [`Plan`]
//! with templates compiled, secrets resolved, schemes and policies checked. All errors are found at once, each
//! with file, line, path, a caret and what is known instead. Not here: running what is configured.
//!
//! The way: `yaml` reads the file into a tree that knows its places, `scalar` puts variables in, `shape` compares
//! the tree with the shapes, then every source, target and route is read and compiled on its own.

mod answer;
mod auth;
mod captured;
mod cases;
mod compile;
mod context;
mod egress;
mod error;
pub mod file;
mod files;
mod folder;
mod glimpse;
mod kept;
mod position;
mod report;
mod routes;
mod scalar;
mod scheme;
mod secrets;
mod shape;
mod sources;
mod store;
mod targets;
mod telemetry;
mod templates;
mod tls;
mod ways;
mod yaml;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use crate::plan::Plan;

pub use crate::plan::{RouteTest, TemplateFile};
pub use cases::{BODY_ENDING, EXPECTED_ENDING, HEADERS_ENDING, headers_text};
pub use error::{ConfigErrors, Diagnostic, Severity};
pub use file::schema;
pub use files::{Disk, FileKind, Files, Fingerprint, Input, Inputs, Purpose};
pub use folder::{Place, is_template_name};
pub use glimpse::{default_store, operator_door, store_folder, store_is_database};
pub use kept::{KeepError, Kept, KeptError, keep, load_kept};
pub use scheme::unknown_preset;
pub use templates::TemplateFolder;

use files::{Changed, Noting};
use report::Report;

/// Most bytes of a configuration file; a thousand routes are about a tenth of it.
const MAX_CONFIG_BYTES: u64 = 4 << 20;

/// The variables of the environment.
pub trait Env {
    /// The variable of this name; `None` if it is not set or not UTF-8.
    fn var(&self, name: &str) -> Option<String>;
}

/// The environment of the process.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessEnv;

impl Env for ProcessEnv {
    fn var(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

impl<F: Fn(&str) -> Option<String>> Env for F {
    fn var(&self, name: &str) -> Option<String> {
        self(name)
    }
}

/// A configuration that is right.
#[derive(Debug)]
pub struct Compiled {
    /// What the running parts see of it.
    pub plan: Plan,
    /// What is worth a look.
    pub warnings: Vec<Diagnostic>,
    /// The templates that routes name, each once, in the order of the routes.
    pub templates: Vec<TemplateFile>,
    /// The tests that routes declare, in the order of the routes.
    pub tests: Vec<RouteTest>,
    /// The folder of the templates.
    pub templates_dir: PathBuf,
    /// Secrets that stand in variables of the environment, which stay as they are while a process lives.
    pub env_secrets: Vec<EnvSecret>,
}

/// A secret that stands in a variable of the environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EnvSecret {
    /// Its path in the configuration, `sources.wreno.secrets[0].env`.
    pub path: String,
    /// The variable.
    pub variable: String,
}

/// Reads and compiles a configuration. Relative paths in it are relative to it.
///
/// # Errors
/// All that is wrong with it, also that it cannot be read at all.
pub fn load(path: &Path, env: &dyn Env) -> Result<Compiled, ConfigErrors> {
    load_from(path, env, Arc::new(Disk))
}

/// Reads and compiles a configuration, and tells what it read on the way, also if it is wrong.
pub fn load_noted(path: &Path, env: &dyn Env) -> (Result<Compiled, ConfigErrors>, Inputs) {
    let noting = Arc::new(Noting::new(Arc::new(Disk)));
    let loaded = load_from(path, env, Arc::clone(&noting) as Arc<dyn Files>);
    (loaded, noting.inputs())
}

/// Reads and compiles a configuration as it would be if these files, by their paths with all links followed, held these
/// bytes. What it reads is told with them.
pub fn load_changed(
    path: &Path,
    env: &dyn Env,
    changes: BTreeMap<PathBuf, Vec<u8>>,
) -> (Result<Compiled, ConfigErrors>, Inputs) {
    let changed = Arc::new(Changed::new(Arc::new(Disk), changes));
    let noting = Arc::new(Noting::new(changed));
    let loaded = load_from(path, env, Arc::clone(&noting) as Arc<dyn Files>);
    (loaded, noting.inputs())
}

/// Reads and compiles a configuration from files that may be others than those of this machine.
fn load_from(path: &Path, env: &dyn Env, files: Arc<dyn Files>) -> Result<Compiled, ConfigErrors> {
    let text = read_text(&*files, path, MAX_CONFIG_BYTES)
        .map_err(|message| Report::unreadable(path, &message).into_errors())?;
    compile::compile(path, &text, env, files)
}

/// The text of a file that is no secret; the error is words.
fn read_text(files: &dyn Files, path: &Path, most: u64) -> Result<String, String> {
    let bytes = files.read(path, most, Purpose::Open)?;
    String::from_utf8(bytes).map_err(|error| {
        let good = error
            .as_bytes()
            .get(..error.utf8_error().valid_up_to())
            .unwrap_or_default();
        let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("it is not UTF-8 (line {line})")
    })
}

/// Why a file cannot be read, as a person would say it.
pub(crate) fn in_words(error: std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "it may not be read (permission denied)".to_owned(),
        std::io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        _ => format!("it cannot be read ({error})"),
    }
}
