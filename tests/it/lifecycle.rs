//! How a daemon starts and ends.

use std::sync::Arc;

use ingate::app::{App, AppError};
use ingate::clock::SystemClock;
use ingate::config;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Daemon, Peer, load, read_answers, wait_until};

const SECRET: &str = "a-plain-test-secret-of-40-characters-xyz";

fn config(peer: &Peer) -> String {
    format!(
        r#"
sources: {{s: {{preset: hmac, secrets: [{{value: {SECRET}}}]}}}}
targets: {{t: {{url: "{}"}}}}
routes: [{{name: all, from: s, to: t}}]
"#,
        peer.url()
    )
}

#[tokio::test]
async fn an_address_that_is_taken_is_named_and_the_store_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken_addr = taken.local_addr().unwrap();
    for door in ["listen", "admin.listen"] {
        let mut plan = load(folder.path(), &config(&Peer::start([]).await));
        if door == "listen" {
            plan.listen = taken_addr;
        } else {
            plan.admin.listen = taken_addr;
        }
        match App::build(Arc::new(plan), Arc::new(SystemClock)).await {
            Err(AppError::Bind { door: at, addr, .. }) => {
                assert_eq!((at, addr), (door, taken_addr));
            }
            Err(error) => panic!("{door}: {error:?}"),
            Ok(_) => panic!("{door} was not taken"),
        }
    }
    // The store was let go each time.
    let peer = Peer::start([]).await;
    Daemon::start(folder.path(), &config(&peer))
        .await
        .stop()
        .await;
}

#[tokio::test]
async fn a_store_that_is_in_use_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::start([]).await;
    let daemon = Daemon::start(folder.path(), &config(&peer)).await;
    let path = folder.path().join("config.yaml");
    let plan = config::load(&path, &config::ProcessEnv).unwrap().plan;
    let second = App::build(Arc::new(plan), Arc::new(SystemClock)).await;
    assert!(matches!(second, Err(AppError::Store(_))));
    let message = daemon.signed("s", SECRET, "", "{}");
    assert_eq!(daemon.send(&message).await.status, 200);
    peer.wait_for(1).await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_request_under_way_is_answered_before_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::start([]).await;
    let daemon = Daemon::start(folder.path(), &config(&peer)).await;
    let (public, admin) = (daemon.public, daemon.admin);
    assert_eq!(daemon.admin_get("/readyz").await.status, 200);

    let message = daemon.signed("s", SECRET, "", "{\"under\": \"way\"}");
    let (first, rest) = message.body.split_at(1);
    let mut stream = TcpStream::connect(public).await.unwrap();
    stream.write_all(&message.head()).await.unwrap();
    stream.write_all(first).await.unwrap();
    // A request on another connection is answered: by now the first one has been taken as well.
    let other = daemon.signed("s", SECRET, "", "{\"other\": 1}");
    assert_eq!(daemon.send(&other).await.status, 200);

    let stopping = tokio::spawn(daemon.stop());
    wait_until("the public door is closed", async || {
        TcpStream::connect(public).await.is_err()
    })
    .await;
    stream.write_all(rest).await.unwrap();
    let answers = read_answers(&mut stream).await;
    assert_eq!(answers[0].status, 200);
    stopping.await.unwrap();
    assert!(TcpStream::connect(admin).await.is_err());

    // What was accepted at the last moment is delivered, then or after the next start.
    let daemon = Daemon::start(folder.path(), &config(&peer)).await;
    peer.wait_for(2).await;
    daemon.stop().await;
}
