//! `ingate store migrate`: the tables of the database, brought to this program's version.

use clap::Args;
use serde_json::json;

use super::super::{ConfigArg, Exit, Failure, Outcome, block_on, print, print_json};
use super::PgOptions;
use crate::store::postgres::migrate::{migrate, state};
use crate::store::postgres::{ConnectError, Connection, MigrateError, Migration, SchemaState};

#[derive(Debug, Args)]
#[command(
    after_help = "A daemon does the same when it starts. Several at a time wait for each other; each step is taken as a whole or not at all. \
    Exit code: 0 if the tables are this program's now (with --dry-run: if they could be), 69 if the database cannot be reached, 74 if they are a newer version's."
)]
pub(super) struct MigrateArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// What was found, and what was done about it.
struct Done {
    place: String,
    before: SchemaState,
    taken: Vec<&'static Migration>,
}

pub(super) fn run(args: &MigrateArgs) -> Outcome {
    let compiled = args.config.load()?;
    let Some(options) = PgOptions::of(&compiled.plan.store) else {
        return Err(Failure::usage(
            "error: the store of this configuration is a folder, which brings itself up to date; `store.postgres` names a database",
        ));
    };
    let done = block_on(run_on(&options.connection, args.dry_run))??;
    if args.json {
        let steps = done.taken.iter();
        let steps = steps.map(|step| json!({"version": step.version, "name": step.name}));
        print_json(&json!({
            "database": done.place,
            "version_before": done.before.version(),
            "dry_run": args.dry_run,
            "steps": steps.collect::<Vec<_>>(),
        }))?;
    } else {
        print(&as_text(&done, args.dry_run))?;
    }
    Ok(Exit::Done)
}

async fn run_on(connection: &Connection, dry_run: bool) -> Result<Done, Failure> {
    let unconnected = |error: ConnectError| connect_failure(&error);
    let pool = connection.pool().map_err(unconnected)?;
    let mut client = connection.first(&pool).await.map_err(unconnected)?;
    let before = state(&client).await.map_err(|error| failure(&error))?;
    if let SchemaState::Newer { version, name } = before {
        return Err(failure(&MigrateError::Newer { version, name }));
    }
    let taken = match dry_run {
        true => before.pending().iter().collect(),
        false => migrate(&mut client)
            .await
            .map_err(|error| failure(&error))?,
    };
    Ok(Done {
        place: connection.place(),
        before,
        taken,
    })
}

pub(super) fn connect_failure(error: &ConnectError) -> Failure {
    let exit = match error.is_away() {
        true => Exit::Unreachable,
        false => Exit::Io,
    };
    Failure::caused(exit, error)
}

fn failure(error: &MigrateError) -> Failure {
    let exit = match error.is_away() {
        true => Exit::Unreachable,
        false => Exit::Io,
    };
    Failure::caused(exit, error)
}

fn as_text(done: &Done, dry_run: bool) -> String {
    let mut text = format!("database {}: {}", done.place, done.before);
    let would = if dry_run { "would be taken" } else { "taken" };
    for step in &done.taken {
        text.push_str(&format!("\nstep {} ({}): {would}", step.version, step.name));
    }
    if done.taken.is_empty() {
        text.push_str("\nnothing to do");
    }
    text
}
