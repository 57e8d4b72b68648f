//! What the service manager hears: a socket of its protocol, and the daemon as a process of its own.

use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ingate::service;

use crate::process::Site;

/// How long a word is waited for before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

const REST: &str = r#"
sources: {s: {preset: hmac, secrets: [{value: a-plain-test-secret-of-40-characters-xyz}]}}
targets: {t: {url: "http://127.0.0.1:9/"}}
routes: [{name: all, from: s, to: t}]
limits: {drain: 7s}
"#;

/// A service manager's ear.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
    /// Every line that came, in order.
    heard: Vec<String>,
    _folder: tempfile::TempDir,
}

impl Manager {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        Self {
            socket,
            path,
            heard: Vec::new(),
            _folder: folder,
        }
    }

    fn address(&self) -> (&str, &str) {
        ("NOTIFY_SOCKET", self.path.to_str().unwrap())
    }

    fn receive(&mut self) -> std::io::Result<()> {
        let mut buffer = [0; 4096];
        let length = self.socket.recv(&mut buffer)?;
        let text = std::str::from_utf8(&buffer[..length]).unwrap();
        self.heard.extend(text.lines().map(str::to_owned));
        Ok(())
    }

    /// Waits until a line has come so many times, counted from the beginning.
    fn wait_for(&mut self, line: &str, times: usize) {
        self.socket.set_read_timeout(Some(PATIENCE)).unwrap();
        while self.count(line) < times {
            if self.receive().is_err() {
                panic!("waited in vain for {line}; heard {:?}", self.heard);
            }
        }
    }

    /// Takes what has come already.
    fn drain(&mut self) {
        self.socket.set_nonblocking(true).unwrap();
        while self.receive().is_ok() {}
        self.socket.set_nonblocking(false).unwrap();
    }

    fn count(&self, line: &str) -> usize {
        self.heard.iter().filter(|heard| *heard == line).count()
    }

    fn place(&self, line: &str) -> Option<usize> {
        self.heard.iter().position(|heard| heard == line)
    }

    /// The number after `key=` in the last line that has it.
    fn number(&self, key: &str) -> Option<u64> {
        let mut lines = self.heard.iter().rev();
        lines.find_map(|line| line.strip_prefix(key)?.strip_prefix('=')?.parse().ok())
    }
}

#[test]
fn ready_when_the_doors_answer_and_stopping_at_the_drain() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::new(folder.path(), REST);
    let mut manager = Manager::new();
    let daemon = site.spawn(&[manager.address()]);
    manager.wait_for("READY=1", 1);
    for port in [site.public, site.admin] {
        TcpStream::connect(("127.0.0.1", port)).unwrap();
    }
    // Time for a start that takes long was asked for before, and the line for people says where we are.
    let ready = manager.place("READY=1");
    assert!(manager.place("EXTEND_TIMEOUT_USEC=60000000") < ready);
    assert!(manager.place("EXTEND_TIMEOUT_USEC=60000000").is_some());
    let status = format!(
        "STATUS=webhooks at 127.0.0.1:{}, operator at 127.0.0.1:{}",
        site.public, site.admin
    );
    assert_eq!(manager.count(&status), 1, "{:?}", manager.heard);
    assert_eq!(manager.count("STOPPING=1"), 0);

    assert_eq!(daemon.terminate().code(), Some(0));
    manager.drain();
    assert_eq!(manager.count("STOPPING=1"), 1, "{:?}", manager.heard);
    // The drain and what closing takes, however short the manager's own limit is.
    assert_eq!(manager.number("EXTEND_TIMEOUT_USEC"), Some(37_000_000));
    assert_eq!(manager.count("READY=1"), 1);
    assert_eq!(manager.count("WATCHDOG=1"), 0, "nobody has asked for it");
}

#[test]
fn the_watchdog_hears_a_beat_until_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::new(folder.path(), REST);
    let mut manager = Manager::new();
    let daemon = site.spawn(&[manager.address(), ("WATCHDOG_USEC", "100000")]);
    manager.wait_for("WATCHDOG=1", 10);
    assert_eq!(daemon.terminate().code(), Some(0));
}

#[test]
fn a_watchdog_of_another_process_or_of_no_time_is_none() {
    for watchdog in [
        [("WATCHDOG_USEC", "100000"), ("WATCHDOG_PID", "1")],
        [("WATCHDOG_USEC", "0"), ("WATCHDOG_PID", "")],
    ] {
        let folder = tempfile::tempdir().unwrap();
        let site = Site::new(folder.path(), REST);
        let mut manager = Manager::new();
        let daemon = site.spawn(&[manager.address(), watchdog[0], watchdog[1]]);
        manager.wait_for("READY=1", 1);
        assert_eq!(daemon.terminate().code(), Some(0), "{watchdog:?}");
        manager.drain();
        assert_eq!(manager.count("WATCHDOG=1"), 0, "{watchdog:?}");
    }
}

#[test]
fn a_store_that_is_full_is_ready_and_alive() {
    // A restart would not make room: the daemon stays, and says 503 with the reason.
    let folder = tempfile::tempdir().unwrap();
    let site = Site::new(folder.path(), REST);
    let config = std::fs::read_to_string(site.config()).unwrap();
    let full = config.replace("{path: ./data}", "{path: ./data, min_free: 1000000GiB}");
    assert_ne!(config, full);
    std::fs::write(site.config(), full).unwrap();
    let mut manager = Manager::new();
    let daemon = site.spawn(&[manager.address(), ("WATCHDOG_USEC", "100000")]);
    manager.wait_for("READY=1", 1);
    let readiness = get(site.admin, "/readyz");
    assert!(readiness.starts_with("HTTP/1.1 503 "), "{readiness}");
    let so_far = manager.count("WATCHDOG=1");
    manager.wait_for("WATCHDOG=1", so_far + 10);
    assert_eq!(daemon.terminate().code(), Some(0));
}

#[test]
fn a_start_that_fails_is_never_ready() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::new(folder.path(), "sources: broken\n");
    let mut manager = Manager::new();
    let mut daemon = site.spawn(&[manager.address()]);
    assert_eq!(daemon.wait().code(), Some(78), "{}", site.log());
    manager.drain();
    assert_eq!(manager.heard, Vec::<String>::new());
}

#[test]
fn a_manager_that_is_gone_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::new(folder.path(), REST);
    let nowhere = folder.path().join("nobody-listens");
    let environment = [("NOTIFY_SOCKET", nowhere.to_str().unwrap())];
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let daemon = runtime.block_on(site.start_with(&environment));
    assert_eq!(daemon.terminate().code(), Some(0));
    assert!(site.log().contains("the service manager cannot be told"));
}

#[test]
fn a_reload_by_signal_is_told_from_its_begin_to_its_end_whatever_comes_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::new(folder.path(), REST);
    let mut manager = Manager::new();
    let daemon = site.spawn(&[manager.address()]);
    manager.wait_for("READY=1", 1);
    let reloads = |manager: &Manager| {
        let all = manager.heard.iter().map(String::as_str);
        all.filter(|line| ["READY=1", "RELOADING=1"].contains(line))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    daemon.hang_up();
    manager.wait_for("READY=1", 2);
    assert_eq!(reloads(&manager), ["READY=1", "RELOADING=1", "READY=1"]);
    let first = manager.number("MONOTONIC_USEC").unwrap();
    // The watch may see the broken file as well, and have it read before the signal or after it.
    site.write("sources: broken\n");
    daemon.hang_up();
    manager.wait_for("READY=1", 3);
    assert!(manager.number("MONOTONIC_USEC").unwrap() > first);
    assert!(site.log().contains("the old one stays in force"));
    for pair in reloads(&manager).windows(2) {
        assert_ne!(pair[0], pair[1], "{:?}", manager.heard);
    }
    assert!(get(site.admin, "/readyz").starts_with("HTTP/1.1 200 "));
    assert_eq!(daemon.terminate().code(), Some(0));
}

/// Runs one of the tests below in a process of its own, this test binary with the variables set, and gives what
/// the manager heard of it.
fn heard_of(test: &str, environment: &[(&str, &str)]) -> Manager {
    let mut manager = Manager::new();
    let (name, path) = manager.address();
    let spoken = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored"])
        .env(name, path)
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    assert!(spoken.status.success(), "{spoken:?}");
    let ran = String::from_utf8_lossy(&spoken.stdout).contains("1 passed");
    assert!(ran, "{spoken:?}");
    manager.drain();
    manager
}

#[test]
fn a_reload_is_told_with_its_time_and_a_status_is_one_line() {
    let manager = heard_of("service::speaker", &[]);
    assert_eq!(manager.heard[0], "RELOADING=1");
    assert!(manager.number("MONOTONIC_USEC").is_some_and(|now| now > 0));
    let rest = &manager.heard[2..];
    assert_eq!(rest, ["STATUS=two lines READY=1", "READY=1"]);
}

/// Part of the test above.
#[test]
#[ignore = "run by another test, in a process of its own"]
fn speaker() {
    service::reloading();
    service::status("two lines\nREADY=1");
    service::ready();
}

#[test]
fn who_is_not_alive_has_no_beat() {
    let manager = heard_of("service::dying", &[("WATCHDOG_USEC", "2000")]);
    assert_eq!(manager.heard, ["WATCHDOG=1"; 3]);
}

/// Part of the test above: alive three times, then no more.
#[test]
#[ignore = "run by another test, in a process of its own"]
fn dying() {
    let asked = AtomicUsize::new(0);
    let watchdog = service::watchdog(|| asked.fetch_add(1, Ordering::SeqCst) < 3);
    let enough = async {
        while asked.load(Ordering::SeqCst) < 6 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        tokio::select! {
            // nobody asks for a beat
            () = watchdog => {}
            () = enough => {}
        }
    });
}

/// The answer to a GET, whole.
fn get(port: u16, path: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
