//! At which step a request failed, read off the chain of causes, and the error in words.
//!
//! The words name hosts and system errors, never headers, bodies or the path of the URL.

use std::error::Error;
use std::io;

use hyper_util::client::legacy;

use super::connect::EgressError;
use super::meter::TooLong;
use crate::delivery::Failure;

/// Longest error text that is kept, in bytes.
const DETAIL_BYTES: usize = 512;

/// The resolver's own error, so that it can be told from those of connecting.
#[derive(Debug, thiserror::Error)]
#[error("the name cannot be resolved")]
pub(super) struct DnsError(#[source] pub(super) io::Error);

/// At which step it failed, and the error in words.
pub(super) fn classify(error: &legacy::Error) -> (Failure, String) {
    let refused = causes(error).find_map(|cause| cause.downcast_ref::<EgressError>());
    match refused {
        // What is around it speaks of DNS and connections, neither of which failed.
        Some(refused) => (Failure::Egress, bounded(refused.to_string())),
        None => (step(error), words(error)),
    }
}

/// The same of an error of what makes connections, by itself.
pub(super) fn classify_connect(error: &(dyn Error + 'static)) -> (Failure, String) {
    if let Some(refused) = causes(error).find_map(|cause| cause.downcast_ref::<EgressError>()) {
        return (Failure::Egress, bounded(refused.to_string()));
    }
    let any = |test: fn(&(dyn Error + 'static)) -> bool| causes(error).any(test);
    let step = if any(|cause| cause.is::<rustls::Error>()) {
        Failure::Tls
    } else if any(|cause| cause.is::<DnsError>()) {
        Failure::Dns
    } else if error.is::<io::Error>() {
        // As in `step`: a bare one is the handshake's.
        Failure::Tls
    } else {
        Failure::Connect
    };
    (step, joined(causes(error)))
}

fn step(error: &legacy::Error) -> Failure {
    let any = |test: fn(&(dyn Error + 'static)) -> bool| causes(error).any(test);
    if any(|cause| cause.is::<rustls::Error>()) {
        return Failure::Tls;
    }
    if any(|cause| cause.is::<DnsError>()) {
        return Failure::Dns;
    }
    if error.is_connect() {
        // The connector wraps what TCP says in an error of its own; a bare one is the handshake's.
        let handshake = error.source().is_some_and(|cause| cause.is::<io::Error>());
        return if handshake {
            Failure::Tls
        } else {
            Failure::Connect
        };
    }
    match causes(error).find_map(|cause| cause.downcast_ref::<hyper::Error>()) {
        Some(http) if http.is_parse() || any(|cause| cause.is::<TooLong>()) => Failure::Protocol,
        Some(http)
            if http.is_incomplete_message()
                || http.is_closed()
                || http.is_canceled()
                || http.is_body_write_aborted()
                || any(|cause| cause.is::<io::Error>()) =>
        {
            Failure::Closed
        }
        Some(_) => Failure::Protocol,
        None => Failure::Closed,
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
fn words(error: &legacy::Error) -> String {
    // The outermost says only that a client failed.
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
