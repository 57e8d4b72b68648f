//! Templates and payloads that try to make a render abort, hang, swell or break out.

use serde_json::{Value as Json, json};

use super::tests::{files, render, render_all};
use crate::template::{Template, TemplateError};

/// A stack as small as those that work is done on: what runs in it does not depend on a large one.
const STACK: usize = 2 << 20;

pub fn on_small_stack(work: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(work);
    thread.unwrap().join().unwrap();
}

fn refused(template: &str, payload: &str, because: &str) {
    let short: String = template.chars().take(80).collect();
    let error: TemplateError = match render(template, payload) {
        Err(error) => error,
        Ok(rendered) => panic!("{short}: {} bytes", rendered.body.len()),
    };
    assert!(error.message.contains(because), "{short}: {error}");
}

#[test]
fn ranges_of_the_payload() {
    let payload = r#"{"n": 1000000000, "big": 9223372036854775807, "more": 1e999999999, "low": -9223372036854775808}"#;
    refused(
        "[{% for i in (1..payload.n) %}{% endfor %}]",
        payload,
        "more than 100000 numbers",
    );
    refused(
        "{{ (1..payload.n) | join: ',' }}",
        payload,
        "more than 100000 numbers",
    );
    refused(
        "{{ (payload.low..payload.big) | size }}",
        payload,
        "more than 100000 numbers",
    );
    refused("{{ (1..payload.more) }}", payload, "too large for a range");
    refused(
        "{% for i in (1..99999) %}{% for j in (1..99999) %}{% endfor %}{% endfor %}1",
        payload,
        "steps",
    );
    let near_the_end = "{{ (9223372036854775806..9223372036854775807) }}";
    let rendered = render(near_the_end, "{}").unwrap();
    assert_eq!(rendered.body, b"[9223372036854775806,9223372036854775807]");
    assert_eq!(
        render("{{ (5..payload.low) }}", payload).unwrap().body,
        b"[]"
    );
}

#[test]
fn partials_that_call_themselves() {
    on_small_stack(|| {
        for call in [
            "include 'self'",
            "render 'self'",
            "render 'self' for payload",
            "include 'other'",
        ] {
            let partials = files(&[
                ("self", &format!("{{% {call} %}}")),
                (
                    "other",
                    "{% if true %}{% if true %}{% include 'self' %}{% endif %}{% endif %}",
                ),
            ]);
            let error = render_all("{% include 'self' %}", "[1]", &partials).unwrap_err();
            assert!(error.message.contains("deep"), "{call}: {error}");
        }
        let wide = files(&[("self", "{% include 'self' %}{% include 'self' %}")]);
        assert!(render_all("{% include 'self' %}", "1", &wide).is_err());
        let loops = files(&[(
            "self",
            "{% for i in (1..100) %}{% if i == 1 %}{% case i %}{% when 1 %}{% include 'self' %}{% endcase %}{% endif %}{% endfor %}",
        )]);
        let error = render_all("{% include 'self' %}", "1", &loops).unwrap_err();
        assert!(error.message.contains("deep"), "{error}");
    });
}

#[test]
fn deep_nesting_of_the_text() {
    on_small_stack(|| {
        let opens = [
            "{% if x %}",
            "{% unless x %}",
            "{% for x in y %}",
            "{% case x %}{% when x %}",
            "{% capture x %}",
            "{% json x %}",
            "{% ifchanged %}",
        ];
        for open in opens {
            let text = open.repeat(5_000);
            let error = render(&text, "{}").unwrap_err();
            assert!(error.message.contains("deep"), "{open}: {error}");
        }
        for text in ["{{ a[", "{{ (", "{{ [", "{% if a[", "{% assign x = a["] {
            let deep = format!("{text}{}", "a[".repeat(3_000));
            refused(&format!("{deep} }}}} %}}"), "{}", "");
        }
        let close = "{% endif %}".repeat(40);
        let deep = format!("{}1{close}", "{% if true %}".repeat(40));
        assert_eq!(render(&deep, "{}").unwrap().body, b"1");
        let comments = format!(
            "{}{}1",
            "{% comment %}".repeat(9_000),
            "{% endcomment %}".repeat(9_000)
        );
        assert_eq!(render(&comments, "{}").unwrap().body, b"1");
        let liquid = format!("{{% liquid\n{} %}}", "if x\n".repeat(5_000));
        assert!(render(&liquid, "{}").is_err());
        let liquids = "{% liquid liquid liquid liquid liquid echo 1 %}";
        assert_eq!(render(liquids, "{}").unwrap().body, b"1");
    });
}

#[test]
fn deep_values() {
    on_small_stack(|| {
        let deep = format!("{}{}", "[".repeat(120), "]".repeat(120));
        let rendered = render("{{ payload }}", &deep).unwrap();
        assert_eq!(rendered.body, deep.as_bytes());
        refused(
            "[[[[[[[[[[{{ payload }}]]]]]]]]]]",
            &deep,
            "nests more than",
        );
        refused(
            "{% json x %}1{% endjson %}{% for i in (1..500) %}{% json x %}[{{ x }}]{% endjson %}{% endfor %}{{ x }}",
            "{}",
            "nests more than",
        );
        let same = "{% if payload == payload %}1{% endif %}";
        assert_eq!(render(same, &deep).unwrap().body, b"1");
    });
}

#[test]
fn long_texts_take_linear_time() {
    let blanks = " ".repeat(200_000);
    for text in [
        format!("1{blanks}"),
        format!("{{{{{blanks}1{blanks}}}}}"),
        format!("{{%{blanks}if{blanks}true{blanks}%}}1{{%{blanks}endif{blanks}%}}"),
        format!("{{{{ 'a' |{blanks}size }}}}"),
        format!("{{% raw %}}1{blanks}{{% endraw %}}"),
        format!("{{% comment %}}{blanks}{{% endcomment %}}1"),
    ] {
        let short: String = text.chars().take(30).collect();
        let rendered = render(&text, "{}").unwrap_or_else(|error| panic!("{short}: {error}"));
        assert_eq!(rendered.body, b"1", "{short}");
    }
    for piece in [
        "{",
        "{{",
        "{%",
        "{% raw %}",
        "{{ a }",
        "{% comment %}",
        "'",
        "{%-",
        "-%}",
        "{% endraw",
        "a | ",
    ] {
        let text = piece.repeat(900_000 / piece.len());
        assert!(render(&text, "{}").is_err(), "{piece}");
    }
    let too_large = "1".repeat(crate::template::syntax::TEMPLATE_BYTES + 1);
    refused(&too_large, "{}", "larger than");
    let many = "{{ 1 }}".repeat(crate::template::syntax::NODES + 1);
    refused(&many, "{}", "parts");
    let filters = format!("{{{{ 1 {} }}}}", "| abs".repeat(100));
    refused(&filters, "{}", "filters");
}

#[test]
fn numbers_out_of_range() {
    let rows: &[(&str, &str)] = &[
        ("{{ 99999999999999999999 }}", "99999999999999999999"),
        ("{{ -9223372036854775809 }}", "-9223372036854775809"),
        ("{{ payload[9223372036854775807] }}", "null"),
        ("{{ payload[-9223372036854775808] }}", "null"),
        ("{{ payload[99999999999999999999] }}", "null"),
        (
            "[{% for x in payload limit: 9223372036854775807 offset: 9223372036854775807 %}{{ x }}{% endfor %}]",
            "[]",
        ),
        (
            "[{% for x in payload limit: -1 %}{{ x }}{% endfor %}]",
            "[]",
        ),
        (
            "[{% for x in payload reversed offset: -9223372036854775808 %}{{ x }},{% endfor %}]",
            "[2,1]",
        ),
        ("{{ 9223372036854775807 | plus: 1 }}", "9223372036854775808"),
        ("{{ -9223372036854775808 | abs }}", "9223372036854775808"),
    ];
    for (template, expected) in rows {
        let rendered = render(template, "[1,2]").unwrap_or_else(|e| panic!("{template}: {e}"));
        assert_eq!(
            String::from_utf8(rendered.body).unwrap(),
            *expected,
            "{template}"
        );
    }
    refused(&format!("{{{{ {} }}}}", "9".repeat(5_000)), "{}", "digits");
    refused(
        "[{% for x in payload limit: 99999999999999999999 %}{% endfor %}]",
        "[]",
        "whole number",
    );
}

#[test]
fn tablerow_without_columns() {
    for cols in ["0", "-1", "nil", "99999999999999999", "'0'"] {
        let text = format!("{{% tablerow x in a cols:{cols} %}}{{{{ x }}}}{{% endtablerow %}}");
        let template = Template::compile_text("t", &text, &files(&[])).unwrap();
        let limits = crate::template::RenderLimits {
            output_bytes: 1_000,
        };
        let rendered = template.render_text(&json!({"a": [1, 2]}), limits).unwrap();
        assert!(
            rendered.contains("<td class=\"col2\">2</td>"),
            "{cols}: {rendered}"
        );
    }
}

#[test]
fn texts_that_grow() {
    let doubling = "{% assign s = 'aaaaaaaaaaaaaaaa' %}{% for i in (1..60) %}";
    let rows = [
        "{% assign s = s | append: s %}",
        "{% capture s %}{{ s }}{{ s }}{% endcapture %}",
        "{% assign s = s | replace: 'a', s %}",
        "{% json s %}\"{{ s }}{{ s }}\"{% endjson %}",
        "{% assign s = s | split: '' | join: s %}",
    ];
    for row in rows {
        refused(&format!("{doubling}{row}{{% endfor %}}1"), "{}", "bytes");
    }
    refused(
        "[{% for i in (1..90000) %}{{ payload }},{% endfor %}0]",
        "[\"aaaaaaaaaaaaaaaaaaa\"]",
        "larger than",
    );
    refused(
        "{% assign a = payload %}{% for i in (1..60) %}{% assign a = a | concat: a %}{% endfor %}1",
        "[1,2,3]",
        "",
    );
    let large = format!("\"{}\"", "x".repeat(900_000));
    refused(
        "{% for i in (1..90000) %}{% assign s = payload | upcase %}{% endfor %}1",
        &large,
        "bytes",
    );
    refused(
        "{% for i in (1..90000) %}{% if payload.size > 1 %}{% endif %}{% endfor %}1",
        &large,
        "bytes",
    );
    let blanks = " ".repeat(900_000);
    let text = format!(
        "{{% for i in (1..90000) %}}{{% capture x %}}1{blanks}{{% endcapture %}}{{% endfor %}}1"
    );
    refused(&text, "{}", "bytes");
    refused(
        "{% for i in (1..90000) %}{% cycle i: 1 %}{% endfor %}",
        "{}",
        "",
    );
    refused(
        "{% capture x %}{% for i in (1..90000) %}{% cycle i: 1 %}{% endfor %}{% endcapture %}1",
        "{}",
        "groups",
    );
    refused(
        "[{% ifchanged %}{% for i in (1..90000) %}1,{% endfor %}{% endifchanged %}]",
        "{}",
        "too much",
    );
    refused(
        "{% json x %}[{% for i in (1..90000) %}\"{{ payload }}\",{% endfor %}0]{% endjson %}1",
        "\"0123456789abcdef\"",
        "larger than",
    );
    let pairs: Vec<usize> = (0..50_000).collect();
    let array = serde_json::to_string(&pairs).unwrap();
    refused(
        "{% for x in payload %}{% if payload contains -1 %}{% endif %}{% endfor %}1",
        &array,
        "steps",
    );
    refused(
        "{% for x in payload %}{% if payload == payload %}{% endif %}{% endfor %}1",
        &array,
        "steps",
    );
}

/// A hostile string in every position that a value can be printed at changes nothing but that string.
#[test]
fn hostile_strings_everywhere() {
    let template = r#"{% assign made = payload.v | append: '' %}{% capture text %}<{{ payload.v }}>{% endcapture %}
{ {{ payload.v | prepend: 'k' }}: 1, "{{ payload.v }}!": 2, "plain": {{ payload.v }}, "inside": "a {{ payload.v }} b",
"json": {{ payload.v | json }}, "json_inside": "{{ payload.v | json }}", "list": [{{ payload.v }}, {{ made }}, {{ text }}],
"all": {{ payload }}, "all_inside": "{{ payload }}", "each": [{% for x in payload.list %}{{ x }},{% endfor %}],
"cycle": {% cycle payload.v, 'b' %}, "changed": "{% ifchanged %}{{ payload.v }}{% endifchanged %}",
"partial": {% render 'p', v: payload.v %}, {% json block %}{"in": {{ payload.v }}}{% endjson %} "block": {{ block }}, "header": {{ headers['x-tag'] }} }"#;
    let partials = files(&[("p", "[{{ v }}, \"{{ v }}\"]")]);
    let hostile = [
        "plain",
        "",
        "\",\"admin\":true,\"x\":\"",
        "\"",
        "\\",
        "\\\"",
        "\\u0022",
        "\n\r\t\u{0}\u{8}\u{1f}\u{7f}",
        "}",
        "]}",
        "{{ payload }}",
        "{% break %}",
        "'",
        "</script>",
        "\u{2028}\u{feff}\u{ffff}",
        "null",
        "0",
        "😀",
        "é",
    ];
    for text in hostile {
        let payload = json!({"v": text, "list": [text, text]});
        let rendered = render_all(template, &payload.to_string(), &partials)
            .unwrap_or_else(|error| panic!("{text:?}\n{}", error.pretty()));
        let parsed: Json = serde_json::from_slice(&rendered.body).unwrap();
        let quoted = serde_json::to_string(text).unwrap();
        let expected = json!({
            format!("k{text}"): 1, format!("{text}!"): 2, "plain": text, "inside": format!("a {text} b"),
            "json": text, "json_inside": quoted, "list": [text, text, format!("<{text}>")],
            "all": payload, "all_inside": payload.to_string(), "each": [text, text],
            "cycle": text, "changed": text, "partial": [text, text], "block": {"in": text}, "header": "a, b",
        });
        assert_eq!(parsed, expected, "{text:?}");
    }
}

#[test]
fn a_key_of_the_payload_cannot_take_the_place_of_another() {
    let template = r#"{"role": "guest", {{ payload.key }}: 1}"#;
    assert!(render(template, r#"{"key": "other"}"#).is_ok());
    refused(template, r#"{"key": "role"}"#, "comes twice");
    refused(template, r#"{"key": null}"#, "a key cannot be nil");
    refused(
        template,
        r#"{"key": {"a": 1}}"#,
        "a key cannot be an object",
    );
}

/// Every filter over an array and a text as large as a payload may hold takes its time, not that time squared.
#[test]
fn filters_over_large_values() {
    let numbers: Vec<usize> = (0..60_000).map(|n| n * 7_919 % 60_000).collect();
    let objects: Vec<Json> = (0..20_000).map(|n| json!({"a": n, "b": "x"})).collect();
    let payload = json!({"n": numbers, "o": objects, "s": "ab ".repeat(30_000)}).to_string();
    let template = "{% assign l = payload.n | uniq | size %}{% assign l = payload.n | sort | reverse | compact | size %}
        {% assign l = payload.n | sort_natural | first %}{% assign l = payload.n | concat: payload.n | last %}
        {% assign l = payload.n | join: ',' | split: ',' | uniq | size %}{% assign l = payload.n | sum %}
        {% assign l = payload.o | map: 'a' | uniq | size %}{% assign l = payload.o | where: 'a', 19999 | size %}
        {% assign l = payload.o | uniq: 'a' | sort: 'a' | size %}{% assign l = payload.o | find_index: 'a', 19999 %}
        {% assign l = payload.s | replace: 'a', 'b' | remove: ' ' | strip | upcase | size %}
        {% assign l = payload.s | truncatewords: 20000 | size %}{% assign l = payload.s | split: '' | size %}
        {% assign l = payload.s | slice: 89990, 5 %}{% assign l = payload.s | escape | strip_html | url_encode | size %}{{ l }}";
    let rendered = render(template, &payload).unwrap_or_else(|error| panic!("{}", error.pretty()));
    assert_eq!(rendered.body, b"90000");
    refused(
        "{% for x in payload.n %}{% assign l = payload.n | first %}{% endfor %}1",
        &payload,
        "steps",
    );
}

#[test]
fn junk_never_panics() {
    let parts = [
        "{{", "}}", "{%", "%}", "{%-", "-%}", " ", "if", "endif", "for", "x", "in", "(", "1", "..",
        ")", "[", "]", "'", "\"", "|", ":", ",", "upcase", "raw", "endraw", "comment", "liquid",
        "\n", "é", "{", "}", "=", "assign", "case", "when", "else", "json", "endjson", "capture",
        "#", "doc", "enddoc", "cycle", "render", "include", "with", "as", "tablerow", "\\", "-",
        ".", "==", "and", "nil", "0",
    ];
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..20_000 {
        let text: String = (0..random.usize(1..30))
            .map(|_| parts[random.usize(..parts.len())])
            .collect();
        if let Ok(rendered) = render(&text, r#"{"x":[1,"a",null]}"#) {
            serde_json::from_slice::<Json>(&rendered.body)
                .unwrap_or_else(|error| panic!("{text}: {error}"));
        }
    }
}

#[test]
fn whatever_is_rendered_parses() {
    let parts = [
        "[",
        "]",
        " {",
        "} ",
        "\"",
        "\"",
        ",",
        ":",
        "{{ payload.s }}",
        "{{ payload.n }}",
        "{{ payload.o }}",
        "{{ payload.l | json }}",
        "{{ nil }}",
        "1",
        "-",
        ".5",
        "e1",
        "true",
        " ",
        "\\",
        "u0041",
        "ud83d",
        "a",
        "\n",
        "{% if payload.s %}",
        "{% endif %}",
        "{% for x in payload.l %}",
        "{% endfor %}",
        "{{ x }}",
        "\"k\":",
        "[1,",
        "{\"a\":1,",
        "}",
        "]",
        ",",
    ];
    let payload =
        r#"{"s":"\",\"admin\":true,\"x\":\"\\","n":1.50,"o":{"a":[null]},"l":[1,"\u0000",[]]}"#;
    let mut random = fastrand::Rng::with_seed(11);
    let mut rendered = 0;
    for _ in 0..20_000 {
        let text: String = (0..random.usize(1..14))
            .map(|_| parts[random.usize(..parts.len())])
            .collect();
        if let Ok(json) = render(&text, payload) {
            rendered += 1;
            serde_json::from_slice::<Json>(&json.body)
                .unwrap_or_else(|error| panic!("{text}: {error}"));
        }
    }
    assert!(
        rendered > 100,
        "only {rendered} templates rendered: the test says little"
    );
}
