//! What an operator has lanes do: wait, go on, and try again at once.

use super::*;
use crate::dispatch::probe;

#[tokio::test]
async fn no_attempt_begins_while_a_target_is_paused_over_a_restart_too() {
    let peer = Peer::start(|_| status(204)).await;
    let store = MemoryStore::new();
    let erp: TargetName = "erp".parse().unwrap();
    let by = Some("somebody".to_owned());
    let pause = store.set_pause(&erp, by).await.unwrap();
    store.add(BODY, &["erp", "audit"]);
    let targets = || vec![target("erp", peer.address), target("audit", peer.address)];
    let (dispatcher, metrics) = start(&store, targets());
    wait_until("the other is delivered", || peer.seen().len() == 1).await;
    assert_eq!(dispatcher.lanes().paused(&erp), pause);
    let shown = || {
        metrics
            .encode()
            .contains("ingate_target_paused{target=\"erp\"} 1")
    };
    wait_until("it is shown", shown).await;
    dispatcher.drain(Duration::from_secs(5)).await;

    let (dispatcher, metrics) = start(&store, targets());
    let lanes = dispatcher.lanes();
    wait_until("its lane has looked", || lanes.get(&erp).is_some()).await;
    assert_eq!((lanes.paused(&erp), peer.seen().len()), (pause, 1));
    store.set_pause(&erp, None).await.unwrap();
    lanes.set_pause(&erp, None);
    wait_until("it goes on", || peer.seen().len() == 2).await;
    let shown = || {
        metrics
            .encode()
            .contains("ingate_target_paused{target=\"erp\"} 0")
    };
    wait_until("it is shown", shown).await;
    dispatcher.drain(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn what_is_under_way_when_a_target_is_paused_ends() {
    let gate = Arc::new(Semaphore::new(0));
    let (script, text) = (Arc::clone(&gate), status_text(204));
    let peer = Peer::start(move |_| Reply::Gated(Arc::clone(&script), text.clone())).await;
    let store = MemoryStore::new();
    let erp: TargetName = "erp".parse().unwrap();
    let (_, first) = store.add(BODY, &["erp"]);
    let (dispatcher, _) = start(&store, vec![target("erp", peer.address)]);
    wait_until("an attempt", || peer.seen().len() == 1).await;
    let pause = store.set_pause(&erp, Some("x".to_owned())).await.unwrap();
    dispatcher.lanes().set_pause(&erp, pause);
    let (_, second) = store.add(BODY, &["erp"]);
    gate.add_permits(10);
    let done = |id| matches!(store.state(id), State::Delivered { .. });
    wait_until("the first is delivered", || done(first[0])).await;
    // A turn of everything that runs.
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!done(second[0]) && peer.seen().len() == 1);
    dispatcher.lanes().set_pause(&erp, None);
    wait_until("the second is delivered", || done(second[0])).await;
}

#[tokio::test]
async fn a_probe_goes_the_way_of_an_attempt_and_sends_nothing() {
    let peer = Peer::start(|_| status(204)).await;
    let egress = Arc::new(crate::plan::EgressPlan::default());
    let up = target("erp", peer.address);
    assert!(probe(&up, &egress).await.is_ok());
    assert!(peer.seen().is_empty());
    let nobody = target("erp", "127.0.0.1:9".parse().unwrap());
    let (failure, detail) = probe(&nobody, &egress).await.unwrap_err();
    assert_eq!(failure, Failure::Connect, "{detail}");
    let mut refused = target("erp", peer.address);
    refused.url = "http://169.254.169.254/".parse().unwrap();
    let (failure, detail) = probe(&refused, &egress).await.unwrap_err();
    assert_eq!(failure, Failure::Egress, "{detail}");

    // One that speaks no TLS, and one that says nothing.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let accepting = tokio::spawn(async move {
        let (mut plain, _) = listener.accept().await.unwrap();
        plain.write_all(b"HTTP/1.1 400 Bad\r\n\r\n").await.unwrap();
        let (silent, _) = listener.accept().await.unwrap();
        (plain, silent)
    });
    let mut https = target("erp", address);
    https.url = format!("https://{address}/").parse().unwrap();
    let (failure, detail) = probe(&https, &egress).await.unwrap_err();
    assert_eq!(failure, Failure::Tls, "{detail}");
    https.timeout = Duration::from_millis(100);
    let (failure, detail) = probe(&https, &egress).await.unwrap_err();
    assert_eq!(failure, Failure::Timeout, "{detail}");
    accepting.await.unwrap();
}
