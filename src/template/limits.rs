//! What one render may use. A template and a payload together cannot get past these: each ends the render with an error
//! that names the place. Limits of the text itself stand in `syntax`, those of the output in `writer`.

/// Most steps: nodes, loop rounds, filters, steps of paths, comparisons of items. Well over a hundred times what a large
/// real template takes; about a second of work at worst.
pub const STEPS: u64 = 4_000_000;
/// Most bytes that values are read, made and copied with in all.
pub const BYTES: u64 = 256 << 20;
/// Most steps of a render that may hold a thread up on which others wait: many times what a common template takes.
pub const BRIEF_STEPS: u64 = 20_000;
/// Most bytes that values are read, made and copied with in such a render.
pub const BRIEF_BYTES: u64 = 1 << 20;
/// Most bytes of output of such a render.
pub const BRIEF_OUTPUT: usize = 256 << 10;
/// Most bytes of text and arrays that are made in all, kept or not: bounds the memory of a render, since variables can hold
/// all of it. Sixteen times the largest output.
pub const MADE_BYTES: u64 = 64 << 20;
/// Most bytes of one string that is captured or made by a filter.
pub const VALUE_BYTES: usize = 8 << 20;
/// Most bytes of one `json` block: while it is read, JSON takes up to a hundred times the room of its text.
pub const JSON_BLOCK_BYTES: usize = 512 << 10;
/// What a byte of a `json` block is counted as when it is read.
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
/// What a member of an object that is made is counted as, in bytes.
pub const MEMBER_BYTES: u64 = 64;
/// How many names of loops and partials are looked through for the price of a step.
pub const NAMES_A_STEP: u64 = 32;
/// What a member of an object is counted as when a loop makes a pair `[key, value]` of it, in bytes.
pub const PAIR_BYTES: u64 = 160;
/// What an item of an array is counted as when a filter reads it, in bytes.
pub const READ_ITEM_BYTES: u64 = 8;
