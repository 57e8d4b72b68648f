//! `ingate fleet`: the instances that share the store, and who makes the attempts to which target.

use clap::Args;

use super::operator::{OperatorArgs, shape};
use super::shapes::{Fleet, Instance};
use super::show::{Cell, Column, Look, Table, Tone, age};
use super::{Exit, Outcome, block_on, print, print_json, say};

/// How much of a fingerprint tells two configurations apart for people.
const SHORT: usize = 8;

#[derive(Debug, Args)]
#[command(
    after_help = "The instance that answers is marked with `*`. CONFIGURATION is the number that the store gave it and the beginning of a hash of all \
    its files; those that go by another one than that which came into force last are said to differ. With the embedded store there is one \
    instance alone.\n\n\
    Example: ingate fleet --json | jq '.items[] | {name, targets}'"
)]
pub(super) struct FleetArgs {
    #[command(flatten)]
    operator: OperatorArgs,
}

pub(super) fn run(args: &FleetArgs) -> Outcome {
    let api = args.operator.api()?;
    let value = block_on(api.get("/api/v1/fleet"))??;
    if args.operator.json {
        print_json(&value)?;
        return Ok(Exit::Done);
    }
    let look = Look::of_stdout();
    let fleet: Fleet = shape(&value)?;
    print(&table(&fleet.items, &look).text(&look))?;
    if fleet.differs {
        say("not all instances go by the same configuration");
    }
    Ok(Exit::Done)
}

fn table(rows: &[Instance], look: &Look) -> Table<7> {
    let mut table = Table::new([
        Column::Left("INSTANCE"),
        Column::Right("ID"),
        Column::Left("VERSION"),
        Column::Left("STARTED"),
        Column::Right("HEARD"),
        Column::Left("CONFIGURATION"),
        Column::Cut("TARGETS"),
    ]);
    for row in rows {
        let mark = if row.this { "*" } else { "" };
        table.row([
            format!("{}{mark}", row.name).into(),
            row.id.to_string().into(),
            row.version.as_str().into(),
            look.time(row.started_at.0).into(),
            age(row.silent_seconds.max(0.0) as u64).into(),
            configuration(row),
            targets(row).into(),
        ]);
    }
    table
}

fn configuration(row: &Instance) -> Cell {
    let Some(plan) = &row.plan else {
        return Cell::new(Tone::Faint, "-");
    };
    let short: String = plan.fingerprint.chars().take(SHORT).collect();
    let words = format!("{} {short}", plan.generation);
    match row.differs {
        true => Cell::new(Tone::Bad, format!("{words} differs")),
        false => Cell::new(Tone::Plain, words),
    }
}

/// The targets to which it makes the attempts, with those that are down marked.
fn targets(row: &Instance) -> String {
    let marked = row.targets.iter().map(|name| {
        let down = if row.down.contains(name) {
            " (down)"
        } else {
            ""
        };
        format!("{name}{down}")
    });
    let marked: Vec<String> = marked.collect();
    match marked.is_empty() {
        true => "-".to_owned(),
        false => marked.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::super::contract;
    use super::super::examples::read;
    use super::*;

    #[test]
    fn instances_are_told_with_what_they_go_by_and_have() {
        let fleet: Fleet = read("Fleet");
        assert!(fleet.differs);
        let told = table(&fleet.items, &Look::PLAIN).text(&Look::PLAIN);
        let wanted = "\
INSTANCE  ID  VERSION  STARTED               HEARD  CONFIGURATION        TARGETS
relay-a   41  0.1.0    2026-01-05T08:00:00Z     2s  13 aaaaaaaa differs  crm (down), erp
relay-b*  42  0.1.0    2026-01-05T09:00:00Z     0s  14 bbbbbbbb          audit
relay-c   43  0.2.0    2026-01-05T09:59:00Z     1s  -                    -";
        assert_eq!(told, wanted, "{told}");
    }

    #[test]
    fn it_asks_as_the_document_says() {
        contract::knows("get", "/api/v1/fleet");
    }
}
