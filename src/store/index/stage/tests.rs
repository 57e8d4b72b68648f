//! Rows in batches against a map: what is read, what stands in sled, what is noted of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use proptest::sample::Index as Chosen;

use super::super::packed;
use super::packed::Row;
use super::*;
use crate::store::tests::cases;

/// What a batch does to one row.
#[derive(Debug, Clone)]
enum Edit {
    Put(Vec<u8>, Vec<u8>),
    Remove(Vec<u8>),
}

impl Edit {
    fn key(&self) -> &[u8] {
        match self {
            Self::Put(key, _) | Self::Remove(key) => key,
        }
    }
}

/// Kinds of rows.
const KINDS: [u8; 4] = [rows::DELIVERY, rows::EVENT, rows::KEY, rows::LINE];

/// Keys that are met again and again, with much, little or nothing in common.
fn key() -> impl Strategy<Value = Vec<u8>> {
    let rest = prop_oneof![
        6 => (0..3usize, 0..50u8).prop_map(|(prefix, n)| {
            let mut rest = vec![b'p'; prefix * 30];
            rest.extend([n / 7, n % 7, n]);
            rest
        }),
        2 => prop::collection::vec(any::<u8>(), 1..40),
        1 => (0..6u8, 0..200usize).prop_map(|(n, len)| vec![n; len]),
    ];
    (prop::sample::select(&KINDS), rest).prop_map(|(kind, rest)| rows::key(kind, &[&rest]))
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    let len = prop_oneof![4 => 0..40usize, 3 => 40..300usize, 1 => 300..=2048usize];
    (len, any::<u8>()).prop_map(|(len, byte)| vec![byte; len])
}

fn batch() -> impl Strategy<Value = Vec<Edit>> {
    let put = || (key(), value()).prop_map(|(key, value)| Edit::Put(key, value));
    let edit = prop_oneof![3 => put(), 2 => key().prop_map(Edit::Remove)];
    // as deliveries come in: each one behind the last
    let ascending = (0..30u16, 1..60u16, value()).prop_map(|(from, count, value)| {
        let numbers = from * 100..from * 100 + count;
        let key = |n: u16| rows::key(rows::DELIVERY, &[b"up", &n.to_be_bytes()]);
        numbers
            .map(|n| Edit::Put(key(n), value.clone()))
            .collect::<Vec<_>>()
    });
    // as they go: a whole stretch of them
    let stretch = (prop::sample::select(&KINDS), any::<u8>()).prop_map(|(kind, prefix)| {
        let key = |n: u8| {
            rows::key(
                kind,
                &[
                    &vec![b'p'; usize::from(prefix % 3) * 30],
                    &[n / 7, n % 7, n],
                ],
            )
        };
        (0..50).map(|n| Edit::Remove(key(n))).collect()
    });
    prop_oneof![
        6 => prop::collection::vec(edit, 0..60),
        1 => ascending,
        1 => stretch,
    ]
}

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

fn open(folder: &std::path::Path) -> Index {
    Index::open(folder, 1 << 20).unwrap().0
}

/// What a value is stored as.
fn stored(value: &[u8]) -> Vec<u8> {
    postcard::to_stdvec(value).unwrap()
}

fn apply(stage: &mut Stage<'_>, edits: &[Edit], wanted: &mut Rows) -> Result<(), IndexError> {
    for edit in edits {
        match edit {
            Edit::Put(key, value) => {
                stage.put(key.clone(), value)?;
                wanted.insert(key.clone(), stored(value));
            }
            Edit::Remove(key) => {
                stage.remove(key.clone())?;
                wanted.remove(key);
            }
        }
        let key = edit.key();
        assert_eq!(stage.value(key)?, wanted.get(key).map(Vec::as_slice));
    }
    Ok(())
}

fn all<E: std::fmt::Debug>(rows: impl Iterator<Item = Result<Row, E>>) -> Vec<Row> {
    rows.map(|row| row.unwrap()).collect()
}

/// What is read is what the map holds, from this key on and before it.
fn assert_read(index: &Index, wanted: &Rows, bound: &[u8]) {
    let same_kind = |(key, _): &(&Vec<u8>, &Vec<u8>)| key.first() == bound.first();
    let owned = |(key, value): (&Vec<u8>, &Vec<u8>)| (key.clone(), value.clone());
    let found = packed::get(&index.db, bound).unwrap();
    assert_eq!(found.as_deref(), wanted.get(bound).map(Vec::as_slice));
    let found = all(packed::ascend(&index.db, bound.to_vec()));
    let behind = wanted.range(bound.to_vec()..).filter(same_kind);
    assert_eq!(found, behind.map(owned).collect::<Vec<_>>());
    let found = all(packed::descend(&index.db, bound[0], bound.to_vec()));
    let before = wanted.range(..bound.to_vec()).rev().filter(same_kind);
    assert_eq!(found, before.map(owned).collect::<Vec<_>>());
}

/// What stands in sled is as the header of `packed` says, and is these rows.
fn assert_packed(index: &Index, wanted: &Rows) {
    let mut found = Rows::new();
    let mut last: Option<Vec<u8>> = None;
    for chunk in index.db.iter() {
        let (at, chunk) = chunk.unwrap();
        if !packed::is_chunk(&at) {
            continue;
        }
        let before = last.filter(|last| last[0] == at[0]);
        assert!(before.is_none_or(|before| *before < *at), "{at:?}");
        let rows = packed::unpack(&chunk).unwrap();
        assert!(!rows.is_empty(), "{at:?} is empty");
        assert!(rows.is_sorted_by(|a, b| a.0 < b.0));
        assert!(*rows[0].0 >= *at, "{:?} is below {at:?}", rows[0].0);
        assert!(rows.iter().all(|(key, _)| key[0] == at[0]), "one kind");
        let is_long = chunk.len() > packed::CHUNK_BYTES;
        assert!(rows.len() == 1 || !is_long, "{} bytes", chunk.len());
        last = rows.last().map(|(key, _)| key.clone());
        found.extend(rows);
    }
    assert_eq!(found, *wanted);
    let meta = index.meta();
    let bytes: usize = wanted.iter().map(|(k, v)| k.len() + v.len()).sum();
    assert_eq!((meta.rows, meta.bytes), (wanted.len() as u64, bytes as u64));
    assert_eq!(index.verify(), Ok(()));
}

/// A bit that is changed behind its back is found; then it is as before.
fn assert_watched(index: &Index, chunk: &Chosen, bit: &Chosen) {
    let all = index.db.iter().map(|chunk| chunk.unwrap());
    let all: Vec<_> = all.filter(|(key, _)| packed::is_chunk(key)).collect();
    if all.is_empty() {
        return;
    }
    let (key, before) = chunk.get(&all);
    let mut changed = before.to_vec();
    let bit = bit.index(changed.len() * 8);
    changed[bit / 8] ^= 1 << (bit % 8);
    index.db.insert(key, changed).unwrap();
    assert!(index.verify().is_err(), "bit {bit} of {key:?}");
    index.db.remove(key).unwrap();
    assert!(index.verify().is_err(), "without {key:?}");
    index.db.insert(key, before).unwrap();
    assert_eq!(index.verify(), Ok(()));
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn rows_are_those_of_a_map(
        batches in prop::collection::vec((batch(), prop::bool::weighted(0.1)), 1..12),
        bounds in prop::collection::vec(key(), 3),
        chunk in any::<Chosen>(),
        bit in any::<Chosen>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut index = open(folder.path());
        let mut wanted = Rows::new();
        for (edits, fails) in batches {
            let mut rows = wanted.clone();
            let written = index.write(|stage| {
                apply(stage, &edits, &mut rows)?;
                if fails { Err(IndexError::Chunk) } else { Ok(()) }
            });
            prop_assert_eq!(written.is_err(), fails);
            if !fails {
                wanted = rows;
            }
            assert_packed(&index, &wanted);
            let ends = [edits.first(), edits.last()];
            let ends = ends.iter().flatten().map(|edit| edit.key());
            let kinds = KINDS.iter().flat_map(|kind| [vec![*kind], vec![*kind + 1]]);
            let bounds = bounds.iter().cloned().chain(kinds);
            for bound in bounds.chain(ends.map(<[u8]>::to_vec)) {
                assert_read(&index, &wanted, &bound);
            }
            assert_watched(&index, &chunk, &bit);
        }
        drop(index);
        index = open(folder.path());
        assert_packed(&index, &wanted);
    }
}

proptest! {
    #![proptest_config(cases(12))]

    /// Some rows stay as they are, others come and go.
    #[test]
    fn who_walks_while_batches_are_written_neither_misses_nor_repeats_a_row(
        staying in prop::collection::btree_map(key(), value(), 20..120),
        batches in prop::collection::vec(batch(), 5..15),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let index = open(folder.path());
        let mut wanted: Rows = staying;
        let first: Vec<_> = wanted.clone().into_iter().map(|(key, value)| Edit::Put(key, value)).collect();
        let staying: BTreeMap<_, _> = wanted.iter().map(|(key, value)| (key.clone(), stored(value))).collect();
        index.write(|stage| apply(stage, &first, &mut wanted)).unwrap();
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let walkers: Vec<_> = KINDS.map(|kind| scope.spawn({
                let (index, staying, is_over) = (&index, &staying, &is_over);
                move || walk(index, kind, staying, is_over)
            })).into();
            for edits in batches {
                let others: Vec<_> = edits.into_iter().filter(|edit| !staying.contains_key(edit.key())).collect();
                index.write(|stage| apply(stage, &others, &mut wanted)).unwrap();
            }
            is_over.store(true, Ordering::SeqCst);
            for walker in walkers {
                walker.join().unwrap();
            }
        });
        assert_packed(&index, &wanted);
    }
}

/// Walks up and down until it is over, and once more.
fn walk(index: &Index, kind: u8, staying: &Rows, is_over: &AtomicBool) {
    let mine = || staying.iter().filter(|(key, _)| key[0] == kind);
    let wanted: Vec<Row> = mine()
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    loop {
        let is_last = is_over.load(Ordering::SeqCst);
        let mut down = all(packed::descend(&index.db, kind, vec![kind + 1]));
        down.reverse();
        let up = all(packed::ascend(&index.db, vec![kind]));
        for mut rows in [up, down] {
            assert!(rows.is_sorted_by(|a, b| a.0 < b.0), "none comes twice");
            rows.retain(|(key, _)| staying.contains_key(key));
            assert_eq!(rows, wanted);
        }
        for (key, value) in &wanted {
            let found = packed::get(&index.db, key).unwrap();
            assert_eq!(found.as_deref(), Some(value.as_slice()));
        }
        if is_last {
            return;
        }
    }
}
