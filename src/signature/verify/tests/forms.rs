//! How signatures are written: digits, prefixes, pairs, algorithms, several secrets.

use super::*;

#[test]
fn hex_and_prefixes() {
    // published in GitHub's documentation
    let good = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let upper = good.to_uppercase();
    let (odd, spaced) = (&good[1..], format!("{} {}", &good[..31], &good[32..]));
    for (row, preset, value, wanted) in [
        ("as published", "github", format!("sha256={good}"), "ok"),
        (
            "N19 N31 upper case",
            "github",
            format!("sha256={upper}"),
            "ok",
        ),
        ("N19", "github", format!("SHA256={good}"), "no_signature"),
        (
            "N19 optional",
            "compliancely",
            format!("SHA256={good}"),
            "bad_encoding",
        ),
        ("N03", "github", "sha256=".to_owned(), "bad_encoding"),
        (
            "N04",
            "github",
            format!("sha256={}", &good[..8]),
            "bad_encoding",
        ),
        ("N05", "github", format!("v0={good}"), "no_signature"),
        ("N05 bare", "github", good.to_owned(), "no_signature"),
        ("N18 odd", "github", format!("sha256={odd}"), "bad_encoding"),
        (
            "N18 0x",
            "github",
            format!("sha256=0x{good}"),
            "bad_encoding",
        ),
        (
            "N18 space",
            "github",
            format!("sha256={spaced}"),
            "bad_encoding",
        ),
        ("N23", "github", format!("xsha256={good}"), "no_signature"),
        (
            "N23 optional",
            "compliancely",
            format!("xsha256={good}"),
            "bad_encoding",
        ),
        (
            "twice",
            "github",
            format!("sha256=sha256={good}"),
            "bad_encoding",
        ),
        (
            "bare where it may be",
            "compliancely",
            good.to_owned(),
            "ok",
        ),
    ] {
        let header = match preset {
            "github" => "x-hub-signature-256",
            _ => "compliancely-signature",
        };
        let secret = "It's a Secret to Everybody";
        let sent = headers(&[(header, value.as_str())]);
        let got = post(&scheme(preset), &[secret], &sent, "Hello, World!", NOW);
        assert_eq!(name(&got), wanted, "{row}");
    }
    // N22: the older header alone
    let sent = headers(&[(
        "x-hub-signature",
        "sha1=01dc10d0c83e72ed246219cdd91669667fe2ca59",
    )]);
    let got = post(&scheme("github"), &[SECRET], &sent, BODY, NOW);
    assert_eq!(name(&got), "missing_signature", "N22");
}

#[test]
fn bare_signatures_where_the_vendor_sends_them() {
    let scheme = scheme("wreno");
    let good = signed(&scheme, ID, "", BODY);
    let pair = good["webhook-signature"].to_str().unwrap().to_owned();
    let bare = pair.strip_prefix("v1,").unwrap();
    for (value, wanted) in [
        (pair.as_str(), "ok"),
        (bare, "ok"),
        (&format!("v2,{bare}"), "no_signature"),
        ("v1", "bad_encoding"),
        (&bare[1..], "bad_encoding"),
    ] {
        let mut sent = good.clone();
        set(&mut sent, "webhook-signature", value);
        let got = post(&scheme, &[SECRET], &sent, BODY, NOW);
        assert_eq!(name(&got), wanted, "{value}");
    }
}

#[test]
fn pairs_with_the_time_among_them() {
    let scheme = scheme("stripe");
    let body = r#"{"id":"evt_1","type":"charge.succeeded"}"#;
    let good = signed(&scheme, "", "", body)["stripe-signature"]
        .to_str()
        .unwrap()
        .to_owned();
    let (time, signature) = good.split_once(',').unwrap();
    for (value, wanted) in [
        (good.clone(), "ok"),
        (format!("{signature},{time}"), "ok"),
        (format!("{good},v0=abc"), "ok"),
        (format!("t=1,{good}"), "duplicate_field"),
        (format!("{good},{time}"), "duplicate_field"),
        (signature.to_owned(), "missing_timestamp"),
        (format!("t=,{signature}"), "bad_timestamp"),
        (format!("t=+{NOW},{signature}"), "bad_timestamp"),
        (format!("t={},{signature}", NOW - 1), "signature_mismatch"),
        (time.to_owned(), "no_signature"),
        (format!("{good},v1=00"), "bad_encoding"),
    ] {
        let sent = headers(&[("stripe-signature", value.as_str())]);
        let got = post(&scheme, &[SECRET], &sent, body, NOW);
        assert_eq!(name(&got), wanted, "{value}");
        if wanted == "ok" {
            let event = event(got);
            assert_eq!(event.content().message_id.as_deref(), Some("evt_1"));
            assert_eq!(
                event.content().event_type.as_deref(),
                Some("charge.succeeded")
            );
            assert!(event.message_id_covered());
        }
    }
}

#[test]
fn algorithms_are_not_confused() {
    // N21: an HMAC under the public key, sent under either version to a source of public keys
    let v1a = scheme("standard-webhooks-v1a");
    let hmac = {
        let record: SchemeRecord = serde_yaml::from_str("{secret: {prefix: whpk_}}").unwrap();
        let scheme =
            Scheme::compile(&record.over(SchemeRecord::preset("standard-webhooks").unwrap()))
                .unwrap();
        let key = scheme.signing_key(&Secret::new(PUBLIC)).unwrap();
        key.sign(
            crate::signature::key::Algorithm::HmacSha256,
            format!("{ID}.{TIME}.{BODY}").as_bytes(),
        )
        .unwrap()
    };
    let text = crate::signature::encoding::Encoding::Base64
        .encode(&hmac)
        .unwrap();
    let padded = crate::signature::encoding::Encoding::Base64
        .encode(&[hmac.clone(), hmac].concat())
        .unwrap();
    for (value, wanted) in [
        (format!("v1,{text}"), "no_signature"),
        (format!("v1a,{text}"), "bad_encoding"),
        (format!("v1a,{padded}"), "signature_mismatch"),
    ] {
        let sent = headers(&[
            ("webhook-id", ID),
            ("webhook-timestamp", TIME),
            ("webhook-signature", &value),
        ]);
        let got = post(&v1a, &[PUBLIC], &sent, BODY, NOW);
        assert_eq!(name(&got), wanted, "N21 {value}");
    }
}

#[test]
fn secrets_are_rotated() {
    let scheme = scheme("standard-webhooks");
    let sent = signed(&scheme, ID, "", BODY);
    for (row, secrets, wanted) in [
        ("the new one", vec![SECRET, OTHER_SECRET], Some(0)),
        (
            "N50 the old one inside its window",
            vec![OTHER_SECRET, SECRET],
            Some(1),
        ),
        (
            "twice the same",
            vec![OTHER_SECRET, SECRET, SECRET],
            Some(1),
        ),
        ("N50 its window closed", vec![OTHER_SECRET], None),
    ] {
        let got = post(&scheme, &secrets, &sent, BODY, NOW);
        match wanted {
            Some(position) => assert_eq!(event(got).key(), position, "{row}"),
            None => assert_eq!(name(&got), "signature_mismatch", "{row}"),
        }
    }
    // N20: no secret at all never verifies
    let got = post(&scheme, &[], &sent, BODY, NOW);
    assert_eq!(name(&got), "empty_secret", "N20");
}
