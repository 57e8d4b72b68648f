//! One phase: warm up, send so many events, wait until every target has each of them, and read off the figures.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle};

use crate::event::Requests;
use crate::load::{self, Sent};
use crate::peers::{self, Arrivals};
use crate::process::{Process, Usage, machine};

/// A phase that is not through by then has failed.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long is waited for what comes twice.
const AFTERMATH: Duration = Duration::from_millis(300);

/// The figures of a phase.
#[derive(Default)]
pub struct Figures {
    pub events: usize,
    /// Events a second, from the first request to the last answer.
    pub accepted: f64,
    /// Events a second, from the first request to the last arrival at the last target.
    pub through: f64,
    /// Deliveries a second over the same time.
    pub delivered: f64,
    pub accept: Spread,
    pub delivery: Spread,
    /// CPU seconds per 100k events of what is measured.
    pub cpu: f64,
    /// Its memory in MiB: before, after, most.
    pub rss: (f64, f64, f64),
    pub refused: usize,
    /// CPU seconds per 100k events of the sender and the targets.
    pub bench_cpu: f64,
    /// Percent of the machine's CPU that was used by neither.
    pub others: f64,
    /// Events for each sync of the journal; outcomes of deliveries share it. 0 where nothing is synced.
    pub per_sync: f64,
    /// CPU seconds per 100k events by thread of what is measured.
    pub threads: BTreeMap<String, f64>,
}

/// Milliseconds.
#[derive(Default)]
pub struct Spread {
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
}

impl Spread {
    fn of(mut nanos: Vec<u64>) -> Self {
        nanos.sort_unstable();
        let at = |share: f64| {
            let at = (nanos.len() as f64 * share) as usize;
            let nanos = nanos.get(at.min(nanos.len().saturating_sub(1)));
            nanos.copied().unwrap_or(0) as f64 / 1e6
        };
        Self {
            p50: at(0.5),
            p99: at(0.99),
            p999: at(0.999),
        }
    }
}

/// How events are sent.
#[derive(Clone, Copy)]
pub enum Pace {
    /// As fast as they are answered.
    Closed,
    /// So many a second.
    Open(f64),
}

/// The targets of a phase, on a thread of their own.
pub struct Targets {
    pub addresses: Vec<SocketAddr>,
    arrivals: Vec<Arc<Arrivals>>,
    clock: Instant,
    _runtime: Background,
}

/// A runtime of one thread; it ends when this is dropped.
struct Background {
    handle: Handle,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
}

impl Background {
    fn start(name: &str) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                // an error is a dropped sender, which means the same
                let _ = runtime.block_on(stopped);
                runtime.shutdown_background();
            })?;
        Ok(Self {
            handle,
            stop: Some(stop),
        })
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }
}

/// The sender, on a thread of its own.
pub struct Sender {
    runtime: Background,
}

impl Sender {
    /// Nothing is sent yet.
    pub fn start() -> io::Result<Self> {
        let runtime = Background::start("load")?;
        Ok(Self { runtime })
    }

    /// Sends requests and waits until all are answered.
    pub fn send(
        &self,
        to: Vec<SocketAddr>,
        clock: Instant,
        requests: Requests,
        pace: Pace,
    ) -> io::Result<Arc<Sent>> {
        let (told, sent) = std::sync::mpsc::channel();
        self.runtime.handle.spawn(async move {
            let requests = Arc::new(requests);
            let sent = match pace {
                Pace::Closed => load::closed(&to, &requests, clock).await,
                Pace::Open(rate) => load::open(&to, &requests, clock, rate).await,
            };
            let _ = told.send(sent);
        });
        sent.recv_timeout(PATIENCE).map_err(io::Error::other)?
    }
}

impl Targets {
    /// So many targets, for so many events.
    pub fn start(targets: usize, events: usize) -> io::Result<Self> {
        let listen: SocketAddr = ([127, 0, 0, 1], 0).into();
        Self::start_at(&vec![listen; targets], events)
    }

    /// One target at each address.
    pub fn start_at(listen: &[SocketAddr], events: usize) -> io::Result<Self> {
        let clock = Instant::now();
        let runtime = Background::start("targets")?;
        let mut addresses = Vec::new();
        let mut arrivals = Vec::new();
        for listen in listen.iter().copied() {
            let arrived = Arrivals::new(clock, events);
            let (told, address) = std::sync::mpsc::channel();
            let taken = Arc::clone(&arrived);
            runtime.handle.spawn(async move {
                let _ = told.send(peers::start(listen, taken).await);
            });
            addresses.push(address.recv().map_err(io::Error::other)??);
            arrivals.push(arrived);
        }
        Ok(Self {
            addresses,
            arrivals,
            clock,
            _runtime: runtime,
        })
    }

    /// What has come to one of them.
    pub fn arrivals(&self, target: usize) -> &Arrivals {
        &self.arrivals[target]
    }

    fn wait_for(&self, events: usize) -> io::Result<()> {
        let start = Instant::now();
        while self.arrivals.iter().any(|a| a.distinct() < events) {
            if start.elapsed() > PATIENCE {
                let came: Vec<usize> = self.arrivals.iter().map(|a| a.distinct()).collect();
                let words = format!("of {events} events only {came:?} came to the targets");
                return Err(io::Error::other(words));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

/// What was used up to a moment.
struct Meter {
    process: Usage,
    bench: Usage,
    machine: (f64, f64),
    threads: BTreeMap<String, f64>,
    syncs: f64,
}

impl Meter {
    fn read(processes: &[Process]) -> Self {
        let mut threads = BTreeMap::new();
        for (name, cpu) in processes.iter().flat_map(Process::threads) {
            *threads.entry(name).or_default() += cpu;
        }
        Self {
            process: processes.iter().map(Process::usage).sum(),
            bench: Usage::of(std::process::id()),
            machine: machine(),
            threads,
            syncs: processes.iter().map(Process::syncs).sum(),
        }
    }
}

/// Runs a phase against processes in front of the targets, which have room for `warm_up + events`.
pub fn run(
    processes: &[Process],
    targets: &Targets,
    (warm_up, events): (usize, usize),
    pace: Pace,
) -> io::Result<Figures> {
    let sender = Sender::start()?;
    let to: Vec<SocketAddr> = processes.iter().map(|process| process.public).collect();
    let send = |requests, pace| sender.send(to.clone(), targets.clock, requests, pace);
    send(Requests::sign(0, warm_up), Pace::Closed)?;
    targets.wait_for(warm_up)?;
    std::thread::sleep(AFTERMATH);

    let requests = Requests::sign(warm_up, events);
    let before = Meter::read(processes);
    let sent = send(requests, pace)?;
    targets.wait_for(warm_up + events)?;
    let after = Meter::read(processes);

    std::thread::sleep(AFTERMATH);
    for arrivals in &targets.arrivals {
        arrivals.check(warm_up + events).map_err(io::Error::other)?;
    }
    Ok(figures(targets, (warm_up, events), &sent, &before, &after))
}

fn figures(
    targets: &Targets,
    (warm_up, events): (usize, usize),
    sent: &Sent,
    before: &Meter,
    after: &Meter,
) -> Figures {
    let mut accept = Vec::with_capacity(events);
    let mut delivery = Vec::with_capacity(events * targets.arrivals.len());
    let mut last_arrival = 0;
    for at in 0..events {
        let (begun, answered) = sent.times(at);
        accept.push(answered.saturating_sub(begun));
        for arrivals in &targets.arrivals {
            let arrived = arrivals.at(warm_up + at);
            delivery.push(arrived.saturating_sub(answered));
            last_arrival = last_arrival.max(arrived);
        }
    }
    let per_second = |until: u64| events as f64 / ((until - sent.first()) as f64 / 1e9);
    let per_100k = |cpu: f64| cpu * 1e5 / events as f64;
    let cpu = after.process.cpu - before.process.cpu;
    let bench_cpu = after.bench.cpu - before.bench.cpu;
    let busy = after.machine.0 - before.machine.0;
    let had = after.machine.1 - before.machine.1;
    let threads = after.threads.iter().map(|(name, cpu)| {
        let until_now = before.threads.get(name).copied().unwrap_or(0.0);
        (name.clone(), per_100k(cpu - until_now))
    });
    let through = per_second(last_arrival);
    let syncs = after.syncs - before.syncs;
    Figures {
        events,
        accepted: per_second(sent.last()),
        through,
        delivered: through * targets.arrivals.len() as f64,
        accept: Spread::of(accept),
        delivery: Spread::of(delivery),
        cpu: per_100k(cpu),
        rss: (before.process.rss, after.process.rss, after.process.peak),
        refused: sent.refused(),
        bench_cpu: per_100k(bench_cpu),
        others: (busy - cpu - bench_cpu).max(0.0) * 100.0 / had.max(0.01),
        per_sync: if syncs > 0.0 {
            events as f64 / syncs
        } else {
            0.0
        },
        threads: threads.collect(),
    }
}
