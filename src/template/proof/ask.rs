//! What conditions say where a way stands: decided by constants, by the loop's round, by what was decided before, or open.

use std::collections::HashSet;

use super::state::{Fact, Known, Question, Round, Source, Way};
use crate::template::filters::Yields;
use crate::template::syntax::expression::{
    Comparison, Expression, ExpressionKind, FilterCall, Filtered, Operator, Path, Root, Step,
};

/// Longer literals, in bytes, are not remembered.
const SPELLED: usize = 64;

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
        ExpressionKind::Str(text) if text.len() > SPELLED => return None,
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
pub fn value(way: &Way, counters: &HashSet<String>, expression: &Expression) -> Known {
    match &expression.kind {
        ExpressionKind::Nil => Known::Nil,
        ExpressionKind::Bool(b) => Known::Bool(*b),
        ExpressionKind::Int(int) => Known::Int(*int),
        ExpressionKind::Str(text) if text.len() > SPELLED => Known::Scalar,
        ExpressionKind::Str(text) => Known::Str(text.clone()),
        ExpressionKind::Number(_) => Known::Scalar,
        ExpressionKind::Range(_) => Known::Truthy,
        ExpressionKind::Empty | ExpressionKind::Blank => Known::Nothing,
        ExpressionKind::Path(path) => path_value(way, counters, path),
    }
}

fn path_value(way: &Way, counters: &HashSet<String>, path: &Path) -> Known {
    let Root::Name(name) = &path.root else {
        return Known::Nothing;
    };
    if !path.steps.is_empty() {
        return match (loop_member(way, path), name.as_str(), path.steps.as_slice()) {
            (Some((round, member)), ..) => round_value(round, member),
            (None, "event", [Step::Name(member)])
                if EVENT_TEXTS.contains(&member.as_str()) && is_root(way, counters, name) =>
            {
                Known::Scalar
            }
            _ => Known::Nothing,
        };
    }
    for frame in way.frames.iter().rev() {
        if let Some(held) = frame.names.get(name) {
            return held.known.clone();
        }
        if name == "forloop" && frame.round.is_some() {
            return Known::Truthy;
        }
    }
    if let Some(held) = way.variables.get(name) {
        return held.known.clone();
    }
    match name.as_str() {
        _ if counters.contains(name) => Known::Nothing,
        "payload" => Known::Nothing,
        "route" | "target" => Known::Scalar,
        "event" | "headers" | "vars" => Known::Truthy,
        _ => Known::Nil,
    }
}

/// Members of `event` that are always there.
const EVENT_TEXTS: [&str; 4] = ["id", "source", "type", "received_at"];

/// Whether a name means what every template knows by it.
fn is_root(way: &Way, counters: &HashSet<String>, name: &str) -> bool {
    !way.variables.contains_key(name)
        && !counters.contains(name)
        && !way.frames.iter().any(|f| f.names.contains_key(name))
}

fn round_value(round: Round, member: &str) -> Known {
    let Round { first, last, .. } = round;
    let counted = |least: i64, at_least: bool| match at_least {
        true => Known::Int(least),
        false => Known::AtLeast(least + 1),
    };
    match member {
        "first" => Known::Bool(first),
        "last" => Known::Bool(last),
        "index" => counted(1, first),
        "index0" => counted(0, first),
        "rindex" => counted(1, last),
        "rindex0" => counted(0, last),
        "length" => counted(1, first && last),
        "name" => Known::Scalar,
        _ => Known::Nothing,
    }
}

/// The round and the member of it that `forloop.last`, `forloop.parentloop.last` and so on mean.
fn loop_member<'p>(way: &Way, path: &'p Path) -> Option<(Round, &'p str)> {
    let (Root::Name(root), [parents @ .., Step::Name(member)]) =
        (&path.root, path.steps.as_slice())
    else {
        return None;
    };
    let up = |step: &Step| matches!(step, Step::Name(name) if name == "parentloop");
    if root != "forloop" || !parents.iter().all(up) {
        return None;
    }
    let mut left = parents.len();
    for frame in way.frames.iter().rev() {
        match frame.round {
            // The loop of a partial is no parent to those within.
            Some(round) if left < parents.len() && !round.parent => return None,
            Some(round) if left == 0 => return Some((round, member)),
            Some(_) => left -= 1,
            // Only the innermost loop can be hidden by a name.
            None if left == parents.len() && frame.names.contains_key("forloop") => return None,
            None => {}
        }
    }
    None
}

/// What is known of what is printed: a final `json` changes nothing where values and keys stand.
pub fn printed(way: &Way, counters: &HashSet<String>, filtered: &Filtered) -> Known {
    let calls = match filtered.filters.as_slice() {
        [calls @ .., last] if last.filter.name == "json" => calls,
        calls => calls,
    };
    through(way, counters, &filtered.input, calls)
}

/// What is known of an expression after its filters.
pub fn filtered(way: &Way, counters: &HashSet<String>, filtered: &Filtered) -> Known {
    through(way, counters, &filtered.input, &filtered.filters)
}

fn through(
    way: &Way,
    counters: &HashSet<String>,
    input: &Expression,
    calls: &[FilterCall],
) -> Known {
    let input = value(way, counters, input);
    calls.iter().fold(input, |input, call| {
        let argument = call.positional.first();
        let argument = argument.map(|argument| value(way, counters, argument));
        match (call.filter.yields, call.filter.name) {
            (Yields::Number, "plus") => match argument {
                Some(Known::Int(add)) => input.plus(add),
                _ => Known::Scalar,
            },
            (Yields::Number, "minus") => match argument {
                Some(Known::Int(less)) => {
                    less.checked_neg().map_or(Known::Scalar, |a| input.plus(a))
                }
                _ => Known::Scalar,
            },
            (Yields::Text | Yields::Number, _) => Known::Scalar,
            (Yields::Array, _) => Known::Array,
            (Yields::Any, "default")
                if call.named.is_empty()
                    && argument.as_ref().is_none_or(|a| a.truth() == Some(true)) =>
            {
                Known::Truthy
            }
            (Yields::Bool | Yields::Any, _) => Known::Nothing,
        }
    })
}

/// Where in the payload a value comes from, for counter-examples.
pub fn source(way: &Way, expression: &Expression) -> Option<Source> {
    let ExpressionKind::Path(path) = &expression.kind else {
        return None;
    };
    let Root::Name(name) = &path.root else {
        return None;
    };
    let mut framed = way.frames.iter().rev().map(|frame| frame.names.get(name));
    let held = framed
        .find_map(|held| held)
        .or_else(|| way.variables.get(name));
    let mut source = match held {
        Some(held) => held.source.clone()?,
        None if name == "payload" => Vec::new(),
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

/// What a comparison asks about, to count how often that is: its left side, and the array whose size that may be.
pub fn subjects(comparison: &Comparison) -> impl Iterator<Item = String> {
    let whole = spelling(&comparison.left, &mut Vec::new());
    let array = whole.as_ref().and_then(|text| text.strip_suffix(".size"));
    let array = array.map(str::to_owned);
    whole.into_iter().chain(array)
}

/// Whether text may meet a number in a comparison by `<` and the like.
pub fn may_mix(way: &Way, counters: &HashSet<String>, comparison: &Comparison) -> bool {
    let number = |side: &Expression| {
        let known = value(way, counters, side);
        matches!(side.kind, ExpressionKind::Number(_))
            || matches!(known, Known::Int(_) | Known::AtLeast(_))
            || made_array(way, counters, side).is_some_and(|(_, of_size)| of_size)
    };
    let right = comparison.right.as_ref();
    !(number(&comparison.left) && right.is_some_and(|(_, right)| number(right)))
}

/// What a comparison says.
pub fn ask(way: &Way, counters: &HashSet<String>, comparison: &Comparison) -> Answer {
    let left = &comparison.left;
    match &comparison.right {
        None => match value(way, counters, left).truth() {
            Some(known) => Answer::Known(known),
            None => open(way, left, Question::Truthy, false),
        },
        Some((operator, right))
            if let Some(answer) = size(way, counters, left, *operator, right) =>
        {
            answer
        }
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
            let order = value(way, counters, left).compare(&value(way, counters, right));
            let known = order.and_then(|order| order.decides(*operator));
            if let Some(known) = known.or_else(|| is_last(way, left, *operator, right)) {
                return Answer::Known(known);
            }
            let mut roots = Vec::new();
            match spelling(right, &mut roots) {
                Some(text) => {
                    let question = Question::Other(format!("{operator:?} {text}"));
                    open_with(way, left, question, false, roots)
                }
                None => unrelated(),
            }
        }
    }
}

/// What `==` says.
pub fn equal(
    way: &Way,
    counters: &HashSet<String>,
    left: &Expression,
    right: &Expression,
) -> Answer {
    if let Some(known) = is_last(way, left, Operator::Equal, right) {
        return Answer::Known(known);
    }
    let (a, b) = (value(way, counters, left), value(way, counters, right));
    if let Some(known) = a.equals(&b) {
        return Answer::Known(known);
    }
    // `empty` and `blank` can equal several literals, so that nothing follows from one for another.
    let literal = |expression: &Expression, known: &Known, subject: &Expression| {
        !matches!(expression.kind, ExpressionKind::Path(_))
            && !subject.describes()
            && matches!(
                known,
                Known::Nil | Known::Bool(_) | Known::Int(_) | Known::Str(_)
            )
    };
    if literal(right, &b, left) {
        return open(way, left, Question::Equals(b), false);
    }
    if literal(left, &a, right) {
        return open(way, right, Question::Equals(a), false);
    }
    let mut roots = Vec::new();
    match spelling(right, &mut roots) {
        Some(text) => open_with(
            way,
            left,
            Question::Other(format!("== {text}")),
            false,
            roots,
        ),
        None => unrelated(),
    }
}

/// An answer that nothing is known of.
fn unrelated() -> Answer {
    Answer::Open(Open {
        fact: None,
        source: None,
        negated: false,
    })
}

fn open(way: &Way, subject: &Expression, question: Question, negated: bool) -> Answer {
    open_with(way, subject, question, negated, Vec::new())
}

/// Whether a loop over this has a round.
pub fn rounds(way: &Way, over: &Expression, extra: String, roots: Vec<String>) -> Answer {
    let question = if extra.is_empty() {
        Question::Rounds
    } else {
        Question::Other(format!("rounds {extra}"))
    };
    open_with(way, over, question, false, roots)
}

fn open_with(
    way: &Way,
    subject: &Expression,
    question: Question,
    negated: bool,
    mut roots: Vec<String>,
) -> Answer {
    let source = source(way, subject);
    let Some(subject) = spelling(subject, &mut roots) else {
        return unrelated();
    };
    for fact in way.facts.iter().filter(|fact| fact.subject == subject) {
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

/// Whether an array that a filter made has items, asked by its size or by `empty`: the same as whether a loop over it
/// has a round.
fn size(
    way: &Way,
    counters: &HashSet<String>,
    left: &Expression,
    operator: Operator,
    right: &Expression,
) -> Option<Answer> {
    let (array, of_size) = made_array(way, counters, left)?;
    let negated = match (&right.kind, operator) {
        (ExpressionKind::Int(0), Operator::Greater | Operator::NotEqual) if of_size => false,
        (ExpressionKind::Int(1), Operator::GreaterEqual) if of_size => false,
        (ExpressionKind::Int(0), Operator::Equal | Operator::LessEqual) if of_size => true,
        (ExpressionKind::Int(1), Operator::Less) if of_size => true,
        (ExpressionKind::Empty, Operator::NotEqual) if !of_size => false,
        (ExpressionKind::Empty, Operator::Equal) if !of_size => true,
        _ => return None,
    };
    Some(open(way, &array, Question::Rounds, negated))
}

/// The array of a filter that an expression means: by its name, or (true) by its size.
fn made_array(
    way: &Way,
    counters: &HashSet<String>,
    expression: &Expression,
) -> Option<(Expression, bool)> {
    let ExpressionKind::Path(path) = &expression.kind else {
        return None;
    };
    let of_size = match path.steps.as_slice() {
        [] => false,
        [Step::Name(member)] if member == "size" => true,
        _ => return None,
    };
    let array = Expression {
        kind: ExpressionKind::Path(Path {
            root: path.root.clone(),
            steps: Vec::new(),
        }),
        span: expression.span,
    };
    (value(way, counters, &array) == Known::Array).then_some((array, of_size))
}

/// `forloop.index == forloop.length` and the like: whether it is the last round decides them.
fn is_last(way: &Way, left: &Expression, operator: Operator, right: &Expression) -> Option<bool> {
    let (ExpressionKind::Path(left), ExpressionKind::Path(right)) = (&left.kind, &right.kind)
    else {
        return None;
    };
    let (round, "index") = loop_member(way, left)? else {
        return None;
    };
    if left.steps.len() != right.steps.len() || loop_member(way, right)?.1 != "length" {
        return None;
    }
    match operator {
        Operator::Equal | Operator::GreaterEqual => Some(round.last),
        Operator::Less => Some(!round.last),
        Operator::LessEqual => Some(true),
        Operator::Greater => Some(false),
        _ => None,
    }
}
