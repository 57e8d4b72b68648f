//! `ingate top`: rates, depth and oldest age, in all and per target, redrawn in place.

use std::fmt::Write as _;
use std::io::Write;
use std::time::Duration;

use clap::Args;
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};

use super::operator::{Api, OperatorArgs, shape};
use super::shapes::{InCounts, Overview};
use super::show::{Cell, Column, Look, Table, Tone, age_at, clean, count};
use super::{Exit, Failure, Outcome, block_on, print, print_if_read, targets};
use crate::units;

/// Shortest time between two looks: rates are of the last minute and the daemon counts once a second.
const SHORTEST: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
#[command(
    after_help = "Rates are those of the last minute, by the second. On a terminal it is redrawn in place until Ctrl-C; otherwise each look is \
    printed below the one before. With --json each look is a line: the overview as the API has it.\n\n\
    Examples:\n  \
    ingate top --once\n  \
    ingate top --json --every 10s | jq -c '{pending, dead}'"
)]
pub(super) struct TopArgs {
    /// Between two looks
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = pause)]
    every: Duration,
    /// Look once
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    operator: OperatorArgs,
}

fn pause(text: &str) -> Result<Duration, String> {
    let pause = units::parse_duration(text).map_err(|error| error.to_string())?;
    if pause < SHORTEST {
        return Err(format!("it is at least {} ms", SHORTEST.as_millis()));
    }
    Ok(pause)
}

pub(super) fn run(args: &TopArgs) -> Outcome {
    let api = args.operator.api()?;
    block_on(watch(&api, args))?
}

async fn watch(api: &Api, args: &TopArgs) -> Outcome {
    let io = |error: std::io::Error| Failure::caused(Exit::Io, &error);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(io)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(io)?;
    let in_place = !args.once && !args.operator.json && Look::of_stdout().size.is_some();
    // Nothing is drawn over before the daemon has answered once.
    let mut value = api.get("/api/v1/overview").await?;
    let mut screen = in_place.then(Screen::open);
    loop {
        let read = match &mut screen {
            Some(screen) => {
                screen.draw(&words(&value)?)?;
                true
            }
            None if args.operator.json => print_if_read(&value.to_string())?,
            None => print_if_read(&words(&value)?)?,
        };
        if args.once || !read {
            return Ok(Exit::Done);
        }
        tokio::select! {
            _ = interrupt.recv() => return Ok(Exit::Done),
            _ = terminate.recv() => return Ok(Exit::Done),
            next = again(api, args.every, screen.as_mut()) => value = next?,
        }
        if screen.is_none() && !args.operator.json {
            print("")?;
        }
    }
}

/// The next look; on a terminal it waits for a daemon that is away.
async fn again(
    api: &Api,
    every: Duration,
    mut screen: Option<&mut Screen>,
) -> Result<Value, Failure> {
    loop {
        tokio::time::sleep(every).await;
        match (api.get("/api/v1/overview").await, &mut screen) {
            (Err(failure), Some(screen)) if failure.exit == Exit::Unreachable => {
                screen.draw(&format!("{}\n\ntrying again", failure.words))?;
            }
            (answer, _) => return answer,
        }
    }
}

fn words(value: &Value) -> Result<String, Failure> {
    Ok(text(&shape(value)?, &Look::of_stdout()))
}

/// One look.
fn text(overview: &Overview, look: &Look) -> String {
    let now = overview.now.0;
    let ago = |at| age_at(now, at);
    let mut text = String::new();
    let title = format!("ingate {}", clean(&overview.version));
    let state = if overview.ready {
        look.paint(Tone::Good, "ready")
    } else {
        let why = clean(&overview.reasons.join(", ")).into_owned();
        look.paint(Tone::Bad, &format!("not ready: {why}"))
    };
    let plan = &overview.plan;
    let _ = writeln!(
        text,
        "{}  {state}  up {}  configuration {} since {}",
        look.paint(Tone::Strong, &title),
        ago(overview.started_at.0),
        plan.generation,
        ago(plan.since.0)
    );
    if let Some(reload) = overview
        .last_reload
        .as_ref()
        .filter(|reload| !reload.applied)
    {
        let words = format!("the last reload, {} ago, was refused", ago(reload.at.0));
        let _ = writeln!(text, "{}", look.paint(Tone::Bad, &words));
    }
    let out = &overview.outbound;
    let _ = writeln!(text, "in       {}", inbound(&overview.inbound));
    let _ = writeln!(
        text,
        "out      {}/s succeeded, {}/s failed",
        rate(out.succeeded, out.seconds),
        rate(out.failed, out.seconds)
    );
    let oldest = overview.oldest_pending_at;
    let oldest = oldest.map(|at| format!(", the oldest since {}", ago(at.0)));
    let replays = match overview.replays_running {
        0 => String::new(),
        number => format!(", {} under way", count(number, "replay", "replays")),
    };
    let _ = writeln!(
        text,
        "queue    {} pending{}, {} dead{replays}",
        overview.pending,
        oldest.unwrap_or_default(),
        overview.dead
    );
    for table in [targets_text(overview, look), sources_text(overview, look)] {
        let _ = write!(text, "\n{table}\n");
    }
    text
}

fn inbound(counts: &InCounts) -> String {
    let each = |number| rate(number, counts.seconds);
    let mut words = format!("{}/s received", each(counts.received));
    for (number, what) in [
        (counts.duplicates, "duplicates"),
        (counts.unmatched, "unmatched"),
        (counts.unverified, "not verified"),
        (counts.refused, "refused"),
    ] {
        if number > 0 {
            let _ = write!(words, ", {}/s {what}", each(number));
        }
    }
    words
}

fn targets_text(overview: &Overview, look: &Look) -> String {
    let mut table = Table::new([
        Column::Cut("TARGET"),
        Column::Left("STATE"),
        Column::Right("OK/S"),
        Column::Right("FAIL/S"),
        Column::Right("RUNNING"),
        Column::Right("PENDING"),
        Column::Right("OLDEST"),
        Column::Right("DEAD"),
    ]);
    for row in &overview.targets {
        let lately = &row.last_minute;
        let tone = |number| if number > 0 { Tone::Bad } else { Tone::Plain };
        let oldest = row.oldest_pending_at;
        table.row([
            row.name.as_str().into(),
            targets::state(row),
            rate(lately.succeeded, lately.seconds).into(),
            Cell::new(tone(lately.failed), rate(lately.failed, lately.seconds)),
            row.running.to_string().into(),
            row.pending.to_string().into(),
            oldest
                .map_or("-".to_owned(), |at| age_at(overview.now.0, at.0))
                .into(),
            Cell::new(tone(row.dead), row.dead.to_string()),
        ]);
    }
    table.text(look)
}

fn sources_text(overview: &Overview, look: &Look) -> String {
    let mut table = Table::new([
        Column::Cut("SOURCE"),
        Column::Right("IN/S"),
        Column::Right("DUPLICATES/S"),
        Column::Right("UNMATCHED/S"),
        Column::Right("NOT VERIFIED/S"),
    ]);
    for row in &overview.sources {
        let lately = &row.last_minute;
        let each = |number| Cell::from(rate(number, lately.seconds));
        table.row([
            row.name.as_str().into(),
            each(lately.received),
            each(lately.duplicates),
            each(lately.unmatched),
            each(lately.unverified),
        ]);
    }
    table.text(look)
}

/// So many a second, with as many digits as say something.
fn rate(number: u64, seconds: f64) -> String {
    if number == 0 || seconds <= 0.0 {
        return "0".to_owned();
    }
    let each = number as f64 / seconds;
    if each >= 10.0 {
        format!("{each:.0}")
    } else if each >= 0.1 {
        format!("{each:.1}")
    } else {
        format!("{each:.2}")
    }
}

/// The terminal's other screen, which is given back when this is dropped.
struct Screen;

impl Screen {
    fn open() -> Self {
        // the other screen, without a cursor
        let _ = Self::write("\x1b[?1049h\x1b[?25l");
        Self
    }

    /// Draws over what was there; what does not fit below stays away.
    fn draw(&mut self, text: &str) -> Result<(), Failure> {
        let rows = Look::of_stdout().size.map_or(usize::MAX, |(_, rows)| rows);
        Self::write(&drawn(text, rows)).map_err(|error| {
            Failure::new(Exit::Io, format!("error: cannot write to stdout: {error}"))
        })
    }

    fn write(text: &str) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = Self::write("\x1b[?25h\x1b[?1049l");
    }
}

/// Lines from the top of the screen on, each cleared to its end, and what is below cleared as well.
fn drawn(text: &str, rows: usize) -> String {
    let lines: Vec<String> = text
        .lines()
        .take(rows)
        .map(|line| format!("{line}\x1b[K"))
        .collect();
    format!("\x1b[H{}\x1b[J", lines.join("\r\n"))
}

#[cfg(test)]
mod tests {
    use super::super::contract;
    use super::super::examples::read;
    use super::*;

    #[test]
    fn one_look() {
        let told = text(&read("Overview"), &Look::PLAIN);
        let wanted = "\
ingate 0.1.0  ready  up 2h  configuration 14 since 30m
the last reload, 10m ago, was refused
in       10/s received, 0.05/s duplicates, 0.1/s not verified
out      2.0/s succeeded, 0.1/s failed
queue    45 pending, the oldest since 1m 40s, 3 dead, 1 replay under way

TARGET  STATE   OK/S  FAIL/S  RUNNING  PENDING  OLDEST  DEAD
erp     up       2.0     0.1        2       40  1m 40s     3
audit   paused   2.0     0.1        0       40  1m 40s     0
crm     down     2.0     0.1        2        5  1m 40s     0

SOURCE  IN/S  DUPLICATES/S  UNMATCHED/S  NOT VERIFIED/S
wreno     10          0.05            0             0.1
";
        assert_eq!(told, wanted, "{told}");
        contract::knows("get", "/api/v1/overview");
    }

    #[test]
    fn rates() {
        for (number, seconds, wanted) in [
            (0, 60.0, "0"),
            (5, 0.0, "0"),
            (600, 60.0, "10"),
            (90, 60.0, "1.5"),
            (1, 60.0, "0.02"),
        ] {
            assert_eq!(rate(number, seconds), wanted);
        }
    }

    #[test]
    fn what_is_drawn_fits_the_screen() {
        assert_eq!(drawn("a\nb\nc\n", 2), "\x1b[Ha\x1b[K\r\nb\x1b[K\x1b[J");
    }

    #[test]
    fn looks_are_not_too_close() {
        assert_eq!(pause("1s"), Ok(Duration::from_secs(1)));
        assert!(pause("1ms").is_err());
        assert!(pause("often").is_err());
    }
}
