//! Three daemons on one database: each of them may be killed, cut off or restarted, and so may the database. Nothing that was
//! acknowledged is lost, order holds, and what limits a target limits all of them together.
//!
//! Where there is no PostgreSQL, that is said (`skipped: why`) and nothing is told.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use tempfile::TempDir;

use crate::numbered::{SECRET, get};
use crate::postgres::{Database, Server, or_skip};
use crate::process::{Process, Site};
use crate::support::{Answer, Peer, Received, exchange, wait_within};

mod kill;
mod limits;
mod load;
mod operators;
mod outage;
mod wire;

use load::{Sent, key};

/// How many daemons there are.
const MEMBERS: usize = 3;

/// How long it may take until everything is where it belongs, once nothing is wrong any more.
const PATIENCE: Duration = Duration::from_secs(90);

/// After this time a target is with the one who is to have it: all have told the others twice that they are there.
const SETTLED: Duration = Duration::from_millis(2500);

/// Between two looks at what changes slowly.
const LOOK: Duration = Duration::from_millis(100);

/// Retries come soon and never end.
const RETRY: &str = "{initial: 50ms, factor: 2, max: 1s, jitter: 0}";

/// The header that tells which life of which daemon made an attempt.
const LIFE: &str = "x-life";

/// The least lease that can be configured: a dead daemon's work waits for no longer.
const SHORT_LEASE: &str = "2s";

/// A target: its name, where it is, and its settings besides.
type Target = (&'static str, String, &'static str);

/// A server for tests that leave it running.
fn server() -> Option<&'static Server> {
    or_skip(Server::shared())
}

/// The daemons; they are killed when this is dropped.
struct Fleet {
    members: Vec<Member>,
    lives: u32,
    /// The lives that were ended by kill -9.
    killed: BTreeSet<String>,
    _folder: TempDir,
}

/// One of them.
struct Member {
    site: Site,
    database: String,
    life: String,
    process: Option<Process>,
}

impl Fleet {
    /// Three daemons that run, with this lease and these targets; each gets every event.
    async fn start(database: &Database, lease: &str, targets: &[Target]) -> Self {
        Self::start_at(
            &[database.url(), database.url(), database.url()],
            lease,
            targets,
        )
        .await
    }

    /// The same, each with a way of its own to the database.
    async fn start_at(databases: &[String; MEMBERS], lease: &str, targets: &[Target]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let members = databases.iter().enumerate().map(|(index, database)| {
            let home = folder.path().join(format!("m{index}"));
            Member {
                site: furnish(&home, &rest(index, lease, targets)),
                database: database.clone(),
                life: String::new(),
                process: None,
            }
        });
        let mut fleet = Self {
            members: members.collect(),
            lives: 0,
            killed: BTreeSet::new(),
            _folder: folder,
        };
        for index in 0..MEMBERS {
            fleet.begin(index).await;
        }
        fleet
    }

    /// Waits until nobody takes targets over from those who were there first any more.
    async fn settle(&self) {
        tokio::time::sleep(SETTLED).await;
    }

    /// Starts a daemon that does not run, and waits until it is ready.
    async fn begin(&mut self, index: usize) {
        self.lives += 1;
        let life = format!("m{index}-{}", self.lives);
        let member = &mut self.members[index];
        let variables = [("DATABASE_URL", member.database.as_str()), ("LIFE", &life)];
        member.process = Some(member.site.start_with(&variables).await);
        member.life = life;
    }

    /// kill -9
    fn kill(&mut self, index: usize) {
        let member = &mut self.members[index];
        member.process.take().unwrap().kill();
        self.killed.insert(member.life.clone());
    }

    /// SIGTERM, to its end.
    async fn terminate(&mut self, index: usize) {
        let process = self.members[index].process.take().unwrap();
        let status = tokio::task::spawn_blocking(|| process.terminate()).await;
        assert_eq!(
            status.unwrap().code(),
            Some(0),
            "{}",
            self.site(index).log()
        );
    }

    fn site(&self, index: usize) -> &Site {
        &self.members[index].site
    }

    /// The daemon that made this attempt.
    fn maker(&self, request: &Received) -> usize {
        let life = request.header(LIFE);
        let found = self.members.iter().position(|member| member.life == life);
        found.unwrap_or_else(|| panic!("{life} does not run"))
    }

    /// The public doors of all.
    fn doors(&self) -> Vec<u16> {
        self.members
            .iter()
            .map(|member| member.site.public)
            .collect()
    }

    /// Seconds of CPU that a daemon has used so far.
    fn cpu(&self, index: usize) -> f64 {
        let id = self.members[index].process.as_ref().unwrap().id();
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
        // Behind the name, which may hold anything.
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let ticks: u64 = [11, 12]
            .iter()
            .map(|at| fields[*at].parse::<u64>().unwrap())
            .sum();
        ticks as f64 / rustix::param::clock_ticks_per_second() as f64
    }

    /// Lines that a daemon has logged so far.
    fn logged(&self, index: usize) -> usize {
        self.site(index).log().lines().count()
    }

    /// Waits until a daemon is ready, or is not.
    async fn until_ready(&self, index: usize, wanted: bool) {
        let site = self.site(index);
        let what = format!(
            "that m{index} is ready is {wanted}; it has said:\n{}",
            site.log()
        );
        wait_within(PATIENCE, &what, async || {
            tokio::time::sleep(LOOK).await;
            (ask(site, "GET", "/readyz").await.status == 200) == wanted
        })
        .await;
    }

    /// Waits until each of these targets has all that was acknowledged, and nothing is left to do.
    async fn until_all_is_there(&self, peers: &[(&str, &Peer)], sent: &Sent) {
        for (name, peer) in peers {
            let mut missing = BTreeSet::new();
            let arrived = tokio::time::timeout(PATIENCE, async {
                loop {
                    let taken = taken(&peer.received());
                    missing = sent.acknowledged.difference(&taken).copied().collect();
                    if missing.is_empty() {
                        break;
                    }
                    tokio::time::sleep(LOOK).await;
                }
            });
            if arrived.await.is_err() {
                panic!("{name} never got {missing:?}\n{}", self.logs());
            }
        }
        let mut running = self
            .members
            .iter()
            .filter(|member| member.process.is_some());
        let site = &running.next().expect("one runs").site;
        let left = tokio::time::timeout(PATIENCE, async {
            let path = "/api/v1/deliveries?state=pending&limit=1";
            while get(site, path).await["items"] != serde_json::json!([]) {
                tokio::time::sleep(LOOK).await;
            }
        });
        if left.await.is_err() {
            let path = "/api/v1/deliveries?state=pending&limit=20";
            panic!("still pending: {}\n{}", get(site, path).await, self.logs());
        }
    }

    /// Stops all in order; nobody has panicked.
    async fn stop(mut self) {
        for index in 0..MEMBERS {
            if self.members[index].process.is_some() {
                self.terminate(index).await;
            }
            let log = self.site(index).log();
            assert!(!log.contains("panicked"), "{log}");
        }
    }

    /// What all have said.
    fn logs(&self) -> String {
        let members = self.members.iter().enumerate();
        let logs = members.map(|(index, member)| format!("-- m{index}\n{}\n", member.site.log()));
        logs.collect()
    }
}

/// A configuration in which every event goes through a template to all of these targets.
fn rest(index: usize, lease: &str, targets: &[Target]) -> String {
    let names: Vec<&str> = targets.iter().map(|(name, ..)| *name).collect();
    let targets: String = targets
        .iter()
        .map(|(name, url, settings)| {
            format!("  {name}: {{url: \"{url}\", retry: {RETRY}, headers: {{{LIFE}: {{env: LIFE}}}}, {settings}}}\n")
        })
        .collect();
    format!(
        "store: {{postgres: {{url: {{env: DATABASE_URL}}, pool: 4, lease: {lease}, name: m{index}}}}}\n\
         limits: {{drain: 10s}}\n\
         templates: ./templates\n\
         sources:\n  in: {{preset: standard-webhooks, secrets: [{{file: secret}}]}}\n\
         targets:\n{targets}\
         routes:\n  - {{name: all, from: in, template: n.liquid, to: [{}]}}\n",
        names.join(", ")
    )
}

/// A folder with such a configuration and the files that it names.
fn furnish(home: &Path, rest: &str) -> Site {
    std::fs::create_dir_all(home.join("templates")).unwrap();
    let template = "{\"n\": {{ payload.n }}, \"key\": {{ payload.key }}}";
    std::fs::write(home.join("templates/n.liquid"), template).unwrap();
    std::fs::write(home.join("secret"), SECRET).unwrap();
    Site::new(home, rest)
}

/// Asks at the operator's door.
async fn ask(site: &Site, method: &str, path: &str) -> Answer {
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    let door = SocketAddr::from(([127, 0, 0, 1], site.admin));
    let answers = exchange(door, request.as_bytes()).await;
    answers.into_iter().next().unwrap()
}

fn number(request: &Received) -> u64 {
    request.json()["n"].as_u64().unwrap()
}

/// The numbers of the events that a target has said yes to.
fn taken(received: &[Received]) -> BTreeSet<u64> {
    let taken = received
        .iter()
        .filter(|request| request.answered == Some(200));
    taken.map(number).collect()
}

/// Something that came again though its target had said yes to it.
struct Repeat {
    /// The life whose attempt did not count.
    life: String,
    /// When that came.
    at: Timestamp,
}

/// Checks that the same event always has the same id and the same bytes, and that nothing came which was not sent. Gives what came
/// again after a yes.
fn repeats(name: &str, received: &[Received], sent: &Sent) -> Vec<Repeat> {
    let mut first: BTreeMap<u64, &Received> = BTreeMap::new();
    let mut ids = BTreeSet::new();
    let mut yes: BTreeMap<u64, &Received> = BTreeMap::new();
    let mut again = Vec::new();
    for request in received {
        let n = number(request);
        let known = sent.acknowledged.contains(&n) || sent.unsure.contains(&n);
        assert!(known, "{name}: nobody has sent {n}");
        let first = first.entry(n).or_insert(request);
        let id = request.header("webhook-id");
        assert_eq!(first.header("webhook-id"), id, "{name}: event {n}");
        assert_eq!(first.body, request.body, "{name}: event {n}");
        ids.insert(id);
        if let Some(before) = yes.get(&n) {
            let life = before.header(LIFE).to_owned();
            again.push(Repeat {
                life,
                at: before.at,
            });
        }
        if request.answered == Some(200) {
            yes.insert(n, request);
        }
    }
    assert_eq!(ids.len(), first.len(), "{name}: an id for each event");
    again
}

/// Checks that the events of each key came in the order in which they were acknowledged, whoever brought them.
fn assert_ordered(name: &str, received: &[Received]) {
    let mut last: BTreeMap<u64, u64> = BTreeMap::new();
    for request in received {
        let n = number(request);
        let before = last.insert(key(n), n).unwrap_or_default();
        assert!(before <= n, "{name}: {n} came after {before}");
    }
}

/// Most requests that came within a second.
fn most_in_a_second(times: &[Timestamp]) -> usize {
    let within = |first: &Timestamp| {
        let later = times.iter().filter(|at| *at >= first);
        later
            .filter(|at| at.duration_since(*first).as_secs() < 1)
            .count()
    };
    times.iter().map(within).max().unwrap_or_default()
}
