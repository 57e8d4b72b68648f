//! Who changes what at the operator's door: it is noted with a name and an address, and who may not come in changes nothing.

use std::path::Path;

use serde_json::Value;

use crate::process::{Site, binary, words};
use crate::support::{Answer, Message, Peer, Turn, exchange, wait_until};

const SECRET: &str = "a-plain-test-secret-of-40-characters-xyz";
const TOKEN: &str = "the-token-of-the-operator";

fn site(folder: &Path, peer: &Peer) -> Site {
    let rest = format!(
        "sources: {{s: {{preset: hmac, secrets: [{{value: {SECRET}}}]}}}}\n\
         targets: {{t: {{url: \"{}\"}}}}\n\
         routes: [{{name: all, from: s, to: t}}]\n",
        peer.url()
    );
    let site = Site::new(folder, &rest);
    let text = std::fs::read_to_string(site.config()).unwrap();
    let listen = format!("\"127.0.0.1:{}\"", site.admin);
    let text = text.replace(&listen, &format!("{listen}, token: {{value: {TOKEN}}}"));
    assert!(text.contains(TOKEN));
    std::fs::write(site.config(), text).unwrap();
    site
}

/// What cannot be done: there is no such delivery.
const UNKNOWN: &str = "POST /api/v1/deliveries/019b8d99-6900-7000-8000-000000000000/retry";

/// A request with these lines in its head.
async fn call(site: &Site, line: &str, lines: &str) -> Answer {
    let request =
        format!("{line} HTTP/1.1\r\n{lines}Content-Length: 0\r\nConnection: close\r\n\r\n");
    let answers = exchange(([127, 0, 0, 1], site.admin).into(), request.as_bytes()).await;
    answers.into_iter().next().unwrap()
}

fn permitted() -> String {
    format!("Host: localhost\r\nAuthorization: Bearer {TOKEN}\r\n")
}

async fn get(site: &Site, path: &str) -> Value {
    call(site, &format!("GET {path}"), &permitted())
        .await
        .json()
}

async fn audit(site: &Site) -> Vec<Value> {
    let page = get(site, "/api/v1/audit?limit=100").await;
    page["items"].as_array().unwrap().clone()
}

/// Sends an event, which the target refuses for good; gives back its id and its delivery's.
async fn dead(site: &Site, n: usize) -> (String, String) {
    let plan = ingate::config::load(&site.config(), &ingate::config::ProcessEnv)
        .unwrap()
        .plan;
    let body = format!("{{\"n\":{n}}}").into_bytes();
    let now = jiff::Timestamp::now();
    let message = Message::signed(&plan.sources["s"], SECRET, "", now, "t", body);
    let answers = exchange(([127, 0, 0, 1], site.public).into(), &message.bytes()).await;
    let event = answers[0].json()["id"].as_str().unwrap().to_owned();
    let mut delivery = String::new();
    wait_until("the delivery is dead", async || {
        let shown = get(site, &format!("/api/v1/events/{event}")).await;
        let first = &shown["deliveries"][0];
        delivery = first["id"].as_str().unwrap().to_owned();
        first["state"] == "dead"
    })
    .await;
    (event, delivery)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_are_noted_with_who_made_them_and_nobody_else_makes_any() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::start([Turn::Status(410), Turn::Status(410)]).await;
    let site = site(folder.path(), &peer);
    let daemon = site.start().await;
    let (event, _) = dead(&site, 1).await;
    let (_, delivery) = dead(&site, 2).await;
    let changes = [
        (
            "purge",
            format!("POST /api/v1/events/{event}/purge"),
            event.clone(),
        ),
        (
            "retry",
            format!("POST /api/v1/deliveries/{delivery}/retry"),
            delivery.clone(),
        ),
        (
            "reload",
            "POST /api/v1/reload".to_owned(),
            site.config().display().to_string(),
        ),
        (
            "reload_skip_tests",
            "POST /api/v1/reload?skip_tests=true".to_owned(),
            site.config().display().to_string(),
        ),
    ];
    let token = format!("Authorization: Bearer {TOKEN}\r\n");
    let state = async || {
        let shown = get(&site, &format!("/api/v1/events/{event}")).await;
        let dead = get(&site, "/api/v1/deliveries?state=dead").await;
        let metrics = call(&site, "GET /metrics", &permitted()).await.text();
        let reloads = metrics
            .lines()
            .filter(|line| line.starts_with("ingate_config_reloads_total"));
        let reloads: Vec<String> = reloads.map(str::to_owned).collect();
        (shown, dead, reloads, audit(&site).await)
    };
    let before = state().await;
    assert_eq!(before.3, Vec::<Value>::new());
    for (what, lines, status) in [
        ("no token", "Host: localhost\r\n".to_owned(), 401),
        (
            "a wrong token",
            format!("Host: localhost\r\nAuthorization: Bearer {TOKEN}x\r\n"),
            401,
        ),
        (
            "two tokens",
            format!("Host: localhost\r\n{token}{token}"),
            401,
        ),
        (
            "a foreign host",
            format!("Host: evil.example\r\n{token}"),
            421,
        ),
        (
            "a host that looks alike",
            format!("Host: localhost.evil.example\r\n{token}"),
            421,
        ),
        ("no host", token.clone(), 400),
        (
            "a foreign origin",
            format!("Host: localhost\r\nOrigin: http://evil.example\r\n{token}"),
            403,
        ),
        (
            "an opaque origin",
            format!("Host: localhost\r\nOrigin: null\r\n{token}"),
            403,
        ),
        (
            "another site's page",
            format!("Host: localhost\r\nSec-Fetch-Site: cross-site\r\n{token}"),
            403,
        ),
    ] {
        for (_, line, _) in &changes {
            let answer = call(&site, line, &lines).await;
            assert_eq!(answer.status, status, "{what}: {line}");
        }
        assert_eq!(state().await, before, "{what}");
    }
    for (_, line, _) in &changes {
        let read = line.replace("POST", "GET");
        assert_eq!(call(&site, &read, &permitted()).await.status, 405, "{read}");
    }
    assert_eq!(state().await, before, "by reading");

    for (action, line, subject) in &changes {
        let answer = call(&site, line, &permitted()).await;
        assert_eq!(answer.status, 200, "{line}: {}", answer.text());
        let newest = audit(&site).await.remove(0);
        assert_eq!(newest["action"], *action, "{newest}");
        assert_eq!(newest["actor"], "operator from 127.0.0.1", "{newest}");
        assert_eq!(newest["subject"], subject.as_str(), "{newest}");
        assert_eq!(newest["ok"], true, "{newest}");
    }
    // The command is the operator as well, a signal has no address, and what cannot be done is noted as such.
    let reload = binary()
        .args(["reload", "-c"])
        .arg(site.config())
        .output()
        .unwrap();
    assert!(reload.status.success(), "{}", words(&reload));
    daemon.hang_up();
    wait_until("the signal's reload is noted", async || {
        audit(&site).await[0]["actor"] == "signal"
    })
    .await;
    let entries = audit(&site).await;
    assert_eq!(
        entries[1]["actor"], "operator from 127.0.0.1",
        "{:?}",
        entries[1]
    );
    assert_eq!(entries.len(), changes.len() + 2);
    wait_until("what was retried is delivered", async || {
        get(&site, "/api/v1/deliveries?state=delivered").await["items"][0]["id"]
            == delivery.as_str()
    })
    .await;
    assert_eq!(call(&site, UNKNOWN, &permitted()).await.status, 404);
    let newest = audit(&site).await.remove(0);
    assert_eq!(
        (&newest["ok"], &newest["action"]),
        (&false.into(), &"retry".into()),
        "{newest}"
    );
    assert_eq!(daemon.terminate().code(), Some(0), "{}", site.log());
    assert!(!site.log().contains(TOKEN));
}
