//! Two JSON values as the lines of one text, with what is only in one of them marked: a unified diff that knows JSON.
//!
//! It is laid out in the order of what is expected, so that neither the order of members nor the writing of numbers
//! shows as a difference. What is told is bounded. Not here: colours.

use serde_json::Value;

use super::compare::{Pair, items, members};
use super::shown::{cut, cut_both, json, visible};
use crate::decimal;

/// Lines that are the same and shown around those that differ.
const CONTEXT: usize = 3;
/// Most lines that are shown.
pub const LINES: usize = 120;

/// A line of the diff, indented, cut if it is long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// The place of the lines that follow, `@@ -3,7 +3,6 @@`.
    Place(String),
    /// In both.
    Same(String),
    /// Only in what is expected.
    Expected(String),
    /// Only in what came out.
    Actual(String),
    /// So many lines more are not shown.
    More(usize),
}

/// The lines that differ, with some around them; none if nothing does.
#[must_use]
pub fn diff(expected: &Value, actual: &Value) -> Vec<Line> {
    let mut layout = Layout::default();
    layout.pair(0, None, (Some(expected), Some(actual)), "");
    excerpts(layout.lines)
}

/// All lines, of what is the same and of what is not.
#[derive(Default)]
struct Layout {
    lines: Vec<Line>,
}

impl Layout {
    /// Lays out two values at one place; `comma` stands behind them.
    fn pair(&mut self, depth: usize, key: Option<&str>, pair: Pair<'_>, comma: &str) {
        match pair {
            (Some(Value::Object(expected)), Some(Value::Object(actual)))
                if !expected.is_empty() && !actual.is_empty() =>
            {
                let inner = members(expected, actual).into_iter();
                let inner = inner.map(|(key, pair)| (Some(key), pair)).collect();
                self.inside(depth, key, ("{", "}"), inner, comma);
            }
            (Some(Value::Array(expected)), Some(Value::Array(actual)))
                if !expected.is_empty() && !actual.is_empty() =>
            {
                let inner = items(expected, actual).into_iter();
                let inner = inner.map(|pair| (None, pair)).collect();
                self.inside(depth, key, ("[", "]"), inner, comma);
            }
            (Some(expected), Some(actual)) if decimal::equal(expected, actual) => {
                let text = cut(&json(expected));
                self.same(depth, &format!("{}{text}{comma}", told(key)));
            }
            (Some(expected), Some(actual)) if is_flat(expected) && is_flat(actual) => {
                let (expected, actual) = cut_both(&json(expected), &json(actual));
                let line = |text: String| format!("{}{}{text}{comma}", indent(depth), told(key));
                self.lines.push(Line::Expected(line(expected)));
                self.lines.push(Line::Actual(line(actual)));
            }
            (expected, actual) => {
                self.only(depth, key, expected, comma, Line::Expected);
                self.only(depth, key, actual, comma, Line::Actual);
            }
        }
    }

    fn inside(
        &mut self,
        depth: usize,
        key: Option<&str>,
        (open, close): (&str, &str),
        inner: Vec<(Option<&str>, Pair<'_>)>,
        comma: &str,
    ) {
        self.same(depth, &format!("{}{open}", told(key)));
        let last = inner.len().saturating_sub(1);
        for (at, (key, pair)) in inner.into_iter().enumerate() {
            let comma = if at == last { "" } else { "," };
            self.pair(depth + 1, key, pair, comma);
        }
        self.same(depth, &format!("{close}{comma}"));
    }

    fn same(&mut self, depth: usize, text: &str) {
        self.lines
            .push(Line::Same(format!("{}{text}", indent(depth))));
    }

    /// Lays out a value that only one of them has.
    fn only(
        &mut self,
        depth: usize,
        key: Option<&str>,
        value: Option<&Value>,
        comma: &str,
        line: fn(String) -> Line,
    ) {
        let Some(value) = value else {
            return;
        };
        let text = format!("{}{value:#}{comma}", told(key));
        let lines = text.lines().map(|text| {
            let text = visible(text);
            let inner = text.trim_start_matches(' ');
            let spaces = indent(depth) + &" ".repeat(text.len() - inner.len());
            line(format!("{spaces}{}", cut(inner)))
        });
        self.lines.extend(lines);
    }
}

/// Whether a value takes one line.
fn is_flat(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => true,
    }
}

fn told(key: Option<&str>) -> String {
    key.map_or(String::new(), |key| {
        format!("{}: ", cut(&json(&Value::from(key))))
    })
}

fn indent(depth: usize) -> String {
    "  ".repeat(depth)
}

/// The lines that differ with [`CONTEXT`] around them, each stretch behind its place, [`LINES`] at most.
fn excerpts(lines: Vec<Line>) -> Vec<Line> {
    let differs = |line: &Line| !matches!(line, Line::Same(_));
    let mut keep = vec![false; lines.len()];
    for (at, _) in lines.iter().enumerate().filter(|(_, line)| differs(line)) {
        let from = at.saturating_sub(CONTEXT);
        let near = keep.iter_mut().skip(from).take(at - from + CONTEXT + 1);
        near.for_each(|keep| *keep = true);
    }
    let mut stretches: Vec<Stretch> = Vec::new();
    let (mut expected, mut actual) = (1, 1);
    let mut before = false;
    for (line, keep) in lines.into_iter().zip(keep) {
        if keep && !before {
            stretches.push(Stretch::at(expected, actual));
        }
        before = keep;
        let (of_expected, of_actual) = match line {
            Line::Expected(_) => (1, 0),
            Line::Actual(_) => (0, 1),
            _ => (1, 1),
        };
        expected += of_expected;
        actual += of_actual;
        if let (true, Some(stretch)) = (keep, stretches.last_mut()) {
            stretch.expected.1 += of_expected;
            stretch.actual.1 += of_actual;
            stretch.lines.push(line);
        }
    }
    let shown = stretches.into_iter().flat_map(Stretch::into_lines);
    let mut shown: Vec<Line> = shown.collect();
    if shown.len() > LINES {
        let more = shown.len() - LINES;
        shown.truncate(LINES);
        shown.push(Line::More(more));
    }
    shown
}

/// Lines that stand together, with the first line and the number of lines of both sides.
struct Stretch {
    expected: (usize, usize),
    actual: (usize, usize),
    lines: Vec<Line>,
}

impl Stretch {
    fn at(expected: usize, actual: usize) -> Self {
        Self {
            expected: (expected, 0),
            actual: (actual, 0),
            lines: Vec::new(),
        }
    }

    fn into_lines(self) -> impl Iterator<Item = Line> {
        let (expected, actual) = (self.expected, self.actual);
        let place = format!(
            "@@ -{},{} +{},{} @@",
            expected.0, expected.1, actual.0, actual.1
        );
        std::iter::once(Line::Place(place)).chain(self.lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(expected: &str, actual: &str) -> String {
        let value = |text| serde_json::from_str::<Value>(text).unwrap();
        let lines = diff(&value(expected), &value(actual));
        let line = |line| match line {
            Line::Place(text) => text,
            Line::Same(text) => format!(" {text}"),
            Line::Expected(text) => format!("-{text}"),
            Line::Actual(text) => format!("+{text}"),
            Line::More(more) => format!("({more} more)"),
        };
        let lines: Vec<String> = lines.into_iter().map(line).collect();
        lines.join("\n")
    }

    #[test]
    fn only_what_differs_is_marked() {
        assert_eq!(shown(r#"{"a": 1, "b": 2}"#, r#"{"b": 2.0, "a": 1}"#), "");
        assert_eq!(shown("1", "2"), "@@ -1,1 +1,1 @@\n-1\n+2");
        let expected =
            r#"{"id": 1, "a": 1, "b": 2, "c": 3, "tags": ["x", "y"], "gone": {"k": [1]}}"#;
        let actual = r#"{"tags": ["x", "z"], "id": 1.0, "new": {}, "a": 1, "b": 2, "c": 3}"#;
        let wanted = r#"@@ -1,15 +1,11 @@
 {
   "id": 1,
+  "new": {},
   "a": 1,
   "b": 2,
   "c": 3,
   "tags": [
     "x",
-    "y"
+    "z"
   ],
-  "gone": {
-    "k": [
-      1
-    ]
-  }
 }"#;
        assert_eq!(shown(expected, actual), wanted);
    }

    #[test]
    fn of_what_is_the_same_only_what_is_near_is_shown() {
        let numbers = |other: i32| {
            let items = (0..100).map(|n| if n == 50 { json!(other) } else { json!(n) });
            Value::from(items.collect::<Vec<_>>()).to_string()
        };
        let wanted =
            "@@ -49,7 +49,7 @@\n   47,\n   48,\n   49,\n-  -1,\n+  -2,\n   51,\n   52,\n   53,";
        assert_eq!(shown(&numbers(-1), &numbers(-2)), wanted);
    }

    #[test]
    fn the_diff_is_bounded() {
        let many = |n: i32| Value::from((1..5_000).map(|i| json!(i * n)).collect::<Vec<_>>());
        let lines = diff(&many(1), &many(2));
        assert_eq!(lines.len(), LINES + 1);
        assert!(matches!(lines.last(), Some(Line::More(more)) if *more > 9_000));
        let long = |end: &str| json!(["x".repeat(10_000) + end, {"k": 1}]);
        for line in diff(&long("1"), &long("2")) {
            if let Line::Expected(text) | Line::Actual(text) = &line {
                assert!(text.chars().count() < 200 && text.contains('x'), "{text}");
                assert!(text.contains('1') || text.contains('2'), "{text}");
            }
        }
    }
}
