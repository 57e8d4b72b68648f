//! The query of a listing: which page, and which rows. Pure.
//!
//! What is unknown, doubled or malformed is refused, so that a slip of the pen does not list everything.

use std::str::FromStr;

use jiff::Timestamp;
use serde::de::value::Error as ValueError;
use serde::de::{DeserializeOwned, IntoDeserializer};

use crate::delivery::{DeadReason, ReplayMode, StateKind};
use crate::id::{AuditId, DeliveryId, EventId, ReplayId, RouteName, SourceName, TargetName};
use crate::live::{AttemptNews, EventNews, Place, Which, Window};
use crate::pattern::TypeGlob;
use crate::store::{DeliveryFilter, EventFilter};

/// Rows of a page unless the query says otherwise.
pub(super) const DEFAULT_LIMIT: usize = 50;

/// Most rows of a page.
pub(super) const MAX_LIMIT: usize = 500;

/// Why a query is refused, in words.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadQuery(pub(super) String);

/// Which page of a listing.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page<Id> {
    /// Only rows older than this one.
    pub(super) before: Option<Id>,
    /// How many.
    pub(super) limit: usize,
}

/// Most rows that one page of a listing looks at.
const BUDGET: usize = 20_000;

impl<Id> Page<Id> {
    /// How far the store looks for it.
    pub(super) fn window(self) -> crate::store::Window<Id> {
        crate::store::Window {
            past: self.before,
            limit: self.limit,
            budget: BUDGET,
        }
    }
}

/// All that a listing of events is filtered by, `limit` and `before`.
pub(super) fn events(query: &str) -> Result<(EventFilter, Page<EventId>), BadQuery> {
    let known = [
        "source",
        "type",
        "message_id",
        "route",
        "target",
        "state",
        "unmatched",
        "since",
        "until",
        "limit",
        "before",
    ];
    let mut fields = Fields::read(query, &known)?;
    let filter = EventFilter {
        event: None,
        source: fields.parse("source", "a name")?,
        event_type: fields.event_type()?,
        message_id: fields.message_id()?,
        route: fields.parse("route", "a name")?,
        target: fields.parse("target", "a name")?,
        state: fields.word("state")?,
        unmatched: fields.bool("unmatched")?,
        since: fields.time("since")?,
        until: fields.time("until")?,
    };
    Ok((filter, fields.page()?))
}

/// `limit` and `before`, of replays.
pub(super) fn replays(query: &str) -> Result<Page<ReplayId>, BadQuery> {
    let mut fields = Fields::read(query, &["limit", "before"])?;
    fields.page()
}

/// `target` and `reason`, of dead letters.
pub(super) fn dead(query: &str) -> Result<(Option<TargetName>, Option<DeadReason>), BadQuery> {
    let mut fields = Fields::read(query, &["target", "reason"])?;
    Ok((fields.parse("target", "a name")?, fields.word("reason")?))
}

/// `mode`, of one delivery.
pub(super) fn retry(query: &str) -> Result<ReplayMode, BadQuery> {
    let mut fields = Fields::read(query, &["mode"])?;
    match fields.word("mode")? {
        Some(ReplayMode::Reroute) => Err(BadQuery(
            "`mode` is frozen or rerender; an event can be rerouted, a delivery cannot".to_owned(),
        )),
        mode => Ok(mode.unwrap_or_default()),
    }
}

/// `limit` and `before`, of the audit log.
pub(super) fn audit(query: &str) -> Result<Page<AuditId>, BadQuery> {
    let mut fields = Fields::read(query, &["limit", "before"])?;
    fields.page()
}

/// All that a listing of deliveries is filtered by, `limit` and `before`.
pub(super) fn deliveries(query: &str) -> Result<(DeliveryFilter, Page<DeliveryId>), BadQuery> {
    let known = [
        "state",
        "target",
        "route",
        "reason",
        "source",
        "type",
        "message_id",
        "replay",
        "since",
        "until",
        "limit",
        "before",
    ];
    let mut fields = Fields::read(query, &known)?;
    let state: Option<StateKind> = fields.word("state")?;
    let filter = DeliveryFilter {
        states: state.into_iter().collect(),
        target: fields.parse("target", "a name")?,
        route: fields.parse("route", "a name")?,
        reason: fields.word("reason")?,
        event: None,
        source: fields.parse("source", "a name")?,
        event_type: fields.event_type()?,
        message_id: fields.message_id()?,
        replay: fields.parse("replay", "an id")?,
        stale: None,
        since: fields.time("since")?,
        until: fields.time("until")?,
    };
    Ok((filter, fields.page()?))
}

/// `route`, of samples.
pub(super) fn samples(query: &str) -> Result<Option<RouteName>, BadQuery> {
    let mut fields = Fields::read(query, &["route"])?;
    fields.parse("route", "a name")
}

/// What of the stream, or of the last attempts, is asked for.
#[derive(Debug)]
pub(super) struct StreamFilter {
    events: bool,
    attempts: bool,
    source: Option<SourceName>,
    event_type: Option<TypeGlob>,
    route: Option<RouteName>,
    target: Option<TargetName>,
    ok: Option<bool>,
}

/// What [`StreamFilter`] is made of, but for the kinds.
const FILTER: [&str; 5] = ["source", "type", "route", "target", "ok"];

impl StreamFilter {
    fn read(fields: &mut Fields) -> Result<Self, BadQuery> {
        Ok(Self {
            events: true,
            attempts: true,
            source: fields.parse("source", "a name")?,
            event_type: fields.event_type()?,
            route: fields.parse("route", "a name")?,
            target: fields.parse("target", "a name")?,
            ok: fields.bool("ok")?,
        })
    }

    fn takes(&self, source: &SourceName, event_type: &str) -> bool {
        self.source.as_ref().is_none_or(|wanted| wanted == source)
            && self
                .event_type
                .as_ref()
                .is_none_or(|glob| glob.matches(event_type))
    }

    fn goes(&self, route: &RouteName, target: &TargetName) -> bool {
        self.route.as_ref().is_none_or(|wanted| wanted == route)
            && self.target.as_ref().is_none_or(|wanted| wanted == target)
    }

    /// Whether an event passes: one of its deliveries must, where route or target are given.
    pub(super) fn takes_event(&self, event: &EventNews) -> bool {
        let goes = || {
            let mut deliveries = event.deliveries.iter();
            deliveries.any(|(_, route, target)| self.goes(route, target))
        };
        let anywhere = self.route.is_none() && self.target.is_none();
        self.events && self.takes(&event.source, &event.event_type) && (anywhere || goes())
    }

    /// Whether an attempt passes.
    pub(super) fn takes_attempt(&self, attempt: &AttemptNews) -> bool {
        let ok = attempt.result.is_success();
        self.attempts
            && self.takes(&attempt.source, &attempt.event_type)
            && self.goes(&attempt.route, &attempt.target)
            && self.ok.is_none_or(|wanted| wanted == ok)
    }
}

/// `kinds`, `source`, `type`, `route`, `target` and `ok`.
pub(super) fn stream(query: &str) -> Result<StreamFilter, BadQuery> {
    let [source, kind, route, target, ok] = FILTER;
    let mut fields = Fields::read(query, &["kinds", source, kind, route, target, ok])?;
    let mut filter = StreamFilter::read(&mut fields)?;
    if let Some(kinds) = fields.take("kinds") {
        let kinds: Vec<&str> = kinds.split(',').collect();
        let known = |kind: &&str| matches!(*kind, "event" | "attempt");
        if kinds.len() > 2 || !kinds.iter().all(known) {
            return Err(BadQuery(
                "`kinds` is `event`, `attempt`, or both with a comma between them".to_owned(),
            ));
        }
        filter.events = kinds.contains(&"event");
        filter.attempts = kinds.contains(&"attempt");
    }
    Ok(filter)
}

/// `source`, `type`, `route`, `target`, `ok`, `limit` and `before`.
pub(super) fn attempts(query: &str) -> Result<(StreamFilter, Page<Place>), BadQuery> {
    let [source, kind, route, target, ok] = FILTER;
    let known = [source, kind, route, target, ok, "limit", "before"];
    let mut fields = Fields::read(query, &known)?;
    Ok((StreamFilter::read(&mut fields)?, fields.page()?))
}

/// `window`, and one of `source` and `target`.
pub(super) fn series(query: &str) -> Result<(Window, Which), BadQuery> {
    let mut fields = Fields::read(query, &["window", "source", "target"])?;
    let window = match fields.take("window").as_deref() {
        None | Some("1h") => Window::Hour,
        Some("24h") => Window::Day,
        Some(other) => {
            return Err(BadQuery(format!("`window` is 1h or 24h, not `{other}`")));
        }
    };
    let source: Option<SourceName> = fields.parse("source", "a name")?;
    let target: Option<TargetName> = fields.parse("target", "a name")?;
    let which = match (source, target) {
        (None, None) => Which::All,
        (Some(name), None) => Which::Source(name),
        (None, Some(name)) => Which::Target(name),
        (Some(_), Some(_)) => {
            return Err(BadQuery(
                "`source` and `target` exclude each other".to_owned(),
            ));
        }
    };
    Ok((window, which))
}

/// No parameters at all.
pub(super) fn nothing(query: &str) -> Result<(), BadQuery> {
    Fields::read(query, &[]).map(|_| ())
}

/// `skip_tests`.
pub(super) fn reload(query: &str) -> Result<bool, BadQuery> {
    let mut fields = Fields::read(query, &["skip_tests"])?;
    Ok(fields.bool("skip_tests")?.unwrap_or(false))
}

struct Fields(Vec<(String, String)>);

impl Fields {
    fn read(query: &str, known: &[&str]) -> Result<Self, BadQuery> {
        let mut fields: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if !known.contains(&name.as_ref()) {
                let known = match known {
                    [] => "none".to_owned(),
                    known => known.join(", "),
                };
                return Err(BadQuery(format!(
                    "no parameter is named `{name}` (known: {known})"
                )));
            }
            if fields.iter().any(|(earlier, _)| *earlier == name) {
                return Err(BadQuery(format!("`{name}` is given twice")));
            }
            fields.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(fields))
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(found, _)| found == name)?;
        Some(self.0.swap_remove(at).1)
    }

    fn parse<T: FromStr>(&mut self, name: &str, what: &str) -> Result<Option<T>, BadQuery> {
        match self.take(name) {
            None => Ok(None),
            Some(text) => match text.parse() {
                Ok(value) => Ok(Some(value)),
                Err(_) => Err(BadQuery(format!("`{name}` must be {what}"))),
            },
        }
    }

    fn bool(&mut self, name: &str) -> Result<Option<bool>, BadQuery> {
        match self.take(name).as_deref() {
            None => Ok(None),
            Some("false") => Ok(Some(false)),
            Some("true") => Ok(Some(true)),
            Some(other) => Err(BadQuery(format!(
                "`{name}` is true or false, not `{other}`"
            ))),
        }
    }

    /// A word of a closed list.
    fn word<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, BadQuery> {
        let Some(text) = self.take(name) else {
            return Ok(None);
        };
        let read = T::deserialize(text.as_str().into_deserializer());
        read.map(Some)
            .map_err(|error: ValueError| BadQuery(format!("`{name}`: {error}")))
    }

    fn event_type(&mut self) -> Result<Option<TypeGlob>, BadQuery> {
        let Some(text) = self.take("type") else {
            return Ok(None);
        };
        let glob = text.parse().map(Some);
        glob.map_err(|error| BadQuery(format!("`type`: {error}")))
    }

    fn message_id(&mut self) -> Result<Option<String>, BadQuery> {
        match self.take("message_id") {
            Some(id) if id.is_empty() => Err(BadQuery("`message_id` is empty".to_owned())),
            id => Ok(id),
        }
    }

    fn time(&mut self, name: &str) -> Result<Option<Timestamp>, BadQuery> {
        self.parse(name, "a time (RFC 3339, such as 2026-01-05T10:00:00Z)")
    }

    fn page<Id: FromStr>(&mut self) -> Result<Page<Id>, BadQuery> {
        let limit = self.parse("limit", "a number")?.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(BadQuery(format!("`limit` must be from 1 to {MAX_LIMIT}")));
        }
        Ok(Page {
            before: self.parse("before", "an id")?,
            limit,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_refused() {
        for query in [
            "limit=0",
            "limit=501",
            "limit=-1",
            "limit=ten",
            "limit=",
            "before=x",
            "stat=dead",
            "state=Dead",
            "state=",
            "target=a%2Fb",
            "route=",
            "reason=tired",
            "type=",
            "message_id=",
            "since=yesterday",
            "until=2026-01-05",
            "replay=7",
            "unmatched=true",
            "state=dead&state=dead",
            "limit=5&limit=5",
        ] {
            assert!(deliveries(query).is_err(), "{query}");
        }
        for query in ["reason=render", "unmatched=1", "state=old", "replay=x"] {
            assert!(events(query).is_err(), "{query}");
        }
        for query in ["mode=reroute", "mode=", "mode=Frozen", "x=1"] {
            assert!(retry(query).is_err(), "{query}");
        }
        assert!(dead("state=dead").is_err());
        let BadQuery(words) = deliveries("state=old").unwrap_err();
        assert!(words.contains("`pending`, `delivered`"), "{words}");
    }

    #[test]
    fn streams_and_series_are_asked_for_strictly() {
        for query in [
            "kinds=",
            "kinds=events",
            "kinds=event,",
            "ok=yes",
            "type=",
            "state=dead",
            "limit=5",
        ] {
            assert!(stream(query).is_err(), "{query}");
        }
        for (query, events, attempts) in [
            ("", true, true),
            ("kinds=event", true, false),
            ("kinds=attempt,event&ok=true&type=vendor.*", true, true),
        ] {
            let filter = stream(query).unwrap();
            assert_eq!(
                (filter.events, filter.attempts),
                (events, attempts),
                "{query}"
            );
        }
        for query in ["window=2h", "source=a&target=b", "source=", "kinds=event"] {
            assert!(series(query).is_err(), "{query}");
        }
        let erp = Which::Target("erp".parse().unwrap());
        assert_eq!(series("window=24h&target=erp").unwrap(), (Window::Day, erp));
        assert!(attempts("before=x").is_err());
        assert_eq!(attempts("ok=false&limit=7&before=a1-7").unwrap().1.limit, 7);
    }

    #[test]
    fn what_is_right_is_read() {
        let id = DeliveryId::generate();
        let job = ReplayId::generate();
        let query = format!(
            "state=dead&target=er%70&route=all&reason=render&source=s&type=a.*&message_id=m%201&replay={job}\
             &since=2026-01-05T10:00:00Z&until=2026-01-05T11:00:00%2B01:00&limit=500&before={id}"
        );
        let (filter, page) = deliveries(&query).unwrap();
        let wanted = DeliveryFilter {
            states: [StateKind::Dead].into(),
            target: "erp".parse().ok(),
            route: "all".parse().ok(),
            reason: Some(DeadReason::Render),
            event: None,
            source: "s".parse().ok(),
            event_type: "a.*".parse().ok(),
            message_id: Some("m 1".to_owned()),
            replay: Some(job),
            stale: None,
            since: "2026-01-05T10:00:00Z".parse().ok(),
            until: "2026-01-05T10:00:00Z".parse().ok(),
        };
        assert_eq!(filter, wanted);
        let before = Some(id);
        assert_eq!(page, Page { before, limit: 500 });
        let (before, limit) = (None, DEFAULT_LIMIT);
        let (filter, page) = events("").unwrap();
        assert_eq!(
            (filter, page),
            (EventFilter::default(), Page { before, limit })
        );
        let (filter, _) = events("unmatched=false&state=pending").unwrap();
        let wanted = EventFilter {
            unmatched: Some(false),
            state: Some(StateKind::Pending),
            ..EventFilter::default()
        };
        assert_eq!(filter, wanted);
        assert_eq!(retry("").unwrap(), ReplayMode::Frozen);
        assert_eq!(retry("mode=rerender").unwrap(), ReplayMode::Rerender);
        let wanted = ("t".parse().ok(), Some(DeadReason::Gone));
        assert_eq!(dead("reason=gone&target=t").unwrap(), wanted);
    }
}
