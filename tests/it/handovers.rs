//! What no record alone can say: secrets that are handed over, signatures over sorted forms, certificates that are
//! fetched, subscriptions that are confirmed.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::Uri;
use ingate::clock::ManualClock;
use ingate::egress::EgressPlan;
use ingate::intake::{Fetch, Outside};
use serde_json::json;
use sha2::Sha256;

use crate::support::{Daemon, Message, Peer, log, wait_until};

const HANDED: &str = "b537207f20cbfa02357cf448134da559";

/// A source whose vendor hands secrets over, as Asana does.
fn asana(peer: &Peer) -> String {
    format!(
        r#"
sources:
  asana:
    captured: ./asana
    scheme:
      signature: {{header: x-hook-signature}}
      type: {{const: asana.events}}
      handshake:
        - name: x_hook_secret
          when: {{header: {{x-hook-secret: "*"}}}}
          capture: {{header: x-hook-secret}}
          reply: {{headers: {{x-hook-secret: "{{header:x-hook-secret}}"}}}}
targets: {{all: {{url: "{}"}}}}
routes: [{{name: all, from: asana, to: all}}]
"#,
        peer.url()
    )
}

fn handing_over(secret: &str) -> Message {
    Message::post("/in/asana", "{}").with("x-hook-secret", secret)
}

fn event(secret: &str) -> Message {
    let body = "{\"events\":[]}";
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    let signature = hex::encode(mac.finalize().into_bytes());
    Message::post("/in/asana", body).with("x-hook-signature", signature)
}

/// N28: not armed, armed, taken, in force, and armed no more.
#[tokio::test]
async fn a_secret_is_taken_while_it_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::start([]).await;
    let daemon = Daemon::start_reloading(folder.path(), &asana(&peer)).await;
    let source = async || daemon.admin_get("/api/v1/sources/asana").await.json();
    assert_eq!(source().await["armed_until"], json!(null));

    let refused = daemon.send(&handing_over(HANDED)).await;
    assert_eq!(
        (refused.status, refused.header("x-hook-secret")),
        (401, None)
    );
    let path = "/api/v1/sources/asana/failures";
    let failures = daemon.admin_get(path).await.json();
    assert_eq!(failures["items"][0]["reason"], "not_armed");
    assert!(!folder.path().join("asana").exists());

    let arm = "/api/v1/sources/asana/arm";
    for (body, wanted) in [
        ("{\"for\": \"2h\"}", 400),
        ("{\"for\": \"0s\"}", 400),
        ("{\"for\": 1}", 400),
        ("{\"until\": \"1h\"}", 400),
        ("{}", 200),
        ("{\"for\": \"5m\"}", 200),
    ] {
        let answer = daemon.admin_post_json(arm, body).await;
        assert_eq!(answer.status, wanted, "{body}: {}", answer.text());
    }
    assert!(source().await["armed_until"].is_string());
    daemon.admin_post("/api/v1/sources/asana/disarm").await;
    assert_eq!(daemon.send(&handing_over(HANDED)).await.status, 401);
    daemon.admin_post_json(arm, "{}").await;
    // what is no such challenge does not use it up
    assert_eq!(daemon.send(&handing_over("a b")).await.status, 401);
    assert_eq!(daemon.send(&event(HANDED)).await.status, 401);

    let taken = daemon.send(&handing_over(HANDED)).await;
    assert_eq!(
        (taken.status, taken.header("x-hook-secret")),
        (200, Some(HANDED))
    );
    let file = folder.path().join("asana");
    assert_eq!(
        std::fs::read_to_string(&file).unwrap(),
        format!("{HANDED}\n")
    );
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(daemon.send(&handing_over("another")).await.status, 401);
    assert_eq!(source().await["armed_until"], json!(null));

    wait_until("the secret is in force", async || {
        daemon.send(&event(HANDED)).await.status == 200
    })
    .await;
    let received = peer.wait_for(1).await;
    assert_eq!(received[0].json(), json!({"events": []}));
    let shown = source().await;
    assert_eq!(shown["secrets"].as_array().unwrap().len(), 1, "{shown}");
    let audit = daemon.admin_get("/api/v1/audit").await.text();
    for action in ["\"arm\"", "\"disarm\""] {
        assert!(audit.contains(action), "{action}: {audit}");
    }
    // a second one of the same source, while the first goes on
    daemon.admin_post_json(arm, "{}").await;
    assert_eq!(
        daemon
            .send(&handing_over("second-secret-of-the-source"))
            .await
            .status,
        200
    );
    wait_until("the second secret is in force", async || {
        daemon
            .send(&event("second-secret-of-the-source"))
            .await
            .status
            == 200
    })
    .await;
    assert_eq!(daemon.send(&event(HANDED)).await.status, 200);
    daemon.stop().await;
    for text in [log(), audit, shown.to_string()] {
        assert!(!text.contains(HANDED), "the secret is shown: {text}");
    }
}

#[tokio::test]
async fn a_secret_that_cannot_be_kept_is_not_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::start([]).await;
    let config = asana(&peer).replace("./asana", "./none/asana");
    let daemon = Daemon::start(folder.path(), &config).await;
    let arm = "/api/v1/sources/asana/arm";
    assert_eq!(daemon.admin_post_json(arm, "{}").await.status, 200);
    let answer = daemon.send(&handing_over(HANDED)).await;
    assert_eq!((answer.status, answer.header("x-hook-secret")), (503, None));
    // it is waited for all the same
    std::fs::create_dir(folder.path().join("none")).unwrap();
    assert_eq!(daemon.send(&handing_over(HANDED)).await.status, 200);
    daemon.stop().await;
}

/// Signed by openssl: `printf %s URL... | openssl dgst -sha1 -hmac 12345 -binary | base64`.
#[tokio::test]
async fn sorted_forms_are_events() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::start([]).await;
    let config = format!(
        "sources:\n  calls:\n    url: https://mycompany.com/myapp.php\n    secrets: [{{value: '12345'}}]\n    \
         scheme: {{algorithm: hmac-sha1, builtin: twilio, form: {{}}, signature: {{header: x-twilio-signature, encoding: base64}}}}\n\
         targets: {{all: {{url: \"{}\"}}}}\nroutes: [{{name: all, from: calls, to: all}}]\n",
        peer.url()
    );
    let daemon = Daemon::start(folder.path(), &config).await;
    let body = "CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309&To=%2B18005551212";
    let call = Message::post("/in/calls?foo=1&bar=2", body)
        .with("content-type", "application/x-www-form-urlencoded")
        .with("x-twilio-signature", "RSOYDt4T1cUTdK1PDd93/VVr8B8=");
    assert_eq!(daemon.send(&call).await.status, 200);
    let received = peer.wait_for(1).await;
    assert_eq!(received[0].json()["Caller"], "+14158675309");
    for path in [
        "/in/calls",
        "/in/calls?bar=2&foo=1",
        "/in/calls?foo=1&bar=2&",
    ] {
        let mut other = call.clone();
        other.path = path.to_owned();
        assert_eq!(daemon.send(&other).await.status, 401, "{path}");
    }
    daemon.stop().await;
}

const TOPIC: &str = "arn:aws:sns:eu-central-1:123456789012:orders";
const NOTIFICATION: &str = include_str!("../cases/sns/notification-1.json");
const SUBSCRIPTION: &str = include_str!("../cases/sns/subscription.json");

/// Stands for AWS: has the certificate, and notes what it is asked for.
#[derive(Clone, Default)]
struct Aws {
    asked: Arc<Mutex<Vec<String>>>,
    down: Arc<Mutex<bool>>,
}

#[async_trait]
impl Fetch for Aws {
    async fn get(&self, url: &Uri, _: &Arc<EgressPlan>) -> Result<Bytes, String> {
        self.asked.lock().unwrap().push(url.to_string());
        if *self.down.lock().unwrap() {
            return Err("it answered 503".to_owned());
        }
        let certificate = include_bytes!("../cases/sns/certificate.pem");
        Ok(Bytes::from_static(certificate))
    }
}

impl Aws {
    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn sns(peer: &Peer, more: &str) -> String {
    format!(
        "sources:\n  sns:\n    scheme: {{builtin: sns, topics: ['{TOPIC}'], id: {{json: /MessageId}}, type: {{json: /Type}}, \
         timestamp: {{json: /Timestamp, unit: rfc3339, tolerance: 1h}}{more}}}\n\
         targets: {{all: {{url: \"{}\"}}}}\nroutes: [{{name: all, from: sns, to: all}}]\n",
        peer.url()
    )
}

async fn start(folder: &std::path::Path, config: &str, aws: &Aws) -> Daemon {
    let clock = Arc::new(ManualClock::new("2026-01-05T10:05:00Z".parse().unwrap()));
    Daemon::start_through(folder, config, clock, Outside::by(aws.clone())).await
}

#[tokio::test]
async fn notifications_are_proven_by_a_certificate_that_is_fetched_once() {
    let folder = tempfile::tempdir().unwrap();
    let (peer, aws) = (Peer::start([]).await, Aws::default());
    let daemon = start(folder.path(), &sns(&peer, ""), &aws).await;
    let answer = daemon.send(&Message::post("/in/sns", NOTIFICATION)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    let event = daemon
        .admin_get(&format!("/api/v1/events/{id}"))
        .await
        .json();
    assert_eq!(event["type"], "Notification", "{event}");
    assert_eq!(event["verified"]["message_id_covered"], true, "{event}");
    // a repetition, another text, raw delivery
    let again = daemon.send(&Message::post("/in/sns", NOTIFICATION)).await;
    assert_eq!(again.json()["duplicate"], true);
    let other = NOTIFICATION.replace("An order", "Another order");
    assert_eq!(
        daemon.send(&Message::post("/in/sns", other)).await.status,
        401
    );
    let raw = Message::post("/in/sns", "{\"order\": 7}").with("x-amz-sns-rawdelivery", "true");
    assert_eq!(daemon.send(&raw).await.status, 401);
    assert_eq!(aws.asked().len(), 1, "{:?}", aws.asked());
    daemon.stop().await;
}

#[tokio::test]
async fn a_certificate_that_cannot_be_had_is_no_reason_to_refuse_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let (peer, aws) = (Peer::start([]).await, Aws::default());
    *aws.down.lock().unwrap() = true;
    let daemon = start(folder.path(), &sns(&peer, ""), &aws).await;
    for _ in 0..3 {
        let answer = daemon.send(&Message::post("/in/sns", NOTIFICATION)).await;
        assert_eq!(answer.status, 503);
        assert!(answer.header("retry-after").is_some());
    }
    assert_eq!(aws.asked().len(), 1);
    daemon.stop().await;
}

/// N52.
#[tokio::test]
async fn messages_that_point_elsewhere_have_nobody_asked() {
    let folder = tempfile::tempdir().unwrap();
    let (peer, aws) = (Peer::start([]).await, Aws::default());
    let daemon = start(folder.path(), &sns(&peer, ""), &aws).await;
    let url = "https://sns.eu-central-1.amazonaws.com/Simple";
    for other in [
        "https://sns.evil.com/Simple",
        "https://sns.eu-central-1.amazonaws.com.evil.com/Simple",
        "http://sns.eu-central-1.amazonaws.com/Simple",
        "https://sns.eu-central-1.amazonaws.com:8443/Simple",
        "https://x@sns.eu-central-1.amazonaws.com/Simple",
    ] {
        let message = NOTIFICATION.replace(url, other);
        assert_ne!(message, NOTIFICATION);
        let answer = daemon.send(&Message::post("/in/sns", message)).await;
        assert_eq!(answer.status, 401, "{other}");
        let failures = daemon
            .admin_get("/api/v1/sources/sns/failures")
            .await
            .json();
        assert_eq!(failures["items"][0]["reason"], "bad_certificate", "{other}");
    }
    let topic = NOTIFICATION.replace(TOPIC, "arn:aws:sns:eu-central-1:1:evil");
    assert_eq!(
        daemon.send(&Message::post("/in/sns", topic)).await.status,
        401
    );
    assert_eq!(aws.asked(), [""; 0]);
    daemon.stop().await;
}

#[tokio::test]
async fn a_subscription_is_confirmed_by_an_operator() {
    let folder = tempfile::tempdir().unwrap();
    let (peer, aws) = (Peer::start([]).await, Aws::default());
    let daemon = start(folder.path(), &sns(&peer, ""), &aws).await;
    let confirm = "/api/v1/sources/sns/confirm";
    assert_eq!(daemon.admin_post(confirm).await.status, 409);
    let answer = daemon.send(&Message::post("/in/sns", SUBSCRIPTION)).await;
    assert_eq!((answer.status, answer.text()), (200, String::new()));
    let source = daemon.admin_get("/api/v1/sources/sns").await;
    assert_eq!(source.json()["unconfirmed"], json!([TOPIC]));
    assert_eq!(aws.asked().len(), 1, "the certificate alone");
    *aws.down.lock().unwrap() = true;
    assert_eq!(daemon.admin_post(confirm).await.status, 503);
    *aws.down.lock().unwrap() = false;
    let confirmed = daemon.admin_post(confirm).await;
    assert_eq!(confirmed.status, 200, "{}", confirmed.text());
    assert_eq!(confirmed.json()["unconfirmed"], json!([]));
    let asked = aws.asked().pop().unwrap();
    assert!(
        asked.contains("/?Action=ConfirmSubscription&TopicArn=arn:aws:sns:"),
        "{asked}"
    );
    let events = daemon.admin_get("/api/v1/events").await.json();
    assert_eq!(events["items"], json!([]));
    let audit = daemon.admin_get("/api/v1/audit").await.text();
    assert!(audit.contains("\"confirm\""), "{audit}");
    daemon.stop().await;
    let token = "2336412f37fb687f5d51e6e2425f004a";
    for text in [log(), audit, source.text()] {
        assert!(!text.contains(token), "the token is shown: {text}");
    }
}

#[tokio::test]
async fn a_subscription_is_confirmed_at_once_where_that_is_configured() {
    let folder = tempfile::tempdir().unwrap();
    let (peer, aws) = (Peer::start([]).await, Aws::default());
    let config = sns(&peer, ", confirm_subscriptions: true");
    let daemon = start(folder.path(), &config, &aws).await;
    let answer = daemon.send(&Message::post("/in/sns", SUBSCRIPTION)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(aws.asked().len(), 2, "{:?}", aws.asked());
    let source = daemon.admin_get("/api/v1/sources/sns").await.json();
    assert_eq!(source["unconfirmed"], json!([]));
    daemon.stop().await;
}
