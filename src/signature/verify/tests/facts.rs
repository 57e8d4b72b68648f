//! What a verified request is known by: ids, types, tokens, parts of the body, URLs.

use super::*;

#[test]
fn ids_that_are_not_signed_do_not_count() {
    // N30: the same body under another delivery id verifies, and its id is no key
    let scheme = scheme("github");
    assert!(!scheme.covers_message_id());
    for id in ["72d3162e", "changed"] {
        let mut sent = signed(&scheme, "72d3162e", "push", BODY);
        set(&mut sent, "x-github-delivery", id);
        let event = event(post(&scheme, &[SECRET], &sent, BODY, NOW));
        assert!(!event.message_id_covered(), "N30");
        assert_eq!(event.content().message_id.as_deref(), Some(id));
    }
    // an id that the body lacks is none, and covers nothing
    let scheme = self::scheme("wingspan");
    for (body, id) in [
        (r#"{"eventId":"ev_1"}"#, Some("ev_1")),
        (r#"{"eventId":17}"#, Some("17")),
        (r#"{"eventId":""}"#, None),
        (r#"{"eventId":null}"#, None),
        ("{}", None),
        ("not JSON", None),
    ] {
        let sent = signed(&scheme, "", "", body);
        let event = event(post(&scheme, &[SECRET], &sent, body, NOW));
        assert_eq!(event.content().message_id.as_deref(), id, "{body}");
        assert_eq!(event.message_id_covered(), id.is_some(), "{body}");
    }
}

#[test]
fn types() {
    for (row, preset, body, wanted) in [
        (
            "in the body",
            "standard-webhooks",
            r#"{"type":"a.b"}"#,
            Some("a.b"),
        ),
        ("N42", "standard-webhooks", "{\"type\":", None),
        ("not UTF-8 either", "standard-webhooks", "", None),
        (
            "N43",
            "standard-webhooks",
            r#"{"type":"a","type":"b"}"#,
            Some("b"),
        ),
        ("no text", "standard-webhooks", r#"{"type":{"a":1}}"#, None),
        ("a fallback", "wingspan", "{}", Some("wingspan.event")),
        (
            "for a form as well",
            "slack",
            "token=x&command=y",
            Some("slack.event"),
        ),
        (
            "a constant",
            "compliancely",
            r#"{"type":"x"}"#,
            Some("compliancely.event"),
        ),
        ("in a header", "github", "{}", Some("push")),
    ] {
        let scheme = scheme(preset);
        let sent = signed(&scheme, "m1", "push", body);
        let event = event(post(&scheme, &[SECRET], &sent, body, NOW));
        assert_eq!(event.content().event_type.as_deref(), wanted, "{row}");
        let parsed: Option<serde_json::Value> = serde_json::from_str(body).ok();
        let json = event.content().json.as_ref();
        assert_eq!(json.map(|json| json.root().to_value()), parsed, "{row}");
        assert_eq!(event.content().body, body, "{row}");
    }
}

#[test]
fn ids_and_types_are_short_and_plain() {
    let long = "x".repeat(10_000);
    let full = "x".repeat(super::super::MAX_TEXT_BYTES);
    let json = |id: &str, event_type: &str| {
        serde_json::json!({"eventId": id, "eventType": event_type}).to_string()
    };
    for (row, preset, id, event_type, body, wanted) in [
        ("full length", "wingspan", "", "", json(&full, &full), "ok"),
        (
            "N54 long id in the body",
            "wingspan",
            "",
            "",
            json(&long, "a"),
            "bad_id",
        ),
        (
            "N54 long type in the body",
            "wingspan",
            "",
            "",
            json("a", &long),
            "bad_type",
        ),
        (
            "N54 id with a line end",
            "wingspan",
            "",
            "",
            json("a\r\nb", "a"),
            "bad_id",
        ),
        (
            "N54 type with a line end",
            "wingspan",
            "",
            "",
            json("a", "a\nb"),
            "bad_type",
        ),
        (
            "N54 long id in a header",
            "svix",
            &long,
            "",
            "{}".to_owned(),
            "bad_id",
        ),
        (
            "N54 long unsigned id",
            "github",
            &long,
            "push",
            "{}".to_owned(),
            "bad_id",
        ),
        (
            "N54 long type in a header",
            "github",
            "d",
            &long,
            "{}".to_owned(),
            "bad_type",
        ),
    ] {
        let scheme = scheme(preset);
        let sent = signed(&scheme, id, event_type, &body);
        let got = post(&scheme, &[SECRET], &sent, &body, NOW);
        assert_eq!(name(&got), wanted, "{row}");
    }
    let mut sent = signed(&scheme("github"), "d", "push", "{}");
    set(&mut sent, "x-github-event", "p\u{fc}sh");
    let got = post(&scheme("github"), &[SECRET], &sent, "{}", NOW);
    assert_eq!(name(&got), "bad_type", "N54 not ASCII");
}

#[test]
fn an_id_cannot_swallow_the_timestamp() {
    // N54: signed as id `m`, timestamp NOW, body `NOW.{}`; sent as id `m.NOW`, body `{}`
    let scheme = scheme("standard-webhooks");
    let body = format!("{TIME}.{{}}");
    let mut sent = signed(&scheme, "m", "", &body);
    assert_eq!(name(&post(&scheme, &[SECRET], &sent, &body, NOW)), "ok");
    set(&mut sent, "webhook-id", &format!("m.{TIME}"));
    let got = post(&scheme, &[SECRET], &sent, "{}", NOW);
    assert_eq!(name(&got), "bad_id");
}

#[test]
fn tokens_are_compared_whole() {
    let record: SchemeRecord = serde_yaml::from_str(
        "{algorithm: token, signature: {header: authorization, prefix: 'Bearer '}}",
    )
    .unwrap();
    let scheme = Scheme::compile(&record).unwrap();
    for (value, wanted) in [
        ("Bearer let-me-in", "ok"),
        ("Bearer let-me-i", "signature_mismatch"),
        ("Bearer let-me-in2", "signature_mismatch"),
        ("Bearer ", "signature_mismatch"),
        ("let-me-in", "no_signature"),
    ] {
        let sent = headers(&[("authorization", value)]);
        let got = post(&scheme, &["let-me-in"], &sent, "{}", NOW);
        assert_eq!(name(&got), wanted, "{value}");
    }
}

#[test]
fn parts_that_stand_in_the_body() {
    let body = r#"{"sig":"SIG","at":1614265330000,"type":"a"}"#;
    // the time is signed with the body alone, and read after that
    let linear: SchemeRecord = serde_yaml::from_str(
        "{signature: {header: s}, timestamp: {json: /at, unit: ms, tolerance: 60s}}",
    )
    .unwrap();
    let scheme = Scheme::compile(&linear).unwrap();
    let sent = signed(&scheme, "", "", body);
    for (now, wanted) in [
        (NOW + 60, "ok"),
        (NOW + 61, "timestamp_out_of_tolerance"),
        (NOW - 61, "timestamp_out_of_tolerance"),
    ] {
        assert_eq!(
            name(&post(&scheme, &[SECRET], &sent, body, now)),
            wanted,
            "{now}"
        );
    }
    let other = r#"{"at":"soon"}"#;
    let sent = signed(&scheme, "", "", other);
    assert_eq!(
        name(&post(&scheme, &[SECRET], &sent, other, NOW)),
        "bad_timestamp"
    );
    let sent = signed(&scheme, "", "", "{}");
    assert_eq!(
        name(&post(&scheme, &[SECRET], &sent, "{}", NOW)),
        "missing_timestamp"
    );

    let inside: SchemeRecord =
        serde_yaml::from_str("{algorithm: token, signature: {json: /sig}, id: {json: /at}}")
            .unwrap();
    let scheme = Scheme::compile(&inside).unwrap();
    for (body, wanted) in [
        (body, "ok"),
        (r#"{"sig":"other"}"#, "signature_mismatch"),
        ("{}", "missing_signature"),
        ("not JSON", "missing_signature"),
    ] {
        let got = post(&scheme, &["SIG"], &HeaderMap::new(), body, NOW);
        assert_eq!(name(&got), wanted, "{body}");
    }
}

#[test]
fn urls_are_those_configured() {
    let record: SchemeRecord =
        serde_yaml::from_str("{content: '{method}{url}{body}', signature: {header: s}}").unwrap();
    let scheme = Scheme::compile(&record).unwrap();
    assert!(scheme.needs_url());
    let body = Bytes::from_static(b"{}");
    for (url, wanted) in [
        (Some("https://h.example/"), "ok"),
        (Some("https://other.example/"), "signature_mismatch"),
        (None, "missing_url"),
    ] {
        let mut headers = signed(&scheme, "", "", "{}");
        set(&mut headers, "x-forwarded-host", "h.example");
        let request = Inbound {
            url,
            ..Inbound::post(&headers, &body)
        };
        let now = Timestamp::from_second(NOW).unwrap();
        let got = verify(&scheme, &keys(&scheme, &[SECRET]), &request, now);
        assert_eq!(name(&got), wanted, "{url:?}");
    }
}
