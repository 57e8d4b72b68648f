//! How a connection is made: the addresses are checked, then it goes directly or through a proxy's tunnel.
//!
//! Promise: no connection is made to an address that the policy refuses. A name is resolved once, and only what was
//! checked is connected to, so that a name cannot point elsewhere a moment later. A proxy is held to what is always
//! refused; behind it addresses in URLs are checked here, names are the proxy's to resolve and to judge. Not here: what is
//! refused (see `egress`), TLS, which is between us and the other side also through a proxy.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderValue, Uri};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower_service::Service;

use super::failure::DnsError;
use crate::egress::{EgressPlan, Guard, Proxy, Refused, literal};

/// A host that does not take a connection within this time is taken for down; so is a proxy that does not answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Most bytes of a proxy's answer to CONNECT.
const TUNNEL_BYTES: usize = 8 * 1024;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

type Pinned<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What finds the addresses of a name.
pub(crate) type Lookup = fn(Name) -> Pinned<io::Result<Vec<SocketAddr>>>;

/// The policy says no.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EgressError {
    /// To an address in a URL.
    #[error("{0}")]
    Address(Refused),
    /// To all addresses of a name.
    #[error("every address of `{name}` is refused, such as {first}")]
    Name {
        /// The name.
        name: String,
        /// What is said of the first one.
        first: Refused,
    },
}

/// The way to the proxy, or through it, is not open.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProxyError {
    #[error("the proxy cannot be reached")]
    Unreachable(#[source] BoxError),
    #[error("the proxy broke off")]
    Broken(#[source] io::Error),
    #[error("the proxy did not answer within {CONNECT_TIMEOUT:?}")]
    Slow,
    #[error("the proxy answered {0}")]
    Status(u16),
    #[error("what the proxy answered is not HTTP")]
    NotHttp,
}

/// Makes connections by a policy; without one, to everywhere.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    policy: Option<Arc<EgressPlan>>,
    direct: HttpConnector<Resolver>,
    to_proxy: HttpConnector<Resolver>,
}

impl Connector {
    pub(crate) fn new(policy: Option<Arc<EgressPlan>>) -> Self {
        Self::with_lookup(policy, system)
    }

    /// The same with another way to find the addresses of names.
    pub(crate) fn with_lookup(policy: Option<Arc<EgressPlan>>, lookup: Lookup) -> Self {
        let tcp = |guard| {
            let mut tcp = HttpConnector::new_with_resolver(Resolver { guard, lookup });
            tcp.enforce_http(false);
            tcp.set_nodelay(true);
            tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
            tcp
        };
        Self {
            direct: tcp(policy.as_ref().map(|policy| policy.guard.clone())),
            to_proxy: tcp(Some(Guard::default())),
            policy,
        }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = Pinned<Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.direct.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let host = uri.host().unwrap_or_default();
        let address = literal(host);
        if let (Some(policy), Some(address)) = (&self.policy, address)
            && let Err(refused) = policy.guard.check(address)
        {
            return Box::pin(async move { Err(EgressError::Address(refused).into()) });
        }
        let proxy = self.policy.as_ref().and_then(|policy| {
            let proxy = policy.proxy.as_ref()?;
            let past = proxy.bypass.iter().any(|entry| entry.matches(host));
            (!past).then_some(proxy)
        });
        match proxy {
            None => {
                let connecting = self.direct.call(uri);
                Box::pin(async move { Ok(connecting.await?) })
            }
            Some(proxy) => {
                let to_proxy = self.to_proxy.clone();
                let through = through(to_proxy, proxy.clone(), authority(&uri, address));
                Box::pin(through)
            }
        }
    }
}

/// What a proxy is asked for: host and port. An address is written as it was checked, whatever stands in the URL.
fn authority(uri: &Uri, address: Option<IpAddr>) -> String {
    let default = match uri.scheme_str() {
        Some("https") => 443,
        _ => 80,
    };
    let port = uri.port_u16().unwrap_or(default);
    match address {
        Some(address) => SocketAddr::new(address, port).to_string(),
        None => format!("{}:{port}", uri.host().unwrap_or_default()),
    }
}

/// Connects to the proxy and has it connect further.
async fn through(
    mut tcp: HttpConnector<Resolver>,
    proxy: Proxy,
    authority: String,
) -> Result<TokioIo<TcpStream>, BoxError> {
    let host = proxy.url.host().unwrap_or_default();
    if let Some(Err(refused)) = literal(host).map(|address| Guard::default().check(address)) {
        return Err(EgressError::Address(refused).into());
    }
    let connected = tcp.call(proxy.url).await;
    let stream = connected.map_err(|error| ProxyError::Unreachable(error.into()))?;
    let opening = tunnel(
        stream.into_inner(),
        &authority,
        proxy.authorization.as_ref(),
    );
    let stream = timeout(CONNECT_TIMEOUT, opening)
        .await
        .map_err(|_| ProxyError::Slow)??;
    Ok(TokioIo::new(stream))
}

/// Asks for a tunnel (RFC 9110, 9.3.6). hyper-util has one, too, but it takes a status line that comes in two pieces
/// for a refusal, goes to port 443 for http as well, and does not tell the status.
async fn tunnel(
    mut stream: TcpStream,
    authority: &str,
    authorization: Option<&HeaderValue>,
) -> Result<TcpStream, ProxyError> {
    let mut request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n").into_bytes();
    if let Some(value) = authorization {
        request.extend_from_slice(b"Proxy-Authorization: ");
        request.extend_from_slice(value.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    let asked = stream.write_all(&request).await;
    asked.map_err(ProxyError::Broken)?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        // What comes behind the head before anything was asked is not the target's answer.
        let ended = answer.windows(4).any(|four| four == b"\r\n\r\n");
        if ended || answer.len() >= TUNNEL_BYTES {
            return Err(status(&answer).map_or(ProxyError::NotHttp, not_open));
        }
        let room = TUNNEL_BYTES - answer.len();
        let mut piece = (&mut stream).take(u64::try_from(room).unwrap_or(u64::MAX));
        let read = piece.read_buf(&mut answer).await;
        if read.map_err(ProxyError::Broken)? == 0 {
            return Err(ProxyError::Broken(io::ErrorKind::UnexpectedEof.into()));
        }
    }
    match status(&answer) {
        Some(200..=299) => Ok(stream),
        Some(other) => Err(ProxyError::Status(other)),
        None => Err(ProxyError::NotHttp),
    }
}

/// The error of an answer that did not end where it should.
fn not_open(status: u16) -> ProxyError {
    match status {
        200..=299 => ProxyError::NotHttp,
        other => ProxyError::Status(other),
    }
}

/// The status of an HTTP/1 answer.
fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|byte| *byte == b'\r').next()?;
    let line = std::str::from_utf8(line).ok()?;
    let rest = line.strip_prefix("HTTP/1.")?.get(1..)?.strip_prefix(' ')?;
    let digits = rest.split(' ').next()?;
    (digits.len() == 3).then(|| digits.parse().ok())?
}

/// The addresses of a name that the system knows.
fn system(name: Name) -> Pinned<io::Result<Vec<SocketAddr>>> {
    let found = GaiResolver::new().call(name);
    Box::pin(async move { Ok(found.await?.collect()) })
}

/// A resolver that gives only addresses that may be connected to, with errors that say that they are its own.
#[derive(Debug, Clone)]
struct Resolver {
    guard: Option<Guard>,
    lookup: Lookup,
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = Pinned<Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let text = name.as_str().to_owned();
        let found = (self.lookup)(name);
        let guard = self.guard.clone();
        Box::pin(async move {
            let found = found.await.map_err(DnsError)?;
            match guard {
                Some(guard) => Ok(allowed(&guard, &text, found)?.into_iter()),
                None => Ok(found.into_iter()),
            }
        })
    }
}

/// Those of the addresses of a name that may be connected to.
fn allowed(
    guard: &Guard,
    name: &str,
    found: Vec<SocketAddr>,
) -> Result<Vec<SocketAddr>, EgressError> {
    let mut good = Vec::new();
    let mut first = None;
    for address in found {
        match guard.check(address.ip()) {
            Ok(()) => good.push(address),
            Err(refused) => first = first.or(Some(refused)),
        }
    }
    match first {
        Some(first) if good.is_empty() => Err(EgressError::Name {
            name: name.to_owned(),
            first,
        }),
        _ => Ok(good),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn a_proxy_is_asked_for_what_was_checked() {
        for (url, wanted) in [
            ("http://erp.example.com/a", "erp.example.com:80"),
            ("https://erp.example.com/a", "erp.example.com:443"),
            ("http://erp.example.com:8080", "erp.example.com:8080"),
            ("http://0x0a.1/", "10.0.0.1:80"),
            ("https://[2001:db8::1]/", "[2001:db8::1]:443"),
            ("http://[10.0.0.1]:99/", "10.0.0.1:99"),
        ] {
            let uri: Uri = url.parse().unwrap();
            let address = literal(uri.host().unwrap());
            assert_eq!(authority(&uri, address), wanted, "{url}");
        }
    }

    #[test]
    fn only_allowed_addresses_of_a_name_are_left() {
        let found = |texts: &[&str]| -> Vec<SocketAddr> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        let guard = Guard::default();
        for (all, left) in [
            (vec!["8.8.8.8:0"], vec!["8.8.8.8:0"]),
            (vec!["169.254.169.254:0", "8.8.8.8:0"], vec!["8.8.8.8:0"]),
            (vec!["[fd00:ec2::254]:0", "10.0.0.1:0"], vec!["10.0.0.1:0"]),
            (vec![], vec![]),
        ] {
            let good = allowed(&guard, "n", found(&all)).unwrap();
            assert_eq!(good, found(&left));
        }
        let error = allowed(&guard, "n", found(&["169.254.169.254:0", "[::]:0"])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "every address of `n` is refused, such as 169.254.169.254: link-local addresses are always refused"
        );
    }

    /// What becomes of a tunnel if the proxy sends these pieces and then closes.
    async fn tunnelled(pieces: &'static [&'static str]) -> Result<(), String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let proxy = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                stream.read_buf(&mut asked).await.unwrap();
            }
            for piece in pieces {
                // The other side may have seen enough.
                let _ = stream.write_all(piece.as_bytes()).await;
                let _ = stream.flush().await;
                tokio::task::yield_now().await;
            }
            String::from_utf8(asked).unwrap()
        });
        let stream = TcpStream::connect(address).await.unwrap();
        let secret = HeaderValue::from_static("Basic eDp5");
        let opened = tunnel(stream, "erp:80", Some(&secret)).await;
        assert_eq!(
            proxy.await.unwrap(),
            "CONNECT erp:80 HTTP/1.1\r\nHost: erp:80\r\nProxy-Authorization: Basic eDp5\r\n\r\n"
        );
        opened.map(|_| ()).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn a_tunnel_is_open_or_not() {
        let not_http = "what the proxy answered is not HTTP";
        let cases: [(&'static [&'static str], Result<(), &str>); 10] = [
            (&["HTTP/1.1 200 OK\r\n\r\n"], Ok(())),
            (
                &[
                    "HT",
                    "TP/1.0 200 Connection established\r",
                    "\nx: y\r\n\r\n",
                ],
                Ok(()),
            ),
            (&["HTTP/1.1 204\r\n\r\n"], Ok(())),
            (
                &["HTTP/1.1 407 Who?\r\n\r\n"],
                Err("the proxy answered 407"),
            ),
            (
                &["HTTP/1.1 403 No\r\ncontent-length: 2\r\n\r\nno"],
                Err("the proxy answered 403"),
            ),
            (&["HTTP/1.1 200 OK\r\n\r\nearly"], Err(not_http)),
            (&["SSH-2.0-x\r\n\r\n"], Err(not_http)),
            (&["HTTP/1.1 2000 OK\r\n\r\n"], Err(not_http)),
            (&["HTTP/1.1 200 OK\r\n"], Err("the proxy broke off")),
            (&[], Err("the proxy broke off")),
        ];
        for (pieces, wanted) in cases {
            let wanted = wanted.map_err(str::to_owned);
            assert_eq!(tunnelled(pieces).await, wanted, "{pieces:?}");
        }
        let endless: &'static str = "x: y\r\n".repeat(2_000).leak();
        let pieces: &'static [&'static str] = vec!["HTTP/1.1 200 OK\r\n", endless].leak();
        assert_eq!(tunnelled(pieces).await, Err(not_http.to_owned()));
    }
}
