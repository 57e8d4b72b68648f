//! Hosts of URLs that are addresses, in every form that a resolver takes for one.
//!
//! `getaddrinfo` reads more than `127.0.0.1`: one to four numbers, each decimal, octal (`0177`) or hexadecimal
//! (`0x7f`), the last one filling what is left (`127.1`, `2130706433`). The connector strips brackets from anything,
//! not from IPv6 addresses only. Promise: what any of them takes for an address is one here as well.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address that a URL's host stands for; `None` if it is a name. Brackets, a zone and a dot at the end do not count.
#[must_use]
pub fn literal(host: &str) -> Option<IpAddr> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let host = host.split('%').next().unwrap_or_default();
    let host = host.strip_suffix('.').unwrap_or(host);
    if let Ok(address) = host.parse::<Ipv6Addr>() {
        return Some(address.into());
    }
    numbers(host).map(IpAddr::V4)
}

/// An IPv4 address as `inet_aton` reads it.
fn numbers(text: &str) -> Option<Ipv4Addr> {
    let parts: Vec<&str> = text.split('.').collect();
    let (last, front) = parts.split_last()?;
    let room = 4_usize.checked_sub(front.len()).filter(|room| *room > 0)?;
    let mut address: u32 = 0;
    for part in front {
        let byte = u8::try_from(number(part)?).ok()?;
        address = (address << 8) | u32::from(byte);
    }
    let last = u64::from(number(last)?);
    let bits = u32::try_from(room * 8).ok()?;
    if last >= 1 << bits {
        return None;
    }
    let whole = (u64::from(address) << bits) | last;
    u32::try_from(whole).ok().map(Ipv4Addr::from_bits)
}

fn number(text: &str) -> Option<u32> {
    let (digits, radix) = match text.strip_prefix("0x").or(text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if text.len() > 1 && text.starts_with('0') => (text, 8),
        None => (text, 10),
    };
    let plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !plain || digits.is_empty() {
        return None;
    }
    // There may be any number of zeros in front.
    u32::from_str_radix(digits, radix).ok()
}

#[cfg(test)]
mod tests {
    use std::net::ToSocketAddrs;

    use super::*;

    const FORMS: [(&str, Option<&str>); 34] = [
        ("127.0.0.1", Some("127.0.0.1")),
        ("127.1", Some("127.0.0.1")),
        ("127.0.1", Some("127.0.0.1")),
        ("0x7f.1", Some("127.0.0.1")),
        ("0X7F.0x0.0.0X1", Some("127.0.0.1")),
        ("2130706433", Some("127.0.0.1")),
        ("017700000001", Some("127.0.0.1")),
        ("0x7f000001", Some("127.0.0.1")),
        ("0177.0.0.01", Some("127.0.0.1")),
        ("00000000000000000177.1", Some("127.0.0.1")),
        ("127.65536", Some("127.1.0.0")),
        ("127.1.65535", Some("127.1.255.255")),
        ("0", Some("0.0.0.0")),
        ("256", Some("0.0.1.0")),
        ("4294967295", Some("255.255.255.255")),
        ("2852039166", Some("169.254.169.254")),
        ("0xa9fea9fe", Some("169.254.169.254")),
        ("0251.0376.0251.0376", Some("169.254.169.254")),
        ("169.254.43518", Some("169.254.169.254")),
        ("4294967296", None),
        ("127.16777216", None),
        ("256.1.1.1", None),
        ("1.2.3.4.5", None),
        ("08.1.1.1", None),
        ("0x", None),
        ("1..2", None),
        ("", None),
        ("localhost", None),
        ("0xg", None),
        ("+1", None),
        ("-1", None),
        ("1e3", None),
        ("a.b", None),
        ("deadbeef", None),
    ];

    #[test]
    fn numbers_are_addresses_in_every_form() {
        for (text, wanted) in FORMS {
            let wanted: Option<IpAddr> = wanted.map(|address| address.parse().unwrap());
            assert_eq!(literal(text), wanted, "{text:?}");
        }
        for (text, wanted) in [
            ("[::1]", Some("::1")),
            ("::1", Some("::1")),
            ("[fe80::1%25eth0]", Some("fe80::1")),
            ("[::ffff:169.254.169.254]", Some("::ffff:169.254.169.254")),
            // what the connector makes of these
            ("[127.0.0.1]", Some("127.0.0.1")),
            ("[[0x7f.1]]", Some("127.0.0.1")),
            ("127.0.0.1.", Some("127.0.0.1")),
            ("[v1.x]", None),
        ] {
            let wanted: Option<IpAddr> = wanted.map(|address| address.parse().unwrap());
            assert_eq!(literal(text), wanted, "{text:?}");
        }
    }

    /// The system's resolver is asked only for what it answers without asking anybody else.
    #[test]
    fn the_resolver_reads_them_alike() {
        for (text, wanted) in FORMS.iter().filter(|(_, wanted)| wanted.is_some()) {
            let Ok(mut addresses) = (*text, 80).to_socket_addrs() else {
                // Systems differ in how many of these forms they take.
                continue;
            };
            let address = addresses.next().unwrap().ip().to_string();
            assert_eq!(Some(address.as_str()), *wanted, "{text:?}");
        }
    }
}
