//! An error or warning with the line that it is about: message, file, line, caret, help.
//!
//! Everything that points into a file (configuration, template) is printed by this one function, so that all of
//! them look alike. Plain text without colour; of a long line only what is around the mark. Not here: what is wrong
//! (see `config`, `template`).

use std::fmt;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError,
    MietteSpanContents, Severity, SourceCode, SourceSpan, SpanContents,
};

/// Most characters of a line that are shown; templates may be one long line.
const SHOWN: usize = 120;

/// A place in a text file, with the line that it stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// The file, as the reader knows it.
    pub file: &'a str,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// How many characters are marked; at least one is.
    pub width: usize,
    /// The whole line.
    pub text: &'a str,
}

/// Prints an error.
#[must_use]
pub fn error(message: &str, place: Option<Place<'_>>, help: Option<&str>) -> String {
    print(Severity::Error, message, place, help)
}

/// Prints a warning.
#[must_use]
pub fn warning(message: &str, place: Option<Place<'_>>, help: Option<&str>) -> String {
    print(Severity::Warning, message, place, help)
}

fn print(
    severity: Severity,
    message: &str,
    place: Option<Place<'_>>,
    help: Option<&str>,
) -> String {
    let word = match severity {
        Severity::Error => "error",
        _ => "warning",
    };
    let report = Report {
        message: format!("{word}: {message}"),
        severity,
        line: place.map(Line::of),
        help: help.map(str::to_owned),
    };
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme {
        characters: miette::ThemeCharacters::ascii(),
        styles: miette::ThemeStyles::none(),
    })
    .with_wrap_lines(false)
    .with_context_lines(0);
    let mut text = String::new();
    if handler.render_report(&mut text, &report).is_err() {
        // Writing to a String does not fail; should the handler, the message is still there.
        text.push_str(&report.message);
    }
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

#[derive(Debug)]
struct Report {
    message: String,
    severity: Severity,
    line: Option<Line>,
    help: Option<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Report {}

impl Diagnostic for Report {
    fn severity(&self) -> Option<Severity> {
        Some(self.severity)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as _)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.line.as_ref().map(|line| line as _)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.line.as_ref()?.span;
        Some(Box::new(std::iter::once(LabeledSpan::new_with_span(
            None, span,
        ))))
    }
}

/// One line of a file, as source code that begins at its number.
#[derive(Debug)]
struct Line {
    file: String,
    number: usize,
    column: usize,
    text: String,
    span: SourceSpan,
}

impl Line {
    fn of(place: Place<'_>) -> Self {
        let column = place.column.saturating_sub(1);
        let skipped = column.saturating_sub(SHOWN / 2);
        let shown = place.text.trim_end().chars().skip(skipped);
        let cut = if skipped > 0 { "..." } else { "" };
        let mut text = cut.to_owned();
        text.extend(
            shown
                .clone()
                .take(SHOWN)
                .map(|c| if c.is_control() { ' ' } else { c }),
        );
        if shown.count() > SHOWN {
            text.push_str("...");
        }
        let byte = |characters: usize| {
            let mut starts = text.char_indices().map(|(at, _)| at);
            starts.nth(characters).unwrap_or(text.len())
        };
        let at = cut.len() + column - skipped;
        let (start, end) = (byte(at), byte(at + place.width.max(1)));
        Self {
            file: place.file.to_owned(),
            number: place.line,
            column,
            span: (start, end.saturating_sub(start)).into(),
            text,
        }
    }
}

impl SourceCode for Line {
    fn read_span<'a>(
        &'a self,
        _span: &SourceSpan,
        _before: usize,
        _after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        Ok(Box::new(MietteSpanContents::new_named(
            self.file.clone(),
            self.text.as_bytes(),
            (0, self.text.len()).into(),
            self.number.saturating_sub(1),
            self.column,
            1,
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_under_the_place() {
        let place = Place {
            file: "config.yaml",
            line: 12,
            column: 10,
            width: 3,
            text: "    to: [crm]",
        };
        let text = error(
            "routes[2].to[0]: no target named `crm`",
            Some(place),
            Some("known: erp, slack"),
        );
        println!("{text}");
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[0].contains("error: routes[2].to[0]: no target named `crm`"),
            "{text}"
        );
        assert!(text.contains("config.yaml:12:10"), "{text}");
        assert!(text.contains("help: known: erp, slack"), "{text}");
        let line = lines
            .iter()
            .find(|line| line.contains("to: [crm]"))
            .unwrap();
        let caret = lines.iter().find(|line| line.contains("^^^")).unwrap();
        assert_eq!(line.find("crm"), caret.find("^^^"), "{text}");
    }

    #[test]
    fn a_place_is_not_needed_and_may_be_odd() {
        assert!(warning("short secret", None, None).contains("warning: short secret"));
        let place = Place {
            file: "a",
            line: 1,
            column: 99,
            width: 0,
            text: "ä",
        };
        assert!(error("x", Some(place), None).contains("a:1:"));
    }

    #[test]
    fn of_a_long_line_the_marked_part_is_shown() {
        let line = format!("{}here{}", "a".repeat(5000), "b".repeat(5000));
        let place = Place {
            file: "a",
            line: 1,
            column: 5001,
            width: 4,
            text: &line,
        };
        let text = error("x", Some(place), None);
        let line = text.lines().find(|line| line.contains("here")).unwrap();
        let caret = text.lines().find(|line| line.contains("^^^^")).unwrap();
        assert_eq!(line.find("here"), caret.find("^^^^"), "{text}");
        assert!(line.len() < 2 * SHOWN, "{text}");
    }
}
