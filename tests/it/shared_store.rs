//! The store in a database, from outside: a daemon on it, what `ingate store` does with it, and the way there and back.

use std::path::Path;

use serde_json::Value;

use crate::care::{SECRET, json, send, store};
use crate::numbered::get;
use crate::postgres::{Database, Halt, Server, Wanted, or_skip};
use crate::process::{Site, data, words};
use crate::support::{Peer, Turn, exchange, wait_until};

/// The routes of all sites here: to one target, which is tried again soon.
fn routes(url: &str) -> String {
    format!(
        "sources:\n  in: {{preset: standard-webhooks, secrets: [{{file: secret}}]}}\n\
         targets:\n  erp: {{url: \"{url}\", retry: {{initial: 100ms, factor: 2, max: 1s, jitter: 0}}}}\n\
         routes:\n  - {{name: all, from: in, to: erp}}\n"
    )
}

/// A site whose store is this database.
fn site(folder: &Path, database: &str, url: &str) -> Site {
    std::fs::write(folder.join("secret"), SECRET).unwrap();
    std::fs::write(folder.join("database"), format!("{database}\n")).unwrap();
    let rest = format!(
        "store: {{path: ./data, postgres: {{url: {{file: database}}, lease: 2s}}}}\n{}",
        routes(url)
    );
    Site::new(folder, &rest)
}

fn database() -> Option<Database> {
    Some(or_skip(Server::shared())?.database())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_keeps_its_events_in_a_database() {
    let Some(database) = database() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::start([]).await;
    let site = site(folder.path(), &database.url(), &peer.url());
    let config = site.config();
    let config = config.to_str().unwrap();

    let planned = json(&["migrate", "-c", config, "--dry-run", "--json"], 0).await;
    assert_eq!(planned["version_before"], 0);
    assert!(!planned["steps"].as_array().unwrap().is_empty());
    assert_eq!(
        database.psql("select to_regnamespace('ingate') is null"),
        "t"
    );
    let unready = store(&["stats", "-c", config]).await;
    assert_eq!(unready.status.code(), Some(74));
    assert!(
        words(&unready).contains("`ingate store migrate`"),
        "{}",
        words(&unready)
    );
    let done = json(&["migrate", "-c", config, "--json"], 0).await;
    assert_eq!(done["steps"], planned["steps"]);
    let again = store(&["migrate", "-c", config]).await;
    assert!(data(&again).contains("nothing to do"), "{}", data(&again));

    let daemon = site.start().await;
    let mut ids = Vec::new();
    for n in 0..5 {
        ids.push(send(site.public, n).await.unwrap());
    }
    peer.wait_for(5).await;
    let delivered = async || {
        let stats = json(&["stats", "-c", config, "--json"], 0).await;
        assert_eq!(stats["instances"], 1);
        assert_eq!(stats["events"], 5);
        stats["targets"][0]["delivered"].as_u64().unwrap()
    };
    wait_until("all outcomes are recorded", async || delivered().await == 5).await;
    let text = store(&["stats", "-c", config]).await;
    let text = data(&text);
    assert!(
        text.contains("target   erp: 0 pending, 5 delivered"),
        "{text}"
    );
    let exported = store(&["export", "-c", config]).await;
    let exported = data(&exported);
    let exported: Vec<Value> = exported
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let found: Vec<&str> = exported
        .iter()
        .map(|line| line["id"].as_str().unwrap())
        .collect();
    assert_eq!(found, ids);
    assert_eq!(exported[3]["body"], "{\"type\":\"t\",\"n\":3}");
    assert_eq!(exported[3]["deliveries"][0]["state"], "delivered");
    let dead = store(&["export", "-c", config, "--state", "dead"]).await;
    assert!(dead.status.success() && data(&dead).is_empty());
    for command in [&["verify"][..], &["backup", "unused"]] {
        let refused = store(&[command, &["-c", config]].concat()).await;
        assert_eq!(refused.status.code(), Some(2), "{command:?}");
        assert!(
            words(&refused).contains("is in PostgreSQL"),
            "{}",
            words(&refused)
        );
    }
    let copied = store(&["copy", "--from", config, "--to", "unused"]).await;
    assert_eq!(copied.status.code(), Some(74));
    assert!(words(&copied).contains("is in use"), "{}", words(&copied));

    let purged = json(&["purge", &ids[0], "-c", config, "--json"], 0).await;
    assert_eq!(purged["event"], ids[0]);
    assert!(
        folder.path().join("data/last-good").is_dir(),
        "{}",
        site.log()
    );
    assert_eq!(daemon.terminate().code(), Some(0), "{}", site.log());
    let purged = json(&["purge", &ids[1], "-c", config, "--json"], 0).await;
    assert_eq!(purged["event"], ids[1]);
    let unknown = store(&[
        "purge",
        "019b8d99-6900-7000-8000-000000000001",
        "-c",
        config,
    ])
    .await;
    assert_eq!(unknown.status.code(), Some(1), "{}", words(&unknown));
    assert!(!site.log().contains("postgres://"), "no URL in the log");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_a_newer_version_is_refused_with_74() {
    let Some(database) = database() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let site = site(folder.path(), &database.url(), "http://127.0.0.1:9/");
    let config = site.config();
    let config = config.to_str().unwrap();
    json(&["migrate", "-c", config, "--json"], 0).await;
    database.psql("insert into ingate.migration (version, name) values (4711, 'later')");
    assert_eq!(site.spawn(&[]).wait().code(), Some(74));
    assert!(
        site.log().contains("version 4711 (later)"),
        "{}",
        site.log()
    );
    for command in [&["migrate"][..], &["migrate", "--dry-run"], &["stats"]] {
        let refused = store(&[command, &["-c", config]].concat()).await;
        assert_eq!(refused.status.code(), Some(74), "{command:?}");
        assert!(words(&refused).contains("4711"), "{}", words(&refused));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_away_at_the_start_is_waited_for() {
    let wanted = Wanted {
        fsync: false,
        ..Wanted::default()
    };
    let Some(server) = or_skip(Server::start_as(wanted)) else {
        return;
    };
    let database = server.database();
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::start([]).await;
    let site = site(folder.path(), &database.url(), &peer.url());
    server.stop(Halt::Fast);
    let config = site.config();
    let away = store(&["migrate", "-c", config.to_str().unwrap()]).await;
    assert_eq!(away.status.code(), Some(69), "{}", words(&away));

    let waiting = || {
        site.log()
            .matches("the start waits for the database")
            .count()
    };
    let daemon = site.spawn(&[]);
    wait_until("it waits", async || waiting() > 1).await;
    assert_eq!(daemon.terminate().code(), Some(0), "told to end, it ends");
    let before = waiting();
    let daemon = site.spawn(&[]);
    wait_until("it waits", async || waiting() > before).await;
    server.start_again().unwrap();
    wait_until("it takes events", async || {
        send(site.public, 1).await.is_some()
    })
    .await;
    peer.wait_for(1).await;
    assert_eq!(daemon.terminate().code(), Some(0), "{}", site.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_in_a_folder_is_delivered_from_a_database_after_a_copy() {
    let Some(database) = database() else {
        return;
    };
    let (own, shared) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let peer = Peer::start((0..3).map(|_| Turn::Status(503))).await;
    std::fs::write(own.path().join("secret"), SECRET).unwrap();
    // Tried once, then not for an hour.
    let slow = routes(&peer.url()).replace(
        "{initial: 100ms, factor: 2, max: 1s, jitter: 0}",
        "{schedule: [1h, 1h]}",
    );
    let first = Site::new(own.path(), &slow);
    let daemon = first.start().await;
    let mut ids = Vec::new();
    for n in 0..3 {
        ids.push(send(first.public, n).await.unwrap());
    }
    peer.wait_for(3).await;
    assert_eq!(daemon.terminate().code(), Some(0), "{}", first.log());

    let second = site(shared.path(), &database.url(), &peer.url());
    let (from, to) = (first.data(), second.config());
    let (from, to) = (from.to_str().unwrap(), to.to_str().unwrap());
    let copied = json(&["copy", "--from", from, "--to", to, "--json"], 0).await;
    assert_eq!(copied["complete"], true, "{copied}");
    for (kind, count) in [
        ("events", 3),
        ("pending", 3),
        ("attempts", 3),
        ("configurations", 1),
    ] {
        assert_eq!(copied["source"][kind], count, "{kind}: {copied}");
        assert_eq!(copied["destination"][kind], count, "{kind}: {copied}");
    }
    let again = store(&["copy", "--from", from, "--to", to]).await;
    assert_eq!(again.status.code(), Some(74));
    assert!(
        words(&again).contains("is not empty (3 events)"),
        "{}",
        words(&again)
    );

    let daemon = second.start().await;
    assert_eq!(retry_all(&second, &ids).await, 3);
    peer.wait_for(6).await;
    assert_eq!(daemon.terminate().code(), Some(0), "{}", second.log());

    // And back, into a folder that a daemon can use.
    let back = shared.path().join("back");
    let back = back.to_str().unwrap();
    let output = store(&["copy", "--from", to, "--to", back]).await;
    assert_eq!(output.status.code(), Some(0), "{}", words(&output));
    let text = data(&output);
    assert!(
        text.contains("delivered                   3            3"),
        "{text}"
    );
    assert!(text.contains("the content is the same"), "{text}");
    let report = json(&["verify", "--path", back, "--json"], 0).await;
    assert_eq!(report["sound"], true);
}

/// Has the daemon try each event's deliveries now; how many it took up.
async fn retry_all(site: &Site, ids: &[String]) -> usize {
    let mut taken = 0;
    for id in ids {
        let event = get(site, &format!("/api/v1/events/{id}")).await;
        for delivery in event["deliveries"].as_array().unwrap() {
            let id = delivery["id"].as_str().unwrap();
            let request = format!(
                "POST /api/v1/deliveries/{id}/retry HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                site.admin
            );
            let door = ([127, 0, 0, 1], site.admin).into();
            let answers = exchange(door, request.as_bytes()).await;
            assert_eq!(answers[0].status, 200, "{}", site.log());
            taken += 1;
        }
    }
    taken
}
