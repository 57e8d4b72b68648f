//! Reads with their places; names and partials that are followed; bounds.

use super::*;
use crate::template::{PartialText, Partials, Template};

struct Parts(&'static [(&'static str, &'static str)]);

impl Partials for Parts {
    fn find(&self, name: &str) -> Option<PartialText> {
        let (name, text) = self.0.iter().find(|(known, _)| *known == name)?;
        Some(PartialText {
            path: (*name).to_owned(),
            text: (*text).into(),
        })
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// The reads as `line:column path`, those in partials behind their name.
fn told(text: &str, parts: &'static [(&'static str, &'static str)]) -> Vec<String> {
    let template = Template::compile_text("t", text, &Parts(parts)).unwrap();
    let tell = |read: Read| {
        let paths: Vec<String> = read.paths.iter().map(|p| Shown(p).to_string()).collect();
        let file = if read.file == "t" {
            String::new()
        } else {
            read.file + ":"
        };
        format!("{file}{}:{} {}", read.line, read.column, paths.join(" or "))
    };
    template.reads().into_iter().map(tell).collect()
}

#[test]
fn what_is_read_is_told_with_its_place() {
    #[rustfmt::skip]
    let rows: &[(&str, &[&str])] = &[
        ("{{ payload }}", &[]),
        ("a\n  {{ payload.a.b }}", &["2:6 payload.a.b"]),
        ("{{ payload['a b'][0].c[-1] }}", &["1:4 payload[\"a b\"][0].c[-1]"]),
        ("{{ payload.a }}{{ payload.a }}", &["1:4 payload.a"]),
        ("{{ payload.a | default: payload.b | upcase }}", &["1:4 payload.a", "1:25 payload.b"]),
        ("{{ event.id }}{{ vars.x.y }}{{ nothing.a }}", &[]),
        ("{% if payload.a == payload.b or payload.c %}{{ payload.d }}{% elsif payload.e %}{% endif %}",
            &["1:7 payload.a", "1:20 payload.b", "1:33 payload.c", "1:48 payload.d", "1:69 payload.e"]),
        ("{% case payload.a %}{% when payload.b %}{{ payload.c }}{% else %}{{ payload.d }}{% endcase %}",
            &["1:9 payload.a", "1:29 payload.b", "1:44 payload.c", "1:69 payload.d"]),
        ("{% assign v = payload.a %}{{ v.b }}{% assign w = v.b %}{{ w.c }}",
            &["1:15 payload.a", "1:30 payload.a.b", "1:59 payload.a.b.c"]),
        ("{% for x in payload.l limit: payload.n %}{{ x.a }}{% for y in x.m %}{{ y }}{% endfor %}{{ forloop.index }}{% endfor %}",
            &["1:30 payload.n", "1:13 payload.l", "1:45 payload.l[].a", "1:63 payload.l[].m", "1:72 payload.l[].m[]"]),
        ("{% for x in (1..payload.n) %}{{ x.a }}{% endfor %}", &["1:17 payload.n"]),
        ("{% assign l = payload.l | where: 'a', payload.k | sort: 'b' %}{% for x in l %}{{ x.c }}{% endfor %}{{ l.first.d }}{{ l[0].e }}{{ l.size }}",
            &["1:15 payload.l", "1:39 payload.k", "1:34 payload.l[].a", "1:57 payload.l[].b", "1:82 payload.l[].c", "1:103 payload.l[].d", "1:118 payload.l[].e"]),
        ("{{ payload.l | map: 'a' | map: 'b' | join }}",
            &["1:4 payload.l", "1:21 payload.l[].a", "1:32 payload.l[].a.b"]),
        ("{% assign f = payload.l | find: 'id', 1 %}{{ f.name }}{{ payload.l | sum: 'n' | plus: payload.m }}",
            &["1:15 payload.l", "1:33 payload.l[].id", "1:46 payload.l[].name", "1:75 payload.l[].n", "1:87 payload.m"]),
        // One of two; something that is made; something that is chosen at run time.
        ("{% if payload.k %}{% assign v = payload.a %}{% else %}{% assign v = payload.b %}{% endif %}{{ v.c }}",
            &["1:7 payload.k", "1:33 payload.a", "1:69 payload.b", "1:95 payload.a.c or payload.b.c"]),
        ("{% assign v = payload.a | split: ',' %}{{ v.b }}", &["1:15 payload.a"]),
        ("{% json v %}{\"b\": {{ payload.a }}}{% endjson %}{{ v.b }}", &["1:22 payload.a"]),
        ("{{ payload.t[payload.k].a }}", &["1:14 payload.k", "1:4 payload.t[].a"]),
        ("{{ ['payload'].a }}{{ [payload.n] }}", &["1:4 payload.a", "1:24 payload.n"]),
        ("{% cycle payload.a, 'b' %}{% capture c %}{{ payload.d }}{% endcapture %}{{ c.e }}", &["1:10 payload.a", "1:45 payload.d"]),
        ("{% liquid\n assign v = payload.a\n echo v.b\n%}", &["2:13 payload.a", "3:7 payload.a.b"]),
    ];
    let mut wrong = Vec::new();
    for (text, wanted) in rows {
        let told = told(text, &[]);
        if told != *wanted {
            wrong.push(format!("{text}\n  {told:?}\n  wanted {wanted:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn partials_are_followed() {
    const PARTS: &[(&str, &str)] = &[
        ("party", "{{ party.name }}{{ v.x }}{{ payload.p }}"),
        ("deep", "{{ deep.a }}{% render 'deep', deep: deep.next %}"),
        (
            "bomb",
            "{% render 'bomb2' %}{% render 'bomb2' %}{% render 'bomb2' %}",
        ),
        (
            "bomb2",
            "{% include 'bomb' %}{% include 'bomb' %}{{ payload.b }}",
        ),
    ];
    for (text, wanted) in [
        (
            "{% assign v = payload.v %}{% render 'party', party: payload.s %}",
            &[
                "1:15 payload.v",
                "1:53 payload.s",
                "party:1:4 payload.s.name",
                "party:1:29 payload.p",
            ][..],
        ),
        (
            "{% assign v = payload.v %}{% include 'party' for payload.l %}{{ party.a }}",
            &[
                "1:15 payload.v",
                "1:50 payload.l",
                "party:1:4 payload.l[].name",
                "party:1:20 payload.v.x",
                "party:1:29 payload.p",
            ],
        ),
        (
            "{% render 'party' with payload.s as party %}",
            &[
                "1:24 payload.s",
                "party:1:4 payload.s.name",
                "party:1:29 payload.p",
            ],
        ),
    ] {
        assert_eq!(told(text, PARTS), wanted, "{text}");
    }
    assert!(told("{% render 'deep', deep: payload.d %}", PARTS).len() > 10);
}

#[test]
fn no_template_takes_for_ever() {
    const PARTS: &[(&str, &str)] = &[
        (
            "a",
            "{% render 'b' %}{% render 'b' %}{% render 'b' %}{{ payload.a }}",
        ),
        (
            "b",
            "{% render 'a' %}{% render 'a' %}{% render 'a' %}{{ payload.b }}",
        ),
    ];
    assert_eq!(told("{% render 'a' %}", PARTS).len(), 2);
    let many: String = (0..20_000)
        .map(|n| format!("{{{{ payload.a{n} }}}}"))
        .collect();
    assert_eq!(told(&many, &[]).len(), READS);
    let assigned: String = (0..9_000)
        .map(|n| format!("{{% assign v = payload.a{n} %}}{{% assign w = v.x %}}"))
        .collect();
    assert!(told(&assigned, &[]).len() <= READS);
}
