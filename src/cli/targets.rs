//! `ingate targets`: how targets stand, and pausing, resuming and probing them.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::operator::{OperatorArgs, each, shape};
use super::shapes::{Breaker, Probe, SecretName, Target};
use super::show::{Cell, Column, Look, Table, Tone, age, clean, took};
use super::{Exit, Failure, Outcome, block_on, print, print_json};
use crate::id::TargetName;

#[derive(Debug, Args)]
pub(super) struct TargetsArgs {
    #[command(subcommand)]
    command: TargetsCommand,
}

#[derive(Debug, Subcommand)]
enum TargetsCommand {
    /// List targets: what waits, what is dead, breakers and pauses
    List(ListArgs),
    /// Show one target
    Show(ShowArgs),
    /// Have the deliveries of targets wait
    Pause(PauseArgs),
    /// Let the deliveries of targets go on
    Resume(ResumeArgs),
    /// Look whether targets can be reached, without sending anything
    Probe(ProbeArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "Example: ingate targets list --json | jq '.items[] | select(.paused)'")]
struct ListArgs {
    #[command(flatten)]
    operator: OperatorArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Example: ingate targets show erp")]
struct ShowArgs {
    /// The target's name
    #[arg(value_name = "TARGET")]
    target: TargetName,
    #[command(flatten)]
    operator: OperatorArgs,
}

#[derive(Debug, Args)]
#[command(
    after_help = "No attempt begins until the target is resumed, over restarts and reloads too; those under way end. Retries wait, but the \
    `max_age` of a retry policy goes on.\n\n\
    Example: ingate targets pause erp"
)]
struct PauseArgs {
    /// Names of targets
    #[arg(value_name = "TARGET", required = true)]
    targets: Vec<TargetName>,
    #[command(flatten)]
    operator: OperatorArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "The breaker stays as it is.\n\nExample: ingate targets resume erp")]
struct ResumeArgs {
    /// Names of targets
    #[arg(value_name = "TARGET", required = true)]
    targets: Vec<TargetName>,
    #[command(flatten)]
    operator: OperatorArgs,
}

#[derive(Debug, Args)]
#[command(
    after_help = "The name is resolved, a connection made and hands are shaken as for an attempt, but no request is sent. Where the breaker is open \
    and the connection was made, the next delivery is tried at once. Exit code: 1 if one cannot be reached.\n\n\
    Example: ingate targets probe erp"
)]
struct ProbeArgs {
    /// Names of targets
    #[arg(value_name = "TARGET", required = true)]
    targets: Vec<TargetName>,
    #[command(flatten)]
    operator: OperatorArgs,
}

pub(super) fn run(args: &TargetsArgs) -> Outcome {
    match &args.command {
        TargetsCommand::List(args) => list(args),
        TargetsCommand::Show(args) => show(args),
        TargetsCommand::Pause(args) => change(&args.targets, "pause", &args.operator),
        TargetsCommand::Resume(args) => change(&args.targets, "resume", &args.operator),
        TargetsCommand::Probe(args) => probe(args),
    }
}

fn list(args: &ListArgs) -> Outcome {
    let api = args.operator.api()?;
    let listing = block_on(api.all("/api/v1/targets"))??;
    let look = Look::of_stdout();
    listing.show(args.operator.json, "no targets are configured", |rows| {
        table(rows, &look).text(&look)
    })
}

fn table(rows: &[Target], look: &Look) -> Table<7> {
    let mut table = Table::new([
        Column::Left("TARGET"),
        Column::Left("STATE"),
        Column::Right("RUNNING"),
        Column::Right("PENDING"),
        Column::Left("OLDEST"),
        Column::Right("DEAD"),
        Column::Cut("URL"),
    ]);
    for row in rows {
        let dead = if row.dead > 0 { Tone::Bad } else { Tone::Plain };
        table.row([
            row.name.as_str().into(),
            state(row),
            row.running.to_string().into(),
            row.pending.to_string().into(),
            look.time_if(row.oldest_pending_at.map(|at| at.0)).into(),
            Cell::new(dead, row.dead.to_string()),
            row.url.as_str().into(),
        ]);
    }
    table
}

/// How a target stands, in a word.
pub(super) fn state(target: &Target) -> Cell {
    let breaker = target
        .breaker
        .as_ref()
        .map(|breaker| breaker.state.as_str());
    match (&target.paused, breaker) {
        (Some(_), _) => Cell::new(Tone::Doubtful, "paused"),
        (None, Some("open")) => Cell::new(Tone::Bad, "down"),
        (None, Some("half_open")) => Cell::new(Tone::Doubtful, "probing"),
        (None, _) => Cell::new(Tone::Good, "up"),
    }
}

fn show(args: &ShowArgs) -> Outcome {
    let api = args.operator.api()?;
    let value = block_on(api.get(&format!("/api/v1/targets/{}", args.target)))??;
    if args.operator.json {
        print_json(&value)?;
    } else {
        print(&story(&shape(&value)?, &Look::of_stdout()))?;
    }
    Ok(Exit::Done)
}

fn story(target: &Target, look: &Look) -> String {
    let mut rows = vec![("url", target.url.clone())];
    if let Some(paused) = &target.paused {
        let since = look.moment(paused.since.0);
        rows.push(("paused", format!("since {since} by {}", paused.by)));
    }
    if let Some(owner) = &target.owner {
        let this = if owner.this { ", this instance" } else { "" };
        rows.push(("made by", format!("{} ({}){this}", owner.name, owner.id)));
    }
    let breaker = target.breaker.as_ref();
    rows.push((
        "breaker",
        breaker.map_or("off".to_owned(), |breaker| breaker_words(breaker, look)),
    ));
    let limits = [
        Some(format!("{} at a time", target.concurrency)),
        target.rate.clone(),
        target
            .timeout_seconds
            .map(|seconds| format!("{seconds} s each")),
        target.order.then(|| "ordered".to_owned()),
    ];
    let limits: Vec<String> = limits.into_iter().flatten().collect();
    rows.push(("attempts", limits.join(", ")));
    let oldest = target.oldest_pending_at;
    let oldest = oldest.map(|at| format!(", the oldest {}", look.moment(at.0)));
    let oldest = oldest.unwrap_or_default();
    rows.push(("pending", format!("{}{oldest}", target.pending)));
    rows.push(("running", target.running.to_string()));
    rows.push(("dead", target.dead.to_string()));
    let lately = &target.last_minute;
    rows.push((
        "lately",
        format!(
            "{} succeeded, {} failed in {}",
            lately.succeeded,
            lately.failed,
            age(lately.seconds as u64)
        ),
    ));
    let signed = target
        .sign
        .as_ref()
        .map(|sign| format!("{}, {}", sign.scheme, secrets_words(&sign.secrets)));
    rows.push(("signed", signed.unwrap_or_else(|| "not at all".to_owned())));
    if let Some(auth) = &target.auth {
        let secret = secrets_words(std::slice::from_ref(&auth.secret));
        rows.push(("auth", format!("{}, {secret}", auth.kind)));
    }
    rows.push(("routes", target.routes.join(", ")));
    let rows = rows.iter().filter(|(_, what)| !what.is_empty());
    let rows = rows.map(|(word, what)| format!("\n  {word:<12}{}", clean(what)));
    let title = format!("target {}", clean(&target.name));
    format!(
        "{}{}",
        look.paint(Tone::Strong, &title),
        rows.collect::<String>()
    )
}

fn breaker_words(breaker: &Breaker, look: &Look) -> String {
    let mut words = breaker.state.replace('_', " ");
    if let Some(since) = breaker.since {
        words.push_str(&format!(" since {}", look.moment(since.0)));
    }
    if breaker.consecutive_failures > 0 {
        words.push_str(&format!(
            ", {} failed in a row",
            breaker.consecutive_failures
        ));
    }
    if let Some(failure) = &breaker.last_failure {
        words.push_str(&format!(", last {failure}"));
    }
    if let Some(next) = breaker.next_probe_at {
        words.push_str(&format!(", next probe {}", look.moment(next.0)));
    }
    words
}

/// Where secrets come from, newest first; never what they are.
pub(super) fn secrets_words(secrets: &[SecretName]) -> String {
    let words = secrets.iter().map(|secret| match &secret.name {
        Some(name) => format!("{} {name}", secret.from),
        None => format!("{} in the configuration", secret.from),
    });
    words.collect::<Vec<_>>().join(", ")
}

/// Pauses or resumes.
fn change(names: &[TargetName], how: &str, operator: &OperatorArgs) -> Outcome {
    let api = operator.api()?;
    let ask = async |name: &TargetName| {
        named(
            name,
            names.len(),
            api.post(&format!("/api/v1/targets/{name}/{how}")).await,
        )
    };
    let text = |answer: &Value| {
        let target: Target = shape(answer)?;
        let stands = match target.paused {
            Some(_) => "is paused",
            None => "is not paused",
        };
        Ok(format!(
            "target {} {stands}, {} pending",
            clean(&target.name),
            target.pending
        ))
    };
    block_on(each(names, operator.json, ask, text))?
}

fn probe(args: &ProbeArgs) -> Outcome {
    let api = args.operator.api()?;
    let mut unreachable = false;
    let ask = async |name: &TargetName| {
        let answer = api.post(&format!("/api/v1/targets/{name}/probe")).await;
        let answer = named(name, args.targets.len(), answer)?;
        unreachable |= answer.get("reachable") != Some(&Value::Bool(true));
        Ok(answer)
    };
    let text = |answer: &Value| Ok(probed(&shape(answer)?));
    let exit = block_on(each(&args.targets, args.operator.json, ask, text))??;
    Ok(if unreachable { Exit::Failed } else { exit })
}

/// Says of which it is, if there are several.
fn named(name: &TargetName, of: usize, answer: Result<Value, Failure>) -> Result<Value, Failure> {
    answer.map_err(|mut failure| {
        if of > 1 {
            failure.words = format!("{name}: {}", failure.words);
        }
        failure
    })
}

fn probed(probe: &Probe) -> String {
    let name = clean(&probe.target);
    let time = took(probe.took_seconds);
    if !probe.reachable {
        let failure = probe.failure.as_deref().unwrap_or("failed");
        let detail = probe.detail.as_deref().unwrap_or_default();
        let words = format!("target {name} cannot be reached: {failure} after {time}: {detail}");
        return clean(words.trim_end_matches([':', ' '])).into_owned();
    }
    let elsewhere = probe.owner.as_ref().filter(|owner| !owner.this);
    let hurried = match elsewhere {
        _ if probe.hurried => "; its next delivery is tried at once".to_owned(),
        Some(owner) => format!(
            "; instance {} makes its attempts, and only there it can be hurried",
            clean(&owner.name)
        ),
        None => String::new(),
    };
    format!("target {name} can be reached, in {time}{hurried}")
}

#[cfg(test)]
mod tests {
    use super::super::contract;
    use super::super::examples::read;
    use super::super::shapes::{Overview, Owner};
    use super::*;

    #[test]
    fn a_listing_says_how_targets_stand() {
        let overview: Overview = read("Overview");
        let told = table(&overview.targets, &Look::PLAIN).text(&Look::PLAIN);
        let wanted = "\
TARGET  STATE   RUNNING  PENDING  OLDEST                DEAD  URL
erp     up            2       40  2026-01-05T09:58:20Z     3  http://127.0.0.1:9000/hooks
audit   paused        0       40  2026-01-05T09:58:20Z     0  http://127.0.0.1:9000/hooks
crm     down          2        5  2026-01-05T09:58:20Z     0  http://127.0.0.1:9000/hooks";
        assert_eq!(told, wanted, "{told}");
    }

    #[test]
    fn one_is_told_with_all_that_is_known_of_it() {
        let overview: Overview = read("Overview");
        let told = story(&overview.targets[2], &Look::PLAIN);
        let wanted = "\
target crm
  url         http://127.0.0.1:9000/hooks
  made by     relay-a (41)
  breaker     open since 2026-01-05T09:59:00Z, 7 failed in a row, last status 503, next probe 2026-01-05T10:00:30Z
  attempts    8 at a time, 15 s each
  pending     5, the oldest 2026-01-05T09:58:20Z
  running     2
  dead        0
  lately      120 succeeded, 6 failed in 1m
  signed      standard-webhooks, env WRENO_SECRET, value in the configuration
  auth        oauth2, file secrets/erp
  routes      vendor-updates";
        assert_eq!(told, wanted, "{told}");
        let told = story(&overview.targets[1], &Look::PLAIN);
        let paused = "\n  paused      since 2026-01-05T09:00:00Z by operator from 127.0.0.1\n";
        assert!(told.contains(paused), "{told}");
    }

    #[test]
    fn probes() {
        let mut probe: Probe = read("Probe");
        assert_eq!(
            probed(&probe),
            "target crm cannot be reached: connect after 3ms: connection refused"
        );
        probe.reachable = true;
        assert_eq!(probed(&probe), "target crm can be reached, in 3ms");
        probe.hurried = true;
        assert!(probed(&probe).ends_with("tried at once"));
        probe.hurried = false;
        probe.owner = Some(Owner {
            id: 41,
            name: "relay-a".to_owned(),
            this: false,
        });
        let told = probed(&probe);
        assert!(told.contains("; instance relay-a makes"), "{told}");
    }

    #[test]
    fn it_asks_as_the_document_says() {
        for (verb, path) in [
            ("get", "/api/v1/targets"),
            ("get", "/api/v1/targets/{id}"),
            ("post", "/api/v1/targets/{id}/pause"),
            ("post", "/api/v1/targets/{id}/resume"),
            ("post", "/api/v1/targets/{id}/probe"),
        ] {
            contract::knows(verb, path);
        }
    }
}
