//! The bytes are a pattern, as YAML or JSON; behind a NUL a body, behind another one a type.
#![no_main]

#[allow(dead_code)]
#[path = "../../tests/it/fuzzed/checks.rs"]
mod checks;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    checks::pattern(data);
});
