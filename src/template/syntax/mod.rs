//! The syntax of Liquid: text to a tree that knows where each of its parts stands.
//!
//! Promises: time linear in the size of the text; no recursion deeper than [`NESTING`] and
//! [`EXPRESSION_NESTING`]; every error names the bytes that are wrong. Not here: what a tag does when it
//! runs (see `render`), and finding partials (see the module above, which compiles them one by one).

pub mod expression;
mod lexer;
mod parser;
mod tags;
mod tokens;
pub mod tree;
mod words;

pub use parser::parse;
pub use tags::names as tag_names;

use std::sync::Arc;

/// Most bytes of one template or partial: hand-written texts are far smaller.
pub const TEMPLATE_BYTES: usize = 1 << 20;
/// Most nodes of the tree of one template, which bounds its memory.
pub const NODES: usize = 50_000;
/// Most blocks within blocks in one file: bounds the stack of everything that walks the tree.
pub const NESTING: usize = 48;
/// Most brackets within brackets in one expression.
pub const EXPRESSION_NESTING: usize = 16;
/// Most filters on one expression.
pub const FILTERS: usize = 64;
/// Most tokens of one tag or output.
pub const TOKENS: usize = 10_000;
/// Most bytes of a name: each look-up of a variable reads all of its name. Longer members stand in brackets: `a['…']`.
pub const NAME_BYTES: usize = 200;
/// Most digits of a number in a template.
pub const NUMBER_DIGITS: usize = 100;

/// A part of a template's text, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
}

impl Span {
    /// From `start` up to but without `end`.
    #[must_use]
    pub fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// From the start of this to the end of the other.
    #[must_use]
    pub fn to(self, other: Self) -> Self {
        Self::new(self.start, other.end.max(self.start))
    }

    /// The text of this part of `text`; empty if it is not a part of it.
    #[must_use]
    pub fn of(self, text: &str) -> &str {
        text.get(self.start..self.end).unwrap_or("")
    }
}

/// Which partials texts call; grows with each text that is parsed.
#[derive(Debug, Default)]
pub struct Calls {
    /// The names, each once, and where it stands first in the text that brought it. Calls refer to them by index.
    pub names: Vec<(String, Span)>,
    /// The calls, to be taken away after each text.
    pub sites: Vec<Site>,
}

/// A call of a partial.
#[derive(Debug, Clone, Copy)]
pub struct Site {
    /// Where it stands.
    pub span: Span,
    /// Which partial.
    pub partial: usize,
    /// Whether it is `render`.
    pub isolated: bool,
}

/// A template's text and what errors call it.
#[derive(Debug, Clone)]
pub struct Source {
    /// The path in errors.
    pub path: String,
    /// The text.
    pub text: Arc<str>,
}

/// What is wrong and where, before it is known in which file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What is marked.
    pub span: Span,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
    /// Who refused.
    pub cause: Cause,
}

/// Who refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The syntax, a filter, a comparison or a limit.
    Template,
    /// The writer: what is printed is not one JSON value. This a template that is proven never gets.
    Output,
}

impl Fault {
    /// A fault at `span`.
    pub fn new(span: Span, message: impl Into<String>) -> Self {
        Self {
            span,
            message: shortened(message.into()),
            help: None,
            cause: Cause::Template,
        }
    }

    /// What the writer refuses.
    pub fn of_output(span: Span, message: impl Into<String>) -> Self {
        Self {
            cause: Cause::Output,
            ..Self::new(span, message)
        }
    }

    /// With a word on what would be right.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// With a suggestion, if one of `known` resembles `name`.
    #[must_use]
    pub fn suggest<'n>(mut self, name: &str, known: impl IntoIterator<Item = &'n str>) -> Self {
        if let Some(near) = nearest(name, known) {
            self.help = Some(format!("did you mean `{near}`?"));
        }
        self
    }
}

/// Most bytes of a message: what it quotes may be as long as a template.
const MESSAGE_BYTES: usize = 500;

fn shortened(mut message: String) -> String {
    if message.len() > MESSAGE_BYTES {
        let end = message.floor_char_boundary(MESSAGE_BYTES);
        message.truncate(end);
        message.push('…');
    }
    message
}

/// What of `known` was likely meant by `name`: at most one slip in three characters away.
#[must_use]
pub fn nearest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    /// The comparison takes the product of the lengths, in time and room; nobody mistypes a longer name.
    const LONGEST: usize = 64;
    if name.len() > LONGEST {
        return None;
    }
    let name = &name.to_lowercase();
    // A name of one letter resembles every other.
    let slips = match name.chars().count() {
        1 => 0,
        count => (count / 3).max(1),
    };
    known
        .into_iter()
        .filter(|other| other.len() <= LONGEST)
        .map(|other| {
            (
                strsim::damerau_levenshtein(name, &other.to_lowercase()),
                other,
            )
        })
        .filter(|(distance, _)| *distance <= slips)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, other)| other)
}
