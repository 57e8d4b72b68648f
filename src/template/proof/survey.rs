//! What can be told of a template before any way is followed: what is asked how often, and what can fail besides the
//! writer.

use std::collections::{HashMap, HashSet};

use super::ask;
use crate::template::Compiled;
use crate::template::filters::{Arguments, Fails};
use crate::template::sink::Origin;
use crate::template::syntax::Span;
use crate::template::syntax::expression::{
    Comparison, Condition, Expression, ExpressionKind, FilterCall, Filtered, Operator, Path, Root,
};
use crate::template::syntax::tree::{Block, Call, Node, NodeKind, Offset, Over};

/// What is noted of `<` and the like, unless the ways say that two numbers meet there.
pub const MIXED: &str = "the comparison fails if one side is text and the other a number";

/// How a subject is asked about.
#[derive(Debug, Default, Clone, Copy)]
struct Asked {
    times: usize,
    /// The last place, in bytes of the main file; beyond its end if a partial asks.
    last: usize,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Survey {
    asked: HashMap<String, Asked>,
    /// Names that `increment` and `decrement` set.
    pub counters: HashSet<String>,
    /// What can fail besides the writer.
    pub notes: Vec<(Origin, String)>,
    file: usize,
    /// The last place that was surveyed.
    latest: usize,
}

impl Survey {
    pub fn of(template: &Compiled) -> Self {
        let mut survey = Self::default();
        for (index, file) in template.files.iter().enumerate() {
            survey.file = index;
            // Who calls a partial how often is not looked at.
            survey.block(&file.block, index > 0);
        }
        survey
    }

    /// Whether an answer about this subject can be of use later; what is asked once need not be remembered.
    pub fn asked_again(&self, subject: &str) -> bool {
        self.asked.get(subject).is_some_and(|asked| asked.times > 1)
    }

    /// Whether it is asked about at or behind this place of the main file, as far as no loop leads back before it.
    pub fn asked_from(&self, subject: &str, place: usize) -> bool {
        let asked = self.asked.get(subject);
        asked.is_some_and(|asked| asked.last >= place)
    }

    fn ask(&mut self, subject: String, at: usize, often: bool) {
        let last = if self.file == 0 { at } else { usize::MAX };
        let asked = self.asked.entry(subject).or_default();
        asked.times += if often { 2 } else { 1 };
        asked.last = asked.last.max(last);
    }

    fn note(&mut self, span: Span, what: String) {
        let file = self.file;
        self.notes.push((Origin { file, span }, what));
    }

    fn block(&mut self, block: &Block, often: bool) {
        for node in &block.nodes {
            self.latest = self.latest.max(node.span.start);
            self.node(node, often);
        }
    }

    fn node(&mut self, node: &Node, often: bool) {
        match &node.kind {
            NodeKind::Output(value) => self.filters(value),
            NodeKind::Assign(assign) => self.filters(&assign.value),
            NodeKind::If(branches) => {
                for branch in branches {
                    if let Some(condition) = &branch.condition {
                        self.condition(condition, often);
                    }
                    self.block(&branch.block, often);
                }
            }
            NodeKind::Case(case) => {
                for arm in &case.arms {
                    self.block(&arm.block, often);
                }
                // Each arm asks anew, also after another was taken.
                if let Some(subject) = ask::spelling(&case.subject, &mut Vec::new()) {
                    self.ask(subject, self.latest, often);
                }
            }
            NodeKind::For(for_) => {
                self.over(&for_.over);
                if let Some(subject) = ask::spelling(&for_.over.collection, &mut Vec::new()) {
                    self.ask(subject, for_.over.collection.span.start, often);
                }
                self.rounds(&for_.block);
                if let Some(otherwise) = &for_.otherwise {
                    self.block(otherwise, often);
                }
            }
            NodeKind::TableRow(row) => {
                self.over(&row.over);
                self.rounds(&row.block);
            }
            NodeKind::Increment(target) | NodeKind::Decrement(target) => {
                self.counters.insert(target.name.clone());
            }
            NodeKind::Capture(_, block)
            | NodeKind::Json(_, block)
            | NodeKind::IfChanged(block)
            | NodeKind::Liquid(block) => self.block(block, often),
            NodeKind::Call(call) => self.call(call),
            NodeKind::Text
            | NodeKind::Nothing
            | NodeKind::Cycle(_)
            | NodeKind::Break
            | NodeKind::Continue => {}
        }
    }

    /// A block that is run again and again: what it asks is asked until its end.
    fn rounds(&mut self, block: &Block) {
        let before = std::mem::take(&mut self.asked);
        self.block(block, true);
        let within = std::mem::replace(&mut self.asked, before);
        for (subject, _) in within {
            self.ask(subject, self.latest, true);
        }
    }

    fn condition(&mut self, condition: &Condition, often: bool) {
        let rest = condition.rest.iter().map(|(_, next)| next);
        for comparison in std::iter::once(&condition.first).chain(rest) {
            for subject in ask::subjects(comparison) {
                self.ask(subject, comparison.left.span.start, often);
            }
            self.comparison(comparison);
        }
    }

    fn comparison(&mut self, comparison: &Comparison) {
        let Some((operator, right)) = &comparison.right else {
            return;
        };
        let ordered = matches!(
            operator,
            Operator::Less | Operator::LessEqual | Operator::Greater | Operator::GreaterEqual
        );
        if ordered && (from_data(&comparison.left) || from_data(right)) {
            let span = comparison.left.span.to(right.span);
            self.note(span, MIXED.to_owned());
        }
    }

    fn over(&mut self, over: &Over) {
        if let ExpressionKind::Range(bounds) = &over.collection.kind
            && (from_data(&bounds.0) || from_data(&bounds.1))
        {
            let what = "a range fails on a bound that is a boolean, a fraction, an array or an object, and if it is too long";
            self.note(over.collection.span, what.to_owned());
        }
        let offset = match &over.offset {
            Some(Offset::At(at)) => Some(at),
            Some(Offset::Continue) | None => None,
        };
        for whole in over.limit.iter().chain(offset).filter(|at| from_data(at)) {
            self.note(
                whole.span,
                "the limit or offset fails if it is no whole number".to_owned(),
            );
        }
    }

    fn call(&mut self, call: &Call) {
        let bound = call.bound.iter().map(|bound| &bound.value);
        for value in bound {
            if let ExpressionKind::Range(bounds) = &value.kind
                && (from_data(&bounds.0) || from_data(&bounds.1))
            {
                let what = "a range fails on a bound that is a boolean, a fraction, an array or an object, and if it is too long";
                self.note(value.span, what.to_owned());
            }
        }
    }

    fn filters(&mut self, value: &Filtered) {
        for call in &value.filters {
            let on = match call.filter.fails {
                Fails::Never => continue,
                Fails::Property(_) if call.positional.is_empty() => continue,
                Fails::Argument(_)
                    if literals(call).is_some_and(|a| call.filter.works_with(&a)) =>
                {
                    continue;
                }
                Fails::Input(on) | Fails::Argument(on) | Fails::Property(on) => on,
            };
            let what = format!("`{}` fails on {on}", call.filter.name);
            self.note(call.span, what);
        }
    }
}

/// The arguments of a call, if all are literals.
fn literals(call: &FilterCall) -> Option<Arguments<'_>> {
    let positional = call.positional.iter().map(Expression::literal);
    let named = call.named.iter();
    Some(Arguments {
        positional: positional.collect::<Option<_>>()?,
        named: named
            .map(|(name, argument)| Some((name.as_str(), argument.literal()?)))
            .collect::<Option<_>>()?,
    })
}

/// Whether a payload can decide what this is: it is neither a literal nor a member of `forloop`.
fn from_data(expression: &Expression) -> bool {
    match &expression.kind {
        ExpressionKind::Path(Path {
            root: Root::Name(name),
            ..
        }) => name != "forloop",
        ExpressionKind::Path(_) => true,
        _ => false,
    }
}
