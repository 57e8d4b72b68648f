//! What goes on now and lately: charts, the last attempts, and a stream of events and attempts.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use hyper::body::{Body, Frame};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::admin::Door;
use crate::admin::answer::{Answer, Refusal, json, response};
use crate::admin::query::{self, BadQuery, StreamFilter};
use crate::admin::routes::Call;
use crate::admin::shapes::{AttemptRowShape, EventRowShape, LostShape, PageShape, SeriesShape};
use crate::listener;
use crate::live::{Heard, News, Place, Reader};

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// How often a stream says something though nothing happens, so that no proxy in between takes it for dead.
const COMMENT_EVERY: Duration = Duration::from_secs(15);

/// After this time a stream ends by itself: before its connection is too old and is cut off.
const STREAM_LIFE: Duration = Duration::from_secs(540);

/// What a stream has ready beyond what its connection has taken. The feed keeps more, and counts what a reader misses.
const READY: usize = 16;

/// `GET /api/v1/series?window=&source=&target=`
pub(in crate::admin) async fn series(door: Arc<Door>, call: Call) -> Answer {
    let (window, which) = query::series(&call.query)?;
    let columns = door.admin.live.series.columns(window, &which);
    let columns = columns.ok_or_else(|| {
        Refusal::not_found("no series is kept of a source or target of this name")
    })?;
    Ok(json(
        StatusCode::OK,
        &SeriesShape::new(window, which, columns),
    ))
}

/// `GET /api/v1/attempts`: the latest attempts of all deliveries, from memory.
pub(in crate::admin) async fn attempts(door: Arc<Door>, call: Call) -> Answer {
    let (filter, page) = query::attempts(&call.query)?;
    let passes = |attempt: &_| filter.takes_attempt(attempt);
    let (rows, next) = door
        .admin
        .live
        .feed
        .attempts(page.before, page.limit, passes);
    let shape = |entry: &'_ Arc<crate::live::Entry>| match &entry.news {
        News::Attempt(attempt) => {
            serde_json::to_value(AttemptRowShape::new(entry.place, attempt)).ok()
        }
        News::Event(_) => None,
    };
    let items = rows.iter().filter_map(shape).collect();
    let next = next.map(|place| place.to_string());
    Ok(json(StatusCode::OK, &PageShape { items, next }))
}

/// `GET /api/v1/stream`: events and attempts as they happen, as server-sent events.
pub(in crate::admin) async fn stream(door: Arc<Door>, call: Call) -> Answer {
    let filter = query::stream(&call.query)?;
    let behind = last_event_id(&call.headers)?;
    if call.head {
        return Ok(response(StatusCode::OK, EVENT_STREAM, Bytes::new()));
    }
    let Ok(permit) = Arc::clone(&door.streams).try_acquire_owned() else {
        return Err(Refusal::busy("there are as many streams as there may be"));
    };
    let (out, frames) = mpsc::channel(READY);
    let telling = Telling {
        out,
        filter,
        until: Instant::now() + STREAM_LIFE,
        stopping: call.stopping,
        _permit: permit,
    };
    tokio::spawn(telling.run(door.admin.live.feed.read(behind)));
    let body = listener::Answer::stream(Frames(frames));
    let mut answer = response(StatusCode::OK, EVENT_STREAM, body);
    // What comes next on this connection would find it old.
    let close = HeaderValue::from_static("close");
    answer.headers_mut().insert(CONNECTION, close);
    Ok(answer)
}

/// The place behind which the reader wants to go on.
fn last_event_id(headers: &HeaderMap) -> Result<Option<Place>, BadQuery> {
    match headers.get(LAST_EVENT_ID).map(HeaderValue::to_str) {
        None | Some(Ok("")) => Ok(None),
        Some(Ok(text)) if text.parse::<Place>().is_ok() => Ok(text.parse().ok()),
        Some(_) => Err(BadQuery(
            "`last-event-id` must be the id of something that came by the stream".to_owned(),
        )),
    }
}

/// The frames of a stream, as a body.
struct Frames(mpsc::Receiver<Bytes>);

impl Body for Frames {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0
            .poll_recv(cx)
            .map(|frame| frame.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// What fills a stream.
struct Telling {
    out: mpsc::Sender<Bytes>,
    filter: StreamFilter,
    until: Instant,
    stopping: watch::Receiver<bool>,
    _permit: OwnedSemaphorePermit,
}

impl Telling {
    /// Tells until nobody reads any more, the door is to be closed, or the stream is old.
    async fn run(self, mut reader: Reader) {
        let (out, until, mut stopping) = (self.out.clone(), self.until, self.stopping.clone());
        tokio::select! {
            () = self.tell(&mut reader) => {}
            () = out.closed() => {}
            () = sleep_until(until) => {}
            // An error means that the door is gone.
            _ = stopping.wait_for(|stopping| *stopping) => {}
        }
    }

    async fn tell(&self, reader: &mut Reader) {
        // The head goes out with the first frame, and the reader knows that it is heard.
        let mut frame = Some(Bytes::from_static(b":\n\n"));
        loop {
            if let Some(frame) = frame.take()
                && self.out.send(frame).await.is_err()
            {
                return;
            }
            let comment_at = Instant::now() + COMMENT_EVERY;
            frame = loop {
                match timeout_at(comment_at, reader.next()).await {
                    Err(_) => break Some(Bytes::from_static(b":\n\n")),
                    Ok(None) => return,
                    Ok(Some(heard)) => {
                        if let Some(frame) = self.frame(&heard) {
                            break Some(frame);
                        }
                    }
                }
            };
        }
    }

    /// What is heard, as it is written; `None` if the filter does not take it.
    fn frame(&self, heard: &Heard) -> Option<Bytes> {
        let entry = match heard {
            Heard::Lost(missed) => return written(None, "lost", &LostShape { missed: *missed }),
            Heard::Entry(entry) => entry,
        };
        match &entry.news {
            News::Event(event) if self.filter.takes_event(event) => {
                written(Some(entry.place), "event", &EventRowShape::from(event))
            }
            News::Attempt(attempt) if self.filter.takes_attempt(attempt) => written(
                Some(entry.place),
                "attempt",
                &AttemptRowShape::new(entry.place, attempt),
            ),
            News::Event(_) | News::Attempt(_) => None,
        }
    }
}

/// A server-sent event.
fn written(place: Option<Place>, name: &str, shape: &impl Serialize) -> Option<Bytes> {
    let data = serde_json::to_string(shape).ok()?;
    let id = place.map_or(String::new(), |place| format!("id: {place}\n"));
    Some(Bytes::from(format!("{id}event: {name}\ndata: {data}\n\n")))
}
