//! Bare targets: each takes everything, answers 200, and notes when which event came for the first time and how
//! often it came.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use crate::event;
use crate::wire::Reader;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// What has come to a target.
pub struct Arrivals {
    clock: Instant,
    /// Nanoseconds on the clock of each event's first coming; 0 if it has not come.
    at: Vec<AtomicU64>,
    /// How often each has come.
    times: Vec<AtomicU8>,
    /// How many came at least once.
    distinct: AtomicUsize,
    /// What came with a number that was not sent, or without one.
    strange: AtomicUsize,
}

impl Arrivals {
    /// Nothing of `count` events yet.
    pub fn new(clock: Instant, count: usize) -> Arc<Self> {
        let mut at = Vec::new();
        at.resize_with(count, AtomicU64::default);
        let mut times = Vec::new();
        times.resize_with(count, AtomicU8::default);
        Arc::new(Self {
            clock,
            at,
            times,
            distinct: AtomicUsize::new(0),
            strange: AtomicUsize::new(0),
        })
    }

    fn note(&self, body: &[u8]) {
        let seq = event::seq_of(body).filter(|seq| *seq < self.at.len());
        let Some(seq) = seq else {
            self.strange.fetch_add(1, Relaxed);
            return;
        };
        if self.times[seq].fetch_add(1, Relaxed) == 0 {
            self.at[seq].store(nanos(self.clock.elapsed()), Relaxed);
            self.distinct.fetch_add(1, Relaxed);
        }
    }

    /// When an event came first, in nanoseconds on the clock.
    pub fn at(&self, seq: usize) -> u64 {
        self.at[seq].load(Relaxed)
    }

    /// How many events came.
    pub fn distinct(&self) -> usize {
        self.distinct.load(Relaxed)
    }

    /// Whether each of the first `count` events came exactly once and nothing else did.
    pub fn check(&self, count: usize) -> Result<(), String> {
        let times = |wanted: &dyn Fn(u8) -> bool| {
            let counted = self.times[..count].iter();
            counted.filter(|times| wanted(times.load(Relaxed))).count()
        };
        let (missing, doubled) = (times(&|n| n == 0), times(&|n| n > 1));
        let strange = self.strange.load(Relaxed);
        if missing + doubled + strange == 0 {
            return Ok(());
        }
        Err(format!(
            "of {count} events {missing} are missing, {doubled} came more than once, {strange} are strange"
        ))
    }
}

/// A duration as whole nanoseconds.
pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Starts a target at an address, on the runtime that this is called on.
pub async fn start(addr: SocketAddr, arrivals: Arc<Arrivals>) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(addr).await?;
    let addr = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let arrivals = Arc::clone(&arrivals);
            tokio::spawn(async move {
                // a connection that breaks is the relay's to retry
                let _ = take(stream, &arrivals).await;
            });
        }
    });
    Ok(addr)
}

async fn take(mut stream: TcpStream, arrivals: &Arrivals) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = Reader::new();
    while let Some(message) = reader.next(&mut stream).await? {
        arrivals.note(message.body);
        stream.write_all(ANSWER).await?;
    }
    Ok(())
}
