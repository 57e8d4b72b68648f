//! What failed verification lately: enough to see what is wrong with a sender, and nothing that was sent.
//!
//! Promise: no body, no value of a header, no signature is kept, and no more than [`KEPT`] failures of a source, whatever
//! somebody sends. A flood from one address does not push out what others sent. Not here: refusing (see `signature`).

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use http::{HeaderMap, Method};
use jiff::Timestamp;

use crate::id::SourceName;
use crate::signature::VerifyError;

/// Most failures that are kept of a source: as many as one looks through.
pub const KEPT: usize = 100;

/// Most failures in a row of one client and reason. The oldest of them and the newest tell all that there is to tell.
const ALIKE: usize = 10;

/// Most names of headers of one request, and most characters of a name.
const HEADERS: usize = 64;
const NAME: usize = 64;

/// Most characters of all names of one request together, so that [`KEPT`] of them have some 100 KiB at most.
const NAMES: usize = 1024;

/// Methods that are named; a sender may make up others, of any length.
const METHODS: [Method; 8] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
    Method::TRACE,
];

/// A request that did not verify.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// When.
    pub at: Timestamp,
    /// Why: the name of the error.
    pub reason: &'static str,
    /// The same in words.
    pub detail: String,
    /// The address that it came from.
    pub client: IpAddr,
    /// The method; `other` for one that is not common.
    pub method: String,
    /// Bytes of the body as it came.
    pub size: usize,
    /// By how many seconds its timestamp was ahead of our clock, if that is why.
    pub skew_seconds: Option<i64>,
    /// The names of its headers, in the order they came; bounded.
    pub headers: Vec<String>,
}

impl Failed {
    /// What is to be kept of a request.
    #[must_use]
    pub fn new(
        at: Timestamp,
        error: &VerifyError,
        client: IpAddr,
        method: &Method,
        headers: &HeaderMap,
        size: usize,
    ) -> Self {
        let skew_seconds = match error {
            VerifyError::TimestampOutOfTolerance { skew_seconds, .. } => {
                Some(skew_seconds.saturating_neg())
            }
            _ => None,
        };
        let method = METHODS.iter().find(|known| *known == method);
        Self {
            at,
            reason: error.name(),
            detail: error.to_string(),
            client,
            method: method.map_or("other", Method::as_str).to_owned(),
            size,
            skew_seconds,
            headers: names(headers),
        }
    }

    fn is_like(&self, other: &Self) -> bool {
        self.client == other.client && self.reason == other.reason
    }
}

/// The names of the first headers, each cut to [`NAME`] characters, which are ASCII.
fn names(headers: &HeaderMap) -> Vec<String> {
    let mut room = NAMES;
    let mut names = Vec::new();
    for (name, _) in headers.iter().take(HEADERS) {
        let name: String = name.as_str().chars().take(NAME).collect();
        let Some(left) = room.checked_sub(name.len()) else {
            break;
        };
        room = left;
        names.push(name);
    }
    names
}

/// The failures of one source.
#[derive(Debug, Clone, Default)]
pub struct Failures {
    /// How many there were since the start.
    pub count: u64,
    /// The last ones, newest first.
    pub last: VecDeque<Failed>,
}

impl Failures {
    fn push(&mut self, failed: Failed) {
        self.count = self.count.saturating_add(1);
        let alike = self.last.iter().take_while(|known| known.is_like(&failed));
        if alike.count() >= ALIKE {
            self.last.pop_front();
        }
        self.last.push_front(failed);
        self.last.truncate(KEPT);
    }
}

/// The failures of all sources.
#[derive(Debug, Default)]
pub struct Refused(RwLock<HashMap<SourceName, Arc<Mutex<Failures>>>>);

impl Refused {
    /// Notes that a request to a source did not verify.
    pub fn note(&self, source: &SourceName, failed: Failed) {
        let own = self.own(source).unwrap_or_else(|| {
            let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(source.clone()).or_default())
        });
        lock(&own).push(failed);
    }

    /// What failed at a source.
    #[must_use]
    pub fn of(&self, source: &SourceName) -> Failures {
        self.own(source)
            .map(|own| lock(&own).clone())
            .unwrap_or_default()
    }

    /// How many failed at a source, and when the last one did.
    #[must_use]
    pub fn count(&self, source: &SourceName) -> (u64, Option<Timestamp>) {
        self.own(source).map_or((0, None), |own| {
            let own = lock(&own);
            (own.count, own.last.front().map(|failed| failed.at))
        })
    }

    fn own(&self, source: &SourceName) -> Option<Arc<Mutex<Failures>>> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.get(source).map(Arc::clone)
    }
}

fn lock(own: &Mutex<Failures>) -> MutexGuard<'_, Failures> {
    own.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(client: u8, error: &VerifyError, size: usize) -> Failed {
        let client = IpAddr::from([10, 0, 0, client]);
        let at = Timestamp::UNIX_EPOCH;
        Failed::new(at, error, client, &Method::POST, &HeaderMap::new(), size)
    }

    #[test]
    fn a_flood_does_not_hide_the_one_that_matters() {
        let refused = Refused::default();
        let source: SourceName = "wreno".parse().unwrap();
        refused.note(&source, failed(1, &VerifyError::SignatureMismatch, 0));
        for size in 1..=1000 {
            refused.note(&source, failed(2, &VerifyError::MissingSignature, size));
        }
        let kept = refused.of(&source);
        assert_eq!(kept.count, 1001);
        assert_eq!(kept.last.len(), ALIKE + 1);
        assert_eq!(kept.last[0].size, 1000, "the newest is there");
        assert_eq!(kept.last[ALIKE].reason, "signature_mismatch");
        for client in 0..=254 {
            refused.note(&source, failed(client, &VerifyError::NoSignature, 0));
        }
        assert_eq!(refused.of(&source).last.len(), KEPT);
        let other = "other".parse().unwrap();
        assert_eq!(refused.count(&other), (0, None));
    }

    #[test]
    fn names_are_kept_and_values_are_not() {
        let mut headers = HeaderMap::new();
        headers.insert("x-signature", "s3cret".parse().unwrap());
        headers.append("x-signature", "s3cret2".parse().unwrap());
        let long: http::HeaderName = "x".repeat(200).parse().unwrap();
        headers.insert(long, "v".parse().unwrap());
        let skewed = VerifyError::TimestampOutOfTolerance {
            skew_seconds: 400,
            tolerance_seconds: 300,
        };
        let client = IpAddr::from([127, 0, 0, 1]);
        let made_up = Method::from_bytes(b"S3CRET").unwrap();
        let at = Timestamp::UNIX_EPOCH;
        let failed = Failed::new(at, &skewed, client, &made_up, &headers, 7);
        assert_eq!(
            failed.headers,
            ["x-signature", "x-signature", &"x".repeat(NAME)]
        );
        assert_eq!(failed.skew_seconds, Some(-400));
        assert_eq!(failed.method, "other");
        assert!(!format!("{failed:?}").to_lowercase().contains("s3cret"));
    }

    #[test]
    fn names_are_bounded() {
        let mut headers = HeaderMap::new();
        for number in 0..200 {
            let name = format!("x-{number:060}");
            headers.insert(
                name.parse::<http::HeaderName>().unwrap(),
                "v".parse().unwrap(),
            );
        }
        let names = names(&headers);
        assert!(names.len() <= HEADERS);
        assert!(names.iter().map(String::len).sum::<usize>() <= NAMES);
    }
}
