//! Segments that are made of zeros beforehand.

use std::fs;

use super::super::disk::Output;
use super::super::format::{FIRST_OF_GROUP, FORMAT, SEGMENT_HEADER, SegmentHeader, encode_record};
use super::super::view::{Finding, View};
use super::faults::Faulty;
use super::*;

const SEGMENT: u64 = 1 << 14;

fn soon() -> Options {
    Options {
        segment_bytes: SEGMENT,
        spare_after: 100,
        ..options()
    }
}

/// Appends records until one stands in a segment that was made beforehand; gives all payloads and that segment.
fn until_prepared(journal: &Journal, folder: &Path) -> (Vec<Vec<u8>>, u64) {
    let mut all = Vec::new();
    loop {
        let payload = vec![all.len() as u8 + 1; 50];
        let at = put(journal, &payload).unwrap().position;
        all.push(payload);
        let bytes = fs::metadata(path_of(folder, at.segment)).unwrap().len();
        if bytes == SEGMENT {
            return (all, at.segment);
        }
        assert!(at.segment < 2 && all.len() < 200, "none was made");
        // as long as it is being made
        thread::sleep(Duration::from_millis(1));
    }
}

fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

fn log(number: u64) -> String {
    format!("{number:020}.log")
}

#[test]
fn one_takes_over_as_soon_as_it_is_there_and_its_zeros_are_never_seen() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("journal");
    let (journal, _) = open(&folder, soon());
    let (mut all, prepared) = until_prepared(&journal, &folder);
    assert_eq!(prepared, 2);
    assert_eq!(payloads(&journal), all);

    // who looks at the running one sees records only
    let view = View::open(&folder).unwrap();
    let seen: Vec<_> = view
        .findings()
        .map(|finding| match finding.unwrap() {
            Finding::Record(record) => record.payload,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(seen, all);
    let newest = view.segments().last().unwrap();
    let used = journal.segments().last().unwrap().1;
    assert_eq!((newest.bytes, newest.end), (used, used));
    assert_eq!(view.whole(newest).unwrap(), used);

    // a killed process leaves the zeros
    let killed = temp.path().join("killed/journal");
    crate::store::tests::copy_folder(&folder, &killed);
    let (next, recovery) = open(&killed, options());
    let expected = Recovery {
        segments: vec![1, 2],
        last_sequence: all.len() as u64,
        ..Recovery::default()
    };
    assert_eq!(recovery, expected);
    assert_eq!(payloads(&next), all);
    assert_eq!(fs::metadata(path_of(&killed, 2)).unwrap().len(), used);
    drop(next);

    // it is filled and the next one follows; none has zeros at its end then
    while journal.segments().len() < 4 {
        let payload = vec![7; 900];
        put(&journal, &payload).unwrap();
        all.push(payload);
    }
    let sizes = journal.segments();
    journal.close();
    for (number, bytes) in sizes {
        let there = fs::metadata(path_of(&folder, number)).unwrap().len();
        assert_eq!(there, bytes, "segment {number}");
    }
    assert_eq!(names(&folder), [log(1), log(2), log(3), log(4)]);
    let (journal, recovery) = open(&folder, options());
    assert_eq!((recovery.torn_bytes, recovery.quarantined.len()), (0, 0));
    assert_eq!(payloads(&journal), all);
}

#[test]
fn a_tail_torn_before_the_zeros_loses_only_the_last_record() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("journal");
    let (journal, _) = open(&folder, soon());
    let (all, prepared) = until_prepared(&journal, &folder);
    let end = journal.segments().last().unwrap().1 as usize;
    let killed = temp.path().join("killed/journal");
    crate::store::tests::copy_folder(&folder, &killed);
    drop(journal);
    let whole = fs::read(path_of(&killed, prepared)).unwrap();
    let begin = end - 50 - super::super::format::RECORD_EXTRA;
    for from in begin..end {
        let mut torn = whole.clone();
        torn[from..].fill(0);
        if torn == whole {
            continue;
        }
        fs::write(path_of(&killed, prepared), &torn).unwrap();
        let view = View::open(&killed).unwrap();
        let newest = view.segments().last().unwrap();
        assert_eq!(view.whole(newest).unwrap(), begin as u64, "from {from}");
        let found: Vec<_> = view.findings().map(Result::unwrap).collect();
        let unfinished = matches!(found.last(), Some(Finding::Unfinished(_)));
        assert_eq!(unfinished, from > begin, "from {from}");
        let (next, recovery) = open(&killed, options());
        assert_eq!(recovery.quarantined.len(), 0, "from {from}");
        assert!(recovery.torn_bytes <= (from - begin) as u64, "from {from}");
        assert_eq!(payloads(&next), all[..all.len() - 1], "from {from}");
        let newest = next.segments().last().unwrap().0;
        drop(next);
        fs::remove_file(path_of(&killed, newest)).unwrap();
    }
}

/// A segment of this format with five records: two that are a group each, and a group of three.
fn groups(format: u32) -> Vec<u8> {
    let header = SegmentHeader {
        format,
        segment: 1,
        first_sequence: 1,
        mark: 77,
        previous: 0,
        previous_end: 0,
    };
    let mut bytes = header.encode();
    for (sequence, flag) in (1..).zip([FIRST_OF_GROUP, FIRST_OF_GROUP, FIRST_OF_GROUP, 0, 0]) {
        let kind = Kind::Accepted as u8 | flag;
        encode_record(&mut bytes, 77, 1, kind, sequence, &[sequence as u8; 1500]);
    }
    bytes.resize(SEGMENT as usize, 0);
    bytes
}

#[test]
fn a_sector_of_the_last_group_that_was_not_written_is_no_damage() {
    const RECORD: usize = 1530;
    let flip = |bytes: &mut [u8], at: usize| bytes[at] ^= 1;
    let blank = |bytes: &mut [u8], at: usize| {
        let from = at / 512 * 512;
        bytes[from..from + 512].fill(0);
    };
    type Change<'a> = &'a dyn Fn(&mut [u8], usize);
    // in which record, the format, what is done; which records are left, alarms
    let cases: [(usize, u32, Change<'_>, &[u8], usize); 7] = [
        (2, FORMAT, &blank, &[1, 2], 0),
        (3, FORMAT, &blank, &[1, 2, 3], 0),
        (4, FORMAT, &blank, &[1, 2, 3, 4], 0),
        (3, FORMAT, &flip, &[1, 2, 3, 5], 1),
        (1, FORMAT, &blank, &[1, 3, 4, 5], 1),
        (0, FORMAT, &flip, &[2, 3, 4, 5], 1),
        (3, 1, &blank, &[1, 2, 3, 5], 1),
    ];
    for (line, (record, format, change, left, alarms)) in cases.into_iter().enumerate() {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("journal");
        fs::create_dir(&folder).unwrap();
        let mut bytes = groups(format);
        change(&mut bytes, SEGMENT_HEADER + record * RECORD + 800);
        fs::write(path_of(&folder, 1), bytes).unwrap();
        for life in 0..2 {
            let (journal, recovery) = open(&folder, options());
            assert_eq!(recovery.quarantined.len(), alarms, "case {line}, {life}");
            let last = if record == 4 { 4 } else { 5 };
            assert_eq!(recovery.last_sequence, last, "case {line}, {life}");
            let found = payloads(&journal);
            let found: Vec<u8> = found.iter().map(|payload| payload[0]).collect();
            assert_eq!(found, left, "case {line}, {life}");
        }
    }
}

#[test]
fn zeros_at_the_end_of_a_segment_that_others_follow_are_damage() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("journal");
    for payload in [b"one", b"two"] {
        let (journal, _) = open(&folder, options());
        put(&journal, payload).unwrap();
    }
    let append = |number, bytes: &[u8]| {
        let path = path_of(&folder, number);
        let mut all = fs::read(&path).unwrap();
        all.extend_from_slice(bytes);
        fs::write(path, all).unwrap();
    };
    append(1, &[0; 100]);
    let (journal, recovery) = open(&folder, options());
    assert_eq!(recovery.quarantined.len(), 0, "its successor says its end");
    drop(journal);
    append(1, &[0; 100]);
    let successor = path_of(&folder, 2);
    let mut bytes = fs::read(&successor).unwrap();
    bytes[45] ^= 1;
    fs::write(&successor, bytes).unwrap();
    let (journal, recovery) = open(&folder, options());
    assert_eq!(recovery.quarantined.len(), 2, "{recovery:?}");
    assert_eq!(payloads(&journal), [b"one", b"two"]);
}

#[test]
fn without_room_or_with_errors_segments_grow_as_they_are_written() {
    type Break = fn(&Faulty, &mut Options);
    let ways: [(&str, Break); 4] = [
        ("the disk is full", |disk, _| disk.refuse_zeros(true)),
        ("no file gets a name", |disk, _| disk.refuse_names(true)),
        ("others need the room", |_, options| {
            options.keep_free = u64::MAX / 2;
        }),
        ("all that it may take is taken", |_, options| {
            options.most_bytes = SEGMENT;
        }),
    ];
    for (what, set) in ways {
        let temp = tempfile::tempdir().unwrap();
        let (disk, mut options) = (Faulty::default(), soon());
        set(&disk, &mut options);
        let journal = disk.open(temp.path(), options);
        let mut all = Vec::new();
        while journal.segments().len() < 4 {
            let payload = vec![all.len() as u8; 900];
            put(&journal, &payload).unwrap();
            all.push(payload);
            thread::sleep(Duration::from_micros(200));
        }
        journal.health().unwrap();
        for (number, bytes) in journal.segments() {
            let there = fs::metadata(path_of(temp.path(), number)).unwrap().len();
            assert_eq!(there, bytes, "{what}");
        }
        journal.close();
        let left = names(temp.path());
        assert!(
            left.iter().all(|name| name.ends_with(".log")),
            "{what}: {left:?}"
        );
        let (journal, recovery) = open(temp.path(), super::options());
        assert_eq!((recovery.torn_bytes, recovery.quarantined.len()), (0, 0));
        assert_eq!(payloads(&journal), all, "{what}");
    }
}

#[test]
fn a_failed_sync_of_one_is_as_that_of_any_other() {
    let temp = tempfile::tempdir().unwrap();
    let disk = Faulty::default();
    let journal = disk.open(temp.path(), soon());
    let (mut all, prepared) = until_prepared(&journal, temp.path());
    disk.fail_sync();
    put(&journal, b"lost").unwrap_err();
    journal.health().unwrap();
    let at = put(&journal, b"next").unwrap().position;
    assert!(at.segment > prepared);
    all.push(b"next".to_vec());
    assert_eq!(payloads(&journal), all);
    let failed = fs::metadata(path_of(temp.path(), prepared)).unwrap().len();
    assert_eq!(failed, SEGMENT, "it is not touched again");
    drop(journal);
    let (journal, recovery) = open(temp.path(), options());
    assert_eq!(recovery.quarantined.len(), 0);
    assert_eq!(payloads(&journal), all);
}

#[test]
fn what_an_earlier_life_has_left_is_removed() {
    let temp = tempfile::tempdir().unwrap();
    fs::write(temp.path().join("spare"), [0; 100]).unwrap();
    let (journal, recovery) = open(temp.path(), options());
    assert_eq!(recovery, Recovery::default());
    assert_eq!(names(temp.path()), [log(1)]);
    drop(journal);
    let stop = std::sync::atomic::AtomicBool::new(true);
    let path = temp.path().join("stopped");
    let made = RealDisk.create_zeros(&path, 100, &stop).err().unwrap();
    assert_eq!(made.kind(), std::io::ErrorKind::Interrupted);
    stop.store(false, std::sync::atomic::Ordering::Relaxed);
    let path = temp.path().join("made");
    let mut made: Box<dyn Output> = RealDisk.create_zeros(&path, 3 << 20, &stop).unwrap();
    made.append(b"begin").unwrap();
    let bytes = fs::read(&path).unwrap();
    assert_eq!((bytes.len(), &bytes[..6]), (3 << 20, &b"begin\0"[..]));
    made.cut().unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"begin");
}
