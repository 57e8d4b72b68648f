//! Torn tails, flipped bits and junk in the files of earlier lives.

use std::fs;

use super::*;

/// Two lives: five records in segment 1, two in segment 2. Gives the payloads and the bytes of each record's place.
struct Lives {
    temp: tempfile::TempDir,
    appended: Vec<Appended>,
    payloads: Vec<Vec<u8>>,
    bytes: Vec<Vec<u8>>,
}

impl Lives {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("journal");
        let payloads: Vec<_> = (0..7_u8).map(|n| vec![n; 3 + usize::from(n)]).collect();
        let mut appended = Vec::new();
        for life in [&payloads[..5], &payloads[5..]] {
            let (journal, _) = open(&folder, options());
            for payload in life {
                appended.push(put(&journal, payload).unwrap());
            }
        }
        let bytes = [1, 2].map(|n| fs::read(path_of(&folder, n)).unwrap());
        Self {
            temp,
            appended,
            payloads,
            bytes: bytes.into(),
        }
    }

    /// Puts the files back as they were, with `change` made to segment `number`, and opens them.
    fn open_with(&self, number: u64, change: &[u8]) -> (Journal, Recovery) {
        let folder = self.temp.path().join("journal");
        for old in [&folder, &self.temp.path().join("quarantine")] {
            let _ = fs::remove_dir_all(old);
        }
        fs::create_dir(&folder).unwrap();
        for (segment, bytes) in (1..).zip(&self.bytes) {
            let bytes = if segment == number { change } else { bytes };
            fs::write(path_of(&folder, segment), bytes).unwrap();
        }
        open(&folder, options())
    }

    /// The payloads without the record that holds this byte.
    fn without(&self, segment: u64, offset: u64) -> Vec<Vec<u8>> {
        self.appended
            .iter()
            .zip(&self.payloads)
            .filter(|(place, _)| {
                let from = place.position.offset;
                place.position.segment != segment || !(from..from + place.bytes).contains(&offset)
            })
            .map(|(_, payload)| payload.clone())
            .collect()
    }
}

#[test]
fn a_tail_torn_at_any_byte_loses_only_the_last_record() {
    let lives = Lives::new();
    let whole = &lives.bytes[1];
    let last = lives.appended[6];
    for len in last.position.offset as usize..whole.len() {
        let (journal, recovery) = lives.open_with(2, &whole[..len]);
        let torn = len as u64 - last.position.offset;
        assert_eq!(
            recovery,
            Recovery {
                segments: vec![1, 2],
                torn_bytes: torn,
                quarantined: vec![],
                last_sequence: 6,
            },
            "cut to {len}"
        );
        let next = put(&journal, b"next").unwrap();
        assert_eq!(
            (next.sequence, next.position.segment),
            (7, 3),
            "cut to {len}"
        );
        journal.close();
        let mut expected = lives.payloads[..6].to_vec();
        expected.push(b"next".to_vec());
        assert_eq!(payloads(&journal), expected, "cut to {len}");
    }
}

#[test]
fn a_segment_torn_in_its_header_or_first_record_is_as_if_never_begun() {
    let lives = Lives::new();
    let first_end = 56 + lives.appended[5].bytes as usize;
    for len in 0..first_end {
        let (journal, recovery) = lives.open_with(2, &lives.bytes[1][..len]);
        assert_eq!(recovery.segments, [1], "cut to {len}");
        assert_eq!(recovery.quarantined.len(), 0, "cut to {len}");
        assert_eq!(payloads(&journal), lives.payloads[..5], "cut to {len}");
        assert_eq!(journal.segments().len(), 2, "cut to {len}");
        assert_eq!(put(&journal, b"x").unwrap().position.segment, 3);
    }
}

#[test]
fn a_flipped_bit_in_a_finished_segment_costs_one_record_and_is_reported() {
    let lives = Lives::new();
    // prime steps reach every byte's every field without opening thousands of journals
    for bit in (0..lives.bytes[0].len() * 8).step_by(5) {
        let mut bytes = lives.bytes[0].clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let (journal, recovery) = lives.open_with(1, &bytes);
        let survivors = lives.without(1, (bit / 8) as u64);
        assert_eq!(payloads(&journal), survivors, "bit {bit}");
        assert_eq!(recovery.torn_bytes, 0, "bit {bit}");
        assert_eq!(recovery.quarantined.len(), 1, "bit {bit}");
        let kept = fs::read(&recovery.quarantined[0]).unwrap();
        let place = bytes.windows(kept.len()).any(|run| run == kept);
        assert!(place && !kept.is_empty(), "bit {bit}");
        for (appended, payload) in lives.appended.iter().zip(&lives.payloads) {
            match journal.read(appended.position) {
                Ok(record) => assert_eq!(record.payload, *payload, "bit {bit}"),
                Err(error) => assert!(!survivors.contains(payload), "bit {bit}: {error}"),
            }
        }
        assert_eq!(put(&journal, b"x").unwrap().sequence, 8, "bit {bit}");
    }
}

#[test]
fn a_flipped_bit_in_the_newest_segment_costs_one_record() {
    let lives = Lives::new();
    let last = lives.appended[6].position.offset;
    for bit in (0..lives.bytes[1].len() * 8).step_by(5) {
        let mut bytes = lives.bytes[1].clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let (journal, recovery) = lives.open_with(2, &bytes);
        let offset = (bit / 8) as u64;
        assert_eq!(payloads(&journal), lives.without(2, offset), "bit {bit}");
        let (torn, aside) = if offset >= last {
            (lives.appended[6].bytes, 0)
        } else {
            (0, 1)
        };
        assert_eq!(
            (recovery.torn_bytes, recovery.quarantined.len()),
            (torn, aside),
            "bit {bit}"
        );
    }
}

#[test]
fn damage_is_reported_by_every_life_and_kept_once() {
    let lives = Lives::new();
    let mut bytes = lives.bytes[0].clone();
    bytes[60] ^= 1;
    let metrics = Arc::new(Metrics::new());
    drop(lives.open_with(1, &bytes));
    let folder = lives.temp.path().join("journal");
    let (journal, recovery) = Journal::open(&folder, options(), Arc::clone(&metrics)).unwrap();
    assert_eq!(recovery.quarantined.len(), 1);
    assert!(
        metrics
            .encode()
            .contains("ingate_store_quarantined_total 1")
    );
    assert_eq!(payloads(&journal), lives.payloads[1..]);
    let aside = lives.temp.path().join("quarantine");
    assert_eq!(fs::read_dir(aside).unwrap().count(), 1);
}

#[test]
fn damage_that_comes_while_it_is_open_is_an_error_not_a_gap() {
    let lives = Lives::new();
    let (journal, _) = lives.open_with(1, &lives.bytes[0]);
    let mut bytes = lives.bytes[0].clone();
    let place = lives.appended[2].position;
    bytes[place.offset as usize + 27] ^= 1;
    fs::write(path_of(&lives.temp.path().join("journal"), 1), bytes).unwrap();
    let all: Vec<_> = journal.scan(None).collect();
    assert_eq!(all.len(), 3);
    assert!(matches!(&all[2], Err(JournalError::NoRecord(at)) if *at == place));
    assert!(matches!(
        journal.read(place),
        Err(JournalError::NoRecord(_))
    ));
}

#[test]
fn zeros_and_junk_at_the_end_are_cut() {
    let lives = Lives::new();
    for junk in [vec![0; 5000], vec![0xC3; 77], b"\xC3ig\x9A".repeat(100)] {
        let bytes = [lives.bytes[1].as_slice(), &junk].concat();
        let (journal, recovery) = lives.open_with(2, &bytes);
        let torn = if junk[0] == 0 { 0 } else { junk.len() };
        assert_eq!(recovery.torn_bytes, torn as u64, "zeros are no damage");
        assert_eq!(payloads(&journal), lives.payloads);
        let folder = lives.temp.path().join("journal");
        assert_eq!(fs::read(path_of(&folder, 2)).unwrap(), lives.bytes[1]);
    }
}

#[test]
fn a_finished_segment_that_is_cut_short_is_damage() {
    let lives = Lives::new();
    let len = lives.appended[3].position.offset as usize;
    let (journal, recovery) = lives.open_with(1, &lives.bytes[0][..len]);
    assert_eq!(recovery.quarantined.len(), 1);
    let expected = [&lives.payloads[..3], &lives.payloads[5..]].concat();
    assert_eq!(payloads(&journal), expected);
    journal.close();
    let folder = lives.temp.path().join("journal");
    assert_eq!(open(&folder, options()).1.quarantined.len(), 1);
}

#[test]
fn what_a_newer_version_has_written_is_refused_and_not_touched() {
    let lives = Lives::new();
    let mut format = lives.bytes[1].clone();
    format[8..12].copy_from_slice(&7_u32.to_le_bytes());
    let crc = crc32c::crc32c(&format[..12]);
    format[12..16].copy_from_slice(&crc.to_le_bytes());

    let mut kind = lives.bytes[1].clone();
    let mark = u32::from_le_bytes(kind[32..36].try_into().unwrap());
    format::encode_record(&mut kind, mark, 1, 100, 8, b"from the future");

    for (bytes, number) in [(format, 7), (kind, 100)] {
        let temp = tempfile::tempdir().unwrap();
        for (segment, bytes) in [(1, &lives.bytes[0]), (2, &bytes)] {
            fs::write(path_of(temp.path(), segment), bytes).unwrap();
        }
        let result = Journal::open(temp.path(), options(), Arc::new(Metrics::new()));
        assert!(
            matches!(&result, Err(JournalError::Newer { found, .. }) if *found == number),
            "{number}: {:?}",
            result.err()
        );
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 2);
        assert_eq!(fs::read(path_of(temp.path(), 2)).unwrap(), bytes);
    }
}
