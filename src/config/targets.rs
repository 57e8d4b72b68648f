//! Targets: `targets.NAME`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};
use jiff::Timestamp;

use super::context::Context;
use super::file::{
    BreakerFile, BreakerOptions, CloudEventsFile, CloudEventsModeFile, HeaderFile, OnDeadFile,
    SignFile, TargetFile,
};
use super::sources::http_url;
use super::yaml::member;
use super::{auth, egress, scheme, secrets, tls};
use crate::cloudevents::is_text;
use crate::egress::Guard;
use crate::event::HOPS_HEADER;
use crate::id::TargetName;
use crate::order::{OnDead, OrderBy};
use crate::plan::{Auth, BreakerPolicy, CloudEvents, CloudEventsMode, Signer, Target};
use crate::retry::{RetryPolicy, RetryRecord};
use crate::signature::{Outbound, Scheme, SignError, called_url, sign};
use crate::trace::{PARENT_HEADER, STATE_HEADER};
use crate::units::{Rate, parse_rate};

/// How long an attempt may take, unless configured.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(15);

/// Most attempts at a time, unless configured.
const DEFAULT_CONCURRENCY: u32 = 8;

/// The longest timeout; what takes longer is no answer to a webhook.
const MAX_TIMEOUT: Duration = Duration::from_secs(3600);

/// Most attempts at a time that can be configured; each may hold a connection and a body.
const MAX_CONCURRENCY: u32 = 1024;

/// When a target is taken to be down, unless configured: so late that some bad luck of a target that is up is not it.
const DEFAULT_BREAKER: BreakerPolicy = BreakerPolicy {
    failures: 10,
    ratio: 0.5,
    requests: 20,
    window: Duration::from_secs(30),
};

/// The shortest and the longest window of the ratio: less is chance, more is not about now.
const BREAKER_WINDOW: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(3600);

/// Headers that the HTTP client or ingate itself sets.
pub(super) const OWN_HEADERS: [&str; 11] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    HOPS_HEADER,
    PARENT_HEADER,
    STATE_HEADER,
];

/// Compiles the targets, in the order of the file.
pub(super) fn compile(
    cx: &mut Context<'_>,
    written: &[(String, Option<TargetFile>)],
    guard: &Guard,
) -> BTreeMap<TargetName, Arc<Target>> {
    let mut targets = BTreeMap::new();
    for (name, file) in written {
        let at = member("targets", name);
        let parsed = cx.name::<TargetName>(&at, name);
        let Some(file) = file else {
            continue;
        };
        if let Some(target) = compile_one(cx, &at, parsed, file, guard) {
            targets.insert(target.name.clone(), Arc::new(target));
        }
    }
    targets
}

fn compile_one(
    cx: &mut Context<'_>,
    at: &str,
    name: Option<TargetName>,
    file: &TargetFile,
    guard: &Guard,
) -> Option<Target> {
    let url = http_url(&file.url)
        .and_then(|url| egress::check_host(guard, &url).map(|()| url))
        .map_err(|message| cx.report.error(&member(at, "url"), message))
        .ok();
    let headers = headers(cx, &member(at, "headers"), file.headers.as_ref());
    let cloudevents = file.cloudevents.as_ref();
    let cloudevents = cloudevents.map(|it| cloud_events(cx, &member(at, "cloudevents"), it));
    let sign = match &file.sign {
        Some(sign) => signer(cx, &member(at, "sign"), sign, &file.url).map(Some),
        None => Some(None),
    };
    let auth = match &file.auth {
        Some(auth) => {
            let at = member(at, "auth");
            auth::compile(cx, &at, auth, url.as_ref(), &headers, guard).map(Some)
        }
        None => Some(None),
    };
    if let (Some(Some(auth)), Some(Some(signer))) = (&auth, &sign) {
        not_both(cx, &member(at, "auth"), auth, signer, &file.url);
    }
    let retry = retry(cx, &member(at, "retry"), file.retry.as_ref());
    let timeout_path = member(at, "timeout");
    let timeout = cx.duration(&timeout_path, file.timeout.as_deref(), DEFAULT_TIMEOUT);
    if timeout.is_zero() || timeout > MAX_TIMEOUT {
        cx.report.error(
            &timeout_path,
            "a timeout is more than nothing and at most an hour",
        );
    }
    let concurrency = file.concurrency.unwrap_or(DEFAULT_CONCURRENCY);
    if !(1..=MAX_CONCURRENCY).contains(&concurrency) {
        let message = format!(
            "from 1 to {MAX_CONCURRENCY} attempts can be made at a time, not {concurrency}"
        );
        cx.report.error(&member(at, "concurrency"), message);
    }
    let rate = rate(cx, &member(at, "rate"), file.rate.as_deref());
    let breaker = match &file.breaker {
        Some(BreakerFile::Off) => None,
        Some(BreakerFile::On(options)) => Some(breaker(cx, &member(at, "breaker"), options)),
        None => Some(DEFAULT_BREAKER),
    };
    let order = order(cx, at, file);
    let tls = tls::target(cx, &member(at, "tls"), file.tls.as_ref(), url.as_ref());
    Some(Target {
        name: name?,
        url: url?,
        headers,
        cloudevents,
        sign: sign?,
        auth: auth?,
        retry: retry?,
        timeout,
        concurrency: usize::try_from(concurrency).unwrap_or(usize::MAX),
        rate,
        breaker,
        order: order?,
        tls: tls?,
    })
}

fn rate(cx: &mut Context<'_>, at: &str, written: Option<&str>) -> Option<Rate> {
    parse_rate(written?)
        .map_err(|error| cx.report.error(at, error.to_string()))
        .ok()
}

/// What is wrong is reported, and the default stands in.
fn breaker(cx: &mut Context<'_>, at: &str, written: &BreakerOptions) -> BreakerPolicy {
    let policy = BreakerPolicy {
        failures: written.failures.unwrap_or(DEFAULT_BREAKER.failures),
        ratio: written.ratio.unwrap_or(DEFAULT_BREAKER.ratio),
        requests: written.requests.unwrap_or(DEFAULT_BREAKER.requests),
        window: cx.duration(
            &member(at, "window"),
            written.window.as_deref(),
            DEFAULT_BREAKER.window,
        ),
    };
    for (name, count) in [("failures", policy.failures), ("requests", policy.requests)] {
        if count == 0 {
            let message = "at least 1: without any a target would be down from the start";
            cx.report.error(&member(at, name), message);
        }
    }
    if !(policy.ratio > 0.0 && policy.ratio <= 1.0) {
        let message = format!("{} is no share: more than 0 and at most 1", policy.ratio);
        cx.report.error(&member(at, "ratio"), message);
    }
    if !BREAKER_WINDOW.contains(&policy.window) {
        let message = "the window is at least a second and at most an hour long";
        cx.report.error(&member(at, "window"), message);
    }
    policy
}

fn order(cx: &mut Context<'_>, at: &str, file: &TargetFile) -> Option<Option<OrderBy>> {
    let Some(path) = &file.order_by else {
        if file.on_dead.is_some() {
            cx.report.error(
                &member(at, "on_dead"),
                "this is for targets with `order_by`, which this one has not",
            );
        }
        return Some(None);
    };
    let on_dead = match file.on_dead {
        Some(OnDeadFile::Skip) => OnDead::Skip,
        Some(OnDeadFile::Hold) | None => OnDead::Hold,
    };
    match OrderBy::compile(path, on_dead) {
        Ok(order) => Some(Some(order)),
        Err(message) => {
            cx.report.error(&member(at, "order_by"), message);
            None
        }
    }
}

/// Headers that are sent besides our own.
pub(super) fn headers(
    cx: &mut Context<'_>,
    at: &str,
    written: Option<&BTreeMap<String, HeaderFile>>,
) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::new();
    for (name, value) in written.into_iter().flatten() {
        let path = member(at, name);
        let Ok(header) = HeaderName::from_bytes(name.as_bytes()) else {
            cx.report
                .key_error(&path, format!("{name:?} is not the name of a header"), None);
            continue;
        };
        if OWN_HEADERS.contains(&header.as_str()) {
            cx.report
                .key_error(&path, "this header is ingate's own to set", None);
            continue;
        }
        if headers.iter().any(|(known, _)| *known == header) {
            cx.report.key_error(&path, "this header stands twice", None);
            continue;
        }
        let bytes = match value {
            HeaderFile::Text(text) => Some(text.as_bytes().to_vec()),
            HeaderFile::Secret(secret) => {
                secrets::resolve(cx, &path, secret).map(|secret| secret.expose().to_vec())
            }
        };
        let Some(bytes) = bytes else {
            continue;
        };
        match HeaderValue::from_bytes(&bytes) {
            Ok(mut sent) => {
                sent.set_sensitive(matches!(value, HeaderFile::Secret(_)));
                headers.push((header, sent));
            }
            Err(_) => cx.report.error(
                &path,
                "a header's value has no line breaks and no control characters",
            ),
        }
    }
    headers
}

/// What is wrong is reported and stays as it is.
fn cloud_events(cx: &mut Context<'_>, at: &str, written: &CloudEventsFile) -> CloudEvents {
    let texts = [("source", &written.source), ("type", &written.event_type)];
    for (name, text) in texts {
        let Some(text) = text else {
            continue;
        };
        let message = if text.is_empty() {
            "an attribute of a CloudEvent is not empty"
        } else if !is_text(text) {
            "an attribute of a CloudEvent has no control characters"
        } else if name == "source" && text.contains(char::is_whitespace) {
            "the source of a CloudEvent is a URI or a reference to one, such as https://example.com/shop"
        } else {
            continue;
        };
        cx.report.error(&member(at, name), message);
    }
    CloudEvents {
        mode: match written.mode {
            CloudEventsModeFile::Structured => CloudEventsMode::Structured,
            CloudEventsModeFile::Binary => CloudEventsMode::Binary,
        },
        source: written.source.clone(),
        event_type: written.event_type.clone(),
    }
}

fn signer(cx: &mut Context<'_>, at: &str, file: &SignFile, url: &str) -> Option<Signer> {
    let scheme = scheme::compile(cx, at, file.preset.as_deref(), file.scheme.as_ref());
    let keys = secrets::keys(
        cx,
        &member(at, "secrets"),
        file.secrets.as_deref(),
        scheme.as_ref(),
        Scheme::signing_key,
    );
    let signer = Signer {
        scheme: scheme?,
        scheme_name: scheme::name(file.preset.as_deref()),
        keys: keys?,
        secrets: secrets::names(file.secrets.as_deref()),
    };
    // Whether a scheme can sign at all is best known by trying it.
    let called = called_url(&signer.scheme, url, TRIAL);
    match sign(&signer.scheme, &signer.keys, &trial(&called)) {
        // what a body has is seen when there is one
        Ok(_) | Err(SignError::MissingPart(_)) => return Some(signer),
        Err(error) => {
            let place = if file.preset.is_some() {
                "preset"
            } else {
                "scheme"
            };
            cx.report.error(&member(at, place), error.to_string());
        }
    }
    None
}

/// The body that is signed to see what comes of it.
const TRIAL: &[u8] = b"{}";

/// What is signed to see what comes of it.
fn trial(url: &str) -> Outbound<'_> {
    Outbound {
        id: "trial",
        timestamp: Timestamp::UNIX_EPOCH,
        method: &Method::POST,
        url,
        event_type: "trial",
        body: TRIAL,
    }
}

/// The signature may not stand where `auth` does.
fn not_both(cx: &mut Context<'_>, at: &str, auth: &Auth, signer: &Signer, url: &str) {
    let called = called_url(&signer.scheme, url, TRIAL);
    let signed = sign(&signer.scheme, &signer.keys, &trial(&called)).unwrap_or_default();
    let taken = auth.header_name();
    if let Some((taken, _)) = signed.iter().find(|(name, _)| Some(name) == taken.as_ref()) {
        let message = format!("`sign` puts the signature into {taken} as well");
        cx.report.key_error(at, message, None);
    }
}

fn retry(cx: &mut Context<'_>, at: &str, written: Option<&RetryRecord>) -> Option<RetryPolicy> {
    let default = RetryRecord::default();
    match RetryPolicy::compile(written.unwrap_or(&default)) {
        Ok(policy) => Some(policy),
        Err(errors) => {
            for error in errors {
                let path = if error.path.is_empty() {
                    at.to_owned()
                } else {
                    member(at, &error.path)
                };
                cx.report.error(&path, error.message);
            }
            None
        }
    }
}
