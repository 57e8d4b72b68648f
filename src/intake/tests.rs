//! The inbound story without sockets: what becomes an event, what is refused and why.

use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut to = GzEncoder::new(Vec::new(), Compression::best());
    to.write_all(plain).unwrap();
    to.finish().unwrap()
}

fn map(headers: &[(&str, &str)]) -> HeaderMap {
    headers
        .iter()
        .map(|(name, value)| {
            let name: HeaderName = name.parse().unwrap();
            (name, http::HeaderValue::from_str(value).unwrap())
        })
        .collect()
}

#[test]
fn codings() {
    for (values, wanted) in [
        (&[][..], Ok(Coding::Identity)),
        (&[""], Ok(Coding::Identity)),
        (&["identity"], Ok(Coding::Identity)),
        (&["gzip"], Ok(Coding::Gzip)),
        (&[" X-GZip "], Ok(Coding::Gzip)),
        (&["br"], Err(UnknownCoding)),
        (&["gzip, gzip"], Err(UnknownCoding)),
        (&["gzip", "gzip"], Err(UnknownCoding)),
        (&["identity", "br"], Err(UnknownCoding)),
    ] {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::CONTENT_ENCODING, value.parse().unwrap());
        }
        assert_eq!(Coding::of(&headers), wanted, "{values:?}");
    }
}

/// The decoded body, or the name of the refusal.
type Wanted = Result<&'static [u8], &'static str>;

#[test]
fn bodies_are_decoded_up_to_the_limit() {
    let two_members = [gzip(b"{\"a\":"), gzip(b"1}")].concat();
    let whole = gzip(b"{}");
    let cut = whole[..whole.len() - 5].to_vec();
    let trailed = [whole.clone(), b"junk".to_vec()].concat();
    let rows: Vec<(&str, Vec<u8>, Coding, Wanted)> = vec![
        ("plain", b"{}".to_vec(), Coding::Identity, Ok(b"{}")),
        ("gzip", whole, Coding::Gzip, Ok(b"{}")),
        ("members", two_members, Coding::Gzip, Ok(b"{\"a\":1}")),
        ("at limit", gzip(&[b'x'; 64]), Coding::Gzip, Ok(&[b'x'; 64])),
        (
            "over limit",
            gzip(&[b'x'; 65]),
            Coding::Gzip,
            Err("TooLarge"),
        ),
        (
            "bomb",
            gzip(&vec![0; 10_000_000]),
            Coding::Gzip,
            Err("TooLarge"),
        ),
        ("cut", cut, Coding::Gzip, Err("BadCoding")),
        ("trailed", trailed, Coding::Gzip, Err("BadCoding")),
        (
            "many members",
            gzip(b"").repeat(GZIP_MEMBERS),
            Coding::Gzip,
            Ok(b""),
        ),
        (
            "too many members",
            gzip(b"").repeat(GZIP_MEMBERS + 1),
            Coding::Gzip,
            Err("BadCoding"),
        ),
    ];
    for (name, wire, coding, wanted) in rows {
        let got = decode(&Bytes::from(wire), coding, 64);
        match (got, wanted) {
            (Ok(body), Ok(wanted)) => assert_eq!(&body[..], wanted, "{name}"),
            (Err(Refusal::TooLarge), Err("TooLarge"))
            | (Err(Refusal::BadCoding(_)), Err("BadCoding")) => {}
            (got, _) => panic!("{name}: {got:?}"),
        }
    }
}

#[test]
fn credentials_and_wire_headers_are_not_kept() {
    let mut headers = map(&[
        ("Host", "a.example"),
        ("Authorization", "Bearer x"),
        ("Cookie", "a=b"),
        ("X-Proof", "secret"),
        ("Proxy-Authorization", "Basic x"),
        ("X-Hub-Signature", "sha1=00"),
        ("X-Vendor-Hmac-Sha1", "00"),
        ("X-Gitlab-Token", "t"),
        ("X-Api-Key", "k"),
        ("X-Tokens", "1"),
        ("X-Event-Key", "2"),
        ("Content-Length", "2"),
        ("Transfer-Encoding", "chunked"),
        ("X-Two", "1"),
    ]);
    headers.append("x-two", "2".parse().unwrap());
    headers.insert(
        "x-latin",
        http::HeaderValue::from_bytes(b"caf\xe9").unwrap(),
    );
    let kept = kept_headers(&headers, |name| name == "x-proof");
    let mut kept: Vec<_> = kept.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    kept.sort_unstable();
    assert_eq!(
        kept,
        [
            ("host", "a.example"),
            ("x-event-key", "2"),
            ("x-latin", "caf\u{fffd}"),
            ("x-tokens", "1"),
            ("x-two", "1"),
            ("x-two", "2"),
        ]
    );
}

#[test]
fn a_key_tells_source_kind_and_content_apart() {
    let rule = Dedupe {
        by: DedupeBy::Id,
        window: Duration::from_secs(60),
    };
    let (a, b): (SourceName, SourceName) = ("a".parse().unwrap(), "b".parse().unwrap());
    let base = key_over(rule, &a, Some("m1"), b"{}");
    assert_eq!(base.window, rule.window);
    for (name, other, same_key, same_body) in [
        ("again", key_over(rule, &a, Some("m1"), b"{}"), true, true),
        (
            "other body",
            key_over(rule, &a, Some("m1"), b"[]"),
            true,
            false,
        ),
        (
            "other id",
            key_over(rule, &a, Some("m2"), b"{}"),
            false,
            true,
        ),
        ("no id", key_over(rule, &a, None, b"{}"), false, true),
        (
            "other source",
            key_over(rule, &b, Some("m1"), b"{}"),
            false,
            true,
        ),
    ] {
        assert_eq!(other.key == base.key, same_key, "{name}");
        assert_eq!(other.body == base.body, same_body, "{name}");
    }
    let by_body = key_over(rule, &a, None, b"{}");
    assert_ne!(by_body.key, key_over(rule, &a, None, b"[]").key);
}
