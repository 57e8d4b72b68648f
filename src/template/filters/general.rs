//! Filters on values of any kind: `default`, `json`, `size`, `slice`.

use super::{Arguments, FilterContext, FilterResult, give};
use crate::template::value::{Text, Value, range_len};

/// `{{ x | default: 'none' }}`: the argument if the input is nil, false or empty. With
/// `allow_false: true` false stays.
pub fn default<'a>(input: Value<'a>, args: &Arguments<'a>, _: &FilterContext) -> FilterResult<'a> {
    let allow_false = args.named("allow_false").is_some_and(Value::truthy);
    let absent = match &input {
        Value::Nil | Value::Blank => true,
        Value::Bool(false) => !allow_false,
        other => other.is_empty(),
    };
    Ok(match absent {
        true => args.get(0).cloned().unwrap_or(Value::from("")),
        false => input,
    })
}

/// `{{ x | json }}`: the compact JSON text of the value.
pub fn json<'a>(input: Value<'a>, _: &Arguments<'a>, cx: &FilterContext) -> FilterResult<'a> {
    let mut out = give::Bounded::new(cx);
    out.json(&input)?;
    Ok(Value::text(out.finish()))
}

/// `{{ x | size }}`: how many characters a string has, items an array, members an object; else 0.
pub fn size<'a>(input: Value<'a>, _: &Arguments<'a>, _: &FilterContext) -> FilterResult<'a> {
    let size = match &input {
        Value::Str(text) => text.chars().count(),
        Value::Array(items) => items.len(),
        Value::Object(members) => members.len(),
        Value::Range(first, last) => range_len(*first, *last),
        Value::Nil | Value::Empty | Value::Blank | Value::Bool(_) | Value::Number(_) => 0,
    };
    Ok(Value::int(i64::try_from(size).unwrap_or(i64::MAX)))
}

/// `{{ 'liquid' | slice: 1, 3 }}` is `iqu`: characters of a text or items of an array, from a
/// position (from the end if it is negative) and as many as the second argument says, or one.
pub fn slice<'a>(input: Value<'a>, args: &Arguments<'a>, cx: &FilterContext) -> FilterResult<'a> {
    let offset = give::integer(args.get(0).unwrap_or(&Value::Nil))?;
    let length = match args.get(1) {
        None | Some(Value::Nil | Value::Bool(false)) => 1,
        Some(length) => give::integer(length)?,
    };
    match input {
        Value::Array(items) => {
            let (start, count) = window(offset, length, items.len());
            let mut list = give::List::new(cx);
            for index in start..start + count {
                list.push(items.get(index).unwrap_or(Value::Nil))?;
            }
            Ok(list.finish())
        }
        Value::Str(text) => {
            let (start, count) = window(offset, length, text.chars().count());
            Ok(Value::Str(match text {
                Text::Borrowed(text) => Text::Borrowed(characters(text, start, count)),
                Text::Made(text) => Text::from(characters(&text, start, count).to_owned()),
            }))
        }
        other => {
            let text = give::text(&other, cx)?;
            let (start, count) = window(offset, length, text.chars().count());
            Ok(Value::text(characters(&text, start, count).to_owned()))
        }
    }
}

/// Where a slice starts and how long it is, within `len`; nothing if it starts outside.
fn window(offset: i64, length: i64, len: usize) -> (usize, usize) {
    let start = match usize::try_from(offset) {
        Ok(start) => Some(start).filter(|start| *start <= len),
        Err(_) => usize::try_from(offset.unsigned_abs())
            .ok()
            .and_then(|back| len.checked_sub(back)),
    };
    start.map_or((0, 0), |start| {
        let wanted = usize::try_from(length).unwrap_or(0);
        (start, wanted.min(len - start))
    })
}

/// `count` characters of `text` from character `start` on.
pub fn characters(text: &str, start: usize, count: usize) -> &str {
    let byte_of = |text: &str, index: usize| {
        text.char_indices()
            .nth(index)
            .map_or(text.len(), |(byte, _)| byte)
    };
    let (_, rest) = text.split_at(byte_of(text, start));
    rest.split_at(byte_of(rest, count)).0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::filters::find;
    use crate::template::filters::testing::{check, context};

    #[test]
    fn tables() {
        check(&[
            ("default", "null", "[\"x\"]", "\"x\""),
            ("default", "false", "[\"x\"]", "\"x\""),
            ("default", "\"\"", "[\"x\"]", "\"x\""),
            ("default", "[]", "[\"x\"]", "\"x\""),
            ("default", "{}", "[\"x\"]", "\"x\""),
            ("default", "0", "[\"x\"]", "0"),
            ("default", "0.0", "[\"x\"]", "0.0"),
            ("default", "\" \"", "[\"x\"]", "\" \""),
            ("default", "null", "[]", "\"\""),
            ("default", "[1]", "[\"x\"]", "[1]"),
            ("json", "\"a\\\"b\"", "[]", r#""\"a\\\"b\"""#),
            (
                "json",
                "{\"z\": 1, \"a\": [0.10, null]}",
                "[]",
                r#""{\"z\":1,\"a\":[0.10,null]}""#,
            ),
            ("json", "null", "[]", "\"null\""),
            ("size", "\"äöü\"", "[]", "3"),
            ("size", "[1, [2]]", "[]", "2"),
            ("size", "{\"a\": 1}", "[]", "1"),
            ("size", "null", "[]", "0"),
            ("size", "12", "[]", "0"),
            ("slice", "\"hello\"", "[1, 3]", "\"ell\""),
            ("slice", "\"Liquid\"", "[-2, 99]", "\"id\""),
            ("slice", "\"Liquid\"", "[2]", "\"q\""),
            ("slice", "\"Liquid\"", "[2, null]", "\"q\""),
            ("slice", "\"Liquid\"", "[\"2\", \"2\"]", "\"qu\""),
            ("slice", "\"Liquid\"", "[99]", "\"\""),
            ("slice", "\"Liquid\"", "[-99, 3]", "\"\""),
            ("slice", "\"Liquid\"", "[1, -1]", "\"\""),
            ("slice", "\"Liquid\"", "[6, 1]", "\"\""),
            ("slice", "\"äöü\"", "[1, 9223372036854775807]", "\"öü\""),
            ("slice", "\"äöü\"", "[-9223372036854775808, 1]", "\"\""),
            ("slice", "\"äöü\"", "[99999999999999999999, 1]", "\"\""),
            ("slice", "[1, 2, 3, 4, 5]", "[2, 3]", "[3,4,5]"),
            ("slice", "[1, 2]", "[-1]", "[2]"),
            ("slice", "12345", "[1, 2]", "\"23\""),
            ("slice", "null", "[0]", "\"\""),
            (
                "slice",
                "\"Liquid\"",
                "[1, 2.2]",
                "error: a whole number is needed here, not 2.2",
            ),
            (
                "slice",
                "\"hello\"",
                "[5, \"foo\"]",
                "error: a whole number is needed here, not `foo`",
            ),
            (
                "slice",
                "\"hello\"",
                "[null]",
                "error: a whole number is needed here, not nil",
            ),
        ]);
    }

    #[test]
    fn default_may_allow_false() {
        for (allow, expected) in [(true, "false"), (false, "bar")] {
            let args = Arguments {
                positional: vec![Value::from("bar")],
                named: vec![("allow_false", Value::Bool(allow))],
            };
            let filter = find("default").unwrap();
            assert!(filter.named.contains(&"allow_false"));
            let result = filter.apply(Value::Bool(false), &args, &context()).unwrap();
            assert_eq!(result.to_text(), expected, "allow_false: {allow}");
        }
    }
}
