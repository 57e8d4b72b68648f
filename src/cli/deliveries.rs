//! `ingate deliveries`: what goes out, one by one.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use serde_json::Value;

use super::filters::{MODES, REASONS, StateArg, When, Which};
use super::operator::{OperatorArgs, PageArgs, Query, each, shape};
use super::shapes::{Delivery, DeliveryBody};
use super::show::{Cell, Column, Look, Table, Tone, clean, timeline};
use super::{Exit, Failure, Outcome, block_on, print, print_bytes, print_json, say};
use crate::id::DeliveryId;

#[derive(Debug, Args)]
pub(super) struct DeliveriesArgs {
    #[command(subcommand)]
    command: DeliveriesCommand,
}

#[derive(Debug, Subcommand)]
enum DeliveriesCommand {
    /// List deliveries, newest first
    List(ListArgs),
    /// Tell one delivery with its attempts
    Show(ShowArgs),
    /// Make deliveries pending and due now
    Retry(RetryArgs),
    /// Let pending or dead deliveries go
    Discard(DiscardArgs),
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example: ingate deliveries list --target erp --state dead --reason exhausted --limit 500"
)]
struct ListArgs {
    /// Only in this state
    #[arg(long, value_name = "STATE")]
    state: Option<StateArg>,
    /// Only dead ones of this reason
    #[arg(long, value_name = "REASON", value_parser = REASONS)]
    reason: Option<String>,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    when: When,
    /// Only those that this replay took up last
    #[arg(long, value_name = "ID")]
    replay: Option<uuid::Uuid>,
    #[command(flatten)]
    page: PageArgs,
    #[command(flatten)]
    operator: OperatorArgs,
}

#[derive(Debug, Args)]
#[command(
    after_help = "A body that is not kept is made again with the template in force; a note on stderr says whether it is what was sent.\n\n\
    Example: ingate deliveries show 019b8d99-6900-7000-8000-000000000000 --body | jq"
)]
struct ShowArgs {
    /// The delivery's id, which its target sees as `webhook-id`
    #[arg(value_name = "DELIVERY")]
    delivery: DeliveryId,
    /// Print what the target gets, or got, instead; with --json as the API tells it
    #[arg(long)]
    body: bool,
    #[command(flatten)]
    operator: OperatorArgs,
}

#[derive(Debug, Args)]
#[command(
    after_help = "They get a fresh retry budget. Those that are refused do not keep the others from it. With --json one line a delivery. \
    Many at a time, by a filter: ingate dead retry, ingate replay.\n\n\
    Example: ingate deliveries retry 019b8d99-6900-7000-8000-000000000000 --mode rerender"
)]
struct RetryArgs {
    /// Ids of deliveries
    #[arg(value_name = "DELIVERY", required = true)]
    deliveries: Vec<DeliveryId>,
    /// `frozen`: the same bytes; `rerender`: by the template in force
    #[arg(long, value_name = "MODE", value_parser = MODES.split_at(2).0.to_vec(), default_value = "frozen")]
    mode: String,
    #[command(flatten)]
    operator: OperatorArgs,
}

#[derive(Debug, Args)]
#[command(
    after_help = "They are not tried any more; a retry takes them up again. Those that are refused do not keep the others from it. With --json \
    one line a delivery.\n\n\
    Example: ingate deliveries discard 019b8d99-6900-7000-8000-000000000000"
)]
struct DiscardArgs {
    /// Ids of deliveries
    #[arg(value_name = "DELIVERY", required = true)]
    deliveries: Vec<DeliveryId>,
    #[command(flatten)]
    operator: OperatorArgs,
}

pub(super) fn run(args: &DeliveriesArgs) -> Outcome {
    match &args.command {
        DeliveriesCommand::List(args) => list(args),
        DeliveriesCommand::Show(args) => show(args),
        DeliveriesCommand::Retry(args) => {
            // what is so by default is not said: a daemon of before knows no modes
            let how = match args.mode.as_str() {
                "frozen" => "retry".to_owned(),
                mode => format!("retry?mode={mode}"),
            };
            change(&args.deliveries, &how, &args.operator)
        }
        DeliveriesCommand::Discard(args) => change(&args.deliveries, "discard", &args.operator),
    }
}

fn list(args: &ListArgs) -> Outcome {
    let api = args.operator.api()?;
    let mut query = Query::default();
    query.add_if("state", args.state.map(StateArg::as_str).as_ref());
    query.add_if("reason", args.reason.as_ref());
    args.which.parameters(&mut query);
    args.when.parameters(&mut query);
    query.add_if("replay", args.replay.as_ref());
    let listing = block_on(api.list("/api/v1/deliveries", &query, &args.page))??;
    let look = Look::of_stdout();
    listing.show(args.operator.json, "no such deliveries", |rows| {
        table(rows, &look).text(&look)
    })
}

/// Deliveries in a table.
pub(super) fn table(rows: &[Delivery], look: &Look) -> Table<8> {
    let mut table = Table::new([
        Column::Left("DELIVERY"),
        Column::Left("STATE"),
        Column::Cut("TARGET"),
        Column::Cut("ROUTE"),
        Column::Cut("TYPE"),
        Column::Right("TRIES"),
        Column::Cut("LAST"),
        Column::Left("SINCE OR NEXT"),
    ]);
    for row in rows {
        let last = match &row.last_attempt {
            Some(last) if last.ok => Cell::new(Tone::Good, &last.result),
            Some(last) => Cell::new(Tone::Bad, &last.result),
            None => Cell::new(Tone::Faint, row.reason.as_deref().unwrap_or("-")),
        };
        let time = match (&row.waits_for, row.ended_at.or(row.due_at)) {
            (Some(what), _) => format!("waits for its {what}"),
            (None, at) => look.time_if(at.map(|at| at.0)),
        };
        table.row([
            row.id.as_str().into(),
            Cell::new(timeline::tone_of(&row.state), &row.state),
            row.target.as_str().into(),
            row.route.as_str().into(),
            row.event_type.as_str().into(),
            row.attempts_made.to_string().into(),
            last,
            time.into(),
        ]);
    }
    table
}

fn show(args: &ShowArgs) -> Outcome {
    let api = args.operator.api()?;
    let path = format!("/api/v1/deliveries/{}", args.delivery);
    let path = if args.body {
        format!("{path}/body")
    } else {
        path
    };
    let value = block_on(api.get(&path))??;
    if args.operator.json {
        print_json(&value)?;
        return Ok(Exit::Done);
    }
    if args.body {
        return body(&shape(&value)?);
    }
    let delivery: Delivery = shape(&value)?;
    print(&timeline::delivery(&delivery, &Look::of_stdout()))?;
    Ok(Exit::Done)
}

fn body(body: &DeliveryBody) -> Outcome {
    if let Some(error) = &body.error {
        let place = format!("{}:{}:{}", error.file, error.line, error.column);
        let mut words = format!(
            "error: it does not render: {place}: {}",
            clean(&error.message)
        );
        if let Some(help) = &error.help {
            words.push_str(&format!("\n  help: {}", clean(help)));
        }
        return Err(Failure::new(Exit::Failed, words));
    }
    for note in notes(body) {
        say(note);
    }
    match (&body.body, &body.body_base64) {
        (Some(text), _) => {
            print_bytes(text.as_bytes())?;
        }
        (None, Some(text)) => {
            let bytes = STANDARD.decode(text);
            print_bytes(&bytes.map_err(|error| Failure::caused(Exit::Failed, &error))?)?;
        }
        (None, None) => say("there is no body"),
    }
    Ok(Exit::Done)
}

/// What is to know of a body that is shown.
fn notes(body: &DeliveryBody) -> Vec<&'static str> {
    let mut notes = Vec::new();
    if body.body_redacted.is_some() {
        notes.push("note: values are hidden");
    }
    match (body.exact, body.from.as_str()) {
        (Some(true), _) => {}
        (Some(false), _) => notes.push("note: this is not what the last attempt sent"),
        (None, "rendered") => notes.push("note: rendered now; whether it was sent so is not known"),
        (None, _) => {}
    }
    notes
}

/// Retries or discards.
fn change(ids: &[DeliveryId], how: &str, operator: &OperatorArgs) -> Outcome {
    let api = operator.api()?;
    let ask = async |id: &DeliveryId| {
        let answer = api.post(&format!("/api/v1/deliveries/{id}/{how}")).await;
        answer.map_err(|mut failure| {
            if ids.len() > 1 {
                failure.words = format!("{id}: {}", failure.words);
            }
            failure
        })
    };
    block_on(each(ids, operator.json, ask, changed))?
}

fn changed(answer: &Value) -> Result<String, Failure> {
    let delivery: Delivery = shape(answer)?;
    let way = format!("{} -> {}", delivery.route, delivery.target);
    let line = format!("delivery {}  {way}  {}", delivery.id, delivery.state);
    Ok(clean(&line).into_owned())
}

#[cfg(test)]
mod tests {
    use super::super::contract;
    use super::super::examples::{example, read};
    use super::super::shapes::EventRetried;
    use super::*;

    #[test]
    fn a_listing_says_how_deliveries_stand() {
        let mut rows = read::<EventRetried>("EventRetried").deliveries;
        rows.extend(read::<super::super::shapes::Event>("Event").deliveries);
        rows[1].waits_for = Some("route".to_owned());
        let told = table(&rows, &Look::PLAIN).text(&Look::PLAIN);
        let wanted = "\
DELIVERY                              STATE    TARGET  ROUTE           TYPE            TRIES  LAST        SINCE OR NEXT
019b8d99-6900-7000-8000-000000000002  pending  erp     vendor-updates  vendor.updated      2  status 503  2026-01-05T10:05:05Z
019b8d99-6900-7000-8000-000000000002  pending  erp     vendor-updates  vendor.updated      2  status 503  waits for its route
019b8d99-6900-7000-8000-000000000003  dead     audit   vendor-updates  vendor.updated      1  render      2026-01-05T10:00:01Z";
        assert_eq!(told, wanted, "{told}");
    }

    #[test]
    fn a_changed_one_is_told_on_a_line() {
        assert_eq!(
            changed(&example("Delivery")).unwrap(),
            "delivery 019b8d99-6900-7000-8000-000000000002  vendor-updates -> erp  pending"
        );
    }

    #[test]
    fn a_body_says_whether_it_was_sent() {
        let mut body: DeliveryBody = read("DeliveryBody");
        assert_eq!(
            notes(&body),
            ["note: this is not what the last attempt sent"]
        );
        body.exact = Some(true);
        body.body_redacted = Some("values".to_owned());
        assert_eq!(notes(&body), ["note: values are hidden"]);
        body.exact = None;
        assert_eq!(notes(&body).len(), 2);
    }

    #[test]
    fn it_asks_as_the_document_says() {
        let query = "?state=dead&reason=render&replay=x&limit=1&before=x";
        contract::takes("/api/v1/deliveries", query);
        contract::knows("get", "/api/v1/deliveries/{id}");
        contract::knows("get", "/api/v1/deliveries/{id}/body");
        contract::knows("post", "/api/v1/deliveries/{id}/retry");
        contract::knows("post", "/api/v1/deliveries/{id}/discard");
    }
}
