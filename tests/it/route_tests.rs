//! The tests of routes as an author uses them: `ingate test` runs them, shows what differs and writes what came out;
//! `ingate check` fails with them; those of the shipped templates pass.

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use crate::process::{data, ingate, words};

const TEMPLATE: &str = r#"{
  "id": {{ event.id }},
  "at": {{ event.received_at }},
  "today": {{ "now" | date: "%F" }},
  "name": {{ payload.vendor.name }},
  "total": {{ payload.vendor.total }},
  "tags": {{ payload.vendor.tags }}
}"#;

const EVENT: &str =
    r#"{"type": "vendor.updated", "vendor": {"name": "Acme", "total": 10, "tags": ["a", "b"]}}"#;

/// What the template makes of the event, in another order and with numbers written otherwise.
const EXPECTED: &str = r#"{
  "tags": ["a", "b"],
  "total": 1e1,
  "name": "Acme",
  "id": "019b8d99-6900-7000-8000-000000000000", "at": "2026-01-05T10:00:00Z", "today": "2026-01-05"
}"#;

/// A folder with a configuration, templates, events and what is expected.
struct Folder(tempfile::TempDir);

impl Folder {
    /// Routes are added as they are.
    fn new(routes: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("secret", "whsec_dGVzdC1zZWNyZXQtdGVzdC1zZWNyZXQtMDE=");
        folder.write("templates/vendor.liquid", TEMPLATE);
        folder.write("events/vendor.json", EVENT);
        folder.write("events/vendor.out.json", EXPECTED);
        folder.configure(routes);
        folder
    }

    fn configure(&self, routes: &str) {
        let config = format!(
            "sources:\n  wreno: {{preset: wreno, secrets: [{{file: secret}}]}}\n  \
             github: {{preset: github, secrets: [{{file: secret}}]}}\n\
             targets:\n  erp: {{url: \"http://127.0.0.1:9/\"}}\n  audit: {{url: \"http://127.0.0.1:9/\"}}\n\
             routes:\n{routes}  - {{name: rest, from: [wreno, github], to: [erp, audit]}}\n"
        );
        self.write("config.yaml", &config);
    }

    fn one() -> Self {
        Self::new(&route("vendors", ""))
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.path().join(name)).unwrap()
    }

    /// Runs a command on it: its exit code and both outputs, with the folder's path taken out.
    fn run(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let config = self.0.path().join("config.yaml").display().to_string();
        let (command, rest) = args.split_first().unwrap();
        let output = ingate(&[&[*command, "-c", &config], rest].concat());
        let place = format!("{}/", self.0.path().display());
        let told = |text: fn(&Output) -> String| text(&output).replace(&place, "");
        (output.status.code(), told(data), told(words))
    }

    fn json(&self, args: &[&str]) -> (Option<i32>, Value) {
        let (exit, data, words) = self.run(&[args, &["--json"]].concat());
        let json = serde_json::from_str(&data);
        (exit, json.unwrap_or_else(|e| panic!("{e}: {data} {words}")))
    }
}

/// A route with one test; `more` stands in its mapping.
fn route(name: &str, more: &str) -> String {
    format!(
        "  - {{name: {name}, from: wreno, template: vendor.liquid, to: [erp, audit]{more},\n     \
         tests: [{{event: events/vendor.json, expect: events/vendor.out.json}}]}}\n"
    )
}

#[test]
fn a_test_passes_whatever_the_order_of_members_and_the_writing_of_numbers() {
    let folder = Folder::one();
    let wanted = "pass  vendors  events/vendor.json\n1 passed\n".to_owned();
    assert_eq!(folder.run(&["test"]), (Some(0), wanted, String::new()));
    let (exit, shown, told) = folder.run(&["check"]);
    assert_eq!((exit, told.as_str()), (Some(0), ""));
    assert!(
        shown.contains("tests    vendor.liquid  1 of 1 passed\n"),
        "{shown}"
    );
    let (exit, json) = folder.json(&["check"]);
    assert_eq!((exit, &json["tests"][0]["passed"]), (Some(0), &json!(true)));
}

#[test]
fn what_differs_is_shown_by_its_place_and_as_lines() {
    let folder = Folder::one();
    let expected = EXPECTED
        .replace(r#"["a", "b"]"#, "[\"a\", \"b\u{200b}\", \"c\"]")
        .replace("1e1", "11")
        .replace(r#""today": "2026-01-05""#, r#""gone": {"k": 1}"#);
    folder.write("events/vendor.out.json", &expected);
    let wanted = r#"fail  vendors  events/vendor.json
  something else comes out
    tags[1]: expected "b\u200b", is "b" (only white space or what cannot be seen differs)
    tags[2]: missing, expected "c"
    total: expected 11, is 10
    today: unexpected, is "2026-01-05"
    gone: missing, expected {"k":1}

  --- events/vendor.out.json
  +++ what comes out
  @@ -1,14 +1,11 @@
   {
     "tags": [
       "a",
  -    "b\u200b",
  +    "b",
  -    "c"
     ],
  -  "total": 11,
  +  "total": 10,
     "name": "Acme",
     "id": "019b8d99-6900-7000-8000-000000000000",
     "at": "2026-01-05T10:00:00Z",
  +  "today": "2026-01-05",
  -  "gone": {
  -    "k": 1
  -  }
   }

0 passed, 1 failed
"#;
    assert_eq!(
        folder.run(&["test"]),
        (Some(1), wanted.to_owned(), String::new())
    );
    let (exit, _, told) = folder.run(&["check"]);
    assert_eq!(exit, Some(1));
    for part in [
        "error: events/vendor.out.json: route vendors does not make this of its event: tags[1]: expected",
        "total: expected 11, is 10; and 2 more",
        "help: `ingate test vendors` shows it whole",
    ] {
        assert!(told.contains(part), "{part} is missing in\n{told}");
    }
    let (exit, json) = folder.json(&["test"]);
    assert_eq!(exit, Some(1));
    let problem = &json["tests"][0]["problems"][0];
    assert_eq!(problem["kind"], json!("differs"), "{json}");
    assert_eq!(
        problem["differences"][2],
        json!({"at": "/total", "expected": "11", "actual": "10"})
    );
    assert_eq!(
        problem["differences"][4],
        json!({"at": "/gone", "expected": r#"{"k":1}"#, "actual": null})
    );
}

#[test]
fn bless_writes_what_came_out_and_then_the_test_passes() {
    let folder = Folder::one();
    std::fs::remove_file(folder.0.path().join("events/vendor.out.json")).unwrap();
    let (exit, shown, _) = folder.run(&["test"]);
    assert_eq!(exit, Some(1), "{shown}");
    for part in [
        "what is expected cannot be read: there is no such file\n    events/vendor.out.json\n",
        "`ingate test --bless` writes what comes out",
    ] {
        assert!(shown.contains(part), "{part} is missing in\n{shown}");
    }
    let (exit, _, told) = folder.run(&["check"]);
    assert_eq!(exit, Some(1));
    let part = "events/vendor.out.json: there is no such file (a test of route vendors)";
    assert!(told.contains(part), "{told}");

    let wanted =
        "wrote vendors  events/vendor.json -> events/vendor.out.json\n0 passed, 1 written\n";
    let (exit, shown, _) = folder.run(&["test", "--bless"]);
    assert_eq!((exit, shown.as_str()), (Some(0), wanted));
    let written = "{\n  \"id\": \"019b8d99-6900-7000-8000-000000000000\",\n  \"at\": \"2026-01-05T10:00:00Z\",\n  \
        \"today\": \"2026-01-05\",\n  \"name\": \"Acme\",\n  \"total\": 10,\n  \"tags\": [\n    \"a\",\n    \"b\"\n  ]\n}\n";
    assert_eq!(folder.read("events/vendor.out.json"), written);
    assert_eq!(folder.run(&["test"]).0, Some(0));

    // What passes is left as it was written, not JSON is replaced.
    folder.write("events/vendor.out.json", EXPECTED);
    let (exit, json) = folder.json(&["test", "--bless"]);
    assert_eq!((exit, &json["written"]), (Some(0), &json!(0)));
    assert_eq!(folder.read("events/vendor.out.json"), EXPECTED);
    folder.write("events/vendor.out.json", "{\"id\": ");
    let (exit, shown, _) = folder.run(&["test"]);
    assert_eq!(exit, Some(1));
    assert!(
        shown.contains("what is expected is not JSON: EOF"),
        "{shown}"
    );
    let (exit, json) = folder.json(&["test", "--bless"]);
    assert_eq!(
        (exit, &json["tests"][0]["written"]),
        (Some(0), &json!(true))
    );
    assert_eq!(folder.read("events/vendor.out.json"), written);
    // Nothing else is left in the folder.
    let events = std::fs::read_dir(folder.0.path().join("events")).unwrap();
    assert_eq!(events.count(), 2);
}

#[test]
fn what_cannot_be_expected_is_not_written() {
    let bad_schema = r#"{"properties": {"total": {"type": "string"}}}"#;
    for (what, template, event, routes, told) in [
        (
            "the template fails",
            r#"{"n": {{ payload.vendor.name | divided_by: 0 }}}"#,
            EVENT,
            route("vendors", ""),
            &[
                "it does not render",
                "vendor.liquid:1:",
                "^^^",
                "first the event must come out",
            ][..],
        ),
        (
            "the template fails for one target",
            r#"{"n": {% if target == "audit" %}{{ 1 | divided_by: 0 }}{% else %}1{% endif %}}"#,
            EVENT,
            route("vendors", ""),
            &[
                "for audit: it does not render",
                "for erp: something else",
                "first the event",
            ],
        ),
        (
            "the targets get different outputs",
            r#"{"target": {{ target }}}"#,
            EVENT,
            route("vendors", ""),
            &[
                "for erp: something else comes out",
                "for audit: something else comes out",
                "the targets get different outputs",
            ],
        ),
        (
            "the event is not JSON",
            TEMPLATE,
            "vendor=1",
            route("vendors", ""),
            &[
                "the sample is not JSON: expected value at line 1",
                "first the event",
            ],
        ),
        (
            "the route does not take it",
            TEMPLATE,
            EVENT,
            route("vendors", r#", match: {type: "invoice.*"}"#),
            &[
                "does not take the event: type must be invoice.*, it is vendor.updated",
                "first the event",
            ],
        ),
        (
            "a member is other than the route wants it",
            TEMPLATE,
            EVENT,
            route("vendors", ", match: {body: {vendor.total: {gt: 10}}}"),
            &["does not take the event: body.vendor.total must be {gt: 10}, it is 10"],
        ),
        (
            "the output does not fit",
            TEMPLATE,
            EVENT,
            route("vendors", ", schema: bad.schema.json"),
            &[
                "does not fit bad.schema.json",
                "/total: ",
                "first the event",
            ],
        ),
    ] {
        let folder = Folder::new(&routes);
        folder.write("bad.schema.json", bad_schema);
        folder.write("templates/vendor.liquid", template);
        folder.write("events/vendor.json", event);
        folder.write("events/vendor.out.json", "{}");
        let (exit, shown, _) = folder.run(&["test", "--bless"]);
        assert_eq!(exit, Some(1), "{what}: {shown}");
        for part in told {
            assert!(
                shown.contains(part),
                "{what}: {part} is missing in\n{shown}"
            );
        }
        assert_eq!(folder.read("events/vendor.out.json"), "{}", "{what}");
        assert_eq!(folder.run(&["check"]).0, Some(1), "{what}");
    }
    // Without an expectation that targets differ is said, too.
    let folder = Folder::one();
    folder.write("templates/vendor.liquid", r#"{"target": {{ target }}}"#);
    std::fs::remove_file(folder.0.path().join("events/vendor.out.json")).unwrap();
    let (_, shown, _) = folder.run(&["test"]);
    let part = "the targets get different outputs (erp | audit), and a test expects one for all";
    assert!(shown.contains(part), "{shown}");
}

#[test]
fn two_tests_that_expect_one_file_are_not_blessed_against_each_other() {
    let folder = Folder::new(
        "  - name: vendors\n    from: wreno\n    template: vendor.liquid\n    to: erp\n    tests:\n      \
         - {event: events/vendor.json, expect: events/vendor.out.json}\n      \
         - {event: events/other.json, expect: events/vendor.out.json}\n",
    );
    folder.write("events/other.json", &EVENT.replace("Acme", "Bolt"));
    for args in [&["test", "--bless"][..], &["test", "--bless", "other"]] {
        let (exit, shown, _) = folder.run(args);
        assert_eq!(exit, Some(1), "{shown}");
        let part = "not written: another test that expects this file makes something else";
        assert!(shown.contains(part), "{shown}");
        assert_eq!(folder.read("events/vendor.out.json"), EXPECTED);
    }
}

#[test]
fn headers_of_a_test_tell_what_a_body_does_not() {
    let routes = |headers: &str| {
        format!(
            "  - name: pushes\n    from: github\n    match: {{type: push, headers: {{x-tag: a}}}}\n    \
             template: vendor.liquid\n    to: erp\n    \
             tests: [{{event: events/vendor.json, expect: events/vendor.out.json{headers}}}]\n"
        )
    };
    let folder = Folder::new(&routes(""));
    let (exit, shown, _) = folder.run(&["test"]);
    assert_eq!(exit, Some(1));
    let part = "type must be push, it is unknown (`headers:` of the test gives the event headers)";
    assert!(shown.contains(part), "{shown}");
    folder.configure(&routes(", headers: {x-github-event: push}"));
    let (_, shown, _) = folder.run(&["test"]);
    assert!(
        shown.contains("headers.x-tag must be a, it is not there"),
        "{shown}"
    );
    folder.configure(&routes(", headers: {x-github-event: push, X-Tag: a}"));
    assert_eq!(folder.run(&["test"]).0, Some(0));
}

#[test]
fn a_filter_chooses_by_route_and_by_file() {
    let folder = Folder::new(&format!(
        "{}{}",
        route("vendors", ""),
        route("suppliers", "").replace("vendor.json", "supplier.json")
    ));
    folder.write("events/supplier.json", EVENT);
    for (filter, passed, left_out) in [
        ("vendors", 1, 1),
        ("suppl", 1, 1),
        ("events/vendor", 1, 1),
        ("events/", 2, 0),
        ("rs", 2, 0),
    ] {
        let (exit, json) = folder.json(&["test", filter]);
        assert_eq!(exit, Some(0), "{filter}");
        assert_eq!(
            (&json["passed"], &json["left_out"]),
            (&json!(passed), &json!(left_out)),
            "{filter}"
        );
    }
    let place = folder.0.path().file_name().unwrap().to_str().unwrap();
    for filter in ["nobody", place] {
        let (exit, shown, told) = folder.run(&["test", filter]);
        assert_eq!((exit, shown.as_str()), (Some(2), ""));
        let part = "(routes with tests: vendors, suppliers)";
        assert!(told.contains(part), "{told}");
    }
    // One that fails beside one that passes.
    folder.write("events/supplier.json", &EVENT.replace("Acme", "Bolt"));
    let (exit, shown, _) = folder.run(&["test"]);
    assert_eq!(exit, Some(1));
    assert!(
        shown.starts_with("pass  vendors    events/vendor.json\nfail  suppliers  "),
        "{shown}"
    );
    assert!(shown.ends_with("\n1 passed, 1 failed\n"), "{shown}");
    assert_eq!(folder.run(&["test", "vendors"]).0, Some(0));
}

#[test]
fn that_there_are_no_tests_is_said() {
    let folder = Folder::new("");
    let (exit, shown, told) = folder.run(&["test"]);
    assert_eq!((exit, shown.as_str()), (Some(0), ""));
    assert!(told.starts_with("there are no tests"), "{told}");
    let (exit, json) = folder.json(&["test"]);
    assert_eq!((exit, &json["ok"]), (Some(0), &json!(true)));
    assert_eq!(json["tests"], json!([]));
    assert_eq!(folder.run(&["test", "x"]).0, Some(2));
    std::fs::remove_file(folder.0.path().join("config.yaml")).unwrap();
    assert_eq!(folder.run(&["test"]).0, Some(78));
}

#[test]
fn the_shipped_templates_make_what_is_expected_of_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shown = |path: &str| root.join(path).display().to_string();
    let vendors = [
        ("wreno", "wreno-vendor"),
        ("compliancely", "compliancely-search"),
        ("wismolabs", "wismolabs-order"),
        ("wundaflow", "wundaflow-workflow"),
        ("wingspan", "wingspan-invoice"),
    ];
    let folder = Folder::new("");
    let mut config = format!(
        "templates: {}\nstrict: true\nsources:\n",
        shown("templates")
    );
    for (vendor, _) in vendors {
        config += &format!("  {vendor}: {{preset: {vendor}, secrets: [{{file: secret}}]}}\n");
    }
    config += "targets:\n  erp: {url: \"http://127.0.0.1:9/\"}\nroutes:\n";
    for (vendor, template) in vendors {
        let event = shown(&format!("src/signature/presets/samples/{vendor}.json"));
        let expect = shown(&format!("tests/cases/events/{vendor}.out.json"));
        config += &format!(
            "  - {{name: {vendor}, from: {vendor}, template: {template}.json.liquid, to: erp,\n     \
             tests: [{{event: {event}, expect: {expect}, headers: {{webhook-id: msg_1}}}}]}}\n"
        );
    }
    folder.write("config.yaml", &config);
    let (exit, shown, told) = folder.run(&["test"]);
    assert_eq!(exit, Some(0), "{shown}{told}");
    assert!(shown.ends_with("\n5 passed\n"), "{shown}");
}
