//! What all sections of the configuration need to be read: where errors go, how values are told, read and defaulted.
//!
//! Promise: whatever is wrong is reported with its place, and a default stands in, so that the rest is looked at, too.
//! Not here: which sections there are and what they mean (see `compile` and its like).

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::file::{SizeFile, schema};
use super::position::Positions;
use super::report::Report;
use super::shape::Shapes;
use super::yaml::{Content, Entry, Node, item, live, member};
use super::{Env, EnvSecret, Files};
use crate::id::NameError;
use crate::units::{parse_duration, parse_size};

pub(super) const KIB: u64 = 1 << 10;
pub(super) const MIB: u64 = 1 << 20;

/// What all sections need.
pub(super) struct Context<'a> {
    pub(super) report: Report,
    pub(super) env: &'a dyn Env,
    pub(super) files: Arc<dyn Files>,
    /// Secrets that were found in the environment.
    pub(super) env_secrets: Vec<EnvSecret>,
    /// The folder of the configuration.
    dir: PathBuf,
    pub(super) shapes: Shapes,
}

impl<'a> Context<'a> {
    /// Of a file in which no place is known yet.
    pub(super) fn new(path: &Path, env: &'a dyn Env, files: Arc<dyn Files>) -> Self {
        Self {
            report: Report::new(path, Positions::default()),
            env,
            files,
            env_secrets: Vec::new(),
            dir: path.parent().map(Path::to_path_buf).unwrap_or_default(),
            shapes: Shapes::new(schema()),
        }
    }

    /// A path of the configuration as a path from where the daemon runs.
    pub(super) fn beside(&self, text: &str) -> PathBuf {
        self.dir
            .join(text)
            .components()
            .filter(|part| *part != Component::CurDir)
            .collect()
    }

    /// A name; what is wrong with it is reported.
    pub(super) fn name<T: FromStr<Err = NameError>>(
        &mut self,
        path: &str,
        text: &str,
    ) -> Option<T> {
        text.parse()
            .map_err(|error: NameError| {
                self.report
                    .error(path, format!("{text:?} is no name: {error}"))
            })
            .ok()
    }

    /// A duration; where it is wrong that is reported and the default stands in.
    pub(super) fn duration(
        &mut self,
        path: &str,
        text: Option<&str>,
        default: Duration,
    ) -> Duration {
        let Some(text) = text else {
            return default;
        };
        parse_duration(text).unwrap_or_else(|error| {
            self.report.error(path, error.to_string());
            default
        })
    }

    /// A duration of more than nothing.
    pub(super) fn some_time(
        &mut self,
        path: &str,
        text: Option<&str>,
        default: Duration,
    ) -> Duration {
        let duration = self.duration(path, text, default);
        if duration.is_zero() {
            self.report
                .error(path, "a time limit of nothing lets nothing through");
        }
        duration
    }

    pub(super) fn size(
        &mut self,
        path: &str,
        written: Option<&SizeFile>,
        default: u64,
        range: std::ops::RangeInclusive<u64>,
    ) -> u64 {
        let Some(SizeFile(text)) = written else {
            return default;
        };
        match parse_size(text) {
            Ok(size) if range.contains(&size) => return size,
            Ok(size) if size < *range.start() => {
                let least = range.start();
                let least = in_units(*least);
                self.report.error(
                    path,
                    format!("{text} is too little: at least {least} is needed"),
                );
            }
            Ok(_) => {
                let most = in_units(*range.end());
                self.report.error(
                    path,
                    format!("{text} is too much: at most {most} is possible"),
                );
            }
            Err(error) => self.report.error(path, error.to_string()),
        }
        default
    }

    pub(super) fn address(
        &mut self,
        path: &str,
        text: Option<&str>,
        port: u16,
    ) -> Option<SocketAddr> {
        let Some(text) = text else {
            return Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        };
        match text.parse() {
            Ok(address) => Some(address),
            Err(_) => {
                self.report.error(
                    path,
                    format!("{text:?} is not an address with a port, such as 127.0.0.1:{port} or [::1]:{port}"),
                );
                None
            }
        }
    }

    /// Reads a section of the whole.
    pub(super) fn section<T: DeserializeOwned>(&mut self, node: &Node, name: &str) -> Option<T> {
        let schema = self.shapes.property(name).cloned().unwrap_or(Value::Null);
        self.read(node, &schema, name)
    }

    /// Reads a mapping, each member on its own.
    pub(super) fn members<T: DeserializeOwned>(
        &mut self,
        node: &Node,
        name: &str,
        definition: &str,
    ) -> Vec<(String, Option<T>)> {
        let Content::Map(entries) = &node.content else {
            // Tells what is wrong; nothing comes of it.
            let _: Option<BTreeMap<String, Value>> = self.section(node, name);
            return Vec::new();
        };
        let schema = self.shapes.definition(definition).clone();
        let read = |entry: &Entry| {
            let value = self.read(&entry.value, &schema, &member(name, &entry.key));
            (entry.key.clone(), value)
        };
        live(entries).map(read).collect()
    }

    /// Reads a list, each item on its own.
    pub(super) fn items<T: DeserializeOwned>(
        &mut self,
        node: &Node,
        name: &str,
        definition: &str,
    ) -> Vec<Option<T>> {
        let Content::List(nodes) = &node.content else {
            let _: Option<Vec<Value>> = self.section(node, name);
            return Vec::new();
        };
        let schema = self.shapes.definition(definition).clone();
        let read = |(i, node)| self.read(node, &schema, &item(name, i));
        nodes.iter().enumerate().map(read).collect()
    }

    /// Reads a node by its schema, then by serde; `None` where either found it wrong, or it is `null`.
    fn read<T: DeserializeOwned>(&mut self, node: &Node, schema: &Value, path: &str) -> Option<T> {
        let mut findings = Vec::new();
        let value = self.shapes.read(node, schema, path, false, &mut findings);
        self.report.findings(findings);
        let value = value.filter(|value| !value.is_null())?;
        match serde_path_to_error::deserialize(value) {
            Ok(read) => Some(read),
            Err(error) => {
                let inner = error.path().to_string();
                let at = match inner.as_str() {
                    "." | "" => path.to_owned(),
                    index if index.starts_with('[') => format!("{path}{index}"),
                    key => member(path, key),
                };
                self.report.error(&at, error.into_inner().to_string());
                None
            }
        }
    }
}

/// A size as it would be written in the file.
fn in_units(bytes: u64) -> String {
    match bytes {
        _ if bytes >= MIB && bytes.is_multiple_of(MIB) => format!("{}MiB", bytes / MIB),
        _ if bytes >= KIB && bytes.is_multiple_of(KIB) => format!("{}KiB", bytes / KIB),
        1 => "1 byte".to_owned(),
        _ => format!("{bytes} bytes"),
    }
}
