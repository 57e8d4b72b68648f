//! Templates that would make the proof abort, hang or swell: each gets a verdict within the bounds of its work. What the
//! verdict is does not matter here, but those that are too large to follow must say so.

use super::Verdict;
use crate::template::{PartialText, Partials, Template};

/// Partials `0`, `1` and so on, each made by one function.
struct Made(usize, fn(usize) -> String);

impl Partials for Made {
    fn find(&self, name: &str) -> Option<PartialText> {
        let number: usize = name.parse().ok().filter(|number| *number < self.0)?;
        Some(PartialText {
            path: name.to_owned(),
            text: (self.1)(number).into(),
        })
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

fn none(_: usize) -> String {
    String::new()
}

/// Twice the next partial.
fn fan(number: usize) -> String {
    match number {
        14 => "1,".to_owned(),
        _ => {
            let next = number + 1;
            format!(
                "{{% render '{next}' %}}{{% if payload.a{number} %}}{{% render '{next}' %}}{{% endif %}}"
            )
        }
    }
}

fn many_arguments(number: usize) -> String {
    if number == 14 {
        return "1,".to_owned();
    }
    let next = number + 1;
    let arguments: String = (0..60).map(|n| format!(", a{n}: payload.b{n}")).collect();
    format!("{{% if payload.a %}}{{% include '{next}'{arguments} %}}{{% endif %}}1,")
}

fn repeated(count: usize, each: impl Fn(usize) -> String) -> String {
    (0..count).map(each).collect()
}

fn nested_loops(depth: usize, within: &str) -> String {
    let open = repeated(depth, |n| match n {
        0 => "{% for x0 in payload.l %}".to_owned(),
        n => format!("{{% for x{n} in x{} %}}", n - 1),
    });
    format!("[{open}{within}{}]", "{% endfor %}".repeat(depth))
}

#[test]
fn the_proof_ends_within_its_bounds() {
    let long = "k".repeat(900_000);
    let rows: Vec<(&str, String, Made, bool)> = vec![
        // name; template; partials; whether it is too much to follow
        (
            "a chain of elsif",
            format!(
                "{{% if payload.b %}}1{}{{% else %}}0{{% endif %}}",
                repeated(9_000, |n| format!("{{% elsif payload.a{n} %}}{n}"))
            ),
            Made(0, none),
            false,
        ),
        (
            "a chain of elsif over one path",
            format!(
                "{{% if payload.b %}}1{}{{% else %}}0{{% endif %}}",
                repeated(9_000, |n| format!("{{% elsif payload.a == {n} %}}{n}"))
            ),
            Made(0, none),
            true,
        ),
        (
            "a case with many values",
            format!(
                "{{% case payload.a %}}{}{{% else %}}0{{% endcase %}}",
                repeated(5_000, |n| format!("{{% when {n} %}}{n}"))
            ),
            Made(0, none),
            true,
        ),
        (
            "many variables",
            repeated(10_000, |n| format!("{{% assign v{n} = {n} %}}")) + "1",
            Made(0, none),
            true,
        ),
        (
            "many keys",
            format!(
                "{{{}\"z\":1}}",
                repeated(5_000, |n| format!("\"k{n}\":{{{{ payload }}}},"))
            ),
            Made(0, none),
            true,
        ),
        (
            "not so many keys",
            format!(
                "{{{}\"z\":1}}",
                repeated(500, |n| format!("\"k{n}\":{{{{ payload }}}},"))
            ),
            Made(0, none),
            false,
        ),
        (
            "many keys, then many outputs",
            format!(
                "{{{}\"z\":[{}1]}}",
                repeated(50_000, |n| format!("\"k{n}\":1,")),
                "{{ payload }},".repeat(2_000)
            ),
            Made(0, none),
            true,
        ),
        (
            "many optional keys",
            format!(
                "{{{}\"z\":1}}",
                repeated(3_000, |n| format!(
                    "{{% if payload.a{n} %}}\"k{n}\":1,{{% endif %}}"
                ))
            ),
            Made(0, none),
            true,
        ),
        (
            "independent questions",
            format!(
                "[{}1]",
                repeated(2_000, |n| format!(
                    "{{% if payload.a{n} %}}{{% assign v{n} = {n} %}}{{% endif %}}"
                ))
            ),
            Made(0, none),
            true,
        ),
        ("deep loops", nested_loops(40, "1,"), Made(0, none), true),
        (
            "loops that double a counter-example",
            nested_loops(
                16,
                "{% unless forloop.last or forloop.first %}1{% endunless %}{{ payload.a }}{{ payload.b }}",
            ),
            Made(0, none),
            true,
        ),
        (
            "long conditions",
            repeated(60, |n| {
                let or = repeated(400, |m| format!(" or payload.a{n}_{m}"));
                format!("{{% if payload.b{or} %}}{{% assign v{n} = 1 %}}{{% endif %}}")
            }) + "1",
            Made(0, none),
            true,
        ),
        (
            "a long literal that is kept",
            format!(
                "{{% assign a = '{long}' %}}{}1",
                repeated(200, |n| format!(
                    "{{% if payload.a{n} == a %}}{{% assign b{n} = a %}}{{% endif %}}"
                ))
            ),
            Made(0, none),
            true,
        ),
        (
            "a long literal that is asked about",
            repeated(1, |_| {
                format!("{{% if payload.a == '{long}' %}}1{{% else %}}2{{% endif %}}")
            }),
            Made(0, none),
            false,
        ),
        (
            "a long key that is not ended",
            format!(
                "{{\"{long}{}\":1}}",
                repeated(200, |n| format!("{{% if payload.a{n} %}}{n}{{% endif %}}"))
            ),
            Made(0, none),
            true,
        ),
        (
            "partials that call the next one twice",
            "[{% render '0' %}1]".to_owned(),
            Made(15, fan),
            true,
        ),
        (
            "partials with many arguments",
            "[{% include '0' %}1]".to_owned(),
            Made(15, many_arguments),
            false,
        ),
    ];
    for (name, text, partials, too_much) in rows {
        let template = Template::compile("t", &text, &partials)
            .unwrap_or_else(|error| panic!("{name}: {}", error.message));
        // The stack of a worker thread, and no more.
        let prove = move || {
            let mut proof = template.prove();
            template.seek_examples(&mut proof);
            proof
        };
        let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(prove);
        let proof = thread.unwrap().join().unwrap();
        let gave_up = proof.findings.iter().any(|finding| {
            let message = &finding.error.message;
            message.contains("to follow") || message.contains("to be followed")
        });
        assert_eq!(gave_up, too_much, "{name}: {}", proof.verdict);
        assert!(
            !gave_up || proof.verdict == Verdict::CheckedAtRunTime,
            "{name}"
        );
    }
}
