//! Walks the tree and prints into a sink. Fuel, lengths and depths are counted on the way; see `limits`.

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod costs;
mod eval;
#[cfg(test)]
mod faults;
mod fuel;
#[cfg(test)]
mod liquid;
mod loops;
#[cfg(test)]
mod swells;
mod tags;
#[cfg(test)]
mod tests;

use std::cell::Cell;

use jiff::Timestamp;

use super::filters::FilterContext;
use super::scope::{Roots, Scope};
use super::sink::{Origin, Printed, Sink, TextSink};
use super::syntax::expression::Filtered;
use super::syntax::tree::{Block, Node, NodeKind};
use super::syntax::{Fault, Span};
use super::value::Value;
use super::writer::{MENDS, Mended, Writer};
use super::{Compiled, Scene, TemplateError, limits};
use fuel::Fuel;

/// The name of the filter that is left out where a value is printed as JSON anyway.
const JSON: &str = "json";

/// Renders to one JSON value.
pub(super) fn json(
    template: &Compiled,
    scene: &Scene<'_>,
    limit: usize,
) -> Result<(String, Vec<Mended>), TemplateError> {
    json_with(template, scene, limit, Fuel::default())
}

/// Renders to one JSON value with little fuel.
pub(super) fn json_briefly(
    template: &Compiled,
    scene: &Scene<'_>,
    limit: usize,
) -> Result<(String, Vec<Mended>), TemplateError> {
    let fuel = Fuel::new(limits::BRIEF_STEPS, limits::BRIEF_BYTES);
    json_with(template, scene, limit.min(limits::BRIEF_OUTPUT), fuel)
}

/// Renders to one JSON value with so much fuel.
fn json_with(
    template: &Compiled,
    scene: &Scene<'_>,
    limit: usize,
    fuel: Fuel,
) -> Result<(String, Vec<Mended>), TemplateError> {
    let mut renderer = Renderer::new(template, Roots::Scene(scene), scene.event.received_at);
    renderer.fuel = fuel;
    let mut writer = Writer::new(limit).with_memos(&template.memos);
    renderer.run(&mut writer)?;
    let (body, mut mended) = writer
        .finish(renderer.end())
        .map_err(|fault| renderer.error(fault))?;
    mended.append(&mut renderer.mended);
    Ok((body, mended))
}

/// Renders to text.
pub(super) fn text(
    template: &Compiled,
    globals: &serde_json::Value,
    limit: usize,
) -> Result<String, TemplateError> {
    let mut renderer = Renderer::new(template, Roots::Globals(globals), Timestamp::now());
    let mut sink = TextSink::new(limit);
    renderer.run(&mut sink)?;
    Ok(sink.into_text())
}

/// How a block ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
}

struct Renderer<'a> {
    template: &'a Compiled,
    /// Which file is walked; after an error, the one that it is in.
    file: usize,
    scope: Scope<'a>,
    fuel: Fuel,
    depth: usize,
    partial_depth: usize,
    context: FilterContext,
    /// What was mended in `json` blocks.
    mended: Vec<Mended>,
    /// How many repairs they may still make.
    mends: usize,
}

impl<'a> Renderer<'a> {
    fn new(template: &'a Compiled, roots: Roots<'a>, now: Timestamp) -> Self {
        Self {
            template,
            file: 0,
            scope: Scope::new(roots),
            fuel: Fuel::default(),
            depth: 0,
            partial_depth: 0,
            context: FilterContext {
                now,
                value_bytes: limits::VALUE_BYTES,
                work: Cell::new(0),
                made: Cell::new(0),
            },
            mended: Vec::new(),
            mends: MENDS,
        }
    }

    fn run(&mut self, out: &mut dyn Sink<'a>) -> Result<(), TemplateError> {
        let Some(main) = self.template.files.first() else {
            return Ok(());
        };
        // A `break` outside of loops ends the template.
        match self.block(&main.block, out) {
            Ok(_) => Ok(()),
            Err(fault) => Err(self.error(fault)),
        }
    }

    /// The end of the template's text, which is marked when something is missing there.
    fn end(&self) -> Span {
        let text = self.template.files.first().map_or("", |f| &*f.source.text);
        let end = text.trim_end().len();
        Span::new(end.saturating_sub(1), end)
    }

    fn error(&self, fault: Fault) -> TemplateError {
        match self.template.files.get(self.file) {
            Some(file) => TemplateError::new(&file.source, fault),
            None => TemplateError {
                path: Box::default(),
                line: 1,
                column: 1,
                offset: 0,
                length: 0,
                characters: 0,
                message: fault.message,
                help: fault.help,
                cause: fault.cause,
                source_line: Box::default(),
            },
        }
    }

    fn origin(&self, span: Span) -> Origin {
        Origin {
            file: self.file,
            span,
        }
    }

    fn block(&mut self, block: &'a Block, out: &mut dyn Sink<'a>) -> Result<Flow, Fault> {
        self.depth += 1;
        if self.depth > limits::DEPTH {
            let span = block.nodes.first().map_or(Span::new(0, 0), |n| n.span);
            return Err(Fault::new(
                span,
                format!("blocks and partials nest more than {} deep", limits::DEPTH),
            ));
        }
        for node in &block.nodes {
            self.fuel.step(1, node.span)?;
            match self.node(node, out)? {
                Flow::Next => {}
                flow => {
                    self.depth -= 1;
                    return Ok(flow);
                }
            }
        }
        self.depth -= 1;
        Ok(Flow::Next)
    }

    fn node(&mut self, node: &'a Node, out: &mut dyn Sink<'a>) -> Result<Flow, Fault> {
        match &node.kind {
            NodeKind::Text => {
                let source = self.template.files.get(self.file);
                let text = source.map_or("", |file| node.span.of(&file.source.text));
                self.fuel.bytes(text.len() as u64, node.span)?;
                let held = out.held();
                out.literal(text, self.origin(node.span))?;
                self.fuel.make(grown(held, out), node.span)?;
            }
            NodeKind::Output(value) => self.output(value, node.span, out)?,
            NodeKind::If(branches) => return self.branches(branches, out),
            NodeKind::Case(case) => return self.case(case, out),
            NodeKind::For(for_) => return self.for_loop(for_, out),
            NodeKind::TableRow(row) => return self.tablerow(row, node.span, out),
            NodeKind::Assign(assign) => {
                let value = self.filtered(&assign.value)?;
                self.check_depth(&value, &assign.value)?;
                self.scope.assign(&assign.target.name, value);
            }
            NodeKind::Capture(target, block) => {
                return self.capture(&target.name, block);
            }
            NodeKind::Json(target, block) => {
                return self.json_block(&target.name, block, node.span);
            }
            NodeKind::Cycle(cycle) => self.cycle(cycle, node.span, out)?,
            NodeKind::Increment(target) => {
                let count = Value::int(self.scope.count(&target.name, 1));
                out.value(&count, Printed::Plain, self.origin(node.span))?;
            }
            NodeKind::Decrement(target) => {
                let count = Value::int(self.scope.count(&target.name, -1));
                out.value(&count, Printed::Plain, self.origin(node.span))?;
            }
            NodeKind::Call(call) => return self.call(call, node.span, out),
            NodeKind::IfChanged(block) => return self.if_changed(block, node.span, out),
            NodeKind::Liquid(block) => return self.block(block, out),
            NodeKind::Break => return Ok(Flow::Break),
            NodeKind::Continue => return Ok(Flow::Continue),
            NodeKind::Nothing => {}
        }
        Ok(Flow::Next)
    }

    /// Prints a value. A final `| json` is not run: the sink knows what it means where it stands.
    fn output(
        &mut self,
        value: &'a Filtered,
        span: Span,
        out: &mut dyn Sink<'a>,
    ) -> Result<(), Fault> {
        let (filters, printed) = match value.filters.split_last() {
            Some((last, before)) if last.filter.name == JSON && last.positional.is_empty() => {
                (before, Printed::Json)
            }
            _ => (value.filters.as_slice(), Printed::Plain),
        };
        let result = self.through(&value.input, filters)?;
        self.fuel.bytes(fuel::read_cost(&result), span)?;
        let held = out.held();
        out.value(&result, printed, self.origin(value.span))?;
        self.fuel.make(grown(held, out), span)
    }
}

/// By how many bytes what is printed has grown.
fn grown(held: usize, out: &dyn Sink<'_>) -> u64 {
    out.held().saturating_sub(held) as u64
}
