//! What a template does with events that are like its samples, and are not: every place of a sample is taken away,
//! emptied, filled with what is hostile or of another kind; then some places two at a time.
//!
//! Promise: the number of variants is bounded, by the sample's size too, and spread over all of it. Not here: the
//! changes (see `change`), what is an error of the author's and what is a remark (see the command that shows it).

use std::collections::BTreeSet;

use serde_json::Value;

use super::Sample;
use super::change::{Change, Menu, Places, same_skeleton};
use crate::id::TargetName;
use crate::plan::Plan;
use crate::schema::Misfit;
use crate::template::{Cause, TemplateError};

/// Most variants of one sample with one place changed: about a second.
pub const VARIANTS: usize = 4_096;
/// Most variants of one sample with two places changed.
pub const PAIRS: usize = 512;
/// Fewest variants that a large sample gets.
const LEAST: usize = 64;
/// Most bytes that the variants of one sample take all in all, those of [`LEAST`] aside.
const BYTES: usize = 64 << 20;
/// Most groups of what was found that are kept.
const GROUPS: usize = 100;

/// What came of all variants of some samples.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Mutated {
    /// How many samples.
    pub samples: usize,
    /// How many variants were rendered.
    pub variants: usize,
    /// How many more there would be with one place changed, had that not been too many.
    pub left_out: usize,
    /// Where the output was not valid, each place once.
    pub broken: Vec<Found>,
    /// Changes for which the output was no JSON and nothing noticed; the writer is there so that there is none.
    pub not_json: Vec<String>,
    /// Where the template gave up for another reason, so that such an event is parked.
    pub parked: Vec<Found>,
    /// What did not fit the schema, each rule once.
    pub misfits: Vec<FoundMisfit>,
    /// The paths of texts whose content decides on the skeleton of the output.
    pub shaped_by: BTreeSet<String>,
}

/// An error of a template that some variants bring about.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The first of them.
    pub error: TemplateError,
    /// The change that brought it about.
    pub change: String,
    /// How many variants end at this place.
    pub variants: usize,
}

/// A rule of a schema that some variants break.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundMisfit {
    /// The schema.
    pub schema: String,
    /// The first of them.
    pub misfit: Misfit,
    /// The change that brought it about.
    pub change: String,
    /// How many variants break this rule.
    pub variants: usize,
}

impl Mutated {
    /// Whether every output was valid, or there was none.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.broken.is_empty() && self.not_json.is_empty()
    }

    /// Adds what comes of the variants of a sample, for the first target of its route. The sample itself must come out
    /// as it should.
    pub fn add(&mut self, plan: &Plan, sample: &Sample) {
        let Some(target) = sample.route.to.first() else {
            return;
        };
        let Ok(base) = sample.render(plan, target, &sample.payload) else {
            return;
        };
        let Ok(base) = serde_json::from_slice(&base.body) else {
            return;
        };
        self.samples += 1;
        let (menu, places) = (Menu::new(), Places::of(&sample.payload));
        let run = Run {
            plan,
            sample,
            target,
            places: &places,
            base,
        };
        let most = most(sample.event.parts().body.len());
        // The innermost first, so that what is told of is as small a change as can be.
        let mut due = (0..places.len())
            .rev()
            .map(|place| (place, menu_of(&menu, &places, place).len()));
        let possible: usize = due.clone().map(|(_, count)| count).sum();
        self.left_out += possible.saturating_sub(most);
        let picked = possible.min(most);
        let (mut place, mut count) = due.next().unwrap_or_default();
        let mut before = 0;
        for pick in 0..picked {
            // Spread evenly over all of them; the places are passed in order.
            let wanted = spread(pick, possible, picked);
            while wanted >= before + count
                && let Some(next) = due.next()
            {
                before += count;
                (place, count) = next;
            }
            if let Some(change) = menu_of(&menu, &places, place).get(wanted - before) {
                run.variant(self, &[(place, change)]);
            }
        }
        for (one, other) in pairs(places.len(), PAIRS.min(most)) {
            let change = |place: usize, at: usize| {
                let changes = menu_of(&menu, &places, place);
                changes.get(at % changes.len().max(1))
            };
            // The second first: it may be a part of the first.
            let (first, second) = (change(other, one), change(one, other));
            if let (Some(first), Some(second)) = (first, second) {
                run.variant(self, &[(other, first), (one, second)]);
            }
        }
    }

    fn failed(&mut self, error: TemplateError, change: impl FnOnce() -> String) {
        let groups = match error.cause {
            Cause::Output => &mut self.broken,
            Cause::Template => &mut self.parked,
        };
        let place = |error: &TemplateError| (error.path.clone(), error.offset);
        let known = groups
            .iter()
            .position(|found| place(&found.error) == place(&error));
        if let Some(known) = known.and_then(|known| groups.get_mut(known)) {
            known.variants += 1;
        } else if groups.len() < GROUPS {
            groups.push(Found {
                error,
                change: change(),
                variants: 1,
            });
        }
    }

    fn misfit(&mut self, schema: &str, misfit: Misfit, change: impl FnOnce() -> String) {
        let known = self
            .misfits
            .iter()
            .position(|known| known.schema == schema && known.misfit.rule == misfit.rule);
        if let Some(known) = known.and_then(|known| self.misfits.get_mut(known)) {
            known.variants += 1;
        } else if self.misfits.len() < GROUPS {
            self.misfits.push(FoundMisfit {
                schema: schema.to_owned(),
                misfit,
                change: change(),
                variants: 1,
            });
        }
    }
}

/// How many variants a sample of so many bytes gets.
fn most(bytes: usize) -> usize {
    (BYTES / bytes.max(1)).clamp(LEAST, VARIANTS)
}

/// The `pick`-th of `picked` numbers that are spread evenly below `possible`.
fn spread(pick: usize, possible: usize, picked: usize) -> usize {
    let at = pick as u128 * possible as u128 / picked.max(1) as u128;
    usize::try_from(at).unwrap_or(usize::MAX)
}

fn menu_of<'m>(menu: &'m Menu, places: &Places<'_>, place: usize) -> &'m [Change] {
    let value = places.value(place);
    value.map_or(&[], |value| menu.of(value, place == 0))
}

/// Pairs of different places but the whole, the smaller first: all, or as many as are wanted, always the same.
fn pairs(places: usize, most: usize) -> Vec<(usize, usize)> {
    let all = places.saturating_sub(1) * places.saturating_sub(2) / 2;
    if all <= most {
        return (1..places)
            .flat_map(|one| (one + 1..places).map(move |other| (one, other)))
            .collect();
    }
    let mut random = fastrand::Rng::with_seed(0);
    let mut pair = || {
        let (one, other) = (random.usize(1..places), random.usize(1..places));
        (one.min(other), one.max(other))
    };
    let mut pairs = BTreeSet::new();
    for _ in 0..2 * most {
        let (one, other) = pair();
        if one != other && pairs.len() < most {
            pairs.insert((one, other));
        }
    }
    pairs.into_iter().collect()
}

/// The variants of one sample under way.
struct Run<'r> {
    plan: &'r Plan,
    sample: &'r Sample,
    target: &'r TargetName,
    places: &'r Places<'r>,
    /// What comes of the sample itself.
    base: Value,
}

impl Run<'_> {
    fn variant(&self, out: &mut Mutated, changes: &[(usize, &Change)]) {
        let mut payload = self.sample.payload.clone();
        for (place, change) in changes {
            // One change may have taken away what the other is about.
            let _ = self.places.apply(*place, change, &mut payload);
        }
        let told = || {
            let told: Vec<String> = changes
                .iter()
                .map(|(place, change)| format!("{} {change}", self.places.shown(*place, false)))
                .collect();
            told.join(" and ")
        };
        out.variants += 1;
        let rendered = match self.sample.render(self.plan, self.target, &payload) {
            Ok(rendered) => rendered,
            Err(error) => return out.failed(error, told),
        };
        let output: Value = match serde_json::from_slice(&rendered.body) {
            Ok(output) => output,
            Err(_) => {
                if out.not_json.len() < GROUPS {
                    out.not_json.push(told());
                }
                return;
            }
        };
        if let [(place, change)] = changes
            && self
                .places
                .value(*place)
                .is_some_and(|value| change.keeps_text(value))
            && !same_skeleton(&self.base, &output)
            && out.shaped_by.len() < GROUPS
        {
            out.shaped_by.insert(self.places.shown(*place, true));
        }
        if let Some(schema) = &self.sample.route.schema
            && let Err(misfit) = schema.schema.check(&output)
        {
            out.misfit(schema.schema.name(), misfit, told);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picks_are_spread_over_all() {
        for (possible, picked) in [(10, 10), (10, 3), (1_000_000, 7), (1, 1)] {
            let picks: Vec<usize> = (0..picked)
                .map(|pick| spread(pick, possible, picked))
                .collect();
            assert!(picks.is_sorted_by(|a, b| a < b), "{picks:?}");
            assert_eq!(picks[0], 0);
            assert!(
                possible - picks[picked - 1] <= possible.div_ceil(picked),
                "{picks:?}"
            );
        }
        assert_eq!(most(0), VARIANTS);
        assert_eq!(most(1 << 20), LEAST);
    }

    #[test]
    fn pairs_are_bounded_and_always_the_same() {
        assert_eq!(pairs(1, 9), []);
        assert_eq!(pairs(4, 9), [(1, 2), (1, 3), (2, 3)]);
        let many = pairs(100_000, 512);
        assert!(many.len() > 400 && many.len() <= 512, "{}", many.len());
        assert_eq!(many, pairs(100_000, 512));
        assert!(many.iter().all(|(one, other)| one < other));
    }
}
