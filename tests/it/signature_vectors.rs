//! Test vectors of signature schemes, some of them published by the vendors.
//!
//! `SIGNATURE_VECTORS` names the file; without it, it is the project's own. A vector is a request, the
//! secret and the clock, with the expected status and, where it matters, id, type, answer and error name.
//! Vectors of presets that do not exist are named and not counted.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use ingate::secret::Secret;
use ingate::signature::{
    Inbound, Outbound, Scheme, SchemeRecord, SecretError, Verdict, VerifyError, sign, verify,
};
use jiff::Timestamp;
use serde::Deserialize;

/// A vector as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    name: String,
    preset: String,
    /// Where it comes from; for readers.
    #[serde(rename = "source")]
    _source: String,
    secret: String,
    headers: Vec<(String, String)>,
    body_b64: String,
    /// The clock, in seconds since 1970.
    now: i64,
    expect: Expected,
    method: Option<String>,
    /// The request's URL, of which the query counts; the public one, if it is missing.
    url: Option<String>,
    /// The URL that is configured for the source.
    public_url: Option<String>,
    /// Whether a challenge may hand a secret over.
    #[serde(default)]
    armed: bool,
    /// The private key that belongs to the secret: signing with it must give the same signature.
    signing_key: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    status: u16,
    id: Option<String>,
    #[serde(rename = "type")]
    event_type: Option<String>,
    /// The answer to a challenge.
    body: Option<String>,
    /// Headers of that answer.
    #[serde(default)]
    headers: Vec<(String, String)>,
    /// The body of the event, where it is not that of the request.
    event_body: Option<String>,
    error: Option<String>,
}

/// What came of a vector.
#[derive(Debug, Default)]
struct Outcome {
    status: u16,
    id: Option<String>,
    event_type: Option<String>,
    body: Option<String>,
    headers: Vec<(String, String)>,
    event_body: String,
    error: Option<String>,
}

#[test]
fn signature_vectors() {
    let file = std::env::var_os("SIGNATURE_VECTORS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cases/signature-vectors.json"),
        PathBuf::from,
    );
    let text = std::fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let vectors: Vec<Vector> =
        serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));

    let mut missing = BTreeSet::new();
    let mut report = Vec::new();
    let (mut tried, mut passed) = (0, 0);
    for vector in &vectors {
        let Some(record) = SchemeRecord::preset(&vector.preset) else {
            missing.insert(vector.preset.as_str());
            continue;
        };
        tried += 1;
        match check(vector, &record) {
            Ok(()) => passed += 1,
            Err(why) => report.push(format!("failed: {}: {why}", vector.name)),
        }
    }
    for preset in missing {
        let count = vectors.iter().filter(|v| v.preset == preset).count();
        report.push(format!("missing preset: {preset} ({count} vectors)"));
    }
    report.push(format!("signature vectors: {passed} of {tried}"));
    // written to stdout itself, since the harness keeps what a passing test prints; on lines of its own,
    // since the harness may have begun one
    let report = format!("\n{}\n", report.join("\n"));
    std::io::stdout().write_all(report.as_bytes()).unwrap();
    assert!(tried > 0, "no vector was tried");
    assert_eq!(passed, tried, "some vectors failed");
}

fn check(vector: &Vector, record: &SchemeRecord) -> Result<(), String> {
    let scheme = Scheme::compile(record).map_err(|errors| format!("{errors:?}"))?;
    let got = outcome(vector, &scheme)?;
    let wanted = &vector.expect;
    let same = got.status == wanted.status
        && (wanted.id.is_none() || got.id == wanted.id)
        && (wanted.event_type.is_none() || got.event_type == wanted.event_type)
        && (wanted.body.is_none() || got.body == wanted.body)
        && wanted
            .headers
            .iter()
            .all(|header| got.headers.contains(header))
        && wanted
            .event_body
            .as_ref()
            .is_none_or(|body| got.event_body == *body)
        && (wanted.error.is_none() || got.error == wanted.error);
    if !same {
        return Err(format!("{got:?} instead of {wanted:?}"));
    }
    match &vector.signing_key {
        Some(secret) => signs_alike(vector, &scheme, secret),
        None => Ok(()),
    }
}

fn outcome(vector: &Vector, scheme: &Scheme) -> Result<Outcome, String> {
    let key = match scheme.verifying_key(&Secret::new(vector.secret.as_str())) {
        Ok(key) => key,
        // such a source is a configuration error; nothing it is sent is ever accepted
        Err(SecretError::Empty) => return Ok(refused(&VerifyError::EmptySecret)),
        Err(error) => return Err(error.to_string()),
    };
    let headers = headers(vector)?;
    let body = body(vector)?;
    let method = match &vector.method {
        Some(method) => method.parse().map_err(|e| format!("{method}: {e}"))?,
        None => Method::POST,
    };
    let called = vector.url.as_deref().or(vector.public_url.as_deref());
    let query = called.and_then(|url| url.split_once('?'));
    let request = Inbound {
        url: vector.public_url.as_deref(),
        query: query.map(|(_, query)| query),
        armed: vector.armed,
        ..Inbound::new(&method, &headers, &body)
    };
    Ok(match verify(scheme, &[key], &request, now(vector)?) {
        Ok(Verdict::Event(event)) => {
            let content = event.into_content();
            Outcome {
                status: 200,
                id: content.message_id,
                event_type: content.event_type,
                event_body: String::from_utf8_lossy(&content.body).into_owned(),
                ..Outcome::default()
            }
        }
        Ok(Verdict::Reply(reply)) => Outcome {
            status: reply.status,
            body: Some(String::from_utf8_lossy(&reply.body).into_owned()),
            headers: reply
                .headers
                .iter()
                .map(|(name, value)| {
                    let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                    (name.as_str().to_owned(), value)
                })
                .collect(),
            ..Outcome::default()
        },
        Err(error) => refused(&error),
    })
}

fn refused(error: &VerifyError) -> Outcome {
    Outcome {
        status: match error {
            VerifyError::WrongToken => 403,
            _ => 401,
        },
        error: Some(error.name().to_owned()),
        ..Outcome::default()
    }
}

/// Signs the vector's request anew and compares the headers.
fn signs_alike(vector: &Vector, scheme: &Scheme, secret: &str) -> Result<(), String> {
    let key = scheme
        .signing_key(&Secret::new(secret))
        .map_err(|error| error.to_string())?;
    let wanted = headers(vector)?;
    let id = wanted.get("webhook-id").and_then(|id| id.to_str().ok());
    let request = Outbound {
        id: id.unwrap_or_default(),
        timestamp: now(vector)?,
        method: &Method::POST,
        url: vector.public_url.as_deref().unwrap_or_default(),
        event_type: vector.expect.event_type.as_deref().unwrap_or_default(),
        body: &body(vector)?,
    };
    let signed: HeaderMap = sign(scheme, &[key], &request)
        .map_err(|error| error.to_string())?
        .into_iter()
        .collect();
    if signed == wanted {
        Ok(())
    } else {
        Err(format!("signed as {signed:?} instead of {wanted:?}"))
    }
}

fn headers(vector: &Vector) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in &vector.headers {
        headers.append(
            HeaderName::from_bytes(name.as_bytes()).map_err(|e| format!("{name}: {e}"))?,
            HeaderValue::from_bytes(value.as_bytes()).map_err(|e| format!("{name}: {e}"))?,
        );
    }
    Ok(headers)
}

fn body(vector: &Vector) -> Result<Bytes, String> {
    STANDARD
        .decode(&vector.body_b64)
        .map(Bytes::from)
        .map_err(|e| e.to_string())
}

fn now(vector: &Vector) -> Result<Timestamp, String> {
    Timestamp::from_second(vector.now).map_err(|e| e.to_string())
}
