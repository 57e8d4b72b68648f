//! The daemon as a process of its own, for what only a process can show: kill -9, signals, exit codes.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long a daemon may take to become ready or to end before a test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the binary is.
pub const BINARY: &str = env!("CARGO_BIN_EXE_ingate");

pub fn binary() -> Command {
    plain(Command::new(BINARY))
}

/// A command whose environment says nothing to a daemon.
fn plain(mut command: Command) -> Command {
    for variable in [
        "INGATE_CONFIG",
        "INGATE_ADMIN",
        "INGATE_TOKEN",
        "NOTIFY_SOCKET",
        "WATCHDOG_USEC",
    ] {
        command.env_remove(variable);
    }
    command.env("NO_COLOR", "1");
    command
}

/// Runs a command to its end.
pub fn ingate(args: &[&str]) -> Output {
    binary().args(args).output().unwrap()
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    // Not one that the kernel may give to a connection while the daemon that listens there is started again.
    let below = 10_000..30_000_u16;
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    std::iter::repeat_with(|| fastrand::u16(below.clone()))
        .find(free)
        .unwrap()
}

/// A configuration on disk with two ports of its own; each start of the daemon uses the same ones.
pub struct Site {
    pub folder: PathBuf,
    pub public: u16,
    pub admin: u16,
}

impl Site {
    /// Writes `config.yaml` into the folder: the doors and the store, then `rest`.
    pub fn new(folder: &Path, rest: &str) -> Self {
        let site = Self {
            folder: folder.to_owned(),
            public: free_port(),
            admin: free_port(),
        };
        site.write(rest);
        site
    }

    /// Writes the configuration anew. A `rest` that says where the store is keeps its word.
    pub fn write(&self, rest: &str) {
        let store = match rest.contains("store:") {
            true => "",
            false => "store: {path: ./data}\n",
        };
        let text = format!(
            "listen: 127.0.0.1:{}\nadmin: {{listen: \"127.0.0.1:{}\"}}\n{store}{rest}",
            self.public, self.admin
        );
        std::fs::write(self.folder.join("config.yaml"), text).unwrap();
    }

    pub fn config(&self) -> PathBuf {
        self.folder.join("config.yaml")
    }

    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Starts the daemon without waiting for it; its words go to `daemon.log` in the folder.
    pub fn spawn(&self, environment: &[(&str, &str)]) -> Process {
        self.spawn_by(Command::new(BINARY), environment)
    }

    /// The same by another command, which must become the binary with the arguments that it is given.
    fn spawn_by(&self, command: Command, environment: &[(&str, &str)]) -> Process {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.join("daemon.log"))
            .unwrap();
        let child = plain(command)
            .args(["run", "-c"])
            .arg(self.config())
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Process { child }
    }

    /// Starts the daemon and waits until it is ready.
    pub async fn start(&self) -> Process {
        self.start_with(&[]).await
    }

    /// The same with variables of the environment.
    pub async fn start_with(&self, environment: &[(&str, &str)]) -> Process {
        self.start_by(Command::new(BINARY), environment).await
    }

    /// The same by another command, which must become the binary with the arguments that it is given.
    pub async fn start_by(&self, command: Command, environment: &[(&str, &str)]) -> Process {
        let mut process = self.spawn_by(command, environment);
        let start = Instant::now();
        while !self.ready().await {
            if let Some(status) = process.child.try_wait().unwrap() {
                panic!("the daemon ended with {status}:\n{}", self.log());
            }
            assert!(start.elapsed() < PATIENCE, "never ready:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        process
    }

    async fn ready(&self) -> bool {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let Ok(mut stream) = tokio::net::TcpStream::connect(("127.0.0.1", self.admin)).await else {
            return false;
        };
        let request = format!(
            "GET /readyz HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n\r\n",
            self.admin
        );
        let mut answer = Vec::new();
        stream.write_all(request.as_bytes()).await.is_ok()
            && stream.read_to_end(&mut answer).await.is_ok()
            && answer.starts_with(b"HTTP/1.1 200")
    }

    /// All that the daemons of this site have said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("daemon.log")).unwrap_or_default()
    }
}

/// A daemon that runs; it is killed when this is dropped.
pub struct Process {
    child: Child,
}

impl Process {
    /// The id of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// kill -9
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGHUP
    pub fn hang_up(&self) {
        kill_process(Pid::from_child(&self.child), Signal::HUP).unwrap();
    }

    /// SIGTERM, and how it ended.
    pub fn terminate(mut self) -> ExitStatus {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        self.wait()
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "the daemon does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a command printed to stderr.
pub fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What a command printed to stdout.
pub fn data(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}
