//! The guide for authors is true: its samples, its lists and its limits.

use std::fmt::Write as _;
use std::sync::Arc;

use ingate::template::{
    EventFacts, PartialText, Partials, RenderLimits, Rendered, Scene, Template, TemplateError,
    Verdict, filters, limits, syntax,
};
use serde_json::{Map, Value};

const GUIDE: &str = include_str!("../../templates/README.md");

/// A fenced block: what stands behind the fence, the text, its line in the guide.
struct Fenced {
    info: &'static str,
    text: &'static str,
    line: usize,
}

fn fenced() -> Vec<Fenced> {
    let mut found = Vec::new();
    let mut rest = GUIDE;
    while let Some((_, after)) = rest.split_once("\n```") {
        let (info, body) = after.split_once('\n').unwrap();
        let (text, end) = body.split_once("```").unwrap();
        let line = GUIDE[..GUIDE.len() - after.len()].lines().count();
        found.push(Fenced { info, text, line });
        rest = end;
    }
    found
}

/// A template of the guide with all that belongs to it.
#[derive(Default)]
struct Sample {
    line: usize,
    template: &'static str,
    payload: Option<Value>,
    vars: Map<String, Value>,
    partials: Vec<(&'static str, &'static str)>,
    output: Option<Value>,
    error: Option<&'static str>,
    repairs: &'static str,
}

impl Partials for Sample {
    fn find(&self, name: &str) -> Option<PartialText> {
        let (_, text) = self.partials.iter().find(|(known, _)| *known == name)?;
        Some(PartialText {
            path: name.to_owned(),
            text: Arc::from(*text),
        })
    }

    fn names(&self) -> Vec<String> {
        self.partials.iter().map(|(n, _)| (*n).to_owned()).collect()
    }
}

fn samples() -> Vec<Sample> {
    let mut samples: Vec<Sample> = Vec::new();
    for Fenced { info, text, line } in fenced() {
        if info == "liquid" {
            samples.push(Sample {
                line,
                template: text,
                ..Sample::default()
            });
            continue;
        }
        let Some(sample) = samples.last_mut() else {
            panic!("line {line}: a block without a template before it");
        };
        let json = || -> Value {
            serde_json::from_str(text).unwrap_or_else(|error| panic!("line {line}: {error}"))
        };
        match info {
            "json payload" => sample.payload = Some(json()),
            "json vars" => sample.vars = json().as_object().unwrap().clone(),
            "json output" => sample.output = Some(json()),
            "text error" => sample.error = Some(text.trim()),
            "text repairs" => sample.repairs = text.trim(),
            // Held true where samples are tested.
            "yaml samples" | "text warning" | "text mutated" | "text test" => {}
            "text tags" | "text filters" => {}
            other => match other.strip_prefix("liquid partial ") {
                Some(name) => sample.partials.push((name, text)),
                None => panic!("line {line}: what is `{other}`?"),
            },
        }
    }
    samples
}

fn render(sample: &Sample) -> Result<Rendered, TemplateError> {
    let scene = Scene {
        payload: sample.payload.as_ref().unwrap().into(),
        event: EventFacts {
            id: "0192",
            message_id: None,
            source: "wreno",
            event_type: "vendor.updated",
            received_at: "2026-02-03T04:05:06Z".parse().unwrap(),
        },
        headers: &[],
        route: "vendors",
        target: "erp",
        vars: &sample.vars,
    };
    let limits = RenderLimits {
        output_bytes: 1 << 20,
    };
    Template::compile("sample", sample.template, sample)?.render(&scene, limits)
}

#[test]
fn every_sample_of_the_guide_is_true() {
    let samples = samples();
    assert!(samples.len() >= 18, "only {} samples", samples.len());
    let wrong: Vec<String> = samples
        .iter()
        .filter_map(|sample| check(sample).err())
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Renders the sample; the error says what differs.
fn check(sample: &Sample) -> Result<(), String> {
    let line = sample.line;
    let same = |found: &str, expected: &str| match found == expected {
        true => Ok(()),
        false => Err(format!("line {line}: found {found}\n  expected {expected}")),
    };
    let rendered = match (render(sample), sample.error) {
        (Ok(rendered), None) => rendered,
        (Err(error), Some(expected)) => {
            let shown = format!("{}:{}: {}", error.line, error.column, error.message);
            return same(&shown, expected);
        }
        (Ok(_), Some(expected)) => {
            return Err(format!("line {line}: no error, but `{expected}` was due"));
        }
        (Err(error), None) => return Err(format!("line {line}:\n{}", error.pretty())),
    };
    // Digits and the order of members count, white space does not.
    let expected = sample.output.as_ref().map(Value::to_string);
    let body = String::from_utf8(rendered.body).unwrap();
    same(&body, &expected.unwrap_or_default())?;
    let mut repairs = String::new();
    for repair in &rendered.repairs {
        let (line, column) = (repair.line, repair.column);
        writeln!(repairs, "{line}:{column}: {}", repair.what).unwrap();
    }
    same(repairs.trim(), sample.repairs)
}

/// What is shown to fail, to be mended or to take its keys from data cannot be proven; all else is.
#[test]
fn the_samples_of_the_guide_are_proven() {
    let wrong: Vec<String> = samples()
        .iter()
        .filter_map(|sample| {
            let template = Template::compile("sample", sample.template, sample).unwrap();
            let proof = template.prove();
            let keys = "a key from data";
            let found = |what: &str| {
                let mut findings = proof.findings.iter();
                findings.all(|finding| finding.error.message.contains(what))
            };
            let good = match proof.verdict {
                Verdict::Proven => sample.error.is_none() && sample.repairs.is_empty(),
                Verdict::ProvenWithRepairs => !sample.repairs.is_empty(),
                Verdict::CheckedAtRunTime => found(keys),
                Verdict::NeverValid => false,
            };
            (!good).then(|| {
                let line = sample.line;
                format!("line {line}: {}: {:?}", proof.verdict, proof.findings)
            })
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_lists_of_the_guide_are_whole() {
    let listed = |info: &str| -> Vec<&str> {
        let block = fenced().into_iter().find(|block| block.info == info);
        block.unwrap().text.split_whitespace().collect()
    };
    assert_eq!(listed("text filters"), filters::names().collect::<Vec<_>>());
    assert_eq!(listed("text tags"), syntax::tag_names());
}

#[test]
fn the_guide_says_which_filters_fail_and_on_what() {
    let mut failing: Vec<(String, Vec<String>)> = Vec::new();
    for filter in filters::names().filter_map(filters::find) {
        let what = match filter.fails {
            filters::Fails::Never => continue,
            filters::Fails::Input(what) | filters::Fails::Argument(what) => what.to_owned(),
            filters::Fails::Property(what) => format!("{what}, if a property is named"),
        };
        let name = format!("`{}`", filter.name);
        match failing.iter_mut().find(|(known, _)| *known == what) {
            Some((_, names)) => names.push(name),
            None => failing.push((what, vec![name])),
        }
    }
    let mut table = String::from("| filters | fail on |\n|---|---|\n");
    for (what, names) in failing {
        writeln!(table, "| {} | {what} |", names.join(", ")).unwrap();
    }
    assert!(GUIDE.contains(&table), "the guide lacks\n{table}");
}

#[test]
fn the_limits_of_the_guide_are_those_of_the_code() {
    let rows: &[(&str, u64)] = &[
        ("bytes of one template", syntax::TEMPLATE_BYTES as u64),
        (
            "bytes of a template with its partials",
            limits::ALL_BYTES as u64,
        ),
        ("partials of one template", limits::PARTIALS as u64),
        (
            "tags, outputs and pieces of text of one file",
            syntax::NODES as u64,
        ),
        (
            "blocks within each other in one file",
            syntax::NESTING as u64,
        ),
        ("words of one tag", syntax::TOKENS as u64),
        ("bytes of one name", syntax::NAME_BYTES as u64),
        ("filters on one value", syntax::FILTERS as u64),
        ("steps of one render", limits::STEPS),
        ("bytes read and made in one render", limits::BYTES),
        (
            "bytes of text and arrays made in one render",
            limits::MADE_BYTES,
        ),
        ("numbers of one range", limits::RANGE as u64),
        (
            "bytes of one captured or filtered text",
            limits::VALUE_BYTES as u64,
        ),
        ("bytes of one `json` block", limits::JSON_BLOCK_BYTES as u64),
        (
            "blocks and partials within each other in a render",
            limits::DEPTH as u64,
        ),
        ("partials within each other", limits::PARTIAL_DEPTH as u64),
        (
            "arrays and objects within each other in the output",
            ingate::template::OUTPUT_DEPTH as u64,
        ),
        ("groups of `cycle`", limits::CYCLES as u64),
        (
            "arguments of one call of a partial",
            limits::CALL_ARGUMENTS as u64,
        ),
    ];
    let (_, table) = GUIDE.split_once("\n## Limits\n").unwrap();
    let listed: Vec<(&str, u64)> = table
        .lines()
        .filter_map(|line| {
            let (what, most) = line
                .strip_prefix("| ")?
                .strip_suffix(" |")?
                .split_once(" | ")?;
            Some((what, most.replace(',', "").parse().ok()?))
        })
        .collect();
    assert_eq!(listed, rows);
}
