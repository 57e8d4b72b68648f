//! What holds for every filter.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::testing::{apply, context};
use super::*;

#[test]
fn the_register_is_sorted_and_found_by_name() {
    let names: Vec<_> = names().collect();
    assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
    for name in names {
        assert_eq!(find(name).map(|filter| filter.name), Some(name));
    }
    assert!(find("nosuchfilter").is_none());
}

/// Values of every kind and size class, hostile ones among them.
fn inputs() -> Vec<Json> {
    let text = |text: &str| serde_json::from_str::<Json>(text).unwrap();
    vec![
        json!(null),
        json!(true),
        json!(false),
        json!(0),
        json!(-1),
        json!(3),
        json!(i64::MIN),
        json!(i64::MAX),
        json!(u64::MAX),
        text("1e1000000000"),
        text("-1e-1000000000"),
        text("0.1"),
        text("123456789012345678901234567890.5"),
        json!(""),
        json!(" "),
        json!("a,b"),
        json!("%"),
        json!("%é"),
        json!("%999999999d"),
        json!("2024-02-30"),
        json!("2024-02-29T12:00:00.5+05:30"),
        json!("%Y %5N %:z %+ %Ez %-d %_H %^a %#p %L%"),
        json!("now"),
        json!("<script><script"),
        json!("\u{0}\u{10ffff}é"),
        json!("\n\r\n"),
        json!("&#39;&"),
        json!("9".repeat(3_000)),
        json!("x".repeat(5_000)),
        json!([]),
        json!({}),
        json!([1, "a", null, [2, [3]], {"a": 1}, true]),
        json!([{"a": 2}, {"a": 1}, {"b": null}]),
        json!({"a": [1], "b": {"c": null}}),
    ]
}

/// As values, with those that no JSON stands for.
fn values(json: &[Json]) -> Vec<Value<'_>> {
    let mut values: Vec<_> = json.iter().map(Value::from).collect();
    values.extend([
        Value::Empty,
        Value::Blank,
        Value::Range(1, 3),
        Value::Range(3, 1),
        Value::array(vec![Value::Range(1, 2), Value::Nil, Value::Blank]),
    ]);
    values
}

/// Second arguments: `None` if there is none.
fn seconds(json: &[Json]) -> Vec<Option<Value<'_>>> {
    let given = json.iter().map(|json| Some(Value::from(json)));
    std::iter::once(None).chain(given).collect()
}

/// Every filter over every input with every choice of arguments that the register allows.
fn over_all(mut look: impl FnMut(&Filter, &Value<'_>, &Arguments<'_>, FilterResult<'_>)) {
    let (inputs, more) = (
        inputs(),
        [json!(null), json!(1), json!("a"), json!("9".repeat(3_000))],
    );
    let inputs = values(&inputs);
    let seconds = seconds(&more);
    for filter in register::FILTERS {
        let (fewest, most) = filter.arguments;
        let mut arguments: Vec<Vec<Value<'_>>> = Vec::new();
        if fewest == 0 {
            arguments.push(Vec::new());
        }
        if most > 0 {
            for first in &inputs {
                let both = seconds
                    .iter()
                    .take(if most > 1 { seconds.len() } else { 1 });
                let both =
                    both.map(|second| std::iter::once(first).chain(second).cloned().collect());
                arguments.extend(both.filter(|args: &Vec<_>| args.len() >= fewest));
            }
        }
        for positional in arguments {
            let args = Arguments {
                positional,
                named: Vec::new(),
            };
            for input in &inputs {
                look(
                    filter,
                    input,
                    &args,
                    filter.apply(input.clone(), &args, &context()),
                );
            }
        }
    }
}

#[test]
fn no_filter_panics_and_each_yields_what_it_says() {
    let mut kinds: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    over_all(|filter, _, _, result| {
        if let Ok(value) = result {
            check_kind(filter, &value);
            kinds.entry(filter.name).or_default().insert(value.kind());
        }
    });
    // Of `Any`, these yield only so much.
    let rows = [
        ("find_index", ["a number", "nil"]),
        ("has", ["a boolean", "nil"]),
        ("slice", ["a string", "an array"]),
    ];
    for (name, expected) in rows {
        assert_eq!(kinds.get(name), Some(&BTreeSet::from(expected)), "{name}");
    }
}

#[test]
fn each_fails_on_what_it_says_and_on_nothing_else() {
    let mut failed = BTreeSet::new();
    over_all(|filter, input, args, result| {
        let Err(error) = result else { return };
        if error.is_limit() {
            return;
        }
        failed.insert(filter.name);
        let said = match filter.fails {
            Fails::Never => false,
            Fails::Input(_) => true,
            Fails::Argument(_) => !filter.works_with(args),
            Fails::Property(_) => args.get(0).is_some_and(|name| !name.is_nil()),
        };
        let input = input.kind();
        assert!(
            said,
            "{input} | {}: {:?}: {error}",
            filter.name, args.positional
        );
    });
    for filter in register::FILTERS {
        let fails = filter.fails != Fails::Never;
        assert_eq!(failed.contains(filter.name), fails, "{}", filter.name);
    }
}

#[test]
fn arguments_alone_decide_where_the_register_says_so() {
    let text = |text: &str| serde_json::from_str::<Json>(text).unwrap();
    // filter, arguments, whether it works with them
    let rows = [
        ("truncate", "[20]", true),
        ("truncate", "[]", true),
        ("truncate", "[\"20\", 1]", true),
        ("truncate", "[2.5]", false),
        ("truncatewords", "[\"x\"]", false),
        ("truncatewords", "[3, \"\"]", true),
        ("slice", "[0, 99999999999999999999]", true),
        ("slice", "[0, 2.0]", false),
        ("slice", "[null]", false),
        ("divided_by", "[0]", false),
        ("divided_by", "[0.0]", false),
        ("divided_by", "[\"x\"]", false),
        ("divided_by", "[0.5]", true),
        ("modulo", "[-2]", true),
        ("modulo", "[null]", false),
        ("concat", "[[]]", true),
        ("concat", "[{}]", false),
    ];
    for (name, args, works) in rows {
        let args = text(args);
        let positional = args.as_array().unwrap().iter().map(Value::from).collect();
        let args = Arguments {
            positional,
            named: Vec::new(),
        };
        assert_eq!(
            find(name).unwrap().works_with(&args),
            works,
            "{name}: {:?}",
            args.positional
        );
    }
}

fn check_kind(filter: &Filter, value: &Value<'_>) {
    let right = match filter.yields {
        Yields::Text => matches!(value, Value::Str(_)),
        Yields::Number => matches!(value, Value::Number(_)),
        Yields::Array => matches!(value, Value::Array(_)),
        Yields::Bool => matches!(value, Value::Bool(_)),
        Yields::Any => true,
    };
    assert!(right, "{} gave {}", filter.name, value.kind());
    // An input that is given back may be longer than the bound.
    if let Value::Str(text) = value {
        assert!(
            text.len() <= 2 * context().value_bytes,
            "{} gave {} bytes",
            filter.name,
            text.len()
        );
    }
}

#[test]
fn ranges_are_never_expanded_beyond_the_bound() {
    let args = Arguments {
        positional: vec![Value::from(","), Value::from("x")],
        named: Vec::new(),
    };
    for filter in register::FILTERS {
        let mut args = args.clone();
        args.positional.truncate(filter.arguments.1);
        let _ = filter.apply(Value::Range(i64::MIN, i64::MAX), &args, &context());
        let args = Arguments {
            positional: vec![Value::Range(0, i64::MAX); filter.arguments.1],
            named: Vec::new(),
        };
        let _ = filter.apply(Value::from("ab"), &args, &context());
    }
}

/// Text with what filters look for in it: tags, entities, percent signs, digits, wide characters.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[<>&;#%+a-z0-9 \\\\n:.é-]{0,40}",
        "%[-_0^#]{0,2}[0-9]{0,3}[:EO]{0,3}[a-zA-Zé%]{0,2}",
        "[0-9]{1,4}[-/ ][0-9A-Za-z]{1,5}[-/ ][0-9]{1,4}[T ]?[0-9:.]{0,12}[ +-Z]{0,2}[0-9:]{0,5}",
        any::<String>(),
    ]
}

proptest! {
    #[test]
    fn no_text_makes_a_filter_panic(input in any_text(), first in any_text(), second in any_text()) {
        for filter in register::FILTERS {
            let mut args = vec![json!(first), json!(second)];
            args.truncate(filter.arguments.1);
            let _ = apply(filter.name, &json!(input), &args);
            let _ = apply(filter.name, &json!("2023-04-05T06:07:08.009Z"), &args);
            let _ = apply(filter.name, &json!([input, first]), &args);
        }
    }
}
