//! The command line: one file a command.
//!
//! Promise: data goes to stdout, words go to stderr, and the exit code says what happened (see [`Exit`]).
//! `--json` makes the data JSON; `NO_COLOR` is obeyed.

#![allow(clippy::print_stdout, clippy::print_stderr)]

mod check;
mod completions;
#[cfg(test)]
mod contract;
mod dead;
mod deliveries;
mod demo;
mod events;
#[cfg(test)]
mod examples;
mod explain;
mod filters;
mod fleet;
mod http;
mod input;
mod keygen;
mod man;
mod operator;
mod register;
mod reload;
mod render;
mod replay;
mod routes;
mod run;
mod schema;
mod send;
mod shapes;
mod show;
mod sign;
mod sources;
mod sse;
mod store;
mod targets;
mod test;
mod top;
mod vendors;
mod verify;

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{self, Compiled, ProcessEnv};

/// What the process ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It did what was asked.
    Done = 0,
    /// A check failed: a signature does not verify, a template does not render, a request was refused; or a replay
    /// ended with failures.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The daemon, or a vendor, cannot be reached.
    Unreachable = 69,
    /// The store, or another file or socket, cannot be used.
    Io = 74,
    /// The configuration is wrong.
    Config = 78,
}

/// Why a command ended early: the words for stderr and the exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    words: String,
}

impl Failure {
    pub(crate) fn new(exit: Exit, words: impl Into<String>) -> Self {
        Self {
            exit,
            words: words.into(),
        }
    }

    pub(crate) fn usage(words: impl Into<String>) -> Self {
        Self::new(Exit::Usage, words)
    }

    /// An error with all its causes, one after the other.
    pub(crate) fn caused(exit: Exit, error: &dyn std::error::Error) -> Self {
        let mut words = format!("error: {error}");
        let mut cause = error.source();
        while let Some(error) = cause {
            words.push_str(&format!(": {error}"));
            cause = error.source();
        }
        Self::new(exit, words)
    }
}

type Outcome = Result<Exit, Failure>;

/// A webhook relay: verifies, stores before it answers, reshapes into JSON that is always valid, signs, delivers.
#[derive(Debug, Parser)]
#[command(name = "ingate", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon
    Run(run::RunArgs),
    /// Have the running daemon read its configuration anew
    Reload(reload::ReloadArgs),
    /// Show live rates, depth and oldest age, per target
    Top(top::TopArgs),
    /// List events, tell what happened to one, watch them come
    Events(events::EventsArgs),
    /// List deliveries, retry or discard them
    Deliveries(deliveries::DeliveriesArgs),
    /// Count dead letters by target and reason, send them again
    Dead(dead::DeadArgs),
    /// Send many deliveries again, by a filter
    Replay(replay::ReplayArgs),
    /// List, pause, resume and probe targets
    Targets(targets::TargetsArgs),
    /// List sources, and say what failed verification lately
    Sources(sources::SourcesArgs),
    /// List routes as they are in force
    Routes(routes::RoutesArgs),
    /// Show the instances that share the store, and who makes the attempts to which target
    Fleet(fleet::FleetArgs),
    /// Compile the configuration and everything it names, and say what is wrong
    Check(check::CheckArgs),
    /// Run the tests of routes and show what differs from what they expect
    Test(test::TestArgs),
    /// Render a template for a sample event
    Render(render::RenderArgs),
    /// Say for each route why it takes a sample event or which field fails
    Explain(explain::ExplainArgs),
    /// Sign a sample as a source's vendor would and post it to the daemon
    Send(send::SendArgs),
    /// Print the headers that sign a body
    Sign(sign::SignArgs),
    /// Verify a captured request and say exactly why it fails
    Verify(verify::VerifyArgs),
    /// Have a vendor send its events to a source, by the vendor's API
    Register(register::RegisterArgs),
    /// List the vendors that are known, or print the record of one
    Vendors(vendors::VendorsArgs),
    /// Make a fresh secret for a vendor's scheme
    Keygen(keygen::KeygenArgs),
    /// See it work: five vendors' samples through a daemon on this machine
    Demo(demo::DemoArgs),
    /// Verify, back up, export, count or purge what a store holds
    Store(store::StoreArgs),
    /// Print the JSON Schema of the configuration
    Schema,
    /// Print a completion script for a shell
    Completions(completions::CompletionsArgs),
    /// Print the manual page, or write one for each command
    Man(man::ManArgs),
}

/// Where the configuration is.
#[derive(Debug, Args)]
pub(crate) struct ConfigArg {
    /// The configuration file
    #[arg(
        short,
        long,
        value_name = "FILE",
        default_value = "config.yaml",
        env = "INGATE_CONFIG"
    )]
    pub(crate) config: PathBuf,
}

impl ConfigArg {
    /// Compiles the configuration; its warnings go to stderr.
    pub(crate) fn load(&self) -> Result<Compiled, Failure> {
        let compiled = config::load(&self.config, &ProcessEnv)
            .map_err(|errors| Failure::new(Exit::Config, self.broken(&errors)))?;
        for warning in &compiled.warnings {
            say(&warning.to_string());
        }
        Ok(compiled)
    }

    /// What is wrong with the configuration, and how another one is named where there is none.
    fn broken(&self, errors: &impl std::fmt::Display) -> String {
        let mut words = errors.to_string();
        if !self.config.exists() {
            words.push_str(
                "\n  help: -c FILE names the configuration; config.example.yaml shows every key, `ingate demo` needs none",
            );
        }
        words
    }
}

/// Runs the command line; the only place that turns outcomes into exit codes.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Printing fails only where nobody reads.
            let _ = error.print();
            let exit = if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Done
            };
            return ExitCode::from(exit as u8);
        }
    };
    let outcome = match cli.command {
        Command::Run(args) => run::run(&args),
        Command::Reload(args) => reload::run(&args),
        Command::Top(args) => top::run(&args),
        Command::Events(args) => events::run(&args),
        Command::Deliveries(args) => deliveries::run(&args),
        Command::Dead(args) => dead::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Targets(args) => targets::run(&args),
        Command::Sources(args) => sources::run(&args),
        Command::Routes(args) => routes::run(&args),
        Command::Fleet(args) => fleet::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Render(args) => render::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Send(args) => send::run(&args),
        Command::Sign(args) => sign::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Register(args) => register::run(&args),
        Command::Vendors(args) => vendors::run(&args),
        Command::Keygen(args) => keygen::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Store(args) => store::run(&args),
        Command::Schema => schema::run(),
        Command::Completions(args) => completions::run::<Cli>(&args),
        Command::Man(args) => man::run::<Cli>(&args),
    };
    let exit = outcome.unwrap_or_else(|failure| {
        say(&failure.words);
        failure.exit
    });
    ExitCode::from(exit as u8)
}

/// Prints data. A reader that has gone away (`| head`) is not an error; a full disk is.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    print_if_read(text).map(|_| ())
}

/// The same for what has no end of its own: whether anybody reads still.
pub(crate) fn print_if_read(text: &str) -> Result<bool, Failure> {
    print_bytes(format!("{}\n", text.trim_end_matches('\n')).as_bytes())
}

/// Prints bytes as they are; whether anybody reads still.
pub(crate) fn print_bytes(bytes: &[u8]) -> Result<bool, Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::new(
            Exit::Io,
            format!("error: cannot write to stdout: {error}"),
        )),
    }
}

/// Prints data as JSON, indented for a terminal and on one line otherwise. What a terminal would take for a command is
/// escaped, which JSON allows within strings, where alone it can stand.
pub(crate) fn print_json(value: &serde_json::Value) -> Result<(), Failure> {
    let text = if std::io::stdout().is_terminal() {
        let text = format!("{value:#}");
        text.chars().fold(String::new(), |mut all, c| {
            match c {
                c if c != '\n' && show::is_command(c) => {
                    all.push_str(&format!("\\u{:04x}", u32::from(c)));
                }
                c => all.push(c),
            }
            all
        })
    } else {
        value.to_string()
    };
    print(&text)
}

/// Prints words for a person.
pub(crate) fn say(text: &str) {
    let mut err = std::io::stderr().lock();
    let _ = writeln!(err, "{}", text.trim_end_matches('\n'));
}

/// Runs asynchronous work on a runtime of its own.
pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map(|runtime| runtime.block_on(work))
        .map_err(|error| Failure::caused(Exit::Io, &error))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
