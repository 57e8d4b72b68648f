//! The bytes are a whole request to `intake::accept`, over a store in a temporary folder: source, method and coding in two
//! bytes, headers by lines, an empty line, the body; 0x01 in a header is its right signature.
#![no_main]

#[allow(dead_code)]
#[path = "../../tests/it/fuzzed/checks.rs"]
mod checks;

use std::cell::OnceCell;

use checks::Door;
use libfuzzer_sys::fuzz_target;

thread_local! {
    static DOOR: OnceCell<Door> = const { OnceCell::new() };
}

fuzz_target!(|data: &[u8]| {
    DOOR.with(|door| {
        door.get_or_init(Door::open).accept(data);
    });
});
