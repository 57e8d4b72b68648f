//! Values as text and as JSON.

use std::borrow::Cow;
use std::fmt;

use super::Value;
use crate::template::number::Number;

impl Value<'_> {
    /// What `{{ value }}` shows in plain Liquid: arrays are their items one after the other,
    /// objects are JSON text.
    #[must_use]
    pub fn to_text(&self) -> Cow<'_, str> {
        match self {
            Self::Nil | Self::Empty | Self::Blank => Cow::Borrowed(""),
            Self::Bool(true) => Cow::Borrowed("true"),
            Self::Bool(false) => Cow::Borrowed("false"),
            Self::Str(text) => Cow::Borrowed(text),
            Self::Number(Number::Text(text)) => Cow::Borrowed(text),
            _ => {
                let mut text = String::new();
                // Writing to a String does not fail.
                let _ = self.write_text(&mut text);
                Cow::Owned(text)
            }
        }
    }

    /// Writes what [`Value::to_text`] yields. Every value within is written, nothing as an empty piece, so that `out` can
    /// count them.
    ///
    /// # Errors
    /// Only those of `out`, which may refuse more than it has room for.
    pub fn write_text<W: fmt::Write + ?Sized>(&self, out: &mut W) -> fmt::Result {
        match self {
            Self::Nil | Self::Empty | Self::Blank => out.write_str(""),
            Self::Bool(b) => write!(out, "{b}"),
            Self::Number(n) => write!(out, "{n}"),
            Self::Str(text) => out.write_str(text),
            Self::Range(first, last) => write!(out, "{first}..{last}"),
            Self::Array(items) => {
                out.write_str("")?;
                items.iter().try_for_each(|item| item.write_text(out))
            }
            Self::Object(_) => self.write_json(out),
        }
    }

    /// Writes the value as compact JSON; `nil`, `empty` and `blank` are `null`.
    ///
    /// # Errors
    /// Only those of `out`, which may refuse more than it has room for.
    pub fn write_json<W: fmt::Write + ?Sized>(&self, out: &mut W) -> fmt::Result {
        match self {
            Self::Nil | Self::Empty | Self::Blank => out.write_str("null"),
            Self::Bool(b) => write!(out, "{b}"),
            Self::Number(n) => write!(out, "{n}"),
            Self::Str(text) => write_json_string(text, out),
            Self::Range(first, last) => {
                out.write_char('[')?;
                for n in *first..=*last {
                    if n != *first {
                        out.write_char(',')?;
                    }
                    write!(out, "{n}")?;
                }
                out.write_char(']')
            }
            Self::Array(items) => {
                out.write_char('[')?;
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.write_char(',')?;
                    }
                    item.write_json(out)?;
                }
                out.write_char(']')
            }
            Self::Object(members) => {
                out.write_char('{')?;
                for (index, (key, value)) in members.iter().enumerate() {
                    if index > 0 {
                        out.write_char(',')?;
                    }
                    write_json_string(&key, out)?;
                    out.write_char(':')?;
                    value.write_json(out)?;
                }
                out.write_char('}')
            }
        }
    }
}

/// Writes `text` as a JSON string, with quotes.
///
/// # Errors
/// Only those of `out`.
pub fn write_json_string<W: fmt::Write + ?Sized>(text: &str, out: &mut W) -> fmt::Result {
    out.write_char('"')?;
    write_json_escaped(text, out)?;
    out.write_char('"')
}

/// Writes `text` as the content of a JSON string, without quotes.
///
/// # Errors
/// Only those of `out`.
pub fn write_json_escaped<W: fmt::Write + ?Sized>(text: &str, out: &mut W) -> fmt::Result {
    let mut rest = text;
    while let Some(at) = rest
        .bytes()
        .position(|b| b < 0x20 || b == b'"' || b == b'\\')
    {
        let (plain, special) = rest.split_at(at);
        out.write_str(plain)?;
        let mut characters = special.chars();
        match characters.next() {
            Some('"') => out.write_str("\\\"")?,
            Some('\\') => out.write_str("\\\\")?,
            Some('\n') => out.write_str("\\n")?,
            Some('\r') => out.write_str("\\r")?,
            Some('\t') => out.write_str("\\t")?,
            Some('\u{8}') => out.write_str("\\b")?,
            Some('\u{c}') => out.write_str("\\f")?,
            Some(other) => write!(out, "\\u{:04x}", u32::from(other))?,
            None => {}
        }
        rest = characters.as_str();
    }
    out.write_str(rest)
}
