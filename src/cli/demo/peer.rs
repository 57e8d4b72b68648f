//! A target on this machine that takes everything and remembers it, and verifies its signature.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// A request that the target took.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) head: Parts,
    pub(super) body: Bytes,
}

/// Starts the target on a free loopback port; what it takes comes out of the channel.
pub(super) async fn start() -> std::io::Result<(SocketAddr, UnboundedReceiver<Received>)> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let (sender, receiver) = unbounded_channel();
    tokio::spawn(accept(listener, sender));
    Ok((address, receiver))
}

async fn accept(listener: TcpListener, sender: UnboundedSender<Received>) {
    while let Ok((stream, _)) = listener.accept().await {
        let sender = sender.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| take(request, sender.clone()));
            // A connection that breaks is the daemon's to retry.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn take(
    request: Request<Incoming>,
    sender: UnboundedSender<Received>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let mut response = Response::new(Full::new(Bytes::from_static(b"{\"taken\":true}")));
    match body.collect().await {
        Ok(body) => {
            let body = body.to_bytes();
            // Nobody listens any more only when the demo is about to end.
            let _ = sender.send(Received { head, body });
        }
        Err(_) => *response.status_mut() = http::StatusCode::BAD_REQUEST,
    }
    Ok(response)
}
