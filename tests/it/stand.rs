//! A stand-in for somebody else's server: real HTTP on loopback, with answers that a test works out from the requests.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: Method,
    /// Path and query.
    pub path: String,
    pub headers: HeaderMap,
    pub body: String,
}

impl Asked {
    /// The value of a header; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    /// The value of a field of the form in the body; empty where there is none.
    pub fn field(&self, name: &str) -> String {
        let mut pairs = form_urlencoded::parse(self.body.as_bytes());
        let found = pairs.find(|(key, _)| key == name);
        found.map_or(String::new(), |(_, value)| value.into_owned())
    }

    /// All that was sent, as a debug page shows it, in clear and decoded where it was encoded.
    pub fn echo(&self) -> String {
        let value =
            |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers: Vec<String> = self
            .headers
            .iter()
            .map(|(n, v)| format!("{n}: {}", value(v)))
            .collect();
        let query = self.path.split_once('?').map_or("", |(_, query)| query);
        let decoded: Vec<String> = form_urlencoded::parse(query.as_bytes())
            .map(|(key, value)| format!("{key} is {value}"))
            .collect();
        format!(
            "{} {}\n{}\n{}",
            self.path,
            decoded.join(" "),
            headers.join("\n"),
            self.body
        )
    }
}

/// What is answered.
#[derive(Debug, Clone)]
pub struct Said {
    pub status: u16,
    pub content_type: &'static str,
    pub body: String,
    /// How long it takes.
    pub after: Duration,
}

impl Said {
    pub fn json(status: u16, body: impl ToString) -> Self {
        Self {
            status,
            content_type: "application/json",
            body: body.to_string(),
            after: Duration::ZERO,
        }
    }

    pub fn text(status: u16, body: impl Into<String>) -> Self {
        Self {
            content_type: "text/plain",
            ..Self::json(status, body.into())
        }
    }

    pub fn after(self, after: Duration) -> Self {
        Self { after, ..self }
    }
}

type Answer = dyn Fn(usize, &Asked) -> Said + Send + Sync;

/// The server; it ends when it is dropped.
pub struct Stand {
    pub addr: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    served: JoinHandle<()>,
}

impl Drop for Stand {
    fn drop(&mut self) {
        self.served.abort();
    }
}

impl Stand {
    /// A server on a free port; `answer` is told how many requests there were before.
    pub async fn start(answer: impl Fn(usize, &Asked) -> Said + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (answer, noted): (Arc<Answer>, _) = (Arc::new(answer), Arc::clone(&asked));
        let served = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (answer, noted) = (Arc::clone(&answer), Arc::clone(&noted));
                let service = service_fn(move |request| {
                    serve(request, Arc::clone(&answer), Arc::clone(&noted))
                });
                let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tokio::spawn(async move { drop(serving.await) });
            }
        });
        Self {
            addr,
            asked,
            served,
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// All requests so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve(
    request: Request<Incoming>,
    answer: Arc<Answer>,
    noted: Arc<Mutex<Vec<Asked>>>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let asked = Asked {
        method: head.method,
        path: head.uri.path_and_query().unwrap().to_string(),
        headers: head.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    };
    let before = {
        let mut all = noted.lock().unwrap();
        all.push(asked.clone());
        all.len() - 1
    };
    let said = answer(before, &asked);
    tokio::time::sleep(said.after).await;
    let response = Response::builder()
        .status(said.status)
        .header("content-type", said.content_type);
    Ok(response.body(Full::from(said.body)).unwrap())
}
