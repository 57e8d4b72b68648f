//! `targets.NAME.auth` as it is written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{SecretFile, TargetTlsFile};

/// How the target is told who we are: exactly one of these.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "Auth")]
pub struct AuthFile {
    /// A name and a password (RFC 7617).
    pub basic: Option<BasicFile>,
    /// A token that is always the same (RFC 6750).
    pub bearer: Option<SecretFile>,
    /// A key in a header or in the query.
    pub api_key: Option<ApiKeyFile>,
    /// A token that is asked for: OAuth 2.0 client credentials (RFC 6749, 4.4).
    pub oauth2: Option<OAuth2File>,
}

/// A name and a password.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "BasicAuth")]
pub struct BasicFile {
    /// The name; without a colon.
    pub username: String,
    /// The password.
    pub password: SecretFile,
}

/// A key: `header` or `query`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ApiKeyAuth")]
pub struct ApiKeyFile {
    /// The header that it stands in.
    #[serde(default)]
    #[schemars(extend("examples" = ["x-api-key"]))]
    pub header: Option<String>,
    /// The parameter of the query that it stands in.
    #[serde(default)]
    #[schemars(extend("examples" = ["api_key"]))]
    pub query: Option<String>,
    /// The key.
    pub value: SecretFile,
}

/// Who gives tokens, and what is said there.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "OAuth2Auth")]
pub struct OAuth2File {
    /// Who gives tokens: an https URL; one of http is warned of unless it is on this machine.
    #[schemars(extend("examples" = ["https://login.example.com/oauth2/token"]))]
    pub token_url: String,
    /// Our name there.
    pub client_id: String,
    /// Our secret there.
    pub client_secret: SecretFile,
    /// What the token is to be good for.
    #[serde(default)]
    pub scopes: Option<Vec<String>>,
    /// Where name and secret stand: `basic` (in the header Authorization), which is the default, or `body`.
    #[serde(default)]
    pub client_auth: Option<ClientAuthFile>,
    /// What else is said, such as `audience` or `resource`.
    #[serde(default)]
    pub params: Option<BTreeMap<String, String>>,
    /// Whom to trust and what to show there.
    #[serde(default)]
    pub tls: Option<TargetTlsFile>,
}

/// Where name and secret stand when a token is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "ClientAuth")]
pub enum ClientAuthFile {
    /// In the header Authorization.
    Basic,
    /// In the body.
    Body,
}
