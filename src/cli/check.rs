//! `ingate check`: compiles the configuration, its templates, schemes and secrets.

use clap::Args;
use serde_json::{Value, json};

use super::{ConfigArg, Exit, Outcome, print, print_json};
use crate::config::{self, Compiled, Diagnostic, ProcessEnv, Severity, TemplateFile};
use crate::plan::Route;
use crate::template::{Finding, Proof, Remark, Verdict};

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
}

pub(super) fn run(args: &CheckArgs) -> Outcome {
    if !args.json {
        let compiled = args.config.load()?;
        let proofs = proofs(&compiled);
        print(&as_text(&compiled, &proofs))?;
        return Ok(args.exit(&proofs));
    }
    match config::load(&args.config.config, &ProcessEnv) {
        Ok(compiled) => {
            let proofs = proofs(&compiled);
            print_json(&as_json(&compiled, &proofs))?;
            Ok(args.exit(&proofs))
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

impl CheckArgs {
    fn exit(&self, proofs: &[Proven<'_>]) -> Exit {
        let proven = |(_, proof): &Proven<'_>| proof.verdict == Verdict::Proven;
        if self.strict && !proofs.iter().all(proven) {
            return Exit::Failed;
        }
        Exit::Done
    }
}

/// A template's name and what can be said of it.
type Proven<'a> = (&'a str, Proof);

fn proofs(compiled: &Compiled) -> Vec<Proven<'_>> {
    let files = compiled.templates.iter();
    files
        .map(|file| {
            let mut proof = file.proof.clone();
            file.template.seek_examples(&mut proof);
            (file.name.as_str(), proof)
        })
        .collect()
}

fn as_json(compiled: &Compiled, proofs: &[Proven<'_>]) -> Value {
    let plan = &compiled.plan;
    json!({
        "ok": true,
        "sources": plan.sources.values().map(|source| json!({
            "name": source.name,
            "path": source.path,
            "secrets": source.keys.len(),
        })).collect::<Vec<_>>(),
        "routes": plan.router.routes().iter().map(|route| json!({
            "name": route.name,
            "from": route.from,
            "template": template_of(compiled, route),
            "to": route.to,
        })).collect::<Vec<_>>(),
        "targets": plan.targets.values().map(|target| json!({
            "name": target.name,
            "url": target.url.to_string(),
            "signed": target.sign.is_some(),
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
        })).collect::<Vec<_>>(),
        "errors": [],
        "warnings": listed(&compiled.warnings, Severity::Warning),
    })
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
    of.map(|one| {
        json!({
            "file": one.file,
            "line": one.line,
            "column": one.column,
            "path": one.path,
            "message": one.message,
            "help": one.help,
        })
    })
    .collect()
}

/// The name of the template that a route uses.
fn template_of<'a>(compiled: &'a Compiled, route: &Route) -> Option<&'a str> {
    let uses = |file: &&TemplateFile| file.routes.contains(&route.name);
    let file = compiled.templates.iter().find(uses)?;
    Some(file.name.as_str())
}

fn as_text(compiled: &Compiled, proofs: &[Proven<'_>]) -> String {
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
    for (_, proof) in proofs {
        text.push_str(&doubts(proof));
    }
    text.push_str("ok");
    text
}

/// What keeps a template from being proven, each with the way that leads there, and what else can fail.
fn doubts(proof: &Proof) -> String {
    let mut text = String::new();
    for finding in &proof.findings {
        text.push_str(&format!("\n{}", finding.error.pretty()));
        if let Some(way) = finding.told_way() {
            text.push_str(&format!("  {way}\n"));
        }
        if let Some(payload) = &finding.counter_example {
            text.push_str(&format!("  fails with the payload {payload}\n"));
        }
    }
    for repair in &proof.repairs {
        text.push_str(&format!("\n{}", repair.pretty()));
    }
    for Remark {
        what,
        path,
        line,
        column,
    } in &proof.may_fail
    {
        text.push_str(&format!("{path}:{line}:{column}: {what}\n"));
    }
    text
}

fn joined(names: &[impl ToString]) -> String {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    names.join(", ")
}
