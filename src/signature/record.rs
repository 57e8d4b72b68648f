//! The record that a scheme is written as: serde shapes.
//!
//! Promise: every field may be missing, so the same shape serves as a whole scheme and as changes to a
//! preset (see `merge`); unknown keys are errors. Not here: what the values mean and whether they fit
//! together (see `compile`), so that all mistakes can be told at once, each with its path.

mod handshake;
mod merge;

use std::fmt;

use schemars::JsonSchema;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

pub use handshake::{CaptureRecord, HandshakeRecord, ReplyRecord, TokenRecord, WhenRecord};

/// How a scheme is written; every field may be missing, so that it can also be a change to a preset.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SchemeRecord {
    /// How the signature is made: `hmac-sha256` (the default), `hmac-sha1`, `hmac-sha512`, `ed25519` or `ecdsa-p256`; `token` compares the secret itself, and with `address` only the sender's address counts (`allow` of the source).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["hmac-sha1", "hmac-sha256", "hmac-sha512", "ed25519", "ecdsa-p256", "token", "address", null]))]
    pub algorithm: Option<String>,
    /// What is signed: literal text around `{id}`, `{timestamp}`, `{body}`, `{url}`, `{method}`, `{header:NAME}`, `{json:/POINTER}` and `{query:NAME}`; `{body}` by default. A part that is missing in a request rejects it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Says that one knows that the content has no `{body}`, so that whoever holds one signed request can change its body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_unsigned: Option<bool>,
    /// What is verified by code of its own instead of `content`, since no record can say it: `twilio` or `sns`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["twilio", "sns", null]))]
    pub builtin: Option<String>,
    /// With `builtin: sns`: the ARNs of the topics whose messages are taken; at least one, since SNS signs for everybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topics: Option<Vec<String>>,
    /// With `builtin: sns`: whether the subscription of one of these topics is confirmed as soon as SNS asks; false unless given, so that an operator confirms it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirm_subscriptions: Option<bool>,
    /// Which bytes `{body}` stands for when a request is compressed: those on the `wire` (the default) or the `decoded` ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["wire", "decoded", null]))]
    pub body: Option<String>,
    /// Where the signature stands and how it is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<SignatureRecord>,
    /// How the secret becomes a key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretRecord>,
    /// Where the time of sending stands; it must be within a tolerance of the clock, both ways.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<TimestampRecord>,
    /// Where the sender's id of the event stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<IdRecord>,
    /// Where the event's type stands.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub event_type: Option<TypeRecord>,
    /// Takes bodies that are forms (`application/x-www-form-urlencoded`) too: each becomes a JSON object once it is proven.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub form: Option<FormRecord>,
    /// What the event is wrapped in: `cloudevents`, both ways of its HTTP binding.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["cloudevents", null]))]
    pub envelope: Option<String>,
    /// Challenges that are answered and never become events; the first that fits counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handshake: Option<Vec<HandshakeRecord>>,
}

/// Where the signature stands and how it is written. An empty text takes a field of a preset away.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SignatureRecord {
    /// The header that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// Or the place in the JSON body that holds it, as a JSON pointer. With the algorithm `token`, a segment `*` stands for every item or member: each must hold the secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json: Option<String>,
    /// Or the query parameter that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// What separates several signatures; without it there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// What separates key and value where a signature is a pair, such as `v1,BASE64`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pair: Option<String>,
    /// The keys of pairs that hold signatures: one name or a list; the first is used for signing.
    #[serde(
        deserialize_with = "one_or_many",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(schema_with = "one_or_many_schema")]
    pub keys: Option<Vec<String>>,
    /// Whether a value without a key is taken too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bare: Option<bool>,
    /// What stands before the value, instead of pairs, such as `sha256=`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Whether the prefix may be left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix_optional: Option<bool>,
    /// How the bytes are written: `hex` (the default) or `base64`. A token stands there as it is, unless this says `base64`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["hex", "base64", null]))]
    pub encoding: Option<String>,
}

/// How the secret becomes a key. An empty text takes a field of a preset away.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SecretRecord {
    /// A marker that is taken off where the secret begins with it, such as `whsec_`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// How the key is written in the secret: `utf8` (as it stands, the default), `base64` or `hex`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["utf8", "base64", "hex", null]))]
    pub encoding: Option<String>,
    /// Instead of a prefix: the key is what follows the first of these in the secret, which must be there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// Where the time of sending stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TimestampRecord {
    /// The header that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// Or the place in the JSON body, as a JSON pointer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json: Option<String>,
    /// Or the query parameter that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// Or the key of the pair that holds it, in the place of the signature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pair: Option<String>,
    /// Seconds (`s`, the default) or milliseconds (`ms`) since 1970, or `rfc3339`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["s", "ms", "rfc3339", null]))]
    pub unit: Option<String>,
    /// How far it may be from the clock, both ways; `300s` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<String>,
}

/// Where the sender's id of the event stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct IdRecord {
    /// The header that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// Or the place in the JSON body, as a JSON pointer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json: Option<String>,
    /// Or the query parameter that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// What identifies an event that has no id: `body_sha256`, the hash of its body. That is also the default; writing it says that a missing id is expected.
    #[serde(rename = "else", skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["body_sha256", null]))]
    pub otherwise: Option<String>,
}

/// Where the event's type stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TypeRecord {
    /// The header that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// Or the place in the JSON body, as a JSON pointer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json: Option<String>,
    /// Or the query parameter that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// Or the type that every event has.
    #[serde(rename = "const", skip_serializing_if = "Option::is_none")]
    pub constant: Option<String>,
    /// The type of an event that names none.
    #[serde(rename = "else", skip_serializing_if = "Option::is_none")]
    pub otherwise: Option<String>,
}

/// How a form becomes an object.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FormRecord {
    /// The field whose value is the event as JSON; a form without it becomes an object of its fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json: Option<String>,
}

/// Reads one text or a list of texts.
fn one_or_many<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<String>>, D::Error> {
    struct Texts;

    impl<'de> Visitor<'de> for Texts {
        type Value = Option<Vec<String>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("one text or a list of texts")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            Ok(Some(vec![text.to_owned()]))
        }

        fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
            let mut texts = Vec::new();
            while let Some(text) = items.next_element()? {
                texts.push(text);
            }
            Ok(Some(texts))
        }
    }

    from.deserialize_any(Texts)
}

fn one_or_many_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "oneOf": [
            {"type": "string"},
            {"type": "array", "items": {"type": "string"}},
            {"type": "null"},
        ]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_in_shape() {
        for (yaml, wanted) in [
            ("sginature: {}", "unknown field `sginature`"),
            ("signature: {hedder: x}", "unknown field `hedder`"),
            ("signature: {keys: {a: b}}", "one text or a list of texts"),
            ("signature: {keys: [[v1]]}", "expected a string"),
            ("timestamp: {tolerance: [300s]}", "expected a string"),
            ("signature: {keys: 1}", "one text or a list of texts"),
            (
                "handshake: [{capture: {query: x}}]",
                "unknown field `query`",
            ),
            ("handshake: [{open: maybe}]", "expected a boolean"),
        ] {
            let error = serde_yaml::from_str::<SchemeRecord>(yaml)
                .unwrap_err()
                .to_string();
            assert!(error.contains(wanted), "{yaml}: {error}");
        }
    }

    #[test]
    fn the_schema_knows_every_key() {
        let schema = serde_json::to_value(schemars::schema_for!(SchemeRecord)).unwrap();
        let keys: Vec<&str> = schema["properties"]
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(
            keys,
            [
                "algorithm",
                "content",
                "body_unsigned",
                "builtin",
                "topics",
                "confirm_subscriptions",
                "body",
                "signature",
                "secret",
                "timestamp",
                "id",
                "type",
                "form",
                "envelope",
                "handshake"
            ]
        );
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(
            schema["properties"]["body"]["enum"],
            serde_json::json!(["wire", "decoded", null])
        );
    }
}
