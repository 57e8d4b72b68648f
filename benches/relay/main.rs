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

/// How long a daemon may take to be ready.
const START: Duration = Duration::from_secs(20);

/// How many events are sent in a phase.
#[derive(Clone, Copy)]
struct Size {
    warm_up: usize,
    events: usize,
    steady: usize,
}

const FULL: Size = Size {
    warm_up: 5000,
    events: 60_000,
    steady: 20_000,
};

const QUICK: Size = Size {
    warm_up: 500,
    events: 5000,
    steady: 4000,
};

/// Where nothing is to be measured, as under `cargo test --benches`.
const SMOKE: Size = Size {
    warm_up: 50,
    events: 200,
    steady: 200,
};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let ended = match arguments.as_slice() {
        ["--bare-proxy", listen, target] => {
            proxy::run(listen.parse().unwrap(), target.parse().unwrap())
        }
        // `cargo bench` adds `--bench`; `cargo test --benches` adds nothing
        _ if !arguments.contains(&"--bench") => compare(SMOKE),
        ["outage", rest @ ..] => outage::run(rest),
        _ => sized(&arguments).and_then(compare),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nFAILED: {error}");
            ExitCode::FAILURE
        }
    }
}

fn sized(arguments: &[&str]) -> io::Result<Size> {
    let mut size = FULL;
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match *argument {
            "--bench" => {}
            "--quick" => size = QUICK,
            "--events" => {
                let events = arguments.next().and_then(|events| events.parse().ok());
                size.events = events.ok_or_else(|| io::Error::other("--events wants a number"))?;
            }
            other => return Err(io::Error::other(format!("`{other}` is not known"))),
        }
    }
    Ok(size)
}

/// A folder that is removed at the end, on the disk that is to be measured.
fn folder() -> io::Result<TempDir> {
    let parent = std::env::var_os("INGATE_BENCH_DIR").map(PathBuf::from);
    let parent = parent.unwrap_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")));
    std::fs::create_dir_all(&parent)?;
    TempDir::with_prefix_in("relay-", parent)
}

fn compare(size: Size) -> io::Result<()> {
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
    let sizes = (size.warm_up, size.events);
    let bare = bare(sizes)?;
    let one = daemon(1, sizes, Pace::Closed)?;
    let three = daemon(3, sizes, Pace::Closed)?;
    let bare_again = self::bare(sizes)?;
    let steady = daemon(1, (size.warm_up, size.steady), Pace::Open(STEADY))?;
    let offered = format!("1 target, {STEADY} offered/s");
    report::figures(&[
        ("bare proxy", &bare),
        ("bare proxy, again", &bare_again),
        ("1 target", &one),
        ("3 targets", &three),
        (&offered, &steady),
    ]);
    report::threads(&[("1 target", &one), ("3 targets", &three)]);
    report::ratios(
        &[&bare, &bare_again],
        &[("1 target", &one), ("3 targets", &three)],
    );
    Ok(())
}

fn bare(sizes: (usize, usize)) -> io::Result<Figures> {
    let targets = Targets::start(1, sizes.0 + sizes.1)?;
    let proxy = Process::proxy(targets.addresses[0])?;
    phase::run(&proxy, &targets, sizes, Pace::Closed)
}

fn daemon(count: usize, sizes: (usize, usize), pace: Pace) -> io::Result<Figures> {
    let place = folder()?;
    let targets = Targets::start(count, sizes.0 + sizes.1)?;
    let doors = Doors::free()?;
    process::write_config(place.path(), doors, &targets.addresses, "standard")?;
    let daemon = Process::daemon(place.path(), doors, START)?;
    let figures = phase::run(&daemon, &targets, sizes, pace)?;
    daemon.end(Signal::TERM)?;
    Ok(figures)
}
