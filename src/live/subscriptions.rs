//! Subscriptions that wait to be confirmed, until an operator does so or they lapse.
//!
//! Promise: bounded, in memory, and what confirms one is never shown.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::id::SourceName;
use crate::secret::Secret;

/// How long SNS lets one be confirmed.
const LIFE: Duration = Duration::from_secs(3 * 24 * 3600);

/// Most that wait at a source; each is of a topic that the configuration names.
const MOST: usize = 16;

/// A subscription that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unconfirmed {
    /// The ARN of the topic.
    pub topic: String,
    /// The URL that confirms it.
    pub url: Secret,
    /// Until when it can be confirmed.
    pub until: Timestamp,
}

/// All that wait, by source.
#[derive(Debug, Default)]
pub struct Subscriptions(Mutex<BTreeMap<SourceName, Vec<Unconfirmed>>>);

impl Subscriptions {
    /// Has one wait, in place of an older one of the same topic.
    pub fn wait(&self, source: &SourceName, topic: &str, url: Secret, now: Timestamp) {
        let mut all = self.lock();
        let waiting = all.entry(source.clone()).or_default();
        waiting.retain(|one| one.until > now && one.topic != topic);
        if waiting.len() == MOST {
            waiting.remove(0);
        }
        waiting.push(Unconfirmed {
            topic: topic.to_owned(),
            url,
            until: now + LIFE,
        });
    }

    /// Those of a source that wait, oldest first.
    #[must_use]
    pub fn of(&self, source: &SourceName, now: Timestamp) -> Vec<Unconfirmed> {
        let all = self.lock();
        let waiting = all.get(source).into_iter().flatten();
        waiting.filter(|one| one.until > now).cloned().collect()
    }

    /// Has one wait no more.
    pub fn done(&self, source: &SourceName, of: &Unconfirmed) {
        if let Some(waiting) = self.lock().get_mut(source) {
            waiting.retain(|one| one != of);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SourceName, Vec<Unconfirmed>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_a_topic_waits_for_three_days() {
        let (waiting, source) = (Subscriptions::default(), "sns".parse().unwrap());
        let at = |second| Timestamp::from_second(second).unwrap();
        for (topic, url) in [("a", "1"), ("b", "2"), ("a", "3")] {
            waiting.wait(&source, topic, Secret::new(url), at(0));
        }
        let topics = |now| {
            let of = waiting.of(&source, at(now)).into_iter();
            of.map(|one| one.topic).collect::<Vec<_>>()
        };
        assert_eq!(topics(0), ["b", "a"]);
        assert_eq!(topics(3 * 86400), [""; 0]);
        let last = waiting.of(&source, at(0)).pop().unwrap();
        assert_eq!(last.url, Secret::new("3"));
        waiting.done(&source, &last);
        assert_eq!(topics(0), ["b"]);
        for n in 0..2 * MOST {
            waiting.wait(&source, &n.to_string(), Secret::new(""), at(0));
        }
        assert_eq!(topics(0).len(), MOST);
    }
}
