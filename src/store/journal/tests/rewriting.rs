//! Segments that are written anew with other payloads.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::super::format::RECORD_EXTRA;
use super::*;

/// Empties the records whose payload begins with `x`.
fn edit(record: &Record) -> Option<Vec<u8>> {
    let wanted = record.payload.starts_with(b"x");
    wanted.then(|| b"-".to_vec())
}

fn all(journal: &Journal) -> Vec<Record> {
    journal.scan(None).collect::<Result<_, _>>().unwrap()
}

#[test]
fn what_is_emptied_is_gone_and_all_else_stands_where_it_stood() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("journal");
    let (mut journal, _) = open(&folder, options());
    let texts = ["one", "xsecret-1", "", "x", "five", "xsecret-2"];
    let places: Vec<_> = texts
        .iter()
        .map(|text| put(&journal, text.as_bytes()).unwrap())
        .collect();
    let before = all(&journal);
    let first = places[0].position.segment;
    assert_eq!(journal.rewrite(first, &mut |_| None).unwrap(), 0);
    assert_eq!(
        journal.segments().len(),
        1,
        "nothing to change, nothing begun"
    );

    // a reader that holds the old file, and one that comes after
    let mut early = journal.scan(None);
    early.next().unwrap().unwrap();
    assert_eq!(journal.rewrite(first, &mut edit).unwrap(), 3);
    assert_eq!(early.count(), 5);
    assert_eq!(journal.segments().len(), 2, "the open one was ended");
    let later = put(&journal, b"later").unwrap();
    assert!(later.position.segment > first);
    let wanted: Vec<_> = before
        .into_iter()
        .map(|mut record| {
            if let Some(mut payload) = edit(&record) {
                payload.resize(record.payload.len(), 0);
                record.payload = payload;
            }
            record
        })
        .collect();
    for (place, record) in places.iter().zip(&wanted) {
        assert_eq!(&journal.read(place.position).unwrap(), record);
    }
    let path = path_of(&folder, first);
    let bytes = fs::read(&path).unwrap();
    assert!(!bytes.windows(6).any(|six| six == b"secret"));
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let payloads: usize = texts.iter().map(|text| text.len() + RECORD_EXTRA).sum();
    assert_eq!(bytes.len(), payloads + super::super::format::SEGMENT_HEADER);

    for _ in 0..2 {
        assert_eq!(all(&journal)[..6], wanted);
        journal.close();
        fs::write(folder.join("00000000000000000001.rewrite"), "left over").unwrap();
        let (again, recovery) = open(&folder, options());
        assert_eq!(recovery.torn_bytes, 0);
        assert!(recovery.quarantined.is_empty());
        assert!(
            fs::read_dir(&folder)
                .unwrap()
                .all(|entry| { entry.unwrap().path().extension().unwrap() == "log" })
        );
        assert_eq!(all(&again)[..6], wanted);
        assert_eq!(all(&again).len(), 7);
        journal = again;
    }
}

#[test]
fn a_record_never_grows_and_a_closed_journal_ends_no_segment() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("journal");
    let (journal, _) = open(&folder, options());
    let at = put(&journal, b"short").unwrap().position;
    let before = all(&journal);
    let grown = journal.rewrite(at.segment, &mut |_| Some(b"longer".to_vec()));
    assert!(matches!(grown, Err(JournalError::Io { .. })), "{grown:?}");
    assert_eq!(all(&journal), before);
    assert_eq!(
        fs::read_dir(&folder).unwrap().count(),
        2,
        "nothing is left beside"
    );
    let newest = put(&journal, b"xnew").unwrap().position.segment;
    journal.close();
    let refused = journal.rewrite(newest, &mut edit);
    assert!(
        matches!(refused, Err(JournalError::Stopped(_))),
        "{refused:?}"
    );
    assert_eq!(
        journal.rewrite(99, &mut edit).unwrap(),
        0,
        "there is no such"
    );
}
