//! A command at a terminal: what it shows, and what is typed.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, open};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// How long something may take to be shown.
const PATIENCE: Duration = Duration::from_secs(30);

/// A command that runs at a terminal of its own, of 200 columns and 40 rows.
pub struct Terminal {
    child: Child,
    typed: File,
    pieces: Receiver<Vec<u8>>,
    shown: Vec<u8>,
    /// How far it was looked through.
    seen: usize,
}

impl Terminal {
    pub fn start(mut command: Command) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap();
        let theirs = open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let size = Winsize {
            ws_col: 200,
            ws_row: 40,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&theirs, size).unwrap();
        let theirs = File::from(theirs);
        let child = command
            .env_remove("TERM")
            .stdin(Stdio::from(theirs.try_clone().unwrap()))
            .stdout(Stdio::from(theirs.try_clone().unwrap()))
            .stderr(Stdio::from(theirs))
            .spawn()
            .unwrap();
        // What the command holds of the terminal must not be held here, or reading would never end.
        drop(command);
        let typed = File::from(ours);
        let mut reader = typed.try_clone().unwrap();
        let (sender, pieces) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // An error is the end: nobody holds the other side any more.
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                if sender.send(buffer[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self {
            child,
            typed,
            pieces,
            shown: Vec::new(),
            seen: 0,
        }
    }

    /// Waits until this is shown, behind what was waited for before.
    pub fn until(&mut self, text: &str) {
        let start = Instant::now();
        loop {
            let new = &self.shown[self.seen..];
            let found = new
                .windows(text.len())
                .position(|window| window == text.as_bytes());
            if let Some(at) = found {
                self.seen += at + text.len();
                return;
            }
            let left = PATIENCE.saturating_sub(start.elapsed());
            match self.pieces.recv_timeout(left) {
                Ok(piece) => self.shown.extend(piece),
                Err(_) => panic!("{text:?} is never shown: {:?}", self.text()),
            }
        }
    }

    pub fn type_in(&mut self, text: &str) {
        self.typed.write_all(text.as_bytes()).unwrap();
    }

    /// What Ctrl-C does.
    pub fn interrupt(&self) {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
    }

    /// Waits for its end: the exit code, and all that was shown.
    pub fn end(mut self) -> (Option<i32>, String) {
        while let Ok(piece) = self.pieces.recv_timeout(PATIENCE) {
            self.shown.extend(piece);
        }
        let status = self.child.wait().unwrap();
        (status.code(), self.text())
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.shown).into_owned()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
