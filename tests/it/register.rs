//! `ingate register wingspan` against a stand-in of the calls that it makes.

use std::process::Output;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::process::{binary, data, words};
use crate::stand::{Asked, Said, Stand};

const TOKEN: &str = "token-of-the-registration";
const SECRET: &str = "shared-secret-of-\"the\"-registration";
const EVENTS: [&str; 3] = ["InvoiceCreated", "InvoicePaid", "PayeeCreated"];

/// Wingspan's calls, as its SDK has them: what is registered is kept, and is listed with its secret.
async fn wingspan() -> Stand {
    let kept: Arc<Mutex<Vec<Value>>> = Arc::default();
    Stand::start(move |_, asked| {
        let mut kept = kept.lock().unwrap();
        if asked.header("authorization") != format!("Bearer {TOKEN}") {
            return Said::json(401, json!({"message": asked.echo()}));
        }
        let preference = "/integrations/webhooks/preference";
        let of = |body: &str| -> Value { serde_json::from_str(body).unwrap() };
        match (asked.method.as_str(), asked.path.as_str()) {
            ("GET", "/integrations/webhooks/eventnames") => {
                let names = EVENTS.map(|name| json!({"eventName": name, "userId": "u"}));
                Said::json(200, json!(names))
            }
            ("GET", path) if path == preference => Said::json(200, json!(*kept)),
            ("POST", path) if path == preference => {
                let sent = of(&asked.body);
                let events = sent["subscribedEvents"].as_array().unwrap();
                if events
                    .iter()
                    .any(|name| !EVENTS.contains(&name.as_str().unwrap()))
                {
                    return Said::json(422, json!({"message": format!("no such event in {sent}")}));
                }
                let mut one = sent;
                one["preferenceId"] = json!(format!("pref-{}", kept.len()));
                one["updatedAt"] = json!("2026-11-28T03:00:00Z");
                kept.push(one.clone());
                Said::json(200, one)
            }
            ("PATCH", path) => {
                let id = path
                    .strip_prefix(preference)
                    .unwrap()
                    .trim_start_matches('/');
                let one = kept
                    .iter_mut()
                    .find(|one| one["preferenceId"] == id)
                    .unwrap();
                for (key, value) in of(&asked.body).as_object().unwrap() {
                    one[key] = value.clone();
                }
                Said::json(200, one.clone())
            }
            other => Said::json(404, json!({"message": format!("{other:?}")})),
        }
    })
    .await
}

async fn run(args: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = binary();
    command.args(["register", "wingspan"]).args(args);
    command.env_remove("WINGSPAN_TOKEN");
    command.envs(environment.iter().copied());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await;
    let output = output.unwrap();
    for text in [data(&output), words(&output)] {
        for hidden in [TOKEN, "shared-secret", "the\\\"-registration"] {
            assert!(!text.contains(hidden), "{args:?}: {hidden} in {text}");
        }
    }
    output
}

const GOOD: [(&str, &str); 2] = [("WINGSPAN_TOKEN", TOKEN), ("SHARED", SECRET)];

fn changes(stand: &Stand) -> Vec<Asked> {
    let asked = stand.asked().into_iter();
    asked.filter(|it| it.method != "GET").collect()
}

#[tokio::test]
async fn url_secret_and_events_are_registered_and_changed_the_next_time() {
    let stand = wingspan().await;
    let base = stand.url("");
    let own = "https://hooks.example.com/in/wingspan";
    let args = |events: &'static str| {
        [
            "--base-url",
            &base,
            "--url",
            own,
            "--secret-env",
            "SHARED",
            "--events",
            events,
        ]
        .map(str::to_owned)
    };
    let register = async |events: &'static str, more: &[&str]| {
        let args = args(events);
        let mut args: Vec<&str> = args.iter().map(String::as_str).collect();
        args.extend(more);
        run(&args, &GOOD).await
    };
    let output = register("InvoicePaid,InvoiceCreated", &[]).await;
    assert_eq!(output.status.code(), Some(0), "{}", words(&output));
    assert_eq!(words(&output), format!("{own} is registered\n"));
    assert_eq!(
        data(&output),
        format!(
            "{own}\n  events      InvoiceCreated, InvoicePaid\n  changed     2026-11-28T03:00:00Z\n"
        )
    );
    let sent = changes(&stand);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].method, "POST");
    assert_eq!(sent[0].path, "/integrations/webhooks/preference");
    assert_eq!(sent[0].header("content-type"), "application/json");
    let body: Value = serde_json::from_str(&sent[0].body).unwrap();
    let wanted = json!({"url": own, "sharedSecret": SECRET, "subscribedEvents": ["InvoiceCreated", "InvoicePaid"]});
    assert_eq!(body, wanted);

    // It is known by now, and nothing is changed by a look.
    let output = register("all", &["--dry-run"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", words(&output));
    let shown = data(&output);
    let first = format!(
        "PATCH {base}/integrations/webhooks/preference/pref-0\nauthorization: Bearer ***\n"
    );
    assert!(shown.starts_with(&first), "{shown}");
    assert!(
        shown.contains("\"sharedSecret\": \"***\"") && shown.contains("PayeeCreated"),
        "{shown}"
    );
    assert_eq!(changes(&stand).len(), 1);
    let output = register("all", &["--dry-run", "--json"]).await;
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(shown["method"], "PATCH");
    assert_eq!(shown["body"]["subscribedEvents"], json!(EVENTS));

    let output = register("all", &["--json"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", words(&output));
    assert_eq!(
        words(&output),
        format!("{own} was registered and is changed\n")
    );
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(shown[0]["events"], json!(EVENTS));
    assert_eq!(shown.as_array().unwrap().len(), 1);
    let sent = changes(&stand);
    assert_eq!((sent.len(), sent[1].method.as_str()), (2, "PATCH"));
}

#[tokio::test]
async fn a_source_says_where_events_go_and_what_signs_them() {
    let stand = wingspan().await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("shared"), format!("{SECRET}\n")).unwrap();
    std::fs::write(folder.path().join("token"), format!("{TOKEN}\n")).unwrap();
    let config = "sources:\n  ws: {preset: wingspan, secrets: [{file: shared}], url: https://h.example/in/ws}\n  bare: {preset: wingspan, secrets: [{file: shared}]}\n\
         targets: {t: {url: \"http://127.0.0.1:9/\"}}\nroutes: [{name: r, from: [ws, bare], to: t}]\n";
    let path = folder.path().join("config.yaml");
    std::fs::write(&path, config).unwrap();
    let (path, token) = (path.to_str().unwrap(), folder.path().join("token"));
    let base = stand.url("/");
    let run_for = async |source: &str| {
        let args = [
            "-c",
            path,
            "--base-url",
            &base,
            "--source",
            source,
            "--events",
            "InvoicePaid",
            "--token-file",
            token.to_str().unwrap(),
        ];
        run(&args, &[]).await
    };
    let output = run_for("ws").await;
    assert_eq!(output.status.code(), Some(0), "{}", words(&output));
    let body: Value = serde_json::from_str(&changes(&stand)[0].body).unwrap();
    assert_eq!(body["url"], "https://h.example/in/ws");
    assert_eq!(body["sharedSecret"], SECRET);
    let output = run_for("bare").await;
    assert_eq!(output.status.code(), Some(78));
    assert!(
        words(&output).contains("sources.bare.url is missing"),
        "{}",
        words(&output)
    );
    let output = run_for("none").await;
    assert_eq!(output.status.code(), Some(2));
    assert!(
        words(&output).contains("known: bare, ws"),
        "{}",
        words(&output)
    );
}

#[tokio::test]
async fn names_of_events_are_listed() {
    let stand = wingspan().await;
    let base = stand.url("");
    let output = run(&["--base-url", &base, "--list-events"], &GOOD).await;
    assert_eq!(data(&output), "InvoiceCreated\nInvoicePaid\nPayeeCreated\n");
    let output = run(&["--base-url", &base, "--list-events", "--json"], &GOOD).await;
    assert_eq!(
        serde_json::from_slice::<Value>(&output.stdout).unwrap(),
        json!(EVENTS)
    );
    assert!(changes(&stand).is_empty());
}

#[tokio::test]
async fn what_goes_wrong_is_told_and_secrets_are_not() {
    let stand = wingspan().await;
    let base = stand.url("");
    let with = |base: &str, events: &str| {
        let args = [
            "--base-url",
            base,
            "--url",
            "https://h.example/x",
            "--secret-env",
            "SHARED",
            "--events",
            events,
        ];
        args.map(str::to_owned).to_vec()
    };
    let told =
        async |args: Vec<String>, environment: &[(&str, &str)], exit: i32, parts: &[&str]| {
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let output = run(&args, environment).await;
            let said = words(&output);
            assert_eq!(output.status.code(), Some(exit), "{args:?}: {said}");
            assert!(data(&output).is_empty());
            for part in parts {
                assert!(said.contains(part), "{part:?} is not in {said}");
            }
        };
    let wrong = [
        ("WINGSPAN_TOKEN", "shared-secret-that-is-no-token"),
        ("SHARED", SECRET),
    ];
    told(
        with(&base, "InvoicePaid"),
        &wrong,
        1,
        &["status 401", "the token is not accepted", "not shown"],
    )
    .await;
    told(
        with(&base, "InvoicPaid"),
        &GOOD,
        1,
        &["status 422", "not shown", "--list-events"],
    )
    .await;
    told(
        with(&stand.url("/v9"), "InvoicePaid"),
        &GOOD,
        1,
        &["status 404", "there is no such call"],
    )
    .await;
    told(
        with(&base, "InvoicePaid"),
        &GOOD[1..],
        2,
        &["WINGSPAN_TOKEN is not set", "--token-file"],
    )
    .await;
    told(
        with(&base, "InvoicePaid"),
        &GOOD[..1],
        2,
        &["SHARED is not set"],
    )
    .await;
    told(
        with(&base, "all,InvoicePaid"),
        &GOOD,
        2,
        &["`all` stands alone"],
    )
    .await;
    told(
        with("http://api.wingspan.app", "all"),
        &GOOD,
        2,
        &["https is needed"],
    )
    .await;
    told(
        with("http://127.0.0.1:1", "all"),
        &GOOD,
        69,
        &["127.0.0.1:1/integrations"],
    )
    .await;
    assert!(
        changes(&stand)
            .iter()
            .all(|asked| asked.body.contains("InvoicPaid"))
    );
    for (status, parts) in [
        (403, ["status 403", "not allowed"]),
        (500, ["status 500", "on its side"]),
        (302, ["status 302", "elsewhere"]),
        (200, ["no list", "event names"]),
    ] {
        let odd = Stand::start(move |_, asked| Said::text(status, asked.echo())).await;
        let parts = match status {
            200 => ["answered, but not in JSON", "Wingspan"],
            _ => parts,
        };
        told(with(&odd.url(""), "all"), &GOOD, 1, &parts).await;
    }
}
