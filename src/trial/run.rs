//! Tests run: each event rendered for every target of its route, and what comes out compared with what is expected.
//!
//! Promise: the same plan and tests have the same outcome, at any time and on any machine. Not here: reading the files
//! (see `config`), writing what came out, showing it.

use std::fmt;
use std::path::PathBuf;

use serde_json::Value;

use super::compare::{Differences, differences};
use super::lines::{Line, diff};
use super::{Sample, SampleError};
use crate::decimal;
use crate::event::UNKNOWN_TYPE;
use crate::id::{RouteName, SourceName, TargetName};
use crate::pattern::Mismatch;
use crate::plan::{Plan, RouteTest};
use crate::schema::Misfit;
use crate::template::TemplateError;

/// What came of a test.
#[derive(Debug, Clone, PartialEq)]
pub struct TestOutcome {
    /// The route.
    pub route: RouteName,
    /// The file of the event.
    pub event: PathBuf,
    /// The file of what is expected.
    pub expect: PathBuf,
    /// Whether it is as expected.
    pub verdict: Verdict,
    /// What came out as it should for each target, valid and fitting the schema: each different output once, in the
    /// order of the targets.
    pub outputs: Vec<Output>,
}

/// Whether a test is as expected.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It is.
    Passed,
    /// It is not, for these reasons; never none.
    Failed(Vec<Problem>),
}

/// What the template makes of the event for some of the targets.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// Which.
    pub targets: Vec<TargetName>,
    /// What they get.
    pub body: Value,
}

/// Why a test fails. `targets` are those concerned; it is empty if all are.
#[derive(Debug, Clone, PartialEq)]
pub enum Problem {
    /// There is no event to try.
    NoSample(SampleError),
    /// The route does not take the event: why, for each of its sources.
    NotTaken(Vec<(SourceName, Mismatch)>),
    /// It does not render.
    Template {
        /// For which.
        targets: Vec<TargetName>,
        /// What failed and where.
        error: Box<TemplateError>,
    },
    /// What it renders does not fit the schema of the route.
    Schema {
        /// For which.
        targets: Vec<TargetName>,
        /// The schema.
        schema: String,
        /// What does not fit.
        misfits: Vec<Misfit>,
    },
    /// Something else comes out.
    Differs {
        /// For which.
        targets: Vec<TargetName>,
        /// Where.
        differences: Differences,
        /// The same as lines.
        lines: Vec<Line>,
    },
    /// There is one expectation, and the targets get different outputs.
    TargetsDiffer(Vec<Vec<TargetName>>),
    /// What is expected cannot be read.
    NoExpectation(String),
    /// What is expected is not JSON.
    ExpectationNotJson(String),
}

impl TestOutcome {
    /// Whether it is as expected.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.verdict == Verdict::Passed
    }

    /// Why it fails; empty if it does not.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        match &self.verdict {
            Verdict::Passed => &[],
            Verdict::Failed(problems) => problems,
        }
    }

    /// Whether the event was taken and rendered as it should, whatever is expected.
    #[must_use]
    pub fn came_out(&self) -> bool {
        self.problems().iter().all(Problem::is_of_expectation)
    }

    /// The one thing that came out for all targets.
    #[must_use]
    pub fn output(&self) -> Option<&Value> {
        match self.outputs.as_slice() {
            [only] if self.came_out() => Some(&only.body),
            _ => None,
        }
    }
}

impl Problem {
    /// Whether it lies between the output and what is expected; other problems are there whatever is expected.
    #[must_use]
    pub fn is_of_expectation(&self) -> bool {
        match self {
            Self::NoSample(_) | Self::NotTaken(_) | Self::Template { .. } | Self::Schema { .. } => {
                false
            }
            Self::Differs { .. }
            | Self::TargetsDiffer(_)
            | Self::NoExpectation(_)
            | Self::ExpectationNotJson(_) => true,
        }
    }

    /// A word for it that stays the same.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::NoSample(_) => "no_sample",
            Self::NotTaken(_) => "not_taken",
            Self::Template { .. } => "template",
            Self::Schema { .. } => "schema",
            Self::Differs { .. } => "differs",
            Self::TargetsDiffer(_) => "targets_differ",
            Self::NoExpectation(_) => "no_expectation",
            Self::ExpectationNotJson(_) => "expectation_not_json",
        }
    }

    /// The targets concerned; empty if all are.
    #[must_use]
    pub fn targets(&self) -> &[TargetName] {
        match self {
            Self::Template { targets, .. }
            | Self::Schema { targets, .. }
            | Self::Differs { targets, .. } => targets,
            _ => &[],
        }
    }
}

/// One line, but for the differences, which have one each. The line diff is not shown.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.targets().is_empty() {
            write!(f, "for {}: ", joined(self.targets()))?;
        }
        match self {
            Self::NoSample(why) => write!(f, "{why}"),
            Self::NotTaken(refusals) => not_taken(f, refusals),
            Self::Template { error, .. } => write!(f, "it does not render: {error}"),
            Self::Schema {
                schema, misfits, ..
            } => {
                write!(f, "what comes out does not fit {schema}")?;
                misfits.iter().try_for_each(|one| write!(f, "\n  {one}"))
            }
            Self::Differs { differences, .. } => {
                f.write_str("something else comes out")?;
                let Differences { told, more } = differences;
                told.iter().try_for_each(|one| write!(f, "\n  {one}"))?;
                match more {
                    0 => Ok(()),
                    more => write!(f, "\n  and {more} more"),
                }
            }
            Self::TargetsDiffer(groups) => {
                let groups: Vec<String> = groups.iter().map(|group| joined(group)).collect();
                write!(
                    f,
                    "the targets get different outputs ({}), and a test expects one for all",
                    groups.join(" | ")
                )
            }
            Self::NoExpectation(why) => write!(f, "what is expected cannot be read: {why}"),
            Self::ExpectationNotJson(why) => write!(f, "what is expected is not JSON: {why}"),
        }
    }
}

fn not_taken(f: &mut fmt::Formatter<'_>, refusals: &[(SourceName, Mismatch)]) -> fmt::Result {
    f.write_str("the route does not take the event: ")?;
    let mut told: Vec<&Mismatch> = refusals.iter().map(|(_, mismatch)| mismatch).collect();
    told.dedup();
    if let [only] = told.as_slice() {
        write!(f, "{only}")?;
    } else {
        for (n, (source, mismatch)) in refusals.iter().enumerate() {
            let before = if n == 0 { "" } else { "; " };
            write!(f, "{before}from {source}, {mismatch}")?;
        }
    }
    let in_header = |mismatch: &&Mismatch| {
        mismatch.field.starts_with("headers.")
            || mismatch.field == "type" && mismatch.found.as_deref() == Some(UNKNOWN_TYPE)
    };
    if told.iter().any(in_header) {
        f.write_str(" (`headers:` of the test gives the event headers)")?;
    }
    Ok(())
}

fn joined(targets: &[TargetName]) -> String {
    let names: Vec<&str> = targets.iter().map(TargetName::as_str).collect();
    names.join(", ")
}

/// Runs tests.
#[must_use]
pub fn run(plan: &Plan, tests: &[RouteTest]) -> Vec<TestOutcome> {
    tests.iter().map(|test| try_out(plan, test)).collect()
}

/// Runs one test.
#[must_use]
pub fn try_out(plan: &Plan, test: &RouteTest) -> TestOutcome {
    let (mut problems, outputs) = rendered(plan, test);
    // What came out for some targets is compared even if it did not for others.
    match expectation(test) {
        Err(problem) => {
            problems.push(problem);
            if outputs.len() > 1 {
                let groups = outputs.iter().map(|output| output.targets.clone());
                problems.push(Problem::TargetsDiffer(groups.collect()));
            }
        }
        Ok(expected) => {
            let all = outputs.len() == 1 && problems.is_empty();
            problems.extend(outputs.iter().filter_map(|output| {
                let targets = if all {
                    Vec::new()
                } else {
                    output.targets.clone()
                };
                compared(&expected, &output.body, targets)
            }));
        }
    }
    TestOutcome {
        route: test.route.clone(),
        event: test.event.clone(),
        expect: test.expect.clone(),
        verdict: match problems.is_empty() {
            true => Verdict::Passed,
            false => Verdict::Failed(problems),
        },
        outputs,
    }
}

fn expectation(test: &RouteTest) -> Result<Value, Problem> {
    match &test.expected {
        Err(why) => Err(Problem::NoExpectation(why.clone())),
        Ok(bytes) => serde_json::from_slice(bytes)
            .map_err(|error| Problem::ExpectationNotJson(error.to_string())),
    }
}

fn compared(expected: &Value, actual: &Value, targets: Vec<TargetName>) -> Option<Problem> {
    (!decimal::equal(expected, actual)).then(|| Problem::Differs {
        targets,
        differences: differences(expected, actual),
        lines: diff(expected, actual),
    })
}

/// What the template makes of the event for each target.
fn rendered(plan: &Plan, test: &RouteTest) -> (Vec<Problem>, Vec<Output>) {
    let sample = match Sample::new(plan, test) {
        Ok(sample) => sample,
        Err(why) => return (vec![Problem::NoSample(why)], Vec::new()),
    };
    if !sample.refusals().is_empty() {
        let why = sample.refusals().to_vec();
        return (vec![Problem::NotTaken(why)], Vec::new());
    }
    let targets = &sample.route.to;
    let mut outputs: Vec<(Vec<TargetName>, RenderedBody)> = Vec::new();
    for target in targets {
        let rendered = sample.render(plan, target, &sample.payload);
        let rendered = rendered.map(|rendered| rendered.body);
        match outputs.iter_mut().find(|(_, known)| *known == rendered) {
            Some((targets, _)) => targets.push(target.clone()),
            None => outputs.push((vec![target.clone()], rendered)),
        }
    }
    let mut problems = Vec::new();
    let mut good = Vec::new();
    for (group, rendered) in outputs {
        match checked(&sample, rendered) {
            Ok(body) => good.push(Output {
                targets: group,
                body,
            }),
            Err(problem) => {
                let all = group.len() == targets.len();
                problems.push(problem.for_targets(if all { Vec::new() } else { group }));
            }
        }
    }
    (problems, good)
}

/// The bytes of what a template makes, or where it fails.
type RenderedBody = Result<Vec<u8>, TemplateError>;

/// What was rendered, held against the schema of the route.
fn checked(sample: &Sample, rendered: RenderedBody) -> Result<Value, Problem> {
    let body = rendered.map_err(|error| Problem::Template {
        targets: Vec::new(),
        error: Box::new(error),
    })?;
    let misfit = |schema: &str, misfits: Vec<Misfit>| Problem::Schema {
        targets: Vec::new(),
        schema: schema.to_owned(),
        misfits,
    };
    // What is no JSON fits no schema; the writer lets none of it out.
    let not_json = |error: serde_json::Error| Misfit {
        at: String::new(),
        rule: String::new(),
        message: error.to_string(),
    };
    let value: Value =
        serde_json::from_slice(&body).map_err(|error| misfit("JSON", vec![not_json(error)]))?;
    let Some(output) = &sample.route.schema else {
        return Ok(value);
    };
    match output.schema.misfits(&value) {
        misfits if misfits.is_empty() => Ok(value),
        misfits => Err(misfit(output.schema.name(), misfits)),
    }
}

impl Problem {
    fn for_targets(mut self, group: Vec<TargetName>) -> Self {
        if let Self::Template { targets, .. } | Self::Schema { targets, .. } = &mut self {
            *targets = group;
        }
        self
    }
}
