//! What can be said of a template for every payload, before it renders.
//!
//! The ways through the tree are followed with the writer itself as the automaton: its output is forgotten, values are
//! unknown. Promise: of a template that is *proven*, every render that completes is valid and the writer never fails,
//! limits excepted; filters and comparisons can still fail, see [`Proof::may_fail`]. Time and memory are bounded:
//! what is too large to follow is *checked at run time*.

mod ask;
#[cfg(test)]
mod costs;
mod decisions;
pub(super) mod example;
mod flow;
mod loops;
mod state;
mod survey;
#[cfg(test)]
mod tests;

use super::sink::Origin;
use super::syntax::Fault;
use super::{Compiled, Remark, TemplateError};
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
    /// Valid for no payload.
    NeverValid,
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Proven => "proven",
            Self::ProvenWithRepairs => "proven with repairs",
            Self::CheckedAtRunTime => "checked at run time",
            Self::NeverValid => "never valid",
        })
    }
}

/// A place that can fail.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// What goes wrong there.
    pub error: TemplateError,
    /// The way that leads there.
    pub way: Vec<Decision>,
    /// A payload that fails, tried; see [`super::Template::seek_examples`].
    pub counter_example: Option<serde_json::Value>,
    hints: Vec<state::Hint>,
    /// Whether it is about a key from data: what fails is told where the key ends.
    of_key: bool,
}

impl Finding {
    /// The way that leads there, in one line; `None` if every way does.
    #[must_use]
    pub fn told_way(&self) -> Option<String> {
        // Keys can be the same from the second round on, however the way went.
        let tells = |step: &&Decision| !(self.of_key && step.what.starts_with("the loop runs"));
        let steps: Vec<String> = self
            .way
            .iter()
            .filter(tells)
            .map(|step| match *step.path == *self.error.path {
                true => format!("{} (line {})", step.what, step.line),
                false => format!("{} ({}:{})", step.what, step.path, step.line),
            })
            .collect();
        (!steps.is_empty()).then(|| format!("this happens when {}", steps.join(", ")))
    }
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

/// What holds for every payload.
#[derive(Debug, Clone, PartialEq)]
pub struct Proof {
    /// In short.
    pub verdict: Verdict,
    /// What can fail, each place once; of what is never valid first the place where it ends.
    pub findings: Vec<Finding>,
    /// What can need mending, told as an error would be.
    pub repairs: Vec<TemplateError>,
    /// What else can fail on some payload: filters, comparisons.
    pub may_fail: Vec<Remark>,
}

/// Proves what can be proven.
pub(super) fn prove(template: &Compiled) -> Proof {
    let found = flow::follow(template);
    let mut findings: Vec<Finding> = found
        .failures
        .iter()
        .filter_map(|failure| {
            let mut hints = Vec::new();
            Some(Finding {
                error: told(template, failure.file, &failure.fault)?,
                way: way(template, &failure.route, &mut hints),
                counter_example: None,
                hints,
                of_key: !failure.ends,
            })
        })
        .collect();
    if let Some((origin, why)) = found.gave_up {
        let fault = Fault::new(origin.span, why);
        findings.extend(told(template, origin.file, &fault).map(|error| Finding {
            error,
            way: Vec::new(),
            counter_example: None,
            hints: Vec::new(),
            of_key: false,
        }));
    }
    let repairs: Vec<TemplateError> = found
        .repairs
        .iter()
        .filter_map(|mended| {
            let Origin { file, span } = mended.origin;
            told(template, file, &Fault::of_output(span, mended.what))
        })
        .collect();
    let may_fail = found
        .notes
        .into_iter()
        .map(|(origin, what)| template.remark(what, origin))
        .collect();
    let verdict = match (findings.is_empty(), repairs.is_empty()) {
        (false, _) if found.never => Verdict::NeverValid,
        (false, _) => Verdict::CheckedAtRunTime,
        (true, false) => Verdict::ProvenWithRepairs,
        (true, true) => Verdict::Proven,
    };
    Proof {
        verdict,
        findings,
        repairs,
        may_fail,
    }
}

/// A way that fails.
struct Failure {
    file: usize,
    fault: Fault,
    route: Route,
    /// Whether the way ends there; else it goes on for the payloads that do not fail.
    ends: bool,
}

fn told(template: &Compiled, file: usize, fault: &Fault) -> Option<TemplateError> {
    let file = template.files.get(file)?;
    Some(TemplateError::new(&file.source, fault.clone()))
}

/// Most decisions of a way that are told: the last ones.
const DECISIONS: usize = 40;

fn way(template: &Compiled, route: &Route, hints: &mut Vec<state::Hint>) -> Vec<Decision> {
    let mut decisions = Vec::new();
    let mut step = route.as_ref();
    while let Some(known) = step {
        if decisions.len() == DECISIONS {
            break;
        }
        let Remark {
            path, line, what, ..
        } = template.remark(known.what.clone(), known.origin);
        decisions.push(Decision { path, line, what });
        hints.extend(known.hint.clone());
        step = known.before.as_ref();
    }
    decisions.reverse();
    hints.reverse();
    decisions
}
