//! The table of endpoints, and the way of a request that may come in to its handler.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Incoming};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use super::Door;
use super::answer::{Answer, Code, Refusal};
use super::api::{
    bodies, configuration, deliveries, events, fleet, health, live, overview, replays, sources,
    targets, templates,
};
use super::files::File;
use super::gate::Pass;

/// Most bytes of a request's body where nobody reads one, and of one that is a few words.
const BODY_BYTES: usize = 16 * 1024;

/// Within this time a request's body must be there, and its turn have come where it is a large one.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// What a handler gets of a request.
pub(super) struct Call {
    /// What stands in the place of `{id}`, percent-decoded.
    pub(super) id: String,
    /// The query as it came, without `?`.
    pub(super) query: String,
    /// All headers.
    pub(super) headers: HeaderMap,
    /// The body; empty where the endpoint takes none.
    pub(super) body: Bytes,
    /// Whether the answer goes without its body (HEAD).
    pub(super) head: bool,
    /// Who calls, as the audit log names them.
    pub(super) actor: String,
    /// True once the door is to be closed; what streams ends then.
    pub(super) stopping: watch::Receiver<bool>,
}

impl Call {
    /// The body, which is a JSON object of this shape. Shapes deny members that they do not know.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        // serde would take an array as well, for the members in their order.
        if !self.body.trim_ascii_start().starts_with(b"{") {
            return Err(Refusal::bad_body("the body must be a JSON object"));
        }
        let mut json = serde_json::Deserializer::from_slice(&self.body);
        let read = serde_path_to_error::deserialize(&mut json);
        let shape = read.map_err(|error| {
            let path = error.path().to_string();
            let place = match path.as_str() {
                "." | "?" => String::new(),
                path => format!("`{path}`: "),
            };
            Refusal::bad_body(format!("{place}{}", error.into_inner()))
        })?;
        json.end()
            .map_err(|_| Refusal::bad_body("there is something behind the JSON"))?;
        Ok(shape)
    }
}

/// Who asks, and how.
pub(super) struct Asked {
    /// That it may come in.
    pub(super) pass: Pass,
    /// Who calls, as the audit log names them.
    pub(super) actor: String,
    /// True once the door is to be closed.
    pub(super) stopping: watch::Receiver<bool>,
}

type Answering = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// The methods that endpoints take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    Post,
    Put,
}

impl Verb {
    /// The verb of a request; a HEAD is answered like a GET, without the body.
    fn of(method: &Method) -> Option<Self> {
        match *method {
            Method::GET | Method::HEAD => Some(Self::Get),
            Method::POST => Some(Self::Post),
            Method::PUT => Some(Self::Put),
            _ => None,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET, HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
        }
    }
}

/// What an endpoint makes of a request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Take {
    /// It is read off the connection and thrown away.
    Nothing,
    /// It must be there, as `application/json` of at most so many bytes.
    Json(usize),
}

/// One endpoint.
#[derive(Clone, Copy)]
pub(super) struct Endpoint {
    pub(super) verb: Verb,
    pub(super) path: &'static str,
    /// Whether it answers without the token.
    open: bool,
    take: Take,
    handler: fn(Arc<Door>, Call) -> Answering,
}

const fn get(path: &'static str, handler: fn(Arc<Door>, Call) -> Answering) -> Endpoint {
    Endpoint {
        verb: Verb::Get,
        path,
        open: false,
        take: Take::Nothing,
        handler,
    }
}

const fn post(path: &'static str, handler: fn(Arc<Door>, Call) -> Answering) -> Endpoint {
    Endpoint {
        verb: Verb::Post,
        ..get(path, handler)
    }
}

const fn put(path: &'static str, handler: fn(Arc<Door>, Call) -> Answering) -> Endpoint {
    Endpoint {
        verb: Verb::Put,
        ..get(path, handler)
    }
}

const fn open(endpoint: Endpoint) -> Endpoint {
    Endpoint {
        open: true,
        ..endpoint
    }
}

/// An endpoint that takes JSON of at most `bytes`.
const fn json(bytes: usize, endpoint: Endpoint) -> Endpoint {
    Endpoint {
        take: Take::Json(bytes),
        ..endpoint
    }
}

/// A handler as the table holds it.
macro_rules! to {
    ($handler:path) => {
        |door, call| Box::pin($handler(door, call))
    };
}

/// Every endpoint there is, in the order of the document.
#[rustfmt::skip]
pub(super) static ENDPOINTS: &[Endpoint] = &[
    open(get("/livez", to!(health::livez))),
    open(get("/readyz", to!(health::readyz))),
    get("/metrics", to!(health::metrics)),
    get("/api/v1/openapi.json", to!(health::openapi)),
    get("/api/v1/overview", to!(overview::overview)),
    get("/api/v1/fleet", to!(fleet::fleet)),
    get("/api/v1/series", to!(live::series)),
    get("/api/v1/stream", to!(live::stream)),
    get("/api/v1/events", to!(events::events)),
    get("/api/v1/events/{id}", to!(events::event)),
    get("/api/v1/events/{id}/body", to!(bodies::of_event)),
    json(BODY_BYTES, post("/api/v1/events/{id}/retry", to!(events::retry))),
    post("/api/v1/events/{id}/purge", to!(events::purge)),
    get("/api/v1/deliveries", to!(deliveries::deliveries)),
    get("/api/v1/deliveries/{id}", to!(deliveries::delivery)),
    get("/api/v1/deliveries/{id}/body", to!(bodies::of_delivery)),
    post("/api/v1/deliveries/{id}/retry", to!(deliveries::retry)),
    post("/api/v1/deliveries/{id}/discard", to!(deliveries::discard)),
    get("/api/v1/attempts", to!(live::attempts)),
    get("/api/v1/dead", to!(deliveries::dead)),
    get("/api/v1/replays", to!(replays::replays)),
    json(BODY_BYTES, post("/api/v1/replays", to!(replays::start))),
    get("/api/v1/replays/{id}", to!(replays::replay)),
    post("/api/v1/replays/{id}/cancel", to!(replays::cancel)),
    get("/api/v1/targets", to!(targets::targets)),
    get("/api/v1/targets/{id}", to!(targets::target)),
    post("/api/v1/targets/{id}/pause", to!(targets::pause)),
    post("/api/v1/targets/{id}/resume", to!(targets::resume)),
    post("/api/v1/targets/{id}/probe", to!(targets::probe)),
    get("/api/v1/sources", to!(sources::sources)),
    get("/api/v1/sources/{id}", to!(sources::source)),
    get("/api/v1/sources/{id}/failures", to!(sources::failures)),
    json(BODY_BYTES, post("/api/v1/sources/{id}/arm", to!(sources::arm))),
    post("/api/v1/sources/{id}/disarm", to!(sources::disarm)),
    post("/api/v1/sources/{id}/confirm", to!(sources::confirm)),
    get("/api/v1/routes", to!(sources::routes)),
    post("/api/v1/reload", to!(configuration::reload)),
    get("/api/v1/audit", to!(configuration::audit)),
    get("/api/v1/templates", to!(templates::templates)),
    get("/api/v1/templates/{id}", to!(templates::template)),
    json(templates::REQUEST_BYTES, put("/api/v1/templates/{id}", to!(templates::save))),
    json(templates::REQUEST_BYTES, post("/api/v1/render", to!(templates::render))),
    json(templates::REQUEST_BYTES, post("/api/v1/complete", to!(templates::complete))),
    get("/api/v1/samples", to!(templates::samples)),
    json(templates::REQUEST_BYTES, post("/api/v1/samples", to!(templates::save_sample))),
    get("/api/v1/samples/{id}", to!(templates::sample)),
];

/// Finds the endpoint of a request, or the file of the dashboard, and has it answer.
pub(super) async fn dispatch(door: Arc<Door>, request: Request<Incoming>, asked: Asked) -> Answer {
    let (head, body) = request.into_parts();
    if Verb::of(&head.method) == Some(Verb::Get)
        && let Some(file) = File::find(head.uri.path())
    {
        read(body, BODY_BYTES).await?;
        return Ok(file.answer(&head.headers));
    }
    let found = find(&head.method, head.uri.path());
    let is_open = found.as_ref().is_ok_and(|(endpoint, _)| endpoint.open);
    if !asked.pass.trusted && !is_open {
        return Err(Refusal::new(
            StatusCode::UNAUTHORIZED,
            Code::Unauthorized,
            "this needs the header `authorization: Bearer TOKEN`",
        )
        .with_header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
    }
    let (endpoint, id) = found?;
    // It is held until the answer is there, since so long the handler has what it made of the body.
    let _turn = match endpoint.take {
        Take::Json(bytes) if bytes > BODY_BYTES => Some(turn(&door).await?),
        Take::Json(_) | Take::Nothing => None,
    };
    let body = match endpoint.take {
        Take::Nothing => {
            read(body, BODY_BYTES).await?;
            Bytes::new()
        }
        Take::Json(bytes) if is_json(&head.headers) => read(body, bytes).await?,
        Take::Json(_) => {
            return Err(Refusal::bad_body(
                "this takes JSON, so that `content-type` must be `application/json`",
            ));
        }
    };
    let call = Call {
        id,
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body,
        head: head.method == Method::HEAD,
        actor: asked.actor,
        stopping: asked.stopping,
    };
    let handler = endpoint.handler;
    handler(Arc::clone(&door), call).await
}

/// Waits for the turn of a large body.
async fn turn(door: &Door) -> Result<tokio::sync::SemaphorePermit<'_>, Refusal> {
    match tokio::time::timeout(BODY_TIMEOUT, door.bodies.acquire()).await {
        Ok(Ok(permit)) => Ok(permit),
        _ => Err(Refusal::busy(
            "as many large requests are under way as may at a time",
        )),
    }
}

/// Whether a body is declared to be JSON. A page of another origin cannot declare that without asking first.
fn is_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return false;
    };
    let name = value.to_str().unwrap_or_default().split(';').next();
    name.is_some_and(|name| name.trim().eq_ignore_ascii_case("application/json"))
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
                Code::MethodNotAllowed,
                "this path does not take that method",
            );
            match allow {
                Ok(allow) => refusal.with_header(ALLOW, allow),
                Err(_) => refusal,
            }
        })
}

/// What stands in the place of `{id}` if the path has this pattern, percent-decoded once; empty where there is no such
/// place. A slash that was encoded is part of the id and ends no segment.
fn matched(pattern: &str, path: &str) -> Option<String> {
    let mut id = String::new();
    let mut segments = path.split('/');
    for wanted in pattern.split('/') {
        let segment = segments.next()?;
        if wanted == "{id}" && !segment.is_empty() {
            id = decoded(segment)?;
        } else if wanted != segment {
            return None;
        }
    }
    segments.next().is_none().then_some(id)
}

/// A segment without percent-encoding; `None` if it is broken or no text.
fn decoded(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        let digit = |at: usize| char::from(*digits.get(at)?).to_digit(16);
        bytes.push(u8::try_from(digit(0)? * 16 + digit(1)?).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

/// The whole body, taken off the connection, so that the next request can follow.
async fn read(body: Incoming, most: usize) -> Result<Bytes, Refusal> {
    let too_large = || {
        Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            Code::BodyTooLarge,
            format!("the body is broken or has more than {most} bytes"),
        )
    };
    if body.size_hint().lower() > u64::try_from(most).unwrap_or(u64::MAX) {
        return Err(too_large());
    }
    let whole = Limited::new(body, most).collect();
    match tokio::time::timeout(BODY_TIMEOUT, whole).await {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(_)) => Err(too_large()),
        Err(_) => Err(Refusal::new(
            StatusCode::REQUEST_TIMEOUT,
            Code::BodyTooSlow,
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
            ("/a/{id}", "/a/b%2Fc%20d", Some("b/c d")),
            ("/a/{id}", "/a/%252F+", Some("%2F+")),
            ("/a/{id}", "/a/%c3%A4", Some("ä")),
            ("/a/{id}", "/a/%ff", None),
            ("/a/{id}", "/a/%2", None),
            ("/a/{id}", "/a/%+f", None),
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
        for endpoint in ENDPOINTS {
            let path = endpoint.path.replace("{id}", "7");
            let method = match endpoint.verb {
                Verb::Get => Method::GET,
                Verb::Post => Method::POST,
                Verb::Put => Method::PUT,
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

    #[test]
    fn a_body_is_json_if_it_says_so() {
        for (value, wanted) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("text/plain", false),
            ("application/jsonx", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, value.parse().unwrap())]);
            assert_eq!(is_json(&headers), wanted, "{value}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }
}
