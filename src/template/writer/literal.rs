//! The template's own text, character by character.

use super::scan::Digits;
use super::{Before, Container, Role, State, Step, Writer};
use crate::template::sink::Origin;
use crate::template::syntax::{Fault, Span};

impl Writer {
    pub fn write_literal(&mut self, text: &str, origin: Origin) -> Result<(), Fault> {
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let start = origin.span.start + (text.len() - rest.len());
            self.origin = Origin {
                file: origin.file,
                span: Span::new(start, start + first.len_utf8()),
            };
            let taken = match self.state {
                State::Text(role) => self.string_content(rest, role)?,
                State::Escape(_) | State::Hex { .. } | State::Pair { .. } => {
                    self.escaped(first)?;
                    first.len_utf8()
                }
                _ if matches!(first, ' ' | '\n' | '\r' | '\t') && !self.in_token() => {
                    // By bytes: much of a template is the blanks between its lines.
                    let blank = |byte: u8| matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
                    let end = rest.bytes().position(|byte| !blank(byte));
                    end.unwrap_or(rest.len())
                }
                _ => {
                    self.structure(first)?;
                    first.len_utf8()
                }
            };
            rest = rest.get(taken..).unwrap_or("");
        }
        Ok(())
    }

    pub(super) fn in_token(&self) -> bool {
        matches!(self.state, State::Number(_) | State::Word(_))
    }

    /// Takes what of `rest` belongs to a string, up to its end, an escape or a control character.
    pub(super) fn string_content(&mut self, rest: &str, role: Role) -> Result<usize, Fault> {
        let special = |b: u8| b < 0x20 || b == b'"' || b == b'\\';
        let plain = rest.bytes().position(special).unwrap_or(rest.len());
        if plain > 0 {
            self.push(rest.get(..plain).unwrap_or(""))?;
            return Ok(plain);
        }
        match rest.as_bytes().first() {
            Some(b'"') => {
                self.push("\"")?;
                self.end_string(role)?;
            }
            Some(b'\\') => {
                self.push("\\")?;
                self.state = State::Escape(role);
            }
            _ => {
                self.mend("raw control character in a string escaped")?;
                self.escape(rest.get(..1).unwrap_or(""))?;
            }
        }
        Ok(1)
    }

    /// Takes a character of an escape.
    pub(super) fn escaped(&mut self, c: char) -> Result<(), Fault> {
        self.state = match self.state {
            State::Escape(role) if matches!(c, '"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't') => {
                State::Text(role)
            }
            State::Escape(role) if c == 'u' => State::Hex {
                role,
                digits: 0,
                code: 0,
                low: false,
            },
            State::Hex {
                role,
                digits,
                code,
                low,
            } => self.hex_digit(c, role, digits, code, low)?,
            State::Pair { role, slash: false } if c == '\\' => State::Pair { role, slash: true },
            State::Pair { role, slash: true } if c == 'u' => State::Hex {
                role,
                digits: 0,
                code: 0,
                low: true,
            },
            State::Pair { .. } => {
                return Err(self.fault("the second half of a surrogate pair is due here"));
            }
            _ => {
                return Err(self
                    .fault(format!("`\\{c}` is no escape of JSON"))
                    .help("to print a backslash, write `\\\\`"));
            }
        };
        let mut utf8 = [0; 4];
        self.push(c.encode_utf8(&mut utf8))
    }

    pub(super) fn hex_digit(
        &self,
        c: char,
        role: Role,
        digits: u8,
        code: u16,
        low: bool,
    ) -> Result<State, Fault> {
        let Some(digit) = c.to_digit(16).and_then(|d| u16::try_from(d).ok()) else {
            return Err(self.fault("four hexadecimal digits follow `\\u`"));
        };
        let code = code.wrapping_mul(16).wrapping_add(digit);
        if digits < 3 {
            return Ok(State::Hex {
                role,
                digits: digits + 1,
                code,
                low,
            });
        }
        match (code, low) {
            (0xDC00..=0xDFFF, true) => Ok(State::Text(role)),
            (0xD800..=0xDBFF, false) => Ok(State::Pair { role, slash: false }),
            (0xDC00..=0xDFFF, false) => Err(self.fault("half of a surrogate pair stands alone")),
            (_, true) => Err(self.fault("the second half of a surrogate pair is due here")),
            (_, false) => Ok(State::Text(role)),
        }
    }

    /// Takes a character outside strings.
    pub(super) fn structure(&mut self, c: char) -> Result<(), Fault> {
        match self.state {
            State::Number(digits) => return self.in_number(c, digits),
            State::Word(rest) => return self.in_word(c, rest),
            _ => {}
        }
        match (self.state, c) {
            (State::Value(Before::Bracket), ',') | (State::Key { first: true }, ',') => {
                self.mend_comma("leading comma dropped")
            }
            (State::Value(Before::Comma), ',') | (State::Key { first: false }, ',') => {
                self.mend_comma("doubled comma dropped")
            }
            (State::Value(Before::Colon), ',' | '}') => {
                self.mend("value missing after a colon: null")?;
                self.push("null")?;
                self.end_value();
                self.structure(c)
            }
            (State::Value(Before::Bracket), ']') | (State::Key { first: true }, '}') => {
                self.close(c)
            }
            (State::Value(Before::Comma), ']') | (State::Key { first: false }, '}') => {
                self.origin = std::mem::replace(&mut self.comma, self.origin);
                self.mend_comma("trailing comma dropped")?;
                self.close(c)
            }
            (State::Value(_), _) => self.start_value(c),
            (State::Key { .. }, '"') => self.start_key(),
            (State::Colon, ':') => {
                self.state = State::Value(Before::Colon);
                self.push(":")
            }
            (State::After, ',') => {
                self.comma = self.origin;
                self.note(Step::Comma(self.origin.span.start));
                self.state = match self.stack.last() {
                    Some(Container::Array) => State::Value(Before::Comma),
                    _ => State::Key { first: false },
                };
                Ok(())
            }
            (State::After, ']' | '}') => self.close(c),
            _ => Err(self.unexpected(c)),
        }
    }

    pub(super) fn start_value(&mut self, c: char) -> Result<(), Fault> {
        let (state, start) = match c {
            '"' => (State::Text(Role::Value), "\""),
            '{' => (State::Key { first: true }, "{"),
            '[' => (State::Value(Before::Bracket), "["),
            't' => (State::Word("rue"), "t"),
            'f' => (State::Word("alse"), "f"),
            'n' => (State::Word("ull"), "n"),
            _ => match Digits::start(c) {
                Some(digits) => (State::Number(digits), ""),
                None => return Err(self.unexpected(c)),
            },
        };
        self.due_comma()?;
        match c {
            '{' => self.open(false)?,
            '[' => self.open(true)?,
            _ => {}
        }
        self.state = state;
        if start.is_empty() {
            let mut utf8 = [0; 4];
            return self.push(c.encode_utf8(&mut utf8));
        }
        self.push(start)
    }

    pub(super) fn start_key(&mut self) -> Result<(), Fault> {
        self.due_comma()?;
        self.push("\"")?;
        self.key_start = self.out.len();
        self.state = State::Text(Role::Key);
        Ok(())
    }

    pub(super) fn in_number(&mut self, c: char, digits: Digits) -> Result<(), Fault> {
        if let Some(next) = digits.next(c) {
            self.state = State::Number(next);
            let mut utf8 = [0; 4];
            return self.push(c.encode_utf8(&mut utf8));
        }
        if !digits.complete() || !matches!(c, ' ' | '\n' | '\r' | '\t' | ',' | ']' | '}') {
            return Err(self.fault(format!("{c:?} cannot stand in a number of JSON")));
        }
        self.end_value();
        if matches!(c, ',' | ']' | '}') {
            return self.structure(c);
        }
        Ok(())
    }

    pub(super) fn in_word(&mut self, c: char, rest: &'static str) -> Result<(), Fault> {
        let Some(after) = rest.strip_prefix(c) else {
            return Err(self
                .fault(format!("`{rest}` is due here, found {c:?}"))
                .help("text stands in double quotes; the words of JSON are true, false, null"));
        };
        self.state = State::Word(after);
        let mut utf8 = [0; 4];
        self.push(c.encode_utf8(&mut utf8))?;
        if after.is_empty() {
            self.end_value();
        }
        Ok(())
    }
}
