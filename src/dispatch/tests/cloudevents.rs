//! What a target that asks for CloudEvents gets, at first and later.

use serde_json::{Value, json};

use super::*;
use crate::delivery::BodyFrom;
use crate::event::{Event, EventParts};
use crate::id::{Digest, EventId};
use crate::pattern::Pattern;
use crate::plan::{CloudEvents, CloudEventsMode, Plan, Revive, Route, Router, Signer};
use crate::secret::Secret;
use crate::signature::{Inbound, Scheme, SchemeRecord, verify};
use crate::template::{NoPartials, Template};

fn asking(mode: CloudEventsMode, to: SocketAddr) -> Target {
    let cloudevents = Some(CloudEvents {
        mode,
        source: None,
        event_type: None,
    });
    let retry = crate::retry::RetryRecord::Custom(crate::retry::RetryFields {
        schedule: Some(vec!["1ms".to_owned()]),
        ..Default::default()
    });
    Target {
        cloudevents,
        retry: crate::retry::RetryPolicy::compile(&retry).unwrap(),
        ..target("erp", to)
    }
}

fn event(headers: &[(&str, &str)], body: &[u8]) -> Event {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Event::from_stored(EventParts {
        id: EventId::generate(),
        source: "shop".parse().unwrap(),
        message_id: None,
        event_type: "order.paid".to_owned(),
        headers: headers.iter().map(owned).collect(),
        body: bytes::Bytes::copy_from_slice(body),
        received_at: "2026-02-03T04:05:06Z".parse().unwrap(),
        hops: 0,
    })
}

/// A plan whose route renders this, if anything.
fn rendering(target: Target, text: Option<&str>) -> Plan {
    let compiled = text.map(|text| Template::compile("t.liquid", text, &NoPartials).unwrap());
    let route = Route {
        name: "all".parse().unwrap(),
        from: vec!["shop".parse().unwrap()],
        pattern: Pattern::default(),
        template: compiled.map(Arc::new),
        schema: None,
        to: vec![target.name.clone()],
        revive: Revive::Manual,
    };
    Plan {
        router: Router::new(vec![Arc::new(route)]),
        ..plan(vec![target])
    }
}

fn run(store: &Arc<MemoryStore>, plan: Plan) -> Dispatcher {
    let store: Arc<dyn Store> = Arc::<MemoryStore>::clone(store);
    Dispatcher::start(
        Current::new(Arc::new(plan)),
        store,
        Arc::new(SystemClock),
        Arc::new(Metrics::new()),
        Arc::default(),
        Spans::nowhere(),
    )
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

const ATTRIBUTES: [(&str, &str); 6] = [
    ("ce-specversion", "1.0"),
    ("ce-source", "/theirs"),
    ("ce-id", "theirs"),
    ("ce-subject", "a%20b"),
    ("ce-time", "2018-04-05T17:31:00Z"),
    ("content-type", "application/json; charset=utf-8"),
];

#[tokio::test]
async fn an_envelope_is_signed_kept_and_sent_again_as_it_was() {
    for template in [Some("{\"total\": {{ payload.a }}}"), None] {
        let peer = Peer::start(|n| status(if n < 2 { 503 } else { 200 })).await;
        let mut erp = asking(CloudEventsMode::Structured, peer.address);
        let record = SchemeRecord::preset("standard-webhooks").unwrap();
        let scheme = Scheme::compile(&record).unwrap();
        let secret = Secret::new("whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz".to_owned());
        let keys = vec![scheme.signing_key(&secret).unwrap()];
        let check = keys.clone();
        erp.sign = Some(Signer {
            scheme: scheme.clone(),
            scheme_name: "standard-webhooks".to_owned(),
            keys,
            secrets: Vec::new(),
        });
        let store = MemoryStore::new();
        let (_, ids) = store.add_event(event(&ATTRIBUTES, br#"{"a": 1.25}"#), &["erp"]);
        let _dispatcher = run(&store, rendering(erp, template));
        wait_until("the delivery", || store.count(StateKind::Delivered) == 1).await;
        let (seen, attempts) = (peer.seen(), store.attempts_of(ids[0]));
        assert_eq!((seen.len(), attempts.len()), (3, 3));
        let data = match template {
            Some(_) => json!({"total": 1.25}),
            None => json!({"a": 1.25}),
        };
        let got: Value = serde_json::from_slice(&seen[0].body).unwrap();
        let content_type = match template {
            Some(_) => "application/json",
            None => "application/json; charset=utf-8",
        };
        let wanted = json!({
            "specversion": "1.0", "id": ids[0], "source": "/theirs", "type": "order.paid",
            "time": "2018-04-05T17:31:00Z", "subject": "a b", "datacontenttype": content_type, "data": data,
        });
        assert_eq!(got, wanted);
        for (at, (seen, attempt)) in seen.iter().zip(&attempts).enumerate() {
            assert_eq!(seen.body, peer.seen()[0].body, "attempt {at}");
            assert_eq!(
                header(&seen.head, "content-type"),
                Some("application/cloudevents+json; charset=utf-8")
            );
            assert!(!seen.head.contains("\r\nce-"), "{}", seen.head);
            let sent = attempt.sent.unwrap();
            let from = match at {
                0 => BodyFrom::Rendered,
                _ => BodyFrom::Frozen,
            };
            assert_eq!(sent.body_from, Some(from));
            assert_eq!(sent.body, Some(Digest::of(&seen.body)));
            assert_eq!(
                header(&seen.head, "webhook-id"),
                Some(ids[0].to_string().as_str())
            );
        }
        // The head was put into lower case, so the signature in it cannot be checked; the one made anew can.
        let body = bytes::Bytes::from(seen[0].body.clone());
        let outbound = crate::signature::Outbound {
            id: &ids[0].to_string(),
            timestamp: Timestamp::now(),
            method: &http::Method::POST,
            url: "",
            event_type: "",
            body: &body,
        };
        let signed = crate::signature::sign(&scheme, &check, &outbound).unwrap();
        let time = header(&seen[0].head, "webhook-timestamp").unwrap();
        let stamp = Timestamp::from_second(time.parse().unwrap()).unwrap();
        let again = crate::signature::Outbound {
            timestamp: stamp,
            ..outbound
        };
        let again = crate::signature::sign(&scheme, &check, &again).unwrap();
        let of = |all: &[(HeaderName, HeaderValue)]| {
            let found = all.iter().find(|(name, _)| name == "webhook-signature");
            found.unwrap().1.to_str().unwrap().to_ascii_lowercase()
        };
        assert_eq!(
            header(&seen[0].head, "webhook-signature"),
            Some(of(&again).as_str())
        );
        let headers = signed.into_iter().collect::<http::HeaderMap>();
        let inbound = Inbound::post(&headers, &body);
        assert!(verify(&scheme, &check, &inbound, Timestamp::now()).is_ok());
    }
}

#[tokio::test]
async fn attributes_go_as_headers_and_the_data_as_the_body() {
    let peer = Peer::start(|n| status(if n == 0 { 503 } else { 200 })).await;
    let mut erp = asking(CloudEventsMode::Binary, peer.address);
    let own = HeaderValue::from_static("configured");
    erp.headers = vec![(HeaderName::from_static("ce-subject"), own)];
    let store = MemoryStore::new();
    let (_, ids) = store.add_event(event(&ATTRIBUTES, br#"{"a": 1.50}"#), &["erp"]);
    let _dispatcher = run(&store, rendering(erp, None));
    wait_until("the delivery", || store.count(StateKind::Delivered) == 1).await;
    for seen in peer.seen() {
        assert_eq!(seen.body, br#"{"a": 1.50}"#);
        let id = ids[0].to_string();
        for (name, value) in [
            ("ce-specversion", "1.0"),
            ("ce-id", id.as_str()),
            ("ce-source", "/theirs"),
            ("ce-type", "order.paid"),
            ("ce-time", "2018-04-05t17:31:00z"),
            ("ce-subject", "configured"),
            ("content-type", "application/json; charset=utf-8"),
        ] {
            assert_eq!(
                header(&seen.head, name),
                Some(value),
                "{name} in {}",
                seen.head
            );
        }
    }
}

#[tokio::test]
async fn what_is_no_json_and_what_has_no_data_have_their_places() {
    let peer = Peer::start(|_| status(200)).await;
    let store = MemoryStore::new();
    let plain = [("content-type", "text/plain")];
    store.add_event(event(&plain, b"a;b"), &["erp"]);
    let erp = || asking(CloudEventsMode::Structured, peer.address);
    let _dispatcher = run(&store, rendering(erp(), None));
    wait_until("the delivery", || store.count(StateKind::Delivered) == 1).await;
    let got: Value = serde_json::from_slice(&peer.seen()[0].body).unwrap();
    assert_eq!(got["data_base64"], "YTti");
    assert_eq!(got["datacontenttype"], "text/plain");
    assert_eq!(got["source"], "/in/shop");
    assert_eq!(got["time"], "2026-02-03T04:05:06Z");

    // Of an event that says that it is text, what looks like JSON is text as well.
    let mut text = ATTRIBUTES;
    text[5].1 = "text/plain";
    store.add_event(event(&text, b"12"), &["erp"]);
    wait_until("the next", || store.count(StateKind::Delivered) == 2).await;
    let got: Value = serde_json::from_slice(&peer.seen()[1].body).unwrap();
    assert_eq!(
        (&got["data_base64"], &got["data"]),
        (&json!("MTI="), &Value::Null)
    );

    store.add_event(event(&ATTRIBUTES, b""), &["erp"]);
    wait_until("the last", || store.count(StateKind::Delivered) == 3).await;
    let got: Value = serde_json::from_slice(&peer.seen()[2].body).unwrap();
    assert!(
        got.get("data").is_none() && got.get("data_base64").is_none(),
        "{got}"
    );

    let store = MemoryStore::new();
    store.add_event(event(&ATTRIBUTES, b""), &["erp"]);
    let text = "{\"data\": {{ payload }}, \"of\": {{ event.cloudevent.subject }}}";
    let _second = run(&store, rendering(erp(), Some(text)));
    wait_until("the rendered", || store.count(StateKind::Delivered) == 1).await;
    let got: Value = serde_json::from_slice(&peer.seen()[3].body).unwrap();
    assert_eq!(got["data"], json!({"data": null, "of": "a b"}));
}

#[tokio::test]
async fn a_body_that_was_tried_stays_in_or_out_of_its_envelope() {
    let peer = Peer::start(|_| status(200)).await;
    let store = MemoryStore::new();
    let (_, ids) = store.add_event(event(&[], b"{}"), &["erp", "erp"]);
    // Kept before the target asked for envelopes.
    store.freeze(ids[0], br#"{"kept":true}"#);
    store.change(ids[0], |it| it.attempts = 1);
    // Sent as it is before, and nothing kept.
    store.change(ids[1], |it| it.attempts = 1);
    let erp = asking(CloudEventsMode::Structured, peer.address);
    let dispatcher = run(&store, rendering(erp, None));
    wait_until("both", || store.count(StateKind::Delivered) == 2).await;
    let mut bodies: Vec<_> = peer.seen().iter().map(|it| it.body.clone()).collect();
    bodies.sort();
    assert_eq!(bodies, [br#"{"kept":true}"#.to_vec(), b"{}".to_vec()]);
    dispatcher.drain(Duration::from_secs(5)).await;

    // Kept in its envelope, and the target does not ask any more, or for headers.
    for cloudevents in [None, Some(CloudEventsMode::Binary)] {
        let store = MemoryStore::new();
        let (_, ids) = store.add_event(event(&[], b"{}"), &["erp"]);
        let kept = format!(
            "{{\"specversion\":\"1.0\",\"id\":\"{}\",\"source\":\"/s\",\"type\":\"t\"}}",
            ids[0]
        );
        store.freeze(ids[0], kept.clone().leak().as_bytes());
        let peer = Peer::start(|_| status(200)).await;
        let mut erp = asking(CloudEventsMode::Binary, peer.address);
        if cloudevents.is_none() {
            erp.cloudevents = None;
        }
        let _dispatcher = run(&store, rendering(erp, Some("1")));
        wait_until("the delivery", || store.count(StateKind::Delivered) == 1).await;
        let seen = peer.seen();
        assert_eq!(seen[0].body, kept.as_bytes());
        assert!(
            seen[0]
                .head
                .contains("\r\ncontent-type: application/cloudevents+json; charset=utf-8\r\n")
        );
        assert!(!seen[0].head.contains("\r\nce-"));
    }
}
