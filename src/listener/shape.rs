//! Requests that two readers could read in two ways. Pure.
//!
//! In HTTP/1.1: both kinds of length, a coding of the transfer other than one `chunked`, no host or two. In HTTP/2: no
//! `:authority`, one that `Host` contradicts, and several lengths; what else a version forbids, the library refuses. Not
//! here: whether the host is one that a door answers to (see `admin`).

use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderValue, Version};

use super::wire::Framing;

/// Whether a request of HTTP/1.1 that was framed like this can be read in one way only.
pub(super) fn http1(head: &Parts, framing: Option<Framing>) -> bool {
    let length = match framing {
        Some(Framing::Length) => true,
        Some(Framing::Chunked) => {
            let mut codings = head.headers.get_all(TRANSFER_ENCODING).iter();
            let first = codings.next();
            codings.next().is_none()
                && first.is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"chunked"))
        }
        Some(Framing::Both) | None => false,
    };
    let hosts = head.headers.get_all(HOST).iter().count();
    length && (hosts == 1 || (hosts == 0 && head.version < Version::HTTP_11))
}

/// The same for HTTP/2. A sound one has the header `Host` afterwards, so that nobody behind needs to know the version.
pub(super) fn http2(head: &mut Parts) -> bool {
    let Some(authority) = head.uri.authority().map(|authority| authority.as_str()) else {
        return false;
    };
    if authority.is_empty() || authority.contains('@') {
        return false;
    }
    let same = |host: &HeaderValue| host.as_bytes().eq_ignore_ascii_case(authority.as_bytes());
    let hosts = head.headers.get_all(HOST);
    let lengths = head.headers.get_all(CONTENT_LENGTH).iter().count();
    if hosts.iter().count() > 1
        || !hosts.iter().all(same)
        || lengths > 1
        || head.headers.contains_key(TRANSFER_ENCODING)
    {
        return false;
    }
    let Ok(host) = HeaderValue::from_str(authority) else {
        return false;
    };
    head.headers.insert(HOST, host);
    true
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn parts(uri: &str, lines: &[(&str, &str)]) -> Parts {
        let request = lines
            .iter()
            .fold(Request::builder().uri(uri), |r, (n, v)| r.header(*n, *v));
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn http2_names_one_host_and_one_length() {
        let url = "https://a.example:8443/x?y";
        for (uri, lines, wanted) in [
            (url, &[][..], true),
            (url, &[("host", "a.example:8443")], true),
            (url, &[("host", "A.example:8443")], true),
            (url, &[("host", "b.example")], false),
            (
                url,
                &[("host", "a.example:8443"), ("host", "a.example:8443")],
                false,
            ),
            (url, &[("content-length", "2")], true),
            (
                url,
                &[("content-length", "2"), ("content-length", "2")],
                false,
            ),
            (url, &[("transfer-encoding", "chunked")], false),
            ("/x", &[("host", "a.example")], false),
            ("https://u@a.example/x", &[], false),
        ] {
            let mut head = parts(uri, lines);
            assert_eq!(http2(&mut head), wanted, "{uri} {lines:?}");
            if wanted {
                assert_eq!(head.headers[HOST], "a.example:8443");
                assert_eq!(head.headers.get_all(HOST).iter().count(), 1);
            }
        }
    }
}
