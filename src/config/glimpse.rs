//! What can be told of a configuration that may be broken: where its store is, and how its operator's door is reached.
//!
//! For what is done with a daemon whose configuration is being mended. It reads up to the first mistake, and says
//! nothing of mistakes. Not here: the configuration itself (see `compile`).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::compile::admin;
use super::context::Context;
use super::error::ConfigErrors;
use super::scalar::expand;
use super::store::DEFAULT_STORE;
use super::yaml::{Content, Node, live, parse_as_far};
use super::{Disk, Env, Files, MAX_CONFIG_BYTES, Purpose};
use crate::plan::AdminPlan;

/// The folder of the store: what the configuration says; `None` if it does not say so, or cannot be read as far.
pub fn store_folder(config: &Path, env: &dyn Env) -> Option<PathBuf> {
    let text = text(config)?;
    let written = stores(&text).find_map(|mut root| {
        expand(&mut root, "", env, &mut Vec::new());
        match &entry(entry(&root, "store")?, "path")?.content {
            Content::Scalar(scalar) => Some(scalar.text.clone()),
            _ => None,
        }
    })?;
    Some(Context::new(config, env, Arc::new(Disk)).beside(&written))
}

/// Whether the store is in a database, as far as the configuration can be read.
pub fn store_is_database(config: &Path, env: &dyn Env) -> bool {
    let Some(text) = text(config) else {
        return false;
    };
    stores(&text).any(|mut root| {
        expand(&mut root, "", env, &mut Vec::new());
        entry(&root, "store").is_some_and(|store| entry(store, "postgres").is_some())
    })
}

/// The folder of the store where the configuration says nothing of it.
pub fn default_store(config: &Path, env: &dyn Env) -> PathBuf {
    Context::new(config, env, Arc::new(Disk)).beside(DEFAULT_STORE)
}

/// Trees in which the store may stand: that of the whole text, up to its first mistake, and those of what begins with
/// each line that begins with it, since mistakes may stand before.
fn stores(text: &str) -> impl Iterator<Item = Node> {
    let whole = std::iter::once(text);
    let lines = text.match_indices("store:").filter_map(move |(at, _)| {
        let before = text.get(..at)?;
        (before.is_empty() || before.ends_with('\n')).then_some(text.get(at..)?)
    });
    whole.chain(lines).filter_map(parse_as_far)
}

/// The operator's door: what the configuration says, else the default.
///
/// # Errors
/// What is wrong with what it says.
pub fn operator_door(config: &Path, env: &dyn Env) -> Result<AdminPlan, ConfigErrors> {
    let mut cx = Context::new(config, env, Arc::new(Disk));
    let root = root(config, env);
    let written = root.as_ref().and_then(|root| entry(root, "admin"));
    let file = written.and_then(|node| cx.section(node, "admin"));
    match admin(&mut cx, file.as_ref(), None) {
        Some(plan) if !cx.report.has_errors() => Ok(plan),
        _ => Err(cx.report.into_errors()),
    }
}

fn root(config: &Path, env: &dyn Env) -> Option<Node> {
    let mut root = parse_as_far(&text(config)?)?;
    expand(&mut root, "", env, &mut Vec::new());
    Some(root)
}

/// The text, as far as it is one.
fn text(config: &Path) -> Option<String> {
    let bytes = Disk.read(config, MAX_CONFIG_BYTES, Purpose::Open).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn entry<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
    match &node.content {
        Content::Map(entries) => live(entries)
            .find(|entry| entry.key == key)
            .map(|entry| &entry.value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        (name == "T").then(|| "from-the-environment".to_owned())
    }

    #[test]
    fn the_store_is_found_in_a_file_that_breaks_off() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("config.yaml");
        for (text, wanted) in [
            ("store: {path: /x/y}\nroutes: [", Some("/x/y")),
            (
                "store:\n  path: ${T}\n  bad: {",
                Some("from-the-environment"),
            ),
            ("routes: [}\n}\nstore: {path: /x/y}\n", Some("/x/y")),
            ("}\nlisten: [\nstore:\n  path: /x/y\nx: 1\n", Some("/x/y")),
            ("# \u{fffd}\nstore: {path: /x/y}\n", Some("/x/y")),
            ("restore: {path: /x/y}", None),
            ("store: [", None),
            ("routes: [}", None),
            ("", None),
        ] {
            std::fs::write(&config, text).unwrap();
            let found = store_folder(&config, &env);
            assert_eq!(found, wanted.map(|path| dir.path().join(path)), "{text}");
        }
    }

    #[test]
    fn the_door_is_found_in_a_file_that_breaks_off() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("config.yaml");
        for (text, wanted) in [
            ("", Some(("127.0.0.1:8081", None))),
            ("sources: {", Some(("127.0.0.1:8081", None))),
            (
                "admin: {listen: 0.0.0.0:9, token: {env: T}}\nroutes: 5\nx: [",
                Some(("0.0.0.0:9", Some("from-the-environment"))),
            ),
            ("admin: {listen: nowhere}\nx: [", None),
            ("admin: {token: {env: NOT_SET}}", None),
        ] {
            std::fs::write(&config, text).unwrap();
            let found = operator_door(&config, &env).ok().map(|plan| {
                let token = plan.token.map(|token| token.expose().to_vec());
                (plan.listen.to_string(), token)
            });
            let wanted = wanted.map(|(listen, token): (&str, Option<&str>)| {
                (
                    listen.to_owned(),
                    token.map(|token| token.as_bytes().to_vec()),
                )
            });
            assert_eq!(found, wanted, "{text}");
        }
    }
}
