//! What the public door answers: status, headers and body of every case. HTTP status is decided here alone.
//!
//! Promise: every failed verification is answered with the same bytes. Answers by hyper itself (400 and
//! 431 for heads that it refuses) have no body.

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body_util::Full;

use crate::intake::{Accepted, Refusal};
use crate::plan::{Answer, AnswerBody};
use crate::signature::{Reply, VerifyError};

/// When a sender should try again what could not be stored, in seconds: soon, since the store may
/// only be behind, but not at once.
const RETRY_AFTER_SECONDS: u16 = 5;

/// Why a request is turned away.
#[derive(Debug)]
pub(super) enum Denial {
    /// Where the request ends, or for which host it is, can be read in two ways; or the body broke off.
    Malformed,
    /// No source has this path.
    NotFound,
    /// The source takes other methods; these.
    Method(Vec<Method>),
    /// The body is over the limit, over the wire or decoded.
    TooLarge,
    /// The body was not there in time.
    Slow,
    /// The content coding is not supported.
    Coding,
    /// The body is not what its content coding says.
    BadCoding,
    /// It does not verify; the name of the reason stays inside.
    Unverified(&'static str),
    /// A handshake without the right token; the name of the reason stays inside.
    Handshake(&'static str),
    /// The address may not send.
    Address,
    /// The certificate that it is signed by could not be fetched.
    NoCertificate,
    /// The bodies of other requests take all the memory that there is for them.
    Overloaded,
    /// The store does not take it now.
    Unavailable,
}

impl Denial {
    /// Its name in metrics.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Malformed => "bad_request",
            Self::NotFound => "not_found",
            Self::Method(_) => "method_not_allowed",
            Self::TooLarge => "too_large",
            Self::Slow => "timeout",
            Self::Coding => "unsupported_coding",
            Self::BadCoding => "bad_coding",
            Self::Unverified(reason) | Self::Handshake(reason) => reason,
            Self::Address => VerifyError::AddressNotAllowed.name(),
            Self::NoCertificate => VerifyError::NoCertificate.name(),
            Self::Overloaded => "overloaded",
            Self::Unavailable => "unavailable",
        }
    }

    /// Whether it is not proven who has sent it.
    pub(super) fn is_failed_verification(&self) -> bool {
        matches!(
            self,
            Self::Unverified(_) | Self::Handshake(_) | Self::Address | Self::NoCertificate
        )
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Malformed | Self::BadCoding => StatusCode::BAD_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::Coding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Unverified(_) => StatusCode::UNAUTHORIZED,
            Self::Handshake(_) | Self::Address => StatusCode::FORBIDDEN,
            Self::NoCertificate | Self::Overloaded | Self::Unavailable => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    fn body(&self) -> &'static str {
        match self {
            Self::Malformed => r#"{"error":"malformed request"}"#,
            Self::NotFound => r#"{"error":"not found"}"#,
            Self::Method(_) => r#"{"error":"method not allowed"}"#,
            Self::TooLarge => r#"{"error":"body too large"}"#,
            Self::Slow => r#"{"error":"body too slow"}"#,
            Self::Coding => r#"{"error":"content coding not supported"}"#,
            Self::BadCoding => r#"{"error":"body cannot be decoded"}"#,
            Self::Unverified(_) => r#"{"error":"unauthorized"}"#,
            Self::Handshake(_) | Self::Address => r#"{"error":"forbidden"}"#,
            Self::NoCertificate | Self::Overloaded | Self::Unavailable => {
                r#"{"error":"unavailable, try again later"}"#
            }
        }
    }

    /// Whether bytes of the request may be unread, so that the connection cannot go on.
    fn leaves_unread(&self) -> bool {
        match self {
            Self::Malformed
            | Self::NotFound
            | Self::Method(_)
            | Self::TooLarge
            | Self::Slow
            | Self::Coding
            | Self::Address
            | Self::Overloaded => true,
            Self::BadCoding
            | Self::Unverified(_)
            | Self::Handshake(_)
            | Self::NoCertificate
            | Self::Unavailable => false,
        }
    }
}

impl From<Refusal> for Denial {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::BadCoding(_) => Self::BadCoding,
            Refusal::TooLarge => Self::TooLarge,
            Refusal::Unverified(error @ VerifyError::WrongToken) => Self::Handshake(error.name()),
            Refusal::Unverified(VerifyError::AddressNotAllowed) => Self::Address,
            Refusal::Unverified(VerifyError::NoCertificate) => Self::NoCertificate,
            Refusal::Unverified(error) => Self::Unverified(error.name()),
            Refusal::Overloaded(_) => Self::Overloaded,
            Refusal::NotKept(_) | Refusal::Unavailable(_) => Self::Unavailable,
        }
    }
}

/// The answer to a request; to a good one as the source's `own` says, if it says anything. `last` closes the connection
/// behind it.
pub(super) fn answer(
    outcome: &Result<Accepted, Denial>,
    own: Option<&Answer>,
    last: bool,
) -> Response<Full<Bytes>> {
    let (mut response, unread) = match outcome {
        Ok(Accepted::Event { id, fate }) => {
            let duplicate = fate.is_duplicate();
            let status = own.map_or(StatusCode::OK, |own| own.status);
            let response = match own.and_then(|own| own.body.as_ref()) {
                Some(body) => always(status, body),
                None => {
                    let body = format!(r#"{{"id":"{id}","duplicate":{duplicate}}}"#);
                    json(status, Bytes::from(body))
                }
            };
            (response, false)
        }
        Ok(Accepted::Reply(reply)) => (handshake(reply), false),
        Err(denial) => {
            let body = Bytes::from_static(denial.body().as_bytes());
            let mut response = json(denial.status(), body);
            explain(denial, response.headers_mut());
            (response, denial.leaves_unread())
        }
    };
    if last || unread {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    response
}

fn json(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn always(status: StatusCode, body: &AnswerBody) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.bytes.clone()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if let Some(content_type) = &body.content_type {
        headers.insert(CONTENT_TYPE, content_type.clone());
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn handshake(reply: &Reply) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(reply.body.clone()));
    // A scheme that names no status of HTTP has been refused when it was compiled.
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::OK);
    response.headers_mut().extend(reply.headers.iter().cloned());
    response
}

fn explain(denial: &Denial, headers: &mut HeaderMap) {
    match denial {
        Denial::Method(taken) => {
            let names: Vec<&str> = taken.iter().map(Method::as_str).collect();
            if let Ok(value) = HeaderValue::from_str(&names.join(", ")) {
                headers.insert(ALLOW, value);
            }
        }
        Denial::NoCertificate | Denial::Overloaded | Denial::Unavailable => {
            headers.insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;
    use crate::id::EventId;
    use crate::intake::Fate;

    async fn parts(
        outcome: Result<Accepted, Denial>,
        last: bool,
    ) -> (u16, String, http::HeaderMap) {
        parts_by(outcome, None, last).await
    }

    async fn parts_by(
        outcome: Result<Accepted, Denial>,
        own: Option<&Answer>,
        last: bool,
    ) -> (u16, String, http::HeaderMap) {
        let (head, body) = answer(&outcome, own, last).into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (
            head.status.as_u16(),
            String::from_utf8(body.to_vec()).unwrap(),
            head.headers,
        )
    }

    #[tokio::test]
    async fn every_denial_is_json_and_closes_where_bytes_may_be_unread() {
        for (denial, status, closes) in [
            (Denial::Malformed, 400, true),
            (Denial::BadCoding, 400, false),
            (Denial::Unverified("bad_timestamp"), 401, false),
            (Denial::Handshake("bad_token"), 403, false),
            (Denial::Address, 403, true),
            (Denial::NoCertificate, 503, false),
            (Denial::NotFound, 404, true),
            (Denial::Method(vec![Method::POST, Method::GET]), 405, true),
            (Denial::Slow, 408, true),
            (Denial::TooLarge, 413, true),
            (Denial::Coding, 415, true),
            (Denial::Overloaded, 503, true),
            (Denial::Unavailable, 503, false),
        ] {
            let name = format!("{denial:?}");
            let is_method = matches!(denial, Denial::Method(_));
            let (got, body, headers) = parts(Err(denial), false).await;
            assert_eq!(got, status, "{name}");
            let body: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert!(body["error"].is_string(), "{name}");
            assert_eq!(headers[CONTENT_TYPE], "application/json", "{name}");
            assert_eq!(headers[X_CONTENT_TYPE_OPTIONS], "nosniff", "{name}");
            assert_eq!(headers.contains_key(CONNECTION), closes, "{name}");
            assert_eq!(headers.contains_key(RETRY_AFTER), status == 503, "{name}");
            assert_eq!(headers.contains_key(ALLOW), is_method, "{name}");
            if is_method {
                assert_eq!(headers[ALLOW], "POST, GET");
            }
        }
    }

    #[tokio::test]
    async fn the_reason_of_a_failed_verification_does_not_show() {
        let one = parts(Err(Denial::Unverified("signature_mismatch")), false).await;
        let other = parts(Err(Denial::Unverified("bad_timestamp")), false).await;
        assert_eq!(one, other);
    }

    #[tokio::test]
    async fn success_names_the_event() {
        let id = EventId::generate();
        for (fate, duplicate) in [
            (Fate::Routed, false),
            (Fate::Unmatched, false),
            (Fate::Dropped, false),
            (Fate::Duplicate, true),
            (Fate::Conflicting, true),
        ] {
            let (status, body, headers) = parts(Ok(Accepted::Event { id, fate }), true).await;
            assert_eq!(status, 200);
            assert_eq!(
                body,
                format!(r#"{{"id":"{id}","duplicate":{duplicate}}}"#),
                "{fate:?}"
            );
            assert_eq!(headers[CONNECTION], "close");
        }
    }

    #[tokio::test]
    async fn a_source_may_say_what_good_requests_are_answered_with() {
        let id = EventId::generate();
        let text = HeaderValue::from_static("text/plain");
        let own = |status, body: Option<(&'static str, Option<&HeaderValue>)>| Answer {
            status: StatusCode::from_u16(status).unwrap(),
            body: body.map(|(text, content_type)| AnswerBody {
                bytes: Bytes::from_static(text.as_bytes()),
                content_type: content_type.cloned(),
            }),
        };
        let ours = format!(r#"{{"id":"{id}","duplicate":true}}"#);
        for (own, status, body, content_type) in [
            (own(204, Some(("", None))), 204, "", None),
            (own(200, Some(("", None))), 200, "", None),
            (
                own(200, Some(("[accepted]", Some(&text)))),
                200,
                "[accepted]",
                Some("text/plain"),
            ),
            (own(202, None), 202, ours.as_str(), Some("application/json")),
        ] {
            let fate = Fate::Duplicate;
            let event = Ok(Accepted::Event { id, fate });
            let (got, text, headers) = parts_by(event, Some(&own), false).await;
            assert_eq!((got, text.as_str()), (status, body));
            let found = headers.get(CONTENT_TYPE).map(|it| it.to_str().unwrap());
            assert_eq!(found, content_type);
            assert_eq!(headers[X_CONTENT_TYPE_OPTIONS], "nosniff");
            let denied = || Err(Denial::Unverified("signature_mismatch"));
            let same = parts(denied(), false).await;
            assert_eq!(parts_by(denied(), Some(&own), false).await, same);
        }
    }

    #[tokio::test]
    async fn a_handshake_is_answered_as_its_scheme_says() {
        let reply = Reply {
            challenge: None,
            proven: true,
            status: 200,
            headers: vec![(CONTENT_TYPE, HeaderValue::from_static("text/plain"))],
            body: Bytes::from_static(b"<script>"),
            captured: None,
            subscription: None,
        };
        let (status, body, headers) = parts(Ok(Accepted::Reply(reply)), false).await;
        assert_eq!((status, body.as_str()), (200, "<script>"));
        assert_eq!(headers[CONTENT_TYPE], "text/plain");
        assert!(!headers.contains_key(CONNECTION));
    }
}
