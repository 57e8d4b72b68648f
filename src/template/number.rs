//! Exact numbers: their text survives untouched, arithmetic never panics, rounds only where Liquid says so.
//!
//! Promises: a number of a payload prints as it came, digit for digit (`json` writes its
//! exponent with `e` and a sign); equality and order compare
//! values of any length exactly (`1 == 1.0 == 1e0`); nothing allocates by the size of an exponent.
//! Arithmetic is in [`arithmetic`]. The text of every number is valid JSON.

pub mod arithmetic;
mod exact;

use std::cmp::Ordering;
use std::fmt;
use std::rc::Rc;

pub use arithmetic::NumberError;

use crate::decimal::Decimal;

/// A number of a payload, a template or a filter. Compares by value, prints by text.
#[derive(Debug, Clone)]
pub enum Number<'a> {
    /// A whole number that fits.
    Int(i64),
    /// The exact text of a JSON number that is not an `i64`.
    Text(&'a str),
    /// What arithmetic made.
    Made(Rc<str>),
}

impl<'a> Number<'a> {
    /// The number that stands in the payload as this text.
    #[must_use]
    pub fn from_json(text: &'a str) -> Self {
        match text.parse() {
            // As an integer `-0` would lose its sign.
            Ok(int) if int != 0 || text == "0" => Self::Int(int),
            _ => Self::Text(text),
        }
    }

    /// A number literal of a template: an optional minus, digits, optionally a fraction and an
    /// exponent. `None` if the text is anything else.
    #[must_use]
    pub fn parse_literal(text: &'a str) -> Option<Self> {
        let parts = Decimal::parse(text)?;
        Some(match parts.is_integer() {
            true => Self::whole(parts.negative, parts.whole),
            false if json_zeros(parts.whole) == parts.whole => Self::Text(text),
            false => {
                let sign = if parts.negative { "-" } else { "" };
                let unsigned = text.strip_prefix('-').unwrap_or(text);
                Self::Made(format!("{sign}{}", json_zeros(unsigned)).into())
            }
        })
    }

    /// The number that Liquid takes a string for in arithmetic: white space around it does not
    /// count; `-?digits.digits` is a decimal; otherwise the whole number at the start, or 0.
    #[must_use]
    pub fn from_text(text: &'a str) -> Self {
        let text = text.trim();
        if let Some(parts) = Decimal::parse(text)
            && parts.is_plain_decimal()
        {
            return Self::parse_literal(text).unwrap_or(Self::Int(0));
        }
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let end = unsigned
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(unsigned.len());
        match unsigned.split_at(end).0 {
            "" => Self::Int(0),
            digits => Self::whole(negative, digits),
        }
    }

    /// Whether it is written as a whole number, without fraction and exponent.
    #[must_use]
    pub fn is_integer(&self) -> bool {
        match self {
            Self::Int(_) => true,
            Self::Text(text) => is_integer_text(text),
            Self::Made(text) => is_integer_text(text),
        }
    }

    /// The whole part, rounded towards zero; `None` if it does not fit.
    #[must_use]
    pub fn to_i64(&self) -> Option<i64> {
        match self {
            Self::Int(int) => Some(*int),
            Self::Text(text) => Decimal::parse(text)?.to_i64(),
            Self::Made(text) => Decimal::parse(text)?.to_i64(),
        }
    }

    /// The nearest finite `f64`; `None` if it is too great.
    #[must_use]
    pub fn to_f64(&self) -> Option<f64> {
        let float: f64 = match self {
            // Exact text rounds once; `as` would do the same.
            Self::Int(int) => int.to_string().parse().ok()?,
            Self::Text(text) => text.parse().ok()?,
            Self::Made(text) => text.parse().ok()?,
        };
        float.is_finite().then_some(float)
    }

    /// A text that is the same for equal numbers and differs for others.
    #[must_use]
    pub fn key(&self) -> String {
        self.with_parts(|parts| {
            if parts.is_zero() {
                return "0".to_owned();
            }
            let sign = if parts.negative { "-" } else { "" };
            let digits: String = parts.significant().collect();
            format!(
                "{sign}{}e{}",
                digits.trim_end_matches('0'),
                parts.magnitude()
            )
        })
    }

    /// How many bytes its text takes; nothing if it is kept as an integer.
    #[must_use]
    pub fn text_bytes(&self) -> u64 {
        match self {
            Self::Int(_) => 0,
            Self::Text(text) => text.len() as u64,
            Self::Made(text) => text.len() as u64,
        }
    }

    /// About how many digits it has when written without exponent, up to what can be calculated with.
    #[must_use]
    pub fn written_out(&self) -> u64 {
        let exponent = self.with_parts(|parts| parts.exponent.unwrap_or(0).unsigned_abs());
        let zeros = u64::try_from(exponent).unwrap_or(u64::MAX);
        let most = arithmetic::MAX_DIGITS as u64;
        self.text_bytes().saturating_add(zeros.min(most))
    }

    /// The same number, tied to nothing.
    #[must_use]
    pub fn into_owned(self) -> Number<'static> {
        match self {
            Self::Int(int) => Number::Int(int),
            Self::Text(text) => Number::Made(text.into()),
            Self::Made(text) => Number::Made(text),
        }
    }

    fn whole(negative: bool, digits: &str) -> Self {
        let digits = json_zeros(digits);
        let text = if negative {
            format!("-{digits}")
        } else {
            digits.to_owned()
        };
        text.parse()
            .map_or_else(|_| Self::Made(text.into()), Self::Int)
    }

    fn with_parts<T>(&self, look: impl FnOnce(&Decimal<'_>) -> T) -> T {
        let zero = Decimal::default();
        match self {
            Self::Int(int) => {
                let text = int.to_string();
                look(&Decimal::parse(&text).unwrap_or(zero))
            }
            Self::Text(text) => look(&Decimal::parse(text).unwrap_or(zero)),
            Self::Made(text) => look(&Decimal::parse(text).unwrap_or(zero)),
        }
    }
}

impl fmt::Display for Number<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(int) => write!(f, "{int}"),
            Self::Text(text) => f.write_str(text),
            Self::Made(text) => f.write_str(text),
        }
    }
}

impl PartialEq for Number<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Number<'_> {}

impl PartialOrd for Number<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Number<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => a.cmp(b),
            _ => self.with_parts(|a| other.with_parts(|b| a.cmp(b))),
        }
    }
}

/// The digits without the leading zeros that JSON forbids.
fn json_zeros(text: &str) -> &str {
    let stripped = text.trim_start_matches('0');
    if stripped.starts_with(|c: char| c.is_ascii_digit()) {
        return stripped;
    }
    // One zero has to stay.
    match text.len() - stripped.len() {
        0 => text,
        zeros => text.get(zeros - 1..).unwrap_or(text),
    }
}

fn is_integer_text(text: &str) -> bool {
    !text.contains(['.', 'e', 'E'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number<'_> {
        Number::parse_literal(text).unwrap_or_else(|| panic!("{text} is a number"))
    }

    #[test]
    fn what_is_only_printed_survives_untouched() {
        for text in [
            "0",
            "-0",
            "-0.0",
            "1.0",
            "0.1",
            "1.10",
            "1e+5",
            "18446744073709551615",
            "9223372036854775807",
            "-9223372036854775808",
            "123456789012345678901234567890",
            "0.123456789012345678901234567890",
            "1e+1000000000",
        ] {
            let json: serde_json::Number = serde_json::from_str(text).unwrap();
            assert_eq!(Number::from_json(json.as_str()).to_string(), text);
        }
    }

    #[test]
    fn literals() {
        let rows = [
            ("1", Some("1")),
            ("-17", Some("-17")),
            ("007", Some("7")),
            ("-007.50", Some("-7.50")),
            ("00.5", Some("0.5")),
            ("0.5", Some("0.5")),
            ("000", Some("0")),
            ("1.5e3", Some("1.5e3")),
            ("99999999999999999999", Some("99999999999999999999")),
            ("", None),
            ("-", None),
            ("1.", None),
            (".5", None),
            ("1e", None),
            ("1e+", None),
            ("+1", None),
            ("1x", None),
            ("١", None),
        ];
        for (text, expected) in rows {
            let actual = Number::parse_literal(text).map(|n| n.to_string());
            assert_eq!(actual.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn strings_in_arithmetic() {
        let rows = [
            ("10", "10"),
            (" 2.5 ", "2.5"),
            ("foo", "0"),
            ("", "0"),
            ("-", "0"),
            ("12abc", "12"),
            ("-12abc", "-12"),
            ("+3", "3"),
            ("1e3", "1"),
            ("1.5x", "1"),
            ("007.5", "7.5"),
            ("-0012", "-12"),
            ("1.2.3", "1"),
            ("99999999999999999999x", "99999999999999999999"),
        ];
        for (text, expected) in rows {
            assert_eq!(Number::from_text(text).to_string(), expected, "{text:?}");
        }
    }

    #[test]
    fn equality_and_order_are_exact() {
        use Ordering::{Equal, Greater, Less};
        let rows = [
            ("1", "1.0", Equal),
            ("1", "1e0", Equal),
            ("100", "1e2", Equal),
            ("0", "-0.0", Equal),
            ("0", "0e999", Equal),
            ("0.1", "0.10", Equal),
            ("0.001", "1e-3", Equal),
            ("1", "2", Less),
            ("-1", "-2", Greater),
            ("-1", "1", Less),
            ("-1.5", "0", Less),
            ("9", "10.0", Less),
            ("0.09", "0.1", Less),
            (
                "123456789012345678901234567890",
                "123456789012345678901234567891",
                Less,
            ),
            ("9007199254740993", "9007199254740992.0", Greater),
            ("18446744073709551615", "18446744073709551615.0", Equal),
            ("1e1000000000", "1e999999999", Greater),
            ("-1e1000000000", "1", Less),
            ("1e-1000000000", "0", Greater),
            (
                "1e99999999999999999999999999999999999999999999",
                "5",
                Greater,
            ),
        ];
        for (a, b, expected) in rows {
            let (x, y) = (number(a), number(b));
            assert_eq!(x.cmp(&y), expected, "{a} against {b}");
            assert_eq!(y.cmp(&x), expected.reverse(), "{b} against {a}");
            assert_eq!(x.key() == y.key(), expected == Equal, "keys of {a} and {b}");
        }
    }

    #[test]
    fn whole_parts() {
        let rows = [
            ("12.9", Some(12)),
            ("-12.9", Some(-12)),
            ("1e3", Some(1000)),
            ("1.25e1", Some(12)),
            ("0.99", Some(0)),
            ("5e-9", Some(0)),
            ("0e999999", Some(0)),
            ("9223372036854775807.5", Some(i64::MAX)),
            ("-9223372036854775808.0", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("1e1000000000", None),
        ];
        for (text, expected) in rows {
            assert_eq!(number(text).to_i64(), expected, "{text}");
        }
    }

    #[test]
    fn floats() {
        assert_eq!(number("0.5").to_f64(), Some(0.5));
        assert_eq!(number("12").to_f64(), Some(12.0));
        assert_eq!(number("1e400").to_f64(), None);
    }
}
