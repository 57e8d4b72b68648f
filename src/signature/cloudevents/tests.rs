//! The examples of the specification, and what is none.

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::json::Document;

fn opened(envelope: &str) -> Option<Opened> {
    let body = Bytes::copy_from_slice(envelope.as_bytes());
    let json = Document::parse(&body).unwrap();
    open(json.root(), &body)
}

/// The headers as a request would have them, sorted.
fn lines(opened: &Opened) -> Vec<String> {
    let headers = opened.headers.iter();
    let mut lines: Vec<String> = headers
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    lines.sort();
    lines
}

/// The examples of the JSON format, section 3.2, with their binary forms.
#[test]
fn the_examples_of_the_specification_are_the_binary_ones_that_they_equal() {
    let start = r#""specversion":"1.0","type":"com.example.someevent","source":"/mycontext""#;
    let rows = [
        (
            r#""id":"A234-1234-1234","time":"2018-04-05T17:31:00Z","comexampleextension1":"value","comexampleothervalue":5,
               "datacontenttype":"application/vnd.apache.thrift.binary","data_base64":"AAEC/w==""#,
            "A234-1234-1234",
            "application/vnd.apache.thrift.binary",
            &b"\x00\x01\x02\xff"[..],
        ),
        (
            r#""id":"B234-1234-1234","time":"2018-04-05T17:31:00Z","comexampleextension1":"value","comexampleothervalue":5,
               "unsetextension":null,"datacontenttype":"application/xml","data":"<much wow=\"xml\"/>""#,
            "B234-1234-1234",
            "application/xml",
            b"<much wow=\"xml\"/>",
        ),
        (
            r#""subject":null,"id":"C234-1234-1234","time":"2018-04-05T17:31:00Z","comexampleextension1":"value",
               "comexampleothervalue":5,"datacontenttype":"application/json",
               "data": {"appinfoA" : "abc", "appinfoB" : 123,  "appinfoC" : true }"#,
            "C234-1234-1234",
            "application/json",
            br#"{"appinfoA" : "abc", "appinfoB" : 123,  "appinfoC" : true }"#,
        ),
        (
            r#""subject":null,"id":"D234-1234-1234","time":"2018-04-05T17:31:00Z","comexampleextension1":"value",
               "comexampleothervalue":5,"data":"I'm just a string""#,
            "D234-1234-1234",
            "application/json",
            b"\"I'm just a string\"",
        ),
    ];
    for (rest, id, content_type, data) in rows {
        let got = opened(&format!("{{{start},{rest}}}")).unwrap();
        let wanted = [
            "ce-comexampleextension1: value".to_owned(),
            "ce-comexampleothervalue: 5".to_owned(),
            format!("ce-id: {id}"),
            "ce-source: /mycontext".to_owned(),
            "ce-specversion: 1.0".to_owned(),
            "ce-time: 2018-04-05T17:31:00Z".to_owned(),
            "ce-type: com.example.someevent".to_owned(),
            format!("content-type: {content_type}"),
        ];
        assert_eq!(lines(&got), wanted, "{id}");
        assert_eq!(got.body, data, "{id}");
        let headers: HeaderMap = got.headers.into_iter().collect();
        assert_eq!(binary(&headers), Some(got.identity), "{id}");
    }
}

#[test]
fn data_is_taken_as_it_stands() {
    let rows = [
        ("", &b""[..]),
        (r#","data":null"#, b"null"),
        (r#","data": [1.50, 1e2] "#, b"[1.50, 1e2]"),
        (r#","data":1,"data":{"b":2}"#, br#"{"b":2}"#),
        (r#","\u0064ata":"\u0041""#, br#""\u0041""#),
        (r#","data_base64":null,"data":true"#, b"true"),
        (r#","data_base64":"YQ""#, b"a"),
        (r#","data_base64":"""#, b""),
        (r#","datacontenttype":"a/json;v=1","data":"x""#, b"\"x\""),
        (
            r#","datacontenttype":"text/plain","data":"\u20ac""#,
            "\u{20ac}".as_bytes(),
        ),
        (
            r#","datacontenttype":"text/plain","data":{"a": 1}"#,
            br#"{"a": 1}"#,
        ),
    ];
    for (rest, data) in rows {
        let envelope = format!(r#"{{"specversion":"1.0","id":"1","source":"s","type":"t"{rest}}}"#);
        let got = opened(&envelope).unwrap_or_else(|| panic!("{envelope}"));
        assert_eq!(got.body, data, "{envelope}");
    }
}

#[test]
fn what_is_no_cloudevent_is_none() {
    let good = r#""specversion":"1.0","id":"1","source":"s","type":"t""#;
    assert!(opened(&format!("{{{good}}}")).is_some());
    let many: String = (0..MAX_ATTRIBUTES)
        .map(|n| format!(r#","x{n}":"""#))
        .collect();
    let long = format!(r#","x":"{}""#, "\u{20ac}".repeat(MAX_BYTES / 9));
    for rest in [
        r#","id":7.5"#,
        r#","id":"""#,
        r#","id":null"#,
        r#","specversion":"0.3""#,
        r#","specversion":1.0"#,
        r#","Subject":"s""#,
        r#","sub-ject":"s""#,
        r#","subject":"""#,
        r#","x":[]"#,
        r#","x":{}"#,
        r#","x":1e3"#,
        r#","x":"a\u0000""#,
        r#","time":"now""#,
        r#","datacontenttype":"\u20ac/json""#,
        r#","data":1,"data_base64":"YQ==""#,
        r#","data_base64":7"#,
        r#","data_base64":"%""#,
        &many,
        &long,
    ] {
        assert_eq!(opened(&format!("{{{good}{rest}}}")), None, "{rest}");
    }
    for other in ["[]", "null", "\"x\"", "{}", "[{\"specversion\":\"1.0\"}]"] {
        assert_eq!(opened(other), None, "{other}");
    }
}

#[test]
fn headers_make_a_cloudevent_only_if_all_of_them_do() {
    let good = [
        ("ce-specversion", "1.0"),
        ("ce-id", "a%20b"),
        ("ce-source", "s"),
        ("ce-type", "t"),
        ("x-other", "y"),
        ("content-type", "text/plain"),
    ];
    let map = |more: &[(&'static str, &'static str)]| -> HeaderMap {
        let all = good.iter().chain(more);
        let header = |(name, value): &(&'static str, &'static str)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        };
        all.map(header).collect()
    };
    let identity = Identity {
        id: "a b".to_owned(),
        source: "s".to_owned(),
        event_type: "t".to_owned(),
    };
    assert_eq!(binary(&map(&[("ce-n", "")])), Some(identity));
    for more in [
        ("ce-id", "second"),
        ("ce-x", "%ff"),
        ("ce-x_y", "1"),
        ("ce-datacontenttype", "text/plain"),
        ("content-type", "text/html"),
        ("ce-time", "soon"),
    ] {
        assert_eq!(binary(&map(&[more])), None, "{more:?}");
    }
    let mut without = map(&[]);
    without.remove("ce-source");
    assert_eq!(binary(&without), None);
    for (value, wanted) in [
        ("application/cloudevents+json", true),
        ("APPLICATION/cloudevents+JSON;charset=utf-8", true),
        ("application/cloudevents-batch+json", false),
        ("application/json", false),
    ] {
        let headers =
            HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(value))]);
        assert_eq!(is_structured(&headers), wanted, "{value}");
    }
}

fn attribute() -> impl Strategy<Value = String> {
    any::<String>().prop_filter("an attribute", |text| {
        cloudevents::is_text(text) && !text.is_empty() && text.len() < 500
    })
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// An envelope, taken apart, says as headers what it said as members.
    #[test]
    fn every_attribute_and_the_data_survive(
        core in [attribute(), attribute(), attribute()],
        more in prop::collection::btree_map("[a-z0-9]{1,20}", attribute(), 0..6),
        seconds in 0_i64..4_000_000_000,
        data in json_value(),
    ) {
        let mut wanted: Map<String, Value> = more
            .into_iter()
            .filter(|(name, _)| name != "data" && name != CONTENT_TYPE)
            .map(|(name, value)| (name, Value::from(value)))
            .collect();
        let [id, source, event_type] = core;
        let time = Timestamp::from_second(seconds).unwrap().to_string();
        for (name, value) in
            [("specversion", "1.0".to_owned()), ("id", id), ("source", source), ("type", event_type), ("time", time)]
        {
            wanted.insert(name.to_owned(), Value::from(value));
        }
        let mut envelope = wanted.clone();
        envelope.insert("data".to_owned(), data.clone());
        let got = opened(&json!(envelope).to_string()).unwrap();
        prop_assert_eq!(serde_json::from_slice::<Value>(&got.body).unwrap(), data);
        let headers: Vec<(String, String)> = got
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        let read = cloudevents::attributes(headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let read: Map<String, Value> = read
            .unwrap()
            .into_iter()
            .filter(|(name, _)| *name != CONTENT_TYPE)
            .map(|(name, value)| (name.to_owned(), Value::from(value.into_owned())))
            .collect();
        prop_assert_eq!(json!(read), json!(wanted));
    }
}
