//! One connection from its first byte to its last.
//!
//! The order of its ends: the peer goes, or it is told to go (the door closes, nothing was asked for a while, it has
//! lived long enough) and may end what is open, or it is cut off. Not here: how many there are (see [`super::serve`]).

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use http::header::CONNECTION;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::activity::{Activity, Ending, Requests};
use super::wire::{Framing, Heads, Wire};
use super::{Answer, Bounds, Call, Door, closing, shape};
use crate::certificate;
use crate::tls::HTTP_2;

/// How long a connection that is to be closed is still read from, so that a sender that is still writing
/// gets to read the answer instead of a reset.
const LINGER: Duration = Duration::from_secs(1);

/// Most bytes that are read and thrown away meanwhile; a sender that has more to say is cut off.
const LINGER_BYTES: usize = 4 << 20;

/// How long a peer may take no byte of its answers; only one that does not read takes so long.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long open requests may take to end on a connection that is old or idle.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The smallest read buffer that hyper takes.
const MIN_BUFFER_BYTES: usize = 8192;

/// Most requests that are open on a connection of HTTP/2 at a time: as many as clients commonly open before they have
/// heard of a limit, and the least that RFC 9113 advises.
const STREAMS: u32 = 100;

/// Most large bodies that are held for one connection at a time. Most are there as soon as they have begun, so that more
/// would only let one connection hold the memory of many.
const BODIES: usize = 8;

/// Bytes that a peer may send unasked of one body, and of all bodies of a connection: as much as all of them may, since
/// bodies that wait for their turn would else take the window from those that are being read.
const STREAM_WINDOW: u32 = 32 << 10;
const CONNECTION_WINDOW: u32 = STREAMS * STREAM_WINDOW;

/// Bytes of an answer that are queued at a time.
const SEND_BUFFER: usize = 64 << 10;

/// The largest frame that is taken: the smallest that can be asked for.
const FRAME_BYTES: u32 = 16 << 10;

/// Requests that a peer may take back before we have looked at them, and that may be in breach of the protocol, before
/// it loses its connection.
const EARLY_RESETS: usize = 20;
const FAULTS: usize = 64;

/// When a peer with open requests is asked whether it is there, and how long it may take to say so.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// What the requests of a connection share.
struct Link<D> {
    door: Arc<D>,
    bounds: Bounds,
    peer: SocketAddr,
    local: SocketAddr,
    subject: Option<Arc<str>>,
    bodies: Arc<Semaphore>,
    stop: watch::Receiver<bool>,
}

/// Serves a connection to its end.
pub(super) async fn serve<D: Door>(
    mut stream: TcpStream,
    peer: SocketAddr,
    door: Arc<D>,
    bounds: Bounds,
    mut stop: watch::Receiver<bool>,
) {
    // Answers are small and complete: nothing is gained by waiting for more.
    let _ = stream.set_nodelay(true);
    let Ok(local) = stream.local_addr() else {
        return;
    };
    let mut link = Link {
        door,
        peer,
        local,
        subject: None,
        bodies: Arc::new(Semaphore::new(BODIES)),
        stop: stop.clone(),
        bounds,
    };
    let Some(tls) = link.bounds.tls.clone() else {
        return over_http1(&mut stream, Arc::new(link)).await;
    };
    let shaken = tokio::select! {
        () = closing(&mut stop) => None,
        shaken = handshake(stream, tls, &link) => shaken,
    };
    let Some(mut stream) = shaken else {
        return;
    };
    let (_, session) = stream.get_ref();
    link.subject = session.peer_certificates().map(|chain| {
        let facts = chain.first().and_then(|own| certificate::read(own));
        facts
            .map_or_else(String::new, |facts| certificate::name(facts.subject))
            .into()
    });
    if session.alpn_protocol() == Some(HTTP_2) {
        over_http2(&mut stream, Arc::new(link)).await;
    } else {
        over_http1(&mut stream, Arc::new(link)).await;
    }
}

/// The stream behind the handshake; `None` if there was none in time.
async fn handshake<D: Door>(
    stream: TcpStream,
    tls: Arc<ServerConfig>,
    link: &Link<D>,
) -> Option<TlsStream<TcpStream>> {
    let door = link.door.name();
    let accepted = TlsAcceptor::from(tls).accept(stream).into_fallible();
    match timeout(link.bounds.head_timeout, accepted).await {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err((error, mut stream))) => {
            // Who opens a connection and goes, as some health checks do, has not failed at it.
            let gone = matches!(
                error.kind(),
                io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset
            );
            if !gone {
                link.door.metrics().tls_handshake_failed(door);
                linger(&mut stream).await;
            }
            tracing::debug!(door, peer = %link.peer, %error, "no TLS handshake");
            None
        }
        Err(_) => {
            link.door.metrics().tls_handshake_failed(door);
            tracing::debug!(door, peer = %link.peer, "no TLS handshake in time");
            None
        }
    }
}

async fn over_http1<D, S>(stream: &mut S, link: Arc<Link<D>>)
where
    D: Door,
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let bounds = &link.bounds;
    let heads = Heads::default();
    let told = {
        let io = Wire::watching(
            &mut *stream,
            heads.clone(),
            bounds.head_bytes,
            WRITE_TIMEOUT,
        );
        let service = service_fn(|request| {
            let framing = heads.next();
            let link = Arc::clone(&link);
            async move { Ok::<_, Infallible>(link.answer_http1(request, framing).await) }
        });
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(bounds.head_timeout)
            .max_header_size(bounds.head_bytes)
            .max_buf_size(bounds.head_bytes.max(MIN_BUFFER_BYTES))
            // A sender may close its side once it has written all; it still gets its answer.
            .half_close(true);
        if let Some(most) = bounds.headers {
            http.max_headers(most);
        }
        let connection = pin!(http.serve_connection(TokioIo::new(io), service));
        let old = old(bounds.life);
        run(connection, http1::Connection::graceful_shutdown, &link, old).await
    };
    if told == Told::Nothing {
        linger(stream).await;
    }
}

async fn over_http2<D, S>(stream: &mut S, link: Arc<Link<D>>)
where
    D: Door,
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let bounds = &link.bounds;
    let activity = Activity::default();
    let told = {
        let io = Wire::passing(&mut *stream, WRITE_TIMEOUT);
        let requests = activity.clone();
        let shared = Arc::clone(&link);
        let service = service_fn(move |request| {
            let mut open = requests.begin();
            let link = Arc::clone(&shared);
            async move {
                let answer = link.answer_http2(request).await;
                open.answered();
                // A connection on which an answer still comes is not idle.
                Ok::<_, Infallible>(answer.map(|body| body.holding(open)))
            }
        });
        let head_bytes = u32::try_from(bounds.head_bytes).unwrap_or(u32::MAX);
        let mut http = http2::Builder::new(Requests::default());
        http.timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_frame_size(FRAME_BYTES)
            .max_header_list_size(head_bytes)
            .max_send_buf_size(SEND_BUFFER)
            .max_pending_accept_reset_streams(EARLY_RESETS)
            .max_local_error_reset_streams(FAULTS)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT);
        let connection = pin!(http.serve_connection(TokioIo::new(io), service));
        let ending = async {
            tokio::select! {
                ending = activity.ending(bounds.head_timeout) => ending,
                ending = old(bounds.life) => ending,
            }
        };
        run(
            connection,
            http2::Connection::graceful_shutdown,
            &link,
            ending,
        )
        .await
    };
    if told == Told::Nothing {
        linger(stream).await;
    }
}

/// What a connection was told before it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    ToClose,
}

/// Waits until a connection has lived long enough.
async fn old(life: Option<Duration>) -> Ending {
    match life {
        Some(life) => tokio::time::sleep(life).await,
        None => std::future::pending().await,
    }
    Ending::Old
}

/// Runs a connection to its end; `close` tells it to take no more requests.
async fn run<D: Door, C: Future<Output = hyper::Result<()>>>(
    mut connection: Pin<&mut C>,
    close: fn(Pin<&mut C>),
    link: &Link<D>,
    ending: impl Future<Output = Ending>,
) -> Told {
    let mut stop = link.stop.clone();
    let mut ending = pin!(ending);
    let mut told = Told::Nothing;
    let mut stopping = false;
    let mut deadline = None;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    link.door.broken(&error);
                    tracing::debug!(door = link.door.name(), %error, "connection broken");
                }
                return told;
            }
            () = closing(&mut stop), if !stopping => {
                (stopping, told) = (true, Told::ToClose);
                close(connection.as_mut());
            }
            why = ending.as_mut(), if deadline.is_none() => {
                tracing::debug!(door = link.door.name(), ?why, "connection closed");
                if why == Ending::Abusive {
                    return Told::ToClose;
                }
                told = Told::ToClose;
                close(connection.as_mut());
                deadline = Some(Instant::now() + CLOSE_TIMEOUT);
            }
            () = at(deadline), if deadline.is_some() => return told,
        }
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Closes the writing side and reads on for a while: closing a socket with unread bytes resets the
/// connection, and a reset can overtake the answer.
async fn linger<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) {
    let drain = async {
        if stream.shutdown().await.is_err() {
            return;
        }
        let mut scrap = vec![0; MIN_BUFFER_BYTES];
        let mut read = 0_usize;
        while read < LINGER_BYTES {
            match stream.read(&mut scrap).await {
                Ok(0) | Err(_) => return,
                Ok(n) => read = read.saturating_add(n),
            }
        }
    };
    let _ = timeout(LINGER, drain).await;
}

impl<D: Door> Link<D> {
    fn call(&self, sound: bool, last: bool) -> Call {
        Call {
            peer: self.peer,
            local: self.local,
            subject: self.subject.clone(),
            clients: self.bounds.clients,
            sound,
            last,
            bodies: Arc::clone(&self.bodies),
            stopping: self.stop.clone(),
        }
    }

    async fn answer_http1(
        &self,
        request: Request<Incoming>,
        framing: Option<Framing>,
    ) -> Response<Answer> {
        let (head, body) = request.into_parts();
        let sound = shape::http1(&head, framing);
        // The watcher of heads follows no further than to the first chunked request.
        let last = framing != Some(Framing::Length);
        let request = Request::from_parts(head, body);
        let door = Arc::clone(&self.door);
        door.answer(request, self.call(sound, last)).await
    }

    async fn answer_http2(&self, request: Request<Incoming>) -> Response<Answer> {
        let (mut head, body) = request.into_parts();
        let sound = shape::http2(&mut head);
        let request = Request::from_parts(head, body);
        let door = Arc::clone(&self.door);
        let mut answer = door.answer(request, self.call(sound, false)).await;
        // Each request has a stream of its own, so that what closes a connection is of no meaning, and forbidden.
        answer.headers_mut().remove(CONNECTION);
        answer
    }
}
