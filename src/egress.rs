//! Which addresses may be connected to on the way out. Pure: no DNS, no sockets.
//!
//! Promise: link-local addresses, those of cloud metadata services, and what is no address of one machine
//! (unspecified, multicast, broadcast) are refused whatever is configured, in every disguise in which an IPv6
//! address carries an IPv4 one; private addresses are refused where `egress.private` is `deny`, and only they can be
//! exempt. Not here: resolving names and connecting (see `client`), how it is written (see `config`).

mod bypass;
mod literal;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::{HeaderValue, Uri};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

pub use bypass::{Bypass, network};
pub use literal::literal;

const fn v4(a: u8, b: u8, c: u8, d: u8, length: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length))
}

/// A network by its first four groups of 16 bits; the rest is zero.
const fn v6(a: u16, b: u16, c: u16, d: u16, length: u8) -> IpNet {
    let address = Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0);
    IpNet::V6(Ipv6Net::new_assert(address, length))
}

const fn v6_host(groups: [u16; 8]) -> IpNet {
    let [a, b, c, d, e, f, g, h] = groups;
    let address = Ipv6Addr::new(a, b, c, d, e, f, g, h);
    IpNet::V6(Ipv6Net::new_assert(address, 128))
}

/// Where machines of a cloud ask for their credentials, outside of the link-local networks: as cloud-init (Akamai,
/// Scaleway), the SDKs of AWS and published lists (the others) name them; read on 2026-11-21.
const METADATA: [IpNet; 9] = [
    v4(100, 100, 100, 200, 32), // Alibaba Cloud
    v4(192, 0, 0, 192, 32),     // Oracle Cloud, classic
    v4(168, 63, 129, 16, 32), // Azure: the wire server; a public address that is routed inside only
    // AWS: ::254 is the metadata of EC2, ::23 the credentials of EKS, others are local services as well
    v6(0xfd00, 0x0ec2, 0, 0, 32),
    v6_host([0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254]), // Google Cloud
    v6_host([0xfd00, 0x0042, 0, 0, 0, 0, 0, 0x0042]), // Scaleway
    v6_host([0xfd00, 0xa9fe, 0xa9fe, 0, 0, 0, 0, 1]), // Akamai
    v6_host([0xfd00, 0x00c1, 0, 0, 0, 0, 0xa9fe, 0xa9fe]), // Oracle Cloud
    v6_host([0xfd00, 0x0100, 0, 0, 0, 0, 0x0100, 0x0200]), // Alibaba Cloud
];

/// What is always refused, besides [`METADATA`].
const NEVER: [(IpNet, Rule); 7] = [
    (v4(169, 254, 0, 0, 16), Rule::LinkLocal),
    (v6(0xfe80, 0, 0, 0, 10), Rule::LinkLocal),
    // 0.0.0.0 reaches this machine; the rest of its network reaches nobody
    (v4(0, 0, 0, 0, 8), Rule::Unspecified),
    (v6(0, 0, 0, 0, 128), Rule::Unspecified),
    (v4(224, 0, 0, 0, 4), Rule::Multicast),
    (v6(0xff00, 0, 0, 0, 8), Rule::Multicast),
    (v4(255, 255, 255, 255, 32), Rule::Broadcast),
];

/// What is not of the public Internet, by the special-purpose registries of IANA (RFC 6890).
const PRIVATE: [IpNet; 24] = [
    v4(10, 0, 0, 0, 8),
    v4(172, 16, 0, 0, 12),
    v4(192, 168, 0, 0, 16),
    v4(127, 0, 0, 0, 8),
    v4(100, 64, 0, 0, 10),   // carrier-grade NAT
    v4(192, 0, 0, 0, 24),    // protocol assignments
    v4(192, 0, 2, 0, 24),    // documentation
    v4(192, 88, 99, 0, 24),  // relays of 6to4, given up
    v4(198, 18, 0, 0, 15),   // benchmarking
    v4(198, 51, 100, 0, 24), // documentation
    v4(203, 0, 113, 0, 24),  // documentation
    v4(240, 0, 0, 0, 4),     // reserved
    v6_host([0, 0, 0, 0, 0, 0, 0, 1]),
    v6(0xfc00, 0, 0, 0, 7),       // unique local
    v6(0xfec0, 0, 0, 0, 10),      // site-local, given up
    v6(0x0064, 0xff9b, 1, 0, 48), // NAT64 of a network's own
    v6(0x0100, 0, 0, 0, 64),      // discarded
    v6(0x2001, 0x0002, 0, 0, 48), // benchmarking
    v6(0x2001, 0x0010, 0, 0, 28), // ORCHID, given up
    v6(0x2001, 0x0020, 0, 0, 28), // ORCHIDv2: identifiers, not places
    v6(0x2001, 0x0db8, 0, 0, 32), // documentation
    v6(0x3fff, 0, 0, 0, 20),      // documentation
    v6(0x5f00, 0, 0, 0, 16),      // segment routing
    v6(0, 0, 0, 0, 96),           // IPv4-compatible, given up
];

/// Why an address is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// It is valid on one link only; cloud metadata services live there.
    LinkLocal,
    /// It is that of a cloud metadata service.
    Metadata,
    /// It is no address of anyone.
    Unspecified,
    /// It stands for many machines.
    Multicast,
    /// It stands for all machines.
    Broadcast,
    /// It is private, and the policy refuses those.
    Private,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LinkLocal => "link-local addresses are always refused",
            Self::Metadata => "addresses of cloud metadata services are always refused",
            Self::Unspecified => "unspecified addresses are always refused",
            Self::Multicast => "multicast addresses are always refused",
            Self::Broadcast => "the broadcast address is always refused",
            Self::Private => "private addresses are refused by `egress.private: deny`",
        })
    }
}

/// An address that may not be connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{address}{}: {rule}", stands_for(address, meant))]
pub struct Refused {
    /// The address.
    pub address: IpAddr,
    /// The address that it stands for; itself where it is no disguise.
    pub meant: IpAddr,
    /// Why.
    pub rule: Rule,
}

fn stands_for(address: &IpAddr, meant: &IpAddr) -> String {
    if address == meant {
        String::new()
    } else {
        format!(" (which stands for {meant})")
    }
}

/// What becomes of private addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Private {
    /// They may be connected to: bridging inward is the use.
    #[default]
    Allow,
    /// They are refused.
    Deny,
}

/// Which addresses may be connected to. The default refuses only what is always refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guard {
    /// What becomes of private addresses.
    pub private: Private,
    /// Networks that are exempt from [`Private::Deny`], and from nothing else.
    pub allow: Vec<IpNet>,
}

impl Guard {
    /// Whether an address may be connected to.
    ///
    /// # Errors
    /// By which rule it may not.
    pub fn check(&self, address: IpAddr) -> Result<(), Refused> {
        let address = address.to_canonical();
        let refused = |meant, rule| Refused {
            address,
            meant,
            rule,
        };
        let readings =
            || std::iter::once(address).chain(carried(address).into_iter().map(IpAddr::V4));
        // The rules that always hold come first: a refusal is to name the one that no setting lifts.
        for meant in readings() {
            if let Some(rule) = always(meant) {
                return Err(refused(meant, rule));
            }
        }
        if self.private == Private::Deny {
            let exempt = |meant: &IpAddr| self.allow.iter().any(|net| net.contains(meant));
            let private = |meant: &IpAddr| PRIVATE.iter().any(|net| net.contains(meant));
            if let Some(meant) = readings().find(|meant| private(meant) && !exempt(meant)) {
                return Err(refused(meant, Rule::Private));
            }
        }
        Ok(())
    }
}

/// Which addresses requests may go to, and the way there. The default: what is not always refused, and no proxy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EgressPlan {
    /// Which addresses may be connected to.
    pub guard: Guard,
    /// What connections go through.
    pub proxy: Option<Proxy>,
}

/// An outbound proxy, which is asked for a tunnel to where a request goes (CONNECT).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Where it is: an http URL of a host and a port.
    pub url: Uri,
    /// The credentials for it, sensitive.
    pub authorization: Option<HeaderValue>,
    /// Hosts that are connected to directly.
    pub bypass: Vec<Bypass>,
}

/// The rule that refuses all of a network whatever is configured.
#[must_use]
pub fn always_refused(net: &IpNet) -> Option<Rule> {
    let covers = |outer: &IpNet| outer.contains(net);
    if METADATA.iter().any(covers) {
        return Some(Rule::Metadata);
    }
    let mut never = NEVER.iter();
    never
        .find(|(outer, _)| covers(outer))
        .map(|(_, rule)| *rule)
}

/// The rule that refuses an address whatever is configured, read as it stands.
fn always(address: IpAddr) -> Option<Rule> {
    always_refused(&IpNet::from(address))
}

/// The IPv4 addresses that an IPv6 address carries: to them goes what is sent to it, where somebody translates.
fn carried(address: IpAddr) -> Vec<Ipv4Addr> {
    let mut found = Vec::new();
    if let IpAddr::V6(address) = address {
        let bytes = address.octets();
        let at = |places: [usize; 4]| {
            let byte = |place: usize| bytes.get(place).copied().unwrap_or_default();
            Ipv4Addr::from(places.map(byte))
        };
        let last = at([12, 13, 14, 15]);
        match address.segments() {
            // :: and ::1 are no IPv4-compatible addresses.
            [0, 0, 0, 0, 0, 0, 0, 0 | 1] => {}
            // IPv4-compatible, IPv4-translated (RFC 2765), NAT64 (RFC 6052)
            [0, 0, 0, 0, 0, 0, _, _]
            | [0, 0, 0, 0, 0xffff, 0, _, _]
            | [0x64, 0xff9b, 0, 0, 0, 0, _, _] => found.push(last),
            // NAT64 of a network's own (RFC 8215), with a prefix of 48, 56, 64 or 96 bits: which one cannot be seen, but
            // what lies beside the address is zero, so a reading that begins with zero is none.
            [0x64, 0xff9b, 1, ..] => found.extend(
                [
                    [6, 7, 9, 10],
                    [7, 9, 10, 11],
                    [9, 10, 11, 12],
                    [12, 13, 14, 15],
                ]
                .map(at)
                .into_iter()
                .filter(|reading| reading.octets().first() != Some(&0)),
            ),
            // 6to4
            [0x2002, ..] => found.push(at([2, 3, 4, 5])),
            // Teredo: its server, and its client with all bits turned
            [0x2001, 0, ..] => {
                found.push(at([4, 5, 6, 7]));
                found.push(Ipv4Addr::from_bits(!last.to_bits()));
            }
            // ISATAP
            [.., 0 | 0x200, 0x5efe, _, _] => found.push(last),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn deny(allow: &[&str]) -> Guard {
        Guard {
            private: Private::Deny,
            allow: allow.iter().map(|net| net.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn some_addresses_are_refused_whatever_is_configured() {
        use Rule::*;
        let guards = [Guard::default(), deny(&[]), deny(&["0.0.0.0/0", "::/0"])];
        for (text, rule) in [
            ("169.254.169.254", LinkLocal),
            ("169.254.0.1", LinkLocal),
            ("169.254.170.2", LinkLocal),
            ("fe80::1", LinkLocal),
            ("febf:ffff::1", LinkLocal),
            ("fe80::a9fe:a9fe", LinkLocal),
            ("100.100.100.200", Metadata),
            ("192.0.0.192", Metadata),
            ("168.63.129.16", Metadata),
            ("fd00:ec2::254", Metadata),
            ("fd00:ec2::23", Metadata),
            ("fd20:ce::254", Metadata),
            ("fd00:42::42", Metadata),
            ("fd00:a9fe:a9fe::1", Metadata),
            ("0.0.0.0", Unspecified),
            ("0.1.2.3", Unspecified),
            ("::", Unspecified),
            ("224.0.0.1", Multicast),
            ("239.255.255.250", Multicast),
            ("ff02::1", Multicast),
            ("255.255.255.255", Broadcast),
            // disguises: mapped, compatible, translated, NAT64, 6to4, Teredo (server, client), ISATAP
            ("::ffff:169.254.169.254", LinkLocal),
            ("::169.254.169.254", LinkLocal),
            ("::ffff:0:169.254.169.254", LinkLocal),
            ("64:ff9b::169.254.169.254", LinkLocal),
            ("64:ff9b::6464:64c8", Metadata),
            ("64:ff9b:1::169.254.169.254", LinkLocal),
            ("64:ff9b:1:a9fe:a9:fe00::", LinkLocal),
            ("64:ff9b:1:ffa9:fe:a9fe::", LinkLocal),
            ("64:ff9b:1:ffff:a9:fea9:fe00:0", LinkLocal),
            ("2002:a9fe:a9fe::1", LinkLocal),
            ("2002:a83f:8110::", Metadata),
            ("2001:0:a9fe:a9fe::1", LinkLocal),
            ("2001:0:4136:e378:8000:63bf:5601:5601", LinkLocal),
            ("2a00::5efe:169.254.169.254", LinkLocal),
            ("2a00::200:5efe:a9fe:a9fe", LinkLocal),
            ("::ffff:0.0.0.0", Unspecified),
            ("64:ff9b::", Unspecified),
            ("::ffff:224.0.0.1", Multicast),
            ("::ffff:255.255.255.255", Broadcast),
        ] {
            for guard in &guards {
                let refused = guard.check(ip(text)).unwrap_err();
                assert_eq!(refused.rule, rule, "{text} {guard:?}");
            }
        }
    }

    #[test]
    fn private_addresses_are_refused_where_that_is_asked_for() {
        for text in [
            "10.0.0.1",
            "10.255.255.255",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "127.0.0.1",
            "127.255.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "198.18.0.1",
            "198.19.255.255",
            "203.0.113.9",
            "240.0.0.1",
            "::1",
            "fc00::1",
            "fdff::1",
            "fec0::1",
            "64:ff9b:1::808:808",
            "100::1",
            "2001:db8::1",
            "3fff::1",
            "2001:2::1",
            "::ffff:10.0.0.1",
            "::10.0.0.1",
            "::8.8.8.8",
            "64:ff9b::10.0.0.1",
            "2002:0a00:0001::1",
            "2002:7f00:1::1",
            "::ffff:127.0.0.1",
            "2001:0:a00:1::1",
        ] {
            assert_eq!(Guard::default().check(ip(text)), Ok(()), "{text}");
            let refused = deny(&[]).check(ip(text)).unwrap_err();
            assert_eq!(refused.rule, Rule::Private, "{text}");
        }
    }

    #[test]
    fn public_addresses_are_never_refused() {
        for text in [
            "8.8.8.8",
            "1.1.1.1",
            "172.15.255.255",
            "172.32.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "169.253.255.255",
            "169.255.0.1",
            "168.63.129.17",
            "192.0.1.1",
            "223.255.255.255",
            "198.20.0.1",
            "2606:4700::1111",
            "2a00:1450::1",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
            "::ffff:8.8.8.8",
            "2001:4860:4860::8888",
            "::ffff:0:8.8.8.8",
        ] {
            for guard in [Guard::default(), deny(&[])] {
                assert_eq!(guard.check(ip(text)), Ok(()), "{text} {guard:?}");
            }
        }
    }

    #[test]
    fn exempt_networks_are_exempt_from_the_one_rule_only() {
        let guard = deny(&["10.1.0.0/16", "fd12:3456::/32"]);
        for (text, good) in [
            ("10.1.2.3", true),
            ("10.2.2.3", false),
            ("::ffff:10.1.2.3", true),
            ("64:ff9b::10.1.2.3", true),
            ("64:ff9b::10.2.2.3", false),
            // the translator's own prefix is private, too
            ("64:ff9b:1::10.1.2.3", false),
            ("fd12:3456::1", true),
            ("fd12:3457::1", false),
        ] {
            assert_eq!(guard.check(ip(text)).is_ok(), good, "{text}");
        }
    }

    #[test]
    fn a_refusal_names_the_address_and_the_rule() {
        for (guard, text, words) in [
            (
                Guard::default(),
                "169.254.169.254",
                "169.254.169.254: link-local addresses are always refused",
            ),
            (
                Guard::default(),
                "64:ff9b::a9fe:a9fe",
                "64:ff9b::a9fe:a9fe (which stands for 169.254.169.254): link-local addresses are always refused",
            ),
            (
                deny(&[]),
                "::ffff:10.0.0.1",
                "10.0.0.1: private addresses are refused by `egress.private: deny`",
            ),
        ] {
            assert_eq!(guard.check(ip(text)).unwrap_err().to_string(), words);
        }
    }

    #[test]
    fn networks_that_nothing_exempts_are_known() {
        for (text, rule) in [
            ("169.254.169.254/32", Some(Rule::LinkLocal)),
            ("169.254.0.0/16", Some(Rule::LinkLocal)),
            ("169.0.0.0/8", None),
            ("0.0.0.0/0", None),
            ("10.1.0.0/16", None),
            ("fd00:ec2::/32", Some(Rule::Metadata)),
            ("224.0.0.0/8", Some(Rule::Multicast)),
        ] {
            assert_eq!(always_refused(&text.parse().unwrap()), rule, "{text}");
        }
    }
}
