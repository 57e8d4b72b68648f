//! How bytes and times are written: signatures strictly, secrets leniently, timestamps as plain digits.
//!
//! Promise: a signature has one way of being written (but for the case of hex digits), so a changed
//! spelling never passes. Secrets are forgiven their padding and trailing bits, since people copy them.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use jiff::Timestamp;

/// Most digits of a timestamp: those of `i64::MAX`.
const MAX_TIMESTAMP_DIGITS: usize = 19;

/// Longest RFC 3339 time in bytes, with nanoseconds and offset and some room.
const MAX_RFC3339_BYTES: usize = 40;

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// How a signature's bytes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// Two digits a byte, either case.
    Hex,
    /// The standard alphabet, padded, canonical.
    Base64,
    /// As they are; only tokens.
    Plain,
}

impl Encoding {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Hex => "hex",
            Self::Base64 => "base64",
            Self::Plain => "plain text",
        }
    }

    /// The text; `None` if the bytes are none and stand as they are.
    pub(super) fn encode(self, bytes: &[u8]) -> Option<String> {
        match self {
            Self::Hex => Some(hex::encode(bytes)),
            Self::Base64 => Some(STANDARD.encode(bytes)),
            Self::Plain => String::from_utf8(bytes.to_vec()).ok(),
        }
    }

    /// The bytes, if the text is exactly this encoding.
    pub(super) fn decode(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Self::Hex => hex::decode(text).ok(),
            Self::Base64 => STANDARD.decode(text).ok(),
            Self::Plain => Some(text.as_bytes().to_vec()),
        }
    }

    /// Whether a character can stand in what [`Self::encode`] makes.
    pub(super) fn writes(self, c: char) -> bool {
        match self {
            Self::Hex => c.is_ascii_hexdigit(),
            Self::Base64 => c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '='),
            Self::Plain => true,
        }
    }
}

/// The DER within a PEM of one block; `None` if that is not what it is.
pub(super) fn pem(text: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let (_, rest) = text.strip_prefix("-----BEGIN ")?.split_once("-----")?;
    let (body, _) = rest.split_once("-----END ")?;
    let body: String = body.split_ascii_whitespace().collect();
    LENIENT.decode(body).ok()
}

/// How a key is written in its secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SecretEncoding {
    /// The secret's own bytes.
    Utf8,
    Base64,
    Hex,
}

impl SecretEncoding {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "utf8",
            Self::Base64 => "base64",
            Self::Hex => "hex",
        }
    }

    pub(super) fn decode(self, secret: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Utf8 => Some(secret.to_vec()),
            Self::Base64 => LENIENT.decode(secret).ok(),
            Self::Hex => hex::decode(secret).ok(),
        }
    }
}

/// How a time is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimeUnit {
    Seconds,
    Millis,
    Rfc3339,
}

impl TimeUnit {
    pub(super) fn write(self, time: Timestamp) -> String {
        match self {
            Self::Seconds => time.as_second().to_string(),
            Self::Millis => time.as_millisecond().to_string(),
            Self::Rfc3339 => time.to_string(),
        }
    }

    /// The time, if the text is exactly of this unit: digits have no sign, space or leading zero.
    pub(super) fn read(self, text: &str) -> Option<Timestamp> {
        match self {
            Self::Seconds => Timestamp::from_second(plain_digits(text)?).ok(),
            Self::Millis => Timestamp::from_millisecond(plain_digits(text)?).ok(),
            Self::Rfc3339 if text.len() <= MAX_RFC3339_BYTES => text.parse().ok(),
            Self::Rfc3339 => None,
        }
    }
}

fn plain_digits(text: &str) -> Option<i64> {
    let plain = !text.is_empty()
        && text.len() <= MAX_TIMESTAMP_DIGITS
        && text.bytes().all(|b| b.is_ascii_digit())
        && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_read_strictly() {
        for (encoding, text, wanted) in [
            (Encoding::Hex, "00ff", Some(vec![0, 255])),
            (Encoding::Hex, "00FF", Some(vec![0, 255])),
            (Encoding::Hex, "", Some(vec![])),
            (Encoding::Hex, "00f", None),
            (Encoding::Hex, "0x00ff", None),
            (Encoding::Hex, "00 ff", None),
            (Encoding::Hex, " 00ff", None),
            (Encoding::Hex, "00fg", None),
            (Encoding::Base64, "AP8=", Some(vec![0, 255])),
            (Encoding::Base64, "AP8", None),
            (Encoding::Base64, "AP9=", None),
            (Encoding::Base64, "AP8==", None),
            (Encoding::Base64, "A*8=", None),
            (Encoding::Base64, "AP8= ", None),
            (Encoding::Base64, "--__", None),
            (Encoding::Base64, "++//", Some(vec![0xfb, 0xef, 0xff])),
            (Encoding::Plain, "a b=", Some(b"a b=".to_vec())),
        ] {
            assert_eq!(encoding.decode(text), wanted, "{encoding:?} {text:?}");
        }
    }

    #[test]
    fn secrets_are_read_leniently() {
        for (encoding, text, wanted) in [
            (SecretEncoding::Utf8, "AP8=", Some(b"AP8=".to_vec())),
            (SecretEncoding::Base64, "AP8=", Some(vec![0, 255])),
            (SecretEncoding::Base64, "AP8", Some(vec![0, 255])),
            (SecretEncoding::Base64, "AP9", Some(vec![0, 255])),
            (SecretEncoding::Base64, "A", None),
            (SecretEncoding::Base64, "A*8=", None),
            (SecretEncoding::Hex, "00Ff", Some(vec![0, 255])),
            (SecretEncoding::Hex, "0", None),
        ] {
            let got = encoding.decode(text.as_bytes());
            assert_eq!(got, wanted, "{encoding:?} {text:?}");
        }
    }

    #[test]
    fn timestamps() {
        for (unit, text, wanted) in [
            (TimeUnit::Seconds, "1614265330", Some(1_614_265_330_000)),
            (TimeUnit::Seconds, "0", Some(0)),
            (TimeUnit::Seconds, "", None),
            (TimeUnit::Seconds, "+1614265330", None),
            (TimeUnit::Seconds, " 1614265330", None),
            (TimeUnit::Seconds, "01614265330", None),
            (TimeUnit::Seconds, "1614265330.5", None),
            (TimeUnit::Seconds, "1614265330e0", None),
            (TimeUnit::Seconds, "0x6037bbf2", None),
            (TimeUnit::Seconds, "161_4265330", None),
            (TimeUnit::Seconds, "\u{661}\u{666}", None),
            (TimeUnit::Seconds, "nan", None),
            (TimeUnit::Seconds, "-9223372036854775808", None),
            (TimeUnit::Seconds, "99999999999999999999", None),
            // milliseconds where seconds are wanted: beyond the year 9999
            (TimeUnit::Seconds, "1767607200000", None),
            (TimeUnit::Millis, "1767607200001", Some(1_767_607_200_001)),
            (
                TimeUnit::Rfc3339,
                "2026-01-05T10:00:00Z",
                Some(1_767_607_200_000),
            ),
            (TimeUnit::Rfc3339, "yesterday", None),
            (TimeUnit::Rfc3339, "1767607200", None),
        ] {
            let got = unit.read(text).map(Timestamp::as_millisecond);
            assert_eq!(got, wanted, "{unit:?} {text:?}");
            if let Some(time) = unit.read(text) {
                assert_eq!(unit.write(time), text);
            }
        }
    }
}
