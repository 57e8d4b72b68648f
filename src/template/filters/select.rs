//! Filters that look for items by a property: `where`, `reject`, `find`, `find_index`, `has`.
//!
//! Without a value the property has to be truthy, with one it has to equal it. In a string the
//! "property" is a substring, as in Liquid. At an item that can have no properties (nil, a boolean)
//! Liquid gives up with nothing; so do these.

use super::{Arguments, FilterContext, FilterError, FilterResult, give};
use crate::template::value::{Object, Value};

/// `{{ items | where: 'kind', 'fruit' }}`: the items that match.
pub fn where_<'a>(input: Value<'a>, args: &Arguments<'a>, cx: &FilterContext) -> FilterResult<'a> {
    keep(input, args, cx, true)
}

/// `{{ items | reject: 'kind', 'fruit' }}`: the items that do not match.
pub fn reject<'a>(input: Value<'a>, args: &Arguments<'a>, cx: &FilterContext) -> FilterResult<'a> {
    keep(input, args, cx, false)
}

/// `{{ items | find: 'id', 7 }}`: the first item that matches, or nil.
pub fn find<'a>(input: Value<'a>, args: &Arguments<'a>, cx: &FilterContext) -> FilterResult<'a> {
    Ok(match search(input, args, cx)? {
        Search::Found(_, item) => item,
        Search::Nothing | Search::GivenUp => Value::Nil,
    })
}

/// `{{ items | find_index: 'id', 7 }}`: the place of the first item that matches, from 0, or nil.
pub fn find_index<'a>(
    input: Value<'a>,
    args: &Arguments<'a>,
    cx: &FilterContext,
) -> FilterResult<'a> {
    Ok(match search(input, args, cx)? {
        Search::Found(index, _) => Value::int(i64::try_from(index).unwrap_or(i64::MAX)),
        Search::Nothing | Search::GivenUp => Value::Nil,
    })
}

/// `{{ items | has: 'id', 7 }}`: whether an item matches; nil where Liquid gives up.
pub fn has<'a>(input: Value<'a>, args: &Arguments<'a>, cx: &FilterContext) -> FilterResult<'a> {
    Ok(match search(input, args, cx)? {
        Search::Found(..) => Value::Bool(true),
        Search::Nothing => Value::Bool(false),
        Search::GivenUp => Value::Nil,
    })
}

/// The property `name` of an item; `None` if it can have none.
pub fn property<'a>(
    item: &Value<'a>,
    name: &Value<'_>,
    cx: &FilterContext,
) -> Result<Option<Value<'a>>, FilterError> {
    let searched = match item {
        Value::Object(Object::Made(members)) => members.len() as u64,
        Value::Str(text) => text.len() as u64,
        _ => 0,
    };
    cx.spend(searched.saturating_add(name.own_bytes()))?;
    match item {
        Value::Object(_) => Ok(Some(item.member(name))),
        Value::Str(text) => Ok(match name {
            Value::Str(part) if text.contains(&**part) => Some(Value::text(part.to_string())),
            Value::Number(index) => Some(character(text, index.to_i64())),
            Value::Nil => None,
            _ => Some(Value::Nil),
        }),
        Value::Number(_) => Err(FilterError::new(format!(
            "{} has no property {}",
            give::show(item),
            give::show(name)
        ))),
        _ => Ok(None),
    }
}

fn character<'a>(text: &str, index: Option<i64>) -> Value<'a> {
    let found = index.and_then(|index| match usize::try_from(index) {
        Ok(index) => text.chars().nth(index),
        Err(_) => usize::try_from(index.unsigned_abs())
            .ok()
            .and_then(|back| text.chars().rev().nth(back.saturating_sub(1))),
    });
    found.map_or(Value::Nil, |c| Value::text(c.to_string()))
}

/// Whether the item matches; `None` if it can have no properties.
fn matches(
    item: &Value<'_>,
    args: &Arguments<'_>,
    cx: &FilterContext,
) -> Result<Option<bool>, FilterError> {
    let name = args.get(0).unwrap_or(&Value::Nil);
    let target = args.get(1).filter(|target| !target.is_nil());
    let Some(value) = property(item, name, cx)? else {
        return Ok(None);
    };
    match target {
        Some(target) => cx.equal(&value, target).map(Some),
        None => Ok(Some(value.truthy())),
    }
}

fn keep<'a>(
    input: Value<'a>,
    args: &Arguments<'a>,
    cx: &FilterContext,
    wanted: bool,
) -> FilterResult<'a> {
    let mut list = give::List::new(cx);
    for item in give::items(input, cx)? {
        match matches(&item, args, cx)? {
            Some(matched) if matched == wanted => list.push(item)?,
            Some(_) => {}
            None => return Ok(Value::array(Vec::new())),
        }
    }
    Ok(list.finish())
}

/// What a search comes to.
enum Search<'a> {
    /// This item, at this place.
    Found(usize, Value<'a>),
    /// No item matches.
    Nothing,
    /// An item can have no properties.
    GivenUp,
}

fn search<'a>(
    input: Value<'a>,
    args: &Arguments<'a>,
    cx: &FilterContext,
) -> Result<Search<'a>, FilterError> {
    for (index, item) in give::items(input, cx)?.into_iter().enumerate() {
        match matches(&item, args, cx)? {
            Some(true) => return Ok(Search::Found(index, item)),
            Some(false) => {}
            None => return Ok(Search::GivenUp),
        }
    }
    Ok(Search::Nothing)
}

#[cfg(test)]
mod tests {
    use crate::template::filters::testing::check;

    const ITEMS: &str =
        r#"[{"z": 1, "t": "foo"}, {"t": "bar", "a": 2}, {"t": null}, {"t": false}]"#;

    #[test]
    fn tables() {
        check(&[
            (
                "where",
                ITEMS,
                r#"["t"]"#,
                r#"[{"z":1,"t":"foo"},{"t":"bar","a":2}]"#,
            ),
            ("where", ITEMS, r#"["t", "bar"]"#, r#"[{"t":"bar","a":2}]"#),
            (
                "where",
                ITEMS,
                r#"["t", null]"#,
                r#"[{"z":1,"t":"foo"},{"t":"bar","a":2}]"#,
            ),
            ("where", ITEMS, r#"["t", false]"#, r#"[{"t":false}]"#),
            ("where", ITEMS, "[null]", "[]"),
            (
                "where",
                r#"[{"n": 1.0}, {"n": "1"}]"#,
                r#"["n", 1]"#,
                r#"[{"n":1.0}]"#,
            ),
            (
                "where",
                r#"[[{"a": 1}], {"a": 2}]"#,
                r#"["a"]"#,
                r#"[{"a":1},{"a":2}]"#,
            ),
            ("where", "null", r#"["t"]"#, "[]"),
            ("where", r#"{"a": 1}"#, r#"["a"]"#, r#"[{"a":1}]"#),
            ("where", r#"[{"a": 1}, null]"#, r#"["a"]"#, "[]"),
            ("where", "[1]", r#"["a"]"#, "error: 1 has no property `a`"),
            ("reject", ITEMS, r#"["t"]"#, r#"[{"t":null},{"t":false}]"#),
            (
                "reject",
                ITEMS,
                r#"["t", "bar"]"#,
                r#"[{"z":1,"t":"foo"},{"t":null},{"t":false}]"#,
            ),
            ("reject", r#"["x", "y", "cat", null]"#, r#"["c"]"#, "[]"),
            ("reject", r#"["x", "y", "cat"]"#, "[null]", "[]"),
            ("reject", r#""foobar""#, r#"["oo"]"#, "[]"),
            ("reject", r#""foobar""#, r#"["xx"]"#, r#"["foobar"]"#),
            ("find", ITEMS, r#"["t", "bar"]"#, r#"{"t":"bar","a":2}"#),
            (
                "find",
                r#"[{"x": 99}, null, {"z": 42}]"#,
                r#"["z", 42]"#,
                "null",
            ),
            ("find", r#"["x", "zoo"]"#, r#"["oo"]"#, r#""zoo""#),
            ("find", r#"{"z": 42}"#, r#"["foo"]"#, "null"),
            ("find", r#""zoo""#, r#"["z", "z"]"#, r#""zoo""#),
            ("find", "[]", r#"["z"]"#, "null"),
            ("find_index", r#"["x", "y", "zoo"]"#, r#"["oo"]"#, "2"),
            ("find_index", r#"["x", null, "z"]"#, r#"["z"]"#, "null"),
            ("find_index", r#"{"z": null}"#, r#"["z", null]"#, "null"),
            ("has", r#"{"z": 42}"#, r#"["z", 42]"#, "true"),
            ("has", r#"{"z": 42}"#, r#"["z", "42"]"#, "false"),
            ("has", r#"[{"x": 99}, {"z": 42}]"#, "[42]", "false"),
            ("has", r#"[{"x": 99}, {"z": 42}]"#, "[null]", "false"),
            ("has", r#""zoo""#, r#"["z"]"#, "true"),
            ("has", "null", r#"["z"]"#, "false"),
            ("has", r#"["x", null, "z"]"#, r#"["z"]"#, "null"),
            ("has", r#"["z", null]"#, r#"["z"]"#, "true"),
        ]);
    }
}
