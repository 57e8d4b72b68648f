//! Every preset, both ways: fresh secrets of `keygen`, the preset's own sample sent by `send`, and a real daemon that
//! takes it and knows it by the right id and type; and what `vendors` says of presets.

use std::path::Path;

use ingate::signature::{Preset, Scheme, SchemeRecord};
use serde_json::{Value, json};

use crate::process::{Site, data, ingate, words};

/// By what id an event of the sample is known.
enum Id {
    /// By none: the hash of its body.
    No,
    /// By the one that was sent in a header.
    Sent,
    /// By the one at this place of the sample.
    At(&'static str),
}

/// What each preset makes of its sample: the type and the id.
const EXPECTED: &[(&str, &str, Id)] = &[
    ("asana", "asana.events", Id::No),
    ("basic", "unknown", Id::No),
    ("bearer", "unknown", Id::No),
    ("bitbucket", "repo:push", Id::Sent),
    ("calendly", "invitee.created", Id::No),
    ("clerk", "user.created", Id::Sent),
    ("cloudevents", "com.example.mould.filled", Id::At("/id")),
    ("compliancely", "compliancely.event", Id::No),
    ("convoy-advanced", "convoy.event", Id::No),
    ("convoy-simple-sha512", "convoy.event", Id::No),
    ("discord-events", "APPLICATION_AUTHORIZED", Id::No),
    ("discord-interactions", "discord.interaction", Id::At("/id")),
    ("dropbox", "dropbox.changed", Id::No),
    ("github", "push", Id::Sent),
    ("gitlab-signed", "merge_request", Id::Sent),
    ("gitlab-token", "Push Hook", Id::Sent),
    ("hmac", "unknown", Id::No),
    ("hubspot-v3", "contact.creation", Id::No),
    ("intercom", "conversation.user.created", Id::At("/id")),
    ("jira", "jira:issue_updated", Id::Sent),
    ("linear", "Issue", Id::Sent),
    ("mailgun", "delivered", Id::At("/signature/token")),
    ("meta", "whatsapp_business_account", Id::No),
    ("microsoft-graph", "created", Id::No),
    ("openai", "response.completed", Id::Sent),
    ("paddle", "transaction.completed", Id::At("/event_id")),
    ("pagerduty", "incident.triggered", Id::At("/event/id")),
    ("razorpay", "payment.captured", Id::Sent),
    ("resend", "email.delivered", Id::Sent),
    ("sendgrid", "delivered", Id::No),
    ("sentry", "issue", Id::Sent),
    ("shopify", "orders/create", Id::Sent),
    ("slack", "app_mention", Id::At("/event_id")),
    ("square", "payment.updated", Id::At("/event_id")),
    ("standard-webhooks", "invoice.paid", Id::Sent),
    ("standard-webhooks-v1a", "invoice.created", Id::Sent),
    ("stripe", "invoice.paid", Id::At("/id")),
    ("svix", "invoice.paid", Id::Sent),
    ("twilio", "twilio.callback", Id::No),
    ("twitter-x", "x.event", Id::No),
    ("typeform", "form_response", Id::At("/event_id")),
    ("wingspan", "InvoicePaid", Id::At("/eventId")),
    ("wismolabs", "wismolabs.event", Id::Sent),
    ("wreno", "vendor.compliance.update", Id::Sent),
    ("wundaflow", "workflow.started", Id::Sent),
    ("xero", "xero.events", Id::No),
    ("zendesk", "zen:event-type:ticket.status_changed", Id::Sent),
    ("zoom", "meeting.started", Id::No),
];

/// The one preset that only its vendor can play: its key is that of a certificate of AWS.
const UNPLAYED: &str = "aws-sns";

/// The key of a source whose vendor hands its secrets over, between these.
fn captured(name: &str, before: &str, after: &str) -> String {
    let scheme = Scheme::compile(&SchemeRecord::preset(name).unwrap()).unwrap();
    match scheme.captures() {
        true => format!("{before}captured: ./captured-{name}{after}"),
        false => String::new(),
    }
}

/// A folder with a source for each preset, and the fresh secrets of both sides.
fn site(folder: &Path) -> Site {
    for name in ["secrets", "keys", "others"] {
        std::fs::create_dir(folder.join(name)).unwrap();
    }
    // refusals are a part of the story
    let mut config = "limits: {failures: 1000}\nsources:\n".to_owned();
    for (name, _, _) in EXPECTED {
        let scheme = Scheme::compile(&SchemeRecord::preset(name).unwrap()).unwrap();
        let fresh = scheme.keygen(None).unwrap();
        let other = scheme.keygen(None).unwrap();
        for (side, secret) in [
            ("secrets", fresh.verifying()),
            ("keys", fresh.signing()),
            ("others", other.signing()),
        ] {
            std::fs::write(folder.join(side).join(name), secret.expose()).unwrap();
        }
        config.push_str(&format!(
            "  {name}: {{preset: {name}, secrets: [{{file: secrets/{name}}}], url: \"https://in.example/in/{name}\"{}}}\n",
            captured(name, ", ", "")
        ));
    }
    Site::new(folder, &config)
}

#[test]
fn every_preset_has_its_row_and_its_sample() {
    let mut names: Vec<&str> = EXPECTED.iter().map(|(name, _, _)| *name).collect();
    names.push(UNPLAYED);
    names.sort_unstable();
    assert_eq!(names, SchemeRecord::preset_names());
    for name in names {
        let sample = Preset::sample(name).unwrap();
        let shown = ingate(&["vendors", "show", name, "--sample"]);
        assert_eq!(shown.stdout, sample.body, "{name}");
    }
}

#[tokio::test]
async fn every_preset_takes_its_own_sample() {
    let folder = tempfile::tempdir().unwrap();
    let site = site(folder.path());
    let daemon = site.start().await;
    let config = site.config().display().to_string();
    for (name, event_type, id) in EXPECTED {
        let key = folder.path().join("keys").join(name).display().to_string();
        let sent_id = format!("sent-{name}");
        let mut command = vec!["send", "--json", "-c", &config, "--source", name];
        command.extend(["--secret-file", &key]);
        if matches!(id, Id::Sent) {
            command.extend(["--id", &sent_id]);
        }
        let output = ingate(&command);
        let told: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|e| panic!("{name}: {e}: {}", words(&output)));
        assert_eq!(told["status"], json!(200), "{name}: {told}");
        let event = told["body"]["id"].as_str().unwrap();
        let shown = ingate(&["events", "show", event, "--json", "-c", &config]);
        let event: Value = serde_json::from_slice(&shown.stdout).unwrap();
        assert_eq!(event["type"], json!(event_type), "{name}: {event}");
        let sample = Preset::sample(name).unwrap();
        let wanted = match id {
            Id::No => Value::Null,
            Id::Sent => json!(sent_id),
            Id::At(pointer) => {
                let sample: Value = serde_json::from_slice(sample.body).unwrap();
                sample.pointer(pointer).unwrap().clone()
            }
        };
        assert_eq!(event["message_id"], wanted, "{name}: {event}");

        // another's secret is refused, so what was taken was proven
        let other = folder
            .path()
            .join("others")
            .join(name)
            .display()
            .to_string();
        let output = ingate(&[
            "send",
            "--json",
            "-c",
            &config,
            "--source",
            name,
            "--secret-file",
            &other,
        ]);
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(told["status"], json!(401), "{name}: {told}");
    }
    assert_eq!(daemon.terminate().code(), Some(0), "{}", site.log());
}

#[test]
fn what_is_shown_serves_in_a_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let site = site(folder.path());
    let mut sources = "sources:\n".to_owned();
    for (name, _, _) in EXPECTED {
        let shown = data(&ingate(&["vendors", "show", name]));
        let pasted: String = shown
            .lines()
            .map(|line| format!("      {line}\n"))
            .collect();
        sources.push_str(&format!(
            "  {name}:\n    secrets: [{{file: secrets/{name}}}]\n    url: \"https://in.example/{name}\"\n{}    scheme:\n{pasted}",
            captured(name, "    ", "\n")
        ));
    }
    site.write(&sources);
    let output = ingate(&["check", "-c", &site.config().display().to_string()]);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}{}",
        data(&output),
        words(&output)
    );
}

#[test]
fn vendors_are_listed() {
    let listed: Value = serde_json::from_slice(&ingate(&["vendors", "--json"]).stdout).unwrap();
    let items = listed["items"].as_array().unwrap();
    assert_eq!(items.len(), EXPECTED.len() + 1);
    let of = |name: &str| items.iter().find(|item| item["name"] == name).unwrap();
    for (name, field, wanted) in [
        (
            "stripe",
            "/verified",
            json!("hmac-sha256 over timestamp, body"),
        ),
        ("stripe", "/replay/timestamp_within_seconds", json!(300)),
        ("stripe", "/replay/id", json!(true)),
        ("linear", "/replay/timestamp_within_seconds", json!(60)),
        ("linear", "/replay/id", json!(false)),
        ("github", "/replay/summary", json!("body only")),
        ("gitlab-token", "/replay/summary", json!("no")),
        ("mailgun", "/replay/body", json!(false)),
        ("mailgun", "/replay/id", json!(true)),
        ("meta", "/handshakes", json!(["subscribe"])),
        ("zoom", "/handshakes", json!(["url_validation"])),
        (
            "sendgrid",
            "/verified",
            json!("ecdsa-p256 over timestamp, body"),
        ),
        ("microsoft-graph", "/signs", json!(false)),
        ("aws-sns", "/signs", json!(false)),
        ("asana", "/handshakes", json!(["x-hook-secret"])),
        ("sendgrid", "/signs", json!(true)),
        ("github", "/secrets", json!("yours")),
        ("zoom", "/secrets", json!("vendor")),
    ] {
        assert_eq!(of(name).pointer(field), Some(&wanted), "{name} {field}");
    }
    let table = data(&ingate(&["vendors"]));
    assert_eq!(table.lines().count(), EXPECTED.len() + 2, "{table}");
    let output = ingate(&["vendors", "show", "githup"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        words(&output).contains("did you mean `github`?"),
        "{}",
        words(&output)
    );
}

#[test]
fn fresh_secrets_have_the_form_of_their_scheme() {
    let plain = |name: &str, more: &[&str]| {
        let output = ingate(&[&["keygen", name], more].concat());
        assert!(output.status.success(), "{name}: {}", words(&output));
        data(&output).trim_end().to_owned()
    };
    let hex = |text: &str, bytes: usize| text.len() == 2 * bytes && hex::decode(text).is_ok();
    assert!(plain("standard-webhooks", &[]).starts_with("whsec_"));
    assert_eq!(plain("standard-webhooks", &[]).len(), "whsec_".len() + 44);
    assert!(plain("wreno", &[]).contains('_'));
    assert!(hex(&plain("github", &[]), 32));
    assert!(plain("basic", &[]).starts_with("ingate:"));
    assert!(plain("basic", &["--user", "mara"]).starts_with("mara:"));
    assert!(plain("standard-webhooks-v1a", &["--part", "verifying"]).starts_with("whpk_"));
    assert!(plain("standard-webhooks-v1a", &["--part", "signing"]).starts_with("whsk_"));
    assert!(hex(&plain("discord-events", &["--part", "verifying"]), 32));
    let both = plain("sendgrid", &[]);
    assert!(
        both.contains("verifying: MFkw") && both.contains("\nsigning:   "),
        "{both}"
    );
    assert_ne!(plain("github", &[]), plain("github", &[]));

    let output = ingate(&["keygen", "zoom"]);
    assert!(
        words(&output).contains("handed out by Zoom"),
        "{}",
        words(&output)
    );
    let output = ingate(&["keygen", "github"]);
    assert!(!words(&output).contains("handed out"), "{}", words(&output));
    assert!(
        !words(&output).contains(data(&output).trim()),
        "it is on stdout alone"
    );
    for wrong in [
        &["keygen", "github", "--user", "x"][..],
        &["keygen", "basic", "--user", "a:b"],
        &["keygen", "nobody"],
    ] {
        let output = ingate(wrong);
        assert_eq!(
            output.status.code(),
            Some(2),
            "{wrong:?}: {}",
            words(&output)
        );
        assert_eq!(data(&output), "", "{wrong:?}");
    }
}

#[test]
fn schemes_say_what_they_are_made_of() {
    for name in SchemeRecord::preset_names() {
        let scheme = Scheme::compile(&SchemeRecord::preset(name).unwrap()).unwrap();
        let facts = scheme.facts();
        assert!(!facts.verified.is_empty(), "{name}");
        // an id is a key only where it is signed, and a list says no more than the scheme
        assert!(!facts.replay.id || scheme.covers_message_id(), "{name}");
    }
}
