//! Conformance: a file of cases in the manner of golden-liquid, rendered as plain text.
//!
//! `LIQUID_SUITE=FILE cargo test --test it liquid_suite -- --ignored --nocapture`
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout)]

use std::collections::BTreeMap;
use std::sync::Arc;

use ingate::template::{PartialText, Partials, RenderLimits, Template};
use serde_json::Value;

/// How many cases pass at least; raise it when more do.
const FLOOR: usize = 494;

/// The guide for authors, which names the cases that fail.
const GUIDE: &str = include_str!("../../templates/README.md");

struct Files<'a>(Option<&'a serde_json::Map<String, Value>>);

impl Partials for Files<'_> {
    fn find(&self, name: &str) -> Option<PartialText> {
        let text = self.0?.get(name)?.as_str()?;
        Some(PartialText {
            path: name.to_owned(),
            text: Arc::from(text),
        })
    }

    fn names(&self) -> Vec<String> {
        self.0
            .into_iter()
            .flatten()
            .map(|(k, _)| k.clone())
            .collect()
    }
}

#[test]
#[ignore = "needs a file of cases, named by LIQUID_SUITE"]
fn liquid_suite() {
    let path = std::env::var("LIQUID_SUITE").expect("LIQUID_SUITE names the file of cases");
    let text = std::fs::read_to_string(&path).expect("the file of cases is read");
    let suite: Value = serde_json::from_str(&text).expect("the file of cases is JSON");
    let cases = suite["tests"].as_array().expect("the file holds `tests`");
    let mut tags: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let mut passed = 0;
    let mut untold = Vec::new();
    for case in cases {
        let outcome = run(case);
        if let Err(why) = &outcome {
            let name = case["name"].as_str().unwrap_or("?");
            println!("failed: {name}: {why}");
            if !GUIDE.contains(&format!("`{name}`")) {
                untold.push(name);
            }
        }
        passed += usize::from(outcome.is_ok());
        let named = case["tags"].as_array().into_iter().flatten();
        for tag in named.filter_map(Value::as_str) {
            let row = tags.entry(tag.to_owned()).or_default();
            row.0 += usize::from(outcome.is_ok());
            row.1 += 1;
        }
    }
    for (tag, (passed, all)) in &tags {
        println!("{tag}: {passed} passed, {} failed", all - passed);
    }
    println!("liquid suite: {passed} of {}", cases.len());
    assert!(untold.is_empty(), "the guide does not name {untold:?}");
    assert!(
        passed >= FLOOR,
        "{passed} cases pass, fewer than the {FLOOR} of before"
    );
}

/// Runs one case; the error says what came instead of what was expected.
fn run(case: &Value) -> Result<(), String> {
    let template = case["template"].as_str().unwrap_or("");
    let globals = match &case["data"] {
        Value::Null => Value::Object(serde_json::Map::new()),
        data => data.clone(),
    };
    let limits = RenderLimits {
        output_bytes: 1 << 20,
    };
    let rendered = Template::compile_text("case", template, &Files(case["templates"].as_object()))
        .and_then(|compiled| compiled.render_text(&globals, limits));
    let expected: Vec<&str> = match &case["results"] {
        Value::Array(results) => results.iter().filter_map(Value::as_str).collect(),
        _ => case["result"].as_str().into_iter().collect(),
    };
    let invalid = case["invalid"].as_bool() == Some(true);
    match rendered {
        Ok(text) if invalid => Err(format!("it is not valid, but gave {text:?}")),
        Err(_) if invalid => Ok(()),
        Ok(text) if expected.contains(&text.as_str()) => Ok(()),
        Ok(text) => Err(format!("expected {expected:?}, found {text:?}")),
        Err(error) => Err(format!("expected {expected:?}, but: {error}")),
    }
}
