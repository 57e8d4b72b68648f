//! Requests that are bent on the wire: lengths that can be read in two ways, heads and paths that play tricks, bodies
//! made to be expensive. After each of them the daemon answers a good request, and at the end nothing has become an
//! event but what was signed; memory stays where it was. HTTP/2 has its own in `http2`, slow senders in `faults`.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::process::{Process, Site};
use crate::support::{Answer, Daemon, Message, Peer, exchange, exchange_open};

const SECRET: &str = "a-plain-test-secret-of-40-characters-xyz";

/// A daemon with a source whose events go on unchanged, one with a template, and one that signs what was decoded.
struct Stage {
    daemon: Daemon,
    peer: Peer,
    good: std::cell::Cell<usize>,
    _folder: tempfile::TempDir,
}

impl Stage {
    async fn set(limits: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let peer = Peer::start([]).await;
        let templates = folder.path().join("templates");
        std::fs::create_dir(&templates).unwrap();
        let text = r#"{"type": {{ event.type }}, "payload": {{ payload }}}"#;
        std::fs::write(templates.join("t.liquid"), text).unwrap();
        let config = format!(
            "limits: {{{limits}}}\n\
             sources:\n  s: {{preset: hmac, secrets: [{{value: {SECRET}}}], scheme: {{type: {{json: /type}}}}}}\n  \
             t: {{preset: hmac, secrets: [{{value: {SECRET}}}]}}\n  \
             d: {{preset: hmac, secrets: [{{value: {SECRET}}}], scheme: {{body: decoded}}}}\n\
             targets: {{peer: {{url: {:?}}}}}\n\
             routes: [{{name: plain, from: [s, d], to: peer}}, {{name: made, from: t, template: t.liquid, to: peer}}]\n",
            peer.url()
        );
        let daemon = Daemon::start(folder.path(), &config).await;
        Self {
            daemon,
            peer,
            good: std::cell::Cell::new(0),
            _folder: folder,
        }
    }

    fn signed(&self, source: &str, body: impl Into<Vec<u8>>) -> Message {
        self.daemon.signed(source, SECRET, "", body)
    }

    /// A good request, which must be answered as one.
    async fn still_answers(&self, after: &str) {
        let n = self.good.replace(self.good.get() + 1);
        let message = self.signed("s", format!("{{\"good\":{n}}}"));
        let answer = self.daemon.send(&message).await;
        assert_eq!(answer.status, 200, "after {after}");
        assert_eq!(answer.json()["duplicate"], false, "after {after}");
    }

    /// Sends bytes as they are; gives the statuses of all answers.
    async fn raw(&self, bytes: &[u8]) -> Vec<u16> {
        let answers = exchange(self.daemon.public, bytes).await;
        answers.iter().map(|answer| answer.status).collect()
    }

    /// How many events there are of each source.
    async fn events(&self, source: &str) -> usize {
        let path = format!("/api/v1/events?source={source}&limit=500");
        let listed = self.daemon.admin_get(&path).await.json();
        assert_eq!(listed["next"], Value::Null, "all on one page");
        listed["items"].as_array().unwrap().len()
    }

    /// Nothing has become an event but the good requests, and `more` of the sources.
    async fn ends_with(self, more: usize) {
        let all = self.events("s").await + self.events("t").await + self.events("d").await;
        assert_eq!(all, self.good.get() + more);
        self.daemon.stop().await;
        self.peer.stop().await;
    }
}

/// A request of these lines of the head behind the first two, and this body, as it stands.
fn request(lines: &str, body: &str) -> Vec<u8> {
    format!("POST /in/s HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n{body}").into_bytes()
}

#[tokio::test]
async fn a_length_that_can_be_read_in_two_ways_is_refused() {
    let stage = Stage::set("").await;
    let hidden = stage.signed("s", "{\"type\":\"smuggled\"}");
    let hidden = String::from_utf8(hidden.bytes()).unwrap();
    let chunks = format!("0\r\n\r\n{hidden}");
    let length = chunks.len();
    // Each carries a whole, rightly signed request within what only one of two readers takes for a body.
    let rows: &[(&str, String, &[u16])] = &[
        (
            "CL.TE",
            format!("Content-Length: {length}\r\nTransfer-Encoding: chunked"),
            &[400],
        ),
        (
            "TE.CL",
            format!("Transfer-Encoding: chunked\r\nContent-Length: {length}"),
            &[400],
        ),
        (
            "TE.TE",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity".into(),
            &[400],
        ),
        (
            "TE twice",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked".into(),
            &[400],
        ),
        (
            "TE listed twice",
            "Transfer-Encoding: chunked, chunked".into(),
            &[400],
        ),
        (
            "TE not last",
            "Transfer-Encoding: chunked, identity".into(),
            &[400],
        ),
        ("TE xchunked", "Transfer-Encoding: xchunked".into(), &[400]),
        ("TE quoted", "Transfer-Encoding: \"chunked\"".into(), &[400]),
        (
            "TE with a parameter",
            "Transfer-Encoding: chunked;a=b".into(),
            &[400],
        ),
        (
            "TE vertical tab",
            "Transfer-Encoding: \x0bchunked".into(),
            &[400],
        ),
        (
            "TE behind a space",
            "Transfer-Encoding : chunked".into(),
            &[400],
        ),
        (
            "TE behind a tab",
            "Transfer-Encoding\t: chunked".into(),
            &[400],
        ),
        ("TE folded", "Transfer-Encoding:\r\n chunked".into(), &[400]),
        (
            "TE behind a bare LF",
            format!("X: y\nTransfer-Encoding: chunked\r\nContent-Length: {length}"),
            &[400],
        ),
        (
            "TE behind a bare CR",
            "X: y\rTransfer-Encoding: chunked".into(),
            &[400],
        ),
        (
            "CL twice",
            format!("Content-Length: 5\r\nContent-Length: {length}"),
            &[400],
        ),
        ("CL list", format!("Content-Length: 5, {length}"), &[400]),
        ("CL plus", format!("Content-Length: +{length}"), &[400]),
        ("CL minus", format!("Content-Length: -{length}"), &[400]),
        ("CL hex", "Content-Length: 0x5".into(), &[400]),
        ("CL fraction", "Content-Length: 5.0".into(), &[400]),
        (
            "CL huge",
            "Content-Length: 99999999999999999999".into(),
            &[400],
        ),
        (
            "CL 2^64",
            "Content-Length: 18446744073709551616".into(),
            &[400],
        ),
        ("CL empty", "Content-Length:".into(), &[400]),
        ("CL behind a space", "Content-Length : 5".into(), &[400]),
        ("obs-fold", "X: a\r\n b\r\nContent-Length: 5".into(), &[400]),
        ("NUL in a value", "X: a\0b".into(), &[400]),
        ("NUL in a name", "X\0: a".into(), &[400]),
        ("no colon", "Content-Length".into(), &[400]),
        ("no name", ": a".into(), &[400]),
    ];
    for (name, lines, wanted) in rows {
        assert_eq!(stage.raw(&request(lines, &chunks)).await, *wanted, "{name}");
        stage.still_answers(name).await;
    }
    // The same length twice says one thing only, but hyper takes it and we answer what is behind it once.
    let same = stage
        .raw(&request("Content-Length: 2\r\nContent-Length: 2", "{}"))
        .await;
    assert!([vec![400], vec![401]].contains(&same), "{same:?}");
    stage.ends_with(0).await;
}

#[tokio::test]
async fn chunks_are_read_strictly() {
    let stage = Stage::set("body: 2048").await;
    let body = "{\"type\":\"chunked\"}";
    let signature = stage.signed("s", body).get("x-signature");
    let lines = format!("Transfer-Encoding: chunked\r\nX-Signature: {signature}");
    let length = format!("{:x}", body.len());
    let whole = |size: &str| format!("{size}\r\n{body}\r\n0\r\n\r\n");
    let rows: &[(&str, String, &[u16])] = &[
        ("hex overflow", whole("fffffffffffffffff"), &[400]),
        ("2^64", whole("10000000000000000"), &[400]),
        ("over the limit", whole("ffffffffffffffff"), &[400, 413]),
        ("negative", whole("-12"), &[400]),
        ("plus", whole(&format!("+{length}")), &[400]),
        ("0x", whole(&format!("0x{length}")), &[400]),
        ("space before", whole(&format!(" {length}")), &[400]),
        ("space within", whole("1 2"), &[400]),
        ("no size", whole(""), &[400]),
        ("NUL", whole(&format!("{length}\0")), &[400]),
        ("too short", format!("5\r\n{body}\r\n0\r\n\r\n"), &[400]),
        ("too long", format!("ff\r\n{body}\r\n0\r\n\r\n"), &[400]),
        ("no end", format!("{length}\r\n{body}\r\n"), &[400]),
        (
            "bare LF in an extension",
            format!("{length};a\n{body}\r\n0\r\n\r\n"),
            &[400],
        ),
        (
            "an endless extension",
            whole(&format!("{length};{}", "a".repeat(64 << 10))),
            &[400],
        ),
        (
            "trailers that never end",
            format!("{length}\r\n{body}\r\n0\r\n{}\r\n", "x: y\r\n".repeat(9000)),
            &[400, 413],
        ),
    ];
    for (name, chunks, wanted) in rows {
        let got = stage.raw(&request(&lines, chunks)).await;
        assert_eq!(got.len(), 1, "{name}: {got:?}");
        assert!(wanted.contains(&got[0]), "{name}: {got:?}");
        stage.still_answers(name).await;
    }
    assert_eq!(stage.events("s").await, stage.good.get());
    // What is only unusual: an extension, zeros before the size, a trailer; once each, then as duplicates.
    for (name, chunks) in [
        ("an extension", whole(&format!("{length};name=value"))),
        ("zeros", whole(&format!("000{length}"))),
        (
            "in pieces",
            format!(
                "1\r\n{{\r\n{:x}\r\n{}\r\n0\r\n\r\n",
                body.len() - 1,
                &body[1..]
            ),
        ),
        (
            "a trailer",
            format!("{length}\r\n{body}\r\n0\r\nx-signature: 00\r\n\r\n"),
        ),
    ] {
        assert_eq!(stage.raw(&request(&lines, &chunks)).await, [200], "{name}");
        stage.still_answers(name).await;
    }
    stage.ends_with(1).await;
}

#[tokio::test]
async fn what_follows_a_body_is_a_request_of_its_own() {
    let stage = Stage::set("").await;
    let inner = stage.signed("s", "{\"type\":\"inner\"}");
    let inner_bytes = inner.bytes();
    // Within the declared length it is the body, and that is not signed.
    let text = String::from_utf8(inner_bytes.clone()).unwrap();
    let lines = format!("Content-Length: {}\r\nConnection: close", text.len());
    assert_eq!(stage.raw(&request(&lines, &text)).await, [401]);
    stage.still_answers("a request as a body").await;
    assert_eq!(stage.events("s").await, stage.good.get());
    // Behind a chunked body nothing more is read of the connection.
    let bytes = [
        request("Transfer-Encoding: chunked", "2\r\n{}\r\n0\r\n\r\n"),
        inner_bytes.clone(),
    ]
    .concat();
    assert_eq!(stage.raw(&bytes).await, [401]);
    stage.still_answers("a request behind chunks").await;
    assert_eq!(stage.events("s").await, stage.good.get());
    // Behind what was refused unread nothing is, either.
    let unread = request("Content-Length: 99999999\r\nX: y", "{}");
    assert_eq!(
        stage.raw(&[unread, inner_bytes.clone()].concat()).await,
        [413]
    );
    stage
        .still_answers("a request behind what is too large")
        .await;
    assert_eq!(stage.events("s").await, stage.good.get());
    // Behind a body that was read, it is what it is.
    let first = request("Content-Length: 2", "{}");
    let answers = exchange_open(stage.daemon.public, &[first, inner_bytes].concat()).await;
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [401, 200]);
    stage.ends_with(1).await;
}

#[tokio::test]
async fn paths_and_heads_play_no_tricks() {
    let stage = Stage::set("").await;
    let first =
        |line: &str| format!("{line}\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    let long = format!("POST /in/s?{} HTTP/1.1", "a".repeat(70 << 10));
    let rows: &[(&str, &str, &[u16])] = &[
        ("two slashes", "POST //in/s HTTP/1.1", &[404]),
        ("two slashes within", "POST /in//s HTTP/1.1", &[404]),
        ("a dot", "POST /in/./s HTTP/1.1", &[404]),
        ("two dots", "POST /x/../in/s HTTP/1.1", &[404]),
        ("coded dots", "POST /x/%2e%2e/in/s HTTP/1.1", &[404]),
        ("a coded slash", "POST /in%2fs HTTP/1.1", &[404]),
        ("a coded letter", "POST /in/%73 HTTP/1.1", &[404]),
        ("a coded NUL", "POST /in/s%00 HTTP/1.1", &[404]),
        ("a semicolon", "POST /in/s;x=y HTTP/1.1", &[404]),
        ("a backslash", "POST /in\\s HTTP/1.1", &[400, 404]),
        ("upper case", "POST /IN/S HTTP/1.1", &[404]),
        (
            "absolute",
            "POST http://other.example/in/s HTTP/1.1",
            &[401],
        ),
        ("authority", "POST other.example:80 HTTP/1.1", &[400, 404]),
        (
            "CONNECT",
            "CONNECT other.example:80 HTTP/1.1",
            &[400, 404, 405],
        ),
        ("an asterisk", "OPTIONS * HTTP/1.1", &[400, 404]),
        ("an asterisk by POST", "POST * HTTP/1.1", &[400, 404]),
        ("very long", &long, &[414, 431]),
        ("a fragment", "POST /in/s#x HTTP/1.1", &[400, 401]),
        ("a space", "POST /in/s x HTTP/1.1", &[400]),
        ("a tab", "POST\t/in/s\tHTTP/1.1", &[400]),
        ("no path", "POST  HTTP/1.1", &[400]),
        ("no version", "POST /in/s", &[400]),
        ("HTTP/1.2", "POST /in/s HTTP/1.2", &[400]),
        ("HTTP/2.0", "POST /in/s HTTP/2.0", &[400]),
        ("HTTP/0.9", "GET /in/s", &[400]),
        ("lower case", "post /in/s HTTP/1.1", &[404, 405]),
        ("no method", " /in/s HTTP/1.1", &[400]),
        ("a method of its own", "P\u{d6}ST /in/s HTTP/1.1", &[400]),
        ("not UTF-8 when decoded", "POST /in/%ff HTTP/1.1", &[404]),
        (
            "bytes beyond ASCII",
            "POST /in/\u{e9} HTTP/1.1",
            &[400, 404],
        ),
    ];
    for (name, line, wanted) in rows {
        let got = stage.raw(first(line).as_bytes()).await;
        assert_eq!(got.len(), 1, "{name}: {got:?}");
        assert!(wanted.contains(&got[0]), "{name}: {got:?}");
        stage.still_answers(name).await;
    }
    for (name, bytes) in [
        (
            "not UTF-8",
            b"POST /in/\xff\xfe HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        ),
        ("NUL", b"POST /in/s\0 HTTP/1.1\r\nHost: a\r\n\r\n".to_vec()),
        (
            "TLS to plain",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        ),
        (
            "HTTP/2 to plain",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        ),
    ] {
        let got = stage.raw(&bytes).await;
        assert!(
            got.iter().all(|status| [400, 404].contains(status)),
            "{name}: {got:?}"
        );
        stage.still_answers(name).await;
    }
    for (name, lines, wanted) in [
        ("no host", "POST /in/s HTTP/1.1\r\n".to_owned(), 400),
        (
            "two hosts",
            "POST /in/s HTTP/1.1\r\nHost: a\r\nHost: b\r\n".to_owned(),
            400,
        ),
        (
            "many headers",
            format!(
                "POST /in/s HTTP/1.1\r\nHost: a\r\n{}",
                "x: y\r\n".repeat(2000)
            ),
            431,
        ),
        (
            "large headers",
            format!(
                "POST /in/s HTTP/1.1\r\nHost: a\r\nx: {}\r\n",
                "y".repeat(1 << 20)
            ),
            431,
        ),
        (
            "a long name",
            format!(
                "POST /in/s HTTP/1.1\r\nHost: a\r\n{}: x\r\n",
                "y".repeat(40 << 10)
            ),
            401,
        ),
        (
            "blank lines first",
            format!("{}POST /in/s HTTP/1.1\r\nHost: a\r\n", "\r\n".repeat(50)),
            401,
        ),
    ] {
        let got = stage
            .raw(format!("{lines}Connection: close\r\n\r\n").as_bytes())
            .await;
        let fits = got == [wanted] || (wanted == 400 && got == [431]);
        assert!(fits, "{name}: {got:?}");
        stage.still_answers(name).await;
    }
    stage.ends_with(0).await;
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut to = GzEncoder::new(Vec::new(), Compression::best());
    to.write_all(plain).unwrap();
    to.finish().unwrap()
}

#[tokio::test]
async fn signed_content_of_any_kind_is_kept_and_parked_at_worst() {
    let stage = Stage::set("body: 16MiB").await;
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let rows: Vec<(&str, Vec<u8>, bool)> = vec![
        ("not UTF-8", b"{\"type\":\"\xff\xfe\"}".to_vec(), false),
        (
            "an overlong slash",
            b"{\"type\":\"\xc0\xaf\"}".to_vec(),
            false,
        ),
        (
            "a coded surrogate",
            b"{\"type\":\"\xed\xa0\x80\"}".to_vec(),
            false,
        ),
        ("a lone surrogate", br#"{"type":"\ud800"}"#.to_vec(), false),
        (
            "a pair the wrong way round",
            br#"{"type":"\udc00\ud800"}"#.to_vec(),
            false,
        ),
        (
            "a byte order mark",
            "\u{feff}{\"type\":\"a\"}".into(),
            false,
        ),
        ("a NUL behind it", b"{\"type\":\"a\"}\0".to_vec(), false),
        ("two values", b"{} {}".to_vec(), false),
        ("NaN", b"{\"n\":NaN}".to_vec(), false),
        ("a comment", b"{/* */}".to_vec(), false),
        ("a comma too many", b"[1,]".to_vec(), false),
        ("a control character", b"{\"a\":\"\x01\"}".to_vec(), false),
        ("200 deep", deep(200).into(), false),
        ("100 deep", deep(100).into(), true),
        ("10 MB of [", vec![b'['; 10 << 20], false),
        ("10 MB of {\"a\":", b"{\"a\":".repeat(2 << 20), false),
        (
            "duplicate keys",
            br#"{"type":"a","type":"b","x":1,"x":2}"#.to_vec(),
            true,
        ),
        (
            "huge numbers",
            format!("[1e999999,{},-0.{}]", "9".repeat(5000), "0".repeat(5000)).into(),
            true,
        ),
        (
            "a million zeros",
            format!("[{}0]", "0,".repeat(1 << 20)).into(),
            true,
        ),
        ("a null", b"null".to_vec(), true),
        ("a NUL in a text", br#"{"a":"\u0000"}"#.to_vec(), true),
        (
            "the name of serde_json's numbers",
            br#"{"$serde_json::private::Number":"1"}"#.to_vec(),
            true,
        ),
        (
            "the name of its raw values",
            br#"{"$serde_json::private::RawValue":"]["}"#.to_vec(),
            true,
        ),
    ];
    let mut rendered = 0;
    for (name, body, is_json) in &rows {
        for source in ["s", "t"] {
            let answer = stage.daemon.send(&stage.signed(source, body.clone())).await;
            assert_eq!(answer.status, 200, "{name}: {}", answer.text());
            assert_eq!(answer.json()["duplicate"], false, "{name}");
        }
        rendered += usize::from(*is_json);
        stage.still_answers(name).await;
        // The same without a signature is nothing.
        let forged = stage.signed("s", "{}").body(body.clone());
        assert_eq!(stage.daemon.send(&forged).await.status, 401, "{name}");
    }
    let dead = stage
        .daemon
        .admin_get("/api/v1/deliveries?state=dead&limit=500")
        .await
        .json();
    let dead = dead["items"].as_array().unwrap();
    assert!(dead.iter().all(|one| one["route"] == "made"), "{dead:?}");
    assert!(dead.len() >= rows.len() - rendered, "{dead:?}");
    for one in dead {
        let reason = one["reason"].as_str().unwrap();
        assert!(["not_json", "render"].contains(&reason), "{one}");
    }
    // Passed on as they came.
    let passed = stage
        .peer
        .wait_for(rows.len() * 2 + rows.len() - dead.len())
        .await;
    for (name, body, _) in &rows {
        assert!(passed.iter().any(|it| it.body == *body), "{name}");
    }
    let over = stage.signed("s", vec![b'['; (16 << 20) + 1]);
    assert_eq!(stage.daemon.send(&over).await.status, 413);
    stage.still_answers("too much").await;
    stage.ends_with(rows.len() * 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bombs_and_floods_take_no_memory() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::new(
        folder.path(),
        &format!(
            "limits: {{body: 12MiB, in_flight: 32MiB, header_timeout: 2s, body_timeout: 2s}}\n\
             sources:\n  s: {{preset: hmac, secrets: [{{value: {SECRET}}}]}}\n  \
             d: {{preset: hmac, secrets: [{{value: {SECRET}}}], scheme: {{body: decoded}}}}\n"
        ),
    );
    let daemon = site.start().await;
    let before = resident(&daemon);
    let bomb = gzip(&vec![b'0'; 64 << 20]);
    let nested = (0..4).fold(vec![b'0'; 16 << 20], |inner, _| gzip(&inner));
    let members = gzip(b"").repeat(100_000);
    let tail = [gzip(b"{}"), vec![0; 5 << 20]].concat();
    let brackets = vec![b'['; 10 << 20];
    let packed = |body: &[u8]| Message::post("/in/d", body).with("content-encoding", "gzip");
    let mut rows = vec![
        ("a bomb", packed(&bomb), &[413][..]),
        ("a bomb in bombs", packed(&nested), &[401]),
        ("members without end", packed(&members), &[400]),
        ("zeros behind it", packed(&tail), &[400]),
        (
            "10 MB of [",
            Message::post("/in/s", brackets.clone()),
            &[401],
        ),
        ("10 MB of [, packed", packed(&gzip(&brackets)), &[401]),
        (
            "a signature of 60 kB",
            Message::post("/in/s", "{}").with("x-signature", "0".repeat(60_000)),
            &[401, 431],
        ),
    ];
    for coding in ["gzip, gzip", "gzip,identity", "deflate", "zstd", "GZIP "] {
        let wanted: &[u16] = if coding == "GZIP " { &[413] } else { &[415] };
        rows.push((
            coding,
            Message::post("/in/d", bomb.clone()).with("content-encoding", coding),
            wanted,
        ));
    }
    for (name, message, wanted) in &rows {
        let senders: Vec<_> = (0..8)
            .map(|_| {
                let (door, bytes) = (([127, 0, 0, 1], site.public).into(), message.bytes());
                tokio::spawn(async move { exchange(door, &bytes).await })
            })
            .collect();
        for answers in senders {
            // What there is no memory for now is to be sent again.
            let status = answers
                .await
                .unwrap()
                .first()
                .map(|answer: &Answer| answer.status);
            let status = status.unwrap_or_default();
            assert!(
                wanted.contains(&status) || status == 503,
                "{name}: {status}"
            );
        }
        assert_eq!(good(&site, name).await, 200, "after {name}");
    }
    let after = resident(&daemon);
    // 32 MiB of bodies, as they came and decoded, and what an allocator keeps.
    assert!(
        after < before + (160 << 20),
        "{before} bytes before, {after} after"
    );
    assert!(!site.log().contains("panicked"), "{}", site.log());
    assert_eq!(daemon.terminate().code(), Some(0), "{}", site.log());
}

/// Sends a good request; gives the status of the answer.
async fn good(site: &Site, label: &str) -> u16 {
    let body = format!("{{\"after\":\"{label}\"}}");
    let outbound = ingate::signature::Outbound {
        id: "",
        timestamp: jiff::Timestamp::now(),
        method: &http::Method::POST,
        url: "",
        event_type: "",
        body: body.as_bytes(),
    };
    let record = ingate::signature::SchemeRecord::preset("hmac").unwrap();
    let scheme = ingate::signature::Scheme::compile(&record).unwrap();
    let key = scheme
        .signing_key(&ingate::secret::Secret::new(SECRET))
        .unwrap();
    let signed = ingate::signature::sign(&scheme, &[key], &outbound).unwrap();
    let mut message = Message::post("/in/s", body.clone());
    for (name, value) in signed {
        message = message.with(name.as_str(), value.as_bytes());
    }
    let answers = exchange(([127, 0, 0, 1], site.public).into(), &message.bytes()).await;
    answers[0].status
}

/// Bytes of memory that a process has; 0 where the system does not say.
fn resident(process: &Process) -> u64 {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or_default() * 1024
}
