//! The commands as a person runs them: what they print where, and what they exit with.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::process::{Site, binary, data, free_port, ingate, words};

/// The path of a preset's sample.
fn sample(name: &str) -> String {
    let folder = "src/signature/presets/samples";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    path.join(format!("{name}.json")).display().to_string()
}

const SECRET: &str = "whsec_dGVzdC1zZWNyZXQtdGVzdC1zZWNyZXQtMDE=";

/// A folder with a configuration, a template and a secret file.
fn site(folder: &Path) -> Site {
    std::fs::create_dir(folder.join("templates")).unwrap();
    std::fs::write(
        folder.join("templates/vendor.json.liquid"),
        "{\"id\": {{ payload.data.id }}}",
    )
    .unwrap();
    std::fs::write(folder.join("secret"), SECRET).unwrap();
    Site::new(
        folder,
        &format!(
            r#"
sources:
  wreno: {{preset: wreno, secrets: [{{file: secret}}]}}
targets:
  erp: {{url: "http://127.0.0.1:{}/hooks"}}
routes:
  - {{name: vendors, from: wreno, match: {{type: "vendor.**"}}, template: vendor.json.liquid, to: erp}}
  - {{name: paid, from: wreno, match: {{type: "invoice.*"}}, to: erp}}
"#,
            free_port()
        ),
    )
}

fn text(path: PathBuf) -> String {
    path.display().to_string()
}

#[test]
fn demo_shows_five_vendors_and_five_deliveries() {
    let output = ingate(&["demo", "--once"]);
    let shown = data(&output);
    assert_eq!(output.status.code(), Some(0), "{shown}\n{}", words(&output));
    for vendor in [
        "wreno",
        "compliancely",
        "wismolabs",
        "wundaflow",
        "wingspan",
    ] {
        assert!(shown.contains(&format!("== {vendor}")), "{shown}");
    }
    assert_eq!(shown.matches("signature   verifies").count(), 5, "{shown}");
    assert!(shown.contains("\"amount\": 1234567890123456.78"), "{shown}");
}

/// A demo that stays up, with a temporary folder of its own.
struct Demo {
    temporary: tempfile::TempDir,
    child: Child,
    shown: BufReader<ChildStdout>,
}

impl Demo {
    fn start() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let mut child = binary()
            .arg("demo")
            .env("TMPDIR", temporary.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let shown = BufReader::new(child.stdout.take().unwrap());
        Self {
            temporary,
            child,
            shown,
        }
    }

    /// Reads what it shows up to a line that contains this.
    fn until(&mut self, part: &str) {
        let mut line = String::new();
        while !line.contains(part) {
            line.clear();
            let read = self.shown.read_line(&mut line).unwrap();
            assert!(read > 0, "{part:?} is never shown");
        }
    }

    /// Ends it by a signal; its folder must be gone.
    fn end(mut self, signal: Signal) -> Option<i32> {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        let status = self.child.wait().unwrap();
        let left = std::fs::read_dir(self.temporary.path()).unwrap().count();
        assert_eq!(left, 0, "the demo leaves its folder behind");
        status.code()
    }
}

#[test]
fn what_demo_tells_to_try_works_as_it_is_printed() {
    let mut demo = Demo::start();
    demo.until("every signature verified");
    let mut words = BufReader::new(demo.child.stderr.take().unwrap()).lines();
    let mut commands: Vec<String> = Vec::new();
    while commands.len() < 5 {
        let line = words.next().unwrap().unwrap();
        commands.extend(line.strip_prefix("  ").map(str::to_owned));
    }
    for command in &commands {
        if let Some(url) = command.strip_prefix("curl ") {
            assert!(url.starts_with("http://127.0.0.1:"), "{command}");
            continue;
        }
        // As in another terminal: another folder, and no `ingate` on the path.
        let output = Command::new("sh")
            .args(["-c", command])
            .current_dir("/")
            .env_remove("INGATE_CONFIG")
            .env_remove("INGATE_ADMIN")
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{command}: {told}");
    }
    // What `send` sent is shown when the target has it.
    demo.until("received    POST /hooks");
    demo.until("signature   verifies");
    assert_eq!(demo.end(Signal::INT), Some(0));
}

#[test]
fn demo_leaves_nothing_behind_when_it_is_interrupted() {
    let mut demo = Demo::start();
    demo.until("== wreno");
    // The other samples may be through by now or not: either way it ends by itself.
    let code = demo.end(Signal::TERM);
    assert!(matches!(code, Some(0 | 1)), "{code:?}");
}

#[test]
fn check_lists_what_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let site = site(folder.path());
    let output = ingate(&["check", "-c", &text(site.config())]);
    assert_eq!(output.status.code(), Some(0), "{}", words(&output));
    let shown = data(&output);
    for line in [
        "POST /in/wreno",
        "wreno -> erp (by vendor.json.liquid)",
        "wreno -> erp (unchanged)",
        "/hooks (not signed)",
    ] {
        assert!(shown.contains(line), "{line} is missing in\n{shown}");
    }
    let output = ingate(&["check", "--json", "-c", &text(site.config())]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["ok"], json!(true));
    assert_eq!(json["routes"][0]["template"], json!("vendor.json.liquid"));
    assert_eq!(json["routes"][1]["template"], json!(null));
}

#[test]
fn check_tells_errors_as_json_too() {
    let folder = tempfile::tempdir().unwrap();
    let site = site(folder.path());
    site.write("sources:\n  a: {preset: wrono, secrets: [{env: NOT_SET}]}\nroutes: []\n");
    let output = ingate(&["check", "--json", "-c", &text(site.config())]);
    assert_eq!(output.status.code(), Some(78), "{}", words(&output));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["ok"], json!(false));
    assert_eq!(json["errors"][0]["path"], json!("sources.a.preset"));
    assert_eq!(json["errors"][0]["line"], json!(5));
    let help = json!("did you mean `wreno`? `ingate vendors` lists all");
    assert_eq!(json["errors"][0]["help"], help);
    assert_eq!(json["warnings"][0]["path"], json!("sources.a"));
}

#[test]
fn a_full_disk_is_an_error_and_a_reader_gone_is_none() {
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let output = binary().arg("schema").stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(74), "{}", words(&output));
    assert!(words(&output).contains("stdout"), "{}", words(&output));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = binary().arg("schema").stdout(writer).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", words(&output));
}

#[test]
fn check_says_what_is_proven_of_a_template() {
    let folder = tempfile::tempdir().unwrap();
    let site = site(folder.path());
    let config = text(site.config());
    let output = ingate(&["check", "--strict", "-c", &config]);
    assert_eq!(output.status.code(), Some(0), "{}", words(&output));
    let shown = data(&output);
    let line = shown.lines().find(|line| line.starts_with("template"));
    assert!(
        line.is_some_and(|line| line.ends_with(" proven")),
        "{shown}"
    );

    let template = folder.path().join("templates/vendor.json.liquid");
    std::fs::write(
        &template,
        "{\"a\": 1{% if payload.b %},{% endif %} \"c\": 2}",
    )
    .unwrap();
    for (flags, exit) in [(&[][..], 0), (&["--strict"], 1)] {
        let output = ingate(&[&["check", "-c", &config], flags].concat());
        assert_eq!(output.status.code(), Some(exit), "{}", words(&output));
        let shown = data(&output);
        for part in [
            "checked at run time",
            "vendor.json.liquid:1:",
            "fails with the payload",
        ] {
            assert!(shown.contains(part), "{part} is missing in\n{shown}");
        }
    }
}

#[test]
fn a_wrong_configuration_exits_78_with_all_errors() {
    let folder = tempfile::tempdir().unwrap();
    let site = site(folder.path());
    site.write(
        "sources:\n  a: {preset: wrono}\ntargets: {}\nroutes:\n  - {name: r, from: b, to: c}\n",
    );
    for command in ["check", "run", "explain"] {
        let event = sample("wreno");
        let config = text(site.config());
        let mut args = vec![command, "-c", &config];
        if command == "explain" {
            args.extend(["--event", &event]);
        }
        let output = ingate(&args);
        assert_eq!(output.status.code(), Some(78), "{command}");
        assert!(output.stdout.is_empty(), "{command}");
        let shown = words(&output);
        for part in [
            "wrono",
            "wreno",
            "routes[0].from",
            "routes[0].to",
            "config.yaml:",
        ] {
            assert!(
                shown.contains(part),
                "{command}: {part} is missing in\n{shown}"
            );
        }
    }
    let output = ingate(&["check", "-c", "no-such-file.yaml"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(words(&output).contains("no-such-file.yaml"));
}

#[test]
fn render_prints_json_or_the_place_of_the_error() {
    let folder = tempfile::tempdir().unwrap();
    let good = folder.path().join("good.liquid");
    std::fs::write(
        &good,
        "{\"id\": {{ payload.data.id }}, \"t\": \"{{ event.type }}\",}",
    )
    .unwrap();
    let event = sample("wreno");
    let output = ingate(&["render", good.to_str().unwrap(), "--event", &event]);
    assert_eq!(output.status.code(), Some(0), "{}", words(&output));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        json,
        json!({"id": "ven_1", "t": "vendor.compliance.update"})
    );
    assert!(
        words(&output).contains("trailing comma"),
        "{}",
        words(&output)
    );

    let bad = folder.path().join("bad.liquid");
    for (template, part) in [
        (
            "{\n \"id\": {{ payload.data.id | upcas }}\n}",
            "bad.liquid:2:",
        ),
        ("{\"a\": 1 {{ payload.data.id }}}", "bad.liquid:1:"),
        ("{% for x in payload.data.tags %}", "bad.liquid:1:"),
    ] {
        std::fs::write(&bad, template).unwrap();
        let output = ingate(&["render", bad.to_str().unwrap(), "--event", &event]);
        assert_eq!(output.status.code(), Some(1), "{template}");
        assert!(output.stdout.is_empty(), "{template}");
        assert!(
            words(&output).contains(part),
            "{template}: {}",
            words(&output)
        );
        assert!(
            words(&output).contains('^'),
            "{template}: {}",
            words(&output)
        );
    }
}

#[test]
fn explain_says_why_and_why_not() {
    let folder = tempfile::tempdir().unwrap();
    let site = site(folder.path());
    let (config, event) = (text(site.config()), sample("wreno"));
    let output = ingate(&["explain", "-c", &config, "--event", &event]);
    let shown = data(&output);
    assert_eq!(output.status.code(), Some(0), "{shown}{}", words(&output));
    assert!(shown.contains("type vendor.compliance.update"), "{shown}");
    assert!(
        shown
            .lines()
            .any(|line| line.contains("+ vendors") && line.contains("erp")),
        "{shown}"
    );
    assert!(
        shown.lines().any(|line| line.contains("- paid")
            && line.contains("type")
            && line.contains("invoice.*")),
        "{shown}"
    );
    let output = ingate(&[
        "explain", "--json", "-c", &config, "--event", &event, "--type", "other",
    ]);
    assert_eq!(output.status.code(), Some(1));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["taken"], json!(false));
    assert_eq!(json["routes"][0]["field"], json!("type"));
}

#[test]
fn what_sign_signs_verify_verifies() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, format!("{SECRET}\n")).unwrap();
    let (secret, body) = (secret.display().to_string(), sample("wundaflow"));
    for preset in [
        "standard-webhooks",
        "svix",
        "wreno",
        "stripe",
        "slack",
        "github",
        "shopify",
        "hmac",
    ] {
        let output = ingate(&[
            "sign",
            "--preset",
            preset,
            "--secret-file",
            &secret,
            "--body",
            &body,
            "--json",
        ]);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{preset}: {}",
            words(&output)
        );
        let headers: serde_json::Map<String, Value> =
            serde_json::from_slice(&output.stdout).unwrap();
        let headers: Vec<String> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.as_str().unwrap()))
            .collect();
        let mut args = vec![
            "verify",
            "--preset",
            preset,
            "--secret-file",
            &secret,
            "--body",
            &body,
        ];
        for header in &headers {
            args.extend(["-H", header]);
        }
        let output = ingate(&args);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{preset}: {}{}",
            data(&output),
            words(&output)
        );
        assert!(data(&output).starts_with("verifies"), "{preset}");

        let bare = ingate(&args[..7]);
        assert_eq!(bare.status.code(), Some(1), "{preset}");
        assert!(data(&bare).contains("missing_"), "{}", data(&bare));
        assert!(!data(&bare).contains("tried"), "{}", data(&bare));

        let other = sample("wreno");
        args[6] = &other;
        let output = ingate(&args);
        assert_eq!(output.status.code(), Some(1), "{preset}");
        assert!(
            data(&output).contains("signature_mismatch"),
            "{preset}: {}",
            data(&output)
        );
        assert!(!data(&output).contains(SECRET), "{preset}");
    }
}

#[test]
fn verify_says_exactly_why_a_capture_fails() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    let capture = folder.path().join("request");
    // The vector that Standard Webhooks publishes, five minutes and one second late.
    std::fs::write(
        &capture,
        "POST /in/x HTTP/1.1\r\nHost: a\r\nwebhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek\r\n\
         webhook-timestamp: 1614265330\r\n\
         webhook-signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=\r\n\r\n{\"test\": 2432232314}",
    )
    .unwrap();
    let (secret, capture) = (secret.display().to_string(), capture.display().to_string());
    let run = |at: &str| {
        ingate(&[
            "verify",
            "--preset",
            "standard-webhooks",
            "--secret-file",
            &secret,
            "--request",
            &capture,
            "--at",
            at,
        ])
    };
    let output = run("2021-02-25T15:02:10Z");
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}{}",
        data(&output),
        words(&output)
    );
    let output = run("2021-02-25T15:07:11Z");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        data(&output).contains("timestamp_out_of_tolerance"),
        "{}",
        data(&output)
    );
    assert!(data(&output).contains("301"), "{}", data(&output));
}

#[test]
fn send_needs_a_daemon() {
    let folder = tempfile::tempdir().unwrap();
    let site = site(folder.path());
    let output = ingate(&[
        "send",
        "-c",
        &text(site.config()),
        "--event",
        &sample("wreno"),
    ]);
    assert_eq!(output.status.code(), Some(69), "{}", words(&output));
    assert!(
        words(&output).contains(&site.public.to_string()),
        "{}",
        words(&output)
    );
    assert!(
        words(&output).contains("does the daemon run?"),
        "{}",
        words(&output)
    );
}

#[tokio::test]
async fn send_plays_the_vendor() {
    let folder = tempfile::tempdir().unwrap();
    let site = site(folder.path());
    let daemon = site.start().await;
    let config = text(site.config());
    let event = sample("wreno");
    let output = ingate(&["send", "--json", "-c", &config, "--event", &event]);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}{}",
        data(&output),
        words(&output)
    );
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["status"], json!(200));
    assert_eq!(json["body"]["duplicate"], json!(false));
    assert!(json["headers"]["webhook-signature"].is_string());
    assert_eq!(daemon.terminate().code(), Some(0), "{}", site.log());
}

#[tokio::test]
async fn a_second_daemon_on_one_store_exits_74() {
    let folder = tempfile::tempdir().unwrap();
    let first = site(folder.path());
    let daemon = first.start().await;
    // how far the index is, the first one notes at a time of its own
    let names = || -> BTreeSet<String> {
        let entries = std::fs::read_dir(first.data()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names
            .filter(|name| !name.starts_with("index.position"))
            .collect()
    };
    let before = names();
    // Other ports, the same store.
    let config = std::fs::read_to_string(first.config()).unwrap();
    let config = config
        .replace(&first.public.to_string(), "0")
        .replace(&first.admin.to_string(), "0");
    let second = folder.path().join("second.yaml");
    std::fs::write(&second, config).unwrap();
    let output = ingate(&["run", "-c", &text(second)]);
    assert_eq!(output.status.code(), Some(74), "{}", words(&output));
    assert!(
        words(&output).contains("data"),
        "the path is named: {}",
        words(&output)
    );
    assert_eq!(names(), before, "it touches nothing");
    assert_eq!(daemon.terminate().code(), Some(0));
}

#[test]
fn schema_and_completions_are_data() {
    let output = ingate(&["schema"]);
    let schema: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(schema["properties"]["sources"].is_object(), "{schema}");
    for shell in ["bash", "zsh", "fish"] {
        let output = ingate(&["completions", shell]);
        assert_eq!(output.status.code(), Some(0));
        assert!(data(&output).contains("ingate"), "{shell}");
    }
}

#[test]
fn a_wrong_command_line_exits_2() {
    for args in [
        &["rum"][..],
        &["render"],
        &["sign", "--preset", "nobody", "--body", "Cargo.toml"],
        &["sign", "--preset", "hmac", "--body", "Cargo.toml"],
        &["verify", "--preset", "hmac"],
        &["render", "no-such.liquid", "--event", "Cargo.toml"],
        &["render", "src", "--event", "Cargo.toml"],
    ] {
        let output = binary().args(args).output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(2),
            "{args:?}: {}",
            words(&output)
        );
        assert!(output.stdout.is_empty(), "{args:?}");
    }
    assert_eq!(ingate(&["--version"]).status.code(), Some(0));
}
