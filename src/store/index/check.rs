//! All rows of an index read, counted and hashed one by one, in parts.

use super::keys::Keys;
use super::rows::MetaRow;
use super::{IndexError, packed, rows, stage};

/// Bytes of rows that are read before sled is opened anew while all of them are checked. sled lets go of a page only when
/// others of its kind were read often enough, and leaves holes where it was: 300 MB of rows in one go leave 190 MB behind,
/// in parts at most 90 MB, and to open it anew takes less time than that costs.
const PART_BYTES: usize = 64 * 1024 * 1024;

/// The rows of an index as they are found, beside what was written.
pub(super) struct Check {
    wanted: MetaRow,
    found: MetaRow,
    /// From where on it was not read yet.
    from: Vec<u8>,
}

impl Check {
    pub(super) fn new(wanted: MetaRow) -> Result<Self, String> {
        if wanted.version != rows::VERSION {
            return Err(format!("it has version {}", wanted.version));
        }
        Ok(Self {
            wanted,
            found: MetaRow {
                rows: 0,
                fingerprint: 0,
                bytes: 0,
                ..wanted
            },
            from: Vec::new(),
        })
    }

    /// Reads on for [`PART_BYTES`], and says whether there is more.
    pub(super) fn read_part(&mut self, db: &sled::Db, keys: &Keys) -> Result<bool, IndexError> {
        let mut read = 0;
        for chunk in db.range(self.from.clone()..) {
            let (at, chunk) = chunk?;
            if packed::is_chunk(&at) {
                for (key, value) in packed::Unpacked::of(&chunk)?.iter() {
                    stage::count_row(&mut self.found, key, value, true);
                    if let Some((expires, key)) = rows::dedupe_parts(key) {
                        keys.add(&key, expires);
                    }
                }
            }
            read += at.len() + chunk.len();
            if read > PART_BYTES {
                // right behind it
                self.from = at.to_vec();
                self.from.push(0);
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) fn end(self) -> Result<(), String> {
        if self.found == self.wanted {
            return Ok(());
        }
        Err(format!(
            "it holds {} rows where {} were written, or others",
            self.found.rows, self.wanted.rows
        ))
    }
}
