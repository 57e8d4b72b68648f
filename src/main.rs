//! The `ingate` command. Everything it does is in [`ingate::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    ingate::cli::run(std::env::args_os())
}
