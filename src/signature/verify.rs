//! Proving inbound requests.
//!
//! Order: what the signature needs is read (each header at most once), the signatures are decoded, all
//! are tried under all keys, then the clock is asked, and only then is the body's JSON looked into. A
//! scheme that keeps a part of its signed content in the body has it parsed before, but once as well.
//! One malformed signature refuses them all: a list that was tampered with is not worth its good part.
//! A form is made JSON from the bytes that were verified as they came.

mod fields;
mod read;

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use jiff::Timestamp;
use subtle::{Choice, ConditionallySelectable};

use self::fields::Fields;
pub(super) use self::read::parameter;
use self::read::{Stamp, header, read_id, read_time, read_type, stamp};
use super::body::Json;
use super::builtin::{Builtin, sns, twilio};
use super::encoding::Encoding;
use super::key::{Algorithm, Key};
use super::scheme::{Part, Place, Scheme, SignatureForm, SignaturePlace, TimePlace, TimeRule};
use super::{
    Content, Inbound, MAX_TEXT_BYTES, Reply, Verdict, Verified, VerifyError, cloudevents, handshake,
};

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
    let lacks_secrets = keys.is_empty() && scheme.needs_secrets();
    if lacks_secrets && !scheme.captures() {
        return Err(VerifyError::EmptySecret);
    }
    if request.method != Method::POST {
        return handshake::by_token(scheme, keys, tokens, request).map(Verdict::Reply);
    }
    let mut json = Json::of(scheme, request.headers, request.body);
    let signed = match Signed::read(scheme, request, &mut json) {
        Err(error @ (VerifyError::MissingSignature | VerifyError::NoSignature))
            if scheme.has_open_challenges() || scheme.captures() =>
        {
            let mut reply = handshake::capture(scheme, keys, request, json.parsed())?;
            if reply.is_none() {
                reply = handshake::open(scheme, keys, request, json.parsed());
            }
            return reply.map(Verdict::Reply).ok_or(error);
        }
        signed => signed?,
    };
    if lacks_secrets {
        return Err(VerifyError::EmptySecret);
    }
    let key = signed.proven_by(scheme, keys, (request, now), &mut json)?;
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
    if !scheme.handshakes.is_empty()
        && let Some(reply) = handshake::by_signature(scheme, keys, request, json.parsed())
    {
        return Ok(Verdict::Reply(reply));
    }
    if let Some(Builtin::Sns(rule)) = &scheme.builtin
        && let Some((name, subscription)) = sns::asks_for(rule, json.parsed())?
    {
        return Ok(Verdict::Reply(Reply::nothing_but(name, subscription)));
    }
    let message_id = match (signed.id, &scheme.id) {
        (None, Some(place @ Place::Json(_))) => read_id(place, request, &mut json)?,
        (id, _) => id,
    };
    let event_type = read_type(scheme, request, &mut json)?;
    let mut message_id_covered = message_id.is_some() && scheme.covers_message_id();
    let mut content = content(message_id, event_type, json);
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
    let mut json = Json::of(scheme, headers, body);
    let message_id = match &scheme.id {
        Some(place) => read_id(place, &request, &mut json).ok().flatten(),
        None => None,
    };
    let event_type = read_type(scheme, &request, &mut json).ok().flatten();
    let mut content = content(message_id, event_type, json);
    if scheme.cloudevents {
        // A sample whose id or type is not acceptable stays as it came.
        let _ = cloudevents::normalise(scheme, headers, &mut content);
    }
    content
}

fn content(message_id: Option<String>, event_type: Option<String>, json: Json<'_>) -> Content {
    let made = json.take();
    Content {
        message_id,
        event_type,
        body: made.body,
        json: made.json,
        replaced: made.replaced,
        issuer: None,
    }
}

/// Whether a text may serve as id or type: not empty, short, no control characters.
pub(super) fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_TEXT_BYTES && !text.chars().any(char::is_control)
}

/// The first part of the signed content that is missing in a request, for those who look into why.
pub(super) fn missing_part<'s>(scheme: &'s Scheme, request: &Inbound<'_>) -> Option<&'s Place> {
    let mut json = Json::of(scheme, request.headers, request.body);
    scheme.content.iter().find_map(|part| match part {
        Part::At(place) => part_at(place, request, &mut json).err().map(|_| place),
        _ => None,
    })
}

/// What the signature needs, read from the request.
struct Signed {
    /// Empty where the sender's address is all the proof there is.
    signatures: Vec<Vec<u8>>,
    /// Whether each of them must be good, not just one.
    each: bool,
    /// The id, read if it does not stand in the body or is signed by itself.
    id: Option<String>,
    /// The timestamp, unless it stands in the body and only the body is signed.
    time: Option<Stamp>,
}

impl Signed {
    fn read(
        scheme: &Scheme,
        request: &Inbound<'_>,
        json: &mut Json<'_>,
    ) -> Result<Self, VerifyError> {
        let Some(form) = &scheme.signature else {
            return Self::with(scheme, Vec::new(), None, request, json);
        };
        if let SignaturePlace::Each(pointer) = &form.place {
            let texts = json.each(pointer).ok_or(VerifyError::MissingSignature)?;
            let mut tokens = Vec::with_capacity(texts.len());
            for text in &texts {
                let fields = Fields::split(form, text, None)?;
                for token in fields.signatures {
                    tokens.push(decode(scheme.algorithm, form.encoding, token)?);
                }
            }
            let signed = Self::with(scheme, tokens, None, request, json)?;
            return Ok(Self {
                each: true,
                ..signed
            });
        }
        let text = signature_text(form, request, json)?;
        let pair = match &scheme.timestamp {
            Some(TimeRule {
                place: TimePlace::Pair(key),
                ..
            }) => Some(key.as_str()),
            _ => None,
        };
        let fields = Fields::split(form, &text, pair)?;
        let time = fields.timestamp;
        // Facts come before the signatures are decoded, so that a request that lacks one says so.
        let signed = Self::with(scheme, Vec::new(), time, request, json)?;
        let signatures = fields
            .signatures
            .iter()
            .map(|text| decode(scheme.algorithm, form.encoding, text))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            signatures,
            ..signed
        })
    }

    /// The same with the facts that are signed; `pair` is the timestamp that stands beside the signature.
    fn with(
        scheme: &Scheme,
        signatures: Vec<Vec<u8>>,
        pair: Option<&str>,
        request: &Inbound<'_>,
        json: &mut Json<'_>,
    ) -> Result<Self, VerifyError> {
        let id = match &scheme.id {
            Some(place) if scheme.signs(&Part::Id) => {
                Some(read_id(place, request, json)?.ok_or(VerifyError::MissingId)?)
            }
            Some(place @ (Place::Header(_) | Place::Query(_))) => read_id(place, request, json)?,
            Some(Place::Json(_)) | None => None,
        };
        let time = match &scheme.timestamp {
            None => None,
            Some(TimeRule {
                place: TimePlace::At(Place::Json(_)),
                ..
            }) if !scheme.signs(&Part::Timestamp) => None,
            Some(rule) => Some(match rule.place {
                TimePlace::Pair(_) => stamp(rule, pair.map(str::to_owned))?,
                TimePlace::At(_) => read_time(rule, request, json)?,
            }),
        };
        Ok(Self {
            signatures,
            each: false,
            id,
            time,
        })
    }

    /// The position of the key that proves it.
    fn proven_by(
        &self,
        scheme: &Scheme,
        keys: &[Key],
        (request, now): (&Inbound<'_>, Timestamp),
        json: &mut Json<'_>,
    ) -> Result<usize, VerifyError> {
        let content = match &scheme.builtin {
            Some(Builtin::Sns(rule)) => {
                return sns::prove(rule, json.parsed(), request.certificate, now).map(|()| 0);
            }
            _ if scheme.signature.is_none() => return Ok(0),
            Some(Builtin::Twilio) => {
                let contents = twilio::contents(request)?;
                let mut found = contents
                    .iter()
                    .map(|content| matching_key(scheme, keys, content, &self.signatures));
                return found
                    .find_map(|key| key)
                    .ok_or(VerifyError::SignatureMismatch);
            }
            None => self.content(scheme, request, json)?,
        };
        let found = match self.each {
            false => matching_key(scheme, keys, &content, &self.signatures),
            true => matching_keys(scheme, keys, &self.signatures),
        };
        let key = found.ok_or(VerifyError::SignatureMismatch)?;
        // What the answer to a challenge signs for anybody proves nothing.
        if scheme.signs_for_anybody() && handshake::is_challenge(&content) {
            return Err(VerifyError::SignatureMismatch);
        }
        Ok(key)
    }

    /// The bytes that must have been signed.
    fn content<'a>(
        &self,
        scheme: &Scheme,
        request: &Inbound<'a>,
        json: &mut Json<'_>,
    ) -> Result<Cow<'a, [u8]>, VerifyError> {
        let body: &'a [u8] = scheme.signed_body(request);
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
                Part::At(place) => {
                    content.extend_from_slice(&part_at(place, request, json)?);
                    continue;
                }
            };
            content.extend_from_slice(bytes);
        }
        Ok(Cow::Owned(content))
    }
}

/// The bytes at a place that is signed by itself.
fn part_at<'a>(
    place: &Place,
    request: &Inbound<'a>,
    json: &mut Json<'_>,
) -> Result<Cow<'a, [u8]>, VerifyError> {
    let bytes = match place {
        Place::Header(name) => {
            header(request.headers, name)?.map(|value| Cow::Borrowed(value.as_bytes()))
        }
        Place::Json(pointer) => json.text(pointer).map(|text| Cow::Owned(text.into_bytes())),
        Place::Query(name) => {
            parameter(request.query, name)?.map(|value| Cow::Owned(value.into_owned().into_bytes()))
        }
    };
    bytes.ok_or(VerifyError::MissingPart)
}

fn signature_text<'a>(
    form: &SignatureForm,
    request: &Inbound<'a>,
    json: &mut Json<'_>,
) -> Result<Cow<'a, str>, VerifyError> {
    let text = match &form.place {
        SignaturePlace::At(Place::Header(name)) => match header(request.headers, name)? {
            None => None,
            Some(value) => {
                let text = value.to_str().map_err(|_| VerifyError::BadEncoding)?;
                Some(Cow::Borrowed(text))
            }
        },
        SignaturePlace::At(Place::Query(name)) => parameter(request.query, name)?,
        SignaturePlace::At(Place::Json(pointer)) | SignaturePlace::Each(pointer) => {
            json.text(pointer).map(Cow::Owned)
        }
    };
    text.ok_or(VerifyError::MissingSignature)
}

fn decode(algorithm: Algorithm, encoding: Encoding, text: &str) -> Result<Vec<u8>, VerifyError> {
    let wanted = algorithm.signature_bytes();
    encoding
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

/// The position of the key that the first token fits, if each of them fits one. All are tried, whatever they are.
fn matching_keys(scheme: &Scheme, keys: &[Key], tokens: &[Vec<u8>]) -> Option<usize> {
    let found: Vec<Option<usize>> = tokens
        .iter()
        .map(|token| matching_key(scheme, keys, &[], std::slice::from_ref(token)))
        .collect();
    let all: Option<Vec<usize>> = found.into_iter().collect();
    all?.first().copied()
}

/// `a.b` + `.` + `1` and `a` + `.` + `b.1` are the same bytes: an id that holds the separator is refused,
/// though the signature fits.
fn id_is_no_other_split(scheme: &Scheme, id: Option<&str>) -> Result<(), VerifyError> {
    match (id, scheme.id_separator()) {
        (Some(id), Some(separator)) if id.contains(separator) => Err(VerifyError::BadId),
        _ => Ok(()),
    }
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

#[cfg(test)]
mod tests;
