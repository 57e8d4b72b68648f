//! How failed verifications are slowed: the decision, by address. Pure; time is an argument.
//!
//! Promise: a few failures are answered at once, more of them later and later up to a bound; nothing but failures
//! counts; what is remembered is of one size however many addresses fail, and finding an address costs the same however
//! many there are. Not here: waiting (see [`super::slow`]).

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// In this time a debt of as many failures as are allowed is forgotten.
const MINUTE: Duration = Duration::from_secs(60);

/// The first delay; each failure beyond it doubles it.
const FIRST: Duration = Duration::from_millis(250);

/// The longest delay: more would hold the connections of senders that only have a wrong secret.
const MOST: Duration = Duration::from_secs(4);

/// Failures beyond those allowed that are remembered: with one more, the delay would not grow any longer.
const REMEMBERED: u32 = 5;

/// Places for addresses: sets in which an address may stand in any place. Half a megabyte in all.
const SETS: usize = 1024;
const PLACES: usize = 8;

/// An address that failed.
#[derive(Debug, Clone, Copy)]
struct Debtor {
    address: u128,
    /// When its failures will be forgotten.
    until: Instant,
}

/// The addresses that failed of late. Where there is no place for one more, the one that is forgotten next makes room.
#[derive(Debug)]
pub(super) struct Failures {
    sets: Vec<[Option<Debtor>; PLACES]>,
    hash: RandomState,
}

impl Failures {
    pub(super) fn new() -> Self {
        Self {
            sets: vec![[None; PLACES]; SETS],
            hash: RandomState::new(),
        }
    }

    /// Notes a failure, and says how long its answer is to wait; `allowed` failures a minute wait for nothing.
    pub(super) fn note(&mut self, address: IpAddr, allowed: u32, now: Instant) -> Duration {
        let each = MINUTE / allowed.max(1);
        let address = key(address);
        let Some(debtor) = self.debtor(address, now) else {
            return Duration::ZERO;
        };
        let debt = debtor.until.saturating_duration_since(now) + each;
        let most = MINUTE + each * REMEMBERED;
        debtor.until = now + debt.min(most);
        let beyond = debt.saturating_sub(MINUTE);
        if beyond.is_zero() {
            return Duration::ZERO;
        }
        let steps = beyond.as_nanos().div_ceil(each.as_nanos().max(1));
        let doublings = u32::try_from(steps.saturating_sub(1)).unwrap_or(u32::MAX);
        FIRST
            .saturating_mul(2_u32.saturating_pow(doublings))
            .min(MOST)
    }

    /// The place of an address.
    fn debtor(&mut self, address: u128, now: Instant) -> Option<&mut Debtor> {
        let hash = self.hash.hash_one(address);
        let set = usize::try_from(hash % (SETS as u64)).ok()?;
        let places = self.sets.get_mut(set)?;
        let known = |place: &Option<Debtor>| place.is_some_and(|debtor| debtor.address == address);
        let place = match places.iter().position(known) {
            Some(place) => places.get_mut(place)?,
            None => {
                let next = places
                    .iter_mut()
                    .min_by_key(|place| place.map(|d| d.until))?;
                *next = None;
                next
            }
        };
        Some(place.get_or_insert(Debtor {
            address,
            until: now,
        }))
    }
}

/// What counts as one address: of IPv6 the first half, since the other one is for each host to choose.
fn key(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(address) => u128::from(address.to_ipv6_mapped()),
        IpAddr::V6(address) => u128::from(address) & (u128::MAX << 64),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    const ALLOWED: u32 = 10;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// The delays, in milliseconds, of failures this many seconds after the start.
    fn delays(failures: &mut Failures, address: &str, start: Instant, at: &[u64]) -> Vec<u128> {
        at.iter()
            .map(|&seconds| {
                let now = start + Duration::from_secs(seconds);
                failures.note(ip(address), ALLOWED, now).as_millis()
            })
            .collect()
    }

    #[test]
    fn a_burst_is_free_and_then_delays_grow_to_a_bound() {
        let mut failures = Failures::new();
        let start = Instant::now();
        let got = delays(&mut failures, "192.0.2.1", start, &[0; 18]);
        assert_eq!(got[..10], [0; 10]);
        assert_eq!(got[10..], [250, 500, 1000, 2000, 4000, 4000, 4000, 4000]);
        // Another one is not concerned.
        assert_eq!(delays(&mut failures, "192.0.2.2", start, &[0]), [0]);
        // What is remembered is bounded: half a minute later it is as if only the allowed ones had been there.
        let got = delays(&mut failures, "192.0.2.1", start, &[30, 30]);
        assert_eq!(got, [250, 500]);
        let got = delays(&mut failures, "192.0.2.1", start, &[600; 11]);
        assert_eq!((&got[..10], got[10]), (&[0; 10][..], 250));
    }

    #[test]
    fn who_fails_no_faster_than_allowed_never_waits() {
        let mut failures = Failures::new();
        let at: Vec<u64> = (0..200).map(|n| n * 6).collect();
        let got = delays(&mut failures, "192.0.2.1", Instant::now(), &at);
        assert!(got.iter().all(|delay| *delay == 0), "{got:?}");
    }

    #[test]
    fn what_counts_as_one_address() {
        for (one, other, same) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("2001:db8::1", "2001:db8::ffff:1", true),
            ("2001:db8::1", "2001:db8:0:0:ffff::1", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
        ] {
            assert_eq!(key(ip(one)) == key(ip(other)), same, "{one} {other}");
        }
    }

    #[test]
    fn a_flood_of_addresses_costs_no_more_and_does_not_clear_a_debt() {
        let mut failures = Failures::new();
        let start = Instant::now();
        delays(&mut failures, "192.0.2.1", start, &[0; 20]);
        for n in 0..100_000_u128 {
            let address = IpAddr::V6(Ipv6Addr::from((0x2001_0db8 << 96) | (n << 64)));
            let delay = failures.note(address, ALLOWED, start);
            assert_eq!(delay, Duration::ZERO, "{address}");
        }
        assert_eq!(failures.sets.len(), SETS);
        // All of those owe less.
        assert_eq!(delays(&mut failures, "192.0.2.1", start, &[0]), [4000]);
    }

    #[test]
    fn any_number_can_be_allowed() {
        let start = Instant::now();
        for allowed in [0, 1, 7, u32::MAX] {
            let mut failures = Failures::new();
            for _ in 0..100 {
                assert!(failures.note(ip("192.0.2.1"), allowed, start) <= MOST);
            }
        }
    }
}
