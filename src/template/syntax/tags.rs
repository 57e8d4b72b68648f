//! How each tag is read. What it does stands in `render`.

use super::expression::{Condition, Expression, ExpressionKind};
use super::lexer::{Lexer, Tag};
use super::parser::Parser;
use super::tokens::{Token, name_length};
use super::tree::{
    Arm, Assign, Bound, Branch, Call, Case, Cycle, For, Node, NodeKind, Offset, Over, TableRow,
    Target,
};
use super::words::Words;
use super::{Fault, Span};
use crate::template::limits;

/// All tags that open or stand alone.
const TAGS: [&str; 22] = [
    "assign",
    "break",
    "capture",
    "case",
    "comment",
    "continue",
    "cycle",
    "decrement",
    "doc",
    "echo",
    "for",
    "if",
    "ifchanged",
    "include",
    "increment",
    "json",
    "liquid",
    "raw",
    "render",
    "tablerow",
    "unless",
    "#",
];

/// The names of all tags.
#[must_use]
pub fn names() -> &'static [&'static str] {
    &TAGS
}

impl<'t> Parser<'t, '_> {
    /// Reads the rest of a tag and, if it opens a block, all up to its end. `ends`: what the block around it waits for.
    pub(super) fn tag(
        &mut self,
        lexer: &mut Lexer<'t>,
        tag: &Tag,
        ends: &[&str],
    ) -> Result<Option<Node>, Fault> {
        let kind = match lexer.name(tag) {
            "" if tag.markup.of(self.text).trim().is_empty() => return Ok(None),
            "assign" => self.assign(tag)?,
            "break" => self.bare(tag, NodeKind::Break)?,
            "capture" => {
                let target = self.capture_target(tag)?;
                let (block, _) = self.block(lexer, Some(tag), &["endcapture"])?;
                NodeKind::Capture(target, block)
            }
            "case" => self.case(lexer, tag)?,
            "comment" => {
                lexer.skip_block(tag)?;
                NodeKind::Nothing
            }
            "continue" => self.bare(tag, NodeKind::Continue)?,
            "cycle" => self.cycle(tag)?,
            "decrement" => NodeKind::Decrement(self.only_name(tag)?),
            "doc" => {
                self.words_must_be_none(tag)?;
                lexer.skip_block(tag)?;
                NodeKind::Nothing
            }
            "echo" => self.echo(tag)?,
            "for" => self.for_loop(lexer, tag)?,
            "if" => self.branches(lexer, tag, false)?,
            "ifchanged" => {
                self.words_must_be_none(tag)?;
                let (block, _) = self.block(lexer, Some(tag), &["endifchanged"])?;
                NodeKind::IfChanged(block)
            }
            "include" => self.call(tag, false)?,
            "increment" => NodeKind::Increment(self.only_name(tag)?),
            "json" => {
                let target = self.capture_target(tag)?;
                let (block, _) = self.block(lexer, Some(tag), &["endjson"])?;
                NodeKind::Json(target, block)
            }
            "liquid" => {
                let mut lines = Lexer::lines(self.text, tag.markup);
                let (block, _) = self.block(&mut lines, None, &[])?;
                NodeKind::Liquid(block)
            }
            "raw" => {
                self.words_must_be_none(tag)?;
                let text = lexer.raw(tag)?;
                return Ok(text.map(|span| Node {
                    span,
                    kind: NodeKind::Text,
                }));
            }
            "render" => self.call(tag, true)?,
            "tablerow" => self.tablerow(lexer, tag)?,
            "unless" => self.branches(lexer, tag, true)?,
            "#" => {
                self.inline_comment(tag)?;
                NodeKind::Nothing
            }
            name => return Err(unknown(tag, name, ends)),
        };
        Ok(Some(Node {
            span: tag.span,
            kind,
        }))
    }

    fn bare(&self, tag: &Tag, kind: NodeKind) -> Result<NodeKind, Fault> {
        self.words_must_be_none(tag)?;
        Ok(kind)
    }

    fn words_must_be_none(&self, tag: &Tag) -> Result<(), Fault> {
        self.words(tag)?.finish()
    }

    /// Every line of an inline comment begins with `#`.
    fn inline_comment(&self, tag: &Tag) -> Result<(), Fault> {
        let lines = tag.markup.of(self.text).lines().skip(1);
        let mut lines = lines.map(str::trim).filter(|line| !line.is_empty());
        match lines.find(|line| !line.starts_with('#')) {
            Some(_) => Err(Fault::new(
                tag.span,
                "each line of an inline comment must begin with `#`",
            )),
            None => Ok(()),
        }
    }

    fn echo(&self, tag: &Tag) -> Result<NodeKind, Fault> {
        if tag.markup.of(self.text).trim().is_empty() {
            return Ok(NodeKind::Nothing);
        }
        let mut words = self.words(tag)?;
        let value = words.filtered()?;
        words.finish()?;
        Ok(NodeKind::Output(value))
    }

    fn assign(&self, tag: &Tag) -> Result<NodeKind, Fault> {
        let mut words = self.words(tag)?;
        // Liquid takes names made of digits, too; `capture` can set them as well.
        let target = match words.peek() {
            Some(Token::Number(digits)) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                let name = digits.clone();
                let start = words.position();
                words.take();
                let span = words.since(start);
                Target { span, name }
            }
            _ => target(&mut words, "the name to assign to")?,
        };
        words.expect_sign("=")?;
        let value = words.filtered()?;
        words.finish()?;
        Ok(NodeKind::Assign(Assign { target, value }))
    }

    /// The name of `capture`: also quoted, or made of digits.
    fn capture_target(&self, tag: &Tag) -> Result<Target, Fault> {
        let markup = tag.markup.of(self.text);
        let text = markup.trim();
        let start = tag.markup.start + (markup.len() - markup.trim_start().len());
        let span = Span::new(start, start + text.len());
        let bare = text.trim_matches(['\'', '"']);
        let leading = bare.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        if !leading || name_length(bare) != bare.len() {
            let span = if text.is_empty() { tag.span } else { span };
            return Err(Fault::new(span, "expected the name to set"));
        }
        Ok(Target {
            span,
            name: bare.to_owned(),
        })
    }

    fn only_name(&self, tag: &Tag) -> Result<Target, Fault> {
        let mut words = self.words(tag)?;
        let target = target(&mut words, "the name of a counter")?;
        words.finish()?;
        Ok(target)
    }

    fn whole_condition(&self, tag: &Tag) -> Result<Condition, Fault> {
        let mut words = self.words(tag)?;
        let condition = words.condition()?;
        words.finish()?;
        Ok(condition)
    }

    fn branches(
        &mut self,
        lexer: &mut Lexer<'t>,
        opened: &Tag,
        negated: bool,
    ) -> Result<NodeKind, Fault> {
        let end = if negated { "endunless" } else { "endif" };
        let mut branches: Vec<Branch> = Vec::new();
        let mut span = opened.span;
        let mut condition = Some(self.whole_condition(opened)?);
        let mut negated = negated;
        loop {
            let (block, closed) = self.block(lexer, Some(opened), &["elsif", "else", end])?;
            // What follows `else` is read but never taken.
            if branches.last().is_none_or(|last| last.condition.is_some()) {
                branches.push(Branch {
                    span,
                    condition,
                    negated,
                    block,
                });
            }
            let Some(tag) = closed else { break };
            negated = false;
            span = tag.span;
            condition = match lexer.name(&tag) {
                "elsif" => Some(self.whole_condition(&tag)?),
                "else" => None,
                _ => break,
            };
        }
        if branches.iter().all(|b| b.block.is_blank(self.text)) {
            branches.iter_mut().for_each(|b| b.block.drop_text());
        }
        Ok(NodeKind::If(branches))
    }

    fn case(&mut self, lexer: &mut Lexer<'t>, opened: &Tag) -> Result<NodeKind, Fault> {
        let mut words = self.words(opened)?;
        let subject = words.expression()?;
        words.finish()?;
        let ends = ["when", "else", "endcase"];
        // What stands before the first `when` is dropped, as Liquid does.
        let (_, mut closed) = self.block(lexer, Some(opened), &ends)?;
        let mut arms = Vec::new();
        while let Some(tag) = closed {
            let values = match lexer.name(&tag) {
                "when" => Some(self.when(&tag)?),
                "else" => None,
                _ => break,
            };
            let (block, next) = self.block(lexer, Some(opened), &ends)?;
            arms.push(Arm {
                span: tag.span,
                values,
                block,
            });
            closed = next;
        }
        if arms.iter().all(|arm| arm.block.is_blank(self.text)) {
            arms.iter_mut().for_each(|arm| arm.block.drop_text());
        }
        Ok(NodeKind::Case(Box::new(Case { subject, arms })))
    }

    fn when(&self, tag: &Tag) -> Result<Vec<Expression>, Fault> {
        let mut words = self.words(tag)?;
        let mut values = vec![words.expression()?];
        while words.take_sign(",") || words.take_name("or") {
            values.push(words.expression()?);
        }
        words.finish()?;
        Ok(values)
    }

    /// Reads `VARIABLE in COLLECTION` and the name of the loop.
    fn over(&self, words: &mut Words) -> Result<(Target, Over, String), Fault> {
        let target = target(words, "the loop's variable")?;
        if !words.take_name("in") {
            return Err(words.expected("`in`"));
        }
        let collection = words.expression()?;
        let name = format!("{}-{}", target.name, collection.span.of(self.text));
        let over = Over {
            collection,
            reversed: false,
            limit: None,
            offset: None,
        };
        Ok((target, over, name))
    }

    /// Reads one of `reversed`, `limit:`, `offset:`; gives back the name of any other argument, its colon taken.
    fn loop_argument(
        &self,
        words: &mut Words,
        over: &mut Over,
    ) -> Result<Option<(String, Span)>, Fault> {
        let (name, span) = words.expect_name("`reversed`, `limit:` or `offset:`")?;
        if name == "reversed" {
            over.reversed = true;
            return Ok(None);
        }
        if !words.take_sign(":") {
            return Err(Fault::new(span, format!("`{name}` is not expected here"))
                .suggest(&name, ["reversed", "limit", "offset"]));
        }
        match name.as_str() {
            "limit" => over.limit = Some(words.expression()?),
            "offset" if words.take_name("continue") => over.offset = Some(Offset::Continue),
            "offset" => over.offset = Some(Offset::At(words.expression()?)),
            _ => return Ok(Some((name, span))),
        }
        Ok(None)
    }

    fn for_loop(&mut self, lexer: &mut Lexer<'t>, opened: &Tag) -> Result<NodeKind, Fault> {
        let mut words = self.words(opened)?;
        let (target, mut over, name) = self.over(&mut words)?;
        loop {
            while words.take_sign(",") {}
            if words.peek().is_none() {
                break;
            }
            if let Some((other, span)) = self.loop_argument(&mut words, &mut over)? {
                return Err(Fault::new(span, format!("`for` has no argument `{other}`"))
                    .suggest(&other, ["limit", "offset"]));
            }
        }
        let (mut block, mut closed) = self.block(lexer, Some(opened), &["else", "endfor"])?;
        let mut otherwise = None;
        while let Some(tag) = closed {
            if lexer.name(&tag) == "endfor" {
                break;
            }
            let (block, next) = self.block(lexer, Some(opened), &["else", "endfor"])?;
            otherwise.get_or_insert(block);
            closed = next;
        }
        let blank = |block: &super::tree::Block| block.is_blank(self.text);
        if blank(&block) && otherwise.as_ref().is_none_or(blank) {
            block.drop_text();
            otherwise.iter_mut().for_each(super::tree::Block::drop_text);
        }
        Ok(NodeKind::For(Box::new(For {
            target,
            over,
            name,
            block,
            otherwise,
        })))
    }

    fn tablerow(&mut self, lexer: &mut Lexer<'t>, opened: &Tag) -> Result<NodeKind, Fault> {
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
            match self.loop_argument(&mut words, &mut over)? {
                None => {}
                Some((other, _)) if other == "cols" => cols = Some(words.expression()?),
                Some((other, span)) => {
                    return Err(
                        Fault::new(span, format!("`tablerow` has no argument `{other}`"))
                            .suggest(&other, ["limit", "offset", "cols"]),
                    );
                }
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

    fn cycle(&self, tag: &Tag) -> Result<NodeKind, Fault> {
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
            .map(|value| value.span.of(self.text))
            .collect::<Vec<_>>()
            .join(",");
        Ok(NodeKind::Cycle(Cycle {
            group,
            written,
            values,
        }))
    }

    fn call(&mut self, tag: &Tag, isolated: bool) -> Result<NodeKind, Fault> {
        let mut words = self.words(tag)?;
        let expression = words.expression()?;
        let ExpressionKind::Str(name) = expression.kind else {
            return Err(Fault::new(
                expression.span,
                "the name of a partial must be a string in the template",
            )
            .help("write it in quotes; which partial is used cannot depend on the data"));
        };
        let partial = self.note_call(&name, expression.span, isolated)?;
        let bound = bound(&mut words, &name)?;
        let mut arguments = Vec::new();
        loop {
            while words.take_sign(",") {}
            if words.peek().is_none() {
                break;
            }
            let target = target(&mut words, "the name of an argument")?;
            if arguments.len() >= limits::CALL_ARGUMENTS {
                let fault = format!(
                    "a partial takes no more than {} arguments",
                    limits::CALL_ARGUMENTS
                );
                return Err(Fault::new(target.span, fault));
            }
            words.expect_sign(":")?;
            arguments.push((target, words.expression()?));
        }
        Ok(NodeKind::Call(Box::new(Call {
            isolated,
            name: Target {
                span: expression.span,
                name,
            },
            partial,
            bound,
            arguments,
        })))
    }
}

/// Reads `with VALUE`, `for VALUE`, and `as NAME`.
fn bound(words: &mut Words, partial: &str) -> Result<Option<Bound>, Fault> {
    while words.take_sign(",") {}
    let each = match words.peek() {
        Some(Token::Name(name)) if name == "for" => true,
        Some(Token::Name(name)) if name == "with" => false,
        _ => return Ok(None),
    };
    words.take();
    let value = words.expression()?;
    let alias = if words.take_name("as") {
        words.expect_name("the name that the partial uses")?.0
    } else {
        // The last part of the path, without what follows a dot.
        let file = partial.rsplit('/').next().unwrap_or(partial);
        file.split('.').next().unwrap_or(file).to_owned()
    };
    Ok(Some(Bound { value, each, alias }))
}

fn target(words: &mut Words, what: &str) -> Result<Target, Fault> {
    let (name, span) = words.expect_name(what)?;
    Ok(Target { span, name })
}

fn unknown(tag: &Tag, name: &str, ends: &[&str]) -> Fault {
    let closing = name.starts_with("end") || matches!(name, "else" | "elsif" | "when");
    if closing {
        let fault = Fault::new(tag.span, format!("`{name}` has nothing to belong to here"));
        return match ends.last() {
            Some(end) => fault.help(format!("the block that is open here is closed by `{end}`")),
            None => fault,
        };
    }
    let mark = if name.is_empty() { tag.span } else { tag.name };
    Fault::new(mark, format!("there is no tag `{name}`")).suggest(name, TAGS)
}
