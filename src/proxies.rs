//! Which address a request comes from. Pure.
//!
//! It is that of the peer, unless the peer is a proxy that is trusted: then it is the rightmost address in
//! `X-Forwarded-For` that is not itself a trusted proxy's, since each proxy writes behind what it got and the left
//! part is whatever the client made up. `Forwarded` (RFC 7239) is read only where there is no `X-Forwarded-For`:
//! most proxies write the older header and pass the newer one on as it came. An entry that is no address ends the walk
//! at the last good one. Not here: what follows from the address; nothing is let in for it.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

/// The header that most proxies write.
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Most entries that are walked; a chain of proxies is far shorter.
const MOST_ENTRIES: usize = 64;

/// The proxies that are trusted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies(Vec<IpNet>);

impl Proxies {
    /// The proxies at these addresses.
    #[must_use]
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// A network or a single address, as people write it.
    #[must_use]
    pub fn network(text: &str) -> Option<IpNet> {
        let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
        text.parse().ok().or_else(address)
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The address that a request of this peer comes from; of an IPv4 address that is mapped into IPv6, the IPv4 address.
    #[must_use]
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        for entry in entries(headers).into_iter().rev().take(MOST_ENTRIES) {
            if !self.trusts(client) {
                break;
            }
            match entry {
                Some(address) => client = address.to_canonical(),
                None => break,
            }
        }
        client
    }
}

/// The addresses that the headers name, from left to right; `None` is an entry that is none.
fn entries(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let of = |name: &HeaderName, read: fn(&str) -> Option<IpAddr>| -> Vec<Option<IpAddr>> {
        let values = headers.get_all(name).iter();
        values
            .flat_map(|value| match value.to_str() {
                Ok(text) => text.split(',').map(|entry| read(entry.trim())).collect(),
                Err(_) => vec![None],
            })
            .collect()
    };
    if headers.contains_key(X_FORWARDED_FOR) {
        of(&X_FORWARDED_FOR, address)
    } else {
        of(&FORWARDED, forwarded)
    }
}

/// The address of an element of `Forwarded`, such as `for="[2001:db8::1]:4711";proto=https`.
fn forwarded(element: &str) -> Option<IpAddr> {
    let mut found = None;
    for pair in element.split(';') {
        let Some((name, value)) = pair.split_once('=') else {
            continue;
        };
        if !name.trim().eq_ignore_ascii_case("for") {
            continue;
        }
        if found.is_some() {
            return None;
        }
        let value = value.trim();
        let bare = value
            .strip_prefix('"')
            .and_then(|value| value.strip_suffix('"'))
            .unwrap_or(value);
        found = Some(address(bare)?);
    }
    found
}

/// An address, with or without a port, IPv6 with or without brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bracketed = || -> Option<IpAddr> {
        let inside = text.strip_prefix('[')?.strip_suffix(']')?;
        inside.parse::<Ipv6Addr>().ok().map(IpAddr::from)
    };
    text.parse::<IpAddr>()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
        .or_else(bracketed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(trusted: &[&str], peer: &str, lines: &[(&str, &[u8])]) -> String {
        let networks = trusted.iter().map(|text| Proxies::network(text).unwrap());
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, http::HeaderValue::from_bytes(value).unwrap());
        }
        Proxies::new(networks.collect())
            .client(peer.parse().unwrap(), &headers)
            .to_string()
    }

    const TRUSTED: [&str; 3] = ["10.0.0.0/8", "::1", "2001:db8:1::/48"];

    #[test]
    fn x_forwarded_for_is_walked_from_the_right() {
        for (peer, value, wanted) in [
            // Nobody is believed but a trusted peer.
            ("192.0.2.1", "203.0.113.7", "192.0.2.1"),
            ("10.0.0.1", "203.0.113.7", "203.0.113.7"),
            ("::1", "203.0.113.7", "203.0.113.7"),
            ("::2", "203.0.113.7", "::2"),
            ("::ffff:10.0.0.1", "203.0.113.7", "203.0.113.7"),
            ("::ffff:192.0.2.1", "203.0.113.7", "192.0.2.1"),
            // What stands left of the first stranger is the stranger's own word.
            ("10.0.0.1", "1.1.1.1, 203.0.113.7", "203.0.113.7"),
            ("10.0.0.1", "10.9.9.9, 203.0.113.7", "203.0.113.7"),
            ("10.0.0.1", "1.1.1.1, 203.0.113.7, 10.0.0.2", "203.0.113.7"),
            (
                "10.0.0.1",
                "203.0.113.7,10.0.0.2,::1,2001:db8:1::5",
                "203.0.113.7",
            ),
            ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
            // Ports, brackets, mapped addresses.
            ("10.0.0.1", "203.0.113.7:4711", "203.0.113.7"),
            ("10.0.0.1", "[2001:db8::7]:4711", "2001:db8::7"),
            ("10.0.0.1", "[2001:db8::7]", "2001:db8::7"),
            ("10.0.0.1", "2001:db8::7", "2001:db8::7"),
            ("10.0.0.1", "::ffff:203.0.113.7", "203.0.113.7"),
            ("10.0.0.1", "203.0.113.7, ::ffff:10.0.0.2", "203.0.113.7"),
            ("10.0.0.1", "  203.0.113.7\t", "203.0.113.7"),
            // What is no address ends the walk at the last good one.
            ("10.0.0.1", "", "10.0.0.1"),
            ("10.0.0.1", ",", "10.0.0.1"),
            ("10.0.0.1", "203.0.113.7,", "10.0.0.1"),
            ("10.0.0.1", "unknown", "10.0.0.1"),
            ("10.0.0.1", "203.0.113.7, unknown", "10.0.0.1"),
            ("10.0.0.1", "203.0.113.7, unknown, 10.0.0.2", "10.0.0.2"),
            ("10.0.0.1", "unknown, 203.0.113.7", "203.0.113.7"),
            ("10.0.0.1", "[203.0.113.7]", "10.0.0.1"),
            ("10.0.0.1", "203.0.113.7:", "10.0.0.1"),
            ("10.0.0.1", "203.0.113.7:99999", "10.0.0.1"),
            ("10.0.0.1", "203.0.113.007", "10.0.0.1"),
            ("10.0.0.1", "\"203.0.113.7\"", "10.0.0.1"),
            ("10.0.0.1", "203.0.113.7 10.0.0.2", "10.0.0.1"),
            ("10.0.0.1", "fe80::1%eth0", "10.0.0.1"),
        ] {
            let got = client(&TRUSTED, peer, &[("x-forwarded-for", value.as_bytes())]);
            assert_eq!(got, wanted, "{peer} says {value:?}");
        }
    }

    #[test]
    fn forwarded_is_read_where_it_stands_alone() {
        for (value, wanted) in [
            ("for=203.0.113.7", "203.0.113.7"),
            ("For=\"203.0.113.7:4711\"", "203.0.113.7"),
            ("for=\"[2001:db8::7]\"", "2001:db8::7"),
            (
                "for=\"[2001:db8::7]:4711\";proto=https;by=10.0.0.1",
                "2001:db8::7",
            ),
            ("proto=https ; for=203.0.113.7", "203.0.113.7"),
            (
                "for=1.1.1.1, for=203.0.113.7;proto=http, for=10.0.0.2",
                "203.0.113.7",
            ),
            ("for=unknown", "10.0.0.1"),
            ("for=_hidden, for=10.0.0.2", "10.0.0.2"),
            ("for=\"_sekret:80\"", "10.0.0.1"),
            ("by=10.0.0.1", "10.0.0.1"),
            ("for=203.0.113.7;for=203.0.113.8", "10.0.0.1"),
            ("203.0.113.7", "10.0.0.1"),
            ("", "10.0.0.1"),
        ] {
            let got = client(&TRUSTED, "10.0.0.1", &[("forwarded", value.as_bytes())]);
            assert_eq!(got, wanted, "{value:?}");
        }
    }

    #[test]
    fn several_headers_are_one_list_and_the_older_name_goes_first() {
        type Lines<'a> = &'a [(&'a str, &'a [u8])];
        let rows: [(Lines<'_>, &str); 5] = [
            (&[], "10.0.0.1"),
            (
                &[
                    ("x-forwarded-for", b"1.1.1.1"),
                    ("x-forwarded-for", b"203.0.113.7"),
                ],
                "203.0.113.7",
            ),
            (
                &[
                    ("forwarded", b"for=1.1.1.1"),
                    ("x-forwarded-for", b"203.0.113.7"),
                ],
                "203.0.113.7",
            ),
            (
                &[
                    ("forwarded", b"for=1.1.1.1"),
                    ("x-forwarded-for", b"nonsense"),
                ],
                "10.0.0.1",
            ),
            (
                &[
                    ("x-forwarded-for", b"203.0.113.7"),
                    ("x-forwarded-for", b"\xff"),
                ],
                "10.0.0.1",
            ),
        ];
        for (lines, wanted) in rows {
            assert_eq!(client(&TRUSTED, "10.0.0.1", lines), wanted, "{lines:?}");
        }
        assert_eq!(client(&[], "10.0.0.1", rows[1].0), "10.0.0.1");
        let long = "203.0.113.7".to_owned() + &", 10.0.0.2".repeat(1000);
        let got = client(
            &TRUSTED,
            "10.0.0.1",
            &[("x-forwarded-for", long.as_bytes())],
        );
        assert_eq!(got, "10.0.0.2");
    }

    #[test]
    fn networks_are_written_in_two_ways() {
        for (text, good) in [
            ("10.0.0.0/8", true),
            ("10.1.2.3", true),
            ("::1", true),
            ("2001:db8::/32", true),
            ("10.0.0.0/33", false),
            ("10.0.0", false),
            ("proxy.example", false),
            ("", false),
        ] {
            assert_eq!(Proxies::network(text).is_some(), good, "{text}");
        }
    }
}
