//! How senders of a source prove themselves: one way beside the source's other keys, or several under `any`
//! or `all`.

use std::path::PathBuf;

use super::captured::{self, Captured};
use super::context::Context;
use super::file::{SecretFile, SourceFile, WayFile};
use super::yaml::{item, member};
use super::{scheme, secrets};
use crate::plan::Allow;
use crate::proxies::Proxies;
use crate::secret::SecretName;
use crate::signature::{Checks, Key, Rule, Scheme, Way};

/// Most ways of a source: each is tried for a request that proves nothing, and a migration has two.
const MAX_WAYS: usize = 8;

/// Compiles the ways of a source; what is wrong goes to the report.
pub(super) fn compile(
    cx: &mut Context<'_>,
    at: &str,
    file: &SourceFile,
) -> Option<(Checks, Option<PathBuf>)> {
    let (rule, key, ways) = match (&file.any, &file.all) {
        (None, None) => return alone(cx, at, file),
        (Some(ways), None) => (Rule::Any, "any", ways),
        (None, Some(ways)) => (Rule::All, "all", ways),
        (Some(_), Some(_)) => {
            let message = "either `any` of several ways is enough or `all` are needed, not both";
            cx.report.key_error(&member(at, "all"), message, None);
            return None;
        }
    };
    let own = [
        ("preset", file.preset.is_some()),
        ("scheme", file.scheme.is_some()),
        ("secrets", file.secrets.is_some()),
        ("tokens", file.tokens.is_some()),
        ("captured", file.captured.is_some()),
    ];
    for (name, _) in own.into_iter().filter(|(_, there)| *there) {
        let (message, help) = match name {
            "captured" => (only_alone(), None),
            _ => (
                format!("with `{key}`, each way has its own `{name}`"),
                Some(format!(
                    "such as `{key}: [{{preset: .., secrets: [..]}}, ..]`"
                )),
            ),
        };
        cx.report.key_error(&member(at, name), message, help);
    }
    let path = member(at, key);
    if ways.is_empty() || ways.len() > MAX_WAYS {
        let message = format!("it has {} ways; 1 to {MAX_WAYS} are possible", ways.len());
        cx.report.error(&path, message);
    }
    // all of them, so that all that is wrong is told
    let compiled: Vec<Option<Way>> = ways
        .iter()
        .enumerate()
        .map(|(i, way)| {
            let at = item(&path, i);
            let scheme = scheme_of(cx, &at, way);
            if scheme.as_ref().is_some_and(Scheme::captures) {
                cx.report.error(&at, only_alone());
            }
            one(cx, &at, way, scheme, None)
        })
        .collect();
    let mut compiled = compiled.into_iter().collect::<Option<Vec<Way>>>()?;
    if compiled.is_empty() {
        return None;
    }
    let others = compiled.split_off(1);
    Some((Checks::several(rule, compiled.pop()?, others), None))
}

fn only_alone() -> String {
    "a source to which secrets are handed over has one way alone".to_owned()
}

/// A source with one way, and the file of the secrets that are handed over to it.
fn alone(cx: &mut Context<'_>, at: &str, file: &SourceFile) -> Option<(Checks, Option<PathBuf>)> {
    let way = way_of(file);
    let scheme = scheme_of(cx, at, &way);
    let handed = file.captured.is_some() || scheme.as_ref().is_some_and(Scheme::captures);
    let captured = captured::read(cx, at, file, scheme.as_ref());
    let nothing = Captured::default();
    let kept = captured.as_ref().unwrap_or(&nothing);
    let compiled = one(cx, at, &way, scheme, handed.then_some(kept));
    Some((Checks::one(compiled?), captured?.path))
}

fn scheme_of(cx: &mut Context<'_>, at: &str, file: &WayFile) -> Option<Scheme> {
    let scheme = scheme::compile(cx, at, file.preset.as_deref(), file.scheme.as_ref())?;
    if scheme.lacks_topics() {
        let at = member(&member(at, "scheme"), "topics");
        let message = "SNS signs for everybody, so the topics are needed whose messages count";
        let help = "such as `topics: [\"arn:aws:sns:eu-central-1:123456789012:orders\"]`";
        cx.report.key_error(&at, message, Some(help.to_owned()));
    }
    Some(scheme)
}

fn way_of(file: &SourceFile) -> WayFile {
    WayFile {
        preset: file.preset.clone(),
        scheme: file.scheme.clone(),
        secrets: file.secrets.clone(),
        tokens: file.tokens.clone(),
    }
}

/// A way. Where secrets are handed over, those stand behind the ones of the configuration, which may be none.
fn one(
    cx: &mut Context<'_>,
    at: &str,
    file: &WayFile,
    scheme: Option<Scheme>,
    captured: Option<&Captured>,
) -> Option<Way> {
    let mut keys = match (captured, file.secrets.as_deref()) {
        (Some(_), None | Some([])) => Some(Vec::new()),
        _ => keys(cx, at, file, scheme.as_ref()),
    };
    let mut names = secrets::names(file.secrets.as_deref());
    if let (Some(captured), Some(keys)) = (captured, &mut keys) {
        keys.extend(captured.keys.iter().cloned());
        let path = captured.path.iter().map(|path| path.display().to_string());
        let name = path.map(SecretName::File).cycle();
        names.extend(name.take(captured.keys.len()));
    }
    let tokens = tokens(cx, at, file.tokens.as_deref(), scheme.as_ref());
    Some(Way {
        scheme: scheme?,
        name: scheme::name(file.preset.as_deref()),
        keys: keys?,
        tokens: tokens?,
        secrets: names,
    })
}

fn keys(
    cx: &mut Context<'_>,
    at: &str,
    file: &WayFile,
    scheme: Option<&Scheme>,
) -> Option<Vec<Key>> {
    let path = member(at, "secrets");
    let written = file.secrets.as_deref();
    let algorithm = file
        .scheme
        .as_ref()
        .and_then(|own| own.algorithm.as_deref());
    let builtin = file.scheme.as_ref().and_then(|own| own.builtin.as_deref());
    let needed = match scheme {
        Some(scheme) => scheme.needs_secrets(),
        // what is wrong with it is told already
        None => algorithm != Some("address") && builtin != Some("sns"),
    };
    if needed {
        return secrets::keys(cx, &path, written, scheme, Scheme::verifying_key);
    }
    if written.is_some() {
        let message = match scheme.is_none_or(Scheme::is_by_address) {
            true => "with the algorithm `address` there are no secrets",
            false => "messages of SNS are proven by certificates, so there are no secrets",
        };
        cx.report.key_error(&path, message, None);
        return None;
    }
    Some(Vec::new())
}

fn tokens(
    cx: &mut Context<'_>,
    at: &str,
    written: Option<&[SecretFile]>,
    scheme: Option<&Scheme>,
) -> Option<Vec<Key>> {
    let path = member(at, "tokens");
    match (written, scheme) {
        (None, Some(scheme)) if scheme.needs_tokens() => {
            let message =
                "a challenge has a token, and no secret can be it, so `tokens` are needed";
            let help = Some("such as `tokens: [{env: NAME}]`".to_owned());
            cx.report.key_error(&path, message, help);
            return None;
        }
        (Some(_), Some(scheme)) if !scheme.asks_for_tokens() => {
            let message = "no challenge of this scheme has a token";
            cx.report.key_warn(&path, message);
        }
        _ => {}
    }
    let written = written.unwrap_or_default();
    let keys: Vec<Option<Key>> = written
        .iter()
        .enumerate()
        .map(|(i, one)| secrets::resolve(cx, &item(&path, i), one).map(Key::token))
        .collect();
    keys.into_iter().collect()
}

/// Compiles the addresses that may send.
pub(super) fn allow(
    cx: &mut Context<'_>,
    at: &str,
    written: Option<&[String]>,
    checks: Option<&Checks>,
) -> Allow {
    let by_address = |checks: &Checks| checks.ways().any(|way| way.scheme.is_by_address());
    let Some(written) = written else {
        if checks.is_some_and(by_address) {
            let message = "only the address proves a sender here, so `allow` is needed";
            let help = Some("such as `allow: [192.0.2.0/24]`".to_owned());
            cx.report.key_error(at, message, help);
        }
        return Allow::All;
    };
    if written.is_empty() {
        let message = "no address may send; without `allow`, all may";
        cx.report.error(at, message);
    }
    let mut networks = Vec::new();
    for (i, text) in written.iter().enumerate() {
        match Proxies::network(text) {
            Some(network) => networks.push(network),
            None => {
                let message =
                    format!("{text:?} is not an address or a network, such as 192.0.2.0/24 or ::1");
                cx.report.error(&item(at, i), message);
            }
        }
    }
    Allow::Only(networks)
}
