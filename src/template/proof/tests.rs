//! Verdicts, template by template.

use super::Verdict;
use crate::template::{PartialText, Partials, Proof, Template};

struct Files(&'static [(&'static str, &'static str)]);

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
        "once",
        "{% unless seen %}{{ item }},{% endunless %}{% assign seen = true %}",
    ),
    ("optional", "{% if v.phone %}1{% endif %}"),
    ("listed", "{{ v }}"),
    ("leaves", "{% break %}1"),
    ("argument", "{% assign a = 1 %}{% if a == 1 %}1{% endif %}"),
    ("forever", "{% include 'forever' %}"),
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
        (
            "{% for x in payload.l limit: 1 %}{{ x }}{% else %}0{% endfor %}",
            P,
        ),
        (
            "{% for x in payload.l limit: 2 %}{{ x }}{% else %}0{% endfor %}",
            C,
        ),
        ("{% for x in payload.l limit: 0 %}{{ x }}{% endfor %}0", C),
        ("{% for x in (1..3) limit: 0 %}{{ x }}{% endfor %}0", P),
        ("{% for x in (1..3) limit: -1 %}[{% endfor %}0", P),
        ("{% for x in (3..3) %}{{ x }}{% endfor %}", P),
        ("[{% for x in (1..2) %}{{ x }},{% endfor %}1]", P),
        ("{% for x in (1..2) %}{{ x }}{% endfor %}", N),
        (
            "{% for x in (1..2) offset: 1 %}{{ x }}{% else %}0{% endfor %}",
            C,
        ),
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
            P,
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
        // Counters and flags.
        (
            "[{% assign n = 0 %}{% for x in payload.l %}{% if x.on %}{% if n > 0 %},{% endif %}{{ x }}{% assign n = n | plus: 1 %}{% endif %}{% endfor %}]",
            P,
        ),
        (
            "[{% for x in payload.l %}{% if x.on %}{% assign n = n | plus: 1 %}{% if n > 1 %},{% endif %}{{ x }}{% endif %}{% endfor %}]",
            P,
        ),
        (
            "[{% assign n = 0 %}{% for x in payload.l %}{% if x.on %}{% if n > 0 %},{% endif %}{{ x }}{% assign n = n | plus: payload.k %}{% endif %}{% endfor %}]",
            C,
        ),
        (
            "[{% assign n = 3 %}{% for x in payload.l %}{% if n < 3 %},{% endif %}{{ x }}{% assign n = n | minus: 1 %}{% endfor %}]",
            C,
        ),
        (
            "[{% assign first = true %}{% for x in payload.l %}{% if x.on %}{% if first %}{% assign first = false %}{% else %},{% endif %}{{ x }}{% endif %}{% endfor %}]",
            P,
        ),
        (
            "[{% for x in payload.l %}{% assign i = forloop.index0 %}{% if i > 0 %},{% endif %}{{ x }}{% endfor %}]",
            P,
        ),
        // Arrays that filters made.
        (
            "{% assign a = payload.a | compact %}{% assign b = payload.b | compact %}[{% for x in a %}{{ x }}{% unless forloop.last %},{% endunless %}{% endfor %}{% if a.size > 0 and b.size > 0 %},{% endif %}{% for x in b %}{{ x }}{% unless forloop.last %},{% endunless %}{% endfor %}]",
            P,
        ),
        (
            "{% assign a = payload.a | where: 'on' %}[1{% unless a == empty %},{% endunless %}{% for x in a %}{{ x }}{% unless forloop.last %},{% endunless %}{% endfor %}]",
            P,
        ),
        // An object can have a member `size`.
        (
            "[1{% if payload.a.size > 0 %},{% endif %}{% for x in payload.a %}{{ x }}{% unless forloop.last %},{% endunless %}{% endfor %}]",
            C,
        ),
        (
            "{% assign a = payload.a | compact %}[1{% if a.size > 0 %},{% endif %}{% assign a = payload.b %}{% for x in a %}{{ x }}{% unless forloop.last %},{% endunless %}{% endfor %}]",
            C,
        ),
        // Loops within loops.
        (
            "[{% for x in payload.l %}{% for y in (1..2) %}{{ y }}{% unless forloop.last and forloop.parentloop.last %},{% endunless %}{% endfor %}{% endfor %}]",
            P,
        ),
        (
            "[{% for x in payload.l %}{% for y in (1..2) %}{{ y }}{% unless forloop.last and forloop.parentloop.parentloop.last %},{% endunless %}{% endfor %}{% endfor %}]",
            C,
        ),
        (
            "[{% for x in payload.l %}{% for y in (1..2) %}{{ y }}{% unless forloop.last and forloop.parentloop.index == forloop.parentloop.length %},{% endunless %}{% endfor %}{% endfor %}]",
            P,
        ),
        // Many optional members, each asked twice.
        (
            "{ {% if payload.a %}\"a\":{% if payload.a == 1 %}1{% else %}2{% endif %},{% endif %}{% if payload.b %}\"b\":{% if payload.b == 1 %}1{% else %}2{% endif %},{% endif %}{% if payload.c %}\"c\":{% if payload.c == 1 %}1{% else %}2{% endif %},{% endif %}{% if payload.d %}\"d\":{% if payload.d == 1 %}1{% else %}2{% endif %},{% endif %}{% if payload.e %}\"e\":{% if payload.e == 1 %}1{% else %}2{% endif %},{% endif %}{% if payload.f %}\"f\":{% if payload.f == 1 %}1{% else %}2{% endif %},{% endif %}{% if payload.g %}\"g\":{% if payload.g == 1 %}1{% else %}2{% endif %},{% endif %}{% if payload.h %}\"h\":{% if payload.h == 1 %}1{% else %}2{% endif %},{% endif %}{% if payload.i %}\"i\":{% if payload.i == 1 %}1{% else %}2{% endif %},{% endif %}\"z\":0}",
            P,
        ),
        // Keys.
        ("{ {{ nowhere }}: 1}", N),
        ("{ {{ payload.a | split: ',' }}: 1}", N),
        ("{ {{ payload.a | upcase }}: 1}", C),
        ("{ {{ payload.a }}: 1, \"b\": }x", N),
        (
            "{ {% if payload.a %}{{ payload.a }}: 1{% else %}\"b\": [{% endif %}",
            N,
        ),
        // Each item of `render … for` starts anew, and ends alone.
        ("[{% render 'once' for payload.l as item %}0]", P),
        ("{% render 'leaves' for payload.l as item %}0", P),
        ("{% render 'argument', a: payload.a %}", P),
        (
            "{% case payload.a %}{% when 1 %}{% assign payload = 'b' %}1{% when 2 %}2{% else %}3{% endcase %}",
            P,
        ),
        // Without end.
        ("{% include 'forever' %}", N),
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
        Some(serde_json::json!({"b": {"c": {}}}))
    );
}

#[test]
fn counter_examples_are_found() {
    for text in [
        "{% assign v = payload.data.vendor %}{\"a\": 1{% if v.phone %}\"p\": {{ v.phone }}{% endif %}}",
        "{% render 'optional', v: payload.data %}",
        "[{% render 'listed' for payload.data.l as v %}]",
        "[1{% if payload.a %},{% endif %}{% for x in payload.l %}{{ x }}{% endfor %}]",
        "{ {{ payload.k }}: 1}",
        "{ {% for x in payload.l %}\"{{ x }}\": 1{% unless forloop.last %},{% endunless %}{% endfor %} }",
        "[{% for x in payload.l %}{{ x }}{% if forloop.index < payload.l.size %},{% endif %}{% endfor %}]",
        "{% case payload.s %}{% when 'a' %}1{% when 'b' %}{% else %}2{% endcase %}",
        "{\"a\":1{% if payload.a == 7 %},\"a\":2{% endif %}}",
    ] {
        let proof = prove(text);
        assert_eq!(proof.verdict, Verdict::CheckedAtRunTime, "{text}");
        let mut findings = proof.findings.iter();
        assert!(
            findings.all(|f| f.counter_example.is_some()),
            "{text}: {proof:?}"
        );
    }
}

#[test]
fn what_can_fail_besides_the_writer_is_noted() {
    let none: &[&str] = &[];
    let table: &[(&str, &[&str])] = &[
        ("{{ payload.a | upcase | round: 2 | truncate: 20 }}", none),
        (
            "{{ payload.a | divided_by: payload.b }}",
            &["1:16: `divided_by` fails on a divisor of 0"],
        ),
        ("{{ payload.a | divided_by: 2 }}", none),
        (
            "{{ payload.a | divided_by: 0 }}",
            &["1:16: `divided_by` fails on a divisor of 0"],
        ),
        ("{{ payload.l | compact | uniq }}", none),
        (
            "{{ payload.l | uniq: 'id' }}",
            &["1:16: `uniq` fails on a number among the items"],
        ),
        (
            "{% if payload.n > 3 %}1{% else %}2{% endif %}",
            &["1:7: the comparison fails if one side is text and the other a number"],
        ),
        (
            "[{% for x in payload.l %}{% if forloop.index > 1 %},{% endif %}1{% endfor %}]",
            none,
        ),
        (
            "{% assign n = 0 %}[{% for x in payload.l %}{% if n > 0 %},{% endif %}1{% assign n = n | plus: 1 %}{% endfor %}]",
            none,
        ),
        (
            "{% assign l = payload.l | compact %}{% if l.size > 3 %}1{% else %}2{% endif %}",
            none,
        ),
        (
            "{% assign n = 0 %}{% if payload.a %}{% assign n = payload.b %}{% endif %}{% if n > 3 %}1{% else %}2{% endif %}",
            &["1:80: the comparison fails if one side is text and the other a number"],
        ),
        (
            "[{% for x in (1..payload.n) limit: payload.m %}{% if forloop.index > 1 %},{% endif %}1{% endfor %}]",
            &[
                "1:14: a range fails on a bound that is a boolean, a fraction, an array or an object, and if it is too long",
                "1:36: the limit or offset fails if it is no whole number",
            ],
        ),
    ];
    for (text, wanted) in table {
        let noted: Vec<String> = prove(text)
            .may_fail
            .iter()
            .map(|remark| format!("{}:{}: {}", remark.line, remark.column, remark.what))
            .collect();
        assert_eq!(noted, *wanted, "{text}");
    }
}
