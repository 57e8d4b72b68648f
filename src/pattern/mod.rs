//! Event patterns: which events a route takes, and why one was not taken. Pure.
//!
//! A pattern names any of type, headers and body fields; all that it names must match.
//! * `type`: globs over the dot-separated segments of the type. `*` is exactly one segment, or any run of
//!   characters inside one (`invoice_*`); `**` is any number of segments, none included.
//! * `headers`: names in any case; of a repeated header, any value.
//! * `body`: dotted paths. A path reaches into arrays (any element, or the one at a numeric segment); a key with
//!   dots stands in brackets: `data['a.b'].c`.
//!
//! A rule is a value (exact; numbers by value, however many digits), a list (any of it), or an object of operators,
//! all of which must hold: `prefix`, `suffix`, `gt`, `gte`, `lt`, `lte`, `equals` (for one and the same value),
//! `exists` and `not`. `not` is plain negation: a field that is not there is not `x`.
//!
//! Promises: no pattern takes more than a polynomial in the sizes of pattern and event; a body that is not JSON
//! matches no body rule. Not here: sources and routes (see `plan`).

mod glob;
mod path;
mod record;
mod rule;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::json::Ref;

use glob::Glob;
use rule::{Found, Rule, written};

pub use path::Path;
pub use record::{OneOrMany, PatternRecord};

/// Longest text of a value that a [`Mismatch`] shows, in characters.
pub const MAX_SHOWN: usize = 100;

/// What is found where a pattern looks into a body that is not JSON.
const NOT_JSON: &str = "not JSON";

/// A compiled pattern; the empty one matches every event.
#[derive(Debug, Clone, Default)]
pub struct Pattern {
    /// One of them must match; empty for any type.
    types: Vec<Glob>,
    /// `type` as it is written.
    types_written: String,
    headers: Vec<Field<String>>,
    body: Vec<Field<Path>>,
}

/// One rule and where it looks.
#[derive(Debug, Clone)]
struct Field<P> {
    /// The name as it is written, `body.data.status`.
    name: String,
    place: P,
    rule: Rule,
    /// The rule as it is written.
    written: String,
}

/// What a pattern looks at.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The event's type.
    pub event_type: &'a str,
    /// Its headers, names in lower case.
    pub headers: &'a [(String, String)],
    /// Its parsed body; `None` if it is not JSON.
    pub body: Option<Ref<'a>>,
}

/// Why a pattern did not match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Which field failed: `type`, `headers.x-region`, `body.data.status`.
    pub field: String,
    /// What the pattern wants there, as it is written.
    pub wanted: String,
    /// What the event has there, cut to [`MAX_SHOWN`] characters; `None` if nothing.
    pub found: Option<String>,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} must be {}, it ", self.field, self.wanted)?;
        match &self.found {
            Some(found) => write!(f, "is {found}"),
            None => f.write_str("is not there"),
        }
    }
}

/// A glob over types, as `match: {type: ..}` of a route has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeGlob {
    glob: Glob,
    written: String,
}

impl TypeGlob {
    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// Whether it matches a type.
    #[must_use]
    pub fn matches(&self, event_type: &str) -> bool {
        self.glob.matches(event_type)
    }
}

impl FromStr for TypeGlob {
    type Err = String;

    /// The error says what is wrong with it.
    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self {
            glob: Glob::parse(text)?,
            written: text.to_owned(),
        })
    }
}

impl fmt::Display for TypeGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl Serialize for TypeGlob {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.written)
    }
}

impl<'de> Deserialize<'de> for TypeGlob {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Why a record is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PatternError {
    /// The field of the record, e.g. `body.data.status`.
    pub path: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl Pattern {
    /// Compiles a record.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn compile(record: &PatternRecord) -> Result<Self, Vec<PatternError>> {
        let mut errors = Vec::new();
        let mut pattern = Self::default();
        if let Some(types) = &record.event_type {
            pattern.types = compile_types(types, &mut errors);
            pattern.types_written = types.to_string();
        }
        for (name, rule) in &record.headers {
            let at = format!("headers.{name}");
            match http::HeaderName::from_bytes(name.as_bytes()) {
                Ok(header) => {
                    if let Some(rule) = Rule::compile(&at, rule, &mut errors) {
                        pattern.headers.push(Field {
                            name: format!("headers.{header}"),
                            place: header.as_str().to_owned(),
                            written: written(&record.headers, name),
                            rule,
                        });
                    }
                }
                Err(_) => errors.push(error(&at, format!("{name:?} is not the name of a header"))),
            }
        }
        for (path, rule) in &record.body {
            let at = format!("body.{path}");
            let place = Path::parse(path)
                .map_err(|message| errors.push(error(&at, message)))
                .ok();
            let rule = Rule::compile(&at, rule, &mut errors);
            if let (Some(place), Some(rule)) = (place, rule) {
                pattern.body.push(Field {
                    name: at,
                    place,
                    written: written(&record.body, path),
                    rule,
                });
            }
        }
        if errors.is_empty() {
            Ok(pattern)
        } else {
            Err(errors)
        }
    }

    /// Its rules: which field, and what must stand there, as they are written.
    pub fn written(&self) -> impl Iterator<Item = (&str, &str)> {
        let types = (!self.types.is_empty()).then_some(("type", self.types_written.as_str()));
        let headers = self
            .headers
            .iter()
            .map(|field| (field.name.as_str(), field.written.as_str()));
        let body = self
            .body
            .iter()
            .map(|field| (field.name.as_str(), field.written.as_str()));
        types.into_iter().chain(headers).chain(body)
    }

    /// Whether it matches; if not, the first field that failed.
    ///
    /// # Errors
    /// [`Mismatch`] names the field.
    pub fn matches(&self, subject: &Subject<'_>) -> Result<(), Mismatch> {
        let type_fits = |glob: &Glob| glob.matches(subject.event_type);
        if !self.types.is_empty() && !self.types.iter().any(type_fits) {
            return Err(Mismatch {
                field: "type".to_owned(),
                wanted: self.types_written.clone(),
                found: Some(cut(subject.event_type)),
            });
        }
        for field in &self.headers {
            let found: Vec<Found<'_>> = subject
                .headers
                .iter()
                .filter(|(name, _)| name.eq_ignore_ascii_case(&field.place))
                .map(|(_, value)| Found::Text(value))
                .collect();
            field.check(&found)?;
        }
        for field in &self.body {
            let Some(body) = subject.body else {
                return Err(field.mismatch(Some(NOT_JSON.to_owned())));
            };
            let found: Vec<Found<'_>> = field
                .place
                .reach(body)
                .into_iter()
                .map(Found::Json)
                .collect();
            field.check(&found)?;
        }
        Ok(())
    }
}

impl<P> Field<P> {
    fn check(&self, found: &[Found<'_>]) -> Result<(), Mismatch> {
        if self.rule.holds(found) {
            return Ok(());
        }
        Err(self.mismatch(found.first().map(Found::shown)))
    }

    fn mismatch(&self, found: Option<String>) -> Mismatch {
        Mismatch {
            field: self.name.clone(),
            wanted: self.written.clone(),
            found,
        }
    }
}

fn compile_types(types: &OneOrMany, errors: &mut Vec<PatternError>) -> Vec<Glob> {
    if types.is_empty() {
        errors.push(error(
            "type",
            "an empty list matches no event; leave `type` out to match every type",
        ));
    }
    let mut globs = Vec::new();
    for (i, text) in types.iter().enumerate() {
        match Glob::parse(text) {
            Ok(glob) => globs.push(glob),
            Err(message) => errors.push(error(&types.place("type", i), message)),
        }
    }
    globs
}

/// The text, cut to [`MAX_SHOWN`] characters.
fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

fn error(path: &str, message: impl Into<String>) -> PatternError {
    PatternError {
        path: path.to_owned(),
        message: message.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Document;
    use serde_json::{Value, json};

    fn compile(record: Value) -> Result<Pattern, Vec<PatternError>> {
        Pattern::compile(&serde_json::from_value(record).unwrap())
    }

    /// The field that fails, what it wants and what it finds.
    fn failing(
        record: Value,
        event_type: &str,
        body: Option<&Value>,
    ) -> Option<(String, String, Option<String>)> {
        let headers = [
            ("x-region".to_owned(), "eu".to_owned()),
            ("x-tag".to_owned(), "a".to_owned()),
            ("x-tag".to_owned(), "b".to_owned()),
            ("x-count".to_owned(), "12".to_owned()),
        ];
        let document = body.map(Document::from);
        let subject = Subject {
            event_type,
            headers: &headers,
            body: document.as_ref().map(Document::root),
        };
        let mismatch = compile(record).unwrap().matches(&subject).err()?;
        Some((mismatch.field, mismatch.wanted, mismatch.found))
    }

    #[test]
    fn rules_on_bodies() {
        let body: Value = serde_json::from_str(
            r#"{"data": {"status": "active", "amount": 100.0, "null": null, "ok": true, "a.b": {"c": 1},
                "big": 123456789012345678901234567890, "items": [{"sku": "A-1", "n": 5}, {"sku": "B-2", "n": 25}],
                "empty": [], "tags": ["x", ["y"]], "0": "zero", "obj": {"k": [1, 2.0]}}}"#,
        )
        .unwrap();
        for (path, rule, wanted) in [
            ("data.status", json!("active"), true),
            ("data.status", json!("Active"), false),
            ("data.status", json!(["suspended", "active"]), true),
            ("data.status", json!(["suspended"]), false),
            ("data.status", json!([]), false),
            (
                "data.status",
                json!([{"prefix": "sus"}, {"prefix": "act"}]),
                true,
            ),
            (
                "data.status",
                json!({"prefix": "act", "suffix": "ive"}),
                true,
            ),
            (
                "data.status",
                json!({"prefix": "act", "suffix": "x"}),
                false,
            ),
            ("data.status", json!({"exists": true}), true),
            ("data.status", json!({"exists": false}), false),
            ("data.gone", json!({"exists": false}), true),
            ("data.gone", json!({"exists": true}), false),
            ("data.gone", json!(null), false),
            ("data.gone", json!({"not": "x"}), true),
            ("data.gone", json!({"not": "x", "exists": true}), false),
            ("data.null", json!(null), true),
            ("data.null", json!({"exists": true}), true),
            ("data.ok", json!(true), true),
            ("data.ok", json!("true"), false),
            ("data.amount", json!(100), true),
            ("data.amount", json!("100"), false),
            ("data.amount", json!({"gte": 100}), true),
            ("data.amount", json!({"gt": 100}), false),
            ("data.amount", json!({"lte": 100, "gt": 99.99}), true),
            ("data.amount", json!({"lt": 100}), false),
            ("data.status", json!({"gte": 0}), false),
            ("data.status", json!({"not": ["x", "y"]}), true),
            ("data.status", json!({"not": ["active", "y"]}), false),
            ("data.status", json!({"not": {"prefix": "act"}}), false),
            ("data.status", json!({"not": {"not": "active"}}), true),
            ("data.items.sku", json!({"prefix": "B"}), true),
            ("data.items.sku", json!({"prefix": "C"}), false),
            ("data.items.1.sku", json!("B-2"), true),
            ("data.items.0.sku", json!("B-2"), false),
            ("data.items[1].sku", json!("B-2"), true),
            ("data.items.2", json!({"exists": false}), true),
            // one and the same element must hold both
            ("data.items.n", json!({"gt": 5, "lt": 25}), false),
            ("data.items.n", json!({"gte": 5, "lt": 25}), true),
            ("data.items.n", json!({"not": 5}), false),
            ("data.empty", json!({"exists": true}), true),
            ("data.empty.x", json!({"exists": false}), true),
            ("data.tags", json!("x"), true),
            ("data.tags", json!("y"), true),
            ("data.tags", json!({"equals": ["x", ["y"]]}), true),
            ("data.0", json!("zero"), true),
            ("data['a.b'].c", json!(1), true),
            ("['data'][\"a.b\"].c", json!(1.0), true),
            ("data.a.b.c", json!({"exists": true}), false),
            ("data.obj", json!({"equals": {"k": [1.0, 2]}}), true),
            ("data.obj", json!({"equals": {"k": [1.0, 3]}}), false),
        ] {
            let record = json!({"body": {path: rule}});
            let got = failing(record.clone(), "t", Some(&body));
            assert_eq!(got.is_none(), wanted, "{record}: {got:?}");
        }
        for (number, wanted) in [
            ("123456789012345678901234567890", true),
            ("123456789012345678901234567890.0", true),
            ("1.2345678901234567890123456789e29", true),
            ("123456789012345678901234567891", false),
        ] {
            let rule: Value = serde_json::from_str(number).unwrap();
            let got = failing(json!({"body": {"data.big": rule}}), "t", Some(&body));
            assert_eq!(got.is_none(), wanted, "{number}: {got:?}");
        }
    }

    #[test]
    fn a_mismatch_says_field_wanted_and_found() {
        let body = json!({"s": "closed", "n": 5, "long": "x".repeat(5000), "list": ["a"]});
        let some = |text: &str| Some(text.to_owned());
        for (record, wanted) in [
            (json!({}), None),
            (json!({"type": "vendor.*"}), None),
            (
                json!({"type": ["a.*", "b"]}),
                Some(("type", "[a.*, b]", some("vendor.update"))),
            ),
            (json!({"headers": {"X-Region": "eu"}}), None),
            (json!({"headers": {"x-tag": "b"}}), None),
            (json!({"headers": {"x-count": 12}}), None),
            (json!({"headers": {"x-count": {"gt": 11.5}}}), None),
            (
                json!({"headers": {"X-Region": ["us", "ap"]}}),
                Some(("headers.x-region", "[us, ap]", some("eu"))),
            ),
            (
                json!({"headers": {"x-none": {"prefix": "a: b"}}}),
                Some(("headers.x-none", r#"{prefix: "a: b"}"#, None)),
            ),
            (
                json!({"body": {"s": ["open", "new"], "n": 6}}),
                Some(("body.s", "[open, new]", some("\"closed\""))),
            ),
            (
                json!({"body": {"n": {"gte": 10, "not": null}}}),
                Some(("body.n", "{gte: 10, not: null}", some("5"))),
            ),
            (json!({"body": {"gone": 1}}), Some(("body.gone", "1", None))),
            (
                json!({"body": {"list": "b"}}),
                Some(("body.list", "b", some("[\"a\"]"))),
            ),
        ] {
            let got = failing(record.clone(), "vendor.update", Some(&body));
            let wanted =
                wanted.map(|(field, rule, found)| (field.to_owned(), rule.to_owned(), found));
            assert_eq!(got, wanted, "{record}");
        }
        let long = failing(json!({"body": {"long": 1}}), "t", Some(&body)).unwrap();
        assert_eq!(long.2.unwrap().chars().count(), MAX_SHOWN + 1);
        let not_json = failing(json!({"body": {"s": {"exists": false}}}), "t", None).unwrap();
        assert_eq!(not_json.2.as_deref(), Some("not JSON"));
        assert_eq!(failing(json!({"type": "t"}), "t", None), None);
    }

    #[test]
    fn mistakes_are_all_named() {
        let deep = (0..40).fold(json!("x"), |inner, _| json!({"not": inner}));
        for (record, wanted) in [
            (json!({"type": []}), vec!["type"]),
            (
                json!({"type": ["a", "", "a.***"]}),
                vec!["type[1]", "type[2]"],
            ),
            (json!({"type": ""}), vec!["type"]),
            (
                json!({"headers": {"not a name": 1}, "body": {"a..b": 1, "x": {"prefx": "a"}}}),
                vec!["headers.not a name", "body.a..b", "body.x.prefx"],
            ),
            (json!({"body": {"x['a": 1}}), vec!["body.x['a"]),
            (json!({"body": {"": 1}}), vec!["body."]),
            (
                json!({"body": {"x": {"gte": "5", "prefix": 1, "exists": 1}}}),
                vec!["body.x.gte", "body.x.prefix", "body.x.exists"],
            ),
            (json!({"body": {"x": {}}}), vec!["body.x"]),
            (
                json!({"body": {"x": [1, {"nott": 1}]}}),
                vec!["body.x[1].nott"],
            ),
            (json!({"body": {"x": [[1]]}}), vec!["body.x[0]"]),
        ] {
            let errors = compile(record.clone()).unwrap_err();
            let paths: Vec<&str> = errors.iter().map(|e| e.path.as_str()).collect();
            assert_eq!(paths, wanted, "{record}");
        }
        assert!(compile(json!({"body": {"x": deep}})).is_err());
        let message = &compile(json!({"body": {"x": {"prefx": "a"}}})).unwrap_err()[0].message;
        assert!(message.contains("`prefix`"), "{message}");
    }
}
