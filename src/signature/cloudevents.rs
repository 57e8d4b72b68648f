//! CloudEvents 1.0 as they come in, after they are proven: an event in one JSON envelope becomes the one with its
//! attributes in headers that it equals. Pure.
//!
//! By the HTTP binding and the JSON format (read 2026-11-28). What is no CloudEvent is none, and never an error: it is
//! an event like any other. Batches are not taken apart. Not here: what attributes are (see `crate::cloudevents`).

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::scheme::{Part, Scheme};
use super::verify::is_plain;
use super::{Content, VerifyError};
use crate::cloudevents::{
    self, CONTENT_TYPE, MAX_ATTRIBUTES, MAX_BYTES, PREFIX, STRUCTURED, declares_json, find, is_name,
};
use crate::json::{Document, Kind, Members, Ref};

/// Base64 as senders write it, padded or not.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Makes of what was proven the event that it wraps, if it is a CloudEvent; tells then whether the message id, which is
/// the attribute unless the scheme signs another one, may be relied on: it is within what was signed, or whoever has
/// sent it holds the secret itself.
///
/// # Errors
/// As everywhere: an id or a type that is not acceptable.
pub(super) fn normalise(
    scheme: &Scheme,
    headers: &HeaderMap,
    content: &mut Content,
) -> Result<Option<bool>, VerifyError> {
    let structured = is_structured(headers);
    let identity = if structured {
        let json = content.json.as_ref();
        let opened = json.and_then(|json| open(json.root(), &content.body));
        opened.map(|opened| {
            content.json = Document::parse(&opened.body).ok();
            content.body = opened.body;
            content.replaced.extend(opened.headers);
            opened.identity
        })
    } else {
        binary(headers)
    };
    let Some(identity) = identity else {
        return Ok(None);
    };
    if !is_plain(&identity.id) {
        return Err(VerifyError::BadId);
    }
    if !is_plain(&identity.event_type) {
        return Err(VerifyError::BadType);
    }
    content.event_type = Some(identity.event_type);
    if scheme.signs(&Part::Id) {
        return Ok(None);
    }
    content.message_id = Some(identity.id);
    content.issuer = Some(identity.source);
    let unsigned = scheme.content.is_empty();
    Ok(Some(unsigned || (structured && scheme.signs(&Part::Body))))
}

/// What a CloudEvent says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) id: String,
    pub(super) source: String,
    pub(super) event_type: String,
}

/// An envelope, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Opened {
    pub(super) identity: Identity,
    /// The attributes as headers, the content type among them; they take the place of all such headers that came.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// The data; no byte where there is none.
    pub(super) body: Bytes,
}

/// Whether the request says that its body is an envelope.
pub(super) fn is_structured(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return false;
    };
    let text = value.to_str().unwrap_or_default();
    cloudevents::is_type(text, STRUCTURED)
}

/// What an event with its attributes in headers says of itself; `None` if it is no CloudEvent.
pub(super) fn binary(headers: &HeaderMap) -> Option<Identity> {
    let mut written = Vec::new();
    for (name, value) in headers {
        let name = name.as_str();
        if name.starts_with(PREFIX) || name == header::CONTENT_TYPE.as_str() {
            written.push((name, std::str::from_utf8(value.as_bytes()).ok()?));
        }
    }
    let attributes = cloudevents::attributes(written.iter().copied())?;
    // What does not decode or comes twice was left out; such an event is none.
    let is_whole = attributes.len() == written.len() && cloudevents::is_whole(&attributes);
    is_whole.then(|| identity(&attributes)).flatten()
}

fn identity(attributes: &[cloudevents::Attribute<'_>]) -> Option<Identity> {
    Some(Identity {
        id: find(attributes, "id")?.to_owned(),
        source: find(attributes, "source")?.to_owned(),
        event_type: find(attributes, "type")?.to_owned(),
    })
}

/// Takes an envelope apart: `json` is what `body` says. `None` if it is no CloudEvent.
pub(super) fn open(json: Ref<'_>, body: &Bytes) -> Option<Opened> {
    let Kind::Object(members) = json.kind() else {
        return None;
    };
    let mut attributes = attributes(members)?;
    if !cloudevents::is_whole(&attributes) {
        return None;
    }
    let identity = identity(&attributes)?;
    let content_type = match find(&attributes, CONTENT_TYPE) {
        Some(content_type) => content_type.to_owned(),
        None => "application/json".to_owned(),
    };
    let data = data(members, body, &content_type)?;
    attributes.retain(|(name, _)| *name != CONTENT_TYPE);
    let mut bytes = content_type.len();
    let mut headers = vec![(
        header::CONTENT_TYPE,
        HeaderValue::from_str(&content_type).ok()?,
    )];
    for (name, value) in attributes {
        let value = cloudevents::encode(&value);
        bytes += PREFIX.len() + name.len() + value.len();
        let name = HeaderName::try_from(format!("{PREFIX}{name}")).ok()?;
        headers.push((name, HeaderValue::from_str(&value).ok()?));
    }
    (bytes <= MAX_BYTES).then_some(Opened {
        identity,
        headers,
        body: data,
    })
}

/// All members but the data, as text; those that are null are not there. `None` if one of them is no attribute.
fn attributes<'a>(members: Members<'a>) -> Option<Vec<cloudevents::Attribute<'a>>> {
    if members.len() > MAX_ATTRIBUTES + 2 {
        return None;
    }
    let mut attributes = Vec::with_capacity(members.len());
    for (name, value) in members.iter() {
        let text = match value.kind() {
            _ if matches!(name, "data" | "data_base64") => continue,
            Kind::Null => continue,
            Kind::String(text) => text,
            Kind::Number(text) if is_whole_number(text) => text,
            Kind::Bool(true) => "true",
            Kind::Bool(false) => "false",
            Kind::Number(_) | Kind::Array(_) | Kind::Object(_) => return None,
        };
        if !is_name(name) {
            return None;
        }
        attributes.push((name, Cow::Borrowed(text)));
    }
    Some(attributes)
}

/// Digits with or without a minus sign. Larger ones than the specification has are passed on as they are.
fn is_whole_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// The bytes of the data: JSON as it stands in the envelope, text that is declared to be none as it reads, or what
/// base64 holds.
fn data(members: Members<'_>, body: &Bytes, content_type: &str) -> Option<Bytes> {
    let coded = members.get("data_base64").filter(|value| !value.is_null());
    match (members.get("data"), coded) {
        (None, None) => Some(Bytes::new()),
        (None, Some(coded)) => {
            let bytes = LENIENT.decode(coded.as_str()?).ok()?;
            Some(Bytes::from(bytes))
        }
        (Some(_), Some(_)) => None,
        (Some(data), None) => match data.as_str() {
            Some(text) if !declares_json(content_type) => {
                Some(Bytes::copy_from_slice(text.as_bytes()))
            }
            _ => slice(body),
        },
    }
}

/// The JSON text of the member `data`, the last of that name as everywhere.
fn slice(body: &Bytes) -> Option<Bytes> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let data = reader.deserialize_map(LastData).ok()??;
    Some(body.slice_ref(data.get().as_bytes()))
}

struct LastData;

impl<'de> Visitor<'de> for LastData {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut last = None;
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            if name == "data" {
                last = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(last)
    }
}

#[cfg(test)]
mod tests;
