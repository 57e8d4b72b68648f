//! What `check` says of samples: do they become what their tests expect, which paths are in none, what do their variants
//! come to.

use serde_json::{Value, json};

use crate::config::{Compiled, Diagnostic, RouteTest, Severity, TemplateFile};
use crate::plan::RouteSample;
use crate::template::{Read, ShownPath};
use crate::trial::{self, Differences, Found, FoundMisfit, Mutated, Problem, Sample, TestOutcome};

/// Most differences of one test that are told; `test` tells more.
const DIFFERENCES: usize = 3;

/// All that is to say.
#[derive(Debug, Default)]
pub(super) struct Looked {
    /// What does not come out as it should.
    pub(super) errors: Vec<Diagnostic>,
    /// What is worth a look.
    pub(super) warnings: Vec<Diagnostic>,
    /// Templates that have samples, in the order of the routes.
    pub(super) templates: Vec<TemplateSamples>,
    /// What came of all tests, in the order of the templates.
    pub(super) outcomes: Vec<TestOutcome>,
}

/// The samples of a template.
#[derive(Debug)]
pub(super) struct TemplateSamples {
    pub(super) name: String,
    pub(super) samples: usize,
    /// How many are rendered and fit.
    pub(super) good: usize,
    /// How many become what is expected of them.
    pub(super) passed: usize,
    /// What came of their variants, where that was asked for.
    pub(super) mutated: Option<Mutated>,
}

/// Looks at all samples.
pub(super) fn look(compiled: &Compiled, mutate: bool) -> Looked {
    let mut looked = Looked::default();
    for file in &compiled.templates {
        let of_file = |test: &&RouteTest| file.routes.contains(&test.route);
        let tests: Vec<&RouteTest> = compiled.tests.iter().filter(of_file).collect();
        if !tests.is_empty() {
            looked.template(compiled, file, &tests, mutate);
        }
    }
    looked
}

impl Looked {
    fn template(
        &mut self,
        compiled: &Compiled,
        file: &TemplateFile,
        tests: &[&RouteTest],
        mutate: bool,
    ) {
        let plan = &compiled.plan;
        let mut samples = Vec::new();
        let (mut good, mut passed) = (0, 0);
        let mut mutated = mutate.then(Mutated::default);
        for test in tests {
            let outcome = trial::try_out(plan, test);
            self.errors.extend(told(&outcome));
            good += usize::from(outcome.came_out());
            passed += usize::from(outcome.passed());
            if let Ok(sample) = Sample::new(plan, test) {
                if let (true, Some(mutated)) = (outcome.came_out(), &mut mutated) {
                    mutated.add(plan, &sample);
                }
                samples.push(sample);
            }
            self.outcomes.push(outcome);
        }
        // Samples that expect nothing tell what payloads look like, too.
        let of_file = |sample: &&RouteSample| !sample.test && file.routes.contains(&sample.route);
        let plain = plan.studio.samples.iter().filter(of_file);
        let plain: Vec<Value> = plain
            .filter_map(|sample| serde_json::from_slice(&sample.body).ok())
            .collect();
        let payloads: Vec<&Value> = samples.iter().map(Sample::payload).chain(&plain).collect();
        // Without any sample that can be read every path would be missing.
        if !payloads.is_empty() {
            let reads = file.template.reads();
            let missing = trial::missing(&reads, &payloads);
            self.warnings.extend(missing.into_iter().map(|missing| {
                let near = missing.near.map(|near| ShownPath(&near).to_string());
                let message = format!("no sample has {}", ShownPath(&missing.path));
                warning(missing.read, message, near)
            }));
        }
        self.templates.push(TemplateSamples {
            name: file.name.clone(),
            samples: tests.len(),
            good,
            passed,
            mutated,
        });
    }
}

/// Why a test fails, at the places where something can be done about it.
fn told(outcome: &TestOutcome) -> Vec<Diagnostic> {
    let mut told: Vec<Diagnostic> = Vec::new();
    for problem in outcome.problems() {
        let count = told.len();
        of_problem(outcome, problem, &mut told);
        if problem.targets().is_empty() {
            continue;
        }
        let targets: Vec<&str> = problem.targets().iter().map(|t| t.as_str()).collect();
        for error in told.iter_mut().skip(count) {
            error.message = format!("for {}: {}", targets.join(", "), error.message);
        }
    }
    told
}

fn of_problem(outcome: &TestOutcome, problem: &Problem, told: &mut Vec<Diagnostic>) {
    let TestOutcome {
        route,
        event,
        expect,
        ..
    } = outcome;
    let of_file = |file, message: String| Diagnostic::of_file(Severity::Error, file, message);
    match problem {
        Problem::NoSample(why) => {
            told.push(of_file(event, format!("{why} (a sample of route {route})")));
        }
        Problem::Template { error, .. } => {
            let mut error = error.clone();
            error.message = format!("{} (with the sample {})", error.message, event.display());
            told.push(Diagnostic::of_template(Severity::Error, "", &error));
        }
        Problem::Schema {
            schema, misfits, ..
        } => told.extend(misfits.iter().map(|misfit| {
            let message = format!("what route {route} makes of it does not fit {schema}: {misfit}");
            of_file(event, message)
        })),
        Problem::Differs { differences, .. } => {
            let differences = briefly(differences);
            let message = format!("route {route} does not make this of its event: {differences}");
            told.push(Diagnostic {
                help: Some(format!("`ingate test {route}` shows it whole")),
                ..of_file(expect, message)
            });
        }
        Problem::NotTaken(_) | Problem::TargetsDiffer(_) => {
            told.push(of_file(
                event,
                format!("{problem} (a test of route {route})"),
            ));
        }
        Problem::NoExpectation(why) => told.push(Diagnostic {
            help: Some("`ingate test --bless` writes what comes out".to_owned()),
            ..of_file(expect, format!("{why} (a test of route {route})"))
        }),
        Problem::ExpectationNotJson(why) => {
            let message = format!("it is not JSON: {why} (a test of route {route})");
            told.push(of_file(expect, message));
        }
    }
}

/// The first differences on one line.
fn briefly(differences: &Differences) -> String {
    let Differences { told, more } = differences;
    let shown = told.iter().take(DIFFERENCES).map(ToString::to_string);
    let mut shown: Vec<String> = shown.collect();
    let more = more + told.len() - shown.len();
    if more > 0 {
        shown.push(format!("and {more} more"));
    }
    shown.join("; ")
}

fn warning(read: &Read, message: String, near: Option<String>) -> Diagnostic {
    Diagnostic {
        severity: Severity::Warning,
        file: read.file.clone(),
        line: read.line,
        column: read.column,
        length: read.length.max(1),
        path: String::new(),
        message,
        help: near.map(|near| format!("did you mean {near}?")),
        source_line: read.source_line.clone(),
    }
}

impl TemplateSamples {
    /// The rows of the table: kind and what is to say.
    pub(super) fn rows(&self) -> Vec<(&'static str, String)> {
        let mut rows = vec![(
            "samples",
            format!("{} of {} rendered", self.good, self.samples),
        )];
        rows.push((
            "tests",
            format!("{} of {} passed", self.passed, self.samples),
        ));
        if let Some(mutated) = &self.mutated {
            rows.push(("mutated", summary(mutated)));
        }
        rows
    }
}

fn summary(mutated: &Mutated) -> String {
    let Mutated {
        samples,
        variants,
        left_out,
        ..
    } = mutated;
    if *samples == 0 {
        return "nothing: no sample comes out as it should".to_owned();
    }
    let left_out = match left_out {
        0 => String::new(),
        more => format!(" ({more} more left out)"),
    };
    let sum = |found: &[Found]| found.iter().map(|one| one.variants).sum::<usize>();
    let parked = match sum(&mutated.parked) {
        0 => String::new(),
        parked => format!(", {parked} parked"),
    };
    let result = match mutated.not_json.len() + sum(&mutated.broken) {
        0 if parked.is_empty() => "all valid".to_owned(),
        0 => format!("{} valid{parked}", variants - sum(&mutated.parked)),
        broken => format!("{broken} not valid{parked}"),
    };
    let misfits: usize = mutated.misfits.iter().map(|one| one.variants).sum();
    let misfits = match misfits {
        0 => String::new(),
        misfits => format!(", {misfits} do not fit the schema"),
    };
    let many = if *samples == 1 { "" } else { "s" };
    format!("{variants} variants of {samples} sample{many}{left_out}: {result}{misfits}")
}

/// What the variants of a template's samples brought to light, each with a caret or a line.
pub(super) fn as_text(mutated: &Mutated) -> String {
    let mut text = String::new();
    let mut of_template = |found: &Found, severity, effect: &str| {
        let diagnostic = Diagnostic::of_template(severity, "", &found.error);
        let (variants, change) = (found.variants, &found.change);
        text.push_str(&format!(
            "\n{diagnostic}\n  {effect} with {change} ({})\n",
            counted(variants)
        ));
    };
    for found in &mutated.broken {
        of_template(
            found,
            Severity::Error,
            "no valid JSON comes out, and the event is parked,",
        );
    }
    for found in &mutated.parked {
        of_template(found, Severity::Warning, "parked");
    }
    for change in &mutated.not_json {
        text.push_str(&format!(
            "\nerror: what comes out is no JSON; with {change}\n"
        ));
    }
    for found in &mutated.misfits {
        let FoundMisfit {
            schema,
            misfit,
            change,
            variants,
        } = found;
        let variants = counted(*variants);
        text.push_str(&format!(
            "\nwarning: the output does not fit {schema}#{}: {misfit}\n  with {change} ({variants})\n",
            misfit.rule
        ));
    }
    if !mutated.shaped_by.is_empty() {
        text.push('\n');
    }
    for path in &mutated.shaped_by {
        text.push_str(&format!(
            "note: the shape of the output depends on {path}\n"
        ));
    }
    text
}

fn counted(variants: usize) -> String {
    match variants {
        1 => "one variant".to_owned(),
        many => format!("{many} variants"),
    }
}

/// The same as data.
pub(super) fn as_json(samples: &TemplateSamples) -> Value {
    let found = |found: &Found| {
        json!({
            "file": found.error.path,
            "line": found.error.line,
            "column": found.error.column,
            "message": found.error.message,
            "change": found.change,
            "variants": found.variants,
        })
    };
    let mutated = samples.mutated.as_ref().map(|mutated| {
        json!({
            "samples": mutated.samples,
            "variants": mutated.variants,
            "left_out": mutated.left_out,
            "valid": (mutated.samples > 0).then(|| mutated.is_valid()),
            "findings": mutated.broken.iter().map(found).collect::<Vec<_>>(),
            "not_json": mutated.not_json,
            "parked": mutated.parked.iter().map(found).collect::<Vec<_>>(),
            "misfits": mutated.misfits.iter().map(|found| json!({
                "schema": found.schema,
                "rule": found.misfit.rule,
                "at": found.misfit.at,
                "message": found.misfit.message,
                "change": found.change,
                "variants": found.variants,
            })).collect::<Vec<_>>(),
            "shape_depends_on": mutated.shaped_by,
        })
    });
    json!({"count": samples.samples, "good": samples.good, "mutated": mutated})
}
