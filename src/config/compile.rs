//! The whole file to the whole plan, section by section, so that a mistake in one hides none in another.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::{Map, Value};

use super::context::{Context, KIB, MIB};
use super::error::{ConfigErrors, known};
use super::file::{
    AdminFile, EgressFile, LimitsFile, RouteFile, SourceFile, StoreFile, TargetFile, TelemetryFile,
    TlsFile, UnmatchedFile,
};
use super::position::Positions;
use super::report::Report;
use super::routes::Names;
use super::scalar::expand;
use super::templates::{TemplateFolder, Templates};
use super::yaml::{Content, Document, Entry, item, live, parse};
use super::{
    Compiled, Env, FileKind, Files, egress, routes, secrets, sources, store, targets, telemetry,
    tls,
};
use crate::plan::{AdminPlan, Limits, Plan, Router, StudioPlan, Unmatched};
use crate::proxies::Proxies;
use crate::template::RenderLimits;

const DEFAULT_PORT: u16 = 8080;
const DEFAULT_ADMIN_PORT: u16 = 8081;
const DEFAULT_TEMPLATES: &str = "./templates";

/// Webhooks are small; large ones are mistakes or attacks.
const DEFAULT_BODY: u64 = MIB;
const DEFAULT_HEADERS: u64 = 64 * KIB;
const DEFAULT_HEADER_TIMEOUT: Duration = Duration::from_secs(10);
const DEFAULT_BODY_TIMEOUT: Duration = Duration::from_secs(30);
const DEFAULT_OUTPUT: u64 = 4 * MIB;
const DEFAULT_CONNECTIONS: u32 = 4096;
/// A parsed body takes some times its bytes, so this is some hundred MiB at the worst.
const DEFAULT_IN_FLIGHT: u64 = 32 * MIB;
const DEFAULT_HOPS: u32 = 8;
/// A sender with a wrong secret makes a few; who tries more is guessing, or misconfigured and in no hurry.
const DEFAULT_FAILURES: u32 = 10;
/// Less than what service managers wait before they kill.
const DEFAULT_DRAIN: Duration = Duration::from_secs(20);
/// A head or body limit below this takes no real request.
const LEAST_HEADERS: u64 = 8 * KIB;
/// Bodies and outputs are held in memory whole, and a record of the journal (64 MiB at most) holds one with all else.
const MOST_IN_MEMORY: u64 = 48 * MIB;

/// Compiles the text of a configuration file.
pub(super) fn compile(
    path: &Path,
    text: &str,
    env: &dyn Env,
    files: Arc<dyn Files>,
) -> Result<Compiled, ConfigErrors> {
    let Document { mut root, errors } = match parse(text) {
        Ok(document) => document,
        Err(error) => return Err(Report::unparsed(path, text, error).into_errors()),
    };
    let mut cx = Context::new(path, env, files);
    cx.report = Report::new(path, Positions::of(&root, text));
    errors.into_iter().for_each(|error| cx.report.yaml(error));
    let mut findings = Vec::new();
    expand(&mut root, "", env, &mut findings);
    cx.report.findings(findings);
    let entries = match &root.content {
        Content::Map(entries) => entries.as_slice(),
        Content::Scalar(scalar) if scalar.plain && scalar.text.is_empty() => &[],
        _ => {
            cx.report
                .error("", "a configuration is a mapping, such as `sources: {..}`");
            &[]
        }
    };
    if entries.is_empty() && !cx.report.has_errors() {
        // More likely a file that was cut short than one that is meant to be.
        let help = "config.example.yaml shows every key".to_owned();
        cx.report
            .error_help("", "the configuration is empty", Some(help));
    }
    let file = read(&mut cx, entries);
    let compiled = plan(&mut cx, &file);
    match compiled {
        Some(compiled) if !cx.report.has_errors() => Ok(Compiled {
            warnings: cx.report.into_warnings(),
            env_secrets: cx.env_secrets,
            ..compiled
        }),
        _ => Err(cx.report.into_errors()),
    }
}

/// The file as far as it could be read. What could not be is `None` and was reported; its name is kept.
#[derive(Default)]
struct Sections {
    listen: Option<String>,
    tls: Option<TlsFile>,
    trusted_proxies: Option<Vec<String>>,
    admin: Option<AdminFile>,
    store: Option<StoreFile>,
    templates: Option<String>,
    strict: Option<bool>,
    limits: Option<LimitsFile>,
    unmatched: Option<UnmatchedFile>,
    vars: Option<Map<String, Value>>,
    sources: Vec<(String, Option<SourceFile>)>,
    targets: Vec<(String, Option<TargetFile>)>,
    egress: Option<EgressFile>,
    telemetry: Option<TelemetryFile>,
    routes: Vec<Option<RouteFile>>,
}

fn read(cx: &mut Context<'_>, entries: &[Entry]) -> Sections {
    let mut file = Sections::default();
    for Entry { key, value, .. } in live(entries) {
        match key.as_str() {
            "listen" => file.listen = cx.section(value, key),
            "tls" => file.tls = cx.section(value, key),
            "trusted_proxies" => file.trusted_proxies = cx.section(value, key),
            "admin" => file.admin = cx.section(value, key),
            "store" => file.store = cx.section(value, key),
            "templates" => file.templates = cx.section(value, key),
            "strict" => file.strict = cx.section(value, key),
            "limits" => file.limits = cx.section(value, key),
            "unmatched" => file.unmatched = cx.section(value, key),
            "vars" => file.vars = cx.section(value, key),
            "sources" => file.sources = cx.members(value, key, "Source"),
            "targets" => file.targets = cx.members(value, key, "Target"),
            "egress" => file.egress = cx.section(value, key),
            "telemetry" => file.telemetry = cx.section(value, key),
            "routes" => file.routes = cx.items(value, key, "Route"),
            other => {
                let (known, help) = known(other, cx.shapes.properties());
                cx.report
                    .key_error(other, format!("unknown key {known}"), help);
            }
        }
    }
    file
}

fn plan(cx: &mut Context<'_>, file: &Sections) -> Option<Compiled> {
    let listen = cx.address("listen", file.listen.as_deref(), DEFAULT_PORT);
    let tls = tls::public(cx, file.tls.as_ref());
    let trusted_proxies = trusted_proxies(cx, file.trusted_proxies.as_deref());
    let admin = admin(cx, file.admin.as_ref(), listen);
    let store = store::compile(cx, file.store.as_ref());
    let folder = cx.beside(file.templates.as_deref().unwrap_or(DEFAULT_TEMPLATES));
    let folder = TemplateFolder::on(folder, Arc::clone(&cx.files));
    if file.templates.is_some() && cx.files.kind(folder.root()) != Some(FileKind::Folder) {
        let message = format!("there is no folder {}", folder.root().display());
        cx.report.error("templates", message);
    }
    let limits_file = file.limits.clone().unwrap_or_default();
    let limits = limits(cx, &limits_file);
    let output = cx.size(
        "limits.output",
        limits_file.output.as_ref(),
        DEFAULT_OUTPUT,
        1..=MOST_IN_MEMORY,
    );
    let drain = cx.duration("limits.drain", limits_file.drain.as_deref(), DEFAULT_DRAIN);
    let sources = sources::compile(cx, &file.sources);
    let egress = egress::compile(cx, file.egress.as_ref());
    let targets = targets::compile(cx, &file.targets, &egress.guard);
    let telemetry = telemetry::compile(cx, file.telemetry.as_ref());
    let names = Names {
        sources: file.sources.iter().map(|(name, _)| name.as_str()).collect(),
        targets: file.targets.iter().map(|(name, _)| name.as_str()).collect(),
    };
    let mut templates = Templates::new(folder.clone(), file.strict.unwrap_or(false));
    let routes = routes::compile(cx, &file.routes, &names, &mut templates, limits.body_bytes);
    if file.sources.is_empty() && !cx.report.has_errors() {
        cx.report.warn(
            "sources",
            "there is no source, so nothing can come in",
            None,
        );
    }
    let studio = StudioPlan {
        folder: folder.root().to_path_buf(),
        templates: templates.used.clone(),
        samples: routes.samples,
        cases: routes.cases,
    };
    Some(Compiled {
        plan: Plan {
            listen: listen?,
            tls: tls?,
            trusted_proxies,
            admin: admin?,
            store,
            limits,
            sources: sources.by_name,
            paths: sources.by_path,
            router: Router::new(routes.routes),
            targets,
            egress: Arc::new(egress),
            telemetry: telemetry.map(Arc::new),
            unmatched: match file.unmatched {
                Some(UnmatchedFile::Drop) => Unmatched::Drop,
                Some(UnmatchedFile::Keep) | None => Unmatched::Keep,
            },
            vars: file.vars.clone().unwrap_or_default(),
            render: RenderLimits {
                output_bytes: as_usize(output),
            },
            studio: Arc::new(studio),
            max_hops: limits_file.hops.unwrap_or(DEFAULT_HOPS),
            drain,
            generation: OnceLock::new(),
            fingerprint: OnceLock::new(),
        },
        warnings: Vec::new(),
        templates: templates.used,
        tests: routes.tests,
        templates_dir: folder.root().to_path_buf(),
        env_secrets: Vec::new(),
    })
}

pub(super) fn admin(
    cx: &mut Context<'_>,
    file: Option<&AdminFile>,
    public: Option<SocketAddr>,
) -> Option<AdminPlan> {
    let file = file.cloned().unwrap_or_default();
    let listen = cx.address("admin.listen", file.listen.as_deref(), DEFAULT_ADMIN_PORT);
    if let (Some(listen), Some(public)) = (listen, public)
        && one_door(listen, public)
    {
        let message = format!("the public door listens on {public} already");
        cx.report.error("admin.listen", message);
    }
    let token = match &file.token {
        Some(written) => secrets::resolve(cx, "admin.token", written).map(Some),
        None => Some(None),
    };
    let asks_clients = file.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
    let tls = tls::admin(cx, file.tls.as_ref());
    if let Some(listen) = listen
        && !listen.ip().is_loopback()
        && file.token.is_none()
        && !asks_clients
    {
        cx.report.error_help(
            "admin.listen",
            format!("{listen} can be reached from other machines, so `admin.token` or `admin.tls.client_ca` is needed"),
            Some("such as `token: {env: INGATE_ADMIN_TOKEN}`, or listen on 127.0.0.1".to_owned()),
        );
    }
    let hosts = file.hosts.unwrap_or_default();
    for (i, host) in hosts.iter().enumerate() {
        let good = host
            .parse::<http::uri::Authority>()
            .is_ok_and(|a| a.as_str() == a.host());
        if !good {
            let message = format!("{host:?} is not the name of a host, such as ingate.example.com");
            cx.report.error(&item("admin.hosts", i), message);
        }
    }
    Some(AdminPlan {
        listen: listen?,
        token: token?,
        hosts,
        tls: tls?,
        edit_templates: file.edit_templates.unwrap_or(false),
    })
}

/// Who in front of the public door is believed.
fn trusted_proxies(cx: &mut Context<'_>, written: Option<&[String]>) -> Proxies {
    let mut networks = Vec::new();
    for (i, text) in written.unwrap_or_default().iter().enumerate() {
        match Proxies::network(text) {
            Some(network) => networks.push(network),
            None => {
                let message =
                    format!("{text:?} is not an address or a network, such as 10.0.0.0/8 or ::1");
                cx.report.error(&item("trusted_proxies", i), message);
            }
        }
    }
    Proxies::new(networks)
}

/// Whether two addresses cannot both be listened on: one port, and one of them stands for all addresses.
fn one_door(a: SocketAddr, b: SocketAddr) -> bool {
    let all = a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() == b.port() && a.port() != 0 && (a.ip() == b.ip() || all)
}

fn limits(cx: &mut Context<'_>, file: &LimitsFile) -> Limits {
    let connections = file.connections.unwrap_or(DEFAULT_CONNECTIONS);
    if connections == 0 {
        cx.report.error(
            "limits.connections",
            "without connections nothing can come in",
        );
    }
    let failures = file.failures.unwrap_or(DEFAULT_FAILURES);
    if failures == 0 {
        cx.report.error(
            "limits.failures",
            "at least one failure is answered at once; a large number slows none",
        );
    }
    Limits {
        body_bytes: as_usize(cx.size(
            "limits.body",
            file.body.as_ref(),
            DEFAULT_BODY,
            1..=MOST_IN_MEMORY,
        )),
        header_bytes: as_usize(cx.size(
            "limits.headers",
            file.headers.as_ref(),
            DEFAULT_HEADERS,
            LEAST_HEADERS..=MOST_IN_MEMORY,
        )),
        header_timeout: cx.some_time(
            "limits.header_timeout",
            file.header_timeout.as_deref(),
            DEFAULT_HEADER_TIMEOUT,
        ),
        body_timeout: cx.some_time(
            "limits.body_timeout",
            file.body_timeout.as_deref(),
            DEFAULT_BODY_TIMEOUT,
        ),
        connections: usize::try_from(connections).unwrap_or(usize::MAX),
        in_flight_bytes: as_usize(cx.size(
            "limits.in_flight",
            file.in_flight.as_ref(),
            DEFAULT_IN_FLIGHT,
            MIB..=u64::MAX,
        )),
        failures,
    }
}

fn as_usize(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::Disk;
    use super::*;
    use proptest::prelude::*;

    fn no_env(_: &str) -> Option<String> {
        None
    }

    proptest! {
        /// Whatever stands in the file, the answer is errors with places in it, never a panic.
        #[test]
        fn no_text_breaks_it(text in "([a-c]|: |- |\\n|  |\\{|\\}|\\[|\\]|,|\"|'|&a|\\*a|<<|\\||#|!|\\$\\{|é|\\t|routes|listen|secrets){0,40}") {
            if let Err(errors) = compile(Path::new("c.yaml"), &text, &no_env, Arc::new(Disk)) {
                let lines = text.lines().count() + 1;
                for diagnostic in errors.diagnostics() {
                    prop_assert!(diagnostic.line <= lines, "{}", diagnostic);
                }
                prop_assert!(!errors.to_string().is_empty());
            }
        }
    }
}
