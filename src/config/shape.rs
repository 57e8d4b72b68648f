//! The tree against the shapes: scalars read, unknown keys and wrong kinds found.
//!
//! The shapes are the JSON schema that serde's types generate, so there is one description of them. Everything
//! that is wrong is found in one pass; what passes is JSON that serde can read.

use serde_json::{Map, Value};

use super::error::known;
use super::position::holds_secret;
use super::scalar::number;
use super::yaml::{Content, Entry, Node, Scalar, item, live, member};

/// Deepest nesting of schemas in schemas (`anyOf` in `$ref` in `anyOf`); ours is four.
const MAX_SCHEMA_DEPTH: usize = 16;

/// Longest text that is shown as what was found, in characters.
const MAX_SHOWN: usize = 40;

/// Something that is wrong at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) path: String,
    /// Whether it is the key that is wrong.
    pub(super) key: bool,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

/// The shapes.
pub(super) struct Shapes {
    schema: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Null,
    Bool,
    Number,
    Text,
    List,
    Map,
}

impl Shapes {
    /// The shapes of this JSON schema.
    pub(super) fn new(schema: Value) -> Self {
        Self { schema }
    }

    /// The schema of a property of the whole.
    pub(super) fn property(&self, name: &str) -> Option<&Value> {
        self.schema.get("properties")?.get(name)
    }

    /// The properties of the whole.
    pub(super) fn properties(&self) -> Vec<&str> {
        let properties = self.schema.get("properties").and_then(Value::as_object);
        properties.map_or(Vec::new(), |p| p.keys().map(String::as_str).collect())
    }

    /// The schema of this definition.
    pub(super) fn definition(&self, name: &str) -> &Value {
        self.schema
            .get("$defs")
            .and_then(|defs| defs.get(name))
            .unwrap_or(&Value::Null)
    }

    /// Reads a node as this schema wants it; what is wrong goes to `out`. `None` if serde could not read it: then
    /// what is around it is read as if it were not there.
    pub(super) fn read(
        &self,
        node: &Node,
        schema: &Value,
        path: &str,
        secret: bool,
        out: &mut Vec<Finding>,
    ) -> Option<Value> {
        let mut all = Vec::new();
        self.alternatives(schema, MAX_SCHEMA_DEPTH, &mut all);
        let value = match &node.content {
            Content::Scalar(scalar) => read_scalar(scalar, &all),
            // Placeholders; only the kind is looked at.
            Content::List(_) => Value::Array(Vec::new()),
            Content::Map(_) => Value::Object(Map::new()),
        };
        let kind = Kind::of(&value);
        let fitting: Vec<&Value> = all.iter().copied().filter(|s| accepts(s, kind)).collect();
        if fitting.is_empty() {
            out.push(wrong_kind(path, &all, &value, secret));
            return None;
        }
        match &node.content {
            Content::Scalar(_) => match wrong_value(path, &fitting, &value, secret) {
                Some(finding) => {
                    out.push(finding);
                    None
                }
                None => Some(value),
            },
            Content::List(items) => {
                let inner = fitting
                    .iter()
                    .find_map(|s| s.get("items"))
                    .unwrap_or(&Value::Bool(true));
                let read = |(i, child)| self.read(child, inner, &item(path, i), secret, out);
                let items: Vec<Option<Value>> = items.iter().enumerate().map(read).collect();
                // With an item left out the others would be at other places.
                items
                    .into_iter()
                    .collect::<Option<Vec<Value>>>()
                    .map(Value::Array)
            }
            Content::Map(entries) => self.read_map(entries, &fitting, path, secret, out),
        }
    }

    fn read_map(
        &self,
        entries: &[Entry],
        fitting: &[&Value],
        path: &str,
        secret: bool,
        out: &mut Vec<Finding>,
    ) -> Option<Value> {
        let properties: Vec<&Map<String, Value>> = fitting
            .iter()
            .filter_map(|s| s.get("properties").and_then(Value::as_object))
            .collect();
        let names: Vec<&str> = properties
            .iter()
            .flat_map(|p| p.keys().map(String::as_str))
            .collect();
        let rest = fitting
            .iter()
            .filter_map(|s| s.get("additionalProperties"))
            .find(|s| **s != false);
        let rest = if names.is_empty() {
            rest.or(Some(&Value::Bool(true)))
        } else {
            rest
        };
        let mut members = Map::new();
        for entry in live(entries) {
            let at = member(path, &entry.key);
            let secret = holds_secret(path, &entry.key, secret);
            match properties.iter().find_map(|p| p.get(&entry.key)).or(rest) {
                Some(schema) => {
                    let value = self.read(&entry.value, schema, &at, secret, out);
                    members.extend(value.map(|value| (entry.key.clone(), value)));
                }
                None => {
                    let (known, help) = known(&entry.key, names.iter().copied());
                    out.push(Finding {
                        path: at,
                        key: true,
                        message: format!("unknown key {known}"),
                        help,
                    });
                }
            }
        }
        let required = match fitting {
            [only] => only.get("required").and_then(Value::as_array),
            _ => None,
        };
        let mut whole = true;
        for name in required.into_iter().flatten().filter_map(Value::as_str) {
            whole &= members.contains_key(name);
            if !live(entries).any(|entry| entry.key == name) {
                out.push(Finding {
                    path: path.to_owned(),
                    key: true,
                    message: format!("`{name}` is missing"),
                    help: None,
                });
            }
        }
        whole.then_some(Value::Object(members))
    }

    /// The schemas that a schema leaves to choose from, references followed.
    fn alternatives<'s>(&'s self, schema: &'s Value, depth: usize, all: &mut Vec<&'s Value>) {
        let Some(depth) = depth.checked_sub(1) else {
            return;
        };
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let target = reference
                .strip_prefix('#')
                .and_then(|pointer| self.schema.pointer(pointer));
            return self.alternatives(target.unwrap_or(&Value::Null), depth, all);
        }
        for choice in ["anyOf", "oneOf", "allOf"] {
            if let Some(choices) = schema.get(choice).and_then(Value::as_array) {
                for one in choices {
                    self.alternatives(one, depth, all);
                }
                return;
            }
        }
        all.push(schema);
    }
}

/// What a scalar is: a text if it is quoted, else by YAML's core schema. What came out of the environment is a text
/// wherever one is taken.
fn read_scalar(scalar: &Scalar, schemas: &[&Value]) -> Value {
    let text = || Value::from(scalar.text.as_str());
    if !scalar.plain || (scalar.expanded && schemas.iter().any(|s| accepts(s, Kind::Text))) {
        return text();
    }
    match scalar.text.as_str() {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        other => number(other).map_or_else(text, Value::Number),
    }
}

impl Kind {
    fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Bool,
            Value::Number(_) => Self::Number,
            Value::String(_) => Self::Text,
            Value::Array(_) => Self::List,
            Value::Object(_) => Self::Map,
        }
    }

    fn in_words(self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool => "true or false",
            Self::Number => "a number",
            Self::Text => "a text",
            Self::List => "a list",
            Self::Map => "a mapping",
        }
    }
}

/// The kinds that a schema names; `None` if it takes any.
fn kinds(schema: &Value) -> Option<Vec<Kind>> {
    let of = |name: &str| match name {
        "null" => Some(Kind::Null),
        "boolean" => Some(Kind::Bool),
        "number" | "integer" => Some(Kind::Number),
        "string" => Some(Kind::Text),
        "array" => Some(Kind::List),
        "object" => Some(Kind::Map),
        _ => None,
    };
    match schema.get("type") {
        Some(Value::String(name)) => Some(of(name).into_iter().collect()),
        Some(Value::Array(names)) => Some(
            names
                .iter()
                .filter_map(Value::as_str)
                .filter_map(of)
                .collect(),
        ),
        _ => {
            let values = words(schema);
            if !values.is_empty() {
                Some(vec![Kind::Text])
            } else if schema.get("properties").is_some() {
                Some(vec![Kind::Map])
            } else {
                None
            }
        }
    }
}

fn accepts(schema: &Value, kind: Kind) -> bool {
    kinds(schema).is_none_or(|kinds| kinds.contains(&kind))
}

/// The texts that a schema lists.
fn words(schema: &Value) -> Vec<&str> {
    let listed = schema
        .get("enum")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    listed
        .chain(schema.get("const"))
        .filter_map(Value::as_str)
        .collect()
}

fn wrong_kind(path: &str, schemas: &[&Value], value: &Value, secret: bool) -> Finding {
    let mut wanted: Vec<&str> = Vec::new();
    for kind in schemas.iter().filter_map(|s| kinds(s)).flatten() {
        if kind != Kind::Null && !wanted.contains(&kind.in_words()) {
            wanted.push(kind.in_words());
        }
    }
    Finding {
        path: path.to_owned(),
        key: false,
        message: format!(
            "wanted {}, found {}",
            wanted.join(" or "),
            shown(value, secret)
        ),
        help: match (example(schemas), value) {
            (Some(example), _) => Some(format!("such as {example}")),
            (None, _) if path.ends_with("secrets") => Some("such as [{env: NAME}]".to_owned()),
            (None, _) if secret && path.ends_with(']') => Some("such as {env: NAME}".to_owned()),
            (None, Value::Number(_) | Value::Bool(_)) if wanted.contains(&"a text") && !secret => {
                Some(format!("in quotes it is a text: \"{value}\""))
            }
            _ => None,
        },
    }
}

/// What a schema shows as an example.
fn example<'s>(schemas: &[&'s Value]) -> Option<&'s str> {
    schemas
        .iter()
        .find_map(|s| s.get("examples")?.get(0)?.as_str())
}

fn shown(value: &Value, secret: bool) -> String {
    let kind = Kind::of(value).in_words();
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Array(_) | Value::Object(_) => kind.to_owned(),
        _ if secret => kind.to_owned(),
        Value::Bool(b) => b.to_string(),
        Value::Number(n) => format!("the number {n}"),
        Value::String(text) => {
            let cut: String = text.chars().take(MAX_SHOWN).collect();
            let more = if cut.len() < text.len() { "…" } else { "" };
            format!("the text {cut:?}{more}")
        }
    }
}

/// What is wrong with a scalar of the right kind: not one of the words, not a whole number in range.
fn wrong_value(path: &str, fitting: &[&Value], value: &Value, secret: bool) -> Option<Finding> {
    let (message, help) = match value {
        Value::String(text) => {
            if fitting.iter().any(|s| words(s).is_empty()) {
                return None;
            }
            let words: Vec<&str> = fitting.iter().flat_map(|s| words(s)).collect();
            if words.contains(&text.as_str()) {
                return None;
            }
            let (known, help) = known(text, words);
            let found = if secret {
                "this".to_owned()
            } else {
                format!("{text:?}")
            };
            (
                format!("{found} is not one of the words for it {known}"),
                help,
            )
        }
        Value::Number(number) => {
            let whole_only = fitting
                .iter()
                .all(|s| s.get("type").is_some_and(|t| !has(t, "number")));
            let format = fitting
                .iter()
                .find_map(|s| s.get("format").and_then(Value::as_str));
            let most = match format {
                Some("uint32") => u64::from(u32::MAX),
                _ => u64::MAX,
            };
            let unsigned = fitting.iter().any(|s| s.get("minimum").is_some());
            let good = !whole_only
                || number.as_u64().is_some_and(|n| n <= most)
                || (!unsigned && number.as_i64().is_some());
            if good {
                return None;
            }
            (
                format!("wanted a whole number from 0 to {most}, found {number}"),
                None,
            )
        }
        _ => return None,
    };
    Some(Finding {
        path: path.to_owned(),
        key: false,
        message,
        help,
    })
}

fn has(types: &Value, name: &str) -> bool {
    match types {
        Value::String(one) => one == name,
        Value::Array(many) => many.iter().any(|one| one == name),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::scalar::expand;
    use super::super::yaml::parse;
    use super::*;
    use serde_json::json;

    fn env(name: &str) -> Option<String> {
        match name {
            "PORT" => Some("8080".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    fn read(yaml: &str, schema: Value) -> (Value, Vec<String>) {
        let mut out = Vec::new();
        let mut root = parse(yaml).unwrap().root;
        expand(&mut root, "", &env, &mut out);
        let shapes = Shapes::new(json!({}));
        let value = shapes
            .read(&root, &schema, "", false, &mut out)
            .unwrap_or_default();
        let lines = out
            .into_iter()
            .map(|f| format!("{}: {}", f.path, f.message));
        (value, lines.collect())
    }

    #[test]
    fn scalars_are_read_exactly() {
        for (yaml, wanted) in [
            ("1", "1"),
            ("+05", "5"),
            (".5", "0.5"),
            ("1.", "1"),
            ("-1.50", "-1.50"),
            ("0x1F", "31"),
            ("0o17", "15"),
            ("1e3", "1e+3"),
            (
                "123456789012345678901234567890",
                "123456789012345678901234567890",
            ),
            ("'1'", "\"1\""),
            ("true", "true"),
            ("yes", "\"yes\""),
            ("off", "\"off\""),
            ("~", "null"),
            ("1s", "\"1s\""),
            (".inf", "\".inf\""),
            ("127.0.0.1:80", "\"127.0.0.1:80\""),
            ("1.2.3", "\"1.2.3\""),
        ] {
            let (value, _) = read(yaml, json!(true));
            assert_eq!(value.to_string(), wanted, "{yaml}");
        }
    }

    #[test]
    fn variables_are_put_in() {
        let text = json!({"type": "string"});
        let number = json!({"type": "integer"});
        for (yaml, schema, wanted) in [
            ("${PORT}", &text, json!("8080")),
            ("${PORT}", &number, json!(8080)),
            ("${PORT}", &json!(true), json!("8080")),
            ("http://h:${PORT}/x", &text, json!("http://h:8080/x")),
            ("${NONE:-7}", &number, json!(7)),
            ("${EMPTY:-x}y", &text, json!("xy")),
            ("a${EMPTY}b", &text, json!("ab")),
            ("'${PORT}'", &text, json!("${PORT}")),
            ("a $x b", &text, json!("a $x b")),
        ] {
            assert_eq!(read(yaml, schema.clone()), (wanted, vec![]), "{yaml}");
        }
        for yaml in ["${NONE}", "${PORT", "${9}", "${}", "${A-B}"] {
            assert_eq!(read(yaml, text.clone()).1.len(), 1, "{yaml}");
        }
    }

    #[test]
    fn everything_wrong_is_found_at_once() {
        let schema = json!({
            "type": "object",
            "properties": {
                "a": {"type": ["string", "null"]},
                "n": {"type": "integer", "format": "uint32", "minimum": 0},
                "w": {"enum": ["keep", "drop"]},
                "l": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
                "secrets": {"type": "object"},
            },
            "required": ["r"],
            "additionalProperties": false,
        });
        let yaml = "a: 5\nn: -1\nw: keeep\nl: [x, 1]\nsecrets: hunter2\nnn: 1\n";
        assert_eq!(
            read(yaml, schema).1,
            [
                "a: wanted a text, found the number 5",
                "n: wanted a whole number from 0 to 4294967295, found -1",
                "w: \"keeep\" is not one of the words for it (known: keep, drop)",
                "l[1]: wanted a text, found the number 1",
                "secrets: wanted a mapping, found a text",
                "nn: unknown key (known: a, n, w, l, secrets)",
                ": `r` is missing",
            ]
        );
    }
}
