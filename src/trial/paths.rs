//! Which paths that a template reads are in no sample.
//!
//! A path is in a sample if its members are there, whatever they hold. Lenient: what may mean several things in Liquid
//! counts as there. Not here: which paths a template reads (see `template`).

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::template::{Read, Step, nearest};

/// Most items of an array, or members of an object, that are looked into for a path that leads through any of them.
const LOOKED_INTO: usize = 1_000;

/// A path that no sample has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing<'r> {
    /// Where it is read.
    pub read: &'r Read,
    /// The path as far as it is missing: its last step is the first that is not there.
    pub path: Vec<Step>,
    /// What was likely meant.
    pub near: Option<Vec<Step>>,
}

/// The paths that none of these payloads has, each once.
#[must_use]
pub fn missing<'r>(reads: &'r [Read], payloads: &[&Value]) -> Vec<Missing<'r>> {
    let mut told = HashSet::new();
    let missing = reads.iter().filter_map(|read| {
        let there = |path: &Vec<Step>| payloads.iter().any(|payload| is_there(payload, path));
        if read.paths.iter().any(there) {
            return None;
        }
        let path = read.paths.first()?;
        let known = (0..path.len())
            .rev()
            .find(|length| there(&path.iter().take(*length).cloned().collect()))?;
        let path: Vec<Step> = path.iter().take(known + 1).cloned().collect();
        let (last, before) = path.split_last()?;
        let near = match last {
            Step::Member(name) => near(name, before, payloads),
            Step::Index(_) | Step::Each => None,
        };
        told.insert(path.clone())
            .then_some(Missing { read, path, near })
    });
    missing.collect()
}

/// The path to the member that has nearly this name.
fn near(name: &str, before: &[Step], payloads: &[&Value]) -> Option<Vec<Step>> {
    let mut known: Vec<&str> = Vec::new();
    for payload in payloads {
        for found in follow(payload, before) {
            if let Found::Json(Value::Object(members)) = found {
                known.extend(members.keys().map(String::as_str));
            }
        }
    }
    let mut path = before.to_vec();
    path.push(Step::Member(nearest(name, known)?.to_owned()));
    Some(path)
}

fn is_there(payload: &Value, path: &[Step]) -> bool {
    !follow(payload, path).is_empty()
}

/// What a path may lead to.
#[derive(Debug, Clone, Copy)]
enum Found<'a> {
    Json(&'a Value),
    /// A pair of an object, as loops run through them.
    Pair(&'a Map<String, Value>),
    /// Something that is made: a size, a key.
    Made,
}

fn follow<'a>(payload: &'a Value, path: &[Step]) -> Vec<Found<'a>> {
    let mut found = vec![Found::Json(payload)];
    for step in path {
        let mut next = Vec::new();
        for at in found {
            if next.len() >= LOOKED_INTO {
                break;
            }
            take(at, step, &mut next);
        }
        found = next;
    }
    found
}

fn take<'a>(at: Found<'a>, step: &Step, next: &mut Vec<Found<'a>>) {
    let value = match at {
        Found::Json(value) => value,
        Found::Made => return,
        Found::Pair(members) => return take_of_pair(members, step, next),
    };
    match (value, step) {
        (Value::Object(members), Step::Member(name)) => match (members.get(name), name.as_str()) {
            (Some(member), _) => next.push(Found::Json(member)),
            (None, "first" | "last") if !members.is_empty() => next.push(Found::Pair(members)),
            (None, "size") => next.push(Found::Made),
            (None, _) => {}
        },
        (Value::Object(members), Step::Index(index)) => {
            next.extend(members.get(&index.to_string()).map(Found::Json));
        }
        // What may be any member, and what filters do with an object: they take it as a list of one.
        (Value::Object(members), Step::Each) => {
            next.push(Found::Json(value));
            if !members.is_empty() {
                next.push(Found::Pair(members));
            }
            next.extend(members.values().take(LOOKED_INTO).map(Found::Json));
        }
        (Value::Array(items), Step::Member(name)) => match name.as_str() {
            "first" => next.extend(items.first().map(Found::Json)),
            "last" => next.extend(items.last().map(Found::Json)),
            "size" => next.push(Found::Made),
            _ => {}
        },
        (Value::Array(items), Step::Index(index)) => {
            next.extend(nth(items, *index).map(Found::Json));
        }
        // Filters run through the items of arrays within the array, too.
        (Value::Array(items), Step::Each) => {
            for item in items.iter().take(LOOKED_INTO) {
                next.push(Found::Json(item));
                if let Value::Array(inner) = item {
                    next.extend(inner.iter().take(LOOKED_INTO).map(Found::Json));
                }
            }
        }
        (Value::String(_), Step::Member(name)) if name == "size" => next.push(Found::Made),
        // A text is run through once, as a whole.
        (Value::String(_), Step::Each) => next.push(Found::Made),
        (Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_), _) => {}
    }
}

fn take_of_pair<'a>(members: &'a Map<String, Value>, step: &Step, next: &mut Vec<Found<'a>>) {
    let values = members.values().take(LOOKED_INTO).map(Found::Json);
    match step {
        Step::Index(0 | -2) => next.push(Found::Made),
        Step::Index(1 | -1) => next.extend(values),
        Step::Member(name) => match name.as_str() {
            "first" | "size" => next.push(Found::Made),
            "last" => next.extend(values),
            _ => {}
        },
        Step::Each => {
            next.push(Found::Made);
            next.extend(values);
        }
        Step::Index(_) => {}
    }
}

fn nth(items: &[Value], index: i64) -> Option<&Value> {
    let index = match usize::try_from(index) {
        Ok(index) => index,
        Err(_) => items
            .len()
            .checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?,
    };
    items.get(index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::{NoPartials, ShownPath, Template};
    use serde_json::json;

    #[test]
    fn what_no_sample_has_is_told_once_with_what_is_near() {
        let vendor = json!({
            "vendor": {"phone": null, "name": "A", "tags": ["a", "b"]},
            "items": [{"id": 1}, {"id": 2, "note": {"text": "x"}}],
            "rows": [[{"a": 1}]],
            "none": [],
            "text": "abc",
            "map": {"k": {"v": 1}},
        });
        let other = json!({"only": {"here": 1}, "none": 5});
        #[rustfmt::skip]
        let rows: &[(&str, &[&str])] = &[
            ("{{ payload.vendor.phone }}{{ payload.only.here }}{{ payload.items }}", &[]),
            ("{{ payload.vendor.phonee }}", &["payload.vendor.phonee, near payload.vendor.phone"]),
            ("{{ payload.vendr.name }}{{ payload.vendr.phone }}", &["payload.vendr, near payload.vendor"]),
            ("{{ payload.vendor.phone.area.code }}", &["payload.vendor.phone.area"]),
            ("{{ payload.text.size }}{{ payload.items.size }}{{ payload.vendor.size }}", &[]),
            ("{{ payload.items.first.id }}{{ payload.items.last.note.text }}{{ payload.items[1].note }}{{ payload.items[-1].note }}", &[]),
            ("{{ payload.items.first.note }}", &["payload.items.first.note"]),
            ("{{ payload.items[2].id }}{{ payload.items[0].idd }}", &["payload.items[2]", "payload.items[0].idd, near payload.items[0].id"]),
            ("{% for i in payload.items %}{{ i.note.text }}{{ i.nota }}{% endfor %}", &["payload.items[].nota, near payload.items[].note"]),
            ("{% for i in payload.none %}{{ i.a }}{{ i.b }}{% endfor %}", &["payload.none[]"]),
            ("{% for p in payload.map %}{{ p[0] }}{{ p[1].v }}{{ p[1].w }}{{ p.last.v }}{% endfor %}", &["payload.map[][1].w"]),
            ("{% for r in payload.rows %}{% for c in r %}{{ c.a }}{% endfor %}{% endfor %}", &[]),
            ("{{ payload.items | map: 'id' }}{{ payload.items | where: 'ide', 1 }}", &["payload.items[].ide, near payload.items[].id"]),
            ("{{ payload.vendor | map: 'name' }}{{ payload.map[payload.text].v }}", &[]),
            ("{% for c in payload.text %}{{ c }}{% endfor %}", &[]),
            ("{% assign v = payload.only | default: payload.vendor %}{{ v.name }}{{ v.here }}{{ v.neither }}", &["payload.only.neither"]),
        ];
        for (text, wanted) in rows {
            let template = Template::compile_text("t", text, &NoPartials).unwrap();
            let reads = template.reads();
            let told: Vec<String> = missing(&reads, &[&vendor, &other])
                .iter()
                .map(|missing| match &missing.near {
                    Some(near) => format!("{}, near {}", ShownPath(&missing.path), ShownPath(near)),
                    None => ShownPath(&missing.path).to_string(),
                })
                .collect();
            assert_eq!(told, *wanted, "{text}");
        }
    }
}
