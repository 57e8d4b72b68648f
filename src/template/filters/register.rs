//! The register: every filter, one row each. The caller finds them by name when it compiles a template.

use super::Fails::{Argument, Input, Never, Property};
use super::Yields::{Any, Array, Number, Text};
use super::{Filter, adapter, array, date, encode, general, math, select, text};

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
pub static FILTERS: &[Filter] = &[
    Filter::own("abs", (0, 0), Number, Never, math::abs),
    Filter::served("append", (1, 1), Text, Never, &adapter::APPEND),
    Filter::own("at_least", (1, 1), Number, Never, math::at_least),
    Filter::own("at_most", (1, 1), Number, Never, math::at_most),
    Filter::own("base64_decode", (0, 0), Text, Input("text that is not base64 of UTF-8"), encode::base64_decode),
    Filter::own("base64_encode", (0, 0), Text, Never, encode::base64_encode),
    Filter::own("base64_url_safe_decode", (0, 0), Text, Input("text that is not base64 of UTF-8"), encode::base64_url_safe_decode),
    Filter::own("base64_url_safe_encode", (0, 0), Text, Never, encode::base64_url_safe_encode),
    Filter::served("capitalize", (0, 0), Text, Never, &adapter::CAPITALIZE),
    Filter::own("ceil", (0, 0), Number, Never, math::ceil),
    Filter::own("compact", (0, 1), Array, Property("a number among the items"), array::compact),
    Filter::own("concat", (1, 1), Array, Argument("an argument that is no array"), array::concat),
    Filter::served("date", (1, 1), Any, Never, &date::DATE),
    Filter::own("default", (0, 1), Any, Never, general::default).with_names(&["allow_false"]),
    Filter::own("divided_by", (1, 1), Number, Argument("a divisor of 0"), math::divided_by),
    Filter::served("downcase", (0, 0), Text, Never, &adapter::DOWNCASE),
    Filter::served("escape", (0, 0), Text, Never, &adapter::ESCAPE),
    Filter::own("escape_once", (0, 0), Text, Never, encode::escape_once),
    Filter::own("find", (1, 2), Any, Input("a number among the items"), select::find),
    Filter::own("find_index", (1, 2), Any, Input("a number among the items"), select::find_index),
    Filter::own("first", (0, 0), Any, Never, array::first),
    Filter::own("floor", (0, 0), Number, Never, math::floor),
    Filter::own("has", (1, 2), Any, Input("a number among the items"), select::has),
    Filter::own("join", (0, 1), Text, Never, array::join),
    Filter::own("json", (0, 0), Text, Never, general::json),
    Filter::own("last", (0, 0), Any, Never, array::last),
    Filter::served("lstrip", (0, 0), Text, Never, &adapter::LSTRIP),
    Filter::own("map", (1, 1), Array, Input("a number among the items"), array::map),
    Filter::own("minus", (1, 1), Number, Never, math::minus),
    Filter::own("modulo", (1, 1), Number, Argument("a divisor of 0"), math::modulo),
    Filter::own("newline_to_br", (0, 0), Text, Never, encode::newline_to_br),
    Filter::own("plus", (1, 1), Number, Never, math::plus),
    Filter::served("prepend", (1, 1), Text, Never, &adapter::PREPEND),
    Filter::own("reject", (1, 2), Array, Input("a number among the items"), select::reject),
    Filter::served("remove", (1, 1), Text, Never, &adapter::REMOVE),
    Filter::served("remove_first", (1, 1), Text, Never, &adapter::REMOVE_FIRST),
    Filter::own("remove_last", (1, 1), Text, Never, text::remove_last),
    Filter::served("replace", (1, 2), Text, Never, &adapter::REPLACE),
    Filter::served("replace_first", (1, 2), Text, Never, &adapter::REPLACE_FIRST),
    Filter::own("replace_last", (2, 2), Text, Never, text::replace_last),
    Filter::own("reverse", (0, 0), Array, Never, array::reverse),
    Filter::own("round", (0, 1), Number, Never, math::round),
    Filter::served("rstrip", (0, 0), Text, Never, &adapter::RSTRIP),
    Filter::own("size", (0, 0), Number, Never, general::size),
    Filter::own("slice", (1, 2), Any, Argument("a position or a length that is no whole number"), general::slice),
    Filter::own("sort", (0, 1), Array, Input("items of different kinds or without an order; numbers, if a property is named"), array::sort),
    Filter::own("sort_natural", (0, 1), Array, Property("a number among the items"), array::sort_natural),
    Filter::own("split", (1, 1), Array, Never, text::split),
    Filter::served("strip", (0, 0), Text, Never, &adapter::STRIP),
    Filter::served("strip_html", (0, 0), Text, Never, &adapter::STRIP_HTML),
    Filter::served("strip_newlines", (0, 0), Text, Never, &adapter::STRIP_NEWLINES),
    Filter::own("sum", (0, 1), Number, Property("a number among the items"), math::sum),
    Filter::own("times", (1, 1), Number, Never, math::times),
    Filter::own("truncate", (0, 2), Text, Argument("a length that is no whole number"), text::truncate),
    Filter::own("truncatewords", (0, 2), Text, Argument("a count that is no whole number"), text::truncatewords),
    Filter::own("uniq", (0, 1), Array, Property("a number among the items"), array::uniq),
    Filter::served("upcase", (0, 0), Text, Never, &adapter::UPCASE),
    Filter::served("url_decode", (0, 0), Text, Input("percent codes that are not UTF-8"), &adapter::URL_DECODE),
    Filter::served("url_encode", (0, 0), Text, Never, &adapter::URL_ENCODE),
    Filter::own("where", (1, 2), Array, Input("a number among the items"), select::where_),
];
