//! The filter `date`: reads what Liquid reads as a date, formats with `liquid-lib`'s strftime.
//!
//! What is read stands in `read`. A date keeps the offset it came with; without one it is UTC. What cannot be read is
//! given unchanged, as is the input of an empty format.
//!
//! The format is looked through before the crate sees it: widths are bounded, fractions of a second
//! (`%L`, `%N`) are put in here because the crate drops their leading zeros, `%Z` prints `UTC` for UTC, `%+` is spelled out,
//! and what is no directive stands for itself.

mod read;

use std::fmt::Write as _;

use liquid_core::model::{DateTime, ScalarCow};
use liquid_lib::stdlib;
use time::OffsetDateTime;

use super::adapter::{Chain, Prepared, Served};
use super::{Arguments, FilterContext, FilterError, give};
use crate::template::value::Value;

/// `{{ at | date: '%F' }}`.
pub static DATE: Served = Served::new(|| Chain::new(&[&stdlib::Date], 1, prepare));

/// Widest field in a format, in characters; no date needs more.
const MAX_WIDTH: usize = 64;

/// What reading and writing a date is counted as, in bytes: it takes longer than copying text.
const DATE_BYTES: u64 = 256;

/// What a directive of the format is counted as besides, in bytes.
const FIELD_BYTES: u64 = 64;

/// More than any directive without a width prints, in bytes.
const MAX_FIELD_BYTES: usize = 32;

fn prepare<'v>(
    input: &'v Value<'_>,
    args: &'v Arguments<'_>,
    cx: &FilterContext,
) -> Result<Prepared<'v>, FilterError> {
    cx.spend(DATE_BYTES)?;
    let format = give::optional_text(args.get(0), cx)?;
    let at = match read::moment(input, cx) {
        Some(at) if !format.is_empty() => at,
        _ => return Ok(Prepared::Unchanged),
    };
    let format = expand(&format, at, cx)?;
    let mut date = DateTime::default();
    *date = at;
    Ok(Prepared::Call {
        input: ScalarCow::new(date),
        args: [ScalarCow::new(format), ScalarCow::new("")],
    })
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
        cx.spend(FIELD_BYTES)?;
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
        let digits = before(unflagged, bare);
        let width = match digits {
            "" => None,
            digits => match digits.parse() {
                Ok(width) if width <= MAX_WIDTH => Some(width),
                _ => {
                    return Err(FilterError::limit(format!(
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
        let text = before(after, tail);
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
            Some('+') if at.offset().is_utc() => out.push_str("%a %b %e %H:%M:%S UTC %Y"),
            Some('+') => out.push_str("%a %b %e %H:%M:%S %Z %Y"),
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

/// What of `text` stands before its end `rest`. By lengths: the rest of a long format is not compared at each directive.
fn before<'f>(text: &'f str, rest: &str) -> &'f str {
    let length = text.len().saturating_sub(rest.len());
    text.get(..length).unwrap_or_default()
}

/// The conversions of Ruby's strftime that the crate knows.
const CONVERSIONS: &str = "YCymBbhdejHkIlPpMSLNzZAauwGgVUWsnt%cDFvxXrRT+";

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
            ("%v|%+", " 5-APR-2023|Wed Apr  5 06:07:08 +05:30 2023"),
            ("%U %W %w %g %u", "14 14 3 23 3"),
            ("%#b %#p %^p %P", "APR am AM am"),
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
            (
                json!("2023-04-05T06:07:08Z"),
                "%+",
                "Wed Apr  5 06:07:08 UTC 2023",
            ),
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
