//! `ingate run`: the daemon.
//!
//! Promise: it starts on the configuration, or, if that is broken, on the last one that was good; which of the two,
//! the log and the metrics say. SIGTERM and SIGINT end it, SIGHUP reloads.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

use super::{ConfigArg, Exit, Failure, Outcome, block_on, say};
use crate::app::{self, App, AppError, LogFormat};
use crate::clock::SystemClock;
use crate::config::{self, Compiled, Inputs, Kept, KeptError, ProcessEnv};
use crate::reload::{self, Loaded, Refused, Reloader, Trigger};

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// How log lines are written to stderr; INGATE_LOG sets what is logged (default `info`)
    #[arg(long, value_enum, default_value_t = Format::Text, env = "INGATE_LOG_FORMAT")]
    log_format: Format,
    /// Where the store is if a broken configuration does not say; the last good one is looked for there
    #[arg(long, value_name = "DIR", env = "INGATE_STORE")]
    store: Option<PathBuf>,
    /// Do not start on the last good configuration if this one is broken
    #[arg(long)]
    no_fallback: bool,
    /// Start without running the tests that routes declare
    #[arg(long)]
    skip_tests: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// What the daemon starts on.
struct Start {
    compiled: Compiled,
    inputs: Inputs,
    /// Why it is not what the files say now.
    refused: Option<(Refused, String)>,
}

pub(super) fn run(args: &RunArgs) -> Outcome {
    let start = start(args)?;
    // Those of a copy name lines that the user does not have.
    let warnings = start.compiled.warnings.iter();
    for warning in warnings.filter(|_| start.refused.is_none()) {
        say(&warning.to_string());
    }
    let format = match args.log_format {
        Format::Text => LogFormat::Human,
        Format::Json => LogFormat::Json,
    };
    app::init_tracing(format, None).map_err(|error| Failure::caused(Exit::Usage, &error))?;
    if let Some((refused, kept_at)) = &start.refused {
        tracing::error!(
            config = %args.config.config.display(), kept_at,
            "the configuration is refused, see below; starting on the last good one"
        );
        tracing::error!("{refused}");
    }
    block_on(serve(start, args.config.config.clone()))?
}

fn start(args: &RunArgs) -> Result<Start, Failure> {
    let config = &args.config.config;
    let Loaded { outcome, inputs } = reload::load(config, args.skip_tests);
    let refused = match outcome {
        Ok(compiled) => {
            return Ok(Start {
                compiled,
                inputs,
                refused: None,
            });
        }
        Err(refused) => refused,
    };
    let mut words = args.config.broken(&refused);
    if args.no_fallback {
        return Err(Failure::new(Exit::Config, words));
    }
    match last_good(args) {
        Ok(Kept { compiled, kept_at }) => Ok(Start {
            compiled,
            inputs,
            refused: Some((refused, kept_at)),
        }),
        Err(KeptError::None(folder)) => {
            words.push_str(&format!(
                "\n  help: there is no last good configuration to start on in {}",
                folder.display()
            ));
            Err(Failure::new(Exit::Config, words))
        }
        Err(error) => {
            words.push_str(&format!(
                "\n{}",
                Failure::caused(Exit::Config, &error).words
            ));
            Err(Failure::new(Exit::Config, words))
        }
    }
}

/// Looks where the configuration says that the store is, else where the command line says, else in the default place.
fn last_good(args: &RunArgs) -> Result<Kept, KeptError> {
    let config = &args.config.config;
    let store = config::store_folder(config, &ProcessEnv)
        .or_else(|| args.store.clone())
        .unwrap_or_else(|| config::default_store(config, &ProcessEnv));
    config::load_kept(&store, config, &ProcessEnv)
}

async fn serve(start: Start, config: PathBuf) -> Outcome {
    // First of all, since a signal that nobody waits for ends the process.
    let failed = |error| Failure::caused(Exit::Io, &error);
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let hangup = signal(SignalKind::hangup()).map_err(failed)?;
    let good = start.refused.is_none();
    let built = App::build(Arc::new(start.compiled.plan), Arc::new(SystemClock));
    // It may wait for a database as long as that is away.
    let built = tokio::select! {
        built = built => built,
        _ = terminate.recv() => return Ok(Exit::Done),
        _ = interrupt.recv() => return Ok(Exit::Done),
    };
    let app = built
        .map_err(failure)?
        .with_reload(config, start.inputs, good);
    if let Some(reloader) = app.reloader() {
        if good {
            reloader.keep().await;
        }
        tokio::spawn(reload_on(hangup, reloader));
    }
    app.serve(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
    .await;
    Ok(Exit::Done)
}

async fn reload_on(mut hangup: tokio::signal::unix::Signal, reloader: Arc<Reloader>) {
    while hangup.recv().await.is_some() {
        reloader.reload(Trigger::Signal, false).await;
    }
}

pub(super) fn failure(error: AppError) -> Failure {
    Failure::caused(Exit::Io, &error)
}
