//! What can be told of a configuration that may be broken: where its store is, and how its operator's door is reached.
//!
//! For what is done with a daemon whose configuration is being mended. It reads up to the first mistake, and says
//! nothing of mistakes. Not here: the configuration itself (see `compile`).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::compile::{Context, DEFAULT_STORE, admin};
use super::scalar::expand;
use super::yaml::{Content, Node, live, parse_as_far};
use super::{Disk, Env, MAX_CONFIG_BYTES, read_text};
use crate::plan::AdminPlan;

/// The folder of the store: what the configuration says, else the default.
pub fn store_folder(config: &Path, env: &dyn Env) -> PathBuf {
    let root = root(config, env);
    let written = root.as_ref().and_then(|root| {
        let path = entry(entry(root, "store")?, "path")?;
        match &path.content {
            Content::Scalar(scalar) => Some(scalar.text.as_str()),
            _ => None,
        }
    });
    Context::new(config, env, Arc::new(Disk)).beside(written.unwrap_or(DEFAULT_STORE))
}

/// The operator's door: what the configuration says, else the default; `None` if what it says is wrong.
pub fn operator_door(config: &Path, env: &dyn Env) -> Option<AdminPlan> {
    let mut cx = Context::new(config, env, Arc::new(Disk));
    let root = root(config, env);
    let written = root.as_ref().and_then(|root| entry(root, "admin"));
    let file = match written {
        Some(node) => Some(cx.section(node, "admin")?),
        None => None,
    };
    admin(&mut cx, file.as_ref(), None).filter(|_| !cx.report.has_errors())
}

fn root(config: &Path, env: &dyn Env) -> Option<Node> {
    let text = read_text(&Disk, config, MAX_CONFIG_BYTES).ok()?;
    let mut root = parse_as_far(&text)?;
    expand(&mut root, "", env, &mut Vec::new());
    Some(root)
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
            ("store: {path: /x/y}\nroutes: [", "/x/y"),
            ("store:\n  path: ${T}\n  bad: {", "from-the-environment"),
            ("store: [", "data"),
            ("routes: [}", "data"),
            ("", "data"),
        ] {
            std::fs::write(&config, text).unwrap();
            let found = store_folder(&config, &env);
            assert_eq!(found, dir.path().join(wanted), "{text}");
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
            let found = operator_door(&config, &env).map(|plan| {
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
