//! The bytes choose a template and payloads, which are made and checked as in the property test `random`.
#![no_main]

#[allow(dead_code)]
#[path = "../../tests/it/random/checks.rs"]
mod checks;
#[allow(dead_code, unused_imports)]
#[path = "../../tests/it/random/maker/mod.rs"]
mod maker;
mod tally;

use std::hash::{DefaultHasher, Hash, Hasher};

use checks::{Figures, Subject};
use libfuzzer_sys::fuzz_target;
use maker::{Choices, Maker, Vocabulary, swapped};

/// Payloads that the fuzzer's bytes choose, and those at random after them: always the same for the same bytes.
const CHOSEN: usize = 3;
const RANDOM: usize = 5;

fuzz_target!(|data: &[u8]| {
    let mut figures = Figures::default();
    follow(data, &mut figures);
    tally::add(&figures);
});

fn follow(data: &[u8], figures: &mut Figures) {
    let mut hasher = DefaultHasher::new();
    data.hash(&mut hasher);
    let mut random = Choices::Random(fastrand::Rng::with_seed(hasher.finish()));
    // The first byte says whether the template is to be calm; the second how much of the rest is for the template.
    let (calm, share, rest) = match data {
        [first, second, rest @ ..] => (first % 4 == 0, usize::from(*second), rest),
        _ => return,
    };
    let (template, payloads) = rest.split_at(rest.len() - rest.len() * share / 512);
    let mut choices = Choices::Bytes(template);
    let mut maker = match calm {
        true => Maker::calm(&mut choices),
        false => Maker::new(&mut choices),
    };
    let sample = maker.sample();
    let Some(subject) = Subject::new(&sample, figures) else {
        return;
    };
    let words = Vocabulary::of(&sample.text);
    let mut turn = share;
    let mut chosen = Choices::Bytes(payloads);
    for nth in 0..CHOSEN + RANDOM {
        let choices = if nth < CHOSEN { &mut chosen } else { &mut random };
        let payload = Maker::new(choices).payload(&words);
        if calm {
            let hostile = swapped(&payload, &mut turn);
            subject.is_calm(&payload, &hostile, figures);
        } else {
            let _ = subject.holds(&payload, figures);
        }
        if nth == 0 {
            subject.behaves(&payload);
        }
    }
}
