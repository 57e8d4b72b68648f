//! Spans as OTLP has them, in its JSON form: a request to export them, and what an answer says.
//!
//! Source: the specification of the OpenTelemetry protocol ("JSON Protobuf Encoding") and its `trace.proto`, read on 2026-11-28:
//! names in lower camel case, trace and span ids as hex, 64-bit numbers as text, enums as numbers.

use serde::{Deserialize, Serialize};

use super::{Kind, Span, Value};

/// The flags of a span: it is recorded; it is known whether its parent is remote; it is.
const SAMPLED: u32 = 0x01;
const PARENT_KNOWN: u32 = 0x100;
const PARENT_REMOTE: u32 = 0x200;

/// The status of a span that failed.
const FAILED: u8 = 2;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Export<'a> {
    resource_spans: [ResourceSpans<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpans<'a> {
    resource: Resource<'a>,
    scope_spans: [ScopeSpans<'a>; 1],
}

#[derive(Serialize)]
struct Resource<'a> {
    attributes: [KeyValue<'a>; 6],
}

#[derive(Serialize)]
struct ScopeSpans<'a> {
    scope: Scope,
    spans: Vec<SpanShape<'a>>,
}

#[derive(Serialize)]
struct Scope {
    name: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SpanShape<'a> {
    trace_id: String,
    span_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_state: Option<&'a str>,
    flags: u32,
    name: &'a str,
    kind: u8,
    start_time_unix_nano: String,
    end_time_unix_nano: String,
    attributes: Vec<KeyValue<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    links: Vec<Link>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Link {
    trace_id: String,
    span_id: String,
}

#[derive(Serialize)]
struct Status {
    code: u8,
}

#[derive(Serialize)]
struct KeyValue<'a> {
    key: &'static str,
    value: AnyValue<'a>,
}

#[derive(Serialize)]
enum AnyValue<'a> {
    #[serde(rename = "stringValue")]
    Text(&'a str),
    #[serde(rename = "intValue")]
    Int(String),
    #[serde(rename = "boolValue")]
    Bool(bool),
}

/// Who we are in traces.
#[derive(Debug)]
pub(super) struct Identity {
    /// This process, and no other.
    pub(super) instance: String,
}

/// The request that exports these spans of the service.
pub(super) fn request(service: &str, identity: &Identity, spans: &[Span]) -> Vec<u8> {
    let name = env!("CARGO_PKG_NAME");
    let version = env!("CARGO_PKG_VERSION");
    let text = |key, text| KeyValue {
        key,
        value: AnyValue::Text(text),
    };
    let export = Export {
        resource_spans: [ResourceSpans {
            resource: Resource {
                attributes: [
                    text("service.name", service),
                    text("service.version", version),
                    text("service.instance.id", &identity.instance),
                    text("telemetry.sdk.name", name),
                    text("telemetry.sdk.language", "rust"),
                    text("telemetry.sdk.version", version),
                ],
            },
            scope_spans: [ScopeSpans {
                scope: Scope { name, version },
                spans: spans.iter().map(shape).collect(),
            }],
        }],
    };
    // Strings and numbers can always be written.
    serde_json::to_vec(&export).unwrap_or_default()
}

fn shape(span: &Span) -> SpanShape<'_> {
    let began = span.began.as_nanosecond();
    let took = i128::try_from(span.took.as_nanos()).unwrap_or(i128::MAX);
    let remote = if span.parent_is_remote {
        PARENT_REMOTE
    } else {
        0
    };
    SpanShape {
        trace_id: span.trace.to_string(),
        span_id: span.id.to_string(),
        parent_span_id: span.parent.map(|id| id.to_string()),
        trace_state: span.state.as_deref(),
        flags: SAMPLED | PARENT_KNOWN | remote,
        name: &span.name,
        kind: match span.kind {
            Kind::Internal => 1,
            Kind::Server => 2,
            Kind::Client => 3,
        },
        start_time_unix_nano: began.to_string(),
        end_time_unix_nano: began.saturating_add(took).to_string(),
        attributes: span.attributes.iter().map(attribute).collect(),
        links: span
            .link
            .iter()
            .map(|(trace, id)| Link {
                trace_id: trace.to_string(),
                span_id: id.to_string(),
            })
            .collect(),
        status: span.failed.then_some(Status { code: FAILED }),
    }
}

fn attribute<'a>((key, value): &'a (&'static str, Value)) -> KeyValue<'a> {
    let value = match value {
        Value::Text(text) => AnyValue::Text(text),
        Value::Int(number) => AnyValue::Int(number.to_string()),
        Value::Bool(value) => AnyValue::Bool(*value),
    };
    KeyValue { key, value }
}

/// What a collector that has taken a request says of it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Answer {
    partial_success: Option<Partial>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Partial {
    /// A 64-bit number: a text, though some write it as a number.
    rejected_spans: serde_json::Value,
    error_message: String,
}

/// How many spans were refused by a collector that has taken the request, and why. What cannot be read says that none was.
pub(super) fn rejected(answer: &[u8]) -> (u64, String) {
    let answer: Answer = serde_json::from_slice(answer).unwrap_or_default();
    let partial = answer.partial_success.unwrap_or_default();
    let count = match &partial.rejected_spans {
        serde_json::Value::String(text) => text.parse().ok(),
        other => other.as_u64(),
    };
    (count.unwrap_or(0), partial.error_message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partial_success_is_read_in_both_forms() {
        for (answer, wanted) in [
            ("{}", 0),
            ("", 0),
            ("not json", 0),
            (r#"{"partialSuccess":{}}"#, 0),
            (
                r#"{"partialSuccess":{"rejectedSpans":"3","errorMessage":"no"}}"#,
                3,
            ),
            (r#"{"partialSuccess":{"rejectedSpans":3}}"#, 3),
            (r#"{"partialSuccess":{"rejectedSpans":"-1"}}"#, 0),
        ] {
            assert_eq!(rejected(answer.as_bytes()).0, wanted, "{answer}");
        }
    }
}
