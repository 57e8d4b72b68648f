//! The few requests that commands make themselves: to the daemon's doors.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use serde_json::Value;

use super::{Exit, Failure};
use crate::dispatch;
use crate::plan::AdminPlan;

/// How long a door may take to answer; longer than any of its own limits.
const PATIENCE: Duration = Duration::from_secs(60);

/// Most bytes of an answer; a page of the operator's door is far smaller.
const ANSWER_BYTES: usize = 64 << 20;

/// What came back.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

pub(super) async fn post(
    url: &str,
    headers: &[(HeaderName, HeaderValue)],
    body: Bytes,
) -> Result<Answer, Failure> {
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(url)
        .header(header::CONTENT_TYPE, "application/json");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    send(url, request, body).await
}

/// Calls the operator's door that a configuration names; `path` begins with a slash.
pub(super) async fn call_operator(
    door: &AdminPlan,
    method: Method,
    path: &str,
) -> Result<Answer, Failure> {
    let mut at = door.listen;
    // What listens on all addresses is called on this machine's own.
    if at.ip().is_unspecified() {
        at.set_ip(match at.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    let url = format!("http://{at}{path}");
    let mut request = Request::builder().method(method).uri(&url);
    if let Some(token) = &door.token {
        let mut value =
            HeaderValue::from_bytes(&[b"Bearer ", token.expose()].concat()).map_err(|_| {
                Failure::new(Exit::Config, "error: admin.token is not a header's value")
            })?;
        value.set_sensitive(true);
        request = request.header(header::AUTHORIZATION, value);
    }
    send(&url, request, Bytes::new()).await
}

/// Gets a JSON document; anything but 200 is a failure.
pub(super) async fn get_json(url: &str) -> Result<Value, Failure> {
    let answer = send(url, Request::get(url), Bytes::new()).await?;
    if answer.status != StatusCode::OK {
        return Err(Failure::new(
            Exit::Failed,
            format!("error: {url} answered {}", answer.status),
        ));
    }
    serde_json::from_slice(&answer.body).map_err(|error| Failure::caused(Exit::Failed, &error))
}

async fn send(url: &str, request: http::request::Builder, body: Bytes) -> Result<Answer, Failure> {
    let request = request
        .body(Full::new(body))
        .map_err(|error| Failure::usage(format!("error: {url}: {error}")))?;
    if !matches!(request.uri().scheme_str(), Some("http" | "https")) {
        return Err(Failure::usage(format!(
            "error: {url} is not an http or https URL"
        )));
    }
    let answer = async {
        let response = dispatch::request(request)
            .await
            .map_err(|error| unreachable(url, &error))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES)
            .collect()
            .await
            .map_err(|error| unreachable(url, error.as_ref()))?
            .to_bytes();
        Ok(Answer { status, body })
    };
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(answer) => answer,
        Err(_) => Err(Failure::new(
            Exit::Unreachable,
            format!("error: {url}: no answer within {} s", PATIENCE.as_secs()),
        )),
    }
}

/// The failure to reach a door, by the cause at its root: what lies above it speaks of the HTTP library only.
fn unreachable(url: &str, error: &(dyn std::error::Error + 'static)) -> Failure {
    let mut root = error;
    while let Some(cause) = root.source() {
        root = cause;
    }
    let refused = root
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused);
    let why = if refused {
        "nothing listens there; does the daemon run?".to_owned()
    } else {
        root.to_string()
    };
    Failure::new(Exit::Unreachable, format!("error: {url}: {why}"))
}
