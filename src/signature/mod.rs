//! Signature schemes as data: one record verifies what comes in and signs what goes out.
//!
//! Read `record` for how a scheme is written, `compile` and `scheme` for what it means, `verify` and
//! `sign` for what is done with it, `checks` for several schemes on one source; `diagnose` says to people
//! why a captured request fails, `facts` what a scheme proves.
//!
//! Promise: the bytes are verified as they came; only [`verify()`] makes a [`Verified`]; no secret,
//! signature or computed MAC shows up in an error. Pure: `now` is an argument. Not here: HTTP statuses
//! (see the doors), where secrets come from (see `config`).

mod body;
mod builtin;
mod checks;
mod cloudevents;
mod compile;
mod diagnose;
mod encoding;
mod facts;
mod handshake;
mod key;
mod keygen;
mod play;
mod presets;
mod record;
mod scheme;
mod sign;
mod verify;

pub use checks::{Checks, Rule, Way};
pub use diagnose::diagnose;
pub use facts::{Facts, Replay};
pub use key::Key;
pub use keygen::{Generated, KeygenError};
pub use play::{Played, play};
pub use presets::{Maker, Preset, Sample, SampleHead};
pub use record::{
    CaptureRecord, FormRecord, HandshakeRecord, IdRecord, ReplyRecord, SchemeRecord, SecretRecord,
    SignatureRecord, TimestampRecord, TokenRecord, TypeRecord, WhenRecord,
};
pub use scheme::Scheme;
pub use sign::{called_url, sign};
pub use verify::{describe, verify};

use bytes::Bytes;
use http::header::X_CONTENT_TYPE_OPTIONS;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use jiff::Timestamp;

use crate::json::Document;
use crate::secret::Secret;

/// Longest message id or type in bytes; both become keys, labels of log lines and headers.
pub const MAX_TEXT_BYTES: usize = 256;

/// Most signatures that are read of one request; senders send one for each active secret.
pub const MAX_SIGNATURES: usize = 16;

/// Why a record is no scheme.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SchemeError {
    /// The field of the record, e.g. `signature.encoding`.
    pub path: String,
    /// What is wrong and what would be right.
    pub message: String,
}

/// Why a secret does not serve a scheme. Says what was expected, never the secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Nothing is left of it after its prefix.
    #[error("the secret is empty")]
    Empty,
    /// The mark that the key follows is not in it.
    #[error("the secret has no `{marker}`; the key is what follows it")]
    NoMarker {
        /// The mark.
        marker: String,
    },
    /// It does not decode.
    #[error("the secret is not {expected}")]
    Encoding {
        /// The encoding that it should have.
        expected: &'static str,
    },
    /// It decodes to the wrong number of bytes.
    #[error("the secret has {got} bytes instead of the {expected}")]
    Length {
        /// What it should have.
        expected: &'static str,
        /// What it has.
        got: usize,
    },
    /// A private key where the public one is wanted.
    #[error("this is a private key; verifying takes the public one")]
    PrivateKey,
    /// A public key where the private one is wanted.
    #[error("this is a public key; signing takes the private one")]
    PublicKey,
    /// The right number of bytes, but no key of the algorithm.
    #[error("the secret is not a usable key of the algorithm")]
    NoKey,
}

/// One inbound request as it came.
#[derive(Debug, Clone)]
pub struct Inbound<'a> {
    /// The method.
    pub method: &'a Method,
    /// The source's public URL as configured; what a scheme that signs `{url}` sees.
    pub url: Option<&'a str>,
    /// The query as it came, without `?`.
    pub query: Option<&'a str>,
    /// All headers.
    pub headers: &'a HeaderMap,
    /// The body as it came over the wire.
    pub wire: &'a Bytes,
    /// The body after content decoding (the same bytes where there was none).
    pub body: &'a Bytes,
    /// Whether a challenge that hands a secret over may be answered now.
    pub armed: bool,
    /// The certificate that the request says it is signed by (DER), where it says so.
    pub certificate: Option<&'a [u8]>,
}

impl<'a> Inbound<'a> {
    /// A request by this method with nothing but headers and a body that was not coded.
    #[must_use]
    pub fn new(method: &'a Method, headers: &'a HeaderMap, body: &'a Bytes) -> Self {
        Self {
            method,
            url: None,
            query: None,
            headers,
            wire: body,
            body,
            armed: false,
            certificate: None,
        }
    }

    /// The same by POST.
    #[must_use]
    pub fn post(headers: &'a HeaderMap, body: &'a Bytes) -> Self {
        Self::new(&Method::POST, headers, body)
    }
}

/// A request that is proven to come from the holder of the secret. Only this module makes one.
#[derive(Debug)]
pub struct Verified {
    content: Content,
    way: usize,
    key: usize,
    skew_seconds: Option<i64>,
    message_id_covered: bool,
}

/// What a verified request says.
#[derive(Debug)]
pub struct Content {
    /// The sender's id of the event.
    pub message_id: Option<String>,
    /// The event's type.
    pub event_type: Option<String>,
    /// The body after content decoding; what a form or an envelope holds, made JSON.
    pub body: Bytes,
    /// The parsed body; `None` if it is not JSON.
    pub json: Option<Document>,
    /// Headers that the event has in place of those that came, since its body is another.
    pub replaced: Vec<(HeaderName, HeaderValue)>,
    /// Whose id the message id is, where one sender passes on events of several: a CloudEvent's `source`.
    pub issuer: Option<String>,
}

impl Verified {
    /// What the request says.
    #[must_use]
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// What the request says, taken over.
    #[must_use]
    pub fn into_content(self) -> Content {
        self.content
    }

    /// Which way of the source's checks proved it, by position; where all must, the first.
    #[must_use]
    pub fn way(&self) -> usize {
        self.way
    }

    /// Which secret of that way matched, by position (0 is the newest).
    #[must_use]
    pub fn key(&self) -> usize {
        self.key
    }

    /// Our clock minus the sender's timestamp; `None` where the scheme has none.
    #[must_use]
    pub fn skew_seconds(&self) -> Option<i64> {
        self.skew_seconds
    }

    /// Whether the signature covers the message id, so that it may serve as a dedupe key.
    #[must_use]
    pub fn message_id_covered(&self) -> bool {
        self.message_id_covered
    }
}

/// What a request that is in order turns out to be.
#[derive(Debug)]
pub enum Verdict {
    /// An event.
    Event(Verified),
    /// A challenge, to be answered with this; never an event.
    Reply(Reply),
}

/// The answer to a challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// What the challenge is called, where it has a name.
    pub challenge: Option<String>,
    /// Whether a signature or a token has proven it; else the scheme asks for none.
    pub proven: bool,
    /// HTTP status.
    pub status: u16,
    /// Headers, `content-type` and `nosniff` among them.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Body.
    pub body: Bytes,
    /// A secret that it hands over; it is to be kept before the answer.
    pub captured: Option<Secret>,
    /// A subscription that it asks to be confirmed.
    pub subscription: Option<Subscription>,
}

impl Reply {
    /// An empty answer to a challenge of this name, which is proven.
    fn nothing_but(challenge: &str, subscription: Option<Subscription>) -> Self {
        let nosniff = HeaderValue::from_static("nosniff");
        Self {
            challenge: Some(challenge.to_owned()),
            proven: true,
            status: 200,
            headers: vec![(X_CONTENT_TYPE_OPTIONS, nosniff)],
            body: Bytes::new(),
            captured: None,
            subscription,
        }
    }
}

/// A subscription that waits to be confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// The ARN of the topic.
    pub topic: String,
    /// The URL that confirms it once it is called; whoever knows it can.
    pub url: Secret,
    /// Whether the scheme has it confirmed without an operator.
    pub at_once: bool,
}

/// Why a request is not verified. The names are a closed list, shared with the vectors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// No signature header (or field).
    #[error("the signature is missing")]
    MissingSignature,
    /// The signature header (or field) is there, but no signature of this scheme is in it.
    #[error("there is no signature of this scheme")]
    NoSignature,
    /// A signature is not written as the scheme writes it, or has the wrong length.
    #[error("a signature is not encoded as it must be")]
    BadEncoding,
    /// No signature fits the content under any of the secrets.
    #[error("no signature fits the content")]
    SignatureMismatch,
    /// A header that must be single came twice.
    #[error("the header `{0}` came more than once")]
    DuplicateHeader(HeaderName),
    /// A pair or query parameter that must be single came twice.
    #[error("a field that must be single came more than once")]
    DuplicateField,
    /// The id, which is signed, is missing or empty.
    #[error("the message id is missing")]
    MissingId,
    /// The id is longer than [`MAX_TEXT_BYTES`], or holds control characters or the separator of the content.
    #[error("the message id is not acceptable")]
    BadId,
    /// The type is longer than [`MAX_TEXT_BYTES`] or holds control characters.
    #[error("the event type is not acceptable")]
    BadType,
    /// The timestamp is missing.
    #[error("the timestamp is missing")]
    MissingTimestamp,
    /// The timestamp is not written as the scheme writes it.
    #[error("the timestamp is not written as it must be")]
    BadTimestamp,
    /// The signature is good, but the timestamp is too far from the clock.
    #[error("the timestamp is {skew_seconds} s behind our clock, tolerance {tolerance_seconds} s")]
    TimestampOutOfTolerance {
        /// Our clock minus the timestamp.
        skew_seconds: i64,
        /// How far it may be, both ways.
        tolerance_seconds: u64,
    },
    /// A header, query parameter or field of the body that is signed by itself is missing.
    #[error("a part of the signed content is missing")]
    MissingPart,
    /// The scheme signs the public URL, and none is configured.
    #[error("the public URL, which is signed, is not configured")]
    MissingUrl,
    /// There is no secret to verify with.
    #[error("there is no secret")]
    EmptySecret,
    /// A challenge whose token is not one of the secrets.
    #[error("the token of the challenge is wrong")]
    WrongToken,
    /// Not a POST, and no challenge that the scheme knows either.
    #[error("this is no challenge of the scheme")]
    NoChallenge,
    /// A challenge that hands a secret over, while the source is not armed for it.
    #[error("the source is not armed to take a secret")]
    NotArmed,
    /// The certificate that it is signed by is not one of the sender's.
    #[error("the certificate is not acceptable")]
    BadCertificate,
    /// The certificate that it is signed by could not be fetched.
    #[error("the certificate could not be fetched")]
    NoCertificate,
    /// It comes from an address that may not send. Found by the door, before the body is read.
    #[error("requests from this address are not taken")]
    AddressNotAllowed,
}

impl VerifyError {
    /// Its name in logs, metrics and vectors.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::MissingSignature => "missing_signature",
            Self::NoSignature => "no_signature",
            Self::BadEncoding => "bad_encoding",
            Self::SignatureMismatch => "signature_mismatch",
            Self::DuplicateHeader(_) => "duplicate_header",
            Self::DuplicateField => "duplicate_field",
            Self::MissingId => "missing_id",
            Self::BadId => "bad_id",
            Self::BadType => "bad_type",
            Self::MissingTimestamp => "missing_timestamp",
            Self::BadTimestamp => "bad_timestamp",
            Self::TimestampOutOfTolerance { .. } => "timestamp_out_of_tolerance",
            Self::MissingPart => "missing_part",
            Self::MissingUrl => "missing_url",
            Self::EmptySecret => "empty_secret",
            Self::WrongToken => "wrong_token",
            Self::NoChallenge => "no_challenge",
            Self::NotArmed => "not_armed",
            Self::BadCertificate => "bad_certificate",
            Self::NoCertificate => "no_certificate",
            Self::AddressNotAllowed => "address_not_allowed",
        }
    }
}

/// What is signed when a request goes out.
#[derive(Debug, Clone, Copy)]
pub struct Outbound<'a> {
    /// The message id; what a receiver dedupes by.
    pub id: &'a str,
    /// The time of the attempt.
    pub timestamp: Timestamp,
    /// The method.
    pub method: &'a Method,
    /// The full URL that the request goes to.
    pub url: &'a str,
    /// The event's type, for schemes that carry it in a header.
    pub event_type: &'a str,
    /// The body.
    pub body: &'a [u8],
}

/// Why a request cannot be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The scheme can only verify.
    #[error("this scheme can only verify, since {0}")]
    VerifyOnly(&'static str),
    /// The scheme signs a part of the body that this body does not have.
    #[error("the body has nothing at `{0}`, which is signed")]
    MissingPart(String),
    /// The scheme signs the hash of a body that is no form in the URL, which does not have it.
    #[error("the URL has no `{0}` of this body, which is signed")]
    MissingHash(&'static str),
    /// There is no key.
    #[error("there is no secret to sign with")]
    NoKey,
    /// A key that was decoded for verifying.
    #[error("a public key cannot sign")]
    PublicKey,
    /// The id cannot be told from what follows it in the signed content.
    #[error("the message id holds the separator of the signed content")]
    BadId,
    /// A value that no header can hold.
    #[error("the {0} cannot stand in a header")]
    BadHeader(&'static str),
}
