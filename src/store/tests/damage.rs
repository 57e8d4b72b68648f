//! Torn tails and flipped bits under the whole store: what is intact is there, what is not is set aside, and it goes on.
//!
//! The journal by itself has such tests, too (see `journal::tests::damage`).

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{Config as ProptestConfig, TestRunner};

use super::super::contract::{admission, everything, keyed, name};
use super::super::journal::Record;
use super::super::record::{Content, Operator};
use super::super::{AuditNote, Health, LocalStore, Novelty, Store};
use super::index_lost::history;
use super::{cases, clock, copy_folder, open, options};
use crate::clock::{Clock, ManualClock};
use crate::id::{AuditId, DeliveryId, EventId};
use crate::metrics::Metrics;

/// What can be read of one thing, errors included.
type Answers = BTreeMap<Thing, String>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Thing {
    Event(EventId),
    Delivery(DeliveryId),
    Audit(AuditId),
}

/// A store that was closed in good order, after two lives in which there was some of everything.
struct Base {
    folder: tempfile::TempDir,
    clock: Arc<ManualClock>,
    /// The records of the journal, and where they are.
    records: Vec<(PathBuf, Range<usize>, Record)>,
    answers: Answers,
    everything: String,
}

impl Base {
    async fn new() -> Self {
        let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
        let path = folder.path().join("store");
        let store = open(&options(&path), &clock).await;
        history(&store, &clock).await;
        store.close().await;
        drop(store);
        copy_folder(&path.join("index"), &folder.path().join("older"));
        let store = open(&options(&path), &clock).await;
        some_more(&store, &clock).await;
        let base = Self {
            records: records(&store, &path),
            answers: answers(&store).await,
            everything: everything(&store).await,
            folder,
            clock,
        };
        store.close().await;
        base
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// A copy that can be spoilt; its index is the same, an older one or none.
    fn copy(&self, index: u8) -> tempfile::TempDir {
        let copy = tempfile::tempdir().unwrap();
        copy_folder(&self.path(), copy.path());
        if index > 0 {
            fs::remove_dir_all(copy.path().join("index")).unwrap();
            fs::remove_file(copy.path().join("index.position")).unwrap();
        }
        if index > 1 {
            let older = self.folder.path().join("older");
            copy_folder(&older, &copy.path().join("index"));
        }
        copy
    }
}

/// What history has not: purged and discarded, held, and entries of the audit log.
async fn some_more(store: &LocalStore, clock: &ManualClock) {
    let events = store.events(None, 9).await.unwrap();
    store.purge(events[3].id).await.unwrap();
    for _ in 0..4 {
        let new = admission(clock.now(), &["crm", "erp"], "{}");
        let id = new.deliveries[1].id;
        store.admit(new).await.unwrap();
        store.discard(id).await.unwrap();
    }
    let claimed = store.claim(&name("crm"), 1).await.unwrap().taken;
    store.hold(claimed[0].lease).await.unwrap();
    let note = AuditNote {
        actor: "somebody".to_owned(),
        action: "reload".to_owned(),
        subject: String::new(),
        ok: true,
        detail: String::new(),
    };
    store.audit(note).await.unwrap();
}

fn records(store: &LocalStore, path: &Path) -> Vec<(PathBuf, Range<usize>, Record)> {
    let all = store.inner().journal.scan(None).map(|it| it.unwrap());
    let mut records: Vec<_> = all
        .map(|record| {
            let file = format!("{:020}.log", record.position.segment);
            let from = record.position.offset as usize;
            (path.join("journal").join(file), from..from, record)
        })
        .collect();
    let nexts: Vec<_> = records.iter().skip(1).cloned().map(Some).collect();
    for ((file, place, _), next) in records.iter_mut().zip(nexts.into_iter().chain([None])) {
        place.end = match next.filter(|(other, ..)| other == file) {
            Some((_, next, _)) => next.start,
            None => fs::metadata(&file).unwrap().len() as usize,
        };
    }
    records
}

async fn answers(store: &LocalStore) -> Answers {
    let mut all = Answers::new();
    for row in store.events(None, usize::MAX).await.unwrap() {
        let event = store.event(row.id).await;
        all.insert(Thing::Event(row.id), format!("{row:?} {event:?}"));
    }
    let filter = Default::default();
    for delivery in store.deliveries(&filter, None, usize::MAX).await.unwrap() {
        let attempts = store.attempts(delivery.id).await;
        let text = format!("{delivery:?} {attempts:?}");
        all.insert(Thing::Delivery(delivery.id), text);
    }
    for entry in store.audits(None, usize::MAX).await.unwrap() {
        all.insert(Thing::Audit(entry.id), format!("{entry:?}"));
    }
    all
}

/// What a record says something of.
fn things(record: &Record) -> Vec<Thing> {
    let delivery = |id: &[u8; 16]| Thing::Delivery(DeliveryId::from_bytes(*id));
    let event = |id: &[u8; 16]| Thing::Event(EventId::from_bytes(*id));
    match Content::decode(record).unwrap() {
        Content::Accepted(it) => {
            let deliveries = it.deliveries.iter().map(|one| delivery(&one.id));
            deliveries.chain([event(&it.event.id)]).collect()
        }
        Content::Attempted(it) => vec![delivery(&it.moved.delivery)],
        Content::Revived(it) => vec![delivery(&it.moved.delivery)],
        Content::Discarded(it) => vec![delivery(&it.delivery)],
        Content::Added(it) => {
            let deliveries = it.deliveries.iter().map(|one| delivery(&one.id));
            deliveries.chain([event(&it.event)]).collect()
        }
        Content::Carried(it) => {
            let deliveries = it.deliveries.iter();
            let deliveries = deliveries.map(|one| delivery(&one.delivery.id));
            deliveries.chain([event(&it.event.id)]).collect()
        }
        Content::Purged(it) => {
            let deliveries = it.remains.deliveries.iter();
            let deliveries = deliveries.map(|one| delivery(&one.delivery.id));
            deliveries.chain([event(&it.remains.event.id)]).collect()
        }
        Content::Operator(Operator::Scrubbed(id)) => vec![event(&id)],
        Content::Operator(Operator::Audit(it)) => vec![Thing::Audit(it.id())],
        Content::Operator(_) => Vec::new(),
    }
}

fn flip(path: &Path, bit: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[bit / 8] ^= 1 << (bit % 8);
    fs::write(path, bytes).unwrap();
}

/// It takes an event and gives it out.
async fn assert_works(store: &LocalStore, clock: &ManualClock, what: &str) {
    let new = admission(clock.now(), &["new"], "{}");
    let id = new.deliveries[0].id;
    let admitted = store.admit(new).await.unwrap();
    assert_eq!(admitted.novelty, Novelty::New, "{what}");
    let taken = store.claim(&name("new"), 9).await.unwrap().taken;
    assert_eq!(taken.len(), 1, "{what}");
    assert_eq!(taken[0].delivery.id, id, "{what}");
    store.discard(id).await.unwrap();
    for target in ["audit", "crm", "erp"] {
        store.claim(&name(target), 999).await.unwrap();
    }
}

/// Runs a property on copies of one store.
fn on_copies<T: std::fmt::Debug>(
    count: u32,
    strategy: impl Strategy<Value = T>,
    check: impl AsyncFn(&Base, T),
) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap();
    let base = runtime.block_on(Base::new());
    let mut runner = TestRunner::new(ProptestConfig {
        source_file: Some(file!()),
        ..cases(count)
    });
    let ran = runner.run(&strategy, |value| {
        runtime.block_on(check(&base, value));
        Ok(())
    });
    ran.unwrap_or_else(|error| panic!("{error}"));
}

/// The last record is that of a change, or that of an event, which is longer; so not each of its bytes is tried.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tail_torn_at_any_byte_of_the_last_record_loses_that_record_alone() {
    for (is_event, step) in [(false, 1), (true, 11)] {
        let base = Base::new().await;
        let clock = &base.clock;
        let store = open(&options(&base.path()), clock).await;
        let first = admission(clock.now(), &["erp"], "{}");
        let id = first.deliveries[0].id;
        store.admit(first).await.unwrap();
        let before = everything(&store).await;
        if is_event {
            let last = keyed(clock.now(), 250, 1);
            store.admit(last).await.unwrap();
        } else {
            store.discard(id).await.unwrap();
        }
        let (file, place, _) = records(&store, &base.path()).pop().unwrap();
        let after = everything(&store).await;
        store.close().await;
        drop(store);
        for cut in place.clone().step_by(step).chain([place.end]) {
            let what = format!("an event: {is_event}, cut to {cut} of {place:?}");
            let copy = base.copy((cut % 3) as u8);
            let path = copy.path().join("journal").join(file.file_name().unwrap());
            let file = fs::OpenOptions::new().write(true).open(path).unwrap();
            file.set_len(cut as u64).unwrap();
            let store = open(&options(copy.path()), clock).await;
            let is_whole = cut == place.end;
            let wanted = if is_whole { &after } else { &before };
            assert_eq!(everything(&store).await, *wanted, "{what}");
            assert!(!copy.path().join("quarantine").exists(), "{what}");
            if is_event {
                let again = store.admit(keyed(clock.now(), 250, 1)).await.unwrap();
                assert_eq!(again.novelty == Novelty::New, !is_whole, "{what}");
            }
            assert_works(&store, clock, &what).await;
        }
    }
}

#[test]
fn a_bit_flipped_in_the_journal_costs_what_one_record_says_and_is_reported() {
    let strategy = (any::<prop::sample::Index>(), 0..3u8);
    on_copies(24, strategy, async |base, (bit, index)| {
        let copy = base.copy(index);
        let mut files: Vec<_> = fs::read_dir(copy.path().join("journal"))
            .unwrap()
            .map(|it| it.unwrap().path())
            .collect();
        files.sort();
        let lens: Vec<_> = files
            .iter()
            .map(|it| it.metadata().unwrap().len() as usize)
            .collect();
        let mut bit = bit.index(lens.iter().sum::<usize>() * 8);
        let mut at = 0;
        while bit >= lens[at] * 8 {
            bit -= lens[at] * 8;
            at += 1;
        }
        let file = files[at].file_name();
        flip(&files[at], bit);
        let hit = base
            .records
            .iter()
            .find(|(path, place, _)| path.file_name() == file && place.contains(&(bit / 8)));
        let touched = hit.map_or_else(Vec::new, |(_, _, record)| things(record));
        let what = format!("bit {bit} of {file:?}, index {index}, {touched:?}");
        for life in 0..2 {
            let metrics = Arc::new(Metrics::new());
            let clock = Arc::clone(&base.clock);
            let store =
                LocalStore::open(&options(copy.path()), clock, Arc::clone(&metrics)).unwrap();
            assert_eq!(store.opened().await, Health::Ready, "{what}");
            let mut found = answers(&store).await;
            if life > 0 {
                found.retain(|thing, _| base.answers.contains_key(thing));
            }
            let mut wanted = base.answers.clone();
            for thing in &touched {
                wanted.remove(thing);
                found.remove(thing);
            }
            assert_eq!(found, wanted, "{what}");
            let is_torn =
                at + 1 == files.len() && hit.is_some_and(|(_, place, _)| place.end == lens[at]);
            let aside = fs::read_dir(copy.path().join("quarantine"));
            let kept: Vec<_> = aside.map_or_else(
                |_| Vec::new(),
                |all| all.map(|it| it.unwrap().path()).collect(),
            );
            assert_eq!(
                kept.len(),
                usize::from(!is_torn),
                "{what}, life {life}: {kept:?}"
            );
            let counted = metrics
                .encode()
                .contains("ingate_store_quarantined_total 1\n");
            assert_eq!(counted, !is_torn, "{what}");
            assert_works(&store, &base.clock, &what).await;
            store.close().await;
        }
    });
}

#[test]
fn a_bit_flipped_in_the_index_changes_no_answer() {
    let strategy = (any::<prop::sample::Index>(), prop::bool::weighted(0.8));
    on_copies(24, strategy, async |base, (at, is_used)| {
        let copy = base.copy(0);
        let mut files = vec![copy.path().join("index.position")];
        list(&copy.path().join("index"), &mut files);
        files.sort();
        let mut bits = Vec::new();
        for (file, path) in files.iter().enumerate() {
            let bytes = fs::read(path).unwrap();
            let used = bytes.iter().enumerate();
            let used = used.filter(|(_, byte)| !is_used || **byte != 0);
            bits.extend(used.map(|(byte, _)| (file, byte * 8)));
        }
        // which of the eight is as good as any
        let (file, bit) = *at.get(&bits);
        let bit = bit + at.index(8);
        flip(&files[file], bit);
        let what = format!("bit {bit} of {}", files[file].display());
        let store = open(&options(copy.path()), &base.clock).await;
        assert_eq!(everything(&store).await, base.everything, "{what}");
        assert_works(&store, &base.clock, &what).await;
    });
}

/// All files in a folder.
fn list(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            list(&path, files);
        } else {
            files.push(path);
        }
    }
}
