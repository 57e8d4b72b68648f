//! The instances that share a store, and whether they go by the same configuration.
//!
//! Promise: of several configurations the one that came into force last is the one to go by, so that whoever has another
//! differs from it; that is said in the log once for each change. Not here: how instances keep out of each other's way
//! (see `store`), what the API shows of them (see `admin`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::id::Digest;
use crate::store::{Instance, Store};

/// How often is looked whether the configurations differ. Only what two looks have found is said: while a change is rolled
/// out they differ for a moment.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// An instance, seen among the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The instance.
    pub instance: Instance,
    /// Whether it goes by another configuration than the one that came into force last.
    pub differs: bool,
}

/// The instances as they stand to each other. One that has not told its configuration yet does not differ.
#[must_use]
pub fn members(instances: Vec<Instance>) -> Vec<Member> {
    let plans = instances.iter().filter_map(|instance| instance.plan);
    let newest = plans.max_by_key(|(number, _)| *number);
    let wanted = newest.map(|(_, fingerprint)| fingerprint);
    let member = |instance: Instance| Member {
        differs: instance.plan.is_some_and(|(_, own)| Some(own) != wanted),
        instance,
    };
    instances.into_iter().map(member).collect()
}

/// Says in the log when instances go by different configurations, and when they do no more; does not end by itself.
pub async fn watch(store: Arc<dyn Store>) {
    let mut watcher = Watcher::default();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let members = match store.fleet().await {
            Ok(Some(instances)) => members(instances),
            Ok(None) => return,
            Err(error) => {
                tracing::debug!(%error, "which instances share the store is not known now");
                continue;
            }
        };
        match watcher.look(&members) {
            Some(News::Differ(names)) => tracing::warn!(
                instances = names,
                "instances go by another configuration than the one that came into force last; `ingate fleet` shows all"
            ),
            Some(News::Agree) => {
                tracing::info!("all instances go by the same configuration again");
            }
            None => {}
        }
    }
}

/// What there is to say.
#[derive(Debug, PartialEq, Eq)]
enum News {
    /// These differ.
    Differ(String),
    /// None does any more.
    Agree,
}

/// Instances that differ, by number, with their name and what they go by.
type Differing = BTreeMap<u64, (String, Digest)>;

/// Finds what is news.
#[derive(Debug, Default)]
struct Watcher {
    /// What the last look found.
    seen: Differing,
    /// What was said last.
    told: Differing,
}

impl Watcher {
    fn look(&mut self, members: &[Member]) -> Option<News> {
        let differing = members.iter().filter(|member| member.differs);
        let found: Differing = differing
            .filter_map(|Member { instance, .. }| {
                let (_, fingerprint) = instance.plan?;
                Some((instance.id, (instance.name.clone(), fingerprint)))
            })
            .collect();
        let before = std::mem::replace(&mut self.seen, found);
        if before != self.seen || self.told == self.seen {
            return None;
        }
        self.told.clone_from(&self.seen);
        if self.told.is_empty() {
            return Some(News::Agree);
        }
        let names: Vec<&str> = self.told.values().map(|(name, _)| name.as_str()).collect();
        Some(News::Differ(names.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    /// Instances with the number and a letter for the fingerprint of their configurations.
    fn fleet(plans: &[Option<(u64, u8)>]) -> Vec<Member> {
        let instance = |(id, plan): (u64, &Option<(u64, u8)>)| Instance {
            id,
            name: format!("host-{id}"),
            this: id == 1,
            version: "1".to_owned(),
            started_at: Timestamp::UNIX_EPOCH,
            silent: Duration::ZERO,
            plan: plan.map(|(number, letter)| (number, Digest::from_bytes([letter; 32]))),
            owns: Vec::new(),
            down: Vec::new(),
        };
        members((1..).zip(plans).map(instance).collect())
    }

    #[test]
    fn who_goes_by_an_older_configuration_differs() {
        for (plans, wanted) in [
            (&[][..], &[][..]),
            (&[None], &[false]),
            (&[Some((3, b'a'))], &[false]),
            (&[Some((3, b'a')), None], &[false, false]),
            (&[Some((3, b'a')), Some((4, b'b'))], &[true, false]),
            // the same files have come into force once more, behind others
            (
                &[Some((3, b'a')), Some((4, b'b')), Some((5, b'a'))],
                &[false, true, false],
            ),
        ] {
            let differ: Vec<bool> = fleet(plans).iter().map(|member| member.differs).collect();
            assert_eq!(differ, wanted, "{plans:?}");
        }
    }

    #[test]
    fn a_difference_is_news_once_and_only_if_it_lasts() {
        let (same, other) = (Some((1, b'a')), Some((2, b'b')));
        let mut watcher = Watcher::default();
        let mut look = |plans: &[Option<(u64, u8)>]| watcher.look(&fleet(plans));
        assert_eq!(look(&[same, same]), None);
        assert_eq!(look(&[same, other]), None, "it may be rolled out just now");
        assert_eq!(look(&[other, other]), None);
        assert_eq!(look(&[same, other]), None);
        let first = News::Differ("host-1".to_owned());
        assert_eq!(look(&[same, other]), Some(first));
        assert_eq!(look(&[same, other]), None);
        assert_eq!(look(&[same, other, same]), None);
        let both = News::Differ("host-1, host-3".to_owned());
        assert_eq!(look(&[same, other, same]), Some(both));
        assert_eq!(look(&[other, other]), None);
        assert_eq!(look(&[other, other]), Some(News::Agree));
        assert_eq!(look(&[other, other]), None);
    }
}
