//! The few requests to others that taking in needs: certificates that messages say they are signed by, and the
//! confirmation of subscriptions.
//!
//! Promise: certificates are kept by their URL, a bounded number for a bounded time, so that one is fetched once for
//! all that ask for it at a time; that one could not be had is kept for a short time, and so many are fetched in a
//! minute and no more, so that nobody has us fetch at will. Not here: which URLs may be asked for (see `signature`).

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Uri};
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::client::{Fetcher, Limits};
use crate::clock;
use crate::egress::EgressPlan;
use crate::secret::Secret;

/// How an answer is waited for, and how long it may be: a certificate has some 2 KiB.
const LIMITS: Limits = Limits {
    timeout: Duration::from_secs(5),
    body_bytes: 16 << 10,
};

/// How long a certificate is kept; that it is still valid is looked at each time.
const KEPT_FOR: Duration = Duration::from_secs(6 * 3600);

/// How long it is kept that there was none.
const FAILED_FOR: Duration = Duration::from_secs(30);

/// Most certificates that are kept; a region has one or two at a time.
const MOST_KEPT: usize = 32;

/// Most fetches within a minute, so that made-up addresses cost the other side and us little.
const MOST_A_MINUTE: usize = 30;

/// What asks others.
#[async_trait]
pub trait Fetch: Send + Sync {
    /// The body of what stands at `url`, if it is answered with success.
    ///
    /// # Errors
    /// Why it is not, without the URL.
    async fn get(&self, url: &Uri, egress: &Arc<EgressPlan>) -> Result<Bytes, String>;
}

/// Asks by https, under the policy for requests to others.
#[derive(Debug, Clone, Copy, Default)]
pub struct Https;

#[async_trait]
impl Fetch for Https {
    async fn get(&self, url: &Uri, egress: &Arc<EgressPlan>) -> Result<Bytes, String> {
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = url.clone();
        let fetcher = Fetcher::https(Some(egress), None);
        let answer = fetcher.fetch(request, LIMITS).await;
        let answer = answer.map_err(|error| error.to_string())?;
        let status = answer.status();
        if status.is_success() {
            Ok(answer.into_body())
        } else {
            Err(format!("it answered {status}"))
        }
    }
}

/// A certificate, DER; or that there is none.
type Found = Option<Arc<[u8]>>;

/// One that was asked for; whoever asks while it is fetched waits for it.
type Slot = Arc<tokio::sync::Mutex<Option<(Timestamp, Found)>>>;

/// What is known of others.
pub struct Outside {
    fetch: Box<dyn Fetch>,
    certificates: Mutex<HashMap<String, Slot>>,
    fetched: Mutex<VecDeque<Timestamp>>,
}

impl Default for Outside {
    fn default() -> Self {
        Self::by(Https)
    }
}

impl Outside {
    /// One that asks like this.
    #[must_use]
    pub fn by(fetch: impl Fetch + 'static) -> Self {
        Self {
            fetch: Box::new(fetch),
            certificates: Mutex::default(),
            fetched: Mutex::default(),
        }
    }

    /// The certificate at this URL, DER; `None` if it cannot be had now.
    pub(super) async fn certificate(
        &self,
        url: &Uri,
        egress: &Arc<EgressPlan>,
        now: Timestamp,
    ) -> Found {
        let slot = self.slot(&url.to_string())?;
        let mut slot = slot.lock().await;
        if let Some((at, found)) = &*slot {
            let kept_for = if found.is_some() {
                KEPT_FOR
            } else {
                FAILED_FOR
            };
            if clock::between(*at, now) < kept_for {
                return found.clone();
            }
        }
        if !self.may_fetch(now) {
            tracing::warn!(%url, "a certificate is not fetched: too many were asked for within a minute");
            return None;
        }
        let fetched = self.fetch.get(url, egress).await;
        let found = fetched.and_then(|body| {
            let der = CertificateDer::from_pem_slice(&body);
            der.map_err(|_| "there is no certificate (PEM)".to_owned())
        });
        let found = match found {
            Ok(der) => Some(Arc::from(der.as_ref())),
            Err(error) => {
                tracing::warn!(%url, error, "a certificate cannot be fetched");
                None
            }
        };
        *slot = Some((now, found.clone()));
        found
    }

    /// Confirms a subscription by its URL.
    ///
    /// # Errors
    /// Why it is not confirmed.
    pub async fn confirm(&self, url: &Secret, egress: &Arc<EgressPlan>) -> Result<(), String> {
        let url = Uri::try_from(url.expose()).map_err(|_| "its address is none".to_owned())?;
        self.fetch.get(&url, egress).await.map(|_| ())
    }

    /// The slot of a URL. Of too many one goes that holds nothing, else the oldest; those under way stay.
    fn slot(&self, url: &str) -> Option<Slot> {
        let mut all = lock(&self.certificates);
        if let Some(slot) = all.get(url) {
            return Some(Arc::clone(slot));
        }
        if all.len() >= MOST_KEPT {
            let age = |slot: &Slot| {
                let state = slot.try_lock().ok()?;
                let holds = state.as_ref().is_some_and(|(_, found)| found.is_some());
                Some((holds, state.as_ref().map(|(at, _)| *at)))
            };
            let aged = all.iter().filter_map(|(url, slot)| Some((age(slot)?, url)));
            let oldest = aged.min().map(|(_, url)| url.clone())?;
            all.remove(&oldest);
        }
        let slot = Slot::default();
        all.insert(url.to_owned(), Arc::clone(&slot));
        Some(slot)
    }

    fn may_fetch(&self, now: Timestamp) -> bool {
        let mut fetched = lock(&self.fetched);
        let old = |at: &Timestamp| clock::between(*at, now) >= Duration::from_secs(60);
        while fetched.front().is_some_and(old) {
            fetched.pop_front();
        }
        let may = fetched.len() < MOST_A_MINUTE;
        if may {
            fetched.push_back(now);
        }
        may
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::plan::Plan;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    /// Counts what it is asked for; what ends in `good.pem` is there.
    struct Counting(Arc<AtomicUsize>, Bytes);

    #[async_trait]
    impl Fetch for Counting {
        async fn get(&self, url: &Uri, _: &Arc<EgressPlan>) -> Result<Bytes, String> {
            self.0.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(10)).await;
            match url.path() {
                path if path.ends_with("good.pem") => Ok(self.1.clone()),
                _ => Err("it answered 404".to_owned()),
            }
        }
    }

    fn outside() -> (Outside, Arc<AtomicUsize>) {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(["a.example".to_owned()]).unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let count = Arc::new(AtomicUsize::new(0));
        let fetch = Counting(Arc::clone(&count), Bytes::from(pem));
        (Outside::by(fetch), count)
    }

    fn url(path: &str) -> Uri {
        format!("https://sns.eu-central-1.amazonaws.com/{path}")
            .parse()
            .unwrap()
    }

    #[tokio::test]
    async fn a_certificate_is_fetched_once_for_all_who_ask() {
        let (outside, count) = outside();
        let egress = Plan::bare().egress;
        let (good, bad) = (url("good.pem"), url("bad.pem"));
        for (url, there) in [(&good, true), (&bad, false)] {
            let before = count.load(Ordering::SeqCst);
            let (a, b) = tokio::join!(
                outside.certificate(url, &egress, NOW),
                outside.certificate(url, &egress, NOW)
            );
            assert_eq!((a.is_some(), b.is_some()), (there, there));
            assert_eq!(count.load(Ordering::SeqCst), before + 1);
        }
        let later = NOW + FAILED_FOR;
        outside.certificate(&good, &egress, later).await.unwrap();
        assert_eq!(outside.certificate(&bad, &egress, later).await, None);
        assert_eq!(count.load(Ordering::SeqCst), 3);
        let later = NOW + KEPT_FOR;
        outside.certificate(&good, &egress, later).await.unwrap();
        assert_eq!(count.load(Ordering::SeqCst), 4);
    }

    #[tokio::test]
    async fn made_up_addresses_are_asked_so_often_and_push_no_certificate_out() {
        let (outside, count) = outside();
        let egress = Plan::bare().egress;
        outside
            .certificate(&url("good.pem"), &egress, NOW)
            .await
            .unwrap();
        for n in 0..200 {
            let found = outside
                .certificate(&url(&format!("{n}.pem")), &egress, NOW)
                .await;
            assert_eq!(found, None);
        }
        assert_eq!(count.load(Ordering::SeqCst), MOST_A_MINUTE);
        assert_eq!(lock(&outside.certificates).len(), MOST_KEPT);
        outside
            .certificate(&url("good.pem"), &egress, NOW)
            .await
            .unwrap();
        assert_eq!(count.load(Ordering::SeqCst), MOST_A_MINUTE);
    }
}
