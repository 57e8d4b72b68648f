//! Reloading: over real signals, real files and the command, while events flow; and what a broken file does to a start.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::numbered::{SECRET, get, numbers, pending, send, send_as};
use crate::process::{Site, binary, data, free_port, words};
use crate::support::{Peer, wait_until};

const OTHER_SECRET: &str = "whsec_b3RoZXItc2VjcmV0LW9mLXRoZS1yZWxvYWQtMDAx";

/// What stands behind the doors and the store: one route from `in` to `erp`, whose template prints `vars.v`.
struct Rest {
    v: u64,
    /// Lines at the end.
    more: String,
    secrets: String,
    url: String,
    tests: bool,
}

impl Rest {
    fn new(peer: &Peer) -> Self {
        Self {
            v: 0,
            more: String::new(),
            secrets: "[{file: secret}]".to_owned(),
            url: peer.url(),
            tests: false,
        }
    }

    fn text(&self) -> String {
        let Self {
            v,
            more,
            secrets,
            url,
            tests,
        } = self;
        let tests = match tests {
            true => "\n    tests: [{event: event.json, expect: expect.json}]",
            false => "",
        };
        format!(
            "templates: ./templates\n\
             vars: {{v: {v}}}\n\
             sources:\n  in: {{preset: standard-webhooks, secrets: {secrets}}}\n\
             targets:\n  erp: {{url: \"{url}\", retry: {{initial: 50ms, factor: 2, max: 1s, jitter: 0}}}}\n\
             routes:\n  - name: all\n    from: in\n    template: n.liquid\n    to: erp{tests}\n{more}"
        )
    }
}

const TEMPLATE: &str = "{\"n\": {{ payload.n }}, \"v\": {{ vars.v }}}";

fn site(folder: &Path, rest: &Rest) -> Site {
    std::fs::create_dir(folder.join("templates")).unwrap();
    std::fs::write(folder.join("templates/n.liquid"), TEMPLATE).unwrap();
    std::fs::write(folder.join("secret"), SECRET).unwrap();
    Site::new(folder, &rest.text())
}

/// A gauge or counter without labels, or with these.
pub async fn metric(site: &Site, series: &str) -> f64 {
    let text = get_text(site, "/metrics").await;
    let found = text.lines().find_map(|line| line.strip_prefix(series));
    found.map_or(0.0, |value| value.trim().parse().unwrap())
}

async fn get_text(site: &Site, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", site.admin)).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

pub async fn successful(site: &Site) -> f64 {
    metric(site, "ingate_config_last_reload_successful").await
}

pub async fn reloads(site: &Site, result: &str) -> f64 {
    metric(
        site,
        &format!("ingate_config_reloads_total{{result=\"{result}\"}}"),
    )
    .await
}

/// `ingate reload`: its exit code and its report.
fn reload(site: &Site, args: &[&str]) -> (i32, Value) {
    let output = binary()
        .args(["reload", "--json", "-c"])
        .arg(site.config())
        .args(args)
        .output()
        .unwrap();
    let report = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (output.status.code().unwrap(), report)
}

/// The `v` of the event with this number, once it has arrived.
async fn v_of(peer: &Peer, n: u64) -> u64 {
    let found = || {
        let received = peer.received();
        let all = received.iter().map(|r| r.json());
        all.filter(|json| json["n"] == n).last()
    };
    wait_until("the event arrives", async || found().is_some()).await;
    found().unwrap()["v"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_reloads_under_load_refuse_and_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::start([]).await;
    let mut rest = Rest::new(&peer);
    let site = site(folder.path(), &rest);
    std::fs::write(
        folder.path().join("event.json"),
        "{\"type\": \"t\", \"n\": 7}",
    )
    .unwrap();
    let template = folder.path().join("templates/n.liquid");
    let daemon = site.start().await;
    let go_on = Arc::new(AtomicBool::new(true));
    let next = Arc::new(AtomicU64::new(1));
    let mut senders = Vec::new();
    for _ in 0..4 {
        let (next, go_on, port) = (Arc::clone(&next), Arc::clone(&go_on), site.public);
        senders.push(tokio::spawn(async move {
            let mut sent = BTreeSet::new();
            while go_on.load(Ordering::Relaxed) {
                let n = next.fetch_add(1, Ordering::Relaxed);
                assert_eq!(send_as(SECRET, port, n).await, Some(200), "event {n}");
                sent.insert(n);
            }
            sent
        }));
    }
    let mut good = 0.0;
    for round in 1..=20_u64 {
        rest.v = round;
        rest.tests = round % 5 == 3;
        let expected = if round == 13 { round + 1 } else { round };
        let expected = format!("{{\"n\": 7, \"v\": {expected}}}");
        std::fs::write(folder.path().join("expect.json"), expected).unwrap();
        // Each kind of mistake, and in between what is right; twice by each way to ask.
        rest.more = match round {
            4 => "nonsense: 1\n".to_owned(),
            9 => "routes: [\n".to_owned(),
            _ => String::new(),
        };
        if round == 16 {
            std::fs::write(&template, "{\"n\": {{ payload.n | no_such_filter }}}").unwrap();
        }
        let broken = [4, 9, 13, 16].contains(&round);
        let (applied, refused) = (
            reloads(&site, "applied").await,
            reloads(&site, "refused").await,
        );
        site.write(&rest.text());
        match round % 3 {
            0 => daemon.hang_up(),
            1 => {
                let (code, report) = reload(&site, &[]);
                assert_eq!(code, if broken { 78 } else { 0 }, "{round}: {report}");
                assert_eq!(report["applied"], !broken, "{round}: {report}");
            }
            // The watch sees it by itself.
            _ => {}
        }
        wait_until("the reload has come to its end", async || match broken {
            true => reloads(&site, "refused").await > refused,
            false => reloads(&site, "applied").await > applied,
        })
        .await;
        assert_eq!(
            successful(&site).await,
            if broken { 0.0 } else { 1.0 },
            "{round}"
        );
        if round == 16 {
            std::fs::write(&template, TEMPLATE).unwrap();
            wait_until("the mended template is seen", async || {
                successful(&site).await == 1.0
            })
            .await;
        } else if !broken {
            good = round as f64;
        }
    }
    go_on.store(false, Ordering::Relaxed);
    let mut sent = BTreeSet::new();
    for sender in senders {
        sent.extend(sender.await.unwrap());
    }
    assert!(sent.len() > 20, "hardly any load: {}", sent.len());
    wait_until("every event is at the target", async || {
        numbers(&peer).is_superset(&sent)
    })
    .await;
    wait_until("no delivery is pending", async || pending(&site).await == 0).await;
    assert!(send(site.public, 1_000_000).await);
    assert_eq!(v_of(&peer, 1_000_000).await as f64, good);
    let vs: BTreeSet<u64> = peer
        .received()
        .iter()
        .map(|r| r.json()["v"].as_u64().unwrap())
        .collect();
    for refused in [4, 9, 13] {
        assert!(
            !vs.contains(&refused),
            "{refused} was refused, and yet: {vs:?}"
        );
    }
    assert_eq!(daemon.terminate().code(), Some(0), "{}", site.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_to_replace_a_file_is_seen_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let peer = Peer::start([]).await;
    let site = site(root, &Rest::new(&peer));
    // The template is mounted as Kubernetes mounts a volume: n.liquid -> ..data/n.liquid, ..data -> ..1.
    let templates = root.join("templates");
    std::fs::remove_file(templates.join("n.liquid")).unwrap();
    let version = |v: &str| TEMPLATE.replace("{{ vars.v }}", v);
    let mount = |name: &str, v: &str| {
        std::fs::create_dir(templates.join(name)).unwrap();
        std::fs::write(templates.join(name).join("n.liquid"), version(v)).unwrap();
        symlink(name, templates.join("..data_tmp")).unwrap();
        std::fs::rename(templates.join("..data_tmp"), templates.join("..data")).unwrap();
    };
    mount("..0", "100");
    symlink("..data/n.liquid", templates.join("n.liquid")).unwrap();
    let daemon = site.start().await;
    let mut n = 0;
    let mut arrives = async |v: u64| {
        wait_until("the new template is at work", async || {
            n += 1;
            assert!(send(site.public, n).await);
            v_of(&peer, n).await == v
        })
        .await;
    };
    arrives(100).await;
    for round in 1..=3 {
        mount(&format!("..{round}"), &format!("{}", 100 + round));
        std::fs::remove_dir_all(templates.join(format!("..{}", round - 1))).unwrap();
        arrives(100 + round).await;
    }
    // A plain file in its place, by rename; then a link that is swapped; then written in place.
    for round in 1..=2 {
        std::fs::write(root.join("new"), version(&format!("{}", 200 + round))).unwrap();
        std::fs::rename(root.join("new"), templates.join("n.liquid")).unwrap();
        arrives(200 + round).await;
        let elsewhere = root.join(format!("elsewhere-{round}"));
        std::fs::create_dir(&elsewhere).unwrap();
        std::fs::rename(&templates, elsewhere.join("templates")).unwrap();
        std::fs::write(
            elsewhere.join("templates/n.liquid"),
            version(&format!("{}", 300 + round)),
        )
        .unwrap();
        // The folder itself is a link from now on; templates must stay in it.
        symlink(elsewhere.join("templates"), root.join("swap")).unwrap();
        std::fs::rename(root.join("swap"), &templates).unwrap();
        arrives(300 + round).await;
        std::fs::write(
            templates.join("n.liquid"),
            version(&format!("{}", 400 + round)),
        )
        .unwrap();
        arrives(400 + round).await;
        std::fs::remove_file(&templates).unwrap();
        std::fs::rename(elsewhere.join("templates"), &templates).unwrap();
    }
    assert_eq!(daemon.terminate().code(), Some(0), "{}", site.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_are_rotated_while_events_flow() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::start([]).await;
    let mut rest = Rest::new(&peer);
    rest.secrets = "[{file: secret}, {file: older}]".to_owned();
    std::fs::write(folder.path().join("older"), SECRET).unwrap();
    let site = site(folder.path(), &rest);
    let daemon = site.start().await;
    let mut n = 0;
    let mut status = async |secret: &str| {
        n += 1;
        send_as(secret, site.public, n).await
    };
    assert_eq!(status(SECRET).await, Some(200));
    assert_eq!(status(OTHER_SECRET).await, Some(401));
    // The new one beside the old one: both are taken.
    std::fs::write(folder.path().join("secret"), OTHER_SECRET).unwrap();
    wait_until("the new secret is taken", async || {
        status(OTHER_SECRET).await == Some(200)
    })
    .await;
    assert_eq!(status(SECRET).await, Some(200));
    // N51: the old one is taken out of the configuration.
    rest.secrets = "[{file: secret}]".to_owned();
    site.write(&rest.text());
    wait_until("the old secret is refused", async || {
        status(SECRET).await == Some(401)
    })
    .await;
    assert_eq!(status(OTHER_SECRET).await, Some(200));
    // A file that becomes nonsense changes nothing.
    std::fs::write(folder.path().join("secret"), "").unwrap();
    wait_until("the reload is refused", async || {
        successful(&site).await == 0.0
    })
    .await;
    assert_eq!(status(OTHER_SECRET).await, Some(200));
    let log = site.log();
    assert!(log.contains("the secret is empty"), "{log}");
    for secret in [SECRET, OTHER_SECRET] {
        assert!(!log.contains(secret), "{log}");
    }
    assert_eq!(daemon.terminate().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_power_off_a_broken_file_starts_on_the_last_good_one() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::start([]).await;
    let mut rest = Rest::new(&peer);
    rest.v = 1;
    rest.secrets = format!("[{{value: {SECRET}}}]");
    let site = site(folder.path(), &rest);
    let daemon = site.start().await;
    assert!(send(site.public, 1).await);
    rest.v = 2;
    site.write(&rest.text());
    assert_eq!(reload(&site, &[]).0, 0);
    // Both the configuration and the template are broken now.
    rest.v = 3;
    rest.more = "routes: [".to_owned();
    site.write(&rest.text());
    std::fs::write(folder.path().join("templates/n.liquid"), "{{").unwrap();
    assert_eq!(reload(&site, &[]).0, 78);
    daemon.kill();

    let refused = binary()
        .args(["run", "--no-fallback", "-c"])
        .arg(site.config())
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(78), "{}", words(&refused));
    assert!(
        words(&refused).contains("config.yaml:"),
        "{}",
        words(&refused)
    );

    let daemon = site.start().await;
    assert_eq!(successful(&site).await, 0.0);
    let log = site.log();
    assert!(log.contains("ERROR"), "{log}");
    assert!(log.contains("starting on the last good one"), "{log}");
    assert!(!log.contains(SECRET), "{log}");
    assert!(send(site.public, 2).await);
    assert_eq!(v_of(&peer, 2).await, 2);
    // It goes on watching: what is mended comes into force.
    std::fs::write(folder.path().join("templates/n.liquid"), TEMPLATE).unwrap();
    rest.more.clear();
    site.write(&rest.text());
    wait_until("it is mended", async || successful(&site).await == 1.0).await;
    assert!(send(site.public, 3).await);
    assert_eq!(v_of(&peer, 3).await, 3);
    assert_eq!(daemon.terminate().code(), Some(0), "{}", site.log());

    // What is kept holds no secret.
    for entry in std::fs::read_dir(site.data().join("last-good")).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        assert!(!text.contains("whsec_"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_test_keeps_a_configuration_out_also_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::start([]).await;
    let mut rest = Rest::new(&peer);
    rest.tests = true;
    let expect = folder.path().join("expect.json");
    std::fs::write(
        folder.path().join("event.json"),
        "{\"type\": \"t\", \"n\": 7}",
    )
    .unwrap();
    std::fs::write(&expect, "{\"v\": 0.0, \"n\": 7}").unwrap();
    let site = site(folder.path(), &rest);
    let daemon = site.start().await;
    rest.v = 5;
    site.write(&rest.text());
    let (code, report) = reload(&site, &[]);
    assert_eq!(code, 78);
    let failed = report["failed_tests"].to_string();
    assert!(failed.contains("all") && failed.contains("v: "), "{failed}");
    assert!(send(site.public, 1).await);
    assert_eq!(v_of(&peer, 1).await, 0);
    assert_eq!(daemon.terminate().code(), Some(0));
    // Nor does it come in by the back door of a restart.
    let daemon = site.start().await;
    assert_eq!(successful(&site).await, 0.0);
    assert!(send(site.public, 2).await);
    assert_eq!(v_of(&peer, 2).await, 0);
    // Who says so may leave the tests out, and that is noted.
    let (code, report) = reload(&site, &["--skip-tests"]);
    assert_eq!((code, &report["tests_skipped"]), (0, &Value::Bool(true)));
    assert!(send(site.public, 3).await);
    assert_eq!(v_of(&peer, 3).await, 5);
    let audit = get(&site, "/api/v1/audit").await;
    let noted: Vec<(&str, bool)> = audit["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            (
                row["action"].as_str().unwrap(),
                row["ok"].as_bool().unwrap(),
            )
        })
        .collect();
    assert_eq!(noted[0], ("reload_skip_tests", true), "{audit}");
    assert!(noted.contains(&("reload", false)), "{audit}");
    // The watch does not put it in question: nothing has changed since.
    std::fs::write(folder.path().join("templates/other"), "").unwrap();
    assert!(send(site.public, 4).await);
    assert_eq!(v_of(&peer, 4).await, 5);
    assert_eq!(successful(&site).await, 1.0);
    assert_eq!(daemon.terminate().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_changed_takes_effect_or_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (Peer::start([]).await, Peer::start([]).await);
    let mut rest = Rest::new(&first);
    rest.secrets = "[{env: IN_SECRET}]".to_owned();
    let site = site(folder.path(), &rest);
    let daemon = site.start_with(&[("IN_SECRET", SECRET)]).await;
    assert!(send(site.public, 1).await);
    first.wait_for(1).await;
    rest.url = second.url();
    rest.more = "limits: {body: 20}\n".to_owned();
    let text = rest.text();
    let write = |listen: u16, retention: &str| {
        let text = format!(
            "listen: 127.0.0.1:{listen}\nadmin: {{listen: \"127.0.0.1:{}\"}}\n\
             store: {{path: ./data, retention: {retention}}}\n{text}",
            site.admin
        );
        std::fs::write(site.config(), text).unwrap();
    };
    write(free_port(), "3d");
    let mut report = Value::Null;
    // Whichever comes first, the watch or the command; the command reports in any case.
    let run = || {
        binary()
            .args(["reload", "--json", "-c"])
            .arg(site.config())
            .env("IN_SECRET", SECRET)
            .output()
            .unwrap()
    };
    wait_until("it is in force", async || {
        report = serde_json::from_str(&data(&run())).unwrap();
        report["applied"] == true
    })
    .await;
    let named: Vec<&str> = report["needs_restart"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect();
    assert_eq!(named, ["listen", "store.retention"], "{report}");
    assert_eq!(
        report["env_secrets"],
        serde_json::json!([{"path": "sources.in.secrets[0].env", "variable": "IN_SECRET"}])
    );
    // The body is over the new limit; a short one goes to the new target.
    assert_eq!(send_as(SECRET, site.public, 1_000_000_000).await, Some(413));
    assert!(send(site.public, 2).await);
    assert_eq!(second.wait_for(1).await[0].json()["n"], 2);
    assert_eq!(first.received().len(), 1);
    assert_eq!(daemon.terminate().code(), Some(0), "{}", site.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_of_what_was_removed_wait_and_are_seen() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::start([]).await;
    let down = format!("http://127.0.0.1:{}/", free_port());
    let mut rest = Rest::new(&peer);
    rest.url = down.clone();
    let site = site(folder.path(), &rest);
    let daemon = site.start().await;
    assert!(send(site.public, 1).await);
    let waits = async |wanted: Value| {
        wait_until("it is shown what the delivery waits for", async || {
            let page = get(&site, "/api/v1/deliveries?state=pending").await;
            let row = &page["items"][0];
            row["waits_for"] == wanted && (wanted.is_null() || row["due_at"].is_null())
        })
        .await;
    };
    waits(Value::Null).await;
    // The route and then the target under another name.
    let good = rest.text();
    site.write(&good.replace("name: all", "name: other"));
    waits("route".into()).await;
    site.write(&good.replace("erp", "crm"));
    waits("target".into()).await;
    let depth = metric(
        &site,
        "ingate_queue_depth{target=\"erp\",state=\"pending\"}",
    )
    .await;
    assert_eq!(depth, 1.0);
    daemon.kill();
    let daemon = site.start().await;
    waits("target".into()).await;
    rest.url = peer.url();
    site.write(&rest.text());
    assert_eq!(peer.wait_for(1).await[0].json()["n"], 1);
    wait_until("no delivery is pending", async || pending(&site).await == 0).await;
    assert_eq!(daemon.terminate().code(), Some(0), "{}", site.log());
}

#[test]
fn a_reload_without_a_daemon_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::new(folder.path(), "routes: [");
    let output = binary()
        .args(["reload", "-c"])
        .arg(site.config())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(69), "{}", words(&output));
    assert!(
        words(&output).contains("nothing listens there"),
        "{}",
        words(&output)
    );
}
