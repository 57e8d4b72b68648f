//! Which paths of the payload a template reads.
//!
//! The tree is walked once, partials with it; names that stand for a part of the payload (`assign`, `for`, arguments of
//! partials) are followed. What cannot be followed is left out, so that whoever warns by this warns of nothing that may
//! be right. Bounded in time. Not here: whether there is such a path (see `trial`).

use std::collections::{HashMap, HashSet};
use std::fmt;

use super::error::place;
use super::syntax::Span;
use super::syntax::expression::{
    Condition, Expression, ExpressionKind, FilterCall, Filtered, Root, Step as Written,
};
use super::syntax::tree::{Block, Call, Node, NodeKind, Offset, Over};
use super::{Compiled, limits};

/// Most nodes that are walked: partials that call partials are walked at each call.
const NODES: usize = 100_000;
/// Most reads that are told.
const READS: usize = 1_000;
/// Most parts of the payload that one name is followed to.
const WAYS: usize = 16;
/// Most steps of a path that is followed; recursive partials go on and on.
const STEPS: usize = 32;

/// A step into the payload.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Step {
    /// The member of this name; `first`, `last` and `size` may mean what Liquid means by them.
    Member(String),
    /// The item of this number, from the end if it is negative.
    Index(i64),
    /// Any item or member.
    Each,
}

/// A place at which a template reads from the payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// What it reads: one of these, where a name can stand for several. Never empty; without steps it is the payload.
    pub paths: Vec<Vec<Step>>,
    /// Which file.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// How many characters it takes.
    pub length: usize,
    /// The whole line.
    pub source_line: String,
}

/// A path as it would be written, for people.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a>(pub &'a [Step]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("payload")?;
        for step in self.0 {
            match step {
                Step::Member(name) if is_word(name) => write!(f, ".{name}")?,
                Step::Member(name) => write!(f, "[{name:?}]")?,
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Each => f.write_str("[]")?,
            }
        }
        Ok(())
    }
}

/// Whether a name can stand behind a dot.
#[must_use]
pub fn is_word(name: &str) -> bool {
    let mut characters = name.chars();
    characters
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && characters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
}

/// All reads, each path once, at its first place.
pub(super) fn of(template: &Compiled) -> Vec<Read> {
    let mut walk = Walk {
        template,
        file: 0,
        frames: Vec::new(),
        base: 0,
        names: HashMap::new(),
        nodes: NODES,
        depth: 0,
        seen: HashSet::new(),
        found: Vec::new(),
    };
    if let Some(main) = template.files.first() {
        walk.block(&main.block);
    }
    let found = std::mem::take(&mut walk.found);
    let told = found.into_iter().filter_map(|(file, span, paths)| {
        let source = &template.files.get(file)?.source;
        let (line, column) = place(&source.text, span);
        Some(Read {
            paths,
            file: source.path.clone(),
            line,
            column,
            length: span.of(&source.text).chars().count(),
            source_line: source.text.lines().nth(line - 1)?.to_owned(),
        })
    });
    told.collect()
}

/// What a value may be, as far as it comes from the payload.
#[derive(Debug, Clone, Default, PartialEq)]
struct Value {
    ways: Vec<Way>,
    /// Whether it may be something else that has members.
    other: bool,
}

/// A part of the payload, or an array of such parts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Way {
    steps: Vec<Step>,
    /// Whether the value is an array whose items are found by these steps.
    listed: bool,
}

impl Value {
    /// Something that has no members: a text, a number.
    fn plain() -> Self {
        Self::default()
    }

    /// Something that is not followed.
    fn other() -> Self {
        Self {
            ways: Vec::new(),
            other: true,
        }
    }

    fn or(mut self, more: Self) -> Self {
        self.other |= more.other;
        for way in more.ways {
            if !self.ways.contains(&way) {
                self.ways.push(way);
            }
        }
        if self.ways.len() > WAYS {
            return Self::other();
        }
        self
    }

    fn map(mut self, change: impl Fn(Way) -> Option<Way>) -> Self {
        let before = self.ways.len();
        self.ways = self.ways.into_iter().filter_map(change).collect();
        // A way that ends leads to something that is not followed.
        self.other |= self.ways.len() < before;
        self
    }

    fn step(self, step: &Step) -> Self {
        self.map(|way| match step {
            // What is an array for sure has no other members.
            Step::Member(name) if way.listed => match name.as_str() {
                "first" | "last" => Some(Way {
                    listed: false,
                    ..way
                }),
                _ => None,
            },
            Step::Index(_) | Step::Each if way.listed => Some(Way {
                listed: false,
                ..way
            }),
            step => way.deeper(step.clone()),
        })
    }

    /// An array of its items.
    fn list(self) -> Self {
        self.map(|way| match way.listed {
            true => Some(way),
            false => way.deeper(Step::Each).map(|way| Way {
                listed: true,
                ..way
            }),
        })
    }
}

impl Way {
    fn deeper(mut self, step: Step) -> Option<Self> {
        if self.steps.len() >= STEPS {
            return None;
        }
        self.steps.push(step);
        Some(self)
    }
}

struct Walk<'a> {
    template: &'a Compiled,
    /// The file that is walked.
    file: usize,
    /// The names of loops and partials, the innermost last.
    frames: Vec<(&'a str, Value)>,
    /// The first frame that is visible.
    base: usize,
    /// Assigned names, and everything that is assigned to them anywhere before.
    names: HashMap<&'a str, Value>,
    nodes: usize,
    depth: usize,
    seen: HashSet<Vec<Way>>,
    found: Vec<(usize, Span, Vec<Vec<Step>>)>,
}

impl<'a> Walk<'a> {
    fn block(&mut self, block: &'a Block) {
        for node in &block.nodes {
            let Some(left) = self.nodes.checked_sub(1) else {
                return;
            };
            self.nodes = left;
            self.node(node);
        }
    }

    fn node(&mut self, node: &'a Node) {
        match &node.kind {
            NodeKind::Text | NodeKind::Break | NodeKind::Continue | NodeKind::Nothing => {}
            NodeKind::Output(filtered) => {
                self.filtered(filtered);
            }
            NodeKind::If(branches) => {
                for branch in branches {
                    if let Some(condition) = &branch.condition {
                        self.condition(condition);
                    }
                    self.block(&branch.block);
                }
            }
            NodeKind::Case(case) => {
                self.value(&case.subject);
                for arm in &case.arms {
                    self.values(arm.values.iter().flatten());
                    self.block(&arm.block);
                }
            }
            NodeKind::For(for_) => {
                let item = self.over(&for_.over);
                self.round(&for_.target.name, item, &for_.block);
                if let Some(block) = &for_.otherwise {
                    self.block(block);
                }
            }
            NodeKind::TableRow(row) => {
                let item = self.over(&row.over);
                self.values(row.cols.iter());
                self.round(&row.target.name, item, &row.block);
            }
            NodeKind::Assign(assign) => {
                let value = self.filtered(&assign.value);
                self.assign(&assign.target.name, value);
            }
            NodeKind::Capture(target, block) => {
                self.block(block);
                self.assign(&target.name, Value::plain());
            }
            NodeKind::Json(target, block) => {
                self.block(block);
                self.assign(&target.name, Value::other());
            }
            NodeKind::Cycle(cycle) => {
                self.values(cycle.group.iter().chain(&cycle.values));
            }
            NodeKind::Increment(target) | NodeKind::Decrement(target) => {
                self.assign(&target.name, Value::plain());
            }
            NodeKind::Call(call) => self.call(call),
            NodeKind::IfChanged(block) | NodeKind::Liquid(block) => self.block(block),
        }
    }

    fn assign(&mut self, name: &'a str, value: Value) {
        let before = self.names.remove(name).unwrap_or_default();
        self.names.insert(name, before.or(value));
    }

    /// What a loop runs through: its items.
    fn over(&mut self, over: &'a Over) -> Value {
        self.values(over.limit.iter());
        if let Some(Offset::At(offset)) = &over.offset {
            self.value(offset);
        }
        self.value(&over.collection).step(&Step::Each)
    }

    fn round(&mut self, name: &'a str, item: Value, block: &'a Block) {
        self.frames.push(("forloop", Value::other()));
        self.frames.push((name, item));
        self.block(block);
        self.frames.truncate(self.frames.len().saturating_sub(2));
    }

    fn call(&mut self, call: &'a Call) {
        let mut names: Vec<(&str, Value)> = vec![("forloop", Value::other())];
        if let Some(bound) = &call.bound {
            let mut value = self.value(&bound.value);
            if bound.each {
                value = value.step(&Step::Each);
            }
            names.push((&bound.alias, value));
        }
        for (target, argument) in &call.arguments {
            let value = self.value(argument);
            names.push((&target.name, value));
        }
        let partial = call.partial + 1;
        let Some(file) = self.template.files.get(partial) else {
            return;
        };
        if self.depth >= limits::PARTIAL_DEPTH {
            return;
        }
        let (frames, outer) = (
            self.frames.len(),
            std::mem::replace(&mut self.file, partial),
        );
        let hidden = call.isolated.then(|| {
            let base = std::mem::replace(&mut self.base, frames);
            (base, std::mem::take(&mut self.names))
        });
        self.depth += 1;
        self.frames.extend(names);
        self.block(&file.block);
        self.frames.truncate(frames);
        self.depth -= 1;
        if let Some((base, names)) = hidden {
            (self.base, self.names) = (base, names);
        }
        self.file = outer;
    }

    fn condition(&mut self, condition: &'a Condition) {
        let rest = condition.rest.iter().map(|(_, comparison)| comparison);
        for comparison in std::iter::once(&condition.first).chain(rest) {
            self.value(&comparison.left);
            self.values(comparison.right.iter().map(|(_, right)| right));
        }
    }

    fn filtered(&mut self, filtered: &'a Filtered) -> Value {
        let mut value = self.value(&filtered.input);
        for call in &filtered.filters {
            value = self.filter(value, call);
        }
        value
    }

    fn filter(&mut self, input: Value, call: &'a FilterCall) -> Value {
        let arguments: Vec<Value> = call.positional.iter().map(|one| self.value(one)).collect();
        self.values(call.named.iter().map(|(_, value)| value));
        let argument = arguments.into_iter().next().unwrap_or_default();
        let by_member = matches!(
            call.filter.name,
            "where"
                | "reject"
                | "find"
                | "find_index"
                | "has"
                | "map"
                | "sum"
                | "compact"
                | "uniq"
                | "sort"
                | "sort_natural"
        );
        let items = |value: Value| value.list();
        let mut member = Value::other();
        if let (true, Some(first)) = (by_member, call.positional.first())
            && let ExpressionKind::Str(name) = &first.kind
        {
            let step = Step::Member(name.clone());
            member = items(input.clone()).step(&Step::Each).step(&step);
            self.read(&member, first.span);
        }
        match call.filter.name {
            "default" => input.or(argument),
            "where" | "reject" | "compact" | "uniq" | "sort" | "sort_natural" | "reverse" => {
                items(input)
            }
            "concat" => items(input).or(items(argument)),
            "map" => member.map(|way| {
                Some(Way {
                    listed: true,
                    ..way
                })
            }),
            "find" | "first" | "last" => items(input).step(&Step::Each),
            // A part of a text or of an array.
            "slice" => Value::other(),
            _ => Value::plain(),
        }
    }

    fn values(&mut self, expressions: impl Iterator<Item = &'a Expression>) {
        for expression in expressions {
            self.value(expression);
        }
    }

    fn value(&mut self, expression: &'a Expression) -> Value {
        match &expression.kind {
            ExpressionKind::Range(bounds) => {
                self.value(&bounds.0);
                self.value(&bounds.1);
                Value::plain()
            }
            ExpressionKind::Path(path) => {
                let mut value = match &path.root {
                    Root::Name(name) => self.name(name),
                    Root::Computed(name) => {
                        self.value(name);
                        match &name.kind {
                            ExpressionKind::Str(name) => self.name(name),
                            _ => Value::other(),
                        }
                    }
                };
                for step in &path.steps {
                    let step = match step {
                        Written::Name(name) => Step::Member(name.clone()),
                        Written::Index(key) => match &key.kind {
                            ExpressionKind::Str(name) => Step::Member(name.clone()),
                            ExpressionKind::Int(index) => Step::Index(*index),
                            _ => {
                                self.value(key);
                                Step::Each
                            }
                        },
                    };
                    value = value.step(&step);
                }
                self.read(&value, expression.span);
                value
            }
            _ => Value::plain(),
        }
    }

    fn name(&self, name: &str) -> Value {
        let frames = self.frames.get(self.base..).unwrap_or(&[]);
        if let Some((_, value)) = frames.iter().rev().find(|(known, _)| *known == name) {
            return value.clone();
        }
        match (self.names.get(name), name) {
            (Some(value), _) => value.clone(),
            (None, "payload") => Value {
                ways: vec![Way {
                    steps: Vec::new(),
                    listed: false,
                }],
                other: false,
            },
            (None, _) => Value::other(),
        }
    }

    fn read(&mut self, value: &Value, span: Span) {
        if value.other || value.ways.is_empty() || self.found.len() >= READS {
            return;
        }
        // The payload as a whole is always there, as is a list that a filter made, whether it has items or not.
        if value
            .ways
            .iter()
            .any(|way| way.steps.is_empty() || way.listed)
        {
            return;
        }
        if self.seen.insert(value.ways.clone()) {
            let paths = value.ways.iter().map(|way| way.steps.clone()).collect();
            self.found.push((self.file, span, paths));
        }
    }
}

#[cfg(test)]
mod tests;
