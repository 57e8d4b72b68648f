//! What is kept of replays, pauses and configurations. Plain data; how a replay goes is not the store's business.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::filter::{DeliveryFilter, EventFilter};
use crate::delivery::{DeadReason, ReplayMark, ReplayMode, StateKind};
use crate::id::{DeliveryId, Digest, EventId, ReplayId, RouteName, SourceName, TargetName};
use crate::pattern::TypeGlob;
use crate::units::Rate;

/// Most bytes of a replay's filter as JSON, so that a replay fits into one row of the index.
pub const MAX_FILTER_BYTES: usize = 1024;

/// How a delivery is taken up again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revival {
    /// What it is marked with from then on.
    pub mark: ReplayMark,
    /// What is sent.
    pub body: RevivedBody,
}

/// What a delivery that is taken up again sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevivedBody {
    /// Its frozen body, if it has one.
    Keep,
    /// What is rendered at its next attempt; its frozen body counts no more.
    Anew,
}

impl Revival {
    /// By itself: the same body, of no replay.
    pub const PLAIN: Self = Self {
        mark: ReplayMark {
            job: None,
            mode: ReplayMode::Frozen,
            of: None,
        },
        body: RevivedBody::Keep,
    };

    /// By this replay, if any, in this mode.
    #[must_use]
    pub fn new(mode: ReplayMode, job: Option<ReplayId>) -> Self {
        Self {
            mark: ReplayMark {
                job,
                mode,
                of: None,
            },
            body: match mode {
                ReplayMode::Frozen => RevivedBody::Keep,
                ReplayMode::Rerender | ReplayMode::Reroute => RevivedBody::Anew,
            },
        }
    }
}

/// Which deliveries a replay takes up, or with [`ReplayMode::Reroute`] which events; as the API and the record have it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReplayFilter {
    /// Only of this source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceName>,
    /// Only of a type that this matches.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub event_type: Option<TypeGlob>,
    /// Only with this id of the sender's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// Only of this event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<EventId>,
    /// Only by this route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<RouteName>,
    /// Only to this target; when events are routed anew, only deliveries to it are made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetName>,
    /// Only of these states.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub states: BTreeSet<StateKind>,
    /// Only dead ones of this reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<DeadReason>,
    /// Only those that died rendering with another version of their route's template.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stale_template: bool,
    /// Only events that no route took.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unmatched: bool,
    /// Only made at this time or later.
    #[serde(with = "written", skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Only made before this time.
    #[serde(with = "written", skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl ReplayFilter {
    /// Whether it is a filter for this mode, and short enough to be kept.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn check(&self, mode: ReplayMode) -> Result<(), String> {
        if *self == Self::default() {
            return Err("an empty filter would take up everything; name what is meant".to_owned());
        }
        let named: &[(&str, bool)] = match mode {
            ReplayMode::Reroute => &[
                ("states", !self.states.is_empty()),
                ("reason", self.reason.is_some()),
                ("route", self.route.is_some()),
                ("stale_template", self.stale_template),
            ],
            ReplayMode::Frozen | ReplayMode::Rerender => &[("unmatched", self.unmatched)],
        };
        if let Some((name, _)) = named.iter().find(|(_, given)| *given) {
            let mode = mode.as_str();
            return Err(format!("`{name}` cannot stand in the filter with `{mode}`"));
        }
        let bytes = serde_json::to_vec(self).map_or(usize::MAX, |json| json.len());
        if bytes > MAX_FILTER_BYTES {
            return Err(format!(
                "a filter has at most {MAX_FILTER_BYTES} bytes as JSON, this one has {bytes}"
            ));
        }
        Ok(())
    }

    /// The deliveries that it is of; `templates` are the routes with the hash of the template that they have now.
    #[must_use]
    pub fn deliveries(&self, templates: &BTreeMap<RouteName, Digest>) -> DeliveryFilter {
        DeliveryFilter {
            states: self.states.clone(),
            target: self.target.clone(),
            route: self.route.clone(),
            reason: self.reason,
            event: self.event,
            source: self.source.clone(),
            event_type: self.event_type.clone(),
            message_id: self.message_id.clone(),
            replay: None,
            stale: self.stale_template.then(|| templates.clone()),
            since: self.since,
            until: self.until,
        }
    }

    /// The events that it is of when they are routed anew.
    #[must_use]
    pub fn events(&self) -> EventFilter {
        EventFilter {
            event: self.event,
            source: self.source.clone(),
            event_type: self.event_type.clone(),
            message_id: self.message_id.clone(),
            unmatched: self.unmatched.then_some(true),
            since: self.since,
            until: self.until,
            ..EventFilter::default()
        }
    }
}

/// A replay and how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayState {
    /// Its id.
    pub id: ReplayId,
    /// When it began.
    pub created_at: Timestamp,
    /// Who asked for it; at most 256 bytes are kept.
    pub created_by: String,
    /// How it takes up what it finds.
    pub mode: ReplayMode,
    /// What it takes up.
    pub filter: ReplayFilter,
    /// How many in a unit of time; `None` for as many as there are.
    pub rate: Option<Rate>,
    /// Whether it goes on.
    pub phase: ReplayPhase,
    /// How many there were when it began; `None` if too many to count.
    pub total: Option<u64>,
    /// How many it has gone through.
    pub done: u64,
    /// Deliveries that were made pending again.
    pub revived: u64,
    /// New deliveries.
    pub created: u64,
    /// Those that could not be taken up any more.
    pub skipped: u64,
    /// Those that could not be taken up for an error.
    pub failed: u64,
    /// What it has gone through last; it goes on behind that.
    pub cursor: Option<Cursor>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Why it failed; at most 256 bytes are kept.
    pub error: Option<String>,
}

impl ReplayState {
    /// One that begins: nothing is done yet, and how many there are is not known.
    #[must_use]
    pub fn begun(
        id: ReplayId,
        mode: ReplayMode,
        filter: ReplayFilter,
        created_by: &str,
        created_at: Timestamp,
    ) -> Self {
        Self {
            id,
            created_at,
            created_by: created_by.to_owned(),
            mode,
            filter,
            rate: None,
            phase: ReplayPhase::Running,
            total: None,
            done: 0,
            revived: 0,
            created: 0,
            skipped: 0,
            failed: 0,
            cursor: None,
            finished_at: None,
            error: None,
        }
    }
}

/// What a replay has gone through last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cursor {
    /// This delivery.
    Delivery(DeliveryId),
    /// This event, with [`ReplayMode::Reroute`].
    Event(EventId),
}

/// Whether a replay goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayPhase {
    /// It does.
    Running,
    /// It is through.
    Done,
    /// Somebody ended it.
    Cancelled,
    /// It cannot go on.
    Failed,
}

impl ReplayPhase {
    /// Its name in the API and in logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }
}

/// That a target waits until it is resumed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// Since when.
    pub since: Timestamp,
    /// Who paused it; at most 256 bytes are kept.
    pub by: String,
}

/// Times as RFC 3339 in UTC.
mod written {
    use jiff::Timestamp;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(time: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => to.collect_str(time),
            None => to.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
        let text = String::deserialize(from)?;
        let time = text
            .parse()
            .map_err(|_| D::Error::custom(format!("`{text}` is no time (RFC 3339)")))?;
        Ok(Some(time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_read_as_it_is_written() {
        let text = r#"{"source":"wreno","type":"vendor.*","states":["dead"],"reason":"render","stale_template":true,"since":"2026-01-05T10:00:00Z"}"#;
        let filter: ReplayFilter = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&filter).unwrap(), text);
        assert_eq!(filter.check(ReplayMode::Rerender), Ok(()));
        for text in [
            r#"{"sauce":"wreno"}"#,
            r#"{"since":"yesterday"}"#,
            r#"{"type":""}"#,
            r#"{"since":null}"#,
        ] {
            assert!(
                serde_json::from_str::<ReplayFilter>(text).is_err(),
                "{text}"
            );
        }
    }

    #[test]
    fn a_filter_must_fit_its_mode() {
        use ReplayMode::{Frozen, Reroute};
        for (mode, text, wrong) in [
            (Frozen, r#"{}"#, Some("empty")),
            (Frozen, r#"{"states":["dead"]}"#, None),
            (Frozen, r#"{"unmatched":true}"#, Some("unmatched")),
            (Reroute, r#"{"unmatched":true,"target":"erp"}"#, None),
            (Reroute, r#"{"route":"orders"}"#, Some("route")),
            (Reroute, r#"{"source":"a","reason":"gone"}"#, Some("reason")),
        ] {
            let filter: ReplayFilter = serde_json::from_str(text).unwrap();
            let checked = filter.check(mode);
            match wrong {
                None => assert_eq!(checked, Ok(()), "{text}"),
                Some(word) => assert!(checked.unwrap_err().contains(word), "{text}"),
            }
        }
        let filter = ReplayFilter {
            message_id: Some("x".repeat(2000)),
            ..ReplayFilter::default()
        };
        assert!(filter.check(Frozen).unwrap_err().contains("bytes"));
    }
}
