//! The journal against its promises: faults, damage, models.

mod damage;
mod faults;
mod model;
mod power;
mod rewriting;
mod spares;

use std::sync::mpsc;

use super::*;

pub(super) fn options() -> Options {
    Options {
        segment_bytes: 1 << 20,
        group_bytes: 1 << 16,
        waiting: 10_000,
        waiting_bytes: 64 << 20,
        lazy_sync: Duration::from_millis(20),
        begin_after: 0,
        spare_after: u64::MAX,
        most_bytes: u64::MAX,
        keep_free: 0,
    }
}

pub(super) fn entry(payload: &[u8], urgent: bool, done: Done) -> Entry {
    Entry {
        version: 1,
        kind: Kind::Accepted,
        payload: payload.to_vec(),
        urgent,
        done,
    }
}

/// Appends and waits for the outcome.
pub(super) fn put(journal: &Journal, payload: &[u8]) -> Result<Appended, JournalError> {
    let (tell, told) = mpsc::channel();
    let done = Box::new(move |result| tell.send(result).unwrap());
    journal.append(entry(payload, true, done));
    told.recv().unwrap()
}

pub(super) fn open(folder: &Path, options: Options) -> (Journal, Recovery) {
    Journal::open(folder, options, Arc::new(Metrics::new())).unwrap()
}

pub(super) fn payloads(journal: &Journal) -> Vec<Vec<u8>> {
    journal
        .scan(None)
        .map(|record| record.unwrap().payload)
        .collect()
}

#[test]
fn what_was_appended_is_read_scanned_and_there_in_the_next_life() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("journal");
    let (journal, recovery) = open(&folder, options());
    assert_eq!(recovery, Recovery::default());
    let long = vec![3; 10_000];
    let all: [&[u8]; 4] = [b"one", b"", &long, b"four"];
    let mut places = Vec::new();
    for (index, payload) in all.iter().enumerate() {
        let appended = put(&journal, payload).unwrap();
        assert_eq!(appended.sequence, index as u64 + 1);
        assert_eq!(appended.bytes as usize, payload.len() + 30);
        let record = journal.read(appended.position).unwrap();
        assert_eq!(
            (record.payload.as_slice(), record.sequence),
            (*payload, appended.sequence)
        );
        assert_eq!((record.version, record.kind), (1, Kind::Accepted));
        places.push(appended.position);
    }
    assert_eq!(payloads(&journal), all);
    journal.close();
    journal.close();
    assert!(matches!(
        put(&journal, b"late"),
        Err(JournalError::Stopped(_))
    ));
    drop(journal);

    let (journal, recovery) = open(&folder, options());
    assert_eq!(
        recovery,
        Recovery {
            segments: vec![1],
            last_sequence: 4,
            ..Recovery::default()
        }
    );
    assert_eq!(put(&journal, b"five").unwrap().sequence, 5);
    assert_eq!(payloads(&journal).len(), 5);
    for (place, payload) in places.iter().zip(all) {
        assert_eq!(journal.read(*place).unwrap().payload, payload);
    }
    assert_eq!(
        journal
            .segments()
            .iter()
            .map(|(n, _)| *n)
            .collect::<Vec<_>>(),
        [1, 2]
    );
}

#[test]
fn dones_are_called_in_the_order_of_the_journal() {
    let temp = tempfile::tempdir().unwrap();
    let (journal, _) = open(temp.path(), options());
    let (tell, told) = mpsc::channel();
    for index in 0..500_u32 {
        let tell = tell.clone();
        let done = Box::new(move |result: Result<Appended, JournalError>| {
            tell.send((index, result.unwrap().sequence)).unwrap();
        });
        journal.append(entry(&index.to_le_bytes(), index % 3 == 0, done));
    }
    drop(tell);
    let order: Vec<_> = told.iter().collect();
    let expected: Vec<_> = (0..500)
        .map(|index| (index, u64::from(index) + 1))
        .collect();
    assert_eq!(order, expected);
}

#[test]
fn segments_roll_over_at_their_size() {
    let temp = tempfile::tempdir().unwrap();
    let small = Options {
        segment_bytes: 300,
        ..options()
    };
    let (journal, _) = open(temp.path(), small.clone());
    let all: Vec<_> = (0..40_u8).map(|n| vec![n; usize::from(n)]).collect();
    let (tell, told) = mpsc::channel();
    for payload in &all {
        let tell = tell.clone();
        journal.append(entry(
            payload,
            true,
            Box::new(move |r| tell.send(r).unwrap()),
        ));
    }
    for _ in &all {
        told.recv().unwrap().unwrap();
    }
    let segments = journal.segments();
    assert!(segments.len() > 5, "{segments:?}");
    for (number, bytes) in &segments {
        assert!(*bytes <= 300, "segment {number} has {bytes} bytes");
        assert_eq!(
            path_of(temp.path(), *number).metadata().unwrap().len(),
            *bytes
        );
    }
    assert_eq!(payloads(&journal), all);
    let too_big_for_any = vec![1; 1000];
    put(&journal, &too_big_for_any).unwrap();
    drop(journal);
    let (journal, recovery) = open(temp.path(), small);
    assert_eq!((recovery.torn_bytes, recovery.last_sequence), (0, 41));
    assert_eq!(payloads(&journal)[..40], all);
    assert_eq!(payloads(&journal)[40], too_big_for_any);
}

#[test]
fn a_scan_begins_at_any_record() {
    let temp = tempfile::tempdir().unwrap();
    let small = Options {
        segment_bytes: 200,
        ..options()
    };
    let (journal, _) = open(temp.path(), small);
    let appended: Vec<_> = (0..12_u8)
        .map(|n| put(&journal, &[n; 20]).unwrap())
        .collect();
    for (index, first) in appended.iter().enumerate() {
        let sequences: Vec<_> = journal
            .scan(Some(first.position))
            .map(|record| record.unwrap().sequence)
            .collect();
        let expected: Vec<_> = (index as u64 + 1..=12).collect();
        assert_eq!(sequences, expected, "from {first:?}");
    }
    let last = appended[11];
    let at = |segment, offset| Position { segment, offset };
    let end = at(last.position.segment, last.position.offset + last.bytes);
    assert_eq!(journal.scan(Some(end)).count(), 0);
    for wrong in [
        at(end.segment, end.offset + 1),
        at(1, 0),
        at(1, 57),
        at(99, 56),
        at(0, 56),
    ] {
        let all: Vec<_> = journal.scan(Some(wrong)).collect();
        assert!(
            matches!(all.as_slice(), [Err(JournalError::NoRecord(_))]),
            "{wrong:?}: {all:?}"
        );
        let read = journal.read(wrong);
        assert!(
            matches!(read, Err(JournalError::NoRecord(_))),
            "{wrong:?}: {read:?}"
        );
    }
}

#[test]
fn a_segment_can_be_removed_unless_it_is_written() {
    let temp = tempfile::tempdir().unwrap();
    let small = Options {
        segment_bytes: 100,
        ..options()
    };
    let (journal, _) = open(temp.path(), small.clone());
    let appended: Vec<_> = (0..4_u8)
        .map(|n| put(&journal, &[n; 30]).unwrap())
        .collect();
    let before = journal.scan(None);
    assert!(journal.remove_segment(4).is_err());
    journal.remove_segment(1).unwrap();
    journal.remove_segment(1).unwrap();
    assert!(matches!(
        journal.read(appended[0].position),
        Err(JournalError::NoRecord(_))
    ));
    let sequences: Vec<_> = before.map(|record| record.unwrap().sequence).collect();
    assert_eq!(sequences, [2, 3, 4]);
    drop(journal);
    let (journal, recovery) = open(temp.path(), small.clone());
    assert_eq!(recovery.segments, [2, 3, 4]);
    for segment in 2..=4 {
        journal.remove_segment(segment).unwrap();
    }
    drop(journal);
    let (journal, recovery) = open(temp.path(), small);
    assert_eq!((recovery.segments, recovery.last_sequence), (vec![], 4));
    let next = put(&journal, b"next").unwrap();
    assert_eq!((next.sequence, next.position.segment), (5, 6));
}

#[test]
fn lives_without_a_record_leave_no_segment_and_reuse_no_number() {
    let temp = tempfile::tempdir().unwrap();
    for life in 1..=5 {
        let (journal, _) = open(temp.path(), options());
        assert_eq!(journal.segments(), [(life, 56)]);
    }
    assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 1);
}

#[test]
fn a_record_that_is_too_long_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let (journal, _) = open(temp.path(), options());
    let error = put(&journal, &vec![0; MAX_PAYLOAD + 1]).unwrap_err();
    assert!(matches!(error, JournalError::TooLong { .. }), "{error}");
    put(&journal, b"short").unwrap();
}

#[test]
fn the_last_clone_may_be_dropped_anywhere() {
    let temp = tempfile::tempdir().unwrap();
    let (journal, _) = open(temp.path(), options());
    let (tell, told) = mpsc::channel();
    let inside = journal.clone();
    let done = Box::new(move |result: Result<Appended, JournalError>| {
        inside.close();
        drop(inside);
        tell.send(result).unwrap();
    });
    journal.append(entry(b"last", false, done));
    drop(journal);
    told.recv().unwrap().unwrap();
}

#[test]
fn other_files_in_the_folder_are_left_alone() {
    let temp = tempfile::tempdir().unwrap();
    for name in [
        "notes.txt",
        "1.log",
        "abc.log",
        "00000000000000000001.log.bak",
    ] {
        std::fs::write(temp.path().join(name), "mine").unwrap();
    }
    let (journal, recovery) = open(temp.path(), options());
    assert_eq!(recovery, Recovery::default());
    put(&journal, b"x").unwrap();
    assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 5);
}
