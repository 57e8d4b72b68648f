//! Any order of appends, restarts and torn tails, against a list.

use std::fs::OpenOptions;

use proptest::prelude::*;

use super::*;
use crate::store::tests::cases;

#[derive(Debug, Clone)]
enum Step {
    Append(Vec<u8>),
    /// Ends this life and begins the next.
    Reopen,
    /// Ends this life, cuts so many bytes off its last segment, and begins the next.
    Tear(u64),
    /// Removes the oldest segment, if it is not the only one.
    Clean,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => prop::collection::vec(any::<u8>(), 0..120).prop_map(Step::Append),
        1 => Just(Step::Reopen),
        1 => (0_u64..200).prop_map(Step::Tear),
        1 => Just(Step::Clean),
    ]
}

fn check(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let temp = tempfile::tempdir().unwrap();
    let small = Options {
        segment_bytes: 400,
        ..options()
    };
    let mut model: Vec<(Appended, Vec<u8>)> = Vec::new();
    let (mut journal, _) = open(temp.path(), small.clone());
    for step in steps {
        match step {
            Step::Append(payload) => {
                let appended = put(&journal, &payload).unwrap();
                let last = model.last().map_or(0, |(last, _)| last.sequence);
                prop_assert!(appended.sequence > last);
                model.push((appended, payload));
            }
            Step::Reopen => {
                drop(journal);
                journal = open(temp.path(), small.clone()).0;
            }
            Step::Tear(bytes) => {
                let (segment, len) = *journal.segments().last().unwrap();
                drop(journal);
                let left = len.saturating_sub(bytes);
                let path = path_of(temp.path(), segment);
                let file = OpenOptions::new().write(true).open(path).unwrap();
                file.set_len(left).unwrap();
                model.retain(|(place, _)| {
                    place.position.segment != segment || place.position.offset + place.bytes <= left
                });
                let (next, recovery) = open(temp.path(), small.clone());
                journal = next;
                prop_assert_eq!(recovery.quarantined.len(), 0);
            }
            Step::Clean => {
                let segments = journal.segments();
                if let [(oldest, _), _, ..] = segments.as_slice() {
                    journal.remove_segment(*oldest).unwrap();
                    model.retain(|(place, _)| place.position.segment != *oldest);
                }
            }
        }
        let found: Vec<_> = journal
            .scan(None)
            .map(|record| record.unwrap())
            .map(|record| (record.position, record.sequence, record.payload))
            .collect();
        let expected: Vec<_> = model
            .iter()
            .map(|(place, payload)| (place.position, place.sequence, payload.clone()))
            .collect();
        prop_assert_eq!(found, expected);
    }
    for (place, payload) in &model {
        prop_assert_eq!(&journal.read(place.position).unwrap().payload, payload);
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn it_behaves_like_a_list(steps in prop::collection::vec(step(), 1..40)) {
        check(steps)?;
    }

    #[test]
    fn junk_is_never_a_record_and_never_a_panic(
        junk in prop::collection::vec(any::<u8>(), 0..3000),
        segment in 1_u64..4,
    ) {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("journal");
        let (journal, _) = open(&folder, Options { segment_bytes: 60, ..options() });
        for payload in [b"a", b"b", b"c"] {
            put(&journal, payload).unwrap();
        }
        drop(journal);
        std::fs::write(path_of(&folder, segment), junk).unwrap();
        let (journal, _) = open(&folder, options());
        let mut expected = vec![b"a", b"b", b"c"];
        expected.remove(segment as usize - 1);
        prop_assert_eq!(payloads(&journal), expected);
    }

    /// A power cut may keep any of the blocks that were not synced, and zero the others.
    #[test]
    fn what_was_synced_survives_whatever_becomes_of_the_rest(
        sizes in prop::collection::vec(0_usize..300, 2..20),
        synced in 1_usize..20,
        lost in prop::collection::vec((0_usize..6000, 1_usize..600), 0..6),
        cut in prop::option::of(0_usize..6000),
    ) {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("journal");
        let (journal, _) = open(&folder, options());
        let all: Vec<_> = (1..).zip(&sizes).map(|(n, size)| vec![n; *size]).collect();
        let places: Vec<_> = all.iter().map(|payload| put(&journal, payload).unwrap()).collect();
        drop(journal);
        let synced = synced.min(all.len());
        let last = places[synced - 1];
        let synced_end = (last.position.offset + last.bytes) as usize;
        let mut bytes = std::fs::read(path_of(&folder, 1)).unwrap();
        if let Some(cut) = cut {
            bytes.truncate(synced_end + cut);
        }
        for (from, len) in lost {
            let from = (synced_end + from).min(bytes.len());
            let to = (from + len).min(bytes.len());
            bytes[from..to].fill(0);
        }
        std::fs::write(path_of(&folder, 1), bytes).unwrap();
        for _ in 0..2 {
            let (journal, _) = open(&folder, options());
            let found: Vec<_> = journal.scan(None).map(|record| record.unwrap()).collect();
            prop_assert!(found.len() >= synced);
            for (index, record) in found.iter().enumerate() {
                prop_assert!(index >= synced || record.sequence == index as u64 + 1);
                prop_assert_eq!(&record.payload, &all[record.sequence as usize - 1]);
                prop_assert_eq!(record.position, places[record.sequence as usize - 1].position);
            }
        }
    }
}
