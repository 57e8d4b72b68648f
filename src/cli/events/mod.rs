//! `ingate events`: what came in, one by one and as it comes.

mod tail;

use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use super::filters::{MODES, StateArg, When, Which};
use super::operator::{Api, OperatorArgs, PageArgs, Query, shape};
use super::shapes::{Event, EventRetried, EventRow};
use super::show::{Cell, Column, Look, Table, Tone, count, timeline};
use super::{Exit, Outcome, block_on, print, print_bytes, print_json, say};
use crate::id::{EventId, TargetName};

#[derive(Debug, Args)]
pub(super) struct EventsArgs {
    #[command(subcommand)]
    command: EventsCommand,
}

#[derive(Debug, Subcommand)]
enum EventsCommand {
    /// List events, newest first
    List(ListArgs),
    /// Tell all that happened to one event: received, verified, routed, sent
    Show(ShowArgs),
    /// Print events and attempts as they happen
    Tail(tail::TailArgs),
    /// Send one event again, to all of its targets or to one
    Retry(RetryArgs),
}

#[derive(Debug, Args)]
#[command(
    after_help = "Route, target and state are of deliveries: an event is listed if one of its deliveries passes all of them.\n\n\
    Example: ingate events list --source wreno --type 'vendor.*' --state dead --since 2h"
)]
struct ListArgs {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    when: When,
    /// Only with a delivery in this state
    #[arg(long, value_name = "STATE")]
    state: Option<StateArg>,
    /// Only events that no route took
    #[arg(long)]
    unmatched: bool,
    #[command(flatten)]
    page: PageArgs,
    #[command(flatten)]
    operator: OperatorArgs,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Why routes did not take it is told by the configuration that is in force now.\n\n\
    Example: ingate events show 019b8d99-6900-7000-8000-000000000000 --body | jq"
)]
struct ShowArgs {
    /// The event's id
    #[arg(value_name = "EVENT")]
    event: EventId,
    /// Show its headers, too
    #[arg(long)]
    headers: bool,
    /// Print its body instead, byte for byte
    #[arg(long, conflicts_with_all = ["headers", "json"])]
    body: bool,
    #[command(flatten)]
    operator: OperatorArgs,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Its deliveries become pending, whatever state they are in, with a fresh retry budget.\n\n\
    Example: ingate events retry 019b8d99-6900-7000-8000-000000000000 --target erp --mode rerender"
)]
struct RetryArgs {
    /// The event's id
    #[arg(value_name = "EVENT")]
    event: EventId,
    /// Only to this target
    #[arg(long, value_name = "NAME")]
    target: Option<TargetName>,
    /// `frozen`: the same bytes; `rerender`: by the template in force; `reroute`: by the routes in force
    #[arg(long, value_name = "MODE", value_parser = MODES, default_value = "frozen")]
    mode: String,
    #[command(flatten)]
    operator: OperatorArgs,
}

pub(super) fn run(args: &EventsArgs) -> Outcome {
    match &args.command {
        EventsCommand::List(args) => list(args),
        EventsCommand::Show(args) => show(args),
        EventsCommand::Tail(args) => tail::run(args),
        EventsCommand::Retry(args) => retry(args),
    }
}

fn list(args: &ListArgs) -> Outcome {
    let api = args.operator.api()?;
    let mut query = Query::default();
    args.which.parameters(&mut query);
    args.when.parameters(&mut query);
    query.add_if("state", args.state.map(StateArg::as_str).as_ref());
    if args.unmatched {
        query.add("unmatched", true);
    }
    let listing = block_on(api.list("/api/v1/events", &query, &args.page))??;
    let look = Look::of_stdout();
    listing.show(args.operator.json, "no such events", |rows| {
        table(rows, &look).text(&look)
    })
}

/// Events in a table.
pub(super) fn table(rows: &[EventRow], look: &Look) -> Table<6> {
    let mut table = Table::new([
        Column::Left("EVENT"),
        Column::Left("RECEIVED"),
        Column::Cut("SOURCE"),
        Column::Cut("TYPE"),
        Column::Right("BYTES"),
        Column::Left("DELIVERIES"),
    ]);
    for row in rows {
        let deliveries = match (&row.purged_at, row.deliveries.len()) {
            (Some(_), _) => Cell::new(Tone::Faint, "purged"),
            (None, 0) => Cell::new(Tone::Doubtful, "unmatched"),
            (None, number) => number.to_string().into(),
        };
        table.row([
            row.id.as_str().into(),
            look.time(row.received_at.0).into(),
            row.source.as_str().into(),
            row.event_type.as_str().into(),
            row.size_bytes.to_string().into(),
            deliveries,
        ]);
    }
    table
}

fn show(args: &ShowArgs) -> Outcome {
    let api = args.operator.api()?;
    if args.body {
        return body(&api, args.event);
    }
    let value = block_on(api.get(&format!("/api/v1/events/{}", args.event)))??;
    if args.operator.json {
        print_json(&value)?;
        return Ok(Exit::Done);
    }
    let event: Event = shape(&value)?;
    print(&timeline::event(&event, args.headers, &Look::of_stdout()))?;
    Ok(Exit::Done)
}

fn body(api: &Api, event: EventId) -> Outcome {
    let body = block_on(api.bytes(&format!("/api/v1/events/{event}/body")))??;
    print_bytes(&body)?;
    Ok(Exit::Done)
}

fn retry(args: &RetryArgs) -> Outcome {
    let api = args.operator.api()?;
    let path = format!("/api/v1/events/{}/retry", args.event);
    let answer = block_on(api.post_json(&path, &asked(args)))??;
    if args.operator.json {
        print_json(&answer)?;
        return Ok(Exit::Done);
    }
    let retried: EventRetried = shape(&answer)?;
    if retried.deliveries.is_empty() {
        say("no route takes the event now");
        return Ok(Exit::Done);
    }
    let look = Look::of_stdout();
    print(&super::deliveries::table(&retried.deliveries, &look).text(&look))?;
    let number = u64::try_from(retried.deliveries.len()).unwrap_or(u64::MAX);
    let number = count(number, "delivery", "deliveries");
    say(&format!("{number} under way again"));
    Ok(Exit::Done)
}

fn asked(args: &RetryArgs) -> Value {
    let mut body = Map::new();
    body.insert("mode".to_owned(), args.mode.clone().into());
    if let Some(target) = &args.target {
        body.insert("target".to_owned(), target.to_string().into());
    }
    Value::Object(body)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::contract;
    use super::super::examples::read;
    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(subcommand)]
        command: EventsCommand,
    }

    #[test]
    fn a_listing_says_what_became_of_events() {
        let mut rows: Vec<EventRow> = vec![read("EventRow"), read("EventRow"), read("EventRow")];
        rows[1].deliveries.clear();
        rows[2].purged_at = Some(rows[2].received_at);
        let told = table(&rows, &Look::PLAIN).text(&Look::PLAIN);
        let wanted = "\
EVENT                                 RECEIVED              SOURCE  TYPE            BYTES  DELIVERIES
019b8d99-6900-7000-8000-000000000001  2026-01-05T10:00:00Z  wreno   vendor.updated    532  2
019b8d99-6900-7000-8000-000000000001  2026-01-05T10:00:00Z  wreno   vendor.updated    532  unmatched
019b8d99-6900-7000-8000-000000000001  2026-01-05T10:00:00Z  wreno   vendor.updated    532  purged";
        assert_eq!(told, wanted, "{told}");
    }

    #[test]
    fn a_retry_asks_as_the_document_says() {
        let id = "019b8d99-6900-7000-8000-000000000001";
        for (args, wanted) in [
            (
                vec!["x", "retry", id],
                serde_json::json!({"mode": "frozen"}),
            ),
            (
                vec!["x", "retry", id, "--target=erp", "--mode=reroute"],
                serde_json::json!({"mode": "reroute", "target": "erp"}),
            ),
        ] {
            let EventsCommand::Retry(args) = Line::try_parse_from(args).unwrap().command else {
                panic!("another command");
            };
            assert_eq!(asked(&args), wanted);
            contract::holds("EventRetry", &asked(&args));
        }
        contract::knows("post", "/api/v1/events/{id}/retry");
        contract::knows("get", "/api/v1/events/{id}/body");
        contract::takes(
            "/api/v1/events",
            "?unmatched=true&state=dead&limit=1&before=x",
        );
    }
}
