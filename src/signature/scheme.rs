//! What a compiled scheme is made of, and what it can be asked.
//!
//! Promise: a [`Scheme`] can be carried out without further checks. Only `compile` makes one.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, Method, Uri};

use super::Inbound;
use super::builtin::{Builtin, sns};
use super::encoding::{Encoding, SecretEncoding, TimeUnit};
use super::handshake::{Handshake, Proof};
use super::key::Algorithm;
use crate::json::Document;

/// A compiled scheme.
#[derive(Debug, Clone)]
pub struct Scheme {
    pub(super) algorithm: Algorithm,
    /// What is signed, in order; nothing for a token, an address and what has code of its own.
    pub(super) content: Vec<Part>,
    /// What is verified by code of its own.
    pub(super) builtin: Option<Builtin>,
    pub(super) signed_body: SignedBody,
    /// None where the sender's address is all the proof there is.
    pub(super) signature: Option<SignatureForm>,
    pub(super) secret: SecretForm,
    pub(super) timestamp: Option<TimeRule>,
    pub(super) id: Option<Place>,
    pub(super) event_type: Option<Place>,
    /// The type of events that name none.
    pub(super) default_type: Option<String>,
    /// How forms become objects, if they do.
    pub(super) form: Option<FormRule>,
    /// Whether events are CloudEvents, in an envelope or in headers.
    pub(super) cloudevents: bool,
    pub(super) handshakes: Vec<Handshake>,
}

/// A part of the signed content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Literal(String),
    Id,
    Timestamp,
    Body,
    Url,
    Method,
    /// What stands at a place of its own.
    At(Place),
}

/// Which bytes `{body}` stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SignedBody {
    Wire,
    Decoded,
}

/// Where something stands in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Header(HeaderName),
    /// A JSON pointer into the body.
    Json(String),
    /// A query parameter.
    Query(String),
}

#[derive(Debug, Clone)]
pub(super) struct SignatureForm {
    pub(super) place: SignaturePlace,
    /// The separator of several signatures.
    pub(super) list: Option<String>,
    pub(super) style: Style,
    pub(super) encoding: Encoding,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SignaturePlace {
    At(Place),
    /// The places in the body that this pointer with a segment `*` stands for; only of tokens.
    Each(String),
}

/// What stands around the value of a signature.
#[derive(Debug, Clone)]
pub(super) enum Style {
    Plain,
    Prefix {
        text: String,
        optional: bool,
    },
    Pairs {
        separator: String,
        /// Never empty; the first is used for signing.
        keys: Vec<String>,
        bare: bool,
    },
}

#[derive(Debug, Clone)]
pub(super) struct SecretForm {
    pub(super) strip: Strip,
    pub(super) encoding: SecretEncoding,
}

#[derive(Debug, Clone)]
pub(super) enum Strip {
    Nothing,
    Prefix(String),
    After(String),
}

#[derive(Debug, Clone)]
pub(super) struct TimeRule {
    pub(super) place: TimePlace,
    pub(super) unit: TimeUnit,
    pub(super) tolerance: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TimePlace {
    At(Place),
    /// A pair beside the signature.
    Pair(String),
}

/// How a form becomes an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FormRule {
    /// The field that holds the event as JSON.
    pub(super) json: Option<String>,
}

impl Scheme {
    /// Whether requests of this method can be anything at all for this scheme: POST always, others if a handshake uses them.
    #[must_use]
    pub fn takes(&self, method: &Method) -> bool {
        method == Method::POST || self.handshakes.iter().any(|h| h.method() == method)
    }

    /// Whether the scheme reads this header as a credential (signature, token), so that it is dropped from events.
    #[must_use]
    pub fn is_credential(&self, header: &HeaderName) -> bool {
        let place = self.signature.as_ref().map(|form| &form.place);
        matches!(place, Some(SignaturePlace::At(Place::Header(name))) if name == header)
            || self.captured_in().any(|name| name == header)
    }

    /// Whether the signature covers the message id: as a part of the signed content, or within the signed body. That of a
    /// CloudEvent is covered in some events at least, each of which says so itself.
    #[must_use]
    pub fn covers_message_id(&self) -> bool {
        if self.cloudevents {
            return self.content.is_empty() || self.signs(&Part::Body);
        }
        let Some(place) = &self.id else {
            return false;
        };
        let in_body = matches!(place, Place::Json(_)) && self.signs(&Part::Body);
        let is_of_sns = matches!(self.builtin, Some(Builtin::Sns(_)))
            && *place == Place::Json("/MessageId".to_owned());
        in_body || is_of_sns || self.id_part().is_some()
    }

    /// What of an event is read from its body, and by which JSON pointer: its id, its type.
    pub fn read_from_body(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let places = [("message id", &self.id), ("type", &self.event_type)];
        places.into_iter().filter_map(|(what, place)| match place {
            Some(Place::Json(pointer)) => Some((what, pointer.as_str())),
            Some(Place::Header(_) | Place::Query(_)) | None => None,
        })
    }

    /// The body as it is signed.
    #[must_use]
    pub fn signed_body<'a>(&self, request: &Inbound<'a>) -> &'a Bytes {
        match self.signed_body {
            SignedBody::Wire => request.wire,
            SignedBody::Decoded => request.body,
        }
    }

    /// Whether the scheme needs the source's public URL.
    #[must_use]
    pub fn needs_url(&self) -> bool {
        self.signs(&Part::Url) || self.builtin.as_ref().is_some_and(Builtin::signs_url)
    }

    /// Whether it has secrets: all have, but those of which the sender's address is all the proof, or a certificate.
    #[must_use]
    pub fn needs_secrets(&self) -> bool {
        !self.is_by_address() && !matches!(self.builtin, Some(Builtin::Sns(_)))
    }

    /// Whether the sender's address is all the proof.
    #[must_use]
    pub fn is_by_address(&self) -> bool {
        self.algorithm == Algorithm::Address
    }

    /// Whether it does not say which topics of SNS count, so that none does.
    #[must_use]
    pub fn lacks_topics(&self) -> bool {
        matches!(&self.builtin, Some(Builtin::Sns(rule)) if rule.topics.is_empty())
    }

    /// Where the certificate is that a request says it is signed by; `None` if it says none that may be asked for.
    #[must_use]
    pub fn certificate_url(&self, request: &Inbound<'_>) -> Option<Uri> {
        let Some(Builtin::Sns(rule)) = &self.builtin else {
            return None;
        };
        let json = Document::parse(request.body).ok()?;
        sns::certificate_url(rule, Some(json.root()))
    }

    /// Whether it keeps something of the body in the URL that is called.
    #[must_use]
    pub fn changes_url(&self) -> bool {
        matches!(self.builtin, Some(Builtin::Twilio))
    }

    /// Whether a challenge hands a secret over.
    #[must_use]
    pub fn captures(&self) -> bool {
        self.captured_in().next().is_some()
    }

    /// The headers in which secrets are handed over.
    fn captured_in(&self) -> impl Iterator<Item = &HeaderName> {
        let handshakes = self.handshakes.iter();
        handshakes.filter_map(|handshake| match handshake.proof() {
            Proof::Capture(name) => Some(name),
            Proof::Signed | Proof::Token(_) | Proof::Open => None,
        })
    }

    /// Whether a challenge carries a token.
    #[must_use]
    pub fn asks_for_tokens(&self) -> bool {
        self.handshakes.iter().any(Handshake::has_token)
    }

    /// Whether it needs tokens besides its secrets, since it has none or these are public keys.
    #[must_use]
    pub fn needs_tokens(&self) -> bool {
        let shared = self.needs_secrets() && !self.algorithm.is_asymmetric();
        self.asks_for_tokens() && !shared
    }

    pub(super) fn signs(&self, part: &Part) -> bool {
        self.content.contains(part)
    }

    /// Whether there are challenges by POST that nothing proves.
    pub(super) fn has_open_challenges(&self) -> bool {
        let mut handshakes = self.handshakes.iter();
        handshakes.any(|h| h.method() == Method::POST && *h.proof() == Proof::Open)
    }

    /// Whether anybody can have something signed by our key, in the answer to a challenge.
    pub(super) fn signs_for_anybody(&self) -> bool {
        let mut handshakes = self.handshakes.iter();
        handshakes.any(|h| *h.proof() != Proof::Signed && h.has_mac())
    }

    /// Where in the content the id stands.
    fn id_part(&self) -> Option<usize> {
        let place = self.id.as_ref()?;
        let is_id = |part: &Part| match part {
            Part::Id => true,
            Part::At(other) => other == place,
            _ => false,
        };
        self.content.iter().position(is_id)
    }

    /// What separates the id from what follows it in the content. An id that holds it could be another
    /// split of the same signed bytes.
    pub(super) fn id_separator(&self) -> Option<char> {
        match self.content.get(self.id_part()? + 1) {
            Some(Part::Literal(text)) => text.chars().next(),
            _ => None,
        }
    }

    /// Whether this is Standard Webhooks with shared secrets, under whatever headers.
    pub(super) fn is_standard(&self) -> bool {
        let dot = || Part::Literal(".".to_owned());
        self.algorithm == Algorithm::HmacSha256
            && self.content == [Part::Id, dot(), Part::Timestamp, dot(), Part::Body]
    }
}
