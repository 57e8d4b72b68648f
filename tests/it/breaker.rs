//! Targets that are down, and limits of targets: what waits is untouched, probes are rare, and a reload changes nothing of that.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::support::{Daemon, Peer, Received, Turn, log, wait_until, write_config};

const SECRET: &str = "a-plain-test-secret-of-40-characters-xyz";

/// Everything goes to one target of this name, with these settings.
fn config(name: &str, peer: &Peer, settings: &str) -> String {
    format!(
        "limits: {{drain: 100ms}}\n\
         sources: {{s: {{preset: hmac, secrets: [{{value: {SECRET}}}]}}}}\n\
         targets: {{{name}: {{url: \"{}\", {settings}}}}}\n\
         routes: [{{name: all, from: s, to: {name}}}]\n",
        peer.url()
    )
}

/// A daemon with one target.
struct Stage<'a> {
    folder: tempfile::TempDir,
    name: &'a str,
    peer: &'a Peer,
    daemon: Daemon,
}

impl<'a> Stage<'a> {
    async fn start(name: &'a str, peer: &'a Peer, settings: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let daemon = Daemon::start_reloading(folder.path(), &config(name, peer, settings)).await;
        Self {
            folder,
            name,
            peer,
            daemon,
        }
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Sends events with these numbers.
    async fn send(&self, numbers: impl IntoIterator<Item = usize>) {
        for n in numbers {
            let message =
                self.daemon
                    .signed("s", SECRET, &format!("msg_{n}"), format!("{{\"n\":{n}}}"));
            assert_eq!(self.daemon.send(&message).await.status, 200);
        }
    }

    async fn reload(&self, settings: &str) {
        write_config(self.folder(), &config(self.name, self.peer, settings));
        let answer = self.daemon.admin_post("/api/v1/reload").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// The target, as the API shows it.
    async fn target(&self) -> Value {
        let path = format!("/api/v1/targets/{}", self.name);
        let answer = self.daemon.admin_get(&path).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    async fn until_state(&self, state: &str) -> Value {
        let what = format!("the breaker of {} is {state}", self.name);
        wait_until(&what, async || {
            self.target().await["breaker"]["state"] == state
        })
        .await;
        self.target().await["breaker"].clone()
    }

    /// The metrics that say which state the breaker is in: closed, open, half open.
    async fn states(&self) -> [f64; 3] {
        let mut states = [0.0; 3];
        for (state, value) in ["closed", "open", "half_open"].iter().zip(&mut states) {
            let labels = format!("target=\"{}\",state=\"{state}\"", self.name);
            let series = format!("ingate_breaker_state{{{labels}}}");
            *value = self.daemon.metric(&series).await;
        }
        states
    }

    async fn opened(&self) -> f64 {
        let series = format!("ingate_breaker_opened_total{{target=\"{}\"}}", self.name);
        self.daemon.metric(&series).await
    }

    /// How many attempts were made of each pending delivery, fewest first.
    async fn attempts(&self) -> Vec<u64> {
        let path = "/api/v1/deliveries?state=pending&limit=500";
        let page = self.daemon.admin_get(path).await.json();
        let items = page["items"].as_array().unwrap().iter();
        let mut attempts: Vec<u64> = items
            .map(|item| item["attempts_made"].as_u64().unwrap())
            .collect();
        attempts.sort_unstable();
        attempts
    }

    async fn until_drained(&self) {
        wait_until("nothing is pending", async || {
            self.target().await["pending"] == 0
        })
        .await;
    }

    /// Lines of the log with these words on this target.
    fn logged(&self, words: &str) -> usize {
        let target = format!("target_name={}", self.name);
        let log = log();
        let lines = log.lines();
        lines
            .filter(|line| line.contains(words) && line.contains(&target))
            .count()
    }
}

fn refusals(count: usize) -> Vec<Turn> {
    vec![Turn::Status(503); count]
}

/// The time from one request to the next.
fn gap(received: &[Received], to: usize) -> Duration {
    let gap = received[to].at.duration_since(received[to - 1].at);
    Duration::try_from(gap).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_is_down_is_probed_while_its_deliveries_wait_untouched() {
    // Five open it, two probes fail, the third does not.
    let peer = Peer::start(refusals(7)).await;
    let settings = "retry: {schedule: [10ms]}, breaker: {failures: 5}, concurrency: 2";
    let stage = Stage::start("fragile", &peer, settings).await;
    assert_eq!(stage.until_state("closed").await["consecutive_failures"], 0);
    assert_eq!(stage.states().await, [1.0, 0.0, 0.0]);
    stage.send([0]).await;
    let opened = stage.until_state("open").await;
    assert_eq!(opened["last_failure"], "status 503");
    let time = |value: &Value| value.as_str().unwrap().parse::<Timestamp>().unwrap();
    assert!(time(&opened["next_probe_at"]) > time(&opened["since"]));
    assert_eq!(stage.states().await, [0.0, 1.0, 0.0]);

    stage.send(1..=20).await;
    peer.wait_for(7).await;
    wait_until("the second probe has failed", async || {
        let breaker = &stage.target().await["breaker"];
        breaker["state"] == "open" && breaker["consecutive_failures"] == 7
    })
    .await;
    // A probe is a delivery that has waited longest; none of the others was tried.
    let attempts = stage.attempts().await;
    assert_eq!(attempts.iter().sum::<u64>(), 7, "{attempts:?}");
    assert_eq!(attempts[..18], [0; 18], "{attempts:?}");
    assert_eq!(stage.target().await["pending"], 21);

    stage.until_state("closed").await;
    stage.until_drained().await;
    let received = peer.received();
    // Exactly once each, once it is up.
    let ids = |requests: &[Received]| -> BTreeSet<String> {
        let ids = requests.iter().map(|it| it.header("webhook-id").to_owned());
        ids.collect()
    };
    assert_eq!(received.len(), 7 + 21);
    assert_eq!(ids(&received[..5]).len(), 1);
    assert_eq!(ids(&received[7..]).len(), 21);
    // The first probe comes a second after the last answer. Others are counted from when the one before began, a
    // little before it is at the peer.
    let way = Duration::from_millis(200);
    for (request, least, most) in [(5, 1, 4), (6, 2, 5), (7, 4, 7)] {
        let gap = gap(&received, request);
        let least = Duration::from_secs(least);
        let least = least.saturating_sub(if request == 5 { Duration::ZERO } else { way });
        assert!(gap >= least, "request {request} after {gap:?}");
        assert!(
            gap <= Duration::from_secs(most),
            "request {request} after {gap:?}"
        );
    }
    assert_eq!(stage.states().await, [1.0, 0.0, 0.0]);
    assert_eq!(stage.opened().await, 1.0);
    assert_eq!(stage.logged("WARN"), 1);
    assert_eq!(stage.logged("a target is taken to be down"), 1);
    assert_eq!(stage.logged("that was taken to be down go on"), 1);
    stage.daemon.stop().await;
}

#[tokio::test]
async fn a_share_of_failures_opens_it() {
    let turns = (0..10).map(|n| Turn::Status([500, 200][n % 2]));
    let peer = Peer::start(turns).await;
    let breaker = "{failures: 100, ratio: 0.5, requests: 10}";
    let settings = format!("retry: {{schedule: [1h]}}, breaker: {breaker}, concurrency: 1");
    let stage = Stage::start("halved", &peer, &settings).await;
    stage.send(0..10).await;
    stage.until_state("open").await;
    stage.send([10]).await;
    assert_eq!(peer.received().len(), 10);
    stage.until_state("closed").await;
    let received = peer.wait_for(11).await;
    assert!(gap(&received, 10) >= Duration::from_secs(1));
    assert_eq!(stage.opened().await, 1.0);
    stage.daemon.stop().await;
}

#[tokio::test]
async fn faults_of_requests_do_not_open_it_and_off_never_opens() {
    for (name, status, breaker) in [
        ("choosy", 404, "{failures: 3, ratio: 0.1, requests: 3}"),
        ("stoic", 503, "off"),
    ] {
        let peer = Peer::start(vec![Turn::Status(status); 30]).await;
        let settings = format!("retry: {{schedule: [1ms]}}, breaker: {breaker}");
        let stage = Stage::start(name, &peer, &settings).await;
        stage.send(0..3).await;
        stage.until_drained().await;
        assert_eq!(peer.received().len(), 33, "{name}");
        assert_eq!(stage.opened().await, 0.0, "{name}");
        let is_on = breaker != "off";
        let target = stage.target().await;
        assert_eq!(target["breaker"].is_object(), is_on, "{target}");
        let closed = if is_on { 1.0 } else { 0.0 };
        assert_eq!(stage.states().await, [closed, 0.0, 0.0], "{name}");
        stage.daemon.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_keeps_it_open() {
    let peer = Peer::start(refusals(3)).await;
    let settings = "retry: {schedule: [10ms]}, breaker: {failures: 3}, concurrency: 1";
    let stage = Stage::start("lasting", &peer, settings).await;
    stage.send([0]).await;
    let opened = stage.until_state("open").await;
    stage
        .reload("retry: {schedule: [20ms]}, breaker: {failures: 50}, rate: 1000/s")
        .await;
    let target = stage.target().await;
    assert_eq!(target["rate"], "1000/s");
    assert_eq!(target["breaker"], opened);
    stage.send(1..=5).await;
    assert_eq!(stage.states().await, [0.0, 1.0, 0.0]);
    stage.until_drained().await;
    let received = peer.received();
    assert_eq!(received.len(), 3 + 6);
    assert!(gap(&received, 3) >= Duration::from_secs(1));
    assert_eq!(stage.opened().await, 1.0);
    stage.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rate_holds_at_the_peer_and_across_a_reload() {
    const RATE: usize = 40;
    const CONCURRENCY: usize = 2;
    const EVENTS: usize = 120;
    let peer = Peer::start([]).await;
    let settings = format!("rate: {RATE}/s, concurrency: {CONCURRENCY}");
    let stage = Stage::start("paced", &peer, &settings).await;
    stage.send(0..EVENTS).await;
    peer.wait_for(EVENTS / 3).await;
    stage.reload(&format!("{settings}, timeout: 10s")).await;
    stage.until_drained().await;
    let times: Vec<Timestamp> = peer.received().iter().map(|it| it.at).collect();
    assert_eq!(times.len(), EVENTS);
    // 1.01 times the rate and one begin in a second; of those before it, those under way may arrive within it.
    let most = RATE * 101 / 100 + 1 + CONCURRENCY;
    for (index, first) in times.iter().enumerate() {
        let within = |at: &&Timestamp| at.duration_since(*first).as_secs() < 1;
        let count = times[index..].iter().take_while(within).count();
        assert!(count <= most, "{count} requests in a second");
    }
    let took = times[EVENTS - 1].duration_since(times[0]).as_secs_f64();
    let least = (EVENTS - 1 - CONCURRENCY) as f64 / RATE as f64;
    assert!(took >= least - 0.02, "{EVENTS} requests within {took} s");
    stage.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_concurrency_is_never_exceeded_also_across_a_reload() {
    const EVENTS: usize = 40;
    let turns = vec![Turn::After(Duration::from_millis(100)); EVENTS];
    let peer = Peer::start(turns).await;
    let stage = Stage::start("narrow", &peer, "concurrency: 6").await;
    stage.send(0..EVENTS).await;
    peer.wait_for(6).await;
    stage.reload("concurrency: 2").await;
    wait_until("no more than two run", async || {
        stage.target().await["running"].as_u64().unwrap() <= 2
    })
    .await;
    let before = peer.received().len();
    stage.until_drained().await;
    let received = peer.received();
    assert_eq!(received.len(), EVENTS);
    let most = |requests: &[Received]| requests.iter().map(|it| it.under_way).max().unwrap();
    assert!(most(&received) <= 6);
    assert!(
        before < EVENTS,
        "all had come before the reload took effect"
    );
    assert!(most(&received[before..]) <= 2);
    stage.daemon.stop().await;
}
