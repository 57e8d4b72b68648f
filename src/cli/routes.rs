//! `ingate routes`: which events go through which template to which targets, as it is in force.

use clap::{Args, Subcommand};

use super::operator::OperatorArgs;
use super::shapes::Route;
use super::show::{Cell, Column, Look, Table, Tone};
use super::{Outcome, block_on};

#[derive(Debug, Args)]
pub(super) struct RoutesArgs {
    #[command(subcommand)]
    command: RoutesCommand,
}

#[derive(Debug, Subcommand)]
enum RoutesCommand {
    /// List routes, in the order of the configuration
    List(ListArgs),
}

#[derive(Debug, Args)]
#[command(
    after_help = "`ingate explain` says of a sample which routes take it.\n\nExample: ingate routes list"
)]
struct ListArgs {
    #[command(flatten)]
    operator: OperatorArgs,
}

pub(super) fn run(args: &RoutesArgs) -> Outcome {
    let RoutesCommand::List(ListArgs { operator }) = &args.command;
    let api = operator.api()?;
    let listing = block_on(api.all("/api/v1/routes"))??;
    let look = Look::of_stdout();
    listing.show(operator.json, "no routes are configured", |rows| {
        table(rows).text(&look)
    })
}

fn table(rows: &[Route]) -> Table<6> {
    let mut table = Table::new([
        Column::Left("ROUTE"),
        Column::Cut("FROM"),
        Column::Cut("TO"),
        Column::Cut("TEMPLATE"),
        Column::Right("TESTS"),
        Column::Cut("TAKES"),
    ]);
    for row in rows {
        let rules = row.rules.iter();
        let rules: Vec<String> = rules
            .map(|rule| format!("{} {}", rule.field, rule.wanted))
            .collect();
        let takes = match rules.is_empty() {
            true => Cell::new(Tone::Faint, "everything"),
            false => rules.join("; ").into(),
        };
        let template = match &row.template {
            Some(template) => template.into(),
            None => Cell::new(Tone::Faint, "unchanged"),
        };
        table.row([
            row.name.as_str().into(),
            row.from.join(", ").into(),
            row.to.join(", ").into(),
            template,
            row.tests.to_string().into(),
            takes,
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::super::contract;
    use super::super::examples::read;
    use super::*;

    #[test]
    fn a_listing_says_what_flows_where() {
        let mut rows: Vec<Route> = vec![read("Route"), read("Route")];
        rows[1].rules.clear();
        rows[1].template = None;
        let told = table(&rows).text(&Look::PLAIN);
        let wanted = "\
ROUTE           FROM   TO          TEMPLATE            TESTS  TAKES
vendor-updates  wreno  erp, audit  vendor.json.liquid      2  type vendor.*; body.data.status active, suspended
vendor-updates  wreno  erp, audit  unchanged               2  everything";
        assert_eq!(told, wanted, "{told}");
        contract::knows("get", "/api/v1/routes");
    }
}
