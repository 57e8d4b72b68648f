//! Backups of stores that are written, cleaned and changed meanwhile.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::super::super::contract::everything;
use super::super::super::tests::{open, options};
use super::super::backup::copy;
use super::super::{CareError, Folder, backup, verify};
use super::*;
use crate::delivery::{State, StateKind};

async fn restored(path: &Path, clock: &Arc<ManualClock>) -> LocalStore {
    open(&options(path), clock).await
}

#[tokio::test]
async fn a_restored_backup_gives_the_same_answers() {
    let world = World::new().await;
    world.fill().await;
    std::fs::create_dir_all(world.path().join("last-good/templates")).unwrap();
    std::fs::write(world.path().join("last-good/templates/a"), "{}").unwrap();
    let to = world.folder.path().join("backup");
    let made = backup(&Folder::open(&world.path()).unwrap(), &to).unwrap();
    assert_eq!((made.events, made.deliveries), (FILLED, FILLED));
    assert!(made.damage.is_empty() && made.last_good);
    assert_eq!(
        std::fs::read(to.join("last-good/templates/a")).unwrap(),
        b"{}"
    );
    for folder in [&to, &to.join("journal")] {
        let mode = folder.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
    let store = restored(&to, &world.clock).await;
    assert_eq!(everything(&store).await, everything(&world.store).await);
    // it goes on from there
    store
        .admit(admission(world.clock.now(), &["erp"], "{}"))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_destination_in_use_or_in_the_store_is_refused() {
    let world = World::new().await;
    world.fill().await;
    let folder = Folder::open(&world.path()).unwrap();
    let full = world.folder.path().join("full");
    std::fs::create_dir(&full).unwrap();
    std::fs::write(full.join("file"), "").unwrap();
    let link = world.folder.path().join("link");
    std::os::unix::fs::symlink(world.path(), &link).unwrap();
    for (to, why) in [
        (full.clone(), "not empty"),
        (full.join("file"), "no folder"),
        (world.path().join("backup"), "in the store"),
        (world.path().join("journal"), "in the store"),
        (link.join("backup"), "in the store"),
    ] {
        let Err(CareError::Destination { why: said, .. }) = backup(&folder, &to) else {
            panic!("{} was taken", to.display());
        };
        assert!(said.contains(why), "{said}");
    }
    assert!(!world.path().join("backup").exists());
    let empty = world.folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    backup(&folder, &empty).unwrap();
}

#[tokio::test]
async fn segments_that_are_cleaned_meanwhile_are_copied_as_they_were() {
    let world = World::new().await;
    world.fill().await;
    let before = everything(&world.store).await;
    let folder = Folder::open(&world.path()).unwrap();
    let view = folder.view().unwrap();
    let files = segments(&world.path());
    // all is past its retention, so cleaning writes anew what is open and removes the rest
    world.clock.advance(Duration::from_secs(30 * 24 * 3600));
    assert!(world.store.clean_once().await.unwrap() > 1);
    assert!(!files[0].exists());
    let to = world.folder.path().join("backup");
    std::fs::create_dir(&to).unwrap();
    copy(&folder, &view, &to).unwrap();
    assert_eq!(segments(&to).len(), files.len());
    let store = restored(&to, &world.clock).await;
    assert_eq!(everything(&store).await, before);
}

#[tokio::test]
async fn a_segment_that_is_replaced_meanwhile_is_copied_whole() {
    let world = World::new().await;
    world.fill().await;
    let (temp, path) = world.closed().await;
    let folder = Folder::open(&path).unwrap();
    let view = folder.view().unwrap();
    let replaced = segments(&path).remove(1);
    let original = std::fs::read(&replaced).unwrap();
    let other = temp.path().join("other");
    std::fs::write(&other, vec![0; original.len()]).unwrap();
    std::fs::rename(&other, &replaced).unwrap();
    let to = temp.path().join("backup");
    std::fs::create_dir(&to).unwrap();
    let made = copy(&folder, &view, &to).unwrap();
    assert!(made.damage.is_empty());
    assert!(std::fs::read(&segments(&to)[1]).unwrap() == original);
}

#[tokio::test]
async fn a_damaged_store_is_copied_with_its_damage_and_an_unfinished_end_is_left_out() {
    let world = World::new().await;
    world.fill().await;
    let (temp, path) = world.closed().await;
    let oldest = segments(&path).remove(0);
    let mut bytes = std::fs::read(&oldest).unwrap();
    bytes[300] ^= 1;
    std::fs::write(&oldest, &bytes).unwrap();
    let newest = segments(&path).pop().unwrap();
    let mut bytes = std::fs::read(&newest).unwrap();
    let whole = bytes.len();
    bytes.extend_from_slice(&[7; 100]);
    std::fs::write(&newest, &bytes).unwrap();
    let folder = Folder::open(&path).unwrap();
    let report = verify(&folder, false).unwrap();
    let to = temp.path().join("backup");
    let made = backup(&folder, &to).unwrap();
    assert_eq!(made.damage, report.damage);
    assert_eq!(made.records, report.records);
    let copied = to.join("journal").join(newest.file_name().unwrap());
    assert_eq!(std::fs::read(copied).unwrap().len(), whole);
}

/// What is known of deliveries by whoever writes: acknowledged, and done with a later record acknowledged.
#[derive(Default, Clone)]
struct Known {
    open: BTreeMap<EventId, DeliveryId>,
    done: BTreeMap<EventId, DeliveryId>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backups_of_a_store_that_is_written_and_cleaned_hold_all_that_was_acknowledged() {
    let world = Arc::new(World::new().await);
    let known = Arc::new(Mutex::new(Known::default()));
    let go_on = Arc::new(AtomicBool::new(true));
    let removed = Arc::new(AtomicUsize::new(0));
    let writer = {
        let (world, known, go_on) = (Arc::clone(&world), Arc::clone(&known), Arc::clone(&go_on));
        let removed = Arc::clone(&removed);
        tokio::spawn(async move { write_and_clean(&world, &known, &go_on, &removed).await })
    };
    let mut seen = 0;
    for round in 0..500 {
        // enough of both, whichever is quicker
        if round >= 25 && removed.load(Ordering::SeqCst) > 20 {
            break;
        }
        // something is written between one backup and the next
        while known.lock().unwrap().done.len() < seen + 10 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let before = known.lock().unwrap().clone();
        seen = before.done.len();
        let to = world.folder.path().join(format!("backup-{round}"));
        let from = Folder::open(&world.path()).unwrap();
        let target = to.clone();
        let made = tokio::task::spawn_blocking(move || {
            let report = verify(&from, true).unwrap();
            assert!(report.sound && report.in_use, "{report:#?}");
            backup(&from, &target).unwrap()
        });
        let made = made.await.unwrap();
        assert!(made.damage.is_empty(), "{made:?}");
        let store = restored(&to, &world.clock).await;
        for (event, delivery) in &before.open {
            store.event(*event).await.unwrap();
            let state = store.delivery(*delivery).await.unwrap().state;
            assert!(
                matches!(state, State::Pending { .. }),
                "round {round}: {state:?}"
            );
        }
        for delivery in before.done.values() {
            // it may have been let go, but it is not to be delivered again
            if let Ok(delivery) = store.delivery(*delivery).await {
                assert_eq!(delivery.state.kind(), StateKind::Delivered, "round {round}");
            }
        }
        store.close().await;
        drop(store);
        std::fs::remove_dir_all(&to).unwrap();
    }
    go_on.store(false, Ordering::SeqCst);
    writer.await.unwrap();
    let removed = removed.load(Ordering::SeqCst);
    assert!(removed > 20, "cleaning removed {removed} segments only");
}

/// Admits events and delivers most of them, while time passes and segments are let go; counts those.
async fn write_and_clean(
    world: &World,
    known: &Mutex<Known>,
    go_on: &AtomicBool,
    removed: &AtomicUsize,
) {
    let body = format!("\"{}\"", "x".repeat(400));
    let mut round: u64 = 0;
    while go_on.load(Ordering::SeqCst) {
        round += 1;
        let (event, ids) = world.admit(&["erp"], &body).await;
        let done = world.settle("erp", Next::Done).await;
        assert_eq!(done, ids[0]);
        if round.is_multiple_of(10) {
            // never delivered
            let (event, ids) = world.admit(&["audit"], &body).await;
            known.lock().unwrap().open.insert(event, ids[0]);
        } else {
            world.admit(&[], "\"syncs what came before\"").await;
        }
        known.lock().unwrap().done.insert(event, done);
        world.clock.advance(Duration::from_secs(3600));
        if round.is_multiple_of(20) {
            let cleaned = world.store.clean_once().await.unwrap();
            removed.fetch_add(cleaned, Ordering::SeqCst);
        }
    }
}
