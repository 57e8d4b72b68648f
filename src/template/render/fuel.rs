//! What a render may still use: steps, bytes that are read and moved, bytes that are made and may be kept.

use crate::template::limits;
use crate::template::syntax::{Fault, Span};
use crate::template::value::{Array, Text, Value};

/// What is left.
#[derive(Debug)]
pub struct Fuel {
    steps: u64,
    bytes: u64,
    made: u64,
}

impl Default for Fuel {
    fn default() -> Self {
        Self::new(limits::STEPS, limits::BYTES)
    }
}

impl Fuel {
    /// So much.
    pub fn new(steps: u64, bytes: u64) -> Self {
        Self {
            steps,
            bytes,
            made: limits::MADE_BYTES,
        }
    }

    /// Uses steps.
    #[inline]
    pub fn step(&mut self, count: u64, span: Span) -> Result<(), Fault> {
        match self.steps.checked_sub(count) {
            Some(left) => {
                self.steps = left;
                Ok(())
            }
            None => Err(too_many_steps(span)),
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
    #[inline]
    pub fn bytes(&mut self, count: u64, span: Span) -> Result<(), Fault> {
        match self.bytes.checked_sub(count) {
            Some(left) => {
                self.bytes = left;
                Ok(())
            }
            None => Err(too_many_bytes(span)),
        }
    }

    /// Uses bytes that stay in memory for as long as a variable or an unfinished output holds them.
    #[inline]
    pub fn make(&mut self, count: u64, span: Span) -> Result<(), Fault> {
        self.bytes(count, span)?;
        match self.made.checked_sub(count) {
            Some(left) => {
                self.made = left;
                Ok(())
            }
            None => Err(too_many_made(span)),
        }
    }
}

// What is said at the end of the fuel stands apart: counting goes on a hundred times in a render, and is small without it.

#[cold]
fn too_many_steps(span: Span) -> Fault {
    let more = format!("the render takes more than {} steps", limits::STEPS);
    Fault::new(span, more).help("is there a loop over far more items than meant?")
}

#[cold]
fn too_many_bytes(span: Span) -> Fault {
    let more = format!("the render moves more than {} bytes", limits::BYTES);
    Fault::new(span, more).help("is a large value copied in a loop?")
}

#[cold]
fn too_many_made(span: Span) -> Fault {
    let more = format!("the render makes more than {} bytes", limits::MADE_BYTES);
    Fault::new(span, more).help("is a text or an array put together in a loop?")
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
        Value::Str(Text::Made(text)) => text.len() as u64,
        Value::Number(number) => number.text_bytes(),
        Value::Array(Array::Made(items)) => limits::ITEM_BYTES.saturating_mul(items.len() as u64),
        _ => 1,
    }
}

/// What reading a value as a number is counted as, in bytes.
pub fn digits_cost(value: &Value<'_>) -> u64 {
    match value {
        Value::Str(text) => limits::DIGIT_BYTES.saturating_mul(text.len() as u64),
        _ => value.own_bytes(),
    }
}

/// What a value from a `json` block takes in memory, about, in bytes. It nests no deeper than JSON may.
pub fn whole_cost(value: &Value<'_>) -> u64 {
    let within: u64 = match value {
        Value::Str(text) => limits::MEMBER_BYTES + text.len() as u64,
        Value::Number(number) => number.text_bytes(),
        Value::Array(items) => {
            limits::MEMBER_BYTES + items.iter().map(|item| whole_cost(&item)).sum::<u64>()
        }
        Value::Object(members) => {
            let member = |(name, value): (Text<'_>, Value<'_>)| {
                limits::MEMBER_BYTES + name.len() as u64 + whole_cost(&value)
            };
            limits::MEMBER_BYTES + members.iter().map(member).sum::<u64>()
        }
        _ => 0,
    };
    limits::ITEM_BYTES + within
}

/// What looking at a variable is counted as, in bytes: nothing is copied, but whatever uses a number reads all of its digits.
pub fn look_cost(value: &Value<'_>) -> u64 {
    match value {
        Value::Number(_) => value.own_bytes(),
        _ => 0,
    }
}
