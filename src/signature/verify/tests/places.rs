//! Where things stand: query parameters, headers and fields that are signed by themselves, forms, tokens at
//! several places, addresses.

use super::*;
use crate::signature::Content;

/// A signature over `content` as a scheme of plain hex HMAC-SHA256 in the header `s` makes it.
fn mac_of(content: &str) -> String {
    let record = SchemeRecord::preset("hmac").unwrap();
    let scheme = Scheme::compile(&record).unwrap();
    let key = scheme.signing_key(&Secret::new("secret")).unwrap();
    let request = Outbound {
        id: "",
        timestamp: Timestamp::UNIX_EPOCH,
        method: &Method::POST,
        url: "",
        event_type: "",
        body: content.as_bytes(),
    };
    let headers = sign(&scheme, &[key], &request).unwrap();
    headers[0].1.to_str().unwrap().to_owned()
}

fn compiled(yaml: &str) -> Scheme {
    Scheme::compile(&serde_yaml::from_str(yaml).unwrap()).unwrap()
}

fn asked(
    scheme: &Scheme,
    secrets: &[&str],
    query: &str,
    pairs: &[(&str, &str)],
    body: &str,
) -> Result<Verdict, VerifyError> {
    let body = Bytes::copy_from_slice(body.as_bytes());
    let headers = headers(pairs);
    let request = Inbound {
        query: Some(query),
        ..Inbound::post(&headers, &body)
    };
    let now = Timestamp::from_second(NOW).unwrap();
    verify(scheme, &keys(scheme, secrets), &request, now)
}

fn said(verdict: Result<Verdict, VerifyError>) -> Content {
    event(verdict).into_content()
}

#[test]
fn parts_that_are_signed_by_themselves() {
    let body = r#"{"a":{"b":7},"t":"x"}"#;
    for (content, signed, query, pairs, wanted) in [
        (
            "{header:x-h}|{body}",
            format!("h|{body}"),
            "",
            &[("x-h", "h")][..],
            "ok",
        ),
        (
            "{header:x-h}|{body}",
            format!("g|{body}"),
            "",
            &[("x-h", "h")],
            "signature_mismatch",
        ),
        (
            "{header:x-h}|{body}",
            format!("|{body}"),
            "",
            &[],
            "missing_part",
        ),
        (
            "{header:x-h}|{body}",
            format!("h|{body}"),
            "",
            &[("x-h", "h"), ("x-h", "h")],
            "duplicate_header",
        ),
        (
            "{json:/a/b}{json:/t}{body}",
            format!("7x{body}"),
            "",
            &[],
            "ok",
        ),
        (
            "{json:/a}{body}",
            format!("{{\"b\":7}}{body}"),
            "",
            &[],
            "missing_part",
        ),
        (
            "{query:q}.{body}",
            format!("a b.{body}"),
            "q=a+b&r=1",
            &[],
            "ok",
        ),
        (
            "{query:q}.{body}",
            format!("a b.{body}"),
            "q=a+b&q=1",
            &[],
            "duplicate_field",
        ),
        (
            "{query:q}.{body}",
            format!(".{body}"),
            "r=1",
            &[],
            "missing_part",
        ),
    ] {
        let scheme = compiled(&format!(
            "{{content: '{content}', signature: {{header: s}}}}"
        ));
        let signature = mac_of(&signed);
        let mut pairs = pairs.to_vec();
        pairs.push(("s", &signature));
        let got = asked(&scheme, &["secret"], query, &pairs, body);
        assert_eq!(name(&got), wanted, "{content} {query} {pairs:?}");
    }
}

#[test]
fn facts_in_the_query() {
    let scheme = compiled(
        "{content: '{id}.{timestamp}.{body}', signature: {query: sig}, timestamp: {query: ts}, id: {query: id}, type: {query: kind}}",
    );
    let sig = mac_of(&format!("m%1.{NOW}.{{}}"));
    let good = format!("sig={sig}&ts={NOW}&id=m%251&kind=a.b");
    let got = asked(&scheme, &["secret"], &good, &[], "{}");
    let verified = event(got);
    assert!(verified.message_id_covered());
    let content = verified.into_content();
    assert_eq!(content.message_id.as_deref(), Some("m%1"));
    assert_eq!(content.event_type.as_deref(), Some("a.b"));
    for (query, wanted) in [
        (format!("{good}&id=x"), "duplicate_field"),
        (format!("{good}&sig={sig}"), "duplicate_field"),
        (good.replace("id=", "od="), "missing_id"),
        (good.replace("ts=", "st="), "missing_timestamp"),
        (good.replace("sig=", "gis="), "missing_signature"),
        (good.replace("m%251", "m2"), "signature_mismatch"),
        (String::new(), "missing_signature"),
    ] {
        let got = asked(&scheme, &["secret"], &query, &[], "{}");
        assert_eq!(name(&got), wanted, "{query}");
    }
}

/// As Mailgun does: what it signs is not the event.
#[test]
fn bodies_that_are_not_signed() {
    let scheme = compiled(
        "{content: '{timestamp}{json:/signature/token}', body_unsigned: true, signature: {json: /signature/signature}, timestamp: {json: /signature/timestamp}, id: {json: /signature/token}, type: {json: /event-data/event}}",
    );
    assert!(scheme.covers_message_id());
    let sig = mac_of(&format!("{NOW}tok"));
    let body = |token: &str| {
        format!(
            r#"{{"signature":{{"timestamp":"{NOW}","token":"{token}","signature":"{sig}"}},"event-data":{{"event":"opened"}}}}"#
        )
    };
    let content = said(asked(&scheme, &["secret"], "", &[], &body("tok")));
    assert_eq!(content.message_id.as_deref(), Some("tok"));
    assert_eq!(content.event_type.as_deref(), Some("opened"));
    let got = asked(&scheme, &["secret"], "", &[], &body("tik"));
    assert_eq!(name(&got), "signature_mismatch");
}

#[test]
fn forms_are_proven_as_they_came_and_read_as_objects() {
    let scheme = compiled(
        "{signature: {header: s}, id: {json: /id}, type: {json: /kind}, form: {json: payload}}",
    );
    let form = ("content-type", "application/x-www-form-urlencoded");
    let sent = |body: &str, kind: (&'static str, &'static str)| {
        let signature = mac_of(body);
        asked(&scheme, &["secret"], "", &[("s", &signature), kind], body)
    };
    let content = said(sent("id=1&kind=a&x=%2B&x=2", form));
    assert_eq!(content.body, r#"{"id":"1","kind":"a","x":["+","2"]}"#);
    assert_eq!(content.message_id.as_deref(), Some("1"));
    assert_eq!(content.event_type.as_deref(), Some("a"));
    let replaced: Vec<_> = content
        .replaced
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(replaced, ["content-type"]);
    assert!(content.json.is_some());
    let content = said(sent("payload=%7B%22id%22%3A%229%22%7D", form));
    assert_eq!(
        (&*content.body, content.message_id.as_deref()),
        (&br#"{"id":"9"}"#[..], Some("9"))
    );
    // JSON stays what it is, whatever the header says
    for kind in [form, ("content-type", "application/json")] {
        let content = said(sent(r#"{"id":"1"}"#, kind));
        assert_eq!(content.body, r#"{"id":"1"}"#, "{kind:?}");
        assert!(content.replaced.is_empty());
    }
    let got = asked(
        &scheme,
        &["secret"],
        "",
        &[("s", &mac_of("id=1")), form],
        "id=2",
    );
    assert_eq!(name(&got), "signature_mismatch");
}

#[test]
fn tokens_in_base64_and_at_every_place() {
    let basic = compiled(
        "{algorithm: token, signature: {header: authorization, prefix: 'Basic ', encoding: base64}}",
    );
    for (value, wanted) in [
        ("Basic dXNlcjpwYXNz", "ok"),
        ("Basic dXNlcjpwYXN4", "signature_mismatch"),
        ("Basic user:pass", "bad_encoding"),
        ("Basic dXNlcjpwYXNz=", "bad_encoding"),
        ("Basic", "no_signature"),
        ("Bearer dXNlcjpwYXNz", "no_signature"),
    ] {
        let got = asked(
            &basic,
            &["user:pass"],
            "",
            &[("authorization", value)],
            "{}",
        );
        assert_eq!(name(&got), wanted, "{value}");
    }
    let graph = compiled("{algorithm: token, signature: {json: '/value/*/clientState'}}");
    for (body, wanted) in [
        (r#"{"value":[{"clientState":"one"}]}"#, "ok"),
        (
            r#"{"value":[{"clientState":"one"},{"clientState":"one"}]}"#,
            "ok",
        ),
        // each subscription may have a secret of its own
        (
            r#"{"value":[{"clientState":"two"},{"clientState":"one"}]}"#,
            "ok",
        ),
        (
            r#"{"value":[{"clientState":"one"},{"clientState":"no"}]}"#,
            "signature_mismatch",
        ),
        (
            r#"{"value":[{"clientState":"one"},{}]}"#,
            "missing_signature",
        ),
        (r#"{"value":[{"clientState":""}]}"#, "no_signature"),
        (r#"{"value":[]}"#, "missing_signature"),
        (r#"{"value":{}}"#, "missing_signature"),
        ("{}", "missing_signature"),
        ("", "missing_signature"),
    ] {
        let got = asked(&graph, &["one", "two"], "", &[], body);
        assert_eq!(name(&got), wanted, "{body}");
    }
    let second = r#"{"value":[{"clientState":"two"},{"clientState":"one"}]}"#;
    let got = event(asked(&graph, &["one", "two"], "", &[], second));
    assert_eq!(got.key(), 1);
}

#[test]
fn where_the_address_counts_there_is_no_secret() {
    let scheme = compiled(
        "{algorithm: address, id: {header: i}, type: {json: /type}, handshake: [{when: {query: {probe: '*'}}, open: true, reply: {text: '{query:probe}'}}]}",
    );
    assert!(!scheme.needs_secrets());
    let content = said(asked(&scheme, &[], "", &[("i", "m1")], r#"{"type":"a.b"}"#));
    assert_eq!(content.message_id.as_deref(), Some("m1"));
    assert_eq!(content.event_type.as_deref(), Some("a.b"));
    let got = asked(&scheme, &[], "probe=x", &[], "");
    assert_eq!(name(&got), "reply");
}

/// Published by SendGrid with its libraries; line ends of the body count.
#[test]
fn ecdsa_as_a_vendor_published_it() {
    let scheme = compiled(
        "{algorithm: ecdsa-p256, content: '{timestamp}{body}', signature: {header: s, encoding: base64}, timestamp: {header: t}}",
    );
    let public = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g==";
    let signature = "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM=";
    let body = "[{\"email\":\"hello@world.com\",\"event\":\"dropped\",\"reason\":\"Bounced Address\",\"sg_event_id\":\"ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA\",\"sg_message_id\":\"LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0\",\"smtp-id\":\"<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>\",\"timestamp\":1600112492}]\r\n";
    let time = "1600112502";
    for (signature, body, wanted) in [
        (signature.to_owned(), body, "ok"),
        (signature.to_owned(), body.trim_end(), "signature_mismatch"),
        (
            signature.replace("MEUC", "MEQC"),
            body,
            "signature_mismatch",
        ),
        ("AAAA".to_owned(), body, "signature_mismatch"),
        ("!".to_owned(), body, "bad_encoding"),
    ] {
        let sent = headers(&[("s", &signature), ("t", time)]);
        let got = post(&scheme, &[public], &sent, body, 1_600_112_502);
        assert_eq!(name(&got), wanted, "{signature}");
    }
}
