//! Challenges and their answers.

use http::header::{self, HeaderName};
use http::{Method, StatusCode};
use serde_json::Value;

use super::content::{Piece, split_placeholders};
use super::place::{is_pointer, not_a_pointer};
use super::{Faults, given};
use crate::signature::encoding::Encoding;
use crate::signature::handshake::{Answer, Echo, Handshake, Origin, Proof, Shape, Text};
use crate::signature::key::Algorithm;
use crate::signature::record::{
    CaptureRecord, HandshakeRecord, ReplyRecord, SchemeRecord, WhenRecord,
};

/// Headers of an answer that follow from its body or from the connection, or that would make more of what
/// is echoed than text.
const TAKEN: [HeaderName; 10] = [
    header::CONNECTION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::LOCATION,
    header::SET_COOKIE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::X_CONTENT_TYPE_OPTIONS,
];

pub(super) fn handshakes(
    record: &SchemeRecord,
    algorithm: Algorithm,
    faults: &mut Faults,
) -> Vec<Handshake> {
    let records = record.handshake.iter().flatten().enumerate();
    records
        .filter_map(|(at, record)| {
            let path = format!("handshake[{at}]");
            handshake(record, algorithm, &path, faults)
        })
        .collect()
}

fn handshake(
    record: &HandshakeRecord,
    algorithm: Algorithm,
    path: &str,
    faults: &mut Faults,
) -> Option<Handshake> {
    let nothing = WhenRecord::default();
    let when = record.when.as_ref().unwrap_or(&nothing);
    let method = match when.method.as_deref() {
        None | Some("POST") => Method::POST,
        Some("GET") => Method::GET,
        Some("OPTIONS") => Method::OPTIONS,
        Some(word) => {
            let message = format!("`{word}` is not known (known: POST, GET, OPTIONS)");
            faults.add(format!("{path}.when.method"), message);
            return None;
        }
    };
    let query: Vec<_> = when.query.clone().unwrap_or_default().into_iter().collect();
    let json: Vec<_> = when.json.clone().unwrap_or_default().into_iter().collect();
    let without = when.without.clone().unwrap_or_default();
    let headers = headers_of(when, path, faults);
    if query.is_empty() && json.is_empty() && when.header.is_none() {
        let message = "it fits every request (give `query`, `header` or `json`)";
        faults.add(format!("{path}.when"), message);
    }
    if method != Method::POST && !json.is_empty() {
        let message = format!("a request by {method} has no body");
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
    let proof = proof(record, (&method, algorithm), path, faults);
    let answer = answer(record.reply.as_ref(), algorithm, path, faults);
    Some(Handshake::new(
        record.name.clone(),
        (method, query, headers, json, without),
        proof,
        answer,
    ))
}

fn headers_of(when: &WhenRecord, path: &str, faults: &mut Faults) -> Vec<(HeaderName, String)> {
    let mut headers = Vec::new();
    for (name, value) in when.header.iter().flatten() {
        match HeaderName::from_bytes(name.as_bytes()) {
            Ok(name) => headers.push((name, value.clone())),
            Err(_) => {
                let message = format!("`{name}` is not the name of a header");
                faults.add(format!("{path}.when.header"), message);
            }
        }
    }
    headers
}

/// What proves a challenge: its signature by POST, else a token, or nothing where that is said.
fn proof(
    record: &HandshakeRecord,
    (method, algorithm): (&Method, Algorithm),
    path: &str,
    faults: &mut Faults,
) -> Proof {
    if let Some(capture) = &record.capture {
        return captured(record, capture, (method, algorithm), path, faults);
    }
    let token = record.token.as_ref().and_then(|t| given(t.query.as_ref()));
    let open = record.open == Some(true);
    match token {
        Some(_) if open => {
            let message = "a challenge with a token is not open";
            faults.add(format!("{path}.open"), message);
        }
        Some(_) if *method == Method::POST => {
            let message = "a challenge by POST is signed and has no token";
            faults.add(format!("{path}.token"), message);
        }
        None if *method != Method::POST && !open => {
            let message = format!(
                "a challenge by {method} is not signed, so it needs a token, or `open: true` where the vendor proves nothing"
            );
            faults.add(format!("{path}.token"), message);
        }
        _ => {}
    }
    match token {
        Some(name) => Proof::Token(name.to_owned()),
        None if open => Proof::Open,
        None => Proof::Signed,
    }
}

/// A challenge that hands a secret over, which nothing can have proven before.
fn captured(
    record: &HandshakeRecord,
    capture: &CaptureRecord,
    (method, algorithm): (&Method, Algorithm),
    path: &str,
    faults: &mut Faults,
) -> Proof {
    for (field, there) in [
        ("token", record.token.is_some()),
        ("open", record.open == Some(true)),
    ] {
        if there {
            let message =
                "a challenge that hands a secret over is proven by nothing but being waited for";
            faults.add(format!("{path}.{field}"), message);
        }
    }
    let path = format!("{path}.capture");
    if *method != Method::POST {
        faults.add(&*path, "a challenge that hands a secret over comes by POST");
    }
    if !algorithm.is_hmac() && algorithm != Algorithm::Token {
        let message = format!(
            "with `{}` there is no secret that both sides have",
            algorithm.name()
        );
        faults.add(&*path, message);
    }
    let name = given(capture.header.as_ref()).map(|name| HeaderName::from_bytes(name.as_bytes()));
    match name {
        Some(Ok(name)) => return Proof::Capture(name),
        Some(Err(_)) => faults.add(format!("{path}.header"), "it is not the name of a header"),
        None => faults.add(path, "it does not say in which `header` the secret stands"),
    }
    Proof::Signed
}

fn answer(
    record: Option<&ReplyRecord>,
    algorithm: Algorithm,
    path: &str,
    faults: &mut Faults,
) -> Answer {
    let path = format!("{path}.reply");
    let Some(record) = record else {
        faults.add(path, "a challenge needs its answer");
        return Answer::default();
    };
    let status = record.status.unwrap_or(200);
    if !StatusCode::from_u16(status).is_ok_and(|status| status.is_success()) {
        faults.add(
            format!("{path}.status"),
            format!("{status} is not a status of success (200 to 299)"),
        );
    }
    let told = |path: String, text: &str, faults: &mut Faults| {
        text_of(text, algorithm).unwrap_or_else(|message| {
            faults.add(path, message);
            Text::default()
        })
    };
    let body = match (&record.text, &record.json) {
        (Some(_), Some(_)) => {
            faults.add(format!("{path}.json"), "give `text` or `json`, not both");
            None
        }
        (Some(text), None) => Some(Shape::Plain(told(format!("{path}.text"), text, faults))),
        (None, Some(value)) => {
            let path = format!("{path}.json");
            let mut texts = |text: &str| told(path.clone(), text, faults);
            Some(Shape::Json(Box::new(json(value, &mut texts))))
        }
        (None, None) => None,
    };
    let mut headers = Vec::new();
    for (name, text) in record.headers.iter().flatten() {
        let at = format!("{path}.headers");
        match HeaderName::from_bytes(name.as_bytes()) {
            Ok(name) if TAKEN.contains(&name) => {
                faults.add(at, format!("`{name}` is not for a scheme to set"));
            }
            Ok(name) => headers.push((name, told(at, text, faults))),
            Err(_) => faults.add(at, format!("`{name}` is not the name of a header")),
        }
    }
    Answer {
        status,
        body,
        headers,
    }
}

fn json(value: &Value, text: &mut impl FnMut(&str) -> Text) -> Shape {
    match value {
        Value::String(written) => Shape::Text(text(written)),
        Value::Array(items) => Shape::Array(items.iter().map(|item| json(item, text)).collect()),
        Value::Object(fields) => Shape::Object(
            fields
                .iter()
                .map(|(name, field)| (name.clone(), json(field, text)))
                .collect(),
        ),
        Value::Null | Value::Bool(_) | Value::Number(_) => Shape::Fixed(value.clone()),
    }
}

fn text_of(text: &str, algorithm: Algorithm) -> Result<Text, String> {
    let pieces = split_placeholders(text)?
        .into_iter()
        .map(|piece| match piece {
            Piece::Literal(text) => Ok(Echo::literal(text)),
            Piece::Placeholder(name) => echo(name, algorithm),
        });
    Ok(Text(pieces.collect::<Result<_, _>>()?))
}

fn echo(placeholder: &str, algorithm: Algorithm) -> Result<Echo, String> {
    let unknown = || {
        format!(
            "`{{{placeholder}}}` is not known (known: {{query:NAME}}, {{json:/POINTER}}, {{header:NAME}}, each with |hmac|hex or |hmac|base64)"
        )
    };
    let (place, mac) = match placeholder.split_once('|') {
        None => (placeholder, None),
        Some((place, "hmac|hex")) => (place, Some(Encoding::Hex)),
        Some((place, "hmac|base64")) => (place, Some(Encoding::Base64)),
        Some(_) => return Err(unknown()),
    };
    if mac.is_some() && !algorithm.is_hmac() {
        return Err(format!(
            "`{{{placeholder}}}`: {} makes no HMAC",
            algorithm.name()
        ));
    }
    let from = match place.split_once(':') {
        Some(("query", name)) if !name.is_empty() => Origin::Query(name.to_owned()),
        Some(("json", pointer)) if is_pointer(pointer) => Origin::Json(pointer.to_owned()),
        Some(("header", name)) => match HeaderName::from_bytes(name.as_bytes()) {
            Ok(name) => Origin::Header(name),
            Err(_) => return Err(format!("`{name}` is not the name of a header")),
        },
        _ => return Err(unknown()),
    };
    Ok(Echo::Part { from, mac })
}
