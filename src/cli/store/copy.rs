//! `ingate store copy`: everything of one store into another, of either kind.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use super::super::{Exit, Failure, Outcome, block_on, print, print_json, say};
use crate::config::{self, ProcessEnv};
use crate::secret::Secret;
use crate::store::copy::{Copied, CopyError, FolderSide, Progress, Side, copy};
use crate::store::postgres::{Connection, PgOptions, PgSide, PgSideError};

/// Connections that a copy is made with; more would have nothing to do.
const CONNECTIONS: usize = 2;

/// How often the bar is drawn, at most.
const DRAWN_A_SECOND: u8 = 10;

#[derive(Debug, Args)]
#[command(
    after_help = "WHERE is a folder (a store as `store.path` names it), a configuration file (the store that it names), env:NAME (the URL of a database in \
    this variable) or the URL itself, which others on this machine can see while the command runs. The destination is empty, or one to which the same copy was \
    broken off: then it goes on. Neither may be in use. \
    Exit code: 0 if the destination, read again, holds the same, 1 if it does not."
)]
pub(super) struct CopyArgs {
    /// The store to copy from
    #[arg(long, value_name = "WHERE")]
    from: Where,
    /// The store to copy to
    #[arg(long, value_name = "WHERE")]
    to: Where,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// How a store is named.
#[derive(Debug, Clone)]
enum Where {
    /// The URL of a database.
    Url(Secret),
    /// The variable that holds it.
    Variable(String),
    /// A folder, or a configuration file.
    Path(PathBuf),
}

impl FromStr for Where {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self::Url(Secret::new(text)));
        }
        Ok(match text.strip_prefix("env:") {
            Some(name) => Self::Variable(name.to_owned()),
            None => Self::Path(PathBuf::from(text)),
        })
    }
}

/// A store that can be opened.
enum Named {
    Folder(PathBuf),
    Database(Connection),
}

impl Where {
    fn resolve(&self) -> Result<Named, Failure> {
        let database = |url: Secret| {
            Named::Database(Connection {
                url,
                pool: CONNECTIONS,
                ca: None,
            })
        };
        match self {
            Self::Url(url) => Ok(database(url.clone())),
            Self::Variable(name) => match std::env::var(name) {
                Ok(url) if !url.is_empty() => Ok(database(Secret::new(url))),
                _ => Err(Failure::usage(format!(
                    "error: the environment variable {name} is not set"
                ))),
            },
            Self::Path(path) if path.is_file() => of_config(path),
            Self::Path(path) => Ok(Named::Folder(path.clone())),
        }
    }
}

fn of_config(path: &Path) -> Result<Named, Failure> {
    let compiled = config::load(path, &ProcessEnv)
        .map_err(|errors| Failure::new(Exit::Config, errors.to_string()))?;
    let store = &compiled.plan.store;
    Ok(match PgOptions::of(store) {
        Some(options) => Named::Database(options.connection),
        None => Named::Folder(store.path.clone()),
    })
}

pub(super) fn run(args: &CopyArgs) -> Outcome {
    let (from, to) = (args.from.resolve()?, args.to.resolve()?);
    if let (Named::Folder(from), Named::Folder(to)) = (&from, &to)
        && is_same(from, to)
    {
        return Err(Failure::usage("error: both are the same folder"));
    }
    let copied = block_on(copy_all(from, to))??;
    if args.json {
        print_json(&as_json(&copied))?;
    } else {
        print(&as_text(&copied))?;
    }
    if copied.is_complete() {
        return Ok(Exit::Done);
    }
    say(
        "error: the destination does not hold the same as the source, and no daemon will use it: empty it and begin anew",
    );
    Ok(Exit::Failed)
}

fn is_same(a: &Path, b: &Path) -> bool {
    let whole = |path: &Path| path.canonicalize().ok();
    whole(a).is_some_and(|a| Some(a) == whole(b))
}

async fn copy_all(from: Named, to: Named) -> Result<Copied, Failure> {
    let mut source = open_source(&from).await?;
    let destination = match &to {
        Named::Folder(path) => match source.highest_rank().await {
            Ok(rank) => FolderSide::destination(path, rank)
                .await
                .map(|side| Box::new(side) as Box<dyn Side>)
                .map_err(|error| Failure::caused(Exit::Io, &error)),
            Err(error) => Err(Failure::caused(Exit::Io, &error)),
        },
        Named::Database(connection) => PgSide::destination(connection)
            .await
            .map(|side| Box::new(side) as Box<dyn Side>)
            .map_err(|error| database_failure(&error)),
    };
    let mut destination = match destination {
        Ok(destination) => destination,
        Err(failure) => {
            source.close().await;
            return Err(failure);
        }
    };
    let bar = bar();
    let mut tell = |progress: Progress| show(&bar, progress);
    let copied = copy(&mut *source, &mut *destination, &mut tell).await;
    bar.finish_and_clear();
    source.close().await;
    destination.close().await;
    copied.map_err(|error| {
        let broken_off = matches!(error, CopyError::Store { .. });
        let mut failure = Failure::caused(Exit::Io, &error);
        if broken_off {
            failure
                .words
                .push_str("\n  help: the same command again goes on where it was");
        }
        failure
    })
}

async fn open_source(from: &Named) -> Result<Box<dyn Side>, Failure> {
    match from {
        Named::Folder(path) => match FolderSide::source(path).await {
            Ok(side) => Ok(Box::new(side)),
            Err(error) => Err(Failure::caused(Exit::Io, &error)),
        },
        Named::Database(connection) => match PgSide::source(connection).await {
            Ok(side) => Ok(Box::new(side)),
            Err(error) => Err(database_failure(&error)),
        },
    }
}

pub(super) fn database_failure(error: &PgSideError) -> Failure {
    let exit = match error {
        PgSideError::Connect(error) if error.is_away() => Exit::Unreachable,
        _ => Exit::Io,
    };
    // Its words have the causes in them.
    Failure::new(exit, format!("error: {error}"))
}

/// A bar for who sits at a terminal; nothing for who does not.
fn bar() -> ProgressBar {
    let target = match std::io::stderr().is_terminal() {
        true => ProgressDrawTarget::stderr_with_hz(DRAWN_A_SECOND),
        false => ProgressDrawTarget::hidden(),
    };
    let bar = ProgressBar::with_draw_target(None, target);
    let style = "{msg} [{bar:30}] {human_pos}/{human_len} events, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.enable_steady_tick(Duration::from_secs(1));
    bar
}

fn show(bar: &ProgressBar, progress: Progress) {
    let doing = if progress.checking {
        "checking"
    } else {
        "copying "
    };
    if bar.message() != doing {
        bar.set_message(doing);
        bar.reset_eta();
    }
    bar.set_length(progress.total);
    bar.set_position(progress.done);
}

fn as_json(copied: &Copied) -> serde_json::Value {
    json!({
        "copied": copied.events,
        "complete": copied.is_complete(),
        "source": copied.source,
        "destination": copied.destination,
    })
}

fn as_text(copied: &Copied) -> String {
    let mut text = format!("{:<16} {:>12} {:>12}\n", "", "source", "destination");
    let kinds = copied.source.kinds().into_iter();
    for ((kind, there), (_, here)) in kinds.zip(copied.destination.kinds()) {
        let differs = if there == here { "" } else { "  differs" };
        let _ = writeln!(text, "{kind:<16} {there:>12} {here:>12}{differs}");
    }
    let verdict = match copied.source.content == copied.destination.content {
        true => "the content is the same",
        false => "the content differs",
    };
    let _ = write!(text, "{} events were copied now; {verdict}", copied.events);
    text
}
