//! More than the door can take: connections are capped, slow ones are cut, and who must wait for the disk gets an
//! answer all the same.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::shim::Shim;
use super::{
    assert_no_panic, furnish, is_accepted, nothing_is_pending, peak_memory, rest, send, site,
    skipped,
};
use crate::numbered::{SECRET, message};
use crate::process::Site;
use crate::support::{Message, Peer, exchange, wait_until};

/// Open connections of the public door.
const CONNECTIONS: usize = 8;

/// What is sent at first, and then a byte of it now and then.
fn slow_ones() -> [(&'static str, Vec<u8>, Vec<u8>); 4] {
    let whole = message(SECRET, 1);
    let head = whole.head();
    let half = head.len() / 2;
    let endless = Message::post("/in/in", "").with("content-length", "1000000");
    [
        ("says nothing", Vec::new(), Vec::new()),
        ("a head that stops", head[..half].to_vec(), Vec::new()),
        (
            "a head that trickles",
            b"POST /in/in HTTP/1.1\r\nHost: a\r\nX: ".to_vec(),
            vec![b'a'; 1000],
        ),
        ("a body that trickles", endless.head(), vec![b'a'; 1000]),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_senders_are_cut_and_others_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::start([]).await;
    let limits =
        format!("limits: {{connections: {CONNECTIONS}, header_timeout: 1s, body_timeout: 1s}}\n");
    let site = site(folder.path(), &rest(&limits, &[("up", peer.url())]));
    let daemon = site.start().await;
    let idle = sockets(daemon.id());
    // Three times as many as there is room for, and each as slow as it can be.
    let mut slow = Vec::new();
    for _ in 0..CONNECTIONS * 3 / 4 {
        for (name, first, rest) in slow_ones() {
            let port = site.public;
            slow.push((name, tokio::spawn(trickle(port, first, rest))));
        }
    }
    wait_until("all places are taken", async || {
        match sockets(daemon.id()) {
            // A connection of the operator's door may have been open before.
            Some(now) => now + 1 >= idle.unwrap() + CONNECTIONS,
            None => true,
        }
    })
    .await;
    let mut good = Vec::new();
    for n in 1..=10 {
        let bytes = message(SECRET, n).bytes();
        let door = ([127, 0, 0, 1], site.public).into();
        good.push(tokio::spawn(async move { exchange(door, &bytes).await }));
    }
    // As long as any of them is open, there are not more than there may be.
    let mut most = 0;
    while !slow.iter().all(|(_, one)| one.is_finished()) {
        most = most.max(sockets(daemon.id()).unwrap_or(0));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // One of the operator's door may have been open, and one towards the target for each attempt.
    assert!(most <= idle.unwrap_or(0) + CONNECTIONS + 1 + 8, "{most}");
    for (n, answers) in good.into_iter().enumerate() {
        let answers = answers.await.unwrap();
        assert_eq!(answers.len(), 1, "event {}", n + 1);
        assert_eq!(answers[0].status, 200, "event {}", n + 1);
    }
    for (name, one) in slow {
        let answer = one.await.unwrap();
        let status = answer.get(9..12).unwrap_or_default();
        match name {
            "a body that trickles" => assert_eq!(status, "408", "{name}: {answer}"),
            _ => assert!(["", "408"].contains(&status), "{name}: {answer}"),
        }
    }
    peer.wait_for(10).await;
    nothing_is_pending(&site).await;
    assert_no_panic(&site);
    assert_eq!(daemon.terminate().code(), Some(0), "{}", site.log());
}

/// Sends the first bytes, then one of the rest now and then, until the other side closes; gives what it said.
async fn trickle(port: u16, first: Vec<u8>, rest: Vec<u8>) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(&first).await.unwrap();
    let (mut from, mut to) = stream.split();
    let mut said = Vec::new();
    let reading = async {
        // A reset is an end as well.
        let _ = from.read_to_end(&mut said).await;
    };
    let writing = async {
        for byte in rest {
            tokio::time::sleep(Duration::from_millis(100)).await;
            if to.write_all(&[byte]).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = reading => {}
        () = writing => {}
    }
    String::from_utf8_lossy(&said).into_owned()
}

/// How many sockets a process has open; `None` where the system does not say.
fn sockets(process: u32) -> Option<usize> {
    let files = std::fs::read_dir(format!("/proc/{process}/fd")).ok()?;
    let is_socket = |path: std::path::PathBuf| {
        let target = std::fs::read_link(path).unwrap_or_default();
        target.to_string_lossy().starts_with("socket:")
    };
    let files = files.filter_map(|file| Some(file.ok()?.path()));
    Some(files.filter(|path| is_socket(path.clone())).count())
}

/// Bytes of a large body: a little less than a power of two, since an allocator may give a little more than one a quarter
/// more room.
const BODY: usize = 500 * 1024;

/// What the daemon may take in memory besides what is open at a time: events that are kept for their attempts (64 MiB
/// by design), a group that is being written, attempts under way.
const MEMORY: u64 = 128 << 20;

/// What a large request that is open may take, in bodies: as it came, encoded, in the group that is written.
const COPIES: u64 = 4;

/// Most large requests that may take memory at a time, whatever the connections.
const OPEN: u64 = 64;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_disk_holds_senders_back_and_takes_no_memory() {
    slow_disk(16, 96, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_disk_and_many_large_requests_take_no_memory() {
    slow_disk(4096, 256, 2).await;
}

/// As many senders ask a door with room for so many connections to take `each` large events each, while every sync
/// takes long. Each request has its answer, and the daemon does not take memory for all of them.
async fn slow_disk(connections: u64, senders: u64, each: u64) {
    let folder = tempfile::tempdir().unwrap();
    let shim = match Shim::make(folder.path()) {
        Ok(shim) => shim,
        Err(why) => return skipped(&why),
    };
    let peer = Peer::start([]).await;
    furnish(folder.path());
    // No hash is made of the bodies, so that the door is as quick as it can be.
    let rest = format!(
        "limits: {{connections: {connections}}}\n\
         sources:\n  in: {{scheme: {{algorithm: token, signature: {{header: x-token}}}}, secrets: [{{file: secret}}], dedupe: off}}\n\
         targets:\n  up: {{url: \"{}\"}}\n\
         routes:\n  - {{name: all, from: in, template: n.liquid, to: up}}\n",
        peer.url()
    );
    let site = Arc::new(Site::new(folder.path(), &rest));
    let daemon = site.start_with(&shim.environment()).await;
    if !shim.is_loaded() {
        return skipped("the binary takes no library that is loaded before libc");
    }
    let before = peak_memory(daemon.id());
    shim.let_wait(true);
    let sending: Vec<_> = (0..senders)
        .map(|sender| {
            let site = Arc::clone(&site);
            tokio::spawn(async move {
                let mut accepted = 0;
                for n in 0..each {
                    let n = sender * each + n;
                    let pad = "x".repeat(BODY);
                    let body = format!("{{\"n\":{n},\"pad\":\"{pad}\"}}");
                    let message = Message::post("/in/in", body).with("x-token", SECRET);
                    let door = ([127, 0, 0, 1], site.public).into();
                    // It reads for a bounded time, so that every one has its answer within it.
                    let answers = exchange(door, &message.bytes()).await;
                    assert_eq!(answers.len(), 1, "event {n}");
                    accepted += usize::from(is_accepted(&answers[0]));
                }
                accepted
            })
        })
        .collect();
    let mut accepted = 0;
    for sender in sending {
        accepted += sender.await.unwrap();
    }
    shim.let_wait(false);
    if let (Some(before), Some(after)) = (before, peak_memory(daemon.id())) {
        println!(
            "memory: {} KiB, then {} KiB; {accepted} of {} accepted",
            before / 1024,
            after / 1024,
            senders * each
        );
        let open = connections.min(OPEN) * COPIES * BODY as u64;
        assert!(after < before + MEMORY + open, "{before}, then {after}");
    }
    assert!(accepted > 0);
    nothing_is_pending(&site).await;
    assert_eq!(peer.received().len(), accepted);
    assert_no_panic(&site);
    assert_eq!(daemon.terminate().code(), Some(0), "{}", site.log());
}

/// What cannot be kept is refused at once, however many ask: nobody waits for a disk that does not come back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_fails_is_told_to_everybody() {
    let folder = tempfile::tempdir().unwrap();
    let shim = match Shim::make(folder.path()) {
        Ok(shim) => shim,
        Err(why) => return skipped(&why),
    };
    let peer = Peer::start([]).await;
    let site = Arc::new(site(folder.path(), &rest("", &[("up", peer.url())])));
    let daemon = site.start_with(&shim.environment()).await;
    if !shim.is_loaded() {
        return skipped("the binary takes no library that is loaded before libc");
    }
    shim.let_fail(true);
    let senders: Vec<_> = (0..200)
        .map(|n| {
            let site = Arc::clone(&site);
            tokio::spawn(async move { is_accepted(&send(&site, n).await) })
        })
        .collect();
    for sender in senders {
        assert!(!sender.await.unwrap());
    }
    shim.let_fail(false);
    wait_until("it takes events again", async || {
        is_accepted(&send(&site, 1000).await)
    })
    .await;
    nothing_is_pending(&site).await;
    assert_eq!(peer.received().len(), 1);
    assert_no_panic(&site);
    assert_eq!(daemon.terminate().code(), Some(0), "{}", site.log());
}
