//! `ingate test`: runs the tests that routes declare, shows what differs, and writes what came out where that is wanted.

mod bless;
mod report;

use std::path::Path;

use clap::Args;

use super::{ConfigArg, Failure, Outcome, print, print_json, say};
use crate::trial::{self, TestOutcome};
use bless::Blessed;
use report::Report;

pub(super) use report::as_json;

#[derive(Debug, Args)]
#[command(
    after_help = "Exit code: 0 if all tests pass or there are none, 1 if one fails, 2 if FILTER fits none."
)]
pub(super) struct TestArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Only the tests whose route or event file contains this
    filter: Option<String>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    /// Write what came out to the expected files of the tests that fail for nothing else
    #[arg(long)]
    bless: bool,
}

pub(super) fn run(args: &TestArgs) -> Outcome {
    let compiled = args.config.load()?;
    let outcomes = trial::run(&compiled.plan, &compiled.tests);
    let folder = args.config.config.parent().unwrap_or(Path::new(""));
    let wanted = |outcome: &&TestOutcome| match &args.filter {
        Some(filter) => is_named(outcome, folder, filter),
        None => true,
    };
    let chosen: Vec<&TestOutcome> = outcomes.iter().filter(wanted).collect();
    if let (Some(filter), true) = (&args.filter, chosen.is_empty()) {
        return Err(Failure::usage(no_such(filter, &outcomes)));
    }
    let blessed: Vec<Option<Blessed>> = chosen
        .iter()
        .map(|outcome| args.bless.then(|| bless::bless(outcome, &outcomes))?)
        .collect();
    let report = Report {
        tests: chosen.into_iter().zip(blessed).collect(),
        all: outcomes.len(),
    };
    if args.json {
        print_json(&report.as_json())?;
    } else if outcomes.is_empty() {
        say(
            "there are no tests: no route of the configuration has `tests:` or a folder of `cases:`",
        );
    } else {
        print(&report.as_text(report::is_coloured()))?;
    }
    Ok(report.exit())
}

/// Whether the route or the event's file, as seen from the configuration, contains the filter.
fn is_named(outcome: &TestOutcome, folder: &Path, filter: &str) -> bool {
    let event = outcome.event.strip_prefix(folder);
    let event = event.unwrap_or(&outcome.event);
    outcome.route.as_str().contains(filter) || event.display().to_string().contains(filter)
}

fn no_such(filter: &str, outcomes: &[TestOutcome]) -> String {
    let mut routes: Vec<&str> = outcomes.iter().map(|test| test.route.as_str()).collect();
    routes.dedup();
    match routes.is_empty() {
        true => format!("error: no test is named `{filter}`: no route has tests"),
        false => format!(
            "error: no test is named `{filter}` (routes with tests: {})",
            routes.join(", ")
        ),
    }
}
