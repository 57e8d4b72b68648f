//! Values as text and as JSON.

use std::borrow::Cow;
use std::fmt;

use super::Value;
use crate::json::write_string;
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
            Self::Str(text) => write_string(text, out),
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
                    write_string(&key, out)?;
                    out.write_char(':')?;
                    value.write_json(out)?;
                }
                out.write_char('}')
            }
        }
    }
}
