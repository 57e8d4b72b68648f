//! What is wrong with a configuration, each with its place.
//!
//! Printed plainly, without colour; secrets that stand in the file are blotted out of the lines that are shown.

use std::fmt;
use std::path::Path;

use serde::Serialize;

use crate::excerpt::{self, Place};
use crate::template::TemplateError;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can, but somebody should look at it.
    Warning,
}

/// One thing that is wrong, or worth a look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// How bad it is.
    #[serde(skip)]
    pub severity: Severity,
    /// The file: the configuration, or a template.
    pub file: String,
    /// Line, from 1; 0 if the place is the file as a whole.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Length in characters of what is marked, at least 1.
    #[serde(skip)]
    pub length: usize,
    /// The path in the configuration, `routes[2].to[0]`; empty for the whole.
    pub path: String,
    /// What is wrong, and what is known instead.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// The line that is marked, for the caret.
    #[serde(skip)]
    pub source_line: String,
}

impl Diagnostic {
    /// What is wrong with a template, at the place in the template; `path` is where the configuration names it.
    #[must_use]
    pub fn of_template(severity: Severity, path: &str, error: &TemplateError) -> Self {
        let start = error.column.saturating_sub(1);
        let marked: usize = error
            .source_line
            .chars()
            .skip(start)
            .scan(0, |bytes, c| {
                *bytes += c.len_utf8();
                Some(*bytes)
            })
            .take_while(|bytes| *bytes <= error.length)
            .count();
        Self {
            severity,
            file: error.path.to_string(),
            line: error.line,
            column: error.column,
            length: marked.max(1),
            path: path.to_owned(),
            message: error.message.clone(),
            help: error.help.clone(),
            source_line: error.source_line.to_string(),
        }
    }

    /// What is wrong with a file as a whole.
    #[must_use]
    pub fn of_file(severity: Severity, file: &Path, message: String) -> Self {
        Self {
            severity,
            file: file.display().to_string(),
            line: 0,
            column: 0,
            length: 1,
            path: String::new(),
            message,
            help: None,
            source_line: String::new(),
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = match (self.line, self.path.as_str()) {
            (0, "") => format!("{}: {}", self.file, self.message),
            (_, "") => self.message.clone(),
            (_, path) => format!("{path}: {}", self.message),
        };
        let place = (self.line > 0).then_some(Place {
            file: &self.file,
            line: self.line,
            column: self.column,
            width: self.length,
            text: &self.source_line,
        });
        let print = match self.severity {
            Severity::Error => excerpt::error,
            Severity::Warning => excerpt::warning,
        };
        f.write_str(print(&message, place, self.help.as_deref()).trim_end())
    }
}

/// All that is wrong with a configuration, in the order of the file; warnings too, when there are errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    diagnostics: Vec<Diagnostic>,
    /// How many more there are.
    untold: usize,
}

impl ConfigErrors {
    /// Of these, in the order of their places.
    pub(super) fn new(mut diagnostics: Vec<Diagnostic>, untold: usize) -> Self {
        in_order(&mut diagnostics);
        Self {
            diagnostics,
            untold,
        }
    }

    /// Each of them, of very many the first ones.
    #[must_use]
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }
}

/// Sorts by file and place, errors of one place in the order in which they were found, each once.
pub(super) fn in_order(diagnostics: &mut Vec<Diagnostic>) {
    diagnostics.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    diagnostics.dedup();
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, diagnostic) in self.diagnostics.iter().enumerate() {
            if i > 0 {
                f.write_str("\n\n")?;
            }
            write!(f, "{diagnostic}")?;
        }
        if self.untold > 0 {
            write!(f, "\n\n  and {} more", self.untold)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// `(known: erp, slack)`, with the nearest one first if it is near: `; did you mean ..?`.
pub(super) fn known<'a>(
    wanted: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> (String, Option<String>) {
    let names: Vec<&str> = names.into_iter().collect();
    if names.is_empty() {
        return ("(there is none)".to_owned(), None);
    }
    (
        format!("(known: {})", names.join(", ")),
        nearest(wanted, &names).map(|near| format!("did you mean `{near}`?")),
    )
}

/// The name that differs least, if it differs little.
pub(super) fn nearest<'a>(wanted: &str, names: &[&'a str]) -> Option<&'a str> {
    let most = (wanted.chars().count() / 3).clamp(1, 3);
    names
        .iter()
        .map(|name| {
            (
                strsim::osa_distance(&wanted.to_lowercase(), &name.to_lowercase()),
                *name,
            )
        })
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printed_form() {
        let mut diagnostic = Diagnostic {
            severity: Severity::Error,
            file: "config.yaml".to_owned(),
            line: 31,
            column: 10,
            length: 3,
            path: "routes[2].to[0]".to_owned(),
            message: "no target named \"crm\" (known: erp, slack)".to_owned(),
            help: None,
            source_line: "    to: [crm]".to_owned(),
        };
        let shown = diagnostic.to_string();
        for part in [
            "error: routes[2].to[0]: no target named \"crm\" (known: erp, slack)\n",
            "config.yaml:31:10",
            "31 |     to: [crm]\n",
            "^^^",
        ] {
            assert!(shown.contains(part), "{shown}");
        }
        diagnostic.severity = Severity::Warning;
        diagnostic.path.clear();
        diagnostic.line = 0;
        diagnostic.help = Some("do this".to_owned());
        let shown = diagnostic.to_string();
        assert!(
            shown.contains("warning: config.yaml: no target named"),
            "{shown}"
        );
        assert!(shown.ends_with("help: do this"), "{shown}");
    }

    #[test]
    fn suggestions_are_near() {
        for (wanted, near) in [
            ("slak", Some("slack")),
            ("ERP", Some("erp")),
            ("crm", None),
            ("timeuot", Some("timeout")),
        ] {
            let (_, help) = known(wanted, ["erp", "slack", "timeout"]);
            let near = near.map(|near| format!("did you mean `{near}`?"));
            assert_eq!(help, near, "{wanted}");
        }
    }
}
