//! A route's folder of cases: `NAME.json` is the body of an event, a sample; with `NAME.out.json` beside it, what must come
//! out, it is a test; `NAME.headers.json` holds its headers.
//!
//! Promise: a file that comes into the folder or goes is noticed like one that changes. Not here: tests that stand in the
//! configuration itself (see `routes`), writing cases (see `reload`).

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value};

use super::context::Context;
use super::routes::EXPECTED_BYTES;
use super::{FileKind, Purpose, read_text};
use crate::id::RouteName;
use crate::plan::{Cases, RouteSample, RouteTest};

/// How the names of the files of a case end: the body, what must come out, the headers.
pub const BODY_ENDING: &str = ".json";
/// What must come out.
pub const EXPECTED_ENDING: &str = ".out.json";
/// The headers.
pub const HEADERS_ENDING: &str = ".headers.json";

/// Most cases of a route: each is rendered for every target at every reload.
const MOST: usize = 1000;

/// Most bytes of a file of headers; the head of a request has no more unless the limits say so.
const HEADERS_BYTES: u64 = 64 << 10;

/// What stands in a folder of cases.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) tests: Vec<RouteTest>,
    pub(super) samples: Vec<RouteSample>,
}

/// Reads the folder that `written` names; what is wrong with it is reported at `at`.
pub(super) fn read(
    cx: &mut Context<'_>,
    at: &str,
    written: &str,
    route: &RouteName,
    body_bytes: u64,
) -> (Cases, Found) {
    let folder = cx.beside(written);
    let cases = Cases {
        name: written.trim_end_matches('/').to_owned(),
        folder,
    };
    let mut found = Found::default();
    match cx.files.kind(&cases.folder) {
        Some(FileKind::Folder) => {}
        Some(FileKind::File) => {
            let message = format!("{} is a file, not a folder", cases.folder.display());
            cx.report.error(at, message);
            return (cases, found);
        }
        None => {
            let message = format!("there is no folder {} yet", cases.folder.display());
            let help = "saving a sample makes it".to_owned();
            cx.report.warn(at, message, Some(help));
            return (cases, found);
        }
    }
    let names = cx.files.list(&cases.folder, BODY_ENDING);
    let stems = stems(cx, at, &names);
    if stems.len() > MOST {
        let message = format!("a folder of cases has at most {MOST} of them");
        cx.report.error(at, message);
    }
    for stem in stems.into_iter().take(MOST) {
        let reader = Reader {
            at,
            cases: &cases,
            route,
            body_bytes,
            names: &names,
        };
        reader.case(cx, stem, &mut found);
    }
    (cases, found)
}

/// The names of the cases, sorted. What belongs to none is told, since it was meant to.
fn stems<'n>(cx: &mut Context<'_>, at: &str, names: &'n [String]) -> Vec<&'n str> {
    let mut stems = Vec::new();
    for name in names {
        let beside = [EXPECTED_ENDING, HEADERS_ENDING];
        match beside.iter().find_map(|ending| name.strip_suffix(ending)) {
            Some(stem) => {
                let body = format!("{stem}{BODY_ENDING}");
                if !names.contains(&body) {
                    let message = format!("{name} belongs to no case: there is no {body}");
                    cx.report.warn(at, message, None);
                }
            }
            None => stems.extend(name.strip_suffix(BODY_ENDING)),
        }
    }
    stems
}

/// What the cases of a folder have in common.
struct Reader<'a> {
    at: &'a str,
    cases: &'a Cases,
    route: &'a RouteName,
    body_bytes: u64,
    names: &'a [String],
}

impl Reader<'_> {
    fn case(&self, cx: &mut Context<'_>, stem: &str, found: &mut Found) {
        let file = |ending: &str| self.cases.folder.join(format!("{stem}{ending}"));
        let is_there = |ending: &str| self.names.contains(&format!("{stem}{ending}"));
        let event = file(BODY_ENDING);
        let body = match cx.files.read(&event, self.body_bytes, Purpose::Open) {
            Ok(body) => bytes::Bytes::from(body),
            Err(why) => {
                let message = format!("{} cannot be read: {why}", event.display());
                cx.report.error(self.at, message);
                return;
            }
        };
        let headers = match is_there(HEADERS_ENDING) {
            true => self.headers(cx, &file(HEADERS_ENDING)),
            false => HeaderMap::new(),
        };
        let expect = file(EXPECTED_ENDING);
        let expected = is_there(EXPECTED_ENDING).then(|| {
            let read = cx.files.read(&expect, EXPECTED_BYTES, Purpose::Open);
            read.map(bytes::Bytes::from)
        });
        found.samples.push(RouteSample {
            id: String::new(),
            route: self.route.clone(),
            name: format!("{}/{stem}{BODY_ENDING}", self.cases.name),
            body: body.clone(),
            headers: headers.clone(),
            test: expected.is_some(),
            expected: expected.clone().and_then(Result::ok),
        });
        if let Some(expected) = expected {
            found.tests.push(RouteTest {
                route: self.route.clone(),
                event,
                body,
                headers,
                expect,
                expected,
            });
        }
    }

    fn headers(&self, cx: &mut Context<'_>, path: &std::path::Path) -> HeaderMap {
        let read = read_text(&*cx.files, path, HEADERS_BYTES);
        let read = read.and_then(|text| {
            let members: Map<String, Value> =
                serde_json::from_str(&text).map_err(|error| error.to_string())?;
            of_members(&members)
        });
        read.unwrap_or_else(|why| {
            let message = format!("the headers in {} cannot be used: {why}", path.display());
            cx.report.error(self.at, message);
            HeaderMap::new()
        })
    }
}

/// Headers by name: a text, or a list of texts for one that is repeated. The error is words.
fn of_members(members: &Map<String, Value>) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in members {
        let header = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| format!("{name:?} is not the name of a header"))?;
        let values = match value {
            Value::Array(items) => items.as_slice(),
            one => std::slice::from_ref(one),
        };
        for value in values {
            let text = value
                .as_str()
                .ok_or_else(|| format!("the value of {name} must be a text, or a list of texts"))?;
            let value = HeaderValue::from_bytes(text.as_bytes()).map_err(|_| {
                format!("the value of {name} has a line break or a control character")
            })?;
            headers.append(header.clone(), value);
        }
    }
    Ok(headers)
}

/// The headers as a case's file holds them. What is not UTF-8 in a value is replaced.
#[must_use]
pub fn headers_text(headers: &HeaderMap) -> String {
    let mut members = Map::new();
    for name in headers.keys() {
        let values = headers.get_all(name).iter();
        let mut values: Vec<Value> = values
            .map(|value| Value::from(String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
        let value = match values.len() {
            1 => values.remove(0),
            _ => Value::Array(values),
        };
        members.insert(name.as_str().to_owned(), value);
    }
    format!("{:#}\n", Value::Object(members))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_written_as_they_are_read() {
        let text = r#"{"x-a": "1", "X-B": ["2", "3"], "x-empty": ""}"#;
        let members: Map<String, Value> = serde_json::from_str(text).unwrap();
        let headers = of_members(&members).unwrap();
        assert_eq!(headers.get_all("x-b").iter().count(), 2);
        let again: Map<String, Value> = serde_json::from_str(&headers_text(&headers)).unwrap();
        assert_eq!(of_members(&again).unwrap(), headers);
        for (text, wanted) in [
            (r#"{"a b": "1"}"#, "\"a b\" is not the name of a header"),
            (r#"{"a": 1}"#, "the value of a must be a text"),
            (r#"{"a": "x\ny"}"#, "line break"),
        ] {
            let members: Map<String, Value> = serde_json::from_str(text).unwrap();
            let error = of_members(&members).unwrap_err();
            assert!(error.contains(wanted), "{text}: {error}");
        }
    }
}
