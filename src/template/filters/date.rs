//! The filter `date`: reads what Liquid reads as a date, formats with `liquid-lib`'s strftime.
//!
//! Read are RFC 3339, `YYYY-MM-DD` with an optional time and offset, dates with the month as a word
//! (`March 14, 2016`, `Tue, 14 Mar 2016 10:00:00 GMT`), seconds since 1970 as a number or digits, `now`
//! and `today` (the event's time). A date keeps the offset it came with; without one it is UTC. What
//! cannot be read is given unchanged, as is the input of an empty format.
//!
//! The format is looked through before the crate sees it: widths are bounded, fractions of a second
//! (`%L`, `%N`) are put in here because the crate drops their leading zeros, `%Z` prints `UTC` for UTC,
//! and what is no directive stands for itself.

use std::fmt::Write as _;

use jiff::civil;
use jiff::fmt::temporal::DateTimeParser;
use jiff::tz::Offset;
use liquid_core::model::{DateTime, ScalarCow};
use liquid_lib::stdlib;
use time::{OffsetDateTime, UtcOffset};

use super::adapter::{Chain, Prepared, Served};
use super::{Arguments, FilterContext, FilterError, give};
use crate::template::value::Value;

/// `{{ at | date: '%F' }}`.
pub static DATE: Served = Served::new(|| Chain::new(&[&stdlib::Date], 1, prepare));

/// Widest field in a format, in characters; no date needs more.
const MAX_WIDTH: usize = 64;

/// No date is longer than this, in bytes.
const MAX_DATE_BYTES: usize = 64;

/// More than any directive without a width prints, in bytes.
const MAX_FIELD_BYTES: usize = 32;

fn prepare<'v>(
    input: &'v Value<'_>,
    args: &'v Arguments<'_>,
    cx: &FilterContext,
) -> Result<Prepared<'v>, FilterError> {
    let format = give::optional_text(args.get(0), cx)?;
    let at = match read(input, cx) {
        Some(at) if !format.is_empty() => at,
        _ => return Ok(Prepared::Unchanged),
    };
    let format = expand(&format, at, cx)?;
    let mut date = DateTime::default();
    *date = at;
    Ok(Prepared::Call {
        input: ScalarCow::new(date),
        args: vec![ScalarCow::new(format)],
    })
}

/// The moment that a value names.
fn read(value: &Value<'_>, cx: &FilterContext) -> Option<OffsetDateTime> {
    match value {
        Value::Number(seconds) if seconds.is_integer() => epoch(seconds.to_i64()?),
        Value::Str(text) if text.len() <= MAX_DATE_BYTES => read_text(text.trim(), cx),
        _ => None,
    }
}

fn read_text(text: &str, cx: &FilterContext) -> Option<OffsetDateTime> {
    if text.eq_ignore_ascii_case("now") || text.eq_ignore_ascii_case("today") {
        return OffsetDateTime::from_unix_timestamp_nanos(cx.now.as_nanosecond()).ok();
    }
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return epoch(text.parse().ok()?);
    }
    read_iso(text).or_else(|| read_words(text))
}

fn epoch(seconds: i64) -> Option<OffsetDateTime> {
    let at = OffsetDateTime::from_unix_timestamp(seconds).ok()?;
    (at.year() >= 0).then_some(at)
}

/// `2023-04-10`, `2023-04-10T14:31:05.25Z`, `2023-04-10 14:31:05 +0200`, `2023/04/10 14:31 UTC`.
fn read_iso(text: &str) -> Option<OffsetDateTime> {
    let mut text = text.to_ascii_uppercase();
    for name in ["UTC", "GMT", "Z"] {
        if let Some(rest) = text.strip_suffix(name) {
            text = format!("{}Z", rest.trim_end());
            break;
        }
    }
    let text = text.replace(" +", "+").replace(" -", "-").replace('/', "-");
    let pieces = DateTimeParser::new().parse_pieces(&text).ok()?;
    if pieces.time_zone_annotation().is_some() {
        return None;
    }
    let time = pieces.time().unwrap_or(civil::Time::midnight());
    let offset = match pieces.offset() {
        None => Offset::UTC,
        Some(offset) => offset.to_numeric_offset(),
    };
    moment(civil::DateTime::from_parts(pieces.date(), time), offset)
}

/// Dates with the month as a word, the parts in any order.
fn read_words(text: &str) -> Option<OffsetDateTime> {
    let (mut year, mut month, mut day) = (None, None, None);
    let mut time = civil::Time::midnight();
    let mut offset = Offset::UTC;
    let parts = text.split(|c: char| c.is_ascii_whitespace() || c == ',');
    for part in parts.filter(|part| !part.is_empty()) {
        let part = part.to_ascii_lowercase();
        if let Some(number) = month_number(&part) {
            set(&mut month, number)?;
        } else if part.contains(':') && !part.starts_with(['+', '-']) {
            // `9:05` is `09:05`.
            let zero = if part.find(':') == Some(1) { "0" } else { "" };
            time = format!("{zero}{part}").parse().ok()?;
        } else if let Some(meridiem) = part.strip_suffix('m').filter(|m| ["a", "p"].contains(m)) {
            time = half_day(time, meridiem == "p")?;
        } else if ["utc", "gmt", "z"].contains(&part.as_str()) {
            offset = Offset::UTC;
        } else if part.starts_with(['+', '-']) {
            offset = numeric_offset(&part)?;
        } else if is_weekday(&part) {
            // The date says it already.
        } else {
            let digits = ["st", "nd", "rd", "th"]
                .iter()
                .find_map(|suffix| part.strip_suffix(suffix))
                .unwrap_or(&part);
            match digits.len() {
                1 | 2 => set(&mut day, digits.parse::<i8>().ok()?)?,
                4 => set(&mut year, digits.parse::<i16>().ok()?)?,
                _ => return None,
            }
        }
    }
    let date = civil::Date::new(year?, month?, day.unwrap_or(1)).ok()?;
    moment(civil::DateTime::from_parts(date, time), offset)
}

/// A part may come once.
fn set<T>(slot: &mut Option<T>, value: T) -> Option<()> {
    slot.replace(value).is_none().then_some(())
}

fn month_number(word: &str) -> Option<i8> {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let at = MONTHS.iter().position(|month| names(month, word))?;
    i8::try_from(at + 1).ok()
}

fn is_weekday(word: &str) -> bool {
    const DAYS: [&str; 7] = [
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
        "sunday",
    ];
    DAYS.iter().any(|day| names(day, word))
}

/// The name or its first letters, three at least, with or without a full stop.
fn names(name: &str, word: &str) -> bool {
    let word = word.strip_suffix('.').unwrap_or(word);
    word.len() >= 3 && name.starts_with(word)
}

fn half_day(time: civil::Time, afternoon: bool) -> Option<civil::Time> {
    let hour = match (time.hour(), afternoon) {
        (12, false) => 0,
        (12, true) => 12,
        (hour @ 1..=11, true) => hour + 12,
        (hour @ 1..=11, false) => hour,
        _ => return None,
    };
    time.with().hour(hour).build().ok()
}

/// `+0200`, `-05:30`.
fn numeric_offset(text: &str) -> Option<Offset> {
    let (sign, digits) = text.split_at_checked(1)?;
    let digits = digits.replace(':', "");
    let (hours, minutes) = digits.split_at_checked(2).filter(|_| digits.len() == 4)?;
    let seconds = hours.parse::<i32>().ok()? * 3_600 + minutes.parse::<i32>().ok()? * 60;
    Offset::from_seconds(if sign == "-" { -seconds } else { seconds }).ok()
}

fn moment(civil: civil::DateTime, offset: Offset) -> Option<OffsetDateTime> {
    let at = offset.to_timestamp(civil).ok()?;
    let at = OffsetDateTime::from_unix_timestamp_nanos(at.as_nanosecond()).ok()?;
    let offset = UtcOffset::from_whole_seconds(offset.seconds()).ok()?;
    at.checked_to_offset(offset).filter(|at| at.year() >= 0)
}

/// The format as the crate may see it.
fn expand(format: &str, at: OffsetDateTime, cx: &FilterContext) -> Result<String, FilterError> {
    let mut out = String::new();
    let mut most = 0_usize;
    let mut rest = format;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let (directive, tail) = Directive::read(after)?;
        rest = tail;
        let width = directive.width.unwrap_or(0).max(MAX_FIELD_BYTES);
        most = most.saturating_add(before.len()).saturating_add(width);
        if most > cx.value_bytes {
            return Err(FilterError::too_long(cx));
        }
        directive.write(&mut out, at);
    }
    out.push_str(rest);
    if most.saturating_add(rest.len()) > cx.value_bytes {
        return Err(FilterError::too_long(cx));
    }
    Ok(out)
}

/// One directive of a format, without its `%`.
struct Directive<'f> {
    text: &'f str,
    width: Option<usize>,
    conversion: Option<char>,
}

impl<'f> Directive<'f> {
    /// Flags, width, the ignored modifiers `E` and `O`, colons before `z`, the conversion.
    fn read(after: &'f str) -> Result<(Self, &'f str), FilterError> {
        let unflagged = after.trim_start_matches(['-', '_', '0', '^', '#']);
        let bare = unflagged.trim_start_matches(|c: char| c.is_ascii_digit());
        let digits = unflagged.strip_suffix(bare).unwrap_or_default();
        let width = match digits {
            "" => None,
            digits => match digits.parse() {
                Ok(width) if width <= MAX_WIDTH => Some(width),
                _ => {
                    return Err(FilterError::new(format!(
                        "a field of the date format is wider than {MAX_WIDTH} characters"
                    )));
                }
            },
        };
        let unmodified = bare.strip_prefix(['E', 'O']).unwrap_or(bare);
        let unzoned = match unmodified.trim_start_matches(':') {
            zone if zone.starts_with('z') && bare == unmodified => zone,
            _ => unmodified,
        };
        let mut characters = unzoned.chars();
        let conversion = characters.next();
        let tail = characters.as_str();
        let text = after.strip_suffix(tail).unwrap_or(after);
        // More colons than the crate knows.
        let known = unmodified.len() - unzoned.len() <= 2;
        let directive = Self {
            text,
            width,
            conversion: conversion.filter(|c| known && CONVERSIONS.contains(*c)),
        };
        Ok((directive, tail))
    }

    fn write(&self, out: &mut String, at: OffsetDateTime) {
        match self.conversion {
            Some('L') => fraction(out, at, self.width.unwrap_or(3)),
            Some('N') => fraction(out, at, self.width.unwrap_or(9)),
            Some('Z') if at.offset().is_utc() => out.push_str("UTC"),
            Some(_) => {
                out.push('%');
                out.push_str(self.text);
            }
            None => {
                out.push_str("%%");
                out.push_str(&self.text.replace('%', "%%"));
            }
        }
    }
}

/// The conversions of Ruby's strftime that the crate knows.
const CONVERSIONS: &str = "YCymBbhdejHkIlPpMSLNzZAauwGgVUWsnt%cDFvxXrRT";

/// So many digits of the fraction of the second.
fn fraction(out: &mut String, at: OffsetDateTime, digits: usize) {
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = write!(text, "{:09}", at.nanosecond());
    let zeros = digits.saturating_sub(text.len());
    text.truncate(digits);
    out.push_str(&text);
    out.extend(std::iter::repeat_n('0', zeros));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::template::filters::testing::{apply, context};

    fn check(rows: &[(serde_json::Value, &str, &str)]) {
        for (input, format, expected) in rows {
            let actual = apply("date", input, &[json!(format)]);
            assert_eq!(
                actual,
                json!(expected).to_string(),
                "{input} | date: '{format}'"
            );
        }
    }

    #[test]
    fn what_is_read() {
        let rows = [
            ("2023-04-10T14:31:05Z", "2023-04-10 14:31:05 +0000"),
            (
                "2023-04-10T14:31:05.123456789+02:00",
                "2023-04-10 14:31:05 +0200",
            ),
            ("2023-04-10t14:31:05z", "2023-04-10 14:31:05 +0000"),
            ("2023-04-10T14:31:05-0330", "2023-04-10 14:31:05 -0330"),
            ("2023-04-10T14:31", "2023-04-10 14:31:00 +0000"),
            ("2023-04-10 14:31:05", "2023-04-10 14:31:05 +0000"),
            ("2023-04-10 14:31:05 UTC", "2023-04-10 14:31:05 +0000"),
            ("2023-04-10 14:31:05 +0200", "2023-04-10 14:31:05 +0200"),
            ("2023-04-10 14:31:05 -00:30", "2023-04-10 14:31:05 -0030"),
            ("2023/04/10 14:31:05", "2023-04-10 14:31:05 +0000"),
            (" 2023-04-10 ", "2023-04-10 00:00:00 +0000"),
            ("March 14, 2016", "2016-03-14 00:00:00 +0000"),
            ("14 Mar 2016 10:20:30 -0500", "2016-03-14 10:20:30 -0500"),
            ("Mon, 14 Mar 2016 10:20:30 GMT", "2016-03-14 10:20:30 +0000"),
            ("Mon Mar 14 10:20:30 2016", "2016-03-14 10:20:30 +0000"),
            ("Sept. 3rd, 2020 9:05 PM", "2020-09-03 21:05:00 +0000"),
            ("1457913600", "2016-03-14 00:00:00 +0000"),
            ("now", "2026-11-21 02:00:00 +0000"),
            ("Today", "2026-11-21 02:00:00 +0000"),
        ];
        for (input, expected) in rows {
            check(&[(json!(input), "%Y-%m-%d %H:%M:%S %z", expected)]);
        }
        check(&[
            (json!(1_457_913_600), "%s %F", "1457913600 2016-03-14"),
            (json!(-1), "%F %T", "1969-12-31 23:59:59"),
            (json!(0), "%F", "1970-01-01"),
        ]);
    }

    #[test]
    fn what_cannot_be_read_is_given_unchanged() {
        let inputs = [
            json!(null),
            json!(""),
            json!("tomorrow"),
            json!("2023-13-01"),
            json!("2023-02-30"),
            json!("14 Mar"),
            json!("Mar Mar 14 2016"),
            json!("March 14, 2016 foo"),
            json!(1.5),
            json!(i64::MAX),
            json!(u64::MAX),
            json!("99999999999999999999"),
            json!([1]),
            json!({"a": 1}),
            json!(true),
            json!("9".repeat(100)),
            json!("14 Mar 2016 +99:99"),
            json!("-0001-01-01"),
            json!("2023-04-10T14:31:05[Europe/Paris]"),
            json!("+é"),
        ];
        for input in inputs {
            assert_eq!(apply("date", &input, &[json!("%F")]), input.to_string());
        }
        for format in [json!(""), json!(null)] {
            assert_eq!(
                apply("date", &json!("2023-04-10"), &[format]),
                "\"2023-04-10\""
            );
        }
    }

    #[test]
    fn formats() {
        let at = json!("2023-04-05T06:07:08.009010011+05:30");
        let rows = [
            ("%a %A %b %B %h", "Wed Wednesday Apr April Apr"),
            ("%d %e %-d %j", "05  5 5 095"),
            ("%y %C %Y %G-W%V-%u", "23 20 2023 2023-W14-3"),
            ("%H %k %I %l %-I %p %P", "06  6 06  6 6 AM am"),
            ("%M:%S", "07:08"),
            (
                "%L %N %3N %6N %12N %1L",
                "009 009010011 009 009010 009010011000 0",
            ),
            ("%z %:z %::z", "+0530 +05:30 +05:30:00"),
            ("%Z", "+05:30"),
            ("%s", "1680655028"),
            (
                "%F|%T|%D|%R|%r|%x|%X",
                "2023-04-05|06:07:08|04/05/23|06:07|06:07:08 AM|04/05/23|06:07:08",
            ),
            ("%c", "Wed Apr  5 06:07:08 2023"),
            (
                "%^b %^A %10B| %-m %_m %05d",
                "APR WEDNESDAY      April| 4  4 00005",
            ),
            ("%%%n%t%%F", "%\n\t%F"),
            (
                "100% %q %é %:q %:::z %E %OY %",
                "100% %q %é %:q %:::z %E 2023 %",
            ),
            ("%-", "%-"),
            ("%10", "%10"),
            ("ünï %Y", "ünï 2023"),
        ];
        for (format, expected) in rows {
            check(&[(at.clone(), format, expected)]);
        }
        check(&[
            (json!("2023-04-05T06:07:08Z"), "%Z", "UTC"),
            (json!("March 14, 2016"), "%%%b %d, %y", "%Mar 14, 16"),
        ]);
    }

    #[test]
    fn widths_are_bounded() {
        let wide = "error: a field of the date format is wider than 64 characters";
        for format in ["%999999999d", "%65Y", "%99999999999999999999999N", "%0065d"] {
            assert_eq!(apply("date", &json!(0), &[json!(format)]), wide, "{format}");
        }
        let long = format!(
            "error: the result takes more than {} bytes",
            context().value_bytes
        );
        for format in ["%64d".repeat(2_000), "x".repeat(70_000)] {
            assert_eq!(apply("date", &json!(0), &[json!(format)]), long);
        }
    }
}
