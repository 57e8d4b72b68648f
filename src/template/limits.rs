//! What one render may use. A template and a payload together cannot get past these: each ends the render with an error
//! that names the place. Limits of the text itself stand in `syntax`, those of the output in `writer`.

/// Most steps: nodes, loop rounds, filters, steps of paths, comparisons of items. Well over a hundred times what a large
/// real template takes; about a second of work at worst.
pub const STEPS: u64 = 4_000_000;
/// Most bytes that values are read, made and copied with in all.
pub const BYTES: u64 = 256 << 20;
/// Most bytes of one string that is captured or made by a filter.
pub const VALUE_BYTES: usize = 8 << 20;
/// Most bytes of one `json` block: as values, JSON takes up to fifty times the room of its text.
pub const JSON_BLOCK_BYTES: usize = 1 << 20;
/// What a byte of a `json` block is counted as.
pub const JSON_BLOCK_FACTOR: u64 = 16;
/// Most pieces of text and values that one `ifchanged` holds.
pub const CHANGED_PIECES: usize = 50_000;
/// Most groups of `cycle`.
pub const CYCLES: usize = 1_000;
/// Most bytes of the name of a group of `cycle`.
pub const CYCLE_NAME: usize = 10_000;
/// Most numbers of one range.
pub const RANGE: usize = 100_000;
/// Most blocks and partials within each other: bounds the stack.
pub const DEPTH: usize = 96;
/// Most partials within each other.
pub const PARTIAL_DEPTH: usize = 16;
/// Most arrays and objects within each other in a value that is assigned.
pub const VALUE_DEPTH: usize = 128;
/// Most partials of one template.
pub const PARTIALS: usize = 200;
/// Most bytes of a template with all of its partials.
pub const ALL_BYTES: usize = 2 << 20;
/// Most arguments of one call of a partial: every look-up of a name goes through them.
pub const CALL_ARGUMENTS: usize = 64;
/// What a digit of a number is counted as when it is read, in bytes: comparing and calculating take so much longer than
/// comparing text.
pub const DIGIT_BYTES: u64 = 8;
/// What an item of an array is counted as when an array is made, in bytes.
pub const ITEM_BYTES: u64 = 32;
/// What an item of an array is counted as when a filter reads it, in bytes.
pub const READ_ITEM_BYTES: u64 = 8;
