//! Two JSON values side by side: where they differ.
//!
//! Numbers are compared by value, the order of members does not count, arrays are in order. What is told is bounded, in
//! number and in length. Not here: the same as lines (see `lines`).

use std::collections::HashMap;
use std::fmt;

use serde_json::{Map, Value};

use super::shown::{cut, cut_both, json, look_alike};
use crate::decimal;

/// Most differences that are told.
pub const TOLD: usize = 20;

/// Where two values differ.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differences {
    /// The first of them.
    pub told: Vec<Difference>,
    /// How many more there are.
    pub more: usize,
}

/// One place at which two values differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The place as a person writes it: `data.tags[1]`; empty for the whole.
    pub path: String,
    /// The same as a JSON pointer.
    pub pointer: String,
    /// What is expected there, as JSON text, cut; `None` for nothing.
    pub expected: Option<String>,
    /// What is there, in the same way.
    pub actual: Option<String>,
    /// Whether only white space and characters that cannot be seen differ.
    pub look_alike: bool,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => f.write_str("the whole: ")?,
            path => write!(f, "{path}: ")?,
        }
        match (&self.expected, &self.actual) {
            (Some(expected), Some(actual)) => write!(f, "expected {expected}, is {actual}")?,
            (Some(expected), None) => write!(f, "missing, expected {expected}")?,
            (None, actual) => {
                let actual = actual.as_deref().unwrap_or_default();
                write!(f, "unexpected, is {actual}")?;
            }
        }
        if self.look_alike {
            f.write_str(" (only white space or what cannot be seen differs)")?;
        }
        Ok(())
    }
}

/// Where what came out differs from what is expected.
#[must_use]
pub fn differences(expected: &Value, actual: &Value) -> Differences {
    let mut walk = Walk::default();
    walk.pair((Some(expected), Some(actual)));
    walk.found
}

/// Two values at one place; at least one is there.
pub(super) type Pair<'v> = (Option<&'v Value>, Option<&'v Value>);

/// The members of two objects in the order of what is expected; one that is not expected stands behind the one that it
/// follows.
pub(super) fn members<'v>(
    expected: &'v Map<String, Value>,
    actual: &'v Map<String, Value>,
) -> Vec<(&'v str, Pair<'v>)> {
    let mut extras: HashMap<Option<&'v str>, Vec<&'v str>> = HashMap::new();
    let mut last = None;
    for key in actual.keys() {
        if expected.contains_key(key) {
            last = Some(key.as_str());
        } else {
            extras.entry(last).or_default().push(key);
        }
    }
    let mut pairs = Vec::with_capacity(expected.len());
    let mut extra = |behind: Option<&'v str>, pairs: &mut Vec<(&'v str, Pair<'v>)>| {
        let keys = extras.remove(&behind).unwrap_or_default();
        pairs.extend(keys.into_iter().map(|key| (key, (None, actual.get(key)))));
    };
    extra(None, &mut pairs);
    for (key, value) in expected {
        pairs.push((key, (Some(value), actual.get(key))));
        extra(Some(key), &mut pairs);
    }
    pairs
}

/// The items of two arrays in order. Of arrays of different lengths what is the same at their ends is paired first, so
/// that one item more does not shift all that follow.
pub(super) fn items<'v>(expected: &'v [Value], actual: &'v [Value]) -> Vec<Pair<'v>> {
    let same = |(expected, actual): &(&Value, &Value)| decimal::equal(expected, actual);
    let mut back = 0;
    if expected.len() != actual.len() {
        let front = expected.iter().zip(actual).take_while(same).count();
        let most = expected.len().min(actual.len()) - front;
        let ends = expected.iter().rev().zip(actual.iter().rev());
        back = ends.take(most).take_while(same).count();
    }
    let (mut ahead, mut behind) = (
        expected.iter().take(expected.len() - back),
        actual.iter().take(actual.len() - back),
    );
    let mut pairs = Vec::with_capacity(expected.len().max(actual.len()));
    loop {
        match (ahead.next(), behind.next()) {
            (None, None) => break,
            pair => pairs.push(pair),
        }
    }
    let end = |items: &'v [Value]| items.iter().skip(items.len() - back).map(Some);
    pairs.extend(end(expected).zip(end(actual)));
    pairs
}

/// A step from a value to one in it.
#[derive(Debug, Clone, Copy)]
enum Step<'v> {
    Member(&'v str),
    Item(usize),
}

#[derive(Default)]
struct Walk<'v> {
    steps: Vec<Step<'v>>,
    found: Differences,
}

impl<'v> Walk<'v> {
    fn pair(&mut self, pair: Pair<'v>) {
        match pair {
            (Some(Value::Object(expected)), Some(Value::Object(actual))) => {
                for (key, pair) in members(expected, actual) {
                    self.inside(Step::Member(key), pair);
                }
            }
            (Some(Value::Array(expected)), Some(Value::Array(actual))) => {
                for (at, pair) in items(expected, actual).into_iter().enumerate() {
                    self.inside(Step::Item(at), pair);
                }
            }
            (Some(expected), Some(actual)) if decimal::equal(expected, actual) => {}
            (expected, actual) => self.differ(expected, actual),
        }
    }

    fn inside(&mut self, step: Step<'v>, pair: Pair<'v>) {
        self.steps.push(step);
        self.pair(pair);
        self.steps.pop();
    }

    fn differ(&mut self, expected: Option<&Value>, actual: Option<&Value>) {
        if self.found.told.len() == TOLD {
            self.found.more += 1;
            return;
        }
        let texts = (expected.map(json), actual.map(json));
        let (expected_text, actual_text) = match texts {
            (Some(expected), Some(actual)) => {
                let (expected, actual) = cut_both(&expected, &actual);
                (Some(expected), Some(actual))
            }
            (expected, actual) => (expected.map(|e| cut(&e)), actual.map(|a| cut(&a))),
        };
        self.found.told.push(Difference {
            path: path(&self.steps),
            pointer: pointer(&self.steps),
            expected: expected_text,
            actual: actual_text,
            look_alike: match (expected, actual) {
                (Some(Value::String(expected)), Some(Value::String(actual))) => {
                    look_alike(expected, actual)
                }
                _ => false,
            },
        });
    }
}

fn path(steps: &[Step<'_>]) -> String {
    let mut path = String::new();
    for step in steps {
        match step {
            Step::Member(key) if is_word(key) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(key);
            }
            Step::Member(key) => {
                let key = cut(&json(&Value::from(*key)));
                path.push_str(&format!("[{key}]"));
            }
            Step::Item(at) => path.push_str(&format!("[{at}]")),
        }
    }
    path
}

/// Whether a key can stand without quotes.
fn is_word(key: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    !key.is_empty() && key.len() <= super::shown::SHOWN && key.chars().all(plain)
}

fn pointer(steps: &[Step<'_>]) -> String {
    let mut pointer = String::new();
    for step in steps {
        pointer.push('/');
        match step {
            Step::Member(key) => pointer.push_str(&key.replace('~', "~0").replace('/', "~1")),
            Step::Item(at) => pointer.push_str(&at.to_string()),
        }
    }
    pointer
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What is told of two JSON texts.
    fn told(expected: &str, actual: &str) -> Vec<String> {
        let value = |text| serde_json::from_str::<Value>(text).unwrap();
        let found = differences(&value(expected), &value(actual));
        assert_eq!(found.more, 0);
        found.told.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_differs_is_told_by_its_place() {
        for (expected, actual, wanted) in [
            ("1", "1.0", &[][..]),
            ("[100, 0]", "[1e2, -0.0]", &[]),
            (r#"{"a": 1, "b": [2]}"#, r#"{"b": [2.00], "a": 1}"#, &[]),
            (
                "12345678901234567890",
                "12345678901234567891",
                &["the whole: expected 12345678901234567890, is 12345678901234567891"],
            ),
            ("1", r#""1""#, &[r#"the whole: expected 1, is "1""#]),
            ("null", "{}", &["the whole: expected null, is {}"]),
            (r#"{"a": null}"#, "{}", &["a: missing, expected null"]),
            ("{}", r#"{"a": null}"#, &["a: unexpected, is null"]),
            (
                r#"{"data": {"tags": ["x", "a"], "n": 1, "gone": [1, {}]}}"#,
                r#"{"data": {"new": {"k": 1}, "n": 2, "tags": ["x", "b"]}}"#,
                &[
                    r#"data.new: unexpected, is {"k":1}"#,
                    r#"data.tags[1]: expected "a", is "b""#,
                    "data.n: expected 1, is 2",
                    "data.gone: missing, expected [1,{}]",
                ],
            ),
            (
                r#"{"a b": {"": 1, "é": [[0]]}}"#,
                r#"{"a b": {"": 2, "é": [[1]]}}"#,
                &[
                    r#"["a b"][""]: expected 1, is 2"#,
                    r#"["a b"]["é"][0][0]: expected 0, is 1"#,
                ],
            ),
            (
                r#"["é"]"#,
                r#"["é "]"#,
                &[
                    "[0]: expected \"é\", is \"é \" (only white space or what cannot be seen differs)",
                ],
            ),
            (
                r#"["a b"]"#,
                "[\"a\u{a0}b\"]",
                &[
                    r#"[0]: expected "a b", is "a\u00a0b" (only white space or what cannot be seen differs)"#,
                ],
            ),
        ] {
            assert_eq!(told(expected, actual), wanted, "{expected} {actual}");
        }
    }

    #[test]
    fn an_item_more_or_less_does_not_shift_the_others() {
        for (expected, actual, wanted) in [
            ("[1, 2, 3]", "[0, 1, 2, 3]", &["[0]: unexpected, is 0"][..]),
            ("[1, 2, 3]", "[1, 3]", &["[1]: missing, expected 2"]),
            ("[1, 2]", "[1, 2, 3]", &["[2]: unexpected, is 3"]),
            ("[1, 1]", "[1, 1, 1]", &["[2]: unexpected, is 1"]),
            ("[]", "[1]", &["[0]: unexpected, is 1"]),
            (
                "[1, 2, 9]",
                "[1, 5, 6, 9]",
                &["[1]: expected 2, is 5", "[2]: unexpected, is 6"],
            ),
            (
                "[1, 2]",
                "[2, 1]",
                &["[0]: expected 1, is 2", "[1]: expected 2, is 1"],
            ),
        ] {
            assert_eq!(told(expected, actual), wanted, "{expected} {actual}");
        }
    }

    #[test]
    fn what_is_told_is_bounded() {
        let many = |n: i32| Value::from((0..500).map(|i| json!(i * n)).collect::<Vec<_>>());
        let found = differences(&many(1), &many(2));
        assert_eq!((found.told.len(), found.more), (TOLD, 499 - TOLD));
        let long = |end: &str| json!({"k".repeat(9_000): format!("{}{end}", "x".repeat(9_000))});
        let found = differences(&long("1"), &long("2"));
        let told = found.told[0].to_string();
        assert!(told.chars().count() < 600, "{told}");
        assert!(
            told.contains("x1\", is …x") && told.ends_with("x2\""),
            "{told}"
        );
    }

    #[test]
    fn places_are_pointers_too() {
        let found = differences(&json!({"a/b": [{"~": 1}]}), &json!({"a/b": [{"~": 2}]}));
        assert_eq!(found.told[0].pointer, "/a~1b/0/~0");
    }
}
