//! Samples as an author uses them: `check` renders them, warns of paths that none has, mutates them and holds what
//! comes out against a schema; and a schema that is used at run time parks what does not fit.

use std::path::Path;
use std::process::Output;

use ingate::{schema, trial};
use serde_json::{Value, json};

use crate::process::{data, ingate, words};
use crate::support::{Daemon, Peer, wait_until};

const SECRET: &str = "whsec_dGVzdC1zZWNyZXQtdGVzdC1zZWNyZXQtMDE=";

const SAMPLE: &str = r#"{"type": "vendor.updated", "vendor": {"name": "Acme", "phone": "+49 1", "tags": ["a", "b"]}}"#;

const TEMPLATE: &str = r#"{
  "name": {{ payload.vendor.name }},
  "phone": {{ payload.vendor.phone | default: "none" }},
  "tags": {{ payload.vendor.tags }}
}"#;

const SCHEMA: &str = r#"{
  "type": "object",
  "properties": {"name": {"type": ["string", "null"]}, "phone": {"type": "string"}},
  "required": ["name", "phone"]
}"#;

/// A folder with a configuration of one route, its template, one sample and a schema.
struct Folder(tempfile::TempDir);

impl Folder {
    /// `route` is added to the route's keys.
    fn new(route: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("secret", SECRET);
        folder.write("templates/vendor.liquid", TEMPLATE);
        folder.write("samples/vendor.json", SAMPLE);
        folder.write("samples/vendor.out.json", "{}");
        folder.write("vendor.schema.json", SCHEMA);
        folder.write(
            "config.yaml",
            &format!("{}{route}\n", config("http://127.0.0.1:9/")),
        );
        folder
    }

    fn with_sample() -> Self {
        Self::new("    tests: [{event: samples/vendor.json, expect: samples/vendor.out.json}]")
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Runs `check` where tests expect what comes out, if anything does: what they expect is not what these stories
    /// are about.
    fn check(&self, flags: &[&str]) -> Output {
        let config = self.0.path().join("config.yaml").display().to_string();
        ingate(&["test", "-c", &config, "--bless"]);
        ingate(&[&["check", "-c", &config], flags].concat())
    }

    fn check_json(&self, flags: &[&str]) -> (Option<i32>, Value) {
        let output = self.check(&[&["--json"], flags].concat());
        let json = serde_json::from_slice(&output.stdout);
        (
            output.status.code(),
            json.unwrap_or_else(|e| panic!("{e}: {}", words(&output))),
        )
    }
}

fn config(url: &str) -> String {
    format!(
        "sources:\n  wreno: {{preset: wreno, secrets: [{{file: secret}}]}}\n\
         targets:\n  erp: {{url: \"{url}\"}}\n\
         routes:\n  - name: vendors\n    from: wreno\n    template: vendor.liquid\n    to: erp\n"
    )
}

/// The line of a table that begins so.
fn line<'t>(text: &'t str, kind: &str) -> &'t str {
    let found = text.lines().find(|line| line.starts_with(kind));
    found.unwrap_or_else(|| panic!("no line {kind:?} in\n{text}"))
}

#[test]
fn check_renders_samples_and_says_where_one_fails() {
    let folder = Folder::with_sample();
    let output = folder.check(&[]);
    assert_eq!(output.status.code(), Some(0), "{}", words(&output));
    assert_eq!(words(&output), "");
    assert!(line(&data(&output), "samples").ends_with("1 of 1 rendered"));

    folder.write(
        "templates/vendor.liquid",
        "{\n  \"n\": {{ payload.vendor.name | divided_by: 0 }}\n}",
    );
    let output = folder.check(&[]);
    assert_eq!(output.status.code(), Some(1), "{}", words(&output));
    for part in [
        "error: divided_by",
        "vendor.json)",
        "vendor.liquid:2:",
        "^^^",
    ] {
        assert!(words(&output).contains(part), "{part}: {}", words(&output));
    }
    assert!(
        data(&output).trim_end().ends_with("not ok"),
        "{}",
        data(&output)
    );
    let (exit, json) = folder.check_json(&[]);
    assert_eq!((exit, &json["ok"]), (Some(1), &json!(false)));
    assert_eq!(json["errors"][0]["line"], json!(2), "{json}");
    assert_eq!(
        json["templates"][0]["samples"],
        json!({"count": 1, "good": 0, "mutated": null})
    );

    for (sample, part) in [("{\"a\": ", "not JSON"), ("", "not JSON")] {
        folder.write("samples/vendor.json", sample);
        let output = folder.check(&[]);
        assert_eq!(output.status.code(), Some(1), "{sample}");
        assert!(words(&output).contains(part), "{}", words(&output));
    }
}

#[test]
fn check_warns_of_paths_that_no_sample_has() {
    let folder = Folder::with_sample();
    folder.write(
        "templates/vendor.liquid",
        "{\"a\": {{ payload.vendor.phonee }},\n \"b\": {{ payload.vendor.phonee | upcase }}, \"c\": {% render 'tags', of: payload.vendor %}}",
    );
    folder.write(
        "templates/tags.liquid",
        "[{{ of.tags.first }}, {{ of.owner.name }}]",
    );
    let output = folder.check(&[]);
    assert_eq!(output.status.code(), Some(0), "{}", words(&output));
    let shown = words(&output);
    assert_eq!(shown.matches("warning:").count(), 2, "{shown}");
    for part in [
        "warning: no sample has payload.vendor.phonee\n",
        "vendor.liquid:1:10",
        "help: did you mean payload.vendor.phone?",
        "warning: no sample has payload.vendor.owner\n",
        "tags.liquid:1:26",
    ] {
        assert!(shown.contains(part), "{part} is missing in\n{shown}");
    }
    let (_, json) = folder.check_json(&[]);
    let warning = &json["warnings"][0];
    assert_eq!(warning["line"], json!(1), "{json}");
    assert_eq!(warning["help"], json!("did you mean payload.vendor.phone?"));

    // A sample more that has it, of any route with the template.
    folder.write(
        "samples/other.json",
        r#"{"vendor": {"phonee": null, "owner": {"name": 1}}}"#,
    );
    folder.write(
        "config.yaml",
        &format!(
            "{}    tests:\n      - {{event: samples/vendor.json, expect: samples/vendor.out.json}}\n      \
             - {{event: samples/other.json, expect: samples/other.out.json}}\n",
            config("http://127.0.0.1:9/")
        ),
    );
    let output = folder.check(&[]);
    assert_eq!(words(&output), "", "each path is in one of the samples");
    // Without samples there is nothing to say.
    let none = Folder::new("");
    assert_eq!(words(&none.check(&[])), "");
}

#[test]
fn check_mutate_finds_what_is_not_valid_and_what_is_parked() {
    let folder = Folder::with_sample();
    let output = folder.check(&["--mutate"]);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}{}",
        data(&output),
        words(&output)
    );
    let shown = data(&output);
    let mutated = line(&shown, "mutated");
    assert!(
        mutated.contains("variants of 1 sample: all valid"),
        "{mutated}"
    );
    let (_, json) = folder.check_json(&["--mutate"]);
    let found = &json["templates"][0]["samples"]["mutated"];
    assert!(found["variants"].as_u64().unwrap() > 100, "{found}");
    assert_eq!(found["valid"], json!(true));
    assert_eq!(found["shape_depends_on"], json!([]));

    // A key from data, a filter that cannot do its work, a comparison that decides on the shape.
    folder.write(
        "templates/vendor.liquid",
        "{\n\"role\": 1,\n{{ payload.vendor.name }}: {{ payload.vendor.tags | sort }},\n\
         \"p\": {% if payload.vendor.phone == '+49 1' %}1{% else %}\"x\"{% endif %},\n\
         \"t\": {{ payload.vendor.tags | where: 'a' }}\n}",
    );
    let output = folder.check(&["--mutate"]);
    assert_eq!(output.status.code(), Some(1), "{}", words(&output));
    let shown = data(&output);
    for part in [
        "vendor.liquid:3:",
        "no valid JSON comes out, and the event is parked, with payload.vendor.name ",
        "note: the shape of the output depends on payload.vendor.name\n",
        "note: the shape of the output depends on payload.vendor.phone\n",
        "not valid",
    ] {
        assert!(shown.contains(part), "{part} is missing in\n{shown}");
    }
    folder.write("templates/vendor.liquid", "{\"n\": {{ payload.vendor.tags | sum: 'n' }}, \"d\": {{ 10 | divided_by: payload.vendor.tags.size }}}");
    let output = folder.check(&["--mutate"]);
    let shown = data(&output);
    assert_eq!(output.status.code(), Some(0), "{shown}");
    assert!(shown.contains("parked with payload.vendor.tags"), "{shown}");
    assert!(line(&shown, "mutated").contains(" parked"), "{shown}");
}

#[test]
fn check_holds_samples_and_their_variants_against_a_schema() {
    let tests = "    tests: [{event: samples/vendor.json, expect: samples/vendor.out.json}]";
    let folder = Folder::new(&format!("    schema: vendor.schema.json\n{tests}"));
    let output = folder.check(&["--mutate"]);
    assert_eq!(output.status.code(), Some(0), "{}", words(&output));
    // Misfits of variants are told and fail nothing.
    let shown = data(&output);
    let wanted =
        "warning: the output does not fit vendor.schema.json#/properties/phone/type: /phone: ";
    assert!(shown.contains(wanted), "{shown}");
    assert!(shown.contains("  with payload.vendor.phone = "), "{shown}");
    assert!(
        line(&shown, "mutated").ends_with(" do not fit the schema"),
        "{shown}"
    );

    folder.write(
        "vendor.schema.json",
        r#"{"properties": {"name": {"maxLength": 3}}}"#,
    );
    let output = folder.check(&[]);
    assert_eq!(output.status.code(), Some(1), "{}", data(&output));
    let wanted = "does not fit vendor.schema.json: /name: \"Acme\" is longer than 3 characters";
    assert!(words(&output).contains(wanted), "{}", words(&output));
    let (exit, json) = folder.check_json(&[]);
    assert_eq!(exit, Some(1));
    assert!(
        json["errors"][0]["message"]
            .as_str()
            .unwrap()
            .contains("/name"),
        "{json}"
    );
    assert_eq!(
        json["routes"][0]["schema"],
        json!({"name": "vendor.schema.json", "at_run_time": false})
    );
}

#[test]
fn of_a_large_sample_the_variants_are_bounded_and_that_is_said() {
    let folder = Folder::with_sample();
    let texts: Vec<String> = (0..300).map(|n| format!("text {n}")).collect();
    let sample = json!({"vendor": {"name": "A", "phone": "1", "tags": texts}});
    folder.write("samples/vendor.json", &sample.to_string());
    let (exit, json) = folder.check_json(&["--mutate"]);
    assert_eq!(exit, Some(0), "{json}");
    let found = &json["templates"][0]["samples"]["mutated"];
    let variants = found["variants"].as_u64().unwrap();
    let most = (trial::VARIANTS + trial::PAIRS) as u64;
    assert!(variants <= most && variants > most * 9 / 10, "{found}");
    assert!(found["left_out"].as_u64().unwrap() > 1_000, "{found}");
    let shown = data(&folder.check(&["--mutate"]));
    assert!(
        line(&shown, "mutated").contains(" more left out)"),
        "{shown}"
    );
}

#[test]
fn a_sample_comes_in_by_the_source_whose_events_look_like_it() {
    let folder = Folder::with_sample();
    folder.write(
        "templates/vendor.liquid",
        r#"{"source": {{ event.source }}, "type": {{ event.type }}, "route": {{ route }}}"#,
    );
    folder.write(
        "vendor.schema.json",
        r#"{"properties": {"source": {"const": "wreno"}, "type": {"const": "vendor.updated"}, "route": {"const": "vendors"}}}"#,
    );
    // GitHub tells the type in a header, which a sample has not.
    folder.write(
        "config.yaml",
        "sources:\n  github: {preset: github, secrets: [{file: secret}]}\n  wreno: {preset: wreno, secrets: [{file: secret}]}\n\
         targets:\n  erp: {url: \"http://127.0.0.1:9/\"}\n\
         routes:\n  - name: vendors\n    from: [github, wreno]\n    match: {type: \"vendor.*\"}\n    template: vendor.liquid\n    \
         schema: vendor.schema.json\n    to: erp\n    tests: [{event: samples/vendor.json, expect: samples/vendor.out.json}]\n",
    );
    let output = folder.check(&[]);
    assert_eq!(output.status.code(), Some(0), "{}", words(&output));
}

/// The text of a block of the guide.
fn block(info: &str) -> &'static str {
    const GUIDE: &str = include_str!("../../templates/README.md");
    let (_, rest) = GUIDE.split_once(&format!("\n```{info}\n")).unwrap();
    rest.split("```").next().unwrap()
}

#[test]
fn the_guide_on_samples_is_true() {
    let folder = Folder::new("");
    let (head, _) = config("http://127.0.0.1:9/")
        .split_once("routes:")
        .map(|(h, t)| (h.to_owned(), t.to_owned()))
        .unwrap();
    folder.write("config.yaml", &format!("{head}{}", block("yaml samples")));
    for name in ["vendor-updated", "vendor-without-phone"] {
        folder.write(&format!("samples/{name}.json"), SAMPLE);
        folder.write(&format!("samples/{name}.out.json"), "{}");
    }
    folder.write(
        "templates/vendor.json.liquid",
        "{\n  \"name\": {{ payload.vendor.name }},\n  \"phone\": {{ payload.vendor.phonee }}\n}",
    );
    let output = folder.check(&["--mutate"]);
    let place = format!("{}/", folder.0.path().display());
    assert_eq!(words(&output).replace(&place, ""), block("text warning"));
    let shape = |line: &str| -> String {
        let kept = line.chars().filter(|c| !c.is_ascii_digit());
        kept.collect::<String>()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    let shown = data(&output);
    assert_eq!(shape(line(&shown, "mutated")), shape(block("text mutated")));

    let guide = include_str!("../../templates/README.md");
    for bound in [
        format!(
            "At most {} variants of one sample have one\nplace changed and at most {} have two",
            grouped(trial::VARIANTS as u64),
            trial::PAIRS
        ),
        format!("takes at most {} steps", grouped(schema::STEPS)),
        format!("has at most {} KiB", schema::SCHEMA_BYTES >> 10),
        format!(
            "At most {} differences and {} lines of a test",
            trial::TOLD,
            trial::LINES
        ),
        format!("`event.id` is always `{}`", trial::EVENT_ID),
        format!("`event.received_at` `{}`", trial::RECEIVED_AT),
    ] {
        assert!(guide.contains(&bound), "{bound}");
    }
}

#[test]
fn the_guide_on_tests_is_true() {
    let folder = Folder::new("");
    let head = config("http://127.0.0.1:9/");
    let (head, _) = head.split_once("routes:").unwrap();
    folder.write("config.yaml", &format!("{head}{}", block("yaml samples")));
    folder.write("templates/vendor.json.liquid", TEMPLATE);
    let out =
        |phone: &str| format!(r#"{{"name": "Acme", "phone": "{phone}", "tags": ["a", "b"]}}"#);
    folder.write(
        "samples/vendor-updated.json",
        &SAMPLE.replace(r#", "b""#, ""),
    );
    folder.write("samples/vendor-updated.out.json", &out("+49 1 "));
    folder.write(
        "samples/vendor-without-phone.json",
        &SAMPLE.replace("phone", "fax"),
    );
    folder.write("samples/vendor-without-phone.out.json", &out("none"));
    let config = folder.0.path().join("config.yaml").display().to_string();
    let output = ingate(&["test", "-c", &config]);
    assert_eq!(output.status.code(), Some(1), "{}", words(&output));
    let place = format!("{}/", folder.0.path().display());
    let shown = data(&output).replace(&place, "");
    let (passed, rest): (Vec<&str>, Vec<&str>) =
        shown.lines().partition(|line| line.starts_with("pass"));
    assert_eq!(passed, ["pass  vendors  samples/vendor-without-phone.json"]);
    assert_eq!(rest.join("\n"), block("text test").trim_end());
}

/// A number with commas.
fn grouped(number: u64) -> String {
    match number {
        0..1_000 => number.to_string(),
        more => format!("{},{:03}", grouped(more / 1_000), more % 1_000),
    }
}

/// What a route with this schema makes of the sample: the state of its delivery and the last error, if any.
async fn delivered(folder: &Path, peer: &Peer, schema: &str) -> Value {
    let config = format!("{}    schema: {schema}\n", config(&peer.url()));
    let daemon = Daemon::start(folder, &config).await;
    let answer = daemon
        .send(&daemon.signed("wreno", SECRET, "msg_1", SAMPLE))
        .await;
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/events/{id}");
    let delivery = async || daemon.admin_get(&path).await.json()["deliveries"][0].clone();
    wait_until("the delivery is over", async || {
        delivery().await["state"] != "pending"
    })
    .await;
    let delivery = delivery().await;
    daemon.stop().await;
    delivery
}

#[tokio::test]
async fn what_does_not_fit_at_run_time_is_parked() {
    const WANTS_NO_PHONE: &str = r#"{"properties": {"phone": {"type": "null"}}}"#;
    for (schema, text, state) in [
        (
            "{file: vendor.schema.json, at_run_time: true}",
            SCHEMA,
            "delivered",
        ),
        (
            "{file: vendor.schema.json, at_run_time: true}",
            WANTS_NO_PHONE,
            "dead",
        ),
        (
            "{file: vendor.schema.json, at_run_time: false}",
            WANTS_NO_PHONE,
            "delivered",
        ),
        ("vendor.schema.json", WANTS_NO_PHONE, "delivered"),
    ] {
        let folder = Folder::new("");
        folder.write("vendor.schema.json", text);
        let peer = Peer::start([]).await;
        let delivery = delivered(folder.0.path(), &peer, schema).await;
        assert_eq!(delivery["state"], state, "{schema} {text}: {delivery}");
        let parked = state == "dead";
        assert_eq!(peer.received().is_empty(), parked, "{schema} {text}");
        if parked {
            let shown = delivery.to_string();
            let wanted = r#"the output does not fit vendor.schema.json: /phone: \"+49 1\" is not of type \"null\""#;
            assert!(
                shown.contains(wanted) && shown.contains("render"),
                "{shown}"
            );
        }
    }
}
