//! `ingate check`: compiles the configuration, its templates, schemes and secrets, and runs the tests of the routes.

mod samples;

use clap::Args;
use serde_json::{Value, json};

use super::{ConfigArg, Exit, Outcome, print, print_json, say};
use crate::config::{self, Compiled, Diagnostic, ProcessEnv, Severity, TemplateFile};
use crate::plan::{Auth, Route};
use crate::template::{Finding, Proof, Remark, Verdict};
use samples::{Looked, TemplateSamples};

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Print the result as JSON, errors and warnings too
    #[arg(long)]
    json: bool,
    /// Fail unless every template is proven to print valid JSON for every payload
    #[arg(long)]
    strict: bool,
    /// Change every sample in many ways and fail if any variant renders to something that is not valid
    #[arg(long)]
    mutate: bool,
}

pub(super) fn run(args: &CheckArgs) -> Outcome {
    if !args.json {
        let checked = Checked::of(args, args.config.load()?);
        let Looked {
            errors, warnings, ..
        } = &checked.looked;
        let told: Vec<String> = errors
            .iter()
            .chain(warnings)
            .map(ToString::to_string)
            .collect();
        if !told.is_empty() {
            say(&format!("{}\n", told.join("\n\n")));
        }
        print(&checked.as_text())?;
        return Ok(checked.exit);
    }
    match config::load(&args.config.config, &ProcessEnv) {
        Ok(compiled) => {
            let checked = Checked::of(args, compiled);
            print_json(&checked.as_json())?;
            Ok(checked.exit)
        }
        Err(errors) => {
            let of = |severity: Severity| listed(errors.diagnostics(), severity);
            print_json(&json!({
                "ok": false,
                "errors": of(Severity::Error),
                "warnings": of(Severity::Warning),
            }))?;
            Ok(Exit::Config)
        }
    }
}

/// A configuration that is right, and what can be said of it.
struct Checked {
    compiled: Compiled,
    proofs: Vec<Proven>,
    looked: Looked,
    /// Whether every template must be proven, and how many are not.
    strict: bool,
    unproven: usize,
    exit: Exit,
}

/// A template's name and what can be said of it.
type Proven = (String, Proof);

impl Checked {
    fn of(args: &CheckArgs, compiled: Compiled) -> Self {
        let proofs = proofs(&compiled);
        let looked = samples::look(&compiled, args.mutate);
        let open = |(_, proof): &&Proven| proof.verdict != Verdict::Proven;
        let unproven = proofs.iter().filter(open).count();
        let valid = |of: &TemplateSamples| of.mutated.as_ref().is_none_or(|m| m.is_valid());
        let good = (!args.strict || unproven == 0)
            && looked.errors.is_empty()
            && looked.templates.iter().all(valid);
        Self {
            compiled,
            proofs,
            looked,
            strict: args.strict,
            unproven,
            exit: if good { Exit::Done } else { Exit::Failed },
        }
    }

    fn why_not_strict(&self) -> Option<String> {
        let all = self.proofs.len();
        let open = self.unproven;
        (self.strict && open > 0)
            .then(|| format!("{open} of {all} templates are not proven, which --strict wants"))
    }

    fn samples_of(&self, template: &str) -> Option<&TemplateSamples> {
        let of = |samples: &&TemplateSamples| samples.name == template;
        self.looked.templates.iter().find(of)
    }
}

fn proofs(compiled: &Compiled) -> Vec<Proven> {
    let files = compiled.templates.iter();
    files
        .map(|file| {
            let mut proof = file.proof.clone();
            file.template.seek_examples(&mut proof);
            (file.name.clone(), proof)
        })
        .collect()
}

impl Checked {
    fn as_json(&self) -> Value {
        let Self {
            compiled,
            proofs,
            looked,
            exit,
            ..
        } = self;
        let plan = &compiled.plan;
        let mut errors = listed(&looked.errors, Severity::Error);
        errors.extend(self.why_not_strict().map(|why| json!({"message": why})));
        let mut warnings = listed(&compiled.warnings, Severity::Warning);
        warnings.extend(listed(&looked.warnings, Severity::Warning));
        json!({
            "ok": *exit == Exit::Done,
            "sources": plan.sources.values().map(|source| json!({
                "name": source.name,
                "path": source.path,
                "secrets": source.checks.ways().map(|way| way.keys.len()).sum::<usize>(),
            })).collect::<Vec<_>>(),
            "routes": plan.router.routes().iter().map(|route| json!({
                "name": route.name,
                "from": route.from,
                "template": template_of(compiled, route),
                "schema": route.schema.as_ref().map(|output| json!({
                    "name": output.schema.name(),
                    "at_run_time": output.at_run_time,
                })),
                "to": route.to,
            })).collect::<Vec<_>>(),
            "targets": plan.targets.values().map(|target| json!({
                "name": target.name,
                "url": target.url.to_string(),
                "signed": target.sign.is_some(),
                "auth": target.auth.as_ref().map(Auth::kind),
            })).collect::<Vec<_>>(),
            "templates": proofs.iter().map(|(name, proof)| json!({
                "name": name,
                "verdict": proof.verdict.to_string(),
                "findings": proof.findings.iter().map(finding).collect::<Vec<_>>(),
                "repairs": proof.repairs.iter().map(|repair| json!({
                    "file": repair.path,
                    "line": repair.line,
                    "column": repair.column,
                    "message": repair.message,
                })).collect::<Vec<_>>(),
                "may_fail": proof.may_fail.iter().map(|remark| json!({
                    "file": remark.path,
                    "line": remark.line,
                    "column": remark.column,
                    "message": remark.what,
                })).collect::<Vec<_>>(),
                "samples": self.samples_of(name).map(samples::as_json),
            })).collect::<Vec<_>>(),
            "tests": looked.outcomes.iter().map(super::test::as_json).collect::<Vec<_>>(),
            "errors": errors,
            "warnings": warnings,
        })
    }
}

fn finding(finding: &Finding) -> Value {
    let error = &finding.error;
    json!({
        "file": error.path,
        "line": error.line,
        "column": error.column,
        "message": error.message,
        "way": finding.way.iter().map(|step| json!({
            "file": step.path,
            "line": step.line,
            "what": step.what,
        })).collect::<Vec<_>>(),
        "counter_example": finding.counter_example,
    })
}

fn listed(diagnostics: &[Diagnostic], severity: Severity) -> Vec<Value> {
    let of = diagnostics.iter().filter(|one| one.severity == severity);
    of.map(|one| json!(one)).collect()
}

/// The name of the template that a route uses.
fn template_of<'a>(compiled: &'a Compiled, route: &Route) -> Option<&'a str> {
    let uses = |file: &&TemplateFile| file.routes.contains(&route.name);
    let file = compiled.templates.iter().find(uses)?;
    Some(file.name.as_str())
}

impl Checked {
    fn as_text(&self) -> String {
        let Self {
            compiled,
            proofs,
            exit,
            ..
        } = self;
        let plan = &compiled.plan;
        let mut rows: Vec<(&str, &str, String)> = Vec::new();
        for source in plan.sources.values() {
            rows.push((
                "source",
                source.name.as_str(),
                format!("POST {}", source.path),
            ));
        }
        for route in plan.router.routes() {
            let (from, to) = (joined(&route.from), joined(&route.to));
            let body = template_of(compiled, route)
                .map_or("unchanged".to_owned(), |name| format!("by {name}"));
            rows.push((
                "route",
                route.name.as_str(),
                format!("{from} -> {to} ({body})"),
            ));
        }
        for target in plan.targets.values() {
            let signed = if target.sign.is_some() {
                ""
            } else {
                " (not signed)"
            };
            rows.push((
                "target",
                target.name.as_str(),
                format!("{}{signed}", target.url),
            ));
        }
        for (name, proof) in proofs {
            rows.push(("template", name, proof.verdict.to_string()));
            let of_samples = self
                .samples_of(name)
                .into_iter()
                .flat_map(TemplateSamples::rows);
            rows.extend(of_samples.map(|(kind, what)| (kind, name.as_str(), what)));
        }
        let width = rows
            .iter()
            .map(|(_, name, _)| name.len())
            .max()
            .unwrap_or(0);
        let mut text = String::new();
        for (kind, name, what) in rows {
            text.push_str(&format!("{kind:<8} {name:<width$}  {what}\n"));
        }
        for (name, proof) in proofs {
            text.push_str(&doubts(proof, self.strict));
            let mutated = self.samples_of(name).and_then(|of| of.mutated.as_ref());
            text.push_str(&mutated.map_or(String::new(), samples::as_text));
        }
        if let Some(why) = self.why_not_strict() {
            text.push_str(&format!("{why}\n"));
        }
        text.push_str(if *exit == Exit::Done { "ok" } else { "not ok" });
        text
    }
}

/// What keeps a template from being proven, each with the way that leads there, and what else can fail.
fn doubts(proof: &Proof, strict: bool) -> String {
    let mut text = String::new();
    for finding in &proof.findings {
        let mut error = finding.error.clone();
        error.message = format!("not proven: {}", error.message);
        let shown = match strict {
            true => error.pretty(),
            false => error.pretty_warning(),
        };
        text.push_str(&format!("\n{shown}"));
        if let Some(way) = finding.told_way() {
            text.push_str(&format!("  {way}\n"));
        }
        if let Some(payload) = &finding.counter_example {
            text.push_str(&format!("  fails with the payload {payload}\n"));
        }
    }
    for repair in &proof.repairs {
        text.push_str(&format!("\n{}", repair.pretty_warning()));
    }
    for Remark {
        what,
        path,
        line,
        column,
        ..
    } in &proof.may_fail
    {
        text.push_str(&format!("note: {path}:{line}:{column}: {what}\n"));
    }
    text
}

fn joined(names: &[impl ToString]) -> String {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    names.join(", ")
}
