//! Arithmetic on exact numbers by Liquid's rules: whole numbers stay whole (of any length), one
//! decimal makes a decimal; sums, differences and products are exact; a quotient that does not end
//! is the nearest double, as Liquid prints it.
//!
//! Operands and results are bounded in digits, so that neither `1e1000000000` nor a loop of
//! multiplications can swell memory. Division by zero is an error. Nothing panics.

use std::cmp::Ordering;

use bigdecimal::num_bigint::BigInt;
use bigdecimal::{BigDecimal, RoundingMode, Signed, ToPrimitive, Zero};

use super::Number;
use super::exact::{Exact, Pair, floor_division, from_decimal, from_whole, quotient, shortest};

/// Most digits that a number may have, written without exponent, to be calculated with. More than
/// any amount, id or measurement needs; a product of two such numbers takes microseconds.
pub const MAX_DIGITS: usize = 1_000;

/// Why there is no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// The divisor is zero.
    #[error("divided by 0")]
    DivisionByZero,
    /// An operand or the result is longer than [`MAX_DIGITS`].
    #[error("a number with more than {MAX_DIGITS} digits cannot be calculated with")]
    TooLong,
}

/// What arithmetic yields.
pub type NumberResult = Result<Number<'static>, NumberError>;

impl<'a> Number<'a> {
    /// `self + other`, exact.
    ///
    /// # Errors
    /// [`NumberError::TooLong`].
    pub fn plus(&self, other: &Number<'_>) -> NumberResult {
        self.combine(other, i64::checked_add, |a, b| a + b, |a, b| a + b)
    }

    /// `self - other`, exact.
    ///
    /// # Errors
    /// [`NumberError::TooLong`].
    pub fn minus(&self, other: &Number<'_>) -> NumberResult {
        self.combine(other, i64::checked_sub, |a, b| a - b, |a, b| a - b)
    }

    /// `self * other`, exact.
    ///
    /// # Errors
    /// [`NumberError::TooLong`].
    pub fn times(&self, other: &Number<'_>) -> NumberResult {
        self.combine(other, i64::checked_mul, |a, b| a * b, |a, b| a * b)
    }

    /// `self / other`: rounded down between whole numbers; otherwise exact if it ends within 34
    /// digits, else the nearest double.
    ///
    /// # Errors
    /// [`NumberError`], both.
    pub fn divided_by(&self, other: &Number<'_>) -> NumberResult {
        match Pair::of(self, other)? {
            Pair::Whole(_, b) if b.is_zero() => Err(NumberError::DivisionByZero),
            Pair::Decimal(_, b) if b.is_zero() => Err(NumberError::DivisionByZero),
            Pair::Whole(a, b) => from_whole(&floor_division(&a, &b).0),
            Pair::Decimal(a, b) => {
                let quotient = quotient(&a, &b);
                if &quotient * &b == a {
                    return from_decimal(&quotient);
                }
                match quotient.to_f64().filter(|float| float.is_finite()) {
                    Some(float) => from_decimal(&shortest(float).unwrap_or(quotient)),
                    None => from_decimal(&quotient),
                }
            }
        }
    }

    /// The remainder of the division rounded down: it has the sign of `other`.
    ///
    /// # Errors
    /// [`NumberError`], both.
    pub fn modulo(&self, other: &Number<'_>) -> NumberResult {
        match Pair::of(self, other)? {
            Pair::Whole(_, b) if b.is_zero() => Err(NumberError::DivisionByZero),
            Pair::Decimal(_, b) if b.is_zero() => Err(NumberError::DivisionByZero),
            Pair::Whole(a, b) => from_whole(&floor_division(&a, &b).1),
            Pair::Decimal(a, b) => {
                // Whole multiples of the smallest place of both have the same remainder.
                let scale = a.fractional_digit_count().max(b.fractional_digit_count());
                let (x, _) = a.with_scale(scale).into_bigint_and_scale();
                let (y, _) = b.with_scale(scale).into_bigint_and_scale();
                from_decimal(&BigDecimal::new(floor_division(&x, &y).1, scale))
            }
        }
    }

    /// Without its sign.
    ///
    /// # Errors
    /// [`NumberError::TooLong`].
    pub fn abs(&self) -> NumberResult {
        match Exact::of(self)? {
            Exact::Whole(whole) => from_whole(&whole.abs()),
            Exact::Decimal(decimal) => from_decimal(&decimal.abs()),
        }
    }

    /// The least whole number that is not below.
    ///
    /// # Errors
    /// [`NumberError::TooLong`].
    pub fn ceil(&self) -> NumberResult {
        self.to_whole(RoundingMode::Ceiling)
    }

    /// The greatest whole number that is not above.
    ///
    /// # Errors
    /// [`NumberError::TooLong`].
    pub fn floor(&self) -> NumberResult {
        self.to_whole(RoundingMode::Floor)
    }

    /// Rounded to `places` after the point, halves away from zero. Without places it is a whole number;
    /// negative places round before the point.
    ///
    /// # Errors
    /// [`NumberError::TooLong`].
    pub fn round(&self, places: i64) -> NumberResult {
        let limit = MAX_DIGITS as i64 + 1;
        let places = places.clamp(-limit, limit);
        match Exact::of(self)? {
            Exact::Whole(whole) if places >= 0 => from_whole(&whole),
            Exact::Whole(whole) => round_whole(BigDecimal::new(whole, 0), places),
            Exact::Decimal(decimal) if places <= 0 => round_whole(decimal, places),
            Exact::Decimal(decimal) if decimal.fractional_digit_count() <= places => {
                from_decimal(&decimal)
            }
            Exact::Decimal(decimal) => {
                from_decimal(&decimal.with_scale_round(places, RoundingMode::HalfUp))
            }
        }
    }

    /// The greater of both, as it is written.
    #[must_use]
    pub fn at_least(self, least: Number<'a>) -> Number<'a> {
        match self.cmp(&least) {
            Ordering::Less => least,
            Ordering::Equal | Ordering::Greater => self,
        }
    }

    /// The smaller of both, as it is written.
    #[must_use]
    pub fn at_most(self, most: Number<'a>) -> Number<'a> {
        match self.cmp(&most) {
            Ordering::Greater => most,
            Ordering::Equal | Ordering::Less => self,
        }
    }

    fn combine(
        &self,
        other: &Number<'_>,
        fits: impl FnOnce(i64, i64) -> Option<i64>,
        whole: impl FnOnce(BigInt, BigInt) -> BigInt,
        decimal: impl FnOnce(BigDecimal, BigDecimal) -> BigDecimal,
    ) -> NumberResult {
        if let (Self::Int(a), Number::Int(b)) = (self, other)
            && let Some(int) = fits(*a, *b)
        {
            return Ok(Number::Int(int));
        }
        match Pair::of(self, other)? {
            Pair::Whole(a, b) => from_whole(&whole(a, b)),
            Pair::Decimal(a, b) => from_decimal(&decimal(a, b)),
        }
    }

    fn to_whole(&self, mode: RoundingMode) -> NumberResult {
        match Exact::of(self)? {
            Exact::Whole(whole) => from_whole(&whole),
            Exact::Decimal(decimal) => {
                from_whole(&decimal.with_scale_round(0, mode).into_bigint_and_scale().0)
            }
        }
    }
}

/// Rounded at or before the point.
fn round_whole(number: BigDecimal, places: i64) -> NumberResult {
    let rounded = number.with_scale_round(places, RoundingMode::HalfUp);
    from_whole(&rounded.with_scale(0).into_bigint_and_scale().0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> Number<'_> {
        Number::parse_literal(text).unwrap_or_else(|| panic!("{text} is a number"))
    }

    fn calculate(a: &str, op: &str, b: &str) -> String {
        let (a, b) = (number(a), number(b));
        let result = match op {
            "+" => a.plus(&b),
            "-" => a.minus(&b),
            "*" => a.times(&b),
            "/" => a.divided_by(&b),
            "%" => a.modulo(&b),
            "round" => a.round(b.to_i64().unwrap_or(i64::MAX)),
            _ => panic!("no such operation: {op}"),
        };
        result.map_or_else(|error| error.to_string(), |n| n.to_string())
    }

    #[test]
    fn results() {
        let zero = "divided by 0";
        let long = "a number with more than 1000 digits cannot be calculated with";
        let rows = [
            ("5", "+", "3", "8"),
            ("0.1", "+", "0.2", "0.3"),
            ("10", "-", "2.0", "8.0"),
            ("10.1", "-", "2.2", "7.9"),
            ("3.0", "*", "2", "6.0"),
            ("5", "*", "2.1", "10.5"),
            ("0.0", "*", "-5", "0.0"),
            ("9223372036854775807", "+", "1", "9223372036854775808"),
            ("-9223372036854775808", "-", "1", "-9223372036854775809"),
            ("9223372036854775808", "-", "1", "9223372036854775807"),
            (
                "18446744073709551615",
                "*",
                "18446744073709551615",
                "340282366920938463426481119284349108225",
            ),
            ("1e5", "+", "1", "100001.0"),
            ("20", "/", "7", "2"),
            ("-7", "/", "2", "-4"),
            ("7", "/", "-2", "-4"),
            ("-9223372036854775808", "/", "-1", "9223372036854775808"),
            ("20", "/", "7.0", "2.857142857142857"),
            ("9.0", "/", "2", "4.5"),
            ("10", "/", "2.0", "5.0"),
            ("0", "/", "1.1", "0.0"),
            ("1", "/", "3.0", "0.3333333333333333"),
            ("2.0", "/", "3", "0.6666666666666666"),
            ("1", "/", "8.0", "0.125"),
            (
                "123456789012345678901234567890.5",
                "/",
                "2",
                "61728394506172839450617283945.25",
            ),
            ("1", "/", "0", zero),
            ("1", "/", "0.0", zero),
            ("1", "/", "0e5", zero),
            ("1", "%", "0", zero),
            ("1.5", "%", "0.0", zero),
            ("10", "%", "3", "1"),
            ("-10", "%", "3", "2"),
            ("10", "%", "-3", "-2"),
            ("10", "%", "2.0", "0.0"),
            ("10.5", "%", "3", "1.5"),
            ("-10.5", "%", "3", "1.5"),
            ("1e300", "%", "7", "1.0"),
            ("5.666", "round", "1", "5.7"),
            ("5.6", "round", "0", "6"),
            ("5.5", "round", "0", "6"),
            ("-5.5", "round", "0", "-6"),
            ("4.5", "round", "0", "5"),
            ("1.999", "round", "2", "2.0"),
            ("2.5", "round", "9999999999999", "2.5"),
            ("1234", "round", "-2", "1200"),
            ("1250", "round", "-2", "1300"),
            ("1234.5", "round", "-2", "1200"),
            ("5.666", "round", "-2", "0"),
            ("5", "round", "2", "5"),
            ("5", "round", "-9999999999999", "0"),
            ("1e1000000000", "+", "1", long),
            ("1", "*", "1e-1000000000", long),
            ("0e1000000000", "+", "1", "1.0"),
            ("1e900", "*", "1e900", long),
            ("1e-900", "*", "1e-900", long),
            ("1e300", "*", "10", "1.0e+301"),
            ("-1.5e-30", "*", "1", "-1.5e-30"),
        ];
        for (a, op, b, expected) in rows {
            assert_eq!(calculate(a, op, b), expected, "{a} {op} {b}");
        }
        assert_eq!(
            number("1e300").modulo(&number("1e-300")).unwrap(),
            number("0")
        );
        let long_number = "9".repeat(MAX_DIGITS);
        assert_eq!(calculate(&long_number, "+", "1"), long);
        assert_eq!(calculate(&long_number, "-", "0"), long_number);
        assert_eq!(calculate(&format!("1{long_number}"), "+", "1"), long);
    }

    #[test]
    fn one_operand() {
        let rows = [
            ("5.4", "6", "5", "5.4"),
            ("-5.1", "-5", "-6", "5.1"),
            ("-5", "-5", "-5", "5"),
            ("0.0", "0", "0", "0.0"),
            (
                "-9223372036854775808",
                "-9223372036854775808",
                "-9223372036854775808",
                "9223372036854775808",
            ),
            (
                "1e20",
                "100000000000000000000",
                "100000000000000000000",
                "100000000000000000000.0",
            ),
            ("5e-30", "1", "0", "5.0e-30"),
        ];
        for (text, ceil, floor, abs) in rows {
            let number = number(text);
            assert_eq!(number.ceil().unwrap().to_string(), ceil, "ceil {text}");
            assert_eq!(number.floor().unwrap().to_string(), floor, "floor {text}");
            assert_eq!(number.abs().unwrap().to_string(), abs, "abs {text}");
        }
    }

    #[test]
    fn bounds_keep_the_text() {
        assert_eq!(number("5.40").at_least(number("2")).to_string(), "5.40");
        assert_eq!(number("1").at_least(number("2.50")).to_string(), "2.50");
        assert_eq!(number("9").at_most(number("8")).to_string(), "8");
        assert_eq!(number("-8").at_most(number("5")).to_string(), "-8");
    }

    /// Text of any JSON number, small and extreme.
    fn any_number() -> impl Strategy<Value = String> {
        "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,40})?([eE][+-]?[0-9]{1,12})?"
    }

    fn parse_big(number: &Number<'_>) -> i128 {
        number.to_string().parse().unwrap()
    }

    fn floor_pair(a: i128, b: i128) -> (i128, i128) {
        let (q, r) = (a / b, a % b);
        if r != 0 && (r < 0) != (b < 0) {
            (q - 1, r + b)
        } else {
            (q, r)
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_stays_json(a in any_number(), b in any_number(), places in any::<i64>()) {
            let (x, y) = (number(&a), number(&b));
            let results = [
                x.plus(&y), x.minus(&y), x.times(&y), x.divided_by(&y), x.modulo(&y),
                x.round(places), x.round(places % 50), x.abs(), x.ceil(), x.floor(),
            ];
            for result in results.into_iter().flatten() {
                let text = result.to_string();
                prop_assert!(serde_json::from_str::<serde_json::Number>(&text).is_ok(), "{}", text);
                prop_assert!(text.len() <= 2 * MAX_DIGITS);
            }
            let _ = (x.to_i64(), x.to_f64(), x.key());
            prop_assert_eq!(x.cmp(&y), y.cmp(&x).reverse());
        }

        #[test]
        fn agrees_with_i128_on_whole_numbers(a in any::<i64>(), b in any::<i64>()) {
            let (x, y) = (Number::Int(a), Number::Int(b));
            let (a, b) = (i128::from(a), i128::from(b));
            prop_assert_eq!(parse_big(&x.plus(&y).unwrap()), a + b);
            prop_assert_eq!(parse_big(&x.minus(&y).unwrap()), a - b);
            prop_assert_eq!(parse_big(&x.times(&y).unwrap()), a * b);
            prop_assert_eq!(x.cmp(&y), a.cmp(&b));
            if b != 0 {
                let (quotient, remainder) = floor_pair(a, b);
                prop_assert_eq!(parse_big(&x.divided_by(&y).unwrap()), quotient);
                prop_assert_eq!(parse_big(&x.modulo(&y).unwrap()), remainder);
            }
        }

        #[test]
        fn sums_undo_differences(a in "-?[1-9][0-9]{0,30}\\.[0-9]{1,30}", b in "-?[1-9][0-9]{0,30}\\.[0-9]{1,30}") {
            let (x, y) = (number(&a), number(&b));
            prop_assert_eq!(x.plus(&y).unwrap().minus(&y).unwrap(), x);
        }
    }
}
