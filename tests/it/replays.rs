//! What died is sent again: many at a time as a replay, in each of its modes, over a kill -9, at a rate, in order; and
//! what an older template has killed, once that is mended, by hand and by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::LazyLock;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::contract::Contract;
use crate::process::Site;
use crate::support::{Answer, Daemon, Message, Peer, Received, Turn, exchange, wait_until};

const SECRET: &str = "a-plain-test-secret-of-40-characters-xyz";

static CONTRACT: LazyLock<Contract> = LazyLock::new(Contract::load);

/// Asks the operator's door; every answer is held against the document.
async fn ask(admin: SocketAddr, line: &str, body: Option<&Value>) -> Answer {
    let body = body.map(Value::to_string).unwrap_or_default();
    let mut head = format!(
        "{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    if !body.is_empty() {
        head.push_str("Content-Type: application/json\r\n");
    }
    let request = format!("{head}\r\n{body}");
    let answer = exchange(admin, request.as_bytes()).await.remove(0);
    let (verb, path) = line.split_once(' ').unwrap();
    let kind = answer.header("content-type");
    let held = CONTRACT.check(verb, path, answer.status, kind, &answer.body);
    assert_eq!(held, Ok(()), "{line}");
    answer
}

async fn get(admin: SocketAddr, path: &str) -> Value {
    let answer = ask(admin, &format!("GET {path}"), None).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

async fn post(admin: SocketAddr, path: &str, body: &Value) -> Answer {
    ask(admin, &format!("POST {path}"), Some(body)).await
}

/// Begins a replay; gives its id.
async fn begin(admin: SocketAddr, wanted: &Value) -> String {
    let answer = post(admin, "/api/v1/replays", wanted).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    let location = format!("/api/v1/replays/{id}");
    assert_eq!(answer.header("location"), Some(location.as_str()));
    id
}

/// The replay once it has ended.
async fn ended(admin: SocketAddr, id: &str) -> Value {
    let mut shown = Value::Null;
    wait_until("the replay has ended", async || {
        shown = get(admin, &format!("/api/v1/replays/{id}")).await;
        shown["state"] != "running"
    })
    .await;
    shown
}

async fn count(admin: SocketAddr, query: &str) -> usize {
    let page = get(admin, &format!("/api/v1/deliveries?limit=500&{query}")).await;
    assert_eq!(page["next"], Value::Null);
    page["items"].as_array().unwrap().len()
}

async fn until_count(admin: SocketAddr, query: &str, wanted: usize) {
    let what = format!("{wanted} deliveries are {query}");
    wait_until(&what, async || count(admin, query).await == wanted).await;
}

fn counts(replay: &Value) -> [u64; 5] {
    ["done", "revived", "created", "skipped", "failed"].map(|name| replay[name].as_u64().unwrap())
}

fn config(peer: &Peer, target: &str, route: &str) -> String {
    format!(
        "limits: {{drain: 200ms}}\n\
         sources: {{s: {{preset: hmac, secrets: [{{value: {SECRET}}}]}}}}\n\
         targets: {{t: {{url: \"{}\", breaker: off, {target}}}}}\n\
         routes: [{{name: all, from: s, to: t, {route}}}]\n",
        peer.url()
    )
}

fn write_template(folder: &Path, text: &str) {
    std::fs::create_dir_all(folder.join("templates")).unwrap();
    std::fs::write(folder.join("templates/a.json.liquid"), text).unwrap();
}

async fn send(daemon: &Daemon, n: u64, body: &Value) -> String {
    let message = daemon.signed("s", SECRET, &format!("msg_{n}"), body.to_string());
    let answer = daemon.send(&message).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["id"].as_str().unwrap().to_owned()
}

/// Refuses so many for good.
fn refusals(count: usize) -> Vec<Turn> {
    vec![Turn::Status(410); count]
}

/// The requests that a replay has made.
fn of_replay(received: &[Received], id: &str) -> Vec<Received> {
    let own = received
        .iter()
        .filter(|it| it.header("ingate-replay") == id);
    own.cloned().collect()
}

fn ids(requests: &[Received]) -> BTreeSet<String> {
    let ids = requests.iter().map(|it| it.header("webhook-id").to_owned());
    ids.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_mode_sends_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::start(refusals(5)).await;
    write_template(folder.path(), r#"{"v": 1, "n": {{ payload.n }}}"#);
    let settings = config(&peer, "", "template: a.json");
    let daemon = Daemon::start_reloading(folder.path(), &settings).await;
    let admin = daemon.admin;
    for n in 0..5 {
        send(&daemon, n, &json!({"n": n})).await;
    }
    until_count(admin, "state=dead&reason=gone", 5).await;
    let first = ids(&peer.received());
    assert_eq!(first.len(), 5);
    write_template(folder.path(), r#"{"v": 2, "n": {{ payload.n }}}"#);
    assert_eq!(daemon.admin_post("/api/v1/reload").await.status, 200);

    // A preview changes nothing.
    let wanted = json!({"filter": {"target": "t", "reason": "gone"}, "dry_run": true});
    let preview = post(admin, "/api/v1/replays", &wanted).await.json();
    assert_eq!(
        (&preview["count"], &preview["complete"]),
        (&json!(5), &json!(true))
    );
    assert_eq!(preview["by_target"], json!([{"target": "t", "count": 5}]));
    assert_eq!(preview["deliveries"].as_array().unwrap().len(), 5);
    assert_eq!(count(admin, "state=dead").await, 5);
    assert_eq!(get(admin, "/api/v1/replays").await["items"], json!([]));
    let audit = get(admin, "/api/v1/audit").await.to_string();
    assert!(!audit.contains("\"replay\""), "{audit}");

    // The same bytes under the same ids.
    let frozen = begin(admin, &json!({"filter": {"target": "t", "reason": "gone"}})).await;
    let done = ended(admin, &frozen).await;
    assert_eq!(
        (&done["state"], &done["total"]),
        (&json!("done"), &json!(5))
    );
    assert_eq!(counts(&done), [5, 5, 0, 0, 0]);
    until_count(admin, "state=delivered", 5).await;
    let again = of_replay(&peer.received(), &frozen);
    assert_eq!(ids(&again), first);
    for request in &again {
        assert_eq!(request.json()["v"], 1);
        assert_eq!(request.header("ingate-replay-of"), "");
    }
    assert_eq!(count(admin, &format!("replay={frozen}")).await, 5);

    // Other bytes, so other ids: the target has had these.
    let wanted = json!({"mode": "rerender", "filter": {"states": ["delivered"]}});
    let rerendered = begin(admin, &wanted).await;
    assert_eq!(counts(&ended(admin, &rerendered).await), [5, 0, 5, 0, 0]);
    until_count(admin, "state=delivered", 10).await;
    let anew = of_replay(&peer.received(), &rerendered);
    assert_eq!((anew.len(), ids(&anew).is_disjoint(&first)), (5, true));
    let of: BTreeSet<String> = anew
        .iter()
        .map(|it| it.header("ingate-replay-of").to_owned())
        .collect();
    assert_eq!(of, first);
    assert!(anew.iter().all(|it| it.json()["v"] == 2));

    // The events through the routes of today.
    let wanted = json!({"mode": "reroute", "filter": {"source": "s", "type": "**"}});
    let rerouted = begin(admin, &wanted).await;
    assert_eq!(counts(&ended(admin, &rerouted).await), [5, 0, 5, 0, 0]);
    until_count(admin, "state=delivered", 15).await;
    let routed = of_replay(&peer.received(), &rerouted);
    assert_eq!((routed.len(), ids(&routed).len()), (5, 5));
    assert_eq!(
        daemon
            .metric("ingate_replay_deliveries_total{result=\"created\"}")
            .await,
        10.0
    );
    let audit = get(admin, "/api/v1/audit").await;
    let noted = audit["items"].as_array().unwrap().iter();
    let noted: Vec<&Value> = noted.filter(|it| it["action"] == "replay").collect();
    assert_eq!(noted.len(), 3);
    assert_eq!(noted[2]["subject"], json!(frozen));
    daemon.stop().await;
}

/// Sends so many events to a daemon that is a process.
async fn send_many(site: &Site, count: u64) {
    let plan = ingate::config::load(&site.config(), &ingate::config::ProcessEnv)
        .unwrap()
        .plan;
    for n in 0..count {
        let body = format!("{{\"n\":{n}}}").into_bytes();
        let now = jiff::Timestamp::now();
        let message = Message::signed(&plan.sources["s"], SECRET, "", now, "t", body);
        let public = ([127, 0, 0, 1], site.public).into();
        let answers = exchange(public, &message.bytes()).await;
        assert_eq!(answers[0].status, 200, "{}", answers[0].text());
    }
}

/// Kills the daemon while a replay runs; gives how it ended after the next start.
async fn killed_in_the_middle(wanted: &Value, all: u64) -> (Value, Vec<Value>) {
    let folder = tempfile::tempdir().unwrap();
    // Whatever is taken up dies again, so that it would pass once more.
    let peer = Peer::start(refusals(10_000)).await;
    let settings = config(&peer, "", "").replace("limits: {drain: 200ms}\n", "");
    let site = Site::new(folder.path(), &settings);
    let daemon = site.start().await;
    let admin: SocketAddr = ([127, 0, 0, 1], site.admin).into();
    send_many(&site, all).await;
    until_count(admin, "state=dead", usize::try_from(all).unwrap()).await;
    let id = begin(admin, wanted).await;
    wait_until("a third of it is done", async || {
        let shown = get(admin, &format!("/api/v1/replays/{id}")).await;
        shown["done"].as_u64().unwrap() >= all / 3
    })
    .await;
    daemon.kill();
    let _daemon = site.start().await;
    let shown = ended(admin, &id).await;
    let taken = usize::try_from(all).unwrap();
    until_count(admin, &format!("state=dead&replay={id}"), taken).await;
    let page = get(admin, &format!("/api/v1/deliveries?limit=500&replay={id}")).await;
    let mut deliveries = Vec::new();
    for row in page["items"].as_array().unwrap() {
        let own = row["id"].as_str().unwrap();
        deliveries.push(get(admin, &format!("/api/v1/deliveries/{own}")).await);
    }
    (shown, deliveries)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_that_was_killed_goes_on_and_takes_nothing_up_twice() {
    let all = 60;
    let wanted = json!({"filter": {"target": "t"}, "rate": "40/s"});
    let (shown, deliveries) = killed_in_the_middle(&wanted, all).await;
    assert_eq!(
        (&shown["state"], &shown["total"]),
        (&json!("done"), &json!(all))
    );
    assert_eq!(counts(&shown), [all, all, 0, 0, 0]);
    assert_eq!(deliveries.len(), 60);
    for delivery in deliveries {
        // One attempt before, one since: those that the kill cut off were not recorded.
        let attempts = delivery["attempts"].as_array().unwrap();
        assert_eq!(attempts.len(), 2, "{delivery}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_a_killed_replay_has_routed_are_not_routed_twice() {
    let all = 60;
    let wanted = json!({"mode": "reroute", "filter": {"source": "s"}, "rate": "40/s"});
    let (shown, deliveries) = killed_in_the_middle(&wanted, all).await;
    assert_eq!(counts(&shown), [all, 0, all, 0, 0]);
    let mut of_event: BTreeMap<String, usize> = BTreeMap::new();
    for delivery in deliveries {
        let event = delivery["event"].as_str().unwrap().to_owned();
        *of_event.entry(event).or_default() += 1;
        assert_eq!(delivery["attempts"].as_array().unwrap().len(), 1);
    }
    assert_eq!(of_event.len(), 60);
    assert!(of_event.values().all(|count| *count == 1), "{of_event:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rate_is_kept_and_what_is_cancelled_stops_there() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::start(refusals(40)).await;
    let daemon = Daemon::start(folder.path(), &config(&peer, "", "")).await;
    let admin = daemon.admin;
    for n in 0..40 {
        send(&daemon, n, &json!({"n": n})).await;
    }
    until_count(admin, "state=dead", 40).await;
    let id = begin(admin, &json!({"filter": {"target": "t"}, "rate": "20/s"})).await;
    wait_until("twelve are taken up", async || {
        of_replay(&peer.received(), &id).len() >= 12
    })
    .await;
    let answer = ask(admin, &format!("POST /api/v1/replays/{id}/cancel"), None).await;
    let shown = answer.json();
    assert_eq!(
        (answer.status, &shown["state"]),
        (200, &json!("cancelled")),
        "{shown}"
    );
    let revived = shown["revived"].as_u64().unwrap();
    assert!((12..40).contains(&revived), "{shown}");
    let answer = ask(admin, &format!("POST /api/v1/replays/{id}/cancel"), None).await;
    assert_eq!(answer.status, 409);
    let taken = usize::try_from(revived).unwrap();
    until_count(admin, "state=delivered", taken).await;
    assert_eq!(count(admin, "state=dead").await, 40 - taken);

    let times: Vec<jiff::Timestamp> = of_replay(&peer.received(), &id)
        .iter()
        .map(|it| it.at)
        .collect();
    let (first, last) = (times[0], times[times.len() - 1]);
    let took = last.duration_since(first).as_secs_f64();
    let slots = (times.len() - 1) as f64 / 20.0;
    // A tenth of a second may be caught up, and the first may have come late.
    assert!(took >= slots - 0.3, "{} in {took} s", times.len());
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ordered_target_gets_them_in_its_order() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::start(refusals(8)).await;
    let target = "order_by: data.vendor, on_dead: skip";
    let settings = config(&peer, target, "");
    let daemon = Daemon::start(folder.path(), &settings).await;
    let admin = daemon.admin;
    for n in 0..8 {
        send(&daemon, n, &json!({"data": {"vendor": "one"}, "n": n})).await;
    }
    until_count(admin, "state=dead", 8).await;
    let id = begin(admin, &json!({"filter": {"target": "t"}})).await;
    assert_eq!(counts(&ended(admin, &id).await), [8, 8, 0, 0, 0]);
    until_count(admin, "state=delivered", 8).await;
    let order = |requests: &[Received]| -> Vec<u64> {
        let numbers = requests.iter().map(|it| it.json()["n"].as_u64().unwrap());
        numbers.collect()
    };
    let came = order(&of_replay(&peer.received(), &id));
    let mut sorted = came.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (0..8).collect::<Vec<u64>>());
    // Routed anew they stand in line as they were made, and nothing overtakes.
    let wanted = json!({"mode": "reroute", "filter": {"source": "s"}});
    let id = begin(admin, &wanted).await;
    ended(admin, &id).await;
    until_count(admin, "state=delivered", 16).await;
    let most = peer.received().iter().map(|it| it.under_way).max();
    assert_eq!(most, Some(1), "one after another");
    daemon.stop().await;
}

const WRONG: &str = r#"{"half": {{ payload.n | divided_by: payload.by }}}"#;

const MENDED: &str = r#"{"half": {% if payload.by == 0 %}null{% else %}{{ payload.n | divided_by: payload.by }}{% endif %}}"#;

/// Three events that the template fails on; gives the id of the first.
async fn parked(daemon: &Daemon) -> String {
    let mut first = None;
    for n in 0..3 {
        let id = send(daemon, n, &json!({"n": n, "by": 0})).await;
        first.get_or_insert(id);
    }
    until_count(daemon.admin, "state=dead&reason=render", 3).await;
    first.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_older_template_has_killed_is_revived_in_one_action() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::start([]).await;
    write_template(folder.path(), WRONG);
    let settings = config(&peer, "", "template: a.json");
    let daemon = Daemon::start_reloading(folder.path(), &settings).await;
    let admin = daemon.admin;
    let event = parked(&daemon).await;
    let shown = get(admin, &format!("/api/v1/events/{event}")).await;
    let verified = &shown["verified"];
    assert_eq!(
        (&verified["scheme"], &verified["secret"]),
        (&json!("hmac"), &json!(0))
    );
    let generation = shown["routing"]["now"].as_u64().unwrap();
    assert_eq!(
        (&shown["routing"]["same"], &shown["routing"]["generation"]),
        (&json!(true), &json!(generation))
    );
    let delivery = &shown["deliveries"][0];
    let died = &delivery["attempts"][0];
    assert_eq!(died["outcome"]["reason"], "render");
    assert_eq!(died["plan_generation"], json!(generation));
    assert_eq!(
        (&died["body_from"], &died["body_sha256"]),
        (&Value::Null, &Value::Null)
    );
    let own = delivery["id"].as_str().unwrap();
    let body = get(admin, &format!("/api/v1/deliveries/{own}/body")).await;
    assert_eq!(body["error"]["file"], "a.json.liquid");
    let groups = get(admin, "/api/v1/dead").await;
    assert_eq!(
        (&groups["items"][0]["count"], &groups["items"][0]["reason"]),
        (&json!(3), &json!("render"))
    );
    // With the template as it is nothing is stale.
    let stale = json!({"mode": "rerender", "filter": {"stale_template": true}});
    let mut preview = stale.clone();
    preview["dry_run"] = json!(true);
    let shown = post(admin, "/api/v1/replays", &preview).await.json();
    assert_eq!(shown["count"], 0);

    write_template(folder.path(), MENDED);
    assert_eq!(daemon.admin_post("/api/v1/reload").await.status, 200);
    let id = begin(admin, &stale).await;
    assert_eq!(counts(&ended(admin, &id).await), [3, 3, 0, 0, 0]);
    until_count(admin, "state=delivered", 3).await;
    let shown = get(admin, &format!("/api/v1/events/{event}")).await;
    let routing = &shown["routing"];
    assert_eq!(
        (&routing["same"], &routing["generation"], &routing["now"]),
        (&json!(false), &json!(generation), &json!(generation + 1))
    );
    let delivery = &shown["deliveries"][0];
    assert_eq!(delivery["replay"]["job"], json!(id));
    let attempts = delivery["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 2);
    assert_ne!(attempts[1]["template_hash"], attempts[0]["template_hash"]);
    assert_eq!(attempts[1]["plan_generation"], json!(generation + 1));
    assert_eq!(attempts[1]["body_from"], "rendered");
    let mut received = peer.received().into_iter();
    let request = received.find(|it| it.header("webhook-id") == own).unwrap();
    assert_eq!(request.body, r#"{"half":null}"#);
    assert_eq!(
        attempts[1]["body_sha256"],
        json!(hex::encode(Sha256::digest(&request.body)))
    );
    let body = get(admin, &format!("/api/v1/deliveries/{own}/body")).await;
    assert_eq!(
        (&body["from"], &body["exact"], &body["body"]),
        (&json!("rendered"), &json!(true), &json!(r#"{"half":null}"#))
    );
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_revive_auto_it_is_revived_by_itself_after_a_reload_and_at_a_start() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::start([]).await;
    write_template(folder.path(), WRONG);
    let settings = config(&peer, "", "template: a.json, revive: auto");
    let daemon = Daemon::start_reloading(folder.path(), &settings).await;
    parked(&daemon).await;
    write_template(folder.path(), MENDED);
    assert_eq!(daemon.admin_post("/api/v1/reload").await.status, 200);
    until_count(daemon.admin, "state=delivered", 3).await;
    let replays = get(daemon.admin, "/api/v1/replays").await;
    let replay = &replays["items"][0];
    assert_eq!(
        (&replay["created_by"], &replay["mode"], &replay["revived"]),
        (&json!("auto"), &json!("rerender"), &json!(3))
    );
    let audit = get(daemon.admin, "/api/v1/audit").await;
    let mut noted = audit["items"].as_array().unwrap().iter();
    let noted = noted.find(|it| it["action"] == "replay").unwrap();
    assert_eq!(
        (&noted["actor"], &noted["subject"]),
        (&json!("auto"), &replay["id"])
    );
    let routes = get(daemon.admin, "/api/v1/routes").await;
    assert_eq!(routes["items"][0]["revive"], "auto");

    // The template is mended while nobody runs.
    write_template(folder.path(), WRONG);
    assert_eq!(daemon.admin_post("/api/v1/reload").await.status, 200);
    for n in 10..12 {
        send(&daemon, n, &json!({"n": n, "by": 0})).await;
    }
    until_count(daemon.admin, "state=dead&reason=render", 2).await;
    daemon.stop().await;
    write_template(folder.path(), MENDED);
    let daemon = Daemon::start_reloading(folder.path(), &settings).await;
    until_count(daemon.admin, "state=delivered", 5).await;
    assert_eq!(count(daemon.admin, "state=dead").await, 0);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_hidden_stays_hidden_in_bodies_and_reasons() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::start([Turn::Status(410), Turn::Mirror]).await;
    write_template(
        folder.path(),
        r#"{"ssn": {{ payload.ssn }}, "turned": {{ payload.ssn | split: "" | reverse | join: "" }}}"#,
    );
    let settings = config(&peer, "", "template: a.json");
    let settings = settings.replace("]}}\ntargets", "], redact: [/ssn, /pin]}}\ntargets");
    assert!(settings.contains("redact"));
    let second = "routes: [{name: no, from: s, to: t, match: {body: {pin: \"0000\"}}}, ";
    let settings = settings.replace("routes: [", second);
    let daemon = Daemon::start(folder.path(), &settings).await;
    let admin = daemon.admin;
    let event = send(&daemon, 1, &json!({"ssn": "078-05-1120", "pin": "12"})).await;
    until_count(admin, "state=dead", 1).await;
    let shown = get(admin, &format!("/api/v1/events/{event}")).await;
    let own = shown["deliveries"][0]["id"].as_str().unwrap().to_owned();
    let no = &shown["routing"]["routes"][0];
    assert_eq!(
        (&no["why"], &no["field"]),
        (&json!("pattern"), &json!("body.pin"))
    );
    let path = format!("/api/v1/deliveries/{own}/body");
    let frozen = get(admin, &path).await;
    assert_eq!(
        (&frozen["from"], &frozen["body_redacted"], &frozen["exact"]),
        (&json!("frozen"), &json!("values"), &json!(true))
    );
    assert!(!frozen.to_string().contains("078-05-1120"), "{frozen}");
    let answer = ask(admin, &format!("GET /api/v1/events/{event}/body"), None).await;
    assert_eq!(answer.header("ingate-body-redacted"), Some("values"));
    let told = [shown.to_string(), answer.text()].concat();
    assert!(
        !told.contains("078-05-1120") && !told.contains("\"12\""),
        "{told}"
    );

    // Rendered now: from what may be shown, so that no trick of a template reveals it.
    assert_eq!(peer.received().len(), 1);
    peer.tell([Turn::Status(200)]);
    let retry = format!("/api/v1/events/{event}/retry");
    assert_eq!(post(admin, &retry, &json!({})).await.status, 200);
    until_count(admin, "state=delivered", 1).await;
    let rendered = get(admin, &path).await;
    assert_eq!(
        (
            &rendered["from"],
            &rendered["exact"],
            &rendered["body_redacted"]
        ),
        (&json!("rendered"), &json!(true), &json!("values"))
    );
    let text = rendered.to_string();
    assert!(
        !text.contains("078-05-1120") && !text.contains("0211-50-870"),
        "{text}"
    );
    assert_eq!(peer.received()[1].json()["turned"], "0211-50-870");
    daemon.stop().await;
}
