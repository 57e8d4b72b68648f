//! Messages and certificates made by openssl, see `tests/cases/sns`.

use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};

use super::*;
use crate::json::Document;
use crate::signature::{Inbound, Scheme, SchemeRecord, Verdict, verify};

const TOPIC: &str = "arn:aws:sns:eu-central-1:123456789012:orders";

/// Some minutes after all messages.
const NOW: &str = "2026-01-05T10:05:00Z";

macro_rules! case {
    ($name:literal) => {
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/cases/sns/",
            $name
        ))
    };
}

const FIRST: &str = case!("notification-1.json");
const SECOND: &str = case!("notification-2.json");
const SUBSCRIBE: &str = case!("subscription.json");
const UNSUBSCRIBE: &str = case!("unsubscribe.json");
const ELSEWHERE: &str = case!("subscription-elsewhere.json");
const CERTIFICATE: &str = case!("certificate.pem");
const EXPIRED: &str = case!("expired.pem");
const OTHER: &str = case!("other.pem");

fn scheme(topic: &str, more: &str) -> Scheme {
    let yaml = format!(
        "{{builtin: sns, topics: ['{topic}'], timestamp: {{json: /Timestamp, unit: rfc3339, tolerance: 1h}}, \
         id: {{json: /MessageId}}, type: {{json: /Type}}{more}}}"
    );
    let record: SchemeRecord = serde_yaml::from_str(&yaml).unwrap();
    Scheme::compile(&record).unwrap()
}

fn verdict(
    scheme: &Scheme,
    body: &str,
    certificate: Option<&str>,
    now: &str,
) -> Result<Verdict, VerifyError> {
    let der = certificate.map(|pem| crate::signature::encoding::pem(pem.as_bytes()).unwrap());
    let (headers, body) = (HeaderMap::new(), Bytes::copy_from_slice(body.as_bytes()));
    let request = Inbound {
        certificate: der.as_deref(),
        ..Inbound::post(&headers, &body)
    };
    verify(scheme, &[], &request, now.parse().unwrap())
}

fn changed(message: &str, field: &str, value: Value) -> String {
    let mut message: Value = serde_json::from_str(message).unwrap();
    message[field] = value;
    message.to_string()
}

#[test]
fn notifications_of_both_versions_are_events() {
    let scheme = scheme(TOPIC, "");
    assert!(!scheme.needs_secrets() && scheme.covers_message_id());
    for (message, id) in [
        (FIRST, "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324"),
        (SECOND, "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf325"),
    ] {
        match verdict(&scheme, message, Some(CERTIFICATE), NOW).unwrap() {
            Verdict::Event(event) => {
                assert!(event.message_id_covered());
                assert_eq!(event.skew_seconds(), Some(300));
                let content = event.into_content();
                assert_eq!(content.message_id.as_deref(), Some(id));
                assert_eq!(content.event_type.as_deref(), Some("Notification"));
                assert_eq!(content.body, message);
            }
            Verdict::Reply(reply) => panic!("{reply:?}"),
        }
    }
}

#[test]
fn a_subscription_is_no_event() {
    for (more, at_once) in [("", false), (", confirm_subscriptions: true", true)] {
        let scheme = scheme(TOPIC, more);
        match verdict(&scheme, SUBSCRIBE, Some(CERTIFICATE), NOW).unwrap() {
            Verdict::Reply(reply) => {
                assert_eq!((reply.status, reply.proven), (200, true));
                assert!(!format!("{reply:?}").contains("2336412f"), "{reply:?}");
                let asked = reply.subscription.unwrap();
                assert_eq!((asked.topic.as_str(), asked.at_once), (TOPIC, at_once));
                assert!(asked.url.expose().starts_with(
                    b"https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription&"
                ));
            }
            other => panic!("{other:?}"),
        }
        match verdict(&scheme, UNSUBSCRIBE, Some(CERTIFICATE), NOW).unwrap() {
            Verdict::Reply(reply) => assert_eq!(reply.subscription, None),
            other => panic!("{other:?}"),
        }
        let refused = verdict(&scheme, ELSEWHERE, Some(CERTIFICATE), NOW);
        assert_eq!(refused.unwrap_err(), VerifyError::BadCertificate);
    }
}

#[test]
fn what_is_not_as_aws_signs_it_is_refused() {
    let scheme = scheme(TOPIC, "");
    let mismatch = VerifyError::SignatureMismatch;
    for (message, certificate, wanted) in [
        (FIRST.to_owned(), None, VerifyError::NoCertificate),
        (FIRST.to_owned(), Some(EXPIRED), VerifyError::BadCertificate),
        (FIRST.to_owned(), Some(OTHER), mismatch.clone()),
        (
            changed(FIRST, "Message", json!("{}")),
            Some(CERTIFICATE),
            mismatch.clone(),
        ),
        (
            changed(FIRST, "Subject", json!(null)),
            Some(CERTIFICATE),
            mismatch.clone(),
        ),
        (
            changed(FIRST, "MessageId", json!("x")),
            Some(CERTIFICATE),
            mismatch.clone(),
        ),
        (
            changed(FIRST, "Timestamp", json!("2026-01-05T10:01:00.000Z")),
            Some(CERTIFICATE),
            mismatch.clone(),
        ),
        (
            changed(FIRST, "SignatureVersion", json!("2")),
            Some(CERTIFICATE),
            mismatch.clone(),
        ),
        (
            changed(FIRST, "SignatureVersion", json!("3")),
            Some(CERTIFICATE),
            VerifyError::NoSignature,
        ),
        (
            changed(FIRST, "TopicArn", json!("arn:aws:sns:eu-central-1:1:evil")),
            Some(CERTIFICATE),
            VerifyError::NoSignature,
        ),
        (
            changed(FIRST, "Type", json!("SubscriptionConfirmation")),
            Some(CERTIFICATE),
            VerifyError::MissingPart,
        ),
        (
            changed(FIRST, "Type", json!("Other")),
            Some(CERTIFICATE),
            VerifyError::NoSignature,
        ),
        (
            changed(FIRST, "Type", json!("Notification\n")),
            Some(CERTIFICATE),
            VerifyError::MissingPart,
        ),
        (
            changed(FIRST, "Signature", json!("%")),
            Some(CERTIFICATE),
            VerifyError::BadEncoding,
        ),
        (
            changed(FIRST, "Signature", json!(null)),
            Some(CERTIFICATE),
            VerifyError::MissingPart,
        ),
        (
            changed(FIRST, "Message", json!({"a": 1})),
            Some(CERTIFICATE),
            VerifyError::MissingPart,
        ),
        // raw delivery, and what is no object
        (
            "{\"order\": 7}".to_owned(),
            Some(CERTIFICATE),
            VerifyError::MissingSignature,
        ),
        (
            "order 7".to_owned(),
            Some(CERTIFICATE),
            VerifyError::MissingSignature,
        ),
        (
            "[]".to_owned(),
            Some(CERTIFICATE),
            VerifyError::MissingSignature,
        ),
    ] {
        let got = verdict(&scheme, &message, certificate, NOW).unwrap_err();
        assert_eq!(got, wanted, "{message}");
    }
    // the message that has a signed line's name in it cannot be read in another way
    let mut other: Value = serde_json::from_str(SECOND).unwrap();
    (other["Subject"], other["MessageId"]) = (json!("y"), json!("x"));
    other["Message"] = json!("");
    let got = verdict(&scheme, &other.to_string(), Some(CERTIFICATE), NOW);
    assert_eq!(got.unwrap_err(), mismatch);
    let old = verdict(&scheme, FIRST, Some(CERTIFICATE), "2026-01-05T11:00:01Z");
    assert!(matches!(
        old,
        Err(VerifyError::TimestampOutOfTolerance { .. })
    ));
    let early = verdict(&scheme, FIRST, Some(CERTIFICATE), "2019-12-31T00:00:00Z");
    assert_eq!(early.unwrap_err(), VerifyError::BadCertificate);
}

/// N52.
#[test]
fn certificates_are_looked_for_at_aws_alone() {
    let rule = Rule {
        topics: vec![TOPIC.to_owned()],
        confirm: false,
    };
    let asked = |url: &str| {
        let body = changed(FIRST, "SigningCertURL", json!(url));
        let json = Document::parse(body.as_bytes()).unwrap();
        let scheme = scheme(TOPIC, "");
        let url = certificate_url(&rule, Some(json.root()));
        if url.is_none() {
            let refused = verdict(&scheme, &body, Some(CERTIFICATE), NOW);
            assert_eq!(refused.unwrap_err(), VerifyError::BadCertificate, "{body}");
        }
        url
    };
    for url in [
        "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0.pem",
        "https://sns.cn-north-1.amazonaws.com.cn/a/b_c.pem",
        "https://sns.us-gov-west-1.amazonaws.com/x.pem",
    ] {
        assert_eq!(asked(url).unwrap().to_string(), url);
    }
    for url in [
        "https://sns.evil.com/x.pem",
        "https://evil.com/sns.us-east-1.amazonaws.com/x.pem",
        "https://sns.us-east-1.amazonaws.com.evil.com/x.pem",
        "https://sns.us-east-1.amazonaws.com.cn.evil.com/x.pem",
        "https://evil.com#sns.us-east-1.amazonaws.com/x.pem",
        "https://evil.com\\.sns.us-east-1.amazonaws.com/x.pem",
        "http://sns.us-east-1.amazonaws.com/x.pem",
        "HTTPS://sns.us-east-1.amazonaws.com/x.pem",
        "//sns.us-east-1.amazonaws.com/x.pem",
        "https://a@sns.us-east-1.amazonaws.com/x.pem",
        "https://sns.us-east-1.amazonaws.com@evil.com/x.pem",
        "https://sns.us-east-1.amazonaws.com:443/x.pem",
        "https://sns.us-east-1.amazonaws.com./x.pem",
        "https://sns..amazonaws.com/x.pem",
        "https://sns.amazonaws.com/x.pem",
        "https://sns.a.us-east-1.amazonaws.com/x.pem",
        "https://sns.US-EAST-1.amazonaws.com/x.pem",
        "https://sns.evil.com/.amazonaws.com/x.pem",
        "https://xsns.us-east-1.amazonaws.com/x.pem",
        "https://s3.us-east-1.amazonaws.com/x.pem",
        "https://sns.us-east-1.amazonaws.com/x.pem?y=.pem",
        "https://sns.us-east-1.amazonaws.com/x.pem#.pem",
        "https://sns.us-east-1.amazonaws.com/x",
        "https://sns.us-east-1.amazonaws.com/../x.pem",
        "https://sns.us-east-1.amazonaws.com/%2e%2e/x.pem",
        "https://sns.us-east-1.amazonaws.com",
        "https://169.254.169.254/x.pem",
        "",
    ] {
        assert_eq!(asked(url), None, "{url}");
    }
    // Nobody is asked on behalf of another topic, or for what is no message.
    for (field, value) in [
        ("TopicArn", json!("arn:aws:sns:eu-central-1:1:evil")),
        ("SignatureVersion", json!("9")),
        ("Type", json!("Other")),
        ("Message", json!(1)),
    ] {
        let body = changed(FIRST, field, value);
        let json = Document::parse(body.as_bytes()).unwrap();
        assert_eq!(certificate_url(&rule, Some(json.root())), None, "{field}");
    }
}
