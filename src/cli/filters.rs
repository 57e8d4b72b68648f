//! What listings and replays choose by, as options of commands, as parameters and as a replay's filter.

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::operator::Query;
use crate::delivery::StateKind;
use crate::id::{RouteName, SourceName, TargetName};
use crate::units;

/// Why deliveries are dead, as the API names it.
pub(super) const REASONS: [&str; 7] = [
    "not_json",
    "loop",
    "render",
    "sign",
    "gone",
    "exhausted",
    "route_gone",
];

/// Which body is sent again.
pub(super) const MODES: [&str; 3] = ["frozen", "rerender", "reroute"];

/// A state of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum StateArg {
    Pending,
    Delivered,
    Dead,
    Discarded,
}

impl From<StateArg> for StateKind {
    fn from(state: StateArg) -> Self {
        match state {
            StateArg::Pending => Self::Pending,
            StateArg::Delivered => Self::Delivered,
            StateArg::Dead => Self::Dead,
            StateArg::Discarded => Self::Discarded,
        }
    }
}

impl StateArg {
    pub(super) fn as_str(self) -> &'static str {
        StateKind::from(self).as_str()
    }
}

/// Of which event, route and target.
#[derive(Debug, Default, Args)]
pub(super) struct Which {
    /// Only of this source
    #[arg(long, value_name = "NAME")]
    source: Option<SourceName>,
    /// Only of this type; `vendor.*` takes all that begin like it
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Only by this route
    #[arg(long, value_name = "NAME")]
    route: Option<RouteName>,
    /// Only to this target
    #[arg(long, value_name = "NAME")]
    target: Option<TargetName>,
}

/// Of which message and time.
#[derive(Debug, Default, Args)]
pub(super) struct When {
    /// Only with this message id of the sender's
    #[arg(long, value_name = "ID")]
    message_id: Option<String>,
    /// Only made then or later: a time (2026-01-05T10:00:00Z) or how long ago (90m, 2h, 7d)
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Timestamp>,
    /// Only made before: a time, or how long ago
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Timestamp>,
}

impl Which {
    pub(super) fn parameters(&self, query: &mut Query) {
        query.add_if("source", self.source.as_ref());
        query.add_if("type", self.event_type.as_ref());
        query.add_if("route", self.route.as_ref());
        query.add_if("target", self.target.as_ref());
    }
}

impl When {
    pub(super) fn parameters(&self, query: &mut Query) {
        query.add_if("message_id", self.message_id.as_ref());
        query.add_if("since", self.since.as_ref());
        query.add_if("until", self.until.as_ref());
    }
}

/// What a replay takes up besides states.
#[derive(Debug, Default, Args)]
pub(super) struct ReplayFilterArgs {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    when: When,
    /// Only of this event
    #[arg(long, value_name = "ID")]
    event: Option<Uuid>,
    /// Only dead ones of this reason
    #[arg(long, value_name = "REASON", value_parser = REASONS)]
    reason: Option<String>,
    /// Only those that died rendering with an older version of their template than the one in force
    #[arg(long)]
    stale_template: bool,
}

impl ReplayFilterArgs {
    /// The filter as the API takes it. `states` are left to the daemon if there are none (dead ones, then).
    pub(super) fn filter(&self, states: &[StateArg], unmatched: bool) -> Map<String, Value> {
        let Self {
            which,
            when,
            event,
            reason,
            stale_template,
        } = self;
        let text = |value: Option<String>| value.map(Value::String);
        let states: Vec<Value> = states.iter().map(|state| state.as_str().into()).collect();
        let entries = [
            (
                "source",
                text(which.source.as_ref().map(ToString::to_string)),
            ),
            ("type", text(which.event_type.clone())),
            ("message_id", text(when.message_id.clone())),
            ("event", text(event.as_ref().map(ToString::to_string))),
            ("route", text(which.route.as_ref().map(ToString::to_string))),
            (
                "target",
                text(which.target.as_ref().map(ToString::to_string)),
            ),
            (
                "states",
                (!states.is_empty()).then_some(Value::Array(states)),
            ),
            ("reason", text(reason.clone())),
            ("stale_template", stale_template.then_some(true.into())),
            ("unmatched", unmatched.then_some(true.into())),
            ("since", text(when.since.as_ref().map(ToString::to_string))),
            ("until", text(when.until.as_ref().map(ToString::to_string))),
        ];
        let given = entries.into_iter();
        given
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect()
    }
}

/// A moment, as a time or as how long ago it was.
fn moment(text: &str) -> Result<Timestamp, String> {
    moment_before(text, Timestamp::now())
}

fn moment_before(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse() {
        return Ok(at);
    }
    let ago = units::parse_duration(text).ok();
    ago.and_then(|ago| now.checked_sub(ago).ok()).ok_or_else(|| {
        "it is neither a time (such as 2026-01-05T10:00:00Z) nor how long ago that was (such as 90m, 2h or 7d)"
            .to_owned()
    })
}

/// A rate, as the API takes it.
pub(super) fn rate(text: &str) -> Result<String, String> {
    units::parse_rate(text)
        .map(|rate| rate.to_string())
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::contract;
    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        filter: ReplayFilterArgs,
        #[arg(long)]
        state: Vec<StateArg>,
        #[arg(long)]
        unmatched: bool,
    }

    const ALL: [&str; 13] = [
        "--source=wreno",
        "--type=vendor.*",
        "--route=r",
        "--target=t",
        "--message-id=m 1",
        "--since=2026-01-05T10:00:00Z",
        "--until=2026-01-05T11:00:00+01:00",
        "--event=019b8d99-6900-7000-8000-000000000000",
        "--reason=render",
        "--stale-template",
        "--unmatched",
        "--state=dead",
        "--state=delivered",
    ];

    fn line(args: &[&str]) -> Line {
        Line::try_parse_from(["x"].iter().chain(args)).unwrap()
    }

    #[test]
    fn moments() {
        let now: Timestamp = "2026-01-05T10:00:00Z".parse().unwrap();
        for (text, wanted) in [
            ("2026-01-05T09:00:00Z", Some("2026-01-05T09:00:00Z")),
            ("2026-01-05T09:00:00+01:00", Some("2026-01-05T08:00:00Z")),
            ("90m", Some("2026-01-05T08:30:00Z")),
            ("1h 30m", Some("2026-01-05T08:30:00Z")),
            ("7d", Some("2025-12-29T10:00:00Z")),
            ("yesterday", None),
            ("-5m", None),
            ("2026-01-05", None),
            ("", None),
        ] {
            let got = moment_before(text, now).ok().map(|at| at.to_string());
            assert_eq!(got.as_deref(), wanted, "{text:?}");
        }
    }

    #[test]
    fn a_filter_says_what_was_given_and_nothing_else() {
        let empty = line(&[]);
        assert!(
            empty
                .filter
                .filter(&empty.state, empty.unmatched)
                .is_empty()
        );
        let full = line(&ALL);
        let filter = full.filter.filter(&full.state, full.unmatched);
        let wanted = serde_json::json!({
            "source": "wreno",
            "type": "vendor.*",
            "message_id": "m 1",
            "event": "019b8d99-6900-7000-8000-000000000000",
            "route": "r",
            "target": "t",
            "states": ["dead", "delivered"],
            "reason": "render",
            "stale_template": true,
            "unmatched": true,
            "since": "2026-01-05T10:00:00Z",
            "until": "2026-01-05T10:00:00Z",
        });
        assert_eq!(Value::Object(filter.clone()), wanted);
        contract::holds("ReplayFilter", &Value::Object(filter));
    }

    #[test]
    fn the_words_are_those_of_the_document() {
        assert_eq!(contract::words("DeadReason"), REASONS);
        assert_eq!(contract::words("ReplayMode"), MODES);
        let states = StateArg::value_variants()
            .iter()
            .map(|state| state.as_str());
        assert_eq!(contract::words("State"), states.collect::<Vec<_>>());
    }

    #[test]
    fn parameters_are_those_of_the_document() {
        let full = line(&ALL);
        let mut query = Query::default();
        full.filter.which.parameters(&mut query);
        contract::takes("/api/v1/stream", &query.at(""));
        full.filter.when.parameters(&mut query);
        contract::takes("/api/v1/events", &query.at(""));
        contract::takes("/api/v1/deliveries", &query.at(""));
    }
}
