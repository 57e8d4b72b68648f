//! The daemon against a bare reverse proxy: this process sends signed webhooks over loopback to one of them, is the
//! targets behind it, and prints how much each takes and delivers, how fast, and at what cost.
//!
//! Promise: a figure is printed only of a phase in which every event came to every target exactly once; anything
//! else is said and ends the run with an error. Not here: what the figures mean (see `benches/README.md`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs
)]

mod event;
mod load;
mod outage;
mod peers;
mod phase;
mod postgres;
mod process;
mod proxy;
mod report;
mod wire;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use phase::{Figures, Pace, Targets};
use process::{Doors, Process};
use rustix::process::Signal;
use tempfile::TempDir;

/// Connections of the sender; a target takes as many attempts at a time, so that neither side waits for the other.
pub const CONNECTIONS: usize = 64;

/// Events a second of the phase that offers a steady load.
const STEADY: f64 = 2000.0;

/// The bound of the accept p99 under that load, in milliseconds.
const STEADY_P99: f64 = 10.0;

/// How long a daemon may take to be ready.
const START: Duration = Duration::from_secs(20);

/// How many events are sent in a phase, and which phases are run.
#[derive(Clone, Copy)]
struct Run {
    warm_up: usize,
    events: usize,
    steady: usize,
    only: Option<Phase>,
    /// Whether the figures are worth printing.
    measuring: bool,
}

const FULL: Run = Run {
    warm_up: 5000,
    events: 60_000,
    steady: 20_000,
    only: None,
    measuring: true,
};

const QUICK: Run = Run {
    warm_up: 500,
    events: 5000,
    steady: 4000,
    only: None,
    measuring: true,
};

/// Where nothing is to be measured, as under `cargo test --benches`.
const SMOKE: Run = Run {
    warm_up: 50,
    events: 200,
    steady: 200,
    only: None,
    measuring: false,
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Bare,
    One,
    Three,
    Steady,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo bench` adds `--bench`; `cargo test --benches` adds nothing
    let measuring = arguments.iter().any(|argument| argument == "--bench");
    let arguments = arguments.iter().map(String::as_str);
    let arguments: Vec<&str> = arguments
        .filter(|argument| *argument != "--bench")
        .collect();
    let ended = match arguments.as_slice() {
        ["--bare-proxy", listen, target] => {
            proxy::run(listen.parse().unwrap(), target.parse().unwrap())
        }
        _ if !measuring => compare(SMOKE),
        ["outage", rest @ ..] => outage::run(rest),
        ["postgres", rest @ ..] => postgres::run(rest),
        _ => read(&arguments).and_then(compare),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nFAILED: {error}");
            ExitCode::FAILURE
        }
    }
}

fn read(arguments: &[&str]) -> io::Result<Run> {
    let mut run = FULL;
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match *argument {
            "--quick" => run = QUICK,
            "--events" => {
                let events = arguments.next().and_then(|events| events.parse().ok());
                run.events = events.ok_or_else(|| io::Error::other("--events wants a number"))?;
                run.steady = run.events;
            }
            "--only" => {
                run.only = Some(match arguments.next() {
                    Some(&"bare") => Phase::Bare,
                    Some(&"one") => Phase::One,
                    Some(&"three") => Phase::Three,
                    Some(&"steady") => Phase::Steady,
                    _ => return Err(io::Error::other("--only wants bare, one, three or steady")),
                });
            }
            other => return Err(io::Error::other(format!("`{other}` is not known"))),
        }
    }
    Ok(run)
}

/// A folder that is removed at the end, on the disk that is to be measured.
fn folder() -> io::Result<TempDir> {
    let parent = std::env::var_os("INGATE_BENCH_DIR").map(PathBuf::from);
    let parent = parent.unwrap_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")));
    std::fs::create_dir_all(&parent)?;
    TempDir::with_prefix_in("relay-", parent)
}

fn compare(run: Run) -> io::Result<()> {
    let place = folder()?;
    let cores = std::thread::available_parallelism()?;
    println!(
        "{CONNECTIONS} connections, bodies of {} bytes, {cores} cores; store on {} in {}, where fdatasync takes {:.2} ms\n",
        event::BODY_BYTES,
        process::file_system(place.path()),
        place.path().display(),
        process::sync_time(place.path())?
    );
    drop(place);
    // the proxy runs before and after, so that a machine that changes meanwhile shows
    let order = [
        Phase::Bare,
        Phase::One,
        Phase::Three,
        Phase::Bare,
        Phase::Steady,
    ];
    let mut bare: Vec<Figures> = Vec::new();
    let mut daemons: Vec<(Phase, Figures)> = Vec::new();
    let wanted = |phase: &Phase| run.only.is_none_or(|only| only == *phase);
    for phase in order.into_iter().filter(wanted) {
        let closed = (run.warm_up, run.events);
        match phase {
            Phase::Bare => bare.push(measure_proxy(closed)?),
            Phase::One => daemons.push((phase, measure_daemon(1, closed, Pace::Closed)?)),
            Phase::Three => daemons.push((phase, measure_daemon(3, closed, Pace::Closed)?)),
            Phase::Steady => {
                let steady = (run.warm_up, run.steady);
                daemons.push((phase, measure_daemon(1, steady, Pace::Open(STEADY))?));
            }
        }
    }
    if !run.measuring {
        println!("every event came to every target exactly once; nothing was measured");
        return Ok(());
    }
    print(&run, &bare, &daemons);
    Ok(())
}

fn print(run: &Run, bare: &[Figures], daemons: &[(Phase, Figures)]) {
    let steady = format!("1 target, {STEADY} offered/s");
    let daemons: Vec<(&str, &Figures)> = daemons
        .iter()
        .map(|(phase, figures)| {
            let name = match phase {
                Phase::Three => "3 targets",
                Phase::Steady => &steady,
                Phase::Bare | Phase::One => "1 target",
            };
            (name, figures)
        })
        .collect();
    let names = ["bare proxy", "bare proxy, again"];
    let mut all: Vec<(&str, &Figures)> = names.into_iter().zip(bare).collect();
    all.extend(&daemons);
    report::figures(&all);
    report::threads(&daemons);
    if run.only.is_none() {
        let pushed = daemons.iter().filter(|(name, _)| *name != steady);
        let pushed: Vec<(&str, &Figures)> = pushed.copied().collect();
        report::ratios(bare, &pushed);
    }
    for (_, figures) in daemons.iter().filter(|(name, _)| *name == steady) {
        println!(
            "{STEADY} events/s offered: accept p99 {} ms, wanted are less than {STEADY_P99}",
            report::fine(figures.accept.p99)
        );
    }
}

fn measure_proxy(sizes: (usize, usize)) -> io::Result<Figures> {
    let targets = Targets::start(1, sizes.0 + sizes.1)?;
    let proxy = Process::proxy(targets.addresses[0])?;
    phase::run(&[proxy], &targets, sizes, Pace::Closed)
}

fn measure_daemon(count: usize, sizes: (usize, usize), pace: Pace) -> io::Result<Figures> {
    let place = folder()?;
    let targets = Targets::start(count, sizes.0 + sizes.1)?;
    let doors = Doors::free()?;
    let store = "{path: ./data}";
    process::write_config(place.path(), doors, &targets.addresses, store, "standard")?;
    let daemon = [Process::daemon(place.path(), doors, START)?];
    let figures = phase::run(&daemon, &targets, sizes, pace)?;
    for daemon in daemon {
        daemon.end(Signal::TERM)?;
    }
    Ok(figures)
}
