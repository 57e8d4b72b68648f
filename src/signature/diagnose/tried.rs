//! Likely mistakes, tried one at a time: each is a change to the scheme or to the body.

use bytes::Bytes;
use http::{HeaderMap, Method};
use jiff::Timestamp;

use super::signature_like;
use crate::secret::Secret;
use crate::signature::encoding::{Encoding, SecretEncoding};
use crate::signature::key::{Algorithm, Key};
use crate::signature::scheme::{
    Part, Place, Scheme, SignatureForm, SignaturePlace, SignedBody, Strip, Style,
};
use crate::signature::{Inbound, VerifyError, verify};

/// What was tried, and which of it would have passed.
pub(super) fn tried(
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

/// The same for how the signature is written.
fn rewritten(scheme: &Scheme, change: impl FnOnce(&mut SignatureForm)) -> Scheme {
    changed(scheme, |other| {
        if let Some(form) = &mut other.signature {
            change(form);
        }
    })
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
            let other = rewritten(scheme, |form| form.encoding = encoding);
            (mistake, other)
        })
        .collect();
    schemes.extend(["sha256=", "sha1=", "v0=", "v1=", "v1,"].map(|prefix| {
        let mistake = format!("with `signature.prefix: \"{prefix}\"`");
        let other = rewritten(scheme, |form| {
            form.style = Style::Prefix {
                text: prefix.to_owned(),
                optional: false,
            };
        });
        (mistake, other)
    }));
    schemes.push((
        "as a bare value, without prefix or pairs".to_owned(),
        rewritten(scheme, |form| {
            form.style = Style::Plain;
            form.list = None;
        }),
    ));
    if scheme.algorithm.is_hmac() {
        let others = Algorithm::ALL.into_iter().filter(|other| other.is_hmac());
        schemes.extend(others.map(|algorithm| {
            (
                format!("with `algorithm: {}`", algorithm.name()),
                changed(scheme, |other| other.algorithm = algorithm),
            )
        }));
    }
    schemes
}

/// Other headers that may hold the signature.
fn other_headers(scheme: &Scheme, headers: &HeaderMap) -> Vec<(String, Scheme)> {
    signature_like(headers)
        .map(|name| {
            let mistake = format!("with `signature.header: {name}`");
            let place = SignaturePlace::At(Place::Header(name.clone()));
            (mistake, rewritten(scheme, |form| form.place = place))
        })
        .collect()
}

/// Other contents that may have been signed.
fn other_contents(scheme: &Scheme) -> Vec<(String, Scheme)> {
    if scheme.builtin.is_some() {
        return Vec::new();
    }
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
