//! `ingate events tail`: events and attempts as they happen, by the daemon's stream.
//!
//! Promise: what was missed between two connections is told, or it is said that something was missed.

use std::time::Duration;

use clap::{Args, ValueEnum};
use http_body_util::BodyExt;
use jiff::Timestamp;
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep, timeout};

use super::super::filters::Which;
use super::super::operator::{Api, OperatorArgs, Query, shape};
use super::super::shapes::{AttemptRow, EventRow, Lost};
use super::super::show::{Look, Tone, clean, count, timeline, took};
use super::super::sse::{Reader, Sent};
use super::super::{Exit, Failure, Outcome, block_on, print_if_read, say};

/// A stream without a sign of life for this long is given up; the daemon sends a comment each 15 s.
const SILENCE: Duration = Duration::from_secs(60);

/// How long the daemon may be away before this ends; it may be restarting.
const AWAY: Duration = Duration::from_secs(60);

/// Between two tries to reach it.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
#[command(
    after_help = "It begins with what comes next and ends with Ctrl-C or after --count. With --json each line is an object whose `kind` is \
    event, attempt or lost; the rest is a row as the API has it. `lost` says that some were missed.\n\n\
    Example: ingate events tail --target erp --failed"
)]
pub(super) struct TailArgs {
    #[command(flatten)]
    which: Which,
    /// Only events, or only attempts
    #[arg(long, value_name = "KIND")]
    only: Option<Kind>,
    /// Only attempts that failed
    #[arg(long, conflicts_with = "only")]
    failed: bool,
    /// End after so many
    #[arg(long, value_name = "COUNT")]
    count: Option<u64>,
    #[command(flatten)]
    operator: OperatorArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Events,
    Attempts,
}

impl TailArgs {
    fn path(&self) -> String {
        let mut query = Query::default();
        match (self.only, self.failed) {
            (Some(Kind::Events), _) => query.add("kinds", "event"),
            (Some(Kind::Attempts), _) | (None, true) => query.add("kinds", "attempt"),
            (None, false) => {}
        }
        if self.failed {
            query.add("ok", false);
        }
        self.which.parameters(&mut query);
        query.at("/api/v1/stream")
    }
}

pub(super) fn run(args: &TailArgs) -> Outcome {
    let api = args.operator.api()?;
    let mut printed = Printed {
        json: args.operator.json,
        look: Look::of_stdout(),
        left: args.count,
        reached: false,
    };
    block_on(follow(&api, &args.path(), &mut printed))?
}

/// Reads until there is enough, over as many connections as it takes.
async fn follow(api: &Api, path: &str, printed: &mut Printed) -> Outcome {
    let mut last: Option<String> = None;
    let mut away: Option<Instant> = None;
    loop {
        match connected(api, path, &mut last, printed).await {
            Ok(Ended::Enough) => return Ok(Exit::Done),
            Ok(Ended::Broken) => away = None,
            Err(failure) if !printed.reached || failure.exit != Exit::Unreachable => {
                return Err(failure);
            }
            Err(failure) => {
                let since = *away.get_or_insert_with(|| {
                    say("the daemon is away; trying again");
                    Instant::now()
                });
                if since.elapsed() > AWAY {
                    return Err(failure);
                }
            }
        }
        sleep(PAUSE).await;
    }
}

/// Why a connection is over.
enum Ended {
    Enough,
    /// It ended, was cut off or fell silent; there may be more over another one.
    Broken,
}

async fn connected(
    api: &Api,
    path: &str,
    last: &mut Option<String>,
    printed: &mut Printed,
) -> Result<Ended, Failure> {
    let mut body = api.stream(path, last.as_deref()).await?.into_body();
    // from here on nothing is missed; without an id the daemon could not go on where it was
    say(match (printed.reached, &last) {
        (false, _) => "following",
        (true, Some(_)) => "following again",
        (true, None) => "following again; what happened in between is not shown",
    });
    printed.reached = true;
    let mut reader = Reader::default();
    while let Ok(Some(Ok(frame))) = timeout(SILENCE, body.frame()).await {
        let Ok(bytes) = frame.into_data() else {
            continue;
        };
        let sent = reader.read(&bytes);
        for one in sent.map_err(|error| Failure::caused(Exit::Failed, &error))? {
            if one.id.is_some() {
                last.clone_from(&one.id);
            }
            if printed.take(&one)? {
                return Ok(Ended::Enough);
            }
        }
    }
    Ok(Ended::Broken)
}

/// What was printed, and how much is still to be.
struct Printed {
    json: bool,
    look: Look,
    left: Option<u64>,
    /// Whether the stream was ever there.
    reached: bool,
}

impl Printed {
    /// Prints one; whether that was the last.
    fn take(&mut self, sent: &Sent) -> Result<bool, Failure> {
        let row: Value = serde_json::from_str(&sent.data).map_err(|error| {
            Failure::new(
                Exit::Failed,
                format!("error: a line of the stream is no JSON: {error}"),
            )
        })?;
        // what is told by how long it is away is told by this moment
        self.look.now = self.look.now.map(|_| Timestamp::now());
        let line = match self.json {
            true => Some(as_json(&sent.event, row).to_string()),
            false => as_line(&sent.event, &row, &self.look)?,
        };
        if let Some(line) = line
            && !print_if_read(&line)?
        {
            return Ok(true);
        }
        if sent.event != "lost" {
            self.left = self.left.map(|left| left.saturating_sub(1));
        }
        Ok(self.left == Some(0))
    }
}

fn as_json(kind: &str, row: Value) -> Value {
    let mut object = Map::new();
    object.insert("kind".to_owned(), kind.into());
    match row {
        Value::Object(row) => object.extend(row),
        other => {
            object.insert("data".to_owned(), other);
        }
    }
    Value::Object(object)
}

/// A line; none for a kind that this version does not know.
fn as_line(kind: &str, row: &Value, look: &Look) -> Result<Option<String>, Failure> {
    let line = match kind {
        "event" => {
            let row: EventRow = shape(row)?;
            let deliveries = match row.deliveries.len() {
                0 => look.paint(Tone::Doubtful, "unmatched"),
                number => {
                    let number = u64::try_from(number).unwrap_or(u64::MAX);
                    count(number, "delivery", "deliveries")
                }
            };
            let words = format!("{}  {}  {}", row.id, row.source, row.event_type);
            let at = clock(row.received_at.0, look);
            format!("{at}  event    {}  {deliveries}", clean(&words))
        }
        "attempt" => {
            let row: AttemptRow = shape(row)?;
            let tone = if row.ok { Tone::Good } else { Tone::Bad };
            let result = look.paint(tone, &clean(&row.result));
            let way = format!(
                "{}  {} -> {}  {}",
                row.delivery, row.route, row.target, row.event_type
            );
            let at = clock(row.started_at.0, look);
            let state = look.paint(timeline::tone_of(&row.state), &clean(&row.state));
            let next = row.due_at.map(|due| format!(", next {}", look.time(due.0)));
            format!(
                "{at}  attempt  {}  attempt {}: {result} in {}, {state}{}",
                clean(&way),
                row.number,
                took(row.took_seconds),
                next.unwrap_or_default()
            )
        }
        "lost" => {
            let lost: Lost = shape(row)?;
            let number = lost
                .missed
                .map_or("some".to_owned(), |missed| missed.to_string());
            say(&format!("{number} were missed here"));
            return Ok(None);
        }
        _ => return Ok(None),
    };
    Ok(Some(line))
}

/// The time of day on a terminal, where each line is of today; in full otherwise.
fn clock(at: Timestamp, look: &Look) -> String {
    match look.now {
        Some(_) => at.strftime("%H:%M:%SZ").to_string(),
        None => at.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::super::contract;
    use super::super::super::examples::example;
    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        tail: TailArgs,
    }

    #[test]
    fn it_asks_for_what_is_wanted_alone() {
        for (args, wanted) in [
            (vec!["x"], "/api/v1/stream"),
            (vec!["x", "--only=events"], "/api/v1/stream?kinds=event"),
            (
                vec!["x", "--failed", "--target=erp"],
                "/api/v1/stream?kinds=attempt&ok=false&target=erp",
            ),
        ] {
            let path = Line::try_parse_from(args).unwrap().tail.path();
            assert_eq!(path, wanted);
            if path.contains('?') {
                contract::takes("/api/v1/stream", &path);
            }
        }
        assert!(Line::try_parse_from(["x", "--failed", "--only=events"]).is_err());
    }

    #[test]
    fn lines() {
        let line = |kind, schema| as_line(kind, &example(schema), &Look::PLAIN).unwrap();
        assert_eq!(
            line("event", "EventRow").unwrap(),
            "2026-01-05T10:00:00Z  event    019b8d99-6900-7000-8000-000000000001  wreno  vendor.updated  2 deliveries"
        );
        assert_eq!(
            line("attempt", "AttemptRow").unwrap(),
            "2026-01-05T10:00:05Z  attempt  019b8d99-6900-7000-8000-000000000002  vendor-updates -> erp  vendor.updated  \
             attempt 2: status 503 in 12ms, pending, next 2026-01-05T10:05:05Z"
        );
        assert_eq!(line("lost", "Lost"), None);
        assert_eq!(line("from tomorrow", "Lost"), None);
    }

    #[test]
    fn json_says_its_kind_first() {
        let row = as_json("lost", example("Lost"));
        assert_eq!(row.to_string(), r#"{"kind":"lost","missed":12}"#);
    }

    #[test]
    fn it_ends_after_as_many_as_are_wanted() {
        let mut printed = Printed {
            json: false,
            look: Look::PLAIN,
            left: Some(2),
            reached: true,
        };
        let sent = |kind: &str, schema| Sent {
            id: None,
            event: kind.to_owned(),
            data: example(schema).to_string(),
        };
        assert!(!printed.take(&sent("event", "EventRow")).unwrap());
        assert!(!printed.take(&sent("lost", "Lost")).unwrap());
        assert!(printed.take(&sent("attempt", "AttemptRow")).unwrap());
    }
}
