//! Values of outputs, each as the place asks.

use std::fmt::{self, Write};

use super::scan::is_json_number;
use super::{DEPTH, NO_KEY, Role, State, Writer};
use crate::json::write_escaped;
use crate::template::number::Number;
use crate::template::sink::{Origin, Printed};
use crate::template::syntax::Fault;
use crate::template::value::Value;

impl Writer {
    pub(super) fn write_value(
        &mut self,
        value: &Value<'_>,
        printed: Printed,
        origin: Origin,
    ) -> Result<(), Fault> {
        self.origin = origin;
        match self.state {
            State::Text(_) => self.value_in_string(value, printed),
            State::Value(_) => {
                self.due_comma()?;
                self.json(value, self.stack.len())?;
                self.end_value();
                Ok(())
            }
            State::Key { .. } => {
                if !matches!(value, Value::Str(_) | Value::Number(_) | Value::Bool(_)) {
                    return Err(self
                        .fault(format!("{NO_KEY} {}", value.kind()))
                        .help("keys are strings, numbers or booleans"));
                }
                self.start_key()?;
                self.escape(&value.to_text())?;
                self.push("\"")?;
                self.end_string(Role::Key)
            }
            _ => Err(self.misplaced(value.kind())),
        }
    }

    pub(super) fn value_in_string(
        &mut self,
        value: &Value<'_>,
        printed: Printed,
    ) -> Result<(), Fault> {
        let structured = matches!(value, Value::Array(_) | Value::Object(_) | Value::Range(..));
        if structured || printed == Printed::Json {
            let written = value.write_json(&mut Escaping(self));
            return written.map_err(|_| self.full());
        }
        self.escape(&value.to_text())
    }

    /// Writes a value as JSON within `depth` arrays and objects.
    pub(super) fn json(&mut self, value: &Value<'_>, depth: usize) -> Result<(), Fault> {
        if depth >= DEPTH && matches!(value, Value::Array(_) | Value::Object(_) | Value::Range(..))
        {
            return Err(self.too_deep());
        }
        match value {
            Value::Nil | Value::Empty | Value::Blank => self.push("null"),
            Value::Bool(true) => self.push("true"),
            Value::Bool(false) => self.push("false"),
            Value::Number(Number::Int(int)) => {
                write!(Plain(self), "{int}").map_err(|_| self.full())
            }
            Value::Number(_) => {
                let text = value.to_text();
                if !is_json_number(&text) {
                    return Err(self.fault(format!("`{text}` is no number of JSON")));
                }
                self.push(&text)
            }
            Value::Str(text) => {
                self.push("\"")?;
                self.escape(text)?;
                self.push("\"")
            }
            Value::Array(_) | Value::Range(..) => {
                self.push("[")?;
                for (index, item) in value.sequence().iter().enumerate() {
                    if index > 0 {
                        self.push(",")?;
                    }
                    self.json(&item, depth + 1)?;
                }
                self.push("]")
            }
            Value::Object(members) => {
                self.push("{")?;
                for (index, (key, member)) in members.iter().enumerate() {
                    self.push(if index > 0 { ",\"" } else { "\"" })?;
                    self.escape(&key)?;
                    self.push("\":")?;
                    self.json(&member, depth + 1)?;
                }
                self.push("}")
            }
        }
    }

    /// Writes text as content of a string.
    pub(super) fn escape(&mut self, text: &str) -> Result<(), Fault> {
        write_escaped(text, &mut Plain(self)).map_err(|_| self.full())
    }
}

/// Writes into the output, up to its limit.
struct Plain<'w>(&'w mut Writer);

impl Write for Plain<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.out.len() + text.len() > self.0.limit {
            return Err(fmt::Error);
        }
        self.0.out.push_str(text);
        Ok(())
    }
}

/// Writes into the output as content of a string.
struct Escaping<'w>(&'w mut Writer);

impl Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        write_escaped(text, &mut Plain(self.0))
    }
}
