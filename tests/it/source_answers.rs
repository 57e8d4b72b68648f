//! What the good requests of a source are answered with, and that nothing else changes by it.

use crate::support::{Daemon, Peer};

const SECRET: &str = "a-plain-test-secret-of-40-characters-xyz";

#[tokio::test]
async fn a_source_answers_good_requests_as_it_is_told() {
    let peer = Peer::start([]).await;
    let folder = tempfile::tempdir().unwrap();
    let sources: String = [
        ("ours", ""),
        ("word", ", answer: {body: \"[accepted]\", content_type: text/plain}"),
        ("list", ", answer: {status: 202, body: \"[1]\"}"),
        ("empty", ", answer: {body: \"\"}"),
        ("none", ", answer: {status: 204}"),
        ("other", ", answer: {status: 201}"),
    ]
    .map(|(name, answer)| {
        format!("  {name}: {{preset: hmac, secrets: [{{value: {SECRET}}}], scheme: {{type: {{json: /type}}}}{answer}}}\n")
    })
    .concat();
    let config = format!(
        "sources:\n{sources}targets: {{erp: {{url: \"{}\"}}}}\n\
         routes: [{{name: all, from: [ours, word, list, empty, none, other], match: {{type: taken}}, to: erp}}]\n",
        peer.url()
    );
    let daemon = Daemon::start(folder.path(), &config).await;
    for (name, status, body, content_type) in [
        ("ours", 200, None, Some("application/json")),
        ("word", 200, Some("[accepted]"), Some("text/plain")),
        ("list", 202, Some("[1]"), Some("application/json")),
        ("empty", 200, Some(""), None),
        ("none", 204, Some(""), None),
        ("other", 201, None, Some("application/json")),
    ] {
        let good = |kind: &str| {
            let body = format!("{{\"type\":\"{kind}\",\"source\":\"{name}\"}}");
            daemon.signed(name, SECRET, "", body)
        };
        let taken = good("taken");
        // Accepted, a duplicate, and one that no route takes.
        for message in [&taken, &taken, &good("left")] {
            let answer = daemon.send(message).await;
            assert_eq!(answer.status, status, "{name}");
            assert_eq!(answer.header("content-type"), content_type, "{name}");
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
            match body {
                Some(body) => assert_eq!(answer.text(), body, "{name}"),
                None => assert!(answer.json()["id"].is_string(), "{name}"),
            }
        }
        let forged = taken.clone().body("{}");
        let answer = daemon.send(&forged).await;
        assert_eq!(answer.status, 401, "{name}");
        assert_eq!(answer.text(), "{\"error\":\"unauthorized\"}", "{name}");
        let mut other = taken.clone();
        other.method = "PUT".to_owned();
        assert_eq!(daemon.send(&other).await.status, 405, "{name}");
    }
    assert_eq!(peer.wait_for(6).await.len(), 6);
    daemon.stop().await;
}
