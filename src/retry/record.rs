//! How retry policies are written. Not here: what is right (see `RetryPolicy::compile`).

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::{DEFAULT_PRESET, PRESETS};

/// How a policy is written: the name of a preset, a schedule, or an exponential backoff.
#[derive(Debug, Clone, PartialEq)]
pub enum RetryRecord {
    /// One of [`PRESETS`].
    Preset(String),
    /// A policy of its own.
    Custom(RetryFields),
}

/// A policy of its own: either `schedule` or `initial` with `factor` and `max`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RetryFields {
    /// The delays after the first attempt, one by one; past the end the last one repeats until `attempts` or `max_age` end it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Vec<String>>,
    /// Exponential backoff: the first delay.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["2s"]))]
    pub initial: Option<String>,
    /// Exponential backoff: by what each delay is multiplied to make the next; 1 or more, 2 unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub factor: Option<f64>,
    /// Exponential backoff: what delays grow to; one day unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["1h"]))]
    pub max: Option<String>,
    /// Most attempts in all, the first one counted; unlimited unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// No attempt later than this after the first one; unlimited unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["3d"]))]
    pub max_age: Option<String>,
    /// Share of each delay by which it varies at random, 0 to 1; 0 unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter: Option<f64>,
}

impl Default for RetryRecord {
    fn default() -> Self {
        Self::Preset(DEFAULT_PRESET.to_owned())
    }
}

impl Serialize for RetryRecord {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Preset(name) => to.serialize_str(name),
            Self::Custom(fields) => fields.serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for RetryRecord {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct RecordVisitor;
        impl<'de> Visitor<'de> for RecordVisitor {
            type Value = RetryRecord;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a retry preset, {schedule: [5s, 5m]} or {initial: 2s, factor: 2, max: 1h}")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<RetryRecord, E> {
                Ok(RetryRecord::Preset(name.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RetryRecord, A::Error> {
                RetryFields::deserialize(de::value::MapAccessDeserializer::new(map))
                    .map(RetryRecord::Custom)
            }
        }
        from.deserialize_any(RecordVisitor)
    }
}

impl JsonSchema for RetryRecord {
    fn schema_name() -> Cow<'static, str> {
        "Retry".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let fields = generator.subschema_for::<RetryFields>();
        json_schema!({
            "description": "When failed attempts are made again: the name of a preset, or a policy.",
            "anyOf": [{"type": "string", "enum": PRESETS}, fields],
        })
    }
}
