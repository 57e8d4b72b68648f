//! A target whose name cannot be resolved, and then can. The daemon sees names in files of the test's own, which
//! stand in the place of the system's in a mount namespace that it has for itself.

use std::path::Path;
use std::process::Command;

use super::{PATIENCE, delivery, nothing_is_pending, outcomes, rest, send, site, skipped};
use crate::process::BINARY;
use crate::support::{Peer, wait_until, wait_within};

/// The system's files, and what stands in their place.
const FILES: [(&str, &str); 2] = [
    ("/etc/hosts", "127.0.0.1 localhost\n"),
    // No server is asked: one that does not answer would only take its time.
    ("/etc/nsswitch.conf", "hosts: files\n"),
];

/// The start of a command that runs the rest of it in a namespace with the files of `folder`.
///
/// # Errors
/// Why there can be none.
fn within(folder: &Path) -> Result<Vec<String>, String> {
    let mut binds = Vec::new();
    for (system, text) in FILES {
        if !Path::new(system).exists() {
            return Err(format!("there is no {system}"));
        }
        let own = folder.join(Path::new(system).file_name().unwrap());
        std::fs::write(&own, text).unwrap();
        binds.push(format!("mount --bind '{}' {system}", own.display()));
    }
    let script = format!("{} && exec \"$0\" \"$@\"", binds.join(" && "));
    let mut why = String::new();
    // Who is not root may have a namespace in which it is.
    for flags in [vec!["-m"], vec!["-m", "-r"]] {
        let mut command = vec!["unshare"];
        command.extend(flags);
        command.extend(["--", "sh", "-c", &script]);
        match Command::new(command[0])
            .args(&command[1..])
            .arg("true")
            .output()
        {
            Ok(tried) if tried.status.success() => {
                return Ok(command.into_iter().map(str::to_owned).collect());
            }
            Ok(tried) => why = String::from_utf8_lossy(&tried.stderr).trim().to_owned(),
            Err(error) => why = error.to_string(),
        }
    }
    Err(format!("there is no namespace with other names: {why}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_is_not_resolved_and_then_is() {
    let folder = tempfile::tempdir().unwrap();
    let within = match within(folder.path()) {
        Ok(within) => within,
        Err(why) => return skipped(&why),
    };
    let (named, other) = (Peer::start([]).await, Peer::start([]).await);
    let url = format!("http://shop.test:{}/hooks", named.addr.port());
    let targets = [("named", url), ("other", other.url())];
    let site = site(folder.path(), &rest("", &targets));
    let mut command = Command::new(&within[0]);
    command.args(&within[1..]).arg(BINARY);
    let daemon = site.start_by(command, &[]).await;
    let mut events = Vec::new();
    for n in 1..=5 {
        let answer = send(&site, n).await;
        assert_eq!(answer.status, 200);
        events.push(answer.json()["id"].as_str().unwrap().to_owned());
    }
    // The other target has everything meanwhile.
    other.wait_for(5).await;
    // Not all need have been tried: one that fails all the time may be left alone for a while.
    wait_until("it was tried", async || {
        let delivery = delivery(&site, &events[0], "named").await;
        delivery["attempts_made"].as_u64() >= Some(1)
    })
    .await;
    for event in &events {
        let delivery = delivery(&site, event, "named").await;
        assert_eq!(delivery["state"], "pending");
        let outcomes = outcomes(&delivery);
        assert!(outcomes.iter().all(|it| it == "dns"), "{delivery}");
    }
    // In its place: the file is what the namespace holds, not its name.
    std::fs::write(
        folder.path().join("hosts"),
        "127.0.0.1 localhost\n127.0.0.1 shop.test\n",
    )
    .unwrap();
    wait_within(PATIENCE, "everything is there", async || {
        named.received().len() == 5
    })
    .await;
    nothing_is_pending(&site).await;
    assert_eq!(daemon.terminate().code(), Some(0), "{}", site.log());
    let host = format!("shop.test:{}", named.addr.port());
    assert!(named.received().iter().all(|r| r.header("host") == host));
}
