//! What is told to others: `telemetry`.

use http::Uri;
use http::header::CONTENT_TYPE;

use super::context::Context;
use super::file::TelemetryFile;
use super::sources::http_url;
use super::targets;
use crate::plan::OtlpPlan;
use crate::trace::Sampling;

/// How we are called in traces unless something else is wanted.
const SERVICE: &str = "ingate";

/// Most bytes of a service's name: it stands in everything that is sent.
const SERVICE_BYTES: usize = 255;

/// What OTLP puts behind the URL of a collector, for traces.
const TRACES: &str = "/v1/traces";

/// Compiles `telemetry`. What is wrong goes to the report.
pub(super) fn compile(cx: &mut Context<'_>, written: Option<&TelemetryFile>) -> Option<OtlpPlan> {
    let file = written?.otlp.as_ref()?;
    let checked = endpoint(&file.endpoint);
    let endpoint = checked
        .map_err(|message| cx.report.error("telemetry.otlp.endpoint", message))
        .ok();
    let headers = targets::headers(cx, "telemetry.otlp.headers", file.headers.as_ref());
    if headers.iter().any(|(name, _)| *name == CONTENT_TYPE) {
        let at = "telemetry.otlp.headers.content-type";
        cx.report
            .key_error(at, "this header is ingate's own to set", None);
    }
    let share = file.sample.unwrap_or(1.0);
    if !(0.0..=1.0).contains(&share) {
        let message = format!("{share} is no share: at least 0 and at most 1, such as 0.1");
        cx.report.error("telemetry.otlp.sample", message);
    }
    let service_name = file.service_name.clone();
    let service_name = service_name.unwrap_or_else(|| SERVICE.to_owned());
    if service_name.is_empty() || service_name.len() > SERVICE_BYTES {
        let message = format!("a service's name has 1 to {SERVICE_BYTES} bytes");
        cx.report.error("telemetry.otlp.service_name", message);
    }
    Some(OtlpPlan {
        endpoint: endpoint?,
        headers,
        sampling: Sampling::share(share),
        service_name,
    })
}

/// Where traces are posted to.
fn endpoint(text: &str) -> Result<Uri, String> {
    let url = http_url(text)?;
    if url.query().is_some() {
        return Err(format!("{text:?}: the URL of a collector has no query"));
    }
    if url.path().trim_end_matches('/').ends_with(TRACES) {
        return Err(format!(
            "{text:?}: without {TRACES}, which is put behind it, such as http://127.0.0.1:4318"
        ));
    }
    let base = text.trim_end_matches('/');
    format!("{base}{TRACES}")
        .parse()
        .map_err(|_| format!("{text:?} is not an http or https URL"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_have_a_place_behind_the_url() {
        for (text, wanted) in [
            (
                "http://127.0.0.1:4318",
                Ok("http://127.0.0.1:4318/v1/traces"),
            ),
            (
                "https://otel.example.com/",
                Ok("https://otel.example.com/v1/traces"),
            ),
            (
                "https://e.example/a/otlp",
                Ok("https://e.example/a/otlp/v1/traces"),
            ),
            ("http://127.0.0.1:4318/v1/traces", Err("without /v1/traces")),
            (
                "http://127.0.0.1:4318/v1/traces/",
                Err("without /v1/traces"),
            ),
            ("http://127.0.0.1:4318?x=y", Err("no query")),
            ("grpc://127.0.0.1:4317", Err("http or https")),
            ("http://me:word@127.0.0.1", Err("credentials")),
        ] {
            match (endpoint(text), wanted) {
                (Ok(url), Ok(wanted)) => assert_eq!(url.to_string(), wanted),
                (Err(error), Err(wanted)) => assert!(error.contains(wanted), "{text}: {error}"),
                (got, wanted) => panic!("{text}: {got:?}, not {wanted:?}"),
            }
        }
    }
}
