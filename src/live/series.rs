//! How it went lately, for charts and for "within the last minute". Nothing is counted here: once a second somebody calls
//! [`Series::tick`], which reads the counters, and once in [`STEP_TICKS`] [`Series::step`], which notes what was added.
//!
//! Promise: bounded, some 20 KB a source or target, and of those only the first [`MOST`] of each. Not here: the
//! counters (see `tally`), who calls (see `app`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::tally::{InTotals, OutTotals, Tallies};
use crate::clock;
use crate::id::{SourceName, TargetName};

/// Ticks of a second that make a step.
pub const STEP_TICKS: u64 = 10;

/// Seconds that "the last minute" has.
const MINUTE: usize = 60;

/// Steps of an hour, and of them in one of a day.
const FINE: usize = 360;
const COARSE: usize = 288;
const FINE_IN_COARSE: u64 = 30;

/// Most sources and most targets that have a series of their own.
const MOST: usize = 256;

/// How far back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// An hour, in steps of 10 s.
    Hour,
    /// A day, in steps of 5 min.
    Day,
}

impl Window {
    /// How long a step is.
    #[must_use]
    pub fn step_seconds(self) -> u64 {
        match self {
            Self::Hour => STEP_TICKS,
            Self::Day => STEP_TICKS * FINE_IN_COARSE,
        }
    }
}

/// Of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// All sources and targets together.
    All,
    /// One source.
    Source(SourceName),
    /// One target.
    Target(TargetName),
}

/// What waits for a target at the end of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The target.
    pub target: TargetName,
    /// Deliveries that are pending.
    pub pending: u64,
    /// Deliveries that are dead.
    pub dead: u64,
    /// How old the oldest pending one is.
    pub oldest: Option<Duration>,
}

/// Columns of equal length, oldest first; `None` where nothing is known.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Columns {
    /// The end of each step, in seconds since 1970.
    pub times: Vec<i64>,
    /// Events that verified.
    pub received: Vec<Option<u64>>,
    /// Requests that did not verify.
    pub unverified: Vec<Option<u64>>,
    /// Attempts that were answered 2xx.
    pub succeeded: Vec<Option<u64>>,
    /// Other attempts.
    pub failed: Vec<Option<u64>>,
    /// How long an attempt took in the mean, in seconds.
    pub mean_attempt: Vec<Option<f64>>,
    /// Deliveries that are pending at the end of the step.
    pub pending: Vec<Option<u64>>,
    /// Deliveries that are dead at the end of the step.
    pub dead: Vec<Option<u64>>,
    /// How old the oldest pending delivery is at the end of the step, in seconds.
    pub oldest: Vec<Option<f64>>,
}

/// How it went lately.
#[derive(Debug)]
pub struct Series(Mutex<Kept>);

#[derive(Debug)]
struct Kept {
    /// When counting began.
    began: Timestamp,
    /// When the last ticks were, as far as a minute back.
    ticks: VecDeque<Timestamp>,
    /// The steps so far.
    steps: u64,
    times: Rings<i64>,
    sources: Track<InTotals, InStep>,
    targets: Track<OutTotals, OutStep>,
    by_source: BTreeMap<SourceName, Track<InTotals, InStep>>,
    by_target: BTreeMap<TargetName, Track<OutTotals, OutStep>>,
}

/// The last steps, of both lengths.
#[derive(Debug)]
struct Rings<Step> {
    fine: VecDeque<Step>,
    coarse: VecDeque<Step>,
}

/// One source or target, or all of them.
#[derive(Debug)]
struct Track<Totals, Step> {
    /// The counters at the last ticks, as far as a minute back.
    recent: VecDeque<Totals>,
    /// The counters at the last step, and at the last one of a day.
    fine_from: Totals,
    coarse_from: Totals,
    rings: Rings<Step>,
}

#[derive(Debug, Clone, Copy)]
struct InStep {
    received: u32,
    unverified: u32,
}

#[derive(Debug, Clone, Copy)]
struct OutStep {
    succeeded: u32,
    failed: u32,
    took: f32,
    /// Pending, dead, and the age of the oldest in seconds (less than none if there is none); `None` if not known.
    waiting: Option<(u32, u32, f32)>,
}

impl<Step> Rings<Step> {
    fn new() -> Self {
        Self {
            fine: VecDeque::new(),
            coarse: VecDeque::new(),
        }
    }

    fn of(&self, window: Window) -> &VecDeque<Step> {
        match window {
            Window::Hour => &self.fine,
            Window::Day => &self.coarse,
        }
    }
}

fn push<T>(ring: &mut VecDeque<T>, most: usize, item: T) {
    if ring.len() >= most {
        ring.pop_front();
    }
    ring.push_back(item);
}

impl<Totals: Copy, Step> Track<Totals, Step> {
    /// A track that begins at these counters.
    fn new(now: Totals) -> Self {
        Self {
            recent: VecDeque::new(),
            fine_from: now,
            coarse_from: now,
            rings: Rings::new(),
        }
    }

    fn tick(&mut self, now: Totals) {
        push(&mut self.recent, MINUTE, now);
    }

    /// Notes a step, and one of a day where `coarse` says so; `step` makes one of what the counters were and are.
    fn step(&mut self, now: Totals, coarse: bool, step: impl Fn(Totals, Totals) -> Step) {
        push(&mut self.rings.fine, FINE, step(self.fine_from, now));
        self.fine_from = now;
        if coarse {
            push(&mut self.rings.coarse, COARSE, step(self.coarse_from, now));
            self.coarse_from = now;
        }
    }
}

impl Series {
    /// Series of a process that began now.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self(Mutex::new(Kept {
            began: now,
            ticks: VecDeque::new(),
            steps: 0,
            times: Rings::new(),
            sources: Track::new(InTotals::default()),
            targets: Track::new(OutTotals::default()),
            by_source: BTreeMap::new(),
            by_target: BTreeMap::new(),
        }))
    }

    /// To be called once a second, with the names of the configuration in force.
    pub fn tick<'a>(
        &self,
        now: Timestamp,
        sources: impl Iterator<Item = &'a SourceName>,
        targets: impl Iterator<Item = &'a TargetName>,
        tallies: &Tallies,
    ) {
        let mut kept = self.lock();
        kept.adopt(&sources.collect(), &targets.collect(), tallies);
        push(&mut kept.ticks, MINUTE, now);
        kept.sources.tick(tallies.all_sources());
        kept.targets.tick(tallies.all_targets());
        for (name, track) in &mut kept.by_source {
            track.tick(tallies.source(name));
        }
        for (name, track) in &mut kept.by_target {
            track.tick(tallies.target(name));
        }
    }

    /// To be called at every [`STEP_TICKS`]th tick, with what waits, if that is known.
    pub fn step(&self, now: Timestamp, tallies: &Tallies, waiting: Option<&[Waiting]>) {
        let mut kept = self.lock();
        kept.steps += 1;
        let coarse = kept.steps.is_multiple_of(FINE_IN_COARSE);
        push(&mut kept.times.fine, FINE, now.as_second());
        if coarse {
            push(&mut kept.times.coarse, COARSE, now.as_second());
        }
        kept.sources.step(tallies.all_sources(), coarse, in_step);
        for (name, track) in &mut kept.by_source {
            track.step(tallies.source(name), coarse, in_step);
        }
        let sum = waiting.map(|all| of_waiting(all.iter()));
        let step = out_step(sum);
        kept.targets.step(tallies.all_targets(), coarse, step);
        for (name, track) in &mut kept.by_target {
            let own = waiting.map(|all| of_waiting(all.iter().filter(|it| it.target == *name)));
            track.step(tallies.target(name), coarse, out_step(own));
        }
    }

    /// What a source has received within the last minute, and over how many seconds that is.
    #[must_use]
    pub fn source_minute(
        &self,
        name: &SourceName,
        now: Timestamp,
        tallies: &Tallies,
    ) -> (f64, InTotals) {
        let kept = self.lock();
        let track = kept.by_source.get(name);
        let then = track.and_then(|track| track.recent.front().copied());
        let since = kept.since(now, track.map_or(0, |track| track.recent.len()));
        (since, tallies.source(name).since(then.unwrap_or_default()))
    }

    /// What was attempted at a target within the last minute, and over how many seconds that is.
    #[must_use]
    pub fn target_minute(
        &self,
        name: &TargetName,
        now: Timestamp,
        tallies: &Tallies,
    ) -> (f64, OutTotals) {
        let kept = self.lock();
        let track = kept.by_target.get(name);
        let then = track.and_then(|track| track.recent.front().copied());
        let since = kept.since(now, track.map_or(0, |track| track.recent.len()));
        (since, tallies.target(name).since(then.unwrap_or_default()))
    }

    /// The same of all sources and of all targets.
    #[must_use]
    pub fn minute(&self, now: Timestamp, tallies: &Tallies) -> (f64, InTotals, OutTotals) {
        let kept = self.lock();
        let (received, attempted) = (
            kept.sources.recent.front().copied().unwrap_or_default(),
            kept.targets.recent.front().copied().unwrap_or_default(),
        );
        (
            kept.since(now, kept.sources.recent.len()),
            tallies.all_sources().since(received),
            tallies.all_targets().since(attempted),
        )
    }

    /// The columns of a window; `None` if nothing is kept of this one by itself.
    #[must_use]
    pub fn columns(&self, window: Window, which: &Which) -> Option<Columns> {
        let kept = self.lock();
        let (came, went) = match which {
            Which::All => (Some(&kept.sources), Some(&kept.targets)),
            Which::Source(name) => (Some(kept.by_source.get(name)?), None),
            Which::Target(name) => (None, Some(kept.by_target.get(name)?)),
        };
        let times: Vec<i64> = kept.times.of(window).iter().copied().collect();
        let came = came.map(|track| track.rings.of(window));
        let went = went.map(|track| track.rings.of(window));
        let count = |value: u32| Some(u64::from(value));
        let length = times.len();
        Some(Columns {
            received: column(came, length, |step| count(step.received)),
            unverified: column(came, length, |step| count(step.unverified)),
            succeeded: column(went, length, |step| count(step.succeeded)),
            failed: column(went, length, |step| count(step.failed)),
            mean_attempt: column(went, length, |step| {
                let attempts = f64::from(step.succeeded) + f64::from(step.failed);
                (attempts > 0.0).then(|| f64::from(step.took) / attempts)
            }),
            pending: column(went, length, |step| count(step.waiting?.0)),
            dead: column(went, length, |step| count(step.waiting?.1)),
            oldest: column(went, length, |step| {
                let (_, _, oldest) = step.waiting?;
                (oldest >= 0.0).then_some(f64::from(oldest))
            }),
            times,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// Keeps series of these names, of the first [`MOST`] of each, and of nothing else.
    fn adopt(
        &mut self,
        sources: &BTreeSet<&SourceName>,
        targets: &BTreeSet<&TargetName>,
        tallies: &Tallies,
    ) {
        // What was counted under a name before it came is not of its first step.
        let first = self.ticks.is_empty();
        adopt(&mut self.by_source, sources, |name| {
            if first {
                InTotals::default()
            } else {
                tallies.source(name)
            }
        });
        adopt(&mut self.by_target, targets, |name| {
            if first {
                OutTotals::default()
            } else {
                tallies.target(name)
            }
        });
    }

    /// How many seconds the last `ticks` of them reach back from now.
    fn since(&self, now: Timestamp, ticks: usize) -> f64 {
        let first = self.ticks.len().checked_sub(ticks);
        let then = first.and_then(|first| self.ticks.get(first));
        let then = then.copied().unwrap_or(self.began);
        clock::between(then, now).as_secs_f64()
    }
}

fn adopt<Name: Clone + Ord, Totals: Copy, Step>(
    known: &mut BTreeMap<Name, Track<Totals, Step>>,
    names: &BTreeSet<&Name>,
    from: impl Fn(&Name) -> Totals,
) {
    known.retain(|name, _| names.contains(name));
    for name in names {
        if known.len() < MOST && !known.contains_key(*name) {
            known.insert((*name).clone(), Track::new(from(name)));
        }
    }
}

fn narrow(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn in_step(before: InTotals, now: InTotals) -> InStep {
    let added = now.since(before);
    InStep {
        received: narrow(added.received),
        unverified: narrow(added.unverified),
    }
}

fn out_step(waiting: Option<(u32, u32, f32)>) -> impl Fn(OutTotals, OutTotals) -> OutStep {
    move |before, now| {
        let added = now.since(before);
        OutStep {
            succeeded: narrow(added.succeeded),
            failed: narrow(added.failed),
            took: added.took.as_secs_f32(),
            waiting,
        }
    }
}

fn of_waiting<'a>(all: impl Iterator<Item = &'a Waiting>) -> (u32, u32, f32) {
    let mut sum = (0_u32, 0_u32, -1.0_f32);
    for one in all {
        sum.0 = sum.0.saturating_add(narrow(one.pending));
        sum.1 = sum.1.saturating_add(narrow(one.dead));
        let oldest = one.oldest.map_or(-1.0, |age| age.as_secs_f32());
        sum.2 = sum.2.max(oldest);
    }
    sum
}

/// A column of so many rows; what is not there yet is at its beginning.
fn column<Step, T>(
    ring: Option<&VecDeque<Step>>,
    length: usize,
    value: impl Fn(&Step) -> Option<T>,
) -> Vec<Option<T>> {
    let steps = ring.map_or(0, VecDeque::len).min(length);
    let missing = std::iter::repeat_with(|| None).take(length - steps);
    let known = ring.into_iter().flatten().take(steps).map(value);
    missing.chain(known).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::Inbound;

    fn names() -> (SourceName, TargetName) {
        ("wreno".parse().unwrap(), "erp".parse().unwrap())
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn steps_are_what_was_added_and_a_minute_reaches_a_minute_back() {
        let (wreno, erp) = names();
        let (series, tallies) = (Series::new(at(0)), Tallies::default());
        let waiting = [Waiting {
            target: erp.clone(),
            pending: 7,
            dead: 2,
            oldest: Some(Duration::from_millis(2500)),
        }];
        for second in 1..=120 {
            tallies.inbound(Some(&wreno), Inbound::Routed);
            if second % 2 == 0 {
                tallies.attempt(&erp, second % 4 == 0, Duration::from_secs(1));
            }
            series.tick(
                at(second),
                [&wreno].into_iter(),
                [&erp].into_iter(),
                &tallies,
            );
            if second % 10 == 0 {
                let known = second > 10;
                series.step(at(second), &tallies, known.then_some(&waiting[..]));
            }
        }
        let columns = series.columns(Window::Hour, &Which::All).unwrap();
        assert_eq!(columns.times.len(), 12);
        assert_eq!((columns.times[0], columns.times[11]), (10, 120));
        assert_eq!(columns.received, vec![Some(10); 12]);
        assert_eq!(columns.unverified, vec![Some(0); 12]);
        assert_eq!(columns.succeeded[..2], [Some(2), Some(3)]);
        assert_eq!(columns.failed[..2], [Some(3), Some(2)]);
        assert_eq!(columns.mean_attempt, vec![Some(1.0); 12]);
        assert_eq!(columns.pending[..2], [None, Some(7)]);
        assert_eq!(columns.dead[11], Some(2));
        assert_eq!(columns.oldest[11], Some(2.5));

        let of_source = series
            .columns(Window::Hour, &Which::Source(wreno.clone()))
            .unwrap();
        assert_eq!(of_source.received, columns.received);
        assert_eq!(of_source.succeeded, vec![None; 12]);
        let of_target = series
            .columns(Window::Hour, &Which::Target(erp.clone()))
            .unwrap();
        assert_eq!(of_target.succeeded, columns.succeeded);
        assert_eq!(of_target.received, vec![None; 12]);
        let other = Which::Target("other".parse().unwrap());
        assert_eq!(series.columns(Window::Hour, &other), None);
        let day = series.columns(Window::Day, &Which::All).unwrap();
        assert_eq!(day, Columns::default());

        let (seconds, came, went) = series.minute(at(120), &tallies);
        assert_eq!((seconds, came.received), (59.0, 59));
        assert_eq!(went.succeeded + went.failed, 30);
        let (seconds, came) = series.source_minute(&wreno, at(120), &tallies);
        assert_eq!((seconds, came.received), (59.0, 59));
        let (_, went) = series.target_minute(&erp, at(120), &tallies);
        assert_eq!(went.succeeded + went.failed, 30);
    }

    #[test]
    fn it_is_bounded_and_a_day_has_longer_steps() {
        let (wreno, erp) = names();
        let (series, tallies) = (Series::new(at(0)), Tallies::default());
        for step in 1..=10_000 {
            tallies.inbound(Some(&wreno), Inbound::Routed);
            series.tick(
                at(step * 10),
                [&wreno].into_iter(),
                [&erp].into_iter(),
                &tallies,
            );
            series.step(at(step * 10), &tallies, None);
        }
        let hour = series.columns(Window::Hour, &Which::All).unwrap();
        assert_eq!(hour.times.len(), FINE);
        let day = series.columns(Window::Day, &Which::Source(wreno)).unwrap();
        assert_eq!(day.times.len(), COARSE);
        assert_eq!(day.received, vec![Some(30); COARSE]);
        assert_eq!(day.times[1] - day.times[0], 300);
        assert_eq!(Window::Day.step_seconds(), 300);
    }

    #[test]
    fn before_the_first_tick_all_that_there_was_counts() {
        let (wreno, _) = names();
        let (series, tallies) = (Series::new(at(100)), Tallies::default());
        tallies.inbound(Some(&wreno), Inbound::Routed);
        let (seconds, came, _) = series.minute(at(103), &tallies);
        assert_eq!((seconds, came.received), (3.0, 1));
        let (seconds, came) = series.source_minute(&wreno, at(103), &tallies);
        assert_eq!((seconds, came.received), (3.0, 1));
    }
}
