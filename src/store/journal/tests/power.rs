//! Power cuts at any call, life after life: what was said to be on disk is there.

use super::super::power::Plug;
use super::*;

/// Stores that are tried.
const STORES: u64 = 60;

/// Lives of each, all ended by a cut.
const LIVES: usize = 5;

/// One life: three threads append until nothing is taken any more, into segments that are made of zeros beforehand from so
/// many bytes on. Gives what was said to be on disk, in order.
fn live(
    plug: Plug,
    folder: &Path,
    life: usize,
    spare_after: u64,
    rng: &mut fastrand::Rng,
) -> Vec<Vec<u8>> {
    let small = Options {
        segment_bytes: 2000,
        group_bytes: 1500,
        waiting: 100,
        waiting_bytes: 64 << 20,
        lazy_sync: Duration::from_micros(200),
        begin_after: 0,
        spare_after,
        most_bytes: u64::MAX,
        keep_free: 0,
    };
    let reopen = Duration::from_millis(1);
    let metrics = Arc::new(Metrics::new());
    let Ok((journal, _)) = Journal::open_on(Arc::new(plug), reopen, folder, small, metrics) else {
        return Vec::new();
    };
    let kept = Arc::new(Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for writer in 0..3_u64 {
            let (journal, kept) = (journal.clone(), Arc::clone(&kept));
            let mut rng = rng.fork();
            scope.spawn(move || {
                for number in 0..200_u64 {
                    let mut payload = format!("{life} {writer} {number} ").into_bytes();
                    payload.resize(payload.len() + rng.usize(0..400), b'x');
                    let (tell, told) = mpsc::channel();
                    let (kept, copy) = (Arc::clone(&kept), payload.clone());
                    let done = Box::new(move |result: Result<Appended, JournalError>| {
                        let stored = result.is_ok();
                        if stored {
                            lock(&kept).push(copy);
                        }
                        // nobody waits for what is not urgent
                        let _ = tell.send(stored);
                    });
                    let urgent = rng.bool();
                    journal.append(entry(&payload, urgent, done));
                    if urgent && !told.recv().unwrap() {
                        return;
                    }
                }
            });
        }
    });
    journal.close();
    std::mem::take(&mut *lock(&kept))
}

#[test]
fn what_was_said_to_be_on_disk_survives_every_power_cut() {
    let mut total = 0;
    for seed in 0..STORES {
        let temp = tempfile::tempdir().unwrap();
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut store = temp.path().join("0");
        std::fs::create_dir(&store).unwrap();
        let mut kept: Vec<Vec<u8>> = Vec::new();
        let spare_after = if seed % 4 < 2 { 200 } else { u64::MAX };
        let by_sectors = seed % 2 == 0;
        for life in 0..LIVES {
            let next = temp.path().join((life + 1).to_string());
            let calls = rng.usize(0..if life % 2 == 0 { 15 } else { 150 });
            let mut plug = Plug::new(&store, &next, Some(calls), rng.u64(..));
            if by_sectors {
                plug = plug.by_sectors();
            }
            let folder = store.join("journal");
            kept.extend(live(plug.clone(), &folder, life, spare_after, &mut rng));
            plug.cut();
            store = next;

            let looked_at = temp.path().join("look");
            crate::store::tests::copy_folder(&store, &looked_at);
            let (journal, recovery) = open(&looked_at.join("journal"), options());
            let alarms = recovery.quarantined;
            assert!(
                !by_sectors || alarms.is_empty(),
                "store {seed}, life {life}: lost power is taken for damage: {alarms:?}"
            );
            let found = payloads(&journal);
            let mut rest = found.iter();
            for payload in &kept {
                let name = String::from_utf8_lossy(&payload[..payload.len().min(12)]);
                assert!(
                    rest.any(|found| found == payload),
                    "store {seed}, life {life}: {name} is missing, or not in its order"
                );
            }
            drop(journal);
            std::fs::remove_dir_all(&looked_at).unwrap();
        }
        total += kept.len();
    }
    assert!(total > 3000, "hardly anything was stored: {total}");
}
