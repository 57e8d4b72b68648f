//! Schemes, requests and changes at random.

use proptest::prelude::*;

use super::*;

/// Two key pairs on P-256, made for these tests: private (PKCS#8) and public (SubjectPublicKeyInfo).
fn ecdsa() -> (String, String) {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
    let random = SystemRandom::new();
    let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
    let private = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, private.as_ref(), &random).unwrap();
    let mut public = hex::decode("3059301306072a8648ce3d020106082a8648ce3d030107034200").unwrap();
    public.extend_from_slice(pair.public_key().as_ref());
    (STANDARD.encode(private.as_ref()), STANDARD.encode(public))
}

/// A record that can sign, and the secrets for it: to sign with, to verify with.
fn record() -> impl Strategy<Value = (String, String, String)> {
    let algorithm = prop_oneof![
        Just("hmac-sha1"),
        Just("hmac-sha256"),
        Just("hmac-sha512"),
        Just("ed25519"),
        Just("ecdsa-p256"),
    ];
    let parts = prop::collection::vec(
        prop_oneof![
            Just("{id}"),
            Just("{timestamp}"),
            Just("{url}"),
            Just("{method}"),
            Just("{json:/a}"),
            Just("v0"),
        ],
        0..5,
    );
    let style = prop_oneof![
        Just(""),
        Just(", prefix: 'sha='"),
        Just(", prefix: 'sha=', prefix_optional: true"),
        Just(", list: ' ', pair: ',', keys: [v1, v2]"),
        Just(", list: ';', pair: ':', keys: v1, bare: true"),
    ];
    let encoding = prop_oneof![Just("hex"), Just("base64")];
    let unit = prop_oneof![Just("s"), Just("ms"), Just("rfc3339")];
    let body = prop_oneof![Just("wire"), Just("decoded")];
    (algorithm, parts, style, encoding, unit, body, any::<bool>()).prop_map(
        |(algorithm, parts, style, encoding, unit, body, form)| {
            // The separator is nothing that an id has.
            let mut content = parts.join("|");
            content.push_str("|{body}");
            let secret = if algorithm == "ecdsa-p256" { "base64" } else { "utf8" };
            let form = if form { ", form: {}" } else { "" };
            let (secret, signing, verifying) = match algorithm {
                "ed25519" => (
                    "{prefix: whpk_, encoding: base64}".to_owned(),
                    PRIVATE.to_owned(),
                    PUBLIC.to_owned(),
                ),
                "ecdsa-p256" => {
                    let (private, public) = ecdsa();
                    (format!("{{encoding: {secret}}}"), private, public)
                }
                _ => (
                    format!("{{encoding: {secret}}}"),
                    SECRET.to_owned(),
                    SECRET.to_owned(),
                ),
            };
            let yaml = format!(
                "{{algorithm: {algorithm}, content: '{content}', body: {body}, signature: {{header: s, encoding: {encoding}{style}}}, \
                 secret: {secret}, timestamp: {{header: t, unit: {unit}}}, id: {{header: i}}, type: {{header: k}}{form}}}"
            );
            (yaml, signing, verifying)
        },
    )
}

const PRIVATE: &str =
    "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==";
const URL: &str = "https://h.example/in?x=1";

fn bodies() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        "[a-z{}\"\\\\]{0,8}".prop_map(serde_json::Value::String),
        any::<u32>().prop_map(Into::into),
    ];
    (value, "[ \\n]{0,2}").prop_map(|(a, space)| {
        // what is signed by itself must be there
        format!("{{\"a\":{a}{space},\"b\":[1,2]}}{space}")
    })
}

fn verified(
    scheme: &Scheme,
    secret: &str,
    sent: &HeaderMap,
    url: &str,
    body: &[u8],
) -> Result<Verdict, VerifyError> {
    let body = Bytes::copy_from_slice(body);
    let request = Inbound {
        url: Some(url),
        ..Inbound::post(sent, &body)
    };
    let now = Timestamp::from_second(NOW + 2).unwrap();
    verify(scheme, &keys(scheme, &[secret]), &request, now)
}

/// Another byte at this place of a text.
fn changed(text: &[u8], at: prop::sample::Index, bit: u8) -> Vec<u8> {
    let mut text = text.to_vec();
    let at = at.index(text.len());
    text[at] ^= 1 << (bit % 7);
    text
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// What is signed verifies, and no longer does once a byte of what is covered is another.
    #[test]
    fn what_is_signed_verifies_and_nothing_else(
        (yaml, signing, verifying) in record(),
        body in bodies(),
        id in "[a-z0-9_-]{1,12}",
        at in any::<prop::sample::Index>(),
        bit in any::<u8>(),
    ) {
        let record: SchemeRecord = serde_yaml::from_str(&yaml).unwrap();
        let scheme = Scheme::compile(&record).unwrap_or_else(|errors| panic!("{yaml}: {errors:?}"));
        let key = scheme.signing_key(&Secret::new(signing)).unwrap();
        let outbound = Outbound {
            id: &id,
            timestamp: Timestamp::from_second(NOW).unwrap(),
            method: &Method::POST,
            url: URL,
            event_type: "a.b",
            body: body.as_bytes(),
        };
        let sent: HeaderMap = sign(&scheme, &[key], &outbound).unwrap().into_iter().collect();
        let proven = event(verified(&scheme, &verifying, &sent, URL, body.as_bytes()));
        prop_assert_eq!(proven.content().message_id.as_deref(), Some(id.as_str()));
        prop_assert_eq!(proven.message_id_covered(), yaml.contains("{id}"));

        let other = changed(body.as_bytes(), at, bit);
        prop_assert!(verified(&scheme, &verifying, &sent, URL, &other).is_err(), "{} {:?}", yaml, other);
        for (part, header) in [("{id}", "i"), ("{timestamp}", "t")] {
            if !yaml.contains(part) {
                continue;
            }
            let other = changed(sent[header].as_bytes(), at, bit);
            let Ok(value) = HeaderValue::from_bytes(&other) else {
                continue;
            };
            let mut sent = sent.clone();
            sent.insert(HeaderName::from_static(header), value);
            prop_assert!(verified(&scheme, &verifying, &sent, URL, body.as_bytes()).is_err(), "{} {}", yaml, part);
        }
        if yaml.contains("{url}") {
            let other = changed(URL.as_bytes(), at, bit);
            let other = String::from_utf8(other).unwrap();
            prop_assert!(verified(&scheme, &verifying, &sent, &other, body.as_bytes()).is_err());
        }
        // Another key proves nothing.
        if yaml.contains("hmac") {
            let got = verified(&scheme, OTHER_SECRET, &sent, URL, body.as_bytes());
            prop_assert_eq!(name(&got), "signature_mismatch");
        }
    }

    /// Whatever stands in the place of the signature is refused in words, and so is whatever stands beside it.
    #[test]
    fn random_headers_are_refused(
        (yaml, _, verifying) in record(),
        signature in "[ -~]{0,64}|(v1[,:=]?[0-9a-f]{0,8}[ ;,]?){0,20}|sha=[0-9a-f]{40}|[A-Za-z0-9+/]{42}[A-Za-z0-9+/=]{2}",
        time in "[ -~]{0,20}|[0-9]{1,20}",
        query in "[ -~]{0,24}",
        body in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let record: SchemeRecord = serde_yaml::from_str(&yaml).unwrap();
        let scheme = Scheme::compile(&record).unwrap();
        let sent = headers(&[("s", &signature), ("t", &time), ("i", "x")]);
        let body = Bytes::from(body);
        let request = Inbound { query: Some(&query), url: Some(URL), ..Inbound::post(&sent, &body) };
        let now = Timestamp::from_second(NOW).unwrap();
        prop_assert!(verify(&scheme, &keys(&scheme, &[&verifying]), &request, now).is_err());
    }
}
