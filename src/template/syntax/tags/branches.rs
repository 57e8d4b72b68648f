//! `if`, `unless` and `case`: conditions, and what stands under them.

use crate::template::syntax::Fault;
use crate::template::syntax::expression::{Condition, Expression};
use crate::template::syntax::lexer::{Lexer, Tag};
use crate::template::syntax::parser::Parser;
use crate::template::syntax::tokens::Token;
use crate::template::syntax::tree::{Arm, Branch, Case, NodeKind};

impl<'t> Parser<'t, '_> {
    fn whole_condition(&self, tag: &Tag) -> Result<Condition, Fault> {
        let mut words = self.words(tag)?;
        let not = matches!(words.peek(), Some(Token::Name(name)) if name == "not");
        let condition = words.condition()?;
        words.finish_condition().map_err(|fault| match not {
            true => fault.help("there is no `not`: use `unless`, `!=`, or `== false`"),
            false => fault,
        })?;
        Ok(condition)
    }

    pub(super) fn branches(
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
        let mut blank = true;
        loop {
            let (block, closed) = self.block(lexer, Some(opened), &["elsif", "else", end])?;
            blank &= block.blank;
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
        if blank {
            branches.iter_mut().for_each(|b| b.block.drop_text());
        }
        Ok(NodeKind::If(branches))
    }

    pub(super) fn case(&mut self, lexer: &mut Lexer<'t>, opened: &Tag) -> Result<NodeKind, Fault> {
        let mut words = self.words(opened)?;
        let subject = words.expression()?.plain();
        words.finish()?;
        let ends = ["when", "else", "endcase"];
        // What stands before the first `when` is dropped, as Liquid does.
        let (_, mut closed) = self.block(lexer, Some(opened), &ends)?;
        let mut arms = Vec::new();
        while let Some(tag) = closed {
            let values = match lexer.name(&tag) {
                "when" => Some(self.when(&tag)?),
                "else" => {
                    self.words_must_be_none(&tag)?;
                    None
                }
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
        if arms.iter().all(|arm| arm.block.blank) {
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
}
