//! Verdicts, template by template.

use super::Verdict;
use crate::template::{PartialText, Partials, Proof, Template};

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

fn prove(text: &str) -> Proof {
    let template = Template::compile("t", text, &FILES).unwrap();
    let mut proof = template.prove();
    template.seek_examples(&mut proof);
    proof
}

#[test]
fn verdicts() {
    use Verdict::{CheckedAtRunTime as C, NeverValid as N, Proven as P, ProvenWithRepairs as R};
    let table: &[(&str, Verdict)] = &[
        // The table of contexts.
        ("{{ payload }}", P),
        ("{\"a\": {{ payload.a }}}", P),
        ("\"a {{ payload.a }} b\"", P),
        ("\"{{ payload.a | json }}\"", P),
        ("{ {{ payload.a }}: 1}", C),
        ("{\"k{{ payload.a }}\": 1}", C),
        ("{{ payload.a }}{{ payload.b }}", N),
        ("[1{{ payload.a }}]", N),
        ("\"\\{{ payload.a }}\"", N),
        ("{\"a\" {{ payload.a }}}", N),
        ("", N),
        ("[1", N),
        ("t{% if payload.a %}rue{% else %}rue{% endif %}", P),
        ("{% if payload.a %}1{% else %}2{% endif %}3", P),
        ("{% if payload.a %}\"{% else %}\"x{% endif %}y\"", P),
        // Duplicate keys.
        ("{\"a\":1,\"a\":2}", N),
        ("{\"a\":1{% if payload.a %},\"a\":2{% endif %}}", C),
        (
            "{ {% if payload.a %}\"a\":1{% else %}\"a\":2{% endif %} }",
            P,
        ),
        (
            "{\"x\":0{% if payload.a %},\"a\":1{% endif %}{% unless payload.a %},\"a\":2{% endunless %} }",
            P,
        ),
        ("{\"a\":1,\"\\u0061\":2}", N),
        // Optional members.
        (
            "{\"a\":1{% if payload.b %},\"b\":{{ payload.b }}{% endif %}}",
            P,
        ),
        ("{ {% if payload.b %}\"b\":1,{% endif %}\"a\":1}", P),
        ("{ {% if payload.b %}\"b\":1,{% endif %} }", R),
        ("{ {% if payload.b %}\"b\":1{% endif %} \"a\":1}", C),
        ("{\"a\":{% if payload.b %}1{% endif %}}", R),
        (
            "[{% if payload.a %}1{% endif %}{% if payload.a and payload.b %},{% endif %}{% if payload.b %}2{% endif %}]",
            P,
        ),
        (
            "[{% if payload.a %}1{% endif %}{% if payload.a %},2{% endif %}]",
            P,
        ),
        (
            "[{% if payload.a %}1{% endif %}{% if payload.b %},2{% endif %}]",
            R,
        ),
        (
            "[{% if payload.a %}1{% endif %}{% assign payload = 1 %}{% if payload.a %}[]{% endif %}]",
            C,
        ),
        // Loops.
        (
            "[{% for x in payload.l %}{{ x }}{% unless forloop.last %},{% endunless %}{% endfor %}]",
            P,
        ),
        (
            "[{% for x in payload.l %}{% unless forloop.first %},{% endunless %}{{ x }}{% endfor %}]",
            P,
        ),
        (
            "[{% for x in payload.l %}{% if forloop.index > 1 %},{% endif %}{{ x }}{% endfor %}]",
            P,
        ),
        (
            "[{% for x in payload.l %}{{ x }}{% if forloop.index < forloop.length %},{% endif %}{% endfor %}]",
            P,
        ),
        (
            "[{% for x in payload.l %}{{ x }}{% if forloop.rindex0 > 0 %},{% endif %}{% endfor %}]",
            P,
        ),
        ("[{% for x in payload.l %}{{ x }},{% endfor %}]", R),
        ("[{% for x in payload.l %}{{ x }}{% endfor %}]", C),
        ("[{% for x in payload.l %}{{ x }},{% endfor %}null]", P),
        ("[0{% for x in payload.l %},{{ x }}{% endfor %}]", P),
        (
            "[{% for x in payload.l %}{% if sep %},{% endif %}{{ x }}{% assign sep = true %}{% endfor %}]",
            P,
        ),
        (
            "[{% assign c = '' %}{% for x in payload.l %}{% if c == ',' %},{% endif %}{% assign c = ',' %}{{ x }}{% endfor %}]",
            P,
        ),
        (
            "[{% for x in payload.l %}{% if x.on %}{% if sep %},{% endif %}{{ x }}{% assign sep = true %}{% endif %}{% endfor %}]",
            P,
        ),
        (
            "[{% for x in payload.l %}{% if x.on %}{{ x }}{% unless forloop.last %},{% endunless %}{% endif %}{% endfor %}]",
            R,
        ),
        (
            "[{% for x in payload.l %}{% for y in x %}{{ y }}{% unless forloop.last %},{% endunless %}{% endfor %}{% unless forloop.last %},{% endunless %}{% endfor %}]",
            R,
        ),
        (
            "[{% for x in payload.l %}[{% for y in x %}{{ y }}{% unless forloop.last %},{% endunless %}{% endfor %}]{% unless forloop.last %},{% endunless %}{% endfor %}]",
            P,
        ),
        (
            "{% for x in payload.l %}1{% break %}{% else %}0{% endfor %}",
            P,
        ),
        (
            "{% for x in payload.l %}1{% continue %}2{% else %}0{% endfor %}",
            P,
        ),
        (
            "[{% for x in (1..3) %}{% unless forloop.first %},{% endunless %}{{ x }}{% endfor %}]",
            P,
        ),
        (
            "{ {% for x in payload.l %}\"a\":1{% unless forloop.last %},{% endunless %}{% endfor %} }",
            C,
        ),
        ("\"{% for x in payload.l %}{{ x }}, {% endfor %}\"", P),
        ("\"{{ payload.l | join: ', ' }}\"", P),
        // Case.
        (
            "{% case payload.s %}{% when 'a' %}1{% when 'b', 'c' %}2{% else %}3{% endcase %}",
            P,
        ),
        (
            "{% case payload.s %}{% when 'a' %}1{% when 'b' %}2{% endcase %}",
            C,
        ),
        (
            "{% case payload.s %}{% when 'a' %}1{% when blank %}2{% else %}3{% endcase %}",
            P,
        ),
        (
            "{% case payload.s %}{% when '' %}true{% when blank %}2{% else %}3{% endcase %}",
            C,
        ),
        (
            "{% assign s = payload.s | downcase %}{% case s %}{% when 'a' %}1{% when 'b' %}2{% else %}3{% endcase %}",
            P,
        ),
        (
            "{% assign s = blank %}{% case s %}{% when nil %}true{% when false %}2{% else %}3{% endcase %}",
            C,
        ),
        // Captures, blocks, partials.
        ("{% capture t %}{{ payload }}[{% endcapture %}{{ t }}", P),
        ("{% json t %}[{{ payload }}]{% endjson %}{{ t }}", P),
        ("{% json t %}[{{ payload }}{% endjson %}{{ t }}", N),
        (
            "{% if payload.x %}{% json t %}[{% endjson %}{% endif %}1",
            C,
        ),
        ("{ {% render 'pair', a: 1 %} }", P),
        ("[{% render 'item' for payload.l as item %}]", R),
        (
            "[{% for i in payload.l %}{% render 'flat', item: i %}{% unless forloop.last %},{% endunless %}{% endfor %}]",
            P,
        ),
        ("[{% render 'flat' with payload.l as item %}]", P),
        ("{% include 'self' %}", P),
        (
            "{%- liquid\nassign a = 1\nif a == 1\necho payload\nendif\n-%}",
            P,
        ),
        ("{% raw %}{\"a\": 1}{% endraw %}", P),
        ("[1{% cycle ',', ';' %}]", N),
        ("\"{% ifchanged %}{{ payload.a }}{% endifchanged %}\"", P),
        ("{% ifchanged %}{{ payload.a }}{% endifchanged %}", C),
        ("\"a\nb\"", R),
    ];
    let mut wrong = Vec::new();
    for (text, wanted) in table {
        let proof = prove(text);
        if proof.verdict != *wanted {
            wrong.push(format!(
                "{text}\n  wanted {wanted}, got {}: {:?}",
                proof.verdict, proof.findings
            ));
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
        let proof = prove(&std::fs::read_to_string(&path).unwrap());
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
    let proof = prove("{\"a\":1\n{% if payload.b.c %}\"b\":1{% endif %}}");
    let finding = proof.findings.first().unwrap();
    assert_eq!(finding.error.line, 2);
    assert_eq!(finding.way.first().unwrap().what, "payload.b.c is set");
    assert_eq!(
        finding.counter_example,
        Some(serde_json::json!({"b": {"c": "x"}}))
    );
}
