//! Faults of the machine, of the targets and of the senders. Nothing that was acknowledged is lost, the daemon
//! stays up, and it goes on by itself once the fault is gone. What the machine does not allow is passed over with a
//! word (`skipped: why`).

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::numbered::{SECRET, get, message, pending};
use crate::process::Site;
use crate::support::{Answer, exchange, wait_within};

mod certificates;
mod clock;
mod disk;
pub mod fsync;
mod index;
mod kill;
mod names;
mod overload;
mod shim;
mod targets;

/// How long it may take until a target that was mended has everything: a target that has failed for long is asked
/// only now and then.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// Retries come soon and never end.
const RETRY: &str = "{initial: 50ms, factor: 2, max: 1s, jitter: 0}";

/// Says that a story cannot be told on this machine, and why.
fn skipped(why: &str) {
    eprintln!("skipped: {why}");
}

/// A configuration in which every event goes through a template to all of these targets (name and URL), with `more`
/// in front of it.
fn rest(more: &str, targets: &[(&str, String)]) -> String {
    rest_with(more, "timeout: 2s", targets)
}

/// The same with these settings for each target.
fn rest_with(more: &str, settings: &str, targets: &[(&str, String)]) -> String {
    let names: Vec<&str> = targets.iter().map(|(name, _)| *name).collect();
    let targets: String = targets
        .iter()
        .map(|(name, url)| format!("  {name}: {{url: \"{url}\", retry: {RETRY}, {settings}}}\n"))
        .collect();
    format!(
        "{more}templates: ./templates\n\
         sources:\n  in: {{preset: standard-webhooks, secrets: [{{file: secret}}]}}\n\
         targets:\n{targets}\
         routes:\n  - {{name: all, from: in, template: n.liquid, to: [{}]}}\n",
        names.join(", ")
    )
}

/// A place for a daemon with such a configuration.
fn site(folder: &Path, rest: &str) -> Site {
    furnish(folder);
    Site::new(folder, rest)
}

/// The files that such a configuration names.
fn furnish(folder: &Path) {
    std::fs::create_dir_all(folder.join("templates")).unwrap();
    let template = folder.join("templates/n.liquid");
    std::fs::write(template, "{\"n\": {{ payload.n }}}").unwrap();
    std::fs::write(folder.join("secret"), SECRET).unwrap();
}

/// Sends the event with this number and gives back the whole answer.
async fn send(site: &Site, n: u64) -> Answer {
    let bytes = message(SECRET, n).bytes();
    let answers = exchange(([127, 0, 0, 1], site.public).into(), &bytes).await;
    assert_eq!(answers.len(), 1, "event {n}: {answers:?}\n{}", site.log());
    answers.into_iter().next().unwrap()
}

/// Whether an answer says yes; if not, it is one that asks to come again.
fn is_accepted(answer: &Answer) -> bool {
    if answer.status == 200 {
        return true;
    }
    assert_eq!(answer.status, 503, "{}", answer.text());
    let after = answer.header("retry-after").unwrap_or_default();
    assert!(after.parse::<u32>().is_ok(), "{answer:?}");
    assert!(answer.json()["error"].is_string(), "{answer:?}");
    false
}

/// What the operator's door answers.
async fn ask(site: &Site, path: &str) -> Answer {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let answers = exchange(([127, 0, 0, 1], site.admin).into(), request.as_bytes()).await;
    answers.into_iter().next().unwrap()
}

/// The deliveries of an event by their target's name.
async fn delivery(site: &Site, event: &str, target: &str) -> Value {
    let shown = get(site, &format!("/api/v1/events/{event}")).await;
    let deliveries = shown["deliveries"].as_array().unwrap().clone();
    let found = deliveries.into_iter().find(|one| one["target"] == target);
    found.unwrap_or_else(|| panic!("no delivery to {target}: {shown}"))
}

/// What came of each attempt of a delivery: the failure, or the status.
fn outcomes(delivery: &Value) -> Vec<String> {
    let attempts = delivery["attempts"].as_array().unwrap();
    let short = |attempt: &Value| {
        let outcome = &attempt["outcome"];
        match outcome["failure"].as_str() {
            Some(failure) => failure.to_owned(),
            None => outcome["status"].to_string(),
        }
    };
    attempts.iter().map(short).collect()
}

/// Waits until every delivery has ended.
async fn nothing_is_pending(site: &Site) {
    wait_within(PATIENCE, "no delivery is pending", async || {
        pending(site).await == 0
    })
    .await;
}

/// No thread of a daemon has panicked.
fn assert_no_panic(site: &Site) {
    let log = site.log();
    assert!(!log.contains("panicked"), "{log}");
}

/// The most memory that a process has had so far, in bytes; `None` where the system does not say.
fn peak_memory(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
