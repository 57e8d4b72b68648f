//! Templates and payloads at random against what is promised of them: what is rendered parses, what is proven never fails
//! in the writer, text of a payload stays text, nothing panics. The same seed at every run; `INGATE_RANDOM_SECONDS` makes
//! it longer, each time with another seed, and prints its figures. The fuzz targets of `fuzz/` make and check the same.

mod checks;
mod maker;

use std::time::{Duration, Instant};

use ingate::template::Verdict;

use checks::{Figures, Subject};
use maker::{Choices, Maker, Vocabulary, seeds, swapped, whole};

/// Templates of a bounded run.
const TEMPLATES: u64 = 3_000;
/// Calm templates of a bounded run.
const CALM: u64 = 500;
/// Payloads for each template.
const PAYLOADS: usize = 12;
const SEED: u64 = 5;

/// How long to go on, and with which seed.
fn run() -> (Instant, u64) {
    let seconds = std::env::var("INGATE_RANDOM_SECONDS").ok();
    let seconds = seconds.and_then(|text| text.parse().ok()).unwrap_or(0);
    let seed = if seconds > 0 { fastrand::u64(..) } else { SEED };
    (Instant::now() + Duration::from_secs(seconds), seed)
}

#[test]
fn proven_templates_never_fail_in_the_writer() {
    let (until, seed) = run();
    let mut choices = Choices::Random(fastrand::Rng::with_seed(seed));
    let mut figures = Figures::default();
    while figures.templates < TEMPLATES || Instant::now() < until {
        let mut maker = Maker::new(&mut choices);
        let sample = maker.sample();
        let Some(subject) = Subject::new(&sample, &mut figures) else {
            continue;
        };
        let words = Vocabulary::of(&sample.text);
        let mut payload = sample.payload.clone().unwrap_or_default();
        for nth in 0..PAYLOADS {
            payload = if nth % 3 == 2 || (nth == 0 && sample.payload.is_some()) {
                maker.spoiled(&words, &payload)
            } else {
                maker.payload(&words)
            };
            let _ = subject.holds(&payload, &mut figures);
        }
        subject.behaves(&payload);
    }
    println!("seed {seed}: {figures}");
    assert!(
        figures.proven > 300 && figures.whole > 5_000 && figures.examples > 100,
        "this says little: {figures}"
    );
}

#[test]
fn text_of_a_payload_stays_text() {
    let (until, seed) = run();
    let mut choices = Choices::Random(fastrand::Rng::with_seed(seed));
    let mut figures = Figures::default();
    let mut turn = 0;
    while figures.templates < CALM || Instant::now() < until {
        let mut maker = Maker::calm(&mut choices);
        let sample = maker.sample();
        let Some(subject) = Subject::new(&sample, &mut figures) else {
            continue;
        };
        let words = Vocabulary::of(&sample.text);
        for _ in 0..PAYLOADS {
            let payload = maker.payload(&words);
            subject.is_calm(&payload, &swapped(&payload, &mut turn), &mut figures);
        }
    }
    println!("seed {seed}: {figures}");
    assert!(figures.swaps > 2_000, "this says little: {figures}");
}

/// What makes structure or decisions out of the text of strings.
const NOT_CALM: [&str; 16] = [
    "==", "!=", "<", ">", "contains", "case", "where", "map", "reject", "find", "uniq", "sort",
    "split", "}}:", "}}\":", "strip",
];

#[test]
fn text_of_a_payload_stays_text_in_what_is_shipped() {
    let mut choices = Choices::Random(fastrand::Rng::with_seed(SEED));
    let mut figures = Figures::default();
    let mut turn = 0;
    for sample in seeds() {
        let texts = sample.partials.iter().map(|(_, text)| text);
        if texts
            .chain([&sample.text])
            .any(|text| NOT_CALM.iter().any(|word| text.contains(word)))
        {
            continue;
        }
        let Some(subject) = Subject::new(sample, &mut figures) else {
            continue;
        };
        let words = Vocabulary::of(&sample.text);
        let mut maker = Maker::calm(&mut choices);
        let payloads = (0..PAYLOADS).map(|_| maker.payload(&words));
        for payload in sample.payload.iter().cloned().chain(payloads) {
            subject.is_calm(&payload, &swapped(&payload, &mut turn), &mut figures);
        }
    }
    assert!(figures.templates > 40 && figures.swaps > 300, "{figures}");
}

#[test]
fn what_is_shipped_and_shown_is_never_refused() {
    let mut figures = Figures::default();
    for sample in seeds().iter().filter(|sample| sample.payload.is_some()) {
        let subject = Subject::new(sample, &mut figures);
        let verdict = subject.map(|subject| subject.verdict());
        assert!(
            verdict.is_some_and(|verdict| verdict != Verdict::NeverValid),
            "{}",
            sample.text
        );
    }
    assert!(figures.templates > 15, "{figures}");
}

/// What was found here before: template, payload.
const KNOWN: [(&str, &str); 10] = [
    // The subject of a `case` is read once.
    (
        "{% assign s = 'a' %}{% case s %}{% when 'a' %}{% assign s = 'b' %}{% when 'b' %}1{% endcase %}",
        "{}",
    ),
    (
        "{% assign s = blank %}{% case s %}{% when nil %}{% capture s %}1{% endcapture %}true{% when false %}2{% else %}3{% endcase %}",
        "{}",
    ),
    (
        "{% case payload.a %}{% else %}{% assign payload = nil %}{% when nil %}1{% endcase %}",
        "{\"a\":1}",
    ),
    // The items of an array are values, none of which is `blank`.
    (
        "{% assign e = blank %}{% assign xs = e | reverse %}[0{% for x in xs %}{% if x == nil %},[]{% if x == '' %}[]{% endif %}{% endif %}{% endfor %}]",
        "{}",
    ),
    // Keys from data are not known, so that no two are the same.
    (
        "{ {% for x in payload.l %}{{ x }}: 1{% unless forloop.last %},{% endunless %}{% endfor %}, \"{{ payload.a }}\": 2, \"b{{ payload.a }}\": 3 }",
        "{\"l\":[\"p\",\"q\"],\"a\":\"r\"}",
    ),
    // The same keys, but in other objects.
    (
        r#"{% if payload.a %}{"a":1,"b":{"c":1{% else %}{"a":{"b":1,"c":1{% endif %},"b":2}}"#,
        r#"{"a":false}"#,
    ),
    (
        r#"{% if payload.a %}{"a":{"b":1,"c":1{% else %}{"a":1,"b":{"c":1{% endif %},"b":2}}"#,
        r#"{"a":false}"#,
    ),
    // `blank` equals nil and false, and yet it is true.
    (
        "{% if blank == nil %}{% if blank == false %}{% else %}1{% endif %}{% else %}1{% endif %}",
        "{}",
    ),
    (
        "{% if blank == nil %}{% if blank %}1{% endif %}{% endif %}",
        "{}",
    ),
    // Too many repairs are beyond a limit, not invalid.
    ("[1{% for x in (1..100000) %},,,,,,,,,,,{% endfor %}]", "{}"),
];

#[test]
fn what_was_found_stays_mended() {
    let mut figures = Figures::default();
    for (text, payload) in KNOWN {
        let sample = whole(text.to_owned());
        let subject = Subject::new(&sample, &mut figures).expect(text);
        let payload = serde_json::from_str(payload).expect(payload);
        let _ = subject.holds(&payload, &mut figures);
    }
}
