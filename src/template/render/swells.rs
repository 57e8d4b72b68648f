//! Work that hides behind few steps: large values that filters and tags look into again and again. Each ends in an error
//! that names a bound, since bytes are counted, not time.

use serde_json::{Value as Json, json};

use super::attacks::on_small_stack;
use super::fuel::Fuel;
use super::json_with;
use super::tests::{files, render, render_all};
use crate::json::Document;
use crate::template::{EventFacts, Scene, Template, TemplateError, limits};

/// Many times the same object: arrays of made values hold what they share once, and filters would read it each time.
const MANY: &str =
    "{% assign a = payload.o %}{% for i in (1..15) %}{% assign a = a | concat: a %}{% endfor %}";

fn payload() -> Json {
    let text = "x".repeat(200_000);
    let digits = "9".repeat(200_000);
    let nils = vec![Json::Null; 20_000];
    let empties = vec![json!([]); 20_000];
    let mut almost = empties.clone();
    almost.push(json!(1));
    let empties = [empties, vec![json!([])]].concat();
    let strings: Vec<String> = (0..20).map(|n| format!("{text}{n}")).collect();
    let object = format!(
        r#"{{"text": "{text}", "number": {digits}, "nils": {}, "empties": {}, "almost": {}, "zeros": "{}"}}"#,
        json!(nils),
        json!(empties),
        json!(almost),
        "0".repeat(200_000)
    );
    let payload = format!(
        r#"{{"o": [{object}], "strings": {}, "text": "{text}", "other": "{text}", "number": {digits}}}"#,
        json!(strings)
    );
    serde_json::from_str(&payload).unwrap()
}

/// A sixteenth of what a render may use: what is counted ends soon, what is not does not.
fn little() -> Fuel {
    Fuel::new(limits::STEPS / 16, limits::BYTES / 16)
}

pub fn error_over(template: &str, payload: &Json) -> TemplateError {
    let compiled = Template::compile("t.liquid", template, &files(&[])).unwrap();
    let document = Document::from(payload);
    let scene = Scene {
        payload: document.root().into(),
        event: EventFacts {
            id: "0",
            message_id: None,
            source: "s",
            event_type: "t",
            received_at: "2026-02-03T04:05:06Z".parse().unwrap(),
        },
        headers: &[],
        route: "r",
        target: "t",
        vars: &serde_json::Map::new(),
    };
    match json_with(&compiled.compiled, &scene, 1 << 20, little()) {
        Err(error) => error,
        Ok((body, _)) => panic!("{template}: {} bytes", body.len()),
    }
}

fn error(template: &str, payload: &str) -> TemplateError {
    error_over(template, &serde_json::from_str(payload).unwrap())
}

pub fn bounded(error: &TemplateError, template: &str) {
    let bounds = ["bytes", "steps"];
    assert!(
        bounds.iter().any(|bound| error.message.contains(bound)),
        "{template}: {error}"
    );
    assert!(error.line > 0 && !error.source_line.is_empty(), "{error:?}");
}

#[test]
fn filters_that_look_into_items() {
    let payload = payload();
    for row in [
        "{% assign b = a | uniq | size %}",
        "{% assign b = a | map: 'text' | uniq | size %}",
        "{% assign b = a | map: 'number' | uniq | size %}",
        "{% assign b = a | map: 'text' | sort | size %}",
        "{% assign b = a | sort: 'text' | size %}",
        "{% assign b = a | map: 'number' | sort | size %}",
        "{% assign b = a | sort_natural: 'text' | size %}",
        "{% assign b = a | where: 'text', payload.text | size %}",
        "{% assign b = a | reject: 'empties', payload.o[0].almost | size %}",
        "{% assign b = a | find: 'empties', payload.o[0].almost %}",
        "{% assign b = a | find_index: 'text', payload.strings[0] | size %}{% for i in (1..90000) %}{% assign b = a | has: 'empties', payload.o[0].nils %}{% endfor %}",
        "{% assign b = a | map: 'text' | where: 'y' | size %}",
        "{% assign b = a | map: 'text' | map: 199999 | size %}",
        "{% assign b = a | map: 'nils' | compact | size %}",
        "{% assign b = a | map: 'empties' | compact | size %}",
        "{% assign b = a | map: 'empties' | first %}{% assign b = a | map: 'empties' | reverse | size %}",
        "{% assign b = a | map: 'empties' | join: '' | size %}",
        "{% assign b = a | sum: 'nils' %}",
        "{% assign b = a | sum: 'zeros' %}",
        "{% assign b = a | map: 'zeros' | sum %}",
        "{% assign b = a | json %}",
        "{% assign b = a | map: 'nils' %}{% capture c %}{{ b }}{% endcapture %}",
        "{% assign b = a | map: 'empties' %}{% capture c %}{{ b }}{% endcapture %}",
        "{% assign b = a | map: 'nils' %}{% ifchanged %}{{ b }}{% endifchanged %}",
        "{% if a == a %}{% endif %}",
        "{% if a contains payload.strings %}{% endif %}{% for i in (1..90000) %}{% if a contains payload.o[0] %}{% endif %}{% if a == a %}{% endif %}{% endfor %}",
    ] {
        let template = format!("{MANY}{row}1");
        bounded(&error_over(&template, &payload), row);
    }
}

/// What is turned into text where only a name or a part of a text is needed.
#[test]
fn values_that_are_put_together() {
    let payload = payload();
    for row in [
        "{% cycle a: 1 %}",
        "{{ [a] }}",
        "{% assign b = payload.text | remove: a %}",
        "{% assign b = payload.text | append: a %}",
        "{% assign b = 'x' | split: a %}",
        "{% assign b = payload.strings | join: a %}",
        "{% assign b = 'x' | date: a %}",
        "{% assign b = a | truncate: 5 %}",
        "{% assign b = a | url_encode %}",
        "\"{{ a }}\"",
        "{ {{ payload.text }}: {{ a }} }",
    ] {
        let template = format!("{MANY}{row}");
        bounded(&error_over(&template, &payload), row);
    }
}

/// Nothing large is kept, but it is read in every round.
#[test]
fn loops_over_large_values() {
    let payload = payload();
    let rounds = "{% for i in (1..90000) %}{% for j in (1..10) %}";
    for row in [
        "{% if payload.text < payload.other %}{% endif %}",
        "{% if payload.text == payload.other %}{% endif %}",
        "{% if payload.number > payload.number %}{% endif %}",
        "{% if payload.number == 1 %}{% endif %}",
        "{% if payload.text == blank %}{% endif %}",
        "{% if payload.text contains 'y' %}{% endif %}",
        "{% case payload.text %}{% when payload.other, payload.other %}{% endcase %}",
        "{% assign b = payload[payload.text] %}",
        "{% assign b = payload.strings[payload.number] %}",
        "{% assign b = [payload.text] %}",
        "{% assign b = payload.strings | sort_natural | size %}",
        "{% assign b = payload.strings | where: 'y' | size %}",
        "{% assign b = payload.strings | uniq | size %}",
        "{% assign b = payload.text | remove: payload.strings %}",
        "{% assign b = payload.text | slice: -1 %}",
        "{% assign b = payload.number | at_least: 1 %}",
        "{% assign b = payload.o | map: 'nils' | compact | size %}",
        "{% capture b %}{{ payload.o[0].nils }}{% endcapture %}",
        "{% ifchanged %}{{ payload.o[0].nils }}{% endifchanged %}",
        "{% assign f = forloop %}{% assign f = forloop.parentloop %}",
        "{% cycle payload.strings[0]: 1 %}",
    ] {
        let template = format!("{rounds}{row}{{% endfor %}}{{% endfor %}}1");
        let error = error_over(&template, &payload);
        if !row.starts_with("{% cycle") {
            bounded(&error, row);
        }
    }
}

/// Tags as long as they may be cost as many steps as they have parts.
#[test]
fn long_tags_in_loops() {
    let long = |first: &str, more: &str| format!("{first}{}", more.repeat(2_400));
    for row in [
        long("{% if false", " or false") + " %}{% endif %}",
        long("{% if x", " or y") + " %}{% endif %}",
        long("{% case 1 %}{% when 2", ", 3") + " %}{% endcase %}",
        "{% case 1 %}".to_owned() + &"{% when 2 %}".repeat(3_000) + "{% endcase %}",
    ] {
        let short: String = row.chars().take(30).collect();
        let template = format!("{{% for i in (1..90000) %}}{row}{{% endfor %}}1");
        let error = error(&template, "{}");
        assert!(error.message.contains("steps"), "{short}: {error}");
    }
    let written = format!("{{% cycle '{}' %}}", "x".repeat(900_000));
    let error = error(
        &format!("{{% for i in (1..90000) %}}{written}{{% endfor %}}"),
        "{}",
    );
    assert!(error.message.contains("group"), "{error}");
}

/// Numbers of many digits: what they cost grows with the digits.
#[test]
fn arithmetic_without_end() {
    let digits = "7".repeat(450);
    let payload = format!(r#"{{"n": {digits}.5, "m": 0.{digits}}}"#);
    for filter in ["times", "divided_by", "modulo", "plus", "at_most"] {
        let row = format!("{{% assign b = payload.n | {filter}: payload.m %}}");
        let template = format!(
            "{{% for i in (1..90000) %}}{}{{% endfor %}}1",
            row.repeat(10)
        );
        bounded(&error(&template, &payload), filter);
    }
    let squares =
        "{% assign b = 7 %}{% for i in (1..60) %}{% assign b = b | times: b %}{% endfor %}1";
    let error = error(squares, "{}");
    assert!(error.message.contains("digits"), "{error}");
}

#[test]
fn partials_that_double() {
    on_small_stack(|| {
        let names = [
            "p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8", "p9", "p10", "p11", "p12", "p13",
            "p14",
        ];
        let mut partials = files(&[]);
        for (at, name) in names.into_iter().enumerate() {
            let calls = match names.get(at + 1) {
                Some(next) => format!("{{% render '{next}' %}}").repeat(8),
                None => String::new(),
            };
            partials.0.push((name, calls));
        }
        let error = render_all("{% render 'p0' %}1", "{}", &partials).unwrap_err();
        assert!(error.message.contains("steps"), "{error}");
        let echo = "{% capture s %}{{ s }}{{ s }}{% endcapture %}{% include 'self' %}";
        let partials = files(&[("self", echo)]);
        let error = render_all("{% assign s = 'a' %}{% include 'self' %}", "{}", &partials);
        assert!(error.unwrap_err().message.contains("deep"));
    });
}

/// At load: what is long is looked at once.
#[test]
fn long_names_at_load() {
    let long = "x".repeat(1_000_000);
    let many: String = (0..40_000)
        .map(|n| format!("{{% render 'p{n}' %}}"))
        .collect();
    let arguments = ", a: 1".repeat(limits::CALL_ARGUMENTS + 1);
    let rows = [
        (format!("{{{{ 1 | {long} }}}}"), "name is longer"),
        (format!("{{% {long} %}}"), "there is no tag"),
        (format!("{{% render '{long}' %}}"), "there is no partial"),
        (many, "partials"),
        (format!("{{% render 'p'{arguments} %}}"), "arguments"),
        ("{{".repeat(500_000), ""),
        (format!("{{{{ a{} }}}}", ".a".repeat(400_000)), "words"),
        (format!("{{{{ '{long} }}}}"), ""),
        (
            format!("{{% if {} %}}{{% endif %}}", "a or ".repeat(100_000)),
            "words",
        ),
    ];
    let partials = files(&[("p", "1")]);
    for (text, message) in rows {
        let short: String = text.chars().take(30).collect();
        let error = Template::compile("t", &text, &partials).unwrap_err();
        assert!(error.message.contains(message), "{short}: {error}");
        assert!(error.help.is_none_or(|help| help.len() < 1_000), "{short}");
    }
    let key = format!(r#"{{"{long}": 1}}"#);
    let body = render("{{ payload }}", &key).unwrap().body;
    assert_eq!(body.len(), key.len() - 1);
    let long = "x".repeat(400_000);
    let text = format!("{{\"{long}\": 1, \"{long}\": 2}}");
    let error = render(&text, "{}").unwrap_err();
    assert!(
        error.message.contains("comes twice") && error.message.len() < 1_000,
        "{}",
        error.message.len()
    );
}

/// Where a loop of the same name goes on is kept for each name, not for each round.
#[test]
fn offsets_that_go_on() {
    let template = "{% for i in (1..900) %}{% for x in payload offset: continue limit: 1 %}{{ x }}{% endfor %}{% endfor %}";
    assert_eq!(render(template, "[7]").unwrap().body, b"7");
}
