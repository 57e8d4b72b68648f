//! Signing outbound requests, in the style of any scheme.
//!
//! Promise: what is signed here verifies under the same scheme. Where a scheme can carry several
//! signatures there is one for each key, so that a receiver can rotate; else the first key signs.

use std::borrow::Cow;

use http::{HeaderName, HeaderValue};

use super::body::text_of;
use super::builtin::{Builtin, twilio};
use super::key::Key;
use super::scheme::{
    Part, Place, Scheme, SignatureForm, SignaturePlace, Style, TimePlace, TimeRule,
};
use super::{MAX_SIGNATURES, Outbound, SignError};
use crate::json::Document;

/// The headers that sign a request, in the scheme's style; one signature for each key, if the scheme can
/// carry several.
///
/// # Errors
/// If the scheme cannot sign, there is no key for it, or a value fits no header.
pub fn sign(
    scheme: &Scheme,
    keys: &[Key],
    request: &Outbound<'_>,
) -> Result<Vec<(HeaderName, HeaderValue)>, SignError> {
    if matches!(scheme.builtin, Some(Builtin::Sns(_))) {
        return Err(SignError::VerifyOnly("only AWS has its key"));
    }
    let Some(form) = &scheme.signature else {
        return Err(SignError::VerifyOnly("only the sender's address proves it"));
    };
    let name = match &form.place {
        SignaturePlace::At(Place::Header(name)) => name,
        SignaturePlace::At(Place::Query(_)) => {
            return Err(SignError::VerifyOnly("its signature stands in the query"));
        }
        SignaturePlace::At(Place::Json(_)) | SignaturePlace::Each(_) => {
            return Err(SignError::VerifyOnly("it keeps its signature in the body"));
        }
    };
    no_facts_in_query(scheme)?;
    let time = scheme.timestamp.as_ref().map(|rule| Time {
        rule,
        text: rule.unit.write(request.timestamp),
    });
    let content = match scheme.builtin {
        Some(Builtin::Twilio) => twilio::content(request.url, request.body)?,
        _ => content(scheme, request, time.as_ref())?,
    };
    let signature = signatures(scheme, form, keys, &content, time.as_ref())?;

    let mut headers = Vec::with_capacity(4);
    if let Some(Place::Header(name)) = &scheme.id {
        headers.push((name.clone(), value(request.id, "message id")?));
    }
    if let Some(Time {
        rule:
            TimeRule {
                place: TimePlace::At(Place::Header(name)),
                ..
            },
        text,
    }) = &time
    {
        headers.push((name.clone(), value(text, "timestamp")?));
    }
    if let Some(Place::Header(name)) = &scheme.event_type {
        headers.push((name.clone(), value(request.event_type, "event type")?));
    }
    let mut signature = value(&signature, "signature")?;
    signature.set_sensitive(true);
    headers.push((name.clone(), signature));
    Ok(headers)
}

/// The URL that a request with this body goes to: the same, unless the scheme keeps something of the body in it.
#[must_use]
pub fn called_url<'a>(scheme: &Scheme, url: &'a str, body: &[u8]) -> Cow<'a, str> {
    let other = scheme.changes_url().then(|| twilio::to_call(url, body));
    other.flatten().map_or(Cow::Borrowed(url), Cow::Owned)
}

fn no_facts_in_query(scheme: &Scheme) -> Result<(), SignError> {
    let in_query = |place: Option<&Place>| matches!(place, Some(Place::Query(_)));
    let time = match scheme.timestamp.as_ref().map(|rule| &rule.place) {
        Some(TimePlace::At(place)) => Some(place),
        _ => None,
    };
    let facts = [
        (scheme.id.as_ref(), "its id stands in the query"),
        (time, "its timestamp stands in the query"),
        (scheme.event_type.as_ref(), "its type stands in the query"),
    ];
    match facts.into_iter().find(|(place, _)| in_query(*place)) {
        Some((_, why)) => Err(SignError::VerifyOnly(why)),
        None => Ok(()),
    }
}

/// The time of the attempt as the scheme writes it.
pub(super) struct Time<'a> {
    rule: &'a TimeRule,
    text: String,
}

fn content(
    scheme: &Scheme,
    request: &Outbound<'_>,
    time: Option<&Time<'_>>,
) -> Result<Vec<u8>, SignError> {
    let mut content = Vec::with_capacity(request.body.len() + request.id.len() + 32);
    for part in &scheme.content {
        match part {
            Part::Literal(text) => content.extend_from_slice(text.as_bytes()),
            Part::Id => {
                if matches!(scheme.id, Some(Place::Json(_))) {
                    return Err(SignError::VerifyOnly(
                        "it keeps the id that it signs in the body",
                    ));
                }
                if scheme
                    .id_separator()
                    .is_some_and(|c| request.id.contains(c))
                {
                    return Err(SignError::BadId);
                }
                content.extend_from_slice(request.id.as_bytes());
            }
            Part::Timestamp => match time {
                Some(time) if !matches!(time.rule.place, TimePlace::At(Place::Json(_))) => {
                    content.extend_from_slice(time.text.as_bytes());
                }
                _ => {
                    let why = "it keeps the timestamp that it signs in the body";
                    return Err(SignError::VerifyOnly(why));
                }
            },
            Part::Body => content.extend_from_slice(request.body),
            Part::Url => content.extend_from_slice(request.url.as_bytes()),
            Part::Method => content.extend_from_slice(request.method.as_str().as_bytes()),
            Part::At(place) => content.extend_from_slice(&part_at(place, request)?),
        }
    }
    Ok(content)
}

/// The bytes of a part of the body that is signed by itself. Headers and the query are not known here.
fn part_at(place: &Place, request: &Outbound<'_>) -> Result<Vec<u8>, SignError> {
    match place {
        Place::Header(_) => Err(SignError::VerifyOnly("it signs a header by itself")),
        Place::Query(_) => Err(SignError::VerifyOnly("it signs a part of the query")),
        Place::Json(pointer) => Document::parse(request.body)
            .ok()
            .as_ref()
            .and_then(|body| text_of(body.root().pointer(pointer)?))
            .map(String::into_bytes)
            .ok_or_else(|| SignError::MissingPart(pointer.clone())),
    }
}

pub(super) fn signatures(
    scheme: &Scheme,
    form: &SignatureForm,
    keys: &[Key],
    content: &[u8],
    time: Option<&Time<'_>>,
) -> Result<String, SignError> {
    // a receiver of our own kind reads no more than this
    let most = if form.list.is_some() {
        MAX_SIGNATURES
    } else {
        1
    };
    let mut items = Vec::new();
    if let Some(time) = time
        && let TimePlace::Pair(key) = &time.rule.place
        && let Style::Pairs { separator, .. } = &form.style
    {
        items.push(format!("{key}{separator}{}", time.text));
    }
    if keys.is_empty() {
        return Err(SignError::NoKey);
    }
    for key in keys.iter().take(most) {
        let bytes = key.sign(scheme.algorithm, content)?;
        let text = form.encoding.encode(&bytes);
        let text = text.ok_or(SignError::BadHeader("token"))?;
        items.push(match &form.style {
            Style::Plain => text,
            Style::Prefix { text: prefix, .. } => format!("{prefix}{text}"),
            Style::Pairs {
                separator, keys, ..
            } => {
                let key = keys.first().map_or("", String::as_str);
                format!("{key}{separator}{text}")
            }
        });
    }
    Ok(items.join(form.list.as_deref().unwrap_or_default()))
}

/// A value that whoever verifies can read as text: HTTP would carry more than that.
fn value(text: &str, what: &'static str) -> Result<HeaderValue, SignError> {
    let value = HeaderValue::from_str(text).ok();
    let readable = value.filter(|value| value.to_str().is_ok());
    readable.ok_or(SignError::BadHeader(what))
}

#[cfg(test)]
mod tests {
    use super::super::{Inbound, SchemeRecord, Verdict, verify};
    use super::*;
    use crate::secret::Secret;
    use bytes::Bytes;
    use http::{HeaderMap, Method};
    use jiff::Timestamp;

    const BODY: &str = r#"{"type":"a.b","id":"m1","event_id":"m1","eventId":"m1","eventType":"a.b","event":{"type":"a.b"}}"#;
    const NOW: i64 = 1_767_607_200;

    fn outbound<'a>(id: &'a str, event_type: &'a str) -> Outbound<'a> {
        Outbound {
            id,
            timestamp: Timestamp::from_second(NOW).unwrap(),
            method: &Method::POST,
            url: "https://h.example/x?y=1",
            event_type,
            body: BODY.as_bytes(),
        }
    }

    fn verified(scheme: &Scheme, secret: &str, headers: &HeaderMap) -> (usize, Option<String>) {
        let key = scheme.verifying_key(&Secret::new(secret)).unwrap();
        let body = Bytes::from_static(BODY.as_bytes());
        let request = Inbound {
            url: Some("https://h.example/x?y=1"),
            ..Inbound::post(headers, &body)
        };
        let now = Timestamp::from_second(NOW + 5).unwrap();
        match verify(scheme, &[key], &request, now).unwrap() {
            Verdict::Event(event) => (event.key(), event.into_content().message_id),
            Verdict::Reply(reply) => panic!("{reply:?}"),
        }
    }

    #[test]
    fn what_is_signed_verifies() {
        let custom = [
            "{algorithm: hmac-sha512, content: '{method}{url}{timestamp}{body}', signature: {header: s, encoding: base64}, timestamp: {header: t, unit: ms}}",
            "{algorithm: token, signature: {header: authorization, prefix: 'Bearer '}}",
            "{algorithm: token, signature: {header: authorization, prefix: 'Basic ', encoding: base64}}",
            "{algorithm: hmac-sha1, content: '{json:/event/type}|{body}', signature: {header: s, prefix: 'sha1='}, form: {}}",
            "{content: '{timestamp}{json:/id}', body_unsigned: true, signature: {header: s}, timestamp: {header: t}, id: {json: /id}}",
            "{content: '{timestamp}{body}', signature: {header: s, list: ';', pair: ':', keys: [a, b]}, timestamp: {header: t, unit: rfc3339}}",
        ];
        let custom = custom
            .into_iter()
            .map(|yaml| (yaml, serde_yaml::from_str::<SchemeRecord>(yaml).unwrap()));
        for (name, record) in custom {
            let scheme = Scheme::compile(&record).unwrap();
            let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
            let key = scheme.signing_key(&Secret::new(secret)).unwrap();
            let headers: HeaderMap = sign(&scheme, &[key], &outbound("m1", "a.b"))
                .unwrap_or_else(|e| panic!("{name}: {e}"))
                .into_iter()
                .collect();
            let (key, id) = verified(&scheme, secret, &headers);
            assert_eq!(key, 0, "{name}");
            if scheme.id.is_some() {
                assert_eq!(id.as_deref(), Some("m1"), "{name}");
            }
        }
    }

    #[test]
    fn one_signature_for_each_key_where_there_is_room() {
        let secrets = [
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
        ];
        for (preset, header, count) in [
            ("standard-webhooks", "webhook-signature", 2),
            ("stripe", "stripe-signature", 2),
            ("github", "x-hub-signature-256", 1),
        ] {
            let record = SchemeRecord::preset(preset).unwrap();
            let scheme = Scheme::compile(&record).unwrap();
            let keys = secrets.map(|s| scheme.signing_key(&Secret::new(s)).unwrap());
            let headers: HeaderMap = sign(&scheme, &keys, &outbound("m1", "a.b"))
                .unwrap()
                .into_iter()
                .collect();
            for secret in secrets.iter().take(count) {
                verified(&scheme, secret, &headers);
            }
            let text = headers.get(header).unwrap().to_str().unwrap();
            let found = match preset {
                "stripe" => {
                    assert!(text.starts_with("t=1767607200,v1="), "{text}");
                    text.matches("v1=").count()
                }
                "github" => text.matches("sha256=").count(),
                _ => text.split(' ').filter(|s| s.starts_with("v1,")).count(),
            };
            assert_eq!(found, count, "{preset}: {text}");
            assert!(headers.get(header).unwrap().is_sensitive());
        }
    }

    #[test]
    fn third_parties_agree() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let svix = svix::webhooks::Webhook::new(secret).unwrap();
        let standard = standardwebhooks::Webhook::new(secret).unwrap();
        for preset in [
            "standard-webhooks",
            "svix",
            "wismolabs",
            "wundaflow",
            "wreno",
        ] {
            let record = SchemeRecord::preset(preset).unwrap();
            let scheme = Scheme::compile(&record).unwrap();
            let key = scheme.signing_key(&Secret::new(secret)).unwrap();
            let mut headers: HeaderMap = sign(&scheme, &[key], &outbound("m1", "a.b"))
                .unwrap()
                .into_iter()
                .collect();
            svix.verify_ignoring_timestamp(BODY.as_bytes(), &headers)
                .unwrap_or_else(|e| panic!("{preset}: {e}"));

            let form = scheme.signature.as_ref().unwrap();
            let SignaturePlace::At(Place::Header(name)) = &form.place else {
                panic!("{preset} has no header");
            };
            for theirs in [
                svix.sign("m1", NOW, BODY.as_bytes()).unwrap(),
                standard.sign("m1", NOW, BODY.as_bytes()).unwrap(),
            ] {
                headers.insert(name, theirs.parse().unwrap());
                let (_, id) = verified(&scheme, secret, &headers);
                assert_eq!(id.as_deref(), Some("m1"), "{preset}");
            }
        }
    }

    #[test]
    fn what_cannot_be_signed() {
        let standard =
            "{content: '{id}.{body}', signature: {header: s}, id: {header: i}, type: {header: t}}";
        for (yaml, keys, id, event_type, wanted) in [
            (
                "{signature: {json: /s}}",
                1,
                "a",
                "b",
                SignError::VerifyOnly("it keeps its signature in the body"),
            ),
            (
                "{content: '{timestamp}{body}', signature: {header: s}, timestamp: {json: /t}}",
                1,
                "a",
                "b",
                SignError::VerifyOnly("it keeps the timestamp that it signs in the body"),
            ),
            (
                "{content: '{id}{body}', signature: {header: s}, id: {json: /t}}",
                1,
                "a",
                "b",
                SignError::VerifyOnly("it keeps the id that it signs in the body"),
            ),
            (
                "{signature: {query: s}}",
                1,
                "a",
                "b",
                SignError::VerifyOnly("its signature stands in the query"),
            ),
            (
                "{signature: {header: s}, id: {query: i}}",
                1,
                "a",
                "b",
                SignError::VerifyOnly("its id stands in the query"),
            ),
            (
                "{content: '{header:x}{body}', signature: {header: s}}",
                1,
                "a",
                "b",
                SignError::VerifyOnly("it signs a header by itself"),
            ),
            (
                "{content: '{query:x}{body}', signature: {header: s}}",
                1,
                "a",
                "b",
                SignError::VerifyOnly("it signs a part of the query"),
            ),
            (
                "{content: '{json:/none}{body}', signature: {header: s}}",
                1,
                "a",
                "b",
                SignError::MissingPart("/none".to_owned()),
            ),
            (
                "{algorithm: address}",
                0,
                "a",
                "b",
                SignError::VerifyOnly("only the sender's address proves it"),
            ),
            (standard, 0, "a", "b", SignError::NoKey),
            (standard, 1, "a.b", "b", SignError::BadId),
            (standard, 1, "a\nb", "b", SignError::BadHeader("message id")),
            (standard, 1, "a", "b\r", SignError::BadHeader("event type")),
        ] {
            let record: SchemeRecord = serde_yaml::from_str(yaml).unwrap();
            let scheme = Scheme::compile(&record).unwrap();
            let key = scheme.signing_key(&Secret::new("secret")).unwrap();
            let keys = vec![key; keys];
            let got = sign(&scheme, &keys, &outbound(id, event_type)).unwrap_err();
            assert_eq!(got, wanted, "{yaml} {id:?} {event_type:?}");
        }
    }
}
