//! `ingate store`: verify, back up, export and count what a store holds, while the daemon runs or not; bring a database up to
//! date; copy one store into another.

mod copy;
mod migrate;

use std::fmt::Write as _;
use std::io::BufWriter;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use http::StatusCode;
use jiff::Timestamp;
use rustix::process::{Resource, getrlimit, setrlimit};
use serde::Serialize;
use serde_json::{Value, json};

use super::filters::StateArg;
use super::http::DoorArgs;
use super::{ConfigArg, Exit, Failure, Outcome, block_on, print, print_json, say};
use crate::clock::SystemClock;
use crate::config::{self, ProcessEnv};
use crate::delivery::StateKind;
use crate::event::EventParts;
use crate::id::{EventId, SourceName, TargetName};
use crate::metrics::Metrics;
use crate::redact::View;
use crate::store::care::{
    self, Backup, CareError, Damage, DeadCount, EventFilter, Folder, IndexState, Report, Stats,
    TargetCount,
};
use crate::store::postgres::{Connection, DatabaseStats, PgOptions, PgSide, PgStore};
use crate::store::{AuditNote, LocalStore, Store, StoreError, StoreOptions};

#[derive(Debug, Args)]
pub(super) struct StoreArgs {
    #[command(subcommand)]
    command: StoreCommand,
}

#[derive(Debug, Subcommand)]
enum StoreCommand {
    /// Read everything and say what is damaged; repair nothing
    Verify(VerifyArgs),
    /// Copy the store into a new or empty folder, which can be used as `store.path`
    Backup(BackupArgs),
    /// Print events with their deliveries as JSON lines, oldest first
    Export(ExportArgs),
    /// Count events and deliveries, and the bytes that they take
    Stats(StatsArgs),
    /// Take one event's data out of the store; a tombstone stays
    Purge(PurgeArgs),
    /// Bring the tables of `store.postgres` to this program's version
    Migrate(migrate::MigrateArgs),
    /// Copy everything of one store into another, of either kind
    Copy(copy::CopyArgs),
}

/// Which store.
#[derive(Debug, Args)]
struct FolderArgs {
    /// The store's folder; else the configuration's `store.path`
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigArg,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Exit code: 0 if the store is sound, 1 if something is damaged. With a daemon running the index is passed over; \
    without one no daemon can start until this ends, and a copy of the index is made in the folder for temporary files."
)]
struct VerifyArgs {
    #[command(flatten)]
    folder: FolderArgs,
    /// Leave the index out
    #[arg(long)]
    journal_only: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Exit code: 0 if the copy is good, 1 if it is damaged where the store is. The index is not copied: it is rebuilt at the first start."
)]
struct BackupArgs {
    /// The folder for the copy
    #[arg(value_name = "DIR")]
    to: PathBuf,
    #[command(flatten)]
    folder: FolderArgs,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Exit code: 0 if all was read, 1 if damaged places were passed over (see `ingate store verify`)."
)]
struct ExportArgs {
    #[command(flatten)]
    folder: FolderArgs,
    /// Only events of this source
    #[arg(long, value_name = "NAME")]
    source: Option<SourceName>,
    /// Only events that came in then or later (RFC 3339)
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Only events that came in before (RFC 3339)
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// Only events with a delivery in this state
    #[arg(long, value_enum, value_name = "STATE")]
    state: Option<StateArg>,
    /// Leave bodies out
    #[arg(long)]
    no_bodies: bool,
    /// Show what the configuration has redacted (`redact` of a source), too
    #[arg(long)]
    unredacted: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "All of the journal is read. Exit code: 0, also where damaged places were passed over (see `ingate store verify`)."
)]
struct StatsArgs {
    #[command(flatten)]
    folder: FolderArgs,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "A running daemon does it; without one the store is opened. Its body, headers and message id, rendered bodies and answers of targets \
    are gone from the journal afterwards; backups and parts that were set aside keep what they have. Its deliveries that are not done are discarded."
)]
struct PurgeArgs {
    /// The event's id
    #[arg(value_name = "EVENT")]
    event: EventId,
    #[command(flatten)]
    config: ConfigArg,
    #[command(flatten)]
    door: DoorArgs,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &StoreArgs) -> Outcome {
    raise_file_limit();
    match &args.command {
        StoreCommand::Verify(args) => verify(args),
        StoreCommand::Backup(args) => backup(args),
        StoreCommand::Export(args) => export(args),
        StoreCommand::Stats(args) => stats(args),
        StoreCommand::Purge(args) => purge(args),
        StoreCommand::Migrate(args) => migrate::run(args),
        StoreCommand::Copy(args) => copy::run(args),
    }
}

/// All segments are held open at once; a large store has more of them than the usual limit of open files.
fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // if that is refused, opening says so
    let _ = setrlimit(Resource::Nofile, limit);
}

/// What holds a store.
enum Holder {
    Folder(Folder),
    Database(Connection),
}

/// A database that others may use.
async fn looked_into(connection: &Connection) -> Result<PgSide, Failure> {
    let side = PgSide::reader(connection).await;
    side.map_err(|error| copy::database_failure(&error))
}

impl FolderArgs {
    /// The folder, or the database of the configuration.
    fn holder(&self) -> Result<Holder, Failure> {
        if self.path.is_some() || !config::store_is_database(&self.config.config, &ProcessEnv) {
            return self.open().map(Holder::Folder);
        }
        let plan = self.config.load()?.plan.store;
        match PgOptions::of(&plan) {
            Some(options) => Ok(Holder::Database(options.connection)),
            None => self.open().map(Holder::Folder),
        }
    }

    /// The folder is known even if the configuration is broken elsewhere.
    fn path(&self) -> PathBuf {
        let config = &self.config.config;
        self.path
            .clone()
            .or_else(|| config::store_folder(config, &ProcessEnv))
            .unwrap_or_else(|| config::default_store(config, &ProcessEnv))
    }

    fn open(&self) -> Result<Folder, Failure> {
        if self.path.is_none() && config::store_is_database(&self.config.config, &ProcessEnv) {
            return Err(Failure::usage(
                "error: the store of this configuration is in PostgreSQL, and this is for the embedded one\n  \
                 help: --path DIR names a folder; PostgreSQL's own tools verify and back up a database (pg_amcheck, pg_dump, pg_basebackup)",
            ));
        }
        Folder::open(&self.path()).map_err(failure)
    }
}

fn failure(error: CareError) -> Failure {
    let exit = match error {
        CareError::Destination { .. } => Exit::Usage,
        _ => Exit::Io,
    };
    Failure::caused(exit, &error)
}

fn verify(args: &VerifyArgs) -> Outcome {
    let folder = args.folder.open()?;
    let report = care::verify(&folder, !args.journal_only).map_err(failure)?;
    show(&report, args.json, report_text)?;
    Ok(if report.sound {
        Exit::Done
    } else {
        Exit::Failed
    })
}

fn backup(args: &BackupArgs) -> Outcome {
    let folder = args.folder.open()?;
    let backup = care::backup(&folder, &args.to).map_err(failure)?;
    show(&backup, args.json, backup_text)?;
    if backup.damage.is_empty() {
        return Ok(Exit::Done);
    }
    say("error: the store is damaged, and so is the copy; `ingate store verify` says more");
    Ok(Exit::Failed)
}

fn export(args: &ExportArgs) -> Outcome {
    let holder = args.folder.holder()?;
    let filter = EventFilter {
        source: args.source.clone(),
        since: args.since,
        until: args.until,
        state: args.state.map(StateKind::from),
        no_bodies: args.no_bodies,
    };
    let plan = match args.unredacted {
        true => None,
        false => Some(args.folder.config.load().map_err(|mut failure| {
            failure.words.push_str(
                "\n  help: the configuration says what is redacted; --unredacted exports without it",
            );
            failure
        })?),
    };
    let viewer = |parts: &EventParts| match &plan {
        Some(compiled) => compiled.plan.view(parts),
        None => View::whole(),
    };
    let mut out = BufWriter::new(std::io::stdout().lock());
    let exported = match &holder {
        Holder::Folder(folder) => care::export(folder, &filter, &viewer, &mut out),
        Holder::Database(connection) => block_on(async {
            let mut side = looked_into(connection).await?;
            let exported = care::export_side(&mut side, &filter, &viewer, &mut out).await;
            Ok::<_, Failure>(exported)
        })??,
    };
    let exported = match exported {
        Ok(exported) => exported,
        // a reader that has gone away has seen enough
        Err(CareError::Write(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            return Ok(Exit::Done);
        }
        Err(error) => return Err(failure(error)),
    };
    if exported.damaged == 0 {
        return Ok(Exit::Done);
    }
    say(&passed_over(exported.damaged));
    Ok(Exit::Failed)
}

fn stats(args: &StatsArgs) -> Outcome {
    let folder = match args.folder.holder()? {
        Holder::Folder(folder) => folder,
        Holder::Database(connection) => {
            let stats = block_on(async {
                let side = looked_into(&connection).await?;
                let stats = side.stats().await;
                stats.map_err(|error| Failure::caused(Exit::Io, &error))
            })??;
            show(&stats, args.json, database_text)?;
            return Ok(Exit::Done);
        }
    };
    let stats = care::stats(&folder).map_err(failure)?;
    show(&stats, args.json, stats_text)?;
    if stats.damaged > 0 {
        say(&passed_over(stats.damaged));
    }
    Ok(Exit::Done)
}

fn purge(args: &PurgeArgs) -> Outcome {
    let path = format!("/api/v1/events/{}/purge", args.event);
    let caller = args.door.caller(&args.config.config)?;
    let report = match block_on(caller.ask(&path))? {
        Ok(answer) if answer.status == StatusCode::OK => {
            serde_json::from_slice(&answer.body).unwrap_or_default()
        }
        Ok(answer) => {
            let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            let why = body.pointer("/error/message").and_then(Value::as_str);
            let why = why.unwrap_or("it does not say why");
            let words = format!("error: the daemon answered {}: {why}", answer.status);
            return Err(Failure::new(Exit::Failed, words));
        }
        // a door that is named may be another machine's, whose store is not here
        Err(failure) if failure.exit != Exit::Unreachable || args.door.is_named() => {
            return Err(failure);
        }
        // No daemon answers. Should one run all the same, it holds the store, and opening it says so.
        Err(_) => block_on(purge_offline(args))??,
    };
    if args.json {
        print_json(&report)?;
    } else {
        let count = |name: &str| report.get(name).and_then(Value::as_u64).unwrap_or_default();
        print(&format!(
            "event {} is purged: {} records of the journal were emptied, {} deliveries discarded",
            args.event,
            count("records"),
            count("discarded")
        ))?;
    }
    Ok(Exit::Done)
}

async fn purge_offline(args: &PurgeArgs) -> Result<Value, Failure> {
    let plan = args.config.load()?.plan.store;
    let io = |error: &dyn std::error::Error| Failure::caused(Exit::Io, error);
    let store: Box<dyn Store> = match PgOptions::of(&plan) {
        Some(options) => {
            let opened = PgStore::open(&options, None).await;
            Box::new(opened.map_err(|error| io(&error))?)
        }
        None => {
            let options = StoreOptions::from(&plan);
            let metrics = Arc::new(Metrics::new());
            let opened = LocalStore::open(&options, Arc::new(SystemClock), metrics);
            let store = opened.map_err(|error| io(&error))?;
            store.opened().await;
            Box::new(store)
        }
    };
    let purged = store.purge(args.event).await;
    let noted = store
        .audit(AuditNote {
            actor: "command".to_owned(),
            action: "purge".to_owned(),
            subject: args.event.to_string(),
            ok: purged.is_ok(),
            detail: purged
                .as_ref()
                .err()
                .map_or(String::new(), ToString::to_string),
        })
        .await;
    store.close().await;
    let purged = purged.map_err(|error| match error {
        StoreError::NotFound => Failure::new(
            Exit::Failed,
            format!("error: there is no event {}", args.event),
        ),
        error => io(&error),
    })?;
    noted.map_err(|error| io(&error))?;
    Ok(json!({
        "event": args.event,
        "purged_at": purged.at.to_string(),
        "discarded": purged.discarded,
        "records": purged.records,
    }))
}

fn passed_over(damaged: u64) -> String {
    format!(
        "warning: {damaged} damaged places of the journal were passed over; `ingate store verify` names them"
    )
}

/// Prints data as JSON or as text.
fn show<T: Serialize>(data: &T, json: bool, text: impl Fn(&T) -> String) -> Result<(), Failure> {
    if !json {
        return print(&text(data));
    }
    let value = serde_json::to_value(data).map_err(|error| Failure::caused(Exit::Io, &error))?;
    print_json(&value)
}

fn report_text(report: &Report) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "journal  {} records in {} segments, {}",
        report.records,
        report.segments,
        size(report.bytes)
    );
    let (events, deliveries) = (report.events, report.deliveries);
    let _ = writeln!(text, "events   {events} with {deliveries} deliveries");
    let _ = match &report.index {
        IndexState::Sound { rows } => writeln!(text, "index    sound, {rows} rows"),
        IndexState::PassedOver { why } => writeln!(text, "index    passed over: {why}"),
        IndexState::ToBeRebuilt { why } => {
            writeln!(text, "index    {why}; the next start rebuilds it")
        }
        IndexState::Damaged => writeln!(
            text,
            "index    damaged; move it away and the next start rebuilds it"
        ),
    };
    if let Some(tail) = &report.unfinished {
        let _ = writeln!(
            text,
            "note     {} at {}: {} bytes that were not written to their end; the next start cuts them off",
            tail.file.display(),
            tail.offset,
            tail.bytes
        );
    }
    for file in &report.set_aside {
        let _ = writeln!(
            text,
            "note     {}: set aside by an earlier start",
            file.display()
        );
    }
    text.push_str(&damage_text(&report.damage));
    if report.not_listed > 0 {
        let _ = writeln!(text, "damage   {} more places", report.not_listed);
    }
    text.push_str(if report.sound { "sound" } else { "damaged" });
    text
}

fn damage_text(damage: &[Damage]) -> String {
    let mut text = String::new();
    for one in damage {
        let _ = write!(text, "damage   {}", one.file.display());
        if let Some(offset) = one.offset {
            let _ = write!(text, " at {offset}");
        }
        if let Some(bytes) = one.bytes {
            let _ = write!(text, ", {bytes} bytes");
        }
        let _ = writeln!(text, ": {}", one.what);
        for affected in &one.affected {
            let _ = writeln!(text, "         affected: {affected}");
        }
    }
    text
}

fn backup_text(backup: &Backup) -> String {
    let mut text = damage_text(&backup.damage);
    let _ = writeln!(
        text,
        "{}: {} records in {} segments, {}; {} events with {} deliveries",
        backup.to.display(),
        backup.records,
        backup.segments,
        size(backup.bytes),
        backup.events,
        backup.deliveries
    );
    text
}

fn database_text(stats: &DatabaseStats) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "database {}: used by {} instances",
        stats.database, stats.instances
    );
    let oldest = stats.oldest_pending.as_ref();
    text.push_str(&counts_text(&Counts {
        events: (stats.events, stats.unmatched),
        targets: &stats.targets,
        dead: &stats.dead,
        oldest: oldest.map(|it| (it.started_at, &it.target)),
    }));
    let _ = write!(text, "disk     {}", size(stats.bytes));
    text
}

/// What is counted in every store.
struct Counts<'a> {
    /// All, and those of them that no route took.
    events: (u64, u64),
    targets: &'a [TargetCount],
    dead: &'a [DeadCount],
    /// Since when the oldest pending delivery is, and to which target.
    oldest: Option<(Timestamp, &'a TargetName)>,
}

fn counts_text(counts: &Counts<'_>) -> String {
    let (events, unmatched) = counts.events;
    let mut text = format!("events   {events}, {unmatched} of them without a route\n");
    for target in counts.targets {
        let _ = writeln!(
            text,
            "target   {}: {} pending, {} delivered, {} dead, {} discarded",
            target.target, target.pending, target.delivered, target.dead, target.discarded
        );
    }
    for group in counts.dead {
        let _ = writeln!(
            text,
            "dead     {}: {} {}",
            group.target,
            group.count,
            group.reason.as_str()
        );
    }
    if let Some((since, target)) = counts.oldest {
        let _ = writeln!(text, "oldest   pending since {since} to {target}");
    }
    text
}

fn stats_text(stats: &Stats) -> String {
    let mut text = String::new();
    let used = if stats.in_use { "in use" } else { "not in use" };
    let _ = writeln!(
        text,
        "{}: {used}, format {}",
        stats.path.display(),
        stats.format
    );
    let oldest = stats.oldest_pending.as_ref();
    text.push_str(&counts_text(&Counts {
        events: (stats.events, stats.unmatched),
        targets: &stats.targets,
        dead: &stats.dead,
        oldest: oldest.map(|it| (it.started_at, &it.target)),
    }));
    let _ = write!(
        text,
        "disk     journal {} in {} segments, index {}, set aside {}, free {}",
        size(stats.bytes.journal),
        stats.segments,
        size(stats.bytes.index),
        size(stats.bytes.set_aside),
        stats.free_bytes.map_or("unknown".to_owned(), size)
    );
    text
}

/// A size for people.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut scale: u64 = 1;
    let mut unit = "bytes";
    for next in UNITS {
        if bytes / scale < 1024 {
            break;
        }
        scale = scale.saturating_mul(1024);
        unit = next;
    }
    if scale == 1 {
        return format!("{bytes} bytes");
    }
    let tenths = bytes.saturating_mul(10) / scale;
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}
