//! What verify calls sound, what it finds, and that it changes nothing.

use std::path::Path;

use super::super::super::contract::keyed;
use super::super::super::index::Index;
use super::super::super::journal::Position;
use super::super::super::tests::{assert_sound, copy_folder, open, options};
use super::super::{CareError, Folder, IndexState, Report, verify};
use super::*;

fn check(path: &Path, with_index: bool) -> Report {
    verify(&Folder::open(path).unwrap(), with_index).unwrap()
}

#[tokio::test]
async fn a_sound_store_is_sound_in_use_and_closed_and_stays_as_it_is() {
    let world = World::new().await;
    world.fill().await;
    let report = check(&world.path(), true);
    assert!(report.sound && report.in_use, "{report:#?}");
    assert!(matches!(report.index, IndexState::PassedOver { .. }));
    assert_eq!((report.events, report.deliveries), (FILLED, FILLED));
    let (_folder, path) = world.closed().await;
    let before = contents(&path);
    let report = check(&path, true);
    assert!(report.sound && !report.in_use, "{report:#?}");
    assert!(matches!(report.index, IndexState::Sound { rows } if rows > 100));
    assert!(report.segments > 2);
    assert!(!check(&path, false).in_use);
    super::super::stats(&Folder::open(&path).unwrap()).unwrap();
    assert_eq!(contents(&path), before);
}

#[tokio::test]
async fn a_store_without_any_event_is_sound() {
    let (_folder, path) = World::new().await.closed().await;
    assert_sound(&path);
}

#[tokio::test]
async fn an_open_store_can_be_started_again_only_after_verify() {
    let world = World::new().await;
    world.fill().await;
    let (_folder, path) = world.closed().await;
    let lock = super::super::super::lock::StoreLock::share(&path).unwrap();
    assert!(super::super::super::lock::StoreLock::take(&path).is_err());
    drop(lock);
    assert_sound(&path);
    super::super::super::lock::StoreLock::take(&path).unwrap();
}

/// Where the records of the journal begin, with their numbers.
fn records(path: &Path) -> Vec<(u64, Position)> {
    let view = Folder::open(path).unwrap().view().unwrap();
    view.findings()
        .filter_map(|finding| match finding.unwrap() {
            super::super::Finding::Record(record) => Some((record.sequence, record.position)),
            _ => None,
        })
        .collect()
}

#[tokio::test]
async fn any_flipped_bit_is_named() {
    let world = World::new().await;
    world.fill().await;
    let (_folder, path) = world.closed().await;
    let last = records(&path).pop().unwrap().1;
    let files = segments(&path);
    let mut rng = fastrand::Rng::with_seed(11);
    for round in 0..120 {
        let file = &files[rng.usize(..files.len())];
        let bytes = std::fs::read(file).unwrap();
        // headers of segments get their share
        let at = if round % 6 == 0 {
            rng.usize(..56)
        } else {
            rng.usize(..bytes.len())
        };
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << rng.u8(..8);
        std::fs::write(file, &damaged).unwrap();
        let report = check(&path, false);
        std::fs::write(file, &bytes).unwrap();
        let file = Path::new("journal").join(file.file_name().unwrap());
        let number: u64 = file.file_stem().unwrap().to_str().unwrap().parse().unwrap();
        let covers = |from: u64, bytes: u64| (from..from + bytes).contains(&(at as u64));
        if number == last.segment && at as u64 >= last.offset {
            let tail = report.unfinished.unwrap();
            assert!(
                tail.file == file && covers(tail.offset, tail.bytes),
                "at {at}"
            );
            continue;
        }
        assert!(!report.sound, "{} at {at}", file.display());
        let named = report.damage.iter().find(|one| {
            one.file == file && covers(one.offset.unwrap_or(0), one.bytes.unwrap_or(0))
        });
        let named = named.unwrap_or_else(|| panic!("{} at {at}: {report:#?}", file.display()));
        assert!(!named.affected.is_empty(), "{named:?}");
    }
    assert!(check(&path, true).sound);
}

#[tokio::test]
async fn what_hangs_on_a_damaged_record_is_known_from_the_index() {
    let world = World::new().await;
    world.fill().await;
    let (event, ids) = world.admit(&["erp"], "\"to be damaged\"").await;
    world.admit(&[], "\"last\"").await;
    let (_folder, path) = world.closed().await;
    let file = segments(&path).pop().unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    let text = b"to be damaged";
    let at = bytes.windows(text.len()).position(|it| it == text).unwrap();
    bytes[at] ^= 4;
    std::fs::write(&file, &bytes).unwrap();
    let report = check(&path, true);
    let [damage] = report.damage.as_slice() else {
        panic!("{report:#?}");
    };
    assert_eq!(
        damage.what,
        "the bytes of the record do not match its checksum"
    );
    let affected = damage.affected.join("\n");
    for wanted in [
        "an event with its deliveries",
        &format!("event {event} (source wreno, type order.paid)"),
        &format!("delivery {}", ids[0]),
    ] {
        assert!(affected.contains(wanted), "{wanted}: {affected}");
    }
    // a start sets the damaged part aside, and that is named from then on
    let clock = clock();
    open(&options(&path), &clock).await.close().await;
    let report = check(&path, false);
    assert_eq!(report.set_aside.len(), 1, "{report:#?}");
    assert!(report.set_aside[0].starts_with("quarantine"));
    assert!(!report.sound);
}

#[tokio::test]
async fn a_cut_end_is_unfinished_and_a_cut_middle_is_damage() {
    let world = World::new().await;
    world.fill().await;
    let (_folder, path) = world.closed().await;
    let sound = check(&path, false);
    let last = records(&path).pop().unwrap();
    let newest = segments(&path).pop().unwrap();
    let bytes = std::fs::read(&newest).unwrap();
    for end in last.1.offset as usize..bytes.len() {
        std::fs::write(&newest, &bytes[..end]).unwrap();
        let report = check(&path, false);
        assert!(report.sound, "{end}: {report:#?}");
        assert_eq!(report.records, sound.records - 1, "{end}");
        let unfinished = report.unfinished.map(|tail| tail.bytes);
        let cut = end as u64 - last.1.offset;
        assert_eq!(unfinished, (cut > 0).then_some(cut), "{end}");
    }
    // the index knows that there was more
    let report = check(&path, true);
    assert_eq!(report.index, IndexState::Damaged, "{report:#?}");
    let said = format!("it holds records up to number {}", last.0);
    assert!(
        report.damage.iter().any(|it| it.what.contains(&said)),
        "{report:#?}"
    );
    std::fs::write(&newest, &bytes).unwrap();

    let oldest = segments(&path).remove(0);
    let bytes = std::fs::read(&oldest).unwrap();
    std::fs::write(&oldest, &bytes[..bytes.len() - 10]).unwrap();
    let report = check(&path, false);
    assert!(!report.sound);
    assert_eq!(
        report.damage[0].file,
        Path::new("journal").join(oldest.file_name().unwrap())
    );
    std::fs::write(&oldest, &bytes[..56]).unwrap();
    let report = check(&path, false);
    assert!(
        report.damage[0].what.contains("ends too early"),
        "{report:#?}"
    );
}

#[tokio::test]
async fn a_segment_that_is_missing_is_named() {
    let world = World::new().await;
    world.fill().await;
    let (folder, path) = world.closed().await;
    let files = segments(&path);
    let copy = folder.path().join("copy");
    for gone in 0..files.len() {
        copy_folder(&path, &copy);
        let name = files[gone].file_name().unwrap();
        std::fs::remove_file(copy.join("journal").join(name)).unwrap();
        let report = check(&copy, true);
        if gone == 0 {
            // as if it had been let go; but what was open in it would have been carried
            assert_eq!(report.damage[0].what, "the segment is missing");
            let affected = report.damage[0].affected.join("\n");
            assert!(affected.contains("which is pending"), "{report:#?}");
        } else if gone + 1 == files.len() {
            assert_eq!(report.index, IndexState::Damaged, "{report:#?}");
        } else {
            let named = report.damage.iter().any(|it| {
                it.file == Path::new("journal").join(name) && it.what == "the segment is missing"
            });
            assert!(named, "{report:#?}");
        }
        assert!(!report.sound);
        std::fs::remove_dir_all(&copy).unwrap();
    }
}

#[tokio::test]
async fn an_index_that_says_other_things_is_damaged_and_a_missing_one_is_not() {
    let world = World::new().await;
    world.fill().await;
    let older = world.folder.path().join("older");
    let (folder, path) = world.closed().await;
    let index = path.join("index");
    copy_folder(&index, &older);
    let mut store = open(&options(&path), &clock()).await;
    let new = super::super::super::contract::admission(clock().now(), &["erp"], "{}");
    let event = store.admit(new).await.unwrap().event;
    store.admit(keyed(clock().now(), 1, 1)).await.unwrap();
    store.close().await;
    drop(store);
    assert_sound(&path);
    // rows and their count fit together, but one event is gone
    let (opened, _) = Index::open(&index, 1 << 20).unwrap();
    opened.write(|stage| stage.remove_event(event)).unwrap();
    opened.flush();
    drop(opened);
    std::fs::remove_file(path.join("index.position")).unwrap();
    let report = check(&path, true);
    assert_eq!(report.index, IndexState::Damaged);
    let said = format!("event {event}: it is not in the index");
    assert!(
        report.damage.iter().any(|it| it.what == said),
        "{report:#?}"
    );

    std::fs::remove_dir_all(&index).unwrap();
    let report = check(&path, true);
    assert!(report.sound, "{report:#?}");
    assert_eq!(
        report.index,
        IndexState::ToBeRebuilt {
            why: "it is missing"
        }
    );

    store = open(&options(&path), &clock()).await;
    store.close().await;
    drop(store);
    assert_sound(&path);
    std::fs::remove_dir_all(&index).unwrap();
    copy_folder(&older, &index);
    let report = check(&path, true);
    let why = "it is not the one that was written last";
    assert_eq!(report.index, IndexState::ToBeRebuilt { why });
    for file in std::fs::read_dir(&index).unwrap() {
        let file = file.unwrap().path();
        if file.is_file() {
            std::fs::write(file, [0xa5; 5000]).unwrap();
        }
    }
    let before = contents(folder.path());
    let report = check(&path, true);
    assert_eq!(report.index, IndexState::Damaged);
    assert!(!report.sound);
    assert_eq!(contents(folder.path()), before);
}

#[tokio::test]
async fn what_is_no_store_or_newer_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let is_none = |path: &Path| matches!(Folder::open(path), Err(CareError::NoStore { .. }));
    assert!(is_none(&folder.path().join("nothing")));
    assert!(is_none(folder.path()));
    std::fs::create_dir(folder.path().join("journal")).unwrap();
    assert!(is_none(folder.path()));
    // a header of format 200
    let mut header = b"ingate\xC3\x9A\xC8\x00\x00\x00".to_vec();
    header.extend(crc32c::crc32c(&header).to_le_bytes());
    header.resize(56, 0);
    let file = folder.path().join("journal/00000000000000000001.log");
    std::fs::write(file, header).unwrap();
    let Err(error) = Folder::open(folder.path()) else {
        panic!("it was opened");
    };
    assert!(
        error.to_string().contains("format or kind of record 200"),
        "{error}"
    );
}
