//! What each route says to an event.

use serde::Serialize;

use crate::event::Event;
use crate::id::RouteName;
use crate::json::Document;
use crate::pattern::Subject;
use crate::plan::{NotTaken, Plan, Route};
use crate::redact::{REDACTED, Shown, View};

/// What each route says to an event, by the configuration in force now.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct RoutingShape {
    /// The configuration by which it was routed; null for an event that an older version has stored.
    generation: Option<u64>,
    /// The configuration by which `routes` is told.
    now: u64,
    /// Whether both are the same.
    same: bool,
    /// The routes, in the order of the configuration.
    routes: Vec<RouteAnswerShape>,
}

/// What one route says to an event.
#[derive(Debug, Serialize)]
struct RouteAnswerShape {
    /// The route.
    route: RouteName,
    /// Whether it takes it.
    takes: bool,
    /// `source` or `pattern`; null if it takes it.
    why: Option<&'static str>,
    /// With `pattern`: what does not match.
    field: Option<String>,
    /// With `pattern`: what the route wants there.
    wanted: Option<String>,
    /// With `pattern`: what the event has there; null if nothing.
    found: Option<String>,
}

impl RoutingShape {
    /// What the routes of the plan in force, which has the number `now`, say to an event.
    pub(in crate::admin) fn new(
        event: &Event,
        view: &View,
        plan: &Plan,
        generation: Option<u64>,
        now: u64,
    ) -> Self {
        Self {
            generation,
            now,
            same: generation == Some(now),
            routes: plan
                .router
                .explain(event)
                .map(|(route, taken)| answer(route, taken, event, view))
                .collect(),
        }
    }
}

fn answer(
    route: &Route,
    taken: Result<(), NotTaken>,
    event: &Event,
    view: &View,
) -> RouteAnswerShape {
    let mut answer = RouteAnswerShape {
        route: route.name.clone(),
        takes: taken.is_ok(),
        why: None,
        field: None,
        wanted: None,
        found: None,
    };
    match taken {
        Ok(()) => {}
        Err(NotTaken::Source) => answer.why = Some("source"),
        Err(NotTaken::Pattern(mismatch)) => {
            answer.why = Some("pattern");
            answer.found = mismatch
                .found
                .map(|found| shown(found, &mismatch.field, route, event, view));
            answer.field = Some(mismatch.field);
            answer.wanted = Some(mismatch.wanted);
        }
    }
    answer
}

/// What may be shown of what a route has found: what it finds in what may be shown of the event.
fn shown(found: String, field: &str, route: &Route, event: &Event, view: &View) -> String {
    let body = match &view.body {
        Shown::Whole => return found,
        Shown::Redacted(body) => Document::parse(body.to_string().as_bytes()).ok(),
        Shown::Hidden(_) => None,
    };
    let parts = event.parts();
    let headers = parts.headers.iter();
    let headers: Vec<(String, String)> = headers
        .map(|(name, value)| (name.clone(), view.header(value)))
        .collect();
    let event_type = view.word(&parts.event_type);
    let subject = Subject {
        event_type: &event_type,
        headers: &headers,
        body: body.as_ref().map(Document::root),
    };
    match route.pattern.matches(&subject) {
        Err(mismatch) if mismatch.field == field => {
            mismatch.found.unwrap_or_else(|| REDACTED.to_owned())
        }
        _ => REDACTED.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::Value;

    use super::*;
    use crate::dispatch::testing::{event, plan, source};
    use crate::pattern::{Pattern, PatternRecord};
    use crate::plan::{Revive, Router};
    use crate::redact::Redaction;

    #[test]
    fn reasons_are_told_without_what_is_hidden() {
        let route = |name: &str, from: &str, pattern: &str| {
            let record: PatternRecord = serde_json::from_str(pattern).unwrap();
            Arc::new(Route {
                name: name.parse().unwrap(),
                from: vec![from.parse().unwrap()],
                pattern: Pattern::compile(&record).unwrap(),
                template: None,
                schema: None,
                to: vec!["erp".parse().unwrap()],
                revive: Revive::Manual,
            })
        };
        let mut plan = plan(Vec::new());
        let mut wreno = source("wreno");
        wreno.redact = Redaction::compile(&["/pin".to_owned()]).unwrap();
        plan.sources = [("wreno".parse().unwrap(), Arc::new(wreno))].into();
        plan.router = Router::new(vec![
            route("all", "wreno", "{}"),
            route("other", "svix", "{}"),
            route("pin", "wreno", r#"{"body": {"pin": "99"}}"#),
            route("n", "wreno", r#"{"body": {"n": {"gte": 10}}}"#),
            route("gone", "wreno", r#"{"body": {"gone": "x"}}"#),
        ]);
        let event = event(br#"{"pin": "12", "n": 5}"#, jiff::Timestamp::UNIX_EPOCH);
        let view = plan.view(event.parts());
        let shape = RoutingShape::new(&event, &view, &plan, Some(3), 3);
        let shown = serde_json::to_value(&shape).unwrap();
        assert_eq!(shown["same"], true);
        let found: Vec<(&str, bool, &Value, &Value, &Value)> = shown["routes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| {
                let name = it["route"].as_str().unwrap();
                let takes = it["takes"].as_bool().unwrap();
                (name, takes, &it["why"], &it["field"], &it["found"])
            })
            .collect();
        let (null, source, pattern) = (&Value::Null, &"source".into(), &"pattern".into());
        assert_eq!(found[0], ("all", true, null, null, null));
        assert_eq!(found[1], ("other", false, source, null, null));
        assert_eq!((found[2].0, found[2].2), ("pin", pattern));
        assert!(!found[2].4.to_string().contains("12"), "{:?}", found[2]);
        assert_eq!(found[3].4, "5");
        assert_eq!(found[4].4, null);
        let older = RoutingShape::new(&event, &view, &plan, None, 3);
        assert!(!older.same);
    }
}
