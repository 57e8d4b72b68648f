//! The shapes of challenges and their answers.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{one_or_many, one_or_many_schema};

/// A challenge and its answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HandshakeRecord {
    /// What it is called in the log and in the list of vendors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What a request must be like to be this challenge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<WhenRecord>,
    /// Where the secret stands in a challenge that has no signature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenRecord>,
    /// Whether it is answered without proof, since the vendor gives none: no signature and no token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open: Option<bool>,
    /// Where a secret is handed over; answered only while the source is armed for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capture: Option<CaptureRecord>,
    /// The answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply: Option<ReplyRecord>,
}

/// What a request must be like to be a challenge; all that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WhenRecord {
    /// The method: `POST` (the default; such a challenge must be signed, unless it is open), `GET` or `OPTIONS`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["POST", "GET", "OPTIONS", null]))]
    pub method: Option<String>,
    /// Query parameters and their values; `*` is any value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<BTreeMap<String, String>>,
    /// Headers and their values; `*` is any value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<BTreeMap<String, String>>,
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

/// Where a challenge hands a secret over.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CaptureRecord {
    /// The header that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
}

/// The answer to a challenge. In its texts `{query:NAME}`, `{json:/POINTER}` and `{header:NAME}` stand for parts of the challenge; `|hmac|hex` or `|hmac|base64` behind one makes it the HMAC of that part under the newest secret.
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
    /// Headers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headers: Option<BTreeMap<String, String>>,
}
