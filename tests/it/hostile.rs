//! Signatures that are not in order: every entry of the list of hostile inputs that the presets can meet,
//! under its number, against a daemon with one source for each preset. The entries about the wire are
//! in `answers`.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use hmac::{Hmac, KeyInit, Mac};
use ingate::clock::{Clock, ManualClock};
use jiff::Timestamp;
use sha2::Sha256;

use crate::support::{Daemon, Message, Peer, exchange, load, log};

/// A source: the preset that is also its name, the secret that signs, the header of the signature, and what
/// stands in it before the signature itself.
struct Vendor {
    preset: &'static str,
    secret: &'static str,
    signature: &'static str,
    prefix: &'static str,
    stamp: Option<&'static str>,
}

const PLAIN_SECRET: &str = "a-plain-test-secret-of-40-characters-xyz";
const WHSEC: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const WHSK: &str =
    "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==";
const WHPK: &str = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=";
const WRENO: &str = "wreno_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

const fn vendor(
    preset: &'static str,
    secret: &'static str,
    signature: &'static str,
    prefix: &'static str,
    stamp: Option<&'static str>,
) -> Vendor {
    Vendor {
        preset,
        secret,
        signature,
        prefix,
        stamp,
    }
}

const VENDORS: [Vendor; 13] = [
    vendor(
        "wreno",
        WRENO,
        "webhook-signature",
        "v1,",
        Some("webhook-timestamp"),
    ),
    vendor(
        "compliancely",
        PLAIN_SECRET,
        "compliancely-signature",
        "sha256=",
        None,
    ),
    vendor(
        "wismolabs",
        WHSEC,
        "svix-signature",
        "v1,",
        Some("svix-timestamp"),
    ),
    vendor(
        "wundaflow",
        WHSEC,
        "webhook-signature",
        "v1,",
        Some("webhook-timestamp"),
    ),
    vendor(
        "wingspan",
        PLAIN_SECRET,
        "x-wingspan-signature",
        "sha256=",
        None,
    ),
    vendor(
        "standard-webhooks",
        WHSEC,
        "webhook-signature",
        "v1,",
        Some("webhook-timestamp"),
    ),
    vendor(
        "standard-webhooks-v1a",
        WHSK,
        "webhook-signature",
        "v1a,",
        Some("webhook-timestamp"),
    ),
    vendor(
        "svix",
        WHSEC,
        "svix-signature",
        "v1,",
        Some("svix-timestamp"),
    ),
    vendor(
        "github",
        PLAIN_SECRET,
        "x-hub-signature-256",
        "sha256=",
        None,
    ),
    vendor("stripe", PLAIN_SECRET, "stripe-signature", "v1=", None),
    vendor("shopify", PLAIN_SECRET, "x-shopify-hmac-sha256", "", None),
    vendor(
        "slack",
        PLAIN_SECRET,
        "x-slack-signature",
        "v0=",
        Some("x-slack-request-timestamp"),
    ),
    vendor("hmac", PLAIN_SECRET, "x-signature", "", None),
];

/// A body that is not written as a serializer would, so that writing it anew changes it.
const BODY: &str = "{\"type\": \"hostile\",  \"n\": 1.50}";

/// A daemon with all vendors and a clock that stands still, and the target of everything.
struct Stage {
    daemon: Daemon,
    peer: Peer,
    now: Timestamp,
    _folder: tempfile::TempDir,
}

impl Stage {
    async fn set() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let peer = Peer::start([]).await;
        let mut config = String::from("sources:\n");
        for vendor in &VENDORS {
            let secret = if vendor.secret == WHSK {
                WHPK
            } else {
                vendor.secret
            };
            config.push_str(&format!(
                "  {0}: {{preset: {0}, secrets: [{{value: {1:?}}}]}}\n",
                vendor.preset, secret
            ));
        }
        let all: Vec<&str> = VENDORS.iter().map(|vendor| vendor.preset).collect();
        config.push_str(&format!(
            "targets: {{peer: {{url: {:?}}}}}\nroutes: [{{name: all, from: [{}], to: peer}}]\n",
            peer.url(),
            all.join(", ")
        ));
        let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap();
        let clock = Arc::new(ManualClock::new(now));
        let daemon = Daemon::start_at(folder.path(), &config, Arc::clone(&clock) as _).await;
        assert_eq!(clock.now(), now);
        Self {
            daemon,
            peer,
            now,
            _folder: folder,
        }
    }

    /// What the vendor would send, under this id.
    fn good(&self, vendor: &Vendor, id: &str) -> Message {
        self.good_at(vendor, id, 0, BODY)
    }

    fn good_at(&self, vendor: &Vendor, id: &str, seconds: i64, body: &str) -> Message {
        let at = Timestamp::from_second(self.now.as_second() + seconds).unwrap();
        let source = self.daemon.source(vendor.preset);
        Message::signed(source, vendor.secret, id, at, "hostile", body.into())
    }

    async fn expect(&self, name: &str, message: &Message, wanted: u16) -> serde_json::Value {
        let answer = self.daemon.send(message).await;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.status, wanted, "{name}: {text}\n{message:?}");
        if wanted == 401 {
            assert_eq!(text, r#"{"error":"unauthorized"}"#, "N55 {name}");
        }
        answer.json()
    }

    async fn refuse(&self, name: &str, message: &Message) {
        self.expect(name, message, 401).await;
    }
}

fn by_name(preset: &str) -> &'static Vendor {
    let found = VENDORS.iter().find(|vendor| vendor.preset == preset);
    found.unwrap_or_else(|| panic!("no vendor {preset}"))
}

impl Vendor {
    /// The signature itself.
    fn bare(&self, message: &Message) -> String {
        let value = message.get(self.signature);
        let (_, bare) = value.split_once(self.prefix).unwrap();
        bare.to_owned()
    }

    /// The message with another signature in the place of its own.
    fn resign(&self, message: &Message, bare: &str) -> Message {
        let value = message.get(self.signature);
        let value = value.replace(&self.bare(message), bare);
        message.clone().set(self.signature, value)
    }

    fn is_hex(&self) -> bool {
        !matches!(self.prefix, "v1," | "v1a,") && self.preset != "shopify"
    }
}

fn mac(key: &[u8], content: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(content);
    mac.finalize().into_bytes().to_vec()
}

/// A Standard Webhooks message whose signature is right, whatever its id and timestamp look like.
fn standard(id: &str, stamp: &str, body: &str) -> Message {
    let key = STANDARD
        .decode(WHSEC.strip_prefix("whsec_").unwrap())
        .unwrap();
    let content = format!("{id}.{stamp}.{body}");
    let signature = STANDARD.encode(mac(&key, content.as_bytes()));
    Message::post("/in/standard-webhooks", body)
        .with("webhook-id", id)
        .with("webhook-timestamp", stamp)
        .with("webhook-signature", format!("v1,{signature}"))
}

#[tokio::test]
async fn signatures_that_are_not_in_order_are_refused() {
    let stage = Stage::set().await;
    for vendor in &VENDORS {
        let name = |n: &str| format!("{n} {}", vendor.preset);
        let good = stage.good(vendor, "msg_1");
        let bare = vendor.bare(&good);
        let with = |bare: &str| vendor.resign(&good, bare);
        let whole = |value: &str| good.clone().set(vendor.signature, value);

        stage
            .refuse(&name("N01"), &good.clone().without(vendor.signature))
            .await;
        for blank in ["", "   "] {
            stage.refuse(&name("N02"), &whole(blank)).await;
        }
        stage.refuse(&name("N03"), &with("")).await;
        stage.refuse(&name("N04"), &with(&bare[..8])).await;
        stage
            .refuse(&name("N04 whole"), &whole(&good.get(vendor.signature)[..8]))
            .await;
        let versions = ["v2,", "v0=", "v9="];
        for version in versions.iter().filter(|version| **version != vendor.prefix) {
            stage
                .refuse(&name("N05"), &whole(&format!("{version}{bare}")))
                .await;
        }
        for body in [
            format!("{BODY}\n"),
            format!("\u{feff}{BODY}"),
            r#"{"type":"hostile","n":1.50}"#.to_owned(),
        ] {
            stage.refuse(&name("N06"), &good.clone().body(body)).await;
        }
        let bad = with(&"A".repeat(bare.len())).get(vendor.signature);
        let right = good.get(vendor.signature);
        for (first, second) in [(&bad, &right), (&right, &bad), (&right, &right)] {
            let doubled = whole(first).with(vendor.signature, second.as_str());
            stage.refuse(&name("N12"), &doubled).await;
        }
        if !vendor.prefix.is_empty() {
            let value = format!("x{}{bare}", vendor.prefix);
            stage.refuse(&name("N23"), &whole(&value)).await;
        }
        if vendor.is_hex() {
            for (n, value) in [
                ("N18 odd", bare[1..].to_owned()),
                ("N18 0x", format!("0x{bare}")),
                ("N18 space", format!("{} {}", &bare[..10], &bare[10..])),
            ] {
                stage.refuse(&name(n), &with(&value)).await;
            }
            if vendor.prefix == "sha256=" {
                stage
                    .refuse(&name("N19"), &whole(&format!("SHA256={bare}")))
                    .await;
            }
        } else {
            for (n, value) in [
                ("N17 padding", bare.trim_end_matches('=').to_owned()),
                ("N17 junk", format!("{}!{}", &bare[..10], &bare[10..])),
                ("N17 trailing bits", with_trailing_bits(&bare)),
            ] {
                stage.refuse(&name(n), &with(&value)).await;
            }
        }
        let value = [
            b"\xd9\xa1".as_slice(),
            good.get(vendor.signature).as_bytes(),
        ]
        .concat();
        let foreign = good
            .clone()
            .without(vendor.signature)
            .with(vendor.signature, value);
        stage.refuse(&name("N49"), &foreign).await;
        stage
            .refuse(&name("N50"), &wrong_secret(&stage, vendor))
            .await;

        let answer = stage.expect(&name("the same, in order"), &good, 200).await;
        assert_eq!(answer["duplicate"], false, "{}", vendor.preset);
    }
    // All that came through is what was in order, once for each vendor.
    stage.peer.wait_for(VENDORS.len()).await;
    stage.daemon.stop().await;
    assert_eq!(stage.peer.received().len(), VENDORS.len());
}

/// The same 32 or 64 bytes, but with a bit set that the encoding does not use.
fn with_trailing_bits(base64: &str) -> String {
    let digits = base64.trim_end_matches('=');
    let (rest, last) = digits.split_at(digits.len() - 1);
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let at = alphabet.find(last).unwrap();
    format!(
        "{rest}{}{}",
        &alphabet[at + 1..=at + 1],
        &base64[digits.len()..]
    )
}

fn wrong_secret(stage: &Stage, vendor: &Vendor) -> Message {
    let other = match vendor.secret {
        PLAIN_SECRET => "another-test-secret-of-40-characters-xyz",
        WRENO => "wreno_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
        WHSEC => "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
        // 32 bytes of a seed that belongs to no other key here.
        _ => "whsk_AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=",
    };
    let source = stage.daemon.source(vendor.preset);
    Message::signed(source, other, "msg_1", stage.now, "hostile", BODY.into())
}

#[tokio::test]
async fn timestamps_are_read_strictly() {
    let stage = Stage::set().await;
    for preset in [
        "wreno",
        "wismolabs",
        "wundaflow",
        "standard-webhooks",
        "standard-webhooks-v1a",
        "svix",
        "stripe",
        "slack",
    ] {
        let vendor = by_name(preset);
        for (name, seconds, wanted) in [
            ("N07", -301, 401),
            ("N08", 301, 401),
            ("just in time", -300, 200),
            ("just not too early", 300, 200),
        ] {
            let body = format!("{{\"at\": {seconds}}}");
            let message = stage.good_at(vendor, &format!("msg{seconds}"), seconds, &body);
            stage
                .expect(&format!("{name} {preset}"), &message, wanted)
                .await;
        }
        if let Some(stamp) = vendor.stamp {
            let good = stage.good(vendor, "msg_stamp");
            let name = format!("N10 {preset}");
            stage.refuse(&name, &good.clone().without(stamp)).await;
            let twice = good.clone().with(stamp, good.get(stamp));
            stage.refuse(&format!("N13 {preset}"), &twice).await;
        }
    }
    let now = stage.now.as_second();
    for stamp in [
        format!("+{now}"),
        format!("0{now}"),
        format!("{now}.5"),
        format!("{now}.0"),
        format!("{now}e0"),
        format!("0x{now:x}"),
        format!("1_{}", &now.to_string()[1..]),
        format!("{now} 1"),
        "١٧٠٠٠٠٠٠٠٠".to_owned(),
        "nan".to_owned(),
        i64::MIN.to_string(),
        "99999999999999999999".to_owned(),
        String::new(),
    ] {
        let message = standard("msg_9", &stamp, BODY);
        stage.refuse(&format!("N09 {stamp:?}"), &message).await;
        let content = format!("v0:{stamp}:{BODY}");
        let signature = hex::encode(mac(PLAIN_SECRET.as_bytes(), content.as_bytes()));
        let message = Message::post("/in/slack", BODY)
            .with("x-slack-request-timestamp", stamp.as_str())
            .with("x-slack-signature", format!("v0={signature}"));
        stage
            .refuse(&format!("N09 slack {stamp:?}"), &message)
            .await;
    }
    for stamp in [format!(" {now}"), format!("+{now}"), format!("0{now}")] {
        let content = format!("{stamp}.{BODY}");
        let signature = hex::encode(mac(PLAIN_SECRET.as_bytes(), content.as_bytes()));
        let message = Message::post("/in/stripe", BODY)
            .with("stripe-signature", format!("t={stamp},v1={signature}"));
        stage
            .refuse(&format!("N09 stripe {stamp:?}"), &message)
            .await;
    }
    let stripe = by_name("stripe");
    let good = stage.good(stripe, "msg_10");
    let unstamped = format!("v1={}", stripe.bare(&good));
    stage
        .refuse("N10 stripe", &good.set("stripe-signature", unstamped))
        .await;
    let millis = standard("msg_11", &format!("{now}000"), BODY);
    stage.refuse("N11", &millis).await;
    let sound = standard("msg_9", &now.to_string(), BODY);
    stage.expect("N09 in order", &sound, 200).await;
}

#[tokio::test]
async fn lists_ids_and_encodings_are_read_strictly() {
    let stage = Stage::set().await;
    let vendor = by_name("standard-webhooks");
    let good = stage.good(vendor, "msg_13");
    let value = good.get(vendor.signature);
    let wrong = "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

    let twice = good.clone().with("webhook-id", "msg_13");
    stage.refuse("N13 id", &twice).await;
    let joined = good
        .clone()
        .set(vendor.signature, format!("{wrong}, {value}"));
    stage.refuse("N14", &joined).await;
    let many = format!("{} {value}", [wrong; 50].join(" "));
    stage
        .refuse("N15", &good.clone().set(vendor.signature, many))
        .await;

    let huge = good.clone().set(vendor.signature, "A".repeat(64 << 10));
    let answers = exchange(stage.daemon.public, &huge.bytes()).await;
    assert_eq!(answers[0].status, 431, "N16");

    for preset in ["standard-webhooks", "shopify"] {
        let vendor = by_name(preset);
        let url_safe = (0..)
            .map(|n| {
                stage
                    .good(vendor, &format!("msg_17_{n}"))
                    .with("x-n", n.to_string())
            })
            .map(|message| salted(&stage, vendor, &message))
            .find(|message| vendor.bare(message).contains(['+', '/']))
            .unwrap();
        let bytes = STANDARD.decode(vendor.bare(&url_safe)).unwrap();
        let other = vendor.resign(&url_safe, &URL_SAFE.encode(bytes));
        stage
            .refuse(&format!("N17 url-safe, N31 {preset}"), &other)
            .await;
        stage
            .expect(&format!("N17 as it should be {preset}"), &url_safe, 200)
            .await;
    }

    let v1a = by_name("standard-webhooks-v1a");
    let key = STANDARD
        .decode(WHPK.strip_prefix("whpk_").unwrap())
        .unwrap();
    let stamp = stage.now.as_second();
    let forged = STANDARD.encode(mac(&key, format!("msg_21.{stamp}.{BODY}").as_bytes()));
    for version in ["v1", "v1a"] {
        let message = stage.good(v1a, "msg_21");
        let message = message.set("webhook-signature", format!("{version},{forged}"));
        stage.refuse(&format!("N21 {version}"), &message).await;
    }

    let github = by_name("github");
    let good = stage.good(github, "msg_22");
    let old = good.clone().without(github.signature);
    for value in [
        good.get(github.signature),
        format!("sha1={}", "0".repeat(40)),
    ] {
        stage
            .refuse("N22", &old.clone().with("x-hub-signature", value))
            .await;
    }

    let long = "m".repeat(10_000);
    stage
        .refuse("N54 10 kB", &standard(&long, &stamp.to_string(), BODY))
        .await;
    // What is signed reads the same, but the parts have moved.
    let captured = standard("msg_54", &stamp.to_string(), &format!("{stamp}.{{}}"));
    let shifted = captured
        .clone()
        .set("webhook-id", format!("msg_54.{stamp}"))
        .body("{}");
    stage.refuse("N54 shifted", &shifted).await;
}

/// The message anew with a body of its own, so that its signature differs from those before it.
fn salted(stage: &Stage, vendor: &Vendor, message: &Message) -> Message {
    let salt = message.get("x-n");
    let body = format!("{{\"type\": \"hostile\", \"salt\": {salt}}}");
    stage.good_at(vendor, &format!("msg_17_{salt}"), 0, &body)
}

#[tokio::test]
async fn what_is_only_unusual_is_taken() {
    let stage = Stage::set().await;
    let standard = by_name("standard-webhooks");
    let good = stage.good(standard, "msg_15");
    let wrong = "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let list = format!(
        "{} {}",
        [wrong; 15].join(" "),
        good.get("webhook-signature")
    );
    stage
        .expect("N15 the 16th", &good.set("webhook-signature", list), 200)
        .await;

    for vendor in VENDORS.iter().filter(|vendor| vendor.is_hex()) {
        let good = stage.good(vendor, "msg_19");
        let upper = vendor.resign(&good, &vendor.bare(&good).to_uppercase());
        let name = format!("N19 {}", vendor.preset);
        stage.expect(&name, &upper, 200).await;
        // The same request, its signature written in another way.
        let again = stage.expect(&name.replace("N19", "N31"), &good, 200).await;
        assert_eq!(again["duplicate"], true, "{name}");
    }
    for preset in ["compliancely", "wingspan"] {
        let vendor = by_name(preset);
        let good = stage.good_at(vendor, "", 0, "{\"bare\": true}");
        let bare = vendor.bare(&good);
        let name = format!("{preset} without its prefix");
        stage
            .expect(&name, &good.set(vendor.signature, bare), 200)
            .await;
    }
    let wreno = by_name("wreno");
    let good = stage.good(wreno, "msg_bare");
    let bare = wreno.bare(&good);
    stage
        .expect("wreno without v1,", &good.set(wreno.signature, bare), 200)
        .await;

    let mut good = stage.good(by_name("github"), "msg_48").body(BODY);
    for (n, (name, _)) in good.headers.iter_mut().enumerate() {
        *name = if n % 2 == 0 {
            name.to_uppercase()
        } else {
            name.to_lowercase()
        };
    }
    stage.expect("N48", &good, 200).await;
    let good = stage
        .good(standard, "msg_40")
        .with("Content-Type", "text/html; charset=nonsense");
    stage.expect("N40", &good, 200).await;
}

#[tokio::test]
async fn a_repetition_is_answered_and_not_delivered() {
    let stage = Stage::set().await;
    for (n, preset) in [
        ("N29", "standard-webhooks"),
        ("N29", "wreno"),
        ("N29", "hmac"),
        ("N30", "github"),
        ("N30", "shopify"),
    ] {
        let vendor = by_name(preset);
        let first = stage.good(vendor, "msg_29");
        let mut second = first.clone();
        if n == "N30" {
            let header = if preset == "github" {
                "x-github-delivery"
            } else {
                "x-shopify-webhook-id"
            };
            second = second.set(header, "another");
        }
        let name = format!("{n} {preset}");
        let one = stage.expect(&name, &first, 200).await;
        let two = stage.expect(&name, &second, 200).await;
        assert_eq!(one["duplicate"], false, "{name}");
        assert_eq!(two["duplicate"], true, "{name}");
        assert_eq!(one["id"], two["id"], "{name}");
    }
    let conflicting = stage.good_at(by_name("wreno"), "msg_29", 0, "{\"other\": 1}");
    let answer = stage
        .expect("the same id, another body", &conflicting, 200)
        .await;
    assert_eq!(answer["duplicate"], true);
    let dropped = stage
        .daemon
        .metric("ingate_events_dropped_total{source=\"wreno\",reason=\"conflicting\"}")
        .await;
    assert!((dropped - 1.0).abs() < f64::EPSILON);

    let twins = stage.good(by_name("svix"), "msg_32").bytes();
    let sent: Vec<_> = (0..8)
        .map(|_| {
            let (addr, twins) = (stage.daemon.public, twins.clone());
            tokio::spawn(async move { exchange(addr, &twins).await })
        })
        .collect();
    let mut first_ones = 0;
    for answers in sent {
        let answer = answers.await.unwrap().remove(0);
        assert_eq!(answer.status, 200, "N32");
        first_ones += u32::from(answer.json()["duplicate"] == false);
    }
    assert_eq!(first_ones, 1, "N32");

    stage.peer.wait_for(6).await;
    stage.daemon.stop().await;
    assert_eq!(stage.peer.received().len(), 6);
}

#[tokio::test]
async fn a_challenge_needs_a_signature_and_an_event_is_never_echoed() {
    let stage = Stage::set().await;
    let slack = by_name("slack");
    let challenge =
        r#"{"type":"url_verification","token":"t","challenge":"<script>alert(1)</script>"}"#;
    stage
        .refuse("N24", &Message::post("/in/slack", challenge))
        .await;
    let unsigned = stage.good(slack, "").body(challenge);
    stage.refuse("N24 signed for another body", &unsigned).await;

    let signed = stage.good_at(slack, "", 0, challenge);
    let answer = stage.daemon.send(&signed).await;
    assert_eq!(answer.status, 200, "N27");
    assert_eq!(answer.text(), "<script>alert(1)</script>", "N27");
    let kind = answer.header("content-type").unwrap();
    assert!(kind.starts_with("text/plain"), "N27: {kind}");
    assert_eq!(
        answer.header("x-content-type-options"),
        Some("nosniff"),
        "N27"
    );

    let events = [
        r#"{"type":"event_callback","challenge":"x","event":{"type":"url_verification"}}"#,
        r#"{"type":"url_verification","challenge":"x","event":{"type":"message"}}"#,
    ];
    for body in events {
        let answer = stage
            .expect("N25", &stage.good_at(slack, "", 0, body), 200)
            .await;
        assert!(answer["id"].is_string(), "N25: {answer}");
    }
    let received = stage.peer.wait_for(events.len()).await;
    let mut bodies: Vec<&[u8]> = received.iter().map(|r| r.body.as_ref()).collect();
    bodies.sort_unstable();
    assert_eq!(bodies, [events[0].as_bytes(), events[1].as_bytes()], "N25");
}

#[tokio::test]
async fn every_secret_counts_until_it_is_taken_away() {
    let folder = tempfile::tempdir().unwrap();
    let config =
        |secrets: &str| format!("sources: {{s: {{preset: svix, secrets: [{secrets}]}}}}\n");
    let (old, new) = (WHSEC, "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD");
    for (name, secrets, wanted) in [
        (
            "both",
            format!("{{value: {new}}}, {{value: {old}}}"),
            [200, 200],
        ),
        ("the new one", format!("{{value: {new}}}"), [200, 401]),
    ] {
        let daemon = Daemon::start(folder.path(), &config(&secrets)).await;
        for (secret, wanted) in [new, old].iter().zip(wanted) {
            let message = daemon.signed("s", secret, &format!("{name} {secret}"), BODY);
            let answer = daemon.send(&message).await;
            assert_eq!(answer.status, wanted, "N50 {name} {secret}");
        }
        daemon.stop().await;
    }
}

#[test]
fn a_secret_that_is_none_does_not_start() {
    for (name, preset, secret, starts) in [
        ("empty", "hmac", "", false),
        ("only a prefix", "svix", "whsec_", false),
        ("no base64", "svix", "whsec_*", false),
        ("short", "svix", "whsec_AAECAwQFBgc=", true),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let config =
            format!("sources: {{s: {{preset: {preset}, secrets: [{{value: {secret:?}}}]}}}}\n");
        let loaded = std::panic::catch_unwind(|| load(folder.path(), &config));
        assert_eq!(loaded.is_ok(), starts, "N20 {name}");
    }
}

#[tokio::test]
async fn the_log_and_the_metrics_hold_no_secret_and_no_signature() {
    let secret = "the-secret-that-the-log-must-not-show-0001";
    let folder = tempfile::tempdir().unwrap();
    let config = format!("sources: {{s: {{preset: hmac, secrets: [{{value: {secret:?}}}]}}}}\n");
    let daemon = Daemon::start(folder.path(), &config).await;
    let good = daemon
        .signed("s", secret, "", BODY)
        .with("authorization", "Bearer hidden-token-0001");
    let signature = good.get("x-signature");
    let forged = good.clone().body("{}");
    assert_eq!(daemon.send(&good).await.status, 200);
    assert_eq!(daemon.send(&forged).await.status, 401);
    let expected = hex::encode(mac(secret.as_bytes(), b"{}"));
    let metrics = daemon.admin_get("/metrics").await.text();
    daemon.stop().await;
    let log = log();
    assert!(
        log.contains("signature_mismatch"),
        "the reason is in the log"
    );
    for hidden in [secret, &signature, &expected, "hidden-token-0001"] {
        assert!(!log.contains(hidden), "N55 {hidden}");
        assert!(!metrics.contains(hidden), "N55 {hidden}");
    }
}
