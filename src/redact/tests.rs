//! Pointers over bodies, and the echoes of what they point to.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn redaction(pointers: &[&str]) -> Redaction {
    let written: Vec<String> = pointers.iter().map(|text| (*text).to_owned()).collect();
    Redaction::compile(&written).unwrap()
}

fn shown(pointers: &[&str], body: &Value) -> Value {
    match redaction(pointers).body(body.to_string().as_bytes()) {
        Shown::Redacted(value) => value,
        other => panic!("{other:?}"),
    }
}

#[test]
fn values_at_pointers_are_left_out() {
    let cut = REDACTED;
    for (pointers, body, wanted) in [
        (
            vec!["/a"],
            json!({"a": 1, "b": 2}),
            json!({"a": cut, "b": 2}),
        ),
        (
            vec!["/a/b"],
            json!({"a": {"b": [1], "c": 1}}),
            json!({"a": {"b": cut, "c": 1}}),
        ),
        (
            vec!["/a/1"],
            json!({"a": [1, 2, 3]}),
            json!({"a": [1, cut, 3]}),
        ),
        (
            vec!["/a/01", "/a/-", "/a/9"],
            json!({"a": [1, 2]}),
            json!({"a": [1, 2]}),
        ),
        (
            vec!["/a/1"],
            json!({"a": {"1": "x"}}),
            json!({"a": {"1": cut}}),
        ),
        (
            vec!["/items/*/card"],
            json!({"items": [{"card": "x", "n": 1}, {"n": 2}, 3]}),
            json!({"items": [{"card": cut, "n": 1}, {"n": 2}, 3]}),
        ),
        (
            vec!["/*"],
            json!({"a": null, "b": true}),
            json!({"a": cut, "b": cut}),
        ),
        (
            vec!["/*/*"],
            json!([[1], {"a": 2}, 3]),
            json!([[cut], {"a": cut}, 3]),
        ),
        (
            vec!["/a~1b", "/c~0d", "/~01"],
            json!({"a/b": 1, "c~d": 2, "~1": 3}),
            json!({"a/b": cut, "c~d": cut, "~1": cut}),
        ),
        (vec!["/"], json!({"": 1, "a": 2}), json!({"": cut, "a": 2})),
        (vec![""], json!({"a": 1}), json!(cut)),
        (
            vec!["/a", "/a/b"],
            json!({"a": {"b": 1}}),
            json!({"a": cut}),
        ),
        (
            vec!["/a/b", "/a"],
            json!({"a": {"b": 1}}),
            json!({"a": cut}),
        ),
        (vec!["/x/y"], json!({"x": "text"}), json!({"x": "text"})),
        (vec!["/a"], json!("a"), json!("a")),
    ] {
        assert_eq!(shown(&pointers, &body), wanted, "{pointers:?} {body}");
    }
}

#[test]
fn a_body_in_which_pointers_mean_nothing_is_not_shown() {
    let hiding = redaction(&["/a"]);
    for body in ["", "a=1&b=2", "{\"a\": 1", "{\"a\": 1} x", "\u{feff}{}"] {
        let view = hiding.view(body.as_bytes());
        assert_eq!(view, View::hidden(Hiding::NotJson), "{body:?}");
        assert_eq!(view.body.label(), Some("not_json"));
        assert_eq!(view.echoes.blot("a=1 is wrong".to_owned()), REDACTED);
        assert_eq!(view.echoes.blot(String::new()), "");
    }
    let deep = "[".repeat(200) + &"]".repeat(200);
    assert_eq!(hiding.body(deep.as_bytes()), Shown::Hidden(Hiding::NotJson));
    assert_eq!(Redaction::default().body(b"a=1"), Shown::Whole);
    // Of members of one name, only the last is the value, and only it is shown.
    let doubled = hiding.body(b"{\"a\": \"first\", \"a\": \"second\"}");
    assert_eq!(doubled, Shown::Redacted(json!({"a": REDACTED})));
}

#[test]
fn what_is_no_pointer_is_told_with_its_number() {
    let written = ["/a", "a", "/b~", "/c~2", "$.d", "/e~0~1"].map(str::to_owned);
    let errors = Redaction::compile(&written).unwrap_err();
    let wanted = [
        (1, PointerError::Start),
        (2, PointerError::Escape),
        (3, PointerError::Escape),
        (4, PointerError::Start),
    ];
    assert_eq!(errors, wanted);
}

#[test]
fn what_is_covered_is_known_without_a_body() {
    for (pointers, place, wanted) in [
        (vec!["/id"], "/id", true),
        (vec!["/data"], "/data/id", true),
        (vec!["/*/id"], "/data/id", true),
        (vec!["/data/id"], "/data", false),
        (vec!["/other"], "/id", false),
        (vec![], "/id", false),
    ] {
        assert_eq!(
            redaction(&pointers).covers(place),
            wanted,
            "{pointers:?} {place}"
        );
    }
}

#[test]
fn echoes_are_blotted_out() {
    let body = json!({
        "ssn": "123-45-6789", "pin": 4711, "tiny": "abc", "small": 42, "quoted": "a\"b\\c\nd",
        "name": "Zoë Müller", "money": 1234.50, "list": ["first-secret", {"deep": "second-secret"}],
        "link": "https://x.example/k?a=1&b=2",
        "long": "a-very-long-value-that-is-cut-off-somewhere", "flag": true,
    });
    let echoes = redaction(&["/*"]).view(body.to_string().as_bytes()).echoes;
    for (text, wanted) in [
        ("nothing here", "nothing here"),
        ("ssn 123-45-6789 is bad", "ssn [redacted] is bad"),
        ("123-45-6789123-45-6789", "[redacted][redacted]"),
        ("pin=4711;", "pin=[redacted];"),
        ("abc and 42 and true stay", "abc and 42 and true stay"),
        ("{\"q\":\"a\\\"b\\\\c\\nd\"}", "{\"q\":\"[redacted]\"}"),
        ("a\"b\\c\nd", "[redacted]"),
        ("Zoë Müller", "[redacted]"),
        ("Zo\\u00eb M\\u00fcller", "[redacted]"),
        ("see https:\\/\\/x.example\\/k?a=1&b=2", "see [redacted]"),
        ("see https://x.example/k?a=1&amp;b=2.", "see [redacted]."),
        ("1234.5", "[redacted]"),
        ("first-secret second-secret", "[redacted] [redacted]"),
        ("`a-very-long-val…` is no date", "`[redacted]…` is no date"),
        ("a-very-lon", "[redacted]"),
        ("a-very-lon is a start", "a-very-lon is a start"),
        ("cut at first-s", "cut at [redacted]"),
        ("cut at Zoë\u{fffd}", "cut at [redacted]\u{fffd}"),
        ("cut at fir", "cut at fir"),
    ] {
        assert_eq!(echoes.blot(text.to_owned()), wanted, "{text:?}");
    }
    let many: Vec<String> = (0..=MOST).map(|n| format!("value-{n}")).collect();
    let many = redaction(&["/*"]).view(json!(many).to_string().as_bytes());
    assert_eq!(many.echoes.blot("anything".to_owned()), REDACTED);
}

proptest! {
    /// Wherever a value is repeated, in whatever spelling and beside whatever other value, none of it stays.
    #[test]
    fn no_value_stays(
        value in ".{4,40}", other in ".{4,20}", before in ".{0,20}", after in ".{0,20}", spelling in 0_usize..4,
    ) {
        let body = json!({"v": value, "o": other, "w": 1});
        let view = redaction(&["/v", "/o"]).view(body.to_string().as_bytes());
        let shown = json!({"v": REDACTED, "o": REDACTED, "w": 1});
        prop_assert_eq!(view.body, Shown::Redacted(shown));
        let spelt = match spelling {
            0 => value,
            1 => inside(&Value::from(value).to_string()),
            2 => ascii(&value),
            _ => html(&value),
        };
        // What the text around it says may be blotted out as well, but only as a start of the value.
        let marks = "\u{1}\u{2}\u{3}";
        let text = format!("{before}{marks}{spelt}{marks}{after}");
        let blotted = view.echoes.blot(text);
        let mut parts = blotted.split(marks).skip(1);
        let left = parts.next().map(|part| part.replace(REDACTED, ""));
        prop_assert_eq!(left.as_deref(), Some(""));
    }
}
