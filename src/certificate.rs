//! The few facts of a certificate that are shown or compared: names, and from when to when it counts.
//!
//! A reader of as much DER as that takes. It judges nothing: whether a certificate is sound is the TLS library's to
//! say, and what cannot be read here is `None`. Not here: signatures, extensions.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const BITS: u8 = 0x03;
const OBJECT_ID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// `[0]`: the version, which stands first unless it is the oldest.
const VERSION: u8 = 0xa0;
const PRINTABLE: u8 = 0x13;
const UTF8: u8 = 0x0c;
const IA5: u8 = 0x16;

/// The object id of keys of RSA (RFC 8017).
const RSA: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

/// Parts of a name (X.520, RFC 4519) that are shown, by their object id.
const PARTS: [(&[u8], &str); 5] = [
    (&[0x55, 0x04, 0x03], "CN"),
    (&[0x55, 0x04, 0x0b], "OU"),
    (&[0x55, 0x04, 0x0a], "O"),
    (&[0x55, 0x04, 0x07], "L"),
    (&[0x55, 0x04, 0x06], "C"),
];

/// Most characters of a name that are shown; a certificate may have any number.
const NAME_CHARS: usize = 200;

/// What a certificate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts<'a> {
    /// Who signed it, as it stands there.
    pub issuer: &'a [u8],
    /// Whose it is, as it stands there.
    pub subject: &'a [u8],
    /// From when it counts.
    pub not_before: Timestamp,
    /// Until when it counts.
    pub not_after: Timestamp,
    /// The key, as it stands there (SubjectPublicKeyInfo).
    key: &'a [u8],
}

/// Reads a certificate.
#[must_use]
pub fn read(der: &[u8]) -> Option<Facts<'_>> {
    let (certificate, _) = take(der, SEQUENCE)?;
    let (signed, _) = take(certificate, SEQUENCE)?;
    let rest = take(signed, VERSION).map_or(signed, |(_, rest)| rest);
    // The serial number and the algorithm of the signature.
    let (_, _, rest) = any(rest)?;
    let (_, _, rest) = any(rest)?;
    let (issuer, rest) = take(rest, SEQUENCE)?;
    let (validity, rest) = take(rest, SEQUENCE)?;
    let (subject, rest) = take(rest, SEQUENCE)?;
    let (key, _) = take(rest, SEQUENCE)?;
    let (kind, text, after) = any(validity)?;
    let not_before = time(kind, text)?;
    let (kind, text, _) = any(after)?;
    let not_after = time(kind, text)?;
    Some(Facts {
        issuer,
        subject,
        not_before,
        not_after,
        key,
    })
}

/// The key of a certificate (RSAPublicKey, RFC 8017), if it is one of RSA.
#[must_use]
pub fn rsa_key<'a>(facts: &Facts<'a>) -> Option<&'a [u8]> {
    let (algorithm, rest) = take(facts.key, SEQUENCE)?;
    let (id, _) = take(algorithm, OBJECT_ID)?;
    let (bits, _) = take(rest, BITS)?;
    // How many bits of the last byte are none comes first.
    bits.strip_prefix(&[0]).filter(|_| id == RSA)
}

/// A name for people, such as `CN=ops, O=Example`; what is no plain text in it is left out.
#[must_use]
pub fn name(mut der: &[u8]) -> String {
    let mut parts = Vec::new();
    while let Some((set, rest)) = take(der, SET) {
        der = rest;
        parts.extend(part(set));
    }
    parts.join(", ").chars().take(NAME_CHARS).collect()
}

fn part(set: &[u8]) -> Option<String> {
    let (pair, _) = take(set, SEQUENCE)?;
    let (id, rest) = take(pair, OBJECT_ID)?;
    let (kind, value, _) = any(rest)?;
    let (_, label) = PARTS.iter().find(|(known, _)| *known == id)?;
    if ![PRINTABLE, UTF8, IA5].contains(&kind) {
        return None;
    }
    let text: String = std::str::from_utf8(value)
        .ok()?
        .chars()
        .filter(|c| !c.is_control())
        .collect();
    Some(format!("{label}={text}"))
}

/// The content of the first element, if it is of this kind, and what follows it.
fn take(der: &[u8], kind: u8) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = any(der)?;
    (found == kind).then_some((content, rest))
}

/// The first element: its kind, its content, and what follows it.
fn any(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&kind, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if digits.is_empty() || digits.len() > 4 {
            return None;
        }
        let length = digits
            .iter()
            .fold(0_u64, |sum, digit| (sum << 8) | u64::from(*digit));
        (usize::try_from(length).ok()?, rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((kind, content, rest))
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ` (RFC 5280, 4.1.2.5).
fn time(kind: u8, text: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let whole = match kind {
        UTC_TIME if text.len() == 12 => {
            let century = if text < "50" { "20" } else { "19" };
            format!("{century}{text}")
        }
        GENERALIZED_TIME if text.len() == 14 => text.to_owned(),
        _ => return None,
    };
    let date = DateTime::strptime("%Y%m%d%H%M%S", whole).ok()?;
    // The end of the year 9999, which means never, is one that no timestamp has.
    Some(
        date.to_zoned(TimeZone::UTC)
            .map_or(Timestamp::MAX, |zoned| zoned.timestamp()),
    )
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn facts_are_read() {
        let key = KeyPair::generate().unwrap();
        for (from, to, wanted) in [
            (
                (2020, 1, 2),
                (2049, 12, 31),
                ["2020-01-02T00:00:00Z", "2049-12-31T00:00:00Z"],
            ),
            (
                (1975, 1, 1),
                (2050, 1, 1),
                ["1975-01-01T00:00:00Z", "2050-01-01T00:00:00Z"],
            ),
        ] {
            let mut params = CertificateParams::new(["a.example".to_owned()]).unwrap();
            params.not_before = date_time_ymd(from.0, from.1, from.2);
            params.not_after = date_time_ymd(to.0, to.1, to.2);
            params
                .distinguished_name
                .push(DnType::CommonName, "ops\u{7}é");
            params
                .distinguished_name
                .push(DnType::OrganizationName, "Example");
            let certificate = params.self_signed(&key).unwrap();
            let facts = read(certificate.der()).unwrap();
            assert_eq!(facts.issuer, facts.subject);
            assert_eq!(rsa_key(&facts), None);
            let name = name(facts.subject);
            assert!(
                name.contains("CN=opsé") && name.contains("O=Example"),
                "{name}"
            );
            let times = [facts.not_before, facts.not_after].map(|time| time.to_string());
            assert_eq!(times, wanted);
            // Cut anywhere, it is not read, and nothing breaks.
            for end in 0..certificate.der().len() {
                assert_eq!(read(&certificate.der()[..end]), None);
            }
        }
    }

    #[test]
    fn times_are_read() {
        for (kind, text, wanted) in [
            (UTC_TIME, "491231235959Z", Some("2049-12-31T23:59:59Z")),
            (UTC_TIME, "500101000000Z", Some("1950-01-01T00:00:00Z")),
            (UTC_TIME, "20500101000000Z", None),
            (UTC_TIME, "500101000000", None),
            (UTC_TIME, "501301000000Z", None),
            (
                GENERALIZED_TIME,
                "20500101000000Z",
                Some("2050-01-01T00:00:00Z"),
            ),
            (
                GENERALIZED_TIME,
                "99991231235959Z",
                Some("9999-12-30T22:00:00.999999999Z"),
            ),
            (GENERALIZED_TIME, "", None),
        ] {
            let got = time(kind, text.as_bytes()).map(|time| time.to_string());
            assert_eq!(got.as_deref(), wanted, "{text}");
        }
    }
}
