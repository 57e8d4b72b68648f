//! Filters do what the Liquid documentation says: a table of whole templates, rendered as plain text, so that arguments
//! are counted, names looked up and literals read as in any template.
//!
//! `tests/cases/filters.json` holds for each filter rows of `[template, result]` or `[template, data, result]`; the result
//! `null` stands for an error, at load or at render. What a filter makes of values in JSON stands beside its code.

use std::collections::BTreeSet;

use ingate::template::{NoPartials, RenderLimits, Template, filters};
use serde_json::{Map, Value};

const CASES: &str = include_str!("../cases/filters.json");

fn cases() -> Map<String, Value> {
    serde_json::from_str(CASES).expect("the cases are JSON")
}

#[test]
fn filters_do_what_the_documentation_says() {
    let mut wrong = Vec::new();
    for (filter, rows) in cases() {
        for row in rows.as_array().expect("each filter has rows") {
            if let Err(why) = run(row) {
                wrong.push(format!("{filter}: {row}\n  {why}"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} rows:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn every_filter_has_cases() {
    let cases = cases();
    let told: BTreeSet<&str> = cases.keys().map(String::as_str).collect();
    assert_eq!(told, filters::names().collect());
    for (filter, rows) in &cases {
        let rows = rows.as_array().expect("each filter has rows");
        let named = |row: &Value| {
            row[0]
                .as_str()
                .is_some_and(|text| text.contains(&format!("| {filter}")))
        };
        assert!(rows.iter().all(named), "each row of {filter} uses it");
        let distinct: BTreeSet<String> = rows.iter().map(Value::to_string).collect();
        assert_eq!(distinct.len(), rows.len(), "a row of {filter} comes twice");
        assert!(
            rows.iter().any(|row| !result(row).is_null()),
            "{filter} works"
        );
        let fewest = filters::find(filter).expect("it is registered").arguments.0;
        assert!(rows.len() > 3 + fewest, "{filter} has few rows");
    }
}

fn result(row: &Value) -> &Value {
    row.as_array()
        .and_then(|row| row.last())
        .expect("a row ends with its result")
}

fn run(row: &Value) -> Result<(), String> {
    let template = row[0].as_str().expect("a row begins with its template");
    let none = Value::Object(Map::new());
    let data = if row.get(2).is_some() { &row[1] } else { &none };
    let limits = RenderLimits {
        output_bytes: 1 << 20,
    };
    let rendered = Template::compile_text("case", template, &NoPartials)
        .and_then(|compiled| compiled.render_text(data, limits));
    match (rendered, result(row).as_str()) {
        (Ok(text), Some(expected)) if text == expected => Ok(()),
        (Err(_), None) => Ok(()),
        (Ok(text), _) => Err(format!("gives {text:?}")),
        (Err(error), _) => Err(format!("fails: {error}")),
    }
}
