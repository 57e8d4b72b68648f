//! Payloads: out of the names, strings and numbers that a template's text holds, so that its branches are really taken;
//! and payloads that differ in the text of their strings only.

use std::str::FromStr;

use serde_json::{Map, Number, Value, json};

use super::Maker;

/// Text that tries to leave its string, or to become more than text.
const HOSTILE: [&str; 14] = [
    "\",\"admin\":true,\"x\":\"",
    "\"",
    "\\",
    "\\\"",
    "\r\n\t\u{0}\u{1}\u{7f}",
    "\u{2028}\u{2029}\u{feff}",
    "{{ payload }}{% endfor %}",
    "]}",
    "}, {",
    "null",
    "\\u0022",
    "</script>&amp;'",
    "\u{1f600}\u{fffd}\u{10ffff}e\u{301}",
    "12",
];

/// Numbers at and past what machines count with.
const NUMBERS: [&str; 13] = [
    "0",
    "1",
    "2",
    "3",
    "-1",
    "-5",
    "1.5",
    "-0.0",
    "0.10",
    "18446744073709551616",
    "123456789012345678901234567890.123",
    "1e400",
    "1E-7",
];

/// What a template's text names.
#[derive(Debug, Default)]
pub struct Vocabulary {
    paths: Vec<Vec<String>>,
    members: Vec<String>,
    texts: Vec<String>,
}

impl Vocabulary {
    /// Reads the paths of `payload`, all names of members and all short strings in the text.
    pub fn of(text: &str) -> Self {
        let mut words = Self::default();
        let name = |rest: &str| -> String {
            let end = |c: char| !(c.is_alphanumeric() || c == '_' || c == '-');
            rest[..rest.find(end).unwrap_or(rest.len())].to_owned()
        };
        for (at, _) in text.match_indices("payload.") {
            let mut rest = &text[at + "payload".len()..];
            let mut path = Vec::new();
            while let Some(after) = rest.strip_prefix('.') {
                let step = name(after);
                rest = &after[step.len()..];
                path.push(step);
            }
            if !words.paths.contains(&path) {
                words.paths.push(path);
            }
        }
        for (at, _) in text.match_indices('.') {
            let member = name(&text[at + 1..]);
            let known = member.is_empty() || words.members.contains(&member);
            if !known && !member.starts_with(char::is_numeric) {
                words.members.push(member);
            }
        }
        for quote in ['\'', '"'] {
            for quoted in text.split(quote).skip(1) {
                let short = quoted.len() < 12 && !quoted.contains(['{', '}', '\n', ',', ':']);
                if short && !words.texts.iter().any(|known| known == quoted) {
                    words.texts.push(quoted.to_owned());
                }
            }
        }
        words
    }
}

impl Maker<'_, '_> {
    /// A payload for a template of these words.
    pub fn payload(&mut self, words: &Vocabulary) -> Value {
        if self.rarely(24) {
            return self.json(words, 3);
        }
        let mut payload = json!({});
        for path in &words.paths {
            if self.below(6) > 0 {
                let value = self.named(words, path.last().map_or("", String::as_str));
                set(&mut payload, path, value);
            }
        }
        payload
    }

    /// The payload with one place changed: another value, gone, empty.
    pub fn spoiled(&mut self, words: &Vocabulary, payload: &Value) -> Value {
        let mut spoiled = payload.clone();
        let mut at = &mut spoiled;
        loop {
            let count = match at {
                Value::Array(items) => items.len(),
                Value::Object(members) => members.len(),
                _ => 0,
            };
            if count == 0 || self.rarely(4) {
                break;
            }
            let which = self.below(count);
            let inner = match at {
                Value::Array(items) => items.get_mut(which),
                Value::Object(members) => members.values_mut().nth(which),
                _ => None,
            };
            match inner {
                Some(inner) => at = inner,
                None => return payload.clone(),
            }
        }
        *at = self.json(words, 2);
        spoiled
    }

    /// A value for a member of this name: often what its name promises.
    fn named(&mut self, words: &Vocabulary, name: &str) -> Value {
        if self.below(3) == 0 {
            return self.json(words, 3);
        }
        match name {
            "l" | "m" | "items" | "lines" | "tags" | "orders" | "checks" => {
                (0..self.below(5)).map(|_| self.json(words, 2)).collect()
            }
            "n" if self.below(2) == 0 => json!(-5),
            "n" => self.number(),
            "s" => Value::String(self.text(words)),
            "a" | "b" | "c" => json!(self.below(2) == 0),
            _ => self.json(words, 3),
        }
    }

    fn number(&mut self) -> Value {
        Number::from_str(self.of(&NUMBERS)).map_or(Value::Null, Value::Number)
    }

    fn text(&mut self, words: &Vocabulary) -> String {
        match self.below(6) {
            0 => "a".to_owned(),
            1 => "b".to_owned(),
            2 => self.of(&HOSTILE).to_owned(),
            3 => self
                .of(&[
                    " ",
                    "\n",
                    "a,b",
                    ",",
                    "0",
                    "true",
                    "2026-01-05",
                    "x y",
                    "1.5",
                ])
                .to_owned(),
            _ if !words.texts.is_empty() => {
                let at = self.below(words.texts.len());
                words.texts[at].clone()
            }
            _ => "x".to_owned(),
        }
    }

    fn key(&mut self, words: &Vocabulary) -> String {
        if words.members.is_empty() || self.rarely(8) {
            let key = self.of(&["a", "b", "on", "v", "size", "first", "last", "m", "\"", ""]);
            return key.to_owned();
        }
        let at = self.below(words.members.len());
        words.members[at].clone()
    }

    fn object_of(&mut self, words: &Vocabulary, depth: usize) -> Value {
        let mut members = Map::new();
        for _ in 0..self.below(5) {
            let key = self.key(words);
            let value = self.json(words, depth);
            members.insert(key, value);
        }
        Value::Object(members)
    }

    fn json(&mut self, words: &Vocabulary, depth: usize) -> Value {
        let inner = depth.saturating_sub(1);
        match self.below(if depth == 0 { 14 } else { 25 }) {
            0 => Value::Null,
            1 => json!(false),
            2 | 3 => json!(true),
            4 => json!(""),
            5 => json!([]),
            6 => json!({}),
            7 | 8 => self.number(),
            9 => json!(1),
            10..14 => Value::String(self.text(words)),
            14..17 => self.object_of(words, inner),
            17 => {
                // Members that have the names of questions.
                let size = self.json(words, 0);
                let first = self.json(words, inner);
                json!({"size": size, "first": first, "last": null})
            }
            18 => {
                // Items that are all alike.
                let item = self.json(words, inner);
                Value::Array(vec![item; self.below(4)])
            }
            19 => Value::Array(vec![Value::Null; self.below(3)]),
            _ => (0..self.below(5))
                .map(|_| self.json(words, inner))
                .collect(),
        }
    }
}

/// Sets what a path leads to; what is in the way and no object becomes one, but for arrays: their items get it.
fn set(at: &mut Value, path: &[String], value: Value) {
    let Some((step, rest)) = path.split_first() else {
        *at = value;
        return;
    };
    match at {
        Value::Array(items) => {
            for item in items {
                set(item, path, value.clone());
            }
        }
        Value::Object(members) => set(
            members.entry(step.clone()).or_insert_with(|| json!({})),
            rest,
            value,
        ),
        _ => {
            *at = json!({});
            set(at, path, value);
        }
    }
}

/// The payload with another text in every string that is not empty; `turn` says which.
pub fn swapped(payload: &Value, turn: &mut usize) -> Value {
    match payload {
        Value::String(text) if !text.is_empty() => {
            *turn += 1;
            match *turn % (HOSTILE.len() + 1) {
                0 => Value::String("\"x\\".repeat(400)),
                at => Value::String(HOSTILE[at - 1].to_owned()),
            }
        }
        Value::Array(items) => items.iter().map(|item| swapped(item, turn)).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(key, member)| (key.clone(), swapped(member, turn)))
            .collect(),
        _ => payload.clone(),
    }
}
