//! What each tag does, but for loops.

use super::{Flow, Renderer, fuel};
use crate::template::limits;
use crate::template::scope::{ForLoop, Frame};
use crate::template::sink::{Printed, Recorder, Sink, TextSink};
use crate::template::syntax::tree::{Block, Bound, Branch, Call, Case, Cycle};
use crate::template::syntax::{Fault, Span};
use crate::template::value::Value;
use crate::template::writer::{REPAIRS, Writer};

/// What a call of a partial counts as, besides its arguments.
const CALL_STEPS: u64 = 2;

impl<'a> Renderer<'a> {
    pub(super) fn branches(
        &mut self,
        branches: &'a [Branch],
        out: &mut dyn Sink<'a>,
    ) -> Result<Flow, Fault> {
        for branch in branches {
            let taken = match &branch.condition {
                Some(condition) => self.holds(condition)? != branch.negated,
                None => true,
            };
            if taken {
                return self.block(&branch.block, out);
            }
        }
        Ok(Flow::Next)
    }

    pub(super) fn case(&mut self, case: &'a Case, out: &mut dyn Sink<'a>) -> Result<Flow, Fault> {
        let mut matched = false;
        for arm in &case.arms {
            let Some(values) = &arm.values else {
                if matched {
                    continue;
                }
                match self.block(&arm.block, out)? {
                    Flow::Next => continue,
                    flow => return Ok(flow),
                }
            };
            for value in values {
                // An arm may have assigned to it.
                let subject = self.value(&case.subject)?;
                let wanted = self.value(value)?;
                if !self.equal(&subject, &wanted, value.span)? {
                    continue;
                }
                matched = true;
                match self.block(&arm.block, out)? {
                    Flow::Next => {}
                    flow => return Ok(flow),
                }
            }
        }
        Ok(Flow::Next)
    }

    pub(super) fn capture(&mut self, name: &'a str, block: &'a Block) -> Result<Flow, Fault> {
        let mut sink = TextSink::new(limits::VALUE_BYTES);
        let flow = self.block(block, &mut sink)?;
        let text = sink.into_text();
        self.scope.assign(name, Value::text(text));
        Ok(flow)
    }

    /// `json`: what its content prints is one JSON value, which the name stands for from then on.
    pub(super) fn json_block(
        &mut self,
        name: &'a str,
        block: &'a Block,
        span: Span,
    ) -> Result<Flow, Fault> {
        let writer = Writer::new(limits::JSON_BLOCK_BYTES).with_mends(self.mends);
        let mut writer = writer.with_memos(&self.template.memos);
        let flow = self.block(block, &mut writer)?;
        self.mends = self.mends.min(writer.mends());
        let (text, mended) = writer.finish(span)?;
        self.fuel.step(mended.len() as u64, span)?;
        for repair in mended {
            if self.mended.len() < REPAIRS && !self.mended.contains(&repair) {
                self.mended.push(repair);
            }
        }
        let cost = limits::JSON_BLOCK_FACTOR * text.len() as u64;
        self.fuel.bytes(cost, span)?;
        let value = serde_json::from_str(&text)
            .map_err(|error| Fault::new(span, format!("this is not JSON: {error}")))?;
        let value = Value::from_owned(value);
        self.fuel.make(fuel::whole_cost(&value), span)?;
        self.scope.assign(name, value);
        Ok(flow)
    }

    pub(super) fn cycle(
        &mut self,
        cycle: &'a Cycle,
        span: Span,
        out: &mut dyn Sink<'a>,
    ) -> Result<(), Fault> {
        let too_long = |name: &str| match name.len() > limits::CYCLE_NAME {
            true => Err(Fault::new(
                span,
                format!(
                    "the name of a group is longer than {} bytes",
                    limits::CYCLE_NAME
                ),
            )),
            false => Ok(()),
        };
        let group = match &cycle.group {
            Some(group) => {
                let value = self.value(group)?;
                let name = self.text(&value, span)?;
                too_long(&name)?;
                // `1` and `'1'` are two groups.
                format!("{} named {name}", value.kind())
            }
            None => match &cycle.written {
                Some(values) => {
                    too_long(values)?;
                    format!("unnamed {values}")
                }
                None => format!("at {} of file {}", span.start, self.file),
            },
        };
        self.fuel.make(group.len() as u64, span)?;
        let Some(at) = self.scope.cycle(group, cycle.values.len()) else {
            let fault = format!("there are more than {} groups of `cycle`", limits::CYCLES);
            return Err(Fault::new(span, fault));
        };
        let value = match cycle.values.get(at) {
            Some(value) => self.value(value)?,
            None => Value::Nil,
        };
        out.value(&value, Printed::Plain, self.origin(span))
    }

    pub(super) fn if_changed(
        &mut self,
        block: &'a Block,
        span: Span,
        out: &mut dyn Sink<'a>,
    ) -> Result<Flow, Fault> {
        let mut recorder = Recorder::new(limits::CHANGED_PIECES);
        let flow = self.block(block, &mut recorder)?;
        let mut sink = TextSink::new(limits::VALUE_BYTES);
        self.replay(&recorder, &mut sink)?;
        self.fuel.make(sink.used(), span)?;
        let text = sink.into_text();
        if self.scope.changed(text) {
            self.replay(&recorder, out)?;
        }
        Ok(flow)
    }

    /// What is kept may come from partials, which have ended by now.
    fn replay(&mut self, kept: &Recorder<'a>, out: &mut dyn Sink<'a>) -> Result<(), Fault> {
        kept.replay(out).map_err(|(fault, file)| {
            self.file = file;
            fault
        })
    }

    // -- partials ----------------------------------------------------------------------------------

    pub(super) fn call(
        &mut self,
        call: &'a Call,
        span: Span,
        out: &mut dyn Sink<'a>,
    ) -> Result<Flow, Fault> {
        let Some(partial) = self.template.files.get(call.partial + 1) else {
            let fault = format!("there is no partial `{}`", call.name.name);
            return Err(Fault::new(call.name.span, fault));
        };
        if self.partial_depth >= limits::PARTIAL_DEPTH {
            return Err(Fault::new(
                span,
                format!(
                    "partials call each other more than {} deep",
                    limits::PARTIAL_DEPTH
                ),
            ));
        }
        self.fuel
            .step(call.arguments.len() as u64 + CALL_STEPS, span)?;
        let mut names = Vec::with_capacity(call.arguments.len() + 1);
        let bound = match &call.bound {
            Some(bound) => Some((bound, self.value(&bound.value)?)),
            None => None,
        };
        for (target, value) in &call.arguments {
            names.push((target.name.as_str(), self.value(value)?));
        }
        let caller = self.file;
        self.partial_depth += 1;
        let flow = match call.isolated {
            true => self.render(call, bound, &names, &partial.block, out)?,
            false => self.include(call, bound, names, &partial.block, out)?,
        };
        self.partial_depth -= 1;
        self.file = caller;
        Ok(flow)
    }

    /// Runs an isolated partial: once, or once for each item; each time it knows its arguments and nothing else.
    fn render(
        &mut self,
        call: &'a Call,
        bound: Option<(&'a Bound, Value<'a>)>,
        names: &[(&'a str, Value<'a>)],
        block: &'a Block,
        out: &mut dyn Sink<'a>,
    ) -> Result<Flow, Fault> {
        let Some((bound, value)) = bound else {
            return self.isolated(call, names, None, block, out);
        };
        let each =
            bound.each && matches!(value, Value::Array(_) | Value::Range(..) | Value::Object(_));
        if !each {
            let names = with_bound(names, bound, value);
            return self.isolated(call, &names, None, block, out);
        }
        if matches!(value, Value::Object(_)) {
            let cost = fuel::items(&value).saturating_mul(limits::PAIR_BYTES);
            self.fuel.make(cost, bound.value.span)?;
        }
        let items = value.sequence();
        let caller = self.file;
        for (index, item) in items.iter().enumerate() {
            self.file = caller;
            self.fuel.step(1 + names.len() as u64, call.name.span)?;
            self.fuel.bytes(fuel::look_cost(&item), call.name.span)?;
            let forloop = ForLoop {
                name: &call.name.name,
                length: items.len(),
                index,
                parent: false,
            };
            let names = with_bound(names, bound, item);
            self.isolated(call, &names, Some(forloop), block, out)?;
        }
        Ok(Flow::Next)
    }

    fn isolated(
        &mut self,
        call: &'a Call,
        names: &[(&'a str, Value<'a>)],
        forloop: Option<ForLoop<'a>>,
        block: &'a Block,
        out: &mut dyn Sink<'a>,
    ) -> Result<Flow, Fault> {
        let hidden = self.scope.hide();
        for (name, value) in names {
            self.scope.assign(name, value.clone());
        }
        self.scope.push(Frame {
            names: Vec::new(),
            forloop,
        });
        self.file = call.partial + 1;
        // What is broken off in an isolated partial goes on in its caller.
        self.block(block, out)?;
        self.scope.pop();
        self.scope.unhide(hidden);
        Ok(Flow::Next)
    }

    /// Runs a partial that sees the variables of its caller: once, or once for each item of an array.
    fn include(
        &mut self,
        call: &'a Call,
        bound: Option<(&'a Bound, Value<'a>)>,
        mut names: Vec<(&'a str, Value<'a>)>,
        block: &'a Block,
        out: &mut dyn Sink<'a>,
    ) -> Result<Flow, Fault> {
        let caller = self.file;
        let Some((bound, value)) = bound else {
            self.scope.push(Frame {
                names,
                forloop: None,
            });
            self.file = call.partial + 1;
            let flow = self.block(block, out)?;
            self.scope.pop();
            return Ok(flow);
        };
        // It runs through arrays, and through nothing else, with `with`, too.
        let items = match value {
            Value::Array(_) => value.sequence(),
            value => Value::array(vec![value]).sequence(),
        };
        names.insert(0, (&bound.alias, Value::Nil));
        self.scope.push(Frame {
            names,
            forloop: None,
        });
        let mut flow = Flow::Next;
        for (round, item) in items.iter().enumerate() {
            self.file = caller;
            self.fuel.step(1, call.name.span)?;
            self.fuel.bytes(fuel::look_cost(&item), call.name.span)?;
            self.round(round, item);
            self.file = call.partial + 1;
            flow = self.block(block, out)?;
            if flow == Flow::Break {
                break;
            }
        }
        self.scope.pop();
        Ok(flow)
    }
}

/// The names of an isolated partial: what it is bound to stands before an argument of the same name, unless it is nil.
fn with_bound<'a>(
    names: &[(&'a str, Value<'a>)],
    bound: &'a Bound,
    value: Value<'a>,
) -> Vec<(&'a str, Value<'a>)> {
    let mut names = names.to_vec();
    if !value.is_nil() {
        names.push((&bound.alias, value));
    }
    names
}
