//! Values during a render: borrowed from the scene and the template wherever they can be, never
//! deep-copied, in document order, numbers with their exact text.

use std::cmp::Ordering;
use std::rc::Rc;

use serde_json::Value as Json;

use super::limits;
use super::number::Number;
use crate::json::{Kind, Ref};

mod list;
mod print;
mod text;

use list::position;
pub use list::{Array, Object, Sequence, range_len};
pub use text::Text;

/// A value during a render. `'a` is the life of the scene and of the template. Clones are cheap.
#[derive(Debug, Clone)]
pub enum Value<'a> {
    /// `nil`, and what a missing path yields.
    Nil,
    /// The literal `empty`, which equals empty strings, arrays and objects.
    Empty,
    /// The literal `blank`, which equals what is empty, white space, nil and false.
    Blank,
    /// `true`, `false`.
    Bool(bool),
    /// A number, exact.
    Number(Number<'a>),
    /// Text.
    Str(Text<'a>),
    /// A lazy range of integers, both ends included.
    Range(i64, i64),
    /// An array.
    Array(Array<'a>),
    /// An object.
    Object(Object<'a>),
}

impl<'a> From<&'a Json> for Value<'a> {
    fn from(json: &'a Json) -> Self {
        match json {
            Json::Null => Self::Nil,
            Json::Bool(b) => Self::Bool(*b),
            Json::Number(n) => Self::Number(Number::from_json(n.as_str())),
            Json::String(s) => Self::Str(Text::Borrowed(s)),
            Json::Array(items) => Self::Array(Array::Json(items)),
            Json::Object(members) => Self::Object(Object::Json(members)),
        }
    }
}

impl<'a> From<Ref<'a>> for Value<'a> {
    fn from(json: Ref<'a>) -> Self {
        match json.kind() {
            Kind::Null => Self::Nil,
            Kind::Bool(b) => Self::Bool(b),
            Kind::Number(text) => Self::Number(Number::from_json(text)),
            Kind::String(text) => Self::Str(Text::Borrowed(text)),
            Kind::Array(items) => Self::Array(Array::Parsed(items)),
            Kind::Object(members) => Self::Object(Object::Parsed(members)),
        }
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Str(Text::Borrowed(text))
    }
}

impl<'a> Value<'a> {
    /// A whole number.
    #[must_use]
    pub fn int(value: i64) -> Self {
        Self::Number(Number::Int(value))
    }

    /// Text that was made.
    #[must_use]
    pub fn text(text: String) -> Self {
        Self::Str(Text::from(text))
    }

    /// An array that was made.
    #[must_use]
    pub fn array(mut items: Vec<Self>) -> Self {
        // It may be kept: room that is not used is given back.
        items.shrink_to_fit();
        Self::Array(Array::Made(Rc::new(items)))
    }

    /// An object that was made.
    #[must_use]
    pub fn object(mut members: Vec<(Text<'a>, Self)>) -> Self {
        members.shrink_to_fit();
        Self::Object(Object::Made(Rc::new(members)))
    }

    /// The value of owned JSON, in document order, numbers with their exact text.
    #[must_use]
    pub fn from_owned(json: Json) -> Self {
        match json {
            Json::Null => Self::Nil,
            Json::Bool(b) => Self::Bool(b),
            Json::Number(n) => Self::Number(match n.as_i64() {
                Some(int) if n.as_str() != "-0" => Number::Int(int),
                _ => Number::Made(Rc::from(n.as_str())),
            }),
            Json::String(s) => Self::text(s),
            Json::Array(items) => Self::array(items.into_iter().map(Self::from_owned).collect()),
            Json::Object(members) => Self::object(
                members
                    .into_iter()
                    .map(|(key, value)| (Text::from(key), Self::from_owned(value)))
                    .collect(),
            ),
        }
    }

    /// What the value is called in errors, with its article.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Empty => "`empty`",
            Self::Blank => "`blank`",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Str(_) => "a string",
            Self::Range(..) => "a range",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        }
    }

    /// Whether a condition takes it for true: all but `nil` and `false`.
    #[must_use]
    pub fn truthy(&self) -> bool {
        !matches!(self, Self::Nil | Self::Bool(false))
    }

    /// Whether it is `nil`.
    #[must_use]
    pub fn is_nil(&self) -> bool {
        matches!(self, Self::Nil)
    }

    /// Whether it equals `empty`: a string, array or object without content.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Str(text) => text.is_empty(),
            Self::Array(items) => items.is_empty(),
            Self::Object(members) => members.is_empty(),
            Self::Nil | Self::Blank | Self::Bool(_) | Self::Number(_) | Self::Range(..) => false,
        }
    }

    /// Whether it equals `blank`: nil, false, white space, or without content.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        match self {
            Self::Nil | Self::Blank | Self::Bool(false) => true,
            Self::Str(text) => text.trim().is_empty(),
            Self::Array(_) | Self::Object(_) => self.is_empty(),
            Self::Empty | Self::Bool(true) | Self::Number(_) | Self::Range(..) => false,
        }
    }

    /// Liquid's `==`: no coercion between kinds; `empty` and `blank` match what they describe.
    #[must_use]
    pub fn liquid_eq(&self, other: &Self) -> bool {
        let equal: Result<bool, std::convert::Infallible> = self.equal(other, &mut |_| Ok(()));
        equal.unwrap_or_else(|never| match never {})
    }

    /// As [`Value::liquid_eq`]; `spend` is told, value by value, about how many bytes are compared, and may end it.
    ///
    /// # Errors
    /// Those of `spend`.
    pub fn equal<E>(
        &self,
        other: &Self,
        spend: &mut impl FnMut(u64) -> Result<(), E>,
    ) -> Result<bool, E> {
        Ok(match (self, other) {
            (Self::Empty, Self::Blank) | (Self::Blank, Self::Empty) => false,
            (Self::Empty, value) | (value, Self::Empty) => value.is_empty(),
            (Self::Blank, value) | (value, Self::Blank) => {
                spend(value.own_bytes())?;
                value.is_blank()
            }
            (Self::Nil, Self::Nil) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Number(a), Self::Number(b)) => {
                spend(self.own_bytes().saturating_add(other.own_bytes()))?;
                a == b
            }
            (Self::Str(a), Self::Str(b)) => {
                spend(a.len().min(b.len()) as u64)?;
                **a == **b
            }
            (Self::Range(a, b), Self::Range(c, d)) => (a, b) == (c, d),
            (Self::Array(a), Self::Array(b)) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                for (x, y) in a.iter().zip(b.iter()) {
                    spend(limits::READ_ITEM_BYTES)?;
                    if !x.equal(&y, spend)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Self::Object(a), Self::Object(b)) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                for (key, x) in a.iter() {
                    spend(b.search_bytes(&key))?;
                    match b.get(&key) {
                        Some(y) if x.equal(&y, spend)? => {}
                        _ => return Ok(false),
                    }
                }
                true
            }
            _ => false,
        })
    }

    /// What reading the value is counted as, in bytes, without what lies within it. Numbers are read digit by digit, which
    /// takes longer.
    #[must_use]
    pub fn own_bytes(&self) -> u64 {
        match self {
            Self::Str(text) => text.len() as u64,
            Self::Number(number) => limits::DIGIT_BYTES.saturating_mul(number.text_bytes()),
            _ => 1,
        }
    }

    /// Liquid's order, between two numbers or two strings; `None` between anything else.
    #[must_use]
    pub fn liquid_cmp(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.partial_cmp(b),
            (Self::Str(a), Self::Str(b)) => Some(str::cmp(a, b)),
            _ => None,
        }
    }

    /// Liquid's `contains`: a substring, an item of an array, a key of an object.
    #[must_use]
    pub fn liquid_contains(&self, needle: &Self) -> bool {
        match self {
            _ if needle.is_nil() => false,
            Self::Str(text) => text.contains(&*needle.to_text()),
            Self::Array(items) => items.iter().any(|item| item.liquid_eq(needle)),
            Self::Object(members) => members.get(&needle.to_text()).is_some(),
            Self::Range(first, last) => match needle {
                Self::Number(n) => n.to_i64().is_some_and(|n| (first..=last).contains(&&n)),
                _ => false,
            },
            _ => false,
        }
    }

    /// The member that a path step in brackets or a step by name leads to; `nil` if there is none.
    #[must_use]
    pub fn member(&self, key: &Value<'_>) -> Value<'a> {
        let found = match (self, key) {
            (Self::Object(members), Value::Str(name)) => members.get(name),
            (Self::Object(members), Value::Number(_) | Value::Bool(_)) => {
                members.get(&key.to_text())
            }
            (Self::Array(items), Value::Number(n)) => whole(n)
                .and_then(|index| position(index, items.len()))
                .and_then(|index| items.get(index)),
            (Self::Range(first, last), Value::Number(n)) => whole(n)
                .and_then(|index| position(index, range_len(*first, *last)))
                .and_then(|index| first.checked_add_unsigned(index as u64))
                .map(Self::int),
            _ => None,
        };
        found.unwrap_or(Value::Nil)
    }

    /// The member that a step `.name` leads to: `first`, `last` and `size` too.
    #[must_use]
    pub fn dot(&self, name: &str) -> Value<'a> {
        if let Self::Object(members) = self
            && let Some(value) = members.get(name)
        {
            return value;
        }
        match (name, self) {
            ("size", Self::Array(items)) => Self::count(items.len()),
            ("size", Self::Object(members)) => Self::count(members.len()),
            ("size", Self::Str(text)) => Self::count(text.chars().count()),
            ("size", Self::Range(first, last)) => Self::count(range_len(*first, *last)),
            ("first", Self::Array(items)) => items.get(0).unwrap_or(Self::Nil),
            ("last", Self::Array(items)) => items
                .len()
                .checked_sub(1)
                .and_then(|last| items.get(last))
                .unwrap_or(Self::Nil),
            ("first", Self::Object(members)) => {
                members.iter().next().map_or(Self::Nil, |(key, value)| {
                    Self::array(vec![Self::Str(key), value])
                })
            }
            ("first", Self::Str(text)) => Self::character(text.chars().next()),
            ("last", Self::Str(text)) => Self::character(text.chars().next_back()),
            ("first", Self::Range(first, last)) if first <= last => Self::int(*first),
            ("last", Self::Range(first, last)) if first <= last => Self::int(*last),
            _ => Self::Nil,
        }
    }

    fn count(count: usize) -> Self {
        Self::int(i64::try_from(count).unwrap_or(i64::MAX))
    }

    fn character(character: Option<char>) -> Self {
        character.map_or(Self::Nil, |c| Self::text(c.to_string()))
    }

    /// What a loop over the value runs through.
    #[must_use]
    pub fn sequence(&self) -> Sequence<'a> {
        match self {
            Self::Array(items) => Sequence::Array(items.clone()),
            Self::Range(first, last) => Sequence::Range(*first, *last),
            Self::Object(members) => Sequence::Array(members.pairs()),
            Self::Str(text) if !text.is_empty() => {
                Sequence::Array(Array::Made(Rc::new(vec![Self::Str(text.clone())])))
            }
            _ => Sequence::Array(Array::Json(&[])),
        }
    }
}

/// The number as an index, if it has no fraction.
fn whole(number: &Number<'_>) -> Option<i64> {
    number
        .to_i64()
        .filter(|whole| Number::Int(*whole) == *number)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn truth_emptiness_and_text() {
        // value, truthy, equals empty, equals blank, text
        let rows = [
            (json!(null), false, false, true, ""),
            (json!(false), false, false, true, "false"),
            (json!(true), true, false, false, "true"),
            (json!(0), true, false, false, "0"),
            (json!(""), true, true, true, ""),
            (json!(" \n"), true, false, true, " \n"),
            (json!("a"), true, false, false, "a"),
            (json!([]), true, true, true, ""),
            (json!([1, [null, "b"], 2]), true, false, false, "1b2"),
            (json!({}), true, true, true, "{}"),
            (
                json!({"b": [1], "a": "\""}),
                true,
                false,
                false,
                r#"{"b":[1],"a":"\""}"#,
            ),
        ];
        for (json, truthy, empty, blank, text) in &rows {
            let value = Value::from(json);
            assert_eq!(value.truthy(), *truthy, "{json} truthy");
            assert_eq!(value.liquid_eq(&Value::Empty), *empty, "{json} == empty");
            assert_eq!(value.liquid_eq(&Value::Blank), *blank, "{json} == blank");
            assert_eq!(value.to_text(), *text, "{json}");
            let owned = Value::from_owned(json.clone());
            assert!(owned.liquid_eq(&value), "{json} owned");
        }
    }

    #[test]
    fn only_equal_kinds_are_equal_and_ordered() {
        let values = [
            json!(1),
            json!("1"),
            json!(true),
            json!(null),
            json!([1]),
            json!({"a": 1}),
        ];
        for (i, a) in values.iter().enumerate() {
            for (j, b) in values.iter().enumerate() {
                let (x, y) = (Value::from(a), Value::from(b));
                assert_eq!(x.liquid_eq(&y), i == j, "{a} == {b}");
                assert_eq!(x.liquid_cmp(&y).is_some(), i == j && i < 2, "{a} < {b}");
            }
        }
        let (a, b) = (json!({"a": 1, "b": 2.0}), json!({"b": 2.0, "a": 1}));
        assert!(Value::from(&a).liquid_eq(&Value::from(&b)));
        assert!(!Value::Empty.liquid_eq(&Value::Blank));
    }

    #[test]
    fn members() {
        let json = json!({"a": [10, 20, 30], "s": "häh", "o": {"size": 9, "x": 1}, "1": "one"});
        let value = Value::from(&json);
        let rows = [
            (value.dot("a").member(&Value::int(0)), "10"),
            (value.dot("a").member(&Value::int(-1)), "30"),
            (value.dot("a").member(&Value::int(3)), ""),
            (value.dot("a").member(&Value::int(i64::MIN)), ""),
            (value.dot("a").member(&Value::from("size")), ""),
            (value.dot("a").dot("size"), "3"),
            (value.dot("a").dot("first"), "10"),
            (value.dot("a").dot("last"), "30"),
            (value.dot("s").dot("size"), "3"),
            (value.dot("o").dot("size"), "9"),
            (value.dot("o").dot("first"), "size9"),
            (value.member(&Value::int(1)), "one"),
            (value.dot("nothing").dot("at").dot("all"), ""),
            (Value::Range(2, 5).member(&Value::int(-1)), "5"),
            (Value::Range(2, 5).dot("size"), "4"),
            (
                Value::Range(i64::MIN, i64::MAX).dot("first"),
                "-9223372036854775808",
            ),
            (Value::Range(5, 2).dot("first"), ""),
        ];
        for (index, (found, expected)) in rows.iter().enumerate() {
            assert_eq!(found.to_text(), *expected, "row {index}");
        }
    }
}
