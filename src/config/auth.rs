//! How targets are told who we are: `targets.NAME.auth`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Uri};

use super::context::Context;
use super::file::{ApiKeyFile, AuthFile, BasicFile, ClientAuthFile, OAuth2File, SecretFile};
use super::sources::http_url;
use super::targets::OWN_HEADERS;
use super::yaml::{item, member};
use super::{egress, secrets, tls};
use crate::egress::{Guard, literal};
use crate::plan::{Auth, ClientAuth, OAuth2, Proof};
use crate::secret::Secret;

/// What a token request says itself; `params` cannot.
const OWN_PARAMS: [&str; 4] = ["client_id", "client_secret", "grant_type", "scope"];

/// Compiles `auth` of a target with this URL and these headers; `None` where something is wrong with it.
pub(super) fn compile(
    cx: &mut Context<'_>,
    at: &str,
    file: &AuthFile,
    url: Option<&Uri>,
    headers: &[(HeaderName, HeaderValue)],
    guard: &Guard,
) -> Option<Auth> {
    let (name, auth) = match (&file.basic, &file.bearer, &file.api_key, &file.oauth2) {
        (Some(basic), None, None, None) => ("basic", self::basic(cx, &member(at, "basic"), basic)),
        (None, Some(token), None, None) => ("bearer", bearer(cx, &member(at, "bearer"), token)),
        (None, None, Some(key), None) => ("api_key", api_key(cx, &member(at, "api_key"), key, url)),
        (None, None, None, Some(way)) => ("oauth2", oauth2(cx, &member(at, "oauth2"), way, guard)),
        _ => {
            let message = "`auth` has exactly one of `basic`, `bearer`, `api_key` and `oauth2`, such as `{bearer: {env: NAME}}`";
            cx.report.key_error(at, message, None);
            return None;
        }
    };
    let (proof, secret) = auth?;
    let auth = Auth {
        proof,
        secret: secrets::name(secret),
    };
    let taken = auth.header_name();
    if let Some(taken) = taken.filter(|taken| headers.iter().any(|(name, _)| name == taken)) {
        let message = format!("`headers` has {taken} as well, and there can be only one");
        cx.report.key_error(&member(at, name), message, None);
        return None;
    }
    Some(auth)
}

fn basic<'a>(
    cx: &mut Context<'_>,
    at: &str,
    file: &'a BasicFile,
) -> Option<(Proof, &'a SecretFile)> {
    let password = secrets::resolve(cx, &member(at, "password"), &file.password);
    let name = &file.username;
    if name.contains(':') || name.chars().any(char::is_control) {
        let message = "a name has no colon, which ends it, and no control characters (RFC 7617)";
        cx.report.error(&member(at, "username"), message);
        return None;
    }
    let password = password?;
    let pair = [name.as_bytes(), b":", password.expose()].concat();
    let text = format!("Basic {}", STANDARD.encode(pair));
    let value = sensitive(cx, &member(at, "password"), text.as_bytes())?;
    Some((Proof::Basic { value, password }, &file.password))
}

fn bearer<'a>(
    cx: &mut Context<'_>,
    at: &str,
    file: &'a SecretFile,
) -> Option<(Proof, &'a SecretFile)> {
    let token = secrets::resolve(cx, at, file)?;
    let value = sensitive(cx, at, &[b"Bearer ", token.expose()].concat())?;
    Some((Proof::Bearer(value), file))
}

fn api_key<'a>(
    cx: &mut Context<'_>,
    at: &str,
    file: &'a ApiKeyFile,
    url: Option<&Uri>,
) -> Option<(Proof, &'a SecretFile)> {
    let at_value = member(at, "value");
    let secret = secrets::resolve(cx, &at_value, &file.value);
    let proof = match (&file.header, &file.query) {
        (Some(name), None) => {
            let name = key_header(cx, &member(at, "header"), name);
            let value = sensitive(cx, &at_value, secret?.expose())?;
            Proof::ApiKeyHeader(name?, value)
        }
        (None, Some(name)) => {
            let at_name = member(at, "query");
            if name.is_empty() {
                cx.report.error(&at_name, "a parameter has a name");
                return None;
            }
            let query = url.and_then(Uri::query).unwrap_or_default();
            if form_urlencoded::parse(query.as_bytes()).any(|(known, _)| known == *name) {
                let message = "this parameter stands in `url` already";
                cx.report.error(&at_name, message);
                return None;
            }
            Proof::ApiKeyQuery {
                name: name.clone(),
                value: secret?,
            }
        }
        _ => {
            let message = "a key stands in a `header` or in the `query`: exactly one of these, such as `header: x-api-key`";
            cx.report.key_error(at, message, None);
            return None;
        }
    };
    Some((proof, &file.value))
}

fn key_header(cx: &mut Context<'_>, at: &str, text: &str) -> Option<HeaderName> {
    let Ok(name) = HeaderName::from_bytes(text.as_bytes()) else {
        let message = format!("{text:?} is not the name of a header");
        cx.report.error(at, message);
        return None;
    };
    if OWN_HEADERS.contains(&name.as_str()) || name == CONTENT_TYPE {
        cx.report.error(at, "this header is ingate's own to set");
        return None;
    }
    if name == AUTHORIZATION {
        cx.report.warn(
            at,
            "what stands in this header begins with a scheme, and here it is the key alone",
            Some("`bearer` and `basic` put theirs in front".to_owned()),
        );
    }
    Some(name)
}

fn sensitive(cx: &mut Context<'_>, at: &str, bytes: &[u8]) -> Option<HeaderValue> {
    let Ok(mut value) = HeaderValue::from_bytes(bytes) else {
        let message = "a header's value has no line breaks and no control characters";
        cx.report.error(at, message);
        return None;
    };
    value.set_sensitive(true);
    Some(value)
}

fn oauth2<'a>(
    cx: &mut Context<'_>,
    at: &str,
    file: &'a OAuth2File,
    guard: &Guard,
) -> Option<(Proof, &'a SecretFile)> {
    let token_url = token_url(cx, &member(at, "token_url"), &file.token_url, guard);
    let client_secret = client_secret(cx, &member(at, "client_secret"), &file.client_secret);
    if !is_visible(file.client_id.as_bytes()) {
        let message = "a client's name is of visible ASCII characters and has at least one";
        cx.report.error(&member(at, "client_id"), message);
    }
    let scopes = file.scopes.clone().unwrap_or_default();
    for (i, scope) in scopes.iter().enumerate() {
        if !is_visible(scope.as_bytes()) || scope.contains([' ', '"', '\\']) {
            let message = format!(
                "{scope:?} is no scope: visible ASCII without spaces, quotes and backslashes; several are a list"
            );
            cx.report.error(&item(&member(at, "scopes"), i), message);
        }
    }
    let params = params(cx, &member(at, "params"), file.params.as_ref());
    let tls = tls::target(
        cx,
        &member(at, "tls"),
        file.tls.as_ref(),
        token_url.as_ref(),
    );
    let way = OAuth2 {
        token_url: token_url?,
        client_id: file.client_id.clone(),
        client_secret: client_secret?,
        scopes,
        client_auth: match file.client_auth {
            Some(ClientAuthFile::Body) => ClientAuth::Body,
            Some(ClientAuthFile::Basic) | None => ClientAuth::Basic,
        },
        params,
        tls: tls?,
    };
    Some((Proof::OAuth2(Arc::new(way)), &file.client_secret))
}

fn client_secret(cx: &mut Context<'_>, at: &str, file: &SecretFile) -> Option<Secret> {
    let secret = secrets::resolve(cx, at, file)?;
    if !is_visible(secret.expose()) {
        let message = "a client's secret is of visible ASCII characters";
        cx.report.error(at, message);
        return None;
    }
    Some(secret)
}

/// What RFC 6749 (appendix A) wants of names, secrets and scopes: visible ASCII and spaces.
fn is_visible(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| (b' '..=b'~').contains(byte))
}

/// Who gives tokens; by http only with a warning, unless it is on this machine.
fn token_url(cx: &mut Context<'_>, at: &str, text: &str, guard: &Guard) -> Option<Uri> {
    let url = http_url(text)
        .map_err(|message| {
            message.replace(
                "`headers` can carry them",
                "`client_id` and `client_secret` are for them",
            )
        })
        .and_then(|url| egress::check_host(guard, &url).map(|()| url))
        .map_err(|message| cx.report.error(at, message))
        .ok()?;
    let host = url.host().unwrap_or_default();
    let here = host == "localhost" || literal(host).is_some_and(|it: IpAddr| it.is_loopback());
    if url.scheme_str() == Some("http") && !here {
        cx.report.warn(
            at,
            "everybody between here and there can read the client's secret and the tokens",
            Some("https:// keeps them from others".to_owned()),
        );
    }
    Some(url)
}

fn params(
    cx: &mut Context<'_>,
    at: &str,
    written: Option<&BTreeMap<String, String>>,
) -> Vec<(String, String)> {
    let mut params = Vec::new();
    for (name, value) in written.into_iter().flatten() {
        if OWN_PARAMS.contains(&name.as_str()) {
            let help = match name.as_str() {
                "scope" => Some("`scopes: [..]` has them".to_owned()),
                _ => None,
            };
            let message = "this parameter is ingate's own to set";
            cx.report.key_error(&member(at, name), message, help);
            continue;
        }
        params.push((name.clone(), value.clone()));
    }
    params
}
