//! The bytes are the header of a signature, against schemes of every form; 0x01 in them is the right signature.
#![no_main]

#[allow(dead_code)]
#[path = "../../tests/it/fuzzed/checks.rs"]
mod checks;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    checks::signature_header(data);
});
