//! Hostile and odd requests, one row each; the numbers are those of the list of bad requests.

mod facts;
mod forms;
mod places;
mod random;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use jiff::Timestamp;

use super::super::{
    Inbound, Key, Outbound, Scheme, SchemeRecord, Verdict, Verified, VerifyError, sign, verify,
};
use crate::secret::Secret;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER_SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const PUBLIC: &str = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=";

/// The published example of Standard Webhooks.
const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const TIME: &str = "1614265330";
const NOW: i64 = 1_614_265_330;
const BODY: &str = r#"{"test": 2432232314}"#;
const GOOD: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
const WRONG: &str = "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc=";

fn scheme(preset: &str) -> Scheme {
    Scheme::compile(&SchemeRecord::preset(preset).unwrap()).unwrap()
}

fn keys(scheme: &Scheme, secrets: &[&str]) -> Vec<Key> {
    secrets
        .iter()
        .map(|secret| scheme.verifying_key(&Secret::new(*secret)).unwrap())
        .collect()
}

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        map.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        );
    }
    map
}

fn post(
    scheme: &Scheme,
    secrets: &[&str],
    headers: &HeaderMap,
    body: &str,
    now: i64,
) -> Result<Verdict, VerifyError> {
    let body = Bytes::copy_from_slice(body.as_bytes());
    let request = Inbound::post(headers, &body);
    let now = Timestamp::from_second(now).unwrap();
    verify(scheme, &keys(scheme, secrets), &request, now)
}

fn event(verdict: Result<Verdict, VerifyError>) -> Verified {
    match verdict {
        Ok(Verdict::Event(event)) => event,
        other => panic!("no event: {other:?}"),
    }
}

/// `ok`, `reply` or the error's name.
fn name(verdict: &Result<Verdict, VerifyError>) -> &'static str {
    match verdict {
        Ok(Verdict::Event(_)) => "ok",
        Ok(Verdict::Reply(_)) => "reply",
        Err(error) => error.name(),
    }
}

/// The headers that a preset's vendor would send at [`NOW`].
fn signed(scheme: &Scheme, id: &str, event_type: &str, body: &str) -> HeaderMap {
    let key = scheme.signing_key(&Secret::new(SECRET)).unwrap();
    let request = Outbound {
        id,
        timestamp: Timestamp::from_second(NOW).unwrap(),
        method: &Method::POST,
        url: "https://h.example/",
        event_type,
        body: body.as_bytes(),
    };
    sign(scheme, &[key], &request)
        .unwrap()
        .into_iter()
        .collect()
}

fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
}

#[test]
fn signature_headers() {
    let scheme = scheme("standard-webhooks");
    let many_wrong = vec![WRONG; 50].join(" ");
    let fifteen_wrong = vec![WRONG; 15].join(" ");
    let comma_joined = format!("v1,AAAA, {GOOD}");
    let comma_joined_good = format!("{GOOD}, {GOOD}");
    for (row, signature, wanted) in [
        ("N48 as it is", GOOD, "ok"),
        ("N02 empty", "", "no_signature"),
        ("N02 spaces", "   ", "no_signature"),
        ("N03", "v1,", "bad_encoding"),
        ("N03 no value at all", "v1", "no_signature"),
        ("N04", "v1,g0hM9SsE", "bad_encoding"),
        (
            "N05",
            "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            "no_signature",
        ),
        (
            "N05 bare",
            "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            "no_signature",
        ),
        (
            "N05 upper case",
            "V1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            "no_signature",
        ),
        ("N14", comma_joined.as_str(), "bad_encoding"),
        ("N14 both good", comma_joined_good.as_str(), "bad_encoding"),
        ("N15", &format!("{many_wrong} {GOOD}"), "signature_mismatch"),
        (
            "N15 the sixteenth",
            &format!("{fifteen_wrong} {GOOD}"),
            "ok",
        ),
        ("rotation", &format!("{WRONG} {GOOD}"), "ok"),
        (
            "other versions beside it",
            &format!("v1a,xyz {GOOD} v2,!"),
            "ok",
        ),
        (
            "N17 trailing bits",
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OF=",
            "bad_encoding",
        ),
        (
            "N17 junk",
            "v1,g0hM9SsE+*OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            "bad_encoding",
        ),
        (
            "N17 N31 url-safe",
            "v1,g0hM9SsE-OTPJTGt_tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            "bad_encoding",
        ),
        (
            "N17 unpadded",
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE",
            "bad_encoding",
        ),
        ("not ASCII", "v1,\u{e4}", "bad_encoding"),
    ] {
        let sent = headers(&[
            ("webhook-id", ID),
            ("webhook-timestamp", TIME),
            ("webhook-signature", signature),
        ]);
        let got = post(&scheme, &[SECRET], &sent, BODY, NOW);
        assert_eq!(name(&got), wanted, "{row}");
    }
}

#[test]
fn missing_and_doubled_headers() {
    let scheme = scheme("standard-webhooks");
    let (id, time, good) = (
        ("webhook-id", ID),
        ("webhook-timestamp", TIME),
        ("webhook-signature", GOOD),
    );
    let wrong = ("Webhook-Signature", WRONG);
    for (row, sent, wanted) in [
        (
            "N48",
            vec![("Webhook-ID", ID), time, ("WEBHOOK-SIGNATURE", GOOD)],
            "ok",
        ),
        ("N01", vec![id, time], "missing_signature"),
        ("N01 nothing", vec![], "missing_signature"),
        ("N10", vec![id, good], "missing_timestamp"),
        (
            "N10 empty",
            vec![id, ("webhook-timestamp", ""), good],
            "missing_timestamp",
        ),
        ("no id", vec![time, good], "missing_id"),
        (
            "empty id",
            vec![("webhook-id", ""), time, good],
            "missing_id",
        ),
        (
            "N12 good first",
            vec![id, time, good, wrong],
            "duplicate_header",
        ),
        (
            "N12 good last",
            vec![id, time, wrong, good],
            "duplicate_header",
        ),
        ("N13 ids", vec![id, id, time, good], "duplicate_header"),
        (
            "N13 timestamps",
            vec![id, time, time, good],
            "duplicate_header",
        ),
    ] {
        let got = post(&scheme, &[SECRET], &headers(&sent), BODY, NOW);
        assert_eq!(name(&got), wanted, "{row}");
    }
}

#[test]
fn bodies_are_verified_byte_for_byte() {
    let scheme = scheme("standard-webhooks");
    let sent = headers(&[
        ("webhook-id", ID),
        ("webhook-timestamp", TIME),
        ("webhook-signature", GOOD),
    ]);
    for (row, body, wanted) in [
        ("as sent", BODY, "ok"),
        (
            "N06 newline",
            "{\"test\": 2432232314}\n",
            "signature_mismatch",
        ),
        (
            "N06 byte order mark",
            "\u{feff}{\"test\": 2432232314}",
            "signature_mismatch",
        ),
        (
            "N06 written again",
            "{\"test\":2432232314}",
            "signature_mismatch",
        ),
        ("N06 empty", "", "signature_mismatch"),
    ] {
        let got = post(&scheme, &[SECRET], &sent, body, NOW);
        assert_eq!(name(&got), wanted, "{row}");
    }
}

#[test]
fn compressed_bodies_are_verified_on_the_wire_unless_configured() {
    let wire = Bytes::from_static(b"(compressed)");
    let body = Bytes::from_static(b"{}");
    for (change, signed_bytes, other_bytes) in [
        ("{}", "(compressed)", "{}"),
        ("{body: wire}", "(compressed)", "{}"),
        ("{body: decoded}", "{}", "(compressed)"),
    ] {
        let change_of: SchemeRecord = serde_yaml::from_str(change).unwrap();
        let record = change_of.over(SchemeRecord::preset("github").unwrap());
        let scheme = Scheme::compile(&record).unwrap();
        for (text, wanted) in [(signed_bytes, "ok"), (other_bytes, "signature_mismatch")] {
            let sent = signed(&scheme, "d", "push", text);
            let request = Inbound {
                wire: &wire,
                ..Inbound::post(&sent, &body)
            };
            let now = Timestamp::from_second(NOW).unwrap();
            let got = verify(&scheme, &keys(&scheme, &[SECRET]), &request, now);
            assert_eq!(name(&got), wanted, "{change}, {text} signed");
        }
    }
}

#[test]
fn clocks() {
    let scheme = scheme("standard-webhooks");
    let sent = headers(&[
        ("webhook-id", ID),
        ("webhook-timestamp", TIME),
        ("webhook-signature", GOOD),
    ]);
    for (row, now, wanted) in [
        ("in time", NOW, Ok(0)),
        ("just old enough", NOW + 300, Ok(300)),
        ("just new enough", NOW - 300, Ok(-300)),
        ("N07", NOW + 301, Err(301)),
        ("N08", NOW - 301, Err(-301)),
    ] {
        let got = post(&scheme, &[SECRET], &sent, BODY, now);
        match wanted {
            Ok(skew) => assert_eq!(event(got).skew_seconds(), Some(skew), "{row}"),
            Err(skew_seconds) => assert_eq!(
                got.unwrap_err(),
                VerifyError::TimestampOutOfTolerance {
                    skew_seconds,
                    tolerance_seconds: 300
                },
                "{row}"
            ),
        }
    }
}

#[test]
fn timestamps_are_plain_digits() {
    let scheme = scheme("standard-webhooks");
    for (row, time) in [
        ("N09 plus", "+1614265330"),
        ("N09 space", " 1614265330"),
        ("N09 zero", "01614265330"),
        ("N09 fraction", "1614265330.5"),
        ("N09 exponent", "1614265330e0"),
        ("N09 hex", "0x6037bbf2"),
        ("N09 underscore", "161_4265330"),
        (
            "N09 Arabic",
            "\u{661}\u{666}\u{661}\u{664}\u{662}\u{666}\u{665}\u{663}\u{663}\u{660}",
        ),
        ("N09 nan", "nan"),
        ("N09 i64::MIN", "-9223372036854775808"),
        ("N09 20 digits", "99999999999999999999"),
        ("N11", "1614265330000"),
    ] {
        let mut sent = signed(&scheme, ID, "", BODY);
        set(&mut sent, "webhook-timestamp", time);
        let got = post(&scheme, &[SECRET], &sent, BODY, NOW);
        assert_eq!(name(&got), "bad_timestamp", "{row}");
    }
}

#[test]
fn challenges_by_post_are_signed() {
    let scheme = scheme("slack");
    let challenge =
        r#"{"token":"t","challenge":"<script>alert(1)</script>","type":"url_verification"}"#;
    // N24
    for body in [challenge, r#"{"verification_token":"x"}"#] {
        let got = post(&scheme, &[SECRET], &HeaderMap::new(), body, NOW);
        assert_eq!(name(&got), "missing_signature", "N24 {body}");
        let mut sent = signed(&scheme, "", "", "{}");
        assert_eq!(
            name(&post(&scheme, &[SECRET], &sent, body, NOW)),
            "signature_mismatch",
            "N24 {body}"
        );
        sent = signed(&scheme, "", "", body);
        assert_eq!(
            name(&post(&scheme, &[SECRET], &sent, body, NOW + 301)),
            "timestamp_out_of_tolerance",
            "an old challenge {body}"
        );
    }
    // N27
    let sent = signed(&scheme, "", "", challenge);
    let Ok(Verdict::Reply(reply)) = post(&scheme, &[SECRET], &sent, challenge, NOW) else {
        panic!("N27: no reply");
    };
    assert_eq!(reply.body, "<script>alert(1)</script>");
    assert_eq!(reply.status, 200);
    let header = |name: &str| {
        let (_, value) = reply.headers.iter().find(|(n, _)| n == name).unwrap();
        value.to_str().unwrap()
    };
    assert_eq!(header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(header("x-content-type-options"), "nosniff");
    // N25
    for body in [
        r#"{"type":"event_callback","challenge":"x","event":{"type":"message"}}"#,
        r#"{"type":"url_verification","challenge":"x","event":{"type":"message"}}"#,
        r#"{"event":{"type":"url_verification","challenge":"x"}}"#,
        r#"{"type":"url_verification"}"#,
        r#"{"type":"url_verification","challenge":{"a":1}}"#,
        r#"[{"type":"url_verification","challenge":"x"}]"#,
    ] {
        let sent = signed(&scheme, "", "", body);
        let got = post(&scheme, &[SECRET], &sent, body, NOW);
        assert_eq!(name(&got), "ok", "N25 {body}");
    }
}

#[test]
fn other_methods_are_no_events() {
    let scheme = scheme("github");
    let body = Bytes::from_static(b"{}");
    for method in [Method::GET, Method::PUT] {
        let sent = signed(&scheme, "d", "push", "{}");
        let request = Inbound::new(&method, &sent, &body);
        let now = Timestamp::from_second(NOW).unwrap();
        let got = verify(&scheme, &keys(&scheme, &[SECRET]), &request, now);
        assert_eq!(name(&got), "no_challenge", "{method}");
    }
}
