//! What the commands over the operator's API share: the door, its answers and refusals, pages.
//!
//! Promise: what `--json` prints is what the daemon answered, fields that this version does not know included.

use bytes::Bytes;
use clap::Args;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::http::{Answer, Caller, DoorArgs, whole};
use super::{ConfigArg, Exit, Failure, print_json, say};
use crate::client;

/// Most rows of a listing; all of them are in memory at once.
pub(super) const MAX_ROWS: u32 = 100_000;

/// Most rows that the daemon gives in one page.
const PAGE_ROWS: usize = 500;

/// What every command over the API takes.
#[derive(Debug, Args)]
pub(super) struct OperatorArgs {
    #[command(flatten)]
    config: ConfigArg,
    #[command(flatten)]
    door: DoorArgs,
    /// Print the data as JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl OperatorArgs {
    pub(super) fn api(&self) -> Result<Api, Failure> {
        let caller = self.door.caller(&self.config.config)?;
        Ok(Api { caller })
    }
}

/// Which part of a listing.
#[derive(Debug, Args)]
pub(super) struct PageArgs {
    /// Most rows
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_ROWS)))]
    limit: u32,
    /// Only rows older than this one (`next` of the listing before)
    #[arg(long, value_name = "ID")]
    before: Option<String>,
}

/// A listing as far as it was asked for.
pub(super) struct Listing {
    items: Vec<Value>,
    /// What to pass as `--before` for what follows; null at the end.
    next: Value,
}

impl Listing {
    /// The rows, as what they are.
    pub(super) fn rows<T: DeserializeOwned>(&self) -> Result<Vec<T>, Failure> {
        self.items.iter().map(shape).collect()
    }

    /// Prints the rows as the API gives them, or as this text; says so if there are none, and if there are more.
    pub(super) fn show<T: DeserializeOwned>(
        &self,
        json: bool,
        none: &str,
        text: impl FnOnce(&[T]) -> String,
    ) -> Result<Exit, Failure> {
        if json {
            print_json(&json!({"items": self.items, "next": self.next}))?;
            return Ok(Exit::Done);
        }
        if self.items.is_empty() {
            say(none);
            return Ok(Exit::Done);
        }
        super::print(&text(&self.rows()?))?;
        if let Some(next) = self.next.as_str() {
            say(&format!("there are more: --before {next}"));
        }
        Ok(Exit::Done)
    }
}

/// Parameters of a request, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Query(Vec<(&'static str, String)>);

impl Query {
    pub(super) fn add(&mut self, name: &'static str, value: impl ToString) {
        self.0.push((name, value.to_string()));
    }

    pub(super) fn add_if(&mut self, name: &'static str, value: Option<&impl ToString>) {
        if let Some(value) = value {
            self.add(name, value.to_string());
        }
    }

    /// The path with these parameters behind it.
    pub(super) fn at(&self, path: &str) -> String {
        if self.0.is_empty() {
            return path.to_owned();
        }
        let mut text = form_urlencoded::Serializer::new(String::new());
        text.extend_pairs(&self.0);
        format!("{path}?{}", text.finish())
    }
}

/// The operator's API. Whatever is not a success is a failure with the daemon's own words.
pub(super) struct Api {
    caller: Caller,
}

impl Api {
    pub(super) async fn get(&self, path: &str) -> Result<Value, Failure> {
        parse(&self.bytes(path).await?)
    }

    pub(super) async fn bytes(&self, path: &str) -> Result<Bytes, Failure> {
        success(self.caller.get(path).await?)
    }

    /// Posts without a body.
    pub(super) async fn post(&self, path: &str) -> Result<Value, Failure> {
        parse(&success(self.caller.ask(path).await?)?)
    }

    pub(super) async fn post_json(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let url = self.caller.url(path);
        let body = Bytes::from(body.to_string());
        parse(&success(self.caller.post(&url, &[], body).await?)?)
    }

    /// Opens the stream behind the happening with this id.
    pub(super) async fn stream(
        &self,
        path: &str,
        last: Option<&str>,
    ) -> Result<Response<client::Answer>, Failure> {
        let accept = HeaderValue::from_static("text/event-stream");
        let mut headers = vec![(header::ACCEPT, accept)];
        if let Some(last) = last.and_then(|last| HeaderValue::from_str(last).ok()) {
            headers.push((HeaderName::from_static("last-event-id"), last));
        }
        let response = self.caller.open(path, &headers).await?;
        if response.status() == StatusCode::OK {
            return Ok(response);
        }
        let answer = whole(&self.caller.url(path), response).await?;
        Err(refusal(&answer))
    }

    /// Reads pages until there are as many rows as are wanted, or no more.
    pub(super) async fn list(
        &self,
        path: &str,
        query: &Query,
        page: &PageArgs,
    ) -> Result<Listing, Failure> {
        let wanted = usize::try_from(page.limit).unwrap_or(usize::MAX);
        let mut items: Vec<Value> = Vec::new();
        let mut before = page.before.clone();
        loop {
            let mut query = query.clone();
            query.add("limit", (wanted - items.len()).min(PAGE_ROWS));
            query.add_if("before", before.as_ref());
            let mut answer = self.get(&query.at(path)).await?;
            let next = answer.get_mut("next").map(Value::take).unwrap_or_default();
            match answer.get_mut("items").map(Value::take) {
                Some(Value::Array(rows)) => items.extend(rows),
                _ => return Err(strange("the answer has no `items`")),
            }
            if items.len() >= wanted || next.is_null() {
                return Ok(Listing { items, next });
            }
            before = next.as_str().map(str::to_owned);
        }
    }

    /// A listing that is one page.
    pub(super) async fn all(&self, path: &str) -> Result<Listing, Failure> {
        let mut answer = self.get(path).await?;
        match answer.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => Ok(Listing {
                items,
                next: Value::Null,
            }),
            _ => Err(strange("the answer has no `items`")),
        }
    }
}

/// Does the same to each of these, goes on where one is refused, and prints what came of each: a line of JSON, or
/// of text. Fails if one was refused.
pub(super) async fn each<Id>(
    ids: &[Id],
    json: bool,
    mut ask: impl AsyncFnMut(&Id) -> Result<Value, Failure>,
    text: impl Fn(&Value) -> Result<String, Failure>,
) -> Result<Exit, Failure> {
    let mut exit = Exit::Done;
    for id in ids {
        match ask(id).await {
            Ok(answer) if json => super::print(&answer.to_string())?,
            Ok(answer) => super::print(&text(&answer)?)?,
            Err(failure) if failure.exit == Exit::Unreachable => return Err(failure),
            Err(failure) => {
                say(&failure.words);
                exit = failure.exit;
            }
        }
    }
    Ok(exit)
}

/// What the daemon answered, as what it is.
pub(super) fn shape<T: DeserializeOwned>(value: &Value) -> Result<T, Failure> {
    T::deserialize(value).map_err(|error| strange(&error.to_string()))
}

fn parse(bytes: &[u8]) -> Result<Value, Failure> {
    serde_json::from_slice(bytes).map_err(|error| strange(&error.to_string()))
}

fn strange(why: &str) -> Failure {
    let help = "is it another version? --json prints what it says";
    Failure::new(
        Exit::Failed,
        format!("error: the daemon's answer is not understood: {why}\n  help: {help}"),
    )
}

fn success(answer: Answer) -> Result<Bytes, Failure> {
    if answer.status.is_success() {
        return Ok(answer.body);
    }
    Err(refusal(&answer))
}

/// What a refusal means for the command.
fn refusal(answer: &Answer) -> Failure {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let words = |pointer| body.pointer(pointer).and_then(Value::as_str);
    let why = words("/error/message").unwrap_or("it does not say why");
    let mut text = format!("error: the daemon answered {}: {why}", answer.status);
    let exit = match words("/error/code") {
        Some("bad_query" | "bad_body") => Exit::Usage,
        Some("unavailable") => Exit::Io,
        // it is on its way out
        Some("shut") => Exit::Unreachable,
        Some("unauthorized") => {
            text.push_str("\n  help: the configuration's admin.token, or INGATE_TOKEN, lets in");
            Exit::Failed
        }
        _ => Exit::Failed,
    };
    Failure::new(exit, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_encoded() {
        let mut query = Query::default();
        assert_eq!(query.at("/a"), "/a");
        query.add("type", "a b&c=*+é");
        query.add_if("none", None::<&String>);
        query.add_if("limit", Some(&5));
        assert_eq!(query.at("/a"), "/a?type=a+b%26c%3D*%2B%C3%A9&limit=5");
    }

    #[test]
    fn refusals_say_why_and_end_with_their_code() {
        for (status, body, exit, words) in [
            (
                404,
                r#"{"error":{"code":"not_found","message":"no such event"}}"#,
                Exit::Failed,
                "error: the daemon answered 404 Not Found: no such event",
            ),
            (
                400,
                r#"{"error":{"code":"bad_query","message":"`type` is no glob"}}"#,
                Exit::Usage,
                "error: the daemon answered 400 Bad Request: `type` is no glob",
            ),
            (
                503,
                r#"{"error":{"code":"unavailable","message":"full"}}"#,
                Exit::Io,
                "error: the daemon answered 503 Service Unavailable: full",
            ),
            (
                503,
                r#"{"error":{"code":"busy","message":"m"}}"#,
                Exit::Failed,
                "error: the daemon answered 503 Service Unavailable: m",
            ),
            (
                401,
                r#"{"error":{"code":"unauthorized","message":"m"}}"#,
                Exit::Failed,
                "error: the daemon answered 401 Unauthorized: m\n  help: the configuration's admin.token, or INGATE_TOKEN, lets in",
            ),
            (
                502,
                "<html>",
                Exit::Failed,
                "error: the daemon answered 502 Bad Gateway: it does not say why",
            ),
        ] {
            let answer = Answer {
                status: StatusCode::from_u16(status).unwrap(),
                body: Bytes::from(body),
            };
            let failure = refusal(&answer);
            assert_eq!(
                (failure.exit, failure.words.as_str()),
                (exit, words),
                "{body}"
            );
        }
    }
}
