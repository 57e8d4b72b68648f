//! Loops and partials.

use super::ask::{self, Answer, Open};
use super::flow::{Ends, Follower};
use super::state::{Frame, Held, Hint, Known, Names, Round, Source, Way, Ways};
use crate::template::limits;
use crate::template::syntax::Span;
use crate::template::syntax::expression::{Expression, ExpressionKind};
use crate::template::syntax::tree::{Block, Call, For, Offset, Over};

/// Names that every template knows.
const ROOTS: [&str; 6] = ["payload", "event", "headers", "route", "target", "vars"];

/// What is run in rounds.
#[derive(Clone, Copy)]
struct Body<'t, 'f> {
    block: &'t Block,
    file: usize,
    /// The loop's variable.
    name: &'t str,
    /// Whether `forloop` tells the round.
    forloop: bool,
    /// Whether it takes `break` and `continue` for itself.
    takes: bool,
    /// Fewest and most rounds.
    bounds: (usize, usize),
    /// The variables that an isolated partial has at first, each time anew.
    fresh: Option<&'f Names>,
    span: Span,
}

impl<'t> Follower<'t> {
    pub fn for_loop(&mut self, for_: &'t For, ways: Ways) -> Ends {
        let over = &for_.over;
        let (some, none) = self.has_rounds(over, ways);
        let mut ends = match &for_.otherwise {
            Some(otherwise) => self.block(otherwise, none),
            None => Ends::next(none),
        };
        let some = self.map(some, |_, way| {
            let source = item_source(way, &over.collection);
            let mut frame = Frame::default();
            frame.names.insert(
                for_.target.name.clone(),
                Held {
                    known: Known::Nothing,
                    source,
                },
            );
            way.frames.push(frame);
        });
        let body = Body {
            block: &for_.block,
            file: self.file,
            name: &for_.target.name,
            forloop: true,
            takes: true,
            bounds: bounds(over),
            fresh: None,
            span: over.collection.span,
        };
        let rounds = self.rounds(body, some, Some(&over.collection));
        let after = self.map(rounds.next, |_, way| {
            way.frames.pop();
            way.forget(&for_.target.name);
            way.forget("forloop");
        });
        ends.next.extend(after);
        ends.next = self.bound(ends.next, for_.target.span);
        ends
    }

    /// The ways on which a loop has a round, and those on which it has none.
    fn has_rounds(&mut self, over: &'t Over, ways: Ways) -> (Ways, Ways) {
        let (mut some, mut none) = (Ways::default(), Ways::default());
        let (least, most) = bounds(over);
        let mut roots = Vec::new();
        let extra = extra(over, &mut roots);
        for way in ways.into_list() {
            let answer = match &extra {
                _ if most == 0 => Answer::Known(false),
                _ if least > 0 => Answer::Known(true),
                Some(extra) => ask::rounds(&way, &over.collection, extra.clone(), roots.clone()),
                None => Answer::Open(Open {
                    fact: None,
                    source: None,
                    negated: false,
                }),
            };
            let source = ask::source(&way, &over.collection);
            let open = matches!(answer, Answer::Open(_));
            let span = over.collection.span;
            for (mut way, holds) in self.answer(way, answer, (span, ""), false) {
                if open && let Some(step) = way.route.take() {
                    // Said in words of its own.
                    way.route = step.before.clone();
                }
                if holds {
                    some.add(way);
                } else {
                    if open {
                        let hint = source.clone().map(|source| Hint::Rounds(source, 0));
                        way.decide(self.origin(span), "the loop runs no time".into(), hint);
                    }
                    none.add(way);
                }
            }
        }
        (some, none)
    }

    /// Once; or first, any number between, last.
    fn rounds(&mut self, body: Body<'t, '_>, start: Ways, over: Option<&Expression>) -> Ends {
        let mut after = Ends::default();
        let counted = |follower: &mut Self, ways: Ways, count: usize, words: &str| {
            let origin = follower.origin(body.span);
            follower.map(ways, |_, way| {
                let hint = over
                    .and_then(|over| outer_source(way, over))
                    .map(|source| Hint::Rounds(source, count));
                way.decide(origin, words.to_owned(), hint);
            })
        };
        let (least, most) = body.bounds;
        if least < 2 {
            let once = counted(self, start.clone(), 1, "the loop runs once");
            let once = self.enter(body, once, true, true);
            let ends = self.round(body, once);
            leave(&mut after, ends, body.takes);
        }
        let several = if most < 2 { Ways::default() } else { start };
        let first = counted(self, several, 2, "the loop runs several times");
        let first = self.enter(body, first, true, false);
        let mut going = self.round(body, first);
        let mut seen = Ways::default();
        loop {
            let mut goes_on = std::mem::take(&mut going.next);
            goes_on.extend(std::mem::take(&mut going.continues));
            after.breaks.extend(std::mem::take(&mut going.breaks));
            let goes_on = self.enter(body, goes_on, false, false);
            let mut fresh = Ways::default();
            for way in goes_on.into_list() {
                if seen.add(way.clone())
                    && let Some(current) = seen.current(&way)
                {
                    fresh.add(current.clone());
                }
            }
            let before = seen.len();
            seen = self.bound(seen, body.span);
            if seen.len() < before {
                fresh = seen.clone();
            }
            if fresh.is_empty() || self.found.gave_up.is_some() {
                break;
            }
            going = self.round(body, fresh);
        }
        let last = self.enter(body, seen, false, true);
        let ends = self.round(body, last);
        leave(&mut after, ends, body.takes);
        if body.takes {
            after.next.extend(std::mem::take(&mut after.breaks));
        }
        after
    }

    fn enter(&mut self, body: Body<'t, '_>, ways: Ways, first: bool, last: bool) -> Ways {
        self.map(ways, |follower, way| {
            if let Some(fresh) = body.fresh {
                follower.keep_global(way);
                way.variables.clone_from(fresh);
                follower.keep_global(way);
            }
            way.forget(body.name);
            if body.forloop {
                way.forget("forloop");
            }
            if let Some(frame) = way.frames.last_mut() {
                frame.round = body.forloop.then_some(Round {
                    first,
                    last,
                    parent: body.takes,
                });
            }
        })
    }

    fn round(&mut self, body: Body<'t, '_>, ways: Ways) -> Ends {
        let caller = std::mem::replace(&mut self.file, body.file);
        self.rounds += 1;
        let mut ends = self.block(body.block, ways);
        self.rounds -= 1;
        self.file = caller;
        if body.fresh.is_some() {
            // What is broken off in an isolated partial goes on in its caller.
            ends.next.extend(std::mem::take(&mut ends.breaks));
            ends.next.extend(std::mem::take(&mut ends.continues));
        }
        ends
    }

    // -- partials ----------------------------------------------------------------------------------

    pub fn call(&mut self, call: &'t Call, span: Span, ways: Ways) -> Ends {
        let template = self.template;
        let Some(partial) = template.files.get(call.partial + 1) else {
            self.give_up(span, "a partial is missing");
            return Ends::default();
        };
        if self.calls >= limits::PARTIAL_DEPTH {
            self.too_deep(span);
            return Ends::default();
        }
        let mut ends = Ends::default();
        for way in ways.into_list() {
            let hidden = call
                .isolated
                .then(|| (way.frames.clone(), way.variables.clone()));
            let entered = self.enter_call(call, way);
            let fresh = entered.variables.clone();
            let alias = call.bound.as_ref().map_or("", |bound| &bound.alias);
            let each = call
                .bound
                .as_ref()
                .is_some_and(|bound| bound.each || !call.isolated);
            let body = Body {
                block: &partial.block,
                file: call.partial + 1,
                name: alias,
                forloop: call.isolated,
                takes: false,
                bounds: (0, usize::MAX),
                fresh: call.isolated.then_some(&fresh),
                span,
            };
            self.calls += 1;
            let mut after = self.round(body, Ways::one(entered.clone()));
            if each {
                after.next.add(entered.clone());
                let over = call.bound.as_ref().map(|bound| &bound.value);
                let listed = self.rounds(body, Ways::one(entered), over);
                after.next.extend(listed.next);
                after.breaks.extend(listed.breaks);
                after.continues.extend(listed.continues);
            }
            self.calls -= 1;
            let after = after.each(|ways| {
                self.map(ways, |follower, way| {
                    follower.leave_call(call, way, hidden.as_ref());
                })
            });
            ends.breaks.extend(after.breaks);
            ends.continues.extend(after.continues);
            ends.next.extend(after.next);
        }
        ends.next = self.bound(ends.next, span);
        ends
    }

    /// The way with the names of a partial.
    fn enter_call(&self, call: &'t Call, mut way: Way) -> Way {
        let counters = &self.survey.counters;
        let mut names = Names::new();
        for (target, value) in &call.arguments {
            let known = ask::value(&way, counters, value);
            let source = ask::source(&way, value);
            names.insert(target.name.clone(), Held { known, source });
        }
        if let Some(bound) = &call.bound {
            let one = !bound.each && call.isolated;
            let held = match ask::value(&way, counters, &bound.value) {
                // Nil leaves an argument of the same name, or what every template knows by it.
                Known::Nil if one => None,
                known if one => Some(Held {
                    known,
                    source: ask::source(&way, &bound.value),
                }),
                _ => Some(Held {
                    known: Known::Nothing,
                    source: item_source(&way, &bound.value),
                }),
            };
            names.extend(held.map(|held| (bound.alias.clone(), held)));
        }
        let mut frame = Frame::default();
        if call.isolated {
            self.keep_global(&mut way);
            way.frames.clear();
            way.variables = names;
            self.keep_global(&mut way);
        } else {
            for name in names.keys() {
                way.forget(name);
            }
            frame.names = names;
        }
        way.frames.push(frame);
        way
    }

    fn leave_call(&self, call: &'t Call, way: &mut Way, hidden: Option<&(Vec<Frame>, Names)>) {
        way.forget("forloop");
        if let Some((frames, variables)) = hidden {
            self.keep_global(way);
            way.frames.clone_from(frames);
            way.variables.clone_from(variables);
            self.keep_global(way);
            return;
        }
        way.frames.pop();
        for (target, _) in &call.arguments {
            way.forget(&target.name);
        }
        if let Some(bound) = &call.bound {
            way.forget(&bound.alias);
        }
    }

    /// Keeps of what was decided that which is only about the names that every template knows.
    fn keep_global(&self, way: &mut Way) {
        let shadowed = |name: &String| {
            !ROOTS.contains(&name.as_str())
                || way.variables.contains_key(name)
                || self.survey.counters.contains(name)
                || way.frames.iter().any(|f| f.names.contains_key(name))
        };
        let kept = |fact: &super::state::Fact| !fact.roots.iter().any(shadowed);
        let facts = way
            .facts
            .iter()
            .filter(|fact| kept(fact))
            .cloned()
            .collect();
        way.facts = facts;
    }
}

/// After the last round.
fn leave(after: &mut Ends, ends: Ends, takes: bool) {
    after.next.extend(ends.next);
    after.breaks.extend(ends.breaks);
    if takes {
        after.next.extend(ends.continues);
    } else {
        after.continues.extend(ends.continues);
    }
}

/// How a loop takes a part of its collection, in one spelling; `None` if that differs from time to time.
fn extra(over: &Over, roots: &mut Vec<String>) -> Option<String> {
    let mut extra = String::new();
    if let Some(limit) = &over.limit {
        extra.push_str(&format!("limit {} ", ask::spelling(limit, roots)?));
    }
    match &over.offset {
        None => {}
        Some(Offset::Continue) => return None,
        Some(Offset::At(at)) => extra.push_str(&format!("offset {}", ask::spelling(at, roots)?)),
    }
    Some(extra)
}

/// Fewest and most rounds that a loop can have, as far as literals tell; most: `usize::MAX` for any number.
fn bounds(over: &Over) -> (usize, usize) {
    let range = literal_range(&over.collection);
    let plain = over.limit.is_none() && over.offset.is_none();
    let most = match (range, over.limit.as_ref().map(|limit| &limit.kind)) {
        (Some(range), Some(ExpressionKind::Int(limit))) => range.min(to_count(*limit)),
        (Some(range), _) => range,
        // Text is one item, whatever the limit.
        (None, Some(ExpressionKind::Int(limit))) => to_count(*limit).max(1),
        (None, _) => usize::MAX,
    };
    (range.filter(|_| plain).unwrap_or(0), most)
}

fn to_count(limit: i64) -> usize {
    usize::try_from(limit).unwrap_or(0)
}

/// How many numbers a range of literals has.
fn literal_range(collection: &Expression) -> Option<usize> {
    let ExpressionKind::Range(bounds) = &collection.kind else {
        return None;
    };
    match (&bounds.0.kind, &bounds.1.kind) {
        (ExpressionKind::Int(first), ExpressionKind::Int(last)) => {
            Some(crate::template::value::range_len(*first, *last))
        }
        _ => None,
    }
}

fn item_source(way: &Way, collection: &Expression) -> Option<Source> {
    let mut source = ask::source(way, collection)?;
    source.push(None);
    Some(source)
}

/// Where the collection comes from, once its loop's own frame is pushed.
fn outer_source(way: &Way, collection: &Expression) -> Option<Source> {
    let mut outer = way.clone();
    outer.frames.pop();
    ask::source(&outer, collection)
}
