//! `ingate vendors`: whose webhooks are known, what is proven of each, and the records to begin with.
//!
//! Promise: what is listed is worked out from the compiled schemes; what `show` prints compiles to the same scheme.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::input::{compiled, preset};
use super::show::{Column, Look, Table};
use super::{Exit, Failure, Outcome, print, print_bytes, print_json};
use crate::signature::{self, Facts, Outbound, Preset, Scheme, SchemeRecord};

#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "REPLAY says what keeps a request that somebody has seen from being sent again: a signed timestamp, a signed id, or that no \
    other body can be sent. SIGNS says whether targets can be signed for in this style.\n\n\
    Example: ingate vendors show github"
)]
pub(super) struct VendorsArgs {
    #[command(subcommand)]
    command: Option<VendorsCommand>,
    /// Print the list as JSON
    #[arg(long)]
    json: bool,
    /// Print the list as a table in Markdown
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
}

#[derive(Debug, Subcommand)]
enum VendorsCommand {
    /// Print a vendor's record, ready to be changed in a configuration
    Show(ShowArgs),
}

#[derive(Debug, Args)]
#[command(
    after_help = "The record stands under `sources.NAME.scheme` or `targets.NAME.sign.scheme` of a configuration. A change to a preset needs no \
    copy: beside `preset`, `scheme` may hold the changed fields alone.\n\n\
    Example: ingate vendors show stripe --sample"
)]
struct ShowArgs {
    /// The preset's name
    #[arg(value_name = "NAME")]
    name: String,
    /// Print the sample of an event instead
    #[arg(long, conflicts_with = "json")]
    sample: bool,
    /// Print all that is known of it as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &VendorsArgs) -> Outcome {
    match &args.command {
        Some(VendorsCommand::Show(args)) => show(args),
        None => list(args),
    }
}

/// A preset and what is worked out from it.
struct Row {
    name: &'static str,
    preset: Preset,
    facts: Facts,
    signs: bool,
}

impl Row {
    fn all() -> Result<Vec<Self>, Failure> {
        let names = SchemeRecord::preset_names().into_iter();
        names.map(Self::of).collect()
    }

    fn of(name: &'static str) -> Result<Self, Failure> {
        let preset = preset(name)?;
        let scheme = compiled(&preset.scheme)?;
        Ok(Self {
            name,
            facts: scheme.facts(),
            signs: signs(&scheme),
            preset,
        })
    }

    fn handshakes(&self) -> String {
        or_dash(&self.facts.handshakes.join(", "))
    }

    fn signs(&self) -> &'static str {
        if self.signs { "yes" } else { "no" }
    }

    fn json(&self) -> Value {
        let replay = &self.facts.replay;
        json!({
            "name": self.name,
            "vendor": self.preset.vendor,
            "page": self.preset.page,
            "read": self.preset.read,
            "assumed": self.preset.assumed,
            "notes": self.preset.notes,
            "secrets": self.preset.secrets,
            "verified": self.facts.verified,
            "replay": {
                "summary": replay.to_string(),
                "timestamp_within_seconds": replay.within.map(|within| within.as_secs()),
                "id": replay.id,
                "body": replay.body,
            },
            "handshakes": self.facts.handshakes,
            "signs": self.signs,
        })
    }
}

/// Whether a request can be signed by the scheme: a fresh secret tries.
fn signs(scheme: &Scheme) -> bool {
    let Ok(fresh) = scheme.keygen(None) else {
        return false;
    };
    let Ok(key) = scheme.signing_key(fresh.signing()) else {
        return false;
    };
    let request = Outbound {
        id: "msg_1",
        timestamp: Timestamp::UNIX_EPOCH,
        method: &Method::POST,
        url: &signature::called_url(scheme, "https://example.com/", b"{}"),
        event_type: "a.b",
        body: b"{}",
    };
    signature::sign(scheme, &[key], &request).is_ok()
}

fn list(args: &VendorsArgs) -> Outcome {
    let rows = Row::all()?;
    if args.json {
        let items: Vec<Value> = rows.iter().map(Row::json).collect();
        print_json(&json!({"items": items}))?;
    } else if args.markdown {
        print(&markdown(&rows))?;
    } else {
        let look = Look::of_stdout();
        print(&table(&rows).text(&look))?;
    }
    Ok(Exit::Done)
}

fn table(rows: &[Row]) -> Table<6> {
    let mut table = Table::new([
        Column::Left("NAME"),
        Column::Cut("VENDOR"),
        Column::Cut("VERIFIED"),
        Column::Cut("REPLAY"),
        Column::Cut("CHALLENGES"),
        Column::Left("SIGNS"),
    ]);
    for row in rows {
        table.row([
            row.name.into(),
            row.preset.vendor.as_str().into(),
            row.facts.verified.as_str().into(),
            row.facts.replay.to_string().into(),
            row.handshakes().into(),
            row.signs().into(),
        ]);
    }
    table
}

fn markdown(rows: &[Row]) -> String {
    let mut text =
        "| preset | vendor | what is verified | against replays | challenges | signs too |\n\
                    |---|---|---|---|---|---|"
            .to_owned();
    for row in rows {
        let vendor = match &row.preset.page {
            Some(page) => format!("[{}]({page})", row.preset.vendor),
            None => row.preset.vendor.clone(),
        };
        let handshakes: Vec<String> = row
            .facts
            .handshakes
            .iter()
            .map(|h| format!("`{h}`"))
            .collect();
        // Writing to a text does not fail.
        let _ = write!(
            text,
            "\n| `{}` | {vendor} | {} | {} | {} | {} |",
            row.name,
            // a bar would end the cell
            row.facts.verified.replace('|', "\\|"),
            row.facts.replay,
            or_dash(&handshakes.join(", ")),
            row.signs(),
        );
    }
    text
}

fn or_dash(text: &str) -> String {
    if text.is_empty() { "-" } else { text }.to_owned()
}

fn show(args: &ShowArgs) -> Outcome {
    let preset = preset(&args.name)?;
    if args.sample {
        let sample = Preset::sample(&args.name).ok_or_else(|| {
            Failure::new(Exit::Failed, format!("error: {} has no sample", args.name))
        })?;
        print_bytes(sample.body)?;
        return Ok(Exit::Done);
    }
    if args.json {
        let name = SchemeRecord::preset_names()
            .into_iter()
            .find(|name| *name == args.name);
        let mut all = Row::of(name.unwrap_or_default())?.json();
        let scheme = serde_json::to_value(&preset.scheme)
            .map_err(|error| Failure::caused(Exit::Failed, &error))?;
        if let Some(fields) = all.as_object_mut() {
            fields.insert("scheme".to_owned(), scheme);
        }
        print_json(&all)?;
        return Ok(Exit::Done);
    }
    print(&record(&args.name, &preset))?;
    Ok(Exit::Done)
}

/// The record as YAML, under comments that say where it is from.
fn record(name: &str, preset: &Preset) -> String {
    let mut lines = vec![format!("# {}", preset.vendor)];
    match &preset.page {
        Some(page) => lines.push(format!("# {page}, read on {}", preset.read)),
        None => lines.push(format!("# no vendor's page; as of {}", preset.read)),
    }
    lines.extend(
        preset
            .assumed
            .iter()
            .map(|text| format!("# assumed: {text}")),
    );
    lines.extend(preset.notes.iter().map(|text| format!("# note: {text}")));
    lines.push(Preset::scheme_text(name).unwrap_or_default());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_compiles_to_the_same_scheme() {
        for name in SchemeRecord::preset_names() {
            let preset = Preset::named(name).unwrap();
            let shown = record(name, &preset);
            let parsed: SchemeRecord =
                serde_yaml::from_str(&shown).unwrap_or_else(|e| panic!("{name}: {e}\n{shown}"));
            assert_eq!(parsed, preset.scheme, "{name}");
            assert!(Scheme::compile(&parsed).is_ok(), "{name}");
            let comments = shown.lines().take_while(|line| line.starts_with("# "));
            let facts = 2 + preset.assumed.len() + preset.notes.len();
            assert_eq!(comments.count(), facts, "{name}");
        }
    }

    #[test]
    fn what_is_listed_is_what_is_done() {
        let rows = Row::all().unwrap();
        for (name, verified, replay, handshakes, signs) in [
            ("github", "hmac-sha256 over body", "body only", "-", "yes"),
            (
                "standard-webhooks-v1a",
                "ed25519 over id, timestamp, body",
                "timestamp within 300 s, id",
                "-",
                "yes",
            ),
        ] {
            let row = rows.iter().find(|row| row.name == name).unwrap();
            assert_eq!(row.facts.verified, verified, "{name}");
            assert_eq!(row.facts.replay.to_string(), replay, "{name}");
            assert_eq!(row.handshakes(), handshakes, "{name}");
            assert_eq!(row.signs(), signs, "{name}");
        }
        assert_eq!(markdown(&rows).lines().count(), rows.len() + 2);
    }
}
