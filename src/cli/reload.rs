//! `ingate reload`: has the running daemon read its configuration anew, and says what came of it.
//!
//! It asks at the operator's door, which it finds in the configuration even if that is broken elsewhere.

use clap::Args;
use http::StatusCode;
use serde_json::Value;

use super::http::DoorArgs;
use super::{ConfigArg, Exit, Outcome, block_on, print, print_json, say};

#[derive(Debug, Args)]
pub(super) struct ReloadArgs {
    #[command(flatten)]
    config: ConfigArg,
    #[command(flatten)]
    door: DoorArgs,
    /// Do not run the tests that routes declare (this is noted in the audit log)
    #[arg(long)]
    skip_tests: bool,
    /// Print the daemon's report as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &ReloadArgs) -> Outcome {
    let caller = args.door.caller(&args.config.config)?;
    let path = format!("/api/v1/reload?skip_tests={}", args.skip_tests);
    let answer = block_on(caller.ask(&path))??;
    let report: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let exit = match answer.status {
        StatusCode::OK => Exit::Done,
        StatusCode::UNPROCESSABLE_ENTITY => Exit::Config,
        _ => Exit::Failed,
    };
    if args.json {
        print_json(&report)?;
        return Ok(exit);
    }
    let words = |pointer: &str| report.pointer(pointer).and_then(Value::as_str);
    match (exit, words("/text")) {
        (Exit::Done, Some(text)) => print(text)?,
        (Exit::Config, Some(text)) => {
            say(&format!(
                "{text}\n\nrefused: the old configuration stays in force"
            ));
        }
        _ => {
            let why = words("/error/message").unwrap_or("it does not say why");
            say(&format!(
                "error: the daemon answered {}: {why}",
                answer.status
            ));
        }
    }
    Ok(exit)
}
