//! How a target is told who we are. Not here: asking for tokens (see `dispatch`), how it is written (see `config`).

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Uri};

use super::Target;
use crate::secret::{Secret, SecretName};
use crate::signature::called_url;
use crate::tls::ClientTls;

/// How a target is told who we are.
#[derive(Debug)]
pub struct Auth {
    /// What it is shown.
    pub proof: Proof,
    /// Where the secret of it comes from.
    pub secret: SecretName,
}

/// What a target is shown.
#[derive(Debug)]
pub enum Proof {
    /// A name and a password.
    Basic {
        /// The whole value of the header, sensitive.
        value: HeaderValue,
        /// The password alone.
        password: Secret,
    },
    /// A token that is always the same: the whole value of the header, sensitive.
    Bearer(HeaderValue),
    /// A key in a header of its own, sensitive.
    ApiKeyHeader(HeaderName, HeaderValue),
    /// A key in the query of the URL.
    ApiKeyQuery {
        /// The name of the parameter.
        name: String,
        /// The key.
        value: Secret,
    },
    /// A token that is asked for.
    OAuth2(Arc<OAuth2>),
}

/// How tokens are asked for: the grant of client credentials (RFC 6749, 4.4). Two are equal if the same token can be had.
#[derive(Clone, PartialEq, Eq)]
pub struct OAuth2 {
    /// Who gives tokens.
    pub token_url: Uri,
    /// Our name there.
    pub client_id: String,
    /// Our secret there.
    pub client_secret: Secret,
    /// What the token is to be good for.
    pub scopes: Vec<String>,
    /// Where name and secret stand.
    pub client_auth: ClientAuth,
    /// What else is said.
    pub params: Vec<(String, String)>,
    /// Whom to trust and what to show there, where that is not what all have.
    pub tls: Option<ClientTls>,
}

/// Where a client's name and secret stand when it asks for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientAuth {
    /// In the header `Authorization`.
    #[default]
    Basic,
    /// In the body.
    Body,
}

impl fmt::Debug for OAuth2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuth2")
            .field("host", &self.token_url.host())
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

impl Auth {
    /// The kind, as configuration and API call it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.proof {
            Proof::Basic { .. } => "basic",
            Proof::Bearer(_) => "bearer",
            Proof::ApiKeyHeader(..) | Proof::ApiKeyQuery { .. } => "api_key",
            Proof::OAuth2(_) => "oauth2",
        }
    }

    /// The header that it takes, if it takes one.
    #[must_use]
    pub fn header_name(&self) -> Option<HeaderName> {
        match &self.proof {
            Proof::Basic { .. } | Proof::Bearer(_) | Proof::OAuth2(_) => Some(AUTHORIZATION),
            Proof::ApiKeyHeader(name, _) => Some(name.clone()),
            Proof::ApiKeyQuery { .. } => None,
        }
    }

    /// The value of that header where it is always the same.
    #[must_use]
    pub fn header_value(&self) -> Option<&HeaderValue> {
        match &self.proof {
            Proof::Basic { value, .. } | Proof::Bearer(value) | Proof::ApiKeyHeader(_, value) => {
                Some(value)
            }
            Proof::ApiKeyQuery { .. } | Proof::OAuth2(_) => None,
        }
    }

    /// The URL with what of it stands there; `None` if that is no URL, as it would be too long.
    #[must_use]
    pub fn url<'a>(&self, url: &'a Uri) -> Option<Cow<'a, Uri>> {
        let Proof::ApiKeyQuery { name, value } = &self.proof else {
            return Some(Cow::Borrowed(url));
        };
        let query = url.query().filter(|query| !query.is_empty());
        let before = query.map_or(String::new(), |query| format!("{query}&"));
        let text = format!(
            "{}?{before}{}={}",
            url.path(),
            encoded(name.as_bytes()),
            encoded(value.expose())
        );
        let mut parts = url.clone().into_parts();
        parts.path_and_query = Some(PathAndQuery::try_from(text).ok()?);
        Uri::from_parts(parts).ok().map(Cow::Owned)
    }

    /// What must not be kept of an answer that repeats it, besides the values of sensitive headers: the secret as it is,
    /// in a URL, in a form and in JSON.
    #[must_use]
    pub fn hidden(&self) -> Vec<String> {
        let secret = match &self.proof {
            Proof::Basic { password, .. } => password,
            Proof::ApiKeyQuery { value, .. } => value,
            Proof::Bearer(_) | Proof::ApiKeyHeader(..) | Proof::OAuth2(_) => return Vec::new(),
        };
        let plain = String::from_utf8_lossy(secret.expose()).into_owned();
        let form = form_urlencoded::byte_serialize(secret.expose()).collect();
        let json = serde_json::Value::from(plain.as_str()).to_string();
        let json = json.trim_matches('"').to_owned();
        let mut words = vec![encoded(secret.expose()), form, json, plain];
        words.dedup();
        words
    }
}

impl Target {
    /// Where requests go, with the key that stands in the query, if one does: never to be shown.
    #[must_use]
    pub fn sent_url(&self) -> Cow<'_, Uri> {
        let auth = self.auth.as_ref();
        auth.and_then(|auth| auth.url(&self.url))
            .unwrap_or(Cow::Borrowed(&self.url))
    }

    /// Where the request with this body goes: there as well, unless the signature's scheme keeps something of the body in
    /// the URL.
    #[must_use]
    pub fn called_url(&self, body: &[u8]) -> Cow<'_, Uri> {
        let url = self.sent_url();
        let called = self
            .sign
            .as_ref()
            .filter(|signer| signer.scheme.changes_url())
            .and_then(|signer| {
                let url = url.to_string();
                called_url(&signer.scheme, &url, body).parse().ok()
            });
        called.map_or(url, Cow::Owned)
    }
}

/// Bytes as a query holds them, a space as `%20`: what takes `+` for one takes this as well.
fn encoded(bytes: &[u8]) -> String {
    let parts = form_urlencoded::byte_serialize(bytes);
    parts.collect::<String>().replace('+', "%20")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_the_query_stands_behind_what_is_there() {
        let auth = Auth {
            proof: Proof::ApiKeyQuery {
                name: "api key".to_owned(),
                value: Secret::new("a+b/c&d e"),
            },
            secret: SecretName::Value,
        };
        for (url, wanted) in [
            ("http://h:1", "http://h:1/?api%20key=a%2Bb%2Fc%26d%20e"),
            ("http://h/p", "http://h/p?api%20key=a%2Bb%2Fc%26d%20e"),
            ("http://h/p?", "http://h/p?api%20key=a%2Bb%2Fc%26d%20e"),
            (
                "https://h/p?x=y",
                "https://h/p?x=y&api%20key=a%2Bb%2Fc%26d%20e",
            ),
        ] {
            let url: Uri = url.parse().unwrap();
            assert_eq!(auth.url(&url).unwrap().to_string(), wanted);
        }
        let spellings = ["a%2Bb%2Fc%26d%20e", "a%2Bb%2Fc%26d+e", "a+b/c&d e"];
        assert_eq!(auth.hidden(), spellings);
        assert_eq!(auth.kind(), "api_key");
        assert!(!format!("{auth:?}").contains("a+b"));
    }
}
