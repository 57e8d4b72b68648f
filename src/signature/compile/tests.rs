//! What compiles, what does not, and what is said about it.

use http::{HeaderName, Method};

use super::*;

fn compile(yaml: &str) -> Result<Scheme, Vec<SchemeError>> {
    Scheme::compile(&serde_yaml::from_str(yaml).unwrap())
}

#[test]
fn presets_compile() {
    for (name, covers, credential) in [
        ("compliancely", false, "compliancely-signature"),
        ("github", false, "x-hub-signature-256"),
        ("hmac", false, "x-signature"),
        ("shopify", false, "x-shopify-hmac-sha256"),
        ("slack", true, "x-slack-signature"),
        ("standard-webhooks", true, "webhook-signature"),
        ("standard-webhooks-v1a", true, "webhook-signature"),
        ("stripe", true, "stripe-signature"),
        ("svix", true, "svix-signature"),
        ("wingspan", true, "x-wingspan-signature"),
        ("wismolabs", true, "svix-signature"),
        ("wreno", true, "webhook-signature"),
        ("wundaflow", true, "webhook-signature"),
    ] {
        let record = SchemeRecord::preset(name).unwrap();
        let scheme = Scheme::compile(&record).unwrap_or_else(|e| panic!("{name}: {e:?}"));
        assert_eq!(scheme.covers_message_id(), covers, "{name}");
        let header = HeaderName::from_static(credential);
        assert!(scheme.is_credential(&header), "{name}");
        assert!(!scheme.is_credential(&http::header::HOST), "{name}");
        assert!(!scheme.needs_url(), "{name}");
        assert!(scheme.takes(&Method::POST), "{name}");
        assert!(!scheme.takes(&Method::GET), "{name}");
    }
}

#[test]
fn mistakes_are_told_with_their_path() {
    for (yaml, wanted) in [
        ("{}", vec!["signature"]),
        (
            "{algorithm: md5, signature: {header: x}}",
            vec!["algorithm"],
        ),
        (
            "{signature: {query: x, header: y}}",
            vec!["signature.query"],
        ),
        ("{signature: {query: x}, id: {query: x}}", vec!["id.query"]),
        ("{signature: {json: /a/*/b}}", vec!["signature.json"]),
        (
            "{content: '{header:a b}{body}', signature: {header: x}}",
            vec!["content"],
        ),
        (
            "{content: '{json:a}{body}', signature: {header: x}}",
            vec!["content"],
        ),
        (
            "{content: '{query:}{body}', signature: {header: x}}",
            vec!["content"],
        ),
        ("{content: 'v0', signature: {header: x}}", vec!["content"]),
        (
            "{content: 'v0', body_unsigned: true, signature: {header: x}}",
            vec!["content"],
        ),
        (
            "{content: '{method}', signature: {header: x}}",
            vec!["content"],
        ),
        (
            "{body_unsigned: true, signature: {header: x}}",
            vec!["body_unsigned"],
        ),
        (
            "{algorithm: token, body_unsigned: true, signature: {header: x}}",
            vec!["body_unsigned"],
        ),
        (
            "{algorithm: address, content: '{body}', signature: {header: x}, secret: {}}",
            vec!["signature", "secret", "content"],
        ),
        (
            "{signature: {header: x}, timestamp: {query: t, pair: t}}",
            vec!["timestamp.pair"],
        ),
        (
            "{algorithm: rot13, content: a, body: x, signature: {encoding: b64}}",
            vec![
                "algorithm",
                "signature",
                "signature.encoding",
                "content",
                "body",
            ],
        ),
        (
            "{content: '{id}.{body}', signature: {header: x}}",
            vec!["content"],
        ),
        (
            "{content: '{timestamp}.{body}', signature: {header: x}}",
            vec!["content"],
        ),
        (
            "{content: '{body}{wat}', signature: {header: x}}",
            vec!["content"],
        ),
        (
            "{content: '{body', signature: {header: x}}",
            vec!["content"],
        ),
        (
            "{content: 'body}', signature: {header: x}}",
            vec!["content"],
        ),
        ("{signature: {header: x, json: /x}}", vec!["signature.json"]),
        ("{signature: {header: 'a b'}}", vec!["signature.header"]),
        ("{signature: {json: x}}", vec!["signature.json"]),
        ("{signature: {header: x, keys: v1}}", vec!["signature.keys"]),
        (
            "{signature: {header: x, bare: true}}",
            vec!["signature.bare"],
        ),
        (
            "{signature: {header: x, pair: '='}}",
            vec!["signature.keys"],
        ),
        (
            "{signature: {header: x, pair: '=', keys: v1, prefix: 'a='}}",
            vec!["signature.prefix"],
        ),
        (
            "{signature: {header: x, pair: '=', keys: v1, bare: true, encoding: base64}}",
            vec!["signature.bare"],
        ),
        (
            "{signature: {header: x, prefix_optional: true}}",
            vec!["signature.prefix_optional"],
        ),
        ("{signature: {header: x, list: a}}", vec!["signature.list"]),
        (
            "{signature: {header: x, list: ',', pair: ',', keys: v1}}",
            vec!["signature.pair"],
        ),
        (
            "{signature: {header: x}, secret: {prefix: a, after: b, encoding: c}}",
            vec!["secret.after", "secret.encoding"],
        ),
        (
            "{signature: {header: x}, timestamp: {header: t, unit: h, tolerance: soon}}",
            vec!["timestamp.unit", "timestamp.tolerance"],
        ),
        ("{signature: {header: x}, timestamp: {}}", vec!["timestamp"]),
        (
            "{signature: {header: x}, timestamp: {header: t, tolerance: 300}}",
            vec!["timestamp.tolerance"],
        ),
        (
            "{signature: {header: x}, timestamp: {header: t, pair: t}}",
            vec!["timestamp.pair"],
        ),
        (
            "{signature: {header: x, prefix: 'a='}, timestamp: {pair: t}}",
            vec!["timestamp.pair"],
        ),
        (
            "{signature: {header: x, list: ',', pair: '=', keys: t}, timestamp: {pair: t}}",
            vec!["timestamp.pair"],
        ),
        (
            "{signature: {header: x}, timestamp: {header: X}}",
            vec!["timestamp.header"],
        ),
        (
            "{signature: {header: x}, id: {header: i}, type: {header: I}}",
            vec!["type.header"],
        ),
        (
            "{signature: {header: x}, id: {else: random}}",
            vec!["id.else"],
        ),
        (
            "{content: '{id}{body}', signature: {header: x}, id: {header: i, else: body_sha256}}",
            vec!["id.else"],
        ),
        (
            "{signature: {header: x}, type: {const: a, json: /b}}",
            vec!["type.const"],
        ),
        (
            "{signature: {header: x}, type: {const: \"a\\nb\"}}",
            vec!["type.const"],
        ),
        (
            "{algorithm: token, content: '{body}', signature: {header: x, encoding: hex, list: ','}}",
            vec!["signature.encoding", "signature.list", "content"],
        ),
        (
            "{algorithm: token, signature: {header: x}, builtin: twilio, content: '{body}', body: wire, body_unsigned: true}",
            vec!["content", "body_unsigned", "body", "algorithm"],
        ),
        (
            "{builtin: sns, algorithm: hmac-sha1, content: '{body}', signature: {header: x}, secret: {}, form: {}, handshake: []}",
            vec![
                "content",
                "algorithm",
                "signature",
                "secret",
                "form",
                "handshake",
            ],
        ),
        (
            "{signature: {header: x}, topics: [a], confirm_subscriptions: true}",
            vec!["topics", "confirm_subscriptions"],
        ),
        (
            "{signature: {header: x}, builtin: paypal, envelope: letters}",
            vec!["builtin", "envelope"],
        ),
        (
            "{signature: {header: x}, handshake: [{when: {header: {s: '*'}}, capture: {}, open: true, token: {query: a}, reply: {}}, {when: {header: {s: '*'}}, capture: {header: 'a b'}, reply: {}}, {when: {method: GET, header: {s: '*'}}, capture: {header: s}, reply: {}}]}",
            vec![
                "handshake[0].token",
                "handshake[0].open",
                "handshake[0].capture",
                "handshake[1].capture.header",
                "handshake[2].capture",
            ],
        ),
        (
            "{algorithm: ed25519, signature: {header: x}, handshake: [{when: {header: {s: '*'}}, capture: {header: s}, reply: {}}]}",
            vec!["handshake[0].capture"],
        ),
    ] {
        let errors = compile(yaml).expect_err(yaml);
        let paths: Vec<&str> = errors.iter().map(|e| e.path.as_str()).collect();
        assert_eq!(paths, wanted, "{yaml}: {errors:?}");
    }
}

#[test]
fn changes_to_presets() {
    for (preset, change, wanted) in [
        (
            "hmac",
            "{signature: {header: x-sig, prefix: 'sha256=', encoding: base64}}",
            None,
        ),
        (
            "hmac",
            "{algorithm: hmac-sha512, content: '{method}{url}{body}'}",
            None,
        ),
        (
            "hmac",
            "{algorithm: token, signature: {header: x-token}}",
            None,
        ),
        ("compliancely", "{signature: {encoding: base64}}", None),
        ("wingspan", "{signature: {header: wingspan-hmac}}", None),
        ("wismolabs", "{type: {json: /event}}", None),
        // the time stands in a pair, and a prefix leaves no pairs
        (
            "stripe",
            "{signature: {prefix: 'sha256='}}",
            Some("timestamp.pair"),
        ),
        (
            "stripe",
            "{signature: {prefix: 'v1='}, timestamp: {header: x-time}}",
            None,
        ),
        ("github", "{content: '{timestamp}.{body}'}", Some("content")),
        ("standard-webhooks", "{signature: {pair: ''}}", None),
        (
            "standard-webhooks",
            "{id: {else: body_sha256}}",
            Some("id.else"),
        ),
    ] {
        let change: SchemeRecord = serde_yaml::from_str(change).unwrap();
        let record = change.clone().over(SchemeRecord::preset(preset).unwrap());
        let error = Scheme::compile(&record).err();
        let path = error.as_ref().map(|errors| errors[0].path.as_str());
        assert_eq!(path, wanted, "{preset} with {change:?}: {error:?}");
    }
}

#[test]
fn coverage_follows_the_content() {
    for (yaml, covered, url) in [
        ("{signature: {header: x}}", false, false),
        ("{signature: {header: x}, id: {header: i}}", false, false),
        (
            "{content: '{id}{body}', signature: {header: x}, id: {header: i}}",
            true,
            false,
        ),
        ("{signature: {header: x}, id: {json: /i}}", true, false),
        (
            "{content: '{url}{body}', signature: {header: x}}",
            false,
            true,
        ),
        (
            "{content: '{header:I}{body}', signature: {header: x}, id: {header: i}}",
            true,
            false,
        ),
        (
            "{content: '{json:/i}', body_unsigned: true, signature: {header: x}, id: {json: /i}}",
            true,
            false,
        ),
        (
            "{content: '{json:/j}', body_unsigned: true, signature: {header: x}, id: {json: /i}}",
            false,
            false,
        ),
        (
            "{content: '{url}{body}', signature: {query: x}, id: {query: i}}",
            false,
            true,
        ),
        ("{algorithm: address, id: {json: /i}}", false, false),
        (
            "{algorithm: token, signature: {header: x}, id: {json: /i}}",
            false,
            false,
        ),
    ] {
        let scheme = compile(yaml).unwrap();
        assert_eq!(scheme.covers_message_id(), covered, "{yaml}");
        assert_eq!(scheme.needs_url(), url, "{yaml}");
    }
}
