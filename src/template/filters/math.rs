//! Filters on numbers, exact. What is not a number counts as 0, as in Liquid; a division by zero is
//! an error.

use super::select::property;
use super::{Arguments, FilterContext, FilterError, FilterResult, give};
use crate::template::limits;
use crate::template::number::{Number, arithmetic::NumberResult};
use crate::template::value::Value;

/// What a calculation with decimals or long numbers is counted as besides their digits, in bytes.
const SUM_BYTES: u64 = 128;
/// The same for a division: it calculates more digits than its operands have.
const DIVISION_BYTES: u64 = 1_024;

/// `{{ -5.4 | abs }}` is 5.4.
pub fn abs<'a>(input: Value<'a>, _: &Arguments<'a>, cx: &FilterContext) -> FilterResult<'a> {
    let number = give::number(&input);
    count(&number, &Number::Int(0), SUM_BYTES, cx)?;
    made(number.abs())
}

/// `{{ 5.1 | ceil }}` is 6.
pub fn ceil<'a>(input: Value<'a>, _: &Arguments<'a>, cx: &FilterContext) -> FilterResult<'a> {
    let number = give::number(&input);
    count(&number, &Number::Int(0), SUM_BYTES, cx)?;
    made(number.ceil())
}

/// `{{ 5.9 | floor }}` is 5.
pub fn floor<'a>(input: Value<'a>, _: &Arguments<'a>, cx: &FilterContext) -> FilterResult<'a> {
    let number = give::number(&input);
    count(&number, &Number::Int(0), SUM_BYTES, cx)?;
    made(number.floor())
}

/// `{{ 5.666 | round: 2 }}` is 5.67; halves go away from zero.
pub fn round<'a>(input: Value<'a>, args: &Arguments<'a>, cx: &FilterContext) -> FilterResult<'a> {
    let places = args.get(0).map_or(Number::Int(0), give::number);
    let beyond = if places < Number::Int(0) {
        i64::MIN
    } else {
        i64::MAX
    };
    let number = give::number(&input);
    count(&number, &Number::Int(0), SUM_BYTES, cx)?;
    made(number.round(places.to_i64().unwrap_or(beyond)))
}

/// `{{ 5 | plus: 3 }}` is 8.
pub fn plus<'a>(input: Value<'a>, args: &Arguments<'a>, cx: &FilterContext) -> FilterResult<'a> {
    let (a, b) = (give::number(&input), operand(args));
    count(&a, &b, SUM_BYTES, cx)?;
    made(a.plus(&b))
}

/// `{{ 5 | minus: 3 }}` is 2.
pub fn minus<'a>(input: Value<'a>, args: &Arguments<'a>, cx: &FilterContext) -> FilterResult<'a> {
    let (a, b) = (give::number(&input), operand(args));
    count(&a, &b, SUM_BYTES, cx)?;
    made(a.minus(&b))
}

/// `{{ 5 | times: 3 }}` is 15.
pub fn times<'a>(input: Value<'a>, args: &Arguments<'a>, cx: &FilterContext) -> FilterResult<'a> {
    let (a, b) = (give::number(&input), operand(args));
    count(&a, &b, SUM_BYTES, cx)?;
    made(a.times(&b))
}

/// `{{ 7 | divided_by: 2 }}` is 3, `{{ 7 | divided_by: 2.0 }}` is 3.5.
pub fn divided_by<'a>(
    input: Value<'a>,
    args: &Arguments<'a>,
    cx: &FilterContext,
) -> FilterResult<'a> {
    let (a, b) = (give::number(&input), operand(args));
    count(&a, &b, DIVISION_BYTES, cx)?;
    made(a.divided_by(&b))
}

/// `{{ 7 | modulo: 3 }}` is 1; the sign is that of the divisor.
pub fn modulo<'a>(input: Value<'a>, args: &Arguments<'a>, cx: &FilterContext) -> FilterResult<'a> {
    let (a, b) = (give::number(&input), operand(args));
    count(&a, &b, DIVISION_BYTES, cx)?;
    made(a.modulo(&b))
}

/// `{{ 3 | at_least: 5 }}` is 5.
pub fn at_least<'a>(input: Value<'a>, args: &Arguments<'a>, _: &FilterContext) -> FilterResult<'a> {
    let greater = give::number(&input).at_least(operand(args)).into_owned();
    Ok(Value::Number(greater))
}

/// `{{ 7 | at_most: 5 }}` is 5.
pub fn at_most<'a>(input: Value<'a>, args: &Arguments<'a>, _: &FilterContext) -> FilterResult<'a> {
    let smaller = give::number(&input).at_most(operand(args)).into_owned();
    Ok(Value::Number(smaller))
}

/// `{{ items | sum: 'price' }}`: the sum of the items, or of one property of theirs.
pub fn sum<'a>(input: Value<'a>, args: &Arguments<'a>, cx: &FilterContext) -> FilterResult<'a> {
    let name = args.get(0).filter(|name| !name.is_nil());
    let mut total = Number::Int(0);
    for item in give::items(input, cx)? {
        let item = match name {
            Some(name) => property(&item, name, cx)?.unwrap_or(Value::Nil),
            None => item,
        };
        // A property may be an array again.
        for part in give::items(item, cx)? {
            cx.spend(part.own_bytes())?;
            let part = give::number(&part);
            count(&total, &part, SUM_BYTES, cx)?;
            total = total.plus(&part)?;
        }
    }
    Ok(Value::Number(total))
}

/// Counts a calculation: what has an exponent is written out for it. Whole numbers that fit cost next to nothing.
fn count(a: &Number<'_>, b: &Number<'_>, base: u64, cx: &FilterContext) -> Result<(), FilterError> {
    if let (Number::Int(_), Number::Int(_)) = (a, b) {
        return Ok(());
    }
    let digits = a.written_out().saturating_add(b.written_out());
    cx.spend(base.saturating_add(limits::DIGIT_BYTES.saturating_mul(digits)))
}

fn operand<'v>(args: &'v Arguments<'_>) -> Number<'v> {
    args.get(0).map_or(Number::Int(0), give::number)
}

fn made<'a>(result: NumberResult) -> FilterResult<'a> {
    result.map(Value::Number).map_err(FilterError::from)
}

#[cfg(test)]
mod tests {
    use crate::template::filters::testing::check;

    #[test]
    fn numbers() {
        check(&[
            ("abs", "-5.4", "[]", "5.4"),
            ("abs", "\"-5\"", "[]", "5"),
            ("abs", "\"5.1\"", "[]", "5.1"),
            ("abs", "null", "[]", "0"),
            ("at_least", "\"abc\"", "[2]", "2"),
            ("at_least", "\"9\"", "[8]", "9"),
            ("at_least", "5", "[null]", "5"),
            ("at_most", "\"abc\"", "[-2]", "-2"),
            ("at_most", "5.4", "[8.9]", "5.4"),
            (
                "at_most",
                "18446744073709551615",
                "[1e30]",
                "18446744073709551615",
            ),
            ("ceil", "-5", "[]", "-5"),
            ("ceil", "\"-5.1\"", "[]", "-5"),
            ("ceil", "5.4", "[]", "6"),
            ("ceil", "null", "[]", "0"),
            ("floor", "\"-5.1\"", "[]", "-6"),
            ("floor", "\"hello\"", "[]", "0"),
            ("round", "5.666", "[1.2]", "5.7"),
            ("round", "5.666", "[\"1\"]", "5.7"),
            ("round", "\"5.6\"", "[]", "6"),
            ("round", "5.666", "[null]", "6"),
            ("round", "null", "[2]", "0"),
            ("round", "5.666", "[1e99]", "5.666"),
            ("plus", "\"10\"", "[\"foo\"]", "10"),
            ("plus", "\"foo\"", "[\"2.0\"]", "2.0"),
            ("plus", "true", "[{}]", "0"),
            (
                "plus",
                "18446744073709551615",
                "[1]",
                "18446744073709551616",
            ),
            ("minus", "10", "[2.0]", "8.0"),
            ("minus", "\"10.1\"", "[\"2.2\"]", "7.9"),
            ("minus", "null", "[2]", "-2"),
            ("times", "3.0", "[2]", "6.0"),
            ("times", "\"5.0\"", "[\"2.1\"]", "10.5"),
            ("times", "5", "[null]", "0"),
            ("divided_by", "20", "[7.0]", "2.857142857142857"),
            ("divided_by", "9.0", "[2]", "4.5"),
            ("divided_by", "5", "[3]", "1"),
            ("divided_by", "\"foo\"", "[\"2\"]", "0"),
            ("divided_by", "10", "[null]", "error: divided by 0"),
            ("divided_by", "10", "[0.0]", "error: divided by 0"),
            ("modulo", "{}", "[1]", "0"),
            ("modulo", "\"10\"", "[\"2.0\"]", "0.0"),
            ("modulo", "1", "[0]", "error: divided by 0"),
            (
                "times",
                "1e999999999999",
                "[2]",
                "error: a number with more than",
            ),
        ]);
    }

    #[test]
    fn sums() {
        check(&[
            ("sum", "[1, 2.5, \"3\"]", "[]", "6.5"),
            ("sum", "[0.1, 0.2, 0.3]", "[]", "0.6"),
            ("sum", "[1, [2, [3]]]", "[]", "6"),
            ("sum", "null", "[]", "0"),
            ("sum", "\"7\"", "[]", "7"),
            (
                "sum",
                "[{\"k\": \"1\"}, {\"k\": 2}, {\"x\": 3}, null]",
                "[\"k\"]",
                "3",
            ),
            ("sum", "[{\"k\": [1, 2]}]", "[\"k\"]", "3"),
            ("sum", "[1, 2, 3]", "[\"k\"]", "error: 1 has no property"),
        ]);
    }
}
