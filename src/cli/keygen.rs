//! `ingate keygen`: a fresh secret, in the form that a vendor's scheme wants it.
//!
//! Promise: the secret goes to stdout and nowhere else.

use clap::{Args, ValueEnum};
use serde_json::json;

use super::input::{compiled, preset};
use super::{Exit, Failure, Outcome, print, print_json, say};
use crate::secret::Secret;
use crate::signature::{Generated, Maker};

#[derive(Debug, Args)]
#[command(
    after_help = "Where one secret serves both sides, it is printed alone. Where verifying and signing have a key each, both are printed, and \
    --part prints one of them.\n\n\
    Examples: ingate keygen standard-webhooks > secrets/erp\n          ingate keygen discord-interactions --part signing"
)]
pub(super) struct KeygenArgs {
    /// The preset whose secret it is (`ingate vendors` lists them)
    #[arg(value_name = "NAME")]
    name: String,
    /// The user, for basic authentication
    #[arg(long)]
    user: Option<String>,
    /// Print the part for this side alone
    #[arg(long, value_enum, value_name = "SIDE", conflicts_with = "json")]
    part: Option<Part>,
    /// Print both sides' parts as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// What a source verifies with
    Verifying,
    /// What a sender, or a target's `sign`, signs with
    Signing,
}

pub(super) fn run(args: &KeygenArgs) -> Outcome {
    let preset = preset(&args.name)?;
    let scheme = compiled(&preset.scheme)?;
    let fresh = scheme
        .keygen(args.user.as_deref())
        .map_err(|error| Failure::usage(format!("error: {}: {error}", args.name)))?;
    let (verifying, signing) = (text(fresh.verifying())?, text(fresh.signing())?);
    let shared = matches!(fresh, Generated::Shared(_));
    if args.json {
        print_json(&json!({
            "preset": args.name,
            "shared": shared,
            "verifying": verifying,
            "signing": signing,
            "secrets": preset.secrets,
        }))?;
    } else {
        match args.part {
            Some(Part::Verifying) => print(&verifying)?,
            Some(Part::Signing) => print(&signing)?,
            None if shared => {
                print(&verifying)?;
                say("one secret for both sides: it verifies and signs");
            }
            None => {
                print(&format!("verifying: {verifying}\nsigning:   {signing}"))?;
                say(
                    "the verifying part goes into the source's `secrets`; the signing part stays with who sends",
                );
            }
        }
    }
    if preset.secrets == Maker::Vendor {
        say(&format!(
            "note: the real secret is handed out by {}; this one is for tests",
            preset.vendor
        ));
    }
    Ok(Exit::Done)
}

fn text(secret: &Secret) -> Result<String, Failure> {
    String::from_utf8(secret.expose().to_vec())
        .map_err(|error| Failure::caused(Exit::Failed, &error))
}
