//! Processes that are measured: how they are started and ended, and what the kernel says that they used.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::event;

/// How long a process may take to answer, unless an outage is rehearsed.
const PATIENCE: Duration = Duration::from_secs(20);

/// Ticks of the kernel's times a second; the same on all machines that matter.
const TICKS: f64 = 100.0;

/// A child that ends with the bench.
pub struct Process {
    child: Child,
    /// Where it takes requests.
    pub public: SocketAddr,
    admin: Option<SocketAddr>,
}

impl Process {
    /// Starts the bare proxy in front of a target.
    pub fn proxy(target: SocketAddr) -> io::Result<Self> {
        let public = free_address()?;
        let child = Command::new(std::env::current_exe()?)
            .args(["--bare-proxy", &public.to_string(), &target.to_string()])
            .stdin(Stdio::piped())
            .spawn()?;
        let proxy = Self {
            child,
            public,
            admin: None,
        };
        until(PATIENCE, || TcpStream::connect(public).is_ok())?;
        Ok(proxy)
    }

    /// Starts the daemon on what [`write_config`] left in the folder, and waits until it is ready.
    pub fn daemon(folder: &Path, doors: Doors, patience: Duration) -> io::Result<Self> {
        let child = Command::new(env!("CARGO_BIN_EXE_ingate"))
            .arg("run")
            .arg("-c")
            .arg(folder.join("config.yaml"))
            .env("INGATE_LOG", "warn")
            .stdin(Stdio::null())
            .spawn()?;
        let mut daemon = Self {
            child,
            public: doors.public,
            admin: Some(doors.admin),
        };
        daemon.ready_within(patience)?;
        Ok(daemon)
    }

    fn ready_within(&mut self, patience: Duration) -> io::Result<()> {
        until(patience, || {
            self.ended() || self.get("/readyz").is_some_and(|(status, _)| status == 200)
        })?;
        if self.ended() {
            return Err(io::Error::other("the daemon ended at its start"));
        }
        Ok(())
    }

    fn ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Reads from the operator's door: the status and the whole answer.
    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(self.admin?).ok()?;
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let status = answer.get(9..12)?.parse().ok()?;
        Some((status, answer))
    }

    /// How often it has synced its journal; 0 where there is none.
    pub fn syncs(&self) -> f64 {
        const COUNT: &str = "ingate_store_sync_duration_seconds_count ";
        let metrics = self.get("/metrics").map(|(_, text)| text);
        let metrics = metrics.unwrap_or_default();
        let count = metrics.lines().find_map(|line| line.strip_prefix(COUNT));
        count.and_then(|count| count.parse().ok()).unwrap_or(0.0)
    }

    /// Ends it with a signal and waits until it is gone; says how long that took. Asked to stop, it must end well.
    pub fn end(mut self, signal: Signal) -> io::Result<Duration> {
        let start = Instant::now();
        if let Some(pid) = Pid::from_raw(self.pid().try_into().unwrap()) {
            kill_process(pid, signal)?;
        }
        let status = self.child.wait()?;
        if signal == Signal::TERM && !status.success() {
            return Err(io::Error::other(format!("the daemon ended with {status}")));
        }
        Ok(start.elapsed())
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has used up to now.
    pub fn usage(&self) -> Usage {
        Usage::of(self.pid())
    }

    /// CPU seconds by name of thread, of the threads that run now.
    pub fn threads(&self) -> BTreeMap<String, f64> {
        let mut threads = BTreeMap::new();
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid()));
        for task in tasks.into_iter().flatten().flatten() {
            let stat = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            if let Some((name, cpu)) = name_and_cpu(&stat) {
                *threads.entry(name).or_default() += cpu;
            }
        }
        threads
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // one that has ended already cannot be killed, which is fine
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where a daemon listens.
#[derive(Clone, Copy)]
pub struct Doors {
    pub public: SocketAddr,
    pub admin: SocketAddr,
}

impl Doors {
    /// Ports that are free now.
    pub fn free() -> io::Result<Self> {
        Ok(Self {
            public: free_address()?,
            admin: free_address()?,
        })
    }
}

/// An address of the loopback that nobody listens at.
pub fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

/// A configuration with one source and one route to all targets; `store` is its store, `retry` that of every target.
pub fn write_config(
    folder: &Path,
    doors: Doors,
    targets: &[SocketAddr],
    store: &str,
    retry: &str,
) -> io::Result<()> {
    let names: Vec<String> = (1..=targets.len()).map(|at| format!("t{at}")).collect();
    let described: String = names
        .iter()
        .zip(targets)
        .map(|(name, addr)| {
            format!(
                "  {name}:\n    url: http://{addr}/hooks\n    sign: {{preset: standard-webhooks, \
                 secrets: [{{file: ./secret}}]}}\n    retry: {retry}\n    concurrency: {}\n",
                crate::CONNECTIONS
            )
        })
        .collect();
    let config = format!(
        "listen: {}\nadmin: {{listen: \"{}\"}}\nstore: {store}\ntemplates: ./templates\n\
         vars: {{region: eu}}\nsources:\n  bench:\n    preset: standard-webhooks\n    \
         secrets: [{{file: ./secret}}]\ntargets:\n{described}routes:\n  - name: orders\n    \
         from: bench\n    match: {{type: \"order.*\"}}\n    template: relay.json.liquid\n    to: [{}]\n",
        doors.public,
        doors.admin,
        names.join(", ")
    );
    fs::create_dir_all(folder.join("templates"))?;
    let template = include_str!("relay.json.liquid");
    fs::write(folder.join("templates/relay.json.liquid"), template)?;
    fs::write(folder.join("secret"), event::SECRET)?;
    fs::write(folder.join("config.yaml"), config)
}

/// What a process has used, as /proc says.
#[derive(Clone, Copy, Default)]
pub struct Usage {
    /// Seconds of CPU, user and system.
    pub cpu: f64,
    /// MiB that it has in memory.
    pub rss: f64,
    /// The most that it has had.
    pub peak: f64,
}

impl std::iter::Sum for Usage {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            cpu: sum.cpu + one.cpu,
            rss: sum.rss + one.rss,
            peak: sum.peak + one.peak,
        })
    }
}

impl Usage {
    /// Of a process by its id.
    pub fn of(pid: u32) -> Self {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let mib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
            kib.unwrap_or(0.0) / 1024.0
        };
        Self {
            cpu: name_and_cpu(&stat).map_or(0.0, |(_, cpu)| cpu),
            rss: mib("VmRSS:"),
            peak: mib("VmHWM:"),
        }
    }
}

/// The name and the CPU seconds in a line of /proc/PID/stat.
fn name_and_cpu(stat: &str) -> Option<(String, f64)> {
    let (start, end) = (stat.find('(')?, stat.rfind(')')?);
    let mut fields = stat[end + 1..].split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    let cpu = (ticks()? + ticks()?) / TICKS;
    Some((stat[start + 1..end].to_owned(), cpu))
}

/// CPU seconds that the whole machine has been busy, and those that it had.
pub fn machine() -> (f64, f64) {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = stat.lines().next().unwrap_or_default();
    let ticks: Vec<f64> = line
        .split_whitespace()
        .skip(1)
        .take(8)
        .filter_map(|field| field.parse().ok())
        .collect();
    let all: f64 = ticks.iter().sum();
    // idle and iowait
    let idle: f64 = ticks.iter().skip(3).take(2).sum();
    ((all - idle) / TICKS, all / TICKS)
}

/// Asks every few milliseconds until it is so.
pub fn until(patience: Duration, mut holds: impl FnMut() -> bool) -> io::Result<()> {
    let start = Instant::now();
    while !holds() {
        if start.elapsed() > patience {
            return Err(io::ErrorKind::TimedOut.into());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// The kind of file system that a folder is on.
pub fn file_system(folder: &Path) -> String {
    let folder = fs::canonicalize(folder).unwrap_or_default();
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mounts = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let at = fields.next()?;
        folder.starts_with(at).then_some((at.len(), fields.next()?))
    });
    mounts
        .max_by_key(|(length, _)| *length)
        .map_or("?", |(_, kind)| kind)
        .to_owned()
}

/// The median time of appending 4 KiB and `fdatasync`, in milliseconds: what the disk makes a lone writer wait.
pub fn sync_time(folder: &Path) -> io::Result<f64> {
    let path = folder.join("sync");
    let mut file = fs::File::create(&path)?;
    let mut times = Vec::new();
    for _ in 0..101 {
        let start = Instant::now();
        file.write_all(&[b'x'; 4096])?;
        file.sync_data()?;
        times.push(start.elapsed());
    }
    fs::remove_file(path)?;
    times.sort();
    Ok(times[times.len() / 2].as_secs_f64() * 1e3)
}
