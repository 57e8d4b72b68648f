//! What no record can say: each has code of its own in place of `content`.
//!
//! Promise: pure, as all of `signature`. Not here: what the record around it means (see `compile`).

pub(super) mod sns;
pub(super) mod twilio;

/// A scheme with code of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Builtin {
    /// The URL and the sorted fields of a form, or the hash of the body.
    Twilio,
    /// Messages of a topic, signed by a key whose certificate is fetched.
    Sns(sns::Rule),
}

impl Builtin {
    /// Whether the public URL is signed.
    pub(super) fn signs_url(&self) -> bool {
        match self {
            Self::Twilio => true,
            Self::Sns(_) => false,
        }
    }
}
