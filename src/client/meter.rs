//! The stream of a connection, on which an answer may have so many bytes and no more.
//!
//! hyper bounds a head and we bound the body, but it reads on for as long as interim answers (1xx) come;
//! a server that sends nothing else would keep a thread busy until the timeout. Not here: which bytes
//! they are; TLS is above.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tower_service::Service;

/// What is wrong with a longer answer.
#[derive(Debug, thiserror::Error)]
#[error("the answer is longer than {most} bytes")]
pub(crate) struct TooLong {
    most: usize,
}

/// A connector whose streams give no more than `most` bytes after each write.
#[derive(Debug, Clone)]
pub(crate) struct Metering<C> {
    inner: C,
    most: usize,
}

impl<C> Metering<C> {
    pub(crate) fn new(inner: C, most: usize) -> Self {
        Self { inner, most }
    }
}

impl<C, S> Service<Uri> for Metering<C>
where
    C: Service<Uri, Response = TokioIo<S>>,
    C::Future: Send + 'static,
    C::Error: 'static,
    S: 'static,
{
    type Response = TokioIo<Metered<S>>;
    type Error = C::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, C::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), C::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.inner.call(uri);
        let most = self.most;
        Box::pin(async move {
            let io = connecting.await?.into_inner();
            Ok(TokioIo::new(Metered {
                io,
                most,
                left: most,
            }))
        })
    }
}

/// A stream that gives no more than `most` bytes after each write.
#[derive(Debug)]
pub(crate) struct Metered<S> {
    io: S,
    most: usize,
    left: usize,
}

impl<S> Metered<S> {
    /// Something was sent, so an answer may follow.
    fn refill(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if matches!(written, Poll::Ready(Ok(n)) if n > 0) {
            self.left = self.most;
        }
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(context, buffer))?;
        let fresh = buffer.filled().len().saturating_sub(before);
        Poll::Ready(match self.left.checked_sub(fresh) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(io::Error::other(TooLong { most: self.most })),
        })
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(context, bytes);
        self.refill(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(context, slices);
        self.refill(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

impl<S: Connection> Connection for Metered<S> {
    fn connected(&self) -> Connected {
        self.io.connected()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn each_write_makes_room_for_one_answer() {
        let (io, mut peer) = duplex(64);
        let mut ours = Metered {
            io,
            most: 4,
            left: 4,
        };
        let mut answer = [0; 4];
        for _ in 0..3 {
            ours.write_all(b"ask").await.unwrap();
            peer.write_all(b"four").await.unwrap();
            ours.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"four");
        }
        peer.write_all(b"!").await.unwrap();
        let error = ours.read_exact(&mut answer[..1]).await.unwrap_err();
        assert_eq!(error.to_string(), "the answer is longer than 4 bytes");
    }
}
