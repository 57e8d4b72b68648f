//! How data looks to people: colours, times, sizes of the terminal; tables; the story of an event.
//!
//! Promise: text from outside moves no cursor and changes no colour; what is not a terminal gets times in full, no
//! colours and no cut texts.

mod table;
pub(super) mod timeline;

use std::borrow::Cow;
use std::io::IsTerminal;
use std::os::fd::AsFd;

use jiff::{SignedDuration, Timestamp};
use rustix::termios::tcgetwinsize;

pub(super) use table::{Cell, Column, Table};

/// How to show something to whoever reads it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    /// How many characters a line has, and how many lines there are; `None` if there is no terminal.
    pub(super) size: Option<(usize, usize)>,
    pub(super) colour: bool,
    /// What times are told by; in full if there is none.
    pub(super) now: Option<Timestamp>,
}

/// What a text says besides its words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Strong,
    Faint,
    Good,
    Doubtful,
    Bad,
}

impl Look {
    pub(super) fn of_stdout() -> Self {
        Self::of(&std::io::stdout())
    }

    pub(super) fn of_stderr() -> Self {
        Self::of(&std::io::stderr())
    }

    fn of(stream: &(impl IsTerminal + AsFd)) -> Self {
        /// Of a terminal that does not say how large it is.
        const USUAL: (usize, usize) = (80, 24);
        if !stream.is_terminal() {
            return Self::PLAIN;
        }
        let size = tcgetwinsize(stream).ok().map_or(USUAL, |size| {
            (usize::from(size.ws_col), usize::from(size.ws_row))
        });
        let usual = |given: usize, usual: usize| if given == 0 { usual } else { given };
        Self {
            size: Some((usual(size.0, USUAL.0), usual(size.1, USUAL.1))),
            colour: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
                && std::env::var_os("TERM").is_none_or(|value| value != "dumb"),
            now: Some(Timestamp::now()),
        }
    }

    /// For what is no terminal.
    pub(super) const PLAIN: Self = Self {
        size: None,
        colour: false,
        now: None,
    };

    pub(super) fn paint(&self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Plain => "",
            Tone::Strong => "1",
            Tone::Faint => "2",
            Tone::Good => "32",
            Tone::Doubtful => "33",
            Tone::Bad => "31",
        };
        if !self.colour || code.is_empty() || text.is_empty() {
            return text.to_owned();
        }
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    /// A time: how long ago on a terminal, in full otherwise.
    pub(super) fn time(&self, at: Timestamp) -> String {
        self.now.map_or_else(|| at.to_string(), |now| from(now, at))
    }

    /// A time where there may be none.
    pub(super) fn time_if(&self, at: Option<Timestamp>) -> String {
        at.map_or_else(|| "-".to_owned(), |at| self.time(at))
    }

    /// A time in full, and on a terminal how long ago that is as well.
    pub(super) fn moment(&self, at: Timestamp) -> String {
        match self.now {
            Some(now) => format!("{at} ({})", from(now, at)),
            None => at.to_string(),
        }
    }
}

/// Where a time is, seen from now.
fn from(now: Timestamp, at: Timestamp) -> String {
    let away = at.duration_since(now);
    let seconds = away.as_secs().unsigned_abs();
    if seconds == 0 {
        "now".to_owned()
    } else if away.is_negative() {
        format!("{} ago", age(seconds))
    } else {
        format!("in {}", age(seconds))
    }
}

/// Whole seconds in the two largest units that say something.
pub(super) fn age(seconds: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
    let Some(first) = UNITS.iter().position(|(unit, _)| seconds >= *unit) else {
        return "0s".to_owned();
    };
    let mut rest = seconds;
    let parts = UNITS.iter().skip(first).take(2).map(|(unit, name)| {
        let count = rest / unit;
        rest %= unit;
        (count, name)
    });
    let parts: Vec<String> = parts
        .filter(|(count, _)| *count > 0)
        .map(|(count, name)| format!("{count}{name}"))
        .collect();
    parts.join(" ")
}

/// How long ago something was, by another clock's now; never negative.
pub(super) fn age_at(now: Timestamp, at: Timestamp) -> String {
    let past = now.duration_since(at).max(SignedDuration::ZERO);
    age(past.as_secs().unsigned_abs())
}

/// How long something took.
pub(super) fn took(seconds: f64) -> String {
    if seconds < 1.0 {
        format!("{:.0}ms", seconds * 1000.0)
    } else if seconds < 60.0 {
        format!("{seconds:.1}s")
    } else {
        format!("{seconds:.0}s")
    }
}

/// So many of a thing.
pub(super) fn count(number: u64, one: &str, more: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { more })
}

/// Text from outside, on one line: what would move the cursor, change colours or turn the direction of writing is
/// spelled out.
pub(super) fn clean(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_command) {
        return Cow::Borrowed(text);
    }
    let spelled = text.chars().fold(String::new(), |mut all, c| {
        match c {
            '\n' => all.push_str("\\n"),
            '\r' => all.push_str("\\r"),
            '\t' => all.push_str("\\t"),
            c if is_command(c) => all.extend(c.escape_unicode()),
            c => all.push(c),
        }
        all
    });
    Cow::Owned(spelled)
}

/// Whether a terminal may take this character for a command.
pub(super) fn is_command(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// At most this many characters; what is cut ends with an ellipsis.
pub(super) fn cut(text: &str, most: usize) -> Cow<'_, str> {
    if text.chars().count() <= most {
        return Cow::Borrowed(text);
    }
    let mut kept: String = text.chars().take(most.saturating_sub(1)).collect();
    kept.push('…');
    Cow::Owned(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_relative_for_people_and_full_for_others() {
        let at: Timestamp = "2026-01-05T10:00:00Z".parse().unwrap();
        assert_eq!(Look::PLAIN.time(at), "2026-01-05T10:00:00Z");
        assert_eq!(Look::PLAIN.time_if(None), "-");
        for (now, wanted) in [
            ("2026-01-05T10:00:00.4Z", "now"),
            ("2026-01-05T10:00:05Z", "5s ago"),
            ("2026-01-05T10:03:05Z", "3m 5s ago"),
            ("2026-01-05T12:00:05Z", "2h ago"),
            ("2026-01-12T13:00:05Z", "7d 3h ago"),
            ("2026-01-05T09:58:30Z", "in 1m 30s"),
        ] {
            let look = Look {
                now: Some(now.parse().unwrap()),
                ..Look::PLAIN
            };
            assert_eq!(look.time(at), wanted, "{now}");
        }
    }

    #[test]
    fn durations() {
        for (seconds, wanted) in [
            (0.0004, "0ms"),
            (0.0123, "12ms"),
            (1.26, "1.3s"),
            (75.0, "75s"),
        ] {
            assert_eq!(took(seconds), wanted);
        }
    }

    #[test]
    fn text_from_outside_is_no_command() {
        for (text, wanted) in [
            ("plain é 日本", "plain é 日本"),
            ("a\nb\tc\r", "a\\nb\\tc\\r"),
            ("\x1b[2Jgone", "\\u{1b}[2Jgone"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("\u{202e}txt", "\\u{202e}txt"),
        ] {
            assert_eq!(clean(text), wanted);
        }
    }

    #[test]
    fn colours_are_for_those_who_want_them() {
        assert_eq!(Look::PLAIN.paint(Tone::Bad, "dead"), "dead");
        let look = Look {
            colour: true,
            ..Look::PLAIN
        };
        assert_eq!(look.paint(Tone::Bad, "dead"), "\x1b[31mdead\x1b[0m");
        assert_eq!(look.paint(Tone::Plain, "dead"), "dead");
    }

    #[test]
    fn what_is_cut_shows_it() {
        for (text, most, wanted) in [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("éàü", 2, "é…")]
        {
            assert_eq!(cut(text, most), wanted);
        }
    }
}
