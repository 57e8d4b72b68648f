//! Where rendering goes: literal text and typed values, told apart.

use std::fmt::{self, Write};

use super::syntax::{Fault, Span};
use super::value::Value;

/// Where in which file something comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The file's index in the template.
    pub file: usize,
    /// The part of its text.
    pub span: Span,
}

/// How a value is to be printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Printed {
    /// As `{{ value }}`.
    Plain,
    /// As `{{ value | json }}`.
    Json,
}

/// Takes what a template prints.
pub trait Sink<'a> {
    /// Text of the template itself; its bytes are those of the origin.
    fn literal(&mut self, text: &'a str, origin: Origin) -> Result<(), Fault>;
    /// A value.
    fn value(&mut self, value: &Value<'a>, printed: Printed, origin: Origin) -> Result<(), Fault>;
    /// How many bytes it holds.
    fn held(&self) -> usize;
}

/// Plain text, of bounded length.
#[derive(Debug)]
pub struct TextSink {
    text: String,
    limit: usize,
    /// Bytes and pieces so far: an array may hold millions of values that print nothing.
    used: usize,
}

impl TextSink {
    /// Takes up to `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            text: String::new(),
            limit,
            used: 0,
        }
    }

    /// How much was printed, in bytes; what prints nothing counts as one.
    pub fn used(&self) -> u64 {
        self.used as u64
    }

    /// What was printed.
    pub fn into_text(self) -> String {
        self.text
    }

    fn full(&self, span: Span) -> Fault {
        Fault::new(
            span,
            format!("the text is larger than {} bytes", self.limit),
        )
    }
}

impl Write for TextSink {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let used = self.used.saturating_add(text.len().max(1));
        if used > self.limit {
            return Err(fmt::Error);
        }
        self.used = used;
        self.text.push_str(text);
        Ok(())
    }
}

impl<'a> Sink<'a> for TextSink {
    fn literal(&mut self, text: &'a str, origin: Origin) -> Result<(), Fault> {
        self.write_str(text).map_err(|_| self.full(origin.span))
    }

    fn value(&mut self, value: &Value<'a>, printed: Printed, origin: Origin) -> Result<(), Fault> {
        let written = match printed {
            Printed::Plain => value.write_text(self),
            Printed::Json => value.write_json(self),
        };
        written.map_err(|_| self.full(origin.span))
    }

    fn held(&self) -> usize {
        self.used
    }
}

/// Keeps what is printed, to be printed again: `ifchanged` looks at it first.
#[derive(Debug)]
pub struct Recorder<'a> {
    pieces: Vec<Recorded<'a>>,
    /// How many more can be kept.
    left: usize,
}

#[derive(Debug)]
enum Recorded<'a> {
    Literal(&'a str, Origin),
    Value(Value<'a>, Printed, Origin),
}

impl<'a> Recorder<'a> {
    /// Keeps up to so many pieces.
    pub fn new(pieces: usize) -> Self {
        Self {
            pieces: Vec::new(),
            left: pieces,
        }
    }

    fn keep(&mut self, piece: Recorded<'a>, span: Span) -> Result<(), Fault> {
        self.left = self
            .left
            .checked_sub(1)
            .ok_or_else(|| Fault::new(span, "`ifchanged` holds too much"))?;
        self.pieces.push(piece);
        Ok(())
    }

    /// Prints all of it; an error comes with the file that it is in.
    pub fn replay(&self, out: &mut dyn Sink<'a>) -> Result<(), (Fault, usize)> {
        self.pieces.iter().try_for_each(|piece| match piece {
            Recorded::Literal(text, origin) => {
                let printed = out.literal(text, *origin);
                printed.map_err(|fault| (fault, origin.file))
            }
            Recorded::Value(value, printed, origin) => {
                let printed = out.value(value, *printed, *origin);
                printed.map_err(|fault| (fault, origin.file))
            }
        })
    }
}

impl<'a> Sink<'a> for Recorder<'a> {
    fn literal(&mut self, text: &'a str, origin: Origin) -> Result<(), Fault> {
        self.keep(Recorded::Literal(text, origin), origin.span)
    }

    fn value(&mut self, value: &Value<'a>, printed: Printed, origin: Origin) -> Result<(), Fault> {
        let piece = Recorded::Value(value.clone(), printed, origin);
        self.keep(piece, origin.span)
    }

    fn held(&self) -> usize {
        self.pieces.len() * size_of::<Recorded<'_>>()
    }
}
