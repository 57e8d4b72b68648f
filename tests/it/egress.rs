//! The way out: what the policy refuses is a failed attempt that is made again, and a proxy gets a tunnel and no more.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::process::Site;
use crate::support::{Daemon, Message, Peer, Turn, exchange, wait_until};
use crate::tls::Authority;

const SECRET: &str = "a-plain-test-secret-of-40-characters-xyz";
const PROXY_AUTHORIZATION: &str = "Basic cHJveHktdXNlcjpwcm94eS1wYXNzd29yZA==";

/// A proxy that knows CONNECT only: it records what it is asked for, and connects every name to one address.
pub struct Proxy {
    pub addr: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    /// Statuses of the first answers; 200 when none is left.
    script: Arc<Mutex<Vec<u16>>>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    pub async fn start(
        script: &[u16],
        onward: impl Fn(&str) -> SocketAddr + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let script = Arc::new(Mutex::new(script.to_vec()));
        let onward = Arc::new(onward);
        let (notes, answers) = (Arc::clone(&asked), Arc::clone(&script));
        let accepting = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (notes, answers, onward) = (
                    Arc::clone(&notes),
                    Arc::clone(&answers),
                    Arc::clone(&onward),
                );
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
                            return;
                        }
                    }
                    let head = String::from_utf8(head).unwrap();
                    let to = head.strip_prefix("CONNECT ").unwrap();
                    let to = onward(to.split(' ').next().unwrap());
                    notes.lock().unwrap().push(head.clone());
                    let status = {
                        let mut answers = answers.lock().unwrap();
                        if answers.is_empty() {
                            200
                        } else {
                            answers.remove(0)
                        }
                    };
                    let answer = format!("HTTP/1.1 {status} X\r\nvia: a test\r\n\r\n");
                    stream.write_all(answer.as_bytes()).await.unwrap();
                    if status == 200
                        && let Ok(mut further) = TcpStream::connect(to).await
                    {
                        // Either side may end it.
                        let _ = copy_bidirectional(&mut stream, &mut further).await;
                    }
                });
            }
        });
        Self {
            addr,
            asked,
            script,
            accepting,
        }
    }

    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Everything that comes in by `s` goes to these targets, by this policy.
fn config(egress: &str, targets: &[(&str, String)]) -> String {
    let names: Vec<&str> = targets.iter().map(|(name, _)| *name).collect();
    let targets: String = targets
        .iter()
        .map(|(name, url)| format!("  {name}: {{url: \"{url}\", retry: {{schedule: [50ms]}}}}\n"))
        .collect();
    format!(
        "egress:\n{egress}\nsources: {{s: {{preset: hmac, secrets: [{{value: {SECRET}}}]}}}}\n\
         targets:\n{targets}routes: [{{name: all, from: s, to: [{}]}}]\n",
        names.join(", ")
    )
}

async fn send(daemon: &Daemon, body: &str) -> String {
    let answer = daemon.send(&daemon.signed("s", SECRET, "", body)).await;
    assert_eq!(answer.status, 200);
    answer.json()["id"].as_str().unwrap().to_owned()
}

async fn deliveries(daemon: &Daemon, event: &str) -> Vec<Value> {
    let shown = daemon.admin_get(&format!("/api/v1/events/{event}")).await;
    shown.json()["deliveries"].as_array().unwrap().clone()
}

#[tokio::test]
async fn private_addresses_can_be_forbidden_and_some_of_them_allowed() {
    let peer = Peer::start([]).await;
    let named = format!("http://localhost:{}/hooks", peer.addr.port());
    let folder = tempfile::tempdir().unwrap();
    let targets = [("erp", named)];
    let daemon = Daemon::start(folder.path(), &config("  private: deny", &targets)).await;
    let event = send(&daemon, "{\"kept\":true}").await;
    wait_until("it was tried twice", async || {
        deliveries(&daemon, &event).await[0]["attempts_made"].as_u64() >= Some(2)
    })
    .await;
    let delivery = deliveries(&daemon, &event).await.remove(0);
    assert_eq!(delivery["state"], "pending");
    let outcome = &delivery["attempts"][0]["outcome"];
    assert_eq!(outcome["failure"], "egress", "{delivery}");
    let detail = outcome["detail"].as_str().unwrap();
    assert!(
        detail.starts_with("every address of `localhost` is refused, such as "),
        "{detail}"
    );
    assert!(
        detail.ends_with(": private addresses are refused by `egress.private: deny`"),
        "{detail}"
    );
    let series = "ingate_delivery_attempts_total{target=\"erp\",result=\"egress\"}";
    assert!(daemon.metric(series).await >= 2.0);
    assert!(peer.received().is_empty());
    daemon.stop().await;

    // What waited goes on once its network is exempt.
    let allowed = "  private: deny\n  allow: [127.0.0.0/8, \"::1\"]";
    let daemon = Daemon::start(folder.path(), &config(allowed, &targets)).await;
    assert_eq!(peer.wait_for(1).await[0].body, "{\"kept\":true}");
    daemon.stop().await;
}

#[tokio::test]
async fn a_proxy_gets_a_tunnel_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let roots = authority.write(folder.path(), "ca.pem");
    let plain = Peer::start([]).await;
    let secure = Peer::start_tls(authority.server("erp.invalid", false), []).await;
    let near = Peer::start([]).await;
    let (to_plain, to_secure) = (plain.addr, secure.addr);
    let proxy = Proxy::start(&[407, 503], move |to| match to {
        "erp.invalid:443" => to_secure,
        _ => to_plain,
    })
    .await;
    let egress = format!(
        "  proxy: http://{}\n  proxy_authorization: {{env: PROXY_AUTHORIZATION}}\n  no_proxy: [127.0.0.0/8]",
        proxy.addr
    );
    let targets = [
        ("plain", "http://shop.invalid/hooks".to_owned()),
        ("secure", "https://erp.invalid/hooks".to_owned()),
        ("near", near.url()),
    ];
    let site = Site::new(folder.path(), &config(&egress, &targets));
    let environment = [
        ("INGATE_LOG", "trace"),
        ("SSL_CERT_FILE", roots.to_str().unwrap()),
        ("PROXY_AUTHORIZATION", PROXY_AUTHORIZATION),
    ];
    let daemon = site.start_with(&environment).await;
    let (event, shown) = through(&site, &[&plain, &secure, &near]).await;

    assert!(proxy.script.lock().unwrap().is_empty());
    let asked = proxy.asked();
    for authority in ["shop.invalid:80", "erp.invalid:443"] {
        let head = format!(
            "CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\nProxy-Authorization: {PROXY_AUTHORIZATION}\r\n\r\n"
        );
        assert!(asked.contains(&head), "{asked:?}");
    }
    assert!(
        asked.iter().all(|head| !head.contains("127.0.0.1")),
        "{asked:?}"
    );
    for (peer, host) in [(&plain, "shop.invalid"), (&secure, "erp.invalid")] {
        let received = peer.received();
        assert_eq!(received[0].header("host"), host);
        assert_eq!(received[0].path, "/hooks");
        assert_eq!(received[0].header("proxy-authorization"), "");
    }
    for status in ["407", "503"] {
        assert!(
            shown.contains(&format!("the proxy answered {status}")),
            "{shown}"
        );
    }
    assert!(shown.contains("\"failure\":\"connect\""), "{shown}");
    assert!(daemon.terminate().success());
    let (_, hidden) = PROXY_AUTHORIZATION.split_once(' ').unwrap();
    for (place, text) in [("log", site.log()), ("api", shown)] {
        assert!(text.contains(&event), "the {place} is not the whole one");
        assert!(!text.contains(hidden), "in the {place}");
        assert!(!text.contains("proxy-password"), "in the {place}");
    }
}

/// Sends an event and waits until each peer has it; gives back its id and what the operator's door shows of it.
async fn through(site: &Site, peers: &[&Peer]) -> (String, String) {
    let env = |name: &str| (name == "PROXY_AUTHORIZATION").then(|| PROXY_AUTHORIZATION.to_owned());
    let plan = ingate::config::load(&site.config(), &env).unwrap().plan;
    let now = jiff::Timestamp::now();
    let body = "{\"a\":1}".to_owned().into_bytes();
    let message = Message::signed(&plan.sources["s"], SECRET, "", now, "t", body);
    let answers = exchange(([127, 0, 0, 1], site.public).into(), &message.bytes()).await;
    assert_eq!(answers[0].status, 200, "{answers:?}");
    let event = answers[0].json()["id"].as_str().unwrap().to_owned();
    for peer in peers {
        assert_eq!(peer.wait_for(1).await[0].body, "{\"a\":1}");
    }
    let request = format!(
        "GET /api/v1/events/{event} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    );
    let mut shown = String::new();
    wait_until("all is delivered", async || {
        let answers = exchange(([127, 0, 0, 1], site.admin).into(), request.as_bytes()).await;
        shown = answers[0].text();
        shown.matches("\"state\":\"delivered\"").count() == peers.len()
    })
    .await;
    (event, shown)
}

/// A target that answers with interim answers and nothing else.
async fn babbler() -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let accepting = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let babble = "HTTP/1.1 103 Early\r\nx: y\r\n\r\n".repeat(64);
                while stream.write_all(babble.as_bytes()).await.is_ok() {}
            });
        }
    });
    (addr, accepting)
}

#[tokio::test]
async fn what_comes_through_a_proxy_is_bounded_as_well() {
    let (to, babbling) = babbler().await;
    let proxy = Proxy::start(&[], move |_| to).await;
    let folder = tempfile::tempdir().unwrap();
    let egress = format!("  proxy: http://{}", proxy.addr);
    let targets = [("erp", "http://erp.invalid/".to_owned())];
    let daemon = Daemon::start(folder.path(), &config(&egress, &targets)).await;
    let event = send(&daemon, "{}").await;
    wait_until("it was tried", async || {
        deliveries(&daemon, &event).await[0]["attempts_made"].as_u64() >= Some(1)
    })
    .await;
    let outcome = deliveries(&daemon, &event).await[0]["attempts"][0]["outcome"].clone();
    assert_eq!(outcome["failure"], "protocol", "{outcome}");
    assert!(
        outcome["detail"].as_str().unwrap().contains("longer than"),
        "{outcome}"
    );
    daemon.stop().await;
    babbling.abort();
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_a_failure_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = gone.local_addr().unwrap();
    drop(gone);
    let egress = format!("  proxy: http://{addr}");
    let targets = [("erp", "http://erp.invalid/".to_owned())];
    let daemon = Daemon::start(Path::new(folder.path()), &config(&egress, &targets)).await;
    let event = send(&daemon, "{}").await;
    wait_until("it was tried", async || {
        deliveries(&daemon, &event).await[0]["attempts_made"].as_u64() >= Some(1)
    })
    .await;
    let outcome = deliveries(&daemon, &event).await[0]["attempts"][0]["outcome"].clone();
    assert_eq!(outcome["failure"], "connect", "{outcome}");
    let detail = outcome["detail"].as_str().unwrap();
    assert!(
        detail.starts_with("the proxy cannot be reached: "),
        "{detail}"
    );
    // and so is one that speaks, but no HTTP
    daemon.stop().await;
    let (talking, babbling) = babbler().await;
    let peer = Peer::start([Turn::Status(200)]).await;
    let egress = format!("  proxy: http://{talking}\n  no_proxy: [erp.invalid, .invalid]");
    let targets = [
        ("erp", "http://unproxied.test/".to_owned()),
        ("near", peer.url()),
    ];
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &config(&egress, &targets)).await;
    let event = send(&daemon, "{}").await;
    wait_until("both were tried", async || {
        let all = deliveries(&daemon, &event).await;
        all.iter()
            .all(|delivery| delivery["attempts_made"].as_u64() >= Some(1))
    })
    .await;
    for delivery in deliveries(&daemon, &event).await {
        let outcome = &delivery["attempts"][0]["outcome"];
        assert_eq!(outcome["detail"], "the proxy answered 103", "{delivery}");
    }
    assert!(peer.received().is_empty());
    daemon.stop().await;
    babbling.abort();
}
