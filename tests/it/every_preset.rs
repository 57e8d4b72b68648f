//! The tricks of the list of hostile inputs that need no door, played on every preset that can sign with some secret here:
//! a preset that is added is met by them without a word.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use ingate::secret::Secret;
use ingate::signature::{
    Content, Inbound, Key, MAX_TEXT_BYTES, Outbound, Scheme, SchemeRecord, Verdict, Verified,
    VerifyError, sign, verify,
};
use jiff::{SignedDuration, Timestamp};

const PLAIN: &str = "a-plain-test-secret-of-40-characters-xyz";
const URL: &str = "https://relay.example/in/s";

/// Secrets of every kind: one that signs, the one that verifies it, and one that verifies something else.
const SECRETS: [(&str, &str, &str); 4] = [
    (PLAIN, PLAIN, "another-test-secret-of-40-characters-xyz"),
    (
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
    ),
    (
        "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==",
        "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=",
        "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=",
    ),
    (
        "user:a-long-password-of-the-tests",
        "user:a-long-password-of-the-tests",
        "user:another-long-password",
    ),
];

struct Case {
    name: &'static str,
    scheme: Scheme,
    key: Key,
    other: Option<Key>,
    headers: HeaderMap,
    body: Bytes,
    now: Timestamp,
    /// Whether what is sent is the secret itself, which signs nothing.
    is_token: bool,
}

impl Case {
    /// A request that is in order; `None` if no secret here signs by this preset.
    fn of(name: &'static str) -> Option<Self> {
        let record = SchemeRecord::preset(name).unwrap();
        let scheme = Scheme::compile(&record).unwrap_or_else(|errors| panic!("{name}: {errors:?}"));
        let now = Timestamp::from_second(1_767_607_200).unwrap();
        let body = Bytes::from_static(br#"{"type":  "hostile", "data": {"n": 1.50}}"#);
        SECRETS.iter().find_map(|(signing, verifying, other)| {
            let signing_key = scheme.signing_key(&Secret::new(*signing)).ok()?;
            let key = scheme.verifying_key(&Secret::new(*verifying)).ok()?;
            let outbound = Outbound {
                id: "msg_1",
                timestamp: now,
                method: &Method::POST,
                url: URL,
                event_type: "hostile",
                body: &body,
            };
            let headers = sign(&scheme, &[signing_key], &outbound).ok()?;
            let case = Self {
                name,
                other: scheme
                    .verifying_key(&Secret::new(*other))
                    .ok()
                    .filter(|_| other != verifying),
                scheme: scheme.clone(),
                key,
                headers: headers.into_iter().collect(),
                body: body.clone(),
                now,
                is_token: record.algorithm.as_deref() == Some("token"),
            };
            case.event(&case.headers, &body).ok()?;
            Some(case)
        })
    }

    fn verdict(
        &self,
        key: &Key,
        headers: &HeaderMap,
        body: &Bytes,
        now: Timestamp,
    ) -> Result<Verdict, VerifyError> {
        let inbound = Inbound {
            url: Some(URL),
            ..Inbound::post(headers, body)
        };
        verify(&self.scheme, std::slice::from_ref(key), &inbound, now)
    }

    fn event(&self, headers: &HeaderMap, body: &Bytes) -> Result<Verified, VerifyError> {
        match self.verdict(&self.key, headers, body, self.now)? {
            Verdict::Event(event) => Ok(event),
            Verdict::Reply(reply) => panic!("{}: a reply {reply:?}", self.name),
        }
    }

    fn refuses(&self, trick: &str, headers: &HeaderMap, body: &Bytes) {
        let name = self.name;
        if let Ok(event) = self.event(headers, body) {
            panic!("{name}: {trick} was taken: {headers:?} {event:?}");
        }
    }

    /// The headers with another value of this one.
    fn with(&self, name: &HeaderName, value: &[u8]) -> HeaderMap {
        let mut headers = self.headers.clone();
        headers.insert(name.clone(), HeaderValue::from_bytes(value).unwrap());
        headers
    }
}

#[test]
fn every_preset_refuses_what_is_not_in_order() {
    let (mut played, mut passed_over) = (Vec::new(), Vec::new());
    for name in SchemeRecord::preset_names() {
        let Some(case) = Case::of(name) else {
            passed_over.push(name);
            continue;
        };
        played.push(name);
        for (header, value) in &case.headers {
            if case.scheme.is_credential(header) {
                signature(&case, header, value.as_bytes());
            } else {
                beside(&case, header);
            }
        }
        if !case.is_token {
            for body in [
                [&case.body[..], b"\n"].concat(),
                [b"\xef\xbb\xbf", &case.body[..]].concat(),
                br#"{"type":"hostile","data":{"n":1.50}}"#.to_vec(),
                Vec::new(),
            ] {
                case.refuses("N06 another body", &case.headers, &body.into());
            }
        }
        if let Some(other) = &case.other {
            let verdict = case.verdict(other, &case.headers, &case.body, case.now);
            assert!(verdict.is_err(), "{name}: N50 another secret");
        }
        let event = case.event(&case.headers, &case.body).unwrap();
        for seconds in [-100_000, 100_000]
            .into_iter()
            .filter(|_| event.skew_seconds().is_some())
        {
            let now = case.now + SignedDuration::from_secs(seconds);
            let verdict = case.verdict(&case.key, &case.headers, &case.body, now);
            assert!(verdict.is_err(), "{name}: N07, N08 {seconds}");
        }
    }
    println!("played: {played:?}; no secret here: {passed_over:?}");
    assert!(
        played.len() >= 12,
        "{played:?}; no secret here: {passed_over:?}"
    );
}

/// What is done to the signature.
fn signature(case: &Case, header: &HeaderName, value: &[u8]) {
    let mut without = case.headers.clone();
    without.remove(header);
    case.refuses("N01 no signature", &without, &case.body);
    for blank in ["", " "] {
        case.refuses(
            "N02 a blank one",
            &case.with(header, blank.as_bytes()),
            &case.body,
        );
    }
    let short = value.get(..8).unwrap_or_default();
    case.refuses(
        "N04 the beginning of it",
        &case.with(header, short),
        &case.body,
    );
    let prefix = value.iter().position(|byte| b"=, ".contains(byte));
    // The sign at the end of base64 stands before nothing.
    let prefix = prefix.map_or(0, |at| at + 1) % value.len();
    case.refuses(
        "N03 only what stands before it",
        &case.with(header, &value[..prefix]),
        &case.body,
    );
    for (trick, bytes) in [
        ("N23 something before it", [b"x", value].concat()),
        (
            "N49 something foreign before it",
            [b"\xd9\xa1", value].concat(),
        ),
        (
            "N18 a space within",
            [&value[..value.len() - 4], b" ", &value[value.len() - 4..]].concat(),
        ),
        ("N17 cut at the end", value[..value.len() - 1].to_vec()),
    ] {
        case.refuses(trick, &case.with(header, &bytes), &case.body);
    }
    let mut twice = case.headers.clone();
    twice.append(header.clone(), HeaderValue::from_bytes(value).unwrap());
    case.refuses("N12 two of them", &twice, &case.body);
}

/// What is done to another header: a timestamp, an id, a type.
fn beside(case: &Case, header: &HeaderName) {
    let whole = case.event(&case.headers, &case.body).unwrap();
    let mut without = case.headers.clone();
    without.remove(header);
    if let Ok(event) = case.event(&without, &case.body) {
        let is_timed = event.skew_seconds().is_some() == whole.skew_seconds().is_some();
        assert!(is_timed, "{}: N10 without {header}", case.name);
    }
    let mut twice = case.headers.clone();
    twice.append(header.clone(), case.headers[header].clone());
    case.refuses("N13 two of them", &twice, &case.body);
    for value in [vec![b'm'; 10_000], b"a\tb".to_vec()] {
        let headers = case.with(header, &value);
        if let Ok(event) = case.event(&headers, &case.body) {
            let Content {
                message_id,
                event_type,
                ..
            } = event.content();
            for text in [message_id, event_type].into_iter().flatten() {
                let is_plain = text.len() <= MAX_TEXT_BYTES && !text.contains('\t');
                assert!(is_plain, "{}: N54 {header}: {text}", case.name);
            }
        }
    }
}
