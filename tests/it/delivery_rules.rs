//! What follows from an attempt: `Delivery::after` over the presets of `retry`.

use std::time::Duration;

use ingate::clock;
use ingate::delivery::{DeadReason, Delivery, Failure, Next, Outcome, RETRY_AFTER_CAP, State};
use ingate::id::{DeliveryId, EventId};
use ingate::retry::RetryPolicy;
use jiff::Timestamp;

/// When the deliveries of these tests began.
const START: Timestamp = Timestamp::UNIX_EPOCH;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// A delivery of which this many attempts were made before the one that just ended.
fn delivery(attempts: u32) -> Delivery {
    Delivery {
        id: DeliveryId::generate(),
        event: EventId::generate(),
        route: "r".parse().unwrap(),
        target: "t".parse().unwrap(),
        state: State::Pending { due: START },
        attempts,
        started_at: START,
        order: None,
        mark: None,
    }
}

fn answered(status: u16, retry_after: Option<u64>) -> Outcome {
    Outcome::Answered {
        status,
        retry_after: retry_after.map(Duration::from_secs),
        snippet: String::new(),
    }
}

/// What follows a second after the start.
fn after(preset: &str, attempts: u32, outcome: &Outcome) -> Next {
    let policy = RetryPolicy::preset(preset).unwrap();
    let mut rng = fastrand::Rng::with_seed(7);
    delivery(attempts).after(outcome, &policy, now(), &mut rng)
}

fn now() -> Timestamp {
    clock::after(START, Duration::from_secs(1))
}

fn retry_in(seconds: u64) -> Next {
    Next::RetryAt(clock::after(now(), Duration::from_secs(seconds)))
}

#[test]
fn only_2xx_is_done_and_only_410_buries_at_once() {
    for status in 100..600 {
        let wanted = match status {
            200..=299 => Next::Done,
            410 => Next::Bury(DeadReason::Gone),
            _ => retry_in(2),
        };
        assert_eq!(
            after("wreno", 0, &answered(status, None)),
            wanted,
            "{status}"
        );
    }
    // Success counts however late it comes.
    assert_eq!(after("wreno", 9, &answered(200, None)), Next::Done);
}

#[test]
fn every_failure_is_retried() {
    for failure in [
        Failure::Dns,
        Failure::Connect,
        Failure::Tls,
        Failure::Timeout,
        Failure::Closed,
        Failure::Protocol,
        Failure::Egress,
    ] {
        let outcome = Outcome::Failed {
            failure,
            detail: String::new(),
        };
        assert_eq!(after("wreno", 0, &outcome), retry_in(2), "{failure:?}");
        let buried = Next::Bury(DeadReason::Exhausted);
        assert_eq!(after("wreno", 9, &outcome), buried, "{failure:?}");
    }
}

#[test]
fn what_cannot_be_sent_is_buried_with_its_reason() {
    for reason in [
        DeadReason::NotJson,
        DeadReason::Render,
        DeadReason::Sign,
        DeadReason::RouteGone,
    ] {
        let outcome = Outcome::Unsendable {
            reason,
            detail: String::new(),
        };
        assert_eq!(
            after("wreno", 0, &outcome),
            Next::Bury(reason),
            "{reason:?}"
        );
    }
}

#[test]
fn the_larger_of_backoff_and_retry_after_is_waited() {
    let cap = RETRY_AFTER_CAP.as_secs();
    for (attempts, asked, wanted) in [
        (0, None, 2),
        (0, Some(0), 2),
        (0, Some(1), 2),
        (0, Some(2), 2),
        (0, Some(3), 3),
        (0, Some(cap), cap),
        (0, Some(cap + 1), cap),
        (0, Some(u64::MAX), cap),
        (5, Some(60), 64),
        (5, Some(65), 65),
    ] {
        for status in [301, 429, 503] {
            let next = after("wreno", attempts, &answered(status, asked));
            assert_eq!(next, retry_in(wanted), "{attempts} {asked:?} {status}");
        }
    }
    // It does not add an attempt to those that the policy has.
    let buried = Next::Bury(DeadReason::Exhausted);
    assert_eq!(after("wreno", 9, &answered(429, Some(60))), buried);
    // Nor does it save what is gone.
    let buried = Next::Bury(DeadReason::Gone);
    assert_eq!(after("wreno", 0, &answered(410, Some(60))), buried);
}

#[test]
fn presets_wait_as_documented_and_come_to_an_end() {
    let schedules: [(&str, &[u64]); 4] = [
        ("wreno", &[2, 4, 8, 16, 32, 64, 128, 256, 512]),
        ("compliancely", &[3 * MINUTE, 6 * MINUTE]),
        ("wismolabs", SVIX),
        ("svix", SVIX),
    ];
    for (preset, delays) in schedules {
        for (made, seconds) in (0..).zip(delays) {
            let next = after(preset, made, &answered(500, None));
            assert_eq!(next, retry_in(*seconds), "{preset}, {made} made before");
        }
        let last = u32::try_from(delays.len()).unwrap();
        for made in [last, last + 1, u32::MAX] {
            let next = after(preset, made, &answered(500, None));
            let buried = Next::Bury(DeadReason::Exhausted);
            assert_eq!(next, buried, "{preset}, {made} made before");
        }
    }
}

const SVIX: &[u64] = &[
    5,
    5 * MINUTE,
    30 * MINUTE,
    2 * HOUR,
    5 * HOUR,
    10 * HOUR,
    10 * HOUR,
];

#[test]
fn the_default_varies_its_delays() {
    let policy = RetryPolicy::preset("standard").unwrap();
    let delays: Vec<Duration> = (0..500)
        .map(|seed| {
            let mut rng = fastrand::Rng::with_seed(seed);
            let next = delivery(1).after(&answered(500, None), &policy, now(), &mut rng);
            let Next::RetryAt(at) = next else {
                panic!("seed {seed}: {next:?}");
            };
            clock::between(now(), at)
        })
        .collect();
    let (least, most) = (delays.iter().min().unwrap(), delays.iter().max().unwrap());
    assert!(least < most, "there is no jitter");
    let middle = Duration::from_secs(5 * MINUTE);
    assert!(
        *least >= middle / 2 && *most <= middle * 3 / 2,
        "{least:?} to {most:?}"
    );
}
