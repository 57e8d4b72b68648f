//! The table of endpoints, and the way of a request that may come in to its handler.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Incoming};

use super::Door;
use super::api::{self, Refusal};
use super::gate::Pass;

/// Most bytes of a request's body; no endpoint reads one yet.
const BODY_BYTES: usize = 16 * 1024;

/// Within this time a request's body must be there.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// What a handler gets of a request.
pub(super) struct Call {
    /// What stands in the place of `{id}`.
    pub(super) id: String,
    /// The query as it came, without `?`.
    pub(super) query: String,
    /// Who calls, as the audit log names them.
    pub(super) actor: String,
}

type Answering = Pin<Box<dyn Future<Output = Result<Response<Full<Bytes>>, Refusal>> + Send>>;

/// The methods that endpoints take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Get,
    Post,
}

impl Verb {
    /// The verb of a request; a HEAD is answered like a GET, without the body.
    fn of(method: &Method) -> Option<Self> {
        match *method {
            Method::GET | Method::HEAD => Some(Self::Get),
            Method::POST => Some(Self::Post),
            _ => None,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET, HEAD",
            Self::Post => "POST",
        }
    }
}

/// One endpoint.
#[derive(Clone, Copy)]
struct Endpoint {
    verb: Verb,
    path: &'static str,
    /// Whether it answers without the token.
    open: bool,
    handler: fn(Arc<Door>, Call) -> Answering,
}

const fn get(path: &'static str, handler: fn(Arc<Door>, Call) -> Answering) -> Endpoint {
    Endpoint {
        verb: Verb::Get,
        path,
        open: false,
        handler,
    }
}

const fn post(path: &'static str, handler: fn(Arc<Door>, Call) -> Answering) -> Endpoint {
    Endpoint {
        verb: Verb::Post,
        ..get(path, handler)
    }
}

const fn open(endpoint: Endpoint) -> Endpoint {
    Endpoint {
        open: true,
        ..endpoint
    }
}

/// Every endpoint there is.
static ENDPOINTS: [Endpoint; 13] = [
    open(get("/livez", |door, call| Box::pin(api::livez(door, call)))),
    open(get("/readyz", |door, call| {
        Box::pin(api::readyz(door, call))
    })),
    get("/metrics", |door, call| Box::pin(api::metrics(door, call))),
    get("/api/v1/events", |door, call| {
        Box::pin(api::events(door, call))
    }),
    get("/api/v1/events/{id}", |door, call| {
        Box::pin(api::event(door, call))
    }),
    post("/api/v1/events/{id}/purge", |door, call| {
        Box::pin(api::purge(door, call))
    }),
    get("/api/v1/deliveries", |door, call| {
        Box::pin(api::deliveries(door, call))
    }),
    post("/api/v1/deliveries/{id}/retry", |door, call| {
        Box::pin(api::retry(door, call))
    }),
    post("/api/v1/deliveries/{id}/discard", |door, call| {
        Box::pin(api::discard(door, call))
    }),
    get("/api/v1/targets", |door, call| {
        Box::pin(api::targets(door, call))
    }),
    get("/api/v1/targets/{id}", |door, call| {
        Box::pin(api::target(door, call))
    }),
    get("/api/v1/audit", |door, call| {
        Box::pin(api::audit(door, call))
    }),
    post("/api/v1/reload", |door, call| {
        Box::pin(api::reload(door, call))
    }),
];

/// Finds the endpoint of a request and has it answer.
pub(super) async fn dispatch(
    door: Arc<Door>,
    request: Request<Incoming>,
    pass: Pass,
    actor: String,
) -> Result<Response<Full<Bytes>>, Refusal> {
    let found = find(request.method(), request.uri().path());
    let is_open = found.as_ref().is_ok_and(|(endpoint, _)| endpoint.open);
    if !pass.trusted && !is_open {
        return Err(Refusal::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "this needs the header `authorization: Bearer TOKEN`",
        )
        .with_header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
    }
    let (endpoint, id) = found?;
    let call = Call {
        id,
        query: request.uri().query().unwrap_or_default().to_owned(),
        actor,
    };
    read_body(request.into_body()).await?;
    (endpoint.handler)(door, call).await
}

fn find(method: &Method, path: &str) -> Result<(&'static Endpoint, String), Refusal> {
    let of_path: Vec<(&Endpoint, String)> = ENDPOINTS
        .iter()
        .filter_map(|endpoint| Some((endpoint, matched(endpoint.path, path)?)))
        .collect();
    let allowed: Vec<&str> = of_path
        .iter()
        .map(|(endpoint, _)| endpoint.verb.as_str())
        .collect();
    if allowed.is_empty() {
        return Err(Refusal::not_found("there is no such path"));
    }
    let allow = HeaderValue::from_str(&allowed.join(", "));
    of_path
        .into_iter()
        .find(|(endpoint, _)| Some(endpoint.verb) == Verb::of(method))
        .ok_or_else(|| {
            let refusal = Refusal::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "this path does not take that method",
            );
            match allow {
                Ok(allow) => refusal.with_header(ALLOW, allow),
                Err(_) => refusal,
            }
        })
}

/// What stands in the place of `{id}` if the path has this pattern; empty where there is no such place.
fn matched(pattern: &str, path: &str) -> Option<String> {
    let mut id = String::new();
    let mut segments = path.split('/');
    for wanted in pattern.split('/') {
        let segment = segments.next()?;
        if wanted == "{id}" && !segment.is_empty() {
            segment.clone_into(&mut id);
        } else if wanted != segment {
            return None;
        }
    }
    segments.next().is_none().then_some(id)
}

/// Takes the body off the connection, so that the next request can follow.
async fn read_body(body: Incoming) -> Result<(), Refusal> {
    let too_large = || {
        Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            "the body is broken or too large",
        )
    };
    if body.size_hint().lower() > BODY_BYTES as u64 {
        return Err(too_large());
    }
    let whole = Limited::new(body, BODY_BYTES).collect();
    match tokio::time::timeout(BODY_TIMEOUT, whole).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) => Err(too_large()),
        Err(_) => Err(Refusal::new(
            StatusCode::REQUEST_TIMEOUT,
            "body_too_slow",
            "the body did not come in time",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_matched_by_segments() {
        for (pattern, path, wanted) in [
            ("/livez", "/livez", Some("")),
            ("/livez", "/livez/", None),
            ("/livez", "/", None),
            ("/a/{id}", "/a/7", Some("7")),
            ("/a/{id}", "/a/", None),
            ("/a/{id}", "/a/7/b", None),
            ("/a/{id}/b", "/a/7/b", Some("7")),
            ("/a/{id}/b", "/a/7", None),
        ] {
            assert_eq!(
                matched(pattern, path).as_deref(),
                wanted,
                "{pattern} {path}"
            );
        }
    }

    #[test]
    fn every_endpoint_is_found_and_other_methods_are_told() {
        for endpoint in &ENDPOINTS {
            let path = endpoint.path.replace("{id}", "7");
            let method = match endpoint.verb {
                Verb::Get => Method::GET,
                Verb::Post => Method::POST,
            };
            let (found, _) = find(&method, &path).ok().unwrap();
            assert_eq!(found.path, endpoint.path);
            let status = find(&Method::DELETE, &path).err().unwrap().status();
            assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        }
        assert!(find(&Method::HEAD, "/livez").is_ok());
        let status = find(&Method::GET, "/nothing").err().unwrap().status();
        assert_eq!(status, StatusCode::NOT_FOUND);
    }
}
