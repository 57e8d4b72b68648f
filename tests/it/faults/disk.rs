//! A disk that is full: refused politely while there is a little room left, and refused as well when there is none.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::{
    PATIENCE, ask, assert_no_panic, is_accepted, nothing_is_pending, rest, send, site, skipped,
};
use crate::care;
use crate::numbered::numbers;
use crate::process::{Process, Site};
use crate::support::{Peer, wait_until};

/// A small file system in memory; it is gone when this is dropped.
struct Small(PathBuf);

impl Small {
    /// Mounts one of this size at `path`.
    ///
    /// # Errors
    /// Why that cannot be done here.
    fn mount(path: &Path, size: &str) -> Result<Self, String> {
        std::fs::create_dir(path).unwrap();
        let options = format!("size={size},mode=0700");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(path)
            .output()
            .map_err(|error| format!("there is no mount: {error}"))?;
        if !mounted.status.success() {
            let words = String::from_utf8_lossy(&mounted.stderr);
            return Err(format!("no file system can be mounted: {}", words.trim()));
        }
        Ok(Self(path.to_owned()))
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    /// Fills it with another file, but for about this many bytes.
    fn fill(&self, but: u64) {
        let mut file = File::create(self.filler()).unwrap();
        loop {
            let stat = rustix::fs::statvfs(&self.0).unwrap();
            let free = stat.f_bavail * stat.f_frsize;
            if free <= but {
                return;
            }
            let piece = (free - but).min(64 * 1024);
            // Others may have taken the last bytes meanwhile.
            if file.write_all(&vec![0xa5; piece as usize]).is_err() {
                return;
            }
        }
    }

    fn make_room(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // Lazily: the last file of it may still be open for a moment.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Events that were taken, each with the id that it was given.
type Accepted = BTreeMap<u64, String>;

/// Sends an event; whether it was taken.
async fn try_one(site: &Site, n: u64, accepted: &mut Accepted) -> bool {
    let answer = send(site, n).await;
    let taken = is_accepted(&answer);
    if taken {
        accepted.insert(n, answer.json()["id"].as_str().unwrap().to_owned());
    }
    taken
}

/// A daemon, and what it has taken.
struct Run {
    site: Site,
    daemon: Process,
    next: u64,
    accepted: Accepted,
}

impl Run {
    /// Sends an event; whether it was taken.
    async fn send_one(&mut self) -> bool {
        self.next += 1;
        try_one(&self.site, self.next, &mut self.accepted).await
    }

    /// Sends events until one is taken.
    async fn until_taken(&mut self) {
        let start = Instant::now();
        while !self.send_one().await {
            let waited = start.elapsed();
            assert!(waited < PATIENCE, "nothing is taken:\n{}", self.site.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Whether the operator's door says that no delivery is pending.
    async fn is_done(&self) -> bool {
        let page = ask(&self.site, "/api/v1/deliveries?state=pending").await;
        page.status == 200 && page.json()["items"].as_array().unwrap().is_empty()
    }
}

/// The journal goes on in a fresh segment, and the index is opened anew if the full disk has broken it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_without_any_room_refuses_and_heals_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let small = match Small::mount(&folder.path().join("data"), "16m") {
        Ok(small) => small,
        Err(why) => return skipped(&why),
    };
    let (up, down) = (Peer::start([]).await, Peer::start([]).await);
    down.set_down(true);
    let store = "store: {path: ./data, min_free: 0}\n";
    let targets = [("up", up.url()), ("down", down.url())];
    let site = site(folder.path(), &rest(store, &targets));
    let mut run = Run {
        daemon: site.start().await,
        site,
        next: 0,
        accepted: Accepted::new(),
    };
    for round in 0..3 {
        for _ in 0..20 {
            run.until_taken().await;
        }
        // The outcomes of the target that is down go on being written, so that the journal meets the end of the disk.
        small.fill(0);
        let start = Instant::now();
        while run.send_one().await {
            assert!(start.elapsed() < PATIENCE, "{}", run.site.log());
        }
        if round == 0 {
            // A while of it: what is left to be written meets the end of the disk as well.
            tokio::time::sleep(Duration::from_secs(2)).await;
            let log = run.site.log();
            assert!(log.contains("No space left on device"), "{log}");
        }
        for _ in 0..5 {
            run.send_one().await;
        }
        assert_eq!(ask(&run.site, "/livez").await.status, 200);
        small.make_room();
        run.until_taken().await;
    }
    down.set_down(false);
    let all: BTreeSet<u64> = run.accepted.keys().copied().collect();
    let start = Instant::now();
    while !run.is_done().await {
        assert!(start.elapsed() < PATIENCE, "{}", run.site.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(numbers(&up).is_superset(&all));
    assert!(numbers(&down).is_superset(&all));
    assert_no_panic(&run.site);
    still_there(&run.site, run.daemon, &run.accepted).await;
}

/// It ends well, and after a start all is there that was acknowledged.
async fn still_there(site: &Site, daemon: Process, accepted: &Accepted) {
    assert_eq!(daemon.terminate().code(), Some(0), "{}", site.log());
    let daemon = site.start().await;
    for (n, event) in accepted {
        let answer = ask(site, &format!("/api/v1/events/{event}")).await;
        assert_eq!(answer.status, 200, "event {n}");
        let event = answer.json();
        for delivery in event["deliveries"].as_array().unwrap() {
            assert_eq!(delivery["state"], "delivered", "event {n}: {event}");
        }
    }
    assert_eq!(daemon.terminate().code(), Some(0), "{}", site.log());
    care::json(
        &["verify", "--json", "--path", site.data().to_str().unwrap()],
        0,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_little_room_left_events_are_refused_and_deliveries_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let small = match Small::mount(&folder.path().join("data"), "24m") {
        Ok(small) => small,
        Err(why) => return skipped(&why),
    };
    let (up, down) = (Peer::start([]).await, Peer::start([]).await);
    down.set_down(true);
    let store = "store: {path: ./data, min_free: 8MiB}\n";
    let targets = [("up", up.url()), ("down", down.url())];
    let site = site(folder.path(), &rest(store, &targets));
    let daemon = site.start().await;
    let mut accepted = Accepted::new();
    let mut next = 1;
    for _ in 0..20 {
        assert!(try_one(&site, next, &mut accepted).await);
        next += 1;
    }
    small.fill(6 << 20);
    wait_until("events are refused", async || {
        next += 1;
        !try_one(&site, next, &mut accepted).await
    })
    .await;
    for _ in 0..5 {
        next += 1;
        assert!(!try_one(&site, next, &mut accepted).await);
    }
    assert_eq!(ask(&site, "/livez").await.status, 200);
    assert_eq!(ask(&site, "/readyz").await.status, 503);
    // What was accepted goes on all the while.
    down.set_down(false);
    nothing_is_pending(&site).await;
    let all: BTreeSet<u64> = accepted.keys().copied().collect();
    assert_eq!((numbers(&up), numbers(&down)), (all.clone(), all));
    assert!(!try_one(&site, next + 1, &mut accepted).await);
    small.make_room();
    wait_until("it takes events again", async || {
        next += 1;
        try_one(&site, next, &mut accepted).await
    })
    .await;
    nothing_is_pending(&site).await;
    let log = site.log();
    assert!(!log.contains("No space left on device"), "{log}");
    assert_no_panic(&site);
    still_there(&site, daemon, &accepted).await;
}
