//! What a field must be: compiled rules and what they hold for.

use std::cmp::Ordering;
use std::fmt::{self, Write};

use serde_json::{Map, Value};

use super::{MAX_SHOWN, PatternError, cut, error};
use crate::decimal::Decimal;
use crate::json::{Kind, Ref};

/// How deep rules may stand in each other (`not` in lists in `not`); two are in sensible use.
const MAX_DEPTH: usize = 8;

/// The operators there are.
const OPERATORS: [&str; 9] = [
    "prefix", "suffix", "exists", "not", "gt", "gte", "lt", "lte", "equals",
];

/// What a path or a header name leads to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Found<'a> {
    /// A value of the body.
    Json(Ref<'a>),
    /// The text of a header, which also counts as the number or boolean that it spells.
    Text(&'a str),
}

/// A compiled rule.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Rule {
    /// One and the same value passes all of these tests.
    Value(Vec<Test>),
    /// At least one of these holds.
    Any(Vec<Rule>),
    /// All of these hold.
    All(Vec<Rule>),
    /// This does not hold.
    Not(Box<Rule>),
    /// Whether anything is there.
    Exists(bool),
}

/// What one value is tested for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Test {
    Equals(Value),
    Prefix(String),
    Suffix(String),
    /// With a number, as it is written.
    Compare(Comparison, String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Gt,
    Gte,
    Lt,
    Lte,
}

impl Rule {
    /// Compiles a rule as it is written; what is wrong goes to `errors`.
    pub(super) fn compile(
        path: &str,
        value: &Value,
        errors: &mut Vec<PatternError>,
    ) -> Option<Self> {
        compile(path, value, MAX_DEPTH, errors)
    }

    /// Whether the rule holds for what was found.
    pub(super) fn holds(&self, found: &[Found<'_>]) -> bool {
        match self {
            Self::Value(tests) => found
                .iter()
                .any(|value| tests.iter().all(|test| test.passes(value))),
            Self::Any(rules) => rules.iter().any(|rule| rule.holds(found)),
            Self::All(rules) => rules.iter().all(|rule| rule.holds(found)),
            Self::Not(rule) => !rule.holds(found),
            Self::Exists(wanted) => found.is_empty() != *wanted,
        }
    }
}

fn compile(
    path: &str,
    value: &Value,
    depth: usize,
    errors: &mut Vec<PatternError>,
) -> Option<Rule> {
    let Some(depth) = depth.checked_sub(1) else {
        errors.push(error(
            path,
            format!("rules stand in each other at most {MAX_DEPTH} deep"),
        ));
        return None;
    };
    match value {
        Value::Array(items) => {
            let mut rules = Vec::new();
            for (i, item) in items.iter().enumerate() {
                let at = format!("{path}[{i}]");
                if item.is_array() {
                    errors.push(error(
                        &at,
                        "a list in a list; to compare with a list, write {equals: [..]}",
                    ));
                } else if let Some(rule) = compile(&at, item, depth, errors) {
                    rules.push(rule);
                }
            }
            (rules.len() == items.len()).then_some(Rule::Any(rules))
        }
        Value::Object(operators) => compile_operators(path, operators, depth, errors),
        exact => Some(Rule::Value(vec![Test::Equals(exact.clone())])),
    }
}

fn compile_operators(
    path: &str,
    operators: &Map<String, Value>,
    depth: usize,
    errors: &mut Vec<PatternError>,
) -> Option<Rule> {
    if operators.is_empty() {
        errors.push(error(
            path,
            format!("an operator is needed ({})", OPERATORS.join(", ")),
        ));
        return None;
    }
    let mut tests = Vec::new();
    let mut rules = Vec::new();
    let before = errors.len();
    for (name, value) in operators {
        let at = format!("{path}.{name}");
        match name.as_str() {
            "exists" => match value.as_bool() {
                Some(wanted) => rules.push(Rule::Exists(wanted)),
                None => errors.push(error(&at, "`exists` takes true or false")),
            },
            "not" => rules
                .extend(compile(&at, value, depth, errors).map(|rule| Rule::Not(Box::new(rule)))),
            _ => match compile_test(name, value) {
                Ok(test) => tests.push(test),
                Err(message) => errors.push(error(&at, message)),
            },
        }
    }
    if errors.len() > before {
        return None;
    }
    if !tests.is_empty() {
        rules.push(Rule::Value(tests));
    }
    Some(Rule::All(rules))
}

fn compile_test(name: &str, value: &Value) -> Result<Test, String> {
    let text = || {
        value
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| format!("`{name}` takes a text"))
    };
    let number = |comparison| match value {
        Value::Number(number) => Decimal::parse(number.as_str())
            .map(|_| Test::Compare(comparison, number.as_str().to_owned()))
            .ok_or_else(|| format!("`{number}` is no number that can be compared")),
        _ => Err(format!("`{name}` takes a number")),
    };
    match name {
        "equals" => Ok(Test::Equals(value.clone())),
        "prefix" => Ok(Test::Prefix(text()?)),
        "suffix" => Ok(Test::Suffix(text()?)),
        "gt" => number(Comparison::Gt),
        "gte" => number(Comparison::Gte),
        "lt" => number(Comparison::Lt),
        "lte" => number(Comparison::Lte),
        _ => {
            let near = OPERATORS
                .iter()
                .map(|known| (strsim::osa_distance(known, name), known))
                .min()
                .filter(|(distance, _)| *distance <= 2)
                .map_or(String::new(), |(_, known)| {
                    format!("; did you mean `{known}`?")
                });
            Err(format!(
                "no operator named {name:?} (known: {}){near}",
                OPERATORS.join(", ")
            ))
        }
    }
}

impl Test {
    fn passes(&self, found: &Found<'_>) -> bool {
        match self {
            Self::Equals(wanted) => match found {
                Found::Json(value) => equals(wanted, *value),
                Found::Text(text) => text_equals(wanted, text),
            },
            Self::Prefix(prefix) => found.text().is_some_and(|text| text.starts_with(prefix)),
            Self::Suffix(suffix) => found.text().is_some_and(|text| text.ends_with(suffix)),
            Self::Compare(comparison, bound) => {
                let ordering = found.number().zip(Decimal::parse(bound));
                ordering.is_some_and(|(number, bound)| comparison.holds(number.cmp(&bound)))
            }
        }
    }
}

impl Comparison {
    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Gt => ordering.is_gt(),
            Self::Gte => ordering.is_ge(),
            Self::Lt => ordering.is_lt(),
            Self::Lte => ordering.is_le(),
        }
    }
}

impl<'a> Found<'a> {
    fn text(&self) -> Option<&'a str> {
        match self {
            Self::Json(value) => value.as_str(),
            Self::Text(text) => Some(text),
        }
    }

    fn number(&self) -> Option<Decimal<'a>> {
        match self {
            Self::Json(value) => match value.kind() {
                Kind::Number(text) => Decimal::parse(text),
                _ => None,
            },
            Self::Text(text) => Decimal::parse(text.trim()),
        }
    }

    /// The value as a mismatch shows it, cut to [`MAX_SHOWN`] characters.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Json(value) => {
                let mut room = Room(String::new());
                // Ends with an error when the room is full; what fits is what is shown.
                let _ = write!(room, "{value}");
                cut(&room.0)
            }
            Self::Text(text) => cut(text),
        }
    }
}

/// A text that takes a little more than is shown, so that a large value is not written whole.
struct Room(String);

impl fmt::Write for Room {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // A character has at most four bytes; one more makes the cut visible.
        let free = (4 * (MAX_SHOWN + 1)).saturating_sub(self.0.len());
        let taken = text.get(..text.floor_char_boundary(free));
        let taken = taken.unwrap_or_default();
        self.0.push_str(taken);
        match taken.len() == text.len() {
            true => Ok(()),
            false => Err(fmt::Error),
        }
    }
}

/// Equality with a value of the body where numbers are equal by value and the order of members does not count.
fn equals(wanted: &Value, found: Ref<'_>) -> bool {
    match (wanted, found.kind()) {
        (Value::Null, Kind::Null) => true,
        (Value::Bool(a), Kind::Bool(b)) => *a == b,
        (Value::String(a), Kind::String(b)) => a == b,
        (Value::Number(a), Kind::Number(b)) => {
            let a = Decimal::parse(a.as_str());
            a.is_some() && a == Decimal::parse(b)
        }
        (Value::Array(a), Kind::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| equals(a, b))
        }
        (Value::Object(a), Kind::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(name, a)| b.get(name).is_some_and(|b| equals(a, b)))
        }
        _ => false,
    }
}

fn text_equals(wanted: &Value, text: &str) -> bool {
    match wanted {
        Value::String(wanted) => wanted == text,
        Value::Bool(wanted) => text == if *wanted { "true" } else { "false" },
        Value::Number(wanted) => {
            let number = Decimal::parse(text.trim());
            number.is_some() && number == Decimal::parse(wanted.as_str())
        }
        _ => false,
    }
}

/// The rule at `key` as it is written, cut like what is found.
pub(super) fn written(rules: &Map<String, Value>, key: &str) -> String {
    let mut text = String::new();
    if let Some(rule) = rules.get(key) {
        write_flow(rule, &mut text);
    }
    cut(&text)
}

/// Writes a value in YAML's flow style, quotes only where they are needed.
pub(super) fn write_flow(value: &Value, to: &mut String) {
    match value {
        Value::Array(items) => {
            to.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    to.push_str(", ");
                }
                write_flow(item, to);
            }
            to.push(']');
        }
        Value::Object(members) => {
            to.push('{');
            for (i, (key, item)) in members.iter().enumerate() {
                if i > 0 {
                    to.push_str(", ");
                }
                write_text(key, to);
                to.push_str(": ");
                write_flow(item, to);
            }
            to.push('}');
        }
        Value::String(text) => write_text(text, to),
        other => to.push_str(&other.to_string()),
    }
}

fn write_text(text: &str, to: &mut String) {
    let plain =
        |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '*' | '/' | ' ' | '@' | '+');
    let like_other = text.parse::<f64>().is_ok() || matches!(text, "true" | "false" | "null" | "~");
    let bare = text
        .chars()
        .next()
        .is_some_and(|c| c.is_alphanumeric() || matches!(c, '*' | '/' | '_'))
        && text.chars().all(plain)
        && !text.ends_with(' ')
        && !like_other;
    if bare {
        to.push_str(text);
    } else {
        to.push_str(&Value::from(text).to_string());
    }
}
