//! The door over real sockets, in front of a store in memory. Every answer is held against the document.

mod bodies;
mod document;
mod fleet;
mod live;
mod replays;
mod targets;

use std::sync::atomic::Ordering;

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::contract::Contract;
use super::*;
use crate::clock::ManualClock;
use crate::delivery::{Attempt, DeadReason, Failure, Next, Outcome, State};
use crate::dispatch::testing::{MemoryStore, plan, target};
use crate::dispatch::{BreakerState, BreakerView, Fault, LaneView};
use crate::id::DeliveryId;
use crate::plan::Generation;
use crate::secret::Secret;
use crate::store::Settlement;
use crate::tls;
use crate::units::parse_rate;

/// A door that is open, over a store that is to be filled.
struct Open {
    address: SocketAddr,
    plan: Current,
    store: Arc<MemoryStore>,
    lanes: Arc<Lanes>,
    live: Arc<Live>,
    clock: Arc<ManualClock>,
    replays: Arc<Replays>,
    draining: Arc<AtomicBool>,
    shutdown: watch::Sender<bool>,
    serving: tokio::task::JoinHandle<()>,
}

async fn open(token: Option<&str>) -> Open {
    let clock = Arc::new(ManualClock::new("2026-02-03T04:05:06Z".parse().unwrap()));
    let store = MemoryStore::with_clock(Arc::<ManualClock>::clone(&clock));
    open_over(store, clock, token).await
}

/// A door over this store.
async fn open_over(store: Arc<MemoryStore>, clock: Arc<ManualClock>, token: Option<&str>) -> Open {
    let nobody: SocketAddr = "127.0.0.1:9".parse().unwrap();
    let (mut erp, mut off) = (target("erp", nobody), target("off", nobody));
    erp.rate = parse_rate("50/s").ok();
    off.breaker = None;
    let mut plan = plan(vec![erp, target("audit", nobody), off]);
    plan.admin.token = token.map(Secret::new);
    let draining = Arc::new(AtomicBool::new(false));
    let lanes = Arc::new(Lanes::default());
    let live = Arc::new(Live::new(clock.now()));
    let plan = Current::new(Arc::new(plan));
    let metrics = Arc::new(Metrics::new());
    let replays = Arc::new(Replays::new(
        plan.clone(),
        Arc::<MemoryStore>::clone(&store),
        Arc::<ManualClock>::clone(&clock),
        Arc::clone(&metrics),
    ));
    let admin = Arc::new(Admin {
        plan: plan.clone(),
        reloader: None,
        outside: Arc::default(),
        replays: Arc::clone(&replays),
        store: Arc::<MemoryStore>::clone(&store),
        lanes: Arc::clone(&lanes),
        clock: Arc::<ManualClock>::clone(&clock),
        metrics,
        live: Arc::clone(&live),
        draining: Arc::clone(&draining),
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (shutdown, watcher) = watch::channel(false);
    let serving = tokio::spawn(admin.serve(listener, watcher));
    Open {
        address,
        plan,
        store,
        lanes,
        live,
        clock,
        replays,
        draining,
        shutdown,
        serving,
    }
}

/// An answer: status, head in lower case, body.
struct Got {
    status: u16,
    head: String,
    body: String,
}

impl Got {
    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.split("\r\n").skip(1);
        let mut fields = lines.filter_map(|line| line.split_once(": "));
        fields.find(|(own, _)| *own == name).map(|(_, value)| value)
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

impl Open {
    /// Sends a request head as it is given, without the last empty line.
    async fn raw(&self, head: &str) -> Got {
        self.send(head, "").await
    }

    /// Sends a head and a body as they are given, and holds the answer against the document.
    async fn send(&self, head: &str, body: &str) -> Got {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("{head}\r\nconnection: close\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (answered, body) = answer.split_once("\r\n\r\n").unwrap();
        let got = Got {
            status: answered[9..12].parse().unwrap(),
            head: answered.to_lowercase(),
            body: body.to_owned(),
        };
        document::hold(head, &got);
        got
    }

    /// Gives the plan its number, which is 7.
    fn number(&self) {
        let (number, since) = (7, self.clock.now());
        let generation = Generation { number, since };
        self.plan.get().generation.set(generation).unwrap();
    }

    async fn get(&self, path: &str) -> Got {
        self.raw(&format!("GET {path} HTTP/1.1\r\nhost: localhost"))
            .await
    }

    async fn post(&self, path: &str) -> Got {
        let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0");
        self.raw(&head).await
    }
}

#[tokio::test]
async fn livez_and_readyz() {
    let door = open(Some("t")).await;
    let live = door.get("/livez").await;
    assert_eq!((live.status, live.json()), (200, json!({"live": true})));
    let ready = door.get("/readyz").await;
    let wanted = json!({"ready": true, "reasons": []});
    assert_eq!((ready.status, ready.json()), (200, wanted));
    door.store.set_unavailable(Some("rebuilding, 10 % done"));
    door.draining.store(true, Ordering::Relaxed);
    let ready = door.get("/readyz").await;
    let reasons = ["draining", "store: rebuilding, 10 % done"];
    let wanted = json!({"ready": false, "reasons": reasons});
    assert_eq!((ready.status, ready.json()), (503, wanted));
    assert_eq!(door.get("/livez").await.status, 200);
}

#[tokio::test]
async fn answers_are_guarded_and_errors_have_one_shape() {
    let door = open(None).await;
    for (head, status, code) in [
        ("GET /nothing HTTP/1.1\r\nhost: localhost", 404, "not_found"),
        ("POST / HTTP/1.1\r\nhost: localhost", 404, "not_found"),
        (
            "GET /api/v1/events/x HTTP/1.1\r\nhost: localhost",
            404,
            "not_found",
        ),
        (
            "PUT /livez HTTP/1.1\r\nhost: localhost",
            405,
            "method_not_allowed",
        ),
        (
            "GET /api/v1/events?x=1 HTTP/1.1\r\nhost: localhost",
            400,
            "bad_query",
        ),
        ("GET /livez HTTP/1.1", 400, "bad_host"),
        (
            "GET /livez HTTP/1.1\r\nhost: evil.example",
            421,
            "wrong_host",
        ),
        (
            "GET http://evil.example/livez HTTP/1.1\r\nhost: localhost",
            421,
            "wrong_host",
        ),
        (
            "GET /livez HTTP/1.1\r\nhost: localhost\r\norigin: http://evil.example",
            403,
            "foreign_origin",
        ),
        (
            "GET /livez HTTP/1.1\r\nhost: localhost\r\nsec-fetch-site: cross-site",
            403,
            "foreign_origin",
        ),
        (
            "POST /api/v1/deliveries/x/retry HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99999",
            413,
            "body_too_large",
        ),
    ] {
        let got = door.raw(head).await;
        assert_eq!(got.status, status, "{head}\n{}", got.body);
        let error = &got.json()["error"];
        assert_eq!(error["code"], code, "{head}");
        assert!(
            error["message"]
                .as_str()
                .is_some_and(|text| !text.is_empty())
        );
        for line in [
            "content-type: application/json",
            "x-content-type-options: nosniff",
            "cache-control: no-store",
            "x-frame-options: deny",
            "content-security-policy: default-src 'none'",
        ] {
            assert!(got.head.contains(line), "{line} is missing after {head}");
        }
    }
    let not_allowed = door.post("/api/v1/events").await;
    assert!(not_allowed.head.contains("\r\nallow: get, head"));
    let own = format!("origin: http://{}", door.address);
    let head = format!("GET /livez HTTP/1.1\r\nhost: {}\r\n{own}", door.address);
    assert_eq!(door.raw(&head).await.status, 200);
    let head = "HEAD /livez HTTP/1.1\r\nhost: localhost";
    let got = door.raw(head).await;
    assert_eq!((got.status, got.body.as_str()), (200, ""));
}

#[tokio::test]
async fn the_token_is_asked_for() {
    let door = open(Some("right")).await;
    for path in ["/metrics", "/api/v1/events", "/nothing"] {
        let got = door.get(path).await;
        assert_eq!(got.status, 401, "{path}");
        assert!(got.head.contains("\r\nwww-authenticate: bearer"), "{path}");
    }
    for (token, status) in [("right", 200), ("wrong", 401)] {
        let head = format!(
            "GET /api/v1/events HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}"
        );
        assert_eq!(door.raw(&head).await.status, status, "{token}");
    }
}

#[tokio::test]
async fn off_loopback_it_stays_shut_without_a_token() {
    for (listen, token, ok) in [
        ("127.0.0.1:1", None, true),
        ("127.9.9.9:1", None, true),
        ("[::1]:1", None, true),
        ("0.0.0.0:1", None, false),
        ("[::]:1", None, false),
        ("10.0.0.1:1", None, false),
        ("10.0.0.1:1", Some(""), false),
        ("10.0.0.1:1", Some("t"), true),
    ] {
        let plan = AdminPlan {
            listen: listen.parse().unwrap(),
            token: token.map(Secret::new),
            hosts: Vec::new(),
            tls: None,
            edit_templates: false,
        };
        assert_eq!(Admin::check(&plan).is_ok(), ok, "{listen} {token:?}");
    }
}

/// A certificate of its own maker, which is the authority for clients as well.
fn asking_for_certificates() -> ServerTls {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    let chain = tls::Chain::from_pem(pem.as_bytes()).unwrap();
    let identity = tls::Identity::new(&chain, &Secret::new(key.serialize_pem())).unwrap();
    let clients = tls::Authorities::from_pem(pem.as_bytes()).unwrap();
    ServerTls::new(identity, Some(&clients)).unwrap()
}

#[tokio::test]
async fn a_door_that_was_opened_under_another_plan_lets_in_by_the_one_in_force() {
    for (listen, token, asks, shown, wanted) in [
        ("127.0.0.1:1", false, false, None, Ok(())),
        ("10.0.0.1:1", true, false, None, Ok(())),
        ("10.0.0.1:1", false, false, None, Err(Code::Shut)),
        (
            "10.0.0.1:1",
            false,
            true,
            None,
            Err(Code::CertificateNeeded),
        ),
        ("10.0.0.1:1", false, true, Some(true), Ok(())),
        // By authorities that do not count any more.
        (
            "10.0.0.1:1",
            false,
            true,
            Some(false),
            Err(Code::CertificateNeeded),
        ),
        (
            "127.0.0.1:1",
            false,
            true,
            None,
            Err(Code::CertificateNeeded),
        ),
    ] {
        let mut plan = plan(Vec::new());
        plan.admin.token = token.then(|| Secret::new("t"));
        plan.admin.tls = asks.then(asking_for_certificates);
        let current = plan.admin.tls.as_ref().and_then(ServerTls::clients);
        let clients = shown.and_then(|current_ones| match current_ones {
            true => current,
            false => asking_for_certificates().clients(),
        });
        let clock = Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH));
        let current_plan = Current::new(Arc::new(plan));
        let store = MemoryStore::with_clock(Arc::<ManualClock>::clone(&clock));
        let door = super::Door {
            admin: Arc::new(Admin {
                outside: Arc::default(),
                replays: Arc::new(Replays::new(
                    current_plan.clone(),
                    Arc::<MemoryStore>::clone(&store),
                    Arc::<ManualClock>::clone(&clock),
                    Arc::default(),
                )),
                plan: current_plan,
                store,
                lanes: Arc::default(),
                clock,
                metrics: Arc::default(),
                live: Arc::default(),
                reloader: None,
                draining: Arc::default(),
            }),
            listen: listen.parse().unwrap(),
            shown: Mutex::default(),
            bodies: Semaphore::new(BODIES),
            pausing: tokio::sync::Mutex::default(),
            streams: Arc::new(Semaphore::new(STREAMS)),
            studio: super::Studio::default(),
        };
        let local: SocketAddr = "127.0.0.1:1".parse().unwrap();
        let call = listener::Call {
            peer: local,
            local,
            subject: shown.map(|_| "CN=ops".into()),
            clients,
            sound: true,
            last: false,
            bodies: Arc::new(tokio::sync::Semaphore::new(1)),
            stopping: watch::channel(false).1,
        };
        let headers = [(http::header::HOST, HeaderValue::from_static("localhost"))];
        let headers: HeaderMap = headers.into_iter().collect();
        let uri = Uri::from_static("/livez");
        let got = door.let_in(&uri, &headers, &call);
        let got = got.map(|_| ()).map_err(|refusal| refusal.code());
        assert_eq!(got, wanted, "{listen} {token} {asks} {shown:?}");
        let split = listener::Call {
            sound: false,
            ..call
        };
        let wanted = wanted.err().unwrap_or(Code::Malformed);
        let got = door.let_in(&uri, &headers, &split).err();
        assert_eq!(got.map(|refusal| refusal.code()), Some(wanted));
    }
}

#[tokio::test]
async fn metrics_show_every_target() {
    let door = open(None).await;
    let (_, ids) = door.store.add(b"{}", &["erp", "erp", "gone"]);
    let at = door.clock.now();
    let reason = DeadReason::Gone;
    door.store.change(ids[1], |delivery| {
        delivery.state = State::Dead { at, reason }
    });
    door.clock.advance(Duration::from_secs(90));
    let got = door.get("/metrics").await;
    assert!(
        got.head
            .contains("content-type: application/openmetrics-text; version=1.0.0")
    );
    for line in [
        "ingate_queue_depth{target=\"erp\",state=\"pending\"} 1\n",
        "ingate_queue_depth{target=\"erp\",state=\"dead\"} 1\n",
        "ingate_queue_oldest_age_seconds{target=\"erp\"} 90.0\n",
        "ingate_queue_depth{target=\"audit\",state=\"pending\"} 0\n",
        "ingate_queue_oldest_age_seconds{target=\"audit\"} 0.0\n",
        "ingate_queue_depth{target=\"gone\",state=\"pending\"} 1\n",
    ] {
        assert!(
            got.body.contains(line),
            "{line} is missing in\n{}",
            got.body
        );
    }
    assert!(got.body.ends_with("# EOF\n"));
    // A target that is not configured goes to zero with its last delivery.
    door.store
        .change(ids[2], |delivery| delivery.state = State::Delivered { at });
    let got = door.get("/metrics").await;
    assert!(
        got.body
            .contains("ingate_queue_depth{target=\"gone\",state=\"pending\"} 0\n")
    );
}

#[tokio::test]
async fn targets_are_shown_with_their_limits_breakers_and_queues() {
    let door = open(None).await;
    let (_, ids) = door.store.add(b"{}", &["erp", "erp", "gone"]);
    let at = door.clock.now();
    let reason = DeadReason::Gone;
    door.store.change(ids[1], |delivery| {
        delivery.state = State::Dead { at, reason }
    });
    let second = Duration::from_secs(1);
    let view = LaneView {
        running: 3,
        breaker: Some(BreakerView {
            state: BreakerState::Open,
            since: at,
            next_probe: Some(crate::clock::after(at, second)),
            failures_in_a_row: 10,
            last_failure: Some(Fault::Status(503)),
        }),
        elsewhere: false,
    };
    door.lanes.set(&"erp".parse().unwrap(), view);
    let time = "2026-02-03T04:05:06Z";
    // What has no lane yet has not failed yet either.
    let fresh = json!({
        "state": "closed", "since": null, "next_probe_at": null, "consecutive_failures": 0, "last_failure": null,
    });
    let idle = json!({"seconds": 0.0, "succeeded": 0, "failed": 0});
    let audit = json!({
        "name": "audit", "url": "http://127.0.0.1:9/hooks", "concurrency": 4, "rate": null, "order": false,
        "breaker": fresh, "running": 0, "pending": 0, "dead": 0, "oldest_pending_at": null,
        "timeout_seconds": 15.0, "paused": null, "sign": null, "auth": null, "routes": ["all"], "last_minute": idle, "owner": null,
    });
    let erp = json!({
        "name": "erp", "url": "http://127.0.0.1:9/hooks", "concurrency": 4, "rate": "50/s", "order": false,
        "breaker": {
            "state": "open", "since": time, "next_probe_at": "2026-02-03T04:05:07Z", "consecutive_failures": 10,
            "last_failure": "status 503",
        },
        "running": 3, "pending": 1, "dead": 1, "oldest_pending_at": time,
        "timeout_seconds": 15.0, "paused": null, "sign": null, "auth": null, "routes": ["all"], "last_minute": idle, "owner": null,
    });
    let off = json!({
        "name": "off", "url": "http://127.0.0.1:9/hooks", "concurrency": 4, "rate": null, "order": false,
        "breaker": null, "running": 0, "pending": 0, "dead": 0, "oldest_pending_at": null,
        "timeout_seconds": 15.0, "paused": null, "sign": null, "auth": null, "routes": ["all"], "last_minute": idle, "owner": null,
    });
    let got = door.get("/api/v1/targets").await;
    let wanted = json!({"items": [audit, erp, off], "next": null});
    assert_eq!((got.status, got.json()), (200, wanted));
    let got = door.get("/api/v1/targets/erp").await;
    assert_eq!((got.status, got.json()), (200, erp));
    for (path, status) in [
        ("/api/v1/targets/gone", 404),
        ("/api/v1/targets/a%2Fb", 404),
        ("/api/v1/targets?limit=5", 400),
    ] {
        assert_eq!(door.get(path).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn listings_are_paged_and_filtered() {
    let door = open(None).await;
    let mut ids: Vec<DeliveryId> = Vec::new();
    for number in 0..5 {
        let to = ["erp", "audit"][number % 2];
        ids.extend(door.store.add(b"{}", &[to]).1);
    }
    ids.reverse();
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    let of = |got: &Got| -> (Vec<String>, Option<String>) {
        let page = got.json();
        let id = |row: &Value| row["id"].as_str().unwrap().to_owned();
        let items = page["items"].as_array().unwrap().iter().map(id).collect();
        (items, page["next"].as_str().map(str::to_owned))
    };
    let path = "/api/v1/deliveries";
    let (items, next) = of(&door.get(&format!("{path}?limit=2")).await);
    assert_eq!((&items[..], next.as_ref()), (&ids[..2], Some(&ids[1])));
    let (items, next) = of(&door.get(&format!("{path}?limit=3&before={}", ids[1])).await);
    assert_eq!((&items[..], next), (&ids[2..], None));
    let (items, next) = of(&door
        .get(&format!("{path}?target=audit&state=pending"))
        .await);
    assert_eq!((items, next), (vec![ids[1].clone(), ids[3].clone()], None));
    let (items, _) = of(&door.get(&format!("{path}?state=dead")).await);
    assert!(items.is_empty());

    let (events, next) = of(&door.get("/api/v1/events?limit=3").await);
    assert_eq!(events.len(), 3);
    let before = next.unwrap();
    let (rest, next) = of(&door.get(&format!("/api/v1/events?before={before}")).await);
    assert_eq!((rest.len(), next), (2, None));
}

/// Claims the one delivery that is due and settles it.
async fn settle(store: &MemoryStore, outcome: Outcome, next: Next, started_at: Timestamp) {
    let claims = store.claim(&"erp".parse().unwrap(), 1).await.unwrap();
    let claimed = &claims.taken[0];
    let settlement = Settlement {
        attempt: Attempt {
            number: claimed.delivery.attempts + 1,
            started_at,
            took: Duration::from_millis(1500),
            outcome,
            sent: None,
        },
        next,
        frozen: None,
    };
    store.settle(claimed.lease, settlement).await.unwrap();
}

#[tokio::test]
async fn an_event_is_shown_whole_and_its_delivery_retried() {
    let door = open(None).await;
    door.number();
    let now = door.clock.now();
    let body = br#"{"n":1.10,"z":null,"a":[]}"#;
    let (event, ids) = door.store.add(body, &["erp"]);
    let failed = Outcome::Failed {
        failure: Failure::Connect,
        detail: "refused".to_owned(),
    };
    settle(&door.store, failed, Next::RetryAt(now), now).await;
    let gone = Outcome::Answered {
        status: 410,
        retry_after: Some(Duration::from_secs(7)),
        snippet: "go away".to_owned(),
    };
    settle(&door.store, gone, Next::Bury(DeadReason::Gone), now).await;

    let got = door.get(&format!("/api/v1/events/{event}")).await;
    let time = "2026-02-03T04:05:06Z";
    let delivery = json!({
        "id": ids[0], "event": event, "source": "wreno", "type": "vendor.updated", "route": "all", "target": "erp",
        "state": "dead",
        "last_attempt": {"started_at": time, "took_seconds": 1.5, "ok": false, "status": 410, "result": "status 410"},
        "replay": null, "due_at": null, "waits_for": null, "ended_at": time, "reason": "gone", "attempts_made": 2, "started_at": time,
        "attempts": [
            {"number": 1, "started_at": time, "took_seconds": 1.5,
             "plan_generation": null, "template_hash": null, "body_from": null, "body_sha256": null,
             "outcome": {"kind": "failed", "failure": "connect", "detail": "refused"}},
            {"number": 2, "started_at": time, "took_seconds": 1.5,
             "plan_generation": null, "template_hash": null, "body_from": null, "body_sha256": null,
             "outcome": {"kind": "answered", "status": 410, "retry_after_seconds": 7.0, "snippet": "go away"}},
        ],
    });
    let wanted = json!({
        "id": event, "source": "wreno", "message_id": "msg_1", "type": "vendor.updated",
        "received_at": time, "hops": 2, "size_bytes": body.len(),
        "headers": [{"name": "content-type", "value": "text/csv"}],
        "body": {"n": null, "z": null, "a": []},
        "verified": null,
        "routing": {"generation": null, "now": 7, "same": false, "routes": [
            {"route": "all", "takes": true, "why": null, "field": null, "wanted": null, "found": null},
        ]},
        "deliveries": [delivery],
    });
    let mut shown = got.json();
    assert!(
        got.body.contains("\"n\":1.10"),
        "numbers are exact: {}",
        got.body
    );
    shown["body"]["n"] = Value::Null;
    assert_eq!((got.status, shown), (200, wanted));

    let path = format!("/api/v1/deliveries/{}/retry", ids[0]);
    let got = door.post(&path).await;
    assert_eq!(got.status, 200, "{}", got.body);
    let shown = got.json();
    assert_eq!(
        (&shown["state"], &shown["due_at"]),
        (&json!("pending"), &json!(time))
    );
    assert!(matches!(door.store.state(ids[0]), State::Pending { .. }));

    let nobody = format!("/api/v1/deliveries/{}/retry", DeliveryId::generate());
    assert_eq!(door.post(&nobody).await.status, 404);
    assert_eq!(door.get(&path).await.status, 405);
    door.store.set_unavailable(Some("full"));
    let got = door.post(&path).await;
    assert_eq!(got.status, 503);
    assert!(got.head.contains("\r\nretry-after: 5"), "{}", got.head);
}

#[tokio::test]
async fn a_body_that_is_not_json_is_shown_in_base64() {
    let door = open(None).await;
    door.number();
    let (event, _) = door.store.add(b"\xff\x00", &[]);
    let shown = door.get(&format!("/api/v1/events/{event}")).await.json();
    assert_eq!(shown["body_base64"], "/wA=");
    assert!(shown.get("body").is_none());
}

#[tokio::test]
async fn it_closes_when_told() {
    let door = open(None).await;
    // A connection that is idle does not hold it up.
    let _idle = TcpStream::connect(door.address).await.unwrap();
    assert_eq!(door.get("/livez").await.status, 200);
    door.shutdown.send(true).unwrap();
    door.serving.await.unwrap();
    assert!(TcpStream::connect(door.address).await.is_err());
}

#[test]
fn store_errors_have_their_status() {
    for (error, status) in [
        (crate::store::StoreError::NotFound, StatusCode::NOT_FOUND),
        (crate::store::StoreError::Purged, StatusCode::GONE),
        (
            crate::store::StoreError::WrongState {
                state: "discarded",
                wanted: "retried",
            },
            StatusCode::CONFLICT,
        ),
        (
            crate::store::StoreError::Unavailable("full".to_owned()),
            StatusCode::SERVICE_UNAVAILABLE,
        ),
        (
            crate::store::StoreError::Damaged("bad".to_owned()),
            StatusCode::INTERNAL_SERVER_ERROR,
        ),
    ] {
        assert_eq!(Refusal::from(error.clone()).status(), status, "{error}");
    }
}
