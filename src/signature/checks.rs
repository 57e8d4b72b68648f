//! The ways in which the senders of one source may prove themselves: one, or several for a migration.
//!
//! Promise: with one way this is [`verify()`](super::verify()) and costs nothing besides. With several,
//! either any of them is enough or all are needed. Not here: addresses (see the door).

use std::fmt::Write as _;

use http::{HeaderName, Method};
use jiff::Timestamp;

use super::verify::verify_by;
use super::{Inbound, Key, Scheme, Verdict, VerifyError};
use crate::secret::SecretName;

/// How many of the ways must prove a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Any one.
    Any,
    /// All of them; the first says what the event's id and type are.
    All,
}

/// A scheme with its secrets.
#[derive(Debug, Clone)]
pub struct Way {
    /// How senders sign.
    pub scheme: Scheme,
    /// The preset that the scheme is of, or `custom`.
    pub name: String,
    /// Decoded secrets, newest first; all are accepted.
    pub keys: Vec<Key>,
    /// What challenges carry that have a token; the secrets, where there are none.
    pub tokens: Vec<Key>,
    /// Where the secrets come from, in their order.
    pub secrets: Vec<SecretName>,
}

/// The ways of a source.
#[derive(Debug, Clone)]
pub struct Checks {
    rule: Rule,
    first: Way,
    others: Vec<Way>,
}

impl Way {
    /// A way by these keys, which are its tokens as well.
    #[must_use]
    pub fn new(scheme: Scheme, name: impl Into<String>, keys: Vec<Key>) -> Self {
        Self {
            scheme,
            name: name.into(),
            keys,
            tokens: Vec::new(),
            secrets: Vec::new(),
        }
    }

    fn verify(&self, request: &Inbound<'_>, now: Timestamp) -> Result<Verdict, VerifyError> {
        let tokens = match self.tokens.as_slice() {
            [] => &self.keys,
            tokens => tokens,
        };
        verify_by(&self.scheme, &self.keys, tokens, request, now)
    }
}

impl Checks {
    /// One way.
    #[must_use]
    pub fn one(way: Way) -> Self {
        Self::several(Rule::Any, way, Vec::new())
    }

    /// Several ways, in the order in which they are tried.
    #[must_use]
    pub fn several(rule: Rule, first: Way, others: Vec<Way>) -> Self {
        Self {
            rule,
            first,
            others,
        }
    }

    /// The first way, or the only one; senders that are played sign by it.
    #[must_use]
    pub fn first(&self) -> &Way {
        &self.first
    }

    /// All ways.
    pub fn ways(&self) -> impl Iterator<Item = &Way> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// The way at this position.
    #[must_use]
    pub fn way(&self, at: usize) -> Option<&Way> {
        self.ways().nth(at)
    }

    /// What it is called: the name of the only way, or `any of a, b`.
    #[must_use]
    pub fn name(&self) -> String {
        if self.others.is_empty() {
            return self.first.name.clone();
        }
        let rule = match self.rule {
            Rule::Any => "any",
            Rule::All => "all",
        };
        let mut name = format!("{rule} of {}", self.first.name);
        for way in &self.others {
            // writing to a text does not fail
            let _ = write!(name, ", {}", way.name);
        }
        name
    }

    /// Proves a request, or says why not.
    ///
    /// # Errors
    /// With several ways of which any counts, the error of the one that came furthest, else that of the first.
    pub fn verify(&self, request: &Inbound<'_>, now: Timestamp) -> Result<Verdict, VerifyError> {
        let first = self.first.verify(request, now);
        if self.others.is_empty() {
            return first;
        }
        match self.rule {
            Rule::Any => self.any(first, request, now),
            Rule::All => self.all(first, request, now),
        }
    }

    fn any(
        &self,
        first: Result<Verdict, VerifyError>,
        request: &Inbound<'_>,
        now: Timestamp,
    ) -> Result<Verdict, VerifyError> {
        let mut furthest = match first {
            Ok(verdict) => return Ok(verdict),
            Err(error) => error,
        };
        for (at, way) in (1..).zip(&self.others) {
            match way.verify(request, now) {
                Ok(Verdict::Event(mut event)) => {
                    event.way = at;
                    return Ok(Verdict::Event(event));
                }
                Ok(reply) => return Ok(reply),
                Err(error) if how_far(&error) > how_far(&furthest) => furthest = error,
                Err(_) => {}
            }
        }
        Err(furthest)
    }

    /// A challenge that is good for one way is answered, since no way makes an event of it.
    fn all(
        &self,
        first: Result<Verdict, VerifyError>,
        request: &Inbound<'_>,
        now: Timestamp,
    ) -> Result<Verdict, VerifyError> {
        if matches!(first, Ok(Verdict::Reply(_))) {
            return first;
        }
        let mut whole = first;
        for way in &self.others {
            match way.verify(request, now) {
                Ok(Verdict::Event(_)) => {}
                Ok(reply) => return Ok(reply),
                Err(error) if whole.is_ok() => whole = Err(error),
                Err(_) => {}
            }
        }
        whole
    }

    /// Whether requests of this method can be anything at all: POST always, others if a handshake uses them.
    #[must_use]
    pub fn takes(&self, method: &Method) -> bool {
        self.ways().any(|way| way.scheme.takes(method))
    }

    /// Whether a way reads this header as a credential, so that it is dropped from events.
    #[must_use]
    pub fn is_credential(&self, header: &HeaderName) -> bool {
        self.ways().any(|way| way.scheme.is_credential(header))
    }

    /// Whether the signature of every event covers its message id.
    #[must_use]
    pub fn covers_message_id(&self) -> bool {
        match self.rule {
            Rule::Any => self.ways().all(|way| way.scheme.covers_message_id()),
            Rule::All => self.first.scheme.covers_message_id(),
        }
    }

    /// Whether a way needs the source's public URL.
    #[must_use]
    pub fn needs_url(&self) -> bool {
        self.ways().any(|way| way.scheme.needs_url())
    }
}

/// How far a way came until it failed: the others found no signature of their own to begin with.
fn how_far(error: &VerifyError) -> u8 {
    match error {
        VerifyError::MissingSignature | VerifyError::NoSignature | VerifyError::NoChallenge => 0,
        // the signature was good
        VerifyError::TimestampOutOfTolerance { .. } => 2,
        _ => 1,
    }
}
