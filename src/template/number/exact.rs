//! Numbers to calculate with, from their text and back to it. The bounds on digits are kept here: nothing is
//! allocated for a number that is too long.

use std::rc::Rc;

use bigdecimal::num_bigint::{BigInt, Sign};
use bigdecimal::{BigDecimal, ToPrimitive, Zero};

use super::Number;
use super::arithmetic::{MAX_DIGITS, NumberError, NumberResult};
use crate::decimal::Decimal;

/// A quotient of decimals is exact if it ends within this many digits, as in IEEE decimal128.
const QUOTIENT_DIGITS: u64 = 34;

/// Decimals with an exponent below or above are written with one.
const PLAIN_EXPONENTS: std::ops::RangeInclusive<i64> = -20..=40;

/// A number to calculate with.
pub enum Exact {
    /// Without fraction and exponent.
    Whole(BigInt),
    /// With one of them.
    Decimal(BigDecimal),
}

/// Two numbers of one kind: a decimal makes the other one a decimal.
pub enum Pair {
    /// Both whole.
    Whole(BigInt, BigInt),
    /// At least one a decimal.
    Decimal(BigDecimal, BigDecimal),
}

impl Exact {
    /// The number of a text, if it is not too long.
    pub fn of(number: &Number<'_>) -> Result<Self, NumberError> {
        match number {
            Number::Int(int) => Ok(Self::Whole(BigInt::from(*int))),
            Number::Text(text) => Self::parse(text),
            Number::Made(text) => Self::parse(text),
        }
    }

    /// The bound comes first: nothing is allocated for a number that is too long.
    fn parse(text: &str) -> Result<Self, NumberError> {
        let parts = Decimal::parse(text).ok_or(NumberError::TooLong)?;
        let limit = MAX_DIGITS as i128;
        let exponent = parts.exponent.unwrap_or(0);
        let fits = parts.written() <= MAX_DIGITS && (-limit..=limit).contains(&exponent);
        if !fits {
            return match parts.is_zero() {
                true => Ok(Self::Decimal(BigDecimal::zero())),
                false => Err(NumberError::TooLong),
            };
        }
        let digits: String = parts.digits().collect();
        let unsigned = BigInt::parse_bytes(digits.as_bytes(), 10).ok_or(NumberError::TooLong)?;
        let signed = if parts.negative { -unsigned } else { unsigned };
        if parts.is_integer() {
            return Ok(Self::Whole(signed));
        }
        let fraction = parts.fraction.map_or(0, str::len);
        let scale = fraction as i128 - exponent;
        let scale = i64::try_from(scale).map_err(|_| NumberError::TooLong)?;
        Ok(Self::Decimal(BigDecimal::new(signed, scale)))
    }

    fn into_decimal(self) -> BigDecimal {
        match self {
            Self::Whole(whole) => BigDecimal::new(whole, 0),
            Self::Decimal(decimal) => decimal,
        }
    }
}

impl Pair {
    /// Both numbers as one kind.
    pub fn of(a: &Number<'_>, b: &Number<'_>) -> Result<Self, NumberError> {
        Ok(match (Exact::of(a)?, Exact::of(b)?) {
            (Exact::Whole(a), Exact::Whole(b)) => Self::Whole(a, b),
            (a, b) => Self::Decimal(a.into_decimal(), b.into_decimal()),
        })
    }
}

/// Quotient and remainder, the quotient rounded down. `b` is not zero.
pub fn floor_division(a: &BigInt, b: &BigInt) -> (BigInt, BigInt) {
    let (quotient, remainder) = (a / b, a % b);
    if !remainder.is_zero() && remainder.sign() != b.sign() {
        (quotient - 1, remainder + b)
    } else {
        (quotient, remainder)
    }
}

/// `a / b` rounded to [`QUOTIENT_DIGITS`] significant digits. `b` is not zero.
pub fn quotient(a: &BigDecimal, b: &BigDecimal) -> BigDecimal {
    let (x, x_scale) = a.as_bigint_and_scale();
    let (y, y_scale) = b.as_bigint_and_scale();
    // Enough places that the whole quotient of the digits holds the digits that count.
    let shift = (decimal_digits(&y) + QUOTIENT_DIGITS + 1).saturating_sub(decimal_digits(&x));
    let shifted = x.as_ref() * BigInt::from(10).pow(u32::try_from(shift).unwrap_or(u32::MAX));
    let whole = shifted / y.as_ref();
    let scale = x_scale - y_scale + i64::try_from(shift).unwrap_or(i64::MAX);
    BigDecimal::new(whole, scale).with_prec(QUOTIENT_DIGITS.max(decimal_digits(&x)))
}

fn decimal_digits(number: &BigInt) -> u64 {
    BigDecimal::new(number.clone(), 0).decimal_digit_count()
}

/// The shortest decimal that reads back as this double.
pub fn shortest(float: f64) -> Option<BigDecimal> {
    let text = format!("{float:e}");
    Exact::parse(&text).ok().map(Exact::into_decimal)
}

pub fn from_whole(whole: &BigInt) -> NumberResult {
    if let Some(int) = whole.to_i64() {
        return Ok(Number::Int(int));
    }
    let text = whole.to_string();
    match text.trim_start_matches('-').len() {
        0..=MAX_DIGITS => Ok(Number::Made(text.into())),
        _ => Err(NumberError::TooLong),
    }
}

/// Written as Liquid writes decimals: at least one digit behind the point, no zeros at the end.
pub fn from_decimal(decimal: &BigDecimal) -> NumberResult {
    if decimal.is_zero() {
        return Ok(Number::Made(Rc::from("0.0")));
    }
    let (digits, scale) = decimal.normalized().into_bigint_and_scale();
    let sign = if digits.sign() == Sign::Minus {
        "-"
    } else {
        ""
    };
    let digits = digits.magnitude().to_string();
    let length = i64::try_from(digits.len()).unwrap_or(i64::MAX);
    // The exponent of `d.ddd`.
    let exponent = length.saturating_sub(scale).saturating_sub(1);
    if digits.len() > MAX_DIGITS || exponent.unsigned_abs() > MAX_DIGITS as u64 {
        return Err(NumberError::TooLong);
    }
    let text = if PLAIN_EXPONENTS.contains(&exponent) {
        plain(&digits, exponent)
    } else {
        let (first, rest) = digits.split_at(1);
        let rest = if rest.is_empty() { "0" } else { rest };
        format!("{first}.{rest}e{exponent:+}")
    };
    Ok(Number::Made(format!("{sign}{text}").into()))
}

fn plain(digits: &str, exponent: i64) -> String {
    let zeros = |count: i64| "0".repeat(usize::try_from(count).unwrap_or(0));
    let before = exponent + 1;
    if before <= 0 {
        return format!("0.{}{digits}", zeros(-before));
    }
    match usize::try_from(before) {
        Ok(at) if at < digits.len() => {
            let (whole, fraction) = digits.split_at(at);
            format!("{whole}.{fraction}")
        }
        _ => {
            let missing = before - i64::try_from(digits.len()).unwrap_or(i64::MAX);
            format!("{digits}{}.0", zeros(missing))
        }
    }
}
