//! `fsync` that fails: no yes without a sync that returned, and it goes on by itself once the disk does.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::shim::Shim;
use super::{
    PATIENCE, ask, assert_no_panic, delivery, is_accepted, nothing_is_pending, rest, send, site,
    skipped,
};
use crate::care;
use crate::numbered::numbers;
use crate::process::Site;
use crate::support::{Peer, wait_until, wait_within};

/// Sends some events to a healthy daemon, and looks at each yes whether a sync that returned has covered its event.
pub async fn each_yes_is_synced() {
    let folder = tempfile::tempdir().unwrap();
    let shim = match Shim::make(folder.path()) {
        Ok(shim) => shim,
        Err(why) => return skipped(&why),
    };
    let nowhere = [("down", "http://127.0.0.1:9/".to_owned())];
    let site = site(folder.path(), &rest("", &nowhere));
    let daemon = site.start_with(&shim.environment()).await;
    if !shim.is_loaded() {
        return skipped("the binary takes no library that is loaded before libc");
    }
    for n in 1..=5 {
        assert!(is_accepted(&send(&site, n).await), "event {n}");
        assert_synced(&shim, &site, n);
    }
    drop(daemon);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_yes_without_a_sync_that_returned() {
    let folder = tempfile::tempdir().unwrap();
    let shim = match Shim::make(folder.path()) {
        Ok(shim) => shim,
        Err(why) => return skipped(&why),
    };
    let peer = Peer::start([]).await;
    // What fails for it while the disk fails must be recorded later.
    let down = Peer::start([]).await;
    down.set_down(true);
    let targets = [("up", peer.url()), ("down", down.url())];
    let site = site(folder.path(), &rest("", &targets));
    let daemon = site.start_with(&shim.environment()).await;
    if !shim.is_loaded() {
        return skipped("the binary takes no library that is loaded before libc");
    }
    let mut accepted = BTreeMap::new();
    let mut next = 1;
    for round in 0..3 {
        for _ in 0..10 {
            let answer = send(&site, next).await;
            assert!(is_accepted(&answer), "event {next}");
            assert_synced(&shim, &site, next);
            accepted.insert(next, answer.json()["id"].as_str().unwrap().to_owned());
            next += 1;
        }
        let failed = shim.failed();
        shim.let_fail(true);
        let mut refused = BTreeSet::new();
        for _ in 0..10 {
            assert!(!is_accepted(&send(&site, next).await), "event {next}");
            refused.insert(next);
            next += 1;
        }
        assert!(shim.failed() > failed, "no sync was tried");
        assert_eq!(ask(&site, "/livez").await.status, 200);
        assert_eq!(ask(&site, "/readyz").await.status, 503);
        if round == 1 {
            // Some time of it: a fresh segment is tried again and again, and each fails.
            let failed = shim.failed();
            wait_until("a fresh segment was tried twice", async || {
                shim.failed() >= failed + 2
            })
            .await;
            assert!(!is_accepted(&send(&site, next).await));
            refused.insert(next);
            next += 1;
        }
        shim.let_fail(false);
        // The senders come again with what was refused.
        for n in refused {
            let mut answer = send(&site, n).await;
            wait_until("it takes events again", async || {
                if !is_accepted(&answer) {
                    answer = send(&site, n).await;
                }
                is_accepted(&answer)
            })
            .await;
            assert_synced(&shim, &site, n);
            let answer = answer.json();
            assert_eq!(answer["duplicate"], false, "event {n}: no trace was left");
            accepted.insert(n, answer["id"].as_str().unwrap().to_owned());
        }
    }
    wait_within(PATIENCE, "all is at the target that is up", async || {
        numbers(&peer).len() == accepted.len()
    })
    .await;
    daemon.kill();

    let daemon = site.start().await;
    for event in accepted.values() {
        assert_eq!(delivery(&site, event, "down").await["state"], "pending");
    }
    down.set_down(false);
    nothing_is_pending(&site).await;
    assert_eq!(daemon.terminate().code(), Some(0), "{}", site.log());
    let all: BTreeSet<u64> = accepted.into_keys().collect();
    assert_eq!(numbers(&down), all);
    assert_eq!(down.received().len(), all.len(), "each came once");
    assert_eq!(numbers(&peer), all);
    // Each came once as well, but for what was under way when it was killed.
    assert!(peer.received().len() <= all.len() + 8);
    assert_no_panic(&site);
    let log = site.log();
    assert!(log.contains("the journal could not be written"), "{log}");
    care::json(
        &["verify", "--json", "--path", site.data().to_str().unwrap()],
        0,
    )
    .await;
}

/// The event with this number stands in the journal, and a sync that began behind its last byte has returned.
fn assert_synced(shim: &Shim, site: &Site, n: u64) {
    // As it came in; what goes out, and is kept once it has failed, has no type.
    let wanted = format!("\"type\":\"t\",\"n\":{n}}}");
    let mut found = false;
    for entry in std::fs::read_dir(site.data().join("journal")).unwrap() {
        let path = entry.unwrap().path();
        let Some(end) = end_of(&path, wanted.as_bytes()) else {
            continue;
        };
        let name = path.file_name().unwrap().to_str().unwrap();
        found |= shim.synced(name) >= end;
    }
    assert!(found, "event {n} was acknowledged but not synced");
}

/// Where these bytes end in a file, at their last place.
fn end_of(path: &Path, wanted: &[u8]) -> Option<u64> {
    let bytes = std::fs::read(path).unwrap();
    let mut windows = bytes.windows(wanted.len());
    let at = windows.rposition(|window| window == wanted)?;
    Some((at + wanted.len()) as u64)
}

/// Repeats while the disk fails now and then: whatever an answer was, each event is delivered once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn senders_that_repeat_what_was_refused_cause_no_duplicate() {
    let folder = tempfile::tempdir().unwrap();
    let shim = match Shim::make(folder.path()) {
        Ok(shim) => shim,
        Err(why) => return skipped(&why),
    };
    let peer = Peer::start([]).await;
    let site = site(folder.path(), &rest("", &[("up", peer.url())]));
    let daemon = site.start_with(&shim.environment()).await;
    if !shim.is_loaded() {
        return skipped("the binary takes no library that is loaded before libc");
    }
    let site = Arc::new(site);
    let senders: Vec<_> = (0..4_u64)
        .map(|sender| {
            let site = Arc::clone(&site);
            tokio::spawn(async move {
                for n in (sender * 100)..(sender * 100 + 40) {
                    let start = Instant::now();
                    while !is_accepted(&send(&site, n).await) {
                        assert!(start.elapsed() < PATIENCE, "event {n} is never taken");
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
            })
        })
        .collect();
    let mut rng = fastrand::Rng::new();
    for _ in 0..6 {
        let failed = shim.failed();
        shim.let_fail(true);
        wait_until("a sync has failed, or all is sent", async || {
            shim.failed() > failed || senders.iter().all(|sender| sender.is_finished())
        })
        .await;
        shim.let_fail(false);
        tokio::time::sleep(Duration::from_millis(rng.u64(0..100))).await;
    }
    for sender in senders {
        sender.await.unwrap();
    }
    nothing_is_pending(&site).await;
    assert_eq!(daemon.terminate().code(), Some(0), "{}", site.log());
    assert_eq!(numbers(&peer).len(), 160);
    assert_eq!(peer.received().len(), 160, "each came once");
    assert_no_panic(&site);
}
