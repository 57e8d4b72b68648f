//! What must hold for every template and payload. Each check panics with the template and the payload in its message.

use std::collections::HashSet;
use std::fmt;

use ingate::json::Document;
use ingate::template::{
    Cause, EventFacts, Payload, Proof, RenderLimits, Rendered, Scene, Template, TemplateError,
    Verdict,
};
use jiff::Timestamp;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value, json};

use super::maker::Sample;

/// Bytes of output: more than a sound template makes here, and soon reached by those that swell.
const OUTPUT: usize = 1 << 20;
/// Bytes of output for the render that is to end at its limit.
const SMALL_OUTPUT: usize = 60;
/// How many places a proof tells at most; with so many there may be others.
const PLACES: usize = 20;
/// What serde_json calls a number while it is read with all of its digits.
const NUMBER: &str = "$serde_json::private::Number";

/// What was seen, so that a run can be judged.
#[derive(Debug, Default, Clone)]
pub struct Figures {
    pub templates: u64,
    pub refused: u64,
    pub proven: u64,
    pub mended: u64,
    pub checked: u64,
    pub never: u64,
    /// Proven for what is not too large to follow, or all places of failure known.
    pub sure: u64,
    pub renders: u64,
    pub whole: u64,
    pub output_errors: u64,
    pub other_errors: u64,
    pub examples: u64,
    pub swaps: u64,
}

impl Figures {
    /// Adds those of another run.
    #[allow(dead_code)]
    pub fn add(&mut self, other: &Self) {
        self.templates += other.templates;
        self.refused += other.refused;
        self.proven += other.proven;
        self.mended += other.mended;
        self.checked += other.checked;
        self.never += other.never;
        self.sure += other.sure;
        self.renders += other.renders;
        self.whole += other.whole;
        self.output_errors += other.output_errors;
        self.other_errors += other.other_errors;
        self.examples += other.examples;
        self.swaps += other.swaps;
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} templates: {} proven, {} with repairs, {} checked at run time ({} with all places known), {} never valid, \
             {} refused; {} renders: {} whole, {} failed in the writer, {} otherwise; {} counter-examples; {} swaps",
            self.templates,
            self.proven,
            self.mended,
            self.checked,
            self.sure,
            self.never,
            self.refused,
            self.renders,
            self.whole,
            self.output_errors,
            self.other_errors,
            self.examples,
            self.swaps
        )
    }
}

/// A template that compiles, with its proof.
pub struct Subject<'s> {
    sample: &'s Sample,
    template: Template,
    proof: Proof,
    /// Whether the proof names every place that can fail.
    sure: bool,
}

impl<'s> Subject<'s> {
    /// Compiles and proves; `None` if the syntax is refused.
    pub fn new(sample: &'s Sample, figures: &mut Figures) -> Option<Self> {
        figures.templates += 1;
        let template = match Template::compile("t", &sample.text, sample) {
            Ok(template) => template,
            Err(error) => {
                figures.refused += 1;
                assert!(!error.pretty().is_empty(), "{}", sample.text);
                return None;
            }
        };
        let mut proof = template.prove();
        template.seek_examples(&mut proof);
        match proof.verdict {
            Verdict::Proven => figures.proven += 1,
            Verdict::ProvenWithRepairs => figures.mended += 1,
            Verdict::CheckedAtRunTime => figures.checked += 1,
            Verdict::NeverValid => figures.never += 1,
        }
        // Ways that differ in their keys alone are followed as one, and keys from data can collide anywhere; limits and
        // what is too large to follow are no findings of the writer.
        // What `ifchanged` prints late is placed in the file that it stands in.
        let sure = proof.findings.len() < PLACES
            && !sample.text.contains("ifchanged")
            && proof.findings.iter().all(|finding| {
                let error = &finding.error;
                error.cause == Cause::Output
                    && !error.message.contains("key from data")
                    && !error.message.contains("comes twice")
                    && !error.message.contains("no way through")
            });
        if sure && proof.verdict == Verdict::CheckedAtRunTime {
            figures.sure += 1;
        }
        for finding in &proof.findings {
            let _ = finding.told_way();
            if let Some(payload) = &finding.counter_example {
                figures.examples += 1;
                assert!(
                    render(&template, payload, OUTPUT).is_err(),
                    "this is no counter-example\n{}\n{payload}",
                    told(sample)
                );
            }
        }
        Some(Self {
            sample,
            template,
            proof,
            sure,
        })
    }

    /// The verdict.
    pub fn verdict(&self) -> Verdict {
        self.proof.verdict
    }

    /// Renders, holds the outcome to the proof, and gives the skeleton of what comes out.
    pub fn holds(&self, payload: &Value, figures: &mut Figures) -> Result<Skeleton, TemplateError> {
        figures.renders += 1;
        let rendered = render(&self.template, payload, OUTPUT);
        match rendered {
            Ok(rendered) => {
                figures.whole += 1;
                Ok(self.whole(payload, &rendered))
            }
            Err(error) => {
                if error.cause == Cause::Output {
                    figures.output_errors += 1;
                    self.may_fail(payload, &error);
                } else {
                    figures.other_errors += 1;
                }
                Err(error)
            }
        }
    }

    /// What was rendered is JSON, with no more mended than the proof says.
    fn whole(&self, payload: &Value, rendered: &Rendered) -> Skeleton {
        let body = String::from_utf8_lossy(&rendered.body);
        let case = || format!("{}\n{payload}\n{body}", self.case());
        assert!(
            serde_json::from_slice::<Value>(&rendered.body).is_ok(),
            "what is rendered does not parse\n{}",
            case()
        );
        let skeleton = Skeleton::of(&rendered.body)
            .unwrap_or_else(|error| panic!("what is rendered is odd: {error}\n{}", case()));
        match self.proof.verdict {
            Verdict::Proven => assert!(
                rendered.repairs.is_empty(),
                "a proven template was mended: {:?}\n{}",
                rendered.repairs,
                case()
            ),
            Verdict::ProvenWithRepairs => {
                for repair in &rendered.repairs {
                    // Ways that differ only in which comma is too many are followed as one: one place is told.
                    let told = self
                        .proof
                        .repairs
                        .iter()
                        .any(|told| told.message == repair.what);
                    assert!(told, "the proof does not tell of {repair:?}\n{}", case());
                }
            }
            Verdict::CheckedAtRunTime => {}
            Verdict::NeverValid => panic!("never valid, and yet it is\n{}", case()),
        }
        skeleton
    }

    /// The writer refused: the proof must have said so, and where.
    fn may_fail(&self, payload: &Value, error: &TemplateError) {
        let case = || format!("{}\n{payload}\n{}", self.case(), error.pretty());
        match self.proof.verdict {
            Verdict::Proven | Verdict::ProvenWithRepairs => {
                panic!("the writer refuses what is proven\n{}", case())
            }
            Verdict::NeverValid | Verdict::CheckedAtRunTime if self.sure => {
                let told = self
                    .proof
                    .findings
                    .iter()
                    .any(|f| (&f.error.path, f.error.offset) == (&error.path, error.offset));
                assert!(told, "the proof does not tell of this place\n{}", case());
            }
            Verdict::NeverValid | Verdict::CheckedAtRunTime => {}
        }
    }

    /// Limits of the output end a render with an error of their own; the same render gives the same; plain text is
    /// rendered without a panic.
    pub fn behaves(&self, payload: &Value) {
        // As an event has it, and as a trial has it.
        let document = Document::parse(payload.to_string().as_bytes()).unwrap();
        let payload = &document.root().to_value();
        let limited = render(&self.template, document.root(), SMALL_OUTPUT);
        let again = render(&self.template, payload, SMALL_OUTPUT);
        assert_eq!(limited, again, "{}\n{payload}", self.case());
        match limited {
            Ok(rendered) => assert!(rendered.body.len() <= SMALL_OUTPUT, "{}", self.case()),
            Err(error) => assert!(
                error.cause == Cause::Template || !self.is_proven(),
                "{}\n{payload}\n{}",
                self.case(),
                error.pretty()
            ),
        }
        if let Ok(text) = Template::compile_text("t", &self.sample.text, self.sample) {
            let limits = RenderLimits {
                output_bytes: OUTPUT,
            };
            let _ = text.render_text(&json!({"payload": payload}), limits);
        }
    }

    /// Other text in the strings of the payload changes the text in strings of the output, nothing else.
    pub fn is_calm(&self, payload: &Value, hostile: &Value, figures: &mut Figures) {
        let Ok(plain) = self.holds(payload, figures) else {
            return;
        };
        figures.swaps += 1;
        let case = || format!("{}\n{payload}\n{hostile}", self.case());
        match self.holds(hostile, figures) {
            Ok(swapped) => assert!(
                plain == swapped,
                "text changed the skeleton\n{plain:?}\n{swapped:?}\n{}",
                case()
            ),
            Err(error) => panic!("text made it fail: {}\n{}", error.pretty(), case()),
        }
    }

    fn is_proven(&self) -> bool {
        matches!(
            self.proof.verdict,
            Verdict::Proven | Verdict::ProvenWithRepairs
        )
    }

    fn case(&self) -> String {
        format!("{}: {}", self.proof.verdict, told(self.sample))
    }
}

/// The template with those of its partials that it can reach.
fn told(sample: &Sample) -> String {
    let mut told = sample.text.clone();
    for (name, text) in &sample.partials {
        if told.contains(&format!("'{name}'")) || told.contains(&format!("\"{name}\"")) {
            told.push_str(&format!("\n  partial {name}: {text}"));
        }
    }
    told
}

/// Renders with this payload, everything else being plain.
fn render<'a>(
    template: &Template,
    payload: impl Into<Payload<'a>>,
    limit: usize,
) -> Result<Rendered, TemplateError> {
    let vars = Map::new();
    let scene = Scene {
        payload: payload.into(),
        event: EventFacts {
            id: "evt_1",
            message_id: None,
            source: "source",
            event_type: "type",
            received_at: Timestamp::UNIX_EPOCH,
        },
        headers: &[],
        route: "route",
        target: "target",
        vars: &vars,
    };
    let limits = RenderLimits {
        output_bytes: limit,
    };
    template.render(&scene, limits)
}

/// JSON without its text: kinds, keys in their order, lengths. Reading it refuses a key that comes twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Skeleton {
    Null,
    Bool,
    Number,
    Text,
    Array(Vec<Skeleton>),
    Object(Vec<(String, Skeleton)>),
}

impl Skeleton {
    fn of(body: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(body)
    }
}

impl<'de> Deserialize<'de> for Skeleton {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Bones)
    }
}

struct Bones;

impl<'de> Visitor<'de> for Bones {
    type Value = Skeleton;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Skeleton, E> {
        Ok(Skeleton::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Skeleton, E> {
        Ok(Skeleton::Bool)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Skeleton, E> {
        Ok(Skeleton::Number)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Skeleton, E> {
        Ok(Skeleton::Number)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Skeleton, E> {
        Ok(Skeleton::Number)
    }

    fn visit_str<E>(self, _: &str) -> Result<Skeleton, E> {
        Ok(Skeleton::Text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Skeleton, A::Error> {
        let mut bones = Vec::new();
        while let Some(item) = items.next_element()? {
            bones.push(item);
        }
        Ok(Skeleton::Array(bones))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Skeleton, A::Error> {
        let mut bones: Vec<(String, Skeleton)> = Vec::new();
        let mut known = HashSet::new();
        while let Some(key) = members.next_key::<String>()? {
            if key == NUMBER {
                members.next_value::<de::IgnoredAny>()?;
                return Ok(Skeleton::Number);
            }
            if !known.insert(key.clone()) {
                return Err(de::Error::custom(format!("the key {key:?} comes twice")));
            }
            bones.push((key, members.next_value()?));
        }
        Ok(Skeleton::Object(bones))
    }
}
