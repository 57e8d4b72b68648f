//! Filters on arrays. Members and items keep their order, nothing is copied deeply. Inputs that are
//! no arrays are taken as Liquid takes them (see `give::items`): nothing, or one item.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use super::select::property;
use super::{Arguments, FilterContext, FilterError, FilterResult, give};
use crate::template::value::{Sequence, Value};

/// What hashing a value is counted as besides its text, in bytes.
const HASH_BYTES: u64 = 128;

/// `{{ items | first }}`; of an object its first pair, of a text its first character.
pub fn first<'a>(input: Value<'a>, _: &Arguments<'a>, _: &FilterContext) -> FilterResult<'a> {
    Ok(match &input {
        Value::Str(text) => text
            .chars()
            .next()
            .map_or(Value::from(""), |c| Value::text(c.to_string())),
        Value::Object(members) => members.iter().next().map_or(Value::Nil, |(key, value)| {
            Value::array(vec![Value::Str(key), value])
        }),
        other => other.sequence().get(0).unwrap_or(Value::Nil),
    })
}

/// `{{ items | last }}`; of a text its last character.
pub fn last<'a>(input: Value<'a>, _: &Arguments<'a>, _: &FilterContext) -> FilterResult<'a> {
    Ok(match &input {
        Value::Str(text) => text
            .chars()
            .next_back()
            .map_or(Value::from(""), |c| Value::text(c.to_string())),
        Value::Object(_) => Value::Nil,
        other => {
            let items: Sequence<'a> = other.sequence();
            let last = items.len().checked_sub(1);
            last.and_then(|last| items.get(last)).unwrap_or(Value::Nil)
        }
    })
}

/// `{{ items | join: ', ' }}`; a blank if nothing else is said.
pub fn join<'a>(input: Value<'a>, args: &Arguments<'a>, cx: &FilterContext) -> FilterResult<'a> {
    let glue = match args.get(0) {
        None => " ".into(),
        Some(glue) => give::text(glue, cx)?,
    };
    let mut out = give::Bounded::new(cx);
    for (index, item) in give::items(input, cx)?.iter().enumerate() {
        if index > 0 {
            out.push(&glue)?;
        }
        out.text(item)?;
    }
    Ok(Value::text(out.finish()))
}

/// `{{ items | concat: others }}`: both arrays in one. Arrays within the input are flattened, those within the argument
/// stay, as in Liquid.
pub fn concat<'a>(input: Value<'a>, args: &Arguments<'a>, cx: &FilterContext) -> FilterResult<'a> {
    let Some(Value::Array(others)) = args.get(0) else {
        let kind = args.get(0).map_or("nil", Value::kind);
        return Err(FilterError::new(format!(
            "an array is needed here, not {kind}"
        )));
    };
    let mut list = give::List::new(cx);
    for item in give::items(input, cx)? {
        list.push(item)?;
    }
    cx.spend_items(others.len())?;
    for item in others.iter() {
        list.push(item)?;
    }
    Ok(list.finish())
}

/// `{{ items | reverse }}`.
pub fn reverse<'a>(input: Value<'a>, _: &Arguments<'a>, cx: &FilterContext) -> FilterResult<'a> {
    let mut items = give::items(input, cx)?;
    items.reverse();
    Ok(Value::array(items))
}

/// `{{ items | map: 'name' }}`: that property of each item.
pub fn map<'a>(input: Value<'a>, args: &Arguments<'a>, cx: &FilterContext) -> FilterResult<'a> {
    let name = args.get(0).unwrap_or(&Value::Nil);
    let mut list = give::List::new(cx);
    for item in give::items(input, cx)? {
        list.push(property(&item, name, cx)?.unwrap_or(Value::Nil))?;
    }
    Ok(list.finish())
}

/// `{{ items | compact }}`: without what is nil, or whose property is nil.
pub fn compact<'a>(input: Value<'a>, args: &Arguments<'a>, cx: &FilterContext) -> FilterResult<'a> {
    let mut list = give::List::new(cx);
    for item in give::items(input, cx)? {
        if !key(&item, args, cx)?.is_nil() {
            list.push(item)?;
        }
    }
    Ok(list.finish())
}

/// `{{ items | uniq }}`: each value once, or one item for each value of a property.
pub fn uniq<'a>(input: Value<'a>, args: &Arguments<'a>, cx: &FilterContext) -> FilterResult<'a> {
    // Keyed at random: a payload cannot choose values that collide.
    let state = RandomState::new();
    let mut seen: HashMap<u64, Vec<Value<'a>>> = HashMap::new();
    let mut list = give::List::new(cx);
    for item in give::items(input, cx)? {
        let key = key(&item, args, cx)?;
        let same_hash = seen.entry(hash(&key, &state, cx)?).or_default();
        let mut known = false;
        for other in same_hash.iter() {
            known = known || cx.equal(other, &key)?;
        }
        if !known {
            same_hash.push(key);
            list.push(item)?;
        }
    }
    Ok(list.finish())
}

/// `{{ items | sort }}`, `{{ items | sort: 'price' }}`: by number or by text, nil at the end. Equal
/// items keep their order.
pub fn sort<'a>(input: Value<'a>, args: &Arguments<'a>, cx: &FilterContext) -> FilterResult<'a> {
    let mut keyed = Vec::new();
    for item in give::items(input, cx)? {
        keyed.push((key(&item, args, cx)?, item));
    }
    // One kind only: the order is total, as the sort needs it.
    let mut kinds = keyed.iter().map(|(key, _)| key).filter(|key| !key.is_nil());
    if let Some(first) = kinds.next() {
        let sortable = matches!(first, Value::Number(_) | Value::Str(_) | Value::Bool(_));
        let odd = match sortable {
            true => kinds.find(|key| key.kind() != first.kind()),
            false if keyed.len() > 1 => Some(first),
            false => None,
        };
        if let Some(odd) = odd {
            return Err(FilterError::new(format!(
                "cannot sort {} among other values",
                odd.kind()
            )));
        }
    }
    let bytes = keyed.iter().map(|(key, _)| key.own_bytes());
    spend_sort(keyed.len(), bytes.sum(), cx)?;
    keyed.sort_by(|(a, _), (b, _)| compare(a, b));
    Ok(Value::array(
        keyed.into_iter().map(|(_, item)| item).collect(),
    ))
}

/// `{{ items | sort_natural }}`: by text, capitals and small letters alike, nil at the end.
pub fn sort_natural<'a>(
    input: Value<'a>,
    args: &Arguments<'a>,
    cx: &FilterContext,
) -> FilterResult<'a> {
    let mut keyed = Vec::new();
    let mut bytes = 0_usize;
    for item in give::items(input, cx)? {
        let key = key(&item, args, cx)?;
        let folded = match key.is_nil() {
            true => None,
            false => Some(give::text(&key, cx)?.to_lowercase()),
        };
        bytes = bytes.saturating_add(folded.as_ref().map_or(0, String::len));
        if bytes > cx.value_bytes {
            return Err(FilterError::too_long(cx));
        }
        keyed.push((folded, item));
    }
    spend_sort(keyed.len(), bytes as u64, cx)?;
    keyed.sort_by(|(a, _), (b, _)| match (a, b) {
        (Some(a), Some(b)) => a.cmp(b),
        (a, b) => a.is_none().cmp(&b.is_none()),
    });
    Ok(Value::array(
        keyed.into_iter().map(|(_, item)| item).collect(),
    ))
}

/// Counts a sort of so many keys that have so many bytes together: a merge sort reads each about once a level.
fn spend_sort(keys: usize, bytes: u64, cx: &FilterContext) -> Result<(), FilterError> {
    let levels = u64::from(usize::BITS - keys.leading_zeros());
    cx.spend(bytes.saturating_mul(levels))
}

/// What an item is sorted, compared or dropped by: itself, or the property that is named.
fn key<'a>(item: &Value<'a>, args: &Arguments<'a>, cx: &FilterContext) -> FilterResult<'a> {
    match args.get(0).filter(|name| !name.is_nil()) {
        Some(name) => Ok(property(item, name, cx)?.unwrap_or(Value::Nil)),
        None => Ok(item.clone()),
    }
}

/// Between values of one kind, or nil, which comes last.
fn compare(a: &Value<'_>, b: &Value<'_>) -> Ordering {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.cmp(b),
        (Value::Str(a), Value::Str(b)) => a.cmp(b),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (a, b) => a.is_nil().cmp(&b.is_nil()),
    }
}

/// Equal for values that are equal to Liquid.
fn hash(value: &Value<'_>, state: &RandomState, cx: &FilterContext) -> Result<u64, FilterError> {
    cx.spend(HASH_BYTES.saturating_add(value.own_bytes()))?;
    let mut hasher = state.build_hasher();
    match value {
        Value::Bool(b) => b.hash(&mut hasher),
        Value::Number(number) => number.key().hash(&mut hasher),
        Value::Str(text) => text.hash(&mut hasher),
        Value::Range(first, last) => (first, last).hash(&mut hasher),
        Value::Array(items) => {
            for item in items.iter() {
                hash(&item, state, cx)?.hash(&mut hasher);
            }
        }
        Value::Object(members) => {
            // The order of members does not count.
            let mut all = 0_u64;
            for (key, value) in members.iter() {
                cx.spend(key.len() as u64)?;
                all ^= state.hash_one((&*key, hash(&value, state, cx)?));
            }
            all.hash(&mut hasher);
        }
        Value::Nil | Value::Empty | Value::Blank => {}
    }
    Ok(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::filters::testing::{check, context};

    #[test]
    fn ends_and_joins() {
        check(&[
            ("first", r#"["a", "b"]"#, "[]", r#""a""#),
            ("first", "[]", "[]", "null"),
            ("first", r#"{"b": 1, "c": 2}"#, "[]", r#"["b",1]"#),
            ("first", "12", "[]", "null"),
            ("first", "\"äb\"", "[]", "\"ä\""),
            ("last", r#"["a", {}]"#, "[]", "{}"),
            ("last", r#"{"b": 1}"#, "[]", "null"),
            ("last", "null", "[]", "null"),
            (
                "join",
                r#"["a", 1, null, 0.10]"#,
                r##"["#"]"##,
                r##""a#1##0.10""##,
            ),
            ("join", r#"["a", ["b", ["c"]]]"#, "[]", r#""a b c""#),
            ("join", r#"["a", "b"]"#, "[null]", r#""ab""#),
            ("join", r#"["a", "b"]"#, "[5]", r#""a5b""#),
            ("join", "12", r##"["#"]"##, r#""12""#),
            ("join", "null", "[]", r#""""#),
            (
                "concat",
                r#"["a", ["b"]]"#,
                r#"[["c", ["d"]]]"#,
                r#"["a","b","c",["d"]]"#,
            ),
            ("concat", "null", "[[1]]", "[1]"),
            (
                "concat",
                "[1]",
                "[5]",
                "error: an array is needed here, not a number",
            ),
            (
                "concat",
                "[1]",
                "[null]",
                "error: an array is needed here, not nil",
            ),
            ("reverse", "[3, 1, 2]", "[]", "[2,1,3]"),
            ("reverse", "\"abc\"", "[]", "[\"abc\"]"),
            ("reverse", "null", "[]", "[]"),
        ]);
    }

    #[test]
    fn properties() {
        check(&[
            (
                "map",
                r#"[{"t": 1}, {"t": [2]}, {}]"#,
                r#"["t"]"#,
                "[1,[2],null]",
            ),
            ("map", r#"[{"t": 1}]"#, "[null]", "[null]"),
            ("map", r#"{"t": 1}"#, r#"["t"]"#, "[1]"),
            ("map", r#"[null, true]"#, r#"["t"]"#, "[null,null]"),
            ("map", "123", r#"["t"]"#, "error: 123 has no property"),
            ("map", "null", r#"["t"]"#, "[]"),
            ("compact", "[1, null, false, \"\"]", "[]", "[1,false,\"\"]"),
            (
                "compact",
                r#"[{"t": 1}, {"t": null}, {}]"#,
                r#"["t"]"#,
                r#"[{"t":1}]"#,
            ),
            ("compact", "null", "[]", "[]"),
            (
                "uniq",
                r#"["a", "b", 1, 1, 1.0, "1"]"#,
                "[]",
                r#"["a","b",1,"1"]"#,
            ),
            (
                "uniq",
                r#"[{"a": 1, "b": 2}, {"b": 2, "a": 1.0}, {"a": 2}]"#,
                "[]",
                r#"[{"a":1,"b":2},{"a":2}]"#,
            ),
            (
                "uniq",
                r#"[{"t": 1, "n": 1}, {"t": 1}, {"h": 1}, {"h": 2}]"#,
                r#"["t"]"#,
                r#"[{"t":1,"n":1},{"h":1}]"#,
            ),
            ("uniq", "[0, -0.0, 0e5, null, null]", "[]", "[0,null]"),
            ("uniq", "123", "[]", "[123]"),
        ]);
    }

    #[test]
    fn sorting() {
        check(&[
            (
                "sort",
                "[10, 9.5, null, -1, 18446744073709551615]",
                "[]",
                "[-1,9.5,10,18446744073709551615,null]",
            ),
            ("sort", r#"["b", "a", "B"]"#, "[]", r#"["B","a","b"]"#),
            (
                "sort",
                r#"[{"n": 2, "i": 1}, {"n": 1}, {"i": 2}, {"n": 2.0, "i": 3}]"#,
                r#"["n"]"#,
                r#"[{"n":1},{"n":2,"i":1},{"n":2.0,"i":3},{"i":2}]"#,
            ),
            (
                "sort",
                r#"[1, "4"]"#,
                "[]",
                "error: cannot sort a string among other values",
            ),
            (
                "sort",
                r#"[{}, {}]"#,
                "[]",
                "error: cannot sort an object among other values",
            ),
            ("sort", "[{}]", "[]", "[{}]"),
            ("sort", "null", "[]", "[]"),
            (
                "sort_natural",
                r#"["b", "a", null, "C", "B", "A"]"#,
                "[]",
                r#"["a","A","b","B","C",null]"#,
            ),
            ("sort_natural", r#"[{}, 1, "4"]"#, "[]", r#"[1,"4",{}]"#),
            (
                "sort_natural",
                r#"[{"t": 9}, {"t": 1111}, {"t": 87}]"#,
                r#"["t"]"#,
                r#"[{"t":1111},{"t":87},{"t":9}]"#,
            ),
            ("sort_natural", "123", "[]", "[123]"),
            ("sort_natural", "null", "[]", "[]"),
        ]);
    }

    #[test]
    fn ranges() {
        let args = Arguments::default();
        let text = |result: FilterResult<'_>| result.map(|value| value.to_text().into_owned());
        let range = Value::Range(1, 4);
        assert_eq!(
            text(join(range.clone(), &args, &context())).unwrap(),
            "1 2 3 4"
        );
        assert_eq!(text(first(range.clone(), &args, &context())).unwrap(), "1");
        assert_eq!(
            text(last(Value::Range(0, i64::MAX), &args, &context())).unwrap(),
            i64::MAX.to_string()
        );
        assert_eq!(text(reverse(range, &args, &context())).unwrap(), "4321");
        assert!(join(Value::Range(0, 1_000_000_000), &args, &context()).is_err());
        assert!(
            join(Value::Range(5, 1), &args, &context())
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn text_that_items_own_counts() {
        let half = vec![Value::text("x".repeat(context().value_bytes / 2))];
        let args = Arguments {
            positional: vec![Value::array(half.clone())],
            named: Vec::new(),
        };
        let error = concat(Value::array(half), &args, &context()).unwrap_err();
        assert_eq!(error, FilterError::too_long(&context()));
    }

    #[test]
    fn a_long_join_is_refused_before_it_is_made() {
        let word = "x".repeat(context().value_bytes / 10);
        let words = vec![Value::from(word.as_str()); 11];
        let error = join(Value::array(words), &Arguments::default(), &context()).unwrap_err();
        assert_eq!(error, FilterError::too_long(&context()));
    }
}
