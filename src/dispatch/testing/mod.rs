//! For the tests of this module and of the operator's door: a store in memory, a peer with scripted
//! answers over a real socket, and plans by hand.

mod peer;
mod store;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

pub(crate) use self::peer::{Peer, Reply, status, status_text};
pub(crate) use self::store::MemoryStore;
use crate::clock;
use crate::event::{Event, EventParts};
use crate::id::EventId;
use crate::pattern::Pattern;
use crate::plan::{Allow, BreakerPolicy, Plan, Revive, Route, Router, Source, Target};
use crate::redact::Redaction;
use crate::retry::RetryPolicy;
use crate::signature::{Checks, Scheme, SchemeRecord, Way};
use crate::template::RenderLimits;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `condition` holds.
pub(crate) async fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let waited = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(
        tokio::time::timeout(PATIENCE, waited).await.is_ok(),
        "waited in vain for: {what}"
    );
}

/// An event as if it had been received `now`.
pub(crate) fn event(body: &[u8], now: Timestamp) -> Event {
    Event::from_stored(EventParts {
        id: EventId::generate(),
        source: "wreno".parse().unwrap(),
        message_id: Some("msg_1".to_owned()),
        event_type: "vendor.updated".to_owned(),
        headers: vec![("content-type".to_owned(), "text/csv".to_owned())],
        body: Bytes::copy_from_slice(body),
        received_at: now,
        hops: 2,
    })
}

/// A target at this address, unsigned, with the retry policy `wreno` (2 s, doubling, 10 attempts) and the breaker
/// that targets have unless configured.
pub(crate) fn target(name: &str, to: SocketAddr) -> Target {
    Target {
        name: name.parse().unwrap(),
        url: format!("http://{to}/hooks?k=v").parse().unwrap(),
        headers: Vec::new(),
        cloudevents: None,
        sign: None,
        auth: None,
        retry: RetryPolicy::preset("wreno").unwrap(),
        timeout: Duration::from_secs(15),
        concurrency: 4,
        rate: None,
        breaker: Some(BreakerPolicy {
            failures: 10,
            ratio: 0.5,
            requests: 20,
            window: Duration::from_secs(30),
        }),
        order: None,
        tls: None,
    }
}

/// A source of this name that nobody can send to.
pub(crate) fn source(name: &str) -> Source {
    let record = SchemeRecord::preset("hmac").unwrap();
    let scheme = Scheme::compile(&record).unwrap();
    Source {
        name: name.parse().unwrap(),
        path: format!("/in/{name}"),
        url: None,
        checks: Checks::one(Way::new(scheme, "hmac", Vec::new())),
        allow: Allow::All,
        answer: None,
        dedupe: None,
        captured: None,
        trust_trace: false,
        redact: Redaction::default(),
    }
}

/// A plan with these targets and the route `all` to them, without a template.
pub(crate) fn plan(targets: Vec<Target>) -> Plan {
    let to = targets.iter().map(|target| target.name.clone()).collect();
    let route = Route {
        name: "all".parse().unwrap(),
        from: vec!["wreno".parse().unwrap()],
        pattern: Pattern::default(),
        template: None,
        schema: None,
        to,
        revive: Revive::Manual,
    };
    Plan {
        sources: BTreeMap::from([("wreno".parse().unwrap(), Arc::new(source("wreno")))]),
        router: Router::new(vec![Arc::new(route)]),
        targets: targets
            .into_iter()
            .map(|target| (target.name.clone(), Arc::new(target)))
            .collect(),
        render: RenderLimits {
            output_bytes: 1 << 22,
        },
        ..Plan::bare()
    }
}

/// `start` plus `by`.
pub(crate) fn later(start: Timestamp, by: Duration) -> Timestamp {
    clock::after(start, by)
}
