//! A whole run at the highest log level, after which nothing that was printed, shown or stored holds a
//! secret, a signature or a computed MAC.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ingate::config;
use ingate::plan::Plan;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::process::Site;
use crate::stand::{Said, Stand};
use crate::support::{Answer, Message, Peer, Received, Turn, exchange, wait_until};
use crate::tls::Authority;

/// Sources by preset, each with a secret of its own.
const SOURCES: [(&str, &str); 9] = [
    ("hmac", "plain-secret-of-hmac-0123456789"),
    ("wreno", "test_d3Jlbm8gc2VjcmV0IG9mIHRoZSBzZWNyZWN5IHRlc3Q="),
    ("github", "plain-secret-of-github-0123456789"),
    ("stripe", "plain-secret-of-stripe-0123456789"),
    ("slack", "plain-secret-of-slack-0123456789"),
    ("shopify", "plain-secret-of-shopify-0123456789"),
    ("svix", "whsec_c3ZpeCBzZWNyZXQgb2YgdGhlIHNlY3JlY3kgdGVzdCE="),
    ("compliancely", "plain-secret-of-compliancely-0123456789"),
    ("wingspan", "plain-secret-of-wingspan-0123456789"),
];

/// A source whose scheme sends the secret itself.
const TOKEN: &str = "the-token-that-is-sent-0123456789";

const OLD_SECRET: &str = "plain-old-secret-of-hmac-0123456789";
const OUT_SECRETS: [&str; 3] = [
    "whsec_b3V0Ym91bmQgc2VjcmV0IG9mIHRoZSBzZWNyZWN5IHRlc3Q=",
    "whsec_dGhlIG90aGVyIG91dGJvdW5kIHNlY3JldCBvZiB0aGUgdGVzdA==",
    "plain-outbound-secret-0123456789",
];
const OUT_AUTHORIZATION: &str = "Bearer outbound-authorization-0123456789";
const ADMIN_TOKEN: &str = "token-of-the-operator-0123456789";
const IN_CREDENTIALS: [(&str, &str); 4] = [
    ("authorization", "Bearer inbound-authorization-0123456789"),
    ("cookie", "session=inbound-cookie-0123456789"),
    (
        "x-hub-signature",
        "sha1=a9993e364706816aba3e25717850c26c9cd0d89d",
    ),
    ("x-api-key", "inbound-api-key-0123456789"),
];

/// What targets with `auth` are told, none of which is short or common.
const PASSWORD: &str = "password-of/the+outbound=test";
const BEARER: &str = "bearer-of-the-outbound-test";
const API_KEY: &str = "api-key-of/the+outbound&test";
const CLIENT_SECRET: &str = "client-secret-of/the+outbound=test";
const ACCESS_TOKEN: &str = "access-token-of-the-outbound-test";

/// Targets that tell who we are to somebody who repeats all of it, and one whose token cannot be had.
fn authenticated(debug: &Stand, endpoint: &Stand, refusing: &Stand) -> String {
    let url = debug.url("/hooks");
    let oauth2 = |stand: &Stand, way: &str| {
        format!(
            "oauth2: {{token_url: \"{}\", client_id: relay, client_auth: {way}, client_secret: {{value: \"{CLIENT_SECRET}\"}}}}",
            stand.url("/token")
        )
    };
    [
        ("basic", format!("basic: {{username: relay, password: {{value: \"{PASSWORD}\"}}}}")),
        ("bearer", format!("bearer: {{value: {BEARER}}}")),
        ("key", format!("api_key: {{header: x-key, value: {{value: \"{API_KEY}\"}}}}")),
        ("query", format!("api_key: {{query: key, value: {{value: \"{API_KEY}\"}}}}")),
        ("token", oauth2(endpoint, "basic")),
        ("refused", oauth2(refusing, "body")),
    ]
    .map(|(name, auth)| {
        format!("  {name}: {{url: \"{url}\", retry: {{schedule: [10ms], attempts: 2}}, breaker: off, auth: {{{auth}}}}}\n")
    })
    .concat()
}

fn site(folder: &Path, shut: &Peer, echo: &Peer, tls: &Peer, authenticated: &str) -> Site {
    let [_, two, three] = OUT_SECRETS;
    let mut sources: String = SOURCES
        .iter()
        .map(|(preset, secret)| {
            let old = match *preset {
                "hmac" => format!(", {{value: {OLD_SECRET}}}"),
                _ => String::new(),
            };
            format!("  {preset}: {{preset: {preset}, secrets: [{{value: {secret}}}{old}]}}\n")
        })
        .collect();
    sources.push_str(&format!(
        "  token: {{scheme: {{algorithm: token, signature: {{header: x-proof}}}}, secrets: [{{value: {TOKEN}}}]}}\n"
    ));
    let names: Vec<&str> = SOURCES.iter().map(|(preset, _)| *preset).collect();
    let site = Site::new(
        folder,
        &format!(
            "sources:\n{sources}\
             targets:\n\
             \x20 shut: {{url: \"{}\", sign: {{preset: hmac, secrets: [{{value: {three}}}]}}}}\n\
             \x20 echo: {{url: \"{}\", retry: {{schedule: [10ms]}}, headers: {{authorization: {{env: OUT_AUTHORIZATION}}}}, \
             sign: {{preset: standard-webhooks, secrets: [{{env: OUT_SECRET}}, {{value: {two}}}]}}}}\n\
             \x20 tls: {{url: \"{}\", sign: {{preset: stripe, secrets: [{{env: OUT_SECRET}}]}}}}\n\
             {authenticated}\
             routes: [{{name: all, from: [token, {}], to: [shut, echo, tls, basic, bearer, key, query, token, refused]}}]\n",
            shut.url(),
            echo.url(),
            tls.https_url(),
            names.join(", ")
        ),
    );
    let text = std::fs::read_to_string(site.config()).unwrap();
    let text = text.replace(
        &format!("\"127.0.0.1:{}\"}}", site.admin),
        &format!(
            "\"127.0.0.1:{}\", token: {{value: {ADMIN_TOKEN}}}}}",
            site.admin
        ),
    );
    assert!(text.contains(ADMIN_TOKEN));
    std::fs::write(site.config(), text).unwrap();
    site
}

/// What must show nowhere.
#[derive(Default)]
struct Hidden(Vec<String>);

impl Hidden {
    fn secret(&mut self, secret: &str) {
        self.0.push(secret.to_owned());
        self.0.push(hex::encode(secret));
        self.0.push(STANDARD.encode(secret));
        if let Some((_, key)) = secret.split_once('_') {
            self.0.push(key.to_owned());
            self.0.push(hex::encode(STANDARD.decode(key).unwrap()));
        }
    }

    /// The signatures in the value of a header, without what stands before them.
    fn signatures(&mut self, value: &str) {
        let before = self.0.len();
        for word in value.split([' ', ',']) {
            let bare = match word.split_once('=') {
                Some((key, rest)) if key.len() < 8 => rest,
                _ => word,
            };
            if bare.len() >= 32 {
                self.0.push(bare.to_owned());
            }
        }
        assert!(self.0.len() > before, "no signature in {value:?}");
    }

    fn of_message(&mut self, message: &Message) {
        for (name, value) in &message.headers {
            if name.contains("signature") || name.contains("hmac") || name == "x-proof" {
                self.signatures(std::str::from_utf8(value).unwrap());
            }
        }
    }

    fn of_received(&mut self, requests: &[Received], header: &str) {
        for request in requests {
            self.signatures(request.header(header));
        }
    }

    /// Which of them stands in there, if any does.
    fn found_in<'a>(&'a self, bytes: &[u8]) -> Option<&'a str> {
        let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
        let mut all = self.0.iter().map(String::as_str);
        all.find(|hidden| text.contains(&hidden.to_ascii_lowercase()))
    }
}

/// Sends each source a good message, one that repeats it, and forged ones; notes what they carry.
async fn send_all(site: &Site, plan: &Plan, hidden: &mut Hidden) {
    let at = ([127, 0, 0, 1], site.public).into();
    let sources = SOURCES
        .into_iter()
        .chain([("token", TOKEN), ("hmac", OLD_SECRET)]);
    for (number, (name, secret)) in sources.enumerate() {
        let source = &plan.sources[name];
        let now = Timestamp::now();
        let id = format!("msg_{number}");
        let signed = |text: &str, now| {
            let body = format!("{{\"marker\":\"{text}-{number}\"}}").into_bytes();
            Message::signed(source, secret, &id, now, "test.event", body)
        };
        let mut good = signed("shown", now);
        hidden.of_message(&good);
        for (name, value) in IN_CREDENTIALS {
            good = good.with(name, value);
        }
        // what would have been right for the forged one must not show either
        let expected = signed("forged", now);
        hidden.of_message(&expected);
        let forged = good.clone().body(expected.body.clone());
        let stale = signed("stale", "2020-01-01T00:00:00Z".parse().unwrap());
        hidden.of_message(&stale);
        let is_dated = ["wreno", "svix", "stripe", "slack"].contains(&name);
        let (forged_status, stale_status) = match name {
            "token" => (200, 200),
            _ if is_dated => (401, 401),
            _ => (401, 200),
        };
        for (message, wanted) in [
            (&good, 200),
            (&good, 200),
            (&forged, forged_status),
            (&stale, stale_status),
        ] {
            let answers = exchange(at, &message.bytes()).await;
            assert_eq!(answers[0].status, wanted, "{name}: {message:?}");
        }
    }
}

async fn ask(site: &Site, path: &str) -> Answer {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ADMIN_TOKEN}\r\nConnection: close\r\n\r\n"
    );
    let answers = exchange(([127, 0, 0, 1], site.admin).into(), request.as_bytes()).await;
    assert_eq!(answers[0].status, 200, "{path}");
    answers.into_iter().next().unwrap()
}

/// All that the operator's door shows.
async fn shown(site: &Site) -> Vec<u8> {
    let mut all = ask(site, "/metrics").await.body;
    let events = ask(site, "/api/v1/events?limit=100").await;
    all.extend(&events.body);
    for event in events.json()["items"].as_array().unwrap() {
        let id = event["id"].as_str().unwrap();
        all.extend(ask(site, &format!("/api/v1/events/{id}")).await.body);
    }
    for path in [
        "deliveries?limit=100",
        "attempts?limit=500",
        "targets",
        "routes",
        "overview",
    ] {
        all.extend(ask(site, &format!("/api/v1/{path}")).await.body);
    }
    let sources = ask(site, "/api/v1/sources").await;
    all.extend(&sources.body);
    for source in sources.json()["items"].as_array().unwrap() {
        let name = source["name"].as_str().unwrap();
        let path = format!("/api/v1/sources/{name}/failures");
        all.extend(ask(site, &path).await.body);
    }
    all
}

async fn pending(site: &Site) -> usize {
    let path = "/api/v1/deliveries?state=pending&limit=100";
    let page: Value = ask(site, path).await.json();
    page["items"].as_array().unwrap().len()
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

#[tokio::test]
async fn nothing_printed_shown_or_stored_holds_a_secret_or_a_signature() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let roots = authority.write(folder.path(), "ca.pem");
    let shut = Peer::start((0..100).map(|_| Turn::Status(410))).await;
    let echo = Peer::start((0..10).map(|_| Turn::Echo)).await;
    let tls = Peer::start_tls(authority.server("127.0.0.1", false), []).await;
    let debug = Stand::start(|_, asked| Said::text(500, asked.echo())).await;
    let endpoint = Stand::start(|number, asked| match number % 2 {
        0 => Said::json(
            401,
            json!({"error": CLIENT_SECRET, "error_description": asked.echo()}),
        ),
        _ => Said::json(
            200,
            json!({"access_token": ACCESS_TOKEN, "expires_in": 3600}),
        ),
    })
    .await;
    let refusing = Stand::start(|_, asked| Said::text(403, asked.echo())).await;
    let authenticated = authenticated(&debug, &endpoint, &refusing);
    let site = site(folder.path(), &shut, &echo, &tls, &authenticated);
    let environment = [
        ("INGATE_LOG", "trace"),
        ("OUT_SECRET", OUT_SECRETS[0]),
        ("OUT_AUTHORIZATION", OUT_AUTHORIZATION),
        ("SSL_CERT_FILE", roots.to_str().unwrap()),
    ];
    let daemon = site.start_with(&environment).await;
    let known = |name: &str| {
        let mut all = environment.iter();
        all.find(|(known, _)| *known == name)
            .map(|(_, value)| (*value).to_owned())
    };
    let plan = config::load(&site.config(), &known).unwrap().plan;

    let mut hidden = Hidden::default();
    let secrets = SOURCES.iter().map(|(_, secret)| *secret);
    for secret in secrets.chain(OUT_SECRETS) {
        hidden.secret(secret);
    }
    for secret in [TOKEN, OLD_SECRET, ADMIN_TOKEN] {
        hidden.secret(secret);
    }
    for secret in [PASSWORD, BEARER, API_KEY, CLIENT_SECRET, ACCESS_TOKEN] {
        hidden.secret(secret);
        let bytes = form_urlencoded::byte_serialize(secret.as_bytes());
        hidden.0.push(bytes.collect());
        hidden.0.push(STANDARD.encode(format!("relay:{secret}")));
    }
    for (_, value) in IN_CREDENTIALS {
        let (_, bare) = value.split_once([' ', '=']).unwrap_or(("", value));
        hidden.0.push(bare.to_owned());
    }
    hidden
        .0
        .push("outbound-authorization-0123456789".to_owned());

    send_all(&site, &plan, &mut hidden).await;
    wait_until("nothing is pending", async || pending(&site).await == 0).await;
    let shown = shown(&site).await;
    assert!(daemon.terminate().success());
    let told: String = debug.asked().iter().map(|asked| asked.echo()).collect();
    for said in [BEARER, API_KEY, ACCESS_TOKEN] {
        assert!(told.contains(said), "{said} was not sent");
    }
    assert!(
        refusing
            .asked()
            .iter()
            .all(|asked| asked.field("client_secret") == CLIENT_SECRET)
    );
    hidden.of_received(&shut.received(), "x-signature");
    hidden.of_received(&echo.received(), "webhook-signature");
    hidden.of_received(&tls.received(), "stripe-signature");

    let log = site.log();
    for said in [
        " TRACE ",
        "signature_mismatch",
        "timestamp",
        "delivered",
        "gone",
        "rustls",
    ] {
        assert!(
            log.contains(said),
            "the log is not the whole one, {said:?} is missing"
        );
    }
    let text = String::from_utf8_lossy(&shown);
    for said in [
        "shown-0",
        "***",
        "webhook-signature: ",
        "ingate_inbound_requests_total",
        "\"reason\":\"signature_mismatch\"",
        "\"from\":\"env\",\"name\":\"OUT_SECRET\"",
        "\"kind\":\"oauth2\"",
        "token endpoint: status 403",
    ] {
        assert!(text.contains(said), "not all is shown, {said:?} is missing");
    }
    assert_eq!(hidden.found_in(log.as_bytes()), None, "in the log");
    assert_eq!(hidden.found_in(&shown), None, "at the operator's door");
    for file in files(&site.data()) {
        let bytes = std::fs::read(&file).unwrap();
        assert_eq!(hidden.found_in(&bytes), None, "in {}", file.display());
    }
}
