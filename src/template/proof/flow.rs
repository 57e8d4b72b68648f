//! Follows all ways through the tree, as rendering would walk it.

use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;

use super::Failure;
use super::ask;
use super::state::{Fact, Held, Known, Out, Way, Ways};
use super::survey::{MIXED, Survey};
use crate::template::Compiled;
use crate::template::limits;
use crate::template::sink::{Origin, Printed, Sink};
use crate::template::syntax::expression::Filtered;
use crate::template::syntax::tree::{Block, Node, NodeKind};
use crate::template::syntax::{Fault, Span};
use crate::template::value::Value;
use crate::template::writer::{Mended, Writer};

/// Most ways at one place; beyond it they are made one where they differ only in what they know.
pub const WAYS: usize = 200;
/// Most work in all: bytes of text that are followed, and what the ways weigh at each node. Bounds the time of the proof to
/// about a second.
const WORK: usize = 1_000_000;
/// What a node counts on each way, besides what the way weighs.
const NODE: usize = 32;
/// Most that all ways at one place weigh: bounds the memory of the proof to some tens of MiB.
const HELD: usize = 100_000;
/// Most places that are told.
const FAILURES: usize = 20;

/// What following all ways yields.
#[derive(Default)]
pub struct Found {
    pub failures: Vec<Failure>,
    pub repairs: Vec<Mended>,
    /// What can fail besides the writer.
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
    pub survey: Survey,
    /// Comparisons in which text may meet a number.
    pub mixed: HashSet<Origin>,
    work: usize,
    /// How many partials are being followed within each other.
    pub calls: usize,
    /// How many loops and partials.
    pub rounds: usize,
    depth: usize,
    /// Whether something failed that need not.
    unsure: bool,
    /// The first place where a way ends with an error of a render's limits.
    too_deep: Option<Origin>,
}

/// Follows all ways.
pub fn follow(template: &Compiled) -> Found {
    let mut follower = Follower {
        template,
        file: 0,
        found: Found::default(),
        survey: Survey::of(template),
        mixed: HashSet::new(),
        work: 0,
        calls: 0,
        rounds: 0,
        depth: 0,
        unsure: false,
        too_deep: None,
    };
    let Some(main) = template.files.first() else {
        return follower.found;
    };
    let start = Way {
        outs: vec![Out::Json(Box::new(Writer::new(usize::MAX)))],
        variables: BTreeMap::new(),
        frames: Vec::new(),
        facts: Vec::new(),
        route: None,
        joined: false,
    };
    let ends = follower.block(&main.block, Ways::one(start));
    let text = main.source.text.trim_end().len();
    let end = Span::new(text.saturating_sub(1), text);
    let mut valid = false;
    for ways in [ends.next, ends.breaks, ends.continues] {
        for way in ways.into_list() {
            valid |= follower.finish(way, end).is_some();
        }
    }
    follower.found.never = !valid && !follower.unsure && follower.found.gave_up.is_none();
    if follower.found.failures.is_empty()
        && follower.found.never
        && let Some(Origin { file, span }) = follower.too_deep
    {
        let fault = Fault::new(span, "every way ends in blocks or partials without end");
        follower.found.failures.push(Failure {
            file,
            fault,
            route: None,
            ends: true,
        });
    }
    if follower.found.never {
        // It is told by the first place where a way ends.
        follower.found.failures.sort_by_key(|failure| !failure.ends);
    }
    let (mixed, all) = (follower.mixed, follower.found.gave_up.is_none());
    let mut notes = follower.survey.notes;
    notes.retain(|(origin, what)| what != MIXED || !all || mixed.contains(origin));
    follower.found.notes = notes;
    follower.found
}

impl<'t> Follower<'t> {
    /// The template's text there.
    pub fn text(&self, span: Span) -> &'t str {
        let file = self.template.files.get(self.file);
        file.map_or("", |file| span.of(&file.source.text))
    }

    pub fn origin(&self, span: Span) -> Origin {
        Origin {
            file: self.file,
            span,
        }
    }

    /// A way ends here: a render ends with an error of its limits.
    pub fn too_deep(&mut self, span: Span) {
        let origin = self.origin(span);
        self.too_deep.get_or_insert(origin);
    }

    /// Forgets what nothing from this place on asks about, so that ways that go on alike are one.
    fn drop_facts(&self, ways: &mut Ways, place: usize) {
        // Loops and partials lead back to earlier places.
        if self.file != 0 || self.rounds > 0 {
            return;
        }
        let useless = |fact: &Rc<Fact>| !self.survey.asked_from(&fact.subject, place);
        if ways.iter().any(|way| way.facts.iter().any(useless)) {
            for mut way in std::mem::take(ways).into_list() {
                way.facts.retain(|fact| !useless(fact));
                ways.add(way);
            }
        }
    }

    pub fn give_up(&mut self, span: Span, why: &'static str) {
        if self.found.gave_up.is_none() {
            self.found.gave_up = Some((self.origin(span), why));
        }
    }

    pub fn spend(&mut self, work: usize, span: Span) -> bool {
        self.work = self.work.saturating_add(work);
        if self.work > WORK {
            self.give_up(
                span,
                "the template is too large to follow all ways through it",
            );
        }
        self.found.gave_up.is_none()
    }

    /// Counts what it takes to carry the ways over a node.
    fn carry(&mut self, ways: &mut Ways, span: Span) -> bool {
        let weight: usize = ways.iter().map(Way::weight).sum();
        if weight > HELD {
            self.give_up(span, "the ways that lead here are too large to be followed");
        }
        let made_one = std::mem::take(&mut ways.work);
        self.spend(NODE * ways.len() + weight + made_one, span)
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
        // A key that is taken on some ways only.
        self.unsure |= way.joined && Writer::is_twice(&fault.message);
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
            self.too_deep(block.nodes.first().map_or(Span::new(0, 0), |n| n.span));
            return Ends::default();
        }
        self.depth += 1;
        let mut ends = Ends::next(ways);
        for node in &block.nodes {
            self.drop_facts(&mut ends.next, node.span.start);
            if ends.next.is_empty() || !self.carry(&mut ends.next, node.span) {
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
            NodeKind::Text => self.literal(ways, node.span),
            NodeKind::Output(value) => self.print(ways, value.span, Some(value)),
            NodeKind::Cycle(_) => self.print(ways, node.span, None),
            NodeKind::Increment(target) | NodeKind::Decrement(target) => {
                let ways = self.print(ways, node.span, None);
                self.map(ways, |_, way| way.forget(&target.name))
            }
            NodeKind::Nothing => ways,
            NodeKind::If(branches) => return self.branches(branches, ways),
            NodeKind::Case(case) => return self.case(case, ways),
            NodeKind::For(for_) => return self.for_loop(for_, ways),
            NodeKind::Call(call) => return self.call(call, node.span, ways),
            NodeKind::Liquid(block) => return self.block(block, ways),
            NodeKind::Assign(assign) => self.map(ways, |follower, way| {
                let known = ask::filtered(way, &follower.survey.counters, &assign.value);
                let source = match assign.value.filters.as_slice() {
                    [] => ask::source(way, &assign.value.input),
                    _ => None,
                };
                way.forget(&assign.target.name);
                way.variables
                    .insert(assign.target.name.clone(), Held { known, source });
            }),
            NodeKind::Capture(target, block) => {
                let ways = self.map(ways, |_, way| way.outs.push(Out::Text));
                let ends = self.block(block, ways);
                return ends.each(|ways| {
                    self.map(ways, |_, way| {
                        way.outs.pop();
                        way.forget(&target.name);
                        way.variables
                            .insert(target.name.clone(), Held::made(Known::Scalar));
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
                        way.variables
                            .insert(target.name.clone(), Held::made(Known::Nothing));
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
        let mut after = Ways::default();
        for way in ways.into_list() {
            if let Some(way) = change(self, way) {
                after.add(way);
            }
        }
        after
    }

    /// Prints literal text.
    fn literal(&mut self, ways: Ways, span: Span) -> Ways {
        let origin = self.origin(span);
        let text = self.text(span);
        self.spend(text.len().saturating_mul(ways.len()), span);
        self.write(ways, |_, _, writer| writer.write_literal(text, origin))
    }

    /// Prints a value.
    fn print(&mut self, ways: Ways, span: Span, value: Option<&'t Filtered>) -> Ways {
        let origin = self.origin(span);
        self.write(ways, |follower, way, writer| {
            let counters = &follower.survey.counters;
            let known = value.map_or(Known::Nothing, |value| ask::printed(way, counters, value));
            let in_key = writer.key_is_due();
            let refused = match known {
                Known::Nil if in_key => Some(Value::Nil),
                Known::Array if in_key => Some(Value::from_owned(serde_json::Value::Array(Vec::new()))),
                _ => None,
            };
            if let Some(value) = refused {
                return writer.value(&value, Printed::Plain, origin);
            }
            if writer.unknown(origin)? {
                let sure = matches!(
                    known,
                    Known::Scalar
                        | Known::Bool(_)
                        | Known::Int(_)
                        | Known::AtLeast(_)
                        | Known::Str(_)
                );
                let what = match in_key && !sure {
                    true => "a key from data can be nil, an array or an object, or come twice in one object",
                    false => "a key from data can come twice in one object",
                };
                follower.fail(Fault::of_output(span, what), way, false);
            }
            Ok(())
        })
    }

    /// Feeds the writer of each way; a way whose writer fails ends.
    fn write(
        &mut self,
        ways: Ways,
        mut feed: impl FnMut(&mut Self, &Way, &mut Writer) -> Result<(), Fault>,
    ) -> Ways {
        self.filter(ways, |follower, mut way| {
            let Some(Out::Json(mut writer)) = way.outs.pop() else {
                way.outs.push(Out::Text);
                return Some(way);
            };
            let written = feed(follower, &way, &mut writer);
            let repairs = writer.settle();
            follower.mended(repairs);
            match written {
                Ok(()) => {
                    way.outs.push(Out::Json(writer));
                    Some(way)
                }
                Err(fault) => {
                    follower.fail(fault, &way, true);
                    None
                }
            }
        })
    }
}
