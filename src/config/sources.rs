//! Sources: `sources.NAME`.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;

use super::answer;
use super::context::Context;
use super::file::{DedupeByFile, DedupeFile, SourceFile};
use super::position::has_credentials;
use super::ways;
use super::yaml::{item, member};
use crate::id::SourceName;
use crate::plan::{Dedupe, DedupeBy, Source};
use crate::redact::Redaction;
use crate::signature::Checks;

/// How long an id that the signature covers stands for its event, unless configured: longer than senders retry.
const DEFAULT_ID_WINDOW: Duration = Duration::from_secs(48 * 3600);

/// How long a body stands for its event, unless configured: a sender may rightly send the same words again.
const DEFAULT_BODY_WINDOW: Duration = Duration::from_secs(15 * 60);

/// Longest path that a source may listen on, in bytes.
const MAX_PATH_BYTES: usize = 1024;

/// All sources, by name and by path.
#[derive(Debug, Default)]
pub(super) struct Sources {
    pub(super) by_name: BTreeMap<SourceName, Arc<Source>>,
    pub(super) by_path: HashMap<String, Arc<Source>>,
}

/// Compiles the sources, in the order of the file.
pub(super) fn compile(cx: &mut Context<'_>, written: &[(String, Option<SourceFile>)]) -> Sources {
    let mut sources = Sources::default();
    let mut paths: HashMap<String, String> = HashMap::new();
    for (name, file) in written {
        let at = member("sources", name);
        let parsed = cx.name::<SourceName>(&at, name);
        let Some(file) = file else {
            continue;
        };
        let path = listening_path(cx, &at, name, file.path.as_deref());
        if let Some(path) = &path {
            if let Some(first) = paths.get(path) {
                let message = format!("source {first:?} listens on {path} already");
                cx.report.error(&member(&at, "path"), message);
            } else {
                paths.insert(path.clone(), name.clone());
            }
        }
        let source = compile_one(cx, &at, file);
        let redact = redact(cx, &member(&at, "redact"), file.redact.as_deref());
        if let Some((checks, ..)) = &source {
            warn_of_shown(cx, &member(&at, "redact"), &redact, checks);
        }
        let answer = answer::compile(cx, &member(&at, "answer"), file.answer.as_ref());
        let checks = source.as_ref().map(|(checks, ..)| checks);
        let allow = ways::allow(cx, &member(&at, "allow"), file.allow.as_deref(), checks);
        let (Some(name), Some(path), Some((checks, captured, dedupe))) = (parsed, path, source)
        else {
            continue;
        };
        let source = Arc::new(Source {
            name: name.clone(),
            path: path.clone(),
            url: file.url.clone(),
            checks,
            captured,
            allow,
            answer,
            dedupe,
            trust_trace: file.trust_trace.unwrap_or(false),
            redact,
        });
        sources.by_path.insert(path, Arc::clone(&source));
        sources.by_name.insert(name, source);
    }
    sources
}

fn compile_one(
    cx: &mut Context<'_>,
    at: &str,
    file: &SourceFile,
) -> Option<(Checks, Option<PathBuf>, Option<Dedupe>)> {
    let compiled = ways::compile(cx, at, file);
    let checks = compiled.as_ref().map(|(checks, _)| checks);
    check_url(cx, at, file.url.as_deref(), checks);
    let covered = checks.map(Checks::covers_message_id);
    let dedupe = dedupe(cx, &member(at, "dedupe"), file.dedupe.as_ref(), covered);
    let (checks, captured) = compiled?;
    Some((checks, captured, dedupe))
}

fn redact(cx: &mut Context<'_>, at: &str, written: Option<&[String]>) -> Redaction {
    let compiled = Redaction::compile(written.unwrap_or_default());
    compiled.unwrap_or_else(|errors| {
        for (i, error) in errors {
            cx.report.error(&item(at, i), error.to_string());
        }
        Redaction::default()
    })
}

/// Ids and types stand in listings, wherever they come from.
fn warn_of_shown(cx: &mut Context<'_>, at: &str, redact: &Redaction, checks: &Checks) {
    for (what, pointer) in checks.ways().flat_map(|way| way.scheme.read_from_body()) {
        if redact.covers(pointer) {
            cx.report.key_warn(
                at,
                format!("the {what} of events is read from {pointer}, and is shown all the same"),
            );
        }
    }
}

fn listening_path(
    cx: &mut Context<'_>,
    at: &str,
    name: &str,
    written: Option<&str>,
) -> Option<String> {
    let Some(path) = written else {
        return Some(format!("/in/{name}"));
    };
    let good = path.starts_with('/')
        && path.len() <= MAX_PATH_BYTES
        && path
            .bytes()
            .all(|b| b.is_ascii_graphic() && !matches!(b, b'?' | b'#'));
    if !good {
        cx.report.error(
            &member(at, "path"),
            format!("{path:?} is not a path such as /in/{name}: it begins with / and has no blanks, ? or #"),
        );
        return None;
    }
    Some(path.to_owned())
}

fn check_url(cx: &mut Context<'_>, at: &str, url: Option<&str>, checks: Option<&Checks>) {
    let path = member(at, "url");
    match url {
        Some(url) => {
            if let Err(message) = http_url(url) {
                cx.report.error(&path, message);
            }
        }
        None if checks.is_some_and(Checks::needs_url) => cx.report.key_error(
            &path,
            "the scheme signs the URL that senders call, so `url` is needed",
            Some("such as `url: https://hooks.example.com/in/NAME`, exactly as it is registered with the sender".to_owned()),
        ),
        None => {}
    }
}

/// A whole http or https URL, without credentials and fragment.
pub(super) fn http_url(text: &str) -> Result<Uri, String> {
    // First of all, so that no message shows them.
    if has_credentials(text) {
        return Err("credentials do not belong into a URL; `headers` can carry them".to_owned());
    }
    let form = |why: &str| format!("{text:?} is not an http or https URL{why}");
    let uri: Uri = text.parse().map_err(|_| form(""))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(form(" (it begins with http:// or https://)"));
    }
    let authority = uri.authority().ok_or_else(|| form(""))?;
    if authority.host().is_empty() {
        return Err(form(" (there is no host)"));
    }
    if text.contains('#') {
        return Err(form(" (a fragment, `#..`, is never sent)"));
    }
    Ok(uri)
}

fn dedupe(
    cx: &mut Context<'_>,
    at: &str,
    written: Option<&DedupeFile>,
    covered: Option<bool>,
) -> Option<Dedupe> {
    let by_default = if covered == Some(true) {
        DedupeBy::Id
    } else {
        DedupeBy::Body
    };
    let (by, window) = match written {
        None => (by_default, None),
        Some(DedupeFile::Off) => return None,
        Some(DedupeFile::Window(window)) => {
            let by = match window.by {
                None => by_default,
                Some(DedupeByFile::Off) => return None,
                Some(DedupeByFile::Body) => DedupeBy::Body,
                Some(DedupeByFile::Id) => DedupeBy::Id,
            };
            if by == DedupeBy::Id && covered == Some(false) {
                cx.report.error_help(
                    &member(at, "by"),
                    "the signature of this scheme covers no message id, so anyone could re-send an event under a new one",
                    Some("`by: body` compares the bodies".to_owned()),
                );
            }
            (by, window.window.as_deref())
        }
    };
    let default = match by {
        DedupeBy::Id => DEFAULT_ID_WINDOW,
        DedupeBy::Body => DEFAULT_BODY_WINDOW,
    };
    let window = cx.duration(&member(at, "for"), window, default);
    Some(Dedupe { by, window })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (text, good) in [
            ("http://127.0.0.1:9000/hooks", true),
            ("https://example.com", true),
            ("https://example.com/a?b=c", true),
            ("http://[::1]:80/", true),
            ("ftp://example.com", false),
            ("/hooks", false),
            ("example.com/hooks", false),
            ("https://user:pass@example.com/", false),
            ("https://example.com/#x", false),
            ("http://", false),
            ("http://:80/", false),
            ("http://a b/", false),
            ("", false),
        ] {
            assert_eq!(http_url(text).is_ok(), good, "{text:?}");
        }
    }
}
