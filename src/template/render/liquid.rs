//! Plain Liquid, group by group: what Ruby Liquid (5.14.0, strict) makes of each template, found by running it there.
//! Cases where ours differs on purpose are not here; the author's guide names them.

mod conditions;
mod loops;
mod single;
mod space;
mod words;

use serde_json::{Value as Json, json};

use super::tests::files;
use crate::template::{RenderLimits, Template};

/// What is refused, at load or at render.
const ERROR: &str = "(an error)";

fn data() -> Json {
    json!({
        "a": [1, 2, 3, 4, 5, 6], "ea": [], "eo": {}, "o": {"x": 1, "y": 2}, "s": "hello", "e": "", "n": 3, "fl": 2.5,
        "str": "2", "t": true, "f": false, "nilv": null, "nest": [[1, 2], [3]], "ps": [{"t": "a"}, {"t": "b"}],
        "q?": "ask", "h-y": "hy", "i": 1,
    })
}

/// Renders each template and compares; all rows that differ are named.
fn check(rows: &[(&str, &str)]) {
    let partials = files(&[
        ("p", "[{{ p }}]"),
        ("x", "{{ x }}"),
        ("set", "{% assign q = 1 %}{% assign n = 0 %}"),
        ("fl", "{{ forloop.index }}/{{ forloop.length }}{{ fl }} "),
        ("brk", "b{% break %}c"),
        ("ret", "{{ q }}"),
        ("inc", "{% increment c %}"),
        ("sp", " "),
        ("deep", "<{% render 'p', p: p %}>"),
    ]);
    let globals = data();
    let limits = RenderLimits {
        output_bytes: 1 << 16,
    };
    let mut wrong = Vec::new();
    for (template, expected) in rows {
        let rendered = Template::compile_text("t.liquid", template, &partials)
            .and_then(|compiled| compiled.render_text(&globals, limits));
        let found = rendered.as_deref().unwrap_or(ERROR);
        if found != *expected {
            wrong.push(format!(
                "{template}\n  expected {expected:?}\n  found    {rendered:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
