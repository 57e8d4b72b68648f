//! The five first vendors, played by third-party code where it exists, through a target that fails twice and then
//! takes it: what comes in is signed by, and what goes out is verified by, code that is not ours.

use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::support::{Daemon, Message, Peer, Turn};

const WHSEC: &str = "whsec_dmVuZG9yLXRlc3Qtc2VjcmV0LTAwMDAwMDAx";
const SHARED: &str = "vendor-test-shared-secret";
const TARGET: &str = "whsec_dGFyZ2V0LXRlc3Qtc2VjcmV0LTAwMDAwMDAx";

/// Names and values, as the vendor sends them.
type Headers = Vec<(String, String)>;

struct Vendor {
    name: &'static str,
    secret: &'static str,
    template: &'static str,
    sign: fn(&str, &[u8]) -> Headers,
    expected: fn() -> Value,
}

fn standard_webhooks(prefix: &str, id: &str, at: i64, signature: String) -> Headers {
    vec![
        (format!("{prefix}-id"), id.to_owned()),
        (format!("{prefix}-timestamp"), at.to_string()),
        (format!("{prefix}-signature"), signature),
    ]
}

/// Signed by the crate `standardwebhooks`.
fn by_standardwebhooks(id: &str, body: &[u8]) -> Headers {
    let at = Timestamp::now().as_second();
    let webhook = standardwebhooks::Webhook::new(WHSEC).unwrap();
    let signature = webhook.sign(id, at, body).unwrap();
    standard_webhooks("webhook", id, at, signature)
}

/// Signed by the crate `svix`.
fn by_svix(id: &str, body: &[u8]) -> Headers {
    let at = Timestamp::now().as_second();
    let webhook = svix::webhooks::Webhook::new(WHSEC).unwrap();
    let signature = webhook.sign(id, at, body).unwrap();
    standard_webhooks("svix", id, at, signature)
}

fn hmac_hex(body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SHARED.as_bytes()).unwrap();
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

/// No public library exists; signed as the vendor's page says.
fn as_compliancely(_id: &str, body: &[u8]) -> Headers {
    vec![("Compliancely-Signature".to_owned(), hmac_hex(body))]
}

/// No public library exists; signed as the vendor's page says.
fn as_wingspan(_id: &str, body: &[u8]) -> Headers {
    vec![("X-Wingspan-Signature".to_owned(), hmac_hex(body))]
}

const VENDORS: [Vendor; 5] = [
    Vendor {
        name: "wreno",
        secret: WHSEC,
        template: "wreno-vendor.json.liquid",
        sign: by_standardwebhooks,
        expected: || {
            json!({
                "kind": "vendor",
                "event": "vendor.compliance.update",
                "occurred_at": "2026-01-05T10:00:00Z",
                "vendor": {
                    "id": "ven_1",
                    "name": "Bolt & Sons \"Electric\" LLC",
                    "status": "active",
                    "phone": "",
                    "tags": ["electrical", "hvac"]
                },
                "compliance": {"insurance": "valid", "expires": "2026-12-31"},
                "note": format!("seen {} by wreno", Timestamp::now().strftime("%F")),
            })
        },
    },
    Vendor {
        name: "compliancely",
        secret: SHARED,
        template: "compliancely-search.json.liquid",
        sign: as_compliancely,
        expected: || {
            json!({
                "kind": "compliance-search",
                "search_id": "s_1",
                "status": "COMPLETED",
                "subject": {"name": "Bolt & Sons Electric LLC", "tin_last4": "4821"},
                "passed": false,
                "flags": [{"check": "business_license", "result": "expired"}]
            })
        },
    },
    Vendor {
        name: "wismolabs",
        secret: WHSEC,
        template: "wismolabs-order.json.liquid",
        sign: by_svix,
        expected: || {
            json!({
                "kind": "order-status",
                "order": "1001",
                "status": "out_for_delivery",
                "carrier": "UPS",
                "tracking_number": "1Z999AA10123456784",
                "summary": "Order 1001 is out for delivery",
                "eta": "2026-01-07",
                "items": [{"sku": "MUG-11OZ", "quantity": 2}, {"sku": "TEE-M", "quantity": 1}],
                "note": "leave at the door\nring twice"
            })
        },
    },
    Vendor {
        name: "wundaflow",
        secret: WHSEC,
        template: "wundaflow-workflow.json.liquid",
        sign: by_standardwebhooks,
        expected: || {
            json!({
                "kind": "workflow",
                "event": "workflow.started",
                "at": "2023-04-10T14:31:05Z",
                "workflow": {
                    "id": "flow_4eC39HqLyjWDarjtT1zdp7dc",
                    "name": "send-notification-email",
                    "version": "latest"
                },
                "message_id": "msg_wundaflow"
            })
        },
    },
    Vendor {
        name: "wingspan",
        secret: SHARED,
        template: "wingspan-invoice.json.liquid",
        sign: as_wingspan,
        expected: || {
            serde_json::from_str(
                r#"{
                    "kind": "invoice",
                    "event": "InvoicePaid",
                    "invoice": {
                        "id": "inv_7Q2",
                        "number": "2026-0042",
                        "amount": 1234567890123456.78,
                        "currency": "USD",
                        "payer": "Acme Corp",
                        "lines": [
                            {"description": "Site survey", "total": 361.5},
                            {"description": "Travel", "total": 80}
                        ]
                    },
                    "paid": true
                }"#,
            )
            .unwrap()
        },
    },
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// One vendor's way through the daemon and the target's two failures.
async fn play(vendor: &Vendor) {
    let name = vendor.name;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("vendor"), vendor.secret).unwrap();
    std::fs::write(folder.path().join("target"), TARGET).unwrap();
    let peer = Peer::start([Turn::Status(500), Turn::Status(503)]).await;
    // More than a second between attempts, since timestamps count seconds.
    let config = format!(
        r#"
store: {{path: ./data}}
templates: {}
sources:
  {name}: {{preset: {name}, secrets: [{{file: vendor}}]}}
targets:
  erp:
    url: "{}"
    sign: {{preset: standard-webhooks, secrets: [{{file: target}}]}}
    retry: {{schedule: [1100ms, 1100ms], jitter: 0}}
routes:
  - {{name: all, from: {name}, template: {}, to: erp}}
"#,
        root().join("templates").display(),
        peer.url(),
        vendor.template,
    );
    let daemon = Daemon::start(folder.path(), &config).await;
    let body =
        std::fs::read(root().join(format!("src/signature/presets/samples/{name}.json"))).unwrap();
    let mut message = Message::post(&format!("/in/{name}"), body.clone());
    for (header, value) in (vendor.sign)(&format!("msg_{name}"), &body) {
        message = message.with(&header, value);
    }
    let answer = daemon.send(&message).await;
    assert_eq!(answer.status, 200, "{name}: {}", answer.text());
    assert_eq!(answer.json()["duplicate"], json!(false), "{name}");

    let received = peer.wait_for(3).await;
    let verifier = standardwebhooks::Webhook::new(TARGET).unwrap();
    let svix = svix::webhooks::Webhook::new(TARGET).unwrap();
    let mut timestamps = Vec::new();
    for request in &received {
        assert_eq!(
            request.header("webhook-id"),
            received[0].header("webhook-id"),
            "{name}"
        );
        assert_eq!(request.body, received[0].body, "{name}: the same bytes");
        assert_eq!(request.header("content-type"), "application/json", "{name}");
        verifier.verify(&request.body, &request.headers).unwrap();
        svix.verify(&request.body, &as_svix(&request.headers))
            .unwrap();
        timestamps.push(request.header("webhook-timestamp").parse::<i64>().unwrap());
    }
    assert!(
        timestamps.is_sorted_by(|a, b| a < b),
        "{name}: {timestamps:?}"
    );
    assert_eq!(received[0].json(), (vendor.expected)(), "{name}");

    // The same once more is a duplicate and goes nowhere.
    let again = daemon.send(&message).await;
    assert_eq!(again.status, 200, "{name}");
    assert_eq!(again.json()["duplicate"], json!(true), "{name}");
    assert_eq!(again.json()["id"], answer.json()["id"], "{name}");
    daemon.stop().await;
    assert_eq!(peer.received().len(), 3, "{name}");
}

/// The headers under the names that the crate `svix` looks for.
fn as_svix(headers: &HeaderMap) -> HeaderMap {
    let mut renamed = HeaderMap::new();
    for part in ["id", "timestamp", "signature"] {
        let name: http::HeaderName = format!("svix-{part}").parse().unwrap();
        renamed.insert(name, headers[&format!("webhook-{part}")].clone());
    }
    renamed
}

macro_rules! stories {
    ($($name:ident: $index:literal),*) => {$(
        #[tokio::test]
        async fn $name() {
            assert_eq!(VENDORS[$index].name, stringify!($name));
            play(&VENDORS[$index]).await;
        }
    )*};
}

stories!(wreno: 0, compliancely: 1, wismolabs: 2, wundaflow: 3, wingspan: 4);
