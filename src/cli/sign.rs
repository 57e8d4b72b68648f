//! `ingate sign`: the headers that a vendor (or we) would send with a body.

use std::path::PathBuf;

use clap::Args;
use http::Method;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::input::{SchemeArgs, read};
use super::{Exit, Failure, Outcome, print, print_json};
use crate::signature::{self, Outbound};

#[derive(Debug, Args)]
pub(super) struct SignArgs {
    #[command(flatten)]
    scheme: SchemeArgs,
    /// The body (`-` is stdin)
    #[arg(long, value_name = "FILE")]
    body: PathBuf,
    /// The message id (made if missing)
    #[arg(long)]
    id: Option<String>,
    /// The time of signing, RFC 3339 (default: now)
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// The event's type, for schemes that carry it in a header
    #[arg(long = "type", value_name = "TYPE", default_value = "unknown")]
    event_type: String,
    /// The URL that it is sent to, for schemes that sign it
    #[arg(long)]
    url: Option<String>,
    /// Print the headers as a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &SignArgs) -> Outcome {
    let chosen = args.scheme.signer()?;
    let body = read(&args.body)?;
    let url = args.url.clone().or(chosen.url);
    if chosen.scheme.needs_url() && url.is_none() {
        return Err(Failure::usage(
            "error: this scheme signs the URL: --url is missing",
        ));
    }
    let id = args.id.clone().unwrap_or_else(new_message_id);
    let outbound = Outbound {
        id: &id,
        timestamp: args.at.unwrap_or_else(Timestamp::now),
        method: &Method::POST,
        url: url.as_deref().unwrap_or_default(),
        event_type: &args.event_type,
        body: &body,
    };
    let headers = signature::sign(&chosen.scheme, &chosen.keys, &outbound)
        .map_err(|error| Failure::caused(Exit::Failed, &error))?;
    let mut object = Map::new();
    for (name, value) in &headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        if !args.json {
            print(&format!("{name}: {value}"))?;
        }
        object.insert(name.to_string(), Value::String(value));
    }
    if args.json {
        print_json(&Value::Object(object))?;
    }
    Ok(Exit::Done)
}

/// A message id such as vendors make.
pub(super) fn new_message_id() -> String {
    format!("msg_{}", uuid::Uuid::now_v7().simple())
}
