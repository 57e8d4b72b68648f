//! The stream of one connection, plain or over TLS, with two things that hyper leaves to others.
//!
//! **Requests whose length can be read in two ways.** hyper lets `Transfer-Encoding` win over
//! `Content-Length` and drops the latter without a trace, so that the service behind it cannot tell; a proxy
//! in front that reads it the other way round would see other requests than we do. [`Wire`] therefore reads
//! along: it takes the two headers from each head as it passes, and [`Heads`] hands the finding to the
//! service, one for each request and in their order. It follows the framing of hyper's parser (lines end in
//! LF, one CR before it belongs to the end, blank lines before a request are skipped). Wherever the two
//! could part, it gives up (`Lost`) and finds nothing any more; a request without a finding is refused.
//! After a chunked request it gives up as well, so such a request must be the last one of its connection.
//!
//! **Peers that take no answers.** One that sends request after request and never reads would hold its
//! connection for ever; a write that makes no headway for a while fails. TLS may take the bytes and be unable to pass
//! them on, so the same goes for flushing and closing.
//!
//! Not here: anything that hyper itself refuses.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// How the length of a request's body is declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// By `Content-Length`, or there is no body.
    Length,
    /// By `Transfer-Encoding`.
    Chunked,
    /// By both.
    Both,
}

/// The findings of one connection that no request was matched to yet.
#[derive(Debug, Clone, Default)]
pub(super) struct Heads(Arc<Mutex<VecDeque<Framing>>>);

impl Heads {
    /// The finding for the next request; `None` if there is none, which no sound request meets.
    pub(super) fn next(&self) -> Option<Framing> {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        queue.pop_front()
    }

    fn push(&self, framing: Framing) {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        queue.push_back(framing);
    }
}

/// The stream of one connection.
#[derive(Debug)]
pub(super) struct Wire<I> {
    io: I,
    /// What reads along, in HTTP/1.1.
    watcher: Option<(Reader, Heads)>,
    write: Patience,
    flush: Patience,
}

impl<I> Wire<I> {
    /// Over `io`; heads beyond `most` bytes are hyper's to refuse, and a write that makes no headway
    /// for as long as `patience` fails.
    pub(super) fn watching(io: I, heads: Heads, most: usize, patience: Duration) -> Self {
        Self {
            watcher: Some((Reader::new(most), heads)),
            ..Self::passing(io, patience)
        }
    }

    /// Over `io`, which speaks another protocol, so that nothing is read along.
    pub(super) fn passing(io: I, patience: Duration) -> Self {
        Self {
            io,
            watcher: None,
            write: Patience::new(patience),
            flush: Patience::new(patience),
        }
    }
}

/// How long something may make no headway.
#[derive(Debug)]
struct Patience {
    most: Duration,
    /// Runs meanwhile.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    fn new(most: Duration) -> Self {
        Self {
            most,
            stalled: None,
        }
    }

    fn bound<T>(&mut self, cx: &mut Context<'_>, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if done.is_ready() {
            self.stalled = None;
            return done;
        }
        let most = self.most;
        let stalled = self
            .stalled
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(most)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Wire<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
        let fresh = buf.filled().get(before..).unwrap_or_default();
        if let Some((reader, heads)) = &mut this.watcher {
            reader.read(fresh, heads);
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Wire<I> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write(cx, bytes);
        this.write.bound(cx, written)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.io).poll_flush(cx);
        this.flush.bound(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let closed = Pin::new(&mut this.io).poll_shutdown(cx);
        this.flush.bound(cx, closed)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write_vectored(cx, slices);
        this.write.bound(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

/// Where in the stream the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In a head, or in the blank lines before one.
    Head,
    /// In a body of which this many bytes are to come.
    Body(u64),
    /// Nobody knows.
    Lost,
}

#[derive(Debug)]
struct Reader {
    place: Place,
    /// The line so far, without its end.
    line: Vec<u8>,
    /// Bytes of the head so far.
    size: usize,
    /// Most bytes of a head.
    most: usize,
    begun: bool,
    length: Option<u64>,
    chunked: bool,
}

impl Reader {
    fn new(most: usize) -> Self {
        Self {
            place: Place::Head,
            line: Vec::new(),
            size: 0,
            most,
            begun: false,
            length: None,
            chunked: false,
        }
    }

    fn read(&mut self, mut bytes: &[u8], heads: &Heads) {
        while !bytes.is_empty() {
            match self.place {
                Place::Lost => return,
                Place::Body(left) => {
                    let here = usize::try_from(left).map_or(bytes.len(), |n| n.min(bytes.len()));
                    bytes = bytes.split_at(here).1;
                    let left = left.saturating_sub(here as u64);
                    self.place = if left == 0 {
                        Place::Head
                    } else {
                        Place::Body(left)
                    };
                }
                Place::Head => {
                    let end = bytes.iter().position(|&byte| byte == b'\n');
                    let (line, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
                    self.size = self.size.saturating_add(line.len()).saturating_add(1);
                    if self.size > self.most {
                        self.place = Place::Lost;
                        return;
                    }
                    self.line.extend_from_slice(line);
                    bytes = rest.get(1..).unwrap_or_default();
                    if end.is_some() {
                        self.end_line(heads);
                    }
                }
            }
        }
    }

    fn end_line(&mut self, heads: &Heads) {
        let mut taken = std::mem::take(&mut self.line);
        let line = taken.strip_suffix(b"\r").unwrap_or(&taken);
        if !line.is_empty() {
            if self.begun {
                self.header(line);
            }
            self.begun = true;
        } else if self.begun {
            self.end_head(heads);
        }
        taken.clear();
        self.line = taken;
    }

    fn header(&mut self, line: &[u8]) {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else {
            return;
        };
        let (name, value) = line.split_at(colon);
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.chunked = true;
        } else if name.eq_ignore_ascii_case(b"content-length") {
            let value = value.get(1..).unwrap_or_default().trim_ascii();
            let digits = std::str::from_utf8(value).ok();
            match digits.and_then(|digits| digits.parse().ok()) {
                Some(length) => self.length = Some(length),
                // hyper refuses it, too, unless a Transfer-Encoding stands before it.
                None => self.length = Some(u64::MAX),
            }
        }
    }

    fn end_head(&mut self, heads: &Heads) {
        let (framing, place) = match (self.chunked, self.length) {
            (true, Some(_)) => (Framing::Both, Place::Lost),
            (true, None) => (Framing::Chunked, Place::Lost),
            (false, None | Some(0)) => (Framing::Length, Place::Head),
            (false, Some(length)) => (Framing::Length, Place::Body(length)),
        };
        heads.push(framing);
        *self = Self {
            line: std::mem::take(&mut self.line),
            place,
            ..Self::new(self.most)
        };
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const MOST: usize = 4096;

    fn found(stream: &[u8], step: usize) -> Vec<Framing> {
        let heads = Heads::default();
        let mut reader = Reader::new(MOST);
        for piece in stream.chunks(step) {
            reader.read(piece, &heads);
        }
        std::iter::from_fn(|| heads.next()).collect()
    }

    #[test]
    fn each_head_gets_one_finding_however_it_is_cut() {
        use Framing::{Both, Chunked, Length};
        let long = format!(
            "POST / HTTP/1.1\r\nX: {}\r\nContent-Length: 0\r\n\r\n",
            "a".repeat(MOST)
        );
        let rows: [(&str, &[Framing]); 14] = [
            ("", &[]),
            ("POST / HTTP/1.1\r\nHost: a\r\n", &[]),
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", &[Length]),
            ("\r\n\nGET / HTTP/1.1\nHost: a\n\n", &[Length]),
            (
                "POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n",
                &[Length, Length],
            ),
            (
                "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nT:POST / HTTP/1.1\r\ncontent-length:1\r\nTRANSFER-ENCODING:x\r\n\r\n",
                &[Length, Both],
            ),
            (
                "POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
                &[Length, Length],
            ),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
                &[Chunked],
            ),
            (
                "POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                &[Both],
            ),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: nonsense\r\n\r\n0\r\n\r\n",
                &[Both],
            ),
            // The words in a value, a path or a longer name mean nothing.
            (
                "POST /content-length:transfer-encoding: HTTP/1.1\r\nX-Content-Length: 5\r\nX: Transfer-Encoding: chunked\r\n\r\n",
                &[Length],
            ),
            // A CR too many is a line of its own, which hyper refuses.
            ("POST / HTTP/1.1\r\nHost: a\r\n\r\r\n", &[]),
            (
                "POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\nPOST / HTTP/1.1\r\n\r\n",
                &[Length],
            ),
            (&long, &[]),
        ];
        for (stream, wanted) in rows {
            for step in [1, 2, 3, 7, usize::MAX] {
                assert_eq!(
                    found(stream.as_bytes(), step),
                    wanted,
                    "{step} bytes at a time: {stream}"
                );
            }
        }
    }

    #[tokio::test]
    async fn a_write_waits_for_its_reader_but_not_for_ever() {
        let (ours, mut theirs) = duplex(8);
        let patience = Duration::from_millis(50);
        let mut wire = Wire::watching(ours, Heads::default(), MOST, patience);
        let mut buffer = [0; 64];
        let (written, read) =
            tokio::join!(wire.write_all(&[7; 64]), theirs.read_exact(&mut buffer));
        assert_eq!((written.unwrap(), read.unwrap()), ((), 64));
        let stuck = wire.write_all(&[7; 64]).await.unwrap_err();
        assert_eq!(stuck.kind(), io::ErrorKind::TimedOut);
    }
}
