//! Challenges and what is answered.

use bytes::Bytes;
use http::HeaderMap;
use jiff::Timestamp;
use proptest::prelude::*;

use super::super::{Outbound, Scheme, SchemeRecord, Verdict, sign, verify};
use super::*;
use crate::secret::Secret;

const META: &str = r#"
signature: {header: x-hub-signature-256, prefix: "sha256="}
handshake:
  - when: {method: GET, query: {hub.mode: subscribe}}
    token: {query: hub.verify_token}
    reply: {text: "{query:hub.challenge}"}
"#;

/// Challenges that nothing proves, in the ways of several vendors.
const OPEN: &str = r#"
signature: {header: x-signature}
handshake:
  - name: crc
    when: {method: GET, query: {crc_token: "*"}}
    open: true
    reply: {json: {response_token: "sha256={query:crc_token|hmac|base64}"}}
  - when: {method: OPTIONS, header: {webhook-request-origin: "*"}}
    open: true
    reply: {headers: {webhook-allowed-origin: "{header:webhook-request-origin}", webhook-allowed-rate: "120"}}
  - when: {query: {validationToken: "*"}}
    open: true
    reply: {text: "{query:validationToken}"}
  - when: {json: {/verification_token: "*"}}
    open: true
    reply: {status: 204}
"#;

fn compiled(yaml: &str) -> Scheme {
    let record: SchemeRecord = serde_yaml::from_str(yaml).unwrap();
    Scheme::compile(&record).unwrap_or_else(|errors| panic!("{yaml}: {errors:?}"))
}

fn asked(
    scheme: &Scheme,
    method: &Method,
    query: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Verdict, VerifyError> {
    let keys = ["newsecret", "old secret"]
        .map(|secret| scheme.verifying_key(&Secret::new(secret)).unwrap());
    let body = Bytes::copy_from_slice(body.as_bytes());
    let mut sent = HeaderMap::new();
    for (name, value) in headers {
        let name: HeaderName = name.parse().unwrap();
        sent.append(name, value.parse().unwrap());
    }
    let request = Inbound {
        query: Some(query),
        ..Inbound::new(method, &sent, &body)
    };
    verify(scheme, &keys, &request, Timestamp::UNIX_EPOCH)
}

fn get(scheme: &Scheme, query: &str) -> Result<Verdict, VerifyError> {
    asked(scheme, &Method::GET, query, &[], "")
}

fn told(verdict: Result<Verdict, VerifyError>) -> Result<Reply, &'static str> {
    match verdict {
        Ok(Verdict::Reply(reply)) => Ok(reply),
        Ok(Verdict::Event(_)) => Err("event"),
        Err(error) => Err(error.name()),
    }
}

fn headers_of(reply: &Reply) -> Vec<(&str, &str)> {
    let headers = reply.headers.iter();
    headers
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .collect()
}

#[test]
fn challenges_by_get_need_their_token() {
    let scheme = compiled(META);
    assert!(scheme.takes(&Method::GET));
    assert!(!scheme.takes(&Method::PUT));
    let mode = "hub.mode=subscribe";
    for (query, wanted) in [
        ("&hub.verify_token=newsecret&hub.challenge=42", Ok("42")),
        (
            "&hub.verify_token=old+secret&hub.challenge=a%20b%2Bc",
            Ok("a b+c"),
        ),
        ("&hub.verify_token=old%20secret&hub.challenge=x", Ok("x")),
        (
            "&hub.verify_token=newsecret&hub.challenge=%3Cscript%3E",
            Ok("<script>"),
        ),
        ("&hub.verify_token=nope&hub.challenge=1", Err("wrong_token")),
        ("&hub.verify_token=&hub.challenge=1", Err("wrong_token")),
        ("&hub.challenge=1", Err("wrong_token")),
        (
            "&hub.verify_token=newsecret&hub.verify_token=x&hub.challenge=1",
            Err("duplicate_field"),
        ),
        ("&hub.verify_token=newsecret", Err("no_challenge")),
        (
            "x&hub.verify_token=newsecret&hub.challenge=1",
            Err("no_challenge"),
        ),
    ] {
        let reply = told(get(&scheme, &format!("{mode}{query}")));
        let body = reply.clone().map(|reply| reply.body);
        let wanted = wanted.map(|text: &str| Bytes::copy_from_slice(text.as_bytes()));
        assert_eq!(body, wanted, "{query}");
        if let Ok(reply) = reply {
            assert_eq!(reply.status, 200, "{query}");
            let wanted = [
                ("content-type", "text/plain; charset=utf-8"),
                ("x-content-type-options", "nosniff"),
            ];
            assert_eq!(headers_of(&reply), wanted);
        }
    }
    assert_eq!(told(get(&scheme, "")), Err("no_challenge"));
}

#[test]
fn tokens_may_stand_apart_from_the_secrets() {
    let scheme = compiled(META);
    let keys = [scheme.verifying_key(&Secret::new("secret")).unwrap()];
    let tokens = [Key::token(Secret::new("token"))];
    let (headers, body) = (HeaderMap::new(), Bytes::new());
    for (token, wanted) in [("token", true), ("secret", false)] {
        let query = format!("hub.mode=subscribe&hub.verify_token={token}&hub.challenge=1");
        let request = Inbound {
            query: Some(&query),
            ..Inbound::new(&Method::GET, &headers, &body)
        };
        let got = by_token(&scheme, &keys, &tokens, &request);
        assert_eq!(got.is_ok(), wanted, "{token}");
    }
}

#[test]
fn open_challenges_are_answered_as_the_vendor_wants() {
    let scheme = compiled(OPEN);
    assert!(scheme.takes(&Method::OPTIONS));
    let reply = told(get(&scheme, "crc_token=abc_DEF-12")).unwrap();
    assert_eq!(reply.challenge.as_deref(), Some("crc"));
    let key = scheme.verifying_key(&Secret::new("newsecret")).unwrap();
    let mac = key.mac(scheme.algorithm, b"abc_DEF-12").unwrap();
    let mac = crate::signature::encoding::Encoding::Base64
        .encode(&mac)
        .unwrap();
    let body = format!(r#"{{"response_token":"sha256={mac}"}}"#);
    assert_eq!(reply.body, body);
    let origin = [("webhook-request-origin", "events.example.com")];
    let reply = told(asked(&scheme, &Method::OPTIONS, "", &origin, "")).unwrap();
    let wanted = [
        ("x-content-type-options", "nosniff"),
        ("webhook-allowed-origin", "events.example.com"),
        ("webhook-allowed-rate", "120"),
    ];
    assert_eq!(headers_of(&reply), wanted);
    assert_eq!((reply.status, reply.body.len()), (200, 0));
    let query = "validationToken=Validation%3A%20Test%2Bx";
    let reply = told(asked(&scheme, &Method::POST, query, &[], "")).unwrap();
    assert_eq!(reply.body, "Validation: Test+x");
    let first = r#"{"verification_token":"t"}"#;
    let reply = told(asked(&scheme, &Method::POST, "", &[], first)).unwrap();
    assert_eq!(reply.status, 204);

    for (query, headers, body, wanted) in [
        ("", &[][..], "{}", "missing_signature"),
        // A signature that is there must be good, whatever else the request looks like.
        (query, &[("x-signature", "00")], "", "bad_encoding"),
        (
            "validationToken=a&validationToken=b",
            &[],
            "",
            "missing_signature",
        ),
    ] {
        let got = told(asked(&scheme, &Method::POST, query, headers, body));
        assert_eq!(got, Err(wanted), "{query} {headers:?} {body}");
    }
    let twice = [
        ("webhook-request-origin", "a"),
        ("webhook-request-origin", "b"),
    ];
    let long = "x".repeat(257);
    for origin in [
        &[("webhook-request-origin", "a\tb")][..],
        &[("webhook-request-origin", long.as_str())],
        &twice,
        &[],
    ] {
        let got = told(asked(&scheme, &Method::OPTIONS, "", origin, ""));
        assert_eq!(got, Err("no_challenge"), "{origin:?}");
    }
}

#[test]
fn an_event_that_only_looks_like_an_open_challenge_is_one() {
    let scheme = compiled(OPEN);
    let body = r#"{"verification_token":"t","data":{}}"#;
    let key = scheme.signing_key(&Secret::new("newsecret")).unwrap();
    let outbound = Outbound {
        id: "",
        timestamp: Timestamp::UNIX_EPOCH,
        method: &Method::POST,
        url: "",
        event_type: "",
        body: body.as_bytes(),
    };
    let signed = sign(&scheme, &[key], &outbound).unwrap();
    let value = signed[0].1.to_str().unwrap();
    let got = asked(&scheme, &Method::POST, "", &[("x-signature", value)], body);
    assert_eq!(told(got), Err("event"));
}

/// What an open challenge has our key sign is neither JSON nor ever an event.
#[test]
fn challenges_are_no_oracle() {
    let scheme = compiled(OPEN);
    let longest = "a".repeat(256);
    for (value, wanted) in [
        ("abc", true),
        (longest.as_str(), true),
        ("a+b/c=", true),
        ("", false),
        ("1", false),
        ("-17", false),
        ("1e9", false),
        ("true", false),
        ("null", false),
        ("{}", false),
        ("{\"a\":1}", false),
        ("\"a\"", false),
        ("a.b", false),
        ("a:b", false),
        ("a b", false),
        ("a&b", false),
        ("ä", false),
        (&format!("{longest}a"), false),
    ] {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("crc_token", value)
            .finish();
        let got = told(get(&scheme, &query));
        assert_eq!(got.is_ok(), wanted, "{value}: {got:?}");
        let Ok(reply) = got else {
            assert_eq!(got, Err("no_challenge"), "{value}");
            continue;
        };
        let text = std::str::from_utf8(&reply.body).unwrap();
        let mac = text
            .split("sha256=")
            .nth(1)
            .unwrap()
            .trim_end_matches("\"}");
        let mac = crate::signature::encoding::Encoding::Base64
            .decode(mac)
            .unwrap();
        let stolen = hex::encode(mac);
        let sent = [("x-signature", stolen.as_str())];
        let got = told(asked(&scheme, &Method::POST, "", &sent, value));
        assert_eq!(got, Err("signature_mismatch"), "{value}");
    }
}

proptest! {
    /// Nothing that is signed for anybody is JSON, and so no event that a template could read.
    #[test]
    fn what_is_signed_for_anybody_is_no_json(text in "[A-Za-z0-9+/=_-]{0,20}|[0-9eE+.-]{1,12}") {
        if is_challenge(text.as_bytes()) {
            prop_assert!(serde_json::from_str::<Value>(&text).is_err());
        }
    }
}

#[test]
fn answers_are_filled_in() {
    let scheme = compiled(
        r#"{signature: {header: s}, handshake: [{when: {json: {/c: "*"}}, open: true,
            reply: {json: {challenge: "{json:/c}", list: ["x{json:/c}"], mac: "{json:/c|hmac|hex}", type: 1}}}]}"#,
    );
    let ask = |body: &str| told(asked(&scheme, &Method::POST, "", &[], body));
    let key = scheme.verifying_key(&Secret::new("newsecret")).unwrap();
    let mac = hex::encode(key.mac(scheme.algorithm, b"ab").unwrap());
    let wanted = format!(r#"{{"challenge":"ab","list":["xab"],"mac":"{mac}","type":1}}"#);
    assert_eq!(ask(r#"{"c":"ab"}"#).unwrap().body, wanted);
    let long = format!(r#"{{"c":"{}"}}"#, "x".repeat(1025));
    for body in [r#"{"c":1}"#, r#"{"c":"a b"}"#, &long] {
        assert_eq!(ask(body), Err("missing_signature"), "{body}");
    }
}

#[test]
fn mistakes_are_told_with_their_path() {
    for (handshake, wanted) in [
        ("{}", vec!["handshake[0].when", "handshake[0].reply"]),
        (
            "{when: {method: PUT}, reply: {}}",
            vec!["handshake[0].when.method"],
        ),
        (
            "{when: {method: GET, query: {a: b}}, reply: {}}",
            vec!["handshake[0].token"],
        ),
        (
            "{when: {method: OPTIONS, header: {a: b}}, reply: {}}",
            vec!["handshake[0].token"],
        ),
        (
            "{when: {json: {/a: b}}, token: {query: t}, reply: {}}",
            vec!["handshake[0].token"],
        ),
        (
            "{when: {method: GET, query: {a: b}}, token: {query: t}, open: true, reply: {}}",
            vec!["handshake[0].open"],
        ),
        (
            "{when: {json: {a: b}, without: c}, reply: {status: 404}}",
            vec![
                "handshake[0].when.json",
                "handshake[0].when.without",
                "handshake[0].reply.status",
            ],
        ),
        (
            "{when: {header: {'a b': c}}, reply: {}}",
            vec!["handshake[0].when.header"],
        ),
        (
            "{when: {json: {/a: b}}, reply: {text: '{header: x}'}}",
            vec!["handshake[0].reply.text"],
        ),
        (
            "{when: {json: {/a: b}}, reply: {text: '{json:/a|sha256|hex}'}}",
            vec!["handshake[0].reply.text"],
        ),
        (
            "{when: {json: {/a: b}}, reply: {json: {x: ['{y}']}}}",
            vec!["handshake[0].reply.json"],
        ),
        (
            "{when: {json: {/a: b}}, reply: {text: a, json: b}}",
            vec!["handshake[0].reply.json"],
        ),
        (
            "{when: {json: {/a: b}}, reply: {headers: {content-type: text/html}}}",
            vec!["handshake[0].reply.headers"],
        ),
        (
            "{when: {json: {/a: b}}, reply: {headers: {x: '{', 'a b': c}}}",
            vec!["handshake[0].reply.headers", "handshake[0].reply.headers"],
        ),
    ] {
        let yaml = format!("{{signature: {{header: x}}, handshake: [{handshake}]}}");
        let record: SchemeRecord = serde_yaml::from_str(&yaml).unwrap();
        let errors = Scheme::compile(&record).expect_err(handshake);
        let paths: Vec<&str> = errors.iter().map(|e| e.path.as_str()).collect();
        assert_eq!(paths, wanted, "{handshake}: {errors:?}");
    }
    let yaml = "{algorithm: ed25519, signature: {header: x}, handshake: [{when: {json: {/a: b}}, reply: {text: '{json:/a|hmac|hex}'}}]}";
    let errors = Scheme::compile(&serde_yaml::from_str(yaml).unwrap()).unwrap_err();
    assert_eq!(errors[0].path, "handshake[0].reply.text");
    assert!(errors[0].message.contains("ed25519 makes no HMAC"));
}

/// N28.
#[test]
fn a_secret_is_taken_only_while_it_is_waited_for() {
    let scheme = compiled(
        "{signature: {header: x-hook-signature}, handshake: [{when: {header: {x-hook-secret: '*'}}, capture: {header: x-hook-secret}, \
         reply: {headers: {x-hook-secret: '{header:x-hook-secret}'}}}]}",
    );
    assert!(scheme.captures());
    for header in ["x-hook-secret", "x-hook-signature"] {
        assert!(scheme.is_credential(&header.parse().unwrap()), "{header}");
    }
    let long = "s".repeat(257);
    let lacking = Err(VerifyError::MissingSignature);
    for (armed, headers, wanted) in [
        (
            false,
            vec![("x-hook-secret", "b537207f20cbfa02")],
            Err(VerifyError::NotArmed),
        ),
        (
            true,
            vec![("x-hook-secret", "b537207f20cbfa02")],
            Ok("b537207f20cbfa02"),
        ),
        (true, vec![], lacking.clone()),
        (true, vec![("x-hook-secret", "")], lacking.clone()),
        (true, vec![("x-hook-secret", "a b")], lacking.clone()),
        (
            true,
            vec![("x-hook-secret", long.as_str())],
            lacking.clone(),
        ),
        (
            true,
            vec![("x-hook-secret", "a"), ("x-hook-secret", "b")],
            lacking.clone(),
        ),
        // what is signed is no challenge, and there is no secret yet that could have signed it
        (
            true,
            vec![("x-hook-secret", "a"), ("x-hook-signature", "00")],
            Err(VerifyError::BadEncoding),
        ),
        (
            true,
            vec![
                ("x-hook-secret", "a"),
                ("x-hook-signature", &"00".repeat(32)),
            ],
            Err(VerifyError::EmptySecret),
        ),
    ] {
        let mut sent = HeaderMap::new();
        for (name, value) in &headers {
            sent.append(*name, value.parse().unwrap());
        }
        let body = Bytes::from_static(b"{}");
        let request = Inbound {
            armed,
            ..Inbound::post(&sent, &body)
        };
        let got = verify(&scheme, &[], &request, Timestamp::UNIX_EPOCH);
        let got = got.map(|verdict| match verdict {
            Verdict::Reply(reply) => {
                assert!(!reply.proven);
                let (_, echo) = reply.headers.last().unwrap();
                assert_eq!(echo.as_bytes(), reply.captured.as_ref().unwrap().expose());
                reply.captured.unwrap()
            }
            Verdict::Event(event) => panic!("{event:?}"),
        });
        assert_eq!(got, wanted.map(Secret::new), "{armed} {headers:?}");
    }
}
