//! Why a captured request fails, in words for the person who set the source up.
//!
//! Tries the likely mistakes one at a time: each is a change to the scheme or to the body under which
//! the request would verify. Never says a secret or a computed signature. For the command line only: it
//! tells more than a sender may know.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method};
use jiff::Timestamp;

use super::encoding::{Encoding, SecretEncoding};
use super::key::{Algorithm, Key};
use super::scheme::{Part, Place, Scheme, SignedBody, Strip, Style};
use super::{Checks, Inbound, Verdict, VerifyError, verify};
use crate::secret::Secret;

/// Says in plain words what verifying a captured request comes to: which secret matched, or why it fails
/// and what change would make it pass. `secrets` are as configured, not yet decoded.
#[must_use]
pub fn diagnose(
    scheme: &Scheme,
    secrets: &[Secret],
    request: &Inbound<'_>,
    now: Timestamp,
) -> Vec<String> {
    let mut words = Vec::new();
    let mut keys = Vec::new();
    let mut positions = Vec::new();
    for (at, secret) in secrets.iter().enumerate() {
        match scheme.verifying_key(secret) {
            Ok(key) => {
                words.extend(
                    scheme
                        .advice(&key)
                        .map(|advice| format!("secret {at}: {advice}")),
                );
                keys.push(key);
                positions.push(at);
            }
            Err(error) => words.push(format!("secret {at} cannot be used: {error}")),
        }
    }
    match verify(scheme, &keys, request, now) {
        Ok(verdict) => words.push(success(&verdict, &positions)),
        Err(error) => {
            words.push(failure(scheme, request, &error));
            let worth_trying = match error {
                // It may stand under another name; where nothing looks like one, nothing can be tried.
                VerifyError::MissingSignature => signature_like(request.headers).next().is_some(),
                VerifyError::NoSignature
                | VerifyError::BadEncoding
                | VerifyError::SignatureMismatch => true,
                _ => false,
            };
            if worth_trying {
                words.extend(tried(scheme, secrets, &keys, request, now));
            }
        }
    }
    words
}

impl Checks {
    /// [`diagnose`] for each way; the words begin with its name where there are several.
    #[must_use]
    pub fn diagnose(&self, request: &Inbound<'_>, now: Timestamp) -> Vec<String> {
        let several = self.ways().nth(1).is_some();
        let words = self.ways().flat_map(|way| {
            let secrets: Vec<Secret> = way
                .keys
                .iter()
                .map(|key| key.configured().clone())
                .collect();
            let words = diagnose(&way.scheme, &secrets, request, now);
            words.into_iter().map(move |line| match several {
                true => format!("{}: {line}", way.name),
                false => line,
            })
        });
        words.collect()
    }
}

/// `positions` are those of the usable secrets among all.
fn success(verdict: &Verdict, positions: &[usize]) -> String {
    match verdict {
        Verdict::Reply(reply) => format!("a challenge, to be answered with {}", reply.status),
        Verdict::Event(event) => {
            let skew = event.skew_seconds().map_or(String::new(), |skew| {
                format!("; the timestamp is {}", age(skew))
            });
            let secret = positions.get(event.key()).copied().unwrap_or_default();
            format!("verified: secret {secret} matches{skew}")
        }
    }
}

fn failure(scheme: &Scheme, request: &Inbound<'_>, error: &VerifyError) -> String {
    match error {
        VerifyError::TimestampOutOfTolerance {
            skew_seconds,
            tolerance_seconds,
        } => format!(
            "the signature is good, but the timestamp is {}, tolerance {tolerance_seconds} s",
            age(*skew_seconds)
        ),
        VerifyError::MissingSignature => match &scheme.signature.place {
            Place::Json(pointer) => format!("the body has no signature at `{pointer}`"),
            Place::Header(name) => {
                let others: Vec<String> = signature_like(request.headers)
                    .map(|name| format!("`{name}`"))
                    .collect();
                let others = if others.is_empty() {
                    "and no header looks like a signature".to_owned()
                } else {
                    format!("though there is: {}", others.join(", "))
                };
                format!("the header `{name}` is missing, {others}")
            }
        },
        VerifyError::NoSignature => {
            format!(
                "no signature is found where one should be; {}",
                shape(scheme)
            )
        }
        VerifyError::BadEncoding => format!(
            "the signature is not {}; {}",
            match scheme.algorithm.signature_bytes() {
                Some(bytes) => format!("{bytes} bytes in {}", scheme.signature.encoding.name()),
                None => "plain text".to_owned(),
            },
            shape(scheme)
        ),
        VerifyError::SignatureMismatch => {
            "the signature is well-formed, but fits none of the secrets".to_owned()
        }
        other => other.to_string(),
    }
}

fn age(skew_seconds: i64) -> String {
    if skew_seconds < 0 {
        format!("{} s ahead of the clock", skew_seconds.unsigned_abs())
    } else {
        format!("{skew_seconds} s old")
    }
}

/// What the scheme expects around the signature.
fn shape(scheme: &Scheme) -> String {
    match &scheme.signature.style {
        Style::Plain => "it stands by itself".to_owned(),
        Style::Prefix { text, optional } => {
            let may = if *optional { "may" } else { "must" };
            format!("it {may} begin with `{text}`")
        }
        Style::Pairs {
            separator, keys, ..
        } => {
            let keys: Vec<String> = keys
                .iter()
                .map(|key| format!("`{key}{separator}`"))
                .collect();
            format!("it must begin with {}", keys.join(" or "))
        }
    }
}

/// The names of headers that may hold a signature.
fn signature_like(headers: &HeaderMap) -> impl Iterator<Item = &HeaderName> {
    headers.keys().filter(|name| {
        ["signature", "hmac", "digest"]
            .iter()
            .any(|word| name.as_str().contains(word))
    })
}

/// What was tried, and which of it would have passed.
fn tried(
    scheme: &Scheme,
    secrets: &[Secret],
    keys: &[Key],
    request: &Inbound<'_>,
    now: Timestamp,
) -> Vec<String> {
    let mut found = Vec::new();
    for (mistake, body) in other_bodies(scheme, request) {
        let request = Inbound {
            wire: &body,
            body: &body,
            ..request.clone()
        };
        if proves(scheme, keys, &request, now) {
            found.push(format!("it matches {mistake}"));
        }
    }
    for (mistake, other) in other_schemes(scheme, request) {
        let keys: Vec<Key> = secrets
            .iter()
            .filter_map(|secret| other.verifying_key(secret).ok())
            .collect();
        if proves(&other, &keys, request, now) {
            found.push(format!("it matches {mistake}"));
        }
    }
    if found.is_empty() {
        found.push(
            "tried without success: other line ends, other encodings of signature and secret, other contents, other algorithms. Is it the right secret, and is the body byte for byte as it was sent?"
                .to_owned(),
        );
    }
    found
}

/// Whether the signature is good; the clock does not matter here.
fn proves(scheme: &Scheme, keys: &[Key], request: &Inbound<'_>, now: Timestamp) -> bool {
    matches!(
        verify(scheme, keys, request, now),
        Ok(_)
            | Err(VerifyError::TimestampOutOfTolerance { .. }
                | VerifyError::BadType
                | VerifyError::BadId)
    ) && request.method == Method::POST
}

/// What the body may have been before an editor or a proxy touched it.
fn other_bodies(scheme: &Scheme, request: &Inbound<'_>) -> Vec<(&'static str, Bytes)> {
    let (signed, other) = match scheme.signed_body {
        SignedBody::Wire => (request.wire, request.body),
        SignedBody::Decoded => (request.body, request.wire),
    };
    let mut bodies = Vec::new();
    let mut add = |mistake, body: Option<&[u8]>| {
        bodies.extend(body.map(|body| (mistake, Bytes::copy_from_slice(body))));
    };
    let text: &[u8] = signed;
    add(
        "if the body had no trailing newline",
        text.strip_suffix(b"\r\n").or(text.strip_suffix(b"\n")),
    );
    add(
        "if the body ended with a newline",
        Some(&[text, b"\n"].concat()),
    );
    add(
        "if the body had no byte order mark",
        text.strip_prefix(b"\xef\xbb\xbf"),
    );
    add(
        "if its lines ended with a newline alone",
        Some(&replaced(text, b"\r\n", b"\n")),
    );
    add(
        "if its lines ended with carriage return and newline",
        Some(&replaced(&replaced(text, b"\r\n", b"\n"), b"\n", b"\r\n")),
    );
    if signed != other {
        let mistake = match scheme.signed_body {
            SignedBody::Wire => "with the decompressed body (`body: decoded`)",
            SignedBody::Decoded => "with the compressed body (`body: wire`)",
        };
        add(mistake, Some(other));
    }
    if let Ok(json) = serde_json::from_slice::<serde_json::Value>(text) {
        let compact = json.to_string();
        add(
            "if the JSON were written without spaces; something has reformatted the body",
            Some(compact.as_bytes()),
        );
    }
    bodies.retain(|(_, body)| body != signed);
    bodies
}

fn replaced(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(from) {
            out.extend_from_slice(to);
            rest = after;
        } else {
            out.push(*first);
            rest = after;
        }
    }
    out
}

/// Schemes that differ in one thing that is easily mistaken.
fn other_schemes(scheme: &Scheme, request: &Inbound<'_>) -> Vec<(String, Scheme)> {
    [
        other_secrets(scheme),
        other_signatures(scheme),
        other_headers(scheme, request.headers),
        other_contents(scheme),
    ]
    .concat()
}

fn changed(scheme: &Scheme, change: impl FnOnce(&mut Scheme)) -> Scheme {
    let mut other = scheme.clone();
    change(&mut other);
    other
}

/// Other ways from the secret to the key.
fn other_secrets(scheme: &Scheme) -> Vec<(String, Scheme)> {
    let used = scheme.secret.encoding.name();
    let encodings = [
        SecretEncoding::Utf8,
        SecretEncoding::Base64,
        SecretEncoding::Hex,
    ];
    let strips = [
        scheme.secret.strip.clone(),
        Strip::Nothing,
        Strip::After("_".to_owned()),
    ];
    let mut schemes = Vec::new();
    for encoding in encodings {
        for strip in &strips {
            let part = match strip {
                Strip::Nothing => "the whole secret",
                Strip::After(_) => "what follows the first `_` of the secret",
                Strip::Prefix(_) => "the secret without its prefix",
            };
            let mistake = format!(
                "with {part} read as {} (here it was read as {used})",
                encoding.name()
            );
            let other = changed(scheme, |other| {
                other.secret.encoding = encoding;
                other.secret.strip = strip.clone();
            });
            if !schemes.iter().any(|(known, _)| *known == mistake) {
                schemes.push((mistake, other));
            }
        }
    }
    schemes
}

/// Other ways of writing and making the signature.
fn other_signatures(scheme: &Scheme) -> Vec<(String, Scheme)> {
    let mut schemes: Vec<_> = [Encoding::Hex, Encoding::Base64]
        .into_iter()
        .map(|encoding| {
            let mistake = format!("with `signature.encoding: {}`", encoding.name());
            let other = changed(scheme, |other| other.signature.encoding = encoding);
            (mistake, other)
        })
        .collect();
    schemes.extend(["sha256=", "v0=", "v1=", "v1,"].map(|prefix| {
        let mistake = format!("with `signature.prefix: \"{prefix}\"`");
        let other = changed(scheme, |other| {
            other.signature.style = Style::Prefix {
                text: prefix.to_owned(),
                optional: false,
            };
        });
        (mistake, other)
    }));
    schemes.push((
        "as a bare value, without prefix or pairs".to_owned(),
        changed(scheme, |other| {
            other.signature.style = Style::Plain;
            other.signature.list = None;
        }),
    ));
    if scheme.algorithm == Algorithm::HmacSha256 {
        schemes.push((
            "with `algorithm: hmac-sha512`".to_owned(),
            changed(scheme, |other| other.algorithm = Algorithm::HmacSha512),
        ));
    }
    schemes
}

/// Other headers that may hold the signature.
fn other_headers(scheme: &Scheme, headers: &HeaderMap) -> Vec<(String, Scheme)> {
    signature_like(headers)
        .map(|name| {
            let mistake = format!("with `signature.header: {name}`");
            let place = Place::Header(name.clone());
            (
                mistake,
                changed(scheme, |other| other.signature.place = place),
            )
        })
        .collect()
}

/// Other contents that may have been signed.
fn other_contents(scheme: &Scheme) -> Vec<(String, Scheme)> {
    let dot = || Part::Literal(".".to_owned());
    [
        ("{body}", vec![Part::Body]),
        (
            "{timestamp}.{body}",
            vec![Part::Timestamp, dot(), Part::Body],
        ),
        (
            "{id}.{timestamp}.{body}",
            vec![Part::Id, dot(), Part::Timestamp, dot(), Part::Body],
        ),
        ("{url}{body}", vec![Part::Url, Part::Body]),
    ]
    .into_iter()
    .map(|(content, parts)| {
        let mistake = format!("with `content: \"{content}\"`");
        (mistake, changed(scheme, |other| other.content = parts))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::super::{SchemeRecord, sign};
    use super::*;
    use crate::signature::Outbound;

    const NOW: i64 = 1_767_607_200;

    /// How a request was sent, as changes to what the receiver believes.
    struct Case {
        preset: &'static str,
        sent_as: &'static str,
        secrets: (&'static str, &'static str),
        bodies: (&'static str, &'static str),
        late: i64,
        wanted: &'static str,
    }

    fn said(case: &Case) -> Vec<String> {
        let preset = SchemeRecord::preset(case.preset).unwrap();
        let sent: SchemeRecord = serde_yaml::from_str(case.sent_as).unwrap();
        let sender = Scheme::compile(&sent.over(preset.clone())).unwrap();
        let key = sender.signing_key(&Secret::new(case.secrets.0)).unwrap();
        let headers = sign(
            &sender,
            &[key],
            &Outbound {
                id: "m1",
                timestamp: Timestamp::from_second(NOW).unwrap(),
                method: &Method::POST,
                url: "https://h.example/",
                event_type: "a.b",
                body: case.bodies.0.as_bytes(),
            },
        )
        .unwrap()
        .into_iter()
        .collect();
        let body = Bytes::from_static(case.bodies.1.as_bytes());
        diagnose(
            &Scheme::compile(&preset).unwrap(),
            &[Secret::new(case.secrets.1)],
            &Inbound::post(&headers, &body),
            Timestamp::from_second(NOW + case.late).unwrap(),
        )
    }

    #[test]
    fn mistakes_are_found() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let plain = Case {
            preset: "standard-webhooks",
            sent_as: "{}",
            secrets: (secret, secret),
            bodies: ("{\"a\": 1}", "{\"a\": 1}"),
            late: 0,
            wanted: "verified: secret 0 matches",
        };
        for case in [
            Case { ..plain },
            Case {
                late: 301,
                wanted: "the signature is good, but the timestamp is 301 s old, tolerance 300 s",
                ..plain
            },
            Case {
                late: -301,
                wanted: "the timestamp is 301 s ahead of the clock",
                ..plain
            },
            Case {
                bodies: ("{\"a\": 1}", "{\"a\": 1}\n"),
                wanted: "it matches if the body had no trailing newline",
                ..plain
            },
            Case {
                bodies: ("{\"a\":1}", "{\"a\": 1}"),
                wanted: "something has reformatted the body",
                ..plain
            },
            Case {
                sent_as: "{secret: {prefix: '', encoding: utf8}}",
                wanted: "with the whole secret read as utf8 (here it was read as base64)",
                ..plain
            },
            Case {
                preset: "github",
                sent_as: "{signature: {encoding: base64}}",
                wanted: "with `signature.encoding: base64`",
                ..plain
            },
            Case {
                preset: "github",
                sent_as: "{secret: {prefix: whsec_, encoding: base64}}",
                wanted: "with what follows the first `_` of the secret read as base64",
                ..plain
            },
            Case {
                preset: "hmac",
                sent_as: "{signature: {prefix: 'sha256='}}",
                wanted: "with `signature.prefix: \"sha256=\"`",
                ..plain
            },
            Case {
                preset: "hmac",
                sent_as: "{signature: {header: x-acme-signature}}",
                wanted: "though there is: `x-acme-signature`",
                ..plain
            },
            Case {
                preset: "hmac",
                sent_as: "{signature: {header: x-acme-signature}}",
                wanted: "with `signature.header: x-acme-signature`",
                ..plain
            },
            Case {
                sent_as: "{content: '{body}'}",
                wanted: "with `content: \"{body}\"`",
                ..plain
            },
            Case {
                secrets: (secret, "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"),
                wanted: "Is it the right secret",
                ..plain
            },
            Case {
                secrets: (secret, "whsec_"),
                wanted: "secret 0 cannot be used: the secret is empty",
                ..plain
            },
        ] {
            let words = said(&case);
            assert!(
                words.iter().any(|line| line.contains(case.wanted)),
                "{:?} is missing in {words:#?}",
                case.wanted
            );
            let all = words.join("\n");
            assert!(!all.contains("MfKQ9r8G"), "a secret is told: {all}");
        }
    }
}
