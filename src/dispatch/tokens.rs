//! The token of a target that wants one by OAuth 2.0: asked for once and shared by all its attempts.
//!
//! Promise: one request for it at a time, whose end those who wait share, be it a token or a failure; a token is renewed
//! before it ends, and while that fails the old one serves on as long as it lasts. Neither the token nor what it is asked
//! for with is in an error; those name the step or the status, and the code of the error if it is a known one. Not here:
//! how often an attempt that got no token is made again (see `retry`).

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderValue, StatusCode};
use oauth2::basic::{
    BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse,
    BasicTokenType,
};
use oauth2::{
    AccessToken, AuthType, ClientId, ClientSecret, HttpRequest, HttpResponse, RefreshToken,
    RequestTokenError, Scope, StandardRevocableToken, TokenResponse, TokenUrl,
};
use serde::{Deserialize, Deserializer, Serialize};
use tokio::time::{Instant, timeout_at};

use crate::client::{BodyError, FetchError, Fetcher, Limits};
use crate::delivery::{Failure, Outcome};
use crate::egress::EgressPlan;
use crate::id::TargetName;
use crate::metrics::Metrics;
use crate::plan::{ClientAuth, OAuth2};

/// Most bytes of an answer with a token; tokens with many claims have some thousands.
const ANSWER_BYTES: usize = 64 * 1024;

/// Most bytes of a token: more would not fit into the head that servers take.
const TOKEN_BYTES: usize = 16 * 1024;

/// The share of its life after which a token is renewed at the latest.
const RENEWED_AFTER: f64 = 0.8;

/// A token is renewed this long before it ends, so that clocks and long attempts do not matter, ..
const RENEWED_BEFORE: Duration = Duration::from_secs(60);

/// .. but not before this share of its life is over: one that lives for a minute would be asked for with each attempt.
const RENEWED_NOT_BEFORE: f64 = 0.5;

/// The longest life that is believed; beyond it the token is asked for again all the same.
const LONGEST_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);

/// How long a renewal that failed waits while the old token lasts.
const RENEWAL_PAUSE: Duration = Duration::from_secs(15);

/// The codes of errors that are told (RFC 6749, 5.2, and the registry of OAuth extensions). Any other could be anything.
const KNOWN_CODES: [&str; 12] = [
    "access_denied",
    "invalid_client",
    "invalid_dpop_proof",
    "invalid_grant",
    "invalid_request",
    "invalid_scope",
    "invalid_target",
    "server_error",
    "temporarily_unavailable",
    "unauthorized_client",
    "unsupported_grant_type",
    "use_dpop_nonce",
];

/// A token as it is sent.
#[derive(Debug, Clone)]
pub(super) struct Token {
    /// The whole value of the header, sensitive.
    pub(super) value: HeaderValue,
    /// Counts the tokens that were had, so that two of the same value are told apart.
    serial: u64,
}

/// A token and how long it lasts.
#[derive(Debug, Clone)]
struct Held {
    token: Token,
    /// When it is to be renewed; never if nobody knows how long it lasts.
    renew_at: Option<Instant>,
    ends_at: Option<Instant>,
}

impl Held {
    fn is_over(&self, now: Instant) -> bool {
        self.ends_at.is_some_and(|end| now >= end)
    }

    fn is_due(&self, now: Instant) -> bool {
        self.renew_at.is_some_and(|due| now >= due)
    }
}

/// No token could be had; the reason in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("token endpoint: {0}")]
pub(super) struct TokenError(String);

impl TokenError {
    /// What it makes of an attempt.
    pub(super) fn outcome(&self) -> Outcome {
        Outcome::Failed {
            failure: Failure::Token,
            detail: self.to_string(),
        }
    }
}

/// The tokens of one target.
pub(super) struct Tokens {
    target: TargetName,
    plan: Arc<OAuth2>,
    egress: Arc<EgressPlan>,
    metrics: Arc<Metrics>,
    fetcher: Fetcher,
    held: Mutex<Option<Held>>,
    /// Whoever asks for a token holds this; in it is how the last request failed, if it did, and its number.
    asking: tokio::sync::Mutex<Option<(u64, TokenError)>>,
    /// How many requests have ended.
    ended: AtomicU64,
}

impl Tokens {
    pub(super) fn new(
        target: TargetName,
        plan: Arc<OAuth2>,
        egress: Arc<EgressPlan>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let fetcher = Fetcher::of(&plan.token_url, Some(&egress), plan.tls.as_ref());
        Self {
            target,
            plan,
            egress,
            metrics,
            fetcher,
            held: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
            ended: AtomicU64::new(0),
        }
    }

    /// The tokens by another plan: the same where nothing has changed, and with the same token where only the way to new
    /// ones has.
    pub(super) fn adopt(
        self: &Arc<Self>,
        plan: &Arc<OAuth2>,
        egress: &Arc<EgressPlan>,
    ) -> Arc<Self> {
        let same = *self.plan == **plan;
        if same && self.egress == *egress {
            return Arc::clone(self);
        }
        let new = Self::new(
            self.target.clone(),
            Arc::clone(plan),
            Arc::clone(egress),
            Arc::clone(&self.metrics),
        );
        if same {
            new.set(self.held());
            // Serials go on counting.
            let ended = self.ended.load(Ordering::SeqCst);
            new.ended.store(ended, Ordering::SeqCst);
        }
        Arc::new(new)
    }

    /// A token that holds.
    ///
    /// # Errors
    /// If none can be had until then.
    pub(super) async fn get(&self, deadline: Instant) -> Result<Token, TokenError> {
        let now = Instant::now();
        let Some(old) = self.held().filter(|held| !held.is_over(now)) else {
            let fits = |held: &Held| !held.is_over(Instant::now());
            return self.ask(fits, deadline).await;
        };
        // While somebody else renews it, the old one will do.
        if old.is_due(now) && self.asking.try_lock().is_ok() {
            // An endpoint that does not answer may not take all the time of an attempt that could be made.
            let half = now + deadline.saturating_duration_since(now) / 2;
            let fits = |held: &Held| !held.is_due(Instant::now());
            match self.ask(fits, half).await {
                Ok(token) => return Ok(token),
                Err(error) => self.renew_later(&old, &error),
            }
        }
        Ok(old.token)
    }

    /// A token in the place of one that the target has refused.
    ///
    /// # Errors
    /// If none can be had until then.
    pub(super) async fn instead_of(
        &self,
        refused: &Token,
        deadline: Instant,
    ) -> Result<Token, TokenError> {
        let newer = |held: &Held| held.token.serial > refused.serial;
        self.ask(newer, deadline).await
    }

    /// The token that is held, if it fits once it is our turn; else another one.
    async fn ask(
        &self,
        fits: impl Fn(&Held) -> bool,
        deadline: Instant,
    ) -> Result<Token, TokenError> {
        let before = self.ended.load(Ordering::SeqCst);
        let turn = timeout_at(deadline, self.asking.lock()).await;
        let mut turn = turn.map_err(|_| late())?;
        if let Some(held) = self.held().filter(fits) {
            return Ok(held.token);
        }
        if let Some((number, error)) = &*turn
            && *number > before
        {
            return Err(error.clone());
        }
        let number = self.ended.load(Ordering::SeqCst) + 1;
        let asked = self.request(deadline).await;
        let asked = asked.and_then(|granted| granted.held(number));
        self.ended.store(number, Ordering::SeqCst);
        let target = self.target.as_str();
        self.metrics.token_requested(target, asked.is_ok());
        match asked {
            Ok(held) => {
                *turn = None;
                self.set(Some(held.clone()));
                let lasts = held.ends_at.map(|end| end - Instant::now());
                tracing::debug!(target_name = %self.target, ?lasts, "a token was had");
                Ok(held.token)
            }
            Err(error) => {
                // Who waits may have more time than we had.
                *turn = (error != late()).then(|| (number, error.clone()));
                Err(error)
            }
        }
    }

    fn held(&self) -> Option<Held> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.clone()
    }

    fn set(&self, held: Option<Held>) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = held;
    }

    /// Has the old token serve on, unless there is another by now.
    fn renew_later(&self, old: &Held, error: &TokenError) {
        tracing::info!(
            target_name = %self.target, %error,
            "a token cannot be renewed yet; the old one serves on as long as it lasts"
        );
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = held
            .as_mut()
            .filter(|it| it.token.serial == old.token.serial)
        {
            held.renew_at = Some(Instant::now() + RENEWAL_PAUSE);
        }
    }

    /// Asks for a token.
    async fn request(&self, deadline: Instant) -> Result<Granted, TokenError> {
        let plan = &self.plan;
        let status = Arc::new(Mutex::new(None));
        let client = Client::new(ClientId::new(plan.client_id.clone()))
            .set_client_secret(ClientSecret::new(secret_of(plan)))
            .set_auth_type(match plan.client_auth {
                ClientAuth::Basic => AuthType::BasicAuth,
                ClientAuth::Body => AuthType::RequestBody,
            })
            .set_token_uri(
                TokenUrl::new(plan.token_url.to_string())
                    .map_err(|_| TokenError("its URL is none".to_owned()))?,
            );
        let mut request = client
            .exchange_client_credentials()
            .add_scopes(plan.scopes.iter().cloned().map(Scope::new));
        for (name, value) in &plan.params {
            request = request.add_extra_param(name.clone(), value.clone());
        }
        let limits = Limits {
            timeout: deadline.saturating_duration_since(Instant::now()),
            body_bytes: ANSWER_BYTES,
        };
        let fetch = |request| exchange(self.fetcher.clone(), request, limits, Arc::clone(&status));
        let asked = request.request_async(&fetch).await;
        let status = *status.lock().unwrap_or_else(PoisonError::into_inner);
        asked.map_err(|error| in_words(error, status))
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens")
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

/// The client of the library, with answers that are read as they come in the world.
type Client = oauth2::Client<
    BasicErrorResponse,
    Granted,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
>;

/// An answer with a token. Some givers write numbers as texts, and some leave the type out.
#[derive(Debug, Serialize, Deserialize)]
struct Granted {
    access_token: AccessToken,
    #[serde(default = "bearer")]
    token_type: BasicTokenType,
    #[serde(default, deserialize_with = "seconds")]
    expires_in: Option<u64>,
}

fn bearer() -> BasicTokenType {
    BasicTokenType::Bearer
}

fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    Ok(match serde_json::Value::deserialize(from)? {
        serde_json::Value::Number(number) => number
            .as_u64()
            .or_else(|| number.as_f64().map(|seconds| seconds.max(0.0) as u64)),
        serde_json::Value::String(text) => text.trim().parse().ok(),
        _ => None,
    })
}

impl TokenResponse for Granted {
    type TokenType = BasicTokenType;

    fn access_token(&self) -> &AccessToken {
        &self.access_token
    }

    fn token_type(&self) -> &BasicTokenType {
        &self.token_type
    }

    fn expires_in(&self) -> Option<Duration> {
        self.expires_in.map(Duration::from_secs)
    }

    fn refresh_token(&self) -> Option<&RefreshToken> {
        None
    }

    fn scopes(&self) -> Option<&Vec<Scope>> {
        None
    }
}

impl Granted {
    fn held(&self, serial: u64) -> Result<Held, TokenError> {
        if !is_bearer(&self.token_type) {
            let words = "the token is of another type than Bearer";
            return Err(TokenError(words.to_owned()));
        }
        let token = self.access_token.secret();
        let bad = || TokenError("what it calls a token is none".to_owned());
        if token.is_empty() || token.len() > TOKEN_BYTES {
            return Err(bad());
        }
        let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| bad())?;
        value.set_sensitive(true);
        let now = Instant::now();
        let life = self.expires_in().map(|life| life.min(LONGEST_LIFE));
        Ok(Held {
            token: Token { value, serial },
            renew_at: life.map(|life| now + renewed_after(life)),
            ends_at: life.map(|life| now + life),
        })
    }
}

fn is_bearer(kind: &BasicTokenType) -> bool {
    match kind {
        BasicTokenType::Bearer => true,
        BasicTokenType::Extension(name) => name.eq_ignore_ascii_case("bearer"),
        BasicTokenType::Mac => false,
    }
}

/// After what time a token of this life is renewed.
fn renewed_after(life: Duration) -> Duration {
    let early = life.saturating_sub(RENEWED_BEFORE);
    let earliest = life.mul_f64(RENEWED_NOT_BEFORE);
    early.max(earliest).min(life.mul_f64(RENEWED_AFTER))
}

fn secret_of(plan: &OAuth2) -> String {
    String::from_utf8_lossy(plan.client_secret.expose()).into_owned()
}

/// Has our client make the library's request; notes the status, which the library does not tell.
async fn exchange(
    fetcher: Fetcher,
    request: HttpRequest,
    limits: Limits,
    noted: Arc<Mutex<Option<StatusCode>>>,
) -> Result<HttpResponse, FetchError> {
    let mut request = request.map(Bytes::from);
    if let Some(value) = request.headers_mut().get_mut(AUTHORIZATION) {
        value.set_sensitive(true);
    }
    let note = |status| *noted.lock().unwrap_or_else(PoisonError::into_inner) = Some(status);
    match fetcher.fetch(request, limits).await {
        Ok(answer) => {
            note(answer.status());
            Ok(answer.map(|body| body.to_vec()))
        }
        Err(error) => {
            if let FetchError::Body { head, .. } = &error {
                note(head.status);
            }
            Err(error)
        }
    }
}

fn late() -> TokenError {
    TokenError("no answer in time".to_owned())
}

/// What went wrong, without anything that the other side wrote.
fn in_words(
    error: RequestTokenError<FetchError, BasicErrorResponse>,
    status: Option<StatusCode>,
) -> TokenError {
    let answered = status.map_or(String::new(), |status| {
        format!("status {}", status.as_u16())
    });
    let ok = status == Some(StatusCode::OK);
    TokenError(match error {
        RequestTokenError::Request(FetchError::Timeout(_)) => return late(),
        RequestTokenError::Request(FetchError::Body { why, .. }) => match why {
            BodyError::TooLong(_) => format!("{answered}, {why}"),
            BodyError::Broken => format!("{answered}, but {why}"),
        },
        RequestTokenError::Request(error) => error.to_string(),
        RequestTokenError::ServerResponse(error) => {
            let code = error.error().as_ref();
            match KNOWN_CODES.iter().find(|known| **known == code) {
                Some(code) => format!("{answered}, {code}"),
                None => answered,
            }
        }
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) if ok => {
            format!("{answered}, but there is no token in the answer")
        }
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => answered,
    })
}

#[cfg(test)]
mod tests;
