//! Proving inbound requests.
//!
//! Order: what the signature needs is read (each header at most once), the signatures are decoded, all
//! are tried under all keys, then the clock is asked, and only then is the body's JSON looked into. A
//! scheme that keeps a part of its signed content in the body has it parsed before, but once as well.
//! One malformed signature refuses them all: a list that was tampered with is not worth its good part.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use jiff::Timestamp;
use subtle::{Choice, ConditionallySelectable};

use super::key::{Algorithm, Key};
use super::scheme::{Part, Place, Scheme, SignatureForm, SignedBody, Style, TimePlace, TimeRule};
use super::{
    Content, Inbound, MAX_SIGNATURES, MAX_TEXT_BYTES, Verdict, Verified, VerifyError, cloudevents,
    handshake,
};
use crate::json::{Document, Kind, Ref};

/// Proves a request, or says why not. Pure: `now` is an argument.
///
/// # Errors
/// The first reason found.
pub fn verify(
    scheme: &Scheme,
    keys: &[Key],
    request: &Inbound<'_>,
    now: Timestamp,
) -> Result<Verdict, VerifyError> {
    verify_by(scheme, keys, keys, request, now)
}

/// The same, with the tokens of challenges apart from the keys.
pub(super) fn verify_by(
    scheme: &Scheme,
    keys: &[Key],
    tokens: &[Key],
    request: &Inbound<'_>,
    now: Timestamp,
) -> Result<Verdict, VerifyError> {
    if keys.is_empty() {
        return Err(VerifyError::EmptySecret);
    }
    if request.method != Method::POST {
        return handshake::by_token(&scheme.handshakes, tokens, request).map(Verdict::Reply);
    }
    let mut json = Json::new(request.body);
    let signed = Signed::read(scheme, request, &mut json)?;
    let content = signed.content(scheme, request)?;
    let key = matching_key(scheme, keys, &content, &signed.signatures)
        .ok_or(VerifyError::SignatureMismatch)?;
    id_is_no_other_split(scheme, signed.id.as_deref())?;

    let skew_seconds = match &scheme.timestamp {
        None => None,
        Some(rule) => {
            let time = match signed.time {
                Some(stamp) => stamp.time,
                None => read_time(rule, request, &mut json)?.time,
            };
            Some(check_clock(rule.tolerance, time, now)?)
        }
    };
    if let Some(reply) = handshake::by_signature(&scheme.handshakes, request, json.parsed()) {
        return Ok(Verdict::Reply(reply));
    }
    let message_id = match (signed.id, &scheme.id) {
        (None, Some(place @ Place::Json(_))) => read_id(place, request, &mut json)?,
        (id, _) => id,
    };
    let event_type = read_type(scheme, request, &mut json)?;
    let mut message_id_covered = message_id.is_some() && scheme.covers_message_id();
    let mut content = Content {
        message_id,
        event_type,
        body: request.body.clone(),
        json: json.take(),
        replaced: Vec::new(),
        issuer: None,
    };
    if scheme.cloudevents {
        let covered = cloudevents::normalise(scheme, request.headers, &mut content)?;
        message_id_covered = covered.unwrap_or(message_id_covered);
    }
    Ok(Verdict::Event(Verified {
        message_id_covered,
        content,
        way: 0,
        key,
        skew_seconds,
    }))
}

/// What an unsigned sample would say if it were signed: its message id and its type, where the scheme
/// finds them, and its body as an event has it. Proves nothing; for commands that look at samples.
#[must_use]
pub fn describe(scheme: &Scheme, headers: &HeaderMap, body: &Bytes) -> Content {
    let request = Inbound::post(headers, body);
    let mut json = Json::new(body);
    let message_id = match &scheme.id {
        Some(place) => read_id(place, &request, &mut json).ok().flatten(),
        None => None,
    };
    let event_type = read_type(scheme, &request, &mut json).ok().flatten();
    let mut content = Content {
        message_id,
        event_type,
        body: body.clone(),
        json: json.take(),
        replaced: Vec::new(),
        issuer: None,
    };
    if scheme.cloudevents {
        // A sample whose id or type is not acceptable stays as it came.
        let _ = cloudevents::normalise(scheme, headers, &mut content);
    }
    content
}

/// Whether a text may serve as id or type: not empty, short, no control characters.
pub(super) fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_TEXT_BYTES && !text.chars().any(char::is_control)
}

/// What the signature needs, read from the request.
struct Signed {
    signatures: Vec<Vec<u8>>,
    /// The id, read if it stands in a header or is signed by itself.
    id: Option<String>,
    /// The timestamp, unless it stands in the body and only the body is signed.
    time: Option<Stamp>,
}

/// A timestamp as it came, and what it means.
struct Stamp {
    text: String,
    time: Timestamp,
}

impl Signed {
    fn read(
        scheme: &Scheme,
        request: &Inbound<'_>,
        json: &mut Json<'_>,
    ) -> Result<Self, VerifyError> {
        let text = signature_text(&scheme.signature, request, json)?;
        let pair = match &scheme.timestamp {
            Some(TimeRule {
                place: TimePlace::Pair(key),
                ..
            }) => Some(key.as_str()),
            _ => None,
        };
        let fields = Fields::split(&scheme.signature, &text, pair)?;

        let id = match &scheme.id {
            Some(place) if scheme.signs(&Part::Id) => {
                Some(read_id(place, request, json)?.ok_or(VerifyError::MissingId)?)
            }
            Some(place @ Place::Header(_)) => read_id(place, request, json)?,
            Some(Place::Json(_)) | None => None,
        };
        let time = match &scheme.timestamp {
            None => None,
            Some(rule) if pair.is_some() => Some(stamp(rule, fields.timestamp.map(str::to_owned))?),
            Some(TimeRule {
                place: TimePlace::At(Place::Json(_)),
                ..
            }) if !scheme.signs(&Part::Timestamp) => None,
            Some(rule) => Some(read_time(rule, request, json)?),
        };
        let signatures = fields
            .signatures
            .iter()
            .map(|text| decode(scheme, text))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            signatures,
            id,
            time,
        })
    }

    /// The bytes that must have been signed.
    fn content<'a>(
        &self,
        scheme: &Scheme,
        request: &Inbound<'a>,
    ) -> Result<Cow<'a, [u8]>, VerifyError> {
        let body: &'a [u8] = match scheme.signed_body {
            SignedBody::Wire => request.wire,
            SignedBody::Decoded => request.body,
        };
        if scheme.content == [Part::Body] {
            return Ok(Cow::Borrowed(body));
        }
        let mut content = Vec::with_capacity(body.len() + MAX_TEXT_BYTES);
        for part in &scheme.content {
            let bytes = match part {
                Part::Literal(text) => text.as_bytes(),
                Part::Id => self.id.as_deref().ok_or(VerifyError::MissingId)?.as_bytes(),
                Part::Timestamp => {
                    let stamp = self.time.as_ref().ok_or(VerifyError::MissingTimestamp)?;
                    stamp.text.as_bytes()
                }
                Part::Body => body,
                Part::Url => request.url.ok_or(VerifyError::MissingUrl)?.as_bytes(),
                Part::Method => request.method.as_str().as_bytes(),
            };
            content.extend_from_slice(bytes);
        }
        Ok(Cow::Owned(content))
    }
}

/// The place of the signature, taken apart.
struct Fields<'a> {
    /// Never empty; at most [`MAX_SIGNATURES`].
    signatures: Vec<&'a str>,
    timestamp: Option<&'a str>,
}

impl<'a> Fields<'a> {
    fn split(
        form: &SignatureForm,
        text: &'a str,
        time_key: Option<&str>,
    ) -> Result<Self, VerifyError> {
        let items: Vec<&str> = match &form.list {
            Some(separator) => text.split(separator.as_str()).collect(),
            None => vec![text],
        };
        let mut fields = Self {
            signatures: Vec::new(),
            timestamp: None,
        };
        for item in items.into_iter().filter(|item| !item.is_empty()) {
            let signature = match &form.style {
                Style::Plain => Some(item),
                Style::Prefix { text, optional } => item
                    .strip_prefix(text.as_str())
                    .or(optional.then_some(item)),
                Style::Pairs {
                    separator,
                    keys,
                    bare,
                } => match item.split_once(separator.as_str()) {
                    None => bare.then_some(item),
                    Some((key, value)) if time_key == Some(key) => {
                        if fields.timestamp.replace(value).is_some() {
                            return Err(VerifyError::DuplicateField);
                        }
                        None
                    }
                    Some((key, value)) => keys.iter().any(|known| known == key).then_some(value),
                },
            };
            if fields.signatures.len() < MAX_SIGNATURES {
                fields.signatures.extend(signature);
            }
        }
        if fields.signatures.is_empty() {
            return Err(VerifyError::NoSignature);
        }
        Ok(fields)
    }
}

fn signature_text<'a>(
    form: &SignatureForm,
    request: &Inbound<'a>,
    json: &mut Json<'_>,
) -> Result<Cow<'a, str>, VerifyError> {
    match &form.place {
        Place::Header(name) => {
            let value = header(request.headers, name)?.ok_or(VerifyError::MissingSignature)?;
            let text = value.to_str().map_err(|_| VerifyError::BadEncoding)?;
            Ok(Cow::Borrowed(text))
        }
        Place::Json(pointer) => {
            let text = json.text(pointer).ok_or(VerifyError::MissingSignature)?;
            Ok(Cow::Owned(text))
        }
    }
}

fn decode(scheme: &Scheme, text: &str) -> Result<Vec<u8>, VerifyError> {
    if scheme.algorithm == Algorithm::Token {
        return Ok(text.as_bytes().to_vec());
    }
    let wanted = scheme.algorithm.signature_bytes();
    scheme
        .signature
        .encoding
        .decode(text)
        .filter(|bytes| wanted.is_none_or(|wanted| bytes.len() == wanted))
        .ok_or(VerifyError::BadEncoding)
}

/// The position of the first key that a signature fits. Every key tries every signature, found or not.
fn matching_key(
    scheme: &Scheme,
    keys: &[Key],
    content: &[u8],
    signatures: &[Vec<u8>],
) -> Option<usize> {
    let mut found = Choice::from(0);
    let mut at = 0_u64;
    for (position, key) in (0_u64..).zip(keys) {
        let proves = key.proves(scheme.algorithm, content, signatures);
        at.conditional_assign(&position, proves & !found);
        found |= proves;
    }
    if bool::from(found) {
        usize::try_from(at).ok()
    } else {
        None
    }
}

/// `a.b` + `.` + `1` and `a` + `.` + `b.1` are the same bytes: an id that holds the separator is refused,
/// though the signature fits.
fn id_is_no_other_split(scheme: &Scheme, id: Option<&str>) -> Result<(), VerifyError> {
    match (id, scheme.id_separator()) {
        (Some(id), Some(separator)) if id.contains(separator) => Err(VerifyError::BadId),
        _ => Ok(()),
    }
}

fn read_time(
    rule: &TimeRule,
    request: &Inbound<'_>,
    json: &mut Json<'_>,
) -> Result<Stamp, VerifyError> {
    let text = match &rule.place {
        TimePlace::At(place) => text_at(place, request, json, VerifyError::BadTimestamp)?,
        // read with the signature
        TimePlace::Pair(_) => None,
    };
    stamp(rule, text)
}

fn stamp(rule: &TimeRule, text: Option<String>) -> Result<Stamp, VerifyError> {
    let text = text.ok_or(VerifyError::MissingTimestamp)?;
    let time = rule.unit.read(&text).ok_or(VerifyError::BadTimestamp)?;
    Ok(Stamp { text, time })
}

/// Our clock minus the timestamp, in seconds, if that is within the tolerance.
fn check_clock(tolerance: Duration, time: Timestamp, now: Timestamp) -> Result<i64, VerifyError> {
    let skew = now.duration_since(time);
    if skew.unsigned_abs() > tolerance {
        return Err(VerifyError::TimestampOutOfTolerance {
            skew_seconds: skew.as_secs(),
            tolerance_seconds: tolerance.as_secs(),
        });
    }
    Ok(skew.as_secs())
}

fn read_id(
    place: &Place,
    request: &Inbound<'_>,
    json: &mut Json<'_>,
) -> Result<Option<String>, VerifyError> {
    match text_at(place, request, json, VerifyError::BadId)? {
        Some(id) if !is_plain(&id) => Err(VerifyError::BadId),
        id => Ok(id),
    }
}

fn read_type(
    scheme: &Scheme,
    request: &Inbound<'_>,
    json: &mut Json<'_>,
) -> Result<Option<String>, VerifyError> {
    let text = match &scheme.event_type {
        Some(place) => text_at(place, request, json, VerifyError::BadType)?,
        None => None,
    };
    match text {
        Some(text) if !is_plain(&text) => Err(VerifyError::BadType),
        Some(text) => Ok(Some(text)),
        None => Ok(scheme.default_type.clone()),
    }
}

/// The text at a place; `None` if it is missing or empty, `bad` if a header is not plain text.
fn text_at(
    place: &Place,
    request: &Inbound<'_>,
    json: &mut Json<'_>,
    bad: VerifyError,
) -> Result<Option<String>, VerifyError> {
    let text = match place {
        Place::Header(name) => match header(request.headers, name)? {
            None => None,
            Some(value) => Some(value.to_str().map_err(|_| bad)?.to_owned()),
        },
        Place::Json(pointer) => json.text(pointer),
    };
    Ok(text.filter(|text| !text.is_empty()))
}

/// A header that must be single.
fn header<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a HeaderValue>, VerifyError> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(VerifyError::DuplicateHeader(name.clone()));
    }
    Ok(first)
}

/// The body's JSON, parsed when it is first asked for.
struct Json<'a> {
    body: &'a [u8],
    parsed: Option<Option<Document>>,
}

impl<'a> Json<'a> {
    fn new(body: &'a [u8]) -> Self {
        Self { body, parsed: None }
    }

    fn parsed(&mut self) -> Option<Ref<'_>> {
        self.parsed
            .get_or_insert_with(|| Document::parse(self.body).ok())
            .as_ref()
            .map(Document::root)
    }

    /// The text or number at a pointer, as it is written.
    fn text(&mut self, pointer: &str) -> Option<String> {
        match self.parsed()?.pointer(pointer)?.kind() {
            Kind::String(text) | Kind::Number(text) => Some(text.to_owned()),
            Kind::Null | Kind::Bool(_) | Kind::Array(_) | Kind::Object(_) => None,
        }
    }

    fn take(mut self) -> Option<Document> {
        self.parsed();
        self.parsed.flatten()
    }
}

#[cfg(test)]
mod tests;
