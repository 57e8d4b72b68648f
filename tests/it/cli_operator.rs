//! The commands over the operator's API, run as people and scripts run them, against a daemon of its own.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::numbered::{SECRET, get, numbers, pending, send, send_as};
use crate::process::{Site, binary, data, words};
use crate::support::{Peer, Turn, wait_until};
use crate::terminal::Terminal;

/// A route for each target, by the one template; what a target does not take at first is dead.
fn rest(erp: &Peer, audit: &Peer) -> String {
    let target = |peer: &Peer| {
        format!(
            "{{url: \"{}\", retry: {{schedule: [1h]}}, breaker: \"off\"}}",
            peer.url()
        )
    };
    format!(
        "templates: ./templates\n\
         sources:\n  in: {{preset: standard-webhooks, secrets: [{{file: secret}}]}}\n\
         targets:\n  erp: {}\n  audit: {}\n\
         routes:\n\
         \x20 - {{name: numbers, from: in, match: {{type: t}}, template: n.liquid, to: erp}}\n\
         \x20 - {{name: all, from: in, match: {{body: {{n: [1, 2, 3]}}}}, to: audit}}\n",
        target(erp),
        target(audit)
    )
}

const TEMPLATE: &str = "{\"n\": {{ payload.n }}}";

/// Fails on every event: there is nothing to be divided.
const WRONG: &str = "{\"n\": {{ payload.n | divided_by: 0 }}}";

struct Scene {
    site: Site,
    erp: Peer,
    audit: Peer,
}

impl Scene {
    async fn new(folder: &Path, template: &str) -> Self {
        let (erp, audit) = (Peer::start([]).await, Peer::start([]).await);
        std::fs::create_dir(folder.join("templates")).unwrap();
        std::fs::write(folder.join("templates/n.liquid"), template).unwrap();
        std::fs::write(folder.join("secret"), SECRET).unwrap();
        let site = Site::new(folder, &rest(&erp, &audit));
        Self { site, erp, audit }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = binary();
        command.args(args).arg("-c").arg(self.site.config());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        let output = self.command(args).stdin(Stdio::null()).output().unwrap();
        println!(
            "$ ingate {}\n{}{}",
            args.join(" "),
            data(&output),
            words(&output)
        );
        output
    }

    /// Runs it and gives back its data, which must end well.
    fn data(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{args:?}: {}",
            words(&output)
        );
        data(&output)
    }

    fn json(&self, args: &[&str]) -> Value {
        let args = [args, &["--json"]].concat();
        serde_json::from_str(&self.data(&args)).unwrap()
    }

    /// Runs it, which must fail so; gives back its words.
    fn fails(&self, code: i32, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {output:?}");
        assert_eq!(data(&output), "", "{args:?}");
        words(&output)
    }

    /// Sends these and waits until no delivery is to be tried right now.
    async fn send(&self, which: impl IntoIterator<Item = u64>) {
        for n in which {
            assert!(send(self.site.public, n).await, "{}", self.site.log());
        }
    }

    /// Waits until so many deliveries are in this state.
    async fn until(&self, state: &str, count: usize) {
        wait_until(&format!("{count} are {state}"), async || {
            let path = format!("/api/v1/deliveries?state={state}&limit=500");
            get(&self.site, &path).await["items"]
                .as_array()
                .unwrap()
                .len()
                == count
        })
        .await;
    }
}

fn ids(listing: &Value) -> Vec<String> {
    let items = listing["items"].as_array().unwrap().iter();
    items
        .map(|item| item["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listings_and_the_story_of_an_event() {
    let folder = tempfile::tempdir().unwrap();
    let scene = Scene::new(folder.path(), TEMPLATE).await;
    let daemon = scene.site.start().await;
    scene.send(1..=7).await;
    scene.until("delivered", 10).await;

    let all = scene.json(&["events", "list"]);
    assert_eq!(ids(&all).len(), 7);
    assert_eq!(all["next"], Value::Null);
    // Over pages, and a listing that goes on where the one before has ended.
    let first = scene.json(&["events", "list", "--limit", "3"]);
    let rest = scene.json(&[
        "events",
        "list",
        "--before",
        first["next"].as_str().unwrap(),
    ]);
    assert_eq!([ids(&first), ids(&rest)].concat(), ids(&all));
    let table = scene.data(&["events", "list", "--limit", "2"]);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 3, "{table}");
    assert!(lines[0].starts_with("EVENT "), "{table}");
    assert!(lines[1].starts_with(&ids(&all)[0]), "{table}");
    let none = scene.run(&[
        "events",
        "list",
        "--since",
        "2020-01-05T10:00:00Z",
        "--until",
        "3h",
    ]);
    assert_eq!(
        (data(&none), words(&none)),
        (String::new(), "no such events\n".to_owned())
    );
    for (args, count) in [
        (vec!["--target", "audit"], 3),
        (vec!["--type", "t*", "--source", "in"], 7),
        (vec!["--message-id", "msg_4"], 1),
        (vec!["--state", "dead"], 0),
        (vec!["--unmatched"], 0),
        (vec!["--since", "1h", "--route", "numbers"], 7),
    ] {
        let listed = scene.json(&[&["events", "list"], args.as_slice()].concat());
        assert_eq!(ids(&listed).len(), count, "{args:?}");
    }

    let first = ids(&all)[6].clone();
    let told = scene.data(&["events", "show", &first]);
    for part in [
        format!("event {first}  in t\n").as_str(),
        "  verified    standard-webhooks by the newest secret",
        "  + numbers  takes it",
        "  numbers -> erp  delivered\n",
        "  attempt 1   ",
        "status 200",
        "rendered, template ",
    ] {
        assert!(told.contains(part), "{part} is not in\n{told}");
    }
    let seventh = scene.data(&["events", "show", &ids(&all)[0]]);
    assert!(
        seventh.contains("- all  body.n is 7, wanted: "),
        "{seventh}"
    );
    assert_eq!(
        scene.json(&["events", "show", &first])["id"],
        first.as_str()
    );
    assert_eq!(
        scene.data(&["events", "show", &first, "--body"]),
        "{\"type\":\"t\",\"n\":1}"
    );
    let unknown = scene.fails(
        1,
        &["events", "show", "019b8d99-6900-7000-8000-000000000000"],
    );
    assert!(unknown.contains("404"), "{unknown}");

    let delivered = scene.json(&[
        "deliveries",
        "list",
        "--state",
        "delivered",
        "--target",
        "erp",
    ]);
    assert_eq!(ids(&delivered).len(), 7);
    let newest = ids(&delivered)[0].clone();
    let told = scene.data(&["deliveries", "show", &newest]);
    assert!(
        told.starts_with(&format!("delivery {newest}  numbers -> erp  delivered\n")),
        "{told}"
    );
    assert_eq!(
        scene.data(&["deliveries", "show", &newest, "--body"]),
        "{\"n\":7}"
    );

    let routes = scene.data(&["routes", "list"]);
    assert!(
        routes.contains("numbers  in    erp    n.liquid"),
        "{routes}"
    );
    let targets = scene.data(&["targets", "list"]);
    assert!(targets.contains("audit   up "), "{targets}");
    let target = scene.data(&["targets", "show", "erp"]);
    assert!(target.contains("\n  routes      numbers\n"), "{target}");
    assert_eq!(daemon.terminate().code(), Some(0), "{}", scene.site.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_by_one_deliveries_are_retried_and_discarded() {
    let folder = tempfile::tempdir().unwrap();
    let scene = Scene::new(folder.path(), TEMPLATE).await;
    scene.erp.tell([410, 410, 410].map(Turn::Status));
    let daemon = scene.site.start().await;
    scene.send(11..=13).await;
    scene.until("dead", 3).await;

    let dead = ids(&scene.json(&["deliveries", "list", "--state", "dead", "--reason", "gone"]));
    let retried = scene.data(&["deliveries", "retry", &dead[0], "--json"]);
    let retried: Value = serde_json::from_str(&retried).unwrap();
    assert_eq!(retried["id"], dead[0].as_str());
    // It may have been delivered by the time that the answer was made.
    assert!(["pending", "delivered"].contains(&retried["state"].as_str().unwrap()));
    let told = scene.data(&["deliveries", "discard", &dead[1]]);
    assert_eq!(
        told,
        format!("delivery {}  numbers -> erp  discarded\n", dead[1])
    );
    scene.until("delivered", 1).await;
    // One that is refused does not keep the others from it.
    let unknown = "019b8d99-6900-7000-8000-000000000000";
    let both = scene.run(&["deliveries", "discard", unknown, &dead[2]]);
    assert_eq!(both.status.code(), Some(1));
    assert!(
        words(&both).starts_with(&format!("{unknown}: error: ")),
        "{}",
        words(&both)
    );
    assert!(data(&both).contains(&dead[2]), "{}", data(&both));
    scene.until("discarded", 2).await;
    // One event to one target, anew by the template.
    let event = get(&scene.site, &format!("/api/v1/deliveries/{}", dead[2])).await["event"].clone();
    let event = event.as_str().unwrap();
    let again = scene.json(&[
        "events", "retry", event, "--target", "erp", "--mode", "rerender",
    ]);
    assert_eq!(again["event"], event);
    scene.until("delivered", 2).await;
    assert_eq!(daemon.terminate().code(), Some(0), "{}", scene.site.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_template_is_mended_and_what_it_parked_is_revived() {
    let folder = tempfile::tempdir().unwrap();
    let scene = Scene::new(folder.path(), WRONG).await;
    let daemon = scene.site.start().await;
    scene.send(21..=25).await;
    scene.until("dead", 5).await;

    let dead = scene.json(&["dead", "list"]);
    let group = &dead["items"][0];
    assert_eq!(
        (&group["target"], &group["reason"], &group["count"]),
        (&"erp".into(), &"render".into(), &5.into())
    );
    assert!(
        group["detail"].as_str().unwrap().contains("n.liquid"),
        "{dead}"
    );
    let table = scene.data(&["dead", "list", "--target", "erp"]);
    assert!(
        table
            .lines()
            .nth(1)
            .unwrap()
            .starts_with("erp     render      5  "),
        "{table}"
    );
    let sums = scene.json(&["dead", "list", "--by", "reason"]);
    assert_eq!(
        (&sums["items"][0]["reason"], &sums["items"][0]["count"]),
        (&"render".into(), &5.into())
    );

    // Nothing is stale yet: they died by the template that is in force.
    let stale = ["replay", "--stale-template", "--mode", "rerender"];
    let plan = scene.json(&[&stale[..], &["--dry-run"]].concat());
    assert_eq!(plan["count"], 0, "{plan}");
    let template = folder.path().join("templates/n.liquid");
    std::fs::write(&template, TEMPLATE).unwrap();
    scene.data(&["reload"]);
    let plan = scene.json(&[&stale[..], &["--dry-run"]].concat());
    assert_eq!(
        (&plan["count"], &plan["complete"]),
        (&5.into(), &true.into()),
        "{plan}"
    );
    let plan = scene.data(&[&stale[..], &["--dry-run"]].concat());
    assert!(plan.contains("\n5 deliveries\n"), "{plan}");
    let unasked = scene.fails(2, &stale);
    assert!(unasked.contains("--yes"), "{unasked}");
    scene.until("dead", 5).await;

    let replay = scene.json(&[&stale[..], &["--yes"]].concat());
    assert_eq!(
        (&replay["state"], &replay["revived"], &replay["failed"]),
        (&"done".into(), &5.into(), &0.into()),
        "{replay}"
    );
    scene.until("delivered", 5).await;
    assert_eq!(numbers(&scene.erp), (21..=25).collect());
    let id = replay["id"].as_str().unwrap();
    let mine = scene.json(&["deliveries", "list", "--replay", id]);
    assert_eq!(ids(&mine).len(), 5);
    for request in scene.erp.received() {
        assert_eq!(request.header("ingate-replay"), id);
    }
    let none = scene.run(&["dead", "list"]);
    assert_eq!(words(&none), "no dead letters\n");
    let listed = scene.data(&["replay", "list"]);
    assert!(listed.contains("5 of 5"), "{listed}");
    let told = scene.data(&["replay", "show", id, "--wait"]);
    assert!(
        told.contains("came of it  5 pending again, 0 new, 0 skipped, 0 failed"),
        "{told}"
    );
    assert_eq!(daemon.terminate().code(), Some(0), "{}", scene.site.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_are_sent_again_after_a_question_and_a_replay_is_cancelled() {
    let folder = tempfile::tempdir().unwrap();
    let scene = Scene::new(folder.path(), TEMPLATE).await;
    scene.erp.tell(vec![Turn::Status(410); 12]);
    let daemon = scene.site.start().await;
    scene.send(31..=42).await;
    scene.until("dead", 12).await;

    let ask = |args: &[&str]| Terminal::start(scene.command(args));
    let mut asked = ask(&["dead", "retry", "--target", "erp"]);
    asked.until("Send 12 deliveries again? [y/N] ");
    asked.type_in("n\n");
    let (code, shown) = asked.end();
    assert_eq!(code, Some(1), "{shown}");
    assert!(shown.contains("nothing was changed"), "{shown}");
    scene.until("dead", 12).await;

    // Slowly, and then not at all.
    let begun = [
        "dead", "retry", "--rate", "1/m", "--yes", "--detach", "--json",
    ];
    let begun: Value = serde_json::from_str(&scene.data(&begun)).unwrap();
    let id = begun["id"].as_str().unwrap();
    assert_eq!(begun["state"], "running");
    let shown = scene.data(&["replay", "show", id]);
    assert!(shown.contains("\n  rate        1/m\n"), "{shown}");
    let ended = scene.json(&["replay", "cancel", id]);
    assert_eq!(ended["state"], "cancelled");
    let waited = scene.run(&["replay", "show", id, "--wait"]);
    assert_eq!(
        waited.status.code(),
        Some(1),
        "a cancelled one is no success"
    );

    let mut asked = ask(&["dead", "retry", "--rate", "4/s"]);
    asked.until("again? [y/N] ");
    asked.type_in("y\n");
    asked.until("[#");
    let (code, shown) = asked.end();
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains(" is done: "), "{shown}");
    let done = ids(&scene.json(&["replay", "list", "--limit", "1"]));
    let refused = scene.fails(1, &["replay", "cancel", &done[0]]);
    assert!(refused.contains("409"), "{refused}");
    scene.until("delivered", 12).await;
    assert_eq!(daemon.terminate().code(), Some(0), "{}", scene.site.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn targets_are_paused_resumed_and_probed() {
    let folder = tempfile::tempdir().unwrap();
    let scene = Scene::new(folder.path(), TEMPLATE).await;
    let daemon = scene.site.start().await;
    let told = scene.data(&["targets", "pause", "erp", "audit"]);
    assert_eq!(
        told,
        "target erp is paused, 0 pending\ntarget audit is paused, 0 pending\n"
    );
    scene.send([51]).await;
    let targets = scene.json(&["targets", "list"]);
    assert_eq!(targets["items"].as_array().unwrap().len(), 2);
    let shown = scene.data(&["targets", "show", "erp"]);
    assert!(shown.contains("\n  paused      since "), "{shown}");
    assert_eq!(pending(&scene.site).await, 1);
    assert_eq!(scene.erp.received().len(), 0);
    scene.data(&["targets", "resume", "erp"]);
    scene.until("delivered", 1).await;
    let reached = scene.data(&["targets", "probe", "erp"]);
    assert!(
        reached.starts_with("target erp can be reached, in "),
        "{reached}"
    );
    let Scene { site, erp, audit } = scene;
    erp.stop().await;
    let scene = Scene {
        site,
        erp: Peer::start([]).await,
        audit,
    };
    let probe = scene.run(&["targets", "probe", "erp", "--json"]);
    assert_eq!(probe.status.code(), Some(1));
    let probe: Value = serde_json::from_str(&data(&probe)).unwrap();
    assert_eq!(
        (&probe["reachable"], &probe["failure"]),
        (&false.into(), &"connect".into())
    );
    scene.fails(1, &["targets", "pause", "nobody"]);
    assert_eq!(daemon.terminate().code(), Some(0), "{}", scene.site.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sources_say_what_failed_and_top_how_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    let scene = Scene::new(folder.path(), TEMPLATE).await;
    let daemon = scene.site.start().await;
    scene.send([1]).await;
    scene.until("delivered", 2).await;
    let none = scene.run(&["sources", "failures", "in"]);
    assert_eq!(words(&none), "none since the daemon began\n");
    let other = "whsec_b3RoZXItc2VjcmV0LW9mLXRoZS10ZXN0LTAwMDE=";
    assert_eq!(send_as(other, scene.site.public, 2).await, Some(401));
    let failures = scene.json(&["sources", "failures", "in"]);
    assert_eq!(failures["items"][0]["reason"], "signature_mismatch");
    let table = scene.data(&["sources", "failures", "in"]);
    assert!(
        table.contains("signature_mismatch  127.0.0.1  POST"),
        "{table}"
    );
    let sources = scene.data(&["sources", "list"]);
    assert!(sources.contains("file secret"), "{sources}");
    assert!(!sources.contains(SECRET));

    // What came before the daemon began to count is in no rate.
    let mut n = 100;
    wait_until("the last minute is counted", async || {
        n += 1;
        scene.send([n]).await;
        let succeeded = &scene.json(&["top", "--once"])["out"]["succeeded"];
        succeeded.as_u64().unwrap() > 0
    })
    .await;
    wait_until("nothing is pending", async || {
        pending(&scene.site).await == 0
    })
    .await;
    let top = scene.data(&["top", "--once"]);
    for part in [
        "  ready  up ",
        "queue    0 pending, 0 dead\n",
        "\nTARGET  STATE",
        "erp     up",
    ] {
        assert!(top.contains(part), "{part} is not in\n{top}");
    }
    // One line a look, until nobody reads any more.
    let mut looks = scene.command(&["top", "--json", "--every", "500ms"]);
    let mut looks = looks.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(looks.stdout.take().unwrap()).lines();
    for line in lines.take(2) {
        let look: Value = serde_json::from_str(&line.unwrap()).unwrap();
        assert_eq!(look["ready"], true);
    }
    looks.kill().unwrap();
    looks.wait().unwrap();
    // On a terminal it takes the other screen, draws over itself and gives the screen back.
    let mut top = Terminal::start(scene.command(&["top", "--every", "500ms"]));
    top.until("\x1b[?1049h\x1b[?25l");
    top.until("erp");
    top.until("\x1b[H");
    top.interrupt();
    let (code, shown) = top.end();
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.ends_with("\x1b[?25h\x1b[?1049l"), "{shown:?}");
    assert_eq!(daemon.terminate().code(), Some(0), "{}", scene.site.log());
}

/// A tail, the lines that it prints, and its words.
struct Tail {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
    words: Arc<Mutex<String>>,
}

impl Tail {
    fn start(scene: &Scene, args: &[&str]) -> Self {
        let mut command = scene.command(&[&["events", "tail"], args].concat());
        let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let words = Arc::new(Mutex::new(String::new()));
        let told = Arc::clone(&words);
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                told.lock().unwrap().push_str(&format!("{line}\n"));
            }
        });
        Self {
            child,
            lines,
            words,
        }
    }

    /// Waits until it has been connected so often: what was sent before may be none of its.
    async fn follows(&self, times: usize) {
        wait_until("the stream is followed", async || {
            self.words.lock().unwrap().matches("following").count() >= times
        })
        .await;
    }

    fn next(&mut self) -> Value {
        serde_json::from_str(&self.lines.next().unwrap().unwrap()).unwrap()
    }

    /// Waits for its end; the rest of its lines.
    fn end(mut self) -> (Option<i32>, Vec<String>) {
        let rest = self.lines.map(Result::unwrap).collect();
        (self.child.wait().unwrap().code(), rest)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tail_follows_what_happens_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let scene = Scene::new(folder.path(), TEMPLATE).await;
    let daemon = scene.site.start().await;
    let mut all = Tail::start(&scene, &["--json", "--count", "6"]);
    let failed = Tail::start(&scene, &["--failed", "--target", "erp", "--count", "1"]);
    all.follows(1).await;
    failed.follows(1).await;
    scene.send([61]).await;
    let first = [all.next(), all.next()];
    let kinds: Vec<&str> = first
        .iter()
        .map(|line| line["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["event", "attempt"], "{first:?}");
    assert_eq!(
        (&first[0]["source"], &first[1]["ok"]),
        (&"in".into(), &true.into())
    );

    // The daemon starts anew: ids of before are of another life, so it is said that something may be missing.
    assert_eq!(daemon.terminate().code(), Some(0), "{}", scene.site.log());
    let daemon = scene.site.start().await;
    all.follows(2).await;
    failed.follows(2).await;
    scene.erp.tell([Turn::Status(500)]);
    scene.send([62]).await;
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let line = all.next();
        if line["kind"] != "lost" {
            seen.push(line);
        }
    }
    assert_eq!(
        (&seen[1]["ok"], &seen[1]["result"]),
        (&false.into(), &"status 500".into())
    );
    let (code, lines) = failed.end();
    assert_eq!((code, lines.len()), (Some(0), 1), "{lines:?}");
    assert!(
        lines[0].contains("numbers -> erp  t  attempt 1: status 500 in "),
        "{lines:?}"
    );
    scene.send([63]).await;
    let (code, lines) = all.end();
    assert_eq!(code, Some(0), "{lines:?}");
    assert_eq!(daemon.terminate().code(), Some(0), "{}", scene.site.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_door_is_named_without_its_configuration() {
    const TOKEN: &str = "a-token-for-the-commands";
    let folder = tempfile::tempdir().unwrap();
    let scene = Scene::new(folder.path(), TEMPLATE).await;
    let text = std::fs::read_to_string(scene.site.config()).unwrap();
    let listen = format!("\"127.0.0.1:{}\"", scene.site.admin);
    let text = text.replace(&listen, &format!("{listen}, token: {{value: {TOKEN}}}"));
    std::fs::write(scene.site.config(), text).unwrap();
    let url = format!("http://127.0.0.1:{}", scene.site.admin);
    let named = |token: Option<&str>, args: &[&str]| {
        let mut command = binary();
        command.args(args).args(["--admin", &url]);
        if let Some(token) = token {
            command.env("INGATE_TOKEN", token);
        }
        command.current_dir(std::env::temp_dir()).output().unwrap()
    };
    let away = named(Some(TOKEN), &["targets", "list"]);
    assert_eq!(away.status.code(), Some(69), "{}", words(&away));
    // Another machine's store is not here.
    let unknown = "019b8d99-6900-7000-8000-000000000000";
    let away = named(Some(TOKEN), &["store", "purge", unknown]);
    assert_eq!(away.status.code(), Some(69), "{}", words(&away));

    let daemon = scene.site.start().await;
    assert_eq!(
        scene.json(&["targets", "list"])["items"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let listed = named(Some(TOKEN), &["targets", "list"]);
    assert_eq!(listed.status.code(), Some(0), "{}", words(&listed));
    for wrong in [None, Some("another-token")] {
        let refused = named(wrong, &["targets", "list"]);
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert!(
            words(&refused).contains("INGATE_TOKEN"),
            "{}",
            words(&refused)
        );
    }
    let reload = named(Some(TOKEN), &["reload"]);
    assert_eq!(reload.status.code(), Some(0), "{}", words(&reload));
    // What the daemon does not take is a wrong command line; so is a URL that is none.
    let refused = named(Some(TOKEN), &["events", "list", "--before", "yesterday"]);
    assert_eq!(refused.status.code(), Some(2), "{}", words(&refused));
    let wrong = binary()
        .args(["top", "--admin", "127.0.0.1:8081"])
        .output()
        .unwrap();
    assert_eq!(wrong.status.code(), Some(2), "{}", words(&wrong));
    assert_eq!(daemon.terminate().code(), Some(0), "{}", scene.site.log());
}
