//! The `ingate` command. Everything it does is in [`ingate::cli`].

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// Every event is some hundred small pieces of memory that come and go.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    ingate::cli::run(std::env::args_os())
}
