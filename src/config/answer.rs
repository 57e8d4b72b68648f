//! What the good requests of a source are answered with: `sources.NAME.answer`.

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use serde_json::Value;

use super::context::Context;
use super::file::AnswerFile;
use super::yaml::member;
use crate::plan::{Answer, AnswerBody};

/// Most bytes of a body; those who want one want a word.
const MAX_BODY_BYTES: usize = 1024;

/// Compiles an answer. What is wrong goes to the report.
pub(super) fn compile(
    cx: &mut Context<'_>,
    at: &str,
    written: Option<&AnswerFile>,
) -> Option<Answer> {
    let file = written?;
    if file.status.is_none() && file.body.is_none() {
        let message = "an answer has a `status`, a `body` or both, such as `{status: 204}`";
        cx.report.key_error(at, message, None);
        return None;
    }
    let number = file.status.unwrap_or(200);
    let status = StatusCode::from_u16(number).ok();
    let Some(status) = status.filter(StatusCode::is_success) else {
        let message = format!("{number} does not say that it is good: 200 to 299 do");
        cx.report.error(&member(at, "status"), message);
        return None;
    };
    let bodiless = matches!(number, 204 | 205);
    let text = file.body.as_deref().or(bodiless.then_some(""));
    if bodiless && text.is_some_and(|text| !text.is_empty()) {
        let message = format!("an answer of status {number} has no body");
        cx.report.error(&member(at, "body"), message);
        return None;
    }
    let content_type = content_type(cx, &member(at, "content_type"), file, text)?;
    if text.is_some_and(|text| text.len() > MAX_BODY_BYTES) {
        let message = format!("a body of an answer has at most {MAX_BODY_BYTES} bytes");
        cx.report.error(&member(at, "body"), message);
        return None;
    }
    Some(Answer {
        status,
        body: text.map(|text| AnswerBody {
            bytes: Bytes::copy_from_slice(text.as_bytes()),
            content_type,
        }),
    })
}

/// What the body is of; none where there is none. `None` where something is wrong with it.
fn content_type(
    cx: &mut Context<'_>,
    at: &str,
    file: &AnswerFile,
    text: Option<&str>,
) -> Option<Option<HeaderValue>> {
    let has_body = text.is_some_and(|text| !text.is_empty());
    let Some(written) = &file.content_type else {
        let structured = text
            .and_then(|text| serde_json::from_str(text).ok())
            .is_some_and(|value: Value| value.is_object() || value.is_array());
        let default = if structured {
            "application/json"
        } else {
            "text/plain"
        };
        return Some(has_body.then(|| HeaderValue::from_static(default)));
    };
    if !has_body {
        let message = "this is for answers with a `body`, which this one has not";
        cx.report.error(at, message);
        return None;
    }
    let visible = written.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let parts = written.split_once('/');
    let good = visible && parts.is_some_and(|(kind, rest)| !kind.is_empty() && !rest.is_empty());
    match HeaderValue::from_str(written) {
        Ok(value) if good => Some(Some(value)),
        _ => {
            let message = format!("{written:?} is no content type such as text/plain");
            cx.report.error(at, message);
            None
        }
    }
}
