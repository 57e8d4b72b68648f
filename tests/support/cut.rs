//! A wire that can be cut: a proxy for TCP on a free port of the loopback, between who connects to it and one address.
#![allow(dead_code, clippy::unwrap_used, missing_docs)]

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Bytes of one read.
const CHUNK: usize = 16 * 1024;

/// What becomes of bytes and connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Everything passes.
    Whole,
    /// Connections are reset: those that there are, and new ones as they come.
    Cut,
    /// Bytes are taken and never passed on; a connection that has lost some is of no use any more and is reset in the next state.
    Swallowing,
    /// Nothing passes and nothing is lost: it comes late, in the next state.
    Holding,
}

/// The wire; it is cut for good when this is dropped.
pub struct Cut {
    addr: SocketAddr,
    state: watch::Sender<State>,
    served: JoinHandle<()>,
}

impl Cut {
    /// A wire to this address, in one piece. Must be called in a runtime, which runs it.
    pub async fn start(to: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let addr = listener.local_addr()?;
        let (state, seen) = watch::channel(State::Whole);
        let served = tokio::spawn(serve(listener, to, seen));
        Ok(Self {
            addr,
            state,
            served,
        })
    }

    /// Where to connect to.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Resets all connections, and new ones as they come.
    pub fn cut(&self) {
        self.state.send_replace(State::Cut);
    }

    /// Takes bytes and passes none on: nobody notices but by waiting.
    pub fn swallow(&self) {
        self.state.send_replace(State::Swallowing);
    }

    /// Passes nothing on for now, and loses nothing.
    pub fn hold(&self) {
        self.state.send_replace(State::Holding);
    }

    /// Passes everything on again.
    pub fn heal(&self) {
        self.state.send_replace(State::Whole);
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        self.served.abort();
    }
}

async fn serve(listener: TcpListener, to: SocketAddr, state: watch::Receiver<State>) {
    // They end with this task.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        connections.spawn(connection(near, to, state.clone()));
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(mut near: TcpStream, to: SocketAddr, state: watch::Receiver<State>) {
    let mut far = match unless_cut(&state, connect(to, state.clone())).await {
        Some(Ok(far)) => far,
        // Refused, if late.
        _ => return reset(&near),
    };
    let (near_in, near_out) = near.split();
    let (far_in, far_out) = far.split();
    let both = async {
        tokio::try_join!(
            pass(near_in, far_out, state.clone()),
            pass(far_in, near_out, state.clone())
        )
    };
    if !matches!(unless_cut(&state, both).await, Some(Ok(_))) {
        reset(&near);
        reset(&far);
    }
}

/// The other end, once connections pass.
async fn connect(to: SocketAddr, mut state: watch::Receiver<State>) -> io::Result<TcpStream> {
    await_change(&mut state, |now| now == State::Whole).await?;
    TcpStream::connect(to).await
}

/// One direction, to its end.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut state: watch::Receiver<State>,
) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = from.read(&mut chunk).await?;
        await_change(&mut state, |now| now != State::Holding).await?;
        if *state.borrow() == State::Swallowing {
            // What comes meanwhile is taken as well, so that whoever writes is not held up.
            tokio::select! {
                changed = await_change(&mut state, |now| now != State::Swallowing) => changed?,
                ended = swallow_all(&mut from) => ended?,
            }
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(chunk.get(..read).unwrap_or_default()).await?;
    }
}

/// Takes whatever comes; ends only with an error.
async fn swallow_all(from: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    tokio::io::copy(from, &mut tokio::io::sink()).await?;
    std::future::pending().await
}

/// What this gives, unless the wire is cut before.
async fn unless_cut<T>(state: &watch::Receiver<State>, work: impl Future<Output = T>) -> Option<T> {
    let mut state = state.clone();
    tokio::select! {
        biased;
        _ = state.wait_for(|now| *now == State::Cut) => None,
        done = work => Some(done),
    }
}

/// Waits until the state is such; an error once there is no wire any more.
async fn await_change(
    state: &mut watch::Receiver<State>,
    wanted: impl Fn(State) -> bool,
) -> io::Result<()> {
    let there = state.wait_for(|now| wanted(*now)).await;
    there
        .map(drop)
        .map_err(|_| io::ErrorKind::ConnectionAborted.into())
}

/// Has the connection end with a reset when it is dropped.
fn reset(stream: &TcpStream) {
    // It may be closed already.
    let _ = stream.set_zero_linger();
}
