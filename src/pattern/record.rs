//! How a pattern is written.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use super::rule::write_flow;

/// Which events a route takes: `{type: [..], headers: {..}, body: {..}}`; all that is given must match.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "Match")]
pub struct PatternRecord {
    /// Event types, one or a list: `*` stands for one dot-separated segment or a part of it, `**` for any number of segments.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub event_type: Option<OneOrMany>,
    /// Header names, in any case, and what each must be.
    #[serde(skip_serializing_if = "Map::is_empty")]
    #[schemars(with = "BTreeMap<String, Condition>")]
    pub headers: Map<String, Value>,
    /// Dotted paths into the body, and what stands there; a path reaches into arrays, `['a.b']` is a key that contains dots.
    #[serde(skip_serializing_if = "Map::is_empty")]
    #[schemars(with = "BTreeMap<String, Condition>")]
    pub body: Map<String, Value>,
}

/// One text or a list of texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OneOrMany {
    /// Written as one text.
    One(String),
    /// Written as a list.
    Many(Vec<String>),
}

impl OneOrMany {
    /// The texts, in order.
    #[must_use]
    pub fn as_slice(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts,
        }
    }

    /// The texts, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, String> {
        self.as_slice().iter()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }

    /// The path of the text at `index`, where the whole is at `path`: `from` or `from[1]`.
    #[must_use]
    pub fn place(&self, path: &str, index: usize) -> String {
        match self {
            Self::One(_) => path.to_owned(),
            Self::Many(_) => format!("{path}[{index}]"),
        }
    }
}

impl<'a> IntoIterator for &'a OneOrMany {
    type Item = &'a String;
    type IntoIter = std::slice::Iter<'a, String>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for OneOrMany {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = match self {
            Self::One(text) => Value::from(text.as_str()),
            Self::Many(texts) => Value::from(texts.clone()),
        };
        let mut text = String::new();
        write_flow(&value, &mut text);
        f.write_str(&text)
    }
}

impl Serialize for OneOrMany {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::One(text) => to.serialize_str(text),
            Self::Many(texts) => texts.serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct OneOrManyVisitor;
        impl<'de> Visitor<'de> for OneOrManyVisitor {
            type Value = OneOrMany;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one text or a list of texts")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<OneOrMany, E> {
                Ok(OneOrMany::One(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<OneOrMany, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = items.next_element()? {
                    texts.push(text);
                }
                Ok(OneOrMany::Many(texts))
            }
        }
        from.deserialize_any(OneOrManyVisitor)
    }
}

impl JsonSchema for OneOrMany {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "OneOrMany".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
        })
    }
}

/// What a field must be; only its schema is used, the record keeps rules as they are written.
struct Condition;

impl JsonSchema for Condition {
    fn schema_name() -> Cow<'static, str> {
        "Condition".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let inner = generator.subschema_for::<Self>();
        json_schema!({
            "description": "A value (exact), a list (any of it), or operators (all of them).",
            "anyOf": [
                {"type": ["string", "number", "boolean", "null"]},
                {"type": "array", "items": inner},
                {
                    "type": "object",
                    "properties": {
                        "prefix": {"description": "The text begins with this.", "type": "string"},
                        "suffix": {"description": "The text ends with this.", "type": "string"},
                        "exists": {"description": "Whether the field is there at all.", "type": "boolean"},
                        "not": inner,
                        "gt": {"description": "The number is greater than this.", "type": "number"},
                        "gte": {"description": "The number is this or greater.", "type": "number"},
                        "lt": {"description": "The number is less than this.", "type": "number"},
                        "lte": {"description": "The number is this or less.", "type": "number"},
                        "equals": {"description": "The value is this, arrays and objects included."},
                    },
                    "additionalProperties": false,
                },
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_or_many() {
        for (json, wanted) in [
            (r#""a""#, Some("a")),
            (r#"["a","b, c"]"#, Some(r#"[a, "b, c"]"#)),
            ("[]", Some("[]")),
            ("5", None),
            ("[5]", None),
            ("{}", None),
        ] {
            let got = serde_json::from_str::<OneOrMany>(json);
            let text = got.as_ref().ok().map(ToString::to_string);
            assert_eq!(text.as_deref(), wanted, "{json}: {got:?}");
            if let Ok(read) = got {
                assert_eq!(serde_json::to_string(&read).unwrap(), json);
            }
        }
    }
}
