//! `ingate run`: the daemon.

use std::sync::Arc;

use clap::{Args, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

use super::{ConfigArg, Exit, Failure, Outcome, block_on};
use crate::app::{self, App, AppError, LogFormat};
use crate::clock::SystemClock;
use crate::plan::Plan;

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// How log lines are written to stderr; INGATE_LOG sets what is logged (default `info`)
    #[arg(long, value_enum, default_value_t = Format::Text, env = "INGATE_LOG_FORMAT")]
    log_format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

pub(super) fn run(args: &RunArgs) -> Outcome {
    let compiled = args.config.load()?;
    let format = match args.log_format {
        Format::Text => LogFormat::Human,
        Format::Json => LogFormat::Json,
    };
    app::init_tracing(format, None).map_err(|error| Failure::caused(Exit::Usage, &error))?;
    block_on(serve(Arc::new(compiled.plan)))?
}

async fn serve(plan: Arc<Plan>) -> Outcome {
    let app = App::build(plan, Arc::new(SystemClock))
        .await
        .map_err(failure)?;
    let signals = signal(SignalKind::terminate())
        .and_then(|terminate| Ok((terminate, signal(SignalKind::interrupt())?)));
    let (mut terminate, mut interrupt) =
        signals.map_err(|error| Failure::caused(Exit::Io, &error))?;
    app.serve(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
    .await;
    Ok(Exit::Done)
}

pub(super) fn failure(error: AppError) -> Failure {
    Failure::caused(Exit::Io, &error)
}
