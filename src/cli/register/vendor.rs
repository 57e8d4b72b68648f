//! What registrations with vendors have in common: where events are to go, and calls of a JSON API.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use clap::Args;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use serde_json::Value;

use super::super::input::{pick_source, read};
use super::super::show::clean;
use super::super::{ConfigArg, Exit, Failure};
use crate::client::{FetchError, Fetcher, Limits};
use crate::egress::literal;
use crate::secret::Secret;

/// How long a vendor may take to answer, and how much it may say: a list of all events has some thousands of bytes.
const LIMITS: Limits = Limits {
    timeout: Duration::from_secs(30),
    body_bytes: 512 * 1024,
};

/// Most characters that are shown of what a vendor says to a failure.
const SHOWN_CHARS: usize = 300;

/// So many bytes of a secret in a row are not there by chance.
const TELLING_BYTES: usize = 6;

/// Where events are to go, and what they are signed with: as a source of the configuration has it, or given apart.
#[derive(Debug, Args)]
pub(super) struct DestinationArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Take the URL (`sources.NAME.url`) and the first secret of this source of the configuration
    #[arg(long, value_name = "NAME", conflicts_with_all = ["url", "secret_env", "secret_file"])]
    source: Option<String>,
    /// The public URL that events are to be sent to
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The environment variable that holds the secret
    #[arg(long, value_name = "VAR", conflicts_with = "secret_file")]
    secret_env: Option<String>,
    /// The file that holds the secret
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
}

/// Where events are to go, and what they are signed with.
pub(super) struct Destination {
    pub(super) url: String,
    pub(super) secret: String,
}

impl DestinationArgs {
    pub(super) fn destination(&self) -> Result<Destination, Failure> {
        let (url, secret) = match &self.source {
            Some(name) => self.of_source(name)?,
            None => (self.url.clone(), self.secret()?),
        };
        let url = url.ok_or_else(|| {
            Failure::usage("error: --url is missing, or --source NAME that takes it from there")
        })?;
        let sound = url.parse::<Uri>().is_ok_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some()
        });
        if !sound || url.contains('@') {
            let words = "error: --url: this is no http or https URL of a host";
            return Err(Failure::usage(words));
        }
        let secret = String::from_utf8(secret.expose().to_vec());
        let secret = secret.map_err(|_| {
            Failure::usage("error: the secret is no text, and JSON can carry nothing else")
        })?;
        if secret.is_empty() {
            return Err(Failure::usage("error: the secret is empty"));
        }
        Ok(Destination { url, secret })
    }

    fn of_source(&self, name: &str) -> Result<(Option<String>, Secret), Failure> {
        let compiled = self.config.load()?;
        let source = pick_source(&compiled.plan, Some(name))?;
        let url = source.url.clone().ok_or_else(|| {
            let words = format!(
                "error: sources.{name}.url is missing\n  help: it is the public URL that the vendor is to call, or --url with --secret-env or --secret-file say both"
            );
            Failure::new(Exit::Config, words)
        })?;
        let key = source.checks.first().keys.first();
        let key = key.ok_or_else(|| {
            Failure::new(Exit::Config, format!("error: source {name} has no secret"))
        })?;
        Ok((Some(url), key.configured().clone()))
    }

    fn secret(&self) -> Result<Secret, Failure> {
        match (&self.secret_env, &self.secret_file) {
            (Some(var), _) => from_env(var),
            (None, Some(file)) => from_file(file),
            (None, None) => Err(Failure::usage(
                "error: --source NAME is missing, or --url with --secret-env VAR or --secret-file FILE",
            )),
        }
    }
}

/// A secret that stands in a variable.
pub(super) fn from_env(var: &str) -> Result<Secret, Failure> {
    match std::env::var(var) {
        Ok(value) if !value.is_empty() => Ok(Secret::new(value)),
        _ => Err(Failure::usage(format!(
            "error: the environment variable {var} is not set"
        ))),
    }
}

/// A secret that stands in a file, without the end of its line.
pub(super) fn from_file(file: &std::path::Path) -> Result<Secret, Failure> {
    let bytes = read(file)?;
    let secret = bytes.trim_ascii_end();
    if secret.is_empty() {
        return Err(Failure::usage(format!(
            "error: {} is empty",
            file.display()
        )));
    }
    Ok(Secret::new(secret))
}

/// The API of a vendor, as we call it.
pub(super) struct Api {
    /// The vendor's name.
    pub(super) vendor: &'static str,
    base: String,
    fetcher: Fetcher,
    authorization: HeaderValue,
    /// What is not to be shown of answers.
    secrets: Vec<String>,
}

impl Api {
    /// The API at this URL, by https unless it is on this machine. `secrets` are what is sent there besides the token.
    pub(super) fn new(
        vendor: &'static str,
        base: &str,
        token: &Secret,
        secrets: &[&str],
    ) -> Result<Self, Failure> {
        let wrong = |why: &str| Failure::usage(format!("error: --base-url: {why}"));
        if base.contains('@') {
            return Err(wrong("credentials do not belong into a URL"));
        }
        let uri: Uri = base.parse().map_err(|_| wrong("this is no URL"))?;
        let host = uri.host().unwrap_or_default();
        let here = host == "localhost" || literal(host).is_some_and(|ip| ip.is_loopback());
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") if here => {}
            Some("http") => {
                return Err(wrong(
                    "https is needed: by http everybody between could read the token and the secret",
                ));
            }
            _ => return Err(wrong("this is no https URL")),
        }
        if uri.query().is_some() {
            return Err(wrong("there is a query"));
        }
        let bearer = [b"Bearer ", token.expose()].concat();
        let mut authorization = HeaderValue::from_bytes(&bearer)
            .map_err(|_| Failure::usage("error: the token does not fit into a header"))?;
        authorization.set_sensitive(true);
        let token = String::from_utf8_lossy(token.expose()).into_owned();
        let secrets = secrets.iter().map(|secret| (*secret).to_owned());
        Ok(Self {
            vendor,
            base: base.trim_end_matches('/').to_owned(),
            fetcher: Fetcher::of(&uri, None, None),
            authorization,
            secrets: secrets.chain([token]).collect(),
        })
    }

    /// The URL of a path of the API.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Calls the API; gives what it answers as JSON, null for nothing.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let called = format!("{method} {}", self.url(path));
        let mut request = Request::builder()
            .method(method)
            .uri(self.url(path))
            .header(ACCEPT, "application/json")
            .header(AUTHORIZATION, &self.authorization);
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = body.map_or(Bytes::new(), |body| Bytes::from(body.to_string()));
        let request = request
            .body(body)
            .map_err(|error| Failure::usage(format!("error: {called}: {error}")))?;
        match self.fetcher.fetch(request, LIMITS).await {
            Ok(answer) if answer.status().is_success() => self.json(&called, answer.body()),
            Ok(answer) => Err(self.refused(&called, answer.status(), answer.body())),
            Err(FetchError::Body { head, .. }) if !head.status.is_success() => {
                Err(self.refused(&called, head.status, &[]))
            }
            Err(error) => Err(Failure::new(
                Exit::Unreachable,
                format!("error: {called}: {error}"),
            )),
        }
    }

    fn json(&self, called: &str, body: &[u8]) -> Result<Value, Failure> {
        if body.trim_ascii().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(body).map_err(|_| {
            let words = format!("error: {called}: {} answered, but not in JSON", self.vendor);
            Failure::new(Exit::Failed, words)
        })
    }

    /// What a refusal means, and what the vendor says to it, unless that repeats what is secret.
    fn refused(&self, called: &str, status: StatusCode, body: &[u8]) -> Failure {
        let meaning = match status.as_u16() {
            400 | 422 => "what was sent is not taken",
            401 => "the token is not accepted",
            403 => "the token is not allowed to do this",
            404 => "there is no such call",
            409 => "it is in conflict with what is registered",
            429 => "there were too many calls; later it may go",
            300..=399 => "it sends us elsewhere, which is not followed",
            500..=599 => "the failure is on its side; later it may go",
            _ => "it was not done",
        };
        let said = self.said(body);
        let said = said.map_or(String::new(), |said| format!("\n  it says: {said}"));
        let number = status.as_u16();
        Failure::new(
            Exit::Failed,
            format!("error: {called}: status {number}, {meaning}{said}"),
        )
    }

    /// The start of an error's body; `None` where there is none to show.
    fn said(&self, body: &[u8]) -> Option<String> {
        let text = String::from_utf8_lossy(body);
        if self.tells(&text) {
            return Some("(not shown: it repeats what is secret)".to_owned());
        }
        let message = serde_json::from_slice::<Value>(body)
            .ok()
            .and_then(|value| {
                let known = ["message", "error_description", "error"];
                let mut found = known.iter().filter_map(|key| value.get(key)?.as_str());
                found.next().map(str::to_owned)
            });
        let text = message.unwrap_or_else(|| text.into_owned());
        // Written with escapes, it may tell only once it is read.
        if self.tells(&text) {
            return Some("(not shown: it repeats what is secret)".to_owned());
        }
        let words: Vec<&str> = text.split_whitespace().collect();
        let text: String = words.join(" ").chars().take(SHOWN_CHARS).collect();
        (!text.is_empty()).then(|| clean(&text).into_owned())
    }

    /// Whether a text has a piece of a secret, as it is or in one of the spellings that programs have for bytes.
    pub(super) fn tells(&self, text: &str) -> bool {
        let text = text.to_ascii_lowercase();
        self.secrets.iter().any(|secret| {
            let spellings = [
                secret.clone(),
                STANDARD.encode(secret),
                URL_SAFE_NO_PAD.encode(secret),
                hex::encode(secret),
                form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
            ];
            spellings.iter().any(|spelling| has_piece(&text, spelling))
        })
    }
}

/// Whether a text in lower case has so many bytes of this in a row that it is no chance.
fn has_piece(text: &str, secret: &str) -> bool {
    let secret = secret.to_ascii_lowercase();
    let length = TELLING_BYTES.min(secret.len()).max(1);
    let mut pieces = secret.as_bytes().windows(length);
    pieces.any(|piece| text.as_bytes().windows(length).any(|found| found == piece))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(base: &str) -> Result<Api, Failure> {
        let token = Secret::new("token-of-the-test");
        Api::new("Wingspan", base, &token, &["secret/of \"the\" test"])
    }

    #[test]
    fn a_base_url_is_https_or_of_this_machine() {
        for (base, good) in [
            ("https://api.wingspan.app", true),
            ("https://api.wingspan.app/v2/", true),
            ("http://127.0.0.1:8080", true),
            ("http://[::1]:8080", true),
            ("http://localhost:8080", true),
            ("http://api.wingspan.app", false),
            ("http://10.0.0.1", false),
            ("https://me:word@api.wingspan.app", false),
            ("https://api.wingspan.app/?a=b", false),
            ("ftp://api.wingspan.app", false),
            ("api.wingspan.app", false),
            ("", false),
        ] {
            assert_eq!(api(base).is_ok(), good, "{base}");
        }
        let api = api("https://api.wingspan.app/v2/").ok().unwrap();
        assert_eq!(api.url("/a"), "https://api.wingspan.app/v2/a");
    }

    #[test]
    fn what_repeats_a_secret_is_not_shown() {
        let api = api("https://api.wingspan.app").ok().unwrap();
        for (body, wanted) in [
            (r#"{"message": "url is \u001b[31m taken"}"#, Some("url is")),
            (r#"{"error": "bad"}"#, Some("bad")),
            ("<h1>Bad   Gateway</h1>\n", Some("<h1>Bad Gateway</h1>")),
            ("  ", None),
            ("token-of-the-test", Some("(not shown")),
            ("TOKEN-OF-THE-TEST", Some("(not shown")),
            ("..n-of-the..", Some("(not shown")),
            (r#"{"message": "secret\/of \"the\""}"#, Some("(not shown")),
            ("c2VjcmV0L29mICJ0aGUiIHRlc3Q=", Some("(not shown")),
            (r#"{"message": "s\u0065cret/of"}"#, Some("(not shown")),
        ] {
            let said = api.said(body.as_bytes());
            match (said, wanted) {
                (None, None) => {}
                (Some(said), Some(wanted)) => assert!(said.starts_with(wanted), "{body}: {said}"),
                other => panic!("{body}: {other:?}"),
            }
        }
        let long = api.said("x ".repeat(1000).as_bytes()).unwrap();
        assert_eq!(long.chars().count(), SHOWN_CHARS);
    }
}
