//! Twilio: the URL that it calls, and behind it the fields of the form, sorted by their names; of a body that is no
//! form, the URL has the hash.
//!
//! Source: <https://www.twilio.com/docs/usage/webhooks/webhooks-security> and its helper libraries, read on 2026-11-28.
//! They sort fields by name, take each value of a repeated name once, in order, and try the URL with its port and
//! without, since the sender is not consistent in that.
//!
//! Promise: the query is signed as it came, in its order. A body that is no form counts only with its hash in the
//! query. Between a name and its value nothing stands in what is signed, which is the vendor's way; so no field is
//! ever taken as proven to be an id.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, Uri};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

use crate::signature::body::{is_form, looks_like_json};
use crate::signature::verify::parameter;
use crate::signature::{Inbound, SignError, VerifyError};

/// The query parameter that holds the hash of a body that is no form: SHA-256 in hex.
const HASH: &str = "bodySHA256";

/// Most fields of a form that are sorted; Twilio sends some dozens.
const MAX_FIELDS: usize = 1024;

/// The texts of which one must have been signed: that of the URL as it is configured, and that of the URL with its port
/// left out, or with the usual one.
///
/// # Errors
/// If the URL is not configured, or has another query than the request; if a body that is no form has no hash, or
/// another one.
pub(in crate::signature) fn contents(request: &Inbound<'_>) -> Result<Vec<Vec<u8>>, VerifyError> {
    let configured = request.url.ok_or(VerifyError::MissingUrl)?;
    let url = called(configured, request.query).ok_or(VerifyError::SignatureMismatch)?;
    let fields = match parameter(request.query, HASH)? {
        Some(hash) => {
            if !is_hash_of(&hash, request.body) {
                return Err(VerifyError::SignatureMismatch);
            }
            String::new()
        }
        None if request.body.is_empty() => String::new(),
        None if takes_form(request.headers) => {
            fields(request.body).ok_or(VerifyError::SignatureMismatch)?
        }
        None => return Err(VerifyError::MissingPart),
    };
    let other = with_other_port(&url);
    let urls = std::iter::once(url).chain(other);
    Ok(urls
        .map(|url| [url.as_bytes(), fields.as_bytes()].concat())
        .collect())
}

/// What is signed when this body goes to this URL.
///
/// # Errors
/// If the body is no form and the URL has not its hash (see [`to_call`]).
pub(in crate::signature) fn content(url: &str, body: &[u8]) -> Result<Vec<u8>, SignError> {
    let query = url.split_once('?').map(|(_, query)| query);
    let fields = match parameter(query, HASH).ok().flatten() {
        Some(hash) if is_hash_of(&hash, body) => String::new(),
        None if !looks_like_json(body) => fields(body).ok_or(SignError::MissingHash(HASH))?,
        _ => return Err(SignError::MissingHash(HASH)),
    };
    Ok([url.as_bytes(), fields.as_bytes()].concat())
}

/// The URL that Twilio would call with this body: with its hash, if it is JSON.
pub(in crate::signature) fn to_call(url: &str, body: &[u8]) -> Option<String> {
    let query = url.split_once('?').map(|(_, query)| query);
    if !looks_like_json(body) || parameter(query, HASH) != Ok(None) {
        return None;
    }
    let joint = if query.is_some() { '&' } else { '?' };
    let hash = hex::encode(Sha256::digest(body));
    Some(format!("{url}{joint}{HASH}={hash}"))
}

/// Whether a body with these headers is signed as a form: also one that does not say what it is.
pub(in crate::signature) fn takes_form(headers: &HeaderMap) -> bool {
    is_form(headers) || !headers.contains_key(CONTENT_TYPE)
}

/// The URL as it was called: the configured one with the query as it came. A query that is configured must be the
/// whole of it, but for the hash that Twilio adds.
fn called(configured: &str, query: Option<&str>) -> Option<String> {
    let (base, wanted) = match configured.split_once('?') {
        Some((base, wanted)) => (base, Some(wanted)),
        None => (configured, None),
    };
    let Some(query) = query else {
        return wanted.is_none().then(|| base.to_owned());
    };
    if let Some(wanted) = wanted {
        let rest = query.strip_prefix(wanted)?;
        let is_hash = |rest: &str| {
            let rest = rest
                .strip_prefix('&')
                .and_then(|rest| rest.strip_prefix(HASH));
            rest.is_some_and(|rest| rest.starts_with('=') && !rest.contains('&'))
        };
        if !rest.is_empty() && !is_hash(rest) {
            return None;
        }
    }
    Some(format!("{base}?{query}"))
}

fn is_hash_of(written: &str, body: &[u8]) -> bool {
    let hash = hex::encode(Sha256::digest(body));
    let written = written.to_ascii_lowercase();
    bool::from(written.as_bytes().ct_eq(hash.as_bytes()))
}

/// The fields of a form, one behind the other: by name, then by value, equal ones once. `None` if there are too many.
fn fields(body: &[u8]) -> Option<String> {
    let mut sorted: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for (at, (name, value)) in form_urlencoded::parse(body).enumerate() {
        if at == MAX_FIELDS {
            return None;
        }
        sorted.entry(name).or_default().insert(value);
    }
    let mut text = String::with_capacity(body.len());
    for (name, values) in &sorted {
        for value in values {
            // writing to a text does not fail
            let _ = write!(text, "{name}{value}");
        }
    }
    Some(text)
}

/// The URL with the usual port if it has none, else without its port.
fn with_other_port(url: &str) -> Option<String> {
    let uri: Uri = url.parse().ok()?;
    let authority = uri.authority()?;
    let other = match (authority.port(), uri.scheme_str()?) {
        (Some(port), _) => {
            let text = authority.as_str().strip_suffix(port.as_str())?;
            text.strip_suffix(':')?.to_owned()
        }
        (None, "https") => format!("{authority}:443"),
        (None, "http") => format!("{authority}:80"),
        _ => return None,
    };
    Some(url.replacen(authority.as_str(), &other, 1))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::Method;
    use jiff::Timestamp;

    use super::*;
    use crate::secret::Secret;
    use crate::signature::{Outbound, Scheme, SchemeRecord, Verdict, called_url, sign, verify};

    const FORM: &str = "application/x-www-form-urlencoded";

    fn scheme() -> Scheme {
        let yaml = "{algorithm: hmac-sha1, builtin: twilio, form: {}, id: {json: /MessageSid}, \
            signature: {header: x-twilio-signature, encoding: base64}}";
        let record: SchemeRecord = serde_yaml::from_str(yaml).unwrap();
        Scheme::compile(&record).unwrap()
    }

    /// The verdict on a request with this signature, by the key `12345`: the body as the event has it, or the error.
    fn verdict(
        url: &str,
        query: Option<&str>,
        kind: &str,
        body: &str,
        signature: &str,
    ) -> Result<String, VerifyError> {
        let scheme = scheme();
        let key = scheme.verifying_key(&Secret::new("12345")).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, kind.parse().unwrap());
        headers.insert("x-twilio-signature", signature.parse().unwrap());
        let body = Bytes::copy_from_slice(body.as_bytes());
        let request = Inbound {
            url: Some(url),
            query,
            ..Inbound::post(&headers, &body)
        };
        match verify(&scheme, &[key], &request, Timestamp::UNIX_EPOCH)? {
            Verdict::Event(event) => {
                assert!(!event.message_id_covered());
                Ok(String::from_utf8(event.into_content().body.to_vec()).unwrap())
            }
            Verdict::Reply(reply) => panic!("{reply:?}"),
        }
    }

    /// The vendor's own example, and what may not be changed of it.
    #[test]
    fn the_documented_example() {
        const BODY: &str = "CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309&To=%2B18005551212";
        const SIGNED: &str = "RSOYDt4T1cUTdK1PDd93/VVr8B8=";
        let object = r#"{"CallSid":"CA1234567890ABCDE","Caller":"+14158675309","Digits":"1234","From":"+14158675309","To":"+18005551212"}"#;
        let base = "https://mycompany.com/myapp.php";
        let whole = "https://mycompany.com/myapp.php?foo=1&bar=2";
        let query = Some("foo=1&bar=2");
        let mismatch = Err(VerifyError::SignatureMismatch);
        for (url, query, kind, body, wanted) in [
            (base, query, FORM, BODY, Ok(object.to_owned())),
            (whole, query, FORM, BODY, Ok(object.to_owned())),
            (
                "https://mycompany.com:443/myapp.php",
                query,
                FORM,
                BODY,
                Ok(object.to_owned()),
            ),
            // N45
            (base, Some("bar=2&foo=1"), FORM, BODY, mismatch.clone()),
            (whole, Some("bar=2&foo=1"), FORM, BODY, mismatch.clone()),
            (whole, None, FORM, BODY, mismatch.clone()),
            (
                whole,
                Some("foo=1&bar=2&more=3"),
                FORM,
                BODY,
                mismatch.clone(),
            ),
            (base, None, FORM, BODY, mismatch.clone()),
            (
                "http://mycompany.com/myapp.php",
                query,
                FORM,
                BODY,
                mismatch.clone(),
            ),
            (
                base,
                query,
                FORM,
                &BODY.replace("1234", "1235"),
                mismatch.clone(),
            ),
            (base, query, FORM, &format!("{BODY}&x=y"), mismatch.clone()),
            // what is no form is not signed as one
            (
                base,
                query,
                "application/json",
                BODY,
                Err(VerifyError::MissingPart),
            ),
            (
                base,
                query,
                "text/plain",
                BODY,
                Err(VerifyError::MissingPart),
            ),
        ] {
            let got = verdict(url, query, kind, body, SIGNED);
            assert_eq!(got, wanted, "{url} {query:?} {kind} {body}");
        }
    }

    /// Signatures made by openssl of texts put together by hand.
    #[test]
    fn order_repetition_and_hashes() {
        let url = "https://h.example/in";
        for (query, kind, body, signature, wanted) in [
            // https://h.example/in + B + a1 + a2 + b, space
            (
                None,
                FORM,
                "a=2&b=+&a=1&B=&a=2",
                "pXbvCMdkeJXdeYXE9Iaa9zVRAQA=",
                Ok(r#"{"a":["2","1","2"],"b":" ","B":""}"#),
            ),
            (None, FORM, "", "eP4wwFO8Gx1vbOyrbbQdmJYdpdw=", Ok("{}")),
            (
                Some("bodySHA256=015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"),
                "application/json",
                r#"{"a":1}"#,
                "lgx8VLRQ0ZY4i/BM38X4XJt6tQQ=",
                Ok(r#"{"a":1}"#),
            ),
            (
                Some("bodySHA256=015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"),
                "application/json",
                r#"{"a":2}"#,
                "lgx8VLRQ0ZY4i/BM38X4XJt6tQQ=",
                Err(VerifyError::SignatureMismatch),
            ),
            (
                Some("bodySHA256=0&bodySHA256=0"),
                "application/json",
                r#"{"a":1}"#,
                "lgx8VLRQ0ZY4i/BM38X4XJt6tQQ=",
                Err(VerifyError::DuplicateField),
            ),
        ] {
            let got = verdict(url, query, kind, body, signature);
            assert_eq!(got, wanted.map(str::to_owned), "{query:?} {body}");
        }
    }

    #[test]
    fn what_is_signed_verifies() {
        let scheme = scheme();
        let key = scheme.signing_key(&Secret::new("12345")).unwrap();
        for (url, kind, body) in [
            ("https://h.example/in", FORM, "b=1&a=2"),
            ("https://h.example:8443/in?x=y", FORM, "b=1&a=2"),
            ("https://h.example/in", "application/json", r#"{"a":1}"#),
            ("https://h.example/in?x=y", "application/json", "[1]"),
            ("https://h.example/in", FORM, ""),
        ] {
            let called = called_url(&scheme, url, body.as_bytes());
            let outbound = Outbound {
                id: "m1",
                timestamp: Timestamp::UNIX_EPOCH,
                method: &Method::POST,
                url: &called,
                event_type: "a",
                body: body.as_bytes(),
            };
            let signed = sign(&scheme, std::slice::from_ref(&key), &outbound).unwrap();
            let [(_, signature)] = signed.as_slice() else {
                panic!("{signed:?}");
            };
            let query = called.split_once('?').map(|(_, query)| query);
            let got = verdict(url, query, kind, body, signature.to_str().unwrap());
            assert!(got.is_ok(), "{url} {body}: {got:?}");
        }
        let outbound = Outbound {
            id: "m1",
            timestamp: Timestamp::UNIX_EPOCH,
            method: &Method::POST,
            url: "https://h.example/in",
            event_type: "a",
            body: b"{}",
        };
        let error = sign(&scheme, &[key], &outbound).unwrap_err();
        assert_eq!(error, SignError::MissingHash("bodySHA256"));
    }
}
