//! What no record can say: each has code of its own in place of `content`.
//!
//! Promise: pure, as all of `signature`. Not here: what the record around it means (see `compile`).

pub(super) mod twilio;

/// A scheme with code of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Builtin {
    /// The URL and the sorted fields of a form, or the hash of the body.
    Twilio,
}

impl Builtin {
    /// Whether the public URL is signed.
    pub(super) fn signs_url(&self) -> bool {
        match self {
            Self::Twilio => true,
        }
    }
}
