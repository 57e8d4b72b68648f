//! The few requests that commands make themselves: to the daemon's doors.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use serde_json::Value;

use super::{Exit, Failure};
use crate::client;
use crate::config::{self, ProcessEnv};
use crate::plan::{AdminPlan, Plan};
use crate::secret::Secret;
use crate::tls::{self, Chain, ClientTls, Identity, ServerTls, TlsError};

/// How long a door may take to answer; longer than any of its own limits.
const PATIENCE: Duration = Duration::from_secs(60);

/// Most bytes of an answer; a page of the operator's door is far smaller.
const ANSWER_BYTES: usize = 64 << 20;

/// What came back.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

/// The variable that holds the token of the operator's door. No option does: others on the machine see command lines.
const TOKEN: &str = "INGATE_TOKEN";

/// How the operator's door is called.
#[derive(Debug, Args)]
pub(super) struct DoorArgs {
    /// Where the operator's door is, if it is not the one of the configuration, which is not read then; the token is
    /// taken from INGATE_TOKEN
    #[arg(long, value_name = "URL", env = "INGATE_ADMIN")]
    admin: Option<String>,
    /// The certificate to show to an operator's door that asks for one (PEM)
    #[arg(long, value_name = "FILE", requires = "client_key")]
    client_cert: Option<PathBuf>,
    /// The key of that certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    client_key: Option<PathBuf>,
}

impl DoorArgs {
    /// Whether a door is named, which may be one of another machine.
    pub(super) fn is_named(&self) -> bool {
        self.admin.is_some()
    }

    /// What calls the door that is named, or the operator's door of this configuration, which may be broken elsewhere.
    pub(super) fn caller(&self, config: &Path) -> Result<Caller, Failure> {
        let token = std::env::var_os(TOKEN).map(OsStringExt::into_vec);
        let token = token.filter(|token| !token.is_empty()).map(Secret::new);
        if let Some(url) = &self.admin {
            return Caller::named(url, token.as_ref(), self.identity()?);
        }
        let mut door = config::operator_door(config, &ProcessEnv).map_err(|errors| {
            let words = format!(
                "{errors}\n  help: this says how the operator's door of the daemon is reached; --admin URL names it without, and SIGHUP has it reload, too"
            );
            Failure::new(Exit::Config, words)
        })?;
        door.token = token.or(door.token);
        Caller::admin(&door, self.identity()?)
    }

    fn identity(&self) -> Result<Option<Identity>, Failure> {
        let (Some(cert), Some(key)) = (&self.client_cert, &self.client_key) else {
            return Ok(None);
        };
        let read = |path: &Path| {
            let read = std::fs::read(path);
            read.map_err(|error| Failure::caused(Exit::Usage, &error))
        };
        let bad = |error: TlsError| Failure::caused(Exit::Usage, &error);
        let chain = Chain::from_pem(&read(cert)?).map_err(bad)?;
        let key = Secret::new(read(key)?);
        Identity::new(&chain, &key).map(Some).map_err(bad)
    }
}

/// What calls a door.
#[derive(Debug)]
pub(super) struct Caller {
    /// Where the door is, such as `https://127.0.0.1:8080`.
    base: String,
    tls: Option<ClientTls>,
    authorization: Option<HeaderValue>,
}

impl Caller {
    /// Calls doors that speak plain HTTP, and others that the system trusts.
    pub(super) fn plain() -> Self {
        Self {
            base: String::new(),
            tls: None,
            authorization: None,
        }
    }

    /// Calls the public door of this plan. Its very certificate is trusted, by whatever name the door is called, and
    /// besides whom the system trusts.
    pub(super) fn public(plan: &Plan) -> Result<Self, Failure> {
        Self::to(plan.listen, plan.tls.as_ref(), None)
    }

    /// Calls the operator's door of this plan, with its token. `identity` is the certificate to show where the door
    /// asks for one.
    pub(super) fn admin(plan: &AdminPlan, identity: Option<Identity>) -> Result<Self, Failure> {
        let authorization = plan.token.as_ref().map(bearer).transpose()?;
        Ok(Self {
            authorization,
            ..Self::to(plan.listen, plan.tls.as_ref(), identity)?
        })
    }

    /// Calls the operator's door at this URL, which is trusted if the system trusts it.
    fn named(
        url: &str,
        token: Option<&Secret>,
        identity: Option<Identity>,
    ) -> Result<Self, Failure> {
        let wrong = |why: &str| {
            let help = "it is a scheme, a host and a port, such as https://relay.example:8081";
            Failure::usage(format!("error: --admin {url}: {why}\n  help: {help}"))
        };
        let uri: Uri = url.parse().map_err(|_| wrong("this is no URL"))?;
        let (Some(scheme @ ("http" | "https")), Some(authority)) =
            (uri.scheme_str(), uri.authority())
        else {
            return Err(wrong("this is no http or https URL"));
        };
        if uri
            .path_and_query()
            .is_some_and(|path| path != &PathAndQuery::from_static("/"))
        {
            return Err(wrong("there is something behind the port"));
        }
        if authority.as_str().contains('@') {
            return Err(wrong("INGATE_TOKEN says who calls, not the URL"));
        }
        let tls = match identity {
            Some(identity) if scheme == "https" => Some(
                tls::client(None, Some(identity))
                    .map_err(|error| Failure::caused(Exit::Failed, &error))?,
            ),
            _ => None,
        };
        Ok(Self {
            base: format!("{scheme}://{authority}"),
            tls,
            authorization: token.map(bearer).transpose()?,
        })
    }

    fn to(
        listen: SocketAddr,
        tls: Option<&ServerTls>,
        identity: Option<Identity>,
    ) -> Result<Self, Failure> {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let tls = tls
            .map(|door| tls::client_of(door, identity))
            .transpose()
            .map_err(|error| Failure::caused(Exit::Failed, &error))?;
        Ok(Self {
            base: format!("{scheme}://{}", reachable(listen)),
            tls,
            authorization: None,
        })
    }

    /// The URL of a path at the door.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    pub(super) async fn post(
        &self,
        url: &str,
        headers: &[(HeaderName, HeaderValue)],
        body: Bytes,
    ) -> Result<Answer, Failure> {
        let mut request = Request::builder().method(Method::POST).uri(url);
        if !headers.iter().any(|(name, _)| name == header::CONTENT_TYPE) {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        for (name, value) in headers {
            request = request.header(name, value);
        }
        self.send(url, request, body).await
    }

    /// Gets what is at a path of the door, whatever the status.
    pub(super) async fn get(&self, path: &str) -> Result<Answer, Failure> {
        let url = self.url(path);
        self.send(&url, Request::get(&url), Bytes::new()).await
    }

    /// Begins to read what is at a path of the door; the body may go on for ever.
    pub(super) async fn open(
        &self,
        path: &str,
        headers: &[(HeaderName, HeaderValue)],
    ) -> Result<Response<client::Answer>, Failure> {
        let url = self.url(path);
        let mut request = Request::get(&url);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        within_patience(&url, self.begin(&url, request, Bytes::new())).await
    }

    /// Posts without a body to a path of the door.
    pub(super) async fn ask(&self, path: &str) -> Result<Answer, Failure> {
        let url = self.url(path);
        self.send(&url, Request::post(&url), Bytes::new()).await
    }

    /// Gets a JSON document; anything but 200 is a failure.
    pub(super) async fn get_json(&self, url: &str) -> Result<Value, Failure> {
        let answer = self.send(url, Request::get(url), Bytes::new()).await?;
        if answer.status != StatusCode::OK {
            return Err(Failure::new(
                Exit::Failed,
                format!("error: {url} answered {}", answer.status),
            ));
        }
        serde_json::from_slice(&answer.body).map_err(|error| Failure::caused(Exit::Failed, &error))
    }

    async fn send(
        &self,
        url: &str,
        request: http::request::Builder,
        body: Bytes,
    ) -> Result<Answer, Failure> {
        let answer = async {
            let response = self.begin(url, request, body).await?;
            whole(url, response).await
        };
        within_patience(url, answer).await
    }

    async fn begin(
        &self,
        url: &str,
        mut request: http::request::Builder,
        body: Bytes,
    ) -> Result<Response<client::Answer>, Failure> {
        // The token is for this door alone.
        let own = url.strip_prefix(&self.base);
        let own = own.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']));
        if let (true, Some(token)) = (own, &self.authorization) {
            request = request.header(header::AUTHORIZATION, token);
        }
        let request = request
            .body(Full::new(body))
            .map_err(|error| Failure::usage(format!("error: {url}: {error}")))?;
        if !matches!(request.uri().scheme_str(), Some("http" | "https")) {
            return Err(Failure::usage(format!(
                "error: {url} is not an http or https URL"
            )));
        }
        client::request(request, self.tls.as_ref())
            .await
            .map_err(|error| unreachable(url, &error))
    }
}

/// Reads an answer to its end.
pub(super) async fn whole(
    url: &str,
    response: Response<client::Answer>,
) -> Result<Answer, Failure> {
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_BYTES)
        .collect()
        .await
        .map_err(|error| unreachable(url, error.as_ref()))?
        .to_bytes();
    Ok(Answer { status, body })
}

async fn within_patience<T>(
    url: &str,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(done) => done,
        Err(_) => Err(Failure::new(
            Exit::Unreachable,
            format!("error: {url}: no answer within {} s", PATIENCE.as_secs()),
        )),
    }
}

fn bearer(token: &Secret) -> Result<HeaderValue, Failure> {
    let value = [b"Bearer ", token.expose()].concat();
    let mut value = HeaderValue::from_bytes(&value).map_err(|_| {
        Failure::new(
            Exit::Config,
            "error: admin.token does not fit into a header",
        )
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// Where a door that listens there is called from this machine: one that listens on all addresses, on loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// The failure to reach a door, by the cause at its root: what lies above it speaks of the HTTP library only.
fn unreachable(url: &str, error: &(dyn std::error::Error + 'static)) -> Failure {
    let mut root = error;
    while let Some(cause) = root.source() {
        root = cause;
    }
    let refused = root
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused);
    let why = if refused {
        "nothing listens there; does the daemon run?".to_owned()
    } else {
        root.to_string()
    };
    Failure::new(Exit::Unreachable, format!("error: {url}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_door_on_all_addresses_is_called_on_loopback() {
        for (listen, wanted) in [
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("[::]:80", "[::1]:80"),
            ("10.0.0.1:80", "10.0.0.1:80"),
            ("127.0.0.1:80", "127.0.0.1:80"),
        ] {
            assert_eq!(reachable(listen.parse().unwrap()).to_string(), wanted);
        }
    }

    #[test]
    fn the_token_is_not_shown() {
        let plan = AdminPlan {
            listen: "127.0.0.1:8081".parse().unwrap(),
            token: Some(Secret::new("a-token")),
            hosts: Vec::new(),
            tls: None,
            edit_templates: false,
        };
        let caller = Caller::admin(&plan, None).unwrap();
        assert_eq!(caller.url("/livez"), "http://127.0.0.1:8081/livez");
        assert!(!format!("{caller:?}").contains("a-token"));
    }

    #[test]
    fn a_named_door_is_a_scheme_a_host_and_a_port() {
        for (url, wanted) in [
            ("http://127.0.0.1:8081", Some("http://127.0.0.1:8081/livez")),
            (
                "http://relay.example:8081/",
                Some("http://relay.example:8081/livez"),
            ),
            ("https://[::1]:8081", Some("https://[::1]:8081/livez")),
            ("127.0.0.1:8081", None),
            ("ftp://relay.example", None),
            ("http://relay.example/api", None),
            ("http://relay.example/?a=b", None),
            ("http://me:secret@relay.example", None),
            ("", None),
        ] {
            let caller = Caller::named(url, Some(&Secret::new("a-token")), None);
            let got = caller.as_ref().ok().map(|caller| caller.url("/livez"));
            assert_eq!(got.as_deref(), wanted, "{url}");
            assert!(!format!("{caller:?}").contains("a-token"));
            if let Err(failure) = caller {
                assert_eq!(failure.exit, Exit::Usage, "{url}");
            }
        }
    }
}
