//! Tokens over real sockets.

use super::super::testing::{Peer, Reply, status};
use super::*;

const GOOD: &str =
    r#"{"access_token": "the-token-0123456789", "token_type": "bearer", "expires_in": 3600}"#;

fn json(code: u16, body: &str) -> Reply {
    let length = body.len();
    Reply::Raw(format!(
        "HTTP/1.1 {code} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    ))
}

fn tokens_of(peer: &Peer, change: impl FnOnce(&mut OAuth2)) -> Arc<Tokens> {
    let mut plan = OAuth2 {
        token_url: format!("http://{}/token?v=1", peer.address)
            .parse()
            .unwrap(),
        client_id: "relay".to_owned(),
        client_secret: crate::secret::Secret::new("a secret+of ours"),
        scopes: vec!["a".to_owned(), "b:c".to_owned()],
        client_auth: ClientAuth::Basic,
        params: vec![("audience".to_owned(), "https://erp".to_owned())],
        tls: None,
    };
    change(&mut plan);
    Arc::new(Tokens::new(
        "erp".parse().unwrap(),
        Arc::new(plan),
        Arc::default(),
        Arc::new(Metrics::new()),
    ))
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

fn value(token: &Token) -> &str {
    token.value.to_str().unwrap()
}

#[tokio::test]
async fn a_token_is_asked_for_as_the_standard_says() {
    for (way, authorization, body) in [
        (
            ClientAuth::Basic,
            Some("authorization: basic cmvsyxk6ystzzwnyzxqlmkjvzitvdxjz"),
            "grant_type=client_credentials&scope=a+b%3Ac&audience=https%3A%2F%2Ferp",
        ),
        (
            ClientAuth::Body,
            None,
            "grant_type=client_credentials&scope=a+b%3Ac&client_id=relay&client_secret=a+secret%2Bof+ours&audience=https%3A%2F%2Ferp",
        ),
    ] {
        let peer = Peer::start(|_| json(200, GOOD)).await;
        let tokens = tokens_of(&peer, |plan| plan.client_auth = way);
        let token = tokens.get(soon()).await.unwrap();
        assert_eq!(value(&token), "Bearer the-token-0123456789");
        assert!(token.value.is_sensitive());
        let seen = peer.seen().remove(0);
        assert!(
            seen.head.starts_with("post /token?v=1 http/1.1"),
            "{seen:?}"
        );
        assert_eq!(String::from_utf8(seen.body).unwrap(), body);
        let found = seen
            .head
            .lines()
            .find(|line| line.starts_with("authorization"));
        assert_eq!(found, authorization);
        assert!(!format!("{tokens:?} {token:?}").contains("the-token"));
    }
}

#[tokio::test]
async fn it_is_had_once_for_all_and_again_when_it_was_refused() {
    let peer = Peer::start(|_| json(200, GOOD)).await;
    let tokens = tokens_of(&peer, |_| {});
    let many = |refused: Option<Token>| {
        (0..20).map(move |_| {
            let (tokens, refused) = (Arc::clone(&tokens), refused.clone());
            tokio::spawn(async move {
                match refused {
                    Some(refused) => tokens.instead_of(&refused, soon()).await,
                    None => tokens.get(soon()).await,
                }
            })
        })
    };
    let mut first = None;
    for task in many.clone()(None).collect::<Vec<_>>() {
        first = Some(task.await.unwrap().unwrap());
    }
    assert_eq!(peer.seen().len(), 1);
    for task in many(first).collect::<Vec<_>>() {
        task.await.unwrap().unwrap();
    }
    assert_eq!(peer.seen().len(), 2);
}

#[tokio::test]
async fn those_who_wait_share_a_failure() {
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let held = Arc::clone(&gate);
    let peer = Peer::start(move |_| {
        let text = "HTTP/1.1 503 X\r\ncontent-length: 0\r\n\r\n".to_owned();
        Reply::Gated(Arc::clone(&held), text)
    })
    .await;
    let tokens = tokens_of(&peer, |_| {});
    let asking: Vec<_> = (0..5)
        .map(|_| {
            let tokens = Arc::clone(&tokens);
            tokio::spawn(async move { tokens.get(soon()).await })
        })
        .collect();
    super::super::testing::wait_until("the request", || peer.seen().len() == 1).await;
    // All of them are in line by now or come too late to be, and ask for themselves.
    tokio::time::sleep(Duration::from_millis(50)).await;
    gate.add_permits(100);
    for task in asking {
        let error = task.await.unwrap().unwrap_err();
        assert_eq!(error.to_string(), "token endpoint: status 503");
    }
    assert_eq!(peer.seen().len(), 1);
}

#[tokio::test]
async fn failures_say_what_happened_and_nothing_that_was_written() {
    let code =
        |code: &str| format!(r#"{{"error": "{code}", "error_description": "a secret+of ours"}}"#);
    let long = format!(r#"{{"access_token": "{}"}}"#, "x".repeat(70_000));
    let too_long = format!(r#"{{"access_token": "{}"}}"#, "x".repeat(20_000));
    for (reply, wanted) in [
        (
            json(401, &code("invalid_client")),
            "status 401, invalid_client",
        ),
        (
            json(400, &code("invalid_scope")),
            "status 400, invalid_scope",
        ),
        (json(400, &code("a secret+of ours")), "status 400"),
        (json(400, "<html>a secret+of ours"), "status 400"),
        (status(500), "status 500"),
        (status(302), "status 302"),
        (
            status(200),
            "status 200, but there is no token in the answer",
        ),
        (
            json(200, "{}"),
            "status 200, but there is no token in the answer",
        ),
        (
            json(200, "<html>a secret"),
            "status 200, but there is no token in the answer",
        ),
        (
            json(200, &long),
            "status 200, the answer is longer than 65536 bytes",
        ),
        (json(200, &too_long), "what it calls a token is none"),
        (
            json(200, r#"{"access_token": ""}"#),
            "what it calls a token is none",
        ),
        (
            json(200, r#"{"access_token": "a\r\nx: y"}"#),
            "what it calls a token is none",
        ),
        (
            json(200, r#"{"access_token": "t", "token_type": "mac"}"#),
            "the token is of another type than Bearer",
        ),
        (
            Reply::RawThenClose("HTTP/1.1 200 X\r\ncontent-length: 9\r\n\r\n{".to_owned()),
            "status 200, but the answer broke off",
        ),
        (Reply::Hang, "no answer in time"),
    ] {
        let peer = Peer::start(move |_| reply.clone()).await;
        let tokens = tokens_of(&peer, |_| {});
        let deadline = Instant::now() + Duration::from_millis(1500);
        let error = tokens.get(deadline).await.unwrap_err();
        assert_eq!(error.to_string(), format!("token endpoint: {wanted}"));
        let counted = tokens.metrics.encode();
        let line = "ingate_target_token_requests_total{target=\"erp\",result=\"failed\"} 1";
        assert!(counted.contains(line), "{wanted}: {counted}");
    }
}

#[tokio::test]
async fn what_givers_write_of_life_and_type_is_read() {
    let seconds = Duration::from_secs;
    for (rest, life) in [
        (
            r#", "token_type": "Bearer", "expires_in": 100"#,
            Some(seconds(100)),
        ),
        (
            r#", "token_type": "BEARER", "expires_in": "100""#,
            Some(seconds(100)),
        ),
        (
            r#", "expires_in": 100.0, "ext_expires_in": 7"#,
            Some(seconds(100)),
        ),
        (r#", "expires_in": 99999999999999"#, Some(LONGEST_LIFE)),
        (r#", "expires_in": null"#, None),
        (r#", "expires_in": "soon""#, None),
        ("", None),
    ] {
        let body = format!(r#"{{"access_token": "t"{rest}}}"#);
        let peer = Peer::start(move |_| json(200, &body)).await;
        let tokens = tokens_of(&peer, |_| {});
        tokens.get(soon()).await.unwrap();
        let held = tokens.held().unwrap();
        let left = held.ends_at.map(|end| end - Instant::now());
        match (left, life) {
            (None, None) => {}
            (Some(left), Some(life)) => {
                assert!(left <= life && left + seconds(5) > life, "{rest}: {left:?}");
            }
            other => panic!("{rest}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends_and_serves_on_if_that_fails() {
    let replies = [
        json(200, r#"{"access_token": "first", "expires_in": 2}"#),
        status(500),
        json(200, r#"{"access_token": "second", "expires_in": 3600}"#),
    ];
    let peer = Peer::start(move |number| replies[number.min(2)].clone()).await;
    let tokens = tokens_of(&peer, |_| {});
    let get = async || value(&tokens.get(soon()).await.unwrap()).to_owned();
    assert_eq!(get().await, "Bearer first");
    assert_eq!(get().await, "Bearer first");
    assert_eq!(peer.seen().len(), 1);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(get().await, "Bearer first");
    assert_eq!(peer.seen().len(), 2);
    // It has failed, and is not tried again at once.
    assert_eq!(get().await, "Bearer first");
    assert_eq!(peer.seen().len(), 2);
    tokio::time::sleep(Duration::from_millis(1000)).await;
    assert_eq!(get().await, "Bearer second");
    assert_eq!(peer.seen().len(), 3);
}

#[tokio::test]
async fn another_plan_has_another_token_and_another_way_the_same() {
    let peer = Peer::start(|_| json(200, GOOD)).await;
    let tokens = tokens_of(&peer, |_| {});
    tokens.get(soon()).await.unwrap();
    let same = tokens.adopt(&Arc::new((*tokens.plan).clone()), &tokens.egress);
    assert!(Arc::ptr_eq(&same, &tokens));
    let strict = Arc::new(EgressPlan {
        guard: crate::egress::Guard {
            private: crate::egress::Private::Deny,
            allow: Vec::new(),
        },
        proxy: None,
    });
    let moved = tokens.adopt(&tokens.plan, &strict);
    let token = moved.get(soon()).await.unwrap();
    assert_eq!(peer.seen().len(), 1);
    let error = moved.instead_of(&token, soon()).await.unwrap_err();
    assert!(error.to_string().contains("egress.private"), "{error}");
    let other = Arc::new(OAuth2 {
        scopes: Vec::new(),
        ..(*tokens.plan).clone()
    });
    tokens
        .adopt(&other, &tokens.egress)
        .get(soon())
        .await
        .unwrap();
    assert_eq!(peer.seen().len(), 2);
}

#[test]
fn a_token_is_renewed_at_four_fifths_or_a_minute_before_its_end() {
    for (life, after) in [
        (0, 0),
        (10, 5),
        (60, 30),
        (100, 50),
        (150, 90),
        (300, 240),
        (3600, 2880),
    ] {
        let wanted = Duration::from_secs(after);
        assert_eq!(renewed_after(Duration::from_secs(life)), wanted, "{life}");
    }
}
