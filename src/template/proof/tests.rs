//! Verdicts, template by template.

use super::Verdict;
use crate::template::{PartialText, Partials, Proof, Template, TemplateError};

pub(super) struct Files(pub &'static [(&'static str, &'static str)]);

impl Partials for Files {
    fn find(&self, name: &str) -> Option<PartialText> {
        let (path, text) = self.0.iter().find(|(known, _)| *known == name)?;
        Some(PartialText {
            path: (*path).to_owned(),
            text: (*text).into(),
        })
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

const FILES: Files = Files(&[
    ("pair", "\"a\": {{ a }}, \"b\": {{ item.b }}"),
    (
        "item",
        "{\"i\": {{ item }}}{% unless forloop.last %},{% endunless %}",
    ),
    ("flat", "{\"i\": {{ item }}}"),
    (
        "self",
        "{% if payload.x %}{% include 'self' %}{% else %}1{% endif %}",
    ),
]);

fn prove(text: &str) -> Result<Proof, TemplateError> {
    Template::compile("t", text, &FILES)?.prove()
}

#[test]
fn verdicts() {
    use Verdict::{CheckedAtRunTime as C, Proven as P, ProvenWithRepairs as R};
    let table: &[(&str, Option<Verdict>)] = &[
        // The table of contexts.
        ("{{ payload }}", Some(P)),
        ("{\"a\": {{ payload.a }}}", Some(P)),
        ("\"a {{ payload.a }} b\"", Some(P)),
        ("\"{{ payload.a | json }}\"", Some(P)),
        ("{ {{ payload.a }}: 1}", Some(C)),
        ("{\"k{{ payload.a }}\": 1}", Some(C)),
        ("{{ payload.a }}{{ payload.b }}", None),
        ("[1{{ payload.a }}]", None),
        ("\"\\{{ payload.a }}\"", None),
        ("{\"a\" {{ payload.a }}}", None),
        ("", None),
        ("[1", None),
        ("t{% if payload.a %}rue{% else %}rue{% endif %}", Some(P)),
        ("{% if payload.a %}1{% else %}2{% endif %}3", Some(P)),
        ("{% if payload.a %}\"{% else %}\"x{% endif %}y\"", Some(P)),
        // Duplicate keys.
        ("{\"a\":1,\"a\":2}", None),
        ("{\"a\":1{% if payload.a %},\"a\":2{% endif %}}", Some(C)),
        (
            "{ {% if payload.a %}\"a\":1{% else %}\"a\":2{% endif %} }",
            Some(P),
        ),
        (
            "{\"x\":0{% if payload.a %},\"a\":1{% endif %}{% unless payload.a %},\"a\":2{% endunless %} }",
            Some(P),
        ),
        ("{\"a\":1,\"\\u0061\":2}", None),
        // Optional members.
        (
            "{\"a\":1{% if payload.b %},\"b\":{{ payload.b }}{% endif %}}",
            Some(P),
        ),
        ("{ {% if payload.b %}\"b\":1,{% endif %}\"a\":1}", Some(P)),
        ("{ {% if payload.b %}\"b\":1,{% endif %} }", Some(R)),
        ("{ {% if payload.b %}\"b\":1{% endif %} \"a\":1}", Some(C)),
        ("{\"a\":{% if payload.b %}1{% endif %}}", Some(R)),
        (
            "[{% if payload.a %}1{% endif %}{% if payload.a and payload.b %},{% endif %}{% if payload.b %}2{% endif %}]",
            Some(P),
        ),
        (
            "[{% if payload.a %}1{% endif %}{% if payload.a %},2{% endif %}]",
            Some(P),
        ),
        (
            "[{% if payload.a %}1{% endif %}{% if payload.b %},2{% endif %}]",
            Some(R),
        ),
        (
            "[{% if payload.a %}1{% endif %}{% assign payload = 1 %}{% if payload.a %}[]{% endif %}]",
            Some(C),
        ),
        // Loops.
        (
            "[{% for x in payload.l %}{{ x }}{% unless forloop.last %},{% endunless %}{% endfor %}]",
            Some(P),
        ),
        (
            "[{% for x in payload.l %}{% unless forloop.first %},{% endunless %}{{ x }}{% endfor %}]",
            Some(P),
        ),
        (
            "[{% for x in payload.l %}{% if forloop.index > 1 %},{% endif %}{{ x }}{% endfor %}]",
            Some(P),
        ),
        (
            "[{% for x in payload.l %}{{ x }}{% if forloop.index < forloop.length %},{% endif %}{% endfor %}]",
            Some(P),
        ),
        (
            "[{% for x in payload.l %}{{ x }}{% if forloop.rindex0 > 0 %},{% endif %}{% endfor %}]",
            Some(P),
        ),
        ("[{% for x in payload.l %}{{ x }},{% endfor %}]", Some(R)),
        ("[{% for x in payload.l %}{{ x }}{% endfor %}]", Some(C)),
        (
            "[{% for x in payload.l %}{{ x }},{% endfor %}null]",
            Some(P),
        ),
        ("[0{% for x in payload.l %},{{ x }}{% endfor %}]", Some(P)),
        (
            "[{% for x in payload.l %}{% if sep %},{% endif %}{{ x }}{% assign sep = true %}{% endfor %}]",
            Some(P),
        ),
        (
            "[{% assign c = '' %}{% for x in payload.l %}{% if c == ',' %},{% endif %}{% assign c = ',' %}{{ x }}{% endfor %}]",
            Some(P),
        ),
        (
            "[{% for x in payload.l %}{% if x.on %}{% if sep %},{% endif %}{{ x }}{% assign sep = true %}{% endif %}{% endfor %}]",
            Some(P),
        ),
        (
            "[{% for x in payload.l %}{% if x.on %}{{ x }}{% unless forloop.last %},{% endunless %}{% endif %}{% endfor %}]",
            Some(R),
        ),
        (
            "[{% for x in payload.l %}{% for y in x %}{{ y }}{% unless forloop.last %},{% endunless %}{% endfor %}{% unless forloop.last %},{% endunless %}{% endfor %}]",
            Some(R),
        ),
        (
            "[{% for x in payload.l %}[{% for y in x %}{{ y }}{% unless forloop.last %},{% endunless %}{% endfor %}]{% unless forloop.last %},{% endunless %}{% endfor %}]",
            Some(P),
        ),
        (
            "{% for x in payload.l %}1{% break %}{% else %}0{% endfor %}",
            Some(P),
        ),
        (
            "{% for x in payload.l %}1{% continue %}2{% else %}0{% endfor %}",
            Some(P),
        ),
        (
            "[{% for x in (1..3) %}{% unless forloop.first %},{% endunless %}{{ x }}{% endfor %}]",
            Some(P),
        ),
        (
            "{ {% for x in payload.l %}\"a\":1{% unless forloop.last %},{% endunless %}{% endfor %} }",
            Some(C),
        ),
        ("\"{% for x in payload.l %}{{ x }}, {% endfor %}\"", Some(P)),
        ("\"{{ payload.l | join: ', ' }}\"", Some(P)),
        // Case.
        (
            "{% case payload.s %}{% when 'a' %}1{% when 'b', 'c' %}2{% else %}3{% endcase %}",
            Some(P),
        ),
        (
            "{% case payload.s %}{% when 'a' %}1{% when 'b' %}2{% endcase %}",
            Some(C),
        ),
        (
            "{% case payload.s %}{% when 'a' %}1{% when blank %}2{% else %}3{% endcase %}",
            Some(P),
        ),
        (
            "{% case payload.s %}{% when '' %}true{% when blank %}2{% else %}3{% endcase %}",
            Some(C),
        ),
        (
            "{% assign s = payload.s | downcase %}{% case s %}{% when 'a' %}1{% when 'b' %}2{% else %}3{% endcase %}",
            Some(P),
        ),
        (
            "{% assign s = blank %}{% case s %}{% when nil %}true{% when false %}2{% else %}3{% endcase %}",
            Some(C),
        ),
        // Captures, blocks, partials.
        (
            "{% capture t %}{{ payload }}[{% endcapture %}{{ t }}",
            Some(P),
        ),
        ("{% json t %}[{{ payload }}]{% endjson %}{{ t }}", Some(P)),
        ("{% json t %}[{{ payload }}{% endjson %}{{ t }}", None),
        (
            "{% if payload.x %}{% json t %}[{% endjson %}{% endif %}1",
            Some(C),
        ),
        ("{ {% render 'pair', a: 1 %} }", Some(P)),
        ("[{% render 'item' for payload.l as item %}]", Some(R)),
        (
            "[{% for i in payload.l %}{% render 'flat', item: i %}{% unless forloop.last %},{% endunless %}{% endfor %}]",
            Some(P),
        ),
        ("[{% render 'flat' with payload.l as item %}]", Some(P)),
        ("{% include 'self' %}", Some(P)),
        (
            "{%- liquid\nassign a = 1\nif a == 1\necho payload\nendif\n-%}",
            Some(P),
        ),
        ("{% raw %}{\"a\": 1}{% endraw %}", Some(P)),
        ("[1{% cycle ',', ';' %}]", None),
        (
            "\"{% ifchanged %}{{ payload.a }}{% endifchanged %}\"",
            Some(P),
        ),
        ("{% ifchanged %}{{ payload.a }}{% endifchanged %}", Some(C)),
        ("\"a\nb\"", Some(R)),
    ];
    let mut wrong = Vec::new();
    for (text, wanted) in table {
        let proof = prove(text);
        let got = proof.as_ref().ok().map(|proof| proof.verdict);
        if got != *wanted {
            wrong.push(format!("{text}\n  wanted {wanted:?}, got {proof:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn shipped_templates_are_proven() {
    let mut count = 0;
    for entry in std::fs::read_dir("templates").unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_none_or(|extension| extension != "liquid")
        {
            continue;
        }
        let proof = prove(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(
            proof.verdict,
            Verdict::Proven,
            "{}: {:?}",
            path.display(),
            proof.findings
        );
        count += 1;
    }
    assert!(count >= 5, "{count} templates");
}

#[test]
fn a_counter_example_comes_with_its_way() {
    let proof = prove("{\"a\":1\n{% if payload.b.c %}\"b\":1{% endif %}}").unwrap();
    let finding = proof.findings.first().unwrap();
    assert_eq!(finding.line, 2);
    assert_eq!(finding.route.first().unwrap().what, "payload.b.c is set");
    assert_eq!(
        finding.counter_example,
        Some(serde_json::json!({"b": {"c": "x"}}))
    );
}
