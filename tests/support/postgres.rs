//! A PostgreSQL of the tests' own: made by initdb in a temporary folder, run by an unprivileged user on a free port of
//! the loopback and a socket in that folder, gone with the process that started it, however that ends.
//!
//! Needs no other file of the project, so that the library's own tests, the stories and the benches can all include it by
//! its path. Where no server can be had, it says why; see [`or_skip`].
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    missing_docs
)]

use std::fs::File;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The oldest version that is promised to work.
const OLDEST: u32 = 15;

/// How long a server may take to start, to stop, or to come back from a crash on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often a server is started on another port because somebody was quicker to take the last one.
const PORTS: u32 = 5;

/// Who owns the databases; nobody asks for a password.
const USER: &str = "ingate";

/// Runs the server that its arguments name in place of itself, beside one that waits for a word on the standard input: the name
/// of the signal that ends the server. If the other side is gone without a word, so is the server, and the folder with it.
const HOLDER: &str = r#"
folder="$1"
shift
exec 3<&0
(
    (
        if read -r signal <&3; then
            kill -s "$signal" $$
        else
            kill -s QUIT $$
            tries=0
            while [ -e "$folder/data/postmaster.pid" ] && kill -s 0 $$ && [ $tries -lt 100 ]; do
                sleep 0.1
                tries=$((tries + 1))
            done
            cd / && rm -rf "$folder"
        fi
    ) &
)
exec 3<&-
exec "$@" </dev/null
"#;

/// What a server is for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Whether commits wait for the disk. Without it only a crash of the whole machine could lose one, and everything is faster.
    pub fsync: bool,
    /// More settings, as in `postgresql.conf`.
    pub settings: Vec<(&'static str, String)>,
}

impl Default for Wanted {
    /// As in earnest.
    fn default() -> Self {
        Self {
            fsync: true,
            settings: Vec::new(),
        }
    }
}

/// How a server is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Halt {
    /// Connections are closed, then it ends in order.
    Fast,
    /// At once, as in a crash: it has to recover when it starts again.
    Immediate,
}

/// One server; it is stopped and its folder removed when this is dropped.
pub struct Server {
    programs: Programs,
    port: u16,
    wanted: Wanted,
    databases: AtomicU32,
    running: Mutex<Option<Running>>,
    // Last, so that nothing runs in it any more.
    folder: TempDir,
}

impl Server {
    /// A server as in earnest.
    pub fn start() -> Result<Self, String> {
        Self::start_as(Wanted::default())
    }

    /// A server with these settings. The error says why there is none.
    pub fn start_as(wanted: Wanted) -> Result<Self, String> {
        let folder = tempfile::Builder::new()
            .prefix("ingate-pg-")
            .tempdir()
            .map_err(|error| format!("no temporary folder: {error}"))?;
        let programs = Programs::find(folder.path())?;
        programs.make_cluster(folder.path())?;
        let mut server = Self {
            programs,
            port: 0,
            wanted,
            databases: AtomicU32::new(0),
            running: Mutex::new(None),
            folder,
        };
        let mut tries = 1;
        loop {
            server.port = free_port()?;
            match server.start_again() {
                Ok(()) => return Ok(server),
                Err(error) if tries < PORTS && error.contains("Address already in use") => {
                    tries += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The one server of this process, for tests that leave it running; it does not wait for the disk.
    pub fn shared() -> Result<&'static Self, String> {
        static SHARED: OnceLock<Result<Server, String>> = OnceLock::new();
        let relaxed = || {
            Self::start_as(Wanted {
                fsync: false,
                ..Wanted::default()
            })
        };
        SHARED.get_or_init(relaxed).as_ref().map_err(String::clone)
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// Where it keeps everything.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A new, empty database; it is dropped with its handle.
    pub fn database(&self) -> Database {
        let number = self.databases.fetch_add(1, Ordering::Relaxed) + 1;
        let database = Database {
            name: format!("db{number}"),
            port: self.port,
            psql: self.psql_of(),
        };
        // template0 is used by nobody else, and has the encoding and the locale of the cluster.
        let made = self.psql(&format!(
            "create database {} template template0",
            database.name
        ));
        assert_eq!(made, "");
        database
    }

    /// What this SQL gives in the database `postgres`; see [`Database::psql`].
    pub fn psql(&self, sql: &str) -> String {
        self.psql_of().run("postgres", sql).unwrap()
    }

    /// Stops it and starts it again on the same port. The error says why it does not come back.
    pub fn restart(&self, halt: Halt) -> Result<(), String> {
        self.stop(halt);
        self.start_again()
    }

    /// Stops it; its databases stay.
    pub fn stop(&self, halt: Halt) {
        let running = self.running.lock().unwrap().take();
        running.expect("the server runs").stop(halt);
    }

    /// Starts it after [`Self::stop`], on the same port; it takes connections when this returns.
    pub fn start_again(&self) -> Result<(), String> {
        let mut running = self.running.lock().unwrap();
        assert!(running.is_none(), "the server runs already");
        let mut started = self.spawn()?;
        let start = Instant::now();
        while self.psql_of().run("postgres", "select 1").is_err() {
            let ended = started
                .child
                .try_wait()
                .map_err(|error| error.to_string())?;
            if ended.is_some() || start.elapsed() > PATIENCE {
                started.stop(Halt::Immediate);
                return Err(format!("the server does not start:\n{}", self.log()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        *running = Some(started);
        Ok(())
    }

    /// What it has said since it was started last.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.folder.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn psql_of(&self) -> Psql {
        Psql {
            program: self.programs.program("psql"),
            folder: self.folder.path().to_owned(),
            port: self.port,
        }
    }

    fn spawn(&self) -> Result<Running, String> {
        let folder = self.folder.path();
        let log = File::create(folder.join("log")).map_err(|error| error.to_string())?;
        let said = log.try_clone().map_err(|error| error.to_string())?;
        let on_or_off = |on: bool| if on { "on" } else { "off" }.to_owned();
        let mut settings = vec![
            ("listen_addresses", "127.0.0.1".to_owned()),
            ("port", self.port.to_string()),
            ("unix_socket_directories", folder.display().to_string()),
            ("shared_buffers", "64MB".to_owned()),
            ("max_connections", "100".to_owned()),
            ("fsync", on_or_off(self.wanted.fsync)),
            ("synchronous_commit", "on".to_owned()),
        ];
        settings.extend(self.wanted.settings.iter().cloned());
        let mut command = self.programs.command("/bin/sh".as_ref(), folder);
        command
            .args(["-c", HOLDER, "holder"])
            .arg(folder)
            .arg(self.programs.program("postgres"))
            .arg("-D")
            .arg(folder.join("data"));
        for (name, value) in settings {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        let child = command
            .stdin(Stdio::piped())
            .stdout(log)
            .stderr(said)
            // Ctrl-C is for the tests; the server ends with them.
            .process_group(0)
            .spawn()
            .map_err(|error| format!("the server cannot be run: {error}"))?;
        Ok(Running { child })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let running = self.running.lock().map(|mut running| running.take());
        if let Ok(Some(running)) = running {
            running.stop(Halt::Immediate);
        }
    }
}

/// A server's process, and the word that it waits for.
struct Running {
    child: Child,
}

impl Running {
    fn stop(mut self, halt: Halt) {
        let signal: &[u8] = match halt {
            Halt::Fast => b"INT\n",
            Halt::Immediate => b"QUIT\n",
        };
        let mut word = self.child.stdin.take().unwrap();
        // It may have ended by itself. The word keeps the holder from removing the folder.
        let _ = word.write_all(signal);
        let start = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            if start.elapsed() > PATIENCE {
                let _ = self.child.kill();
                let _ = self.child.wait();
                eprintln!("the database server did not end by {halt:?}, and was killed");
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A database of a server.
#[derive(Debug)]
pub struct Database {
    name: String,
    port: u16,
    psql: Psql,
}

impl Database {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it is.
    pub fn url(&self) -> String {
        self.url_at(([127, 0, 0, 1], self.port).into())
    }

    /// Where it is by way of another address, such as a proxy's.
    pub fn url_at(&self, addr: SocketAddr) -> String {
        format!("postgres://{USER}@{addr}/{}", self.name)
    }

    /// What this SQL gives: a line for each row, columns parted by `|`, null is empty. Panics with the server's word if it fails.
    pub fn psql(&self, sql: &str) -> String {
        self.psql.run(&self.name, sql).unwrap()
    }

    /// Ends all connections to it, as an operator could; gives how many there were.
    pub fn terminate_backends(&self) -> usize {
        let ended = self.psql(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity \
             where datname = current_database() and pid <> pg_backend_pid()",
        );
        ended.parse().unwrap()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // The server may be stopped, or gone.
        let drop = format!("drop database if exists {} with (force)", self.name);
        let _ = self.psql.run("postgres", &drop);
    }
}

/// The command-line client, towards one server.
#[derive(Debug)]
struct Psql {
    program: PathBuf,
    folder: PathBuf,
    port: u16,
}

impl Psql {
    fn run(&self, database: &str, sql: &str) -> Result<String, String> {
        let output = bare(&self.program)
            .args(["-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1"])
            .arg("-h")
            .arg(&self.folder)
            .args(["-p", &self.port.to_string(), "-U", USER, "-d", database])
            .args(["-c", sql])
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("{}: {error}", self.program.display()))?;
        words_of(output).map(|words| words.trim_end_matches('\n').to_owned())
    }
}

/// The server's programs, and who runs them.
struct Programs {
    folder: PathBuf,
    /// User and group, where it is not who we are: PostgreSQL does not run as root.
    user: Option<(u32, u32)>,
}

impl Programs {
    /// The newest that there are, for a server in this folder, which is made theirs. The error says that there are none, or
    /// what they lack.
    fn find(home: &Path) -> Result<Self, String> {
        let wanted = ["initdb", "postgres", "psql"];
        let has_all = |folder: &PathBuf| wanted.iter().all(|name| folder.join(name).is_file());
        let mut newest: Option<(u32, PathBuf)> = None;
        for folder in program_folders().into_iter().filter(has_all) {
            let version = version_of(&folder)?;
            if newest.as_ref().is_none_or(|(other, _)| version > *other) {
                newest = Some((version, folder));
            }
        }
        let none = "there is no PostgreSQL on this machine; it is in Debian's package postgresql";
        let (version, folder) = newest.ok_or(none)?;
        if version < OLDEST {
            let place = folder.display();
            return Err(format!(
                "PostgreSQL {version} in {place} is too old, {OLDEST} or later is needed"
            ));
        }
        let user = hand_over(home).map_err(|error| format!("{}: {error}", home.display()))?;
        Ok(Self { folder, user })
    }

    fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A command of the user that the server runs as.
    fn command(&self, program: &Path, folder: &Path) -> Command {
        let mut command = bare(program);
        command.current_dir(folder);
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command
    }

    fn make_cluster(&self, folder: &Path) -> Result<(), String> {
        let output = self
            .command(&self.program("initdb"), folder)
            .args(["--username", USER, "--auth", "trust", "--encoding", "UTF8"])
            .args(["--locale", "C", "--no-sync", "--no-instructions"])
            .arg("--pgdata")
            .arg(folder.join("data"))
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("initdb cannot be run: {error}"))?;
        words_of(output).map(drop)
    }
}

/// Where the programs may be: where Debian and Red Hat put them, and wherever commands are.
fn program_folders() -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for (parent, prefix) in [("/usr/lib/postgresql", ""), ("/usr", "pgsql-")] {
        let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
        let named = entries.filter(|entry| {
            let name = entry.file_name();
            name.to_str().is_some_and(|name| name.starts_with(prefix))
        });
        folders.extend(named.map(|entry| entry.path().join("bin")));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    folders.extend(std::env::split_paths(&path));
    folders
}

/// The first number of `postgres (PostgreSQL) 15.18 (Debian ..)`.
fn version_of(folder: &Path) -> Result<u32, String> {
    let program = folder.join("postgres");
    let output = bare(&program)
        .arg("--version")
        .output()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    let words = words_of(output)?;
    let number = words.split(|c: char| !c.is_ascii_digit());
    let first = number.into_iter().find(|digits| !digits.is_empty());
    first
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| format!("{} does not say its version: {words}", program.display()))
}

/// Gives the folder to a user without rights of its own if we are root, since PostgreSQL does not run as that; gives user and group.
fn hand_over(folder: &Path) -> std::io::Result<Option<(u32, u32)>> {
    if std::fs::metadata(folder)?.uid() != 0 {
        return Ok(None);
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let ids = |name: &str| {
        let mut lines = users
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>());
        let fields = lines.find(|fields| fields.first() == Some(&name))?;
        let number = |at: usize| fields.get(at)?.parse::<u32>().ok();
        Some((number(2)?, number(3)?))
    };
    // Where nobody has a line, this is still who it is.
    let (user, group) = ids("postgres")
        .or_else(|| ids("nobody"))
        .unwrap_or((65534, 65534));
    chown(folder, Some(user), Some(group))?;
    Ok(Some((user, group)))
}

/// A command to which the environment says nothing but where programs are.
fn bare(program: &Path) -> Command {
    let mut command = Command::new(program);
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    command.env_clear().env("PATH", path).env("LC_ALL", "C");
    command
}

/// What a command printed; the error is what it complained of.
fn words_of(output: Output) -> Result<String, String> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{}: {}", output.status, said.trim_end()))
}

fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind(("127.0.0.1", 0));
    let addr = listener.and_then(|listener| listener.local_addr());
    addr.map(|addr| addr.port())
        .map_err(|error| format!("no free port: {error}"))
}

/// What a test does with a server that cannot be had: it says so and passes.
pub fn or_skip<T>(server: Result<T, String>) -> Option<T> {
    server.inspect_err(|why| eprintln!("skipped: {why}")).ok()
}
