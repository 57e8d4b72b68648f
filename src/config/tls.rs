//! TLS material: `tls`, `admin.tls`, `targets.NAME.tls`, `store.postgres.ca`.

use http::Uri;
use jiff::Timestamp;

use super::context::Context;
use super::file::{AdminTlsFile, KeyFile, SecretFile, TargetTlsFile, TlsFile};
use super::yaml::member;
use super::{Purpose, secrets};
use crate::secret::Secret;
use crate::tls::{self, Authorities, Chain, ClientTls, Identity, ServerTls};

/// Most bytes of a file with certificates; the roots of a whole system are about a fifth of it.
const MAX_CERTIFICATE_BYTES: u64 = 1 << 20;

/// What the public door shows; `None` where something is wrong with it.
pub(super) fn public(cx: &mut Context<'_>, file: Option<&TlsFile>) -> Option<Option<ServerTls>> {
    let Some(file) = file else {
        return Some(None);
    };
    let identity = identity(cx, "tls", &file.cert, &file.key)?;
    server(cx, "tls", identity, None).map(Some)
}

/// What the operator's door shows and whom it lets in; `None` where something is wrong with it.
pub(super) fn admin(
    cx: &mut Context<'_>,
    file: Option<&AdminTlsFile>,
) -> Option<Option<ServerTls>> {
    let Some(file) = file else {
        return Some(None);
    };
    let at = "admin.tls";
    let identity = identity(cx, at, &file.cert, &file.key);
    let clients = match &file.client_ca {
        Some(path) => authorities(cx, &member(at, "client_ca"), path).map(Some),
        None => Some(None),
    };
    server(cx, at, identity?, clients?.as_ref()).map(Some)
}

/// Whom a target's client trusts and what it shows; `None` where something is wrong with it.
pub(super) fn target(
    cx: &mut Context<'_>,
    at: &str,
    file: Option<&TargetTlsFile>,
    url: Option<&Uri>,
) -> Option<Option<ClientTls>> {
    let Some(file) = file else {
        return Some(None);
    };
    if url.is_some_and(|url| url.scheme_str() != Some("https")) {
        cx.report
            .key_error(at, "`tls` is for targets with an https URL", None);
        return None;
    }
    let authorities = match &file.ca {
        Some(path) => authorities(cx, &member(at, "ca"), path).map(Some),
        None => Some(None),
    };
    let identity = match (&file.cert, &file.key) {
        (Some(cert), Some(key)) => identity(cx, at, cert, key).map(Some),
        (None, None) => Some(None),
        _ => {
            cx.report
                .key_error(at, "`cert` and `key` go together", None);
            None
        }
    };
    match tls::client(authorities?.as_ref(), identity?) {
        Ok(client) => Some(Some(client)),
        Err(error) => {
            cx.report.error_help(
                at,
                error.to_string(),
                Some("`ca: FILE` names whom to trust instead".to_owned()),
            );
            None
        }
    }
}

fn server(
    cx: &mut Context<'_>,
    at: &str,
    identity: Identity,
    clients: Option<&Authorities>,
) -> Option<ServerTls> {
    ServerTls::new(identity, clients)
        .map_err(|error| cx.report.error(at, error.to_string()))
        .ok()
}

fn identity(cx: &mut Context<'_>, at: &str, cert: &str, key: &KeyFile) -> Option<Identity> {
    let cert_at = member(at, "cert");
    let chain = read(cx, &cert_at, cert, Chain::from_pem);
    if let Some(chain) = &chain {
        note_validity(cx, &cert_at, chain);
    }
    let key_at = member(at, "key");
    let (key_at, key) = match key {
        // The form `key: FILE` is the same as `key: {file: FILE}`, but for the place that errors name.
        KeyFile::File(path) => {
            let secret = secrets::from_file(&*cx.files, &cx.beside(path));
            let secret = secret.map_err(|message| cx.report.error(&key_at, message));
            (key_at, secret.ok())
        }
        KeyFile::Secret(secret) => {
            let key = secrets::resolve(cx, &key_at, secret);
            (member(&key_at, form(secret)), key)
        }
    };
    let (chain, key): (Chain, Secret) = (chain?, key?);
    Identity::new(&chain, &key)
        .map_err(|error| cx.report.error(&key_at, error.to_string()))
        .ok()
}

/// The name of the form that a secret is written in.
fn form(secret: &SecretFile) -> &'static str {
    match secret {
        SecretFile { env: Some(_), .. } => "env",
        SecretFile { file: Some(_), .. } => "file",
        SecretFile {
            credential: Some(_),
            ..
        } => "credential",
        _ => "value",
    }
}

/// A certificate that does not count now is no reason not to start: it can be replaced while running.
fn note_validity(cx: &mut Context<'_>, at: &str, chain: &Chain) {
    let now = Timestamp::now();
    let (from, until) = chain.valid();
    if until < now {
        let message = format!("the certificate expired at {until}");
        cx.report.warn(at, message, None);
    } else if from > now {
        let message = format!("the certificate counts only from {from}");
        cx.report.warn(at, message, None);
    }
}

/// The authorities of a file; `None` where something is wrong with it.
pub(super) fn authorities(cx: &mut Context<'_>, at: &str, path: &str) -> Option<Authorities> {
    read(cx, at, path, Authorities::from_pem)
}

fn read<T>(
    cx: &mut Context<'_>,
    at: &str,
    path: &str,
    parse: fn(&[u8]) -> Result<T, tls::TlsError>,
) -> Option<T> {
    let path = cx.beside(path);
    let text = cx
        .files
        .read(&path, MAX_CERTIFICATE_BYTES, Purpose::Certificates);
    let read = text.and_then(|text| parse(&text).map_err(|error| error.to_string()));
    read.map_err(|why| cx.report.error(at, format!("{}: {why}", path.display())))
        .ok()
}
