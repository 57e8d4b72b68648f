//! The dashboard: files that are built under `ui/`, committed, and part of the binary. They hold no data, so they are
//! served without the token; what they show they ask of the API, with the token that a person has given them.

use std::sync::OnceLock;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::answer::response;
use crate::id::Digest;
use crate::listener;

/// What a page of the dashboard may do: load what the door serves, and nothing from elsewhere.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// A file may be kept, but it is asked each time whether it is still the same: another binary has others.
const ASK_EACH_TIME: HeaderValue = HeaderValue::from_static("no-cache");

/// A file of the dashboard.
pub(super) struct File {
    path: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
    /// Its entity tag, once somebody has asked for it.
    tag: OnceLock<Option<HeaderValue>>,
}

/// Every file there is.
static FILES: [File; 3] = [
    File {
        path: "/",
        content_type: "text/html; charset=utf-8",
        bytes: include_bytes!("../../ui/dist/index.html"),
        tag: OnceLock::new(),
    },
    File {
        path: "/assets/app.js",
        content_type: "text/javascript; charset=utf-8",
        bytes: include_bytes!("../../ui/dist/assets/app.js"),
        tag: OnceLock::new(),
    },
    File {
        path: "/assets/app.css",
        content_type: "text/css; charset=utf-8",
        bytes: include_bytes!("../../ui/dist/assets/app.css"),
        tag: OnceLock::new(),
    },
];

impl File {
    /// The file of this path.
    pub(super) fn find(path: &str) -> Option<&'static Self> {
        FILES.iter().find(|file| file.path == path)
    }

    fn tag(&self) -> Option<&HeaderValue> {
        let tag = self.tag.get_or_init(|| {
            let hash = Digest::of(self.bytes);
            HeaderValue::from_str(&format!("\"{hash}\"")).ok()
        });
        tag.as_ref()
    }

    /// The file, or that the one which the browser has is still it.
    pub(super) fn answer(&self, asked: &HeaderMap) -> Response<listener::Answer> {
        let tag = self.tag();
        let same = tag.is_some() && asked.get(IF_NONE_MATCH) == tag;
        let (status, bytes) = if same {
            (StatusCode::NOT_MODIFIED, &[][..])
        } else {
            (StatusCode::OK, self.bytes)
        };
        let content_type = HeaderValue::from_static(self.content_type);
        let mut answer = response(status, content_type, Bytes::from_static(bytes));
        let headers = answer.headers_mut();
        headers.insert(CACHE_CONTROL, ASK_EACH_TIME);
        headers.insert(CONTENT_SECURITY_POLICY, POLICY);
        if let Some(tag) = tag {
            headers.insert(ETAG, tag.clone());
        }
        answer
    }
}
