//! What `test` says: a line for each test, why it fails, a summary; or all of it as data.

use std::io::IsTerminal;

use serde_json::{Value, json};

use super::super::Exit;
use super::bless::Blessed;
use crate::schema::Misfit;
use crate::trial::{Difference, Line, Problem, TestOutcome};

/// What came of the chosen tests.
pub(super) struct Report<'t> {
    pub(super) tests: Vec<(&'t TestOutcome, Option<Blessed>)>,
    /// How many tests there are.
    pub(super) all: usize,
}

/// Colours only for people at a terminal who have not set `NO_COLOR`.
pub(super) fn is_coloured() -> bool {
    let off = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stdout().is_terminal() && !off
}

/// How a test stands in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Passed,
    Failed,
    Written,
}

fn state(outcome: &TestOutcome, blessed: Option<&Blessed>) -> State {
    match blessed {
        Some(Blessed::Written) => State::Written,
        _ if outcome.passed() => State::Passed,
        _ => State::Failed,
    }
}

impl Report<'_> {
    pub(super) fn exit(&self) -> Exit {
        let mut blessed = self.tests.iter().map(|(_, blessed)| blessed);
        if blessed.any(|blessed| matches!(blessed, Some(Blessed::Failed(_)))) {
            Exit::Io
        } else if self.count(State::Failed) > 0 {
            Exit::Failed
        } else {
            Exit::Done
        }
    }

    fn count(&self, wanted: State) -> usize {
        let of = |(outcome, blessed): &&(&TestOutcome, Option<Blessed>)| {
            state(outcome, blessed.as_ref()) == wanted
        };
        self.tests.iter().filter(of).count()
    }

    pub(super) fn as_text(&self, coloured: bool) -> String {
        let paint = Paint(coloured);
        let names = self.tests.iter().map(|(test, _)| test.route.as_str().len());
        let width = names.max().unwrap_or(0);
        let mut text = String::new();
        for (outcome, blessed) in &self.tests {
            let state = state(outcome, blessed.as_ref());
            let word = match state {
                State::Passed => paint.green("pass "),
                State::Failed => paint.red("fail "),
                State::Written => paint.green("wrote"),
            };
            let (route, event) = (&outcome.route, outcome.event.display());
            match state {
                State::Written => text.push_str(&format!(
                    "{word} {route:<width$}  {event} -> {}\n",
                    outcome.expect.display()
                )),
                _ => text.push_str(&format!("{word} {route:<width$}  {event}\n")),
            }
            if state == State::Failed {
                for problem in outcome.problems() {
                    text.push_str(&indented(&as_text(outcome, problem, paint)));
                }
                let why = blessed.as_ref().and_then(why_not);
                text.extend(why.map(|why| format!("  {why}\n")));
                text.push('\n');
            }
        }
        text.push_str(&self.summary());
        text
    }

    fn summary(&self) -> String {
        let mut parts = vec![format!("{} passed", self.count(State::Passed))];
        let failed = self.count(State::Failed);
        parts.extend((failed > 0).then(|| format!("{failed} failed")));
        let written = self.count(State::Written);
        parts.extend((written > 0).then(|| format!("{written} written")));
        let left_out = self.all - self.tests.len();
        parts.extend((left_out > 0).then(|| format!("{left_out} left out")));
        parts.join(", ")
    }

    pub(super) fn as_json(&self) -> Value {
        json!({
            "ok": self.exit() == Exit::Done,
            "passed": self.count(State::Passed),
            "failed": self.count(State::Failed),
            "written": self.count(State::Written),
            "left_out": self.all - self.tests.len(),
            "tests": self.tests.iter().map(|(outcome, blessed)| {
                let mut test = as_json(outcome);
                if let (Value::Object(test), Some(blessed)) = (&mut test, blessed) {
                    test.insert("written".to_owned(), json!(matches!(blessed, Blessed::Written)));
                    test.insert("not_written".to_owned(), json!(why_not(blessed)));
                }
                test
            }).collect::<Vec<_>>(),
        })
    }
}

fn why_not(blessed: &Blessed) -> Option<String> {
    match blessed {
        Blessed::Written => None,
        Blessed::Refused(why) => Some((*why).to_owned()),
        Blessed::Failed(error) => Some(format!("not written: {error}")),
    }
}

fn indented(text: &str) -> String {
    let lines = text.lines().map(|line| match line {
        "" => "\n".to_owned(),
        line => format!("  {line}\n"),
    });
    lines.collect()
}

/// Why a test fails, for a person.
fn as_text(outcome: &TestOutcome, problem: &Problem, paint: Paint) -> String {
    match problem {
        Problem::Template { error, .. } => format!("{problem}\n{}", error.pretty()),
        Problem::Differs { lines, .. } => {
            let expect = outcome.expect.display();
            let mut text = format!("{problem}\n\n");
            text.push_str(&paint.red(&format!("--- {expect}")));
            text.push('\n');
            text.push_str(&paint.green("+++ what comes out"));
            for line in lines {
                text.push('\n');
                text.push_str(&shown(line, paint));
            }
            text
        }
        Problem::NoExpectation(_) | Problem::ExpectationNotJson(_) => {
            let expect = outcome.expect.display();
            format!("{problem}\n  {expect}\n  `ingate test --bless` writes what comes out")
        }
        _ => problem.to_string(),
    }
}

fn shown(line: &Line, paint: Paint) -> String {
    match line {
        Line::Place(place) => paint.cyan(place),
        Line::Same(text) => format!(" {text}"),
        Line::Expected(text) => paint.red(&format!("-{text}")),
        Line::Actual(text) => paint.green(&format!("+{text}")),
        Line::More(more) => paint.cyan(&format!("({more} lines more)")),
    }
}

/// Colours, or none.
#[derive(Debug, Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn with(self, code: u8, text: &str) -> String {
        match self.0 {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }

    fn red(self, text: &str) -> String {
        self.with(31, text)
    }

    fn green(self, text: &str) -> String {
        self.with(32, text)
    }

    fn cyan(self, text: &str) -> String {
        self.with(36, text)
    }
}

/// What came of a test, as data.
pub(in crate::cli) fn as_json(outcome: &TestOutcome) -> Value {
    json!({
        "route": outcome.route,
        "event": outcome.event.display().to_string(),
        "expect": outcome.expect.display().to_string(),
        "passed": outcome.passed(),
        "problems": outcome.problems().iter().map(problem).collect::<Vec<_>>(),
    })
}

fn problem(problem: &Problem) -> Value {
    let mut data = json!({
        "kind": problem.name(),
        "message": problem.to_string(),
        "targets": problem.targets(),
    });
    let more = match problem {
        Problem::Template { error, .. } => json!({
            "file": error.path,
            "line": error.line,
            "column": error.column,
        }),
        Problem::Schema {
            schema, misfits, ..
        } => json!({
            "schema": schema,
            "misfits": misfits.iter().map(misfit).collect::<Vec<_>>(),
        }),
        Problem::Differs { differences, .. } => json!({
            "differences": differences.told.iter().map(difference).collect::<Vec<_>>(),
            "more": differences.more,
        }),
        _ => Value::Null,
    };
    if let (Value::Object(data), Value::Object(more)) = (&mut data, more) {
        data.extend(more);
    }
    data
}

fn misfit(misfit: &Misfit) -> Value {
    json!({"at": misfit.at, "rule": misfit.rule, "message": misfit.message})
}

/// Values are JSON text, cut where they are long.
fn difference(difference: &Difference) -> Value {
    json!({
        "at": difference.pointer,
        "expected": difference.expected,
        "actual": difference.actual,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_only_where_they_are_wanted() {
        let line = Line::Actual("  \"a\": 1".to_owned());
        assert_eq!(shown(&line, Paint(false)), "+  \"a\": 1");
        assert_eq!(shown(&line, Paint(true)), "\x1b[32m+  \"a\": 1\x1b[0m");
    }
}
