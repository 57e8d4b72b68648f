//! The sender: so many connections that are kept, each with one request under way at a time.
//!
//! [`closed`] sends the next request as soon as the answer to the one before is there: the most that the other side
//! takes. [`open`] sends by a schedule, however slow the answers are, and counts from when a request was due.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::CONNECTIONS;
use crate::event::Requests;
use crate::peers::nanos;
use crate::wire::Reader;

/// How long a sender waits before it sends again what was refused with 503.
const REFUSED_PAUSE: Duration = Duration::from_millis(20);

/// When each request was begun (or due) and when it was answered with 200, in nanoseconds on the clock.
pub struct Sent {
    clock: Instant,
    begun: Vec<AtomicU64>,
    answered: Vec<AtomicU64>,

    refused: AtomicUsize,
}

impl Sent {
    fn new(clock: Instant, count: usize) -> Arc<Self> {
        let zeros = || (0..count).map(|_| AtomicU64::new(0)).collect();
        Arc::new(Self {
            clock,
            begun: zeros(),
            answered: zeros(),
            refused: AtomicUsize::new(0),
        })
    }

    fn now(&self) -> u64 {
        nanos(self.clock.elapsed())
    }

    /// When the first was begun.
    pub fn first(&self) -> u64 {
        let begun = self.begun.iter().map(|at| at.load(Relaxed));
        begun.min().unwrap_or(0)
    }

    /// When the last answer came.
    pub fn last(&self) -> u64 {
        let answered = self.answered.iter().map(|at| at.load(Relaxed));
        answered.max().unwrap_or(0)
    }

    /// Answers of 503; what was refused was sent again.
    pub fn refused(&self) -> usize {
        self.refused.load(Relaxed)
    }

    /// When one was begun and when it was answered.
    pub fn times(&self, at: usize) -> (u64, u64) {
        (
            self.begun[at].load(Relaxed),
            self.answered[at].load(Relaxed),
        )
    }
}

struct Connection {
    to: SocketAddr,
    stream: TcpStream,
    reader: Reader,
}

impl Connection {
    async fn open(to: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            to,
            stream,
            reader: Reader::new(),
        })
    }

    /// Sends a request until it is answered with 200.
    async fn send(&mut self, request: &[u8], sent: &Sent) -> io::Result<()> {
        loop {
            self.stream.write_all(request).await?;
            let answer = self.reader.next(&mut self.stream).await?;
            let answer = answer.ok_or(io::ErrorKind::UnexpectedEof)?;
            match answer.first.get(9..12) {
                Some(b"200") => return Ok(()),
                Some(b"503") => {
                    sent.refused.fetch_add(1, Relaxed);
                    tokio::time::sleep(REFUSED_PAUSE).await;
                    // a door that is closing ends the connection after its answer
                    if self.stream.try_read(&mut [0]).is_ok() {
                        *self = Self::open(self.to).await?;
                    }
                }
                _ => {
                    let line = String::from_utf8_lossy(answer.first).into_owned();
                    return Err(io::Error::other(format!("answered `{line}`")));
                }
            }
        }
    }
}

/// Sends all requests over all connections, which are shared out among the addresses, as fast as they are answered.
pub async fn closed(
    to: &[SocketAddr],
    requests: &Arc<Requests>,
    clock: Instant,
) -> io::Result<Arc<Sent>> {
    let sent = Sent::new(clock, requests.len());
    let next = Arc::new(AtomicUsize::new(0));
    let mut senders = JoinSet::new();
    for (_, to) in (0..CONNECTIONS.min(requests.len())).zip(to.iter().cycle()) {
        let mut connection = Connection::open(*to).await?;
        let (requests, sent, next) = (Arc::clone(requests), Arc::clone(&sent), Arc::clone(&next));
        senders.spawn(async move {
            loop {
                let at = next.fetch_add(1, Relaxed);
                if at >= requests.len() {
                    return io::Result::Ok(());
                }
                sent.begun[at].store(sent.now(), Relaxed);
                connection.send(requests.get(at), &sent).await?;
                sent.answered[at].store(sent.now(), Relaxed);
            }
        });
    }
    joined(senders).await?;
    Ok(sent)
}

/// Sends all requests, so many a second. A request whose connection still waits for an answer is sent late, but counts
/// from when it was due.
pub async fn open(
    to: &[SocketAddr],
    requests: &Arc<Requests>,
    clock: Instant,
    rate: f64,
) -> io::Result<Arc<Sent>> {
    let sent = Sent::new(clock, requests.len());
    let mut senders = JoinSet::new();
    let mut lines = Vec::new();
    for (_, to) in (0..CONNECTIONS).zip(to.iter().cycle()) {
        let mut connection = Connection::open(*to).await?;
        let (line, mut due) = mpsc::unbounded_channel::<usize>();
        lines.push(line);
        let (requests, sent) = (Arc::clone(requests), Arc::clone(&sent));
        senders.spawn(async move {
            while let Some(at) = due.recv().await {
                connection.send(requests.get(at), &sent).await?;
                sent.answered[at].store(sent.now(), Relaxed);
            }
            io::Result::Ok(())
        });
    }
    // A thread of its own, since timers of tokio are only good to a millisecond.
    let pacer = Arc::clone(&sent);
    let count = requests.len();
    std::thread::spawn(move || {
        let start = Instant::now();
        for at in 0..count {
            let due = start + Duration::from_secs_f64(at as f64 / rate);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            pacer.begun[at].store(nanos(due.duration_since(pacer.clock)), Relaxed);
            // an error is a sender that failed, which is reported by its task
            let _ = lines[at % lines.len()].send(at);
        }
    });
    joined(senders).await?;
    Ok(sent)
}

async fn joined(mut senders: JoinSet<io::Result<()>>) -> io::Result<()> {
    while let Some(ended) = senders.join_next().await {
        ended.map_err(io::Error::other)??;
    }
    Ok(())
}
