//! Who may come in: by which name the door is called, from which page, with which token. Pure.
//!
//! A browser on the operator's machine can reach the door on behalf of any page. A page that had its own
//! name resolve to loopback (DNS rebinding) shows in `Host`; one that posts across origins shows in
//! `Origin` or `Sec-Fetch-Site`.

use std::net::{IpAddr, SocketAddr};

use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, StatusCode, Uri};
use subtle::ConstantTimeEq;

use super::answer::{Code, Refusal};
use crate::plan::AdminPlan;

/// What a browser says of where a request comes from.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Proof that a request came by a right name and from no foreign page.
pub(super) struct Pass {
    /// Whether it also brought the token, or none is needed.
    pub(super) trusted: bool,
}

/// Looks at a request that came in on the address `local`.
pub(super) fn pass(
    plan: &AdminPlan,
    local: SocketAddr,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Pass, Refusal> {
    let host = host(headers)?;
    let own = |authority: &Authority| is_own_name(authority.host(), plan, local);
    if !own(&host) || !uri.authority().is_none_or(own) {
        return Err(Refusal::new(
            StatusCode::MISDIRECTED_REQUEST,
            Code::WrongHost,
            "this door does not answer to that host name; name it in admin.hosts",
        ));
    }
    if !from_own_page(headers, &host) {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            Code::ForeignOrigin,
            "requests from pages of other origins are refused",
        ));
    }
    Ok(Pass {
        trusted: match &plan.token {
            Some(token) => bearer(headers).is_some_and(|sent| sent.ct_eq(token.expose()).into()),
            None => true,
        },
    })
}

fn host(headers: &HeaderMap) -> Result<Authority, Refusal> {
    single(headers, &HOST)
        .and_then(|host| host.parse::<Authority>().ok())
        .filter(|host| !host.as_str().contains('@'))
        .ok_or_else(|| {
            Refusal::new(
                StatusCode::BAD_REQUEST,
                Code::BadHost,
                "a request needs exactly one valid Host header",
            )
        })
}

/// The value of a header that came exactly once.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// Whether the door goes by this name: loopback, the address that was connected to, or a configured one.
fn is_own_name(host: &str, plan: &AdminPlan, local: SocketAddr) -> bool {
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    if let Ok(address) = bare.parse::<IpAddr>() {
        let address = address.to_canonical();
        return address.is_loopback()
            || address == local.ip().to_canonical()
            || plan.hosts.iter().any(|own| own == bare);
    }
    let name = bare.strip_suffix('.').unwrap_or(bare);
    name.eq_ignore_ascii_case("localhost")
        || plan.hosts.iter().any(|own| own.eq_ignore_ascii_case(name))
}

/// Whether what a browser adds says that the request comes from a page of this door, or from none.
fn from_own_page(headers: &HeaderMap, host: &Authority) -> bool {
    let site_is_own = match headers.get_all(SEC_FETCH_SITE).iter().next() {
        None => true,
        Some(_) => matches!(
            single(headers, &SEC_FETCH_SITE),
            Some("same-origin" | "none")
        ),
    };
    let origin_is_own = match headers.get_all(ORIGIN).iter().next() {
        None => true,
        Some(_) => single(headers, &ORIGIN).is_some_and(|origin| same_authority(origin, host)),
    };
    site_is_own && origin_is_own
}

/// Whether an origin is that of this host; the scheme may be either, since a proxy may add TLS.
fn same_authority(origin: &str, host: &Authority) -> bool {
    let (default_port, authority) = match origin.split_once("://") {
        Some(("http", authority)) => (80, authority),
        Some(("https", authority)) => (443, authority),
        _ => return false,
    };
    let Ok(authority) = authority.parse::<Authority>() else {
        return false;
    };
    let port = |authority: &Authority| authority.port_u16().unwrap_or(default_port);
    authority.host().eq_ignore_ascii_case(host.host()) && port(&authority) == port(host)
}

/// The token of an `Authorization: Bearer` header.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let (scheme, token) = single(headers, &AUTHORIZATION)?.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn status(token: Option<&str>, local: &str, lines: &[(&str, &str)]) -> Result<bool, u16> {
        let plan = AdminPlan {
            listen: "0.0.0.0:8081".parse().unwrap(),
            token: token.map(Secret::new),
            hosts: vec!["ops.example.com".to_owned()],
            tls: None,
            edit_templates: false,
        };
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        let uri = Uri::from_static("/readyz");
        pass(&plan, local.parse().unwrap(), &uri, &headers)
            .map(|pass| pass.trusted)
            .map_err(|refusal| refusal.status().as_u16())
    }

    #[test]
    fn the_host_must_be_the_doors_own() {
        for (host, wanted) in [
            ("127.0.0.1:8081", Ok(true)),
            ("127.0.0.1", Ok(true)),
            ("localhost:8081", Ok(true)),
            ("LocalHost", Ok(true)),
            ("localhost.", Ok(true)),
            ("[::1]:8081", Ok(true)),
            ("[::ffff:127.0.0.1]", Ok(true)),
            ("10.1.2.3:8081", Ok(true)),
            ("ops.example.com", Ok(true)),
            ("OPS.example.com:443", Ok(true)),
            ("10.1.2.4", Err(421)),
            ("evil.example", Err(421)),
            ("localhost.evil.example", Err(421)),
            ("127.0.0.1.evil.example", Err(421)),
            ("x@localhost", Err(400)),
            ("", Err(400)),
            ("a b", Err(400)),
        ] {
            assert_eq!(
                status(None, "10.1.2.3:8081", &[("host", host)]),
                wanted,
                "{host:?}"
            );
        }
        assert_eq!(status(None, "10.1.2.3:1", &[]), Err(400));
        let twice = [("host", "localhost"), ("host", "localhost")];
        assert_eq!(status(None, "10.1.2.3:1", &twice), Err(400));
    }

    #[test]
    fn the_origin_must_be_the_doors_own() {
        for (name, value, wanted) in [
            ("origin", "http://localhost:8081", Ok(true)),
            ("origin", "http://LOCALHOST:8081", Ok(true)),
            ("origin", "https://localhost:8081", Ok(true)),
            ("origin", "http://localhost:8082", Err(403)),
            ("origin", "http://localhost", Err(403)),
            ("origin", "http://127.0.0.1:8081", Err(403)),
            ("origin", "http://evil.example", Err(403)),
            ("origin", "null", Err(403)),
            ("origin", "", Err(403)),
            ("sec-fetch-site", "same-origin", Ok(true)),
            ("sec-fetch-site", "none", Ok(true)),
            ("sec-fetch-site", "same-site", Err(403)),
            ("sec-fetch-site", "cross-site", Err(403)),
        ] {
            let lines = [("host", "localhost:8081"), (name, value)];
            assert_eq!(
                status(None, "127.0.0.1:8081", &lines),
                wanted,
                "{name}: {value}"
            );
        }
    }

    #[test]
    fn the_token_must_match_whole() {
        for (value, trusted) in [
            ("Bearer right", true),
            ("bearer right", true),
            ("Bearer wrong", false),
            ("Bearer righ", false),
            ("Bearer rightt", false),
            ("Bearer", false),
            ("Bearer ", false),
            ("Basic right", false),
            ("right", false),
        ] {
            let lines = [("host", "localhost"), ("authorization", value)];
            assert_eq!(
                status(Some("right"), "127.0.0.1:1", &lines),
                Ok(trusted),
                "{value}"
            );
        }
        let none = [("host", "localhost")];
        assert_eq!(status(Some("right"), "127.0.0.1:1", &none), Ok(false));
        let twice = [
            ("host", "localhost"),
            ("authorization", "Bearer right"),
            ("authorization", "Bearer right"),
        ];
        assert_eq!(status(Some("right"), "127.0.0.1:1", &twice), Ok(false));
    }
}
