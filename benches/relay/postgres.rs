//! Instances over PostgreSQL: the same load, shared out among one, two and three of them on one database, whose commits wait for
//! the disk. What the server itself uses is in none of the figures but the machine's.

use std::io;

use rustix::process::Signal;

#[path = "../../tests/support/postgres.rs"]
mod server;

use crate::phase::{self, Figures, Pace, Targets};
use crate::process::{self, Doors, Process};
use crate::{START, folder, report};
use server::{Server, Wanted};

/// Events of a phase, and before it.
const EVENTS: (usize, usize) = (2000, 20_000);

/// Measures, with so many events if a number is given.
pub fn run(arguments: &[&str]) -> io::Result<()> {
    let events = match arguments {
        [] => EVENTS,
        [events] => (EVENTS.0, events.parse().map_err(io::Error::other)?),
        _ => return Err(io::Error::other("postgres [EVENTS]")),
    };
    let settings = vec![
        ("shared_buffers", "512MB".to_owned()),
        ("max_wal_size", "4GB".to_owned()),
    ];
    let fsync = true;
    let server = Server::start_as(Wanted { fsync, settings }).map_err(io::Error::other)?;
    let mut all = Vec::new();
    for targets in [1, 3] {
        for instances in 1..=3 {
            let name = format!("{instances} on {targets}");
            let figures = measure(&server, instances, targets, events)?;
            all.push((name, figures));
        }
    }
    println!("instances on so many targets; PostgreSQL on this machine, with durable commits\n");
    let all: Vec<(&str, &Figures)> = all.iter().map(|(name, it)| (name.as_str(), it)).collect();
    report::figures(&all);
    Ok(())
}

fn measure(
    server: &Server,
    instances: usize,
    targets: usize,
    events: (usize, usize),
) -> io::Result<Figures> {
    let database = server.database();
    let targets = Targets::start(targets, events.0 + events.1)?;
    let mut places = Vec::new();
    let mut daemons = Vec::new();
    for _ in 0..instances {
        let (place, doors) = (folder()?, Doors::free()?);
        std::fs::write(place.path().join("url"), database.url())?;
        let store = "{path: ./data, postgres: {url: {file: ./url}}}";
        process::write_config(place.path(), doors, &targets.addresses, store, "standard")?;
        daemons.push(Process::daemon(place.path(), doors, START)?);
        places.push(place);
    }
    // so that targets have found their owners
    std::thread::sleep(std::time::Duration::from_secs(4));
    let figures = phase::run(&daemons, &targets, events, Pace::Closed)?;
    for daemon in daemons {
        daemon.end(Signal::TERM)?;
    }
    Ok(figures)
}
