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
use super::super::journal::{FORMAT, Kind, Position, Record};
use super::super::local::INDEX;
use super::index::{Copy, Difference, Found, IndexState, state_word};
use super::ledger::Ledger;
use super::{CareError, Folder, Hold, decode, io_error};

/// Damaged places that are listed; the others are counted.
const MOST_LISTED: usize = 1000;

/// What is listed of what hangs on one damaged place.
const MOST_AFFECTED: usize = 100;

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
        let first = view
            .findings()
            .find_map(|finding| match finding {
                Ok(Finding::Record(record)) => Some(Ok(record.sequence)),
                Ok(_) => None,
                Err(error) => Some(Err(error)),
            })
            .transpose()?;
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

/// The file of a segment, in the store's folder.
fn file(store: &Path, view: &View, segment: u64) -> PathBuf {
    let path = view.path_of(segment);
    let inside = path.strip_prefix(store).map(Path::to_owned);
    inside.unwrap_or(path)
}

/// A damaged part of a segment.
#[derive(Debug, Clone, Copy)]
struct Covered {
    segment: u64,
    from: u64,
    to: u64,
}

/// What was found to be damaged.
#[derive(Default)]
struct Findings {
    listed: Vec<Damage>,
    not_listed: u64,
    /// Damaged parts of segments, with their numbers in `listed`.
    covered: Vec<(Covered, usize)>,
}

impl Findings {
    /// Notes it; gives its number in the list.
    fn add(&mut self, place: Option<Covered>, damage: Damage) -> Option<usize> {
        if self.listed.len() >= MOST_LISTED {
            self.not_listed = self.not_listed.saturating_add(1);
            return None;
        }
        let number = self.listed.len();
        self.listed.push(damage);
        if let Some(place) = place {
            self.covered.push((place, number));
        }
        Some(number)
    }

    /// Notes that a segment is missing, once.
    fn missing(&mut self, segment: u64, file: PathBuf) {
        let mut covered = self.covered.iter();
        if covered.any(|(part, _)| part.segment == segment && part.to == u64::MAX) {
            return;
        }
        let damage = Damage {
            file,
            offset: None,
            bytes: None,
            what: "the segment is missing".to_owned(),
            affected: vec!["all records in it".to_owned()],
        };
        let place = Covered {
            segment,
            from: 0,
            to: u64::MAX,
        };
        self.add(Some(place), damage);
    }

    /// Says which records a damaged run held, once the next whole one is known.
    fn close(&mut self, number: usize, run: &Run, next: Option<u64>) {
        let mut affected = Vec::new();
        affected.extend(run.record.map(|(kind, number)| record_words(kind, number)));
        let first = run.after.saturating_add(1);
        match next.map(|next| next.saturating_sub(1)) {
            Some(last) if last < first => affected.push("no record".to_owned()),
            Some(last) if last == first && run.record.is_some() => {}
            Some(last) if last == first => affected.push(format!("record {first}")),
            Some(last) => affected.push(format!("records {first} to {last}, as far as written")),
            None => affected.push(format!("records from {first} on")),
        }
        if let Some(damage) = self.listed.get_mut(number) {
            affected.append(&mut damage.affected);
            damage.affected = affected;
        }
    }

    /// Takes in where the index differs: what it has in a damaged part is what hangs on that. Gives whether it was so.
    fn differs(&mut self, difference: Difference) -> bool {
        let mut held = difference.at.and_then(|at| {
            let mut covered = self.covered.iter();
            covered.find(|(part, _)| {
                part.segment == at.segment && (part.from..part.to).contains(&at.offset)
            })
        });
        // not every change of a delivery says where its record is; with one damaged part it can only be that
        if let [only] = self.covered.as_slice() {
            held = held.or(Some(only).filter(|_| difference.at.is_some()));
        }
        if let Some((_, number)) = held
            && let Some(damage) = self.listed.get_mut(*number)
        {
            if damage.affected.len() < MOST_AFFECTED {
                damage.affected.push(difference.words);
            } else if damage.affected.len() == MOST_AFFECTED {
                damage.affected.push("and more".to_owned());
            }
            return true;
        }
        self.add(
            None,
            Damage {
                file: PathBuf::from(INDEX),
                offset: None,
                bytes: None,
                what: difference.words,
                affected: Vec::new(),
            },
        );
        false
    }
}

fn record_words(kind: Kind, sequence: u64) -> String {
    let what = match kind {
        Kind::Accepted => "an event with its deliveries",
        Kind::Attempted => "an attempt of a delivery",
        Kind::Revived => "a delivery that was made pending again",
        Kind::Discarded => "a delivery that was let go",
        Kind::Carried => "an event with what remains of its deliveries",
        Kind::Operator => "what an operator did",
        Kind::Purged => "what is left of a purged event",
    };
    format!("record {sequence}: {what}")
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
