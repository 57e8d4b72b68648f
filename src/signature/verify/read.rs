//! Reading what a scheme names from a request: headers that must be single, query parameters, places in the body.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;

use super::is_plain;
use crate::signature::body::Json;
use crate::signature::scheme::{Place, Scheme, TimePlace, TimeRule};
use crate::signature::{Inbound, VerifyError};

/// A timestamp as it came, and what it means.
pub(super) struct Stamp {
    pub(super) text: String,
    pub(super) time: Timestamp,
}

pub(super) fn read_time(
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

pub(super) fn stamp(rule: &TimeRule, text: Option<String>) -> Result<Stamp, VerifyError> {
    let text = text.ok_or(VerifyError::MissingTimestamp)?;
    let time = rule.unit.read(&text).ok_or(VerifyError::BadTimestamp)?;
    Ok(Stamp { text, time })
}

pub(super) fn read_id(
    place: &Place,
    request: &Inbound<'_>,
    json: &mut Json<'_>,
) -> Result<Option<String>, VerifyError> {
    match text_at(place, request, json, VerifyError::BadId)? {
        Some(id) if !is_plain(&id) => Err(VerifyError::BadId),
        id => Ok(id),
    }
}

pub(super) fn read_type(
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
        Place::Query(name) => parameter(request.query, name)?.map(Cow::into_owned),
    };
    Ok(text.filter(|text| !text.is_empty()))
}

/// A header that must be single.
pub(super) fn header<'a>(
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

/// A query parameter that must be single, percent-decoded, `+` as a space.
pub(in crate::signature) fn parameter<'a>(
    query: Option<&'a str>,
    name: &str,
) -> Result<Option<Cow<'a, str>>, VerifyError> {
    let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let mut values = pairs.filter(|(known, _)| known == name);
    let first = values.next();
    if values.next().is_some() {
        return Err(VerifyError::DuplicateField);
    }
    Ok(first.map(|(_, value)| value))
}
