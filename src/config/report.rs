//! Collects what is wrong, and finds its place.

use std::path::Path;

use super::error::{ConfigErrors, Diagnostic, Severity, in_order};
use super::position;
use super::position::Positions;
use super::shape::Finding;
use super::yaml::{Mark, YamlError};
use crate::template::TemplateError;

/// Most errors that are told; what a generated file has beyond them is counted only.
const MAX_TOLD: usize = 100;

/// All that is wrong so far.
#[derive(Debug)]
pub(super) struct Report {
    file: String,
    positions: Positions,
    diagnostics: Vec<Diagnostic>,
    /// How many errors there are, those beyond [`MAX_TOLD`] too.
    errors: usize,
    /// Paths of what could not be read. What follows from that alone is not told again.
    broken: Vec<String>,
}

impl Report {
    /// An empty report on a file.
    pub(super) fn new(path: &Path, positions: Positions) -> Self {
        Self {
            file: path.display().to_string(),
            positions,
            diagnostics: Vec::new(),
            errors: 0,
            broken: Vec::new(),
        }
    }

    /// The report on a file that cannot be read.
    pub(super) fn unreadable(path: &Path, why: &str) -> Self {
        let mut report = Self::new(path, Positions::default());
        report.error("", format!("the configuration cannot be loaded: {why}"));
        report
    }

    /// The report on a file that is no document.
    pub(super) fn unparsed(path: &Path, text: &str, error: YamlError) -> Self {
        let mut report = Self::new(path, Positions::unparsed(text));
        let (error, help) = explained(text, error);
        report.yaml(error);
        if let Some(diagnostic) = report.diagnostics.last_mut() {
            diagnostic.help = help.map(str::to_owned);
        }
        report
    }

    /// An error of the document itself.
    pub(super) fn yaml(&mut self, error: YamlError) {
        let diagnostic = self.at(
            Severity::Error,
            Some(error.mark),
            &error.path,
            error.message,
        );
        self.push(diagnostic);
    }

    /// An error about the value at a path.
    pub(super) fn error(&mut self, path: &str, message: impl Into<String>) {
        self.add(Severity::Error, path, false, message.into(), None);
    }

    /// An error about the value at a path, and what to do about it.
    pub(super) fn error_help(
        &mut self,
        path: &str,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        self.add(Severity::Error, path, false, message.into(), help);
    }

    /// An error about the key at a path.
    pub(super) fn key_error(
        &mut self,
        path: &str,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        self.add(Severity::Error, path, true, message.into(), help);
    }

    /// A warning about the value at a path.
    pub(super) fn warn(&mut self, path: &str, message: impl Into<String>, help: Option<String>) {
        self.add(Severity::Warning, path, false, message.into(), help);
    }

    /// A warning about the key at a path.
    pub(super) fn key_warn(&mut self, path: &str, message: impl Into<String>) {
        self.add(Severity::Warning, path, true, message.into(), None);
    }

    /// What the comparison with the shapes found.
    pub(super) fn findings(&mut self, findings: Vec<Finding>) {
        let mut broken = Vec::new();
        for finding in findings {
            self.add(
                Severity::Error,
                &finding.path,
                finding.key,
                finding.message,
                finding.help,
            );
            broken.push(finding.path);
        }
        self.broken.append(&mut broken);
    }

    /// A template does not compile; the place is the template's.
    pub(super) fn template(&mut self, path: &str, error: &TemplateError) {
        self.push(Diagnostic::of_template(Severity::Error, path, error));
    }

    /// Whether there is any error.
    pub(super) fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// All of it.
    pub(super) fn into_errors(self) -> ConfigErrors {
        ConfigErrors::new(self.diagnostics, self.errors.saturating_sub(MAX_TOLD))
    }

    /// The warnings of a report without errors.
    pub(super) fn into_warnings(mut self) -> Vec<Diagnostic> {
        in_order(&mut self.diagnostics);
        self.diagnostics
    }

    fn add(
        &mut self,
        severity: Severity,
        path: &str,
        key: bool,
        message: String,
        help: Option<String>,
    ) {
        if severity == Severity::Error && self.errors >= MAX_TOLD {
            self.errors += 1;
            return;
        }
        let around = |broken: &String| {
            broken
                .strip_prefix(path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        if self.broken.iter().any(around) {
            return;
        }
        let mark = self.positions.find(path, key);
        let diagnostic = Diagnostic {
            help,
            ..self.at(severity, mark, path, message)
        };
        self.push(diagnostic);
    }

    fn push(&mut self, diagnostic: Diagnostic) {
        if diagnostic.severity == Severity::Error {
            self.errors += 1;
            if self.errors > MAX_TOLD {
                return;
            }
        }
        self.diagnostics.push(diagnostic);
    }

    fn at(
        &self,
        severity: Severity,
        mark: Option<Mark>,
        path: &str,
        message: String,
    ) -> Diagnostic {
        Diagnostic {
            severity,
            file: self.file.clone(),
            line: mark.map_or(0, |mark| mark.line),
            column: mark.map_or(0, |mark| mark.column),
            length: mark.map_or(1, |mark| mark.length),
            path: position::shown(path).to_owned(),
            message,
            help: None,
            source_line: mark.map_or(String::new(), |mark| {
                self.positions.line(mark.line).to_owned()
            }),
        }
    }
}

/// The error of a text that is no YAML, at the place where the mistake was made, and what to do about it.
fn explained(text: &str, error: YamlError) -> (YamlError, Option<&'static str>) {
    let line = |number: usize| {
        text.lines()
            .nth(number.saturating_sub(1))
            .unwrap_or_default()
    };
    let at = error.mark.line;
    // A parser that waits for the end of a text notices a tab only after the line before it.
    let tab = [at, at + 1].into_iter().find_map(|number| {
        let blank = line(number).find(|c: char| c != ' ')?;
        line(number)
            .get(blank..)?
            .starts_with('\t')
            .then_some((number, blank + 1))
    });
    if let (true, Some((line, column))) = (error.message.contains("tab"), tab) {
        let mark = Mark {
            line,
            column,
            length: 1,
            end_line: line,
            end_column: column + 1,
        };
        let error = YamlError {
            mark,
            message: "not YAML: a line is indented with a tab".to_owned(),
            path: String::new(),
        };
        return (error, Some("YAML is indented with spaces"));
    }
    let help = if line(at).contains("${") {
        Some(
            "within {..} and [..], `${NAME}` cannot stand: its braces are YAML's; write one key a line there",
        )
    } else if error.message.contains("alias") && line(at).contains('*') {
        Some("a text that begins with `*` stands in quotes, as in type: \"*\"")
    } else {
        None
    };
    (error, help)
}
