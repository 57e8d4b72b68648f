//! `include` and `render`: which partial, and what it is given.

use super::target;
use crate::template::limits;
use crate::template::syntax::Fault;
use crate::template::syntax::expression::{Expression, ExpressionKind};
use crate::template::syntax::lexer::Tag;
use crate::template::syntax::parser::Parser;
use crate::template::syntax::tokens::Token;
use crate::template::syntax::tree::{Bound, Call, NodeKind, Target};
use crate::template::syntax::words::Words;

impl Parser<'_, '_> {
    pub(super) fn call(&mut self, tag: &Tag, isolated: bool) -> Result<NodeKind, Fault> {
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
        let mut arguments: Vec<(Target, Expression)> = Vec::new();
        let mut given = 0;
        loop {
            while words.take_sign(",") {}
            if words.peek().is_none() {
                break;
            }
            let target = target(&mut words, "the name of an argument")?;
            given += 1;
            if given > limits::CALL_ARGUMENTS {
                let fault = format!(
                    "a partial takes no more than {} arguments",
                    limits::CALL_ARGUMENTS
                );
                return Err(Fault::new(target.span, fault));
            }
            if !words.take_sign(":") {
                let fault = words.expected(&format!("`:` after `{}`", target.name));
                let fault = fault.help(format!("arguments are written `{}: …`", target.name));
                return Err(match arguments.is_empty() && bound.is_none() {
                    true => fault.suggest(&target.name, ["with", "for"]),
                    false => fault.suggest(&target.name, ["as"]),
                });
            }
            let value = words.expression()?.plain();
            // Of arguments of one name the last counts.
            arguments.retain(|(known, _)| known.name != target.name);
            arguments.push((target, value));
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
        // With a colon it is an argument of that name.
        _ if words.second_is_sign(":") => return Ok(None),
        Some(Token::Name(name)) if name == "for" => true,
        Some(Token::Name(name)) if name == "with" => false,
        _ => return Ok(None),
    };
    words.take();
    let value = words.expression()?.plain();
    let alias = if words.take_name("as") {
        words.expect_name("the name that the partial uses")?.0
    } else {
        // The last part of the path, without what follows a dot.
        let file = partial.rsplit('/').next().unwrap_or(partial);
        file.split('.').next().unwrap_or(file).to_owned()
    };
    Ok(Some(Bound { value, each, alias }))
}
