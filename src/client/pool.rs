//! Connections that are kept for the next request to the same place.
//!
//! Each request drives its connection itself: no task of its own stands between it and the socket, which saves two
//! wake-ups and a task for each request (see `benches/README.md`). While a connection is kept, nobody drives it; whether the
//! other side has closed it meanwhile is looked at before it is used again.
//!
//! Promise: a request that a kept connection could not take at all is sent over another one; one of which anything may
//! have been sent is never sent twice. A connection goes back only after its answer was read to the end. HTTP/1.1 only. Not
//! here: deadlines (whoever waits for the answer has one), how connections are made (see `connect`).

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use tokio::time::{Instant, sleep};
use tower_service::Service;

use super::{HEAD_BYTES, Streams};

/// How long an unused connection is kept; below what servers commonly keep theirs.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// How often kept connections are looked through.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

type Stream = <Streams as Service<Uri>>::Response;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// There is no connection to be had.
    #[error("no connection")]
    Connect(#[source] BoxError),
    /// The connection did not carry the request or its answer.
    #[error("no answer")]
    Http(#[source] hyper::Error),
    /// The URL names no place.
    #[error("the URL has no host")]
    NoPlace,
}

/// Connections to whatever is asked for, of which so many are kept.
#[derive(Debug)]
pub(crate) struct Pool {
    streams: Streams,
    kept: Arc<Mutex<Kept>>,
    most: usize,
}

/// Connections that wait for a request.
#[derive(Debug, Default)]
struct Kept {
    /// The last used one last.
    links: Vec<Link>,
    /// Whether a task looks through them.
    swept: bool,
}

/// A connection.
#[derive(Debug)]
struct Link {
    place: Place,
    sender: SendRequest<Full<Bytes>>,
    /// Boxed, since it is large and changes hands several times with each request.
    connection: Box<Connection<Stream, Full<Bytes>>>,
    /// Whether it has ended.
    over: bool,
    /// When it was put aside.
    since: Instant,
}

/// Where a connection leads.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    scheme: Scheme,
    authority: Authority,
}

/// How a request over a connection went wrong.
enum Failed {
    /// Nothing of it was sent.
    Unsent(Box<Request<Full<Bytes>>>, hyper::Error),
    Sent(hyper::Error),
}

impl Pool {
    /// A pool that keeps at most `most` connections.
    pub(crate) fn new(streams: Streams, most: usize) -> Self {
        Self {
            streams,
            kept: Arc::default(),
            most: most.max(1),
        }
    }

    /// Sends a request to where its URL says and waits for the head of the answer.
    ///
    /// # Errors
    /// If no answer comes.
    pub(crate) async fn request(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Answer>, RequestError> {
        let url = request.uri().clone();
        let place = Place::of(&url).ok_or(RequestError::NoPlace)?;
        let mut request = in_origin_form(request, &place);
        while let Some(link) = self.take(&place).await {
            match link.send(request).await {
                Ok(answer) => return Ok(self.answer(answer)),
                Err(Failed::Unsent(unsent, _)) => request = *unsent,
                Err(Failed::Sent(error)) => return Err(RequestError::Http(error)),
            }
        }
        let link = self.connect(place, url).await?;
        match link.send(request).await {
            Ok(answer) => Ok(self.answer(answer)),
            Err(Failed::Unsent(_, error) | Failed::Sent(error)) => Err(RequestError::Http(error)),
        }
    }

    /// A kept connection to this place that is still open.
    async fn take(&self, place: &Place) -> Option<Link> {
        loop {
            let mut link = {
                let mut kept = lock(&self.kept);
                let at = kept.links.iter().rposition(|link| link.place == *place)?;
                kept.links.remove(at)
            };
            poll_fn(|context| {
                link.drive(context);
                Poll::Ready(())
            })
            .await;
            if link.is_free() {
                return Some(link);
            }
        }
    }

    async fn connect(&self, place: Place, url: Uri) -> Result<Link, RequestError> {
        let mut streams = self.streams.clone();
        poll_fn(|context| streams.poll_ready(context))
            .await
            .map_err(RequestError::Connect)?;
        let stream = streams.call(url).await.map_err(RequestError::Connect)?;
        let (sender, connection) = Builder::new()
            .max_buf_size(HEAD_BYTES)
            .handshake(stream)
            .await
            .map_err(RequestError::Http)?;
        Ok(Link {
            place,
            sender,
            connection: Box::new(connection),
            over: false,
            since: Instant::now(),
        })
    }

    fn answer(&self, (link, answer): (Link, Response<Incoming>)) -> Response<Answer> {
        answer.map(|body| Answer {
            body,
            link: Some(link),
            kept: Arc::clone(&self.kept),
            most: self.most,
        })
    }
}

impl Link {
    /// Lets it read and write. Whoever waits for anything of it calls this whenever it is woken.
    fn drive(&mut self, context: &mut Context<'_>) {
        if !self.over {
            // what went wrong is told to who waits for the answer
            self.over = Pin::new(&mut *self.connection).poll(context).is_ready();
        }
    }

    /// Whether it can take a request.
    fn is_free(&self) -> bool {
        !self.over && self.sender.is_ready()
    }

    async fn send(
        mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<(Self, Response<Incoming>), Failed> {
        let sent = {
            let mut sending = pin!(self.sender.try_send_request(request));
            let (connection, over) = (&mut self.connection, &mut self.over);
            poll_fn(|context| {
                if !*over {
                    *over = Pin::new(&mut **connection).poll(context).is_ready();
                }
                sending.as_mut().poll(context)
            })
            .await
        };
        sent.map(|answer| (self, answer))
            .map_err(|mut error| match error.take_message() {
                Some(request) => Failed::Unsent(Box::new(request), error.into_error()),
                None => Failed::Sent(error.into_error()),
            })
    }
}

impl Place {
    fn of(url: &Uri) -> Option<Self> {
        Some(Self {
            scheme: url.scheme()?.clone(),
            authority: url.authority()?.clone(),
        })
    }

    /// The host as a request names it: with its port, unless that is the one of the scheme.
    fn host(&self) -> Option<HeaderValue> {
        let default = if self.scheme == Scheme::HTTPS {
            443
        } else {
            80
        };
        let text = match self.authority.port_u16() {
            Some(port) if port != default => format!("{}:{port}", self.authority.host()),
            _ => self.authority.host().to_owned(),
        };
        HeaderValue::try_from(text).ok()
    }
}

/// The request as it stands on the wire: path and query alone, the host as a header.
fn in_origin_form(mut request: Request<Full<Bytes>>, place: &Place) -> Request<Full<Bytes>> {
    if !request.headers().contains_key(HOST)
        && let Some(host) = place.host()
    {
        request.headers_mut().insert(HOST, host);
    }
    let path = request.uri().path_and_query().cloned();
    let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from(path);
    request
}

/// The body of an answer; read to its end, it gives its connection back.
#[derive(Debug)]
pub struct Answer {
    body: Incoming,
    link: Option<Link>,
    kept: Arc<Mutex<Kept>>,
    most: usize,
}

impl Answer {
    /// Puts the connection aside if it can take another request.
    fn keep(&mut self, context: &mut Context<'_>) {
        let Some(mut link) = self.link.take() else {
            return;
        };
        link.drive(context);
        if !link.is_free() {
            return;
        }
        link.since = Instant::now();
        let mut kept = lock(&self.kept);
        if kept.links.len() < self.most {
            kept.links.push(link);
        }
        if !kept.swept {
            kept.swept = true;
            tokio::spawn(sweep(Arc::downgrade(&self.kept)));
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = &mut *self;
        let mut frame = Pin::new(&mut this.body).poll_frame(context);
        if frame.is_pending()
            && let Some(link) = &mut this.link
        {
            link.drive(context);
            frame = Pin::new(&mut this.body).poll_frame(context);
        }
        let frame = ready!(frame);
        match &frame {
            None => this.keep(context),
            Some(Err(_)) => this.link = None,
            Some(Ok(_)) => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        // Only a read end gives the connection back.
        self.link.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Looks through what is kept now and then; ends when there is nothing, or the pool is gone.
async fn sweep(kept: Weak<Mutex<Kept>>) {
    loop {
        sleep(SWEEP_EVERY).await;
        let Some(kept) = kept.upgrade() else {
            return;
        };
        if !clear_out(&kept).await {
            return;
        }
    }
}

/// Lets connections go that were not used for long, or that the other side has closed; says whether any is left.
async fn clear_out(kept: &Mutex<Kept>) -> bool {
    poll_fn(|context| {
        let mut kept = lock(kept);
        kept.links.retain_mut(|link| {
            link.drive(context);
            link.is_free() && link.since.elapsed() < IDLE_TIMEOUT
        });
        kept.swept = !kept.links.is_empty();
        Poll::Ready(kept.swept)
    })
    .await
}

/// Locks; what a panicking thread has left behind is as good as before, as all changes are single steps.
fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http_body_util::BodyExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::super::connect::Connector;
    use super::super::{streams, tls};
    use super::*;

    const EMPTY: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    const CHUNKED: &str =
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    const CLOSING: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";

    fn pool() -> Pool {
        Pool::new(streams(&tls(false), Connector::new(None), usize::MAX), 4)
    }

    /// Reads one request; false at the end of the connection.
    async fn read_request(stream: &mut TcpStream) -> Option<String> {
        let mut read = Vec::new();
        loop {
            if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = String::from_utf8(read[..end].to_vec()).unwrap();
                let length = head.lines().find_map(|line| {
                    line.to_lowercase()
                        .strip_prefix("content-length: ")
                        .map(|n| n.parse().unwrap())
                });
                if read.len() >= end + 4 + length.unwrap_or(0_usize) {
                    return Some(String::from_utf8(read).unwrap());
                }
            }
            if stream.read_buf(&mut read).await.ok()? == 0 {
                return None;
            }
        }
    }

    /// A server that answers each request of a connection by `answer` and counts connections; after `closes` answers it
    /// closes.
    async fn server(answer: &'static str, closes: usize) -> (String, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/a?b=c", listener.local_addr().unwrap());
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    for _ in 0..closes {
                        let Some(request) = read_request(&mut stream).await else {
                            return;
                        };
                        assert!(request.starts_with("POST /a?b=c HTTP/1.1\r\n"), "{request}");
                        assert!(request.contains("\r\nhost: 127.0.0.1:"), "{request}");
                        assert!(request.ends_with("\r\n\r\nhello"), "{request}");
                        stream.write_all(answer.as_bytes()).await.unwrap();
                    }
                });
            }
        });
        (url, count)
    }

    fn request(url: &str) -> Request<Full<Bytes>> {
        Request::post(url).body(Full::from("hello")).unwrap()
    }

    async fn ask(pool: &Pool, url: &str) -> String {
        let answer = pool.request(request(url)).await.unwrap();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_connection_is_used_again() {
        for (answer, body) in [(EMPTY, ""), (CHUNKED, "ok")] {
            let (url, count) = server(answer, 100).await;
            let pool = pool();
            for _ in 0..5 {
                assert_eq!(ask(&pool, &url).await, body);
            }
            assert_eq!(count.load(Ordering::SeqCst), 1, "{answer:?}");
        }
    }

    #[tokio::test]
    async fn one_that_was_closed_meanwhile_is_not() {
        for (answer, closes, body) in [(EMPTY, 1, ""), (CLOSING, 100, "ok")] {
            let (url, count) = server(answer, closes).await;
            let pool = pool();
            for _ in 0..3 {
                assert_eq!(ask(&pool, &url).await, body);
                // the other side's end arrives
                sleep(Duration::from_millis(20)).await;
            }
            assert_eq!(count.load(Ordering::SeqCst), 3, "{answer:?}");
        }
    }

    #[tokio::test]
    async fn one_whose_answer_was_not_read_is_not() {
        let (url, count) = server(CHUNKED, 100).await;
        let pool = pool();
        for _ in 0..3 {
            drop(pool.request(request(&url)).await.unwrap());
        }
        assert_eq!(count.load(Ordering::SeqCst), 3);
        assert!(lock(&pool.kept).links.is_empty());
    }

    #[tokio::test]
    async fn places_are_apart_and_so_many_are_kept() {
        let pool = Arc::new(pool());
        let (one, ones) = server(EMPTY, 100).await;
        let (other, others) = server(EMPTY, 100).await;
        for _ in 0..2 {
            ask(&pool, &one).await;
            ask(&pool, &other).await;
        }
        assert_eq!(ones.load(Ordering::SeqCst), 1);
        assert_eq!(others.load(Ordering::SeqCst), 1);
        let many: Vec<_> = (0..8)
            .map(|_| {
                let (pool, one) = (Arc::clone(&pool), one.clone());
                tokio::spawn(async move { ask(&pool, &one).await })
            })
            .collect();
        for asked in many {
            asked.await.unwrap();
        }
        assert_eq!(lock(&pool.kept).links.len(), 4);
    }

    #[tokio::test]
    async fn what_is_not_used_goes() {
        for (closes, left) in [(100, true), (1, false)] {
            let (url, _) = server(EMPTY, closes).await;
            let pool = pool();
            ask(&pool, &url).await;
            // the other side's end arrives, where it closes
            sleep(Duration::from_millis(20)).await;
            assert_eq!(clear_out(&pool.kept).await, left);
            if left {
                for link in &mut lock(&pool.kept).links {
                    link.since -= IDLE_TIMEOUT;
                }
                assert!(!clear_out(&pool.kept).await);
            }
            assert!(!lock(&pool.kept).swept);
        }
    }

    #[tokio::test]
    async fn what_goes_wrong_is_told() {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", closed.local_addr().unwrap());
        drop(closed);
        let refused = pool().request(request(&url)).await;
        assert!(matches!(refused, Err(RequestError::Connect(_))));
        for answer in ["", "HTTP/1.1 200 OK\r\ncontent-le", "SSH-2.0-x\r\n\r\n"] {
            let (url, _) = server(answer, 1).await;
            let broken = pool().request(request(&url)).await;
            assert!(matches!(broken, Err(RequestError::Http(_))), "{answer:?}");
        }
        let nowhere = pool().request(request("/a")).await;
        assert!(matches!(nowhere, Err(RequestError::NoPlace)));
    }

    #[test]
    fn hosts_are_named_with_their_port() {
        for (url, host) in [
            ("http://a.example/", "a.example"),
            ("http://a.example:80/", "a.example"),
            ("http://a.example:443/", "a.example:443"),
            ("https://a.example:443/", "a.example"),
            ("https://a.example:8443/", "a.example:8443"),
            ("http://[::1]:9000/", "[::1]:9000"),
        ] {
            let place = Place::of(&url.parse().unwrap()).unwrap();
            assert_eq!(place.host().unwrap(), host, "{url}");
        }
    }
}
