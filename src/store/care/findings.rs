//! What verify finds, with what hangs on it: which records a damaged part held, and what the index knows of them.

use std::path::PathBuf;

use super::super::journal::Kind;
use super::super::journal::view::Run;
use super::super::local::INDEX;
use super::index::Difference;
use super::verify::Damage;

/// Damaged places that are listed; the others are counted.
const MOST_LISTED: usize = 1000;

/// What is listed of what hangs on one damaged place.
const MOST_AFFECTED: usize = 100;

/// A damaged part of a segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Covered {
    pub segment: u64,
    pub from: u64,
    pub to: u64,
}

/// What was found to be damaged.
#[derive(Default)]
pub(super) struct Findings {
    pub listed: Vec<Damage>,
    pub not_listed: u64,
    /// Damaged parts of segments, with their numbers in `listed`.
    covered: Vec<(Covered, usize)>,
}

impl Findings {
    /// Notes it; gives its number in the list.
    pub(super) fn add(&mut self, place: Option<Covered>, damage: Damage) -> Option<usize> {
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
    pub(super) fn missing(&mut self, segment: u64, file: PathBuf) {
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
    pub(super) fn close(&mut self, number: usize, run: &Run, next: Option<u64>) {
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
    pub(super) fn differs(&mut self, difference: Difference) -> bool {
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

/// A record in words, by its kind.
pub(super) fn record_words(kind: Kind, sequence: u64) -> String {
    let what = match kind {
        Kind::Accepted => "an event with its deliveries",
        Kind::Attempted => "an attempt of a delivery",
        Kind::Revived => "a delivery that was made pending again",
        Kind::Discarded => "a delivery that was let go",
        Kind::Carried => "an event with what remains of its deliveries",
        Kind::Operator => "what an operator did",
        Kind::Purged => "what is left of a purged event",
        Kind::Added => "new deliveries of a stored event",
    };
    format!("record {sequence}: {what}")
}
