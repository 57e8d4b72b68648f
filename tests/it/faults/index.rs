//! An index that is gone, stale or broken at a start: it is rebuilt from the journal, to the same answers.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{rest, site};
use crate::numbered::{get, send};
use crate::process::{Process, Site};
use crate::support::{Peer, wait_until};

/// So few that the failures of one life are no reason to leave the dead target alone.
const EVENTS: u64 = 9;

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
        let site = site(
            folder.path(),
            &rest("", &[("up", up.url()), ("down", down)]),
        );
        let daemon = site.start().await;
        for n in 0..5 {
            assert!(send(site.public, n).await, "{name}: {n}");
        }
        up.wait_for(5).await;
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
            &rest(
                "",
                &[("up", up.url()), ("down", "http://127.0.0.1:9/".to_owned())],
            )
            .replace("initial: 50ms", "initial: 1h")
            .replace("max: 1s", "max: 1h")
            .replace("jitter: 0}", "jitter: 0}, breaker: off"),
        );
        let daemon = site.start().await;
        for n in 5..EVENTS {
            assert!(send(site.public, n).await, "{name}: {n}");
        }
        up.wait_for(EVENTS as usize).await;
        wait_until("every delivery to the dead target was tried", async || {
            let page = get(&site, "/api/v1/deliveries?state=pending&limit=500").await;
            let items = page["items"].as_array().unwrap();
            items.len() == EVENTS as usize
                && items.iter().all(|d| d["attempts_made"].as_u64() > Some(0))
        })
        .await;
        wait_until("the index is on disk beyond the older copy", async || {
            end == End::Term || position(&site) > older_position
        })
        .await;
        end.come(&site, daemon);
        let daemon = site.start().await;
        let before = everything(&site).await;
        assert_eq!(
            before[0]["items"].as_array().unwrap().len(),
            2 * EVENTS as usize,
            "{name}"
        );
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
        up.wait_for(EVENTS as usize + 1).await;
        assert_eq!(daemon.terminate().code(), Some(0), "{name}: {}", site.log());
    }
}
