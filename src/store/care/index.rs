//! The index against the journal: its rows are those that were written, and say what the journal says.
//!
//! sled writes when it is opened, so a copy of its folder is opened, in the folder for temporary files. The caller
//! sees to it that no daemon has the store. An index that is missing or old is no damage: it is
//! rebuilt from the journal at the next start.

use std::collections::HashSet;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::super::index::rows::{self, DeliveryRow, IndexedEvent, MetaRow, Place, TargetRow};
use super::super::index::{Index, IndexError};
use super::super::journal::view::View;
use super::super::local::INDEX;
use super::super::position;
use super::super::record::{Content, StoredState};
use super::ledger::{DeliveryEntry, Ledger};
use super::{CareError, decode, io_error};
use crate::delivery::State;
use crate::id::{DeliveryId, EventId, TargetName};

/// Memory for the cache of the copy.
const CACHE_BYTES: u64 = 64 << 20;

/// How the index was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum IndexState {
    /// It is as it was written and says what the journal says.
    Sound {
        /// Its rows.
        rows: u64,
    },
    /// It was not looked at.
    PassedOver {
        /// Why not.
        why: &'static str,
    },
    /// It is rebuilt from the journal at the next start.
    ToBeRebuilt {
        /// Why.
        why: &'static str,
    },
    /// It is not as it was written, or says other things than the journal.
    Damaged,
}

/// Where index and journal differ.
pub(super) struct Difference {
    /// The place in the journal that the index names.
    pub at: Option<Place>,
    /// Whether the segment of that place is gone, which still was needed.
    pub gone: bool,
    /// What differs.
    pub words: String,
}

impl Difference {
    /// One that has to do with the index alone.
    pub(super) fn of_index(words: String) -> Self {
        Self {
            at: None,
            gone: false,
            words,
        }
    }
}

/// A copy of the index, opened.
pub(super) struct Copy {
    index: Index,
    /// Removed after the index is closed.
    _folder: Temporary,
}

/// What the index was found to be.
pub(super) enum Found {
    /// It can be compared.
    Usable(Copy),
    /// It has no rows.
    Empty,
    /// It will be rebuilt.
    ToBeRebuilt(&'static str),
    /// It is not as it was written.
    Damaged(String),
}

impl Copy {
    /// Copies the index of the store and opens the copy.
    pub(super) fn open(store: &Path) -> Result<Found, CareError> {
        let folder = store.join(INDEX);
        if !folder.is_dir() {
            return Ok(Found::ToBeRebuilt("it is missing"));
        }
        let temporary = Temporary::new()?;
        copy_tree(&folder, &temporary.0)?;
        let (index, known) = match Index::open(&temporary.0, CACHE_BYTES) {
            Ok(opened) => opened,
            Err(error) => return Ok(Found::Damaged(in_words(&error))),
        };
        if !known {
            return Ok(Found::Empty);
        }
        let meta = index.meta();
        if meta.version != rows::VERSION {
            return Ok(Found::ToBeRebuilt("it has another version"));
        }
        let copy = match index.verified() {
            Ok(index) => Self {
                index,
                _folder: temporary,
            },
            Err(why) => return Ok(Found::Damaged(why)),
        };
        if position::read(&folder).is_some_and(|noted| !noted.fits(&meta)) {
            return Ok(Found::ToBeRebuilt(
                "it is not the one that was written last",
            ));
        }
        Ok(Found::Usable(copy))
    }

    /// How far it is.
    pub(super) fn meta(&self) -> MetaRow {
        self.index.meta()
    }

    /// Compares its rows with what the journal says up to the record that it reaches; whether there are later ones.
    pub(super) fn compare(
        &self,
        ledger: &Ledger,
        view: &View,
        behind: bool,
        tell: &mut dyn FnMut(Difference),
    ) -> Result<(), CareError> {
        let mut comparison = Comparison {
            index: &self.index,
            ledger,
            view,
            floor: view.segments().first().map_or(0, |seen| seen.number),
            behind,
            purged: None,
            passed: false,
            told: false,
            tell,
        };
        let compared = comparison
            .events()
            .and_then(|()| comparison.deliveries())
            .and_then(|()| comparison.counts());
        match compared {
            Ok(()) => Ok(()),
            Err(Stop::Index(error)) => {
                tell(Difference::of_index(in_words(&error)));
                Ok(())
            }
            Err(Stop::Care(error)) => Err(error),
        }
    }
}

enum Stop {
    Index(IndexError),
    Care(CareError),
}

impl From<IndexError> for Stop {
    fn from(error: IndexError) -> Self {
        Self::Index(error)
    }
}

struct Comparison<'a> {
    index: &'a Index,
    ledger: &'a Ledger,
    view: &'a View,
    /// Rows of events whose segment is gone are taken out at the next start.
    floor: u64,
    /// Whether the journal goes on behind what the index holds.
    behind: bool,
    /// The events that the journal says are purged, once that was asked for.
    purged: Option<HashSet<EventId>>,
    /// Whether there are rows whose segment is gone.
    passed: bool,
    /// Whether anything differs.
    told: bool,
    tell: &'a mut dyn FnMut(Difference),
}

impl Comparison<'_> {
    fn tell(&mut self, at: Place, words: String) {
        self.told = true;
        (self.tell)(Difference {
            at: Some(at),
            gone: at.segment < self.floor,
            words,
        });
    }

    fn events(&mut self) -> Result<(), Stop> {
        let mut same: usize = 0;
        for row in self.index.events(None) {
            let (id, row) = row?;
            if row.at.segment < self.floor {
                self.passed = true;
                continue;
            }
            match self.ledger.events().get(&id) {
                Some(event) if event.at == row.at => same = same.saturating_add(1),
                _ => self.tell(row.at, event_words(id, &row)),
            }
        }
        if same == self.ledger.events().len() {
            return Ok(());
        }
        for (id, event) in self.ledger.events() {
            if self.index.event(*id)?.is_none() {
                self.tell(event.at, format!("event {id}: it is not in the index"));
            }
        }
        Ok(())
    }

    fn deliveries(&mut self) -> Result<(), Stop> {
        let mut known: usize = 0;
        for row in self.index.deliveries(None) {
            let (id, row) = row?;
            if row.event_at.segment < self.floor {
                self.passed = true;
                // what is open is written anew before its segment is let go; that may not be folded in yet
                if row.state.is_open() && !self.behind {
                    let (state, target) = (state_word(row.state), &row.target);
                    let words = format!("delivery {id} to {target}, which is {state}");
                    self.tell(row.event_at, words);
                }
                continue;
            }
            let ledger = self.ledger;
            let Some(entry) = ledger.deliveries().get(&id) else {
                let words = format!("delivery {id} to {}: its event cannot be read", row.target);
                self.tell(row.event_at, words);
                continue;
            };
            known = known.saturating_add(1);
            self.delivery(id, &row, entry)?;
        }
        if known < self.ledger.deliveries().len() {
            for (id, entry) in self.ledger.deliveries() {
                let there = self.index.delivery(*id)?.is_some();
                if let Some(event) = self.ledger.events().get(&entry.event)
                    && !there
                {
                    self.tell(event.at, format!("delivery {id}: it is not in the index"));
                }
            }
        }
        Ok(())
    }

    fn delivery(
        &mut self,
        id: DeliveryId,
        row: &DeliveryRow,
        entry: &DeliveryEntry,
    ) -> Result<(), Stop> {
        let last = row.log.last().copied().unwrap_or(row.event_at);
        let same = (row.revision, row.state, row.attempts, row.started_at)
            == (
                entry.revision,
                entry.state,
                entry.attempts,
                entry.started_at,
            );
        if !same {
            let (theirs, ours) = (state_word(row.state), state_word(entry.state));
            let words = format!(
                "delivery {id} to {}: {theirs} (change {}) by the index, {ours} (change {}) by the journal",
                row.target, row.revision, entry.revision
            );
            self.tell(last, words);
        }
        let lane = self.ledger.lane(entry);
        if lane.is_none_or(|(route, target)| (route, target) != (&row.route, &row.target)) {
            let words = format!("delivery {id}: route and target differ");
            self.tell(row.event_at, words);
        }
        if let Some(at) = row.frozen
            && entry.frozen != Some(at)
            && !self.is_purged_later(row.event)?
        {
            self.tell(at, format!("delivery {id}: its frozen body cannot be read"));
        }
        for at in &row.log {
            if !self.holds_attempt(*at, id)? {
                self.tell(*at, format!("delivery {id}: an attempt cannot be read"));
            }
        }
        Ok(())
    }

    /// Whether a record that the index has not reached purges the event: what that emptied stands in earlier ones.
    fn is_purged_later(&mut self, event: EventId) -> Result<bool, Stop> {
        if !self.behind {
            return Ok(false);
        }
        if self.purged.is_none() {
            self.purged = Some(super::purged(self.view).map_err(Stop::Care)?);
        }
        Ok(self.purged.as_ref().is_some_and(|all| all.contains(&event)))
    }

    fn holds_attempt(&self, at: Place, id: DeliveryId) -> Result<bool, Stop> {
        let Ok(record) = self.view.read(at.into()) else {
            return Ok(false);
        };
        let content = decode(self.view, &record).map_err(Stop::Care)?;
        Ok(match content {
            Some(Content::Attempted(it)) => it.moved.delivery == *id.as_bytes(),
            Some(Content::Carried(it)) => {
                let mut carried = it.deliveries.iter();
                carried.any(|one| one.delivery.id == *id.as_bytes())
            }
            Some(Content::Purged(it)) => {
                let mut left = it.remains.deliveries.iter();
                left.any(|one| one.delivery.id == *id.as_bytes())
            }
            _ => false,
        })
    }

    /// The counts by target that the running store starts from.
    fn counts(&mut self) -> Result<(), Stop> {
        if self.passed || self.told {
            return Ok(());
        }
        let mut wanted: std::collections::BTreeMap<TargetName, TargetRow> = Default::default();
        for entry in self.ledger.deliveries().values() {
            if entry.state.is_open()
                && let Some((_, target)) = self.ledger.lane(entry)
            {
                let row = wanted.entry(target.clone()).or_default();
                row.count(entry.state, true);
            }
        }
        let found = self.index.targets()?.into_iter().collect();
        if wanted != found {
            let words = "the counts by target are not those of the journal".to_owned();
            (self.tell)(Difference::of_index(words));
        }
        Ok(())
    }
}

fn event_words(id: EventId, row: &IndexedEvent) -> String {
    let IndexedEvent {
        source, event_type, ..
    } = row;
    format!("event {id} (source {source}, type {event_type}): its record cannot be read")
}

pub(super) fn state_word(state: StoredState) -> &'static str {
    State::from(state).kind().as_str()
}

fn in_words(error: &IndexError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// A folder for temporary files; removed when dropped.
struct Temporary(PathBuf);

impl Temporary {
    fn new() -> Result<Self, CareError> {
        let name = format!("ingate-{}-{:016x}", std::process::id(), fastrand::u64(..));
        let path = std::env::temp_dir().join(name);
        let made = DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|error| io_error("make", &path, error))?;
        Ok(Self(path))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, path = %self.0.display(), "cannot be removed");
        }
    }
}

/// Copies a folder with all that is in it into one that is there.
fn copy_tree(from: &Path, to: &Path) -> Result<(), CareError> {
    let list = |error: io::Error| io_error("list", from, error);
    for entry in fs::read_dir(from).map_err(list)? {
        let entry = entry.map_err(list)?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().map_err(list)?.is_dir() {
            fs::create_dir(&target).map_err(|error| io_error("make", &target, error))?;
            copy_tree(&source, &target)?;
        } else {
            fs::copy(&source, &target).map_err(|error| io_error("copy", &source, error))?;
        }
    }
    Ok(())
}
