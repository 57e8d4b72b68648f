//! The bytes are a template's text; behind the first NUL stands a payload as JSON. Payloads made from what the text names
//! follow, always the same for the same bytes.
#![no_main]

#[allow(dead_code)]
#[path = "../../tests/it/random/checks.rs"]
mod checks;
// Of the maker only a part is needed.
#[allow(dead_code, unused_imports)]
#[path = "../../tests/it/random/maker/mod.rs"]
mod maker;
mod tally;

use std::hash::{DefaultHasher, Hash, Hasher};

use checks::{Figures, Subject};
use libfuzzer_sys::{Corpus, fuzz_target};
use maker::{Choices, Maker, Vocabulary, whole};
use serde_json::Value;

const RANDOM: usize = 6;

fuzz_target!(|data: &[u8]| -> Corpus {
    let mut figures = Figures::default();
    let corpus = follow(data, &mut figures);
    tally::add(&figures);
    corpus
});

fn follow(data: &[u8], figures: &mut Figures) -> Corpus {
    let (text, json) = match data.iter().position(|byte| *byte == 0) {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, &b"{}"[..]),
    };
    let (Ok(text), Ok(payload)) = (
        std::str::from_utf8(text),
        serde_json::from_slice::<Value>(json),
    ) else {
        return Corpus::Reject;
    };
    let sample = whole(text.to_owned());
    let Some(subject) = Subject::new(&sample, figures) else {
        return Corpus::Keep;
    };
    let _ = subject.holds(&payload, figures);
    subject.behaves(&payload);
    let mut hasher = DefaultHasher::new();
    data.hash(&mut hasher);
    let mut random = Choices::Random(fastrand::Rng::with_seed(hasher.finish()));
    let words = Vocabulary::of(text);
    for _ in 0..RANDOM {
        let made = Maker::new(&mut random).payload(&words);
        let _ = subject.holds(&made, figures);
    }
    Corpus::Keep
}
