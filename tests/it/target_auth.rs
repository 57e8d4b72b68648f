//! How targets are told who we are: over real sockets, with a stand-in for who gives tokens.

use std::path::Path;
use std::time::Duration;

use ingate::secret::Secret;
use ingate::signature::{self, Outbound};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::stand::{Asked, Said, Stand};
use crate::support::{Daemon, wait_until, write_config};

const SECRET: &str = "a-plain-test-secret-of-40-characters-xyz";
const CLIENT: &str = "client-secret-of-the-auth-story";
const PASSWORD: &str = "pass/word of=the auth&story";

/// One target with this `auth`, signed as `sign` says, tried again after 50 ms.
fn config(target: &Stand, auth: &str, more: &str) -> String {
    format!(
        "sources: {{s: {{preset: hmac, secrets: [{{value: {SECRET}}}]}}}}\n\
         targets:\n  erp:\n    url: \"{}\"\n    retry: {{schedule: [50ms], attempts: 5}}\n    breaker: off\n    \
         auth: {auth}\n{more}\
         routes: [{{name: all, from: s, to: erp}}]\n",
        target.url("/hooks?v=1")
    )
}

fn oauth2(endpoint: &Stand, more: &str) -> String {
    format!(
        "{{oauth2: {{token_url: \"{}\", client_id: relay, client_secret: {{value: {CLIENT}}}{more}}}}}",
        endpoint.url("/token")
    )
}

fn token(number: usize) -> Said {
    let body = json!({"access_token": format!("token-number-{number}"), "token_type": "Bearer", "expires_in": 3600});
    Said::json(200, body)
}

async fn send(daemon: &Daemon, body: &str) -> String {
    let answer = daemon.send(&daemon.signed("s", SECRET, "", body)).await;
    assert_eq!(answer.status, 200);
    answer.json()["id"].as_str().unwrap().to_owned()
}

async fn delivery(daemon: &Daemon, event: &str) -> Value {
    let shown = daemon.admin_get(&format!("/api/v1/events/{event}")).await;
    shown.json()["deliveries"][0].clone()
}

async fn settled(daemon: &Daemon, event: &str, state: &str) -> Value {
    wait_until(state, async || {
        delivery(daemon, event).await["state"] == state
    })
    .await;
    delivery(daemon, event).await
}

async fn failed(daemon: &Daemon, event: &str) -> Value {
    wait_until("a failed attempt", async || {
        delivery(daemon, event).await["attempts_made"].as_u64() > Some(0)
    })
    .await;
    delivery(daemon, event).await["attempts"][0]["outcome"].clone()
}

fn ok(_: usize, _: &Asked) -> Said {
    Said::text(200, "")
}

#[tokio::test]
async fn what_is_always_the_same_is_sent_and_blotted_where_it_comes_back() {
    let value = serde_json::to_string(PASSWORD).unwrap();
    for (auth, kind, header, sent, path) in [
        (
            format!("{{basic: {{username: relay, password: {{value: {value}}}}}}}"),
            "basic",
            "authorization",
            "Basic cmVsYXk6cGFzcy93b3JkIG9mPXRoZSBhdXRoJnN0b3J5".to_owned(),
            "/hooks?v=1".to_owned(),
        ),
        (
            format!("{{bearer: {{value: {CLIENT}}}}}"),
            "bearer",
            "authorization",
            format!("Bearer {CLIENT}"),
            "/hooks?v=1".to_owned(),
        ),
        (
            format!("{{api_key: {{header: X-Api-Key, value: {{value: {CLIENT}}}}}}}"),
            "api_key",
            "x-api-key",
            CLIENT.to_owned(),
            "/hooks?v=1".to_owned(),
        ),
        (
            format!("{{api_key: {{query: key, value: {{value: {value}}}}}}}"),
            "api_key",
            "authorization",
            String::new(),
            "/hooks?v=1&key=pass%2Fword%20of%3Dthe%20auth%26story".to_owned(),
        ),
    ] {
        let target = Stand::start(|_, asked| Said::text(410, asked.echo())).await;
        let folder = tempfile::tempdir().unwrap();
        let daemon = Daemon::start(folder.path(), &config(&target, &auth, "")).await;
        let event = send(&daemon, "{}").await;
        let dead = settled(&daemon, &event, "dead").await;
        let asked = target.asked().remove(0);
        assert_eq!(
            (asked.header(header), asked.path.as_str()),
            (sent.as_str(), path.as_str())
        );
        let snippet = dead["attempts"][0]["outcome"]["snippet"].as_str().unwrap();
        assert!(snippet.contains("***"), "{snippet}");
        let shown = daemon.admin_get("/api/v1/targets/erp").await.json();
        assert_eq!(
            shown["auth"],
            json!({"kind": kind, "secret": {"from": "value", "name": null}})
        );
        assert_eq!(shown["url"], target.url("/hooks"));
        let all = [dead.to_string(), shown.to_string()].concat();
        for hidden in [PASSWORD, CLIENT, "cGFzcy93b3Jk", "pass%2Fword"] {
            assert!(!all.contains(hidden), "{kind}: {hidden} in {all}");
        }
        daemon.stop().await;
    }
}

#[tokio::test]
async fn a_key_in_the_query_is_a_part_of_the_url_that_is_signed() {
    let target = Stand::start(ok).await;
    let folder = tempfile::tempdir().unwrap();
    let auth = format!("{{api_key: {{query: key, value: {{value: {CLIENT}}}}}}}");
    let sign = format!(
        "    sign: {{preset: hmac, scheme: {{content: \"{{url}}{{body}}\"}}, secrets: [{{value: {SECRET}}}]}}\n"
    );
    let daemon = Daemon::start(folder.path(), &config(&target, &auth, &sign)).await;
    let event = send(&daemon, "{\"a\":1}").await;
    settled(&daemon, &event, "delivered").await;
    let asked = target.asked().remove(0);
    let signer = daemon.plan.targets["erp"].sign.as_ref().unwrap();
    let url = target.url(&asked.path);
    assert!(url.ends_with(&format!("/hooks?v=1&key={CLIENT}")), "{url}");
    let outbound = Outbound {
        id: "x",
        timestamp: Timestamp::now(),
        method: &http::Method::POST,
        url: &url,
        event_type: "x",
        body: b"{\"a\":1}",
    };
    let key = signer.scheme.signing_key(&Secret::new(SECRET)).unwrap();
    let wanted = signature::sign(&signer.scheme, &[key], &outbound).unwrap();
    let (name, value) = &wanted[0];
    assert_eq!(asked.headers.get(name), Some(value));
    daemon.stop().await;
}

#[tokio::test]
async fn one_token_serves_all_attempts() {
    let endpoint = Stand::start(|number, _| token(number).after(Duration::from_millis(100))).await;
    let target = Stand::start(ok).await;
    let folder = tempfile::tempdir().unwrap();
    let more = ", scopes: [write, \"orders:read\"], params: {audience: \"https://erp.example\"}";
    let config = config(&target, &oauth2(&endpoint, more), "");
    let daemon = Daemon::start(folder.path(), &config).await;
    let mut events = Vec::new();
    for number in 0..20 {
        events.push(send(&daemon, &format!("{{\"n\":{number}}}")).await);
    }
    for event in &events {
        settled(&daemon, event, "delivered").await;
    }
    assert_eq!(target.asked().len(), 20);
    for asked in target.asked() {
        assert_eq!(asked.header("authorization"), "Bearer token-number-0");
    }
    let asked = endpoint.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].method, "POST");
    assert_eq!(asked[0].path, "/token");
    assert_eq!(asked[0].field("grant_type"), "client_credentials");
    assert_eq!(asked[0].field("scope"), "write orders:read");
    assert_eq!(asked[0].field("audience"), "https://erp.example");
    assert_eq!(asked[0].field("client_secret"), "");
    assert!(asked[0].header("authorization").starts_with("Basic "));
    let series = "ingate_target_token_requests_total{target=\"erp\",result=\"ok\"}";
    assert_eq!(daemon.metric(series).await, 1.0);
    daemon.stop().await;
}

#[tokio::test]
async fn a_refused_token_is_replaced_within_the_attempt_once() {
    let endpoint = Stand::start(|number, _| token(number)).await;
    // Only the second token is good.
    let target = Stand::start(|_, asked| match asked.header("authorization") {
        "Bearer token-number-1" => Said::text(200, ""),
        _ => Said::text(401, asked.echo()),
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &config(&target, &oauth2(&endpoint, ""), "")).await;
    let event = send(&daemon, "{\"a\":1}").await;
    let delivered = settled(&daemon, &event, "delivered").await;
    assert_eq!(delivered["attempts_made"], 1);
    let asked = target.asked();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0].header("webhook-id"), asked[1].header("webhook-id"));
    assert_eq!(asked[1].body, "{\"a\":1}");
    assert_eq!(endpoint.asked().len(), 2);
    daemon.stop().await;
}

#[tokio::test]
async fn a_target_that_refuses_every_token_gets_two_requests_an_attempt_and_no_more() {
    let endpoint = Stand::start(|number, _| token(number)).await;
    let target = Stand::start(|_, asked| Said::text(401, asked.echo())).await;
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &config(&target, &oauth2(&endpoint, ""), "")).await;
    let event = send(&daemon, "{}").await;
    let dead = settled(&daemon, &event, "dead").await;
    assert_eq!(dead["attempts_made"], 5);
    assert_eq!(target.asked().len(), 10);
    assert_eq!(endpoint.asked().len(), 6);
    let outcome = &dead["attempts"][4]["outcome"];
    assert_eq!(outcome["status"], 401);
    let snippet = outcome["snippet"].as_str().unwrap();
    assert!(
        snippet.contains("***") && !dead.to_string().contains("token-number"),
        "{dead}"
    );
    daemon.stop().await;
}

/// What an attempt says of an endpoint that answers so; nothing of what is secret may be in it.
async fn of_endpoint(answer: impl Fn(usize, &Asked) -> Said + Send + Sync + 'static) -> Value {
    let endpoint = Stand::start(answer).await;
    let target = Stand::start(ok).await;
    let folder = tempfile::tempdir().unwrap();
    let more = "    timeout: 500ms\n";
    let auth = oauth2(&endpoint, ", client_auth: body");
    let daemon = Daemon::start(folder.path(), &config(&target, &auth, more)).await;
    let event = send(&daemon, "{}").await;
    let outcome = failed(&daemon, &event).await;
    let dead = settled(&daemon, &event, "dead").await;
    assert_eq!(endpoint.asked()[0].field("client_secret"), CLIENT);
    assert!(target.asked().is_empty());
    assert!(!dead.to_string().contains(CLIENT), "{dead}");
    assert_eq!(dead["attempts_made"], 5);
    let series = "ingate_delivery_attempts_total{target=\"erp\",result=\"token\"}";
    assert_eq!(daemon.metric(series).await, 5.0);
    let series = "ingate_target_token_requests_total{target=\"erp\",result=\"failed\"}";
    assert_eq!(daemon.metric(series).await, 5.0);
    daemon.stop().await;
    outcome
}

#[tokio::test]
async fn an_endpoint_that_gives_no_token_is_a_failure_of_the_attempt() {
    let said = |outcome: Value, wanted: &str| {
        let wanted = json!({"kind": "failed", "failure": "token", "detail": format!("token endpoint: {wanted}")});
        assert_eq!(outcome, wanted);
    };
    let refused = |_: usize, asked: &Asked| {
        let body = json!({"error": "invalid_client", "error_description": asked.echo()});
        Said::json(401, body)
    };
    said(of_endpoint(refused).await, "status 401, invalid_client");
    let broken = |_: usize, asked: &Asked| Said::text(500, asked.echo());
    said(of_endpoint(broken).await, "status 500");
    let garbage = |_: usize, asked: &Asked| Said::json(200, asked.echo());
    said(
        of_endpoint(garbage).await,
        "status 200, but there is no token in the answer",
    );
    let huge = |_: usize, _: &Asked| Said::json(200, json!({"access_token": "x".repeat(1 << 20)}));
    said(
        of_endpoint(huge).await,
        "status 200, the answer is longer than 65536 bytes",
    );
    let slow = |_: usize, _: &Asked| token(0).after(Duration::from_secs(3));
    said(of_endpoint(slow).await, "no answer in time");
}

#[tokio::test]
async fn a_token_that_ends_is_had_anew() {
    let endpoint = Stand::start(|number, _| {
        let body = json!({"access_token": format!("token-number-{number}"), "expires_in": 1});
        Said::json(200, body)
    })
    .await;
    let target = Stand::start(ok).await;
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &config(&target, &oauth2(&endpoint, ""), "")).await;
    for number in 0..2 {
        let event = send(&daemon, &format!("{{\"n\":{number}}}")).await;
        settled(&daemon, &event, "delivered").await;
        tokio::time::sleep(Duration::from_millis(1100)).await;
    }
    let sent: Vec<String> = target
        .asked()
        .iter()
        .map(|it| it.header("authorization").to_owned())
        .collect();
    assert_eq!(sent, ["Bearer token-number-0", "Bearer token-number-1"]);
    daemon.stop().await;
}

#[tokio::test]
async fn a_reload_keeps_the_token_while_auth_is_the_same() {
    let endpoint = Stand::start(|number, _| token(number)).await;
    let target = Stand::start(ok).await;
    let folder = tempfile::tempdir().unwrap();
    let auth = oauth2(&endpoint, "");
    let daemon = Daemon::start_reloading(folder.path(), &config(&target, &auth, "")).await;
    let mut number = 0;
    let mut deliver = async || {
        number += 1;
        let event = send(&daemon, &format!("{{\"n\":{number}}}")).await;
        settled(&daemon, &event, "delivered").await;
        target
            .asked()
            .pop()
            .unwrap()
            .header("authorization")
            .to_owned()
    };
    assert_eq!(deliver().await, "Bearer token-number-0");
    let again = async |folder: &Path, text: &str| {
        let before = daemon.metric("ingate_config_generation").await;
        write_config(folder, text);
        wait_until("the reload", async || {
            daemon.metric("ingate_config_generation").await > before
        })
        .await;
    };
    again(
        folder.path(),
        &config(&target, &auth, "    concurrency: 2\n"),
    )
    .await;
    assert_eq!(deliver().await, "Bearer token-number-0");
    let wider = oauth2(&endpoint, ", scopes: [more]");
    again(folder.path(), &config(&target, &wider, "")).await;
    assert_eq!(deliver().await, "Bearer token-number-1");
    assert_eq!(endpoint.asked()[1].field("scope"), "more");
    daemon.stop().await;
}

#[tokio::test]
async fn who_gives_tokens_is_held_to_the_policy() {
    let target = Stand::start(ok).await;
    let folder = tempfile::tempdir().unwrap();
    let auth = format!(
        "{{oauth2: {{token_url: \"http://localhost:1/token\", client_id: relay, client_secret: {{value: {CLIENT}}}}}}}"
    );
    let policy = format!(
        "egress: {{private: deny, allow: [\"{}/32\"]}}\n{}",
        "10.0.0.1",
        config(&target, &auth, "").replace("127.0.0.1", "localhost")
    );
    let daemon = Daemon::start(folder.path(), &policy).await;
    let event = send(&daemon, "{}").await;
    let outcome = failed(&daemon, &event).await;
    assert_eq!(outcome["failure"], "token");
    let detail = outcome["detail"].as_str().unwrap();
    assert!(
        detail.starts_with("token endpoint: every address of `localhost` is refused"),
        "{detail}"
    );
    daemon.stop().await;
}
