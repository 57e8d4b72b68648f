//! `ingate send`: plays a source's vendor.

use std::path::PathBuf;

use clap::Args;
use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::http::Caller;
use super::input::{SampleArgs, pick_source, secret_of, sender_keys, signing_key};
use super::sign::new_message_id;
use super::{ConfigArg, Exit, Failure, Outcome, block_on, print, print_json, say};
use crate::plan::Source;
use crate::signature::{self, Key, Outbound, Played};

#[derive(Debug, Args)]
pub(super) struct SendArgs {
    #[command(flatten)]
    config: ConfigArg,
    #[command(flatten)]
    sample: SampleArgs,
    /// The message id (made if missing)
    #[arg(long)]
    id: Option<String>,
    /// The file with the secret to sign with, where the source has only the part that verifies, such as a public key
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Where to post it (default: the source's path on the configuration's `listen`)
    #[arg(long)]
    url: Option<String>,
    /// Print the answer as JSON with the status and the headers that were sent
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &SendArgs) -> Outcome {
    let compiled = args.config.load()?;
    let source = pick_source(&compiled.plan, args.sample.source.as_deref())?;
    let sample = args.sample.read(Some(source))?;
    let keys = match &args.secret_file {
        Some(file) => vec![signing_key(source, &secret_of(file)?)?],
        None => sender_keys(source)?,
    };
    let caller = Caller::public(&compiled.plan)?;
    let url = args.url.clone().unwrap_or_else(|| caller.url(&source.path));
    let url = as_called(source, url, &sample.body);
    let id = args.id.clone().unwrap_or_else(new_message_id);
    let event_type = sample.event_type.as_deref().unwrap_or("unknown");
    let Played { mut headers, body } =
        play_vendor(source, &keys, &url, &id, event_type, &sample.body)?;
    headers.extend(
        sample
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), value.clone())),
    );
    let answer = block_on(caller.post(&url, &headers, body))??;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    if args.json {
        let body = serde_json::from_str::<Value>(&text).unwrap_or(Value::String(text));
        let headers: serde_json::Map<String, Value> = headers
            .iter()
            .map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                (name.to_string(), Value::String(value))
            })
            .collect();
        print_json(&json!({"status": answer.status.as_u16(), "body": body, "headers": headers}))?;
    } else {
        say(&format!("POST {url} -> {}", answer.status));
        print(&text)?;
    }
    // A source may say which success it answers with.
    Ok(if answer.status.is_success() {
        Exit::Done
    } else {
        Exit::Failed
    })
}

/// The URL with the query that the vendor would call, where that is signed and this one has none.
fn as_called(source: &Source, url: String, body: &[u8]) -> String {
    let scheme = &source.checks.first().scheme;
    if !scheme.needs_url() || url.contains('?') {
        return url;
    }
    let public = source.url.as_deref().unwrap_or(&url);
    match signature::called_url(scheme, public, body).split_once('?') {
        Some((_, query)) => format!("{url}?{query}"),
        None => url,
    }
}

/// What the source's vendor would send now with this body to `url`, unless the source says what its public URL is.
pub(super) fn play_vendor(
    source: &Source,
    keys: &[Key],
    url: &str,
    id: &str,
    event_type: &str,
    body: &[u8],
) -> Result<Played, Failure> {
    let scheme = &source.checks.first().scheme;
    let url = signature::called_url(scheme, source.url.as_deref().unwrap_or(url), body);
    let outbound = Outbound {
        id,
        timestamp: Timestamp::now(),
        method: &Method::POST,
        url: &url,
        event_type,
        body,
    };
    signature::play(scheme, keys, &outbound).map_err(|error| Failure::caused(Exit::Failed, &error))
}
