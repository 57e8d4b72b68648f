//! The template's text as pieces: literal text, outputs and tags; or, inside a `liquid` tag, its lines.

use super::{Fault, Span};

/// A piece of a template.
#[derive(Debug, Clone, Copy)]
pub enum Piece {
    /// Literal text, white space already trimmed as the tags around it ask.
    Text(Span),
    /// `{{ … }}`.
    Output {
        /// All of it.
        span: Span,
        /// What stands between the braces.
        markup: Span,
    },
    /// `{% … %}`, or a line of a `liquid` tag.
    Tag(Tag),
}

/// A tag as it is written.
#[derive(Debug, Clone, Copy)]
pub struct Tag {
    /// All of it.
    pub span: Span,
    /// Its name; empty for `{% %}`; `#` for an inline comment.
    pub name: Span,
    /// What follows the name.
    pub markup: Span,
    /// Where the content starts that follows the tag.
    content: usize,
}

/// Yields the pieces.
#[derive(Debug)]
pub struct Lexer<'t> {
    text: &'t str,
    at: usize,
    end: usize,
    /// Inside a `liquid` tag, where each line is a tag.
    lines: bool,
    /// Whether the tag before asked for white space to be dropped.
    trim: bool,
}

impl<'t> Lexer<'t> {
    /// Reads a whole template.
    pub fn new(text: &'t str) -> Self {
        Self {
            text,
            at: 0,
            end: text.len(),
            lines: false,
            trim: false,
        }
    }

    /// Reads the lines in the part `span` of the text.
    pub fn lines(text: &'t str, span: Span) -> Self {
        Self {
            text,
            at: span.start,
            end: span.end,
            lines: true,
            trim: false,
        }
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..self.end).unwrap_or("")
    }

    /// The next piece; `None` at the end.
    pub fn next(&mut self) -> Result<Option<Piece>, Fault> {
        if self.lines {
            return Ok(self.next_line().map(Piece::Tag));
        }
        if self.at >= self.end {
            return Ok(None);
        }
        let rest = self.rest();
        let found = opening(rest);
        if found != Some(0) {
            let length = found.unwrap_or(rest.len());
            if let Some(span) = self.text_piece(length) {
                return Ok(Some(Piece::Text(span)));
            }
            // All of the text was trimmed away.
            return self.next();
        }
        let close = if rest.starts_with("{{") { "}}" } else { "%}" };
        let (span, markup) = self.braces(close)?;
        Ok(Some(if close == "}}" {
            Piece::Output { span, markup }
        } else {
            Piece::Tag(self.tag(span, markup))
        }))
    }

    /// Takes `length` bytes as text, without the white space that the tags on both sides drop.
    fn text_piece(&mut self, length: usize) -> Option<Span> {
        let start = self.at;
        self.at += length;
        let whole = self.text.get(start..self.at).unwrap_or("");
        let mut kept = whole;
        if std::mem::take(&mut self.trim) {
            kept = kept.trim_start();
        }
        let start = start + (whole.len() - kept.len());
        if self.rest().as_bytes().get(2) == Some(&b'-') {
            kept = kept.trim_end();
        }
        (!kept.is_empty()).then(|| Span::new(start, start + kept.len()))
    }

    /// Takes `{{ … }}` or `{% … %}`: all of it, and what stands between.
    fn braces(&mut self, close: &str) -> Result<(Span, Span), Fault> {
        let start = self.at;
        let rest = self.rest();
        let inner = rest.get(2..).unwrap_or("");
        let Some(length) = inner.find(close) else {
            let open = rest.get(..2).unwrap_or("");
            return Err(Fault::new(
                Span::new(start, start + 2),
                format!("this `{open}` has no end"),
            )
            .help(format!("close it with `{close}`")));
        };
        self.at = start + 2 + length + 2;
        let mut markup = Span::new(start + 2, start + 2 + length);
        let inner = inner.get(..length).unwrap_or("");
        if inner.starts_with('-') {
            markup.start += 1;
        }
        self.trim = inner.ends_with('-');
        if self.trim && markup.end > markup.start {
            markup.end -= 1;
        }
        Ok((Span::new(start, self.at), markup))
    }

    fn tag(&self, span: Span, markup: Span) -> Tag {
        let text = markup.of(self.text);
        let start = markup.start + (text.len() - text.trim_start().len());
        let inner = text.trim_start();
        let length = if inner.starts_with('#') {
            1
        } else {
            inner
                .find(|c: char| !(c.is_alphanumeric() || c == '_'))
                .unwrap_or(inner.len())
        };
        Tag {
            span,
            name: Span::new(start, start + length),
            markup: Span::new(start + length, markup.end),
            content: self.at,
        }
    }

    fn next_line(&mut self) -> Option<Tag> {
        loop {
            let rest = self.rest();
            if rest.is_empty() {
                return None;
            }
            let length = rest.find('\n').unwrap_or(rest.len());
            let line = rest.get(..length).unwrap_or("");
            let start = self.at + (line.len() - line.trim_start().len());
            self.at = (self.at + length + 1).min(self.end);
            let line = line.trim();
            if !line.is_empty() {
                let span = Span::new(start, start + line.len());
                return Some(self.tag(span, span));
            }
        }
    }

    /// The name of a tag.
    pub fn name(&self, tag: &Tag) -> &'t str {
        tag.name.of(self.text)
    }

    /// Skips to the end of a block that is not parsed (`comment`, `doc`): the end tag is taken.
    /// Comments nest, and `raw` inside them hides their ends.
    pub fn skip_block(&mut self, opened: &Tag) -> Result<(), Fault> {
        let name = self.name(opened);
        let nests = name == "comment";
        let ends = format!("end{name}");
        let mut depth = 1_usize;
        let mut raw = false;
        while let Some(tag) = self.next_tag() {
            match self.name(&tag) {
                "endraw" if raw => raw = false,
                _ if raw => {}
                "raw" if nests => raw = true,
                inner if inner == ends => depth -= 1,
                inner if inner == name && nests => depth += 1,
                inner if inner == name => {
                    return Err(Fault::new(
                        tag.span,
                        format!("`{name}` cannot stand within `{name}`"),
                    ));
                }
                _ => {}
            }
            if depth == 0 {
                return Ok(());
            }
        }
        Err(never_closed(opened.span, name))
    }

    /// The next tag, whatever stands before it.
    fn next_tag(&mut self) -> Option<Tag> {
        if self.lines {
            return self.next_line();
        }
        let open = self.rest().find("{%")?;
        self.at += open;
        let (span, markup) = self.braces("%}").ok()?;
        Some(self.tag(span, markup))
    }

    /// Takes the content of `raw` and its end tag.
    pub fn raw(&mut self, opened: &Tag) -> Result<Option<Span>, Fault> {
        let start = opened.content;
        let trim = std::mem::take(&mut self.trim);
        if self.lines {
            return Err(Fault::new(
                opened.span,
                "`raw` cannot stand within `liquid`",
            ));
        }
        let mut from = start;
        loop {
            let Some(open) = self.text.get(from..self.end).and_then(|t| t.find("{%")) else {
                return Err(never_closed(opened.span, "raw"));
            };
            let open = from + open;
            self.at = open;
            let inner = self.text.get(open + 2..self.end).unwrap_or("");
            let dash = inner.starts_with('-');
            let word = inner.strip_prefix('-').unwrap_or(inner).trim_start();
            let ended = word
                .strip_prefix("endraw")
                .map(|tail| tail.trim_start())
                .is_some_and(|tail| tail.starts_with("%}") || tail.starts_with("-%}"));
            if !ended {
                from = open + 2;
                continue;
            }
            self.braces("%}")?;
            let whole = self.text.get(start..open).unwrap_or("");
            let mut kept = whole;
            if trim {
                kept = kept.trim_start();
            }
            let start = start + (whole.len() - kept.len());
            if dash {
                kept = kept.trim_end();
            }
            return Ok((!kept.is_empty()).then(|| Span::new(start, start + kept.len())));
        }
    }
}

/// The fault of a block without its end tag.
pub fn never_closed(span: Span, name: &str) -> Fault {
    Fault::new(span, format!("`{name}` is never closed")).help(format!("add {{% end{name} %}}"))
}

/// Where the next `{{` or `{%` is. A brace of JSON right before one (`{{% if`, `{{{ key`) is text: what follows `{{` could
/// not begin with a brace or a percent sign.
fn opening(text: &str) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + text.get(from..)?.find('{')?;
        match text.as_bytes().get(at + 1..) {
            Some([b'{', b'{' | b'%', ..]) => return Some(at + 1),
            Some([b'{' | b'%', ..]) => return Some(at),
            _ => {}
        }
        from = at + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str) -> String {
        let mut lexer = Lexer::new(text);
        let mut all = Vec::new();
        while let Some(piece) = lexer.next().unwrap_or_else(|f| panic!("{text}: {f:?}")) {
            all.push(match piece {
                Piece::Text(span) => format!("'{}'", span.of(text)),
                Piece::Output { markup, .. } => format!("<{}>", markup.of(text)),
                Piece::Tag(tag) => format!("[{}|{}]", lexer.name(&tag), tag.markup.of(text)),
            });
        }
        all.join("")
    }

    #[test]
    fn text_outputs_and_tags() {
        let rows = [
            ("a{{ b }}c", "'a'< b >'c'"),
            ("a {{- b -}} c", "'a'< b >'c'"),
            ("a\n{%- if b -%}\n c", "'a'[if| b ]'c'"),
            ("{%- if b -%} {%- endif -%}", "[if| b ][endif| ]"),
            ("{{-}}{%-%}", "<>[|]"),
            ("{\"a\":{\"b\":{{ x }}}}", "'{\"a\":{\"b\":'< x >'}}'"),
            ("{{% if a %}}", "'{'[if| a ]'}'"),
            ("{{{ a }}: 1}", "'{'< a >': 1}'"),
            ("{%# a %}{%- # b -%}", "[#| a ][#| b ]"),
            ("}} %} { } {a", "'}} %} { } {a'"),
            ("ä{{'ö'}}ü", "'ä'<'ö'>'ü'"),
        ];
        for (text, expected) in rows {
            assert_eq!(pieces(text), expected, "{text}");
        }
    }
}
