//! What the filter `date` reads as a date.
//!
//! RFC 3339, `YYYY-MM-DD` with an optional time and offset, dates with the month as a word (`March 14, 2016`,
//! `Tue, 14 Mar 2016 10:00:00 GMT`), `14.3.2016`, a time of the day, seconds since 1970 as a number or digits, `now` and
//! `today` (the event's time). Not read are `13/06/2016` and the like: which of the numbers is the month, nothing tells.

use jiff::civil;
use jiff::fmt::temporal::DateTimeParser;
use jiff::tz::Offset;
use time::{OffsetDateTime, UtcOffset};

use crate::template::filters::FilterContext;
use crate::template::value::Value;

/// No date is longer than this, in bytes.
const MAX_DATE_BYTES: usize = 64;

/// The moment that a value names.
pub fn moment(value: &Value<'_>, cx: &FilterContext) -> Option<OffsetDateTime> {
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
    read_iso(text).or_else(|| read_words(text, cx))
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
    at(civil::DateTime::from_parts(pieces.date(), time), offset)
}

/// Dates with the month as a word, times of the day, the parts in any order.
fn read_words(text: &str, cx: &FilterContext) -> Option<OffsetDateTime> {
    let mut text = text.to_ascii_lowercase();
    for half in ["am", "pm", "a.m.", "p.m."] {
        // `9 pm` is `9pm`.
        text = text.replace(&format!(" {half}"), half);
    }
    let mut found = Parts::default();
    let parts = text.split(|c: char| c.is_ascii_whitespace() || c == ',');
    for part in parts.filter(|part| !part.is_empty()) {
        // `14-mar-2016`
        let hyphenated = part.starts_with(|c: char| c.is_ascii_digit())
            && part.contains(|c: char| c.is_ascii_alphabetic())
            && !part.contains(':');
        match hyphenated {
            true => part.split('-').try_for_each(|piece| found.read(piece))?,
            false => found.read(part)?,
        }
    }
    found.moment(cx)
}

/// What the words of a date say.
#[derive(Default)]
struct Parts {
    year: Option<i16>,
    month: Option<i8>,
    day: Option<i8>,
    weekday: bool,
    time: Option<civil::Time>,
    offset: Option<Offset>,
}

impl Parts {
    fn read(&mut self, part: &str) -> Option<()> {
        /// What may stand between the parts: `14th of March 2016 at 3:09 pm`.
        const FILLERS: [&str; 3] = ["at", "of", "on"];
        if FILLERS.contains(&part) {
            Some(())
        } else if let Some(number) = month_number(part) {
            set(&mut self.month, number)
        } else if part.starts_with(['+', '-']) {
            self.time?;
            set(&mut self.offset, numeric_offset(part)?)
        } else if let Some(offset) = named_offset(part) {
            set(&mut self.offset, offset)
        } else if is_weekday(part) {
            // The date says it already.
            self.weekday = true;
            Some(())
        } else if let Some((time, afternoon)) = meridiem(part) {
            if !time.is_empty() {
                self.read_time(time)?;
            }
            self.time = Some(half_day(self.time?, afternoon)?);
            Some(())
        } else if part.contains(':') {
            self.read_time(part)
        } else if part.contains(['-', '/', '.']) {
            self.read_date(part)
        } else {
            self.read_number(part)
        }
    }

    /// `9:05`, `09:05:30.5`, `9`, `10:20+02:00`, `10:20z`.
    fn read_time(&mut self, part: &str) -> Option<()> {
        let (clock, offset) = match part.find(['+', '-']) {
            Some(at) => part.split_at(at),
            None => part
                .strip_suffix('z')
                .map_or((part, ""), |clock| (clock, "z")),
        };
        match offset {
            "" => {}
            "z" => set(&mut self.offset, Offset::UTC)?,
            numeric => set(&mut self.offset, numeric_offset(numeric)?)?,
        }
        let hour_digits = clock.find(':').unwrap_or(clock.len());
        let zero = if hour_digits == 1 { "0" } else { "" };
        let minutes = if hour_digits == clock.len() {
            ":00"
        } else {
            ""
        };
        let time = format!("{zero}{clock}{minutes}").parse().ok()?;
        set(&mut self.time, time)
    }

    /// `2016-3-4`, `2016/03/04`, and with full stops the other way round: `4.3.2016`.
    fn read_date(&mut self, part: &str) -> Option<()> {
        let separator = part.chars().find(|c| ['-', '/', '.'].contains(c))?;
        let mut numbers: Vec<&str> = part.split(separator).collect();
        if separator == '.' {
            numbers.reverse();
        }
        let [year, month, day] = numbers.as_slice() else {
            return None;
        };
        if year.len() != 4 {
            return None;
        }
        set(&mut self.year, number(year)?)?;
        set(&mut self.month, number(month)?)?;
        set(&mut self.day, number(day)?)
    }

    /// `14`, `3rd`, `2016`.
    fn read_number(&mut self, part: &str) -> Option<()> {
        let digits = ["st", "nd", "rd", "th"]
            .iter()
            .find_map(|suffix| part.strip_suffix(suffix))
            .unwrap_or(part);
        match digits.len() {
            1 | 2 => set(&mut self.day, number(digits)?),
            4 => set(&mut self.year, number(digits)?),
            _ => None,
        }
    }

    /// A date without a year is of this year, a time alone of today: when the event came in.
    fn moment(self, cx: &FilterContext) -> Option<OffsetDateTime> {
        let offset = self.offset.unwrap_or(Offset::UTC);
        let today = offset.to_datetime(cx.now).date();
        let date = match (self.year, self.month, self.day) {
            (Some(year), Some(month), day) => {
                civil::Date::new(year, month, day.unwrap_or(1)).ok()?
            }
            (None, Some(month), Some(day)) => civil::Date::new(today.year(), month, day).ok()?,
            (None, None, None) if self.time.is_some() && !self.weekday => today,
            _ => return None,
        };
        let time = self.time.unwrap_or(civil::Time::midnight());
        at(civil::DateTime::from_parts(date, time), offset)
    }
}

/// Digits and nothing else.
fn number<T: std::str::FromStr>(digits: &str) -> Option<T> {
    let plain = digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|_| plain)
}

/// The zones that dates of mails have by name (RFC 5322, section 4.3).
fn named_offset(name: &str) -> Option<Offset> {
    let hours = match name {
        "utc" | "gmt" | "ut" | "z" => 0,
        "edt" => -4,
        "est" | "cdt" => -5,
        "cst" | "mdt" => -6,
        "mst" | "pdt" => -7,
        "pst" => -8,
        _ => return None,
    };
    Offset::from_hours(hours).ok()
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

/// What stands before `am` or `pm`, and whether it is the latter.
fn meridiem(part: &str) -> Option<(&str, bool)> {
    let endings = [("am", false), ("pm", true), ("a.m.", false), ("p.m.", true)];
    let found = |(ending, afternoon)| Some((part.strip_suffix(ending)?, afternoon));
    endings.into_iter().find_map(found)
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

/// `+0200`, `-05:30`, `+2`, `+5:30`.
fn numeric_offset(text: &str) -> Option<Offset> {
    let (sign, digits) = text.split_at_checked(1)?;
    let (hours, minutes) = match digits.split_once(':') {
        Some(parts) => parts,
        None if digits.len() == 4 => digits.split_at_checked(2)?,
        None => (digits, "00"),
    };
    if hours.len() > 2 || minutes.len() != 2 {
        return None;
    }
    let seconds = number::<i32>(hours)? * 3_600 + number::<i32>(minutes)? * 60;
    Offset::from_seconds(if sign == "-" { -seconds } else { seconds }).ok()
}

fn at(civil: civil::DateTime, offset: Offset) -> Option<OffsetDateTime> {
    let at = offset.to_timestamp(civil).ok()?;
    let at = OffsetDateTime::from_unix_timestamp_nanos(at.as_nanosecond()).ok()?;
    let offset = UtcOffset::from_whole_seconds(offset.seconds()).ok()?;
    at.checked_to_offset(offset).filter(|at| at.year() >= 0)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use crate::template::filters::testing::apply;

    fn check(input: &Json, format: &str, expected: &str) {
        let actual = apply("date", input, &[json!(format)]);
        assert_eq!(actual, json!(expected).to_string(), "{input}");
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
            ("Sep 3 2020 9:05pm", "2020-09-03 21:05:00 +0000"),
            ("Sep 3 2020 9 p.m.", "2020-09-03 21:00:00 +0000"),
            ("3 PM", "2026-11-21 15:00:00 +0000"),
            ("Sep 3 2020 9:05 p.m.", "2020-09-03 21:05:00 +0000"),
            ("Sep 3 2020 12am", "2020-09-03 00:00:00 +0000"),
            ("2020-09-03 12:05 PM", "2020-09-03 12:05:00 +0000"),
            ("2020-9-3", "2020-09-03 00:00:00 +0000"),
            ("2020/9/3 4:05", "2020-09-03 04:05:00 +0000"),
            ("03-Sep-2020", "2020-09-03 00:00:00 +0000"),
            ("3 Sep 2020 10:20:30+02:00", "2020-09-03 10:20:30 +0200"),
            ("3 Sep 2020 10:20Z", "2020-09-03 10:20:00 +0000"),
            ("Thu, 3 Sep 2020 10:20:30 EST", "2020-09-03 10:20:30 -0500"),
            ("Thu, 3 Sep 2020 10:20:30 PDT", "2020-09-03 10:20:30 -0700"),
            (
                "Thursday, September 3rd of 2020 at 3:09 PM",
                "2020-09-03 15:09:00 +0000",
            ),
            ("3.9.2020 15:09", "2020-09-03 15:09:00 +0000"),
            ("03.09.2020", "2020-09-03 00:00:00 +0000"),
            ("3 Sep 2020 10:20 +2", "2020-09-03 10:20:00 +0200"),
            ("3 Sep 2020 10:20 -5:30", "2020-09-03 10:20:00 -0530"),
            (
                "Mon Mar 14 10:20:30 +0100 2016",
                "2016-03-14 10:20:30 +0100",
            ),
            ("14 Mar 2016 UTC", "2016-03-14 00:00:00 +0000"),
            ("Sep 2020", "2020-09-01 00:00:00 +0000"),
            ("14 Mar", "2026-03-14 00:00:00 +0000"),
            ("10:30", "2026-11-21 10:30:00 +0000"),
            ("9:05 PM -0300", "2026-11-20 21:05:00 -0300"),
            ("20230410T143105Z", "2023-04-10 14:31:05 +0000"),
            ("1457913600", "2016-03-14 00:00:00 +0000"),
            ("now", "2026-11-21 02:00:00 +0000"),
            ("Today", "2026-11-21 02:00:00 +0000"),
        ];
        for (input, expected) in rows {
            check(&json!(input), "%Y-%m-%d %H:%M:%S %z", expected);
        }
        let rows = [
            (1_457_913_600, "2016-03-14 00:00:00"),
            (-1, "1969-12-31 23:59:59"),
            (0, "1970-01-01 00:00:00"),
        ];
        for (input, expected) in rows {
            check(&json!(input), "%F %T", expected);
        }
    }

    #[test]
    fn what_cannot_be_read_is_given_unchanged() {
        let inputs = [
            json!(null),
            json!(""),
            json!("tomorrow"),
            json!("2023-13-01"),
            json!("2023-02-30"),
            json!("March"),
            json!("Monday 10:30"),
            json!("Monday"),
            json!("13/06/2016"),
            json!("06-13-2016"),
            json!("2016-13"),
            json!("2016-06-13-1 9:05 PM"),
            json!("13 PM"),
            json!("Sep 3 2020 pm"),
            json!("pm"),
            json!("13:05 PM"),
            json!("14 Mar 2016 10:30 UTC UTC"),
            json!("14 Mar 2016 10:30 11:30"),
            json!("+3 Mar 2016"),
            json!("3 Sep 2020 10:20 +"),
            json!("3 Sep 2020 10:20 +123"),
            json!("3 Sep 2020 10:20 +1:2"),
            json!("3 Sep 2020 10:20 +é"),
            json!("3.9.20"),
            json!("3.9-2020"),
            json!("2020.9.3"),
            json!("1.2.3.2020"),
            json!("of"),
            json!("10:"),
            json!(":"),
            json!("9.5am"),
            json!("2016-+3-4 9:05 PM"),
            json!("-1"),
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
}
