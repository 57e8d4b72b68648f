//! Which hosts are connected to directly where there is a proxy: `egress.no_proxy`.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

use super::literal;

/// Hosts that the proxy is not asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bypass {
    /// The host of this name, in lower case.
    Name(String),
    /// Every host whose name ends with this: a dot and the rest, in lower case.
    Suffix(String),
    /// Every host that a URL names by an address of this network. A name is never resolved to find out.
    Network(IpNet),
}

impl Bypass {
    /// Reads an entry: a name, `.suffix`, an address or a network.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let plain = text.trim_matches(['[', ']']);
        if let Ok(address) = plain.parse::<IpAddr>() {
            return Ok(Self::Network(address.to_canonical().into()));
        }
        if text.contains('/') {
            return network(text).map(Self::Network);
        }
        let lower = text.to_ascii_lowercase();
        let name = lower.strip_prefix('.').unwrap_or(&lower);
        let good = |label: &str| {
            !label.is_empty()
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        if !name.split('.').all(good) {
            return Err(format!(
                "{text:?} is no host such as erp.example.com, no suffix such as .example.com and no network such as 10.0.0.0/8"
            ));
        }
        Ok(if lower.starts_with('.') {
            Self::Suffix(lower)
        } else {
            Self::Name(lower)
        })
    }

    /// Whether a URL's host is one of these.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        let lower = host.to_ascii_lowercase();
        let name = lower.strip_suffix('.').unwrap_or(&lower);
        match self {
            Self::Name(wanted) => name == wanted,
            Self::Suffix(suffix) => name.len() > suffix.len() && name.ends_with(suffix.as_str()),
            Self::Network(net) => {
                literal(host).is_some_and(|address| net.contains(&address.to_canonical()))
            }
        }
    }
}

/// A network as it is written: an address with or without the length of its prefix, no bits set beyond that.
///
/// # Errors
/// What is wrong with it, in words.
pub fn network(text: &str) -> Result<IpNet, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.to_canonical().into());
    }
    let net: IpNet = text
        .parse()
        .map_err(|_| format!("{text:?} is not a network such as 10.1.0.0/16 or fd12::/16"))?;
    if net.trunc() != net {
        return Err(format!(
            "{text} has bits set beyond its prefix; the network is {}",
            net.trunc()
        ));
    }
    Ok(canonical(net))
}

/// The network without the disguise of an IPv4 one: addresses are compared without theirs.
fn canonical(net: IpNet) -> IpNet {
    let IpNet::V6(mapped) = net else {
        return net;
    };
    let length = mapped.prefix_len().checked_sub(96);
    let plain = mapped.addr().to_ipv4_mapped().zip(length);
    plain
        .and_then(|(address, length)| Ipv4Net::new(address, length).ok())
        .map_or(net, IpNet::V4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_match_hosts() {
        for (entry, host, wanted) in [
            ("erp.example.com", "erp.example.com", true),
            ("erp.example.com", "ERP.Example.COM.", true),
            ("erp.example.com", "x.erp.example.com", false),
            (".example.com", "erp.example.com", true),
            (".example.com", "a.b.EXAMPLE.com", true),
            (".example.com", "example.com", false),
            (".example.com", "badexample.com", false),
            ("localhost", "localhost", true),
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "11.1.2.3", false),
            ("10.0.0.0/8", "0xa.1", true),
            ("10.0.0.0/8", "[::ffff:10.1.2.3]", true),
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("::1", "[::1]", true),
            ("[::1]", "[::1]", true),
            ("fd00::/8", "[fd12::1]", true),
            ("10.0.0.0/8", "ten.example.com", false),
        ] {
            let bypass = Bypass::parse(entry).unwrap();
            assert_eq!(bypass.matches(host), wanted, "{entry} {host}");
        }
    }

    #[test]
    fn what_is_no_entry_is_told() {
        for entry in [
            "",
            ".",
            "a b",
            "*.example.com",
            "http://x",
            "10.0.0.1/8",
            "10.0.0.0/40",
            "a..b",
        ] {
            assert!(Bypass::parse(entry).is_err(), "{entry:?}");
        }
        let error = network("10.1.2.3/16").unwrap_err();
        assert!(error.contains("10.1.0.0/16"), "{error}");
        for (text, wanted) in [
            ("10.1.2.3", "10.1.2.3/32"),
            ("10.1.0.0/16", "10.1.0.0/16"),
            ("::ffff:10.1.0.0/112", "10.1.0.0/16"),
            ("fd12::/16", "fd12::/16"),
            ("::1", "::1/128"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(network(text).unwrap().to_string(), wanted, "{text}");
        }
    }
}
