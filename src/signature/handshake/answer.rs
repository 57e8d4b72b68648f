//! The answers to challenges: texts with parts of the challenge in them.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, HeaderValue};
use serde_json::Value;

use super::Challenge;
use crate::signature::Reply;
use crate::signature::encoding::Encoding;
use crate::signature::key::{Algorithm, Key};

/// Longest part of a challenge that is echoed, in bytes; challenges are short random texts.
const MAX_ECHO_BYTES: usize = 1024;

/// Longest value of a header that holds an echo, in bytes; what is echoed there is a name or a token.
const MAX_HEADER_BYTES: usize = 256;

/// Longest text that our key signs for anybody, in bytes; the challenges of all vendors that ask for it are shorter.
const MAX_SIGNED_BYTES: usize = 256;

/// What a challenge is answered with.
#[derive(Debug, Clone, Default)]
pub(in crate::signature) struct Answer {
    pub(in crate::signature) status: u16,
    pub(in crate::signature) body: Option<Shape>,
    pub(in crate::signature) headers: Vec<(HeaderName, Text)>,
}

/// The body of an answer: plain text, or JSON and what is in it.
#[derive(Debug, Clone)]
pub(in crate::signature) enum Shape {
    Plain(Text),
    Json(Box<Shape>),
    Text(Text),
    Array(Vec<Shape>),
    Object(Vec<(String, Shape)>),
    Fixed(Value),
}

/// A text with echoes.
#[derive(Debug, Clone, Default)]
pub(in crate::signature) struct Text(pub(in crate::signature) Vec<Echo>);

/// A piece of a text.
#[derive(Debug, Clone)]
pub(in crate::signature) enum Echo {
    Literal(String),
    Part {
        from: Origin,
        /// Whether it is signed, and how that is written.
        mac: Option<Encoding>,
    },
}

/// Where a part of a challenge stands.
#[derive(Debug, Clone)]
pub(in crate::signature) enum Origin {
    Query(String),
    Json(String),
    Header(HeaderName),
}

/// What signs parts of a challenge.
pub(super) struct Signing<'a> {
    pub(super) algorithm: Algorithm,
    /// The newest one.
    pub(super) key: Option<&'a Key>,
    /// Whether nothing has proven that the challenge is the vendor's.
    pub(super) for_anybody: bool,
}

/// Whether a text may be one that our key has signed for anybody: a short text of the letters of base64
/// and its like, that is no JSON by itself.
pub(in crate::signature) fn is_challenge(text: &[u8]) -> bool {
    let letters = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=_-".contains(byte);
    (1..=MAX_SIGNED_BYTES).contains(&text.len())
        && text.iter().all(letters)
        && serde_json::from_slice::<serde::de::IgnoredAny>(text).is_err()
}

impl Answer {
    pub(super) fn has_mac(&self) -> bool {
        let mut headers = self.headers.iter();
        self.body.as_ref().is_some_and(Shape::has_mac) || headers.any(|(_, text)| text.has_mac())
    }

    /// The answer; `None` if the challenge lacks what is to be echoed.
    pub(super) fn reply(
        &self,
        (name, proven): (Option<String>, bool),
        challenge: &Challenge<'_>,
        signing: &Signing<'_>,
    ) -> Option<Reply> {
        let (kind, body) = match &self.body {
            None => (None, String::new()),
            Some(Shape::Plain(text)) => (
                Some("text/plain; charset=utf-8"),
                text.fill(challenge, signing)?,
            ),
            Some(json) => (
                Some("application/json"),
                json.fill(challenge, signing)?.to_string(),
            ),
        };
        let mut headers = Vec::with_capacity(self.headers.len() + 2);
        headers.extend(kind.map(|kind| (CONTENT_TYPE, HeaderValue::from_static(kind))));
        headers.push((X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")));
        for (name, text) in &self.headers {
            let value = text.fill(challenge, signing)?;
            let visible = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
            if value.len() > MAX_HEADER_BYTES || !value.bytes().all(visible) {
                return None;
            }
            headers.push((name.clone(), HeaderValue::from_str(&value).ok()?));
        }
        Some(Reply {
            challenge: name,
            proven,
            status: self.status,
            headers,
            body: Bytes::from(body),
            captured: None,
            subscription: None,
        })
    }
}

impl Shape {
    fn has_mac(&self) -> bool {
        match self {
            Self::Plain(text) | Self::Text(text) => text.has_mac(),
            Self::Json(inner) => inner.has_mac(),
            Self::Array(items) => items.iter().any(Self::has_mac),
            Self::Object(fields) => fields.iter().any(|(_, field)| field.has_mac()),
            Self::Fixed(_) => false,
        }
    }

    fn fill(&self, challenge: &Challenge<'_>, signing: &Signing<'_>) -> Option<Value> {
        Some(match self {
            Self::Plain(text) | Self::Text(text) => Value::String(text.fill(challenge, signing)?),
            Self::Json(inner) => inner.fill(challenge, signing)?,
            Self::Array(items) => {
                let items = items.iter().map(|item| item.fill(challenge, signing));
                Value::Array(items.collect::<Option<_>>()?)
            }
            Self::Object(fields) => {
                let fields = fields
                    .iter()
                    .map(|(name, field)| Some((name.clone(), field.fill(challenge, signing)?)));
                Value::Object(fields.collect::<Option<_>>()?)
            }
            Self::Fixed(value) => value.clone(),
        })
    }
}

impl Text {
    fn has_mac(&self) -> bool {
        let mac = |echo: &Echo| matches!(echo, Echo::Part { mac: Some(_), .. });
        self.0.iter().any(mac)
    }

    fn fill(&self, challenge: &Challenge<'_>, signing: &Signing<'_>) -> Option<String> {
        let mut text = String::new();
        for echo in &self.0 {
            let piece = match echo {
                Echo::Literal(literal) => Cow::Borrowed(literal.as_str()),
                Echo::Part { from, mac } => {
                    let value = from.find(challenge)?;
                    match mac {
                        None => Cow::Borrowed(value),
                        Some(encoding) => Cow::Owned(signing.sign(value, *encoding)?),
                    }
                }
            };
            text.push_str(&piece);
        }
        Some(text)
    }
}

impl Echo {
    pub(in crate::signature) fn literal(text: &str) -> Self {
        Self::Literal(text.to_owned())
    }
}

impl Origin {
    fn find<'a>(&self, challenge: &'a Challenge<'_>) -> Option<&'a str> {
        let value = match self {
            Self::Query(name) => challenge.parameter(name),
            Self::Json(pointer) => challenge.value(pointer)?.as_str(),
            Self::Header(name) => challenge.header(name),
        };
        value.filter(|value| value.len() <= MAX_ECHO_BYTES)
    }
}

impl Signing<'_> {
    fn sign(&self, value: &str, encoding: Encoding) -> Option<String> {
        if self.for_anybody && !is_challenge(value.as_bytes()) {
            return None;
        }
        encoding.encode(&self.key?.mac(self.algorithm, value.as_bytes())?)
    }
}
