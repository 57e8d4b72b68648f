//! What answers are made of: JSON, its headers, and refusals with a code for programs.

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde::Serialize;

use super::query::BadQuery;
use super::shapes::{ErrorBody, ErrorShape};
use crate::listener;
use crate::store::StoreError;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// When to ask again for what cannot be had now, in seconds.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("5");

/// What is answered when an answer cannot be written: of the shape of every error.
const UNWRITTEN: &str = r#"{"error":{"code":"damaged","message":"the answer cannot be written"}}"#;

/// What a handler gives.
pub(super) type Answer = Result<Response<listener::Answer>, Refusal>;

/// An answer as JSON.
pub(super) fn json(status: StatusCode, shape: &impl Serialize) -> Response<listener::Answer> {
    match serde_json::to_vec(shape) {
        Ok(bytes) => response(status, JSON, bytes),
        Err(error) => {
            tracing::error!(%error, "an answer cannot be written as JSON");
            response(StatusCode::INTERNAL_SERVER_ERROR, JSON, UNWRITTEN)
        }
    }
}

/// Bytes that are JSON already.
pub(super) fn json_bytes(bytes: Bytes) -> Response<listener::Answer> {
    response(StatusCode::OK, JSON, bytes)
}

/// An answer with the headers that every answer has.
pub(super) fn response(
    status: StatusCode,
    content_type: HeaderValue,
    body: impl Into<listener::Answer>,
) -> Response<listener::Answer> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    for (name, value) in [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CACHE_CONTROL, "no-store"),
        (X_FRAME_OPTIONS, "DENY"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Declares the codes and the list of them together, so that none can be missing in it.
macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// What a refusal says to programs; a closed list, which the document has as `ErrorCode`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Code {
            $($(#[$doc])* $name,)*
        }

        impl Code {
            /// All of them.
            #[cfg(test)]
            pub(super) const ALL: &[Self] = &[$(Self::$name,)*];

            /// As it is written.
            pub(super) fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

codes! {
    /// The body is not what the endpoint takes.
    BadBody = "bad_body",
    /// No single valid `Host`.
    BadHost = "bad_host",
    /// A parameter of the query is not as it should be.
    BadQuery = "bad_query",
    /// The body is larger than the endpoint takes, or broke off.
    BodyTooLarge = "body_too_large",
    /// The body did not come in time.
    BodyTooSlow = "body_too_slow",
    /// As many are under way as may be at a time.
    Busy = "busy",
    /// The configuration asks for another client's certificate.
    CertificateNeeded = "certificate_needed",
    /// What was to be replaced is not what is there.
    Changed = "changed",
    /// The store holds something that cannot be read.
    Damaged = "damaged",
    /// Templates and samples may not be saved.
    EditingOff = "editing_off",
    /// There is one of this name.
    Exists = "exists",
    /// The request comes from a page of another origin.
    ForeignOrigin = "foreign_origin",
    /// Nothing of the body may be shown.
    Hidden = "hidden",
    /// Where the request ends can be read in two ways.
    Malformed = "malformed",
    /// The path does not take this method.
    MethodNotAllowed = "method_not_allowed",
    /// The route has no folder of cases.
    NoCases = "no_cases",
    /// There is no configuration file to work with.
    NoConfigurationFile = "no_configuration_file",
    /// Nothing has this path, id or name.
    NotFound = "not_found",
    /// It is not said which text is to be replaced.
    PreconditionNeeded = "precondition_needed",
    /// The data of the event was purged.
    Purged = "purged",
    /// The door may not be open like this any more.
    Shut = "shut",
    /// The token is missing or wrong.
    Unauthorized = "unauthorized",
    /// It cannot be done now.
    Unavailable = "unavailable",
    /// The door does not answer to this host name.
    WrongHost = "wrong_host",
    /// Its state forbids it.
    WrongState = "wrong_state",
}

/// A request that is not answered as asked.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    code: Code,
    message: String,
    header: Option<Box<(HeaderName, HeaderValue)>>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: Code, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            header: None,
        }
    }

    pub(super) fn not_found(message: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, Code::NotFound, message)
    }

    pub(super) fn bad_body(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Code::BadBody, message)
    }

    /// As many are under way as may be at a time, but soon there is room again.
    pub(super) fn busy(message: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::Busy, message)
            .with_header(RETRY_AFTER, ASK_AGAIN)
    }

    pub(super) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.header = Some(Box::new((name, value)));
        self
    }

    #[cfg(test)]
    pub(super) fn code(&self) -> Code {
        self.code
    }

    #[cfg(test)]
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) fn into_response(self) -> Response<listener::Answer> {
        let error = ErrorBody {
            code: self.code.as_str(),
            message: &self.message,
        };
        let mut response = json(self.status, &ErrorShape { error });
        if let Some(header) = self.header {
            let (name, value) = *header;
            response.headers_mut().insert(name, value);
        }
        response
    }
}

impl From<BadQuery> for Refusal {
    fn from(BadQuery(message): BadQuery) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Code::BadQuery, message)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        let message = error.to_string();
        match error {
            StoreError::NotFound => Self::not_found("there is no such event or delivery"),
            StoreError::WrongState { .. } => {
                Self::new(StatusCode::CONFLICT, Code::WrongState, message)
            }
            StoreError::Purged => Self::new(StatusCode::GONE, Code::Purged, message),
            StoreError::Unavailable(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, message)
                    .with_header(RETRY_AFTER, ASK_AGAIN)
            }
            StoreError::Damaged(_) => {
                tracing::error!(error = message, "the store is damaged");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, Code::Damaged, message)
            }
        }
    }
}
