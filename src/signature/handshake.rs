//! Challenges: requests by which a vendor asks whether an endpoint is meant. They are answered and
//! never become events.
//!
//! Promise: a challenge is answered only after its signature has proven good, or if it holds the secret as
//! its token, or where the scheme says that its vendor proves nothing. What is echoed is plain text, JSON
//! or a header of visible characters, and never sniffed as a page. What our key signs for anybody is no
//! event: neither by what it may be (see [`is_challenge`]) nor by what is taken (see `verify`).

mod answer;
#[cfg(test)]
mod tests;

use http::{HeaderMap, HeaderName, Method};
use serde_json::Value;
use subtle::Choice;

use self::answer::Signing;
pub(super) use self::answer::{Answer, Echo, Origin, Shape, Text, is_challenge};
use super::key::Key;
use super::scheme::Scheme;
use super::{Inbound, Reply, VerifyError};
use crate::json::Ref;
use crate::secret::Secret;

/// Longest secret that is handed over, in bytes; it is echoed in a header.
const MAX_SECRET_BYTES: usize = 256;

/// The value of a condition that any value meets.
const ANY: &str = "*";

/// A challenge and its answer, compiled.
#[derive(Debug, Clone)]
pub(super) struct Handshake {
    name: Option<String>,
    method: Method,
    query: Vec<(String, String)>,
    headers: Vec<(HeaderName, String)>,
    json: Vec<(String, Value)>,
    without: Vec<String>,
    proof: Proof,
    answer: Answer,
}

/// What proves a challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Proof {
    /// The signature of the request.
    Signed,
    /// The secret, in this query parameter.
    Token(String),
    /// Nothing.
    Open,
    /// That it is waited for: it hands the secret over, in this header.
    Capture(HeaderName),
}

/// What a request must be like: its method, query parameters, headers, values in its body, and what its
/// body does not have.
pub(super) type Conditions = (
    Method,
    Vec<(String, String)>,
    Vec<(HeaderName, String)>,
    Vec<(String, Value)>,
    Vec<String>,
);

/// A challenge as it came.
pub(super) struct Challenge<'a> {
    query: Vec<(String, String)>,
    headers: &'a HeaderMap,
    json: Option<Ref<'a>>,
}

/// Answers a challenge that cannot be signed, by its token or without.
///
/// # Errors
/// If the request is no challenge of the scheme, or its token is none of the tokens.
pub(super) fn by_token(
    scheme: &Scheme,
    keys: &[Key],
    tokens: &[Key],
    request: &Inbound<'_>,
) -> Result<Reply, VerifyError> {
    let challenge = Challenge::new(request, None);
    for handshake in &scheme.handshakes {
        if handshake.method != request.method || !handshake.fits(&challenge) {
            continue;
        }
        challenge.has_single_parameters()?;
        if let Proof::Token(name) = &handshake.proof {
            let token = challenge.parameter(name).ok_or(VerifyError::WrongToken)?;
            let known = tokens.iter().fold(Choice::from(0), |found, key| {
                found | key.is_token(token.as_bytes())
            });
            if !bool::from(known) {
                return Err(VerifyError::WrongToken);
            }
        }
        if let Some(reply) = handshake.reply(&challenge, scheme, keys) {
            return Ok(reply);
        }
    }
    Err(VerifyError::NoChallenge)
}

/// The answer, if this request by POST, which has no signature, is a challenge that needs none.
pub(super) fn open(
    scheme: &Scheme,
    keys: &[Key],
    request: &Inbound<'_>,
    json: Option<Ref<'_>>,
) -> Option<Reply> {
    let challenge = Challenge::new(request, json);
    challenge.has_single_parameters().ok()?;
    answered(scheme, keys, &challenge, |handshake| {
        handshake.proof == Proof::Open
    })
}

/// The answer, if this request by POST, which is proven, is a challenge.
pub(super) fn by_signature(
    scheme: &Scheme,
    keys: &[Key],
    request: &Inbound<'_>,
    json: Option<Ref<'_>>,
) -> Option<Reply> {
    // where the address is all the proof there is, nothing tells them apart
    let signed = scheme.signature.is_some();
    let challenge = Challenge::new(request, json);
    answered(scheme, keys, &challenge, |handshake| {
        handshake.proof == Proof::Signed || (handshake.proof == Proof::Open && !signed)
    })
}

/// The answer, if this request by POST, which has no signature, is a challenge that hands a secret over.
///
/// # Errors
/// If it is one, and not waited for.
pub(super) fn capture(
    scheme: &Scheme,
    keys: &[Key],
    request: &Inbound<'_>,
    json: Option<Ref<'_>>,
) -> Result<Option<Reply>, VerifyError> {
    let challenge = Challenge::new(request, json);
    if challenge.has_single_parameters().is_err() {
        return Ok(None);
    }
    for handshake in &scheme.handshakes {
        let Proof::Capture(name) = &handshake.proof else {
            continue;
        };
        let secret = challenge.header(name).and_then(|text| secret(scheme, text));
        let Some(secret) = secret.filter(|_| handshake.fits(&challenge)) else {
            continue;
        };
        if !request.armed {
            return Err(VerifyError::NotArmed);
        }
        if let Some(reply) = handshake.reply(&challenge, scheme, keys) {
            let captured = Some(secret);
            return Ok(Some(Reply { captured, ..reply }));
        }
    }
    Ok(None)
}

/// A secret that was handed over: one line of visible characters that the scheme can use.
fn secret(scheme: &Scheme, text: &str) -> Option<Secret> {
    let plain = text.len() <= MAX_SECRET_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic());
    let secret = Some(Secret::new(text)).filter(|_| plain)?;
    scheme.verifying_key(&secret).is_ok().then_some(secret)
}

fn answered(
    scheme: &Scheme,
    keys: &[Key],
    challenge: &Challenge<'_>,
    proven: impl Fn(&Handshake) -> bool,
) -> Option<Reply> {
    let handshakes = scheme.handshakes.iter();
    handshakes
        .filter(|handshake| handshake.method == Method::POST && proven(handshake))
        .filter(|handshake| handshake.fits(challenge))
        .find_map(|handshake| handshake.reply(challenge, scheme, keys))
}

impl Handshake {
    /// What it is called: its name, or the method that it comes by.
    pub(super) fn label(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.method.to_string())
    }

    pub(super) fn new(
        name: Option<String>,
        (method, query, headers, json, without): Conditions,
        proof: Proof,
        answer: Answer,
    ) -> Self {
        Self {
            name,
            method,
            query,
            headers,
            json,
            without,
            proof,
            answer,
        }
    }

    pub(super) fn method(&self) -> &Method {
        &self.method
    }

    pub(super) fn proof(&self) -> &Proof {
        &self.proof
    }

    pub(super) fn has_token(&self) -> bool {
        matches!(self.proof, Proof::Token(_))
    }

    /// Whether its answer has something that our key signs.
    pub(super) fn has_mac(&self) -> bool {
        self.answer.has_mac()
    }

    /// What it is called: its name, or its method.
    pub(super) fn title(&self) -> String {
        match &self.name {
            Some(name) => format!("`{name}`"),
            None => format!("by {}", self.method),
        }
    }

    /// Why a request is not this challenge, in words; `None` if it is.
    pub(super) fn misfit(&self, challenge: &Challenge<'_>) -> Option<String> {
        let differs = |what: String, found: Option<&str>, wanted: &str| match found {
            Some(value) if wanted == ANY || value == wanted => None,
            Some(_) => Some(format!("{what} is not `{wanted}`")),
            None => Some(format!("{what} is missing")),
        };
        let query = self.query.iter().find_map(|(name, wanted)| {
            let what = format!("the query parameter `{name}`");
            differs(what, challenge.parameter(name), wanted)
        });
        let header = || {
            self.headers.iter().find_map(|(name, wanted)| {
                let what = format!("the header `{name}`");
                differs(what, challenge.header(name), wanted)
            })
        };
        let json = || {
            self.json.iter().find_map(|(pointer, wanted)| {
                let fits = challenge
                    .value(pointer)
                    .is_some_and(|value| wanted == ANY || value.to_value() == *wanted);
                (!fits).then(|| format!("the body does not have {wanted} at `{pointer}`"))
            })
        };
        let other = || {
            let there = |pointer: &&String| challenge.value(pointer).is_some();
            let found = self.without.iter().find(there)?;
            Some(format!("the body has something at `{found}`"))
        };
        query.or_else(header).or_else(json).or_else(other)
    }

    fn fits(&self, challenge: &Challenge<'_>) -> bool {
        self.misfit(challenge).is_none()
    }

    /// The answer; `None` if the challenge lacks what is to be echoed, and so is none.
    fn reply(&self, challenge: &Challenge<'_>, scheme: &Scheme, keys: &[Key]) -> Option<Reply> {
        let signing = Signing {
            algorithm: scheme.algorithm,
            key: keys.first(),
            for_anybody: self.proof != Proof::Signed,
        };
        let proven = matches!(self.proof, Proof::Signed | Proof::Token(_));
        let about = (self.name.clone(), proven);
        self.answer.reply(about, challenge, &signing)
    }
}

impl<'a> Challenge<'a> {
    pub(super) fn new(request: &Inbound<'a>, json: Option<Ref<'a>>) -> Self {
        Self {
            query: parameters(request.query),
            headers: request.headers,
            json,
        }
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        let (_, value) = self.query.iter().find(|(known, _)| known == name)?;
        Some(value)
    }

    /// A header that is there once, and text.
    fn header(&self, name: &HeaderName) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok(),
            _ => None,
        }
    }

    fn value(&self, pointer: &str) -> Option<Ref<'_>> {
        self.json?.pointer(pointer)
    }

    fn has_single_parameters(&self) -> Result<(), VerifyError> {
        let mut names: Vec<&str> = self.query.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        if names.is_sorted_by(|a, b| a < b) {
            Ok(())
        } else {
            Err(VerifyError::DuplicateField)
        }
    }
}

/// The query's parameters, percent-decoded, `+` as a space.
fn parameters(query: Option<&str>) -> Vec<(String, String)> {
    form_urlencoded::parse(query.unwrap_or_default().as_bytes())
        .into_owned()
        .collect()
}
