//! Counts the steps of a check: a keyword in every subschema, which the validator calls each time that it comes by.
//!
//! The validator has no bound of its own, and its keywords are called without any context.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use jsonschema::{Keyword, ValidationError};
use serde_json::{Map, Value};

/// The keyword.
pub(super) const METER: &str = "ingate-step";

/// Puts the meter into every subschema.
pub(super) fn put(schema: &mut Value) {
    /// What stands under these is data, or lists of names.
    const NO_SCHEMAS: [&str; 9] = [
        "const",
        "default",
        "dependentRequired",
        "enum",
        "example",
        "examples",
        "required",
        "type",
        "$vocabulary",
    ];
    /// Under these are schemas by names that the author gives.
    const BY_NAME: [&str; 6] = [
        "$defs",
        "definitions",
        "dependencies",
        "dependentSchemas",
        "patternProperties",
        "properties",
    ];
    match schema {
        Value::Array(items) => items.iter_mut().for_each(put),
        Value::Object(members) => {
            for (name, value) in members.iter_mut() {
                match (name.as_str(), value) {
                    (name, Value::Object(schemas)) if BY_NAME.contains(&name) => {
                        schemas.values_mut().for_each(put);
                    }
                    (name, _) if NO_SCHEMAS.contains(&name) => {}
                    (_, value) => put(value),
                }
            }
            members.insert(METER.to_owned(), Value::Object(Map::new()));
        }
        _ => {}
    }
}

/// What unwinds from a check that takes too long.
struct OutOfSteps;

/// The steps that the check under way may still take, shared with the keyword in every subschema. One check of a schema
/// runs at a time: the keywords cannot tell which one calls them.
#[derive(Debug, Default)]
pub(super) struct Meter {
    left: Arc<AtomicU64>,
    turn: Mutex<()>,
}

impl Meter {
    /// The keyword that counts.
    pub(super) fn step(&self) -> Step {
        Step(Arc::clone(&self.left))
    }

    /// Runs a check; `None` if it takes too long. Other panics go on.
    pub(super) fn within<T>(&self, steps: u64, check: impl FnOnce() -> T) -> Option<T> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.left.store(steps, Ordering::Relaxed);
        match catch_unwind(AssertUnwindSafe(check)) {
            Ok(done) => Some(done),
            Err(panic) if panic.is::<OutOfSteps>() => None,
            Err(panic) => resume_unwind(panic),
        }
    }
}

/// Takes a step each time that it is called.
#[derive(Debug, Clone)]
pub(super) struct Step(Arc<AtomicU64>);

impl<'i> Keyword<'i> for Step {
    fn validate(&self, instance: &'i Value) -> Result<(), ValidationError<'i>> {
        self.is_valid(instance);
        Ok(())
    }

    fn is_valid(&self, _instance: &'i Value) -> bool {
        match self.0.load(Ordering::Relaxed).checked_sub(1) {
            Some(left) => self.0.store(left, Ordering::Relaxed),
            // The only way out of the validator; nothing of it is left half done, since a check changes nothing.
            None => resume_unwind(Box::new(OutOfSteps)),
        }
        true
    }
}
