//! Decimal numbers by their text: compared by value without rounding, at any length, without allocating. And JSON
//! compared by them.
//!
//! An exponent is only ever compared, never expanded. Not here: arithmetic (see `template`).

use std::cmp::Ordering;

use serde_json::Value;

/// Equality of JSON where numbers are equal by value and the order of members does not count.
#[must_use]
pub fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            match (Decimal::parse(a.as_str()), Decimal::parse(b.as_str())) {
                (Some(a), Some(b)) => a == b,
                _ => a == b,
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        _ => a == b,
    }
}

/// A finite decimal number, as the parts of its text. The value is `whole.fraction * 10^exponent`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Decimal<'t> {
    /// Whether it begins with `-`.
    pub negative: bool,
    /// The digits before the point.
    pub whole: &'t str,
    /// The digits behind it.
    pub fraction: Option<&'t str>,
    /// The exponent, held at half the range of its type.
    pub exponent: Option<i128>,
}

impl<'t> Decimal<'t> {
    /// Reads a number as JSON writes it; leading zeros are taken too.
    #[must_use]
    pub fn parse(text: &'t str) -> Option<Self> {
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, Some(parse_exponent(exponent)?)),
            None => (unsigned, None),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (mantissa, None),
        };
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        (digits(whole) && fraction.is_none_or(digits)).then_some(Self {
            negative,
            whole,
            fraction,
            exponent,
        })
    }

    /// Whether it is written without fraction and exponent.
    #[must_use]
    pub fn is_integer(&self) -> bool {
        self.fraction.is_none() && self.exponent.is_none()
    }

    /// Whether it is written with a fraction and without exponent.
    #[must_use]
    pub fn is_plain_decimal(&self) -> bool {
        self.fraction.is_some() && self.exponent.is_none()
    }

    /// All digits that are written.
    pub fn digits(&self) -> impl Iterator<Item = char> + use<'t> {
        self.whole
            .chars()
            .chain(self.fraction.unwrap_or("").chars())
    }

    /// The digits from the first that is not 0.
    pub fn significant(&self) -> impl Iterator<Item = char> + use<'t> {
        self.digits().skip_while(|digit| *digit == '0')
    }

    /// Whether it is zero.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.significant().next().is_none()
    }

    /// How many digits are written.
    #[must_use]
    pub fn written(&self) -> usize {
        self.whole.len() + self.fraction.map_or(0, str::len)
    }

    /// How many digits the whole part has when written without exponent: `0.0d` has -1, `d` has 1.
    #[must_use]
    pub fn magnitude(&self) -> i128 {
        let leading = self.digits().take_while(|digit| *digit == '0').count();
        let count = |n: usize| i128::try_from(n).unwrap_or(i128::MAX);
        self.exponent
            .unwrap_or(0)
            .saturating_add(count(self.whole.len()))
            .saturating_sub(count(leading))
    }

    /// The whole part, if it fits.
    #[must_use]
    pub fn to_i64(self) -> Option<i64> {
        /// An `i64` has at most this many digits.
        const I64_DIGITS: i128 = 19;
        let length = self.magnitude();
        if self.is_zero() || length <= 0 {
            return Some(0);
        }
        if length > I64_DIGITS {
            return None;
        }
        let mut whole: i128 = 0;
        let mut digits = self.significant();
        for _ in 0..length {
            let digit = digits.next().and_then(|c| c.to_digit(10)).unwrap_or(0);
            whole = whole * 10 + i128::from(digit);
        }
        i64::try_from(if self.negative { -whole } else { whole }).ok()
    }

    fn cmp_value(&self, other: &Self) -> Ordering {
        let sign = |parts: &Self| match (parts.is_zero(), parts.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        };
        let (a, b) = (sign(self), sign(other));
        if a != b || a == 0 {
            return a.cmp(&b);
        }
        let absolute = self
            .magnitude()
            .cmp(&other.magnitude())
            .then_with(|| cmp_digits(self.significant(), other.significant()));
        if self.negative {
            absolute.reverse()
        } else {
            absolute
        }
    }
}

impl PartialEq for Decimal<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Decimal<'_> {}

impl PartialOrd for Decimal<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.cmp_value(other)
    }
}

/// Compares digits from the same place on; what has ended goes on with zeros.
fn cmp_digits(mut a: impl Iterator<Item = char>, mut b: impl Iterator<Item = char>) -> Ordering {
    loop {
        let (x, y) = match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (x, y) => (x.unwrap_or('0'), y.unwrap_or('0')),
        };
        if x != y {
            return x.cmp(&y);
        }
    }
}

/// An exponent; one that no `i128` holds saturates.
fn parse_exponent(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // Half the range, so that adding the length of a text cannot change what is greater.
    let limit = i128::MAX / 2;
    let exponent = digits.parse::<i128>().unwrap_or(limit).min(limit);
    Some(if negative { -exponent } else { exponent })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_compare_by_value() {
        for (a, b, wanted) in [
            ("1", "1.0", Ordering::Equal),
            ("100", "1e2", Ordering::Equal),
            ("0.001", "1E-3", Ordering::Equal),
            ("0", "-0.0", Ordering::Equal),
            ("0e99999999999999999999", "0", Ordering::Equal),
            ("9", "10", Ordering::Less),
            ("-9", "-10", Ordering::Greater),
            ("-1", "0", Ordering::Less),
            ("0.1", "0.09", Ordering::Greater),
            ("12", "120", Ordering::Less),
            ("1.25", "1.3", Ordering::Less),
            (
                "123456789012345678901234567890",
                "123456789012345678901234567891",
                Ordering::Less,
            ),
            (
                "0.1000000000000000000000000000001",
                "0.1",
                Ordering::Greater,
            ),
            ("1e99999999999999999999", "1e5", Ordering::Greater),
            ("1e-99999999999999999999", "0", Ordering::Greater),
        ] {
            let (x, y) = (Decimal::parse(a).unwrap(), Decimal::parse(b).unwrap());
            assert_eq!(x.cmp(&y), wanted, "{a} against {b}");
            assert_eq!(y.cmp(&x), wanted.reverse(), "{b} against {a}");
        }
        for wrong in ["", "-", "1.", ".5", "1e", "x", "+1", "1 ", "--1", "NaN"] {
            assert!(Decimal::parse(wrong).is_none(), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn integers_compare_as_integers(a in any::<i128>(), b in any::<i128>()) {
            let (a_text, b_text) = (a.to_string(), b.to_string());
            let (x, y) = (Decimal::parse(&a_text).unwrap(), Decimal::parse(&b_text).unwrap());
            prop_assert_eq!(x.cmp(&y), a.cmp(&b));
        }
    }
}
