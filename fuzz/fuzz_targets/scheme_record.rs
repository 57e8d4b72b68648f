//! The bytes are a record of a scheme, as YAML or JSON.
#![no_main]

#[allow(dead_code)]
#[path = "../../tests/it/fuzzed/checks.rs"]
mod checks;

use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|data: &[u8]| -> Corpus {
    let Ok(text) = std::str::from_utf8(data) else {
        return Corpus::Reject;
    };
    checks::scheme_record(text);
    Corpus::Keep
});
