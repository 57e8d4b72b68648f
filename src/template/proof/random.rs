//! Random templates and payloads against the proof. `INGATE_RANDOM_SECONDS` makes it longer.

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::tests::Files;
use super::{Verdict, example};
use crate::template::{Cause, Template, TemplateError};

const PARTIALS: Files = Files(&[
    ("one", "{{ item }}"),
    (
        "list",
        "{{ item }}{% unless forloop.last %},{% endunless %}",
    ),
    (
        "sets",
        "{% assign s = true %}{% if payload.a %}1{% else %}0{% endif %}",
    ),
]);

const PATHS: [&str; 12] = [
    "payload.a",
    "payload.b",
    "payload.l",
    "payload.l[0]",
    "x",
    "x.a",
    "s",
    "payload",
    "nil",
    "item",
    "event.type",
    "payload.a.b",
];
const FILTERS: [&str; 12] = [
    "",
    "",
    "",
    "",
    " | upcase",
    " | default: 'd'",
    " | json",
    " | size",
    " | first",
    " | default: blank",
    " | plus: 1",
    " | split: ','",
];
const CONDITIONS: [&str; 32] = [
    "payload.a",
    "payload.b",
    "payload.l",
    "x",
    "s",
    "forloop.last",
    "forloop.first",
    "forloop.index > 1",
    "payload.a == 'a'",
    "payload.a == 'b'",
    "payload.a == nil",
    "payload.a != 'a'",
    "payload.a and payload.b",
    "payload.a or payload.b",
    "payload.a == blank",
    "payload.a == empty",
    "s == true",
    "s == ''",
    "s == nil",
    "s == false",
    "x == 1",
    "payload.a == 1",
    "payload.l.size > 0",
    "forloop.length == 1",
    "forloop.rindex0 == 0",
    "x.a",
    "payload.a == payload.b",
    "payload.a == false",
    "payload.b and s or payload.a",
    "forloop.index == forloop.length",
    "item",
    "forloop.rindex < 2",
];

struct Maker<'r>(&'r mut fastrand::Rng);

impl Maker<'_> {
    fn of<'s>(&mut self, words: &[&'s str]) -> &'s str {
        words[self.0.usize(..words.len())]
    }

    fn output(&mut self) -> String {
        format!("{{{{ {}{} }}}}", self.of(&PATHS), self.of(&FILTERS))
    }

    fn value(&mut self, depth: usize) -> String {
        if depth == 0 {
            return match self.0.usize(..6) {
                0 => "1".into(),
                1 => "null".into(),
                2 => "\"t\"".into(),
                _ => self.output(),
            };
        }
        let d = depth - 1;
        match self.0.usize(..16) {
            0..=2 => self.output(),
            3 => format!("\"a{}b{}\"", self.output(), self.noise(d)),
            4..=5 => format!("[{}]", self.items(d)),
            6..=7 => format!("{{{}}}", self.members(d)),
            8..=9 => format!(
                "{{% if {} %}}{}{{% else %}}{}{{% endif %}}",
                self.of(&CONDITIONS),
                self.value(d),
                self.value(d)
            ),
            10 => format!(
                "{{% case {} %}}{{% when 'a' %}}{}{{% when {} %}}{}{{% else %}}{}{{% endcase %}}",
                self.of(&PATHS),
                self.value(d),
                self.of(&["'b'", "'a', 'b'", "nil", "blank", "1", "false", "''"]),
                self.value(d),
                self.value(d)
            ),
            11 => format!(
                "{{% capture s %}}{}{{% endcapture %}}{}",
                self.value(d),
                self.value(d)
            ),
            12 => format!(
                "{{% json s %}}{}{{% endjson %}}{}",
                self.value(d),
                self.value(d)
            ),
            13 => format!(
                "{{% for x in {} %}}{}{{% break %}}{{% else %}}{}{{% endfor %}}",
                self.of(&PATHS),
                self.value(d),
                self.value(d)
            ),
            14 => format!("{}{}", self.noise(d), self.value(d)),
            _ => self
                .of(&[
                    "{% include 'sets' %}",
                    "{% render 'one', item: payload.a %}",
                    "{% render 'one' with payload.l as item %}",
                    "{% include 'one' with payload.a as item %}",
                    "{% liquid echo payload.a %}",
                ])
                .into(),
        }
    }

    fn noise(&mut self, depth: usize) -> String {
        match self.0.usize(..12) {
            0 => format!(
                "{{% assign s = {}{} %}}",
                self.of(&PATHS),
                self.of(&FILTERS)
            ),
            1 => format!(
                "{{% assign s = {} %}}",
                self.of(&["true", "false", "nil", "blank", "empty", "'a'", "''", "1"])
            ),
            2 => "{% assign payload = s %}".into(),
            3 => format!(
                "{{% if {} %}}{}{{% endif %}}",
                self.of(&CONDITIONS),
                self.noise(depth.saturating_sub(1))
            ),
            4 => "{% increment s %}".into(),
            5 => "{% break %}".into(),
            6 => "{% continue %}".into(),
            7 => " ".into(),
            8 if depth > 0 => format!(
                "{{% for x in payload.l %}}{}{{% endfor %}}",
                self.noise(depth - 1)
            ),
            _ => String::new(),
        }
    }

    fn items(&mut self, depth: usize) -> String {
        let v = self.value(depth);
        let over = self.of(&[
            "payload.l",
            "payload.a",
            "x",
            "s",
            "(1..2)",
            "(1..payload.b)",
            "payload.l limit: 1",
            "payload.l reversed",
            "payload.l offset: 1",
        ]);
        let n = self.noise(depth);
        match self.0.usize(..14) {
            0..=1 => format!(
                "{{% for x in {over} %}}{v}{{% unless forloop.last %}},{{% endunless %}}{{% endfor %}}"
            ),
            2 => format!(
                "{{% for x in {over} %}}{{% unless forloop.first %}},{{% endunless %}}{v}{n}{{% endfor %}}"
            ),
            3 => format!(
                "{{% for x in {over} %}}{{% if s %}},{{% endif %}}{n}{v}{{% assign s = true %}}{{% endfor %}}"
            ),
            4 => format!("0{{% for x in {over} %}},{v}{n}{{% endfor %}}"),
            5 => format!("{{% for x in {over} %}}{v},{{% endfor %}}1"),
            6 => format!("{{% for x in {over} %}}{v}{{% endfor %}}"),
            7 => {
                let c = self.of(&CONDITIONS);
                format!("{{% if {c} %}}1{{% endif %}}{n}{{% if {c} %}},{v}{{% endif %}}")
            }
            8 => {
                let c = self.of(&CONDITIONS);
                format!("{{% unless {c} %}}1{{% endunless %}}{{% if {c} %}}{v}{{% endif %}}")
            }
            9 => format!(
                "{{% for x in {over} %}}{{% if {} %}},{{% endif %}}{v}{{% endfor %}}",
                self.of(&CONDITIONS)
            ),
            10 => format!("{v},{n}{}", self.items(depth.saturating_sub(1))),
            11 => self
                .of(&[
                    "{% render 'list' for payload.l as item %}",
                    "{% include 'list' for payload.l as item %}",
                    "{% include 'one' with payload.l as item %}",
                ])
                .into(),
            12 => format!("{{% ifchanged %}}{v}{{% endifchanged %}}"),
            _ => v,
        }
    }

    fn members(&mut self, depth: usize) -> String {
        let v = self.value(depth);
        let key = self.of(&[
            "\"a\"",
            "\"b\"",
            "\"\\u0061\"",
            "\"{{ x }}\"",
            "\"a{{ payload.a }}\"",
            "{{ payload.b }}",
            "\"c\"",
            "\"d\"",
        ]);
        match self.0.usize(..6) {
            0 => format!("{key}:{v},\"e\":{}", self.value(depth)),
            1 => format!(
                "\"f\":1{{% if {} %}},{key}:{v}{{% endif %}}",
                self.of(&CONDITIONS)
            ),
            2 => format!(
                "{{% if {} %}}{key}:{v},{{% endif %}}\"a\":1",
                self.of(&CONDITIONS)
            ),
            3 => format!(
                "{{% for x in payload.l %}}{key}:{v}{{% unless forloop.last %}},{{% endunless %}}{{% endfor %}}"
            ),
            4 => format!("\"a\":1,{}", self.members(depth.saturating_sub(1))),
            _ => format!("{key}:{v}"),
        }
    }

    /// A template; now and then with a character changed.
    fn template(&mut self) -> String {
        let mut text = self.value(4);
        if self.0.usize(..4) == 0 {
            let chars: Vec<char> = text.chars().collect();
            let at = self.0.usize(..chars.len());
            let with = self.of(&["", ",", "\"", "{", "]", " ", "\\", "1", "a"]);
            text = chars[..at].iter().collect::<String>()
                + with
                + &chars[at + 1..].iter().collect::<String>();
        }
        text
    }

    fn json(&mut self, depth: usize) -> Value {
        match self.0.usize(..if depth == 0 { 10 } else { 14 }) {
            0 => Value::Null,
            1 => json!(false),
            2 => json!(true),
            3 => json!(1),
            4 => json!("a"),
            5 => json!("b"),
            6 => json!(""),
            7 => json!("\",\"admin\":true,\"x\":\"\\\u{1}\n"),
            8 => json!(1.5),
            9 => json!([]),
            10 => json!({"a": self.json(depth - 1), "b": self.json(depth - 1)}),
            11 => json!({}),
            _ => (0..self.0.usize(..4))
                .map(|_| self.json(depth - 1))
                .collect(),
        }
    }

    fn payload(&mut self) -> Value {
        let mut members = Map::new();
        for name in ["a", "b", "l"] {
            if self.0.usize(..5) > 0 {
                let value = if name == "l" && self.0.bool() {
                    (0..self.0.usize(..4)).map(|_| self.json(1)).collect()
                } else {
                    self.json(2)
                };
                members.insert(name.into(), value);
            }
        }
        Value::Object(members)
    }
}

/// Renders and holds the result to the verdict.
fn render(
    template: &Template,
    payload: &Value,
    verdict: Verdict,
) -> Result<Vec<u8>, TemplateError> {
    let rendered = example::render(template, payload)?;
    serde_json::from_slice::<Value>(&rendered.body).expect("what is rendered parses");
    if verdict == Verdict::Proven {
        assert!(
            rendered.repairs.is_empty(),
            "a proven template was mended: {:?} {payload}",
            rendered.repairs
        );
    }
    Ok(rendered.body)
}

#[test]
fn proven_templates_never_fail_in_the_writer() {
    let seconds: u64 = std::env::var("INGATE_RANDOM_SECONDS")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or(0);
    let until = Instant::now() + Duration::from_secs(seconds);
    let seed = if seconds > 0 { fastrand::u64(..) } else { 5 };
    let mut random = fastrand::Rng::with_seed(seed);
    let (
        mut proven,
        mut mended,
        mut checked,
        mut refused,
        mut never,
        mut renders,
        mut whole,
        mut examples,
        mut failed,
    ) = (0, 0, 0, 0, 0, 0, 0, 0, 0);
    let mut count = 0;
    while count < 1_500 || Instant::now() < until {
        count += 1;
        let mut maker = Maker(&mut random);
        let text = maker.template();
        let Ok(template) = Template::compile("t", &text, &PARTIALS) else {
            refused += 1;
            continue;
        };
        let mut proof = template.prove();
        template.seek_examples(&mut proof);
        if proof.verdict == Verdict::NeverValid {
            never += 1;
            for _ in 0..12 {
                let payload = maker.payload();
                let rendered = render(&template, &payload, proof.verdict);
                assert!(rendered.is_err(), "never valid, and yet: {text}\n{payload}");
            }
            continue;
        }
        match proof.verdict {
            Verdict::Proven => proven += 1,
            Verdict::ProvenWithRepairs => mended += 1,
            Verdict::CheckedAtRunTime => checked += 1,
            Verdict::NeverValid => {}
        }
        for finding in &proof.findings {
            if let Some(payload) = &finding.counter_example {
                examples += 1;
                assert!(
                    render(&template, payload, proof.verdict).is_err(),
                    "{text}: {payload} is no counter-example"
                );
            }
        }
        for _ in 0..12 {
            let payload = maker.payload();
            renders += 1;
            match render(&template, &payload, proof.verdict) {
                Ok(_) => whole += 1,
                Err(error) => {
                    failed += 1;
                    assert!(
                        proof.verdict == Verdict::CheckedAtRunTime || error.cause != Cause::Output,
                        "{}: {text}\n{payload}\n{}",
                        proof.verdict,
                        error.pretty()
                    );
                }
            }
        }
    }
    let figures = format!(
        "seed {seed}: {count} templates ({proven} proven, {mended} with repairs, {checked} checked at run time, {never} never valid, {refused} refused); {renders} renders: {whole} whole, {failed} failed; {examples} counter-examples"
    );
    assert!(
        proven > 50 && whole > 1_000 && examples > 20,
        "this says little: {figures}"
    );
    if seconds > 0 {
        std::fs::write(std::env::temp_dir().join("ingate-random.txt"), figures).unwrap();
    }
}
