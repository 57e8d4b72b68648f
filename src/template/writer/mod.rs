//! The JSON writer: a push-down automaton that is fed the template's own text and the values of its outputs, apart.
//!
//! Promises: what [`Writer::finish`] yields is exactly one JSON value, compact, that serde_json parses; a value never
//! leaves the place it is printed into; no comma is ever inserted. What it mends is reported: commas too many are
//! dropped, a value that is missing after a colon is `null`, control characters in a literal string are escaped.

mod fold;
mod literal;
mod memo;
mod scan;
#[cfg(test)]
mod tests;
mod values;
mod words;

use std::collections::HashSet;
use std::sync::Arc;

use super::sink::{Origin, Printed, Sink};
use super::syntax::{Fault, Span};
use super::value::Value;
pub use fold::Shape;
pub use memo::Memos;
use memo::Step;
use scan::Digits;

/// Most arrays and objects within each other: what common parsers take, serde_json among them.
pub const DEPTH: usize = 127;
/// Most repairs that are reported for one render.
pub const REPAIRS: usize = 100;
/// Most repairs that are made: those that drop a comma cost time and print nothing, so that no other limit ends them.
pub const MENDS: usize = 1_000_000;
/// Room for the output at first, in bytes: most outputs need little more.
const FIRST_ROOM: usize = 1 << 10;
/// Most characters of a key that an error shows.
const SHOWN_KEY: usize = 60;
/// Up to this many keys of an object are compared one by one.
const FEW_KEYS: usize = 16;

/// How the error of a key ends that its object has already.
const TWICE: &str = "comes twice in one object";

/// How the error of a value begins that cannot be a key.
const NO_KEY: &str = "a key cannot be";

/// Something that was mended, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mended {
    /// What it was.
    pub what: &'static str,
    /// Where.
    pub origin: Origin,
}

/// The automaton with its output.
#[derive(Debug, Clone)]
pub struct Writer {
    out: String,
    limit: usize,
    state: State,
    stack: Vec<Container>,
    /// Where the keys of all open objects stand in the output.
    keys: Vec<(usize, usize)>,
    /// Where in the output the key begins that is being written.
    key_start: usize,
    /// The comma that is due if anything follows, and the origin of what is being written.
    comma: Origin,
    origin: Origin,
    repairs: Vec<Mended>,
    /// How many repairs may still be made.
    mends: usize,
    /// What is known of the template's text.
    memos: Option<Arc<Memos>>,
    /// What text that is gone through does, while it is noted.
    steps: Option<Vec<Step>>,
}

/// What is open.
#[derive(Debug, Clone)]
enum Container {
    Array,
    Object {
        /// Which of `Writer::keys` is its first.
        first_key: usize,
        /// All of its keys, once they are many.
        many: HashSet<Box<str>>,
    },
}

/// Where the output stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum State {
    /// A value may start.
    Value(Before),
    /// A key may start; `first`: right after `{`, else after a comma, which is not written yet.
    Key { first: bool },
    /// Between a key and its colon.
    Colon,
    /// After a value within an array or object.
    After,
    /// Inside a string.
    Text(Role),
    /// After a backslash.
    Escape(Role),
    /// Inside `\uXXXX`.
    Hex {
        role: Role,
        digits: u8,
        code: u16,
        /// Whether it must be the second half of a pair.
        low: bool,
    },
    /// After the first half of a pair: the backslash of the second is due, then its `u`.
    Pair { role: Role, slash: bool },
    /// Inside a number.
    Number(Digits),
    /// Inside `true`, `false` or `null`: what is still missing.
    Word(&'static str),
    /// After the one value.
    Done,
}

/// What stands before a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Before {
    Nothing,
    Bracket,
    Comma,
    Colon,
}

/// What a string is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Role {
    Key,
    Value,
}

impl Container {
    fn new(array: bool, first_key: usize) -> Self {
        match array {
            true => Self::Array,
            false => Self::Object {
                first_key,
                many: HashSet::new(),
            },
        }
    }

    fn is_array(&self) -> bool {
        matches!(self, Self::Array)
    }
}

impl State {
    /// Whether a comma waits for something to follow it.
    fn has_comma(self) -> bool {
        matches!(
            self,
            Self::Value(Before::Comma) | Self::Key { first: false }
        )
    }

    /// Whether a key is being written.
    fn is_in_key(self) -> bool {
        matches!(
            self,
            Self::Text(Role::Key)
                | Self::Escape(Role::Key)
                | Self::Hex {
                    role: Role::Key,
                    ..
                }
                | Self::Pair {
                    role: Role::Key,
                    ..
                }
        )
    }
}

impl<'a> Sink<'a> for Writer {
    fn literal(&mut self, text: &'a str, origin: Origin) -> Result<(), Fault> {
        self.write_known(text, origin)
    }

    fn value(&mut self, value: &Value<'a>, printed: Printed, origin: Origin) -> Result<(), Fault> {
        self.write_value(value, printed, origin)
    }

    fn held(&self) -> usize {
        self.out.len()
    }
}

impl Writer {
    /// Takes up to `limit` bytes of output.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let nowhere = Origin {
            file: 0,
            span: Span::new(0, 0),
        };
        Self {
            out: String::with_capacity(limit.min(FIRST_ROOM)),
            limit,
            state: State::Value(Before::Nothing),
            stack: Vec::new(),
            keys: Vec::new(),
            key_start: 0,
            comma: nowhere,
            origin: nowhere,
            repairs: Vec::new(),
            mends: MENDS,
            memos: None,
            steps: None,
        }
    }

    /// The same, with memos of the template's text.
    #[must_use]
    pub fn with_memos(mut self, memos: &Arc<Memos>) -> Self {
        self.memos = Some(Arc::clone(memos));
        self
    }

    /// The same, with so many repairs at most: what the blocks of a render make counts together.
    #[must_use]
    pub fn with_mends(mut self, mends: usize) -> Self {
        self.mends = mends;
        self
    }

    /// How many repairs it may still make.
    #[must_use]
    pub fn mends(&self) -> usize {
        self.mends
    }

    /// The value, once it is whole, and what was mended. `end` is marked if it is not.
    ///
    /// # Errors
    /// What is missing.
    pub fn finish(mut self, end: Span) -> Result<(String, Vec<Mended>), Fault> {
        if let State::Number(digits) = self.state
            && digits.complete()
        {
            self.end_value();
        }
        let missing = match self.state {
            State::Done => return Ok((self.out, self.repairs)),
            State::Value(Before::Nothing) => "nothing was printed; a JSON value is due".to_owned(),
            State::Text(_) | State::Escape(_) | State::Hex { .. } | State::Pair { .. } => {
                "the output ends inside a string".to_owned()
            }
            State::Number(_) => "the output ends inside a number".to_owned(),
            State::Word(rest) => format!("the output ends before `{rest}`"),
            State::Colon => "the output ends between a key and its colon".to_owned(),
            State::Value(_) | State::Key { .. } | State::After => match self.stack.last() {
                Some(Container::Array) => "the output ends before the `]` of an array".to_owned(),
                _ => "the output ends before the `}` of an object".to_owned(),
            },
        };
        Err(Fault::of_output(end, missing))
    }

    /// Writes the comma that waited for something to follow it.
    fn due_comma(&mut self) -> Result<(), Fault> {
        match self.state.has_comma() {
            true => self.push(","),
            false => Ok(()),
        }
    }

    fn open(&mut self, array: bool) -> Result<(), Fault> {
        if self.stack.len() >= DEPTH {
            return Err(self.too_deep());
        }
        self.stack.push(Container::new(array, self.keys.len()));
        self.note(Step::Open { array });
        Ok(())
    }

    fn close(&mut self, c: char) -> Result<(), Fault> {
        let text = match (self.stack.last(), c) {
            (Some(Container::Array), ']') => "]",
            (Some(Container::Object { .. }), '}') => "}",
            _ => return Err(self.unexpected(c)),
        };
        self.leave();
        self.note(Step::Close);
        self.push(text)?;
        self.end_value();
        Ok(())
    }

    /// Leaves the innermost array or object, and forgets its keys.
    fn leave(&mut self) {
        if let Some(Container::Object { first_key, .. }) = self.stack.pop() {
            self.keys.truncate(first_key);
        }
    }

    fn note(&mut self, step: Step) {
        if let Some(steps) = &mut self.steps {
            steps.push(step);
        }
    }

    fn end_value(&mut self) {
        self.state = if self.stack.is_empty() {
            State::Done
        } else {
            State::After
        };
    }

    fn end_string(&mut self, role: Role) -> Result<(), Fault> {
        match role {
            Role::Value => self.end_value(),
            Role::Key => {
                self.end_key()?;
                self.state = State::Colon;
            }
        }
        Ok(())
    }

    /// Keys are compared in one spelling: escapes of the template that are not needed are undone.
    fn end_key(&mut self) -> Result<(), Fault> {
        let quoted = self.out.get(self.key_start - 1..).unwrap_or("");
        if quoted.contains('\\')
            && let Ok(plain) = serde_json::from_str::<String>(quoted)
        {
            self.out.truncate(self.key_start);
            self.escape(&plain)?;
            self.push("\"")?;
        }
        let mark = (self.key_start, self.out.len().saturating_sub(1));
        self.take_key(mark)?;
        let quote = self.origin.span.start;
        self.note(Step::Key { mark, quote });
        Ok(())
    }

    /// Takes the key that stands there in the output, or refuses it if its object has it already.
    fn take_key(&mut self, mark: (usize, usize)) -> Result<(), Fault> {
        let (out, keys) = (&self.out, &mut self.keys);
        let text = |(start, end): (usize, usize)| out.get(start..end).unwrap_or("");
        let key = text(mark);
        let Some(Container::Object { first_key, many }) = self.stack.last_mut() else {
            return Ok(());
        };
        let earlier = keys.get(*first_key..).unwrap_or(&[]);
        let known = if earlier.len() < FEW_KEYS {
            earlier.iter().any(|mark| text(*mark) == key)
        } else {
            if many.is_empty() {
                many.extend(earlier.iter().map(|mark| Box::from(text(*mark))));
            }
            !many.insert(Box::from(key))
        };
        if known {
            let shown: String = key.chars().take(SHOWN_KEY).collect();
            let more = if shown.len() < key.len() { "…" } else { "" };
            let fault = format!("the key \"{shown}{more}\" {TWICE}");
            return Err(self.fault(fault));
        }
        keys.push(mark);
        Ok(())
    }

    fn push(&mut self, text: &str) -> Result<(), Fault> {
        if self.out.len() + text.len() > self.limit {
            return Err(self.full());
        }
        self.out.push_str(text);
        Ok(())
    }
}
