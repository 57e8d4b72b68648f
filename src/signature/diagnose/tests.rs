//! What people are told.

use super::super::{SchemeRecord, sign};
use super::*;
use crate::signature::Outbound;
use bytes::Bytes;
use http::Method;

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

#[test]
fn what_is_missing_is_named() {
    let form = ("content-type", "application/x-www-form-urlencoded");
    let challenges = "{signature: {header: s}, handshake: [{name: crc, when: {method: GET, query: {crc_token: '*'}}, open: true, reply: {text: '{query:crc_token|hmac|hex}'}}, \
        {when: {method: GET, query: {mode: subscribe}}, token: {query: t}, reply: {}}]}";
    for (yaml, method, query, header, wanted) in [
        (
            "{content: '{header:x-h}{body}', signature: {header: s}}",
            Method::POST,
            "",
            ("s", ZEROS),
            "the header `x-h`, which is signed, is missing",
        ),
        (
            "{content: '{query:q}{body}', signature: {header: s}}",
            Method::POST,
            "",
            ("s", ZEROS),
            "the query parameter `q`, which is signed, is missing",
        ),
        (
            "{signature: {query: sig}}",
            Method::POST,
            "",
            form,
            "the query parameter `sig`, which holds the signature, is missing",
        ),
        (
            "{signature: {json: /sig}}",
            Method::POST,
            "",
            form,
            "with `form: {}` it is read as an object",
        ),
        (
            "{algorithm: token, signature: {json: '/v/*/t'}}",
            Method::POST,
            "",
            form,
            "the token at each place `/v/*/t`",
        ),
        (
            "{content: '{id}{body}', signature: {header: s}, id: {json: /id}}",
            Method::POST,
            "",
            ("s", ZEROS),
            "the message id is missing: it should be `/id` of the body",
        ),
        (
            "{signature: {header: s, list: ',', pair: '=', keys: v1}, timestamp: {pair: t}}",
            Method::POST,
            "",
            ("s", "v1=00"),
            "has no `t`, which is the timestamp",
        ),
        (
            challenges,
            Method::GET,
            "mode=other",
            form,
            "not the challenge `crc`: the query parameter `crc_token` is missing; not the challenge by GET: the query parameter `mode` is not `subscribe`",
        ),
        (
            challenges,
            Method::GET,
            "crc_token=12",
            form,
            "not fit to be signed",
        ),
        (
            challenges,
            Method::OPTIONS,
            "",
            form,
            "no challenge of the scheme comes by OPTIONS",
        ),
    ] {
        let scheme = Scheme::compile(&serde_yaml::from_str(yaml).unwrap()).unwrap();
        let mut headers = HeaderMap::new();
        let name: HeaderName = header.0.parse().unwrap();
        headers.insert(name, header.1.parse().unwrap());
        let body = Bytes::from_static(b"a=b");
        let request = Inbound {
            query: Some(query),
            ..Inbound::new(&method, &headers, &body)
        };
        let secrets = [Secret::new("a-secret-of-some-length")];
        let words = diagnose(&scheme, &secrets, &request, Timestamp::UNIX_EPOCH).join("\n");
        assert!(
            words.contains(wanted),
            "{yaml}: {wanted:?} is missing in {words}"
        );
    }
}

const ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000000000";
