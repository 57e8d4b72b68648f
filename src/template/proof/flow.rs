//! Follows all ways through the tree, as rendering would walk it.

use std::collections::{BTreeMap, HashMap};

use super::Failure;
use super::ask::{self, Answer, Open};
use super::state::{Hint, Known, Out, Way, Ways};
use crate::template::Compiled;
use crate::template::limits;
use crate::template::sink::Origin;
use crate::template::syntax::expression::{Condition, Expression, Filtered, Logic};
use crate::template::syntax::tree::{Block, Branch, Case, Node, NodeKind};
use crate::template::syntax::{Fault, Span};
use crate::template::writer::{Mended, Writer};

/// Most ways at one place; beyond it they are made one where they differ only in what they know.
const WAYS: usize = 200;
/// Most nodes and bytes that are followed in all: bounds the time of the proof to about a second.
const WORK: usize = 4_000_000;
/// What a node of a way counts.
const NODE: usize = 64;
/// Most places that are told.
const FAILURES: usize = 20;
/// Filters that can fail on some input.
const FAILING: [&str; 6] = [
    "divided_by",
    "modulo",
    "round",
    "slice",
    "base64_decode",
    "base64_url_safe_decode",
];

/// What following all ways yields.
#[derive(Default)]
pub struct Found {
    pub failures: Vec<Failure>,
    pub repairs: Vec<Mended>,
    pub notes: Vec<(Origin, String)>,
    /// Why not all ways were followed.
    pub gave_up: Option<(Origin, &'static str)>,
    /// Whether every way fails.
    pub never: bool,
}

/// How the ways leave a block.
#[derive(Default)]
pub struct Ends {
    pub next: Ways,
    pub breaks: Ways,
    pub continues: Ways,
}

impl Ends {
    pub fn next(next: Ways) -> Self {
        Self {
            next,
            ..Self::default()
        }
    }

    pub fn each(self, mut change: impl FnMut(Ways) -> Ways) -> Self {
        Self {
            next: change(self.next),
            breaks: change(self.breaks),
            continues: change(self.continues),
        }
    }
}

pub struct Follower<'t> {
    pub template: &'t Compiled,
    pub file: usize,
    pub found: Found,
    /// Names that `increment` and `decrement` set.
    pub counters: Vec<String>,
    /// How often each subject is asked about; what is asked once need not be remembered.
    asked: HashMap<String, usize>,
    work: usize,
    pub calls: usize,
    depth: usize,
    /// Whether something failed that need not, or ended without failing.
    pub unsure: bool,
}

/// Follows all ways.
pub fn follow(template: &Compiled) -> Found {
    let mut follower = Follower {
        template,
        file: 0,
        found: Found::default(),
        counters: Vec::new(),
        asked: HashMap::new(),
        work: 0,
        calls: 0,
        depth: 0,
        unsure: false,
    };
    for (index, file) in template.files.iter().enumerate() {
        follower.survey(index, &file.block, index > 0);
    }
    let Some(main) = template.files.first() else {
        return follower.found;
    };
    let start = Way {
        outs: vec![Out::Json(Box::new(Writer::new(usize::MAX)))],
        variables: BTreeMap::new(),
        frames: Vec::new(),
        facts: Vec::new(),
        route: None,
    };
    let ends = follower.block(&main.block, Ways::one(start));
    let text = main.source.text.trim_end().len();
    let end = Span::new(text.saturating_sub(1), text);
    let mut valid = false;
    for ways in [ends.next, ends.breaks, ends.continues] {
        follower.unsure |= ways.joined;
        for way in ways.into_list() {
            valid |= follower.finish(way, end).is_some();
        }
    }
    follower.found.never = !valid && !follower.unsure && follower.found.gave_up.is_none();
    if !valid && follower.found.failures.is_empty() && follower.found.gave_up.is_none() {
        follower.give_up(end, "no way through the template ends within the limits");
    }
    if follower.found.never {
        // It is told by the first place where a way ends.
        follower.found.failures.sort_by_key(|failure| !failure.ends);
    }
    follower.found
}

impl<'t> Follower<'t> {
    /// What names are counters, what is asked how often, which filters can fail.
    fn survey(&mut self, file: usize, block: &'t Block, often: bool) {
        let times = if often { 2 } else { 1 };
        for node in &block.nodes {
            match &node.kind {
                NodeKind::Output(value) => self.survey_filters(file, value),
                NodeKind::Assign(assign) => self.survey_filters(file, &assign.value),
                NodeKind::If(branches) => {
                    for branch in branches {
                        for subject in branch.condition.iter().flat_map(ask::subjects) {
                            *self.asked.entry(subject).or_default() += times;
                        }
                        self.survey(file, &branch.block, often);
                    }
                }
                NodeKind::Case(case) => {
                    if let Some(subject) = ask::spelling(&case.subject, &mut Vec::new()) {
                        *self.asked.entry(subject).or_default() += times;
                    }
                    for arm in &case.arms {
                        self.survey(file, &arm.block, often);
                    }
                }
                NodeKind::For(for_) => {
                    if let Some(subject) = ask::spelling(&for_.over.collection, &mut Vec::new()) {
                        *self.asked.entry(subject).or_default() += times;
                    }
                    self.survey(file, &for_.block, true);
                    if let Some(otherwise) = &for_.otherwise {
                        self.survey(file, otherwise, often);
                    }
                }
                NodeKind::Increment(target) | NodeKind::Decrement(target) => {
                    self.counters.push(target.name.clone());
                }
                NodeKind::Capture(_, block)
                | NodeKind::Json(_, block)
                | NodeKind::IfChanged(block)
                | NodeKind::Liquid(block) => self.survey(file, block, often),
                _ => {}
            }
        }
    }

    fn survey_filters(&mut self, file: usize, value: &Filtered) {
        for call in &value.filters {
            if FAILING.contains(&call.filter.name) {
                let origin = Origin {
                    file,
                    span: call.span,
                };
                let what = format!("`{}` can fail", call.filter.name);
                self.found.notes.push((origin, what));
            }
        }
    }

    pub fn origin(&self, span: Span) -> Origin {
        Origin {
            file: self.file,
            span,
        }
    }

    pub fn give_up(&mut self, span: Span, why: &'static str) {
        if self.found.gave_up.is_none() {
            self.found.gave_up = Some((self.origin(span), why));
        }
    }

    fn spend(&mut self, work: usize, span: Span) -> bool {
        self.work = self.work.saturating_add(work);
        if self.work > WORK {
            self.give_up(
                span,
                "the template is too large to follow all ways through it",
            );
        }
        self.found.gave_up.is_none()
    }

    /// Keeps the number of ways within bounds.
    pub fn bound(&mut self, mut ways: Ways, span: Span) -> Ways {
        for variables in [false, true] {
            if ways.len() > WAYS {
                ways.widen(variables);
            }
        }
        if ways.len() > WAYS {
            self.give_up(
                span,
                "there are too many ways through the template to follow them all",
            );
            return Ways::default();
        }
        ways
    }

    pub fn fail(&mut self, fault: Fault, way: &Way, ends: bool) {
        let known = self.found.failures.iter().any(|failure| {
            failure.file == self.file
                && failure.fault.span == fault.span
                && failure.fault.message == fault.message
        });
        if !known && self.found.failures.len() < FAILURES {
            self.found.failures.push(Failure {
                file: self.file,
                fault,
                route: way.route.clone(),
                ends,
            });
        }
    }

    /// Ends the writer of a way. `None` if it is not whole.
    pub fn finish(&mut self, mut way: Way, end: Span) -> Option<Way> {
        let Some(Out::Json(writer)) = way.outs.pop() else {
            return Some(way);
        };
        match writer.finish(end) {
            Ok((_, repairs)) => {
                self.mended(repairs);
                Some(way)
            }
            Err(fault) => {
                self.fail(fault, &way, true);
                None
            }
        }
    }

    fn mended(&mut self, repairs: Vec<Mended>) {
        for repair in repairs {
            if !self.found.repairs.contains(&repair) {
                self.found.repairs.push(repair);
            }
        }
    }

    pub fn block(&mut self, block: &'t Block, ways: Ways) -> Ends {
        if self.depth >= limits::DEPTH {
            // A render ends here with an error of its limits.
            self.unsure = true;
            return Ends::default();
        }
        self.depth += 1;
        let mut ends = Ends::next(ways);
        for node in &block.nodes {
            let count = ends.next.len();
            if count == 0 || !self.spend(NODE * count, node.span) {
                self.unsure |= ends.next.joined;
                ends.next = Ways::default();
                break;
            }
            let after = self.node(node, std::mem::take(&mut ends.next));
            ends.next = self.bound(after.next, node.span);
            ends.breaks.extend(after.breaks);
            ends.continues.extend(after.continues);
        }
        self.depth -= 1;
        ends.breaks = self.bound(ends.breaks, Span::new(0, 0));
        ends.continues = self.bound(ends.continues, Span::new(0, 0));
        ends
    }

    fn node(&mut self, node: &'t Node, ways: Ways) -> Ends {
        Ends::next(match &node.kind {
            NodeKind::Text => self.print(ways, node.span, true),
            NodeKind::Output(value) => self.print(ways, value.span, false),
            NodeKind::Cycle(_) => self.print(ways, node.span, false),
            NodeKind::Increment(target) | NodeKind::Decrement(target) => {
                let ways = self.print(ways, node.span, false);
                self.map(ways, |_, way| way.forget(&target.name))
            }
            NodeKind::Nothing => ways,
            NodeKind::If(branches) => return self.branches(branches, ways),
            NodeKind::Case(case) => return self.case(case, ways),
            NodeKind::For(for_) => return self.for_loop(for_, ways),
            NodeKind::Call(call) => return self.call(call, node.span, ways),
            NodeKind::Liquid(block) => return self.block(block, ways),
            NodeKind::Assign(assign) => self.map(ways, |follower, way| {
                let known = ask::filtered(way, &follower.counters, &assign.value);
                way.forget(&assign.target.name);
                way.variables.insert(assign.target.name.clone(), known);
            }),
            NodeKind::Capture(target, block) => {
                let ways = self.map(ways, |_, way| way.outs.push(Out::Text));
                let ends = self.block(block, ways);
                return ends.each(|ways| {
                    self.map(ways, |_, way| {
                        way.outs.pop();
                        way.forget(&target.name);
                        way.variables.insert(target.name.clone(), Known::Truthy);
                    })
                });
            }
            NodeKind::Json(target, block) => {
                let ways = self.map(ways, |_, way| {
                    way.outs.push(Out::Json(Box::new(Writer::new(usize::MAX))));
                });
                let ends = self.block(block, ways);
                return ends.each(|ways| {
                    self.filter(ways, |follower, way| {
                        let mut way = follower.finish(way, node.span)?;
                        way.forget(&target.name);
                        way.variables.insert(target.name.clone(), Known::Nothing);
                        Some(way)
                    })
                });
            }
            NodeKind::IfChanged(block) => {
                // It prints all or nothing; what it assigns is assigned either way.
                let silent = self.map(ways.clone(), |_, way| way.outs.push(Out::Text));
                let silent = self.block(block, silent).each(|ways| {
                    self.map(ways, |_, way| {
                        way.outs.pop();
                    })
                });
                let mut ends = self.block(block, ways);
                ends.next.extend(silent.next);
                ends.breaks.extend(silent.breaks);
                ends.continues.extend(silent.continues);
                return ends;
            }
            NodeKind::TableRow(_) => {
                self.give_up(node.span, "`tablerow` is not followed");
                Ways::default()
            }
            NodeKind::Break => {
                return Ends {
                    breaks: ways,
                    ..Ends::default()
                };
            }
            NodeKind::Continue => {
                return Ends {
                    continues: ways,
                    ..Ends::default()
                };
            }
        })
    }

    pub fn map(&mut self, ways: Ways, mut change: impl FnMut(&mut Self, &mut Way)) -> Ways {
        self.filter(ways, |follower, mut way| {
            change(follower, &mut way);
            Some(way)
        })
    }

    fn filter(
        &mut self,
        ways: Ways,
        mut change: impl FnMut(&mut Self, Way) -> Option<Way>,
    ) -> Ways {
        self.unsure |= ways.joined;
        let mut after = Ways::default();
        after.joined = ways.joined;
        for way in ways.into_list() {
            if let Some(way) = change(self, way) {
                after.add(way);
            }
        }
        after
    }

    /// Prints literal text or a value.
    fn print(&mut self, ways: Ways, span: Span, literal: bool) -> Ways {
        let origin = self.origin(span);
        let template = self.template;
        let text = match template.files.get(self.file) {
            Some(file) if literal => span.of(&file.source.text),
            _ => "",
        };
        self.spend(text.len().saturating_mul(ways.len()), span);
        self.filter(ways, |follower, mut way| {
            let Some(Out::Json(writer)) = way.outs.last_mut() else {
                return Some(way);
            };
            let key_is_due = writer.key_is_due();
            let printed = if literal {
                writer.write_literal(text, origin).map(|()| false)
            } else {
                writer.unknown(origin)
            };
            let repairs = writer.settle();
            follower.mended(repairs);
            match printed {
                Ok(false) => {}
                Ok(true) => {
                    follower.unsure = true;
                    let what = if key_is_due {
                        "a key from data can be nil, an array or an object, or come twice in one object"
                    } else {
                        "a key from data can come twice in one object"
                    };
                    follower.fail(Fault::of_output(span, what), &way, false);
                }
                Err(fault) => {
                    follower.fail(fault, &way, true);
                    return None;
                }
            }
            Some(way)
        })
    }

    // -- decisions ---------------------------------------------------------------------------------

    fn branches(&mut self, branches: &'t [Branch], ways: Ways) -> Ends {
        let mut ends = Ends::default();
        let mut rest = ways;
        for branch in branches {
            let (taken, left) = match &branch.condition {
                Some(condition) => {
                    let (yes, no) = self.decide(condition, rest);
                    if branch.negated { (no, yes) } else { (yes, no) }
                }
                None => (std::mem::take(&mut rest), Ways::default()),
            };
            let after = self.block(&branch.block, taken);
            ends.next.extend(after.next);
            ends.breaks.extend(after.breaks);
            ends.continues.extend(after.continues);
            rest = left;
        }
        ends.next.extend(rest);
        ends
    }

    /// The ways on which a condition holds, and those on which it does not.
    fn decide(&mut self, condition: &'t Condition, ways: Ways) -> (Ways, Ways) {
        let (mut yes, mut no) = (Ways::default(), Ways::default());
        yes.joined = ways.joined;
        no.joined = ways.joined;
        for way in ways.into_list() {
            let mut due = vec![(way, 0)];
            while let Some((way, at)) = due.pop() {
                let comparison = match at {
                    0 => Some(&condition.first),
                    at => condition.rest.get(at - 1).map(|(_, next)| next),
                };
                let Some(comparison) = comparison else {
                    continue;
                };
                let answer = ask::ask(&way, &self.counters, comparison);
                let end = comparison
                    .right
                    .as_ref()
                    .map_or(comparison.left.span, |r| comparison.left.span.to(r.1.span));
                for (way, holds) in self.answer(way, answer, end, false) {
                    match (condition.rest.get(at).map(|(logic, _)| logic), holds) {
                        (None | Some(Logic::Or), true) => {
                            yes.add(way);
                        }
                        (None | Some(Logic::And), false) => {
                            no.add(way);
                        }
                        (Some(_), _) => due.push((way, at + 1)),
                    }
                }
                if due.len() + yes.len() + no.len() > 4 * WAYS {
                    self.give_up(end, "a condition has too many ways to come out");
                    return (Ways::default(), Ways::default());
                }
            }
        }
        let span = condition.first.left.span;
        (self.bound(yes, span), self.bound(no, span))
    }

    /// The way once for each answer that there can be.
    pub fn answer(&self, way: Way, answer: Answer, span: Span, keep: bool) -> Vec<(Way, bool)> {
        let Open {
            fact,
            source,
            negated,
        } = match answer {
            Answer::Known(known) => return vec![(way, known)],
            Answer::Open(open) => open,
        };
        let origin = self.origin(span);
        let text = self
            .template
            .files
            .get(self.file)
            .map_or("", |file| span.of(&file.source.text));
        [true, false]
            .into_iter()
            .map(|holds| {
                use super::state::Question;
                let mut way = way.clone();
                let is = holds != negated;
                let mut hint = None;
                let mut what =
                    format!("`{text}` {}", if holds { "holds" } else { "does not hold" });
                if let Some(fact) = &fact {
                    hint = source.clone().and_then(|source| match &fact.question {
                        Question::Truthy => Some(Hint::Set(source, is)),
                        Question::Equals(known) if is => Some(Hint::Is(source, known.clone())),
                        _ => None,
                    });
                    if fact.question == Question::Truthy {
                        what = format!("{text} is {}", if is { "set" } else { "not set" });
                    }
                    if keep
                        || self
                            .asked
                            .get(&fact.subject)
                            .is_some_and(|times| *times > 1)
                    {
                        way.learn(super::state::Fact {
                            holds: is,
                            ..fact.clone()
                        });
                    }
                }
                way.decide(origin, what, hint);
                (way, holds)
            })
            .collect()
    }

    fn case(&mut self, case: &'t Case, ways: Ways) -> Ends {
        let mut ends = Ends::default();
        // Ways that no arm has taken so far, and those that one has.
        let (mut fresh, mut matched) = (ways, Ways::default());
        for arm in &case.arms {
            let Some(values) = &arm.values else {
                let after = self.block(&arm.block, std::mem::take(&mut fresh));
                ends.breaks.extend(after.breaks);
                ends.continues.extend(after.continues);
                // An `else` does not count as a match.
                fresh = after.next;
                continue;
            };
            for value in values {
                let (yes, no) = self.matches(&case.subject, value, std::mem::take(&mut fresh));
                let (again, still) =
                    self.matches(&case.subject, value, std::mem::take(&mut matched));
                let mut taken = yes;
                taken.extend(again);
                let after = self.block(&arm.block, taken);
                ends.breaks.extend(after.breaks);
                ends.continues.extend(after.continues);
                fresh = no;
                matched = after.next;
                matched.extend(still);
                fresh = self.bound(fresh, value.span);
                matched = self.bound(matched, value.span);
            }
        }
        ends.next.extend(fresh);
        ends.next.extend(matched);
        if let Some(subject) = ask::spelling(&case.subject, &mut Vec::new())
            && self.asked.get(&subject).is_none_or(|times| *times < 2)
        {
            return ends
                .each(|ways| self.map(ways, |_, way| way.facts.retain(|f| f.subject != subject)));
        }
        ends
    }

    fn matches(
        &mut self,
        subject: &'t Expression,
        value: &'t Expression,
        ways: Ways,
    ) -> (Ways, Ways) {
        let (mut yes, mut no) = (Ways::default(), Ways::default());
        yes.joined = ways.joined;
        no.joined = ways.joined;
        for way in ways.into_list() {
            let answer = ask::equal(&way, &self.counters, subject, value);
            for (way, holds) in self.answer(way, answer, value.span, true) {
                if holds {
                    yes.add(way);
                } else {
                    no.add(way);
                }
            }
        }
        (yes, no)
    }
}
