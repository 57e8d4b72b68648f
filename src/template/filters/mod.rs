//! All filters, in one register, over borrowed values.
//!
//! Filters on text, HTML, URLs and dates are served by `liquid-lib` through `adapter` where it does
//! what the Liquid documentation says; filters on numbers, arrays and objects are our own, because the
//! crate's values round numbers and forget the order of members. Promises: no filter panics; a text or
//! an array that a filter makes is bounded by [`FilterContext::value_bytes`] before it is allocated
//! (what `liquid-lib` makes of bounded text is at most a few times as long, and checked after).
//! What lies within items is counted where it is read ([`FilterContext::work`]): the same large value may stand in an
//! array many times.
//!
//! A filter is one function in the file of its family and one row in the register below. The caller
//! checks the number and the names of the arguments against that row when it compiles a template.

mod adapter;
mod array;
mod date;
mod encode;
mod general;
mod give;
mod math;
mod select;
mod text;

use std::cell::Cell;

use jiff::Timestamp;

use self::adapter::Served;
use super::limits;
use super::number::NumberError;
use super::value::Value;

/// What a filter may know besides its input and arguments.
#[derive(Debug)]
pub struct FilterContext {
    /// What the filter `date` takes for "now": the event's time.
    pub now: Timestamp,
    /// Most bytes that a string or an array made by a filter may take.
    pub value_bytes: usize,
    /// How many bytes may still be read and made. Filters count what lies within the items that they look into, and
    /// what they look at more than once; the caller counts the input itself and the result.
    pub work: Cell<u64>,
}

impl FilterContext {
    /// Counts so many bytes of work.
    fn spend(&self, bytes: u64) -> Result<(), FilterError> {
        match self.work.get().checked_sub(bytes) {
            Some(left) => {
                self.work.set(left);
                Ok(())
            }
            None => Err(FilterError(format!(
                "the render moves more than {} bytes",
                limits::BYTES
            ))),
        }
    }

    /// Counts the reading of so many items.
    fn spend_items(&self, count: usize) -> Result<(), FilterError> {
        self.spend(limits::READ_ITEM_BYTES.saturating_mul(count as u64))
    }

    /// Liquid's `==`, counted.
    fn equal(&self, a: &Value<'_>, b: &Value<'_>) -> Result<bool, FilterError> {
        a.equal(b, &mut |bytes| self.spend(bytes))
    }
}

/// The arguments of one use of a filter.
#[derive(Debug, Clone, Default)]
pub struct Arguments<'a> {
    /// By position.
    pub positional: Vec<Value<'a>>,
    /// By name.
    pub named: Vec<(&'a str, Value<'a>)>,
}

impl<'a> Arguments<'a> {
    /// The argument at `index`, from 0; `None` if it was not given.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&Value<'a>> {
        self.positional.get(index)
    }

    /// The argument of this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Value<'a>> {
        self.named
            .iter()
            .rev()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }
}

/// Why a filter failed; the caller adds the place in the template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FilterError(pub String);

impl FilterError {
    fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    fn too_long(cx: &FilterContext) -> Self {
        Self(format!(
            "the result takes more than {} bytes",
            cx.value_bytes
        ))
    }
}

impl From<NumberError> for FilterError {
    fn from(error: NumberError) -> Self {
        Self(error.to_string())
    }
}

/// What a filter gives.
pub type FilterResult<'a> = Result<Value<'a>, FilterError>;

/// What a filter yields, for the proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Yields {
    /// Always text.
    Text,
    /// Always a number.
    Number,
    /// Always an array.
    Array,
    /// `true` or `false`.
    Bool,
    /// Anything.
    Any,
}

/// A filter, as the register knows it.
#[derive(Clone, Copy)]
pub struct Filter {
    /// Its name in templates.
    pub name: &'static str,
    /// Fewest and most arguments by position.
    pub arguments: (usize, usize),
    /// The names of the arguments that go by name.
    pub named: &'static [&'static str],
    /// What it yields.
    pub yields: Yields,
    /// What it does.
    pub kind: Kind,
}

/// A filter of our own.
pub type OwnFilter = for<'a> fn(Value<'a>, &Arguments<'a>, &FilterContext) -> FilterResult<'a>;

/// Who does the work of a filter.
#[derive(Clone, Copy)]
pub enum Kind {
    /// A function of this module.
    Own(OwnFilter),
    /// A filter of `liquid-lib`, through the adapter.
    Crate(&'static Served),
}

impl Filter {
    /// Runs the filter.
    ///
    /// # Errors
    /// What the filter cannot do with this input and these arguments.
    pub fn apply<'a>(
        &self,
        input: Value<'a>,
        args: &Arguments<'a>,
        cx: &FilterContext,
    ) -> FilterResult<'a> {
        match self.kind {
            Kind::Own(function) => function(input, args, cx),
            Kind::Crate(served) => served.apply(input, args, cx),
        }
    }

    const fn own(
        name: &'static str,
        arguments: (usize, usize),
        yields: Yields,
        function: OwnFilter,
    ) -> Self {
        Self {
            name,
            arguments,
            named: &[],
            yields,
            kind: Kind::Own(function),
        }
    }

    const fn served(
        name: &'static str,
        arguments: (usize, usize),
        yields: Yields,
        served: &'static Served,
    ) -> Self {
        Self {
            name,
            arguments,
            named: &[],
            yields,
            kind: Kind::Crate(served),
        }
    }

    const fn with_names(self, named: &'static [&'static str]) -> Self {
        Self { named, ..self }
    }
}

/// The filter of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Filter> {
    FILTERS
        .binary_search_by(|filter| filter.name.cmp(name))
        .ok()
        .and_then(|index| FILTERS.get(index))
}

/// The names of all filters, sorted.
pub fn names() -> impl Iterator<Item = &'static str> {
    FILTERS.iter().map(|filter| filter.name)
}

/// Sorted by name.
#[rustfmt::skip]
static FILTERS: &[Filter] = &[
    Filter::own("abs", (0, 0), Yields::Number, math::abs),
    Filter::served("append", (1, 1), Yields::Text, &adapter::APPEND),
    Filter::own("at_least", (1, 1), Yields::Number, math::at_least),
    Filter::own("at_most", (1, 1), Yields::Number, math::at_most),
    Filter::own("base64_decode", (0, 0), Yields::Text, encode::base64_decode),
    Filter::own("base64_encode", (0, 0), Yields::Text, encode::base64_encode),
    Filter::own("base64_url_safe_decode", (0, 0), Yields::Text, encode::base64_url_safe_decode),
    Filter::own("base64_url_safe_encode", (0, 0), Yields::Text, encode::base64_url_safe_encode),
    Filter::served("capitalize", (0, 0), Yields::Text, &adapter::CAPITALIZE),
    Filter::own("ceil", (0, 0), Yields::Number, math::ceil),
    Filter::own("compact", (0, 1), Yields::Array, array::compact),
    Filter::own("concat", (1, 1), Yields::Array, array::concat),
    Filter::served("date", (1, 1), Yields::Any, &date::DATE),
    Filter::own("default", (0, 1), Yields::Any, general::default).with_names(&["allow_false"]),
    Filter::own("divided_by", (1, 1), Yields::Number, math::divided_by),
    Filter::served("downcase", (0, 0), Yields::Text, &adapter::DOWNCASE),
    Filter::served("escape", (0, 0), Yields::Text, &adapter::ESCAPE),
    Filter::own("escape_once", (0, 0), Yields::Text, encode::escape_once),
    Filter::own("find", (1, 2), Yields::Any, select::find),
    Filter::own("find_index", (1, 2), Yields::Any, select::find_index),
    Filter::own("first", (0, 0), Yields::Any, array::first),
    Filter::own("floor", (0, 0), Yields::Number, math::floor),
    Filter::own("has", (1, 2), Yields::Any, select::has),
    Filter::own("join", (0, 1), Yields::Text, array::join),
    Filter::own("json", (0, 0), Yields::Text, general::json),
    Filter::own("last", (0, 0), Yields::Any, array::last),
    Filter::served("lstrip", (0, 0), Yields::Text, &adapter::LSTRIP),
    Filter::own("map", (1, 1), Yields::Array, array::map),
    Filter::own("minus", (1, 1), Yields::Number, math::minus),
    Filter::own("modulo", (1, 1), Yields::Number, math::modulo),
    Filter::own("newline_to_br", (0, 0), Yields::Text, encode::newline_to_br),
    Filter::own("plus", (1, 1), Yields::Number, math::plus),
    Filter::served("prepend", (1, 1), Yields::Text, &adapter::PREPEND),
    Filter::own("reject", (1, 2), Yields::Array, select::reject),
    Filter::served("remove", (1, 1), Yields::Text, &adapter::REMOVE),
    Filter::served("remove_first", (1, 1), Yields::Text, &adapter::REMOVE_FIRST),
    Filter::own("remove_last", (1, 1), Yields::Text, text::remove_last),
    Filter::served("replace", (1, 2), Yields::Text, &adapter::REPLACE),
    Filter::served("replace_first", (1, 2), Yields::Text, &adapter::REPLACE_FIRST),
    Filter::own("replace_last", (2, 2), Yields::Text, text::replace_last),
    Filter::own("reverse", (0, 0), Yields::Array, array::reverse),
    Filter::own("round", (0, 1), Yields::Number, math::round),
    Filter::served("rstrip", (0, 0), Yields::Text, &adapter::RSTRIP),
    Filter::own("size", (0, 0), Yields::Number, general::size),
    Filter::own("slice", (1, 2), Yields::Any, general::slice),
    Filter::own("sort", (0, 1), Yields::Array, array::sort),
    Filter::own("sort_natural", (0, 1), Yields::Array, array::sort_natural),
    Filter::own("split", (1, 1), Yields::Array, text::split),
    Filter::served("strip", (0, 0), Yields::Text, &adapter::STRIP),
    Filter::served("strip_html", (0, 0), Yields::Text, &adapter::STRIP_HTML),
    Filter::served("strip_newlines", (0, 0), Yields::Text, &adapter::STRIP_NEWLINES),
    Filter::own("sum", (0, 1), Yields::Number, math::sum),
    Filter::own("times", (1, 1), Yields::Number, math::times),
    Filter::own("truncate", (0, 2), Yields::Text, text::truncate),
    Filter::own("truncatewords", (0, 2), Yields::Text, text::truncatewords),
    Filter::own("uniq", (0, 1), Yields::Array, array::uniq),
    Filter::served("upcase", (0, 0), Yields::Text, &adapter::UPCASE),
    Filter::served("url_decode", (0, 0), Yields::Text, &adapter::URL_DECODE),
    Filter::served("url_encode", (0, 0), Yields::Text, &adapter::URL_ENCODE),
    Filter::own("where", (1, 2), Yields::Array, select::where_),
];

/// What the tests of all families share.
#[cfg(test)]
mod testing {
    use serde_json::Value as Json;

    use super::*;

    /// 2026-11-21 02:00:00 UTC, strings and arrays up to 4 KiB.
    pub fn context() -> FilterContext {
        FilterContext {
            now: Timestamp::constant(1_795_226_400, 0),
            value_bytes: 4 * 1024,
            work: Cell::new(limits::BYTES),
        }
    }

    /// The filter's result as JSON text, or its error behind `error: `.
    pub fn apply(name: &str, input: &Json, args: &[Json]) -> String {
        let filter = find(name).unwrap_or_else(|| panic!("no filter {name}"));
        let args = Arguments {
            positional: args.iter().map(Value::from).collect(),
            named: Vec::new(),
        };
        match filter.apply(Value::from(input), &args, &context()) {
            Ok(value) => {
                let mut text = String::new();
                value.write_json(&mut text).unwrap();
                text
            }
            Err(error) => format!("error: {error}"),
        }
    }

    /// Rows of `filter, input, arguments, result`: JSON texts, the arguments as an array. A result
    /// `error: ` stands for any error that begins so.
    pub fn check(rows: &[(&str, &str, &str, &str)]) {
        for (name, input, args, expected) in rows {
            let json = |text: &str| {
                serde_json::from_str::<Json>(text).unwrap_or_else(|e| panic!("{text}: {e}"))
            };
            let args_json = json(args);
            let actual = apply(name, &json(input), args_json.as_array().unwrap());
            let right = match expected.strip_prefix("error: ") {
                Some(_) => actual.starts_with(expected),
                None => actual == *expected,
            };
            assert!(
                right,
                "{input} | {name}: {args}\n  gives {actual}\n  wanted {expected}"
            );
        }
    }
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn no_filter_panics_and_each_yields_what_it_says() {
        let inputs = inputs();
        for filter in FILTERS {
            for input in &inputs {
                for first in &inputs {
                    for second in [json!(null), json!(1), json!("a"), json!("x".repeat(5_000))] {
                        let mut positional = vec![Value::from(first), Value::from(&second)];
                        positional.truncate(filter.arguments.1);
                        let args = Arguments {
                            positional,
                            named: Vec::new(),
                        };
                        if let Ok(value) = filter.apply(Value::from(input), &args, &context()) {
                            check_kind(filter, &value);
                        }
                        if filter.arguments.1 < 2 {
                            break;
                        }
                    }
                    if filter.arguments.1 < 1 {
                        break;
                    }
                }
            }
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
        for filter in FILTERS {
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
            for filter in FILTERS {
                let mut args = vec![json!(first), json!(second)];
                args.truncate(filter.arguments.1);
                let _ = apply(filter.name, &json!(input), &args);
                let _ = apply(filter.name, &json!("2023-04-05T06:07:08.009Z"), &args);
                let _ = apply(filter.name, &json!([input, first]), &args);
            }
        }
    }
}
