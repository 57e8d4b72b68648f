//! `ingate render`: what a template makes of a sample event.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Map, Value, json};

use super::input::{SampleArgs, cannot_read, pick_source};
use super::{ConfigArg, Exit, Failure, Outcome, print, print_json, say};
use crate::config::TemplateFolder;
use crate::plan::Plan;
use crate::template::{Partials, RenderLimits, Scene, Template};

/// Most bytes of output where no configuration says otherwise.
const OUTPUT_BYTES: usize = 4 << 20;

#[derive(Debug, Args)]
pub(super) struct RenderArgs {
    /// The template: a file, or a name in the configuration's folder of templates
    template: PathBuf,
    #[command(flatten)]
    sample: SampleArgs,
    /// The configuration, for its sources, `vars` and partials; without one the template's own folder is used
    #[arg(short, long, value_name = "FILE", env = "INGATE_CONFIG")]
    config: Option<PathBuf>,
    /// What `route` is in the template
    #[arg(long, default_value = "sample")]
    route: String,
    /// What `target` is in the template
    #[arg(long, default_value = "sample")]
    target: String,
    /// Print what was mended beside the rendered body, as one JSON document
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &RenderArgs) -> Outcome {
    let plan = match &args.config {
        Some(config) => {
            let config = ConfigArg {
                config: config.clone(),
            };
            Some(config.load()?)
        }
        None => None,
    };
    let plan = plan.as_ref();
    let template = compile(
        args,
        plan.map(|compiled| TemplateFolder::new(compiled.templates_dir.clone())),
    )?;
    let plan: Option<&Plan> = plan.map(|compiled| &compiled.plan);
    let source = match plan {
        Some(plan) => Some(pick_source(plan, args.sample.source.as_deref())?.as_ref()),
        None => None,
    };
    let event = args.sample.to_event(source)?;
    let Some(payload) = event.json() else {
        return Err(Failure::new(
            Exit::Failed,
            format!("error: {} is not JSON", args.sample.name()),
        ));
    };
    let no_vars = Map::new();
    let id = event.id().to_string();
    let scene = Scene {
        payload: payload.into(),
        event: event.facts(&id),
        headers: &event.parts().headers,
        route: &args.route,
        target: &args.target,
        vars: plan.map_or(&no_vars, |plan| &plan.vars),
    };
    let limits = plan.map_or(
        RenderLimits {
            output_bytes: OUTPUT_BYTES,
        },
        |plan| plan.render,
    );
    let rendered = template
        .render(&scene, limits)
        .map_err(|error| Failure::new(Exit::Failed, error.pretty()))?;
    let body: Value = serde_json::from_slice(&rendered.body)
        .map_err(|error| Failure::caused(Exit::Failed, &error))?;
    if args.json {
        let repairs: Vec<Value> = rendered
            .repairs
            .iter()
            .map(
                |repair| json!({"message": repair.what, "file": repair.path, "line": repair.line, "column": repair.column}),
            )
            .collect();
        print_json(&json!({"body": body, "repairs": repairs}))?;
    } else {
        print(&format!("{body:#}"))?;
        for repair in &rendered.repairs {
            say(&format!(
                "warning: {}:{}:{}: {}",
                repair.path, repair.line, repair.column, repair.what
            ));
        }
    }
    Ok(Exit::Done)
}

fn compile(args: &RenderArgs, folder: Option<TemplateFolder>) -> Result<Template, Failure> {
    let own_folder = || args.template.parent().unwrap_or_else(|| Path::new("."));
    let folder = folder.unwrap_or_else(|| TemplateFolder::new(own_folder().to_owned()));
    let in_folder = args.template.to_str().and_then(|name| folder.find(name));
    let (path, text) = match std::fs::read_to_string(&args.template) {
        Ok(text) => (args.template.display().to_string(), text),
        Err(error) => match in_folder {
            Some(found) => (found.path, found.text.to_string()),
            None => return Err(cannot_read(&args.template, error)),
        },
    };
    Template::compile(&path, &text, &folder)
        .map_err(|error| Failure::new(Exit::Failed, error.pretty()))
}
