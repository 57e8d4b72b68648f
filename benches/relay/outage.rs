//! The rehearsal of an outage: nobody listens where the target should be while events come in by the hundred thousand;
//! the daemon is stopped, killed, and started again on what it has; then the target comes up and takes it all.
//!
//! Promise: it ends well only if the target has each event exactly once.

use std::io;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::event::Requests;
use crate::phase::{Pace, Sender, Targets};
use crate::process::{self, Doors, Process, free_address};
use crate::report::{fine, whole};

/// How many events come in unless it is said.
const EVENTS: usize = 1_000_000;

/// Events that are signed ahead at a time; they take up 95 MB.
const CHUNK: usize = 50_000;

/// After so many events a line is printed.
const STEP: usize = 100_000;

/// Tried again soon and often, up to once a minute: what waits is due all the time, as it is in a long outage.
const RETRY: &str = "{initial: 5s, factor: 2, max: 60s, jitter: 0.2}";

/// How long a start may take.
const START: Duration = Duration::from_secs(600);

/// The drain has failed if nothing comes for so long.
const SILENCE: Duration = Duration::from_secs(180);

/// How long is waited for what comes twice.
const AFTERMATH: Duration = Duration::from_secs(3);

/// `outage [N] [--retry POLICY]`
pub fn run(arguments: &[&str]) -> io::Result<()> {
    let mut events = EVENTS;
    let mut retry = RETRY;
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match *argument {
            "--retry" => retry = arguments.next().copied().unwrap_or(RETRY),
            number => events = number.parse().map_err(io::Error::other)?,
        }
    }
    let place = crate::folder()?;
    let target = free_address()?;
    let doors = Doors::free()?;
    process::write_config(place.path(), doors, &[target], "{path: ./data}", retry)?;
    println!(
        "an outage of {events} events; the target's retry is {retry}; store on {}\n",
        process::file_system(place.path())
    );
    let start = || -> io::Result<Process> {
        let begun = Instant::now();
        let daemon = Process::daemon(place.path(), doors, START)?;
        println!(
            "ready after {:.2} s, with {} MiB\n",
            begun.elapsed().as_secs_f64(),
            whole(daemon.usage().rss)
        );
        Ok(daemon)
    };
    println!("start on an empty store:");
    let daemon = start()?;
    take_in(&daemon, events)?;
    let took = daemon.end(Signal::TERM)?;
    println!("SIGTERM: ended after {:.2} s", took.as_secs_f64());
    let daemon = start()?;
    daemon.end(Signal::KILL)?;
    println!("kill -9, just after the start:");
    let daemon = start()?;
    std::thread::sleep(Duration::from_secs(10));
    println!(
        "10 s later it has {} MiB; the most was {} MiB",
        whole(daemon.usage().rss),
        whole(daemon.usage().peak)
    );
    daemon.end(Signal::KILL)?;
    println!("kill -9, in the middle of attempts:");
    let daemon = start()?;
    let targets = Targets::start_at(&[target], events)?;
    drain(&daemon, &targets, events)
}

fn take_in(daemon: &Process, events: usize) -> io::Result<()> {
    println!("| taken in | events/s | CPU s per 100k | RSS, MiB | RSS peak, MiB | refused (503) |");
    println!("|---:|---:|---:|---:|---:|---:|");
    let sender = Sender::start()?;
    let clock = Instant::now();
    let sign = |first: usize| {
        let count = CHUNK.min(events - first);
        std::thread::spawn(move || Requests::sign(first, count))
    };
    let mut signing = Some(sign(0));
    let (mut taken, mut spent, mut refused) = (0, Duration::ZERO, 0);
    let (mut line, mut cpu) = (0, daemon.usage().cpu);
    while let Some(signed) = signing.take() {
        let requests = signed
            .join()
            .map_err(|_| io::Error::other("signing failed"))?;
        taken += requests.len();
        signing = (taken < events).then(|| sign(taken));
        let begun = Instant::now();
        let sent = sender.send(vec![daemon.public], clock, requests, Pace::Closed)?;
        spent += begun.elapsed();
        refused += sent.refused();
        if taken - line < STEP && taken < events {
            continue;
        }
        let usage = daemon.usage();
        let count = (taken - line) as f64;
        println!(
            "| {taken} | {} | {} | {} | {} | {refused} |",
            whole(count / spent.as_secs_f64()),
            fine((usage.cpu - cpu) * 1e5 / count),
            whole(usage.rss),
            whole(usage.peak)
        );
        (line, spent, refused, cpu) = (taken, Duration::ZERO, 0, usage.cpu);
    }
    println!();
    Ok(())
}

fn drain(daemon: &Process, targets: &Targets, events: usize) -> io::Result<()> {
    println!("the target is up:\n");
    println!("| delivered | events/s | CPU s per 100k | RSS, MiB | RSS peak, MiB |");
    println!("|---:|---:|---:|---:|---:|");
    let arrivals = targets.arrivals(0);
    let (mut line, mut begun, mut cpu) = (0, Instant::now(), daemon.usage().cpu);
    let (mut seen, mut heard) = (0, Instant::now());
    while line < events {
        std::thread::sleep(Duration::from_millis(2));
        let came = arrivals.distinct();
        if came > seen {
            (seen, heard) = (came, Instant::now());
        } else if heard.elapsed() > SILENCE {
            let words = format!("{came} of {events} came, then nothing for {SILENCE:?}");
            return Err(io::Error::other(words));
        }
        if came - line < STEP && came < events {
            continue;
        }
        let usage = daemon.usage();
        let count = (came - line) as f64;
        println!(
            "| {came} | {} | {} | {} | {} |",
            whole(count / begun.elapsed().as_secs_f64()),
            fine((usage.cpu - cpu) * 1e5 / count),
            whole(usage.rss),
            whole(usage.peak)
        );
        (line, begun, cpu) = (came, Instant::now(), usage.cpu);
    }
    std::thread::sleep(AFTERMATH);
    arrivals.check(events).map_err(io::Error::other)?;
    println!("\nnothing is missing, nothing came twice");
    Ok(())
}
