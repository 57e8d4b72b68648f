//! `ingate completions SHELL`

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Exit, Outcome, print};

#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// For which shell
    shell: Shell,
}

pub(super) fn run<C: CommandFactory>(args: &CompletionsArgs) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut C::command(), "ingate", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
