//! What conditions say where a way stands: decided by constants, by the loop's round, by what was decided before, or open.

use super::state::{Fact, Frame, Known, Question, Source, Way};
use crate::template::filters::Yields;
use crate::template::syntax::expression::{
    Comparison, Condition, Expression, ExpressionKind, Filtered, Operator, Path, Root, Step,
};

/// A condition that depends on the payload.
#[derive(Debug, Clone)]
pub struct Open {
    pub fact: Option<Fact>,
    pub source: Option<Source>,
    /// Whether the condition is the opposite of the fact.
    pub negated: bool,
}

/// The answer to a comparison.
pub enum Answer {
    Known(bool),
    Open(Open),
}

/// An expression in one spelling, and the variables in it; `None` if it cannot be told which they are.
pub fn spelling(expression: &Expression, roots: &mut Vec<String>) -> Option<String> {
    Some(match &expression.kind {
        ExpressionKind::Nil => "nil".to_owned(),
        ExpressionKind::Bool(b) => b.to_string(),
        ExpressionKind::Int(int) => int.to_string(),
        ExpressionKind::Number(text) => text.clone(),
        ExpressionKind::Str(text) => format!("{text:?}"),
        ExpressionKind::Empty => "empty".to_owned(),
        ExpressionKind::Blank => "blank".to_owned(),
        ExpressionKind::Range(bounds) => format!(
            "({}..{})",
            spelling(&bounds.0, roots)?,
            spelling(&bounds.1, roots)?
        ),
        ExpressionKind::Path(path) => {
            let Root::Name(name) = &path.root else {
                return None;
            };
            roots.push(name.clone());
            let mut text = name.clone();
            for step in &path.steps {
                match step {
                    Step::Name(name) => text.push_str(&format!(".{name}")),
                    Step::Index(index) => {
                        text.push_str(&format!("[{}]", spelling(index, roots)?));
                    }
                }
            }
            text
        }
    })
}

/// What is known of an expression's value.
pub fn value(way: &Way, counters: &[String], expression: &Expression) -> Known {
    match &expression.kind {
        ExpressionKind::Nil => Known::Nil,
        ExpressionKind::Bool(b) => Known::Bool(*b),
        ExpressionKind::Int(int) => Known::Int(*int),
        ExpressionKind::Str(text) => Known::Str(text.clone()),
        ExpressionKind::Number(_) | ExpressionKind::Range(_) => Known::Truthy,
        ExpressionKind::Empty | ExpressionKind::Blank => Known::Odd,
        ExpressionKind::Path(path) => path_value(way, counters, path),
    }
}

fn path_value(way: &Way, counters: &[String], path: &Path) -> Known {
    let Root::Name(name) = &path.root else {
        return Known::Nothing;
    };
    if !path.steps.is_empty() {
        return loop_value(way, name, &path.steps);
    }
    for frame in way.frames.iter().rev() {
        if let Some((known, _)) = frame.names.get(name) {
            return known.clone();
        }
        if name == "forloop" && frame.round.is_some() {
            return Known::Truthy;
        }
    }
    if let Some(known) = way.variables.get(name) {
        return known.clone();
    }
    match name.as_str() {
        _ if counters.contains(name) => Known::Nothing,
        "payload" => Known::Nothing,
        "event" | "headers" | "route" | "target" | "vars" => Known::Truthy,
        _ => Known::Nil,
    }
}

/// `forloop.first` and the like of the innermost loop.
fn loop_value(way: &Way, root: &str, steps: &[Step]) -> Known {
    let (Some((first, last)), [Step::Name(member)]) = (innermost(way, root), steps) else {
        return Known::Nothing;
    };
    match member.as_str() {
        "first" => Known::Bool(first),
        "last" => Known::Bool(last),
        "index" if first => Known::Int(1),
        "index0" if first => Known::Int(0),
        "rindex" if last => Known::Int(1),
        "rindex0" if last => Known::Int(0),
        "length" if first && last => Known::Int(1),
        "index" | "index0" | "rindex" | "rindex0" | "length" | "name" => Known::Truthy,
        _ => Known::Nothing,
    }
}

fn innermost(way: &Way, root: &str) -> Option<(bool, bool)> {
    if root != "forloop" {
        return None;
    }
    for frame in way.frames.iter().rev() {
        if frame.round.is_some() {
            return frame.round;
        }
        if frame.names.contains_key("forloop") {
            return None;
        }
    }
    None
}

/// What is known of an expression after its filters.
pub fn filtered(way: &Way, counters: &[String], filtered: &Filtered) -> Known {
    let Some(last) = filtered.filters.last() else {
        return value(way, counters, &filtered.input);
    };
    match last.filter.yields {
        Yields::Text | Yields::Number | Yields::Array => Known::Truthy,
        Yields::Bool | Yields::Any => {
            let argument = last.positional.first();
            let given = argument.is_none_or(|a| value(way, counters, a).truth() == Some(true));
            if last.filter.name == "default" && last.named.is_empty() && given {
                return Known::Truthy;
            }
            let arguments = filtered.filters.iter().flat_map(|call| {
                let named = call.named.iter().map(|(_, argument)| argument);
                call.positional.iter().chain(named)
            });
            let mut read = std::iter::once(&filtered.input).chain(arguments);
            if read.any(|expression| value(way, counters, expression) == Known::Odd) {
                Known::Odd
            } else {
                Known::Nothing
            }
        }
    }
}

/// Where in the payload a value comes from, for counter-examples.
pub fn source(way: &Way, expression: &Expression) -> Option<Source> {
    let ExpressionKind::Path(path) = &expression.kind else {
        return None;
    };
    let Root::Name(name) = &path.root else {
        return None;
    };
    let framed = |frame: &Frame| frame.names.get(name).cloned();
    let mut source = match way.frames.iter().rev().find_map(framed) {
        Some((_, source)) => source?,
        None if name == "payload" && !way.variables.contains_key(name) => Vec::new(),
        None => return None,
    };
    for step in &path.steps {
        match step {
            Step::Name(name) => source.push(Some(name.clone())),
            Step::Index(Expression {
                kind: ExpressionKind::Str(name),
                ..
            }) => source.push(Some(name.clone())),
            Step::Index(_) => return None,
        }
    }
    Some(source)
}

/// The subject of a comparison, to count how often it is asked about.
pub fn subjects(condition: &Condition) -> impl Iterator<Item = String> {
    std::iter::once(&condition.first)
        .chain(condition.rest.iter().map(|(_, next)| next))
        .filter_map(|comparison| spelling(&comparison.left, &mut Vec::new()))
}

/// What a comparison says.
pub fn ask(way: &Way, counters: &[String], comparison: &Comparison) -> Answer {
    let left = &comparison.left;
    match &comparison.right {
        None => match value(way, counters, left).truth() {
            Some(known) => Answer::Known(known),
            None => open(way, counters, left, Question::Truthy, false),
        },
        Some((operator @ (Operator::Equal | Operator::NotEqual), right)) => {
            let negated = *operator == Operator::NotEqual;
            match equal(way, counters, left, right) {
                Answer::Known(known) => Answer::Known(known != negated),
                Answer::Open(open) => Answer::Open(Open {
                    negated: open.negated != negated,
                    ..open
                }),
            }
        }
        Some((operator, right)) => {
            if let Some(known) = round_order(way, left, *operator, right) {
                return Answer::Known(known);
            }
            let mut roots = Vec::new();
            match spelling(right, &mut roots) {
                Some(text) => {
                    let question = Question::Other(format!("{operator:?} {text}"));
                    open_with(way, counters, left, question, false, roots)
                }
                None => unrelated(),
            }
        }
    }
}

/// What `==` says.
pub fn equal(way: &Way, counters: &[String], left: &Expression, right: &Expression) -> Answer {
    if let Some(known) = round_order(way, left, Operator::Equal, right) {
        return Answer::Known(known);
    }
    let (a, b) = (value(way, counters, left), value(way, counters, right));
    if let Some(known) = a.equals(&b) {
        return Answer::Known(known);
    }
    let literal = |expression: &Expression, known: &Known| {
        !matches!(expression.kind, ExpressionKind::Path(_))
            && !matches!(known, Known::Nothing | Known::Odd | Known::Truthy)
    };
    if literal(right, &b) {
        return open(way, counters, left, Question::Equals(b), false);
    }
    if literal(left, &a) {
        return open(way, counters, right, Question::Equals(a), false);
    }
    let mut roots = Vec::new();
    match spelling(right, &mut roots) {
        Some(text) => open_with(
            way,
            counters,
            left,
            Question::Other(format!("== {text}")),
            false,
            roots,
        ),
        None => unrelated(),
    }
}

fn unrelated() -> Answer {
    Answer::Open(Open {
        fact: None,
        source: None,
        negated: false,
    })
}

fn open(
    way: &Way,
    counters: &[String],
    subject: &Expression,
    question: Question,
    negated: bool,
) -> Answer {
    open_with(way, counters, subject, question, negated, Vec::new())
}

/// Whether a loop over this has a round.
pub fn rounds(
    way: &Way,
    counters: &[String],
    over: &Expression,
    extra: String,
    roots: Vec<String>,
) -> Answer {
    let question = if extra.is_empty() {
        Question::Rounds
    } else {
        Question::Other(format!("rounds {extra}"))
    };
    open_with(way, counters, over, question, false, roots)
}

fn open_with(
    way: &Way,
    counters: &[String],
    subject: &Expression,
    question: Question,
    negated: bool,
    mut roots: Vec<String>,
) -> Answer {
    let source = source(way, subject);
    let odd = value(way, counters, subject) == Known::Odd;
    let Some(subject) = spelling(subject, &mut roots) else {
        return unrelated();
    };
    for fact in way.facts.iter().filter(|fact| fact.subject == subject) {
        if odd && fact.question != question {
            continue;
        }
        if let Some(known) = follows(&fact.question, fact.holds, &question) {
            return Answer::Known(known != negated);
        }
    }
    Answer::Open(Open {
        fact: Some(Fact {
            subject,
            question,
            holds: true,
            roots,
        }),
        source,
        negated,
    })
}

/// What follows for a question from the answer to another on the same subject.
fn follows(known: &Question, holds: bool, asked: &Question) -> Option<bool> {
    if known == asked {
        return Some(holds);
    }
    match (known, asked) {
        (Question::Equals(a), Question::Equals(b)) if holds => a.equals(b),
        (Question::Equals(a), Question::Truthy) if holds => a.truth(),
        (Question::Truthy, Question::Equals(a)) => match a.truth() {
            Some(truth) if truth != holds => Some(false),
            _ => None,
        },
        // What has items is neither nil nor false.
        (Question::Rounds, Question::Truthy) if holds => Some(true),
        (Question::Truthy, Question::Rounds) if !holds => Some(false),
        _ => None,
    }
}

/// Comparisons of the loop's counters that the round decides.
fn round_order(
    way: &Way,
    left: &Expression,
    operator: Operator,
    right: &Expression,
) -> Option<bool> {
    let ExpressionKind::Path(path) = &left.kind else {
        return None;
    };
    let (Root::Name(root), [Step::Name(member)]) = (&path.root, path.steps.as_slice()) else {
        return None;
    };
    let (first, last) = innermost(way, root)?;
    let to_length = matches!(&right.kind, ExpressionKind::Path(Path { root: Root::Name(r), steps })
        if r == "forloop" && matches!(steps.as_slice(), [Step::Name(m)] if m == "length"));
    // At the least value that the counter can have, and whether it is there.
    let (least, at_least) = match member.as_str() {
        "index" if to_length => {
            return match operator {
                Operator::Equal | Operator::GreaterEqual => Some(last),
                Operator::Less => Some(!last),
                Operator::LessEqual => Some(true),
                Operator::Greater => Some(false),
                _ => None,
            };
        }
        "index" => (1, first),
        "index0" => (0, first),
        "rindex" => (1, last),
        "rindex0" => (0, last),
        "length" => (1, first && last),
        _ => return None,
    };
    let ExpressionKind::Int(number) = &right.kind else {
        return None;
    };
    match operator {
        Operator::Equal if *number == least => Some(at_least),
        Operator::Greater if *number == least => Some(!at_least),
        Operator::LessEqual if *number == least => Some(at_least),
        Operator::GreaterEqual if *number == least + 1 => Some(!at_least),
        Operator::Less if *number == least + 1 => Some(at_least),
        _ => None,
    }
}
