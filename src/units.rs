//! Durations (`15s`, `5m`, `1h 30m`, `7d`), sizes (`64KiB`, `10GiB`, `1000`) and rates (`50/s`) as people write them.
//!
//! Durations are read by `jiff`; a day is 24 hours and a week is 7 days. Sizes count bytes: `KiB`,
//! `MiB`, `GiB`, `TiB` in steps of 1024, `kB`, `MB`, `GB`, `TB` in steps of 1000. Rates are whole numbers by the
//! second, minute or hour.

use std::fmt;
use std::time::Duration;

use jiff::{SpanRelativeTo, SpanRound, Unit};

/// Most in a rate's unit of time: one each microsecond, beyond which nothing that we do can be paced.
const MAX_RATE_COUNT: u32 = 1_000_000;

/// Why a text is no duration, size or rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// Not a duration.
    #[error("`{0}` is not a duration (such as `500ms`, `15s`, `5m`, `2h` or `7d`)")]
    Duration(String),
    /// Not a size.
    #[error("`{0}` is not a size (such as `64KiB`, `10MB` or a count of bytes)")]
    Size(String),
    /// Not a rate.
    #[error("`{0}` is not a rate (such as `50/s`, `300/m` or `10/h`, from 1 to {MAX_RATE_COUNT})")]
    Rate(String),
}

/// So many in a unit of time; never none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    count: u32,
    per: Per,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Per {
    Second,
    Minute,
    Hour,
}

impl Rate {
    /// The time from one to the next if they are spaced evenly, rounded up to whole nanoseconds; never zero.
    #[must_use]
    pub fn interval(self) -> Duration {
        let seconds: u64 = match self.per {
            Per::Second => 1,
            Per::Minute => 60,
            Per::Hour => 3600,
        };
        let nanos = seconds * 1_000_000_000;
        Duration::from_nanos(nanos.div_ceil(u64::from(self.count.max(1))))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per = match self.per {
            Per::Second => "s",
            Per::Minute => "m",
            Per::Hour => "h",
        };
        write!(f, "{}/{per}", self.count)
    }
}

/// Reads a duration; never negative.
///
/// # Errors
/// [`UnitError::Duration`] if the text has no unit, an unknown one, or is negative.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let wrong = || UnitError::Duration(text.to_owned());
    let span: jiff::Span = text.trim().parse().map_err(|_| wrong())?;
    if span.is_negative() || span.get_months() != 0 || span.get_years() != 0 {
        return Err(wrong());
    }
    let exact = span
        .round(
            SpanRound::new()
                .largest(Unit::Hour)
                .relative(SpanRelativeTo::days_are_24_hours()),
        )
        .and_then(|s| s.to_duration(SpanRelativeTo::days_are_24_hours()))
        .map_err(|_| wrong())?;
    Duration::try_from(exact).map_err(|_| wrong())
}

/// Reads a size in bytes.
///
/// # Errors
/// [`UnitError::Size`] if the text is not a whole number with a known unit, or does not fit.
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    let wrong = || UnitError::Size(text.to_owned());
    let text_trimmed = text.trim();
    let digits = text_trimmed
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text_trimmed.len());
    let (number, unit) = text_trimmed.split_at(digits);
    let scale: u64 = match unit.trim() {
        "" | "B" => 1,
        "kB" | "KB" => 1000,
        "MB" => 1000_u64.pow(2),
        "GB" => 1000_u64.pow(3),
        "TB" => 1000_u64.pow(4),
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(scale).ok_or_else(wrong)
}

/// Reads a rate: a count, a slash and `s`, `m` or `h`.
///
/// # Errors
/// [`UnitError::Rate`] if the text is not that, or the count is not from 1 to a million.
pub fn parse_rate(text: &str) -> Result<Rate, UnitError> {
    let wrong = || UnitError::Rate(text.to_owned());
    let (count, per) = text.split_once('/').ok_or_else(wrong)?;
    let per = match per.trim() {
        "s" => Per::Second,
        "m" => Per::Minute,
        "h" => Per::Hour,
        _ => return Err(wrong()),
    };
    let count = count.trim();
    if !count.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let count: u32 = count.parse().map_err(|_| wrong())?;
    if !(1..=MAX_RATE_COUNT).contains(&count) {
        return Err(wrong());
    }
    Ok(Rate { count, per })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, millis) in [
            ("500ms", Some(500)),
            ("15s", Some(15_000)),
            ("5m", Some(300_000)),
            ("1h 30m", Some(5_400_000)),
            ("7d", Some(604_800_000)),
            ("2w", Some(1_209_600_000)),
            ("0s", Some(0)),
            ("15", None),
            ("-5s", None),
            ("5 parsecs", None),
            ("1 month", None),
            ("", None),
        ] {
            let got = parse_duration(text).ok().map(|d| d.as_millis());
            assert_eq!(got, millis, "{text:?}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("1000", Some(1000)),
            ("64KiB", Some(65_536)),
            ("1 MiB", Some(1_048_576)),
            ("10MB", Some(10_000_000)),
            ("1.5MiB", None),
            ("-1", None),
            ("99999999999999TiB", None),
            ("5 bananas", None),
        ] {
            assert_eq!(parse_size(text).ok(), bytes, "{text:?}");
        }
    }

    #[test]
    fn rates() {
        for (text, nanos) in [
            ("50/s", Some(20_000_000)),
            ("3/s", Some(333_333_334)),
            (" 300 / m ", Some(200_000_000)),
            ("10/h", Some(360_000_000_000)),
            ("1000000/s", Some(1000)),
            ("1000001/s", None),
            ("0/s", None),
            ("+5/s", None),
            ("-5/s", None),
            ("0.5/s", None),
            ("5/d", None),
            ("5/10s", None),
            ("5/", None),
            ("/s", None),
            ("5", None),
            ("", None),
        ] {
            let got = parse_rate(text).ok().map(|rate| rate.interval().as_nanos());
            assert_eq!(got, nanos, "{text:?}");
        }
        assert_eq!(parse_rate("300 / m").unwrap().to_string(), "300/m");
    }
}
