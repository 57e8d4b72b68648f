//! Rows packed into chunks: what sled holds. A row costs sled the copy of a page and an entry in its table, however
//! small the row is; a chunk of dozens costs the same.
//!
//! Invariants:
//! * A chunk holds rows of one kind (the first byte of their keys), sorted, each key once.
//! * The key of a chunk is not above its rows' and is above all rows' of the chunk before it. So a row stands in the chunk
//!   with the greatest key that is not above its own. A row for which there is none begins a chunk that has the kind alone as
//!   its key.
//! * A chunk holds a row at least: it goes with its last one.
//! * A chunk that holds more than one row is no longer than [`CHUNK_BYTES`].
//!
//! A batch of sled is seen as a whole, so that a chunk that is split is never seen by halves. Walks look each chunk up by
//! the last row that they gave, and so neither miss nor repeat a row that was there all the time.
//! Not here: what rows say (see `rows`), how they change (see `stage`).

use sled::{Db, IVec};

use super::IndexError;
use super::rows;

/// Bytes of a chunk; more rows are split. A longer row stands alone.
pub const CHUNK_BYTES: usize = 2000;

/// Bytes that a row takes in its chunk besides key and value.
const ROW_EXTRA: usize = 4;

/// A row: its key and its value.
pub type Row = (Vec<u8>, Vec<u8>);

/// Whether a key of sled's is that of a chunk.
pub fn is_chunk(key: &[u8]) -> bool {
    key != rows::META
}

/// The chunk in which the row of this key stands if there is one.
pub fn chunk_of(db: &Db, key: &[u8]) -> Result<Option<(IVec, IVec)>, IndexError> {
    let mut above = Vec::with_capacity(key.len().saturating_add(1));
    above.extend_from_slice(key);
    above.push(0);
    let found = db.get_lt(above)?;
    Ok(found.filter(|(first, _)| is_chunk(first) && first.first() == key.first()))
}

/// The key of the next chunk of the same kind.
pub fn next_chunk(db: &Db, key: &[u8]) -> Result<Option<(IVec, IVec)>, IndexError> {
    let found = db.get_gt(key)?;
    Ok(found.filter(|(next, _)| is_chunk(next) && next.first() == key.first()))
}

/// The value of a row.
pub fn get(db: &Db, key: &[u8]) -> Result<Option<IVec>, IndexError> {
    let Some((_, chunk)) = chunk_of(db, key)? else {
        return Ok(None);
    };
    let mut rows = Rows::of(&chunk);
    while let Some((at, len)) = rows.advance()? {
        if rows.key.as_slice() >= key {
            return Ok((rows.key == key).then(|| chunk.subslice(at, len)));
        }
    }
    Ok(None)
}

/// All rows of a chunk.
pub fn unpack(chunk: &[u8]) -> Result<Vec<Row>, IndexError> {
    let mut rows = Rows::of(chunk);
    let mut all = Vec::new();
    while let Some((at, len)) = rows.advance()? {
        let value = chunk.get(at..at.saturating_add(len)).unwrap_or_default();
        all.push((rows.key.clone(), value.to_vec()));
    }
    Ok(all)
}

/// Packs the rows of one chunk, which has this key, into as many as they need; gives keys and chunks. Rows that were
/// appended fill their chunks; others leave room for more.
pub fn pack(key: &[u8], rows: &Unpacked, appended: bool) -> Vec<Row> {
    let size = |(key, value): (&[u8], &[u8])| key.len() + value.len() + ROW_EXTRA;
    let whole: usize = rows.iter().map(size).sum();
    let most = if appended || whole <= CHUNK_BYTES {
        CHUNK_BYTES
    } else {
        // equal parts, none of them full
        let parts = whole.div_ceil(CHUNK_BYTES / 4 * 3).max(2);
        whole.div_ceil(parts)
    };
    let mut packed: Vec<Row> = Vec::new();
    let mut last: &[u8] = &[];
    let mut used = 0;
    for row in rows.iter() {
        let begins = packed.is_empty() || used + size(row) > most;
        if begins {
            let first = if packed.is_empty() { key } else { row.0 };
            packed.push((first.to_vec(), Vec::with_capacity(most.min(whole))));
            last = &[];
            used = 0;
        }
        used += size(row);
        if let Some((_, chunk)) = packed.last_mut() {
            write(chunk, last, row);
        }
        last = row.0;
    }
    packed
}

/// A row in its chunk: bytes that its key shares with the one before it, bytes of its key that follow, bytes
/// of its value, and those.
fn write(chunk: &mut Vec<u8>, last: &[u8], (key, value): (&[u8], &[u8])) {
    let same = last.iter().zip(key).take_while(|(a, b)| a == b).count();
    let shared = u8::try_from(same).unwrap_or(u8::MAX);
    let rest = key.get(usize::from(shared)..).unwrap_or_default();
    // keys and values are far shorter; see the test of the largest rows
    let rest_len = u8::try_from(rest.len()).unwrap_or(u8::MAX);
    let value_len = u16::try_from(value.len()).unwrap_or(u16::MAX);
    chunk.extend_from_slice(&[shared, rest_len]);
    chunk.extend_from_slice(&value_len.to_le_bytes());
    chunk.extend_from_slice(rest);
    chunk.extend_from_slice(value);
}

/// Rows in order, of which there may be any number; all their bytes stand in one place.
#[derive(Debug, Default)]
pub struct Unpacked {
    bytes: Vec<u8>,
    rows: Vec<Slot>,
}

/// Where key and value of a row stand.
#[derive(Debug, Clone, Copy)]
struct Slot {
    key_at: usize,
    key_len: usize,
    value_at: usize,
    value_len: usize,
}

impl Unpacked {
    /// The rows of a chunk.
    pub fn of(chunk: &[u8]) -> Result<Self, IndexError> {
        let mut all = Self {
            bytes: Vec::with_capacity(chunk.len().saturating_mul(2)),
            rows: Vec::new(),
        };
        let mut rows = Rows::of(chunk);
        while let Some((at, len)) = rows.advance()? {
            let value = chunk.get(at..at.saturating_add(len)).unwrap_or_default();
            let slot = all.add(&rows.key, value);
            all.rows.push(slot);
        }
        Ok(all)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// A row: its key and its value.
    pub fn get(&self, at: usize) -> Option<(&[u8], &[u8])> {
        self.rows.get(at).map(|slot| self.at(*slot))
    }

    /// All rows, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.rows.iter().map(|slot| self.at(*slot))
    }

    /// Where the row of a key is, or belongs.
    pub fn find(&self, key: &[u8]) -> Result<usize, usize> {
        match self.rows.last() {
            Some(last) if self.at(*last).0 < key => Err(self.rows.len()),
            _ => self.rows.binary_search_by(|slot| self.at(*slot).0.cmp(key)),
        }
    }

    /// Puts a row where [`Self::find`] says that it belongs.
    pub fn insert(&mut self, at: usize, key: &[u8], value: &[u8]) {
        let slot = self.add(key, value);
        self.rows.insert(at, slot);
    }

    /// Gives a row another value.
    pub fn set(&mut self, at: usize, value: &[u8]) {
        let value_at = self.bytes.len();
        if let Some(slot) = self.rows.get_mut(at) {
            if value.len() <= slot.value_len {
                let end = slot.value_at + value.len();
                if let Some(room) = self.bytes.get_mut(slot.value_at..end) {
                    room.copy_from_slice(value);
                }
            } else {
                slot.value_at = value_at;
                self.bytes.extend_from_slice(value);
            }
            slot.value_len = value.len();
        }
    }

    /// Takes a row out.
    pub fn remove(&mut self, at: usize) {
        self.rows.remove(at);
    }

    fn add(&mut self, key: &[u8], value: &[u8]) -> Slot {
        let key_at = self.bytes.len();
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
        Slot {
            key_at,
            key_len: key.len(),
            value_at: key_at + key.len(),
            value_len: value.len(),
        }
    }

    fn at(&self, slot: Slot) -> (&[u8], &[u8]) {
        let part = |at: usize, len: usize| self.bytes.get(at..at + len).unwrap_or_default();
        (
            part(slot.key_at, slot.key_len),
            part(slot.value_at, slot.value_len),
        )
    }
}

/// The rows of a chunk, one by one.
struct Rows<'a> {
    chunk: &'a [u8],
    at: usize,
    key: Vec<u8>,
}

impl<'a> Rows<'a> {
    fn of(chunk: &'a [u8]) -> Self {
        Self {
            chunk,
            at: 0,
            key: Vec::with_capacity(64),
        }
    }

    /// Reads the next row: its key stands in `key` then; gives where its value is.
    fn advance(&mut self) -> Result<Option<(usize, usize)>, IndexError> {
        let rest = self.chunk.get(self.at..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(None);
        }
        let [shared, rest_len, low, high, rest @ ..] = rest else {
            return Err(IndexError::Chunk);
        };
        let (shared, rest_len) = (usize::from(*shared), usize::from(*rest_len));
        let value_len = usize::from(u16::from_le_bytes([*low, *high]));
        let key = rest.get(..rest_len).ok_or(IndexError::Chunk)?;
        let value_at = self.at + ROW_EXTRA + rest_len;
        let end = value_at + value_len;
        if shared > self.key.len() || end > self.chunk.len() {
            return Err(IndexError::Chunk);
        }
        self.key.truncate(shared);
        self.key.extend_from_slice(key);
        self.at = end;
        Ok(Some((value_at, value_len)))
    }
}

/// Rows in ascending order, from a key on, to the end of its kind.
pub fn ascend(db: &Db, from: Vec<u8>) -> Walk {
    Walk::new(db, from, Way::Up { chunk: None })
}

/// Rows of one kind in descending order, below a key.
pub fn descend(db: &Db, kind: u8, before: Vec<u8>) -> Walk {
    Walk::new(db, before, Way::Down { kind })
}

/// Rows one after another; see [`ascend`] and [`descend`].
pub struct Walk {
    db: Db,
    /// The last row that was given, or where to begin.
    at: Vec<u8>,
    /// Whether `at` was given.
    given: bool,
    way: Way,
    /// Rows that were read, the next one first.
    rows: std::vec::IntoIter<Row>,
    ended: bool,
}

enum Way {
    Up {
        /// The key of the chunk that was read last.
        chunk: Option<IVec>,
    },
    Down {
        kind: u8,
    },
}

impl Walk {
    fn new(db: &Db, at: Vec<u8>, way: Way) -> Self {
        Self {
            db: db.clone(),
            at,
            given: false,
            way,
            rows: Vec::new().into_iter(),
            ended: false,
        }
    }

    /// Reads on; whether there was more.
    fn load(&mut self) -> Result<bool, IndexError> {
        let read = match &self.way {
            Way::Up { chunk } => self.load_up(chunk.as_ref())?,
            Way::Down { kind } => self.load_down(*kind)?,
        };
        let Some((key, rows)) = read else {
            return Ok(false);
        };
        if let Way::Up { chunk } = &mut self.way {
            *chunk = Some(key);
        }
        self.rows = rows.into_iter();
        Ok(true)
    }

    fn load_up(&self, last: Option<&IVec>) -> Result<Option<(IVec, Vec<Row>)>, IndexError> {
        let found = match last {
            Some(last) => next_chunk(&self.db, last)?,
            None => match chunk_of(&self.db, &self.at)? {
                Some(found) => Some(found),
                None => next_chunk(&self.db, &self.at)?,
            },
        };
        let Some((key, chunk)) = found else {
            return Ok(None);
        };
        let mut rows = unpack(&chunk)?;
        let passed = |row: &Row| row.0 < self.at || self.given && row.0 == self.at;
        rows.drain(..rows.partition_point(passed));
        Ok(Some((key, rows)))
    }

    fn load_down(&self, kind: u8) -> Result<Option<(IVec, Vec<Row>)>, IndexError> {
        let mut above = IVec::from(self.at.as_slice());
        loop {
            let found = self.db.get_lt(&above)?;
            let Some((key, chunk)) = found.filter(|(key, _)| key.first() == Some(&kind)) else {
                return Ok(None);
            };
            let mut rows = unpack(&chunk)?;
            rows.truncate(rows.partition_point(|row| row.0 < self.at));
            if !rows.is_empty() {
                rows.reverse();
                return Ok(Some((key, rows)));
            }
            above = key;
        }
    }
}

impl Iterator for Walk {
    type Item = Result<Row, IndexError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            if let Some(row) = self.rows.next() {
                self.at.clone_from(&row.0);
                self.given = true;
                return Some(Ok(row));
            }
            match self.load() {
                Ok(more) => self.ended = !more,
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}
