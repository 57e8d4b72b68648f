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
            kept = kept.trim_start_matches(is_space);
        }
        let start = start + (whole.len() - kept.len());
        if self.rest().as_bytes().get(2) == Some(&b'-') {
            kept = kept.trim_end_matches(is_space);
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

    /// The fault of a block without its end tag.
    pub fn never_closed(&self, opened: &Tag) -> Fault {
        let name = self.name(opened);
        let fault = Fault::new(opened.span, format!("`{name}` is never closed"));
        fault.help(match self.lines {
            true => format!("add a line `end{name}` before the `liquid` tag ends"),
            false => format!("add {{% end{name} %}}"),
        })
    }

    /// Skips to the end of a `comment`; its end tag is taken. Comments nest, and `raw` inside them hides their ends.
    pub fn skip_comment(&mut self, opened: &Tag) -> Result<(), Fault> {
        let mut depth = 1_usize;
        let mut raw = false;
        while let Some(tag) = self.next_tag() {
            match self.name(&tag) {
                "endraw" if raw => raw = false,
                _ if raw => {}
                "raw" => raw = true,
                "endcomment" => depth -= 1,
                "comment" => depth += 1,
                _ => {}
            }
            if depth == 0 {
                return Ok(());
            }
        }
        Err(self.never_closed(opened))
    }

    /// The next tag, whatever stands before it.
    fn next_tag(&mut self) -> Option<Tag> {
        if self.lines {
            return self.next_line();
        }
        loop {
            self.at += opening(self.rest())?;
            if !self.rest().starts_with("{{") {
                let (span, markup) = self.braces("%}").ok()?;
                return Some(self.tag(span, markup));
            }
            // As in Liquid, an output that a tag begins in goes up to the end of that tag.
            let inner = self.rest().get(2..)?;
            let brace = inner.find('}')?;
            let length = match inner.get(..brace)?.find("{%") {
                Some(tag) => tag + inner.get(tag..)?.find("%}")? + 2,
                None => brace + 1,
            };
            self.at += 2 + length;
        }
    }

    /// Takes the content of a block that is not read (`raw`, `doc`) as it stands, and its end tag.
    pub fn verbatim(&mut self, opened: &Tag) -> Result<Option<Span>, Fault> {
        let name = self.name(opened);
        if self.lines {
            let fault = format!("`{name}` cannot stand within `liquid`");
            return Err(Fault::new(opened.span, fault).help("write it as a tag of its own"));
        }
        let ends = format!("end{name}");
        let mut at = opened.content;
        loop {
            let rest = self.text.get(at..self.end).unwrap_or("");
            let Some(open) = rest.find("{%") else {
                return Err(self.never_closed(opened));
            };
            self.at = at + open;
            at = self.at + 2;
            let inner = self.text.get(at..self.end).unwrap_or("");
            let word = inner.strip_prefix('-').unwrap_or(inner).trim_start();
            let word = word
                .split(|c: char| !(c.is_alphanumeric() || c == '_'))
                .next();
            if word == Some("doc") && name == "doc" {
                let (span, _) = self.braces("%}")?;
                return Err(Fault::new(span, "`doc` cannot stand within `doc`")
                    .help("close the first one before with {% enddoc %}"));
            }
            if word != Some(&ends) {
                continue;
            }
            let content = Span::new(opened.content, self.at);
            self.braces("%}")?;
            return Ok((content.end > content.start).then_some(content));
        }
    }
}

/// What Liquid counts as white space.
pub fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t'..='\r')
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
