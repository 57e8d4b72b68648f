//! The story of an event, from its arrival to what became of each delivery, and that of one delivery.

use std::fmt::Write as _;

use super::super::shapes::{Attempt, Delivery, Event, Outcome, RouteAnswer, Verification};
use super::{Look, Tone, clean, count, took};

/// Most characters of an answer that are shown; all of them are in `--json`.
const SNIPPET: usize = 200;

/// How many digits of a template's hash tell it from others.
const HASH: usize = 12;

/// Where everything but the words on the left begins.
const MARGIN: usize = 12;

/// An event: received, verified, routed, sent.
pub(in crate::cli) fn event(event: &Event, headers: bool, look: &Look) -> String {
    let mut text = Text::new(*look);
    let kind = format!("{} {}", event.source, event.event_type);
    let title = format!("event {}  {}", clean(&event.id), clean(&kind));
    text.line(&look.paint(Tone::Strong, &title));
    let relays = match event.hops {
        0 => String::new(),
        hops => format!(", {} before", count(hops, "relay", "relays")),
    };
    let received = look.moment(event.received_at.0);
    let size = count(event.size_bytes, "byte", "bytes");
    text.row("received", &format!("{received}, {size}{relays}"));
    if let Some(id) = &event.message_id {
        text.row("message id", id);
    }
    if headers {
        for header in &event.headers {
            text.row("header", &format!("{}: {}", header.name, header.value));
        }
    }
    let verified = event.verified.as_ref().map(verified);
    let unknown = "how is not known: an older version has stored it".to_owned();
    text.row("verified", &verified.unwrap_or(unknown));
    routed(event, &mut text);
    for one in &event.deliveries {
        text.blank();
        delivery_in(one, &mut text);
    }
    text.end()
}

/// A delivery with its attempts.
pub(in crate::cli) fn delivery(delivery: &Delivery, look: &Look) -> String {
    let mut text = Text::new(*look);
    delivery_in(delivery, &mut text);
    let event = format!("{} {}", delivery.event, delivery.event_type);
    text.row("event", event.trim_end());
    text.end()
}

/// How a state is shown.
pub(in crate::cli) fn tone_of(state: &str) -> Tone {
    match state {
        "delivered" => Tone::Good,
        "pending" => Tone::Doubtful,
        "dead" => Tone::Bad,
        _ => Tone::Faint,
    }
}

fn verified(how: &Verification) -> String {
    let secret = match how.secret {
        0 => "by the newest secret".to_owned(),
        older => format!("by secret {older} (0 is the newest)"),
    };
    let clock = match how.skew_seconds {
        None => String::new(),
        Some(0) => ", its clock as ours".to_owned(),
        Some(skew) if skew > 0 => format!(", its clock {skew} s ahead of ours"),
        Some(skew) => format!(", its clock {} s behind ours", skew.unsigned_abs()),
    };
    let covered = match how.message_id_covered {
        true => "",
        false => ", the message id is not signed",
    };
    format!("{} {secret}{clock}{covered}", how.scheme)
}

fn routed(event: &Event, text: &mut Text) {
    let Some(routing) = &event.routing else {
        return;
    };
    let by = match (routing.generation, routing.same) {
        (Some(by), true) => format!("by configuration {by}, which is in force"),
        (Some(by), false) => format!(
            "by configuration {by}; what follows is told by {}, which is in force",
            routing.now
        ),
        (None, _) => format!("told by configuration {}, which is in force", routing.now),
    };
    text.row("routed", &by);
    for answer in &routing.routes {
        let (mark, why) = answer_of(answer);
        let tone = if answer.takes {
            Tone::Good
        } else {
            Tone::Faint
        };
        let line = format!("{mark} {}  {why}", answer.route);
        text.below(&line, tone);
    }
    if event.deliveries.is_empty() {
        text.below("no route took it", Tone::Doubtful);
    }
}

fn answer_of(answer: &RouteAnswer) -> (char, String) {
    if answer.takes {
        return ('+', "takes it".to_owned());
    }
    let why = match &answer.field {
        Some(field) => {
            let found = match &answer.found {
                Some(found) => format!("is {found}"),
                None => "is not there".to_owned(),
            };
            let wanted = answer.wanted.as_deref().unwrap_or("something else");
            format!("{field} {found}, wanted: {wanted}")
        }
        None => "is from other sources".to_owned(),
    };
    ('-', why)
}

fn delivery_in(delivery: &Delivery, text: &mut Text) {
    let way = format!("{} -> {}", delivery.route, delivery.target);
    let title = format!("delivery {}  {}  ", clean(&delivery.id), clean(&way));
    let state = match &delivery.reason {
        Some(reason) => format!("{} ({reason})", delivery.state),
        None => delivery.state.clone(),
    };
    let look = text.look;
    let state = look.paint(tone_of(&delivery.state), &clean(&state));
    text.line(&format!("{}{state}", look.paint(Tone::Strong, &title)));
    if let Some(mark) = &delivery.replay {
        let by = match &mark.job {
            Some(job) => format!("by replay {job}, {}", mark.mode),
            None => format!("by itself, {}", mark.mode),
        };
        let of = mark.of.as_ref().map(|of| format!(", in the place of {of}"));
        text.row("again", &format!("{by}{}", of.unwrap_or_default()));
    }
    for attempt in &delivery.attempts {
        attempt_in(attempt, text);
    }
    if let Some(what) = &delivery.waits_for {
        let name = if what == "route" {
            &delivery.route
        } else {
            &delivery.target
        };
        text.row(
            "waits",
            &format!("for {what} {name} to be in the configuration again"),
        );
    } else if let Some(due) = delivery.due_at {
        text.row("next", &format!("attempt {}", look.moment(due.0)));
    }
    if let Some(ended) = delivery.ended_at {
        text.row(&delivery.state, &look.moment(ended.0));
    }
}

fn attempt_in(attempt: &Attempt, text: &mut Text) {
    let (tone, result, words) = result_of(&attempt.outcome);
    let mut made: Vec<String> = attempt.body_from.iter().cloned().collect();
    if let Some(hash) = &attempt.template_hash {
        let short: String = hash.chars().take(HASH).collect();
        made.push(format!("template {short}"));
    }
    if let Some(generation) = attempt.plan_generation {
        made.push(format!("configuration {generation}"));
    }
    let look = text.look;
    let at = look.moment(attempt.started_at.0);
    let time = took(attempt.took_seconds);
    let made = clean(&made.join(", ")).into_owned();
    let result = look.paint(tone, &clean(&result));
    let number = format!("attempt {}", attempt.number);
    let line = format!("{at}  {result}  {time}  {}", look.paint(Tone::Faint, &made));
    text.painted_row(&number, line.trim_end());
    if !words.is_empty() {
        text.below(&words, Tone::Plain);
    }
}

/// How it went, in a word and in words.
fn result_of(outcome: &Outcome) -> (Tone, String, String) {
    let detail = outcome.detail.clone().unwrap_or_default();
    match outcome.kind.as_str() {
        "answered" => {
            let status = outcome.status.unwrap_or_default();
            let good = (200..300).contains(&status);
            let wait = outcome.retry_after_seconds;
            let wait = wait.map(|wait| format!("asks to wait {wait:.0} s; "));
            let snippet = outcome.snippet.as_deref().unwrap_or_default().trim();
            let snippet = super::cut(snippet, SNIPPET);
            let words = format!("{}{snippet}", wait.unwrap_or_default());
            let tone = if good { Tone::Good } else { Tone::Bad };
            let words = words.trim_end_matches("; ").to_owned();
            (tone, format!("status {status}"), words)
        }
        "failed" => {
            let failure = outcome.failure.clone().unwrap_or_default();
            (Tone::Bad, failure, detail)
        }
        _ => {
            let reason = outcome.reason.clone().unwrap_or_default();
            (Tone::Bad, format!("not sent ({reason})"), detail)
        }
    }
}

/// A word on the left, what belongs to it beside and below.
struct Text {
    look: Look,
    text: String,
}

impl Text {
    fn new(look: Look) -> Self {
        Self {
            look,
            text: String::new(),
        }
    }

    fn line(&mut self, line: &str) {
        let _ = writeln!(self.text, "{line}");
    }

    fn blank(&mut self) {
        self.text.push('\n');
    }

    fn row(&mut self, word: &str, what: &str) {
        self.painted_row(word, &clean(what));
    }

    /// The same where nothing has to be spelled out.
    fn painted_row(&mut self, word: &str, what: &str) {
        let word = clean(word);
        let _ = writeln!(self.text, "  {word:<MARGIN$}{what}");
    }

    /// Text of several lines, below the row before.
    fn below(&mut self, what: &str, tone: Tone) {
        for line in what.lines() {
            let line = self.look.paint(tone, &clean(line));
            let _ = writeln!(self.text, "  {:MARGIN$}{line}", "");
        }
    }

    fn end(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::examples::read;
    use super::*;

    #[test]
    fn an_event_is_told_from_its_arrival_to_each_delivery() {
        let told = event(&read("Event"), true, &Look::PLAIN);
        let wanted = "\
event 019b8d99-6900-7000-8000-000000000001  wreno vendor.updated
  received    2026-01-05T10:00:00Z, 532 bytes, 1 relay before
  message id  msg_1
  header      content-type: application/json
  header      webhook-id: msg_1
  verified    standard-webhooks by the newest secret, its clock 2 s behind ours
  routed      by configuration 12; what follows is told by 14, which is in force
              + vendor-updates  takes it
              - suspended  body.data.status is new, wanted: suspended
              - orders  is from other sources

delivery 019b8d99-6900-7000-8000-000000000002  vendor-updates -> erp  pending
  attempt 1   2026-01-05T10:00:00.1Z  timeout  12ms  rendered, template 3f2a00000000, configuration 12
              no answer within 15 s
  attempt 2   2026-01-05T10:00:05Z  status 503  12ms  frozen, template 3f2a00000000, configuration 12
              asks to wait 300 s; try \\u{1b}[31mlater
  next        attempt 2026-01-05T10:05:05Z

delivery 019b8d99-6900-7000-8000-000000000003  vendor-updates -> audit  dead (render)
  again       by replay 019b8d99-6900-7000-8000-000000000009, rerender
  attempt 1   2026-01-05T10:00:00.2Z  not sent (render)  12ms
              vendor.json.liquid:3:14: there is no filter `oops`
  dead        2026-01-05T10:00:01Z
";
        assert_eq!(told, wanted, "{told}");
    }

    #[test]
    fn what_is_not_known_is_not_told() {
        let mut one: Event = read("Event");
        one.verified = None;
        one.routing = None;
        one.deliveries.clear();
        let told = event(&one, false, &Look::PLAIN);
        let wanted = "\
event 019b8d99-6900-7000-8000-000000000001  wreno vendor.updated
  received    2026-01-05T10:00:00Z, 532 bytes, 1 relay before
  message id  msg_1
  verified    how is not known: an older version has stored it
";
        assert_eq!(told, wanted, "{told}");
    }

    #[test]
    fn a_delivery_that_waits_says_for_what() {
        let mut one: Delivery = read("Delivery");
        one.due_at = None;
        one.waits_for = Some("target".to_owned());
        let told = delivery(&one, &Look::PLAIN);
        assert!(
            told.contains("for target erp to be in the configuration again"),
            "{told}"
        );
        assert!(
            told.ends_with("  event       019b8d99-6900-7000-8000-000000000001 vendor.updated\n"),
            "{told}"
        );
    }
}
