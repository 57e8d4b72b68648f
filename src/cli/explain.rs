//! `ingate explain`: which routes take a sample event, and why the others do not.

use clap::Args;
use serde_json::{Value, json};

use super::input::{SampleArgs, pick_source};
use super::{ConfigArg, Exit, Outcome, print, print_json, say};
use crate::plan::{NotTaken, Route};

#[derive(Debug, Args)]
#[command(after_help = "Exit code: 0 if a route takes the event, 1 if none does.")]
pub(super) struct ExplainArgs {
    #[command(flatten)]
    config: ConfigArg,
    #[command(flatten)]
    sample: SampleArgs,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &ExplainArgs) -> Outcome {
    let compiled = args.config.load()?;
    let plan = &compiled.plan;
    let source = pick_source(plan, args.sample.source.as_deref())?;
    let event = args.sample.to_event(Some(source))?;
    let mut taken = false;
    let mut rows = Vec::new();
    for (route, verdict) in plan.router.explain(&event) {
        taken |= verdict.is_ok();
        rows.push((route, verdict));
    }
    if args.json {
        let routes: Vec<Value> = rows
            .iter()
            .map(|(route, verdict)| as_json(route, verdict))
            .collect();
        print_json(&json!({
            "source": source.name,
            "type": event.parts().event_type,
            "message_id": event.parts().message_id,
            "json": event.json().is_some(),
            "taken": taken,
            "routes": routes,
        }))?;
    } else {
        print(&format!(
            "source {}, type {}",
            source.name,
            event.parts().event_type
        ))?;
        let width = rows.iter().map(|(route, _)| route.name.as_str().len());
        let width = width.max().unwrap_or(0);
        for (route, verdict) in &rows {
            print(&as_line(route, verdict, width))?;
        }
        if !taken {
            print("no route takes it")?;
        }
        if event.json().is_none() {
            say("note: the body is not JSON: routes with a template park it, others pass it on");
        }
    }
    Ok(if taken { Exit::Done } else { Exit::Failed })
}

fn as_line(route: &Route, verdict: &Result<(), NotTaken>, width: usize) -> String {
    let names = |names: &[String]| names.join(", ");
    match verdict {
        Ok(()) => {
            let to: Vec<String> = route.to.iter().map(ToString::to_string).collect();
            format!("  + {:<width$}  takes it -> {}", route.name, names(&to))
        }
        Err(NotTaken::Source) => {
            let from: Vec<String> = route.from.iter().map(ToString::to_string).collect();
            format!("  - {:<width$}  is from {} only", route.name, names(&from))
        }
        Err(NotTaken::Pattern(mismatch)) => format!("  - {:<width$}  {mismatch}", route.name),
    }
}

fn as_json(route: &Route, verdict: &Result<(), NotTaken>) -> Value {
    match verdict {
        Ok(()) => json!({"route": route.name, "taken": true, "to": route.to}),
        Err(NotTaken::Source) => {
            json!({"route": route.name, "taken": false, "field": "source", "wanted": route.from})
        }
        Err(NotTaken::Pattern(mismatch)) => json!({
            "route": route.name,
            "taken": false,
            "field": mismatch.field,
            "wanted": mismatch.wanted,
            "found": mismatch.found,
        }),
    }
}
