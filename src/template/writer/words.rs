//! What the writer says: repairs and faults.

use super::{Before, Container, DEPTH, MENDS, Mended, REPAIRS, State, Writer};
use crate::template::syntax::Fault;

impl Writer {
    pub(super) fn mend(&mut self, what: &'static str) -> Result<(), Fault> {
        self.mends = self
            .mends
            .checked_sub(1)
            .ok_or_else(|| self.too_many_mends())?;
        let mended = Mended {
            what,
            origin: self.origin,
        };
        if self.repairs.len() < REPAIRS && !self.repairs.contains(&mended) {
            self.repairs.push(mended);
        }
        Ok(())
    }

    pub(super) fn mend_comma(&mut self, what: &'static str) -> Result<(), Fault> {
        self.mend(match (self.stack.last(), what) {
            (Some(Container::Array), "leading comma dropped") => {
                "leading comma dropped: the array's length depends on the payload"
            }
            (Some(Container::Array), "doubled comma dropped") => {
                "doubled comma dropped: the array's length depends on the payload"
            }
            (Some(Container::Array), _) => {
                "trailing comma dropped: the array's length depends on the payload"
            }
            _ => what,
        })
    }

    pub(super) fn fault(&self, message: impl Into<String>) -> Fault {
        Fault::of_output(self.origin.span, message)
    }

    pub(super) fn full(&self) -> Fault {
        let larger = format!("the output is larger than {} bytes", self.limit);
        Fault::new(self.origin.span, larger)
    }

    /// A limit as the others are: what is mended so often is no invalid output.
    fn too_many_mends(&self) -> Fault {
        let more = format!("the output needs more than {MENDS} repairs");
        Fault::new(self.origin.span, more)
    }

    pub(super) fn too_deep(&self) -> Fault {
        let deeper = format!("the output nests more than {DEPTH} deep");
        Fault::new(self.origin.span, deeper)
    }

    pub(super) fn place(&self) -> &'static str {
        match self.state {
            State::Value(_) => "where a value starts",
            State::Key { .. } => "where a key starts",
            State::Colon => "after a key, where its colon is due",
            State::After => "after a value, where `,` or an end is due",
            State::Text(_) => "inside a string",
            State::Escape(_) | State::Hex { .. } | State::Pair { .. } => "inside an escape",
            State::Number(_) => "inside a number",
            State::Word(_) => "inside a word of JSON",
            State::Done => "after the end of the JSON value",
        }
    }

    pub(super) fn unexpected(&self, c: char) -> Fault {
        let fault = self.fault(format!("{c:?} cannot stand {}", self.place()));
        match (self.state, c) {
            (State::Value(_) | State::Key { .. }, '\'') => {
                fault.help("strings of JSON stand in double quotes")
            }
            (State::Value(Before::Comma), '}') | (State::After, '}' | ']') => {
                fault.help("another bracket is open")
            }
            (State::After, '"' | '{' | '[') => fault.help("is a comma missing before it?"),
            (State::Key { .. }, _) => fault.help("keys stand in double quotes"),
            _ => fault,
        }
    }

    /// For a value of this kind, e.g. `a string`.
    pub(super) fn misplaced(&self, kind: &str) -> Fault {
        let fault = self.fault(format!("{kind} cannot be printed {}", self.place()));
        match self.state {
            State::After | State::Done | State::Number(_) => fault.help(
                "print one value at a place; to put several together, print them inside a string or join them with filters",
            ),
            _ => fault,
        }
    }
}
