//! Work that costs more than it looks: few rounds, each of which has to be counted for what it takes; and memory that is made
//! piece by piece. A row that is not counted renders, and fails its test at once.

use serde_json::json;

use super::attacks::on_small_stack;
use super::swells::{bounded, error_over};
use super::tests::{Files, files, render, render_all};
use crate::json::Document;
use crate::template::{EventFacts, RenderLimits, Scene, Template, limits, syntax};

/// An object of a `json` block, whose members are looked through one by one.
fn made_object() -> String {
    let members: String = (0..20_000).map(|n| format!("\"k{n}\":1,")).collect();
    format!("{{% json o %}}{{{members}\"z\":1}}{{% endjson %}}")
}

#[test]
fn each_round_is_counted_for_what_it_takes() {
    let payload = serde_json::from_str(&format!(
        r#"{{"zeros": "{}", "e": 1e999, "f": 1e-99, "d": 7.25, "tags": "{}", "text": "{}"}}"#,
        "0".repeat(100_000),
        "<b>".repeat(20_000),
        "x".repeat(20_000),
    ))
    .unwrap();
    let number = "1".repeat(98) + ".5";
    let comparisons = format!(
        "{{% if {number} < 1{} %}}{{% endif %}}",
        format!(" or {number} < 1").repeat(100)
    );
    let format = format!("{{% capture f %}}{}{{% endcapture %}}", "%Y".repeat(20_000));
    let deep = |inner: &str| {
        let open = "{% for q in (1..1) %}".repeat(40);
        let close = "{% endfor %}".repeat(40);
        format!("{open}{{% for i in (1..1000) %}}{inner}{{% endfor %}}{close}")
    };
    let rounds =
        |count: usize, row: &str| format!("{{% for i in (1..{count}) %}}{row}{{% endfor %}}");
    let rows = [
        rounds(
            1_000,
            "{% for q in (payload.zeros..0) %}{% break %}{% endfor %}",
        ),
        rounds(
            1_000,
            "{% for q in payload.text limit: payload.zeros %}{% endfor %}",
        ),
        made_object() + &rounds(1_000, "{% if o contains 'q' %}{% endif %}"),
        deep("{% if ['forloop'].x %}{% endif %}"),
        deep("{% assign f = forloop %}"),
        rounds(300, &comparisons),
        rounds(2_500, "{% assign b = payload.e | plus: 1 %}"),
        rounds(2_500, "{% assign b = payload.e | floor %}"),
        rounds(2_500, "{% assign b = payload.e | modulo: payload.f %}"),
        rounds(20_000, "{% assign b = payload.d | divided_by: 3.7 %}"),
        format + &rounds(200, "{% assign b = 0 | date: f %}"),
        rounds(200, "{% assign b = payload.tags | strip_html %}"),
        rounds(100, "{% assign b = payload.text | replace: '', 'y' %}"),
        rounds(
            1_000,
            &format!(
                "{{% for q in '{}' %}}{{% break %}}{{% endfor %}}",
                "x".repeat(50_000)
            ),
        ),
    ];
    for row in rows {
        let short: String = row
            .chars()
            .rev()
            .take(90)
            .collect::<String>()
            .chars()
            .rev()
            .collect();
        bounded(&error_over(&format!("{row}1"), &payload), &short);
    }
    let commas = format!(
        "[{{% for i in (1..101) %}}{}{{% endfor %}}]",
        ",".repeat(10_000)
    );
    let error = render(&commas, "{}").unwrap_err();
    assert!(error.message.contains("repairs"), "{error}");
    assert_eq!(error.cause, syntax::Cause::Template);
    // Blocks that need the same repairs again and again: told once, counted together.
    let block = format!("{{% json j %}}[{}]{{% endjson %}}", ",".repeat(1_000));
    let blocks = |count| render(&format!("{}1", rounds(count, &block)), "{}");
    assert_eq!(blocks(100).unwrap().repairs.len(), 100);
    let error = blocks(1_100).unwrap_err();
    assert!(error.message.contains("repairs"), "{error}");
}

#[test]
fn calls_and_look_ups_are_counted_by_their_names() {
    on_small_stack(|| {
        let names: String = (0..limits::CALL_ARGUMENTS)
            .map(|n| format!(", a{n}: 1"))
            .collect();
        let mut partials = files(&[("empty", "")]);
        let loops = "{% for i in (1..90000) %}";
        let calls = format!("{loops}{{% render 'empty'{names} %}}{{% endfor %}}1");
        let error = render_all(&calls, "{}", &partials).unwrap_err();
        assert!(error.message.contains("steps"), "{error}");

        // Through all names of twelve partials to one that is not there.
        let nested = [
            "p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8", "p9", "p10", "p11",
        ];
        for (at, name) in nested.into_iter().enumerate() {
            let text = match nested.get(at + 1) {
                Some(next) => format!("{{% include '{next}'{names} %}}"),
                None => format!("{loops}{{% if b0 or b1 or b2 %}}{{% endif %}}{{% endfor %}}"),
            };
            partials.0.push((name, text));
        }
        let error = render_all("{% include 'p0' %}1", "{}", &partials).unwrap_err();
        assert!(error.message.contains("steps"), "{error}");
    });
}

/// What is held at the same time is bounded, whoever holds it.
#[test]
fn what_is_made_is_bounded_in_all() {
    let text = "x".repeat(7_000);
    let payload = json!({"strings": vec![text; 1_000], "numbers": vec![0; 100_000], "long": "y".repeat(1_000_000),
        "members": (0..50_000).map(|n| (n.to_string(), json!(1))).collect::<serde_json::Map<_, _>>()})
    .to_string();
    let many = |row: &str, count: usize| {
        (0..count)
            .map(|n| row.replace("NN", &n.to_string()))
            .collect::<String>()
    };
    let nested = |open: &str, close: &str| many(open, 40) + &close.repeat(40);
    let pieces = "{% assign s = payload.long | append: '' %}";
    let rows = [
        many("{% capture vNN %}{{ payload.strings }}{% endcapture %}", 20),
        nested("{% capture vNN %}{{ payload.strings }}", "{% endcapture %}"),
        nested("{% for xNN in payload.members %}", "{% endfor %}"),
        many("{% json vNN %}{{ payload.numbers }}{% endjson %}", 40),
        many("{% assign vNN = payload.numbers | reverse %}", 39),
        format!("{pieces}{}", many("{% assign vNN = s | split: '~' %}", 90)),
        format!(
            "{pieces}{}",
            many("{% assign vNN = s | append: 'NN' %}", 90)
        ),
    ];
    for row in rows {
        let short: String = row.chars().take(90).collect();
        let error = match render(&format!("{row}1"), &payload) {
            Err(error) => error,
            Ok(_) => panic!("{short} is not bounded"),
        };
        assert!(
            error.message.contains("makes more than"),
            "{short}: {error}"
        );
        assert!(error.line > 0 && !error.source_line.is_empty(), "{error:?}");
    }
}

#[test]
fn names_and_messages_are_short() {
    let long = "n".repeat(syntax::NAME_BYTES + 1);
    let most = "n".repeat(syntax::NAME_BYTES);
    for row in [
        "{{ NAME }}",
        "{{ a.NAME }}",
        "{% assign NAME = 1 %}",
        "{% capture NAME %}{% endcapture %}",
        "{% capture 'NAME' %}{% endcapture %}",
        "{% increment NAME %}",
        "{% for NAME in a %}{% endfor %}",
        "{% render 'p', NAME: 1 %}",
        "{% include 'p' with a as NAME %}",
    ] {
        let partials = Files(vec![("p", String::new())]);
        let compile = |name: &str| Template::compile("t", &row.replace("NAME", name), &partials);
        let error = compile(&long).unwrap_err();
        assert!(error.message.contains("name is longer"), "{row}: {error}");
        assert!(compile(&most).is_ok(), "{row}");
    }
    let quoted = "q".repeat(900_000);
    for row in [
        "{{ 1 'NAME' }}",
        "{% NAME %}",
        "{% render 'NAME' %}",
        "{% for a in b, 'NAME' %}{% endfor %}",
    ] {
        let error = Template::compile("t", &row.replace("NAME", &quoted), &files(&[])).unwrap_err();
        assert!(error.message.len() < 600, "{row}: {}", error.message.len());
        assert!(
            error.pretty().len() < 2_000,
            "{row}: {}",
            error.pretty().len()
        );
    }
}

#[test]
fn a_brief_render_ends_before_it_takes_long() {
    let rounds =
        |count: usize| format!("[{{% for i in (1..{count}) %}}{{{{ payload }}}},{{% endfor %}}0]");
    for (template, payload, brief) in [
        ("{\"a\": {{ payload.a }}}".to_owned(), r#"{"a": 1}"#, true),
        (rounds(1_000), "1", true),
        (rounds(100_000), "1", false),
        // Much output of few steps; then what fails.
        (rounds(1_000), &format!("\"{}\"", "x".repeat(1_000)), false),
        ("{{ 1 | divided_by: 0 }}".to_owned(), "1", false),
    ] {
        let template = Template::compile("t", &template, &files(&[])).unwrap();
        let document = Document::parse(payload.as_bytes()).unwrap();
        let scene = Scene {
            payload: document.root().into(),
            event: EventFacts {
                id: "evt_1",
                message_id: None,
                source: "source",
                event_type: "type",
                received_at: jiff::Timestamp::UNIX_EPOCH,
            },
            headers: &[],
            route: "route",
            target: "target",
            vars: &serde_json::Map::new(),
        };
        let limits = RenderLimits {
            output_bytes: 4 << 20,
        };
        let rendered = template.render_briefly(&scene, limits);
        assert_eq!(rendered.is_some(), brief, "{template:?}");
        if let Some(rendered) = rendered {
            assert_eq!(Ok(rendered), template.render(&scene, limits));
        }
    }
}
