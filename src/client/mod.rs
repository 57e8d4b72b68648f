//! HTTP towards others: how connections are made, and the small requests that are no deliveries.
//!
//! Promise: no connection is made to an address that the policy refuses (see `connect`); no redirect is followed; an
//! answer makes us read so many bytes and no more. HTTP/1.1, over TLS by one provider. Not here: what is refused (see
//! `egress`), attempts, which have a pool of connections for each target (see `dispatch`).

pub(crate) mod connect;
pub(crate) mod failure;
mod fetch;
pub(crate) mod meter;
pub(crate) mod pool;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use rustls::{ClientConfig, RootCertStore};

pub use self::failure::Step;
pub use self::fetch::{BodyError, FetchError, Fetcher, Limits};
pub use self::pool::{Answer, RequestError};

use self::connect::Connector;
use self::meter::Metering;
use self::pool::Pool;
use crate::tls::ClientTls;

/// How we name ourselves to others.
pub const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("ingate/", env!("CARGO_PKG_VERSION")));

/// Most bytes of an answer's head.
pub(crate) const HEAD_BYTES: usize = 64 * 1024;

/// What makes the streams of connections.
pub(crate) type Streams = HttpsConnector<Metering<Connector>>;

/// What makes the streams of connections: with this TLS, on these connections, of so many bytes for each request.
pub(crate) fn streams(tls: &ClientConfig, connector: Connector, answer_bytes: usize) -> Streams {
    HttpsConnectorBuilder::new()
        .with_tls_config(tls.clone())
        .https_or_http()
        .enable_http1()
        .wrap_connector(Metering::new(connector, answer_bytes))
}

/// Sends one request over a connection of its own, to wherever it is asked for; the answer may be of any size and may
/// come at any time: what commands call the doors with. Without `own`, whom the system trusts is trusted.
///
/// # Errors
/// If no answer comes.
pub async fn request(
    request: Request<Full<Bytes>>,
    own: Option<&ClientTls>,
) -> Result<Response<Answer>, RequestError> {
    let tls = match own {
        Some(own) => own.config().clone(),
        None => tls(request.uri().scheme_str() == Some("https")),
    };
    let streams = streams(&tls, Connector::new(None), usize::MAX);
    Pool::new(streams, 1).request(request).await
}

/// The TLS side of all clients: the system's roots, and only if they are `needed`.
pub(crate) fn tls(needed: bool) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let with_roots = |roots| {
        // The provider is ours and knows the default versions, so the fallback is never taken.
        ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map(|builder| match roots {
                Roots::System => builder.with_native_roots().map_err(|e| e.to_string()),
                Roots::None => Ok(builder.with_root_certificates(RootCertStore::empty())),
            })
            .unwrap_or_else(|error| Err(error.to_string()))
            .map(|builder| builder.with_no_client_auth())
    };
    if needed {
        match with_roots(Roots::System) {
            Ok(config) => return config,
            Err(error) => tracing::error!(
                error,
                "the system has no root certificates; nothing can be reached by https"
            ),
        }
    }
    with_roots(Roots::None).unwrap_or_else(|_| {
        ClientConfig::builder()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth()
    })
}

#[derive(Clone, Copy)]
enum Roots {
    System,
    None,
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn what_a_command_asks_for_may_be_long() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let asked = Request::get(format!("http://{}/", listener.local_addr().unwrap()));
        let length = 4 << 20;
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_buf(&mut Vec::new()).await.unwrap();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(&vec![b'x'; length]).await.unwrap();
        });
        let answer = request(asked.body(Full::default()).unwrap(), None).await;
        let body = answer.unwrap().into_body().collect().await.unwrap();
        assert_eq!(body.to_bytes().len(), length);
    }

    #[test]
    fn a_configuration_without_roots_can_always_be_made() {
        assert!(tls(false).alpn_protocols.is_empty());
    }
}
