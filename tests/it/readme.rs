//! What the README shows is what happens.

use std::path::Path;

use ingate::config;
use ingate::template::{EventFacts, Scene};
use serde_json::Value;

use crate::process::{data, ingate};

struct Secrets;

impl config::Env for Secrets {
    fn var(&self, name: &str) -> Option<String> {
        let known = ["WRENO_SECRET", "ERP_SECRET"].contains(&name);
        known.then(|| "whsec_cmVhZG1lLXRlc3Qtc2VjcmV0LTAwMDAwMDAwMQ==".to_owned())
    }
}

/// The fenced blocks of one language, in order.
fn blocks(language: &str) -> Vec<String> {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = std::fs::read_to_string(readme).unwrap();
    text.split(&format!("```{language}\n"))
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap().to_owned())
        .collect()
}

#[test]
fn the_sample_of_the_readme_is_true() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("templates")).unwrap();
    std::fs::write(
        folder.path().join("templates/vendor.json.liquid"),
        &blocks("liquid")[0],
    )
    .unwrap();
    let yaml = &blocks("yaml")[0];
    assert_eq!(yaml.lines().count(), 10, "the README says ten lines");
    let path = folder.path().join("config.yaml");
    std::fs::write(&path, yaml).unwrap();
    let compiled = config::load(&path, &Secrets).unwrap_or_else(|errors| panic!("{errors}"));
    let route = &compiled.plan.router.routes()[0];
    let json = blocks("json");
    let payload: Value = serde_json::from_str(&json[0]).unwrap();
    let scene = Scene {
        payload: (&payload).into(),
        event: EventFacts {
            id: "0",
            message_id: None,
            source: "wreno",
            event_type: "vendor.compliance.update",
            received_at: "2026-01-05T10:00:00Z".parse().unwrap(),
        },
        headers: &[],
        route: "vendor-updates",
        target: "erp",
        vars: &compiled.plan.vars,
    };
    let rendered = route
        .template
        .as_ref()
        .unwrap()
        .render(&scene, compiled.plan.render)
        .unwrap();
    assert_eq!(String::from_utf8(rendered.body).unwrap(), json[1].trim());
    assert_eq!(rendered.repairs, []);
}

#[test]
fn every_promise_of_the_readme_has_its_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let tests = std::fs::read_to_string(root.join("tests/it/promises.rs")).unwrap();
    let section = readme.split("## Promises").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let names: Vec<&str> = section
        .split("(`")
        .skip(1)
        .map(|rest| rest.split("`)").next().unwrap())
        .filter(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
        .collect();
    assert_eq!(names.len(), section.matches("**").count() / 2, "{names:?}");
    for name in names {
        assert!(tests.contains(&format!("fn {name}()")), "{name}");
    }
}

#[test]
fn the_readme_knows_every_command() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let help = data(&ingate(&["--help"]));
    let listed = help.split("Commands:\n").nth(1).unwrap();
    let commands: Vec<&str> = listed
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert!(commands.len() > 9, "{commands:?}");
    for command in commands {
        assert!(readme.contains(&format!("`ingate {command}")), "{command}");
    }
}

#[test]
fn the_table_of_vendors_is_what_is_done() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let (_, rest) = readme.split_once("writes this table -->\n").unwrap();
    let (table, _) = rest.split_once("<!-- end of vendors -->").unwrap();
    let wanted = data(&ingate(&["vendors", "--markdown"]));
    assert_eq!(
        table, wanted,
        "put the output of `ingate vendors --markdown` into the README"
    );
}
