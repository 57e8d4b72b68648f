//! JSON Schemas of what templates print.
//!
//! Promises: a schema reads nothing but its own file (no network, no other file); patterns run in linear time; one check
//! takes a bounded number of steps, however the schema recurses and whatever the output nests; what is told of a misfit
//! shows values shortly. The draft is the one that `$schema` names, 2020-12 without it. Numbers count as doubles here.
//! Not here: finding and reading the file (see `config`), when an output is checked (see `dispatch`, `trial`).

mod chain;
mod meter;

use std::fmt::{self, Write};
use std::sync::Arc;

use jsonschema::{PatternOptions, ValidationError, Validator, error::ValidationErrorKind};
use serde_json::Value;

use meter::{METER, Meter};

/// Most steps (a subschema at a value) of one check. A schema that tries alternatives within alternatives takes twice as
/// long with every level of the output; this many are about a second.
pub const STEPS: u64 = 1_000_000;
/// Most steps for finding out where it does not fit: these keep what failed in memory.
const TELLING_STEPS: u64 = 20_000;
/// Most subschemas that a check may be within at a time, which bounds its stack: an output may nest that often through
/// as many as the schema applies to one value. A tenth of it is a large output.
const WITHIN: usize = 1_000;
/// Most bytes of a schema's text; schemas of whole APIs are smaller.
pub const SCHEMA_BYTES: u64 = 256 << 10;
/// The stack that a schema is compiled on: the longest chain of references that [`SCHEMA_BYTES`] can hold fits. Only what
/// is used of it takes memory.
const COMPILE_STACK_BYTES: usize = 256 << 20;
/// Most bytes of a compiled pattern, which bound the time that it takes for each character.
const PATTERN_BYTES: usize = 1 << 20;
/// Most misfits of one output that are told.
const TOLD: usize = 20;
/// Longest value that is shown as it is, in bytes of JSON; a longer one is named by its kind.
const SHOWN_VALUE: usize = 60;
/// Longest text of a misfit, in characters.
const SHOWN_TEXT: usize = 240;

/// A compiled schema. Clones share it.
#[derive(Debug, Clone)]
pub struct Schema {
    name: Arc<str>,
    validator: Arc<Validator>,
    meter: Arc<Meter>,
    /// Through how many subschemas one value can lead.
    chain: usize,
}

/// Why a text is no schema that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// It is not JSON.
    #[error("it is not JSON: {0}")]
    NotJson(String),
    /// It refers to what is not in it.
    #[error(
        "it refers to {0:?}, which is not in the file: nothing is fetched, put it under `$defs`"
    )]
    Elsewhere(String),
    /// It is JSON, and no schema.
    #[error("it is no schema: {0}")]
    Invalid(String),
}

/// Where and how an output does not fit.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Misfit {
    /// Where in the output, as a JSON pointer; empty for the whole.
    pub at: String,
    /// Which rule, as a JSON pointer into the schema.
    pub rule: String,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at.as_str() {
            "" => f.write_str(&self.message),
            at => write!(f, "{at}: {}", self.message),
        }
    }
}

impl Schema {
    /// Compiles the text of a schema; `name` is what misfits call it.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn compile(name: &str, text: &str) -> Result<Self, SchemaError> {
        let schema: Value =
            serde_json::from_str(text).map_err(|error| SchemaError::NotJson(error.to_string()))?;
        let meter = Meter::default();
        let (validator, chain) = std::thread::scope(|scope| {
            std::thread::Builder::new()
                .stack_size(COMPILE_STACK_BYTES)
                .spawn_scoped(scope, || {
                    // First as it is written, so that errors speak of what is there.
                    build(&schema, &meter)?;
                    let mut metered = schema.clone();
                    meter::put(&mut metered);
                    Ok((build(&metered, &meter)?, chain::longest(&schema)))
                })
                .map_err(|error| SchemaError::Invalid(error.to_string()))?
                .join()
                .unwrap_or_else(|_| Err(SchemaError::Invalid("it cannot be compiled".to_owned())))
        })?;
        Ok(Self {
            name: name.into(),
            validator: Arc::new(validator),
            meter: Arc::new(meter),
            chain,
        })
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Checks an output.
    ///
    /// # Errors
    /// The first thing that does not fit.
    pub fn check(&self, output: &Value) -> Result<(), Misfit> {
        if nesting(output).saturating_mul(self.chain + 2) > WITHIN {
            let message = "it nests too deeply for the references of the schema to be checked";
            return Err(untold(message.to_owned()));
        }
        match self.meter.within(STEPS, || self.validator.is_valid(output)) {
            Some(true) => return Ok(()),
            Some(false) => {}
            None => {
                return Err(untold(format!("checking it takes more than {STEPS} steps")));
            }
        }
        let first = self.meter.within(TELLING_STEPS, || {
            let mut errors = self.validator.iter_errors(output);
            errors.next().map(|error| misfit(&error))
        });
        Err(first.flatten().unwrap_or_else(|| untold(DEEP.to_owned())))
    }

    /// All that does not fit, of very many the first ones.
    #[must_use]
    pub fn misfits(&self, output: &Value) -> Vec<Misfit> {
        let Err(first) = self.check(output) else {
            return Vec::new();
        };
        let all = self.meter.within(TELLING_STEPS, || {
            let errors = self.validator.iter_errors(output);
            errors.take(TOLD).map(|error| misfit(&error)).collect()
        });
        all.filter(|all: &Vec<Misfit>| !all.is_empty())
            .unwrap_or_else(|| vec![first])
    }
}

const DEEP: &str = "it does not fit; finding out where takes too long";

fn untold(message: String) -> Misfit {
    Misfit {
        at: String::new(),
        rule: String::new(),
        message,
    }
}

fn build(schema: &Value, meter: &Meter) -> Result<Validator, SchemaError> {
    let step = meter.step();
    jsonschema::options()
        .offline()
        .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_BYTES))
        .with_keyword(METER, move |_, _, _| Ok(Box::new(step.clone())))
        .build(schema)
        .map_err(|error| refused(&error))
}

fn refused(error: &ValidationError<'_>) -> SchemaError {
    let words = error.to_string();
    if let ValidationErrorKind::Referencing(inner) = error.kind() {
        // Only what an error says of itself in public tells which one it is.
        return match outside(&words) {
            Some(uri) => SchemaError::Elsewhere(uri),
            None => SchemaError::Invalid(shortened(&inner.to_string())),
        };
    }
    let Misfit { at, message, .. } = misfit(error);
    let message = match error.kind() {
        ValidationErrorKind::Format { format } if format == "regex" => format!(
            "{} cannot be used as a pattern (look-around and back-references are not known, and its size is bounded)",
            shown(error.instance())
        ),
        // The alternatives of the draft's own schema; the first one says what is possible.
        ValidationErrorKind::AnyOf { context } => match context.first().and_then(|all| all.first())
        {
            Some(first) => misfit(first).message,
            None => message,
        },
        _ => message,
    };
    SchemaError::Invalid(match at.as_str() {
        "" => message,
        at => format!("{at}: {message}"),
    })
}

/// The reference of the error that it cannot be followed.
fn outside(words: &str) -> Option<String> {
    let (uri, _) = words
        .strip_prefix("Resource '")?
        .split_once("' is not present")?;
    Some(uri.to_owned())
}

fn misfit(error: &ValidationError<'_>) -> Misfit {
    let instance = error.instance();
    let message = if fits(instance) {
        error.to_string()
    } else {
        error.masked_with(kind(instance)).to_string()
    };
    Misfit {
        at: shortened(error.instance_path().as_str()),
        rule: shortened(error.schema_path().as_str()),
        message: shortened(&message),
    }
}

/// Whether a value is short enough to be shown.
fn fits(value: &Value) -> bool {
    struct Room(usize);
    impl Write for Room {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0 = self.0.checked_sub(text.len()).ok_or(fmt::Error)?;
            Ok(())
        }
    }
    // A text is measured before it is written out whole.
    value.as_str().is_none_or(|text| text.len() <= SHOWN_VALUE)
        && write!(Room(SHOWN_VALUE), "{value}").is_ok()
}

fn shown(value: &Value) -> String {
    match fits(value) {
        true => value.to_string(),
        false => kind(value).to_owned(),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "the boolean",
        Value::Number(_) => "the number",
        Value::String(_) => "the text",
        Value::Array(_) => "the array",
        Value::Object(_) => "the object",
    }
}

/// On one line, without control characters, cut where it is too long.
fn shortened(text: &str) -> String {
    let mut short: String = text
        .chars()
        .take(SHOWN_TEXT)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.chars().nth(SHOWN_TEXT).is_some() {
        short.push_str("...");
    }
    short
}

/// How deep arrays and objects nest.
fn nesting(value: &Value) -> usize {
    let inner = match value {
        Value::Array(items) => items.iter().map(nesting).max(),
        Value::Object(members) => members.values().map(nesting).max(),
        _ => return 1,
    };
    1 + inner.unwrap_or(0)
}

#[cfg(test)]
mod tests;
