//! What loops do: `for` and `tablerow`.

use super::{Flow, Renderer, fuel};
use crate::template::limits;
use crate::template::scope::{ForLoop, Frame};
use crate::template::sink::{Printed, Sink};
use crate::template::syntax::tree::{For, Offset, Over, TableRow};
use crate::template::syntax::{Fault, Span};
use crate::template::value::{Sequence, Value};

/// What a cell of `tablerow` counts as: it makes an object of twelve members.
const ROW_STEPS: u64 = 12;

/// The part of a collection that a loop runs through.
struct Window<'a> {
    items: Sequence<'a>,
    from: usize,
    to: usize,
    reversed: bool,
}

impl<'a> Window<'a> {
    /// From the item `from` on, `limit` items. A string is one item, and always all of it.
    fn new(collection: &Value<'a>, from: i64, limit: Option<i64>, reversed: bool) -> Self {
        let items = collection.sequence();
        let length = items.len();
        let (from, to) = match collection {
            Value::Str(_) => (0, length),
            _ => {
                let to = limit.map_or(length, |limit| to_length(from.saturating_add(limit)));
                let from = to_length(from).min(length);
                (from, to.clamp(from, length))
            }
        };
        Self {
            items,
            from,
            to,
            reversed,
        }
    }

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
            self.fuel.bytes(fuel::look_cost(&item), for_.target.span)?;
            self.round(round, item);
            if self.block(&for_.block, out)? == Flow::Break {
                break;
            }
        }
        self.scope.pop();
        Ok(Flow::Next)
    }

    /// Sets the innermost frame's first name and its loop to this round.
    pub(super) fn round(&mut self, round: usize, item: Value<'a>) {
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

    /// The part of its collection that `for` runs through.
    fn window(&mut self, over: &'a Over, name: &'a str) -> Result<Window<'a>, Fault> {
        let collection = self.collection(over)?;
        // Where the loop ends is kept by its name.
        self.fuel.bytes(name.len() as u64, over.collection.span)?;
        let from = match &over.offset {
            None => 0,
            Some(Offset::Continue) => self.scope.offset(name),
            Some(Offset::At(expression)) => self.whole(expression)?.unwrap_or(0),
        };
        let limit = match &over.limit {
            None => None,
            Some(expression) => self.whole(expression)?,
        };
        let window = Window::new(&collection, from, limit, over.reversed);
        let end = from.saturating_add(i64::try_from(window.len()).unwrap_or(i64::MAX));
        self.scope.set_offset(name, end);
        Ok(window)
    }

    fn collection(&mut self, over: &'a Over) -> Result<Value<'a>, Fault> {
        let collection = self.value(&over.collection)?;
        if matches!(collection, Value::Object(_)) {
            let cost = fuel::items(&collection).saturating_mul(limits::PAIR_BYTES);
            self.fuel.make(cost, over.collection.span)?;
        }
        Ok(collection)
    }

    pub(super) fn tablerow(
        &mut self,
        row: &'a TableRow,
        span: Span,
        out: &mut dyn Sink<'a>,
    ) -> Result<Flow, Fault> {
        let collection = self.collection(&row.over)?;
        if !collection.truthy() {
            return Ok(Flow::Next);
        }
        let from = match &row.over.offset {
            Some(Offset::At(expression)) => self.lenient(expression)?,
            _ => 0,
        };
        let limit = match &row.over.limit {
            Some(expression) => Some(self.lenient(expression)?),
            None => None,
        };
        let window = Window::new(&collection, from, limit, false);
        let cols = match &row.cols {
            // No columns would mean rows without end; all cells then stand in one row.
            Some(expression) => to_length(self.lenient(expression)?),
            None => window.len(),
        };
        let per_row = if cols == 0 { usize::MAX } else { cols };
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
            self.fuel.step(ROW_STEPS, row.target.span)?;
            let item = window.item(round).unwrap_or(Value::Nil);
            self.round(round, item);
            if let Some(frame) = self.scope.frame()
                && let Some((_, value)) = frame.names.get_mut(1)
            {
                *value = tablerowloop(round, window.len(), cols, per_row);
            }
            print(out, format!("<td class=\"col{}\">", round % per_row + 1))?;
            let flow = self.block(&row.block, out)?;
            print(out, "</td>".to_owned())?;
            if flow == Flow::Break {
                break;
            }
            if (round + 1) % per_row == 0 && round + 1 < window.len() {
                let next = (round + 1) / per_row + 1;
                print(out, format!("</tr>\n<tr class=\"row{next}\">"))?;
            }
        }
        self.scope.pop();
        print(out, "</tr>\n".to_owned())?;
        Ok(Flow::Next)
    }
}

/// A count or position of a tag: less than nothing is nothing.
fn to_length(number: i64) -> usize {
    usize::try_from(number.max(0)).unwrap_or(usize::MAX)
}

fn tablerowloop<'a>(round: usize, length: usize, cols: usize, per_row: usize) -> Value<'a> {
    let count = |n: usize| Value::int(i64::try_from(n).unwrap_or(i64::MAX));
    let col = round % per_row;
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
        ("row", count(round / per_row + 1)),
    ];
    Value::object(
        members
            .into_iter()
            .map(|(name, value)| (name.into(), value))
            .collect(),
    )
}
