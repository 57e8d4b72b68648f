//! The small requests that are no deliveries: tokens, certificates, registrations, traces.
//!
//! Promise: a request ends within its time, whatever the other side does, and no more of the answer is held than its
//! limit; what goes to an https URL goes by https, and by http only what was made for it. Nobody's redirect is followed.
//! Errors name hosts and system errors, never headers, bodies or the path of the URL. Not here: trying again.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::USER_AGENT;
use http::response::Parts;
use http::uri::Scheme;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use tokio::time::timeout;

use super::connect::Connector;
use super::failure::{self, Step};
use super::pool::{Answer, Pool};
use super::{AGENT, HEAD_BYTES, streams, tls};
use crate::egress::EgressPlan;
use crate::tls::ClientTls;

/// The most that [`Limits::body_bytes`] can allow; what is larger is no small request.
pub const MOST_BODY_BYTES: usize = 1024 * 1024;

/// Most bytes that are read for one answer in all: head and body, what TLS and chunks add, and answers of status 1xx
/// before it, of which there may be any number.
const ANSWER_BYTES: usize = HEAD_BYTES + 2 * MOST_BODY_BYTES;

/// The bounds of one request.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Within this time the whole answer must be there.
    pub timeout: Duration,
    /// Most bytes of its body; at most 1 MiB.
    pub body_bytes: usize,
}

/// Why there is no answer, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The URL is of another scheme than this fetcher speaks.
    #[error("a URL of {wanted} is needed")]
    Scheme {
        /// The scheme that it speaks.
        wanted: &'static str,
    },
    /// The time was over.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// There is no answer.
    #[error("{words}")]
    Failed {
        /// At which step it failed.
        step: Step,
        /// The error in words.
        words: String,
    },
    /// There is the head of an answer, and not all of its body.
    #[error("{why}")]
    Body {
        /// The head.
        head: Box<Parts>,
        /// What is wrong with the body.
        why: BodyError,
    },
}

/// What is wrong with the body of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It is longer than is read.
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
    /// It broke off.
    #[error("the answer broke off")]
    Broken,
}

/// Makes small requests, and keeps a connection for the next.
#[derive(Debug, Clone)]
pub struct Fetcher {
    pool: Arc<Pool>,
    scheme: Scheme,
}

impl Fetcher {
    /// For https URLs. Addresses are those that `egress` allows; without, all. Trusted is whom `tls` trusts; without,
    /// whom the system trusts.
    #[must_use]
    pub fn https(egress: Option<&Arc<EgressPlan>>, tls: Option<&ClientTls>) -> Self {
        Self::new(Scheme::HTTPS, egress, tls)
    }

    /// For http URLs; the caller has thought about that nobody proves to be the other side and that everybody between
    /// may read along.
    #[must_use]
    pub fn http(egress: Option<&Arc<EgressPlan>>) -> Self {
        Self::new(Scheme::HTTP, egress, None)
    }

    /// For URLs of the same scheme as this one: by http only if it says so.
    #[must_use]
    pub fn of(url: &Uri, egress: Option<&Arc<EgressPlan>>, tls: Option<&ClientTls>) -> Self {
        if url.scheme() == Some(&Scheme::HTTP) {
            Self::http(egress)
        } else {
            Self::https(egress, tls)
        }
    }

    fn new(scheme: Scheme, egress: Option<&Arc<EgressPlan>>, own: Option<&ClientTls>) -> Self {
        let tls = match own {
            Some(own) => own.config().clone(),
            None => tls(scheme == Scheme::HTTPS),
        };
        let connector = Connector::new(egress.cloned());
        let pool = Pool::new(streams(&tls, connector, ANSWER_BYTES), 1);
        Self {
            pool: Arc::new(pool),
            scheme,
        }
    }

    /// Makes one request; gives its answer, of whatever status.
    ///
    /// # Errors
    /// If the answer does not come whole within the limits.
    pub async fn fetch(
        &self,
        mut request: Request<Bytes>,
        limits: Limits,
    ) -> Result<Response<Bytes>, FetchError> {
        if request.uri().scheme() != Some(&self.scheme) {
            let https = self.scheme == Scheme::HTTPS;
            let wanted = if https { "https" } else { "http" };
            return Err(FetchError::Scheme { wanted });
        }
        let headers = request.headers_mut();
        headers.entry(USER_AGENT).or_insert(AGENT);
        let exchange = async {
            let answer = self.pool.request(request.map(Full::new)).await;
            let answer = answer.map_err(|error| {
                let (step, words) = failure::classify(&error);
                FetchError::Failed { step, words }
            })?;
            whole(answer, limits.body_bytes.min(MOST_BODY_BYTES)).await
        };
        let exchanged = timeout(limits.timeout, exchange).await;
        exchanged.unwrap_or(Err(FetchError::Timeout(limits.timeout)))
    }
}

async fn whole(answer: Response<Answer>, most: usize) -> Result<Response<Bytes>, FetchError> {
    let (head, body) = answer.into_parts();
    match Limited::new(body, most).collect().await {
        Ok(body) => Ok(Response::from_parts(head, body.to_bytes())),
        Err(error) => Err(FetchError::Body {
            head: Box::new(head),
            why: if error.is::<LengthLimitError>() {
                BodyError::TooLong(most)
            } else {
                BodyError::Broken
            },
        }),
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::egress::{Guard, Private};

    const LIMITS: Limits = Limits {
        timeout: Duration::from_secs(5),
        body_bytes: 16,
    };

    /// Takes connections, and answers each request with these bytes before it closes. Gives what was asked.
    async fn server(answer: &'static [u8]) -> (Uri, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/token?a=b", listener.local_addr().unwrap());
        let served = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                stream.read_buf(&mut asked).await.unwrap();
            }
            // The other side may have seen enough.
            let _ = stream.write_all(answer).await;
            String::from_utf8(asked).unwrap()
        });
        (url.parse().unwrap(), served)
    }

    async fn fetched(answer: &'static [u8]) -> Result<Response<Bytes>, FetchError> {
        let (url, served) = server(answer).await;
        let request = Request::get(&url).body(Bytes::new()).unwrap();
        let got = Fetcher::of(&url, None, None).fetch(request, LIMITS).await;
        let asked = served.await.unwrap();
        assert!(asked.starts_with("GET /token?a=b HTTP/1.1\r\n"), "{asked}");
        assert!(asked.contains("user-agent: ingate/"), "{asked}");
        got
    }

    #[tokio::test]
    async fn an_answer_is_given_as_it_is() {
        let answer = fetched(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody").await;
        assert_eq!(answer.unwrap().into_body(), "body");
        let answer = fetched(b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\n\r\n").await;
        assert_eq!(answer.unwrap().status(), StatusCode::FOUND);
    }

    #[tokio::test]
    async fn what_is_no_whole_answer_is_told() {
        const LONG: &[u8] = b"HTTP/1.1 503 No\r\ncontent-length: 17\r\n\r\n12345678901234567";
        const SHORT: &[u8] = b"HTTP/1.1 503 No\r\ncontent-length: 9\r\n\r\n1";
        for (answer, wanted) in [(LONG, BodyError::TooLong(16)), (SHORT, BodyError::Broken)] {
            match fetched(answer).await {
                Err(FetchError::Body { head, why }) => {
                    assert_eq!((head.status.as_u16(), why), (503, wanted));
                }
                other => panic!("{other:?}"),
            }
        }
        let endless: &'static [u8] = b"HTTP/1.1 100 Continue\r\n\r\n".repeat(100_000).leak();
        for answer in [b"220 smtp\r\n\r\n".as_slice(), endless] {
            match fetched(answer).await {
                Err(FetchError::Failed { step, .. }) => assert_eq!(step, Step::Protocol),
                other => panic!("{other:?}"),
            }
        }
    }

    #[tokio::test]
    async fn a_server_that_does_not_answer_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url: Uri = format!("http://{}/", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let request = Request::post(&url).body(Bytes::new()).unwrap();
        let limits = Limits {
            timeout: Duration::from_millis(50),
            ..LIMITS
        };
        let error = Fetcher::http(None)
            .fetch(request, limits)
            .await
            .unwrap_err();
        assert_eq!(error.to_string(), "no answer within 50ms");
    }

    #[tokio::test]
    async fn policy_and_scheme_hold() {
        let get = |url: &str| Request::get(url).body(Bytes::new()).unwrap();
        let strict = Arc::new(EgressPlan {
            guard: Guard {
                private: Private::Deny,
                allow: Vec::new(),
            },
            proxy: None,
        });
        let http = Fetcher::http(Some(&strict));
        let refused = http.fetch(get("http://127.0.0.1:1/x"), LIMITS).await;
        match refused {
            Err(FetchError::Failed { step, words }) => {
                assert_eq!(step, Step::Egress);
                assert!(words.contains("egress.private"), "{words}");
            }
            other => panic!("{other:?}"),
        }
        let https = Fetcher::https(None, None);
        for (fetcher, url, wanted) in [
            (&https, "http://127.0.0.1:1/secret", "https"),
            (&http, "https://127.0.0.1:1/secret", "http"),
            (&https, "/secret", "https"),
        ] {
            let error = fetcher.fetch(get(url), LIMITS).await.unwrap_err();
            assert_eq!(error.to_string(), format!("a URL of {wanted} is needed"));
        }
    }
}
