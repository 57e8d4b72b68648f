//! `ingate verify`: whether a captured request verifies, and exactly why not.

use std::path::PathBuf;

use bytes::Bytes;
use clap::{ArgGroup, Args};
use http::{HeaderMap, Method};
use jiff::Timestamp;
use serde_json::json;

use super::input::{SchemeArgs, parse_headers, read};
use super::{Exit, Failure, Outcome, print, print_json};
use crate::signature::{Checks, Inbound, Verdict, VerifyError};

#[derive(Debug, Args)]
#[command(
    group(ArgGroup::new("captured").args(["request", "body"]).required(true)),
    after_help = "Exit code: 0 if it verifies, 1 if it does not."
)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    scheme: SchemeArgs,
    /// The captured request as it came over the wire: request line, headers, empty line, body (`-` is stdin)
    #[arg(long, value_name = "FILE", conflicts_with = "headers")]
    request: Option<PathBuf>,
    /// The captured body (`-` is stdin), with its headers as -H
    #[arg(long, value_name = "FILE")]
    body: Option<PathBuf>,
    /// A header of the captured request
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// When it was received, RFC 3339 (default: now)
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// The public URL that it was sent to, for schemes that sign it
    #[arg(long)]
    url: Option<String>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

struct Captured {
    method: Method,
    query: Option<String>,
    headers: HeaderMap,
    body: Bytes,
}

pub(super) fn run(args: &VerifyArgs) -> Outcome {
    let chosen = args.scheme.verifier()?;
    let captured = captured(args)?;
    let url = args.url.clone().or(chosen.url);
    let request = Inbound {
        url: url.as_deref(),
        query: captured.query.as_deref(),
        ..Inbound::new(&captured.method, &captured.headers, &captured.body)
    };
    let now = args.at.unwrap_or_else(Timestamp::now);
    match chosen.checks.verify(&request, now) {
        Ok(verdict) => good(args, &chosen.checks, &verdict),
        Err(error) => {
            let reasons = chosen.checks.diagnose(&request, now);
            bad(args, &error, &reasons)
        }
    }
}

fn good(args: &VerifyArgs, checks: &Checks, verdict: &Verdict) -> Outcome {
    let Verdict::Event(verified) = verdict else {
        if args.json {
            print_json(&json!({"ok": true, "challenge": true}))?;
        } else {
            print("verifies: a challenge, which is answered and never becomes an event")?;
        }
        return Ok(Exit::Done);
    };
    let content = verified.content();
    let scheme = checks.way(verified.way()).map_or("", |way| &way.name);
    if args.json {
        print_json(&json!({
            "ok": true,
            "scheme": scheme,
            "secret": verified.key(),
            "skew_seconds": verified.skew_seconds(),
            "message_id": content.message_id,
            "type": content.event_type,
        }))?;
    } else {
        print("verifies")?;
        if checks.ways().nth(1).is_some() {
            print(&format!("  scheme      {scheme}"))?;
        }
        print(&format!(
            "  secret      number {} of the list",
            verified.key() + 1
        ))?;
        if let Some(skew) = verified.skew_seconds() {
            print(&format!("  clock skew  {skew} s"))?;
        }
        let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
        print(&format!("  message id  {}", or_none(&content.message_id)))?;
        print(&format!("  type        {}", or_none(&content.event_type)))?;
    }
    Ok(Exit::Done)
}

fn bad(args: &VerifyArgs, error: &VerifyError, reasons: &[String]) -> Outcome {
    if args.json {
        print_json(&json!({
            "ok": false,
            "error": error.name(),
            "message": error.to_string(),
            "reasons": reasons,
        }))?;
    } else {
        print(&format!("does not verify: {error} ({})", error.name()))?;
        for reason in reasons {
            print(&format!("  - {reason}"))?;
        }
    }
    Ok(Exit::Failed)
}

fn captured(args: &VerifyArgs) -> Result<Captured, Failure> {
    if let Some(path) = &args.request {
        return parse_request(read(path)?);
    }
    let body = match &args.body {
        Some(path) => read(path)?,
        None => return Err(Failure::usage("error: --body is missing")),
    };
    Ok(Captured {
        method: Method::POST,
        query: None,
        headers: parse_headers(&args.headers)?,
        body: Bytes::from(body),
    })
}

/// Reads a request as it stands on the wire; lines may end in LF alone, since captures are often edited.
fn parse_request(bytes: Vec<u8>) -> Result<Captured, Failure> {
    let wrong = |what: &str| Failure::usage(format!("error: the captured request {what}"));
    let blank = |end: &[u8]| bytes.windows(end.len()).position(|window| window == end);
    let (head, body) = match (blank(b"\r\n\r\n"), blank(b"\n\n")) {
        (Some(at), None) => (at, at + 4),
        (None, Some(at)) => (at, at + 2),
        (Some(crlf), Some(lf)) if crlf < lf => (crlf, crlf + 4),
        (Some(_), Some(lf)) => (lf, lf + 2),
        (None, None) => return Err(wrong("has no empty line after its headers")),
    };
    let (head, body) = (
        bytes.get(..head).unwrap_or_default(),
        bytes.get(body..).unwrap_or_default(),
    );
    let head = String::from_utf8_lossy(head);
    let mut lines = head.lines();
    let mut start = lines.next().unwrap_or_default().split(' ');
    let method = start
        .next()
        .and_then(|method| method.parse().ok())
        .ok_or_else(|| wrong("has no request line"))?;
    let query = start
        .next()
        .and_then(|path| path.split_once('?'))
        .map(|(_, query)| query.to_owned());
    let headers: Vec<String> = lines.map(str::to_owned).collect();
    Ok(Captured {
        method,
        query,
        headers: parse_headers(&headers)?,
        body: Bytes::copy_from_slice(body),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_with_either_line_end() {
        for end in ["\r\n", "\n"] {
            let text =
                format!("POST /in/a?x=1 HTTP/1.1{end}Host: a{end}X-A:  b {end}{end}{{}}\n\n");
            let captured = parse_request(text.into_bytes()).unwrap();
            assert_eq!(captured.method, Method::POST, "{end:?}");
            assert_eq!(captured.query.as_deref(), Some("x=1"), "{end:?}");
            assert_eq!(captured.headers["x-a"], "b", "{end:?}");
            assert_eq!(captured.body, "{}\n\n", "{end:?}");
        }
        assert!(parse_request(b"POST / HTTP/1.1\r\nA: b\r\n".to_vec()).is_err());
    }
}
