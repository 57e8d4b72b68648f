//! `ingate sources`: what comes in by which source, and why verification failed lately.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::operator::{OperatorArgs, shape};
use super::shapes::{FailedVerification, Source};
use super::show::{Cell, Column, Look, Table, Tone, clean};
use super::targets::secrets_words;
use super::{Exit, Outcome, block_on, print, print_json};
use crate::id::SourceName;

#[derive(Debug, Args)]
pub(super) struct SourcesArgs {
    #[command(subcommand)]
    command: SourcesCommand,
}

#[derive(Debug, Subcommand)]
enum SourcesCommand {
    /// List sources: what came in within the last minute, what failed verification
    List(ListArgs),
    /// Say what failed verification lately, and why
    Failures(FailuresArgs),
    /// Have a source wait for a secret that its vendor hands over
    Arm(ArmArgs),
    /// Have a source wait for no secret any more
    Disarm(DisarmArgs),
    /// Confirm the subscriptions that wait at a source
    Confirm(ConfirmArgs),
}

#[derive(Debug, Args)]
#[command(
    after_help = "Secrets are named by where they come from, never shown.\n\nExample: ingate sources list"
)]
struct ListArgs {
    #[command(flatten)]
    operator: OperatorArgs,
}

#[derive(Debug, Args)]
#[command(
    after_help = "The last hundred since the daemon began, newest first; no bodies, no values of headers, no signatures. `ingate verify` looks \
    closer at a request that was captured.\n\n\
    Example: ingate sources failures wreno"
)]
struct FailuresArgs {
    /// The source's name
    #[arg(value_name = "SOURCE")]
    source: SourceName,
    #[command(flatten)]
    operator: OperatorArgs,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Some vendors hand the secret over in a challenge of their own, which nothing proves, so it is answered only while the source is \
    armed. It ends with the first secret, which is kept in the file that the source has as `captured`.\n\n\
    Example: ingate sources arm asana --for 5m"
)]
struct ArmArgs {
    /// The source's name
    #[arg(value_name = "SOURCE")]
    source: SourceName,
    /// For how long, up to 1h
    #[arg(long = "for", value_name = "TIME", default_value = "10m")]
    time: String,
    #[command(flatten)]
    operator: OperatorArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Example: ingate sources disarm asana")]
struct DisarmArgs {
    /// The source's name
    #[arg(value_name = "SOURCE")]
    source: SourceName,
    #[command(flatten)]
    operator: OperatorArgs,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Amazon SNS asks whether a subscription is meant, and lets it be confirmed for three days; the daemon says so in its log, and \
    `ingate sources list` too.\n\n\
    Example: ingate sources confirm orders"
)]
struct ConfirmArgs {
    /// The source's name
    #[arg(value_name = "SOURCE")]
    source: SourceName,
    #[command(flatten)]
    operator: OperatorArgs,
}

pub(super) fn run(args: &SourcesArgs) -> Outcome {
    let look = Look::of_stdout();
    match &args.command {
        SourcesCommand::List(ListArgs { operator }) => {
            let api = operator.api()?;
            let listing = block_on(api.all("/api/v1/sources"))??;
            listing.show(operator.json, "no sources are configured", |rows| {
                table(rows, &look).text(&look)
            })
        }
        SourcesCommand::Failures(FailuresArgs { source, operator }) => {
            let api = operator.api()?;
            let listing = block_on(api.all(&format!("/api/v1/sources/{source}/failures")))??;
            listing.show(operator.json, "none since the daemon began", |rows| {
                failures(rows, &look).text(&look)
            })
        }
        SourcesCommand::Arm(args) => {
            let path = format!("/api/v1/sources/{}/arm", args.source);
            let api = args.operator.api()?;
            let answer = block_on(api.post_json(&path, &json!({"for": args.time})))??;
            stands(&answer, args.operator.json, &look)
        }
        SourcesCommand::Disarm(args) => {
            let path = format!("/api/v1/sources/{}/disarm", args.source);
            let api = args.operator.api()?;
            let answer = block_on(api.post(&path))??;
            stands(&answer, args.operator.json, &look)
        }
        SourcesCommand::Confirm(args) => {
            let path = format!("/api/v1/sources/{}/confirm", args.source);
            let api = args.operator.api()?;
            let answer = block_on(api.post(&path))??;
            stands(&answer, args.operator.json, &look)
        }
    }
}

/// Says how a source stands after a change.
fn stands(answer: &Value, as_json: bool, look: &Look) -> Outcome {
    if as_json {
        print_json(answer)?;
    } else {
        print(&words_of(&shape(answer)?, look))?;
    }
    Ok(Exit::Done)
}

fn words_of(source: &Source, look: &Look) -> String {
    let secret = source.armed_until.map(|until| {
        let until = look.moment(until.0);
        format!("for a secret until {until}")
    });
    let topics = source.unconfirmed.join(", ");
    let topics = (!topics.is_empty()).then(|| format!("to confirm {}", clean(&topics)));
    let waits = [secret, topics].into_iter().flatten();
    let waits = waits.collect::<Vec<_>>().join(", and ");
    let name = clean(&source.name);
    match waits.as_str() {
        "" => format!("source {name} waits for nothing"),
        waits => format!("source {name} waits {waits}"),
    }
}

fn table(rows: &[Source], look: &Look) -> Table<8> {
    let mut table = Table::new([
        Column::Left("SOURCE"),
        Column::Left("PATH"),
        Column::Left("SCHEME"),
        Column::Right("LAST MINUTE"),
        Column::Right("FAILURES"),
        Column::Left("LAST FAILURE"),
        Column::Cut("ROUTES"),
        Column::Cut("SECRETS"),
    ]);
    for row in rows {
        let failed = if row.failures > 0 {
            Tone::Doubtful
        } else {
            Tone::Plain
        };
        table.row([
            row.name.as_str().into(),
            row.path.as_str().into(),
            row.scheme.as_str().into(),
            row.last_minute.received.to_string().into(),
            Cell::new(failed, row.failures.to_string()),
            look.time_if(row.last_failure_at.map(|at| at.0)).into(),
            row.routes.join(", ").into(),
            secrets_words(&row.secrets).into(),
        ]);
    }
    table
}

fn failures(rows: &[FailedVerification], look: &Look) -> Table<6> {
    let mut table = Table::new([
        Column::Left("TIME"),
        Column::Left("REASON"),
        Column::Left("CLIENT"),
        Column::Left("METHOD"),
        Column::Right("BYTES"),
        Column::Cut("IN WORDS"),
    ]);
    for row in rows {
        let clock = row.skew_seconds.map(|skew| match skew {
            0.. => format!(" (its clock {skew} s ahead of ours)"),
            _ => format!(" (its clock {} s behind ours)", skew.unsigned_abs()),
        });
        table.row([
            look.time(row.at.0).into(),
            Cell::new(Tone::Bad, &row.reason),
            row.client.as_str().into(),
            row.method.as_str().into(),
            row.size_bytes.to_string().into(),
            format!("{}{}", row.detail, clock.unwrap_or_default()).into(),
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
    fn listings() {
        let told = table(&[read("Source")], &Look::PLAIN).text(&Look::PLAIN);
        let wanted = "\
SOURCE  PATH       SCHEME  LAST MINUTE  FAILURES  LAST FAILURE          ROUTES          SECRETS
wreno   /in/wreno  wreno           600         7  2026-01-05T09:59:00Z  vendor-updates  env WRENO_SECRET, value in the configuration";
        assert_eq!(told, wanted, "{told}");
        let told = failures(&[read("FailedVerification")], &Look::PLAIN).text(&Look::PLAIN);
        let wanted = "\
TIME                  REASON                      CLIENT       METHOD  BYTES  IN WORDS
2026-01-05T09:59:00Z  timestamp_out_of_tolerance  203.0.113.7  POST      300  the timestamp is 420 s old (its clock 420 s behind ours)";
        assert_eq!(told, wanted, "{told}");
        contract::knows("get", "/api/v1/sources");
        contract::knows("get", "/api/v1/sources/{id}/failures");
        let source: Source = read("Source");
        let told = words_of(&source, &Look::PLAIN);
        assert_eq!(told, "source wreno waits for nothing");
        let armed = Source {
            armed_until: source.last_failure_at,
            ..source
        };
        let told = words_of(&armed, &Look::PLAIN);
        assert_eq!(
            told,
            "source wreno waits for a secret until 2026-01-05T09:59:00Z"
        );
        let asked = Source {
            unconfirmed: vec!["arn:a".to_owned()],
            ..armed
        };
        let told = words_of(&asked, &Look::PLAIN);
        assert!(told.ends_with("09:59:00Z, and to confirm arn:a"), "{told}");
        contract::knows("post", "/api/v1/sources/{id}/confirm");
        contract::knows("post", "/api/v1/sources/{id}/arm");
        contract::knows("post", "/api/v1/sources/{id}/disarm");
    }
}
