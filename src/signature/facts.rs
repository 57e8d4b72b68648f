//! What a scheme proves, in words: worked out from the compiled scheme, so that no list of vendors says
//! more than is done.

use std::fmt;
use std::time::Duration;

use super::builtin::Builtin;
use super::handshake::Handshake;
use super::key::Algorithm;
use super::scheme::{Part, Place, Scheme, SignaturePlace, TimePlace};

/// What a scheme proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// What is verified: the algorithm and what it covers.
    pub verified: String,
    /// What keeps a request that was seen from being sent again.
    pub replay: Replay,
    /// The challenges that are answered, in order.
    pub handshakes: Vec<String>,
}

/// What keeps a request that somebody has seen from being sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replay {
    /// How far a signed timestamp may be from the clock, both ways.
    pub within: Option<Duration>,
    /// Whether the message id is signed, so that it serves as a dedupe key.
    pub id: bool,
    /// Whether the body is signed, so that at least no other one can be sent.
    pub body: bool,
}

impl fmt::Display for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let within = self
            .within
            .map(|within| format!("timestamp within {} s", within.as_secs()));
        let id = self.id.then(|| "id".to_owned());
        let signed: Vec<String> = within.into_iter().chain(id).collect();
        match (signed.is_empty(), self.body) {
            (false, true) => f.write_str(&signed.join(", ")),
            (false, false) => write!(f, "{}; not the body", signed.join(", ")),
            (true, true) => f.write_str("body only"),
            (true, false) => f.write_str("no"),
        }
    }
}

impl Scheme {
    /// What it proves.
    #[must_use]
    pub fn facts(&self) -> Facts {
        Facts {
            verified: self.verified(),
            replay: self.replay(),
            handshakes: self.handshakes.iter().map(Handshake::label).collect(),
        }
    }

    fn verified(&self) -> String {
        if let Some(Builtin::Sns(_)) = &self.builtin {
            return "a certificate of AWS over the message of a topic".to_owned();
        }
        let Some(form) = &self.signature else {
            return "the sender's address".to_owned();
        };
        if self.algorithm == Algorithm::Token {
            return match &form.place {
                SignaturePlace::At(Place::Header(header)) => format!("token in {header}"),
                SignaturePlace::At(Place::Query(name)) => format!("token in ?{name}"),
                SignaturePlace::At(Place::Json(pointer)) | SignaturePlace::Each(pointer) => {
                    format!("token at {pointer} of the body")
                }
            };
        }
        if self.builtin == Some(Builtin::Twilio) {
            return format!("{} over url, sorted form", self.algorithm.name());
        }
        let parts: Vec<String> = self.content.iter().filter_map(part).collect();
        format!("{} over {}", self.algorithm.name(), parts.join(", "))
    }

    fn replay(&self) -> Replay {
        let is_sns = matches!(self.builtin, Some(Builtin::Sns(_)));
        let body = self.signs(&Part::Body) || self.builtin.is_some();
        let within = self.timestamp.as_ref().filter(|rule| {
            let in_body = matches!(rule.place, TimePlace::At(Place::Json(_)));
            self.signs(&Part::Timestamp) || (in_body && body)
        });
        Replay {
            within: within.map(|rule| rule.tolerance),
            // a token signs nothing, whatever it lets in
            id: (!self.content.is_empty() || is_sns) && self.covers_message_id(),
            body,
        }
    }
}

/// A part of the signed content; literal text says nothing.
fn part(part: &Part) -> Option<String> {
    Some(match part {
        Part::Literal(_) => return None,
        Part::Id => "id".to_owned(),
        Part::Timestamp => "timestamp".to_owned(),
        Part::Body => "body".to_owned(),
        Part::Url => "url".to_owned(),
        Part::Method => "method".to_owned(),
        Part::At(Place::Header(name)) => name.to_string(),
        Part::At(Place::Json(pointer)) => pointer.clone(),
        Part::At(Place::Query(name)) => format!("?{name}"),
    })
}
