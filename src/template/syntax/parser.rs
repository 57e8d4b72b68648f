//! Pieces to a tree: blocks within blocks, each closed by its own end tag. The single tags are read in `tags`.

use super::lexer::{Lexer, Piece, Tag, is_space};
use super::tree::{Block, Node, NodeKind};
use super::words::Words;
use crate::template::limits;

use super::{Calls, Fault, NESTING, NODES, Site, Span, TEMPLATE_BYTES};

/// Reads a template or partial. `json`: its output is JSON, so that tags which print HTML are refused. The names of
/// partials that it calls are added to `calls`. With the tree comes where its literal text starts, piece by piece.
///
/// # Errors
/// The first fault of the text.
pub fn parse(text: &str, json: bool, calls: &mut Calls) -> Result<(Block, Vec<usize>), Fault> {
    if text.len() > TEMPLATE_BYTES {
        return Err(Fault::new(
            Span::new(0, 0),
            format!("the template is larger than {TEMPLATE_BYTES} bytes"),
        ));
    }
    let mut parser = Parser {
        text,
        json,
        calls,
        texts: Vec::new(),
        nodes: 0,
        depth: 0,
    };
    let mut lexer = Lexer::new(text);
    let (block, _) = parser.block(&mut lexer, None, &[])?;
    Ok((block, parser.texts))
}

/// What reading goes along with.
pub(super) struct Parser<'t, 'p> {
    pub(super) text: &'t str,
    pub(super) json: bool,
    calls: &'p mut Calls,
    /// Where pieces of text start.
    texts: Vec<usize>,
    nodes: usize,
    depth: usize,
}

impl<'t> Parser<'t, '_> {
    /// Reads nodes up to one of the tags `ends`, or to the end of the text if there are none. `opened` is the tag that
    /// is to be closed.
    pub(super) fn block(
        &mut self,
        lexer: &mut Lexer<'t>,
        opened: Option<&Tag>,
        ends: &[&str],
    ) -> Result<(Block, Option<Tag>), Fault> {
        self.depth += 1;
        if self.depth > NESTING {
            let span = opened.map_or(Span::new(0, 0), |tag| tag.span);
            return Err(Fault::new(span, format!("blocks may nest {NESTING} deep")));
        }
        let read = self.block_within(lexer, opened, ends);
        self.depth -= 1;
        read
    }

    fn block_within(
        &mut self,
        lexer: &mut Lexer<'t>,
        opened: Option<&Tag>,
        ends: &[&str],
    ) -> Result<(Block, Option<Tag>), Fault> {
        let mut nodes = Vec::new();
        let mut blank = true;
        while let Some(piece) = lexer.next()? {
            match piece {
                Piece::Text(span) => {
                    blank &= span.of(self.text).chars().all(is_space);
                    nodes.push(self.literal(span));
                }
                Piece::Output { span, markup } => {
                    blank = false;
                    nodes.extend(self.output(span, markup)?);
                }
                Piece::Tag(tag) => {
                    let name = lexer.name(&tag);
                    if ends.contains(&name) {
                        return Ok((Block { nodes, blank }, Some(tag)));
                    }
                    let node = self.tag(lexer, &tag, ends)?;
                    blank &= match (name, &node) {
                        // Liquid counts these as output, whatever they hold.
                        ("echo", _) | ("raw" | "doc", Some(_)) => false,
                        (_, node) => node.as_ref().is_none_or(Node::is_blank),
                    };
                    nodes.extend(node);
                }
            }
            self.nodes += 1;
            if self.nodes > NODES {
                return Err(Fault::new(
                    nodes.last().map_or(Span::new(0, 0), |node| node.span),
                    format!("the template has more than {NODES} parts"),
                ));
            }
        }
        match opened {
            Some(tag) => Err(lexer.never_closed(tag)),
            None => Ok((Block { nodes, blank }, None)),
        }
    }

    /// Literal text that stands there.
    pub(super) fn literal(&mut self, span: Span) -> Node {
        self.texts.push(span.start);
        Node {
            span,
            kind: NodeKind::Text,
        }
    }

    /// Reads `{{ … }}`; nothing between the braces prints nothing.
    fn output(&self, span: Span, markup: Span) -> Result<Option<Node>, Fault> {
        if markup.of(self.text).trim().is_empty() {
            return Ok(None);
        }
        let mut words = Words::new(self.text, markup, span)?;
        let value = words.filtered()?;
        words.finish()?;
        Ok(Some(Node {
            span,
            kind: NodeKind::Output(value),
        }))
    }

    /// The words that follow the name of a tag.
    pub(super) fn words(&self, tag: &Tag) -> Result<Words, Fault> {
        Words::new(self.text, tag.markup, tag.span)
    }

    /// Notes a call of a partial and gives back which one it is.
    pub(super) fn note_call(
        &mut self,
        name: &str,
        span: Span,
        isolated: bool,
    ) -> Result<usize, Fault> {
        let names = &mut self.calls.names;
        let known = names.iter().position(|(known, _)| known == name);
        let partial = known.unwrap_or(names.len());
        if known.is_none() {
            if names.len() >= limits::PARTIALS {
                let fault = format!("there are more than {} partials", limits::PARTIALS);
                return Err(Fault::new(span, fault));
            }
            names.push((name.to_owned(), span));
        }
        self.calls.sites.push(Site {
            span,
            partial,
            isolated,
        });
        Ok(partial)
    }
}
