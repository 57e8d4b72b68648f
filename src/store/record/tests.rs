//! Stored bytes are a contract: what was written once is read for ever.

use std::path::PathBuf;

use super::*;
use crate::delivery::{BodyFrom, Sent};
use crate::id::Digest;

fn stored(state: StoredState) -> StoredDelivery {
    StoredDelivery {
        id: [2; 16],
        route: "orders".parse().unwrap(),
        target: "erp".parse().unwrap(),
        revision: 3,
        state,
        attempts: 2,
        started_at: 1_700_000_000_123,
        order: None,
        mark: None,
        had_success: false,
    }
}

fn event() -> StoredEvent {
    StoredEvent {
        id: [1; 16],
        source: "wreno".parse().unwrap(),
        message_id: Some("msg_1".to_owned()),
        event_type: "order.paid".to_owned(),
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        received_at: 1_700_000_000_000,
        hops: 1,
        body: Raw(Bytes::from_static(b"{\"a\":1}\x00\xff")),
    }
}

fn attempt(outcome: StoredOutcome) -> StoredAttempt {
    StoredAttempt {
        number: 2,
        started_at: 1_700_000_001_000,
        took: 250,
        outcome,
        sent: None,
    }
}

fn moved(state: StoredState) -> Moved {
    Moved {
        delivery: [2; 16],
        revision: 4,
        state,
        attempts: 3,
        started_at: 1_700_000_000_123,
    }
}

/// One of each kind, with every variant of state and outcome; these bytes are committed.
fn samples() -> Vec<(&'static str, Content)> {
    let key = StoredKey {
        key: [7; 32],
        body: [8; 32],
        expires: 1_700_000_900_000,
    };
    vec![
        (
            "accepted",
            Content::Accepted(Accepted {
                at: 1_700_000_000_001,
                event: event(),
                deliveries: vec![
                    stored(StoredState::Pending(1_700_000_000_123)),
                    stored(StoredState::Dead(1_700_000_000_123, 1)),
                ],
                key: Some(key),
                receipt: None,
            }),
        ),
        (
            "attempted",
            Content::Attempted(Attempted {
                moved: moved(StoredState::Pending(1_700_000_005_000)),
                attempt: attempt(StoredOutcome::Answered(503, Some(4000), "busy".to_owned())),
                frozen: Some(Raw(Bytes::from_static(b"{\"b\":2}"))),
            }),
        ),
        (
            "attempted-done",
            Content::Attempted(Attempted {
                moved: moved(StoredState::Delivered(1_700_000_005_000)),
                attempt: attempt(StoredOutcome::Answered(204, None, String::new())),
                frozen: None,
            }),
        ),
        (
            "revived",
            Content::Revived(Revived {
                moved: moved(StoredState::Pending(5)),
                mark: None,
                anew: false,
            }),
        ),
        (
            "discarded",
            Content::Discarded(moved(StoredState::Discarded(6))),
        ),
        (
            "carried",
            Content::Carried(Carried {
                event: event(),
                deliveries: vec![CarriedDelivery {
                    delivery: stored(StoredState::Dead(9, 6)),
                    frozen: Some(Raw(Bytes::from_static(b"{}"))),
                    log: vec![
                        attempt(StoredOutcome::Failed(4, "timed out".to_owned())),
                        attempt(StoredOutcome::Unsendable(3, "line 1".to_owned())),
                    ],
                }],
                key: Some(key),
                receipt: None,
                added: false,
            }),
        ),
        (
            "operator-audit",
            Content::Operator(Operator::Audit(StoredAudit {
                id: [9; 16],
                at: 1_700_000_000_001,
                actor: "10.0.0.7".to_owned(),
                action: "reload".to_owned(),
                subject: "config".to_owned(),
                ok: true,
                detail: "3 routes".to_owned(),
            })),
        ),
        (
            "operator-scrubbed",
            Content::Operator(Operator::Scrubbed([1; 16])),
        ),
        (
            "purged",
            Content::Purged(Purged {
                at: 1_700_000_000_002,
                scrubbed: false,
                remains: Carried {
                    event: StoredEvent {
                        message_id: None,
                        headers: Vec::new(),
                        body: Raw(Bytes::new()),
                        ..event()
                    },
                    deliveries: vec![CarriedDelivery {
                        delivery: stored(StoredState::Discarded(1_700_000_000_002)),
                        frozen: None,
                        log: vec![attempt(StoredOutcome::Answered(503, None, String::new()))],
                    }],
                    key: Some(key),
                    receipt: None,
                    added: false,
                },
            }),
        ),
    ]
}

/// What version 2 says besides; these bytes are committed, too.
fn ordered_samples() -> Vec<(&'static str, Content)> {
    let order = |skip, rank| {
        Some(StoredOrder {
            key: [4; 16],
            skip,
            rank,
        })
    };
    samples()
        .into_iter()
        .filter_map(|(name, mut content)| {
            match &mut content {
                Content::Accepted(it) => it.deliveries[1].order = order(true, 0),
                Content::Carried(it) | Content::Purged(Purged { remains: it, .. }) => {
                    it.deliveries[0].delivery.order = order(false, 300);
                }
                _ => return None,
            }
            Some((name, content))
        })
        .collect()
}

/// What version 3 says besides; these bytes are committed, too.
fn full_samples() -> Vec<(&'static str, Content)> {
    let mark = StoredMark {
        job: Some([10; 16]),
        mode: 2,
        of: Some([11; 16]),
    };
    let sent = StoredSent {
        generation: 300,
        template: Some([12; 32]),
        body_from: 1,
        body: Some([13; 32]),
    };
    let receipt = StoredReceipt {
        scheme: "standard-webhooks".to_owned(),
        secret: 1,
        skew: Some(-2),
        covered: true,
        generation: 300,
    };
    let mut all: Vec<_> = ordered_samples();
    for name in ["attempted", "attempted-done", "revived"] {
        all.extend(samples().into_iter().filter(|(known, _)| *known == name));
    }
    for (_, content) in &mut all {
        match content {
            Content::Accepted(it) => it.receipt = Some(receipt.clone()),
            Content::Attempted(it) => it.attempt.sent = Some(sent),
            Content::Revived(it) => (it.mark, it.anew) = (Some(mark), true),
            Content::Carried(it) | Content::Purged(Purged { remains: it, .. }) => {
                (it.receipt, it.added) = (Some(receipt.clone()), true);
                it.deliveries[0].delivery.mark = Some(mark);
                it.deliveries[0].delivery.had_success = true;
                it.deliveries[0].log[0].sent = Some(StoredSent { body: None, ..sent });
            }
            _ => {}
        }
    }
    let added = Added {
        at: 1_700_000_000_003,
        event: [1; 16],
        deliveries: vec![StoredDelivery {
            mark: Some(mark),
            order: Some(StoredOrder {
                key: [4; 16],
                skip: false,
                rank: 0,
            }),
            ..stored(StoredState::Pending(1_700_000_000_003))
        }],
    };
    let plan = StoredPlan {
        number: 300,
        fingerprint: [14; 32],
        since: 1_700_000_000_004,
    };
    let pause = StoredPause {
        target: "erp".parse().unwrap(),
        since: 1_700_000_000_005,
        by: "10.0.0.7".to_owned(),
    };
    let replay = StoredReplay {
        id: [10; 16],
        at: 1_700_000_000_007,
        created_at: 1_700_000_000_006,
        created_by: "10.0.0.7".to_owned(),
        mode: 2,
        filter: r#"{"route":"orders"}"#.to_owned(),
        rate: Some("50/s".to_owned()),
        phase: 1,
        total: Some(70),
        counts: [5, 3, 1, 1, 0],
        cursor: Some([2; 16]),
        finished_at: None,
        error: None,
    };
    all.extend([
        ("added", Content::Added(added)),
        ("operator-plan", Content::Operator(Operator::Plan(plan))),
        ("operator-pause", Content::Operator(Operator::Pause(pause))),
        (
            "operator-unpause",
            Content::Operator(Operator::Unpause("erp".parse().unwrap())),
        ),
        (
            "operator-replay",
            Content::Operator(Operator::Replay(replay)),
        ),
    ]);
    all
}

/// All of these with the version by which they are written.
fn versions() -> Vec<(u8, &'static str, Content)> {
    let of = |version, samples: Vec<(&'static str, Content)>| {
        samples
            .into_iter()
            .map(move |(name, content)| (version, name, content))
    };
    of(1, samples())
        .chain(of(2, ordered_samples()))
        .chain(of(3, full_samples()))
        .collect()
}

fn fixture(version: u8, name: &str) -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.join("tests/cases/store")
        .join(format!("v{version}-{name}.bin"))
}

#[test]
fn stored_bytes_of_every_version_are_still_read_and_written() {
    hold_to_fixtures(1, samples());
    hold_to_fixtures(2, ordered_samples());
    hold_to_fixtures(3, full_samples());
}

/// With `BLESS_STORE_FIXTURES` set, missing files are written; existing ones never change.
fn hold_to_fixtures(version: u8, samples: Vec<(&'static str, Content)>) {
    for (name, content) in samples {
        let path = fixture(version, name);
        let encoded = content.encode_as(version).unwrap();
        if std::env::var_os("BLESS_STORE_FIXTURES").is_some() && !path.exists() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &encoded).unwrap();
        }
        let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{name}: {e}"));
        let read = Content::decode_payload(content.kind(), version, &bytes).unwrap();
        assert_eq!(read, content, "{name}");
        assert_eq!(encoded, bytes, "{name}");
    }
}

#[test]
fn damaged_and_newer_payloads_are_refused() {
    for (name, content) in samples().into_iter().chain(full_samples()) {
        let bytes = content.encode().unwrap();
        let short = bytes.get(..bytes.len() - 1).unwrap();
        assert!(
            Content::decode_payload(content.kind(), VERSION, short).is_err(),
            "{name}"
        );
        assert!(
            matches!(
                Content::decode_payload(content.kind(), VERSION + 1, &bytes),
                Err(RecordError::Newer(4))
            ),
            "{name}"
        );
    }
}

/// What a purge leaves is as long as it was, with zeros behind it.
#[test]
fn emptied_payloads_are_read_and_hold_nothing() {
    let id = EventId::from_bytes([1; 16]);
    for (version, name, content) in versions() {
        let bytes = content.encode_as(version).unwrap();
        let is_ours = |delivery| delivery == DeliveryId::from_bytes([2; 16]);
        let Some(empty) = content.without(id, |_, _| false, is_ours) else {
            let kept = [
                "revived",
                "discarded",
                "operator-audit",
                "operator-scrubbed",
                "operator-plan",
                "operator-pause",
                "operator-unpause",
                "operator-replay",
                "added",
                "purged",
            ];
            assert!(kept.contains(&name) || name == "attempted-done", "{name}");
            continue;
        };
        let mut padded = empty.encode_as(version).unwrap();
        assert!(padded.len() < bytes.len(), "{name}");
        padded.resize(bytes.len(), 0);
        for written in [
            "msg_1",
            "application/json",
            "{\"a\"",
            "{\"b\"",
            "busy",
            "timed",
            "line",
        ] {
            let found = padded
                .windows(written.len())
                .any(|it| it == written.as_bytes());
            assert!(!found, "{name}: {written}");
        }
        let read = Content::decode_payload(content.kind(), version, &padded).unwrap();
        assert_eq!(read, empty, "{name}");
        assert_eq!(
            empty.without(id, |_, _| false, is_ours),
            None,
            "{name}: nothing is left to take"
        );
        let other = EventId::from_bytes([5; 16]);
        assert_eq!(content.without(other, |_, _| false, |_| false), None);
        let twin = content.without(
            other,
            |id, key| (id, key) == (EventId::from_bytes([1; 16]), [7; 32]),
            |_| false,
        );
        assert_eq!(twin.is_some(), name == "accepted", "{name}");
    }
}

#[test]
fn codes_go_both_ways() {
    for (number, value) in REASONS {
        assert_eq!(reason(reason_code(value)), value, "{number}");
        assert_eq!(reason_code(value), number);
    }
    for (number, value) in FAILURES {
        assert_eq!(
            named(&FAILURES, code(&FAILURES, value)),
            Some(value),
            "{number}"
        );
    }
}

#[test]
fn the_time_of_what_is_held_survives() {
    use crate::delivery::HELD as TIME;
    assert_eq!(millis(TIME), HELD);
    assert_eq!(time(HELD), TIME);
    assert_eq!(Timestamp::MAX.as_second() * 1000, HELD);
    let state = State::Pending { due: TIME };
    assert_eq!(State::from(StoredState::from(&state)), state);
}

#[test]
fn attempts_and_states_survive() {
    let attempt = Attempt {
        number: 4,
        started_at: time(77),
        took: Duration::from_millis(12),
        outcome: Outcome::Failed {
            failure: Failure::Tls,
            detail: "no".to_owned(),
        },
        sent: Some(Sent {
            generation: Some(3),
            template: Some(Digest::of(b"template")),
            body_from: Some(BodyFrom::Rendered),
            body: Some(Digest::of(b"{}")),
        }),
    };
    assert_eq!(Attempt::from(StoredAttempt::from(&attempt)), attempt);
    for state in [
        State::Pending { due: time(1) },
        State::Delivered { at: time(2) },
        State::Dead {
            at: time(3),
            reason: DeadReason::Gone,
        },
        State::Discarded { at: time(4) },
    ] {
        assert_eq!(State::from(StoredState::from(&state)), state);
    }
}

#[test]
fn text_is_cut_between_characters() {
    assert_eq!(cut("aäb", 4), ("aäb".into(), false));
    assert_eq!(cut("aäb", 2), ("a".into(), true));
}
