//! Whole requests as a vendor would send them: what its scheme keeps in the body is written there before
//! anything is signed.
//!
//! Only what stands there already is replaced, so a body that is no event of the vendor's stays as it is.
//! Not here: signing for targets, whose bodies are their own (see `sign`).

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use serde_json::{Number, Value};

use super::key::Key;
use super::scheme::{Part, Place, Scheme, SignatureForm, SignaturePlace, TimePlace};
use super::sign::{sign, signatures};
use super::{Outbound, SignError};

/// A request that is ready to be sent.
#[derive(Debug, Clone)]
pub struct Played {
    /// The headers that prove it.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body, changed only where the scheme keeps something in it.
    pub body: Bytes,
}

/// The request that the vendor would send now.
///
/// # Errors
/// If there is no key for the scheme, or a value fits no header.
pub fn play(scheme: &Scheme, keys: &[Key], request: &Outbound<'_>) -> Result<Played, SignError> {
    let body = with_time(scheme, request).unwrap_or_else(|| Bytes::copy_from_slice(request.body));
    if let Some(form) = &scheme.signature
        && let SignaturePlace::At(Place::Json(pointer)) | SignaturePlace::Each(pointer) =
            &form.place
    {
        return Ok(Played {
            headers: Vec::new(),
            body: signed_within(scheme, form, pointer, keys, &body)?,
        });
    }
    let request = Outbound {
        body: &body,
        ..*request
    };
    let headers = sign(scheme, keys, &request)?;
    Ok(Played { headers, body })
}

/// The body with its signature at the places of this pointer.
fn signed_within(
    scheme: &Scheme,
    form: &SignatureForm,
    pointer: &str,
    keys: &[Key],
    body: &[u8],
) -> Result<Bytes, SignError> {
    let missing = || SignError::MissingPart(pointer.to_owned());
    let mut body: Value = serde_json::from_slice(body).map_err(|_| missing())?;
    let content = content(scheme, &body)?;
    let signature = Value::String(signatures(scheme, form, keys, &content, None)?);
    let segments: Vec<&str> = pointer.split('/').skip(1).collect();
    if replace(&mut body, &segments, &signature) == 0 {
        return Err(missing());
    }
    Ok(Bytes::from(body.to_string()))
}

/// What is signed of a body that holds its own signature: parts of the body.
fn content(scheme: &Scheme, body: &Value) -> Result<Vec<u8>, SignError> {
    let mut content = Vec::new();
    for part in &scheme.content {
        let place = match part {
            Part::Literal(text) => {
                content.extend_from_slice(text.as_bytes());
                continue;
            }
            Part::Id => scheme.id.as_ref(),
            Part::Timestamp => match scheme.timestamp.as_ref().map(|rule| &rule.place) {
                Some(TimePlace::At(place)) => Some(place),
                _ => None,
            },
            Part::At(place) => Some(place),
            Part::Body | Part::Url | Part::Method => None,
        };
        let Some(Place::Json(pointer)) = place else {
            return Err(SignError::VerifyOnly("it keeps its signature in the body"));
        };
        match body.pointer(pointer) {
            Some(Value::String(text)) => content.extend_from_slice(text.as_bytes()),
            Some(Value::Number(number)) => content.extend_from_slice(number.to_string().as_bytes()),
            _ => return Err(SignError::MissingPart(pointer.clone())),
        }
    }
    Ok(content)
}

/// Replaces what stands at these places; `*` is every item or member. Says how many there were.
fn replace(value: &mut Value, segments: &[&str], with: &Value) -> usize {
    let Some((segment, rest)) = segments.split_first() else {
        *value = with.clone();
        return 1;
    };
    match value {
        Value::Array(items) if *segment == "*" => {
            items.iter_mut().map(|item| replace(item, rest, with)).sum()
        }
        Value::Object(fields) if *segment == "*" => fields
            .values_mut()
            .map(|field| replace(field, rest, with))
            .sum(),
        _ => value
            .pointer_mut(&format!("/{segment}"))
            .map_or(0, |next| replace(next, rest, with)),
    }
}

/// The body with the time of sending, if the scheme has it there.
fn with_time(scheme: &Scheme, request: &Outbound<'_>) -> Option<Bytes> {
    let rule = scheme.timestamp.as_ref()?;
    let TimePlace::At(Place::Json(pointer)) = &rule.place else {
        return None;
    };
    let text = rule.unit.write(request.timestamp);
    let mut body: Value = serde_json::from_slice(request.body).ok()?;
    let place = body.pointer_mut(pointer)?;
    *place = match (&place, text.parse::<Number>()) {
        (Value::Number(_), Ok(number)) => Value::Number(number),
        _ => Value::String(text),
    };
    Some(Bytes::from(body.to_string()))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method};
    use jiff::Timestamp;

    use super::*;
    use crate::signature::{Inbound, Preset, SchemeRecord, Verdict, VerifyError, verify};

    const URL: &str = "https://in.example/hooks?y=1";

    fn now() -> Timestamp {
        Timestamp::from_second(1_767_607_200).unwrap()
    }

    fn proven(scheme: &Scheme, key: Key, sent: &Played) -> Result<Verdict, VerifyError> {
        let headers: HeaderMap = sent.headers.iter().cloned().collect();
        let request = Inbound {
            url: Some(URL),
            query: URL.split_once('?').map(|(_, query)| query),
            ..Inbound::post(&headers, &sent.body)
        };
        verify(scheme, &[key], &request, now())
    }

    /// A fresh secret of every preset signs its sample, and what is sent verifies under it and under no other one.
    #[test]
    fn every_preset_proves_its_own_sample() {
        for name in SchemeRecord::preset_names() {
            let scheme = Scheme::compile(&SchemeRecord::preset(name).unwrap()).unwrap();
            if !scheme.needs_secrets() {
                continue;
            }
            let sample = Preset::sample(name).unwrap();
            let fresh = scheme.keygen(None).unwrap();
            let key = scheme.signing_key(fresh.signing());
            let key = key.unwrap_or_else(|e| panic!("{name}: {e}"));
            let request = Outbound {
                id: "m1",
                timestamp: now(),
                method: &Method::POST,
                url: URL,
                event_type: sample.event_type.as_deref().unwrap_or("a.b"),
                body: sample.body,
            };
            let mut sent =
                play(&scheme, &[key], &request).unwrap_or_else(|e| panic!("{name}: {e}"));
            if let Ok(kind) = sample.content_type.parse() {
                sent.headers.push((http::header::CONTENT_TYPE, kind));
            }
            let verifying = |fresh| scheme.verifying_key(fresh).unwrap();
            match proven(&scheme, verifying(fresh.verifying()), &sent) {
                Ok(Verdict::Event(event)) => {
                    let wanted = sample.event_type;
                    let found = event.into_content().event_type;
                    assert!(wanted.is_none() || found == wanted, "{name}: {found:?}");
                }
                other => panic!("{name}: {other:?}"),
            }
            let other = scheme.keygen(None).unwrap();
            let refused = proven(&scheme, verifying(other.verifying()), &sent);
            assert_eq!(
                refused.err(),
                Some(VerifyError::SignatureMismatch),
                "{name}"
            );
        }
    }

    #[test]
    fn bodies_are_changed_only_where_the_scheme_keeps_something() {
        for (preset, body, wanted) in [
            (
                "linear",
                r#"{"webhookTimestamp": 1, "a": 1.50}"#,
                r#"{"webhookTimestamp":1767607200000,"a":1.50}"#,
            ),
            ("linear", r#"{"a": 1}"#, r#"{"a": 1}"#),
            ("linear", "no JSON", "no JSON"),
            (
                "github",
                r#"{"webhookTimestamp": 1}"#,
                r#"{"webhookTimestamp": 1}"#,
            ),
        ] {
            let scheme = Scheme::compile(&SchemeRecord::preset(preset).unwrap()).unwrap();
            let fresh = scheme.keygen(None).unwrap();
            let request = Outbound {
                id: "m1",
                timestamp: now(),
                method: &Method::POST,
                url: URL,
                event_type: "a.b",
                body: body.as_bytes(),
            };
            let keys = [scheme.signing_key(fresh.signing()).unwrap()];
            let sent = play(&scheme, &keys, &request).unwrap();
            assert_eq!(sent.body, wanted, "{preset}: {body}");
        }
    }
}
