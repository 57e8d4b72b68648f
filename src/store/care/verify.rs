//! Everything in a store is read and checked; what is damaged is named with file, place and what hangs on it.
//!
//! Of the journal: headers, checksums, numbers that only grow, payloads that can be decoded, segments that
//! are missing, deliveries that still need an event which is not there. Of the index, if no daemon has the store: see
//! `index`. Nothing is repaired: the next start sets damage aside and goes on.
//! An unfinished record at the end of the newest segment is no damage: it was never acknowledged, and the next start
//! cuts it off; should the index know that it was, that is said.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::super::journal::view::{Finding, Run, Seen, View};
use super::super::journal::{FORMAT, Position, Record};
use super::findings::{Covered, Findings, record_words};
use super::index::{Copy, Difference, Found, IndexState, state_word};
use super::ledger::Ledger;
use super::{CareError, Folder, Hold, decode, io_error};

/// The folder of what earlier starts set aside, in the store's folder.
pub(super) const QUARANTINE: &str = "quarantine";

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The store's folder.
    pub path: PathBuf,
    /// Whether nothing is damaged.
    pub sound: bool,
    /// Whether a daemon has the store.
    pub in_use: bool,
    /// The newest format that this program reads; a newer one is an error.
    pub format: u32,
    /// Segments of the journal.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Records that are as they were written.
    pub records: u64,
    /// Events in them.
    pub events: u64,
    /// Their deliveries.
    pub deliveries: u64,
    /// The index.
    pub index: IndexState,
    /// What stands unfinished at the journal's end.
    pub unfinished: Option<Unfinished>,
    /// Files that earlier starts have set aside.
    pub set_aside: Vec<PathBuf>,
    /// What is damaged.
    pub damage: Vec<Damage>,
    /// Damaged places that are not listed.
    pub not_listed: u64,
}

/// Bytes at the end of the newest segment that are no whole record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unfinished {
    /// The file, in the store's folder.
    pub file: PathBuf,
    /// Where they begin.
    pub offset: u64,
    /// How many there are.
    pub bytes: u64,
}

/// Something that is damaged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// The file, in the store's folder.
    pub file: PathBuf,
    /// Where in it; null if all of it.
    pub offset: Option<u64>,
    /// How many bytes; null if that has no meaning.
    pub bytes: Option<u64>,
    /// What is wrong.
    pub what: String,
    /// What hangs on it.
    pub affected: Vec<String>,
}

/// Reads everything. Without `with_index` the index is left out.
///
/// # Errors
/// If the disk says no or something was written by a newer version; damage is no error.
pub fn verify(folder: &Folder, with_index: bool) -> Result<Report, CareError> {
    // held to the end, so that no daemon changes what is compared
    let hold = folder.hold()?;
    let in_use = matches!(hold, Hold::InUse);
    let view = folder.view()?;
    let mut check = Check::new(folder.path(), &view);
    let index = if in_use {
        let why = "a daemon has the store";
        Err(IndexState::PassedOver { why })
    } else if !with_index {
        let why = "it was not asked for";
        Err(IndexState::PassedOver { why })
    } else {
        match Copy::open(folder.path())? {
            Found::Usable(copy) => Ok(copy),
            Found::Empty if view.begun_after() == 0 && first_record(&view)?.is_none() => {
                Err(IndexState::Sound { rows: 0 })
            }
            Found::Empty => Err(IndexState::ToBeRebuilt { why: "it is empty" }),
            Found::ToBeRebuilt(why) => Err(IndexState::ToBeRebuilt { why }),
            Found::Damaged(why) => {
                check.index_damage(why);
                Err(IndexState::Damaged)
            }
        }
    };
    let index = match index {
        Ok(copy) => check.journal_and_index(&copy)?,
        Err(state) => {
            check.walk(u64::MAX, &mut |_, _, _| Ok(()))?;
            state
        }
    };
    check.report(in_use, index)
}

/// The same of the journal alone, through a view.
pub(super) fn journal(store: &Path, view: &View) -> Result<Report, CareError> {
    let mut check = Check::new(store, view);
    check.walk(u64::MAX, &mut |_, _, _| Ok(()))?;
    let why = "a backup has none";
    check.report(false, IndexState::PassedOver { why })
}

struct Check<'a> {
    store: &'a Path,
    view: &'a View,
    ledger: Ledger,
    records: u64,
    /// The highest number that the journal knows of.
    last_sequence: u64,
    findings: Findings,
    unfinished: Option<Unfinished>,
}

/// What is said once all of the journal up to where the index is has been read.
/// The flag tells whether there is more.
type AtIndex<'a> = &'a mut dyn FnMut(&Ledger, &mut Findings, bool) -> Result<(), CareError>;

impl<'a> Check<'a> {
    fn new(store: &'a Path, view: &'a View) -> Self {
        let mut check = Self {
            store,
            view,
            ledger: Ledger::default(),
            records: 0,
            last_sequence: view.begun_after(),
            findings: Findings::default(),
            unfinished: None,
        };
        for segment in view.lost() {
            check.findings.missing(segment, file(store, view, segment));
        }
        check
    }

    fn file(&self, segment: u64) -> PathBuf {
        file(self.store, self.view, segment)
    }

    /// Walks over the journal and compares the index where it ends.
    fn journal_and_index(&mut self, copy: &Copy) -> Result<IndexState, CareError> {
        let (view, meta) = (self.view, copy.meta());
        let first = first_record(view)?;
        let oldest = view.segments().first().map_or(0, |seen| seen.number);
        let behind = first.is_some_and(|first| first > meta.sequence.saturating_add(1));
        if meta.at.segment < oldest && behind {
            self.walk(u64::MAX, &mut |_, _, _| Ok(()))?;
            let why = "it is older than the journal's oldest segment";
            return Ok(IndexState::ToBeRebuilt { why });
        }
        let mut sound = true;
        let store = self.store;
        self.walk(meta.sequence, &mut |ledger, findings, behind| {
            copy.compare(ledger, view, behind, &mut |difference| {
                if let Some(at) = difference.at.filter(|_| difference.gone) {
                    findings.missing(at.segment, file(store, view, at.segment));
                }
                sound &= findings.differs(difference);
            })
        })?;
        if meta.sequence > self.last_sequence {
            sound = false;
            self.index_damage(format!(
                "it holds records up to number {}, the journal ends with number {}",
                meta.sequence, self.last_sequence
            ));
        }
        Ok(if sound {
            IndexState::Sound { rows: meta.rows }
        } else {
            IndexState::Damaged
        })
    }

    fn index_damage(&mut self, what: String) {
        self.findings.differs(Difference::of_index(what));
    }

    /// Reads all of the journal; `at_index` is called once, when the records up to this number are read.
    fn walk(&mut self, index_at: u64, at_index: AtIndex<'_>) -> Result<(), CareError> {
        let mut open_runs: Vec<(Run, usize)> = Vec::new();
        let mut compared = false;
        for finding in self.view.findings() {
            match finding? {
                Finding::Record(record) => {
                    for (run, number) in open_runs.drain(..) {
                        self.findings.close(number, &run, Some(record.sequence));
                    }
                    if record.sequence > index_at && !compared {
                        compared = true;
                        at_index(&self.ledger, &mut self.findings, true)?;
                    }
                    self.record(&record)?;
                }
                Finding::Damage(run) => {
                    if let Some(number) = self.damage(&run) {
                        open_runs.push((run, number));
                    }
                }
                Finding::Unfinished(run) => {
                    self.unfinished = Some(Unfinished {
                        file: self.file(run.segment),
                        offset: run.from,
                        bytes: run.to.saturating_sub(run.from),
                    });
                }
            }
        }
        for (run, number) in open_runs {
            self.findings.close(number, &run, None);
        }
        if !compared {
            at_index(&self.ledger, &mut self.findings, false)?;
        }
        Ok(())
    }

    fn record(&mut self, record: &Record) -> Result<(), CareError> {
        self.last_sequence = self.last_sequence.max(record.sequence);
        let Some(content) = decode(self.view, record)? else {
            let Position { segment, offset } = record.position;
            let damage = Damage {
                file: self.file(segment),
                offset: Some(offset),
                bytes: Some(record.payload.len() as u64),
                what: "the record is whole but cannot be decoded".to_owned(),
                affected: vec![record_words(record.kind, record.sequence)],
            };
            let place = Covered {
                segment,
                from: offset,
                to: offset.saturating_add(1),
            };
            self.findings.add(Some(place), damage);
            return Ok(());
        };
        self.records = self.records.saturating_add(1);
        self.ledger.apply(&content, record.position);
        Ok(())
    }

    fn damage(&mut self, run: &Run) -> Option<usize> {
        let seen = self.seen(run.segment);
        let there = seen.map_or(run.to, |seen| seen.bytes);
        let what = if there < run.to && there <= run.from {
            let bytes = run.to.saturating_sub(run.from);
            format!("the segment ends too early, {bytes} bytes are missing")
        } else if run.from == 0 {
            "the header of the segment cannot be read".to_owned()
        } else if run.record.is_some() {
            "the bytes of the record do not match its checksum".to_owned()
        } else {
            "these bytes are no record".to_owned()
        };
        let damage = Damage {
            file: self.file(run.segment),
            offset: Some(run.from),
            bytes: Some(run.to.saturating_sub(run.from)),
            what,
            affected: Vec::new(),
        };
        let place = Covered {
            segment: run.segment,
            from: run.from,
            to: run.to,
        };
        self.findings.add(Some(place), damage)
    }

    fn seen(&self, segment: u64) -> Option<&'a Seen> {
        let mut segments = self.view.segments().iter();
        segments.find(|seen| seen.number == segment)
    }

    fn report(mut self, in_use: bool, index: IndexState) -> Result<Report, CareError> {
        let mut orphans: Vec<_> = self.ledger.orphans().map(|(id, it)| (*id, *it)).collect();
        orphans.sort_by_key(|(_, orphan)| orphan.at);
        for (id, orphan) in orphans {
            let state = state_word(orphan.state);
            let damage = Damage {
                file: self.file(orphan.at.segment),
                offset: Some(orphan.at.offset),
                bytes: None,
                what: "the event of a delivery is not in the journal".to_owned(),
                affected: vec![format!("delivery {id}, which is {state}")],
            };
            self.findings.add(None, damage);
        }
        let segments = self.view.segments();
        Ok(Report {
            path: self.store.to_owned(),
            sound: self.findings.listed.is_empty(),
            in_use,
            format: FORMAT,
            segments: segments.len() as u64,
            bytes: segments.iter().map(|seen| seen.bytes).sum(),
            records: self.records,
            events: self.ledger.events().len() as u64,
            deliveries: self.ledger.deliveries().len() as u64,
            index,
            unfinished: self.unfinished,
            set_aside: set_aside(self.store)?,
            damage: self.findings.listed,
            not_listed: self.findings.not_listed,
        })
    }
}

/// The number of the first record.
fn first_record(view: &View) -> Result<Option<u64>, CareError> {
    for finding in view.findings() {
        if let Finding::Record(record) = finding? {
            return Ok(Some(record.sequence));
        }
    }
    Ok(None)
}

/// The file of a segment, in the store's folder.
fn file(store: &Path, view: &View, segment: u64) -> PathBuf {
    let path = view.path_of(segment);
    let inside = path.strip_prefix(store).map(Path::to_owned);
    inside.unwrap_or(path)
}

/// What earlier starts have set aside: damaged parts of the journal, and indexes.
fn set_aside(store: &Path) -> Result<Vec<PathBuf>, CareError> {
    let mut found = Vec::new();
    for (folder, prefix) in [
        (PathBuf::from(QUARANTINE), ""),
        (PathBuf::new(), "index.aside-"),
    ] {
        let path = store.join(&folder);
        let list = |error| io_error("list", &path, error);
        if !path.is_dir() {
            continue;
        }
        for entry in std::fs::read_dir(&path).map_err(list)? {
            let name = entry.map_err(list)?.file_name();
            if name.to_string_lossy().starts_with(prefix) {
                found.push(folder.join(name));
            }
        }
    }
    found.sort();
    Ok(found)
}
