//! The record that a scheme is written as: serde shapes, merging, the embedded presets.
//!
//! Promise: every field may be missing, so the same shape serves as a whole scheme and as changes to a
//! preset; unknown keys are errors. Not here: what the values mean and whether they fit together (see
//! `compile`), so that all mistakes can be told at once, each with its path.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The embedded presets, sorted by name.
const PRESETS: [(&str, &str); 13] = [
    ("compliancely", include_str!("presets/compliancely.yaml")),
    ("github", include_str!("presets/github.yaml")),
    ("hmac", include_str!("presets/hmac.yaml")),
    ("shopify", include_str!("presets/shopify.yaml")),
    ("slack", include_str!("presets/slack.yaml")),
    (
        "standard-webhooks",
        include_str!("presets/standard-webhooks.yaml"),
    ),
    (
        "standard-webhooks-v1a",
        include_str!("presets/standard-webhooks-v1a.yaml"),
    ),
    ("stripe", include_str!("presets/stripe.yaml")),
    ("svix", include_str!("presets/svix.yaml")),
    ("wingspan", include_str!("presets/wingspan.yaml")),
    ("wismolabs", include_str!("presets/wismolabs.yaml")),
    ("wreno", include_str!("presets/wreno.yaml")),
    ("wundaflow", include_str!("presets/wundaflow.yaml")),
];

/// How a scheme is written; every field may be missing, so that it can also be a change to a preset.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SchemeRecord {
    /// How the signature is made: `hmac-sha256` (the default), `hmac-sha512`, `ed25519`, or `token`, which compares the secret itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["hmac-sha256", "hmac-sha512", "ed25519", "token", null]))]
    pub algorithm: Option<String>,
    /// What is signed: literal text around `{id}`, `{timestamp}`, `{body}`, `{url}` and `{method}`; `{body}` by default. A part that is missing in a request rejects it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
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
    /// Or the place in the JSON body that holds it, as a JSON pointer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json: Option<String>,
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
    /// How the bytes are written: `hex` (the default) or `base64`.
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
    /// Or the type that every event has.
    #[serde(rename = "const", skip_serializing_if = "Option::is_none")]
    pub constant: Option<String>,
    /// The type of an event that names none.
    #[serde(rename = "else", skip_serializing_if = "Option::is_none")]
    pub otherwise: Option<String>,
}

/// A challenge and its answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HandshakeRecord {
    /// What a request must be like to be this challenge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<WhenRecord>,
    /// Where the secret stands in a challenge that comes by GET and so has no signature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenRecord>,
    /// The answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply: Option<ReplyRecord>,
}

/// What a request must be like to be a challenge; all that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WhenRecord {
    /// The method: `POST` (the default; such a challenge must be signed) or `GET`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["POST", "GET", null]))]
    pub method: Option<String>,
    /// Query parameters and their values; `*` is any value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<BTreeMap<String, String>>,
    /// JSON pointers into the body and the values there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json: Option<BTreeMap<String, Value>>,
    /// JSON pointers to what such a challenge never has, so that an event is not taken for one.
    #[serde(
        deserialize_with = "one_or_many",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(schema_with = "one_or_many_schema")]
    pub without: Option<Vec<String>>,
}

/// Where the secret stands in a challenge.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TokenRecord {
    /// The query parameter that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
}

/// The answer to a challenge. `{query:NAME}` and `{json:/POINTER}` in its texts stand for parts of the challenge.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReplyRecord {
    /// The status, 200 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The body as plain text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Or the body as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json: Option<Value>,
}

impl SchemeRecord {
    /// The preset of this name.
    #[must_use]
    pub fn preset(name: &str) -> Option<Self> {
        let (_, text) = PRESETS.iter().find(|(known, _)| *known == name)?;
        // That every preset parses and compiles is a test.
        serde_yaml::from_str(text).ok()
    }

    /// The names of all presets, sorted.
    #[must_use]
    pub fn preset_names() -> Vec<&'static str> {
        PRESETS.iter().map(|(name, _)| *name).collect()
    }

    /// This record's fields where it has them, else those of `base`; one level into the parts.
    ///
    /// Fields that stand for each other replace each other: a `prefix` drops the base's `list`, `pair`,
    /// `keys` and `bare`; `pair`, `keys` and `bare` drop its `prefix`; a place (`header`, `json`, `pair`,
    /// `const`) drops the base's other place; `secret.after` and `secret.prefix` drop each other; the
    /// algorithm `token` drops what only signatures have. What then still does not fit together is told
    /// by [`super::Scheme::compile`].
    #[must_use]
    pub fn over(self, mut base: Self) -> Self {
        if self.algorithm.as_deref() == Some("token") {
            (base.content, base.body) = (None, None);
            if let Some(signature) = &mut base.signature {
                signature.encoding = None;
            }
        }
        Self {
            algorithm: self.algorithm.or(base.algorithm),
            content: self.content.or(base.content),
            body: self.body.or(base.body),
            signature: merge(self.signature, base.signature, SignatureRecord::over),
            secret: merge(self.secret, base.secret, SecretRecord::over),
            timestamp: merge(self.timestamp, base.timestamp, TimestampRecord::over),
            id: merge(self.id, base.id, IdRecord::over),
            event_type: merge(self.event_type, base.event_type, TypeRecord::over),
            handshake: self.handshake.or(base.handshake),
        }
    }
}

fn merge<T>(change: Option<T>, base: Option<T>, over: fn(T, T) -> T) -> Option<T> {
    match (change, base) {
        (Some(change), Some(base)) => Some(over(change, base)),
        (change, base) => change.or(base),
    }
}

impl SignatureRecord {
    fn over(self, mut base: Self) -> Self {
        if self.header.is_some() || self.json.is_some() {
            (base.header, base.json) = (None, None);
        }
        if self.prefix.as_deref().is_some_and(|text| !text.is_empty()) {
            (base.list, base.pair, base.keys, base.bare) = (None, None, None, None);
        }
        if self.pair.is_some() || self.keys.is_some() || self.bare.is_some() {
            (base.prefix, base.prefix_optional) = (None, None);
        }
        if self.prefix.as_deref() == Some("") {
            base.prefix_optional = None;
        }
        if self.pair.as_deref() == Some("") {
            (base.keys, base.bare) = (None, None);
        }
        Self {
            header: self.header.or(base.header),
            json: self.json.or(base.json),
            list: self.list.or(base.list),
            pair: self.pair.or(base.pair),
            keys: self.keys.or(base.keys),
            bare: self.bare.or(base.bare),
            prefix: self.prefix.or(base.prefix),
            prefix_optional: self.prefix_optional.or(base.prefix_optional),
            encoding: self.encoding.or(base.encoding),
        }
    }
}

impl SecretRecord {
    fn over(self, mut base: Self) -> Self {
        if self.prefix.is_some() || self.after.is_some() {
            (base.prefix, base.after) = (None, None);
        }
        Self {
            prefix: self.prefix.or(base.prefix),
            encoding: self.encoding.or(base.encoding),
            after: self.after.or(base.after),
        }
    }
}

impl TimestampRecord {
    fn over(self, mut base: Self) -> Self {
        if self.header.is_some() || self.json.is_some() || self.pair.is_some() {
            (base.header, base.json, base.pair) = (None, None, None);
        }
        Self {
            header: self.header.or(base.header),
            json: self.json.or(base.json),
            pair: self.pair.or(base.pair),
            unit: self.unit.or(base.unit),
            tolerance: self.tolerance.or(base.tolerance),
        }
    }
}

impl IdRecord {
    fn over(self, mut base: Self) -> Self {
        if self.header.is_some() || self.json.is_some() {
            (base.header, base.json) = (None, None);
        }
        Self {
            header: self.header.or(base.header),
            json: self.json.or(base.json),
            otherwise: self.otherwise.or(base.otherwise),
        }
    }
}

impl TypeRecord {
    fn over(self, mut base: Self) -> Self {
        if self.header.is_some() || self.json.is_some() || self.constant.is_some() {
            (base.header, base.json, base.constant) = (None, None, None);
        }
        if self.constant.is_some() {
            base.otherwise = None;
        }
        Self {
            header: self.header.or(base.header),
            json: self.json.or(base.json),
            constant: self.constant.or(base.constant),
            otherwise: self.otherwise.or(base.otherwise),
        }
    }
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

    fn record(yaml: &str) -> SchemeRecord {
        serde_yaml::from_str(yaml).unwrap()
    }

    #[test]
    fn presets_are_sorted_and_parse() {
        let names = SchemeRecord::preset_names();
        assert!(names.is_sorted());
        for (name, text) in PRESETS {
            let parsed: Result<SchemeRecord, _> = serde_yaml::from_str(text);
            assert!(parsed.is_ok(), "{name}: {parsed:?}");
            assert!(
                text.starts_with("# "),
                "{name} does not say where it is from"
            );
        }
        assert_eq!(SchemeRecord::preset("nobody"), None);
    }

    #[test]
    fn a_record_survives_being_written() {
        for name in SchemeRecord::preset_names() {
            let record = SchemeRecord::preset(name).unwrap();
            let text = serde_yaml::to_string(&record).unwrap();
            let again: SchemeRecord = serde_yaml::from_str(&text).unwrap();
            assert_eq!(again, record, "{name}");
        }
    }

    #[test]
    fn mistakes_in_shape() {
        for (yaml, wanted) in [
            ("sginature: {}", "unknown field `sginature`"),
            ("signature: {hedder: x}", "unknown field `hedder`"),
            ("signature: {keys: {a: b}}", "one text or a list of texts"),
            ("signature: {keys: [[v1]]}", "expected a string"),
            ("timestamp: {tolerance: [300s]}", "expected a string"),
            ("signature: {keys: 1}", "one text or a list of texts"),
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
                "body",
                "signature",
                "secret",
                "timestamp",
                "id",
                "type",
                "handshake"
            ]
        );
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(
            schema["properties"]["body"]["enum"],
            serde_json::json!(["wire", "decoded", null])
        );
    }

    #[test]
    fn changes_go_over_a_base() {
        for (change, base, wanted) in [
            ("{}", "{content: a}", "{content: a}"),
            (
                "{signature: {encoding: base64}}",
                "{signature: {header: x, prefix: 'sha256='}}",
                "{signature: {header: x, prefix: 'sha256=', encoding: base64}}",
            ),
            (
                "{signature: {prefix: 'sha256='}}",
                "{signature: {header: x, list: ' ', pair: ',', keys: v1, bare: true}}",
                "{signature: {header: x, prefix: 'sha256='}}",
            ),
            (
                "{signature: {pair: '=', keys: [v1, v2]}}",
                "{signature: {header: x, prefix: 'sha256=', prefix_optional: true}}",
                "{signature: {header: x, pair: '=', keys: [v1, v2]}}",
            ),
            (
                "{signature: {prefix: ''}}",
                "{signature: {header: x, prefix: 'sha256=', prefix_optional: true}}",
                "{signature: {header: x, prefix: ''}}",
            ),
            (
                "{signature: {json: /sig}}",
                "{signature: {header: x}}",
                "{signature: {json: /sig}}",
            ),
            (
                "{secret: {after: _}}",
                "{secret: {prefix: whsec_, encoding: base64}}",
                "{secret: {after: _, encoding: base64}}",
            ),
            (
                "{timestamp: {header: ts}}",
                "{timestamp: {pair: t, tolerance: 60s}}",
                "{timestamp: {header: ts, tolerance: 60s}}",
            ),
            (
                "{type: {const: a.b}}",
                "{type: {json: /type, else: c}}",
                "{type: {const: a.b}}",
            ),
            (
                "{id: {json: /id}, handshake: []}",
                "{id: {header: x, else: body_sha256}, handshake: [{}]}",
                "{id: {json: /id, else: body_sha256}, handshake: []}",
            ),
        ] {
            let merged = record(change).over(record(base));
            assert_eq!(merged, record(wanted), "{change} over {base}");
        }
    }
}
