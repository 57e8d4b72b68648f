//! What an answer carries: all of it at once, or a stream that goes on. The public door's answers are whole, and an
//! enum costs them nothing.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};

type Boxed = Pin<Box<dyn Body<Data = Bytes, Error = Infallible> + Send>>;

/// The body of an answer.
pub enum Answer {
    /// It is there.
    Whole(Full<Bytes>),
    /// It comes piece by piece, and ends by itself.
    Stream(Boxed),
}

impl Answer {
    /// A body that comes piece by piece. It must end once the door is to be closed.
    pub fn stream(body: impl Body<Data = Bytes, Error = Infallible> + Send + 'static) -> Self {
        Self::Stream(Box::pin(body))
    }

    /// The same; `guard` is dropped when a stream has ended or nobody reads it any more, and now if it is none.
    pub(super) fn holding(self, guard: impl Send + Unpin + 'static) -> Self {
        match self {
            Self::Whole(whole) => Self::Whole(whole),
            Self::Stream(body) => Self::stream(Holding {
                body,
                _guard: guard,
            }),
        }
    }
}

impl<T: Into<Bytes>> From<T> for Answer {
    fn from(bytes: T) -> Self {
        Self::Whole(Full::new(bytes.into()))
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(whole) => f.debug_tuple("Whole").field(whole).finish(),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(whole) => Pin::new(whole).poll_frame(cx),
            Self::Stream(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(whole) => whole.is_end_stream(),
            Self::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(whole) => whole.size_hint(),
            Self::Stream(body) => body.size_hint(),
        }
    }
}

/// A stream with something that lives as long.
struct Holding<G> {
    body: Boxed,
    _guard: G,
}

impl<G: Unpin> Body for Holding<G> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.body.as_mut().poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
