//! What survives a process that ends without a word, and a store folder that was tampered with in between.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::numbered::{SECRET, get, numbers, pending, send};
use crate::process::{Process, Site};
use crate::support::{Peer, Turn, wait_until};

/// How often the daemon is killed under load.
const ROUNDS: usize = 20;

fn rest(urls: &[(&str, String)]) -> String {
    let targets: String = urls
        .iter()
        .map(|(name, url)| {
            format!("  {name}: {{url: \"{url}\", retry: {{initial: 50ms, factor: 2, max: 1s, jitter: 0}}}}\n")
        })
        .collect();
    let names: Vec<&str> = urls.iter().map(|(name, _)| *name).collect();
    format!(
        "templates: ./templates\n\
         sources:\n  in: {{preset: standard-webhooks, secrets: [{{file: secret}}]}}\n\
         targets:\n{targets}\
         routes:\n  - {{name: all, from: in, template: n.liquid, to: [{}]}}\n",
        names.join(", ")
    )
}

fn site(folder: &Path, urls: &[(&str, String)]) -> Site {
    std::fs::create_dir(folder.join("templates")).unwrap();
    std::fs::write(
        folder.join("templates/n.liquid"),
        "{\"n\": {{ payload.n }}}",
    )
    .unwrap();
    std::fs::write(folder.join("secret"), SECRET).unwrap();
    Site::new(folder, &rest(urls))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_under_load_loses_nothing_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    // The first answers of one target are failures, so that retries are on their way at every kill.
    let steady = Peer::start([]).await;
    let shaky =
        Peer::start((0..200).map(|n| Turn::Status(if n % 3 == 0 { 200 } else { 500 }))).await;
    let site = site(
        folder.path(),
        &[("steady", steady.url()), ("shaky", shaky.url())],
    );
    let next = Arc::new(AtomicU64::new(1));
    let mut acknowledged = BTreeSet::new();
    let mut rng = fastrand::Rng::with_seed(7);
    for _ in 0..ROUNDS {
        let daemon = site.start().await;
        let go_on = Arc::new(AtomicBool::new(true));
        let mut senders = Vec::new();
        for _ in 0..8 {
            let (next, go_on, port) = (Arc::clone(&next), Arc::clone(&go_on), site.public);
            senders.push(tokio::spawn(async move {
                let mut mine = Vec::new();
                while go_on.load(Ordering::Relaxed) {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if send(port, n).await {
                        mine.push(n);
                    }
                }
                mine
            }));
        }
        tokio::time::sleep(Duration::from_millis(rng.u64(50..300))).await;
        daemon.kill();
        go_on.store(false, Ordering::Relaxed);
        for sender in senders {
            acknowledged.extend(sender.await.unwrap());
        }
    }
    assert!(
        acknowledged.len() > ROUNDS,
        "hardly any load: {}",
        acknowledged.len()
    );
    let daemon = site.start().await;
    for peer in [&steady, &shaky] {
        wait_until("everything acknowledged is at the target", async || {
            numbers(peer).is_superset(&acknowledged)
        })
        .await;
    }
    // Nothing is stuck: what is left ends by itself.
    wait_until("no delivery is pending", async || pending(&site).await == 0).await;
    assert_eq!(daemon.terminate().code(), Some(0), "{}", site.log());
    // A kill is no reason to distrust the index.
    let log = site.log();
    assert!(!log.contains("the index is rebuilt"), "{log}");
}

/// All that the operator's door says of events and deliveries; what a rebuild must give back.
async fn everything(site: &Site) -> Vec<Value> {
    let events = get(site, "/api/v1/events?limit=500").await;
    let mut all = vec![get(site, "/api/v1/deliveries?limit=500").await];
    for event in events["items"].as_array().unwrap() {
        all.push(
            get(
                site,
                &format!("/api/v1/events/{}", event["id"].as_str().unwrap()),
            )
            .await,
        );
    }
    all.push(events);
    all
}

/// The folder of the index inside the store's.
fn index(site: &Site) -> PathBuf {
    site.data().join("index")
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The number of the last record that the index holds on disk, as the daemon notes it beside the index.
fn position(site: &Site) -> u64 {
    let text = std::fs::read_to_string(site.data().join("index.position")).unwrap_or_default();
    let number = text.split(' ').next().unwrap_or_default();
    number.parse().unwrap_or(0)
}

/// How a run of the daemon ends.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Term,
    Kill9,
}

impl End {
    fn come(self, site: &Site, daemon: Process) {
        match self {
            Self::Term => assert_eq!(daemon.terminate().code(), Some(0), "{}", site.log()),
            Self::Kill9 => daemon.kill(),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_to_the_index_nothing_is_missing() {
    tamper_with_the_index(End::Term).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_to_the_index_after_kill_9_nothing_is_missing() {
    tamper_with_the_index(End::Kill9).await;
}

async fn tamper_with_the_index(end: End) {
    type Tamper = fn(&Path, &Path);
    let ways: [(&str, Tamper); 4] = [
        ("removed", |index, _| {
            std::fs::remove_dir_all(index).unwrap()
        }),
        ("emptied", |index, _| {
            std::fs::remove_dir_all(index).unwrap();
            std::fs::create_dir(index).unwrap();
        }),
        ("swapped for an older copy", |index, older| {
            std::fs::remove_dir_all(index).unwrap();
            copy(older, index);
        }),
        ("filled with junk", |index, _| {
            for entry in std::fs::read_dir(index).unwrap() {
                let path = entry.unwrap().path();
                if path.is_file() {
                    std::fs::write(path, [0xa5; 9000]).unwrap();
                }
            }
        }),
    ];
    for (name, tamper) in ways {
        let folder = tempfile::tempdir().unwrap();
        let up = Peer::start([]).await;
        let down = format!("http://127.0.0.1:{}/", crate::process::free_port());
        let site = site(folder.path(), &[("up", up.url()), ("down", down)]);
        let daemon = site.start().await;
        for n in 0..20 {
            assert!(send(site.public, n).await, "{name}: {n}");
        }
        up.wait_for(20).await;
        assert_eq!(daemon.terminate().code(), Some(0), "{name}: {}", site.log());
        assert!(
            index(&site).is_dir(),
            "{name}: the index is where this test looks for it"
        );
        let older = folder.path().join("older");
        copy(&index(&site), &older);
        let older_position = position(&site);
        // From here on nothing changes by itself: the failing target is tried once, and then not for an hour. A breaker
        // would hold most of it back.
        site.write(
            &rest(&[("up", up.url()), ("down", "http://127.0.0.1:9/".to_owned())])
                .replace("initial: 50ms", "initial: 1h")
                .replace("max: 1s", "max: 1h")
                .replace("jitter: 0}", "jitter: 0}, breaker: off"),
        );
        let daemon = site.start().await;
        for n in 20..40 {
            assert!(send(site.public, n).await, "{name}: {n}");
        }
        up.wait_for(40).await;
        wait_until("every delivery to the dead target was tried", async || {
            let page = get(&site, "/api/v1/deliveries?state=pending&limit=500").await;
            let items = page["items"].as_array().unwrap();
            items.len() == 40 && items.iter().all(|d| d["attempts_made"].as_u64() > Some(0))
        })
        .await;
        wait_until("the index is on disk beyond the older copy", async || {
            end == End::Term || position(&site) > older_position
        })
        .await;
        end.come(&site, daemon);
        let daemon = site.start().await;
        let before = everything(&site).await;
        assert_eq!(before[0]["items"].as_array().unwrap().len(), 80, "{name}");
        end.come(&site, daemon);
        assert!(!site.log().contains("the index is rebuilt"), "{name}");

        let said = site.log().len();
        tamper(&index(&site), &older);
        let daemon = site.start().await;
        let after = everything(&site).await;
        assert_eq!(before, after, "{name}");
        let words = site.log().split_off(said);
        assert!(words.contains("WARN"), "{name}: {words}");
        if name != "removed" {
            let aside = std::fs::read_dir(site.data()).unwrap().filter(|entry| {
                let name = entry.as_ref().unwrap().file_name();
                name.to_string_lossy().starts_with("index.aside-")
            });
            assert_eq!(aside.count(), 1, "{name}: the old folder is kept aside");
        }
        assert!(send(site.public, 99).await, "{name}: it goes on");
        up.wait_for(41).await;
        assert_eq!(daemon.terminate().code(), Some(0), "{name}: {}", site.log());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fan_out_to_three_with_one_down_until_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (Peer::start([]).await, Peer::start([]).await);
    let down: std::net::SocketAddr = ([127, 0, 0, 1], crate::process::free_port()).into();
    let site = site(
        folder.path(),
        &[
            ("a", a.url()),
            ("b", b.url()),
            ("c", format!("http://{down}/hooks")),
        ],
    );
    let daemon = site.start().await;
    assert!(send(site.public, 1).await);
    a.wait_for(1).await;
    b.wait_for(1).await;
    assert_eq!(daemon.terminate().code(), Some(0), "{}", site.log());
    let c = Peer::start_at(down, []).await;
    let daemon = site.start().await;
    let received = c.wait_for(1).await;
    assert_eq!(received[0].json()["n"], 1);
    wait_until("no delivery is pending", async || pending(&site).await == 0).await;
    assert_eq!(daemon.terminate().code(), Some(0), "{}", site.log());
    assert_eq!(
        (a.received().len(), b.received().len(), c.received().len()),
        (1, 1, 1)
    );
}
