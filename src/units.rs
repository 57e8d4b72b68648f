//! Durations (`15s`, `5m`, `1h 30m`, `7d`) and sizes (`64KiB`, `10GiB`, `1000`) as people write them.
//!
//! Durations are read by `jiff`; a day is 24 hours and a week is 7 days. Sizes count bytes: `KiB`,
//! `MiB`, `GiB`, `TiB` in steps of 1024, `kB`, `MB`, `GB`, `TB` in steps of 1000.

use std::time::Duration;

use jiff::{SpanRelativeTo, SpanRound, Unit};

/// Why a text is no duration or size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// Not a duration.
    #[error("`{0}` is not a duration (such as `500ms`, `15s`, `5m`, `2h` or `7d`)")]
    Duration(String),
    /// Not a size.
    #[error("`{0}` is not a size (such as `64KiB`, `10MB` or a count of bytes)")]
    Size(String),
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
}
