//! `ingate register wingspan`.
//!
//! The calls, as Wingspan's page on webhooks and its published TypeScript SDK have them (read on 2026-11-28):
//! `GET /integrations/webhooks/eventnames` lists objects with an `eventName`; `POST /integrations/webhooks/preference`
//! takes `url`, `sharedSecret` and `subscribedEvents`; `GET` there lists what is registered, each with a `preferenceId`,
//! and `PATCH .../preference/ID` changes one. All want a bearer token. Assumed: PATCH takes the same fields as POST.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;
use http::Method;
use serde_json::{Value, json};

use super::super::show::clean;
use super::super::{Exit, Failure, Outcome, block_on, print, print_json, say};
use super::vendor::{Api, Destination, DestinationArgs, from_env, from_file};

/// The API in production.
const BASE: &str = "https://api.wingspan.app";

/// The variable that holds the token. No option does: others on the machine see command lines.
const TOKEN: &str = "WINGSPAN_TOKEN";

const EVENT_NAMES: &str = "/integrations/webhooks/eventnames";
const PREFERENCE: &str = "/integrations/webhooks/preference";

/// Most bytes of a preference's id; they have some tens.
const MAX_ID_BYTES: usize = 128;

#[derive(Debug, Args)]
#[command(
    after_help = "The API's token is taken from WINGSPAN_TOKEN or --token-file. Where the URL is registered already, its registration is changed, \
    so that no event comes twice.\n\n\
    Example: ingate register wingspan --source wingspan --events InvoicePaid,InvoiceCreated"
)]
pub(super) struct WingspanArgs {
    #[command(flatten)]
    destination: DestinationArgs,
    /// Names of events, with commas between them, or `all`
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        required_unless_present = "list_events"
    )]
    events: Vec<String>,
    /// List the names of events that there are, and register nothing
    #[arg(long, conflicts_with_all = ["events", "dry_run", "source", "url"])]
    list_events: bool,
    /// Print what would be sent, and change nothing; what is registered is looked at
    #[arg(long)]
    dry_run: bool,
    /// Where the API is
    #[arg(long, value_name = "URL", default_value = BASE)]
    base_url: String,
    /// The file that holds the API's token
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &WingspanArgs) -> Outcome {
    let token = match &args.token_file {
        Some(file) => from_file(file)?,
        None => from_env(TOKEN).map_err(|mut failure| {
            failure.words.push_str("\n  help: it holds the token of Wingspan's API; --token-file FILE names a file that does");
            failure
        })?,
    };
    if args.list_events {
        let api = Api::new("Wingspan", &args.base_url, &token, &[])?;
        let names = block_on(event_names(&api))??;
        if args.json {
            print_json(&json!(names))?;
        } else {
            let names: Vec<String> = names.iter().map(|it| clean(it).into_owned()).collect();
            print(&names.join("\n"))?;
        }
        return Ok(Exit::Done);
    }
    let destination = args.destination.destination()?;
    let api = Api::new("Wingspan", &args.base_url, &token, &[&destination.secret])?;
    block_on(register(args, &api, &destination))?
}

async fn register(args: &WingspanArgs, api: &Api, to: &Destination) -> Outcome {
    let events = events(&args.events, api).await?;
    let known = api.call(Method::GET, PREFERENCE, None).await?;
    let known = registered(&known)?;
    let same = known.iter().find(|known| known.url == to.url);
    let (method, path) = match same {
        Some(known) => (Method::PATCH, format!("{PREFERENCE}/{}", known.id()?)),
        None => (Method::POST, PREFERENCE.to_owned()),
    };
    let body =
        |secret: &str| json!({"url": to.url, "sharedSecret": secret, "subscribedEvents": events});
    if args.dry_run {
        let url = api.url(&path);
        if args.json {
            let headers =
                json!({"authorization": "Bearer ***", "content-type": "application/json"});
            let sent = json!({"method": method.as_str(), "url": url, "headers": headers, "body": body("***")});
            print_json(&sent)?;
        } else {
            let text = format!(
                "{method} {}\nauthorization: Bearer ***\ncontent-type: application/json\n\n{:#}",
                clean(&url),
                body("***")
            );
            print(&text)?;
        }
        return Ok(Exit::Done);
    }
    let again = method == Method::PATCH;
    let sent = api.call(method, &path, Some(&body(&to.secret))).await;
    sent.map_err(|mut failure| {
        if failure.words.contains("status 4") {
            failure
                .words
                .push_str("\n  help: --list-events lists the names of events that there are");
        }
        failure
    })?;
    let now = api.call(Method::GET, PREFERENCE, None).await?;
    let now = registered(&now)?;
    let Some(own) = now.iter().find(|known| known.url == to.url) else {
        let words = format!(
            "error: Wingspan has taken {}, but does not list it among what is registered",
            to.url
        );
        return Err(Failure::new(Exit::Failed, words));
    };
    say(&format!(
        "{} {}",
        clean(&own.url),
        if again {
            "was registered and is changed"
        } else {
            "is registered"
        }
    ));
    show(&now, args.json)
}

/// The names that are asked for.
async fn events(asked: &[String], api: &Api) -> Result<Vec<String>, Failure> {
    let names: BTreeSet<&str> = asked.iter().map(|name| name.trim()).collect();
    if names.iter().any(|name| name.is_empty()) {
        return Err(Failure::usage(
            "error: --events: there is a name without letters",
        ));
    }
    if !names.contains("all") {
        return Ok(names.into_iter().map(str::to_owned).collect());
    }
    if names.len() > 1 {
        let words = "error: --events: `all` stands alone";
        return Err(Failure::usage(words));
    }
    Ok(event_names(api).await?.into_iter().collect())
}

/// All names of events: of objects as the SDK has them, or texts.
async fn event_names(api: &Api) -> Result<BTreeSet<String>, Failure> {
    let listed = api.call(Method::GET, EVENT_NAMES, None).await?;
    let name = |entry: &Value| {
        let name = entry.get("eventName").unwrap_or(entry);
        Some(name.as_str()?.to_owned())
    };
    let names: Option<BTreeSet<String>> = listed
        .as_array()
        .and_then(|list| list.iter().map(name).collect());
    let names = names.filter(|names| !names.is_empty());
    names.ok_or_else(|| {
        let words = format!(
            "error: {}: no list of event names came back",
            api.url(EVENT_NAMES)
        );
        Failure::new(Exit::Failed, words)
    })
}

/// What is registered; never its secret.
struct Registered {
    id: Option<String>,
    url: String,
    events: Vec<String>,
    updated: Option<String>,
}

impl Registered {
    /// Its id, which becomes a part of a URL.
    fn id(&self) -> Result<&str, Failure> {
        let id = self.id.as_deref().unwrap_or_default();
        let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if id.is_empty() || id.len() > MAX_ID_BYTES || !id.bytes().all(good) {
            let words = "error: the URL is registered already, but under no id that can be called";
            return Err(Failure::new(Exit::Failed, words));
        }
        Ok(id)
    }
}

fn registered(listed: &Value) -> Result<Vec<Registered>, Failure> {
    let text = |entry: &Value, key: &str| Some(entry.get(key)?.as_str()?.to_owned());
    let read = |entry: &Value| {
        let events = entry.get("subscribedEvents").and_then(Value::as_array);
        let names = events.into_iter().flatten().filter_map(Value::as_str);
        Some(Registered {
            id: text(entry, "preferenceId"),
            url: text(entry, "url")?,
            events: names.map(str::to_owned).collect(),
            updated: text(entry, "updatedAt"),
        })
    };
    let list = listed.as_array().map(|list| list.iter().filter_map(read));
    list.map(Iterator::collect).ok_or_else(|| {
        let words = "error: Wingspan answered, but not with a list of what is registered";
        Failure::new(Exit::Failed, words)
    })
}

fn show(registered: &[Registered], as_json: bool) -> Outcome {
    if as_json {
        let rows: Vec<Value> = registered
            .iter()
            .map(|one| {
                json!({"id": one.id, "url": one.url, "events": one.events, "updated_at": one.updated})
            })
            .collect();
        print_json(&json!(rows))?;
        return Ok(Exit::Done);
    }
    for one in registered {
        let updated = one.updated.as_deref().unwrap_or("unknown");
        let text = format!(
            "{}\n  events      {}\n  changed     {}",
            clean(&one.url),
            clean(&one.events.join(", ")),
            clean(updated)
        );
        print(&text)?;
    }
    Ok(Exit::Done)
}
