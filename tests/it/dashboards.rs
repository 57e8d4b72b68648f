//! What `/metrics` shows: by the conventions, bounded whatever is sent, and with every name that the dashboard and the alerting
//! rules in `deploy/` use.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::doors::{SOURCE, authority};
use crate::support::{Daemon, Message, Peer, Turn, wait_until};

const SECRET: &str = "a-plain-test-secret-of-40-characters-xyz";

/// What labels may be called, and which of them have names of the configuration as their values.
const CONFIGURED: [&str; 3] = ["source", "target", "route"];
const CLOSED: [&str; 4] = ["result", "reason", "state", "door"];
const OTHER: [&str; 2] = ["le", "version"];

/// Words that stand for no base unit.
const NO_UNITS: [&str; 10] = [
    "ms",
    "millis",
    "milliseconds",
    "micros",
    "minutes",
    "hours",
    "kib",
    "mib",
    "kilobytes",
    "percent",
];

/// What is said of a family.
#[derive(Debug, Default, Clone)]
struct Family {
    kind: String,
    unit: String,
    help: String,
}

#[derive(Debug, Clone)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
}

/// All that `/metrics` shows.
#[derive(Debug, Default)]
struct Shown {
    families: BTreeMap<String, Family>,
    samples: Vec<Sample>,
}

impl Shown {
    async fn of(daemon: &Daemon) -> Self {
        let text = daemon.admin_get("/metrics").await.text();
        assert!(text.ends_with("# EOF\n"), "{text}");
        let mut shown = Self::default();
        for line in text.lines() {
            let words: Vec<&str> = line.splitn(4, ' ').collect();
            match words[..] {
                ["#", word, name, rest] => {
                    let family = shown.families.entry(name.to_owned()).or_default();
                    match word {
                        "TYPE" => family.kind = rest.to_owned(),
                        "UNIT" => family.unit = rest.to_owned(),
                        "HELP" => family.help = rest.to_owned(),
                        _ => panic!("{line}"),
                    }
                }
                ["#", "EOF"] => {}
                _ => shown.samples.push(sample(line)),
            }
        }
        shown
    }

    /// The family that a sample is of, with what its name has behind the family's.
    fn family(&self, sample: &str) -> Option<(&Family, String)> {
        let suffixes = ["", "_total", "_info", "_bucket", "_sum", "_count"];
        suffixes.iter().find_map(|suffix| {
            let name = sample.strip_suffix(suffix)?;
            let family = self.families.get(name)?;
            let wanted: &[&str] = match family.kind.as_str() {
                "counter" => &["_total"],
                "info" => &["_info"],
                "histogram" => &["_bucket", "_sum", "_count"],
                "gauge" => &[""],
                other => panic!("{sample} is a {other}"),
            };
            let fits = wanted.contains(suffix);
            fits.then(|| (family, name.to_owned()))
        })
    }

    fn labels_of(&self, name: &str) -> Option<BTreeSet<&str>> {
        let sample = self.samples.iter().find(|sample| sample.name == name)?;
        Some(sample.labels.keys().map(String::as_str).collect())
    }
}

/// A line such as `name{label="value"} 1`.
fn sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').unwrap();
    let _: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
    let (name, rest) = series.split_once('{').unwrap_or((series, "}"));
    let inner = rest.strip_suffix('}').unwrap();
    let labels = inner.split("\",").filter(|label| !label.is_empty());
    let labels = labels.map(|label| {
        let (key, value) = label.split_once("=\"").unwrap();
        (key.to_owned(), value.trim_end_matches('"').to_owned())
    });
    Sample {
        name: name.to_owned(),
        labels: labels.collect(),
    }
}

fn config(good: &Peer, gone: &Peer, collector: &Peer) -> String {
    format!(
        "limits: {{failures: 1000}}\n\
         unmatched: drop\n\
         telemetry: {{otlp: {{endpoint: \"http://{}\"}}}}\n\
         sources:\n\
         \x20 one: {{preset: hmac, secrets: [{{value: {SECRET}}}]}}\n\
         \x20 two: {{preset: hmac, secrets: [{{value: {SECRET}}}]}}\n\
         targets:\n\
         \x20 good: {{url: \"{}\"}}\n\
         \x20 gone: {{url: \"{}\", breaker: {{failures: 1}}}}\n\
         routes:\n\
         \x20 - {{name: plain, from: one, to: [good, gone]}}\n\
         \x20 - {{name: mended, from: one, template: mended.liquid, to: good}}\n\
         \x20 - {{name: broken, from: one, template: broken.liquid, to: good}}\n",
        collector.addr,
        good.url(),
        gone.url()
    )
}

/// Makes traffic of every kind.
async fn traffic(daemon: &Daemon) {
    let message = daemon.signed("one", SECRET, "", r#"{"tags": ["a", "b"]}"#);
    for _ in 0..2 {
        assert_eq!(daemon.send(&message).await.status, 200);
    }
    let unmatched = daemon.signed("two", SECRET, "", "{}");
    assert_eq!(daemon.send(&unmatched).await.status, 200);
    for _ in 0..3 {
        let bad = daemon.signed("two", "wrong", "", "{}");
        assert_eq!(daemon.send(&bad).await.status, 401);
    }
    wait_until("all has ended", async || {
        let shown = daemon.admin_get("/api/v1/deliveries?state=pending").await;
        let waiting = shown.json()["items"].as_array().unwrap().len();
        waiting <= 1
            && daemon
                .metric("ingate_deliveries_dead_total{target=\"good\",reason=\"render\"}")
                .await
                == 1.0
    })
    .await;
    wait_until("a breaker has opened and spans are sent", async || {
        daemon
            .metric("ingate_breaker_opened_total{target=\"gone\"}")
            .await
            >= 1.0
            && daemon
                .metric("ingate_trace_spans_total{result=\"sent\"}")
                .await
                >= 1.0
    })
    .await;
}

fn templates(folder: &Path) {
    let templates = folder.join("templates");
    std::fs::create_dir_all(&templates).unwrap();
    for (name, text) in [
        (
            "mended.liquid",
            "[{% for tag in payload.tags %}{{ tag }},{% endfor %}]",
        ),
        // Nothing at all for what has no `wanted`.
        (
            "broken.liquid",
            "{% if payload.wanted %}{\"a\": 1}{% endif %}",
        ),
    ] {
        std::fs::write(templates.join(name), text).unwrap();
    }
}

/// Everything that a daemon with all kinds of traffic shows, and what one with TLS shows besides.
async fn everything() -> (Shown, Shown) {
    let folder = tempfile::tempdir().unwrap();
    templates(folder.path());
    let good = Peer::start([]).await;
    let gone = Peer::start(vec![Turn::Status(503); 1000]).await;
    let collector = Peer::start([]).await;
    let text = config(&good, &gone, &collector);
    let daemon = Daemon::start_reloading(folder.path(), &text).await;
    traffic(&daemon).await;
    hostile(&daemon).await;
    let first = Shown::of(&daemon).await;
    // Whatever is sent adds to what is counted and to nothing else.
    hostile(&daemon).await;
    let again = Shown::of(&daemon).await;
    let series = |shown: &Shown| -> BTreeSet<String> {
        let all = shown.samples.iter();
        all.map(|sample| format!("{}{:?}", sample.name, sample.labels))
            .collect()
    };
    assert_eq!(series(&first), series(&again));
    daemon.stop().await;

    let folder = tempfile::tempdir().unwrap();
    let _authority = authority(folder.path());
    let tls = format!("tls: {{cert: localhost.pem, key: localhost.key}}\n{SOURCE}");
    let daemon = Daemon::start(folder.path(), &tls).await;
    let mut stream = TcpStream::connect(daemon.public).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let _ =
        tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut Vec::new())).await;
    wait_until("the handshake has failed", async || {
        daemon
            .metric("ingate_tls_handshake_failures_total{door=\"public\"}")
            .await
            >= 1.0
    })
    .await;
    let with_tls = Shown::of(&daemon).await;
    daemon.stop().await;
    (again, with_tls)
}

/// Requests with names of their own in every place.
async fn hostile(daemon: &Daemon) {
    for n in 0..5 {
        let n = format!("{n}-{}", fastrand::u64(..));
        for message in [
            Message::post(&format!("/in/{n}"), "{}"),
            Message::post("/in/one", "{}").with("x-signature", n.clone()),
            Message::post("/in/one", "{}").with("content-encoding", n.clone()),
            Message {
                method: format!("M{n}"),
                ..Message::post("/in/one", "{}")
            },
        ] {
            daemon.send(&message).await;
        }
    }
}

fn check(shown: &Shown) {
    for (name, family) in &shown.families {
        assert!(
            !family.help.is_empty() && !family.kind.is_empty(),
            "{name}: {family:?}"
        );
        assert!(
            name.starts_with("ingate_") || name.starts_with("process_"),
            "{name}"
        );
        for word in name.split('_') {
            assert!(!NO_UNITS.contains(&word), "{name} is not in a base unit");
        }
        let timed = ["_duration", "_age", "_seconds", "_timestamp"];
        if timed.iter().any(|word| name.contains(word)) {
            assert_eq!(family.unit, "seconds", "{name}");
        }
        if !family.unit.is_empty() {
            assert!(
                ["seconds", "bytes"].contains(&family.unit.as_str()),
                "{name}"
            );
            assert!(name.ends_with(&format!("_{}", family.unit)), "{name}");
        }
        if family.kind != "counter" {
            assert!(
                !name.ends_with("_total") && !name.ends_with("_count"),
                "{name}"
            );
        }
    }
    let names = [
        "one", "two", "good", "gone", "plain", "mended", "broken", "s", "",
    ];
    for sample in &shown.samples {
        assert!(
            shown.family(&sample.name).is_some(),
            "{sample:?} is of no family"
        );
        for (label, value) in &sample.labels {
            let label = label.as_str();
            let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            let bounded = if CONFIGURED.contains(&label) {
                names.contains(&value.as_str())
            } else if CLOSED.contains(&label) {
                !value.is_empty() && value.chars().all(word)
            } else {
                OTHER.contains(&label)
            };
            assert!(bounded, "{label} of {sample:?}");
        }
    }
}

/// A name in a query, with the labels that it is picked by.
type Used = (String, Vec<String>);

/// The metrics that a query names. Functions, operators and label lists are none.
fn used(query: &str) -> Vec<Used> {
    const LISTS: [&str; 6] = [
        "by",
        "without",
        "on",
        "ignoring",
        "group_left",
        "group_right",
    ];
    const WORDS: [&str; 6] = ["and", "or", "unless", "offset", "bool", "atan2"];
    let mut found: Vec<Used> = Vec::new();
    let mut rest = query;
    // Whether what stands before is a function or an aggregation: `rate(`, `sum by (`, `sum without (`.
    fn calls(next: &str) -> bool {
        let next = next.trim_start_matches("by").trim_start_matches("without");
        next.trim_start().starts_with('(')
    }
    // The rest behind the next of `end`.
    fn behind(rest: &str, end: char) -> &str {
        rest.split_once(end).map_or("", |(_, rest)| rest)
    }
    while let Some(first) = rest.chars().next() {
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
        if first.is_ascii_digit() {
            // A number or a duration.
            rest = rest.trim_start_matches(|c: char| is_name(c) || c == '.');
        } else if is_name(first) {
            let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
            let (name, after) = rest.split_at(end);
            let next = after.trim_start();
            rest = next;
            if LISTS.contains(&name) {
                rest = behind(next, ')');
            } else if let Some(selector) = next.strip_prefix('{') {
                let (inside, after) = selector.split_once('}').unwrap();
                let labels = inside.split("\",").filter(|one| !one.trim().is_empty());
                let labels = labels.map(|one| {
                    let end = one.find(['=', '!']).unwrap();
                    one[..end].trim().to_owned()
                });
                found.push((name.to_owned(), labels.collect()));
                rest = after;
            } else if !(calls(next) || WORDS.contains(&name)) {
                found.push((name.to_owned(), Vec::new()));
            }
        } else if first == '[' {
            rest = behind(rest, ']');
        } else if first == '"' {
            rest = behind(&rest[1..], '"');
        } else {
            rest = &rest[first.len_utf8()..];
        }
    }
    found
}

#[test]
fn names_are_found_in_queries() {
    for (query, wanted) in [
        ("a_total", vec!["a_total"]),
        (
            "sum by (x, y) (rate(a_total{b=~\"c|d\",e!=\"f\"}[5m] offset 1d)) > 5 * b",
            vec!["a_total", "b"],
        ),
        (
            "histogram_quantile(0.99, sum(rate(h_bucket[$__rate_interval])) by (le))",
            vec!["h_bucket"],
        ),
        (
            "a - time() < 7 * 86400 and on (x) b or c unless d",
            vec!["a", "b", "c", "d"],
        ),
        (
            "label_values(ingate_build_info, instance)",
            vec!["ingate_build_info", "instance"],
        ),
    ] {
        let names: Vec<String> = used(query).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, wanted, "{query}");
    }
    let picked = used("a{b=~\"c,d\",e!=\"f\"}");
    assert_eq!(
        picked,
        [("a".to_owned(), vec!["b".to_owned(), "e".to_owned()])]
    );
}

fn text(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(path).unwrap()
}

/// The queries of the dashboard, by where they are.
fn of_the_dashboard() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(&text("deploy/grafana.json")).unwrap();
    let mut queries = Vec::new();
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}");
        let targets = panel["targets"].as_array();
        assert!(targets.is_some() || panel["type"] == "row", "{title}");
        for target in targets.into_iter().flatten() {
            queries.push((
                title.to_owned(),
                target["expr"].as_str().unwrap().to_owned(),
            ));
        }
    }
    for note in dashboard["annotations"]["list"].as_array().unwrap() {
        queries.push((
            "annotation".to_owned(),
            note["expr"].as_str().unwrap().to_owned(),
        ));
    }
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        if variable["type"] == "query" {
            let query = variable["query"]["query"].as_str().unwrap();
            let inner = query.strip_prefix("label_values(").unwrap();
            let (metric, _) = inner.split_once(',').unwrap();
            queries.push(("variable".to_owned(), metric.to_owned()));
        }
    }
    assert!(queries.len() > 40);
    queries
}

/// The alerting rules, as JSON.
fn rules() -> Vec<Value> {
    let file: Value = serde_yaml::from_str(&text("deploy/alerts.yaml")).unwrap();
    let groups = file["groups"].as_array().unwrap().iter();
    groups
        .flat_map(|group| group["rules"].as_array().unwrap().clone())
        .collect()
}

#[test]
fn every_alert_says_what_is_wrong_and_what_to_do() {
    let mut names = BTreeSet::new();
    for rule in rules() {
        let name = rule["alert"].as_str().unwrap();
        assert!(names.insert(name.to_owned()), "{name} stands twice");
        for note in ["summary", "action"] {
            let words = rule["annotations"][note].as_str().unwrap_or_default();
            assert!(words.split(' ').count() > 3, "{name} has no {note}");
        }
        let severity = rule["labels"]["severity"].as_str().unwrap();
        assert!(
            ["critical", "warning", "info"].contains(&severity),
            "{name}"
        );
    }
    for name in [
        "IngateNothingAccepted",
        "IngateTurnsAway",
        "IngateVerificationFailures",
        "IngateDeliveriesOld",
        "IngateDeadLetters",
        "IngateBreakerOpen",
        "IngateDiskNearlyFull",
        "IngateIndexBehind",
        "IngateReloadRefused",
    ] {
        assert!(names.contains(name), "{name}");
    }
}

#[test]
fn prometheus_accepts_the_rules_and_they_fire_when_they_should() {
    for (what, file) in [
        ("check", "deploy/alerts.yaml"),
        ("test", "tests/cases/alerts.yaml"),
    ] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        match Command::new("promtool")
            .args([what, "rules"])
            .arg(file)
            .output()
        {
            Ok(output) => assert!(
                output.status.success(),
                "{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            ),
            Err(error) => println!(
                "skipped: promtool cannot be run ({error}); it is in Debian's package prometheus"
            ),
        }
    }
}

#[tokio::test]
async fn metrics_keep_the_conventions_and_have_what_dashboard_and_alerts_use() {
    let (shown, with_tls) = everything().await;
    check(&shown);
    check(&with_tls);
    let mut queries = of_the_dashboard();
    for rule in rules() {
        let name = rule["alert"].as_str().unwrap().to_owned();
        queries.push((name, rule["expr"].as_str().unwrap().to_owned()));
    }
    let mut seen = BTreeSet::new();
    for (place, query) in queries {
        for (name, labels) in used(&query) {
            let there = shown.labels_of(&name).or_else(|| with_tls.labels_of(&name));
            let there = there.unwrap_or_else(|| panic!("{place}: no sample {name} for {query}"));
            for label in labels {
                // Those that Prometheus adds are on every sample.
                let added = ["instance", "job"].contains(&label.as_str());
                assert!(
                    added || there.contains(label.as_str()),
                    "{place}: {name} has no {label}"
                );
            }
            seen.insert(name);
        }
    }
    assert!(seen.len() > 35, "{seen:?}");
}
