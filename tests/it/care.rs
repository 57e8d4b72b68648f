//! `ingate store` on the store of a daemon that runs, was killed, or has ended.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use jiff::Timestamp;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::process::{Site, data, ingate, words};
use crate::support::{Message, Peer, Turn, wait_until};

/// What the events are signed with.
pub const SECRET: &str = "whsec_Y2FyZS10ZXN0LXNlY3JldC0wMDAwMDAwMDAx";

fn site(folder: &Path, up: &str, down: &str) -> Site {
    std::fs::write(folder.join("secret"), SECRET).unwrap();
    let rest = format!(
        "sources:\n  in: {{preset: standard-webhooks, secrets: [{{file: secret}}]}}\n\
         targets:\n  up: {{url: \"{up}\"}}\n  down: {{url: \"{down}\", retry: {{schedule: [1h, 1h]}}}}\n\
         routes:\n  - {{name: all, from: in, to: [up, down]}}\n"
    );
    Site::new(folder, &rest)
}

/// Sends one event with the number `n` in it; its id, if it was acknowledged.
pub async fn send(port: u16, n: u64) -> Option<String> {
    send_body(port, n, format!("{{\"type\":\"t\",\"n\":{n}}}")).await
}

/// The same with this body.
async fn send_body(port: u16, n: u64, body: String) -> Option<String> {
    let at = Timestamp::now().as_second();
    let id = format!("msg_{n}");
    let webhook = standardwebhooks::Webhook::new(SECRET).unwrap();
    let signature = webhook.sign(&id, at, body.as_bytes()).unwrap();
    let message = Message::post("/in/in", body)
        .with("webhook-id", id)
        .with("webhook-timestamp", at.to_string())
        .with("webhook-signature", signature);
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    stream.write_all(&message.bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let body: Value = serde_json::from_str(body).unwrap();
    Some(body["id"].as_str().unwrap().to_owned())
}

/// Runs `ingate store ..` on this thread's behalf without holding up the test's own servers.
pub async fn store(args: &[&str]) -> std::process::Output {
    let args: Vec<String> = std::iter::once("store")
        .chain(args.iter().copied())
        .map(str::to_owned)
        .collect();
    let run = move || {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        ingate(&args)
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

pub async fn json(args: &[&str], exit: i32) -> Value {
    let output = store(args).await;
    assert_eq!(
        output.status.code(),
        Some(exit),
        "{args:?}: {}",
        words(&output)
    );
    serde_json::from_str(&data(&output)).unwrap()
}

fn lines(output: &std::process::Output) -> Vec<Value> {
    data(output)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_is_looked_after_while_the_daemon_runs_and_when_it_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let up = Peer::start([]).await;
    let down = format!("http://127.0.0.1:{}/", crate::process::free_port());
    let site = site(folder.path(), &up.url(), &down);
    let daemon = site.start().await;
    let mut ids = Vec::new();
    for n in 0..10 {
        ids.push(send(site.public, n).await.unwrap());
    }
    up.wait_for(10).await;
    let (config, path) = (site.config(), site.data());
    let (config, path) = (config.to_str().unwrap(), path.to_str().unwrap());
    let counts = async || {
        let stats = json(&["stats", "-c", config, "--json"], 0).await;
        let of = |target: usize, state: &str| stats["targets"][target][state].as_u64().unwrap();
        (
            stats["in_use"].clone(),
            of(0, "pending"),
            of(1, "delivered"),
        )
    };
    // outcomes are on disk a moment after the target has answered
    wait_until("all outcomes are on disk", async || {
        counts().await == (Value::Bool(true), 10, 10)
    })
    .await;
    let report = json(&["verify", "--path", path, "--json"], 0).await;
    assert_eq!(report["sound"], true);
    assert_eq!(report["index"]["state"], "passed_over");
    assert_eq!(report["in_use"], true);
    let output = store(&["export", "-c", config]).await;
    let exported = lines(&output);
    let found: Vec<_> = exported
        .iter()
        .map(|it| it["id"].as_str().unwrap())
        .collect();
    assert_eq!(found, ids);
    for (n, line) in exported.iter().enumerate() {
        assert_eq!(line["body"], format!("{{\"type\":\"t\",\"n\":{n}}}"));
        assert_eq!(line["message_id"], format!("msg_{n}"));
    }
    let output = store(&["export", "-c", config, "--state", "dead"]).await;
    assert!(output.status.success() && data(&output).is_empty());
    let text = store(&["stats", "-c", config]).await;
    assert!(
        data(&text).contains("target   up: 0 pending, 10 delivered"),
        "{}",
        data(&text)
    );

    assert_eq!(daemon.terminate().code(), Some(0), "{}", site.log());
    assert_eq!(counts().await, (Value::Bool(false), 10, 10));
    let report = json(&["verify", "-c", config, "--json"], 0).await;
    assert_eq!(report["index"]["state"], "sound", "{report}");
    // killed in the middle of its work, the store is as sound
    let daemon = site.start().await;
    send(site.public, 10).await.unwrap();
    daemon.kill();
    let report = json(&["verify", "-c", config, "--json"], 0).await;
    assert_eq!(report["events"], 11, "{report}");

    let file = std::fs::read_dir(site.data().join("journal")).unwrap();
    let mut files: Vec<_> = file.map(|it| it.unwrap().path()).collect();
    files.sort();
    let mut bytes = std::fs::read(&files[0]).unwrap();
    bytes[200] ^= 1;
    std::fs::write(&files[0], bytes).unwrap();
    let report = json(&["verify", "-c", config, "--json"], 1).await;
    let name = Path::new("journal").join(files[0].file_name().unwrap());
    assert_eq!(report["damage"][0]["file"], name.to_str().unwrap());
    let text = store(&["verify", "-c", config]).await;
    assert_eq!(text.status.code(), Some(1));
    assert!(data(&text).contains(&format!("damage   {}", name.display())));
    let output = store(&["export", "-c", config]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(
        words(&output).contains("1 damaged places"),
        "{}",
        words(&output)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_made_under_load_becomes_a_store_with_all_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let up = Peer::start([]).await;
    let down = format!("http://127.0.0.1:{}/", crate::process::free_port());
    let site = site(folder.path(), &up.url(), &down);
    let daemon = site.start().await;
    let next = Arc::new(AtomicU64::new(0));
    let go_on = Arc::new(AtomicBool::new(true));
    let acknowledged = Arc::new(std::sync::Mutex::new(Vec::new()));
    let senders: Vec<_> = (0..4)
        .map(|_| {
            let (next, go_on) = (Arc::clone(&next), Arc::clone(&go_on));
            let (acknowledged, port) = (Arc::clone(&acknowledged), site.public);
            tokio::spawn(async move {
                while go_on.load(Ordering::Relaxed) {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let id = send(port, n).await.unwrap();
                    acknowledged.lock().unwrap().push(id);
                }
            })
        })
        .collect();
    let mut last = (Vec::new(), String::new());
    for round in 0..5 {
        let sent = last.0.len();
        wait_until("more was acknowledged", async || {
            acknowledged.lock().unwrap().len() > sent + 20
        })
        .await;
        let before = acknowledged.lock().unwrap().clone();
        let to = folder.path().join(format!("backup-{round}"));
        let to = to.to_str().unwrap().to_owned();
        let made = json(
            &[
                "backup",
                &to,
                "-c",
                site.config().to_str().unwrap(),
                "--json",
            ],
            0,
        )
        .await;
        assert!(made["events"].as_u64().unwrap() >= before.len() as u64);
        let output = store(&["export", "--path", &to, "--no-bodies", "--unredacted"]).await;
        let exported = lines(&output);
        for id in &before {
            assert!(
                exported.iter().any(|line| line["id"] == id.as_str()),
                "{id}"
            );
        }
        last = (before, to);
    }
    go_on.store(false, Ordering::Relaxed);
    for sender in senders {
        sender.await.unwrap();
    }
    let refused = store(&["backup", &last.1, "-c", site.config().to_str().unwrap()]).await;
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        words(&refused).contains("it is not empty"),
        "{}",
        words(&refused)
    );
    assert_eq!(daemon.terminate().code(), Some(0), "{}", site.log());

    // restored: the folder takes the place of the store
    std::fs::remove_dir_all(site.data()).unwrap();
    std::fs::rename(&last.1, site.data()).unwrap();
    let daemon = site.start().await;
    let stats = json(
        &["stats", "-c", site.config().to_str().unwrap(), "--json"],
        0,
    )
    .await;
    assert!(stats["events"].as_u64().unwrap() >= last.0.len() as u64);
    assert!(send(site.public, 1_000_000).await.is_some());
    assert_eq!(daemon.terminate().code(), Some(0), "{}", site.log());
}

/// Every file below the folder that holds this.
fn files_with(folder: &Path, marker: &str) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, marker));
            continue;
        }
        // The index may replace its files meanwhile.
        let bytes = std::fs::read(&path).unwrap_or_default();
        if bytes
            .windows(marker.len())
            .any(|window| window == marker.as_bytes())
        {
            found.push(path);
        }
    }
    found
}

/// What the audit log has of purges, newest first: who, which event, and whether it was done.
async fn purges(site: &Site) -> Vec<(String, String, bool)> {
    let audit = crate::numbered::get(site, "/api/v1/audit?limit=100").await;
    let rows = audit["items"].as_array().unwrap().iter();
    rows.filter(|row| row["action"] == "purge")
        .map(|row| {
            let text = |name: &str| row[name].as_str().unwrap().to_owned();
            (text("actor"), text("subject"), row["ok"].as_bool().unwrap())
        })
        .collect()
}

/// What remains of an event that was purged, in the export and in the files.
async fn assert_purged(site: &Site, event: &str, marker: &str) {
    let config = site.config();
    let exported = store(&["export", "-c", config.to_str().unwrap()]).await;
    assert!(exported.status.success(), "{}", words(&exported));
    assert!(!data(&exported).contains(marker), "{}", data(&exported));
    let lines = lines(&exported);
    let line = lines.iter().find(|line| line["id"] == event).unwrap();
    assert!(line["purged_at"].is_string(), "{line}");
    assert!(line.get("body").is_none_or(|body| body == ""), "{line}");
    assert!(line.get("body_base64").is_none(), "{line}");
    for delivery in line["deliveries"].as_array().unwrap() {
        assert_ne!(delivery["state"], "pending", "{line}");
    }
    assert_eq!(
        files_with(&site.data(), marker),
        Vec::<std::path::PathBuf>::new()
    );
    assert!(!site.log().contains(marker));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_purged_by_the_daemon_and_without_it() {
    let folder = tempfile::tempdir().unwrap();
    // The first two events fail, and what the target says of them has their bodies.
    let up = Peer::start([Turn::Mirror, Turn::Mirror]).await;
    let down = format!("http://127.0.0.1:{}/", crate::process::free_port());
    let site = site(folder.path(), &up.url(), &down);
    let config = site.config();
    let config = config.to_str().unwrap();
    let daemon = site.start().await;
    let markers = [
        "marker-of-the-first",
        "marker-of-the-second",
        "marker-that-stays",
    ];
    let mut ids = Vec::new();
    for (n, marker) in (0..).zip(markers) {
        let body = format!("{{\"type\":\"t\",\"note\":\"{marker}\"}}");
        ids.push(send_body(site.public, n, body).await.unwrap());
        up.wait_for(ids.len()).await;
    }
    let shown = async |id: &str| crate::numbered::get(&site, &format!("/api/v1/events/{id}")).await;
    for (id, marker) in ids.iter().zip(markers).take(2) {
        wait_until("the target's words are on record", async || {
            shown(id).await.to_string().matches(marker).count() >= 2
        })
        .await;
        assert!(
            !files_with(&site.data(), marker).is_empty(),
            "the search finds nothing"
        );
    }

    let purged = json(&["purge", &ids[0], "-c", config, "--json"], 0).await;
    assert_eq!(purged["event"], ids[0].as_str());
    assert_eq!(purged["discarded"], 2, "{purged}");
    assert!(purged["records"].as_u64() >= Some(1), "{purged}");
    assert_purged(&site, &ids[0], markers[0]).await;
    assert_eq!(shown(&ids[0]).await["error"]["code"], "purged");
    let listed = crate::numbered::get(&site, "/api/v1/events").await;
    let rows = listed["items"].as_array().unwrap();
    for row in rows {
        assert_eq!(
            row["purged_at"].is_string(),
            row["id"] == ids[0].as_str(),
            "{listed}"
        );
    }
    let again = json(&["purge", &ids[0], "-c", config, "--json"], 0).await;
    assert_eq!(again["purged_at"], purged["purged_at"]);
    assert_eq!(
        (&again["discarded"], &again["records"]),
        (&0.into(), &0.into())
    );
    const NOBODY: &str = "019b8d99-6900-7000-8000-000000000000";
    let unknown = store(&["purge", NOBODY, "-c", config]).await;
    assert_eq!(unknown.status.code(), Some(1), "{}", words(&unknown));
    assert!(
        words(&unknown).contains("there is no such event"),
        "{}",
        words(&unknown)
    );
    assert_eq!(daemon.terminate().code(), Some(0), "{}", site.log());

    // Without the daemon, the second one, and again what was purged before.
    let text = store(&["purge", &ids[1], "-c", config]).await;
    assert!(
        data(&text).contains("2 deliveries discarded"),
        "{}",
        data(&text)
    );
    assert_purged(&site, &ids[1], markers[1]).await;
    for (id, exit) in [(&ids[0][..], 0), (&ids[1], 0), (NOBODY, 1)] {
        let output = store(&["purge", id, "-c", config]).await;
        assert_eq!(output.status.code(), Some(exit), "{}", words(&output));
    }
    let sound = json(&["verify", "-c", config, "--json"], 0).await;
    assert_eq!(sound["sound"], true, "{sound}");

    let daemon = site.start().await;
    for id in &ids[..2] {
        assert_eq!(shown(id).await["error"]["code"], "purged");
    }
    assert!(shown(&ids[2]).await.to_string().contains(markers[2]));
    let by_daemon = "operator from 127.0.0.1";
    let wanted = [
        ("command", NOBODY, false),
        ("command", &ids[1], true),
        ("command", &ids[0], true),
        ("command", &ids[1], true),
        (by_daemon, NOBODY, false),
        (by_daemon, &ids[0], true),
        (by_daemon, &ids[0], true),
    ];
    let wanted = wanted.map(|(who, what, done)| (who.to_owned(), what.to_owned(), done));
    assert_eq!(purges(&site).await, wanted);
    assert_eq!(daemon.terminate().code(), Some(0), "{}", site.log());
    for (id, marker) in ids.iter().zip(markers).take(2) {
        assert_purged(&site, id, marker).await;
    }
    assert_eq!(up.received().len(), 3, "what is purged is not delivered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_store_is_exit_74() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    for command in ["verify", "stats", "export"] {
        let output = store(&[command, "--path", path]).await;
        assert_eq!(output.status.code(), Some(74), "{command}");
        assert!(words(&output).contains("is no store: it holds no folder `journal`"));
        assert!(data(&output).is_empty());
    }
    let output = store(&["backup", &format!("{path}/to"), "--path", path]).await;
    assert_eq!(output.status.code(), Some(74));
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        0,
        "nothing was made"
    );
}
