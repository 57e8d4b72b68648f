//! Errors of templates for people: the place, the line, a caret.

use super::TemplateError;
use super::syntax::{Fault, Source, Span};
use crate::excerpt::{self, Place};

impl TemplateError {
    /// The fault in its file.
    #[must_use]
    pub(super) fn new(source: &Source, fault: Fault) -> Self {
        let (line, column) = place(&source.text, fault.span);
        let start = fault.span.start.min(source.text.len());
        let before = source.text.get(..start).unwrap_or("");
        let from = before.rfind('\n').map_or(0, |at| at + 1);
        let source_line = source.text.get(from..).and_then(|rest| rest.lines().next());
        Self {
            path: source.path.as_str().into(),
            line,
            column,
            offset: fault.span.start,
            length: fault.span.end.saturating_sub(fault.span.start),
            characters: u32::try_from(characters(&source.text, fault.span)).unwrap_or(u32::MAX),
            message: fault.message,
            help: fault.help,
            cause: fault.cause,
            source_line: source_line.unwrap_or("").into(),
        }
    }

    /// The error with the template's line and a caret below, over several lines.
    #[must_use]
    pub fn pretty(&self) -> String {
        self.print(excerpt::error)
    }

    /// The same as a warning: something that is mended, or can fail.
    #[must_use]
    pub fn pretty_warning(&self) -> String {
        self.print(excerpt::warning)
    }

    fn print(&self, excerpt: fn(&str, Option<Place<'_>>, Option<&str>) -> String) -> String {
        let mut left = self.length;
        let start = self.source_line.chars().skip(self.column.saturating_sub(1));
        // The mark ends with its line; its length is in bytes, the excerpt counts characters.
        let width = start
            .take_while(|c| {
                let within = left > 0;
                left = left.saturating_sub(c.len_utf8());
                within
            })
            .count();
        let place = Place {
            file: &self.path,
            line: self.line,
            column: self.column,
            width,
            text: &self.source_line,
        };
        excerpt(&self.message, Some(place), self.help.as_deref())
    }
}

/// How many characters a span takes.
pub(super) fn characters(text: &str, span: Span) -> usize {
    span.of(text).chars().count()
}

/// Line and column, both from 1, of the start of `span`; columns count characters.
pub(super) fn place(text: &str, span: Span) -> (usize, usize) {
    let mut start = span.start.min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let before = text.get(..start).unwrap_or("");
    let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
    let from = before.rfind('\n').map_or(0, |at| at + 1);
    let column = before.get(from..).map_or(0, |part| part.chars().count()) + 1;
    (line, column)
}
