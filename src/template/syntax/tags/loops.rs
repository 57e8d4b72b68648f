//! `for`, `tablerow` and `cycle`: what is run through, and how.

use super::target;
use crate::template::syntax::expression::ExpressionKind;
use crate::template::syntax::lexer::{Lexer, Tag};
use crate::template::syntax::parser::Parser;
use crate::template::syntax::tree::{Block, Cycle, For, NodeKind, Offset, Over, TableRow, Target};
use crate::template::syntax::words::Words;
use crate::template::syntax::{Fault, Span};

impl<'t> Parser<'t, '_> {
    /// Reads `VARIABLE in COLLECTION` and the name of the loop.
    fn over(&self, words: &mut Words) -> Result<(Target, Over, String), Fault> {
        let target = target(words, "the loop's variable")?;
        if !words.take_name("in") {
            let help = format!("write `{} in …`", target.name);
            return Err(words.expected("`in`").help(help));
        }
        let collection = words.expression()?;
        let name = format!("{}-{}", target.name, tight(collection.span.of(self.text)));
        let over = Over {
            collection,
            reversed: false,
            limit: None,
            offset: None,
        };
        Ok((target, over, name))
    }

    /// Reads the name of an argument, its colon too.
    fn argument(
        &self,
        words: &mut Words,
        tag: &str,
        known: &[&str],
    ) -> Result<(String, Span), Fault> {
        let (name, span) = words.expect_name("an argument such as `limit:`")?;
        if known.contains(&name.as_str()) {
            words.expect_sign(":")?;
            return Ok((name, span));
        }
        if name == "reversed" {
            let fault = Fault::new(span, "`reversed` is not expected here");
            return Err(match tag {
                "for" => fault.help("it comes once, right after what is looped over"),
                _ => fault.help("`tablerow` has none; use the filter `reverse` before"),
            });
        }
        let known = known.iter().chain((tag == "for").then_some(&"reversed"));
        Err(
            Fault::new(span, format!("`{tag}` has no argument `{name}`"))
                .suggest(&name, known.copied()),
        )
    }

    pub(super) fn for_loop(
        &mut self,
        lexer: &mut Lexer<'t>,
        opened: &Tag,
    ) -> Result<NodeKind, Fault> {
        let mut words = self.words(opened)?;
        let (target, mut over, name) = self.over(&mut words)?;
        over.reversed = words.take_name("reversed");
        loop {
            while words.take_sign(",") {}
            if words.peek().is_none() {
                break;
            }
            let (argument, _) = self.argument(&mut words, "for", &["limit", "offset"])?;
            match argument.as_str() {
                "limit" => over.limit = Some(words.expression()?),
                _ if words.take_name("continue") => over.offset = Some(Offset::Continue),
                _ => over.offset = Some(Offset::At(words.expression()?)),
            }
        }
        let (mut block, mut closed) = self.block(lexer, Some(opened), &["else", "endfor"])?;
        let mut otherwise = None;
        while let Some(tag) = closed {
            if lexer.name(&tag) == "endfor" {
                break;
            }
            if otherwise.is_some() {
                return Err(Fault::new(tag.span, "this `for` has an `else` already")
                    .help("the loop is closed by `endfor`"));
            }
            let (block, next) = self.block(lexer, Some(opened), &["else", "endfor"])?;
            otherwise = Some(block);
            closed = next;
        }
        if block.blank && otherwise.as_ref().is_none_or(|block| block.blank) {
            block.drop_text();
            otherwise.iter_mut().for_each(Block::drop_text);
        }
        Ok(NodeKind::For(Box::new(For {
            target,
            over,
            name,
            block,
            otherwise,
        })))
    }

    pub(super) fn tablerow(
        &mut self,
        lexer: &mut Lexer<'t>,
        opened: &Tag,
    ) -> Result<NodeKind, Fault> {
        if self.json {
            return Err(Fault::new(
                opened.span,
                "`tablerow` prints HTML, which has no place in JSON",
            )
            .help("use `for`"));
        }
        let mut words = self.words(opened)?;
        let (target, mut over, name) = self.over(&mut words)?;
        let mut cols = None;
        loop {
            while words.take_sign(",") {}
            if words.peek().is_none() {
                break;
            }
            let known = ["cols", "limit", "offset", "range"];
            let (argument, _) = self.argument(&mut words, "tablerow", &known)?;
            let value = words.expression()?;
            match argument.as_str() {
                "cols" => cols = Some(value),
                "limit" => over.limit = Some(value),
                "offset" => over.offset = Some(Offset::At(value)),
                // Liquid takes it and does nothing with it.
                _ => {}
            }
        }
        let (block, _) = self.block(lexer, Some(opened), &["endtablerow"])?;
        Ok(NodeKind::TableRow(Box::new(TableRow {
            target,
            over,
            cols,
            name,
            block,
        })))
    }

    pub(super) fn cycle(&self, tag: &Tag) -> Result<NodeKind, Fault> {
        let mut words = self.words(tag)?;
        let first = words.expression()?;
        let mut group = None;
        let mut values = Vec::new();
        if words.take_sign(":") {
            group = Some(first);
            values.push(words.expression()?);
        } else {
            values.push(first);
        }
        while words.take_sign(",") {
            if words.peek().is_none() {
                break;
            }
            values.push(words.expression()?);
        }
        words.finish()?;
        let written = values
            .iter()
            .map(|value| match &value.kind {
                ExpressionKind::Path(_) => None,
                ExpressionKind::Str(text) => Some(format!("{text:?}")),
                _ => Some(value.span.of(self.text).to_owned()),
            })
            .collect::<Option<Vec<_>>>()
            .map(|values| values.join(","));
        Ok(NodeKind::Cycle(Cycle {
            group,
            written,
            values,
        }))
    }
}

/// An expression without the white space between its words.
fn tight(text: &str) -> String {
    let mut open = None;
    let kept = |c: &char| {
        let quote = matches!(*c, '"' | '\'');
        match open {
            Some(opened) if opened == *c => open = None,
            None if quote => open = Some(*c),
            _ => {}
        }
        open.is_some() || !c.is_whitespace()
    };
    text.chars().filter(kept).collect()
}
