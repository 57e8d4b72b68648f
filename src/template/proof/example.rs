//! Counter-examples: payloads made from the decisions of a way, kept only if they really fail.

use jiff::Timestamp;
use serde_json::{Map, Number, Value, json};

use super::state::{Hint, Known};
use super::{Finding, Proof, Verdict};
use crate::template::render::json_briefly;
use crate::template::writer::Writer;
use crate::template::{Cause, EventFacts, Scene, Template, TemplateError};

/// Most findings for which one is sought: each costs some renders.
const SOUGHT: usize = 5;
/// Most values in such a payload: nested loops double them at each level.
const VALUES: usize = 10_000;

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
                .find(|payload| fails(template, payload, finding))
        })
        .collect();
    for (finding, example) in proof.findings.iter_mut().zip(examples) {
        finding.counter_example = example;
    }
}

/// Whether a render with this payload fails as the finding says.
fn fails(template: &Template, payload: &Value, finding: &Finding) -> bool {
    let Err(error) = render(template, payload) else {
        return false;
    };
    let wanted = &finding.error;
    match finding.of_key {
        true => error.path == wanted.path && Writer::is_of_key(&error.message),
        false => {
            error.cause == Cause::Output
                && (&error.path, error.offset) == (&wanted.path, wanted.offset)
        }
    }
}

/// Renders with this payload, everything else being plain.
fn render(template: &Template, payload: &Value) -> Result<(), TemplateError> {
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
        vars: &Map::new(),
    };
    json_briefly(&template.compiled, &scene, usize::MAX).map(|_| ())
}

/// Payloads that may take the way of these hints: with items of several kinds, with loops run as often as on the way and
/// at least twice, and over an object whose `size` lies.
fn candidates(hints: &[Hint]) -> Vec<Value> {
    let mut candidates = Vec::new();
    let liar = json!({"size": 0, "first": null});
    for least in [0, 2] {
        for item in [json!({}), json!("x"), json!(1)] {
            let listed = |count: usize| Value::Array(vec![item.clone(); count.max(least)]);
            add_candidate(&mut candidates, hints, &item, &listed);
        }
        let lying = |count: usize| match count.max(least) {
            0 => json!([]),
            _ => liar.clone(),
        };
        add_candidate(&mut candidates, hints, &json!({}), &lying);
    }
    candidates.push(Value::Null);
    candidates
}

fn add_candidate(
    candidates: &mut Vec<Value>,
    hints: &[Hint],
    item: &Value,
    rounds: &dyn Fn(usize) -> Value,
) {
    let mut payload = json!({});
    let mut left = VALUES;
    for hint in hints {
        let (source, value) = match hint {
            Hint::Set(source, true) => (source, item.clone()),
            Hint::Set(source, false) => (source, Value::Null),
            Hint::Is(source, known) => {
                let value = match known {
                    Known::Bool(b) => json!(b),
                    Known::Int(int) => Value::Number(Number::from(*int)),
                    Known::Str(text) => json!(text),
                    _ => Value::Null,
                };
                (source, value)
            }
            Hint::Rounds(source, 0) => (source, json!([])),
            Hint::Rounds(source, count) => (source, rounds(*count)),
        };
        set(&mut payload, source, &value, &mut left);
    }
    if left > 0 && !candidates.contains(&payload) {
        candidates.push(payload);
    }
}

/// Sets what a source leads to; what is in the way and no object becomes one.
/// `left` is how many values may still be set.
fn set(at: &mut Value, source: &[Option<String>], value: &Value, left: &mut usize) {
    let Some((step, rest)) = source.split_first() else {
        *left = left.saturating_sub(1);
        if *left > 0 {
            *at = value.clone();
        }
        return;
    };
    match step {
        None => {
            if let Value::Array(items) = at {
                for item in items {
                    set(item, rest, value, left);
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
                    left,
                );
            }
        }
    }
}
