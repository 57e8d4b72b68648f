//! What a render may still use.

use crate::template::limits;
use crate::template::syntax::{Fault, Span};
use crate::template::value::{Array, Value};

/// Steps and bytes that are left.
#[derive(Debug)]
pub struct Fuel {
    steps: u64,
    bytes: u64,
}

impl Default for Fuel {
    fn default() -> Self {
        Self::new(limits::STEPS, limits::BYTES)
    }
}

impl Fuel {
    /// So much.
    pub fn new(steps: u64, bytes: u64) -> Self {
        Self { steps, bytes }
    }

    /// Uses steps.
    pub fn step(&mut self, count: u64, span: Span) -> Result<(), Fault> {
        match self.steps.checked_sub(count) {
            Some(left) => {
                self.steps = left;
                Ok(())
            }
            None => Err(Fault::new(
                span,
                format!("the render takes more than {} steps", limits::STEPS),
            )
            .help("is there a loop over far more items than meant?")),
        }
    }

    /// How many bytes are left.
    pub fn bytes_left(&self) -> u64 {
        self.bytes
    }

    /// Sets how many bytes are left, after something else has counted.
    pub fn set_bytes_left(&mut self, left: u64) {
        self.bytes = left;
    }

    /// Uses bytes.
    pub fn bytes(&mut self, count: u64, span: Span) -> Result<(), Fault> {
        match self.bytes.checked_sub(count) {
            Some(left) => {
                self.bytes = left;
                Ok(())
            }
            None => Err(Fault::new(
                span,
                format!("the render moves more than {} bytes", limits::BYTES),
            )
            .help("is a large value copied in a loop?")),
        }
    }
}

/// How many items a filter goes through.
pub fn items(value: &Value<'_>) -> u64 {
    match value {
        Value::Array(items) => items.len() as u64,
        Value::Object(members) => members.len() as u64,
        Value::Range(first, last) => crate::template::value::range_len(*first, *last) as u64,
        _ => 0,
    }
}

/// What reading all of a value is counted as, in bytes.
pub fn read_cost(value: &Value<'_>) -> u64 {
    match value {
        Value::Str(text) => text.len() as u64,
        Value::Number(_) => value.own_bytes(),
        _ => limits::READ_ITEM_BYTES.saturating_mul(items(value)).max(1),
    }
}

/// What a value that was made or copied is counted as, in bytes.
pub fn made_cost(value: &Value<'_>) -> u64 {
    match value {
        Value::Str(std::borrow::Cow::Owned(text)) => text.len() as u64,
        Value::Array(Array::Made(items)) => limits::ITEM_BYTES.saturating_mul(items.len() as u64),
        _ => 1,
    }
}

/// What a copy of a variable is counted as, in bytes: only text that was made is really copied, but whatever uses a number
/// reads all of its digits.
pub fn copy_cost(value: &Value<'_>) -> u64 {
    match value {
        Value::Str(std::borrow::Cow::Owned(text)) => text.len() as u64,
        Value::Number(_) => value.own_bytes(),
        _ => 0,
    }
}
