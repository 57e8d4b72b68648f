//! At which step a request failed, read off the chain of causes, and the error in words.
//!
//! The words name hosts and system errors, never headers, bodies or the path of the URL.

use std::error::Error;
use std::io;

use super::connect::EgressError;
use super::meter::TooLong;
use super::pool::RequestError;

/// At which step of a request it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The name could not be resolved.
    Dns,
    /// No connection could be made.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// The connection broke before the answer was whole.
    Closed,
    /// What came is not HTTP.
    Protocol,
    /// The address may not be connected to.
    Egress,
}

/// Longest error text that is kept, in bytes.
const DETAIL_BYTES: usize = 512;

/// The resolver's own error, so that it can be told from those of connecting.
#[derive(Debug, thiserror::Error)]
#[error("the name cannot be resolved")]
pub(crate) struct DnsError(#[source] pub(crate) io::Error);

/// At which step a request failed, and the error in words.
pub(crate) fn classify(error: &RequestError) -> (Step, String) {
    let refused = causes(error).find_map(|cause| cause.downcast_ref::<EgressError>());
    match refused {
        // What is around it speaks of DNS and connections, neither of which failed.
        Some(refused) => (Step::Egress, bounded(refused.to_string())),
        None => (step(error), words(error)),
    }
}

/// The same of an error of what makes connections, by itself.
pub(crate) fn classify_connect(error: &(dyn Error + 'static)) -> (Step, String) {
    if let Some(refused) = causes(error).find_map(|cause| cause.downcast_ref::<EgressError>()) {
        return (Step::Egress, bounded(refused.to_string()));
    }
    let any = |test: fn(&(dyn Error + 'static)) -> bool| causes(error).any(test);
    let step = if any(|cause| cause.is::<rustls::Error>()) {
        Step::Tls
    } else if any(|cause| cause.is::<DnsError>()) {
        Step::Dns
    } else if error.is::<io::Error>() {
        // As in `step`: a bare one is the handshake's.
        Step::Tls
    } else {
        Step::Connect
    };
    (step, joined(causes(error)))
}

fn step(error: &RequestError) -> Step {
    let any = |test: fn(&(dyn Error + 'static)) -> bool| causes(error).any(test);
    if any(|cause| cause.is::<rustls::Error>()) {
        return Step::Tls;
    }
    if any(|cause| cause.is::<DnsError>()) {
        return Step::Dns;
    }
    if matches!(error, RequestError::Connect(_)) {
        // The connector wraps what TCP says in an error of its own; a bare one is the handshake's.
        let handshake = error.source().is_some_and(|cause| cause.is::<io::Error>());
        return if handshake { Step::Tls } else { Step::Connect };
    }
    match causes(error).find_map(|cause| cause.downcast_ref::<hyper::Error>()) {
        Some(http) if http.is_parse() || any(|cause| cause.is::<TooLong>()) => Step::Protocol,
        Some(http)
            if http.is_incomplete_message()
                || http.is_closed()
                || http.is_canceled()
                || http.is_body_write_aborted()
                || any(|cause| cause.is::<io::Error>()) =>
        {
            Step::Closed
        }
        Some(_) => Step::Protocol,
        None => Step::Closed,
    }
}

/// The error and everything below it. An I/O error hides what it wraps from `source`.
fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> + 'a {
    std::iter::successors(Some(error), |last| {
        let error: &'a (dyn Error + 'static) = *last;
        let wrapped = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        match wrapped {
            Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}

/// What each cause says, from the outermost on, without repetitions.
fn words(error: &RequestError) -> String {
    // The outermost says only that there is no answer.
    let words = joined(causes(error).skip(1));
    if words.is_empty() {
        return bounded(error.to_string());
    }
    words
}

fn joined<'a>(causes: impl Iterator<Item = &'a (dyn Error + 'static)>) -> String {
    let mut words = String::new();
    for cause in causes {
        let text = cause.to_string();
        if words.ends_with(&text) {
            continue;
        }
        if !words.is_empty() {
            words.push_str(": ");
        }
        words.push_str(&text);
    }
    bounded(words)
}

fn bounded(mut words: String) -> String {
    words.truncate(words.floor_char_boundary(DETAIL_BYTES));
    words
}
