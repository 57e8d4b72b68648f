//! Templates that people wrote, and small changes to them: words, lines and characters deleted, doubled, swapped, put in.

use std::sync::OnceLock;

use super::{Maker, Sample};

const GUIDE: &str = include_str!("../../../../templates/README.md");
const SHIPPED: [&str; 5] = [
    include_str!("../../../../templates/compliancely-search.json.liquid"),
    include_str!("../../../../templates/wingspan-invoice.json.liquid"),
    include_str!("../../../../templates/wismolabs-order.json.liquid"),
    include_str!("../../../../templates/wreno-vendor.json.liquid"),
    include_str!("../../../../templates/wundaflow-workflow.json.liquid"),
];
/// The rows of the proof's own test, as Rust spells them.
const ROWS: &str = include_str!("../../../../src/template/proof/tests.rs");

/// What takes the place of a word, or is put in.
const WORDS: [&str; 76] = [
    "payload",
    "payload.l",
    "payload.a",
    "x",
    "s",
    "nil",
    "true",
    "false",
    "empty",
    "blank",
    "0",
    "1",
    "2",
    "''",
    "','",
    "==",
    "!=",
    "<",
    ">",
    "<=",
    ">=",
    "and",
    "or",
    "contains",
    "forloop.last",
    "forloop.first",
    "forloop.index",
    "forloop.index0",
    "forloop.rindex",
    "forloop.rindex0",
    "forloop.length",
    "forloop.parentloop.last",
    "forloop.parentloop.first",
    "forloop",
    "item",
    ".size",
    ".first",
    ".last",
    "| size",
    "| first",
    "| compact",
    "| where: 'a'",
    "| map: 'a'",
    "| concat: payload.l",
    "| split: ','",
    "| default: ''",
    "| plus: 1",
    "| minus: 1",
    "| json",
    "| sort",
    "| uniq",
    "| reverse",
    "| join: ','",
    "limit: 1",
    "offset: 1",
    "offset: continue",
    "reversed",
    "if",
    "unless",
    "elsif",
    "else",
    "endif",
    "endunless",
    "endfor",
    "endcase",
    "when",
    "(1..2)",
    "[0]",
    ",",
    "\"",
    "{",
    "}",
    "[",
    "]",
    ":",
    "|",
];

/// The shipped templates, the samples of the guide and the rows of the proof's test.
pub fn seeds() -> &'static [Sample] {
    static SEEDS: OnceLock<Vec<Sample>> = OnceLock::new();
    SEEDS.get_or_init(|| {
        let plain = |text: &str| Sample {
            text: text.to_owned(),
            ..Sample::default()
        };
        let mut seeds: Vec<Sample> = SHIPPED.iter().map(|text| plain(text)).collect();
        seeds.extend(guide());
        seeds.extend(rows().map(|text| Sample {
            partials: vec![
                ("pair".into(), "\"a\": {{ a }}, \"b\": {{ item.b }}".into()),
                (
                    "item".into(),
                    "{{ item }}{% unless forloop.last %},{% endunless %}".into(),
                ),
                ("flat".into(), "{\"i\": {{ item }}}".into()),
            ],
            ..plain(&text)
        }));
        seeds
    })
}

/// The fenced blocks of the guide: templates, with the partials and the payload that follow them.
fn guide() -> Vec<Sample> {
    let mut samples: Vec<Sample> = Vec::new();
    let mut rest = GUIDE;
    while let Some((_, after)) = rest.split_once("\n```") {
        let Some((info, body)) = after.split_once('\n') else {
            break;
        };
        let (text, end) = body.split_once("```").unwrap_or((body, ""));
        match (info, samples.last_mut()) {
            ("liquid", _) => samples.push(Sample {
                text: text.to_owned(),
                ..Sample::default()
            }),
            ("json payload", Some(sample)) => sample.payload = serde_json::from_str(text).ok(),
            (info, Some(sample)) => {
                if let Some(name) = info.strip_prefix("liquid partial ") {
                    sample.partials.push((name.to_owned(), text.to_owned()));
                }
            }
            _ => {}
        }
        rest = end;
    }
    samples
}

/// String literals with a bracket in them; Rust and JSON escape alike what stands there.
fn rows() -> impl Iterator<Item = String> {
    ROWS.lines().filter_map(|line| {
        let line = line.trim().trim_start_matches('(');
        let end = line.rfind('"').filter(|end| *end > 0)?;
        let text: String = serde_json::from_str(line.get(..=end)?).ok()?;
        text.contains(['{', '[']).then_some(text)
    })
}

/// Words, runs of white space, and single signs.
fn tokens(text: &str) -> Vec<&str> {
    let class = |c: char| match c {
        c if c.is_alphanumeric() || matches!(c, '_' | '.') => 1,
        c if c.is_whitespace() => 2,
        '{' | '%' | '}' => 3,
        _ => 0,
    };
    let mut tokens = Vec::new();
    let mut start = 0;
    let mut before = 0;
    for (at, c) in text.char_indices() {
        let class = class(c);
        if at > start && (class != before || class == 0) {
            tokens.push(&text[start..at]);
            start = at;
        }
        before = class;
    }
    tokens.push(&text[start..]);
    tokens
}

impl Maker<'_, '_> {
    /// The text with one thing changed.
    pub(super) fn mutated(&mut self, text: &str) -> String {
        let kind = self.below(12);
        let mut parts: Vec<&str> = match kind {
            0 | 1 => text.split_inclusive('\n').collect(),
            2 | 3 => text.split("").collect(),
            _ => tokens(text),
        };
        if parts.is_empty() {
            return text.to_owned();
        }
        // Words in tags are what changes what a template does: the nearest one is taken.
        let mut at = self.below(parts.len());
        if kind > 5 {
            let words = parts.len();
            while at + 1 < words && !parts[at].starts_with(|c: char| c.is_alphanumeric()) {
                at += 1;
            }
        }
        let other = self.below(parts.len());
        match self.below(8) {
            0 => {
                parts.remove(at);
            }
            1 => parts.insert(at, parts[at]),
            2 => parts.swap(at, other),
            3 => parts.insert(other, parts[at]),
            4 => parts[at] = parts[other],
            5 => {
                parts.insert(at, " ");
                parts.insert(at, self.choices.of(&WORDS));
            }
            _ => parts[at] = self.choices.of(&WORDS),
        }
        parts.concat()
    }
}
