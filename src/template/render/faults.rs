//! Errors as an author sees them: the place, what is marked, and what would be right.

use super::tests::{Files, files, render, render_all};
use crate::template::{RenderLimits, Template, TemplateError};

#[test]
fn errors_show_their_place() {
    let rows: &[(&str, &str, &str, &str)] = &[
        (
            "{\"a\": {{ payload.x | upcas }}}",
            "t.liquid:1:22: there is no filter `upcas`",
            "upcas",
            "did you mean `upcase`?",
        ),
        (
            "[\n  {% fro x in y %}\n]",
            "t.liquid:2:6: there is no tag `fro`",
            "fro",
            "did you mean `for`?",
        ),
        (
            "{% if a = 1 %}{% endif %}",
            "t.liquid:1:9: `=` is not expected here",
            "=",
            "to compare, write `==`",
        ),
        (
            "äö {% for x in y %}",
            "t.liquid:1:4: `for` is never closed",
            "{% for x in y %}",
            "add {% endfor %}",
        ),
        (
            "{{ 'a' | append }}",
            "t.liquid:1:10: the filter `append` takes one argument, not 0",
            "append",
            "",
        ),
        (
            "[{{ payload.a }} {{ payload.b }}]",
            "t.liquid:1:21: nil cannot be printed after a value, where `,` or an end is due",
            "payload.b",
            "print one value at a place; to put several together, print them inside a string or join them with filters",
        ),
        (
            "{\"a\": 1, \"a\": 2}",
            "t.liquid:1:12: the key \"a\" comes twice in one object",
            "\"",
            "",
        ),
        (
            "{\"a\": [1, 2}",
            "t.liquid:1:12: '}' cannot stand after a value, where `,` or an end is due",
            "}",
            "another bracket is open",
        ),
        (
            "{% render 'chek' %}",
            "t.liquid:1:11: there is no partial `chek`",
            "'chek'",
            "did you mean `check`?",
        ),
        (
            "{% tablerow x in y %}{% endtablerow %}",
            "t.liquid:1:1: `tablerow` prints HTML, which has no place in JSON",
            "{% tablerow x in y %}",
            "use `for`",
        ),
        (
            "{% if x %}{% endfor %}",
            "t.liquid:1:11: `endfor` has nothing to belong to here",
            "{% endfor %}",
            "the block that is open here is closed by `endif`",
        ),
        (
            "{{ 1 | divided_by: 0 }}",
            "t.liquid:1:8: divided_by: divided by 0",
            "divided_by: 0",
            "",
        ),
        (
            "[1, 2",
            "t.liquid:1:5: the output ends before the `]` of an array",
            "2",
            "",
        ),
    ];
    let partials = files(&[("check", "1")]);
    for (template, message, marked, help) in rows {
        let error = render_all(template, "{}", &partials).unwrap_err();
        assert_eq!(error.to_string(), *message, "{template}");
        assert_eq!(
            error.help.as_deref().unwrap_or_default(),
            *help,
            "{template}"
        );
        assert_marks(&error, marked);
    }
}

#[test]
fn errors_in_partials_name_their_file() {
    let partials = files(&[
        ("bad", "\n{{ payload | divided_by: 0 }}"),
        ("worse", "{% if %}"),
    ]);
    let error = render_all("[{% render 'bad' %}]", "1", &partials).unwrap_err();
    assert_eq!(
        (&*error.path, error.line, error.column),
        ("bad.liquid", 2, 14)
    );
    let error = render_all("[{% render 'worse' %}]", "1", &partials).unwrap_err();
    assert_eq!(
        (&*error.path, error.line, error.column),
        ("worse.liquid", 1, 1)
    );
    let partials = files(&[
        ("outer", "{% render 'inner' %}"),
        ("inner", "{% include 'leaf' %}"),
        ("leaf", "1"),
    ]);
    let error = render_all("{% include 'outer' %}", "1", &partials).unwrap_err();
    assert_eq!((&*error.path, error.column), ("inner.liquid", 12));
    // What `ifchanged` keeps is printed when the partial has ended.
    let partials = files(&[("kept", "\n {}")]);
    let template = "{% ifchanged %}[{% render 'kept' %}{% render 'kept' %}]{% endifchanged %}";
    let error = render_all(template, "1", &partials).unwrap_err();
    assert_eq!(
        (&*error.path, error.line, error.column),
        ("kept.liquid", 2, 2)
    );
}

/// A word that is not known, and the one that was likely meant.
#[test]
fn what_was_likely_meant() {
    // template; what is marked; help
    let rows: &[(&str, &str, &str)] = &[
        ("{{ a | Upcase }}", "Upcase", "did you mean `upcase`?"),
        (
            "{{ a | default: 1, allow_fals: 2 }}",
            "allow_fals",
            "did you mean `allow_false`?",
        ),
        (
            "{{ a | truncate: length: 2 }}",
            "length",
            "write only the value: `truncate: …`",
        ),
        ("{{ a | append 'x' }}", "'x'", "write `append: …`"),
        ("{% If x %}{% endif %}", "If", "did you mean `if`?"),
        (
            "{% unles x %}{% endunless %}",
            "unles",
            "did you mean `unless`?",
        ),
        ("{% set x = 1 %}", "set", "did you mean `assign`?"),
        (
            "{% if x %}{% elseif y %}{% endif %}",
            "elseif",
            "did you mean `elsif`?",
        ),
        (
            "{% if x %}{% elif y %}{% endif %}",
            "elif",
            "did you mean `elsif`?",
        ),
        (
            "{% if x %}{% esle %}{% endif %}",
            "esle",
            "did you mean `else`?",
        ),
        ("{% if x %}{% edif %}", "edif", "did you mean `endif`?"),
        (
            "{% case x %}{% whne 1 %}{% endcase %}",
            "whne",
            "did you mean `when`?",
        ),
        (
            "{% case x %}{% default %}{% endcase %}",
            "default",
            "did you mean `else`?",
        ),
        (
            "{% for x in y %}{% endif %}",
            "{% endif %}",
            "the block that is open here is closed by `endfor`",
        ),
        ("{% endif %}", "{% endif %}", "no block is open here"),
        ("{% include 'chek' %}", "'chek'", "did you mean `check`?"),
        ("{% render 'check' wiht y %}", "y", "did you mean `with`?"),
        ("{% render 'check' fro y %}", "y", "did you mean `for`?"),
        (
            "{% render 'check', x = 1 %}",
            "=",
            "arguments are written `x: …`",
        ),
        (
            "{% render check %}",
            "check",
            "write it in quotes; which partial is used cannot depend on the data",
        ),
        ("{% for x of y %}{% endfor %}", "of", "write `x in …`"),
        ("{% for x y %}{% endfor %}", "y", "write `x in …`"),
        (
            "{% for x in y limt: 2 %}{% endfor %}",
            "limt",
            "did you mean `limit`?",
        ),
        (
            "{% for x in y reverse %}{% endfor %}",
            "reverse",
            "did you mean `reversed`?",
        ),
        (
            "{% for x in y limit: 2 reversed %}{% endfor %}",
            "reversed",
            "it comes once, right after what is looped over",
        ),
        (
            "{% for x in y %}{% else %}{% else %}{% endfor %}",
            "{% else %}",
            "the loop is closed by `endfor`",
        ),
        (
            "{% if a contians 'x' %}{% endif %}",
            "contians",
            "did you mean `contains`?",
        ),
        ("{% if a adn b %}{% endif %}", "adn", "did you mean `and`?"),
        ("{% if a OR b %}{% endif %}", "OR", "did you mean `or`?"),
        ("{% if a eq b %}{% endif %}", "eq", "write `==`"),
        (
            "{% if a in b %}{% endif %}",
            "in",
            "write it the other way round: `list contains item`",
        ),
        (
            "{% if a startswith b %}{% endif %}",
            "startswith",
            "known here: ==, !=, <, >, <=, >=, contains, and, or",
        ),
        ("{% if a === b %}{% endif %}", "=", "to compare, write `==`"),
        ("{% if a => b %}{% endif %}", "=", "write `>=`"),
        ("{% if a =< b %}{% endif %}", "=", "write `<=`"),
        ("{% if a && b %}{% endif %}", "&", "write `and`"),
        ("{% if a || b %}{% endif %}", "|", "write `or`"),
        ("{% if !a %}{% endif %}", "!", "write `!=`, or use `unless`"),
        (
            "{% if not a %}{% endif %}",
            "a",
            "there is no `not`: use `unless`, `!=`, or `== false`",
        ),
        (
            "{% if a | size %}{% endif %}",
            "|",
            "a condition takes no filters: `assign` what they give, then compare it",
        ),
        (
            "{% if (a or b) and c %}{% endif %}",
            "or",
            "brackets make a range `(1..5)`; conditions are not grouped by brackets",
        ),
        (
            "{{ a == b }}",
            "==",
            "comparisons stand in `if`, `unless` and `elsif`",
        ),
        (
            "{{ a b }}",
            "b",
            "filters follow a `|`, what a filter takes follows a `:`",
        ),
        (
            "{{ a + b }}",
            "+",
            "there are no operators for arithmetic; use filters: `a | plus: b`",
        ),
        (
            "{{ a.größe }}",
            "ö",
            "names are made of a-z, A-Z, 0-9, `_` and `-`; reach any other member by `payload['name']`",
        ),
        ("{% assign a == 1 %}", "==", "to assign, write `=`"),
        ("{% assign a 1 %}", "1", "write `assign a = …`"),
        (
            "{% assign a.b = 1 %}",
            ".",
            "only whole variables are set; build objects with the tag `json`",
        ),
        ("{% assign 'a' = 1 %}", "'a'", "write it without quotes"),
        ("{% break 2 %}", "2", "nothing stands after `break`"),
        ("{% liquid\n doc\n%}", "doc", "write it as a tag of its own"),
        (
            "{% liquid\n if a\n%}",
            "if a",
            "add a line `endif` before the `liquid` tag ends",
        ),
        (
            "{% # a\n b %}",
            "b",
            "write `#` before it, or use {% comment %}",
        ),
        (
            "{{ 'a }}",
            "'a ",
            "close it with '; a string cannot contain `}}` or `%}`",
        ),
        ("{{ a", "{{", "close it with `}}`"),
        ("{% if a", "{%", "close it with `%}`"),
        (
            "{% if 1 < 'a' %}{% endif %}",
            "1 < 'a'",
            "turn text into a number first: `assign n = text | plus: 0`",
        ),
        (
            "{{ (1..payload.f) }}",
            "payload.f",
            "make it a whole number first, with `floor`, `ceil` or `round`",
        ),
    ];
    let partials = files(&[("check", "1")]);
    for (template, marked, help) in rows {
        let error = render_all(template, r#"{"f": 2.5}"#, &partials).unwrap_err();
        assert_eq!(
            error.help.as_deref().unwrap_or_default(),
            *help,
            "{template}"
        );
        assert_marks(&error, marked);
    }
}

/// What stands before the mark on its line, and above it, does not move it.
#[test]
fn the_mark_finds_its_place() {
    // before; line and column of what follows
    let rows = [
        ("", (1, 1)),
        ("ä\tö \"", (1, 6)),
        ("\t\t", (1, 3)),
        ("a\n\n b", (3, 3)),
        ("a\r\nb\r\n  c", (3, 4)),
        ("{% comment %}ä\n{% endcomment %}", (2, 17)),
        ("{% if true %}\r\n\tä{% endif %}ö", (2, 15)),
        ("\u{1f600}é", (1, 3)),
    ];
    // what follows; from where on it is wrong; what is marked
    let faults = [
        ("{{ a | upcas }}", 7, "upcas"),
        ("{% liquid echo a | upcas\n%}", 19, "upcas"),
        ("{{ 1 | divided_by: 0 }} \r\n", 7, "divided_by: 0"),
        (
            "{% liquid echo 1 | divided_by: 0 \r\n %}",
            19,
            "divided_by: 0",
        ),
        ("{% for x in 'ä' limt: 2 %}\r\n", 16, "limt"),
    ];
    for (before, (line, column)) in rows {
        for (fault, at, marked) in faults {
            let text = format!("{before}{fault}");
            let partial = files(&[("p", text.as_str())]);
            let direct = plain(&text, &partial);
            let called = plain("\n\n{% render 'p' %}", &partial);
            let included = plain("{% liquid\n include 'p'\n%}", &partial);
            let paths = [
                (direct, "t.liquid"),
                (called, "p.liquid"),
                (included, "p.liquid"),
            ];
            for (error, path) in paths {
                let place = (&*error.path, error.line, error.column);
                assert_eq!(place, (path, line, column + at), "{text:?}: {error}");
                assert_marks(&error, marked);
                let shown = error.pretty();
                let named = format!("{path}:{line}:{}", column + at);
                assert!(shown.contains(&named), "{shown}");
                assert!(!shown.contains(['\r', '\t']), "{shown:?}");
            }
        }
    }
}

/// Within `liquid`, each line is its own.
#[test]
fn lines_of_liquid_are_told_apart() {
    let rows = [
        ("{% liquid\n  assign x = 1\n\n  echo x | upcas\n%}", (4, 12)),
        ("{% liquid\r\n\techo 'ä' | upcas\r\n%}", (2, 13)),
        ("a\n{%- liquid if x\n  endfor\n-%}", (3, 3)),
        ("{% liquid\n  for x of y\n  endfor\n%}", (2, 9)),
        ("{% liquid\n  # ok\n  nosuch\n%}", (3, 3)),
        ("{% liquid\n  render 'nosuch'\n%}", (2, 10)),
        ("[{% liquid\n  if 1 < 'a'\n  endif\n%}]", (2, 6)),
    ];
    for (template, place) in rows {
        let error = render(template, "{}").unwrap_err();
        assert_eq!((error.line, error.column), place, "{template}: {error}");
    }
}

/// The error of a template whose output is text.
fn plain(text: &str, partials: &Files) -> TemplateError {
    let limits = RenderLimits {
        output_bytes: 1_000,
    };
    Template::compile_text("t.liquid", text, partials)
        .and_then(|template| template.render_text(&serde_json::json!({}), limits))
        .unwrap_err()
}

/// The carets stand under `marked`, up to the end of its line.
fn assert_marks(error: &TemplateError, marked: &str) {
    let shown = error.pretty();
    let carets = shown.lines().find(|line| line.contains('^')).unwrap();
    assert_eq!(
        carets.matches('^').count(),
        marked.chars().count(),
        "{shown}"
    );
    let column = error.column - 1;
    let text: String = error.source_line.chars().skip(column).collect();
    assert!(
        text.starts_with(marked),
        "{marked} is not at {column}: {shown}"
    );
    let line: String = error.source_line.trim_end().chars().collect();
    let line = line.replace(|c: char| c.is_control(), " ");
    let printed = shown.lines().find(|shown| shown.contains(&line)).unwrap();
    let at = carets.split_once('^').unwrap().0;
    let before: String = line.chars().take(column).collect();
    let start = printed.find(&line).unwrap();
    // Characters may be wider than one column of the terminal: what is before the carets is as wide.
    let width = |text: &str| -> usize {
        text.chars()
            .map(|c| if c > '\u{ffff}' { 2 } else { 1 })
            .sum()
    };
    let lead = printed.get(..start).unwrap();
    assert_eq!(width(at), width(lead) + width(&before), "{shown}");
}
