//! Why a captured request fails, in words for the person who set the source up.
//!
//! Tries the likely mistakes one at a time: each is a change to the scheme or to the body under which
//! the request would verify. Never says a secret or a computed signature. For the command line only: it
//! tells more than a sender may know.

mod tried;

use http::{HeaderMap, HeaderName};
use jiff::Timestamp;

use self::tried::tried;
use super::body::is_form;
use super::encoding::Encoding;
use super::handshake::Challenge;
use super::key::Algorithm;
use super::scheme::{Place, Scheme, SignaturePlace, Style, TimePlace};
use super::verify::missing_part;
use super::{Checks, Inbound, Verdict, VerifyError, verify};
use crate::secret::Secret;

/// Says in plain words what verifying a captured request comes to: which secret matched, or why it fails
/// and what change would make it pass. `secrets` are as configured, not yet decoded.
#[must_use]
pub fn diagnose(
    scheme: &Scheme,
    secrets: &[Secret],
    request: &Inbound<'_>,
    now: Timestamp,
) -> Vec<String> {
    let mut words = Vec::new();
    let mut keys = Vec::new();
    let mut positions = Vec::new();
    for (at, secret) in secrets.iter().enumerate() {
        match scheme.verifying_key(secret) {
            Ok(key) => {
                words.extend(
                    scheme
                        .advice(&key)
                        .map(|advice| format!("secret {at}: {advice}")),
                );
                keys.push(key);
                positions.push(at);
            }
            Err(error) => words.push(format!("secret {at} cannot be used: {error}")),
        }
    }
    match verify(scheme, &keys, request, now) {
        Ok(verdict) => words.push(success(&verdict, &positions)),
        Err(error) => {
            words.push(failure(scheme, request, &error));
            let worth_trying = match error {
                // It may stand under another name; where nothing looks like one, nothing can be tried.
                VerifyError::MissingSignature => signature_like(request.headers).next().is_some(),
                VerifyError::NoSignature
                | VerifyError::BadEncoding
                | VerifyError::SignatureMismatch => true,
                _ => false,
            };
            if worth_trying {
                words.extend(tried(scheme, secrets, &keys, request, now));
            }
        }
    }
    words
}

impl Checks {
    /// [`diagnose`] for each way; the words begin with its name where there are several.
    #[must_use]
    pub fn diagnose(&self, request: &Inbound<'_>, now: Timestamp) -> Vec<String> {
        let several = self.ways().nth(1).is_some();
        let words = self.ways().flat_map(|way| {
            let secrets: Vec<Secret> = way
                .keys
                .iter()
                .map(|key| key.configured().clone())
                .collect();
            let words = diagnose(&way.scheme, &secrets, request, now);
            words.into_iter().map(move |line| match several {
                true => format!("{}: {line}", way.name),
                false => line,
            })
        });
        words.collect()
    }
}

/// `positions` are those of the usable secrets among all.
fn success(verdict: &Verdict, positions: &[usize]) -> String {
    match verdict {
        Verdict::Reply(reply) => format!("a challenge, to be answered with {}", reply.status),
        Verdict::Event(event) => {
            let skew = event.skew_seconds().map_or(String::new(), |skew| {
                format!("; the timestamp is {}", age(skew))
            });
            let secret = positions.get(event.key()).copied().unwrap_or_default();
            format!("verified: secret {secret} matches{skew}")
        }
    }
}

fn failure(scheme: &Scheme, request: &Inbound<'_>, error: &VerifyError) -> String {
    match error {
        VerifyError::TimestampOutOfTolerance {
            skew_seconds,
            tolerance_seconds,
        } => format!(
            "the signature is good, but the timestamp is {}, tolerance {tolerance_seconds} s",
            age(*skew_seconds)
        ),
        VerifyError::MissingSignature => match scheme.signature.as_ref().map(|form| &form.place) {
            None => error.to_string(),
            Some(SignaturePlace::At(Place::Json(pointer))) => {
                format!(
                    "the body has no signature at `{pointer}`{}",
                    form_hint(scheme, request)
                )
            }
            Some(SignaturePlace::Each(pointer)) => {
                format!(
                    "the body must have the token at each place `{pointer}`, and at least at one"
                )
            }
            Some(SignaturePlace::At(Place::Query(name))) => {
                format!("the query parameter `{name}`, which holds the signature, is missing")
            }
            Some(SignaturePlace::At(Place::Header(name))) => {
                let others: Vec<String> = signature_like(request.headers)
                    .map(|name| format!("`{name}`"))
                    .collect();
                let others = if others.is_empty() {
                    "and no header looks like a signature".to_owned()
                } else {
                    format!("though there is: {}", others.join(", "))
                };
                format!("the header `{name}` is missing, {others}")
            }
        },
        VerifyError::NoSignature => {
            format!(
                "no signature is found where one should be; {}",
                shape(scheme)
            )
        }
        VerifyError::BadEncoding => format!(
            "the signature is not {}; {}",
            written(scheme),
            shape(scheme)
        ),
        VerifyError::SignatureMismatch => {
            "the signature is well-formed, but fits none of the secrets".to_owned()
        }
        VerifyError::MissingPart => match missing_part(scheme, request) {
            Some(place) => format!("{}, which is signed, is missing", named(place)),
            None => error.to_string(),
        },
        VerifyError::MissingId => missing(scheme.id.as_ref(), scheme, request, error),
        VerifyError::MissingTimestamp => {
            let place = match scheme.timestamp.as_ref().map(|rule| &rule.place) {
                Some(TimePlace::At(place)) => Some(place),
                Some(TimePlace::Pair(key)) => {
                    return format!(
                        "the signature's header has no `{key}`, which is the timestamp"
                    );
                }
                None => None,
            };
            missing(place, scheme, request, error)
        }
        VerifyError::NoChallenge => no_challenge(scheme, request),
        other => other.to_string(),
    }
}

/// How a signature of the scheme is written.
fn written(scheme: &Scheme) -> String {
    let encoding = scheme.signature.as_ref().map(|form| form.encoding);
    let encoding = encoding.map_or("plain text", Encoding::name);
    match (scheme.algorithm, scheme.algorithm.signature_bytes()) {
        (_, Some(bytes)) => format!("{bytes} bytes in {encoding}"),
        (Algorithm::EcdsaP256, None) => format!("DER in {encoding}"),
        (_, None) => encoding.to_owned(),
    }
}

fn missing(
    place: Option<&Place>,
    scheme: &Scheme,
    request: &Inbound<'_>,
    error: &VerifyError,
) -> String {
    let Some(place) = place else {
        return error.to_string();
    };
    let hint = match place {
        Place::Json(_) => form_hint(scheme, request),
        _ => "",
    };
    format!("{error}: it should be {}{hint}", named(place))
}

fn named(place: &Place) -> String {
    match place {
        Place::Header(name) => format!("the header `{name}`"),
        Place::Json(pointer) => format!("`{pointer}` of the body"),
        Place::Query(name) => format!("the query parameter `{name}`"),
    }
}

/// What to do where the body is a form and the scheme takes none.
fn form_hint(scheme: &Scheme, request: &Inbound<'_>) -> &'static str {
    if scheme.form.is_none() && is_form(request.headers) {
        return " (the body is a form; with `form: {}` it is read as an object)";
    }
    ""
}

/// Why a request that is no POST is none of the challenges.
fn no_challenge(scheme: &Scheme, request: &Inbound<'_>) -> String {
    let challenge = Challenge::new(request, None);
    let known: Vec<String> = scheme
        .handshakes
        .iter()
        .filter(|handshake| handshake.method() == request.method)
        .map(|handshake| {
            let why = handshake.misfit(&challenge);
            let why = why.unwrap_or_else(|| {
                "what is to be echoed is missing, too long or not fit to be signed".to_owned()
            });
            format!("not the challenge {}: {why}", handshake.title())
        })
        .collect();
    if known.is_empty() {
        return format!("no challenge of the scheme comes by {}", request.method);
    }
    known.join("; ")
}

fn age(skew_seconds: i64) -> String {
    if skew_seconds < 0 {
        format!("{} s ahead of the clock", skew_seconds.unsigned_abs())
    } else {
        format!("{skew_seconds} s old")
    }
}

/// What the scheme expects around the signature.
fn shape(scheme: &Scheme) -> String {
    let nothing = Style::Plain;
    let style = scheme
        .signature
        .as_ref()
        .map_or(&nothing, |form| &form.style);
    match style {
        Style::Plain => "it stands by itself".to_owned(),
        Style::Prefix { text, optional } => {
            let may = if *optional { "may" } else { "must" };
            format!("it {may} begin with `{text}`")
        }
        Style::Pairs {
            separator, keys, ..
        } => {
            let keys: Vec<String> = keys
                .iter()
                .map(|key| format!("`{key}{separator}`"))
                .collect();
            format!("it must begin with {}", keys.join(" or "))
        }
    }
}

/// The names of headers that may hold a signature.
fn signature_like(headers: &HeaderMap) -> impl Iterator<Item = &HeaderName> {
    headers.keys().filter(|name| {
        ["signature", "hmac", "digest"]
            .iter()
            .any(|word| name.as_str().contains(word))
    })
}

#[cfg(test)]
mod tests;
