//! The way out: `egress`.

use http::{HeaderValue, Uri};

use super::context::Context;
use super::file::{EgressFile, PrivateFile};
use super::secrets;
use super::sources::http_url;
use super::yaml::item;
use crate::egress::{Bypass, Guard, Private, always_refused, literal, network};
use crate::plan::{EgressPlan, Proxy};

/// Compiles `egress`. What is wrong goes to the report; what is left of it stands in.
pub(super) fn compile(cx: &mut Context<'_>, written: Option<&EgressFile>) -> EgressPlan {
    let file = written.cloned().unwrap_or_default();
    let guard = Guard {
        private: match file.private {
            Some(PrivateFile::Deny) => Private::Deny,
            Some(PrivateFile::Allow) | None => Private::Allow,
        },
        allow: allow(cx, &file),
    };
    let authorization = authorization(cx, &file);
    let bypass = bypass(cx, &file);
    let url = file.proxy.as_deref().and_then(|text| {
        let checked = proxy_url(text);
        checked
            .map_err(|message| cx.report.error("egress.proxy", message))
            .ok()
    });
    if file.proxy.is_none() {
        for (key, given) in [
            (
                "egress.proxy_authorization",
                file.proxy_authorization.is_some(),
            ),
            ("egress.no_proxy", file.no_proxy.is_some()),
        ] {
            if given {
                cx.report
                    .key_warn(key, "this means nothing without `egress.proxy`");
            }
        }
    }
    EgressPlan {
        guard,
        proxy: url.map(|url| Proxy {
            url,
            authorization,
            bypass,
        }),
    }
}

/// What is wrong with a target's URL by the policy, in words: its host is an address that is refused.
pub(super) fn check_host(guard: &Guard, url: &Uri) -> Result<(), String> {
    let host = url.host().unwrap_or_default();
    let Some(address) = literal(host) else {
        return Ok(());
    };
    guard.check(address).map_err(|refused| {
        let plain = host.trim_matches(['[', ']']).parse() == Ok(refused.address);
        match plain {
            true => refused.to_string(),
            false => format!("{host} is {refused}"),
        }
    })
}

fn allow(cx: &mut Context<'_>, file: &EgressFile) -> Vec<ipnet::IpNet> {
    let mut nets = Vec::new();
    for (i, text) in file.allow.iter().flatten().enumerate() {
        let at = item("egress.allow", i);
        match network(text) {
            Ok(net) => match always_refused(&net) {
                Some(rule) => {
                    let message = format!("nothing can allow {text}: {rule}");
                    cx.report.error(&at, message);
                }
                None => nets.push(net),
            },
            Err(message) => cx.report.error(&at, message),
        }
    }
    if file.allow.is_some() && file.private != Some(PrivateFile::Deny) {
        cx.report.key_warn(
            "egress.allow",
            "this means nothing without `egress.private: deny`",
        );
    }
    nets
}

fn bypass(cx: &mut Context<'_>, file: &EgressFile) -> Vec<Bypass> {
    let mut entries = Vec::new();
    for (i, text) in file.no_proxy.iter().flatten().enumerate() {
        match Bypass::parse(text) {
            Ok(entry) => entries.push(entry),
            Err(message) => cx.report.error(&item("egress.no_proxy", i), message),
        }
    }
    entries
}

fn authorization(cx: &mut Context<'_>, file: &EgressFile) -> Option<HeaderValue> {
    let at = "egress.proxy_authorization";
    let secret = secrets::resolve(cx, at, file.proxy_authorization.as_ref()?)?;
    match HeaderValue::from_bytes(secret.expose()) {
        Ok(mut value) => {
            value.set_sensitive(true);
            Some(value)
        }
        Err(_) => {
            cx.report.error(
                at,
                "a header's value has no line breaks and no control characters",
            );
            None
        }
    }
}

/// The URL of a proxy: http, a host, a port, and nothing behind it.
fn proxy_url(text: &str) -> Result<Uri, String> {
    let url = http_url(text).map_err(|message| {
        message.replace(
            "`headers` can carry them",
            "`egress.proxy_authorization` carries them",
        )
    })?;
    if url.scheme_str() != Some("http") {
        return Err(format!(
            "{text:?}: a proxy is spoken to by http; what goes through the tunnel to an https target is encrypted all the same"
        ));
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() {
        return Err(format!(
            "{text:?}: the URL of a proxy ends with its port, such as http://proxy.example.com:3128"
        ));
    }
    if url.port_u16().is_none() {
        return Err(format!(
            "{text:?}: a port is needed, such as http://proxy.example.com:3128"
        ));
    }
    // The guard holds for a proxy, too, but for what is always refused only.
    check_host(&Guard::default(), &url)?;
    Ok(url)
}
