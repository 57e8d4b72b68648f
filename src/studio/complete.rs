//! What a template can name over a sample, for an editor to complete from. The shapes are those of the API.
//!
//! Bounded: a payload may have any number of members, with names of any length.

use std::collections::VecDeque;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::StudioError;
use super::render::SAMPLE;
use super::subject::{Ready, Subject};
use crate::cloudevents;
use crate::plan::Plan;
use crate::template::{filters, is_word, syntax};

/// Most paths that are told, the shortest ones.
const PATHS: usize = 2_000;

/// Most bytes of a path; nobody picks a longer one from a list.
const PATH_BYTES: usize = 500;

/// Most characters of an example.
const EXAMPLE: usize = 120;

/// What a template can name.
#[derive(Debug, Serialize)]
pub struct Completion {
    /// Of `payload`, `event`, `headers`, `vars`, `route`, `target`.
    pub paths: Vec<CompletionPath>,
    /// Whether there are more paths.
    pub more: bool,
    /// All filters.
    pub filters: Vec<&'static str>,
    /// All tags.
    pub tags: Vec<&'static str>,
}

/// A path as it is written in a template.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct CompletionPath {
    /// The path.
    pub path: String,
    /// What stands there: `null`, `boolean`, `number`, `string`, `array` or `object`.
    pub kind: &'static str,
    /// What stands there as JSON text, cut; `None` for arrays and objects.
    pub example: Option<String>,
}

/// What can be named over a sample.
pub(super) fn complete(plan: &Plan, subject: &Subject) -> Result<Completion, StudioError> {
    let ready = subject.ready(plan)?;
    let (event, headers) = (event(&ready), headers(&ready));
    let vars = Value::Object(plan.vars.clone());
    let sample = Value::from(SAMPLE);
    let roots = [
        ("payload", &ready.payload),
        ("event", &event),
        ("headers", &headers),
        ("vars", &vars),
        ("route", &sample),
        ("target", &sample),
    ];
    let (paths, more) = walk(roots);
    Ok(Completion {
        paths,
        more,
        filters: filters::names().collect(),
        tags: syntax::tag_names().to_vec(),
    })
}

fn event(ready: &Ready) -> Value {
    let id = ready.event.id().to_string();
    let facts = ready.event.facts(&id);
    let headers = ready.event.parts().headers.iter();
    let headers = headers.map(|(name, value)| (name.as_str(), value.as_str()));
    json!({
        "id": facts.id,
        "message_id": facts.message_id,
        "source": facts.source,
        "type": facts.event_type,
        "received_at": facts.received_at.to_string(),
        "cloudevent": cloudevents::attributes(headers).map(|attributes| {
            let attributes = attributes.into_iter();
            attributes.map(|(name, value)| (name.to_owned(), Value::from(value.into_owned())))
                .collect::<Map<String, Value>>()
        }),
    })
}

fn headers(ready: &Ready) -> Value {
    let mut members: Map<String, Value> = Map::new();
    for (name, value) in &ready.event.parts().headers {
        // As templates see one that is repeated.
        let text = match members.get(name).and_then(Value::as_str) {
            Some(known) => format!("{known}, {value}"),
            None => value.clone(),
        };
        members.insert(name.clone(), Value::from(text));
    }
    Value::Object(members)
}

/// Walks breadth first, so that what is near the root is not crowded out; of an array into the first item.
fn walk<'v>(roots: impl IntoIterator<Item = (&'v str, &'v Value)>) -> (Vec<CompletionPath>, bool) {
    let mut due: VecDeque<(String, &Value)> = roots
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    let mut paths = Vec::new();
    let mut more = false;
    while let Some((path, value)) = due.pop_front() {
        // What waits is told as well, so no more than that need be looked at.
        let mut room = PATHS.saturating_sub(paths.len() + due.len() + 1);
        let mut add = |inner: Option<String>, value| match inner {
            Some(inner) if room > 0 && inner.len() <= PATH_BYTES => {
                room -= 1;
                due.push_back((inner, value));
            }
            _ => more = true,
        };
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    add(member(&path, name), value);
                }
            }
            Value::Array(items) => {
                if let Some(first) = items.first() {
                    add(Some(format!("{path}[0]")), first);
                }
            }
            _ => {}
        }
        let (kind, example) = of_value(value);
        paths.push(CompletionPath {
            path,
            kind,
            example,
        });
    }
    (paths, more)
}

/// The path of a member; `None` if no template can name it.
fn member(path: &str, name: &str) -> Option<String> {
    if name.len() > PATH_BYTES {
        return None;
    }
    if is_word(name) {
        return Some(format!("{path}.{name}"));
    }
    // Texts have no escapes, so it takes quotes that do not stand in the name.
    let quote = ['"', '\''].into_iter().find(|q| !name.contains(*q))?;
    Some(format!("{path}[{quote}{name}{quote}]"))
}

fn of_value(value: &Value) -> (&'static str, Option<String>) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => return ("array", None),
        Value::Object(_) => return ("object", None),
    };
    let text = value.to_string();
    let cut = match text.char_indices().nth(EXAMPLE) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    };
    (kind, Some(cut))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::{EventFacts, NoPartials, RenderLimits, Scene, Template};

    fn over(payload: &Value) -> (Vec<CompletionPath>, bool) {
        walk([("payload", payload)])
    }

    #[test]
    fn paths_are_told_as_a_template_writes_them() {
        let payload = json!({
            "data": {"items": [{"id": 7, "a b": null}, {"other": 1}], "x-y": true},
            "it's": "é".repeat(200), "\"": 1, "both\"'": 2, "": 3, "1st": {},
        });
        let (paths, more) = over(&payload);
        assert!(more, "one of them no template can name");
        let told: Vec<&str> = paths.iter().map(|path| path.path.as_str()).collect();
        assert_eq!(
            told,
            [
                "payload",
                "payload.data",
                "payload[\"it's\"]",
                "payload['\"']",
                "payload[\"\"]",
                "payload[\"1st\"]",
                "payload.data.items",
                "payload.data.x-y",
                "payload.data.items[0]",
                "payload.data.items[0].id",
                "payload.data.items[0][\"a b\"]",
            ]
        );
        for path in &paths {
            // Each is what a template gets by it.
            let text = format!("{{{{ {} }}}}", path.path);
            let template = Template::compile("t", &text, &NoPartials).unwrap();
            let scene = Scene {
                payload: (&payload).into(),
                event: EventFacts {
                    id: "",
                    message_id: None,
                    source: "",
                    event_type: "",
                    received_at: jiff::Timestamp::UNIX_EPOCH,
                },
                headers: &[],
                route: "",
                target: "",
                vars: &Map::new(),
            };
            let limits = RenderLimits { output_bytes: 9999 };
            let body = template.render(&scene, limits).unwrap().body;
            let got: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(
                of_value(&got),
                (path.kind, path.example.clone()),
                "{path:?}"
            );
        }
        let long = paths[2].example.as_deref().unwrap();
        assert_eq!(long.chars().count(), EXAMPLE + 1);
    }

    #[test]
    fn a_large_payload_is_bounded() {
        let members: Map<String, Value> = (0..9000)
            .map(|n| (format!("m{n}"), json!([[[n]]])))
            .collect();
        let (paths, more) = over(&Value::Object(members));
        assert_eq!((paths.len(), more), (PATHS, true));
        let mut deep = json!(1);
        for _ in 0..100 {
            deep = json!({ "n".repeat(50): deep });
        }
        let (paths, more) = over(&deep);
        assert!(more && paths.len() < 12);
        assert_eq!(over(&json!([])).0.len(), 1);
    }
}
