//! What each tag does.

use super::{Flow, Renderer, fuel};
use crate::template::limits;
use crate::template::scope::{ForLoop, Frame};
use crate::template::sink::{Printed, Recorder, Sink, TextSink};
use crate::template::syntax::tree::{
    Block, Bound, Branch, Call, Case, Cycle, For, Offset, Over, TableRow,
};
use crate::template::syntax::{Fault, Span};
use crate::template::value::{Sequence, Value};
use crate::template::writer::Writer;

/// The part of a collection that a loop runs through.
struct Window<'a> {
    items: Sequence<'a>,
    from: usize,
    to: usize,
    reversed: bool,
}

impl<'a> Window<'a> {
    fn len(&self) -> usize {
        self.to - self.from
    }

    /// The item of this round, from 0.
    fn item(&self, round: usize) -> Option<Value<'a>> {
        let index = if self.reversed {
            self.to.checked_sub(round + 1)?
        } else {
            self.from + round
        };
        self.items.get(index)
    }
}

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
        let subject = self.value(&case.subject)?;
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

    pub(super) fn capture(
        &mut self,
        name: &'a str,
        block: &'a Block,
        span: Span,
    ) -> Result<Flow, Fault> {
        let mut sink = TextSink::new(limits::VALUE_BYTES);
        let flow = self.block(block, &mut sink)?;
        self.fuel.bytes(sink.used(), span)?;
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
        let mut writer = Writer::new(limits::JSON_BLOCK_BYTES);
        let flow = self.block(block, &mut writer)?;
        let (text, mut mended) = writer.finish(span)?;
        self.mended.append(&mut mended);
        let cost = limits::JSON_BLOCK_FACTOR * text.len() as u64;
        self.fuel.bytes(cost, span)?;
        let value = serde_json::from_str(&text)
            .map_err(|error| Fault::new(span, format!("this is not JSON: {error}")))?;
        self.scope.assign(name, Value::from_owned(value));
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
                format!("named {name}")
            }
            None => {
                too_long(&cycle.written)?;
                format!("unnamed {}", cycle.written)
            }
        };
        self.fuel.bytes(group.len() as u64, span)?;
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
        recorder.replay(&mut sink)?;
        self.fuel.bytes(sink.used(), span)?;
        let text = sink.into_text();
        if self.scope.changed(text) {
            recorder.replay(out)?;
        }
        Ok(flow)
    }

    // -- loops -------------------------------------------------------------------------------------

    pub(super) fn for_loop(
        &mut self,
        for_: &'a For,
        out: &mut dyn Sink<'a>,
    ) -> Result<Flow, Fault> {
        let window = self.window(&for_.over, &for_.name)?;
        if window.len() == 0 {
            return match &for_.otherwise {
                Some(otherwise) => self.block(otherwise, out),
                None => Ok(Flow::Next),
            };
        }
        self.scope.push(Frame {
            names: vec![(&for_.target.name, Value::Nil)],
            forloop: Some(ForLoop {
                name: &for_.name,
                length: window.len(),
                index: 0,
                parent: true,
            }),
        });
        for round in 0..window.len() {
            self.fuel.step(1, for_.target.span)?;
            let item = window.item(round).unwrap_or(Value::Nil);
            self.fuel.bytes(fuel::copy_cost(&item), for_.target.span)?;
            self.round(round, item);
            if self.block(&for_.block, out)? == Flow::Break {
                break;
            }
        }
        self.scope.pop();
        Ok(Flow::Next)
    }

    /// Sets the innermost frame's first name and its loop to this round.
    fn round(&mut self, round: usize, item: Value<'a>) {
        let Some(frame) = self.scope.frame() else {
            return;
        };
        if let Some((_, value)) = frame.names.first_mut() {
            *value = item;
        }
        if let Some(forloop) = &mut frame.forloop {
            forloop.index = round;
        }
    }

    fn window(&mut self, over: &'a Over, name: &'a str) -> Result<Window<'a>, Fault> {
        let collection = self.value(&over.collection)?;
        if matches!(collection, Value::Object(_)) {
            let cost = fuel::read_cost(&collection).saturating_mul(limits::ITEM_BYTES);
            self.fuel.bytes(cost, over.collection.span)?;
        }
        let items = collection.sequence();
        let length = items.len();
        let from = match &over.offset {
            None => 0,
            Some(Offset::Continue) => self.scope.offset(name),
            Some(Offset::At(expression)) => to_length(self.whole(expression)?.unwrap_or(0)),
        };
        let limit = match &over.limit {
            None => None,
            Some(expression) => self.whole(expression)?.map(to_length),
        };
        let from = from.min(length);
        let to = limit.map_or(length, |limit| from.saturating_add(limit).min(length));
        self.scope.set_offset(name, to);
        Ok(Window {
            items,
            from,
            to,
            reversed: over.reversed,
        })
    }

    pub(super) fn tablerow(
        &mut self,
        row: &'a TableRow,
        span: Span,
        out: &mut dyn Sink<'a>,
    ) -> Result<Flow, Fault> {
        let window = self.window(&row.over, &row.name)?;
        let cols = match &row.cols {
            None => None,
            Some(expression) => self.whole(expression)?.map(to_length),
        };
        // No columns would mean rows without end; all cells then stand in one row.
        let cols = cols.filter(|cols| *cols > 0).unwrap_or(window.len()).max(1);
        let origin = self.origin(span);
        let print = |out: &mut dyn Sink<'a>, text: String| {
            out.value(&Value::text(text), Printed::Plain, origin)
        };
        print(out, "<tr class=\"row1\">\n".to_owned())?;
        self.scope.push(Frame {
            names: vec![(&row.target.name, Value::Nil), ("tablerowloop", Value::Nil)],
            forloop: None,
        });
        for round in 0..window.len() {
            self.fuel.step(1, row.target.span)?;
            let item = window.item(round).unwrap_or(Value::Nil);
            self.round(round, item);
            if let Some(frame) = self.scope.frame()
                && let Some((_, value)) = frame.names.get_mut(1)
            {
                *value = tablerowloop(round, window.len(), cols);
            }
            print(out, format!("<td class=\"col{}\">", round % cols + 1))?;
            let flow = self.block(&row.block, out)?;
            print(out, "</td>".to_owned())?;
            if flow == Flow::Break {
                break;
            }
            if (round + 1) % cols == 0 && round + 1 < window.len() {
                let next = (round + 1) / cols + 1;
                print(out, format!("</tr>\n<tr class=\"row{next}\">"))?;
            }
        }
        self.scope.pop();
        print(out, "</tr>\n".to_owned())?;
        Ok(Flow::Next)
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
        let flow = if call.isolated {
            let hidden = self.scope.hide();
            self.call_with(call, bound, names, &partial.block, out)?;
            self.scope.unhide(hidden);
            // What is broken off in an isolated partial goes on in its caller.
            Flow::Next
        } else {
            self.call_with(call, bound, names, &partial.block, out)?
        };
        self.partial_depth -= 1;
        self.file = caller;
        Ok(flow)
    }

    /// Runs a partial: once, or once for each item of what it is bound to.
    fn call_with(
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
        let listed = matches!(value, Value::Array(_) | Value::Range(..));
        // `include` runs through arrays with `with`, too.
        let each = listed && (bound.each || !call.isolated);
        let items = if each {
            value.sequence()
        } else {
            Value::array(vec![value]).sequence()
        };
        names.insert(0, (&bound.alias, Value::Nil));
        self.scope.push(Frame {
            names,
            forloop: (call.isolated && each).then(|| ForLoop {
                name: &call.name.name,
                length: items.len(),
                index: 0,
                parent: false,
            }),
        });
        let mut flow = Flow::Next;
        for (round, item) in items.iter().enumerate() {
            self.file = caller;
            self.fuel.step(1, call.name.span)?;
            self.fuel.bytes(fuel::copy_cost(&item), call.name.span)?;
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

/// A count or position of a tag: less than nothing is nothing.
fn to_length(number: i64) -> usize {
    usize::try_from(number.max(0)).unwrap_or(usize::MAX)
}

fn tablerowloop<'a>(round: usize, length: usize, cols: usize) -> Value<'a> {
    let count = |n: usize| Value::int(i64::try_from(n).unwrap_or(i64::MAX));
    let col = round % cols;
    let members = [
        ("length", count(length)),
        ("index", count(round + 1)),
        ("index0", count(round)),
        ("rindex", count(length - round)),
        ("rindex0", count(length - round - 1)),
        ("first", Value::Bool(round == 0)),
        ("last", Value::Bool(round + 1 == length)),
        ("col", count(col + 1)),
        ("col0", count(col)),
        ("col_first", Value::Bool(col == 0)),
        ("col_last", Value::Bool(col + 1 == cols)),
        ("row", count(round / cols + 1)),
    ];
    Value::object(
        members
            .into_iter()
            .map(|(name, value)| (name.into(), value))
            .collect(),
    )
}
