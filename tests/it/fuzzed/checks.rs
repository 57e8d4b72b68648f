//! What must hold for any bytes: of a signature's header, of a record, of a pattern, of a whole request. Each check
//! panics with what it was given in its message. The fuzz targets of `fuzz/` check the same.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use ingate::clock::{Clock, ManualClock};
use ingate::config;
use ingate::intake::{Accepted, Budget, Coding, Intake, Request};
use ingate::json::Document;
use ingate::live::Live;
use ingate::metrics::Metrics;
use ingate::pattern::{MAX_SHOWN, Pattern, PatternRecord, Subject};
use ingate::plan::Plan;
use ingate::secret::Secret;
use ingate::signature::{Inbound, Key, Outbound, Scheme, SchemeRecord, VerifyError, sign, verify};
use ingate::store::{LocalStore, StoreOptions};
use jiff::Timestamp;

/// Stands for the signature, or the text that is signed, that is right: what surrounds it is what is tried.
pub const MARK: u8 = 1;

/// When everything happens; whole seconds, so that no unit loses any of it.
const NOW: i64 = 1_767_607_200;

/// The longest that a check of a pattern may take; thousands of times what it needs.
const PATIENCE: Duration = Duration::from_secs(10);

const PLAIN: &str = "a-plain-test-secret-of-40-characters-xyz";
const WHSEC: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const WHSK: &str =
    "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==";
const WHPK: &str = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=";

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Schemes with a header of every form, each with the secrets that sign and verify.
pub const SCHEMES: [(&str, &str, &str); 11] = [
    ("{signature: {header: x-s}}", PLAIN, PLAIN),
    ("{signature: {header: x-s, prefix: sha256=}}", PLAIN, PLAIN),
    (
        "{signature: {header: x-s, prefix: sha256=, prefix_optional: true}}",
        PLAIN,
        PLAIN,
    ),
    ("{signature: {header: x-s, encoding: base64}}", PLAIN, PLAIN),
    (
        "{algorithm: hmac-sha512, signature: {header: x-s, list: \",\"}}",
        PLAIN,
        PLAIN,
    ),
    (
        "{content: '{timestamp}.{body}', signature: {header: x-s, list: ',', pair: '=', keys: [v1]}, timestamp: {pair: t}}",
        PLAIN,
        PLAIN,
    ),
    (
        "{content: '{id}.{timestamp}.{body}', signature: {header: x-s, list: ' ', pair: ',', keys: [v1], encoding: base64}, \
          secret: {prefix: whsec_, encoding: base64}, timestamp: {header: x-t}, id: {header: x-i}}",
        WHSEC,
        WHSEC,
    ),
    (
        "{content: '{id}.{timestamp}.{body}', signature: {header: x-s, list: ' ', pair: ',', keys: [v1, v2], bare: true, \
          encoding: base64}, secret: {prefix: whsec_, encoding: base64}, timestamp: {header: x-t}, id: {header: x-i}}",
        WHSEC,
        WHSEC,
    ),
    (
        "{algorithm: ed25519, signature: {header: x-s, list: ' ', pair: ',', keys: [v1a], encoding: base64}, \
          secret: {prefix: whpk_, encoding: base64}}",
        WHSK,
        WHPK,
    ),
    ("{algorithm: token, signature: {header: x-s}}", PLAIN, PLAIN),
    (
        "{algorithm: token, signature: {header: x-s, prefix: 'Bearer '}}",
        PLAIN,
        PLAIN,
    ),
];

/// A scheme with its keys, and a message that is signed by it.
struct Signed {
    scheme: Scheme,
    key: Key,
    other: Option<Key>,
    headers: HeaderMap,
    /// The signature itself, without what the form puts around it.
    bare: String,
}

const BODY: &[u8] = br#"{"type":"a","data":[1]}"#;

fn record(text: &str) -> Option<SchemeRecord> {
    serde_yaml::from_str(text).ok()
}

fn signed() -> &'static [Signed] {
    static ALL: OnceLock<Vec<Signed>> = OnceLock::new();
    ALL.get_or_init(|| {
        let of = |(text, signing, verifying): &(&str, &str, &str)| {
            let record = record(text).unwrap_or_else(|| panic!("{text}"));
            let scheme =
                Scheme::compile(&record).unwrap_or_else(|errors| panic!("{text}: {errors:?}"));
            let signing = scheme.signing_key(&Secret::new(*signing)).unwrap();
            let headers = sign(&scheme, &[signing], &outbound(BODY)).unwrap();
            let headers: HeaderMap = headers.into_iter().collect();
            let whole = headers["x-s"].to_str().unwrap();
            let last = whole.rsplit([',', ' ']).next().unwrap_or(whole);
            let bare = last.trim_start_matches("sha256=").trim_start_matches("v1=");
            let other = "another-test-secret-of-40-characters-xyz";
            Signed {
                key: scheme.verifying_key(&Secret::new(*verifying)).unwrap(),
                other: scheme.verifying_key(&Secret::new(other)).ok(),
                bare: bare.to_owned(),
                headers,
                scheme,
            }
        };
        SCHEMES.iter().map(of).collect()
    })
}

fn outbound(body: &[u8]) -> Outbound<'_> {
    Outbound {
        id: "msg_1",
        timestamp: now(),
        method: &Method::POST,
        url: "https://relay.example/in/s?a=b",
        event_type: "a.b",
        body,
    }
}

/// The header of a signature may say anything: it never panics, and it verifies only where the right signature is in it.
/// Gives how many schemes took it.
pub fn signature_header(data: &[u8]) -> usize {
    let body = Bytes::from_static(BODY);
    let mut taken = 0;
    for (at, one) in signed().iter().enumerate() {
        let text: Vec<u8> = data
            .split(|byte| *byte == MARK)
            .collect::<Vec<_>>()
            .join(one.bare.as_bytes());
        let Ok(value) = HeaderValue::from_bytes(&text) else {
            continue;
        };
        let mut headers = one.headers.clone();
        headers.insert("x-s", value);
        let inbound = Inbound::post(&headers, &body);
        let verdict = verify(&one.scheme, std::slice::from_ref(&one.key), &inbound, now());
        let text = String::from_utf8_lossy(&text).to_ascii_lowercase();
        if verdict.is_ok() {
            taken += 1;
            let right = one.bare.to_ascii_lowercase();
            assert!(text.contains(&right), "{:?} took {text:?}", SCHEMES[at]);
        }
        if let Some(other) = &one.other {
            let other = verify(&one.scheme, std::slice::from_ref(other), &inbound, now());
            assert!(
                other.is_err(),
                "{:?} took {text:?} under another key",
                SCHEMES[at]
            );
        }
    }
    taken
}

/// Secrets of every kind, those that sign and those that verify.
const SECRETS: [(&str, &str); 5] = [
    (PLAIN, PLAIN),
    (WHSEC, WHSEC),
    (WHSK, WHPK),
    ("user:pass_word", "user:pass_word"),
    (
        "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
        "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
    ),
];

/// A record may be any text: compiling it never panics, and what compiles and can sign verifies what it signs. Gives
/// whether it compiled, and how many secrets it signed with.
pub fn scheme_record(text: &str) -> (bool, usize) {
    let Some(record) = record(text) else {
        return (false, 0);
    };
    let Ok(scheme) = Scheme::compile(&record) else {
        return (false, 0);
    };
    let mut signed = 0;
    for (signing, verifying) in SECRETS {
        // Two halves of a pair are one secret only where the algorithm has pairs.
        let has_pairs = record.algorithm.as_deref() == Some("ed25519");
        if signing != verifying && !has_pairs {
            continue;
        }
        let keys = (
            scheme.signing_key(&Secret::new(signing)),
            scheme.verifying_key(&Secret::new(verifying)),
        );
        let (Ok(signing), Ok(verifying)) = keys else {
            continue;
        };
        let body = Bytes::from_static(BODY);
        let outbound = outbound(&body);
        let Ok(headers) = sign(&scheme, &[signing], &outbound) else {
            continue;
        };
        signed += 1;
        let headers: HeaderMap = headers.into_iter().collect();
        let inbound = Inbound {
            url: Some(outbound.url),
            ..Inbound::post(&headers, &body)
        };
        let verdict = verify(&scheme, &[verifying], &inbound, now());
        let is_good = match &verdict {
            Ok(_) => true,
            // What is not signed and stands in the body is the sender's to write there, not the signer's.
            Err(VerifyError::MissingTimestamp | VerifyError::BadTimestamp) => text.contains("json"),
            Err(VerifyError::TimestampOutOfTolerance { .. }) => text.contains("json"),
            Err(_) => false,
        };
        assert!(is_good, "{text}\nsigned {headers:?}, and then {verdict:?}");
        // Nobody else's signature is good.
        let changed = Bytes::from_static(b"{}");
        if record.algorithm.as_deref() != Some("token")
            && record
                .content
                .as_deref()
                .is_none_or(|content| content.contains("{body}"))
        {
            let inbound = Inbound {
                url: Some(outbound.url),
                ..Inbound::post(&headers, &changed)
            };
            let key = scheme.verifying_key(&Secret::new(SECRETS[0].0));
            if let Ok(key) = key {
                let verdict = verify(&scheme, &[key], &inbound, now());
                assert!(verdict.is_err(), "{text}\ntook another body");
            }
        }
    }
    (true, signed)
}

/// A pattern and an event of any kind: the text is a record; behind a NUL stands a body, behind another the type. Neither
/// compiling nor matching panics or takes long, and a pattern that is written out anew says the same. Gives whether it
/// compiled, and whether it matched.
pub fn pattern(data: &[u8]) -> Option<bool> {
    let mut parts = data.splitn(3, |byte| *byte == 0);
    let text = std::str::from_utf8(parts.next()?).ok()?;
    let body = parts.next().unwrap_or(b"{}");
    let event_type = String::from_utf8_lossy(parts.next().unwrap_or(b"a.b")).into_owned();
    let began = Instant::now();
    let record: PatternRecord = serde_yaml::from_str(text).ok()?;
    let compiled = Pattern::compile(&record);
    let Ok(compiled) = compiled else {
        return None;
    };
    let document = Document::parse(body).ok();
    let headers = [
        ("x-a".to_owned(), event_type.clone()),
        ("x-a".to_owned(), "12".to_owned()),
        ("x-b".to_owned(), String::from_utf8_lossy(body).into_owned()),
    ];
    let subject = Subject {
        event_type: &event_type,
        headers: &headers,
        body: document.as_ref().map(Document::root),
    };
    let matched = compiled.matches(&subject);
    assert!(began.elapsed() < PATIENCE, "{text}: {:?}", began.elapsed());
    if let Err(mismatch) = &matched {
        let shown = mismatch
            .found
            .as_deref()
            .unwrap_or_default()
            .chars()
            .count();
        assert!(shown <= MAX_SHOWN + 1, "{text}: {mismatch}");
        let _ = mismatch.to_string();
    }
    assert!(compiled.written().count() > 0 || matched.is_ok(), "{text}");
    let again = serde_json::to_string(&record).unwrap_or_else(|error| panic!("{text}: {error}"));
    let anew: PatternRecord =
        serde_json::from_str(&again).unwrap_or_else(|error| panic!("{text}\n{again}: {error}"));
    let anew =
        Pattern::compile(&anew).unwrap_or_else(|errors| panic!("{text}\n{again}: {errors:?}"));
    assert_eq!(
        anew.matches(&subject).is_ok(),
        matched.is_ok(),
        "{text}\n{again}"
    );
    Some(matched.is_ok())
}

/// What takes requests in, with a store in a folder.
pub struct Door {
    intake: Intake,
    plan: Plan,
    runtime: tokio::runtime::Runtime,
    budget: Budget,
    _folder: tempfile::TempDir,
}

/// The sources of a [`Door`]: all sign by HMAC over the body as it came over the wire or decoded.
const SOURCES: [&str; 5] = ["plain", "typed", "cloud", "decoded", "asked"];

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Became {
    /// Not a request at all.
    Nothing,
    /// An event, new or not.
    Event,
    /// The answer to a challenge.
    Reply,
    /// Refused.
    Refused,
}

impl Door {
    pub fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let secret = format!("secrets: [{{value: {PLAIN}}}]");
        let config = format!(
            "listen: 127.0.0.1:0\nadmin: {{listen: 127.0.0.1:0}}\nlimits: {{body: 64KiB}}\nsources:\n  \
             plain: {{preset: hmac, {secret}}}\n  \
             typed: {{preset: hmac, {secret}, scheme: {{type: {{json: /type}}, id: {{json: /id}}}}}}\n  \
             cloud: {{preset: hmac, {secret}, scheme: {{envelope: cloudevents}}}}\n  \
             decoded: {{preset: hmac, {secret}, scheme: {{body: decoded}}}}\n  \
             asked:\n    preset: hmac\n    {secret}\n    scheme: {{handshake: [{{when: {{method: GET, query: {{c: '*'}}}}, \
             token: {{query: t}}, reply: {{text: '{{query:c}}'}}}}]}}\n\
             targets: {{t: {{url: \"http://127.0.0.1:9/\"}}}}\n\
             routes: [{{name: r, from: [plain, typed, cloud], match: {{type: 'a.*', body: {{n: {{gt: 1}}}}}}, to: t}}]\n"
        );
        let path = folder.path().join("config.yaml");
        std::fs::create_dir(folder.path().join("templates")).unwrap();
        std::fs::write(&path, config).unwrap();
        let plan = load(&path);
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(now()));
        let metrics = Arc::new(Metrics::new());
        let options = StoreOptions {
            path: folder.path().join("data"),
            min_free_bytes: 0,
            ..StoreOptions::default()
        };
        let store = LocalStore::open(&options, Arc::clone(&clock), Arc::clone(&metrics)).unwrap();
        let live = Arc::new(Live::new(now()));
        Self {
            intake: Intake::new(Arc::new(store), clock, metrics, live),
            plan,
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap(),
            budget: Budget::default(),
            _folder: folder,
        }
    }

    /// A whole request: the first byte chooses the source, the second method and coding; lines are headers up to an empty
    /// one, what follows is the body. [`MARK`] in a header is its right signature. Nothing that is not signed becomes an
    /// event, and no challenge is answered without its token.
    pub fn accept(&self, data: &[u8]) -> Became {
        let [source, how, rest @ ..] = data else {
            return Became::Nothing;
        };
        let source = SOURCES[usize::from(*source) % SOURCES.len()];
        let (head, body) = match rest.windows(2).position(|two| two == b"\n\n") {
            Some(at) => (&rest[..at], &rest[at + 2..]),
            None => (rest, &b""[..]),
        };
        let coding = match how & 1 {
            0 => Coding::Identity,
            _ => Coding::Gzip,
        };
        let method = match how >> 1 & 7 {
            6 => Method::GET,
            7 => Method::OPTIONS,
            _ => Method::POST,
        };
        let right = self.right(source, body);
        let mut lines = head.split(|byte| *byte == b'\n');
        let query = lines.next().filter(|_| method != Method::POST);
        let query = query.map(|query| String::from_utf8_lossy(query).into_owned());
        let mut headers = HeaderMap::new();
        for line in lines {
            let Some(at) = line.iter().position(|byte| *byte == b':') else {
                continue;
            };
            let value = line[at + 1..]
                .split(|byte| *byte == MARK)
                .collect::<Vec<_>>();
            let value = value.join(right.as_bytes());
            let header = HeaderName::from_bytes(&line[..at]).ok();
            if let (Some(name), Ok(value)) = (header, HeaderValue::from_bytes(value.trim_ascii())) {
                headers.append(name, value);
            }
        }
        let signatures: Vec<String> = headers
            .get_all("x-signature")
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase())
            .collect();
        let request = Request {
            client: IpAddr::V4(Ipv4Addr::LOCALHOST),
            method: method.clone(),
            query: query.clone(),
            headers,
            coding,
            wire: Bytes::copy_from_slice(body),
            held: self.budget.open(),
        };
        let taken = &self.plan.sources[source];
        let accepted = self.intake.accept(&self.plan, taken, request);
        match self.runtime.block_on(accepted) {
            Ok(Accepted::Event { .. }) => {
                assert_eq!(method, Method::POST, "{data:?}");
                // What `decoded` signs is known here only if it is not coded.
                if source != "decoded" || coding == Coding::Identity {
                    assert_eq!(signatures, [right], "{data:?}");
                }
                Became::Event
            }
            Ok(Accepted::Reply(_)) => {
                assert_eq!((source, &method), ("asked", &Method::GET), "{data:?}");
                assert!(query.is_some_and(|query| query.contains(PLAIN)), "{data:?}");
                Became::Reply
            }
            Err(_) => Became::Refused,
        }
    }

    /// The right signature of these bytes.
    fn right(&self, source: &str, body: &[u8]) -> String {
        let scheme = &self.plan.sources[source].checks.first().scheme;
        let key = scheme.signing_key(&Secret::new(PLAIN)).unwrap();
        let headers = sign(scheme, &[key], &outbound(body)).unwrap();
        let found = headers.iter().find(|(name, _)| name == "x-signature");
        found.unwrap().1.to_str().unwrap().to_owned()
    }
}

fn load(path: &Path) -> Plan {
    match config::load(path, &config::ProcessEnv) {
        Ok(compiled) => compiled.plan,
        Err(errors) => panic!("{errors}"),
    }
}

/// How often each thing happened, so that a run can be judged.
#[derive(Debug, Default)]
pub struct Tally(HashMap<String, u64>);

#[allow(dead_code)]
impl Tally {
    pub fn add(&mut self, what: impl std::fmt::Debug) {
        *self.0.entry(format!("{what:?}")).or_default() += 1;
    }

    pub fn of(&self, what: impl std::fmt::Debug) -> u64 {
        self.0
            .get(&format!("{what:?}"))
            .copied()
            .unwrap_or_default()
    }
}
