//! What can be said of a template for every payload, before it renders.
//!
//! The ways through the tree are followed with the writer itself as the automaton: its output is forgotten, values are
//! unknown. Promise: of a template that is *proven*, every render that completes is valid and the writer never fails,
//! limits excepted; filters and comparisons can still fail, see [`Proof::may_fail`]. Time and memory are bounded:
//! what is too large to follow is *checked at run time*.

mod ask;
pub(super) mod example;
mod flow;
mod loops;
#[cfg(test)]
mod random;
mod state;
#[cfg(test)]
mod tests;

use super::sink::Origin;
use super::syntax::Fault;
use super::{Compiled, Repair, TemplateError, error};
use state::Route;

/// What is said of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Valid for every payload.
    Proven,
    /// Valid for every payload, for some only after repairs.
    ProvenWithRepairs,
    /// Not valid for every payload, or too involved to tell.
    CheckedAtRunTime,
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Proven => "proven",
            Self::ProvenWithRepairs => "proven with repairs",
            Self::CheckedAtRunTime => "checked at run time",
        })
    }
}

/// A place that can fail.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// What goes wrong there.
    pub what: String,
    /// The file.
    pub path: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The way that leads there.
    pub route: Vec<Decision>,
    /// A payload that fails, tried.
    pub counter_example: Option<serde_json::Value>,
    hints: Vec<state::Hint>,
}

/// A decision on a way through a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The file.
    pub path: String,
    /// Line, from 1.
    pub line: usize,
    /// What was decided, e.g. `the loop runs no time`.
    pub what: String,
}

/// A place where something else than the writer can fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What.
    pub what: String,
    /// The file.
    pub path: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// What holds for every payload.
#[derive(Debug, Clone, PartialEq)]
pub struct Proof {
    /// In short.
    pub verdict: Verdict,
    /// What can fail, each place once.
    pub findings: Vec<Finding>,
    /// What can need mending.
    pub repairs: Vec<Repair>,
    /// Filters that can fail.
    pub may_fail: Vec<Note>,
}

/// Proves what can be proven.
///
/// # Errors
/// The template is never valid: the place where every way fails.
pub(super) fn prove(template: &Compiled) -> Result<Proof, TemplateError> {
    let found = flow::follow(template);
    if found.never
        && let Some(first) = found.failures.first()
        && let Some(file) = template.files.get(first.file)
    {
        return Err(TemplateError::new(&file.source, first.fault.clone()));
    }
    let mut findings: Vec<Finding> = found
        .failures
        .iter()
        .map(|failure| {
            let origin = Origin {
                file: failure.file,
                span: failure.fault.span,
            };
            let (path, line, column) = place(template, origin);
            let mut hints = Vec::new();
            Finding {
                what: failure.fault.message.clone(),
                path,
                line,
                column,
                route: route(template, &failure.route, &mut hints),
                counter_example: None,
                hints,
            }
        })
        .collect();
    if let Some((origin, why)) = found.gave_up {
        let (path, line, column) = place(template, origin);
        findings.push(Finding {
            what: why.to_owned(),
            path,
            line,
            column,
            route: Vec::new(),
            counter_example: None,
            hints: Vec::new(),
        });
    }
    let repairs: Vec<Repair> = found
        .repairs
        .iter()
        .map(|mended| {
            let (_, line, column) = place(template, mended.origin);
            let what = mended.what.to_owned();
            Repair { what, line, column }
        })
        .collect();
    let may_fail = found
        .notes
        .iter()
        .map(|(origin, what)| {
            let (path, line, column) = place(template, *origin);
            Note {
                what: what.clone(),
                path,
                line,
                column,
            }
        })
        .collect();
    let verdict = match (findings.is_empty(), repairs.is_empty()) {
        (false, _) => Verdict::CheckedAtRunTime,
        (true, false) => Verdict::ProvenWithRepairs,
        (true, true) => Verdict::Proven,
    };
    Ok(Proof {
        verdict,
        findings,
        repairs,
        may_fail,
    })
}

/// A way that fails.
struct Failure {
    file: usize,
    fault: Fault,
    route: Route,
}

fn place(template: &Compiled, origin: Origin) -> (String, usize, usize) {
    match template.files.get(origin.file) {
        Some(file) => {
            let (line, column) = error::place(&file.source.text, origin.span);
            (file.source.path.clone(), line, column)
        }
        None => (String::new(), 1, 1),
    }
}

/// Most decisions of a way that are told: the last ones.
const DECISIONS: usize = 40;

fn route(template: &Compiled, route: &Route, hints: &mut Vec<state::Hint>) -> Vec<Decision> {
    let mut decisions = Vec::new();
    let mut step = route.as_ref();
    while let Some(known) = step {
        if decisions.len() == DECISIONS {
            break;
        }
        let (path, line, _) = place(template, known.origin);
        let what = known.what.clone();
        decisions.push(Decision { path, line, what });
        hints.extend(known.hint.clone());
        step = known.before.as_ref();
    }
    decisions.reverse();
    hints.reverse();
    decisions
}
