//! `ingate replay`: sends many deliveries again, by a filter; and what became of earlier replays.

pub(super) mod job;
mod progress;

use clap::{Args, Subcommand};
use uuid::Uuid;

use self::job::{Job, JobArgs};
use super::filters::{MODES, ReplayFilterArgs, StateArg};
use super::operator::{OperatorArgs, PageArgs, Query, shape};
use super::shapes::Replay;
use super::show::{Cell, Column, Look, Table, Tone, clean};
use super::{Exit, Failure, Outcome, block_on, print, print_json};

#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "It says first what it would be and asks before it begins. The daemon does the work, also if this command ends or the daemon \
    starts anew; each delivery is taken up once, oldest first, with a fresh retry budget. Of deliveries dead ones are meant, unless --state says otherwise. \
    Exit code: 1 if it was cancelled or ended with failures.\n\n\
    Examples:\n  \
    ingate replay --stale-template --mode rerender        what died by a template that is mended now\n  \
    ingate replay --target erp --since 2h --rate 50/s     what one target did not take in an outage\n  \
    ingate replay --unmatched --mode reroute --dry-run    what no route took, now that there is one"
)]
pub(super) struct ReplayArgs {
    #[command(subcommand)]
    command: Option<ReplayCommand>,
    #[command(flatten)]
    filter: ReplayFilterArgs,
    /// Those in this state; may be given several times
    #[arg(long, value_name = "STATE")]
    state: Vec<StateArg>,
    /// Only events that no route took (with --mode reroute)
    #[arg(long)]
    unmatched: bool,
    /// `frozen`: the same bytes; `rerender`: by the template in force; `reroute`: events by the routes in force
    #[arg(long, value_name = "MODE", value_parser = MODES, default_value = "frozen")]
    mode: String,
    #[command(flatten)]
    job: JobArgs,
    #[command(flatten)]
    operator: OperatorArgs,
}

#[derive(Debug, Subcommand)]
enum ReplayCommand {
    /// List replays, newest first
    List(ListArgs),
    /// Show a replay and how far it is
    Show(ShowArgs),
    /// End a replay; what it has taken up stays pending
    Cancel(CancelArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "Example: ingate replay list --limit 10")]
struct ListArgs {
    #[command(flatten)]
    page: PageArgs,
    #[command(flatten)]
    operator: OperatorArgs,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Exit code: 1 if it was cancelled or ended with failures.\n\n\
    Example: ingate replay show 019b8d99-6900-7000-8000-000000000000 --wait"
)]
struct ShowArgs {
    /// The replay's id
    #[arg(value_name = "REPLAY")]
    replay: Uuid,
    /// Wait for its end, with a progress bar on a terminal
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    operator: OperatorArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Example: ingate replay cancel 019b8d99-6900-7000-8000-000000000000")]
struct CancelArgs {
    /// The replay's id
    #[arg(value_name = "REPLAY")]
    replay: Uuid,
    #[command(flatten)]
    operator: OperatorArgs,
}

pub(super) fn run(args: &ReplayArgs) -> Outcome {
    match &args.command {
        None => start(args),
        Some(ReplayCommand::List(args)) => list(args),
        Some(ReplayCommand::Show(args)) => show(args),
        Some(ReplayCommand::Cancel(args)) => cancel(args),
    }
}

fn start(args: &ReplayArgs) -> Outcome {
    let filter = args.filter.filter(&args.state, args.unmatched);
    if filter.is_empty() {
        return Err(Failure::usage(
            "error: a replay needs to know of what\n  help: `--state dead` means all dead letters; --help lists the filters",
        ));
    }
    let job = Job {
        filter,
        mode: &args.mode,
        args: &args.job,
    };
    job.run(&args.operator)
}

fn list(args: &ListArgs) -> Outcome {
    let api = args.operator.api()?;
    let listing = block_on(api.list("/api/v1/replays", &Query::default(), &args.page))??;
    let look = Look::of_stdout();
    listing.show(args.operator.json, "there was no replay", |rows| {
        table(rows, &look).text(&look)
    })
}

fn table(rows: &[Replay], look: &Look) -> Table<7> {
    let mut table = Table::new([
        Column::Left("REPLAY"),
        Column::Left("BEGAN"),
        Column::Left("STATE"),
        Column::Left("MODE"),
        Column::Right("DONE"),
        Column::Right("FAILED"),
        Column::Cut("OF"),
    ]);
    for row in rows {
        let done = match row.total {
            Some(total) => format!("{} of {total}", row.done),
            None => row.done.to_string(),
        };
        let failed = if row.failed > 0 {
            Tone::Bad
        } else {
            Tone::Plain
        };
        table.row([
            row.id.as_str().into(),
            look.time(row.created_at.0).into(),
            Cell::new(tone_of(&row.state), &row.state),
            row.mode.as_str().into(),
            done.into(),
            Cell::new(failed, row.failed.to_string()),
            job::filter_words(&row.filter).into(),
        ]);
    }
    table
}

fn tone_of(state: &str) -> Tone {
    match state {
        "running" => Tone::Doubtful,
        "done" => Tone::Good,
        "failed" => Tone::Bad,
        _ => Tone::Faint,
    }
}

fn show(args: &ShowArgs) -> Outcome {
    let api = args.operator.api()?;
    let id = args.replay.to_string();
    let value = if args.wait {
        block_on(job::follow(&api, &id))??
    } else {
        block_on(api.get(&format!("/api/v1/replays/{id}")))??
    };
    let replay: Replay = shape(&value)?;
    if args.operator.json {
        print_json(&value)?;
    } else {
        print(&story(&replay, &Look::of_stdout()))?;
    }
    Ok(match replay.state.as_str() {
        "running" => Exit::Done,
        _ => job::exit_of(&replay),
    })
}

fn cancel(args: &CancelArgs) -> Outcome {
    let api = args.operator.api()?;
    let value = block_on(api.post(&format!("/api/v1/replays/{}/cancel", args.replay)))??;
    if args.operator.json {
        print_json(&value)?;
    } else {
        print(&job::sentence(&shape(&value)?))?;
    }
    Ok(Exit::Done)
}

/// A replay with all that is known of it.
fn story(replay: &Replay, look: &Look) -> String {
    let state = look.paint(tone_of(&replay.state), &clean(&replay.state));
    let mut rows = vec![
        ("mode", replay.mode.clone()),
        ("of", job::filter_words(&replay.filter)),
        (
            "rate",
            replay
                .rate
                .clone()
                .unwrap_or_else(|| "as fast as it goes".to_owned()),
        ),
        ("by", replay.created_by.clone()),
        ("began", look.moment(replay.created_at.0)),
    ];
    if let Some(at) = replay.finished_at {
        rows.push(("ended", look.moment(at.0)));
    }
    let of = replay.total.map(|total| format!(" of {total}"));
    rows.push(("done", format!("{}{}", replay.done, of.unwrap_or_default())));
    rows.push(("came of it", job::counts(replay)));
    if let Some(error) = &replay.error {
        rows.push(("error", error.clone()));
    }
    let rows = rows
        .iter()
        .map(|(word, what)| format!("\n  {word:<12}{}", clean(what)));
    let title = look.paint(Tone::Strong, &format!("replay {}", clean(&replay.id)));
    format!("{title}  {state}{}", rows.collect::<String>())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::examples::read;
    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        replay: ReplayArgs,
    }

    #[test]
    fn a_replay_is_told_with_what_came_of_it() {
        let told = story(&read("Replay"), &Look::PLAIN);
        let wanted = "\
replay 019b8d99-6900-7000-8000-000000000009  running
  mode        rerender
  of          target erp, reason render, states dead, until 2026-01-05T10:00:00Z
  rate        50/s
  by          operator from 127.0.0.1
  began       2026-01-05T10:00:00Z
  done        450 of 1000
  came of it  440 pending again, 5 new, 4 skipped, 1 failed";
        assert_eq!(told, wanted, "{told}");
        let told = table(&[read("Replay")], &Look::PLAIN).text(&Look::PLAIN);
        assert!(
            told.contains("450 of 1000       1  target erp, reason render"),
            "{told}"
        );
    }

    #[test]
    fn a_replay_of_nothing_in_particular_is_refused() {
        let Line { replay } = Line::try_parse_from(["x", "--yes"]).unwrap();
        assert_eq!(run(&replay).unwrap_err().exit, Exit::Usage);
    }

    #[test]
    fn what_is_asked_of_replays_takes_no_filter() {
        for (args, good) in [
            (vec!["x", "list"], true),
            (vec!["x", "list", "--json"], true),
            (vec!["x", "--target=erp", "list"], false),
            (vec!["x", "--target=erp", "--rate=5 / s"], true),
            (vec!["x", "--target=erp", "--rate=fast"], false),
            (vec!["x", "--target=erp", "--mode=thawed"], false),
            (vec!["x", "--target=erp", "--yes", "--dry-run"], false),
            (vec!["x", "show"], false),
        ] {
            assert_eq!(Line::try_parse_from(&args).is_ok(), good, "{args:?}");
        }
    }
}
