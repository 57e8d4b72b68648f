//! The end of one life of the store and the beginning of the next.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::super::super::{copy_folder, open};
use super::super::Index;
use super::World;
use crate::delivery::State;
use crate::store::care::{Folder, IndexState, verify};
use crate::store::contract::everything;
use crate::store::{DeliveryFilter, Store};

impl World {
    /// Ends this life in good order and begins the next, which gives the same answers.
    pub(super) async fn restart(&mut self, index: Index) {
        let before = everything(&*self.store).await;
        self.store.close().await;
        let folder = Folder::open(&self.options.path).unwrap();
        let report = verify(&folder, true).unwrap();
        drop(folder);
        // an index that was never written to is empty
        let is_damaged = matches!(report.index, IndexState::Damaged);
        assert!(report.sound && !is_damaged, "{report:#?}");
        assert_eq!(report.unfinished, None);
        self.model.synced();
        let path = self.options.path.clone();
        self.replace_index(&path, index);
        if !matches!(index, Index::Older | Index::OlderUnnoted) {
            let kept = self.folder.path().join("older");
            let _ = std::fs::remove_dir_all(&kept);
            if path.join("index").exists() {
                copy_folder(&path.join("index"), &kept);
            }
        }
        self.begin().await;
        assert_eq!(everything(&*self.store).await, before);
        self.compare().await;
    }

    /// Goes on with what a process leaves that dies now.
    pub(super) async fn crash(&mut self, index: Index, cleaning: bool) {
        if cleaning {
            self.catch_up().await;
        }
        self.lives += 1;
        let from = self.options.path.clone();
        let to = self.folder.path().join(self.lives.to_string());
        let cleaner = Arc::clone(&self.store);
        let cleaned = cleaning.then(|| tokio::spawn(async move { cleaner.clean_once().await }));
        let copied = {
            let (from, to) = (from.clone(), to.clone());
            tokio::task::spawn_blocking(move || copy_store(&from, &to))
        };
        copied.await.unwrap();
        if let Some(cleaned) = cleaned {
            cleaned.await.unwrap().unwrap();
        }
        self.store.close().await;
        self.replace_index(&to, index);
        self.options.path = to;
        self.begin().await;
        std::fs::remove_dir_all(from).unwrap();

        let all = DeliveryFilter::default();
        let found = self.store.deliveries(&all, None, usize::MAX).await;
        let found = found.unwrap().into_iter().map(|it| (it.id, it));
        let found: BTreeMap<_, _> = found.collect();
        if cleaning {
            let now = self.now();
            for id in self.old_and_dead() {
                let state = found.get(&id).map(|it| &it.state);
                if state.is_none_or(|state| *state == State::Discarded { at: now }) {
                    self.model.let_go(id, now);
                }
            }
            self.forget().await;
        }
        self.model.restarted(&found);
        self.nothing_purged_is_on_disk();
        self.compare().await;
    }

    /// Opens what is in the folder.
    async fn begin(&mut self) {
        self.store = Arc::new(open(&self.options, &self.clock).await);
        self.store.pause_fold(self.is_paused);
        self.leases.clear();
        self.model.claimed.clear();
        self.asleep.clear();
    }

    fn replace_index(&self, store: &Path, index: Index) {
        let kept = self.folder.path().join("older");
        let at = store.join("index");
        match index {
            Index::Same => {}
            Index::Removed => {
                let _ = std::fs::remove_dir_all(at);
            }
            Index::Older | Index::OlderUnnoted => {
                if kept.exists() {
                    let _ = std::fs::remove_dir_all(&at);
                    copy_folder(&kept, &at);
                }
                if matches!(index, Index::OlderUnnoted) {
                    let _ = std::fs::remove_file(store.join("index.position"));
                }
            }
        }
    }
}

/// Copies what a process that dies now leaves: the index and what is noted of it may be older than the journal.
fn copy_store(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    let noted = from.join("index.position");
    if noted.exists() {
        std::fs::copy(noted, to.join("index.position")).unwrap();
    }
    copy_folder(&from.join("index"), &to.join("index"));
    copy_journal(&from.join("journal"), &to.join("journal"));
}

/// Copies segments in order, so that what is carried meanwhile is in one that is copied later.
fn copy_journal(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    let mut copied = BTreeSet::new();
    loop {
        let entries = std::fs::read_dir(from).unwrap();
        let names: BTreeSet<_> = entries.map(|it| it.unwrap().file_name()).collect();
        let new: Vec<_> = names.difference(&copied).cloned().collect();
        if new.is_empty() {
            return;
        }
        for name in new {
            // it may have been removed meanwhile
            let _ = std::fs::copy(from.join(&name), to.join(&name));
            copied.insert(name);
        }
    }
}
