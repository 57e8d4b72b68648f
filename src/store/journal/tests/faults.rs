//! A disk that fails, is full, or is slow.

use std::fs::File;
use std::io;
use std::sync::Condvar;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::super::disk::Output;
use super::*;

/// Tries for a fresh segment come quickly here.
const REOPEN: Duration = Duration::from_millis(5);

/// A real disk that can be told to fail.
#[derive(Clone, Default)]
pub(super) struct Faulty {
    state: Arc<Mutex<State>>,
    changed: Arc<Condvar>,
}

#[derive(Default)]
struct State {
    /// Syncs of files so far: the path of each, and whether it went well.
    syncs: Vec<(PathBuf, bool)>,
    /// So many syncs from now on fail.
    fail_syncs: usize,
    /// Bytes that fit yet.
    room: Option<usize>,
    /// Syncs wait while this is set.
    held: bool,
    /// Syncs that wait.
    waiting: usize,
    /// No file of zeros can be made.
    fail_zeros: bool,
    /// No file gets another name.
    fail_renames: bool,
}

struct FaultyOutput {
    path: PathBuf,
    output: Box<dyn Output>,
    disk: Faulty,
}

impl Disk for Faulty {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        Ok(Box::new(FaultyOutput {
            path: path.to_owned(),
            output: RealDisk.create(path)?,
            disk: self.clone(),
        }))
    }

    fn create_zeros(
        &self,
        path: &Path,
        bytes: u64,
        stop: &AtomicBool,
    ) -> io::Result<Box<dyn Output>> {
        if lock(&self.state).fail_zeros {
            // half of it is there
            File::create(path)?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(Box::new(FaultyOutput {
            path: path.to_owned(),
            output: RealDisk.create_zeros(path, bytes, stop)?,
            disk: self.clone(),
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        if lock(&self.state).fail_renames {
            return Err(io::Error::from_raw_os_error(5));
        }
        RealDisk.rename(from, to)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        RealDisk.sync_folder(path)
    }
}

impl Output for FaultyOutput {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let fits = {
            let mut state = lock(&self.disk.state);
            let fits = state.room.unwrap_or(bytes.len()).min(bytes.len());
            state.room = state.room.map(|room| room - fits);
            fits
        };
        self.output.append(&bytes[..fits])?;
        if fits < bytes.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = lock(&self.disk.state);
        state.waiting += 1;
        self.disk.changed.notify_all();
        while state.held {
            state = self.disk.changed.wait(state).unwrap();
        }
        state.waiting -= 1;
        let fails = state.fail_syncs > 0;
        state.fail_syncs = state.fail_syncs.saturating_sub(1);
        state.syncs.push((self.path.clone(), !fails));
        drop(state);
        if fails {
            return Err(io::Error::from_raw_os_error(5));
        }
        self.output.sync()
    }

    fn cut(&mut self) -> io::Result<()> {
        self.output.cut()
    }
}

impl Faulty {
    pub(super) fn open(&self, folder: &Path, options: Options) -> Journal {
        let metrics = Arc::new(Metrics::new());
        Journal::open_on(Arc::new(self.clone()), REOPEN, folder, options, metrics)
            .unwrap()
            .0
    }

    /// Lets the next sync fail.
    pub(super) fn fail_sync(&self) {
        self.set(|state| state.fail_syncs = 1);
    }

    /// Lets no file of zeros be made.
    pub(super) fn refuse_zeros(&self, refuse: bool) {
        self.set(|state| state.fail_zeros = refuse);
    }

    /// Lets no file get another name.
    pub(super) fn refuse_names(&self, refuse: bool) {
        self.set(|state| state.fail_renames = refuse);
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut lock(&self.state));
        self.changed.notify_all();
    }

    fn syncs(&self) -> usize {
        lock(&self.state).syncs.len()
    }

    /// Waits until a sync is held.
    fn until_held(&self) {
        let mut state = lock(&self.state);
        while state.waiting == 0 {
            state = self.changed.wait(state).unwrap();
        }
    }
}

fn until_healthy(journal: &Journal) {
    while journal.health().is_err() {
        thread::yield_now();
    }
}

#[test]
fn what_arrives_during_a_sync_is_one_group() {
    let temp = tempfile::tempdir().unwrap();
    let disk = Faulty::default();
    let journal = disk.open(temp.path(), options());
    let before = disk.syncs();
    disk.set(|state| state.held = true);
    let (tell, told) = mpsc::channel();
    let append = |journal: &Journal| {
        let tell = tell.clone();
        journal.append(entry(
            b"some",
            true,
            Box::new(move |r| tell.send(r).unwrap()),
        ));
    };
    append(&journal);
    disk.until_held();
    thread::scope(|scope| {
        for _ in 0..8 {
            let journal = journal.clone();
            scope.spawn(move || (0..50).for_each(|_| append(&journal)));
        }
    });
    assert!(told.try_recv().is_err(), "nothing is synced yet");
    disk.set(|state| state.held = false);
    for _ in 0..401 {
        told.recv().unwrap().unwrap();
    }
    assert_eq!(disk.syncs() - before, 2);
    journal.close();
    let (journal, recovery) = open(temp.path(), options());
    assert_eq!(recovery.last_sequence, 401);
    assert_eq!(payloads(&journal).len(), 401);
}

#[test]
fn many_threads_that_each_wait_lose_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let disk = Faulty::default();
    let journal = disk.open(temp.path(), options());
    thread::scope(|scope| {
        for thread in 0..16_u8 {
            let journal = journal.clone();
            scope.spawn(move || {
                for index in 0..25_u8 {
                    let appended = put(&journal, &[thread, index]).unwrap();
                    let record = journal.read(appended.position).unwrap();
                    assert_eq!(record.payload, [thread, index]);
                }
            });
        }
    });
    drop(journal);
    let (journal, _) = open(temp.path(), options());
    let mut all = payloads(&journal);
    all.sort();
    let expected: Vec<_> = (0..16)
        .flat_map(|t| (0..25).map(move |i| vec![t, i]))
        .collect();
    assert_eq!(all, expected);
}

#[test]
fn a_failed_sync_fails_its_group_and_is_never_tried_again() {
    let temp = tempfile::tempdir().unwrap();
    let disk = Faulty::default();
    let journal = disk.open(temp.path(), options());
    let first = put(&journal, b"first").unwrap();
    disk.set(|state| state.fail_syncs = 1);
    let error = put(&journal, b"lost").unwrap_err();
    assert!(
        matches!(error, JournalError::Io { doing: "sync", .. }),
        "{error}"
    );
    journal.health().unwrap();
    let second = put(&journal, b"second").unwrap();
    assert_eq!((second.position.segment, second.sequence), (2, 3));
    assert_eq!(journal.read(first.position).unwrap().payload, b"first");
    assert_eq!(payloads(&journal), [b"first".as_slice(), b"second"]);
    let after_failure: Vec<_> = lock(&disk.state)
        .syncs
        .iter()
        .skip_while(|(_, well)| *well)
        .skip(1)
        .map(|(path, _)| path.clone())
        .collect();
    assert_eq!(after_failure, vec![path_of(temp.path(), 2); 2]);
    drop(journal);
    let (journal, recovery) = open(temp.path(), options());
    assert_eq!(
        recovery.torn_bytes,
        30 + 4,
        "the failed record is told apart"
    );
    assert_eq!(recovery.quarantined.len(), 0);
    assert_eq!(payloads(&journal), [b"first".as_slice(), b"second"]);
}

#[test]
fn a_full_disk_stops_it_and_room_heals_it() {
    let temp = tempfile::tempdir().unwrap();
    let disk = Faulty::default();
    let journal = disk.open(temp.path(), options());
    put(&journal, b"kept").unwrap();
    for room in [0, 1, 20, 40, 58] {
        disk.set(|state| state.room = Some(room));
        let error = put(&journal, &[9; 100]).unwrap_err();
        let full = matches!(&error, JournalError::Io { source, .. }
            if source.kind() == io::ErrorKind::StorageFull);
        assert!(full, "room {room}: {error:?}");
        assert!(
            matches!(journal.health(), Err(JournalError::Stopped(_))),
            "room {room}"
        );
        assert!(put(&journal, b"still full").is_err(), "room {room}");
        assert_eq!(payloads(&journal)[0], b"kept", "room {room}");
        disk.set(|state| state.room = None);
        until_healthy(&journal);
        put(&journal, &[room as u8]).unwrap();
    }
    drop(journal);
    let (journal, recovery) = open(temp.path(), options());
    assert_eq!(recovery.quarantined.len(), 0);
    let expected: [&[u8]; 6] = [b"kept", &[0], &[1], &[20], &[40], &[58]];
    assert_eq!(payloads(&journal), expected);
}

#[test]
fn a_life_that_ends_on_a_full_disk_leaves_a_torn_tail() {
    for room in 0..130 {
        let temp = tempfile::tempdir().unwrap();
        let disk = Faulty::default();
        let journal = disk.open(temp.path(), options());
        put(&journal, b"kept").unwrap();
        disk.set(|state| state.room = Some(room));
        let written = put(&journal, &[9; 100]).is_ok();
        assert_eq!(written, room >= 130, "room {room}");
        drop(journal);
        let (journal, recovery) = open(temp.path(), options());
        assert_eq!(recovery.quarantined.len(), 0, "room {room}");
        assert_eq!(payloads(&journal), [b"kept"], "room {room}");
    }
}

#[test]
fn a_disk_that_syncs_nothing_any_more_stops_it_until_it_does() {
    let temp = tempfile::tempdir().unwrap();
    let disk = Faulty::default();
    let journal = disk.open(temp.path(), options());
    put(&journal, b"first").unwrap();
    disk.set(|state| state.fail_syncs = usize::MAX);
    assert!(put(&journal, b"lost").is_err());
    let JournalError::Stopped(why) = journal.health().unwrap_err() else {
        panic!("another error");
    };
    assert!(why.contains("os error 5"), "{why}");
    assert!(put(&journal, b"lost").is_err());
    disk.set(|state| state.fail_syncs = 0);
    until_healthy(&journal);
    put(&journal, b"second").unwrap();
    drop(journal);
    let (journal, _) = open(temp.path(), options());
    assert_eq!(payloads(&journal), [b"first".as_slice(), b"second"]);
}

#[test]
fn records_that_nobody_waits_for_are_synced_by_themselves() {
    let temp = tempfile::tempdir().unwrap();
    let disk = Faulty::default();
    let journal = disk.open(temp.path(), options());
    let (tell, told) = mpsc::channel();
    journal.append(entry(
        b"lazy",
        false,
        Box::new(move |r| tell.send(r).unwrap()),
    ));
    let appended = told.recv().unwrap().unwrap();
    assert_eq!(journal.read(appended.position).unwrap().payload, b"lazy");
    assert_eq!(disk.syncs(), 2, "of the new segment and of the record");
}

#[test]
fn an_urgent_record_takes_the_lazy_ones_before_it_along() {
    let temp = tempfile::tempdir().unwrap();
    let disk = Faulty::default();
    let never = Options {
        lazy_sync: Duration::from_secs(3600),
        ..options()
    };
    let journal = disk.open(temp.path(), never.clone());
    let (tell, told) = mpsc::channel();
    for index in 0..10 {
        let tell = tell.clone();
        journal.append(entry(
            b"lazy",
            false,
            Box::new(move |r| {
                tell.send((index, r.is_ok())).unwrap();
            }),
        ));
    }
    put(&journal, b"urgent").unwrap();
    let order: Vec<_> = told.try_iter().collect();
    assert_eq!(
        order,
        (0..10).map(|index| (index, true)).collect::<Vec<_>>()
    );
    assert_eq!(disk.syncs(), 2);

    // a failure takes them along, too, and closing syncs them
    disk.set(|state| state.fail_syncs = 1);
    let (tell, told) = mpsc::channel();
    for _ in 0..2 {
        let tell = tell.clone();
        journal.append(entry(
            b"lazy",
            false,
            Box::new(move |r| tell.send(r.is_ok()).unwrap()),
        ));
        let _ = put(&journal, b"urgent");
    }
    let tell = tell.clone();
    journal.append(entry(
        b"lazy",
        false,
        Box::new(move |r| tell.send(r.is_ok()).unwrap()),
    ));
    journal.close();
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [false, true, true]);
}

#[test]
fn beyond_its_bound_it_is_busy_at_once() {
    let temp = tempfile::tempdir().unwrap();
    let disk = Faulty::default();
    let few = Options {
        waiting: 3,
        ..options()
    };
    let journal = disk.open(temp.path(), few);
    disk.set(|state| state.held = true);
    let (well, ill) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let append = || {
        let (well, ill) = (Arc::clone(&well), Arc::clone(&ill));
        journal.append(entry(
            b"some",
            true,
            Box::new(move |result| match result {
                Ok(_) => _ = well.fetch_add(1, Ordering::SeqCst),
                Err(JournalError::Busy) => _ = ill.fetch_add(1, Ordering::SeqCst),
                Err(error) => panic!("{error}"),
            }),
        ));
    };
    append();
    disk.until_held();
    (0..5).for_each(|_| append());
    assert_eq!(
        (well.load(Ordering::SeqCst), ill.load(Ordering::SeqCst)),
        (0, 2)
    );
    disk.set(|state| state.held = false);
    journal.close();
    assert_eq!(
        (well.load(Ordering::SeqCst), ill.load(Ordering::SeqCst)),
        (4, 2)
    );
}
