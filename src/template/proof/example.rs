//! Counter-examples: payloads made from the decisions of a way, kept only if they really fail.

use jiff::Timestamp;
use serde_json::{Map, Number, Value, json};

use super::state::{Hint, Known};
use super::{Proof, Verdict};
use crate::template::{EventFacts, RenderLimits, Rendered, Scene, Template, TemplateError};

/// Most findings for which one is sought: each costs some renders.
const SOUGHT: usize = 5;
/// Most bytes that such a render prints.
const OUTPUT: usize = 1 << 20;

/// Adds counter-examples to a template's proof where they can be found.
pub fn add(template: &Template, proof: &mut Proof) {
    if proof.verdict != Verdict::CheckedAtRunTime {
        return;
    }
    let examples: Vec<Option<Value>> = proof
        .findings
        .iter()
        .take(SOUGHT)
        .map(|finding| {
            candidates(&finding.hints)
                .into_iter()
                .find(|payload| fails_at(template, payload, &finding.error))
        })
        .collect();
    for (finding, example) in proof.findings.iter_mut().zip(examples) {
        finding.counter_example = example;
    }
}

/// Whether a render with this payload fails at this place.
fn fails_at(template: &Template, payload: &Value, wanted: &TemplateError) -> bool {
    let same = |error: TemplateError| (&error.path, error.offset) == (&wanted.path, wanted.offset);
    render(template, payload).is_err_and(same)
}

/// Renders with this payload, everything else being plain.
pub(super) fn render(template: &Template, payload: &Value) -> Result<Rendered, TemplateError> {
    let scene = Scene {
        payload,
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
        vars: &Map::new(),
    };
    let limits = RenderLimits {
        output_bytes: OUTPUT,
    };
    template.render(&scene, limits)
}

fn candidates(hints: &[Hint]) -> Vec<Value> {
    let mut candidates = Vec::new();
    for item in [json!({}), json!("x"), json!(1)] {
        let mut payload = json!({});
        for hint in hints {
            match hint {
                Hint::Set(source, true) => set(&mut payload, source, &json!("x")),
                Hint::Set(source, false) => set(&mut payload, source, &Value::Null),
                Hint::Is(source, known) => {
                    let value = match known {
                        Known::Bool(b) => json!(b),
                        Known::Int(int) => Value::Number(Number::from(*int)),
                        Known::Str(text) => json!(text),
                        Known::Nothing | Known::Odd | Known::Truthy | Known::Nil => Value::Null,
                    };
                    set(&mut payload, source, &value);
                }
                Hint::Rounds(source, count) => {
                    set(
                        &mut payload,
                        source,
                        &Value::Array(vec![item.clone(); *count]),
                    );
                }
            }
        }
        if !candidates.contains(&payload) {
            candidates.push(payload);
        }
    }
    candidates.push(Value::Null);
    candidates
}

/// Sets what a source leads to; what is in the way and no object becomes one.
fn set(at: &mut Value, source: &[Option<String>], value: &Value) {
    let Some((step, rest)) = source.split_first() else {
        *at = value.clone();
        return;
    };
    match step {
        None => {
            if let Value::Array(items) = at {
                for item in items {
                    set(item, rest, value);
                }
            }
        }
        Some(name) => {
            if !at.is_object() {
                *at = Value::Object(Map::new());
            }
            if let Value::Object(members) = at {
                set(
                    members.entry(name.clone()).or_insert(Value::Null),
                    rest,
                    value,
                );
            }
        }
    }
}
