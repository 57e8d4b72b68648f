//! Challenges: requests by which a vendor asks whether an endpoint is meant. They are answered and
//! never become events.
//!
//! Promise: a challenge by POST is answered only after its signature has proven good, one by GET only
//! if it holds the secret as its token; what is echoed is plain text or JSON and never sniffed as a page.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use serde_json::Value;
use subtle::Choice;

use super::compile::{Faults, Piece, given, is_pointer, not_a_pointer, split_placeholders};
use super::key::Key;
use super::record::{HandshakeRecord, ReplyRecord, WhenRecord};
use super::{Inbound, Reply, VerifyError};
use crate::json::Ref;

/// Longest part of a challenge that is echoed, in bytes; challenges are short random texts.
const MAX_ECHO_BYTES: usize = 1024;

/// The value of a condition that any value meets.
const ANY: &str = "*";

/// A challenge and its answer, compiled.
#[derive(Debug, Clone)]
pub(super) struct Handshake {
    method: Method,
    query: Vec<(String, String)>,
    json: Vec<(String, Value)>,
    without: Vec<String>,
    /// The query parameter that holds the token; there is one exactly if the method is GET.
    token: Option<String>,
    status: u16,
    reply: Body,
}

#[derive(Debug, Clone)]
enum Body {
    Empty,
    Text(Vec<Echo>),
    Json(Value),
}

/// A piece of an answer's text.
#[derive(Debug, Clone)]
enum Echo {
    Literal(String),
    Query(String),
    Json(String),
}

/// A challenge as it came.
struct Challenge<'a> {
    query: &'a [(String, String)],
    json: Option<Ref<'a>>,
}

/// Answers a challenge that came without a signature, by its token.
///
/// # Errors
/// If the request is no challenge of the scheme, or its token is not one of the secrets.
pub(super) fn by_token(
    handshakes: &[Handshake],
    keys: &[Key],
    request: &Inbound<'_>,
) -> Result<Reply, VerifyError> {
    let query = parameters(request.query);
    let challenge = Challenge {
        query: &query,
        json: None,
    };
    for handshake in handshakes {
        let Some(name) = handshake.token.as_ref() else {
            continue;
        };
        if handshake.method != request.method || !handshake.fits(&challenge) {
            continue;
        }
        single_parameters(&query)?;
        let token = challenge.parameter(name).ok_or(VerifyError::WrongToken)?;
        let known = keys.iter().fold(Choice::from(0), |found, key| {
            found | key.is_token(token.as_bytes())
        });
        if !bool::from(known) {
            return Err(VerifyError::WrongToken);
        }
        if let Some(reply) = handshake.reply(&challenge) {
            return Ok(reply);
        }
    }
    Err(VerifyError::NoChallenge)
}

/// The answer, if this request, whose signature is good, is a challenge.
pub(super) fn by_signature(
    handshakes: &[Handshake],
    request: &Inbound<'_>,
    json: Option<Ref<'_>>,
) -> Option<Reply> {
    if handshakes.is_empty() {
        return None;
    }
    let query = parameters(request.query);
    let challenge = Challenge {
        query: &query,
        json,
    };
    handshakes
        .iter()
        .filter(|handshake| handshake.token.is_none() && handshake.method == request.method)
        .filter(|handshake| handshake.fits(&challenge))
        .find_map(|handshake| handshake.reply(&challenge))
}

impl Handshake {
    pub(super) fn compile(
        record: &HandshakeRecord,
        path: &str,
        faults: &mut Faults,
    ) -> Option<Self> {
        not_yet(record, path, faults);
        let nothing = WhenRecord::default();
        let when = record.when.as_ref().unwrap_or(&nothing);
        let method = match when.method.as_deref() {
            None | Some("POST") => Method::POST,
            Some("GET") => Method::GET,
            Some(word) => {
                let message = format!("`{word}` is not known (known: POST, GET)");
                faults.add(format!("{path}.when.method"), message);
                return None;
            }
        };
        let query: Vec<_> = when.query.clone().unwrap_or_default().into_iter().collect();
        let json: Vec<_> = when.json.clone().unwrap_or_default().into_iter().collect();
        let without = when.without.clone().unwrap_or_default();
        if query.is_empty() && json.is_empty() {
            let message = "it fits every request (give `query` or `json`)";
            faults.add(format!("{path}.when"), message);
        }
        if method == Method::GET && !json.is_empty() {
            let message = "a request by GET has no body";
            faults.add(format!("{path}.when.json"), message);
        }
        for (field, pointers) in [
            ("json", json.iter().map(|(pointer, _)| pointer).collect()),
            ("without", without.iter().collect::<Vec<_>>()),
        ] {
            for pointer in pointers.into_iter().filter(|pointer| !is_pointer(pointer)) {
                faults.add(format!("{path}.when.{field}"), not_a_pointer(pointer));
            }
        }
        let named = record.token.as_ref().and_then(|t| given(t.query.as_ref()));
        let token = token(named, &method, path, faults);
        let (status, reply) = reply(record.reply.as_ref(), path, faults);
        Some(Self {
            method,
            query,
            json,
            without,
            token,
            status,
            reply,
        })
    }

    pub(super) fn method(&self) -> &Method {
        &self.method
    }

    pub(super) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    fn fits(&self, challenge: &Challenge<'_>) -> bool {
        let query = self.query.iter().all(|(name, wanted)| {
            challenge
                .parameter(name)
                .is_some_and(|value| wanted == ANY || value == wanted)
        });
        let json = self.json.iter().all(|(pointer, wanted)| {
            challenge
                .value(pointer)
                .is_some_and(|value| wanted == ANY || value.to_value() == *wanted)
        });
        let others = self
            .without
            .iter()
            .any(|pointer| challenge.value(pointer).is_some());
        query && json && !others
    }

    /// The answer; `None` if the challenge lacks what is to be echoed, and so is none.
    fn reply(&self, challenge: &Challenge<'_>) -> Option<Reply> {
        let (kind, body) = match &self.reply {
            Body::Empty => (None, String::new()),
            Body::Text(echoes) => (
                Some(HeaderValue::from_static("text/plain; charset=utf-8")),
                echoed(echoes, challenge)?,
            ),
            Body::Json(value) => (
                Some(HeaderValue::from_static("application/json")),
                filled(value, challenge)?.to_string(),
            ),
        };
        let nosniff: (HeaderName, HeaderValue) =
            (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        Some(Reply {
            status: self.status,
            headers: kind
                .map(|kind| (CONTENT_TYPE, kind))
                .into_iter()
                .chain([nosniff])
                .collect(),
            body: Bytes::from(body),
        })
    }
}

impl Challenge<'_> {
    fn parameter(&self, name: &str) -> Option<&str> {
        let (_, value) = self.query.iter().find(|(known, _)| known == name)?;
        Some(value)
    }

    fn value(&self, pointer: &str) -> Option<Ref<'_>> {
        self.json?.pointer(pointer)
    }
}

fn not_yet(record: &HandshakeRecord, path: &str, faults: &mut Faults) {
    let when = record.when.as_ref();
    for (field, there) in [
        ("open", record.open.is_some()),
        ("capture", record.capture.is_some()),
        (
            "when.header",
            when.is_some_and(|when| when.header.is_some()),
        ),
        (
            "reply.headers",
            record
                .reply
                .as_ref()
                .is_some_and(|reply| reply.headers.is_some()),
        ),
    ] {
        if there {
            faults.add(format!("{path}.{field}"), "not supported yet");
        }
    }
}

fn token(named: Option<&str>, method: &Method, path: &str, faults: &mut Faults) -> Option<String> {
    let path = format!("{path}.token");
    match named {
        None if *method == Method::GET => {
            faults.add(
                path,
                "a challenge by GET is not signed, so it needs a token",
            );
        }
        Some(_) if *method == Method::POST => {
            faults.add(path, "a challenge by POST is signed and has no token");
        }
        _ => {}
    }
    named.map(str::to_owned)
}

fn reply(record: Option<&ReplyRecord>, path: &str, faults: &mut Faults) -> (u16, Body) {
    let path = format!("{path}.reply");
    let Some(record) = record else {
        faults.add(path, "a challenge needs its answer");
        return (200, Body::Empty);
    };
    let status = record.status.unwrap_or(200);
    if !StatusCode::from_u16(status).is_ok_and(|status| status.is_success()) {
        faults.add(
            format!("{path}.status"),
            format!("{status} is not a status of success (200 to 299)"),
        );
    }
    let body = match (&record.text, &record.json) {
        (Some(_), Some(_)) => {
            faults.add(format!("{path}.json"), "give `text` or `json`, not both");
            Body::Empty
        }
        (Some(text), None) => match echoes(text) {
            Ok(echoes) => Body::Text(echoes),
            Err(message) => {
                faults.add(format!("{path}.text"), message);
                Body::Empty
            }
        },
        (None, Some(value)) => {
            check_texts(value, &format!("{path}.json"), faults);
            Body::Json(value.clone())
        }
        (None, None) => Body::Empty,
    };
    (status, body)
}

fn check_texts(value: &Value, path: &str, faults: &mut Faults) {
    match value {
        Value::String(text) => {
            if let Err(message) = echoes(text) {
                faults.add(path, message);
            }
        }
        Value::Array(items) => items
            .iter()
            .for_each(|item| check_texts(item, path, faults)),
        Value::Object(fields) => fields
            .values()
            .for_each(|field| check_texts(field, path, faults)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn echoes(text: &str) -> Result<Vec<Echo>, String> {
    split_placeholders(text)?
        .into_iter()
        .map(|piece| match piece {
            Piece::Literal(text) => Ok(Echo::Literal(text.to_owned())),
            Piece::Placeholder(name) => match name.split_once(':') {
                Some(("query", name)) if !name.is_empty() => Ok(Echo::Query(name.to_owned())),
                Some(("json", pointer)) if is_pointer(pointer) => {
                    Ok(Echo::Json(pointer.to_owned()))
                }
                _ => Err(format!(
                    "`{{{name}}}` is not known (known: {{query:NAME}}, {{json:/POINTER}})"
                )),
            },
        })
        .collect()
}

fn echoed(echoes: &[Echo], challenge: &Challenge<'_>) -> Option<String> {
    let mut text = String::new();
    for echo in echoes {
        let piece = match echo {
            Echo::Literal(literal) => literal.as_str(),
            Echo::Query(name) => challenge.parameter(name)?,
            Echo::Json(pointer) => challenge.value(pointer)?.as_str()?,
        };
        if piece.len() > MAX_ECHO_BYTES {
            return None;
        }
        text.push_str(piece);
    }
    Some(text)
}

/// `value` with its texts filled in.
fn filled(value: &Value, challenge: &Challenge<'_>) -> Option<Value> {
    Some(match value {
        // compiled before, so it parses
        Value::String(text) => Value::String(echoed(&echoes(text).ok()?, challenge)?),
        Value::Array(items) => Value::Array(
            items
                .iter()
                .map(|item| filled(item, challenge))
                .collect::<Option<_>>()?,
        ),
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(name, field)| Some((name.clone(), filled(field, challenge)?)))
                .collect::<Option<_>>()?,
        ),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    })
}

/// The query's parameters, percent-decoded, `+` as a space.
fn parameters(query: Option<&str>) -> Vec<(String, String)> {
    form_urlencoded::parse(query.unwrap_or_default().as_bytes())
        .into_owned()
        .collect()
}

fn single_parameters(query: &[(String, String)]) -> Result<(), VerifyError> {
    let mut names: Vec<&str> = query.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    if names.is_sorted_by(|a, b| a < b) {
        Ok(())
    } else {
        Err(VerifyError::DuplicateField)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Scheme, SchemeRecord, Verdict, verify};
    use super::*;
    use crate::json::Document;
    use crate::secret::Secret;
    use http::HeaderMap;
    use jiff::Timestamp;

    const META: &str = r#"
signature: {header: x-hub-signature-256, prefix: "sha256="}
handshake:
  - when: {method: GET, query: {hub.mode: subscribe}}
    token: {query: hub.verify_token}
    reply: {text: "{query:hub.challenge}"}
"#;

    fn get(scheme: &Scheme, query: &str) -> Result<Verdict, VerifyError> {
        let keys = ["newsecret", "old secret"]
            .map(|secret| scheme.verifying_key(&Secret::new(secret)).unwrap());
        let empty = Bytes::new();
        let headers = HeaderMap::new();
        let request = Inbound {
            query: Some(query),
            ..Inbound::new(&Method::GET, &headers, &empty)
        };
        verify(scheme, &keys, &request, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn challenges_by_get_need_their_token() {
        let record: SchemeRecord = serde_yaml::from_str(META).unwrap();
        let scheme = Scheme::compile(&record).unwrap();
        assert!(scheme.takes(&Method::GET));
        assert!(!scheme.takes(&Method::PUT));
        for (query, wanted) in [
            (
                "hub.mode=subscribe&hub.verify_token=newsecret&hub.challenge=42",
                Ok("42"),
            ),
            (
                "hub.mode=subscribe&hub.verify_token=old+secret&hub.challenge=a%20b%2Bc",
                Ok("a b+c"),
            ),
            (
                "hub.mode=subscribe&hub.verify_token=old%20secret&hub.challenge=x",
                Ok("x"),
            ),
            (
                "hub.mode=subscribe&hub.verify_token=newsecret&hub.challenge=%3Cscript%3E",
                Ok("<script>"),
            ),
            (
                "hub.mode=subscribe&hub.verify_token=nope&hub.challenge=1",
                Err("wrong_token"),
            ),
            (
                "hub.mode=subscribe&hub.verify_token=&hub.challenge=1",
                Err("wrong_token"),
            ),
            ("hub.mode=subscribe&hub.challenge=1", Err("wrong_token")),
            (
                "hub.mode=subscribe&hub.verify_token=newsecret&hub.verify_token=x&hub.challenge=1",
                Err("duplicate_field"),
            ),
            (
                "hub.mode=subscribe&hub.verify_token=newsecret",
                Err("no_challenge"),
            ),
            (
                "hub.mode=other&hub.verify_token=newsecret&hub.challenge=1",
                Err("no_challenge"),
            ),
            ("", Err("no_challenge")),
        ] {
            match (get(&scheme, query), wanted) {
                (Ok(Verdict::Reply(reply)), Ok(body)) => {
                    assert_eq!(reply.body, body, "{query}");
                    assert_eq!(reply.status, 200, "{query}");
                    let headers: Vec<_> = reply
                        .headers
                        .iter()
                        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
                        .collect();
                    assert_eq!(
                        headers,
                        [
                            ("content-type", "text/plain; charset=utf-8"),
                            ("x-content-type-options", "nosniff"),
                        ]
                    );
                }
                (Err(error), Err(name)) => assert_eq!(error.name(), name, "{query}"),
                (got, wanted) => panic!("{query}: {got:?} instead of {wanted:?}"),
            }
        }
    }

    #[test]
    fn json_answers_are_filled_in() {
        let document = Document::from(&serde_json::json!({"c": "a\"b", "n": 1}));
        let challenge = Challenge {
            query: &[],
            json: Some(document.root()),
        };
        let answer =
            serde_json::json!({"challenge": "{json:/c}", "list": ["x{json:/c}"], "type": 1});
        let wanted = serde_json::json!({"challenge": "a\"b", "list": ["xa\"b"], "type": 1});
        assert_eq!(filled(&answer, &challenge), Some(wanted));
        let lacking = serde_json::json!({"challenge": "{json:/n}"});
        assert_eq!(filled(&lacking, &challenge), None);
        let long = "x".repeat(MAX_ECHO_BYTES + 1);
        let document = Document::from(&serde_json::json!({"c": long}));
        let challenge = Challenge {
            query: &[],
            json: Some(document.root()),
        };
        assert_eq!(filled(&answer, &challenge), None);
    }

    #[test]
    fn mistakes_are_told_with_their_path() {
        for (handshake, wanted) in [
            ("{}", vec!["handshake[0].when", "handshake[0].reply"]),
            (
                "{when: {method: PUT}, reply: {}}",
                vec!["handshake[0].when.method"],
            ),
            (
                "{when: {method: GET, query: {a: b}}, reply: {}}",
                vec!["handshake[0].token"],
            ),
            (
                "{when: {json: {/a: b}}, token: {query: t}, reply: {}}",
                vec!["handshake[0].token"],
            ),
            (
                "{when: {json: {a: b}, without: c}, reply: {status: 404}}",
                vec![
                    "handshake[0].when.json",
                    "handshake[0].when.without",
                    "handshake[0].reply.status",
                ],
            ),
            (
                "{when: {json: {/a: b}}, reply: {text: '{header:x}'}}",
                vec!["handshake[0].reply.text"],
            ),
            (
                "{when: {json: {/a: b}}, reply: {json: {x: ['{y}']}}}",
                vec!["handshake[0].reply.json"],
            ),
            (
                "{when: {json: {/a: b}}, reply: {text: a, json: b}}",
                vec!["handshake[0].reply.json"],
            ),
        ] {
            let yaml = format!("{{signature: {{header: x}}, handshake: [{handshake}]}}");
            let record: SchemeRecord = serde_yaml::from_str(&yaml).unwrap();
            let errors = Scheme::compile(&record).expect_err(handshake);
            let paths: Vec<&str> = errors.iter().map(|e| e.path.as_str()).collect();
            assert_eq!(paths, wanted, "{handshake}: {errors:?}");
        }
    }
}
