//! Templates through the operator's door: found wrong, tried, mended, saved, and the parked event delivered; samples and
//! tests saved; what is hidden stays hidden, and what leads out of the folder is refused.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use serde_json::{Value, json};

use crate::contract::Contract;
use crate::support::{Answer, Daemon, Peer, exchange, wait_until};

const SECRET: &str = "a-plain-test-secret-of-40-characters-xyz";

/// Fails on events whose `by` is 0.
const WRONG: &str = "{\n  \"é\": 1, \"half\": {{ payload.n | divided_by: payload.by }}\n}\n";

const MENDED: &str = "{\n  \"half\": {% if payload.by == 0 %}null{% else %}{{ payload.n | divided_by: payload.by }}{% endif %}\n}\n";

static CONTRACT: LazyLock<Contract> = LazyLock::new(Contract::load);

fn config(peer: &Peer) -> String {
    format!(
        "sources:\n\
         \x20 in: {{preset: hmac, secrets: [{{value: {SECRET}}}], redact: [/data/ssn]}}\n\
         targets: {{erp: {{url: \"{}\"}}}}\n\
         routes:\n\
         \x20 - {{name: shaped, from: in, match: {{body: {{kind: shaped}}}}, template: half.json, to: erp, cases: cases/shaped}}\n\
         \x20 - {{name: plain, from: in, match: {{body: {{kind: plain}}}}, template: half.json.liquid, to: erp}}\n",
        peer.url()
    )
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

async fn start(folder: &Path, peer: &Peer) -> Daemon {
    write(folder, "templates/half.json.liquid", WRONG);
    write(folder, "templates/parts/name.liquid", "{{ name }}");
    Daemon::start_editing(folder, &config(peer)).await
}

/// Asks the operator's door; every answer is held against the document.
async fn ask(
    daemon: &Daemon,
    line: &str,
    headers: &[(&str, &str)],
    body: Option<&Value>,
) -> Answer {
    let body = body.map(Value::to_string).unwrap_or_default();
    let mut head = format!(
        "{line} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n",
        daemon.admin,
        body.len()
    );
    if !body.is_empty() {
        head.push_str("Content-Type: application/json\r\n");
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let request = format!("{head}\r\n{body}");
    let answer = exchange(daemon.admin, request.as_bytes()).await.remove(0);
    let (verb, path) = line.split_once(' ').unwrap();
    if !path.starts_with("/api/v1/deliveries") && !path.starts_with("/api/v1/events") {
        let kind = answer.header("content-type");
        let held = CONTRACT.check(verb, path, answer.status, kind, &answer.body);
        assert_eq!(held, Ok(()), "{line}");
    }
    answer
}

async fn get(daemon: &Daemon, path: &str) -> Value {
    let answer = ask(daemon, &format!("GET {path}"), &[], None).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

async fn post(daemon: &Daemon, path: &str, body: &Value) -> Answer {
    ask(daemon, &format!("POST {path}"), &[], Some(body)).await
}

async fn render(daemon: &Daemon, text: &str, sample: Value) -> Value {
    let request = json!({"text": text, "name": "half.json.liquid", "sample": sample});
    let answer = post(daemon, "/api/v1/render", &request).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

const TEMPLATE: &str = "PUT /api/v1/templates/half.json.liquid";

async fn put(daemon: &Daemon, line: &str, headers: &[(&str, &str)], text: &str) -> Answer {
    ask(daemon, line, headers, Some(&json!({"text": text}))).await
}

fn code(answer: &Answer) -> (u16, String) {
    let code = answer.json()["error"]["code"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    (answer.status, code)
}

/// Sends an event; gives back its id.
async fn send(daemon: &Daemon, body: &Value) -> String {
    let answer = daemon
        .send(&daemon.signed("in", SECRET, "", body.to_string()))
        .await;
    assert_eq!(answer.status, 200);
    answer.json()["id"].as_str().unwrap().to_owned()
}

/// Sends an event that its template fails on; gives back its id and that of its delivery.
async fn parked(daemon: &Daemon, body: &Value) -> (String, String) {
    let event = send(daemon, body).await;
    let mut delivery = String::new();
    wait_until("the delivery is parked", async || {
        let shown = daemon
            .admin_get(&format!("/api/v1/events/{event}"))
            .await
            .json();
        let first = &shown["deliveries"][0];
        delivery = first["id"].as_str().unwrap_or_default().to_owned();
        first["state"] == "dead"
    })
    .await;
    (event, delivery)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_template_is_mended_and_the_parked_event_is_delivered() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::start([]).await;
    let daemon = start(folder.path(), &peer).await;
    let file = folder.path().join("templates/half.json.liquid");
    let (event, delivery) = parked(&daemon, &json!({"kind": "shaped", "n": 8, "by": 0})).await;

    let listed = get(&daemon, "/api/v1/templates").await;
    let names: Vec<&Value> = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["name"])
        .collect();
    assert_eq!(names, ["half.json.liquid", "parts/name.liquid"]);
    assert_eq!(listed["items"][0]["routes"], json!(["shaped", "plain"]));
    assert_eq!(listed["items"][1]["hash"], Value::Null);
    let shown = get(&daemon, "/api/v1/templates/half.json.liquid").await;
    assert_eq!(
        (&shown["text"], &shown["in_force"]),
        (&json!(WRONG), &json!(true))
    );
    let part = get(&daemon, "/api/v1/templates/parts%2Fname.liquid").await;
    assert_eq!(part["text"], "{{ name }}");

    // The place of the fault, in characters.
    let sample = json!({"event": event});
    let tried = render(&daemon, WRONG, sample.clone()).await;
    assert_eq!(tried["output"], Value::Null);
    let line = WRONG.lines().nth(1).unwrap();
    let at = line.find("divided_by").unwrap();
    let column = line[..at].chars().count() + 1;
    let error = &tried["error"];
    assert_eq!(
        (&error["line"], &error["column"]),
        (&json!(2), &json!(column)),
        "{error}"
    );
    assert_eq!(error["file"], "half.json.liquid");
    assert_eq!(tried["deployed"]["error"], *error);
    let tried = render(&daemon, MENDED, sample).await;
    assert_eq!(tried["output"], r#"{"half":null}"#);
    assert_eq!(tried["proof"]["verdict"], "proven");

    let etag = shown["etag"].as_str().unwrap();
    let (right, other) = (format!("\"{etag}\""), format!("\"{}\"", "0".repeat(64)));
    let answer = put(&daemon, TEMPLATE, &[], MENDED).await;
    assert_eq!(code(&answer), (428, "precondition_needed".to_owned()));
    let answer = put(&daemon, TEMPLATE, &[("If-Match", &other)], MENDED).await;
    assert_eq!(code(&answer), (412, "changed".to_owned()));
    let answer = put(&daemon, TEMPLATE, &[("If-None-Match", "*")], MENDED).await;
    assert_eq!(code(&answer), (412, "changed".to_owned()));
    let answer = put(
        &daemon,
        TEMPLATE,
        &[("If-Match", &right)],
        "{{ payload | nope }}",
    )
    .await;
    assert_eq!(answer.status, 422);
    let report = answer.json();
    assert_eq!(
        (&report["applied"], &report["errors"][0]["line"]),
        (&json!(false), &json!(1))
    );
    assert_eq!(
        std::fs::read_to_string(&file).unwrap(),
        WRONG,
        "nothing was written"
    );

    let applied = "ingate_config_reloads_total{result=\"applied\"}";
    let before = daemon.metric(applied).await;
    let answer = put(&daemon, TEMPLATE, &[("If-Match", &right)], MENDED).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), MENDED);
    let saved = answer.json();
    assert_eq!(saved["reload"]["applied"], true);
    assert_eq!(
        answer.header("etag"),
        Some(&*format!("\"{}\"", saved["etag"].as_str().unwrap()))
    );
    let shown = get(&daemon, "/api/v1/templates/half.json.liquid").await;
    assert_eq!(
        (&shown["in_force"], &shown["etag"]),
        (&json!(true), &saved["etag"])
    );
    assert_eq!(daemon.metric(applied).await, before + 1.0);

    let answer = ask(
        &daemon,
        &format!("POST /api/v1/deliveries/{delivery}/retry"),
        &[],
        None,
    )
    .await;
    assert_eq!(answer.status, 200);
    let received = peer.wait_for(1).await;
    assert_eq!(received[0].json(), json!({"half": null}));

    let audit = get(&daemon, "/api/v1/audit").await;
    let of_saving = |entry: &&Value| entry["action"] == "save_template";
    let saves: Vec<&Value> = audit["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(of_saving)
        .collect();
    assert_eq!(saves.len(), 4, "newest first: {saves:?}");
    assert_eq!(
        (&saves[0]["ok"], &saves[1]["ok"]),
        (&json!(true), &json!(false))
    );
    let detail = saves[0]["detail"].as_str().unwrap();
    assert!(detail.contains(etag) && detail.contains(saved["etag"].as_str().unwrap()));
    assert!(saves[0]["actor"].as_str().unwrap().contains("127.0.0.1"));
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn samples_are_saved_as_tests_and_guard_what_comes_after() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::start([]).await;
    let daemon = start(folder.path(), &peer).await;
    let cases = folder.path().join("cases/shaped");
    let body = r#"{"kind": "shaped", "n": 8, "by": 2}"#;
    let sample = |name: &str, expected: Option<&str>| {
        json!({
            "route": "shaped", "name": name, "body": body, "expected": expected,
            "headers": [{"name": "X-Region", "value": "eu"}],
        })
    };
    let wrong = sample("eight", Some(r#"{"half": 5}"#));
    let answer = post(&daemon, "/api/v1/samples", &wrong).await;
    assert_eq!(answer.status, 422);
    assert!(
        answer.json()["failed_tests"][0]
            .as_str()
            .unwrap()
            .contains("eight.json")
    );
    assert!(!cases.exists(), "nothing was written");

    let right = sample("eight", Some(r#"{"é": 1, "half": 4}"#));
    let answer = post(&daemon, "/api/v1/samples", &right).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let saved = answer.json();
    assert_eq!(
        (&saved["test"], &saved["name"]),
        (&json!(true), &json!("cases/shaped/eight.json"))
    );
    assert_eq!(
        saved["headers"],
        json!([{"name": "x-region", "value": "eu"}])
    );
    let id = saved["id"].as_str().unwrap();
    assert_eq!(
        answer.header("location"),
        Some(&*format!("/api/v1/samples/{id}"))
    );
    assert_eq!(
        std::fs::read_to_string(cases.join("eight.json")).unwrap(),
        body
    );
    assert_eq!(get(&daemon, &format!("/api/v1/samples/{id}")).await, saved);
    let tried = render(
        &daemon,
        "[{{ headers.x-region }}, {{ payload.n }}]",
        json!({"sample": id}),
    )
    .await;
    assert_eq!(tried["output"], r#"["eu",8]"#);

    let answer = post(&daemon, "/api/v1/samples", &right).await;
    assert_eq!(code(&answer), (409, "exists".to_owned()));
    let answer = post(&daemon, "/api/v1/samples", &sample("plain", None)).await;
    assert_eq!(answer.status, 201, "a sample only");
    let mut elsewhere = sample("x", None);
    elsewhere["route"] = json!("plain");
    let answer = post(&daemon, "/api/v1/samples", &elsewhere).await;
    assert_eq!(code(&answer), (409, "no_cases".to_owned()));
    for (name, value) in [
        ("route", "none"),
        ("name", "../x"),
        ("name", "a.out"),
        ("body", "{"),
        ("expected", ""),
    ] {
        let mut bad = sample("x", None);
        bad[name] = json!(value);
        let answer = post(&daemon, "/api/v1/samples", &bad).await;
        let wanted = if value == "none" { 404 } else { 400 };
        assert_eq!(answer.status, wanted, "{name} {value}: {}", answer.text());
    }

    // A template that makes something else of it is refused, at saving and at a reload.
    let shown = get(&daemon, "/api/v1/templates/half.json.liquid").await;
    let etag = format!("\"{}\"", shown["etag"].as_str().unwrap());
    let answer = put(&daemon, TEMPLATE, &[("If-Match", &etag)], "{\"half\": 4}").await;
    assert_eq!(answer.status, 422);
    assert_eq!(answer.json()["failed_tests"].as_array().unwrap().len(), 1);
    write(folder.path(), "templates/half.json.liquid", "{\"half\": 4}");
    let answer = ask(&daemon, "POST /api/v1/reload", &[], None).await;
    assert_eq!(answer.status, 422);
    assert!(
        answer.json()["failed_tests"][0]
            .as_str()
            .unwrap()
            .contains("eight.json")
    );
    let shown = get(&daemon, "/api/v1/templates/half.json.liquid").await;
    assert_eq!(
        (&shown["in_force"], &shown["deployed_text"]),
        (&json!(false), &json!(WRONG))
    );
    write(folder.path(), "templates/half.json.liquid", WRONG);

    // A case that comes into the folder by hand is seen.
    write(folder.path(), "cases/shaped/by-hand.json", body);
    wait_until("the case is seen", async || {
        let listed = get(&daemon, "/api/v1/samples?route=shaped").await;
        listed["items"].as_array().unwrap().len() == 3
    })
    .await;
    let names = get(&daemon, "/api/v1/samples").await;
    let names: Vec<&str> = names["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["name"].as_str().unwrap())
        .collect();
    let wanted = ["by-hand", "eight", "plain"].map(|name| format!("cases/shaped/{name}.json"));
    assert_eq!(names, wanted);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_hidden_never_comes_out() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::start([]).await;
    let daemon = start(folder.path(), &peer).await;
    let hidden = "078-05-1120";
    let body = json!({"kind": "other", "data": {"ssn": hidden, "name": "Ann"}});
    let event = send(&daemon, &body).await;
    for text in [
        "{{ payload }}",
        "[{{ payload.data.ssn }}, {{ payload.data.ssn | size }}]",
        "{{ payload.data.ssn | split: '' }}",
        "{{ payload.data.ssn | base64_encode }}",
        "{{ payload.data.name | truncate: payload.data.ssn }}",
        "{% for pair in payload.data %}{{ pair[1] | upcase }}{% endfor %}",
    ] {
        let tried = render(&daemon, text, json!({"event": event})).await;
        assert_eq!(tried["redacted"], true);
        let shown = tried.to_string();
        for part in [
            hidden,
            "078",
            "1120",
            "\\\"0\\\",\\\"7\\\",\\\"8\\\"",
            "MDc4",
        ] {
            assert!(!shown.contains(part), "{text}: {shown}");
        }
    }
    let answer = post(
        &daemon,
        "/api/v1/complete",
        &json!({"sample": {"event": event}}),
    )
    .await;
    assert_eq!(answer.status, 200);
    assert!(!answer.text().contains("1120"), "{}", answer.text());
    let complete = answer.json();
    let paths = complete["paths"].as_array().unwrap();
    let named = |name: &str| paths.iter().find(|path| path["path"] == name).unwrap();
    assert_eq!(named("payload.data.name")["example"], "\"Ann\"");
    assert_eq!(named("event.source")["kind"], "string");
    assert!(
        complete["filters"]
            .as_array()
            .unwrap()
            .contains(&json!("upcase"))
    );
    assert!(complete["tags"].as_array().unwrap().contains(&json!("for")));

    let message = daemon.signed("in", SECRET, "", "no json");
    let id = daemon.send(&message).await.json()["id"].clone();
    let request = json!({"text": "1", "sample": {"event": id}});
    let answer = post(&daemon, "/api/v1/render", &request).await;
    assert_eq!(code(&answer), (403, "hidden".to_owned()));
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_that_lead_elsewhere_are_refused_and_new_files_replace_none() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::start([]).await;
    write(folder.path(), "secret.liquid", "secret");
    std::fs::create_dir_all(folder.path().join("templates")).unwrap();
    std::fs::create_dir_all(folder.path().join("outside")).unwrap();
    symlink(
        "../secret.liquid",
        folder.path().join("templates/link.liquid"),
    )
    .unwrap();
    symlink("../outside", folder.path().join("templates/away")).unwrap();
    let daemon = start(folder.path(), &peer).await;
    for name in [
        "..%2Fsecret.liquid",
        "link.liquid",
        "away%2Fnew.liquid",
        "no%2Fnew.liquid",
        "%2Fetc%2Fx.liquid",
        ".hidden.liquid",
        "half.json",
        "a%00.liquid",
        "parts",
    ] {
        let path = format!("/api/v1/templates/{name}");
        let answer = ask(&daemon, &format!("GET {path}"), &[], None).await;
        assert_eq!(code(&answer), (404, "not_found".to_owned()), "{name}");
        for header in [
            ("If-None-Match", "*".to_owned()),
            ("If-Match", format!("\"{}\"", "0".repeat(64))),
        ] {
            let answer = put(
                &daemon,
                &format!("PUT {path}"),
                &[(header.0, &header.1)],
                "1",
            )
            .await;
            assert_eq!(code(&answer), (404, "not_found".to_owned()), "{name}");
        }
    }
    assert_eq!(
        std::fs::read_to_string(folder.path().join("secret.liquid")).unwrap(),
        "secret"
    );
    assert_eq!(
        std::fs::read_dir(folder.path().join("outside"))
            .unwrap()
            .count(),
        0
    );

    let line = "PUT /api/v1/templates/parts%2Fnew.liquid";
    let new = [("If-None-Match", "*")];
    let answer = put(&daemon, line, &new, "{{ x | nope }}").await;
    assert_eq!(
        answer.status, 422,
        "no route names it, and still it must compile"
    );
    assert_eq!(answer.json()["errors"][0]["column"], 8);
    let answer = put(
        &daemon,
        line,
        &new,
        "{{ x }}{% if x %}{% render 'parts/new' %}{% endif %}",
    )
    .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    std::fs::remove_file(folder.path().join("templates/parts/new.liquid")).unwrap();
    let answer = put(&daemon, line, &new, "{{ x }}").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = put(&daemon, line, &new, "{{ y }}").await;
    assert_eq!(code(&answer), (412, "changed".to_owned()));
    let text = get(&daemon, "/api/v1/templates/parts%2Fnew.liquid").await;
    assert_eq!(
        (&text["text"], &text["routes"]),
        (&json!("{{ x }}"), &json!([]))
    );
    let left: Vec<String> = std::fs::read_dir(folder.path().join("templates/parts"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(left.len(), 2, "nothing is left behind: {left:?}");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_who_save_at_once_one_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::start([]).await;
    let daemon = Arc::new(start(folder.path(), &peer).await);
    let shown = get(&daemon, "/api/v1/templates/half.json.liquid").await;
    let etag = format!("\"{}\"", shown["etag"].as_str().unwrap());
    let mut savers = Vec::new();
    for n in 0..4 {
        let (daemon, etag) = (Arc::clone(&daemon), etag.clone());
        savers.push(tokio::spawn(async move {
            let text = format!("{{\"by\": {n}}}");
            put(&daemon, TEMPLATE, &[("If-Match", &etag)], &text)
                .await
                .status
        }));
    }
    let mut statuses = Vec::new();
    for saver in savers {
        statuses.push(saver.await.unwrap());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412, 412, 412]);
    let shown = get(&daemon, "/api/v1/templates/half.json.liquid").await;
    assert_eq!(shown["in_force"], true);
    Arc::into_inner(daemon).unwrap().stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_large_or_endless_ends_and_saving_can_be_off() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::start([]).await;
    write(folder.path(), "templates/half.json.liquid", WRONG);
    let daemon = Daemon::start_reloading(folder.path(), &config(&peer)).await;
    let given = json!({"body": "{}", "source": "in", "type": "t"});
    let endless = "[{% for a in (1..100000) %}{% for b in (1..100000) %}{% assign c = b %}{% endfor %}{% endfor %}1]";
    let tried = render(&daemon, endless, given.clone()).await;
    assert!(
        tried["error"]["message"]
            .as_str()
            .unwrap()
            .contains("steps"),
        "{tried}"
    );
    let swelling = "[{% assign a = 'xxxxxxxxxxxxxxxx' %}{% for n in (1..100) %}{% assign a = a | append: a %}{% endfor %}1]";
    let tried = render(&daemon, swelling, given.clone()).await;
    assert!(tried["error"].is_object(), "{tried}");

    let request = |text: String| json!({"text": text, "sample": given});
    let answer = post(
        &daemon,
        "/api/v1/render",
        &request("x".repeat((1 << 20) + 1)),
    )
    .await;
    assert_eq!(code(&answer), (400, "bad_body".to_owned()));
    let answer = post(&daemon, "/api/v1/render", &request("x".repeat(5 << 20))).await;
    assert_eq!(code(&answer), (413, "body_too_large".to_owned()));
    for bad in [
        json!({"text": "1"}),
        json!({"text": "1", "sample": {}}),
        json!({"text": "1", "sample": {"body": "{}", "sample": "0123456789abcdef"}}),
        json!({"text": "1", "sample": {"body": "{}"}, "more": 1}),
        json!({"text": "1", "sample": {"body": "{"}}),
        json!({"text": "1", "sample": {"body": "{}", "headers": [{"name": "a b", "value": ""}]}}),
        json!({"text": "1", "sample": {"event": "7"}}),
    ] {
        let answer = post(&daemon, "/api/v1/render", &bad).await;
        assert_eq!(code(&answer), (400, "bad_body".to_owned()), "{bad}");
    }
    for missing in [
        json!({"text": "1", "sample": {"event": "019b8d99-6900-7000-8000-000000000000"}}),
        json!({"text": "1", "sample": {"sample": "0123456789abcdef"}}),
        json!({"text": "1", "sample": {"body": "{}", "source": "none"}}),
        json!({"text": "1", "route": "none", "sample": {"body": "{}"}}),
        json!({"text": "1", "target": "none", "sample": {"body": "{}"}}),
    ] {
        let answer = post(&daemon, "/api/v1/render", &missing).await;
        assert_eq!(code(&answer), (404, "not_found".to_owned()), "{missing}");
    }

    let any = format!("\"{}\"", "0".repeat(64));
    let answer = put(&daemon, TEMPLATE, &[("If-Match", &any)], MENDED).await;
    assert_eq!(code(&answer), (403, "editing_off".to_owned()));
    let sample = json!({"route": "shaped", "name": "x", "body": "{}"});
    let answer = post(&daemon, "/api/v1/samples", &sample).await;
    assert_eq!(code(&answer), (403, "editing_off".to_owned()));
    daemon.stop().await;
}
