//! A replay from the plan to its end: what it would be, the question, the work of the daemon, what came of it.
//!
//! Promise: nothing is begun that was not agreed to, on a terminal by an answer and elsewhere by `--yes`; what was
//! agreed to is what is done, though more has come in since.

use std::fmt::Write as _;
use std::io::{BufRead, IsTerminal, Write};
use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep};

use super::super::filters::rate;
use super::super::operator::{Api, OperatorArgs, shape};
use super::super::shapes::{Replay, ReplayPreview};
use super::super::show::{Look, clean, count};
use super::super::{Exit, Failure, Outcome, block_on, deliveries, events, print, print_json, say};
use super::progress::{Pace, bar};
use crate::units;

/// How often the daemon is asked how far it is.
const TICK: Duration = Duration::from_millis(400);

/// How long the daemon may be away before this ends; it may be restarting, and goes on with the replay then.
const AWAY: Duration = Duration::from_secs(60);

/// Most rows of the sample in a plan.
const SAMPLE: usize = 5;

/// How a replay is made.
#[derive(Debug, Args)]
pub(in crate::cli) struct JobArgs {
    /// Most that are taken up in a unit of time (50/s, 300/m); as many as there are unless given
    #[arg(long, value_name = "RATE", value_parser = rate)]
    rate: Option<String>,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// Only say what it would be
    #[arg(long, conflicts_with_all = ["yes", "detach"])]
    dry_run: bool,
    /// Do not wait for the end
    #[arg(long)]
    detach: bool,
}

/// What is to be done.
pub(in crate::cli) struct Job<'a> {
    pub(in crate::cli) filter: Map<String, Value>,
    pub(in crate::cli) mode: &'a str,
    pub(in crate::cli) args: &'a JobArgs,
}

impl Job<'_> {
    pub(in crate::cli) fn run(mut self, operator: &OperatorArgs) -> Outcome {
        let api = operator.api()?;
        if self.args.dry_run {
            let plan = block_on(api.post_json("/api/v1/replays", &self.request(true)))??;
            if operator.json {
                print_json(&plan)?;
            } else {
                print(&self.plan(&shape(&plan)?, &Look::of_stdout()))?;
            }
            return Ok(Exit::Done);
        }
        if !self.args.yes {
            if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
                return Err(Failure::usage(
                    "error: nobody can be asked here\n  help: --yes begins without asking, --dry-run only says what it would be",
                ));
            }
            let answer = block_on(api.post_json("/api/v1/replays", &self.request(true)))??;
            let plan: ReplayPreview = shape(&answer)?;
            say(&self.plan(&plan, &Look::of_stderr()));
            if plan.count == 0 && plan.complete {
                if operator.json {
                    print_json(&answer)?;
                }
                return Ok(Exit::Done);
            }
            if !agreed(&question(&plan))? {
                return Err(Failure::new(Exit::Failed, "nothing was changed"));
            }
            // With the end that the daemon has filled in: what comes in meanwhile was not agreed to.
            self.filter = plan.filter;
        }
        let begun = block_on(api.post_json("/api/v1/replays", &self.request(false)))??;
        self.wait(&api, begun, operator.json)
    }

    fn wait(&self, api: &Api, begun: Value, json: bool) -> Outcome {
        let replay: Replay = shape(&begun)?;
        if self.args.detach {
            if json {
                print_json(&begun)?;
            } else {
                print(&format!("replay {} has begun", clean(&replay.id)))?;
                say(&format!(
                    "`ingate replay show {} --wait` waits for its end",
                    clean(&replay.id)
                ));
            }
            return Ok(Exit::Done);
        }
        let ended = block_on(follow(api, &replay.id))??;
        let replay: Replay = shape(&ended)?;
        if json {
            print_json(&ended)?;
        } else {
            print(&sentence(&replay))?;
            if replay.revived + replay.created > 0 {
                say(&format!(
                    "`ingate deliveries list --replay {}` shows how they fare",
                    clean(&replay.id)
                ));
            }
        }
        Ok(exit_of(&replay))
    }

    fn request(&self, dry_run: bool) -> Value {
        let mut request = Map::new();
        request.insert("filter".to_owned(), Value::Object(self.filter.clone()));
        request.insert("mode".to_owned(), self.mode.into());
        if let Some(rate) = &self.args.rate {
            request.insert("rate".to_owned(), rate.as_str().into());
        }
        if dry_run {
            request.insert("dry_run".to_owned(), true.into());
        }
        Value::Object(request)
    }

    /// What it would be, for people.
    fn plan(&self, plan: &ReplayPreview, look: &Look) -> String {
        let mut text = String::new();
        let _ = writeln!(
            text,
            "{} of {}",
            clean(&plan.mode),
            clean(&filter_words(&plan.filter))
        );
        let _ = writeln!(text, "{}{}", how_many(plan), self.how_long(plan));
        for one in &plan.by_target {
            let _ = writeln!(text, "  {:>8}  to {}", one.count, clean(&one.target));
        }
        let sample = match (plan.deliveries.is_empty(), plan.events.is_empty()) {
            (true, true) => return text,
            (true, false) => events::table(&plan.events, look).first(SAMPLE).text(look),
            (false, _) => deliveries::table(&plan.deliveries, look)
                .first(SAMPLE)
                .text(look),
        };
        let _ = write!(text, "the newest of them:\n{sample}");
        text
    }

    /// How long it takes at the rate that is wanted.
    fn how_long(&self, plan: &ReplayPreview) -> String {
        let rate = self.args.rate.as_deref();
        let Some(rate) = rate.and_then(|rate| units::parse_rate(rate).ok()) else {
            return String::new();
        };
        let each = rate.interval().as_secs_f64();
        let seconds = each * plan.count as f64;
        let about = super::super::show::age(seconds.ceil() as u64);
        format!(", about {about} at {rate}")
    }
}

fn how_many(plan: &ReplayPreview) -> String {
    let least = if plan.complete { "" } else { "more than " };
    if plan.mode == "reroute" {
        format!("{least}{}", count(plan.count, "event", "events"))
    } else {
        format!("{least}{}", count(plan.count, "delivery", "deliveries"))
    }
}

fn question(plan: &ReplayPreview) -> String {
    format!("Send {} again? [y/N] ", how_many(plan))
}

/// Asks on the terminal.
fn agreed(question: &str) -> Result<bool, Failure> {
    let mut err = std::io::stderr().lock();
    let asked = write!(err, "{question}").and_then(|()| err.flush());
    let mut answer = String::new();
    asked
        .and_then(|()| std::io::stdin().lock().read_line(&mut answer))
        .map_err(|error| Failure::caused(Exit::Io, &error))?;
    Ok(is_yes(&answer))
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

/// Waits for the end of a replay, which the daemon goes on with whether this waits or not.
pub(super) async fn follow(api: &Api, id: &str) -> Result<Value, Failure> {
    let work = watch(api, id);
    tokio::select! {
        ended = work => ended,
        _ = tokio::signal::ctrl_c() => {
            let words = format!(
                "the replay goes on; `ingate replay show {id} --wait` waits again, `ingate replay cancel {id}` ends it"
            );
            Err(Failure::new(Exit::Failed, words))
        }
    }
}

async fn watch(api: &Api, id: &str) -> Result<Value, Failure> {
    let path = format!("/api/v1/replays/{id}");
    let begun = Instant::now();
    let mut line = Line::of_stderr();
    let mut pace = Pace::default();
    let mut reached = false;
    let mut away: Option<Instant> = None;
    loop {
        match api.get(&path).await {
            Ok(value) => {
                (reached, away) = (true, None);
                let replay: Replay = shape(&value)?;
                if replay.state != "running" {
                    line.clear();
                    return Ok(value);
                }
                pace.note(begun.elapsed(), replay.done);
                line.show(|look| bar(&replay, pace.per_second(), look));
            }
            // The store may be opening anew, and the daemon starting anew.
            Err(failure) if reached && matches!(failure.exit, Exit::Unreachable | Exit::Io) => {
                let since = *away.get_or_insert_with(Instant::now);
                line.show(|_| "the daemon is away; it goes on when it is back".to_owned());
                if since.elapsed() > AWAY {
                    line.clear();
                    return Err(failure);
                }
            }
            Err(failure) => {
                line.clear();
                return Err(failure);
            }
        }
        sleep(TICK).await;
    }
}

/// One line of the terminal that is written over and over; nothing where there is none.
struct Line {
    look: Look,
    is_there: bool,
}

impl Line {
    fn of_stderr() -> Self {
        Self {
            look: Look::of_stderr(),
            is_there: false,
        }
    }

    fn show(&mut self, text: impl FnOnce(&Look) -> String) {
        if self.look.size.is_some() {
            self.is_there = true;
            Self::write(&format!("\r{}\x1b[K", text(&self.look)));
        }
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.is_there) {
            Self::write("\r\x1b[K");
        }
    }

    fn write(text: &str) {
        let mut err = std::io::stderr().lock();
        // words only: nobody misses them where they cannot be written
        let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.clear();
    }
}

/// How a replay that has ended is told.
pub(super) fn sentence(replay: &Replay) -> String {
    let error = replay
        .error
        .as_ref()
        .map(|error| format!(": {}", clean(error)));
    format!(
        "replay {} is {}: {}{}",
        clean(&replay.id),
        clean(&replay.state),
        counts(replay),
        error.unwrap_or_default()
    )
}

pub(super) fn counts(replay: &Replay) -> String {
    format!(
        "{} pending again, {} new, {} skipped, {} failed",
        replay.revived, replay.created, replay.skipped, replay.failed
    )
}

/// What the command ends with when a replay has ended so.
pub(super) fn exit_of(replay: &Replay) -> Exit {
    if replay.state == "done" && replay.failed == 0 {
        Exit::Done
    } else {
        Exit::Failed
    }
}

/// A filter in words.
pub(super) fn filter_words(filter: &Map<String, Value>) -> String {
    let words = filter.iter().map(|(name, value)| {
        let name = name.replace('_', " ");
        match value {
            Value::Bool(true) => name,
            Value::String(text) => format!("{name} {text}"),
            Value::Array(all) => {
                let all: Vec<&str> = all.iter().filter_map(Value::as_str).collect();
                format!("{name} {}", all.join(" or "))
            }
            other => format!("{name} {other}"),
        }
    });
    words.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::contract;
    use super::super::super::examples::read;
    use super::*;

    fn args(rate: Option<&str>) -> JobArgs {
        JobArgs {
            rate: rate.map(str::to_owned),
            yes: false,
            dry_run: false,
            detach: false,
        }
    }

    fn filter(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(map) => map,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn it_asks_as_the_document_says() {
        for (rate, dry_run, wanted) in [
            (
                None,
                false,
                json!({"filter": {"target": "erp"}, "mode": "rerender"}),
            ),
            (
                Some("50/s"),
                true,
                json!({"filter": {"target": "erp"}, "mode": "rerender", "rate": "50/s", "dry_run": true}),
            ),
        ] {
            let args = args(rate);
            let job = Job {
                filter: filter(json!({"target": "erp"})),
                mode: "rerender",
                args: &args,
            };
            let request = job.request(dry_run);
            assert_eq!(request, wanted);
            contract::holds("ReplayRequest", &request);
        }
        contract::knows("post", "/api/v1/replays");
        contract::knows("get", "/api/v1/replays/{id}");
        contract::knows("post", "/api/v1/replays/{id}/cancel");
    }

    #[test]
    fn a_plan_says_of_what_how_many_and_how_long() {
        let args = args(Some("50/s"));
        let job = Job {
            filter: Map::new(),
            mode: "rerender",
            args: &args,
        };
        let mut plan: ReplayPreview = read("ReplayPreview");
        let told = job.plan(&plan, &Look::PLAIN);
        let wanted = "\
rerender of target erp, reason render, states dead, until 2026-01-05T10:00:00Z
120 deliveries, about 3s at 50/s
       100  to erp
        20  to audit
the newest of them:
DELIVERY                              STATE  TARGET  ROUTE";
        assert!(told.starts_with(wanted), "{told}");
        assert_eq!(question(&plan), "Send 120 deliveries again? [y/N] ");
        plan.complete = false;
        plan.mode = "reroute".to_owned();
        assert_eq!(question(&plan), "Send more than 120 events again? [y/N] ");
    }

    #[test]
    fn only_a_yes_is_a_yes() {
        for (answer, wanted) in [
            ("y\n", true),
            (" YES \n", true),
            ("\n", false),
            ("", false),
            ("no\n", false),
            ("yess\n", false),
        ] {
            assert_eq!(is_yes(answer), wanted, "{answer:?}");
        }
    }

    #[test]
    fn the_end_tells_what_came_of_it_and_how_the_command_ends() {
        for (state, failed, exit) in [
            ("done", 0, Exit::Done),
            ("done", 1, Exit::Failed),
            ("cancelled", 0, Exit::Failed),
            ("failed", 0, Exit::Failed),
        ] {
            let mut replay: Replay = read("Replay");
            state.clone_into(&mut replay.state);
            replay.failed = failed;
            assert_eq!(exit_of(&replay), exit, "{state} {failed}");
        }
        let mut replay: Replay = read("Replay");
        replay.state = "failed".to_owned();
        replay.error = Some("the disk is full".to_owned());
        assert_eq!(
            sentence(&replay),
            "replay 019b8d99-6900-7000-8000-000000000009 is failed: 440 pending again, 5 new, 4 skipped, 1 failed: the disk is full"
        );
    }
}
