//! `ingate store` on the store of a daemon that runs, was killed, or has ended.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use jiff::Timestamp;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::process::{Site, data, ingate, words};
use crate::support::{Message, Peer, wait_until};

const SECRET: &str = "whsec_Y2FyZS10ZXN0LXNlY3JldC0wMDAwMDAwMDAx";

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
async fn send(port: u16, n: u64) -> Option<String> {
    let body = format!("{{\"type\":\"t\",\"n\":{n}}}");
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
async fn store(args: &[&str]) -> std::process::Output {
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

async fn json(args: &[&str], exit: i32) -> Value {
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
    assert_eq!(refused.status.code(), Some(74));
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
