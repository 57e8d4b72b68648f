//! Bodies of requests, and the files of the dashboard.

use serde::Deserialize;

use super::super::routes::Call;
use super::*;

#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
struct Shape {
    #[serde(default)]
    inner: Option<Inner>,
}

#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
struct Inner {
    n: u8,
}

#[test]
fn a_body_is_read_strictly_and_errors_name_the_place() {
    let read = |body: &'static str| {
        let call = Call {
            id: String::new(),
            query: String::new(),
            headers: HeaderMap::new(),
            body: body.into(),
            head: false,
            actor: String::new(),
            stopping: watch::channel(false).1,
        };
        call.json::<Shape>()
    };
    let inner = Some(Inner { n: 7 });
    assert_eq!(read(r#"{"inner":{"n":7}}"#).unwrap(), Shape { inner });
    assert_eq!(read(" {} ").unwrap(), Shape { inner: None });
    for (body, named) in [
        ("", "a JSON object"),
        ("[]", "a JSON object"),
        ("{", "EOF"),
        ("{} {}", "behind the JSON"),
        (r#"{"other":1}"#, "`other`"),
        (r#"{"inner":{"n":7},"inner":{"n":8}}"#, "duplicate"),
        (r#"{"inner":{"n":300}}"#, "`inner.n`"),
        (r#"{"inner":{"n":"7"}}"#, "`inner.n`"),
    ] {
        let refusal = read(body).unwrap_err();
        assert_eq!(refusal.code(), Code::BadBody, "{body}");
        let said = format!("{refusal:?}");
        assert!(said.contains(named), "{body}: {said}");
    }
}

#[tokio::test]
async fn the_dashboard_is_served_without_the_token_and_loads_nothing_from_elsewhere() {
    let door = open(Some("right")).await;
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/?state=dead", "text/html; charset=utf-8"),
        ("/assets/app.js", "text/javascript; charset=utf-8"),
        ("/assets/app.css", "text/css; charset=utf-8"),
    ] {
        let got = door.get(path).await;
        assert_eq!(got.status, 200, "{path}");
        assert_eq!(got.header("content-type"), Some(kind), "{path}");
        assert_eq!(got.header("cache-control"), Some("no-cache"));
        assert_eq!(got.header("x-content-type-options"), Some("nosniff"));
        let policy = got.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'self'; "), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!got.body.is_empty());
        let tag = got.header("etag").unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nif-none-match: {tag}");
        let again = door.raw(&head).await;
        assert_eq!((again.status, again.body.as_str()), (304, ""), "{path}");
    }
    let foreign = "GET / HTTP/1.1\r\nhost: localhost\r\nsec-fetch-site: cross-site";
    assert_eq!(door.raw(foreign).await.status, 403);
    assert_eq!(door.get("/assets/other.js").await.status, 401);
}
