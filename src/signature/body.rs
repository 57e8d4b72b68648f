//! The body as an event has it: JSON as it came, or made of a form.
//!
//! Promise: parsed at most once, and only when it is asked for; what is verified are the bytes as they came.
//! A body that can be JSON is never read as a form, whatever its content type says, so that nobody makes
//! another event of a captured request by a header. What is no form that can be read stays as it came.
//! Not here: envelopes.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::map::Entry;
use serde_json::{Map, Value};

use super::builtin::{Builtin, twilio};
use super::scheme::{FormRule, Scheme};
use crate::json::{Document, Kind, Ref};

/// Most fields of a form; vendors send some dozens, and each takes many times its bytes in memory.
const MAX_FIELDS: usize = 1024;

/// The content type of forms.
const FORM: &str = "application/x-www-form-urlencoded";

/// The segment of a pointer that stands for every item or member.
const EVERY: &str = "*";

/// The body's JSON, parsed when it is first asked for.
pub(super) struct Json<'a> {
    body: &'a Bytes,
    form: Option<&'a FormRule>,
    made: Option<Bytes>,
    parsed: Option<Option<Document>>,
}

/// What an event has for its body.
pub(super) struct Made {
    pub(super) body: Bytes,
    /// None if it is not JSON.
    pub(super) json: Option<Document>,
    /// Headers that stand for those that came.
    pub(super) replaced: Vec<(HeaderName, HeaderValue)>,
}

impl<'a> Json<'a> {
    /// The JSON of a body that came with these headers.
    pub(super) fn of(scheme: &'a Scheme, headers: &HeaderMap, body: &'a Bytes) -> Self {
        let form = scheme.form.as_ref();
        let takes_form = match scheme.builtin {
            Some(Builtin::Twilio) => twilio::takes_form(headers),
            _ => is_form(headers),
        };
        Self {
            body,
            form: form.filter(|_| takes_form && !looks_like_json(body)),
            made: None,
            parsed: None,
        }
    }

    pub(super) fn parsed(&mut self) -> Option<Ref<'_>> {
        if self.parsed.is_none() {
            self.made = self.form.and_then(|rule| object_of(self.body, rule));
            let body = self.made.as_ref().unwrap_or(self.body);
            self.parsed = Some(Document::parse(body).ok());
        }
        let document = self.parsed.as_ref()?.as_ref()?;
        Some(document.root())
    }

    /// The text or number at a pointer, as it is written.
    pub(super) fn text(&mut self, pointer: &str) -> Option<String> {
        text_of(self.parsed()?.pointer(pointer)?)
    }

    /// The texts at all places that a pointer with segments `*` stands for; `None` if there is none, or one of
    /// them has no text.
    pub(super) fn each(&mut self, pointer: &str) -> Option<Vec<String>> {
        let mut places = vec![self.parsed()?];
        let mut rest = pointer;
        while let Some((before, after)) = at_every(rest) {
            let mut inner = Vec::new();
            for place in places {
                match place.pointer(before)?.kind() {
                    Kind::Array(items) => inner.extend(items.iter()),
                    Kind::Object(members) => inner.extend(members.iter().map(|(_, value)| value)),
                    _ => return None,
                }
            }
            places = inner;
            rest = after;
        }
        let texts: Option<Vec<String>> = places
            .into_iter()
            .map(|place| text_of(place.pointer(rest)?))
            .collect();
        texts.filter(|texts| !texts.is_empty())
    }

    pub(super) fn take(mut self) -> Made {
        self.parsed();
        let mut replaced = Vec::new();
        if self.made.is_some() {
            replaced.push((CONTENT_TYPE, HeaderValue::from_static("application/json")));
        }
        Made {
            body: self.made.unwrap_or_else(|| self.body.clone()),
            json: self.parsed.flatten(),
            replaced,
        }
    }
}

/// The text or number of a value, as it is written.
pub(super) fn text_of(value: Ref<'_>) -> Option<String> {
    match value.kind() {
        Kind::String(text) | Kind::Number(text) => Some(text.to_owned()),
        Kind::Null | Kind::Bool(_) | Kind::Array(_) | Kind::Object(_) => None,
    }
}

/// What stands before and behind the first segment `*` of a pointer.
fn at_every(pointer: &str) -> Option<(&str, &str)> {
    let mut at = 0;
    for segment in pointer.split('/') {
        let end = at + segment.len();
        if segment == EVERY && at > 0 {
            return Some((pointer.get(..at - 1)?, pointer.get(end..)?));
        }
        at = end + 1;
    }
    None
}

/// Whether the headers say that the body is a form.
pub(super) fn is_form(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return false;
    };
    let kind = value.to_str().unwrap_or_default().split(';').next();
    kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case(FORM))
}

/// Whether it begins as an object or array does, which no form that is written by the rules does.
pub(super) fn looks_like_json(body: &[u8]) -> bool {
    matches!(body.trim_ascii_start().first(), Some(b'{' | b'['))
}

/// The form as JSON; `None` if it has too many fields.
fn object_of(body: &[u8], rule: &FormRule) -> Option<Bytes> {
    let mut fields = Map::new();
    for (at, (name, value)) in form_urlencoded::parse(body).enumerate() {
        if at == MAX_FIELDS {
            return None;
        }
        let value = Value::String(value.into_owned());
        match fields.entry(name) {
            Entry::Vacant(entry) => {
                entry.insert(value);
            }
            Entry::Occupied(mut entry) => match entry.get_mut() {
                Value::Array(values) => values.push(value),
                first => *first = Value::Array(vec![first.take(), value]),
            },
        }
    }
    let json = rule.json.as_ref().and_then(|name| fields.get(name));
    if let Some(Value::String(text)) = json
        && Document::parse(text.as_bytes()).is_ok()
    {
        return Some(Bytes::copy_from_slice(text.as_bytes()));
    }
    serde_json::to_vec(&fields).ok().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::SchemeRecord;

    fn scheme(form: &str) -> Scheme {
        let yaml = format!("{{signature: {{header: s}}{form}}}");
        let record: SchemeRecord = serde_yaml::from_str(&yaml).unwrap();
        Scheme::compile(&record).unwrap()
    }

    fn made(form: &str, kind: &str, body: &str) -> (String, bool) {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, kind.parse().unwrap());
        let body = Bytes::copy_from_slice(body.as_bytes());
        let made = Json::of(&scheme(form), &headers, &body).take();
        let text = String::from_utf8(made.body.to_vec()).unwrap();
        if let Some(json) = &made.json {
            let value: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(json.root().to_value(), value);
        }
        (text, !made.replaced.is_empty())
    }

    #[test]
    fn forms_become_objects() {
        let json = ", form: {json: payload}";
        for (rule, kind, body, wanted) in [
            (
                ", form: {}",
                FORM,
                "a=1&b=x%20y+z",
                r#"{"a":"1","b":"x y z"}"#,
            ),
            (
                ", form: {}",
                FORM,
                "b=1&a=2&b=3&b=",
                r#"{"b":["1","3",""],"a":"2"}"#,
            ),
            (", form: {}", FORM, "", "{}"),
            (
                ", form: {}",
                FORM,
                "a=%22%7D&%00=%ff",
                r#"{"a":"\"}","\u0000":"�"}"#,
            ),
            (
                ", form: {}",
                "Application/X-WWW-Form-Urlencoded; charset=utf-8",
                "a",
                r#"{"a":""}"#,
            ),
            (json, FORM, "payload=%7B%22a%22%3A+1%7D&x=y", r#"{"a": 1}"#),
            (json, FORM, "payload=%7B&x=y", r#"{"payload":"{","x":"y"}"#),
            (json, FORM, "x=y", r#"{"x":"y"}"#),
            // twice is not once
            (
                json,
                FORM,
                "payload=1&payload=2",
                r#"{"payload":["1","2"]}"#,
            ),
        ] {
            assert_eq!(made(rule, kind, body), (wanted.to_owned(), true), "{body}");
        }
    }

    #[test]
    fn other_bodies_stay_as_they_came() {
        for (rule, kind, body) in [
            ("", FORM, "a=1"),
            (", form: {}", "application/json", "a=1"),
            (", form: {}", "multipart/form-data", "a=1"),
            // A header that is not signed does not make another event of it.
            (", form: {}", FORM, " {\"a\": 1}"),
            (", form: {}", FORM, "[1]"),
        ] {
            assert_eq!(
                made(rule, kind, body),
                (body.to_owned(), false),
                "{kind} {body}"
            );
        }
        let many = vec!["a=1"; MAX_FIELDS + 1].join("&");
        assert_eq!(made(", form: {}", FORM, &many), (many, false));
    }

    #[test]
    fn pointers_to_every_place() {
        let scheme = scheme("");
        for (body, pointer, wanted) in [
            (r#"{"v":[{"c":"a"},{"c":"b"}]}"#, "/v/*/c", Some("a b")),
            (
                r#"{"v":{"x":{"c":"a"},"y":{"c":2}}}"#,
                "/v/*/c",
                Some("a 2"),
            ),
            (r#"["a","b"]"#, "/*", Some("a b")),
            (r#"{"v":[["a"],["b","c"]]}"#, "/v/*/*", Some("a b c")),
            (r#"{"v":[{"c":"a"},{}]}"#, "/v/*/c", None),
            (r#"{"v":[{"c":"a"},{"c":null}]}"#, "/v/*/c", None),
            (r#"{"v":[]}"#, "/v/*/c", None),
            (r#"{"v":"a"}"#, "/v/*/c", None),
            (r#"{}"#, "/v/*/c", None),
            ("no", "/v/*/c", None),
        ] {
            let body = Bytes::copy_from_slice(body.as_bytes());
            let headers = HeaderMap::new();
            let mut json = Json::of(&scheme, &headers, &body);
            let got = json.each(pointer).map(|texts| texts.join(" "));
            assert_eq!(got.as_deref(), wanted, "{body:?} {pointer}");
        }
    }
}
