//! Sources, and what failed verification at them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Time;
use super::live::InShape;
use crate::id::{RouteName, SourceName};
use crate::live::{Failed, MAX_ARMED, Unconfirmed};
use crate::plan::{Dedupe, DedupeBy, Plan, Source};
use crate::secret::SecretName;
use crate::units::parse_duration;
use jiff::Timestamp;

/// For how long a source is armed unless that is said: as long as it takes to set a webhook up elsewhere.
const ARMED: Duration = Duration::from_secs(600);

/// Where a secret comes from; never the secret.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct SecretShape<'a> {
    /// `env`, `file`, `credential` or `value`.
    from: &'static str,
    /// The variable, file or credential; null for one that stands in the configuration itself.
    name: Option<&'a str>,
}

impl<'a> SecretShape<'a> {
    pub(in crate::admin) fn of(secrets: impl IntoIterator<Item = &'a SecretName>) -> Vec<Self> {
        secrets.into_iter().map(Self::from).collect()
    }
}

impl<'a> From<&'a SecretName> for SecretShape<'a> {
    fn from(secret: &'a SecretName) -> Self {
        Self {
            from: secret.form(),
            name: secret.name(),
        }
    }
}

/// A source.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct SourceShape<'a> {
    name: &'a SourceName,
    /// The path that it listens on.
    path: &'a str,
    /// The preset, or `custom`.
    scheme: String,
    /// Way by way, newest first.
    secrets: Vec<SecretShape<'a>>,
    /// Null if it is off.
    dedupe: Option<DedupeShape>,
    /// JSON pointers to what is not shown.
    redact: &'a [String],
    /// Routes that take from it, in the order of the configuration.
    routes: Vec<&'a RouteName>,
    last_minute: InShape,
    /// Requests that failed verification since the start.
    failures: u64,
    last_failure_at: Option<Time>,
    /// Until when it waits for a secret that is handed over; null if it does not.
    armed_until: Option<Time>,
    /// Topics of which a subscription waits to be confirmed.
    unconfirmed: Vec<String>,
}

/// For how long a source is to wait for a secret.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::admin) struct ArmShape {
    /// Such as `10m`.
    #[serde(rename = "for", default)]
    time: Option<String>,
}

impl ArmShape {
    /// As long as is asked for, if so long it may be.
    pub(in crate::admin) fn time(&self) -> Result<Duration, String> {
        let Some(text) = &self.time else {
            return Ok(ARMED);
        };
        let time = parse_duration(text).map_err(|error| format!("`for`: {error}"))?;
        if time.is_zero() || time > MAX_ARMED {
            return Err("`for`: a source can be armed for up to 1h".to_owned());
        }
        Ok(time)
    }
}

#[derive(Debug, Serialize)]
struct DedupeShape {
    by: &'static str,
    for_seconds: f64,
}

impl From<Dedupe> for DedupeShape {
    fn from(dedupe: Dedupe) -> Self {
        Self {
            by: match dedupe.by {
                DedupeBy::Id => "id",
                DedupeBy::Body => "body",
            },
            for_seconds: dedupe.window.as_secs_f64(),
        }
    }
}

impl<'a> SourceShape<'a> {
    /// The shape of a source of this plan.
    pub(in crate::admin) fn new(
        source: &'a Source,
        plan: &'a Plan,
        last_minute: InShape,
        (failures, last): (u64, Option<Timestamp>),
    ) -> Self {
        let takes = plan.router.routes().iter();
        let takes = takes.filter(|route| route.from.contains(&source.name));
        Self {
            name: &source.name,
            path: &source.path,
            scheme: source.checks.name(),
            secrets: SecretShape::of(source.checks.ways().flat_map(|way| &way.secrets)),
            dedupe: source.dedupe.map(DedupeShape::from),
            redact: source.redact.written(),
            routes: takes.map(|route| &route.name).collect(),
            last_minute,
            failures,
            last_failure_at: last.map(Time),
            armed_until: None,
            unconfirmed: Vec::new(),
        }
    }

    /// The same with what it waits for.
    pub(in crate::admin) fn waiting_for(
        self,
        armed: Option<Timestamp>,
        unconfirmed: Vec<Unconfirmed>,
    ) -> Self {
        let unconfirmed = unconfirmed.into_iter();
        Self {
            armed_until: armed.map(Time),
            unconfirmed: unconfirmed.map(|one| one.topic).collect(),
            ..self
        }
    }
}

/// A request that did not verify.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct FailedShape<'a> {
    at: Time,
    reason: &'a str,
    /// The same in words, without anything that was sent.
    detail: &'a str,
    client: String,
    method: &'a str,
    size_bytes: usize,
    skew_seconds: Option<i64>,
    /// Names of its headers; no values.
    headers: &'a [String],
}

impl<'a> From<&'a Failed> for FailedShape<'a> {
    fn from(failed: &'a Failed) -> Self {
        Self {
            at: Time(failed.at),
            reason: failed.reason,
            detail: &failed.detail,
            client: failed.client.to_canonical().to_string(),
            method: &failed.method,
            size_bytes: failed.size,
            skew_seconds: failed.skew_seconds,
            headers: &failed.headers,
        }
    }
}
