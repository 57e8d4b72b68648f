//! What is kept, what is not, and what can be loaded from it.

use super::super::{load_noted, store_folder};
use super::*;

const CONFIG: &str = r#"# whsec_comment_secret
listen: 127.0.0.1:0
store: {path: ./state}
sources:
  a: {preset: wreno, secrets: [{value: whsec_aW5saW5lLXNlY3JldC1vZi1h}, {env: A}]}
  b:
    preset: wreno
    secrets: [{file: secrets/b}]
targets:
  t:
    url: ${URL:-http://127.0.0.1:1/x}
    headers:
      x-tenant: "acme: \"1\""
      authorization: Bearer literal-token
      x-other: {env: A}
    sign: {preset: standard-webhooks, secrets: [{value: "whsec_aW5saW5lLXNlY3JldC1vZi10"}]}
routes:
  - {name: r, from: [a, b], template: x.json.liquid, to: t, match: {body: {n: {gte: 1.50}, s: "01", e: null}}}
"#;

fn env(name: &str) -> Option<String> {
    (name == "A").then(|| "whsec_ZnJvbS10aGUtZW52aXJvbm1lbnQ=".to_owned())
}

/// A folder with a good configuration.
fn site() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    for folder in ["state", "secrets", "templates"] {
        std::fs::create_dir(dir.path().join(folder)).unwrap();
    }
    let config = dir.path().join("config.yaml");
    std::fs::write(&config, CONFIG).unwrap();
    std::fs::write(
        dir.path().join("secrets/b"),
        "whsec_aW4tdGhlLWZpbGUtb2YtYg==",
    )
    .unwrap();
    std::fs::write(
        dir.path().join("templates/x.json.liquid"),
        "{\"a\": {{ payload.a }} }",
    )
    .unwrap();
    (dir, config)
}

fn kept(config: &Path) -> PathBuf {
    let store = store_folder(config, &env).unwrap();
    let (loaded, inputs) = load_noted(config, &env);
    loaded.unwrap();
    keep(&store, config, &inputs, Timestamp::UNIX_EPOCH).unwrap();
    store
}

#[test]
fn no_secret_is_kept() {
    let (_dir, config) = site();
    let folder = kept(&config).join(LAST_GOOD);
    let mut files = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for secret in [
            "whsec_",
            "aW5saW5l",
            "aW4tdGhl",
            "ZnJvbS10",
            "literal-token",
            "comment",
        ] {
            assert!(!text.contains(secret), "{secret} in\n{text}");
        }
        files += 1;
    }
    assert_eq!(files, 3, "configuration, template, manifest");
}

#[test]
fn what_is_kept_compiles_to_the_same() {
    let (dir, config) = site();
    let store = kept(&config);
    // Everything but the secrets is broken now.
    std::fs::write(dir.path().join("templates/x.json.liquid"), "{{").unwrap();
    std::fs::write(&config, format!("{CONFIG}\nnonsense: [")).unwrap();
    assert!(load_noted(&config, &env).0.is_err());
    let Kept { compiled, .. } = load_kept(&store, &config, &env).unwrap();
    let plan = compiled.plan;
    assert_eq!(plan.sources["a"].checks.first().keys.len(), 2);
    assert_eq!(plan.store.path, dir.path().join("state"));
    let target = &plan.targets["t"];
    assert_eq!(target.url.to_string(), "http://127.0.0.1:1/x");
    let header = |name: &str| {
        let found = target.headers.iter().find(|(known, _)| known == name);
        found.unwrap().1.to_str().unwrap().to_owned()
    };
    assert_eq!(header("x-tenant"), "acme: \"1\"");
    assert_eq!(header("authorization"), "Bearer literal-token");
    assert_eq!(header("x-other"), env("A").unwrap());
}

#[test]
fn what_cannot_be_used_is_told() {
    let (dir, config) = site();
    let store = store_folder(&config, &env).unwrap();
    assert_eq!(store, dir.path().join("state"));
    let told = |config: &Path| load_kept(&store, config, &env).unwrap_err().to_string();
    assert!(told(&config).starts_with("no last good configuration"));
    kept(&config);
    let other = dir.path().join("other.yaml");
    assert!(told(&other).contains("is that of"), "{}", told(&other));
    // Nothing can be read any more, so inline secrets are gone.
    std::fs::write(&config, "[").unwrap();
    let error = told(&config);
    assert!(error.contains("sources.a.secrets[0].value"), "{error}");
    assert!(error.contains("targets.t.headers.authorization"), "{error}");
    assert!(!error.contains("x-tenant"), "{error}");
    std::fs::write(store.join(LAST_GOOD).join(MANIFEST), "{").unwrap();
    assert!(told(&config).contains("is damaged"));
}

#[test]
fn a_list_of_secrets_is_as_it_is_now() {
    let (_dir, config) = site();
    let store = kept(&config);
    let new = "whsec_YS1uZXctb25lLWluLWZyb250";
    let text = CONFIG.replace(
        "secrets: [{value: whsec_aW5saW5l",
        &format!("secrets: [{{value: {new}}}, {{value: whsec_aW5saW5l"),
    );
    std::fs::write(&config, format!("{text}\nnonsense: 1\n")).unwrap();
    let Kept { compiled, .. } = load_kept(&store, &config, &env).unwrap();
    assert_eq!(compiled.plan.sources["a"].checks.first().keys.len(), 3);
}

#[test]
fn a_crash_between_two_renames_leaves_the_older_one() {
    let (_dir, config) = site();
    let store = kept(&config);
    let folder = store.join(LAST_GOOD);
    std::fs::rename(&folder, folder.with_extension("old")).unwrap();
    assert!(load_kept(&store, &config, &env).is_ok());
    kept(&config);
    assert!(!folder.with_extension("old").exists());
    assert!(load_kept(&store, &config, &env).is_ok());
}
