//! `ingate dead`: dead letters in groups, and sending them again.

use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::filters::{MODES, REASONS, ReplayFilterArgs, StateArg};
use super::operator::{OperatorArgs, Query};
use super::replay::job::{Job, JobArgs};
use super::shapes::DeadGroup;
use super::show::{Cell, Column, Look, Table, Tone};
use super::{Exit, Outcome, block_on, print, print_json, say};
use crate::id::TargetName;

#[derive(Debug, Args)]
pub(super) struct DeadArgs {
    #[command(subcommand)]
    command: DeadCommand,
}

#[derive(Debug, Subcommand)]
enum DeadCommand {
    /// Count dead letters by target and reason, each with the newest error
    List(ListArgs),
    /// Send dead letters again: a replay of them
    Retry(RetryArgs),
}

#[derive(Debug, Args)]
#[command(
    after_help = "The letters themselves: ingate deliveries list --state dead --target NAME --reason REASON.\n\n\
    Example: ingate dead list --by reason"
)]
struct ListArgs {
    /// Add up what has the same reason, or the same target
    #[arg(long, value_name = "WHAT")]
    by: Option<By>,
    /// Only to this target
    #[arg(long, value_name = "NAME")]
    target: Option<TargetName>,
    /// Only of this reason
    #[arg(long, value_name = "REASON", value_parser = REASONS)]
    reason: Option<String>,
    #[command(flatten)]
    operator: OperatorArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    Reason,
    Target,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Without a filter all of them. It says first what it would be and asks before it begins; the daemon does the work, also if this \
    command ends. Exit code: 1 if it was cancelled or ended with failures.\n\n\
    Example: ingate dead retry --target erp --reason exhausted --rate 50/s"
)]
struct RetryArgs {
    #[command(flatten)]
    filter: ReplayFilterArgs,
    /// `frozen`: the same bytes, as far as they are kept; `rerender`: by the template in force
    #[arg(long, value_name = "MODE", value_parser = MODES.split_at(2).0.to_vec(), default_value = "frozen")]
    mode: String,
    #[command(flatten)]
    job: JobArgs,
    #[command(flatten)]
    operator: OperatorArgs,
}

pub(super) fn run(args: &DeadArgs) -> Outcome {
    match &args.command {
        DeadCommand::List(args) => list(args),
        DeadCommand::Retry(args) => {
            let job = Job {
                filter: args.filter.filter(&[StateArg::Dead], false),
                mode: &args.mode,
                args: &args.job,
            };
            job.run(&args.operator)
        }
    }
}

fn list(args: &ListArgs) -> Outcome {
    let api = args.operator.api()?;
    let mut query = Query::default();
    query.add_if("target", args.target.as_ref());
    query.add_if("reason", args.reason.as_ref());
    let listing = block_on(api.all(&query.at("/api/v1/dead")))??;
    let (look, none) = (Look::of_stdout(), "no dead letters");
    let Some(by) = args.by else {
        return listing.show(args.operator.json, none, |rows| {
            table(rows, &look).text(&look)
        });
    };
    let sums = added_up(&listing.rows()?, by);
    if args.operator.json {
        let items: Vec<Value> = sums.iter().map(|sum| sum.as_json(by)).collect();
        print_json(&json!({"items": items, "next": null}))?;
    } else if sums.is_empty() {
        say(none);
    } else {
        print(&table_of_sums(&sums, by, &look).text(&look))?;
    }
    Ok(Exit::Done)
}

fn table(groups: &[DeadGroup], look: &Look) -> Table<6> {
    let mut table = Table::new([
        Column::Left("TARGET"),
        Column::Left("REASON"),
        Column::Right("COUNT"),
        Column::Left("OLDEST"),
        Column::Left("NEWEST"),
        Column::Cut("THE NEWEST SAYS"),
    ]);
    for group in groups {
        table.row([
            group.target.as_str().into(),
            Cell::new(Tone::Bad, &group.reason),
            group.count.to_string().into(),
            look.time(group.oldest_created_at.0).into(),
            look.time(group.newest_created_at.0).into(),
            group.detail.as_deref().unwrap_or("-").trim().into(),
        ]);
    }
    table
}

/// Groups of one reason or one target together.
#[derive(Debug, PartialEq)]
struct Sum {
    name: String,
    count: u64,
    oldest: Timestamp,
    newest: Timestamp,
}

impl Sum {
    fn as_json(&self, by: By) -> Value {
        let mut sum = json!({
            "count": self.count,
            "oldest_created_at": self.oldest.to_string(),
            "newest_created_at": self.newest.to_string(),
        });
        if let Value::Object(sum) = &mut sum {
            sum.insert(by.name().to_owned(), self.name.as_str().into());
        }
        sum
    }
}

impl By {
    fn name(self) -> &'static str {
        match self {
            Self::Reason => "reason",
            Self::Target => "target",
        }
    }
}

/// Most first.
fn added_up(groups: &[DeadGroup], by: By) -> Vec<Sum> {
    let mut sums: Vec<Sum> = Vec::new();
    for group in groups {
        let name = match by {
            By::Reason => &group.reason,
            By::Target => &group.target,
        };
        let (oldest, newest) = (group.oldest_created_at.0, group.newest_created_at.0);
        match sums.iter_mut().find(|sum| sum.name == *name) {
            Some(sum) => {
                sum.count += group.count;
                sum.oldest = sum.oldest.min(oldest);
                sum.newest = sum.newest.max(newest);
            }
            None => sums.push(Sum {
                name: name.clone(),
                count: group.count,
                oldest,
                newest,
            }),
        }
    }
    sums.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.name.cmp(&b.name)));
    sums
}

fn table_of_sums(sums: &[Sum], by: By, look: &Look) -> Table<4> {
    let name = match by {
        By::Reason => "REASON",
        By::Target => "TARGET",
    };
    let mut table = Table::new([
        Column::Left(name),
        Column::Right("COUNT"),
        Column::Left("OLDEST"),
        Column::Left("NEWEST"),
    ]);
    for sum in sums {
        table.row([
            sum.name.as_str().into(),
            sum.count.to_string().into(),
            look.time(sum.oldest).into(),
            look.time(sum.newest).into(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::super::contract;
    use super::super::examples::read;
    use super::super::shapes::At;
    use super::*;

    fn group(target: &str, reason: &str, count: u64, newest: &str) -> DeadGroup {
        DeadGroup {
            target: target.to_owned(),
            reason: reason.to_owned(),
            count,
            newest_created_at: At(newest.parse().unwrap()),
            ..read("DeadGroup")
        }
    }

    #[test]
    fn groups_are_told_with_the_newest_error() {
        let told = table(&[read("DeadGroup")], &Look::PLAIN).text(&Look::PLAIN);
        let wanted = "\
TARGET  REASON  COUNT  OLDEST                NEWEST                THE NEWEST SAYS
erp     render    100  2026-01-05T09:00:00Z  2026-01-05T10:00:00Z  vendor.json.liquid:3:14: there is no filter `oops`";
        assert_eq!(told, wanted, "{told}");
        contract::takes("/api/v1/dead", "?target=erp&reason=render");
    }

    #[test]
    fn groups_are_added_up() {
        let groups = [
            group("a", "gone", 1, "2026-01-05T10:00:00Z"),
            group("a", "render", 2, "2026-01-05T12:00:00Z"),
            group("b", "render", 3, "2026-01-05T11:00:00Z"),
        ];
        let by_reason = added_up(&groups, By::Reason);
        let told = table_of_sums(&by_reason, By::Reason, &Look::PLAIN).text(&Look::PLAIN);
        let wanted = "\
REASON  COUNT  OLDEST                NEWEST
render      5  2026-01-05T09:00:00Z  2026-01-05T12:00:00Z
gone        1  2026-01-05T09:00:00Z  2026-01-05T10:00:00Z";
        assert_eq!(told, wanted, "{told}");
        let by_target = added_up(&groups, By::Target);
        let names: Vec<(&str, u64)> = by_target
            .iter()
            .map(|sum| (sum.name.as_str(), sum.count))
            .collect();
        assert_eq!(names, [("a", 3), ("b", 3)]);
        assert_eq!(
            by_target[0].as_json(By::Target),
            json!({"count": 3, "oldest_created_at": "2026-01-05T09:00:00Z", "newest_created_at": "2026-01-05T12:00:00Z", "target": "a"})
        );
    }
}
