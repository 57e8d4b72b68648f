//! The HTTP side of an attempt: one POST over a target's own pool of connections.
//!
//! Promise: the whole exchange ends within the target's timeout; no redirect is followed; a peer can
//! make us read no more than [`RESPONSE_BYTES`] of its answer. The head of an answer decides: a body
//! that breaks off or does not end only cuts the snippet short. A request that a kept connection could
//! not take at all is sent once more over another one. Not here: what is sent (see `attempt`), how
//! connections are made (see [`crate::client`]).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, Request};
use http_body_util::{BodyExt, Full};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::rfc2822;
use jiff::tz::TimeZone;
use rustls::ClientConfig;
use tokio::time::{Instant, timeout_at};

use super::tokens::Tokens;
use crate::client::connect::Connector;
use crate::client::pool::{Answer, Pool};
use crate::client::{HEAD_BYTES, Step, Streams, failure, streams, tls};
use crate::clock::{self, Clock};
use crate::delivery::{Failure, Outcome, RETRY_AFTER_CAP};
use crate::plan::{Auth, EgressPlan, Target};
use crate::tls::ClientTls;

/// Most bytes of an answer's body that are read; past them the connection is given up.
pub(super) const RESPONSE_BYTES: usize = 64 * 1024;

/// Bytes of an answer's body that are kept with the attempt.
pub(super) const SNIPPET_BYTES: usize = 1024;

/// Shortest word of a secret or a signature that is looked for in answers; shorter ones stand there by chance.
const HIDDEN_BYTES: usize = 8;

/// Most bytes that are read for one answer in all: head and body, what TLS adds, and answers of status 1xx
/// before it, of which there may be any number.
const ANSWER_BYTES: usize = HEAD_BYTES + RESPONSE_BYTES + 64 * 1024;

/// The date of RFC 9110 (IMF-fixdate) is one that RFC 5322 allows.
const DATE: rfc2822::DateTimeParser = rfc2822::DateTimeParser::new();

/// The two older forms of a date that RFC 9110 wants read as well: RFC 850's and asctime's.
const OLD_DATES: [&str; 2] = ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];

/// The connections to one target.
pub(super) struct Client {
    pool: Pool,
    /// What it was made for.
    made_for: MadeFor,
}

/// What decides how connections to a target are made and kept.
#[derive(Debug, PartialEq, Eq)]
struct MadeFor {
    https: bool,
    /// The target's own, in place of what all have.
    tls: Option<ClientTls>,
    concurrency: usize,
    egress: Arc<EgressPlan>,
}

impl MadeFor {
    fn of(target: &Target, egress: &Arc<EgressPlan>) -> Self {
        Self {
            https: target.url.scheme_str() == Some("https"),
            tls: target.tls.clone(),
            concurrency: target.concurrency,
            egress: Arc::clone(egress),
        }
    }

    fn tls(&self) -> ClientConfig {
        match &self.tls {
            Some(own) => own.config().clone(),
            None => tls(self.https),
        }
    }
}

impl Client {
    /// A pool of at most as many idle connections as the target may have attempts, made as the policy wants it.
    pub(super) fn new(target: &Target, egress: &Arc<EgressPlan>) -> Self {
        let connector = Connector::new(Some(Arc::clone(egress)));
        Self::with_connector(target, egress, connector)
    }

    /// The same over connections that are made otherwise.
    pub(super) fn with_connector(
        target: &Target,
        egress: &Arc<EgressPlan>,
        connector: Connector,
    ) -> Self {
        let made_for = MadeFor::of(target, egress);
        let streams = streams(&made_for.tls(), connector, ANSWER_BYTES);
        Self {
            pool: Pool::new(streams, target.concurrency),
            made_for,
        }
    }

    /// Whether its connections are as those for this target are to be.
    pub(super) fn suits(&self, target: &Target, egress: &Arc<EgressPlan>) -> bool {
        self.made_for == MadeFor::of(target, egress)
    }

    /// Sends one request and says what came of it. Where the target wants a token, one is had before; one that it
    /// refuses is replaced, once, and the request made again within the same time.
    pub(super) async fn post(
        &self,
        to: &Target,
        tokens: Option<&Tokens>,
        mut headers: HeaderMap,
        body: Bytes,
        clock: &dyn Clock,
    ) -> Outcome {
        let deadline = Instant::now() + to.timeout;
        let Some(tokens) = tokens else {
            return self.exchange(to, headers, body, deadline, clock).await;
        };
        let token = match tokens.get(deadline).await {
            Ok(token) => token,
            Err(error) => return error.outcome(),
        };
        headers.insert(AUTHORIZATION, token.value.clone());
        let (again, same) = (headers.clone(), body.clone());
        let outcome = self.exchange(to, headers, body, deadline, clock).await;
        if !matches!(outcome, Outcome::Answered { status: 401, .. }) {
            return outcome;
        }
        let (mut headers, body) = (again, same);
        match tokens.instead_of(&token, deadline).await {
            Ok(fresh) => {
                headers.insert(AUTHORIZATION, fresh.value);
                self.exchange(to, headers, body, deadline, clock).await
            }
            Err(error) => Outcome::Failed {
                failure: Failure::Token,
                detail: format!("the target answered 401, and of another token: {error}"),
            },
        }
    }

    async fn exchange(
        &self,
        to: &Target,
        headers: HeaderMap,
        body: Bytes,
        deadline: Instant,
        clock: &dyn Clock,
    ) -> Outcome {
        let proxy = self.made_for.egress.proxy.as_ref();
        let authorization = proxy.and_then(|proxy| proxy.authorization.as_ref());
        let words = to.auth.as_ref().map(Auth::hidden).unwrap_or_default();
        let hidden = Hidden::of(headers.values().chain(authorization), words);
        let url = to.called_url(&body).into_owned();
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = url;
        *request.headers_mut() = headers;
        match timeout_at(deadline, self.pool.request(request)).await {
            Err(_) => Outcome::Failed {
                failure: Failure::Timeout,
                detail: format!("no answer within {:?}", to.timeout),
            },
            Ok(Err(error)) => {
                let (step, detail) = failure::classify(&error);
                let failure = failed_at(step);
                Outcome::Failed { failure, detail }
            }
            Ok(Ok(answer)) => Outcome::Answered {
                status: answer.status().as_u16(),
                retry_after: answer
                    .headers()
                    .get(RETRY_AFTER)
                    .and_then(|value| retry_after(value, clock.now())),
                snippet: snippet(answer.into_body(), &hidden, deadline).await,
            },
        }
    }
}

/// What makes connections to a target, as its attempts have them.
pub(super) fn connector(target: &Target, egress: &Arc<EgressPlan>) -> Streams {
    let made_for = MadeFor::of(target, egress);
    let connector = Connector::new(Some(Arc::clone(egress)));
    streams(&made_for.tls(), connector, ANSWER_BYTES)
}

/// A failed step, as attempts keep it.
pub(super) fn failed_at(step: Step) -> Failure {
    match step {
        Step::Dns => Failure::Dns,
        Step::Connect => Failure::Connect,
        Step::Tls => Failure::Tls,
        Step::Closed => Failure::Closed,
        Step::Protocol => Failure::Protocol,
        Step::Egress => Failure::Egress,
    }
}

/// What a request carries of secrets and signatures: an answer that repeats it (a debug page, an echo) must
/// not bring it into the store.
struct Hidden(Vec<String>);

impl Hidden {
    /// The words of sensitive values, and `more` of them.
    fn of<'a>(values: impl Iterator<Item = &'a HeaderValue>, more: Vec<String>) -> Self {
        let sensitive = values.filter(|value| value.is_sensitive());
        let words = sensitive
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split([' ', ',', ';']))
            .map(str::to_owned)
            .chain(more)
            .filter(|word| word.len() >= HIDDEN_BYTES);
        let mut words: Vec<String> = words.collect();
        // The longest first, so that none is left in halves by a shorter one.
        words.sort_unstable_by_key(|word| std::cmp::Reverse(word.len()));
        Self(words)
    }

    /// How much longer a text must be, so that what it ends with is known.
    fn longest(&self) -> usize {
        self.0.first().map_or(0, String::len)
    }

    fn blot(&self, text: String) -> String {
        self.0
            .iter()
            .fold(text, |text, word| text.replace(word.as_str(), "***"))
    }
}

/// Reads what is allowed of the body, keeps the start, and lets the rest go with the connection.
async fn snippet(mut body: Answer, hidden: &Hidden, deadline: Instant) -> String {
    let mut kept = Vec::new();
    let mut seen = 0;
    let most = SNIPPET_BYTES.saturating_add(hidden.longest());
    while let Ok(Some(Ok(frame))) = timeout_at(deadline, body.frame()).await {
        let Some(data) = frame.data_ref() else {
            continue;
        };
        let room = most - kept.len();
        kept.extend(data.iter().take(room));
        seen += data.len();
        if seen > RESPONSE_BYTES {
            break;
        }
    }
    let mut text = hidden.blot(String::from_utf8_lossy(&kept).into_owned());
    text.truncate(text.floor_char_boundary(SNIPPET_BYTES));
    text
}

/// How long a `Retry-After` asks us to wait: seconds, or until a date. `None` if it is neither.
fn retry_after(value: &HeaderValue, now: Timestamp) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit are more than the cap as well.
        return Some(
            text.parse()
                .map_or(RETRY_AFTER_CAP, Duration::from_secs)
                .min(RETRY_AFTER_CAP),
        );
    }
    let date = DATE.parse_timestamp(text).ok().or_else(|| {
        let mut forms = OLD_DATES.iter();
        let old = forms.find_map(|form| DateTime::strptime(form, text).ok())?;
        Some(old.to_zoned(TimeZone::UTC).ok()?.timestamp())
    })?;
    Some(clock::between(now, date).min(RETRY_AFTER_CAP))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: Timestamp = "2026-02-03T04:05:06Z".parse().unwrap();
        for (text, seconds) in [
            ("0", Some(0)),
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("86401", Some(86_400)),
            ("99999999999999999999999", Some(86_400)),
            ("Tue, 03 Feb 2026 04:06:06 GMT", Some(60)),
            ("Tue, 03 Feb 2026 04:05:06 GMT", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(0)),
            ("Tue, 03 Feb 2099 04:05:06 GMT", Some(86_400)),
            ("Tuesday, 03-Feb-26 04:06:06 GMT", Some(60)),
            ("Tue Feb  3 04:06:06 2026", Some(60)),
            ("Sun Nov  6 08:49:37 1994", Some(0)),
            ("Tue Feb 30 04:06:06 2026", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ] {
            let value = HeaderValue::from_str(text).unwrap();
            let wanted = seconds.map(Duration::from_secs);
            assert_eq!(retry_after(&value, now), wanted, "{text:?}");
        }
    }
}
