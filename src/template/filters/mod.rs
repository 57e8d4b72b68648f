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
//! A filter is one function in the file of its family and one row in `register`. The caller
//! checks the number and the names of the arguments against that row when it compiles a template.

mod adapter;
mod array;
mod date;
mod encode;
mod general;
mod give;
mod math;
mod register;
mod select;
mod text;

pub use register::{find, names};

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
    /// How many bytes of text were made for the items of an array: the caller counts them with the result.
    pub made: Cell<u64>,
}

impl FilterContext {
    /// Counts so many bytes of work.
    fn spend(&self, bytes: u64) -> Result<(), FilterError> {
        match self.work.get().checked_sub(bytes) {
            Some(left) => {
                self.work.set(left);
                Ok(())
            }
            None => Err(FilterError::limit(format!(
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
#[error("{message}")]
pub struct FilterError {
    message: String,
    limit: bool,
}

impl FilterError {
    /// The filter cannot work on this input with these arguments.
    fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            limit: false,
        }
    }

    /// One of our limits is passed.
    fn limit(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            limit: true,
        }
    }

    fn too_long(cx: &FilterContext) -> Self {
        Self::limit(format!(
            "the result takes more than {} bytes",
            cx.value_bytes
        ))
    }

    /// Whether a limit is passed; otherwise it is one of the cases that [`Filter::fails`] names.
    #[must_use]
    pub fn is_limit(&self) -> bool {
        self.limit
    }
}

impl From<NumberError> for FilterError {
    fn from(error: NumberError) -> Self {
        Self {
            message: error.to_string(),
            limit: error == NumberError::TooLong,
        }
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
    /// Anything. (`find_index` and `has` no more than a number or a boolean, or nil; `slice` text or an array.)
    Any,
}

/// On what a filter fails at render, but for passing a limit; for the proof. Each case is a short phrase for the author.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fails {
    /// On nothing.
    Never,
    /// On such an input.
    Input(&'static str),
    /// On such an argument. The arguments alone decide: with those that it works with on an empty text, it works on every
    /// input ([`Filter::works_with`]).
    Argument(&'static str),
    /// On such an input, if it is given the name of a property; without one it never fails.
    Property(&'static str),
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
    /// What it yields, whenever it does not fail.
    pub yields: Yields,
    /// On what it fails.
    pub fails: Fails,
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

    /// Whether these arguments are none on which [`Fails::Argument`] says that the filter fails. A template that names
    /// its arguments outright (`truncate: 20`) cannot fail there.
    #[must_use]
    pub fn works_with(&self, args: &Arguments<'_>) -> bool {
        let cx = FilterContext {
            now: Timestamp::UNIX_EPOCH,
            value_bytes: limits::VALUE_BYTES,
            work: Cell::new(limits::BYTES),
            made: Cell::new(0),
        };
        match self.apply(Value::from(""), args, &cx) {
            Ok(_) => true,
            Err(error) => error.is_limit(),
        }
    }

    const fn own(
        name: &'static str,
        arguments: (usize, usize),
        yields: Yields,
        fails: Fails,
        function: OwnFilter,
    ) -> Self {
        Self {
            name,
            arguments,
            named: &[],
            yields,
            fails,
            kind: Kind::Own(function),
        }
    }

    const fn served(
        name: &'static str,
        arguments: (usize, usize),
        yields: Yields,
        fails: Fails,
        served: &'static Served,
    ) -> Self {
        Self {
            name,
            arguments,
            named: &[],
            yields,
            fails,
            kind: Kind::Crate(served),
        }
    }

    const fn with_names(self, named: &'static [&'static str]) -> Self {
        Self { named, ..self }
    }
}

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
            made: Cell::new(0),
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
mod tests;
