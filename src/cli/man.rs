//! `ingate man`: the manual page, or one for each command.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::{Exit, Failure, Outcome, print};

#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// Write the pages of all commands into this folder (made if missing) instead
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// What stands at the foot of each page.
const MANUAL: &str = "ingate manual";

const EXITS: [Exit; 6] = [
    Exit::Done,
    Exit::Failed,
    Exit::Usage,
    Exit::Unreachable,
    Exit::Io,
    Exit::Config,
];

/// The words of the manual for an exit code.
const fn meaning(exit: Exit) -> &'static str {
    match exit {
        Exit::Done => "It did what was asked; the daemon was stopped and has drained.",
        Exit::Failed => {
            "A check failed: a signature does not verify, a template does not render, a request was refused; or a replay ended with failures."
        }
        Exit::Usage => "The command line is wrong.",
        Exit::Unreachable => "The daemon, or a vendor, cannot be reached.",
        Exit::Io => "The store, or another file or socket, cannot be used.",
        Exit::Config => {
            "The configuration is wrong. A restart does not help, so service managers should not try."
        }
    }
}

const SIGNALS: [(&str, &str); 2] = [
    (
        "SIGTERM, SIGINT",
        "The daemon drains: it takes nothing more, lets what is under way end within limits.drain, and exits 0.",
    ),
    (
        "SIGHUP",
        "The daemon reads its configuration anew; one that is not right changes nothing.",
    ),
];

const ENVIRONMENT: [(&str, &str); 10] = [
    (
        "INGATE_CONFIG",
        "The configuration file, where -c is not given.",
    ),
    (
        "INGATE_ADMIN",
        "Where the operator's door is, where --admin is not given; the configuration is not read for it then.",
    ),
    (
        "INGATE_TOKEN",
        "The token of the operator's door, in the place of the configuration's.",
    ),
    (
        "INGATE_LOG",
        "What is logged, such as debug or ingate::intake=debug,info. The default is info.",
    ),
    (
        "INGATE_LOG_FORMAT",
        "How log lines look, text or json, where --log-format is not given.",
    ),
    (
        "INGATE_STORE",
        "Where run looks for the last good configuration if a broken one does not say where the store is.",
    ),
    (
        "WINGSPAN_TOKEN",
        "The token of Wingspan's API, for register wingspan, where --token-file is not given.",
    ),
    ("NO_COLOR", "If set and not empty, nothing is coloured."),
    (
        "CREDENTIALS_DIRECTORY",
        "The folder of the secrets that the configuration names as {credential: NAME}; systemd sets it.",
    ),
    (
        "NOTIFY_SOCKET, WATCHDOG_USEC",
        "Where the service manager listens and how often it wants to hear that the daemon lives; systemd sets them.",
    ),
];

const FILES: [(&str, &str); 5] = [
    (
        "config.yaml",
        "The configuration; relative paths in it are relative to it. The unit of the package reads /etc/ingate/config.yaml.",
    ),
    (
        "templates/",
        "The templates, unless the configuration names another folder.",
    ),
    (
        "data/",
        "The store, unless the configuration names another folder. One daemon owns it.",
    ),
    (
        "data/journal/",
        "Everything that was accepted and what became of it: the truth.",
    ),
    (
        "data/index/",
        "The queue. It may be removed while no daemon runs and is made anew from the journal.",
    ),
];

pub(super) fn run<C: CommandFactory>(args: &ManArgs) -> Outcome {
    let mut command = C::command().disable_help_subcommand(true);
    command.build();
    match &args.dir {
        Some(folder) => write_pages(&command, folder),
        None => {
            let page = page(&command).map_err(|error| Failure::caused(Exit::Io, &error))?;
            print(&String::from_utf8_lossy(&page))?;
            Ok(Exit::Done)
        }
    }
}

/// Writes the pages of a command and of all below it.
fn write_pages(command: &clap::Command, folder: &Path) -> Outcome {
    let failed = |path: &Path, error: std::io::Error| {
        let why = format!("error: cannot write {}: {error}", path.display());
        Failure::new(Exit::Io, why)
    };
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    let path = folder.join(Man::new(command.clone()).get_filename());
    page(command)
        .and_then(|page| std::fs::write(&path, page))
        .map_err(|error| failed(&path, error))?;
    for below in command.get_subcommands().filter(|one| !one.is_hide_set()) {
        write_pages(below, folder)?;
    }
    Ok(Exit::Done)
}

/// The page of a command. That of the whole program also says what holds for all commands.
fn page(command: &clap::Command) -> std::io::Result<Vec<u8>> {
    let man = Man::new(command.clone()).manual(MANUAL);
    let mut page = Vec::new();
    let is_whole = command
        .get_display_name()
        .is_none_or(|name| name == command.get_name());
    if is_whole {
        man.render_title(&mut page)?;
        man.render_name_section(&mut page)?;
        man.render_synopsis_section(&mut page)?;
        man.render_description_section(&mut page)?;
        man.render_subcommands_section(&mut page)?;
        man.render_options_section(&mut page)?;
        common(&mut page)?;
    } else {
        man.render(&mut page)?;
        let mut roff = Roff::new();
        roff.control("SH", ["SEE ALSO"]);
        roff.text([bold("ingate"), roman("(1)")]);
        roff.to_writer(&mut page)?;
    }
    Ok(page)
}

/// What holds for all commands.
fn common(page: &mut Vec<u8>) -> std::io::Result<()> {
    let exits = EXITS.map(|exit| ((exit as u8).to_string(), meaning(exit)));
    let exits: Vec<(&str, &str)> = exits
        .iter()
        .map(|(code, text)| (code.as_str(), *text))
        .collect();
    let sections: [(&str, &[(&str, &str)]); 4] = [
        ("EXIT STATUS", &exits),
        ("SIGNALS", &SIGNALS),
        ("ENVIRONMENT", &ENVIRONMENT),
        ("FILES", &FILES),
    ];
    for (heading, rows) in sections {
        let mut roff = Roff::new();
        roff.control("SH", [heading]);
        for (term, text) in rows {
            roff.control("TP", []);
            roff.text([bold(*term)]);
            roff.text([roman(*text)]);
        }
        roff.to_writer(page)?;
    }
    page.flush()
}

#[cfg(test)]
mod tests {
    use super::super::Cli;
    use super::*;

    /// The variables that any command reads by itself.
    fn variables(command: &clap::Command) -> Vec<String> {
        let own = command.get_arguments().filter_map(|arg| arg.get_env());
        let own = own.map(|name| name.to_string_lossy().into_owned());
        let below = command.get_subcommands().flat_map(variables);
        own.chain(below).collect()
    }

    #[test]
    fn every_variable_of_the_command_line_is_in_the_manual() {
        let variables = variables(&Cli::command());
        assert!(!variables.is_empty());
        for variable in variables {
            let known = ENVIRONMENT.iter().any(|(name, _)| *name == variable);
            assert!(known, "{variable}");
        }
    }
}
