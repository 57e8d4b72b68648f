//! The yardstick: a reverse proxy of hyper alone. It verifies nothing and stores nothing: it passes requests on to
//! one target over connections that are kept, and answers what the target answers. A process of its own, as the
//! daemon is one, on tokio's default runtime.

use std::io;
use std::net::SocketAddr;

use http::header::{CONNECTION, HOST};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{Either, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpListener;

type Upstream = Client<HttpConnector, Incoming>;
type Answer = Response<Either<Incoming, Empty<Bytes>>>;

/// Runs until its standard input is closed, which is when the bench has ended.
pub fn run(listen: SocketAddr, target: SocketAddr) -> io::Result<()> {
    std::thread::spawn(|| {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async move {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client: Upstream = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .build(connector);
        let listener = TcpListener::bind(listen).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let client = client.clone();
            tokio::spawn(async move {
                let service = service_fn(|request| forward(&client, target, request));
                // a connection that breaks shows on the other side
                let _ = http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    })
}

async fn forward(
    client: &Upstream,
    target: SocketAddr,
    mut request: Request<Incoming>,
) -> Result<Answer, http::Error> {
    let path = request.uri().path_and_query().map_or("/", |p| p.as_str());
    *request.uri_mut() = Uri::builder()
        .scheme("http")
        .authority(target.to_string())
        .path_and_query(path)
        .build()?;
    request.headers_mut().remove(HOST);
    request.headers_mut().remove(CONNECTION);
    match client.request(request).await {
        Ok(mut answer) => {
            answer.headers_mut().remove(CONNECTION);
            Ok(answer.map(Either::Left))
        }
        Err(_) => Response::builder()
            .status(StatusCode::BAD_GATEWAY)
            .body(Either::Right(Empty::new())),
    }
}
