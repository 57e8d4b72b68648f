//! Routes: `routes[N]`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::cases;
use super::context::Context;
use super::error::known;
use super::file::{ReviveFile, RouteFile, SchemaFile, TestFile};
use super::templates::Templates;
use super::yaml::{item, member};
use super::{FileKind, Purpose, read_text};
use crate::id::{NameError, RouteName, SourceName, TargetName};
use crate::pattern::{OneOrMany, Pattern};
use crate::plan::{self, Cases, OutputSchema, Revive, Route, RouteSample, RouteTest};
use crate::schema::{self, Schema};

/// Most bytes of what a test expects; more than any output.
pub(super) const EXPECTED_BYTES: u64 = 64 << 20;

/// What routes may name: everything that the file has, right or wrong, so that one mistake is told once.
pub(super) struct Names<'a> {
    pub(super) sources: Vec<&'a str>,
    pub(super) targets: Vec<&'a str>,
}

/// The routes and what they name.
#[derive(Debug, Default)]
pub(super) struct Routes {
    pub(super) routes: Vec<Arc<Route>>,
    pub(super) tests: Vec<RouteTest>,
    pub(super) samples: Vec<RouteSample>,
    pub(super) cases: BTreeMap<RouteName, Cases>,
}

/// Compiles the routes; `None` stands for one that could not be read.
pub(super) fn compile(
    cx: &mut Context<'_>,
    written: &[Option<RouteFile>],
    names: &Names<'_>,
    templates: &mut Templates,
    body_bytes: usize,
) -> Routes {
    let mut out = Routes::default();
    let mut first: HashMap<&str, usize> = HashMap::new();
    for (index, file) in written.iter().enumerate() {
        let Some(file) = file else {
            continue;
        };
        let at = item("routes", index);
        let name_path = member(&at, "name");
        let name = cx.name::<RouteName>(&name_path, &file.name);
        match first.get(file.name.as_str()) {
            Some(earlier) => {
                let message = format!("routes[{earlier}] is named {:?} already", file.name);
                cx.report.error(&name_path, message);
            }
            None => {
                first.insert(&file.name, index);
            }
        }
        let from = ends::<SourceName>(
            cx,
            &member(&at, "from"),
            &file.from,
            "source",
            &names.sources,
        );
        let to = ends::<TargetName>(cx, &member(&at, "to"), &file.to, "target", &names.targets);
        let pattern = pattern(cx, &member(&at, "match"), file);
        let template_path = member(&at, "template");
        let template = file
            .template
            .as_deref()
            .map(|template| templates.get(cx, &template_path, template, name.as_ref()));
        let schema = output_schema(cx, &member(&at, "schema"), file);
        let revive = revive(cx, &member(&at, "revive"), file);
        let tests = file.tests.as_deref().unwrap_or_default();
        if !tests.is_empty() && template.is_none() {
            let message = "tests compare what a template makes, and this route has none";
            cx.report.error(&member(&at, "tests"), message);
        }
        let most = u64::try_from(body_bytes).unwrap_or(u64::MAX);
        let place = member(&at, "tests");
        declared_tests(cx, &place, tests, name.as_ref(), most, &mut out);
        case_folder(
            cx,
            &member(&at, "cases"),
            file,
            name.as_ref(),
            most,
            &mut out,
        );
        if let (Some(name), Some(from), Some(to), Some(pattern)) = (name, from, to, pattern) {
            out.routes.push(Arc::new(Route {
                name,
                from,
                pattern,
                // A template that does not compile is an error, so no plan is made of this.
                template: template.flatten(),
                schema,
                to,
                revive,
            }));
        }
    }
    plan::number(&mut out.samples);
    check_use(cx, written, names);
    out
}

/// The sources or targets of a route: known, at least one, none twice.
fn ends<T: FromStr<Err = NameError>>(
    cx: &mut Context<'_>,
    at: &str,
    written: &OneOrMany,
    kind: &str,
    names: &[&str],
) -> Option<Vec<T>> {
    if written.is_empty() {
        cx.report
            .error(at, format!("at least one {kind} is needed"));
        return None;
    }
    let mut seen = HashSet::new();
    let mut ends = Vec::new();
    for (i, name) in written.iter().enumerate() {
        let place = written.place(at, i);
        if !names.contains(&name.as_str()) {
            let (known, help) = known(name, names.iter().copied());
            cx.report
                .error_help(&place, format!("no {kind} named {name:?} {known}"), help);
        } else if !seen.insert(name) {
            cx.report
                .error(&place, format!("{kind} {name:?} stands here twice"));
        } else {
            // A name that is known but wrong was told where it stands.
            ends.extend(name.parse::<T>().ok());
        }
    }
    (ends.len() == written.as_slice().len()).then_some(ends)
}

/// Whether what died rendering is taken up by itself; that needs a template.
fn revive(cx: &mut Context<'_>, at: &str, file: &RouteFile) -> Revive {
    match file.revive {
        None | Some(ReviveFile::Manual) => Revive::Manual,
        Some(ReviveFile::Auto) => {
            if file.template.is_none() {
                let message = "without a template nothing dies rendering";
                cx.report.error(at, message);
            }
            Revive::Auto
        }
    }
}

fn pattern(cx: &mut Context<'_>, at: &str, file: &RouteFile) -> Option<Pattern> {
    let Some(record) = &file.pattern else {
        return Some(Pattern::default());
    };
    match Pattern::compile(record) {
        Ok(pattern) => Some(pattern),
        Err(errors) => {
            for error in errors {
                cx.report.error(&member(at, &error.path), error.message);
            }
            None
        }
    }
}

/// The schema of a route; what is wrong with it is reported.
fn output_schema(cx: &mut Context<'_>, at: &str, file: &RouteFile) -> Option<OutputSchema> {
    let SchemaFile {
        file: name,
        at_run_time,
    } = file.schema.as_ref()?;
    if file.template.is_none() {
        let message = "a schema checks what a template makes, and this route has none";
        cx.report.error(at, message);
        return None;
    }
    let path = cx.beside(name);
    let shown = path.display();
    let text = match read_text(&*cx.files, &path, schema::SCHEMA_BYTES) {
        Ok(text) => text,
        Err(why) => {
            let message = format!("the schema {shown} cannot be read: {why}");
            cx.report.error(at, message);
            return None;
        }
    };
    match Schema::compile(name, &text) {
        Ok(schema) => Some(OutputSchema {
            schema,
            at_run_time: *at_run_time,
        }),
        Err(error) => {
            let message = format!("the schema {shown} cannot be used: {error}");
            cx.report.error(at, message);
            None
        }
    }
}

/// The tests of a route, with what stands in their files. A missing expectation is a test that fails, so that it can be
/// written from what comes out.
fn declared_tests(
    cx: &mut Context<'_>,
    at: &str,
    written: &[TestFile],
    route: Option<&RouteName>,
    most: u64,
    out: &mut Routes,
) {
    for (i, test) in written.iter().enumerate() {
        let place = item(at, i);
        let (event, expect) = (cx.beside(&test.event), cx.beside(&test.expect));
        let headers = test_headers(cx, &member(&place, "headers"), test);
        let body = match cx.files.kind(&event) {
            None => Err(format!("there is no file {}", event.display())),
            Some(_) => cx
                .files
                .read(&event, most, Purpose::Open)
                .map_err(|why| format!("{} cannot be read: {why}", event.display())),
        };
        let body = match body {
            Ok(body) => body,
            Err(message) => {
                cx.report.error(&member(&place, "event"), message);
                continue;
            }
        };
        if cx.files.kind(&expect) == Some(FileKind::Folder) {
            let message = format!("{} is a folder", expect.display());
            cx.report.error(&member(&place, "expect"), message);
        }
        if let Some(route) = route {
            let body = Bytes::from(body);
            let expected = cx.files.read(&expect, EXPECTED_BYTES, Purpose::Open);
            let expected = expected.map(Bytes::from);
            out.samples.push(RouteSample {
                id: String::new(),
                route: route.clone(),
                name: test.event.clone(),
                body: body.clone(),
                headers: headers.clone(),
                test: true,
                expected: expected.clone().ok(),
            });
            out.tests.push(RouteTest {
                route: route.clone(),
                event,
                body,
                headers,
                expected,
                expect,
            });
        }
    }
}

/// The cases of a route's folder.
fn case_folder(
    cx: &mut Context<'_>,
    at: &str,
    file: &RouteFile,
    route: Option<&RouteName>,
    most: u64,
    out: &mut Routes,
) {
    let (Some(written), Some(route)) = (&file.cases, route) else {
        return;
    };
    if file.template.is_none() {
        let message = "cases are tried on a template, and this route has none";
        cx.report.error(at, message);
        return;
    }
    let (cases, found) = cases::read(cx, at, written, route, most);
    out.tests.extend(found.tests);
    out.samples.extend(found.samples);
    out.cases.insert(route.clone(), cases);
}

/// The headers of a test; what is wrong with them is reported.
fn test_headers(cx: &mut Context<'_>, at: &str, test: &TestFile) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in test.headers.iter().flatten() {
        let place = member(at, name);
        let Ok(header) = HeaderName::from_bytes(name.as_bytes()) else {
            let message = format!("{name:?} is not the name of a header");
            cx.report.key_error(&place, message, None);
            continue;
        };
        match HeaderValue::from_bytes(value.as_bytes()) {
            Ok(_) if headers.contains_key(&header) => {
                let message = "this header stands twice";
                cx.report.key_error(&place, message, None);
            }
            Ok(value) => {
                headers.insert(header, value);
            }
            Err(_) => cx.report.error(
                &place,
                "a header's value has no line breaks and no control characters",
            ),
        }
    }
    headers
}

/// A target that no route names is a mistake, a source that none names may be meant to be.
fn check_use(cx: &mut Context<'_>, written: &[Option<RouteFile>], names: &Names<'_>) {
    // A route that could not be read may name anything.
    let Some(routes) = written
        .iter()
        .map(Option::as_ref)
        .collect::<Option<Vec<_>>>()
    else {
        return;
    };
    let named = |name: &str, ends: fn(&RouteFile) -> &OneOrMany| {
        routes
            .iter()
            .any(|route| ends(route).iter().any(|end| end == name))
    };
    for target in &names.targets {
        if !named(target, |route| &route.to) {
            let help = "name it under `to` of a route, or take it out".to_owned();
            cx.report.key_error(
                &member("targets", target),
                "no route goes to this target",
                Some(help),
            );
        }
    }
    for source in &names.sources {
        if !named(source, |route| &route.from) {
            cx.report.key_warn(
                &member("sources", source),
                "no route takes events of this source: they all stay unmatched",
            );
        }
    }
}
