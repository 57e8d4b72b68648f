//! All that the daemon and its commands ever print or show, at the highest log level and with all that can go wrong, after
//! which none of it holds a secret, a private key, a signature, a MAC or a redacted value.
//!
//! Not here: what the store's files hold (see `secrecy`); its journal has bodies as they came.

use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::doors::exchange_tls;
use crate::egress::Proxy;
use crate::needles::{Needles, is_signature};
use crate::process::{Process, Site, binary, free_port};
use crate::stand::{Said, Stand};
use crate::support::{Answer, Message, Peer, Turn, wait_until};
use crate::tls::Authority;

/// How long a start may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// Sources: name and preset, the secret, and how the configuration has it.
const SOURCES: [(&str, &str, &str); 7] = [
    (
        "wreno",
        "test_d3Jlbm8tc2VjcmV0LW9mLXRoZS1zaWxlbmNlLXN0b3J5",
        "value: ",
    ),
    (
        "github",
        "github-secret-of-the-silence-story",
        "env: GITHUB_SECRET",
    ),
    (
        "stripe",
        "stripe-secret-of-the-silence-story",
        "file: secrets/stripe",
    ),
    (
        "slack",
        "slack-secret-of-the-silence-story",
        "credential: slack",
    ),
    (
        "shopify",
        "shopify-\"secret\"-of/the+silence&story",
        "file: secrets/shopify",
    ),
    (
        "svix",
        "whsec_c3ZpeC1zZWNyZXQtb2YtdGhlLXNpbGVuY2Utc3Rvcnk=",
        "env: SVIX_SECRET",
    ),
    ("hmac", "hidden-secret-of-the-silence-story", "value: "),
];
const TOKEN: &str = "sent-token-of-the-silence-story";
const ROTATED: &str = "rotated-secret-of-the-silence-story";
const WRONG: &str = "d3Jvbmctc2VjcmV0LW9mLXRoZS1zaWxlbmNlLXN0b3J5";
const ADMIN_TOKEN: &str = "operator-token-of-the-silence-story";
const PROXY: &str = "Basic c2lsZW5jZS11c2VyOnNpbGVuY2UtcGFzc3dvcmQ=";
const OUT_FILE: &str = "whsec_b3V0LWZpbGUtc2VjcmV0LW9mLXRoZS1zaWxlbmNlLXN0b3J5";
const OUT_ENV: &str = "whsec_b3V0LWVudi1zZWNyZXQtb2YtdGhlLXNpbGVuY2Utc3Rvcnk=";
const OUT_INLINE: &str = "inline-outbound-secret-of-the-silence-story";
const OUT_AUTHORIZATION: &str = "Bearer out-authorization-of-the-silence-story";
const OUT_API_KEY: &str = "out-api-key-of-the-silence-story";
const OUT_CLIENT: &str = "client-secret-of-the-silence-story";
const OUT_PASSWORD: &str = "out-password-of-the-silence-story";
const ACCESS_TOKEN: &str = "access-token-of-the-silence-story";
const IN_CREDENTIALS: [(&str, &str); 3] = [
    (
        "authorization",
        "Bearer in-authorization-of-the-silence-story",
    ),
    ("cookie", "session=in-cookie-of-the-silence-story"),
    ("x-api-key", "in-api-key-of-the-silence-story"),
];
const SSN: &str = "ssn-of-\"the\"-silence-story";
const CARD: &str = "card-of-the-silence-story";

/// A template whose failure names the value that it fails on.
const CUT: &str = "{\"cut\": {{ payload.kind | truncate: payload.data.ssn }}}";

struct Peers {
    /// Behind TLS, asks who we are, and answers with all headers that it got.
    echo: Peer,
    /// Answers with the body that it got.
    mirror: Peer,
    /// Behind the proxy.
    shop: Peer,
    /// Gives tokens, now and then.
    endpoint: Stand,
    proxy: Proxy,
}

struct Story {
    site: Site,
    authority: Authority,
    clients: Authority,
    peers: Peers,
    needles: Needles,
    /// Everything that was said, by the place where it was.
    heard: Vec<(String, Vec<u8>)>,
}

impl Story {
    async fn new(folder: &Path) -> Self {
        let (authority, clients, relay) = (Authority::new(), Authority::new(), Authority::new());
        authority.issue_to(folder, "localhost");
        authority.write(folder, "ca.pem");
        clients.write(folder, "clients.pem");
        clients.issue_to(folder, "ops");
        relay.issue_to(folder, "relay");
        for inner in ["secrets", "credentials", "templates"] {
            std::fs::create_dir(folder.join(inner)).unwrap();
        }
        let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
        write("secrets/stripe", SOURCES[2].1);
        write("secrets/shopify", SOURCES[4].1);
        write("secrets/out", OUT_FILE);
        write("secrets/api-key", OUT_API_KEY);
        write("credentials/slack", SOURCES[3].1);
        write("templates/cut.json.liquid", CUT);
        write(
            "templates/ok.json.liquid",
            "{\"kind\": {{ payload.kind | json }}}",
        );
        write("event.json", "{\"kind\": \"tested\"}");
        write("expect.json", "{\"kind\": \"tested\"}");
        let peers = Peers {
            echo: Peer::start_tls(
                authority.server_for("127.0.0.1", &relay),
                (0..500).map(|_| Turn::Echo),
            )
            .await,
            mirror: Peer::start((0..500).map(|_| Turn::Mirror)).await,
            shop: Peer::start([]).await,
            endpoint: Stand::start(|number, asked| match number % 2 {
                0 => Said::json(400, json!({"error": asked.echo()})),
                _ => Said::json(200, json!({"access_token": ACCESS_TOKEN, "expires_in": 0})),
            })
            .await,
            proxy: Proxy::start(&[407, 503], |_| ([127, 0, 0, 1], 1).into()).await,
        };
        let site = Site {
            folder: folder.to_owned(),
            public: free_port(),
            admin: free_port(),
        };
        let mut story = Self {
            site,
            authority,
            clients,
            peers,
            needles: Needles::default(),
            heard: Vec::new(),
        };
        // Now that its port is known, the proxy may lead to the shop.
        let shop = story.peers.shop.addr;
        story.peers.proxy = Proxy::start(&[407, 503], move |_| shop).await;
        story.note_secrets();
        story.write(&story.config());
        story
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.site.folder.join(name)).unwrap()
    }

    fn write(&self, config: &str) {
        std::fs::write(self.site.config(), config).unwrap();
    }

    /// The configuration; it ends with a secret in its last line.
    fn config(&self) -> String {
        let peers = &self.peers;
        let sources: String = SOURCES
            .iter()
            .map(|(name, secret, form)| {
                let form = match *form {
                    "value: " => format!("value: {secret}"),
                    form => form.to_owned(),
                };
                let redact = match *name {
                    "hmac" => ", redact: [/data/ssn, /data/pin, /items/*/card]",
                    _ => "",
                };
                format!("  {name}: {{preset: {name}, secrets: [{{{form}}}]{redact}}}\n")
            })
            .collect();
        let names = SOURCES.map(|(name, _, _)| name).join(", ");
        let relay_key = serde_json::to_string(&self.read("relay.key")).unwrap();
        format!(
            "listen: 127.0.0.1:{}\n\
             tls: {{cert: localhost.pem, key: localhost.key}}\n\
             admin:\n  listen: 127.0.0.1:{}\n  token: {{value: {ADMIN_TOKEN}}}\n  \
             tls: {{cert: localhost.pem, key: {{file: localhost.key}}, client_ca: clients.pem}}\n\
             store: {{path: ./data}}\n\
             limits: {{failures: 1000000}}\n\
             egress: {{proxy: \"http://{}\", proxy_authorization: {{env: PROXY_AUTHORIZATION}}, no_proxy: [127.0.0.0/8]}}\n\
             sources:\n{sources}  \
             token: {{scheme: {{algorithm: token, signature: {{header: x-proof}}}}, secrets: [{{value: {TOKEN}}}]}}\n\
             routes:\n  \
             - {{name: all, from: [token, {names}], to: [echo, mirror, shop, named, fetched]}}\n  \
             - {{name: cut, from: hmac, match: {{body: {{kind: cut}}}}, template: cut.json.liquid, to: mirror}}\n  \
             - {{name: tested, from: token, match: {{body: {{kind: tested}}}}, template: ok.json.liquid, to: mirror, \
             tests: [{{event: event.json, expect: expect.json}}]}}\n\
             targets:\n  \
             echo:\n    url: {}\n    retry: {{schedule: [20ms], attempts: 2}}\n    breaker: off\n    \
             tls: {{ca: ca.pem, cert: relay.pem, key: {{value: {relay_key}}}}}\n    \
             headers: {{authorization: {{env: OUT_AUTHORIZATION}}, x-api-key: {{file: secrets/api-key}}}}\n    \
             sign: {{preset: standard-webhooks, secrets: [{{file: secrets/out}}, {{env: OUT_SECRET}}]}}\n  \
             named:\n    url: {}\n    retry: {{schedule: [20ms], attempts: 2}}\n    breaker: off\n    \
             auth: {{basic: {{username: relay, password: {{env: OUT_PASSWORD}}}}}}\n    \
             sign: {{preset: hmac, secrets: [{{value: {OUT_INLINE}}}]}}\n  \
             fetched:\n    url: {}\n    retry: {{schedule: [20ms], attempts: 2}}\n    breaker: off\n    \
             auth: {{oauth2: {{token_url: \"{}\", client_id: relay, client_secret: {{value: {OUT_CLIENT}}}}}}}\n    \
             sign: {{preset: hmac, secrets: [{{value: {OUT_INLINE}}}]}}\n  \
             shop:\n    url: http://shop.invalid/hooks\n    retry: {{schedule: [20ms]}}\n    \
             sign: {{preset: standard-webhooks, secrets: [{{env: OUT_SECRET}}]}}\n  \
             mirror:\n    url: {}\n    retry: {{schedule: [20ms], attempts: 2}}\n    breaker: off\n    \
             sign: {{preset: hmac, secrets: [{{value: {OUT_INLINE}}}]}}\n",
            self.site.public,
            self.site.admin,
            peers.proxy.addr,
            peers.echo.https_url(),
            peers.mirror.url(),
            peers.mirror.url(),
            peers.endpoint.url("/token"),
            peers.mirror.url(),
        )
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        let credentials = self.site.folder.join("credentials");
        vec![
            ("INGATE_LOG", "trace,sled=info".to_owned()),
            ("GITHUB_SECRET", SOURCES[1].1.to_owned()),
            ("SVIX_SECRET", SOURCES[5].1.to_owned()),
            ("PROXY_AUTHORIZATION", PROXY.to_owned()),
            ("OUT_SECRET", OUT_ENV.to_owned()),
            ("OUT_AUTHORIZATION", OUT_AUTHORIZATION.to_owned()),
            ("OUT_PASSWORD", OUT_PASSWORD.to_owned()),
            (
                "CREDENTIALS_DIRECTORY",
                credentials.to_str().unwrap().to_owned(),
            ),
        ]
    }

    /// Everything that is secret before anything is sent.
    fn note_secrets(&mut self) {
        let keys = ["localhost.key", "ops.key", "relay.key"].map(|name| (name, self.read(name)));
        let needles = &mut self.needles;
        for (name, secret, _) in SOURCES {
            needles.secret(name, secret);
        }
        for (what, secret) in [
            ("the token that is sent", TOKEN),
            ("the rotated secret", ROTATED),
            ("the operator's token", ADMIN_TOKEN),
            ("the proxy's credential", PROXY),
            ("an outbound secret", OUT_FILE),
            ("an outbound secret", OUT_ENV),
            ("an outbound secret", OUT_INLINE),
            ("an outbound header", OUT_AUTHORIZATION),
            ("an outbound header", OUT_API_KEY),
            ("a client's secret", OUT_CLIENT),
            ("an outbound password", OUT_PASSWORD),
            ("a token", ACCESS_TOKEN),
        ] {
            needles.secret(what, secret);
        }
        for (name, value) in IN_CREDENTIALS {
            needles.text(
                name,
                value.split_once([' ', '=']).map_or(value, |(_, bare)| bare),
            );
        }
        needles.text("a redacted value", SSN);
        needles.text("a redacted value", CARD);
        needles.text("a redacted value", "4815162342");
        for (name, pem) in &keys {
            needles.private_key(name, pem);
        }
    }

    /// Starts the daemon and waits until it is ready.
    async fn start(&self, more: &[(&str, &str)]) -> Process {
        let environment = self.environment();
        let own = environment
            .iter()
            .map(|(name, value)| (*name, value.as_str()));
        let all: Vec<(&str, &str)> = own.chain(more.iter().copied()).collect();
        let process = self.site.spawn(&all);
        let ready = "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let start = Instant::now();
        loop {
            let addr = ("127.0.0.1", self.site.admin);
            let listens = tokio::net::TcpStream::connect(addr).await.is_ok();
            if listens
                && self
                    .raw(ready)
                    .await
                    .is_some_and(|answer| answer.status == 200)
            {
                break;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "never ready:\n{}",
                self.site.log()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        process
    }

    /// Asks at the operator's door with a certificate.
    async fn raw(&self, request: &str) -> Option<Answer> {
        let tls = self.authority.client(Some((&self.clients, "ops")));
        let addr = ([127, 0, 0, 1], self.site.admin).into();
        let answers = exchange_tls(addr, tls, request.as_bytes()).await?;
        answers.into_iter().next()
    }

    /// Reads at the operator's door.
    async fn ask(&self, path: &str) -> Answer {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ADMIN_TOKEN}\r\nConnection: close\r\n\r\n"
        );
        self.raw(&request).await.unwrap()
    }

    /// Runs a command, notes what it prints, and gives its exit code.
    async fn run(&mut self, args: &[&str]) -> i32 {
        let mut command = binary();
        command.args(args).arg("-c").arg(self.site.config());
        if args[0] == "reload" || args.contains(&"purge") {
            let file = |name: &str| self.site.folder.join(name);
            command.arg("--client-cert").arg(file("ops.pem"));
            command.arg("--client-key").arg(file("ops.key"));
        }
        command.envs(self.environment());
        let output: Output = tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap();
        self.heard
            .push((format!("stdout of {args:?}"), output.stdout));
        self.heard
            .push((format!("stderr of {args:?}"), output.stderr));
        output.status.code().unwrap()
    }

    /// What the last command printed to stderr.
    fn last_words(&self) -> String {
        let last = self.heard.last().unwrap();
        String::from_utf8_lossy(&last.1).into_owned()
    }

    /// Sends to the public door and notes the answer.
    async fn send(&mut self, message: &Message, status: u16) {
        self.needles.message(message);
        let addr = ([127, 0, 0, 1], self.site.public).into();
        let tls = self.authority.client(None);
        let answer = exchange_tls(addr, tls, &message.bytes())
            .await
            .unwrap()
            .remove(0);
        assert_eq!(answer.status, status, "{message:?}");
        let all = format!("{:?}", answer.headers).into_bytes();
        self.heard.push((
            "an answer to a sender".to_owned(),
            [all, answer.body].concat(),
        ));
    }

    /// Sends each source good messages and every kind of bad one.
    async fn send_all(&mut self) {
        let environment = self.environment();
        let known = |name: &str| {
            let mut all = environment.iter();
            all.find(|(known, _)| *known == name)
                .map(|(_, value)| value.clone())
        };
        let plan = ingate::config::load(&self.site.config(), &known)
            .unwrap()
            .plan;
        let sources = SOURCES.map(|(name, secret, _)| (name, secret));
        for (name, secret) in sources.into_iter().chain([("token", TOKEN)]) {
            let source = &plan.sources[name];
            let now = Timestamp::now();
            let signed = |secret: &str, now, kind: &str| {
                let body = json!({
                    "kind": kind, "shown": format!("shown-{name}"),
                    "data": {"ssn": SSN, "pin": 4_815_162_342_u64},
                    "items": [{"card": CARD}],
                });
                // Only of the source that has them redacted.
                let body = match name {
                    "hmac" => body,
                    _ => json!({"kind": kind, "shown": format!("shown-{name}")}),
                };
                let body = body.to_string().into_bytes();
                Message::signed(
                    source,
                    secret,
                    &format!("msg_{name}_{kind}"),
                    now,
                    "t",
                    body,
                )
            };
            let mut good = signed(secret, now, "plain");
            for (name, value) in IN_CREDENTIALS {
                good = good.with(name, value);
            }
            if name == "hmac" {
                good = good.with("x-echo", SSN);
            }
            self.send(&good, 200).await;
            self.send(&good, 200).await;
            self.send(&signed(secret, now, "cut"), 200).await;
            let headers: Vec<String> = good.headers.iter().map(|(name, _)| name.clone()).collect();
            let header = headers.iter().find(|name| is_signature(name)).unwrap();
            let proof = good.get(header);
            self.send(&good.clone().without(header), 401).await;
            self.send(
                &good
                    .clone()
                    .without(header)
                    .with(header, format!("!{proof}")),
                401,
            )
            .await;
            self.send(&good.clone().with(header, proof.clone()), 401)
                .await;
            if name == "token" {
                continue;
            }
            // What would have been right for a forged message must not show either.
            let expected = signed(secret, now, "forged");
            self.needles.message(&expected);
            self.send(&good.clone().body(expected.body.clone()), 401)
                .await;
            let wrong = secret
                .split_once('_')
                .map_or(WRONG.to_owned(), |(prefix, _)| format!("{prefix}_{WRONG}"));
            self.send(&signed(&wrong, now, "plain"), 401).await;
            if ["wreno", "svix", "stripe", "slack"].contains(&name) {
                let stale = signed(secret, "2020-01-01T00:00:00Z".parse().unwrap(), "stale");
                self.send(&stale, 401).await;
            }
        }
        for (message, status) in [
            (Message::post("/in/nobody", "{}"), 404),
            (Message::post("/in/hmac", vec![b'x'; 2 << 20]), 413),
        ] {
            self.send(&message, status).await;
        }
    }

    /// Reloads that go wrong with a secret in sight, each by the command, and what `check` and `test` say of them.
    async fn reload_all(&mut self) {
        let good = self.config();
        let inline = SOURCES[0].1;
        let entry = format!("[{{value: {inline}}}]");
        let own_line = format!("[{{value:\n      \"{inline}\" x}}]");
        let slips = [
            entry.trim_end_matches(']').to_owned(),
            own_line,
            format!("[{{value:{inline}}}]"),
            format!("[{{vlaue: {inline}}}]"),
            format!("[{{value: {inline}, value: {inline}}}]"),
            format!("[{inline}]"),
            inline.to_owned(),
            format!("{{value: {inline}}}"),
            format!("[{{value: \"{inline}\\q\"}}]"),
            format!("[{{value: !!int {inline}}}]"),
            format!("[{{value: {inline}, env: X}}]"),
            format!("[{{value: &a {inline}}}, {{value: *b}}]"),
            format!("[{{value: {inline}.}}]"),
        ];
        let mut broken: Vec<String> = slips
            .iter()
            .map(|slip| good.replace(&entry, slip))
            .collect();
        let pem = self.read("localhost.key").replace('\n', "\n    ");
        for (from, to) in [
            (
                "secrets: [{value: test_",
                "secret: [{value: test_".to_owned(),
            ),
            (
                "key: localhost.key}",
                format!("key: {}}}", serde_json::to_string(&pem).unwrap()),
            ),
            (ADMIN_TOKEN, format!("{ADMIN_TOKEN}, x: 1")),
            ("{env: PROXY_AUTHORIZATION}", PROXY.to_owned()),
            ("{env: OUT_AUTHORIZATION}", format!("[{OUT_AUTHORIZATION}]")),
            (
                "client_secret: {value: ",
                "client_secret: {value:".to_owned(),
            ),
            (
                "client_secret: {value: ",
                "client_secret: {vlaue: ".to_owned(),
            ),
            ("client_secret: {value: ", "secret: {value: ".to_owned()),
            (
                "password: {env: OUT_PASSWORD}",
                format!("password: {OUT_PASSWORD}"),
            ),
            (
                "basic: {username: relay, password: {env: OUT_PASSWORD}}",
                format!("basic: \"relay:{OUT_PASSWORD}\""),
            ),
            (
                "basic: {username: relay, password: {env: OUT_PASSWORD}}",
                format!("bearer:{OUT_PASSWORD}"),
            ),
            (
                "auth: {basic: {username: relay, password: {env: OUT_PASSWORD}}}",
                format!("auth: {OUT_PASSWORD}"),
            ),
            (
                "http://shop.invalid",
                format!("http://user:{OUT_API_KEY}@shop.invalid"),
            ),
            (
                "x-api-key: {file: secrets/api-key}",
                format!("x-api-key: {{value:{OUT_API_KEY}}}"),
            ),
        ] {
            broken.push(good.replace(from, &to));
        }
        for config in broken {
            assert_ne!(config, good);
            self.write(&config);
            for command in [
                &["reload"][..],
                &["reload", "--json"],
                &["check"],
                &["check", "--json"],
                &["test"],
            ] {
                let exit = self.run(command).await;
                assert_eq!(exit, 78, "{command:?}: {}\n{config}", self.last_words());
            }
        }
        self.write(&good);
        // The files that are named, one broken after the other.
        for (name, text) in [
            ("secrets/stripe", String::new()),
            ("secrets/out", format!("whsec_{OUT_INLINE}")),
            ("localhost.key", self.read("relay.key")),
            ("localhost.key", pem),
            ("relay.pem", self.read("ops.pem")),
            ("expect.json", "{\"kind\": 5}".to_owned()),
            ("templates/cut.json.liquid", "{{".to_owned()),
        ] {
            let before = self.read(name);
            std::fs::write(self.site.folder.join(name), text).unwrap();
            for command in [&["reload"][..], &["check"]] {
                // What compiles and fails its tests is 1 to `check`.
                let exit = self.run(command).await;
                assert!(
                    [1, 78].contains(&exit),
                    "{command:?} with a broken {name}: {exit}"
                );
            }
            self.run(&["test"]).await;
            std::fs::write(self.site.folder.join(name), before).unwrap();
        }
        std::fs::write(self.site.folder.join("secrets/stripe"), ROTATED).unwrap();
        for command in [
            &["reload"][..],
            &["reload", "--json"],
            &["check"],
            &["check", "--json"],
            &["test"],
            &["test", "--json"],
        ] {
            assert_eq!(self.run(command).await, 0, "{command:?}");
        }
    }

    /// Notes all that the operator's door shows, refusals too.
    async fn look_around(&mut self) {
        let mut paths: Vec<String> = [
            "/metrics",
            "/livez",
            "/readyz",
            "/nothing",
            "/api/v1/audit?limit=500",
            "/api/v1/events?limit=500",
            "/api/v1/deliveries?limit=500",
            "/api/v1/targets",
            "/api/v1/overview",
            "/api/v1/attempts?limit=500",
            "/api/v1/sources",
            "/api/v1/routes",
            "/api/v1/events?x=1",
            "/api/v1/events/x",
        ]
        .map(str::to_owned)
        .to_vec();
        let events = self.ask("/api/v1/events?limit=500").await.json();
        for event in events["items"].as_array().unwrap() {
            paths.push(format!("/api/v1/events/{}", event["id"].as_str().unwrap()));
        }
        for path in paths {
            let answer = self.ask(&path).await;
            let head = format!("{:?}", answer.headers).into_bytes();
            self.heard.push((path, [head, answer.body].concat()));
        }
        for lines in [
            "Host: localhost\r\n".to_owned(),
            format!("Host: localhost\r\nAuthorization: Bearer {ADMIN_TOKEN}x\r\n"),
            format!("Host: evil.example\r\nAuthorization: Bearer {ADMIN_TOKEN}\r\n"),
            format!(
                "Host: localhost\r\nOrigin: http://evil.example\r\nAuthorization: Bearer {ADMIN_TOKEN}\r\n"
            ),
        ] {
            let request = format!(
                "POST /api/v1/reload HTTP/1.1\r\n{lines}Content-Length: 0\r\nConnection: close\r\n\r\n"
            );
            let answer = self.raw(&request).await.unwrap();
            assert!([401, 403, 421].contains(&answer.status), "{answer:?}");
            self.heard.push(("a refusal".to_owned(), answer.body));
        }
    }

    /// The id of an event of this source.
    async fn event_of(&self, source: &str) -> String {
        let events = self.ask("/api/v1/events?limit=500").await.json();
        let mut events = events["items"].as_array().unwrap().iter();
        let found: &Value = events.find(|event| event["source"] == source).unwrap();
        found["id"].as_str().unwrap().to_owned()
    }

    fn said(&self, place: &str) -> String {
        let parts = self.heard.iter().filter(|(at, _)| at.contains(place));
        parts
            .map(|(_, bytes)| String::from_utf8_lossy(bytes))
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_is_printed_or_shown_holds_anything_secret() {
    let folder = tempfile::tempdir().unwrap();
    let mut story = Story::new(folder.path()).await;
    let daemon = story.start(&[]).await;
    story.send_all().await;
    wait_until("nothing is pending", async || {
        let page = story
            .ask("/api/v1/deliveries?state=pending&limit=1")
            .await
            .json();
        page["items"].as_array().unwrap().is_empty()
    })
    .await;
    story.reload_all().await;
    story.look_around().await;
    let purged = story.event_of("hmac").await;
    for args in [
        &["store", "purge", &purged][..],
        &["store", "stats"],
        &["store", "stats", "--json"],
        &["store", "verify"],
        &["store", "export"],
    ] {
        assert_eq!(story.run(args).await, 0, "{args:?}");
    }
    assert!(daemon.terminate().success());
    // What is broken ends with a secret, and so does the file.
    let config = story.config();
    story.write(config.trim_end().strip_suffix("}]}").unwrap());
    let daemon = story.start(&[("INGATE_LOG_FORMAT", "json")]).await;
    story.look_around().await;
    assert!(daemon.terminate().success());
    let unfit = story.run(&["run", "--no-fallback"]).await;
    assert_eq!(unfit, 78);

    for peer in [&story.peers.echo, &story.peers.mirror, &story.peers.shop] {
        story.needles.received(&peer.received());
    }
    story
        .heard
        .push(("log".to_owned(), story.site.log().into_bytes()));
    let kept = story.site.data().join("last-good");
    for entry in std::fs::read_dir(kept).unwrap() {
        let path = entry.unwrap().path();
        story.heard.push((
            format!("last-good {}", path.display()),
            std::fs::read(path).unwrap(),
        ));
    }
    assert_that_all_was_heard(&story);
    story.needles.assert_that_each_can_be_found();
    for (place, bytes) in &story.heard {
        if let Some(found) = story.needles.found_in(bytes) {
            panic!("{place} holds {found}");
        }
    }
}

/// Whether what is searched is all there, and what is looked for really was on its way.
fn assert_that_all_was_heard(story: &Story) {
    for (place, words) in [
        (
            "log",
            &[
                " TRACE ",
                "signature_mismatch",
                "timestamp",
                "rustls",
                "starting on the last good one",
                "is refused and the old one stays",
            ][..],
        ),
        (
            "log",
            &[
                "\"level\":\"TRACE\"",
                "the proxy answered 407",
                "an operator had an event purged",
            ],
        ),
        (
            "/api/v1/events/",
            &[
                "shown-github",
                "\"[redacted]\"",
                "webhook-signature: ",
                "authorization: ",
                "***",
                "\"render\"",
            ],
        ),
        (
            "/api/v1/audit",
            &["\"reload\"", "\"purge\"", "CN=ops from 127.0.0.1"],
        ),
        ("/metrics", &["ingate_inbound_requests_total"]),
        (
            "stdout of [\"store\", \"export\"]",
            &["purged_at", "shown-slack", "[redacted]"],
        ),
        (
            "stderr of [\"check\"]",
            &[
                "sources.wreno.secrets",
                "admin.token",
                "several lines",
                "*****",
            ],
        ),
        (
            "stderr of [\"reload\"]",
            &[
                "refused: the old configuration stays in force",
                "the secret is empty",
                "does not fit the certificate",
            ],
        ),
        ("last-good", &["wreno", "kept_out", "truncate"]),
        ("an answer to a sender", &["duplicate"]),
        ("stderr of [\"run\"", &["config.yaml"]),
    ] {
        let said = story.said(place);
        for word in words {
            assert!(
                said.contains(word),
                "{word:?} is missing in what {place} says:\n{said}"
            );
        }
        assert!(!said.is_empty(), "{place}");
    }
    assert!(story.needles.count > 1000, "{}", story.needles.count);
    let asked = story.peers.proxy.asked().concat();
    let sent: String = story
        .peers
        .echo
        .received()
        .iter()
        .map(|r| format!("{:?}", r.headers))
        .collect();
    for real in [asked, sent, story.config()] {
        assert!(story.needles.found_in(real.as_bytes()).is_some(), "{real}");
    }
}
