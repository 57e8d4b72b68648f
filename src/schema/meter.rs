//! Counts the steps of a check: a keyword in every subschema, which the validator calls each time that it comes by.
//!
//! The validator has no bound of its own, and its keywords are called without any context.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use jsonschema::paths::Location;
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

thread_local! {
    /// How many steps the check that runs on this thread may still take. The validator has no place for such a thing:
    /// it is shared by all threads and calls keywords without any context.
    static LEFT: Cell<u64> = const { Cell::new(0) };
}

/// What unwinds from a check that takes too long.
struct OutOfSteps;

/// Runs a check; `None` if it takes too long. Other panics go on.
pub(super) fn within<T>(steps: u64, check: impl FnOnce() -> T) -> Option<T> {
    LEFT.set(steps);
    match catch_unwind(AssertUnwindSafe(check)) {
        Ok(done) => Some(done),
        Err(panic) if panic.is::<OutOfSteps>() => None,
        Err(panic) => resume_unwind(panic),
    }
}

struct Step;

impl<'i> Keyword<'i> for Step {
    fn validate(&self, instance: &'i Value) -> Result<(), ValidationError<'i>> {
        self.is_valid(instance);
        Ok(())
    }

    fn is_valid(&self, _instance: &'i Value) -> bool {
        match LEFT.get().checked_sub(1) {
            Some(left) => LEFT.set(left),
            // The only way out of the validator; nothing of it is left half done, since a check changes nothing.
            None => resume_unwind(Box::new(OutOfSteps)),
        }
        true
    }
}

pub(super) fn step<'a>(
    _: &'a Map<String, Value>,
    _: &'a Value,
    _: Location,
) -> Result<Box<dyn for<'i> Keyword<'i>>, ValidationError<'a>> {
    Ok(Box::new(Step))
}
