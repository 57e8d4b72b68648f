//! The local store against the contract, and what only it promises: rebuild, cleaning, bounds, crashes.

mod alive;
mod bounds;
mod cleaning;
mod damage;
mod disk;
mod index_lost;
mod kept;
mod purge;
mod random;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use proptest::test_runner::Config as ProptestConfig;

use super::contract::{Bench, contract};
use super::{Health, LocalStore, Store, StoreOptions};
use crate::clock::ManualClock;
use crate::metrics::Metrics;

/// Options for a store in this folder: small bounds, and nothing runs by itself.
pub fn options(path: &Path) -> StoreOptions {
    StoreOptions {
        path: path.to_owned(),
        min_free_bytes: 0,
        cache_bytes: 8 << 20,
        segment_bytes: 16 << 10,
        lazy_sync: std::time::Duration::from_millis(5),
        window: 8,
        window_bytes: 1 << 20,
        clean_every: None,
        open_patience: std::time::Duration::from_secs(20),
        ..StoreOptions::default()
    }
}

pub async fn open(options: &StoreOptions, clock: &Arc<ManualClock>) -> LocalStore {
    let clock = Arc::clone(clock);
    let store = LocalStore::open(options, clock, Arc::new(Metrics::new())).unwrap();
    assert_eq!(store.opened().await, Health::Ready);
    store
}

struct LocalBench {
    folder: tempfile::TempDir,
    paused: bool,
    last: Mutex<Option<Arc<LocalStore>>>,
}

#[async_trait]
impl Bench for LocalBench {
    async fn open(&self, clock: Arc<ManualClock>) -> Arc<dyn Store> {
        let last = self.last.lock().unwrap().take();
        if let Some(last) = last {
            last.close().await;
        }
        let path: PathBuf = self.folder.path().join("store");
        let store = Arc::new(open(&options(&path), &clock).await);
        store.pause_fold(self.paused);
        *self.last.lock().unwrap() = Some(Arc::clone(&store));
        store
    }
}

fn bench(paused: bool) -> Box<dyn Bench> {
    Box::new(LocalBench {
        folder: tempfile::tempdir().unwrap(),
        paused,
        last: Mutex::new(None),
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_local_store_keeps_the_contract() {
    contract(|| bench(false)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_local_store_keeps_the_contract_with_the_fold_paused() {
    contract(|| bench(true)).await;
}

/// So many cases of a property, unless `PROPTEST_CASES` says otherwise.
pub fn cases(cases: u32) -> ProptestConfig {
    let config = ProptestConfig {
        max_shrink_iters: 2000,
        ..ProptestConfig::default()
    };
    if std::env::var_os("PROPTEST_CASES").is_some() {
        return config;
    }
    ProptestConfig { cases, ..config }
}

pub fn clock() -> Arc<ManualClock> {
    let start = jiff::Timestamp::from_millisecond(1_700_000_000_000).unwrap();
    Arc::new(ManualClock::new(start))
}

pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        // files may go while a store is open
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            let _ = std::fs::copy(entry.path(), target);
        }
    }
}

/// A store that is closed is found to be sound, its index included.
pub fn assert_sound(path: &Path) {
    let report = super::care::verify(&super::care::Folder::open(path).unwrap(), true).unwrap();
    assert!(report.sound, "{report:#?}");
    assert!(
        matches!(report.index, super::care::IndexState::Sound { .. }),
        "{report:#?}"
    );
    assert_eq!(report.unfinished, None);
}

/// Names in the store's folder that were kept aside.
pub fn kept_aside(store: &Path) -> usize {
    let entries = std::fs::read_dir(store).unwrap();
    let names = entries.map(|it| it.unwrap().file_name().into_string().unwrap());
    names.filter(|it| it.starts_with("index.aside-")).count()
}
