//! How each tag is read: which there are, and the single ones. What a tag does stands in `render`.

mod branches;
mod calls;
mod loops;

use super::lexer::{Lexer, Tag};
use super::parser::Parser;
use super::tokens::{Token, long_name, name_length};
use super::tree::{Assign, Node, NodeKind, Target};
use super::words::Words;
use super::{Fault, NAME_BYTES, Span};

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
            "assign" => self.assign(tag)?,
            "break" => self.bare(tag, NodeKind::Break)?,
            "capture" => {
                let target = self.capture_target(tag)?;
                let (block, _) = self.block(lexer, Some(tag), &["endcapture"])?;
                NodeKind::Capture(target, block)
            }
            "case" => self.case(lexer, tag)?,
            "comment" => {
                lexer.skip_comment(tag)?;
                NodeKind::Nothing
            }
            "continue" => self.bare(tag, NodeKind::Continue)?,
            "cycle" => self.cycle(tag)?,
            "decrement" => NodeKind::Decrement(self.only_name(tag)?),
            "doc" => {
                self.words_must_be_none(tag)?;
                let kept = lexer.verbatim(tag)?;
                return Ok(kept.map(|_| Node {
                    span: tag.span,
                    kind: NodeKind::Nothing,
                }));
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
                let text = lexer.verbatim(tag)?;
                return Ok(text.map(|span| self.literal(span)));
            }
            "render" => self.call(tag, true)?,
            "tablerow" => self.tablerow(lexer, tag)?,
            "unless" => self.branches(lexer, tag, true)?,
            "#" => self.inline_comment(tag)?,
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
        let name = tag.name.of(self.text);
        let help = |fault: Fault| fault.help(format!("nothing stands after `{name}`"));
        self.words(tag)?.finish().map_err(help)
    }

    /// Every line of an inline comment begins with `#`, once its text has begun.
    fn inline_comment(&self, tag: &Tag) -> Result<NodeKind, Fault> {
        let markup = tag.markup.of(self.text);
        let mut start = tag.markup.end - markup.trim_start().len();
        for (index, line) in markup.trim_start().split_inclusive('\n').enumerate() {
            let text = line.trim();
            if index > 0 && !text.is_empty() && !text.starts_with('#') {
                let from = start + (line.len() - line.trim_start().len());
                let fault = "each line of an inline comment must begin with `#`";
                return Err(Fault::new(Span::new(from, from + text.len()), fault)
                    .help("write `#` before it, or use {% comment %}"));
            }
            start += line.len();
        }
        Ok(NodeKind::Nothing)
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
        if target.name.ends_with('?') {
            let fault = format!("`{}` cannot be assigned to", target.name);
            return Err(Fault::new(target.span, fault)
                .help("names may end with `?` only where they are read"));
        }
        if !words.take_sign("=") {
            let fault = words.expected("`=`");
            return Err(match words.peek() {
                Some(Token::Compare("==")) => fault.help("to assign, write `=`"),
                Some(Token::Sign("." | "[")) => {
                    fault.help("only whole variables are set; build objects with the tag `json`")
                }
                _ => fault.help(format!("write `assign {} = …`", target.name)),
            });
        }
        let mut value = words.filtered()?;
        value.input = value.input.plain();
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
        let leading = bare.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        if !leading || name_length(bare) != bare.len() {
            let span = if text.is_empty() { tag.span } else { span };
            return Err(Fault::new(span, "expected the name to set"));
        }
        if bare.len() > NAME_BYTES {
            return Err(long_name(span));
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
}

fn target(words: &mut Words, what: &str) -> Result<Target, Fault> {
    let (name, span) = words.expect_name(what)?;
    Ok(Target { span, name })
}

fn unknown(tag: &Tag, name: &str, ends: &[&str]) -> Fault {
    if name.is_empty() {
        return Fault::new(tag.span, "this tag has no name");
    }
    let closing = name.starts_with("end") || matches!(name, "else" | "elsif" | "when");
    if closing {
        let fault = Fault::new(tag.span, format!("`{name}` has nothing to belong to here"));
        return match ends.last() {
            Some(end) => fault.help(format!("the block that is open here is closed by `{end}`")),
            None => fault.help("no block is open here"),
        };
    }
    let fault = Fault::new(tag.name, format!("there is no tag `{name}`"));
    match elsewhere(name) {
        Some(known) => fault.help(format!("did you mean `{known}`?")),
        None => fault.suggest(name, TAGS.iter().chain(ends).copied()),
    }
}

/// What a tag of other template languages is called in this one.
fn elsewhere(name: &str) -> Option<&'static str> {
    Some(match name.to_ascii_lowercase().as_str() {
        "elseif" | "elif" => "elsif",
        "default" => "else",
        "switch" => "case",
        "foreach" | "each" => "for",
        "set" | "let" | "var" => "assign",
        "print" => "echo",
        "partial" | "import" => "render",
        _ => return None,
    })
}
