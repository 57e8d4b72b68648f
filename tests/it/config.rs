//! The configuration from the file to the plan: golden messages, the schema, the example, the defaults.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ingate::config::{Compiled, ConfigErrors, load, schema};
use ingate::plan::{BreakerPolicy, Dedupe, DedupeBy, Unmatched};
use ingate::trial;
use serde_json::Value;

/// A test secret in the form of Standard Webhooks: 32 bytes.
const WHSEC: &str = "whsec_dGVzdC1rZXktb25seS10ZXN0LWtleS1vbmx5LTEyMzQ=";

/// The environment of the tests.
fn env(name: &str) -> Option<String> {
    let value = match name {
        "WRENO_SECRET" => "wreno_dGVzdC1rZXktb25seS10ZXN0LWtleS1vbmx5LTEyMzQ=",
        "WUNDAFLOW_SECRET" | "GITHUB_SECRET" | "WHSEC" => WHSEC,
        "COMPLIANCELY_SECRET" | "WINGSPAN_SECRET" | "PLAIN_SECRET" => {
            "test-secret-of-thirty-two-bytes!"
        }
        "PARTNER_SECRET" => "psec_dGVzdC1rZXktb25seS10ZXN0LWtleS1vbmx5LTEyMzQ=",
        "INGATE_ADMIN_TOKEN" => "test-admin-token-of-some-length",
        "ERP_AUTHORIZATION" => "Bearer test",
        "PROXY_AUTHORIZATION" => "Basic dGVzdDp0ZXN0",
        "OTLP_AUTHORIZATION" => "Bearer for-tests",
        "SHORT_SECRET" => "short",
        "EMPTY_SECRET" => "",
        "LINES" => "a\nb",
        _ => return None,
    };
    Some(value.to_owned())
}

fn updating() -> bool {
    std::env::var_os("UPDATE_GOLDEN").is_some()
}

/// Compares with a golden file, or writes it where `UPDATE_GOLDEN` is set.
fn golden(path: &Path, got: &str) -> Result<(), String> {
    if updating() {
        fs::write(path, got).unwrap();
        return Ok(());
    }
    let wanted = fs::read_to_string(path).unwrap_or_default();
    if wanted == got {
        return Ok(());
    }
    Err(format!(
        "{}: not as it was (UPDATE_GOLDEN=1 writes it anew)\n--- wanted\n{wanted}\n--- got\n{got}",
        path.display()
    ))
}

/// Writes files to a folder of their own and loads its `config.yaml`.
fn load_files(files: &[(&str, &str)]) -> (tempfile::TempDir, Result<Compiled, ConfigErrors>) {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let folder = dir.path().display().to_string();
    let env = move |name: &str| match name {
        "CREDENTIALS_DIRECTORY" => Some(folder.clone()),
        name => env(name),
    };
    let loaded = load(&dir.path().join("config.yaml"), &env);
    (dir, loaded)
}

#[test]
fn mistakes_are_told_as_in_the_golden_files() {
    let folder = Path::new("tests/cases/config");
    let mut cases: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "yaml"))
        .collect();
    cases.sort();
    assert!(cases.len() > 25, "{} cases", cases.len());
    let failures: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            let errors = match load(case, &env) {
                Ok(_) => return Some(format!("{}: loads, but must not", case.display())),
                Err(errors) => errors,
            };
            golden(&case.with_extension("txt"), &format!("{errors}\n")).err()
        })
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn no_golden_message_holds_a_secret() {
    for entry in fs::read_dir("tests/cases/config").unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ext| ext == "txt") {
            let text = fs::read_to_string(&path).unwrap();
            assert!(!text.contains("hunter2"), "{}", path.display());
        }
    }
}

#[test]
fn a_file_that_cannot_be_read_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("none.yaml");
    let error = load(&file, &env).unwrap_err().to_string();
    assert!(
        error.contains("there is no such file") && error.contains("none.yaml"),
        "{error}"
    );
    assert!(
        load(dir.path(), &env)
            .unwrap_err()
            .to_string()
            .contains("folder")
    );
    fs::write(&file, b"a: 1\nb: \xff\n").unwrap();
    let error = load(&file, &env).unwrap_err().to_string();
    assert!(error.contains("UTF-8 (line 2)"), "{error}");
}

#[test]
fn very_many_mistakes_are_told_in_part_and_counted() {
    let names: Vec<String> = (0..20_000).map(|i| format!("s{i}")).collect();
    let text = format!(
        "{SMALL}  - {{name: many, from: [{}], to: erp}}\n",
        names.join(", ")
    );
    let (_dir, loaded) = load_files(&[("config.yaml", &text)]);
    let errors = loaded.unwrap_err();
    assert_eq!(errors.diagnostics().len(), 100);
    assert!(errors.to_string().ends_with("and 19900 more"));
}

#[test]
fn the_schema_file_is_current() {
    let got = format!("{}\n", serde_json::to_string_pretty(&schema()).unwrap());
    golden(Path::new("config.schema.json"), &got).unwrap();
}

/// A configuration as an editor sees it that knows the schema only.
fn as_json(yaml: &str) -> Result<Value, serde_yaml::Error> {
    serde_yaml::from_str(yaml)
}

fn validator() -> jsonschema::Validator {
    jsonschema::validator_for(&schema()).unwrap()
}

#[test]
fn the_schema_takes_what_is_right() {
    let validator = validator();
    for (name, text) in [
        (
            "the example",
            fs::read_to_string("config.example.yaml").unwrap(),
        ),
        (
            "the demo",
            fs::read_to_string("src/cli/demo/config.yaml").unwrap(),
        ),
        ("the README", {
            let readme = fs::read_to_string("README.md").unwrap();
            let rest = readme.split("```yaml\n").nth(1).unwrap();
            rest.split("```").next().unwrap().to_owned()
        }),
        ("the small one", SMALL.to_owned()),
        ("an empty one", "{}".to_owned()),
    ] {
        let value = as_json(&text.replace("{PUBLIC}", "127.0.0.1:0")).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(&value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{name}: {errors:#?}");
    }
}

/// The golden cases whose mistakes are of shape, which a schema can see.
const WRONG_IN_SHAPE: &[&str] = &[
    "aliases",
    "answer",
    "auth",
    "dedupe",
    "egress-proxy",
    "egress-proxy-address",
    "headers",
    "inline-secret",
    "limits",
    "match-shape",
    "missing-keys",
    "not-a-mapping",
    "postgres-keys",
    "postgres-shape",
    "redact",
    "retry",
    "schema-shape",
    "scheme",
    "secret-shapes",
    "several-at-once",
    "target-limits",
    "tests",
    "unknown-key",
    "ways",
    "wrong-type",
];

#[test]
fn the_schema_refuses_mistakes_of_shape() {
    let validator = validator();
    let mut refused = BTreeSet::new();
    for entry in fs::read_dir("tests/cases/config").unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ext| ext != "yaml") {
            continue;
        }
        // What is no YAML is no matter of the schema.
        let Ok(value) = as_json(&fs::read_to_string(&path).unwrap()) else {
            continue;
        };
        if !validator.is_valid(&value) {
            refused.insert(path.file_stem().unwrap().to_str().unwrap().to_owned());
        }
    }
    let refused: Vec<&str> = refused.iter().map(String::as_str).collect();
    assert_eq!(refused, WRONG_IN_SHAPE);
}

/// Calls `visit` with every mapping of a document that has keys of its own, and not names that the user gives.
fn shaped_mappings(value: &Value, path: &str, visit: &mut impl FnMut(&str)) {
    const OF_NAMES: [&str; 8] = [
        "/vars",
        "/sources",
        "/targets",
        "/headers",
        "/body",
        "/query",
        "/json",
        "/match/body",
    ];
    match value {
        Value::Object(members) => {
            if !OF_NAMES.iter().any(|name| path.ends_with(name)) {
                visit(path);
            }
            for (name, value) in members {
                let name = name.replace('~', "~0").replace('/', "~1");
                shaped_mappings(value, &format!("{path}/{name}"), visit);
            }
        }
        Value::Array(items) => {
            for (i, value) in items.iter().enumerate() {
                shaped_mappings(value, &format!("{path}/{i}"), visit);
            }
        }
        _ => {}
    }
}

#[test]
fn an_unknown_key_is_refused_at_every_level() {
    let validator = validator();
    let example = as_json(&fs::read_to_string("config.example.yaml").unwrap()).unwrap();
    let mut visited = 0;
    shaped_mappings(&example, "", &mut |path| {
        visited += 1;
        let mut wrong = example.clone();
        let mapping = wrong.pointer_mut(path).unwrap().as_object_mut().unwrap();
        mapping.insert("unheard".to_owned(), Value::Bool(true));
        assert!(
            !validator.is_valid(&wrong),
            "the schema takes it at {path:?}"
        );
        let text = serde_json::to_string_pretty(&wrong).unwrap();
        let (_dir, loaded) = load_files(&[("config.yaml", &text)]);
        let errors = loaded.unwrap_err().to_string();
        assert!(
            errors.contains("unheard: unknown key"),
            "{path:?}: {errors}"
        );
    });
    assert!(visited > 50, "{visited} mappings");
}

/// The names of all properties that the schema has anywhere.
fn property_names(schema: &Value, names: &mut BTreeSet<String>) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::Object(properties)) = members.get("properties") {
                names.extend(properties.keys().cloned());
            }
            members
                .values()
                .for_each(|value| property_names(value, names));
        }
        Value::Array(items) => items.iter().for_each(|item| property_names(item, names)),
        _ => {}
    }
}

#[test]
fn the_example_shows_every_key() {
    let example = fs::read_to_string("config.example.yaml").unwrap();
    let words: BTreeSet<&str> = example
        .split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | ':' | '-')))
        .filter_map(|word| word.strip_suffix(':'))
        .collect();
    let mut names = BTreeSet::new();
    property_names(&schema(), &mut names);
    assert!(names.len() > 50, "{names:?}");
    let missing: Vec<&String> = names
        .iter()
        .filter(|name| !words.contains(name.as_str()))
        .collect();
    assert!(
        missing.is_empty(),
        "not in config.example.yaml: {missing:?}"
    );
}

#[test]
fn the_example_loads_with_the_shipped_templates() {
    let mut files = vec![
        (
            "config.yaml".to_owned(),
            fs::read_to_string("config.example.yaml").unwrap(),
        ),
        ("secrets/erp".to_owned(), format!("{WHSEC}\n")),
        ("wismolabs".to_owned(), WHSEC.to_owned()),
    ];
    // The rest is what a checkout has, where it has it.
    for folder in [
        "templates",
        "tests/cases/events",
        "src/signature/presets/samples",
    ] {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let text = fs::read_to_string(&path).unwrap();
                files.push((path.display().to_string(), text));
            }
        }
    }
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(n, t)| (n.as_str(), t.as_str()))
        .collect();
    let (_dir, loaded) = load_files(&files);
    let compiled = loaded.unwrap_or_else(|errors| panic!("{errors}"));
    let warned: Vec<&str> = compiled.warnings.iter().map(|w| w.path.as_str()).collect();
    assert_eq!(warned, ["targets.finance.sign.secrets[0].value"]);
    let plan = &compiled.plan;
    assert_eq!(plan.sources.len(), 7);
    assert_eq!(plan.targets.len(), 3);
    assert_eq!(plan.router.routes().len(), 6);
    assert_eq!(compiled.templates.len(), 5);
    let outcomes = trial::run(plan, &compiled.tests);
    assert_eq!(outcomes.len(), 2);
    for outcome in &outcomes {
        assert!(outcome.passed(), "the example's own tests: {outcome:?}");
    }
    assert!(plan.paths.contains_key("/in/wreno") && plan.paths.contains_key("/hooks/wingspan"));
    let erp = &plan.targets["erp"];
    assert_eq!(erp.url, "http://127.0.0.1:9000/hooks");
    assert!(
        erp.headers
            .iter()
            .any(|(name, value)| name == "authorization" && value.is_sensitive())
    );
    assert!(
        erp.headers
            .iter()
            .any(|(name, value)| name == "x-tenant" && !value.is_sensitive())
    );
    assert_eq!(erp.rate.unwrap().to_string(), "50/s");
    assert_eq!(erp.breaker, plan.targets["finance"].breaker);
    assert_eq!(plan.targets["audit"].breaker, None);
    assert_eq!(plan.sources["wingspan"].dedupe, None);
    assert_eq!(plan.vars["tenant"], "acme");
}

#[test]
fn what_the_example_calls_a_default_is_one() {
    let text = fs::read_to_string("config.example.yaml").unwrap();
    let (marked, all) = (SECTIONS_OF_DEFAULTS, as_json(&text).unwrap());
    let mut with = as_json(SMALL).unwrap();
    for section in marked {
        with[section] = all[section].clone();
    }
    let explicit = serde_json::to_string_pretty(&with).unwrap();
    let [(_dir, explicit), (_other, implicit)] =
        [explicit.as_str(), SMALL].map(|text| load_files(&[("config.yaml", text)]));
    let mut shown = [explicit, implicit].map(|loaded| {
        let mut plan = loaded.unwrap_or_else(|errors| panic!("{errors}")).plan;
        plan.store.path = PathBuf::new();
        let general = (plan.listen, plan.unmatched, plan.max_hops, plan.drain);
        format!(
            "{general:?} {:?} {:?} {:?}",
            plan.store, plan.limits, plan.render
        )
    });
    let [explicit, implicit] = &mut shown;
    assert_eq!(explicit, implicit);
}

/// The sections of the example in which every value is the default.
const SECTIONS_OF_DEFAULTS: [&str; 4] = ["listen", "store", "limits", "unmatched"];

const SMALL: &str = "
sources:
  wreno: {preset: wreno, secrets: [{env: WRENO_SECRET}]}
  github: {preset: github, secrets: [{env: PLAIN_SECRET}]}
targets:
  erp: {url: 'http://127.0.0.1:9000/hooks'}
routes:
  - {name: all, from: [wreno, github], to: erp}
";

#[test]
fn what_is_left_out_has_its_default() {
    let (dir, loaded) = load_files(&[("config.yaml", SMALL)]);
    let compiled = loaded.unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(compiled.warnings, []);
    let plan = compiled.plan;
    assert_eq!(plan.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(plan.admin.listen.to_string(), "127.0.0.1:8081");
    assert!(plan.admin.token.is_none());
    assert_eq!(plan.store.path, dir.path().join("data"));
    assert_eq!(plan.store.retention, Duration::from_secs(7 * 86400));
    assert_eq!(plan.store.dead_retention, None);
    assert_eq!(plan.store.max_bytes, 10 << 30);
    assert_eq!(plan.limits.body_bytes, 1 << 20);
    assert_eq!(plan.limits.header_bytes, 64 << 10);
    assert_eq!(plan.render.output_bytes, 4 << 20);
    assert_eq!(plan.max_hops, 8);
    assert_eq!(plan.unmatched, Unmatched::Keep);
    let hours = |n: u64| Duration::from_secs(n * 3600);
    let by = |by, window| Some(Dedupe { by, window });
    // wreno signs its id, github does not
    assert_eq!(plan.sources["wreno"].dedupe, by(DedupeBy::Id, hours(48)));
    assert_eq!(
        plan.sources["github"].dedupe,
        by(DedupeBy::Body, hours(1) / 4)
    );
    assert_eq!(plan.targets["erp"].timeout, Duration::from_secs(15));
    assert_eq!(plan.targets["erp"].concurrency, 8);
    assert_eq!(plan.targets["erp"].rate, None);
    let breaker = BreakerPolicy {
        failures: 10,
        ratio: 0.5,
        requests: 20,
        window: Duration::from_secs(30),
    };
    assert_eq!(plan.targets["erp"].breaker, Some(breaker));
    assert!(plan.targets["erp"].sign.is_none());
    assert!(plan.router.routes()[0].template.is_none());
}

#[test]
fn warnings_do_not_keep_it_from_loading() {
    for (change, path, word) in [
        (
            "  idle: {preset: wreno, secrets: [{env: WRENO_SECRET}]}",
            "sources.idle",
            "no route",
        ),
        (
            "  github: {preset: github, secrets: [{env: SHORT_SECRET}]}",
            "sources.github.secrets[0]",
            "",
        ),
        (
            "  github: {preset: github, secrets: [{value: test-secret-of-thirty-two-bytes}]}",
            "sources.github.secrets[0].value",
            "stands in the configuration",
        ),
    ] {
        let name = change.split(':').next().unwrap();
        let kept: Vec<&str> = SMALL
            .lines()
            .filter(|line| !line.starts_with(&format!("{name}:")))
            .collect();
        let text = kept
            .join("\n")
            .replace("sources:", &format!("sources:\n{change}"));
        let (_dir, loaded) = load_files(&[("config.yaml", &text)]);
        let warnings = loaded
            .unwrap_or_else(|errors| panic!("{change}: {errors}"))
            .warnings;
        let found: Vec<&str> = warnings.iter().map(|w| w.path.as_str()).collect();
        assert_eq!(found, [path], "{change}");
        assert!(
            warnings[0].message.contains(word),
            "{change}: {}",
            warnings[0]
        );
    }
}

#[test]
fn secrets_come_from_files_and_credentials_without_their_line_feed() {
    let text = "
sources:
  a: {preset: standard-webhooks, secrets: [{file: keys/one}, {credential: two}, {env: WHSEC}]}
targets: {t: {url: 'http://127.0.0.1:9/'}}
routes: [{name: r, from: a, to: t}]
";
    let (_dir, loaded) = load_files(&[
        ("config.yaml", text),
        ("keys/one", &format!("{WHSEC}\n")),
        ("two", &format!("{WHSEC}\r\n")),
    ]);
    let compiled = loaded.unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(compiled.plan.sources["a"].checks.first().keys.len(), 3);
}

#[test]
fn templates_are_compiled_once_and_say_where_they_fail() {
    let text = "
sources: {a: {preset: wreno, secrets: [{env: WRENO_SECRET}]}}
targets: {t: {url: 'http://127.0.0.1:9/'}}
routes:
  - {name: one, from: a, template: good, to: t}
  - {name: two, from: a, template: good.liquid, to: t}
";
    let good = ("templates/good.liquid", "{\"id\": {{ payload.id }}}");
    let (_dir, loaded) = load_files(&[("config.yaml", text), good]);
    let compiled = loaded.unwrap_or_else(|errors| panic!("{errors}"));
    let [template] = &compiled.templates[..] else {
        panic!("{:?}", compiled.templates);
    };
    let routes: Vec<&str> = template.routes.iter().map(|name| name.as_str()).collect();
    assert_eq!(
        (template.name.as_str(), routes),
        ("good", vec!["one", "two"])
    );
    let bad = ("templates/good.liquid", "{\"id\":\n  {{ payload.id | }}}");
    let (dir, loaded) = load_files(&[("config.yaml", text), bad]);
    let errors = loaded.unwrap_err();
    let [error] = errors.diagnostics() else {
        panic!("{errors}");
    };
    assert_eq!(error.path, "routes[0].template");
    assert_eq!(
        error.file,
        dir.path()
            .join("templates/good.liquid")
            .display()
            .to_string()
    );
    assert_eq!(error.line, 2);
    assert_eq!(error.source_line, "  {{ payload.id | }}}");
}
