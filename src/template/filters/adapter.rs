//! The filters of `liquid-lib`, served to our renders.
//!
//! Each is parsed once, with variables for arguments; a use evaluates it with scalars through the
//! crate's own interfaces (`Runtime`, `Expression`, `ValueView`). Text goes in and text comes out: an
//! exact number enters as its text and never as the crate's `i64` or `f64`.
//!
//! Only filters that do what the Liquid documentation says are here; a few need a finish, which is
//! given with its reason. What `liquid-lib` does otherwise is our own, with the reason at the filter.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, LazyLock};

use liquid::model::{KString, KStringCow, KStringRef, ScalarCow, Value as CrateValue, ValueCow};
use liquid_core::parser::FilterArguments;
use liquid_core::runtime::{PartialStore, Registers, Variable};
use liquid_core::{Error, Expression, Filter, ParseFilter, Renderable, Runtime, ValueView};
use liquid_lib::stdlib;

use super::{Arguments, FilterContext, FilterError, FilterResult, give};
use crate::template::value::Value;

/// What a call is counted as besides its text, in bytes: the crate's interfaces take their time.
const CALL_BYTES: u64 = 128;

/// What a place where a pattern fits is counted as, in bytes.
const MATCH_BYTES: u64 = 64;

/// Most positional arguments that a served filter takes.
const ARGUMENTS: [&str; 2] = ["first", "second"];

/// The arguments of a filter; those that were not given are empty text.
type Scalars<'v> = [ScalarCow<'v>; ARGUMENTS.len()];

/// A filter of `liquid-lib`, or a chain of them, ready for use.
pub struct Served(LazyLock<Chain>);

/// The parsed filters, the output of one being the input of the next.
pub struct Chain {
    filters: Result<Vec<Box<dyn Filter>>, String>,
    prepare: Prepare,
    finish: fn(String) -> String,
}

/// How input and arguments become scalars.
pub type Prepare = for<'v, 'a> fn(
    &'v Value<'a>,
    &'v Arguments<'a>,
    &FilterContext,
) -> Result<Prepared<'v>, FilterError>;

/// What goes to the crate.
pub enum Prepared<'v> {
    /// Nothing: the filter gives its input.
    Unchanged,
    /// These scalars.
    Call {
        /// The input.
        input: ScalarCow<'v>,
        /// The arguments by position, as many as a filter can have.
        args: Scalars<'v>,
    },
}

pub static APPEND: Served = Served::new(|| Chain::new(&[&stdlib::Append], 1, with_growth));
pub static PREPEND: Served = Served::new(|| Chain::new(&[&stdlib::Prepend], 1, with_growth));
pub static REPLACE: Served = Served::new(|| Chain::new(&[&stdlib::Replace], 2, with_replacements));
pub static REPLACE_FIRST: Served =
    Served::new(|| Chain::new(&[&stdlib::ReplaceFirst], 2, with_growth));
pub static REMOVE: Served = Served::new(|| Chain::new(&[&stdlib::Remove], 1, texts));
pub static REMOVE_FIRST: Served = Served::new(|| Chain::new(&[&stdlib::RemoveFirst], 1, texts));
pub static UPCASE: Served = Served::new(|| Chain::new(&[&stdlib::Upcase], 0, texts));
pub static DOWNCASE: Served = Served::new(|| Chain::new(&[&stdlib::Downcase], 0, texts));
/// The documentation puts the rest in small letters, which the crate's filter alone does not.
pub static CAPITALIZE: Served =
    Served::new(|| Chain::new(&[&stdlib::Downcase, &stdlib::Capitalize], 0, texts));
pub static STRIP: Served = Served::new(|| Chain::new(&[&stdlib::Strip], 0, texts));
pub static LSTRIP: Served = Served::new(|| Chain::new(&[&stdlib::Lstrip], 0, texts));
pub static RSTRIP: Served = Served::new(|| Chain::new(&[&stdlib::Rstrip], 0, texts));
pub static STRIP_NEWLINES: Served = Served::new(|| Chain::new(&[&stdlib::StripNewlines], 0, texts));
pub static STRIP_HTML: Served = Served::new(|| Chain::new(&[&stdlib::StripHtml], 0, with_tags));
pub static ESCAPE: Served = Served::new(|| Chain::new(&[&stdlib::Escape], 0, with_entities));
pub static URL_DECODE: Served = Served::new(|| Chain::new(&[&stdlib::UrlDecode], 0, texts));
/// The documentation encodes a blank as `+` and leaves `~`, which is unreserved, alone.
pub static URL_ENCODE: Served = Served::new(|| Chain {
    finish: |text| text.replace("%20", "+").replace("%7E", "~"),
    ..Chain::new(&[&stdlib::UrlEncode], 0, with_percents)
});

impl Served {
    /// A filter that is parsed at its first use.
    pub const fn new(chain: fn() -> Chain) -> Self {
        Self(LazyLock::new(chain))
    }

    /// Runs the filter.
    pub fn apply<'a>(
        &self,
        input: Value<'a>,
        args: &Arguments<'a>,
        cx: &FilterContext,
    ) -> FilterResult<'a> {
        let chain = &*self.0;
        let filters = chain
            .filters
            .as_ref()
            .map_err(|error| FilterError::new(error.as_str()))?;
        cx.spend(CALL_BYTES)?;
        let text = match (chain.prepare)(&input, args, cx)? {
            Prepared::Unchanged => None,
            Prepared::Call { input, args } => Some(run(filters, input, args)?),
        };
        match text.map(chain.finish) {
            None => Ok(input),
            Some(text) if text.len() > cx.value_bytes => Err(FilterError::too_long(cx)),
            Some(text) => Ok(Value::text(text)),
        }
    }
}

impl Chain {
    /// Parses the filters with variables for the arguments of the first.
    pub fn new(filters: &[&dyn ParseFilter], arguments: usize, prepare: Prepare) -> Self {
        let mut arguments = arguments;
        let parsed = filters.iter().map(|filter| {
            let names = ARGUMENTS.into_iter().take(std::mem::take(&mut arguments));
            filter
                .parse(FilterArguments {
                    positional: Box::new(
                        names.map(|name| Expression::Variable(Variable::with_literal(name))),
                    ),
                    keyword: Box::new(std::iter::empty()),
                })
                .map_err(|error| message(&error))
        });
        Self {
            filters: parsed.collect(),
            prepare,
            finish: |text| text,
        }
    }
}

fn run(
    filters: &[Box<dyn Filter>],
    input: ScalarCow<'_>,
    args: Scalars<'_>,
) -> Result<String, FilterError> {
    let runtime = CallRuntime {
        args,
        registers: Registers::default(),
    };
    let (first, rest) = filters
        .split_first()
        .ok_or_else(|| FilterError::new("no filter"))?;
    let mut value = first
        .evaluate(&input, &runtime)
        .map_err(|error| FilterError::new(message(&error)))?;
    for filter in rest {
        value = filter
            .evaluate(value.as_view(), &runtime)
            .map_err(|error| FilterError::new(message(&error)))?;
    }
    Ok(value
        .into_scalar()
        .map_or_else(String::new, |scalar| scalar.into_cow_str().into_owned()))
}

/// The crate's message, or the cause that it names, without prefix and trace.
fn message(error: &Error) -> String {
    let text = error.to_string();
    let cause = text
        .lines()
        .find_map(|line| line.trim_start().strip_prefix("cause="));
    let first = text.lines().next().unwrap_or_default();
    let line = cause.unwrap_or(first.strip_prefix("liquid: ").unwrap_or(first));
    let mut characters = line.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(characters).collect()
    })
}

/// Input and arguments as text, for filters whose result is at most a few times as long.
pub fn texts<'v>(
    input: &'v Value<'_>,
    args: &'v Arguments<'_>,
    cx: &FilterContext,
) -> Result<Prepared<'v>, FilterError> {
    let input = give::text(input, cx)?;
    if input.len() > cx.value_bytes {
        return Err(FilterError::too_long(cx));
    }
    let arg = |index| give::optional_text(args.get(index), cx).map(scalar);
    Ok(Prepared::Call {
        input: scalar(input),
        args: [arg(0)?, arg(1)?],
    })
}

/// As [`texts`], where each argument can add its length once.
fn with_growth<'v>(
    input: &'v Value<'_>,
    args: &'v Arguments<'_>,
    cx: &FilterContext,
) -> Result<Prepared<'v>, FilterError> {
    let mut length = give::text(input, cx)?.len();
    for arg in &args.positional {
        length = length.saturating_add(give::text(arg, cx)?.len());
    }
    match length {
        length if length > cx.value_bytes => Err(FilterError::too_long(cx)),
        _ => texts(input, args, cx),
    }
}

/// As [`texts`], for patterns that are looked for: what each `<` costs does not show in the result.
fn with_tags<'v>(
    input: &'v Value<'_>,
    args: &'v Arguments<'_>,
    cx: &FilterContext,
) -> Result<Prepared<'v>, FilterError> {
    let text = give::text(input, cx)?;
    let tags = text.bytes().filter(|b| *b == b'<').count();
    cx.spend(MATCH_BYTES.saturating_mul(tags as u64))?;
    texts(input, args, cx)
}

/// As [`texts`], where each of five characters becomes an entity.
fn with_entities<'v>(
    input: &'v Value<'_>,
    args: &'v Arguments<'_>,
    cx: &FilterContext,
) -> Result<Prepared<'v>, FilterError> {
    /// `&quot;`
    const LONGEST: usize = 6;
    let special = |b: &u8| matches!(b, b'&' | b'<' | b'>' | b'"' | b'\'');
    with_longer(input, args, cx, special, LONGEST)
}

/// As [`texts`], where all but letters, digits and some signs become a percent sign and two digits.
fn with_percents<'v>(
    input: &'v Value<'_>,
    args: &'v Arguments<'_>,
    cx: &FilterContext,
) -> Result<Prepared<'v>, FilterError> {
    /// `%20`
    const LONGEST: usize = 3;
    let special = |b: &u8| !(b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
    with_longer(input, args, cx, special, LONGEST)
}

/// As [`texts`], where special bytes become at most `longest` bytes each.
fn with_longer<'v>(
    input: &'v Value<'_>,
    args: &'v Arguments<'_>,
    cx: &FilterContext,
    special: impl Fn(&u8) -> bool,
    longest: usize,
) -> Result<Prepared<'v>, FilterError> {
    let text = give::text(input, cx)?;
    let count = text.as_bytes().iter().filter(|b| special(b)).count();
    let growth = count.saturating_mul(longest.saturating_sub(1));
    cx.spend(growth as u64)?;
    if text.len().saturating_add(growth) > cx.value_bytes {
        return Err(FilterError::too_long(cx));
    }
    texts(input, args, cx)
}

/// As [`texts`], where the second argument comes as often as the first one occurs.
fn with_replacements<'v>(
    input: &'v Value<'_>,
    args: &'v Arguments<'_>,
    cx: &FilterContext,
) -> Result<Prepared<'v>, FilterError> {
    let text = give::text(input, cx)?;
    let search = give::optional_text(args.get(0), cx)?;
    let replacement = give::optional_text(args.get(1), cx)?;
    if search.is_empty() {
        // It occurs before every character.
        cx.spend(MATCH_BYTES.saturating_mul(text.len() as u64))?;
    }
    if replacement.len() > search.len() {
        let growth = replacement.len() - search.len();
        let count = text.matches(&*search).count();
        let length = count.saturating_mul(growth).saturating_add(text.len());
        if length > cx.value_bytes {
            return Err(FilterError::too_long(cx));
        }
    }
    texts(input, args, cx)
}

fn scalar(text: Cow<'_, str>) -> ScalarCow<'_> {
    match text {
        Cow::Borrowed(text) => ScalarCow::new(text),
        Cow::Owned(text) => ScalarCow::new(text),
    }
}

/// What a filter of the crate sees of the world: its arguments.
struct CallRuntime<'v> {
    args: Scalars<'v>,
    registers: Registers,
}

impl Runtime for CallRuntime<'_> {
    fn partials(&self) -> &dyn PartialStore {
        &NoPartials
    }

    fn name(&self) -> Option<KStringRef<'_>> {
        None
    }

    fn roots(&self) -> BTreeSet<KStringCow<'_>> {
        ARGUMENTS.into_iter().map(KStringCow::from_static).collect()
    }

    fn try_get(&self, path: &[ScalarCow<'_>]) -> Option<ValueCow<'_>> {
        let [name] = path else { return None };
        let index = ARGUMENTS
            .iter()
            .position(|known| name.to_kstr() == *known)?;
        self.args
            .get(index)
            .map(|arg| ValueCow::Borrowed(arg as &dyn ValueView))
    }

    fn get(&self, path: &[ScalarCow<'_>]) -> liquid_core::Result<ValueCow<'_>> {
        self.try_get(path)
            .ok_or_else(|| Error::with_msg("no such argument"))
    }

    fn set_global(&self, _: KString, _: CrateValue) -> Option<CrateValue> {
        None
    }

    fn set_index(&self, _: KString, _: CrateValue) -> Option<CrateValue> {
        None
    }

    fn get_index<'a>(&'a self, _: &str) -> Option<ValueCow<'a>> {
        None
    }

    fn registers(&self) -> &Registers {
        &self.registers
    }
}

#[derive(Debug)]
struct NoPartials;

impl PartialStore for NoPartials {
    fn contains(&self, _: &str) -> bool {
        false
    }

    fn names(&self) -> Vec<&str> {
        Vec::new()
    }

    fn try_get(&self, _: &str) -> Option<Arc<dyn Renderable>> {
        None
    }

    fn get(&self, _: &str) -> liquid_core::Result<Arc<dyn Renderable>> {
        Err(Error::with_msg("filters see no partials"))
    }
}

impl fmt::Debug for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Served")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::template::filters::testing::{apply, check, context};
    use crate::template::filters::{Kind, find};

    /// The crate's own filter with literal arguments, aside from our adapter.
    fn alone(filter: &dyn ParseFilter, input: &str, args: &[&str]) -> String {
        let args: Vec<_> = args
            .iter()
            .map(|arg| Expression::with_literal((*arg).to_owned()))
            .collect();
        let filter = filter
            .parse(FilterArguments {
                positional: Box::new(args.into_iter()),
                keyword: Box::new(std::iter::empty()),
            })
            .unwrap();
        let runtime = liquid_core::runtime::RuntimeBuilder::new().build();
        let value = filter.evaluate(&ScalarCow::new(input), &runtime).unwrap();
        value.to_kstr().into_string()
    }

    #[test]
    fn the_crate_serves_production() {
        let input = " <b>Straße & \"Söhne\"</b>\r\n+1%41 ";
        let rows: [(&str, &dyn ParseFilter, &[&str]); 15] = [
            ("append", &stdlib::Append, &["x"]),
            ("prepend", &stdlib::Prepend, &["x"]),
            ("replace", &stdlib::Replace, &["b", "strong"]),
            ("replace_first", &stdlib::ReplaceFirst, &["b", "strong"]),
            ("remove", &stdlib::Remove, &["b"]),
            ("remove_first", &stdlib::RemoveFirst, &["b"]),
            ("upcase", &stdlib::Upcase, &[]),
            ("downcase", &stdlib::Downcase, &[]),
            ("strip", &stdlib::Strip, &[]),
            ("lstrip", &stdlib::Lstrip, &[]),
            ("rstrip", &stdlib::Rstrip, &[]),
            ("strip_newlines", &stdlib::StripNewlines, &[]),
            ("strip_html", &stdlib::StripHtml, &[]),
            ("escape", &stdlib::Escape, &[]),
            ("url_decode", &stdlib::UrlDecode, &[]),
        ];
        for (name, filter, args) in rows {
            assert!(
                matches!(find(name).unwrap().kind, Kind::Crate(_)),
                "{name} is not served"
            );
            let json_args: Vec<Json> = args.iter().map(|arg| json!(arg)).collect();
            let ours = apply(name, &json!(input), &json_args);
            assert_eq!(
                ours,
                json!(alone(filter, input, args)).to_string(),
                "{name}"
            );
        }
        let capitalized = alone(
            &stdlib::Capitalize,
            &alone(&stdlib::Downcase, "äÖ ü", &[]),
            &[],
        );
        assert_eq!(
            apply("capitalize", &json!("äÖ ü"), &[]),
            json!(capitalized).to_string()
        );
        let encoded = alone(&stdlib::UrlEncode, "a/b c", &[]).replace("%20", "+");
        assert_eq!(
            apply("url_encode", &json!("a/b c"), &[]),
            json!(encoded).to_string()
        );
        let date = alone(&stdlib::Date, "2016-06-13 02:30:00 +0300", &["%c %^a"]);
        let ours = apply(
            "date",
            &json!("2016-06-13T02:30:00+03:00"),
            &[json!("%c %^a")],
        );
        assert_eq!(ours, json!(date).to_string());
        for name in ["capitalize", "url_encode", "date"] {
            assert!(
                matches!(find(name).unwrap().kind, Kind::Crate(_)),
                "{name} is not served"
            );
        }
    }

    #[test]
    fn every_chain_parses() {
        for name in crate::template::filters::names() {
            if let Kind::Crate(served) = find(name).unwrap().kind {
                assert!(served.0.filters.is_ok(), "{name}");
            }
        }
    }

    #[test]
    fn tables() {
        check(&[
            ("append", "\"hello\"", "[5]", "\"hello5\""),
            ("append", "\"hi\"", "[null]", "\"hi\""),
            ("append", "null", "[\"hi\"]", "\"hi\""),
            (
                "append",
                "123456789012345678901234567890",
                "[0.10]",
                "\"1234567890123456789012345678900.10\"",
            ),
            ("append", "[1, [2]]", "[{}]", "\"12{}\""),
            ("prepend", "5", "[\"there\"]", "\"there5\""),
            ("replace", "\"aba\"", "[\"a\", \"xy\"]", "\"xybxy\""),
            ("replace", "\"aba\"", "[\"a\"]", "\"b\""),
            ("replace", "\"aba\"", "[\"a\", null]", "\"b\""),
            ("replace", "\"ab\"", "[\"\", \"-\"]", "\"-a-b-\""),
            (
                "replace_first",
                "\"Take my my\"",
                "[\"my\", \"your\"]",
                "\"Take your my\"",
            ),
            ("replace_first", "5", "[\"rain\", \"foo\"]", "\"5\""),
            ("replace_first", "null", "[\"a\", \"b\"]", "\"\""),
            ("remove", "\"hello\"", "[null]", "\"hello\""),
            ("remove", "5", "[\"there\"]", "\"5\""),
            (
                "remove_first",
                "\"I strained the rain\"",
                "[\"rain\"]",
                "\"I sted the rain\"",
            ),
            ("capitalize", "\"hELLO World\"", "[]", "\"Hello world\""),
            ("capitalize", "\"äÖ\"", "[]", "\"Äö\""),
            ("upcase", "5", "[]", "\"5\""),
            ("upcase", "1.50", "[]", "\"1.50\""),
            ("upcase", "null", "[]", "\"\""),
            ("downcase", "true", "[]", "\"true\""),
            (
                "strip",
                "\" \\t\\r\\n  hello  \\t\\r\\n \"",
                "[]",
                "\"hello\"",
            ),
            ("strip_newlines", "\"a\\r\\nb\\nc\"", "[]", "\"abc\""),
            (
                "strip_html",
                "\"<!-- a \\n --><script>x<y</script>t<br/>u\"",
                "[]",
                "\"tu\"",
            ),
            ("escape", "\"'<&>'\"", "[]", "\"&#39;&lt;&amp;&gt;&#39;\""),
            ("escape", "null", "[]", "\"\""),
            (
                "url_encode",
                "\"email address is bob@example.com!\"",
                "[]",
                "\"email+address+is+bob%40example.com%21\"",
            ),
            ("url_encode", "\"~%20+ä\"", "[]", "\"~%2520%2B%C3%A4\""),
            ("url_encode", "null", "[]", "\"\""),
            ("url_decode", "\"a+b%40c%21\"", "[]", "\"a b@c!\""),
            ("url_decode", "\"%FF\"", "[]", "error: malformed UTF-8"),
            ("url_decode", "null", "[]", "\"\""),
        ]);
    }

    #[test]
    fn what_would_grow_too_long_is_refused() {
        let half = json!("x".repeat(context().value_bytes / 2 + 1));
        let long = format!(
            "error: the result takes more than {} bytes",
            context().value_bytes
        );
        let rows = [
            ("append", vec![half.clone()]),
            ("prepend", vec![half.clone()]),
            ("replace", vec![json!("x"), half.clone()]),
            ("replace_first", vec![json!("x"), half.clone()]),
        ];
        for (name, args) in rows {
            assert_eq!(apply(name, &half, &args), long, "{name}");
        }
        assert_eq!(
            apply("escape", &json!("<".repeat(context().value_bytes)), &[]),
            long
        );
    }
}
