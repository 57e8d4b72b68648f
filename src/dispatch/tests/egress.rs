//! The policy at the moment of connecting: what names resolve to, and addresses in every form.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::HeaderMap;
use hyper_util::client::legacy::connect::dns::Name;

use super::super::client::Client;
use super::super::testing::{Peer, status, target};
use crate::client::connect::{Connector, Lookup};
use crate::clock::SystemClock;
use crate::delivery::{Failure, Outcome};
use crate::egress::{Guard, Private};
use crate::plan::{EgressPlan, Proxy};

type Found = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

fn found(addresses: &[&str]) -> Found {
    let addresses = addresses.iter().map(|text| text.parse().unwrap());
    let addresses: Vec<SocketAddr> = addresses.collect();
    Box::pin(async move { Ok(addresses) })
}

fn to_metadata(_: Name) -> Found {
    found(&["169.254.169.254:0", "[fd00:ec2::254]:0"])
}

fn to_both(_: Name) -> Found {
    found(&["169.254.169.254:0", "127.0.0.1:0", "[::ffff:a9fe:a9fe]:0"])
}

fn nowhere(_: Name) -> Found {
    panic!("a name was resolved")
}

fn client(egress: EgressPlan, lookup: Lookup) -> Client {
    let target = target("erp", ([127, 0, 0, 1], 9).into());
    let egress = Arc::new(egress);
    let connector = Connector::with_lookup(Some(Arc::clone(&egress)), lookup);
    Client::with_connector(&target, &egress, connector)
}

async fn post(client: &Client, url: &str) -> Outcome {
    let mut to = target("erp", ([127, 0, 0, 1], 9).into());
    to.url = url.parse().unwrap();
    let body = Bytes::from_static(b"{}");
    client
        .post(&to, None, HeaderMap::new(), body, &SystemClock)
        .await
}

/// The words of a refusal.
fn refused(outcome: Outcome) -> String {
    match outcome {
        Outcome::Failed {
            failure: Failure::Egress,
            detail,
        } => detail,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn a_name_that_resolves_to_a_metadata_address_is_not_connected_to() {
    let client = client(EgressPlan::default(), to_metadata);
    for url in ["http://erp.example.com/", "https://erp.example.com/x"] {
        assert_eq!(
            refused(post(&client, url).await),
            "every address of `erp.example.com` is refused, such as 169.254.169.254: link-local addresses are always refused"
        );
    }
}

#[tokio::test]
async fn of_several_addresses_only_the_allowed_ones_are_connected_to() {
    let peer = Peer::start(|_| status(204)).await;
    let url = format!("http://erp.example.com:{}/", peer.address.port());
    let outcome = post(&client(EgressPlan::default(), to_both), &url).await;
    assert!(outcome.is_success(), "{outcome:?}");
    assert_eq!(peer.connections(), 1);
    let strict = EgressPlan {
        guard: Guard {
            private: Private::Deny,
            allow: Vec::new(),
        },
        proxy: None,
    };
    refused(post(&client(strict, to_both), &url).await);
    assert_eq!(peer.connections(), 1);
}

/// What a name points to may change from one moment to the next: the address that is checked is the one that is
/// connected to, and each new connection is checked anew.
#[tokio::test]
async fn a_name_that_changes_its_mind_gains_nothing() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    fn rebinding(_: Name) -> Found {
        match ASKED.fetch_add(1, Ordering::SeqCst) {
            0 => found(&["127.0.0.1:0"]),
            _ => found(&["169.254.169.254:0"]),
        }
    }
    let closing = format!(
        "{}{}",
        "HTTP/1.1 200 X\r\nconnection: close\r\n", "content-length: 0\r\n\r\n"
    );
    let peer = Peer::start(move |_| super::Reply::RawThenClose(closing.clone())).await;
    let url = format!("http://erp.example.com:{}/", peer.address.port());
    let client = client(EgressPlan::default(), rebinding);
    let first = post(&client, &url).await;
    assert!(first.is_success(), "{first:?}");
    assert_eq!(ASKED.load(Ordering::SeqCst), 1, "a name is resolved once");
    refused(post(&client, &url).await);
    assert_eq!(peer.connections(), 1);
}

#[tokio::test]
async fn addresses_in_urls_are_checked_in_every_form() {
    let client = client(EgressPlan::default(), nowhere);
    for host in [
        "169.254.169.254",
        "169.254.169.254.",
        "0xa9fea9fe",
        "2852039166",
        "025177524776",
        "0251.0376.0251.0376",
        "0xA9.254.43518",
        "169.254.43518",
        "[::ffff:169.254.169.254]",
        "[::ffff:a9fe:a9fe]",
        "[::a9fe:a9fe]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:a9fe:a9fe::]",
        "[169.254.169.254]",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "100.100.100.200",
        "0.0.0.0",
        "0",
        "[::]",
        "224.0.0.1",
        "255.255.255.255",
    ] {
        let url = format!("http://{host}:9/");
        if url.parse::<http::Uri>().is_err() {
            // What is no URL is no way out.
            assert!(host.starts_with('['), "{host}");
            continue;
        }
        let detail = refused(post(&client, &url).await);
        assert!(detail.contains("always refused"), "{host}: {detail}");
    }
}

/// The forms that the resolver reads: here the system's own is asked.
#[tokio::test]
async fn the_systems_resolver_is_checked_as_well() {
    let strict = EgressPlan {
        guard: Guard {
            private: Private::Deny,
            allow: Vec::new(),
        },
        proxy: None,
    };
    let peer = Peer::start(|_| status(204)).await;
    let target = target("erp", peer.address);
    let client = Client::new(&target, &Arc::new(strict));
    for host in ["localhost", "127.1", "0x7f.1", "2130706433", "127.0.0.1"] {
        let url = format!("http://{host}:{}/", peer.address.port());
        let detail = refused(post(&client, &url).await);
        assert!(detail.contains("egress.private: deny"), "{host}: {detail}");
    }
    assert_eq!(peer.connections(), 0);
}

#[tokio::test]
async fn behind_a_proxy_addresses_are_checked_and_so_is_the_proxy() {
    let proxy = Peer::start(|_| status(200)).await;
    let through = |url: String| EgressPlan {
        guard: Guard {
            private: Private::Deny,
            allow: Vec::new(),
        },
        proxy: Some(Proxy {
            url: url.parse().unwrap(),
            authorization: None,
            bypass: Vec::new(),
        }),
    };
    // The proxy's own address is private, which it may be.
    let client_of = |url: String| client(through(url), nowhere);
    let good = client_of(format!("http://{}", proxy.address));
    for url in [
        "http://169.254.169.254/",
        "https://[::ffff:a9fe:a9fe]/",
        "http://0xa9fea9fe/",
        "http://10.0.0.1/",
    ] {
        refused(post(&good, url).await);
    }
    assert_eq!(proxy.connections(), 0);
    let bad = client_of("http://169.254.169.254:3128".to_owned());
    let detail = refused(post(&bad, "http://erp.example.com/").await);
    assert!(detail.starts_with("169.254.169.254: "), "{detail}");
    let named = client(
        through("http://proxy.example.com:1".to_owned()),
        to_metadata,
    );
    let detail = refused(post(&named, "http://erp.example.com/").await);
    assert!(detail.contains("`proxy.example.com`"), "{detail}");
}
