//! A text tried on a sample: what comes out or where it fails, what is proven of it, and how it differs from what the
//! template in force makes of the same sample. The shapes are those of the API.
//!
//! Not here: bounds on how many are tried at a time (see the module above).

use serde::Serialize;
use serde_json::Value;

use super::subject::{Ready, Subject};
use super::{StudioError, templates};
use crate::config::TemplateFolder;
use crate::id::Digest;
use crate::plan::{OutputSchema, Plan, Route, TemplateFile};
use crate::template::{self, Cause, PartialText, Partials, Remark, Scene, Template, TemplateError};
use crate::trial::{self, Line};

/// What a text is called that has no name.
const NAMELESS: &str = "template";

/// What `route` and `target` are in a template that no route names, as in `ingate render`.
pub(super) const SAMPLE: &str = "sample";

/// What is to be tried.
#[derive(Debug, Clone)]
pub struct Trial {
    /// The text.
    pub text: String,
    /// The template that it is a version of.
    pub name: Option<String>,
    /// What `route` is; unless given the first route that names the template.
    pub route: Option<String>,
    /// What `target` is; unless given the first of the route.
    pub target: Option<String>,
    /// What it is tried on.
    pub subject: Subject,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub struct Rendered {
    /// One JSON value, compact; `None` if it does not compile or render.
    pub output: Option<String>,
    /// Where it does not compile or render.
    pub error: Option<Marker>,
    /// What was mended in this output.
    pub repairs: Vec<Marker>,
    /// What holds for every payload; `None` if it does not compile.
    pub proof: Option<Proof>,
    /// The schema that the output was held against.
    pub schema: Option<String>,
    /// What of the output does not fit it.
    pub misfits: Vec<Misfit>,
    /// Whether values of the sample are hidden and were rendered as such.
    pub redacted: bool,
    /// What the template in force makes of the same sample; `None` if no route names it.
    pub deployed: Option<Deployed>,
    /// From the output of the template in force to this one; `None` if one is missing.
    pub diff: Option<Vec<DiffLine>>,
}

/// What the template in force makes of a sample.
#[derive(Debug, Serialize)]
pub struct Deployed {
    /// Its hash.
    pub hash: Digest,
    /// What comes out.
    pub output: Option<String>,
    /// Where it does not render.
    pub error: Option<Marker>,
}

/// A line of a diff.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct DiffLine {
    /// `place`, `same`, `deployed`, `new` or `more`.
    pub kind: &'static str,
    /// The line; of `more` a number.
    pub text: String,
}

/// A place in a template and what is to say of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Marker {
    /// The name of the template, or of a partial.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Length in characters; may reach over the end of the line.
    pub length: usize,
    /// What is to say.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
    /// `template` or `output`.
    pub cause: &'static str,
}

/// What holds for every payload.
#[derive(Debug, Serialize)]
pub struct Proof {
    /// In short.
    pub verdict: &'static str,
    /// Where the output can fail to be valid.
    pub findings: Vec<Finding>,
    /// What can need mending.
    pub repairs: Vec<Marker>,
    /// What else can fail on some payload.
    pub may_fail: Vec<Marker>,
}

/// A place that can fail.
#[derive(Debug, Serialize)]
pub struct Finding {
    /// Where.
    pub marker: Marker,
    /// The way that leads there; `None` if every way does.
    pub way: Option<String>,
    /// A payload that fails, as JSON text.
    pub counter_example: Option<String>,
}

/// Where an output does not fit a schema.
#[derive(Debug, Serialize)]
pub struct Misfit {
    /// A JSON pointer into the output.
    pub at: String,
    /// A JSON pointer into the schema.
    pub rule: String,
    /// What is wrong.
    pub message: String,
}

/// Partials from disk, so that a saved one counts, called by their names in the folder.
struct Named<'a>(&'a TemplateFolder);

impl Partials for Named<'_> {
    fn find(&self, name: &str) -> Option<PartialText> {
        let found = self.0.find(name)?;
        Some(PartialText {
            path: in_folder(self.0, &found.path),
            ..found
        })
    }

    fn names(&self) -> Vec<String> {
        self.0.names()
    }
}

/// The name in the folder of a file that is called by its path.
fn in_folder(folder: &TemplateFolder, path: &str) -> String {
    let inner = std::path::Path::new(path).strip_prefix(folder.root());
    inner.map_or_else(|_| path.to_owned(), |inner| inner.display().to_string())
}

/// What surrounds a text that is tried.
struct Place<'p> {
    route: Option<&'p Route>,
    target: &'p str,
    deployed: Option<&'p TemplateFile>,
}

/// Tries a text. May take some seconds.
pub(super) fn render(plan: &Plan, trial: &Trial) -> Result<Rendered, StudioError> {
    let place = place(plan, trial)?;
    let ready = trial.subject.ready(plan)?;
    let folder = TemplateFolder::new(plan.studio.folder.clone());
    let name = trial.name.as_deref().unwrap_or(NAMELESS);
    let mut rendered = Rendered {
        output: None,
        error: None,
        repairs: Vec::new(),
        proof: None,
        schema: None,
        misfits: Vec::new(),
        redacted: ready.redacted,
        deployed: None,
        diff: None,
    };
    let mut value = None;
    match Template::compile(name, &trial.text, &Named(&folder)) {
        Err(error) => rendered.error = Some(of_error(&folder, &error)),
        Ok(template) => {
            rendered.proof = Some(proven(&folder, &template));
            match with_scene(plan, &place, &ready, |scene| {
                template.render(scene, plan.render)
            }) {
                Err(error) => rendered.error = Some(of_error(&folder, &error)),
                Ok(done) => {
                    let mended = done.repairs.iter();
                    rendered.repairs = mended
                        .map(|repair| of_remark(&folder, repair, Cause::Output))
                        .collect();
                    value = serde_json::from_slice::<Value>(&done.body).ok();
                    rendered.output = String::from_utf8(done.body).ok();
                }
            }
        }
    }
    let schema = place.route.and_then(|route| route.schema.as_ref());
    if let (Some(OutputSchema { schema, .. }), Some(value)) = (schema, &value) {
        rendered.schema = Some(schema.name().to_owned());
        rendered.misfits = schema.misfits(value).into_iter().map(of_misfit).collect();
    }
    if let Some(file) = place.deployed {
        let done = with_scene(plan, &place, &ready, |scene| {
            file.template.render(scene, plan.render)
        });
        let (output, error) = match done {
            Ok(done) => (String::from_utf8(done.body).ok(), None),
            Err(error) => (None, Some(of_error(&folder, &error))),
        };
        let old = output.as_deref().map(serde_json::from_str::<Value>);
        if let (Some(Ok(old)), Some(new)) = (old, &value) {
            let lines = trial::diff(&old, new).into_iter();
            rendered.diff = Some(lines.map(of_line).collect());
        }
        rendered.deployed = Some(Deployed {
            hash: file.template.hash(),
            output,
            error,
        });
    }
    Ok(rendered)
}

fn place<'p>(plan: &'p Plan, trial: &'p Trial) -> Result<Place<'p>, StudioError> {
    let studio = &plan.studio;
    let named = trial.name.as_deref().and_then(|name| studio.template(name));
    let route = match &trial.route {
        Some(wanted) => {
            let mut routes = plan.router.routes().iter();
            let known = routes.find(|route| route.name.as_str() == wanted);
            Some(known.ok_or(StudioError::NoSuch("such route"))?)
        }
        None => named
            .and_then(|file| file.routes.first())
            .and_then(|name| plan.router.get(name)),
    };
    let target = match &trial.target {
        Some(wanted) => {
            let known = plan.targets.get(wanted.as_str());
            known
                .ok_or(StudioError::NoSuch("such target"))?
                .name
                .as_str()
        }
        None => route
            .and_then(|route| route.to.first())
            .map_or(SAMPLE, |target| target.as_str()),
    };
    let of_route = || route.and_then(|route| studio.of_route(&route.name));
    Ok(Place {
        route: route.map(AsRef::as_ref),
        target,
        // Without a name it is a version of what the route has.
        deployed: match trial.name {
            Some(_) => named,
            None => of_route(),
        },
    })
}

fn with_scene<T>(
    plan: &Plan,
    place: &Place<'_>,
    ready: &Ready,
    work: impl FnOnce(&Scene<'_>) -> T,
) -> T {
    let id = ready.event.id().to_string();
    work(&Scene {
        payload: (&ready.payload).into(),
        event: ready.event.facts(&id),
        headers: &ready.event.parts().headers,
        route: place.route.map_or(SAMPLE, |route| route.name.as_str()),
        target: place.target,
        vars: &plan.vars,
    })
}

fn proven(folder: &TemplateFolder, template: &Template) -> Proof {
    let mut proof = template.prove();
    template.seek_examples(&mut proof);
    let findings = proof.findings.iter().map(|finding| Finding {
        marker: of_error(folder, &finding.error),
        way: finding.told_way(),
        counter_example: finding.counter_example.as_ref().map(Value::to_string),
    });
    Proof {
        verdict: templates::verdict(proof.verdict),
        findings: findings.collect(),
        repairs: proof
            .repairs
            .iter()
            .map(|repair| of_error(folder, repair))
            .collect(),
        may_fail: proof
            .may_fail
            .iter()
            .map(|remark| of_remark(folder, remark, Cause::Template))
            .collect(),
    }
}

pub(super) fn of_error(folder: &TemplateFolder, error: &TemplateError) -> Marker {
    Marker {
        file: in_folder(folder, &error.path),
        line: error.line,
        column: error.column,
        length: usize::try_from(error.characters).unwrap_or(usize::MAX),
        message: error.message.clone(),
        help: error.help.clone(),
        cause: of_cause(error.cause),
    }
}

fn of_remark(folder: &TemplateFolder, remark: &Remark, cause: Cause) -> Marker {
    Marker {
        file: in_folder(folder, &remark.path),
        line: remark.line,
        column: remark.column,
        length: remark.length,
        message: remark.what.clone(),
        help: None,
        cause: of_cause(cause),
    }
}

fn of_cause(cause: template::Cause) -> &'static str {
    match cause {
        Cause::Template => "template",
        Cause::Output => "output",
    }
}

fn of_misfit(misfit: crate::schema::Misfit) -> Misfit {
    let crate::schema::Misfit { at, rule, message } = misfit;
    Misfit { at, rule, message }
}

fn of_line(line: Line) -> DiffLine {
    let (kind, text) = match line {
        Line::Place(text) => ("place", text),
        Line::Same(text) => ("same", text),
        Line::Expected(text) => ("deployed", text),
        Line::Actual(text) => ("new", text),
        Line::More(count) => ("more", count.to_string()),
    };
    DiffLine { kind, text }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use http::HeaderMap;
    use jiff::Timestamp;

    use super::*;
    use crate::config;
    use crate::event::{Event, EventParts};
    use crate::id::EventId;

    const CONFIG: &str = "
vars: {tenant: acme}
sources:
  in: {preset: hmac, secrets: [{value: a-plain-test-secret-of-40-characters-xyz}], redact: [/data/ssn]}
targets:
  erp: {url: 'http://127.0.0.1:9/'}
  crm: {url: 'http://127.0.0.1:9/'}
routes:
  - {name: first, from: in, template: a, schema: s.json, to: [crm, erp]}
  - {name: second, from: in, template: parts/b.liquid, to: erp}
";

    fn site(text: &str) -> (tempfile::TempDir, Plan) {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        std::fs::create_dir_all(dir.path().join("templates/parts")).unwrap();
        write("templates/a.liquid", text);
        write("templates/parts/b.liquid", "{{ payload.data.n }}");
        write("s.json", r#"{"properties": {"n": {"type": "number"}}}"#);
        write("config.yaml", CONFIG);
        let loaded = config::load(&dir.path().join("config.yaml"), &config::ProcessEnv);
        let plan = loaded.unwrap_or_else(|errors| panic!("{errors}")).plan;
        (dir, plan)
    }

    fn given(body: &str) -> Subject {
        Subject::Given {
            body: body.to_owned(),
            headers: HeaderMap::new(),
            source: None,
            event_type: None,
        }
    }

    fn trial(text: &str, subject: Subject) -> Trial {
        Trial {
            text: text.to_owned(),
            name: Some("a.liquid".to_owned()),
            route: None,
            target: None,
            subject,
        }
    }

    fn stored(body: &str, header: &str) -> Subject {
        Subject::Event(Arc::new(Event::from_stored(EventParts {
            id: EventId::generate(),
            source: "in".parse().unwrap(),
            message_id: Some(header.to_owned()),
            event_type: header.to_owned(),
            headers: vec![("x-copy".to_owned(), header.to_owned())],
            body: Bytes::copy_from_slice(body.as_bytes()),
            received_at: Timestamp::UNIX_EPOCH,
            hops: 0,
        })))
    }

    #[test]
    fn a_text_is_rendered_proven_checked_and_compared() {
        let (_dir, plan) = site("{\"n\": {{ payload.n }}, \"to\": {{ target }}}");
        let text = "{\"n\": {{ payload.n | append: \"!\" }}, \"to\": {{ target }},}";
        let done = render(&plan, &trial(text, given(r#"{"n": 7}"#))).unwrap();
        assert_eq!(done.output.as_deref(), Some(r#"{"n":"7!","to":"crm"}"#));
        assert_eq!(done.error, None);
        let [repair] = &done.repairs[..] else {
            panic!("{:?}", done.repairs);
        };
        assert_eq!((repair.line, repair.cause), (1, "output"));
        let proof = done.proof.unwrap();
        assert_eq!(proof.verdict, "proven_with_repairs");
        assert_eq!(proof.repairs[0].column, repair.column);
        assert_eq!(done.schema.as_deref(), Some("s.json"));
        assert_eq!(done.misfits[0].at, "/n");
        let deployed = done.deployed.unwrap();
        assert_eq!(deployed.output.as_deref(), Some(r#"{"n":7,"to":"crm"}"#));
        assert_eq!(
            deployed.hash,
            plan.studio.template("a.liquid").unwrap().template.hash()
        );
        let diff = done.diff.unwrap();
        let line = |kind, text: &str| DiffLine {
            kind,
            text: text.to_owned(),
        };
        assert!(diff.contains(&line("deployed", "  \"n\": 7,")), "{diff:?}");
        assert!(diff.contains(&line("new", "  \"n\": \"7!\",")), "{diff:?}");
        // The same text makes no difference.
        let same = plan.studio.template("a.liquid").unwrap().template.text();
        let done = render(&plan, &trial(same, given(r#"{"n": 7}"#))).unwrap();
        assert_eq!(done.diff, Some(Vec::new()));
    }

    #[test]
    fn markers_stand_where_the_fault_is_in_characters() {
        let (_dir, plan) = site("{\"n\": {{ payload.n | date: \"%Q%Q\" }}}");
        let at = |text: &str| {
            let done = render(&plan, &trial(text, given("{}"))).unwrap();
            assert_eq!(done.output, None);
            (done.error.unwrap(), done.proof.is_some())
        };
        let (marker, proven) = at("{\n  \"é\": \"ü{{ payload.x | upcas }}\"}");
        assert_eq!((marker.line, marker.column, marker.length), (2, 25, 5));
        assert_eq!(marker.file, "a.liquid");
        assert_eq!(marker.help.as_deref(), Some("did you mean `upcase`?"));
        assert!(!proven);
        let (marker, proven) = at("{\"é\": {{ 1 | divided_by: 0 }}}");
        assert_eq!((marker.line, marker.cause), (1, "template"));
        assert_eq!((marker.column, marker.length), (14, 13));
        assert!(proven);
        let (marker, _) = at("{\"a\" 1}");
        assert_eq!((marker.line, marker.column, marker.cause), (1, 6, "output"));
        // In a partial: by its name in the folder.
        let (_dir, plan) = site("[{% render 'parts/b' %}]");
        let folder = &plan.studio.folder;
        std::fs::write(folder.join("parts/b.liquid"), "\n{{ 1 | modulo: 0 }}").unwrap();
        let done = render(&plan, &trial("[{% render 'parts/b' %}]", given("{}"))).unwrap();
        let marker = done.error.unwrap();
        assert_eq!((marker.file.as_str(), marker.line), ("parts/b.liquid", 2));
        assert!(done.diff.is_none());
    }

    #[test]
    fn what_surrounds_it_can_be_chosen() {
        let (_dir, plan) = site("1");
        let text = "[{{ route }}, {{ target }}, {{ vars.tenant }}, {{ event.type }}]";
        let done = |change: fn(&mut Trial)| {
            let mut trial = trial(text, given(r#"{"type": "t"}"#));
            change(&mut trial);
            render(&plan, &trial).map(|done| (done.output.unwrap(), done.deployed.is_some()))
        };
        let wanted = |text: &str, deployed| (text.to_owned(), deployed);
        assert_eq!(
            done(|_| {}).unwrap(),
            wanted(r#"["first","crm","acme","t"]"#, true)
        );
        let changed = done(|trial| {
            trial.route = Some("second".to_owned());
            trial.name = None;
        });
        assert_eq!(
            changed.unwrap(),
            wanted(r#"["second","erp","acme","t"]"#, true)
        );
        let changed = done(|trial| trial.name = Some("new.liquid".to_owned()));
        assert_eq!(
            changed.unwrap(),
            wanted(r#"["sample","sample","acme","t"]"#, false)
        );
        let changed = done(|trial| trial.target = Some("erp".to_owned()));
        assert_eq!(changed.unwrap().0, r#"["first","erp","acme","t"]"#);
        for change in [
            (|trial| trial.route = Some("none".to_owned())) as fn(&mut Trial),
            |trial| trial.target = Some("none".to_owned()),
            |trial| trial.subject = Subject::Sample("0123456789abcdef".to_owned()),
        ] {
            assert!(matches!(done(change), Err(StudioError::NoSuch(_))));
        }
        let broken = done(|trial| trial.subject = given("{"));
        assert!(matches!(broken, Err(StudioError::NotJson(_))));
    }

    #[test]
    fn what_is_hidden_does_not_come_out() {
        let (_dir, plan) = site("1");
        let body = r#"{"data": {"ssn": "078-05-1120", "n": 1}}"#;
        for text in [
            "{{ payload }}",
            "[{{ payload.data.ssn }}, {{ headers }}, {{ event.type }}, {{ event.message_id }}]",
            "[{{ payload.data.ssn | split: '' | reverse }}, {{ headers.x-copy | base64_encode }}]",
            "{{ payload.data.ssn | slice: 0, 4 | append: payload.data.ssn }}",
        ] {
            let subject = stored(body, "copy of 078-05-1120");
            let done = render(&plan, &trial(text, subject)).unwrap();
            assert!(done.redacted);
            let shown = serde_json::to_string(&done).unwrap();
            for hidden in ["078", "1120", "1\",\"2"] {
                assert!(!shown.contains(hidden), "{text}: {shown}");
            }
        }
        let hidden = render(&plan, &trial("1", stored("no json", "t")));
        assert!(matches!(hidden, Err(StudioError::Hidden(_))));
    }

    #[test]
    fn a_text_that_goes_on_for_ever_ends() {
        let (_dir, plan) = site("1");
        let text = "[{% for a in (1..100000) %}{% for b in (1..100000) %}{% assign c = a %}{% endfor %}{% endfor %}1]";
        let done = render(&plan, &trial(text, given("{}"))).unwrap();
        let error = done.error.unwrap();
        assert!(error.message.contains("steps"), "{}", error.message);
    }
}
