//! Retry timing. Pure: no clock, no sleep. Attempts count from 1.
//!
//! The first attempt is immediate; a `schedule` lists the delays after it. A policy as it is written ends by
//! `attempts` or `max_age` only: a schedule without either goes on for ever with its last delay. The presets
//! that are schedules end with their last delay (`attempts` is one more than the delays). Not here: whether
//! to retry at all (see `delivery`).

mod record;

use std::time::Duration;

use crate::units::parse_duration;

pub use record::{RetryFields, RetryRecord};

/// The longest single delay, with or without jitter: more is taken for a slip of the pen, and times beyond it
/// could not be told from "never".
pub const MAX_DELAY: Duration = Duration::from_secs(366 * 24 * 3600);

/// What an exponential backoff grows to unless its `max` says otherwise.
pub const DEFAULT_MAX: Duration = Duration::from_secs(24 * 3600);

/// By what an exponential backoff grows unless its `factor` says otherwise.
pub const DEFAULT_FACTOR: f64 = 2.0;

/// Most delays that a schedule may list: more is better said by an exponential backoff.
pub const MAX_SCHEDULE: usize = 1000;

/// The names of the presets.
pub const PRESETS: [&str; 5] = ["wreno", "compliancely", "wismolabs", "svix", "standard"];

/// The preset of targets that name none.
pub const DEFAULT_PRESET: &str = "standard";

/// When the next attempt is made, and when there is none.
#[derive(Debug, Clone, PartialEq)]
pub struct RetryPolicy {
    timing: Timing,
    /// Most attempts in all, the first one counted.
    attempts: Option<u32>,
    /// No attempt later than this after the first was due.
    max_age: Option<Duration>,
    /// Share of a delay by which it may vary, 0 to 1.
    jitter: f64,
}

#[derive(Debug, Clone, PartialEq)]
enum Timing {
    /// Never empty; past its end the last delay repeats.
    Schedule(Vec<Duration>),
    Exponential {
        initial: Duration,
        factor: f64,
        max: Duration,
    },
}

/// Why a record is no policy.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct RetryError {
    /// The field of the record, e.g. `schedule[1]`; empty for the whole.
    pub path: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl RetryPolicy {
    /// Compiles a record.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn compile(record: &RetryRecord) -> Result<Self, Vec<RetryError>> {
        match record {
            RetryRecord::Preset(name) => Self::preset(name).ok_or_else(|| {
                vec![RetryError {
                    path: String::new(),
                    message: format!(
                        "no retry preset named {name:?} (known: {})",
                        PRESETS.join(", ")
                    ),
                }]
            }),
            RetryRecord::Custom(fields) => compile_fields(fields),
        }
    }

    /// The preset of this name. `wreno`: 2 s doubling, 10 attempts in all. `compliancely`: 3 min, 6 min.
    /// `wismolabs` and `svix`: 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 10 h. `standard`: as those, then 14 h, 20 h
    /// and 24 h in place of the last, with a jitter of 0.2.
    #[must_use]
    pub fn preset(name: &str) -> Option<Self> {
        const S: u64 = 1;
        const MIN: u64 = 60 * S;
        const H: u64 = 60 * MIN;
        match name {
            "wreno" => Some(Self {
                timing: Timing::Exponential {
                    initial: Duration::from_secs(2),
                    factor: 2.0,
                    max: DEFAULT_MAX,
                },
                attempts: Some(10),
                max_age: None,
                jitter: 0.0,
            }),
            "compliancely" => Some(Self::whole_schedule(&[3 * MIN, 6 * MIN], 0.0)),
            "wismolabs" | "svix" => Some(Self::whole_schedule(
                &[5 * S, 5 * MIN, 30 * MIN, 2 * H, 5 * H, 10 * H, 10 * H],
                0.0,
            )),
            "standard" => Some(Self::whole_schedule(
                &[
                    5 * S,
                    5 * MIN,
                    30 * MIN,
                    2 * H,
                    5 * H,
                    10 * H,
                    14 * H,
                    20 * H,
                    24 * H,
                ],
                0.2,
            )),
            _ => None,
        }
    }

    fn whole_schedule(seconds: &[u64], jitter: f64) -> Self {
        let delays: Vec<Duration> = seconds.iter().copied().map(Duration::from_secs).collect();
        Self {
            attempts: u32::try_from(delays.len() + 1).ok(),
            timing: Timing::Schedule(delays),
            max_age: None,
            jitter,
        }
    }

    /// How long to wait after the attempt number `made`, `age` after the delivery started; `None` if that was the last one.
    #[must_use]
    pub fn delay(&self, made: u32, age: Duration, rng: &mut fastrand::Rng) -> Option<Duration> {
        if self.attempts.is_some_and(|most| made >= most) {
            return None;
        }
        let plain = self.timing.after(made);
        let delay = if self.jitter > 0.0 {
            let share = self.jitter * (2.0 * rng.f64() - 1.0);
            scale(plain, 1.0 + share)
        } else {
            plain
        };
        match self.max_age {
            Some(most) if age.saturating_add(delay) > most => None,
            _ => Some(delay),
        }
    }
}

impl Timing {
    /// The delay after the attempt number `made`, without jitter.
    fn after(&self, made: u32) -> Duration {
        let index = made.saturating_sub(1);
        match self {
            Self::Schedule(delays) => usize::try_from(index)
                .ok()
                .and_then(|index| delays.get(index))
                .or(delays.last())
                .copied()
                .unwrap_or(MAX_DELAY),
            Self::Exponential {
                initial,
                factor,
                max,
            } => {
                let power = i32::try_from(index).unwrap_or(i32::MAX);
                scale(*initial, factor.powi(power)).min(*max)
            }
        }
    }
}

/// `delay` times `factor`, held between zero and [`MAX_DELAY`].
fn scale(delay: Duration, factor: f64) -> Duration {
    let seconds = delay.as_secs_f64() * factor;
    if seconds.is_nan() || seconds <= 0.0 {
        return Duration::ZERO;
    }
    Duration::try_from_secs_f64(seconds).map_or(MAX_DELAY, |scaled| scaled.min(MAX_DELAY))
}

fn compile_fields(fields: &RetryFields) -> Result<RetryPolicy, Vec<RetryError>> {
    let mut errors = Vec::new();
    let timing = match (&fields.schedule, &fields.initial) {
        (Some(schedule), None) => {
            for (name, given) in [
                ("factor", fields.factor.is_some()),
                ("max", fields.max.is_some()),
            ] {
                if given {
                    errors.push(error(
                        name,
                        format!("`{name}` goes with `initial`, not with `schedule`"),
                    ));
                }
            }
            compile_schedule(schedule, &mut errors)
        }
        (None, Some(initial)) => compile_exponential(initial, fields, &mut errors),
        (Some(_), Some(_)) => {
            errors.push(error(
                "initial",
                "`schedule` and `initial` exclude each other",
            ));
            None
        }
        (None, None) => {
            errors.push(error(
                "",
                "either `schedule` or `initial` is needed, as in {schedule: [5s, 5m]} or {initial: 2s, factor: 2, max: 1h}",
            ));
            None
        }
    };
    if fields.attempts == Some(0) {
        errors.push(error(
            "attempts",
            "at least 1: the first attempt is counted",
        ));
    }
    let max_age = fields
        .max_age
        .as_deref()
        .and_then(|text| duration("max_age", text, &mut errors));
    let jitter = fields.jitter.unwrap_or(0.0);
    if !(0.0..=1.0).contains(&jitter) {
        errors.push(error(
            "jitter",
            format!("{jitter} is not between 0 and 1, the share by which a delay may vary"),
        ));
    }
    match timing {
        Some(timing) if errors.is_empty() => Ok(RetryPolicy {
            timing,
            attempts: fields.attempts,
            max_age,
            jitter,
        }),
        _ => Err(errors),
    }
}

fn compile_schedule(schedule: &[String], errors: &mut Vec<RetryError>) -> Option<Timing> {
    if schedule.is_empty() || schedule.len() > MAX_SCHEDULE {
        errors.push(error(
            "schedule",
            format!(
                "a schedule has 1 to {MAX_SCHEDULE} delays, this one has {}",
                schedule.len()
            ),
        ));
        return None;
    }
    let delays: Vec<Duration> = schedule
        .iter()
        .enumerate()
        .filter_map(|(i, text)| delay(&format!("schedule[{i}]"), text, errors))
        .collect();
    (delays.len() == schedule.len()).then_some(Timing::Schedule(delays))
}

fn compile_exponential(
    initial: &str,
    fields: &RetryFields,
    errors: &mut Vec<RetryError>,
) -> Option<Timing> {
    let factor = fields.factor.unwrap_or(DEFAULT_FACTOR);
    if !(factor.is_finite() && factor >= 1.0) {
        errors.push(error(
            "factor",
            format!("{factor} is not a number of 1 or more"),
        ));
    }
    let initial = delay("initial", initial, errors);
    if initial == Some(Duration::ZERO) {
        errors.push(error("initial", "a delay of zero never grows"));
    }
    let max = match &fields.max {
        Some(text) => delay("max", text, errors),
        None => initial.map(|initial| initial.max(DEFAULT_MAX)),
    };
    let (initial, max) = (initial?, max?);
    if initial > max {
        errors.push(error("max", "`max` is less than `initial`"));
    }
    Some(Timing::Exponential {
        initial,
        factor,
        max,
    })
}

fn delay(path: &str, text: &str, errors: &mut Vec<RetryError>) -> Option<Duration> {
    let delay = duration(path, text, errors)?;
    if delay > MAX_DELAY {
        errors.push(error(path, format!("`{text}` is longer than a year")));
        return None;
    }
    Some(delay)
}

fn duration(path: &str, text: &str, errors: &mut Vec<RetryError>) -> Option<Duration> {
    parse_duration(text)
        .map_err(|e| errors.push(error(path, e.to_string())))
        .ok()
}

fn error(path: &str, message: impl Into<String>) -> RetryError {
    RetryError {
        path: path.to_owned(),
        message: message.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(json: &str) -> RetryRecord {
        serde_json::from_str(json).unwrap()
    }

    fn plain_seconds(policy: &RetryPolicy, most: u32) -> Vec<u64> {
        let mut rng = fastrand::Rng::with_seed(1);
        let plain = RetryPolicy {
            jitter: 0.0,
            ..policy.clone()
        };
        (1..=most)
            .map_while(|made| plain.delay(made, Duration::ZERO, &mut rng))
            .map(|delay| delay.as_secs())
            .collect()
    }

    #[test]
    fn presets_have_the_documented_delays() {
        for (name, wanted) in [
            ("wreno", vec![2, 4, 8, 16, 32, 64, 128, 256, 512]),
            ("compliancely", vec![180, 360]),
            ("wismolabs", vec![5, 300, 1800, 7200, 18000, 36000, 36000]),
            ("svix", vec![5, 300, 1800, 7200, 18000, 36000, 36000]),
            (
                "standard",
                vec![5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400],
            ),
        ] {
            let policy = RetryPolicy::preset(name).unwrap();
            assert_eq!(plain_seconds(&policy, 100), wanted, "{name}");
        }
        assert_eq!(RetryPolicy::preset("standard").unwrap().jitter, 0.2);
        assert!(
            PRESETS
                .iter()
                .all(|name| RetryPolicy::preset(name).is_some())
        );
        assert_eq!(RetryPolicy::preset("other"), None);
        assert!(RetryPolicy::compile(&RetryRecord::default()).is_ok());
    }

    #[test]
    fn written_policies() {
        for (json, first) in [
            (r#""compliancely""#, vec![180, 360]),
            // a bare schedule never ends by itself
            (r#"{"schedule": ["1s", "3s"]}"#, vec![1, 3, 3, 3, 3, 3]),
            (r#"{"schedule": ["1s", "3s"], "attempts": 3}"#, vec![1, 3]),
            (r#"{"schedule": ["1s", "3s"], "attempts": 1}"#, vec![]),
            (r#"{"schedule": ["1s", "1h"], "max_age": "30m"}"#, vec![1]),
            (
                r#"{"initial": "2s", "factor": 3, "max": "20s"}"#,
                vec![2, 6, 18, 20, 20, 20],
            ),
            (
                r#"{"initial": "12h"}"#,
                vec![43200, 86400, 86400, 86400, 86400, 86400],
            ),
            (
                r#"{"initial": "2s", "factor": 1.5, "attempts": 4}"#,
                vec![2, 3, 4],
            ),
        ] {
            let policy = RetryPolicy::compile(&record(json)).unwrap();
            assert_eq!(plain_seconds(&policy, 6), first, "{json}");
        }
    }

    #[test]
    fn max_age_counts_from_the_start() {
        let policy = RetryPolicy::compile(&record(
            r#"{"initial": "2s", "factor": 1, "max_age": "10s"}"#,
        ))
        .unwrap();
        let mut rng = fastrand::Rng::with_seed(1);
        let two = Some(Duration::from_secs(2));
        assert_eq!(policy.delay(1, Duration::from_secs(8), &mut rng), two);
        assert_eq!(policy.delay(1, Duration::from_secs(9), &mut rng), None);
        assert_eq!(policy.delay(1, Duration::MAX, &mut rng), None);
    }

    #[test]
    fn mistakes_are_all_named() {
        for (json, wanted) in [
            (r#""wrenno""#, vec![""]),
            (r#"{}"#, vec![""]),
            (r#"{"schedule": []}"#, vec!["schedule"]),
            (
                r#"{"schedule": ["5s", "5", "x"], "attempts": 0, "jitter": 1.5}"#,
                vec!["schedule[1]", "schedule[2]", "attempts", "jitter"],
            ),
            (r#"{"schedule": ["5s"], "initial": "2s"}"#, vec!["initial"]),
            (
                r#"{"schedule": ["5s"], "factor": 2, "max": "1h"}"#,
                vec!["factor", "max"],
            ),
            (
                r#"{"initial": "2s", "factor": 0.5, "max": "1s", "max_age": "soon"}"#,
                vec!["factor", "max", "max_age"],
            ),
            (r#"{"initial": "0s"}"#, vec!["initial"]),
            (r#"{"initial": "800d"}"#, vec!["initial"]),
        ] {
            let errors = RetryPolicy::compile(&record(json)).unwrap_err();
            let paths: Vec<&str> = errors.iter().map(|e| e.path.as_str()).collect();
            assert_eq!(paths, wanted, "{json}");
        }
        let wrong = serde_json::from_str::<RetryRecord>("5").unwrap_err();
        assert!(wrong.to_string().contains("retry preset"), "{wrong}");
    }

    #[test]
    fn records_are_written_as_they_were_read() {
        for json in [
            r#""wreno""#,
            r#"{"schedule":["5s","5m"],"jitter":0.5}"#,
            r#"{"initial":"2s","factor":2.0,"max":"1h","attempts":10,"max_age":"3d"}"#,
        ] {
            assert_eq!(serde_json::to_string(&record(json)).unwrap(), json);
        }
    }

    proptest! {
        /// No input overflows or panics; jitter stays within its share; a policy without an end has none.
        #[test]
        fn delays_stay_in_bounds(
            initial_ms in 1_u64..=31_000_000_000,
            factor in 1.0_f64..1e9,
            jitter in 0.0_f64..=1.0,
            made in 0_u32..,
            age_s in any::<u64>(),
            seed in any::<u64>(),
        ) {
            let initial = Duration::from_millis(initial_ms);
            let max = initial.max(DEFAULT_MAX);
            let policy = RetryPolicy {
                timing: Timing::Exponential { initial, factor, max },
                attempts: None,
                max_age: None,
                jitter,
            };
            let mut rng = fastrand::Rng::with_seed(seed);
            let plain = policy.timing.after(made);
            prop_assert!(plain >= initial && plain <= max);
            let delay = policy.delay(made, Duration::from_secs(age_s), &mut rng);
            let delay = delay.expect("no end");
            let slack = Duration::from_millis(1);
            prop_assert!(delay <= scale(plain, 1.0 + jitter) + slack);
            prop_assert!(delay + slack >= scale(plain, 1.0 - jitter).min(MAX_DELAY));
            prop_assert!(delay <= MAX_DELAY);
        }
    }
}
